"""The ledger as readers see it: in the terminal, as JSON, and on the book's landing page."""

import json

from splinelab.claims.ledger import Ledger

__all__ = ["print_scoreboard", "scoreboard_markdown"]


def print_scoreboard(as_json: bool = False) -> None:
    """What `python -m splinelab claims` prints."""
    rows = Ledger.load().rows()
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        measured = "–" if row["ours"] is None else f"{row['ours']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"
        theirs = "–" if row["theirs"] is None else f"{row['theirs']:g}"
        print(f"{row['id']:<28}{row['verdict']:<30}theirs {theirs:<8}ours {measured}")
        print(f"    {' '.join(row['statement'].split())}")
        if row["condition"]:
            print(f"    {row['condition']}")


def scoreboard_markdown() -> str:
    """The scoreboard as a MyST table, every claim in the same type size, linked to its chapter."""
    lines = ["| claim | verdict | theirs | ours, 95 % interval |", "|---|---|---|---|"]
    for row in Ledger.load().rows():
        measured = "–" if row["ours"] is None else f"{row['ours']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"
        theirs = "–" if row["theirs"] is None else f"{row['theirs']:g}"
        condition = f": {row['condition']}" if row["condition"] else ""
        statement = " ".join(row["statement"].split())
        link = f"[{row['id']}](../notebooks/{row['chapter']})"
        lines.append(f"| {link} {statement} | **{row['verdict']}**{condition} | {theirs} | {measured} |")
    return "\n".join(lines)
