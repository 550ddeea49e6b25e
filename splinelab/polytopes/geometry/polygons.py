"""Plane geometry of many convex polygons at once.

Padded: polygons × most vertices × 2, counter-clockwise, filled up with the first vertex.
"""

import numpy as np

from splinelab.polytopes.geometry.tolerances import FLAT


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

    def chain(points: list) -> list:
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


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
