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
# # Which components work together?
#
# A decomposition takes each matrix apart by itself. Mechanisms do not stop at a matrix: what reads a feature in one
# layer and what writes it in another belong together. Seshadri et al. {cite}`seshadri2025cross` propose to find out by
# **correlation**: components that matter on the same inputs serve the same mechanism. They build a graph of nearest
# neighbours from the correlations of importances and cut it by spectral clustering.
#
# On toy models the right answer is known, so the proposal can be scored group by group. This chapter does that on
# four models and five seeds of each, with the decompositions of [chapter 7](07_parameter_decomposition) and
# [chapter 9](09_residual_mlp_circuits), and compares the proposal with simpler ones. In short:
#
# - The idea holds on good decompositions: **every** mechanism of both toy models of superposition and of the residual MLP with
#   two blocks comes out on every seed, the identity included, and 96 to 101 of 103 in three blocks. (The two-block
#   decompositions were made with a step that knows the features.)
# - **The method hardly matters, the preparation does.** Spectral clustering, HDBSCAN, average linkage and a threshold that
#   held-out samples choose are level to within two groups, once always-on components are set apart and the number of
#   neighbours is not fixed at ten.
# - As printed, with k = 10, the proposal finds the 40 pairs of the larger model, misses all six mechanisms of the small one,
#   and splits the group of 50. With k = 2 and the same preparation it finds what the others find, or up to two groups less.
# - A few things in the source's text do not fit together; we tried them where they can be tried.

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
seed = 0  # of the decomposition that is looked at closely (the zoo has 0 to 4), and of the live one
quick = False  # two seeds, fewer samples, for a look

# %% tags=["hide-input"]
import numpy as np
import pandas as pd

from pictures import mechanisms as pictures
from splinelab import charts, claims, mechanisms, spd, zoo
from splinelab.intervals import Interval, range_over_nets

charts.use()
committed = seed == 0 and not quick
ledger = claims.Notebook("08_cross_layer_mechanisms", committed=committed)
seeds = range(2) if quick else range(5)
close = seed if seed in seeds else 0
SAMPLES = 5_000 if quick else 20_000
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
# ## Step 1: profiles and their correlation
#
# The **profile** of a component is its importance on each of many samples. Here is the toy model with an identity
# between encoder and decoder, five features in two units; twelve components are alive. We take 20,000 samples, not
# the source's 1,000, for a reason that comes below.

# %%
decomposition = zoo.decomposition("TMS-5-2-ID", close)
target = spd.TARGETS["TMS-5-2-ID"]
profiles = mechanisms.profiles_of(decomposition, target.fresh_samples(SAMPLES).split(5_000))
profiles

# %% [markdown]
# Two of them are always on: the identity's. A profile that never varies has no correlation with anything, and the
# formula divides by zero. Being on for every input is what they have in common, so we set them apart as a mechanism of
# their own before anything is correlated. The source does not say what it does with such components.
#
# *Do the others pair up?* Every row and column is a component, ordered by matrix and by the feature that it answers to.


# %% tags=["hide-input"]
def named(
    found: spd.Decomposition, name: str, seen: mechanisms.Profiles
) -> tuple[mechanisms.Known, list[str], np.ndarray]:
    """What is known, names by matrix and feature, and the positions in that order, of components that vary."""
    known = mechanisms.known_mechanisms(found, spd.TARGETS[name])
    parts = {"linear1": "encoder", "linear2": "decoder"}
    names = [
        f"{parts.get(layer, layer)} {truth}" for layer, truth in zip(seen.layers, known.truth, strict=True)
    ]
    names = [text if names[:place].count(text) == 0 else f"{text}'" for place, text in enumerate(names)]
    layers = list(dict.fromkeys(seen.layers))
    places = sorted(seen.varying, key=lambda p: (layers.index(seen.layers[p]), known.truth[p]))
    return known, names, np.array(places)


