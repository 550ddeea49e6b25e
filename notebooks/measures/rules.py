"""Texts, and what of their words follows from the text itself; `states` says by which rules."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from measures.words import TAGS
from splinelab.data import Sentence

BLOCK = 100  # words
HE, SHE = ("he", "him", "his", "himself"), ("she", "her", "hers", "herself")
_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")


@dataclass(frozen=True)
class Text:
    """One text: its words, where each stands; for blocks also their tags and numbers within the sentence."""

    text: str
    spans: list[tuple[int, int]]
    words: list[str]
    tags: list[str]
    numbers: list[int]


def fits(text: str) -> bool:
    """Whether a story has straight quotation marks only, in pairs, and 400 to 1,200 characters."""
    marks = text.count('"')
    return 400 <= len(text) <= 1200 and marks > 0 and marks % 2 == 0 and not set(text) & set("“”")


def story(text: str) -> Text:
    """A story and its words: runs of letters, with what follows an apostrophe."""
    spans = [found.span() for found in _WORD.finditer(text)]
    words = [text[start:stop] for start, stop in spans]
    return Text(text, spans, words, [""] * len(words), [0] * len(words))


def block(sentences: Sequence[Sentence]) -> Text:
    """The first sentences of a document, until they have `BLOCK` words."""
    texts, spans, start = [], [], 0
    words, tags, numbers = [], [], []
    for sentence in sentences:
        texts.append(sentence.text)
        spans += [(start + first, start + stop) for first, stop in sentence.spans]
        start += len(sentence.text) + 1
        words += sentence.words
        tags += sentence.tags
        numbers += range(len(sentence.words))
        if len(words) >= BLOCK:
            break
    return Text(" ".join(texts), spans, words, tags, numbers)


def quoted(one: Text) -> list[tuple[int, int]]:
    """(place, 1 inside a quotation, else 0) of every word."""
    return [(at, one.text.count('"', 0, start) % 2) for at, (start, _) in enumerate(one.spans)]


def genders(one: Text) -> list[tuple[int, int]]:
    """(place, 1 before she …, 0 before he …) of words right before a pronoun, with another one before."""
    lower = [word.lower() for word in one.words]
    known, found = False, []
    for at, word in enumerate(one.words[1:]):
        known = known or lower[at] in HE + SHE
        apart = one.text[one.spans[at][1] : one.spans[at + 1][0]]
        if known and word in HE + SHE and apart == " " and lower[at] not in HE + SHE:
            found.append((at, int(word in SHE)))
    return found


def repeats(one: Text, tags: Sequence[str]) -> list[tuple[int, int]]:
    """(place, 1 if its type stood before, else 0) of every word with one of the tags."""
    seen: set[str] = set()
    found = []
    for at, (word, tag) in enumerate(zip(one.words, one.tags, strict=True)):
        if tag in tags:
            found.append((at, int(word.lower() in seen)))
        seen.add(word.lower())
    return found


def thirds(one: Text, cuts: Sequence[float]) -> list[tuple[int, int]]:
    """(place, third of the sentence by words since its beginning) of every word with a tag of `TAGS`."""
    return [
        (at, int(np.searchsorted(cuts, number)))
        for at, (number, tag) in enumerate(zip(one.numbers, one.tags, strict=True))
        if tag in TAGS
    ]


def blocks_of(sentences: Sequence[Sentence]) -> list[Text]:
    """A block for each document that has two sentences and `BLOCK` words."""
    documents: dict[str, list[Sentence]] = {}
    for sentence in sentences:
        documents.setdefault(sentence.document, []).append(sentence)
    found = [block(some) for some in documents.values() if len(some) > 1]
    return [one for one in found if len(one.words) >= BLOCK]
