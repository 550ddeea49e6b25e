"""Genres and topics of texts: the run on a language model, draw by draw, layer by layer.

Sizes, fixed before any result was seen, for time: 60 training and 40 test sentences of each genre a draw; 40
texts of 48 tokens for each topic, sampled once, of which draws choose the wordings that train.

    PYTHONPATH=.:notebooks python notebooks/measures/topical.py genres:0,1,2,3,4 written:0,1,2,3,4

measures what the cache lacks and may be killed at any time.
"""

import json
import sys
from pathlib import Path

import numpy as np

from measures import topics
from measures.outcomes import write_json
from measures.plan import LAYERS
from measures.words import features
from splinelab.data import cache_folder
from splinelab.nets import Llama
from splinelab.probes import random_bits
from splinelab.zoo.language import LanguageModel, language_model

COPIES, LENGTH = 10, 48  # texts of each wording of each topic, and their tokens


def views(layer: dict[str, np.ndarray], train: np.ndarray, *, seed: int) -> dict[str, np.ndarray]:
    """What is pooled: view → words × units. Random bits are as many as the gate has units, by `seed`."""
    units, residual = layer["pre"].shape[1], layer["residual"]
    return {
        "gate code": layer["pre"] > 0,
        "residual": residual,
        "SwiGLU output": layer["swiglu"],
        "random bits": random_bits(residual[train], residual, units, seed=seed)[1].bits(),
    }


def written(model: LanguageModel, place: Path) -> tuple[list[str], list[str]]:
    """Prompts and what the model wrote after them, sampled once (seed 0) and kept in `place`."""
    prompts = [w.format(t) for t in topics.TOPICS for w in topics.WORDINGS for _ in range(COPIES)]
    if not place.exists():
        net, tokenizer = model.net, model.tokenizer
        if not isinstance(net, Llama):
            raise TypeError(f"{model.name} is a {type(net).__name__}; expected a nets.Llama to sample from")
        begin = [min(tokenizer.special)]
        ids = [begin + tokenizer.encode(prompt).ids for prompt in prompts]
        tokens = topics.continued(net, ids, LENGTH, never=tokenizer.special, seed=0)
        write_json(place, {"prompts": prompts, "texts": [tokenizer.decode(some) for some in tokens]})
    kept = json.loads(place.read_text(encoding="utf-8"))
    return kept["prompts"], kept["texts"]


def measured(layer: dict[str, np.ndarray], texts: topics.Texts, draw: int, *, by_text: bool) -> dict:
    """Accuracies by view and pool, and of word counts alone."""
    seen = views(layer, texts.words.train, seed=draw)
    return topics.measure(seen, texts, seed=draw, by_text=by_text)


def words_alone(texts: topics.Texts, draw: int, *, by_text: bool) -> dict:
    """The same of counts of words."""
    right = topics.correct(topics.word_counts(texts), texts, seed=draw)
    return topics.drawn(right, texts, seed=draw, by_text=by_text)


def run(name: str, draws: list[int]) -> None:
    """Measure what the cache lacks of "genres" or "written"."""
    folder = cache_folder("language") / "topics"
    folder.mkdir(parents=True, exist_ok=True)
    by_text = name == "written"
    model: LanguageModel | None = None
    for draw in draws:
        missing = [layer for layer in LAYERS if not _place(folder, name, draw, layer).exists()]
        if not missing:
            continue
        model = model or language_model("SmolLM2-135M")
        if by_text:
            texts = topics.written_texts(*written(model, folder / "texts.json"), draw)
        else:
            texts = topics.genre_texts(draw)
        alone = words_alone(texts, draw, by_text=by_text)
        recorded = features(model, texts.words, missing, ("residual", "pre", "swiglu"))
        print(f"{name}, draw {draw}: {len(texts.words)} words recorded", flush=True)
        for layer in missing:
            found = measured(recorded.pop(layer), texts, draw, by_text=by_text)
            write_json(_place(folder, name, draw, layer), {**found, "words alone": alone})
            print(f"{name}, draw {draw}, layer {layer}", flush=True)


def _place(folder: Path, name: str, draw: int, layer: int) -> Path:
    return folder / f"{name}-{draw}-{layer}.json"


if __name__ == "__main__":
    for one in sys.argv[1:]:
        run(*one.split(":")[:1], [int(draw) for draw in one.split(":")[1].split(",")])
