"""Inputs of many kinds as a stream of batches, and the model made ready to run once."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch.utils import data as torch_data

from splinelab._arguments import as_device
from splinelab.errors import InputError, UnsupportedOperationError
from splinelab.recording.arrays import check_finite

__all__ = ["batches", "evaluation", "expected_samples", "place"]

KINDS = (
    "a tensor or array with the samples first, a data set with .images, a torch Dataset, a DataLoader or "
    "another iterable of batches (a batch may be a tuple whose first item is the input)"
)


def batches(inputs, batch_size: int, device: torch.device | None, dtype: torch.dtype | None) -> Iterator:
    """Yield input tensors on `device`, floating-point ones as `dtype`; the last batch may be smaller."""
    if not isinstance(batch_size, int) or batch_size < 1:
        raise InputError(f"batch_size must be a positive integer; got {batch_size!r}.")
    seen = 0
    for batch in _raw(inputs, batch_size):
        if isinstance(batch, tuple | list) and batch:
            batch = batch[0]
        # A copy: an in-place first layer must not write into the caller's data.
        tensor = _tensor(batch).to(device=device, copy=True)
        if len(tensor) == 0:
            raise InputError("A batch of the inputs is empty: expected at least one sample in each.")
        if tensor.is_floating_point():
            check_finite(tensor, "The inputs hold", seen, "Clean or leave out such samples.")
            tensor = tensor.to(dtype=dtype)
        seen += len(tensor)
        yield tensor
    if seen == 0:
        raise InputError(f"The inputs are empty: expected at least one sample in {KINDS}.")


def expected_samples(inputs) -> int:
    """Number of samples where it is known beforehand, else 0."""
    inputs = getattr(inputs, "images", inputs)
    return len(inputs) if isinstance(inputs, torch.Tensor | np.ndarray) and inputs.ndim else 0


def _raw(inputs, batch_size: int) -> Iterable:
    inputs = getattr(inputs, "images", inputs)
    if isinstance(inputs, torch.Tensor | np.ndarray):
        if inputs.ndim == 0:
            raise InputError(f"The inputs are a single number; expected {KINDS}.")
        return (inputs[first : first + batch_size] for first in range(0, len(inputs), batch_size))
    if isinstance(inputs, torch_data.Dataset):
        return torch_data.DataLoader(inputs, batch_size=batch_size)
    if isinstance(inputs, str | bytes | Mapping) or not isinstance(inputs, Iterable):
        raise InputError(f"Cannot record on inputs of type {type(inputs).__name__}; expected {KINDS}.")
    return inputs


def _tensor(batch) -> torch.Tensor:
    if isinstance(batch, np.ndarray) and batch.dtype.kind in "iufb":
        batch = torch.tensor(batch)
    if not torch.is_tensor(batch) or batch.ndim == 0:
        kind = f"array of {batch.dtype}" if isinstance(batch, np.ndarray) else type(batch).__name__
        raise InputError(f"A batch of the inputs is of type {kind}; expected {KINDS}.")
    if batch.dtype in (torch.uint8, torch.bool):
        raise InputError(
            f"The inputs are {batch.dtype}, a network takes floats: convert them as in training, for images "
            "usually `images / 255`."
        )
    return batch


def place(model, device) -> tuple[torch.nn.Module, torch.device | None, torch.dtype | None]:
    """Check the model; return it (or a copy on another device), its device and its floating-point type."""
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"record takes a torch.nn.Module; got {type(model).__name__}.")
    for path, module in model.named_modules():
        where = f"Its module {path!r}" if path else "The model"
        scripted = any(isinstance(value, torch.jit.ScriptFunction) for value in vars(module).values())
        if isinstance(module, torch.jit.ScriptModule) or scripted:
            raise UnsupportedOperationError(
                f"{where} is scripted or traced by torch.jit, which hides its operations. Record the Python "
                "module that it was made from."
            )
        if (
            type(module).__name__ == "OptimizedModule"
            or getattr(module, "_compiled_call_impl", None) is not None
        ):
            raise UnsupportedOperationError(
                f"{where} is compiled, which hides its operations. Record the module before torch.compile."
            )
    device = None if device is None else as_device(device)
    tensors = [*model.parameters(), *model.buffers()]
    home = tensors[0].device if tensors else None
    if device is not None and tensors and device != home:
        model = copy.deepcopy(model).to(device)
    dtype = next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), None)
    return model, device if device is not None else home, dtype


@contextmanager
def evaluation(model: torch.nn.Module, device: torch.device | None):
    """Evaluation mode, no gradients; training flags and torch's random state are as before afterwards.

    The flags are set one by one: `model.eval()` may be overridden and do more.
    """
    flags = [(module, module.training) for module in model.modules()]
    cuda = [device] if device is not None and device.type == "cuda" else []
    try:
        for module, _ in flags:
            module.training = False
        with torch.random.fork_rng(cuda):
            yield
    finally:
        for module, training in flags:
            module.training = training
