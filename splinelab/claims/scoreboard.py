"""The ledger as readers see it: in the terminal, as JSON, and in the lines that open a chapter."""

import html
import json

from splinelab.claims.findings import Finding
from splinelab.claims.ledger import Ledger

__all__ = ["print_scoreboard", "verdict_lines"]


def print_scoreboard(as_json: bool = False) -> None:
    """What `python -m splinelab claims` prints."""
    ledger = Ledger.load()
    rows = ledger.rows()
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print(f"{row['id']:<30}{row['verdict']:<30}{ledger.scope(row['id'])}")
        print(f"    {row['statement']}")
        for line in _evidence(ledger, row):
            print(f"    {line}")
    print(_caution(ledger))


def verdict_lines(ledger: Ledger, chapter: str) -> str:
    """One line of HTML for each claim of a chapter, linked to its row of the scoreboard."""
    lines = []
    for row in ledger.rows(chapter):
        carrying = ledger.verdict(row["id"])[2]
        told = f" ({carrying.case.label}: {carrying.interval.text})" if carrying else ""
        lines.append(
            f'<li class="sl-{row["verdict"].replace(" ", "-")}"><b>{row["verdict"]}</b> '
            f'<a href="../book/scoreboard.html#{row["id"]}">{row["id"]}</a> '
            f"{html.escape(row['statement'] + told)}</li>"
        )
    return '<ul class="sl-verdicts">' + "".join(lines) + "</ul>"


def _evidence(ledger: Ledger, row: dict) -> list[str]:
    """In words: the quantity and the source's figure, then one case for each outcome that there is."""
    carrying = ledger.verdict(row["id"])[2]
    if carrying is None:
        return [row["condition"]]
    theirs = "" if row["theirs"] is None else f"; the source: {row['theirs']:g}"
    found = ledger.found(row["id"])
    first = {carrying.outcome: carrying}
    for each in found:
        first.setdefault(each.outcome, each)
    lines = [f"{carrying.quantity}{theirs}"]
    for outcome, each in first.items():
        count = sum(other.outcome == outcome for other in found)
        among = f", and {count - 1} more" if count > 1 else ""
        lines.append(f"{outcome}: {_told(each, carrying)}{among}")
    if row["verdict"] in ("undecided", "partial") and row["condition"]:
        lines.append(row["condition"])
    return lines


def _told(each: Finding, carrying: Finding) -> str:
    other = f" ({each.quantity})" if each.quantity != carrying.quantity else ""
    return f"{each.case.label}{other}, {each.interval.text}"


def _caution(ledger: Ledger) -> str:
    return (
        "Intervals are simultaneous over the cases of a claim. Were the truth at every threshold, chance "
        f"would let a case hold in {ledger.false_holds():.1f} of these {len(ledger.claims)} claims at most."
    )
