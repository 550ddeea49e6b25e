"""The scoreboard's page: every claim as an entry that opens to its cases, with the filters above.

Entries are HTML that works without JavaScript; `_static/scoreboard.js` filters, opens what an address names
and copies citations. The index entry before each lets the book's search find it by its id.
"""

import html
import importlib.metadata
import re
from pathlib import Path

import chapters
import nbformat

from splinelab.claims import VERDICTS, Claim, Finding, Ledger

SOURCES = {
    "spline-clustering-mnist": "Research note on spline codes",
    "polytope-lens": "Polytope lens essay",
    "stochastic-parameter-decomposition": "Stochastic parameter decomposition",
    "cross-layer-spd-clustering": "Cross-layer clustering for SPD",
    "ours": "This book",
}
OUTCOMES = ("holds", "contradicted", "undecided")
#: What a dated reason says where rule and cases stayed; any other is taken to have touched them.
KEPT = re.compile(r"\brules? (?:as (?:it was|they were|before)|stays)\b")
WORDING = re.compile(r"\b(?:statement|quantity)\b")


def page(notebooks: Path) -> str:
    """The filters and all entries, as MyST; `notebooks` holds the chapters that the book is built from."""
    ledger = Ledger.load()
    found = figures(notebooks)
    rows = in_order(ledger)
    entries = [entry(ledger, row, found.get(row["id"])) for row in rows]
    anchors = [
        f"```{{index}} single: {row['id']}\n:name: {row['id']}\n```\n\n```{{raw}} html\n{text}\n```\n"
        for row, text in zip(rows, entries, strict=True)
    ]
    caution = (
        "Intervals are simultaneous over the cases of a claim. Were the truth at every threshold, chance "
        f"would let a case hold in {ledger.false_holds():.1f} of these {len(ledger.claims)} claims at most."
    )
    top = f"```{{raw}} html\n{filters(ledger)}\n```\n"
    script = '```{raw} html\n<script src="../_static/scoreboard.js" defer></script>\n```'
    return "\n".join([top, *anchors, caution, "", script])


def in_order(ledger: Ledger) -> list[dict]:
    """The rows of the ledger, in the order of the chapters."""
    order = chapters.names()
    return sorted(ledger.rows(), key=lambda row: order.index(row["chapter"]))


def changed(claim: Claim) -> str:
    """The day of the last change of a claim that touched its rule, cases, statement or quantity; or ""."""
    touched = [each for each in claim.revised if not KEPT.search(each) or WORDING.search(each)]
    return max((each.partition(":")[0] for each in touched), default="")


def is_late(claim: Claim) -> bool:
    """Whether a claim was written, or changed in more than labels and draws, on the day of its first
    measurement or later."""
    if not claim.measured:
        return False
    return claim.committed >= claim.measured or changed(claim) >= claim.measured.split()[0]


def late(ledger: Ledger) -> str:
    """How many rules came before their measurement, and how many did not, in one sentence."""
    after = sum(map(is_late, ledger.claims.values()))
    return (
        f"Of {len(ledger.claims)} claims {len(ledger.claims) - after} keep the rule, the cases and the "
        f"wording that were committed before their first measurement; for {after} one of the three was "
        "written or changed on the day of that measurement or later, and each entry says when and why."
    )


def holding(found: list[Finding]) -> str:
    """How many cases hold."""
    held = sum(each.outcome == "holds" for each in found)
    return f"{held} of {len(found)} {'case holds' if len(found) == 1 else 'cases hold'}"


def counts(ledger: Ledger) -> dict[str, int]:
    """How many claims have which verdict, in the order of `VERDICTS`; those that none has are left out."""
    found = [verdict for verdict, _ in ledger.verdicts().values()]
    return {verdict: found.count(verdict) for verdict in VERDICTS if verdict in found}


def filters(ledger: Ledger) -> str:
    """The form above the entries; hidden until the script shows it."""
    rows = in_order(ledger)
    sources = dict.fromkeys(row["source"] for row in rows)
    menus = {
        "verdict": {verdict: f"{verdict} ({n})" for verdict, n in counts(ledger).items()},
        "source": {name: SOURCES.get(name, name) for name in sources},
        "chapter": {name: chapters.label(name) for name in dict.fromkeys(row["chapter"] for row in rows)},
    }
    selects = "".join(
        f'<label>{kind}<select name="{kind}"><option value="">all</option>'
        + "".join(f'<option value="{html.escape(v)}">{html.escape(t)}</option>' for v, t in choices.items())
        + "</select></label>"
        for kind, choices in menus.items()
    )
    search = (
        '<label class="sl-search">search'
        '<input type="search" name="words" placeholder="in claims, cases, quantities"></label>'
    )
    return (
        f'<form class="sl-filters" hidden>{search}{selects}'
        f'<p><output aria-live="polite">{len(rows)} claims</output>'
        '<button type="reset" hidden>Show all</button></p></form>'
    )


