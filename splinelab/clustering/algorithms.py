"""Five algorithms by name; scikit-learn, hdbscan and fastcluster do the work."""

import warnings
from typing import Any

import fastcluster
import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import DBSCAN, KMeans
from sklearn.exceptions import ConvergenceWarning

from splinelab._arguments import check_number, check_seed, check_whole
from splinelab._memory import available, require
from splinelab.clustering.density import hdbscan_labels
from splinelab.clustering.inputs import check_k, check_samples, coordinates, resolve_metric
from splinelab.distances import blocks, neighbours
from splinelab.distances.matrices import condensed, square
from splinelab.errors import InputError

METHODS = ("kmeans", "dbscan", "ward", "average", "hdbscan")
_INSTEAD = 'cluster some of the samples, or use "kmeans" or "dbscan", which hold no matrix'
_PAIR = 60  # bytes that dbscan takes for a pair within eps


def cluster(
    x: ArrayLike,
    method: str,
    *,
    k: int | None = None,
    metric: str | None = None,
    seed: int = 0,
    n_init: int = 10,
    min_samples: int = 5,
    eps: float | None = None,
    min_cluster_size: int | None = None,
    allow_single_cluster: bool = False,
) -> np.ndarray:
    """Cluster labels (int64, one per sample; −1 is noise) by one of `METHODS`.

    One sample is one cluster for "kmeans", "ward" and "average" and noise for "dbscan" and "hdbscan". "ward",
    "average" and "hdbscan" take 8 bytes for each of n² pairs, the other two hold no matrix.

    Parameters
    ----------
    x : SplineCodes, vectors (samples × units), or an n × n matrix with `metric="precomputed"`.
    method : "kmeans", k-means++, the only random one; "ward" or "average", agglomeration cut into exactly `k`
        clusters; "dbscan"; "hdbscan". K-means and Ward are defined for l2 only: on codes, of their bits, so
        that squared distances are Hamming counts.
    k : the number of clusters, for the first three.
    metric : hamming, jaccard, l2 or cosine; by default jaccard for codes and l2 for vectors.
    seed, n_init : of k-means and its starts.
    min_samples : of the last two; in "dbscan" a sample itself counts towards it, as in scikit-learn.
    eps : of "dbscan"; by default `knee_eps`, a rule that uses no labels.
    min_cluster_size : of "hdbscan"; by default 1 % of the samples, at least 5.
    allow_single_cluster : of "hdbscan": whether all samples together may be one. If not, and that leaves
        nothing but noise, a UserWarning says so.

    Raises
    ------
    InputError : an unknown method or metric, k missing or larger than n, fewer distinct samples than k in
        k-means, empty or non-finite input, a matrix that is not symmetric, and too little memory.

    Examples
    --------
    >>> cluster([[0.0], [0.1], [5.0], [5.1]], "average", k=2).tolist()
    [0, 0, 1, 1]
    """
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}: expected one of {', '.join(METHODS)}")
    metric = _metric_for(method, x, metric)
    n = check_samples(x, metric)
    if method in ("dbscan", "hdbscan"):
        return _by_density(x, method, k, metric, n, min_samples, eps, min_cluster_size, allow_single_cluster)
    k = check_k(k, n)
    if method == "kmeans":
        seed, n_init = check_seed(seed), check_whole("n_init", n_init)
        return kmeans(coordinates(x)[0], k, seed=seed, n_init=n_init).labels_.astype(np.int64)
    return _agglomerate(x, method, metric, k, n)


