"""What can be clustered: codes, vectors, or a matrix of distances."""

from typing import Any

import numpy as np

from splinelab._arguments import check_whole
from splinelab.distances.operands import (
    CODE_METRICS,
    METRICS,
    as_array,
    check_matrix,
    check_scale,
    is_codes,
    packed_bits,
    unpack,
    vectors,
)
from splinelab.errors import InputError


def coordinates(x: Any) -> tuple[np.ndarray, int]:
    """(points, e) with `x` = points · 2ᵉ, samples × units: codes as float32 zeros and ones, vectors as
    float32 or float64 with a largest entry of about 1, so that scikit-learn's squares stay finite and its
    tolerances fit. A power of two changes no digit. Raises InputError as L2 distances do."""
    if is_codes(x):
        return unpack(*packed_bits(x)).astype(np.float32), 0
    x = as_array(x)
    checked = vectors(x)
    largest = np.abs(checked).max()
    check_scale(largest, "x")
    power = int(np.frexp(largest)[1])
    points = np.ldexp(checked, -power)
    return (points.astype(np.float32) if x.dtype == np.float32 else points), power


def resolve_metric(x: Any, metric: str | None, *, code_default: str = "jaccard") -> str:
    """The metric named, or the default: `code_default` for SplineCodes, "l2" for vectors."""
    metric = (code_default if is_codes(x) else "l2") if metric is None else metric
    if metric not in (*METRICS, "precomputed"):
        expected = ", ".join((*METRICS, "precomputed"))
        raise InputError(f"unknown metric {metric!r}: expected one of {expected}")
    return metric


def check_samples(x: Any, metric: str) -> int:
    """The number of samples of valid input for `metric`; raise InputError for anything else."""
    if metric == "precomputed":
        if np.shape(x) == (1, 1):
            return 1
        return len(_distances(x))
    return len(packed_bits(x)[0] if metric in CODE_METRICS else vectors(x))


def check_k(k: Any, n: int) -> int:
    """A number of clusters from 1 to n; raise InputError otherwise."""
    return check_whole("k", k, 1, n, "the number of samples")


def _distances(x: Any) -> np.ndarray:
    """A matrix of distances: as `check_matrix`, none below 0 and 0 from each sample to itself."""
    x = check_matrix(x, "x")
    low, own, high = float(x.min()), float(np.abs(x.diagonal()).max()), float(x.max())
    if low < -1e-6 * high or own > 1e-6 * high:
        raise InputError(
            f"x has entries from {low:.3g} to {high:.3g} and up to {own:.3g} on its diagonal: expected "
            "distances, at least 0 and 0 from each sample to itself; of similarities, 1 − similarity"
        )
    return x
