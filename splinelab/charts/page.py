"""How the built book shows a chart: inline SVG first, the live chart where JavaScript runs, the data as CSV.

Entry point of ``myst_nb.mime_renderers``. ``book/_static/charts.js`` swaps in the live chart.
"""

import base64
import csv
import hashlib
import html
import io
import json
import re
from typing import Any, ClassVar

from docutils import nodes

from splinelab.charts import renderer as charts
from splinelab.charts.tables import tables
from splinelab.charts.widgets import MIME as FRAMES_MIME
from splinelab.charts.widgets import slider_html


class ChartRenderer:
    """Renders charts and slider frames of executed notebooks to docutils nodes."""

    mime_priority_overrides: ClassVar = [("*", charts.MIME, 1), ("*", FRAMES_MIME, 2)]

    @staticmethod
    def handle_mime(renderer: Any, data: Any, inline: bool) -> list[nodes.Element] | None:
        """Nodes for our two MIME types; ``None`` leaves the rest to myst-nb."""
        if data.mime_type == charts.MIME:
            return chart_nodes(renderer, data.content)
        if data.mime_type == FRAMES_MIME:
            cell = renderer.renderer.nb_client.code_cell_outputs(data.cell_index)[1]
            slider = slider_html(cell[data.output_index]["data"]["text/html"])
            return frame_nodes(renderer, data.content, slider)
        return None


def figure(spec: dict, links: str = "", number: str = "") -> str:
    """HTML for one chart; ``links`` is more HTML for the line under it, ``number`` what the book calls it.

    The same chart always gives the same HTML.
    """
    spec = charts.tidy(spec)
    if "caption" in (told := spec.pop("usermeta", {})):
        del spec["title"]
        links = caption(told, number) + links
    text = json.dumps(spec, separators=(",", ":"), ensure_ascii=False)
    name = "c" + hashlib.sha256(text.encode()).hexdigest()[:10]
    label = html.escape(spec["description"], quote=True)
    picture = unique_ids(charts.svg(spec), name)
    safe = text.replace("</", "<\\/")
    return (
        f'<figure class="sl-figure"{anchor(number)}><div class="sl-frame">'
        f'<div class="sl-chart" role="img" aria-label="{label}">{picture}</div></div>'
        f'<script type="{charts.MIME}">{safe}</script>{links}</figure>'
    )


def anchor(number: str) -> str:
    """The attribute by which other pages link to a numbered figure."""
    return f' id="figure-{number.replace(".", "-")}"' if number else ""


def caption(told: dict, number: str) -> str:
    """The figure's number, takeaway and caption."""
    name = f'<span class="sl-number">Figure {number}.</span> ' if number else ""
    return (
        f'<figcaption class="sl-caption">{name}<strong>{html.escape(ended(told["takeaway"]))}</strong> '
        f"{html.escape(told['caption'])}</figcaption>"
    )


def ended(sentence: str) -> str:
    """A sentence with its full stop."""
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."


def next_number(renderer: Any) -> str:
    """Chapter and running number of the figure that is rendered next: "3.2"."""
    environment = renderer.renderer.sphinx_env
    chapter = environment.docname.rsplit("/", 1)[-1].split("_")[0].lstrip("0") or "0"
    counts = environment.temp_data
    counts["sl-figures"] = counts.get("sl-figures", 0) + 1
    return f"{chapter}.{counts['sl-figures']}"


def unique_ids(picture: str, prefix: str) -> str:
    """Prefix every id of an SVG and every reference to it: pictures on a page must not share clip paths."""
    ids = set(re.findall(r'\bid="([^"]+)"', picture))
    for old in sorted(ids, key=len, reverse=True):
        new = f"{prefix}-{old}"
        picture = picture.replace(f'id="{old}"', f'id="{new}"')
        picture = picture.replace(f"url(#{old})", f"url(#{new})").replace(f'href="#{old}"', f'href="#{new}"')
    return picture


def to_csv(rows: list[dict]) -> str:
    """A table as CSV text; columns that hold embedded pictures are left out."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    kept = [
        name for name in names if not any(str(row.get(name, "")).startswith("data:image") for row in rows)
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, kept, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def csv_links(spec: dict) -> str:
    """Links that carry the figure's tables themselves, so that they work from a page saved to disk."""
    found = tables(spec)
    links = []
    for index, rows in enumerate(found, start=1):
        number, name = (f"-{index}", str(index)) if len(found) > 1 else ("", "Data (CSV)")
        encoded = base64.b64encode(to_csv(rows).encode()).decode("ascii")
        links.append(
            f'<a class="sl-csv" download="figure{number}.csv" aria-label="data {index} as CSV" '
            f'href="data:text/csv;charset=utf-8;base64,{encoded}">{name}</a>'
        )
    several = "Data (CSV): " if len(links) > 1 else ""
    return f'<figcaption class="sl-links">{several}{" ".join(links)}</figcaption>' if links else ""


def chart_nodes(renderer: Any, spec: dict) -> list[nodes.Element]:
    """A chart with links to its data."""
    number = next_number(renderer) if "caption" in spec.get("usermeta", {}) else ""
    return [nodes.raw("", figure(spec, csv_links(spec), number), format="html", classes=["output"])]


def frame_nodes(renderer: Any, content: dict, slider: str) -> list[nodes.Element]:
    """A slider over frames; its HTML works by itself and shows one frame where scripts are off."""
    label = html.escape(content["description"], quote=True)
    number = next_number(renderer) if "caption" in content else ""
    words = caption(content, number) if number else ""
    return [
        nodes.raw(
            "",
            f'<figure class="sl-figure sl-frames" role="group" aria-label="{label}"{anchor(number)}>'
            f"{slider}{words}</figure>",
            format="html",
            classes=["output"],
        )
    ]
