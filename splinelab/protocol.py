"""What every chapter on spline codes holds equal: the images, the ways to compare two of them, the intervals.

The source (*spline-clustering-mnist*, Experiment 1) compares Jaccard and Hamming distance on stacked spline
codes with L2 and cosine distance on stacked `nn.Linear` outputs. The other comparisons are fair baselines.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from torch import nn

from splinelab import zoo
from splinelab._arguments import check_seed, check_whole
from splinelab._jobs import in_two
from splinelab.clustering.doubt import least_pure, logit_margin, majority_classes, margin_drop
from splinelab.codes import SplineCodes
from splinelab.data import Dataset, mnist5k, mnist_at_hand, protocol_split, stratified_split
from splinelab.distances import Bootstrap, bootstrap, pairwise
from splinelab.errors import InputError
from splinelab.recording import Recording, record
from splinelab.training import build, fit, training_data

_Key = TypeVar("_Key", bound=Hashable)

__all__ = [
    "ARMS",
    "COMPARISONS",
    "LAYERS",
    "compare",
    "distance_matrices",
    "evaluation_images",
    "images_of",
    "in_parallel",
    "in_words",
    "least_pure",
    "logit_margin",
    "majority_classes",
    "margin_drop",
    "nets",
    "places",
    "sample",
    "views",
]

#: The zoo's name of an arm → what readers call it, with its loss.
ARMS = {
    "G": "delayed, MSE",
    "GCE": "delayed, cross-entropy",
    "GA-mse": "long-trained, MSE",
    "GA-ce": "long-trained, cross-entropy",
    "N-mse": "ordinary, MSE",
    "N-ce": "ordinary, cross-entropy",
    "U": "undercooked, MSE",
    "G-memorised": "delayed, MSE, when it had memorised",
    "G-slow": "delayed, MSE, a tenth of the learning rate",
    "G-dropout": "delayed, MSE, dropout of .1",
    "N4k-mse": "ordinary, MSE, 4,000 images",
    "full-mse": "ordinary, MSE, all of MNIST",
    "full-ce": "ordinary, cross-entropy, all of MNIST",
    "full-long": "long-trained, MSE, all of MNIST",
    "omnigrok": "Omnigrok's budget",
    "untrained": "untrained",
}

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
    return {name: part.take(np.sort(places(part, n))) for name, part in parts.items()}


def in_words(name: str) -> str:
    """What readers call an arm of the zoo.

    >>> in_words("GA-mse")
    'long-trained, MSE'
    """
    if name not in ARMS:
        raise InputError(f"no arm is called {name!r} in words; expected one of {list(ARMS)}")
    return ARMS[name]


def images_of(name: str, n: int) -> dict[str, Dataset]:
    """`n` images that a net of full MNIST was fitted to, and `n` that it was not, as far as they are at hand.

    All of MNIST-5k lies in MNIST's training set, so it serves as "training" for the nets that saw the whole
    of that; everything else needs MNIST's own files.
    """
    recipe = zoo.recipe(name)
    if recipe.dataset != "mnist-train":
        raise InputError(f"{name} was trained on {recipe.dataset}; expected a net of full MNIST")
    saw_all = {"training": sample(mnist5k(), n)} if recipe.train_images is None else {}
    if not mnist_at_hand():
        return saw_all
    whole = training_data(recipe)
    return {"training": sample(whole.train, n), **saw_all, "held-out": sample(whole.heldout, n)}


def sample(dataset: Dataset, n: int, *, seed: int = 0) -> Dataset:
    """`n` images drawn by `seed`, as many of each class as the data set has in proportion; all of them where
    there are fewer. The one way in which chapters choose images.

    They come in rounds of one image of each class, the classes of a round in random order, so that the first
    ten of a sample of digits are ten digits, and the first half is a fair sample, too.
    """
    return dataset.take(places(dataset, n, seed=seed))


def places(dataset: Dataset, n: int, *, seed: int = 0) -> np.ndarray:
    """Where the images of `sample` stand in `dataset`, in the same order."""
    classes, members = np.unique(dataset.labels, return_inverse=True)
    rng = np.random.default_rng([check_seed(seed), len(classes)])
    if n < len(classes):  # too few for each: which ones is drawn as well
        chosen = np.sort(rng.permutation(len(classes))[: check_whole("n", n)])
        index = np.array([rng.choice(np.flatnonzero(members == one)) for one in chosen])
    else:
        index = stratified_split(dataset, min(check_whole("n", n), len(dataset)), seed=seed).train
    index = rng.permutation(index)
    turn = np.empty(len(index), int)  # the how-manieth of its class each image is
    for one in np.unique(members[index]):
        mine = np.flatnonzero(members[index] == one)
        turn[mine] = np.arange(len(mine))
    return index[np.argsort(turn, kind="stable")]


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


def in_parallel(function: Callable, jobs: Mapping[_Key, tuple]) -> dict[_Key, Any]:
    """`function(*arguments)` for every tuple of arguments in `jobs`; results by key.

    In two processes, unless joblib is configured: then with that number of them, or on that cluster.
    """
    return dict(zip(jobs, in_two(function, jobs.values()), strict=True))


def compare(
    models: Sequence[nn.Module],
    images: Dataset,
    comparisons: Iterable[str] = tuple(COMPARISONS),
    *,
    resamples: int = 400,
    seed: int = 0,
) -> Bootstrap:
    """How well each comparison separates the classes of `images`, over the nets of one arm.

    The bootstrap draws images with replacement, the same for every comparison and, with the same `seed`, for
    every arm, so that differences are paired; intervals cover images and nets.
    """
    comparisons = tuple(comparisons)
    stacks: dict[str, list[np.ndarray]] = {name: [] for name in comparisons}
    for model in models:
        for name, matrix in distance_matrices(views(record(model, images)), comparisons).items():
            stacks[name].append(matrix)
    return bootstrap(stacks, images.labels, resamples=resamples, seed=seed)
