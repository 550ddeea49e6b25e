"""The generated parts of the pages: `%% name %%` in a page is replaced by what is here under that name."""

import json
import os
import platform
import re
import time
from pathlib import Path

import chapters
import cost_tables
import house
import landing
import nbformat
import reference
import scoreboard
import yaml
from address import address, version
from chapters import ROOT

ROOMS = [
    "errors",
    "charts",
    "data",
    "nets",
    "training",
    "codes",
    "recording",
    "intervals",
    "distances",
    "clustering",
    "probes",
    "polytopes",
    "spd",
    "mechanisms",
    "zoo",
    "protocol",
    "headlines",
    "claims",
]


def fill(source: Path) -> None:
    """Replace every `%% name %%` of the staged pages; a name that nothing generates is an error."""
    notebooks = source / "notebooks"
    parts = {
        "address": address,
        "api": lambda: reference.page(ROOMS),
        "citation": citation,
        "house": lambda: house.page(ROOMS),
        "notes": notes,
        "primer": primer,
        "scoreboard": lambda: scoreboard.page(notebooks),
        "soak": soak,
        "status": lambda: status(notebooks),
        **cost_tables.parts(),
        **landing.parts(notebooks),
    }
    for page in sorted((source / "book").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"%% (\w+) %%", text):
            if name not in parts:
                raise SystemExit(f"{page.name} asks for the generated part {name!r}; known: {sorted(parts)}.")
            text = text.replace(f"%% {name} %%", parts[name]())
        page.write_text(text, encoding="utf-8")


def citation() -> str:
    """The book as a reference, from the citation file."""
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    authors = ", ".join(author["name"] for author in told["authors"])
    return f"{authors}. {told['title']}. Version {version()}. {address()}"


def notes() -> str:
    """The appendix's parts, one file for each chapter; their links are written as from their own folder."""
    parts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "book/notes").glob("*.md"))]
    return "\n\n".join(re.sub(r"\]\(\.\./(?!notebooks/)", "](", part) for part in parts) or "Nothing yet."


def primer() -> str:
    """Where a newcomer begins, if the opening chapter is there."""
    name = "00_polytopes_in_five_minutes"
    return (
        f"Begin with [polytopes in five minutes](../notebooks/{name}). " if name in chapters.names() else ""
    )


def status(notebooks: Path) -> str:
    """How long each chapter of this build took, and on what; or that it ran none."""
    import torch

    read = {name: nbformat.read(notebooks / f"{name}.ipynb", as_version=4) for name in chapters.names()}
    times = {name: each.metadata.get("papermill", {}).get("duration") for name, each in read.items()}
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, {os.cpu_count()} cores"
    machine = f"{time.strftime('%d %B %Y')}: {platform.system()} {platform.machine()}, {versions}."
    if None in times.values():  # papermill's record is absent where the stored outputs were taken
        return f"These pages were drawn from the chapters' stored outputs; no chapter ran for them. {machine}"
    rows = ["| chapter | cells | run time |", "|---|---:|---:|"]
    for name, seconds in times.items():
        cells = sum(cell.cell_type == "code" for cell in read[name].cells)
        rows.append(f"| [](../notebooks/{name}) | {cells} | {seconds:.0f} s |")
    rows.append(f"| all | | {sum(times.values()):.0f} s |")
    told = (
        "How long each chapter took when this book was built, from papermill's own record. Chapters that "
        "do not measure time run side by side, one for each core."
    )
    return "\n".join([told, "", *rows, "", machine])


def soak() -> str:
    """The figures of the last `make soak`."""
    found = json.loads((ROOT / "book/soak.json").read_text(encoding="utf-8"))
    tried = {name: sum(counts.values()) for name, counts in found["files"].items()}
    rows = [
        "| kind of file | broken | refused with one clear error | read as it was |",
        "|---|---:|---:|---:|",
    ]
    total = [sum(tried.values()), 0, 0]
    for name, counts in found["files"].items():
        rows.append(f"| {name} | {tried[name]} | {counts['refused']} | {counts['as it was']} |")
        total[1:] = total[1] + counts["refused"], total[2] + counts["as it was"]
    rows.append("| all | {:,} | {:,} | {:,} |".format(*total))
    kills = found["kills"]
    words = (
        f"{kills['same']} of {kills['killed']} trainings and decompositions that were killed (`kill -9`) "
        "and started again ended with the bits of an uninterrupted run and left nothing behind: "
        f"{kills['writing']} were killed while a file was half written, and {kills['resumed']} went on from "
        "a checkpoint."
    )
    machine = f"{found['day']}, seed {found['seed']}, {found['minutes']:.0f} minutes: {found['machine']}."
    return "\n".join([*rows, "", words, "", machine])
