"""The zoo at a glance."""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from splinelab.zoo.recipes import entries
from splinelab.zoo.store import WEIGHTS, card

__all__ = ["table"]


def table(folder: str | os.PathLike | None = None) -> pd.DataFrame:
    """One row per entry: name, seeds, data, loss, mean training and held-out accuracy over seeds, size.

    Entries without weights in `folder` (the shipped ones unless given) have no seeds and no accuracies.
    """
    here = WEIGHTS if folder is None else Path(folder)
    rows = []
    for name, item in entries().items():
        files = {
            int(seed): file
            for file in here.glob(f"{name}-*.safetensors")
            if (seed := file.stem.removeprefix(f"{name}-")).isdecimal()
        }
        seeds = sorted(files)
        cards = [card(name, seed, folder=folder) for seed in seeds]
        images = item.recipe.train_images
        rows.append(
            {
                "name": name,
                "seeds": ", ".join(map(str, seeds)) or "none ship",
                "data": item.recipe.dataset + (f", {images:,} images" if images else ", all images"),
                "loss": item.recipe.loss,
                "train accuracy": _mean(cards, "train_accuracy"),
                "held-out accuracy": _mean(cards, "heldout_accuracy"),
                "MB": round(sum(file.stat().st_size for file in files.values()) / 1e6, 1),
                "about": item.about,
            }
        )
    return pd.DataFrame(rows)


def _mean(cards: list[dict], metric: str) -> float:
    return float(np.mean([one["metrics"][metric] for one in cards])) if cards else float("nan")
