"""Arguments that many functions share, checked in one way: whole numbers, seeds, numbers, devices."""

import math
import operator
from typing import Any

import numpy as np
import torch

from splinelab.errors import InputError


def check_whole(name: str, value: Any, low: int = 1, high: int | None = None, what: str = "") -> int:
    """`value` as an int from `low` to `high` (None: no end); `what` says more of them in words.

    Numpy's integers are whole numbers, booleans and floats are not. Raises InputError.

    >>> check_whole("k", np.int64(3), 1, 5)
    3
    """
    span = (f"at least {low}" if high is None else f"{low} to {high}") + (f", {what}" if what else "")
    # A tensor or an array of one element would pass as an index too.
    number = None if isinstance(value, bool | np.bool_) or np.ndim(value) else _index(value)
    if number is None:
        raise InputError(
            f"{name} is {value!r}; expected a whole number{', ' if high is None else ' from '}{span}"
        )
    if number < low or (high is not None and number > high):
        raise InputError(f"{name} is {number}; expected {span}")
    return number


def check_seed(seed: Any, name: str = "seed") -> int:
    """`seed` as an int that numpy, torch and scikit-learn all take: 0 to 2³² − 1. Raises InputError."""
    return check_whole(name, seed, 0, 2**32 - 1)


def check_number(name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """`value` as a finite float from `low` to `high`. Raises InputError, for NaN and booleans too."""
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not (real and math.isfinite(value) and low <= value <= high):
        ends = [f"at least {low:g}"] * (low > -math.inf) + [f"at most {high:g}"] * (high < math.inf)
        raise InputError(f"{name} is {value!r}; expected {', '.join(['a finite number', *ends])}")
    return float(value)


def check_device(device: Any) -> torch.device:
    """`device` as a torch device that this machine has. Raises InputError for any other."""
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"device is {device!r}, which cannot be used here ({reason}); expected 'cpu', or a GPU that "
            "torch finds (torch.cuda.is_available())"
        ) from error
    if found.type == "meta":
        raise InputError("device is 'meta', which holds no values; expected 'cpu' or a GPU")
    return found


def _index(value: Any) -> int | None:
    try:
        return operator.index(value)
    except TypeError:
        return None
