"""The fit loop: deterministic batches, history at log-spaced steps, exact resume."""

import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from splinelab._arguments import check_device, check_seed, check_whole
from splinelab.errors import InputError
from splinelab.training.images import TrainingData, check_data, check_fit, judge, resident, training_data
from splinelab.training.recipe import Recipe, build
from splinelab.training.run import Run

#: The columns that every history has.
COLUMNS = ("step", "train_loss", "train_accuracy", "heldout_accuracy", "weight_norm", "weight_decay")

#: A probe looks at the net (in eval mode, no gradients) and returns a number, or several with their names.
Probe = Callable[[nn.Module], float | Mapping[str, float]]


@dataclass(frozen=True)
class Fit:
    """A finished run.

    Attributes
    ----------
    net : the trained net in eval mode, on the CPU, in the recipe's dtype.
    history : columns of equal length, ready for `pandas.DataFrame`: `step, train_loss, train_accuracy,
        heldout_accuracy, weight_norm, weight_decay` and one per probe.
    snapshots : name → state dict; `"memorised"` for recipes with `decay_from_accuracy`.
    switch_step : the step from which weight decay acted in such a recipe, else None.
    seconds : time spent in training, evaluations and probes included, over all interrupted parts.
    """

    net: nn.Sequential
    history: dict[str, list]
    snapshots: dict[str, dict[str, torch.Tensor]]
    switch_step: int | None
    seconds: float


def evaluation_steps(steps: int, evaluations: int) -> list[int]:
    """Step 0 and about `evaluations` log-spaced steps, the last one included.

    >>> evaluation_steps(1000, 4)
    [0, 1, 10, 100, 1000]
    """
    spaced = np.geomspace(1, steps, evaluations).round().astype(int)
    return [0, *np.unique([*spaced, steps]).tolist()]


def fit(
    recipe: Recipe,
    seed: int,
    *,
    data: TrainingData | None = None,
    device: str = "cpu",
    probes: Mapping[str, Probe] | None = None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int = 1000,
    progress: bool = False,
) -> Fit:
    """Train a net. The same recipe, seed, data and machine give the same bits.

    Batches depend on seed and epoch alone, never on a global generator. A run with a `checkpoint` that is
    killed at any moment, or ended by Ctrl-C, goes on from there when it is started again, to the bits of an
    uninterrupted one.

    Raises `InputError` for an absent device, a seed or a probe that cannot be, `RecipeError` where net
    and images do not fit, and `TrainingError` for a loss or a weight that is not finite, the last step
    included, and for a checkpoint that is unfit or cannot be written.

    Parameters
    ----------
    data : in place of the recipe's own images.
    device : where the steps are computed; the result is on the CPU.
    probes : called with the net at every evaluation; one that returns a mapping adds a column per key.
    checkpoint : where the state is saved.
    checkpoint_every : steps.
    progress : whether to show a bar.
    """
    seed, place = check_seed(seed), check_device(device)
    checkpoint_every = check_whole("checkpoint_every", checkpoint_every)
    data = training_data(recipe) if data is None else check_data(data)
    check_fit(recipe, data)
    probes = _checked(probes or {})
    run = _Run(recipe, seed, data, place, probes)
    identity = {
        "recipe": recipe.to_dict(),
        "seed": seed,
        "train": data.train.checksum,
        "heldout": data.heldout.checksum,
        "probes": sorted(probes),
    }
    run.go(identity, checkpoint, checkpoint_every, progress)
    return Fit(run.module.cpu().eval(), run.history, run.snapshots, run.switch_step, run.seconds)


def _checked(probes: Mapping[str, Probe]) -> dict[str, Probe]:
    """Refuse what is no probe, or has the name of a column, before any step."""
    if not isinstance(probes, Mapping):
        raise InputError(f"probes is {probes!r}; expected a mapping from names to functions of the net")
    for name, probe in probes.items():
        _column(name, name, COLUMNS)
        if not callable(probe):
            raise InputError(f"the probe {name!r} is {probe!r}; expected a function of the net")
    return dict(probes)


def _column(key: object, probe: object, taken: Iterable[str]) -> str:
    if not isinstance(key, str) or key in taken:
        raise InputError(
            f"the probe {probe!r} gives a column {key!r}; expected a text that no other column of the "
            f"history has: not one of {', '.join(taken)}"
        )
    return key


