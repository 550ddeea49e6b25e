"""Which calls are affine in the rows of a mesh, row by row: the geometry's conditions on the table.

A row of a tensor belongs to a vertex, and no call may mix rows. What a call does with the other axes is free,
as long as it is affine: linear in one operand of rows while the others are constants, or a sum of several.
"""

import torch

from splinelab.recording import operations as table
from splinelab.recording.operations import names_of as _names
from splinelab.recording.rules import argument, in_training

# Of the table's linear rows, what mixes the rows of a batch, reads them as complex numbers or by places that
# count through all of them.
MIXING = _names(
    "take masked_select masked_scatter as_strided diag trace meshgrid vstack row_stack block_diag complex "
    "vdot dot outer ger kron multi_dot linalg_multi_dot linalg_matmul linalg_vecdot addbmm addmv addr "
    "imatmul embedding embedding_bag real imag conj view_as_real view_as_complex retain_grad"
)
# Affine in all their operands together, beside the table's sums.
WRITES = _names(
    "where masked_fill setitem copy index_put index_copy index_fill scatter select_scatter slice_scatter "
    "diagonal_scatter set addmm baddbmm addcmul"
)
# A product inside a sum: the positions of its factors, of which one at most may be rows.
FACTORS = {
    "addmm": ((1, "mat1"), (2, "mat2")), "baddbmm": ((1, "batch1"), (2, "batch2")),
    "addcmul": ((1, "tensor1"), (2, "tensor2")), "lerp": ((2, "weight"),),
}  # fmt: skip
# Linear in either factor; other operations are so in their first operand alone.
EITHER = table.MULTIPLICATIONS | _names("matmul mm bmm rmatmul einsum bilinear")
# Work number by number: the axes of operands meet from the last one on.
ELEMENTWISE = (table.SCALINGS | table.BOUNDED) | _names(
    "add iadd radd sub subtract isub rsub where masked_fill lerp addcmul broadcast_tensors"
)
SHAPES = _names("view_as reshape_as expand_as")  # take nothing but the shape of their second operand
# The positions of arguments that name axes, and what holds without them; the first axis holds the vertices.
AXES = {
    **dict.fromkeys(_names("mean sum nanmean nansum"), (1, "dim", 0)),
    **dict.fromkeys(_names("cumsum narrow select index_select flip"), (1, "dim", 0)),
    **dict.fromkeys(_names("cat concat concatenate stack"), (1, "dim", 0)),
    **dict.fromkeys(_names("index_add index_copy index_fill scatter scatter_add gather"), (1, "dim", 0)),
    **dict.fromkeys(_names("chunk unsafe_chunk split unsafe_split"), (2, "dim", 0)),
    **dict.fromkeys(_names("split_with_sizes tensor_split"), (2, "dim", 0)),
    **dict.fromkeys(_names("take_along_dim select_scatter slice_scatter"), (2, "dim", 0)),
    "unbind": (1, "dim", 0), "iter": (1, "dim", 0), "unsqueeze": (1, "dim", 0), "squeeze": (1, "dim", -1),
    "diff": (2, "dim", -1), "roll": (2, "dims", 0), "rot90": (2, "dims", 0), "flipud": (9, "dim", 0),
    "vsplit": (9, "dim", 0),
}  # fmt: skip
PAIRS = {"diagonal": 2, "diagonal_scatter": 3, "diag_embed": None}  # where the first of two axes is named
MOVES = _names("transpose permute movedim moveaxis swapaxes swapdims t T mT")


def mapped(change, thing):
    """The same nest with every leaf changed."""
    if isinstance(thing, tuple | list):
        return type(thing)(mapped(change, item) for item in thing)
    if isinstance(thing, dict):
        return {key: mapped(change, item) for key, item in thing.items()}
    return change(thing)


def spreads_constant(op: str, args, kwargs, following) -> bool:
    """Whether a call gives a constant that has only its size from rows, such as `token.expand_as(x)`."""
    if op in table.CONSTANTS or op in table.CHECKS:
        return argument(args, kwargs, 1, "fill_value") not in following
    return op in SHAPES and args[0] not in following


def problem(op: str, args, kwargs, operands: list, known: int) -> str | None:
    """Why a call with `operands` of `known` rows is not affine in them, row by row; None if it is."""
    summed = op in table.SUMS or op in WRITES
    linear = op in table.STRUCTURE or op in table.AFFINE or op in table.PRODUCTS or op in table.DIVISIONS
    if op in MIXING or op == "addcdiv" or op in table.INVERTED or op.startswith(("fft", "max_unpool")):
        return f"{op} is not known to be piecewise linear, row by row."
    if not summed and not linear:
        return f"{op} is not known to be piecewise linear."
    if any(not item.is_floating_point() for item in operands):
        return f"{op} uses where a maximum was, which jumps."
    first = argument(args, kwargs, 0, "input")
    if op in SHAPES:
        operands = [first]
    factors = [argument(args, kwargs, *place) for place in FACTORS.get(op, ())]
    rows = sum(any(item is mine for mine in operands) for item in factors)
    if rows > (op != "lerp") or (not summed and len(operands) > 1):
        return f"{op} multiplies activations with activations, which is not piecewise linear."
    if op in table.DIVISIONS and first is not operands[0]:
        return f"{op} divides by activations, which is not piecewise linear."
    if op in table.DIVISIONS and argument(args, kwargs, 2, "rounding_mode") is not None:
        return f"{op} with a rounding_mode jumps."
    if not summed and op not in EITHER and first is not operands[0]:
        return f"{op} takes activations as its weights or places: not known to be piecewise linear."
    if why := in_training(op, args, kwargs):
        return why
    if any(item.ndim == 0 or len(item) != known for item in operands) or _mixes(op, args, kwargs, operands):
        return f"{op} works along the first axis, which holds the samples."
    return None


