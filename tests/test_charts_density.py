"""The figures of chapter 3: from small tables to pictures, with what a reader chooses in the spec."""

import io
import itertools

import numpy as np
import pandas as pd
import pytest
from drawing import drawn
from PIL import Image

from pictures import density, polytopes
from splinelab.charts import renderer, tables

SQUARE = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
LEFT = np.array([[-1.0, -1], [0, -1], [0, 1], [-1, 1]])
RIGHT = LEFT + np.array([1, 0])


pytestmark = pytest.mark.usefixtures("theme")


def every(**columns) -> pd.DataFrame:
    table = pd.DataFrame(itertools.product(*columns.values()), columns=list(columns))
    value = np.linspace(0.8, 1.1, len(table))
    return table.assign(value=value, low=value - 0.02, high=value + 0.02)


def colours(chart) -> set:
    picture = Image.open(io.BytesIO(renderer.png(renderer.tidy(chart.to_dict())))).convert("RGBA")
    return {picture.getpixel((x, y)) for x in range(picture.width) for y in range(picture.height)}


def points() -> pd.DataFrame:
    return pd.DataFrame({"x": [-0.5, 0.5, 0.2], "y": [0.1, -0.2, 0.6], "class": [0, 1, 2]})


def halves(**columns) -> pd.DataFrame:
    return polytopes.vertices([LEFT, RIGHT], {"class": [0, 1], **columns})


def test_vertices_repeat_what_belongs_to_the_polygon():
    table = polytopes.vertices([LEFT, np.array([[0.0, 0], [1, 0], [0, 1]])], {"area": [2.0, 0.5]})
    assert table["region"].tolist() == [0] * 4 + [1] * 3
    assert table["order"].tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert table["area"].tolist() == [2.0] * 4 + [0.5] * 3
    np.testing.assert_array_equal(table[["x", "y"]].to_numpy()[:4], LEFT)


def test_zero_lines_are_the_shared_edges_named_once():
    values = [
        np.stack([p[:, 0], p[:, 0] + 3], axis=1) for p in (LEFT, RIGHT)
    ]  # the first unit is zero at x = 0
    lines = polytopes.zero_lines([LEFT, RIGHT], values, "first layer")
    assert lines["line"].tolist() == [0, 0]
    assert lines[["x", "y"]].to_numpy().tolist() == [[0.0, -1.0], [0.0, 1.0]]
    none = polytopes.zero_lines([SQUARE], [np.ones((4, 2))], "first layer")
    assert none.empty and list(none.columns) == list(lines.columns)


def test_corners_of_two_units_make_no_line():
    # One unit is zero at one end of an edge, another at its other end: no unit is zero along it.
    values = np.array([[0.0, 1], [1, 0], [1, 1], [1, 1]])
    assert polytopes.zero_lines([SQUARE], [values], "second layer").empty


def test_mosaic_shows_what_the_pointer_meets():
    table = halves(steepness=[1.0, 2.0], area=[2.0, 2.0], code=["01 10", "11 10"])
    spec = drawn(polytopes.mosaic(table, points()))
    assert "pick_region" in {param["name"] for param in spec["params"]}
    assert {row["code"] for rows in tables.tables(spec) for row in rows if "code" in row} == {
        "01 10",
        "11 10",
    }


def test_polygons_have_the_colour_of_their_class():
    lines = pd.DataFrame(
        {"line": [0, 0], "order": [0, 1], "x": [0.0, 0.0], "y": [-1.0, 1.0], "layer": "first layer"}
    )
    chart = polytopes.turned(halves(), lines, points(), "two polygons")
    drawn(chart)
    found = colours(chart)
    for colour in polytopes.PALE[:2]:
        exact = tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
        near = [
            c for c in found if c[3] == 255 and max(abs(a - b) for a, b in zip(c, exact, strict=False)) <= 4
        ]
        assert near, colour
    drawn(polytopes.layers([("first layer", lines), ("both", lines)], halves()))


def test_density_by_layer():
    places = {"net": ["CNN", "RES"], "training": ["trained", "untrained"], "layer": ["input", "relu1"]}
    spec = drawn(density.intra_inter(every(**places, pair=["intra-class", "inter-class"])))
    assert len(spec["vconcat"]) == 2
    drawn(density.ratios(every(**places, statistic=["raw", "distance matched"])))
    one = every(net=["ResNet-20"], training=["trained"], layer=["input", "layer1"], statistic=["raw"])
    assert "hconcat" in drawn(density.ratios(one, domain=(0.7, 1.2)))


def test_density_by_distance_offers_every_place():
    table = every(
        place=["CNN, input", "RES, stem"],
        training=["trained", "untrained"],
        pair=["intra-class", "inter-class"],
        distance=[0.5, 1.0],
    ).rename(columns={"value": "density"})
    spec = drawn(density.by_distance(table, "RES, stem"))
    (pick,) = [param for param in spec["params"] if param["name"] == "pick_place"]
    assert pick["bind"]["options"] == ["CNN, input", "RES, stem"]
    assert pick["value"] == "RES, stem"


def test_segment():
    outputs = pd.DataFrame(itertools.product([0.0, 0.5, 1.0], [0, 3]), columns=["t", "class"]).assign(
        output=1.0
    )
    bars = pd.DataFrame(
        itertools.product([0.25, 0.75], ["relu1", "max-pooling"]), columns=["t", "layer"]
    ).assign(boundaries=3)
    drawn(density.along_segment(outputs, bars))
