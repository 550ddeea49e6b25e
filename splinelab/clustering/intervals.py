"""Intervals for the agreement of clusters with classes: images are resampled, and seeds with them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from splinelab._arguments import check_seed, check_whole
from splinelab.distances import Bootstrap
from splinelab.distances.operands import check_labels
from splinelab.errors import InputError


@dataclass(frozen=True)
class Agreement:
    """The adjusted Rand index of clusters and classes: 1 where they are the same, 0 by chance."""

    ari: float | np.ndarray


def bootstrap_ari(
    clusterings: Mapping[str, list[np.ndarray]], truth: np.ndarray, *, resamples: int = 400, seed: int = 0
) -> Bootstrap:
    """Image-level paired bootstrap of the adjusted Rand index.

    `clusterings`: name → one label array (samples) per training seed, all of the same images; noise (−1)
    counts as one more cluster. Each draw takes images and seeds with replacement, the same for every name;
    clusters stay as they were found. As in `distances.bootstrap`, a pair of an image with its own copy is
    left out. The result's statistic is "ari".
    """
    if not clusterings or not all(clusterings.values()):
        raise InputError("clusterings must map at least one name to a list of label arrays, one per seed")
    seeds = {len(found) for found in clusterings.values()}
    if len(seeds) > 1:
        raise InputError(f"names hold {sorted(seeds)} seeds: expected the same number for every name")
    resamples, seed = check_whole("resamples", resamples, 2), check_seed(seed)
    truth = np.atleast_1d(np.asarray(truth))
    classes = check_labels(truth, len(truth))[0]
    cells = {name: [_cells(labels, classes) for labels in found] for name, found in clusterings.items()}
    n, runs = len(classes), seeds.pop()
    once = np.ones(n)
    values = {name: float(np.mean([_ari(cell, once) for cell in found])) for name, found in cells.items()}
    draws = {name: np.empty(resamples) for name in cells}
    rng = np.random.default_rng(seed)
    for draw in range(resamples):
        weights = np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)
        chosen = rng.integers(runs, size=runs)
        for name, found in cells.items():
            each = {run: _ari(found[run], weights) for run in set(chosen.tolist())}
            draws[name][draw] = np.mean([each[run] for run in chosen])
    return Bootstrap(
        {name: Agreement(value) for name, value in values.items()},
        {name: Agreement(drawn) for name, drawn in draws.items()},
    )


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
