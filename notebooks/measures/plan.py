"""What the chapter on language will measure on SmolLM2-135M: of which words, on which layers and draws."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from measures import states, tags, thresholds, words

LAYERS = (4, 9, 14, 19, 24, 29)
DRAWS = (0, 1, 2, 3, 4)
STACK = "six layers stacked"
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


def _tags(names: Sequence[str], control: bool, decays: Sequence[float] = tags.DECAYS) -> Callable[..., dict]:
    def run(layers: Mapping[int, Layer], drawn: words.Words, draw: int, layer: int | str) -> dict:
        if layer == STACK:
            chosen = {name: tags.stacked(name, layers, drawn.train, seed=draw) for name in names}
        else:
            seed, one = 1000 * draw + int(layer), layers[int(layer)]
            chosen = {name: tags.represented(name, one, drawn.train, seed=seed) for name in names}
        return tags.parts_of_speech(chosen, drawn, seed=draw, control=control, decays=decays)

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
    "one-decay": Measurement(
        _tags(tags.REPRESENTATIONS, True, (tags.DECAY,)), words.draw_words, (*_ALL, "untrained"), minus=_GATE,
        settings=(tags.DECAY, tags.TOLERANCE),
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
