"""Pictures of ways between images: where boundaries lie, what sampling sees of them, what an attack crosses.

Every function takes tidy tables (pandas) and returns a described Altair chart.
"""

import altair as alt
import numpy as np
import pandas as pd

from splinelab.charts.renderer import describe, order
from splinelab.charts.theme import BLUE, GREY, ORANGE, VERMILION

__all__ = ["boundaries", "fifths", "ratios", "shares_found"]


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
            y=alt.Y("found:Q", title="share of the regions found", scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("layer:N", title="way from", sort=order(table, "layer")),
            tooltip=["layer:N", "samples:Q", alt.Tooltip("found:Q", format=".2f")],
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


def fifths(
    table: pd.DataFrame, *, columns: int = 4, title: str = "boundaries per length"
) -> alt.TopLevelMixin:
    """Density along the way, a panel for each layer, trained above untrained.

    Columns: place (middle of a stretch, 0 to 1), density (relative), error (its standard error), pairs
    ("same class", "different classes"), net ("trained", "untrained"), layer.
    """
    table = table.assign(low=table["density"] - table["error"], high=table["density"] + table["error"])
    layers, nets = order(table, "layer"), order(table, "net")
    known = set(zip(table["layer"], table["net"], strict=True))
    kinds = alt.Scale(domain=["different classes", "same class"], range=[BLUE, ORANGE])

    def panel(layer: str, net: str) -> alt.LayerChart:
        base = alt.Chart(table[(table["layer"] == layer) & (table["net"] == net)]).encode(
            x=alt.X(
                "place:Q", title="way", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(values=[0, 0.5, 1])
            ),
            color=alt.Color(
                "pairs:N", title="images of", scale=kinds, legend=alt.Legend(orient="top", symbolOpacity=1)
            ),
        )
        band = base.mark_area(opacity=0.22).encode(
            y=alt.Y("low:Q", title=title if layer in layers[::columns] else None, scale=alt.Scale(zero=True)),
            y2="high:Q",
        )
        line = base.mark_line(point=True).encode(
            y="density:Q",
            tooltip=[
                "layer:N",
                "net:N",
                "pairs:N",
                "place:Q",
                alt.Tooltip("density:Q", format=".2f"),
                alt.Tooltip("error:Q", format=".2f"),
            ],
        )
        return alt.layer(band, line).properties(width=118, height=105, title=f"{layer}, {net}")

    rows = [
        alt.hconcat(*(panel(*each) for each in some), spacing=14)
        for first in range(0, len(layers), columns)
        for net in nets
        if (some := [(layer, net) for layer in layers[first : first + columns] if (layer, net) in known])
    ]
    return describe(
        alt.vconcat(*rows, spacing=10).configure_title(fontSize=11, anchor="middle", offset=4),
        "Exact boundaries per length in the five fifths of the way between two images, for each layer, in "
        "trained and in untrained nets, for pairs of one class and of different classes. 1 is the mean "
        "between different classes; bands are standard errors.",
    )


def ratios(table: pd.DataFrame, *, null: float = 1.0, title: str, description: str) -> alt.TopLevelMixin:
    """Ratios with intervals. Columns: case, value, low, high, net ("trained" or another word)."""
    words = order(table, "net")
    colour = alt.Color(
        "net:N",
        title=None,
        scale=alt.Scale(domain=words, range=[BLUE, GREY, VERMILION, ORANGE][: len(words)]),
        legend=alt.Legend(orient="top"),
    )
    base = alt.Chart(table).encode(
        y=alt.Y("case:N", title=None, sort=order(table, "case")),
        yOffset=alt.YOffset("net:N", sort=words),
        color=colour,
        tooltip=[
            "case:N",
            "net:N",
            *(alt.Tooltip(f"{name}:Q", format=".2f") for name in ["value", "low", "high"]),
        ],
    )
    scale = alt.Scale(zero=False, nice=False)  # an interval of few nets may reach below zero
    bars = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=title, scale=scale), x2="high:Q")
    dots = base.mark_point(size=60, opacity=1).encode(x=alt.X("value:Q", scale=scale))
    line = alt.Chart(pd.DataFrame({"null": [null]})).mark_rule(strokeDash=[4, 3]).encode(x="null:Q")
    chart = alt.layer(line, bars, dots).properties(width=430, height=alt.Step(16))
    told = (
        f"{(some['low'] > null).sum()} of {len(some)} intervals ({net}) lie above {null:g}, "
        f"{(some['high'] < null).sum()} below"
        for net, some in table.groupby("net", sort=False)
    )
    return describe(chart, f"{description} {'; '.join(told)}.")
