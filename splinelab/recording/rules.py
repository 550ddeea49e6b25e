"""Where the operations bend that switch: from a call's arguments to its thresholds.

A rule reads a call's arguments *before* the call and returns its `Kinks`: the value that is compared and the
thresholds where the operation's slope changes. The spline code has one bit per value and threshold, 1 where
the value is above it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from splinelab.errors import UnsupportedOperationError
from splinelab.recording.following import Following, Kind


@dataclass(frozen=True)
class Kinks:
    """The value read before the operation, and the thresholds at which the operation bends."""

    value: torch.Tensor
    thresholds: tuple


def argument(args, kwargs, position: int, name: str, default=None):
    """An argument by position or by name, as torch functions take them."""
    if len(args) > position:
        return args[position]
    if position == 0 and name not in kwargs:
        return kwargs.get("self", default)
    return kwargs.get(name, default)


def in_training(op: str, args, kwargs) -> str | None:
    """Why a call is random or mixes samples, as in training alone; None where it does neither."""
    if op == "rrelu" and argument(args, kwargs, 3, "training", False):
        return "rrelu with training=True draws its slopes at random."
    dropped = "dropout" in op and argument(args, kwargs, 2, "training", True)
    if dropped and argument(args, kwargs, 1, "p", 0.5):
        return (
            f"{op} is called with training=True although the model is in evaluation mode: codes would be "
            "random. Pass training=self.training to it."
        )
    if op == "scaled_dot_product_attention" and argument(args, kwargs, 4, "dropout_p", 0.0):
        return f"{op} drops attention at random: pass dropout_p=0 in evaluation."
    if op == "batch_norm" and argument(args, kwargs, 5, "training", False):
        return (
            "batch_norm uses the statistics of the batch, so that a code would depend on the other samples: "
            "take a model with running statistics, in evaluation mode."
        )
    return None


def _fixed(*thresholds: float) -> Callable:
    return lambda args, kwargs: Kinks(argument(args, kwargs, 0, "input"), thresholds)


def _from_arguments(*names_and_defaults: tuple) -> Callable:
    """Thresholds that are arguments 1, 2, … of the call; None means that this side has no kink."""

    def rule(args, kwargs):
        limits = [argument(args, kwargs, i, *item) for i, item in enumerate(names_and_defaults, start=1)]
        return Kinks(
            argument(args, kwargs, 0, "input"), tuple(limit for limit in limits if limit is not None)
        )

    return rule


def _shrink(args, kwargs):
    width = argument(args, kwargs, 1, "lambd", 0.5)
    return Kinks(argument(args, kwargs, 0, "input"), (-width, width))


def _larger(args, kwargs):
    return Kinks(argument(args, kwargs, 0, "input"), (argument(args, kwargs, 1, "other"),))


def _max(args, kwargs):
    """torch.max is three functions; only the one of two tensors is elementwise."""
    return _larger(args, kwargs) if torch.is_tensor(argument(args, kwargs, 1, "other")) else None


RULES: dict[str, Callable] = {
    **dict.fromkeys(("relu", "leaky_relu", "prelu", "abs", "absolute", "rrelu"), _fixed(0)),
    "relu6": _fixed(0, 6),
    "hardsigmoid": _fixed(-3, 3),
    "hardtanh": _from_arguments(("min_val", -1.0), ("max_val", 1.0)),
    "threshold": _from_arguments(("threshold",)),
    "hardshrink": _shrink,
    "softshrink": _shrink,
    **dict.fromkeys(("clamp", "clip"), _from_arguments(("min",), ("max",))),
    "clamp_min": _from_arguments(("min",)),
    "clamp_max": _from_arguments(("max",)),
    **dict.fromkeys(("maximum", "minimum", "fmax", "fmin"), _larger),
    **dict.fromkeys(("max", "min"), _max),
}

# Where a smooth gate is half open: the threshold that is left when it becomes steep.
SOFT_RULES: dict[str, Callable] = dict.fromkeys(("silu", "gelu"), _fixed(0))


def kinks_of(op: str, args, kwargs, following: Following) -> Kinks | None:
    """The kinks of a call; None for one that does not bend where the samples decide.

    Whether an operand is the value or the threshold follows from what it is: a constant is a threshold, be it
    the first operand or the second. Where both depend on the samples, the bit is 1 where the first is above
    the second; but if both are multiples of one tensor (`maximum(0.1 * x, x)`), where that tensor is above 0.
    """
    kinks = (RULES.get(op) or SOFT_RULES[op])(args, kwargs)
    if kinks is None or not torch.is_tensor(kinks.value):
        return None
    thresholds = tuple(item for item in kinks.thresholds if not _out_of_reach(item, kinks.value))
    moving = [item for item in thresholds if _moves(item, following)]
    value = kinks.value
    fixed = not _moves(value, following)
    if not thresholds or (fixed and not moving):
        return None
    if not moving:
        return Kinks(value, thresholds)
    if len(thresholds) > 1:
        raise UnsupportedOperationError(
            f"{op} has bounds that depend on the samples: no rule gives a spline code for that. Write it as "
            "torch.maximum and torch.minimum."
        )
    if fixed:
        return Kinks(moving[0], (value,))
    one, two = following.multiple(value), following.multiple(moving[0])
    if one.root is not None and one.root is two.root:
        return Kinks(one.root, (0,)) if one.factor != two.factor else None
    return Kinks(value, thresholds)


def _moves(item, following: Following) -> bool:
    """Whether a small change of the samples changes a tensor: masks, and zero times anything, stay."""
    if item not in following or following.note(item).kind is Kind.DISCRETE:
        return False
    return following.multiple(item).factor != 0


def _out_of_reach(threshold, value: torch.Tensor) -> bool:
    """Whether no finite value is beyond a threshold, such as `finfo.min` in an attention mask."""
    if torch.is_tensor(threshold):
        if threshold.numel() != 1 or threshold.device.type == "meta":
            return False
    elif not isinstance(threshold, int | float):
        return False
    # A mask made for float32 is one in a float64 copy too.
    return value.is_floating_point() and abs(float(threshold)) >= min(
        torch.finfo(value.dtype).max, torch.finfo(torch.float32).max
    )


def pool_bits(n: int, args, kwargs) -> torch.Tensor:
    """One-hot code of max-pooling over `n` dimensions: which place of its window each output came from.

    Returns booleans, samples × outputs × places in the window.
    """
    x = argument(args, kwargs, 0, "input")
    size, stride, padding, dilation, ceil_mode = pool_arguments(n, args, kwargs)
    pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[n - 1]
    _, index = pool(x, size, stride, padding, dilation, ceil_mode, return_indices=True)
    # torch gives each maximum's index in the flattened input; take it apart into places within the window.
    place = torch.zeros_like(index)
    scale = 1
    for axis in range(n - 1, -1, -1):
        shape = [1] * index.ndim
        shape[index.ndim - n + axis] = -1
        length = x.shape[x.ndim - n + axis]
        windows = torch.arange(index.shape[index.ndim - n + axis], device=x.device).view(shape)
        step = (index % length - (windows * stride[axis] - padding[axis])) // dilation[axis]
        place += step * scale
        index, scale = index // length, scale * size[axis]
    return F.one_hot(place.flatten(1), scale).bool()


def pool_arguments(n: int, args, kwargs) -> tuple:
    """Kernel size, stride, padding and dilation of a max-pooling over `n` axes, as tuples; and ceil_mode."""

    def each(value) -> tuple[int, ...]:
        value = (value,) if isinstance(value, int) else tuple(value)
        return value * n if len(value) == 1 else value

    size = argument(args, kwargs, 1, "kernel_size")
    stride = argument(args, kwargs, 2, "stride") or size
    padding, dilation = argument(args, kwargs, 3, "padding", 0), argument(args, kwargs, 4, "dilation", 1)
    return *map(each, (size, stride, padding, dilation)), argument(args, kwargs, 5, "ceil_mode", False)
