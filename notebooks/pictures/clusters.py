"""Pictures of clusters: how many there are, what they hold, how well they match the classes.

Every function takes tidy tables (pandas) and returns a described Altair chart.
"""

import altair as alt
import numpy as np
import pandas as pd

from splinelab.charts.renderer import describe, order
from splinelab.charts.theme import BLUE, GREEN, GREY, ORANGE, SKY, VERMILION

__all__ = [
    "ari_table",
    "cluster_counts",
    "cluster_heatmap",
    "k_by_split",
    "k_scan",
]

REPRESENTATION_COLOURS = {
    "codes": BLUE,
    "linear": VERMILION,
    "post-ReLU": GREEN,
    "unit length": ORANGE,
    "logits": GREY,
    "pixels": SKY,
}


def k_scan(table: pd.DataFrame) -> alt.TopLevelMixin:
    """Inertia and silhouette against k, one column for each set of images; chosen k are marked.

    `table` has the columns representation, split, k, index ("inertia, share of k = 2" or "silhouette"),
    value (mean over seeds) and chosen (whether the rule for this index picks this k).
    """
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
        .properties(width=230, height=150)
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


def k_by_split(table: pd.DataFrame) -> alt.TopLevelMixin:
    """The chosen k of every seed: training against held-out images.

    `table` has the columns net, representation, split, k and seeds (how many seeds chose this k).
    """
    ks = list(range(int(table["k"].min()) - 1, int(table["k"].max()) + 2))
    chart = (
        alt.Chart(table)
        .mark_point(opacity=0.9)
        .encode(
            x=alt.X(
                "k:Q",
                title="k by the elbow rule",
                scale=alt.Scale(zero=False),
                axis=alt.Axis(format="d", values=ks),
            ),
            y=alt.Y("split:N", title=None, sort=order(table, "split")),
            size=alt.Size("seeds:Q", title="seeds", scale=alt.Scale(domain=[1, 5], range=[40, 260])),
            color=alt.Color(
                "split:N",
                sort=None,
                legend=None,
                scale=alt.Scale(domain=list(table["split"].unique()), range=[GREY, BLUE, ORANGE]),
            ),
            tooltip=["net:N", "representation:N", "split:N", "k:Q", "seeds:Q"],
        )
        .properties(width=250, height=66)
        .facet(
            row=alt.Row(
                "net:N",
                title=None,
                sort=order(table, "net"),
                header=alt.Header(labelAngle=0, labelAlign="left"),
            ),
            column=alt.Column("representation:N", title=None, sort=order(table, "representation")),
        )
    )
    return describe(
        chart,
        "How many clusters the elbow rule finds on training and on held-out images, by net and "
        "representation. The size of a dot says how many of the seeds agree.",
    )


