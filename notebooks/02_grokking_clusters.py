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
# # Do spline codes cluster into concepts, and does grokking help?
#
# Chapter 1 compared distances. If same-digit codes lie close together, clusters of codes should be digits, found
# without any label. The source {cite}`spline_clustering` reports **11 clusters** in a grokked network, ten digits
# and one of uncertain images, against 10 in a network that did not grok and about 8 in activations.
#
# This chapter runs the same algorithms on five seeds, on training and on held-out images. In short:
#
# - Eleven clusters **reproduce in the long-trained net, on held-out images only**. On the images that the same net
#   was trained on there are ten, and they are the digits. In an ordinary net there are ten on held-out images; in the
#   net that grokked in the strict sense, the *delayed* one, neither ten nor eleven for certain.
# - The eleventh cluster is real: small logit margins, many errors.
# - On 1000 training images, codes beat the source's activations in two of three networks with mean squared error and
#   lose in all three with cross-entropy; on full MNIST they win with both losses. On held-out images, activations of
#   unit length are ahead of codes in every network.
# - After 1000 images, clusters of codes are more pronounced than an ordinary net's in the long-trained net with mean
#   squared error, and in **no other** of the four that stand for grokking; after all of MNIST, in the ordinary one.
# - A tenth of the learning rate does not keep a net from grokking. With dropout, held-out accuracy rises along with
#   training accuracy, and there is little left to grok.
# - The eleventh cluster and the lead of clusters of codes **belong to MNIST**: on scikit-learn's digits
#   ([appendix](A2_second_data_set)) no net has either. That the least pure of eleven clusters holds doubtful images carries over.

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
dataset = "mnist5k"  # or "digits", scikit-learn's 8 × 8 digits
seed = 0  # the first of five
quick = False  # fewer seeds, images and values of k, for a look

# %% tags=["hide-input"]
import warnings
from functools import partial

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from pictures import clusters as pictures
from pictures import maps
from pictures.training import training_curves
from splinelab import charts, claims, clustering, data, protocol, record, zoo
from splinelab.intervals import exactly, over_nets, range_over_nets, two_level
from splinelab.training import fit, training_data

words = protocol.in_words
charts.use()
committed = dataset == "mnist5k" and seed == 0 and not quick
in_zoo = dataset == "mnist5k" and seed == 0
seeds = [*range(seed, seed + (5 if committed else 2 if in_zoo else 1))]
ks = range(2, 21) if committed else range(2, 15, 2)
STARTS = 4  # of k-means++
images = data.load(dataset)
parts = protocol.evaluation_images(images, n=1000 if committed else 200)
ledger = claims.Notebook("02_grokking_clusters", committed=committed)
if not in_zoo:
    print(f"Other data or seeds than the zoo's: nets trained for {protocol.SMALL_BUDGET} steps on {dataset}.")

# %% [markdown]
# The ledger's verdicts on this chapter's claims, from the committed measurements; the last section shows the cases
# behind each of them.

# %% tags=["hide-input"]
ledger.summary()

# %% [markdown]
# ## Watch a net grok
#
# The networks are those of chapter 1. Before they are used, here is one being made: the recipe of the delayed net (G in
# the zoo) with a cut budget, live. *Does it pass through memorising before it generalises?*

# %% tags=["nbval-ignore-output"]
run = fit(zoo.recipe("G", dataset=dataset, steps=2400 if committed else 300), seed)
columns = ["step", "train_accuracy", "heldout_accuracy", "weight_norm"]
rows = sorted(
    {*range(0, len(run.history["step"]), 6), *range(len(run.history["step"]) - 5, len(run.history["step"]))}
)
pd.DataFrame(run.history)[columns].iloc[rows].round(2)

# %% [markdown]
# It first learns its training images by heart. Weight decay then shrinks the weights, and held-out accuracy follows.
# The zoo's net has the full budget.
#
# ## What keeps a net from grokking?
#
# *Without optimal learning rate and dropout parameters, a model will not grok on training data despite all else being
# equal*, the source says. So each is changed alone: the recipe of the delayed net with a tenth of its learning rate,
# and with dropout, for the 1,000 epochs that the source gave its failing net. A net groks where held-out accuracy rises
# after the training images are learnt. *How much does it gain?* (Until 27 November 2026 this was tested on the
# undercooked net alone, which was made not to grok, so that the claim held by construction.)

# %% tags=["hide-input"]
ONE_CHANGE = ["G", "G-slow", "G-dropout", "U"]
zoo_seeds = range(5)  # histories come with the zoo, whatever this run's seed


def gained(name: str, s: int) -> float:
    """Held-out accuracy gained after 99 % of the training images were first learnt; 0 where they never are."""
    history = pd.DataFrame(zoo.card(name, s)["history"])
    learnt = history.index[history["train_accuracy"] >= 0.99]
    accuracy = history["heldout_accuracy"]
    return float(accuracy.iloc[-1] - accuracy[learnt[0]]) if len(learnt) else 0.0


gains = {name: over_nets([gained(name, s) for s in zoo_seeds]) for name in ONE_CHANGE}
finals = {name: pd.DataFrame([zoo.card(name, s)["metrics"] for s in zoo_seeds]) for name in ONE_CHANGE}
pd.DataFrame(
    {
        words(name): {
            "epochs": f"{zoo.recipe(name).epochs:,.0f}",
            "training accuracy": f"{finals[name]['train_accuracy'].mean():.3f}",
            "held-out accuracy": f"{finals[name]['heldout_accuracy'].mean():.3f}",
            "gained after learning": "{:.3f} [{:.3f}, {:.3f}]".format(*gains[name]),
        }
        for name in ONE_CHANGE
    }
).T


