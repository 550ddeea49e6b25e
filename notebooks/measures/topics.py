"""What a whole text is about: codes of its words, pooled, against pooled activations.

Two tasks: the genre of a sentence of UD EWT, with documents kept apart between training and test; and the
topic of a text that the model itself wrote after a prompt, with other wordings of the prompt in the test. The
prompt is left out of the pooling.
"""

import itertools
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch

from measures.words import Words
from splinelab.data import Sentence, ud_ewt
from splinelab.errors import InputError
from splinelab.nets import Llama
from splinelab.probes import choose_decay, fit_probe

GENRES = ("answers", "email", "newsgroup", "reviews", "weblog")
TOPICS = ("cooking", "football", "gardening", "medicine", "music", "space travel")
WORDINGS = (
    "Here is a short text about {}:\n",
    "The following paragraph is about {}.\n",
    "Today I want to write about {}.",
    "An article on {}:\n",
)
#: Sentences of a genre, training and test: fixed before any result was seen, for time.
SENTENCES = (60, 40)
OF_DOCUMENT, LEAST_WORDS = 5, 5
#: Weight decays that a probe may have, and when its fit has converged.
DECAYS, TOLERANCE = (1.0, 0.1, 0.01), 1e-3
POOLS = ("mean", "max", "last")


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts with a label each.

    words : their words, as `measures.words.features` takes them; `words.tags` and `words.train` are the
        label and the side of the word's text.
    labels, groups, train : for each text its label, what it must not share with a text of the other side (a
        document; a prompt's wording), and its side.
    """

    words: Words
    labels: np.ndarray
    groups: np.ndarray
    train: np.ndarray


def genre_texts(seed: int, sizes: tuple[int, int] = SENTENCES) -> Texts:
    """Sentences of each genre from UD EWT's own train and test parts, whose documents are others.

    They are drawn by `seed`: `sizes` of each genre, of five words or more, at most five of one document.
    """
    rng = np.random.default_rng((seed, 5))
    chosen: list[tuple[Sentence, bool]] = []
    for part, size in zip(("train", "test"), sizes, strict=True):
        sentences = ud_ewt(part).sentences
        left, of = Counter({genre: size for genre in GENRES}), Counter()
        for at in rng.permutation(len(sentences)):
            one = sentences[at]
            fits = len(one.words) >= LEAST_WORDS and one.spans[-1][1] == len(one.text)
            if fits and left[one.genre] > 0 and of[one.document] < OF_DOCUMENT:
                left[one.genre] -= 1
                of[one.document] += 1
                chosen.append((one, part == "train"))
    labels = [GENRES.index(one.genre) for one, _ in chosen]
    groups = [one.document for one, _ in chosen]
    spans = [one.spans for one, _ in chosen]
    return texts_of([one.text for one, _ in chosen], spans, labels, groups, [train for _, train in chosen])


def texts_of(
    texts: list[str], spans: list[list[tuple[int, int]]], labels: list[int], groups: list, train: list[bool]
) -> Texts:
    """Texts from their words' spans. Raises InputError where a group lies on both sides."""
    sides = np.array(train)
    if both := set(np.array(groups)[sides]) & set(np.array(groups)[~sides]):
        raise InputError(f"{sorted(both)[:3]} are on both sides; expected groups of training or of test only")
    rows = [(at, place) for at, some in enumerate(spans) for place in range(len(some))]
    sentence, place = np.array(rows).T
    forms = np.array([texts[at][slice(*spans[at][one])].lower() for at, one in rows])
    words = Words(texts, spans, sentence, place, forms, np.array(labels)[sentence], sides[sentence])
    return Texts(words, np.array(labels), np.array(groups), sides)


@torch.no_grad()
def continued(
    net: Llama, prompts: list[list[int]], length: int, *, never: frozenset[int] = frozenset(), seed: int
) -> np.ndarray:
    """What the model writes after each prompt, at temperature 1: int64, prompts × length.

    All prompts run at once: where a longer one is still read, a shorter one is already gone on from. Tokens
    of `never` are not drawn.
    """
    generator, longest = torch.Generator().manual_seed(seed), max(map(len, prompts))
    tokens = torch.zeros(len(prompts), longest + length, dtype=torch.int64)
    given = torch.zeros_like(tokens, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        tokens[row, : len(prompt)], given[row, : len(prompt)] = torch.tensor(prompt), True
    caches = net.new_caches(len(prompts), longest + length)
    for position in range(longest + length - 1):
        chances = net.step(tokens[:, position], caches, position).softmax(1)
        chances[:, sorted(never)] = 0
        drawn = (chances / torch.empty_like(chances).exponential_(generator=generator)).argmax(1)
        tokens[:, position + 1] = torch.where(given[:, position + 1], tokens[:, position + 1], drawn)
    return np.stack([one[len(p) : len(p) + length].numpy() for one, p in zip(tokens, prompts, strict=True)])


def written_texts(prompts: list[str], continuations: list[str], draw: int) -> Texts:
    """Texts after prompts, in the order of topics, wordings and copies; two of the four wordings, by `draw`
    (0 to 5), train, the others test. Only words of the continuation count."""
    pairs = list(itertools.combinations(range(len(WORDINGS)), 2))
    if not 0 <= draw < len(pairs):
        raise InputError(f"draw is {draw}; expected 0 to {len(pairs) - 1}, a choice of two wordings")
    copies = len(prompts) // len(TOPICS) // len(WORDINGS)
    kinds = [(t, w) for t in range(len(TOPICS)) for w in range(len(WORDINGS)) for _ in range(copies)]
    texts = [prompt + text for prompt, text in zip(prompts, continuations, strict=True)]
    spans = [
        [match.span() for match in re.finditer(r"\w+", text) if match.start() > len(prompt)]
        for prompt, text in zip(prompts, texts, strict=True)
    ]
    kept = [at for at, some in enumerate(spans) if some]
    return texts_of(
        [texts[at] for at in kept], [spans[at] for at in kept], [kinds[at][0] for at in kept],
        [kinds[at][1] for at in kept], [kinds[at][1] in pairs[draw] for at in kept],
    )  # fmt: skip


def pooled(values: np.ndarray, text: np.ndarray) -> dict[str, np.ndarray]:
    """The mean, the largest and the last of each text's values: `POOLS` → float32, texts × units.

    Of bits these are the share of words that have it, whether any has, and whether the last has. `text` are
    the words' texts, 0 to the number of texts − 1, ascending.
    """
    starts = np.flatnonzero(np.diff(text, prepend=-1))
    if len(starts) != text[-1] + 1 or (np.diff(text) < 0).any():
        raise InputError("text is not ascending from 0 without gaps; expected words in the order of texts")
    ends = np.r_[starts[1:], len(text)]
    values = values.astype(np.float32)
    total = np.add.reduceat(values, starts, axis=0)
    mean = total / (ends - starts)[:, None]
    return {"mean": mean, "max": np.maximum.reduceat(values, starts, axis=0), "last": values[ends - 1]}


def word_counts(texts: Texts) -> np.ndarray:
    """How often each word type of the training texts is in each text: what words alone say."""
    words = texts.words
    types = np.unique(words.words[words.train])
    place = np.searchsorted(types, words.words)
    known = types[np.minimum(place, len(types) - 1)] == words.words
    counts = np.zeros((len(texts.labels), len(types)), np.float32)
    np.add.at(counts, (words.sentence[known], place[known]), 1)
    return counts


def correct(x: np.ndarray, texts: Texts, *, seed: int = 0) -> np.ndarray:
    """For each test text whether a linear probe on `x`, texts × features, tells its label: bool.

    Its weight decay, one of `DECAYS`, is chosen on a fifth of the training groups, or of the training texts
    where there are fewer than five groups.
    """
    train, test = texts.train, ~texts.train
    groups = texts.groups[train] if len(set(texts.groups[train])) >= 5 else np.arange(train.sum())
    decay, _ = choose_decay(x[train], texts.labels[train], groups, DECAYS, seed=seed, tolerance=TOLERANCE)
    return fit_probe(x[train], texts.labels[train], decay=decay, tolerance=TOLERANCE).right(
        x[test], texts.labels[test]
    )


def accuracy(
    right: np.ndarray,
    groups: np.ndarray,
    drawn_of: np.ndarray | None = None,
    *,
    resamples: int = 200,
    seed: int = 0,
) -> dict:
    """The share that is right, and its value in each draw of groups with replacement.

    drawn_of : the groups that are drawn, where `right` holds only some of them, as for a part of texts that
        several draws share: then `seed` draws the same ones for all parts.
    """
    names = np.unique(groups if drawn_of is None else drawn_of)
    of = np.searchsorted(names, groups)
    rng = np.random.default_rng([seed, len(names)])
    weights = np.stack(
        [
            np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
            for _ in range(resamples)
        ]
    )[:, of]
    return {
        "value": float(right.mean()),
        "drawn": ((weights @ right) / weights.sum(axis=1)).tolist(),
        "n": len(right),
        "groups": len(names),
    }


def drawn(right: np.ndarray, texts: Texts, *, seed: int, by_text: bool) -> dict:
    """`accuracy` over the test's groups, or over all texts, with seed 0, where draws share them."""
    if by_text:
        return accuracy(right, np.flatnonzero(~texts.train), np.arange(len(texts.labels)))
    return accuracy(right, texts.groups[~texts.train], seed=seed)


def measure(
    values: dict[str, np.ndarray], texts: Texts, *, seed: int, by_text: bool = False
) -> dict[str, dict]:
    """Accuracy for each view of the words and each pool: "view, pool" → `drawn`."""
    return {
        f"{view}, {pool}": drawn(correct(x, texts, seed=seed), texts, seed=seed, by_text=by_text)
        for view, some in values.items()
        for pool, x in pooled(some, texts.words.sentence).items()
    }