def shape_problem(op: str, made: list, operands: list, known: int) -> str | None:
    """Why what a call made does not hold one row for each vertex; None if it does."""
    for item in made:
        if not item.is_floating_point():
            return f"{op} makes {item.dtype} of activations, which jumps."
        if item.ndim == 0 or len(item) != known:
            return (
                f"{op} gives shape {tuple(item.shape)} for {known} samples: the first axis must stay theirs "
                "(x.flatten(1), x.view(x.size(0), -1))."
            )
        if op in ELEMENTWISE and any(item.ndim > mine.ndim for mine in operands):
            return f"{op} spreads samples over an axis that is not their own, which mixes them."
    return None


def way_out(op: str) -> str:
    """What to do about an operation that is not piecewise linear."""
    if op in ("softmax", "layer_norm", "scaled_dot_product_attention", "multi_head_attention_forward"):
        return "Freeze it at a reference input: splinelab.polytopes.frozen(model, reference)."
    if op in ("gelu", "silu", "softplus", "sigmoid", "tanh", "mish", "elu"):
        return "A smooth activation has soft codes: splinelab.polytopes.soft_code."
    return "Use layer= to begin behind it, or sampled density."


def _mixes(op: str, args, kwargs, operands: list) -> bool:
    """Whether a call works along the axis of the samples."""
    whole = operands[0]
    if op in AXES:
        position, name, default = AXES[op]
        names = (name, "dim", "dims", "axis")
        named = next((kwargs[key] for key in names if kwargs.get(key) is not None), None)
        axes = argument(args, kwargs, position, "", named)
        if axes is None or axes == () or axes == []:
            axes = default
        ndim = max(whole.ndim + (op in ("stack", "unsqueeze")), 1)
        axes = axes if isinstance(axes, tuple | list) else (axes,)
        return any(axis % ndim == 0 for axis in axes) and not (op == "squeeze" and len(whole) != 1)
    if op in PAIRS:
        second = PAIRS[op]
        pair = [argument(args, kwargs, second + n, f"dim{n + 1}", n) for n in (0, 1)] if second else []
        return whole.ndim < 2 or any(axis % whole.ndim == 0 for axis in pair)
    if op in MOVES:
        order = torch.empty((3, *([2] * (whole.ndim - 1))))  # only the first axis has length 3
        moved = getattr(order, op)
        given = {key: item for key, item in kwargs.items() if key not in ("input", "self")}
        moved = moved(*args[len(kwargs) == len(given) :], **given) if callable(moved) else moved
        return moved.shape[0] != 3
    if op in ("tril", "triu"):
        return whole.ndim < 3
    if op == "view":
        return any(isinstance(item, torch.dtype) for item in args)
    if op in ("getitem", "setitem"):
        return _not_all_rows(args[1], args[0])
    if op == "index_put":
        return _not_all_rows(tuple(args[1]), args[0])
    if op == "linear" or op in ("mv", "inner", "tensordot"):
        dims = argument(args, kwargs, 2, "dims", 1) if op == "tensordot" else 1
        return not isinstance(dims, int) or whole.ndim <= dims
    if op in ("matmul", "mm", "bmm", "rmatmul"):
        return whole.ndim < (2 if args and args[0] is whole and op != "rmatmul" else 3)
    if op == "einsum":
        return _einsum_mixes(args, operands)
    if op.startswith("conv") and op[-1] == "d":
        return whole.ndim != int(op[-2]) + 2
    return False


def _not_all_rows(index, whole: torch.Tensor) -> bool:
    """Whether an index of a tensor leaves out rows, or puts them in another order or place."""
    index = index if isinstance(index, tuple) else (index,)
    lead = index[0] if index else slice(None)
    count = len(whole)
    if lead is Ellipsis:
        return sum(item is not None for item in index[1:]) >= whole.ndim
    if isinstance(lead, slice):
        return lead != slice(None) and range(count)[lead] != range(count)
    if torch.is_tensor(lead) and lead.ndim == 1 and lead.dtype == torch.long:
        rest = all(isinstance(item, slice) or torch.is_tensor(item) for item in index[1:])
        return not rest or not torch.equal(lead.cpu(), torch.arange(count))
    return True


def _einsum_mixes(args, operands: list) -> bool:
    """Whether the letter of the samples is not the first of the result."""
    equation, tensors = args[0], args[1:]
    if not isinstance(equation, str):
        return True
    tensors = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], tuple | list) else tensors
    given, _, result = equation.replace(" ", "").partition("->")
    parts = given.split(",")
    place = next(i for i, item in enumerate(tensors) if item is operands[0])
    lead = parts[place][:1]
    return "->" not in equation or not lead or result[:1] != lead or (lead == "." and place > 0)
