"""Pictures of the primer: pieces of the square, their codes, and what a trained net makes of them.

Each has a slider, which picks the rows of a table whose column `frame` is its value.
"""

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd
import torch
from torch import nn

from pictures import pieces
from pictures.pieces import framed
from splinelab import polytopes, record
from splinelab.charts import BLUE, ORANGE, PINK, VERMILION

__all__ = ["frozen", "neurons", "steps", "walk"]

SIDE = 320  # with the axis no wider than a phone
NEURONS = (BLUE, "#b84a00", "#007a58")
# Opaque and pale: dark text and lines on them are legible on light and dark pages alike.
PALE = ("#dfe5ea", "#c3e0f3", "#f6d8be", "#dcd3ee", "#c3e6d6", "#c9e3e6", "#efe6b4", "#f2d5df")
SIDES, PALE_SIDES = (BLUE, "#b86f00"), ("#b5d9f1", "#f5dcab")
DARK, LIT = "#22262b", "#ffe14d"


def neurons(
    models: Mapping[float, nn.Module], words: Sequence[str], label: str, start: int
) -> alt.LayerChart:
    """Pieces and codes of nets with one layer; a slider moves from net to net.

    models : the slider's values, evenly spaced, and their nets.
    words : what is written above each net.
    start : place of the net that is shown first.
    """
    cuts = {frame: pieces.cut(model) for frame, model in models.items()}
    pick, chosen = _slider(list(models), label, start)
    table = framed({frame: pieces.corners(cut) for frame, cut in cuts.items()})
    codes = sorted(set(table["code"]))
    fill = alt.Scale(domain=codes, range=list(PALE[: len(codes)]))
    polygons = _loops(table, chosen).encode(fill=alt.Fill("code:N", scale=fill, legend=None))
    legend = alt.Legend(orient="bottom", title="zero line of")
    edges = framed({frame: pieces.boundaries(models[frame], cut) for frame, cut in cuts.items()})
    places = framed({frame: pieces.labels(cut) for frame, cut in cuts.items()})
    chart = alt.layer(polygons, *_named(edges, places, chosen, legend), _words(list(models), words, chosen))
    return chart.properties(width=SIDE, height=SIDE).add_params(pick)


def frozen(model: nn.Module, height: float, frames: Sequence[float], start: int) -> alt.VConcatChart:
    """The output along a level way through the square, and the affine map of the mask at one place of it.

    height : the way's y.
    frames : x of the places, evenly spaced; `start` is the place of the first one shown.
    """
    cut = pieces.cut(model)
    codes = pieces.names(cut.codes)
    masks = pieces.names(record(model, np.array([[x, height] for x in frames])).codes)
    here = {x: codes.index(mask) for x, mask in zip(frames, masks, strict=True)}
    pick, chosen = _slider(frames, "point at x = ", start)
    table = pieces.corners(cut)
    lit = framed({x: table[table["region"] == region] for x, region in here.items()})
    points = pd.DataFrame({"x": frames, "y": height, "frame": frames})
    plane = alt.layer(
        _loops(table, None).encode(fill=alt.value(PALE[0])),
        _loops(lit, chosen).encode(fill=alt.value(LIT)),
        *_named(pieces.boundaries(model, cut), pieces.labels(cut), None, None),
        _lines(pieces.loops([[[-1, height], [1, height]]]), None, 1.5).encode(stroke=alt.value(DARK)),
        _dots(points, chosen),
        _words(frames, [f"mask of the lit piece: {' '.join(mask)}" for mask in masks], chosen),
    )
    graph = _graph(model, height, _straight(cut, height, here), points, chosen)
    stacked = [plane.properties(width=SIDE, height=SIDE), graph.properties(width=SIDE, height=0.45 * SIDE)]
    return alt.vconcat(*stacked, spacing=6).add_params(pick)


def _straight(cut: polytopes.Plane, height: float, regions: Mapping[float, int]) -> pd.DataFrame:
    """The affine maps of some pieces along the whole level way: frame, x, y."""
    ends = np.array([[-1.0, height], [1.0, height]])
    ahead = {x: pieces.outputs(cut, region, ends)[:, 0] for x, region in regions.items()}
    return framed({x: pd.DataFrame({"x": [-1, 1], "y": y}) for x, y in ahead.items()})


