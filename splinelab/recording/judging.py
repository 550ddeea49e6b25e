"""Whether a call may pass without a code, and what its result is known to be: the conditions of the table."""

import math

import torch

from splinelab.errors import UnsupportedOperationError
from splinelab.recording import operations as table
from splinelab.recording.following import Following, Kind, Multiple, tensors
from splinelab.recording.operations import names_of as _names
from splinelab.recording.refusals import MisusedError, curved, no_rule, shares
from splinelab.recording.rules import argument, in_training

TINY = 1e-3  # up to here a lower bound on a statistic guards a division, and is no activation

LOOKUPS = _names("getitem index_select gather take take_along_dim embedding embedding_bag")
SAME = _names("detach clone data alias contiguous positive requires_grad to")
WIPES = _names("zero fill")
NOT_NEGATIVE = _names("relu relu6 abs absolute hardsigmoid")
POSITIVE_PARTS = _names("clamp clip clamp_min maximum fmax max threshold")


def judged(
    op: str, args, kwargs, operands: list, following: Following, soft: bool = False
) -> tuple[Kind, Multiple | None, str]:
    """What the result of a call is known to be, `operands` those of its tensors that depend on the samples:
    its kind, what it is a multiple of, and for `CURVED` and `SHARES` which operation made it so. With `soft`
    the activations of the row `SOFT` may pass.

    Raises `UnsupportedOperationError` for a call that the table refuses; the caller adds the place.
    """
    real = [item for item in operands if following.note(item).kind is not Kind.DISCRETE]
    if not real:
        return _of_integers(op, args, kwargs, operands), None, ""
    kinds = {following.note(item).kind for item in real}
    if op in table.SOFT and not soft:
        raise UnsupportedOperationError(f"{no_rule(op)} With soft=True it is coded by the sign of its input.")
    _check_call(op, args, kwargs, real, kinds, following)
    kind = _kind(op, args, kwargs, real, kinds, following)
    made_by = _maker(real, kind, following) or op if kind in (Kind.CURVED, Kind.SHARES) else ""
    return kind, _multiple(op, args, kwargs, real, following), made_by


def _check_call(op: str, args, kwargs, real: list, kinds: set[Kind], following: Following) -> None:
    """Refuse a call by its row in the table, or under the row's condition."""
    if Kind.WINNER in kinds and not op.startswith("max_unpool"):
        maker = _maker(real, Kind.WINNER, following)
        message = f"{op} uses where the maximum of {maker} was: no rule gives a spline code for that."
        raise MisusedError(message, maker)
    if op in table.SMOOTH or op in table.RANDOM:
        raise UnsupportedOperationError(no_rule(op))
    if why := in_training(op, args, kwargs):
        raise UnsupportedOperationError(why)
    if op == "grid_sample" and argument(args, kwargs, 1, "grid") in following:
        raise UnsupportedOperationError("grid_sample at places that depend on the samples has no rule.")
    if op in table.DIVISIONS:
        _check_denominator(op, args, kwargs, following)
    if Kind.SHARES in kinds and not _takes_shares(op, kinds, len(real)):
        maker = _maker(real, Kind.SHARES, following)
        raise MisusedError(shares(maker), maker)
    if Kind.CURVED in kinds and not _takes_curved(op, kinds, len(real)):
        maker = _maker(real, Kind.CURVED, following)
        raise MisusedError(curved(maker), maker)


def _kind(op: str, args, kwargs, real: list, kinds: set[Kind], following: Following) -> Kind:
    if op in table.SOFTMAX or (kinds == {Kind.SHARES} and len(real) == 1):
        return Kind.SHARES
    if op in table.SWITCHES or op in table.ALL_POOLS:
        return _after_activation(op, args, kwargs, kinds)
    if op in table.CURVES:
        return _power(op, args, kwargs, kinds, following)
    if op in table.STATISTICS or (
        op in table.REDUCTIONS and kinds <= {Kind.CURVED, Kind.RECTIFIED, Kind.STATISTIC}
    ):
        return Kind.STATISTIC
    if op in table.MULTIPLICATIONS and len(real) == 2:
        roots = [following.multiple(item).root for item in real]
        if roots[0] is roots[1] is not None:
            return _squared(Kind.ACTIVATION if len(kinds) > 1 else kinds.pop())
    if len(kinds) == 1 and _keeps_kind(op, args, kwargs, kinds, following):
        return next(iter(kinds))
    return Kind.ACTIVATION


def tiny(thresholds) -> bool:
    """Whether all thresholds are small positive numbers, as guards against a division by zero are."""
    return all(0 < _largest(item) <= TINY for item in thresholds)


def _of_integers(op: str, args, kwargs, operands: list) -> Kind:
    """A function of integers alone stays one until it meets weights."""
    others = [item for item in tensors((args, kwargs)) if not any(item is mine for mine in operands)]
    weights = any(isinstance(item, torch.nn.Parameter) for item in others)
    found = op in LOOKUPS and any(item.is_floating_point() for item in others)
    mixed = (
        op in table.PRODUCTS - table.MULTIPLICATIONS
        or op in ("linear", "convolution")
        or op.startswith("conv")
    )
    return Kind.ACTIVATION if weights or found or (mixed and others) else Kind.DISCRETE


