"""Images with labels: the embedded MNIST-5k, full MNIST, scikit-learn's digits, and how they are split."""

from splinelab.data.dataset import Dataset
from splinelab.data.files import mnist_at_hand
from splinelab.data.loaders import digits, load, mnist, mnist5k, names
from splinelab.data.splits import Split, protocol_split, stratified_split

__all__ = [
    "Dataset",
    "Split",
    "digits",
    "load",
    "mnist",
    "mnist5k",
    "mnist_at_hand",
    "names",
    "protocol_split",
    "stratified_split",
]
