"""Soft spline codes: how far a unit is on, between 0 and 1, where its activation is smooth.

Balestriero and Baraniuk (2018), "From Hard to Soft": a region is taken with the probability softmax over
regions of η · (its affine map), η = β / (1 − β). The two regions of a ReLU, u and 0, give the gate σ(ηu) and
the output u · σ(ηu): ReLU at β = 1, SiLU at β = ½, u / 2 at β = 0. GELU's gate is Φ(u), a normal
distribution's, and the slope of softplus is σ(u).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import expit, ndtr
from torch import nn

from splinelab.errors import InputError
from splinelab.polytopes.geometry.mesh import rounding
from splinelab.polytopes.geometry.paths import segment


def _tanh_gate(u: Any) -> Any:
    """The gate of GELU's approximation by tanh."""
    return expit(2 * math.sqrt(2 / math.pi) * (u + 0.044715 * u**3))


GATES = {"relu": expit, "silu": expit, "softplus": expit, "gelu": ndtr, "gelu_tanh": _tanh_gate}


def steepness(beta: float) -> float:
    """η = β / (1 − β) of a temperature β from 0 (linear) over ½ (SiLU) to 1 (ReLU, η = ∞)."""
    if not 0 <= beta <= 1:
        raise InputError(f"beta is {beta}; expected 0 to 1")
    return beta / (1 - beta) if beta < 1 else math.inf


def soft_code(pre: ArrayLike, activation: str = "silu", *, beta: float = 0.5) -> np.ndarray:
    """How far each unit is on, 0 to 1: float64, the shape of the pre-activations `pre`.

    For SiLU and GELU `pre · soft_code(pre)` is the activation itself. Raises `InputError` for NaN, an unknown
    activation and β outside 0 to 1.

    Parameters
    ----------
    activation : "relu" or "silu" (σ(ηu)), "gelu" (Φ(ηu)), "gelu_tanh" (its approximation) or "softplus"
        (σ(ηu), its slope).
    beta : at ½, η is 1: the activation as it is (softplus with a `beta` b of its own: β = b/(1 + b)). At 1
        the code is hard: 0, 1, and ½ on the boundary.

    Examples
    --------
    >>> soft_code([-2.0, 0.0, 2.0], "silu", beta=1).tolist()
    [0.0, 0.5, 1.0]
    """
    if activation not in GATES:
        raise InputError(f"unknown activation {activation!r}; expected one of {', '.join(GATES)}")
    return _gate(activation, _finite(pre), steepness(beta))


def total_variation(values: ArrayLike | Mapping[str, np.ndarray], eta: float) -> np.ndarray:
    """How far all gates σ(ηz) together move on each piece of a path: float64, knots − 1.

    Parameters
    ----------
    values : pre-activations knots × units, or a mapping of layers to them (`Path.values`), linear between the
        knots; each gate is then monotone in between, and its total variation exact.
    eta : as it grows, the sum over pieces tends to the number of unit flips; at `math.inf` values within
        rounding of 0 lie on the boundary, where a gate is half open.
    """
    layers = list(values.values()) if isinstance(values, Mapping) else [values]
    if not eta > 0:
        raise InputError(f"eta is {eta}; expected a positive steepness, math.inf for the hard code")
    if not layers:
        raise InputError("no pre-activations were given: trace the path with values=True")
    moved = np.zeros(1)
    for z in layers:
        z = _finite(z)
        if z.ndim != 2 or len(z) < 2:
            raise InputError(
                f"pre-activations have shape {z.shape}; expected knots × units, at least two knots"
            )
        if eta == math.inf:
            z = np.where(np.abs(z) <= rounding(torch.from_numpy(z)).numpy(), 0.0, z)
        moved = moved + np.abs(np.diff(_gate("relu", z, eta), axis=0)).sum(axis=1)
    return moved


@dataclass(frozen=True, eq=False)
class SoftDensity:
    """What `soft_density` returns.

    Attributes
    ----------
    t : float64, pieces + 1, from 0 to 1 along the segment.
    variation : float64, pieces, how far the gates move on each.
    length : Euclidean, of the segment.
    """

    t: np.ndarray
    variation: np.ndarray
    length: float

    @property
    def total(self) -> float:
        """Total variation of all gates: the soft counterpart of the number of unit flips."""
        return float(self.variation.sum())

    @property
    def density(self) -> float:
        """Soft unit flips per unit of length."""
        return self.total / self.length


def soft_density(
    model: nn.Module,
    start: ArrayLike,
    end: ArrayLike,
    *,
    eta: float = 1.0,
    layer: str | None = None,
    **options: Any,
) -> SoftDensity:
    """Soft polytope density on a segment of a piecewise-linear network, exact: the total variation of
    σ(ηz) of every unit, from its pre-activations at the exact boundaries.

    Arguments, options and errors as in `segment`. As η grows the total tends to the number of crossings.
    For several η trace once, `segment(..., values=True)`, and pass its `values` to `total_variation`.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(1, 1), nn.ReLU()).eval()
    >>> _ = net[0].weight.data.fill_(1.0), net[0].bias.data.fill_(0.0)
    >>> round(soft_density(net, [-1.0], [1.0], eta=3.0).total, 4)  # σ(3) − σ(−3)
    0.9051
    """
    path = segment(model, start, end, layer=layer, values=True, **options)
    length = float(np.linalg.norm(path.waypoints[1] - path.waypoints[0]))
    return SoftDensity(path.t, total_variation(path.values, eta), length)


def _gate(kind: str, u: np.ndarray, eta: float) -> np.ndarray:
    if eta == math.inf:
        return np.heaviside(u, 0.5)
    return GATES[kind](eta * u)


def _finite(values: ArrayLike) -> np.ndarray:
    if hasattr(values, "detach"):  # a torch tensor, on whatever device
        values = values.detach().cpu().numpy()
    values = np.asarray(values, np.float64)
    if not np.isfinite(values).all():
        raise InputError("values hold NaN or infinity; expected finite numbers")
    return values
