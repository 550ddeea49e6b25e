"""What a recorder keeps of the batches that it has seen: bits, activations, inputs of modules."""

from collections import defaultdict

import numpy as np
import torch

from splinelab.codes import SplineCodes, join_packed
from splinelab.errors import InputError
from splinelab.recording.arrays import Rows
from splinelab.recording.choosing import Choosing, Wanted
from splinelab.recording.result import Activations
from splinelab.recording.tokens import Chosen


class Keeping(Choosing):
    """Gathers, batch by batch: packed bits by layer, `pre`, `post`, and `inputs` of modules.

    `expected` is the number of samples, 0 if unknown: arrays are allocated once where it is known.
    """

    def __init__(self, model: torch.nn.Module, wanted: Wanted, expected: int = 0):
        super().__init__(model, wanted)
        self.pre: defaultdict[str, Rows] = defaultdict(lambda: Rows(expected))
        self.post: defaultdict[str, Rows] = defaultdict(lambda: Rows(expected))
        self.inputs: defaultdict[str, Rows] = defaultdict(lambda: Rows(expected))
        self.smooth: dict[str, str] = {}  # layer of a smooth activation → which one
        self.seen = self.samples = 0  # samples of the batches before; rows of this batch's inputs
        self.tokens: Chosen | None = None  # of this batch, where they are the samples
        self.parts: dict[str, np.ndarray] = {}  # this batch's packed bits by layer

    def next(self, samples: int, tokens: Chosen | None) -> None:
        """Begin a batch."""
        self.seen += self.samples if self.tokens is None else len(self.tokens)
        self.samples, self.tokens = samples, tokens
        self.parts = {}
        self.begin()

    def packed(self) -> np.ndarray:
        """The batch's codes, samples × ⌈bits / 8⌉."""
        if len(self.parts) < len(self.layers):
            self._refuse_change(f"did not call {list(self.layers)[len(self.parts)]!r}")
        return join_packed(list(self.parts.values()), list(self.layers.values()))

    def taken(self, packed: list[np.ndarray]) -> tuple[SplineCodes, tuple[Activations, ...]]:
        """Codes of these packed rows, and `pre`, `post` and `inputs`, which begin anew."""
        codes = SplineCodes(np.concatenate(packed), self.layers)
        # Layer by layer, so that at most one layer lies in memory twice.
        gathered = tuple(
            Activations({name: kept.pop(name).array() for name in list(kept)})
            for kept in (self.pre, self.post, self.inputs)
        )
        return codes, gathered

    def rows(self, value: torch.Tensor, who: str, way_out: str) -> torch.Tensor:
        """A tensor's rows, one for each sample. Raises InputError where it has none."""
        if self.tokens is not None:
            found = self.tokens.cut(value)
            if found is not None:
                return found
            raise InputError(
                "With positions each token is a sample, and a layer needs a row for each: sequences × "
                f"tokens × units, or both first axes as one. {who} got shape {tuple(value.shape)} for "
                f"{self.samples} sequences of {self.tokens.length} tokens. {way_out}"
            )
        if value.ndim == 0 or value.shape[0] != self.samples:
            flat = value.ndim > 1 and value.shape[0] % max(self.samples, 1) == 0
            hint = 'If its rows are the tokens of sequences, pass positions="all". ' if flat else ""
            raise InputError(
                f"The first axis must be the samples, so that each gets its code: {who} got shape "
                f"{tuple(value.shape)} for a batch of {self.samples}. {hint}{way_out}"
            )
        return value

    def _keep_bits(self, name: str, packed: np.ndarray, bits: int) -> None:
        if not self.seen:
            self.layers[name] = bits
        elif len(self.parts) >= len(self.layers):
            self._refuse_change(f"called {name!r} too")
        elif (due := list(self.layers.items())[len(self.parts)]) != (name, bits):
            self._refuse_change(f"called {name!r} with {bits} bits where {due[0]!r} with {due[1]} was due")
        self.parts[name] = packed

    def _refuse_change(self, what: str) -> None:
        raise InputError(
            "The layers must be the same in every batch, or codes cannot be compared: the first batch called "
            f"{self.layers}, the one from sample {self.seen} on {what}. Record such inputs apart."
        )

    def _enter_module(self, module: torch.nn.Module, args: tuple) -> None:
        super()._enter_module(module, args)
        path = self.paths.get(id(module), "")
        if path in self.wanted.also:
            with torch._C.DisableTorchFunction():  # what is done here is none of the model's calls
                self._keep_input(path, args)

    def _keep_input(self, path: str, args: tuple) -> None:
        if not args or not torch.is_tensor(args[0]):
            raise InputError(
                f"also names {path!r}, which is called without a tensor as its first positional argument: "
                "name a module before or after it, such as a norm or a linear layer."
            )
        name = self.numbered(path, " as input")
        self.inputs[name].append(self.rows(args[0], f"Module {path!r}", "Leave it out of also."))
