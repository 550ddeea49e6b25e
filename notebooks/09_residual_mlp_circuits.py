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
# In residual MLPs there are fewer neurons than features, so every neuron serves many features and every feature uses many
# neurons, in several blocks. Decomposition ([chapter 7](07_parameter_decomposition)) and clustering ([chapter
# 8](08_cross_layer_mechanisms)) should still find one group of components per feature; here we also ask whether such groups
# are **causes**. Removing one does nearly all the harm that can be done to its feature, and random sets next to none; yet
# groups that are wrong by construction pass that test as well.

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
        sys.exit(f"No splinelab from {address} at {commit}: {done.stderr.strip().splitlines()[-1]}")
    sys.path[:0] = [here, f"{here}/notebooks"]
    os.chdir(f"{here}/notebooks")

# %% tags=["parameters", "hide-cell"]
seed = 0  # of the model that is looked at closely (the zoo has 0 to 4), and of the live one
quick = False  # two seeds, fewer samples, for a look
device = "auto"  # of the live decomposition: "cuda" where there is one, else "cpu"

# %% tags=["hide-cell"]
import numpy as np
import pandas as pd
import torch

from pictures import circuits as pictures
from pictures import decomposition as formation
from pictures import mechanisms as groupings
from splinelab import charts, claims, mechanisms, nets, spd, zoo
from splinelab.intervals import exactly, over_nets, range_over_nets

charts.use()
committed = seed == 0 and not quick
ledger = claims.Notebook("09_residual_mlp_circuits", committed=committed)
seeds = range(2) if quick else range(5)
close = seed if seed in seeds else 0
if device == "auto":
    device = "cuda" if torch.cuda.is_available() else "cpu"
SAMPLES, CHECKED = (5_000, 1_000) if quick else (20_000, 4_000)
MLPS = {"2 blocks": "MLP-2", "3 blocks": "MLP-3"}
MODELS = {"TMS 5-2+ID": "TMS-5-2-ID", "TMS 40-10": "TMS-40-10"} | {f"MLP, {n}": m for n, m in MLPS.items()}
CLUSTERINGS = {
    "ours": mechanisms.SpectralMechanisms(),
    "the source's method": mechanisms.PaperSpectral(10, reading="algorithm"),
}


def exchanged(labels: np.ndarray, seen: mechanisms.Profiles, truth: np.ndarray, features: int) -> np.ndarray:
    """The same groups, the components of one matrix handed on to the next group: every group is wrong."""
    apart = [each for each in dict.fromkeys(seen.layers) if each.endswith(("linear2", "mlp_in"))]
    mine = np.flatnonzero((seen.layers == apart[-1]) & (truth >= 0) & (truth < features) & (labels >= 0))
    wrong, groups = labels.copy(), np.unique(labels[mine])
    wrong[mine] = groups[(np.searchsorted(groups, labels[mine]) + 1) % len(groups)]
    return wrong


def check(label: str, s: int, *, wrong: bool = False, sets: int = 20) -> pd.DataFrame:
    """Remove each group, found or wrong, of a feature that is on in some sample; and `sets` random sets."""
    target, one, (seen, known, labels) = spd.TARGETS[MODELS[label]], found[label, s], studied[label, s]
    x = target.fresh_samples(CHECKED, seed=2)
    own = mechanisms.own_features(labels, np.where(known.truth < target.features, known.truth, -1))
    tried = exchanged(labels, seen, known.truth, target.features) if wrong else labels
    own = {c: mine for c, mine in own.items() if (x[:, mine[0]] != 0).any() and (tried == c).any()}
    large = [int(cluster) for cluster in np.unique(labels[known.truth == target.features])]
    norms = torch.cat([m.U.norm(dim=1) * m.V.norm(dim=1) for m in one.layers.values()])
    common = {"norms": norms.detach().numpy(), "frequency": seen.frequency, "shared": large, "sets": sets}
    damage = mechanisms.damage_of(one, one.net, seen, rest=False)
    table = mechanisms.causal_check(damage, x, (x != 0).numpy(), tried, own, **common).table
    shares = {f"{harm} share": table[harm] / table["everything"] for harm in ("own", "random")}
    return table.assign(model=label, seed=s, grouping="one exchanged" if wrong else "found", **shares)


