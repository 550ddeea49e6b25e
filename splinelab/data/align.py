"""Words and the tokens that a tokenizer cuts them into."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from splinelab.errors import InputError

Spans = Sequence[tuple[int, int]]


class Alignment(NamedTuple):
    """For each word the index of its first and of its last token, int64."""

    first: np.ndarray
    last: np.ndarray


def align(words: Spans, tokens: Spans) -> Alignment:
    """The tokens of each word, from where both stand in one text.

    A token is of a word if they share a character: so a token that begins with the space before a word is
    that word's alone, one that straddles two words is the last of one and the first of the other, and every
    token of a character that was cut into bytes is of the word that holds the character.

    Parameters
    ----------
    words : (first character, the one after the last) for each word, in the text's order; a `Sentence.spans`.
    tokens : the same for each token, as `Tokens.spans` has them. Those that stand for no text, such as the
        token that begins a story, have empty spans and are of no word.

    Raises
    ------
    InputError : spans that are not pairs in order, a word without characters, and a word that no token
        touches: past the end of a text that was cut, or of characters that the tokenizer drops.

    Examples
    --------
    >>> align([(0, 3), (4, 8)], [(0, 0), (0, 2), (2, 3), (3, 8)])  # "the cats" as begin, "th", "e", " cats"
    Alignment(first=array([1, 3]), last=array([2, 3]))
    """
    words_array, tokens_array = _checked(words, "word"), _checked(tokens, "token")
    empty = np.flatnonzero(words_array[:, 0] == words_array[:, 1])
    if empty.size:
        at = int(empty[0])
        raise InputError(f"word {at} is empty: it spans {tuple(words_array[at].tolist())}; leave it out")
    seen = np.flatnonzero(tokens_array[:, 0] < tokens_array[:, 1])
    _in_order(words_array, "word")
    starts, ends = _in_order(tokens_array[seen], "token").T
    first = np.searchsorted(ends, words_array[:, 0], side="right")
    last = np.searchsorted(starts, words_array[:, 1], side="left") - 1
    missed = np.flatnonzero(first > last)
    if missed.size:
        at = int(missed[0])
        raise InputError(
            f"word {at}, characters {tuple(words_array[at].tolist())}, has no token; tokens end at character "
            f"{int(ends.max(initial=0))}. Leave it out, or tokenize the whole text"
        )
    return Alignment(seen[first], seen[last])


def _checked(spans: Spans, what: str) -> np.ndarray:
    """int64 spans × 2, each a pair of whole numbers in order."""
    found = np.asarray(spans).reshape(-1, 2) if len(spans) == 0 else np.asarray(spans)
    if found.ndim != 2 or found.shape[1] != 2 or (found.size and found.dtype.kind not in "iu"):
        raise InputError(
            f"{what} spans have the shape {found.shape} of {found.dtype}; expected a pair of whole numbers "
            f"for each {what}: its first character and the one after its last"
        )
    wrong = np.flatnonzero((found[:, 0] > found[:, 1]) | (found[:, 0] < 0))
    if wrong.size:
        at = int(wrong[0])
        raise InputError(f"{what} {at} spans {tuple(found[at].tolist())}; expected 0 ≤ start ≤ end")
    return found.astype(np.int64)


def _in_order(spans: np.ndarray, what: str) -> np.ndarray:
    """The spans, neither of whose columns ever falls."""
    if (np.diff(spans, axis=0) < 0).any():
        raise InputError(f"{what} spans are not in the order of the text")
    return spans
