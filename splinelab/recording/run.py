"""One run of a model over its inputs, batch by batch, checked."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from splinelab.recording.arrays import Rows, check_finite
from splinelab.recording.batch import Batch
from splinelab.recording.check import Check
from splinelab.recording.choosing import Wanted
from splinelab.recording.inputs import Reader, expected_samples
from splinelab.recording.outputs import first_output
from splinelab.recording.place import place
from splinelab.recording.positions import Positions
from splinelab.recording.recorder import Recorder
from splinelab.recording.result import Recording


class Run:
    """A model that is being recorded; the arguments are those of `record`.

    For each of `batches()`: `step(batch)` in evaluation mode. `taken()` is what the steps since the last one
    gave; `at_once` says that there will be one call of it, so that arrays are allocated once.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        inputs: Any,
        wanted: Wanted,
        positions: Any,
        input: int | str | tuple | None,
        batch_size: int,
        device: str | torch.device | None,
        at_once: bool = True,
    ):
        self.model, self.device, dtype = place(model, device)
        self.wanted = wanted
        self.positions = None if positions is None else Positions(positions)
        # How many rows to make room for; the number of tokens shows only on the way.
        self.expected = expected_samples(inputs) if at_once and positions is None else 0
        self.recorder = Recorder(self.model, wanted, self.expected)
        self._read = Reader(self.model, input).batches(inputs, batch_size, self.device, dtype)
        self.sizes: set[int] = set()  # of the batches, each checked when first met
        self._begin()

    def _begin(self) -> None:
        self.packed: list[np.ndarray] = []
        self.outputs = Rows(self.expected)
        self.places: list[tuple[np.ndarray, np.ndarray]] = []

    def batches(self) -> Iterator[Batch]:
        """The batches in which samples were chosen."""
        for batch in self._read:
            if self.positions is not None:
                batch.tokens = self.positions.of(batch)
                if not len(batch.tokens):
                    continue
            yield batch
        if self.positions is not None:
            self.positions.finish()

    def step(self, batch: Batch) -> None:
        """Record a batch, and check the first of each size."""
        recorder = self.recorder
        output = recorder.run(batch)
        if not self.sizes:
            recorder.check_layers()
        packed = recorder.packed()
        output = batch.outputs(first_output(output, len(batch)))
        advice = "Check the weights of its last layers."
        check_finite(output, "The model's output holds", recorder.seen, advice)
        self.packed.append(packed)
        if self.wanted.output:
            self.outputs.append(output)
        if batch.tokens is not None:
            self.places.append(
                (batch.tokens.first + batch.tokens.sequence, np.concatenate(batch.tokens.position))
            )
        if len(batch) not in self.sizes:
            self.sizes.add(len(batch))
            rows = output.detach().reshape(len(output), -1).float().cpu().numpy()
            Check(batch).compare(self.model, recorder, packed, rows)

    def taken(self) -> Recording:
        """The recording of the batches since the last call."""
        codes, (pre, post, inputs) = self.recorder.taken(self.packed)
        output = self.outputs.array() if self.wanted.output else np.empty((len(codes), 0), np.float32)
        sequence = position = None
        if self.positions is not None:
            sequence, position = (np.concatenate(part) for part in zip(*self.places, strict=True))
        self._begin()
        soft = dict(self.recorder.smooth)
        return Recording(codes, pre, post, output, inputs, soft, sequence, position)
