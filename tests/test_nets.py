"""Nets: initial weights follow the seed alone."""

import math

import pytest
import torch

from splinelab.errors import InputError
from splinelab.nets import mlp


def flat(net):
    return torch.cat([p.detach().double().flatten() for p in net.parameters()])


def test_seed_alone_decides():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = flat(mlp((20, 8, 3), seed=7))
    assert torch.equal(torch.get_rng_state(), before)  # the global generator did not move
    torch.manual_seed(2)
    assert torch.equal(flat(mlp((20, 8, 3), seed=7)), first)
    assert not torch.equal(flat(mlp((20, 8, 3), seed=8)), first)


def test_scale_multiplies_every_parameter_and_dtype_only_rounds():
    one, six = (flat(mlp((20, 8, 3), seed=0, scale=scale)) for scale in (1.0, 6.0))
    assert torch.allclose(6 * one, six, rtol=1e-6, atol=0)
    double = mlp((20, 8, 3), seed=0, dtype=torch.float64)
    assert all(p.dtype == torch.float64 for p in double.parameters())
    assert torch.allclose(flat(double), one, rtol=0, atol=1e-7)


def test_distribution_is_that_of_nn_linear():
    weight = mlp((784, 400, 10), seed=0)[1].weight.detach()
    bound = 1 / math.sqrt(784)
    assert weight.abs().max() <= bound
    assert float(weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.01)
    torch.manual_seed(0)
    theirs = torch.nn.Linear(784, 400).weight.detach()
    assert float(weight.std()) == pytest.approx(float(theirs.std()), rel=0.01)


def test_names_and_shape():
    net = mlp(seed=0)
    names = [name for name, _ in net.named_children()]
    assert names == ["flatten", "linear1", "relu1", "linear2", "relu2", "linear3", "relu3", "output"]
    assert net(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert sum(p.numel() for p in net.parameters()) == 239_410


@pytest.mark.parametrize("sizes", [(), (3,), (3, 0), (3, 2.5)])
def test_bad_sizes(sizes):
    with pytest.raises(InputError, match="sizes"):
        mlp(sizes, seed=0)


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
def test_bad_scale(scale):
    with pytest.raises(InputError, match="scale"):
        mlp((3, 2), seed=0, scale=scale)
