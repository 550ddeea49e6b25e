"""The training of a decomposition: stages, history, exact resume."""

import hashlib
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from splinelab._arguments import check_device, check_seed, check_whole
from splinelab.recording.copies import copied
from splinelab.spd.between import join, reassign, survivors
from splinelab.spd.components import Decomposition, matching
from splinelab.spd.inputs import generator_for
from splinelab.spd.losses import loss_terms
from splinelab.spd.matrix import Matrix
from splinelab.spd.net import check_layers_apart, linear_at, prepared
from splinelab.spd.recipe import TERMS, SPDRecipe, Stage
from splinelab.training.run import Run

_JUDGED = 4096  # samples for counting what is alive
_FINAL = 50  # batches for comparing starts


@dataclass(frozen=True)
class SPDFit:
    """A finished decomposition.

    Attributes
    ----------
    decomposition : in eval mode, on the CPU; it holds a frozen copy of the net.
    history : of all stages, undone ones too; columns of equal length, ready for `pandas.DataFrame`: `step,
        stage, loss`, one column per loss term, and `alive:LAYER` for each layer.
    losses : the loss at the end of each start, on the same samples; the lowest is this decomposition's.
    reassigned : for each stage that reassigned, how many components were `new`, and the loss `before` and
        `after` the stage; it stands if `after` is lower.
    seconds : time spent, over all starts and interrupted parts.
    """

    decomposition: Decomposition
    history: dict[str, list]
    losses: tuple[float, ...]
    reassigned: tuple[dict[str, float], ...]
    seconds: float


@torch.inference_mode(False)  # its tensors are to be trained
def attach(net: nn.Module, recipe: SPDRecipe, seed: int) -> Decomposition:
    """A decomposition before its first step, on a copy of the net (`splinelab.spd.net`).

    Raises `InputError` where a pattern matches no linear layer, layers share a weight, or a lazy layer has
    no shape yet, and for what is no seed; `UnsupportedOperationError` for a compiled or scripted net.
    """
    seed = check_seed(seed)
    net = prepared(net)
    found = matching(net, tuple(matrices.pattern for matrices in recipe.matrices))
    check_layers_apart(net, list(found))
    layers = {}
    for number, (name, index) in enumerate(found.items()):
        chosen, generator = recipe.matrices[index], generator_for("cpu", seed, 1, number)
        weight = linear_at(net, name).weight
        matrix = Matrix(weight, chosen.components, recipe.gate, chosen.gate_units, generator=generator)
        matrix.group, matrix.penalty, matrix.local = index, chosen.importance, chosen.local
        layers[name] = matrix.to(matrix.V.dtype)
    decomposition = Decomposition(net, layers)
    if recipe.start == "inputs":
        weight = next(iter(layers.values())).U
        x = recipe.inputs.sample(_JUDGED, generator_for("cpu", seed, 3)).to(weight.dtype)
        for name, inputs in decomposition.target(x)[1].items():
            layers[name].start_at(inputs.flatten(0, -2), decomposition.linear(name).weight)
    return decomposition