def _value(value: Any, key: str) -> float:
    try:
        return value if isinstance(value, int) else float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"the probe {key!r} gave a {type(value).__name__}; expected one number") from error


class _Run(Run):
    """A net, its images and its optimiser."""

    KEPT = ("switch_step", "snapshots")
    LOSS = "train_loss"
    module: nn.Sequential

    def __init__(
        self,
        recipe: Recipe,
        seed: int,
        data: TrainingData,
        device: torch.device,
        probes: Mapping[str, Probe],
    ) -> None:
        super().__init__(build(recipe, seed).to(device), recipe.steps)
        self.recipe, self.seed, self.device, self.probes = recipe, seed, device, probes
        dtype = getattr(torch, recipe.dtype)
        self.train = resident(data.train, dtype, device)
        self.heldout = resident(data.heldout, dtype, device)
        labels = self.train[1]
        self.targets = labels
        if recipe.loss == "mse":
            self.targets = F.one_hot(labels, recipe.sizes[-1]).to(dtype)
        waiting = recipe.decay_from_accuracy is not None
        self.optimise(self.module.parameters(), recipe.lr, 0.0 if waiting else recipe.weight_decay)
        self.epoch_steps = math.ceil(len(labels) / recipe.batch)
        self.switch_step: int | None = None
        self.snapshots: dict[str, dict[str, torch.Tensor]] = {}
        self._epoch, self._order = -1, torch.empty(0)
        self._due = set(evaluation_steps(recipe.steps, recipe.evaluations))

    def loss(self) -> torch.Tensor:
        epoch, position = divmod(self.step, self.epoch_steps)
        if epoch != self._epoch:
            # The order is a function of seed and epoch, so a resumed run needs no generator state.
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.targets))
            self._epoch, self._order = epoch, torch.from_numpy(order).to(self.device)
        batch = self._order[position * self.recipe.batch : (position + 1) * self.recipe.batch]
        output = self._output(self.train[0].index_select(0, batch))
        judged = F.mse_loss if self.recipe.loss == "mse" else F.cross_entropy
        return judged(output, self.targets.index_select(0, batch))

    def _output(self, images: torch.Tensor) -> torch.Tensor:
        if not self.recipe.dropout:
            return self.module(images)
        # Which units a step leaves out is a function of seed and step, for the same reason as the order.
        with torch.random.fork_rng():
            torch.manual_seed(int(np.random.default_rng([self.seed, self.step, 1]).integers(2**63)))
            return self.module(images)

    def advice(self) -> str:
        return (
            f"(lr {self.recipe.lr:g}, scale {self.recipe.scale:g}, {self.recipe.loss}): "
            "lower lr (by 3 to 10 times), or scale, or train in float64"
        )

    def after_step(self) -> None:
        """Turn weight decay on once the training images are learnt."""
        threshold = self.recipe.decay_from_accuracy
        if threshold is None or self.switch_step is not None or self.step % self.epoch_steps:
            return
        if judge(self.module, *self.train, self.recipe.loss)[1] < threshold:
            return
        self.switch_step = self.step
        self.snapshots["memorised"] = {
            name: value.detach().cpu().clone() for name, value in self.module.state_dict().items()
        }
        for group in self.optimiser.param_groups:
            group["weight_decay"] = self.recipe.weight_decay

    def due(self) -> bool:
        return self.step in self._due or self.step == self.switch_step

    def row(self) -> dict[str, float]:
        self.module.eval()
        train_loss, train_accuracy = judge(self.module, *self.train, self.recipe.loss)
        row: dict[str, float] = {
            "step": self.step,
            "train_loss": train_loss,
            "train_accuracy": train_accuracy,
            "heldout_accuracy": judge(self.module, *self.heldout, self.recipe.loss)[1],
            "weight_norm": math.sqrt(
                sum(float(p.detach().double().square().sum()) for p in self.module.parameters())
            ),
            "weight_decay": self.optimiser.param_groups[0]["weight_decay"],
        }
        with torch.no_grad():
            for name, probe in self.probes.items():
                value = probe(self.module)
                found = value if isinstance(value, Mapping) else {name: value}
                row |= {_column(key, name, row): _value(item, key) for key, item in found.items()}
        self.module.train()
        return row

    def summary(self) -> str:
        last = {name: column[-1] for name, column in self.history.items()}
        return f"train {last['train_accuracy']:.3f}, held out {last['heldout_accuracy']:.3f}"
