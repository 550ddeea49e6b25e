"""Nets small enough to train in a minute: fully connected, convolutional, residual."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from splinelab.errors import InputError
from splinelab.nets.initial import drawn


def mlp(
    sizes: Sequence[int] = (784, 200, 200, 200, 10),
    *,
    seed: int,
    scale: float = 1.0,
    bias: bool = True,
    dropout: float = 0.0,
    dtype: torch.dtype = torch.float32,
) -> nn.Sequential:
    """A fully connected ReLU net: `flatten, linear1, relu1, …, output`.

    Initial weights and biases are uniform in ±1/√fan-in, as `nn.Linear` draws them, and all are multiplied
    by `scale`: Omnigrok's knob for delayed generalisation (Liu, Michaud and Tegmark, 2023). The draw
    depends on `seed` alone: torch's global generator is neither read nor moved, and float64 and float32
    nets of one seed agree up to rounding. With `bias=False` the weights are the same and there are no
    biases, so the net is homogeneous: f(αx) = αf(x) for α > 0. With `dropout`, each ReLU is followed by a
    `dropout1, …` that switches off this share of its outputs in training mode.

    >>> net = mlp((4, 3, 2), seed=0)
    >>> [name for name, _ in net.named_children()]
    ['flatten', 'linear1', 'relu1', 'output']
    >>> net(torch.zeros(5, 1, 2, 2)).shape
    torch.Size([5, 2])
    """
    _check_sizes(sizes)
    if not (math.isfinite(scale) and scale > 0):
        raise InputError(f"scale is {scale}; expected a positive number")
    if not 0 <= dropout < 1:
        raise InputError(f"dropout is {dropout}; expected a share, 0 or more and below 1")
    options: dict[str, Any] = {
        "generator": torch.Generator().manual_seed(seed),
        "scale": scale,
        "bias": bias,
        "dtype": dtype,
    }
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for name, layer in _linear_layers(sizes, 1, options).items():
        layers[name] = layer
        if dropout and name.startswith("relu"):
            layers[name.replace("relu", "dropout")] = nn.Dropout(dropout)
    return nn.Sequential(layers)


def cnn(
    sizes: Sequence[int] = (784, 96, 48, 10),
    *,
    seed: int,
    widths: Sequence[int] = (8, 16, 16, 16),
    bias: bool = True,
    dtype: torch.dtype = torch.float32,
) -> nn.Sequential:
    """A convolutional net with batch norm and max-pooling for square grey images.

    `conv1, bn1, relu1`, then `conv2, bn2, relu2, pool2`, `conv3, bn3, relu3, pool3`, `conv4, bn4,
    relu4`, `flatten`, `linear1, relu5`, `linear2, relu6`, `output`: 3 × 3 convolutions that keep
    the side, and 2 × 2 maxima that halve it. `sizes` are the pixels of an image, the units of the linear
    layers and the classes; `widths` are the channels of the convolutions.

    Initial values as in `mlp`: uniform in ±1/√fan-in, by `seed` alone. The convolutions keep the biases
    that torch gives them, which batch norm absorbs in training; before the first step they are all the
    biases that the convolutional part has. With `bias=False` the weights are the same, there is no bias
    and no batch norm (each is an `nn.Identity` of the same name), and the net is homogeneous.

    >>> net = cnn(seed=0)
    >>> [name for name, _ in net.named_children()][-6:]
    ['flatten', 'linear1', 'relu5', 'linear2', 'relu6', 'output']
    >>> net(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 10])
    """
    side = _side(sizes, halvings=2)
    _check_widths(widths)
    options: dict[str, Any] = {"generator": torch.Generator().manual_seed(seed), "bias": bias, "dtype": dtype}
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (fan_in, fan_out) in enumerate(pairwise((1, *widths)), start=1):
        layers[f"conv{number}"] = drawn(nn.Conv2d, fan_in, fan_out, 3, padding=1, **options)
        layers[f"bn{number}"] = nn.BatchNorm2d(fan_out, dtype=dtype) if bias else nn.Identity()
        layers[f"relu{number}"] = nn.ReLU()
        if number in (2, 3):
            layers[f"pool{number}"] = nn.MaxPool2d(2)
            side //= 2
    layers["flatten"] = nn.Flatten()
    dense = (widths[-1] * side**2, *sizes[1:])
    return nn.Sequential(layers | _linear_layers(dense, len(widths) + 1, options))


def residual_cnn(
    sizes: Sequence[int] = (784, 10),
    *,
    seed: int,
    widths: Sequence[int] = (8, 8, 16, 32),
    dtype: torch.dtype = torch.float32,
) -> nn.Sequential:
    """A small residual net for square grey images: `stem, block1, block2, block3, pool, flatten, output`.

    The stem is a 3 × 3 convolution, batch norm and a ReLU. A block adds two such convolutions to its input,
    which passes a 1 × 1 convolution and batch norm where channels or side change, and ends with a ReLU.
    Blocks after the first halve the side; `pool` is the mean over positions. `sizes` are the pixels of
    an image and the classes; `widths` are the channels of the stem and the blocks. Convolutions have no
    biases. Initial values as in `mlp`: uniform in ±1/√fan-in, by `seed` alone.

    >>> net = residual_cnn(seed=0)
    >>> [name for name, _ in net.block2.named_children()]
    ['conv1', 'bn1', 'relu1', 'conv2', 'bn2', 'shortcut', 'relu2']
    >>> net(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 10])
    """
    if len(sizes) != 2:
        raise InputError(f"sizes are {tuple(sizes)}; expected two numbers: pixels of an image and classes")
    _side(sizes, halvings=len(widths) - 2)
    _check_widths(widths)
    options: dict[str, Any] = {"generator": torch.Generator().manual_seed(seed), "dtype": dtype}
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        stem=nn.Sequential(
            OrderedDict(
                conv=drawn(nn.Conv2d, 1, widths[0], 3, padding=1, **options, bias=False),
                bn=nn.BatchNorm2d(widths[0], dtype=dtype),
                relu=nn.ReLU(),
            )
        )
    )
    for number, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
        layers[f"block{number}"] = _Block(fan_in, fan_out, stride=1 if number == 1 else 2, **options)
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["output"] = drawn(nn.Linear, widths[-1], sizes[-1], **options)
    return nn.Sequential(layers)


class _Block(nn.Module):
    """x → relu(bn(conv(relu(bn(conv(x))))) + shortcut(x))."""

    def __init__(
        self, fan_in: int, fan_out: int, stride: int, generator: torch.Generator, dtype: torch.dtype
    ) -> None:
        super().__init__()
        options: dict[str, Any] = {"generator": generator, "dtype": dtype, "bias": False}
        self.conv1 = drawn(nn.Conv2d, fan_in, fan_out, 3, stride=stride, padding=1, **options)
        self.bn1 = nn.BatchNorm2d(fan_out, dtype=dtype)
        self.relu1 = nn.ReLU()
        self.conv2 = drawn(nn.Conv2d, fan_out, fan_out, 3, padding=1, **options)
        self.bn2 = nn.BatchNorm2d(fan_out, dtype=dtype)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or fan_in != fan_out:
            self.shortcut = nn.Sequential(
                OrderedDict(
                    conv=drawn(nn.Conv2d, fan_in, fan_out, 1, stride=stride, **options),
                    bn=nn.BatchNorm2d(fan_out, dtype=dtype),
                )
            )
        self.relu2 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(out)) + self.shortcut(x))


def _linear_layers(sizes: Sequence[int], first_relu: int, options: dict) -> OrderedDict[str, nn.Module]:
    """`linear1, relu…, linear2, …, output` between consecutive `sizes`."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (fan_in, fan_out) in enumerate(pairwise(sizes), start=1):
        last = number == len(sizes) - 1
        layers["output" if last else f"linear{number}"] = drawn(nn.Linear, fan_in, fan_out, **options)
        if not last:
            layers[f"relu{first_relu + number - 1}"] = nn.ReLU()
    return layers


def _check_sizes(sizes: Sequence[int]) -> None:
    if len(sizes) < 2 or any(int(size) != size or size < 1 for size in sizes):
        raise InputError(f"sizes are {tuple(sizes)}; expected at least two positive whole numbers")


def _check_widths(widths: Sequence[int]) -> None:
    if not widths or any(int(width) != width or width < 1 for width in widths):
        raise InputError(f"widths are {tuple(widths)}; expected positive whole numbers of channels")


def _side(sizes: Sequence[int], halvings: int) -> int:
    """The side of the square images that `sizes` begin with."""
    _check_sizes(sizes)
    side = math.isqrt(sizes[0])
    if side * side != sizes[0] or side < 2**halvings:
        raise InputError(
            f"sizes begin with {sizes[0]}; expected the pixels of a square image of at least "
            f"{2**halvings} × {2**halvings}, such as 784"
        )
    return side