# %% tags=["hide-input"]
found = {(label, s): zoo.decomposition(name, s) for label, name in MODELS.items() for s in seeds}
studied, rows = {}, []
for (label, s), one in found.items():
    target = spd.TARGETS[MODELS[label]]
    seen = mechanisms.profiles_of(one, target.fresh_samples(SAMPLES).split(5_000))
    known = mechanisms.known_mechanisms(one, target)
    for method, clustering in CLUSTERINGS.items():
        labels = clustering.fit(seen).labels_
        counts = pictures.recovered(labels, seen, known, target.features)
        rows.append({"model": label, "method": method, "seed": s, **counts})
        if method == "ours":
            studied[label, s] = seen, known, labels
exact = pd.DataFrame(rows)
single = pd.concat([check(*key) for key in studied], ignore_index=True)
# One random set for each wrong group: only their survival and their own harm are read.
both = pd.concat([single, *[check(*key, wrong=True, sets=1) for key in studied]])
median = single.groupby("model", sort=False)[["own share", "random share"]].median()
off = single[~single["floored"]]
charts.figure(  # Claims: spd-causal
    pictures.removals(single[["model", "seed", "cluster", "own share", "random share"]].round(6)),
    f"The median group does {median['own share'].min():.2f} or more of all possible harm to its feature, matched random "
    f"sets {median['random share'].max():.3f} or less.",
    f"Harm of removing each of {len(single)} groups, and 20 random sets that match it, as a share of the harm of removing "
    f"everything; four models, {len(seeds)} seeds each. What is below a millionth is drawn there. Dashed: a hundredth. "
    f"Random sets do that, and more than the decomposition's error, for {len(off)} groups, "
    f"{int((off['model'] == 'TMS 5-2+ID').sum())} of them of TMS 5-2+ID.",
    holds=bool(median["own share"].min() > 0.5 and median["random share"].max() < 0.05),
)

# %% [markdown]
# "The source" is the clustering paper {cite}`seshadri2025cross`, which leaves interventions to future work; the components are
# those of SPD {cite}`bushnaq2025spd`. The toy models of superposition ("TMS") have 5 features in 2 units and 40 in 10; "+ID":
# with an identity matrix between.
#
# ## Does every block work on every feature?
#
# The task is $y = x + \mathrm{ReLU}(x)$ {cite}`braun2025apd`, with 100 features or a few more. Switch one feature on, and see
# what each block adds to its output. A perfect model adds one whole $x$, in any division between the blocks.

# %%
net = zoo.toy_model("MLP-3", close)
added = spd.block_contributions(net)  # block, feature, contribution
least = added.groupby("feature")["contribution"].min()
print((least < 0.02).sum(), "of", len(least), "get next to nothing")

# %% tags=["hide-input"]
shares = {(label, s): spd.block_contributions(found[f"MLP, {label}", s].net) for label in MLPS for s in seeds}
least = {key: added.groupby("feature")["contribution"].min() for key, added in shares.items()}
weak = {label: [int((least[label, s] < 0.02).sum()) for s in seeds] for label in MLPS}
ends = {label: f"{min(counts)} to {max(counts)}" for label, counts in weak.items()}
charts.figure(
    pictures.block_shares(pd.concat(shares[label, close].assign(model=label) for label in MLPS)),
    f"In three blocks {ends['3 blocks']} of 102 features get next to nothing from some block; in two, {ends['2 blocks']} of 100.",
    f"What each block adds to the output of a feature that is on alone; seed {close}. Next to nothing: below .02, over "
    f"{len(seeds)} seeds.",
    holds=min(weak["3 blocks"]) > max(weak["2 blocks"]),
)

