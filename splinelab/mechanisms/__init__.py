"""Mechanisms across layers: importance profiles, their correlation, a neighbour graph, clusters, and the
causal check.

Components that matter on the same samples are taken to serve one mechanism (Seshadri et al., *Cross-layer
clustering for stochastic parameter decomposition*). Everything here works on plain arrays.
"""

from splinelab.mechanisms.causal import CausalCheck, causal_check
from splinelab.mechanisms.correlation import affinity, correlation
from splinelab.mechanisms.estimator import (
    AverageLinkage,
    HdbscanMechanisms,
    PaperSpectral,
    SpectralMechanisms,
    ThresholdComponents,
)
from splinelab.mechanisms.graph import Graph, neighbour_graph
from splinelab.mechanisms.matching import matched_sets
from splinelab.mechanisms.profiles import Profiles, damage_of, profiles_of
from splinelab.mechanisms.scores import (
    Known,
    Recovery,
    exact_groups,
    known_mechanisms,
    layer_span,
    mechanism_ari,
    own_features,
    owners,
)
from splinelab.mechanisms.spectral import Gap, assign_rest, eigengap, laplacian_spectrum, spectral_by_part
from splinelab.mechanisms.threshold import ThresholdChoice, choose_threshold, permutation_null

__all__ = [
    "AverageLinkage",
    "CausalCheck",
    "Gap",
    "Graph",
    "HdbscanMechanisms",
    "Known",
    "PaperSpectral",
    "Profiles",
    "Recovery",
    "SpectralMechanisms",
    "ThresholdChoice",
    "ThresholdComponents",
    "affinity",
    "assign_rest",
    "causal_check",
    "choose_threshold",
    "correlation",
    "damage_of",
    "eigengap",
    "exact_groups",
    "known_mechanisms",
    "laplacian_spectrum",
    "layer_span",
    "matched_sets",
    "mechanism_ari",
    "neighbour_graph",
    "own_features",
    "owners",
    "permutation_null",
    "profiles_of",
    "spectral_by_part",
]
