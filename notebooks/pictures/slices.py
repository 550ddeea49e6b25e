"""A slice through activation space as its polygons: to point at, layer by layer."""

from hashlib import blake2b

import altair as alt
import numpy as np
import pandas as pd

from pictures.maps import thumbnails
from pictures.ways import MEMORY, ends_of, spanned
from splinelab import polytopes
from splinelab.charts.renderer import describe
from splinelab.charts.theme import DIGITS, GREY, INK, VERMILION
from splinelab.errors import InputError

__all__ = ["explorer", "slice_tables", "through"]

SIDE = 400
MOST, WINDOWED = 700, 110  # polygons: more than 700 would not be seen apart; a window holds roughly 110
UNIT = alt.Scale(domain=[-0.01, 1.01], nice=False)
BOX = {"x": alt.X("x:Q", scale=UNIT, axis=None), "y": alt.Y("y:Q", scale=UNIT, axis=None)}


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


def through(model, layers: list[str], images: np.ndarray, whole: tuple[str, ...]) -> tuple[pd.DataFrame, ...]:
    """The four tables of `explorer` for slices through three images (3 × 1 × height × width).

    Layers of `whole` show the whole slice, a square round the three, where it has no more than 700 polygons; the
    others a window in the middle of the triangle.
    """
    tables, frames, faces = [], [], []
    for layer in layers:
        rest, (points,) = ends_of(model, layer, images[None])
        *_, corners, domain = spanned(points)
        centre, side = domain.mean(axis=0), np.ptp(domain, axis=0).max()
        low, part = centre - side / 2, side
        seen = _window(rest, points, centre, side) if layer in whole else None
        words = "the whole slice"
        if seen is None or len(seen) > MOST:
            centre = corners.mean(axis=0)
            seen, part = _about(WINDOWED, rest, points, centre, side / 2000)
            words = f"a window, 1/{side / part:.0f} of the slice's width"
        box = (centre + np.array([[-part / 2], [part / 2]]) - low) / side
        tables.append(slice_tables(layer, seen))
        title = f"from {layer}: {words}, {len(seen)} polygons"
        frames.append((layer, title, *box.ravel(), side / part))
        faces += [
            (layer, part == side, place, image, *xy)
            for place, (image, xy) in enumerate(zip(thumbnails(images), (corners - low) / side, strict=True))
        ]
    vertices, regions = map(pd.concat, zip(*tables, strict=True))
    frames = pd.DataFrame(frames, columns=["layer", "title", "x", "y", "x2", "y2", "zoom"])
    return (
        vertices,
        regions,
        frames,
        pd.DataFrame(faces, columns=["layer", "whole", "place", "image", "x", "y"]),
    )


def _window(rest, points: np.ndarray, centre: np.ndarray, side: float) -> polytopes.Plane:
    """The polygons of a square of the slice, in coordinates of the square."""
    origin, axes, *_ = spanned(points)
    square = centre + side * (np.array([[0, 0], [1, 0], [0, 1]]) - 0.5)
    three = (origin + square @ axes).reshape(3, *points.shape[1:])
    return polytopes.plane(rest, *three, margin=0, memory=MEMORY)


def _about(regions: int, rest, points, centre: np.ndarray, side: float) -> tuple[polytopes.Plane, float]:
    """A window that holds roughly so many regions, and its side; the first one tried has this side."""
    seen = _window(rest, points, centre, side)
    for _ in range(4):
        if regions / 1.5 < len(seen) < regions * 1.2:
            break
        side *= np.clip(np.sqrt(regions / len(seen)), 0.1, 6)
        seen = _window(rest, points, centre, side)
    return seen, side