# %% [markdown]
# Not quite every one. The models add little more than half of what they should, a known limit of so few neurons. And
# where the ground truth expects a triplet of components in three blocks, the model often has a pair. Keep that in mind
# when triplets are counted.
#
# ## Is there one component per feature and block?
#
# The stream of these models is 1,000 wide, and all that it can hold lies in far fewer dimensions. Written in a basis of
# these, the model is the same function, and a step of the decomposition costs a fraction:

# %%
wide = nets.ResidualMLP(100, 1000, 25, 2, seed=0)
small = spd.reduced(wide).net
x = spd.TARGETS["MLP-2"].fresh_samples(1_000)
with torch.no_grad():
    same = torch.allclose(wide(x), small(x), atol=1e-6)
widths = [each.embedding.shape[1] for each in (wide, small)]
print("width", *widths, "- outputs agree to 1e-6:", same)

# %% tags=["hide-input"]
SHOWN = {
    "2 blocks, block 1, at +.75": ("2 blocks", 0, 0.75),
    "2 blocks, block 2, at +.75": ("2 blocks", 1, 0.75),
    "2 blocks, block 2, at −.75": ("2 blocks", 1, -0.75),
    "3 blocks, block 2, at +.75": ("3 blocks", 1, 0.75),
}
maps = []
for title, (label, place, value) in SHOWN.items():
    features = spd.TARGETS[MLPS[label]].features
    table = spd.importance_table(found[f"MLP, {label}", close], features, value, least=0.05)
    maps.append(table[table["matrix"] == f"blocks.{place}.mlp_in"].assign(matrix=title).round(2))
maps = pd.concat(maps)
cells = maps[maps["importance"] > 0.1].groupby("matrix", sort=False).size()
charts.figure(  # Claims: spd-quality-mlp-2, spd-quality-mlp-3
    formation.importance_maps(maps),
    "One component per feature in the first block; strangers in later ones, at negative inputs or in three blocks.",
    f"Importance where one feature alone is on; input matrices, seed {close}. Cells above .1: "
    f"{', '.join(map(str, cells))}, in the order of the panels.",
    holds=bool(cells.iloc[0] == 100 and cells.iloc[2] > 100 and cells.iloc[3] > 102),
)

# %% [markdown]
# *How good are the components over all seeds?* Compared with what the matrix makes of a feature's row of the embedding:
# **MMCS** is the cosine similarity of the best component, averaged over features, **ML2R** the length of that component over
# the length it should have; 1 is ideal for both. *Too high* counts importances that should be 0, in the worst seed.

# %% tags=["hide-input"]
quality = pd.concat(
    spd.quality(found[f"MLP, {label}", s], spd.TARGETS[name], samples=SAMPLES).assign(model=label, seed=s)
    for label, name in MLPS.items()
    for s in seeds
)
block = "block " + (quality["layer"].str[7].astype(int) + 1).astype(str)
inner = quality["layer"].str.endswith("mlp_in")
quality["matrix"] = block + np.where(inner, ", input", ", output")
quality[inner].groupby(["model", "matrix"]).agg(
    expected=("expected", "first"),
    fewest=("alive", "min"),
    most=("alive", "max"),
    MMCS=("mmcs", "mean"),
    ML2R=("ml2r", "mean"),
    too_high=("surplus", "max"),
).rename(columns={"too_high": "too high, worst seed"}).round(3)

# %% [markdown]
# In the first block, yes, almost everywhere. Later blocks read the embedding plus what earlier ones wrote, so a component that
# serves both signs cannot lie along either alone; at negative inputs, and in three blocks, other features' components take
# part. Three blocks have one component more in each later block, a *dense component*: half of the features share it.
#
# The last step of our two-block recipe **knows the features**: each takes the component that answers to it, and one
# without gets a fresh one. On a network whose features nobody knows it could not be taken. The [notes](../book/notes.md) say
# what it changed; the loss is nearly indifferent to it.
#
# ## Does a component do what the model does?

