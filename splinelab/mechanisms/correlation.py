"""Pearson correlation of sparse profiles, without ever making them dense."""

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import safe_sparse_dot

from splinelab.errors import InputError

__all__ = ["affinity", "correlation"]

# A variance below this share of the mean square is rounding of float32 values that are all equal.
_CONSTANT = 1e-12
_BLOCK = 512  # rows of the Gram matrix that are found at once


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
    if not x.has_canonical_format:
        x = x.copy()  # the caller's entries stay where they are
        x.sum_duplicates()
    mean = np.bincount(x.indices, x.data, n) / samples
    square = np.bincount(x.indices, x.data**2, n) / samples
    variance = square - mean**2
    varies = variance > _CONSTANT * square
    scale = np.zeros(n)
    scale[varies] = 1 / np.sqrt(samples * variance[varies])
    # With columns scaled to unit variance, ρ is their Gram matrix less the product of their means.
    scaled = sparse.csr_matrix((x.data * scale[x.indices], x.indices, x.indptr), shape=x.shape)
    found = _gram(scaled, np.sqrt(samples) * mean * scale)
    np.fill_diagonal(found, varies)
    return found


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


def _gram(x: sparse.csr_matrix, mean: np.ndarray) -> np.ndarray:
    """Dot products of the columns of `x`, less those of `mean`, clipped to [−1, 1].

    Blocks on and above the diagonal, the rest mirrored.
    """
    n = len(mean)
    columns = x.T.tocsr()
    gram = np.empty((n, n))
    for start in range(0, n, _BLOCK):
        rows = slice(start, min(start + _BLOCK, n))
        block = safe_sparse_dot(columns[rows], x[:, start:], dense_output=True)
        block -= np.multiply.outer(mean[rows], mean[start:])
        gram[rows, start:] = np.clip(block, -1, 1, out=block)
        gram[rows.stop :, rows] = gram[rows, rows.stop :].T
    return gram
