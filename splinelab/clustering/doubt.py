"""Where a net is uncertain: its logit margins, and the cluster that is least one class."""

from collections.abc import Sequence

import numpy as np

from splinelab.intervals import Interval, two_level

__all__ = ["least_pure", "logit_margin", "majority_classes", "margin_drop"]


def logit_margin(output: np.ndarray) -> np.ndarray:
    """How far the largest output lies above the second largest, by sample: small where a net is uncertain.

    Softmax entropy would say nothing about nets trained with mean squared error, whose outputs lie in [0, 1].
    """
    top = np.partition(output, -2, axis=1)[:, -2:]
    return top[:, 1] - top[:, 0]


def least_pure(clusters: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, float]:
    """Which samples lie in the cluster whose largest class has the smallest share (the first such), and that
    share: its purity."""
    shares = {c: np.bincount(truth[clusters == c]).max() / (clusters == c).sum() for c in np.unique(clusters)}
    least = min(shares, key=lambda cluster: shares[cluster])
    return clusters == least, float(shares[least])


def majority_classes(clusters: np.ndarray, truth: np.ndarray) -> int:
    """How many different classes are the largest of some cluster, the smallest class in a tie."""
    return len({int(np.bincount(truth[clusters == c]).argmax()) for c in np.unique(clusters)})


def margin_drop(
    outputs: Sequence[np.ndarray],
    clusterings: Sequence[np.ndarray],
    truth: np.ndarray,
    *,
    resamples: int = 400,
    seed: int = 0,
) -> Interval:
    """Median logit margin in the least pure cluster minus that of all other samples, with its interval.

    `outputs` (samples × classes) and `clusterings` (samples) have one array per net, all of the same samples;
    margins are in units of each net's own overall median, so that nets of different losses can be compared.
    Clusters stay as they were found; draws in which some net's least pure cluster has no sample are left out.
    """
    margins = np.array([logit_margin(output) for output in outputs])
    margins /= np.median(margins, axis=1, keepdims=True)
    masks = np.array([least_pure(clusters, truth)[0] for clusters in clusterings])

    def drop(margins: np.ndarray, masks: np.ndarray) -> float:
        inside = masks.astype(bool)
        if not inside.any(axis=1).all():
            return float("nan")
        drops = [np.median(m[i]) - np.median(m[~i]) for m, i in zip(margins, inside, strict=True)]
        return float(np.mean(drops))

    return two_level(drop, margins, masks, resamples=resamples, seed=seed)