def correlations_table(
    seen: mechanisms.Profiles, names: list[str], places: np.ndarray, least: float = 0.0
) -> pd.DataFrame:
    found = mechanisms.correlation(seen.values[:, places])
    rows, columns = np.nonzero(np.abs(found) >= least)
    label = np.array(names)[places]
    return pd.DataFrame(
        {"first": label[rows], "second": label[columns], "correlation": found[rows, columns].round(3)}
    )


known, names, places = named(decomposition, "TMS-5-2-ID", profiles)
pictures.correlation_map(
    correlations_table(profiles, names, places), [names[place] for place in places], "TMS 5-2+ID"
)

# %% [markdown]
# Yes. The cells beside the diagonal are the five pairs, at .7. They are not 1, because a decoder component also
# matters for two neighbouring features, as [chapter 7](07_parameter_decomposition) found; that is the paler pattern
# within the decoder. *And with forty features?*

# %% tags=["hide-input"]
forty = zoo.decomposition("TMS-40-10", close)
forty_profiles = mechanisms.profiles_of(forty, spd.TARGETS["TMS-40-10"].fresh_samples(SAMPLES).split(5_000))
forty_known, forty_names, forty_places = named(forty, "TMS-40-10", forty_profiles)
pictures.correlation_map(
    correlations_table(forty_profiles, forty_names, forty_places, least=0.05),
    [forty_names[place] for place in forty_places],
    "TMS 40-10",
)

# %% [markdown]
# Forty pairs over a faint background. The source reports correlations of .995 to .998 for such pairs. *Why are ours lower?*


# %% tags=["hide-input"]
def pair_correlations(batches) -> np.ndarray:
    """Of each encoder component with the decoder component of the same feature."""
    rho = mechanisms.correlation(mechanisms.profiles_of(forty, batches).values)
    side = forty_profiles.layers == "linear1"
    return np.array(
        [rho[(forty_known.truth == f) & side][:, (forty_known.truth == f) & ~side].max() for f in range(40)]
    )


lone = np.zeros((8_000, 40), np.float32)
lone[np.arange(8_000), np.repeat(np.arange(40), 200)] = np.random.default_rng(0).uniform(size=8_000)
lone = spd.one_hot(40).new_tensor(lone)
for said, batches in (
    ("features on at random", spd.TARGETS["TMS-40-10"].fresh_samples(SAMPLES).split(5_000)),
    ("one feature at a time", [lone]),
):
    print(f"{said}: median {np.median(pair_correlations(batches)):.2f}")
often = forty_profiles.frequency
for matrix, label in (("linear1", "encoder"), ("linear2", "decoder")):
    print(
        f"{label} components are on in {often[forty_profiles.layers == matrix].mean():.1%} of samples, features in 5 %"
    )

# %% [markdown]
# It is the inputs. With one feature at a time, as the source describes its samples, the pairs come close to 1. With several on at
# once a decoder component is also needed to undo what other features leave in its output, and fires twice as often
# as its feature. Such samples are what the model was trained on, so we keep them.
#
# ## Step 2: how large a correlation means something?
#
# Profiles of sparse features are mostly zeros, and two that share nothing can agree by chance. Shuffle every profile by
# itself and look for the largest correlation that is left: that is the **permutation null**. *How does it depend on the
# number of samples?*

# %% tags=["hide-input"]
mlp = zoo.decomposition("MLP-2", close)
mlp_x = spd.TARGETS["MLP-2"].fresh_samples(20_000)
nulls = {}
for count in (128, 1_000, 5_000, 20_000):
    for name, found in (("TMS 40-10", forty), ("MLP, 2 blocks", mlp)):
        x = spd.TARGETS[MODELS[name]].fresh_samples(count)
        few = mechanisms.profiles_of(found, x.split(5_000))
        nulls[name, count] = mechanisms.permutation_null(few, draws=20, seed=0)
pd.DataFrame(
    {
        name: {
            f"{count:,} samples": f"{np.quantile(nulls[name, count], 0.95):.2f}"
            for count in (128, 1_000, 5_000, 20_000)
        }
        for name in ("TMS 40-10", "MLP, 2 blocks")
    }
)

