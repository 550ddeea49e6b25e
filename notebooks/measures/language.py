"""Runs the measurements of chapter 10 on SmolLM2-135M, and sums them up into `stored/NAME.json`.

    PYTHONPATH=notebooks python -m measures.language [NAME …] [--draws 0 1]

Each draw and layer is kept in the cache as soon as it is there, so that a run that was killed goes on where
it stopped. Without names, all. Settings that changed make a measurement run anew.
"""

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from measures import states, tags, thresholds, words
from measures.outcomes import rows_of, write_json, write_rows
from splinelab.data import cache_folder, ud_ewt
from splinelab.nets import Llama
from splinelab.zoo.language import LanguageModel, language_model

MODEL = "SmolLM2-135M"
LAYERS = (4, 9, 14, 19, 24, 29)
DRAWS = (0, 1, 2, 3, 4)
STACK = "six layers stacked"
STORED = Path(__file__).parent / "stored"
Layer = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Measurement:
    """What is measured, on which layers and draws.

    run : (the layers' parts, by layer; words; draw; layer) → what is kept. For the stack, all six layers.
    words : draw → the words. parts : what `words.features` is to record; "untrained" for the untrained copy.
    minus : pairs of representations whose differences are summed up. settings : what the figures depend on.
    """

    run: Callable[[Mapping[int, Layer], words.Words, int, int | str], dict]
    words: Callable[[int], words.Words]
    parts: tuple[str, ...]
    layers: tuple[int | str, ...] = LAYERS
    draws: tuple[int, ...] = DRAWS
    minus: tuple[tuple[str, str], ...] = ()
    settings: tuple = ()
    tallied: bool = True

    def needs(self, layer: int | str) -> tuple[int, ...]:
        """The layers that a layer's measurement reads."""
        return LAYERS if isinstance(layer, str) else (layer,)


def _tags(names: Sequence[str], control: bool) -> Callable[..., dict]:
    def run(layers: Mapping[int, Layer], drawn: words.Words, draw: int, layer: int | str) -> dict:
        if layer == STACK:
            chosen = {name: tags.stacked(name, layers, drawn.train, seed=draw) for name in names}
        else:
            seed, one = 1000 * draw + int(layer), layers[int(layer)]
            chosen = {name: tags.represented(name, one, drawn.train, seed=seed) for name in names}
        return tags.parts_of_speech(chosen, drawn, seed=draw, control=control)

    return run


def _one(measure: Callable[..., dict]) -> Callable[..., dict]:
    def run(layers: Mapping[int, Layer], drawn: words.Words, draw: int, layer: int | str) -> dict:
        return measure(layers[int(layer)], drawn, seed=1000 * draw + int(layer))

    return run


def _against(one: str, others: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((one, other) for other in others if other != one)


_PROBED = (tags.DECAYS, tags.TOLERANCE)
_GATE = _against("gate code", (*tags.REPRESENTATIONS, "word alone"))
_ALL = ("residual", "normed", "pre", "up", "swiglu")
_NO_UP = ("residual", "normed", "pre", "swiglu")
MEASUREMENTS = {
    "tags": Measurement(
        _tags(tags.REPRESENTATIONS, True), words.draw_words, (*_ALL, "untrained"), minus=_GATE, settings=_PROBED,
    ),
    "thresholds": Measurement(
        _one(thresholds.thresholds), words.draw_words, ("pre",), settings=_PROBED,
        minus=tuple((name, "zero") for name in (*thresholds.FIXED, "median", "two classes", "most telling"))[1:],
    ),
    "modes": Measurement(
        _one(thresholds.modes), words.draw_words, ("residual", "normed", "pre", "up"), tallied=False
    ),
    "bits": Measurement(
        _one(tags.bits_needed), words.draw_words, ("residual", "pre"), layers=(9, 19),
        settings=(*_PROBED, tags.BITS),
        minus=tuple(
            (f"{name}, {count} bits", f"random bits, {count} bits")
            for name in ("gate code", "gate code, most telling first") for count in tags.BITS
        ),
    ),
    "samples": Measurement(
        _one(tags.sample_efficiency), words.draw_words, _NO_UP, layers=(9, 19),
        settings=(tags.DECAY, tags.TOLERANCE, tags.SAMPLES),
        minus=tuple(
            (f"gate code, {count} words", f"{name}, {count} words")
            for name in tags.FEW if name != "gate code" for count in tags.SAMPLES
        ),
    ),
    "states": Measurement(
        _one(states.states), states.draw_states, _NO_UP, settings=(*_PROBED, states.SIZES),
        minus=tuple(
            (f"{state}: gate code", f"{state}: {name}")
            for state in states.STATES for name in (*states.REPRESENTATIONS, "word alone") if name != "gate code"
        ),
    ),
    "stack": Measurement(
        _tags(tags.FEW, False), words.draw_words, _NO_UP, layers=(STACK,), minus=_against("gate code", tags.FEW),
        settings=_PROBED,
    ),
    "all-layers": Measurement(
        _tags(tags.FEW, False), words.draw_words, _NO_UP, layers=tuple(range(30)), draws=(0,),
        minus=_against("gate code", tags.FEW), settings=_PROBED,
    ),
}  # fmt: skip


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
    measurement, rows, seen = MEASUREMENTS[name], [], set()
    for layer in measurement.layers:
        kept = {draw: _kept(name, draw, layer) for draw in measurement.draws}
        found = {draw: one["found"] for draw, one in kept.items() if one is not None}
        seen |= set(found)
        if found:
            rows += rows_of(found, layer, measurement.minus) if measurement.tallied else _plain(found, layer)
    if not rows:
        return
    about = {
        "measurement": name,
        "model": f"{MODEL}, {_model().about}",
        "data": {part: ud_ewt(part).checksum for part in ("train", "test")},
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
            write_json(_path(name, draw, layer), {"settings": settings, "seconds": seconds, "found": found})
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
    parser.add_argument("names", nargs="*", choices=[*MEASUREMENTS, []], metavar="NAME", help="default: all")
    parser.add_argument("--draws", nargs="+", type=int, choices=DRAWS, default=list(DRAWS))
    asked = parser.parse_args()
    names = asked.names or list(MEASUREMENTS)
    run_missing(names, asked.draws)
    for name in names:
        sum_up(name)


if __name__ == "__main__":
    main()
