"""Slices: a subdivision of a convex polygon into convex polygons with shared vertices.

A cell is a loop of vertices. All cells that a layer bends in are cut at the same time, each along the first
boundary that crosses it, round after round. There are few rounds, since a boundary soon leaves most of the
parts behind. The numbers that decide are kept by loop and follow the vertices into the parts.
"""

from collections.abc import Sequence

import numpy as np
import torch

from splinelab.polytopes.geometry.mesh import CHUNK, Mesh, TooMany, chunks, rounding
from splinelab.polytopes.geometry.slice_cuts import Cut, Edges, grown
from splinelab.polytopes.geometry.tolerances import SNAP
from splinelab.recording.arrays import pack


class TooManyCells(TooMany):
    """More cells than the caller allowed: smaller parts of the domain have as many together."""


class SliceMesh(Mesh):
    """Two-dimensional cells.

    Parameters
    ----------
    points : vertices × 2, the corners of a convex polygon, counter-clockwise: the first cell.
    limits : for each of the cuts to come, the vertices of which more raise `TooMany`.
    max_cells : more cells raise `TooManyCells`.
    """

    def __init__(self, points, limits: Sequence[int] | None = None, max_cells: int | None = None):
        super().__init__(points, 1)
        self.limits = limits
        self.max_cells = max_cells
        self._loops = np.arange(self.rows, dtype=np.int32)[None].copy()
        self._lengths = np.full(1, self.rows, np.int32)

    @property
    def lengths(self) -> np.ndarray:
        """int32, the number of vertices of each cell."""
        return self._lengths[: self.cells]

    @property
    def loops(self) -> np.ndarray:
        """int32, cells × longest loop: each cell's vertices counter-clockwise, filled up with the first."""
        return self._loops[: self.cells, : self.lengths.max()]

    # What the traversal calls

    def cut(self, values: torch.Tensor, name: str) -> None:
        z = values.reshape(len(values), -1)
        units, tiny = z.shape[1], rounding(z)
        sides = np.stack([pack(z > tiny), pack(z < -tiny)], axis=1)
        refinement = _Refinement(self, z[..., None], _Kinks(tiny.cpu().numpy()))
        for cells in chunks(self.cells, units):
            above, below = self._over_vertices(sides, cells, np.bitwise_or).swapaxes(0, 1)
            crossed = np.unpackbits(above & below, axis=1, count=units)
            refinement.run(cells, np.unpackbits(above, axis=1, count=units), crossed)
        self.layers[name] = (units, np.packbits(refinement.answers[: self.cells], axis=1))

    def cut_pool(self, values: torch.Tensor, name: str) -> None:
        windows, members = values.shape[1:]
        low, high = torch.aminmax(values)
        tiny = SNAP * max(-low.item(), high.item())
        near = pack((values >= values.amax(dim=2, keepdim=True) - tiny).flatten(1))
        refinement = _Refinement(self, values, _Windows(tiny, members))
        for cells in chunks(self.cells, windows * members):
            serves = self._over_vertices(near, cells, np.bitwise_and)
            serves = np.unpackbits(serves, axis=1, count=windows * members).reshape(-1, windows, members)
            refinement.run(cells, serves.argmax(axis=2), serves.max(axis=2) == 0)
        self.pools[name] = refinement.answers[: self.cells].copy()

    def _over_vertices(self, flags: np.ndarray, cells: slice, combine) -> np.ndarray:
        """The flags (vertices × bytes) of each cell's vertices, combined."""
        loops, lengths = self._loops[cells], self._lengths[cells]
        found = flags[loops[:, 0]]
        for place in range(1, lengths.max()):
            longer = (lengths > place).nonzero()[0]
            found[longer] = combine(found[longer], flags[loops[longer, place]])
        return found

    # What refinements call

    def some_loops(self, cells: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        """The loops of some cells, cut off at `width`, and their lengths."""
        return self._loops[cells, :width], self._lengths[cells]

    def split(self, cells: np.ndarray, loops: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Replace each of the cells by two parts; returns the numbers of all parts.

        `loops` and `lengths` hold the first part of every cell, which keeps its number, then the second.
        """
        first, count = self.cells, len(cells)
        if self.max_cells is not None and first + count > self.max_cells:
            raise TooManyCells(f"{first + count:,} cells, {self.max_cells:,} allowed")
        if loops.shape[1] > self._loops.shape[1]:
            wider = loops.shape[1] - self._loops.shape[1]
            self._loops = np.hstack([self._loops, np.repeat(self._loops[:, :1], wider, axis=1)])
        self._loops = grown(self._loops, first + count)
        self._lengths = grown(self._lengths, first + count)
        self.add_cells(cells)
        parts = np.concatenate([cells, np.arange(first, first + count)])
        self._loops[parts] = loops[:, :1]
        self._loops[parts, : loops.shape[1]] = loops
        self._lengths[parts] = lengths
        return parts


class _Refinement:
    """Cuts the cells of a sheet for the units of one layer.

    `values`: vertices × units × members. The rule says which units are open in a cell, what their answer is
    otherwise, and along which boundary to cut the cell for an open one.
    """

    def __init__(self, sheet: SliceMesh, values: torch.Tensor, rule):
        if sheet.limits:
            sheet.max_rows = sheet.limits[len(sheet.layers) + len(sheet.pools)]
        self.sheet, self.values, self.rule = sheet, values, rule
        self.answers = np.empty((sheet.cells, values.shape[1]), np.min_scalar_type(values.shape[2]))
        self.edges = Edges(sheet)
        # Neighbouring units have similar boundaries; in a random order they shrink the parts sooner. Every
        # cell keeps to the same order, so that the two sides of an edge cut it at the same vertices.
        self.order = np.random.default_rng(0).permutation(values.shape[1])

    def run(self, cells: slice, answers: np.ndarray, is_open: np.ndarray) -> None:
        """Cut some cells, given what holds before: both cells × units."""
        self.answers[cells] = answers
        cell, unit = is_open[:, self.order].nonzero()
        cell, unit = cell + cells.start, self.order[unit]
        if not len(cell):
            return
        loops = self.sheet.some_loops(cell, self.sheet.lengths[cell].max())[0]
        values = self.values[torch.from_numpy(loops).long(), torch.from_numpy(unit)[:, None]].cpu().numpy()
        work = [self._settled(cell, unit, values)]
        while work:
            cell, unit, values = work.pop()
            if values.size > CHUNK and cell[0] < cell[-1]:  # by cells: the units of one stay together
                half = np.searchsorted(cell, cell[0] + 1 + (cell[-1] - cell[0]) // 2)
                work.append((cell[half:], unit[half:], values[half:]))
                cell, unit, values = cell[:half], unit[:half], values[:half]
            if len(cell):
                work.append(self._halve(cell, unit, values))

    def _halve(self, cell: np.ndarray, unit: np.ndarray, values: np.ndarray):
        """Cut each cell once, for its first open unit. Returns what is still open: cells (ascending),
        units, and their values at the vertices of the cell's loop, open × vertices × members."""
        lead = np.flatnonzero(np.diff(cell, prepend=-1))
        member = np.repeat(np.arange(len(lead)), np.diff(lead, append=len(cell)))  # row of the cell in `cut`
        loops, lengths = self.sheet.some_loops(cell[lead], values.shape[1])
        cut = Cut(loops, lengths, *self.rule.boundary(values[lead], unit[lead]))
        new = self.edges.vertices(*cut.edges())
        loops, lengths = cut.loops(new)
        parts = self.sheet.split(cell[lead], loops, lengths)
        self.answers = grown(self.answers, self.sheet.cells)
        self.answers[parts[len(lead) :]] = self.answers[cell[lead]]
        values = cut.follow(values, member)
        member = np.concatenate([member, member + len(lead)])
        return self._settled(parts[member], np.tile(unit, 2), values)

    def _settled(self, cell: np.ndarray, unit: np.ndarray, values: np.ndarray):
        """Note the answers of what is settled, and return what is open."""
        is_open, answer = self.rule.settle(values, unit)
        self.answers[cell[~is_open], unit[~is_open]] = answer[~is_open]
        width = self.sheet.lengths[cell[is_open]].max(initial=0)
        return cell[is_open], unit[is_open], values[is_open, :width]


class _Kinks:
    """Each unit bends at zero; its answer is the bit. `tiny`: below which size it counts as zero, by unit."""

    def __init__(self, tiny: np.ndarray):
        self.tiny = tiny

    def boundary(self, values: np.ndarray, unit: np.ndarray):
        """Along which function's zeros to cut: its values, what counts as zero, and a name for it."""
        return values[..., 0], self.tiny[unit], unit

    def settle(self, values: np.ndarray, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which units are open, and the answers of the others."""
        on = values.max(axis=(1, 2)) > self.tiny[unit]
        return on & (values.min(axis=(1, 2)) < -self.tiny[unit]), on


class _Windows:
    """The largest member of each window counts; the answer is which. Members that differ by `tiny` tie."""

    def __init__(self, tiny: float, members: int):
        self.tiny, self.members = tiny, members

    def boundary(self, values: np.ndarray, unit: np.ndarray):
        pair = np.concatenate([self._pairs(values[rows])[0] for rows in self._chunks(values)])
        i, j = np.divmod(pair, self.members)
        each = np.arange(len(values))
        label = (unit * self.members + np.minimum(i, j)) * self.members + np.maximum(i, j)
        return values[each, :, i] - values[each, :, j], np.full(len(values), self.tiny), label

    def settle(self, values: np.ndarray, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        slack = (values - values.max(axis=2, keepdims=True)).min(axis=1)
        serves = slack >= -self.tiny
        unserved = np.flatnonzero(~serves.any(axis=1))
        is_open = np.zeros(len(values), bool)
        for rows in self._chunks(unserved, values.shape[1]):
            is_open[unserved[rows]] = self._pairs(values[unserved[rows]])[1] > self.tiny
        # Where rounding leaves nobody who serves and nothing to cut, the nearest does.
        return is_open, np.where(serves.any(axis=1), serves.argmax(axis=1), slack.argmax(axis=1))

    def _chunks(self, values: np.ndarray, width: int | None = None):
        return chunks(len(values), (width or values.shape[1]) * self.members**2)

    def _pairs(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The pair of members to cut between (members · i + j) and by how much each leads at some vertex.

        Each must be the largest of its window at some vertex where it is above the other: then the boundary
        between them is part of the pool's, or hidden under a third member."""
        largest = values >= values.max(axis=2, keepdims=True) - self.tiny
        lead = np.where(largest[..., None], values[..., None] - values[:, :, None], 0).max(axis=1)
        both = np.minimum(lead, lead.swapaxes(1, 2)).reshape(len(values), -1)
        pair = both.argmax(axis=1)
        return pair, both[np.arange(len(values)), pair]
