"""A slice through activation space as its polygons: to point at, layer by layer."""

from hashlib import blake2b

import altair as alt
import numpy as np
import pandas as pd

from splinelab.charts.renderer import describe
from splinelab.charts.theme import DIGITS, GREY, INK, VERMILION
from splinelab.errors import InputError

__all__ = ["explorer", "slice_tables"]

SIDE = 400


def slice_tables(name: str, plane) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Vertices and regions of one slice, for `explorer`.

    `plane`: a slice (`polytopes.plane`), or a window of one. Vertices have the columns region (name and
    number), place (0, 1, … the way round), x and y (0 to 1 across the window); regions have region, layer,
    class, area (in square units of activation space) and code: how many units are on in each layer, and the
    first digits of a checksum that names the code.
    """
    low, high = plane.domain
    polygons = [_without_flat((polygon - low) / (high - low).max()) for polygon in plane.polygons]
    names = [f"{name} {number}" for number in range(len(polygons))]
    sizes = [len(polygon) for polygon in polygons]
    x, y = np.concatenate(polygons).T
    vertices = pd.DataFrame(
        {
            "region": np.repeat(names, sizes),
            "place": np.concatenate([np.arange(size) for size in sizes]),
            "x": x.round(4),
            "y": y.round(4),
        }
    )
    regions = pd.DataFrame(
        {
            "region": names,
            "layer": name,
            "class": plane.classes.astype(str),
            "area": plane.areas,
            "code": _short(plane.codes),
        }
    )
    return vertices, regions


def _without_flat(polygon: np.ndarray) -> np.ndarray:
    """A polygon without its vertices of 180°, which only cost room on the page."""
    before, after = polygon - np.roll(polygon, 1, axis=0), np.roll(polygon, -1, axis=0) - polygon
    turn = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    bent = polygon[turn > 1e-6 * lengths]
    return bent if len(bent) > 2 else polygon


def _short(codes) -> list[str]:
    """Units that are on, by layer, and a name for the whole code."""
    bits = codes.bits()
    ends = np.cumsum(list(codes.layers.values()))
    counts = [part.sum(axis=1) for part in np.split(bits, ends[:-1], axis=1)]
    return [
        f"{' '.join(str(count[row]) for count in counts)} · {blake2b(packed, digest_size=3).hexdigest()}"
        for row, packed in enumerate(codes.packed)
    ]


def explorer(
    vertices: pd.DataFrame, regions: pd.DataFrame, frames: pd.DataFrame, images: pd.DataFrame
) -> alt.TopLevelMixin:
    """Polygons of several slices through the same three images, and a slider that says from which layer.

    `vertices` and `regions` as from `slice_tables`, of all layers together. `frames`: a row for each layer,
    in the slider's order, with layer, title (what the picture says about it), and x, y, x2, y2: the window
    within the slice. `images`: three rows for each layer with layer, image (a data URL), place (0 to 2), x, y
    (where it lies in the slice) and whole (whether the polygons show the whole slice). These coordinates are
    shares of the slice's longer side. Hovering over a polygon frames it; code, area and class stand beside.
    """
    layers = list(frames["layer"])
    if set(regions["layer"]) != set(layers) or set(images["layer"]) != set(layers):
        raise InputError(f"regions and images must have the layers of frames, {', '.join(layers)}.")
    number = {layer: place for place, layer in enumerate(layers)}
    pick = alt.param(
        name="slice_layer",
        value=0,
        bind=alt.binding_range(min=0, max=len(layers) - 1, step=1, name="from layer, last to first "),
    )
    hover = alt.selection_point(
        name="slice_region", fields=["region"], on="pointerover", clear=False, empty=False
    )

    def shown(table: pd.DataFrame) -> alt.Chart:
        return alt.Chart(table.assign(at=table["layer"].map(number)).drop(columns="layer")).transform_filter(
            "datum.at == slice_layer"
        )

    classes = sorted(regions["class"].unique(), key=int)
    scale = alt.Scale(domain=[-0.01, 1.01], nice=False)
    table = regions.assign(at=regions["layer"].map(number))[["region", "at", "class"]]
    looked_up = alt.LookupData(data=table, key="region", fields=["at", "class"])
    loops = (
        alt.Chart(vertices)
        .transform_lookup(lookup="region", from_=looked_up)
        .transform_filter("datum.at == slice_layer")
        .encode(
            x=alt.X("x:Q", scale=scale, axis=None),
            y=alt.Y("y:Q", scale=scale, axis=None),
            order="place:Q",
            detail="region:N",
            tooltip=alt.value(None),
        )
    )
    polygons = (
        loops.mark_line(interpolate="linear-closed", stroke="#ffffff", strokeWidth=0.6, fillOpacity=0.75)
        .encode(
            fill=alt.Fill(
                "class:N",
                title="class",
                legend=alt.Legend(orient="bottom", symbolType="square", symbolStrokeWidth=0, symbolSize=120),
                scale=alt.Scale(domain=classes, range=[DIGITS[int(name)] for name in classes]),
            )
        )
        .add_params(hover)
        .properties(width=SIDE, height=SIDE)
    )
    # A frame of its own, on top: neighbours would be painted over the polygon's stroke.
    frame = loops.transform_filter(hover).mark_line(
        interpolate="linear-closed", stroke=VERMILION, strokeWidth=3
    )
    title = (
        shown(frames)
        .mark_text(align="left", fontSize=13, color=INK)
        .encode(text="title:N", x=alt.value(0), y=alt.value(-12))
    )
    box = {"x": alt.X("x:Q", scale=scale, axis=None), "y": alt.Y("y:Q", scale=scale, axis=None)}
    window = shown(frames).mark_rect(fillOpacity=0.15, fill=VERMILION, stroke=VERMILION, strokeWidth=2)
    window = window.encode(x2="x2:Q", y2="y2:Q", **box)
    faces = shown(images).mark_image(width=44, height=44).encode(url="image:N", **box)
    lines = (
        shown(images)
        .mark_line(interpolate="linear-closed", color=GREY, strokeWidth=1.5)
        .encode(order="place:Q", **box)
    )
    small = alt.layer(window, lines, faces).properties(width=190, height=190, title="window in the slice")
    # Text, because the tooltip of a line shows at its vertices only, and nobody hovers on a touch screen.
    words = {
        "units on · code": "datum.code",
        "area": "format(datum.area, '.3g')",
        "class in its middle": "datum['class']",
    }
    told = [
        alt.Chart(regions[["region", "code", "area", "class"]])
        .transform_filter(hover)
        .transform_calculate(words=f"'{name}: ' + {value}")
        .mark_text(align="left", fontSize=12, color=INK)
        .encode(text="words:N", x=alt.value(0), y=alt.value(20 * line + 10))
        for line, (name, value) in enumerate(words.items())
    ]
    panel = alt.layer(*told).properties(width=190, height=60, title="the polygon under the pointer")
    small = alt.vconcat(small, panel, spacing=30)
    edges = images[images["whole"]].sort_values(["layer", "place"])
    ends = edges.groupby("layer")[["x", "y"]].transform(lambda corners: np.roll(corners, -1))
    triangle = (
        shown(edges.assign(x2=ends["x"], y2=ends["y"])[["layer", "x", "y", "x2", "y2"]])
        .mark_rule(color=INK, strokeWidth=1.5, strokeDash=[5, 3])
        .encode(x2="x2:Q", y2="y2:Q", tooltip=alt.value(None), **box)
    )
    chart = alt.hconcat(alt.layer(polygons, frame, triangle, title), small, spacing=20).add_params(pick)
    counts = regions.groupby("layer", sort=False).size()
    return describe(
        chart,
        "The polygons of an exact slice through three images' activations, coloured by class, with the place "
        "of the three images beside it. The slider changes the layer: "
        + ", ".join(f"{layer} {counts[layer]} regions" for layer in layers)
        + ". Hovering over a polygon shows its code, area and class.",
    )