def cluster_heatmap(table: pd.DataFrame, summary: pd.DataFrame, images: pd.DataFrame) -> alt.TopLevelMixin:
    """Cluster by digit, beside each cluster's margin and error; a click on a cluster shows its images.

    `table` has the columns cluster, digit and images (a count), in the order of display; `summary` cluster,
    margin (median) and error (share); `images` cluster, place (0, 1, 2, …) and image (see `maps.thumbnails`).
    """
    order = list(summary["cluster"])
    doubtful = summary.loc[summary["margin"].idxmin(), "cluster"]
    pick = alt.selection_point(
        name="pick_cluster", fields=["cluster"], value=doubtful, on="click", empty=False
    )
    dim = alt.when(pick).then(alt.value(1.0)).otherwise(alt.value(0.45))
    y = alt.Y("cluster:N", title="cluster", sort=order)
    heat = (
        alt.Chart(table)
        .mark_rect()
        .encode(
            x=alt.X("digit:O", title="digit", axis=alt.Axis(labelAngle=0)),
            y=y,
            color=alt.Color("images:Q", title="images", scale=alt.Scale(type="sqrt", scheme="blues")),
            tooltip=["cluster:N", "digit:O", "images:Q"],
        )
        .add_params(pick)
        .properties(width=230, height=240)
    )

    def bars(name: str, title: str, colour: str) -> alt.Chart:
        return (
            alt.Chart(summary)
            .mark_bar(color=colour)
            .encode(
                x=alt.X(f"{name}:Q", title=title),
                y=alt.Y("cluster:N", title=None, sort=order, axis=None),
                opacity=dim,
                tooltip=["cluster:N", alt.Tooltip(f"{name}:Q", format=".2f")],
            )
            .properties(width=85, height=240)
        )

    grid = (
        alt.Chart(images)
        .transform_filter(pick)
        .transform_calculate(column="datum.place % 6", row="floor(datum.place / 6)")
        .mark_image(width=26, height=26)
        .encode(
            x=alt.X("column:O", axis=None, scale=alt.Scale(domain=list(range(6)))),
            y=alt.Y("row:O", axis=None, scale=alt.Scale(domain=list(range(6)))),
            url="image:N",
        )
        .properties(width=180, height=240, title="images of the chosen cluster")
    )
    chart = alt.hconcat(
        heat, bars("margin", "median margin", BLUE), bars("error", "error", VERMILION), grid, spacing=12
    )
    return describe(
        chart,
        "How many images of each digit lie in each cluster, with the cluster's median logit margin and error "
        f"rate. Cluster {doubtful} has the smallest margin; some of its images are shown at the right.",
    )


def cluster_counts(rows: np.ndarray) -> alt.TopLevelMixin:
    """A bare cluster by digit heat map of counts (clusters × digits): one frame of a slider over k."""
    table = pd.DataFrame(
        [
            {"cluster": cluster, "digit": digit, "images": int(images)}
            for cluster, counts in enumerate(rows)
            for digit, images in enumerate(counts)
        ]
    )
    chart = (
        alt.Chart(table)
        .mark_rect()
        .encode(
            x=alt.X("digit:O", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("cluster:O", axis=alt.Axis(labels=False, ticks=False)),
            color=alt.Color("images:Q", scale=alt.Scale(type="sqrt", scheme="blues")),
        )
        .properties(width=330, height=300)  # one size for all frames, however many rows
    )
    return describe(chart, f"Images by cluster and digit, for {len(rows)} clusters.")


def ari_table(table: pd.DataFrame) -> alt.TopLevelMixin:
    """Adjusted Rand index by representation and algorithm, numbers in the cells.

    `table` has the columns net, representation, algorithm, ari (mean over seeds) and noise (share of images
    that the algorithm leaves out).
    """
    base = alt.Chart(table).encode(
        x=alt.X("algorithm:N", title=None, sort=order(table, "algorithm"), axis=alt.Axis(labelAngle=-30)),
        y=alt.Y("representation:N", title=None, sort=order(table, "representation")),
        tooltip=[
            "net:N",
            "representation:N",
            "algorithm:N",
            alt.Tooltip("ari:Q", format=".3f"),
            alt.Tooltip("noise:Q", format=".2f"),
        ],
    )
    cells = base.mark_rect().encode(
        color=alt.Color("ari:Q", title="ARI", scale=alt.Scale(domain=[0, 1], scheme="viridis"))
    )
    numbers = base.mark_text(fontSize=11).encode(
        text=alt.Text("ari:Q", format=".2f"),
        color=alt.condition("datum.ari < 0.55", alt.value("#ffffff"), alt.value("#1a1a1a")),
    )
    chart = (
        alt.layer(cells, numbers)
        .properties(width=190, height=150)
        .facet(column=alt.Column("net:N", title=None, sort=order(table, "net")))
    )
    return describe(
        chart,
        "Adjusted Rand index between clusters and digits, one row for each representation and one column for "
        "each algorithm, for several nets; 1 is perfect agreement, 0 is chance.",
    )
