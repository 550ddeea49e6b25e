"""The mechanisms that a toy model is known to have, and which of its components serve which."""

from typing import NamedTuple

import numpy as np

from splinelab.mechanisms.scores import owners
from splinelab.spd import Decomposition, TargetRecipe, one_hot

__all__ = ["Known", "known_mechanisms"]


class Known(NamedTuple):
    """truth: the mechanism of each of N components (layer after layer), −1 for none: a feature, or
        `features`, the one that all features share.
    expected: mechanism → layer → number of components, as `exact_groups` wants it.
    responses: features × N, the largest importance of each component where that feature alone is on.
    """

    truth: np.ndarray
    expected: dict[int, dict[str, int]]
    responses: np.ndarray


def known_mechanisms(decomposition: Decomposition, recipe: TargetRecipe) -> Known:
    """One mechanism per feature, with a component in every matrix that serves features apart, and one more
    of all components of the matrices that serve all of them: the identity, or the output matrices.

    A component belongs to the feature whose one-hot input (.75, and −.75 where inputs have both signs) makes
    it most important, if above .1; where several make it 1, to the one with the larger mean over the signs.
    """
    signs = (1, -1) if recipe.low < 0 else (1,)
    found = [decomposition.importances(sign * one_hot(recipe.features)) for sign in signs]
    blocks, truth = [], []
    expected: dict[int, dict[str, int]] = {feature: {} for feature in range(recipe.features)}
    for name in decomposition.layers:
        responses = np.stack([one[name].cpu().numpy() for one in found])
        block = responses.max(axis=0)
        blocks.append(block)
        if decomposition.net.role(decomposition.linear(name)) == "all":
            truth.append(np.full(block.shape[1], recipe.features))
            rank = min(decomposition.linear(name).weight.shape)
            expected.setdefault(recipe.features, {})[name] = rank
        else:
            truth.append(owners(block, ties=responses.mean(axis=0)))
            for feature in range(recipe.features):
                expected[feature][name] = 1
    return Known(np.concatenate(truth), expected, np.concatenate(blocks, axis=1))
