"""The recipes by the name of the toy model: the published ones, and ours."""

from splinelab.spd.inputs import SparseFeatures
from splinelab.spd.recipe import Matrices, SPDRecipe, Stage

__all__ = ["OURS", "PAPER"]


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
