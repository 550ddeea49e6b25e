"""The points that a caller gives, as one tensor."""

import numpy as np
import torch

from splinelab.data import Dataset
from splinelab.errors import InputError


def samples_of(points, what: str):
    """The samples of one of splinelab's data sets, or what was given.

    Raises `InputError` for another data set: what it holds under `.images` and what it gives one by one, by
    a transform, may differ.
    """
    if isinstance(points, Dataset):
        return points.images
    if not hasattr(points, "images"):
        if isinstance(points, torch.utils.data.Dataset):
            raise InputError(f"{what} are a {type(points).__name__}: pass samples, such as dataset[0][0].")
        return points
    if hasattr(points, "__getitem__"):
        raise InputError(
            f"{what} are a {type(points).__name__}, which may transform its images: pass samples as they "
            "reach the model, such as dataset[0][0]."
        )
    return points.images


def stacked(points, what: str, *, tokens: bool = False) -> torch.Tensor:
    """Points as one tensor on the processor, points × their shape: float64; with `tokens`, integers stay so.

    `points`: an array, a tensor, a data set of splinelab, or a sequence of points. `what` names them in the
    error (`InputError`) for shapes that differ, values that are no finite numbers, and arrays of integers.
    """
    points = samples_of(points, what)
    if not torch.is_tensor(points) and not isinstance(points, np.ndarray):
        points = list(points)
    if isinstance(points, list):
        typed = any(hasattr(point, "dtype") for point in points)
        rows = [_tensor(point, what) for point in points]
        shapes = {tuple(row.shape) for row in rows}
        if len(shapes) > 1:
            raise InputError(f"{what} must be points of one shape; got {sorted(shapes)}.")
        points = torch.stack(rows) if rows else torch.empty(0)
        points = points if typed or tokens else points.double()
    points = _tensor(points, what)
    if points.is_complex():
        raise InputError(f"{what} are {points.dtype}; expected real numbers.")
    if not points.is_floating_point() and (not tokens or points.dtype in (torch.uint8, torch.bool)):
        way = "" if tokens else " Tokens are walked between at a layer behind their embedding, by layer=."
        raise InputError(
            f"{what} are {points.dtype}; expected floats: convert them as in training, for images usually "
            f"images / 255.{way}"
        )
    points = points if not points.is_floating_point() else points.to(torch.float64)
    check_finite(points, what)
    return points


def check_finite(points: torch.Tensor, what: str) -> None:
    """Raises `InputError` for NaN or infinite values."""
    if not torch.isfinite(points).all():
        raise InputError(f"{what} hold NaN or infinite values; expected finite numbers.")


def _tensor(point, what: str) -> torch.Tensor:
    """Whatever holds numbers, on the processor; of either byte order and any strides."""
    if torch.is_tensor(point):
        return point.detach().cpu()
    try:
        array = np.asarray(point)
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)
        return torch.from_numpy(array.copy())
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} must be arrays of numbers of one shape: {error}.") from None
