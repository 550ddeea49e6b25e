"""What every chapter on spline codes holds equal: the images, the ways to compare two of them, the intervals.

The source (*spline-clustering-mnist*, Experiment 1) compares Jaccard and Hamming distance on stacked spline
codes with L2 and cosine distance on stacked `nn.Linear` outputs. The other comparisons are fair baselines.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from torch import nn

from splinelab import zoo
from splinelab._jobs import in_two
from splinelab.codes import SplineCodes
from splinelab.data import Dataset, protocol_split, stratified_split
from splinelab.distances import Bootstrap, bootstrap, pairwise
from splinelab.errors import InputError
from splinelab.recording import Recording, record
from splinelab.training import build, fit

__all__ = [
    "COMPARISONS",
    "LAYERS",
    "compare",
    "distance_matrices",
    "evaluation_images",
    "in_parallel",
    "logit_margin",
    "nets",
    "resampled",
    "sample",
    "views",
]

#: Name of a comparison → the view it looks at (see `views`) and its metric.
COMPARISONS = {
    "Jaccard": ("codes", "jaccard"),
    "Hamming": ("codes", "hamming"),
    "L2 linear": ("linear", "l2"),
    "cosine linear": ("linear", "cosine"),
    "cosine standardised": ("standardised", "cosine"),
    "cosine post-ReLU": ("post-ReLU", "cosine"),
    "cosine logits": ("logits", "cosine"),
}

#: The layers of the convolutional nets at which activation space is looked at: everything passes them.
LAYERS = {
    "CNN": ("input", "relu1", "pool2", "pool3", "relu4", "relu5"),
    "RES": ("input", "stem", "block1", "block2"),
    "resnet20": ("input", "layer1", "layer2", "layer3.1"),
    "resnet56": ("input", "layer1", "layer2", "layer3.7"),
}

#: Steps of training where the zoo has no net: enough for a look, not for a figure of the book.
SMALL_BUDGET = 400


def evaluation_images(dataset: Dataset, n: int = 500) -> dict[str, Dataset]:
    """`n` training and `n` held-out images of the protocol's split, the same for all nets, losses and seeds.

    Both are stratified by class; where a part holds fewer than `n` images, all of them are taken. The key
    "training" holds images that the nets were fitted to, "held-out" images that they never saw.
    """
    split = protocol_split(dataset)
    parts = {"training": dataset.take(split.train), "held-out": dataset.take(split.heldout)}
    return {name: sample(part, n) for name, part in parts.items()}


def sample(dataset: Dataset, n: int) -> Dataset:
    """`n` images, stratified by class and always the same; all of them where there are fewer."""
    return dataset.take(stratified_split(dataset, min(n, len(dataset)), seed=0).train)


def views(recording: Recording) -> dict[str, SplineCodes | np.ndarray]:
    """The ways to look at one recording, each with one row per sample.

    codes: the spline codes of all layers; linear: stacked outputs of all linear layers, logits included, as
    the source takes them; standardised: the same with mean 0 and standard deviation 1 per unit; post-ReLU:
    stacked activations after the ReLUs; unit length: these divided by their L2 norm; logits.
    """
    linear = recording.stack("pre", output=True)
    post = recording.stack("post")
    spread = linear.std(axis=0)
    length = np.linalg.norm(post, axis=1, keepdims=True)
    return {
        "codes": recording.codes,
        "linear": linear,
        "standardised": (linear - linear.mean(axis=0)) / np.where(spread > 0, spread, 1),
        "post-ReLU": post,
        "unit length": post / np.where(length > 0, length, 1),
        "logits": recording.output,
    }


def logit_margin(output: np.ndarray) -> np.ndarray:
    """How far the largest output lies above the second largest, by sample: small where a net is uncertain.

    Softmax entropy would say nothing about nets trained with mean squared error, whose outputs lie in [0, 1].
    """
    top = np.partition(output, -2, axis=1)[:, -2:]
    return top[:, 1] - top[:, 0]


def nets(name: str, seeds: Iterable[int], dataset: Dataset) -> list[nn.Module]:
    """One net per seed: the zoo's where it has them, else the same recipe trained for `SMALL_BUDGET` steps.

    The zoo's nets belong to the data set and the seeds that they were trained with. `"untrained"` is GA-mse
    before its first step and exists for every seed.
    """
    if name == "untrained":
        recipe = zoo.recipe("GA-mse", dataset=dataset.name)
        return [build(recipe, seed).eval() for seed in seeds]
    entry = zoo.entry(name)
    shipped = entry.seeds if dataset.name == entry.recipe.dataset else ()
    return [
        zoo.load(name, seed) if seed in shipped else _small(name, seed, dataset.name, SMALL_BUDGET)
        for seed in seeds
    ]


@lru_cache(maxsize=64)  # a chapter asks for the same net in several places
def _small(name: str, seed: int, dataset: str, steps: int) -> nn.Module:
    return fit(zoo.recipe(name, dataset=dataset, steps=steps).replace(evaluations=2), seed).net


def distance_matrices(
    looks: Mapping[str, SplineCodes | np.ndarray], comparisons: Iterable[str] = tuple(COMPARISONS)
) -> dict[str, np.ndarray]:
    """For each comparison, the n × n matrix of distances between the samples of `views(recording)`."""
    unknown = [name for name in comparisons if name not in COMPARISONS]
    if unknown:
        raise InputError(f"there is no comparison {unknown}; expected some of {list(COMPARISONS)}")
    chosen = {name: COMPARISONS[name] for name in comparisons}
    return {name: pairwise(looks[view], metric=metric) for name, (view, metric) in chosen.items()}


def in_parallel(function: Callable, jobs: Mapping[Hashable, tuple]) -> dict[Hashable, Any]:
    """`function(*arguments)` for every tuple of arguments in `jobs`; results by key.

    In two processes, unless joblib is configured: then with that number of them, or on that cluster.
    """
    return dict(zip(jobs, in_two(function, jobs.values()), strict=True))


def resampled(
    statistic: Callable[..., float],
    *measured: np.ndarray,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float, float]:
    """A statistic and its percentile interval over images and nets: (value, low, high).

    Each array of `measured` is seeds × images (or × pairs of disjoint images), all of one shape. A draw takes
    seeds and images with replacement, the same for all arrays, and hands the drawn arrays to `statistic`.
    Draws in which it is not finite (nothing to divide by) are left out.
    """
    arrays = [np.asarray(values, np.float64) for values in measured]
    if not arrays or arrays[0].ndim != 2 or any(values.shape != arrays[0].shape for values in arrays):
        shapes = [values.shape for values in arrays]
        raise InputError(f"resampled got arrays of shapes {shapes}; expected one shape, seeds × images")
    rng = np.random.default_rng(seed)
    nets_, images = arrays[0].shape
    draws = []
    for _ in range(resamples):
        some = np.ix_(rng.integers(nets_, size=nets_), rng.integers(images, size=images))
        draws.append(statistic(*(values[some] for values in arrays)))
    draws = np.asarray(draws)[np.isfinite(draws)]
    value = float(statistic(*arrays))
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail]) if len(draws) else (np.nan, np.nan)
    return value, float(min(low, value)), float(max(high, value))


def compare(
    models: Sequence[nn.Module],
    images: Dataset,
    comparisons: Iterable[str] = tuple(COMPARISONS),
    *,
    resamples: int = 400,
    seed: int = 0,
) -> Bootstrap:
    """How well each comparison separates the classes of `images`, over the nets of one arm.

    The bootstrap draws images and nets (one per training seed) with replacement, the same for every
    comparison and, with the same `seed`, for every arm, so that differences are paired.
    """
    comparisons = tuple(comparisons)
    stacks: dict[str, list[np.ndarray]] = {name: [] for name in comparisons}
    for model in models:
        for name, matrix in distance_matrices(views(record(model, images)), comparisons).items():
            stacks[name].append(matrix)
    return bootstrap(stacks, images.labels, resamples=resamples, seed=seed)