@torch.inference_mode(False)
@torch.enable_grad()
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

    A run with a `checkpoint` that is killed at any moment, or ended by Ctrl-C, goes on from there when it is
    started again, to the bits of an uninterrupted one.

    Raises `InputError` for a pattern that matches nothing and for an absent device, `TrainingError` for a
    loss or a weight that is not finite, the last step included, for a matrix in which nothing is alive when a
    stage prunes, and for a checkpoint that is unfit or cannot be written.

    Parameters
    ----------
    checkpoint : where the state is saved; each of several `starts` has a file of its own, with a number.
    checkpoint_every : steps.
    progress : whether to show a bar.
    watch : called with the step and the decomposition at every row of the history, for pictures while it
        forms.
    device : where the steps are computed; the result is on the CPU.
    """
    seed, place = check_seed(seed), check_device(device)
    checkpoint_every = check_whole("checkpoint_every", checkpoint_every)
    runs = []
    for start in range(recipe.starts):
        draw = seed if start == 0 else int(np.random.SeedSequence([seed, start]).generate_state(1)[0])
        run = _Run(attach(net, recipe, draw), recipe, draw, place, watch)
        identity = {"recipe": recipe.to_dict(), "seed": seed, "start": start, "net": _digest(net)}
        path = checkpoint if checkpoint is None or start == 0 else f"{os.fspath(checkpoint)}.{start}"
        run.go(identity, path, checkpoint_every, progress)
        run.judge()
        runs.append(run)
    losses = tuple(run.final_loss() for run in runs)
    best = runs[losses.index(min(losses))]
    seconds = sum(run.seconds for run in runs)
    return SPDFit(best.module.cpu().eval(), best.history, losses, tuple(best.reassigned), seconds)


class _Run(Run):
    """A decomposition, its stages and its optimiser."""

    KEPT, TRAINED = ("stage", "stage_start", "reassigned"), "decomposition"
    module: Decomposition

    def __init__(
        self, decomposition: Decomposition, recipe: SPDRecipe, seed: int, device: torch.device, watch: Any
    ) -> None:
        super().__init__(decomposition.to(device), recipe.steps)
        self.recipe, self.seed, self.device = recipe, seed, device
        self.watch, self.stage, self.stage_start = watch, 0, 0
        self.before: Decomposition | None = None  # as it was before a stage that reassigns
        self.reassigned: list[dict[str, float]] = []
        self.dtype = next(iter(decomposition.layers.values())).U.dtype
        self.judged = recipe.inputs.sample(_JUDGED, generator_for("cpu", seed, 2)).to(device, self.dtype)
        decomposition.check_gradients(self.judged)
        self._every = max(1, recipe.steps // recipe.evaluations)
        self._start()

    @property
    def now(self) -> Stage:
        return self.recipe.stages[self.stage]

    def loss(self) -> torch.Tensor:
        if self.step - self.stage_start == self.now.steps:
            self.stage, self.stage_start = self.stage + 1, self.step
            self._start()
        progress = (self.step - self.stage_start) / self.now.steps
        for group in self.optimiser.param_groups:
            group["lr"] = self.now.rate(progress)
        generator = generator_for(self.device, self.seed, 0, self.step)
        x = self.recipe.inputs.sample(self.recipe.batch, generator).to(self.dtype)
        self.terms = loss_terms(self.module, self.recipe, self.now, progress, x, generator)
        return cast(torch.Tensor, sum(self.terms.values()))

    def _start(self) -> None:
        """Prune, join and reassign, and a fresh optimiser."""
        self.judge()
        if self.now.reassign:
            self.before = copied(self.module)
        if self.now.prune is not None:
            self.module.keep(survivors(self.module, self.judged, self.now.prune))
        if self.now.join is not None:
            join(self.module, self.judged, self.now.join)
        if self.now.reassign:
            self.module.set_even(self.now.even)  # the stage's own gates are to be asked
            new = reassign(self.module, self.recipe.inputs, self.judged)
            self.reassigned.append({"new": new})
        self._optimise()

    def judge(self) -> None:
        """Undo the stage that ended if it reassigned and the loss is not lower for it."""
        if self.before is not None:
            after, loss_after = self.module, self.final_loss()
            self.module, self.before = self.before, None
            loss_before = self.final_loss()
            if loss_after < loss_before:
                self.module = after
            self.reassigned[-1] |= {"before": loss_before, "after": loss_after}

    def _optimise(self) -> None:
        """The stage's settings, and a fresh optimiser."""
        self.module.set_even(self.now.even)
        weights = [weight for weight in self.module.parameters() if weight.requires_grad]
        self.optimise(weights, self.now.lr, self.now.weight_decay)

    @torch.no_grad()
    def final_loss(self) -> float:
        """The last stage's loss on samples that are the same for every start."""
        total = 0.0
        for batch in range(_FINAL):
            generator = generator_for(self.device, batch, 0, 0, 4)
            x = self.recipe.inputs.sample(self.recipe.batch, generator).to(self.dtype)
            terms = loss_terms(self.module, self.recipe, self.recipe.stages[-1], 1.0, x, generator)
            total += float(sum(terms.values()))
        return total / _FINAL

    def advice(self) -> str:
        bad = [name for name, term in self.terms.items() if not term.detach().isfinite()]
        return (
            f"(stage {self.stage + 1}, lr {self.now.lr:g}; at step {self.step}: "
            f"{', '.join(bad) or 'none'}): lower lr (by 3 to 10 times), or decompose in float64"
        )

    def due(self) -> bool:
        return self.step > 0 and (self.step % self._every == 0 or self.step in (1, self.steps))

    def evaluate(self) -> None:
        super().evaluate()
        if self.watch is not None:
            self.watch(self.step, self.module)

    def row(self) -> dict[str, float]:
        row: dict[str, float] = {"step": self.step, "stage": self.stage + 1}
        row["loss"] = float(sum(term.detach() for term in self.terms.values()))
        for name in TERMS:
            row[name] = float(self.terms[name].detach()) if name in self.terms else math.nan
        for name, alive in self.module.alive(self.judged).items():
            row[f"alive:{name}"] = int(alive.sum())
        return row

    def summary(self) -> str:
        alive = [str(column[-1]) for name, column in self.history.items() if name.startswith("alive:")]
        return f"{super().summary()}, alive {' '.join(alive)}"

    def tensors(self) -> dict:
        return super().tensors() | {"before": None if self.before is None else self.before.state_dict()}

    def restore(self, state: Mapping) -> None:
        if state["before"] is not None:
            self.before = copied(self.module)
            self.before.take(state["before"])
            self.before.set_even(self.recipe.stages[self.stage - 1].even)
        self.module.take(state[self.TRAINED])
        self._optimise()
        super().restore(state)


def _digest(net: nn.Module) -> str:
    content = hashlib.sha256()
    for name, value in net.state_dict().items():
        values = value.detach().cpu().contiguous().flatten().view(torch.uint8)  # numpy has no bfloat16
        content.update(name.encode() + values.numpy().tobytes())
    return content.hexdigest()
