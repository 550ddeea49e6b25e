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
# # Appendix: what belongs to MNIST?
#
# Chapters [1](01_spline_vs_activation_distances) and [2](02_grokking_clusters) look at one data set. Here one
# function measures their headline quantities again, on scikit-learn's digits {cite}`alpaydin1998digits` (other
# writers, coarser images, fewer of them, smaller nets trained by the same kinds of recipe) and on as many images of
# MNIST. The lead of codes over linear outputs, in distances and in clusters, belongs to MNIST; the reversal under
# cross-entropy and the gap on training images carry over.

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
dataset = "digits"  # or "fashion-train": downloaded once, and its nets trained once, in some tens of minutes
seed = 0  # the first of five
quick = False  # two seeds, fewer arms and nets of few steps, for a look

# %% tags=["hide-cell"]
import numpy as np
import pandas as pd
import torch

from pictures.dots import interval_dots
from pictures.tables import histories
from pictures.training import training_curves
from splinelab import SplineCodes, charts, claims, clustering, data, headlines, protocol, record, zoo
from splinelab.distances import pairwise, separability
from splinelab.nets import mlp

charts.use()
ARMS = ["GA-mse", "G", "N-mse", "GA-ce", "GCE", "N-ce", "U"]
TRAINED = ["GA-mse", "N-mse", "N-ce", "U"] if quick else ARMS
BESIDE = [arm for arm in ["GA-mse", "G", "N-mse", "GA-ce", "N-ce"] if arm in TRAINED]
seeds = range(seed, seed + (2 if quick else 5))
shipped = {arm: zoo.name_on(arm, dataset) for arm in ARMS if zoo.name_on(arm, dataset)}
in_zoo = len(shipped) == len(ARMS) and all(s in zoo.seeds(name) for name in shipped.values() for s in seeds)
committed = dataset == "digits" and seed == 0 and not quick
ledger = claims.Notebook("A2_second_data_set", committed=committed)
if not in_zoo:
    print(
        f"The zoo has no such nets on {dataset}: {'a few steps each' if quick else 'trained in full, once'}."
    )

n = len(data.protocol_split(data.digits()).train)  # as many images of each kind as digits has for training
parts = protocol.evaluation_images(data.load(dataset), n)
resamples = 40 if quick else 100
ks = range(2, 15) if quick else range(2, 21)
scanned = {"GA-mse": ["codes", "linear"], "G": ["codes", "linear"], "N-mse": ["codes"], "N-ce": ["codes"]}
table = headlines.measure(
    {
        arm: [zoo.load_on(arm, dataset, s, steps=protocol.SMALL_BUDGET if quick else None) for s in seeds]
        for arm in [*TRAINED, "untrained"]
    },
    parts,
    elbows=scanned | {"random bits": ["codes"]},
    ks=ks,
    resamples=resamples,
)
mnist = headlines.measure(
    {arm: [zoo.load_on(arm, "mnist5k", s) for s in range(len(seeds))] for arm in BESIDE},
    protocol.evaluation_images(data.mnist5k(), n),
    elbows={"GA-mse": ["codes"]},
    ks=ks,
    resamples=resamples,
)
both = pd.concat([table.assign(data=dataset), mnist.assign(data="MNIST")], ignore_index=True)


def named(arm: str) -> str:
    """An arm, or a difference of two, in words."""
    one, minus, other = arm.partition(" − ")
    words = protocol.in_words(one) if one in protocol.ARMS else one
    return f"{words}, minus {protocol.in_words(other)}" if minus else words


def find(quantity: str, arms=BESIDE, images=("training", "held-out"), where=(dataset, "MNIST")) -> dict:
    """Intervals of one quantity, by (arm, images, data)."""
    rows = both[(both["quantity"] == quantity) & both["arm"].isin(arms) & both["data"].isin(where)]
    return {
        (row.arm, row.images, row.data): row.interval
        for images_here in images
        for row in rows[rows["images"] == images_here].itertuples()
    }


