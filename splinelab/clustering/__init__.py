"""Cluster vectors, codes or distances by a method's name, and judge the result."""

from splinelab.clustering.algorithms import METHODS, cluster, knee_eps
from splinelab.clustering.bootstraps import Agreement, Scores, bootstrap_ari, bootstrap_scores
from splinelab.clustering.choosing_k import KScan, scan_k
from splinelab.clustering.indices import ari, calinski_harabasz, davies_bouldin, nmi, silhouette

__all__ = [
    "METHODS",
    "Agreement",
    "KScan",
    "Scores",
    "ari",
    "bootstrap_ari",
    "bootstrap_scores",
    "calinski_harabasz",
    "cluster",
    "davies_bouldin",
    "knee_eps",
    "nmi",
    "scan_k",
    "silhouette",
]
