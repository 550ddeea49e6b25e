"""One batch, as a model takes it, and what the forward of a model asks for."""

import inspect
from dataclasses import dataclass, field

import numpy as np
import torch

from splinelab.errors import InputError
from splinelab.recording.tokens import Chosen

KINDS = (
    "a tensor or array with the samples first, a dict of such arrays by the names that the model's forward "
    "gives them, a torch Dataset, a DataLoader or another iterable of batches (a batch may be a tuple that "
    "begins with the input)"
)


@dataclass
class Batch:
    """One batch: the arguments of the model's forward, all tensors with the samples (or sequences) first."""

    positional: list[torch.Tensor] = field(default_factory=list)
    named: dict[str, object] = field(default_factory=dict)
    tokens: Chosen | None = None  # those chosen, where tokens are the samples

    @property
    def tensors(self) -> list[torch.Tensor]:
        return [item for item in (*self.positional, *self.named.values()) if torch.is_tensor(item)]

    def __len__(self) -> int:
        return len(self.tensors[0])

    def take(self, rows: torch.Tensor) -> "Batch":
        """Copies of some rows."""
        part = self.mapped(lambda item: item[rows.to(item.device)])
        part.tokens = None if self.tokens is None else self.tokens.take(rows.numpy())
        return part

    def samples_of(self, rows: np.ndarray) -> np.ndarray:
        """The samples among these rows: themselves, or their tokens."""
        return rows if self.tokens is None else self.tokens.rows_of(rows)

    def outputs(self, output: torch.Tensor) -> torch.Tensor:
        """One row of an output for each sample; to a token that has none goes its sequence's."""
        if self.tokens is None:
            return output
        found = self.tokens.cut(output)
        return output[torch.from_numpy(self.tokens.sequence)] if found is None else found

    def mapped(self, change) -> "Batch":
        named = {key: change(item) if torch.is_tensor(item) else item for key, item in self.named.items()}
        return Batch([change(item) for item in self.positional], named, self.tokens)

    def own(self) -> "Batch":
        """Copies: an in-place first layer must not write into what was given."""
        return self.mapped(torch.clone)

    def run(self, model: torch.nn.Module):
        """The model's output for copies of the batch."""
        own = self.own()
        return model(*own.positional, **own.named)


class Signature:
    """The arguments of a model's forward.

    names: those that may be given by name. places: how many by position. required: how many of these must be.
    most: how many by position may be tensors. keyword_only: what must be given, and by name.
    words: all of it.
    """

    def __init__(self, model: torch.nn.Module):
        try:
            parameters = list(inspect.signature(model.forward).parameters.values())
        except (TypeError, ValueError):  # written in C: nothing is known
            parameters = []
        places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        needed = [p for p in parameters if p.default is p.empty]
        self.names = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        self.any_name = any(p.kind is p.VAR_KEYWORD for p in parameters) or not parameters
        self.keyword_only = [p.name for p in needed if p.kind is p.KEYWORD_ONLY]
        self.required = sum(p in needed for p in places)
        unbounded = not parameters or any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.places = 99 if unbounded else len(places)
        # Flags and numbers are no inputs; what may be None may be a tensor.
        self.most = self.required + sum(p.default is None for p in places)
        self.words = ", ".join(str(p) for p in parameters) or "no argument"

    def takes(self, name) -> bool:
        return name in self.names or (self.any_name and isinstance(name, str))


def tensor_of(item) -> torch.Tensor:
    """A batch as a tensor that shares no numbers with an array; InputError for what has no samples."""
    if isinstance(item, np.ndarray) and item.dtype.kind in "iufcb":
        native = item.astype(item.dtype.newbyteorder("="), copy=False)
        if native.dtype == np.longdouble and native.dtype != np.float64:
            native = native.astype(np.float64)
        item = torch.tensor(np.ascontiguousarray(native))
    check_dense(item)
    if not torch.is_tensor(item) or item.ndim == 0:
        kind = f"array of {item.dtype}" if isinstance(item, np.ndarray) else type(item).__name__
        raise InputError(f"A batch of the inputs is of type {kind}; expected {KINDS}.")
    return item.detach()


def check_dense(item) -> None:
    if torch.is_tensor(item) and item.layout is not torch.strided:
        raise InputError(f"The inputs are a {item.layout} tensor, and codes need a dense one: x.to_dense().")


def is_array(item) -> bool:
    return isinstance(item, torch.Tensor | np.ndarray)


def words_of(item) -> str:
    if not is_array(item):
        return type(item).__name__
    dtype = str(item.dtype).removeprefix("torch.")
    return f"{dtype} of shape {tuple(item.shape)}"
