"""A recording held against the plain model on a few samples, and against itself in another batch size."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from splinelab.errors import InputError, SplinelabError, UnsupportedOperationError, VerificationError
from splinelab.recording import operations as table
from splinelab.recording.batch import Batch
from splinelab.recording.following import tensors
from splinelab.recording.outputs import first_output
from splinelab.recording.recorder import Recorder


class Check:
    """Made of the first batch before it is recorded, asked when it has been.

    A few samples run once through a recorder of their own and once through the plain model, in two sizes of
    batch that differ from each other and from the first batch's: 2 and 3, or what is near them.
    """

    def __init__(self, first: Batch):
        self.size = len(first)
        small, large = [count for count in (2, 3, 4) if count != self.size][:2]
        able = np.arange(self.size)
        if first.tokens is not None:  # of sequences, those with a token to compare
            able = np.unique(first.tokens.sequence)
        order = np.random.default_rng(0).permutation(able)
        if len(order) > 2 and order[0] + order[1] == self.size - 1:  # each other's mirror image in the batch
            order[1], order[2] = order[2], order[1]
        # Two draws with no sample in common, as long as there are enough: no single one decides both.
        rows = np.sort(np.resize(order, small)), np.sort(np.resize(np.roll(order, -small), large))
        self.watched, self.plain = rows
        self.batches = [first.take(torch.from_numpy(rows)) for rows in (self.watched, self.plain)]
        # Where their samples stand among those of the first batch.
        self.watched_samples, self.plain_samples = map(first.samples_of, rows)

    def compare(self, model, recorder: Recorder, packed: np.ndarray, output: np.ndarray) -> None:
        """Raise unless the first batch's codes (packed) and output are those of the plain model.

        `VerificationError`: the model gives another output each time, or with somebody watching.
        `UnsupportedOperationError`: codes or outputs depend on the other samples of the batch.
        """
        again = _Margins(model, recorder)
        unseen = _Unseen(again)
        try:
            watched = _output(unseen.run, self.batches[0])
            plain = self._plain(model, 1)
        except SplinelabError:
            raise
        except Exception as error:
            if unseen.refusal is not None:  # TorchScript wraps what passes through it
                raise unseen.refusal from None
            raise InputError(
                f"The model runs on a batch of {self.size} samples and fails on one of {len(self.watched)} "
                f"or {len(self.plain)} of them: {error}. Codes must not depend on the size of the batch: is "
                "the first axis the samples?"
            ) from error
        tolerance = max(again.tolerance, 1e-6)
        apart = _difference(watched, output[self.watched_samples])
        apart = max(apart, _difference(plain, output[self.plain_samples]))
        if again.layers != recorder.layers:
            self._explain(
                f"its layers are {again.layers} instead of {recorder.layers}", model, watched, tolerance
            )
        elif wrong := again.wrong(np.unpackbits(packed[self.watched_samples], axis=1), tolerance):
            what = f"the codes of the layers {wrong} differ by more than rounding"
            self._explain(what, model, watched, tolerance)
        elif apart > tolerance and not self._random(model, again):
            what = f"its output differs by {apart:.1e} of the largest value"
            self._explain(what, model, watched, tolerance)

    def _plain(self, model, which: int, seed: int = 0) -> np.ndarray:
        """The plain model's output."""
        return _output(lambda batch: batch.run(model), self.batches[which], seed)

    def _random(self, model, again: "_Margins") -> bool:
        """Whether what the caller ignored makes the output random, with all codes as they should be."""
        runs = [self._plain(model, 1, seed) for seed in (0, 1)]
        return bool(again.wanted.ignore) and _difference(*runs) > 0

    def _explain(self, what: str, model, watched: np.ndarray, tolerance: float) -> None:
        same = self._plain(model, 0)
        if (error := _difference(same, watched)) > tolerance:
            raise VerificationError(
                f"On the same {len(self.watched)} samples the model's output differs by {error:.1e} of its "
                "largest value from one call to the next: it draws random numbers, or keeps a state between "
                "calls."
            )
        raise UnsupportedOperationError(
            f"The model depends on the other samples of the batch: with {len(self.watched)} or "
            f"{len(self.plain)} samples instead of {self.size} {what}. Statistics over the batch, or a "
            "branch on it, give no sample a code of its own; take them out of the model."
        )


class _Margins(Recorder):
    """A recorder that knows how far every bit is from its threshold."""

    def __init__(self, model, like: Recorder):
        super().__init__(model, replace(like.wanted, activations=False, also=()))
        self.margins: dict[str, np.ndarray] = {}
        self.tolerance = 0.0
        self.seeing = False  # whether a call that this recorder sees is under way

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.seeing, before = True, self.seeing
        try:
            return super().__torch_function__(func, types, args, kwargs)
        finally:
            self.seeing = before

    def _enter_module(self, module, args) -> None:
        self.seeing, before = True, self.seeing
        super()._enter_module(module, args)
        self.seeing = before

    def _leave_module(self, module, args, output) -> None:
        self.seeing, before = True, self.seeing
        super()._leave_module(module, args, output)
        self.seeing = before

    def _read(self, name, op, kinks):
        kept = super()._read(name, op, kinks)
        if kept is not None:
            self.tolerance = max(self.tolerance, torch.finfo(kinks.value.dtype).eps ** 0.5)
            value = kinks.value.double()
            parts = [self._rows(value - threshold, op).abs() for threshold in kinks.thresholds]
            away = torch.cat([part.reshape(len(part), -1) for part in parts], dim=1)
            self.margins[name] = (away / away.max().clamp(min=1e-300)).cpu().numpy()
        return kept

    def wrong(self, bits: np.ndarray, tolerance: float) -> list[str]:
        """Layers with other bits than these, rounding apart: samples × bits of all layers."""
        found, first = [], 0
        for name, units in self.layers.items():
            theirs = bits[:, first : first + units]
            mine = np.unpackbits(self.parts[name], axis=1, count=units)
            first += units
            if name in self.margins and ((mine != theirs) & (self.margins[name] > tolerance)).any():
                found.append(name)
        return found


class _Unseen(TorchDispatchMode):
    """Refuses what a function mode cannot see: operations of scripted functions and of extensions."""

    def __init__(self, recorder: _Margins):
        super().__init__()
        self.recorder = recorder
        self.refusal: UnsupportedOperationError | None = None

    def run(self, batch: Batch):
        """The model's output, recorded, with every operation in sight."""
        with self:
            return self.recorder.run(batch)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        recorder, op = self.recorder, table.op_name(func)
        hidden = not recorder.seeing and op not in table.STRUCTURE
        if hidden and any(item in recorder.following for item in tensors((args, kwargs or {}))):
            self.refusal = UnsupportedOperationError(
                f"{op} runs in {recorder.where} where no function of torch can be seen, as in a "
                "torch.jit.script function or an extension, which hide what bends. Call the Python function "
                "that it was made from."
            )
            raise self.refusal
        return func(*args, **(kwargs or {}))


def _output(run: Callable, batch: Batch, seed: int = 0) -> np.ndarray:
    """What a run of a batch returns, samples × outputs, with torch's random state from a seed."""
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed takes longer than a small batch
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(seed)
        output = batch.outputs(first_output(run(batch), len(batch)))
    return output.detach().reshape(len(output), -1).float().cpu().numpy()


def _difference(one: np.ndarray, two: np.ndarray) -> float:
    """The largest difference, as a share of the largest value; infinite for other shapes."""
    if one.shape != two.shape:
        return np.inf
    if not one.size:
        return 0.0
    return float(np.abs(one.astype(np.float64) - two).max() / (np.abs(two).max() or 1.0))