def _after_activation(op: str, args, kwargs, kinds: set[Kind]) -> Kind:
    if op in NOT_NEGATIVE or kinds == {Kind.RECTIFIED}:
        return Kind.RECTIFIED
    if op in POSITIVE_PARTS:
        if kinds == {Kind.STATISTIC}:
            return Kind.STATISTIC
        bound = argument(args, kwargs, 1, "min", kwargs.get("other"))
        if bound is not None and not (torch.is_tensor(bound) and bound.ndim) and float(bound) >= 0:
            return Kind.RECTIFIED
    return Kind.ACTIVATION


def _power(op: str, args, kwargs, kinds: set[Kind], following: Following) -> Kind:
    exponent = argument(args, kwargs, 1, "exponent")
    fixed = {"square": 2.0, "sqrt": 0.5, "rsqrt": -0.5, "reciprocal": -1.0}.get(op, exponent)
    if op == "rpow" or fixed in following or (torch.is_tensor(fixed) and fixed.numel() != 1):
        raise UnsupportedOperationError(no_rule(op))
    fixed = float(fixed)
    kind = kinds.pop() if len(kinds) == 1 else Kind.ACTIVATION
    if fixed == 1 or kind is Kind.STATISTIC:
        return kind
    if fixed > 1 and fixed == int(fixed) and kind in (Kind.ACTIVATION, Kind.RECTIFIED):
        return _squared(kind)
    raise UnsupportedOperationError(no_rule(op))


def _squared(kind: Kind) -> Kind:
    # A squared ReLU bends where its ReLU does, and is coded there.
    return Kind.CURVED if kind is Kind.ACTIVATION else kind


def _check_denominator(op: str, args, kwargs, following: Following) -> None:
    if argument(args, kwargs, 2, "rounding_mode") is not None and op != "addcdiv":
        raise UnsupportedOperationError(no_rule(f"{op} with a rounding_mode"))
    position, name = (
        (0, "input") if op in table.INVERTED else (2, "tensor2") if op == "addcdiv" else (1, "other")
    )
    below = argument(args, kwargs, position, name)
    if below in following and following.note(below).kind not in (Kind.STATISTIC, Kind.DISCRETE):
        raise UnsupportedOperationError(
            f"{op} divides by activations that are no norm or variance: no rule gives a spline code for that."
        )


def _takes_curved(op: str, kinds: set[Kind], count: int) -> bool:
    if op in table.STRUCTURE or op in table.CASTS or op in table.REDUCTIONS or op in table.STATISTICS:
        return True
    if op in table.SUMS:
        return kinds == {Kind.CURVED}
    return (op in table.SCALINGS or op in table.NEGATIONS) and count == 1


def _takes_shares(op: str, kinds: set[Kind], count: int) -> bool:
    if op in table.PRODUCTS - table.MULTIPLICATIONS:
        return count > 1
    if op in table.STRUCTURE or op in table.CASTS or op in table.REDUCTIONS or op in table.SUMS:
        return kinds == {Kind.SHARES}
    return op in table.SCALINGS and count == 1


def _keeps_kind(op: str, args, kwargs, kinds: set[Kind], following: Following) -> bool:
    """Whether a result is of its operands' one kind."""
    if op in table.STRUCTURE or op in table.CASTS or op in ("cat", "concat", "stack"):
        return True
    if op in table.SCALINGS or op in table.SUMS or op in table.INVERTED:
        if kinds <= {Kind.RECTIFIED, Kind.STATISTIC}:  # not negative as long as nothing negative joins
            others = [item for item in (*args, *kwargs.values()) if item not in following]
            return "sub" not in op and all(_smallest(item) >= 0 for item in others)
        return True
    return False


def _multiple(op: str, args, kwargs, real: list, following: Following) -> Multiple | None:
    """What the result is a multiple of, where one operand alone depends on the samples."""
    if len(real) != 1:
        return None
    mine = following.multiple(real[0])
    if op in WIPES and not any(item in following for item in (*args[1:], *kwargs.values())):
        return Multiple(None, 0, 0.0)
    if op in SAME or (op in table.STRUCTURE and mine.factor == 0):
        factor: float | None = 1.0
    elif op in table.NEGATIONS:
        factor = -1.0
    elif op in table.SCALINGS:
        others = [item for item in (*args, *kwargs.values()) if item not in following]
        factor = _number(others[0]) if len(others) == 1 else None
        if factor is not None and op not in table.MULTIPLICATIONS:
            factor = 1 / factor if factor else None
    else:
        return None
    if factor is None or mine.root is None:
        return None if factor is None else mine
    return Multiple(mine.root, mine.version, mine.factor * factor)


def _number(thing) -> float | None:
    if torch.is_tensor(thing):
        return float(thing) if thing.numel() == 1 else None
    return float(thing) if isinstance(thing, int | float) else None


def _largest(thing) -> float:
    return float(thing.max()) if torch.is_tensor(thing) else float(thing)


def _smallest(thing) -> float:
    if torch.is_tensor(thing):
        return float(thing.min()) if thing.numel() and not thing.is_complex() else -math.inf
    return float(thing) if isinstance(thing, int | float) else 0.0


def _maker(real: list, kind: Kind, following: Following) -> str:
    """The operation that made the operand of that kind; "" where none is."""
    notes = [following.note(item) for item in real]
    return next((note.made_by for note in notes if note.kind is kind), "")
