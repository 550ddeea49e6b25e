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
# # Do regions of activation space mean one thing?
#
# INTRO

# %% tags=["colab", "remove-cell"]
# On Colab only: fetch the repository and install the package from it.
import sys

if "google.colab" in sys.modules:
    import os
    import subprocess

    if not os.path.isdir("/content/splinelab"):
        address = "https://github.com/splinelab/splinelab"
        clone = ["git", "clone", "--quiet", "--depth", "1", address, "/content/splinelab"]
        subprocess.run(clone, check=True)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "-e", "/content/splinelab"]
    subprocess.run(install, check=True)
    sys.path.insert(0, "/content/splinelab")
    os.chdir("/content/splinelab/notebooks")

# %% tags=["parameters", "hide-cell"]
seed = 0  # the first of three
quick = False  # one seed, fewer images and resamples, for a look

# %% tags=["hide-input"]
import warnings

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from sklearn.decomposition import NMF, PCA
from sklearn.exceptions import ConvergenceWarning

from splinelab import charts, claims, clustering, data, polytopes, protocol, record, zoo
from splinelab.charts import maps
from splinelab.charts import regions as pictures
from splinelab.distances import pairwise

charts.use()
committed = seed == 0 and not quick
seeds = range(seed, seed + (3 if committed else 1))
images = zoo.heldout("CNN")  # no CNN and no RES net was trained on them
images = protocol.sample(images, 1000 if committed else 300)
pixels = torch.tensor(images.images)
HALVES = 30 if committed else 4  # half-samples of images behind an interval
ledger = claims.Notebook("06_monosemantic_regions", committed=committed)
if seed != 0:
    print(f"Other seeds than the zoo's: nets trained for {protocol.SMALL_BUDGET} steps.")

# %% [markdown]
# The ledger's verdicts on this chapter's claims, from the committed measurements; the last section shows the cases
# behind each of them.

# %% tags=["hide-input"]
ledger.summary()

# %% [markdown]
# ## What is clustered, and what counts
#
# PROTOCOL

# %% [markdown]
# On your own net it takes five lines: a module, the name of one of its layers, and images.

# %%
net = protocol.nets("CNN", [seed], data.mnist5k())[0]
rest, activations = polytopes.from_layer(net, "pool3", pixels)
codes = record(rest, activations).codes
found = clustering.cluster(codes, "hdbscan", metric="hamming", min_cluster_size=10)
pd.crosstab(pd.Series(found, name="cluster"), pd.Series(images.labels, name="digit"))

# %% [markdown]
# LIVE

