"""What was measured of a claim: each case with its interval, its outcome, and words for it."""

from dataclasses import dataclass

from splinelab.claims.entries import Case, Claim, Measurement
from splinelab.intervals import Interval

OUTCOMES = ("holds", "contradicted", "undecided")
FEASIBLE = 1000  # nets that somebody may train


@dataclass(frozen=True)
class Finding:
    """A measured case: the measurement, its interval simultaneous with the claim's other cases."""

    claim: Claim
    case: Case
    measurement: Measurement
    interval: Interval

    @property
    def outcome(self) -> str:
        """The word for it: holds, contradicted or undecided."""
        return self.case.outcome(self.interval)

    @property
    def quantity(self) -> str:
        """What is measured, in one line."""
        return " ".join((self.case.quantity or self.claim.quantity).split())

    @property
    def needs(self) -> str:
        """What would decide an undecided case."""
        found, where = self.interval, self.case.label
        distance = min(abs(found.value - bound) for bound in self.case.threshold)
        if not found.confident:
            return f"{where}: the nets disagree ({found.low:g} to {found.high:g})"
        if not distance:
            return f"{where}: the value is the threshold"
        times = ((found.high - found.low) / 2 / distance) ** 2
        if found.over in ("images", "sentences"):
            return f"{where}: about {_about(times * found.n)} {found.over} would decide"
        runs = times * len(found.seeds)
        kind = "draws" if found.over == "sentences and draws" else "nets"
        more = "draws than can be measured" if kind == "draws" else "nets than can be trained"
        number = f"about {_about(runs)} {kind}" if runs <= FEASIBLE else f"only more {more}"
        return f"{where}: {number} would decide"

    def to_dict(self) -> dict:
        """One entry of a row's `cases`."""
        found = self.interval
        return {
            "case": self.case.label,
            "quantity": self.quantity,
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "interval": found.over,
            "n": found.n,
            "seeds": list(found.seeds),
            "data": self.measurement.data,
            "rule": str(self.case),
            "outcome": self.outcome,
        }


def _about(count: float) -> str:
    """A count to two digits."""
    return f"{float(f'{count:.2g}'):,.0f}"


def named(by: dict[str, list[Finding]]) -> str:
    """Which cases have which outcome, in one line."""
    return ". ".join(
        f"{outcome} for {' · '.join(each.case.label for each in found)}"
        for outcome, found in by.items()
        if found
    )
