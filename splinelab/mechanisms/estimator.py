"""Estimators in scikit-learn's manner: profiles in, the mechanism of each component out."""

from abc import abstractmethod
from typing import Literal, Self

import fastcluster
import numpy as np
from numpy.typing import ArrayLike
from scipy.cluster.hierarchy import fcluster
from scipy.sparse.csgraph import connected_components
from sklearn.base import BaseEstimator, ClusterMixin

from splinelab._arguments import check_number, check_seed, check_whole
from splinelab._memory import require
from splinelab.clustering.density import hdbscan_labels
from splinelab.errors import InputError
from splinelab.mechanisms.correlation import (
    INSTEAD,
    Correlations,
    as_rows,
    distances,
    pairs_above,
    to_distances,
)
from splinelab.mechanisms.graph import Graph, correlation_graph
from splinelab.mechanisms.labels import numbered
from splinelab.mechanisms.profiles import Profiles
from splinelab.mechanisms.spectral import (
    assign_rest,
    eigengap,
    laplacian_spectrum,
    spectral_by_part,
    spectral_whole,
)

_TOGETHER = 0.5  # the distance up to which components are one cluster where HDBSCAN finds none
READINGS = ("algorithm", "largest", "parts")


class _Mechanisms(ClusterMixin, BaseEstimator):
    """What all methods share.

    `fit` takes `Profiles`, or samples × N as they do. `fit_correlation` takes the N × N correlations of
    components that all count as alive, for those who vary a parameter and want the correlations once.

    Attributes
    ----------
    labels_ : N whole numbers, clusters numbered by their first component, −1 for dead components. A component
        that no other belongs to is a cluster of its own.
    always_on_ : the cluster of the components that are always on, a mechanism by definition; None where there
        are none.
    n_clusters_ : the number of clusters.
    nodes_ : the positions that were clustered by correlation.
    """

    sets_apart = True

    def fit(self, x: Profiles | ArrayLike, y: None = None) -> Self:
        """Find the mechanisms; `y` is ignored. Raises InputError where no component is alive."""
        profiles = x if isinstance(x, Profiles) else Profiles(x)
        if not profiles.alive.any():
            raise InputError(
                f"no component is alive: the largest importance is {profiles.peak.max():.3g}, the threshold "
                f"{profiles.threshold:.3g}. Lower the threshold or train the decomposition longer."
            )
        constant = profiles.always_on if self.sets_apart else np.zeros(profiles.components, bool)
        nodes = np.flatnonzero(profiles.alive & ~constant)
        labels = np.full(profiles.components, -1, np.int64)
        if len(nodes):
            labels[nodes] = self._groups(Correlations(profiles.values[:, nodes]))
        labels[constant] = labels.max() + 1
        return self._set(labels, nodes, np.flatnonzero(constant))

    def fit_correlation(self, correlations: Correlations | ArrayLike) -> Self:
        """Find the mechanisms of components whose N × N Pearson correlations are known."""
        found = as_rows(correlations)  # raises for anything that is no correlation matrix
        nodes = np.arange(found.n)
        return self._set(self._groups(found), nodes, nodes[:0])

    def _set(self, labels: np.ndarray, nodes: np.ndarray, constant: np.ndarray) -> Self:
        self.labels_ = numbered(labels)
        self.n_clusters_ = int(self.labels_.max()) + 1
        self.nodes_ = nodes
        self.always_on_ = int(self.labels_[constant[0]]) if len(constant) else None
        return self

    @abstractmethod
    def _groups(self, correlations: Correlations) -> np.ndarray:
        """A label, at least 0, of every node; raises InputError for a parameter that makes no sense."""