# %% [markdown]
# With 128 samples chance alone reaches .6 to 1: two rare features need only coincide once. With the source's 1,000 it
# it is still close to .5 where features are on in one sample of a hundred. With 20,000 it is .05. What lies above that is no chance; whether it is a
# mechanism is another question, since components may share inputs without sharing work.
#
# Above the null, held-out samples decide: a threshold is good if both halves of the samples give the same groups, and
# safest in the middle of the widest range where they do (`mechanisms.choose_threshold`). We scored all methods with the
# plain rule, the larger of the null and .5, which was fixed on other seeds; here is what the longer rule would choose.

# %% tags=["hide-input"]
for label, seen in (("TMS 5-2+ID", profiles), ("TMS 40-10", forty_profiles)):
    choice = mechanisms.choose_threshold(seen)
    low, high = choice.plateau
    print(
        f"{label}: groups are the same from {low:.2f} to {high:.2f}; chosen {choice.threshold:.2f}, fixed rule {choice.fixed:.2f}"
    )

# %% [markdown]
# Each of the two has a range in which nothing changes. For the small one it is narrow and begins just above .5, so the fixed
# rule is a close call there: decoder components of neighbouring features are correlated at about that level. The methods below are
# therefore shown with both.
#
# ## Step 3: a graph, and groups
#
# Every component chooses its *k* nearest neighbours, an edge stands where two chose each other. *What do k and the
# threshold do?* The outer ring holds the encoder's components, the inner one the decoder's, in the order of
# features; the identity's two are in the middle. Choose k, move the threshold, and watch groups merge and split.

# %% tags=["hide-input"]
KS = ["adaptive", "1", "2", "4", "10"]
THRESHOLDS = [round(0.1 * step, 1) for step in range(10)]
radius = {"linear1": 1.0, "linear2": 0.55, "hidden.0": 0.12}
angle = 2 * np.pi * known.truth / target.features
spin = np.array(
    [np.pi * profiles.layers[:place].tolist().count("hidden.0") for place in range(profiles.components)]
)
angle = np.where(profiles.layers == "hidden.0", spin, angle)
x = np.array([radius[layer] for layer in profiles.layers]) * np.cos(angle)
y = np.array([radius[layer] for layer in profiles.layers]) * np.sin(angle)
nodes, edges, counts = [], [], []
for k in KS:
    for threshold in THRESHOLDS:
        tried = mechanisms.SpectralMechanisms(k if k == "adaptive" else int(k), threshold=threshold).fit(
            profiles
        )
        result = mechanisms.exact_groups(tried.labels_, known.truth, profiles.layers, known.expected)
        exact = result.table.set_index("mechanism")["exact"]
        for place in range(profiles.components):
            nodes.append(
                (
                    k,
                    threshold,
                    names[place],
                    x[place].round(3),
                    y[place].round(3),
                    int(tried.labels_[place]),
                    int(exact[known.truth[place]]),
                )
            )
        for one, other in zip(*tried.graph_.weights.nonzero(), strict=True):
            if one < other:
                a, b = tried.nodes_[one], tried.nodes_[other]
                edges.append(
                    (k, threshold, *x[[a]].round(3), *y[[a]].round(3), *x[[b]].round(3), *y[[b]].round(3))
                )
        counts.append(
            (
                k,
                threshold,
                f"{tried.graph_.edges} edges, {tried.n_clusters_} groups, {result.exact} of {result.of} exact",
            )
        )
pictures.regrouping(
    pd.DataFrame(nodes, columns=["k", "threshold", "component", "x", "y", "cluster", "exact"]),
    pd.DataFrame(edges, columns=["k", "threshold", "x", "y", "x2", "y2"]),
    pd.DataFrame(counts, columns=["k", "threshold", "said"]),
)

# %% [markdown]
# With an adaptive k, or any up to 4, the five pairs and the identity are right for every threshold up to .7; above
# that the pairs fall apart, since their own correlation is .7. With k = 10, the source's choice, every component may choose
# every other: k decides nothing, everything merges, and only a threshold of .4 or more brings the pairs out.
#
# ## Step 4: the eigengap
#
# The source takes the number of clusters K from the spectrum of the graph's Laplacian: the largest gap between
# consecutive eigenvalues. *Is there one?*

