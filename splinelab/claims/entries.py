"""What the ledger is made of: claims with the rules of their cases, and measurements."""

import dataclasses
import datetime
from collections.abc import Mapping

from scipy import stats

from splinelab._schema import (
    Count,
    Name,
    Number,
    Text,
    Values,
    Whole,
    check,
    expected,
    one_of,
    part,
    schema,
    several,
)
from splinelab.errors import ClaimError

__all__ = ["Case", "Claim", "Measurement"]

RULES = {"above": 1, "below": 1, "equals": 1, "within": 2}  # how many numbers each takes
# A second run on another processor may move the last digit: up to this the stored entry stays as it is.
SAME = 5e-4

_Finite = expected(Number, "a number: a measurement needs finite low ≤ value ≤ high")
_Reason = expected(Name | None, "text that is not empty, or nothing")


@schema("case", ClaimError)
class Case:
    """One number that a claim needs: `holds` is one of above, below (a test), within, equals (a count)."""

    label: Name
    holds: one_of(*RULES)
    threshold: several(Number, "one or two numbers", most=2)

    def __post_init__(self) -> None:
        words = f"{RULES[self.holds]} number(s): {self.holds} takes {RULES[self.holds]}"
        check(len(self.threshold) == RULES[self.holds], "threshold", self.threshold, words)
        ordered = self.threshold[0] <= self.threshold[-1]
        check(ordered, "threshold", self.threshold, "the smaller number first")

    def clears(self, low: float, high: float) -> bool:
        """Whether the whole interval lies where the rule wants it."""
        bound = self.threshold[0]
        if self.holds == "above":
            return low > bound
        if self.holds == "below":
            return high < bound
        if self.holds == "equals":
            return low == high == bound
        return bound <= low and high <= self.threshold[1]

    def p_value(self, low: float, high: float) -> float | None:
        """Two-sided p of the threshold itself; None for counts, which are not tested."""
        if self.holds not in ("above", "below"):
            return None
        deviation = (high - low) / (2 * stats.norm.ppf(0.975))
        middle = (high + low) / 2 - self.threshold[0]
        if deviation == 0:
            return 1.0 if middle == 0 else 0.0
        return float(2 * stats.norm.sf(abs(middle) / deviation))

    def __str__(self) -> str:
        numbers = " to ".join(f"{value:g}" for value in self.threshold)
        return f"{self.holds} {numbers}"


@schema("claim", ClaimError)
class Claim(Values):
    """An entry of `book/claims.yml`."""

    id: Name
    source: Name
    place: Name
    chapter: Name
    statement: Name
    quantity: Name
    cases: several(part(Case), "one or more cases")
    seeds: Whole = 5
    theirs: expected(Number | None, "a number, or nothing") = None
    not_tested: _Reason = None
    revised: _Reason = None  # date and reason, where a rule changed after its measurement

    def __post_init__(self) -> None:
        labels = [case.label for case in self.cases]
        check(len(set(labels)) == len(labels), "cases", labels, "each label once")

    @classmethod
    def from_dict(cls, entry: Mapping) -> "Claim":
        """Read one entry; an unknown key, or a rule that is not one of the four, is refused."""
        if not isinstance(entry, Mapping):
            raise ClaimError(f"claims.yml: an entry is a mapping of names to values, got {entry!r}")
        name = entry.get("id", "(without id)")
        fields = {field.name: field for field in dataclasses.fields(cls)}
        unknown = set(entry) - set(fields)
        missing = {key for key, field in fields.items() if field.default is dataclasses.MISSING} - set(entry)
        if unknown or missing:
            unknown, missing = sorted(unknown, key=str), sorted(missing)
            raise ClaimError(f"claims.yml, {name}: unknown keys {unknown}, missing keys {missing}")
        if not isinstance(entry["cases"], Mapping):
            raise ClaimError(f"claims.yml, {name}: cases are labels with a rule each, got {entry['cases']!r}")
        try:
            cases = tuple(_case(label, rule) for label, rule in entry["cases"].items())
            return cls(**{**entry, "cases": cases})
        except ClaimError as error:
            raise ClaimError(f"claims.yml, {name}: {error}") from error


def _case(label: str, rule: object) -> Case:
    if not isinstance(rule, Mapping) or len(rule) != 1 or not set(rule) <= set(RULES):
        raise ClaimError(f"{label!r}: a rule is one of {list(RULES)} with a number, got {rule}")
    ((holds, threshold),) = rule.items()
    try:
        return Case(label, holds, threshold if isinstance(threshold, list) else [threshold])
    except ClaimError as error:
        raise ClaimError(f"{label!r}: {error}") from error


@schema("measurement", ClaimError)
class Measurement(Values):
    """A value with its 95 % interval, the number of images or runs behind it, the seeds and the data.

    `measured` is the day, such as 2026-11-20, or empty.
    """

    value: _Finite
    low: _Finite
    high: _Finite
    n: Whole
    seeds: several(Count, "one or more whole numbers, zero or more")
    data: Name
    checksum: Name
    measured: Text = ""

    def __post_init__(self) -> None:
        ordered, interval = self.low <= self.value <= self.high, (self.low, self.value, self.high)
        check(ordered, "interval", interval, "a measurement that has finite low ≤ value ≤ high")
        check(len(set(self.seeds)) == len(self.seeds), "seeds", self.seeds, "each seed once")
        check(not self.measured or _day(self.measured), "measured", self.measured, "a day: 2026-11-20")

    @property
    def text(self) -> str:
        """Value and interval as readers see them."""
        if self.low == self.high:
            return f"{self.value:.3g}"
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"

    def to_dict(self) -> dict:
        """Plain numbers for a JSON file, rounded where rounding errors begin."""
        rounded = {key: round(getattr(self, key), 6) for key in ("value", "low", "high")}
        return {**super().to_dict(), **rounded}

    def same_as(self, other: "Measurement") -> bool:
        """Whether nothing but the last digits (and the day) differs."""
        close = all(abs(getattr(self, key) - getattr(other, key)) <= SAME for key in ("value", "low", "high"))
        return close and all(
            getattr(self, key) == getattr(other, key) for key in ("n", "seeds", "data", "checksum")
        )


def _day(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
