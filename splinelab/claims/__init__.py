"""The claims ledger: what a source says, what we measured, and the verdict.

`book/claims.yml` holds the claims and the rule of each, `book/results/*.json` the measurements, one file
per chapter, and the verdicts that follow from them.
"""

from splinelab.claims.entries import Case, Claim, Measurement
from splinelab.claims.findings import Finding
from splinelab.claims.ledger import VERDICTS, Ledger
from splinelab.claims.notebook import Notebook, write_verdicts
from splinelab.claims.scoreboard import print_scoreboard

__all__ = [
    "VERDICTS",
    "Case",
    "Claim",
    "Finding",
    "Ledger",
    "Measurement",
    "Notebook",
    "print_scoreboard",
    "write_verdicts",
]
