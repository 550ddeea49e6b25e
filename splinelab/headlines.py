"""The headline quantities of chapters 1 and 2, on any images and any nets, in one tidy table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from splinelab import clustering, protocol
from splinelab.codes import SplineCodes
from splinelab.data import Dataset
from splinelab.distances import Bootstrap, bootstrap
from splinelab.errors import InputError
from splinelab.intervals import Interval, over_nets, range_over_nets
from splinelab.recording import record

__all__ = ["COLUMNS", "measure"]

COLUMNS = ["claim", "quantity", "arm", "images", "value", "low", "high", "over", "interval"]

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

    Returns columns `claim` (its id in the ledger; empty for levels), `quantity`, `arm`, `images`, `interval`
    (a `splinelab.intervals.Interval`), and of that `value`, `low`, `high` and `over`: "images and nets",
    "nets", or "range" (median, smallest and largest net; no confidence interval). Of one net there is no
    interval over nets, and such a row is left out. A k of 0: no knee was found; where a net has none,
    nothing is subtracted from it, and the row is left out.

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
    rows = [(*row[:2], arm, part, row[2]) for (arm, part), look in looks.items() for row in _of_an_arm(look)]
    for part in parts:
        found = {arm: look for (arm, where), look in looks.items() if where == part}
        rows += [(*row[:3], part, row[3]) for row in _between_arms(found)]
    if {"training", "held-out"} <= set(parts):
        for arm in [*arms, "random bits"]:
            both = looks[arm, "training"], looks[arm, "held-out"]
            rows += [(*row[:2], arm, *row[2:]) for row in _between_images(*both)]
    return pd.DataFrame(
        [
            (*names, *interval, interval.over, interval.replace(n=n) if n else interval)
            for *names, interval in rows
            if interval is not None
            for n in [len(parts[names[-1]]) if names[-1] in parts else 0]
        ],
        columns=COLUMNS,
    )


def _look(
    nets: Sequence[nn.Module],
    images: Dataset,
    scanned: Sequence[str],
    ks: Sequence[int],
    starts: int,
    resamples: int,
    shuffle: bool,
) -> _Look:
    """Record every net and measure what is seen. ``shuffle`` keeps the codes alone, their bits shuffled."""
    recordings = [record(net, images) for net in nets]
    looks = [protocol.views(seen) for seen in recordings]
    if shuffle:
        looks = [{"codes": _shuffled(seen.codes, seed)} for seed, seen in enumerate(recordings)]
    comparisons = _CODES if shuffle else _COMPARISONS
    matrices = [protocol.distance_matrices(look, comparisons) for look in looks]
    stacks = {name: [matrix[name] for matrix in matrices] for name in comparisons}
    views = [view for view in ("codes", "linear", "unit length") if view in looks[0]]

    def kmeans(view: str, k: int) -> list[np.ndarray]:
        return [clustering.cluster(look[view], "kmeans", k=k, n_init=starts) for look in looks]

    tens: dict[str, list[np.ndarray]] = {view: kmeans(view, 10) for view in views}
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


def _of_an_arm(look: _Look) -> list[tuple[str, str, Interval | None]]:
    separation, agreement = look.separation, look.agreement
    rows: list[tuple[str, str, Interval | None]] = [
        ("", f"ROC-AUC, {name}", separation.interval(name)) for name in separation.values
    ]
    for claim, (one, other) in LEADS.items():
        if other in separation.values:
            lead = separation.difference(one, other)
            rows.append((claim, f"ROC-AUC, {one} − {other}", lead))
    for claim, name in {"spline-1e": "Jaccard", "spline-1h": "Hamming"}.items():
        rows.append((claim, f"gap, {name}", separation.interval(name, "gap")))
    for claim, view in {"spline-2a": "codes", "spline-2c": "linear"}.items():
        if view in look.elbows:
            rows.append((claim, f"k by the elbow, {view}", range_over_nets(look.elbows[view])))
    for view in agreement.values:
        rows.append(("", f"ARI at k = 10, {view}", agreement.interval(view, "ari")))
    for claim, one, other in [
        ("spline-2e", "codes", "linear"),
        ("ours-normalised-activations", "unit length", "codes"),
    ]:
        if {one, other} <= set(agreement.values):
            lead = agreement.difference(one, other, "ari")
            rows.append((claim, f"ARI at k = 10, {one} − {other}", lead))
    rows.append(("spline-4b", "majority classes at k = 10, codes", range_over_nets(look.majorities)))
    rows.append(("", "silhouette at k = 10, codes", _over_nets(look.silhouettes)))
    if look.margin:
        rows.append(("spline-2b", "margin in the least pure of 11 − elsewhere", look.margin))
    if look.accuracies:
        rows.append(("", "accuracy", _over_nets(look.accuracies)))
    return rows


def _between_arms(looks: Mapping[str, _Look]) -> list[tuple[str, str, str, Interval | None]]:
    """Differences between arms on the same images."""
    rows: list[tuple[str, str, str, Interval | None]] = []
    for claim, statistic, one, other in PAIRS:
        if {one, other} <= set(looks):
            found = looks[one].separation.difference(
                "Jaccard", "Jaccard", statistic, other=looks[other].separation
            )
            name = {"auc": "ROC-AUC"}.get(statistic, statistic)
            rows.append((claim, f"{name}, Jaccard", f"{one} − {other}", found))
    for one, other in SILHOUETTES:
        if {one, other} <= set(looks):
            lead = _over_nets(np.subtract(looks[one].silhouettes, looks[other].silhouettes))
            rows.append(("spline-4f", "silhouette at k = 10, codes", f"{one} − {other}", lead))
    return rows


def _between_images(training: _Look, heldout: _Look) -> list[tuple[str, str, str, Interval]]:
    """Differences between training and held-out images in one arm."""
    closed = training.separation.difference("Jaccard", "Jaccard", "gap", other=heldout.separation)
    rows = [("ours-train-heldout-gap", "gap, Jaccard", "training − held-out", closed)]
    if "codes" in training.elbows:
        before, after = np.array(training.elbows["codes"]), np.array(heldout.elbows["codes"])
        if before.all() and after.all():
            more = range_over_nets(after - before)
            rows.append(("ours-train-heldout-k", "k by the elbow, codes", "held-out − training", more))
    return rows


def _over_nets(values: Sequence[float] | np.ndarray) -> Interval | None:
    return over_nets(values) if len(values) > 1 else None
