"""Loss and accuracy of a net over all images."""

import torch
from torch import nn
from torch.nn import functional as F

from splinelab.data import Dataset
from splinelab.errors import InputError
from splinelab.training.images import resident

__all__ = ["evaluate", "judge"]

LOSSES = ("mse", "cross-entropy")
_CHUNK = 1000  # images per forward pass


def evaluate(net: nn.Module, dataset: Dataset, loss: str = "mse") -> tuple[float, float]:
    """Mean loss and accuracy of a net in eval mode, on the net's own device and in its own precision."""
    if loss not in LOSSES:
        raise InputError(f"loss is {loss!r}; expected one of {', '.join(LOSSES)}")
    parameter = next(net.parameters())
    return judge(net, *resident(dataset, parameter.dtype, parameter.device), loss)


@torch.no_grad()
def judge(net: nn.Module, images: torch.Tensor, labels: torch.Tensor, loss: str) -> tuple[float, float]:
    """Mean loss and accuracy over all images in eval mode; the net is left in the mode it came in.

    In training mode batch norm would judge each chunk by its own statistics, and learn from it.
    """
    mode = net.training
    net.eval()
    total, right = 0.0, 0
    for x, y in zip(images.split(_CHUNK), labels.split(_CHUNK), strict=True):
        output = net(x).double()
        if loss == "mse":
            total += float((output - F.one_hot(y, output.shape[1])).square().mean(1).sum())
        else:
            total += float(F.cross_entropy(output, y, reduction="sum"))
        right += int((output.argmax(1) == y).sum())
    net.train(mode)
    return total / len(labels), right / len(labels)
