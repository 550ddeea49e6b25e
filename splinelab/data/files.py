"""The files of MNIST, Fashion-MNIST and CIFAR-10: their checksums, their origins and their formats."""

import gzip
import io
import tarfile

import numpy as np

from splinelab.data.published import Published, at_hand, data_folder, read, verified

__all__ = [
    "cifar10_at_hand",
    "cifar10_test_arrays",
    "fashion_mnist_at_hand",
    "fashion_mnist_bytes",
    "mnist_at_hand",
    "mnist_bytes",
]

#: Where ``mnist`` looks when the files are not at hand, in this order.
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

#: The four files as first published: name → (bytes, SHA-256).
MNIST_FILES = {
    "train-images-idx3-ubyte.gz": (
        9912422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    "train-labels-idx1-ubyte.gz": (
        28881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    "t10k-images-idx3-ubyte.gz": (
        1648877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    "t10k-labels-idx1-ubyte.gz": (
        4542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
}

#: Where ``fashion_mnist`` looks when the files are not at hand: the authors' bucket, then their repository.
FASHION_MIRRORS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)

#: The four files: name → (bytes, SHA-256). The authors publish MD5 sums only; size and SHA-256 are those that
#: TensorFlow Datasets has on record for the authors' bucket (url_checksums/fashion_mnist.txt), and other
#: projects list them beside the authors' MD5 sums of the same files.
FASHION_FILES = {
    "train-images-idx3-ubyte.gz": (
        26421880,
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    ),
    "train-labels-idx1-ubyte.gz": (
        29515,
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    ),
    "t10k-images-idx3-ubyte.gz": (
        4422102,
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    ),
    "t10k-labels-idx1-ubyte.gz": (
        5148,
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
}

#: CIFAR-10 in its binary distribution, which needs no pickle.
CIFAR10_BINARY = Published(
    "cifar-10-binary.tar.gz",
    170_052_171,
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    folder="cifar10",
    what="CIFAR-10",
    origins=("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
)

#: A part of it: the first 500 training and 200 test images of each class, as arrays without pickle.
CIFAR10_SMALL = Published(
    "cifar10_small.npz",
    19_757_726,
    "7b4e46c31fc433d521cd05389c077e4abce284c28da2645b1fcaa54aeeb5b849",
    folder="cifar10",
    what="CIFAR-10",
)

#: Test images that are read, of each class.
CIFAR10_TEST_PER_CLASS = 200

_CIFAR10_TEST_MEMBER = "cifar-10-batches-bin/test_batch.bin"


def mnist_bytes(name: str) -> bytes:
    """The unpacked content of one MNIST file, verified."""
    return gzip.decompress(read(_mnist_file(name)))


def mnist_at_hand() -> bool:
    """Whether full MNIST can be read without a download."""
    return all(at_hand(_mnist_file(name)) for name in MNIST_FILES)


def _mnist_file(name: str) -> Published:
    size, sha256 = MNIST_FILES[name]
    return Published(name, size, sha256, "mnist", "MNIST", tuple(mirror + name for mirror in MIRRORS))


def fashion_mnist_bytes(name: str) -> bytes:
    """The unpacked content of one Fashion-MNIST file, verified."""
    return gzip.decompress(read(_fashion_file(name)))


def fashion_mnist_at_hand() -> bool:
    """Whether Fashion-MNIST can be read without a download."""
    return all(at_hand(_fashion_file(name)) for name in FASHION_FILES)


def _fashion_file(name: str) -> Published:
    size, sha256 = FASHION_FILES[name]
    origins = tuple(mirror + name for mirror in FASHION_MIRRORS)
    return Published(name, size, sha256, "fashion-mnist", "Fashion-MNIST", origins)


def cifar10_at_hand() -> bool:
    """Whether the images of ``cifar10()`` can be read without a download."""
    return at_hand(CIFAR10_BINARY)


def cifar10_test_arrays() -> tuple[np.ndarray, np.ndarray]:
    """The first 200 test images of each class: uint8, 2,000 × 3 × 32 × 32, and their labels, sorted.

    A folder ``cifar10`` under ``SPLINELAB_DATA`` may hold the binary distribution or the smaller file.
    """
    folder = data_folder(CIFAR10_BINARY.folder)
    if folder is not None and not (folder / CIFAR10_BINARY.name).exists():
        remedy = f"restore it, put {CIFAR10_BINARY.name} beside it, or unset SPLINELAB_DATA"
        return _from_small(verified(folder / CIFAR10_SMALL.name, CIFAR10_SMALL, remedy))
    return _from_binary(read(CIFAR10_BINARY))


def _from_small(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return arrays["x_test"].transpose(0, 3, 1, 2), arrays["y_test"]


def _from_binary(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Records of one label byte and 3 × 32 × 32 pixels, read out of the archive in memory."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        records = np.frombuffer(archive.extractfile(_CIFAR10_TEST_MEMBER).read(), np.uint8).reshape(-1, 3073)
    labels = records[:, 0]
    chosen = np.concatenate([np.flatnonzero(labels == c)[:CIFAR10_TEST_PER_CLASS] for c in range(10)])
    return records[chosen, 1:].reshape(-1, 3, 32, 32), labels[chosen]