def _graph(
    model: nn.Module, height: float, straight: pd.DataFrame, points: pd.DataFrame, chosen: str
) -> alt.LayerChart:
    x = np.linspace(-1, 1, 201)
    with torch.no_grad():
        output = model(torch.tensor([[each, height] for each in x], dtype=torch.float64))[:, 0].numpy()
    scale = alt.Scale(domain=[straight["y"].min() - 0.1, straight["y"].max() + 0.1], nice=False)
    y = alt.Y("y:Q", title=None, scale=scale, axis=alt.Axis(tickCount=4))
    kinds = ["the net's output", "with this mask everywhere"]
    colour = alt.Color(
        "line:N",
        scale=alt.Scale(domain=kinds, range=[BLUE, ORANGE]),
        legend=alt.Legend(orient="bottom", title=None),
    )
    curve = pd.DataFrame({"x": x, "y": output, "line": kinds[0]})
    return alt.layer(
        _at(straight.assign(line=kinds[1]), chosen).mark_line(strokeWidth=5).encode(y=y, color=colour),
        _at(curve, None).mark_line().encode(y=y, color=colour),
        _dots(points.assign(y=np.interp(points["x"], x, output)), chosen).encode(y=y),
    )


def steps(models: Sequence[nn.Module], words: Sequence[str], points: pd.DataFrame) -> alt.LayerChart:
    """Pieces and decision line of a net with two outputs at moments of its training; starts at the last.

    words : what is written above each moment.
    points : x, y and side of the data.
    """
    frames = list(range(len(models)))
    cuts = [pieces.cut(model) for model in models]
    parted = [pieces.sides(cut) for cut in cuts]
    pick, chosen = _slider(frames, "training ", frames[-1])
    edges = framed({k: pieces.boundaries(*pair) for k, pair in enumerate(zip(models, cuts, strict=True))})
    decision = framed({k: line for k, (_, line) in enumerate(parted)})
    chart = alt.layer(
        _sided(framed({k: polygons for k, (polygons, _) in enumerate(parted)}), chosen),
        _lines(edges, chosen, 1.5).encode(stroke=alt.value("#ffffff")),
        _lines(decision, chosen, 3).encode(stroke=alt.value(DARK)),
        _at(points, None)
        .mark_circle(size=26, opacity=1)
        .encode(color=alt.Color("side:N", scale=alt.Scale(domain=[0, 1], range=list(SIDES)), legend=None)),
        _words(frames, words, chosen),
    )
    return chart.properties(width=SIDE, height=SIDE).add_params(pick)


def walk(model: nn.Module, cut: polytopes.Plane, way: polytopes.Path) -> alt.VConcatChart:
    """A straight way from piece to piece, and below it the code of where one stands, the new bit lit.

    The net has two layers and two outputs, and each boundary of the way flips one bit.
    """
    frames = list(range(len(way.codes)))
    at = way.at((way.t[1:] + way.t[:-1]) / 2)
    pick, chosen = _slider(frames, "edges crossed ", 1)
    table, known = pieces.corners(cut), pieces.names(cut.codes)
    lit = {k: table[table["region"] == known.index(code)] for k, code in enumerate(pieces.names(way.codes))}
    flips = zip(way.crossing_layer, way.crossing_unit, way.crossing_on, strict=True)
    words = ["start"] + [
        f"layer {layer + 1}, neuron {unit + 1} switches {'on' if on else 'off'}" for layer, unit, on in flips
    ]
    scale = alt.Scale(domain=["layer 1", "layer 2"], range=[VERMILION, PINK])
    plane = alt.layer(
        _sided(pieces.sides(cut)[0], None),
        _loops(framed(lit), chosen).encode(fill=alt.value(LIT)),
        _lines(pieces.boundaries(model, cut), None, 2).encode(
            stroke=alt.Stroke("layer:N", scale=scale, legend=alt.Legend(orient="bottom", title="edges of"))
        ),
        _lines(pieces.loops([way.at([0.0, 1.0])]), None, 1.5).encode(stroke=alt.value(DARK)),
        _dots(pd.DataFrame(at, columns=["x", "y"]).assign(frame=frames), chosen),
        _words(frames, words, chosen),
    )
    strip = _strip(way.codes.bits().astype(int), next(iter(way.codes.layers.values())), chosen)
    stacked = [plane.properties(width=SIDE, height=SIDE), strip.properties(width=SIDE, height=24)]
    return alt.vconcat(*stacked, spacing=10).add_params(pick)


