"""What a path through activation space crosses: its pieces and the boundaries between them."""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike

from splinelab.codes import SplineCodes
from splinelab.polytopes.geometry.path_mesh import PathMesh


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

    def at(self, t: ArrayLike) -> np.ndarray:
        """The points of the space at coordinates `t`, points × its shape."""
        t = np.atleast_1d(np.asarray(t, np.float64))
        first = np.clip(t.astype(int), 0, len(self.waypoints) - 2)
        share = (t - first).reshape(-1, *[1] * (self.waypoints.ndim - 1))
        return self.waypoints[first] * (1 - share) + self.waypoints[first + 1] * share

    def output_at(self, t: np.ndarray | float) -> np.ndarray:
        """The network's output at coordinates `t`, points × outputs."""
        return np.stack([np.interp(t, self.t, column) for column in self.outputs.T], axis=-1)

    def density(self, edges: np.ndarray) -> np.ndarray:
        """Unit flips per unit of length between neighbouring coordinates of `edges` (ascending)."""
        legs = np.linalg.norm(np.diff(self.waypoints, axis=0).reshape(len(self.waypoints) - 1, -1), axis=1)
        run = np.interp(edges, np.arange(len(self.waypoints)), np.concatenate([[0.0], np.cumsum(legs)]))
        return np.histogram(self.crossing_t, edges)[0] / np.diff(run)

    def class_changes(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the largest output changes, exactly: coordinates, ascending, and the classes in between,
        one more than there are changes."""
        line = PathMesh(self.t, np.arange(len(self)), np.arange(1, len(self) + 1))
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


@dataclass
class Part:
    """A stretch of one leg of a path, traced: its knots, and what holds between them."""

    t: np.ndarray
    codes: SplineCodes
    winners: np.ndarray
    outputs: np.ndarray
    values: dict


def joined(points: torch.Tensor, parts: list[Part]) -> Path:
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
