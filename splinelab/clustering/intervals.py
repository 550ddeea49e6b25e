"""Intervals for the agreement of clusters with classes, over images and nets."""

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
    counts as one more cluster. Each draw takes images with replacement, the same for every name and net;
    clusters stay as they were found. Intervals cover images and nets. As in
    `distances.bootstrap`, a pair of an image with its own copy is left out. The result's statistic is "ari".
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
    n, once = len(classes), np.ones(len(classes))
    nets = {name: np.array([_ari(cell, once) for cell in found]) for name, found in cells.items()}
    draws = {name: np.empty((resamples, len(found))) for name, found in cells.items()}
    rng = np.random.default_rng(seed)
    for draw in range(resamples):
        weights = np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)
        for name, found in cells.items():
            draws[name][draw] = [_ari(cell, weights) for cell in found]
    return Bootstrap(
        values={name: Agreement(float(np.mean(each))) for name, each in nets.items()},
        nets={name: Agreement(each) for name, each in nets.items()},
        draws={name: Agreement(drawn) for name, drawn in draws.items()},
        images=n,
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
