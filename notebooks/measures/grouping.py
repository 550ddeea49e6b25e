"""Distances, clusters and shared bits of words: the run on a language model, draw by draw, layer by layer.

Sizes, fixed before any result was seen, for time: 1,500 test words a draw, and 1,500 training words of the
same draw, which give only the mean, the covariance, the medians and the shared bits; 200 resamples of
sentences; 20 shuffles; NMF at layers 4 and 19 of draw 0 only. The untrained copy's weights and the random
projections are drawn by the draw's seed.

    PYTHONPATH=.:notebooks python notebooks/measures/grouping.py 0 1 2 3 4

measures what the cache lacks and may be killed at any time.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from measures import apart, groups, shared
from measures.language import untrained
from measures.outcomes import write_json
from measures.plan import LAYERS
from measures.words import TAGS, Words, draw_words, features
from splinelab.data import cache_folder
from splinelab.distances import pairwise
from splinelab.probes import random_bits
from splinelab.zoo.language import LanguageModel, language_model

TRAIN = TEST = 1500
NMF_LAYERS = (4, 19)
PARTS = ("residual", "normed", "pre", "swiglu")
#: What is clustered, names of `apart.matrices`; of these, what is also grouped at the sizes of the gate code's
#: clusters.
CLUSTERED = (
    "gate code, Jaccard", "gate code, Hamming", "residual, centred cosine", "pre, centred cosine",
    "random bits, Jaccard", "random bits, Hamming", "untrained copy, Jaccard", "untrained copy, Hamming",
    "code at medians, Jaccard", "code at medians, Hamming", "code of equal counts, Hamming",
)  # fmt: skip
MATCHED = CLUSTERED[:7]
#: Views that are there to explain Hamming distance: they are clustered, and not compared by pairs.
ONLY_CLUSTERED = ("code at medians", "code of equal counts")

#: Random bits → what is projected.
RANDOM = {"random bits": "residual", "random bits of the gate's input": "normed"}

Layer = dict[str, np.ndarray]


def record_draw(model: LanguageModel, draw: int, words: Words) -> dict[int, Layer]:
    """The features of one draw by layer, and the "untrained" copy's gate pre-activations at test words."""
    found = features(model, words, LAYERS, PARTS)
    test = np.unique(words.sentence[~words.train])
    kept = ~words.train
    few = Words(
        [words.texts[at] for at in test], [words.spans[at] for at in test],
        np.searchsorted(test, words.sentence[kept]), words.place[kept], words.words[kept], words.tags[kept],
        words.train[kept],
    )  # fmt: skip
    for layer, parts in features(untrained(model, draw), few, LAYERS, ("pre",)).items():
        found[layer]["untrained"] = parts["pre"]
    return found


def views(layer: Layer, train: np.ndarray, *, seed: int) -> tuple[dict, dict]:
    """The vectors and the bits of a layer's test words, as `apart.matrices` takes them.

    layer : part → words × units; train : bool, which of the words are training words; seed : of the random
    projections, as many as the gate has units.
    """
    units = layer["pre"].shape[1]
    pre, pre_train = layer["pre"][~train], layer["pre"][train]
    vectors = {
        name: (layer[part][train], layer[part][~train])
        for name, part in (("residual", "residual"), ("pre", "pre"), ("SwiGLU output", "swiglu"))
    }
    count = round(float((pre_train > 0).sum(axis=1).mean()))
    bits = {
        "gate code": pre > 0,
        **{name: _projected(layer[part], train, units, seed) for name, part in RANDOM.items()},
        "untrained copy": layer["untrained"] > 0,
        "code at medians": pre > np.median(pre_train, axis=0),
        "code of equal counts": groups.equal_counts(pre, count),
    }
    return vectors, bits


def _projected(x: np.ndarray, train: np.ndarray, units: int, seed: int) -> np.ndarray:
    return random_bits(x[train], x[~train], units, seed=seed)[1].bits().astype(bool)


def distances_and_clusters(
    vectors: Mapping, bits: Mapping, words: np.ndarray, tags: np.ndarray, sentences: np.ndarray, *,
    seed: int = 0, resamples: int = 200,
) -> dict[str, dict]:  # fmt: skip
    """Distances and clusters of one layer's words, under "distances" and "clusters".

    The clusters of each clustered distance are summed up as HDBSCAN finds them ("hdbscan"), and as tight
    groups of the sizes that HDBSCAN finds on the gate's code by Jaccard and by Hamming distance ("sizes of
    Jaccard", "sizes of Hamming"). "why" says what Hamming distance sees, "ties" what breaking them changes.
    """
    among = apart.pairs(words, tags, sentences)
    weights = apart.draws_of(among.sentences, resamples, seed)
    of_words = weights[:, np.unique(sentences, return_inverse=True)[1]]
    code = bits["gate code"]
    both = {metric: groups.density_clusters(matrix) for metric, matrix in apart.bit_distances(code).items()}
    distances: dict[str, dict] = {}
    clusters: dict[str, dict] = {key: {} for key in ("hdbscan", "sizes of Jaccard", "sizes of Hamming")}
    for name, matrix in apart.matrices(vectors, bits):
        if not name.startswith(ONLY_CLUSTERED):
            distances[name] = apart.separation(matrix, among, weights)
        if name in CLUSTERED:
            clusters["hdbscan"][name] = groups.summary(groups.density_clusters(matrix), words, tags, of_words)
        if name in MATCHED:
            order = groups.nearest_first(matrix)
            for metric, labels in both.items():
                same_sizes = groups.tight_groups(matrix, groups.sizes_of(labels), order)
                clusters[f"sizes of {metric}"][name] = groups.summary(same_sizes, words, tags, of_words)
    apart_now = groups.tied_apart(pairwise(code, metric="hamming"), 1 / code.shape[1], seed=seed)
    ties = groups.summary(groups.density_clusters(apart_now), words, tags, of_words)
    clusters |= {"why": groups.why_hamming(code, both), "ties": ties}
    clusters["labels"] = {metric: labels.tolist() for metric, labels in both.items()}
    return {"distances": distances, "clusters": clusters}


