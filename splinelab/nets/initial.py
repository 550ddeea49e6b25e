"""Layers whose first weights follow a generator of one's own, never torch's global one."""

import math
from typing import Any, TypeVar

import torch
from torch import nn

_Layer = TypeVar("_Layer", nn.Linear, nn.Conv2d)


def drawn(
    kind: type[_Layer],
    *sizes: int,
    generator: torch.Generator,
    scale: float = 1.0,
    bias: bool = True,
    dtype: torch.dtype = torch.float32,
    **options: Any,
) -> _Layer:
    """A linear or convolutional layer, uniform in ±1/√fan-in times `scale`, as torch draws them.

    Numbers are drawn in float64 and rounded to `dtype`. A layer without biases takes as many from the
    generator as one with them, so that both have the same weights.
    """
    # The layer's own initialisation would draw from the global generator.
    layer = nn.utils.skip_init(kind, *sizes, bias=bias, dtype=dtype, **options)
    bound = scale / math.sqrt(layer.weight[0].numel())
    weight, shift = (
        (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1) * bound
        for shape in (layer.weight.shape, layer.weight.shape[:1])
    )
    layer.weight.data.copy_(weight)
    if bias:
        layer.bias.data.copy_(shift)
    return layer
