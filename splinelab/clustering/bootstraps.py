"""Intervals for the agreement of clusters with classes and for the internal indices, over images and nets.

Clusters stay as they were found: what is drawn, with replacement, are images, the same for every name and
net. A pair of an image with its own copy is left out, as in `distances.bootstrap`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from splinelab._arguments import check_seed, check_whole
from splinelab._memory import require
from splinelab.clustering.inputs import coordinates, resolve_metric
from splinelab.distances import Bootstrap, pairwise
from splinelab.distances.bootstrap import gathered
from splinelab.distances.operands import check_labels
from splinelab.errors import InputError


@dataclass(frozen=True)
class Agreement:
    """The adjusted Rand index of clusters and classes: 1 where they are the same, 0 by chance."""

    ari: float | np.ndarray


@dataclass(frozen=True)
class Scores:
    """The three indices (see `clustering.silhouette` and its neighbours); nan for fewer than two clusters."""

    silhouette: float | np.ndarray
    calinski_harabasz: float | np.ndarray
    davies_bouldin: float | np.ndarray


def bootstrap_ari(
    clusterings: Mapping[str, list[np.ndarray]], truth: np.ndarray, *, resamples: int = 400, seed: int = 0
) -> Bootstrap:
    """Image-level paired bootstrap of the adjusted Rand index. The result's statistic is "ari".

    Parameters
    ----------
    clusterings : name → one label array (samples) per training seed, all of the same images; noise (−1)
        counts as one more cluster.
    truth : one class per sample.
    resamples, seed : how often images are drawn, and from which seed.
    """
    if not clusterings or not all(clusterings.values()):
        raise InputError("clusterings must map at least one name to a list of label arrays, one per seed")
    seeds = {len(found) for found in clusterings.values()}
    if len(seeds) > 1:
        raise InputError(f"names hold {sorted(seeds)} seeds: expected the same number for every name")
    truth = np.atleast_1d(np.asarray(truth))
    classes = check_labels(truth, len(truth))[0]
    weights = _weights(len(classes), resamples, seed)
    scored = {
        name: np.array([[[_ari(cells, row)] for cells in found] for row in weights])
        for name, found in (
            (name, [_cells(labels, classes) for labels in found]) for name, found in clusterings.items()
        )
    }
    return gathered(Agreement, scored, len(classes))


def bootstrap_scores(
    points: Mapping[str, Sequence],
    clusterings: Mapping[str, Sequence[np.ndarray]],
    *,
    metric: str | None = None,
    resamples: int = 200,
    seed: int = 0,
) -> Bootstrap:
    """Image-level paired bootstrap of the silhouette, Calinski-Harabasz and Davies-Bouldin index.

    The result's statistics are "silhouette", "calinski_harabasz" and "davies_bouldin". An index belongs to
    its space: a difference between two representations says which has the larger index, not which clusters
    are better.

    Parameters
    ----------
    points : name → one SplineCodes or array (samples × units) per net, all of the same images.
    clusterings : the same names → one label array each (noise, −1, is left out).
    metric : the silhouette's, by default hamming for codes and l2 for vectors; the other two are Euclidean.
    resamples, seed : how often images are drawn, and from which seed.
    """
    here, there = ({name: len(each) for name, each in given.items()} for given in (points, clusterings))
    if here != there or len({*here.values(), 0}) != 2:
        raise InputError(
            f"points hold the nets {here} and clusterings {there}: expected the same names, "
            "and as many nets for each"
        )
    n = len(next(iter(clusterings.values()))[0])
    resamples = check_whole("resamples", resamples, 2)
    require(24 * n**2 + 8 * n * resamples, f"scores of {n:,} samples", "take fewer samples or resamples")
    weights = _weights(n, resamples, seed)
    scored = {
        name: np.stack(
            [_scores(x, labels, metric, weights) for x, labels in zip(looks, clusterings[name], strict=True)],
            axis=1,
        )
        for name, looks in points.items()
    }
    return gathered(Scores, scored, n)


def _weights(n: int, resamples: int, seed: int) -> np.ndarray:
    """How often each image counts, float64, (1 + resamples) × images: first all of them once."""
    rng = np.random.default_rng(check_seed(seed))
    draws = range(check_whole("resamples", resamples, 2))
    return np.vstack([np.ones(n), *(np.bincount(rng.integers(n, size=n), minlength=n) for _ in draws)])


def _cells(labels: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each sample its cluster, its class and its cell of the contingency table."""
    clusters = check_labels(labels, len(classes))[0]
    return clusters, classes, clusters * (classes.max() + 1) + classes


