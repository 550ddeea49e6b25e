"""Images as points in the plane, and as thumbnails inside pictures."""

import base64
import io

import altair as alt
import numpy as np
import pandas as pd
from PIL import Image
from sklearn.decomposition import PCA

from splinelab.charts.renderer import describe, order
from splinelab.charts.theme import DIGITS
from splinelab.codes import SplineCodes
from splinelab.data import Dataset

__all__ = ["code_map", "map_table", "thumbnails"]


def thumbnails(images: np.ndarray) -> list[str]:
    """Images (samples × 1 × height × width, 0 to 1) as PNG data addresses of 16 greys, one each."""
    addresses = []
    for image in images:
        greys = Image.fromarray(np.uint8(np.round(np.asarray(image)[0] * 255))).quantize(16)
        file = io.BytesIO()
        greys.save(file, "PNG", optimize=True, bits=4)
        addresses.append("data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii"))
    return addresses


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

    `table` comes from `map_table`; with a column "net", nets stand side by side.
    """
    views = list(table["view"].unique())
    colour = alt.param(
        name="map_colour",
        value="digit",
        bind=alt.binding_radio(options=["digit", "cluster", "logit margin"], name="colour "),
    )
    view = alt.param(name="map_view", value=views[0], bind=alt.binding_radio(options=views, name="of "))
    # The image stands in a table of its own, once, however many views and nets show it.
    pictures = table.drop_duplicates("sample")[["sample", "image", "digit"]]
    points = table.drop(columns=["image", "digit"])
    nets = order(points, "net") if "net" in points else []
    base = (
        alt.Chart(points)
        .transform_filter("datum.view == map_view")
        .transform_lookup("sample", alt.LookupData(pictures, "sample", ["image", "digit"]))
    )
    if nets:
        panels = [
            _panel(base.transform_filter(alt.datum.net == net), table, net, 300, legend=net == nets[-1])
            for net in nets
        ]
        chart = alt.hconcat(*panels)
    else:
        chart = _panel(base, table, title, 460)
    return describe(
        chart.add_params(colour, view),
        f"{points['sample'].nunique()} images as points, placed by the first two principal components of "
        f"their {' or '.join(views)}"
        + (f", for {' and '.join(nets)}" if nets else "")
        + ". Colour shows the "
        "digit, the k-means cluster or the logit margin; hovering shows the image.",
    )


def _panel(base: alt.Chart, table: pd.DataFrame, title: str, width: int, *, legend: bool = True) -> alt.Chart:
    def axis(name: str, words: str) -> dict:
        return {
            "shorthand": f"{name}:Q",
            "title": words,
            "axis": alt.Axis(labels=False, ticks=False, grid=False),
        }

    base = base.encode(
        x=alt.X(**axis("x", "first principal component")),
        y=alt.Y(**axis("y", "second principal component")),
        tooltip=["image:N", "digit:N", "cluster:N", alt.Tooltip("margin:Q", format=".2f")],
    )
    groups = [str(number) for number in range(max(10, int(table["cluster"].max()) + 1))]
    extra = ["#c154c1", "#4f9d3a", "#00857a", "#8a8a00", "#5b6ee1", "#aa4466"]
    shown = {} if legend else {"legend": None}
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
                **shown,
            )
        )
    )
    graded = (
        base.transform_filter("map_colour == 'logit margin'")
        .mark_circle(size=42, opacity=0.85)
        .encode(
            color=alt.Color(
                "margin:Q",
                title="margin",
                scale=alt.Scale(scheme="viridis", domain=[0, 1], clamp=True),
                **shown,
            )
        )
    )
    layers = alt.layer(named, graded).resolve_scale(color="independent")
    return layers.properties(width=width, height=width * 5 // 6, title=title)
