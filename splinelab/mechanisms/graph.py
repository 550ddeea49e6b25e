"""The mutual nearest-neighbour graph of components, its connected parts and its Laplacian spectrum."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from splinelab._arguments import check_number, check_whole
from splinelab.distances.operands import as_array
from splinelab.errors import InputError
from splinelab.mechanisms.correlation import Correlations, check_square, check_symmetric, row_slices

# Affinities closer than this are tied: rounding must not decide who is a neighbour.
_TIE = 1e-9


@dataclass(frozen=True, eq=False)
class Graph:
    """An undirected weighted graph of N components.

    The three counts that are easily mixed up are kept apart: `parts` (connected components, isolated nodes
    among them), `isolated`, and the number of clusters, which `spectral.eigengap` finds.

    Attributes
    ----------
    weights : N × N, CSR, symmetric, entries above 0 and none on the diagonal.
    neighbours : how many neighbours each node chose, N; an edge stands where two nodes chose each other.
    """

    weights: sparse.csr_matrix
    neighbours: np.ndarray

    @property
    def nodes(self) -> int:
        return self.weights.shape[0]

    @property
    def edges(self) -> int:
        return self.weights.nnz // 2

    @cached_property
    def part(self) -> np.ndarray:
        """The connected component of each node, N whole numbers, in order of their first node."""
        return connected_components(self.weights, directed=False)[1].astype(np.int64)

    @cached_property
    def parts(self) -> int:
        """The number of connected components; an isolated node is one."""
        return int(self.part.max()) + 1

    @cached_property
    def isolated(self) -> np.ndarray:
        """Whether each node has no edge, N bools."""
        return np.diff(self.weights.indptr) == 0

    def members(self) -> list[np.ndarray]:
        """The nodes of each connected component, ascending."""
        order = np.argsort(self.part, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.part))[:-1])

    def __repr__(self) -> str:
        return (
            f"Graph({self.nodes} nodes, {self.edges} edges, {self.parts} connected components, "
            f"{self.isolated.sum()} of them isolated nodes)"
        )


def neighbour_graph(affinity: ArrayLike, k: int | str = "adaptive", *, threshold: float = 0.0) -> Graph:
    """The mutual k-nearest-neighbour graph of an affinity matrix (Seshadri et al., section 4).

    Ties at the k-th place are all chosen (to within 1e-9), so that the graph does not depend on the order of
    the components. Raises InputError for another k or threshold, and unless the matrix is symmetric.

    Parameters
    ----------
    affinity : N × N, symmetric, at least 0, its diagonal unused (see `correlation.affinity`).
    k : how many nearest neighbours a node chooses; an edge stands where both chose each other. "adaptive"
        ends each node's list of affinities at its largest drop (the last one down to 0 counts), so that a
        node chooses as many as stand out; of equal drops the last.
    threshold : affinities up to this are no neighbours.

    Examples
    --------
    >>> rho = [[1, 0.9, 0.1], [0.9, 1, 0.1], [0.1, 0.1, 1]]
    >>> neighbour_graph(rho)
    Graph(3 nodes, 1 edges, 2 connected components, 1 of them isolated nodes)
    """
    found = np.asarray(as_array(affinity, "affinity"), np.float64)
    check_square(found, "affinity")
    if not (found.min() >= 0 and found.max() < np.inf):  # also false for nan
        raise InputError("affinity holds negative or non-finite numbers: clamp correlations at 0 first")
    check_symmetric(found, "affinity")
    k, threshold = _checked(k, threshold)
    return _mutual([_chosen(rows, found[rows].copy(), k, threshold) for rows in row_slices(len(found))])


def correlation_graph(correlations: Correlations, k: int | str, *, threshold: float = 0.0) -> Graph:
    """`neighbour_graph(affinity(correlations), k, threshold=threshold)`, with a few rows at a time."""
    k, threshold = _checked(k, threshold)
    return _mutual(list(correlations.stripes(_chosen, k, threshold)))


def _checked(k: int | str, threshold: float) -> tuple[int | str, float]:
    if not (isinstance(k, str) and k == "adaptive"):
        k = check_whole("k", k, what='or "adaptive"')
    return k, check_number("threshold", threshold)


def _chosen(rows: slice, found: np.ndarray, k: int | str, threshold: float) -> sparse.csr_matrix:
    """The neighbours that some rows choose, with their affinities; `found` is overwritten."""
    n = found.shape[1]
    found[np.arange(len(found)), np.arange(rows.start, rows.stop)] = 0
    floor = max(threshold, 0)
    if n == 1:
        least = np.full(1, np.inf)
    elif k == "adaptive":
        found *= found > floor
        least = _at_largest_drop(found)
    else:
        nth = max(n - k, 0)
        least = np.partition(found, nth, axis=1)[:, nth]
    # One pass over the matrix, and no second one over its zeros.
    bound = np.maximum(least - _TIE, np.nextafter(floor, np.inf))
    at = np.flatnonzero(found >= bound[:, None])
    row, column = np.divmod(at, n)
    ends = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(found)))])
    return sparse.csr_matrix((found.ravel()[at], column, ends), shape=found.shape)


def _mutual(chosen: list[sparse.csr_matrix]) -> Graph:
    """The graph of those who chose each other, from the choices of all rows."""
    found = sparse.vstack(chosen, format="csr")
    counts = np.diff(found.indptr).astype(np.int64)
    return Graph(sparse.csr_matrix(found.multiply(found.T > 0)), counts)


def _at_largest_drop(affinity: np.ndarray) -> np.ndarray:
    """For each row, the last value before the largest drop of its sorted affinities."""
    descending = -np.sort(-affinity, axis=1)
    descending[:, -1] = 0  # the diagonal's place: what lies below the least of the others
    drops = descending[:, :-1] - descending[:, 1:]
    last = drops.shape[1] - 1 - np.argmax(drops[:, ::-1] >= drops.max(axis=1)[:, None] - _TIE, axis=1)
    # A row of zeros has no drop; its last place is 0 and nothing is chosen.
    return descending[np.arange(len(affinity)), last]
