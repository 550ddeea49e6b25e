"""Many rays of several nets: walked once, then asked for one number after the other."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from splinelab import polytopes
from splinelab.data import Dataset
from splinelab.intervals import Interval, two_level

__all__ = [
    "Walks", "beside", "mean", "near_by", "outside", "peak", "ratio_of_sums", "scan", "shell_ratio", "sparse_change",
    "sure", "within",
]  # fmt: skip

CENTRES = np.linspace(0.05, 1.95, 191)  # of the windows in which a peak is looked for


def scan(
    model: nn.Module, layer: str, images: Dataset, n: int, turn: int, noise: int | None = None
) -> list[dict]:
    """n rays from a layer: the α of boundaries and of class changes.

    Parameters
    ----------
    turn : which n images the rays go through, so that each net gets others: the first, second, … n.
    noise : a seed: instead through Gaussian noise with the mean norm of the images' activations.
    """
    rest, x = polytopes.from_layer(model, layer, images)
    x = x.to(torch.float64)
    if noise is None:
        x = x[n * turn : n * (turn + 1)]
    else:
        length, generator = x.flatten(1).norm(dim=1).mean(), torch.Generator().manual_seed(noise)
        x = torch.randn((n, *x.shape[1:]), generator=generator, dtype=torch.float64)
        x *= (length / x.flatten(1).norm(dim=1)).view(-1, *[1] * (x.ndim - 1))
    found = []
    for some in x.split(max(1, n // 3)):  # a ray keeps its codes: not all at once
        for ray in polytopes.rays(rest, some, memory=1e8):
            alphas = np.sort(ray.alpha(ray.path.crossing_t))
            found.append({"alphas": alphas, "changes": ray.class_changes[0]})
    return found


class Walks:
    """The rays of `scan`, by (net, layer, kind, seed); a case is a net and a layer."""

    def __init__(self, rays: Mapping[tuple, list[dict]], seeds: Sequence[int]):
        self.rays, self.seeds = rays, seeds

    def each(self, case: tuple, kind: str, statistic: Callable[[dict], float]) -> np.ndarray:
        """A number for each ray: nets × rays."""
        return np.array(
            [[statistic(ray) for ray in self.rays[(*case, kind, seed)]] for seed in self.seeds], float
        )

    def over(
        self, combine: Callable, case: tuple, kind: str, *statistics: Callable[[dict], float]
    ) -> Interval | None:
        """`combine` of numbers for each ray, with its 95 % interval over images and nets; None without a value."""
        arrays = [self.each(case, kind, statistic) for statistic in statistics]
        return two_level(combine, *arrays, seeds=self.seeds) if np.isfinite(combine(*arrays)) else None

    def density_at(self, case: tuple, places: Callable[[dict], np.ndarray]) -> Interval | None:
        """Boundaries near some places of each image's ray, over those expected: see `near_by`."""
        statistics = [lambda ray, i=i: near_by(ray, places(ray))[i].sum() for i in (0, 1)]
        return self.over(ratio_of_sums, case, "images", *statistics)

    def per_window(self, case: tuple, kind: str, edges: np.ndarray) -> np.ndarray:
        """Boundaries between neighbouring scales of `edges`, mean over nets and rays."""
        rays = [ray for seed in self.seeds for ray in self.rays[(*case, kind, seed)]]
        return np.mean([np.histogram(ray["alphas"], edges)[0] for ray in rays], axis=0)


def within(low: float, high: float) -> Callable[[dict], int]:
    """A statistic: the boundaries at low ≤ α < high."""
    return lambda ray: int(((ray["alphas"] >= low) & (ray["alphas"] < high)).sum())


def outside(ray: dict) -> int:
    """The boundaries beyond the activation."""
    return int((ray["alphas"] >= 1).sum())


def peak(ray: dict) -> float:
    """The middle of the window of width .1, up to twice the activation, that holds most boundaries."""
    counts = np.subtract(*(np.searchsorted(ray["alphas"], CENTRES + side) for side in (0.05, -0.05)))
    return CENTRES[counts == counts.max()].mean() if counts.max() else np.nan


def near_by(ray: dict, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boundaries within .05 of each place, and how many there would be at the mean density below α = 1."""
    low, high = np.maximum(places - 0.05, 0), places + 0.05
    there = np.searchsorted(ray["alphas"], high) - np.searchsorted(ray["alphas"], low)
    return there, (high - low) * np.sum(ray["alphas"] < 1)


def sparse_change(ray: dict) -> bool:
    """Whether the class changes beyond the activation where boundaries are sparser than below it."""
    there, expected = near_by(ray, ray["changes"][ray["changes"] >= 1])
    return bool((there < expected).any())


def shell_ratio(inside: np.ndarray, outside: np.ndarray) -> float:
    """Boundaries per unit length at .001 ≤ α < 1 over those at 1 ≤ α ≤ 10."""
    return (inside.sum() / 0.999) / (outside.sum() / 9) if outside.sum() else np.nan


def mean(values: np.ndarray) -> float:
    """Over rays that have a value."""
    return np.nanmean(values) if np.isfinite(values).any() else np.nan


def ratio_of_sums(upper: np.ndarray, lower: np.ndarray) -> float:
    """The ratio of two totals; NaN where there is nothing to divide by."""
    return upper.sum() / lower.sum() if lower.sum() else np.nan


def beside(
    which: Mapping[str, Mapping[tuple[str, str], Interval | None]], many: int, *, most: float = np.inf
) -> dict:
    """(net, layer, series) → value, low, high, for those that have a value; given by series, then by net and layer.

    Parameters
    ----------
    many : an interval holds together with those of so many cases, itself included.
    most : what the quantity cannot exceed; none is below zero, and intervals are cut there.
    """
    return {
        (*case, series): np.clip([*found.among(many)], 0, most)
        for series, intervals in which.items()
        for case, found in intervals.items()
        if found is not None
    }


def sure(
    intervals: Mapping[tuple[str, str], Interval | None],
    cases: Sequence[tuple[str, str]],
    many: int,
    *,
    above: float = -np.inf,
    below: float = np.inf,
) -> list[str]:
    """The layers whose interval, which holds together with those of `many` cases, lies on one side, as in the ledger."""
    wide = {layer: found.among(many) for name, layer in cases if (found := intervals[name, layer])}
    return [layer for layer, found in wide.items() if above < found.low and found.high < below]
