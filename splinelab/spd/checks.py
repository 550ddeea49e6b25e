"""What a decomposition takes for granted of its net, tried on one batch before anything is built on it."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import nn
from torch.nn import functional as F

from splinelab.errors import InputError
from splinelab.spd.passes import Hook
from splinelab.spd.precision import wide
from splinelab.spd.preparation import check_layers_apart

__all__ = ["check_layers"]

Run = Callable[[Mapping[str, Hook]], torch.Tensor]


@torch.no_grad()
def check_layers(net: nn.Module, names: list[str], run: Run) -> None:
    """Try on one batch that the named layers are what their components will stand for.

    run: hooks, (layer, its input, its output) → another output or None, by layer name → the net's output.

    The output must be made of numbers that have a slope; each layer must compute x Wᵀ + b; the net must give
    the same twice; and it must use the weights in these layers alone, which shows when they are NaN for one
    pass and the layers' outputs come from what they were. Raises InputError that says what is otherwise.
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
            linear = net.get_submodule(name)
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
    def keep(_, values: torch.Tensor, output: torch.Tensor) -> None:
        seen[name] = values.clone(), output.clone()

    return keep


def _with_weights_elsewhere(net: nn.Module, names: Iterable[str], run: Run) -> torch.Tensor:
    """The net's output where these weights are NaN but for the layers' own calls."""
    weights = {name: net.get_submodule(name).weight for name in names}
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
