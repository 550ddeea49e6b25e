"""Plane geometry of many convex polygons at once.

Padded: polygons × most vertices × 2, counter-clockwise, filled up with the first vertex. Ragged: all
vertices one after another, and the place where each polygon begins, closed by their number.
"""

from itertools import pairwise

import numpy as np

from splinelab.polytopes.tolerances import FLAT

__all__ = ["Locator", "affine_maps", "hull", "measure", "padded"]

PAIRS = 1 << 20  # points × candidates tried at once
SPANS = 1 << 24  # squares in the boxes round all polygons; with more, the squares are made larger


def measure(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Areas and centroids of padded polygons."""
    origin = corners[:, :1]
    arm = corners[:, 1:] - origin
    fan = _cross(arm[:, :-1], arm[:, 1:])  # twice the areas of the triangles at the first vertex
    double = fan.sum(axis=1)
    moment = (fan[..., None] * (arm[:, :-1] + arm[:, 1:])).sum(axis=1)
    flat = double <= 0
    shift = moment / np.where(flat, 1, 3 * double)[:, None]
    centroids = np.where(flat[:, None], corners.mean(axis=1), origin[:, 0] + shift)
    return double / 2, centroids


def affine_maps(corners: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The affine functions with given values at the corners of padded polygons.

    `values`: polygons × vertices × outputs. Returns polygons × outputs × 3: value = map @ (1, u, v). The
    slope along a polygon is read from its length and the slope across it from its width; where a polygon is
    narrow, rounding of the values shows in the latter, and where it has no width there is none.
    """
    each = np.arange(len(corners))
    arm = corners - corners[:, :1]
    far = (arm**2).sum(axis=2).argmax(axis=1)
    length = np.hypot(*arm[each, far].T)
    along = arm[each, far] / np.where(length == 0, 1, length)[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    height = np.einsum("pjx,px->pj", arm, across)
    wide = np.abs(height).argmax(axis=1)
    height, run = height[each, wide], (arm[each, wide] * along).sum(axis=1)
    rise_far, rise_wide = (values[each, place] - values[:, 0] for place in (far, wide))
    slope_along = rise_far / np.where(length == 0, 1, length)[:, None]
    real = np.abs(height) > FLAT * length
    slope_across = (rise_wide - slope_along * run[:, None]) / np.where(real, height, np.inf)[:, None]
    slope = slope_along[..., None] * along[:, None] + slope_across[..., None] * across[:, None]
    constant = values[:, 0] - (slope * corners[:, None, 0]).sum(axis=2)
    return np.concatenate([constant[..., None], slope], axis=2)


def hull(points: np.ndarray) -> np.ndarray:
    """The convex hull's corners, counter-clockwise, by Andrew's monotone chain (1979)."""
    ordered = np.unique(points, axis=0).tolist()

    def chain(points):
        kept: list = []
        for x, y in points:
            while len(kept) > 1:
                (x0, y0), (x1, y1) = kept[-2:]
                if (x1 - x0) * (y - y0) > (y1 - y0) * (x - x0):
                    break
                kept.pop()
            kept.append((x, y))
        return kept[:-1]

    return np.array(chain(ordered) + chain(ordered[::-1]))


def padded(vertices: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Ragged polygons as padded ones."""
    lengths = np.diff(starts)
    j = np.arange(lengths.max())
    return vertices[starts[:-1, None] + np.where(j < lengths[:, None], j, 0)]


class Locator:
    """Finds the polygon that a point lies in. The polygons (ragged) must not overlap.

    The plane is divided into squares, about as many as there are polygons, and each square knows the polygons
    that may meet it.
    """

    def __init__(self, vertices: np.ndarray, starts: np.ndarray):
        corners = padded(vertices, starts)
        edge = np.roll(corners, -1, axis=1) - corners
        length = np.hypot(edge[..., 0], edge[..., 1])
        unit = edge / np.where(length == 0, 1, length)[..., None]
        self.inwards = np.stack([-unit[..., 1], unit[..., 0]], axis=2)
        self.offset = np.where(length == 0, -np.inf, (self.inwards * corners).sum(axis=2))
        low, high = (extreme.reduceat(vertices, starts[:-1]) for extreme in (np.minimum, np.maximum))
        self.low, extent = low.min(axis=0), high.max(axis=0) - low.min(axis=0)
        self.tiny = 1e-9 * extent.max()
        self.side = max(1, int(np.sqrt(len(low))))
        while True:
            self.size = extent / self.side
            first, last = self._square(low - self.tiny), self._square(high + self.tiny)
            spans = last - first + 1
            if self.side == 1 or spans.prod(axis=1).sum() <= SPANS:
                break
            self.side //= 2
        found = [self._meetings(first[part], spans[part], part.start) for part in _chunks(spans.prod(axis=1))]
        square, polygon = map(np.concatenate, zip(*found, strict=True))
        order = np.argsort(square, kind="stable")
        self.polygons = polygon[order]
        self.begin = np.searchsorted(square[order], np.arange(self.side**2 + 1))

    def find(self, points: np.ndarray) -> np.ndarray:
        """The number of the polygon of each point (points × 2); −1 outside all of them."""
        row, column = self._square(points).T[::-1]
        square = row * self.side + column
        counts = self.begin[square + 1] - self.begin[square]
        found = np.full(len(points), -1)
        for part in _chunks(counts):
            owner, index = _ranges(counts[part])
            if not len(owner):
                continue
            owner += part.start
            polygon = self.polygons[self.begin[square[owner]] + index]
            depth = self._depth(polygon, points[owner])
            heads = np.flatnonzero(np.diff(owner, prepend=-1))
            # The deepest of all candidates: on a boundary rounding must not lose the point.
            order = np.lexsort((-depth, owner))[heads]
            inside = order[depth[order] >= -self.tiny]
            found[owner[inside]] = polygon[inside]
        return found

    def _square(self, points: np.ndarray) -> np.ndarray:
        return np.clip(np.floor((points - self.low) / self.size), 0, self.side - 1).astype(np.int64)

    def _depth(self, polygon: np.ndarray, points: np.ndarray) -> np.ndarray:
        """How deep inside its polygon each point lies; negative outside."""
        height = np.einsum("pjx,px->pj", self.inwards[polygon], points) - self.offset[polygon]
        return height.min(axis=1)

    def _meetings(self, first, spans, start: int) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of a square and a polygon that may meet; polygons from `start` on, boxes by square."""
        polygon, index = _ranges(spans.prod(axis=1))
        place = first[polygon] + np.stack([index % spans[polygon, 0], index // spans[polygon, 0]], axis=1)
        polygon += start
        middle = self.low + (place + 0.5) * self.size
        near = self._depth(polygon, middle) >= -np.hypot(*self.size) / 2 - self.tiny
        return (place[:, 1] * self.side + place[:, 0])[near], polygon[near]


def _ranges(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For counts 2, 3: owners 0, 0, 1, 1, 1 and indices 0, 1, 0, 1, 2."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - (np.cumsum(counts) - counts)[owner]


def _chunks(counts: np.ndarray) -> list[slice]:
    """Slices whose counts add up to about `PAIRS` at most."""
    block = np.cumsum(counts) // PAIRS
    cuts = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), len(counts)]
    return [slice(*pair) for pair in pairwise(cuts)]


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
