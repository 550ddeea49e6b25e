"""The book's networks in plain torch."""

from splinelab.nets.cifar import resnet_cifar
from splinelab.nets.small import cnn, mlp, residual_cnn
from splinelab.nets.superposition import ResidualMLP, Superposition

__all__ = ["ResidualMLP", "Superposition", "cnn", "mlp", "residual_cnn", "resnet_cifar"]
