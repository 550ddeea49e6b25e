"""From a recipe to its net."""

import torch
from torch import nn

from splinelab import nets
from splinelab._arguments import check_seed
from splinelab.training.recipe import Recipe

__all__ = ["build"]


def build(recipe: Recipe, seed: int) -> nn.Sequential:
    """The net of a recipe before its first step, in training mode; `seed` alone decides its weights.

    >>> from splinelab.training import Recipe
    >>> build(Recipe(net="residual-cnn", sizes=(784, 10)), seed=0).output
    Linear(in_features=32, out_features=10, bias=True)
    """
    options = {"seed": check_seed(seed), "dtype": getattr(torch, recipe.dtype)}
    if recipe.net == "cnn":
        return nets.cnn(recipe.sizes, **options)
    if recipe.net == "residual-cnn":
        return nets.residual_cnn(recipe.sizes, **options)
    return nets.mlp(recipe.sizes, scale=recipe.scale, dropout=recipe.dropout, **options)
