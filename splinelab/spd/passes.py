"""Passes of a net in which its linear layers are watched or replaced, with what it was given left alone."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from splinelab.errors import InputError
from splinelab.recording.outputs import first_output
from splinelab.spd.precision import shared_dtype

__all__ = ["Hook", "hooked_pass", "saving"]

#: (layer, its input, its output) → what it puts out instead, or None.
Hook = Callable[[nn.Linear, torch.Tensor, torch.Tensor], torch.Tensor | None]


def hooked_pass(net: nn.Module, x: torch.Tensor, hooks: Mapping[str, Hook]) -> torch.Tensor:
    """The net's output on samples `x`, with a hook on each named layer. No hook is left behind.

    Raises `InputError` for a layer that runs twice or not at all, and for what are no samples.
    """
    run: set[str] = set()

    def counted(name: str, hook: Hook) -> Callable:
        def after(linear: nn.Linear, arguments: tuple, keywords: dict, output: torch.Tensor):
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
    return x.to(device=device, dtype=shared_dtype(net) if x.is_floating_point() else None, copy=True)
