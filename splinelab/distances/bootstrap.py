"""Intervals for the ROC-AUC of distances: images are resampled, not pairs, since pairs share images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import norm

from splinelab.distances.histograms import check_matrix
from splinelab.distances.separability import auc_from_counts, check_pairs
from splinelab.errors import InputError

LEVELS = 2**15  # distances are replaced by at most this many ranks while resampling


class Difference(NamedTuple):
    """A difference of two AUCs: its value, its interval and a two-sided p against no difference."""

    value: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """What `bootstrap` returns: `values[name]`, the exact AUC, and `draws[name]`, the AUC of each resample.

    Draw i of every name used the same images (and the same seeds): differences are paired.
    """

    values: dict[str, float]
    draws: dict[str, np.ndarray]

    def interval(self, name, level=0.95):
        """The percentile interval (low, high) that holds `level` of the draws."""
        return _interval(self.draws[name], level)

    def difference(self, a, b, level=0.95):
        """`Difference` of the AUCs a − b; p by normal approximation with the sd of the draws."""
        value, draws = self.values[a] - self.values[b], self.draws[a] - self.draws[b]
        sd = draws.std(ddof=1)
        p = 2 * norm.sf(abs(value) / sd) if sd > 0 else float(value == 0)
        return Difference(float(value), *_interval(draws, level), float(p))


@dataclass(frozen=True, eq=False)
class PermutationNull:
    """What `permutation_null` returns: the AUC, that of each shuffle, p = (1 + #(draws ≥ value))/(1 + n)."""

    value: float
    draws: np.ndarray
    p: float


def bootstrap(distances, labels, *, resamples=400, seed=0):
    """Image-level paired bootstrap of the ROC-AUC of different-class over same-class pairs.

    `distances`: name → n × n matrix, or → a list of such matrices, one per training seed of a net (all of
    the same n images, in the same order). Each draw takes n images with replacement; a pair of two
    different images counts as often as its images were drawn together (the product of their
    multiplicities), and a pair of an image with its own copy is left out: its distance is 0 by
    construction and says nothing about the class. With lists, each draw also takes as many seeds with
    replacement, the same for every name, and averages their AUCs: the interval then covers images and
    seeds, and `values` holds the mean over seeds. A single matrix stands for every seed.

    While resampling, distances are replaced by ranks on at most 2¹⁵ levels of equally many pairs. Where
    there are no more distinct distances than that, nothing changes; otherwise pairs that share a level
    count as tied, which moves an AUC by less than 1/2¹⁵ · pairs/(2 · different-class pairs), about 2 ·
    10⁻⁵ for ten classes. `values` are exact. A draw without a same-class or a different-class pair is
    drawn again.

    1000 images and 400 resamples take about a second per matrix.
    """
    if not isinstance(distances, Mapping) or not distances:
        raise InputError(
            "distances must be a non-empty dict of name → n × n matrix (or list of matrices, one per seed)"
        )
    if resamples < 2:
        raise InputError(f"resamples is {resamples}: expected at least 2, for an interval")
    stacks = {name: list(d) if isinstance(d, (list, tuple)) else [d] for name, d in distances.items()}
    seeds = _check_stacks(stacks)
    n = len(next(iter(stacks.values()))[0])
    codes = check_pairs(labels, n)

    ranks = {name: [_Ranks(d, codes) for d in stack] for name, stack in stacks.items()}
    values = {name: float(np.mean([r.value for r in stack])) for name, stack in ranks.items()}
    draws = {name: np.empty(resamples) for name in stacks}
    rng = np.random.default_rng(seed)
    for i in range(resamples):
        images, weights = _draw(rng, codes)
        chosen = np.bincount(rng.integers(seeds, size=seeds), minlength=seeds)
        for name, stack in ranks.items():
            take = chosen if len(stack) > 1 else [1]
            aucs = [r.auc(images, weights) if times else 0.0 for r, times in zip(stack, take, strict=True)]
            draws[name][i] = np.dot(aucs, take) / np.sum(take)
    return Bootstrap(values, draws)


def permutation_null(distances, labels, *, permutations=200, seed=0):
    """ROC-AUC of an n × n matrix under shuffled labels: where no class structure lies."""
    if permutations < 1:
        raise InputError(f"permutations is {permutations}: expected at least 1")
    distances = check_matrix(distances)
    codes = check_pairs(labels, len(distances))
    level, count, value = _levels(distances, codes)
    total = np.bincount(level[np.triu_indices(len(level), 1)], minlength=count)
    rng = np.random.default_rng(seed)
    draws = np.empty(permutations)
    for i in range(permutations):
        order = rng.permutation(len(codes))
        intra = np.zeros(count, np.int64)
        for members in np.split(order, np.cumsum(np.bincount(codes))[:-1]):
            block = level[np.ix_(members, members)]
            intra += np.bincount(block[np.triu_indices(len(members), 1)], minlength=count)
        draws[i] = auc_from_counts(intra, total - intra)
    return PermutationNull(value, draws, float((1 + (draws >= value).sum()) / (1 + permutations)))


class _Ranks:
    """One matrix as ranks with the class relation folded in: one weighted count per draw gives the AUC."""

    def __init__(self, distances, codes):
        level, self.count, self.value = _levels(distances, codes)
        # count levels for different-class pairs, as many for same-class pairs, one for the diagonal.
        level += self.count * (codes[:, None] == codes)
        np.fill_diagonal(level, 2 * self.count)
        self.level = torch.from_numpy(level)

    def auc(self, images, weights):
        level = self.level[images][:, images].reshape(-1)
        pairs = torch.outer(weights, weights).reshape(-1)
        counts = torch.bincount(level, pairs, 2 * self.count + 1).numpy()
        return auc_from_counts(counts[self.count : -1], counts[: self.count])


def _levels(distances, codes):
    """Ranks (int32 n × n, symmetric, read above the diagonal) on at most LEVELS levels, their number, and the
    exact AUC before any rounding to levels."""
    n = len(distances)
    above = np.triu(np.ones((n, n), bool), 1)
    values, rank = np.unique(distances[above], return_inverse=True)
    rank = rank.reshape(-1)
    total = np.bincount(rank)
    intra = np.bincount(rank[(codes[:, None] == codes)[above]], minlength=len(values))
    exact = float(auc_from_counts(intra, total - intra))
    of_value = np.arange(len(values))
    if len(values) > LEVELS:
        of_value = (np.cumsum(total) - total) * LEVELS // total.sum()  # equally many pairs on each level
        _, of_value = np.unique(of_value, return_inverse=True)
    level = np.zeros((n, n), np.int32)
    level[above] = of_value[rank]
    return np.maximum(level, level.T), int(of_value[-1]) + 1, exact


def _draw(rng, codes):
    """The distinct images of one draw with replacement, and how often each was drawn."""
    while True:
        weights = np.bincount(rng.integers(len(codes), size=len(codes)), minlength=len(codes))
        images = np.flatnonzero(weights)
        sizes = np.bincount(codes[images])
        if (sizes > 1).any() and (sizes > 0).sum() > 1:
            return torch.from_numpy(images), torch.from_numpy(weights[images]).double()


def _check_stacks(stacks):
    shapes, lengths = set(), set()
    for name, stack in stacks.items():
        if not stack:
            raise InputError(f"distances[{name!r}] is an empty list: expected one matrix per seed")
        shapes.update(check_matrix(d, f"distances[{name!r}]").shape for d in stack)
        lengths.add(len(stack))
    if len(shapes) > 1:
        raise InputError(
            f"matrices have shapes {sorted(shapes)}: expected the same images for every name and seed"
        )
    if len(lengths - {1}) > 1:
        raise InputError(
            f"names hold {sorted(lengths)} seeds: expected the same number for every name, or one matrix"
        )
    return max(lengths)


def _interval(draws, level):
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
