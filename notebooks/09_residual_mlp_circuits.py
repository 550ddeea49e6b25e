# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Circuits in residual MLPs, and whether they are causes
#
# The models so far had one mechanism per feature and matrix by construction. Residual MLPs are harder: 100 features,
# 50 neurons in two blocks, and the task $y = x + \mathrm{ReLU}(x)$ {cite}`braun2025apd`. There are fewer neurons than
# features, so every neuron serves many features and every feature uses many neurons, in both blocks. SPD
# {cite}`bushnaq2025spd` should find one component per feature in each block's input matrix, and the clustering
# {cite}`seshadri2025cross` should join a feature's components across blocks: 100 pairs in two blocks, 102 triplets in
# three, and beside them one large mechanism, the output matrices, which serve every feature.
#
# Correlation is no cause, as the clustering's authors say themselves; they leave interventions to future work. The second
# half of this chapter makes them. In short:
#
# - In two blocks **all 101** mechanisms come out exactly on every seed, with a recipe whose last step **knows the features**; 98 to
#   101 without that step. In three blocks it is 98 of 103 in the median (96 to 101): more triplets than the "over 80"
#   published, and fewer groups than the 103 on four seeds of five that we set out for.
# - That is our clustering. The source's own, with k = 10, finds 88 to 100 of the 100 pairs as clusters of two and 95 to 99
#   triplets, and on no seed the output matrices as one cluster.
# - Part of the ground truth is **hardly there**: in three blocks one feature in five gets next to nothing from some block. All
#   misses are among these, or due to a component that half of the features share.
# - Removing a group does **nearly all the harm** that can be done to its feature, matched random sets next to none of it, and
#   hardly any other feature suffers.
# - But groups that are **wrong by construction** do far more harm than random sets, too, in three models of four. Keeping a
#   group alone tells them from right ones in the small models, the amount of harm that its removal does in the residual MLPs.

# %% tags=["colab", "remove-cell"]
# On Colab only: install the commit that this notebook belongs to.
import sys

if "google.colab" in sys.modules:
    import os
    import subprocess

    address, commit, here = "https://github.com/splinelab/splinelab", "main", "/content/splinelab"
    fetch = f"git init -q {here} && cd {here} && git fetch -q --depth 1 {address} {commit}"
    install = f"git checkout -q --force FETCH_HEAD && {sys.executable} notebooks/colab.py"
    done = subprocess.run(f"{fetch} && {install}", shell=True, capture_output=True, text=True)
    if done.returncode:
        why = done.stderr.strip().splitlines()[-1]
        sys.exit(f"splinelab could not be installed from {address} at {commit}: {why}")
    sys.path[:0] = [here, f"{here}/notebooks"]
    os.chdir(f"{here}/notebooks")

# %% tags=["parameters", "hide-cell"]
seed = 0  # of the model that is looked at closely (the zoo has 0 to 4), and of the live one
quick = False  # two seeds, fewer samples, for a look

# %% tags=["hide-input"]
import altair as alt
import numpy as np
import pandas as pd
import torch

from pictures import decomposition as formation
from pictures import mechanisms as pictures
from splinelab import charts, claims, mechanisms, nets, spd, zoo
from splinelab.intervals import exactly, over_nets, range_over_nets

charts.use()
committed = seed == 0 and not quick
ledger = claims.Notebook("09_residual_mlp_circuits", committed=committed)
seeds = range(2) if quick else range(5)
close = seed if seed in seeds else 0
SAMPLES = 5_000 if quick else 20_000
MLPS = {"2 blocks": "MLP-2", "3 blocks": "MLP-3"}
MODELS = {
    "TMS 5-2+ID": "TMS-5-2-ID",
    "TMS 40-10": "TMS-40-10",
    "MLP, 2 blocks": "MLP-2",
    "MLP, 3 blocks": "MLP-3",
}

# %% [markdown]
# The ledger's verdicts on this chapter's claims, from the committed measurements.

# %% tags=["hide-input"]
ledger.summary()

# %% [markdown]
# ## What the models do, block by block
#
# Switch one feature on and see what each block adds to its output. A perfect model adds one whole $x$ for a positive
# input, in any division between the blocks. *Does every block work on every feature?*

# %% tags=["hide-input"]
models = {(label, s): zoo.toy_model(name, s) for label, name in MLPS.items() for s in seeds}
shares = {key: spd.block_contributions(net) for key, net in models.items()}
pictures.block_shares(pd.concat(shares[label, 0].assign(model=label) for label in MLPS))

