"""The mutual nearest-neighbour graph of components, its connected parts and its Laplacian spectrum."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from splinelab.errors import InputError

__all__ = ["Graph", "neighbour_graph"]

# Affinities closer than this are tied: rounding must not decide who is a neighbour.
_TIE = 1e-9


@dataclass(frozen=True, eq=False)
class Graph:
    """An undirected weighted graph of N components.

    weights: N × N, CSR, symmetric, entries above 0 and none on the diagonal.
    neighbours: how many neighbours each node chose, N; an edge stands where two nodes chose each other.

    The three counts that are easily mixed up are kept apart: `parts` (connected components, isolated nodes
    among them), `isolated`, and the number of clusters, which `spectral.eigengap` finds.
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


def neighbour_graph(affinity, k: int | str = "adaptive", *, threshold: float = 0.0) -> Graph:
    """The mutual k-nearest-neighbour graph of an affinity matrix (Seshadri et al., section 4).

    affinity: N × N, symmetric, at least 0, its diagonal unused (see `correlation.affinity`).
    k: how many nearest neighbours a node chooses; an edge stands where both chose each other. "adaptive"
        ends each node's list of affinities at its largest drop (the last one down to 0 counts), so that a
        node chooses as many as stand out; of equal drops the last.
    threshold: affinities up to this are no neighbours.

    Ties at the k-th place are all chosen (to within 1e-9), so that the graph does not depend on the order
    of the components. Raises InputError for another k.

    >>> rho = [[1, 0.9, 0.1], [0.9, 1, 0.1], [0.1, 0.1, 1]]
    >>> neighbour_graph(rho)
    Graph(3 nodes, 1 edges, 2 connected components, 1 of them isolated nodes)
    """
    found = np.array(affinity, np.float64)
    if found.ndim != 2 or found.shape[0] != found.shape[1] or len(found) == 0:
        raise InputError(f"affinity has shape {found.shape}: expected components × components")
    if not (np.isfinite(found).all() and (found >= 0).all()):
        raise InputError("affinity holds negative or non-finite numbers: clamp correlations at 0 first")
    whole = isinstance(k, int | np.integer) and not isinstance(k, bool) and k >= 1
    if not (whole or (isinstance(k, str) and k == "adaptive")):
        raise InputError(f'k is {k!r}: expected a positive whole number or "adaptive"')
    np.fill_diagonal(found, 0)
    found[found <= threshold] = 0
    n = len(found)
    if n == 1:
        least = np.full(1, np.inf)
    elif whole:
        nth = max(n - int(k), 0)
        least = np.partition(found, nth, axis=1)[:, nth]
    else:
        least = _at_largest_drop(found)
    chosen = (found >= least[:, None] - _TIE) & (found > 0)
    mutual = chosen & chosen.T
    return Graph(sparse.csr_matrix(np.where(mutual, found, 0)), chosen.sum(axis=1))


def _at_largest_drop(affinity: np.ndarray) -> np.ndarray:
    """For each row, the last value before the largest drop of its sorted affinities."""
    descending = -np.sort(-affinity, axis=1)
    descending[:, -1] = 0  # the diagonal's place: what lies below the least of the others
    drops = descending[:, :-1] - descending[:, 1:]
    last = drops.shape[1] - 1 - np.argmax(drops[:, ::-1] >= drops.max(axis=1)[:, None] - _TIE, axis=1)
    # A row of zeros has no drop; its last place is 0 and nothing is chosen.
    return descending[np.arange(len(affinity)), last]
