"""The points that a caller gives, as one tensor."""

import numpy as np
import torch

from splinelab.errors import InputError

__all__ = ["check_finite", "stacked"]


def stacked(points, what: str, *, tokens: bool = False) -> torch.Tensor:
    """Points as one tensor on the processor, points × their shape: float64; with `tokens`, integers stay so.

    `points`: an array, a tensor, a data set with `images`, or a sequence of points. `what` names them in the
    error (`InputError`) for shapes that differ and for values that are not finite.
    """
    points = getattr(points, "images", points)
    if not torch.is_tensor(points):
        rows = [np.asarray(point.detach().cpu() if torch.is_tensor(point) else point) for point in points]
        shapes = {row.shape for row in rows}
        if len(shapes) > 1:
            raise InputError(f"{what} must be points of one shape; got {sorted(shapes)}.")
        points = torch.as_tensor(np.stack(rows)) if rows else torch.empty(0)
    points = points.detach().cpu()
    points = points if tokens and not points.is_floating_point() else points.to(torch.float64)
    check_finite(points, what)
    return points


def check_finite(points: torch.Tensor, what: str) -> None:
    """Raises `InputError` for NaN or infinite values."""
    if not torch.isfinite(points).all():
        raise InputError(f"{what} hold NaN or infinite values; expected finite numbers.")
