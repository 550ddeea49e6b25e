"""What a probe got right, sentence by sentence: kept per draw and layer, and summed up with intervals."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from splinelab._files import write_atomically
from splinelab.errors import InputError
from splinelab.intervals import Draws, Interval, resampled_shares

#: Representation → statistic → [hits by sentence, words by sentence]: what one draw and layer gave.
Tally = dict[str, dict[str, list[list[int]]]]
RESAMPLES = 1000


def by_sentence(right: np.ndarray, sentence: np.ndarray, chosen: np.ndarray | None = None) -> list[list[int]]:
    """[hits, words] of each sentence in order; only words that are `chosen` count, all sentences stay."""
    chosen = np.ones(len(right), bool) if chosen is None else chosen
    _, number = np.unique(sentence, return_inverse=True)
    counts = [np.bincount(number, weights=w).astype(int).tolist() for w in (right & chosen, chosen)]
    return counts


def draws_of(tallies: Mapping[int, Tally], representation: str, statistic: str) -> Draws:
    """A share in several draws, each with its bootstrap of sentences: paired among all of a draw.

    `tallies` are by draw. Every statistic of one draw must count the same sentences. The statistic
    "selectivity" is the share of "seen" minus that of "control".
    """
    if statistic == "selectivity":
        seen, control = (draws_of(tallies, representation, part) for part in ("seen", "control"))
        return seen.minus(control)
    values, drawn, sentences = [], [], 0
    for draw, one in sorted(tallies.items()):
        hits, counts = one[representation][statistic]
        values.append(sum(hits) / sum(counts))
        drawn.append(resampled_shares(hits, counts, resamples=RESAMPLES, seed=draw))
        sentences += len(hits)
    return Draws(np.array(values), np.array(drawn).T, sentences, "sentences")


def rows_of(
    tallies: Mapping[int, Tally], layer: int | str, differences: Iterable[tuple[str, str]]
) -> list[dict]:
    """A row for each representation and statistic, and for each difference of two representations."""
    first = next(iter(tallies.values()))
    statistics = {name: _statistics(first[name]) for name in first}
    seeds = sorted(tallies)
    rows = [
        _row(layer, name, None, statistic, draws_of(tallies, name, statistic).interval(seeds=seeds))
        for name, some in statistics.items()
        for statistic in some
    ]
    for one, other in differences:
        if one in statistics and other in statistics:
            for statistic in (each for each in statistics[one] if each in statistics[other]):
                apart = draws_of(tallies, one, statistic).minus(draws_of(tallies, other, statistic))
                rows.append(_row(layer, one, other, statistic, apart.interval(seeds=seeds)))
    return rows


def interval_of(row: Mapping) -> Interval:
    """The interval of a stored row."""
    names = [field.name for field in dataclasses.fields(Interval)]
    found = {name: row[name] for name in names}
    return Interval(**{**found, "seeds": tuple(found["seeds"])})


def write_json(path: Path, content: object) -> None:
    """Write a JSON file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(content, ensure_ascii=False) + "\n").encode())


def write_rows(path: Path, about: Mapping, rows: Sequence[Mapping]) -> None:
    """Write a stored measurement: what it is of, and a line for each row, so that changes can be read."""
    lines = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in rows)
    head = json.dumps(about, ensure_ascii=False, indent=1).removesuffix("\n}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, f'{head},\n "rows": [\n{lines}\n ]\n}}\n'.encode())


def read_rows(name: str, folder: Path | None = None) -> dict:
    """A stored measurement by name. Raises InputError where there is none."""
    path = (folder or Path(__file__).parent / "stored") / f"{name}.json"
    if not path.is_file():
        raise InputError(f"there is no stored measurement {name!r}: {path} is missing")
    return json.loads(path.read_text(encoding="utf-8"))


def _statistics(found: Mapping[str, list]) -> list[str]:
    """The statistics of a representation that have a word to count, and selectivity where it has both parts."""
    counted = [name for name, (_, counts) in found.items() if sum(counts)]
    return [*counted, *(["selectivity"] if {"seen", "control"} <= set(counted) else [])]


def _row(layer: int | str, name: str, minus: str | None, statistic: str, found: Interval) -> dict:
    told = {
        key: round(value, 6) if isinstance(value, float) else value
        for key, value in dataclasses.asdict(found).items()
    }
    return {"layer": layer, "representation": name, "minus": minus, "statistic": statistic, **told}
