"""The net under a decomposition: made ready, tried, and run with its linear layers watched or replaced.

Components and losses are at least float32, whatever the net is.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from splinelab.errors import InputError, UnsupportedOperationError
from splinelab.recording.copies import copied
from splinelab.recording.outputs import first_output
from splinelab.recording.place import floating_type


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    """float64 for float64, float32 for all narrower ones.

    bfloat16 keeps 8 bits: a step of AdamW is mostly lost in it, and SVD and QR have no kernels.
    """
    return torch.promote_types(dtype, torch.float32)


def wide(values: torch.Tensor) -> torch.Tensor:
    """The values in at least float32; the tensor itself where it is that already."""
    return values.to(wide_dtype(values.dtype))


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
        values = {
            name: getattr(linear, name).detach().clone()
            for name in cast(nn.ModuleDict, linear.parametrizations)
        }
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


def linear_at(net: nn.Module, name: str) -> nn.Linear:
    """The linear layer of that path."""
    return cast(nn.Linear, net.get_submodule(name))


def check_layers_apart(net: nn.Module, names: list[str]) -> None:
    """Raise InputError where layers to be decomposed share one weight, or a weight holds no real numbers."""
    owners: dict[int, str] = {}
    for name in names:
        weight = linear_at(net, name).weight
        if not weight.is_floating_point():
            raise InputError(
                f"the weight of {name!r} is {weight.dtype}; expected real floating-point numbers"
            )
        if (first := owners.setdefault(weight.data_ptr(), name)) != name:
            raise InputError(
                f"the layers {first!r} and {name!r} share a weight, which cannot be two sums of components: "
                f"decompose one of them, or untie them: {name}.weight = nn.Parameter({name}.weight.clone())"
            )


#: (layer, its input, its output) → what it puts out instead, or None.
Hook = Callable[[nn.Linear, torch.Tensor, torch.Tensor], torch.Tensor | None]


def hooked_pass(net: nn.Module, x: torch.Tensor, hooks: Mapping[str, Hook]) -> torch.Tensor:
    """The net's output on samples `x`, with a hook on each named layer. No hook is left behind.

    Raises `InputError` for a layer that runs twice or not at all, and for what are no samples.
    """
    run: set[str] = set()

    def counted(name: str, hook: Hook) -> Callable:
        def after(linear: nn.Linear, arguments: tuple, keywords: dict, output: torch.Tensor) -> Any:
            if name in run:
                raise InputError(
                    f"the layer {name!r} runs twice in one pass; its components would need two masks: "
                    "give each use a linear layer of its own"
                )
            run.add(name)
            # A subclass of nn.Linear may call its input otherwise.
            given = [*arguments, *keywords.values()]
            return hook(linear, keywords.get("input", given[0]), output)

        return after

    own = _own(net, x)
    handles = []
    try:
        for name, hook in hooks.items():
            after = counted(name, hook)
            handles.append(net.get_submodule(name).register_forward_hook(after, with_kwargs=True))
        output = net(own)
    finally:
        for handle in handles:
            handle.remove()
    absent = [name for name in hooks if name not in run]
    if absent:
        raise InputError(
            f"the layers {', '.join(absent)} did not run on this input, or the net reads their weights "
            "without calling them (as nn.MultiheadAttention does with out_proj); leave them out"
        )
    # A copy: the net may return its input, or memory that it fills again in the next pass.
    return first_output(output, len(own)).clone()


def saving(*, copies: bool) -> AbstractContextManager:
    """With `copies`, what autograd keeps for the backward pass is copied: the net may write over it."""
    if not copies:
        return nullcontext()
    return torch.autograd.graph.saved_tensors_hooks(torch.clone, lambda kept: kept)


def _own(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A copy of the samples that the net may write into, in the type that its parameters share."""
    if not torch.is_tensor(x) or x.ndim == 0 or len(x) == 0:
        given = f"a tensor of shape {tuple(x.shape)}" if torch.is_tensor(x) else f"a {type(x).__name__}"
        raise InputError(f"the samples are {given}; expected a tensor with one sample or more first")
    weight = next(net.parameters(), None)
    device = x.device if weight is None else weight.device
    return x.to(device=device, dtype=floating_type(net) if x.is_floating_point() else None, copy=True)


Run = Callable[[Mapping[str, Hook]], torch.Tensor]


@torch.no_grad()
def check_layers(net: nn.Module, names: list[str], run: Run) -> None:
    """Try on one batch that the named layers are what their components will stand for.

    The output must be made of numbers that have a slope; each layer must compute x Wᵀ + b; the net must give
    the same twice; and it must use the weights in these layers alone, which shows when they are NaN for one
    pass and the layers' outputs come from what they were. Raises InputError that says what is otherwise.

    Parameters
    ----------
    run : hooks, (layer, its input, its output) → another output or None, by layer name → the net's output.
    """
    check_layers_apart(net, names)
    with torch.random.fork_rng([]):
        seen: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        output = run({name: _keeping(seen, name) for name in names})
        if not output.is_floating_point():
            raise InputError(
                f"the net returns {output.dtype}; expected floating-point numbers, whose squared error can "
                "be lowered: return the scores before argmax or rounding"
            )
        for name, (values, found) in seen.items():
            linear = linear_at(net, name)
            if not _alike(found, F.linear(values.to(linear.weight), linear.weight, linear.bias)):
                raise InputError(
                    f"the layer {name!r} ({type(linear).__name__}) does not compute x Wᵀ + b from its own "
                    "weight and bias (its forward or a hook on it does more), so components of W would not "
                    "stand for it: leave it out, or move what it does besides into a module after it"
                )
        if _alike(_with_weights_elsewhere(net, names, run), output):
            return
        if not _alike(run({name: _keeping({}, name) for name in names}), output):
            raise InputError(
                "the net gives two different outputs for one batch in evaluation mode: it draws random "
                "numbers (dropout needs training=self.training) or keeps a state; make it a function of its "
                "input first"
            )
        used = [n for n in names if not _alike(_with_weights_elsewhere(net, [n], run), output)]
        raise InputError(
            f"the net uses the weight of {', '.join(used or names)} elsewhere too (a tied embedding, "
            "F.linear(x, layer.weight), or attention, which reads out_proj.weight): its components would "
            "stand for one use only. Leave that layer out, or call a layer with a weight of its own"
        )


def _keeping(seen: dict, name: str) -> Hook:
    def keep(_: nn.Linear, values: torch.Tensor, output: torch.Tensor) -> None:
        seen[name] = values.clone(), output.clone()

    return keep


def _with_weights_elsewhere(net: nn.Module, names: Iterable[str], run: Run) -> torch.Tensor:
    """The net's output where these weights are NaN but for the layers' own calls."""
    weights = {name: linear_at(net, name).weight for name in names}
    kept = {name: weight.detach().clone() for name, weight in weights.items()}

    def computing(name: str) -> Hook:
        return lambda linear, values, _: F.linear(values.to(kept[name]), kept[name], linear.bias)

    try:
        for weight in weights.values():
            weight.data.fill_(torch.nan)
        return run({name: computing(name) for name in names})
    finally:
        for name, weight in weights.items():
            weight.data.copy_(kept[name])


def _alike(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether two outputs are equal up to rounding in the narrower of their types."""
    if found.shape != expected.shape:
        return False
    tolerance = max(torch.finfo(values.dtype).eps for values in (found, expected)) ** 0.5
    found, expected = wide(found), wide(expected)
    scale = float(expected[expected.isfinite()].abs().max()) if expected.isfinite().any() else 0.0
    found = found.to(expected.dtype)
    return torch.allclose(found, expected, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
