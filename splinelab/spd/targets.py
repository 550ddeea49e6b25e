"""The six toy models with known mechanisms: their recipes, by name, and their training."""

import math
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import torch

from splinelab import _schema as kinds
from splinelab._arguments import check_seed
from splinelab._schema import Values, check, one_of, schema
from splinelab.errors import InputError, RecipeError, closest
from splinelab.nets import ResidualMLP, Superposition
from splinelab.spd.inputs import SparseFeatures, generator_for
from splinelab.training.run import Run


@schema("recipe", RecipeError)
class TargetRecipe(Values):
    """How a toy model is built and trained with AdamW. Wrong values raise `RecipeError`.

    Parameters
    ----------
    kind : `"superposition"` (output x, one hidden layer of `width`, `depth` frozen identities) or
        `"residual-mlp"` (output x + ReLU(x), a stream of `width`, `depth` blocks of `neurons`).
    features, probability, low, high : of the inputs (`SparseFeatures`).
    cosine : whether the learning rate falls to 0 along half a cosine; else it is constant.
    """

    kind: Annotated[str, one_of("superposition", "residual-mlp")]
    features: kinds.Whole
    width: kinds.Whole
    depth: kinds.Count
    neurons: kinds.Count = 0
    probability: kinds.Share = 0.05
    low: kinds.Number = 0.0
    high: kinds.Number = 1.0
    lr: kinds.Positive = 5e-3
    cosine: bool = True
    weight_decay: kinds.NotNegative = 0.01
    batch: kinds.Whole = 1024
    steps: kinds.Whole = 10_000

    def __post_init__(self) -> None:
        least = int(self.kind == "residual-mlp")
        for key in ("depth", "neurons"):
            check(getattr(self, key) >= least, key, getattr(self, key), f"a whole number from {least}")
        self.inputs  # noqa: B018  checks low and high

    def fresh_samples(self, count: int = 20_000, *, seed: int = 0) -> torch.Tensor:
        """Samples × features that neither target nor decomposition was trained on."""
        return self.inputs.fresh(count, seed=seed)

    @property
    def inputs(self) -> SparseFeatures:
        """What the model is trained on."""
        return SparseFeatures(self.features, self.probability, self.low, self.high)

    def build(self, seed: int) -> Superposition | ResidualMLP:
        """The model before its first step."""
        if self.kind == "superposition":
            return Superposition(self.features, self.width, identities=self.depth, seed=seed)
        return ResidualMLP(self.features, self.width, self.neurons, self.depth, seed=seed)


# Sizes, inputs and optimiser of Bushnaq, Braun and Sharkey (2025), appendix; superposition with a smaller
# batch and a learning rate that falls to 0, which reaches the same loss in a tenth of the time.
_SMALL = TargetRecipe("superposition", 5, 2, 0, steps=5_000)
_LARGE = TargetRecipe("superposition", 40, 10, 0, batch=2048, steps=5_000)
_MLP = TargetRecipe(
    "residual-mlp", 100, 1000, 2, 25, probability=0.01, low=-1.0, lr=3e-3, batch=2048, steps=1_000
)

TARGETS: dict[str, TargetRecipe] = {
    "TMS-5-2": _SMALL,
    "TMS-5-2-ID": _SMALL.replace(depth=1),
    "TMS-40-10": _LARGE,
    "TMS-40-10-ID": _LARGE.replace(depth=1),
    "MLP-2": _MLP,
    "MLP-3": _MLP.replace(features=102, depth=3, neurons=17, steps=10_000),
}


class Target(NamedTuple):
    """A trained toy model, in eval mode on the CPU, and its loss on 10,000 held-out samples."""

    net: Superposition | ResidualMLP
    loss: float


def target_recipe(name: str) -> TargetRecipe:
    """The recipe of one of `TARGETS`; an unknown name raises `InputError` and names the closest."""
    if name not in TARGETS:
        hint = closest(name, TARGETS)
        raise InputError(f"there is no toy model {name!r}; {hint}There are {', '.join(TARGETS)}")
    return TARGETS[name]


def truth(recipe: TargetRecipe, x: torch.Tensor) -> torch.Tensor:
    """What the model is trained to put out."""
    return x if recipe.kind == "superposition" else x + torch.relu(x)


def train_target(recipe: TargetRecipe | str, seed: int) -> Target:
    """Train a toy model from `seed` alone; a name stands for its recipe.

    Raises `TrainingError` for a loss or a weight that is not finite.
    """
    recipe = target_recipe(recipe) if isinstance(recipe, str) else recipe
    run = _Run(recipe, check_seed(seed))
    run.go({})
    return Target(run.module.requires_grad_(False), run.history["loss"][-1])


class _Run(Run):
    """A toy model in training: superposition with the encoder's weights in both places."""

    def __init__(self, recipe: TargetRecipe, seed: int) -> None:
        net: Any = recipe.build(seed)
        super().__init__(net, recipe.steps)
        self.recipe, self.seed, self.tied = recipe, seed, isinstance(net, Superposition)
        weights = [net.linear1.weight, net.linear2.bias] if self.tied else net.parameters()
        self.optimise(weights, recipe.lr, recipe.weight_decay)

    def loss(self) -> torch.Tensor:
        recipe, forward = self.recipe, self.module.tied if self.tied else self.module.in_features
        if recipe.cosine:
            factor = (1 + math.cos(math.pi * self.step / recipe.steps)) / 2
            self.optimiser.param_groups[0]["lr"] = recipe.lr * factor
        return self._error(forward, recipe.batch)

    def _error(self, forward: Callable[[torch.Tensor], torch.Tensor], samples: int) -> torch.Tensor:
        x = self.recipe.inputs.sample(samples, generator_for("cpu", self.seed, self.step))
        return (forward(x) - truth(self.recipe, x)).square().mean()

    def due(self) -> bool:
        return self.step == self.steps

    @torch.no_grad()
    def row(self) -> dict[str, float]:
        if self.tied:
            self.module.tie()
        return {"step": self.step, "loss": float(self._error(self.module.eval(), 10_000))}

    def advice(self) -> str:
        return f"(lr {self.recipe.lr:g}): lower lr"