def _strip(bits: np.ndarray, first: int, chosen: str) -> alt.LayerChart:
    """The code of each frame as a row of digits, those that are new lit; `first` units are the first layer's."""
    new = np.diff(bits, axis=0, prepend=bits[:1]) != 0
    row = pd.DataFrame(
        [(k, u, bits[k, u], int(new[k, u])) for k, u in np.ndindex(*bits.shape)],
        columns=["frame", "unit", "bit", "new"],
    )
    places = alt.Scale(domain=[*range(first), "", *range(first, bits.shape[1])])
    base = alt.Chart(row).transform_filter(chosen).encode(x=alt.X("unit:O", axis=None, scale=places))
    lit = alt.condition("datum.new == 1", alt.value(LIT), alt.value(PALE[0]))
    digits = base.mark_text(fontSize=14, fontWeight="bold", color=DARK).encode(text="bit:Q")
    return alt.layer(base.mark_rect(stroke="#ffffff").encode(fill=lit), digits)


def _slider(frames: Sequence[float], label: str, start: int) -> tuple[alt.Parameter, str]:
    """A slider over evenly spaced values, and the condition that picks its rows."""
    name = "".join(letter for letter in label if letter.isalpha())
    step = round(frames[1] - frames[0], 6)
    bound = alt.binding_range(min=frames[0], max=frames[-1], step=step, name=label)
    return alt.param(name=name, value=frames[start], bind=bound), f"abs(datum.frame - {name}) < 1e-4"


def _at(table: pd.DataFrame, chosen: str | None) -> alt.Chart:
    """The rows that the slider picks, placed in the square."""
    scale, axis = alt.Scale(domain=[-1, 1], nice=False), alt.Axis(values=[-1, 0, 1], format="d", grid=False)
    chart = alt.Chart(table).transform_filter(chosen) if chosen else alt.Chart(table)
    return chart.encode(
        x=alt.X("x:Q", title=None, scale=scale, axis=axis), y=alt.Y("y:Q", title=None, scale=scale, axis=axis)
    )


def _loops(table: pd.DataFrame, chosen: str | None) -> alt.Chart:
    mark = _at(table, chosen).mark_line(interpolate="linear-closed", stroke="#ffffff", strokeWidth=1)
    return mark.encode(detail="region:N", order="order:Q")


def _named(
    edges: pd.DataFrame, places: pd.DataFrame, chosen: str | None, legend: alt.Legend | None
) -> list[alt.Chart]:
    """The neurons' zero lines, each in its colour, and the codes with a digit in the colour of each neuron."""
    count = sum(column.startswith("bit") for column in places)
    colours = alt.Scale(domain=[f"neuron {k + 1}" for k in range(count)], range=list(NEURONS[:count]))
    lines = _lines(edges, chosen, 3).encode(stroke=alt.Stroke("neuron:N", scale=colours, legend=legend))
    digits = [
        _at(places, chosen)
        .mark_text(fontSize=17, fontWeight="bold", color=NEURONS[k], dx=11 * (k - (count - 1) / 2))
        .encode(text=f"bit{k + 1}:Q")
        for k in range(count)
    ]
    return [lines, *digits]


def _sided(table: pd.DataFrame, chosen: str | None) -> alt.Chart:
    scale = alt.Scale(domain=[0, 1], range=list(PALE_SIDES))
    fill = alt.Fill("side:N", scale=scale, legend=None)
    return _loops(table, chosen).encode(fill=fill, strokeWidth=alt.value(0))


def _lines(table: pd.DataFrame, chosen: str | None, width: float) -> alt.Chart:
    mark = _at(table, chosen).mark_line(strokeWidth=width, strokeCap="round")
    return mark.encode(detail="region:N", order="order:Q")


def _dots(table: pd.DataFrame, chosen: str) -> alt.Chart:
    return _at(table, chosen).mark_circle(size=110, opacity=1, color=DARK, stroke="#ffffff", strokeWidth=1.5)


def _words(frames: Sequence[float], words: Sequence[str], chosen: str) -> alt.Chart:
    """What is written above the square."""
    table = pd.DataFrame({"frame": frames, "words": words})
    mark = alt.Chart(table).transform_filter(chosen).mark_text(align="left", fontSize=13, fontWeight=600)
    return mark.encode(text="words:N", x=alt.value(0), y=alt.value(-10))
