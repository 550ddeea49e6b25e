"""Sparse features: the inputs of the toy models, a function of an explicit generator."""

import hashlib
from typing import Any

import numpy as np
import torch

from splinelab._arguments import check_seed, check_whole
from splinelab._schema import Number, Share, Values, Whole, check, schema
from splinelab.errors import RecipeError

_FRESH = 9  # keeps fresh samples apart from those of training and of decompositions


@schema("recipe", RecipeError)
class SparseFeatures(Values):
    """Samples whose features are each there with a probability, and uniform in [low, high] if so.

    Parameters
    ----------
    zero_rows : the share of samples that are all zero on purpose.
    nonzero : whether every other sample has at least one feature: where chance gives none, one is put in,
        each feature alike.
    """

    features: Whole
    probability: Share
    low: Number = 0.0
    high: Number = 1.0
    nonzero: bool = False
    zero_rows: Share = 0.0

    def __post_init__(self) -> None:
        check(self.low < self.high, "low", self.low, f"a number below high, which is {self.high!r}")

    @property
    def name(self) -> str:
        """What a measurement's line calls the data."""
        return "sparse features"

    @property
    def checksum(self) -> str:
        """Of 1,000 fresh samples: what the data of a measurement were."""
        return hashlib.sha256(self.fresh(1000).numpy().tobytes()).hexdigest()

    def fresh(self, count: int, *, seed: int = 0) -> torch.Tensor:
        """Samples × features that no model and no decomposition was trained on."""
        return self.sample(count, generator_for("cpu", seed, _FRESH, 1))

    def sample(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """`count` samples × features on the generator's device."""
        shape = (count, self.features)
        options: dict[str, Any] = {"generator": generator, "device": generator.device}
        there = torch.rand(shape, **options) < self.probability
        if self.nonzero:
            chosen = torch.randint(self.features, (count, 1), **options)
            lone = torch.zeros_like(there).scatter_(1, chosen, True)
            there = torch.where(there.any(1, keepdim=True), there, lone)
        values = torch.rand(shape, **options) * (self.high - self.low) + self.low
        x = values * there
        x[: round(self.zero_rows * count)] = 0
        return x


def one_hot(features: int, value: float = 0.75) -> torch.Tensor:
    """Each feature alone at one value: features × features."""
    return value * torch.eye(check_whole("features", features))


def generator_for(device: torch.device | str, *seeds: int) -> torch.Generator:
    """A generator that a list of whole numbers (a seed, a step) decides: no state to keep between steps."""
    seeds = tuple(check_seed(seed) for seed in seeds)
    state = int(np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator(device).manual_seed(state)
