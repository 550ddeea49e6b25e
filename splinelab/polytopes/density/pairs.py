"""All pairs of one net's images: their polytope densities, and sums of them under resampling."""

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from scipy.stats import ttest_ind

from splinelab.distances import pairwise
from splinelab.distances.operands import packed_bits
from splinelab.errors import InputError

STATISTICS = ("intra", "inter", "ratio", "matched")
CLOSE = 1e-7  # squared distances below this share of the squared lengths lose digits in a matrix product
CHUNK = 1 << 22  # numbers handled at once


class Welch(NamedTuple):
    """Welch's t-test of intra- against inter-class densities over pairs; t < 0 where intra is lower.

    It is here because the source reports it. Pairs share images and are not independent, so that p is too
    small where images differ: in a simulated population an interval made in its way for 90 % held the truth
    in half of the samples of 1,000 images; the bootstrap's did in 95 %.
    """

    t: float
    df: float
    p: float


@dataclass(frozen=True)
class NetDensity:
    """One net's share of a `Density`, without intervals.

    Attributes
    ----------
    intra, inter, ratio, matched : as in `Density`.
    mean : the density that they are divided by, in units that differ per unit of distance.
    welch : `Welch`.
    intra_pairs, inter_pairs : pairs that count.
    equal_codes : how many of them have density 0 (where these are most, ratios rest on a few pairs).
    excluded : pairs of identical activations, which have no density.
    """

    intra: float
    inter: float
    ratio: float
    matched: float
    mean: float
    welch: Welch
    intra_pairs: int
    inter_pairs: int
    equal_codes: int
    excluded: int


class Pairs:
    """All pairs of one net's images: their densities, grouped by kind and by bin of distance."""

    def __init__(
        self, codes: Any, activations: np.ndarray, classes: np.ndarray, bins: int, device: Any
    ) -> None:
        n, self.bins = len(classes), bins
        packed, units = packed_bits(codes, "codes")
        if len(packed) != n:
            raise InputError(f"codes hold {len(packed)} samples, activations {n}: expected the same images")
        one, other = np.triu_indices(n, 1)
        distance = _distances(activations, one, other, device)
        usable = distance > 0
        self.excluded = int((~usable).sum())
        if not usable.any():
            raise InputError(
                "all activations are identical, so that no pair has a distance to divide by: expected "
                "activations that differ between images"
            )
        differing = np.rint(pairwise(codes, metric="hamming", device=device)[one, other] * float(units))
        one, other, distance = one[usable], other[usable], distance[usable]
        self.density = differing[usable] / distance
        same = classes[one] == classes[other]
        if same.all() or not same.any():
            kind = "different-class" if same.all() else "same-class"
            raise InputError(
                f"every {kind} pair has identical activations and no distance to divide by "
                f"({self.excluded} pairs in all): expected some that differ"
            )
        if not self.density.any():
            raise InputError("all codes are equal, so that every density is 0: take codes of more layers")
        edges = np.quantile(distance, np.arange(1, bins) / bins)
        group = np.searchsorted(edges, distance, side="right") + bins * ~same  # intra bins, then inter bins
        order = np.argsort(group, kind="stable")  # in a group pairs stay sorted by their first image
        parts = np.split(order, np.cumsum(np.bincount(group, minlength=2 * bins))[:-1])
        self.groups = [(np.append(0, np.cumsum(np.bincount(one[part], minlength=n))), other[part],
                        self.density[part]) for part in parts]  # fmt: skip
        self.same, self.n = same, n

    def summary(self) -> NetDensity:
        """Values of the whole sample."""
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):  # no variance: t is nan
            test = ttest_ind(self.density[self.same], self.density[~self.same], equal_var=False)
        values = {name: float(value[0]) for name, value in self.statistics(np.ones((self.n, 1))).items()}
        intra = int(self.same.sum())
        return NetDensity(
            **values,
            mean=float(self.density.mean()),
            welch=Welch(float(test.statistic), float(test.df), float(test.pvalue)),
            intra_pairs=intra,
            inter_pairs=len(self.same) - intra,
            equal_codes=int((self.density == 0).sum()),
            excluded=self.excluded,
        )

    def statistics(self, drawn: np.ndarray) -> dict[str, np.ndarray]:
        """Every statistic under multiplicities (float64, images × draws), by name: arrays of draws."""
        total, count = np.zeros((2, 2, self.bins, drawn.shape[1]))  # each: intra and inter × bins × draws
        for group, (starts, columns, values) in enumerate(self.groups):
            if not len(columns):
                continue
            place = divmod(group, self.bins)
            for target, data in ((total, values), (count, np.ones(len(values)))):
                weighted = csr_matrix((data, columns, starts), shape=(self.n, self.n)) @ drawn
                # Σ over pairs of multiplicity · multiplicity · value
                target[place] = np.einsum("ir,ir->r", drawn, weighted)
        with np.errstate(all="ignore"):  # 0/0 where a draw holds no such pair
            means = total.sum(axis=1) / count.sum(axis=1)
            intra, inter = means / (total.sum(axis=(0, 1)) / count.sum(axis=(0, 1)))
            ratio = (total[0] / count[0]) / (total[1] / count[1])
            weight = np.where(np.isfinite(ratio), count[0], 0)
            matched = (np.nan_to_num(ratio, posinf=0) * weight).sum(axis=0) / weight.sum(axis=0)
            return {"intra": intra, "inter": inter, "ratio": means[0] / means[1], "matched": matched}


def _distances(activations: np.ndarray, one: np.ndarray, other: np.ndarray, device: Any) -> np.ndarray:
    """Euclidean distance of each pair, float64; exactly 0 for identical activations and for them alone."""
    distance = pairwise(activations, metric="l2", device=device)[one, other].astype(np.float64)
    # The matrix product behind `pairwise` loses the digits of small differences: take those once more.
    centred = activations - activations.mean(axis=0, dtype=np.float64)
    length = np.einsum("iu,iu->i", centred, centred)
    close = np.flatnonzero(distance**2 <= CLOSE * (length[one] + length[other]))
    step = max(1, CHUNK // activations.shape[1])
    for first in range(0, len(close), step):
        part = close[first : first + step]
        apart = activations[one[part]].astype(np.float64) - activations[other[part]]
        # Scaled, since squares of tiny differences would underflow.
        largest = np.abs(apart).max(axis=1, keepdims=True)
        scaled = np.divide(apart, largest, out=np.zeros_like(apart), where=largest > 0)
        distance[part] = largest[:, 0] * np.sqrt((scaled**2).sum(axis=1))
    return distance
