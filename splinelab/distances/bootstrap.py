"""Intervals for the ROC-AUC of distances: images are resampled, not pairs, since pairs share images."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from splinelab._arguments import check_seed, check_whole
from splinelab._memory import require
from splinelab.distances.histograms import ClassHistograms
from splinelab.distances.operands import check_matrix
from splinelab.distances.separability import (
    Separability,
    auc_from_counts,
    check_pairs,
    overlap_bins,
    separability,
    summarise,
)
from splinelab.errors import InputError
from splinelab.intervals import Draws, Interval

LEVELS = 2**12  # distances are replaced by at most this many ranks while resampling


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """What `bootstrap` returns.

    Draw i of every name used the same images, so differences are paired, also between two `Bootstrap`s of the
    same images and seed.

    Attributes
    ----------
    values : by name the `Separability`, averaged over nets.
    nets : the same of each net (arrays of their number).
    draws : the same of every resample of the images (arrays resamples × nets).
    images : their number.
    """

    values: dict[str, Separability]
    nets: dict[str, Separability]
    draws: dict[str, Separability]
    images: int

    def of(self, name: str, statistic: str = "auc") -> Draws:
        """A statistic of every net and draw."""
        return Draws(getattr(self.nets[name], statistic), getattr(self.draws[name], statistic), self.images)

    def interval(self, name: str, statistic: str = "auc", level: float = 0.95) -> Interval:
        """The value of a statistic (auc, overlap, d_prime or gap) with its interval over images and nets."""
        return self.of(name, statistic).interval().at(level)

    def difference(
        self, a: str, b: str, statistic: str = "auc", *, other: "Bootstrap | None" = None, level: float = 0.95
    ) -> Interval:
        """The difference a − b of a statistic with its interval.

        With `other`, b is looked up there: the same comparison in another arm, net for net, or on other
        images (which are then drawn independently unless they are the same ones).
        """
        return self.of(a, statistic).minus((other or self).of(b, statistic)).interval().at(level)


@dataclass(frozen=True, eq=False)
class PermutationNull:
    """What `permutation_null` returns: the AUC, that of each shuffle, p = (1 + #(draws ≥ value))/(1 + n)."""

    value: float
    draws: np.ndarray
    p: float


def bootstrap(
    distances: Mapping[str, Any], labels: ArrayLike, *, resamples: int = 400, seed: int = 0
) -> Bootstrap:
    """Image-level paired bootstrap of how well distances separate classes (see `Separability`).

    Each draw takes n images with replacement; a pair of two different images counts as often as its images
    were drawn together (the product of their multiplicities), and a pair of an image with its own copy is
    left out: its distance is 0 by construction and says nothing about the class. With lists, each draw
    measures every net; intervals then cover images and nets (see `intervals.two_level`), and `values` holds
    the mean over nets. A single matrix stands for every net.

    While resampling, distances are replaced by ranks on at most 2¹² levels of equally many pairs. Where
    there are no more distinct distances than that, nothing changes; otherwise pairs that share a level
    count as tied, which moves an AUC by less than 1/2¹² · pairs/(2 · different-class pairs), about
    1.4 · 10⁻⁴ for ten classes. `values` are exact. A draw without a same-class or a different-class pair is
    drawn again. 500 images and 400 resamples take about a second per matrix.

    Parameters
    ----------
    distances : name → n × n matrix, or → a list of such matrices, one per training seed of a net (all of the
        same n images, in the same order).
    labels : one class per image.
    resamples, seed : how often images are drawn, and from which seed.
    """
    if not isinstance(distances, Mapping) or not distances:
        raise InputError(
            "distances must be a non-empty dict of name → n × n matrix (or list of matrices, one per seed)"
        )
    resamples, seed = check_whole("resamples", resamples, 2), check_seed(seed)  # two: for an interval
    stacks = {name: list(d) if isinstance(d, (list, tuple)) else [d] for name, d in distances.items()}
    _check_stacks(stacks)
    n = len(next(iter(stacks.values()))[0])
    codes = check_pairs(labels, n)
    matrices = sum(map(len, stacks.values()))
    require(
        (4 * matrices + 40) * n**2,
        f"the bootstrap of {matrices} matrices of {n:,} × {n:,} distances",
        "take fewer samples; class_histograms and separability of all of them need no matrix",
    )

    ranks = {name: [_Ranks(d, codes) for d in stack] for name, stack in stacks.items()}
    scored = {name: [[astuple(rank.value) for rank in stack]] for name, stack in ranks.items()}
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        pairs, weights = _pairs(drawn_images(rng, codes))
        for name, stack in ranks.items():
            scored[name].append([astuple(rank.draw(pairs, weights)) for rank in stack])
    return gathered(Separability, {name: np.array(rows) for name, rows in scored.items()}, n)


def gathered(kind: type, scored: dict[str, np.ndarray], images: int) -> Bootstrap:
    """The `Bootstrap` of statistics by name, draws × nets × fields of `kind`; draw 0 is the whole sample."""
    nets = {name: kind(*rows[0].T) for name, rows in scored.items()}
    return Bootstrap(
        values={name: kind(*(float(np.mean(net)) for net in vars(of).values())) for name, of in nets.items()},
        nets=nets,
        draws={name: kind(*np.moveaxis(rows[1:], 2, 0)) for name, rows in scored.items()},
        images=images,
    )


def drawn_images(rng: np.random.Generator, codes: np.ndarray) -> np.ndarray:
    """How often each image of a draw with replacement was drawn. Draws without a same-class or a
    different-class pair are drawn again."""
    n = len(codes)
    while True:
        weights = np.bincount(rng.integers(n, size=n), minlength=n)
        sizes = np.bincount(codes[weights > 0])
        if (sizes > 1).any() and (sizes > 0).sum() > 1:
            return weights


def permutation_null(
    distances: ArrayLike, labels: ArrayLike, *, permutations: int = 200, seed: int = 0
) -> PermutationNull:
    """ROC-AUC of an n × n matrix under shuffled labels: where no class structure lies."""
    permutations, seed = check_whole("permutations", permutations), check_seed(seed)
    distances = check_matrix(distances)
    codes = check_pairs(labels, len(distances))
    value = separability(distances, codes).auc
    level, levels = _levels(distances)
    count = len(levels)
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
    """One matrix as ranks with the class relation folded in: one weighted count per draw gives all."""

    def __init__(self, distances: Any, codes: np.ndarray) -> None:
        histogram = ClassHistograms.from_matrix(distances, codes)
        self.value = separability(histogram)
        level, self.values = _levels(distances)
        self.count, self.bins = len(self.values), overlap_bins(self.values)
        # count levels for different-class pairs, then as many for same-class pairs.
        level += self.count * (codes[:, None] == codes)
        self.level = torch.from_numpy(level.reshape(-1))

    def draw(self, pairs: torch.Tensor, weights: torch.Tensor) -> Separability:
        counts = torch.bincount(self.level[pairs], weights, 2 * self.count).numpy()
        return summarise(self.values, self.bins, counts[self.count :], counts[: self.count])


def _levels(distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranks (int32 n × n, symmetric, read above the diagonal) on at most LEVELS levels, and each level's
    mean distance."""
    n = len(distances)
    above = np.triu(np.ones((n, n), bool), 1)
    values, rank = np.unique(distances[above], return_inverse=True)
    rank = rank.reshape(-1)
    total = np.bincount(rank)
    of_value = np.arange(len(values))
    if len(values) > LEVELS:
        of_value = (np.cumsum(total) - total) * LEVELS // total.sum()  # equally many pairs on each level
        _, of_value = np.unique(of_value, return_inverse=True)
    level = np.zeros((n, n), np.int32)
    level[above] = of_value[rank]
    means = np.bincount(of_value, total * values.astype(np.float64)) / np.bincount(of_value, total)
    return np.maximum(level, level.T), means


def _pairs(weights: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """The pairs of different images of a draw (as places in the flat n × n matrix), and how often each was
    drawn: once for all matrices."""
    images = np.flatnonzero(weights)
    one, other = torch.triu_indices(len(images), len(images), 1)
    weight, place = torch.from_numpy(weights[images]).double(), torch.from_numpy(images)
    return place[one] * len(weights) + place[other], weight[one] * weight[other]


def _check_stacks(stacks: dict[str, list]) -> None:
    shapes: set[tuple] = set()
    lengths: set[int] = set()
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
