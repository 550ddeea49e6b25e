"""Convex polygons as loops of vertices, cut in two many at once."""

import numpy as np

from splinelab.polytopes.geometry.mesh import Mesh


class Cut:
    """Cuts convex loops in two: an index version of Sutherland and Hodgman (1974), many at once.

    `heights`: cells × vertices of their loops, affine on each cell, above `tiny` somewhere and below −`tiny`
    elsewhere. The first part is the one above zero. `label` names the boundary.
    """

    def __init__(
        self, loops: np.ndarray, lengths: np.ndarray, heights: np.ndarray, tiny: np.ndarray, label: np.ndarray
    ):
        each, places = np.arange(len(loops)), np.arange(loops.shape[1])
        # Turn each loop so that it begins at the highest vertex. Then those above zero are the places before
        # `start` and behind `stop`, whatever rounding did to the others.
        self.turn = (heights.argmax(axis=1)[:, None] + places) % lengths[:, None]
        self.loop = np.take_along_axis(loops, self.turn, axis=1)
        heights = np.take_along_axis(heights, self.turn, axis=1)
        outside = (heights <= tiny[:, None]) & (places < lengths[:, None])
        self.start = outside.argmax(axis=1)
        self.stop = loops.shape[1] - 1 - outside[:, ::-1].argmax(axis=1)
        self.lengths, self.label = lengths, label
        # The boundary passes into the others before `start` and out of them after `stop`: through a
        # new vertex, or through the one at `start` or `stop` that lies on it.
        after = (self.stop + 1) % lengths
        self.new = np.stack([heights[each, end] < -tiny for end in (self.start, self.stop)])
        ends = np.stack([[self.start - 1, self.stop], [self.start, after]])  # 2 × boundary points × cells
        vertices = self.loop[each, ends]
        swap = vertices[0] > vertices[1]
        self.a, self.b = np.where(swap, ends[::-1], ends)  # in one order for both sides of the edge
        self.vertex_a, self.vertex_b = self.loop[each, self.a], self.loop[each, self.b]
        height_a, height_b = heights[each, self.a], heights[each, self.b]
        drop = np.where(self.new, height_a - height_b, 1)
        self.weight = np.where(self.new, height_a / drop, 0)

    def edges(self):
        """Where new vertices go: the ends of the edges, the share of the way, the boundary's label."""
        label = np.broadcast_to(self.label, self.new.shape)
        return tuple(part[self.new] for part in (self.vertex_a, self.vertex_b, self.weight, label))

    def loops(self, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The loops of the first parts, then of the second, and their lengths, given the new vertices."""
        width, count = self.loop.shape[1], len(self.loop)
        new = np.zeros(self.new.shape, self.loop.dtype)
        new[self.new] = vertices
        start, stop = self.start[:, None], self.stop[:, None]
        enters, leaves = self.new.astype(int)[:, :, None]
        # Places width and width + 1 are the new vertices.
        first, last = np.where(enters, width, start), np.where(leaves, width + 1, stop)
        upper_length = start + 2 + self.lengths[:, None] - 1 - stop
        lower_length = stop - start + 1 + enters + leaves
        lengths = np.concatenate([upper_length, lower_length])
        j = np.arange(lengths.max())
        upper = np.where(j < start, j, j - start - 1 + stop)
        upper = np.where(j == start, first, np.where(j == start + 1, last, upper))
        lower = np.where(j == 0, first, np.where(j == lower_length - 1, last, start + j - enters))
        places = np.concatenate([upper, lower])
        places = np.where(j < lengths, places, places[:, :1])
        rows = np.tile(np.arange(count), 2)[:, None]
        loops = np.concatenate([self.loop, new.T], axis=1)[rows, places]
        # From here on places are those of the loop as it was before it was turned.
        ends = np.broadcast_to([width, width + 1], (count, 2))
        self.places = np.concatenate([self.turn, ends], axis=1)[rows, places]
        return loops, lengths[:, 0].astype(np.int32)

    def follow(self, values: np.ndarray, member: np.ndarray) -> np.ndarray:
        """Values at the vertices of the loops (any × vertices × members, of the cells `member`) at those of
        the first parts, then of the second."""
        each, count = np.arange(len(member)), len(self.turn)
        a, b = (self.turn[np.arange(count), end][:, member] for end in (self.a, self.b))
        value_a, value_b = values[each, a], values[each, b]  # boundary points × any × members
        new = value_a + self.weight[:, member, None] * (value_b - value_a)
        whole = np.concatenate([values, new.swapaxes(0, 1)], axis=1)
        places = self.places[np.concatenate([member, member + count])]
        return whole[np.tile(each, 2)[:, None], places]


class Edges:
    """The vertices that a layer put on edges, so that both sides of an edge get the same."""

    def __init__(self, sheet: Mesh):
        self.sheet = sheet
        self.keys = self.labels = self.found = np.zeros(0, np.int64)

    def vertices(self, a: np.ndarray, b: np.ndarray, weight: np.ndarray, label: np.ndarray) -> np.ndarray:
        """The vertices (1 − weight) · a + weight · b with a < b, made where there are none yet."""
        key = a.astype(np.int64) << 32 | b
        place = np.searchsorted(self.keys, key)
        known = np.append(self.keys, -1)[place] == key
        fresh, first, inverse = np.unique(key[~known], return_index=True, return_inverse=True)
        first = np.flatnonzero(~known)[first]
        vertex, owner = np.empty((2, len(key)), np.int64)
        vertex[known], owner[known] = self.found[place[known]], self.labels[place[known]]
        numbers = self.sheet.rows + np.arange(len(fresh))
        vertex[~known], owner[~known] = numbers[inverse], label[first][inverse]
        # Parts of one edge may be cut in another order on its other side, where pools or rounding had a
        # hand in it. Such vertices are not shared, which does no harm.
        alone = np.flatnonzero(owner != label)
        vertex[alone] = self.sheet.rows + len(fresh) + np.arange(len(alone))
        made = np.concatenate([first, alone])
        self.sheet.insert(a[made], b[made], weight[made])
        at = np.searchsorted(self.keys, fresh)
        self.keys, self.labels, self.found = (
            np.insert(old, at, new)
            for old, new in ((self.keys, fresh), (self.labels, label[first]), (self.found, numbers))
        )
        return vertex


def grown(array: np.ndarray, rows: int) -> np.ndarray:
    """The array, or a copy with room for twice as many rows if it has too few."""
    if rows <= len(array):
        return array
    larger = np.empty((2 * rows, *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger
