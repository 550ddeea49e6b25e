"""Pearson correlation of sparse profiles, without ever making them dense."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.utils.extmath import safe_sparse_dot

from splinelab._jobs import spread
from splinelab._memory import require
from splinelab.distances.operands import as_array
from splinelab.errors import InputError

# A variance below this share of the mean square is rounding of float32 values that are all equal.
_CONSTANT = 1e-12
_BLOCK = 512  # rows of the Gram matrix that are found at once


class Correlations:
    """The correlations of N components, a stripe of rows at a time: of profiles, samples × N.

    `stripes(function, *shared)` gives `function(rows, block, *shared)` for each stripe in its order, `block`
    being float64, rows × N, to be overwritten at will; with `upper=True` only its columns from
    `rows.start` on. Stripes run through joblib: a configured backend finds the block and applies `function`
    where the block is, so that only what `function` returns is sent back.
    """

    def __init__(self, values: ArrayLike | sparse.spmatrix) -> None:
        x, self._mean, self._varies = _standardised(values)
        self._columns, self._x = x.T.tocsr(), x
        self.n = len(self._mean)

    def stripes(self, function: Callable, *shared: Any, upper: bool = False) -> Iterator[Any]:
        jobs = [(self._columns[rows], rows) for rows in row_slices(self.n)]
        return spread(_stripe, jobs, self._x, self._mean, self._varies, upper, function, shared)

    def matrix(self) -> np.ndarray:
        """All of them, N × N; raises InputError where that does not fit."""
        require(8 * self.n**2, f"the matrix of {self.n:,} correlations each way", INSTEAD)
        found = np.empty((self.n, self.n))
        for rows, block in zip(row_slices(self.n), self.stripes(_whole, upper=True), strict=True):
            found[rows, rows.start :] = block
            found[rows.stop :, rows] = found[rows, rows.stop :].T
        return found


class _Known(Correlations):
    """Correlations that are there already."""

    def __init__(self, matrix: np.ndarray) -> None:
        self._matrix, self.n = matrix, len(matrix)

    def stripes(self, function: Callable, *shared: Any, upper: bool = False) -> Iterator[Any]:
        for rows in row_slices(self.n):
            yield function(rows, self._matrix[rows, rows.start if upper else 0 :].copy(), *shared)

    def matrix(self) -> np.ndarray:
        require(8 * self.n**2, f"a copy of {self.n:,} correlations each way", INSTEAD)
        return self._matrix.copy()


INSTEAD = (
    "SpectralMechanisms, PaperSpectral and ThresholdComponents hold a few rows at a time; or keep fewer "
    "components alive by a higher threshold"
)


def as_rows(correlations: Correlations | ArrayLike) -> Correlations:
    """`Correlations` as they are, or of a known N × N matrix."""
    if isinstance(correlations, Correlations):
        return correlations
    return _Known(check_correlations(correlations))


def correlation(values: ArrayLike | sparse.spmatrix) -> np.ndarray:
    """Pearson correlation of the columns of `values` (samples × N), an N × N float64 array.

    Equal to `np.corrcoef(values.T)` up to rounding, from the Gram matrix of the stored entries: its cost
    grows with the pairs of components that are on together, not with samples × N². Symmetric to the last
    bit, and sums run over samples in order, so that reordering the columns reorders the result exactly.
    Where `np.corrcoef` gives nan (a column that does not vary) the row and column are 0, the diagonal too.

    Raises InputError for fewer than 2 samples or no column, and where N² numbers do not fit.

    >>> correlation([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]])
    array([[ 1., -1.,  0.],
           [-1.,  1.,  0.],
           [ 0.,  0.,  0.]])
    """
    return Correlations(values).matrix()


def pairs_above(correlations: Correlations, threshold: float) -> sparse.coo_matrix:
    """Correlations above a threshold of components i < j, N × N; all others are left out."""
    found = list(correlations.stripes(_above, threshold, upper=True))
    i, j, value = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return sparse.coo_matrix((value, (i, j)), shape=(correlations.n, correlations.n))


def _above(rows: slice, block: np.ndarray, threshold: float) -> tuple[np.ndarray, ...]:
    i, j = np.nonzero(block > threshold)
    later = j > i
    i, j = i[later].astype(np.int32), j[later].astype(np.int32)
    return i + np.int32(rows.start), j + np.int32(rows.start), block[i, j]


def affinity(correlations: ArrayLike) -> np.ndarray:
    """Correlations clamped below at 0, with a diagonal of 0 (Seshadri et al., section 4): N × N float64.

    Raises InputError unless `correlations` is a symmetric matrix of finite numbers from −1 to 1.
    """
    found = np.maximum(check_correlations(correlations), 0)
    np.fill_diagonal(found, 0)
    return found


def check_correlations(correlations: ArrayLike) -> np.ndarray:
    """A symmetric float64 matrix of numbers from −1 to 1, not copied if it is one; else InputError."""
    found = np.asarray(as_array(correlations, "correlations"), np.float64)
    check_square(found, "correlations")
    if not (found.min() >= -1 - 1e-9 and found.max() <= 1 + 1e-9):  # also false for nan
        raise InputError("correlations must be finite numbers from −1 to 1")
    check_symmetric(found, "correlations")
    return found


def check_square(matrix: np.ndarray, name: str) -> None:
    """Raise InputError unless `matrix` is N × N, N at least 1."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) == 0:
        raise InputError(f"{name} have shape {matrix.shape}; expected components × components")


