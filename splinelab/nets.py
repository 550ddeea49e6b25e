"""The book's networks in plain torch."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from splinelab.errors import InputError

__all__ = ["mlp"]


def mlp(
    sizes: Sequence[int] = (784, 200, 200, 200, 10),
    *,
    seed: int,
    scale: float = 1.0,
    dtype: torch.dtype = torch.float32,
) -> nn.Sequential:
    """A fully connected ReLU net: ``flatten, linear1, relu1, …, output``.

    Initial weights and biases are uniform in ±1/√fan-in, as ``nn.Linear`` draws them, and all are multiplied
    by ``scale``: Omnigrok's knob for delayed generalisation (Liu, Michaud and Tegmark, 2023). The draw
    depends on ``seed`` alone: torch's global generator is neither read nor moved, and float64 and float32
    nets of one seed agree up to rounding.

    >>> net = mlp((4, 3, 2), seed=0)
    >>> [name for name, _ in net.named_children()]
    ['flatten', 'linear1', 'relu1', 'output']
    >>> net(torch.zeros(5, 1, 2, 2)).shape
    torch.Size([5, 2])
    """
    if len(sizes) < 2 or any(int(size) != size or size < 1 for size in sizes):
        raise InputError(f"sizes are {tuple(sizes)}; expected at least two positive whole numbers")
    if not (math.isfinite(scale) and scale > 0):
        raise InputError(f"scale is {scale}; expected a positive number")
    generator = torch.Generator().manual_seed(seed)
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    last = len(sizes) - 1
    for number, (fan_in, fan_out) in enumerate(pairwise(sizes), start=1):
        # nn.Linear would draw from the global generator first.
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out, dtype=dtype)
        bound = scale / math.sqrt(fan_in)
        for parameter in (linear.weight, linear.bias):
            unit = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.data.copy_((2 * unit - 1) * bound)
        if number == last:
            layers["output"] = linear
        else:
            layers[f"linear{number}"] = linear
            layers[f"relu{number}"] = nn.ReLU()
    return nn.Sequential(layers)