# %% tags=["hide-input"]
LAYERS = {"CNN": ["pool2", "pool3", "relu4", "relu5"], "RES": ["block1", "block2"]}
NMF_LAYERS = ["CNN, relu4", "CNN, relu5", "RES, block2"]
CASES = [f"{name}, {layer}" for name, layers in LAYERS.items() for layer in layers]
SPACES = ["codes", "one position", "whole activation"]
PURE, SIZE = 0.9, 10  # both declared before any label was looked at
KEPT = np.arange(0.1, 1.01, 0.1)
TOPS = [5, 10, 20, 50, 100, 200, 500, 1000] if committed else [5, 10, 20, 50, 100, 300]
truth = images.labels
draw = np.random.default_rng(0)
halves = [np.sort(draw.permutation(len(truth))[: len(truth) // 2]) for _ in range(HALVES)]


def largest(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Of every cluster that is not noise: its images, and how many of them are of its largest class."""
    counted = [np.bincount(classes[labels == k]) for k in np.unique(labels[labels >= 0])]
    return np.array([(c.sum(), c.max(), c.argmax()) for c in counted]).reshape(-1, 3)


def measure(labels: np.ndarray, classes: np.ndarray = truth) -> dict[str, float]:
    """What one clustering is judged by; without any cluster, all but the noise is 0."""
    size, most, which = largest(labels, classes).T
    pure = most >= PURE * size
    return {
        "monosemantic": pure.mean() if len(size) else 0.0,
        "purity": (most / size).mean() if len(size) else 0.0,
        "clusters": len(size),
        "noise": np.mean(labels < 0),
        "classes": len(set(which[pure])),
    }


def hdbscan(distances: np.ndarray, size: int = SIZE, **options) -> np.ndarray:
    return clustering.cluster(distances, "hdbscan", metric="precomputed", min_cluster_size=size, **options)


def spaces(model, layer: str) -> dict[str, tuple]:
    """Three ways to look at a layer: codes from there to the output, one position, the whole activation."""
    rest, activations = polytopes.from_layer(model, layer, pixels)
    seen = {"codes": (record(rest, activations).codes, "hamming")}
    values = activations.numpy()
    if values.ndim == 4:
        middle = values.shape[-1] // 2
        seen["one position"] = (values[:, :, middle, middle], "l2")
    seen["whole activation"] = (values.reshape(len(values), -1), "l2")
    return seen


def kept_purity(labels: np.ndarray, kept: np.ndarray) -> float:
    """Share of the kept images that belong to the largest class of their cluster."""
    return float(largest(labels[kept], truth[kept])[:, 1].sum() / kept.sum())


def against_kmeans(x, distances: np.ndarray, labels: np.ndarray) -> dict:
    """K-means with as many clusters: on all images, on those that HDBSCAN kept, on equally many dense ones."""
    k, kept = len(set(labels) - {-1}), labels >= 0
    if not k:
        return {}
    points = x.bits().astype(np.float32) if hasattr(x, "bits") else x
    every = clustering.cluster(points, "kmeans", k=k, n_init=2)
    same = clustering.cluster(points[kept], "kmeans", k=k, n_init=2)
    core = np.partition(distances, 5, axis=1)[:, 5]  # distance to the fifth neighbour, as HDBSCAN has it
    rank = np.argsort(np.argsort(core, kind="stable"))
    dense = rank < kept.sum()
    return {
        "HDBSCAN": (kept_purity(labels, kept), measure(labels)["monosemantic"]),
        "same images": (
            float(largest(same, truth[kept])[:, 1].sum() / kept.sum()),
            measure(same, truth[kept])["monosemantic"],
        ),
        "densest images": (kept_purity(every, dense), measure(every[dense], truth[dense])["monosemantic"]),
        "all images": (kept_purity(every, np.ones_like(kept)), measure(every)["monosemantic"]),
        "curve": [kept_purity(every, rank < share * len(rank)) for share in KEPT],
    }


def look(name: str, s: int, model, net: str) -> list[dict]:
    """Everything about the clusters of one net."""
    rows = []
    for layer in LAYERS[name]:
        dense = layer in ("relu4", "relu5")
        for space, (x, metric) in spaces(model, layer).items():
            distances = pairwise(x, metric=metric)
            labels = hdbscan(distances)
            row = {"layer": f"{name}, {layer}", "space": space, "net": net, "seed": s, "labels": labels}
            if net == "trained" or dense:
                row["halves"] = [
                    measure(hdbscan(distances[np.ix_(half, half)], SIZE // 2), truth[half]) for half in halves
                ]
            if net == "trained" and space != "one position":
                row["kmeans"] = against_kmeans(x, distances, labels)
            if net == "trained" and metric == "l2":
                row["cosine"] = measure(hdbscan(pairwise(x, metric="cosine")))
            if net == "trained" and dense:
                row["settings"] = {
                    (size, near): measure(hdbscan(distances, size, min_samples=near))
                    for size in (5, 10, 20)
                    for near in (1, 5, 10)
                }
            rows.append(row)
    return rows


jobs = [
    (name, s, model, net)
    for name in LAYERS
    for s, trained in zip(seeds, protocol.nets(name, seeds, data.mnist5k()), strict=True)
    for net, model in (("trained", trained), ("untrained", zoo.untrained(name, s)))
]
runs = [row for rows in Parallel(n_jobs=2)(delayed(look)(*job) for job in jobs) for row in rows]
# A dense layer has no positions: its whole vector stands for both.
runs += [
    {**row, "space": "one position"}
    for row in runs
    if row["layer"] == "CNN, relu5" and row["space"] == "whole activation"
]
by = {(row["layer"], row["space"], row["net"], row["seed"]): row for row in runs}
for row in runs:
    row["found"] = measure(row["labels"])

# %% [markdown]
# ## Pure, and at what price?
#
# PURE


# %% tags=["hide-input"]
def named(row: dict) -> dict[int, str]:
    """Clusters by name: numbers in the order of their largest digit, then noise."""
    numbers = [k for k in np.unique(row["labels"]) if k >= 0]
    digits = largest(row["labels"], truth)[:, 2]
    ranked = [numbers[place] for place in np.argsort(digits, kind="stable")]
    return {int(k): str(place) for place, k in enumerate(ranked, start=1)} | {-1: "noise"}


KEYS = ["layer", "space", "net"]
dots = pd.DataFrame([{key: row[key] for key in [*KEYS, "seed"]} | row["found"] for row in runs])
counted, shown, used = [], [], set()
pick = np.random.default_rng(1)
for row in [row for row in runs if row["seed"] == seed]:
    key = {name: row[name] for name in KEYS}
    for k, title in sorted(named(row).items()):
        inside = pick.permutation(np.flatnonzero(row["labels"] == k))
        digits, many = np.unique(truth[inside], return_counts=True)
        counted += [
            {**key, "cluster": title, "digit": d, "images": n} for d, n in zip(digits, many, strict=True)
        ]
        # Images that already stand in another cluster come first, so that few have to be stored.
        inside = sorted(inside, key=lambda i: i not in used)[:9]
        used |= set(inside)
        shown += [{**key, "cluster": title, "place": p, "sample": int(i)} for p, i in enumerate(inside)]
stored = sorted(used)
thumbs = pd.DataFrame({"sample": stored, "image": maps.thumbnails(images.images[stored])})
start = [("CNN, relu5", "CNN, relu4"), ("codes",), ("trained",)]


def first(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that the menus open with come first."""
    rank = table["layer"].map(lambda layer: {"CNN, pool3": 0}.get(layer, 1))
    return table.assign(rank=rank).sort_values("rank", kind="stable").drop(columns="rank")


pictures.explorer(
    first(dots)[[*KEYS, "seed", "noise", "monosemantic", "clusters"]],
    pd.DataFrame(counted),
    pd.DataFrame(shown),
    thumbs,
)

# %% [markdown]
# EXPLORED


# %% tags=["hide-input"]
def interval(layer: str, space: str, quantity: str, against: str | None = None) -> tuple[float, float, float]:
    """Mean over seeds of a quantity (trained, or trained minus untrained), with the interval of half-samples."""
    rows = [by[layer, space, "trained", s] for s in seeds]
    value = np.mean([row["found"][quantity] for row in rows])
    halved = np.array([[half[quantity] for half in row["halves"]] for row in rows])
    if against:
        others = [by[layer, space, against, s] for s in seeds]
        value -= np.mean([row["found"][quantity] for row in others])
        halved -= np.array([[half[quantity] for half in row["halves"]] for row in others])
    rng = np.random.default_rng(0)
    nets, sets = halved.shape
    drawn = [halved[rng.integers(nets, size=nets), rng.integers(sets)].mean() for _ in range(2000)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(value), float(min(low, value)), float(max(high, value))


def per_cent(found: tuple[float, float, float]) -> str:
    return f"{found[0]:.0%} [{found[1]:.0%}, {found[2]:.0%}]"


def mean(quantity: str, layer: str, space: str, net: str = "trained") -> float:
    return np.mean([by[layer, space, net, s]["found"][quantity] for s in seeds])


pd.DataFrame(
    {
        f"{layer}; {space}": {
            "monosemantic": per_cent(interval(layer, space, "monosemantic")),
            "noise": per_cent(interval(layer, space, "noise")),
            "clusters": " ".join(str(by[layer, space, "trained", s]["found"]["clusters"]) for s in seeds),
            "mean purity": f"{mean('purity', layer, space):.2f}",
            "classes with a pure cluster": f"{mean('classes', layer, space):.1f}",
        }
        for space in SPACES
        for layer in CASES
    }
).T

# %% [markdown]
# TABLE


# %% tags=["hide-input"]
def shuffled(row: dict) -> list[dict]:
    rng = np.random.default_rng(0)
    return [measure(row["labels"], rng.permutation(truth)) for _ in range(20)]


flat = images.flat
raw = measure(hdbscan(pairwise(flat, metric="l2")))
controls = {
    f"{layer}; {space}": {
        "trained": f"{mean('monosemantic', layer, space):.0%} ({mean('noise', layer, space):.0%})",
        "untrained": f"{mean('monosemantic', layer, space, 'untrained'):.0%} "
        f"({mean('noise', layer, space, 'untrained'):.0%})",
        "shuffled labels": f"{np.mean([m['monosemantic'] for m in shuffled(by[layer, space, 'trained', seed])]):.0%}",
        "classes, trained": f"{mean('classes', layer, space):.1f}",
        "classes, untrained": f"{mean('classes', layer, space, 'untrained'):.1f}",
        "cosine": "–"
        if space == "codes"
        else f"{np.mean([by[layer, space, 'trained', s]['cosine']['monosemantic'] for s in seeds]):.0%} "
        f"({np.mean([by[layer, space, 'trained', s]['cosine']['noise'] for s in seeds]):.0%})",
    }
    for space in SPACES
    for layer in CASES
}
print(
    f"raw pixels: {raw['clusters']} clusters, {raw['monosemantic']:.0%} monosemantic, {raw['noise']:.0%} noise, "
    f"{raw['classes']} classes"
)
pd.DataFrame(controls).T

# %% [markdown]
# CONTROLS

# %% tags=["hide-input"]
settings = [
    ("CNN, relu4", "codes"),
    ("CNN, relu4", "one position"),
    ("CNN, relu4", "whole activation"),
    ("CNN, relu5", "codes"),
    ("CNN, relu5", "whole activation"),
]


def at(layer: str, space: str, key: tuple[int, int]) -> str:
    found = [by[layer, space, "trained", s]["settings"][key] for s in seeds]
    pure, noise = (np.mean([m[quantity] for m in found]) for quantity in ("monosemantic", "noise"))
    return f"{pure:.0%} ({noise:.0%})"


pd.DataFrame(
    {
        f"{layer}; {space}": {
            f"{size} images, {near} near": at(layer, space, (size, near))
            for size in (5, 10, 20)
            for near in (1, 5, 10)
        }
        for layer, space in settings
    }
)

# %% [markdown]
# SETTINGS

# %% tags=["hide-input"]
RULES = ["HDBSCAN", "same images", "densest images", "all images"]


def rival(layer: str, space: str, rule: str) -> str:
    found = [by[layer, space, "trained", s]["kmeans"] for s in seeds]
    purity, pure = np.mean([run[rule] for run in found if run], axis=0)
    return f"{pure:.0%} ({purity:.2f})"


pd.DataFrame(
    {
        f"{layer}; {space}": {
            ("HDBSCAN" if rule == "HDBSCAN" else f"k-means, {rule}"): rival(layer, space, rule)
            for rule in RULES
        }
        for space in ["codes", "whole activation"]
        for layer in CASES
    }
).T

# %% tags=["hide-input"]
rivals = [row for row in runs if row.get("kmeans") and row["space"] in ("codes", "whole activation")]
place = [{key: row[key] for key in ["layer", "space", "seed"]} for row in rivals]
curves = pd.DataFrame(
    [
        {**where, "kept": share, "purity": value}
        for where, row in zip(place, rivals, strict=True)
        for share, value in zip(KEPT, row["kmeans"]["curve"], strict=True)
    ]
)
kept = pd.DataFrame(
    [
        {**where, "kept": 1 - row["found"]["noise"], "purity": row["kmeans"]["HDBSCAN"][0]}
        for where, row in zip(place, rivals, strict=True)
    ]
)
pictures.rejection(curves.sort_values("layer", kind="stable", key=lambda c: c.map(CASES.index)), kept)

# %% [markdown]
# REJECTION


# %% tags=["hide-input"]
def sheet(layer: str, space: str, clusters: int = 5, width: int = 14) -> pd.DataFrame:
    """The purest, the largest and the least pure clusters of one run, and noise."""
    row = by[layer, space, "trained", seed]
    labels = row["labels"]
    size, most, which = largest(labels, truth).T
    ranked = np.argsort(-most / size, kind="stable")
    some = ranked if len(ranked) <= clusters else [*ranked[: clusters - 3], *ranked[-3:]]
    rng = np.random.default_rng(2)
    groups = [
        (
            f"{most[k] / size[k]:.0%} a {which[k]}, {size[k]} images",
            rng.permutation(np.flatnonzero(labels == k)),
        )
        for k in some
    ]
    left_out = rng.permutation(np.flatnonzero(labels < 0))
    groups += [(f"noise, {len(left_out)} images", left_out)]
    return pd.DataFrame(
        [
            {"cluster": title, "place": p, "image": picture}
            for title, inside in groups
            for p, picture in enumerate(maps.thumbnails(images.images[inside[:width]]))
        ]
    )


pictures.contact_sheet(sheet("CNN, relu5", "codes", 7))

# %% [markdown]
# SHEET

# %% [markdown]
# ## Directions
#
# DIRECTIONS


# %% tags=["hide-input"]
KINDS = ["NMF", "NMF, untrained net", "images", "principal components", "units"]


def unit_length(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def directions(s: int, model, layer: str, net: str) -> dict[str, np.ndarray]:
    """Cosines, images × directions, for NMF and (trained nets) for the controls."""
    values = polytopes.from_layer(model, layer, pixels)[1].flatten(1).numpy()
    many = min(64, values.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # 100 rounds; more change the error in its third digit
        nmf = NMF(many, init="nndsvda", max_iter=100, random_state=0).fit(values)
    length = unit_length(values)
    if net == "untrained":
        return {"NMF, untrained net": length @ unit_length(nmf.components_).T}
    rng = np.random.default_rng(s)
    alive = np.flatnonzero((values > 0).sum(axis=0) >= 20)
    chosen = rng.choice(alive, min(many, len(alive)), replace=False)
    centred = unit_length(values - values.mean(axis=0))
    axes = PCA(many // 2, svd_solver="randomized", random_state=0).fit(values).components_
    return {
        "NMF": length @ unit_length(nmf.components_).T,
        "images": length @ length[rng.choice(len(length), many, replace=False)].T,
        "principal components": centred @ np.concatenate([axes, -axes]).T,
        "units": length[:, chosen],
    }


places = [(job, layer) for job in jobs for layer in LAYERS[job[0]] if f"{job[0]}, {layer}" in NMF_LAYERS]
solved = Parallel(n_jobs=2)(delayed(directions)(s, model, layer, net) for (_, s, model, net), layer in places)
cosines = {
    (f"{name}, {layer}", kind, s): values
    for ((name, s, _, _), layer), kinds in zip(places, solved, strict=True)
    for kind, values in kinds.items()
}


def top_share(values: np.ndarray, many: int, classes: np.ndarray = truth) -> np.ndarray:
    """For every direction: the share of the largest class among the images of largest cosine."""
    top = classes[np.argsort(-values, axis=0, kind="stable")[:many]]
    return np.array([np.bincount(column).max() / many for column in top.T])


def passing(layer: str, kind: str, resamples: int = 0) -> np.ndarray:
    """Share of directions that pass (top 20, 80 %), mean over seeds: the value, then resampled."""
    found = [cosines[layer, kind, s] for s in seeds]
    rng = np.random.default_rng(0)
    draws = [np.mean([np.mean(top_share(values, 20) >= 0.8) for values in found])]
    for _ in range(resamples):
        some = rng.integers(len(truth), size=len(truth))
        nets = rng.integers(len(found), size=len(found))
        draws.append(np.mean([np.mean(top_share(found[n][some], 20, truth[some]) >= 0.8) for n in nets]))
    return np.array(draws)


def passing_interval(layer: str, kind: str) -> tuple[float, float, float]:
    value, *draws = passing(layer, kind, 200 if committed else 10)
    low, high = np.quantile(draws, [0.025, 0.975])
    return value, min(low, value), max(high, value)


passed = {(layer, kind): passing_interval(layer, kind) for layer in NMF_LAYERS for kind in KINDS}
pd.DataFrame({kind: {layer: per_cent(passed[layer, kind]) for layer in NMF_LAYERS} for kind in KINDS}).T

# %% [markdown]
# PASSED

# %% tags=["hide-input"]
tops = pd.DataFrame(
    [
        {
            "layer": layer,
            "directions": kind,
            "images": many,
            "share": np.mean([np.mean(top_share(cosines[layer, kind, s], many) >= 0.8) for s in seeds]),
        }
        for layer in NMF_LAYERS
        for kind in KINDS
        for many in TOPS
    ]
)
pictures.top_images(tops)

# %% [markdown]
# TOPS

# %% tags=["hide-input"]
WHOLE, CROP = "all images, whole axis", "the 50 images of largest cosine"
values = cosines["CNN, relu4", "NMF", seed]
quality = top_share(values, 20)
ranked = np.argsort(-quality, kind="stable")
some = ranked[np.linspace(0, len(ranked) - 1, 6).astype(int)]
bars, begins = [], []
for j in some:
    digit = np.bincount(truth[np.argsort(-values[:, j], kind="stable")[:20]]).argmax()
    title = f"number {j}: top 20 {quality[j]:.0%} a {digit}"
    begin = np.sort(values[:, j])[-50]
    begins.append({"direction": title, "cosine": begin})
    for panel, edges in {
        WHOLE: np.linspace(0, 1, 41),
        CROP: np.linspace(begin, values[:, j].max() + 1e-6, 21),
    }.items():
        for d in range(10):
            many = np.histogram(values[truth == d, j], edges)[0]
            bars += [
                {"direction": title, "panel": panel, "low": a, "high": b, "digit": d, "images": int(n)}
                for a, b, n in zip(edges[:-1], edges[1:], many, strict=True)
                if n
            ]
pictures.cropped_axis(pd.DataFrame(bars), pd.DataFrame(begins))

# %% [markdown]
# CROP

# %% [markdown]
# ## Do the directions that mean several things pass through several pure regions?
#
# PREDICTION

# %% tags=["hide-input"]
LAYER = "RES, block2"


def meets(s: int) -> tuple[np.ndarray, np.ndarray, list[str], np.ndarray]:
    """Directions × clusters of codes (noise last): how many of the top 20 lie there; which clusters are pure."""
    row = by[LAYER, "codes", "trained", s]
    names = named(row)
    order = [
        k
        for k, _ in sorted(names.items(), key=lambda item: (item[0] < 0, int(item[1]) if item[0] >= 0 else 0))
    ]
    values = cosines[LAYER, "NMF", s]
    top = row["labels"][np.argsort(-values, axis=0, kind="stable")[:20]]
    counts = np.array([[np.sum(column == k) for k in order] for column in top.T])
    found = {
        int(k): (size, most, digit)
        for k, (size, most, digit) in zip(
            np.unique(row["labels"][row["labels"] >= 0]), largest(row["labels"], truth), strict=True
        )
    }
    titles = [f"{found[k][1] / found[k][0]:.0%} a {found[k][2]}" if k >= 0 else "noise" for k in order]
    pure = np.array([k >= 0 and found[k][1] >= PURE * found[k][0] for k in order])
    return counts, top_share(values, 20), titles, pure


counts, quality, titles, _ = meets(seed)
titles = [f"{number}: {title}" if title != "noise" else title for number, title in enumerate(titles, start=1)]
ranked = np.argsort(-quality, kind="stable")
pictures.overlap_map(
    pd.DataFrame(
        [
            {"direction": place, "cluster": title, "images": int(counts[j, c])}
            for place, j in enumerate(ranked)
            for c, title in enumerate(titles)
        ]
    ),
    pd.DataFrame({"direction": range(len(ranked)), "purity": quality[ranked]}),
)

# %% tags=["hide-input"]
summary = {}
for s in seeds:
    counts, quality, _, pure = meets(s)
    for kind, chosen in (("pass", quality >= 0.8), ("fail", quality < 0.8)):
        part = counts[chosen]
        summary[f"seed {s}, {kind}"] = {
            "directions": int(chosen.sum()),
            "pure clusters met, median": f"{np.median((part[:, pure] >= 2).sum(axis=1)):.0f}",
            "meet two or more": f"{np.mean((part[:, pure] >= 2).sum(axis=1) >= 2):.0%}",
            "top images in pure clusters": f"{part[:, pure].sum() / part.sum():.0%}",
            "top images in noise": f"{part[:, -1].sum() / part.sum():.0%}",
            "noise among all images": f"{by[LAYER, 'codes', 'trained', s]['found']['noise']:.0%}",
        }
pd.DataFrame(summary).T

# %% [markdown]
# OVERLAP


# %% tags=["hide-cell"]
def enter(claim: str, case: str, found: tuple[float, float, float]) -> None:
    ledger.record(claim, case, found, n=len(images), seeds=seeds, data=images)


if committed:
    for case in CASES:
        enter("polytope-8a", case, interval(case, "one position", "monosemantic"))
        enter("polytope-8b", case, interval(case, "codes", "monosemantic"))
    for case in NMF_LAYERS:
        enter("polytope-9", case, passed[case, "NMF"])
    for layer in ("CNN, relu4", "CNN, relu5"):
        for words, space in (("codes", "codes"), ("activations", "one position")):
            enter("ours-cluster-noise", f"{layer}, {words}", interval(layer, space, "noise"))
            lead = interval(layer, space, "monosemantic", against="untrained")
            enter("ours-untrained-clusters", f"{layer}, {words}", lead)

# %% [markdown]
# ## What reproduces, what does not, and why
#
# CLOSING
#
# The cases behind the verdicts:

# %% tags=["hide-cell"]
print(ledger.save())

# %% tags=["hide-input", "hide-output"]
ledger.table()

# %% [markdown]
# ## Exercises
#
# EXERCISES
