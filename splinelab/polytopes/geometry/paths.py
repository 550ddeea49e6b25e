"""Exact polytope boundaries on straight segments and on paths made of them."""

from collections import deque
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from splinelab.codes import SplineCodes
from splinelab.errors import InputError
from splinelab.polytopes.geometry import checks, trace
from splinelab.polytopes.geometry.exact import home
from splinelab.polytopes.geometry.mesh import TooMany, rows_that_fit
from splinelab.polytopes.geometry.path_mesh import PathMesh
from splinelab.polytopes.geometry.path_result import Part, Path, joined
from splinelab.polytopes.geometry.points import stacked

POINTS = "The points of a path"


def segment(
    model: nn.Module, start: ArrayLike, end: ArrayLike, *, layer: str | None = None, **options: Any
) -> Path:
    """All polytope boundaries on the straight segment between two points, in one forward pass.

    `start` and `end` are two inputs of the model. With `layer`, the segment joins their activations at that
    layer, and the codes are those from there to the output. Options as in `paths`.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(1, 2), nn.ReLU()).eval()
    >>> _ = net[0].weight.data.fill_(1.0), net[0].bias.data.copy_(torch.tensor([-0.25, -0.5]))
    >>> segment(net, [0.0], [1.0]).t
    array([0.  , 0.25, 0.5 , 1.  ])
    """
    return path(model, stacked([start, end], POINTS, tokens=layer is not None), layer=layer, **options)


def path(model: nn.Module, waypoints: Any, *, layer: str | None = None, **options: Any) -> Path:
    """All polytope boundaries on one path through `waypoints`; see `paths`."""
    return paths(model, [waypoints], layer=layer, **options)[0]


