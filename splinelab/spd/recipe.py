"""Everything that decides a decomposition, apart from the net and the seed."""

from dataclasses import dataclass

from splinelab.spd.inputs import SparseFeatures
from splinelab.training.values import Values, check, not_negative, number, positive, positive_whole

__all__ = ["OURS", "PAPER", "Matrices", "SPDRecipe", "Stage"]

GATES = ("scalar", "vector")
PENALTIES = ("power", "smooth-l0")
STARTS = ("random", "inputs")
SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True)
class Matrices(Values):
    """Which linear layers get components, and how many.

    pattern: of module paths, as in a shell: ``"blocks.*.mlp_in"``. A layer belongs to the first that matches.
    components: C of each matrix. gate_units: hidden units of its gate (of each component's, if scalar).
    importance: coefficient of the importance penalty of these matrices.
    """

    pattern: str
    components: int
    gate_units: int
    importance: float

    def __post_init__(self) -> None:
        check(isinstance(self.pattern, str) and self.pattern, "pattern", self.pattern, "a module path")
        for key in ("components", "gate_units"):
            check(positive_whole(getattr(self, key)), key, getattr(self, key), "a positive whole number")
        check(not_negative(self.importance), "importance", self.importance, "zero or a positive number")


@dataclass(frozen=True)
class Stage(Values):
    """A stretch of training with an optimiser (Adam) of its own.

    steps, lr, schedule: ``"constant"``, or ``"cosine"`` from lr to ``lr_end`` times lr.
    penalty: ``"power"``, Σ mean |g|^p, or ``"smooth-l0"``, Σ mean g² / (g² + γ²). sharpness: p or γ at the
        start and at the end; p changes by equal steps, γ by equal ratios.
    importance: factor on every matrix's coefficient. frequency: weight of the term f log₂(1 + 1024 f) of each
        component's mean penalty f, relative to the penalty's own.
    faithfulness, together, layerwise, subset: weights of the losses: the components' sum against the weights;
        the output with all matrices masked; with one at a time, averaged; with a random non-empty subset.
    still_rows: the share of samples whose masks have no noise, r = 0.
    prune: drop before the first step, in each matrix, every component that is not alive (importance above .1
        on some sample), or whose mean importance is below this share of the median over those that are;
        None keeps all.
    join: then, also before the first step, join pairs of components of one matrix whose importances have at
        least this correlation and which together are nearly of rank one; None joins none.
    """

    steps: int
    lr: float = 1e-3
    schedule: str = "cosine"
    lr_end: float = 0.0
    penalty: str = "power"
    sharpness: tuple[float, float] = (1.0, 1.0)
    importance: float = 1.0
    frequency: float = 0.0
    faithfulness: float = 1.0
    together: float = 1.0
    layerwise: float = 0.0
    subset: float = 0.0
    still_rows: float = 0.0
    prune: float | None = None
    join: float | None = None

    def __post_init__(self) -> None:
        check(positive_whole(self.steps), "steps", self.steps, "a positive whole number")
        check(positive(self.lr), "lr", self.lr, "a positive number")
        check(self.schedule in SCHEDULES, "schedule", self.schedule, f"one of {', '.join(SCHEDULES)}")
        check(self.penalty in PENALTIES, "penalty", self.penalty, f"one of {', '.join(PENALTIES)}")
        ends = self.sharpness
        check(
            isinstance(ends, list | tuple) and len(ends) == 2 and all(map(positive, ends)),
            "sharpness",
            ends,
            "two positive numbers: at the start and at the end",
        )
        object.__setattr__(self, "sharpness", tuple(ends))
        for key in ("lr_end", "importance", "frequency", "faithfulness", "together", "layerwise", "subset"):
            check(not_negative(getattr(self, key)), key, getattr(self, key), "zero or a positive number")
        share = self.still_rows
        check(number(share) and 0 <= share <= 1, "still_rows", share, "a number in [0, 1]")
        check(
            self.prune is None or not_negative(self.prune), "prune", self.prune, "None or a number from zero"
        )
        check(
            self.join is None or (positive(self.join) and self.join <= 1),
            "join",
            self.join,
            "None or a number in (0, 1]",
        )