# %%
neurons = spd.neuron_contributions(found["MLP, 2 blocks", close])
fit = neurons.groupby("block").apply(
    lambda rows: rows["target"].corr(rows["component"]),
    include_groups=False,
)
print(fit.round(3).to_dict())  # by block

# %% tags=["hide-input"]
large_ones = neurons[neurons["target"].abs().add(neurons["component"].abs()) > 0.004]
charts.figure(
    pictures.contributions(large_ones.assign(block="block " + large_ones["block"].astype(str)).round(4)),
    f"A feature's component passes on what the model does: correlation {fit.min():.3f} or more.",
    "What each neuron passes on from a feature to its own output, in the model and in the one component that answers to "
    f"the feature. Two blocks, seed {close}; neurons that pass on next to nothing in both are left out.",
    holds=bool(fit.min() > 0.9),
)

# %% [markdown]
# It does, in the second block with a little more spread.
#
# ## Do groups come out across blocks?
#
# Group the components as in [chapter 8](08_cross_layer_mechanisms). A component belongs to the feature that, alone, makes it
# most important; a group is exact if it holds all components of one feature and no other.

# %%
seen = studied["MLP, 2 blocks", close][0]  # from mechanisms.profiles_of
groups = mechanisms.SpectralMechanisms().fit(seen)
print(groups.n_clusters_, "groups of", int(seen.alive.sum()), "components")

# %% tags=["hide-input"]
mlps = exact[exact["model"].str.startswith("MLP")]
least = mlps.groupby(["method", "model"])["count"].min()
mine, printed = least["ours"], least["the source's method"]
charts.figure(  # Claims: spd-mlp-2, spd-mlp-3, ours-spd-every-group
    groupings.methods(mlps),
    f"With our clustering at least {mine['MLP, 2 blocks']} of 101 groups come out in two blocks and {mine['MLP, 3 blocks']} of "
    f"103 in three; with the source's {printed['MLP, 2 blocks']} and {printed['MLP, 3 blocks']}.",
    f"A point for each of {len(seeds)} seeds; dashed: all. The source's method groups the whole graph of components, in which "
    "each has up to k = 10 neighbours.",
)

# %% [markdown]
# With our clustering all of them in two blocks, on every seed; in three blocks more triplets than the "over 80" published, and
# never all. What is missing is missing in the decompositions: a dense component was given to one of the features that share it,
# or some block adds next to nothing to the feature, so that there may be nothing to find ([notes](../book/notes.md)). The
# source's method never leaves the output matrices by themselves; ours does, which is less than it looks, since they are grouped
# for being always on.
#
# ## Does removing a group break its feature?
#
# If a group is a mechanism, removing it should break its own feature and little else. Run the model without it, and compare
# with **random sets** of alive components that match it one by one in size and firing frequency. The figure that opens the
# chapter shows all groups; one model takes one call:

# %%
label = "TMS 5-2+ID"
one, (seen, known, labels) = found[label, close], studied[label, close]
x = spd.TARGETS["TMS-5-2-ID"].fresh_samples(CHECKED, seed=2)
own = np.where(known.truth < 5, known.truth, -1)  # not the identity
own = mechanisms.own_features(labels, own)
sizes = [m.U.norm(dim=1) * m.V.norm(dim=1) for m in one.layers.values()]
tested = mechanisms.causal_check(
    mechanisms.damage_of(one, one.net, seen, rest=False),
    x,
    active=(x != 0).numpy(),
    labels=labels,
    own=own,
    norms=torch.cat(sizes).detach().numpy(),
    frequency=seen.frequency,
)
tested.table[["features", "own", "everything", "random"]].round(4)

# %% [markdown]
# A ratio of the two harms means little where random sets do next to nothing, so it is taken only *off the floor*: where they do
# at least a hundredth of what removing everything does, and more than the decomposition's error. Nearly all such groups are of
# TMS 5-2+ID: the ledger's ratio is that model's, and says nothing of the MLPs. *And the other features?*

