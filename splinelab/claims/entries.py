"""What the ledger is made of: claims with the rules of their cases, and measurements."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from splinelab.errors import ClaimError

__all__ = ["Case", "Claim", "Measurement"]

RULES = {"above": 1, "below": 1, "equals": 1, "within": 2}  # how many numbers each takes
# A second run on another processor may move the last digit: up to this the stored entry stays as it is.
SAME = 5e-4


@dataclass(frozen=True)
class Case:
    """One number that a claim needs: `holds` is one of above, below (a test), within, equals (a count)."""

    label: str
    holds: str
    threshold: tuple[float, ...]

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


@dataclass(frozen=True)
class Claim:
    """An entry of `book/claims.yml`."""

    id: str
    source: str
    place: str
    chapter: str
    statement: str
    quantity: str
    cases: tuple[Case, ...]
    seeds: int = 5
    theirs: float | None = None
    not_tested: str | None = None
    revised: str | None = None  # date and reason, where a rule changed after its measurement

    @classmethod
    def from_dict(cls, entry: dict) -> "Claim":
        """Read one entry; an unknown key, or a rule that is not one of the four, is refused."""
        name = entry.get("id", "(without id)")
        unknown = set(entry) - set(cls.__dataclass_fields__)
        missing = {"id", "source", "place", "chapter", "statement", "quantity", "cases"} - set(entry)
        if unknown or missing:
            raise ClaimError(
                f"claims.yml, {name}: unknown keys {sorted(unknown)}, missing keys {sorted(missing)}"
            )
        cases = []
        for label, rule in entry["cases"].items():
            if not isinstance(rule, dict) or len(rule) != 1 or not set(rule) <= set(RULES):
                raise ClaimError(
                    f"claims.yml, {name}, {label!r}: a rule is one of {list(RULES)} with a number, got {rule}"
                )
            ((holds, threshold),) = rule.items()
            numbers = tuple(float(number) for number in np.atleast_1d(threshold))
            if len(numbers) != RULES[holds]:
                raise ClaimError(
                    f"claims.yml, {name}, {label!r}: {holds} takes {RULES[holds]} number(s), got {threshold}"
                )
            cases.append(Case(label, holds, numbers))
        return cls(**{**entry, "cases": tuple(cases)})


@dataclass(frozen=True)
class Measurement:
    """A value with its 95 % interval, the number of images or runs behind it, the seeds and the data."""

    value: float
    low: float
    high: float
    n: int
    seeds: tuple[int, ...]
    data: str
    checksum: str
    measured: str = ""

    def __post_init__(self) -> None:
        numbers = (self.value, self.low, self.high)
        if not all(math.isfinite(number) for number in numbers) or not self.low <= self.value <= self.high:
            raise ClaimError(f"a measurement needs finite low ≤ value ≤ high, got {numbers}")

    @property
    def text(self) -> str:
        """Value and interval as readers see them."""
        if self.low == self.high:
            return f"{self.value:.3g}"
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"

    @classmethod
    def from_dict(cls, numbers: dict) -> "Measurement":
        """Read back what `to_dict` wrote."""
        return cls(**{**numbers, "seeds": tuple(numbers["seeds"])})

    def to_dict(self) -> dict:
        """Plain numbers for a JSON file, rounded where rounding errors begin."""
        rounded = {key: round(getattr(self, key), 6) for key in ("value", "low", "high")}
        return {**self.__dict__, **rounded, "seeds": list(self.seeds)}

    def same_as(self, other: "Measurement") -> bool:
        """Whether nothing but the last digits (and the day) differs."""
        close = all(abs(getattr(self, key) - getattr(other, key)) <= SAME for key in ("value", "low", "high"))
        return close and all(
            getattr(self, key) == getattr(other, key) for key in ("n", "seeds", "data", "checksum")
        )
