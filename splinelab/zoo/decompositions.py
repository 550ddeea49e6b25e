"""Decompositions of the toy models that ship: five seeds of each, the components that are alive."""

import os
from pathlib import Path
from typing import Any

import torch

from splinelab._arguments import check_device, check_seed
from splinelab.errors import ZooError, closest
from splinelab.nets import ResidualMLP, Superposition
from splinelab.spd import (
    OURS,
    PAPER,
    TARGETS,
    Decomposition,
    SPDRecipe,
    TargetRecipe,
    attach,
    quality,
    reduced,
    rounded_error,
    train_target,
)
from splinelab.spd import decompose as decompose_net
from splinelab.zoo.cards import DecompositionCard
from splinelab.zoo.store import WEIGHTS, at_hand, read, read_card, require_writable, save, tidy

#: Whose recipes the zoo's decompositions follow: ours, and the published one as a baseline.
RECIPES: dict[str, SPDRecipe] = {**OURS, "TMS-5-2-published": PAPER["TMS-5-2"]}
CHECKPOINT_EVERY = 500  # steps
_EMBEDDING = "net.embedding"


def toy_model(name: str, seed: int = 0) -> Superposition | ResidualMLP:
    """A toy model as decompositions take it: the zoo's where it has one of this seed, else trained now.

    Residual MLPs are written in the smaller basis (`spd.reduced`), which leaves their outputs as they are.
    """
    if (WEIGHTS / f"{name}-{seed}.json").is_file():
        return decomposition(name, seed).net
    return _trained(name, seed)[0]


def _trained(name: str, seed: int) -> tuple[Superposition | ResidualMLP, float]:
    net, loss = train_target(_target(name), seed)
    return (reduced(net).net if isinstance(net, ResidualMLP) else net), loss


def decompose(
    name: str,
    seed: int = 0,
    *,
    device: str = "cpu",
    folder: str | os.PathLike = "zoo",
    progress: bool = True,
) -> Path:
    """Train a toy model, decompose it by our recipe and write both with a card; returns the weights' path.

    An interrupted run leaves a resume point in `folder/.checkpoints` and goes on from there. Raises
    `ZooError`, before any training, for a folder that cannot be written to.
    """
    recipe, target, seed = _recipe(name), _target(name), check_seed(seed)
    check_device(device)
    require_writable(folder, name, seed)
    net, loss = _trained(name, seed)
    resume = Path(folder) / ".checkpoints" / f"{name}-{seed}.ckpt"
    found = decompose_net(
        net,
        recipe,
        seed,
        checkpoint=resume,
        checkpoint_every=CHECKPOINT_EVERY,
        progress=progress,
        device=device,
    )
    kept = found.decomposition
    kept.keep(kept.alive(target.fresh_samples()))
    scores = quality(kept, target)
    about: dict[str, Any] = {
        "about": f"decomposition of {name}: {', '.join(scores['layer'])}",
        "target": target.to_dict(),
        "recipe": recipe.to_dict(),
        "metrics": {
            "target_loss": loss,
            "losses": list(found.losses),
            "reassigned": list(found.reassigned),
            "rounded_error": rounded_error(kept, target.fresh_samples()),
            "layers": scores.astype(object).where(scores.notna(), None).to_dict("list"),
        },
        "seconds": round(found.seconds, 1),
        "device": str(device),
        "history": found.history,
        "parameters": sum(value.numel() for value in kept.state_dict().values()),
    }
    path = save(folder, name, seed, _packed(kept.state_dict()), about)
    for left in resume.parent.glob(f"{resume.name}*"):
        left.unlink()
    tidy(folder)
    return path


def decomposition(name: str, seed: int = 0, *, folder: str | os.PathLike | None = None) -> Decomposition:
    """A toy model's decomposition with its alive components, on the CPU, in eval mode; `.net` is the model.

    Raises `ZooError` for an unknown name, a seed that is not there, and files that do not match.

    >>> decomposition("TMS-40-10", seed=0)
    Decomposition(Superposition; components linear1: 40, linear2: 40)
    """
    card = decomposition_card(name, seed, folder=folder)
    target, recipe = TargetRecipe.from_dict(card["target"]), SPDRecipe.from_dict(card["recipe"])
    state = _unpacked(read(card, folder, _again(name, seed)), target.features)
    if _EMBEDDING in state:
        target = target.replace(width=state[_EMBEDDING].shape[1])
    found = attach(target.build(0), recipe.replace(start="random"), 0)
    found.take(state)
    found.set_even(recipe.stages[-1].even)
    return found.eval()


def decomposition_card(
    name: str, seed: int = 0, *, folder: str | os.PathLike | None = None
) -> dict[str, Any]:
    """The provenance card of a decomposition: `name, seed, target, recipe, metrics, seconds, history`…"""
    _recipe(name)
    return read_card(DecompositionCard, name, seed, folder, _again(name, seed))


def decomposed() -> dict[str, list[int]]:
    """The decompositions that ship: name → seeds.

    >>> decomposed()["TMS-40-10"]
    [0, 1, 2, 3, 4]
    """
    return {name: list(at_hand(name)) for name in RECIPES}


def _packed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state with the lower triangle of a reduced residual MLP's embedding, all that it has, in a row."""
    if _EMBEDDING not in state:
        return state
    whole = state[_EMBEDDING]
    return {**state, _EMBEDDING: whole[tuple(torch.tril_indices(*whole.shape))]}


def _unpacked(state: dict[str, torch.Tensor], features: int) -> dict[str, torch.Tensor]:
    if _EMBEDDING not in state:
        return state
    whole = torch.zeros(features, state["net.blocks.0.mlp_in.weight"].shape[1])
    whole[tuple(torch.tril_indices(*whole.shape))] = state[_EMBEDDING]
    return {**state, _EMBEDDING: whole}


def _recipe(name: str) -> SPDRecipe:
    if name not in RECIPES:
        known = ", ".join(RECIPES)
        raise ZooError(f"the zoo has no decomposition {name!r}; {closest(name, RECIPES)}It has {known}")
    return RECIPES[name]


def _target(name: str) -> TargetRecipe:
    return TARGETS[name.removesuffix("-published")]


def _again(name: str, seed: int) -> str:
    return f"make it: python -m splinelab decompose {name} --seed {seed} --out DIR, then ask with folder=DIR"
