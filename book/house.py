"""The house: what each room holds, its lines before and now, and a picture of who imports whom."""

import ast
import json
from pathlib import Path

from chapters import ROOT

PACKAGE = ROOT / "splinelab"
BEFORE = ROOT / "book/house.json"


def room_of(path: Path) -> str:
    """The room that a file of the package belongs to: its folder, or itself; helpers under `_` are one."""
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "helpers" if name.startswith("_") and name not in ("__init__", "__main__") else name


def imports(path: Path) -> set[str]:
    """The rooms that a file imports, its own left out."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("splinelab"):
            parts = node.module.split(".")[1:]
            found |= {parts[0]} if parts else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("splinelab.")}
    found = {"helpers" if name.startswith("_") else name for name in found}
    return found - {room_of(path)}


def lines() -> dict[str, int]:
    """Lines of each room."""
    counted: dict[str, int] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        room = room_of(path)
        counted[room] = counted.get(room, 0) + path.read_text(encoding="utf-8").count("\n")
    return counted


def used() -> list[tuple[str, str, int]]:
    """(room, room that it imports, files that do so)."""
    counted: dict[tuple[str, str], int] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for other in imports(path):
            counted[room_of(path), other] = counted.get((room_of(path), other), 0) + 1
    return [(one, other, count) for (one, other), count in counted.items()]


def page(rooms: list[str]) -> str:
    """The table and the picture, for rooms in the order in which they stand, ground floor first."""
    before, now = json.loads(BEFORE.read_text(encoding="utf-8")), lines()
    rows = ["| room | lines before | now |", "|---|---:|---:|"]
    order = [*rooms, *sorted(set(now) | set(before["lines"]) - set(rooms))]
    for room in dict.fromkeys(order):
        was, is_now = before["lines"].get(room, 0), now.get(room, 0)
        if was or is_now:
            rows.append(f"| `{room}` | {was:,} | {is_now:,} |")
    rows.append(f"| all | {sum(before['lines'].values()):,} | {sum(now.values()):,} |")
    return "\n".join([picture(rooms), "", *rows, "", f"“Before” is {before['when']}."])


def picture(rooms: list[str]) -> str:
    """Who imports whom: a room's row, the rooms that it uses as columns; all stand left of the diagonal."""
    import altair as alt
    import pandas as pd

    from splinelab.charts import BLUE, describe, figure, page, use

    use()
    known = [rooms[0], "helpers", *rooms[1:]]
    table = pd.DataFrame(
        [
            {"room": one, "imports": other, "files": count}
            for one, other, count in used()
            if one in known and other in known
        ]
    )
    place = {room: index for index, room in enumerate(known)}
    up = table[table["imports"].map(place) > table["room"].map(place)]
    chart = (
        alt.Chart(table)
        .mark_circle(color=BLUE)
        .encode(
            x=alt.X("imports:N", sort=known, scale=alt.Scale(domain=known), title="is imported"),
            y=alt.Y("room:N", sort=known, scale=alt.Scale(domain=known), title="room"),
            size=alt.Size("files:Q", legend=alt.Legend(title="files")),
            tooltip=["room", "imports", "files"],
        )
        .properties(width=420, height=360)
    )
    said = f"Of {len(table)} pairs of rooms in which one imports the other, {len(up)} point upward."
    chart = describe(chart, f"Rooms of the package as rows, the rooms that they import as columns. {said}")
    chart = figure(chart, said, "One dot for each pair; its size is the number of files.", holds=up.empty)
    spec = chart.to_dict()
    return "```{raw} html\n" + page.figure(spec, page.csv_links(spec)) + "\n```"
