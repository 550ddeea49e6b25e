"""How far apart words lie: chapter 1's whole comparison, on words of a language model.

Pairs of words are compared: those of one tag with those of different tags, those of one word type (a word
type is a spelling, whatever its capitals) with those of different types, and, since a common word is a tag of
its own, pairs of different types only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.covariance import ledoit_wolf

from splinelab.distances import pairwise
from splinelab.errors import InputError

#: Metric in words → what is done to the vectors, and the distance that is taken then.
ON_VECTORS = {
    "L2": ("as they are", "l2"),
    "cosine": ("as they are", "cosine"),
    "centred cosine": ("centred", "cosine"),
    "whitened cosine": ("whitened", "cosine"),
}
BINS = 2**16
ON_BITS = {"Jaccard": "jaccard", "Hamming": "hamming"}


def whitening(train: np.ndarray) -> np.ndarray:
    """A matrix M for which (x − mean) M has unit covariance on `train`, shrunk as Ledoit and Wolf (2004) say.

    Any other such matrix is a rotation of it and gives the same cosines.
    """
    covariance, _ = ledoit_wolf(train.astype(np.float64))
    return np.linalg.cholesky(np.linalg.inv(covariance))


def vector_distances(train: np.ndarray, x: np.ndarray) -> dict[str, np.ndarray]:
    """The four distances on vectors: name → n × n. Mean and covariance are those of other words, `train`."""
    centre = train.mean(axis=0, dtype=np.float64)
    x = x.astype(np.float64)
    seen = {"as they are": x, "centred": x - centre, "whitened": (x - centre) @ whitening(train)}
    return {name: pairwise(seen[how], metric=metric) for name, (how, metric) in ON_VECTORS.items()}


def bit_distances(bits: np.ndarray) -> dict[str, np.ndarray]:
    """The two distances on bits: name → n × n."""
    return {name: pairwise(bits, metric=metric) for name, metric in ON_BITS.items()}


@dataclass(frozen=True, eq=False)
class Pairs:
    """All pairs of n words, and how they are compared.

    Attributes
    ----------
    rows, columns : the two words of each pair, rows < columns.
    place : the pair's two sentences, as one number: sentence of the first × sentences + that of the other.
    sentences : their number.
    kinds : by name of a comparison two boolean arrays, same and different; a pair may be neither.
    counts : by name the pairs of each kind by their sentences, sentences × sentences.
    """

    rows: np.ndarray
    columns: np.ndarray
    place: np.ndarray
    sentences: int
    kinds: dict[str, tuple[np.ndarray, np.ndarray]]
    counts: dict[str, tuple[np.ndarray, ...]]


def pairs(words: np.ndarray, tags: np.ndarray, sentences: np.ndarray) -> Pairs:
    """The pairs of words by tag, by word type, and by tag among pairs of different types.

    Raises InputError where the three differ in length, and where a comparison has no pair on one side.
    """
    if not len(words) == len(tags) == len(sentences):
        raise InputError(
            f"there are {len(words)} words, {len(tags)} tags and {len(sentences)} sentence numbers: "
            "expected one tag and one sentence for each word"
        )
    rows, columns = np.triu_indices(len(words), 1)
    of_type, of_tag, of_sentence = (
        np.unique(labels, return_inverse=True)[1] for labels in (np.char.lower(words), tags, sentences)
    )
    count = int(of_sentence.max()) + 1
    one_type, one_tag = (of[rows] == of[columns] for of in (of_type, of_tag))
    kinds = {
        "tag": (one_tag, ~one_tag),
        "word": (one_type, ~one_type),
        "tag, other words": (one_tag & ~one_type, ~one_tag & ~one_type),
    }
    for name, sides in kinds.items():
        if not all(side.any() for side in sides):
            raise InputError(f"no pair is compared by {name}: expected several tags, and repeated words")
    place = of_sentence[rows] * count + of_sentence[columns]
    counts = {name: tuple(_by_place(place[side], None, count) for side in kinds[name]) for name in kinds}
    return Pairs(rows, columns, place, count, kinds, counts)


def _by_place(place: np.ndarray, values: np.ndarray | None, sentences: int) -> np.ndarray:
    return np.bincount(place, values, sentences**2).reshape(sentences, sentences).astype(float)


def separation(distances: np.ndarray, among: Pairs, weights: np.ndarray) -> dict[str, dict]:
    """ROC-AUC of a matrix of distances for each comparison, and its value in each draw of sentences.

    A pair of different words counts as often as its sentences were drawn together, the product of `weights`
    (draws × sentences). The AUC of a draw is linearised: with V the share of different pairs that lie further
    apart than a same pair, and U the share of same pairs that lie nearer than a different pair (ties by
    half), it is AUC + weighted mean of (V − AUC) + weighted mean of (U − AUC); what is left out is of second
    order in the weights (Hájek's projection). Distances are put into at most 2¹⁶ equal bins, and pairs in one
    bin are tied: that spares the sorting of millions, and Hamming distances stay what they are.

    Returns
    -------
    By comparison: value, drawn (a list, one for each row of `weights`), pairs (same and different).
    """
    rank = _binned(distances[among.rows, among.columns])
    levels = int(rank.max()) + 1
    found = {}
    for name, (same, different) in among.kinds.items():
        near, far = (_below(rank[side], levels) for side in (same, different))
        placed = ((1 - far)[rank[same]], near[rank[different]])
        totals = [
            _by_place(among.place[side], some, among.sentences)
            for side, some in zip((same, different), placed, strict=True)
        ]
        means = [
            _drawn(total, weights) / _drawn(count, weights)
            for total, count in zip(totals, among.counts[name], strict=True)
        ]
        auc = float(placed[0].mean())
        found[name] = {
            "value": auc,
            "drawn": (means[0] + means[1] - auc).tolist(),
            "pairs": [int(same.sum()), int(different.sum())],
        }
    return found


def _binned(distances: np.ndarray) -> np.ndarray:
    low, high = float(distances.min()), float(distances.max())
    return ((distances - low) * ((BINS - 1) / max(high - low, 1e-30)) + 0.5).astype(np.int64)


def _below(rank: np.ndarray, levels: int) -> np.ndarray:
    """For each level the share of `rank` below it, those on it by half."""
    counts = np.bincount(rank, minlength=levels)
    return (np.cumsum(counts) - counts / 2) / len(rank)


def _drawn(table: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return ((weights @ table) * weights).sum(axis=1)


def draws_of(sentences: int, resamples: int, seed: int) -> np.ndarray:
    """How often each sentence comes up when as many are drawn with replacement: resamples × sentences."""
    rng = np.random.default_rng([seed, sentences])
    return np.stack(
        [np.bincount(rng.integers(sentences, size=sentences), minlength=sentences) for _ in range(resamples)]
    ).astype(float)


def matrices(
    vectors: Mapping[str, tuple[np.ndarray, np.ndarray]], bits: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    """Every distance of every view of the words, one at a time: "view, metric" and its n × n matrix, bits first.

    Parameters
    ----------
    vectors : view → its values at training words (for mean and covariance only) and at the words compared.
    bits : view → bool, words × units.
    """
    for view, some in bits.items():
        for metric, matrix in bit_distances(some).items():
            yield f"{view}, {metric}", matrix
    for view, (train, x) in vectors.items():
        for metric, matrix in vector_distances(train, x).items():
            yield f"{view}, {metric}", matrix
