"""How a chapter enters its measurements."""

import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from IPython.display import HTML

from splinelab.claims.entries import Measurement
from splinelab.claims.ledger import Ledger, results_folder
from splinelab.claims.scoreboard import verdict_lines
from splinelab.claims.stored import write_json, write_results
from splinelab.errors import ClaimError
from splinelab.intervals import Interval


class Notebook:
    """What a chapter records. Nothing is written unless the run is at the committed scale.

    Parameters
    ----------
    chapter : the notebook's name, as `claims.yml` spells it.
    committed : whether data, seeds and budgets are the committed ones; otherwise `save` writes nothing.
    """

    def __init__(self, chapter: str, *, committed: bool) -> None:
        self.chapter, self.committed = chapter, committed
        self.ledger = Ledger.load()

    def record(
        self,
        claim_id: str,
        case: str,
        interval: Interval,
        *,
        data: Any,
        n: int | None = None,
        seeds: Iterable[int] | None = None,
    ) -> None:
        """Enter an interval; the file is written by `save`.

        `data` is the `Dataset` or the `SparseFeatures` that it was measured on; a recipe stands for its
        `inputs`. `n` and `seeds` replace the interval's own: what counts as one image, and which nets they
        were.
        """
        if not isinstance(interval, Interval):
            raise ClaimError(
                f"{claim_id}, {case!r}: the interval is {interval!r}; expected one of splinelab.intervals "
                "(over_nets, range_over_nets, two_level, exactly)"
            )
        data = getattr(data, "inputs", data)
        seeds = None if seeds is None else tuple(seeds)
        given = {key: value for key, value in (("n", n), ("seeds", seeds)) if value is not None}
        measurement = Measurement.of(
            interval,
            **given,
            data=data.name,
            checksum=data.checksum,
            measured=datetime.date.today().isoformat(),
        )
        owner = self.ledger.claims.get(claim_id)
        if owner and owner.chapter != self.chapter:
            raise ClaimError(f"{claim_id} belongs to {owner.chapter}, not to {self.chapter}")
        before = self.ledger.measurements.get(claim_id, {}).get(case)
        if before and before.same_as(measurement):
            measurement = before
        self.ledger.add(claim_id, case, measurement)

    def verdicts(self) -> HTML:
        """The chapter's claims as they stand, one line each, linked to their cases on the scoreboard."""
        return HTML(verdict_lines(self.ledger, self.chapter))

    def save(self) -> str:
        """Write the chapter's results, whole or not at all; returns one line that says what happened."""
        if not self.committed:
            return (
                "Another data set, seed or budget than the committed one: nothing was written to the ledger."
            )
        mine = {
            claim_id: cases
            for claim_id, cases in self.ledger.measurements.items()
            if self.ledger.claims[claim_id].chapter == self.chapter
        }
        write_results(results_folder() / f"{self.chapter}.json", mine)
        count = sum(map(len, mine.values()))
        return f"The ledger now holds {count} measurements of {len(mine)} claims of this chapter."


def write_verdicts(folder: Path | None = None) -> None:
    """Store every verdict as `verdicts.json`, and a digest of every claim as `claims.lock`, so that a change
    of either shows in review."""
    ledger = Ledger.load(locked=False)
    verdicts = {claim_id: verdict for claim_id, (verdict, _) in ledger.verdicts().items()}
    write_json(Path(folder or results_folder()) / "verdicts.json", verdicts)
    ledger.lock()
