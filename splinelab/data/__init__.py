"""Images with labels: MNIST-5k (embedded), MNIST, digits, Fashion-MNIST, CIFAR-10; and how they are split.
Text: a treebank and stories, and which tokens belong to which word."""

from splinelab.data.align import Alignment, align
from splinelab.data.dataset import Dataset
from splinelab.data.files import cifar10_at_hand, fashion_mnist_at_hand, mnist_at_hand
from splinelab.data.loaders import cifar10, digits, fashion_mnist, load, mnist, mnist5k, names
from splinelab.data.published import cache_folder
from splinelab.data.splits import Split, protocol_split, stratified_split
from splinelab.data.stories import tiny_stories, tiny_stories_at_hand
from splinelab.data.treebank import Sentence, Treebank, ud_ewt, ud_ewt_at_hand

__all__ = [
    "Alignment",
    "Dataset",
    "Sentence",
    "Split",
    "Treebank",
    "align",
    "cache_folder",
    "cifar10",
    "cifar10_at_hand",
    "digits",
    "fashion_mnist",
    "fashion_mnist_at_hand",
    "load",
    "mnist",
    "mnist5k",
    "mnist_at_hand",
    "names",
    "protocol_split",
    "stratified_split",
    "tiny_stories",
    "tiny_stories_at_hand",
    "ud_ewt",
    "ud_ewt_at_hand",
]
