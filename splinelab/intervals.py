"""One interval for everything: a value, where it lies with 95 % confidence, and over what that runs.

What is measured on several nets and many images varies with both. Few nets are the difficulty: a percentile
bootstrap that draws 3 or 5 of them covers 75 or 84 % where it promises 95. So nets are never drawn: their
part of the variance comes from the differences between them, that of the images from a bootstrap of images,
and a t distribution with Satterthwaite's degrees of freedom (1946) pays for how few there are of each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from splinelab._arguments import check_seed, check_whole
from splinelab._interval import LEVEL, OVER, Interval
from splinelab.errors import InputError

__all__ = [
    "OVER", "Draws", "Interval", "exactly", "over_nets", "range_over_nets", "resampled_shares", "two_level",
]  # fmt: skip

#: What may be resampled, and what it may be measured on several of.
KINDS = {"images": "nets", "sentences": "draws"}


def over_nets(values: Sequence[float] | np.ndarray, *, seeds: Sequence[int] | None = None) -> Interval:
    """The mean of one number per net, with its t interval. Raises InputError for fewer than two.

    >>> over_nets([1.0, 1.0, 1.0]).low
    1.0
    """
    found = _numbers(values)
    if found.size < 2:
        raise InputError(f"an interval over nets needs at least 2 of them, got {found.size}")
    half = stats.t.ppf((1 + LEVEL) / 2, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found))
    middle = float(found.mean())
    return Interval(
        middle, middle - half, middle + half, "nets", len(found), _seeds(seeds, len(found)),
        "mean over nets, t interval", float(len(found) - 1),
    )  # fmt: skip


def range_over_nets(values: Sequence[float] | np.ndarray, *, seeds: Sequence[int] | None = None) -> Interval:
    """The median of a count, and its range: the smallest and the largest net.

    >>> tuple(range_over_nets([40, 38, 39]))
    (39.0, 38.0, 40.0)
    """
    found = _numbers(values)
    return Interval(
        float(np.median(found)), found.min(), found.max(), "range", len(found),
        _seeds(seeds, len(found)), "median, smallest and largest net", None,
    )  # fmt: skip


def exactly(value: float, *, n: int = 1, seeds: Sequence[int] = (0,)) -> Interval:
    """A number that nothing varies: a count of nets, or the one value of one run.

    >>> tuple(exactly(4))
    (4.0, 4.0, 4.0)
    """
    return Interval(value, value, value, "exact", n, tuple(seeds), "one number", None)


@dataclass(frozen=True, eq=False)
class Draws:
    """A statistic of each net, and again for each resample of the images.

    nets: values, one per net. drawn: resamples × nets; draw i took the same images for every net, and for
    every `Draws` of the same images and seed, so that differences are paired. images: their number.
    resampled: "images", or "sentences" of one language model: then what is called nets here are draws of
    the data, each with sentences of its own.
    """

    nets: np.ndarray
    drawn: np.ndarray
    images: int
    resampled: str = "images"

    def __post_init__(self) -> None:
        if self.resampled not in KINDS:
            raise InputError(f"resampled is {self.resampled!r}; expected one of {', '.join(KINDS)}")

    @property
    def value(self) -> float:
        """The mean over nets."""
        return float(np.mean(self.nets))

    def minus(self, other: "Draws | float") -> "Draws":
        """The difference, net by net and draw by draw; one net stands for each of the other's.

        Raises InputError for another number of nets or of resamples.
        """
        if not isinstance(other, Draws):
            return Draws(self.nets - other, self.drawn - other, self.images, self.resampled)
        if len(self.drawn) != len(other.drawn):
            raise InputError(
                f"one has {len(self.drawn)} resamples, the other {len(other.drawn)}: expected as many"
            )
        if len({len(self.nets), len(other.nets), 1} - {1}) > 1:
            raise InputError(
                f"one has {len(self.nets)} nets, the other {len(other.nets)}: expected as many, or one"
            )
        if self.resampled != other.resampled:
            raise InputError(
                f"one resampled {self.resampled}, the other {other.resampled}: expected the same"
            )
        images = min(self.images, other.images)
        return Draws(self.nets - other.nets, self.drawn - other.drawn, images, self.resampled)

    def interval(self, *, seeds: Sequence[int] | None = None) -> Interval:
        """The mean over nets and its interval over images and nets, or sentences and draws: see `two_level`.

        Draws of the data differ by their sentences too, so that these count twice: the interval is wide
        rather than narrow.
        """
        between = np.var(self.nets, ddof=1) / len(self.nets) if len(self.nets) > 1 else 0.0
        drawn = self.drawn.mean(axis=1)
        return _two_level(self.value, drawn, between, len(self.nets), self.images, seeds, self.resampled)


def two_level(
    statistic: Callable[..., float],
    *measured: np.ndarray,
    seeds: Sequence[int] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """A statistic with its interval over images and nets; over images, where there is one net.

    Each array of `measured` is nets × images (or × pairs of disjoint images), all of one shape; `statistic`
    takes arrays of such shapes. Its variance is that of the images (all nets are kept, images are drawn with
    replacement, `resamples` times, from `seed`) plus that between nets (the jackknife, which leaves out one
    at a time; for a mean it is the variance of the nets' means over their number). The interval is the value
    ± t · √variance. Draws in which the statistic is not finite (nothing to divide by) are left out.

    Raises InputError for arrays of other shapes, and where the statistic of the whole is not finite.
    """
    arrays = [np.asarray(values, np.float64) for values in measured]
    if not arrays or arrays[0].ndim != 2 or any(values.shape != arrays[0].shape for values in arrays):
        shapes = [values.shape for values in arrays]
        raise InputError(f"two_level got arrays of shapes {shapes}; expected one shape, nets × images")
    resamples, seed = check_whole("resamples", resamples, 2), check_seed(seed)
    nets, images = arrays[0].shape
    rng = np.random.default_rng(seed)
    drawn = np.empty(resamples)
    for draw in range(resamples):
        some = rng.integers(images, size=images)
        drawn[draw] = statistic(*(values[:, some] for values in arrays))
    left_out = np.array(
        [statistic(*(np.delete(values, net, axis=0) for values in arrays)) for net in range(nets) if nets > 1]
    )
    left_out = left_out[np.isfinite(left_out)]
    between = (len(left_out) - 1) * left_out.var() if len(left_out) > 1 else 0.0
    return _two_level(float(statistic(*arrays)), drawn, between, nets, images, seeds)


def resampled_shares(
    hits: ArrayLike, counts: ArrayLike, *, resamples: int = 1000, seed: int = 0
) -> np.ndarray:
    """The share of hits in each of `resamples` bootstraps of sentences: float64, for `Draws`.

    hits, counts : by sentence. The same number of sentences and the same seed draw the same ones, so that
    differences are paired. A resample that holds no word at all is NaN.
    """
    hit, count = np.asarray(hits, np.float64), np.asarray(counts, np.float64)
    if hit.ndim != 1 or hit.shape != count.shape or not len(hit) or (hit > count).any() or (hit < 0).any():
        raise InputError(
            f"hits and counts have shapes {hit.shape} and {count.shape}; expected one each by sentence, with "
            "0 ≤ hits ≤ counts"
        )
    drawn = _resampled(len(hit), check_whole("resamples", resamples, 2), check_seed(seed))
    with np.errstate(invalid="ignore"):
        return (drawn @ hit) / (drawn @ count)


@lru_cache(maxsize=4)
def _resampled(sentences: int, resamples: int, seed: int) -> np.ndarray:
    """How often each sentence is drawn, resamples × sentences; kept, for many shares want the same."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(sentences, np.full(sentences, 1 / sentences), size=resamples).astype(np.float64)


def _two_level(
    value: float,
    drawn: np.ndarray,
    between: float,
    nets: int,
    images: int,
    seeds: Sequence[int] | None,
    resampled: str = "images",
) -> Interval:
    """From draws of the images, and the variance of the value between nets."""
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or len(drawn) < 2:
        raise InputError(
            f"the statistic is {value} and finite in {len(drawn)} draws: there is nothing to measure"
        )
    within, known = (
        float(drawn.var(ddof=1)),
        max(min(images, len(drawn)) - 1, 1),
    )  # few draws tell little, too
    variance, freedom = within + between, float(known)
    if variance > 0:
        parts = within**2 / known + (between**2 / (nets - 1) if nets > 1 else 0)
        freedom = float(np.clip(variance**2 / parts, 1, known))
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(variance))
    runs, several = KINDS[resampled], nets > 1
    method = f"bootstrap of {resampled}" + f", variance between {runs}" * several + ", t interval"
    over = resampled + f" and {runs}" * several
    return Interval(value, value - half, value + half, over, images, _seeds(seeds, nets), method, freedom)


def _numbers(values: Sequence[float] | np.ndarray) -> np.ndarray:
    found = np.asarray(values, float)
    if found.ndim != 1 or not found.size or not np.isfinite(found).all():
        raise InputError(f"values are {found.tolist()}: expected one finite number per net")
    return found


def _seeds(seeds: Sequence[int] | None, nets: int) -> tuple[int, ...]:
    found = tuple(range(nets)) if seeds is None else tuple(int(seed) for seed in seeds)
    if len(found) != nets:
        raise InputError(f"there are {len(found)} seeds and {nets} nets: expected one each")
    return found
