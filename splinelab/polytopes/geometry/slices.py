"""Exact polygons of a two-dimensional slice through a network."""

import heapq
import warnings
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from splinelab.codes import SplineCodes
from splinelab.errors import InputError
from splinelab.polytopes.geometry import checks, trace
from splinelab.polytopes.geometry.exact import home
from splinelab.polytopes.geometry.mesh import Mesh, TooMany, chunks, rows_that_fit
from splinelab.polytopes.geometry.points import check_finite, stacked
from splinelab.polytopes.geometry.polygons import affine_maps, hull, measure
from splinelab.polytopes.geometry.slice_mesh import SliceMesh, TooManyCells
from splinelab.polytopes.geometry.slice_result import Frame, Plane
from splinelab.polytopes.geometry.tolerances import COLLINEAR

SMALLEST = 2.0**-12  # a tile this small against the domain is traced whatever memory it takes


def plane(
    model: nn.Module,
    a,
    b,
    c,
    *,
    layer: str | None = None,
    margin: float = 0.25,
    max_regions: int = 200_000,
    memory: float = 1e9,
    device: str | torch.device | None = None,
    verify: bool = False,
    progress: bool = False,
) -> Plane:
    """All regions of the slice through three points, exact up to float64 rounding.

    The slice is cut layer by layer, each polygon along the boundaries that cross it, as in Humayun,
    Balestriero, Balakrishnan and Baraniuk (SplineCam, 2023), in one forward pass for each tile of the slice,
    for the networks that `paths` takes.

    Parameters
    ----------
    model : in evaluation mode; it runs as a float64 copy and stays as it is.
    a, b, c : three inputs of the model, of one shape, not on a line. With `layer`, the slice goes through
        their activations at that layer, and the codes are those from there to the output. To slice through
        activations of your own making, pass `Rest(model, layer, example)` as the model.
    margin : the domain is the rectangle round the three points, sides along b − a and across, enlarged on
        each side by this share of its longer one.
    max_regions : with more regions, stop with what is done and warn (`RuntimeWarning`).
    memory : bytes that a traversal may take, roughly; the domain is traced in tiles that fit.
    device : where to run; None means where the model lies.
    verify : compare map and code at the centroid of every region with the network. Without it this is done
        at some regions, one in 16 but 8 at least and 64 at most: the largest, some small ones, others at
        random.
    progress : show a bar, in shares of the area.

    Raises `InputError` for points that are not finite, identical, on a line or of the wrong shape, an unknown
    layer and a model in training mode; `UnsupportedOperationError` for an operation that is not piecewise
    linear; `VerificationError` where the result and the network part by more than 1e-12 of the largest
    output, or the float64 copy and the model itself by more than rounding.

    >>> net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)).eval()
    >>> _ = net[0].weight.data.copy_(torch.eye(2)), net[0].bias.data.fill_(-0.5)
    >>> slice = plane(net, [0.0, 0.0], [1.0, 0.0], [0.0, 1.0], margin=0)
    >>> slice
    Plane(4 regions, 2 units, 1 × 1)
    >>> slice.areas
    array([0.25, 0.25, 0.25, 0.25])
    """
    if not margin >= 0 or not max_regions >= 1 or not memory > 0:
        raise InputError(
            "margin is a share of at least 0, max_regions at least 1, memory a positive number of bytes; got "
            f"{margin!r}, {max_regions!r} and {memory!r}."
        )
    points = stacked([a, b, c], "a, b and c", tokens=layer is not None)
    if points.ndim < 2:
        raise InputError("a, b and c must be points of one shape, each an array; got three numbers.")
    exact, (points,) = checks.begin(model, [points], "a, b and c", layer=layer, device=device)
    frame, corners = _frame(points, layer)
    low, high = corners.min(axis=0), corners.max(axis=0)
    room = margin * (high - low).max()
    domain = np.stack([low - room, high + room])
    found = _Regions(max_regions)
    covered, complete = _trace_tiles(
        exact, frame, domain, _limits(exact, points[:1], memory), found, progress
    )
    result = found.plane(corners=corners, domain=domain, frame=frame, covered=covered, complete=complete)
    if not result.complete:
        warnings.warn(
            f"The slice has more than {max_regions:,} regions: stopped with {len(result):,}, on "
            f"{covered:.1%} of its area. Take points closer together, a smaller margin, a layer further "
            "ahead, or more max_regions.",
            RuntimeWarning,
            stacklevel=2,
        )
    _verify(exact, result, everywhere=verify)
    return result


