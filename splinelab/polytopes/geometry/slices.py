"""Exact polygons of a two-dimensional slice through a network."""

import heapq
import warnings
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn
from tqdm import tqdm

from splinelab.errors import InputError
from splinelab.polytopes.geometry import checks, trace
from splinelab.polytopes.geometry.exact import home
from splinelab.polytopes.geometry.mesh import TooMany, Uncut, rows_that_fit
from splinelab.polytopes.geometry.points import check_finite, stacked
from splinelab.polytopes.geometry.slice_mesh import SliceMesh, TooManyCells
from splinelab.polytopes.geometry.slice_result import Frame, Plane, Regions
from splinelab.polytopes.geometry.tolerances import COLLINEAR

SMALLEST = 2.0**-12  # a tile this small against the domain is traced whatever memory it takes


def plane(
    model: nn.Module,
    a: ArrayLike,
    b: ArrayLike,
    c: ArrayLike,
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
    memory, device : as for `paths`; the domain is traced in tiles that fit.
    verify : compare map and code at the centroid of every region with the network, and not at some alone.
    progress : show a bar, in shares of the area.

    Raises
    ------
    InputError : points that are identical or on a line; and all errors of `paths`.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)).eval()
    >>> _ = net[0].weight.data.copy_(torch.eye(2)), net[0].bias.data.fill_(-0.5)
    >>> slice = plane(net, [0.0, 0.0], [1.0, 0.0], [0.0, 1.0], margin=0)
    >>> slice, slice.areas
    (Plane(4 regions, 2 units, 1 × 1), array([0.25, 0.25, 0.25, 0.25]))
    """
    if not (margin >= 0 and max_regions >= 1 and memory > 0):
        given = f"{margin!r}, {max_regions!r} and {memory!r}"
        raise InputError(f"margin must be 0 or more, max_regions 1 or more, memory bytes; got {given}.")
    points = stacked([a, b, c], "a, b and c", tokens=layer is not None)
    if points.ndim < 2:
        raise InputError("a, b and c must be points of one shape, each an array; got three numbers.")
    exact, (points,) = checks.begin(model, [points], "a, b and c", layer=layer, device=device)
    frame, corners = _frame(points, layer)
    limits = _limits(exact, points[:1], memory)
    result = _trace_tiles(exact, frame, corners, margin, limits, max_regions, progress)
    if not result.complete:
        _warn(result, max_regions)
    _verify(exact, result, everywhere=verify)
    return result


def _warn(result: Plane, most: int) -> None:
    warnings.warn(
        f"The slice has more than {most:,} regions: stopped with {len(result):,}, on {result.covered:.1%} of "
        "its area. Take points closer together, a smaller margin, a later layer, or more max_regions.",
        RuntimeWarning,
        stacklevel=3,
    )


def _trace_tiles(exact, frame: Frame, corners, margin, limits: list[int], most: int, progress: bool) -> Plane:
    """Trace the domain in tiles that fit, from the middle outwards, until there are too many regions."""
    room = margin * np.ptp(corners, axis=0).max()
    domain = np.stack([corners.min(axis=0) - room, corners.max(axis=0) + room])
    found = Regions(most)
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
                    return found.plane(covered, False, corners=corners, domain=domain, frame=frame)
                for part in _quarters(tile):
                    away = np.abs((part - domain.mean(axis=0)).mean(axis=0))
                    heapq.heappush(tiles, (away.max(), *part[0], part))
                continue
            share = ((tile[1] - tile[0]) / (domain[1] - domain[0])).prod()
            covered += share
            bar.update(share)
    return found.plane(1.0, True, corners=corners, domain=domain, frame=frame)


def _quarters(tile: np.ndarray) -> list[np.ndarray]:
    (left, bottom), (right, top) = tile
    x, y = tile.mean(axis=0)
    parts = ((left, bottom, x, y), (x, bottom, right, y), (left, y, x, top), (x, y, right, top))
    return [np.reshape(part, (2, 2)) for part in parts]


def _rectangle(tile: np.ndarray) -> np.ndarray:
    (left, bottom), (right, top) = tile
    return np.array([[left, bottom], [right, bottom], [right, top], [left, top]])


def _limits(exact: nn.Module, point: torch.Tensor, memory: float) -> list[int]:
    """How many vertices fit into memory at each cut. What is live between two cuts is about as wide as the
    wider one; the first layers, which are the widest, have the fewest vertices."""
    probe = Uncut(2)
    output = trace.run(exact, probe, point.expand(2, *point.shape[1:]).to(home(exact)))
    widths = [value[0].numel() for value in (*probe.given.values(), output)]
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