def drawn(found: dict, axis: str, width: int = 180):
    """A panel for each data set, a colour for each kind of images."""
    return interval_dots(
        {(named(arm), *rest): each for (arm, *rest), each in found.items()}, axis, width=width
    )


def above(found: dict, where: str, images: str = "held-out") -> int:
    """In how many arms the whole interval lies above zero."""
    return sum(each.low > 0 for (_, i, d), each in found.items() if (i, d) == (images, where))


CAPTION = (
    f"95 % intervals over images and {len(seeds)} nets; {n} images of each kind. MSE is mean squared error."
)

# %% tags=["hide-input"]
leads = find("ROC-AUC, Jaccard − cosine linear")
charts.figure(
    drawn(leads, "lead of codes over linear outputs, ROC-AUC"),
    f"On held-out images codes lead linear outputs in {above(leads, 'MNIST')} of {len(BESIDE)} kinds of net on MNIST, and "
    f"in {above(leads, dataset)} on {dataset}.",
    f"ROC-AUC of Jaccard distance on codes minus that of cosine distance on linear outputs. {CAPTION}",
)

# %% [markdown]
# ## One function, one table
#
# `headlines.measure` takes nets by name and images by part, and returns one row for each quantity, with its interval.
# It takes nets of your own as well:

# %%
nets = {"mine": [zoo.load_on("N-mse", "digits", s) for s in (0, 1)]}
few = protocol.evaluation_images(data.digits(), 100)
mine = headlines.measure(nets, few, resamples=20)
for row in mine[mine["quantity"].str.contains("Jaccard −")].itertuples():
    print(f"{row.quantity}, {row.images}: {row.interval:+.3f}")

# %% [markdown]
# "Belongs to MNIST" is short for much: the digits differ in their pixels, in the number of training images and in the
# width of their nets at once, and this appendix does not take the three apart.
#
# ## Do the nets learn as their namesakes do?
#
# The recipes were chosen by these curves alone, before anything else was measured: the *delayed* net must know its
# training images long before it can do anything with others, the *undercooked* one must never get there.

# %%
card = zoo.card("digits-G", seed=0)
learnt = pd.DataFrame(card["history"])
learnt = learnt[learnt["train_accuracy"] >= 0.9]["step"].min()
print(f"90 % of the training images known at step {learnt}")
print(f"held-out at the end: {card['metrics']['heldout_accuracy']:.3f}")

# %% tags=["hide-input"]
told = {named(arm): shipped.get(arm, arm) for arm in ["G", "GA-mse", "U"]}  # MNIST's where digits has none
curves = histories(told)
first = curves[curves["value"] > 0.9].groupby(["net", "seed", "quantity"])["step"].min().unstack()
wait = (first["held-out"] / first["training"]).groupby("net").median()
charts.figure(
    training_curves(curves),
    f"The delayed net passes 90 % on held-out images {wait[named('G')]:.1f} times later than on its training images, the "
    f"long-trained net {wait[named('GA-mse')]:.1f} times, the undercooked net never.",
    "Accuracies, and the norm of all weights, against the training step (logarithmic); one line for each of five nets.",
    holds=bool(np.isnan(wait[named("U")])),
)

# %% [markdown]
# ## Do codes separate classes better than activations?
#
# The figure at the top answers for linear outputs: on digits the wide lead is gone, and the reversal under
# cross-entropy is there on both data sets. Chapter 1's stronger baseline is cosine distance after the ReLU. Does the
# tie survive?

# %%
labels = few["held-out"].labels
recording = record(zoo.load_on("GA-mse", "digits", 0), few["held-out"])
codes = pairwise(recording.codes, metric="jaccard")
post = pairwise(recording.stack("post"), metric="cosine")
for name, far in {"codes": codes, "post-ReLU": post}.items():
    print(f"{name}: ROC-AUC {separability(far, labels).auc:.3f}")