def paths(
    model: nn.Module,
    waypoints: Iterable,
    *,
    layer: str | None = None,
    device: str | torch.device | None = None,
    memory: float = 1e9,
    values: bool = False,
    verify: bool = False,
) -> list[Path]:
    """All polytope boundaries on paths through activation space, exact up to float64 rounding.

    A one-pass form of the traversal of Rolnick and Kording (2020) and Hanin and Rolnick (2019), for
    networks of linear and convolutional layers, residual sums, concatenation, batch norm, max- and
    average-pooling and piecewise-linear activations, called as modules, functions or methods.

    Parameters
    ----------
    model : in evaluation mode; it runs as a float64 copy and stays as it is.
    waypoints : one array for each path, at least two points × the shape of the space, consecutive ones
        distinct. With `layer` they are inputs of the model, and their activations there are joined. To walk
        through activations of your own making, pass `Rest(model, layer, example)` as the model.
    device : where to run; None means where the model lies.
    memory : bytes that a traversal may take, roughly; longer paths are traced in parts.
    values : keep the pre-activations at `t` in `Path.values`, by layer.
    verify : compare output and code in the middle of every piece with the network. Without it this is done
        at some pieces, one in 16 but 8 at least and 64 at most over all paths: the longest, some short ones,
        others at random.

    Raises
    ------
    InputError : points that are not finite, equal or of the wrong shape, an unknown layer, or a model in
        training mode.
    UnsupportedOperationError : an operation that is not piecewise linear.
    VerificationError : the result and the network part by more than 1e-12 of the largest output, or the
        float64 copy and the model itself by more than rounding.
    """
    given = [stacked(points, POINTS, tokens=layer is not None) for points in waypoints]
    _check_paths(given)
    exact, given = checks.begin(model, given, POINTS, layer=layer, device=device)
    _check_paths(given)
    parts = [(number, leg, 0.0, 1.0) for number, points in enumerate(given) for leg in range(len(points) - 1)]
    found: list[list[Part]] = [[] for _ in given]
    max_rows = _rows_that_fit(exact, given[0], memory)
    todo, size = deque(parts), 8
    while todo:
        batch = [todo.popleft() for _ in range(min(size, len(todo)))]
        try:
            traced, rows = _trace(exact, given, batch, max_rows, values)
        except TooMany:
            todo.extendleft(reversed(batch if len(batch) > 1 else _halves(*batch[0])))
            size = max(1, len(batch) // 2)
            continue
        for (number, *_), part in zip(batch, traced, strict=True):
            found[number].append(part)
        size = max(1, min(4 * size, int(0.7 * max_rows * len(batch) / rows)))
    results = [joined(points, pieces) for points, pieces in zip(given, found, strict=True)]
    _verify(exact, results, everywhere=verify)
    return results


def _check_paths(given: list[torch.Tensor]) -> None:
    if not given:
        raise InputError("No path was given: expected at least one, of two points or more.")
    for points in given:
        if points.ndim < 2 or len(points) < 2:
            raise InputError(
                f"A path has the shape {tuple(points.shape)}; expected points × the model's input."
            )
        same = (points[1:] == points[:-1]).flatten(1).all(dim=1)
        if same.any():
            first = int(same.nonzero()[0])
            raise InputError(
                f"Points {first} and {first + 1} of a path are identical: a segment of length zero has no "
                "direction. Leave one of them out."
            )


def _halves(number: int, leg: int, low: float, high: float) -> list[tuple]:
    """A stretch that was too long for memory, in two."""
    middle = (low + high) / 2
    return [(number, leg, low, middle), (number, leg, middle, high)]


def _rows_that_fit(exact, points: torch.Tensor, memory: float) -> int:
    """How many vertices may be traced at once, from the widest layer that one point meets."""
    probe = PathMesh([0.0, 1.0], [0], [1])
    trace.run(exact, probe, points[:1].repeat(2, *[1] * (points.ndim - 1)).to(home(exact)))
    return rows_that_fit(probe.widest, memory)


def _trace(exact, given, batch, max_rows, values) -> tuple[list[Part], int]:
    """Trace some stretches at once; returns them and the number of vertices that they needed."""
    ends = torch.stack(
        [
            torch.lerp(given[number][leg], given[number][leg + 1], share)
            for number, leg, low, high in batch
            for share in (low, high)
        ]
    )
    t = np.array([leg + share for _, leg, low, high in batch for share in (low, high)])
    index = np.arange(0, len(t), 2)
    line = PathMesh(t, index, index + 1, max_rows)
    kept: dict | None = {} if values else None
    outputs = trace.run(exact, line, ends.to(home(exact)), values=kept).reshape(line.rows, -1).cpu().numpy()
    codes, none = line.codes(), np.zeros((line.cells, 0), np.uint8)
    winners = np.concatenate([none, *line.winners().values()], axis=1)
    owner, t = line.ancestors(len(batch)), line.points[:, 0]
    order = np.lexsort((t[line.left], owner))
    bounds = np.searchsorted(owner[order], np.arange(len(batch) + 1))
    parts = []
    for first, stop in pairwise(bounds):
        cells = order[first:stop]
        knots = np.append(line.left[cells], line.right[cells[-1]])
        at_knots = {name: z[knots].cpu().numpy() for name, z in (kept or {}).items()}
        parts.append(Part(t[knots], codes[cells], winners[cells], outputs[knots], at_knots))
    return parts, line.rows


def _verify(exact: nn.Module, results: list[Path], *, everywhere: bool) -> None:
    """Compare the middles of pieces, of all paths together, with the network."""
    lengths = np.concatenate([np.diff(result.t) for result in results])
    chosen = np.arange(len(lengths)) if everywhere else checks.places(lengths)
    starts = np.cumsum([0, *map(len, results)])
    owner = np.searchsorted(starts, chosen, side="right") - 1
    points, ours, codes, labels = [], [], [], []
    for number in np.unique(owner):
        result, pieces = results[number], chosen[owner == number] - starts[number]
        middles = (result.t[pieces] + result.t[pieces + 1]) / 2
        points.append(result.at(middles))
        ours.append(result.output_at(middles))
        codes.append(result.codes[pieces])
        path = f" of path {number}" if len(results) > 1 else ""
        labels += [f"At t = {t:.12g}{path}, inside piece {p}" for t, p in zip(middles, pieces, strict=True)]
    checks.verify(
        exact,
        np.concatenate(points),
        np.concatenate(ours),
        SplineCodes.concat(codes),
        max(np.abs(result.outputs).max() for result in results),
        labels.__getitem__,
    )
