"""Images with labels."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from splinelab.errors import InputError


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and their labels.

    Attributes
    ----------
    images : float32, samples × channels × height × width, in [0, 1]; 1 channel (grey) or 3 (RGB).
    labels : int64, samples.
    pool : the collection that the images were drawn from. It matters because **all of MNIST-5k lies in
        MNIST's training set**: `mnist5k()` and `mnist("train")` have the same pool, so none of its images is
        held out for a net that was trained on the 60,000.

    Raises
    ------
    InputError : images or labels of another shape, values outside [0, 1] (integer pixels that were not
        divided by 255, say), NaN, and labels of another length.

    Examples
    --------
    >>> import numpy as np
    >>> tiny = Dataset("tiny", np.zeros((3, 1, 2, 2), np.float32), np.array([0, 1, 1]))
    >>> len(tiny), tiny.flat.shape, tiny.take([0, 2]).labels.tolist()
    (3, (3, 4), [0, 1])
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    pool: str = field(default="")

    def __post_init__(self) -> None:
        if self.labels is None:
            raise InputError(f"{self.name}: labels are None; expected one whole number per image")
        images, labels = np.asarray(self.images), np.asarray(self.labels)
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise InputError(
                f"{self.name}: images have the shape {images.shape}; expected samples × 1 × height × width, "
                "or 3 for colour"
            )
        if labels.shape != (len(images),):
            raise InputError(
                f"{self.name}: labels have the shape {labels.shape} for {len(images)} images; "
                "expected one label per image"
            )
        if not np.issubdtype(labels.dtype, np.integer):
            raise InputError(f"{self.name}: labels are {labels.dtype}; expected integers")
        if labels.size and int(labels.max()) > np.iinfo(np.int64).max:
            raise InputError(f"{self.name}: labels go up to {labels.max()}; expected whole numbers below 2⁶³")
        if images.size:
            low, high = float(images.min()), float(images.max())
            if not (low >= 0 and high <= 1):  # also true for NaN
                raise InputError(
                    f"{self.name}: pixels run from {low:g} to {high:g}; expected values in [0, 1] and "
                    "no NaN. Divide 8-bit images by 255"
                )
        object.__setattr__(self, "images", np.ascontiguousarray(images, dtype=np.float32))
        object.__setattr__(self, "labels", np.ascontiguousarray(labels, dtype=np.int64))
        object.__setattr__(self, "pool", self.pool or self.name)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        _, channels, height, width = self.images.shape
        kind = "colour images" if channels == 3 else "images"
        return f"Dataset({self.name!r}, {len(self):,} {kind} of {height} × {width})"

    @property
    def flat(self) -> np.ndarray:
        """The images as float32 samples × pixels, each channel's after the other's (a view)."""
        return self.images.reshape(len(self), -1)

    @cached_property
    def checksum(self) -> str:
        """SHA-256 over shape, pixels and labels, in order (hexadecimal)."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(self.images.data)
        digest.update(self.labels.data)
        return digest.hexdigest()

    def take(self, index: np.ndarray | Sequence[int] | slice) -> "Dataset":
        """The images at `index` (integers, a slice or a Boolean mask), in that order."""
        return Dataset(self.name, self.images[index], self.labels[index], self.pool)