# %% tags=["hide-input"]
def history(name: str, s: int) -> pd.DataFrame:
    every = pd.DataFrame(zoo.card(name, s)["history"]).query("step > 0")
    table = every.iloc[::-2]  # every second row, the last included
    wide = table[["step", "train_accuracy", "heldout_accuracy", "weight_norm"]]
    wide.columns = ["step", "training", "held-out", "weight norm"]
    return wide.melt("step", var_name="quantity").assign(net=words(name), seed=s)


training_curves(pd.concat([history(name, s) for name in ["G-slow", "G-dropout"] for s in zoo_seeds]))

# %% [markdown]
# With a tenth of the learning rate the net groks all the same: it learns its training images later, waits as it did
# before, and gains more. With dropout nothing is delayed: held-out accuracy rises with training accuracy, and where a
# net has learnt its training images, there is little left to gain. Such a net does not grok, or hardly, but it does not
# fail either. (Dropout of .5 was tried first; that net learnt nothing at all, which tests nothing.) The undercooked net
# shows a third way: it lacks the weight decay, in whatever way it learns.

# %% [markdown]
# ## How many clusters?
#
# The source runs k-means and scores its clusters by three indices: silhouette, Calinski-Harabasz and Davies-Bouldin.
# How it came from them to 11 clusters it does not say; for the net that did *not* grok it names the *elbow*, the knee
# of the curve of inertia. A knee by eye is whatever one looks for, so the rule was fixed before the zoo was measured
# (though after a pilot): the knee by Satopää's method {cite}`satopaa2011kneedle` on k = 2 to 20. All four rules are
# cases of the claims on grokked nets, the three indices first. (Until 27 November 2026 the elbow was the only rule
# there.) Representations are the stacked codes, and the source's stacked linear outputs. 1000 training and 1000
# held-out images each.

# %% tags=["hide-input"]
NETS = ["GA-mse", "G", "N-mse", "N-ce"]
LOOKS = {"GA-mse": ["codes", "linear"], "G": ["codes", "linear"], "N-mse": ["codes"], "N-ce": ["codes"]}


def scan(name: str, model, part: str) -> dict[str, clustering.KScan]:
    """K-means over all k: on codes, and in the grokked nets on linear outputs, as the source has it."""
    seen = protocol.views(record(model, parts[part]))
    return {look: clustering.scan_k(seen[look], ks, n_init=STARTS) for look in LOOKS[name]}


jobs = {
    (name, s, part): (name, model, part)
    for name in NETS
    for s, model in zip(seeds, protocol.nets(name, seeds, images), strict=True)
    for part in parts
}
scans = {
    (*job, look): found
    for job, both in protocol.in_parallel(scan, jobs).items()
    for look, found in both.items()
}

# %% tags=["hide-input"]
INERTIA, SILHOUETTE = "inertia, share of k = 2", "silhouette"


def scan_rows(name: str, part: str, look: str) -> list[dict]:
    found = [scans[name, s, part, look] for s in seeds]
    curves = {
        INERTIA: (np.mean([f.inertia / f.inertia[0] for f in found], axis=0), [f.elbow for f in found]),
        SILHOUETTE: (np.mean([f.silhouette for f in found], axis=0), [f.best_silhouette for f in found]),
    }
    return [
        {
            "representation": look,
            "split": part,
            "k": k,
            "index": index,
            "value": value,
            "chosen": k == int(np.median([c for c in chosen if c is not None])),
        }
        for index, (curve, chosen) in curves.items()
        for k, value in zip(ks, curve, strict=True)
    ]


pictures.k_scan(
    pd.DataFrame(
        [row for part in parts for look in ["codes", "linear"] for row in scan_rows("GA-mse", part, look)]
    )
)

# %% [markdown]
# For the long-trained net with MSE, which fits the source's description best: the codes (blue) have a knee at 10 on
# training images and at 11 on held-out ones, and the silhouette peaks at the same k. The activations' curve bends so
# softly that its knee says little, and their silhouette prefers two clusters.
#
# *Is it grokking, or is it the images?* All nets and all seeds:


# %% tags=["hide-input"]
RULES = {
    "silhouette": "best_silhouette",
    "Calinski-Harabasz": "best_ch",
    "Davies-Bouldin": "best_db",
    "elbow": "elbow",
}


def chosen_k(name: str, part: str, look: str, rule: str = "elbow") -> list[int]:
    return [getattr(scans[name, s, part, look], RULES[rule]) or 0 for s in seeds]


counts = pd.DataFrame(
    [
        {"net": words(name), "representation": look, "split": part, "k": k, "seeds": n}
        for name in NETS
        for look in LOOKS[name]
        for part in parts
        for k, n in pd.Series(chosen_k(name, part, look)).value_counts().sort_index().items()
    ]
)
pictures.k_by_split(counts[counts["representation"] == "codes"])

# %% tags=["hide-input"]
pd.DataFrame(
    {
        words(name): {
            f"{look}, {part}": " ".join(map(str, chosen_k(name, part, look)))
            for look in LOOKS[name]
            for part in parts
        }
        for name in NETS
    }
).T.fillna("–")

# %% [markdown]
# The table lists the k of each seed. For codes of the long-trained net, training images give 10 and held-out images 11,
# in every seed. So the source's contrast does appear on held-out images: eleven in the long-trained net, ten in the
# ordinary one with the same loss. The delayed net, the one that grokked in the strict sense of late generalisation,
# wavers.
#
# The source's three indices, for the two grokked nets: the k with the best silhouette, Calinski-Harabasz or
# Davies-Bouldin index. *Do they agree with the elbow?*

