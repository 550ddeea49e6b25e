"""Images with labels: MNIST-5k, which is embedded, full MNIST, digits, CIFAR-10; and how they are split."""

from splinelab.data.dataset import Dataset
from splinelab.data.files import cifar10_at_hand, mnist_at_hand
from splinelab.data.loaders import cifar10, digits, load, mnist, mnist5k, names
from splinelab.data.splits import Split, protocol_split, stratified_split

__all__ = [
    "Dataset",
    "Split",
    "cifar10",
    "cifar10_at_hand",
    "digits",
    "load",
    "mnist",
    "mnist5k",
    "mnist_at_hand",
    "names",
    "protocol_split",
    "stratified_split",
]
