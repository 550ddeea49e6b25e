"""A recording held against the plain model on a few samples, and against itself in another batch size."""

import numpy as np
import torch

from splinelab.errors import InputError, SplinelabError, UnsupportedOperationError, VerificationError
from splinelab.recording.inputs import Batch
from splinelab.recording.outputs import first_output
from splinelab.recording.recorder import Recorder

__all__ = ["Check"]


class Check:
    """Made of the first batch before it is recorded, asked when it has been.

    Two samples (three, if the batch has two) run once through the plain model and once through a recorder of
    their own. Between these two runs nothing but the watching differs; between the second and the recording
    that is checked, the size of the batch does.
    """

    def __init__(self, first: Batch):
        count = 2 if len(first) != 2 else 3
        self.rows = np.random.default_rng(0).choice(len(first), count, replace=len(first) < count)
        self.batch = first.take(torch.from_numpy(self.rows))
        self.size = len(first)

    def compare(self, model, recorder: Recorder, packed: np.ndarray, output: np.ndarray) -> None:
        """Raise unless the first batch's codes (packed) and output are those of the plain model.

        `VerificationError`: watching changes the model, or it gives another output each time.
        `UnsupportedOperationError`: codes or outputs depend on the other samples of the batch.
        """
        again = _Margins(model, recorder)
        try:
            plain = self._rows(self.batch.run, model)
            watched = self._rows(again.run, self.batch)
        except SplinelabError:
            raise
        except Exception as error:
            raise InputError(
                f"The model runs on a batch of {self.size} samples and fails on one of {len(self.rows)} of "
                f"them: {error}. Codes must not depend on the size of the batch; is the first axis the samples?"
            ) from error
        tolerance = max(again.tolerance, 1e-6)
        if (error := _difference(plain, watched)) > tolerance:
            raise VerificationError(
                f"On the same {len(self.rows)} samples the model's output differs by {error:.1e} of its largest "
                "value from one call to the next: it draws random numbers, or keeps a state between calls."
            )
        if again.layers != recorder.layers:
            self._refuse(f"its layers are {again.layers} instead of {recorder.layers}")
        if wrong := again.wrong(np.unpackbits(packed[self.rows], axis=1), tolerance):
            self._refuse(f"the codes of the layers {wrong} differ by more than rounding")
        if (error := _difference(watched, output[self.rows])) > tolerance and not self._random(model, again):
            self._refuse(f"its output differs by {error:.1e} of the largest value")

    def _rows(self, run, argument, seed: int = 0) -> np.ndarray:
        """The output for the samples that are compared, with torch's random state from a seed."""
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            output = first_output(run(argument), len(self.rows))
        return output.detach().reshape(len(self.rows), -1).float().cpu().numpy()

    def _random(self, model, again: "_Margins") -> bool:
        """Whether what the caller ignored makes the output random, with all codes as they should be."""
        runs = [self._rows(self.batch.run, model, seed) for seed in (0, 1)]
        return bool(again.ignore) and _difference(*runs) > 0

    def _refuse(self, what: str) -> None:
        raise UnsupportedOperationError(
            f"The model depends on the other samples of the batch: with {len(self.rows)} samples instead of "
            f"{self.size} {what}. Statistics over the batch, or a branch on it, give no sample a code of its "
            "own; take them out of the model."
        )


class _Margins(Recorder):
    """A recorder that knows how far every bit is from its threshold."""

    def __init__(self, model, like: Recorder):
        super().__init__(model, activations=False, pools=like.pools, ignore=like.ignore)
        self.margins: dict[str, np.ndarray] = {}
        self.tolerance = 0.0

    def _read(self, op, kinks):
        count = len(self.parts)
        kept = super()._read(op, kinks)
        if len(self.parts) > count:
            name = next(reversed(self.parts))
            self.tolerance = max(self.tolerance, torch.finfo(kinks.value.dtype).eps ** 0.5)
            value = kinks.value.double()
            away = [(value - threshold).abs().reshape(len(value), -1) for threshold in kinks.thresholds]
            away = torch.cat(away, dim=1)
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


def _difference(one: np.ndarray, two: np.ndarray) -> float:
    """The largest difference, as a share of the largest value; infinite for other shapes."""
    if one.shape != two.shape:
        return np.inf
    if not one.size:
        return 0.0
    return float(np.abs(one.astype(np.float64) - two).max() / (np.abs(two).max() or 1.0))
