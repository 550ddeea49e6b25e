"""Pictures of chapter 5: polygons of a slice, and what ways between images cross."""

import numpy as np
import pandas as pd
import pytest
import torch
import vl_convert
from torch import nn

from pictures import interpolation, slices, ways
from splinelab import polytopes
from splinelab.charts import renderer
from splinelab.errors import InputError

pytestmark = pytest.mark.usefixtures("theme")


@pytest.fixture(scope="module")
def found():
    """A slice whose regions can be counted by hand: two axes cut a square into four quarters."""
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)).eval()
    with torch.no_grad():
        net[0].weight.copy_(torch.eye(2))
        net[0].bias.fill_(-0.5)
    return polytopes.plane(net, [0.0, 0.0], [1.0, 0.0], [0.0, 1.0], margin=0)


def explorer(found, layers=("deep", "low")):
    tables = [slices.slice_tables(layer, found) for layer in layers]
    frames = [{"layer": layer, "title": layer, "x": 0, "y": 0, "x2": 1, "y2": 1} for layer in layers]
    images = [
        {"layer": layer, "whole": True, "place": k, "image": "data:,", "x": x, "y": y}
        for layer in layers
        for k, (x, y) in enumerate(found.corners)
    ]
    parts = map(pd.concat, zip(*tables, strict=True))
    return slices.explorer(*parts, pd.DataFrame(frames), pd.DataFrame(images))


def test_tables_hold_the_polygons(found):
    vertices, regions = slices.slice_tables("pool3", found)
    assert len(regions) == 4
    assert regions["area"].to_numpy() == pytest.approx([0.25] * 4)
    assert set(regions["code"].str.split(" · ").str[0]) == {"0", "1", "2"}  # active units of the one layer
    assert regions["code"].nunique() == 4
    for _, corners in vertices.groupby("region"):
        x, y = corners.sort_values("place")[["x", "y"]].to_numpy().T
        assert abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2 == pytest.approx(0.25)


def test_flat_vertices_are_left_out():
    square = np.array([[0, 0], [0.5, 0], [1, 0], [1, 1], [0, 1]], float)
    assert len(slices._without_flat(square)) == 4


def test_explorer_filters_by_the_slider_and_draws(found):
    chart = explorer(found)
    spec = renderer.tidy(chart.to_dict())
    slider = next(param for param in spec["params"] if param["name"] == "slice_layer")
    assert slider["bind"]["max"] == 1
    assert "deep 4 regions, low 4 regions" in chart._repr_mimebundle_()["text/plain"]
    assert len(chart._repr_mimebundle_()["image/png"]) > 1000


def test_explorer_wants_every_layer(found):
    vertices, regions = slices.slice_tables("deep", found)
    frames = pd.DataFrame([{"layer": "other", "title": "", "x": 0, "y": 0, "x2": 1, "y2": 1}])
    with pytest.raises(InputError, match="other"):
        slices.explorer(vertices, regions, frames, pd.DataFrame({"layer": ["deep"]}))


def test_boundaries_outside_the_stretch_are_left_out():
    spec = interpolation.boundaries([0.1, 0.55, 0.9], {"3 samples": [0, 0.5, 1]}, 0.5, 0.6).to_dict()
    (rows,) = spec["datasets"].values()
    assert [row["t"] for row in rows] == pytest.approx([55, 50])


def test_way_charts_draw():
    table = pd.DataFrame(
        [
            {"layer": layer, "kind": kind, "place": 0.2 * k + 0.1, "density": 1.0, "error": 0.1}
            for layer in ["a", "b"]
            for kind in ["different classes", "same class"]
            for k in range(5)
        ]
    )
    found = pd.DataFrame({"layer": ["a", "a"], "samples": [64, 128], "found": [0.1, 0.2]})
    ratio = pd.DataFrame({"case": ["a"], "net": ["trained"], "value": [2.0], "low": [1.5], "high": [2.5]})
    for chart in [
        interpolation.fifths(table),
        interpolation.shares_found(found),
        interpolation.ratios(ratio, title="ratio"),
    ]:
        assert chart._repr_mimebundle_()["image/png"]


def test_an_interval_that_reaches_below_zero_is_drawn_whole():
    """Few nets give wide intervals; a logarithm of their lower ends would draw nothing, or worse."""
    wide = pd.DataFrame({"case": ["a"], "net": ["trained"], "value": [0.9], "low": [-0.4], "high": [2.2]})
    chart = interpolation.ratios(wide, title="ratio")
    assert "NaN" not in vl_convert.vegalite_to_svg(chart.to_dict())


def test_through_shows_a_square_that_holds_the_three(found):
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).eval()
    images = np.random.default_rng(0).random((3, 1, 2, 2), np.float32)
    vertices, regions, frames, faces = slices.through(net, ["input"], images, whole=("input",))
    assert frames["zoom"].tolist() == [1] and str(len(regions)) in frames["title"][0]
    assert (vertices[["x", "y"]].max() - vertices[["x", "y"]].min()).to_numpy() == pytest.approx([1, 1])
    assert faces[["x", "y"]].to_numpy().min() >= 0 and faces[["x", "y"]].to_numpy().max() <= 1


def test_fifths_are_counted_on_stretches_as_on_the_whole():
    """On units that switch at even distances each leg meets as many boundaries for its length."""
    net = nn.Sequential(nn.Linear(1, 100), nn.ReLU(), nn.Linear(100, 1)).eval()
    with torch.no_grad():
        net[0].weight.fill_(1)
        net[0].bias.copy_(-(torch.arange(100) + 0.5) / 100)
    way = np.linspace(0, 1, 21)[:, None]
    whole, some = (ways.in_fifths(net, [way], whole=how) for how in (True, False))
    assert whole[0].tolist() == [[20] * 5] and some[0].tolist() == [[5] * 5]
    assert whole[1] == pytest.approx(np.full((1, 5), 0.2)) and some[1] == pytest.approx(np.full((1, 5), 0.05))


def test_samples_find_what_the_stretches_hold():
    net = nn.Sequential(nn.Flatten(), nn.Linear(1, 10), nn.ReLU(), nn.Linear(10, 1)).eval()
    with torch.no_grad():
        net[1].weight.fill_(1)
        net[1].bias.copy_(-(torch.arange(10) + 0.5) / 10)
    pairs = np.array([[[[[0.0]]], [[[1.0]]]]], np.float32)
    ((regions, flips, hamming, few, many),) = ways.seen_by_samples(net, "input", pairs, [2, 1000], 1)
    assert (regions, flips, hamming, few, many) == (11, 10, 10, 2, 11)


def test_rows_are_relative_to_ways_between_classes():
    arcs = {
        ("trained", "A", "l", "different"): np.ones((2, 1, 3, 5)),
        ("trained", "A", "l", "same"): np.ones((2, 1, 3, 5)),
    }
    arcs["trained", "A", "l", "same"][0] *= 2
    table = interpolation.fifth_rows(arcs)
    assert "different classes, 0 of 1" in interpolation.fifths(table).description
    rows = table.groupby("kind")["density"].mean()
    assert rows.to_dict() == {"different classes": 1, "same class": 2}
