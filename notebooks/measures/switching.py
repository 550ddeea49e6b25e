"""Gate switches between words of stories: the run on a story model, draw by draw, layer by layer.

A draw takes 3,000 pairs of words of one tag and as many of two, and by its seed random directions and the
untrained copy's weights. Sequences are the first 100 of the held-out sample; all draws share them. (Fixed
before any result was seen, for time.)

    PYTHONPATH=.:notebooks python notebooks/measures/switching.py story

measures what the cache lacks and may be killed at any time.
"""

import sys

import numpy as np

from measures import switches
from measures.outcomes import write_json
from splinelab.data import cache_folder
from splinelab.nets import Llama
from splinelab.zoo.language import language_model
from splinelab.zoo.story_model import story_text

DRAWS = range(5)
PAIRS, SEQUENCES = 3000, 100


def measured(
    net: Llama, at_words: np.ndarray, words: switches.StoryWords, tokens: np.ndarray, layer: int, *, draw: int,
    pairs: int = PAIRS,
) -> dict[str, dict]:  # fmt: skip
    """`switches.summary` of one layer, whose residual stream before the MLP is given at the words.

    For its gate; for as many random directions through 0, as the gate's go, and through the words' mean; and
    for the gate of an untrained copy, on its own activations.
    """
    rows = switches.gate_rows(net, layer)
    ways = np.random.default_rng([draw, layer]).standard_normal(rows.shape)
    fresh = Llama(net.shape, draw).eval()
    cases = {
        "gate": (rows, at_words),
        "random directions": (ways, at_words),
        "random directions, centred": (ways, at_words - at_words.mean(axis=0)),
        "untrained": (switches.gate_rows(fresh, layer), switches.before_mlp(fresh, tokens, layer, words)),
    }
    found = {name: switches.summary(*case, words, pairs=pairs, seed=draw) for name, case in cases.items()}
    return {**found, "n": {"words": len(words), "sentences": len(tokens)}}


def run(name: str, tokens: np.ndarray) -> None:
    """Measure what the cache lacks of the story model of this name."""
    model = language_model(name)
    words = switches.story_words(tokens, [model.tokenizer.text(i) for i in range(len(model.tokenizer))])
    folder = cache_folder("language") / "switches" / name
    folder.mkdir(parents=True, exist_ok=True)
    for layer in range(len(model.net.model.layers)):
        places = {draw: folder / f"switches-{draw}-{layer}.json" for draw in DRAWS}
        missing = [draw for draw in DRAWS if not places[draw].exists()]
        at_words = switches.before_mlp(model.net, tokens, layer, words) if missing else None
        for draw in missing:
            found = measured(model.net, at_words, words, tokens, layer, draw=draw)
            write_json(places[draw], found)
            print(f"switches, draw {draw}, layer {layer}", flush=True)


if __name__ == "__main__":
    run(sys.argv[1], story_text()[:SEQUENCES].astype(np.int64))