# %% tags=["hide-input"]
pd.DataFrame(
    {
        f"{words(name)}; {look}, {part}": {
            rule: " ".join(map(str, chosen_k(name, part, look, rule))) for rule in RULES
        }
        for name in ["GA-mse", "G"]
        for look in ["codes", "linear"]
        for part in parts
    }
).T

# %% [markdown]
# On codes of the long-trained net they do, in every seed. In the delayed net they scatter, from seed to seed and from
# rule to rule. On activations of the long-trained net they contradict each other: two indices prefer two clusters, the
# third many, and only the elbow lies near the source's eight. The values of these indices belong to the space in which
# they are computed; here only their best k is compared.

# %% [markdown]
# ## The map
#
# *What does the eleventh cluster hold?* Take one net, the long-trained one with MSE, and some of its held-out images,
# drawn by digit; beside it the ordinary net with the same loss. Hover over the points that lie between the clumps;
# colour them by cluster, or by the logit margin (the largest output minus the second).

# %% tags=["hide-input"]
heldout = parts["held-out"]
k_fine = 11 if 11 in ks else 10
few = np.sort(protocol.places(heldout, 150))


def mapped(name: str) -> pd.DataFrame:
    """Some held-out images as one net sees them, with its clusters at k = 11 of all of them."""
    seen = record(protocol.nets(name, [seed], images)[0], heldout)
    looks = protocol.views(seen)
    return maps.map_table(
        {"codes": looks["codes"][few], "linear outputs": looks["linear"][few]},
        heldout.take(few),
        scans[name, seed, "held-out", "codes"].labels[k_fine][few],
        protocol.logit_margin(seen.output)[few],
    ).assign(net=words(name))


maps.code_map(pd.concat([mapped("GA-mse"), mapped("N-mse")]))

# %% [markdown]
# The source sees the same contrast between its grokked and its ordinary net: distinct regions in both, distinct clumps
# in the first only.

# %% [markdown]
# ## Which images sit in the uncertain cluster?
#
# Rows are the clusters found, columns the true digits. The bars show each cluster's median margin and its share of
# misclassified images. Click on a row to see some of its images, drawn by digit; the most uncertain cluster is open.

# %% tags=["hide-input"]
net = protocol.nets("GA-mse", [seed], images)[0]
recording = record(net, heldout)
fine = scans["GA-mse", seed, "held-out", "codes"].labels[k_fine]
margin = protocol.logit_margin(recording.output)
wrong = recording.output.argmax(1) != heldout.labels
table = pd.crosstab(fine, heldout.labels)
purity = table.max(axis=1) / table.sum(axis=1)
order = [
    *sorted(table.index[table.index != purity.idxmin()], key=lambda c: table.loc[c].argmax()),
    purity.idxmin(),
]
rename = {cluster: f"{chr(65 + place)}" for place, cluster in enumerate(order)}
cells = (
    table.rename(index=rename)
    .rename_axis("cluster")
    .reset_index()
    .melt("cluster", var_name="digit", value_name="images")
)
summary = pd.DataFrame(
    [
        {
            "cluster": rename[c],
            "images": int((fine == c).sum()),
            "purity": purity[c],
            "margin": float(np.median(margin[fine == c])),
            "error": float(wrong[fine == c].mean()),
        }
        for c in order
    ]
)
inside = pd.DataFrame(
    [
        {"cluster": rename[c], "place": place, "image": picture}
        for c in order
        for place, picture in enumerate(
            maps.thumbnails(protocol.sample(heldout.take(np.flatnonzero(fine == c)), 12).images)
        )
    ]
)
pictures.cluster_heatmap(cells.sort_values("digit"), summary, inside)

# %% tags=["hide-input"]
summary.assign(
    images=summary["images"].map(str),
    **{key: summary[key].map("{:.2f}".format) for key in ["purity", "margin", "error"]},
).set_index("cluster").T

# %% tags=["hide-input"]
doubtful = fine == purity.idxmin()
print(f"share of all mistakes in the least pure cluster: {wrong[doubtful].sum() / wrong.sum():.2f}")
print(
    f"ROC-AUC for finding mistakes: membership {roc_auc_score(wrong, doubtful):.2f}, margin {roc_auc_score(wrong, -margin):.2f}"
)

# %% [markdown]
# One cluster is no digit. Its images are the ones a person would hesitate over, the net hesitates too, and most of
# its mistakes are there. So the source's observation is right for images that the net did not train on. As a detector of
# mistakes the cluster is beaten, in this net, by the margin itself, which
# costs nothing.
#
# Move the slider: at which k does it split off, and what splits next?


# %% tags=["hide-input"]
known = scans["GA-mse", seed, "held-out", "codes"]


def heat(k: int):
    counted = pd.crosstab(known.labels[k], heldout.labels)
    shares = counted.max(axis=1) / counted.sum(axis=1)
    # The least pure cluster comes last, so that the eye can follow it from frame to frame.
    order = sorted(counted.index, key=lambda c: (c == shares.idxmin(), counted.loc[c].argmax()))
    return pictures.cluster_counts(counted.loc[order].to_numpy())


frame_ks = [k for k in ks if 8 <= k <= 14]
charts.frames(
    [heat(k) for k in frame_ks],
    [f"k = {k}" for k in frame_ks],
    title="clusters",
    start=frame_ks.index(k_fine),
    description=f"Clusters of held-out codes by digit, for k from {frame_ks[0]} to {frame_ks[-1]}, the least pure one "
    "last. Its largest digit has "
    + ", ".join(f"{protocol.least_pure(known.labels[k], heldout.labels)[1]:.0%} of it at k = {k}" for k in frame_ks)
    + ".",
)