@dataclass(frozen=True)
class SPDRecipe(Values):
    """How to decompose a net. Values are checked when the recipe is made; wrong ones raise ``RecipeError``.

    inputs: what the net is run on. matrices: which layers get how many components.
    gate: ``"scalar"``, an MLP per component on its inner activation, as in the paper, or ``"vector"``, one
        MLP per matrix on the layer's whole input.
    start: where the V_c begin: ``"random"`` directions, or ``"inputs"``, the layer's own inputs on random
        samples, which hold few features each (not in the paper).
    delta: whether Δ = W − Σ U_c V_cᵀ takes part as one more component that is never important: its mask is
        uniform in [0, 1) for each sample. Without it the components alone carry the masked net.
    batch: samples per step. stages: one after the other. evaluations: rows in the history, evenly spaced.

    >>> PAPER["TMS-5-2"].stages[0].steps
    40000
    """

    inputs: SparseFeatures
    matrices: tuple[Matrices, ...]
    stages: tuple[Stage, ...]
    gate: str = "vector"
    start: str = "random"
    delta: bool = True
    batch: int = 1024
    evaluations: int = 40

    def __post_init__(self) -> None:
        for key, kind in (("matrices", Matrices), ("stages", Stage)):
            values = getattr(self, key)
            check(isinstance(values, list | tuple) and values, key, values, f"one or more {kind.__name__}")
            object.__setattr__(self, key, tuple(_made(kind, value, key) for value in values))
        object.__setattr__(self, "inputs", _made(SparseFeatures, self.inputs, "inputs"))
        check(self.gate in GATES, "gate", self.gate, f"one of {', '.join(GATES)}")
        check(self.start in STARTS, "start", self.start, f"one of {', '.join(STARTS)}")
        for key in ("batch", "evaluations"):
            check(positive_whole(getattr(self, key)), key, getattr(self, key), "a positive whole number")

    @property
    def steps(self) -> int:
        """Of all stages."""
        return sum(stage.steps for stage in self.stages)


def _made(kind: type[Values], value, key: str):
    if isinstance(value, kind):
        return value
    check(isinstance(value, dict), key, value, f"a {kind.__name__} or its dict")
    return kind.from_dict(value)


def _published(features: int, components: int, importance: float, p: float, layers: tuple[str, ...]):
    return SPDRecipe(
        inputs=SparseFeatures(features, 0.05),
        matrices=tuple(Matrices(layer, components, 16, importance) for layer in layers),
        stages=(Stage(40_000, sharpness=(p, p), layerwise=1.0),),
        gate="scalar",
        delta=False,
        batch=4096,
    )


_PLAIN, _IDENTITY = ("linear1", "linear2"), ("linear1", "hidden.0", "linear2")

#: The published recipes for the models of superposition (Bushnaq, Braun and Sharkey, 2025, appendix).
PAPER: dict[str, SPDRecipe] = {
    "TMS-5-2": _published(5, 20, 3e-3, 1.0, _PLAIN),
    "TMS-5-2-ID": _published(5, 20, 3e-3, 1.0, _IDENTITY),
    "TMS-40-10": _published(40, 200, 1e-4, 2.0, _PLAIN),
    "TMS-40-10-ID": _published(40, 200, 1e-4, 2.0, _IDENTITY),
}


#: Our recipe for the larger model. It departs from the published method in the gate, Δ, the annealed penalty
#: with its frequency term, where components start, and what happens between the two stages.
OURS: dict[str, SPDRecipe] = {
    "TMS-40-10": SPDRecipe(
        inputs=SparseFeatures(40, 0.05),
        matrices=tuple(Matrices(layer, 80, 100, 6e-5) for layer in _PLAIN),
        stages=(
            # γ stops at .1: much smaller, and a component that is fully on feels no pull to let go.
            Stage(4000, lr=2e-3, lr_end=0.1, penalty="smooth-l0", sharpness=(1.0, 0.1), frequency=0.5),
            Stage(800, lr=1e-3, importance=0.5, prune=0.3, join=0.7),
        ),
        start="inputs",
    )
}
