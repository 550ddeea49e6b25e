"""One fit loop for all nets: a frozen recipe in, a trained net and its history out."""

from splinelab.training.checkpoint import load_checkpoint, save_checkpoint
from splinelab.training.images import TrainingData, evaluate, training_data
from splinelab.training.loop import Fit, evaluation_steps, fit
from splinelab.training.recipe import Recipe, build
from splinelab.training.text import TextData, TextFit, TextRecipe, cross_entropy, fit_text

__all__ = [
    "Fit",
    "Recipe",
    "TextData",
    "TextFit",
    "TextRecipe",
    "TrainingData",
    "build",
    "cross_entropy",
    "evaluate",
    "evaluation_steps",
    "fit",
    "fit_text",
    "load_checkpoint",
    "save_checkpoint",
    "training_data",
]
