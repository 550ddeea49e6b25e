"""Weights and their provenance cards on disk: written whole, and read only if they match; a table of all."""

import hashlib
import os
from collections.abc import Mapping
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from torch import nn

from splinelab._arguments import check_seed
from splinelab._files import check_writable, write_atomically
from splinelab.data.published import Published
from splinelab.data.published import read as read_published
from splinelab.errors import ZooError
from splinelab.training import Recipe, build
from splinelab.zoo.cards import NetCard, readable, verified
from splinelab.zoo.recipes import entries, entry

#: The folder that ships.
WEIGHTS = Path(__file__).parent / "weights"
#: Whether the weights lie beside their cards; a wheel brings the cards, and weights are fetched.
IN_CHECKOUT = any(WEIGHTS.glob("*.safetensors"))


def card(name: str, seed: int = 0, *, folder: str | os.PathLike | None = None) -> dict[str, Any]:
    """The provenance card of a net: `name, seed, recipe, data, metrics, history, switch_step, seconds,
    parameters, versions, sha256`.

    `history` holds columns of equal length, ready for `pandas.DataFrame`. Raises `ZooError` for an
    unknown name, a seed that is not there, and a card that cannot be read, was changed, or is another net's.
    """
    entry(name)
    return read_card(NetCard, name, seed, folder, _retrain(name, seed))


def load(name: str, seed: int = 0, *, folder: str | os.PathLike | None = None) -> nn.Sequential:
    """A trained net, float32, on the CPU, in eval mode. `folder` is where you retrained it, if you did.

    Raises `ZooError` for an unknown name, a seed that is not there, a card that was changed or is another
    net's, and weights that do not match the checksum on their card.

    >>> net = load("GA-mse", seed=0)
    >>> [name for name, _ in net.named_children()][-2:]
    ['relu3', 'output']
    """
    expected = card(name, seed, folder=folder)
    recipe = Recipe.from_dict({**expected["recipe"], "dtype": "float32"})  # as it is stored
    net = build(recipe, seed=0)
    net.load_state_dict(read(expected, folder, _retrain(name, seed)))
    return net.eval()


def read_card(
    kind: type, name: str, seed: int, folder: str | os.PathLike | None, remedy: str
) -> dict[str, Any]:
    """The card of a net or a decomposition; `remedy` says in an error how to make it anew."""
    seed = check_seed(seed)
    return verified(_paths(name, seed, folder, remedy)[1], kind, name, seed, remedy)


