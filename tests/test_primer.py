"""The primer's pictures: what they draw against plain torch on a fine grid."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from drawing import drawn
from torch import nn

from pictures import pieces, primer
from splinelab import polytopes
from splinelab.charts import tables

pytestmark = pytest.mark.usefixtures("theme")

AXIS = np.linspace(-0.997, 0.997, 121)
GRID = np.stack(np.meshgrid(AXIS, AXIS), axis=-1).reshape(-1, 2)
SIZES = [(2, 2, 1), (2, 3, 1), (2, 8, 8, 2)]


def random_net(sizes, seed=3) -> nn.Sequential:
    draw = torch.Generator().manual_seed(seed)
    layers = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [torch.randn(fan_out, fan_in, generator=draw), 0.4 * torch.randn(fan_out, generator=draw)]
    return pieces.net(*layers)


def code_at(model: nn.Sequential, points: np.ndarray) -> np.ndarray:
    """Codes by plain torch: which pre-activations are positive."""
    values, bits = torch.tensor(points), []
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, nn.ReLU):
                bits.append(values > 0)
            values = layer(values)
    return torch.cat(bits, dim=1).numpy().astype(int)


def inside(polygon: np.ndarray, points: np.ndarray, slack: float) -> np.ndarray:
    """Which points lie in a convex polygon, counter-clockwise, or no further outside than `slack`."""
    within = np.ones(len(points), bool)
    for here, there in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        along, way = there - here, points - here
        within &= along[0] * way[:, 1] - along[1] * way[:, 0] >= -slack * np.linalg.norm(along)
    return within


def polygons(table: pd.DataFrame):
    for _, rows in table.groupby("region"):
        yield rows.sort_values("order")[["x", "y"]].to_numpy(), rows.iloc[0]


def area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return (x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def rows_of(chart, *columns) -> pd.DataFrame:
    """The one table of the drawn chart with these columns and no other."""
    found = [rows for rows in map(pd.DataFrame, tables.tables(drawn(chart))) if set(rows) == set(columns)]
    assert len(found) == 1
    return found[0]


def described(chart):
    return chart.properties(description="A picture of the primer, drawn for a test.")


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_polygons_hold_the_points_of_their_code(sizes):
    model = random_net(sizes)
    table = pieces.corners(pieces.cut(model))
    codes = np.array(["".join(map(str, row)) for row in code_at(model, GRID)])
    held = np.zeros(len(GRID), int)
    for polygon, first in polygons(table):
        within = inside(polygon, GRID, slack=-1e-9)
        assert (codes[within] == first["code"]).all()
        held += within
    assert (held <= 1).all() and (held == 1).mean() > 0.999  # the rest lie on an edge
    assert sum(area(polygon) for polygon, _ in polygons(table)) == pytest.approx(4)
    assert set(codes) <= set(table["code"])


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_map_of_the_mask_is_the_net_on_its_polygon(sizes):
    model = random_net(sizes)
    cut = pieces.cut(model)
    with torch.no_grad():
        output = model(torch.from_numpy(GRID)).numpy()
    for region, (polygon, first) in enumerate(polygons(pieces.corners(cut))):
        mask = torch.tensor([float(bit) for bit in first["code"]], dtype=torch.float64)
        matrix, shift = model[0].weight, model[0].bias
        for layer in model[2::2]:
            part, mask = mask[: len(shift)], mask[len(shift) :]
            weight = layer.weight * part
            matrix, shift = weight @ matrix, weight @ shift + layer.bias
        within = inside(polygon, GRID, slack=-1e-9)
        by_hand = GRID[within] @ matrix.detach().numpy().T + shift.detach().numpy()
        np.testing.assert_allclose(by_hand, output[within], atol=1e-10)
        drawn_map = pieces.outputs(cut, region, GRID)
        np.testing.assert_allclose(drawn_map[within], output[within], atol=1e-10)
        assert within.all() or np.abs(drawn_map - output).max() > 1e-3


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_edges_lie_where_their_neuron_is_zero_and_nowhere_is_one_missing(sizes):
    model = random_net(sizes)
    table = pieces.boundaries(model, pieces.cut(model))
    ends = np.stack([rows[["x", "y"]].to_numpy() for _, rows in table.groupby("region")])
    first = table.groupby("region").first()
    starts = dict(zip(("layer 1", "layer 2"), (0, sizes[1]), strict=True))
    unit = first["layer"].map(starts) + first["neuron"].str.split().str[1].astype(int) - 1
    across = (ends[:, 1] - ends[:, 0])[:, ::-1] * [-1, 1]
    across = 1e-4 * across / np.linalg.norm(across, axis=1, keepdims=True)
    middle = ends.mean(axis=1)
    flips = code_at(model, middle + across) != code_at(model, middle - across)
    for row, number in enumerate(unit):
        assert flips[row, number]
    # Along a row of the grid a bit changes as often as an edge of its neuron crosses it.
    for height in AXIS[::10]:
        bits = code_at(model, np.stack([np.linspace(-1, 1, 4001), np.full(4001, height)], axis=1))
        changes = np.abs(np.diff(bits, axis=0)).sum(axis=0)
        crosses = (ends[:, :, 1].min(axis=1) < height) & (height < ends[:, :, 1].max(axis=1))
        assert np.bincount(unit[crosses], minlength=bits.shape[1]).tolist() == changes.tolist()


def test_sides_are_the_larger_output_and_part_at_the_decision_line():
    model = random_net((2, 8, 8, 2))
    table, line = pieces.sides(pieces.cut(model))
    with torch.no_grad():
        winner = model(torch.from_numpy(GRID)).argmax(dim=1).numpy()
        ends = model(torch.from_numpy(line[["x", "y"]].to_numpy(copy=True))).numpy()
    assert set(winner) == {0, 1}
    for polygon, first in polygons(table):
        assert (winner[inside(polygon, GRID, slack=-1e-9)] == first["side"]).all()
    assert sum(area(polygon) for polygon, _ in polygons(table)) == pytest.approx(4)
    assert len(line) and (line.groupby("region").size() == 2).all()
    np.testing.assert_allclose(ends[:, 0], ends[:, 1], atol=1e-9)


def test_neurons_write_the_code_of_the_place():
    models = {k: random_net((2, 3, 1), seed=k) for k in range(3)}
    chart = described(primer.neurons(models, ["a", "b", "c"], "turn ", 1))
    spec = drawn(chart)
    (slider,) = spec["params"]
    assert (slider["value"], slider["bind"]["min"], slider["bind"]["max"]) == (1, 0, 2)
    marks = [layer["encoding"].get("text", {}).get("field") for layer in spec["layer"]]
    assert [field for field in marks if field] == ["bit1", "bit2", "bit3", "words"]
    written = rows_of(chart, "x", "y", "bit1", "bit2", "bit3", "frame")
    assert set(written["frame"]) == set(models)
    for frame, rows in written.groupby("frame"):
        bits = code_at(models[frame], rows[["x", "y"]].to_numpy())
        assert rows[["bit1", "bit2", "bit3"]].to_numpy().tolist() == bits.tolist()


def test_a_frozen_mask_meets_the_net_on_its_piece_and_not_behind():
    model, height = random_net((2, 2, 1)), 0.25
    frames = [round(-0.9 + 0.2 * k, 2) for k in range(10)]
    chart = described(primer.frozen(model, height, frames, 3))
    assert drawn(chart)["params"][0]["value"] == frames[3]
    straight = rows_of(chart, "x", "y", "frame", "line")
    assert set(straight["line"]) == {"with this mask everywhere"}
    way = np.stack([np.linspace(-1, 1, 401), np.full(401, height)], axis=1)
    codes = code_at(model, way)
    with torch.no_grad():
        output = model(torch.from_numpy(way))[:, 0].numpy()
    assert len(np.unique(codes, axis=0)) > 1
    for x, rows in straight.groupby("frame"):
        same = (codes == code_at(model, np.array([[x, height]]))).all(axis=1)
        off = np.abs(np.interp(way[:, 0], rows["x"], rows["y"]) - output)
        assert off[same].max() < 0.01 < off.max()  # tables in pictures hold three digits


def test_a_walk_lights_the_bit_that_flips():
    model = random_net((2, 8, 8, 2))
    way = polytopes.segment(model, [-0.9, -0.7], [0.9, 0.8])
    chart = described(primer.walk(model, pieces.cut(model), way))
    row = rows_of(chart, "frame", "unit", "bit", "new").sort_values(["frame", "unit"])
    bits, new = (row[name].to_numpy().reshape(len(way.codes), 16) for name in ("bit", "new"))
    middles = way.at((way.t[1:] + way.t[:-1]) / 2)
    assert bits.tolist() == code_at(model, middles).tolist()
    assert new[1:].tolist() == np.abs(np.diff(bits, axis=0)).tolist() and not new[0].any()
    lit = rows_of(chart, "region", "order", "x", "y", "code", "frame")
    for frame, rows in lit.groupby("frame"):
        assert inside(rows.sort_values("order")[["x", "y"]].to_numpy(), middles[[frame]], slack=2e-3).all()


def test_steps_start_at_the_last_moment():
    models = [random_net((2, 4, 4, 2), seed=k) for k in range(3)]
    points = pd.DataFrame({"x": [0.1, -0.4], "y": [0.3, 0.5], "side": [0, 1]})
    chart = described(primer.steps(models, ["one", "two", "three"], points))
    assert drawn(chart)["params"][0]["value"] == 2
    assert rows_of(chart, "frame", "words")["words"].tolist() == ["one", "two", "three"]