# %% tags=["hide-input"]
studied = {}
for label, name in MODELS.items():
    for s in seeds:
        found = zoo.decomposition(name, s)
        seen = mechanisms.profiles_of(found, spd.TARGETS[name].fresh_samples(SAMPLES).split(5_000))
        studied[label, s] = seen, mechanisms.known_mechanisms(found, spd.TARGETS[name])
rows = []
for label in MODELS:
    fitted = mechanisms.SpectralMechanisms().fit(studied[label, 0][0])
    rows += [
        {"graph": label, "rank": rank, "eigenvalue": round(value, 4), "k": fitted.gap_.k}
        for rank, value in enumerate(fitted.eigenvalues_.tolist(), 1)
    ]
pictures.spectrum(pd.DataFrame(rows))

# %% [markdown]
# In a graph of separate pairs the eigenvalue 0 appears once per connected part, isolated nodes included, and the gap after it
# is as clear as a gap can be. It says how many parts there are, which counting the parts says as well. The large group of
# the residual MLPs was set apart before and is not among them, so the right number there is 100 and 102; whatever
# lies above is surplus. A right K is no proof of right groups either: two features that exchange components leave it as
# it is.
#
# ## Methods side by side
#
# Eleven ways to group the same components, on four models and five seeds: our spectral method (adaptive k, threshold .5,
# inside each connected part), HDBSCAN {cite}`campello2013hdbscan` on $1 - \rho$, average linkage cut at .5, connected
# components of $\rho > .5$ and of $\rho$ above the threshold that held-out samples choose for each model. Then the source's
# method with its k = 10, on the whole graph (Algorithm 1) and on the largest part (section 4). A third reading, part by
# part, it describes for its language model only, with k = 4; we run it with both k. What its appendix A allows, to merge
# and split clusters by hand afterwards, we leave out. (Until 2026-11-27 this chapter called all three readings of the same
# text, and the verdicts on the two toy models of superposition rested on other methods than the source's.)
#
# Two things would make this unfair. Our methods set always-on components apart, which is a piece of preparation, not of
# clustering; and k = 10 was meant for 36 components, where our decomposition has 12. So the source's method is run once more
# with k = 2 and the same preparation, on the whole graph and part by part. One liberty is ours throughout: K is at most half of the nodes. The
# source caps K for its language model only.
#
# The score is strict. A mechanism counts if all its alive components are in one group, nothing else is, and every
# matrix has at least one. *How many come out exactly?*

# %% tags=["hide-input"]
thresholds = {key: mechanisms.choose_threshold(seen).threshold for key, (seen, _) in studied.items()}
METHODS = {
    "spectral, adaptive k": lambda t: mechanisms.SpectralMechanisms(),
    "HDBSCAN": lambda t: mechanisms.HdbscanMechanisms(),
    "average linkage": lambda t: mechanisms.AverageLinkage(),
    "ρ > .5": lambda t: mechanisms.ThresholdComponents(),
    "ρ > t, held-out": lambda t: mechanisms.ThresholdComponents(t),
    "source, whole graph": lambda t: mechanisms.PaperSpectral(10, reading="algorithm"),
    "source, largest part": lambda t: mechanisms.PaperSpectral(10, reading="largest"),
    "source, part by part": lambda t: mechanisms.PaperSpectral(10, reading="parts"),
    "part by part, k = 4": lambda t: mechanisms.PaperSpectral(4, reading="parts"),
    "whole graph, k = 2, apart": lambda t: mechanisms.PaperSpectral(2, reading="algorithm", sets_apart=True),
    "part by part, k = 2, apart": lambda t: mechanisms.PaperSpectral(2, reading="parts", sets_apart=True),
}
rows = []
for (label, s), (seen, truth) in studied.items():
    for method, make in METHODS.items():
        labels = make(thresholds[label, s]).fit(seen).labels_
        result = mechanisms.exact_groups(labels, truth.truth, seen.layers, truth.expected)
        agreement = mechanisms.mechanism_ari(labels, truth.truth)
        rows.append(
            {
                "model": label,
                "method": method,
                "seed": s,
                "exact": result.exact,
                "of": result.of,
                "clusters": len(np.unique(labels[labels >= 0])),
                "ARI": agreement,
            }
        )
