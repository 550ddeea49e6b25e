"""The training of a decomposition: stages, history, exact resume."""

import copy
import hashlib
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from splinelab.errors import InputError, TrainingError
from splinelab.spd.components import Decomposition, Matrix, matching
from splinelab.spd.inputs import generator_for
from splinelab.spd.objective import loss_terms
from splinelab.spd.pruning import join, survivors
from splinelab.spd.recipe import SPDRecipe, Stage
from splinelab.training.checkpoint import load_checkpoint, save_checkpoint
from splinelab.training.loop import progress_bar, resolve_device

__all__ = ["SPDFit", "attach", "decompose"]

_LOSS_BLOCK = 25  # steps between looks at the losses: on a GPU each look waits for the queue
_JUDGED = 4096  # samples for counting what is alive


@dataclass(frozen=True)
class SPDFit:
    """A finished decomposition.

    decomposition: in eval mode, on the CPU; it holds a frozen copy of the net.
    history: columns of equal length, ready for ``pandas.DataFrame``: ``step, stage, loss``, one column per
        loss term, and ``alive:LAYER`` for each layer.
    seconds: time spent, over all interrupted parts.
    """

    decomposition: Decomposition
    history: dict[str, list]
    seconds: float


def attach(net: nn.Module, recipe: SPDRecipe, seed: int) -> Decomposition:
    """A decomposition before its first step, on a copy of the net. Raises ``InputError`` where a pattern
    matches no linear layer."""
    net = copy.deepcopy(net).cpu().eval()
    found = matching(net, tuple(matrices.pattern for matrices in recipe.matrices))
    layers = {}
    for number, (name, index) in enumerate(found.items()):
        chosen, generator = recipe.matrices[index], generator_for("cpu", seed, 1, number)
        weight = net.get_submodule(name).weight
        matrix = Matrix(weight, chosen.components, recipe.gate, chosen.gate_units, generator=generator)
        matrix.penalty = chosen.importance
        layers[name] = matrix.to(weight.dtype)
    decomposition = Decomposition(net, layers)
    if recipe.start == "inputs":
        weight = next(iter(layers.values())).U
        x = recipe.inputs.sample(_JUDGED, generator_for("cpu", seed, 3)).to(weight.dtype)
        for name, inputs in decomposition.target(x)[1].items():
            layers[name].start_at(inputs.flatten(0, -2), decomposition.linear(name).weight)
    return decomposition


def decompose(
    net: nn.Module,
    recipe: SPDRecipe,
    seed: int,
    *,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int = 1000,
    progress: bool = False,
    watch: Callable[[int, Decomposition], None] | None = None,
    device: str = "cpu",
) -> SPDFit:
    """Decompose a net, which is left as it was. The same net, recipe, seed and machine give the same bits.

    With ``checkpoint`` the state is saved every ``checkpoint_every`` steps, and an existing file is resumed:
    a run killed at any moment and started again ends with the bits of an uninterrupted one. ``watch`` is
    called with the step and the decomposition at every row of the history, for pictures while it forms.

    Raises ``InputError`` for a pattern that matches nothing, ``TrainingError`` for a non-finite loss, for a
    matrix in which nothing is alive when a stage prunes, and for an unfit checkpoint.
    """
    if not isinstance(seed, int) or seed < 0:
        raise InputError(f"seed is {seed!r}; expected a whole number, zero or more")
    run = _Run(attach(net, recipe, seed), recipe, seed, resolve_device(device))
    identity = {"recipe": recipe.to_dict(), "seed": seed, "net": _digest(net)}
    if checkpoint is not None and (state := load_checkpoint(checkpoint, identity)) is not None:
        run.restore(state)
    started, before = time.monotonic(), run.seconds
    with progress_bar(recipe.steps, run.step, progress) as bar:
        while run.step < recipe.steps:
            run.advance()
            bar.update()
            if run.due():
                run.evaluate()
                bar.set_postfix_str(run.summary())
                if watch is not None:
                    watch(run.step, run.decomposition)
            run.seconds = before + time.monotonic() - started
            if checkpoint is not None and run.step % checkpoint_every == 0:
                run.check_losses()
                save_checkpoint(checkpoint, {"identity": identity, **run.state()})
    return SPDFit(run.decomposition.cpu().eval(), run.history, run.seconds)


