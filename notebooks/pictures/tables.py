"""Tidy tables that several chapters draw: histories of the zoo's nets, and distances."""

from collections.abc import Iterable, Mapping

import pandas as pd
from torch import nn

from splinelab import protocol, record, zoo
from splinelab.data import Dataset
from splinelab.distances import class_histograms

__all__ = ["auc_histories", "histogram_table", "histories"]

CURVES = {"train_accuracy": "training", "heldout_accuracy": "held-out", "weight_norm": "weight norm"}
SEPARATION = {
    "auc_jaccard": "Jaccard",
    "auc_hamming": "Hamming",
    "auc_cosine_linear": "cosine linear",
    "auc_cosine_relu": "cosine post-ReLU",
    "train_accuracy": "training accuracy",
    "heldout_accuracy": "held-out accuracy",
}


def _history(name: str, seed: int) -> pd.DataFrame:
    return pd.DataFrame(zoo.card(name, seed)["history"]).query("step > 0")


def histories(arms: Mapping[str, str], *, every: int = 1) -> pd.DataFrame:
    """What `training_curves` draws: each `every`th row of the histories of zoo nets, the last one included.

    `arms` maps what readers call a kind of net to its name in the zoo.
    """
    return pd.concat(
        [
            _history(name, seed)
            .iloc[::-every][["step", *CURVES]]
            .rename(columns=CURVES)
            .melt("step", var_name="quantity")
            .assign(net=net, seed=seed)
            for net, name in arms.items()
            for seed in zoo.seeds(name)
        ]
    )


def auc_histories(arms: Mapping[str, str]) -> pd.DataFrame:
    """What `auc_by_step` draws: held-out ROC-AUC and accuracy while zoo nets were trained, over their seeds."""
    tables = []
    for net, name in arms.items():
        seeds = zoo.seeds(name)
        rows = pd.concat([_history(name, seed) for seed in seeds])
        # Each seed also has a row at the step where its own weight decay set in: keep the common steps.
        common = rows[rows.groupby("step")["step"].transform("size") == len(seeds)]
        long = common.rename(columns=SEPARATION).melt("step", list(SEPARATION.values()), "quantity")
        spread = long.groupby(["quantity", "step"])["value"].agg(["mean", "min", "max"]).reset_index()
        tables.append(spread.set_axis(["quantity", "step", "value", "low", "high"], axis=1).assign(net=net))
    return pd.concat(tables)


def histogram_table(
    nets: Mapping[str, nn.Module], parts: Mapping[str, Dataset], metrics: Iterable[str], *, bins: int = 24
) -> pd.DataFrame:
    """What `histogram_grid` draws: densities of pairs from distance zero to the largest of each net."""
    rows = []
    for (net, model), (part, images) in ((n, p) for n in nets.items() for p in parts.items()):
        looks = protocol.views(record(model, images))
        for metric in metrics:
            view, kind = protocol.COMPARISONS[metric]
            counted = class_histograms(looks[view], images.labels, kind)
            edges, *densities = counted.binned(bins, range=(0, float(counted.values[-1])))
            middles = (edges[1:] + edges[:-1]) / 2 / edges[-1]
            for pair, density in zip(["intra-class", "inter-class"], densities, strict=True):
                rows += [
                    (net, metric, part, pair, *xy) for xy in zip(middles, density * edges[-1], strict=True)
                ]
    return pd.DataFrame(rows, columns=["net", "metric", "split", "pair", "distance", "density"])