def check_symmetric(matrix: np.ndarray, name: str) -> None:
    """Raise InputError unless `matrix` is its own transpose, to within 1e-9."""
    for rows in row_slices(len(matrix)):
        ours, theirs = matrix[rows, rows.start :], matrix[rows.start :, rows].T
        if not (np.array_equal(ours, theirs) or np.abs(ours - theirs).max() <= 1e-9):
            raise InputError(f"{name} are not symmetric; expected ρᵢⱼ = ρⱼᵢ")


def _standardised(values: ArrayLike | sparse.spmatrix) -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray]:
    """(x, mean, varies): ρ is the Gram matrix of the columns of x less the product of their means."""
    if np.ndim(values) != 2 and not sparse.issparse(values):
        raise InputError(f"values have shape {np.shape(values)}; expected samples × components")
    x = sparse.csr_matrix(values if sparse.issparse(values) else as_array(values, "values"), dtype=np.float64)
    samples, n = x.shape
    if samples < 2 or n < 1:
        raise InputError(f"values are {x.shape}; expected at least 2 samples and 1 component")
    if not np.isfinite(x.data).all():
        raise InputError("values hold NaN or infinity; expected finite numbers")
    if not x.has_canonical_format:
        x = x.copy()  # the caller's entries stay where they are
        x.sum_duplicates()
    mean = np.bincount(x.indices, x.data, n) / samples
    square = np.bincount(x.indices, x.data**2, n) / samples
    variance = square - mean**2
    varies = variance > _CONSTANT * square
    scale = np.zeros(n)
    scale[varies] = 1 / np.sqrt(samples * variance[varies])
    scaled = sparse.csr_matrix((x.data * scale[x.indices], x.indices, x.indptr), shape=x.shape)
    return scaled, np.sqrt(samples) * mean * scale, varies


def _stripe(
    x: np.ndarray,
    mean: np.ndarray,
    varies: np.ndarray,
    upper: bool,
    function: Callable,
    shared: tuple,
    columns: slice,
    rows: slice,
) -> Any:
    """The job of `Correlations.stripes`: dot products of some columns of `x` with all, or with those that
    follow, less those of `mean`, clipped to [−1, 1]."""
    first = rows.start if upper else 0
    block = safe_sparse_dot(columns, x[:, first:] if first else x, dense_output=True)
    block -= np.multiply.outer(mean[rows], mean[first:])
    np.clip(block, -1, 1, out=block)
    own = np.arange(rows.start, rows.stop)
    block[own - rows.start, own - first] = varies[rows]
    return function(rows, block, *shared)


def _whole(rows: slice, block: np.ndarray) -> np.ndarray:
    return block


def row_slices(n: int) -> list[slice]:
    """The rows that are held at once."""
    return [slice(start, min(start + _BLOCK, n)) for start in range(0, n, _BLOCK)]


def to_distances(rows: slice, block: np.ndarray) -> np.ndarray:
    """1 − ρ of a stripe, in its place."""
    return np.subtract(1, np.clip(block, -1, 1, out=block), out=block)


def distances(correlations: Correlations) -> np.ndarray:
    """1 − ρ, N × N, a diagonal of 0."""
    found = to_distances(slice(None), correlations.matrix())
    np.fill_diagonal(found, 0)
    return found
