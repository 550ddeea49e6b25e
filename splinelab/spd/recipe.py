"""Everything that decides a decomposition, apart from the net and the seed."""

import math
from typing import Annotated

from pydantic import Field

from splinelab import _schema as kinds
from splinelab._schema import Values, check, expected, one_of, part, schema, several
from splinelab.errors import RecipeError
from splinelab.spd.inputs import SparseFeatures

#: The terms of the loss, as the history names them.
TERMS = ("importance", "faithfulness", "together", "layerwise", "subset", "local")

_EACH = "a number from zero, or one for each of the matrices"
_OneOrEach = kinds.NotNegative | Annotated[tuple[kinds.NotNegative, ...], several(_EACH)]
_Ends = Annotated[
    tuple[kinds.Positive, kinds.Positive], several("two positive numbers: at the start and at the end", 2, 2)
]
_Correlation = Annotated[
    Annotated[kinds.Number, Field(gt=0, le=1)] | None, expected("None or a number in (0, 1]")
]


@schema("recipe", RecipeError)
class Matrices(Values):
    """Which linear layers get components, and how many.

    Parameters
    ----------
    pattern : of module paths, as in a shell: `"blocks.*.mlp_in"`. A layer belongs to the first that matches.
    components : C of each matrix.
    gate_units : hidden units of its gate (of each component's, if scalar).
    importance : coefficient of the importance penalty of these matrices.
    local : what a squared error of one neuron of theirs costs in the local loss.
    """

    pattern: kinds.Name
    components: kinds.Whole
    gate_units: kinds.Whole
    importance: kinds.NotNegative
    local: kinds.NotNegative = 0.0


@schema("recipe", RecipeError)
class Stage(Values):
    """A stretch of training with an optimiser of its own.

    Parameters
    ----------
    steps, lr, weight_decay : of AdamW.
    schedule : `"constant"`, or `"cosine"` from lr to `lr_end` times lr.
    penalty : `"power"`, Σ mean |g|^p, or `"smooth-l0"`, Σ mean g² / (g² + γ²).
    sharpness : p or γ at the start and at the end; p changes by equal steps, γ by equal ratios.
    importance : factor on the coefficients, one for all or one for each of the recipe's `matrices`.
    frequency : weight of the term f log₂(1 + 1024 f) of each component's mean penalty f, relative to the
        penalty's own.
    faithfulness, together, layerwise, subset : weights of the losses: the components' sum against the
        weights; the output with all matrices masked; with one at a time, averaged; with a random non-empty
        subset.
    local : weight of the local loss, which looks at the neurons that a matrix feeds instead of the output:
        their squared error, averaged in closed form over the masks, where the target has them above 0.
    even : whether gates look at each input and at its negative and take the larger value, for nets whose
        features come with both signs.
    still_rows : the share of samples whose masks have no noise, r = 0.
    prune : drop before the first step, in each matrix, every component that is not alive (importance above .1
        on some sample), or whose mean importance is below this share of the median over those that are (one
        share for all, or one for each of `matrices`); None keeps all.
    reassign : before the first step hand out components anew in the matrices with a local loss, one to each
        input feature (`splinelab.spd.between`); the stage is undone where it does not lower the loss.
    join : then, also before the first step, join pairs of components of one matrix whose importances have at
        least this correlation and which together are nearly of rank one; None joins none.
    """

    steps: kinds.Whole
    lr: kinds.Positive = 1e-3
    schedule: Annotated[str, one_of("constant", "cosine")] = "cosine"
    lr_end: kinds.NotNegative = 0.0
    weight_decay: kinds.NotNegative = 0.0
    penalty: Annotated[str, one_of("power", "smooth-l0")] = "power"
    sharpness: _Ends = (1.0, 1.0)
    importance: Annotated[_OneOrEach, expected(_EACH)] = 1.0
    frequency: kinds.NotNegative = 0.0
    faithfulness: kinds.NotNegative = 1.0
    together: kinds.NotNegative = 1.0
    layerwise: kinds.NotNegative = 0.0
    subset: kinds.NotNegative = 0.0
    local: kinds.NotNegative = 0.0
    even: bool = False
    still_rows: kinds.Share = 0.0
    prune: Annotated[_OneOrEach | None, expected(_EACH)] = None
    join: _Correlation = None
    reassign: bool = False

    def rate(self, progress: float) -> float:
        """The learning rate at a share of the stage's steps."""
        if self.schedule == "constant":
            return self.lr
        return self.lr * (self.lr_end + (1 - self.lr_end) * (1 + math.cos(math.pi * progress)) / 2)


@schema("recipe", RecipeError)
class SPDRecipe(Values):
    """How to decompose a net. Values are checked when the recipe is made; wrong ones raise `RecipeError`.

    Parameters
    ----------
    inputs : what the net is run on.
    matrices : which layers get how many components.
    gate : `"scalar"`, an MLP per component on its inner activation, as in the paper, or `"vector"`, one MLP
        per matrix on the layer's whole input.
    start : where the V_c begin: `"random"` directions, or `"inputs"`, the layer's own inputs on random
        samples, which hold few features each (not in the paper).
    delta : whether Δ = W − Σ U_c V_cᵀ takes part as one more component that is never important: its mask is
        uniform in [0, 1) for each sample. Without it the components alone carry the masked net.
    starts : how often all of it is done, each time from another draw; the decomposition with the lowest loss
        stays, as with k-means.
    batch : samples per step.
    stages : one after the other.
    evaluations : rows in the history, evenly spaced.

    Examples
    --------
    >>> layers = Matrices("linear*", components=20, gate_units=16, importance=3e-3)
    >>> SPDRecipe(SparseFeatures(5, 0.05), (layers,), (Stage(4000), Stage(500, prune=0.3))).steps
    4500
    """

    inputs: Annotated[SparseFeatures, part(SparseFeatures)]
    matrices: Annotated[
        tuple[Annotated[Matrices, part(Matrices)], ...], several("one or more Matrices, or their dicts")
    ]
    stages: Annotated[tuple[Annotated[Stage, part(Stage)], ...], several("one or more Stage, or their dicts")]
    gate: Annotated[str, one_of("scalar", "vector")] = "vector"
    start: Annotated[str, one_of("random", "inputs")] = "random"
    delta: bool = True
    starts: kinds.Whole = 1
    batch: kinds.Whole = 1024
    evaluations: kinds.Whole = 40

    def __post_init__(self) -> None:
        for key in ("importance", "prune"):
            for stage in self.stages:
                value = getattr(stage, key)
                given = len(value) if isinstance(value, tuple) else len(self.matrices)
                check(given == len(self.matrices), key, value, f"one number, or {len(self.matrices)}")
        needs = any(stage.local for stage in self.stages)
        check(self.delta or not needs, "delta", self.delta, "true where a stage has a local loss")
        check(not self.stages[0].reassign, "reassign", True, "false in the first stage: nothing is found yet")
        needs = any(stage.reassign for stage in self.stages)
        check(self.gate == "vector" or not needs, "gate", self.gate, "vector where a stage reassigns")

    @property
    def steps(self) -> int:
        """Of all stages, for one start."""
        return sum(stage.steps for stage in self.stages)
