"""Retrain an entry and write it with its card."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from splinelab._arguments import check_device, check_seed
from splinelab._jobs import spread
from splinelab.data import Dataset, stratified_split
from splinelab.distances import pairwise, separability
from splinelab.errors import InputError
from splinelab.recording import record
from splinelab.training import Fit, TrainingData, evaluate, fit, training_data
from splinelab.zoo.recipes import Entry, entries, entry
from splinelab.zoo.store import require_writable, save, tidy


def pair_auc(heldout: Dataset, *, images: int = 500) -> Callable[[nn.Module], dict[str, float]]:
    """A probe: the ROC-AUC of different-class against same-class pairs, in four distances.

    The pairs are all pairs of `images` fixed, stratified images of `heldout`. Columns:
    `auc_jaccard` and `auc_hamming` on spline codes, `auc_cosine_linear` on all linear outputs side by
    side (before the ReLUs, with the logits), `auc_cosine_relu` on all ReLU outputs side by side.
    """
    chosen = heldout.take(stratified_split(heldout, min(images, len(heldout)), seed=0).train)

    def probe(net: nn.Module) -> dict[str, float]:
        seen = record(net, chosen.images)
        spaces: dict[str, tuple[Any, str]] = {
            "auc_jaccard": (seen.codes, "jaccard"),
            "auc_hamming": (seen.codes, "hamming"),
            "auc_cosine_linear": (seen.stack("pre", output=True), "cosine"),
            "auc_cosine_relu": (seen.stack("post"), "cosine"),
        }
        return {
            name: separability(pairwise(space, metric=metric), chosen.labels).auc
            for name, (space, metric) in spaces.items()
        }

    return probe


CHECKPOINT_EVERY = 2000  # steps


def train(
    name: str,
    seed: int = 0,
    *,
    device: str = "cpu",
    folder: str | os.PathLike = "zoo",
    progress: bool = True,
) -> list[Path]:
    """Train an entry by its recipe and write weights and card into `folder`; returns the weights' paths.

    G and G-memorised are moments of one run, so either name writes both. An interrupted run leaves a resume
    point in `folder/.checkpoints` and goes on from there, to the same bits. Raises `ZooError`, before any
    training, for a folder that cannot be written to.
    """
    group = _group(name)
    seed = _checked(group, seed, device, folder)
    paths = _train(group, device, folder, progress, seed)
    tidy(folder)
    return paths


def train_seeds(
    name: str,
    seeds: Iterable[int],
    *,
    device: str = "cpu",
    folder: str | os.PathLike = "zoo",
    progress: bool = True,
) -> list[Path]:
    """`train` for every seed: here one after another, else in processes or on a cluster, as joblib is told.

    Files, bits and errors are those of `train`. Each run takes as many threads as torch has here, since
    their number moves the last bits: `torch.set_num_threads(1)` leaves one core to each. Workers on other
    machines must see `folder`. Raises `InputError` for a seed given twice, before any training.
    """
    group = _group(name)
    seeds = [_checked(group, seed, device, folder) for seed in seeds]
    if len(set(seeds)) < len(seeds):
        raise InputError(f"seeds is {seeds}; expected each seed once")
    shared = torch.get_num_threads(), group, device, Path(folder).absolute(), progress
    runs = list(spread(_train_elsewhere, [(seed,) for seed in seeds], *shared))
    tidy(folder)
    return [path for paths in runs for path in paths]


def _group(name: str) -> list[Entry]:
    """The entries that come from one run with this entry."""
    found = entry(name)
    return [item for item in entries().values() if item.recipe == found.recipe]


def _checked(group: list[Entry], seed: int, device: str, folder: str | os.PathLike) -> int:
    seed = check_seed(seed)
    check_device(device)
    for item in group:
        require_writable(folder, item.name, seed)
    return seed


def _train_elsewhere(threads: int, *given: Any) -> list[Path]:
    """The job of `train_seeds`."""
    own = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return _train(*given)
    finally:
        torch.set_num_threads(own)


def _train(
    group: list[Entry], device: str, folder: str | os.PathLike, progress: bool, seed: int
) -> list[Path]:
    recipe = group[0].recipe
    owner = next(item for item in group if item.snapshot is None)
    data = training_data(recipe)
    resume = Path(folder) / ".checkpoints" / f"{owner.name}-{seed}.ckpt"
    result = fit(
        recipe,
        seed,
        data=data,
        device=device,
        probes={"pairs": pair_auc(data.heldout)},
        checkpoint=resume,
        checkpoint_every=CHECKPOINT_EVERY,
        progress=progress,
    )
    paths = [
        save(folder, item.name, seed, _weights(item, result), _about(item, result, data, device))
        for item in group
        if item.snapshot is None or item.snapshot in result.snapshots
    ]
    resume.unlink(missing_ok=True)
    return paths


def training_images(name: str) -> Dataset:
    """The images that every seed of this entry was trained on."""
    return training_data(entry(name).recipe).train


def heldout(name: str) -> Dataset:
    """The images that no seed of this entry was trained on: the ones to judge it by."""
    return training_data(entry(name).recipe).heldout


def _weights(item: Entry, result: Fit) -> dict:
    return result.net.state_dict() if item.snapshot is None else result.snapshots[item.snapshot]


def _about(item: Entry, result: Fit, data: TrainingData, device: str) -> dict:
    """What the card says beside name, seed and checksums of the file."""
    history = result.history
    if item.snapshot is not None:
        rows = history["step"].index(result.switch_step) + 1
        history = {name: column[:rows] for name, column in history.items()}
    final = {name: column[-1] for name, column in history.items()}
    metrics = {name: value for name, value in final.items() if name != "weight_decay"}
    if item.snapshot is None:  # of what is stored, which is float32
        net = result.net.float()
        metrics["train_accuracy"] = evaluate(net, data.train, item.recipe.loss)[1]
        metrics["heldout_accuracy"] = evaluate(net, data.heldout, item.recipe.loss)[1]
    return {
        "about": item.about,
        "recipe": item.recipe.to_dict(),
        "data": {
            part: {"name": images.name, "images": len(images), "checksum": images.checksum}
            for part, images in data._asdict().items()
        },
        "metrics": metrics,
        "switch_step": result.switch_step,
        "seconds": round(result.seconds, 1),
        "device": str(device),
        "history": history,
        "parameters": sum(value.numel() for value in result.net.parameters()),
    }
