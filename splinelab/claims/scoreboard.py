"""The ledger as readers see it: in the terminal, as JSON, and in tables of the book."""

import html
import json
import re
from collections.abc import Iterable

from splinelab.claims.ledger import Finding, Ledger

__all__ = ["cases_markdown", "chapter_markdown", "print_scoreboard", "verdict_lines"]


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


def chapter_markdown(ledger: Ledger, chapter: str) -> str:
    """The part of the scoreboard that belongs to one chapter, in which nothing may be measured yet."""
    return _table(ledger, [{**row, "name": row["id"]} for row in ledger.rows(chapter)])


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


def cases_markdown(ledger: Ledger, claim_ids: Iterable[str]) -> str:
    """Every measured case of some claims as a table."""
    lines = [
        "| claim | case | ours, 95 % interval | over | n | seeds | data, measured | rule | outcome |",
        "|" + "---|" * 9,
    ]
    for claim_id in claim_ids:
        for each in ledger.found(claim_id):
            found, measured = each.interval, each.measurement
            lines.append(
                f"| {claim_id} | {each.case.label} | {found.text} | {found.over} | {found.n} "
                f"| {len(found.seeds)} | {measured.data}, {measured.measured} | {each.case} "
                f"| {each.outcome} |"
            )
    return "\n".join(lines)


def _table(ledger: Ledger, rows: list[dict]) -> str:
    lines = ["| claim | verdict | what was measured |", "|---|---|---|"]
    for row in rows:
        told = f"**{row['verdict']}**" + (f" ({scope})" if (scope := ledger.scope(row["id"])) else "")
        lines.append(f"| {row['name']} {row['statement']} | {told} | {_cell(_evidence(ledger, row))} |")
    return "\n".join(lines)


def _cell(lines: list[str]) -> str:
    """Lines of evidence in one cell, the outcomes set off."""
    marked = [re.sub(r"^(holds|contradicted|undecided):", r"*\1:*", line) for line in lines]
    return "<br>".join(marked)


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
