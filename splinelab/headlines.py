"""The headline quantities of chapters 1 and 2, on any images and any nets, in one tidy table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student
from torch import nn

from splinelab import clustering, protocol
from splinelab.codes import SplineCodes
from splinelab.data import Dataset
from splinelab.distances import Bootstrap, bootstrap
from splinelab.errors import InputError
from splinelab.recording import record

__all__ = ["COLUMNS", "measure", "over_nets"]

COLUMNS = ["claim", "quantity", "arm", "images", "value", "low", "high", "interval", "n", "seeds"]

#: Claim → quantity, comparison, baseline: by how much the one ROC-AUC exceeds the other.
LEADS = {
    "spline-1a": ("Jaccard", "L2 linear"),
    "spline-1b": ("Jaccard", "cosine linear"),
    "spline-1c": ("Hamming", "L2 linear"),
    "spline-1d": ("Hamming", "cosine linear"),
    "ours-post-relu-tie": ("Jaccard", "cosine post-ReLU"),
}
_CODES = ("Jaccard", "Hamming")
_COMPARISONS = (*_CODES, "L2 linear", "cosine linear", "cosine post-ReLU")

#: Claim → statistic of Jaccard distances, arm and arm to subtract.
PAIRS = (
    ("spline-5a", "overlap", "N-mse", "GA-mse"),
    ("spline-5a", "overlap", "N-ce", "GA-ce"),
    ("spline-5a", "overlap", "N-mse", "G"),
    ("spline-6b", "auc", "GA-mse", "U"),
    ("ours-grokking-against-ordinary", "auc", "N-mse", "G"),
)
#: Pairs of arms whose silhouettes are compared: grokked or long-trained against ordinary.
SILHOUETTES = (("GA-mse", "N-mse"), ("G", "N-mse"), ("GA-ce", "N-ce"), ("GCE", "N-ce"))

Interval = tuple[float, float, float]


@dataclass(frozen=True)
class _Look:
    """What is seen of one arm on one set of images; lists run over its nets."""

    separation: Bootstrap
    agreement: Bootstrap
    elbows: dict[str, list[int]]
    silhouettes: list[float]
    majorities: list[int]
    margin: Interval | None
    accuracies: list[float]


def measure(
    arms: Mapping[str, Sequence[nn.Module]],
    parts: Mapping[str, Dataset],
    *,
    elbows: Mapping[str, Sequence[str]] | None = None,
    ks: Sequence[int] = range(2, 21),
    starts: int = 4,
    resamples: int = 200,
) -> pd.DataFrame:
    """Measure every arm on every set of images; one row per quantity, arm and images.

    arms: name → nets that differ in their seed alone, the same number in each arm. Where arms are called as
        in ``zoo``, "N-mse" and so on, differences between them are measured too. "random bits" is added to
        them: the codes of the first arm, each unit's bits shuffled over the images, net by net.
    parts: "training" and "held-out" images (or others), as ``protocol.evaluation_images`` gives them.
    elbows: arm → those of its views, "codes" and "linear", whose number of clusters is chosen by the elbow
        over ``ks``. ``starts`` are those of k-means.

    Returns columns `claim` (its id in the ledger; empty for levels), `quantity`, `arm`, `images`, `value`,
    `low`, `high` (95 %), `interval`, `n` (images), `seeds` (nets). What `interval` says the bounds are:
    "images and nets" (percentiles of draws of both), "nets" (Student's t over nets; nan for one net), or
    "range" (median, smallest and largest of the nets; no confidence interval). A k of 0: no knee was found,
    and nothing is subtracted from it (nan).

    The draws are the same for all arms (seed 0), so differences are paired. Raises InputError for arms of
    unequal numbers of nets.
    """
    counts = {len(nets) for nets in arms.values()}
    if len(counts) != 1 or not min(counts):
        raise InputError(f"the arms have {sorted(counts)} nets; expected the same number in each, at least 1")
    jobs: dict[Any, tuple] = {}
    for part, images in parts.items():
        for number, (arm, nets) in enumerate(arms.items()):
            for name, shuffle in [(arm, False)] + [("random bits", True)] * (number == 0):
                scanned = (elbows or {}).get(name, ())
                jobs[name, part] = (nets, images, scanned, ks, starts, resamples, shuffle)
    looks = protocol.in_parallel(_look, jobs)
    seeds = counts.pop()
    rows = [
        (*row[:2], arm, part, *row[2], row[3], len(parts[part]), seeds)
        for (arm, part), look in looks.items()
        for row in _of_an_arm(look)
    ]
    for part, images in parts.items():
        found = {arm: look for (arm, where), look in looks.items() if where == part}
        rows += [(*row[:3], part, *row[3], row[4], len(images), seeds) for row in _between_arms(found)]
    if {"training", "held-out"} <= set(parts):
        n = min(len(parts["training"]), len(parts["held-out"]))
        for arm in [*arms, "random bits"]:
            both = looks[arm, "training"], looks[arm, "held-out"]
            rows += [(*row[:2], arm, row[2], *row[3], row[4], n, seeds) for row in _between_images(*both)]
    return pd.DataFrame(rows, columns=COLUMNS)


def over_nets(values: Sequence[float]) -> Interval:
    """The mean of one value per net, with Student's 95 % interval; a single net has none (nan)."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return mean, float("nan"), float("nan")
    half = float(student.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return mean, mean - half, mean + half


def _look(nets, images, scanned, ks, starts, resamples, shuffle) -> _Look:
    """Record every net and measure what is seen. ``shuffle`` keeps the codes alone, their bits shuffled."""
    recordings = [record(net, images) for net in nets]
    looks = [protocol.views(seen) for seen in recordings]
    if shuffle:
        looks = [{"codes": _shuffled(look["codes"], seed)} for seed, look in enumerate(looks)]
    comparisons = _CODES if shuffle else _COMPARISONS
    matrices = [protocol.distance_matrices(look, comparisons) for look in looks]
    stacks = {name: [matrix[name] for matrix in matrices] for name in comparisons}
    views = [view for view in ("codes", "linear", "unit length") if view in looks[0]]

    def kmeans(view: str, k: int) -> list[np.ndarray]:
        return [clustering.cluster(look[view], "kmeans", k=k, n_init=starts) for look in looks]

    tens = {view: kmeans(view, 10) for view in views}
    outputs = [seen.output for seen in recordings]
    return _Look(
        separation=bootstrap(stacks, images.labels, resamples=resamples),
        agreement=clustering.bootstrap_ari(tens, images.labels, resamples=resamples),
        elbows={
            view: [clustering.scan_k(look[view], ks, n_init=starts).elbow or 0 for look in looks]
            for view in scanned
        },
        silhouettes=[
            clustering.silhouette(look["codes"], labels)
            for look, labels in zip(looks, tens["codes"], strict=True)
        ],
        majorities=[protocol.majority_classes(labels, images.labels) for labels in tens["codes"]],
        margin=None
        if shuffle
        else protocol.margin_drop(outputs, kmeans("codes", 11), images.labels, resamples=resamples),
        accuracies=[] if shuffle else [float((out.argmax(1) == images.labels).mean()) for out in outputs],
    )


def _shuffled(codes: SplineCodes, seed: int) -> SplineCodes:
    """Codes in which every unit is on as often as before, for other images."""
    return SplineCodes.from_bits({"shuffled": np.random.default_rng(seed).permuted(codes.bits(), axis=0)})


def _of_an_arm(look: _Look) -> list[tuple[str, str, Interval, str]]:
    both, separation, agreement = "images and nets", look.separation, look.agreement
    rows = [("", f"ROC-AUC, {name}", separation.interval(name), both) for name in separation.values]
    for claim, (one, other) in LEADS.items():
        if other in separation.values:
            lead = separation.difference(one, other)
            rows.append((claim, f"ROC-AUC, {one} − {other}", lead[:3], both))
    for claim, name in {"spline-1e": "Jaccard", "spline-1h": "Hamming"}.items():
        rows.append((claim, f"gap, {name}", separation.interval(name, "gap"), both))
    for claim, view in {"spline-2a": "codes", "spline-2c": "linear"}.items():
        if view in look.elbows:
            rows.append((claim, f"k by the elbow, {view}", _spread(look.elbows[view]), "range"))
    for view in agreement.values:
        rows.append(("", f"ARI at k = 10, {view}", agreement.interval(view, "ari"), both))
    for claim, one, other in [
        ("spline-2e", "codes", "linear"),
        ("ours-normalised-activations", "unit length", "codes"),
    ]:
        if {one, other} <= set(agreement.values):
            lead = agreement.difference(one, other, "ari")
            rows.append((claim, f"ARI at k = 10, {one} − {other}", lead[:3], both))
    rows.append(("spline-4b", "majority classes at k = 10, codes", _spread(look.majorities), "range"))
    rows.append(("", "silhouette at k = 10, codes", over_nets(look.silhouettes), "nets"))
    if look.margin:
        rows.append(("spline-2b", "margin in the least pure of 11 − elsewhere", look.margin, both))
    if look.accuracies:
        rows.append(("", "accuracy", over_nets(look.accuracies), "nets"))
    return rows


def _between_arms(looks: Mapping[str, _Look]) -> list[tuple[str, str, str, Interval, str]]:
    """Differences between arms on the same images."""
    rows = []
    for claim, statistic, one, other in PAIRS:
        if {one, other} <= set(looks):
            found = looks[one].separation.difference(
                "Jaccard", "Jaccard", statistic, other=looks[other].separation
            )
            name = {"auc": "ROC-AUC"}.get(statistic, statistic)
            rows.append((claim, f"{name}, Jaccard", f"{one} − {other}", found[:3], "images and nets"))
    for one, other in SILHOUETTES:
        if {one, other} <= set(looks):
            found = over_nets(np.subtract(looks[one].silhouettes, looks[other].silhouettes))
            rows.append(("spline-4f", "silhouette at k = 10, codes", f"{one} − {other}", found, "nets"))
    return rows


def _between_images(training: _Look, heldout: _Look) -> list[tuple[str, str, str, Interval, str]]:
    """Differences between training and held-out images in one arm."""
    closed = training.separation.difference("Jaccard", "Jaccard", "gap", other=heldout.separation)
    rows = [("ours-train-heldout-gap", "gap, Jaccard", "training − held-out", closed[:3], "images and nets")]
    if "codes" in training.elbows:
        before, after = (np.where(k, k, np.nan) for k in (training.elbows["codes"], heldout.elbows["codes"]))
        more = _spread(after - before)
        rows.append(("ours-train-heldout-k", "k by the elbow, codes", "held-out − training", more, "range"))
    return rows


def _spread(values: Sequence[float]) -> Interval:
    """Median, smallest and largest over nets."""
    return float(np.median(values)), float(np.min(values)), float(np.max(values))
