"""Runs the measurements of language on SmolLM2-135M, and sums them up into `stored/NAME.json`.

    PYTHONPATH=notebooks python -m measures.language [NAME …] [--draws 0 1] [--sum-up]

Each draw and layer is kept in the cache as soon as it is there, so that a run that was killed goes on where
it stopped. Without names, all. Settings that changed make a measurement run anew.
"""

import argparse
import dataclasses
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from measures import words
from measures.outcomes import rows_of, write_json, write_rows
from measures.plan import DRAWS, LAYERS, MEASUREMENTS, STACK
from measures.states import draw_states
from splinelab.data import cache_folder, tiny_stories, ud_ewt
from splinelab.nets import Llama
from splinelab.zoo.language import LanguageModel, language_model

MODEL = "SmolLM2-135M"
STORED = Path(__file__).parent / "stored"


def run_missing(names: Sequence[str], draws: Sequence[int]) -> None:
    """Measure what the cache lacks: six layers of draw 0, then of the others, then the remaining layers."""
    model = _model()
    for draw, layers in _order(draws):
        lacking = {
            name: [layer for layer in _layers(name, layers) if _kept(name, draw, layer) is None]
            for name in names
            if draw in MEASUREMENTS[name].draws
        }
        for source in {id(MEASUREMENTS[name].words): MEASUREMENTS[name].words for name in lacking}.values():
            mine = {n: some for n, some in lacking.items() if some and MEASUREMENTS[n].words is source}
            if mine:
                _measure(model, mine, source(draw), draw)


def sum_up(name: str) -> None:
    """Write `stored/NAME.json` from what the cache has of a measurement."""
    measurement, rows = MEASUREMENTS[name], []
    seen: set[int] = set()
    copies: set[str] = set()
    for layer in measurement.layers:
        kept = {draw: _kept(name, draw, layer) for draw in measurement.draws}
        found = {draw: one["found"] for draw, one in kept.items() if one is not None}
        seen |= set(found)
        copies |= {one["copy"] for one in kept.values() if one is not None}
        if found:
            rows += rows_of(found, layer, measurement.minus) if measurement.tallied else _plain(found, layer)
    if not rows:
        return
    about = {
        "measurement": name,
        "model": f"{MODEL}, {' and '.join(sorted(copies))}",
        "data": _data(name),
        "draws": sorted(seen),
        "settings": json.loads(json.dumps(measurement.settings)),
    }
    write_rows(STORED / f"{name}.json", about, rows)


def untrained(model: LanguageModel, seed: int) -> LanguageModel:
    """A copy of the same shape with fresh weights."""
    return dataclasses.replace(
        model, name=f"{model.name}, untrained", net=Llama(model.net.shape, seed).eval()
    )


def _measure(
    model: LanguageModel, lacking: Mapping[str, Sequence[int | str]], drawn: words.Words, draw: int
) -> None:
    parts = {part for name in lacking for part in MEASUREMENTS[name].parts}
    wanted = {
        need for name, some in lacking.items() for layer in some for need in MEASUREMENTS[name].needs(layer)
    }
    started = time.time()
    layers = words.features(model, drawn, sorted(wanted), sorted(parts - {"untrained"}))
    if "untrained" in parts:
        for layer, found in words.features(untrained(model, draw), drawn, sorted(wanted), ["pre"]).items():
            layers[layer]["untrained"] = found["pre"]
    print(f"draw {draw}, layers {sorted(wanted)}: recorded in {time.time() - started:.0f} s", flush=True)
    for name, some in lacking.items():
        for layer in some:
            started = time.time()
            found = MEASUREMENTS[name].run(layers, drawn, draw, layer)
            settings = json.loads(json.dumps(MEASUREMENTS[name].settings))
            seconds = round(time.time() - started, 1)
            kept = {"copy": model.about, "settings": settings, "seconds": seconds, "found": found}
            write_json(_path(name, draw, layer), kept)
            print(f"draw {draw}, {name}, {layer}: {seconds:.0f} s", flush=True)


def _order(draws: Sequence[int]) -> Iterator[tuple[int, tuple[int, ...]]]:
    for draw in draws:
        yield draw, LAYERS
    rest = [layer for layer in range(30) if layer not in LAYERS]
    for first in range(0, len(rest), 6):
        yield draws[0], tuple(rest[first : first + 6])


def _layers(name: str, some: Sequence[int]) -> list[int | str]:
    stack = [STACK] if tuple(some) == LAYERS else []
    return [layer for layer in MEASUREMENTS[name].layers if layer in (*some, *stack)]


def _data(name: str) -> dict[str, str]:
    """Checksums of the texts that a measurement reads."""
    found = {f"ud-ewt-{part}": ud_ewt(part).checksum for part in ("train", "test")}
    if MEASUREMENTS[name].words is draw_states:
        found["tiny-stories"] = hashlib.sha256("\n".join(tiny_stories()).encode()).hexdigest()
    return found


def _plain(found: Mapping[int, dict], layer: int | str) -> list[dict]:
    """Rows of numbers that are no shares: their mean over draws, and each draw's."""
    first = found[min(found)]
    return [
        {
            "layer": layer,
            "representation": name,
            "statistic": statistic,
            "value": round(float(np.mean([one[name][statistic] for one in found.values()])), 6),
            "draws": [round(found[draw][name][statistic], 6) for draw in sorted(found)],
        }
        for name in first
        for statistic in first[name]
    ]


def _path(name: str, draw: int, layer: int | str) -> Path:
    return cache_folder("language") / MODEL / name / f"draw-{draw}-layer-{layer}.json".replace(" ", "-")


def _kept(name: str, draw: int, layer: int | str) -> dict | None:
    """What the cache has, unless it was measured with other settings."""
    path = _path(name, draw, layer)
    if not path.is_file():
        return None
    kept = json.loads(path.read_text(encoding="utf-8"))
    return kept if kept["settings"] == json.loads(json.dumps(MEASUREMENTS[name].settings)) else None


@lru_cache(maxsize=1)
def _model() -> LanguageModel:
    return language_model(MODEL)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(MEASUREMENTS)}")
    parser.add_argument("--draws", nargs="+", type=int, choices=DRAWS, default=list(DRAWS))
    parser.add_argument("--sum-up", action="store_true", help="only sum up what the cache has")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in MEASUREMENTS]
    if unknown:
        parser.error(f"there is no measurement {unknown[0]!r}; expected some of {', '.join(MEASUREMENTS)}")
    names = asked.names or list(MEASUREMENTS)
    if not asked.sum_up:
        run_missing(names, asked.draws)
    for name in names:
        sum_up(name)


if __name__ == "__main__":
    main()
