"""Ways through activation space: rays from the origin, and great arcs."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from splinelab.errors import InputError
from splinelab.polytopes.geometry.checks import begin
from splinelab.polytopes.geometry.path_result import Path
from splinelab.polytopes.geometry.paths import paths
from splinelab.polytopes.geometry.points import samples_of, stacked
from splinelab.polytopes.geometry.rest import Rest

WHAT = "The points of rays"


class Ray:
    """The path of α · x: `path` and, for its coordinates, the scale α."""

    def __init__(self, path: Path, alphas: np.ndarray):
        self.path, self.alphas = path, alphas

    def alpha(self, t: np.ndarray | float) -> np.ndarray:
        """The scale at coordinates of the path."""
        return np.interp(t, np.arange(len(self.alphas)), self.alphas)

    @property
    def crossings(self) -> np.ndarray:
        """α of every unit flip, ascending."""
        return np.sort(self.alpha(self.path.crossing_t))

    @property
    def class_changes(self) -> tuple[np.ndarray, np.ndarray]:
        """α of every change of the largest output, and the classes in between."""
        where, classes = self.path.class_changes()
        return self.alpha(where), classes

    def density(self, alphas: np.ndarray) -> np.ndarray:
        """Unit flips per unit of length between neighbouring scales of `alphas` (ascending)."""
        return self.path.density(np.interp(alphas, self.alphas, np.arange(len(self.alphas))))

    def __repr__(self) -> str:
        return f"Ray(α from {self.alphas[0]:g} to {self.alphas[-1]:g}, {self.path.crossings:,} unit flips)"


def rays(
    model: nn.Module,
    points: Any,
    *,
    low: float = 1e-4,
    high: float = 10.0,
    layer: str | None = None,
    **options: Any,
) -> list[Ray]:
    """All polytope boundaries on the rays α · x, low ≤ α ≤ high, one ray for each point.

    Each decade is a leg of its own, so that boundaries close to the origin keep their digits. Scaling a
    hidden activation is the source's experiment (Black, Sharkey et al., 2022, Prediction 3).

    Parameters
    ----------
    points : inputs of the model, samples × …; with `layer`, x is their activation there. For directions of
        your own making, such as Gaussian noise, pass `Rest(model, layer, example)` as the model.
    low, high : the scales between which a ray runs.
    model, layer, options : as for `paths`, whose errors it raises.
    """
    if not 0 < low < high < math.inf:
        raise InputError(f"low and high are {low} and {high}; expected 0 < low < high, finite")
    legs = max(1, math.ceil(math.log10(high / low) - 1e-9))
    alphas = np.geomspace(low, high, legs + 1)
    given = samples_of(points, WHAT)
    points = stacked(given, WHAT, tokens=layer is not None)
    given = given if torch.is_tensor(given) or isinstance(given, np.ndarray) else points
    if points.ndim < 2 or not len(points):
        raise InputError(
            f"The points have the shape {tuple(points.shape)}; expected points × the model's input."
        )
    if layer is not None:
        begin(model, [points], WHAT, layer=None, device=options.get("device"))
        model = Rest(model, layer, given)
        points = model.activations(given).to(torch.float64)
    if not points.flatten(1).any(dim=1).all():
        raise InputError("A point lies at the origin: no ray goes through it. Leave it out.")
    scales = torch.from_numpy(alphas).view(-1, *[1] * (points.ndim - 1))
    found = paths(model, [scales * point[None].cpu() for point in points], **options)
    return [Ray(path, alphas) for path in found]


def slerp(start: ArrayLike, end: ArrayLike, steps: int = 33) -> np.ndarray:
    """Spherical interpolation: points from `start` to `end` along the great arc, float64, steps × their
    shape.

    The weights of the two are sin((1 − t)Ω)/sin Ω and sin(tΩ)/sin Ω, as in Shoemake (1985),
    with Ω the angle between the two. Raises `InputError` where that angle is 0 or π.
    """
    start, end = (np.asarray(point, np.float64) for point in (start, end))
    if start.shape != end.shape or steps < 2:
        raise InputError(
            f"slerp got shapes {start.shape} and {end.shape} and {steps} steps; expected equal "
            "shapes and two steps or more"
        )
    lengths = np.linalg.norm(start) * np.linalg.norm(end)
    cosine = (start * end).sum() / lengths if lengths else np.nan
    angle = np.arccos(np.clip(cosine, -1, 1))
    if not (math.isfinite(cosine) and 1e-8 < angle < math.pi - 1e-8):
        raise InputError(
            f"No great arc leads from one point to the other: the angle between them is {angle:g}."
        )
    t = np.linspace(0, 1, steps).reshape(-1, *[1] * start.ndim)
    return (np.sin((1 - t) * angle) * start + np.sin(t * angle) * end) / np.sin(angle)