def read(card: Mapping[str, Any], folder: str | os.PathLike | None, remedy: str) -> dict[str, torch.Tensor]:
    """The weights that belong to a card."""
    path = _paths(card["name"], card["seed"], folder, remedy)[0]
    if not path.is_file():  # a wheel brings the cards alone
        return from_safetensors(read_published(_published(path.name, card["sha256"])))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ZooError(f"the weights {path} cannot be read ({error.strerror}); {remedy}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != card["sha256"]:
        raise ZooError(
            f"the weights {path} do not match their card: SHA-256 {found}, expected {card['sha256']}. "
            f"Reinstall splinelab, or {remedy}"
        )
    return from_safetensors(content)


def untrained(name: str, seed: int = 0) -> nn.Sequential:
    """The net of an entry as it was before the first step: nothing is stored, the seed says it all."""
    return build(entry(name).recipe.replace(dtype="float32"), seed).eval()


def save(
    folder: str | os.PathLike,
    name: str,
    seed: int,
    state: Mapping[str, torch.Tensor],
    about: Mapping[str, Any],
) -> Path:
    """Write weights (real numbers as float32, counts as they are) and card; returns the path of the weights.

    The weights go first. Should the run end between the two files, the pair does not match and is refused.
    """
    content = to_safetensors({key: _stored(value) for key, value in state.items()})
    text = readable(name, seed, about, hashlib.sha256(content).hexdigest())
    path = _target(folder, name, seed)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
        write_atomically(path.with_suffix(".json"), text.encode())
    except OSError as error:
        raise _unwritable(path, error) from error
    return path


def require_writable(folder: str | os.PathLike, name: str, seed: int) -> None:
    """Raise `ZooError` where `save` could not write: before hours of training, not after them."""
    path = _target(folder, name, seed)
    try:
        check_writable(path)
        check_writable(path.with_suffix(".json"))
    except OSError as error:
        raise _unwritable(path, error) from error


def at_hand(name: str, folder: Path = WEIGHTS) -> dict[int, Path]:
    """The cards of a name that are in a folder, by seed."""
    seeds = {file.stem.removeprefix(f"{name}-"): file for file in folder.glob(f"{name}-*.json")}
    return dict(sorted((int(seed), file) for seed, file in seeds.items() if seed.isdecimal()))


def tidy(folder: str | os.PathLike) -> None:
    """Remove the folder of resume points if it is empty: once no run of ours can want it any more."""
    checkpoints = Path(folder) / ".checkpoints"
    if checkpoints.is_dir() and not any(checkpoints.iterdir()):
        checkpoints.rmdir()


def _target(folder: str | os.PathLike, name: str, seed: int) -> Path:
    return Path(folder) / f"{name}-{seed}.safetensors"


def _unwritable(path: Path, error: OSError) -> ZooError:
    return ZooError(
        f"{path} cannot be written ({error.strerror}): make room, or choose another folder with --out"
    )


def _paths(name: str, seed: int, folder: str | os.PathLike | None, remedy: str) -> tuple[Path, Path]:
    """The two files, both there."""
    here = WEIGHTS if folder is None else Path(folder)
    paths = here / f"{name}-{seed}.safetensors", here / f"{name}-{seed}.json"
    for path in paths if folder is not None or IN_CHECKOUT else paths[1:]:
        if not path.is_file():
            seeds = ", ".join(map(str, at_hand(name, here)))
            there = f"seeds {seeds} are there" if seeds else "none of its weights are there"
            raise ZooError(f"there is no {path} ({name}: {there}); {remedy}")
    return paths


def _published(name: str, sha256: str) -> Published:
    """Weights of this version, where the repository keeps them."""
    about = metadata("splinelab")
    (home,) = [
        each.split(", ")[1] for each in about.get_all("Project-URL", []) if each.startswith("Repository")
    ]
    origin = f"{home}/raw/v{about['Version']}/splinelab/zoo/weights/{name}"
    return Published(name, None, sha256, "zoo", "the zoo's weights", (origin,))


def _stored(value: torch.Tensor) -> torch.Tensor:
    return (value.float() if value.is_floating_point() else value).contiguous()


def _retrain(name: str, seed: int) -> str:
    return f"train it: python -m splinelab train {name} --seed {seed} --out DIR, then load with folder=DIR"


def table(folder: str | os.PathLike | None = None) -> pd.DataFrame:
    """One row per entry: name, seeds, data, loss, mean training and held-out accuracy over seeds, size.

    Entries without weights in `folder` (the shipped ones unless given) have no seeds and no accuracies.
    """
    here = WEIGHTS if folder is None else Path(folder)
    rows = []
    for name, item in entries().items():
        files = at_hand(name, here)
        cards = [card(name, seed, folder=folder) for seed in files]
        weights = [file.with_suffix(".safetensors") for file in files.values()]
        images = item.recipe.train_images
        rows.append(
            {
                "name": name,
                "seeds": ", ".join(map(str, files)) or "none ship",
                "data": item.recipe.dataset + (f", {images:,} images" if images else ", all images"),
                "loss": item.recipe.loss,
                "train accuracy": _mean(cards, "train_accuracy"),
                "held-out accuracy": _mean(cards, "heldout_accuracy"),
                "MB": round(sum(file.stat().st_size for file in weights if file.is_file()) / 1e6, 1),
                "about": item.about,
            }
        )
    return pd.DataFrame(rows)


def _mean(cards: list[dict], metric: str) -> float:
    return float(np.mean([one["metrics"][metric] for one in cards])) if cards else float("nan")