scores = pd.DataFrame(rows)
pictures.methods(scores)

# %% tags=["hide-input"]
scores.groupby(["method", "model"], sort=False)["exact"].agg(
    lambda found: " ".join(map(str, found))
).unstack()[list(MODELS)]

# %% [markdown]
# On these decompositions the choice of method hardly matters. Ours, HDBSCAN and average linkage agree to within a group;
# a plain threshold does nearly as well if held-out samples choose it, and fails on the small model at .5, where neighbours are
# correlated at that level.
#
# What matters is what is done before. With k = 10 as printed, the source's method finds nothing in the small model, where
# ten neighbours are nearly all there are, all 40 pairs of the larger one, and up to 13 groups fewer than the others
# elsewhere. With k = 4, part by part, it finds one to five of the six. The largest-part reading
# fails wherever the graph falls into many parts, because all other parts are handed out to the clusters of one. With k = 2
# and always-on components apart, its other two readings are level with the rest, but for two groups in three blocks: **what
# looked like a weakness of spectral clustering is one of its preparation**. What no method finds lies in the decompositions;
# [chapter 9](09_residual_mlp_circuits) looks at those.
#
# ## What the source leaves open, tried out
#
# A few things in the source's text do not fit together. None decides over its idea, but each changes what a reader would
# implement, so we tried them.
#
# **k = 10 and a group of 50.** In the two-block model 50 output components should form one group. With mutual nearest
# neighbours and k = 10 nobody has more than ten edges, and a large group need not hold together. *Over how many groups are
# the 50 spread?*

# %% tags=["hide-input"]
spread = {}
for s in seeds:
    seen, truth = studied["MLP, 2 blocks", s]
    outputs = truth.truth == spd.TARGETS["MLP-2"].features
    for method in METHODS:
        labels = METHODS[method](thresholds["MLP, 2 blocks", s]).fit(seen).labels_
        spread[method, s] = len(np.unique(labels[outputs & (labels >= 0)]))
pd.Series(
    {method: " ".join(str(spread[method, s]) for s in seeds) for method in METHODS},
    name="groups that hold the 50",
).to_frame()

# %% [markdown]
# With k = 10 the fifty fall into several groups on every seed: nobody may have more than ten edges. (The source may have
# merged its own by hand.) Set apart as always on, they are one group by definition, whatever the method.
#
# **Which thousand rows?** The toy model's validation set is described as blocks of 200 rows for each feature in turn,
# and 1,000 samples are used. Which, the text does not say (until 2026-11-27 this chapter put the first 1,000 into its mouth);
# its public script takes the first, which cover five features of 40. *Does it matter?* The source's method, on the whole graph:

# %% tags=["hide-input"]
rows_found = []
for s in seeds:
    found, truth = zoo.decomposition("TMS-40-10", s), studied["TMS 40-10", s][1]
    generator = np.random.default_rng(s)
    blocks = np.zeros((40 * 200, 40), np.float32)
    blocks[np.arange(8_000), np.repeat(np.arange(40), 200)] = generator.uniform(size=8_000)
    whole = lone.new_tensor(blocks)
    line = {}
    for said, chosen in (
        ("1,000 rows at random", whole[generator.permutation(8_000)[:1_000]]),
        ("first 1,000 rows", whole[:1_000]),
    ):
        seen = mechanisms.profiles_of(found, [chosen])
        labels = mechanisms.PaperSpectral(10, reading="algorithm").fit(seen).labels_
        line[said] = mechanisms.exact_groups(labels, truth.truth, seen.layers, truth.expected).exact
    rows_found.append(line)
rows_found = pd.DataFrame(rows_found, index=pd.Index(seeds, name="seed"))
rows_found