# %% tags=["hide-input"]
weak = pd.DataFrame(
    {
        label: {
            "whole contribution, median": f"{np.median([shares[label, s].groupby('feature')['contribution'].sum().median() for s in seeds]):.2f}",
            "features below .02 in some block, by seed": " ".join(
                str(int((shares[label, s].groupby("feature")["contribution"].min() < 0.02).sum()))
                for s in seeds
            ),
        }
        for label in MLPS
    }
)
weak

# %% [markdown]
# Not quite. The models add about .6 of what they should, a known limit of so few neurons. In two blocks nearly every
# feature is worked on in both. In three, one feature in five has a block that adds next to nothing to it: where the
# ground truth expects a triplet, the model has a pair. Keep that in mind when triplets are counted.
#
# ## The same model, an eighth as wide
#
# The stream of these models is 1,000 wide, and all that it can hold lies in a space of 125 or 136 dimensions: the rows
# of the embedding, and the columns that early blocks write. Written in a basis of that space (a QR factorisation), the
# model is the same function of its inputs, and a step of the decomposition costs a fraction.

# %%
wide = nets.ResidualMLP(100, 1000, 25, 2, seed=0)
small = spd.reduced(wide).net
x = spd.TARGETS["MLP-2"].fresh_samples(1_000)
with torch.no_grad():
    difference = (wide(x) - small(x)).abs().max()
print(
    f"width {wide.embedding.shape[1]} to {small.embedding.shape[1]}; outputs agree to 1e-6: {bool(difference < 1e-6)}"
)

# %% [markdown]
# ## A decomposition, live
#
# Our recipe without its last two stages, of which more below, and with a twelfth of the steps. Watch the first block's
# components being dropped.

