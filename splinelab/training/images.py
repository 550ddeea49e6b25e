"""What a recipe trains on and is judged by."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from splinelab import data as datasets
from splinelab.data import Dataset
from splinelab.errors import InputError, RecipeError
from splinelab.training.recipe import TEST_SETS, Recipe


class TrainingData(NamedTuple):
    """What a net is trained on, and what it is judged by; no image is in both."""

    train: Dataset
    heldout: Dataset


def training_data(recipe: Recipe) -> TrainingData:
    """The images a recipe trains on and the images held out from it.

    Both are subsets by `stratified_split` with a fixed seed, so that 1,000 training images of MNIST-5k are
    those of `protocol_split` in every arm. Nets of `mnist-train` and `fashion-train` are judged by the
    whole test set.
    """
    full = datasets.load(recipe.dataset)
    if recipe.train_images is None:
        return TrainingData(full, datasets.load(TEST_SETS[recipe.dataset]))
    split = datasets.stratified_split(full, recipe.train_images, seed=0)
    if recipe.dataset in TEST_SETS:
        return TrainingData(full.take(split.train), datasets.load(TEST_SETS[recipe.dataset]))
    if not len(split.heldout):
        raise RecipeError(f"recipe: train_images is {recipe.train_images}; that leaves nothing held out")
    return TrainingData(full.take(split.train), full.take(split.heldout))


def check_data(data: object) -> TrainingData:
    """The two data sets that a caller gave; `InputError` for anything else."""
    parts = tuple(data) if isinstance(data, list | tuple) else (data,)
    if len(parts) != 2 or not all(isinstance(part, Dataset) for part in parts):
        kinds = ", ".join(type(part).__name__ for part in parts)
        raise InputError(f"data is ({kinds}); expected two Dataset: the training and the held-out images")
    return TrainingData(*parts)


def check_fit(recipe: Recipe, data: TrainingData) -> None:
    """Refuse a net that does not fit the images, before any time is spent."""
    for name, part in data._asdict().items():
        if not len(part):
            raise InputError(f"the {name} images are empty; expected at least one")
        pixels, classes = part.flat.shape[1], int(part.labels.max()) + 1
        if pixels != recipe.sizes[0]:
            raise RecipeError(
                f"recipe: sizes begin with {recipe.sizes[0]}, but images of {part.name} have {pixels} pixels"
            )
        if recipe.net != "mlp" and (
            part.images.shape[1] != 1 or part.images.shape[2] != part.images.shape[3]
        ):
            raise RecipeError(
                f"recipe: net is {recipe.net!r}, but images of {part.name} have the shape "
                f"{part.images.shape[1:]}; expected square images of one channel"
            )
        if classes > recipe.sizes[-1] or part.labels.min() < 0:
            raise RecipeError(
                f"recipe: sizes end with {recipe.sizes[-1]}, but the labels of {part.name} run from "
                f"{part.labels.min()} to {classes - 1}"
            )


def resident(part: Dataset, dtype: torch.dtype, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.from_numpy(part.images).to(device=device, dtype=dtype),
        torch.from_numpy(part.labels).to(device),
    )


LOSSES = ("mse", "cross-entropy")
_CHUNK = 1000  # images per forward pass


def evaluate(net: nn.Module, dataset: Dataset, loss: str = "mse") -> tuple[float, float]:
    """Mean loss and accuracy of a net in eval mode, on the net's own device and in its own precision."""
    if loss not in LOSSES:
        raise InputError(f"loss is {loss!r}; expected one of {', '.join(LOSSES)}")
    parameter = next(net.parameters())
    return judge(net, *resident(dataset, parameter.dtype, parameter.device), loss)


@torch.no_grad()
def judge(net: nn.Module, images: torch.Tensor, labels: torch.Tensor, loss: str) -> tuple[float, float]:
    """Mean loss and accuracy over all images in eval mode; the net is left in the mode it came in.

    In training mode batch norm would judge each chunk by its own statistics, and learn from it.
    """
    mode = net.training
    net.eval()
    total, right = 0.0, 0
    for x, y in zip(images.split(_CHUNK), labels.split(_CHUNK), strict=True):
        output = net(x).double()
        if loss == "mse":
            total += float((output - F.one_hot(y, output.shape[1])).square().mean(1).sum())
        else:
            total += float(F.cross_entropy(output, y, reduction="sum"))
        right += int((output.argmax(1) == y).sum())
    net.train(mode)
    return total / len(labels), right / len(labels)
