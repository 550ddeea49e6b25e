"""Pictures of how fast the package is: times side by side, and how they grow.

Every function takes tidy tables (pandas) and returns a described Altair chart.
"""

import altair as alt
import pandas as pd

from splinelab.charts.renderer import describe, order
from splinelab.charts.theme import BLUE, GREEN, GREY, PINK, VERMILION

__all__ = ["growth", "times"]


def times(table: pd.DataFrame) -> alt.TopLevelMixin:
    """CPU times of several ways to do one thing: columns comparison, way and ms, the usual way first."""
    comparisons, ways = order(table, "comparison"), order(table, "way")
    low, high = table["ms"].min() / 1.5, table["ms"].max() * 1.5
    chart = (
        alt.Chart(table)
        .mark_point(filled=True, size=90, opacity=1)
        .encode(
            x=alt.X(
                "ms:Q",
                title="CPU time (ms, log)",
                scale=alt.Scale(type="log", domain=[low, high], nice=False),
                axis=alt.Axis(values=[m * 10**power for power in range(-1, 6) for m in (1, 3)], format="~s"),
            ),
            y=alt.Y("comparison:N", sort=comparisons, title=None),
            yOffset=alt.YOffset("way:N", sort=ways),
            color=alt.Color(
                "way:N",
                sort=ways,
                title=None,
                scale=alt.Scale(domain=ways, range=[GREY, BLUE, VERMILION, GREEN][: len(ways)]),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=["comparison:N", "way:N", alt.Tooltip("ms:Q", format=".3~g")],
        )
        .properties(width=340, height=alt.Step(15))
    )
    told = "; ".join(
        f"{comparison}: {', '.join(f'{way} {ms:.3g} ms' for way, ms in zip(rows['way'], rows['ms'], strict=True))}"
        for comparison, rows in table.groupby("comparison", sort=False)
    )
    return describe(chart, f"CPU times on a log axis. {told}.")


def growth(table: pd.DataFrame) -> alt.TopLevelMixin:
    """CPU time against the number of images: columns what, images and seconds; both axes are logarithmic."""
    counts, kinds = sorted(table["images"].unique()), order(table, "what")
    low, high = table["seconds"].min() / 1.4, table["seconds"].max() * 1.4
    chart = (
        alt.Chart(table)
        .mark_line(point=True)
        .encode(
            x=alt.X(
                "images:Q",
                title="images (log)",
                scale=alt.Scale(type="log", domain=[counts[0] / 1.1, counts[-1] * 1.1], nice=False),
                axis=alt.Axis(values=counts, format=","),
            ),
            y=alt.Y(
                "seconds:Q",
                title="CPU time (s, log)",
                scale=alt.Scale(type="log", domain=[low, high], nice=False),
                axis=alt.Axis(tickCount=4, format="~g"),
            ),
            color=alt.Color(
                "what:N",
                title=None,
                sort=kinds,
                scale=alt.Scale(domain=kinds, range=[BLUE, VERMILION, PINK][: len(kinds)]),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=["what:N", "images:Q", alt.Tooltip("seconds:Q", format=".3~g")],
        )
        .properties(width=400, height=230)
    )
    told = "; ".join(
        f"{what} {rows['seconds'].iloc[0]:.3g} s to {rows['seconds'].iloc[-1]:.3g} s"
        for what, rows in table.groupby("what", sort=False)
    )
    return describe(chart, f"CPU time from {counts[0]:,} to {counts[-1]:,} images. {told}.")
