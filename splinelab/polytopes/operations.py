"""Which torch functions are affine in the rows they are given, and when."""

import math
from itertools import product

import torch
from torch.nn import functional as F

from splinelab.recording.rules import argument, pool_arguments

__all__ = ["CASTS", "JUMPS", "READS_VALUES", "leaves", "mapped", "pool_windows", "problem", "way_out"]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Piecewise linear, but with a jump at the threshold.
JUMPS = _names("threshold hardshrink")
# What a model calls to change precision or place: the geometry keeps its own.
CASTS = _names("to float double half bfloat16 type type_as cpu cuda")
# What turns values into Python numbers.
READS_VALUES = _names("item bool float int index tolist numpy contains equal allclose")

# Affine in one argument of rows while the others are constants. `div` only in its first argument.
AFFINE = _names(
    "linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d batch_norm "
    "mul multiply imul rmul div divide truediv itruediv idiv true_divide neg negative "
    "matmul mm bmm rmatmul einsum baddbmm addmm "
    "avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d "
    "interpolate upsample pixel_shuffle pixel_unshuffle unfold fold pad channel_shuffle "
    "dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout feature_alpha_dropout "
    "mean sum cumsum "
    "view reshape view_as flatten unflatten squeeze unsqueeze transpose permute movedim moveaxis swapaxes "
    "swapdims expand expand_as repeat tile contiguous clone detach positive data narrow select index_select "
    "getitem chunk split tensor_split unbind flip roll requires_grad"
)
# Affine in several arguments of rows together.
SUMS = _names("add iadd radd sub subtract isub rsub cat concat concatenate stack hstack hsplit")
# Where the constant must not be divided by rows.
DIVISIONS = _names("div divide truediv itruediv idiv true_divide")
# The positions of arguments that name axes; the first axis holds the vertices.
AXES = {
    **dict.fromkeys(_names("mean sum"), (1, "dim")),
    **dict.fromkeys(_names("cumsum unbind narrow select index_select flip"), (1, "dim")),
    **dict.fromkeys(_names("chunk split tensor_split roll"), (2, "dim")),
    **dict.fromkeys(_names("cat concat concatenate stack"), (1, "dim")),
    **dict.fromkeys(_names("squeeze unsqueeze"), (1, "dim")),
}
MOVES = _names("transpose permute movedim moveaxis swapaxes swapdims")


def leaves(thing):
    """All things in nested tuples, lists and dictionaries."""
    if isinstance(thing, tuple | list):
        for item in thing:
            yield from leaves(item)
    elif isinstance(thing, dict):
        yield from leaves(list(thing.values()))
    else:
        yield thing


def mapped(change, thing):
    """The same nest with every leaf changed."""
    if isinstance(thing, tuple | list):
        return type(thing)(mapped(change, item) for item in thing)
    if isinstance(thing, dict):
        return {key: mapped(change, item) for key, item in thing.items()}
    return change(thing)


def problem(op: str, args, kwargs, result, tracked) -> str | None:
    """Why a call is not affine in its rows, row by row; None if it is."""
    rows = sum(tracked(item) for item in leaves((args, kwargs)))
    if op not in AFFINE and op not in SUMS:
        return f"{op} is not known to be piecewise linear."
    if op in AFFINE and rows > 1:
        return f"{op} multiplies activations with activations, which is not piecewise linear."
    if op in DIVISIONS and not tracked(args[0]):
        return f"{op} divides by activations, which is not piecewise linear."
    if op == "batch_norm" and argument(args, kwargs, 5, "training", False):
        return "batch_norm uses the statistics of the batch, which mix samples: call model.eval()."
    if (
        "dropout" in op
        and argument(args, kwargs, 2, "training", True)
        and argument(args, kwargs, 1, "p", 0.5)
    ):
        return f"{op} is called with training=True: pass training=self.training to it."
    if _mixes(op, args, kwargs, tracked):
        return f"{op} works along the first axis, which holds the samples."
    known = max(len(item) for item in leaves((args, kwargs)) if tracked(item))
    for item in leaves(result):
        if torch.is_tensor(item) and (item.ndim == 0 or len(item) != known):
            return (
                f"{op} gives shape {tuple(item.shape)} for {known} samples: the first axis must stay theirs "
                "(x.flatten(1), x.view(x.size(0), -1))."
            )
    return None


