"""What can be clustered: codes, vectors, or a matrix of distances."""

import numpy as np

from splinelab.distances.histograms import check_matrix
from splinelab.distances.operands import CODE_METRICS, METRICS, is_codes, packed_bits, unpack, vectors
from splinelab.errors import InputError


def coordinates(x) -> np.ndarray:
    """`x` as samples × units: codes as float32 zeros and ones, vectors as float32 or float64."""
    if is_codes(x):
        return unpack(*packed_bits(x)).astype(np.float32)
    checked = vectors(x)
    return checked.astype(np.float32) if getattr(np.asarray(x), "dtype", None) == np.float32 else checked


def resolve_metric(x, metric, *, code_default="jaccard") -> str:
    """The metric named, or the default: `code_default` for SplineCodes, "l2" for vectors."""
    metric = metric or (code_default if is_codes(x) else "l2")
    if metric not in (*METRICS, "precomputed"):
        expected = ", ".join((*METRICS, "precomputed"))
        raise InputError(f"unknown metric {metric!r}: expected one of {expected}")
    return metric


def check_samples(x, metric) -> int:
    """The number of samples of valid input for `metric`; raise InputError for anything else."""
    if metric == "precomputed":
        if np.shape(x) == (1, 1):
            return 1
        return len(check_matrix(x, "x"))
    return len(packed_bits(x)[0] if metric in CODE_METRICS else vectors(x))


def check_k(k, n) -> int:
    """A number of clusters from 1 to n; raise InputError otherwise."""
    if k is None or isinstance(k, bool) or int(k) != k or not 1 <= k <= n:
        raise InputError(f"k is {k}: expected a whole number from 1 to {n}, the number of samples")
    return int(k)
