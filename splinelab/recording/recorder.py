"""The recorder: a torch function mode that sees every call of a forward pass before it happens.

Forward hooks would miss `F.relu` and `x.relu()`, and see the input of an in-place ReLU only after it was
overwritten. The mode switches itself off inside a call, so that `F.relu`, which calls `torch.relu`, counts
once.
"""

from collections import defaultdict
from typing import Any

import numpy as np
import torch

from splinelab.codes import join_packed
from splinelab.errors import InputError, UnsupportedOperationError, closest
from splinelab.recording import operations as table
from splinelab.recording.arrays import Rows, check_finite, pack, pack_above
from splinelab.recording.following import Following, Kind, is_real, tensors, version_of
from splinelab.recording.judging import MisusedError, curved, judged, leaving, tiny
from splinelab.recording.names import NamedCalls
from splinelab.recording.operations import op_name
from splinelab.recording.rules import Kinks, kinks_of, pool_bits


class Recorder(NamedCalls):
    """Reads the spline code of every call that switches, batch by batch, and refuses what it does not know.

    For each batch: `run(batch)`, then `packed()`. The values before and after each call gather in `pre` and
    `post`; `expected` is their number of samples, 0 if unknown.
    """

    def __init__(self, model, activations=False, pools=False, ignore: tuple = (), expected: int = 0):
        super().__init__(model)
        self.model, self.expected = model, expected
        self.activations, self.pools, self.ignore = activations, pools, ignore
        self.layers: dict[str, int] = {}  # name → bits per sample, fixed by the first batch
        self.pre: defaultdict[str, Rows] = defaultdict(lambda: Rows(expected))
        self.post: defaultdict[str, Rows] = defaultdict(lambda: Rows(expected))
        self.seen = self.samples = 0
        self.parts: dict[str, np.ndarray] = {}  # this batch's packed bits by layer
        self.makers: dict[str, tuple[str, str]] = {}  # operation → where it was last called: path, words
        self.met: set[str] = set()  # entries of `ignore` that something answered to

    def run(self, batch):
        """The model's output for a batch (`inputs.Batch`), its calls read on the way."""
        self.seen += self.samples
        self.samples = len(batch)
        self.parts = {}
        self.following = Following()
        self.begin()
        given = batch.own()
        for tensor in given.tensors:
            if is_real(tensor):  # the copy is looked at, which lies in the processor's cache
                check_finite(tensor, "The inputs hold", self.seen, "Clean or leave out such samples.")
            self.following.add(tensor, Kind.ACTIVATION if is_real(tensor) else Kind.DISCRETE)
        with self:
            output = self.model(*given.positional, **given.named)
        for note in (self.following.note(item) for item in tensors(output) if item in self.following):
            if note.kind is Kind.CURVED:
                self._refuse(curved(note.made_by), note.made_by)
        return output

    def packed(self) -> np.ndarray:
        """The batch's codes, samples × ⌈bits / 8⌉."""
        if len(self.parts) < len(self.layers):
            self._refuse_change(f"did not call {list(self.layers)[len(self.parts)]!r}")
        return join_packed(list(self.parts.values()), list(self.layers.values()))

    # The calls

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        op = op_name(func)
        operands = self._operands(op, args, kwargs)
        ignored = self._ignored(op)
        if not operands:
            if op in table.RANDOM and not ignored and kwargs.get("generator") is None:
                self._refuse(f"{op} draws random numbers: codes would change from call to call.", op)
            return func(*args, **kwargs)
        if ignored or op not in table.KNOWN:
            return self._unknown(op, func, args, kwargs, refused=not ignored)
        if op in table.CONSTANTS or op in table.CHECKS:
            return func(*args, **kwargs)
        try:
            kinks = self._kinks(op, args, kwargs)
            kind, multiple, made_by = judged(op, args, kwargs, operands, self.following)
        except MisusedError as error:
            self._refuse(str(error), error.maker)
        except UnsupportedOperationError as error:
            self._refuse(str(error), op)
        if (kind is Kind.CURVED and made_by == op) or op in table.ALL_POOLS:
            self.makers[op] = (self.path, self.where)
        whole = [item.dtype for item in operands if not is_real(item)] if op in table.WEIGHTED else []
        if whole:
            raise InputError(
                f"The inputs reach {op} as {whole[0]}, and it takes floats: convert them as in training, for "
                f"images usually `images / 255`. It is called in {self.where}."
            )
        layer = None
        if kinks is not None:
            layer = self._read(op, kinks)
        elif op in table.ALL_POOLS:
            self._pool(op, args, kwargs, kind)
        result, written = self._call(func, args, kwargs)
        if why := leaving(op, kind, result):
            self._refuse(why, op)
        for number, item in enumerate([*tensors(result), *written]):
            self._follow(op, item, number, kind, multiple, made_by)
        if layer is not None:
            self.post[layer].append(result)
        return result

    def _operands(self, op: str, args, kwargs) -> list[torch.Tensor]:
        """What a call is given that depends on the samples; not where it writes, and not mere models of a
        shape."""
        given = (args, {name: item for name, item in kwargs.items() if name != "out"}) if kwargs else args
        given = args[:1] if op in table.SHAPED_LIKE else given
        return [item for item in tensors(given) if item in self.following]

    def _call(self, func, args, kwargs) -> tuple[Any, list[torch.Tensor]]:
        """Make a call; its result, and its first argument if that was written to."""
        first = args[:1] if args and isinstance(args[0], torch.Tensor) else ()
        before = [version_of(item) for item in first]
        result = func(*args, **kwargs)
        return result, [item for item in first if [version_of(item)] != before]

    def _follow(self, op: str, item, number: int, kind: Kind, multiple, made_by: str) -> None:
        if not is_real(item):
            winner = op in table.ALL_POOLS
            kind, made_by = (Kind.WINNER, op) if winner and kind is not Kind.DISCRETE else (Kind.DISCRETE, "")
        elif op in ("var_mean", "std_mean") and number == 1 and kind is Kind.STATISTIC:
            kind = Kind.ACTIVATION
        self.following.add(item, kind, multiple, made_by)

    def _unknown(self, op: str, func, args, kwargs, *, refused: bool):
        """A call that stands in no row of the table: free if it gives no tensor, and if it is ignored."""
        result, written = self._call(func, args, kwargs)
        made = [*tensors(result), *written]
        notes = [self.following.note(item) for item in self._operands(op, args, kwargs)]
        moving = any(note.kind is not Kind.DISCRETE for note in notes)
        if made and refused and moving:
            self._refuse(
                f"No rule gives a spline code for {op}: it stands in no row of the table of operations.", op
            )
        for item in made:
            self.following.add(item, Kind.ACTIVATION if moving and is_real(item) else Kind.DISCRETE)
        return result

    # Reading a layer

    def _kinks(self, op: str, args, kwargs) -> Kinks | None:
        """Where a call bends, if that makes it a layer."""
        if op not in table.SWITCHES:
            return None
        kinks = kinks_of(op, args, kwargs, self.following)
        if kinks is None:
            return None
        value = kinks.value
        if value.is_complex():
            raise UnsupportedOperationError(f"No rule gives a spline code for {op} of complex numbers.")
        guard = self.following.note(value).kind is Kind.STATISTIC and tiny(kinks.thresholds)
        return None if guard else kinks

    def _read(self, op: str, kinks: Kinks) -> str | None:
        """Read one call before it happens; the layer's name if its result shall be kept as well."""
        name = self.name(op)
        if self._ignored(name):
            return None
        value, thresholds = kinks.value, kinks.thresholds
        if shapes := [threshold.shape for threshold in thresholds if torch.is_tensor(threshold)]:
            value = value.expand(torch.broadcast_shapes(value.shape, *shapes))
        if value.ndim == 0 or value.shape[0] != self.samples:
            raise InputError(
                f"The first axis must be the samples, so that each gets its code: {op} got shape "
                f"{tuple(value.shape)} for a batch of {self.samples}. {self._place(op)}"
            )
        check_finite(value, f"Layer {name!r} received", self.seen, "Check the inputs and the weights.")
        units = value[0].numel()
        parts = [pack_above(value, threshold) for threshold in thresholds]
        packed = parts[0] if len(parts) == 1 else join_packed(parts, [units] * len(parts))
        self._keep_bits(name, packed, units * len(parts))
        if not self.activations:
            return None
        self.pre[name].append(value)
        return name

    def _pool(self, op: str, args, kwargs, kind: Kind) -> None:
        if not self.pools or kind is Kind.DISCRETE:
            return
        if op in table.POOLS:
            name = self.name(op)
            if not self._ignored(name):
                bits = pool_bits(table.POOLS[op], args, kwargs).flatten(1)
                self._keep_bits(name, pack(bits), bits.shape[1])
        elif not (op in ("max", "min") and len(args) + len(kwargs) == 1):
            self._refuse(f"No rule codes the pooling {op}.", op)

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

    # Names, and what to leave out

    def _ignored(self, name: str) -> bool:
        """Whether the caller asked to leave out an operation, a layer, or the module that is running."""
        if not self.ignore:
            return False
        path = self.path
        found = [item for item in self.ignore if item in (name, path) or path.startswith(f"{item}.")]
        self.met.update(found)
        return bool(found)

    def check_layers(self) -> None:
        """Raise `InputError` for an entry of `ignore` that names nothing, and where no layer is left."""
        known = {*self.met, *self.paths.values(), *table.KNOWN}
        for entry in self.ignore:
            if entry not in known:
                names = [*self.layers, *filter(None, self.paths.values())]
                left_out = f", left out {sorted(self.met)}" if self.met else ""
                raise InputError(
                    f"ignore names {entry!r}, which is no operation, layer or module here: "
                    f"{closest(entry, names)}the layers are {list(self.layers)}{left_out}."
                )
        if not self.layers:
            ignored = f" apart from what ignore={self.ignore} leaves out" if self.ignore else ""
            raise InputError(
                f"No ReLU or other piecewise-linear activation was called in the model{ignored}: it has no "
                "spline code. Pass a network with such activations."
            )

    def _place(self, op: str) -> str:
        path, where = self.makers.get(op, (self.path, self.where))
        way_out = f"ignore=({op!r},)" + (f" or ignore=({path!r},)" if path else "")
        return f"It is called in {where}. To record the rest without it pass {way_out}."

    # What is refused

    def _refuse(self, why: str, op: str) -> None:
        raise UnsupportedOperationError(f"{why} {self._place(op)}") from None
