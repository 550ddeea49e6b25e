"""Everything that decides how a net is trained, apart from the seed."""

import math
from dataclasses import dataclass

from splinelab import data
from splinelab.training.values import Values, check, not_negative, number, positive, positive_whole

__all__ = ["Recipe"]

LOSSES = ("mse", "cross-entropy")
DTYPES = ("float32", "float64")
NETS = ("mlp", "cnn", "residual-cnn")


@dataclass(frozen=True)
class Recipe(Values):
    """How to train a net. Values are checked when the recipe is made; wrong ones raise ``RecipeError``.

    dataset: ``"mnist5k"``, ``"digits"`` or ``"mnist-train"`` (its held-out images are MNIST's test set).
    train_images: how many stratified images to train on; None for all of ``mnist-train``.
    net: ``"mlp"``, ``"cnn"`` or ``"residual-cnn"``, as ``splinelab.nets`` builds them.
    sizes: pixels of an image, units of the linear layers between, and classes. A residual CNN has no linear
        layers between.
    scale: factor on every initial weight and bias of an MLP; 1 for the others, where batch norm undoes it.
    loss: ``"mse"`` on one-hot targets, averaged over images and classes, or ``"cross-entropy"``.
    lr, weight_decay: of AdamW.
    decay_from_accuracy: if given, weight decay stays 0 until the training accuracy, measured after each
        epoch, first reaches this value; the net at that moment is kept as the snapshot ``"memorised"``.
    batch, steps: images per step and number of steps. Each epoch is a fresh permutation; its last batch may
        be smaller.
    dtype: ``"float32"`` or ``"float64"``.
    evaluations: about how many log-spaced steps get a row in the history.

    >>> Recipe(steps=500, batch=50).epochs
    25.0
    >>> Recipe.from_dict({"weight_decy": 0.1})
    Traceback (most recent call last):
    splinelab.errors.RecipeError: a recipe has no key 'weight_decy'; did you mean 'weight_decay'?
    """

    dataset: str = "mnist5k"
    train_images: int | None = 1000
    net: str = "mlp"
    sizes: tuple[int, ...] = (784, 200, 200, 200, 10)
    scale: float = 1.0
    loss: str = "mse"
    lr: float = 1e-3
    weight_decay: float = 0.01
    decay_from_accuracy: float | None = None
    batch: int = 50
    steps: int = 10_000
    dtype: str = "float32"
    evaluations: int = 40

    def __post_init__(self) -> None:
        known = tuple(name for name in data.names() if not name.endswith("-test"))
        check(self.dataset in known, "dataset", self.dataset, f"one of {', '.join(known)}")
        check(self.loss in LOSSES, "loss", self.loss, f"one of {', '.join(LOSSES)}")
        check(self.net in NETS, "net", self.net, f"one of {', '.join(NETS)}")
        check(self.dtype in DTYPES, "dtype", self.dtype, f"one of {', '.join(DTYPES)}")
        sizes = self.sizes
        check(
            isinstance(sizes, list | tuple) and len(sizes) >= 2 and all(map(positive_whole, sizes)),
            "sizes",
            sizes,
            "at least two positive whole numbers",
        )
        object.__setattr__(self, "sizes", tuple(sizes))
        if self.net != "mlp":
            square = math.isqrt(sizes[0]) ** 2 == sizes[0]
            check(square, "sizes", sizes, "the pixels of a square image first, such as 784")
        if self.net == "residual-cnn":
            check(len(sizes) == 2, "sizes", sizes, "two numbers: pixels of an image and classes")
        for key in ("batch", "steps", "evaluations"):
            check(positive_whole(getattr(self, key)), key, getattr(self, key), "a positive whole number")
        check(
            self.train_images is None or positive_whole(self.train_images),
            "train_images",
            self.train_images,
            "a positive whole number, or None for all images",
        )
        check(
            self.train_images is not None or self.dataset == "mnist-train",
            "train_images",
            None,
            f"a number: {self.dataset} has no separate test set, and all of it leaves nothing held out",
        )
        for key in ("scale", "lr"):
            value = getattr(self, key)
            check(positive(value), key, value, "a positive number")
        check(self.net == "mlp" or self.scale == 1, "scale", self.scale, f"1 for the net {self.net!r}")
        check(
            not_negative(self.weight_decay),
            "weight_decay",
            self.weight_decay,
            "zero or a positive number",
        )
        threshold = self.decay_from_accuracy
        check(
            threshold is None or (number(threshold) and 0 < threshold <= 1),
            "decay_from_accuracy",
            threshold,
            "a number in (0, 1], or None for weight decay from the start",
        )

    @property
    def epochs(self) -> float | None:
        """Passes over the training images, or None where they are all of a data set."""
        if self.train_images is None:
            return None
        return self.steps / math.ceil(self.train_images / self.batch)
