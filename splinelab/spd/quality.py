"""What a toy model's decomposition is like, matrix by matrix: its scores, and who answers to whom."""

import math

import numpy as np
import pandas as pd

from splinelab.spd.components import Decomposition
from splinelab.spd.inputs import one_hot
from splinelab.spd.scores import column_scores, dense_errors, identity_errors
from splinelab.spd.targets import TargetRecipe

__all__ = ["importance_table", "quality"]


def quality(decomposition: Decomposition, recipe: TargetRecipe, *, samples: int = 20_000) -> pd.DataFrame:
    """One row per matrix, against the mechanisms that the model is known to have.

    `layer`; `alive`: components with importance above .1 on some of `samples` fresh samples (others than
    those by which the zoo keeps components), and
    `expected`, how many there should be; `mmcs` and `ml2r` of the alive ones (`column_scores`), nan for
    matrices that serve all features at once; `missing` and `surplus`: importance errors on one-hot inputs of
    .75. Such a matrix (an identity, an output matrix) should have as many components as it has rank, all
    important on every input; every other one component per feature.
    """
    alive = decomposition.alive(recipe.fresh_samples(samples, seed=1))
    importances = decomposition.importances(one_hot(recipe.features))
    net, rows = decomposition.net, []
    for name, matrix in decomposition.layers.items():
        weight = decomposition.linear(name).weight
        role = net.role(decomposition.linear(name))
        shared = role == "all"
        mmcs, ml2r = math.nan, math.nan
        if not shared and alive[name].any():
            parts = (matrix.U, matrix.V, weight, getattr(net, "embedding", None))
            if role == "writes":  # the features are its outputs
                parts = (matrix.V, matrix.U, weight.T)
            mmcs, ml2r = column_scores(*parts, alive=alive[name])
        expected = min(weight.shape) if shared else recipe.features
        values = importances[name]
        errors = dense_errors(values, expected) if shared else identity_errors(values)
        rows.append((name, int(alive[name].sum()), expected, mmcs, ml2r, *errors))
    return pd.DataFrame(rows, columns=["layer", "alive", "expected", "mmcs", "ml2r", "missing", "surplus"])


def importance_table(
    decomposition: Decomposition, features: int, value: float = 0.75, *, least: float = 0.0
) -> pd.DataFrame:
    """Importances where one feature alone is on, at `value`.

    Columns `matrix`, `feature`, `component`, `importance`.
    Components are numbered in the order of the features that they answer to most at +.75, whatever `value`
    is, so that tables of two signs can be compared. Importances below `least` are left out.
    """
    order = {
        name: importances.argmax(0).argsort(stable=True)
        for name, importances in decomposition.importances(one_hot(features)).items()
    }
    rows = []
    for name, importances in decomposition.importances(one_hot(features, value)).items():
        values = importances[:, order[name]].cpu().numpy()
        for component, feature in np.ndindex(*values.T.shape):
            if values[feature, component] >= least:
                rows.append((name, feature, component, float(values[feature, component])))
    return pd.DataFrame(rows, columns=["matrix", "feature", "component", "importance"])
