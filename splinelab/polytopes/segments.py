"""Exact polytope boundaries on straight segments and on paths made of them."""

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from splinelab.codes import SplineCodes
from splinelab.errors import InputError, VerificationError
from splinelab.polytopes import trace
from splinelab.polytopes.line import Line
from splinelab.polytopes.mesh import TooMany
from splinelab.polytopes.rest import Rest
from splinelab.polytopes.tolerances import EXACT

__all__ = ["Path", "path", "paths", "segment"]

COPIES = 8  # how many tensors of the widest layer a traversal holds at the same time, roughly


@dataclass(frozen=True, eq=False, repr=False)
class Path:
    """What a path crosses.

    Attributes
    ----------
    waypoints : float64, points × the shape of the space; the path runs straight from each to the next.
    t : float64, pieces + 1. Where the pieces begin and end: 0 at the first waypoint, 1 at the second, …
    codes : SplineCodes, pieces × units: inside each piece the network is affine.
    outputs : float64, (pieces + 1) × outputs, at `t`; in between they are interpolated linearly, exactly.
    crossing_t, crossing_layer, crossing_unit, crossing_on : one entry for each unit that a boundary flips:
        where, in which layer (an index into `list(codes.layers)`), which unit of that layer, and whether it
        is on behind the boundary.
    pool_crossings : float64, where a max-pooling changes its winner, one entry for each window.
    """

    waypoints: np.ndarray
    t: np.ndarray
    codes: SplineCodes
    outputs: np.ndarray
    crossing_t: np.ndarray
    crossing_layer: np.ndarray
    crossing_unit: np.ndarray
    crossing_on: np.ndarray
    pool_crossings: np.ndarray
    values: dict = field(default_factory=dict)

    @property
    def crossings(self) -> int:
        """How many unit flips the path meets: the length of its way through code space."""
        return len(self.crossing_t)

    @property
    def boundaries(self) -> np.ndarray:
        """The distinct places where the code or a pooling winner changes, ascending."""
        return np.unique(np.concatenate([self.crossing_t, self.pool_crossings]))

    @property
    def regions(self) -> int:
        """The number of polytopes that the path passes through, repeated visits counted again."""
        return len(self.boundaries) + 1

    def at(self, t) -> np.ndarray:
        """The points of the space at coordinates `t`, points × its shape."""
        t = np.atleast_1d(np.asarray(t, np.float64))
        first = np.clip(t.astype(int), 0, len(self.waypoints) - 2)
        share = (t - first).reshape(-1, *[1] * (self.waypoints.ndim - 1))
        return self.waypoints[first] * (1 - share) + self.waypoints[first + 1] * share

    def output_at(self, t) -> np.ndarray:
        """The network's output at coordinates `t`, points × outputs."""
        return np.stack([np.interp(t, self.t, column) for column in self.outputs.T], axis=-1)

    def density(self, edges) -> np.ndarray:
        """Unit flips per unit of length between neighbouring coordinates of `edges` (ascending)."""
        legs = np.linalg.norm(np.diff(self.waypoints, axis=0).reshape(len(self.waypoints) - 1, -1), axis=1)
        run = np.interp(edges, np.arange(len(self.waypoints)), np.concatenate([[0.0], np.cumsum(legs)]))
        return np.histogram(self.crossing_t, edges)[0] / np.diff(run)

    def class_changes(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the largest output changes, exactly: coordinates, ascending, and the classes in between,
        one more than there are changes."""
        line = Line(self.t, np.arange(len(self)), np.arange(1, len(self) + 1))
        line.cut_pool(torch.from_numpy(self.outputs)[:, None], "class")
        order = np.argsort(line.points[line.left, 0])
        winner = line.winners()["class"][order, 0].astype(int)
        start = line.points[line.left[order], 0]
        new = np.flatnonzero(winner[1:] != winner[:-1]) + 1
        return start[new], winner[np.concatenate([[0], new])]

    def __len__(self) -> int:
        return len(self.t) - 1

    def __repr__(self) -> str:
        return (
            f"Path({len(self.waypoints)} waypoints, {self.regions:,} regions, {self.crossings:,} unit flips)"
        )


def segment(model: nn.Module, start, end, *, layer: str | None = None, **options) -> Path:
    """All polytope boundaries on the straight segment between two points, in one forward pass.

    `start` and `end` are two inputs of the model. With `layer`, the segment joins their activations at that
    layer, and the codes are those from there to the output. Options as in `paths`.

    >>> net = nn.Sequential(nn.Linear(1, 2), nn.ReLU()).eval()
    >>> _ = net[0].weight.data.fill_(1.0), net[0].bias.data.copy_(torch.tensor([-0.25, -0.5]))
    >>> segment(net, [0.0], [1.0]).t
    array([0.  , 0.25, 0.5 , 1.  ])
    """
    return path(model, _stacked([start, end], tokens=layer is not None), layer=layer, **options)


def path(model: nn.Module, waypoints, *, layer: str | None = None, **options) -> Path:
    """All polytope boundaries on one path through `waypoints`; see `paths`."""
    return paths(model, [waypoints], layer=layer, **options)[0]


def paths(
    model: nn.Module,
    waypoints,
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
    verify : compare the middle of every piece with the network; raises `VerificationError` if they differ
        by more than 1e-12 of the largest output.

    Raises `InputError` for points that are not finite, equal or of the wrong shape, an unknown layer and a
    model in training mode; `UnsupportedOperationError` for an operation that is not piecewise linear.
    """
    given = [_stacked(points, tokens=layer is not None) for points in waypoints]
    _check_points(given)
    if layer is not None:
        rest = Rest(trace.exact_copy(model, device), layer, given[0])
        given = [rest.activations(points).cpu() for points in given]
        _check_points(given)
        model = rest
    exact = trace.exact_copy(model, device)
    home = next((p.device for p in exact.parameters()), torch.device("cpu"))
    parts = [(number, leg, 0.0, 1.0) for number, points in enumerate(given) for leg in range(len(points) - 1)]
    found: list[list[_Part]] = [[] for _ in given]
    max_rows = _rows_that_fit(exact, given[0], memory, home)
    todo, size = deque(parts), 8
    while todo:
        batch = [todo.popleft() for _ in range(min(size, len(todo)))]
        try:
            traced, rows = _trace(exact, given, batch, max_rows, home, values)
        except TooMany:
            todo.extendleft(reversed(batch if len(batch) > 1 else _halves(*batch[0])))
            size = max(1, len(batch) // 2)
            continue
        for (number, *_), part in zip(batch, traced, strict=True):
            found[number].append(part)
        size = max(1, min(4 * size, int(0.7 * max_rows * len(batch) / rows)))
    results = [_joined(points, pieces) for points, pieces in zip(given, found, strict=True)]
    if verify:
        for result in results:
            _verify(exact, result, home)
    return results


@dataclass
class _Part:
    """A stretch of one leg of a path, traced: its knots, and what holds between them."""

    t: np.ndarray
    codes: SplineCodes
    winners: np.ndarray
    outputs: np.ndarray
    values: dict


def _stacked(points, *, tokens: bool = False) -> torch.Tensor:
    points = getattr(points, "images", points)
    if not torch.is_tensor(points):
        points = [point.detach().cpu() if torch.is_tensor(point) else point for point in points]
        try:
            points = torch.as_tensor(np.stack([np.asarray(point) for point in points]))
        except (ValueError, TypeError) as error:
            raise InputError(f"The points of a path must have one shape ({error}).") from error
    points = points.detach().cpu()
    return points if tokens and not points.is_floating_point() else points.to(torch.float64)


def _check_points(given: list[torch.Tensor]) -> None:
    if not given:
        raise InputError("No path was given: expected at least one, of two points or more.")
    for points in given:
        if points.ndim < 2 or len(points) < 2:
            raise InputError(
                f"A path has the shape {tuple(points.shape)}; expected points × the model's input."
            )
        if not torch.isfinite(points).all():
            raise InputError("A path's points hold NaN or infinite values; expected finite numbers.")
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


def _rows_that_fit(exact, points: torch.Tensor, memory: float, home) -> int:
    """How many vertices may be traced at once, from the widest layer that one point meets."""
    probe = Line([0.0, 1.0], [0], [1])
    trace.run(exact, probe, points[:1].repeat(2, *[1] * (points.ndim - 1)).to(home))
    return max(64, int(memory / (8 * COPIES * probe.widest)))


def _trace(exact, given, batch, max_rows, home, values) -> tuple[list[_Part], int]:
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
    line = Line(t, index, index + 1, max_rows)
    kept: dict | None = {} if values else None
    outputs = trace.run(exact, line, ends.to(home), values=kept).flatten(1).cpu().numpy()
    codes, winners = line.codes(), list(line.winners().values())
    winners = np.concatenate(winners, axis=1) if winners else np.zeros((line.cells, 0), np.uint8)
    owner, t = line.ancestors(len(batch)), line.points[:, 0]
    order = np.lexsort((t[line.left], owner))
    bounds = np.searchsorted(owner[order], np.arange(len(batch) + 1))
    parts = []
    for first, stop in pairwise(bounds):
        cells = order[first:stop]
        knots = np.append(line.left[cells], line.right[cells[-1]])
        at_knots = {name: z[knots].cpu().numpy() for name, z in (kept or {}).items()}
        parts.append(_Part(t[knots], codes[cells], winners[cells], outputs[knots], at_knots))
    return parts, line.rows


def _joined(points: torch.Tensor, parts: list[_Part]) -> Path:
    """Put the stretches of a path together and list what its boundaries flip."""
    parts = sorted(parts, key=lambda part: part.t[0])
    codes = SplineCodes.concat([part.codes for part in parts])
    winners = np.concatenate([part.winners for part in parts])
    last = parts[-1]

    def knots(take) -> np.ndarray:
        return np.concatenate([*(take(part)[:-1] for part in parts), take(last)[-1:]])

    t = knots(lambda part: part.t)
    changed = codes.packed[1:] ^ codes.packed[:-1]
    piece, byte = np.nonzero(changed)
    flips = np.unpackbits(changed[piece, byte][:, None], axis=1)
    row, bit = np.nonzero(flips)
    piece, column = piece[row], 8 * byte[row] + bit
    starts = np.cumsum([0, *codes.layers.values()])
    layer = np.searchsorted(starts, column, side="right") - 1
    on = (codes.packed[piece + 1, column // 8] >> (7 - column % 8)) & 1
    pooled = winners[1:] != winners[:-1]
    # A knot where nothing changes is where the path was cut for tracing; a waypoint bends the path.
    real = np.zeros(len(t), bool)
    real[[0, -1]] = True
    real[1:-1] = changed.any(axis=1) | pooled.any(axis=1) | (t[1:-1] == np.round(t[1:-1]))
    return Path(
        waypoints=points.numpy(),
        t=t[real],
        codes=codes[real[:-1]],
        outputs=knots(lambda part: part.outputs)[real],
        crossing_t=t[1 + piece],
        crossing_layer=layer,
        crossing_unit=column - starts[layer],
        crossing_on=on.astype(bool),
        pool_crossings=t[1 + np.nonzero(pooled)[0]],
        values={name: knots(lambda part, n=name: part.values[n])[real] for name in last.values},
    )


def _verify(exact: nn.Module, result: Path, home, batch: int = 512) -> None:
    middles = (result.t[1:] + result.t[:-1]) / 2
    scale = np.abs(result.outputs).max() or 1.0
    for first in range(0, len(middles), batch):
        t = middles[first : first + batch]
        output = trace.evaluate(exact, torch.from_numpy(result.at(t)).to(home)).cpu().numpy()
        error = np.abs(output - result.output_at(t)).max() / scale
        if not error <= EXACT:
            raise VerificationError(
                f"Between boundaries the output differs from the network's by {error:.1e} of the largest "
                f"output, {EXACT:g} allowed: some operation of the model depends on more than its input."
            )
