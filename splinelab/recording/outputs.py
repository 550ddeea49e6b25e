"""What a network returns: a tensor, or something that holds one."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from splinelab.errors import InputError

#: Names under which a dict holds the output proper, in this order.
NAMES = ("logits", "output", "out")


def first_output(output: Any, samples: int) -> torch.Tensor:
    """The tensor, samples first, that stands for all that a network returned.

    Of a tuple or list it is what the first item gives. Of a dict, a `ModelOutput` of transformers or another
    dataclass it is what lies under "logits", "output" or "out", the first of them that is there; without
    these, the only tensor that has the samples first.

    Raises InputError where there is none, or where several could be meant, and names what there is.

    >>> first_output({"loss": torch.tensor(0.5), "logits": torch.zeros(4, 3)}, 4).shape
    torch.Size([4, 3])
    """
    found = output
    while not torch.is_tensor(found):
        if isinstance(found, tuple | list) and found:
            found = found[0]
        elif (named := _named(found)) is not None:
            found = _choice(found, named, samples)
        else:
            break
    if not _fits(found, samples):
        raise InputError(
            f"The model must return a tensor with the {samples} samples first, or a tuple or dict that holds "
            f"one; got {_words(output)}. Wrap it in a module that returns what you mean."
        )
    return found


def _named(output: Any) -> Mapping | None:
    """The items of a dict or dataclass, without those that are None."""
    if isinstance(output, Mapping):
        items: Iterable = output.items()
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        items = ((field.name, getattr(output, field.name)) for field in dataclasses.fields(output))
    else:
        return None
    return {name: value for name, value in items if value is not None}


def _choice(output: Any, named: Mapping, samples: int) -> Any:
    for name in NAMES:
        if name in named:
            return named[name]
    fitting = [name for name, value in named.items() if _fits(value, samples)]
    if len(fitting) == 1:
        return named[fitting[0]]
    held = f"several tensors with the {samples} samples first" if fitting else "no such tensor"
    raise InputError(
        f"The model returns {_words(output)}: {held}, and none is called {' or '.join(map(repr, NAMES))}. "
        "Wrap it in a module that returns the tensor that you mean."
    )


def _fits(value: Any, samples: int) -> bool:
    return torch.is_tensor(value) and value.ndim > 0 and len(value) == samples


def _words(value: Any) -> str:
    """What a value is, with the shapes of the tensors that it holds."""
    if torch.is_tensor(value):
        return f"a tensor of shape {tuple(value.shape)}"
    kind = type(value).__name__
    if isinstance(value, tuple | list):
        return f"a {kind} of {', '.join(map(_words, value[:3])) or 'nothing'}"
    if (named := _named(value)) is not None:
        held = (f"{name!r}: {_words(item)}" for name, item in list(named.items())[:6])
        return f"a {kind} of {', '.join(held) or 'nothing'}"
    return f"an object of type {kind}"
