"""What a distance may be taken of, checked before any work begins.

Codes (`hamming`, `jaccard`) become packed bits, vectors (`l2`, `cosine`) become float64. Distances are
returned as float32, so what float32 cannot hold is refused here, for every function alike.
"""

from typing import Any

import numpy as np
import torch

from splinelab.errors import InputError

Device = str | torch.device
METRICS = ("hamming", "jaccard", "l2", "cosine")
CODE_METRICS = ("hamming", "jaccard")
MAX_UNITS = 2**24  # float32 counts exactly only below this
LARGEST = float(np.finfo(np.float32).max)
SMALLEST = 2.0**-100  # a distance of 2⁻²⁶ times this still has all digits of float32


def is_codes(x: Any) -> bool:
    """Whether `x` is a `SplineCodes` (anything with packed bits and a number of units)."""
    return hasattr(x, "packed") and hasattr(x, "units")


def _array(x: Any, name: str) -> np.ndarray:
    x = as_array(x, name)
    if x.ndim != 2:
        raise InputError(f"{name} has shape {x.shape}: expected samples × units; one sample is x[None]")
    if 0 in x.shape:
        raise InputError(f"{name} is empty (shape {x.shape}): expected at least one sample and one unit")
    if x.dtype == object or not (np.issubdtype(x.dtype, np.number) or x.dtype == bool):
        raise InputError(f"{name} holds {x.dtype} values: expected numbers")
    return x


def as_array(x: Any, name: str = "x") -> np.ndarray:
    """`x` as a numpy array; a torch tensor of any device and float type too. Shorter floats become float32,
    which scipy asks for."""
    if not hasattr(x, "detach"):
        found = np.asarray(x)
        return found.astype(np.float32) if found.dtype == np.float16 else found
    try:
        if x.is_floating_point() and x.element_size() < 4:  # numpy has no bfloat16 and no float8
            x = x.float()
        return x.detach().cpu().numpy(force=True)
    except (TypeError, RuntimeError, NotImplementedError) as error:
        raise InputError(
            f"{name} is a {x.layout} tensor of {x.dtype}, which numpy does not hold: give a dense one "
            "(x.to_dense(), x.dequantize()) of bools, integers or floats"
        ) from error


def packed_bits(x: Any, name: str = "x") -> tuple[np.ndarray, int]:
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


def unpack(packed: np.ndarray, units: int) -> np.ndarray:
    """Packed rows as uint8 samples × units of 0 and 1."""
    return np.unpackbits(packed, axis=1, count=units)


def vectors(x: Any, name: str = "x") -> np.ndarray:
    """The vectors (or codes) `x` as finite float64 samples × units."""
    x = unpack(*packed_bits(x, name)) if is_codes(x) else _array(x, name)
    if np.iscomplexobj(x):
        raise InputError(f"{name} holds complex numbers: expected real ones")
    x = x.astype(np.float64)
    bad = int((~np.isfinite(x)).any(axis=1).sum())
    if bad:
        raise InputError(f"{name} holds NaN or infinity in {bad} of {len(x)} samples: expected finite values")
    return x


def check_scale(largest: float, name: str) -> None:
    """Raise InputError unless distances up to `largest` are 0 or within what float32 holds."""
    if largest > LARGEST or 0 < largest < SMALLEST:
        raise InputError(
            f"{name} has distances of up to {largest:.1e}: expected 0 or {SMALLEST:.0e} to {LARGEST:.0e}, "
            f"what float32 holds; multiply {name} by a constant first, which changes neither neighbours nor "
            "clusters"
        )


def check_labels(labels: Any, n: int, *, classes: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Class numbers 0 … of `labels` (int64, n) and the sorted class names.

    Raises InputError for a wrong length, a missing value or fewer than `classes` classes.
    """
    if labels is None:
        raise InputError(f"labels are None: expected {n} of them, one class per sample")
    labels = as_array(labels, "labels")
    if labels.shape != (n,):
        raise InputError(f"labels have shape {labels.shape}: expected ({n},), one label per sample")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise InputError("labels hold NaN or infinity: expected one class per sample")
    if labels.dtype.kind == "u" and (labels > np.iinfo(np.int64).max).any():
        raise InputError(
            f"labels hold {labels.max()}, beyond int64: expected int64 labels (was −1 stored without a sign?)"
        )
    if labels.dtype.kind == "O" and any(label is None or label != label for label in labels):
        raise InputError("labels hold None or NaN: expected one class per sample")
    try:
        names, codes = np.unique(labels, return_inverse=True)
    except TypeError as error:
        raise InputError(
            f"labels cannot be put in order ({error}): expected labels of one kind, numbers or words"
        ) from error
    if len(names) < classes:
        raise InputError(
            f"labels hold {len(names)} class(es) ({names.tolist()}): expected at least {classes}, "
            "since pairs of different classes are compared with pairs of the same class"
        )
    return codes.reshape(-1).astype(np.int64), names


def check_matrix(distances: Any, name: str = "distances") -> np.ndarray:
    """A symmetric n × n matrix of finite distances, n ≥ 2; raise InputError otherwise."""
    distances = as_array(distances, name)
    if distances.ndim != 2 or distances.shape[0] != distances.shape[1]:
        raise InputError(
            f"{name} has shape {distances.shape}: expected an n × n matrix, as pairwise(x) returns it"
        )
    if len(distances) < 2:
        raise InputError(f"{name} has {len(distances)} sample(s): expected at least 2, for one pair")
    if distances.dtype.kind not in "biuf":
        raise InputError(f"{name} holds {distances.dtype} values: expected real numbers")
    low, high = float(distances.min()), float(distances.max())  # NaN where there is one
    if not np.isfinite([low, high]).all():
        raise InputError(
            f"{name} holds NaN or infinity: expected finite distances; look for non-finite activations"
        )
    largest = max(abs(low), abs(high))
    check_scale(largest, name)
    apart = _asymmetry(distances)
    if apart > 1e-5 * largest:
        raise InputError(
            f"{name} is not symmetric: entries differ from their mirror images by up to {apart:.3g}; "
            f"expected the distances of n samples to themselves, or ({name} + {name}.T) / 2"
        )
    return distances


def _asymmetry(matrix: np.ndarray) -> float:
    """The largest difference between an entry and its mirror image, a few rows at a time."""
    n, step = len(matrix), 256
    return max(
        float(
            np.abs(np.subtract(matrix[i : i + step, i:], matrix[i:, i : i + step].T, dtype=np.float64)).max()
        )
        for i in range(0, n, step)
    )
