"""Numbers with their intervals, side by side: places down the page, panels under each other on one axis."""

import math
from collections.abc import Iterable, Mapping, Sequence

import altair as alt
import pandas as pd

from splinelab.charts import GREY, describe
from splinelab.charts.renderer import order

__all__ = ["forest"]

ROW = 15  # pixels for each interval


def forest(
    intervals: Mapping[tuple[str, str, str], Iterable[float]],
    colours: Mapping[str, str] | Sequence[str],
    x: str,
    *,
    reference: float | None = 1.0,
    log: bool = False,
    width: int = 480,
    format: str = ".2f",
) -> alt.TopLevelMixin:
    """Intervals as horizontal bars under each other; all panels share one axis, and it holds all of them.

    Parameters
    ----------
    intervals : (panel, place, series) → value, low, high: a panel, a row in it, and its colour.
    colours : series → colour; or colours, in the order of the series.
    x : title of the axis.
    reference : where a dashed line is drawn.
    log : whether the axis is logarithmic; what has its low end at 0 or below is cut at the axis' end.
    format : of the numbers in tooltips and in the description.
    """
    names = ["panel", "place", "series", "value", "low", "high"]
    table = pd.DataFrame([(*key, *found) for key, found in intervals.items()], columns=names)
    if not isinstance(colours, Mapping):
        colours = dict(zip(order(table, "series"), colours, strict=False))  # a series may have no interval
    ends = [*table["value"], *table["low"], *table["high"], *([] if reference is None else [reference])]
    ends = [end for end in ends if end > 0] if log else ends
    margin = 0 if log else 0.02 * (max(ends) - min(ends))
    domain = [min(ends) - margin, max(ends) + margin]
    if log:  # a bar that reaches zero passes the smallest number, so that it is seen to go on
        domain[0] = 10.0 ** math.floor(math.log10(domain[0] / (3 if (table["low"] <= 0).any() else 1)))
    scale = alt.Scale(type="log" if log else "linear", domain=domain, zero=False, nice=log)
    if log:
        table = table.assign(low=table["low"].clip(lower=domain[0]))
    panels = order(table, "panel")
    parts = [
        _panel(table[table["panel"] == panel], colours, scale, reference, format, legend=panel == panels[0])
        .properties(width=width, title=panel)
        .encode(x=alt.X(title=x if panel == panels[-1] else None))
        for panel in panels
    ]
    return describe(alt.vconcat(*parts, spacing=10), _told(table, x, format))


def _panel(
    some: pd.DataFrame,
    colours: Mapping,
    scale: alt.Scale,
    reference: float | None,
    format: str,
    *,
    legend: bool,
) -> alt.LayerChart:
    colour = alt.Color(
        "series:N",
        title=None,
        scale=alt.Scale(domain=list(colours), range=list(colours.values())),
        legend=alt.Legend(orient="top", columns=3) if legend else None,
    )
    series = [name for name in colours if (some["series"] == name).any()]
    base = alt.Chart(some).encode(
        y=alt.Y("place:N", title=None, sort=order(some, "place")),
        color=colour,
        tooltip=[
            "panel:N",
            "place:N",
            "series:N",
            *(alt.Tooltip(f"{name}:Q", format=format) for name in ["value", "low", "high"]),
        ],
    )
    if len(series) > 1:
        base = base.encode(yOffset=alt.YOffset("series:N", sort=series, scale=alt.Scale(domain=series)))
    layers = [
        base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", scale=scale), x2="high:Q"),
        base.mark_point(size=45, filled=True, opacity=1).encode(x=alt.X("value:Q", scale=scale)),
    ]
    if reference is not None:
        line = alt.Chart(some).mark_rule(strokeDash=[4, 3], color=GREY)
        layers.insert(0, line.encode(x=alt.datum(reference, type="quantitative", scale=scale)))
    height = max(ROW * len(series), 20) * some["place"].nunique()
    return alt.layer(*layers).properties(height=height)


def _told(table: pd.DataFrame, x: str, format: str) -> str:
    """In words: the smallest and the largest value of each series in each panel."""
    told = []
    for (panel, series), some in table.groupby(["panel", "series"], sort=False):
        least, most = some.loc[some["value"].idxmin()], some.loc[some["value"].idxmax()]
        told.append(
            f"{panel}, {series}: from {least['value']:{format}} ({least['place']}) "
            f"to {most['value']:{format}} ({most['place']})"
        )
    return f"{x.capitalize()}, with intervals. {'; '.join(told)}."
