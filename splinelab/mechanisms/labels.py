"""Labels of components, checked before anything is counted."""

import numpy as np
from numpy.typing import ArrayLike

from splinelab.distances.operands import as_array
from splinelab.errors import InputError


def whole_numbers(labels: ArrayLike, name: str = "labels") -> np.ndarray:
    """N whole numbers as int64; raises InputError for anything else."""
    found = as_array(labels, name)
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise InputError(f"{name} are {found.dtype} of shape {found.shape}; expected N whole numbers")
    if found.dtype.kind == "u" and len(found) and found.max() > np.iinfo(np.int64).max:
        raise InputError(f"{name} hold {found.max()}, beyond int64: was −1 stored without a sign?")
    return found.astype(np.int64)


def aligned(labels: ArrayLike, **others: ArrayLike) -> list[np.ndarray]:
    """Labels as whole numbers, and the others as arrays of one entry for each label."""
    labels = whole_numbers(labels)
    found = [labels]
    for name, other in others.items():
        other = as_array(other, name)
        if other.shape != labels.shape:
            raise InputError(
                f"{name} have shape {other.shape}; expected one for each of {len(labels)} labels"
            )
        found.append(other)
    return found


def numbered(labels: np.ndarray) -> np.ndarray:
    """The same clusters, numbered from 0 by their first component; −1 stays."""
    found = np.full(len(labels), -1, np.int64)
    alive = np.flatnonzero(labels >= 0)
    _, first, codes = np.unique(labels[alive], return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    found[alive] = rank[codes.reshape(-1)]
    return found
