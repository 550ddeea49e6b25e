"""The recorder: a torch function mode that sees every call of a forward pass before it happens.

Forward hooks would miss `F.relu` and `x.relu()`, and see the input of an in-place ReLU only after it was
overwritten. The mode switches itself off inside a call, so that `F.relu`, which calls `torch.relu`, counts
once.
"""

from collections import defaultdict

import numpy as np
import torch

from splinelab.codes import join_packed
from splinelab.errors import InputError, UnsupportedOperationError
from splinelab.recording.arrays import Rows, check_finite, pack, pack_above
from splinelab.recording.names import NamedCalls
from splinelab.recording.rules import (
    ACTIVATIONS,
    MATHS,
    OTHER_POOLS,
    POOLS,
    RULES,
    argument,
    op_name,
    pool_bits,
)

__all__ = ["Recorder"]

WATCHED = frozenset(RULES) | ACTIVATIONS | MATHS | frozenset(POOLS) | OTHER_POOLS
DROPOUTS = frozenset(
    f"{kind}dropout{n}"
    for kind in ("", "alpha_", "feature_", "feature_alpha_")
    for n in ("", "1d", "2d", "3d")
)


class Recorder(NamedCalls):
    """Reads the spline code of every call that a rule covers, batch by batch.

    For each batch: `begin(samples)`, then `with recorder: model(batch)`, then `packed()`. The values before
    and after each call gather in `pre` and `post`; `expected` is their number of samples, 0 if unknown.
    """

    def __init__(self, model, *, activations: bool, pools: bool, ignore: tuple[str, ...], expected: int):
        super().__init__(model)
        self.activations, self.pools, self.ignore = activations, pools, ignore
        self.layers: dict[str, int] = {}  # name → bits per sample, fixed by the first batch
        self.pre: defaultdict[str, Rows] = defaultdict(lambda: Rows(expected))
        self.post: defaultdict[str, Rows] = defaultdict(lambda: Rows(expected))
        self.seen = self.samples = 0
        self.parts: dict[str, np.ndarray] = {}  # this batch's packed bits by layer
        self.first = True

    def begin(self, samples: int) -> None:
        """Expect a batch of `samples` samples."""
        self.seen += self.samples
        self.samples = samples
        self.first = self.seen == 0
        self.parts = {}
        self.names.begin()

    def packed(self) -> np.ndarray:
        """The batch's codes, samples × ⌈bits / 8⌉."""
        if len(self.parts) < len(self.layers):
            self._refuse_change(f"did not call {list(self.layers)[len(self.parts)]!r}")
        return join_packed(list(self.parts.values()), list(self.layers.values()))

    # The calls

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        op = op_name(func)
        layer = None
        if op in WATCHED:
            layer = self._read(op, args, kwargs)
        elif op in DROPOUTS:
            self._check_dropout(op, args, kwargs)
        result = func(*args, **kwargs)
        if layer is not None:
            self.post[layer].append(result)
        return result

    def _read(self, op: str, args, kwargs) -> str | None:
        """Read one call before it happens; the layer's name if its result shall be kept as well."""
        if op in ACTIVATIONS or op in MATHS:
            self._check_unruled(op, argument(args, kwargs, 0, "input"))
            return None
        if op in POOLS:
            if self.pools and (name := self._name(op)):
                bits = pool_bits(POOLS[op], args, kwargs).flatten(1)
                self._keep_bits(name, pack(bits), bits.shape[1])
            return None
        try:
            kinks = RULES[op](args, kwargs) if op in RULES else None
        except UnsupportedOperationError as error:
            if self._ignored(op, ""):
                return None
            raise UnsupportedOperationError(f"{error} {self._place(op)}") from None
        if kinks is None:
            self._check_other_pool(op, args, kwargs)
            return None
        value = kinks.value
        # Weights may be clipped and integers clamped: neither is an activation.
        if (
            not torch.is_tensor(value)
            or isinstance(value, torch.nn.Parameter)
            or not value.is_floating_point()
        ):
            return None
        if not kinks.thresholds or not (name := self._name(op)):
            return None
        if value.ndim == 0 or value.shape[0] != self.samples:
            raise InputError(
                f"The first axis must be the samples, so that each gets its code: {op} got shape "
                f"{tuple(value.shape)} for a batch of {self.samples}. {self._place(op)}"
            )
        check_finite(value, f"Layer {name!r} received", self.seen, "Check the inputs and the weights.")
        if any(torch.is_tensor(threshold) for threshold in kinks.thresholds):
            value = value.expand(torch.broadcast_shapes(value.shape, *map(_shape, kinks.thresholds)))
        units = value[0].numel()
        parts = [_pack_above(value, threshold) for threshold in kinks.thresholds]
        packed = parts[0] if len(parts) == 1 else join_packed(parts, [units] * len(parts))
        self._keep_bits(name, packed, units * len(parts))
        if not self.activations:
            return None
        self.pre[name].append(value)
        return name

    def _keep_bits(self, name: str, packed: np.ndarray, bits: int) -> None:
        if self.first:
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

    # Names, and what to leave out

    def _name(self, op: str) -> str | None:
        """Unique name of this call, or None when the caller asked to ignore it."""
        name = self.names.name(op)
        return None if self._ignored(op, name) else name

    def _ignored(self, op: str, name: str) -> bool:
        path = self.names.path
        above = (path == entry or path.startswith(f"{entry}.") for entry in self.ignore)
        return op in self.ignore or name in self.ignore or any(above)

    def _place(self, op: str) -> str:
        path = self.names.path
        way_out = f"ignore=({op!r},)" + (f" or ignore=({path!r},)" if path else "")
        return f"It is called in {self.names.where}. To record the rest without it pass {way_out}."

    # What is refused

    def _check_unruled(self, op: str, value) -> None:
        if isinstance(value, torch.nn.Parameter) or self._ignored(op, ""):
            return
        per_sample = torch.is_tensor(value) and value.ndim > 0 and value.shape[0] == self.samples
        if op in MATHS and not (per_sample and value.is_floating_point()):
            return
        raise UnsupportedOperationError(
            f"No rule gives a spline code for {op}: splinelab knows no thresholds at which it bends. "
            f"{self._place(op)}"
        )

    def _check_other_pool(self, op: str, args, kwargs) -> None:
        reduces_all = op in ("max", "min") and len(args) + len(kwargs) == 1
        if self.pools and op in OTHER_POOLS and not reduces_all and not self._ignored(op, ""):
            raise UnsupportedOperationError(f"No rule codes the pooling {op}. {self._place(op)}")

    def _check_dropout(self, op: str, args, kwargs) -> None:
        p, training = argument(args, kwargs, 1, "p", 0.5), argument(args, kwargs, 2, "training", True)
        if training and p > 0 and not self._ignored(op, ""):
            raise UnsupportedOperationError(
                f"{op} is called with training=True although the model is in evaluation mode: codes would be "
                f"random. Pass training=self.training to it. {self._place(op)}"
            )


def _shape(threshold) -> tuple[int, ...]:
    return tuple(threshold.shape) if torch.is_tensor(threshold) else ()


def _pack_above(value: torch.Tensor, threshold) -> np.ndarray:
    if torch.is_tensor(threshold):
        return pack((value > threshold).reshape(len(value), -1))
    return pack_above(value, threshold)
