"""The model made ready to run once, and left as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from splinelab._arguments import check_device
from splinelab.errors import InputError, UnsupportedOperationError
from splinelab.recording.copies import check_values, copied


def place(model: Any, device: Any) -> tuple[torch.nn.Module, torch.device | None, torch.dtype | None]:
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
    device = None if device is None else check_device(device)
    check_values(model)
    tensors = [*model.parameters(), *model.buffers()]
    home = tensors[0].device if tensors else None
    if device is not None and tensors and device != home:
        model = copied(model).to(device)
    return model, home if device is None else device, floating_type(model)


def floating_type(model: torch.nn.Module) -> torch.dtype | None:
    """The floating-point type of all parameters (buffers, where it has none); None where they differ."""
    for tensors in (model.parameters(), model.buffers()):
        types = {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
        if types:
            return types.pop() if len(types) == 1 else None
    return None


@contextmanager
def evaluation(model: torch.nn.Module, device: torch.device | None) -> Iterator[None]:
    """Evaluation mode, no gradients; training flags and torch's random state are as before afterwards.

    The flags are set one by one: `model.eval()` may be overridden and do more.
    """
    flags = [(module, module.training) for module in model.modules()]
    cuda = [device] if device is not None and device.type == "cuda" else []
    try:
        for module, _ in flags:
            module.training = False
        with torch.random.fork_rng(cuda), torch.no_grad():
            yield
    finally:
        for module, training in flags:
            module.training = training
