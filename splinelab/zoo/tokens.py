"""Tokenizers behind one interface, each token with its place in the text; that of the story models."""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from splinelab._files import digest, read_json
from splinelab.errors import InputError, ZooError

#: The 512 tokens of the story models; see its own `source` and `licence`.
VOCABULARY = Path(__file__).parent / "weights" / "story-vocabulary.json"
#: Tokens before it are not merged from others: unknown, begin, end, and the 256 bytes.
FIRST_MERGED = 259
BEGIN, END = 1, 2
_TOKENS = "65f43750e3fa83db9001b15e5a0825346e5aac4f95e2534aa22c7fa167fa6afd"


class Tokens(NamedTuple):
    """A text's tokens: their numbers, and for each its first character and the one after its last.

    The span of a token that stands for no text, such as one that begins a story, is empty. Tokens that are
    bytes of one character all have that character's span.
    """

    ids: list[int]
    spans: list[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """A tokenizer of the library `tokenizers` (`inner`); `special` are the tokens that stand for no text."""

    name: str
    inner: Any = field(repr=False)
    special: frozenset[int] = field(repr=False)

    def __len__(self) -> int:
        return self.inner.get_vocab_size()

    def encode(self, text: str) -> Tokens:
        """Text → tokens, with those that the model wants before or after every text."""
        if not isinstance(text, str):
            raise InputError(f"text is a {type(text).__name__}; expected one string")
        try:
            found = self.inner.encode(text)
        except TypeError as error:  # what it says of a text that is not Unicode
            raise InputError(
                "text has half a surrogate pair, which is no character; decode it anew"
            ) from error
        return Tokens(found.ids, found.offsets)

    def decode(self, ids: Iterable[int]) -> str:
        """Tokens → text, without special tokens and the space that some tokenizers put before a text."""
        return self.inner.decode([i for i in self._checked(ids) if i not in self.special])

    def text(self, token: int) -> str:
        """One token as it looks within a text: with its space, if it begins with one."""
        (one,) = self._checked([token])
        if one in self.special:
            return self.inner.id_to_token(one).strip()
        # A decoder may drop a space before a text, so look at the second of two.
        once, twice = (self.inner.decode([one] * times, skip_special_tokens=False) for times in (1, 2))
        return twice.removeprefix(once)

    def _checked(self, ids: Iterable[int]) -> list[int]:
        found = [int(i) for i in ids]
        wrong = [i for i in found if not 0 <= i < len(self)]
        if wrong:
            raise InputError(f"there is no token {wrong[0]}; {self.name} has tokens 0 to {len(self) - 1:,}")
        return found


def wanted(module: str, extra: str) -> ModuleType:
    """A module that comes with an extra; `ZooError` says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ZooError(
            f"{module} is not installed: install the extra (pip install 'splinelab[{extra}]')"
        ) from error


@lru_cache(maxsize=1)
def story_tokenizer() -> Tokenizer:
    """The tokenizer of the story models: 512 tokens, in the manner of SentencePiece's BPE.

    A space goes before the text; a character that is no token becomes its bytes in UTF-8; then the adjacent
    pair whose union is the earliest merged token of the vocabulary is united until none is left. Token 1
    begins a text. From llama2.c (A. Karpathy, MIT): trained on TinyStories.

    >>> tokens = story_tokenizer().encode("Once upon a time")
    >>> tokens.ids, tokens.spans
    ([1, 403, 407, 261, 378], [(0, 0), (0, 4), (4, 9), (9, 11), (11, 16)])
    """
    library = wanted("tokenizers", "book")
    names = read_vocabulary(VOCABULARY)
    ids = {token: i for i, token in enumerate(names)}
    # Every way to put a token together from two others, in the order of the tokens, which is that of scores.
    merges = [
        (token[:cut], token[cut:])
        for token in names[FIRST_MERGED:]
        for cut in range(1, len(token))
        if token[:cut] in ids and token[cut:] in ids
    ]
    inner = library.Tokenizer(library.models.BPE(ids, merges, byte_fallback=True))
    inner.normalizer = library.normalizers.Prepend(" ")
    inner.post_processor = library.processors.TemplateProcessing(
        single=[names[BEGIN], "$A"], special_tokens=[(names[BEGIN], BEGIN)]
    )
    parts = library.decoders
    inner.decoder = parts.Sequence([parts.ByteFallback(), parts.Fuse(), parts.Strip(" ", 1, 0)])
    return Tokenizer("story", inner, frozenset((BEGIN, END)))


def read_vocabulary(path: Path) -> list[str]:
    """The tokens of the story models, as they ship. Raises `ZooError` for a file that was changed."""
    try:
        found = read_json(path)
    except ValueError as error:
        raise ZooError(f"{path} {error}; reinstall splinelab") from error
    tokens = found.get("tokens") if isinstance(found, dict) else None
    if not isinstance(tokens, list) or digest(tokens) != _TOKENS:
        raise ZooError(
            f"{path} was changed: its tokens are not those of the story models; reinstall splinelab"
        )
    return tokens
