"""Which bits do all words of a tag share, against chance?"""

import numpy as np

from splinelab.errors import InputError

#: A bit is shared by a tag if at least `OF_TAG` of its words and at most `OF_OTHERS` of all others have it.
OF_TAG, OF_OTHERS = 0.95, 0.5


def rates(bits: np.ndarray, tags: np.ndarray, names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The share of words with each bit on, among those of each tag and among all others: tags × units."""
    member = (tags == names[:, None]).astype(np.float32)
    on, size = member @ bits.astype(np.float32), member.sum(axis=1, keepdims=True)
    if (size == 0).any() or (size == len(tags)).any():
        missing = names[(size == 0)[:, 0]].tolist()
        raise InputError(f"tags without words: {missing}; expected two tags or more, each with words")
    return on / size, (bits.sum(axis=0, dtype=np.float32) - on) / (len(tags) - size)


def shared_bits(bits: np.ndarray, tags: np.ndarray, names: np.ndarray) -> np.ndarray:
    """For each tag and unit 1 if the tag shares the bit on, −1 if it shares it off, 0 if neither: int8."""
    inside, outside = rates(bits, tags, names)
    on = (inside >= OF_TAG) & (outside <= OF_OTHERS)
    off = (1 - inside >= OF_TAG) & (1 - outside <= OF_OTHERS)
    return on.astype(np.int8) - off.astype(np.int8)


def one_of_each(words: np.ndarray, tags: np.ndarray, *, seed: int) -> np.ndarray:
    """Where to find one word of each pair of word type and tag, drawn at random: no common word counts more
    than a rare one."""
    order = np.random.default_rng(seed).permutation(len(words))
    kinds = np.char.add(np.char.add(words[order], "\t"), tags[order])
    return np.sort(order[np.unique(kinds, return_index=True)[1]])


def summary(
    train: tuple[np.ndarray, np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray, np.ndarray],
    *,
    shuffles: int = 20,
    seed: int = 0,
) -> dict[str, object]:
    """How many bits tags share, whether they do so on other words, and what chance gives.

    Parameters
    ----------
    train, test : bits (bool, words × units), word types and tags of the words on which shared bits are found,
        and of those on which they are looked up.
    shuffles, seed : how often tags are shuffled, over words and over word types (each type then has the one
        tag of another: so words keep what is theirs, and only the tags lose what they have in common).

    Returns
    -------
    Bits may be shared on or off. "by tag": tag → shared bits; their sum as "bits"; "tags" with at least one
    and "tags, on" with at least one that they share on; "held out", the share of the bits that the tag shares
    on `test`, too. Each of "bits", "tags" and "tags, on" also for "shuffled" tags and "shuffled types", as
    the mean over shuffles; and all of it named "one of each type, …", where every word type counts once for
    each of its tags.
    """
    found: dict[str, object] = {}
    chosen = [one_of_each(words, tags, seed=seed) for _, words, tags in (train, test)]
    for prefix, some in (
        ("", (train, test)),
        (
            "one of each type, ",
            tuple(_taken(part, at) for part, at in zip((train, test), chosen, strict=True)),
        ),
    ):
        found |= {prefix + name: value for name, value in _once(*some, shuffles, seed).items()}
    return found


def _taken(part: tuple, at: np.ndarray) -> tuple:
    bits, words, tags = part
    return bits[at], words[at], tags[at]


def _once(train: tuple, test: tuple, shuffles: int, seed: int) -> dict[str, object]:
    bits, words, tags = train
    names = np.intersect1d(tags, test[2])
    keep = np.isin(tags, names)
    bits, words, tags = bits[keep], words[keep], tags[keep]
    shared = shared_bits(bits, tags, names)
    again = shared_bits(test[0], test[2], names)
    rng = np.random.default_rng(seed)
    bits_of = (shared != 0).sum(axis=1)
    found: dict[str, object] = {
        "by tag": dict(zip(names.tolist(), bits_of.tolist(), strict=True)),
        "held out": float((again == shared)[shared != 0].mean()) if bits_of.any() else 0.0,
        **_counted(shared),
    }
    for name, drawn in (
        ("shuffled", lambda: rng.permutation(tags)),
        ("shuffled types", lambda: _types_shuffled(words, tags, rng)),
    ):
        counts = [_counted(_shared_by(bits, drawn(), names)) for _ in range(shuffles)]
        found |= {f"{name}, {key}": float(np.mean([one[key] for one in counts])) for key in counts[0]}
    return found


def _counted(shared: np.ndarray) -> dict[str, int]:
    some, on = (shared != 0).sum(axis=1), (shared > 0).sum(axis=1)
    return {"bits": int(some.sum()), "tags": int((some > 0).sum()), "tags, on": int((on > 0).sum())}


def _shared_by(bits: np.ndarray, tags: np.ndarray, names: np.ndarray) -> np.ndarray:
    return shared_bits(bits, tags, names[np.isin(names, tags)])


def _types_shuffled(words: np.ndarray, tags: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    types, of = np.unique(words, return_inverse=True)
    first = np.unique(of, return_index=True)[1]
    return tags[first][rng.permutation(len(types))][of]