# %% tags=["hide-input"]
ties = find("ROC-AUC, Jaccard − cosine post-ReLU")
charts.figure(
    drawn(ties, "lead of codes over post-ReLU activations, ROC-AUC"),
    f"Codes lead post-ReLU activations on held-out images in {above(ties, dataset)} of {len(BESIDE)} kinds of net on "
    f"{dataset} and in {above(ties, 'MNIST')} on MNIST.",
    f"ROC-AUC of Jaccard distance on codes minus that of cosine distance on post-ReLU activations. {CAPTION}",
)

# %% [markdown]
# Post-ReLU activations are ahead of codes on digits, by little with mean squared error and by much with
# cross-entropy.
#
# ## Is there a gap, and on which images?
#
# The gap is the 5 % quantile of different-class distances minus the 95 % quantile of same-class distances, in
# standard deviations of all distances:

# %%
for part, some in few.items():
    seen = record(zoo.load_on("GA-mse", "digits", 0), some).codes
    far = pairwise(seen, metric="jaccard")
    print(f"{part}: gap {separability(far, some.labels).gap:+.2f}")

# %% tags=["hide-input"]
gaps = find("gap, Jaccard")
charts.figure(
    drawn(gaps, "gap between Jaccard distances"),
    f"On {dataset} {above(gaps, dataset, 'training')} of {len(BESIDE)} kinds of net have a gap on training images and "
    f"{above(gaps, dataset)} on held-out ones; on MNIST {above(gaps, 'MNIST', 'training')} and {above(gaps, 'MNIST')}.",
    f"To the right of zero the two heaps hardly touch. {CAPTION}",
)

# %% [markdown]
# The long-trained and the ordinary net with mean squared error have it, smaller than on MNIST. The delayed net shows
# none on either data set, and with cross-entropy there is none to close.
#
# ## How many clusters, and are they classes?
#
# On held-out images of MNIST the long-trained net has one cluster of codes more than there are classes, by the elbow
# of k-means. On digits? `scan_k` finds the elbow:

# %%
scan = clustering.scan_k(recording.codes, range(2, 15), n_init=2)
print("elbow at k =", scan.elbow)

# %% tags=["hide-input"]
elbows = find("k by the elbow, codes", ["GA-mse", "G", "N-mse", "N-ce"])
most = {
    d: max(e.high for (a, i, w), e in elbows.items() if (a, i, w) == ("GA-mse", "held-out", d))
    for d in both["data"].unique()
}
charts.figure(
    interval_dots(
        {(named(arm), *rest): each for (arm, *rest), each in elbows.items()},
        "clusters of codes by the elbow",
        zero=False,
        width=180,
    ),
    f"On held-out images the long-trained net has at most {most['MNIST']:.0f} clusters of codes on MNIST and "
    f"{most[dataset]:.0f} on {dataset}.",
    f"Median of {len(seeds)} nets, with the smallest and the largest; of MNIST the long-trained net alone.",
)

# %% [markdown]
# With one cluster more than there are classes, does the least pure one gather the images that the net is uncertain
# about? Margins are in units of a net's median margin.

# %%
clusters = clustering.cluster(recording.codes, "kmeans", k=11)
mask, purity = protocol.least_pure(clusters, labels)
margin = protocol.logit_margin(recording.output)
there, elsewhere = np.median(margin[mask]), np.median(margin[~mask])
print(f"purity {purity:.2f}; margin {there:.2f}, elsewhere {elsewhere:.2f}")

# %% tags=["hide-input"]
falls = find("margin in the least pure of 11 − elsewhere")
small = sum(each.high < 0 for (_, i, d), each in falls.items() if (i, d) == ("held-out", dataset))
charts.figure(
    drawn(falls, "margin in the least pure of 11 clusters, minus elsewhere"),
    f"On held-out images of {dataset} the least pure cluster has small margins in {small} of {len(BESIDE)} kinds of net.",
    f"Clusters of codes, k-means at k = 11. {CAPTION}",
)

