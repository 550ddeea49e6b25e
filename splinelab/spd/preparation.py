"""A net made ready to be decomposed: a copy in evaluation mode whose linear layers hold plain weights."""

import torch
from torch import nn
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from splinelab.errors import InputError, UnsupportedOperationError
from splinelab.recording.copies import copied

__all__ = ["check_layers_apart", "prepared"]


def prepared(net: nn.Module) -> nn.Module:
    """A copy of the net on the CPU, in evaluation mode; the net itself stays as it is.

    Weights of linear layers that are computed from others (weight and spectral norm of both kinds, pruning,
    any parametrisation) become plain ones of the value that they have in evaluation mode.

    Raises InputError for what is no module or has no copy, UnsupportedOperationError for a scripted or
    compiled net, whose layers cannot be reached.
    """
    if not isinstance(net, nn.Module):
        raise InputError(f"the net is of type {type(net).__name__}; expected a torch.nn.Module")
    for path, module in net.named_modules():
        compiled = type(module).__name__ == "OptimizedModule" or getattr(module, "_compiled_call_impl", None)
        if compiled or isinstance(module, torch.jit.ScriptModule):
            raise UnsupportedOperationError(
                f"{f'the module {path!r}' if path else 'the net'} is compiled or scripted, which hides its "
                "layers; decompose the Python module that it was made from"
            )
    net = copied(net).cpu()
    for module in net.modules():  # one by one: eval() may be overridden and do more
        module.training = False
    for module in net.modules():
        if isinstance(module, nn.Linear):
            _settle(module)
    return net


def _settle(linear: nn.Linear) -> None:
    """Replace weights that are computed from others by what they are."""
    if parametrize.is_parametrized(linear):
        # Not by remove_parametrizations: it changes the class, which the copy shares with the user's layer.
        values = {name: getattr(linear, name).detach().clone() for name in linear.parametrizations}
        linear.__class__ = parametrize.type_before_parametrizations(linear)
        del linear.parametrizations
        for name, value in values.items():
            linear.register_parameter(name, nn.Parameter(value))
    for hook in list(linear._forward_pre_hooks.values()):
        if isinstance(hook, WeightNorm):
            remove_weight_norm(linear, hook.name)
        elif isinstance(hook, SpectralNorm):
            remove_spectral_norm(linear, hook.name)
        elif isinstance(hook, prune.BasePruningMethod):
            prune.remove(linear, hook._tensor_name)


def check_layers_apart(net: nn.Module, names: list[str]) -> None:
    """Raise InputError where layers to be decomposed share one weight, or a weight holds no real numbers."""
    owners: dict[int, str] = {}
    for name in names:
        weight = net.get_submodule(name).weight
        if not weight.is_floating_point():
            raise InputError(
                f"the weight of {name!r} is {weight.dtype}; expected real floating-point numbers"
            )
        if (first := owners.setdefault(weight.data_ptr(), name)) != name:
            raise InputError(
                f"the layers {first!r} and {name!r} share a weight, which cannot be two sums of components: "
                f"decompose one of them, or untie them: {name}.weight = nn.Parameter({name}.weight.clone())"
            )
