"""Everything that decides a decomposition, apart from the net and the seed."""

from dataclasses import dataclass

from splinelab.spd.inputs import SparseFeatures
from splinelab.training.values import Values, check, not_negative, number, positive, positive_whole

__all__ = ["TERMS", "Matrices", "SPDRecipe", "Stage"]

GATES = ("scalar", "vector")
PENALTIES = ("power", "smooth-l0")
STARTS = ("random", "inputs")
SCHEDULES = ("constant", "cosine")
#: The terms of the loss, as the history names them.
TERMS = ("importance", "faithfulness", "together", "layerwise", "subset", "local")


@dataclass(frozen=True)
class Matrices(Values):
    """Which linear layers get components, and how many.

    pattern: of module paths, as in a shell: ``"blocks.*.mlp_in"``. A layer belongs to the first that matches.
    components: C of each matrix. gate_units: hidden units of its gate (of each component's, if scalar).
    importance: coefficient of the importance penalty of these matrices. local: what a squared error of one
        neuron of theirs costs in the local loss.
    """

    pattern: str
    components: int
    gate_units: int
    importance: float
    local: float = 0.0

    def __post_init__(self) -> None:
        check(isinstance(self.pattern, str) and self.pattern, "pattern", self.pattern, "a module path")
        for key in ("components", "gate_units"):
            check(positive_whole(getattr(self, key)), key, getattr(self, key), "a positive whole number")
        for key in ("importance", "local"):
            check(not_negative(getattr(self, key)), key, getattr(self, key), "zero or a positive number")


@dataclass(frozen=True)
class Stage(Values):
    """A stretch of training with an optimiser (AdamW) of its own.

    steps, lr, schedule: ``"constant"``, or ``"cosine"`` from lr to ``lr_end`` times lr. weight_decay.
    penalty: ``"power"``, Σ mean |g|^p, or ``"smooth-l0"``, Σ mean g² / (g² + γ²). sharpness: p or γ at the
        start and at the end; p changes by equal steps, γ by equal ratios.
    importance: factor on the coefficients, one for all or one for each of the recipe's ``matrices``.
    frequency: weight of the term f log₂(1 + 1024 f) of each
        component's mean penalty f, relative to the penalty's own.
    faithfulness, together, layerwise, subset: weights of the losses: the components' sum against the weights;
        the output with all matrices masked; with one at a time, averaged; with a random non-empty subset.
    local: weight of the local loss, which looks at the neurons that a matrix feeds instead of the output:
        their squared error, averaged in closed form over the masks, where the target has them above 0.
    even: whether gates look at each input and at its negative and take the larger value, for nets whose
        features come with both signs.
    still_rows: the share of samples whose masks have no noise, r = 0.
    prune: drop before the first step, in each matrix, every component that is not alive (importance above .1
        on some sample), or whose mean importance is below this share of the median over those that are (one
        share for all, or one for each of ``matrices``); None keeps all.
    reassign: before the first step hand out components anew in the matrices with a local loss, one to each
        input feature (``splinelab.spd.reassignment``); the stage is undone where it does not lower the loss.
    join: then, also before the first step, join pairs of components of one matrix whose importances have at
        least this correlation and which together are nearly of rank one; None joins none.
    """

    steps: int
    lr: float = 1e-3
    schedule: str = "cosine"
    lr_end: float = 0.0
    weight_decay: float = 0.0
    penalty: str = "power"
    sharpness: tuple[float, float] = (1.0, 1.0)
    importance: float | tuple[float, ...] = 1.0
    frequency: float = 0.0
    faithfulness: float = 1.0
    together: float = 1.0
    layerwise: float = 0.0
    subset: float = 0.0
    local: float = 0.0
    even: bool = False
    still_rows: float = 0.0
    prune: float | tuple[float, ...] | None = None
    join: float | None = None
    reassign: bool = False

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
        for key in ("lr_end", "weight_decay", "frequency", *TERMS[1:]):
            check(not_negative(getattr(self, key)), key, getattr(self, key), "zero or a positive number")
        for key in ("even", "reassign"):
            check(isinstance(getattr(self, key), bool), key, getattr(self, key), "true or false")
        share = self.still_rows
        check(number(share) and 0 <= share <= 1, "still_rows", share, "a number in [0, 1]")
        for key in ("importance", "prune"):
            value = getattr(self, key)
            value = tuple(value) if isinstance(value, list) else value
            several = value if isinstance(value, tuple) else (value,)
            fits = (value is None and key == "prune") or (several and all(map(not_negative, several)))
            check(fits, key, value, "a number from zero, or one for each of the matrices")
            object.__setattr__(self, key, value)
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
    starts: how often all of it is done, each time from another draw; the decomposition with the lowest loss
        stays, as with k-means.
    batch: samples per step. stages: one after the other. evaluations: rows in the history, evenly spaced.

    >>> layers = Matrices("linear*", components=20, gate_units=16, importance=3e-3)
    >>> SPDRecipe(SparseFeatures(5, 0.05), (layers,), (Stage(4000), Stage(500, prune=0.3))).steps
    4500
    """

    inputs: SparseFeatures
    matrices: tuple[Matrices, ...]
    stages: tuple[Stage, ...]
    gate: str = "vector"
    start: str = "random"
    delta: bool = True
    starts: int = 1
    batch: int = 1024
    evaluations: int = 40

    def __post_init__(self) -> None:
        for key, kind in (("matrices", Matrices), ("stages", Stage)):
            values = getattr(self, key)
            check(isinstance(values, list | tuple) and values, key, values, f"one or more {kind.__name__}")
            object.__setattr__(self, key, tuple(_made(kind, value, key) for value in values))
        object.__setattr__(self, "inputs", _made(SparseFeatures, self.inputs, "inputs"))
        for key in ("importance", "prune"):
            for stage in self.stages:
                value = getattr(stage, key)
                given = len(value) if isinstance(value, tuple) else len(self.matrices)
                check(given == len(self.matrices), key, value, f"one number, or {len(self.matrices)}")
        needs = any(stage.local for stage in self.stages)
        check(self.delta or not needs, "delta", self.delta, "true where a stage has a local loss")
        check(self.gate in GATES, "gate", self.gate, f"one of {', '.join(GATES)}")
        check(not self.stages[0].reassign, "reassign", True, "false in the first stage: nothing is found yet")
        needs = any(stage.reassign for stage in self.stages)
        check(self.gate == "vector" or not needs, "gate", self.gate, "vector where a stage reassigns")
        check(self.start in STARTS, "start", self.start, f"one of {', '.join(STARTS)}")
        for key in ("batch", "evaluations", "starts"):
            check(positive_whole(getattr(self, key)), key, getattr(self, key), "a positive whole number")

    @property
    def steps(self) -> int:
        """Of all stages, for one start."""
        return sum(stage.steps for stage in self.stages)


def _made(kind: type[Values], value, key: str):
    if isinstance(value, kind):
        return value
    check(isinstance(value, dict), key, value, f"a {kind.__name__} or its dict")
    return kind.from_dict(value)