def entry(ledger: Ledger, row: dict, figure: str | None) -> str:
    """One claim: verdict, id and statement; opened, its cases, its rule's history, links and a citation."""
    claim, name = ledger.claims[row["id"]], html.escape(row["id"])
    carrying = ledger.verdict(claim.id)[2]
    measured = ledger.found(claim.id)
    told = row["condition"]
    if carrying:
        told = f"{holding(measured)} · {carrying.case.label}: {carrying.interval.text}"
    chapter = f"../notebooks/{row['chapter']}.html"
    links = [f'<a href="{chapter}">{html.escape(chapters.label(row["chapter"]))}</a>']
    if figure:
        links.append(f'<a href="{chapter}#figure-{figure.replace(".", "-")}">Figure {figure}</a>')
    theirs = "" if row["theirs"] is None else f" The source's figure: {row['theirs']:g}."
    source = f"{SOURCES.get(row['source'], row['source'])}, {row_place(claim.place)}"
    history = "".join(f"<li>{html.escape(each)}</li>" for each in claim.revised)
    revised = f"<p>Changes, and why:</p><ul>{history}</ul>" if history else ""
    return (
        f'<details id="{name}" class="sl-claim {kind(row["verdict"])}" data-claim="{name}" '
        f'data-verdict="{row["verdict"]}" data-source="{html.escape(row["source"])}" '
        f'data-chapter="{row["chapter"]}"><summary>'
        f'<span class="sl-verdict {kind(row["verdict"])}">{row["verdict"]}</span>'
        f'<span class="sl-statement"><code>{name}</code> {html.escape(row["statement"])}</span>'
        f'<span class="sl-told">{html.escape(told)}</span></summary><div class="sl-inside">'
        f"<p>{html.escape(source)}.{theirs} Measured: "
        f'<span class="sl-quantity">{html.escape(" ".join(claim.quantity.split()))}</span>. '
        f"{html.escape(ledger.scope(claim.id))}.</p>{cases(measured)}"
        f"<p>{times(claim)}</p>{revised}<p>{' · '.join(links)}</p>"
        f'<p class="sl-cite"><code>{html.escape(citation(ledger, row))}</code>'
        f'<button type="button" hidden>Copy citation</button></p></div></details>'
    )


def times(claim: Claim) -> str:
    """When a rule was committed, when its claim was first measured, when it was last changed."""
    first = f"first measured {claim.measured}" if claim.measured else "not measured"
    day = changed(claim)
    last = f" Rule, cases or wording last changed {day}." if day else " Rule, cases and wording as committed."
    return f"Rule committed {claim.committed}; {first}.{last}"


def row_place(place: str) -> str:
    """The place in the source, in one line."""
    return " ".join(place.split())


def kind(verdict: str) -> str:
    """The class that the style sheet colours."""
    return f"sl-{verdict.replace(' ', '-')}"


def cases(found: list[Finding]) -> str:
    """What was measured, one line for each case."""
    lines = []
    for each in found:
        other = f" ({each.quantity})" if each.case.quantity else ""
        seeds = len(each.interval.seeds)
        nets = f", {seeds} {'net' if seeds == 1 else 'nets'}" if seeds else ""
        lines.append(
            f'<li class="sl-case sl-{each.outcome}"><b>{each.outcome}</b> '
            f"<span>{html.escape(each.case.label + other)}</span> <span>{each.interval.text}</span> "
            f"<small>rule: {html.escape(str(each.case))}; over {each.interval.over}, "
            f"n = {each.interval.n}{nets}, {html.escape(each.measurement.data)}, "
            f"{each.measurement.measured}</small></li>"
        )
    return f'<ul class="sl-cases">{"".join(lines)}</ul>' if lines else ""


def citation(ledger: Ledger, row: dict) -> str:
    """A line that cites one claim: id, verdict, version, day, address."""
    days = [each.measurement.measured for each in ledger.found(row["id"]) if each.measurement.measured]
    day = max(days) if days else "no measurement"
    version = importlib.metadata.version("splinelab")
    return (
        f"splinelab {version}, claim {row['id']}: {row['verdict']} ({day}). "
        f"{chapters.site()}/book/scoreboard.html#{row['id']}"
    )


def figures(notebooks: Path) -> dict[str, str]:
    """The figure that shows a claim: its cell names the claim in a comment, `# Claims: spline-1a, …`."""
    found: dict[str, str] = {}
    for path in sorted(notebooks.glob("*.ipynb")):
        here, number = chapters.number(path.stem), 0
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                if captioned(output.get("data", {})):
                    number += 1
                    found |= dict.fromkeys(shown(cell.source), f"{here}.{number}")
    return found


def shown(source: str) -> list[str]:
    """The claims that a figure's cell says it shows."""
    told = re.search(r"# Claims: (.+)$", source, re.MULTILINE)
    return told[1].split(", ") if told else []


def captioned(bundle: dict) -> bool:
    """Whether an output is a figure with a number."""
    told = [
        value.get("usermeta") or value
        for key, value in bundle.items()
        if key.endswith(("v6+json", "frames+json"))
    ]
    return any("caption" in each for each in told)
