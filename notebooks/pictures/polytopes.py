"""Pictures of polygons: how a net with two inputs cuts the plane.

A table of vertices has one row for each corner of each polygon: `region` (a number), `order` (0, 1, …, the
way round), `x`, `y`, and columns that hold one value for each polygon. A table of lines has the columns
`line` (a number), `order`, `x`, `y` and `layer` ("first layer" or "second layer").
"""

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd

from splinelab.charts.renderer import describe
from splinelab.charts.theme import BLUE, GREEN, ORANGE, PINK, VERMILION

__all__ = ["layers", "mosaic", "turned", "vertices", "zero_lines"]

CLASSES = (BLUE, ORANGE, GREEN)
# Opaque and pale: what is half transparent comes out in wrong colours in PNG pictures.
PALE = ("#9cc9e8", "#efcf8e", "#8fd2c0")
LAYERS = {"first layer": VERMILION, "second layer": PINK}


def vertices(polygons: Sequence[np.ndarray], columns: Mapping[str, Sequence]) -> pd.DataFrame:
    """A table of vertices; `polygons` are corners × 2, `columns` hold one value for each polygon."""
    sizes = [len(polygon) for polygon in polygons]
    region = np.repeat(np.arange(len(sizes)), sizes)
    corners = np.concatenate(list(polygons))
    table = pd.DataFrame(
        {
            "region": region,
            "order": np.concatenate([np.arange(size) for size in sizes]),
            "x": corners[:, 0],
            "y": corners[:, 1],
        }
    )
    return table.assign(**{name: np.asarray(values)[region] for name, values in columns.items()})


def zero_lines(polygons: Sequence[np.ndarray], values: Sequence[np.ndarray], layer: str) -> pd.DataFrame:
    """The edges along which some unit is zero, as a table of lines.

    `values` holds, for each polygon, corners × units: pre-activations at the corners.
    """
    pieces = {}
    for corners, z in zip(polygons, values, strict=True):
        zero = np.abs(z) < 1e-9 * max(1.0, float(np.abs(z).max()))
        for i in np.flatnonzero((zero & np.roll(zero, -1, axis=0)).any(axis=1)):
            ends = sorted([tuple(corners[i].round(9)), tuple(corners[(i + 1) % len(corners)].round(9))])
            pieces[tuple(ends)] = ends  # both sides of an edge name it
    rows = [(n, k, *end, layer) for n, ends in enumerate(sorted(pieces)) for k, end in enumerate(ends)]
    return pd.DataFrame(rows, columns=["line", "order", "x", "y", "layer"])


def mosaic(table: pd.DataFrame, points: pd.DataFrame) -> alt.TopLevelMixin:
    """The polygons twice: coloured by class, and by how steep the affine map is; hover to read one.

    `table`: vertices with the columns class, steepness, area and code. `points`: x, y and class of the data.
    The polygon under the pointer gets a frame in both pictures.
    """
    hover = alt.selection_point(
        name="pick_region", fields=["region"], on="pointerover", clear="pointerout", empty=False
    )
    base = _polygons(table).encode(
        stroke=alt.condition(hover, alt.value(VERMILION), alt.value("#ffffff")),
        strokeWidth=alt.condition(hover, alt.value(3), alt.value(0.8)),
    )
    steep = alt.Fill(
        "steepness:Q",
        title="steepness",
        scale=alt.Scale(scheme="viridis"),
        legend=alt.Legend(orient="bottom", gradientLength=200),
    )
    size = {"width": 290, "height": 290}
    by_class = base.encode(fill=_class_fill()).add_params(hover)
    panels = [
        alt.layer(by_class, _dots(points)).properties(title="point at a polygon", **size),
        base.encode(fill=steep).properties(title="steepness of its affine map", **size),
    ]
    chosen = (
        alt.Chart(table)
        .transform_filter(hover)
        .transform_filter("datum.order == 0")
        .transform_calculate(
            words="'code ' + datum.code + ', area ' + format(datum.area, '.4f') + ', class ' + datum.class"
            " + ', steepness ' + format(datum.steepness, '.0f')"
        )
        .mark_text(align="left", fontSize=13)
        .encode(text="words:N", x=alt.value(0))
        .properties(width=600, height=18)
    )
    chart = alt.hconcat(*panels, spacing=26).resolve_scale(fill="independent")
    return describe(
        alt.vconcat(chart, chosen, spacing=4),
        f"The {table['region'].nunique()} polygons into which a small net cuts a square, coloured by class "
        "at the left and by the steepness of each polygon's affine map at the right. Pointing at one at the "
        "left shows its code and area.",
    )


def layers(lines: Sequence[tuple[str, pd.DataFrame]], table: pd.DataFrame) -> alt.TopLevelMixin:
    """Boundaries layer by layer, then the polygons by class: panels side by side.

    `lines` holds titles and tables of lines; `table`: vertices with the column class, for the last panel.
    """
    size = {"width": 200, "height": 200}
    panels = [_lines(some).properties(title=title, **size) for title, some in lines]
    panels.append(_polygons(table).encode(fill=_class_fill()).properties(title="and the classes", **size))
    return describe(
        alt.hconcat(*panels, spacing=16),
        "Boundaries of the first layer are straight lines. Those of the second layer bend where they cross "
        "boundaries of the first. Coloured by class, the polygons between them give the classifier.",
    )


def turned(table: pd.DataFrame, lines: pd.DataFrame, points: pd.DataFrame, title: str) -> alt.TopLevelMixin:
    """One frame of a slider: polygons by class, and some units' boundaries drawn thick; one size for all."""
    chart = alt.layer(
        _polygons(table).encode(fill=_class_fill()), _lines(lines, legend=False), _dots(points)
    ).properties(width=240, height=240, title=title)
    return describe(chart, f"Polygons by class: {title}.")


def _polygons(table: pd.DataFrame) -> alt.Chart:
    mark = alt.Chart(table).mark_line(interpolate="linear-closed", stroke="#ffffff", strokeWidth=0.8)
    return mark.encode(x=_axis(alt.X, "x"), y=_axis(alt.Y, "y"), detail="region:N", order="order:Q")


def _axis(channel, name: str):
    scale = alt.Scale(domain=[-1, 1], nice=False)
    return channel(
        f"{name}:Q", title=None, scale=scale, axis=alt.Axis(values=[-1, 0, 1], format="d", grid=False)
    )


def _class_fill() -> alt.Fill:
    return alt.Fill("class:N", scale=alt.Scale(domain=[0, 1, 2], range=list(PALE)), legend=None)


def _dots(points: pd.DataFrame) -> alt.Chart:
    colour = alt.Color("class:N", scale=alt.Scale(domain=[0, 1, 2], range=list(CLASSES)), legend=None)
    mark = alt.Chart(points).mark_circle(size=20, opacity=1)
    return mark.encode(x=_axis(alt.X, "x"), y=_axis(alt.Y, "y"), color=colour, tooltip=alt.value(None))


def _lines(lines: pd.DataFrame, *, legend: bool = True) -> alt.Chart:
    colour = alt.Stroke(
        "layer:N",
        scale=alt.Scale(domain=list(LAYERS), range=list(LAYERS.values())),
        legend=alt.Legend(orient="bottom", title="boundaries of the") if legend else None,
    )
    mark = alt.Chart(lines).mark_line(strokeWidth=2)
    return mark.encode(
        x=_axis(alt.X, "x"), y=_axis(alt.Y, "y"), detail="line:N", order="order:Q", stroke=colour
    )
