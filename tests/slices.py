"""Which region of a slice a point lies in, found the plain way: by looking at every polygon."""

import numpy as np


def padded(vertices, starts):
    """Polygons that follow one another as one array, filled up with the first vertex of each."""
    lengths = np.diff(starts)
    j = np.arange(lengths.max())
    return vertices[starts[:-1, None] + np.where(j < lengths[:, None], j, 0)]


def find(result, uv):
    """The region of each point (points × 2), the one that it lies deepest in; −1 outside all of them."""
    deepest, region = np.full(len(uv), -1e-9 * np.ptp(result.domain, axis=0).max()), np.full(len(uv), -1)
    for number, polygon in enumerate(result.polygons):
        edge = np.roll(polygon, -1, axis=0) - polygon
        length = np.hypot(*edge.T)
        edge, corner = edge[length > 0] / length[length > 0, None], polygon[length > 0]
        away = uv[:, None] - corner
        depth = (edge[:, 0] * away[..., 1] - edge[:, 1] * away[..., 0]).min(axis=1)
        inside = depth >= deepest
        deepest[inside], region[inside] = depth[inside], number
    return region


def outputs(result, uv):
    """The outputs that the map of each point's region gives."""
    return result.outputs_of(find(result, uv), uv)