def _trace_tiles(exact, frame: Frame, domain, limits: list[int], found: "_Regions", progress: bool):
    """Trace the domain in tiles that fit, from the middle outwards. Returns the share of its area that was
    done, and whether it is all."""
    width = (domain[1] - domain[0]).max()
    tiles = [(0.0, 0.0, 0.0, domain)]
    covered = 0.0
    with tqdm(total=1.0, disable=not progress, unit="area") as bar:
        while tiles:
            tile = heapq.heappop(tiles)[-1]
            tiny = (tile[1] - tile[0]).max() <= SMALLEST * width
            left = found.room()
            # Some cells are parts of regions that other tiles have too, or differ by a pool's detour.
            sheet = SliceMesh(_rectangle(tile), None if tiny else limits, 2 * left + 64)
            try:
                rows = frame.to_space(sheet.points)
                found.add(sheet, trace.run(exact, sheet, torch.from_numpy(rows).to(home(exact))))
            except TooMany as reason:
                if isinstance(reason, TooManyCells) and 2 * left <= found.most:
                    return covered, False
                for part in _quarters(tile):
                    away = np.abs((part - domain.mean(axis=0)).mean(axis=0))
                    heapq.heappush(tiles, (away.max(), *part[0], part))
                continue
            share = ((tile[1] - tile[0]) / (domain[1] - domain[0])).prod()
            covered += share
            bar.update(share)
    return 1.0, True


def _quarters(tile: np.ndarray) -> list[np.ndarray]:
    (left, bottom), (right, top) = tile
    x, y = tile.mean(axis=0)
    parts = ((left, bottom, x, y), (x, bottom, right, y), (left, y, x, top), (x, y, right, top))
    return [np.reshape(part, (2, 2)) for part in parts]


def _rectangle(tile: np.ndarray) -> np.ndarray:
    (left, bottom), (right, top) = tile
    return np.array([[left, bottom], [right, bottom], [right, top], [left, top]])


class _Regions:
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
        maps, areas, centroids = [], [], []
        for cells in chunks(len(loops), loops.shape[1] * (values.shape[1] + 2)):
            corners = sheet.points[loops[cells]]
            maps.append(affine_maps(corners, values[loops[cells]]))
            for kept, new in zip((areas, centroids), measure(corners), strict=True):
                kept.append(new)
        self.parts.append((region, *map(np.concatenate, (areas, centroids, maps)), lengths))
        inside = np.arange(loops.shape[1]) < lengths[:, None]
        self.vertices.append(sheet.points[loops[inside]])

    def plane(self, **rest) -> Plane:
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
            **rest,
        )


class _Probe(Mesh):
    """Notes how many numbers each call takes of a point."""

    def __init__(self):
        super().__init__(np.zeros((2, 2)), 1)
        self.widths: list[int] = []

    def cut(self, values: torch.Tensor, name: str) -> None:
        self.layers[name] = ()
        self.widths.append(values[0].numel())

    def cut_pool(self, values: torch.Tensor, name: str) -> None:
        self.pools[name] = ()
        self.widths.append(values[0].numel())


def _limits(exact: nn.Module, point: torch.Tensor, memory: float) -> list[int]:
    """How many vertices fit into memory at each cut. What is live between two cuts is about as wide as the
    wider one; the first layers, which are the widest, have the fewest vertices."""
    probe = _Probe()
    output = trace.run(exact, probe, point.expand(2, *point.shape[1:]).to(home(exact)))
    widths = [*probe.widths, output[0].numel()]
    return [rows_that_fit(max(pair), memory) for pair in pairwise(widths)]


def _frame(points: torch.Tensor, layer: str | None) -> tuple[Frame, np.ndarray]:
    """Coordinates of the plane through three points, and the points' own coordinates, 3 × 2."""
    x = points.double().flatten(1).numpy()
    where = f"Their activations at {layer!r}" if layer else "a, b and c"
    check_finite(points, where)
    one, two = x[1] - x[0], x[2] - x[0]
    length = np.linalg.norm(one)
    if not length or not two.any() or np.array_equal(one, two):
        raise InputError(f"{where} are not three different points: no plane goes through them.")
    along = one / length
    across = two - (two @ along) * along
    across -= (across @ along) * along  # once more, for what rounding left
    height = np.linalg.norm(across)
    if height <= COLLINEAR * max(length, np.linalg.norm(two)):
        raise InputError(f"{where} lie on a line: no single plane goes through them. Use segment for a line.")
    across /= height
    frame = Frame(points[0].double().numpy(), np.stack([along, across]))
    return frame, (x - x[0]) @ frame.axes.T


def _verify(exact: nn.Module, result: Plane, *, everywhere: bool) -> None:
    if not len(result):
        return
    regions = np.arange(len(result)) if everywhere else checks.places(result.areas)
    where = result.centroids[regions]
    checks.verify(
        exact,
        result.to_space(where),
        result.outputs_of(regions, where),
        result.codes[regions],
        np.abs(result.outputs_of(np.arange(len(result)), result.centroids)).max(),
        lambda i: (
            f"At the centroid of region {regions[i]}, (u, v) = ({where[i, 0]:.12g}, {where[i, 1]:.12g})"
        ),
    )
