"""What chapter 2 measures of one kind of net on one set of images, before it is drawn."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from splinelab import clustering, protocol, record, zoo
from splinelab.data import Dataset
from splinelab.distances import Bootstrap
from splinelab.intervals import Interval, exactly, range_over_nets

__all__ = [
    "ALGORITHMS",
    "FULL",
    "GROKKED",
    "INDICES",
    "NETS",
    "RULES",
    "SCANNED",
    "SINGLE",
    "Look",
    "chosen_table",
    "count",
    "doubt",
    "entries",
    "gained",
    "look_at_all",
    "pronounced",
    "share_a_cluster",
]

STARTS = 4  # of k-means++
GROKKED = ("GA-mse", "G")  # seen by every rule, layer and algorithm
SCANNED = (*GROKKED, "N-mse", "N-ce")  # whose number of clusters is asked for
NETS = (*SCANNED, "GA-ce", "GCE")
FULL = ("full-mse", "full-ce", "full-long", "omnigrok")  # one net each, of MNIST's own files
SINGLE = {"spline-3a": "layer 2", "spline-3b": "logits", "spline-3c": "layer 3"}
#: Where a rule of the source is kept in a `clustering.KScan`.
RULES = {
    "silhouette": "best_silhouette",
    "Calinski-Harabasz": "best_ch",
    "Davies-Bouldin": "best_db",
    "elbow": "elbow",
}
ALGORITHMS = {
    "k-means": "kmeans",
    "Ward": "ward",
    "average linkage": "average",
    "DBSCAN": "dbscan",
    "HDBSCAN": "hdbscan",
}
#: The source's three indices → their name in `clustering.Scores`.
INDICES = {
    "silhouette": "silhouette",
    "Calinski-Harabasz": "calinski_harabasz",
    "Davies-Bouldin": "davies_bouldin",
}
SCORERS = (
    partial(clustering.silhouette, metric="l2"),
    clustering.calinski_harabasz,
    clustering.davies_bouldin,
)


@dataclass(frozen=True)
class Look:
    """Lists run over nets. Clusters are those of k-means, tens those of k = 10.

    agreement: ARI with the classes; indices: the three of `INDICES`, in L2; hamming: the same of codes, the
    silhouette in Hamming distance. algorithms: algorithm → ARI of codes and linear outputs under it; best: index →
    in how many nets k-means has the best score of the source's four algorithms, on linear outputs.
    """

    scans: dict[str, list[clustering.KScan]]
    tens: dict[str, list[np.ndarray]]
    agreement: Bootstrap
    indices: Bootstrap
    hamming: Bootstrap
    outputs: list[np.ndarray]
    algorithms: dict[str, Bootstrap]
    best: dict[str, int]

    def chosen(self, view: str, rule: str) -> list[int]:
        """The number of clusters that a rule of `clustering.KScan` finds in each net; 0 for none."""
        return [getattr(scan, rule) or 0 for scan in self.scans[view]]


def look_at_all(
    samples: Mapping[tuple[str, str], Dataset],
    seeds: Sequence[int],
    dataset: Dataset,
    ks: Sequence[int],
    resamples: int,
) -> dict[tuple[str, str], Look]:
    """A look at every (net, part) of `samples`: at one net of those of full MNIST, at `seeds` of the others."""
    every = [(view, title) for view in ("codes", "linear") for title in ALGORITHMS]
    four = [("linear", title) for title in ALGORITHMS if title != "HDBSCAN"]
    jobs = {}
    for (name, part), images in samples.items():
        nets = [zoo.load(name)] if name in FULL else protocol.nets(name, seeds, dataset)
        scanned = (
            ["codes", "linear"] if name in GROKKED else ["codes"] if name not in ("GA-ce", "GCE") else []
        )
        views = ["codes", "linear", "unit length", *(SINGLE.values() if name in GROKKED else [])]
        others = every if (name, part) == ("GA-mse", "held-out") else four if name in GROKKED else []
        jobs[name, part] = (nets, images, scanned, views, others, ks, resamples)
    return protocol.in_parallel(_look, jobs)


def _look(nets, images, scanned, views, algorithms, ks, resamples) -> Look:
    """Cluster some views of every net: over all `ks`, at k = 10, and by other (view, algorithm)s."""
    recordings = [record(net, images) for net in nets]
    seen = [_views(each) for each in recordings]

    def kmeans(view: str) -> list[np.ndarray]:
        return [clustering.cluster(each[view], "kmeans", k=10, n_init=STARTS) for each in seen]

    scans = {view: [clustering.scan_k(each[view], ks, n_init=STARTS) for each in seen] for view in scanned}
    tens = {view: [s.labels[10] for s in scans[view]] if view in scans else kmeans(view) for view in views}
    points = {view: [each[view] for each in seen] for view in views if view != "unit length"}
    labels = {view: tens[view] for view in points}
    codes = {"codes": points["codes"]}, {"codes": tens["codes"]}
    found = {
        (view, title): tens[view] if title == "k-means" else [_other(each[view], title) for each in seen]
        for view, title in algorithms
    }
    return Look(
        scans=scans,
        tens=tens,
        agreement=clustering.bootstrap_ari(tens, images.labels, resamples=4 * resamples),
        indices=clustering.bootstrap_scores(points, labels, metric="l2", resamples=resamples),
        hamming=clustering.bootstrap_scores(*codes, metric="hamming", resamples=resamples),
        outputs=[each.output for each in recordings],
        algorithms={
            title: clustering.bootstrap_ari(
                {view: found[view, title] for view in ("codes", "linear")},
                images.labels,
                resamples=4 * resamples,
            )
            for view, title in found
            if view == "codes"
        },
        best=_best([each["linear"] for each in seen], found) if found else {},
    )


def _views(recording) -> dict:
    """Those of the protocol, and the linear outputs of single layers."""
    layers = {f"layer {i}": recording.pre[layer] for i, layer in enumerate(recording.pre, start=1)}
    return protocol.views(recording) | layers


def _other(points, title: str) -> np.ndarray:
    method = ALGORITHMS[title]
    with warnings.catch_warnings():  # that all may be noise is no news
        warnings.filterwarnings("ignore", "hdbscan calls all", UserWarning)
        return clustering.cluster(points, method, k=10 if method in ("ward", "average") else None)


def _best(points: list[np.ndarray], found: dict) -> dict[str, int]:
    """How often k-means, the first of four, scores best on linear outputs; a single cluster has no score."""
    four = [title for title in ALGORITHMS if title != "HDBSCAN"]
    best = {}
    for (index, score), sign in zip(zip(INDICES, SCORERS, strict=True), (1, 1, -1), strict=True):
        table = [
            [sign * score(x, labels) for x, labels in zip(points, found["linear", title], strict=True)]
            for title in four
        ]
        best[index] = int((np.where(np.isnan(table), -np.inf, table).argmax(axis=0) == 0).sum())
    return best


def share_a_cluster(clusterings: Sequence[np.ndarray], labels: np.ndarray, classes: Sequence[int]) -> int:
    """In how many nets one cluster holds the largest share of each of these classes."""
    tables = [pd.crosstab(clusters, labels) for clusters in clusterings]
    return sum(table[[*classes]].idxmax().nunique() == 1 for table in tables)


def gained(name: str, seed: int) -> float:
    """Held-out accuracy that a zoo net gained after 99 % of its training images were first learnt; 0 where
    they never were."""
    history = pd.DataFrame(zoo.card(name, seed)["history"])
    learnt = history.index[history["train_accuracy"] >= 0.99]
    accuracy = history["heldout_accuracy"]
    return float(accuracy.iloc[-1] - accuracy[learnt[0]]) if len(learnt) else 0.0


def count(values: Sequence[float]) -> Interval:
    """A count for each net: their median and range, or the one number of one net."""
    return range_over_nets(values) if len(values) > 1 else exactly(values[0])


def chosen_table(looks: Mapping[tuple[str, str], Look]) -> pd.DataFrame:
    """The number of clusters by rule, view, net and images: median, smallest and largest net."""
    rows = {
        f"{view}, {protocol.in_words(name)}; {part}": {
            rule: f"{count(found.chosen(view, attribute)):.0f}" for rule, attribute in RULES.items()
        }
        for view in ("codes", "linear")
        for (name, part), found in looks.items()
        if name in GROKKED
    }
    return pd.DataFrame(rows).T


def doubt(found: Look, labels: np.ndarray, k: int, resamples: int) -> tuple[Interval, Interval]:
    """Of the least pure of k clusters of codes: its margin against elsewhere, and its purity over nets."""
    clusters = [scan.labels[k] for scan in found.scans["codes"]]
    shares = [protocol.least_pure(each, labels)[1] for each in clusters]
    return protocol.margin_drop(found.outputs, clusters, labels, resamples=resamples), range_over_nets(shares)


def pronounced(one: Look, other: Look, index: str) -> Interval:
    """By how much clusters of codes score higher in one kind of net; silhouettes in Hamming distance."""
    space = "hamming" if index == "silhouette" else "indices"
    a, b = (getattr(found, space) for found in (one, other))
    return a.difference("codes", "codes", INDICES[index], other=b)


def entries(name: str, case: str, found: Look, labels: np.ndarray) -> Iterator[tuple[str, str, Interval]]:
    """What one look says to the claims of chapter 2: claim, case and interval, also where a claim has no such
    case."""
    for rule, attribute in RULES.items():
        for claim, view in {"spline-2a": "codes", "spline-2c": "linear", "spline-2j": "codes"}.items():
            if view in found.scans:
                yield claim, f"{case}; {rule}", count(found.chosen(view, attribute))
    if "codes" in found.scans:
        yield "spline-4a", case, count(found.chosen("codes", "elbow"))
    yield "spline-4b", case, count([protocol.majority_classes(each, labels) for each in found.tens["codes"]])
    for claim in ("spline-2e", "spline-2k", "spline-4c", "spline-4e"):
        yield claim, case, found.agreement.difference("codes", "linear", "ari")
    for index, attribute in INDICES.items():
        yield "spline-2f", f"{index}; {case}", found.indices.difference("codes", "linear", attribute)
        if found.best:
            yield "spline-2i", f"{index}; {case}", exactly(found.best[index])
    for claim, layer in SINGLE.items() if name in GROKKED else ():
        yield "ours-single-layers", f"{layer}; {case}", found.agreement.difference(layer, "linear", "ari")
        for index, attribute in INDICES.items():
            yield claim, f"{index}; {case}", found.indices.difference("linear", layer, attribute)
    yield "spline-2d", case, exactly(share_a_cluster(found.tens["codes"], labels, [2, 5]))
    for label, classes in {"4 and 9": [4, 9], "4, 7 and 9": [4, 7, 9]}.items():
        yield "spline-2g", f"{label}; {case}", exactly(share_a_cluster(found.tens["linear"], labels, classes))