def way_out(op: str) -> str:
    """What to do about an operation that is not piecewise linear."""
    if op in ("softmax", "layer_norm", "scaled_dot_product_attention", "multi_head_attention_forward"):
        return "Freeze it at a reference input: splinelab.polytopes.frozen(model, reference)."
    if op in ("gelu", "silu", "softplus", "sigmoid", "tanh", "mish", "elu"):
        return "A smooth activation has soft codes: splinelab.polytopes.soft_code, or sampled density."
    return "Use layer= to begin behind it, or sampled density."


def _mixes(op: str, args, kwargs, tracked) -> bool:
    """Whether the call works along the axis of the samples."""
    whole = next(item for item in leaves((args, kwargs)) if tracked(item))
    if op in AXES:
        position, name = AXES[op]
        given = argument(args, kwargs, position, name, kwargs.get("axis", kwargs.get("dims")))
        if given is None and op in ("mean", "sum"):
            return True
        if given is None:
            return op not in ("squeeze", "roll")
        ndim = whole.ndim + (op in ("stack", "unsqueeze"))
        axes = given if isinstance(given, tuple | list) else (given,)
        return any(isinstance(axis, int) and axis % max(ndim, 1) == 0 for axis in axes) and not (
            op == "squeeze" and len(whole) != 1
        )
    if op in MOVES:
        order = torch.empty((3, *([2] * (whole.ndim - 1))))  # only the first axis has length 3
        moved = getattr(order, "permute" if op == "permute" else op)(*args[1:], **kwargs)
        return moved.shape[0] != 3
    if op == "getitem":
        index = args[1] if isinstance(args[1], tuple) else (args[1],)
        lead = index[0] if index else slice(None)
        return not (lead is Ellipsis or (isinstance(lead, slice) and lead == slice(None)))
    if op in ("matmul", "rmatmul", "bmm", "mm"):
        return not tracked(args[0]) and whole.ndim < 3 and op != "bmm"
    return False


def pool_windows(n: int, x: torch.Tensor, args, kwargs) -> torch.Tensor:
    """The members of every window of a max-pooling over `n` axes, rows × windows × members.

    Where a window reaches over the edge, a member of its own takes the missing one's place: a tie.
    """
    size, stride, padding, dilation, ceil_mode = pool_arguments(n, args, kwargs)
    pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[n - 1]
    shape = pool(x[:1], size, stride, padding, dilation, ceil_mode).shape[-n:]
    if not any(padding) and not ceil_mode:  # no window reaches over the edge: each member is its own grid
        places = product(*(range(0, k * d, d) for k, d in zip(size, dilation, strict=True)))
        grids = [
            tuple(slice(at, at + s * m, s) for at, s, m in zip(place, stride, shape, strict=True))
            for place in places
        ]
        return torch.stack([x[..., *grid] for grid in grids], dim=-1).reshape(len(x), -1, len(grids))
    index = torch.zeros((), dtype=torch.long)
    inside = torch.ones((), dtype=torch.bool)
    for axis in range(n):
        length = x.shape[x.ndim - n + axis]
        starts = torch.arange(shape[axis]) * stride[axis] - padding[axis]
        at = starts[:, None] + torch.arange(size[axis]) * dilation[axis]
        layout = [1] * (2 * n)
        layout[axis], layout[n + axis] = at.shape
        index = index * length + at.view(layout)
        inside = inside & ((at >= 0) & (at < length)).view(layout)
    members = math.prod(size)
    index, inside = (thing.reshape(-1, members) for thing in torch.broadcast_tensors(index, inside))
    own = index.gather(1, inside.int().argmax(dim=1, keepdim=True))
    index = torch.where(inside, index, own)
    planes = x.reshape(len(x), -1, math.prod(x.shape[x.ndim - n :]))
    return planes[:, :, index.to(x.device)].reshape(len(x), -1, members)