# %% [markdown]
# ## How sure is that?
#
# For every seed: the median margin in the least pure of 11 clusters, minus the median margin of all other images,
# in units of each net's own overall median, so that nets with different losses can stand in one table. The interval
# covers images and nets. *Do ordinary nets have such a cluster as well?*


# %% tags=["hide-input"]
def uncertain(name: str, part: str, k: int):
    """Of the least pure of k clusters: its drop of margin, its purity and its share of the images, over nets."""
    sample, nets = parts[part], protocol.nets(name, seeds, images)
    outputs = [record(model, sample, activations=False).output for model in nets]
    clusterings = [scans[name, s, part, "codes"].labels[k] for s in seeds]
    masks, purities = zip(*(protocol.least_pure(each, sample.labels) for each in clusterings), strict=True)
    found = protocol.margin_drop(outputs, clusterings, sample.labels, resamples=400 if committed else 20)
    return found, range_over_nets(purities, seeds=seeds), np.mean(masks)


def told(name: str, part: str, k: int) -> dict[str, str]:
    fall, purity, share = doubts[name, part, k]
    return {
        "drop of margin": "{:+.2f} [{:+.2f}, {:+.2f}]".format(*fall),
        "share of images": f"{share:.0%}",
        "purity": "{:.2f} ({:.2f} to {:.2f})".format(*purity),
    }


doubts = {(name, part, k): uncertain(name, part, k) for name in NETS for part in parts for k in {10, k_fine}}
pd.DataFrame({f"{words(name)}; {part}": told(name, part, k_fine) for part in parts for name in NETS}).T

# %% [markdown]
# The test has a weakness: k is forced to 11 and the least pure cluster is found with the labels, so wherever a net errs
# something impure will turn up. The purity, median and range over nets, tells the cases apart. In the long-trained net
# the cluster of held-out images is a mixture of all digits; in the ordinary net with MSE it is one digit with many
# strangers. Only the first deserves the name of an uncertain cluster.
#
# At k = 10 the source finds the uncertain class again: the digits 2 and 5 share a cluster, and the one to spare holds
# the uncertain images. *Is there a spare cluster at k = 10?*

# %% tags=["hide-input"]
pd.DataFrame({f"{words(name)}; {part}": told(name, part, 10) for part in parts for name in ["GA-mse", "G"]}).T

# %% [markdown]
# On training images every cluster is a digit. On held-out images of the long-trained net the least pure of the ten has
# small margins and is a mixture, its largest digit about half of it or less. But it is hardly to spare: as the next
# section shows, in most seeds each of the ten digits is still the largest one of some cluster, and 2 and 5 share none.


# %% [markdown]
# ## Ten clusters, ten digits?
#
# Now fix k = 10 and ask how well the clusters match the digits: the adjusted Rand index (ARI), 1 for a perfect
# match and 0 for chance. It can be compared across representations; silhouettes cannot, since each lives in its own
# space. *Which representation gives the digits back?*

# %% tags=["hide-input"]
VIEWS = ["codes", "linear", "post-ReLU", "unit length", "logits"]
TABLE = ["codes", "unit-length codes", *VIEWS[1:]]
ALL = ["GA-mse", "G", "N-mse", "GA-ce", "GCE", "N-ce"]
TEN = 10  # clusters


def ten_clusters(name: str, part: str) -> dict[str, list[np.ndarray]]:
    """K-means at k = 10 on each view, and on single layers' linear outputs, one labelling per seed."""
    found: dict[str, list[np.ndarray]] = {}
    for s, model in zip(seeds, protocol.nets(name, seeds, images), strict=True):
        whole = record(model, parts[part])
        seen = protocol.views(whole)
        seen |= {f"layer {i}": whole.pre[layer] for i, layer in enumerate(whole.pre, start=1)}
        bits = whole.codes.bits()
        seen["unit-length codes"] = bits / np.sqrt(np.maximum(bits.sum(axis=1, keepdims=True), 1))
        for look, points in seen.items():
            known = scans.get((name, s, part, look))
            found.setdefault(look, []).append(
                known.labels[TEN]
                if known
                else clustering.cluster(np.asarray(points), "kmeans", k=10, n_init=STARTS)
                if look != "codes"
                else clustering.cluster(points, "kmeans", k=10, n_init=STARTS)
            )
    return found


pairs = [(name, part) for name in ALL for part in parts]
tens = protocol.in_parallel(ten_clusters, {pair: pair for pair in pairs})
agreement = {
    pair: clustering.bootstrap_ari(found, parts[pair[1]].labels, resamples=400 if committed else 20)
    for pair, found in tens.items()
}
pd.DataFrame(
    {
        f"{words(name)}; {part}": {look: f"{agreement[name, part].values[look].ari:.2f}" for look in TABLE}
        for part in parts
        for name in ALL
    }
).T

# %% [markdown]
# Read it row by row. In the long-trained and the ordinary net with MSE, codes are ahead of the source's activations
# ("linear"), and close to perfect on training images. In the delayed net, the strictly grokked one, they are behind on
# held-out images, and with cross-entropy they are behind on both. On held-out images, post-ReLU activations of unit
# length are ahead of codes in every net; dividing the codes themselves by their length changes little.
#
# Normalised mutual information, another index of agreement, tells the same story on held-out images:

# %% tags=["hide-input"]
pd.DataFrame(
    {
        words(name): {
            look: f"{np.mean([clustering.nmi(labels, heldout.labels) for labels in tens[name, 'held-out'][look]]):.2f}"
            for look in TABLE
        }
        for name in ALL
    }
).T

# %% [markdown]
# At k = 10 the source saw the digits 2 and 5 share a cluster of codes, and 4, 7 and 9 one of activations, and it found
# clusters of single layers worse. *Do they, and are they?*


