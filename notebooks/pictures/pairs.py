"""Pairs of images that are alike in distance and angle: what is left of a difference between classes."""

import numpy as np

from splinelab.distances import pairwise

__all__ = ["ratio_of_alike"]


def ratio_of_alike(codes, activations: np.ndarray, labels: np.ndarray, bins: int = 20) -> float:
    """Same-class over different-class density among pairs of equal distance and equal cosine distance.

    Pairs fall into `bins` × `bins` quantile bins; the bins' ratios are averaged with their same-class pairs as
    weights, without bins that lack either kind.

    Parameters
    ----------
    codes, activations : codes behind a layer and activations there, samples × units.
    labels : the samples' classes.
    bins : for distance, and again for angle.
    """
    upper = np.triu_indices(len(labels), 1)
    same = (labels[:, None] == labels)[upper]
    distance = pairwise(activations, metric="l2")[upper]
    density = pairwise(codes, metric="hamming")[upper] / distance
    angle = pairwise(activations, metric="cosine")[upper]
    group = bins * _bins(distance, bins) + _bins(angle, bins)
    (intra, some), (inter, others) = (
        _means(density / density.mean(), group, mask, bins**2) for mask in (same, ~same)
    )
    usable = (some > 0) & (others > 0) & (inter > 0)
    return float(np.average(intra[usable] / inter[usable], weights=some[usable]))


def _bins(values: np.ndarray, count: int) -> np.ndarray:
    return np.searchsorted(np.quantile(values, np.arange(1, count) / count), values, side="right")


def _means(values: np.ndarray, group: np.ndarray, mask: np.ndarray, groups: int) -> tuple:
    """The mean of each group's masked values (0 where it has none), and their number."""
    size = np.bincount(group[mask], minlength=groups)
    return np.bincount(group[mask], values[mask], groups) / np.maximum(size, 1), size
