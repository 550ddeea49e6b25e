"""Where to binarise a gate: thresholds other than 0, and whether pre-activations have two modes at all."""

import numpy as np

from measures.outcomes import Tally, by_sentence
from measures.tags import Layer, chosen_right, information
from measures.words import Words

#: GELU's minimum is at −.75, SiLU's (the gate's own function) at −1.278: below it a unit's output rises again.
FIXED = {"zero": 0.0, "GELU's −.75": -0.75, "SiLU's −1.278": -1.278}
QUANTILES = np.arange(1, 16) / 16  # among which the most telling threshold is sought
UNIFORM = {"bimodality coefficient": 5 / 9, "Otsu's share": 0.75}  # of a uniform distribution


def thresholds(layer: Layer, words: Words, *, seed: int) -> Tally:
    """Accuracy of a probe on the gate's bits at several thresholds, learnt from training words where learnt.

    "median": each unit's. "two classes": Otsu's (1979), which parts a unit's values into the two classes with
    the largest variance between them, without labels. "most telling": of 15 quantiles of a unit the one whose
    bit has most mutual information with the tag.
    """
    train, test, pre = words.train, ~words.train, layer["pre"]
    places = {name: np.full(pre.shape[1], value, np.float32) for name, value in FIXED.items()}
    places["median"] = np.median(pre[train], axis=0)
    places["two classes"] = otsu(pre[train])[0]
    places["most telling"] = most_telling(pre[train], words.tags[train])
    return {
        name: {"all": by_sentence(chosen_right(pre > place, words, seed), words.sentence[test])}
        for name, place in places.items()
    }


def modes(layer: Layer, words: Words, *, seed: int) -> dict[str, dict[str, float]]:
    """Two indices of bimodality of training words, medians over units: of pre-activations, and of controls.

    Sarle's bimodality coefficient (skewness² + 1) / kurtosis: 1/3 for a normal, 5/9 for a uniform
    distribution, 1 for two points; skewness raises it too. Otsu's share: the variance between the two best
    classes over all variance, .64 for a normal, .75 for a uniform distribution, 1 for two points. Beside them
    the share of units above a uniform distribution, and the median distance of Otsu's threshold from 0.
    Controls: as many random projections (drawn by `seed`) of the gate's input and of the residual stream,
    which are centred, so that only the gate's threshold has a place.
    """
    train, units = words.train, layer["pre"].shape[1]
    rng = np.random.default_rng((seed, 4))
    values = {"gate": layer["pre"][train], "up": layer["up"][train]}
    for name, part in (("random projections of the gate's input", "normed"), ("of the residual", "residual")):
        given = layer[part][train] - layer[part][train].mean(axis=0)
        values[name] = given @ rng.standard_normal((given.shape[1], units), np.float32)
    found = {}
    for name, some in values.items():
        place, share = otsu(some)
        sarle = coefficient(some)
        found[name] = {
            "bimodality coefficient": float(np.median(sarle)),
            "Otsu's share": float(np.median(share)),
            "units with a coefficient above uniform": float(
                (sarle > UNIFORM["bimodality coefficient"]).mean()
            ),
            "units with Otsu's share above uniform": float((share > UNIFORM["Otsu's share"]).mean()),
            "threshold": float(np.median(place)),
            "threshold from 0 in standard deviations": float(np.median(np.abs(place) / some.std(axis=0))),
        }
    return found


def otsu(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each unit: the threshold with the largest variance between the two sides, and its share of all.

    values : samples × units. The threshold lies halfway between two neighbouring values.
    """
    ordered = np.sort(np.asarray(values, np.float64), axis=0)
    samples = len(ordered)
    below = np.cumsum(ordered, axis=0)[:-1]
    count = np.arange(1, samples)[:, None]
    total = ordered.sum(axis=0)
    apart = below / count - (total - below) / (samples - count)
    between = count * (samples - count) / samples**2 * apart**2
    best = between.argmax(axis=0)
    units = np.arange(ordered.shape[1])
    place = (ordered[best, units] + ordered[best + 1, units]) / 2
    spread = ordered.var(axis=0)
    share = np.divide(between[best, units], spread, out=np.zeros_like(spread), where=spread > 0)
    return place.astype(np.float32), share


def coefficient(values: np.ndarray) -> np.ndarray:
    """Sarle's bimodality coefficient of each unit: samples × units → units; 0 where nothing varies."""
    apart = np.asarray(values, np.float64) - np.mean(values, axis=0, dtype=np.float64)
    second, third, fourth = ((apart**power).mean(axis=0) for power in (2, 3, 4))
    over = third**2 / np.maximum(second, 1e-90) ** 3 + 1
    return np.divide(over * second**2, fourth, out=np.zeros_like(fourth), where=fourth > 0)


def most_telling(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of each unit the quantile (of `QUANTILES`) whose bit tells most about the label; the lowest wins a tie."""
    places = np.quantile(values, QUANTILES, axis=0).astype(np.float32)
    told = np.array([information(values > place, labels) for place in places])
    return places[told.argmax(axis=0), np.arange(values.shape[1])]