# %% [markdown]
# A thousand rows at random are enough for this model. In the first thousand the components of the other 35 features are
# never on, so their pairs cannot be found. We do not know which rows the published 40 of 40 came from; a reader who follows
# the code should take the first kind.
#
# **Alive at .05, .1 or .2.** One appendix calls a component alive above .05; another takes .1, and .2 for the two-block model,
# where importances are "moderate rather than binary", while in the toy models of superposition a component is either nearly
# always inactive or clearly active, above .5. The zoo keeps what is alive above .1, so nothing can be said of .05 here.

# %% tags=["hide-input"]
alive = pd.DataFrame(
    {
        label: {
            f"τ = {tau}": " ".join(str(int((studied[label, s][0].peak > tau).sum())) for s in seeds)
            for tau in (0.1, 0.2, 0.5)
        }
        for label in MODELS
    }
)
alive

# %% [markdown]
# In the toy models of superposition it is as the source says: a component is either off or clearly on. But so it is in
# both residual MLPs, where .2, or even .5, filters nothing. Our recipe drops components of small importance between its
# stages, which the source's does not, so that a trade-off may well be there in its decompositions. (Until 2026-11-27 this
# chapter had the source say that the threshold makes no difference; it says that it controls the trade-off between keeping
# relevant components and filtering noise.)
#
# **97 or 100.** The two-block model has "97 of 100 ground-truth feature mechanisms as size-2 clusters" in one place and "100 pair clusters" in
# another. [Chapter 9](09_residual_mlp_circuits) puts the counts side by side. Nothing of ours can settle it; the ledger lists it
# as not tested.
#
# **Where is the identity?** In TMS 5-2+ID the source finds five clusters; "the identity functionality is distributed across
# all 5 clusters". Its table of these clusters has two columns, for layers 1 and 2, whose entries add up to all 36 components. Components
# of a third matrix, the identity, would have to be among them, and the table does not say where.
#
# ## Try it on an unfinished decomposition
#
# Finished decompositions are easy to cluster. This one is made now, with a fifth of the steps and one start.