class SpectralMechanisms(_Mechanisms):
    """Spectral clustering inside each connected part of a mutual nearest-neighbour graph: our method.

    Nodes without an edge stay alone. Further attributes: `graph_`; `eigenvalues_`, the spectrum of the whole
    graph; `gap_`, the eigengap on it with K ≤ N/2. The clusters come from gaps inside the parts, so `gap_` is
    for comparison only.

    Parameters
    ----------
    k : neighbours, or "adaptive" (`neighbour_graph`).
    threshold : correlations up to this are no evidence; `choose_threshold` finds one.
    seed : of k-means.
    """

    def __init__(self, k: int | str = "adaptive", *, threshold: float = 0.5, seed: int = 0) -> None:
        self.k = k
        self.threshold = threshold
        self.seed = seed

    def _groups(self, correlations: Correlations) -> np.ndarray:
        check_seed(self.seed)
        self.graph_ = correlation_graph(correlations, self.k, threshold=self.threshold)
        self.eigenvalues_ = laplacian_spectrum(self.graph_)
        self.gap_ = eigengap(self.eigenvalues_, self.graph_.nodes // 2)
        return spectral_by_part(self.graph_, seed=self.seed)


class PaperSpectral(_Mechanisms):
    """The method of Seshadri et al., in each of the three readings that the paper gives.

    Positive correlations, mutual k-nearest-neighbour graph, K from the eigengap, k-means. Further attributes:
    `graph_`, `eigenvalues_` as in `SpectralMechanisms`; `gap_`, the eigengap that set K (None for "parts",
    where each part has its own).

    Parameters
    ----------
    k : neighbours; the paper has 10 for toy models, 4 for SimpleStories.
    reading : "algorithm" is Algorithm 1, on the whole graph at once; "largest" is section 4, on the largest
        connected component (of equals the first), every other node given to its nearest cluster in
        correlation; "parts" is section 6, inside each connected component, K ≤ n/2 there.
    cap : the largest K. The paper states none for toy models (None) and 12 for SimpleStories. By default it
        is half of the nodes: a group of two has eigenvalue 2 as well as 0, so that the spectrum of many pairs
        has a second large gap near its upper end, where every node is a cluster.
    seed : of k-means.
    sets_apart : whether components that are always on are set apart first, which the paper does not say. By
        default they are nodes like any other: where they do not vary their correlation is set to 0, so they
        are isolated.
    """

    def __init__(
        self,
        k: int = 10,
        *,
        reading: str = "algorithm",
        cap: int | Literal["half"] | None = "half",
        seed: int = 0,
        sets_apart: bool = False,
    ) -> None:
        self.k = k
        self.reading = reading
        self.cap = cap
        self.seed = seed
        self.sets_apart = sets_apart

    def _groups(self, correlations: Correlations) -> np.ndarray:
        if self.reading not in READINGS:
            raise InputError(f"reading is {self.reading!r}; expected one of {', '.join(READINGS)}")
        if self.cap is not None and not (isinstance(self.cap, str) and self.cap == "half"):
            check_whole("cap", self.cap, what='"half" or None')
        check_seed(self.seed)
        self.graph_ = graph = correlation_graph(correlations, self.k)
        self.eigenvalues_ = laplacian_spectrum(graph)
        self.gap_ = None
        if self.reading == "parts":
            cap = None if isinstance(self.cap, str) else self.cap  # each part has that cap anyway
            return spectral_by_part(graph, cap=cap, seed=self.seed)
        if self.reading == "algorithm":
            labels, self.gap_ = spectral_whole(graph, cap=self._most(graph.nodes), seed=self.seed)
            return labels
        nodes = max(graph.members(), key=len)
        weights = graph.weights[nodes][:, nodes]
        inside = Graph(weights, np.diff(weights.indptr).astype(np.int64))
        labels = np.full(graph.nodes, -1, np.int64)
        labels[nodes], self.gap_ = spectral_whole(inside, cap=self._most(len(nodes)), seed=self.seed)
        return assign_rest(labels, correlations)

    def _most(self, nodes: int) -> int | None:
        return nodes // 2 if isinstance(self.cap, str) else self.cap


class HdbscanMechanisms(_Mechanisms):
    """HDBSCAN (Campello et al. 2013) on the distances 1 − ρ, with `min_samples` 1; its noise stays alone.

    HDBSCAN finds several clusters or none. Where it finds none, all components may be one: those that hang
    together by correlations of at least 0.5 are. Takes 8 bytes for each of N² pairs.

    Parameters
    ----------
    min_cluster_size : the smallest group of components that may be a cluster.
    """

    def __init__(self, min_cluster_size: int = 2) -> None:
        self.min_cluster_size = min_cluster_size

    def _groups(self, correlations: Correlations) -> np.ndarray:
        size = check_whole("min_cluster_size", self.min_cluster_size, 2)
        n = correlations.n
        if n <= size:  # too few to be told from anything else
            return np.arange(n)
        found = hdbscan_labels(distances(correlations), size, 1)
        if (found < 0).all():
            found = hdbscan_labels(distances(correlations), size, 1, single=True, epsilon=_TOGETHER)
        noise = found < 0
        found[noise] = found.max() + 1 + np.arange(noise.sum())
        return found


class AverageLinkage(_Mechanisms):
    """Average linkage on the distances 1 − ρ, cut where the mean correlation falls below `threshold`.

    Takes 8 bytes for each of N² pairs.
    """

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold

    def _groups(self, correlations: Correlations) -> np.ndarray:
        threshold, n = check_number("threshold", self.threshold), correlations.n
        if n == 1:
            return np.zeros(1, np.int64)
        require(8 * n**2, f"average linkage of {n:,} components", INSTEAD)
        found, done = np.empty(n * (n - 1) // 2), 0
        for block in correlations.stripes(to_distances, upper=True):
            for i in range(len(block)):
                own = block[i, i + 1 :]
                found[done : done + len(own)] = own
                done += len(own)
        tree = fastcluster.linkage(found, "average", preserve_input=False)
        return fcluster(tree, 1 - threshold, criterion="distance").astype(np.int64)


class ThresholdComponents(_Mechanisms):
    """Connected components of the graph of all correlations above `threshold`."""

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold

    def _groups(self, correlations: Correlations) -> np.ndarray:
        threshold = check_number("threshold", self.threshold)
        pairs = pairs_above(correlations, threshold)
        pairs.data = np.ones(len(pairs.data), np.int8)  # a correlation of 0 above a threshold below it counts
        return connected_components(pairs.tocsr(), directed=False)[1]
