"""What a slice through a network consists of: its regions, where each of them is one affine map."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from splinelab.codes import SplineCodes
from splinelab.errors import InputError
from splinelab.polytopes.geometry.mesh import chunks
from splinelab.polytopes.geometry.polygons import affine_maps, hull, measure
from splinelab.polytopes.geometry.slice_mesh import SliceMesh, TooManyCells


@dataclass(frozen=True, eq=False, repr=False)
class Frame:
    """Orthonormal coordinates (u, v) of the plane through three points of a space.

    Attributes
    ----------
    origin : float64, one point of the space, in its own shape.
    axes : float64, 2 × its numbers.
    """

    origin: np.ndarray
    axes: np.ndarray

    def to_space(self, uv: ArrayLike) -> np.ndarray:
        """The points of the space at coordinates `uv`, float64, points × the shape of the space."""
        uv = np.asarray(uv, np.float64)
        if uv.ndim != 2 or uv.shape[1] != 2:
            raise InputError(
                f"Coordinates in the plane are points × 2; got shape {uv.shape}. One point: [[u, v]]."
            )
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

    def to_space(self, uv: ArrayLike) -> np.ndarray:
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


class Regions:
    """Gathers the cells of tiles into regions: cells of one code and the same pool winners are parts of one
    convex region, cut by a tile's border or by a boundary of a pool that a third member hides."""

    def __init__(self, most: int):
        self.most = most
        self.numbers: dict[bytes, int] = {}
        self.codes: list[SplineCodes] = []
        self.parts: list[tuple[np.ndarray, ...]] = []  # region, area, centroid, map, length; by cell
        self.vertices: list[np.ndarray] = []  # of all cells, one after another

    def room(self) -> int:
        """How many more regions there may be."""
        return self.most - len(self.numbers)

    def add(self, sheet: SliceMesh, output: torch.Tensor) -> None:
        """Take in the cells of a tile, or none of them: too many new regions raise `TooManyCells`."""
        codes = sheet.codes()
        kinds = [codes.packed, *(winner.view(np.uint8) for winner in sheet.winners().values())]
        keys = [blake2b(row, digest_size=16).digest() for row in np.concatenate(kinds, axis=1)]
        if len(set(keys) - self.numbers.keys()) > self.room():
            raise TooManyCells(f"more than {self.most:,} regions")
        known = len(self.numbers)
        region = np.array([self.numbers.setdefault(key, len(self.numbers)) for key in keys])
        numbers, first = np.unique(region, return_index=True)
        self.codes.append(codes[first[numbers >= known]])
        loops, lengths = sheet.loops, sheet.lengths.copy()
        values = output.reshape(len(output), -1).cpu().numpy()
        measured = []
        for cells in chunks(len(loops), loops.shape[1] * (values.shape[1] + 2)):
            corners = sheet.points[loops[cells]]
            measured.append((*measure(corners), affine_maps(corners, values[loops[cells]])))
        self.parts.append((region, *map(np.concatenate, zip(*measured, strict=True)), lengths))
        inside = np.arange(loops.shape[1]) < lengths[:, None]
        self.vertices.append(sheet.points[loops[inside]])

    def plane(self, covered: float, complete: bool, **where: Any) -> Plane:
        """The regions, merged over all tiles."""
        region, area, centroid, maps, lengths = map(np.concatenate, zip(*self.parts, strict=True))
        order = np.lexsort((area, region))
        stops = np.searchsorted(region[order], np.arange(len(self.numbers) + 1))
        largest = order[stops[1:] - 1]
        areas = np.bincount(region, area)
        scale = np.where(areas > 0, areas, 1)
        moments = [np.bincount(region, area * axis) / scale for axis in centroid.T]
        centroids = np.where(areas[:, None] > 0, np.stack(moments, axis=1), centroid[largest])
        starts = np.cumsum([0, *lengths])
        vertices = np.concatenate(self.vertices)
        pieces = np.diff(stops)
        loops = [vertices[starts[cell] : starts[cell + 1]] for cell in largest]
        for number in np.flatnonzero(pieces > 1):
            cells = order[stops[number] : stops[number + 1]]
            loops[number] = hull(np.concatenate([vertices[starts[c] : starts[c + 1]] for c in cells]))
        return Plane(
            vertices=np.concatenate(loops),
            starts=np.cumsum([0, *map(len, loops)]),
            codes=SplineCodes.concat(self.codes),
            areas=areas,
            centroids=centroids,
            maps=maps[largest],
            covered=covered,
            complete=complete,
            **where,
        )