def _by_density(
    x: Any,
    method: str,
    k: int | None,
    metric: str,
    n: int,
    min_samples: int,
    eps: float | None,
    size: int | None,
    single: bool | None,
) -> np.ndarray:
    if k is not None:
        raise InputError(f"k is {k}, but {method} finds the number of clusters itself: expected k=None")
    min_samples = check_whole("min_samples", min_samples)
    if eps is not None and not check_number("eps", eps) > 0:
        raise InputError(f"eps is {eps}: expected a positive distance")
    if n == 1:
        return np.array([-1])
    if method == "dbscan":
        eps = knee_eps(x, metric=metric, min_samples=min_samples) if eps is None else eps
        found = DBSCAN(eps=eps, min_samples=min_samples, metric="precomputed")
        return found.fit_predict(_radius(x, metric, eps)).astype(np.int64)
    size = check_whole("min_cluster_size", max(5, n // 100) if size is None else size, 2)
    if n <= max(size, min_samples):  # too few for one cluster
        return np.full(n, -1)
    require(8 * n**2, f"hdbscan of {n:,} samples", _INSTEAD)
    labels = hdbscan_labels(square(x, metric), size, min_samples, single=bool(single))
    if (labels < 0).all() and not single:
        warnings.warn(
            f"hdbscan calls all {n} samples noise: it does not take all of them for one cluster unless told "
            "so by allow_single_cluster=True; a smaller min_cluster_size may find several",
            UserWarning,
            stacklevel=3,
        )
    return labels


def knee_eps(x: ArrayLike, *, metric: str | None = None, min_samples: int = 5) -> float:
    """DBSCAN's eps by the knee rule: the knee of the sorted distances to the (min_samples − 1)-th neighbour.

    The knee is the point of the curve that lies furthest below the chord between its ends: the largest value
    of the difference curve of Satopää et al. (2011). Their detector, which takes the first local maximum that
    stands out, is made for curves as they arrive; on ties between codes it stops at the last few samples.
    Where the rule gives 0 (more copies than min_samples), eps is the smallest positive float32, so that only
    copies are neighbours.
    """
    metric = resolve_metric(x, metric)
    min_samples = check_whole("min_samples", min_samples)
    n = check_samples(x, metric)
    if n < 2:
        raise InputError("x has 1 sample: expected at least 2 for a neighbour's distance")
    nth = min(max(min_samples - 1, 1), n - 1)
    if metric == "precomputed":
        rows = np.array_split(np.asarray(x), -(-n // 256))  # sorted a few at a time
        far = np.concatenate([np.partition(some, nth, axis=1)[:, nth].copy() for some in rows])  # 0 is itself
    else:
        far = neighbours(x, k=nth, metric=metric)[1][:, -1]
    curve = np.sort(far.astype(np.float64))
    below = np.linspace(curve[0], curve[-1], n) - curve
    eps = curve[np.argmax(below)] if curve[-1] > curve[0] else curve[-1]
    return float(max(eps, np.finfo(np.float32).tiny))


def kmeans(points: np.ndarray, k: int, *, seed: int, n_init: int) -> KMeans:
    """A fitted scikit-learn KMeans; InputError where fewer than `k` distinct samples exist."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            return KMeans(n_clusters=k, n_init=n_init, random_state=seed).fit(points)
        except ConvergenceWarning as warning:
            raise InputError(
                f"k is {k}, but the samples hold fewer distinct points ({warning}): choose a smaller k"
            ) from warning


def _metric_for(method: str, x: Any, metric: str | None) -> str:
    if method == "kmeans" or method == "ward":
        if metric not in (None, "l2"):
            raise InputError(
                f"{method} is defined for Euclidean distance: expected metric 'l2', got {metric!r}"
            )
        return "l2"
    return resolve_metric(x, metric)


def _agglomerate(x: Any, method: str, metric: str, k: int, n: int) -> np.ndarray:
    if n == 1:
        return np.zeros(1, np.int64)
    require(8 * n**2, f"{method} linkage of {n:,} samples", _INSTEAD)
    tree = fastcluster.linkage(condensed(x, metric), method, preserve_input=False)
    merges = tree[: n - k, :2].astype(np.int64)
    # The first n − k merges leave exactly k clusters; merge i makes the node n + i.
    nodes = np.repeat(n + np.arange(n - k), 2)
    graph = coo_matrix((np.ones(len(nodes)), (nodes, merges.ravel())), shape=(2 * n - k, 2 * n - k))
    _, first_seen = np.unique(connected_components(graph, directed=False)[1][:n], return_inverse=True)
    return first_seen.reshape(-1).astype(np.int64)


def _check_near(pairs: int, free: int | None) -> None:
    """Refuse an eps that nearly all pairs lie within, while there is still room to say so."""
    if free is not None and _PAIR * pairs > free:
        raise InputError(
            f"{pairs:,} pairs and more lie within the distance eps; they need {_PAIR * pairs / 1e9:.1f} GB, "
            f"and {free / 1e9:.1f} GB are free. Choose a smaller eps, or cluster some of the samples"
        )


def _radius(x: Any, metric: str, eps: float) -> csr_matrix:
    """Distances up to eps as a sparse matrix, zeros between copies kept."""
    if metric == "precomputed":
        x = np.asarray(x)
        _check_near(int((x <= eps).sum()), available())
        i, j = np.nonzero(x <= eps)
        return csr_matrix((x[i, j].astype(np.float64), (i, j)), shape=x.shape)
    found, free, held = [], available(), 0
    for rows, cols, block in blocks(x, metric=metric):  # on and above the diagonal
        i, j = np.nonzero(block <= eps)
        held += 2 * len(i)
        _check_near(held, free)
        near = block[i, j].astype(np.float64)
        found.append((i + rows.start, j + cols.start, near))
        if rows != cols:
            found.append((j + cols.start, i + rows.start, near))
    i, j, near = (np.concatenate(parts) for parts in zip(*found, strict=True))
    n = rows.stop
    return csr_matrix((near, (i, j)), shape=(n, n))
