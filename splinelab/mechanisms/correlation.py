"""Pearson correlation of sparse profiles, without ever making them dense."""

import numpy as np
from scipy import sparse

from splinelab.errors import InputError

__all__ = ["affinity", "correlation"]

# A variance below this share of the mean square is rounding of float32 values that are all equal.
_CONSTANT = 1e-12
_BLOCK = 1024  # rows of the Gram matrix that are found at once


def correlation(values) -> np.ndarray:
    """Pearson correlation of the columns of `values` (samples × N), an N × N float64 array.

    Equal to `np.corrcoef(values.T)` up to rounding, from the Gram matrix of the stored entries: its cost
    grows with the pairs of components that are on together, not with samples × N². Symmetric to the last
    bit, and sums run over samples in order, so that reordering the columns reorders the result exactly.
    Where `np.corrcoef` gives nan (a column that does not vary) the row and column are 0, the diagonal too.

    Raises InputError for fewer than 2 samples or no column.

    >>> correlation([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]])
    array([[ 1., -1.,  0.],
           [-1.,  1.,  0.],
           [ 0.,  0.,  0.]])
    """
    if np.ndim(values) != 2 and not sparse.issparse(values):
        raise InputError(f"values have shape {np.shape(values)}: expected samples × components")
    x = sparse.csr_matrix(values, dtype=np.float64)
    samples, n = x.shape
    if samples < 2 or n < 1:
        raise InputError(f"values are {x.shape}: expected at least 2 samples and 1 component")
    x.sort_indices()
    columns = x.T.tocsr()
    columns.sort_indices()
    gram = _gram(columns, x)
    mean = np.asarray(columns.sum(axis=1)).ravel() / samples
    square = gram.diagonal() / samples
    variance = square - mean**2
    varies = variance > _CONSTANT * square
    scale = np.zeros(n)
    scale[varies] = 1 / np.sqrt(variance[varies])
    for start in range(0, n, _BLOCK):
        rows = slice(start, start + _BLOCK)
        block = gram[rows]
        block /= samples
        block -= np.multiply.outer(mean[rows], mean)
        block *= np.multiply.outer(scale[rows], scale)
        np.clip(block, -1, 1, out=block)
    np.fill_diagonal(gram, varies)
    return gram


def affinity(correlations) -> np.ndarray:
    """Correlations clamped below at 0, with a diagonal of 0 (Seshadri et al., section 4): N × N float64.

    Raises InputError unless `correlations` is a symmetric matrix of finite numbers from −1 to 1.
    """
    found = np.asarray(correlations, np.float64)
    if found.ndim != 2 or found.shape[0] != found.shape[1] or len(found) == 0:
        raise InputError(f"correlations have shape {found.shape}: expected components × components")
    if not (np.abs(found) <= 1 + 1e-9).all():  # also false for nan
        raise InputError("correlations must be finite numbers from −1 to 1")
    if not np.allclose(found, found.T, rtol=0, atol=1e-9):
        raise InputError("correlations are not symmetric: expected ρᵢⱼ = ρⱼᵢ")
    found = np.maximum(found, 0)
    np.fill_diagonal(found, 0)
    return found


def _gram(columns: sparse.csr_matrix, x: sparse.csr_matrix) -> np.ndarray:
    """xᵀx as a dense array: blocks on and above the diagonal, mirrored."""
    n = x.shape[1]
    gram = np.empty((n, n))
    for start in range(0, n, _BLOCK):
        stop = min(start + _BLOCK, n)
        gram[start:stop, start:] = (columns[start:stop] @ x[:, start:]).toarray()
        gram[stop:, start:stop] = gram[start:stop, stop:].T
    return gram
