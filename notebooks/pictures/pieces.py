"""How a net with two inputs cuts the square from −1 to 1: tables of its pieces, for the pictures to draw.

A table of loops or lines has one row for each corner: `region` (a number), `order` (0, 1, … along it), `x`, `y`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import nn

from splinelab import SplineCodes, polytopes, record

__all__ = ["boundaries", "corners", "cut", "framed", "labels", "loops", "names", "net", "outputs", "sides"]

ROOM = 0.02  # of the square's area of 4


def net(*layers: torch.Tensor) -> nn.Sequential:
    """A float64 ReLU net from its weights and biases: W1, b1, W2, b2, …; it ends with a linear layer."""
    modules: list[nn.Module] = []
    for weight, bias in zip(layers[::2], layers[1::2], strict=True):
        linear = nn.Linear(weight.shape[1], weight.shape[0]).double()
        linear.load_state_dict({"weight": weight, "bias": bias})
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1]).eval()


def cut(model: nn.Module) -> polytopes.Plane:
    """All pieces of the square, exactly."""
    return polytopes.plane(model, [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], margin=0)


def names(codes: SplineCodes) -> list[str]:
    """Each code as a string of 0 and 1."""
    return ["".join(map(str, bits)) for bits in codes.bits()]


def loops(paths: Sequence[np.ndarray]) -> pd.DataFrame:
    """The table of some polygons or lines, each an array of corners × 2."""
    rows = [
        (region, order, *corner) for region, path in enumerate(paths) for order, corner in enumerate(path)
    ]
    return pd.DataFrame(rows, columns=["region", "order", "x", "y"])


def corners(pieces: polytopes.Plane) -> pd.DataFrame:
    """The pieces as a table of loops, with the column code."""
    table = loops([pieces.to_space(polygon) for polygon in pieces.polygons])
    return table.assign(code=np.array(names(pieces.codes))[table["region"]])


def labels(pieces: polytopes.Plane) -> pd.DataFrame:
    """Where the codes are written: x and y of each piece's middle, and columns bit1, bit2, …; tiny pieces
    have no room for theirs."""
    table = pd.DataFrame(pieces.to_space(pieces.centroids), columns=["x", "y"])
    table = table.assign(**{f"bit{k + 1}": bits for k, bits in enumerate(pieces.codes.bits().T)})
    return table[pieces.areas > ROOM]


def boundaries(model: nn.Module, pieces: polytopes.Plane) -> pd.DataFrame:
    """The edges along which a neuron's value is zero, as a table of lines with the columns layer and neuron."""
    places = pieces.to_space(pieces.vertices)
    following = np.arange(1, len(places) + 1)
    following[pieces.starts[1:] - 1] = pieces.starts[:-1]
    edges = {}
    for layer, values in enumerate(record(model, places).pre.values(), start=1):
        zero = np.abs(values) < 1e-6  # recordings are float32
        for corner, neuron in np.argwhere(zero & zero[following]):
            ends = places[[corner, following[corner]]].round(9) + 0.0
            edges[(*sorted(map(tuple, ends)), f"layer {layer}", f"neuron {neuron + 1}")] = ends  # once a side
    table = loops(list(edges.values()))
    layer, neuron = np.array([key[2:] for key in edges]).reshape(-1, 2)[table["region"]].T
    return table.assign(layer=layer, neuron=neuron)


def outputs(pieces: polytopes.Plane, region: int, points: np.ndarray) -> np.ndarray:
    """What the affine map of one piece gives at points of the square, on the piece or beyond it."""
    places = (np.asarray(points) - pieces.frame.origin) @ pieces.frame.axes.T
    return pieces.outputs_of(np.full(len(places), region), places)


def sides(pieces: polytopes.Plane) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The pieces of a net with two outputs, parted where these are equal: loops with the column side (the
    number of the larger output), and the decision line."""
    parts, winners, line = [], [], []
    for region, polygon in enumerate(pieces.polygons):
        places = pieces.to_space(polygon)
        lead = outputs(pieces, region, places) @ [-1, 1]
        for winner, ahead in enumerate((-lead, lead)):
            if (ahead > 0).any():
                parts.append(_where_positive(places, ahead))
                winners.append(winner)
        if lead.min() < 0 < lead.max():
            part = parts[-1]
            line.append(part[[tuple(corner) not in set(map(tuple, places)) for corner in part]])
    table = loops(parts)
    return table.assign(side=np.array(winners)[table["region"]]), loops(line)


def _where_positive(polygon: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The part of a convex polygon where a function that is affine on it is not negative."""
    kept = []
    for k, (corner, value) in enumerate(zip(polygon, values, strict=True)):
        if value >= 0:
            kept.append(corner)
        after = (k + 1) % len(polygon)
        if value * values[after] < 0:
            kept.append(corner + (polygon[after] - corner) * value / (value - values[after]))
    return np.array(kept)


def framed(frames: Mapping[float, pd.DataFrame]) -> pd.DataFrame:
    """The tables of a slider's frames as one, with the column frame."""
    return pd.concat([table.assign(frame=frame) for frame, table in frames.items()], ignore_index=True)
