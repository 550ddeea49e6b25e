"""Sums up what `grouping`, `topical` and `switching` left in the cache: `stored/NAME.json`, a row a figure.

PYTHONPATH=.:notebooks python notebooks/measures/gather.py distances clusters …
"""

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from measures.outcomes import write_rows
from splinelab.data import cache_folder
from splinelab.errors import InputError
from splinelab.intervals import Draws, exactly

STORED = Path(__file__).parent / "stored"
#: Name of a measurement → the folder of the cache that holds it.
FOLDERS = {
    "distances": "groups", "clusters": "groups", "shared": "groups", "merging": "groups",
    "directions": "groups", "genres": "topics", "written": "topics",
    "switches-story": "switches/story", "switches-stories260K": "switches/stories260K",
}  # fmt: skip
_CODE, _RANDOM = "gate code, Jaccard", "random bits, Jaccard"
_KINDS = ("hdbscan", "sizes of Jaccard", "sizes of Hamming")
_POOLED = [(f"gate code, {pool}", f"{view}, {pool}") for view in ("residual", "SwiGLU output", "random bits")
           for pool in ("mean", "max", "last")]  # fmt: skip
#: Name → pairs of representations whose difference is summed up, too.
MINUS = {
    "distances": [
        (_CODE, other)
        for other in (
            "residual, centred cosine", "residual, cosine", "residual, whitened cosine", "pre, centred cosine",
            "SwiGLU output, centred cosine", _RANDOM, "random bits of the gate's input, Jaccard",
            "gate code, Hamming", "untrained copy, Jaccard",
        )
    ],
    "clusters": [
        *((f"{kind}: gate code, Hamming", f"{kind}: {_CODE}") for kind in _KINDS),
        *((f"{kind}: {_CODE}", f"{kind}: {other}") for kind in _KINDS
          for other in (_RANDOM, "residual, centred cosine")),
    ],
    "merging": [("gate code", other) for other in ("residual", "SwiGLU output", "random bits", "untrained copy")],
    "genres": [*_POOLED, ("gate code, mean", "words alone")],
    "written": [*_POOLED, ("gate code, mean", "words alone")],
    "switches": [
        (f"gate: {kind}, matched in {by}", f"{other}: {kind}, matched in {by}")
        for kind in ("switches", "switches per length", "middle half") for by in ("length", "angle")
        for other in ("random directions", "random directions, centred", "untrained")
    ],
}  # fmt: skip
#: Name → pairs of statistics of one representation whose difference is summed up, too.
WITHIN = {
    "shared": [("tags, on", "shuffled, tags, on"), ("tags", "shuffled, tags"), ("bits", "shuffled, bits"),
               ("tags, on", "shuffled types, tags, on")],
}  # fmt: skip

#: Name → what is resampled, where that is not sentences.
RESAMPLED = {"genres": "documents", "written": "texts", "switches": "sequences"}
SHARED = ("written", "switches")  # whose draws share them
#: Name → model and data.
_SMOLLM2 = {"model": "SmolLM2-135M, 4-bit copy (Q4_1, embeddings 8-bit)", "data": "UD EWT"}
_STORIES = "text sampled from stories260K, 100 sequences of 512 tokens"
ABOUT = {
    "written": {**_SMOLLM2, "data": "texts sampled from the model"},
    "switches-story": {"model": "story", "data": _STORIES},
    "switches-stories260K": {"model": "stories260K, 8-bit copy", "data": _STORIES},
}


def leaves(found: dict, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, str], dict | float]]:
    """((representation, statistic), number or value with draws) for all of one draw and layer."""
    for name, value in found.items():
        if isinstance(value, dict) and "value" in value:
            where = path or (name,)
            yield (": ".join(where), name if path else "accuracy"), value
        elif isinstance(value, dict) and name != "n" and name != "one of each type, by tag":
            yield from leaves(value, (*path, name))
        elif isinstance(value, list) and name == "positions":  # how many of all lie in each part of the way
            for part, count in enumerate(value):
                yield (": ".join((*path, name)), f"part {part + 1} of {len(value)}"), count / sum(value)
        elif isinstance(value, int | float) and path and not _given(path, name):
            yield (": ".join(path), name), float(value)


def _given(path: tuple[str, ...], name: str) -> bool:
    """Whether a figure is the same for all: groups of given sizes have these sizes."""
    return path[0].startswith("sizes of") and not name.startswith("pure")


