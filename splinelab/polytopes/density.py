"""Polytope density: in how many units two spline codes differ for each unit of distance between activations.

Black, Sharkey et al. (2022), "Interpreting Neural Networks through the Polytope Lens", compare it between
images of the same class and of different classes. Images are resampled here, not pairs, which share images.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from splinelab.distances import Difference
from splinelab.distances.separability import check_pairs
from splinelab.errors import InputError
from splinelab.polytopes.pairs import STATISTICS, NetDensity, Pairs, Welch, multiplicities

__all__ = ["Density", "Estimate", "NetDensity", "Welch", "density"]


class Estimate(NamedTuple):
    """A value with the interval that holds `level` of the resamples."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Density:
    """What `density` returns. Each statistic is an `Estimate` and a mean over nets.

    - intra, inter: mean density of same-class and different-class pairs, divided by the mean of all pairs;
    - ratio: intra / inter;
    - matched: the same among pairs equally far apart. Pairs fall into quantile bins of their Euclidean
      distance (the bins of the whole sample, in every resample too); in each bin the mean intra density is
      divided by the mean inter density; the bins' ratios are averaged with the number of intra pairs as
      weights. A bin that lacks either kind, or whose inter density is 0, is left out. nan if none is left.

    `nets` holds a `NetDensity` for each net. `draws[statistic]` are the resamples' values: draw i took the
    same images for every `Density` of the same seed, number of images and labels, and the same nets too
    where their number is equal, so that differences are paired.
    """

    intra: Estimate
    inter: Estimate
    ratio: Estimate
    matched: Estimate
    nets: tuple[NetDensity, ...]
    draws: dict[str, np.ndarray]
    level: float
    images: int

    @property
    def excluded(self) -> int:
        """Pairs of identical activations, over all nets."""
        return sum(net.excluded for net in self.nets)

    def difference(self, other, statistic: str = "ratio", *, level: float | None = None) -> Difference:
        """This minus `other`, a `Density` (another layer, an untrained net) or a number (1: no difference
        between intra and inter), as `distances.Difference`: p by normal approximation with the sd of the
        draws. Raises `InputError` for an unknown statistic or another number of resamples.
        """
        if statistic not in STATISTICS:
            raise InputError(f"unknown statistic {statistic!r}: expected one of {', '.join(STATISTICS)}")
        value, draws = getattr(self, statistic).value, self.draws[statistic]
        if isinstance(other, Density):
            if len(other.draws[statistic]) != len(draws):
                raise InputError(
                    f"the two have {len(draws)} and {len(other.draws[statistic])} resamples: expected as many"
                )
            value, draws = value - getattr(other, statistic).value, draws - other.draws[statistic]
        else:
            value, draws = value - float(other), draws - float(other)
        sd = np.nanstd(draws, ddof=1)
        p = 2 * norm.sf(abs(value) / sd) if sd > 0 else float(value == 0)
        return Difference(*_estimate(value, draws, self.level if level is None else level), float(p))


def density(
    codes, activations, labels, *, bins: int = 20, resamples: int = 300, level: float = 0.99, seed: int = 0,
    device="cpu",
) -> Density:  # fmt: skip
    """Compare the polytope density between images of the same class and of different classes.

    The density of a pair is the Hamming distance of its codes (a number of units) divided by the Euclidean
    distance of its activations. All pairs of different images count.

    Parameters
    ----------
    codes : SplineCodes, or bits samples × units
        Codes of the layers behind the activations, up to the output. A list holds one for each net, all of
        the same images.
    activations : array or tensor, samples × …
        Activations at the layer, flattened here. A list of as many as there are codes.
    labels : one class per sample.
    bins : quantile bins of distance for `matched`.
    resamples, level, seed
        The bootstrap draws images with replacement `resamples` times; a pair of different images counts as
        often as its two images were drawn together (the product of their multiplicities), and an image
        makes no pair with its own copy. With several nets each draw also takes as many nets with
        replacement and averages them, so that intervals cover images and seeds. Draws without a same-class
        or a different-class pair are drawn again. `level` is the share of draws in an interval.
    device : where distances are computed.

    Raises
    ------
    InputError
        No same-class or no different-class pair (of activations that differ), activations that are all
        identical, codes that are all equal, NaN or infinite values, other shapes or lengths than these.

    Notes
    -----
    1,000 images take about a second on one core and 100 MB, both growing with the square.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(60, 5))
    >>> found = density(x @ rng.normal(size=(5, 40)) > 0, x, x[:, 0] > 0)
    >>> found.ratio.value < 1, found.nets[0].intra_pairs + found.nets[0].inter_pairs
    (True, 1770)
    """
    nets = _nets(codes, activations)
    if bins < 1 or resamples < 2 or not 0 < level < 1:
        raise InputError(
            f"bins is {bins}, resamples {resamples} and level {level}: expected at least 1, at least 2 and a "
            "share between 0 and 1"
        )
    classes = check_pairs(labels, len(nets[0][1]))
    # Streams of their own, so that the images drawn do not depend on the number of nets.
    images, runs = (np.random.default_rng([seed, stream]) for stream in range(2))
    drawn = multiplicities(images, classes, resamples)
    chosen = np.stack([np.bincount(runs.integers(len(nets), size=len(nets)), minlength=len(nets))
                       for _ in range(resamples)], axis=1)  # fmt: skip
    found, per_net = [], {name: [] for name in STATISTICS}
    for net_codes, net_activations in nets:
        pairs = Pairs(net_codes, net_activations, classes, bins, device)
        found.append(pairs.summary())
        for name, values in pairs.statistics(drawn).items():
            per_net[name].append(values)
    draws = {name: (np.stack(each) * chosen).sum(axis=0) / len(nets) for name, each in per_net.items()}
    estimates = {
        name: _estimate(float(np.mean([getattr(net, name) for net in found])), draws[name], level)
        for name in STATISTICS
    }
    return Density(**estimates, nets=tuple(found), draws=draws, level=level, images=len(classes))


def _nets(codes, activations) -> list[tuple]:
    several = [isinstance(given, list | tuple) for given in (codes, activations)]
    codes, activations = (
        list(given) if listed else [given]
        for given, listed in zip((codes, activations), several, strict=True)
    )
    if len(codes) != len(activations) or not codes or several[0] != several[1]:
        raise InputError(
            f"{len(codes)} codes and {len(activations)} activations were given: expected one of each, or two "
            "lists with one entry per net"
        )
    activations = [_flat(given) for given in activations]
    if len({len(rows) for rows in activations}) > 1:
        raise InputError(
            f"the nets saw {[len(rows) for rows in activations]} samples: expected the same images for each"
        )
    return list(zip(codes, activations, strict=True))


def _flat(activations) -> np.ndarray:
    if hasattr(activations, "detach"):  # a torch tensor, on whatever device
        activations = activations.detach().cpu().numpy()
    activations = np.asarray(activations)
    if activations.ndim < 2 or not activations.size or activations.dtype.kind not in "iufb":
        raise InputError(
            f"activations are {activations.dtype} of shape {activations.shape}: expected numbers, samples × …"
        )
    bad = ~np.isfinite(activations).reshape(len(activations), -1).all(axis=1)
    if bad.any():
        raise InputError(
            f"activations hold NaN or infinity in {int(bad.sum())} of {len(bad)} samples, first in "
            f"{int(bad.argmax())}: expected finite values"
        )
    return activations.reshape(len(activations), -1)


def _estimate(value: float, draws: np.ndarray, level: float) -> Estimate:
    draws = draws[~np.isnan(draws)]  # a draw in which no pair or bin of the statistic was left
    if not len(draws):
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high))
