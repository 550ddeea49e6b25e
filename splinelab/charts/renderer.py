"""The Altair renderer: one chart becomes a Vega-Lite spec, a static picture and its description.

Altair's own output needs a content-delivery network and a MIME type that nbformat refuses. Ours carries what
a notebook, GitHub and the book need, and two runs of one chart give the same bytes.
"""

import base64
import io
import json
import math
import re
import sys
from typing import Any, cast

import altair as alt
import pandas as pd
import vl_convert
from PIL import Image

from splinelab.charts import theme
from splinelab.charts.tables import pack
from splinelab.errors import InputError

#: Altair 6's own MIME type lacks the "+", which nbformat refuses.
MIME = "application/vnd.vegalite.v6+json"
MAX_ROWS = 5000


def use() -> None:
    """Switch Altair to splinelab's theme and renderer, for this process.

    Charts must then carry a description (see :func:`describe`) and at most 5,000 rows per data set.
    """
    alt.theme.register("splinelab", enable=True)(_theme)
    alt.data_transformers.enable("default", max_rows=MAX_ROWS)
    alt.renderers.enable("html")
    # Colab draws no Vega-Lite by itself.
    html: Any = alt.renderers.get() if "google.colab" in sys.modules else None

    def render(spec: dict, **_: Any) -> dict[str, Any]:
        bundle = mimebundle(spec)
        return bundle | html(bundle[MIME]) if html else bundle

    alt.renderers.register("splinelab", render)
    alt.renderers.enable("splinelab")


def _theme() -> alt.theme.ThemeConfig:
    return alt.theme.ThemeConfig({"config": cast(Any, theme.config())})


def order(table: pd.DataFrame, column: str) -> list[str]:
    """The order of first appearance; Vega would sort facets by the alphabet."""
    return list(table[column].unique())


def describe(chart: alt.TopLevelMixin, text: str) -> alt.TopLevelMixin:
    """Give a chart the sentence that stands for it where it cannot be seen.

    Parameters
    ----------
    chart
        Any Altair chart: single, layered or concatenated.
    text
        What the picture shows, in one or two sentences: axes, groups and the finding.
    """
    if not text or not text.strip():
        raise InputError("The description is empty; say in a sentence what the chart shows.")
    return chart.properties(description=" ".join(text.split()))


def mimebundle(spec: dict) -> dict[str, Any]:
    """The notebook output of one chart: Vega-Lite spec, PNG (base64) and description, by MIME type."""
    description = spec.get("description")
    if not isinstance(description, str) or not description.strip():
        raise InputError(
            "This chart has no description, which readers who cannot see it need; "
            "pass it through splinelab.charts.describe(chart, 'what it shows')."
        )
    spec = tidy(spec)
    return {
        MIME: spec,
        "image/png": base64.b64encode(png(spec)).decode("ascii"),
        "text/plain": f"[chart] {description}",
    }


def vegalite_version() -> str:
    """The Vega-Lite version to draw with: Altair's if it is bundled, else the newest that is."""
    wanted = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    bundled = vl_convert.get_vegalite_versions()
    return wanted if wanted in bundled else bundled[-1]


def png(spec: dict, scale: float = 1.0) -> bytes:
    """Draw a Vega-Lite spec as PNG with 256 colours, without network."""
    drawn = vl_convert.vegalite_to_png(spec, vl_version=vegalite_version(), scale=scale, allowed_base_urls=[])
    small = io.BytesIO()
    Image.open(io.BytesIO(drawn)).quantize(256, Image.Quantize.FASTOCTREE).save(small, "PNG", optimize=True)
    return small.getvalue()


def svg(spec: dict) -> str:
    """Draw a Vega-Lite spec as SVG, without network."""
    return vl_convert.vegalite_to_svg(spec, vl_version=vegalite_version(), allowed_base_urls=[])


def tidy(spec: dict) -> dict:
    """The same chart with rounded numbers, nulls for NaN and infinities, and names counted from 0.

    Altair names data, views and parameters after hashes of the unrounded numbers, whose last digits depend on
    the processor. Tables become CSV text, a fifth of the size.
    """
    spec = dict(spec)
    datasets = {
        name: rows if isinstance(rows, str) else _rows(rows)
        for name, rows in spec.pop("datasets", {}).items()
    }
    text = json.dumps(_inline(spec), allow_nan=False)
    numbers = {json.dumps(name): index for index, name in enumerate(datasets)}
    if numbers:  # all at once: a spec that comes back from a file has such names already, in another order
        names = "|".join(map(re.escape, numbers))
        text = re.sub(names, lambda found: f'"data-{numbers[found[0]]}"', text)
    counts: dict[str, int] = {}
    for old, kind in dict.fromkeys(re.findall(r'"name": "((param|view)_[0-9a-f][0-9a-f_]*)"', text)):
        text = re.sub(rf"\b{old}(?![0-9a-f_])", f"{kind}_s{counts.get(kind, 0)}", text)
        counts[kind] = counts.get(kind, 0) + 1
    tidied = json.loads(text)
    if datasets:
        tidied["datasets"] = {f"data-{index}": rows for index, rows in enumerate(datasets.values())}
        _pack_tables(tidied)
    return tidied


def _pack_tables(spec: dict) -> None:
    """Write the named tables as CSV, and say so wherever the spec refers to them."""
    named, formats = spec["datasets"], {}
    for name, rows in named.items():
        if not isinstance(rows, str) and all(isinstance(row, dict) and _flat(row) for row in rows):
            named[name], parse = pack(rows)
            formats[name] = {"type": "csv", "parse": parse}

    def visit(node: Any) -> None:
        if isinstance(node, dict):
            data = node.get("data")
            if isinstance(data, dict) and data.get("name") in formats:
                data["format"] = formats[data["name"]]
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            visit(child)

    visit({key: value for key, value in spec.items() if key != "datasets"})


def _flat(row: dict) -> bool:
    return all(value is None or isinstance(value, bool | int | float | str) for value in row.values())


def _inline(node: Any) -> Any:
    """Round the tables that stand inside the spec; leave every other number alone."""
    if isinstance(node, dict):
        return {
            key: {**child, "values": _rows(child["values"])}
            if key == "data" and isinstance(child, dict) and isinstance(child.get("values"), list)
            else _inline(child)
            for key, child in node.items()
        }
    return [_inline(child) for child in node] if isinstance(node, list) else node


def _rows(rows: list) -> list:
    if len(rows) > MAX_ROWS:
        raise InputError(
            f"The chart holds a table of {len(rows):,} rows; at most {MAX_ROWS:,} fit on a page. "
            "Bin or sample them first."
        )
    return [_rounded(row) for row in rows]


def _rounded(value: Any) -> Any:
    """Three decimals, and three significant digits below 1."""
    if isinstance(value, dict):
        return {key: _rounded(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_rounded(child) for child in value]
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    if value.is_integer() and abs(value) < 1e15:
        return int(value)
    return round(value, 3) if abs(value) >= 1 else float(f"{value:.3g}")
