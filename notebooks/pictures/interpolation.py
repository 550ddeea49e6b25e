"""Pictures of ways between images: where boundaries lie, what sampling sees of them, what an attack crosses.

Every function takes tidy tables (pandas) and returns a described Altair chart.
"""

import altair as alt
import numpy as np
import pandas as pd

from splinelab.charts.renderer import describe, order
from splinelab.charts.theme import BLUE, GREEN, GREY, ORANGE, VERMILION
from splinelab.intervals import Interval

__all__ = ["boundaries", "fifth_rows", "fifths", "interval_row", "ratios", "shares_found"]


def boundaries(places, samples: dict[str, list[float]], start: float, stop: float) -> alt.TopLevelMixin:
    """Exact boundaries on a stretch of a way, above the positions at which samples were taken.

    `places` are coordinates of boundaries; `samples` name → coordinates. Only those from `start` to `stop`
    are drawn.
    """
    rows = [{"what": "exact boundaries", "t": 100 * t} for t in places if start <= t <= stop]
    rows += [
        {"what": name, "t": 100 * t} for name, every in samples.items() for t in every if start <= t <= stop
    ]
    names = ["exact boundaries", *samples]
    chart = (
        alt.Chart(pd.DataFrame(rows))
        .mark_tick(thickness=1.5, height=24)
        .encode(
            x=alt.X(
                "t:Q",
                title="way from image to image, %",
                scale=alt.Scale(domain=[100 * start, 100 * stop], nice=False),
            ),
            y=alt.Y("what:N", title=None, sort=names),
            color=alt.Color(
                "what:N",
                legend=None,
                scale=alt.Scale(domain=names, range=[BLUE, *[GREY] * len(samples)]),
            ),
            tooltip=["what:N", alt.Tooltip("t:Q", format=".3f")],
        )
        .properties(width=560, height=34 * len(names))
    )
    inside = [t for t in places if start <= t <= stop]
    told = ", ".join(f"{np.histogram(inside, every)[0].max()} ({name})" for name, every in samples.items())
    return describe(
        chart,
        f"The exact boundaries on the stretch from {start} to {stop} of the way between two images, above "
        f"the positions of equidistant samples. Between two neighbours lie up to {told} boundaries.",
    )


def shares_found(table: pd.DataFrame) -> alt.TopLevelMixin:
    """The share of exact regions that samples find: columns layer, samples (how many), found (share)."""
    chart = (
        alt.Chart(table)
        .mark_line(point=True)
        .encode(
            x=alt.X(
                "samples:Q",
                title="equidistant samples on the way",
                scale=alt.Scale(type="log", base=2),
                axis=alt.Axis(values=sorted(table["samples"].unique()), format="d"),
            ),
            y=alt.Y(
                "found:Q",
                title="share of the regions found",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="%"),
            ),
            color=alt.Color("layer:N", title="way from", sort=order(table, "layer")),
            tooltip=["layer:N", "samples:Q", alt.Tooltip("found:Q", format=".0%")],
        )
        .properties(width=420, height=240)
    )
    most = table["samples"].max()
    last = table[table["samples"] == most]
    told = ", ".join(
        f"{layer} {found:.0%}" for layer, found in zip(last["layer"], last["found"], strict=True)
    )
    return describe(
        chart,
        "Share of the exact regions between two images that equidistant samples find, against the number of "
        f"samples, for ways in different layers. With the most samples, {most:,}: {told}.",
    )


def fifth_rows(arcs: dict[tuple, np.ndarray]) -> pd.DataFrame:
    """The table of `fifths`, from kind, net, layer, pair → flips and length × nets × ways × 5.

    Each net's densities are relative to its mean between classes; where one meets no boundary, the layer is left
    out.
    """
    rows = []
    for (kind, name, layer, pair), (flips, length) in arcs.items():
        crossed, walked = arcs[kind, name, layer, "different"].sum(axis=(2, 3))
        if not crossed.all() or (kind, pair) == ("untrained", "same"):
            continue
        scale = (crossed / walked)[:, None]
        relative = (flips / length / scale[..., None]).reshape(-1, 5)
        density = (flips.sum(axis=1) / length.sum(axis=1) / scale).mean(axis=0)
        error = relative.std(axis=0) / np.sqrt(len(relative))
        words = "same class" if pair == "same" else "different classes"
        table = pd.DataFrame({"place": 0.1 + 0.2 * np.arange(5), "density": density, "error": error})
        words += "" if kind == "trained" else ", untrained net"
        rows.append(table.assign(layer=f"{name} {layer}", kind=words))
    return pd.concat(rows, ignore_index=True)


