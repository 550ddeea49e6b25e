"""Stochastic parameter decomposition: weights as sums of rank-one components, each used on few inputs."""

from splinelab.spd.components import Decomposition
from splinelab.spd.decompose import SPDFit, attach, decompose
from splinelab.spd.inputs import SparseFeatures, one_hot
from splinelab.spd.losses import loss_terms
from splinelab.spd.matrix import Matrix, lower_leaky, upper_leaky
from splinelab.spd.recipe import Matrices, SPDRecipe, Stage
from splinelab.spd.recipes import OURS, PAPER
from splinelab.spd.residual import Reduction, block_contributions, neuron_contributions, reduced
from splinelab.spd.scores import (
    ColumnScores,
    ImportanceErrors,
    column_scores,
    dense_errors,
    identity_errors,
    importance_table,
    quality,
    rounded_error,
)
from splinelab.spd.targets import TARGETS, Target, TargetRecipe, target_recipe, train_target

__all__ = [
    "OURS",
    "PAPER",
    "TARGETS",
    "ColumnScores",
    "Decomposition",
    "ImportanceErrors",
    "Matrices",
    "Matrix",
    "Reduction",
    "SPDFit",
    "SPDRecipe",
    "SparseFeatures",
    "Stage",
    "Target",
    "TargetRecipe",
    "attach",
    "block_contributions",
    "column_scores",
    "decompose",
    "dense_errors",
    "identity_errors",
    "importance_table",
    "loss_terms",
    "lower_leaky",
    "neuron_contributions",
    "one_hot",
    "quality",
    "reduced",
    "rounded_error",
    "target_recipe",
    "train_target",
    "upper_leaky",
]