def _ari(cells: tuple[np.ndarray, np.ndarray, np.ndarray], weights: np.ndarray) -> float:
    """Hubert and Arabie's index with weighted samples; pairs of a sample with itself do not count."""
    own = (weights**2).sum()

    def pairs(groups: np.ndarray) -> float:
        return ((np.bincount(groups, weights) ** 2).sum() - own) / 2

    same_cluster, same_class, same_both = map(pairs, cells)
    total = (weights.sum() ** 2 - own) / 2
    chance = same_cluster * same_class / total
    best = (same_cluster + same_class) / 2
    return float((same_both - chance) / (best - chance)) if best != chance else 1.0


def _scores(x: Any, labels: Any, metric: str | None, weights: np.ndarray) -> np.ndarray:
    """Draws × (silhouette, Calinski-Harabasz, Davies-Bouldin) under `weights`, draws × samples."""
    vectors = np.asarray(coordinates(x)[0], np.float64)
    check_labels(labels, len(vectors))
    labels = np.asarray(labels)
    distance = np.asarray(pairwise(x, metric=resolve_metric(x, metric, code_default="hamming")), np.float64)
    groups = [np.flatnonzero(labels == one) for one in np.unique(labels[labels != -1])]
    if len(groups) < 2:
        return np.full((len(weights), 3), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):  # clusters that a draw leaves empty
        scored = [_silhouette(distance, groups, weights), *_euclidean(vectors, groups, weights)]
    sizes = np.stack([weights[:, group].sum(axis=1) for group in groups], axis=1)
    different = (weights[:, labels != -1] > 0).sum(axis=1)
    clusters = (sizes > 0).sum(axis=1)
    enough = (clusters > 1) & (
        clusters < different
    )  # two clusters or more, one of them of more than one sample
    return np.where(enough[:, None], np.stack(scored, axis=1), np.nan)


def _silhouette(distance: Any, groups: list[np.ndarray], weights: np.ndarray) -> np.ndarray:
    total = np.zeros(len(weights))
    for own, group in enumerate(groups):
        means, within = [], np.zeros(0)
        for place, other in enumerate(groups):
            sums = weights[:, other] @ distance[np.ix_(other, group)]  # draws × samples of the group
            size = weights[:, other].sum(axis=1, keepdims=True)
            if place == own:
                others = size - weights[:, group]
                within = np.where(others > 0, sums / others, np.nan)  # alone in its cluster: it scores 0
            else:
                means.append(np.where(size > 0, sums / size, np.inf))
        nearest = np.minimum.reduce(means)
        total += (weights[:, group] * np.nan_to_num((nearest - within) / np.maximum(nearest, within))).sum(
            axis=1
        )
    return total / sum(weights[:, group].sum(axis=1) for group in groups)


def _euclidean(vectors: Any, groups: list[np.ndarray], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Calinski-Harabasz and Davies-Bouldin, one number per draw."""
    sizes = np.stack([weights[:, group].sum(axis=1) for group in groups], axis=1)
    sums = np.stack([weights[:, group] @ vectors[group] for group in groups], axis=1)
    centres = sums / np.maximum(sizes, 1)[:, :, None]
    squares = np.square(centres).sum(axis=2)
    inside, spread = np.zeros(len(weights)), np.zeros(sizes.shape)
    for place, group in enumerate(groups):
        along = centres[:, place] @ vectors[group].T
        away = np.maximum(np.square(vectors[group]).sum(axis=1) - 2 * along + squares[:, place, None], 0)
        inside += (weights[:, group] * away).sum(axis=1)
        spread[:, place] = (weights[:, group] * np.sqrt(away)).sum(axis=1) / np.maximum(sizes[:, place], 1)
    count, total = (sizes > 0).sum(axis=1), sizes.sum(axis=1)
    middle = sums.sum(axis=1) / total[:, None]
    between = (sizes * np.square(centres - middle[:, None]).sum(axis=2)).sum(axis=1)
    ch = np.where(inside > 0, between * (total - count) / (inside * (count - 1)), 1.0)
    gaps = squares[:, :, None] + squares[:, None] - 2 * centres @ np.swapaxes(centres, 1, 2)
    gaps = np.sqrt(np.where(gaps > 0, gaps, np.inf))
    ratio = (spread[:, :, None] + spread[:, None]) / gaps
    ratio[:, range(len(groups)), range(len(groups))] = 0
    empty = sizes == 0
    ratio[empty[:, :, None] | empty[:, None]] = 0
    return ch, ratio.max(axis=2).sum(axis=1) / count