def interval_row(found: Interval, among: int, **names: str) -> dict:
    """A row of the table of `ratios`: an interval that holds together with those of a claim's other cases."""
    return names | dict(zip(["value", "low", "high"], found.among(among), strict=True))


def fifths(table: pd.DataFrame, *, columns: int = 4) -> alt.TopLevelMixin:
    """Density along the way, a panel for each layer, all on the same axes.

    Columns: layer, kind (of ways and net), place (middle of a stretch, 0 to 1), density (relative), error
    (its standard error). At most three kinds, in the order of first appearance.
    """
    kinds = order(table, "kind")
    table = table.assign(low=table["density"] - table["error"], high=table["density"] + table["error"])
    base = alt.Chart(table).encode(
        x=alt.X("place:Q", title="way", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(values=[0, 0.5, 1])),
        color=alt.Color(
            "kind:N",
            title=None,
            scale=alt.Scale(domain=kinds, range=[BLUE, ORANGE, GREY][: len(kinds)]),
            legend=alt.Legend(orient="top", symbolOpacity=1),
        ),
    )
    band = base.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", title="boundaries per length"), y2="high:Q")
    line = base.mark_line(point=True).encode(
        y="density:Q",
        tooltip=[
            "layer:N",
            "kind:N",
            "place:Q",
            alt.Tooltip("density:Q", format=".2f"),
            alt.Tooltip("error:Q", format=".2f"),
        ],
    )
    chart = (
        alt.layer(band, line)
        .properties(width=118, height=120)
        .facet(alt.Facet("layer:N", title=None, sort=order(table, "layer")), columns=columns)
    )
    lowest = table.loc[table.groupby(["layer", "kind"], sort=False)["density"].idxmin()]
    middle = lowest[np.isclose(lowest["place"], 0.5)].groupby("kind").size()
    told = "; ".join(f"{kind}, {middle.get(kind, 0)} of {(lowest['kind'] == kind).sum()}" for kind in kinds)
    return describe(
        chart,
        "Exact boundaries per length in the five fifths of the way between two images, a panel for each layer "
        f"on equal axes; bands are standard errors. Layers in which the middle fifth is the lowest: {told}.",
    )


def ratios(table: pd.DataFrame, *, null: float = 1.0, title: str) -> alt.TopLevelMixin:
    """Ratios with intervals. Columns: case, net ("trained" or another word), value, low, high; with a column
    `panel`, one panel for each of its words, on equal axes.
    """
    words, panels = order(table, "net"), "panel" in table
    colours = ([BLUE, GREY] if len(words) < 3 else [BLUE, VERMILION, GREEN, ORANGE])[: len(words)]
    base = alt.Chart(table).encode(
        y=alt.Y("case:N", title=None, sort=order(table, "case")),
        yOffset=alt.YOffset("net:N", sort=words),
        color=alt.Color(
            "net:N",
            title=None,
            scale=alt.Scale(domain=words, range=colours),
            legend=alt.Legend(orient="top") if len(words) > 1 else None,
        ),
        tooltip=[
            "case:N",
            "net:N",
            *(alt.Tooltip(f"{name}:Q", format=".2f") for name in ["value", "low", "high"]),
        ],
    )
    scale = alt.Scale(zero=False, nice=True)  # an interval of few nets may reach below zero
    bars = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=title, scale=scale), x2="high:Q")
    dots = base.mark_point(size=60, opacity=1).encode(x=alt.X("value:Q", scale=scale))
    line = alt.Chart(table).mark_rule(strokeDash=[4, 3]).encode(x=alt.datum(null))
    width = 150 if panels else 430
    chart = alt.layer(line, bars, dots).properties(width=width, height=alt.Step(16))
    if panels:
        chart = chart.facet(column=alt.Column("panel:N", title=None, sort=order(table, "panel")))
    told = (
        f"{(some['low'] > null).sum()} of {len(some)} intervals ({net}) lie above {null:g}, "
        f"{(some['high'] < null).sum()} below"
        for net, some in table.groupby("net", sort=False)
    )
    return describe(chart, f"Ratios with their intervals, by net and layer: {title}. {'; '.join(told)}.")
