"""A subdivision of a path or a slice that a network refines layer by layer.

The rows of a batch are the vertices of the subdivision. Between neighbouring vertices everything that the
network has computed so far is affine, so a new vertex is an affine combination of two older ones, in every
tensor at once. Rows are only ever appended: the number of rows of a tensor says which vertices it knows, and
`extend` brings it up to date. That is how a residual connection meets a newer tensor.
"""

from collections.abc import Iterator

import numpy as np
import torch

from splinelab.codes import SplineCodes, join_packed
from splinelab.errors import InputError
from splinelab.polytopes.geometry.tolerances import SNAP

CHUNK = 1 << 22  # numbers handled at once where cells × units would not fit
COPIES = 8  # how many tensors of a layer a traversal holds at the same time, roughly


class TooMany(Exception):
    """More vertices than the caller allowed: split the domain and go on with its parts."""


class Mesh:
    """Vertices, cells and the codes of the cells. `PathMesh` and `SliceMesh` say what a cell is.

    `points`: float64, vertices × 1 or 2, the vertices' coordinates in the path or slice. `max_rows`: more
    vertices raise `TooMany`. Cells are numbered in the order of their making: when a cell is split, one part
    keeps its number, the others get new ones and remember it as their parent.
    """

    def __init__(self, points: np.ndarray, cells: int, max_rows: int | None = None):
        self.points = np.asarray(points, np.float64)
        self.first_cells = self.cells = cells
        self.max_rows = max_rows
        self.parents: list[np.ndarray] = []  # one array for each time that cells were split
        self.blocks: list[tuple[int, torch.Tensor, torch.Tensor, torch.Tensor]] = []
        self.layers: dict[str, tuple[int, np.ndarray]] = {}  # name → units, bits packed by cell at its time
        self.widest = 0  # the most numbers in a row that the last traversal met
        self.pools: dict[str, np.ndarray] = {}  # name → winner of each window, by cell at its time

    @property
    def rows(self) -> int:
        """The number of vertices."""
        return len(self.points)

    # What the traversal calls

    def extend(self, rows: torch.Tensor, target: int | None = None) -> torch.Tensor:
        """A tensor with a row for each vertex (or for the first `target`), made from one that knows fewer."""
        known, target = len(rows), target or self.rows
        if known == target:
            return rows
        whole = rows.new_empty((target, *rows.shape[1:]))
        whole[:known] = rows
        for first, a, b, weight in self.blocks:
            if known <= first < target:
                shape = (-1, *[1] * (rows.ndim - 1))
                share = weight.to(rows).view(shape)
                whole[first : first + len(a)] = torch.lerp(whole[a], whole[b], share)
        return whole

    def cut(self, values: torch.Tensor, name: str) -> None:
        """Split the cells where a unit (a column of `values`, rows × units) changes its sign, and store the
        bit of each unit in each cell under `name`."""
        raise NotImplementedError

    def cut_pool(self, values: torch.Tensor, name: str) -> None:
        """Split the cells where another member of a window (`values`: rows × windows × members) becomes the
        largest, and store the number of the winner of each window in each cell under `name`."""
        raise NotImplementedError

    # What they share

    def insert(self, a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> None:
        """Append the vertices (1 − weight) · a + weight · b."""
        if not len(a):
            return
        if self.max_rows is not None and self.rows + len(a) > self.max_rows:
            raise TooMany(f"{self.rows + len(a):,} vertices, {self.max_rows:,} allowed")
        first = self.rows
        share = torch.as_tensor(weight, dtype=torch.float64)
        self.blocks.append((first, torch.as_tensor(a), torch.as_tensor(b), share))
        old, other = (torch.from_numpy(self.points[ends]) for ends in (a, b))
        new = torch.lerp(old, other, share[:, None])
        self.points = np.concatenate([self.points, new.numpy()])

    def add_cells(self, parents: np.ndarray) -> None:
        """Number new cells; `parents` are those that they were split from."""
        self.parents.append(parents)
        self.cells += len(parents)

    def ancestors(self, cells: int) -> np.ndarray:
        """For each cell of today the one that it was part of when there were only `cells`."""
        origin = np.arange(self.cells)
        parents = np.concatenate([np.arange(self.first_cells), *self.parents])
        while (young := origin >= cells).any():
            origin[young] = parents[origin[young]]
        return origin

    def codes(self) -> SplineCodes:
        """The spline code of each cell; layers in the order of the calls."""
        if not self.layers:
            raise InputError(
                "No ReLU or other piecewise-linear activation was called: there are no polytopes. Choose a "
                "layer further ahead, or a network with such activations."
            )
        parts = [packed[self.ancestors(len(packed))] for _, packed in self.layers.values()]
        units = {name: count for name, (count, _) in self.layers.items()}
        return SplineCodes(join_packed(parts, list(units.values())), units)

    def winners(self) -> dict[str, np.ndarray]:
        """By pooling layer: which member of each window is the largest, cells × windows."""
        return {name: winner[self.ancestors(len(winner))] for name, winner in self.pools.items()}


class Uncut(Mesh):
    """Points that nothing cuts: `given` keeps what each layer and pool was given, in the order of the
    calls."""

    def __init__(self, points: int):
        super().__init__(np.zeros((points, 1)), 1)
        self.given: dict[str, torch.Tensor] = {}

    def cut(self, values: torch.Tensor, name: str) -> None:
        self.layers[name] = 0, np.zeros(0)
        self.given[name] = values.clone()  # what follows may work in place

    def cut_pool(self, values: torch.Tensor, name: str) -> None:
        self.pools[name] = np.zeros(0)
        self.given[name] = values


def rows_that_fit(width: int, memory: float) -> int:
    """How many vertices a traversal may have in so many bytes, if the widest layer takes `width` numbers."""
    return max(64, int(memory / (8 * COPIES * width)))


def chunks(count: int, width: int) -> Iterator[slice]:
    """Slices of `count` rows of `width` numbers, each at most `CHUNK` numbers."""
    step = max(1, CHUNK // max(1, width))
    return (slice(first, min(first + step, count)) for first in range(0, count, step))


def rounding(values: torch.Tensor) -> torch.Tensor:
    """Below which size a value of each unit (rows × units) counts as zero. A unit that is rounding noise
    throughout, against the largest of its layer, has no boundary at all."""
    largest = values.abs().amax(dim=0)
    return SNAP * largest.clamp(min=0.01 * largest.amax().item() if largest.numel() else 0.0)
