"""Pictures of clusters: how many, what they hold, and the images inside them.

Every function takes tidy tables (pandas) and returns a described Altair chart.
"""

import base64
import io

import altair as alt
import numpy as np
import pandas as pd
from PIL import Image
from sklearn.decomposition import PCA

from splinelab.charts.renderer import describe
from splinelab.charts.separability import order
from splinelab.charts.theme import BLUE, DIGITS, GREEN, GREY, ORANGE, SKY, VERMILION
from splinelab.codes import SplineCodes
from splinelab.data import Dataset

__all__ = ["ari_table", "cluster_heatmap", "code_map", "k_by_split", "k_scan", "map_table", "thumbnails"]

REPRESENTATION_COLOURS = {
    "codes": BLUE,
    "linear": VERMILION,
    "post-ReLU": GREEN,
    "unit length": ORANGE,
    "logits": GREY,
    "pixels": SKY,
}


def thumbnails(images: np.ndarray) -> list[str]:
    """Images (samples × 1 × height × width, 0 to 1) as PNG data addresses of 16 greys, one each."""
    addresses = []
    for image in images:
        greys = Image.fromarray(np.uint8(np.round(np.asarray(image)[0] * 255))).quantize(16)
        file = io.BytesIO()
        greys.save(file, "PNG", optimize=True, bits=4)
        addresses.append("data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii"))
    return addresses


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


def map_table(
    looks: dict[str, SplineCodes | np.ndarray], images: Dataset, clusters: np.ndarray, margin: np.ndarray
) -> pd.DataFrame:
    """The table that `code_map` draws: the first two principal components of each view, scaled to one box.

    `looks` maps a view's name to codes or vectors with one row per image, `clusters` and `margin` hold one
    number per image.
    """
    pictures = thumbnails(images.images)
    rows = []
    for view, points in looks.items():
        points = points.bits() if isinstance(points, SplineCodes) else points
        plane = PCA(2, svd_solver="full").fit_transform(np.asarray(points, np.float64))
        plane /= np.abs(plane).max(axis=0)
        rows += [
            {
                "sample": index,
                "view": view,
                "x": x,
                "y": y,
                "digit": int(images.labels[index]),
                "cluster": int(clusters[index]),
                "margin": float(margin[index]),
                "image": pictures[index],
            }
            for index, (x, y) in enumerate(plane)
        ]
    return pd.DataFrame(rows)


def code_map(table: pd.DataFrame, title: str = "") -> alt.TopLevelMixin:
    """Images as points in the plane; hover to see the image, choose what the colour says.

    `table` comes from `map_table`.
    """
    views = list(table["view"].unique())
    colour = alt.param(
        name="map_colour",
        value="digit",
        bind=alt.binding_radio(options=["digit", "cluster", "logit margin"], name="colour "),
    )
    view = alt.param(name="map_view", value=views[0], bind=alt.binding_radio(options=views, name="of "))
    # The image stands in a table of its own, once, however many views show it.
    lookup = table.drop_duplicates("sample")[["sample", "image", "digit", "cluster", "margin"]]
    base = (
        alt.Chart(table[["sample", "x", "y", "view"]])
        .transform_filter("datum.view == map_view")
        .transform_lookup("sample", alt.LookupData(lookup, "sample", ["image", "digit", "cluster", "margin"]))
        .encode(
            x=alt.X(
                "x:Q", title="first principal component", axis=alt.Axis(labels=False, ticks=False, grid=False)
            ),
            y=alt.Y("y:Q", title="second", axis=alt.Axis(labels=False, ticks=False, grid=False)),
            tooltip=["image:N", "digit:N", "cluster:N", alt.Tooltip("margin:Q", format=".2f")],
        )
    )
    groups = [str(number) for number in range(max(10, int(table["cluster"].max()) + 1))]
    extra = ["#333333", "#c154c1", "#00857a", "#8a8a00", "#5b6ee1", "#aa4466"]
    named = (
        base.transform_filter("map_colour != 'logit margin'")
        .transform_calculate(group="toString(map_colour == 'digit' ? datum.digit : datum.cluster)")
        .mark_circle(size=42, opacity=0.85)
        .encode(
            color=alt.Color(
                "group:N",
                title=None,
                sort=groups,
                scale=alt.Scale(domain=groups, range=[*DIGITS, *extra][: len(groups)]),
            )
        )
    )
    graded = (
        base.transform_filter("map_colour == 'logit margin'")
        .mark_circle(size=42, opacity=0.85)
        .encode(
            color=alt.Color(
                "margin:Q", title="margin", scale=alt.Scale(scheme="viridis", domain=[0, 1], clamp=True)
            )
        )
    )
    chart = (
        alt.layer(named, graded)
        .resolve_scale(color="independent")
        .add_params(colour, view)
        .properties(width=460, height=380, title=title)
    )
    return describe(
        chart,
        "Images as points, placed by the first two principal components of what the net makes of them. "
        "Colour shows the digit, the k-means cluster or the logit margin; hovering shows the image.",
    )


def cluster_heatmap(table: pd.DataFrame, summary: pd.DataFrame, images: pd.DataFrame) -> alt.TopLevelMixin:
    """Cluster by digit, beside each cluster's margin and error; a click on a cluster shows its images.

    `table` has the columns cluster, digit and images (a count), in the order of display; `summary` cluster,
    margin (median) and error (share); `images` cluster, place (0, 1, 2, …) and image (see `thumbnails`).
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
            .add_params(pick)
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
