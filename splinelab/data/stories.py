"""Real stories: the opening of TinyStories."""

import re
from functools import lru_cache

from splinelab.data.published import Published, at_hand, read

_TINY_STORIES = Published(
    "tiny_stories.txt",
    944_426,
    "c56cfd24fb1c542b141a396184b822a4db3672abdb4c49c6aa843171c5e822a5",
    folder="text_tinystories_1k",
    what="TinyStories' opening",
    origins=(
        "https://raw.githubusercontent.com/s-ajaykumar/smallGPT/"
        "b8b899265a5574abd2c19d8857039309184a357c/data/tiny_stories.txt",
    ),
)


@lru_cache(maxsize=1)
def tiny_stories() -> list[str]:
    """The opening of TinyStories' training set (Eldan and Li 2023): 1,092 stories, 941,489 characters.

    In the file a single line break parts two stories and a blank line two paragraphs, so a story is what lies
    between single line breaks; a few stories have such breaks within and count as two. Spaces at a story's
    ends and in its blank lines are dropped. The stories were written by a language model; their licence is
    CDLA-Sharing-1.0.

    Reads `SPLINELAB_DATA/text_tinystories_1k` if that folder exists, otherwise a file that is downloaded once
    to `SPLINELAB_CACHE`; checked by size and SHA-256 at every read. Raises `DataError` for a file that is
    missing, damaged or cannot be fetched.
    """
    return stories(read(_TINY_STORIES))


def tiny_stories_at_hand() -> bool:
    """Whether `tiny_stories` needs no download."""
    return at_hand(_TINY_STORIES)


def stories(content: bytes) -> list[str]:
    """The stories of a file, UTF-8, that single line breaks part."""
    text = re.sub(r"\n +(?=\n)", "\n", content.decode("utf-8"))
    return [piece.strip() for piece in re.split(r"(?<!\n)\n(?!\n)", text) if piece.strip()]
