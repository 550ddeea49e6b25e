"""Pictures of directions that should mean one thing: whole and cropped, and by the clusters that they meet.

Every function takes tidy tables (pandas) and returns a described Altair chart.
"""

import altair as alt
import numpy as np
import pandas as pd

from splinelab.charts.renderer import describe, order
from splinelab.charts.theme import BLUE, DIGITS, GREY

__all__ = ["cropped_axis", "histograms", "overlap_map", "overlaps"]

UNIT = alt.Scale(domain=[0, 1])
SHARE = alt.Axis(format="%", tickCount=5)
CUTS = alt.Axis(tickCount=5)


def _per_cent(*names: str) -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{name}:Q", format=".0%") for name in names]


def histograms(
    cosines: np.ndarray, truth: np.ndarray, purity: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """The tables of `cropped_axis` for five directions, from the purest to the least pure; and, for the purest, which
    share of the images beyond its median cosine is not of its digit.

    `cosines`: images × directions; `purity`: the largest class's share among each direction's 20 nearest images.
    """
    ranked = np.argsort(-purity, kind="stable")
    bars, begins, others = [], [], []
    for j in ranked[np.linspace(0, len(ranked) - 1, 5).astype(int)]:
        column = cosines[:, j]
        digit = np.bincount(truth[np.argsort(-column, kind="stable")[:20]]).argmax()
        others.append(np.mean(truth[column > np.median(column)] != digit))
        title, begin = f"{j}: {purity[j]:.0%} a {digit}", np.sort(column)[-50]
        begins.append({"direction": title, "cosine": begin})
        crop = np.linspace(begin, column.max() + 1e-6, 16)
        for panel, edges in {"whole": np.linspace(0, 1, 31), "crop": crop}.items():
            for d in range(10):
                many = np.histogram(column[truth == d], edges)[0]
                bars += [
                    {"direction": title, "panel": panel, "low": a, "high": b, "digit": d, "images": int(n)}
                    for a, b, n in zip(edges[:-1], edges[1:], many, strict=True)
                    if n
                ]
    return pd.DataFrame(bars), pd.DataFrame(begins), float(others[0])


def cropped_axis(table: pd.DataFrame, crops: pd.DataFrame) -> alt.TopLevelMixin:
    """Histogram of cosines to a direction, coloured by digit: the whole axis, and the crop of it.

    `table` has the columns direction, panel ("whole" or "crop"), low, high (edges of a bin), digit and
    images; `crops` direction and cosine, where the crop begins.
    """
    names = order(table, "direction")
    menu = alt.param(
        name="pick_direction", value=names[0], bind=alt.binding_select(options=names, name="direction ")
    )

    def panel(name: str, title: str, scale: alt.Scale) -> alt.Chart:
        return (
            alt.Chart(table[table["panel"] == name].drop(columns="panel"))
            .transform_filter("datum.direction == pick_direction")
            .mark_bar(orient="vertical", binSpacing=0)
            .encode(
                x=alt.X("low:Q", bin="binned", title="cosine to the direction", scale=scale, axis=CUTS),
                x2="high:Q",
                y=alt.Y("images:Q", title="images", stack="zero"),
                color=alt.Color("digit:N", scale=alt.Scale(domain=list(range(10)), range=list(DIGITS))),
                tooltip=[alt.Tooltip("low:Q", format=".3f", title="cosine from"), "digit:N", "images:Q"],
            )
            .properties(width=270, height=200, title=title)
        )

    rule = (
        alt.Chart(crops)
        .transform_filter("datum.direction == pick_direction")
        .mark_rule(strokeDash=[4, 3])
        .encode(x="cosine:Q")
    )
    whole = panel("whole", "all images, whole axis", UNIT)
    crop = panel("crop", "the images right of the dashed line", alt.Scale(zero=False, nice=False))
    chart = alt.hconcat(whole + rule, crop).add_params(menu)
    return describe(
        chart,
        "Histograms of the cosine between images' activations and one NMF direction, coloured by digit. "
        "Left: all images on the whole axis; right: only those beyond the dashed line.",
    )


def overlaps(counts: np.ndarray, titles: list[str], quality: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of `overlap_map`, from directions × clusters, the clusters' titles and the directions' purity."""
    ranked = np.argsort(-quality, kind="stable")
    cells = [
        {"direction": place, "cluster": title, "images": int(counts[j, c])}
        for place, j in enumerate(ranked)
        for c, title in enumerate(titles)
    ]
    return pd.DataFrame(cells), pd.DataFrame({"direction": range(len(ranked)), "purity": quality[ranked]})


def overlap_map(table: pd.DataFrame, purity: pd.DataFrame) -> alt.TopLevelMixin:
    """Directions by clusters: how many of a direction's top images lie in each cluster.

    `table` has the columns direction (0, 1, 2, …, in the order of display), cluster and images; `purity`
    direction and purity, the largest class's share among the top images.
    """
    y = alt.Y("direction:O", title="NMF directions, purest first", axis=alt.Axis(labels=False, ticks=False))
    heat = (
        alt.Chart(table[table["images"] > 0])
        .mark_rect()
        .encode(
            x=alt.X(
                "cluster:N",
                title="cluster of codes",
                scale=alt.Scale(domain=order(table, "cluster")),
                axis=alt.Axis(labelAngle=-40),
            ),
            y=y,
            color=alt.Color("images:Q", title="of the top 20", scale=alt.Scale(scheme="blues")),
            tooltip=["direction:O", "cluster:N", "images:Q"],
        )
        .properties(width=360, height=330)
    )
    bars = (
        alt.Chart(purity)
        .mark_bar()
        .encode(
            x=alt.X("purity:Q", title="largest class", axis=SHARE, scale=UNIT),
            y=alt.Y("direction:O", axis=None),
            color=alt.condition("datum.purity >= 0.8", alt.value(BLUE), alt.value(GREY)),
            tooltip=["direction:O", *_per_cent("purity")],
        )
        .properties(width=110, height=330)
    )
    return describe(
        alt.hconcat(heat, bars, spacing=10),
        "Heat map of NMF directions by clusters of codes: how many of a direction's 20 images of largest "
        "cosine lie in each cluster. Pure directions stand above, impure ones below.",
    )
