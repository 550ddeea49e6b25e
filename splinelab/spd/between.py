"""Between stages: components that do nothing are dropped, halves of one joined, and all handed out anew.

None of it is in the paper, where surplus components die of the importance penalty alone. Two features that
share a component, or one that is put together from the components of others, are local optima which gradient
steps do not leave. Handing out anew resembles split and merge for mixtures (Ueda et al., 2000), and like
there the loss decides whether it stays. It needs to know what it is to put in one feature alone.
"""

import torch
from torch import nn
from torch.nn import functional as F

from splinelab.errors import TrainingError
from splinelab.spd.components import Decomposition
from splinelab.spd.inputs import SparseFeatures, one_hot
from splinelab.spd.matrix import Matrix

_ALIVE = 0.1
_RANK_ONE = 0.3  # second over first singular value up to which two components together count as one


def survivors(
    decomposition: Decomposition, x: torch.Tensor, share: float | tuple[float, ...]
) -> dict[str, torch.Tensor]:
    """For each layer, which components are alive on samples `x` (importance above .1 on some), and on
    average at least `share` times as important as the median over those (a tuple: one share for each of
    the recipe's `matrices`).

    Raises `TrainingError` for a layer in which nothing is alive.
    """
    kept = {}
    for name, values in decomposition.importances(x).items():
        values = values.flatten(0, -2)
        alive = values.amax(0) > _ALIVE
        if not alive.any():
            raise TrainingError(
                f"no component of {name} is alive (importance above .1), so a prune would leave none: "
                "lower the importance coefficient"
            )
        mean = values.mean(0)
        least = share[decomposition.layers[name].group] if isinstance(share, tuple) else share
        kept[name] = alive & (mean >= least * mean[alive].median())
    return kept


def join(decomposition: Decomposition, x: torch.Tensor, correlation: float) -> None:
    """Let one component stand for two that are one in two halves, in place.

    Two components of a matrix are joined where their importances on samples `x` have at least that Pearson
    correlation and U_a V_aᵀ + U_b V_bᵀ is nearly of rank one (second singular value at most .3 times the
    first). The longer one takes the best rank-one approximation of the sum and keeps its gate; the other
    goes. Pairs are taken by falling correlation, each component once.
    """
    for name, values in decomposition.importances(x).items():
        matrix = decomposition.layers[name]
        values = values.flatten(0, -2).double()
        centred = values - values.mean(0)
        lengths = centred.norm(dim=0)
        found = (centred.T @ centred) / torch.outer(lengths, lengths).clamp(
            min=torch.finfo(lengths.dtype).tiny
        )
        found = found.triu(1)
        kept = torch.ones(len(matrix), dtype=torch.bool, device=found.device)
        used = torch.zeros_like(kept)
        order = found.flatten().argsort(descending=True, stable=True)
        for flat in order[: int((found >= correlation).sum())].tolist():
            pair = divmod(flat, len(matrix))
            if not used[list(pair)].any() and (gone := _joined(matrix, pair)) is not None:
                kept[gone] = False
                used[list(pair)] = True
        matrix.keep(kept)


@torch.no_grad()
def _joined(matrix: Matrix, pair: tuple[int, int]) -> int | None:
    """Join a pair whose sum is nearly of rank one; the index that is no longer needed, or None."""
    U, V = matrix.U[list(pair)], matrix.V[list(pair)]
    _, values, right = torch.linalg.svd(U.T @ V, full_matrices=False)
    if len(values) > 1 and values[1] > _RANK_ONE * values[0]:
        return None
    lengths = U.norm(dim=1) * V.norm(dim=1)
    longer, shorter = pair if lengths[0] >= lengths[1] else pair[::-1]
    # As the longer one was: the same sign and the same length of V, which a scalar gate reads.
    direction = right[0] * torch.sign(right[0] @ matrix.V[longer])
    size = matrix.V[longer].norm()
    matrix.U[longer] = (U.T @ V) @ direction / size
    matrix.V[longer] = direction * size
    return shorter


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
