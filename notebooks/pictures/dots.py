"""Values with their intervals, and the colours of the ways to compare two images."""

import textwrap
from collections.abc import Mapping

import altair as alt
import pandas as pd

from splinelab.charts.renderer import describe, order
from splinelab.charts.theme import BLUE, GREEN, GREY, ORANGE, PALETTE, SKY, VERMILION
from splinelab.intervals import Interval

__all__ = ["METRIC_COLOURS", "colours", "interval_dots"]

#: Codes in blues, linear outputs in reds, post-ReLU activations in green: one colour for one way to compare.
METRIC_COLOURS = {
    "Jaccard": BLUE,
    "Hamming": SKY,
    "L2 linear": ORANGE,
    "cosine linear": VERMILION,
    "cosine post-ReLU": GREEN,
}


def colours(table: pd.DataFrame, column: str = "metric") -> alt.Scale:
    """The colours of the ways to compare; of other series, the palette in their order."""
    present = [metric for metric in METRIC_COLOURS if metric in set(table[column])]
    if len(present) < table[column].nunique():
        series = order(table, column)
        return alt.Scale(domain=series, range=list(PALETTE[: len(series)]))
    return alt.Scale(domain=present, range=[METRIC_COLOURS[metric] for metric in present])


def interval_dots(
    intervals: Mapping[tuple[str, str, str], Interval],
    quantity: str,
    *,
    zero: bool = True,
    width: int = 210,
) -> alt.TopLevelMixin:
    """Values with their intervals: rows below each other, series in colours, panels side by side.

    `intervals` maps (row, series, panel) to an interval; `quantity` names the axis. With `zero` a dashed line
    marks where the value is none.
    """
    columns = ["row", "series", "panel", "value", "low", "high"]
    table = pd.DataFrame([(*names, *found) for names, found in intervals.items()], columns=columns)
    y = alt.Y("row:N", title=None, sort=order(table, "row"), axis=alt.Axis(labelLimit=230))
    colour = alt.Color(
        "series:N",
        title=None,
        sort=order(table, "series"),
        scale=colours(table, "series"),
        legend=alt.Legend(orient="top") if table["series"].nunique() > 1 else None,
    )
    base = alt.Chart(table).encode(
        y=y, color=colour, yOffset=alt.YOffset("series:N", sort=order(table, "series"))
    )
    scale = alt.Scale(zero=zero)
    title = textwrap.wrap(quantity, width // 6)  # long titles of panels side by side would overlap
    whole = bool((table[["value", "low", "high"]] % 1 == 0).all(axis=None))
    axis = alt.Axis(format="d", tickMinStep=1) if whole else alt.Axis()
    told = [
        "panel",
        "row",
        "series",
        *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "low", "high")),
    ]
    layers = [
        base.mark_rule(strokeWidth=2).encode(
            x=alt.X("low:Q", title=title, scale=scale, axis=axis), x2="high:Q"
        ),
        base.mark_point(opacity=1).encode(
            x=alt.X("value:Q", title=title, scale=scale, axis=axis), tooltip=told
        ),
    ]
    if zero:
        layers.insert(0, alt.Chart(table).mark_rule(strokeDash=[4, 3], color=GREY).encode(x=alt.datum(0)))
    height = table["row"].nunique() * (10 + 9 * table["series"].nunique())
    panels = order(table, "panel")
    chart = alt.layer(*layers).properties(width=width, height=height)
    least, most = (table.loc[find()] for find in (table["value"].idxmin, table["value"].idxmax))
    text = " to ".join(
        f"{each.value:.3g} ({', '.join(dict.fromkeys([each.row, each.series, each.panel]))})"
        for each in (least, most)
    )
    return describe(
        chart.facet(column=alt.Column("panel:N", title=None, sort=panels)) if len(panels) > 1 else chart,
        f"{quantity}, with intervals, for {', '.join(order(table, 'row'))}; in colours "
        f"{', '.join(order(table, 'series'))}; panels: {', '.join(panels)}. Values run from {text}.",
    )
