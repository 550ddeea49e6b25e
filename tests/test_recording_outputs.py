"""Which tensor of what a network returns is meant."""

from collections import OrderedDict, UserDict, namedtuple
from dataclasses import dataclass

import pytest
import torch

from splinelab.errors import InputError
from splinelab.recording.outputs import first_output

MEANT, OTHER = torch.arange(12.0).reshape(4, 3), torch.ones(4, 2)
SCALAR, WIDE = torch.tensor(0.5), torch.ones(7, 4)
Pair = namedtuple("Pair", "y aux")


@dataclass
class Result:
    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    states: tuple | None = None


class ModelOutput(OrderedDict):
    """As in transformers: a dict whose items are attributes too."""


@pytest.mark.parametrize(
    "output",
    [
        MEANT,
        MEANT.requires_grad_(),
        (MEANT, OTHER),
        [MEANT],
        ((MEANT, OTHER), WIDE),
        Pair(MEANT, OTHER),
        {"aux": OTHER, "logits": MEANT, "out": OTHER},
        {"out": OTHER, "output": MEANT},
        {"aux": OTHER, "out": MEANT},
        {"loss": SCALAR, "y": MEANT, "attention": WIDE, "cache": (OTHER, OTHER), "none": None},
        {"logits": None, "y": MEANT},
        {"out": (MEANT, OTHER)},
        ({"y": MEANT}, OTHER),
        ModelOutput(states=OTHER, logits=MEANT),
        UserDict(y=MEANT),
        Result(SCALAR, MEANT, (OTHER, OTHER)),
        Result(states=None, loss=MEANT),
    ],
)
def test_the_tensor_that_is_meant(output):
    assert first_output(output, 4) is MEANT


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (SCALAR, r"4 samples first.*a tensor of shape \(\)"),
        (WIDE, r"a tensor of shape \(7, 4\)"),
        ((), "a tuple of nothing"),
        ((SCALAR, MEANT), r"a tuple of a tensor of shape \(\), a tensor of shape \(4, 3\)"),
        (None, "an object of type NoneType"),
        ("logits", "an object of type str"),
        (Result, "an object of type type"),
        ({}, "no such tensor"),
        ({"y": MEANT, "z": OTHER}, r"several tensors.*'logits' or 'output' or 'out'"),
        ({"y": WIDE}, r"'y': a tensor of shape \(7, 4\): no such tensor"),
        ({"logits": WIDE, "y": MEANT}, r"'logits': a tensor of shape \(7, 4\)"),
        (Result(), "a Result of nothing"),
    ],
)
def test_what_has_no_output(output, message):
    with pytest.raises(InputError, match=message):
        first_output(output, 4)
