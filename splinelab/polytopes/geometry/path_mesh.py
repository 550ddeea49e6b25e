"""Paths: a subdivision whose cells are the pieces between two neighbouring boundaries.

Many straight segments can be traced at once; their pieces do not touch.
"""

import numpy as np
import torch

from splinelab.polytopes.geometry.mesh import Mesh, chunks, rounding
from splinelab.polytopes.geometry.tolerances import MERGE, SNAP


class PathMesh(Mesh):
    """One-dimensional cells. `points`: vertices × 1; cell i runs from vertex `left[i]` to `right[i]`."""

    def __init__(self, points, left, right, max_rows: int | None = None):
        super().__init__(np.reshape(points, (-1, 1)), len(left), max_rows)
        self.left, self.right = np.array(left, np.int64), np.array(right, np.int64)

    def cut(self, values: torch.Tensor, name: str) -> None:
        z = values.reshape(len(values), -1)
        tiny = rounding(z)
        found = []
        for rows in chunks(self.cells, 2 * z.shape[1]):
            a, b = z[self.left[rows]], z[self.right[rows]]
            crossed = (torch.minimum(a, b) < -tiny) & (torch.maximum(a, b) > tiny)
            cell, unit = crossed.nonzero(as_tuple=True)
            start, end = a[cell, unit], b[cell, unit]
            found.append(((cell + rows.start).cpu().numpy(), (start / (start - end)).cpu().numpy()))
        pieces = self._split(*map(np.concatenate, zip(*found, strict=True)))
        packed = np.empty((self.cells, -(-z.shape[1] // 8)), np.uint8)
        for cells, parent, low, high in pieces.in_chunks(2 * z.shape[1]):
            a, b = z[pieces.left[parent]], z[pieces.right[parent]]
            middle = torch.lerp(a, b, torch.from_numpy((low + high) / 2)[:, None].to(z))
            packed[cells] = np.packbits((middle > tiny).cpu().numpy(), axis=1)
        self.layers[name] = (z.shape[1], packed)

    def cut_pool(self, values: torch.Tensor, name: str) -> None:
        tiny = SNAP * values.abs().amax()
        found = [self._envelopes(values, rows, tiny) for rows in chunks(self.cells, 4 * values[0].numel())]
        pieces = self._split(*map(np.concatenate, zip(*found, strict=True)))
        winners = np.empty((self.cells, values.shape[1]), np.min_scalar_type(values.shape[2]))
        for cells, parent, low, high in pieces.in_chunks(4 * values[0].numel()):
            a, b = values[pieces.left[parent]], values[pieces.right[parent]]
            ends = (torch.from_numpy(share)[:, None, None].to(values) for share in (low, high))
            serves = [
                (end >= end.amax(dim=2, keepdim=True) - tiny) for end in (torch.lerp(a, b, s) for s in ends)
            ]
            winners[cells] = (serves[0] & serves[1]).float().argmax(dim=2).cpu().numpy()
        self.pools[name] = winners

    def _envelopes(self, values: torch.Tensor, rows: slice, tiny) -> tuple[np.ndarray, np.ndarray]:
        """Where the upper envelope of each window's members bends: cells, and shares of their length."""
        a, b = values[self.left[rows]], values[self.right[rows]]
        near = [end >= end.amax(dim=2, keepdim=True) - tiny for end in (a, b)]
        cell, window = (~(near[0] & near[1]).any(dim=2)).nonzero(as_tuple=True)
        a, b = a[cell, window], b[cell, window]
        # Of the members that tie at one end, the one that leads at the other end leads in between.
        floor = torch.full_like(a, -torch.inf)
        first = torch.where(near[0][cell, window], b, floor).argmax(dim=1)
        last = torch.where(near[1][cell, window], a, floor).argmax(dim=1)
        cells, shares = [], []
        while len(cell):
            each = torch.arange(len(cell), device=a.device)
            rise = a[each, first] - a[each, last]
            share = rise / (rise - (b[each, first] - b[each, last]))
            there = torch.lerp(a, b, share[:, None])
            best = there.argmax(dim=1)
            bends = there[each, best] <= there[each, first] + tiny
            cells.append((cell[bends] + rows.start).cpu().numpy())
            shares.append(share[bends].cpu().numpy())
            more = ~bends
            cell = cell[more].repeat(2)
            first, last = torch.cat([first[more], best[more]]), torch.cat([best[more], last[more]])
            a, b = a[more].repeat(2, 1), b[more].repeat(2, 1)
        empty = np.zeros(0)
        return np.concatenate([*cells, empty.astype(np.int64)]), np.concatenate([*shares, empty])

    def _split(self, cell: np.ndarray, share: np.ndarray) -> "_Pieces":
        """Split cells at shares of their length, near-equal ones at one point."""
        left, right, before = self.left.copy(), self.right.copy(), self.cells
        t = self.points[:, 0]
        order = np.lexsort((share, cell))
        cell, share = cell[order], share[order]
        length = (t[right] - t[left])[cell]
        gap = np.empty(len(cell))  # to the boundary before it in the same cell, or to the cell's left end
        gap[:1] = share[:1]
        gap[1:] = np.where(cell[1:] == cell[:-1], share[1:] - share[:-1], share[1:])
        keep = (np.abs(gap * length) > MERGE) & (np.abs((1 - share) * length) > MERGE)
        cell, share = cell[keep], share[keep]
        first_row = self.rows
        self.insert(left[cell], right[cell], share)
        vertex = first_row + np.arange(len(cell))
        follows = np.zeros(len(cell), bool)  # not the last boundary of its cell
        follows[:-1] = cell[1:] == cell[:-1]
        leads = np.ones(len(cell), bool)  # the first boundary of its cell
        leads[1:] = ~follows[:-1]
        self.right[cell[leads]] = vertex[leads]
        next_vertex = np.append(vertex[1:], 0)
        self.left = np.concatenate([self.left, vertex])
        self.right = np.concatenate([self.right, np.where(follows, next_vertex, right[cell])])
        self.add_cells(cell)
        low, high = np.zeros(self.cells), np.ones(self.cells)
        low[before:] = share
        high[cell[leads]] = share[leads]
        high[before:][follows] = share[1:][follows[:-1]] if len(share) else share
        return _Pieces(left, right, np.concatenate([np.arange(before), cell]), low, high)


class _Pieces:
    """Today's cells as parts `low` to `high` of the earlier cells, which ran from `left` to `right`."""

    def __init__(self, left, right, parent, low, high):
        self.left, self.right, self.parent, self.low, self.high = left, right, parent, low, high

    def in_chunks(self, width: int):
        """(slice of cells, their parents, low, high), a bounded number of cells × `width` at a time."""
        for cells in chunks(len(self.parent), width):
            yield cells, self.parent[cells], self.low[cells], self.high[cells]
