"""The number of clusters, by rules declared before looking."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from kneed import KneeLocator
from numpy.typing import ArrayLike

from splinelab._arguments import check_seed, check_whole
from splinelab.clustering.algorithms import kmeans
from splinelab.clustering.indices import calinski_harabasz, davies_bouldin, silhouette
from splinelab.clustering.inputs import check_k, coordinates, resolve_metric
from splinelab.errors import InputError


@dataclass(frozen=True, eq=False)
class KScan:
    """K-means over several k.

    Attributes
    ----------
    ks : the numbers of clusters, ascending.
    inertia, silhouette, ch, db : float64, along `ks` (nan: undefined).
    labels : k → the clusters found.

    Notes
    -----
    The rules, none of which uses class labels: `elbow` is the knee of the inertia (kneed: convex,
    decreasing, S = 1; None where it finds none), `best_silhouette` and `best_ch` the k of the largest
    value, `best_db` of the smallest, the smallest k in a tie.
    """

    ks: np.ndarray
    inertia: np.ndarray
    silhouette: np.ndarray
    ch: np.ndarray
    db: np.ndarray
    labels: dict[int, np.ndarray]

    @property
    def elbow(self) -> int | None:
        """The knee of the inertia; None where there is none."""
        if len(self.ks) < 3 or np.ptp(self.inertia) == 0:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # None says that there is no elbow
            found = KneeLocator(self.ks, self.inertia, curve="convex", direction="decreasing").elbow
        return None if found is None else int(found)

    @property
    def best_silhouette(self) -> int | None:
        """The k of the largest silhouette."""
        return self._best(-self.silhouette)

    @property
    def best_ch(self) -> int | None:
        """The k of the largest Calinski-Harabasz index."""
        return self._best(-self.ch)

    @property
    def best_db(self) -> int | None:
        """The k of the smallest Davies-Bouldin index."""
        return self._best(self.db)

    def _best(self, cost: np.ndarray) -> int | None:
        return None if np.isnan(cost).all() else int(self.ks[np.nanargmin(cost)])


def scan_k(
    x: ArrayLike, ks: Sequence[int], *, seed: int = 0, n_init: int = 10, metric: str | None = None
) -> KScan:
    """Run k-means for every k and score each clustering.

    Raises InputError as `cluster` does, before the first run.

    Parameters
    ----------
    x : SplineCodes (their bits) or vectors, samples × units.
    ks : numbers of clusters, ascending.
    seed, n_init : of k-means and its starts; every k starts anew.
    metric : the silhouette's (default: hamming for codes, l2 for vectors); k-means, Calinski-Harabasz and
        Davies-Bouldin are Euclidean.

    Examples
    --------
    >>> scan_k([[0.0], [0.1], [5.0], [5.1], [9.0], [9.1]], [2, 3, 4]).best_silhouette
    3
    """
    points, power = coordinates(x)
    seed, n_init = check_seed(seed), check_whole("n_init", n_init)
    resolve_metric(x, metric)
    if np.ndim(ks) != 1:
        raise InputError(f"ks is {ks!r}: expected several numbers of clusters")
    ks = [check_k(k, len(points)) for k in ks]
    if not ks or ks != sorted(set(ks)):
        raise InputError(f"ks is {ks}: expected different numbers of clusters in ascending order")
    rows, labels = [], {}
    for k in ks:
        fitted = kmeans(points, k, seed=seed, n_init=n_init)
        labels[k] = fitted.labels_.astype(np.int64)
        rows.append(
            (
                float(np.ldexp(fitted.inertia_, 2 * power)),
                silhouette(x, labels[k], metric),
                calinski_harabasz(points, labels[k]),
                davies_bouldin(points, labels[k]),
            )
        )
    inertia, scored, ch, db = np.array(rows, np.float64).T
    return KScan(np.array(ks), inertia, scored, ch, db, labels)
