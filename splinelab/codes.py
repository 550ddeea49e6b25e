"""Spline codes: one bit per unit and sample, packed, with named layers."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from splinelab._files import write_atomically
from splinelab.errors import DataError, InputError

__all__ = ["SplineCodes", "join_packed", "row_index"]

FORMAT = "splinelab spline codes 1"
CHUNK = 1 << 26  # bits unpacked at once while layers are joined: 64 MB


class SplineCodes:
    """The spline codes of a set of samples: which side of its kink each unit is on.

    Parameters
    ----------
    packed : uint8 array, samples × ⌈units / 8⌉: the bits of all layers side by side, packed by
        `numpy.packbits` (first unit in the highest bit). The padding at the end of a row is zero.
    layers : mapping from layer name to number of units, in the order in which the layers were called.

    Examples
    --------
    >>> codes = SplineCodes.from_bits({"relu1": np.eye(3), "relu2": np.ones((3, 2))})
    >>> codes
    SplineCodes(3 samples × 5 units; relu1: 3, relu2: 2)
    >>> codes[1:].select("relu1").bits()
    array([[0, 1, 0],
           [0, 0, 1]], dtype=uint8)
    """

    def __init__(self, packed: np.ndarray, layers: Mapping[str, int]):
        layers = {str(name): int(units) for name, units in layers.items()}
        if not layers or min(layers.values()) < 1:
            raise InputError(f"Spline codes need at least one layer, and a unit in each; got {layers}.")
        units = sum(layers.values())
        packed = np.ascontiguousarray(packed)
        if packed.dtype != np.uint8 or packed.ndim != 2 or packed.shape[1] != -(-units // 8):
            raise InputError(
                f"Packed codes of {units} units are a uint8 array of samples × {-(-units // 8)} bytes; got "
                f"{packed.dtype} of shape {packed.shape}. For a 0/1 array use SplineCodes.from_bits."
            )
        if units % 8 and np.any(packed[:, -1] & (0xFF >> units % 8)):
            # A stray bit would count in every Hamming distance.
            raise InputError(f"The padding after unit {units} must be zero; some rows have a bit set there.")
        self.packed, self.layers = packed, layers

    @classmethod
    def from_bits(cls, bits: Mapping[str, np.ndarray]) -> "SplineCodes":
        """Pack arrays of 0 and 1 (or booleans), samples × units each, by layer name.

        Raises `InputError` when a value is neither 0 nor 1 or the layers differ in their samples.
        """
        if not bits:
            raise InputError("from_bits needs at least one layer: {name: samples × units array of 0 and 1}.")
        arrays = {name: _as_bits(name, array) for name, array in bits.items()}
        counts = {name: len(array) for name, array in arrays.items()}
        if len(set(counts.values())) > 1:
            raise InputError(f"All layers must hold the same samples; got these numbers of rows: {counts}.")
        layers = {name: array.shape[1] for name, array in arrays.items()}
        return cls(np.packbits(np.concatenate(list(arrays.values()), axis=1), axis=1), layers)

    @classmethod
    def concat(cls, parts: Iterable["SplineCodes"]) -> "SplineCodes":
        """Put the samples of several codes with the same layers one after another."""
        parts = list(parts)
        if not parts:
            raise InputError("concat needs at least one SplineCodes; got none.")
        for part in parts:
            if list(part.layers.items()) != list(parts[0].layers.items()):
                there = f"got {parts[0].layers} and {part.layers}"
                raise InputError(f"Only codes with equal layers can be joined; {there}.")
        return cls(np.concatenate([part.packed for part in parts]), parts[0].layers)

    @property
    def units(self) -> int:
        """Number of bits per sample, all layers together."""
        return sum(self.layers.values())

    @property
    def shape(self) -> tuple[int, int]:
        """Samples and units: the shape of the bits, which scikit-learn asks for before it reads them."""
        return len(self), self.units

    def __len__(self) -> int:
        return len(self.packed)

    def __iter__(self) -> Iterator["SplineCodes"]:
        """The codes sample by sample."""
        return (self[row] for row in range(len(self)))

    def bits(self) -> np.ndarray:
        """Unpack to a uint8 array of 0 and 1, samples × units: eight times the memory."""
        return np.unpackbits(self.packed, axis=1, count=self.units)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        """The bits, samples × units, for `np.asarray(codes)` and what calls it, as scikit-learn does."""
        if copy is False:
            raise ValueError("The bits are packed: an array of them is always a copy; use np.asarray(codes).")
        return self.bits().astype(dtype or np.uint8, copy=False)

    def __dlpack__(self, **options: Any) -> Any:
        """The same for `torch.as_tensor(codes)`, which asks for nothing else."""
        return self.bits().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.packed.__dlpack_device__()

    def __getitem__(self, rows: int | slice | tuple | ArrayLike) -> "SplineCodes":
        """Codes of some samples: a slice, an integer (one sample), an index array or a boolean mask."""
        if isinstance(rows, tuple) and rows[1:] == (...,):  # scikit-learn's way to split what has a shape
            rows = rows[0]
        return SplineCodes(self.packed[row_index(rows, len(self))], self.layers)

    def select(self, *names: str) -> "SplineCodes":
        """Codes of some layers, in the order given."""
        unknown = [name for name in names if name not in self.layers]
        if unknown or not names or len(set(names)) < len(names):
            there = f"The layers are {list(self.layers)}."
            raise InputError(f"select takes distinct layer names; got {list(names)}. {there}")
        starts = dict(zip(self.layers, np.cumsum([0, *self.layers.values()]).tolist(), strict=False))
        parts = []
        for name in names:
            first, stop = starts[name], starts[name] + self.layers[name]
            columns = self.packed[:, first // 8 : -(-stop // 8)]
            if first % 8 or stop % 8:  # not on byte boundaries: shift through unpacked bits
                bits = np.unpackbits(columns, axis=1)[:, first % 8 : first % 8 + stop - first]
                columns = np.packbits(bits, axis=1)
            parts.append(columns)
        layers = {name: self.layers[name] for name in names}
        return SplineCodes(join_packed(parts, list(layers.values())), layers)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SplineCodes):
            return NotImplemented
        same_layers = list(self.layers.items()) == list(other.layers.items())
        return same_layers and np.array_equal(self.packed, other.packed)

    __hash__ = None  # type: ignore[assignment]  # Python's own way to say: not hashable

    def __repr__(self) -> str:
        shown = [f"{name}: {units}" for name, units in self.layers.items()]
        shown[3:-1] = [f"… {len(shown) - 4} more …"] if len(shown) > 6 else shown[3:-1]
        return f"SplineCodes({len(self)} samples × {self.units} units; {', '.join(shown)})"

    def save(self, path: str | os.PathLike) -> None:
        """Write to a safetensors file, without loss.

        The file is written beside its place and moved there when complete, so that a full disk or a kill
        leaves what was there before. Raises `DataError` when it cannot be written.
        """
        header = {"format": FORMAT, "layers": list(self.layers.items())}
        header["sha256"] = _checksum(self.packed, header["layers"])
        # One key only: safetensors keeps no order of several, and files should be reproducible.
        data = to_safetensors({"packed": self.packed}, metadata={"splinelab": json.dumps(header)})
        try:
            write_atomically(path, data)
        except OSError as error:
            raise DataError(
                f"Could not write {path} ({len(data)} bytes): {error.strerror}. What was there before is "
                "untouched; free some space or choose another place."
            ) from error

    @classmethod
    def load(cls, path: str | os.PathLike) -> "SplineCodes":
        """Read what `save` wrote. Raises `DataError` for a missing, truncated, corrupt or foreign file."""
        path = Path(path)
        if not path.is_file():
            raise DataError(f"No spline codes at {path}: expected a file written by SplineCodes.save.")
        advice = "expected a file written by SplineCodes.save; record the codes again and save them anew."
        try:
            with safe_open(path, "numpy") as file:
                header = json.loads((file.metadata() or {})["splinelab"])
                packed = file.get_tensor("packed")
            if header["format"] != FORMAT:
                raise DataError(f"{path} has the format {header['format']!r}, this version reads {FORMAT!r}.")
            layers = [(str(name), int(units)) for name, units in header["layers"]]
            intact = header["sha256"] == _checksum(packed, layers)
        except (SafetensorError, KeyError, ValueError, TypeError, OSError) as error:
            why = f"is truncated or not a file of spline codes ({error})"
            raise DataError(f"{path} {why}; {advice}") from error
        if not intact:
            raise DataError(f"{path} is corrupt: its bits do not match its checksum; {advice}")
        return cls(packed, dict(layers))


def row_index(rows: int | slice | ArrayLike, samples: int) -> slice | np.ndarray:
    """Turn a row selection into one that keeps the sample axis: an integer becomes a slice of one sample."""
    if isinstance(rows, int | np.integer) and not isinstance(rows, bool | np.bool_):
        if not -samples <= rows < samples:
            raise IndexError(f"Sample {rows} does not exist: there are {samples} samples.")
        return slice(rows, rows + 1 or None)  # rows = −1 must end at the end, not at 0
    if isinstance(rows, slice):
        return rows
    index = np.asarray(rows)
    if index.ndim == 1 and index.size == 0:
        return np.zeros(0, dtype=np.int64)
    if index.ndim != 1 or index.dtype.kind not in "iub":
        raise InputError(
            "Samples are chosen by an integer, a slice, a 1-D index array or a boolean mask; got "
            f"{rows!r}. For a layer use .select(name)."
        )
    return index


def join_packed(parts: list[np.ndarray], units: list[int]) -> np.ndarray:
    """Join layers that are packed one by one into rows packed as a whole.

    `parts` are samples × ⌈units / 8⌉ each, with zero padding; the result is samples × ⌈Σ units / 8⌉.
    """
    if all(count % 8 == 0 for count in units[:-1]):
        return np.concatenate(parts, axis=1)
    # Some layer ends within a byte: shift through unpacked bits, a few rows at a time.
    samples, step = len(parts[0]), max(1, CHUNK // sum(units))
    joined = np.empty((samples, -(-sum(units) // 8)), dtype=np.uint8)
    for rows in (slice(first, first + step) for first in range(0, samples, step)):
        bits = [np.unpackbits(part[rows], axis=1, count=n) for part, n in zip(parts, units, strict=True)]
        joined[rows] = np.packbits(np.concatenate(bits, axis=1), axis=1)
    return joined


def _as_bits(name: str, array: ArrayLike) -> np.ndarray:
    array = np.asarray(array)
    if array.ndim != 2:
        raise InputError(f"Layer {name!r} must be a samples × units array; got shape {array.shape}.")
    if array.dtype == bool:
        return array
    if array.dtype.kind not in "iuf" or not np.all((array == 0) | (array == 1)):
        raise InputError(
            f"Layer {name!r} must hold only 0 and 1; got other values ({array.dtype}). "
            "For pre-activations pass `pre > 0`."
        )
    return array.astype(bool)


def _checksum(packed: np.ndarray, layers: Iterable[Iterable]) -> str:
    digest = hashlib.sha256(json.dumps([list(item) for item in layers]).encode())
    digest.update(np.ascontiguousarray(packed).data)
    return digest.hexdigest()