# %% tags=["hide-input"]
spared = (single["worst"] < 0.1 * single["own"]).groupby(single["model"], sort=False).mean()
charts.figure(
    pictures.harms(single[["model", "seed", "cluster", "own", "worst"]]),
    f"At least {int(100 * spared.min())} % of groups spare every other feature: it suffers less than a tenth of the own one.",
    f"Harm to the own and to the worst-hit other feature, a point for each of {len(single)} groups; dashed: equal.",
    holds=bool(spared.min() > 0.9),
)

# %% [markdown]
# Nearly all groups lie far below the diagonal. The few that do little harm are not exact: a dense component by itself, or a
# part of a feature's components whose main group holds the rest.
#
# ## Would wrong groups pass?
#
# A control that removal alone lacks: in each group the component of the last input matrix (of the decoder) is exchanged for
# that of the next group. And the converse of removal: keep *only* a group and the **large mechanism**, the components that work
# for all features at once (of the output matrices, or the identity). **Survival** is 0 at the error with that alone, 1 at that
# of the whole model.

# %%
for wrong in (False, True):
    table = check("TMS 5-2+ID", close, wrong=wrong)  # see the setup cell
    print("wrong groups" if wrong else "found groups", end=": ")
    print(f"survival {table['survival'].median():.2f}", end=", ")
    print(f"own harm {table['own share'].median():.2f}")

# %% tags=["hide-input"]
medians = both.groupby(["model", "grouping", "seed"], sort=False)[["own share", "survival"]].median()
medians = medians.reset_index()
over = medians.groupby(["model", "grouping"])[["own share", "survival"]].median().unstack()
charts.figure(  # Claims: ours-spd-survival
    pictures.survivals(medians),
    "Wrong groups harm their feature too; keeping a group alone tells them apart in small models, the harm in larger ones.",
    f"Median over groups, a point for each of {len(seeds)} seeds. Left: harm of removing a group, as a share of all possible. "
    "Right: survival of the feature with the group alone.",
    holds=bool(
        over["own share", "one exchanged"].min() > 0.1
        and over.loc[["TMS 5-2+ID", "TMS 40-10"], ("survival", "one exchanged")].max() < 0.1
        and over.loc[["MLP, 2 blocks", "MLP, 3 blocks"], ("own share", "one exchanged")].max() < 0.8
    ),
)

# %% [markdown]
# **More harm than random sets does not show that a group's members belong together**: each wrong group still holds one
# component that the feature cannot do without. Keeping it alone shows it where a feature has one component in each of two
# matrices: wrong groups lose it all. Where other blocks carry most of the work they lose little (in three blocks perhaps less
# than a tenth), and the amount of harm says more.

# %% tags=["hide-cell"]
for label, name in MLPS.items():
    claim, common = name.lower(), {"n": SAMPLES, "data": spd.TARGETS[name]}
    size, exactness = ("two", "exact pairs") if label == "2 blocks" else ("three", "exact triplets")
    counts = dict(list(exact[exact["model"] == f"MLP, {label}"].groupby("method")))
    printed, mine = counts["the source's method"], counts["ours"]
    for case, values in {
        f"the source's method, clusters of {size}": printed["one of each"],
        "the source's method, output mechanism": printed["large"],
        f"clusters of {size}": mine["one of each"],
        exactness: mine["own"],
        "output mechanism": mine["large"],
    }.items():
        ledger.record(f"spd-{claim}", case, range_over_nets(values, seeds=seeds), **common)
    whole = exactly(int((mine["count"] == mine["of"]).sum()), seeds=seeds)
    ledger.record("ours-spd-every-group", label, whole, **common)
    rows = quality[quality["model"] == label]
    for matrix, these in rows[rows["mmcs"].notna()].groupby("matrix"):
        for key, score in (("mmcs", "MMCS"), ("ml2r", "ML2R")):
            interval = over_nets(these[key], seeds=seeds)
            ledger.record(f"spd-quality-{claim}", f"{matrix}, {score}", interval, **common)
    high = range_over_nets(rows.groupby("seed")["surplus"].sum(), seeds=seeds)
    ledger.record(f"spd-quality-{claim}", "importances too high", high, **common)