# %% [markdown]
# It does. (As chapter 2 warns, a least pure cluster is found with the labels, so wherever a net errs something impure
# turns up.) And with as many clusters as classes, do clusters of codes match the classes better than clusters of
# activations?

# %%
for view in ["codes", "linear"]:
    points = protocol.views(recording)[view]
    tens = clustering.cluster(points, "kmeans", k=10)
    print(f"{view}: adjusted Rand index {clustering.ari(tens, labels):.2f}")

# %% tags=["hide-input"]
aris = find("ARI at k = 10, codes − linear")
charts.figure(
    drawn(aris, "lead of clusters of codes, adjusted Rand index"),
    f"Clusters of codes match the classes better than clusters of linear outputs in {above(aris, 'MNIST')} kinds of net on "
    f"held-out MNIST, in {above(aris, dataset)} on held-out {dataset}.",
    f"Adjusted Rand index of k-means at k = 10, codes minus linear outputs. {CAPTION}",
)

# %% [markdown]
# ## Grokked against ordinary nets
#
# Are ordinary nets the ones with the greater overlap of the two heaps? It depends on what is called grokked, the
# *delayed* net or the *long-trained* one.

# %% tags=["hide-input"]
overlaps = find("overlap, Jaccard", [arm for arm in both["arm"].unique() if "−" in arm])
charts.figure(
    drawn(overlaps, "overlap of Jaccard distances, difference", width=150),
    f"An ordinary net has the greater overlap in {sum(each.low > 0 for each in overlaps.values())} of {len(overlaps)} "
    "comparisons.",
    f"Right of zero: the two heaps of the ordinary net overlap more. {CAPTION}",
)

# %% [markdown]
# It holds against long training with mean squared error, on training images. Against the net that grokked late it is
# the other way round, on both data sets.
#
# ## The dull controls
#
# What do an untrained net, and the bits of the long-trained net shuffled over the images, give?

# %%
bits = np.random.default_rng(0).permuted(recording.codes.bits(), axis=0)
shuffled = pairwise(SplineCodes.from_bits({"shuffled": bits}), metric="jaccard")
print(f"ROC-AUC of shuffled bits: {separability(shuffled, labels).auc:.2f}")

# %% tags=["hide-input"]
controls = find("ROC-AUC, Jaccard", ["GA-mse", "U", "untrained", "random bits"], where=[dataset])
charts.figure(
    interval_dots(
        {(named(arm), images, ""): each for (arm, images, _), each in controls.items()},
        "ROC-AUC of Jaccard distance",
        zero=False,
        width=380,
    ),
    f"Shuffled bits are at {controls['random bits', 'held-out', dataset].value:.2f}, an untrained net at "
    f"{controls['untrained', 'held-out', dataset].value:.2f}.",
    f"On {dataset}. Shuffled: every unit is on as often as before, for other images. {CAPTION}",
)

# %% [markdown]
# The digits are so easy that distances between random projections tell much. What a trained net adds must be counted
# from there.
#
# ## What carries over?
#
# Take the sign of every case on both data sets: + where the whole interval lies above zero, − where it lies below, 0
# where it lies on both sides. In how many cases of each quantity is it the same?

# %%
cases = both[(both["claim"] != "") & (both["over"] != "range")].copy()
low, high = np.sign(cases["low"]), np.sign(cases["high"])
cases["sign"] = low.where(low == high, 0)
keys = ["quantity", "arm", "images"]
signs = cases.pivot_table("sign", keys, "data", "first", sort=False).dropna()
same = (signs[dataset] == signs["MNIST"]).groupby("quantity", sort=False)
same.agg(same="sum", cases="size")

