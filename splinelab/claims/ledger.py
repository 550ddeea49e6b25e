"""The ledger: claims, their measurements, and the verdicts that follow.

A claim has one or more *cases*, each a number with an interval that must clear a threshold. The first case is
the source's own setting and gives the scoreboard its figure. A verdict is computed, never typed:

- every case holds: *reproduced* (*extends* where the finding is our own);
- some hold: *reproduced under a condition*, and the condition names them;
- none holds: *not reproduced*;
- fewer seeds than the rule asks for, or cases missing: *partial*;
- no measurement: *not tested*, with the reason that the claim gives.

Thresholds on a continuous number are tests, so their p-values (normal, from the width of the 95 % interval)
are corrected over the whole ledger by Holm's method (Holm 1979).
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from splinelab.claims.entries import Claim, Measurement
from splinelab.claims.stored import read_claims, read_results, write_lock
from splinelab.errors import ClaimError

__all__ = ["Ledger", "book_folder", "holm", "results_folder"]

LEVEL = 0.05


def book_folder() -> Path:
    """The `book` folder of the checkout that this package was installed from."""
    folder = Path(__file__).resolve().parents[2] / "book"
    if not (folder / "claims.yml").is_file():
        raise ClaimError(
            f"no ledger at {folder / 'claims.yml'}: the ledger belongs to a checkout of the repository; "
            "clone it and install it with `pip install -e .`"
        )
    return folder


def results_folder() -> Path:
    """Where measurements go: `SPLINELAB_RESULTS`, or `book/results` of the checkout."""
    return Path(os.environ.get("SPLINELAB_RESULTS") or book_folder() / "results")


@dataclass
class Ledger:
    """Claims, and the measurements of their cases.

    `measurements` maps a claim's id to a mapping from case label to `Measurement`.
    """

    claims: dict[str, Claim]
    measurements: dict[str, dict[str, Measurement]] = field(default_factory=dict)

    @classmethod
    def load(cls, results: Path | None = None, *, locked: bool = True) -> "Ledger":
        """Read `claims.yml` and all results; an entry in one without the other is an error.

        Unless `locked` is false, a claim that was changed since the verdicts were stored is refused.
        """
        ledger = cls(read_claims(book_folder(), locked=locked))
        # Measurements of chapters that this run does not repeat come from the committed files.
        folders = [(book_folder() / "results").resolve(), Path(results or results_folder()).resolve()]
        for folder in dict.fromkeys(folders):
            for file in sorted(folder.glob("*.json")):
                if file.name != "verdicts.json":
                    for claim_id, cases in read_results(file).items():
                        owner = ledger.claims.get(claim_id)
                        if owner and owner.chapter != file.stem:
                            raise ClaimError(f"{file}: {claim_id} belongs to {owner.chapter}")
                        for label, measurement in cases.items():
                            try:
                                ledger.add(claim_id, label, measurement)
                            except ClaimError as error:
                                raise ClaimError(f"{file}: {error}") from error
        return ledger

    def lock(self) -> None:
        """Store a digest of every claim as `claims.lock`: from now on a change of one is refused."""
        write_lock(book_folder(), self.claims)

    def add(self, claim_id: str, label: str, measurement: Measurement) -> None:
        """Enter a measurement; a claim or a case that the ledger does not hold is refused."""
        if claim_id not in self.claims:
            raise ClaimError(
                f"{claim_id!r} is not in book/claims.yml: write the claim and its rule there first"
            )
        labels = [case.label for case in self.claims[claim_id].cases]
        if label not in labels:
            raise ClaimError(f"{claim_id} has no case {label!r}; its cases are {labels}")
        self.measurements.setdefault(claim_id, {})[label] = measurement

    def holding(self) -> dict[tuple[str, str], bool]:
        """For each measured case: whether it clears its threshold after Holm's correction."""
        clears, p_values = {}, {}
        for claim_id, cases in self.measurements.items():
            for case in self.claims[claim_id].cases:
                if case.label in cases:
                    found = cases[case.label]
                    clears[claim_id, case.label] = case.clears(found.low, found.high)
                    p = case.p_value(found.low, found.high)
                    if p is not None:
                        p_values[claim_id, case.label] = p
        adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
        return {key: ok and adjusted.get(key, 0.0) < LEVEL for key, ok in clears.items()}

    def verdicts(self) -> dict[str, tuple[str, str]]:
        """`{id: (verdict, condition)}`; the condition says which cases hold, or why nothing was tested."""
        holding = self.holding()
        return {claim.id: self._verdict(claim, holding) for claim in self.claims.values()}

    def _verdict(self, claim: Claim, holding: dict[tuple[str, str], bool]) -> tuple[str, str]:
        cases = self.measurements.get(claim.id, {})
        if not cases:
            if not claim.not_tested:
                raise ClaimError(f"{claim.id} has neither a measurement nor a reason under `not_tested`")
            return "not tested", claim.not_tested
        labels = [case.label for case in claim.cases]
        missing = [label for label in labels if label not in cases]
        few = min(len(measurement.seeds) for measurement in cases.values())
        if missing or few < claim.seeds:
            lacks = [f"not measured: {', '.join(missing)}"] if missing else []
            lacks += [f"{few} of {claim.seeds} seeds"] if few < claim.seeds else []
            return "partial", "; ".join(lacks)
        yes = [label for label in labels if holding[claim.id, label]]
        no = [label for label in labels if not holding[claim.id, label]]
        if not no:
            return ("extends" if claim.source == "ours" else "reproduced"), ""
        if not yes:
            return "not reproduced", ""
        return "reproduced under a condition", f"holds for {'; '.join(yes)}; not for {'; '.join(no)}"

    def rows(self, chapter: str | None = None) -> list[dict]:
        """The scoreboard as plain records, in the order of `claims.yml`.

        With `chapter`, only its claims, and of these the measured ones: while a chapter is written, its
        ledger may have holes.
        """
        holding = self.holding()
        wanted = [
            claim
            for claim in self.claims.values()
            if chapter is None or (claim.chapter == chapter and self.measurements.get(claim.id))
        ]
        return [self._row(claim, holding) for claim in wanted]

    def _row(self, claim: Claim, holding: dict[tuple[str, str], bool]) -> dict:
        first = self.measurements.get(claim.id, {}).get(claim.cases[0].label)
        verdict, condition = self._verdict(claim, holding)
        return {
            "id": claim.id,
            "source": claim.source,
            "chapter": claim.chapter,
            "statement": claim.statement.strip(),
            "theirs": claim.theirs,
            "ours": first.value if first else None,
            "low": first.low if first else None,
            "high": first.high if first else None,
            "n": first.n if first else None,
            "seeds": list(first.seeds) if first else [],
            "data": first.data if first else None,
            "verdict": verdict,
            "condition": condition,
        }

    def cases(self, claim_ids: Iterable[str]) -> list[dict]:
        """Every measured case of some claims: what was found, the rule, and whether it holds."""
        holding = self.holding()
        return [
            {
                "claim": claim_id,
                "case": case.label,
                "measured": found,
                "rule": str(case),
                "holds": holding[claim_id, case.label],
            }
            for claim_id in claim_ids
            for case in self.claims[claim_id].cases
            if (found := self.measurements.get(claim_id, {}).get(case.label))
        ]


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down adjusted p-values (Holm 1979), in the given order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
