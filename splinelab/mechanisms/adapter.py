"""From a decomposition of a torch model to the arrays that this room works on."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from splinelab.mechanisms.profiles import Profiles
from splinelab.recording.outputs import first_output
from splinelab.spd.precision import shared_dtype, wide

__all__ = ["damage_of", "profiles_of"]


def profiles_of(decomposition: Any, batches: Iterable[torch.Tensor], *, threshold: float = 0.1) -> Profiles:
    """Importance profiles on a stream of input batches; of a batch that is a tuple or list, its first item.

    decomposition: anything with `importances(x)` → layer → samples × components.
    """
    with torch.no_grad():
        return Profiles.from_batches(
            (
                {
                    name: wide(found).cpu().numpy()
                    for name, found in decomposition.importances(_samples(batch)).items()
                }
                for batch in batches
            ),
            threshold=threshold,
        )


def damage_of(
    decomposition: Any, reference: Callable[[torch.Tensor], torch.Tensor], profiles: Profiles, *, rest: bool
) -> Callable[[np.ndarray, torch.Tensor], np.ndarray]:
    """The `damage` callable of `causal_check`: kept components at mask 1, all others at 0.

    decomposition: anything with `masked(x, masks, delta=...)`, masks being layer → components and delta 1 or
        0. reference: what the outputs are compared with: the target model, or the true function. It gets a
        copy of the inputs, cast as ``record`` casts them if it is a module.
    rest: whether what the components leave of the weights (Δ) stays in. With it the intact model is the
        target; without it, what "only the cluster is kept" shows is the cluster alone.
    """
    before: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # the last samples of each number
    where = {
        name: np.flatnonzero(profiles.layers == name) for name in dict.fromkeys(profiles.layers.tolist())
    }

    def expected(x: torch.Tensor) -> torch.Tensor:
        if len(x) not in before or not torch.equal(before[len(x)][0], x):
            # Copies: what runs may write into its input.
            before[len(x)] = x.clone(), first_output(reference(_cast(x, reference)), len(x))
        return before[len(x)][1]

    def damage(kept: np.ndarray, inputs: torch.Tensor) -> np.ndarray:
        x = torch.as_tensor(inputs)
        dtype = x.dtype if x.is_floating_point() else torch.float32  # tokens have masks of numbers too
        masks = {
            name: torch.as_tensor(kept[places], dtype=dtype, device=x.device)
            for name, places in where.items()
        }
        with torch.no_grad():
            output = first_output(decomposition.masked(x.clone(), masks, delta=float(rest)), len(x))
            error = wide(output) - wide(expected(x))
        return error.square().cpu().numpy()

    return damage


def _samples(batch) -> torch.Tensor:
    batch = batch[0] if isinstance(batch, tuple | list) and len(batch) else batch
    return torch.tensor(batch) if isinstance(batch, np.ndarray) else batch


def _cast(x: torch.Tensor, reference: Callable) -> torch.Tensor:
    """A copy of the samples in the type of the reference's parameters, if it has one."""
    module = isinstance(reference, torch.nn.Module) and x.is_floating_point()
    return x.to(dtype=shared_dtype(reference) if module else None, copy=True)
