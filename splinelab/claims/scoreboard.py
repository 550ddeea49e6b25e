"""The ledger as readers see it: in the terminal, as JSON, and on the book's landing page."""

import json
from collections.abc import Iterable

from splinelab.claims.ledger import Ledger

__all__ = ["cases_markdown", "chapter_markdown", "print_scoreboard", "scoreboard_markdown"]


def print_scoreboard(as_json: bool = False) -> None:
    """What `python -m splinelab claims` prints."""
    rows = Ledger.load().rows()
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        theirs = "–" if row["theirs"] is None else f"{row['theirs']:g}"
        print(f"{row['id']:<28}{row['verdict']:<30}theirs {theirs:<8}ours {_ours(row)}")
        print(f"    {_one_line(row['statement'])}")
        if row["condition"]:
            print(f"    {row['condition']}")


def scoreboard_markdown() -> str:
    """The scoreboard as a MyST table, every claim in the same type size, linked to its chapter."""
    return _table(
        [{**row, "id": f"[{row['id']}](../notebooks/{row['chapter']})"} for row in Ledger.load().rows()]
    )


def chapter_markdown(ledger: Ledger, chapter: str) -> str:
    """The part of the scoreboard that belongs to one chapter, in which nothing may be measured yet."""
    return _table(ledger.rows(chapter))


def cases_markdown(ledger: Ledger, claim_ids: Iterable[str]) -> str:
    """Every measured case of some claims as a table."""
    lines = [
        "| claim | case | ours, 95 % interval | n | seeds | data, measured | rule | holds |",
        "|" + "---|" * 8,
    ]
    for row in ledger.cases(claim_ids):
        found = row["measured"]
        lines.append(
            f"| {row['claim']} | {row['case']} | {found.text} | {found.n} | {len(found.seeds)} "
            f"| {found.data}, {found.measured} | {row['rule']} | {'yes' if row['holds'] else 'no'} |"
        )
    return "\n".join(lines)


def _table(rows: list[dict]) -> str:
    lines = ["| claim | verdict | theirs | ours, 95 % interval |", "|---|---|---|---|"]
    for row in rows:
        theirs = "–" if row["theirs"] is None else f"{row['theirs']:g}"
        condition = f": {row['condition']}" if row["condition"] else ""
        lines.append(
            f"| {row['id']} {_one_line(row['statement'])} | **{row['verdict']}**{condition} | {theirs} "
            f"| {_ours(row)} |"
        )
    return "\n".join(lines)


def _ours(row: dict) -> str:
    if row["ours"] is None:
        return "–"
    interval = "" if row["low"] == row["high"] else f" [{row['low']:.3g}, {row['high']:.3g}]"
    return f"{row['ours']:.3g}{interval}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