class _Run:
    """The state of a run: everything that a checkpoint must hold."""

    def __init__(
        self, decomposition: Decomposition, recipe: SPDRecipe, seed: int, device: torch.device
    ) -> None:
        self.decomposition, self.recipe, self.seed, self.device = decomposition, recipe, seed, device
        self.decomposition.to(device)
        self.step, self.seconds, self.stage, self.stage_start = 0, 0.0, 0, 0
        self.history: dict[str, list] = {}
        self.dtype = next(iter(decomposition.layers.values())).U.dtype
        self.judged = recipe.inputs.sample(_JUDGED, generator_for("cpu", seed, 2)).to(device, self.dtype)
        self._every = max(1, recipe.steps // recipe.evaluations)
        self._losses: list[torch.Tensor] = []
        self._start()

    @property
    def now(self) -> Stage:
        return self.recipe.stages[self.stage]

    def advance(self) -> None:
        """One optimiser step."""
        if self.step - self.stage_start == self.now.steps:
            self.stage, self.stage_start = self.stage + 1, self.step
            self._start()
        progress = (self.step - self.stage_start) / self.now.steps
        for group in self.optimiser.param_groups:
            group["lr"] = _rate(self.now, progress)
        generator = generator_for(self.device, self.seed, 0, self.step)
        x = self.recipe.inputs.sample(self.recipe.batch, generator).to(self.dtype)
        self.optimiser.zero_grad(set_to_none=True)
        self.terms = loss_terms(self.decomposition, self.recipe, self.now, progress, x, generator)
        loss = sum(self.terms.values())
        loss.backward()
        self.optimiser.step()
        self.step += 1
        self._losses.append(loss.detach())
        if len(self._losses) == _LOSS_BLOCK:
            self.check_losses()

    def _start(self) -> None:
        """Prune and join, and a fresh optimiser."""
        if self.now.prune is not None:
            self.decomposition.keep(survivors(self.decomposition, self.judged, self.now.prune))
        if self.now.join is not None:
            join(self.decomposition, self.judged, self.now.join)
        weights = [weight for weight in self.decomposition.parameters() if weight.requires_grad]
        self.optimiser = torch.optim.Adam(weights, lr=self.now.lr, fused=True)

    def check_losses(self) -> None:
        """Raise ``TrainingError`` at the first non-finite loss since the last look."""
        if not self._losses:
            return
        finite = torch.stack(self._losses).isfinite().cpu()
        first = self.step - len(self._losses) + 1
        self._losses.clear()
        if not finite.all():
            bad = [name for name, term in self.terms.items() if not term.detach().isfinite()]
            raise TrainingError(
                f"the loss is not finite at step {first + int(finite.int().argmin())} of {self.recipe.steps} "
                f"(stage {self.stage + 1}, lr {self.now.lr:g}; at step {self.step}: "
                f"{', '.join(bad) or 'none'}): lower lr (by 3 to 10 times), or decompose in float64"
            )

    def due(self) -> bool:
        return self.step % self._every == 0 or self.step in (1, self.recipe.steps)

    def evaluate(self) -> None:
        """Add a row to the history."""
        self.check_losses()
        row: dict[str, float] = {"step": self.step, "stage": self.stage + 1}
        row["loss"] = float(sum(self.terms.values()).detach())
        for name in ("importance", "faithfulness", "together", "layerwise", "subset"):
            row[name] = float(self.terms[name].detach()) if name in self.terms else math.nan
        for name, alive in self.decomposition.alive(self.judged).items():
            row[f"alive:{name}"] = int(alive.sum())
        for name, value in row.items():
            self.history.setdefault(name, []).append(value)

    def summary(self) -> str:
        """The latest row, for the progress bar."""
        alive = [str(column[-1]) for name, column in self.history.items() if name.startswith("alive:")]
        return f"loss {self.history['loss'][-1]:.2e}, alive {' '.join(alive)}"

    def state(self) -> dict:
        """What a checkpoint holds beside the identity of the run."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "stage": self.stage,
            "stage_start": self.stage_start,
            "history": self.history,
            "sizes": {name: len(matrix) for name, matrix in self.decomposition.layers.items()},
            "decomposition": self.decomposition.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, state: dict) -> None:
        """Continue from ``state``."""
        for name in ("step", "seconds", "stage", "stage_start", "history"):
            setattr(self, name, state[name])
        # Pruned shapes first; the values follow.
        self.decomposition.keep(
            {name: torch.arange(size, device=self.device) for name, size in state["sizes"].items()}
        )
        self.decomposition.load_state_dict(state["decomposition"])
        weights = [weight for weight in self.decomposition.parameters() if weight.requires_grad]
        self.optimiser = torch.optim.Adam(weights, lr=self.now.lr, fused=True)
        self.optimiser.load_state_dict(state["optimiser"])


def _rate(stage: Stage, progress: float) -> float:
    if stage.schedule == "constant":
        return stage.lr
    return stage.lr * (stage.lr_end + (1 - stage.lr_end) * (1 + math.cos(math.pi * progress)) / 2)


def _digest(net: nn.Module) -> str:
    content = hashlib.sha256()
    for name, value in net.state_dict().items():
        content.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return content.hexdigest()
