"""The recorder: a torch function mode that sees every call of a forward pass before it happens.

Forward hooks would miss `F.relu` and `x.relu()`, and see the input of an in-place ReLU only after it was
overwritten. The mode switches itself off inside a call, so that `F.relu`, which calls `torch.relu`, counts
once.
"""

from typing import Any

import torch

from splinelab.codes import join_packed
from splinelab.errors import InputError, UnsupportedOperationError
from splinelab.recording import operations as table
from splinelab.recording.arrays import check_finite, pack, pack_above
from splinelab.recording.following import Following, Kind, is_real, tensors, version_of
from splinelab.recording.judging import judged, tiny
from splinelab.recording.keeping import Keeping
from splinelab.recording.operations import op_name
from splinelab.recording.outputs import first_output
from splinelab.recording.refusals import MisusedError, curved, leaving, shares
from splinelab.recording.rules import Kinks, argument, kinks_of, pool_bits


class Recorder(Keeping):
    """Reads the spline code of every call that switches, batch by batch, and refuses what it does not know.

    For each batch: `run(batch)`, then `packed()`. The values before and after each call gather in `pre` and
    `post`.
    """

    def run(self, batch):
        """The model's output for a batch (`inputs.Batch`), its calls read on the way."""
        self.next(len(batch), batch.tokens)
        self.written_out: tuple[torch.nn.Module, str | None] | None = None
        self.following = Following()
        given = batch.own()
        first = self.seen if self.tokens is None else self.tokens.first
        for tensor in given.tensors:
            if is_real(tensor):  # the copy is looked at, which lies in the processor's cache
                check_finite(tensor, "The inputs hold", first, "Clean or leave out such samples.")
            self.following.add(tensor, Kind.ACTIVATION if is_real(tensor) else Kind.DISCRETE)
        with self:
            output = self.model(*given.positional, **given.named)
        for note in (self.following.note(item) for item in tensors(output) if item in self.following):
            if note.kind is Kind.CURVED:
                self._refuse(curved(note.made_by), note.made_by)
        note = self.following.note(first_output(output, self.samples))
        if note.kind is Kind.SHARES:
            self._refuse(shares(note.made_by), note.made_by)
        return output

    # The calls

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        op = op_name(func)
        operands = self._operands(op, args, kwargs)
        if self.written_out is not None:  # inside a module that is read as one activation
            return self._passed(func, args, kwargs, bool(operands))
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
            kind, multiple, made_by = judged(op, args, kwargs, operands, self.following, self.wanted.soft)
        except MisusedError as error:
            self._refuse(str(error), error.maker)
        except UnsupportedOperationError as error:
            self._refuse(str(error), op)
        if (kind in (Kind.CURVED, Kind.SHARES) and made_by == op) or op in table.ALL_POOLS:
            self.makers[op] = (self.path, self.where)
        whole = [item.dtype for item in operands if not is_real(item)] if op in table.WEIGHTED else []
        if whole:
            raise InputError(
                f"The inputs reach {op} as {whole[0]}, and it takes floats: convert them as in training, for "
                f"images usually `images / 255`. It is called in {self.where}."
            )
        layer, gate = None, op in table.SOFT and kinks is not None
        if kinks is not None:
            layer = self._read(self.name(op), op, kinks)
            if gate and layer is not None:
                self.smooth[layer] = "gelu_tanh" if argument(args, kwargs, 1, "approximate") == "tanh" else op
        elif op in table.ALL_POOLS:
            self._pool(op, args, kwargs, kind)
        elif self.wanted.soft and op in table.MULTIPLICATIONS:
            layer = self._read_gated(op, operands)
        result, written = self._call(func, args, kwargs)
        if why := leaving(op, kind, result):
            self._refuse(why, op)
        for number, item in enumerate([*tensors(result), *written]):
            self._follow(op, item, number, kind, multiple, made_by, gate)
        if layer is not None and self.wanted.activations:
            self.post[layer].append(self._rows(result, op))
        return result

    def _passed(self, func, args, kwargs, moving: bool):
        """A call that is not asked what it is."""
        result, written = self._call(func, args, kwargs)
        for item in (*tensors(result), *written) if moving else ():
            self.following.add(item, Kind.ACTIVATION if is_real(item) else Kind.DISCRETE)
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

    def _follow(self, op: str, item, number: int, kind: Kind, multiple, made_by: str, gate: bool) -> None:
        if not is_real(item):
            winner = op in table.ALL_POOLS
            kind, made_by = (Kind.WINNER, op) if winner and kind is not Kind.DISCRETE else (Kind.DISCRETE, "")
        elif op in ("var_mean", "std_mean") and number == 1 and kind is Kind.STATISTIC:
            kind = Kind.ACTIVATION
        self.following.add(item, kind, multiple, made_by, home=self.path, gate=gate)

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
        if op not in table.SWITCHES and op not in table.SOFT:
            return None
        kinks = kinks_of(op, args, kwargs, self.following)
        if kinks is None:
            return None
        value = kinks.value
        if value.is_complex():
            raise UnsupportedOperationError(f"No rule gives a spline code for {op} of complex numbers.")
        guard = self.following.note(value).kind is Kind.STATISTIC and tiny(kinks.thresholds)
        return None if guard else kinks

    def _read(self, name: str, op: str, kinks: Kinks) -> str | None:
        """Read one call before it happens; the layer's name, None if the caller does not want it."""
        if self._left_out(name):
            return None
        value, thresholds = kinks.value, kinks.thresholds
        if shapes := [threshold.shape for threshold in thresholds if torch.is_tensor(threshold)]:
            value = value.expand(torch.broadcast_shapes(value.shape, *shapes))
        if self.tokens is not None:  # a threshold for each token is cut as the value is
            thresholds = tuple(
                self._rows(item.expand(value.shape), op) if torch.is_tensor(item) else item
                for item in thresholds
            )
        value = self._rows(value, op)
        check_finite(value, f"Layer {name!r} received", self.seen, "Check the inputs and the weights.")
        units = value[0].numel()
        parts = [pack_above(value, threshold) for threshold in thresholds]
        packed = parts[0] if len(parts) == 1 else join_packed(parts, [units] * len(parts))
        self._keep_bits(name, packed, units * len(parts))
        if self.wanted.activations:
            self.pre[name].append(value)
        return name

    def _rows(self, value: torch.Tensor, op: str) -> torch.Tensor:
        return self.rows(value, op, self._place(op))

    def _read_gated(self, op: str, operands: list) -> str | None:
        """Read what a smooth gate is multiplied with, the up branch of a gated MLP."""
        gates = [item for item in operands if self.following.note(item).gate]
        if len(operands) != 2 or len(gates) != 1:
            return None
        (up,) = (item for item in operands if item is not gates[0])
        note = self.following.note(up)
        if note.kind is Kind.DISCRETE or up.shape != gates[0].shape:
            return None
        below = f"{self.path}." if self.path else ""
        home = note.home if note.home.startswith(below) and note.home != self.path else f"{below}up"
        return self._read(self.numbered(home), op, Kinks(up, (0,)))

    def _enter_module(self, module, args) -> None:
        super()._enter_module(module, args)
        kind = table.SOFT_MODULES.get(f"{type(module).__module__}.{type(module).__qualname__}")
        if (
            kind is None
            or not self.wanted.soft
            or id(module) not in self.paths
            or not self._readable(module, args)
        ):
            return
        layer, op = None, kind.partition("_")[0]
        if not self._ignored(op):
            with torch._C.DisableTorchFunction():
                layer = self._read(self.name(op), op, Kinks(args[0], (0,)))
        if layer is not None:
            self.smooth[layer] = kind
        self.written_out = (module, layer)

    def _readable(self, module, args) -> bool:
        """Whether a module can be read as one activation: of what it is given itself, no power of that."""
        if self.written_out is not None or module._forward_pre_hooks or not args:
            return False
        ordinary = (Kind.ACTIVATION, Kind.RECTIFIED)
        return args[0] in self.following and self.following.note(args[0]).kind in ordinary

    def _leave_module(self, module, args, output) -> None:
        if self.written_out is not None and self.written_out[0] is module:
            layer, self.written_out = self.written_out[1], None
            if torch.is_tensor(output):  # there is none where the forward has failed
                self.following.add(output, Kind.ACTIVATION, home=self.path, gate=True)
            if torch.is_tensor(output) and layer is not None and self.wanted.activations:
                with torch._C.DisableTorchFunction():
                    self.post[layer].append(self._rows(output, layer))
        super()._leave_module(module, args, output)

    def _pool(self, op: str, args, kwargs, kind: Kind) -> None:
        if not self.wanted.pools or kind is Kind.DISCRETE:
            return
        if op in table.POOLS:
            name = self.name(op)
            if not self._left_out(name):
                bits = pool_bits(table.POOLS[op], args, kwargs).flatten(1)
                self._keep_bits(name, pack(bits), bits.shape[1])
        elif not (op in ("max", "min") and len(args) + len(kwargs) == 1):
            self._refuse(f"No rule codes the pooling {op}.", op)