# %% tags=["nbval-ignore-output"]
recipe = spd.OURS["TMS-40-10"].replace(starts=1)
recipe = recipe.replace(
    stages=[stage.replace(steps=stage.steps // (50 if quick else 5)).to_dict() for stage in recipe.stages]
)
rough = spd.decompose(zoo.toy_model("TMS-40-10", seed), recipe, seed).decomposition  # live, about 20 seconds
seen = mechanisms.profiles_of(rough, spd.TARGETS["TMS-40-10"].fresh_samples(SAMPLES).split(5_000))
truth = mechanisms.known_mechanisms(rough, spd.TARGETS["TMS-40-10"])
chosen = mechanisms.choose_threshold(seen).threshold
pd.Series(
    {
        method: mechanisms.exact_groups(
            make(chosen).fit(seen).labels_, truth.truth, seen.layers, truth.expected
        ).exact
        for method, make in METHODS.items()
    },
    name=f"exact of 40; {int(seen.alive.sum())} alive",
).to_frame()

# %% [markdown]
# More components are alive than there should be, and some features' parts are spread over several, so that every method
# loses groups. The readings with k = 10 are a gamble here: they found about as many as the others on one processor and next
# to none on another, since a weak correlation more or less decides whether everything hangs together with everything.
#
# ## Enter the measurements


# %% tags=["hide-input"]
def enter(claim: str, case: str, counts: list[int], label: str, n: int = SAMPLES) -> None:
    """Record a count over the nets of a model: the median, and its range."""
    found = range_over_nets(counts, seeds=seeds)
    ledger.record(claim, case, found, n=n, data=spd.TARGETS[MODELS[label]])


def count_of(label: str, method: str, count: str = "exact") -> list[int]:
    return scores.loc[(scores["model"] == label) & (scores["method"] == method), count].tolist()


for claim, label in (("spd-tms-5-2-id", "TMS 5-2+ID"), ("spd-tms-40-10", "TMS 40-10")):
    for method in ("spectral, adaptive k", "HDBSCAN", "average linkage"):
        enter(claim, method, count_of(label, method), label)
printed = "source, whole graph"
enter("spd-tms-5-2-id", "the source's method", count_of("TMS 5-2+ID", printed), "TMS 5-2+ID")
clusters = count_of("TMS 5-2+ID", printed, "clusters")
enter("spd-tms-5-2-id", "the source's method, clusters", clusters, "TMS 5-2+ID")
at_random = rows_found["1,000 rows at random"].tolist()
enter("spd-tms-40-10", "the source's method, one feature at a time", at_random, "TMS 40-10", n=1_000)
together = count_of("TMS 40-10", printed)
enter("spd-tms-40-10", "the source's method, features at random", together, "TMS 40-10")
for label in ("TMS 40-10", "TMS 5-2+ID", "MLP, 2 blocks"):
    for reading in ("whole graph", "largest part", "part by part"):
        enter("spd-three-readings", f"{label}, {reading}", count_of(label, f"source, {reading}"), label)
    four = count_of(label, "part by part, k = 4")
    enter("spd-three-readings", f"{label}, part by part, k = 4", four, label)
for reading in ("whole graph", "largest part", "part by part"):
    enter("spd-k-10-clique", reading, [spread[f"source, {reading}", s] for s in seeds], "MLP, 2 blocks")
for said in rows_found:
    enter("spd-validation-rows", said, rows_found[said].tolist(), "TMS 40-10", n=1_000)
for label in ("TMS 40-10", "TMS 5-2+ID"):
    for reading in ("whole graph", "part by part"):
        found = count_of(label, f"{reading}, k = 2, apart")
        enter("ours-spd-prepared", f"{label}, {reading}", found, label)
for label in MODELS:
    # Residual MLPs: alive at the lower threshold only. Toy models of superposition: neither off nor clearly on.
    least = 0.2 if label.startswith("MLP") else 0.5
    peaks = [studied[label, s][0].peak for s in seeds]
    enter(
        "spd-alive-threshold", label, [int(((peak > 0.1) & (peak <= least)).sum()) for peak in peaks], label
    )
for count in (128, 1_000, 20_000):
    drawn = nulls["MLP, 2 blocks", count]
    shuffles = f"median and range of {len(drawn)} shuffles"
    found = Interval(
        float(np.median(drawn)), drawn.min(), drawn.max(), "range", count, (seed,), shuffles, None
    )
    ledger.record("ours-spd-null", f"{count:,} samples", found, data=spd.TARGETS["MLP-2"])
print(ledger.save())

# %% [markdown]
# ## What reproduces, what does not, and why
#
# **Reproduces.** Components that matter on the same inputs do serve the same mechanism in these models: 40 of 40 pairs, by the
# source's method as by every other, on its kind of samples and on ours.
#
# **Does not.** The method as printed, where ten neighbours are nearly all of twelve components, or fewer than a group of 50
# needs. The source says itself that it did not isolate the identity of the small model; its method finds none of the six
# mechanisms on our decompositions, where most other methods find all. Which of its descriptions one follows decides over
# everything on the residual MLPs. The first thousand rows of the validation set cannot hold 40 pairs. And no threshold on
# importance filters anything in our residual MLPs.
#
# **Why.** Importances, not clustering, are the hard part. Where the decomposition is right, correlations of .6 to 1 stand
# against a null of .05, and any sensible rule finds the groups. Where it is not finished, no rule does.
#
# **Ours.** With features as rare as one in a hundred, a thousand samples leave chance correlations of nearly .5; take more.

# %% tags=["hide-input"]
ledger.table()

# %% [markdown]
# ## Exercises
#
# 1. In the ring picture, set k to 10 and raise the threshold from 0. At which value do the groups become right, and does
#    `choose_threshold` agree?
# 2. Shift one profile by one sample (`np.roll`). What happens to its correlations, and why is that a fair null?
# 3. Group the components of your own decomposition: `mechanisms.profiles_of`, then `SpectralMechanisms().fit`. How many
#    groups span more than one layer (`mechanisms.layer_span`)?
