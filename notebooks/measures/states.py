"""States of a text that follow from it alone: where a word stands, what came before, whom a pronoun means.

Rules, declared before any result. All classes are balanced by leaving words out at random, in training and
test apart. Stories are of TinyStories (with quotation marks, whole, 400 to 1,200 characters); blocks are the
first sentences of a document of UD EWT, joined by spaces, until they have 100 words.

- inside a quotation: words of stories after an odd number of quotation marks, or an even one.
- gender of the next pronoun: words of stories that a space and then he, him, his, himself, she, her, hers or
  herself follow, with such a word (any case) somewhere before; read at the word before the pronoun. Told by
  the text's own next word: where several persons are about, the text so far may leave it open.
- position in the sentence: words of blocks in thirds by the number of words since the sentence's beginning
  (cut at the terciles of the training words). A causal model cannot know how far the end is.
- seen before: words of blocks whose type stood in the block before, or not; each type has as many words of
  both kinds, so that the word alone says nothing. The later a word stands the likelier it is a repetition;
  "place alone" is a probe on where in the text a word begins.
- later mention of a noun: the same of nouns and proper nouns.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from measures.outcomes import Tally, by_sentence
from measures.rules import Text, blocks_of, fits, genders, quoted, repeats, story, thirds
from measures.tags import DECAYS, TOLERANCE, represented
from measures.words import TAGS, Words
from splinelab.data import tiny_stories, ud_ewt
from splinelab.errors import InputError
from splinelab.probes import choose_decay, fit_probe, word_majority

STATES = (
    "inside a quotation", "gender of the next pronoun", "position in the sentence", "seen before",
    "later mention of a noun",
)  # fmt: skip
REPRESENTATIONS = (
    "residual", "gate code", "SwiGLU output", "random bits", "random bits of the gate's input"
)  # fmt: skip
#: Training and test stories, blocks, and the most words of a state in each.
SIZES = {"stories": (80, 40), "blocks": (60, 30), "words": (1200, 600)}
#: A word that may be chosen for a state: text, place in it, label.
Row = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class StateWords(Words):
    """Words with several labels; `labelled` has for each state which words (int64) and their labels."""

    labelled: Mapping[str, tuple[np.ndarray, np.ndarray]]


def draw_states(seed: int, sizes: Mapping[str, tuple[int, int]] = SIZES) -> StateWords:
    """Stories and blocks, drawn by `seed`, and of their words those that the rules choose."""
    rng = np.random.default_rng((seed, 11))
    stories = [story(text) for text in tiny_stories() if fits(text)]
    mine = [stories[at] for at in rng.permutation(len(stories))]
    blocks = [blocks_of(ud_ewt(part).sentences) for part in ("train", "test")]
    blocks = [[some[at] for at in rng.permutation(len(some))] for some in blocks]
    for what, there, asked in (
        ("stories", len(mine), sum(sizes["stories"])),
        *(("blocks", len(some), size) for some, size in zip(blocks, sizes["blocks"], strict=True)),
    ):
        if there < asked:
            raise InputError(f"{asked} {what} were asked for, and there are {there}; ask for fewer")
    first, second = sizes["stories"]
    return label_texts(
        (mine[:first], mine[first : first + second]),
        (blocks[0][: sizes["blocks"][0]], blocks[1][: sizes["blocks"][1]]), sizes["words"], rng,
    )  # fmt: skip


def label_texts(
    stories: tuple[Sequence[Text], Sequence[Text]],
    blocks: tuple[Sequence[Text], Sequence[Text]],
    most: tuple[int, int],
    rng: np.random.Generator,
) -> StateWords:
    """The chosen words of training and test texts, at most `most` of each for a state."""
    texts = [*stories[0], *blocks[0], *stories[1], *blocks[1]]
    train = np.arange(len(texts)) < len(stories[0]) + len(blocks[0])
    storied = np.isin(np.arange(len(texts)), _numbers(stories, blocks))
    cuts = np.quantile([n for one in blocks[0] for n in one.numbers], [1 / 3, 2 / 3]) if blocks[0] else [0, 0]
    rules: dict[str, tuple[bool, Callable[[Text], list[tuple[int, int]]], bool]] = {
        STATES[0]: (True, quoted, False),
        STATES[1]: (True, genders, False),
        STATES[2]: (False, lambda one: thirds(one, cuts), False),
        STATES[3]: (False, lambda one: repeats(one, TAGS), True),
        STATES[4]: (False, lambda one: repeats(one, ("NOUN", "PROPN")), True),
    }
    chosen: dict[str, list[Row]] = {}
    for state, (of_stories, rule, within_types) in rules.items():
        chosen[state] = []
        for is_train, size in ((True, most[0]), (False, most[1])):
            numbers = np.flatnonzero((train == is_train) & (storied == of_stories))
            rows = [(int(n), place, label) for n in numbers for place, label in rule(texts[n])]
            types = [texts[n].words[place].lower() if within_types else "" for n, place, _ in rows]
            chosen[state] += balanced(rows, types, size, rng)
    return _gathered(texts, train, chosen)


def states(layer: Mapping[str, np.ndarray], words: StateWords, *, seed: int) -> Tally:
    """Accuracy of a probe on each representation, state by state: "seen before: gate code" and so on.

    Beside them "word alone" (a type's commonest label in training) and "place alone" (a probe on where in the
    text the word begins). Random bits are drawn by `seed`; texts are what is resampled later.
    """
    found: Tally = {}
    starts = np.array(
        [words.spans[n][place][0] for n, place in zip(words.sentence, words.place, strict=True)]
    )
    place = np.column_stack([starts, starts**2, np.log1p(starts)]).astype(np.float32)
    for name in (*REPRESENTATIONS, "place alone"):
        values = place if name == "place alone" else represented(name, layer, words.train, seed=seed)
        for state, (rows, labels) in words.labelled.items():
            right = _right(values[rows], labels, words.train[rows], words.sentence[rows], seed)
            test = rows[~words.train[rows]]
            found[f"{state}: {name}"] = {"all": by_sentence(right, words.sentence[test])}
    for state, (rows, labels) in words.labelled.items():
        train = words.train[rows]
        guess = word_majority(words.words[rows][train], labels[train], words.words[rows][~train])
        hits = by_sentence(guess == labels[~train], words.sentence[rows][~train])
        found[f"{state}: word alone"] = {"all": hits}
    return found


def balanced(rows: Sequence[Row], types: Sequence[str], most: int, rng: np.random.Generator) -> list[Row]:
    """At most `most` rows, as many of each label, and that within each type; chosen at random, in order."""
    labels = sorted({label for *_, label in rows})
    groups: dict[str, dict[int, list[int]]] = {}
    for at in rng.permutation(len(rows)):
        groups.setdefault(types[at], {}).setdefault(rows[at][2], []).append(int(at))
    sets = [
        [group[label][at] for label in labels]
        for _, group in sorted(groups.items())
        for at in range(min(len(group.get(label, [])) for label in labels))
    ]
    kept = rng.permutation(len(sets))[: most // max(len(labels), 1)]
    return [rows[at] for at in sorted(at for one in kept for at in sets[one])]


def _numbers(stories: Sequence[Sequence[Text]], blocks: Sequence[Sequence[Text]]) -> np.ndarray:
    """Which texts are stories, in the order of `label_texts`."""
    before = len(stories[0]) + len(blocks[0])
    return np.r_[np.arange(len(stories[0])), before + np.arange(len(stories[1]))]


def _gathered(texts: Sequence[Text], train: np.ndarray, chosen: Mapping[str, Sequence[Row]]) -> StateWords:
    """All chosen words once, and which of them are whose."""
    every = sorted({(text, place) for rows in chosen.values() for text, place, _ in rows})
    number = {pair: at for at, pair in enumerate(every)}
    labelled = {
        state: (
            np.array([number[text, place] for text, place, _ in rows], np.int64),
            np.array([label for *_, label in rows], np.int64),
        )
        for state, rows in chosen.items()
    }
    sentence, place = (np.array(column, np.int64) for column in zip(*every, strict=True))
    words = np.array([texts[text].words[at].lower() for text, at in every])
    return StateWords(
        [one.text for one in texts], [one.spans for one in texts], sentence, place, words,
        np.zeros(len(every), np.int64), train[sentence], labelled,
    )  # fmt: skip


def _right(
    values: np.ndarray, labels: np.ndarray, train: np.ndarray, texts: np.ndarray, seed: int
) -> np.ndarray:
    decay, _ = choose_decay(
        values[train], labels[train], texts[train], DECAYS, seed=seed, tolerance=TOLERANCE
    )
    probe = fit_probe(values[train], labels[train], decay=decay, tolerance=TOLERANCE)
    return probe.right(values[~train], labels[~train])