# %% tags=["hide-input"]
def together(name: str, part: str, look: str, digits: list[int]) -> int:
    """In how many seeds the same cluster holds the largest share of each of these digits."""
    tables = [pd.crosstab(labels, parts[part].labels) for labels in tens[name, part][look]]
    return sum(table[digits].idxmax().nunique() == 1 for table in tables)


def majority_digits(name: str, part: str) -> list[int]:
    """How many different digits are the largest class of a cluster, by seed."""
    return [protocol.majority_classes(each, parts[part].labels) for each in tens[name, part]["codes"]]


pd.DataFrame(
    {
        f"{words(name)}; {part}": {
            "2 and 5 (codes)": together(name, part, "codes", [2, 5]),
            "4 and 9 (linear)": together(name, part, "linear", [4, 9]),
            "4, 7 and 9 (linear)": together(name, part, "linear", [4, 7, 9]),
            "majority digits (codes)": " ".join(map(str, majority_digits(name, part))),
            **{
                f"ARI {look}": f"{agreement[name, part].values[look].ari:.2f}"
                for look in ["linear", "layer 1", "layer 2", "layer 3", "logits"]
            },
        }
        for name in ["GA-mse", "G", "N-mse", "N-ce"]
        for part in parts
    }
).T

# %% [markdown]
# The first to third columns count the seeds in which most images of these digits lie in one cluster, the fourth says
# how many digits are the majority of some cluster, by seed. Most 2s and most 5s lie in different clusters in every
# seed. By ARI, the logits cluster better than the stack in every net, the middle layer (layer 2) does in the
# long-trained and the ordinary net with MSE; only the first layer is bad throughout.
#
# ## The source's three indices
#
# The source itself scores clusters without labels, by silhouette, Calinski-Harabasz and Davies-Bouldin index, and says
# three things in their language: codes give more pronounced clusters than activations; single layers score worse than
# the stack; clusters of codes are less pronounced in an ordinary net. Such an index belongs to the space that it is
# computed in. Between codes and activations, or between one layer and a stack of three, it compares spaces of other
# dimensions and metrics along with clusters, and the ARI above, which does not, is the better judge. But it is what the
# source compares, so it is what its claims are tested by. (Until 27 November 2026 the second was tested by the ARI,
# the third on the long-trained net with MSE alone, where it holds.)
#
# All at k = 10, k-means, in L2, except that the last comparison, of codes with codes, takes silhouettes in Hamming
# distance. Of Davies-Bouldin, less is better.

# %% tags=["hide-input"]
INDICES = {
    "silhouette": "silhouette",
    "Calinski-Harabasz": "calinski_harabasz",
    "Davies-Bouldin": "davies_bouldin",
}
SINGLE = ["layer 2", "logits", "layer 3"]


def scored(name: str, part: str):
    """Indices at k = 10: of codes, of the stack and of single layers in L2; of codes in Hamming distance."""
    views = ["codes", "linear", *(SINGLE if name in ("GA-mse", "G") else [])]
    points: dict[str, list] = {view: [] for view in views}
    for model in protocol.nets(name, seeds, images):
        whole = record(model, parts[part])
        seen = protocol.views(whole)
        seen |= {f"layer {i}": whole.pre[layer] for i, layer in enumerate(whole.pre, start=1)}
        for view in views:
            points[view].append(seen[view])
    labels = {view: tens[name, part][view] for view in views}
    few = 100 if committed else 10
    codes = {"codes": points["codes"]}, {"codes": labels["codes"]}
    return {
        "l2": clustering.bootstrap_scores(points, labels, metric="l2", resamples=few),
        "hamming": clustering.bootstrap_scores(*codes, metric="hamming", resamples=few),
    }


indices = protocol.in_parallel(scored, {pair: pair for pair in pairs})
pd.DataFrame(
    {
        f"{words(name)}; {part}": {
            f"{index}, {look}": f"{getattr(found['l2'].values[look], attribute):.3g}"
            for index, attribute in INDICES.items()
            for look in found["l2"].values
        }
        for (name, part), found in indices.items()
        if name in ("GA-mse", "G", "N-mse")
    }
).fillna("–")

# %% [markdown]
# Against ordinary nets, the silhouette of codes in Hamming distance and the Calinski-Harabasz index, grokked net minus
# ordinary net:

# %% tags=["hide-input"]
AGAINST = [("GA-mse", "N-mse"), ("G", "N-mse"), ("GA-ce", "N-ce"), ("GCE", "N-ce")]


def more_pronounced(grokked: str, ordinary: str, part: str, index: str):
    space = "hamming" if index == "silhouette" else "l2"
    one, other = indices[grokked, part][space], indices[ordinary, part][space]
    return one.difference("codes", "codes", INDICES[index], other=other)


pd.DataFrame(
    {
        f"{words(grokked)}, minus {words(ordinary)}": {
            f"{index}, {part}": "{:+.3g} [{:+.3g}, {:+.3g}]".format(
                *more_pronounced(grokked, ordinary, part, index)
            )
            for index in ["silhouette", "Calinski-Harabasz"]
            for part in parts
        }
        for grokked, ordinary in AGAINST
    }
).T

# %% [markdown]
# In the long-trained net with MSE, codes do score better than the stack. In the delayed net the stack scores better, by
# every index. Single layers mostly score *better* than the stack, the logits by far: the opposite of what the source
# saw, perhaps because ten logits that are pressed to zeros and ones are a small space with ten corners. And
# clusters of codes are more pronounced than those of the ordinary net in the long-trained net with MSE alone. The
# delayed net, whose generalisation does come late, has less pronounced ones than the ordinary net, and with
# cross-entropy nothing is gained either way.

