"""What many functions take: a seed, a device, a count. Each is checked before any work."""

import operator
from typing import Any

import torch

from splinelab.errors import InputError

__all__ = ["as_count", "as_device", "as_seed"]


def as_seed(seed: Any, name: str = "seed") -> int:
    """A seed as a plain whole number from zero, if NumPy's; ``InputError`` for what is none."""
    return _whole(seed, name, 0, "zero or more, below 2⁶³")


def as_count(count: Any, name: str) -> int:
    """A count as a plain whole number from one; ``InputError`` for what is none."""
    return _whole(count, name, 1, "one or more")


def _whole(value: Any, name: str, least: int, words: str) -> int:
    try:
        number = least - 1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = least - 1
    if not least <= number < 2**63:
        raise InputError(f"{name} is {value!r}; expected a whole number, {words}")
    return number


def as_device(name: Any) -> torch.device:
    """The device of that name; ``InputError`` where torch does not find it.

    >>> as_device("cpu")
    device(type='cpu')
    """
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"device is {name!r}; expected 'cpu' or 'cuda'") from error
    if device.type == "cpu":
        return device
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(
            f"device {name!r} was asked for, but torch {torch.__version__} finds no CUDA device here; "
            "use device='cpu', or install a CUDA build of torch"
        )
    try:
        torch.empty(0, device=device)
    except (RuntimeError, NotImplementedError, AssertionError) as error:
        raise InputError(
            f"device {name!r} cannot be used here ({str(error).splitlines()[0]}); use device='cpu'"
        ) from error
    return device