# %% [markdown]
# Most that differ are the lead of codes over linear outputs.
#
# ## What holds, what does not
#
# **Carries over:** with cross-entropy, activations separate and cluster better than codes. Codes have no lead of any
# weight over post-ReLU activations. With mean squared error, ordinary and long-trained nets have a gap on training
# images and none on held-out ones. The codes of a net that generalised late overlap more than an ordinary net's.
#
# **Belongs to MNIST:** the lead of codes over stacked linear outputs, in distances and in clusters; and the further
# cluster that the long-trained net has on held-out images.
#
# Each claim below has the rule of its namesake of chapters 1 and 2, in the arms that are measured here. They were
# written after the first measurement on digits, as each of them says. Method and side tables:
# [notes](../book/notes.md).

# %% tags=["hide-cell"]
LEADS_OF_CODES = [
    f"{one} − {other}" for one in ["Jaccard", "Hamming"] for other in ["L2 linear", "cosine linear"]
]
ENTRIES = {  # entry of the ledger → quantity of the table
    **{
        f"digits-spline-1{letter}": f"ROC-AUC, {pair}"
        for letter, pair in zip("abcd", LEADS_OF_CODES, strict=True)
    },
    "digits-spline-1e": "gap, Jaccard",
    "digits-spline-1h": "gap, Hamming",
    "digits-spline-2a": "k by the elbow, codes",
    "digits-spline-2b": "margin in the least pure of 11 − elsewhere",
    "digits-spline-2c": "k by the elbow, linear",
    "digits-spline-2e": "ARI at k = 10, codes − linear",
    "digits-spline-4a": "k by the elbow, codes",
    "digits-spline-4b": "majority classes at k = 10, codes",
    "digits-spline-4c": "ARI at k = 10, codes − linear",
    "digits-spline-4f": "silhouette at k = 10, codes",
    "digits-spline-5a": "overlap, Jaccard",
    "digits-spline-6b": "ROC-AUC, Jaccard",
    "digits-cross-entropy-reversal": "ROC-AUC, Jaccard − cosine linear",
    "digits-post-relu-tie": "ROC-AUC, Jaccard − cosine post-ReLU",
    "digits-train-heldout-gap": "gap, Jaccard",
    "digits-train-heldout-k": "k by the elbow, codes",
    "digits-normalised-activations": "ARI at k = 10, unit length − codes",
}
for claim, quantity in ENTRIES.items():
    wanted = [case.label for case in ledger.ledger.claims[claim].cases]
    for row in table[table["quantity"] == quantity].itertuples():
        label = named(row.arm) if "−" in row.images else f"{named(row.arm)}; {row.images}"
        if committed and label in wanted:
            images = parts.get(row.images, data.load(dataset))
            ledger.record(claim, label, row.interval, data=images, seeds=seeds)
print(ledger.save())

# %% [markdown]
# ## Verdicts

# %% tags=["hide-input"]
ledger.verdicts()

# %% [markdown]
# ## Another data set
#
# `papermill notebooks/A2_second_data_set.ipynb out.ipynb --cwd notebooks -p dataset fashion-train` measures all this
# on Fashion-MNIST {cite}`xiao2017fashion`: its files are downloaded and checked, its nets trained by the recipes of
# the MNIST arms, once. This book has not run it; the figures would be of Fashion-MNIST, the prose still of digits.
#
# ## Exercises
#
# 1. Shrink MNIST's images to 8 × 8 by averaging, and compare pixels by cosine. Are small images easier to separate
#    before any net sees them?
# 2. Do codes of wider untrained nets separate digits better?

# %% tags=["hide-cell"]
# 1. Pixels alone: the number of them decides little.
big = protocol.sample(data.mnist5k(), 300)
small = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(big.images), 8).numpy()
for name, pixels in {"28 × 28": big.flat, "8 × 8": small.reshape(len(big), -1)}.items():
    print(name, round(separability(pairwise(pixels, metric="cosine"), big.labels).auc, 3))

# 2. Random projections tell more the more there are of them, up to what pixels tell.
held = few["held-out"]
for width in [10, 50, 250]:
    bits = record(mlp((64, width, 10), seed=0), held).codes
    print(width, round(separability(pairwise(bits, metric="jaccard"), held.labels).auc, 3))
