"""Where gate units switch on the straight way from one word's residual stream to another's.

A gate unit sees wᵢ · (g ∘ h / rms(h)): its sign is that of wᵢ · (g ∘ h), which is linear in h. So on a straight
segment a unit switches once if its signs at the two ends differ, and else not: the number of switches *is* the
Hamming distance of the two gate codes. Where a unit switches follows from its two end values.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from splinelab.data import align
from splinelab.errors import InputError
from splinelab.nets import Llama

#: Story words whose part of speech is plain; verbs in the past tense, in which stories are told.
TAGS = {
    "DET": "the a an every each some no this",
    "PRON": "he she it they him them we i you me us himself herself everyone",
    "ADP": "in on with to at from of under into over behind near for by about",
    "CCONJ": "and but or so",
    "AUX": "was were is are had could would can did",
    "NOUN": "girl boy dog cat mom dad day park ball house tree toy bird friend friends box car fish flower "
    "flowers garden bear book door sun water food room bed rabbit lake sky baby",
    "VERB": "said saw went wanted played asked ran found loved looked smiled took jumped put made came got "
    "gave thought heard felt started decided tried lived walked picked told",
    "ADJ": "big little small happy sad red old new blue pretty scared good nice green beautiful special",
}
TAG_OF = {word: tag for tag, words in TAGS.items() for word in words.split()}


@dataclass(frozen=True, eq=False)
class StoryWords:
    """Words of stories with a plain part of speech: their last token's place, spelling, tag and story."""

    sequence: np.ndarray
    position: np.ndarray
    words: np.ndarray
    tags: np.ndarray

    def __len__(self) -> int:
        return len(self.words)


def story_words(tokens: np.ndarray, text_of: Iterable[str]) -> StoryWords:
    """The words of `TAG_OF` in sequences of tokens; `text_of` holds the text of every token of the vocabulary.

    The first word of a sequence may be a part of one, so it is left out.
    """
    texts, found = list(text_of), []
    for sequence, ids in enumerate(tokens):
        pieces = [texts[i] for i in ids]
        ends = np.cumsum([len(piece) for piece in pieces])
        spans = list(zip(np.r_[0, ends[:-1]].tolist(), ends.tolist(), strict=True))
        words = [match for match in re.finditer(r"[A-Za-z']+", "".join(pieces)) if match.start()]
        last = align([match.span() for match in words], spans).last
        for match, position in zip(words, last.tolist(), strict=True):
            word = match.group().lower()
            if word in TAG_OF:
                found.append((sequence, position, word, TAG_OF[word]))
    if not found:
        raise InputError("none of the words of TAG_OF is in these tokens; expected stories")
    columns = [np.array(column) for column in zip(*found, strict=True)]
    return StoryWords(*columns)


@torch.no_grad()
def before_mlp(net: Llama, tokens: np.ndarray, layer: int, words: StoryWords) -> np.ndarray:
    """The residual stream before a layer's MLP and its norm, at each word: float64, words × width."""
    kept: list[torch.Tensor] = []
    norm = net.model.layers[layer].post_attention_layernorm
    hook = norm.register_forward_pre_hook(lambda _, given: kept.append(given[0]))
    try:
        for some in torch.as_tensor(tokens).long().split(16):
            net(some)
    finally:
        hook.remove()
    return torch.cat(kept)[words.sequence, words.position].double().numpy()


def gate_rows(net: Llama, layer: int) -> np.ndarray:
    """The gate's weights times the norm's: the hyperplanes through 0 at which units switch, units × width."""
    block = net.model.layers[layer]
    rows = block.mlp.gate_proj.weight * block.post_attention_layernorm.weight
    return rows.detach().double().numpy()


def switches(rows: np.ndarray, start: np.ndarray, end: np.ndarray) -> list[np.ndarray]:
    """Where along the way from `start` to `end` (pairs × width) units switch: for each pair the ascending
    shares of the way, one for each unit that does. A unit that is 0 at an end counts as off there."""
    one, other = start @ rows.T, end @ rows.T
    crossed = (one > 0) != (other > 0)
    return [np.sort(a[c] / (a[c] - b[c])) for a, b, c in zip(one, other, crossed, strict=True)]


