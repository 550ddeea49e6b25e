"""Polytope density: in how many units two spline codes differ for each unit of distance between activations.

Black, Sharkey et al. (2022), "Interpreting Neural Networks through the Polytope Lens", compare it between
images of the same class and of different classes. Images are resampled here, not pairs, which share images.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from splinelab.distances.bootstrap import drawn_images
from splinelab.distances.operands import as_array, vectors
from splinelab.distances.separability import check_pairs
from splinelab.errors import InputError
from splinelab.intervals import Draws, Interval
from splinelab.polytopes.density.pairs import STATISTICS, NetDensity, Pairs
from splinelab.polytopes.geometry.exact import exact_copy
from splinelab.recording import record


@dataclass(frozen=True, eq=False)
class Density:
    """What `density` returns. Each statistic is a mean over nets with its `Interval`.

    Attributes
    ----------
    intra, inter : mean density of same-class and different-class pairs, divided by the mean of all pairs.
    ratio : intra / inter.
    matched : the same among pairs equally far apart. Pairs fall into quantile bins of their Euclidean
        distance (the bins of the whole sample, in every resample too); in each bin the mean intra density is
        divided by the mean inter density; the bins' ratios are averaged with the number of intra pairs as
        weights. A bin that lacks either kind, or whose inter density is 0, is left out. None if none is left,
        in the whole or in all draws but one.
    nets : a `NetDensity` for each net.
    draws : by statistic the resamples' values; draw i took the same images for every `Density` of the same
        seed, number of images and labels, so that differences are paired.
    level : the coverage of the intervals.
    images : their number.
    """

    intra: Interval
    inter: Interval
    ratio: Interval
    matched: Interval | None
    nets: tuple[NetDensity, ...]
    draws: dict[str, Draws]
    level: float
    images: int

    @property
    def excluded(self) -> int:
        """Pairs of identical activations, over all nets."""
        return sum(net.excluded for net in self.nets)

    def difference(
        self, other: "Density | float", statistic: str = "ratio", *, level: float | None = None
    ) -> Interval:
        """This minus `other`, a `Density` (another layer, an untrained net) or a number (1: no difference
        between intra and inter). Raises `InputError` for an unknown statistic, another number of resamples or
        of nets, and for a statistic that is None.
        """
        if statistic not in STATISTICS:
            raise InputError(f"unknown statistic {statistic!r}: expected one of {', '.join(STATISTICS)}")
        theirs = other.draws[statistic] if isinstance(other, Density) else float(other)
        return self.draws[statistic].minus(theirs).interval().at(self.level if level is None else level)


def density(
    codes: ArrayLike | list,
    activations: ArrayLike | list,
    labels: ArrayLike,
    *,
    bins: int = 20,
    resamples: int = 300,
    level: float = 0.99,
    seed: int = 0,
    device: str = "cpu",
) -> Density:
    """Compare the polytope density between images of the same class and of different classes.

    The density of a pair is the Hamming distance of its codes (a number of units) divided by the Euclidean
    distance of its activations. All pairs of different images count.

    Parameters
    ----------
    codes : SplineCodes, or bits samples × units, of the layers behind the activations, up to the output. A
        list holds one for each net, all of the same images.
    activations : those at the layer, samples × …, flattened here. A list of as many as there are codes.
    labels : one class per sample.
    bins : quantile bins of distance for `matched`.
    resamples, seed : of the bootstrap of images, as in `distances.bootstrap`. Each draw measures all nets.
    level : the coverage of an interval.
    device : where distances are computed; 1,000 images take about a second on one core, and 100 MB.

    Raises
    ------
    InputError : no same-class or no different-class pair (of activations that differ), activations that are
        all identical, codes that are all equal, NaN or infinite values, other shapes or lengths than these.

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
        given = f"bins is {bins}, resamples {resamples} and level {level}"
        raise InputError(f"{given}: expected at least 1, at least 2 and a share between 0 and 1")
    classes = check_pairs(labels, len(nets[0][1]))
    rng = np.random.default_rng([seed, 0])
    drawn = np.array([drawn_images(rng, classes) for _ in range(resamples)], np.float64).T.copy()
    # One net at a time in memory.
    pairs = (Pairs(bits, x, classes, bins, device) for bits, x in nets)
    found, under = zip(*((each.summary(), each.statistics(drawn)) for each in pairs), strict=True)
    draws = {
        name: Draws(
            np.array([getattr(net, name) for net in found]),
            np.stack([values[name] for values in under], axis=1),
            len(classes),
        )
        for name in STATISTICS
    }
    means: dict[str, Any] = {name: _estimate(of, level) for name, of in draws.items()}
    return Density(**means, nets=found, draws=draws, level=level, images=len(classes))


def sampled_density(
    model: nn.Module,
    centres: ArrayLike,
    *,
    radius: float,
    samples: int = 150,
    seed: int = 0,
    batch_size: int = 1024,
) -> np.ndarray:
    """Polytope density round each centre as sampling sees it: float64, one number for each centre.

    The mean of Hamming distance between the codes of centre and points round it, in units, over `radius`. The
    source samples 150 points round each position and does not give its radius (Black, Sharkey et al., 2022,
    appendix A).

    Parameters
    ----------
    centres : samples × the model's input; for a hidden layer pass `Rest(model, layer, example)` as the model,
        and activations.
    radius, samples : how far away, and how many points round each centre.
    seed : of the random directions, the same for every centre.
    batch_size : points per forward pass.
    """
    centres, model = torch.as_tensor(centres), exact_copy(model)
    if not (radius > 0 and math.isfinite(radius)) or samples < 1:
        raise InputError(f"radius is {radius}, samples {samples}; expected a positive radius and at least 1")
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn((samples, *centres.shape[1:]), generator=generator, dtype=torch.float64)
    directions /= directions.flatten(1).norm(dim=1).view(-1, *[1] * (centres.ndim - 1))
    step = max(1, batch_size // samples)
    densities = []
    for some in centres.to(torch.float64).split(step):
        around = some[:, None] + radius * directions
        points = torch.cat([some[:, None], around], dim=1).flatten(0, 1)
        packed = record(model, points, activations=False, batch_size=batch_size).codes.packed
        packed = packed.reshape(len(some), samples + 1, -1)
        flips = np.unpackbits(packed[:, 1:] ^ packed[:, :1], axis=2).sum(axis=2, dtype=np.int64)
        densities.append(flips.mean(axis=1) / radius)
    return np.concatenate(densities)


def _estimate(of: Draws, level: float) -> Interval | None:
    few = not np.isfinite(of.value) or np.isfinite(of.drawn.mean(axis=1)).sum() < 2
    return None if few else of.interval().at(level)


def _nets(codes: Any, activations: Any) -> list[tuple]:
    several = [isinstance(given, list | tuple) for given in (codes, activations)]
    codes, activations = codes if several[0] else [codes], activations if several[1] else [activations]
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


def _flat(activations: Any) -> np.ndarray:
    activations = as_array(activations, "activations")
    if activations.ndim < 2 or not activations.size:
        raise InputError(f"activations have shape {activations.shape}: expected numbers, samples × …")
    return vectors(activations.reshape(len(activations), -1), "activations")
