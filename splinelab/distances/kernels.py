"""One block of distances, computed by one of two backends.

`torch` (the default, also the GPU path) counts common ones by a float32 matrix product of 0 and 1, exact
below 2²⁴ units whatever the precision of the product; `numkong` counts differing bits of the packed codes
(the optional extra `[fast]`). Both hand over the same integers, and the division that follows is shared,
so that the distances agree bit for bit.
"""

import itertools
import os
import warnings
from typing import Any

import numpy as np
import torch

from splinelab._arguments import check_device
from splinelab.distances.operands import (
    CODE_METRICS,
    LARGEST,
    METRICS,
    Device,
    check_scale,
    packed_bits,
    unpack,
    vectors,
)
from splinelab.errors import InputError

_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1)  # ones in a byte
BACKENDS = ("torch", "numkong")
_ROUNDING = 2.0**-40  # copies of one vector lie so far apart at most, as a share of the largest number
_KEEP = 2**27  # floats of unpacked codes kept at once (512 MiB); larger codes are unpacked block by block


def _numkong():
    try:
        import numkong
    except ImportError as error:
        raise InputError(
            "backend 'numkong' is not installed: install the extra (pip install 'splinelab[fast]') "
            "or use backend='torch'"
        ) from error
    return numkong


def _ones(packed: np.ndarray) -> torch.Tensor:
    # numpy counts bits itself from 2.0 on
    bits = np.bitwise_count(packed) if hasattr(np, "bitwise_count") else _BITS[packed]
    return torch.from_numpy(bits.sum(axis=1, dtype=np.int32)).float()


class _Side:
    """One side of the pairs: packed codes and their number of ones, unpacked to float32 on demand."""

    def __init__(self, packed: np.ndarray, units: int, device: torch.device):
        self.packed, self.units, self.device = packed, units, device
        self.ones = _ones(packed).to(device)
        self._all = self._unpack(slice(None)) if len(packed) * units <= _KEEP else None

    def _unpack(self, rows: slice) -> torch.Tensor:
        return torch.from_numpy(unpack(self.packed[rows], self.units)).to(self.device).float()

    def floats(self, rows: slice) -> torch.Tensor:
        return self._unpack(rows) if self._all is None else self._all[rows]


_revived: dict = {}  # in a worker: the kernel of the jobs at hand, made once and not once a job
_numbers = itertools.count()


class _Kernel:
    """What can be sent to a worker: `_set(*_state())` makes the same kernel again from plain arrays."""

    def __init__(self, *state):
        self._token = os.getpid(), os.urandom(8), next(_numbers)
        self._set(*state)

    def _state(self) -> tuple:
        raise NotImplementedError

    def _set(self, *state: Any) -> None:
        raise NotImplementedError

    def __reduce__(self):
        return _revive, (type(self), self._token, self._state())

    def __sizeof__(self) -> int:  # by which Dask decides to send the kernel once and not with every job
        return sum(part.nbytes for part in self._state() if isinstance(part, np.ndarray))


def _revive(kind, token, state):
    found = _revived.get(token)
    if found is None:
        found = object.__new__(kind)
        found._token = token
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*not writable")  # and nothing writes to it
            found._set(*state)
        _revived.clear()
        _revived[token] = found
    return found


class CodeKernel(_Kernel):
    """Hamming and Jaccard between two sets of codes, block by block."""

    def __init__(self, a, b, metric: str, backend: str, device: torch.device):
        packed, units = packed_bits(a, "a")
        other, units_b = (None, units) if b is None else packed_bits(b, "b")
        if units_b != units:
            raise InputError(
                f"a has {units} units and b has {units_b}: expected the same units on both sides"
            )
        super().__init__(packed, other, units, metric, backend, device)

    def _state(self):
        return self._packed, self._other, self.units, self.metric, self._backend, str(self.device)

    def _set(self, packed, other, units, metric, backend, device):
        self._packed, self._other, self._backend = packed, other, backend
        self.metric, self.units, self.device = metric, units, torch.device(device)
        self._nk = _numkong() if backend == "numkong" else None
        make = _PackedSide if self._nk else _Side
        # A product of matrices wants large blocks; popcounts are so quick that the division that follows
        # must find them in the cache.
        self.step = (128, 1024) if self._nk else (512, 4096)
        self._a = make(packed, units, device)
        self._b = self._a if other is None else make(other, units, device)
        self.shape = len(self._a.packed), len(self._b.packed)
        # Jaccard(0, 0) = 0 by convention; only then can the union be zero.
        self._empty = bool((self._a.ones == 0).any() and (self._b.ones == 0).any())

    def differing(self, rows: slice, cols: slice) -> torch.Tensor:
        """Tensor rows × cols: the number of units in which the codes differ (float32 or int32, exact)."""
        if self._nk:
            packed = self._nk.hammings_pack(self._b.packed[cols])
            counts = self._nk.hammings_packed(self._a.packed[rows], packed)
            return torch.from_numpy(np.asarray(counts).view(np.int32))
        # |a| + |b| − 2 |a ∧ b|: the product of zeros and ones stays exact in TF32 and bfloat16 too.
        product = torch.addmm(self._b.ones[cols], self._a.floats(rows), self._b.floats(cols).T, alpha=-2)
        return product.add_(self._a.ones[rows, None])

    def union(self, rows: slice, cols: slice, differing: torch.Tensor) -> torch.Tensor:
        """Float32 tensor rows × cols: in how many units at least one code is 1."""
        half = torch.add(self._a.ones[rows, None] * 0.5, differing, alpha=0.5)
        return half.add_(self._b.ones[cols] * 0.5)

    def block(self, rows: slice, cols: slice, out: torch.Tensor | None = None) -> torch.Tensor:
        """Float32 tensor rows × cols of distances, each the float32 nearest to its exact ratio."""
        differing = self.differing(rows, cols).float()
        if self.metric == "hamming":
            return torch.div(differing, self.units, out=out)
        union = self.union(rows, cols, differing)
        return torch.div(differing, union.clamp_(min=1) if self._empty else union, out=out)


