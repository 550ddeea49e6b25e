"""Ways through activation space: rays from the origin, great arcs, and the density that sampling sees."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from splinelab.errors import InputError
from splinelab.polytopes.geometry.checks import begin
from splinelab.polytopes.geometry.exact import exact_copy
from splinelab.polytopes.geometry.path_result import Path
from splinelab.polytopes.geometry.paths import paths
from splinelab.polytopes.geometry.points import samples_of, stacked
from splinelab.polytopes.geometry.rest import Rest
from splinelab.recording import record

WHAT = "The points of rays"


class Ray:
    """The path of α · x: `path` and, for its coordinates, the scale α."""

    def __init__(self, path: Path, alphas: np.ndarray):
        self.path, self.alphas = path, alphas

    def alpha(self, t: ArrayLike) -> np.ndarray:
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

    def density(self, alphas: ArrayLike) -> np.ndarray:
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


def sampled_density(
    model: nn.Module,
    centres: ArrayLike,
    *,
    radius: float,
    samples: int = 150,
    seed: int = 0,
    batch_size: int = 1024,
) -> np.ndarray:
    """Polytope density round each centre as sampling sees it: float64, one number for each centre.

    The mean of Hamming distance between the codes of centre and points round it, in units, over `radius`. The
    source samples 150 points round each position and does not give its radius (Black, Sharkey et al., 2022,
    appendix A).

    Parameters
    ----------
    centres : samples × the model's input; for a hidden layer pass `Rest(model, layer, example)` as the model,
        and activations.
    radius, samples : how far away, and how many points round each centre.
    seed : of the random directions, the same for every centre.
    batch_size : points per forward pass.
    """
    centres, model = torch.as_tensor(centres), exact_copy(model)
    if not (radius > 0 and math.isfinite(radius)) or samples < 1:
        raise InputError(f"radius is {radius}, samples {samples}; expected a positive radius and at least 1")
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn((samples, *centres.shape[1:]), generator=generator, dtype=torch.float64)
    directions /= directions.flatten(1).norm(dim=1).view(-1, *[1] * (centres.ndim - 1))
    step = max(1, batch_size // samples)
    densities = []
    for some in centres.to(torch.float64).split(step):
        around = some[:, None] + radius * directions
        points = torch.cat([some[:, None], around], dim=1).flatten(0, 1)
        packed = record(model, points, activations=False, batch_size=batch_size).codes.packed
        packed = packed.reshape(len(some), samples + 1, -1)
        flips = np.unpackbits(packed[:, 1:] ^ packed[:, :1], axis=2).sum(axis=2, dtype=np.int64)
        densities.append(flips.mean(axis=1) / radius)
    return np.concatenate(densities)
