"""The ledger: claims, their measurements, and the verdicts that follow.

A claim has one or more *cases*, each a number with an interval and a rule; the first is the source's own
setting. A case *holds* where its whole interval lies where the rule wants it, is *contradicted* where the
whole of it lies elsewhere, and *undecided* otherwise. Intervals are simultaneous over the cases of a claim
(Bonferroni), so that what is printed is what decides, and no claim changes another's verdict. A verdict is
computed, never typed:

- every case holds: *reproduced* (*extends* where the finding is our own);
- the first case is contradicted, or none holds and one is contradicted: *contradicted*;
- some hold: *reproduced under a condition*, which names them;
- none holds and none is contradicted: *undecided*;
- fewer seeds than the rule asks for, or cases missing: *partial*;
- no measurement: *not tested*, with the reason that the claim gives.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from splinelab._interval import LEVEL
from splinelab.claims.entries import Claim, Measurement
from splinelab.claims.findings import OUTCOMES, Finding, named
from splinelab.claims.stored import read_claims, read_results, write_lock
from splinelab.errors import ClaimError

VERDICTS = (
    "reproduced",
    "extends",
    "reproduced under a condition",
    "contradicted",
    "undecided",
    "partial",
    "not tested",
)


def book_folder() -> Path:
    """The `book` folder of the checkout, or the copy of its ledger that a wheel brings."""
    here = Path(__file__).resolve()
    for folder in (here.parents[2] / "book", here.parent / "book"):
        if (folder / "claims.yml").is_file():
            return folder
    raise ClaimError(f"no ledger at {here.parent / 'book' / 'claims.yml'}: install splinelab again")


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
        files = [file for folder in dict.fromkeys(folders) for file in sorted(folder.glob("*.json"))]
        for file in files:
            if file.name == "verdicts.json":
                continue
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

    def found(self, claim_id: str) -> list[Finding]:
        """The measured cases of a claim, in its order, each with its simultaneous interval and outcome."""
        claim, measured = self.claims[claim_id], self.measurements.get(claim_id, {})
        tests = sum(each.confident for each in measured.values())
        return [
            Finding(claim, case, measured[case.label], measured[case.label].among(max(tests, 1)))
            for case in claim.cases
            if case.label in measured
        ]

    def verdicts(self) -> dict[str, tuple[str, str]]:
        """`{id: (verdict, condition)}`; the condition says which cases hold, what is missing, what would
        decide, or why nothing was tested."""
        return {claim.id: self.verdict(claim.id)[:2] for claim in self.claims.values()}

    def verdict(self, claim_id: str) -> tuple[str, str, Finding | None]:
        """Verdict, condition, and the first case that carries the verdict."""
        claim, found = self.claims[claim_id], self.found(claim_id)
        if not found:
            if not claim.not_tested:
                raise ClaimError(f"{claim.id} has neither a measurement nor a reason under `not_tested`")
            return "not tested", claim.not_tested, None
        missing = [case.label for case in claim.cases if case.label not in self.measurements[claim_id]]
        few = min(len(each.interval.seeds) for each in found)
        if missing or few < claim.seeds:
            lacks = [f"not measured: {' · '.join(missing)}"] if missing else []
            lacks += [f"{few} of {claim.seeds} seeds"] if few < claim.seeds else []
            return "partial", "; ".join(lacks), found[0]
        by = {outcome: [each for each in found if each.outcome == outcome] for outcome in OUTCOMES}
        if len(by["holds"]) == len(found):
            return ("extends" if claim.source == "ours" else "reproduced"), "", found[0]
        if found[0].outcome == "contradicted" or (by["contradicted"] and not by["holds"]):
            rest = {**by, "contradicted": by["contradicted"] if by["holds"] or by["undecided"] else []}
            return "contradicted", named(rest), by["contradicted"][0]
        if by["holds"]:
            return "reproduced under a condition", named(by), by["holds"][0]
        return "undecided", "; ".join(each.needs for each in by["undecided"][:1]), by["undecided"][0]

    def scope(self, claim_id: str) -> str:
        """The data sets of a claim's cases, and the verdict on a second one where that is its own claim."""
        names, other = self._data(claim_id), self.claims[claim_id].elsewhere
        if other is None:
            return names
        if not self.measurements.get(other):  # while the other chapter is written
            return f"{names}; {other}: not measured"
        return f"{names}; {self._data(other)}: {self.verdict(other)[0]}"

    def _data(self, claim_id: str) -> str:
        return ", ".join(dict.fromkeys(each.measurement.data for each in self.found(claim_id)))

    def false_holds(self) -> float:
        """How many claims, at most, chance alone lets hold in some case, were the truth at every threshold:
        2.5 % of the claims whose cases are confidence intervals."""
        tested = [name for name in self.claims if any(each.interval.confident for each in self.found(name))]
        return (1 - LEVEL) / 2 * len(tested)

    def rows(self, chapter: str | None = None) -> list[dict]:
        """The scoreboard as plain records, in the order of `claims.yml`.

        With `chapter`, only its claims, and of these the measured ones: while a chapter is written, its
        ledger may have holes.
        """
        return [
            self._row(claim)
            for claim in self.claims.values()
            if chapter is None or (claim.chapter == chapter and self.measurements.get(claim.id))
        ]

    def _row(self, claim: Claim) -> dict:
        verdict, condition, carrying = self.verdict(claim.id)
        cases = [each.to_dict() for each in self.found(claim.id)]
        ours = carrying.to_dict() if carrying else {}
        return {
            "id": claim.id,
            "source": claim.source,
            "chapter": claim.chapter,
            "statement": " ".join(claim.statement.split()),
            "theirs": claim.theirs,
            "ours": ours.get("value"),
            **{key: ours.get(key) for key in ("low", "high", "n")},
            "seeds": ours.get("seeds", []),
            "data": ours.get("data"),
            "verdict": verdict,
            "condition": condition,
            "cases": cases,
        }
