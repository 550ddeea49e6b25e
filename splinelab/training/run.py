"""A training run that may be killed at any step and goes on with the same bits."""

import math
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from splinelab._arguments import check_whole
from splinelab._files import check_writable
from splinelab.errors import TrainingError
from splinelab.training.checkpoint import load_checkpoint, save_checkpoint

__all__ = ["Run"]

_LOSS_BLOCK = 25  # steps between looks at the losses: on a GPU each look waits for the queue


class Run:
    """The loop around a run's steps: losses that must stay finite, history, checkpoints, progress.

    A subclass gives what raises ``NotImplementedError`` here, and names in ``KEPT`` those of its attributes
    (numbers, text, lists, dicts of these and of tensors) that a checkpoint must hold.
    """

    KEPT: tuple[str, ...] = ()
    LOSS = "loss"  # the column of the history that must stay finite

    def __init__(self, steps: int) -> None:
        self.steps, self.step, self.seconds = steps, 0, 0.0
        self.history: dict[str, list] = {}
        self._losses: list[torch.Tensor] = []

    def go(
        self,
        identity: Mapping[str, Any],
        checkpoint: str | os.PathLike | None,
        checkpoint_every: int,
        progress: bool,
    ) -> None:
        """Run to the last step, from ``checkpoint`` where that file is there.

        Ctrl-C ends the run after the step that is under way, and saves that step where there is a
        ``checkpoint``; a second Ctrl-C ends it at once.

        Raises ``TrainingError`` for a loss or a weight that is not finite, for a checkpoint of another
        ``identity``, and, before the first step, for one that cannot be written.
        """
        checkpoint_every = check_whole("checkpoint_every", checkpoint_every)
        if checkpoint is not None:
            _require_writable(checkpoint)
            if (state := load_checkpoint(checkpoint, identity)) is not None:
                self._resume(state)

        def save() -> None:
            self.check_losses()
            save_checkpoint(checkpoint, {"identity": dict(identity), **self._state()})

        def stop() -> None:
            if checkpoint is None:
                raise KeyboardInterrupt
            save()
            kept = f"step {self.step:,} of {self.steps:,} is kept in {checkpoint}"
            raise KeyboardInterrupt(f"{kept}; the same call goes on from there")

        started, before = time.monotonic(), self.seconds
        if self.step == 0 and self.due():
            self.evaluate()
        with _progress_bar(self.steps, self.step, progress) as bar, _interrupts() as interrupted:
            while self.step < self.steps:
                self._losses.append(self.advance())
                self.step += 1
                self.after_step()
                if len(self._losses) == _LOSS_BLOCK:
                    self.check_losses()
                bar.update()
                if self.due():
                    self.evaluate()
                    bar.set_postfix_str(self.summary())
                self.seconds = before + time.monotonic() - started
                if checkpoint is not None and self.step % checkpoint_every == 0:
                    save()
                if interrupted:
                    stop()
        if interrupted:  # while the last step was saved
            stop()
        self.check_losses()
        self.check_end()

    def advance(self) -> torch.Tensor:
        """One optimiser step; the loss it started from, detached."""
        raise NotImplementedError

    def after_step(self) -> None:
        """What may follow a step, before the history's row."""

    def module(self) -> torch.nn.Module:
        """What is trained."""
        raise NotImplementedError

    def due(self) -> bool:
        """Whether the history gets a row after ``step`` steps."""
        raise NotImplementedError

    def row(self) -> dict[str, float]:
        """The history's row after ``step`` steps."""
        raise NotImplementedError

    def advice(self) -> str:
        """What to say of the settings, and what to change, where the loss is not finite."""
        raise NotImplementedError

    def summary(self) -> str:
        """The latest row, for the progress bar."""
        raise NotImplementedError

    def tensors(self) -> dict[str, Any]:
        """What a checkpoint must hold beside ``KEPT``."""
        raise NotImplementedError

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``tensors`` gave; ``KEPT`` is back already."""
        raise NotImplementedError

    def check_losses(self) -> None:
        """Raise ``TrainingError`` at the first non-finite loss since the last look."""
        if not self._losses:
            return
        finite = torch.stack(self._losses).isfinite().cpu()
        first = self.step - len(self._losses) + 1
        self._losses.clear()
        if not finite.all():
            at = first + int(finite.int().argmin())
            raise TrainingError(f"the loss is not finite at step {at} of {self.steps} {self.advice()}")

    def check_end(self) -> None:
        """Raise ``TrainingError`` where a row of the history has no finite loss, or a weight is not finite.

        The loss of a step is that of the weights before it, so what the last step did shows here alone.
        """
        for step, loss in zip(self.history["step"], self.history[self.LOSS], strict=True):
            if not math.isfinite(loss):
                raise TrainingError(f"the loss is {loss} after step {step} of {self.steps} {self.advice()}")
        for name, value in self.module().state_dict().items():
            if value.is_floating_point() and not value.isfinite().all():
                raise TrainingError(
                    f"the weights {name!r} are not finite after all {self.steps} steps {self.advice()}"
                )

    def evaluate(self) -> None:
        """Add a row to the history."""
        self.check_losses()
        for name, value in self.row().items():
            # Plain numbers only, as checkpoints hold them.
            self.history.setdefault(name, []).append(value if isinstance(value, int) else float(value))

    def _state(self) -> dict[str, Any]:
        kept = {name: getattr(self, name) for name in ("step", "seconds", "history", *self.KEPT)}
        return kept | self.tensors()

    def _resume(self, state: Mapping[str, Any]) -> None:
        for name in ("step", "seconds", "history", *self.KEPT):
            setattr(self, name, state[name])
        self.restore(state)


def _require_writable(checkpoint: str | os.PathLike) -> None:
    """Before hours of training, not after them."""
    try:
        check_writable(checkpoint)
    except OSError as error:
        raise TrainingError(
            f"the checkpoint {checkpoint} cannot be written ({error.strerror}): choose another folder"
        ) from error


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """A list that Ctrl-C fills, so that a step is whole when a run ends; the second Ctrl-C acts at once.

    Only the main thread hears of signals; elsewhere Ctrl-C does what it did.
    """
    heard: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return
    before = signal.getsignal(signal.SIGINT)

    def hear(number: int, frame: Any) -> None:
        heard.append(number)
        signal.signal(signal.SIGINT, before)

    if before in (None, signal.SIG_IGN):
        yield heard
        return
    signal.signal(signal.SIGINT, hear)
    try:
        yield heard
    finally:
        signal.signal(signal.SIGINT, before)


def _progress_bar(steps: int, initial: int, progress: bool):
    from tqdm.auto import tqdm

    return tqdm(total=steps, initial=initial, disable=not progress, unit="step", mininterval=0.5)