def explorer(
    vertices: pd.DataFrame, regions: pd.DataFrame, frames: pd.DataFrame, images: pd.DataFrame
) -> alt.TopLevelMixin:
    """Polygons of several slices through the same three images, and a slider that says from which layer.

    `vertices` and `regions` as from `slice_tables`, of all layers together. `frames`: a row for each layer,
    in the slider's order, with layer, title (what the picture says about it), and x, y, x2, y2: the window
    within the slice. `images`: three rows for each layer with layer, image (a data URL), place (0 to 2), x, y
    (where it lies in the slice) and whole (whether the polygons show the whole slice). These coordinates are
    shares of the slice's side. Hovering over a polygon frames it; code, area and class stand beside.
    """
    layers = list(frames["layer"])
    if set(regions["layer"]) != set(layers) or set(images["layer"]) != set(layers):
        raise InputError(f"regions and images must have the layers of frames, {', '.join(layers)}.")
    regions, frames, images = (
        table.assign(at=table["layer"].map(layers.index)) for table in (regions, frames, images)
    )
    pick = alt.param(
        name="slice_layer",
        value=0,
        bind=alt.binding_range(min=0, max=len(layers) - 1, step=1, name="from layer, last to first "),
    )
    hover = alt.selection_point(
        name="slice_region", fields=["region"], on="pointerover", clear=False, empty=False
    )
    frames = frames[["layer", "title", "x", "y", "x2", "y2", "at"]]
    title = (
        _shown(frames)
        .mark_text(align="left", fontSize=13, color=INK)
        .encode(text="title:N", x=alt.value(0), y=alt.value(-12))
    )
    polygons = alt.layer(*_polygons(vertices, regions, hover), _triangle(images), title)
    beside = alt.vconcat(_place(frames, images), _words(regions, hover), spacing=30)
    chart = alt.hconcat(polygons, beside, spacing=20).add_params(pick)
    counts = regions.groupby("layer", sort=False).size()
    return describe(
        chart,
        "The polygons of an exact slice through three images' activations, coloured by class, with the place "
        "of the three images beside it. The slider changes the layer: "
        + ", ".join(f"{layer} {counts[layer]} regions" for layer in layers)
        + ". Hovering over a polygon shows its code, area and class.",
    )


def _shown(table: pd.DataFrame) -> alt.Chart:
    """The rows of the slider's layer."""
    return alt.Chart(table.drop(columns="layer")).transform_filter("datum.at == slice_layer")


def _polygons(vertices: pd.DataFrame, regions: pd.DataFrame, hover: alt.Parameter) -> list[alt.Chart]:
    """All polygons of the layer, and the one under the pointer once more, framed."""
    classes = sorted(regions["class"].unique(), key=int)
    looked_up = alt.LookupData(data=regions[["region", "at", "class"]], key="region", fields=["at", "class"])
    loops = (
        alt.Chart(vertices)
        .transform_lookup(lookup="region", from_=looked_up)
        .transform_filter("datum.at == slice_layer")
        .encode(order="place:Q", detail="region:N", tooltip=alt.value(None), **BOX)
    )
    fill = alt.Fill(
        "class:N",
        title="class",
        legend=alt.Legend(orient="bottom", symbolType="square", symbolStrokeWidth=0, symbolSize=120),
        scale=alt.Scale(domain=classes, range=[DIGITS[int(name)] for name in classes]),
    )
    polygons = loops.mark_line(
        interpolate="linear-closed", stroke="#ffffff", strokeWidth=0.6, fillOpacity=0.75
    ).encode(fill=fill)
    # A frame of its own, on top: neighbours would be painted over the polygon's stroke.
    frame = loops.transform_filter(hover).mark_line(
        interpolate="linear-closed", stroke=VERMILION, strokeWidth=3
    )
    return [polygons.add_params(hover).properties(width=SIDE, height=SIDE), frame]


def _triangle(images: pd.DataFrame) -> alt.Chart:
    """The triangle of the three images, where the whole slice is drawn."""
    edges = images[images["whole"]].sort_values(["layer", "place"])
    ends = edges.groupby("layer")[["x", "y"]].transform(lambda corners: np.roll(corners, -1))
    edges = edges.assign(x2=ends["x"], y2=ends["y"])[["layer", "at", "x", "y", "x2", "y2"]]
    rule = _shown(edges).mark_rule(color=INK, strokeWidth=1.5, strokeDash=[5, 3])
    return rule.encode(x2="x2:Q", y2="y2:Q", tooltip=alt.value(None), **BOX)


def _place(frames: pd.DataFrame, images: pd.DataFrame) -> alt.LayerChart:
    """Where the three images and the window lie in the slice."""
    window = _shown(frames).mark_rect(fillOpacity=0.15, fill=VERMILION, stroke=VERMILION, strokeWidth=2)
    lines = _shown(images).mark_line(interpolate="linear-closed", color=GREY, strokeWidth=1.5)
    faces = _shown(images).mark_image(width=44, height=44).encode(url="image:N", **BOX)
    return alt.layer(
        window.encode(x2="x2:Q", y2="y2:Q", **BOX), lines.encode(order="place:Q", **BOX), faces
    ).properties(width=190, height=190, title="window in the slice")


def _words(regions: pd.DataFrame, hover: alt.Parameter) -> alt.LayerChart:
    """What is known of the polygon under the pointer.

    Text, because the tooltip of a line shows at its vertices only, and nobody hovers on a touch screen.
    """
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
    return alt.layer(*told).properties(width=190, height=60, title="the polygon under the pointer")