# %% tags=["nbval-ignore-output"]
recipe = spd.OURS["MLP-2"]
recipe = recipe.replace(
    stages=[
        stage.replace(steps=max(stage.steps // (50 if quick else 12), 5)).to_dict()
        for stage in recipe.stages
        if not stage.reassign
    ]
)
fit = spd.decompose(zoo.toy_model("MLP-2", seed), recipe, seed)
formation.losses(pd.DataFrame(fit.history))

# %% [markdown]
# The penalty and the first prune take away half of the 240 components of each input matrix within a few hundred steps;
# the output matrices keep all of theirs. Twelve times as many steps bring one component per feature.
#
# ## Five seeds of each, in full
#
# The zoo holds what the whole recipes give. Settings were chosen on seeds 5 to 8; these are seeds 0 to 4. But the last
# step of two blocks came after a first version had been scored on seeds 0 to 4 (the appendix has those scores). (The pilot
# that the recipe comes from knew models of its own.) *One component per feature and block?* MMCS and ML2R compare a
# component with what its matrix makes of the feature's row of the embedding. *Low* and *high* count importances that should be
# 1 or 0, and are not, on lone features at +.75, and the last column those that are too high at −.75; one number for each
# seed.

# %% tags=["hide-input"]
found = {(label, s): zoo.decomposition(name, s) for label, name in MODELS.items() for s in seeds}
quality = pd.concat(
    spd.quality(found[f"MLP, {label}", s], spd.TARGETS[name], samples=SAMPLES).assign(model=label, seed=s)
    for label, name in MLPS.items()
    for s in seeds
)
quality["matrix"] = (
    "block "
    + (quality["layer"].str[7].astype(int) + 1).astype(str)
    + quality["layer"].str[9:].map({"mlp_in": ", input", "mlp_out": ", output"}).fillna("")
)


def joined(values) -> str:
    return " ".join(map(str, values))


def in_words(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns=lambda name: name.replace("_", " "))


errors = []
for (label, s), one in found.items():
    if label.startswith("MLP"):
        features = spd.TARGETS[MODELS[label]].features
        for layer, values in one.importances(-spd.one_hot(features)).items():
            if layer.endswith("mlp_in"):
                errors.append((label.removeprefix("MLP, "), s, layer, *spd.identity_errors(values)))
negative = pd.DataFrame(errors, columns=["model", "seed", "layer", "low", "high"])
quality = quality.merge(negative, how="left", on=["model", "seed", "layer"])
quality["place"] = quality["model"] + ", " + quality["matrix"]
by_place = quality[~quality["matrix"].str.endswith("output")].groupby("place", sort=False)
in_words(
    by_place.agg(
        alive=("alive", joined),
        expected=("expected", "first"),
        MMCS=("mmcs", lambda values: f"{values.mean():.3f}"),
        ML2R=("ml2r", lambda values: f"{values.mean():.3f}"),
        low=("missing", joined),
        high=("surplus", joined),
        high_at_negative=("high", lambda values: joined(values.dropna().astype(int))),
    )
).rename_axis(None)

# %% [markdown]
# In the first block, yes, almost everywhere. In the second of two as well, but for three components too many on one seed and an
# entry too high on two. In later blocks of three a few components are missing or too many, and most of what is too high is
# one component in each of these blocks, seen below. Directions agree less well than in the first block: later ones read the embedding plus what
# earlier blocks wrote, so that a component which serves both signs cannot lie along either alone. At negative inputs some
# components of later blocks take part that should not.
# The output matrices are not in the table: all of their 25 or 17 components are alive on every seed, because the recipe
# gives them as many as their rank and next to no penalty.
#
# One step of the two-block recipe is unlike the rest, because it **knows the features**. Training ends in local optima: two
# features share a component, or one is put together from the components of others. So when training is done, components are
# handed out anew: each feature, switched on alone (at the sign that drives the neurons more), claims the component that answers to it; components that none claims go; a
# feature without one gets a fresh one along its own input. Then 1,000 more steps, and the outcome stays only if our recipe's
# loss is lower than before; all of it twice. On a network whose features nobody knows this step could not be taken, and it settles
# the number of components unless the loss objects. What it tells: *does the loss prefer one component per feature where
# training has not found it?*

# %% tags=["hide-input"]
pd.DataFrame(
    {
        "seed": s,
        "round": number,
        "new components": move["new"],
        "loss before": f"{1e6 * move['before']:.2f}e-6",
        "after": f"{1e6 * move['after']:.2f}e-6",
        "stays": "yes" if move["after"] < move["before"] else "no",
    }
    for s in seeds
    for number, move in enumerate(zoo.decomposition_card("MLP-2", s)["metrics"]["reassigned"], 1)
).set_index(["seed", "round"])

# %% [markdown]
# Hardly. On four seeds of five one or two components were new, and the loss fell; but it fell in the next round too, which added
# none, and on one seed by more. Training on passes this test by itself. The fair comparison, 1,000 steps *without* handing
# out, we have on two other seeds: it changed no count of groups, and its loss was 1 % higher on one and the same on the other (see
# the appendix). So the fresh components bring the groups, and the loss is nearly indifferent.
#
# On seed 0 nothing was new. The rounds dropped three components that answer to a feature at −.75 only, beside the one that
# answers at +.75, and the loss preferred to keep them. So the step did nothing there; all groups come out without it.


# %% tags=["hide-input"]
def maps(label: str, sign: int) -> alt.TopLevelMixin:
    """Of one seed's input matrices: which components answer where one feature alone is on."""
    features = spd.TARGETS[MLPS[label]].features
    table = spd.importance_table(found[f"MLP, {label}", close], features, sign * 0.75, least=0.05)
    table = table[table["matrix"].str.endswith("mlp_in")]
    block = (table["matrix"].str[7].astype(int) + 1).astype(str)
    title = f"{label}, each feature alone at {'+' if sign > 0 else '−'}.75"
    return formation.importance_maps(table.assign(matrix="block " + block).round(2), title)


maps("2 blocks", 1)

# %% tags=["hide-input"]
maps("2 blocks", -1)

# %% [markdown]
# At +.75 the second block's map has no cell out of place. At −.75 it has some twenty-five strangers: a
# feature that is off in the output still passes through the block, and it takes other features' components to say how.

# %% tags=["hide-input"]
maps("3 blocks", 1)

# %% [markdown]
# Three blocks give the same picture and one thing more: in the second and third block a component that answers to half of
# the features, beside the one of each feature. Dropped, it forms again; the model seems to hold a direction that
# many features share. Our score gives it to the feature that it answers to most, whose triplet then counts as not
# exact.
#
# *Does a feature's component do what the model does for that feature?* For every feature and neuron: what the neuron
# passes on from the feature to its own output, in the model, and in the one component that answers to the feature.

# %% tags=["hide-input"]
neurons = spd.neuron_contributions(found["MLP, 2 blocks", close])
large = neurons[neurons["target"].abs().add(neurons["component"].abs()) > 0.004]
pictures.contributions(large.assign(block="block " + large["block"].astype(str)).round(4))

# %% tags=["hide-input"]
neurons.groupby("block")[["target", "component"]].corr().iloc[::2, 1].droplevel(1).rename(
    "correlation of all"
).round(3).to_frame()

# %% [markdown]
# It does: the points lie on the diagonal, in the second block with a little more spread. (Neurons that pass on next to
# nothing in both are left out of the picture, not of the correlation.)
#
# ## Pairs, triplets and the large one
#
# Now group the components across blocks, with the threshold that other seeds chose. A component belongs to the feature
# that, alone at +.75 or −.75, makes it most important; importances end at 1, and where two features reach that, the mean over
# the signs decides (a rule that is younger than the first scores, see the appendix). *How many mechanisms come out exactly, and which do not?*


# %% tags=["hide-input"]
def one_of_each(labels: np.ndarray, seen: mechanisms.Profiles, known: mechanisms.Known) -> int:
    """The source's count: clusters of one input component from every block, all of one feature."""
    alive = labels >= 0
    members = pd.DataFrame({"cluster": labels, "layer": seen.layers, "truth": known.truth})[alive]
    inputs = members["layer"].str.endswith("mlp_in")
    blocks = members.loc[inputs, "layer"].nunique()
    found = (
        members.assign(inputs=inputs)
        .groupby("cluster")
        .agg(
            size=("layer", "size"),
            blocks=("layer", "nunique"),
            features=("truth", "nunique"),
            pure=("inputs", "all"),
        )
    )
    whole = (found["size"] == blocks) & (found["blocks"] == blocks) & (found["features"] == 1) & found["pure"]
    return int(whole.sum())


CLUSTERINGS = {
    "ours": mechanisms.SpectralMechanisms(),
    "the source's method": mechanisms.PaperSpectral(10, reading="algorithm"),
}
studied, exact, missed = {}, [], []
for (label, s), one in found.items():
    target = spd.TARGETS[MODELS[label]]
    seen = mechanisms.profiles_of(one, target.fresh_samples(SAMPLES).split(5_000))
    known = mechanisms.known_mechanisms(one, target)
    for method, clustering in (
        CLUSTERINGS.items() if label.startswith("MLP") else [("ours", CLUSTERINGS["ours"])]
    ):
        labels = clustering.fit(seen).labels_
        result = mechanisms.exact_groups(labels, known.truth, seen.layers, known.expected)
        groups = result.table.set_index("mechanism")["exact"]
        exact.append(
            {
                "model": label,
                "clustering": method,
                "seed": s,
                "exact": result.exact,
                "of": result.of,
                "own": int(groups.loc[: target.features - 1].sum()),
                "one of each": one_of_each(labels, seen, known),
                "large": int(groups.get(target.features, False)),
            }
        )
        if method == "ours":
            studied[label, s] = seen, known, labels
            if label.startswith("MLP"):
                missed += [(label, s, int(f)) for f in groups.index[~groups]]
exact = pd.DataFrame(exact)
in_words(
    exact[exact["model"].str.startswith("MLP")]
    .groupby(["model", "clustering"], sort=False)
    .agg(
        exact=("exact", joined),
        of=("of", "first"),
        features_exact=("own", joined),
        clusters_with_one_of_each_block=("one of each", joined),
        outputs_by_themselves=("large", joined),
    )
)

# %% [markdown]
# With our clustering all of them in two blocks, on every seed, against the source's 97 pairs and the large group. Exact does not
# mean two components: on seed 0 the second block has three more than features, see above, and the groups of these features hold
# a third. The source counts clusters of two (or three), one component of each block and all of one feature; by that count seed
# 0 has the source's 97, and the other four seeds have 100. In three blocks it is between 96 and 101 of 103, and on no seed all
# of them, against "over 80" triplets. Other methods that set always-on components apart agree to within two groups ([chapter
# 8](08_cross_layer_mechanisms)), so what is missing is missing in the decompositions.
#
# The source's own method, Algorithm 1 with k = 10, counts up to 12 pairs fewer in two blocks and as many triplets in three or
# one less, and never leaves the outputs by themselves. (Until 2026-11-27 the verdicts rested on our clustering alone, and the
# one on three blocks asked for all of 102 triplets on four seeds of five, which the source does not claim. Nor did the ledger
# say what the appendix does: that the last step, the rule for ties and the count of slim groups are younger than the first
# scores.)

# %% tags=["hide-input"]
rows = []
for label, s, mechanism in missed:
    if mechanism < spd.TARGETS[MODELS[label]].features:
        seen, known, labels = studied[label, s]
        mine = known.truth == mechanism
        answers = (known.responses[:, mine] > 0.1).sum(axis=0)
        least = shares[label.removeprefix("MLP, "), s].groupby("feature")["contribution"].min()[mechanism]
        why = (
            "dense component"
            if answers.max() > 10
            else "weak in a block"
            if least < 0.02
            else "shared or split"
        )
        rows.append({"model": label, "why": why})
reasons = pd.DataFrame(rows).groupby(["model", "why"]).size().unstack(fill_value=0)
reasons

# %% [markdown]
# *Dense component*: the feature was given a component that many features share, of which each of these models has two; the
# score must give it to somebody. *Weak in a block*: some block adds less than .02 to the feature, so that there may be nothing to
# find. That is all: 10 misses and 13, counted under the first reason that applies. None is left for the third, *shared or split*,
# two features with one component or one with two. But most weak features, one in five, are found all the same.
#
# The large mechanism: all output components, on every input.

# %% tags=["hide-input"]
pd.DataFrame(
    {
        label: {
            s: f"{int((known.truth == spd.TARGETS[MODELS[label]].features).sum())} components, {int(seen.always_on[known.truth == spd.TARGETS[MODELS[label]].features].sum())} on for every input"
            for (model, s), (seen, known, _) in studied.items()
            if model == label
        }
        for label in ("MLP, 2 blocks", "MLP, 3 blocks")
    }
).rename_axis("seed")

# %% [markdown]
# All fifty or fifty-one are on for every input and make one group on every seed. That is less of a result than it looks:
# they were given next to no penalty, as many as the rank, and grouped for being always on.
#
# ## Are they causes?
#
# If a group is a mechanism, removing it should break its own feature and little else. For every group of all four
# models and all seeds: remove its components, run the model on what is left, and compare the harm to its own feature
# with the harm that **random sets** do to it. The random sets are alive components matched to the group one by one, in
# number, size ($\lVert U \rVert \lVert V \rVert$) and firing frequency, 20 sets for each group. Both harms are told as
# shares of the harm that removing everything does to the feature. Their ratio means little where random sets do next to
# nothing, so it is taken only *off the floor*: where they do at least 1 % of that, and more than the error of the whole
# decomposition. The large mechanism has no match among components that fire on one sample in a hundred, and is left out here.
#
# (Until 2026-11-27 this chapter divided by that floor wherever random sets did less, which was nearly everywhere, and told of
# "60 to 100 times" more harm; the 100 was the floor's. It also ascribed the tenfold to the source, which says only that future
# work could compare ablated clusters with random subsets.) *How far apart are they?*

# %% tags=["hide-input"]
CHECKED = 1_000 if quick else 4_000


def exchanged(
    labels: np.ndarray, seen: mechanisms.Profiles, known: mechanisms.Known, features: int
) -> np.ndarray:
    """The same groups with the components of one matrix handed on to the next group: every group is wrong."""
    wrong, last = (
        labels.copy(),
        [layer for layer in dict.fromkeys(seen.layers) if layer.endswith(("linear2", "mlp_in"))][-1],
    )
    mine = np.flatnonzero(
        (seen.layers == last) & (known.truth >= 0) & (known.truth < features) & (labels >= 0)
    )
    groups = np.unique(labels[mine])
    wrong[mine] = groups[(np.searchsorted(groups, labels[mine]) + 1) % len(groups)]
    return wrong


checks = []
for (label, s), (seen, known, labels) in studied.items():
    target, one = spd.TARGETS[MODELS[label]], found[label, s]
    x = target.fresh_samples(CHECKED, seed=2)
    own = mechanisms.own_features(labels, np.where(known.truth < target.features, known.truth, -1))
    own = {cluster: features for cluster, features in own.items() if (x[:, features[0]] != 0).any()}
    large = [int(cluster) for cluster in np.unique(labels[known.truth == target.features])]
    norms = torch.cat([m.U.norm(dim=1) * m.V.norm(dim=1) for m in one.layers.values()]).detach().numpy()
    damage = mechanisms.damage_of(one, one.net, seen, rest=False)
    common = {"norms": norms, "frequency": seen.frequency, "shared": large}
    active = (x != 0).numpy()
    everything = {int(c): tuple(range(target.features)) for c in large}
    right = mechanisms.causal_check(damage, x, active, labels, own | everything, **common).table
    wrong_labels = exchanged(labels, seen, known, target.features)
    still = {cluster: features for cluster, features in own.items() if (wrong_labels == cluster).any()}
    wrong = mechanisms.causal_check(damage, x, active, wrong_labels, still, **common).table
    for grouping, table in (("found", right), ("one exchanged", wrong)):
        checks.append(
            table.assign(model=label, seed=s, grouping=grouping, large=table["cluster"].isin(large))
        )
checks = pd.concat(checks, ignore_index=True)
checks["features"] = checks["features"].map(
    lambda features: str(features[0]) if len(features) == 1 else "all"
)
for harm in ("own", "random"):
    checks[f"{harm}_share"] = checks[harm] / checks["everything"]
single = checks[(checks["grouping"] == "found") & ~checks["large"]]
shares_of_harm = single.drop(columns=["own", "random"]).rename(
    columns=lambda name: name.removesuffix("_share")
)
pictures.removals(shares_of_harm[["model", "seed", "cluster", "features", "own", "random"]].round(6))


# %% tags=["hide-input"]
def median_off_floor(values: pd.Series) -> str:
    off = values[~single.loc[values.index, "floored"]]
    return f"{off.median():.0f}" if len(off) else "–"


in_words(
    single.assign(ratio=single["own"] / single["random"])
    .groupby("model", sort=False)
    .agg(
        groups=("own", "size"),
        own_harm=("own_share", lambda values: f"{values.median():.2f}"),
        random_harm=("random_share", lambda values: f"{values.median():.5f}"),
        on_the_floor=("floored", lambda values: f"{values.sum()} of {len(values)}"),
        ratio_off_the_floor=("ratio", median_off_floor),
        own_harm_below_a_tenth=("own_share", lambda values: int((values < 0.1).sum())),
        set_norm=("random_norm", lambda values: f"{values.min():.2f} to {values.max():.2f}"),
        set_frequency=("random_frequency", lambda values: f"{values.min():.2f} to {values.max():.2f}"),
    )
)

# %% [markdown]
# Far apart: the median group does .98 or more of all possible harm, random sets .015 of it in the smallest model and less than
# .005 in the others. A ratio can be taken for the smallest model only: 60 there. In the two-block model every group stands on
# the floor, in the other two nearly every one, and what is left in three blocks are two groups that do no more harm than
# random sets. *Which groups fail?*

# %% tags=["hide-input"]
in_words(
    single[single["own_share"] < 0.1]
    .groupby(["model", "seed"], sort=False)
    .agg(
        groups=("own", "size"),
        features=("features", joined),
        own_harm=("own_share", lambda values: " ".join(f"{value:.3f}" for value in values)),
    )
)

# %% [markdown]
# These are groups that are not exact: a dense component by itself, or a part of a feature's components whose main group holds
# the rest.
#
# *And the others?* For each group that was removed: the harm to its own feature, and the harm to whichever other
# feature it hit worst.

# %% tags=["hide-input"]
spared = (single["worst"] < 0.1 * single["own"]).groupby(single["model"], sort=False).mean()
print(
    "worst-hit other below a tenth of the own:",
    ", ".join(f"{name} {share:.0%}" for name, share in spared.items()),
)
pictures.harms(single[["model", "seed", "cluster", "own", "worst"]])

# %% [markdown]
# Nearly all groups lie far below the diagonal: mostly the worst-hit other feature suffers less than a tenth of
# what the own one does. Those that lie on it or above are leftovers of groups that were not exact.
#
# The converse: remove everything **but** a group and the large mechanism. *Does its feature survive?* 0 is the error with
# the large mechanism alone, 1 the error of the whole model. And a control that removal alone lacks: groups that are
# **wrong**, because in each of them the component of the last input matrix (of the decoder) was exchanged for that
# of the next group.

# %% tags=["hide-input"]
both = checks[~checks["large"]]
table = both.groupby(["model", "grouping"], sort=False).agg(
    own_harm=("own_share", "median"),
    random_harm=("random_share", "median"),
    survival=("survival", "median"),
)
in_words(table.round({"own_harm": 2, "random_harm": 4, "survival": 2}).unstack())

# %% [markdown]
# Found groups keep their features alive: .83 to .97 of the way. And the control says something about comparisons with random
# sets. Groups that are wrong by construction *also* harm their own feature, .27 to .99 of all that is possible, where random
# sets do .006 or less in all but the smallest model: each still holds one component that the feature cannot do without. **More
# harm than random sets does not show that a group's members belong together.** Keeping it alone does where a feature has
# one component in each of two matrices: wrong groups lose it all. Where other blocks carry most of the work they lose a
# quarter (two blocks) or a tenth (three). There the amount of harm says more: wrong groups do .27 or .52 of it, right ones
# .98 or more.
#
# ## Where the source's description does not fit together
#
# The source describes its two-block result in five places. Put side by side:
#
# | statement | where | what it implies |
# |---|---|---|
# | 251 components alive, 201 of input and 50 of output matrices | section 6 | one input component more than 100 pairs need |
# | 97 pairs and one cluster of 50 | section 6 | 244 components, so seven alive ones are elsewhere |
# | 98 connected components | section 6 | 97 + 1 = 98, so the seven hang on to some of these |
# | 101 clusters | section 6 | three clusters for the seven |
# | 100 pair clusters, each with a component of either layer | appendix G | 100 + 1 = 101 clusters, and one component over |
#
# The first four fit together if three more groups hold seven components; the fifth fits the number of clusters and not
# the number of pairs. Table 4 of the source, which shows pairs of `mlp_in` components, is captioned as of TMS 40-10,
# which has no such matrices. None of this touches the idea, and our own figures above do not depend on it.
#
# ## Enter the measurements


# %% tags=["hide-input"]
for label, name in MLPS.items():
    claim, target = name.lower(), spd.TARGETS[name]
    common = {"n": SAMPLES, "data": target}
    size, exactness = ("two", "exact pairs") if label == "2 blocks" else ("three", "exact triplets")
    counts = {method: rows for method, rows in exact[exact["model"] == f"MLP, {label}"].groupby("clustering")}
    printed, mine = counts["the source's method"], counts["ours"]
    for case, values in {
        f"the source's method, clusters of {size}": printed["one of each"],
        "the source's method, output mechanism": printed["large"],
        f"clusters of {size}": mine["one of each"],
        exactness: mine["own"],
        "output mechanism": mine["large"],
    }.items():
        ledger.record(f"spd-{claim}", case, range_over_nets(values, seeds=seeds), **common)
    whole = exactly(int((mine["exact"] == mine["of"]).sum()), seeds=seeds)
    ledger.record("ours-spd-every-group", label, whole, **common)
    rows = quality[quality["model"] == label]
    for matrix in rows.loc[rows["mmcs"].notna(), "matrix"].unique():
        these = rows[rows["matrix"] == matrix]
        for key, score in (("mmcs", "MMCS"), ("ml2r", "ML2R")):
            found_score = over_nets(these[key], seeds=seeds)
            ledger.record(f"spd-quality-{claim}", f"{matrix}, {score}", found_score, **common)
    high = range_over_nets(rows.groupby("seed")["surplus"].sum(), seeds=seeds)
    ledger.record(f"spd-quality-{claim}", "importances too high", high, **common)

off = single[~single["floored"]]
ratios = (off["own"] / off["random"]).groupby(off["seed"]).median()
off_floor = over_nets(
    ratios, seeds=seeds
)  # most of them are of the smallest model, the one named as the data
ledger.record("spd-causal", "clusters off the floor", off_floor, n=CHECKED, data=spd.TARGETS["TMS-5-2-ID"])
for label, name in MODELS.items():
    common = {"n": CHECKED, "data": spd.TARGETS[name]}
    by_seed = single[single["model"] == label].groupby("seed")
    own, random = over_nets(by_seed["own_share"].median()), over_nets(by_seed["random_share"].median())
    ledger.record("spd-causal", f"own harm, {label}", own, **common)
    ledger.record("spd-causal", f"random harm, {label}", random, **common)
    floor = range_over_nets(by_seed["floored"].mean())
    ledger.record("spd-causal", f"on the floor, {label}", floor, **common)
    lives = both[both["model"] == label].groupby(["seed", "grouping"])["survival"].median().unstack()
    better = over_nets(lives["found"] - lives["one exchanged"])
    ledger.record("ours-spd-survival", label, better, **common)
print(ledger.save())

# %% [markdown]
# ## What reproduces, what does not, and why
#
# **Reproduces.** Pairs across two blocks (with our clustering all of them on every seed, against 97 of 100, with a step that knows
# the features; with the source's on three seeds of five as many as it reports, or more) and over 80 triplets across three,
# with either. With ours, the large mechanism on every seed.
#
# **Does not.** The large mechanism as one cluster, with the source's ten neighbours. And importances that are the identity in
# later blocks: in two blocks at most one is too high at +.75, but 15 to 30 are at −.75, and in three blocks there are 52 to 84
# in each later block at +.75. The second block's components of two come out 14 % too long.
#
# **Why.** Part of the ground truth is not there: in three blocks one feature in five gets next to nothing from one of them.
# Part is optimisation: two features that share a component are a local optimum, which only a step that knows the features has
# left in our trials. And in three blocks one component that half of the features share comes back whenever it is removed,
# that step included.
#
# **Ours.** Not all 103 groups of three blocks, on any seed. Found groups are causes, in the sense that removing one does nearly
# all possible harm to its own feature and little to any other, and keeping it alone keeps the feature. But to beat random sets
# is a weaker test than it sounds: in three models of four, groups that are wrong by construction do so by far, because every
# part of a mechanism is needed. Keeping a group alone is the sharper test in small models, the amount of harm in residual MLPs.

# %% tags=["hide-input"]
ledger.table()

# %% [markdown]
# ## Appendix: what was tried
#
# On seeds 5 to 8, which are not scored; "exact" is of 101 for two blocks, of 103 for three, and where two features made a
# component equally important it belonged to the one with the lower number. That rule was arbitrary, and it cost a group or two on
# most seeds, which came to light after seeds 0 to 4 had been scored: the last lines and all figures above decide such ties by the mean over both signs.
#
# | model, seed | change | exact |
# |---|---|---|
# | 2 blocks, 5 | a pilot's recipe: random start, $p$ from 2 to 1, local loss, even gate in the second stage | 98 |
# | 2 blocks, 5, 6, 7 | the same, components started at inputs far apart | 101, 98, 100 |
# | 2 blocks, 6, 7 | 4,700 instead of 3,000 steps, a third stage | 101, 99 |
# | 2 blocks, 7 | even gate from the start | 99, with 85 importances too high |
# | 3 blocks, 5 | the two-block recipe, importance 3.5e-5 | 76 |
# | 3 blocks, 5 | importance 1.75e-5, 4,700 steps | 80 |
# | 3 blocks, 5 | importance 2.5e-5, even gate from the start | 97 |
# | 3 blocks, 5 | after it: the one dense component of a block dropped, 8 new ones where the local loss is worst | 94; new ones die, dense ones form again |
# | 3 blocks, 5 | the same with half the pressure in the later stages | 98 |
# | 3 blocks, 6 | half the pressure in the last stage only, nothing dropped or added: the recipe | 99 |
# | 3 blocks, 6 | after it: prune, join halves at .7, 600 steps | 99 |
# | 2 blocks, 7 | after the recipe: halves joined at .7 | 97 of 101 instead of 99; the joined ones were no halves |
# | 2 blocks | compiled gates; bfloat16 | no faster after 34 s of compiling; 23 % faster, not used |
# | 2 blocks, 7 | a model trained with stochastic depth, so that every block works on every feature | 99: two features still share components |
# | 3 blocks, 5 | a model trained with stochastic depth for 3,000 steps | 89, with 6 weak features instead of 18 |
# | 2 blocks, 5, 6, 7, ties by the mean | the recipe of the second line again | 101, 100, 100 |
# | 2 blocks, 6, 7 | after it: 1,000 more steps | 100, 100; loss 62.4e-6 and 62.0e-6 |
# | 2 blocks, 6, 7 | after it: components handed out anew, 1,000 more steps | 101, 101; loss 61.7e-6 and 62.0e-6 |
# | 2 blocks, 5, 8 | from the start, components handed out anew twice: the recipe | 101, 101 |
# | 3 blocks, 5, 6, ties by the mean | before | 98, 99 |
# | 3 blocks, 5, 6 | components handed out anew, 1,000 more steps | 97, 100; the loss fell on one of the two |
# | 3 blocks, 6 | the same with four times the frequency term | 100; most importances of the shared component stay |
#
# The scored seeds 0 to 4 were looked at before components were handed out anew, and before ties were settled, with two starts for
# two blocks. Exact then: 100, 96, 101, 98, 99 of 101 and 95, 98, 99, 97, 94 of 103; with ties by the mean 100, 98, 101, 100, 101 and
# the figures above. Today's two-block recipe without its last two stages has 101, 98, 100, 100, 100. With ties to the lower number today's two-block decompositions would have 99, 99, 101, 99, 101.
#
# ## Exercises
#
# 1. Remove a pair from the two-block model by hand (`masked` with two components at 0). What does the output of its
#    feature look like as a function of the input?
# 2. Match the random sets in number only (`norms` and `frequency` all 1). How do the ratios change, and which comparison
#    is the fair one?
# 3. Train a three-block model with more steps (its recipe, `.replace(steps=30_000)`). Does every block come to
#    work on every feature?
