"""Spectral clustering of a graph, one connected component at a time."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.sparse.linalg import eigsh
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from splinelab._arguments import check_seed, check_whole
from splinelab._memory import require
from splinelab.errors import InputError
from splinelab.mechanisms.correlation import Correlations, as_rows
from splinelab.mechanisms.graph import Graph
from splinelab.mechanisms.labels import aligned

_DENSE = 1500  # nodes up to which all eigenpairs come from LAPACK
_LANCZOS = 128  # eigenpairs at the low end of larger parts
_TIE = 1e-9


@dataclass(frozen=True)
class Gap:
    """What the eigengap heuristic chose.

    Attributes
    ----------
    k : the number of clusters.
    gap : the size of the gap after the k-th eigenvalue.
    cap : the largest k that was allowed; None for any.
    """

    k: int
    gap: float
    cap: int | None


def laplacian_spectrum(graph: Graph) -> np.ndarray:
    """Eigenvalues of the normalised Laplacian I − D^−½ W D^−½, ascending, float64.

    They are the union over the connected components, each solved by itself: 0 then comes out exactly once
    per component, which an iterative solver on the whole matrix does not guarantee. An isolated node adds
    one 0. All N of them while no part has more than 1,500 nodes; of a larger part the lowest 128.
    """
    return np.sort(np.concatenate([_eigenpairs(graph, nodes)[0] for nodes in graph.members()]))


def eigengap(eigenvalues: ArrayLike, cap: int | None) -> Gap:
    """K = argmax of λ_{k+1} − λ_k over 1 ≤ k ≤ `cap`; the smallest of equals (to within 1e-9).

    >>> eigengap([0.0, 0.0, 0.9, 1.1, 2.0, 2.0], cap=3)
    Gap(k=2, gap=0.9, cap=3)
    """
    values = np.asarray(eigenvalues, np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise InputError(f"eigenvalues have shape {values.shape}; expected at least one, ascending")
    if not np.isfinite(values).all():
        raise InputError("eigenvalues hold NaN or infinity; expected finite numbers, ascending")
    gaps = np.diff(values)[: None if cap is None else max(cap, 0)]
    if len(gaps) == 0:
        return Gap(1, float("nan"), cap)
    k = int(np.argmax(gaps >= gaps.max() - _TIE)) + 1
    return Gap(k, float(gaps[k - 1]), cap)


def spectral_by_part(graph: Graph, *, cap: int | None = None, seed: int = 0) -> np.ndarray:
    """Cluster each connected component by itself; labels of N nodes, int64.

    Within a part of n nodes, K is the eigengap's with K ≤ n/2 (and ≤ `cap` if given), then k-means
    (10 starts from `seed`) on the rows of the first K solutions of L v = λ D v. An isolated node is a
    cluster of its own.
    """
    seed = check_seed(seed)
    cap = None if cap is None else check_whole("cap", cap)
    labels, used = np.empty(graph.nodes, np.int64), 0
    for nodes in graph.members():
        values, vectors = _eigenpairs(graph, nodes)
        most = max(len(nodes) // 2, 1)
        k = eigengap(values, most if cap is None else min(cap, most)).k
        labels[nodes] = used + _kmeans(vectors[:, :k], k, seed)
        used += k
    return labels


def spectral_whole(graph: Graph, *, cap: int | None = None, seed: int = 0) -> tuple[np.ndarray, Gap]:
    """Cluster all nodes at once, as Algorithm 1 of Seshadri et al. is printed; labels of N nodes, int64.

    K is the eigengap's over the whole graph. Eigenvalues that are equal across connected components have
    no order of their own: theirs is that of the components' first nodes. With more components than K the
    first K eigenvectors therefore see only some of them, and all other nodes share the origin.
    """
    seed = check_seed(seed)
    values, columns = [], []
    for nodes in graph.members():
        some, vectors = _eigenpairs(graph, nodes)
        values.append(some)
        columns.append((nodes, vectors))
    owner = np.repeat(np.arange(len(values)), [len(some) for some in values])
    place = np.concatenate([np.arange(len(some)) for some in values])
    joined = np.concatenate(values)
    order = np.argsort(np.round(joined, 9), kind="stable")
    gap = eigengap(joined[order], cap)
    require(
        4 * 8 * graph.nodes * gap.k,
        f"k-means of {graph.nodes:,} nodes in {gap.k:,} coordinates",
        'set a cap, or take the reading "parts" or SpectralMechanisms, which look at one part at a time',
    )
    embedding = np.zeros((graph.nodes, gap.k))
    for column, position in enumerate(order[: gap.k]):
        nodes, vectors = columns[owner[position]]
        embedding[nodes, column] = vectors[:, place[position]]
    return _kmeans(embedding, gap.k, seed), gap


def assign_rest(labels: ArrayLike, correlations: Correlations | ArrayLike) -> np.ndarray:
    """Give each node of label −1 the cluster with which its mean correlation is largest.

    "Nearest cluster in the correlation space post-hoc" (Seshadri et al., section 4); the mean over members
    is our reading of it. Only nodes that had a label count as members; of equal clusters the first.
    """
    (labels,) = aligned(labels)
    correlations = as_rows(correlations)
    if correlations.n != len(labels):
        raise InputError(f"there are {len(labels)} labels and {correlations.n} nodes; expected as many")
    labels = labels.copy()
    rest = labels < 0
    if not rest.any() or rest.all():
        return labels
    known, codes = np.unique(labels[~rest], return_inverse=True)
    inside = np.flatnonzero(~rest)
    shape = len(labels), len(known)
    member = sparse.csr_matrix((np.ones(len(inside)), (inside, codes.reshape(-1))), shape=shape)
    nearest = np.concatenate(list(correlations.stripes(_nearest, member, rest)))
    labels[rest] = known[nearest]
    return labels


def _nearest(rows: slice, found: np.ndarray, member: sparse.csr_matrix, rest: np.ndarray) -> np.ndarray:
    """The cluster of the largest mean correlation, for those rows that have none."""
    means = found[rest[rows]] @ member / np.asarray(member.sum(axis=0))
    if len(means) == 0:
        return np.zeros(0, np.int64)
    return np.argmax(means >= means.max(axis=1, keepdims=True) - _TIE, axis=1)


def _eigenpairs(graph: Graph, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ascending eigenvalues of the normalised Laplacian of one connected part, and v = D^−½ u."""
    if len(nodes) == 1:
        return np.zeros(1), np.ones((1, 1))
    weights = graph.weights[nodes][:, nodes]
    root = 1 / np.sqrt(np.asarray(weights.sum(axis=1)).ravel())
    scaled = weights.multiply(root[:, None]).multiply(root[None, :])
    if len(nodes) <= _DENSE:
        values, vectors = np.linalg.eigh(scaled.toarray())
    else:
        start = np.random.default_rng(0).normal(size=len(nodes))
        values, vectors = eigsh(sparse.csr_matrix(scaled), k=_LANCZOS, which="LA", v0=start)
    # The largest eigenvalues of D^−½ W D^−½ are the smallest of I − D^−½ W D^−½; the first is 0 exactly.
    values, vectors = 1 - values[::-1], vectors[:, ::-1]
    values[0] = 0.0
    return np.maximum(values, 0), vectors * root[:, None]


def _kmeans(rows: np.ndarray, k: int, seed: int) -> np.ndarray:
    if k == 1:
        return np.zeros(len(rows), np.int64)
    with warnings.catch_warnings():
        # Fewer distinct rows than k, which the whole-graph reading can bring about: some clusters stay empty.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return KMeans(n_clusters=k, n_init=10, random_state=seed).fit(rows).labels_.astype(np.int64)
