"""What the ledger is made of: claims with the rules of their cases, and measurements."""

import datetime
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator

from splinelab import _schema as kinds
from splinelab._interval import LEVEL
from splinelab._schema import Values, check, expected, one_of, schema, several
from splinelab.errors import ClaimError
from splinelab.intervals import Interval

RULES = {"above": 1, "below": 1, "equals": 1, "within": 2}  # how many numbers each takes
# Another processor may move the last digits: up to this share the stored entry stays as it is.
SAME = 5e-4
MOMENT = "%Y-%m-%d %H:%M"

_Reason = Annotated[kinds.Name | None, expected("text that is not empty, or nothing")]


@schema("case", ClaimError)
class Case:
    """One number that a claim needs: `holds` is one of above, below (a test), within, equals.

    Parameters
    ----------
    quantity : what is measured, where that differs from case to case; "" where the claim says it.
    """

    label: kinds.Name
    holds: Annotated[str, one_of(*RULES)]
    threshold: Annotated[tuple[kinds.Number, ...], several("one or two numbers", most=2)]
    quantity: kinds.Text = ""

    def __post_init__(self) -> None:
        words = f"{RULES[self.holds]} number(s): {self.holds} takes {RULES[self.holds]}"
        check(len(self.threshold) == RULES[self.holds], "threshold", self.threshold, words)
        ordered = self.threshold[0] <= self.threshold[-1]
        check(ordered, "threshold", self.threshold, "the smaller number first")

    def outcome(self, interval: Interval) -> str:
        """Whether the claim "holds" (the whole interval lies where the rule wants it), is "contradicted" (the
        whole of it lies elsewhere) or "undecided"."""
        low, high, bound, last = interval.low, interval.high, self.threshold[0], self.threshold[-1]
        if self.holds == "above":
            inside, outside = low > bound, high <= bound
        elif self.holds == "below":
            inside, outside = high < bound, low >= bound
        else:
            inside, outside = bound <= low and high <= last, high < bound or low > last
        return "holds" if inside else "contradicted" if outside else "undecided"

    def __str__(self) -> str:
        numbers = " to ".join(f"{value:g}" for value in self.threshold)
        return f"{self.holds} {numbers}"


def _cases(given: object) -> object:
    """Cases from labels with a rule each."""
    return tuple(map(_case, given, given.values())) if isinstance(given, Mapping) else given


def _case(label: str, rule: object) -> Case:
    given = {**rule} if isinstance(rule, Mapping) else {}
    quantity = given.pop("quantity", "")
    if len(given) != 1 or not set(given) <= set(RULES):
        raise ClaimError(f"{label!r}: a rule is one of {list(RULES)} with a number, got {rule}")
    ((holds, threshold),) = given.items()
    numbers: Any = threshold if isinstance(threshold, list) else [threshold]
    try:
        return Case(label, holds, numbers, quantity)
    except ClaimError as error:
        raise ClaimError(f"{label!r}: {error}") from error


@schema("claim", ClaimError)
class Claim(Values):
    """An entry of `book/claims.yml`.

    Parameters
    ----------
    revised : dated reasons for changes after the measurement.
    elsewhere : the claim that says the same of a second data set.
    """

    id: kinds.Name
    source: kinds.Name
    place: kinds.Name
    chapter: kinds.Name
    statement: kinds.Name
    quantity: kinds.Name
    cases: Annotated[
        tuple[Case, ...], several("one or more, labels with a rule each"), BeforeValidator(_cases)
    ]
    committed: Annotated[kinds.Name, expected("a day and a time: 2026-11-20 15:58")]
    measured: Annotated[kinds.Name | None, expected("a day and a time, or nothing")] = None
    seeds: kinds.Whole = 5
    theirs: Annotated[kinds.Number | None, expected("a number, or nothing")] = None
    not_tested: _Reason = None
    revised: Annotated[tuple[kinds.Name, ...], several("one or more dated reasons", least=0)] = ()
    elsewhere: Annotated[kinds.Name | None, expected("the id of a claim, or nothing")] = None

    def __post_init__(self) -> None:
        labels = [case.label for case in self.cases]
        check(len(set(labels)) == len(labels), "cases", labels, "each label once")
        for key in ("committed", "measured"):
            given = getattr(self, key)
            check(given is None or _moment(given), key, given, "a day and a time: 2026-11-20 15:58")
        for reason in self.revised:
            day, colon, why = reason.partition(":")
            dated = bool(_day(day) and colon and why.strip())
            check(dated, "revised", reason, "a day and a reason: '2026-11-20: the first case was added'")
        late = self.measured is not None and self.measured < self.committed and not self.revised
        check(
            not late, "committed", self.committed, "`revised` to say why the rule came after its measurement"
        )

    @classmethod
    def from_dict(cls, values: Mapping) -> Self:
        """Read one entry of `claims.yml`, in which `cases` are labels with a rule each."""
        name = values.get("id", "(without id)") if isinstance(values, Mapping) else "an entry"
        try:
            return super().from_dict(values)
        except ClaimError as error:
            raise ClaimError(f"claims.yml, {name}: {error}") from error


@schema("measurement", ClaimError)
class Measurement(Interval):
    """An interval with the name and the checksum of the data that it was measured on.

    `measured` is the day, such as 2026-11-20, or empty.
    """

    data: Annotated[kinds.Name, expected("the name of a data set")] = ""
    checksum: Annotated[kinds.Name, expected("a checksum")] = ""
    measured: kinds.Text = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.level == LEVEL, "level", self.level, f"{LEVEL}: the ledger widens intervals itself")
        check(bool(self.data), "data", self.data, "the name of a data set")
        check(bool(self.checksum), "checksum", self.checksum, "a checksum")
        check(not self.measured or _day(self.measured), "measured", self.measured, "a day: 2026-11-20")

    @classmethod
    def of(cls, interval: Interval, **given: Any) -> Self:
        """An interval as a measurement; `given`: the fields that it lacks, or others in place of its own."""
        return cls(**{**interval.to_dict(), **given})

    def to_dict(self) -> dict:
        """Plain numbers for a JSON file, to nine digits: a measurement of 1e-15 is not 0."""
        content = super().to_dict()
        return {**content, **{key: _short(content[key]) for key in ("value", "low", "high", "freedom")}}

    def same_as(self, other: "Measurement") -> bool:
        """Whether nothing but the last digits (and the day) differs: as a share of the value or the width."""
        scale = max(abs(self.value), self.high - self.low)
        close = all(abs(mine - theirs) <= SAME * scale for mine, theirs in zip(self, other, strict=True))
        return close and all(
            getattr(self, key) == getattr(other, key)
            for key in ("over", "n", "seeds", "method", "data", "checksum")
        )


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.9g}")


def _moment(text: str) -> bool:
    try:
        return datetime.datetime.strptime(text, MOMENT).strftime(MOMENT) == text
    except ValueError:
        return False


def _day(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
