"""Linear probes: what can be read off activations or codes, and how much of it the probe learnt itself.

A probe is a multinomial logistic regression on standardised features. What it finds is held against two
controls: a task that only memory of words can solve (Hewitt and Liang, "Designing and interpreting probes
with control tasks", EMNLP 2019), and as many bits that owe nothing to the net's own units.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.nn import functional as F

from splinelab._arguments import check_device, check_number, check_seed, check_whole
from splinelab.codes import SplineCodes
from splinelab.errors import InputError, TrainingError

__all__ = [
    "Probe", "choose_decay", "control_tags", "fit_probe", "random_bits", "word_majority",
]  # fmt: skip

STEPS = 2000  # of L-BFGS, before a probe counts as one that does not converge
REMEMBERED = 20  # steps whose curvature L-BFGS keeps
HELD_OUT = 0.2  # share of the groups that choose_decay judges by


@dataclass(frozen=True, eq=False)
class Probe:
    """A fitted probe, as `fit_probe` makes it.

    Attributes
    ----------
    weights : float32, units × classes, for standardised features; zero for units that never varied.
    bias : float32, by class.
    mean, scale : float32, by unit, of the training samples; a unit that never varied has the scale 1.
    classes : the labels, sorted.
    """

    weights: np.ndarray
    bias: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    classes: np.ndarray

    def scores(self, features: ArrayLike | SplineCodes) -> np.ndarray:
        """Log-odds up to a constant of each sample: float32, samples × classes."""
        found = _features(features)
        if found.shape[1] != len(self.mean):
            raise InputError(
                f"features have {found.shape[1]} units; the probe was fitted on {len(self.mean)}"
            )
        weights = self.weights / self.scale[:, None]
        return found @ weights + (self.bias - self.mean @ weights)

    def probabilities(self, features: ArrayLike | SplineCodes) -> np.ndarray:
        """The probability of each class: float32, samples × classes."""
        return torch.from_numpy(self.scores(features)).softmax(1).numpy()

    def predict(self, features: ArrayLike | SplineCodes) -> np.ndarray:
        """The most probable class of each sample."""
        return self.classes[self.scores(features).argmax(axis=1)]

    def right(self, features: ArrayLike | SplineCodes, labels: ArrayLike) -> np.ndarray:
        """bool, for each sample whether the prediction is its label; its mean is the accuracy."""
        predicted = self.predict(features)
        return predicted == _labels(labels, len(predicted))


def fit_probe(
    features: ArrayLike | SplineCodes,
    labels: ArrayLike,
    *,
    decay: float,
    tolerance: float = 1e-4,
    device: str | torch.device = "cpu",
) -> Probe:
    """Fit a multinomial logistic regression to standardised features; bits are standardised as well.

    Minimises the mean cross-entropy + decay / 2 · Σ weights² (biases are free) by full-batch L-BFGS in
    float32, from zero: nothing is random. It is scikit-learn's `LogisticRegression` of
    C = 1 / (samples · decay) on the same standardised features.

    Parameters
    ----------
    features : samples × units, numbers or bits.
    labels : by sample, of at least two classes.
    decay : above zero; the fit is then unique.
    tolerance : it has converged once no component of the gradient is larger.

    Raises
    ------
    InputError : features and labels that do not fit together, that are not finite, or of one class.
    TrainingError : it has not converged after 2,000 steps: a larger decay or tolerance helps.
    """
    decay, tolerance = check_number("decay", decay, 0), check_number("tolerance", tolerance, 0)
    if not decay or not tolerance:
        raise InputError(f"decay is {decay:g} and tolerance {tolerance:g}; expected both above zero")
    found = _features(features)
    classes, numbers = np.unique(_labels(labels, len(found)), return_inverse=True)
    if len(classes) < 2:
        raise InputError(f"all {len(found)} labels are {classes.tolist()}; a probe needs two classes or more")
    mean, scale = found.mean(axis=0, dtype=np.float64), found.std(axis=0, dtype=np.float64)
    scale[scale < 1e-6 * np.abs(mean) + 1e-12] = np.inf
    device = check_device(device)
    standard = torch.from_numpy((found - mean.astype(np.float32)) / scale.astype(np.float32)).to(device)
    weights, bias = _minimise(standard, torch.from_numpy(numbers).to(device), len(classes), decay, tolerance)
    scale = np.where(np.isfinite(scale), scale, 1.0)
    return Probe(weights, bias, mean.astype(np.float32), scale.astype(np.float32), classes)


def choose_decay(
    features: ArrayLike | SplineCodes,
    labels: ArrayLike,
    groups: ArrayLike,
    decays: Sequence[float],
    *,
    seed: int = 0,
    tolerance: float = 1e-4,
) -> tuple[float, dict[float, float]]:
    """The decay with the best accuracy on a held-out fifth of the groups, and the accuracy of each.

    groups : by sample, what must not be torn apart, such as its sentence; those held out are drawn by `seed`.
    The larger decay wins a tie. Raises InputError for fewer than five groups, and what `fit_probe` does.
    """
    found = _features(features)
    names, member = np.unique(_labels(groups, len(found)), return_inverse=True)
    if len(names) < 5 or not len(decays):
        raise InputError(
            f"there are {len(names)} groups and {len(decays)} decays; expected 5 groups, a decay"
        )
    numbers, rng = _labels(labels, len(found)), np.random.default_rng(check_seed(seed))
    out = np.isin(member, rng.choice(len(names), round(HELD_OUT * len(names)), replace=False))
    judged = {}
    for decay in sorted(decays, reverse=True):
        probe = fit_probe(found[~out], numbers[~out], decay=decay, tolerance=tolerance)
        judged[float(decay)] = float(probe.right(found[out], numbers[out]).mean())
    return max(judged, key=judged.__getitem__), judged


def control_tags(words: ArrayLike, tags: ArrayLike, *, seed: int) -> np.ndarray:
    """Hewitt and Liang's control task: every word type gets one tag at random, which all its words have.

    Tags are drawn by `seed` with the frequencies that they have among the words. `words` holds the type of
    each word. A probe can only get them right by having memorised types, so *selectivity* is the accuracy on
    the tags minus that on these, both on words whose type was seen in training.
    """
    types, number = np.unique(np.asarray(words), return_inverse=True)
    given = _labels(tags, len(number))
    return np.random.default_rng(check_seed(seed)).choice(given, size=len(types))[number]


def word_majority(words: ArrayLike, labels: ArrayLike, tested: ArrayLike) -> np.ndarray:
    """Prediction from the word's type alone: its commonest label in training, else the commonest of all.

    `words` and `labels` are those of training, `tested` the types asked for. The smallest label wins a tie.
    """
    types = np.asarray(words)
    classes, number = np.unique(_labels(labels, len(types)), return_inverse=True)
    known, member = np.unique(types, return_inverse=True)
    counts = np.zeros((len(known), len(classes)), np.int64)
    np.add.at(counts, (member, number), 1)
    best = dict(zip(known.tolist(), classes[counts.argmax(axis=1)], strict=True))
    common = classes[counts.sum(axis=0).argmax()]
    return np.array([best.get(word, common) for word in np.asarray(tested).tolist()])


def random_bits(
    train: ArrayLike, test: ArrayLike, bits: int, *, seed: int
) -> tuple[SplineCodes, SplineCodes]:
    """The signs of random projections, drawn by `seed` (normal), of activations centred by the training mean.

    train, test : samples × units. bits : how many; one projection for both. What any binarisation of the
    activations keeps, and so the control for a net's own code of as many units.
    """
    first, second = _features(train), _features(test)
    bits = check_whole("bits", bits)
    if first.shape[1] != second.shape[1]:
        raise InputError(f"train has {first.shape[1]} units, test {second.shape[1]}: expected as many")
    ways = np.random.default_rng(check_seed(seed)).standard_normal((first.shape[1], bits), np.float32)
    mean = first.mean(axis=0, dtype=np.float64).astype(np.float32)
    return tuple(SplineCodes.from_bits({"random": (each - mean) @ ways > 0}) for each in (first, second))  # type: ignore[return-value]


def _minimise(
    features: torch.Tensor, numbers: torch.Tensor, classes: int, decay: float, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weights, units × classes, and biases."""
    samples, units = features.shape
    one_hot = F.one_hot(numbers, classes).to(features.dtype)
    both = torch.zeros((units + 1, classes), device=features.device)  # the last row: biases

    def loss() -> torch.Tensor:
        weights = both[:units]
        chances = torch.addmm(both[units], features, weights).log_softmax(1)
        surplus = (chances.exp() - one_hot) / samples
        both.grad = torch.cat([features.T @ surplus + decay * weights, surplus.sum(0, keepdim=True)])
        return -(chances * one_hot).sum() / samples + decay / 2 * weights.square().sum()

    optimiser = torch.optim.LBFGS(
        [both], max_iter=STEPS, tolerance_grad=tolerance, tolerance_change=0, history_size=REMEMBERED,
        line_search_fn="strong_wolfe",
    )  # fmt: skip
    with torch.no_grad():
        optimiser.step(loss)
        loss()
    assert both.grad is not None  # `loss` has set it
    if not (largest := float(both.grad.abs().max())) <= tolerance:
        raise TrainingError(
            f"the probe of {samples} samples × {units} units has not converged after {STEPS} steps: the "
            f"largest component of its gradient is {largest:.2g}, expected {tolerance:g}; raise decay or "
            "tolerance"
        )
    return both[:units].cpu().numpy().copy(), both[units].cpu().numpy().copy()


def _features(given: ArrayLike | SplineCodes) -> np.ndarray:
    found = np.asarray(given, dtype=np.float32)
    if found.ndim != 2 or not found.size or not np.isfinite(found).all():
        raise InputError(f"features have the shape {found.shape}; expected finite numbers, samples × units")
    return found


def _labels(given: ArrayLike, samples: int) -> np.ndarray:
    found = np.asarray(given)
    if found.ndim != 1 or len(found) != samples:
        raise InputError(f"there are {samples} samples and labels of shape {found.shape}: expected one each")
    return found
