"""Copies of networks, of those too that `copy.deepcopy` refuses."""

import copy
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from splinelab.errors import InputError

_Net = TypeVar("_Net", bound=nn.Module)


def copied(model: _Net) -> _Net:
    """A deep copy of a network, with its hooks and flags; the copies of its parameters are its own.

    A tensor that autograd has computed and that a module kept (the weight of the old
    `nn.utils.weight_norm`, an activation that a forward pass left behind) is copied by its values, wherever
    it lies: `copy.deepcopy` refuses it.

    Raises InputError for a lazy layer that no pass has given its shape yet, for weights on the "meta"
    device, which hold no values, and for what cannot be copied at all, such as a lock or a generator.
    """
    check_values(model)
    # Out of inference mode, so that the copy's tensors are ordinary ones, which count their changes.
    with torch.inference_mode(False), _ComputedTensors():
        try:
            return copy.deepcopy(model)
        except (TypeError, NotImplementedError, RuntimeError) as error:
            raise InputError(
                f"A copy of the model is needed and cannot be made: {error}. Remove from its modules the "
                "attribute that holds this, or give it a __deepcopy__."
            ) from error


class _ComputedTensors(TorchFunctionMode):
    """Lets `copy.deepcopy` copy tensors that are not leaves of autograd's graph."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.__deepcopy__ and not args[0].is_leaf:
            tensor, memo = args
            return copy.deepcopy(tensor.detach(), memo)
        return func(*args, **(kwargs or {}))


def check_values(model: nn.Module) -> None:
    """Raise InputError for a lazy layer that has no shape yet, and for weights on the "meta" device."""
    for path, module in model.named_modules():
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, tensor in own:
            where = f"{path}.{name}" if path else name
            if is_lazy(tensor):
                raise InputError(
                    f"{where!r} belongs to a lazy layer that has no shape yet: run the model once on a batch."
                )
            if tensor.is_meta:
                raise InputError(
                    f"{where!r} lies on the meta device and holds no values: load the weights first "
                    "(model.to_empty(device='cpu'), then load_state_dict)."
                )
