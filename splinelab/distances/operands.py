"""What a distance may be taken of, checked before any work begins.

Codes (`hamming`, `jaccard`) become packed bits, vectors (`l2`, `cosine`) become float64.
"""

from dataclasses import dataclass

import numpy as np

from splinelab.errors import InputError

METRICS = ("hamming", "jaccard", "l2", "cosine")
CODE_METRICS = ("hamming", "jaccard")
MAX_UNITS = 2**24  # float32 counts exactly only below this


@dataclass(frozen=True)
class PackedBits:
    """Packed rows and their number of units: all that distances ask of codes."""

    packed: np.ndarray
    units: int

    def __len__(self):
        return len(self.packed)


def check_metric(metric):
    """Return `metric` if it is one of `METRICS`; raise InputError otherwise."""
    if metric not in METRICS:
        raise InputError(f"unknown metric {metric!r}: expected one of {', '.join(METRICS)}")
    return metric


def is_codes(x):
    """Whether `x` is a `SplineCodes` (anything with packed bits and a number of units)."""
    return hasattr(x, "packed") and hasattr(x, "units")


def _array(x, name):
    if hasattr(x, "detach"):  # a torch tensor, on whatever device
        x = x.detach().cpu().numpy()
    x = np.asarray(x)
    if x.ndim != 2:
        raise InputError(f"{name} has shape {x.shape}: expected samples × units; one sample is x[None]")
    if 0 in x.shape:
        raise InputError(f"{name} is empty (shape {x.shape}): expected at least one sample and one unit")
    if x.dtype == object or not (np.issubdtype(x.dtype, np.number) or x.dtype == bool):
        raise InputError(f"{name} holds {x.dtype} values: expected numbers")
    return x


def packed_bits(x, name="x"):
    """The codes `x` as (uint8 samples × ⌈units/8⌉ with zero padding bits, units)."""
    if is_codes(x):
        packed, units = np.ascontiguousarray(x.packed), int(x.units)
        if 0 in packed.shape or units == 0:
            raise InputError(
                f"{name} is empty ({len(packed)} samples × {units} units): expected at least 1 × 1"
            )
    else:
        bits = _array(x, name)
        if bits.dtype != bool:
            if not np.isin(bits, (0, 1)).all():
                raise InputError(
                    f"{name} is no spline code: expected only 0 and 1 for Hamming and Jaccard; "
                    "give SplineCodes or (activations > 0), or choose the metric 'l2' or 'cosine'"
                )
            bits = bits.astype(bool)
        packed, units = np.packbits(bits, axis=1), bits.shape[1]
    if units >= MAX_UNITS:
        raise InputError(f"{name} has {units} units: expected fewer than 2²⁴; select layers first")
    return packed, units


def unpack(packed, units):
    """Packed rows as uint8 samples × units of 0 and 1."""
    return np.unpackbits(packed, axis=1, count=units)


def vectors(x, name="x"):
    """The vectors (or codes) `x` as finite float64 samples × units."""
    x = unpack(*packed_bits(x, name)) if is_codes(x) else _array(x, name)
    if np.iscomplexobj(x):
        raise InputError(f"{name} holds complex numbers: expected real ones")
    x = x.astype(np.float64)
    bad = int((~np.isfinite(x)).any(axis=1).sum())
    if bad:
        raise InputError(f"{name} holds NaN or infinity in {bad} of {len(x)} samples: expected finite values")
    return x


def check_labels(labels, n, *, classes=1):
    """Class numbers 0 … of `labels` (int64, n) and the sorted class names.

    Raises InputError for a wrong length, a missing value or fewer than `classes` classes.
    """
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise InputError(f"labels have shape {labels.shape}: expected ({n},), one label per sample")
    if np.issubdtype(labels.dtype, np.floating) and not np.isfinite(labels).all():
        raise InputError("labels hold NaN or infinity: expected one class per sample")
    names, codes = np.unique(labels, return_inverse=True)
    if len(names) < classes:
        raise InputError(
            f"labels hold {len(names)} class(es) ({names.tolist()}): expected at least {classes}, "
            "since pairs of different classes are compared with pairs of the same class"
        )
    return codes.reshape(-1).astype(np.int64), names