def row(layer: int, names: tuple[str, str], minus: str | None, some: list[tuple], n: int) -> dict:
    """One figure with its interval over sentences and draws.

    `some` holds for each draw (its number, value, draws of sentences or none). Where there are none, the
    interval is a t interval over draws, and for one draw there is none.
    """
    seeds, values, drawn = zip(*some, strict=True)
    if drawn[0] is not None:
        found = Draws(np.array(values), np.array(drawn).T, n, "sentences").interval(seeds=seeds)
    elif len(values) > 1:
        found = Draws(np.array(values), np.tile(values, (2, 1)), n, "sentences").interval(seeds=seeds)
    else:
        found = exactly(values[0], n=n, seeds=seeds)
    told = dataclasses.asdict(found)
    if drawn[0] is None:
        told["method"] = "draws of sentences, t interval" if len(values) > 1 else "one draw, no interval"
    told = {key: round(one, 6) if isinstance(one, float) else one for key, one in told.items()}
    return {"layer": layer, "representation": names[0], "minus": minus, "statistic": names[1], **told}


def rows_of(by_draw: dict[int, dict], layer: int, name: str) -> list[dict]:
    """All rows of one layer of a measurement, differences last."""
    flat = {draw: dict(leaves(found)) for draw, found in sorted(by_draw.items())}
    counts = [found["n"]["sentences"] if "n" in found else _groups(found) for found in by_draw.values()]
    n = max(counts) if name in SHARED else sum(counts)
    kept = [key for key in next(iter(flat.values())) if all(key in one for one in flat.values())]
    rows = [row(layer, key, None, [_draw(d, flat[d][key]) for d in flat], n) for key in kept]
    for one, other in MINUS.get(name, ()):
        for key in (key for key in kept if key[0] == one and (other, key[1]) in kept):
            if key[1] in ("same", "different"):  # their difference and ratio say it
                continue
            pairs = [_minus(d, flat[d][key], flat[d][other, key[1]]) for d in flat]
            rows.append(row(layer, key, other, pairs, n))
    for one, other in WITHIN.get(name, ()):
        for key in (key for key in kept if key[1] == one and (key[0], other) in kept):
            pairs = [_minus(d, flat[d][key], flat[d][key[0], other]) for d in flat]
            rows.append(row(layer, key, f"{key[0]}: {other}", pairs, n))
    for one in rows:
        one["method"] = one["method"].replace("sentences", RESAMPLED.get(name, "sentences"))
    return rows


def _groups(found: dict) -> int:
    """The number of test documents or of texts, where sentences are not counted."""
    return next(one["groups"] for one in found.values())


def _draw(draw: int, leaf: dict | float) -> tuple:
    return (draw, leaf["value"], leaf["drawn"]) if isinstance(leaf, dict) else (draw, leaf, None)


def _minus(draw: int, one: dict | float, other: dict | float) -> tuple:
    (_, a, drawn_a), (_, b, drawn_b) = _draw(draw, one), _draw(draw, other)
    paired = drawn_a is not None and drawn_b is not None
    return draw, a - b, (np.array(drawn_a) - np.array(drawn_b)) if paired else None


def sum_up(name: str, folder: Path | None = None) -> Path:
    """Write `stored/NAME.json`. Raises InputError for an unknown name, and where the cache has nothing."""
    if name not in FOLDERS:
        raise InputError(f"there is no measurement {name!r}; expected one of {', '.join(FOLDERS)}")
    folder = folder or cache_folder("language") / FOLDERS[name]
    found: dict[int, dict[int, dict]] = {}
    kind = name.split("-")[0]
    for path in sorted(folder.glob(f"{kind}-*-*.json")):
        draw, layer = map(int, path.stem.removeprefix(f"{kind}-").split("-"))
        found.setdefault(layer, {})[draw] = json.loads(path.read_text(encoding="utf-8"))
    if not found:
        raise InputError(f"{folder} holds nothing of {name}; run its measurement first")
    rows = [one for layer in sorted(found) for one in rows_of(found[layer], layer, kind)]
    write_rows(STORED / f"{name}.json", {"measurement": name, **ABOUT.get(name, _SMOLLM2)}, rows)
    return STORED / f"{name}.json"


if __name__ == "__main__":
    for one in sys.argv[1:]:
        print(sum_up(one))
