"""Everything that decides how a net is trained, apart from the seed."""

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from splinelab import data
from splinelab.errors import RecipeError

__all__ = ["Recipe"]

LOSSES = ("mse", "cross-entropy")
DTYPES = ("float32", "float64")
NETS = ("mlp", "cnn", "residual-cnn")


@dataclass(frozen=True)
class Recipe:
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
        _check(self.dataset in known, "dataset", self.dataset, f"one of {', '.join(known)}")
        _check(self.loss in LOSSES, "loss", self.loss, f"one of {', '.join(LOSSES)}")
        _check(self.net in NETS, "net", self.net, f"one of {', '.join(NETS)}")
        _check(self.dtype in DTYPES, "dtype", self.dtype, f"one of {', '.join(DTYPES)}")
        sizes = self.sizes
        _check(
            isinstance(sizes, list | tuple) and len(sizes) >= 2 and all(map(_positive_whole, sizes)),
            "sizes",
            sizes,
            "at least two positive whole numbers",
        )
        object.__setattr__(self, "sizes", tuple(sizes))
        if self.net != "mlp":
            square = math.isqrt(sizes[0]) ** 2 == sizes[0]
            _check(square, "sizes", sizes, "the pixels of a square image first, such as 784")
        if self.net == "residual-cnn":
            _check(len(sizes) == 2, "sizes", sizes, "two numbers: pixels of an image and classes")
        for key in ("batch", "steps", "evaluations"):
            _check(_positive_whole(getattr(self, key)), key, getattr(self, key), "a positive whole number")
        _check(
            self.train_images is None or _positive_whole(self.train_images),
            "train_images",
            self.train_images,
            "a positive whole number, or None for all images",
        )
        _check(
            self.train_images is not None or self.dataset == "mnist-train",
            "train_images",
            None,
            f"a number: {self.dataset} has no separate test set, and all of it leaves nothing held out",
        )
        for key in ("scale", "lr"):
            value = getattr(self, key)
            _check(_number(value) and value > 0, key, value, "a positive number")
        _check(self.net == "mlp" or self.scale == 1, "scale", self.scale, f"1 for the net {self.net!r}")
        _check(
            _number(self.weight_decay) and self.weight_decay >= 0,
            "weight_decay",
            self.weight_decay,
            "zero or a positive number",
        )
        threshold = self.decay_from_accuracy
        _check(
            threshold is None or (_number(threshold) and 0 < threshold <= 1),
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

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The recipe that ``to_dict`` wrote; an unknown key raises ``RecipeError`` and names the closest."""
        known = [item.name for item in dataclasses.fields(cls)]
        for key in values:
            if key not in known:
                close = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
                hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(known)}"
                raise RecipeError(f"a recipe has no key {key!r}; {hint}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON-ready values."""
        return {**dataclasses.asdict(self), "sizes": list(self.sizes)}

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked like any recipe."""
        return type(self).from_dict({**self.to_dict(), **changes})


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _positive_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _check(holds: bool, key: str, value: Any, expected: str) -> None:
    if not holds:
        raise RecipeError(f"recipe: {key} is {value!r}; expected {expected}")
