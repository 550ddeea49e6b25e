"""The ResNets for CIFAR-10 (He, Zhang, Ren and Sun 2016, section 4.2), in the layout of published weights."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from splinelab.errors import InputError

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


def resnet_cifar(depth: int = 20, *, seed: int = 0) -> nn.Module:
    """A ResNet for 32 × 32 colour images in [0, 1]: `depth` 20, 32, 44, 56 or another 6n + 2.

    `normalise, conv1, bn1, relu, layer1, layer2, layer3, pool, flatten, linear`: a 3 × 3 stem and three
    groups of n residual blocks with 16, 32 and 64 channels. Convolutions have no biases. Where a group
    halves the side, the shortcut takes every second pixel and pads the channels with zeros (option A).
    Parameters bear the names of the weights published by Y. Idelbayev
    (github.com/akamaster/pytorch_resnet_cifar10); the normalisation that these were trained with is the
    first layer and has no parameters.

    First weights are normal with standard deviation √(2/fan-in), biases zero, by `seed` alone. Before
    training, batch norm's statistics are 0 and 1 and normalise nothing: activations grow with every block,
    by a factor of about √2.

    >>> resnet_cifar(20)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """
    if not isinstance(depth, int) or depth < 8 or depth % 6 != 2:
        raise InputError(f"depth is {depth!r}; expected 20, 32, 44, 56 or another 6n + 2")
    # On "meta" no initial weights are drawn, so torch's global generator stays where it is.
    with torch.device("meta"):
        net = _ResNet((depth - 2) // 6)
    net = net.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            spread = math.sqrt(2 / module.weight[0].numel())
            draw = torch.randn(module.weight.shape, generator=generator, dtype=torch.float64)
            module.weight.data.copy_(draw * spread)
        elif isinstance(module, nn.BatchNorm2d | _Normalise):
            module.reset_parameters()
    nn.init.zeros_(net.linear.bias)
    return net


class _Normalise(nn.Module):
    """Images in [0, 1] → the inputs that the published weights expect, by channel."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        # Not persistent: the published weights have no such entries.
        for name in ("mean", "std"):
            self.register_buffer(name, torch.empty(3, 1, 1), persistent=False)

    def reset_parameters(self) -> None:
        self.mean.copy_(torch.tensor(_MEAN).view(3, 1, 1))
        self.std.copy_(torch.tensor(_STD).view(3, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) / self.std


class _Shortcut(nn.Module):
    """Every second pixel, and as many zero channels before as behind: option A, without parameters."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.padding = channels // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.padding, self.padding))


class _Block(nn.Module):
    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        stride = 1 if fan_in == fan_out else 2
        self.conv1 = nn.Conv2d(fan_in, fan_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(fan_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(fan_out, fan_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(fan_out)
        self.shortcut = nn.Identity() if stride == 1 else _Shortcut(fan_in)
        self.relu2 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(out)) + self.shortcut(x))


class _ResNet(nn.Module):
    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.normalise = _Normalise()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.layer1 = self._group(16, 16, blocks)
        self.layer2 = self._group(16, 32, blocks)
        self.layer3 = self._group(32, 64, blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(64, 10)

    @staticmethod
    def _group(fan_in: int, fan_out: int, blocks: int) -> nn.Sequential:
        return nn.Sequential(_Block(fan_in, fan_out), *(_Block(fan_out, fan_out) for _ in range(blocks - 1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.bn1(self.conv1(self.normalise(x))))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(self.flatten(self.pool(x)))