def shared_and_merged(
    layer: Layer,
    vectors: Mapping,
    bits: Mapping,
    words: Words,
    *,
    seed: int,
    resamples: int = 200,
) -> dict[str, dict]:
    """What bits tags share, and how k-means merges or splits them, under "shared" and "merging"."""
    units, train, tags = layer["pre"].shape[1], words.train, np.array(TAGS)[words.tags]
    found: dict[str, dict] = {"shared": {}, "merging": {}}
    _, sentence = np.unique(words.sentence[~train], return_inverse=True)
    weights = apart.draws_of(int(sentence.max()) + 1, resamples, seed)[:, sentence]
    of_all = {"gate code": layer["pre"] > 0}
    for name, part in RANDOM.items():
        both = random_bits(layer[part][train], layer[part], units, seed=seed)[1]
        of_all[name] = both.bits().astype(bool)
    for name, some in of_all.items():
        parts = [(some[mask], words.words[mask], tags[mask]) for mask in (train, ~train)]
        found["shared"][name] = shared.summary(*parts, seed=seed)
    for name, (_, x) in vectors.items():
        if name == "pre":
            continue
        found["merging"][name] = groups.merging(x, tags[~train], weights, seed=seed)
    for name, some in bits.items():
        if not name.startswith(ONLY_CLUSTERED):
            found["merging"][name] = groups.merging(some, tags[~train], weights, seed=seed)
    return found


def directions(pre: np.ndarray, words: np.ndarray, tags: np.ndarray, labels: Mapping[str, np.ndarray], *,
               seed: int) -> dict[str, dict]:  # fmt: skip
    """The essay's figure in numbers: 64 NMF directions of the gate's activations (SiLU, negative ones set to
    0), beside 64 of its units and the activations at 64 words, both drawn at random, by `groups.along`."""
    active = np.maximum(pre, 0) / (1 + np.exp(-np.maximum(pre, 0)))
    rng = np.random.default_rng([seed, 64])
    units = rng.choice(np.flatnonzero(active.any(axis=0)), 64, replace=False)
    chosen = {
        "NMF": groups.factors(active, 64, seed=seed),
        "single units": np.eye(active.shape[1])[units],
        "single words": active[rng.choice(len(active), 64, replace=False)],
    }
    return {
        f"{name}, clusters by {metric}": groups.along(some, active, words, tags, clusters)
        for name, some in chosen.items()
        for metric, clusters in labels.items()
    }


def run(draws: list[int], name: str = "SmolLM2-135M") -> None:
    """Measure what is missing, one file per measurement, draw and layer in the cache."""
    folder = cache_folder("language") / "groups"
    folder.mkdir(parents=True, exist_ok=True)
    model = None
    for draw in draws:
        missing = [layer for layer in LAYERS if not _place(folder, "merging", draw, layer).exists()]
        if not missing:
            continue
        words = draw_words(draw, TRAIN, TEST)
        at = {layer: folder / f"features-{draw}-{layer}.npz" for layer in LAYERS}
        if not all(at[layer].exists() for layer in missing):
            model = model or language_model(name)
            for layer, parts in record_draw(model, draw, words).items():
                np.savez(at[layer], **parts)
            print(f"draw {draw}: {len(words)} words recorded", flush=True)
        for layer in missing:
            with np.load(at[layer]) as file:
                parts = dict(file)
            for kind, found in measured(parts, words, draw, nmf=draw == 0 and layer in NMF_LAYERS).items():
                write_json(_place(folder, kind, draw, layer), found)
            at[layer].unlink()
            print(f"draw {draw}, layer {layer}", flush=True)


def measured(parts: Layer, words: Words, draw: int, *, nmf: bool = False) -> dict[str, dict]:
    """All that is measured of one layer, whose `parts` are given, and one draw, by the measurement's name."""
    test, names = ~words.train, np.array(TAGS)[words.tags]
    vectors, bits = views(parts, words.train, seed=draw)
    found = distances_and_clusters(
        vectors, bits, words.words[test], names[test], words.sentence[test], seed=draw
    )
    found |= shared_and_merged(parts, vectors, bits, words, seed=draw)
    if nmf:
        labels = {name: np.array(some) for name, some in found["clusters"]["labels"].items()}
        found["directions"] = directions(
            parts["pre"][test], words.words[test], names[test], labels, seed=draw
        )
    sentences = len(np.unique(words.sentence[test]))
    for kind in found.values():
        kind["n"] = {"words": int(test.sum()), "sentences": sentences}
    found["merging"] = found.pop("merging")  # written last: it says that all of the layer is there
    return found


def _place(folder: Path, kind: str, draw: int, layer: int) -> Path:
    return folder / f"{kind}-{draw}-{layer}.json"


if __name__ == "__main__":
    run([int(draw) for draw in sys.argv[1:]] or list(range(5)))
