"""The book's networks in plain torch."""

from splinelab.nets.cifar import resnet_cifar
from splinelab.nets.llama import Llama, LlamaShape
from splinelab.nets.sampling import sample
from splinelab.nets.small import cnn, mlp, residual_cnn
from splinelab.nets.superposition import ResidualMLP, Superposition

__all__ = [
    "Llama",
    "LlamaShape",
    "ResidualMLP",
    "Superposition",
    "cnn",
    "mlp",
    "residual_cnn",
    "resnet_cifar",
    "sample",
]
