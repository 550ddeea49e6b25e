"""Nets that others trained and published. They never ship: they are read where they are, or downloaded."""

import io
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from splinelab.data.published import Published, at_hand, data_folder, read, verified
from splinelab.errors import ZooError, closest
from splinelab.nets import resnet_cifar

_ORIGIN = (
    "https://raw.githubusercontent.com/akamaster/pytorch_resnet_cifar10/"
    "d5489e8995e81e91ce6b1d69dcc98ad579b0b153/pretrained_models/"
)


@dataclass(frozen=True)
class _Weights:
    """One published net: its depth, its file as published, and a copy that holds the state dict alone."""

    depth: int
    published: Published
    clean: Published


def _weights(depth: int, stem: str, published: tuple[int, str], clean: tuple[int, str]) -> _Weights:
    where: dict[str, Any] = {"folder": "cifar10_resnet", "what": f"the weights of ResNet-{depth}"}
    name = f"{stem}.th"
    return _Weights(
        depth,
        Published(name, *published, **where, origins=(_ORIGIN + name,)),
        Published(f"{stem}_clean_state_dict.pt", *clean, **where),
    )


_WEIGHTS = {
    "resnet20": _weights(
        20,
        "resnet20-12fca82f",
        (1_099_231, "12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8"),
        (1_116_317, "5197d988195e19c5994a136b530a94731c47514697e5c39f19138cc7682dc581"),
    ),
    "resnet56": _weights(
        56,
        "resnet56-4bfd9763",
        (3_471_733, "4bfd97631478d6b638d2764fd2baff3edb1d7d82252d54439343b6596b9b5367"),
        (3_518_446, "605c9cbfc4f173a91a748643f1858876db6fb57107ebdf41291f0398771fb230"),
    ),
}


def pretrained(name: str) -> nn.Module:
    """A ResNet trained on CIFAR-10's 50,000 training images: `"resnet20"` or `"resnet56"`, in eval mode.

    Trained and published by Y. Idelbayev (github.com/akamaster/pytorch_resnet_cifar10, licence in the manner
    of BSD-2). It takes images in [0, 1], such as those of `data.cifar10()`, of which it classifies 91.8 %
    and 93.1 % correctly. The untrained control is `nets.resnet_cifar(20, seed=…).eval()`.

    Reads the folder `SPLINELAB_DATA/cifar10_resnet` if there is one: it holds the file as published or
    its state dict alone. Otherwise the published file (1.1 or 3.5 MB) is downloaded once to
    `SPLINELAB_CACHE`. Every read is checked by size and SHA-256 and loaded with `weights_only=True`.
    Raises `ZooError` for an unknown name, and `DataError` for a file that is missing, damaged or cannot
    be fetched.
    """
    found = _entry(name)
    net = resnet_cifar(found.depth)
    net.load_state_dict(_state(_content(found)))
    return net.eval()


def _state(content: bytes) -> dict[str, torch.Tensor]:
    saved = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    state = saved.get("state_dict", saved)
    # Published from a net that was spread over several GPUs, which puts "module." before every name.
    return {key.removeprefix("module."): value for key, value in state.items()}


def pretrained_at_hand() -> bool:
    """Whether every net of `pretrained` can be read without a download."""
    return all(at_hand(weights.published) for weights in _WEIGHTS.values())


def _content(found: _Weights) -> bytes:
    folder = data_folder(found.published.folder)
    if folder is not None and not (folder / found.published.name).exists():
        remedy = f"restore it, put {found.published.name} beside it, or unset SPLINELAB_DATA"
        return verified(folder / found.clean.name, found.clean, remedy)
    return read(found.published)


def _entry(name: str) -> _Weights:
    if name not in _WEIGHTS:
        hint = closest(name, _WEIGHTS)
        raise ZooError(f"there is no pretrained net {name!r}; {hint}There are {', '.join(_WEIGHTS)}")
    return _WEIGHTS[name]