def drawn_pairs(words: StoryWords, count: int, *, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`count` pairs of different word types of one tag and as many of different tags, from different
    sequences: first and second word of each, and whether their tags are the same."""
    rng, wanted = np.random.default_rng(seed), {True: count, False: count}
    taken: list[tuple[int, int, bool]] = []
    for _ in range(1000):
        one, other = rng.integers(len(words), size=(2, 4 * count))
        fit = (words.words[one] != words.words[other]) & (words.sequence[one] != words.sequence[other])
        same = words.tags[one] == words.tags[other]
        for kind in (True, False):
            some = np.flatnonzero(fit & (same == kind))[: wanted[kind]]
            wanted[kind] -= len(some)
            taken += [(int(one[i]), int(other[i]), kind) for i in some]
        if not any(wanted.values()):
            first, second, same = zip(*taken, strict=True)
            return np.array(first), np.array(second), np.array(same)
    raise InputError(f"{len(words)} words hold too few pairs of one tag or of two, of different types")


def matched(
    values: np.ndarray, distances: np.ndarray, same: np.ndarray, weights: np.ndarray, bins: int = 20
) -> tuple[np.ndarray, np.ndarray]:
    """Mean of `values` over same pairs, and over different pairs of the same distances.

    Distances are cut at the quantiles of the same pairs into `bins`; different pairs count so that each bin
    has the weight that it has among same pairs. Bins without a different pair are left out on both sides.

    Parameters
    ----------
    weights : draws × pairs; the result has one entry for each draw, NaN where no bin has both kinds. Raises
        InputError where that is so in the first.
    """
    edges = np.quantile(distances[same], np.linspace(0, 1, bins + 1)[1:-1])
    inside = np.searchsorted(edges, distances, side="right")
    inside[(distances < distances[same].min()) | (distances > distances[same].max())] = bins  # beyond: out
    table = np.zeros((2, len(values), bins + 1))
    table[1 - same.astype(int), np.arange(len(values)), inside] = 1
    total, count = (
        np.moveaxis(np.tensordot(weights * some, table, (1, 1)), 1, 0)[..., :bins] for some in (values, 1.0)
    )
    both = (count > 0).all(axis=0)
    means = np.where(both, total / np.where(count > 0, count, 1), 0)
    share = np.where(both, count[0], 0)
    if not both[0].any():
        raise InputError(
            "no different pair is as far apart as some same pair: expected distances that overlap"
        )
    total = share.sum(axis=1, keepdims=True)
    share = np.divide(share, total, out=np.full_like(share, np.nan), where=total > 0)
    return (means[0] * share).sum(axis=1), (means[1] * share).sum(axis=1)


def summary(
    rows: np.ndarray, at_words: np.ndarray, words: StoryWords, *, pairs: int = 5000, resamples: int = 200,
    seed: int = 0,
) -> dict[str, object]:  # fmt: skip
    """Switches between words of one tag and of different tags, in all and per unit of length, matched.

    Parameters
    ----------
    rows : the hyperplanes, units × width; at_words : residual streams, words × width.

    Returns
    -------
    by statistic ("switches", "switches per length", "middle half") "same" and "different" tag, difference
    and ratio of the second and the first, each as (value, drawn over sequences), pairs matched in length; the same matched in angle, which is what
    the code depends on; "positions": how many of all switches lie in each tenth of the way.
    """
    first, second, same = drawn_pairs(words, pairs, seed=seed)
    start, end = at_words[first], at_words[second]
    where = switches(rows, start, end)
    length = np.linalg.norm(end - start, axis=1)
    number = np.array([len(some) for some in where], float)
    middle = np.array([((some > 0.25) & (some < 0.75)).mean() if len(some) else 0.5 for some in where])
    angle = np.arccos(
        np.clip((start * end).sum(1) / np.linalg.norm(start, axis=1) / np.linalg.norm(end, axis=1), -1, 1)
    )
    weights = np.concatenate([np.ones((1, len(same))), _weights(words, first, second, resamples)])
    statistics = {"switches": number, "switches per length": number / length, "middle half": middle}
    found: dict[str, object] = {}
    for name, values in statistics.items():
        for by, distances in (("length", length), ("angle", angle)):
            one, two = matched(values, distances, same, weights)
            sides = {"same": one, "different": two, "difference": two - one, "ratio": two / one}
            found[f"{name}, matched in {by}"] = {
                side: {"value": float(drawn[0]), "drawn": drawn[1:].tolist()} for side, drawn in sides.items()
            }
    found["positions"] = np.histogram(np.concatenate(where), bins=10, range=(0, 1))[0].tolist()
    found["mean length"] = {"same": float(length[same].mean()), "different": float(length[~same].mean())}
    return found


def _weights(words: StoryWords, first: np.ndarray, second: np.ndarray, resamples: int) -> np.ndarray:
    """How often each pair comes up in draws of the sequences: the same draws for every seed of pairs."""
    rng, count = np.random.default_rng(1), int(words.sequence.max()) + 1
    drawn = np.stack(
        [np.bincount(rng.integers(count, size=count), minlength=count) for _ in range(resamples)]
    )
    return (drawn[:, words.sequence[first]] * drawn[:, words.sequence[second]]).astype(float)
