"""What happens between stages: components that do nothing are dropped, and halves of one are joined.

Neither is in the paper, where surplus components die of the importance penalty alone.
"""

import torch

from splinelab.errors import TrainingError
from splinelab.spd.components import Decomposition, Matrix

__all__ = ["join", "survivors"]

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
