"""Parts of speech: what probes read off activations, codes and random bits of one layer.

All functions take the parts of a layer as `words.features` gives them, and the words; they return a `Tally`.
Declared before any result: decays .1, .03 and .01 (weaker and stronger ones lost accuracy in training
sentences that were held out), chosen for each representation on a fifth of its training sentences; the
control task takes the decay of its tags. Added once the first five layers of draw 0 were seen: the same with
one decay, .03, for all, since what is memorised depends on the decay, and so do differences in selectivity.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from measures.outcomes import Tally, by_sentence
from measures.words import Words
from splinelab.probes import choose_decay, control_tags, fit_probe, random_bits, word_majority

DECAYS = (0.1, 0.03, 0.01)
DECAY = 0.03  # where too few words are there to choose one by
TOLERANCE = 3e-4
REPRESENTATIONS = (
    "residual", "gate pre-activation", "gate code", "up code", "joint code", "SwiGLU output", "random bits",
    "random bits of the gate's input", "untrained gate code",
)  # fmt: skip
FEW = ("residual", "gate code", "SwiGLU output", "random bits")
BITS = (16, 32, 64, 128, 256, 512, 1024, 1536)
SAMPLES = (10, 30, 100, 300, 1000, 3000, 5000)
Layer = Mapping[str, np.ndarray]


def represented(name: str, layer: Layer, train: np.ndarray, *, seed: int) -> np.ndarray:
    """A representation by name, words × units; booleans for bits, of which random ones are drawn by `seed`.

    layer : parts as `words.features` has them; "untrained" holds the gate's pre-activations of an untrained
    copy. train : bool by word; random projections are centred by the mean of these.
    """
    if name == "gate code":
        return layer["pre"] > 0
    if name == "up code":
        return layer["up"] > 0
    if name == "joint code":
        return np.concatenate([layer["pre"] > 0, layer["up"] > 0], axis=1)
    if name == "untrained gate code":
        return layer["untrained"] > 0
    if name == "random bits":
        return _random(layer["residual"], layer["pre"].shape[1], train, seed)
    if name == "random bits of the gate's input":
        return _random(layer["normed"], layer["pre"].shape[1], train, seed)
    return layer[{"residual": "residual", "gate pre-activation": "pre", "SwiGLU output": "swiglu"}[name]]


def _random(values: np.ndarray, bits: int, train: np.ndarray, seed: int) -> np.ndarray:
    found = np.empty((len(values), bits), bool)
    found[train], found[~train] = (
        each.bits() for each in random_bits(values[train], values[~train], bits, seed=seed)
    )
    return found


def stacked(name: str, layers: Mapping[int, Layer], train: np.ndarray, *, seed: int) -> np.ndarray:
    """The same representation of several layers, side by side; random bits differ from layer to layer."""
    parts = [represented(name, layers[n], train, seed=1000 * seed + n) for n in sorted(layers)]
    return np.concatenate(parts, axis=1)


def parts_of_speech(
    features: Mapping[str, np.ndarray],
    words: Words,
    *,
    seed: int,
    control: bool = True,
    decays: Sequence[float] = DECAYS,
) -> Tally:
    """Accuracy of a probe on each representation: of all test words, unseen ones, seen ones, the control task.

    `features` are representations by name, words × units. The control task (drawn by `seed`) and "seen" count
    test words whose type was seen in training. "word alone" predicts a type's commonest tag in training.
    """
    train, test = words.train, ~words.train
    chosen = {"all": test[test], "unseen": words.unseen[test], "seen": ~words.unseen[test]}
    random_tags = control_tags(words.words, words.tags, seed=seed)
    sentence, found = words.sentence[test], {}
    for name, values in features.items():
        decay = _decay(values, words, seed, decays)
        right = _right(values, words.tags, train, decay)
        found[name] = {part: by_sentence(right, sentence, some) for part, some in chosen.items()}
        if control:
            right = _right(values, random_tags, train, decay)
            found[name]["control"] = by_sentence(right, sentence, chosen["seen"])
    alone = word_majority(words.words[train], words.tags[train], words.words[test]) == words.tags[test]
    found["word alone"] = {part: by_sentence(alone, sentence, some) for part, some in chosen.items()}
    return found


def bits_needed(layer: Layer, words: Words, *, seed: int, counts: Sequence[int] = BITS) -> Tally:
    """Accuracy against the number of bits: "gate code, 64 bits" and so on.

    Three rules: units of the gate code in random order (by `seed`); the same for random bits of the residual
    stream; units of the gate code by mutual information with the tag on training words, largest first.
    """
    train, test = words.train, ~words.train
    gate = represented("gate code", layer, train, seed=seed)
    drawn = represented("random bits", layer, train, seed=seed)
    order = np.random.default_rng((seed, 3)).permutation(gate.shape[1])
    telling = np.argsort(-information(gate[train], words.tags[train]), kind="stable")
    ways = {
        "gate code": gate[:, order],
        "random bits": drawn,
        "gate code, most telling first": gate[:, telling],
    }
    found: Tally = {}
    for count in (each for each in counts if each <= gate.shape[1]):
        for name, values in ways.items():
            right = chosen_right(values[:, :count], words, seed)
            found[f"{name}, {count} bits"] = {"all": by_sentence(right, words.sentence[test])}
    return found


def sample_efficiency(
    layer: Layer, words: Words, *, seed: int, names: Sequence[str] = FEW, counts: Sequence[int] = SAMPLES
) -> Tally:
    """Accuracy against the number of training words, the first of the draw: "residual, 100 words" and so on."""
    rows, test = np.flatnonzero(words.train), ~words.train
    found: Tally = {}
    for name in names:
        for count in (each for each in counts if each <= len(rows)):
            some = np.zeros(len(words), bool)
            some[rows[:count]] = True
            values = represented(name, layer, some, seed=seed)
            right = fit_probe(values[some], words.tags[some], decay=DECAY, tolerance=TOLERANCE).right(
                values[test], words.tags[test]
            )
            found[f"{name}, {count} words"] = {"all": by_sentence(right, words.sentence[test])}
    return found


def information(bits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mutual information of each bit with the label, in bits: samples × units → units."""
    one_hot = (labels[:, None] == np.unique(labels)).astype(np.float32)
    together = bits.astype(np.float32).T @ one_hot / len(bits)  # units × classes: P(bit = 1, class)
    classes = one_hot.mean(axis=0)
    joint = np.stack([together, np.maximum(classes - together, 0)])
    alone = joint.sum(axis=2, keepdims=True) * classes
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(joint * np.log2(joint / alone)).sum(axis=(0, 2))


def chosen_right(values: np.ndarray, words: Words, seed: int) -> np.ndarray:
    """Which test words a probe gets right, its decay chosen on training sentences."""
    return _right(values, words.tags, words.train, _decay(values, words, seed, DECAYS))


def _decay(values: np.ndarray, words: Words, seed: int, decays: Sequence[float]) -> float:
    if len(decays) == 1:
        return decays[0]
    some = words.train
    return choose_decay(
        values[some], words.tags[some], words.sentence[some], decays, seed=seed, tolerance=TOLERANCE
    )[0]


def _right(values: np.ndarray, labels: np.ndarray, train: np.ndarray, decay: float) -> np.ndarray:
    probe = fit_probe(values[train], labels[train], decay=decay, tolerance=TOLERANCE)
    return probe.right(values[~train], labels[~train])
