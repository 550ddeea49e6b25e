"""The mechanisms that a toy model is known to have, and how well clusters match them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from splinelab._arguments import check_number
from splinelab.clustering import ari
from splinelab.distances.operands import as_array
from splinelab.errors import InputError
from splinelab.mechanisms.labels import aligned, whole_numbers
from splinelab.spd import Decomposition, TargetRecipe, one_hot


@dataclass(frozen=True, eq=False)
class Recovery:
    """Which known mechanisms are clusters, exactly.

    Attributes
    ----------
    exact : how many are.
    of : how many there are.
    surplus : alive components beyond the expected number of their mechanism and layer, or of no mechanism.
    table : one row per mechanism: `mechanism`, `exact`, `alive` (its alive components), `missing` (layers in
        which it should have one and has none), `clusters` (over how many it is spread), `foreign` (other
        components in those clusters).
    """

    exact: int
    of: int
    surplus: int
    table: pd.DataFrame

    def __repr__(self) -> str:
        return f"Recovery({self.exact} of {self.of} exact, {self.surplus} surplus components)"


def owners(responses: ArrayLike, *, ties: ArrayLike | None = None, threshold: float = 0.1) -> np.ndarray:
    """The feature that each component responds to most, N whole numbers; −1 if none exceeds `threshold`.

    Importances end at 1, so that features may tie: then the one with the larger value in `ties`, and without
    it, or where those are equal too, the first.

    Parameters
    ----------
    responses : features × N, the importance of each component where only that feature is on.
    ties : features × N.

    Examples
    --------
    >>> owners([[0.9, 0.0, 0.05], [0.2, 0.8, 0.0]])
    array([ 0,  1, -1])
    >>> owners([[1.0], [1.0]], ties=[[0.5], [0.6]])
    array([1])
    """
    threshold = check_number("threshold", threshold)
    found = np.asarray(as_array(responses, "responses"), np.float64)
    if found.ndim != 2 or len(found) == 0:
        raise InputError(f"responses have shape {found.shape}; expected features × components")
    if not np.isfinite(found).all():
        raise InputError("responses hold NaN or infinity; expected finite importances")
    second = np.zeros_like(found) if ties is None else np.asarray(ties, np.float64)
    if second.shape != found.shape:
        raise InputError(f"ties have shape {second.shape}; expected that of the responses, {found.shape}")
    largest = found.max(axis=0)
    best = np.where(found == largest, second, -np.inf).argmax(axis=0)
    return np.where(largest > threshold, best, -1)


def own_features(labels: ArrayLike, truth: ArrayLike) -> dict[int, tuple[int, ...]]:
    """For each cluster the feature that most of its components belong to, as `causal_check` wants it.

    Parameters
    ----------
    labels : N, −1 for dead.
    truth : N features (`owners`), −1 for none. Of equal features the first; a cluster of none is left
        out.

    Examples
    --------
    >>> own_features([0, 0, 1, -1], [3, 3, -1, 2])
    {0: (3,)}
    """
    labels, truth = aligned(labels, truth=truth)
    truth = whole_numbers(truth, "truth")
    found: dict[int, tuple[int, ...]] = {}
    for label in np.unique(labels[labels >= 0]).tolist():
        known = truth[(labels == label) & (truth >= 0)]
        if len(known):
            found[label] = (int(np.bincount(known).argmax()),)
    return found


def exact_groups(
    labels: ArrayLike, truth: ArrayLike, layers: ArrayLike, expected: Mapping[int, Mapping[str, int]]
) -> Recovery:
    """Count the mechanisms that one cluster holds exactly.

    A mechanism is recovered if every layer of `expected` has an alive component of it, all its alive
    components are in one cluster, and no other component is.

    Parameters
    ----------
    labels : N, −1 for dead components.
    truth : N, the mechanism that each belongs to, −1 for none.
    layers : N names.
    expected : mechanism → layer → number of components that it should have there; the number decides only
        what counts as surplus.

    Examples
    --------
    >>> pairs = {0: {"enc": 1, "dec": 1}, 1: {"enc": 1, "dec": 1}}
    >>> exact_groups([0, 1, 0, 1], [0, 1, 0, 1], ["enc", "enc", "dec", "dec"], pairs)
    Recovery(2 of 2 exact, 0 surplus components)
    >>> exact_groups([0, 1, 0, 0], [0, 1, 0, 1], ["enc", "enc", "dec", "dec"], pairs)
    Recovery(0 of 2 exact, 0 surplus components)
    """
    labels, truth, layers = aligned(labels, truth=truth, layers=layers)
    if not expected:
        raise InputError("expected names no mechanism")
    alive = labels >= 0
    rows, wanted = [], 0
    for mechanism, places in expected.items():
        mine = alive & (truth == mechanism)
        counts = {layer: int((mine & (layers == layer)).sum()) for layer in places}
        missing = [layer for layer, count in counts.items() if count == 0]
        clusters = np.unique(labels[mine])
        foreign = int((np.isin(labels, clusters) & alive & ~mine).sum())
        exact = not missing and len(clusters) == 1 and foreign == 0
        wanted += sum(min(counts[layer], number) for layer, number in places.items())
        rows.append((mechanism, exact, int(mine.sum()), len(missing), len(clusters), foreign))
    table = pd.DataFrame(rows, columns=["mechanism", "exact", "alive", "missing", "clusters", "foreign"])
    return Recovery(int(table["exact"].sum()), len(table), int(alive.sum()) - wanted, table)


def mechanism_ari(labels: ArrayLike, truth: ArrayLike) -> float:
    """Adjusted Rand index of clusters and mechanisms over the alive components (label at least 0).

    A component of no mechanism (truth −1) is one of its own there, so that grouping it with anything costs.
    nan without an alive component.
    """
    labels, truth = aligned(labels, truth=truth)
    alive = labels >= 0
    if not alive.any():
        return float("nan")
    known = whole_numbers(truth, "truth")[alive].copy()
    stray = known < 0
    known[stray] = known.max() + 1 + np.arange(stray.sum())
    return ari(labels[alive], known)


def layer_span(labels: ArrayLike, layers: ArrayLike) -> dict[int, int]:
    """How many clusters of two or more components span 1, 2, … layers, by number of layers.

    >>> layer_span([0, 0, 1, 1, 2], ["a", "b", "a", "a", "b"])
    {1: 1, 2: 1}
    """
    labels, layers = aligned(labels, layers=layers)
    spans = [len(np.unique(layers[members])) for members in _groups_of_two(labels)]
    return {int(span): spans.count(span) for span in sorted(set(spans))}


def _groups_of_two(labels: np.ndarray) -> list[np.ndarray]:
    alive = np.flatnonzero(labels >= 0)
    groups = [alive[labels[alive] == label] for label in np.unique(labels[alive])]
    return [members for members in groups if len(members) > 1]


class Known(NamedTuple):
    """The mechanisms that a toy model is known to have.

    Attributes
    ----------
    truth : the mechanism of each of N components (layer after layer), −1 for none: a feature, or `features`,
        the one that all features share.
    expected : mechanism → layer → number of components, as `exact_groups` wants it.
    responses : features × N, the largest importance of each component where that feature alone is on.
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
