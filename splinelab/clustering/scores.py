"""Intervals for the internal indices of clusters, over images and nets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from splinelab._arguments import check_seed, check_whole
from splinelab._memory import require
from splinelab.clustering.inputs import coordinates, resolve_metric
from splinelab.distances import Bootstrap, pairwise
from splinelab.distances.operands import check_labels
from splinelab.errors import InputError


@dataclass(frozen=True)
class Scores:
    """The three indices (see `clustering.silhouette` and its neighbours); nan for fewer than two clusters."""

    silhouette: float | np.ndarray
    calinski_harabasz: float | np.ndarray
    davies_bouldin: float | np.ndarray


def bootstrap_scores(
    points: Mapping[str, Sequence],
    clusterings: Mapping[str, Sequence[np.ndarray]],
    *,
    metric: str | None = None,
    resamples: int = 200,
    seed: int = 0,
) -> Bootstrap:
    """Image-level paired bootstrap of the silhouette, Calinski-Harabasz and Davies-Bouldin index.

    `points`: name → one SplineCodes or array (samples × units) per net, all of the same images;
    `clusterings`: the same names → one label array each (noise, −1, is left out). `metric` is the
    silhouette's, by default hamming for codes and l2 for vectors; the other two are Euclidean. Each draw
    takes images with replacement, the same for every name and net; clusters stay as they were found. In the
    silhouette a pair of an image with its own copy is left out, as in `distances.bootstrap`. Intervals cover
    images and nets. The result's statistics are "silhouette", "calinski_harabasz" and "davies_bouldin".

    An index belongs to its space: a difference between two representations says which has the larger index,
    not which clusters are better.
    """
    here, there = ({name: len(each) for name, each in given.items()} for given in (points, clusterings))
    if here != there or len({*here.values(), 0}) != 2:
        raise InputError(
            f"points hold the nets {here} and clusterings {there}: expected the same names, "
            "and as many nets for each"
        )
    resamples, seed = check_whole("resamples", resamples, 2), check_seed(seed)
    n = len(next(iter(clusterings.values()))[0])
    require(24 * n**2 + 8 * n * resamples, f"scores of {n:,} samples", "take fewer samples or resamples")
    rng = np.random.default_rng(seed)
    weights = np.vstack(
        [np.ones(n), *(np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(resamples))]
    )
    values, nets, draws = {}, {}, {}
    for name, looks in points.items():
        scored = np.stack(  # draws × nets × indices; the first draw is the whole
            [_scores(x, labels, metric, weights) for x, labels in zip(looks, clusterings[name], strict=True)],
            axis=1,
        )
        nets[name], draws[name] = Scores(*scored[0].T), Scores(*np.moveaxis(scored[1:], 2, 0))
        values[name] = Scores(*map(float, scored[0].mean(axis=0)))
    return Bootstrap(values=values, nets=nets, draws=draws, images=n)


def _scores(x, labels, metric, weights) -> np.ndarray:
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


def _silhouette(distance, groups, weights) -> np.ndarray:
    total = np.zeros(len(weights))
    for own, group in enumerate(groups):
        means, within = [], None
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


def _euclidean(vectors, groups, weights) -> tuple[np.ndarray, np.ndarray]:
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