ratios = (off["own"] / off["random"]).groupby(off["seed"]).median()
# Nearly all are of the smallest model, the one named as the data.
off_floor = over_nets(ratios, seeds=seeds)
ledger.record("spd-causal", "clusters off the floor", off_floor, n=CHECKED, data=spd.TARGETS["TMS-5-2-ID"])
for label, name in MODELS.items():
    common = {"n": CHECKED, "data": spd.TARGETS[name]}
    by_seed = single[single["model"] == label].groupby("seed")
    for harm in ("own", "random"):
        interval = over_nets(by_seed[f"{harm} share"].median())
        ledger.record("spd-causal", f"{harm} harm, {label}", interval, **common)
    floor = range_over_nets(by_seed["floored"].mean())
    ledger.record("spd-causal", f"on the floor, {label}", floor, **common)
    lives = medians[medians["model"] == label].pivot(index="seed", columns="grouping", values="survival")
    better = over_nets(lives["found"] - lives["one exchanged"])
    ledger.record("ours-spd-survival", label, better, **common)
print(ledger.save())

# %% [markdown]
# ## Verdicts
#
# **Holds.** Pairs across two blocks, with our clustering on every seed (with the source's: undecided), in a decomposition whose
# last step knows the features; over 80 triplets across three. Removing a found group does nearly all possible harm to its
# feature, random sets hardly any. That does not show the group to be right, since wrong ones harm it, too; keeping it alone
# does, in three models of four. The ratio of `spd-causal` is that of TMS 5-2+ID, not of the MLPs.
#
# **Does not.** The output matrices as one cluster, with ten neighbours. Importances that are the identity, in three blocks (in
# two: undecided). All groups of three blocks, on any seed.
#
# **Why.** Part of the ground truth is not there, part is optimisation: two features that share a component are a local
# optimum, and one component that half of the features share comes back whenever it is removed.
#
# **Corrected on 27 November 2026.** Until then the ratio of harms was divided by its floor nearly everywhere, and the tenfold
# ascribed to the source; verdicts rested on our clustering alone; and the ledger did not say that the last step, the rule for
# ties and the source's count are younger than the first scores. In full, with what was tried and the five places in which the
# source describes its result: [notes](../book/notes.md).

# %% tags=["hide-input"]
ledger.verdicts()

# %% [markdown]
# ## Exercises
#
# 1. Remove a pair from the two-block model by hand. What is left of its feature's output?
# 2. Decompose the two-block model yourself, with a hundredth of the steps. How many components are dropped?

# %% tags=["hide-cell"]
# 1. The input itself: x + ReLU(x) loses its second term.
one = found["MLP, 2 blocks", close]
_, known, _ = studied["MLP, 2 blocks", close]
kept = torch.as_tensor(known.truth != 0).float().split([len(m) for m in one.layers.values()])
x = torch.zeros(3, 100)
x[:, 0] = torch.tensor([-0.75, 0.25, 0.75])
without = one.masked(x, dict(zip(one.layers, kept, strict=True)))
for given, whole, rest in zip(x[:, 0], one.net(x)[:, 0], without[:, 0], strict=True):
    print(f"x = {given:.2f}: {whole:.2f}, without the pair {rest:.2f}")

# %% tags=["hide-cell", "nbval-ignore-output"]
# 2. Compare with the one component per feature and block that all steps bring.
recipe = spd.OURS["MLP-2"]
stages = [each.replace(steps=max(each.steps // 100, 5)) for each in recipe.stages if not each.reassign]
recipe = recipe.replace(stages=[each.to_dict() for each in stages])
print(spd.decompose(zoo.toy_model("MLP-2", seed), recipe, seed, device=device).decomposition)
