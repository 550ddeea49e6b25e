"""The book's networks in plain torch."""

from splinelab.nets.cifar import resnet_cifar
from splinelab.nets.small import cnn, mlp, residual_cnn

__all__ = ["cnn", "mlp", "residual_cnn", "resnet_cifar"]
