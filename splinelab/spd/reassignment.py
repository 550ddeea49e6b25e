"""A way out of local optima: components are handed out anew, one to each feature.

Two features that share a component, or one that is put together from the components of others, are local
optima which gradient steps do not leave. The move resembles split and merge for mixtures (Ueda et al., 2000),
and like there the loss decides whether it stays. It is not in the paper, and it needs to know what it is to
put in one feature alone.
"""

import torch
from torch import nn
from torch.nn import functional as F

from splinelab.spd.components import Decomposition, Matrix
from splinelab.spd.inputs import SparseFeatures, one_hot

__all__ = ["reassign"]

_ANSWERS = 0.3  # importance from which a component answers to a feature
_THERE = 0.1  # values from which a feature counts as there when a gate is fitted


@torch.no_grad()
def reassign(decomposition: Decomposition, inputs: SparseFeatures, x: torch.Tensor) -> int:
    """One component per feature in each matrix with a local loss, in place; how many are new.

    A feature is put in alone, at .75 of its largest value or minus that, whichever drives the matrix's
    neurons more. It claims the component with the largest importance × |cosine| of V_c and the layer's input
    a, if that importance is at least .3; where several claim one, the largest product has it. Components that
    none claims go. A feature without one gets one with V_c along a, and U_c = W V_c; its gate is fitted to
    samples `x` by least squares, and what answered in its place is turned down by as much.
    """
    one = one_hot(inputs.features, inputs.high * 0.75).to(x)
    alone = [decomposition.target(one)[1]]
    if inputs.low < 0:
        alone.append(decomposition.target(-one)[1])
    seen = decomposition.target(x)[1]
    new = 0
    for name, matrix in decomposition.layers.items():
        if not matrix.local:
            continue
        weight = decomposition.linear(name).weight.to(matrix.V)
        a = torch.stack([inputs_of[name].to(matrix.V) for inputs_of in alone])  # signs × features × inputs
        stronger = F.relu(a @ weight.T).norm(dim=2).argmax(0)
        a = a[stronger, torch.arange(len(one), device=x.device)]
        claimed = _claims(matrix, a)
        without = sorted(set(range(len(one))) - set(claimed.values()))
        new += len(without)
        kept = torch.tensor(sorted(claimed), dtype=torch.long, device=x.device)
        matrix.keep(kept)
        if without:
            _add(matrix, a[without], weight, seen[name].to(matrix.V), x[:, without].abs() > _THERE)
    return new


def _claims(matrix: Matrix, a: torch.Tensor) -> dict[int, int]:
    """Component → the feature that claims it, from the layer's inputs `a` for each feature alone."""
    importances = matrix.raw_importance(a).clamp(0, 1)
    nearness = (F.normalize(a, dim=1) @ F.normalize(matrix.V, dim=1).T).abs()
    best, component = (importances * nearness).max(1)
    claimed: dict[int, int] = {}
    for feature in best.argsort(descending=True, stable=True).tolist():
        own = int(component[feature])
        if importances[feature, own] >= _ANSWERS and own not in claimed:
            claimed[own] = feature
    return claimed


def _add(
    matrix: Matrix, a: torch.Tensor, weight: torch.Tensor, seen: torch.Tensor, there: torch.Tensor
) -> None:
    """Components for features with layer inputs `a` alone, `there` in the layer inputs `seen`."""
    V = F.normalize(a, dim=1)
    answers = matrix.raw_importance(a).clamp(0, 1)
    answers = answers * (answers > _THERE)
    matrix.U = nn.Parameter(torch.cat([matrix.U, V @ weight.T]))
    matrix.V = nn.Parameter(torch.cat([matrix.V, V]))
    matrix.gate.add(seen, there.to(seen), instead_of=answers)
