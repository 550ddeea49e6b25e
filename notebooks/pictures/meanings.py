"""What chapter 6 counts: clusters of a net's codes and activations, rivals of theirs, and directions.

Labels of clusters are numbers, −1 for noise; `truth` is the class of each image.
"""

import warnings

import numpy as np
import torch
from sklearn.decomposition import NMF, PCA
from sklearn.exceptions import ConvergenceWarning

from splinelab import clustering, polytopes, record
from splinelab.distances import pairwise
from splinelab.intervals import Draws

__all__ = [
    "KEPT",
    "LAYERS",
    "PURE",
    "directions",
    "largest",
    "look",
    "measure",
    "meets",
    "passing",
    "sheet",
    "top_share",
]

LAYERS = {"CNN": ("pool2", "pool3", "relu4", "relu5"), "RES": ("block1", "block2")}
PURE, SIZE = 0.9, 10  # both declared before any label was looked at
KEPT = np.arange(0.1, 1.01, 0.1)


def largest(labels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Of every cluster that is not noise: its images, how many of them are of its largest class, and which."""
    counted = [np.bincount(truth[labels == k]) for k in np.unique(labels[labels >= 0])]
    return np.array([(c.sum(), c.max(), c.argmax()) for c in counted]).reshape(-1, 3)


def measure(labels: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """What one clustering is judged by; without any cluster, all but the noise is 0."""
    size, most, which = largest(labels, truth).T
    pure = most >= PURE * size
    return {
        "monosemantic": pure.mean() if len(size) else 0.0,
        "clusters": len(size),
        "noise": np.mean(labels < 0),
        "classes": len(set(which[pure])),
    }


def _hdbscan(distances: np.ndarray, size: int = SIZE) -> np.ndarray:
    return clustering.cluster(distances, "hdbscan", metric="precomputed", min_cluster_size=size)


def _spaces(model, layer: str, pixels: torch.Tensor) -> dict[str, tuple]:
    """Three ways to look at a layer: codes from there to the output, one position, the whole activation."""
    rest, activations = polytopes.from_layer(model, layer, pixels)
    seen = {"codes": (record(rest, activations).codes, "hamming")}
    values = activations.numpy()
    if values.ndim == 4:
        middle = values.shape[-1] // 2
        seen["one position"] = (values[:, :, middle, middle], "l2")
    return seen | {"whole activation": (values.reshape(len(values), -1), "l2")}


def _kept_purity(labels: np.ndarray, kept: np.ndarray, truth: np.ndarray) -> float:
    """Share of the kept images that belong to the largest class of their cluster."""
    return float(largest(labels[kept], truth[kept])[:, 1].sum() / kept.sum())


def _against_kmeans(x, distances: np.ndarray, labels: np.ndarray, truth: np.ndarray) -> dict:
    """Purity of HDBSCAN and of k-means with as many clusters: on the images that HDBSCAN kept, and on the densest
    ones, for each share of `KEPT`."""
    k, kept = len(set(labels) - {-1}), labels >= 0
    if not k:
        return {}
    points = x.bits().astype(np.float32) if hasattr(x, "bits") else x
    every = clustering.cluster(points, "kmeans", k=k, n_init=2)
    same = clustering.cluster(points[kept], "kmeans", k=k, n_init=2)
    core = np.partition(distances, 5, axis=1)[:, 5]  # distance to the fifth neighbour, as HDBSCAN has it
    rank = np.argsort(np.argsort(core, kind="stable"))
    return {
        "HDBSCAN": _kept_purity(labels, kept, truth),
        "same images": largest(same, truth[kept])[:, 1].sum() / kept.sum(),
        "pure, same images": measure(same, truth[kept])["monosemantic"],
        "curve": [_kept_purity(every, rank < share * len(rank), truth) for share in KEPT],
    }


def look(name: str, model, net: str, seed: int, pixels, truth: np.ndarray, halves: list) -> list[dict]:
    """Everything about the clusters of one net ("trained" or "untrained"): a row for each layer and space, with the
    same measures of half-samples, clustered again with half the smallest size."""
    rows = []
    for layer in LAYERS[name]:
        for space, (x, metric) in _spaces(model, layer, pixels).items():
            distances = pairwise(x, metric=metric)
            labels = _hdbscan(distances)
            row = {"layer": f"{name}, {layer}", "space": space, "net": net, "seed": seed, "labels": labels}
            row |= measure(labels, truth)
            row["halves"] = [
                measure(_hdbscan(distances[np.ix_(half, half)], SIZE // 2), truth[half]) for half in halves
            ]
            if net == "trained" and space != "one position":
                row["kmeans"] = _against_kmeans(x, distances, labels, truth)
            rows.append(row)
            if layer == "relu5" and space == "whole activation":  # no positions: the vector stands for both
                rows.append({**row, "space": "one position"})
    return rows


def sheet(labels: np.ndarray, truth: np.ndarray, clusters: int, width: int) -> list[tuple[str, np.ndarray]]:
    """The purest clusters, the three least pure, and noise: a title and `width` images drawn by seed, each."""
    size, most, which = largest(labels, truth).T
    ranked = np.argsort(-most / size, kind="stable")
    some = ranked if len(ranked) <= clusters else [*ranked[: clusters - 3], *ranked[-3:]]
    groups = [(f"{most[k] / size[k]:.0%} a {which[k]}, {size[k]} images", labels == k) for k in some]
    groups.append((f"noise, {np.sum(labels < 0)} images", labels < 0))
    rng = np.random.default_rng(2)
    return [(title, rng.permutation(np.flatnonzero(inside))[:width]) for title, inside in groups]


def _unit_length(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def directions(model, layer: str, net: str, seed: int, pixels, rounds: int) -> dict[str, np.ndarray]:
    """Cosines, images × directions, for NMF and (trained nets) for the controls."""
    # In float64: NMF is stopped before it settles, and float32 would show the processor's rounding.
    values = polytopes.from_layer(model, layer, pixels)[1].flatten(1).double().numpy()
    many = min(64, values.shape[1])
    with warnings.catch_warnings():  # 100 rounds; more change the error in its third digit
        warnings.simplefilter("ignore", ConvergenceWarning)
        nmf = NMF(many, init="nndsvda", max_iter=rounds, random_state=0).fit(values)
    length = _unit_length(values)
    if net == "untrained":
        return {"NMF, untrained net": length @ _unit_length(nmf.components_).T}
    rng = np.random.default_rng(seed)
    alive = np.flatnonzero((values > 0).sum(axis=0) >= 20)
    chosen = rng.choice(alive, min(many, len(alive)), replace=False)
    centred = _unit_length(values - values.mean(axis=0))
    axes = PCA(many // 2, svd_solver="randomized", random_state=0).fit(values).components_
    return {
        "NMF": length @ _unit_length(nmf.components_).T,
        "images": length @ length[rng.choice(len(length), many, replace=False)].T,
        "principal components": centred @ np.concatenate([axes, -axes]).T,
        "units": length[:, chosen],
    }


def top_share(values: np.ndarray, many: int, truth: np.ndarray) -> np.ndarray:
    """For every direction: the share of the largest class among its `many` images of largest cosine."""
    top = truth[np.argsort(-values, axis=0, kind="stable")[:many]]
    return np.array([np.bincount(column).max() / many for column in top.T])


def passing(cosines: list[np.ndarray], truth: np.ndarray, halves: list[np.ndarray]) -> Draws:
    """Share of each net's directions (images × directions) whose 20 nearest images are to 80 % of one class; and of
    half-samples, where the nearest 10 are asked."""
    nets = [np.mean(top_share(values, 20, truth) >= 0.8) for values in cosines]
    halved = [[np.mean(top_share(v[half], 10, truth[half]) >= 0.8) for v in cosines] for half in halves]
    return Draws(np.array(nets), np.array(halved), len(truth))


def meets(
    labels: np.ndarray, cosines: np.ndarray, truth: np.ndarray
) -> tuple[np.ndarray, list[str], np.ndarray, np.ndarray]:
    """Where the 20 nearest images of directions lie among clusters.

    Returns directions × clusters (noise last), the clusters' titles, the share of the largest class of each
    direction, and of how many digits it meets pure clusters, with two images or more.
    """
    held = largest(labels, truth)
    ranked = np.argsort(held[:, 2], kind="stable")
    numbers = np.append(np.unique(labels[labels >= 0])[ranked], -1)
    top = labels[np.argsort(-cosines, axis=0, kind="stable")[:20]]
    counts = (top[..., None] == numbers).sum(axis=0)
    size, most, digit = held[ranked].T
    titles = [f"{n}: {p:.0%} a {d}" for n, (p, d) in enumerate(zip(most / size, digit, strict=True), start=1)]
    pure = most >= PURE * size
    met = sum((counts[:, :-1][:, pure & (digit == d)].sum(axis=1) >= 2).astype(int) for d in range(10))
    return counts, [*titles, "noise"], top_share(cosines, 20, truth), met
