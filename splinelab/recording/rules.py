"""Which operation bends, and where: the registry from torch functions to rules.

Functions are keyed by their plain name, so that `F.relu`, `torch.relu_`, `Tensor.relu_` and
`torch.ops.aten.relu` share the rule `relu`.

A rule reads a call's arguments *before* the call and returns its `Kinks`: the value that is compared and
the thresholds where the operation's slope changes. The spline code has one bit per value and threshold,
1 where the value is above it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from splinelab.errors import UnsupportedOperationError

__all__ = [
    "ACTIVATIONS",
    "MATHS",
    "OTHER_POOLS",
    "POOLS",
    "RULES",
    "Kinks",
    "argument",
    "op_name",
    "pool_bits",
]


@dataclass(frozen=True)
class Kinks:
    """The value read before the operation, and the thresholds at which the operation bends."""

    value: torch.Tensor
    thresholds: tuple


def op_name(func) -> str:
    """Plain name of a torch function: `relu` for `relu_`, `relu.default` and `torch.relu`."""
    return getattr(func, "__name__", "").removeprefix("aten::").split(".")[0].strip("_")


def argument(args, kwargs, position: int, name: str, default=None):
    """An argument by position or by name, as torch functions take them."""
    if len(args) > position:
        return args[position]
    if position == 0 and name not in kwargs:
        return kwargs.get("self", default)
    return kwargs.get(name, default)


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


def _rrelu(args, kwargs):
    if argument(args, kwargs, 3, "training", False):
        raise UnsupportedOperationError("rrelu with training=True draws its slopes at random.")
    return Kinks(argument(args, kwargs, 0, "input"), (0,))


def _larger(args, kwargs):
    """maximum(a, b) bends where a = b. The code is 1 where the larger tensor is above the other."""
    a, b = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "other")
    if b.numel() > a.numel():  # maximum(zero, x) codes x as maximum(x, zero) does
        a, b = b, a
    return Kinks(a, (b,))


def _max(args, kwargs):
    """torch.max is three functions; only the one of two tensors is elementwise."""
    return _larger(args, kwargs) if torch.is_tensor(argument(args, kwargs, 1, "other")) else None


RULES: dict[str, Callable] = {
    **dict.fromkeys(("relu", "leaky_relu", "prelu", "abs", "absolute"), _fixed(0)),
    "rrelu": _rrelu,
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


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Activations and recurrent cells with no kinks to code: always refused.
ACTIVATIONS = _names(
    "gelu silu mish tanh sigmoid special_expit logsigmoid log_sigmoid softplus softsign tanhshrink "
    "elu celu selu glu hardswish "
    "softmax softmin log_softmax gumbel_softmax special_softmax special_log_softmax "
    "lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell transformer_encoder_layer_fwd"
)

# Arithmetic from which activations are built by hand (x * (x > 0), x * erf(x), …). It is refused on
# floating-point values that have the sample axis; on anything else it computes masks or positions.
MATHS = _names(
    "exp exp2 expm1 erf special_erf sin cos sinc atan arctan sign sgn heaviside "
    "gt lt ge le greater less greater_equal less_equal"
)

# Max-pooling, by the number of pooled dimensions; and pooling that has no rule.
POOLS = {f"max_pool{n}d{suffix}": n for n in (1, 2, 3) for suffix in ("", "_with_indices")}
OTHER_POOLS = frozenset(
    [f"{kind}_max_pool{n}d{suffix}" for kind in ("adaptive", "fractional") for n in (1, 2, 3)
     for suffix in ("", "_with_indices")] + ["amax", "amin", "max", "min"]
)  # fmt: skip


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
