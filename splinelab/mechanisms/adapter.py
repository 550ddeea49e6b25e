"""From a decomposition of a torch model to the arrays that this room works on."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from splinelab.mechanisms.profiles import Profiles

__all__ = ["damage_of", "profiles_of"]


def profiles_of(decomposition: Any, batches: Iterable[torch.Tensor], *, threshold: float = 0.1) -> Profiles:
    """Importance profiles on a stream of input batches.

    decomposition: anything with `importances(x)` → layer → samples × components.
    """
    with torch.no_grad():
        return Profiles.from_batches(
            (
                {name: found.cpu().numpy() for name, found in decomposition.importances(batch).items()}
                for batch in batches
            ),
            threshold=threshold,
        )


def damage_of(
    decomposition: Any, reference: Callable[[torch.Tensor], torch.Tensor], profiles: Profiles, *, rest: bool
) -> Callable[[np.ndarray, torch.Tensor], np.ndarray]:
    """The `damage` callable of `causal_check`: kept components at mask 1, all others at 0.

    decomposition: anything with `masked(x, masks, delta=...)`, masks being layer → components and delta 1 or
        0. reference: what the outputs are compared with: the target model, or the true function.
    rest: whether what the components leave of the weights (Δ) stays in. With it the intact model is the
        target; without it, what "only the cluster is kept" shows is the cluster alone.
    """
    where = {
        name: np.flatnonzero(profiles.layers == name) for name in dict.fromkeys(profiles.layers.tolist())
    }

    def damage(kept: np.ndarray, inputs: torch.Tensor) -> np.ndarray:
        x = torch.as_tensor(inputs)
        masks = {
            name: torch.as_tensor(kept[places], dtype=x.dtype, device=x.device)
            for name, places in where.items()
        }
        with torch.no_grad():
            error = decomposition.masked(x, masks, delta=float(rest)) - reference(x)
        return error.square().cpu().numpy()

    return damage
