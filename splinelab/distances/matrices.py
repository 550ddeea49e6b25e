"""Distances between samples: all of them, block by block, or the nearest ones."""

import numpy as np
import torch

from splinelab.distances.kernels import kernel
from splinelab.errors import InputError

_STRIPE = 2**22  # pairs held at once while looking for neighbours


def _slices(n, size, start=0):
    return [slice(i, min(i + size, n)) for i in range(start, n, size)]


def blocks(a, b=None, metric="jaccard", *, block_size=1024, backend=None, device="cpu"):
    """Iterate over the distances between `a` and `b` without ever holding all of them.

    Yields (row slice, column slice, float32 block). With `b=None` the distances of `a` to itself are
    symmetric, and only blocks on and above the diagonal are yielded. Arguments as for `pairwise`.
    """
    if block_size < 1:
        raise InputError(f"block_size is {block_size}: expected at least 1")
    k = kernel(a, b, metric, backend, device)

    def iterate():
        for rows in _slices(k.shape[0], block_size):
            for cols in _slices(k.shape[1], block_size, rows.start if b is None else 0):
                yield rows, cols, k.block(rows, cols).cpu().numpy()

    return iterate()  # the arguments are checked by now, not at the first block


def pairwise(a, b=None, metric="jaccard", *, backend=None, device="cpu"):
    """All distances between the samples of `a` and `b` (or of `a` and itself): float32 n × m.

    `a`, `b`: `SplineCodes`, arrays of 0 and 1 (hamming, jaccard) or vectors (l2, cosine), samples × units.
    Hamming is the fraction of units that differ, as in scipy; Jaccard is 1 − |a ∧ b| / |a ∨ b| with
    Jaccard(0, 0) = 0. `backend`: "torch" (default; `device` may be a GPU) or "numkong" (the extra
    `[fast]`, codes only), with the same bits from both. Raises InputError for empty, non-finite or
    ill-shaped input.

    >>> pairwise([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]], metric="jaccard").round(3).tolist()
    [[0.0, 0.6669999957084656, 1.0], [0.6669999957084656, 0.0, 1.0], [1.0, 1.0, 0.0]]
    >>> pairwise([[3.0, 4.0]], [[0.0, 0.0]], metric="l2").tolist()
    [[5.0]]
    """
    k = kernel(a, b, metric, backend, device)
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
            square = out[rows, rows]  # a matrix product may round its two halves differently
            square.copy_(square.triu() + square.triu(1).T)
    return out.numpy()


def neighbours(a, b=None, k=10, metric="hamming", *, backend=None, device="cpu"):
    """The `k` nearest samples of `b` for each sample of `a`: (index int64 n × k, distance float32 n × k).

    Nearest first; ties go to the lower index. With `b=None` neighbours are sought in `a`, the sample
    itself left out.

    >>> neighbours([[0, 0, 0], [0, 0, 1], [1, 1, 1]], k=1)[0].tolist()
    [[1], [0], [1]]
    """
    kern = kernel(a, b, metric, backend, device)
    n, m = kern.shape
    most = m - (b is None)
    if not 1 <= k <= most:
        raise InputError(f"k is {k}: expected 1 to {most}, the number of other samples")
    index, distance = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
    for rows in _slices(n, max(1, _STRIPE // m)):
        block = kern.block(rows, slice(0, m)).cpu().numpy()
        if b is None:
            np.fill_diagonal(block[:, rows], np.inf)
        # A non-negative float32 sorts like its bits: distance and index in one integer break every tie.
        key = (block.view(np.int32).astype(np.int64) << 32) | np.arange(m)
        key = np.sort(np.partition(key, k - 1, axis=1)[:, :k], axis=1)
        index[rows] = key & 0xFFFFFFFF
        distance[rows] = (key >> 32).astype(np.int32).view(np.float32)
    return index, distance
