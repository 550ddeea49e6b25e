"""The interval itself: see `splinelab.intervals`, which makes them."""

from collections.abc import Iterator
from typing import Annotated

from scipy import stats

from splinelab._schema import (
    Count,
    Name,
    Number,
    Share,
    Values,
    Whole,
    check,
    expected,
    one_of,
    schema,
    several,
)
from splinelab.errors import InputError

OVER = ("images", "nets", "images and nets", "sentences", "sentences and draws", "range", "exact")
LEVEL = 0.95

_Finite = Annotated[Number, expected("a number: an interval needs finite low ≤ value ≤ high")]


@schema("interval", InputError)
class Interval(Values):
    """A value and its interval: `value, low, high = interval`.

    over: what varies. "images", "nets" or "images and nets", "sentences" or "sentences and draws" (of data,
        for one language model): a confidence interval. "range": from the smallest to the largest net, no
        confidence interval. "exact": nothing; low and high are the value.
    n: number of images, sentences, samples or runs; seeds: those of the nets or draws, each once.
    method: how it was found, in words.
    freedom: degrees of freedom of the t distribution behind a confidence interval; None for the others.
    level: its coverage, .95 unless `at` was asked for another.
    """

    value: _Finite
    low: _Finite
    high: _Finite
    over: Annotated[str, one_of(*OVER)]
    n: Whole
    seeds: Annotated[tuple[Count, ...], several("one or more whole numbers, zero or more")]
    method: Name
    freedom: Annotated[Number | None, expected("a number, or nothing")]
    level: Share = LEVEL

    def __post_init__(self) -> None:
        ordered, interval = self.low <= self.value <= self.high, (self.low, self.value, self.high)
        check(ordered, "interval", interval, "one that has finite low ≤ value ≤ high")
        check(len(set(self.seeds)) == len(self.seeds), "seeds", self.seeds, "each seed once")
        free = self.freedom is not None and self.freedom > 0
        check(
            free if self.confident else self.freedom is None,
            "freedom",
            self.freedom,
            "degrees of freedom for a confidence interval, nothing for a range or an exact number",
        )

    @property
    def confident(self) -> bool:
        """Whether this is a confidence interval, and no range over nets."""
        return self.over not in ("range", "exact")

    def __iter__(self) -> Iterator[float]:
        return iter((self.value, self.low, self.high))

    def at(self, level: float) -> "Interval":
        """The interval of another level than .95; a range stays what it is.

        >>> from splinelab.intervals import over_nets
        >>> found = over_nets([1.0, 2.0, 3.0])
        >>> round(found.high, 2), round(found.at(0.5).high, 2)
        (4.48, 2.47)
        """
        if not 0 < level < 1:
            raise InputError(f"level is {level}: expected a share between 0 and 1")
        if not self.confident:
            return self
        wider = stats.t.ppf((1 + level) / 2, self.freedom) / stats.t.ppf((1 + self.level) / 2, self.freedom)
        low, high = (
            self.value - wider * (self.value - self.low),
            self.value + wider * (self.high - self.value),
        )
        return Interval(
            self.value, low, high, self.over, self.n, self.seeds, self.method, self.freedom, level
        )  # fmt: skip

    def among(self, tests: int) -> "Interval":
        """The interval that covers together with those of `tests` − 1 others: Bonferroni's."""
        return self.at(1 - (1 - LEVEL) / tests)

    @property
    def text(self) -> str:
        """Value and interval as readers see them."""
        return f"{self:.3g}"

    def __format__(self, form: str) -> str:
        """Value and interval, each number in this form; one number where nothing varies.

        >>> from splinelab.intervals import over_nets
        >>> f"{over_nets([1.0, 2.0, 3.0]):+.1f}"
        '+2.0 [-0.5, +4.5]'
        """
        value, low, high = (format(number, form) for number in self)
        return value if self.low == self.high else f"{value} [{low}, {high}]"
