"""What a user hands to `record` as a stream of batches, each as the model takes it."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils import data as torch_data

from splinelab.data.dataset import Dataset
from splinelab.errors import InputError
from splinelab.recording.batch import KINDS, Batch, Signature, check_dense, is_array, tensor_of, words_of


class Reader:
    """Reads batches for a model: `input` says which items of a batch the model takes (see `record`)."""

    def __init__(self, model: torch.nn.Module, input=None):
        self.forward = Signature(model)
        self.wanted = input
        for item in input if isinstance(input, tuple) else (input,):
            if not (item is None or isinstance(item, int | str)) or isinstance(item, bool) or input == ():
                raise InputError(
                    "input names what of a batch the model takes: a position (1), a name ('input_ids') or a "
                    f"tuple of these; got {input!r}."
                )

    def batches(self, inputs, batch_size: int, device, dtype) -> Iterator[Batch]:
        """The batches on `device`, real numbers as `dtype` unless that is None; the last may be smaller."""
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
            raise InputError(f"batch_size must be a positive integer; got {batch_size!r}.")
        seen = 0
        for raw in self._raw(inputs, batch_size):
            batch = self._batch(raw).mapped(lambda item: item.to(device=device))
            sizes = {len(item) for item in batch.tensors}
            if len(sizes) != 1:
                shapes = [tuple(item.shape) for item in batch.tensors]
                raise InputError(
                    f"All inputs of a batch must hold the same samples; got the shapes {shapes}."
                )
            if len(batch) == 0:
                raise InputError("A batch of the inputs is empty: expected at least one sample in each.")
            seen += len(batch)
            yield batch.mapped(lambda item: item.to(dtype=dtype) if item.is_floating_point() else item)
        if seen == 0:
            raise InputError(f"The inputs are empty: expected at least one sample in {KINDS}.")

    # From what was given to raw batches

    def _raw(self, inputs, batch_size: int) -> Iterable:
        if isinstance(inputs, Dataset) or (hasattr(inputs, "images") and not hasattr(inputs, "__getitem__")):
            inputs = inputs.images
        if isinstance(inputs, torch.Tensor | np.ndarray):
            if inputs.ndim == 0:
                raise InputError(f"The inputs are a single number; expected {KINDS}.")
            check_dense(inputs)
            return (inputs[first : first + batch_size] for first in range(0, len(inputs), batch_size))
        if isinstance(inputs, Mapping) or self._columns(inputs):
            return _sliced(inputs, batch_size)
        if isinstance(inputs, Sequence | deque) and not isinstance(inputs, str | bytes):
            _check_list(inputs)
            return inputs
        if isinstance(inputs, torch_data.Dataset) or _map_style(inputs):
            return torch_data.DataLoader(inputs, batch_size=batch_size)
        if hasattr(inputs, "__array__"):  # a table, say
            return self._raw(np.asarray(inputs), batch_size)
        if isinstance(inputs, str | bytes) or not isinstance(inputs, Iterable):
            raise InputError(f"Cannot record on inputs of type {type(inputs).__name__}; expected {KINDS}.")
        return inputs

    def _columns(self, inputs) -> bool:
        """Whether a tuple or list holds the several inputs of a model, each with all samples."""
        if not isinstance(inputs, tuple | list) or len(inputs) < 2 or not all(map(is_array, inputs)):
            return False
        several = isinstance(self.wanted, tuple) or self.forward.required == len(inputs)
        return several and all(item.ndim for item in inputs)

    # From a raw batch to the model's arguments

    def _batch(self, raw) -> Batch:
        if self.wanted is not None:
            return self._chosen(raw)
        if isinstance(raw, Mapping):
            return self._by_names(raw)
        if isinstance(raw, tuple | list) and raw:
            raw = self._leading([*raw])
        items = raw if isinstance(raw, list) else [raw]
        if self.forward.required > len(items):
            raise InputError(
                f"The model's forward takes {self.forward.words}, and the inputs are one "
                f"{words_of(items[0])}: pass a tuple or a dict of all of them, each with the samples first."
            )
        if self.forward.keyword_only:
            raise InputError(
                f"The model's forward takes {self.forward.keyword_only[0]!r} by name only: pass "
                f"input={self.forward.keyword_only[0]!r}, or a dict {{{self.forward.keyword_only[0]!r}: …}}."
            )
        return Batch([tensor_of(item) for item in items])

    def _leading(self, items: list) -> list:
        """The items of a tuple that are the input, where there is no doubt: (input, label, …)."""
        if len(items) == 1:
            return items
        required = self.forward.required
        if required > 1 and len(items) == required:
            return items
        first, second = items[:2]
        index = is_array(first) and first.ndim <= 1 and not _real(first)
        more = self.forward.most > 1 and (len(items) > 2 or (is_array(second) and second.ndim > 1))
        if required > 1 or index or more:
            shapes = ", ".join(map(words_of, items))
            raise InputError(
                f"A batch holds several items ({shapes}) and the model's forward takes "
                f"{self.forward.words}: say which it is with input=0, input=1, or input=(0, 1) for several."
            )
        return [first]

    def _by_names(self, raw: Mapping) -> Batch:
        unknown = [key for key in raw if not self.forward.takes(key)]
        if unknown:
            fitting = [key for key in raw if key not in unknown] or list(raw)
            raise InputError(
                f"A batch is a dict with {', '.join(map(repr, raw))}, and the model's forward takes "
                f"{self.forward.words}, not {unknown[0]!r}: say which items it gets with "
                f"input={fitting[0]!r}, or input=('…', '…') for several."
            )
        return self._named(dict(raw))

    def _named(self, items: dict) -> Batch:
        named = {key: tensor_of(item) if is_array(item) else item for key, item in items.items()}
        batch = Batch(named=named)
        if not batch.tensors:
            raise InputError(f"A batch is a dict without any tensor: {', '.join(map(repr, items))}.")
        return batch

    def _chosen(self, raw) -> Batch:
        wanted = self.wanted if isinstance(self.wanted, tuple) else (self.wanted,)
        if not isinstance(raw, Mapping | tuple | list):  # a bare batch: a name says what it is called
            if wanted == (0,):
                return Batch([tensor_of(raw)])
            if len(wanted) == 1 and isinstance(wanted[0], str) and self.forward.takes(wanted[0]):
                return self._named({wanted[0]: raw})
            raise InputError(f"input={self.wanted!r}, but a batch is one {words_of(raw)}; leave input out.")
        held: Any = raw
        there = list(raw) if isinstance(raw, Mapping) else list(range(len(raw)))
        for item in wanted:
            known = item in there or (
                isinstance(item, int) and not isinstance(raw, Mapping) and -len(raw) <= item < 0
            )
            if not known:
                raise InputError(f"input={self.wanted!r}, but a batch holds {there}: there is no {item!r}.")
        named = {item: held[item] for item in wanted if isinstance(item, str) and self.forward.takes(item)}
        rest = [held[item] for item in wanted if item not in named]
        if (by_name := len(rest) - self.forward.places) > 0 and len(self.forward.keyword_only) >= by_name:
            named |= zip(self.forward.keyword_only, rest[-by_name:], strict=False)
            rest = rest[:-by_name]
        batch = self._named(named) if named else Batch()
        return Batch([tensor_of(item) for item in rest], batch.named)


def expected_samples(inputs) -> int:
    """Number of samples where it is known beforehand, else 0."""
    if isinstance(inputs, Dataset | torch_data.Dataset) and hasattr(inputs, "__len__"):
        return len(inputs)
    return len(inputs) if isinstance(inputs, torch.Tensor | np.ndarray) and inputs.ndim else 0


def _real(item) -> bool:
    return item.is_floating_point() if torch.is_tensor(item) else item.dtype.kind in "fc"


def _map_style(inputs) -> bool:
    """A data set by its methods alone."""
    methods = hasattr(inputs, "__getitem__") and hasattr(inputs, "__len__")
    return methods and not hasattr(inputs, "__array__") and not isinstance(inputs, Sequence | deque)


def _sliced(columns, batch_size: int) -> Iterator:
    """Batches of a dict or tuple of arrays that hold all samples."""
    items = list(columns.items()) if isinstance(columns, Mapping) else list(enumerate(columns))
    arrays = {key: item for key, item in items if is_array(item) and item.ndim}
    lengths = {key: len(item) for key, item in arrays.items()}
    if not lengths:
        raise InputError(f"The inputs are a {type(columns).__name__} without any array; expected {KINDS}.")
    if len(set(lengths.values())) > 1:
        raise InputError(f"All inputs must hold the same samples; got these numbers of rows: {lengths}.")
    for first in range(0, next(iter(lengths.values())), batch_size):
        rows = slice(first, first + batch_size)
        batch = {key: arrays[key][rows] if key in arrays else item for key, item in items}
        yield batch if isinstance(columns, Mapping) else tuple(batch.values())


def _check_list(inputs) -> None:
    """A list of tensors is read as batches; one of vectors is more likely a list of samples."""
    if any(is_array(item) and item.ndim == 1 for item in inputs):
        shape = next(tuple(item.shape) for item in inputs if is_array(item) and item.ndim == 1)
        raise InputError(
            f"The inputs are a {type(inputs).__name__} of {len(inputs)} tensors or arrays, the first vector "
            f"of shape {shape}. A list is read as batches, each with the samples first: for a list of "
            "samples pass torch.stack(samples), for batches of single numbers batch[:, None]."
        )
