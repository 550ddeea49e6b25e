"""How near a decomposition comes to mechanisms that are known."""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment

from splinelab._arguments import check_whole
from splinelab.errors import InputError
from splinelab.spd.components import Decomposition
from splinelab.spd.inputs import one_hot
from splinelab.spd.losses import reconstruction
from splinelab.spd.targets import TargetRecipe

ALIVE = 0.1  # importance above which a component takes part
SURE = 0.9  # importance that a component must reach on its own feature


class ColumnScores(NamedTuple):
    """Over the target's columns; both are 1 in the ideal case.

    Attributes
    ----------
    mmcs : mean max cosine similarity.
    ml2r : mean L2 ratio.
    """

    mmcs: float
    ml2r: float


class ImportanceErrors(NamedTuple):
    """Entries of an importance matrix that miss the ideal pattern; both 0 for a perfect decomposition.

    Attributes
    ----------
    missing : entries that should be 1 and are below .9.
    surplus : entries that should be 0 and are above .1.
    """

    missing: int
    surplus: int


def column_scores(
    U: ArrayLike,
    V: ArrayLike,
    weight: ArrayLike,
    directions: ArrayLike | None = None,
    *,
    alive: ArrayLike | None = None,
) -> ColumnScores:
    """How well single components give the columns of the target's matrix.

    The column of feature f is `weight @ f`, and component c gives U_c (V_c · f). For each column the
    component with the highest cosine similarity is taken; MMCS is the mean of these cosines, ML2R the mean
    ratio of that component's column norm to the target's (Bushnaq, Braun and Sharkey, 2025, table 1). For a
    decoder, whose *outputs* are the features, give `V, U, weight.T`.

    Raises `InputError` for shapes that do not fit and where no component is alive.

    Parameters
    ----------
    U : components × outputs.
    V : components × inputs.
    weight : outputs × inputs.
    directions : features × inputs, the input directions of the features; by default the inputs' own axes.
    alive : boolean per component; others are left out.
    """
    U, V, weight = (_array(values, name) for values, name in ((U, "U"), (V, "V"), (weight, "weight")))
    if len(U) != len(V) or weight.shape != (U.shape[1], V.shape[1]):
        raise InputError(
            f"U is {U.shape}, V {V.shape}, weight {weight.shape}; expected components × outputs, "
            "components × inputs, outputs × inputs"
        )
    directions = np.eye(V.shape[1]) if directions is None else _array(directions, "directions")
    if alive is not None:
        alive = np.asarray(alive, bool)
        U, V = np.asarray(U[alive]), np.asarray(V[alive])
    if not len(U):
        raise InputError("no component is alive; expected at least one: lower the importance coefficient")
    columns = directions @ weight.T  # features × outputs
    inner = directions @ V.T  # features × components
    lengths = np.linalg.norm(U, axis=1)
    expected = np.linalg.norm(columns, axis=1)
    # The column U_c (V_c · f) points along U_c or against it, by the sign of the inner product.
    scale = np.maximum(np.outer(expected, lengths), np.finfo(float).tiny)
    cosines = np.sign(inner) * (columns @ U.T) / scale
    best = cosines.argmax(1)
    rows = np.arange(len(best))
    ratios = np.abs(inner[rows, best]) * lengths[best] / np.maximum(expected, np.finfo(float).tiny)
    return ColumnScores(float(cosines[rows, best].mean()), float(ratios.mean()))


def identity_errors(importance: ArrayLike) -> ImportanceErrors:
    """Errors of `features × components` (importances on one-hot inputs) against one component per feature.

    Components are matched to features by the Hungarian method so that the matched importances sum to the
    most. A feature without a component is missing one (fewer components than features).
    """
    importance = _importances(importance)
    rows, columns = linear_sum_assignment(importance, maximize=True)
    ideal = np.zeros(importance.shape, bool)
    ideal[rows, columns] = True
    return _errors(importance, ideal, absent=len(importance) - len(rows))


def dense_errors(importance: ArrayLike, count: int) -> ImportanceErrors:
    """The same against `count` components that are important on every sample, and no others.

    These are taken to be the ones of highest mean importance.
    """
    importance = _importances(importance)
    count = check_whole("count", count)
    order = np.argsort(-importance.mean(0), kind="stable")[:count]
    ideal = np.zeros(importance.shape, bool)
    ideal[:, order] = True
    return _errors(importance, ideal, absent=len(importance) * max(0, count - importance.shape[1]))


@torch.no_grad()
def rounded_error(decomposition: Decomposition, x: torch.Tensor) -> float:
    """The mean squared error against the target's output with every mask rounded to 0 or 1, and without Δ."""
    masks = {name: value.round() for name, value in decomposition.importances(x).items()}
    return float(reconstruction(decomposition.masked(x, masks), decomposition.target(x)[0]))


def _errors(importance: np.ndarray, ideal: np.ndarray, absent: int) -> ImportanceErrors:
    missing = int((importance[ideal] < SURE).sum()) + absent
    return ImportanceErrors(missing, int((importance[~ideal] > ALIVE).sum()))


def _array(values: ArrayLike, name: str) -> np.ndarray:
    found = values.detach().cpu().double().numpy() if torch.is_tensor(values) else np.asarray(values)
    if found.ndim != 2:
        raise InputError(f"{name} has the shape {found.shape}; expected two axes")
    return found.astype(np.float64)


def _importances(values: ArrayLike) -> np.ndarray:
    values = _array(values, "importance")
    if not values.size:
        raise InputError(f"importance has the shape {values.shape}; expected features and components")
    return values


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
            parts: tuple = (matrix.U, matrix.V, weight, getattr(net, "embedding", None))
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
