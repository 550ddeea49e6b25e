"""Internal indices (geometry alone) and external ones (against known classes).

Never compare internal indices across metrics or spaces; ARI and NMI may be. Samples labelled −1 are
noise: the internal indices leave them out, the external ones count them as one more cluster, so that
noise earns nothing.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn import metrics

from splinelab._memory import require
from splinelab.clustering.inputs import check_samples, coordinates, resolve_metric
from splinelab.codes import SplineCodes
from splinelab.distances.kernels import kernel
from splinelab.distances.operands import as_array, check_labels, packed_bits, unpack
from splinelab.errors import InputError

_BLOCK = 1024


def silhouette(x: ArrayLike, labels: ArrayLike, metric: str | None = None) -> float:
    """Mean silhouette (Rousseeuw 1987) of the samples that are not noise; equal to scikit-learn's to
    rounding.

    Hamming comes from each cluster's column counts, Jaccard block by block, both without an n × n matrix. A
    cluster of one sample scores 0. nan where fewer than two clusters, or only single samples, are left.

    Parameters
    ----------
    x : SplineCodes, vectors or, with `metric="precomputed"`, an n × n matrix.
    labels : one cluster per sample, −1 for noise.
    metric : by default hamming for codes, l2 for vectors.

    Examples
    --------
    >>> round(silhouette([[0.0], [0.1], [5.0], [5.1]], [0, 0, 1, 1]), 2)
    0.98
    """
    metric = resolve_metric(x, metric, code_default="hamming")
    n = check_samples(x, metric)
    kept, codes = _without_noise(labels, n)
    sizes = np.bincount(codes)
    if not 2 <= len(sizes) < len(codes):
        return float("nan")
    if metric == "precomputed":
        x = np.asarray(x)
        if len(kept) < n:
            require(x.itemsize * len(kept) ** 2, "the matrix without noise", "give one without it")
            x = x[np.ix_(kept, kept)]
        return float(metrics.silhouette_score(x, codes, metric="precomputed"))
    if metric in ("l2", "cosine"):
        named = "euclidean" if metric == "l2" else "cosine"
        return float(metrics.silhouette_score(coordinates(x)[0][kept], codes, metric=named))
    packed, units = packed_bits(x)
    if len(kept) < n:
        packed = packed[kept]
    sums = (_hamming_sums if metric == "hamming" else _jaccard_sums)(packed, units, codes, sizes)
    return _from_sums(sums, codes, sizes)


def calinski_harabasz(x: ArrayLike, labels: ArrayLike) -> float:
    """Calinski-Harabasz index (l2; of codes' bits): larger is better. Noise and nan as in `silhouette`."""
    return _euclidean_index(metrics.calinski_harabasz_score, x, labels)


def davies_bouldin(x: ArrayLike, labels: ArrayLike) -> float:
    """Davies-Bouldin index (l2; of codes' bits): smaller is better. Noise and nan as in `silhouette`."""
    return _euclidean_index(metrics.davies_bouldin_score, x, labels)


def ari(labels: ArrayLike, truth: ArrayLike) -> float:
    """Adjusted Rand index of two labellings: 1 equal, 0 what chance gives. Noise is one more cluster."""
    return float(metrics.adjusted_rand_score(*_two(labels, truth)))


def nmi(labels: ArrayLike, truth: ArrayLike) -> float:
    """Normalised mutual information (arithmetic mean) of two labellings. Noise is one more cluster."""
    return float(metrics.normalized_mutual_info_score(*_two(labels, truth)))


def _two(labels: ArrayLike, truth: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    truth = as_array(truth, "truth")
    if truth.ndim != 1 or len(truth) == 0:
        raise InputError(f"truth has shape {truth.shape}: expected one label per sample")
    codes, _ = check_labels(labels, len(truth))
    return codes, check_labels(truth, len(truth))[0]


def _without_noise(labels: ArrayLike, n: int) -> tuple[np.ndarray, np.ndarray]:
    check_labels(labels, n)
    labels = as_array(labels, "labels")
    kept = np.flatnonzero(labels != -1)
    return kept, np.unique(labels[kept], return_inverse=True)[1].reshape(-1)


def _euclidean_index(index: Callable, x: Any, labels: ArrayLike) -> float:
    points, _ = coordinates(x)  # neither index has a unit
    kept, codes = _without_noise(labels, len(points))
    if not 2 <= len(np.unique(codes)) < len(codes):
        return float("nan")
    return float(index(points[kept], codes))


def _hamming_sums(packed: np.ndarray, units: int, codes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Summed Hamming distances, samples × clusters: n_c |b| + Σ S_c − 2 b · S_c with column counts S_c."""
    bits = torch.from_numpy(unpack(packed, units)).float()
    member = torch.nn.functional.one_hot(torch.from_numpy(codes), len(sizes))
    counts = member.float().T @ bits  # clusters × units: exact, since below 2²⁴ samples
    exact = torch.float32 if units * len(codes) < 2**24 else torch.float64
    common = (bits.to(exact) @ counts.T.to(exact)).double()
    ones = bits.sum(1, keepdim=True).double()
    return ((ones * torch.from_numpy(sizes) + counts.double().sum(1) - 2 * common) / units).numpy()


def _jaccard_sums(packed: np.ndarray, units: int, codes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Sum of Jaccard distances from each sample to each cluster, one block of pairs at a time."""
    kern = kernel(SplineCodes(packed, {"kept": units}), None, "jaccard", None, "cpu")
    member = torch.nn.functional.one_hot(torch.from_numpy(codes), len(sizes)).double()
    sums = torch.zeros(len(codes), len(sizes), dtype=torch.float64)
    stripes = [slice(i, min(i + _BLOCK, len(codes))) for i in range(0, len(codes), _BLOCK)]
    for i, rows in enumerate(stripes):
        for cols in stripes[i:]:
            block = kern.block(rows, cols).double()
            sums[rows] += block @ member[cols]
            if rows != cols:  # distances are symmetric
                sums[cols] += block.T @ member[rows]
    return sums.numpy()


def _from_sums(sums: np.ndarray, codes: np.ndarray, sizes: np.ndarray) -> float:
    rows = np.arange(len(codes))
    within = sums[rows, codes] / np.maximum(sizes[codes] - 1, 1)
    means = sums / sizes
    means[rows, codes] = np.inf
    nearest = means.min(axis=1)
    larger = np.maximum(within, nearest)
    scores = np.where(
        (sizes[codes] > 1) & (larger > 0), (nearest - within) / np.where(larger > 0, larger, 1), 0
    )
    return float(scores.mean())