class _PackedSide(_Side):
    """A side that is never unpacked."""

    def __init__(self, packed, units, device):
        # Rows of whole 16-byte words: NumKong reads a shorter end bit by bit, at half the speed.
        self.packed = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 16)))
        self.units, self.ones = units, _ones(packed)


class VectorKernel(_Kernel):
    """L2 and cosine between two sets of vectors: products in float64, distances returned as float32.

    Vectors are shifted by their common mean first (L2 does not change), since ‖a‖² + ‖b‖² − 2ab loses digits
    where the mean is large. A zero vector has no direction: its cosine distance is 0 to another
    zero vector and 1 to the rest.
    """

    def __init__(self, a, b, metric: str, device: torch.device):
        a = vectors(a, "a")
        both = b is not None
        b = vectors(b, "b") if both else a
        if a.shape[1] != b.shape[1]:
            raise InputError(
                f"a has {a.shape[1]} units and b has {b.shape[1]}: expected the same units on both sides"
            )
        if metric == "l2":
            largest = max(np.abs(a).max(), np.abs(b).max())
            if largest > LARGEST:  # before a sum can overflow
                check_scale(largest, "x")
            mean = a.mean(axis=0)
            a, b = a - mean, (b - mean if both else None)
            spread = max(np.abs(a).max(), 0 if b is None else np.abs(b).max())
            if spread > largest * _ROUNDING:  # else all samples are copies
                check_scale(spread, "x")
        else:
            a, b = _unit(a), (_unit(b) if both else None)
        super().__init__(a, b, metric, device)
        if self.limit > LARGEST:
            check_scale(self.limit, "x")

    def _state(self):
        arrays = self._a.cpu().numpy(), None if self._self else self._b.cpu().numpy()
        return *arrays, self.metric, str(self.device)

    def _set(self, a, b, metric, device):
        self.metric, self.step, self.device = metric, (512, 4096), torch.device(device)
        self._self = b is None
        self._a = torch.from_numpy(a).to(device)
        self._b = self._a if b is None else torch.from_numpy(b).to(device)
        self._a2, self._b2 = (self._a**2).sum(1), (self._b**2).sum(1)
        self.shape = len(self._a), len(self._b)
        # No distance is larger: the histogram's upper end.
        self.limit = 2.0 if metric == "cosine" else float(self._a2.max() ** 0.5 + self._b2.max() ** 0.5)

    def block(self, rows: slice, cols: slice, out: torch.Tensor | None = None) -> torch.Tensor:
        product = self._a[rows] @ self._b[cols].T
        if self.metric == "cosine":
            distance = product.neg_().add_(1).clamp_(0, 2)
        else:
            distance = product.mul_(-2).add_(self._a2[rows, None]).add_(self._b2[cols]).clamp_(min=0).sqrt_()
        if self._self:  # rounding must not part a sample from itself
            first, last = max(rows.start, cols.start), min(rows.stop, cols.stop)
            if first < last:
                i = torch.arange(first, last, device=distance.device)
                distance[i - rows.start, i - cols.start] = 0
        return distance.float() if out is None else out.copy_(distance)


def _unit(x: np.ndarray) -> np.ndarray:
    """Rows of length 1; a zero vector points along an axis of its own, at 0 to its like and 1 to the rest."""
    # Brought to a largest entry of about 1 first, so that no square overflows or vanishes: a power of two
    # changes no digit.
    x = np.ldexp(x, -np.frexp(np.abs(x).max(axis=1, keepdims=True))[1])
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    return np.hstack([x / np.where(norm == 0, 1, norm), norm == 0])


def kernel(a, b, metric: str, backend: str | None, device: Device) -> CodeKernel | VectorKernel:
    """The kernel that `metric` and `backend` (None: torch) name."""
    if metric not in METRICS:
        raise InputError(f"unknown metric {metric!r}: expected one of {', '.join(METRICS)}")
    if backend == "numkong" and not str(device).startswith("cpu"):
        raise InputError(f"backend 'numkong' runs on the CPU only: expected device='cpu', got {device!r}")
    device = check_device(device)
    backend = "torch" if backend is None else backend
    if backend not in BACKENDS:
        raise InputError(f"unknown backend {backend!r}: expected one of {', '.join(BACKENDS)}")
    if metric in CODE_METRICS:
        return CodeKernel(a, b, metric, backend, device)
    if backend == "numkong":
        raise InputError(f"backend 'numkong' counts bits: expected 'hamming' or 'jaccard', got {metric!r}")
    return VectorKernel(a, b, metric, device)
