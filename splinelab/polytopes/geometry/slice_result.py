"""What a slice through a network consists of: its regions, where each of them is one affine map."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from splinelab.codes import SplineCodes
from splinelab.errors import InputError


@dataclass(frozen=True, eq=False, repr=False)
class Frame:
    """Orthonormal coordinates (u, v) of the plane through three points of a space.

    `origin`: float64, one point of the space, in its own shape; `axes`: float64, 2 × its numbers.
    """

    origin: np.ndarray
    axes: np.ndarray

    def to_space(self, uv) -> np.ndarray:
        """The points of the space at coordinates `uv`, float64, points × the shape of the space."""
        uv = _pairs(uv)
        return (self.origin.ravel() + uv @ self.axes).reshape(-1, *self.origin.shape)


@dataclass(frozen=True, eq=False, repr=False)
class Plane:
    """The regions of a slice: convex polygons in the plane's coordinates (u, v), on each of which the
    network is one affine map.

    Attributes
    ----------
    vertices, starts : the polygons one after another, counter-clockwise: float64, vertices × 2, and where
        each begins, regions + 1. `polygons` is the list of them. Where several neighbours meet on an edge, a
        polygon may have a vertex of 180°.
    codes : SplineCodes, regions × units. Two regions may have one code: then a max-pooling tells them apart.
    areas, centroids : float64, regions, in square units of the space, and regions × 2.
    maps : float64, regions × outputs × 3: the output is map @ (1, u, v).
    classes : the largest output at each centroid.
    corners : float64, 3 × 2, where the three points lie.
    domain : float64, 2 × 2, the lower left and the upper right corner of the rectangle.
    frame : the coordinates, `frame.origin` and `frame.axes`.
    covered : the share of the domain's area that was traced; `complete` says whether it is all.
    """

    vertices: np.ndarray
    starts: np.ndarray
    codes: SplineCodes
    areas: np.ndarray
    centroids: np.ndarray
    maps: np.ndarray
    corners: np.ndarray
    domain: np.ndarray
    frame: Frame
    covered: float
    complete: bool

    @cached_property
    def polygons(self) -> list[np.ndarray]:
        """The polygon of each region, vertices × 2, counter-clockwise."""
        return np.split(self.vertices, self.starts[1:-1])

    @cached_property
    def classes(self) -> np.ndarray:
        """The largest output at each region's centroid."""
        return self.outputs_of(np.arange(len(self)), self.centroids).argmax(axis=1)

    def to_space(self, uv) -> np.ndarray:
        """The activations (or inputs) at coordinates `uv`, points × the shape of the space."""
        return self.frame.to_space(uv)

    def outputs_of(self, region: np.ndarray, uv: np.ndarray) -> np.ndarray:
        """The outputs that the maps of some regions give at coordinates `uv`, one for each region."""
        maps = self.maps[region]
        return maps[..., 0] + maps[..., 1] * uv[:, :1] + maps[..., 2] * uv[:, 1:]

    def __len__(self) -> int:
        return len(self.areas)

    def __repr__(self) -> str:
        width, height = self.domain[1] - self.domain[0]
        rest = "" if self.complete else f"; incomplete, {self.covered:.1%} of the area"
        return f"Plane({len(self):,} regions, {self.codes.units:,} units, {width:.3g} × {height:.3g}{rest})"


def _pairs(uv) -> np.ndarray:
    uv = np.asarray(uv, np.float64)
    if uv.ndim != 2 or uv.shape[1] != 2:
        raise InputError(
            f"Coordinates in the plane are points × 2; got shape {uv.shape}. One point: [[u, v]]."
        )
    return uv
