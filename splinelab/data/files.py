"""The files of MNIST, Fashion-MNIST and CIFAR-10: their checksums, their origins and their formats."""

import gzip
import io
import tarfile

import numpy as np

from splinelab.data.published import Published, at_hand, data_folder, read, verified

#: The collections in MNIST's form, by the folder that holds them: name, and where it looks for files that are
#: not at hand, in this order (for Fashion-MNIST the authors' bucket, then their repository).
COLLECTIONS = {
    "mnist": (
        "MNIST",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion-mnist": (
        "Fashion-MNIST",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
}

# Folder, file, bytes, SHA-256, as first published. The authors of Fashion-MNIST publish MD5 sums only; size
# and SHA-256 are those that TensorFlow Datasets has on record for their bucket
# (url_checksums/fashion_mnist.txt), and other projects list them beside the MD5 sums of the same files.
_CHECKSUMS = """
mnist train-images-idx3 9912422 440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609
mnist train-labels-idx1 28881 3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c
mnist t10k-images-idx3 1648877 8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6
mnist t10k-labels-idx1 4542 f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6
fashion-mnist train-images-idx3 26421880 3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84
fashion-mnist train-labels-idx1 29515 a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845
fashion-mnist t10k-images-idx3 4422102 346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073
fashion-mnist t10k-labels-idx1 5148 67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5
"""

#: (folder, file) → (bytes, SHA-256).
FILES = {
    (folder, f"{name}-ubyte.gz"): (int(size), sha256)
    for folder, name, size, sha256 in map(str.split, _CHECKSUMS.strip().splitlines())
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


def idx_array(folder: str, name: str, dimensions: int) -> np.ndarray:
    """One verified file of a collection in MNIST's form, uint8.

    The IDX format: two zero bytes, a type (8: unsigned byte), the rank, big-endian sizes, data.
    """
    return _from_idx(gzip.decompress(read(_file(folder, name))), dimensions)


def mnist_at_hand() -> bool:
    """Whether full MNIST can be read without a download."""
    return _at_hand("mnist")


def fashion_mnist_at_hand() -> bool:
    """Whether Fashion-MNIST can be read without a download."""
    return _at_hand("fashion-mnist")


def cifar10_at_hand() -> bool:
    """Whether the images of `cifar10()` can be read without a download."""
    return at_hand(CIFAR10_BINARY)


def cifar10_test_arrays() -> tuple[np.ndarray, np.ndarray]:
    """The first 200 test images of each class: uint8, 2,000 × 3 × 32 × 32, and their labels, sorted.

    A folder `cifar10` under `SPLINELAB_DATA` may hold the binary distribution or the smaller file.
    """
    folder = data_folder(CIFAR10_BINARY.folder)
    if folder is not None and not (folder / CIFAR10_BINARY.name).exists():
        remedy = f"restore it, put {CIFAR10_BINARY.name} beside it, or unset SPLINELAB_DATA"
        return _from_small(verified(folder / CIFAR10_SMALL.name, CIFAR10_SMALL, remedy))
    return _from_binary(read(CIFAR10_BINARY))


def _file(folder: str, name: str) -> Published:
    what, *mirrors = COLLECTIONS[folder]
    return Published(name, *FILES[folder, name], folder, what, tuple(mirror + name for mirror in mirrors))


def _at_hand(folder: str) -> bool:
    return all(at_hand(_file(*key)) for key in FILES if key[0] == folder)


def _from_idx(content: bytes, dimensions: int) -> np.ndarray:
    shape = np.frombuffer(content, ">i4", dimensions, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def _from_small(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return arrays["x_test"].transpose(0, 3, 1, 2), arrays["y_test"]


def _from_binary(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Records of one label byte and 3 × 32 × 32 pixels, read out of the archive in memory."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        member = archive.extractfile(_CIFAR10_TEST_MEMBER)
        assert member is not None  # a file, by the checksum
        records = np.frombuffer(member.read(), np.uint8).reshape(-1, 3073)
    labels = records[:, 0]
    chosen = np.concatenate([np.flatnonzero(labels == c)[:CIFAR10_TEST_PER_CLASS] for c in range(10)])
    return records[chosen, 1:].reshape(-1, 3, 32, 32), labels[chosen]
