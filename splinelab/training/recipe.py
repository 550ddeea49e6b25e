"""Everything that decides how a net is trained, apart from the seed; and the net that it describes."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from splinelab import _schema as kinds
from splinelab import data, nets
from splinelab._arguments import check_seed
from splinelab._schema import Values, check, expected, one_of, schema, several
from splinelab.errors import RecipeError

_DATASETS = tuple(name for name in data.names() if not name.endswith("-test"))
#: Data sets with a test set of their own, which their nets are judged by.
TEST_SETS = {name: name.removesuffix("train") + "test" for name in _DATASETS if name.endswith("-train")}
_Images = Annotated[kinds.Whole | None, expected("a positive whole number, or None for all images")]
_Dropout = Annotated[kinds.Number, Field(ge=0, lt=1), expected("a share, 0 or more and below 1")]
_Threshold = Annotated[
    Annotated[kinds.Number, Field(gt=0, le=1)] | None,
    expected("a number in (0, 1], or None for weight decay from the start"),
]
_Sizes = Annotated[tuple[kinds.Whole, ...], several("at least two positive whole numbers", least=2)]


@schema("recipe", RecipeError)
class Recipe(Values):
    """How to train a net. Values are checked when the recipe is made; wrong ones raise `RecipeError`.

    Parameters
    ----------
    dataset : `"mnist5k"`, `"digits"`, `"mnist-train"` or `"fashion-train"` (the held-out images of the last
        two are their test sets).
    train_images : how many stratified images to train on; None for all of a data set with a test set.
    net : `"mlp"`, `"cnn"` or `"residual-cnn"`, as `splinelab.nets` builds them.
    sizes : pixels of an image, units of the linear layers between, and classes. A residual CNN has no linear
        layers between.
    scale : factor on every initial weight and bias of an MLP; 1 for the others, where batch norm undoes it.
    loss : `"mse"` on one-hot targets, averaged over images and classes, or `"cross-entropy"`.
    dropout : share of an MLP's hidden units that each training step leaves out; 0 for the others.
    lr, weight_decay : of AdamW.
    decay_from_accuracy : if given, weight decay stays 0 until the training accuracy, measured after each
        epoch, first reaches this value; the net at that moment is kept as the snapshot `"memorised"`.
    batch, steps : images per step and number of steps. Each epoch is a fresh permutation; its last batch may
        be smaller.
    dtype : `"float32"` or `"float64"`.
    evaluations : about how many log-spaced steps get a row in the history.

    Examples
    --------
    >>> Recipe(steps=500, batch=50).epochs
    25.0
    >>> Recipe.from_dict({"weight_decy": 0.1})
    Traceback (most recent call last):
    splinelab.errors.RecipeError: a recipe has no key 'weight_decy'; did you mean 'weight_decay'?
    """

    dataset: Annotated[str, one_of(*_DATASETS)] = "mnist5k"
    train_images: _Images = 1000
    net: Annotated[str, one_of("mlp", "cnn", "residual-cnn")] = "mlp"
    sizes: _Sizes = (784, 200, 200, 200, 10)
    scale: kinds.Positive = 1.0
    loss: Annotated[str, one_of("mse", "cross-entropy")] = "mse"
    dropout: _Dropout = 0.0
    lr: kinds.Positive = 1e-3
    weight_decay: kinds.NotNegative = 0.01
    decay_from_accuracy: _Threshold = None
    batch: kinds.Whole = 50
    steps: kinds.Whole = 10_000
    dtype: Annotated[str, one_of("float32", "float64")] = "float32"
    evaluations: kinds.Whole = 40

    def __post_init__(self) -> None:
        if self.net != "mlp":
            square = math.isqrt(self.sizes[0]) ** 2 == self.sizes[0]
            check(square, "sizes", self.sizes, "the pixels of a square image first, such as 784")
        if self.net == "residual-cnn":
            check(len(self.sizes) == 2, "sizes", self.sizes, "two numbers: pixels of an image and classes")
        check(
            self.train_images is not None or self.dataset in TEST_SETS,
            "train_images",
            None,
            f"a number: {self.dataset} has no separate test set, and all of it leaves nothing held out",
        )
        check(self.net == "mlp" or self.scale == 1, "scale", self.scale, f"1 for the net {self.net!r}")
        check(self.net == "mlp" or not self.dropout, "dropout", self.dropout, f"0 for the net {self.net!r}")

    @property
    def epochs(self) -> float | None:
        """Passes over the training images, or None where they are all of a data set."""
        if self.train_images is None:
            return None
        return self.steps / math.ceil(self.train_images / self.batch)


def build(recipe: Recipe, seed: int) -> nn.Sequential:
    """The net of a recipe before its first step, in training mode; `seed` alone decides its weights.

    >>> from splinelab.training import Recipe
    >>> build(Recipe(net="residual-cnn", sizes=(784, 10)), seed=0).output
    Linear(in_features=32, out_features=10, bias=True)
    """
    options = {"seed": check_seed(seed), "dtype": getattr(torch, recipe.dtype)}
    if recipe.net == "cnn":
        return nets.cnn(recipe.sizes, **options)
    if recipe.net == "residual-cnn":
        return nets.residual_cnn(recipe.sizes, **options)
    return nets.mlp(recipe.sizes, scale=recipe.scale, dropout=recipe.dropout, **options)