# %% [markdown]
# ## Other algorithms
#
# The source runs k-means, DBSCAN, Ward's method and average linkage, and finds k-means best; HDBSCAN
# {cite}`campello2013hdbscan` is ours. DBSCAN's radius follows the knee rule, because an oracle radius would use the
# labels. Codes enter with Jaccard distance (k-means and Ward: bits), the rest with L2. *Is the ranking an artefact of
# k-means?*

# %% tags=["hide-input"]
ALGORITHMS = {
    "k-means": "kmeans",
    "Ward": "ward",
    "average linkage": "average",
    "DBSCAN": "dbscan",
    "HDBSCAN": "hdbscan",
}
SCORERS = {
    "silhouette": partial(clustering.silhouette, metric="l2"),
    "Calinski-Harabasz": clustering.calinski_harabasz,
    "Davies-Bouldin": clustering.davies_bouldin,
}


FOUR = [title for title in ALGORITHMS if title != "HDBSCAN"]


def by_algorithm(
    name: str, part: str, looks: list[str], titles: list[str]
) -> dict[tuple[str, str], list[tuple]]:
    """For each view and algorithm: labels and the three indices (L2), by seed."""
    found: dict[tuple[str, str], list[tuple]] = {}
    for s, model in zip(seeds, protocol.nets(name, seeds, images), strict=True):
        seen = protocol.views(record(model, parts[part]))
        for look in looks:
            for title in titles:
                method = ALGORITHMS[title]
                needs_k = method in ("kmeans", "ward", "average")
                if method == "kmeans":
                    labels = tens[name, part][look][s - seeds[0]]
                else:
                    with warnings.catch_warnings():  # that all may be noise is told by the table
                        warnings.filterwarnings("ignore", "hdbscan calls all", UserWarning)
                        labels = clustering.cluster(seen[look], method, k=10 if needs_k else None)
                scores = [score(seen[look], labels) for score in SCORERS.values()]
                found.setdefault((look, title), []).append((labels, *scores))
    return found


SHOWN = ["GA-mse", "N-mse", "N-ce"]
INNER = [(name, part) for name in ["GA-mse", "G"] for part in parts]
clustered = protocol.in_parallel(
    by_algorithm,
    {
        **{(name, part): (name, part, ["codes", "linear"], FOUR) for name, part in INNER},
        **{(name, "held-out"): (name, "held-out", VIEWS, [*ALGORITHMS]) for name in SHOWN},
    },
)
scores = pd.DataFrame(
    [
        {
            "net": words(name),
            "representation": look,
            "algorithm": title,
            "ari": np.mean([clustering.ari(labels, heldout.labels) for labels, *_ in found]),
            "noise": np.mean([(labels == -1).mean() for labels, *_ in found]),
            "clusters": np.median([len(set(labels) - {-1}) for labels, *_ in found]),
        }
        for name in SHOWN
        for (look, title), found in clustered[name, "held-out"].items()
    ]
)
pictures.ari_table(scores)
pictures.ari_table(scores)

# %% tags=["hide-input"]
density = scores[scores["algorithm"].isin(["DBSCAN", "HDBSCAN"])].copy()
density["ARI / clusters / noise"] = [
    f"{row.ari:.2f} / {row.clusters:.0f} / {row.noise:.0%}" for row in density.itertuples()
]
density.pivot_table(
    index=["net", "representation"],
    columns="algorithm",
    values="ARI / clusters / noise",
    aggfunc="first",
    sort=False,
)

# %% [markdown]
# In part. Codes are ahead of linear outputs in the long-trained net under every algorithm, though not always by more
# than chance may give. Their order against the other representations depends on the algorithm: post-ReLU activations
# are ahead of codes under k-means and far behind under HDBSCAN. A noise share always belongs beside such a figure:
# HDBSCAN may leave out what it cannot place. (Until 27 November 2026 "under every algorithm" stood in the ledger as the
# source's claim. It is ours.)
#
# And by the source's indices, codes against activations, in each its own space, mean over seeds; "best" counts the
# seeds in which an algorithm of the source's four has the best score. *Is k-means the most performant by all three?*


# %% tags=["hide-input"]
def best_counts(name: str, part: str, look: str, index: str) -> dict[str, int]:
    """In how many seeds each of the source's four algorithms scores best; a single cluster has no score."""
    place = 1 + list(SCORERS).index(index)
    table = np.array([[found[place] for found in clustered[name, part][look, title]] for title in FOUR])
    worst = np.inf if index == "Davies-Bouldin" else -np.inf
    table = np.where(np.isnan(table), worst, table)
    best = table.argmin(axis=0) if index == "Davies-Bouldin" else table.argmax(axis=0)
    return {title: int((best == place).sum()) for place, title in enumerate(FOUR)}


def mean_score(values: list[float]) -> str:
    return "–" if np.isnan(values).any() else f"{np.mean(values):.3g}"


pd.DataFrame(
    {
        (words(name), part, title): {
            f"{index}, {look}": mean_score([found[place] for found in clustered[name, part][look, title]])
            + f" (best: {best_counts(name, part, look, index)[title]})"
            for place, index in enumerate(SCORERS, start=1)
            for look in ["codes", "linear"]
        }
        for name, part in INNER
        for title in FOUR
    }
).T

# %% [markdown]
# By silhouette and Calinski-Harabasz index k-means is the best on activations of the long-trained net, and on held-out
# images of the delayed one. By Davies-Bouldin index it is not: average linkage scores better in the long-trained net,
# DBSCAN on training images of the delayed one. A dash: DBSCAN mostly finds a single cluster in activations, which has no
# score.


