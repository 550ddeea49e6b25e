"""A training run that may be killed at any step and goes on with the same bits."""

import math
import os
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from splinelab._arguments import check_whole
from splinelab._files import check_writable
from splinelab.errors import TrainingError
from splinelab.training.checkpoint import load_checkpoint, save_checkpoint

_LOSS_BLOCK = 25  # steps between looks at the losses: on a GPU each look waits for the queue
_KEPT = ("step", "seconds", "history")  # of every run


class Run(ABC):
    """The one fit loop: losses that must stay finite, history, checkpoints, progress.

    A subclass says what the loss of a step is, makes an optimiser by `optimise`, and names in `KEPT` those
    of its attributes (numbers, text, lists, dicts of these and of tensors) that a checkpoint must hold.

    Parameters
    ----------
    module : what is trained.
    steps : when the run ends.
    """

    KEPT: tuple[str, ...] = ()
    LOSS = "loss"  # the column of the history that must stay finite
    TRAINED = "model"  # what a checkpoint calls the module

    def __init__(self, module: nn.Module, steps: int) -> None:
        self.module: Any = module  # a subclass knows which
        self.steps, self.step, self.seconds = steps, 0, 0.0
        self.history: dict[str, list] = {}
        self._losses: list[torch.Tensor] = []

    def go(
        self,
        identity: Mapping[str, Any],
        checkpoint: str | os.PathLike | None = None,
        checkpoint_every: int = 1000,
        progress: bool = False,
    ) -> None:
        """Run to the last step, from `checkpoint` where that file is there.

        Ctrl-C ends the run after the step that is under way, and saves that step where there is a
        `checkpoint`; a second Ctrl-C ends it at once.

        Raises `TrainingError` for a loss or a weight that is not finite, for a checkpoint of another
        `identity`, and, before the first step, for one that cannot be written.
        """
        checkpoint_every = check_whole("checkpoint_every", checkpoint_every)
        if checkpoint is not None:
            _require_writable(checkpoint)
            if (state := load_checkpoint(checkpoint, identity)) is not None:
                self._resume(state)

        def save(path: str | os.PathLike) -> None:
            self.check_losses()
            kept = {name: getattr(self, name) for name in (*_KEPT, *self.KEPT)}
            save_checkpoint(path, {"identity": dict(identity), **kept, **self.tensors()})

        def stop() -> None:
            if checkpoint is None:
                raise KeyboardInterrupt
            save(checkpoint)
            kept = f"step {self.step:,} of {self.steps:,} is kept in {checkpoint}"
            raise KeyboardInterrupt(f"{kept}; the same call goes on from there")

        started, before = time.monotonic(), self.seconds
        if self.step == 0 and self.due():
            self.evaluate()
        bar = tqdm(total=self.steps, initial=self.step, disable=not progress, unit="step", mininterval=0.5)
        with bar, _interrupts() as interrupted:
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
                    save(checkpoint)
                if interrupted:
                    stop()
        if interrupted:  # while the last step was saved
            stop()
        self.check_losses()
        self.check_end()

    def optimise(self, weights: Iterable[nn.Parameter], lr: float, weight_decay: float) -> None:
        """A fresh AdamW for these weights."""
        # Fused: one kernel for all weights, a fifth off the step on a CPU.
        self.optimiser = torch.optim.AdamW(weights, lr=lr, weight_decay=weight_decay, fused=True)

    def advance(self) -> torch.Tensor:
        """One optimiser step; the loss it started from, detached."""
        loss = self.loss()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    @abstractmethod
    def loss(self) -> torch.Tensor:
        """The loss that the next step is to lower; also the place to change the optimiser's settings."""

    def after_step(self) -> None:  # noqa: B027
        """What may follow a step, before the history's row."""

    @abstractmethod
    def due(self) -> bool:
        """Whether the history gets a row after `step` steps."""

    @abstractmethod
    def row(self) -> dict[str, float]:
        """The history's row after `step` steps."""

    @abstractmethod
    def advice(self) -> str:
        """What to say of the settings, and what to change, where the loss is not finite."""

    def summary(self) -> str:
        """The latest row, for the progress bar."""
        return f"loss {self.history[self.LOSS][-1]:.2e}"

    def tensors(self) -> dict[str, Any]:
        """What a checkpoint must hold beside `KEPT`."""
        return {self.TRAINED: self.module.state_dict(), "optimiser": self.optimiser.state_dict()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `tensors` gave; `KEPT` is back already."""
        self.module.load_state_dict(state[self.TRAINED])
        self.optimiser.load_state_dict(state["optimiser"])

    def check_losses(self) -> None:
        """Raise `TrainingError` at the first non-finite loss since the last look."""
        if not self._losses:
            return
        finite = torch.stack(self._losses).isfinite().cpu()
        first = self.step - len(self._losses) + 1
        self._losses.clear()
        if not finite.all():
            at = first + int(finite.int().argmin())
            raise TrainingError(f"the loss is not finite at step {at} of {self.steps} {self.advice()}")

    def check_end(self) -> None:
        """Raise `TrainingError` where a row of the history has no finite loss, or a weight is not finite.

        The loss of a step is that of the weights before it, so what the last step did shows here alone.
        """
        for step, loss in zip(self.history["step"], self.history[self.LOSS], strict=True):
            if not math.isfinite(loss):
                raise TrainingError(f"the loss is {loss} after step {step} of {self.steps} {self.advice()}")
        for name, value in self.module.state_dict().items():
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

    def _resume(self, state: Mapping[str, Any]) -> None:
        for name in (*_KEPT, *self.KEPT):
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
