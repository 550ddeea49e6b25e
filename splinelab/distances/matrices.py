"""Distances between samples: all of them, block by block, or the nearest ones."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from splinelab._arguments import check_whole
from splinelab._jobs import groups, spread
from splinelab._memory import require
from splinelab.distances.kernels import kernel
from splinelab.distances.operands import Device

_STRIPE = 2**22  # pairs held at once while looking for neighbours


def _slices(n: int, size: int, start: int = 0) -> list[slice]:
    return [slice(i, min(i + size, n)) for i in range(start, n, size)]


def blocks(
    a: ArrayLike,
    b: ArrayLike | None = None,
    metric: str = "jaccard",
    *,
    block_size: int = 1024,
    backend: str | None = None,
    device: Device = "cpu",
) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Iterate over the distances between `a` and `b` without ever holding all of them.

    Yields (row slice, column slice, float32 block). With `b=None` the distances of `a` to itself are
    symmetric, and only blocks on and above the diagonal are yielded. Arguments as for `pairwise`.
    """
    block_size = check_whole("block_size", block_size)
    k = kernel(a, b, metric, backend, device)

    def iterate() -> Iterator[tuple[slice, slice, np.ndarray]]:
        for rows in _slices(k.shape[0], block_size):
            for cols in _slices(k.shape[1], block_size, rows.start if b is None else 0):
                yield rows, cols, k.block(rows, cols).cpu().numpy()

    return iterate()  # the arguments are checked by now, not at the first block


def pairwise(
    a: ArrayLike,
    b: ArrayLike | None = None,
    metric: str = "jaccard",
    *,
    backend: str | None = None,
    device: Device = "cpu",
) -> np.ndarray:
    """All distances between the samples of `a` and `b` (or of `a` and itself): float32 n × m.

    Raises InputError for empty, non-finite or ill-shaped input.

    Parameters
    ----------
    a, b : `SplineCodes`, arrays of 0 and 1 (hamming, jaccard) or vectors (l2, cosine), samples × units.
    metric : "hamming", the fraction of units that differ, as in scipy; "jaccard", 1 − |a ∧ b| / |a ∨ b| with
        Jaccard(0, 0) = 0; "l2" or "cosine".
    backend : "torch" (default) or "numkong" (the extra `[fast]`, codes only), with the same bits from both.
    device : where to compute; with "torch" it may be a GPU.

    Examples
    --------
    >>> pairwise([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]], metric="jaccard").round(3).tolist()
    [[0.0, 0.6669999957084656, 1.0], [0.6669999957084656, 0.0, 1.0], [1.0, 1.0, 0.0]]
    >>> pairwise([[3.0, 4.0]], [[0.0, 0.0]], metric="l2").tolist()
    [[5.0]]
    """
    k = kernel(a, b, metric, backend, device)
    require(
        4 * k.shape[0] * k.shape[1],
        f"the matrix of {k.shape[0]:,} × {k.shape[1]:,} distances",
        "use blocks, neighbours or class_histograms, which hold one block at a time",
    )
    out = torch.empty(k.shape)
    on_cpu = torch.device(device).type == "cpu"
    height, width = k.step
    for rows in _slices(k.shape[0], height):
        for cols in _slices(k.shape[1], width, rows.start if b is None else 0):
            if on_cpu:
                k.block(rows, cols, out=out[rows, cols])
            else:
                out[rows, cols] = k.block(rows, cols).cpu()
        if b is None:  # the part left of the diagonal block was computed above it
            out[rows.stop :, rows] = out[rows, rows.stop :].T
            _mirror(out[rows, rows])
    return out.numpy()


def neighbours(
    a: ArrayLike,
    b: ArrayLike | None = None,
    k: int = 10,
    metric: str = "hamming",
    *,
    backend: str | None = None,
    device: Device = "cpu",
) -> tuple[np.ndarray, np.ndarray]:
    """The `k` nearest samples of `b` for each sample of `a`: (index int64 n × k, distance float32 n × k).

    Nearest first; ties go to the lower index. With `b=None` neighbours are sought in `a`, the sample
    itself left out. Other arguments as for `pairwise`.

    Examples
    --------
    >>> neighbours([[0, 0, 0], [0, 0, 1], [1, 1, 1]], k=1)[0].tolist()
    [[1], [0], [1]]
    """
    kern = kernel(a, b, metric, backend, device)
    n, m = kern.shape
    k = check_whole("k", k, 1, m - (b is None), "the number of other samples")
    stripes = _slices(n, max(1, _STRIPE // m))
    jobs = groups(stripes, [m * (rows.stop - rows.start) for rows in stripes], _STRIPE)
    found = list(spread(_nearest, [(job,) for job in jobs], kern, k, b is None))
    index, distance = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return index, distance


def _nearest(kern: Any, k: int, own: bool, stripes: list[slice]) -> tuple[np.ndarray, ...]:
    """The job of `neighbours`: index and distance of the nearest, for some stripes of rows."""
    m = kern.shape[1]
    found = []
    for rows in stripes:
        block = kern.block(rows, slice(0, m)).cpu().numpy()
        if own:
            np.fill_diagonal(block[:, rows], np.inf)
        # A non-negative float32 sorts like its bits: distance and index in one integer break every tie.
        key = (block.view(np.int32).astype(np.int64) << 32) | np.arange(m)
        key = np.sort(np.partition(key, k - 1, axis=1)[:, :k], axis=1)
        found.append((key & 0xFFFFFFFF, (key >> 32).astype(np.int32).view(np.float32)))
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))


def condensed(x: Any, metric: str) -> np.ndarray:
    """The distances above the diagonal of `pairwise(x, metric=metric)`, row by row, float64 n(n − 1)/2.

    For a matrix (`metric` "precomputed") its own entries. A quarter of the memory of a square of float64.
    """
    stripes = _precomputed(x) if metric == "precomputed" else _upper(kernel(x, None, metric, None, "cpu"))
    n = len(x)
    out, done = np.empty(n * (n - 1) // 2), 0
    for rows, stripe in stripes:  # columns from rows.start on
        for i in range(rows.stop - rows.start):
            own = stripe[i, i + 1 :]
            out[done : done + len(own)] = own
            done += len(own)
    return out


def square(x: Any, metric: str) -> np.ndarray:
    """`pairwise(x, metric=metric)` as float64, with no float32 matrix beside it; of a matrix a copy."""
    if metric == "precomputed":
        return np.array(x, np.float64)
    kern = kernel(x, None, metric, None, "cpu")
    out = np.empty(kern.shape)
    for rows, stripe in _upper(kern):
        out[rows, rows.start :] = stripe
        out[rows.stop :, rows] = out[rows, rows.stop :].T
    return out


def _upper(kern: Any) -> Iterator[tuple[slice, np.ndarray]]:
    """Stripes of rows from their own first column on, symmetric at the diagonal, as in `pairwise`."""
    height, width = kern.step
    n = kern.shape[1]
    for rows in _slices(n, height):
        stripe = torch.cat([kern.block(rows, cols) for cols in _slices(n, width, rows.start)], dim=1)
        _mirror(stripe[:, : rows.stop - rows.start])
        yield rows, stripe.numpy()


def _precomputed(x: Any) -> Iterator[tuple[slice, np.ndarray]]:
    x = np.asarray(x)
    for rows in _slices(len(x), 512):
        yield rows, x[rows, rows.start :]


def _mirror(square: torch.Tensor) -> None:
    """Copy what lies above the diagonal below it: a matrix product may round its two halves differently."""
    square.copy_(square.triu() + square.triu(1).T)