# %% tags=["hide-cell"]
def enter(claim: str, case: str, interval, sample=heldout, one_seed: bool = False) -> None:
    ledger.record(claim, case, interval, n=len(sample), seeds=[0] if one_seed else seeds, data=sample)


def over(values):
    return range_over_nets(values, seeds=seeds)


if committed:
    for part, sample in parts.items():
        for name in ["GA-mse", "G"]:
            case, found, inner = f"{words(name)}; {part}", agreement[name, part], indices[name, part]["l2"]
            for rule in RULES:
                enter("spline-2a", f"{case}; {rule}", over(chosen_k(name, part, "codes", rule)), sample)
                enter("spline-2c", f"{case}; {rule}", over(chosen_k(name, part, "linear", rule)), sample)
            enter("spline-2b", case, doubts[name, part, k_fine][0], sample)
            enter("spline-2h", f"margin; {case}", doubts[name, part, 10][0], sample)
            enter("spline-2h", f"purity; {case}", doubts[name, part, 10][1], sample)
            count = together(name, part, "codes", [2, 5])
            enter("spline-2d", case, exactly(count, seeds=seeds), sample)
            for index, attribute in INDICES.items():
                for claim, layer in [
                    ("spline-3a", "layer 2"),
                    ("spline-3b", "logits"),
                    ("spline-3c", "layer 3"),
                ]:
                    enter(claim, f"{index}; {case}", inner.difference("linear", layer, attribute), sample)
                count = best_counts(name, part, "linear", index)["k-means"]
                enter("spline-2i", f"{index}; {case}", exactly(count, seeds=seeds), sample)
            for layer in SINGLE:
                enter(
                    "ours-single-layers", f"{layer}; {case}", found.difference(layer, "linear", "ari"), sample
                )
        for name in ["GA-mse", "G", "GA-ce", "GCE"]:
            case = f"{words(name)}; {part}"
            enter("spline-2e", case, agreement[name, part].difference("codes", "linear", "ari"), sample)
            for index, attribute in INDICES.items():
                lead = indices[name, part]["l2"].difference("codes", "linear", attribute)
                enter("spline-2f", f"{index}; {case}", lead, sample)
        for name in ["N-mse", "N-ce"]:
            case = f"{words(name)}; {part}"
            enter("spline-4a", case, over(chosen_k(name, part, "codes")), sample)
            enter("spline-4b", case, over(majority_digits(name, part)), sample)
            enter("spline-4c", case, agreement[name, part].difference("codes", "linear", "ari"), sample)
        for grokked, ordinary in AGAINST:
            for index in ["silhouette", "Calinski-Harabasz"]:
                case = f"{index}; {words(grokked)}, minus {words(ordinary)}; {part}"
                enter("spline-4f", case, more_pronounced(grokked, ordinary, part, index), sample)
        for digits, told_as in {(4, 9): "4 and 9", (4, 7, 9): "4, 7 and 9"}.items():
            count = together("GA-mse", part, "linear", list(digits))
            case = f"{told_as}; {words('GA-mse')}; {part}"
            enter("spline-2g", case, exactly(count, seeds=seeds), sample)
    for title in ALGORITHMS:
        two = {
            look: [labels for labels, *_ in clustered["GA-mse", "held-out"][look, title]]
            for look in ["codes", "linear"]
        }
        lead = clustering.bootstrap_ari(two, heldout.labels).difference("codes", "linear", "ari")
        enter("ours-every-algorithm", title, lead)
    for case, name in {
        "a tenth of the learning rate": "G-slow",
        "dropout of .1": "G-dropout",
    }.items():
        enter("spline-6a", case, gains[name], images.take(data.protocol_split(images).heldout))
    for name in ["GA-mse", "N-mse"]:
        more = np.subtract(chosen_k(name, "held-out", "codes"), chosen_k(name, "training", "codes"))
        enter("ours-train-heldout-k", words(name), over(more))
    for name in ["N-mse", "N-ce"]:
        enter("ours-uncertain-ordinary", words(name), doubts[name, "held-out", k_fine][0])
    for name in ["GA-mse", "N-mse", "GA-ce", "N-ce"]:
        lead = agreement[name, "held-out"].difference("unit length", "codes", "ari")
        enter("ours-normalised-activations", words(name), lead)

# %% [markdown]
# ## Full MNIST
#
# The source's ordinary net saw all 60,000 images for 20 epochs and reached 99.57 % on them and 97.97 % on the test
# images. The zoo holds nets after that description, with both losses. This is the setting in which the source found
# ten clusters by the elbow, each a digit, so it comes first in these claims. (Until 27 November 2026 nets of 1000 images
# stood alone there.) Beside them stand two nets for the grokked one: trained long on all images, and with the
# budget of Omnigrok on 1000. MNIST-5k serves as training images of those that saw all of MNIST; the rest is measured
# where MNIST's files are at hand, and the ledger keeps what was measured before.

# %% tags=["hide-input"]
FULL = ["full-mse", "full-ce", "full-long", "omnigrok"]
pd.DataFrame(
    {
        words(name): {
            part: f"{zoo.card(name)['metrics'][key]:.2%}"
            for part, key in {"training": "train_accuracy", "test": "heldout_accuracy"}.items()
        }
        for name in FULL
    }
).T


# %% tags=["hide-cell", "nbval-ignore-output"]
def look_at(name: str, sample) -> tuple:
    """K-means over all k on codes, labels at k = 10 of codes and of linear outputs, and the codes."""
    seen = protocol.views(record(zoo.load(name), sample))
    scanned = clustering.scan_k(seen["codes"], ks, n_init=STARTS)
    linear = clustering.cluster(seen["linear"], "kmeans", k=10, n_init=STARTS)
    return scanned, {"codes": [scanned.labels[TEN]], "linear": [linear]}, seen["codes"]


