"""A training run that may be killed at any step and goes on with the same bits."""

import os
import time
from collections.abc import Mapping
from typing import Any

import torch

from splinelab.errors import InputError, TrainingError
from splinelab.training.checkpoint import load_checkpoint, save_checkpoint

__all__ = ["Run", "check_seed", "resolve_device"]

_LOSS_BLOCK = 25  # steps between looks at the losses: on a GPU each look waits for the queue


class Run:
    """The loop around a run's steps: losses that must stay finite, history, checkpoints, progress.

    A subclass gives what raises ``NotImplementedError`` here, and names in ``KEPT`` those of its attributes
    (numbers, text, lists, dicts of these and of tensors) that a checkpoint must hold.
    """

    KEPT: tuple[str, ...] = ()

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

        Raises ``TrainingError`` for a non-finite loss and for a checkpoint of another ``identity``.
        """
        if checkpoint is not None and (state := load_checkpoint(checkpoint, identity)) is not None:
            self._resume(state)
        started, before = time.monotonic(), self.seconds
        if self.step == 0 and self.due():
            self.evaluate()
        with _progress_bar(self.steps, self.step, progress) as bar:
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
                    self.check_losses()
                    save_checkpoint(checkpoint, {"identity": dict(identity), **self._state()})

    def advance(self) -> torch.Tensor:
        """One optimiser step; the loss it started from, detached."""
        raise NotImplementedError

    def after_step(self) -> None:
        """What may follow a step, before the history's row."""

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

    def evaluate(self) -> None:
        """Add a row to the history."""
        self.check_losses()
        for name, value in self.row().items():
            # Plain numbers only: checkpoints load with weights_only=True.
            self.history.setdefault(name, []).append(value if isinstance(value, int) else float(value))

    def _state(self) -> dict[str, Any]:
        kept = {name: getattr(self, name) for name in ("step", "seconds", "history", *self.KEPT)}
        return kept | self.tensors()

    def _resume(self, state: Mapping[str, Any]) -> None:
        for name in ("step", "seconds", "history", *self.KEPT):
            setattr(self, name, state[name])
        self.restore(state)


def check_seed(seed: Any) -> None:
    """Raise ``InputError`` for what is no seed."""
    if not isinstance(seed, int) or seed < 0:
        raise InputError(f"seed is {seed!r}; expected a whole number, zero or more")


def resolve_device(name: str) -> torch.device:
    """The device of that name; ``InputError`` where torch does not find it."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device is {name!r}; expected 'cpu' or 'cuda'") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(
            f"device {name!r} was asked for, but torch {torch.__version__} finds no CUDA device here; "
            "use device='cpu', or install a CUDA build of torch"
        )
    return device


def _progress_bar(steps: int, initial: int, progress: bool):
    from tqdm.auto import tqdm

    return tqdm(total=steps, initial=initial, disable=not progress, unit="step", mininterval=0.5)
