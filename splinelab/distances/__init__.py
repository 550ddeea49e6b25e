"""Hamming, Jaccard, L2 and cosine distances: matrices, blocks, neighbours, histograms and separability."""

from splinelab.distances.bootstrap import Bootstrap, PermutationNull, bootstrap, permutation_null
from splinelab.distances.histograms import ClassHistograms, class_histograms
from splinelab.distances.matrices import blocks, neighbours, pairwise
from splinelab.distances.operands import METRICS
from splinelab.distances.separability import Separability, separability

__all__ = [
    "METRICS",
    "Bootstrap",
    "ClassHistograms",
    "PermutationNull",
    "Separability",
    "blocks",
    "bootstrap",
    "class_histograms",
    "neighbours",
    "pairwise",
    "permutation_null",
    "separability",
]