if committed:
    wide = {(name, part): each for name in FULL for part, each in protocol.images_of(name, 1000).items()}
    looked = protocol.in_parallel(
        look_at, {(name, part): (name, each) for (name, part), each in wide.items()}
    )
    for (name, part), (scanned, two, _) in looked.items():
        case, sample = f"{words(name)}; {part}", wide[name, part]
        lead = clustering.bootstrap_ari(two, sample.labels).difference("codes", "linear", "ari")
        if name in ("full-mse", "full-ce"):
            own = pd.crosstab(two["codes"][0], sample.labels).idxmax(axis=1).nunique()
            enter("spline-4a", case, exactly(scanned.elbow or 0), sample, one_seed=True)
            enter("spline-4b", case, exactly(own), sample, one_seed=True)
            enter("spline-4e", case, lead, sample, one_seed=True)
        else:
            for rule, attribute in RULES.items():
                k = exactly(getattr(scanned, attribute) or 0)
                enter("spline-2j", f"{case}; {rule}", k, sample, one_seed=True)
            enter("spline-2k", case, lead, sample, one_seed=True)
    for part in [part for name, part in wide if name == "full-mse"]:
        one, other = (
            clustering.bootstrap_scores({"codes": [codes]}, {"codes": two["codes"]})
            for _, two, codes in (looked["full-long", part], looked["full-mse", part])
        )
        for index in ["silhouette", "Calinski-Harabasz"]:
            more = one.difference("codes", "codes", INDICES[index], other=other)
            case = f"{index}; {words('full-long')}, minus {words('full-mse')}; {part}"
            enter("spline-4g", case, more, wide["full-mse", part], one_seed=True)
    print(f"measured on {len(wide)} of 8 sets of images")
if committed and data.mnist_at_hand():
    for name in ["full-mse", "full-ce"]:
        test = training_data(zoo.recipe(name)).heldout
        hits = record(zoo.load(name), test, activations=False).output.argmax(1) == test.labels
        right = two_level(lambda drawn: 100 * drawn.mean(), [hits])
        enter("spline-4d", words(name), right, test, one_seed=True)

# %% tags=["hide-input"]
ledger.table("spline-4a", "spline-4b", "spline-4d", "spline-4e", "spline-4g", "spline-2j", "spline-2k")

# %% [markdown]
# Here the source's ordinary net reproduces: the elbow finds ten clusters of codes, and each is a digit, with both losses
# and on both kinds of image. Codes match the digits better than stacked activations in all four nets. The grokked side
# does not: the net trained long on all of MNIST has ten clusters on its training images, and on held-out ones the rules
# do not agree on eleven; the net with Omnigrok's budget has eleven by none of them. And of the two nets that saw all of
# MNIST, the one that saw it for 20 epochs has the *more* pronounced clusters.

# %% [markdown]
# ## What reproduces, what does not, and why
#
# **Reproduces.** A long-trained net with mean squared error has ten clusters of codes on its training images, equal to
# the digits, and eleven on held-out images, in five of five seeds and by four rules out of four. The eleventh gathers
# the images that the net is uncertain about. In the source's own setting, all of MNIST for 20 epochs, the elbow finds ten
# clusters of codes, each a digit, with both losses, and codes beat stacked activations; so they do on held-out images
# of the ordinary net with MSE and 1000 images.
#
# **Does not.** Eleven against ten does not follow delayed generalisation: the delayed net has neither number for
# certain. Within the long-trained net the change comes with held-out images. On those the source's contrast does appear
# (11 in the long-trained net, 10 in the ordinary one), so our own claim that held-out images alone explain it fails for
# the ordinary net; a pilot with 4000 training images had seen 11 there. The elbow of the activations lies at 8 or 9 on
# held-out images of the long-trained net, as the source has it, and scatters elsewhere; two of the source's indices put
# it at two there, the third anywhere. The digits 2 and 5 share no cluster of codes, nor 4, 7 and 9 one of activations. Single layers do not score worse than the stack, by the source's indices, and the logits match the digits
# better. With cross-entropy and 1000 training images, stacked activations beat codes. Clusters of codes are less
# pronounced in an ordinary net than in the long-trained one with MSE and 1000 images, and in no other comparison: against
# the delayed net, with cross-entropy, and after all of MNIST it is not so, mostly the other way round. (Until
# 27 November 2026 the first comparison was the only one, and the claim stood as reproduced.) A tenth of the learning
# rate lets the net grok as well; whether one with dropout still gains a little, five nets cannot tell.
#
# **Why.** A likely explanation, not measured: a net trained to zero squared error gives the training images of a class
# almost one code, so the number of clusters is the number of classes. An unseen image that falls between the classes
# switches on units of several of them, and such images share a region of code space without sharing a class.
#
# **The baseline.** On held-out images, post-ReLU activations of unit length give better clusters than codes in every
# network, though in the ordinary one with MSE by little.
#
# The cases behind the verdicts:

# %% tags=["hide-cell"]
print(ledger.save())

# %% tags=["hide-input", "hide-output"]
ledger.table()

# %% [markdown]
# ## Exercises
#
# 1. Mix training and held-out images half and half. Does the elbow find 10 or 11, and from which share of held-out
#    images on?
# 2. Cluster `protocol.views(recording)["unit length"]` for k = 2 to 20. Does it have an uncertain cluster? Compare its images with those
#    of the codes.
# 3. Give DBSCAN the radius that maximises the ARI and see how far the knee rule is from that oracle. Why may a paper
#    not report the oracle?
