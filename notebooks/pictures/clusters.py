"""Pictures of clusters: how many there are, what they hold, how well they match the classes.

Every function takes tidy tables (pandas) and returns a described Altair chart.
"""

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd

from splinelab.charts.renderer import describe, order
from splinelab.charts.theme import BLUE, GREEN, GREY, ORANGE, SKY, VERMILION
from splinelab.clustering import KScan

__all__ = ["k_by_split", "k_scan"]

REPRESENTATION_COLOURS = {
    "codes": BLUE,
    "linear": VERMILION,
    "post-ReLU": GREEN,
    "unit length": ORANGE,
    "logits": GREY,
    "pixels": SKY,
}


def k_scan(scans: Mapping[str, Mapping[str, Sequence[KScan]]], ks: Sequence[int]) -> alt.TopLevelMixin:
    """Inertia and silhouette against k, mean over nets, one column for each set of images; the median of the
    k that the elbow and the silhouette choose is marked.

    `scans` maps images to representations to one scan for each net.
    """
    rows = []
    for part, views in scans.items():
        for view, found in views.items():
            for index, rule, curves in [
                ("inertia, share of k = 2", "elbow", [each.inertia / each.inertia[0] for each in found]),
                ("silhouette", "best_silhouette", [each.silhouette for each in found]),
            ]:
                best = np.median([getattr(each, rule) or 0 for each in found])
                mean = np.mean(curves, axis=0)
                rows += [(view, part, k, index, value, k == best) for k, value in zip(ks, mean, strict=True)]
    columns = ["representation", "split", "k", "index", "value", "chosen"]
    table = pd.DataFrame(rows, columns=columns)
    colours = {
        name: colour
        for name, colour in REPRESENTATION_COLOURS.items()
        if name in set(table["representation"])
    }
    base = alt.Chart(table).encode(
        x=alt.X("k:Q", title="k", axis=alt.Axis(tickMinStep=1), scale=alt.Scale(zero=False)),
        y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
        color=alt.Color(
            "representation:N",
            title=None,
            scale=alt.Scale(domain=list(colours), range=list(colours.values())),
            legend=alt.Legend(orient="top"),
        ),
        tooltip=["representation:N", "split:N", "k:Q", alt.Tooltip("value:Q", format=".3f")],
    )
    marks = base.transform_filter("datum.chosen").mark_point(size=110)
    chart = (
        alt.layer(base.mark_line(), marks)
        .properties(width=220, height=130)
        .facet(
            column=alt.Column("split:N", title=None, sort=order(table, "split")),
            row=alt.Row("index:N", title=None, sort=order(table, "index")),
        )
        .resolve_scale(y="independent")
    )
    return describe(
        chart,
        "Inertia (above) and silhouette (below) of k-means against k, for codes and for activations, on "
        "training and on held-out images. Dots mark the k that the elbow and the silhouette choose.",
    )


def k_by_split(chosen: Mapping[tuple[str, str], Sequence[int]]) -> alt.TopLevelMixin:
    """The k that a rule chose in every net: training against held-out images.

    `chosen` maps (net, images) to one k for each seed.
    """
    rows = [(*names, k, found.count(k)) for names, found in chosen.items() for k in sorted({*found})]
    table = pd.DataFrame(rows, columns=["net", "split", "k", "seeds"])
    ks = list(range(int(table["k"].min()), int(table["k"].max()) + 1))
    splits = order(table, "split")
    chart = (
        alt.Chart(table)
        .mark_point(opacity=0.9)
        .encode(
            x=alt.X(
                "k:Q",
                title="number of clusters",
                scale=alt.Scale(domain=[ks[0] - 0.5, ks[-1] + 0.5], nice=False, zero=False),
                axis=alt.Axis(format="d", values=ks),
            ),
            y=alt.Y("split:N", title=None, sort=splits),
            size=alt.Size(
                "seeds:Q",
                title="nets",
                scale=alt.Scale(domain=[1, 5], range=[40, 260]),
                legend=alt.Legend(orient="bottom", values=[1, 3, 5], symbolFillColor=GREY),
            ),
            color=alt.Color(
                "split:N",
                sort=None,
                legend=None,
                scale=alt.Scale(domain=splits, range=[GREY, BLUE, ORANGE][: len(splits)]),
            ),
            tooltip=["net:N", "split:N", "k:Q", "seeds:Q"],
        )
        .properties(width=340, height=56)
        .facet(
            row=alt.Row(
                "net:N",
                title=None,
                sort=order(table, "net"),
                header=alt.Header(labelAngle=0, labelAlign="left"),
            ),
            spacing=8,
        )
    )
    told = "; ".join(f"{row.net}, {row.split}: {row.k} in {row.seeds}" for row in table.itertuples())
    return describe(
        chart, f"How many clusters a rule finds, by net and images, and in how many nets. {told}."
    )
