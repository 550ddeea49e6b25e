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

_AT_ONCE = 50  # draws, so that their centroids fit


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
    require(8 * n * (3 * n + 12 * _AT_ONCE * 20), f"scores of {n:,} samples", "take fewer samples")
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
    codes, _ = check_labels(labels, len(vectors))
    kept = np.flatnonzero(np.asarray(labels) != -1)
    _, codes = np.unique(codes[kept], return_inverse=True)
    member = np.eye(codes.max() + 1)[codes] if len(kept) else np.zeros((0, 1))
    distance = np.asarray(pairwise(x, metric=resolve_metric(x, metric, code_default="hamming")), np.float64)
    distance, vectors, weights = distance[np.ix_(kept, kept)], vectors[kept], weights[:, kept]
    blocks = np.split(weights, range(_AT_ONCE, len(weights), _AT_ONCE))
    with np.errstate(divide="ignore", invalid="ignore"):  # clusters that a draw leaves empty
        return np.concatenate(
            [
                np.stack(
                    [_silhouette(distance, codes, member, w), *_euclidean(vectors, codes, member, w)], axis=1
                )
                for w in blocks
            ]
        )


def _silhouette(distance, codes, member, w) -> np.ndarray:
    rows, k = np.arange(len(codes)), member.shape[1]
    each = (w.T[:, :, None] * member[:, None, :]).reshape(len(codes), -1)  # samples × (draws · clusters)
    sums = (distance @ each).reshape(len(codes), len(w), k)
    sizes = w @ member
    within = sums[rows, :, codes].T  # draws × samples
    others = sizes[:, codes] - w
    means = np.where(sizes > 0, sums / sizes, np.inf)
    means[rows, :, codes] = np.inf
    nearest = means.min(axis=2).T
    within = within / others
    score = np.where(others > 0, (nearest - within) / np.maximum(nearest, within), 0)
    score = np.where(np.maximum(nearest, within) > 0, score, 0)
    found = (w * score).sum(axis=1) / w.sum(axis=1)
    return np.where(_enough(sizes, w), found, np.nan)


def _euclidean(vectors, codes, member, w) -> tuple[np.ndarray, np.ndarray]:
    """Calinski-Harabasz and Davies-Bouldin, one number per draw."""
    sizes, total = w @ member, w.sum(axis=1)
    k = (sizes > 0).sum(axis=1)
    sums = np.einsum("rn,nk,nd->rkd", w, member, vectors, optimize=True)
    centres = sums / np.maximum(sizes, 1)[:, :, None]
    lengths = np.square(vectors).sum(axis=1)
    own = (sizes * np.square(centres).sum(axis=2)).sum(axis=1)
    between = own - np.square(sums.sum(axis=1)).sum(axis=1) / total
    inside = np.maximum(w @ lengths - own, 0)
    ch = np.where(inside > 0, between * (total - k) / (inside * (k - 1)), 1.0)
    along = np.einsum("nd,rkd->nrk", vectors, centres, optimize=True)[np.arange(len(codes)), :, codes].T
    away = np.sqrt(np.maximum(lengths - 2 * along + np.square(centres).sum(axis=2)[:, codes], 0))
    spread = (w * away) @ member / np.maximum(sizes, 1)
    gaps = np.linalg.norm(centres[:, :, None] - centres[:, None], axis=3)
    ratio = (spread[:, :, None] + spread[:, None]) / np.where(gaps > 0, gaps, np.inf)
    empty = sizes == 0
    ratio[empty[:, :, None] | empty[:, None]] = 0
    db = ratio.max(axis=2).sum(axis=1) / k
    enough = _enough(sizes, w)
    return np.where(enough, ch, np.nan), np.where(enough, db, np.nan)


def _enough(sizes, w) -> np.ndarray:
    """Whether a draw has two clusters or more, and one of more than one sample."""
    clusters = (sizes > 0).sum(axis=1)
    return (clusters > 1) & (clusters < (w > 0).sum(axis=1))
