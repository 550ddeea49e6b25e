"""Nets: initial weights follow the seed alone, and each net computes what its description says."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from splinelab import record
from splinelab.errors import InputError
from splinelab.nets import cnn, mlp, residual_cnn, resnet_cifar

TINY = {
    "mlp": lambda seed, **options: mlp((20, 8, 3), seed=seed, **options),
    "cnn": lambda seed, **options: cnn((64, 6, 5, 3), seed=seed, widths=(2, 3, 4, 2), **options),
    "residual_cnn": lambda seed, **options: residual_cnn((64, 3), seed=seed, widths=(2, 2, 3, 4), **options),
    "resnet_cifar": lambda seed, **options: resnet_cifar(8, seed=seed, **options),
}


def flat(net):
    return torch.cat([p.detach().double().flatten() for p in net.parameters()])


@pytest.mark.parametrize("kind", TINY)
def test_seed_alone_decides(kind):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = flat(TINY[kind](7))
    assert torch.equal(torch.get_rng_state(), before)  # the global generator did not move
    torch.manual_seed(2)
    assert torch.equal(flat(TINY[kind](7)), first)
    assert not torch.equal(flat(TINY[kind](8)), first)


def test_first_weights_are_those_that_shipped():
    """The zoo's untrained nets are seeds: what a seed gives may not change."""
    start = mlp((784, 200, 10), seed=0).linear1.weight[0, :3].detach()
    torch.testing.assert_close(
        start,
        torch.tensor([0.03357521444559097, 0.014844276010990143, -0.0029012183658778667]),
        rtol=0,
        atol=0,
    )


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


def test_dropout_follows_each_relu_and_only_acts_in_training():
    net, plain = mlp((20, 8, 6, 3), seed=0, dropout=0.5), mlp((20, 8, 6, 3), seed=0)
    names = [name for name, _ in net.named_children()]
    assert names == [*("flatten", "linear1", "relu1", "dropout1", "linear2", "relu2", "dropout2", "output")]
    x = torch.rand(5, 20)
    assert torch.equal(net.eval()(x), plain(x)), "the same weights, and nothing left out"
    assert not torch.equal(net.train()(x), plain(x))
    for share in (-0.1, 1, float("nan")):
        with pytest.raises(InputError, match="dropout"):
            mlp((3, 2), seed=0, dropout=share)


# --- convolutional nets


def test_cnn_names_and_shapes():
    net = cnn(seed=0)
    convolutional = [f"{part}{n}" for n in range(1, 5) for part in ("conv", "bn", "relu", "pool")]
    convolutional = [name for name in convolutional if name not in ("pool1", "pool4")]
    dense = ["flatten", "linear1", "relu5", "linear2", "relu6", "output"]
    assert [name for name, _ in net.named_children()] == convolutional + dense
    assert [net.linear1.in_features, net.linear1.out_features, net.linear2.out_features] == [784, 96, 48]
    assert net(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert cnn((64, 6, 10), seed=0)(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_convolutions_start_as_torchs_do():
    for layer in (cnn(seed=0).conv3, residual_cnn(seed=0).block3.conv2):
        bound = 1 / math.sqrt(layer.in_channels * 9)
        assert layer.weight.abs().max() <= bound
        assert float(layer.weight.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.03)


@pytest.mark.parametrize("kind", ["cnn", "residual_cnn"])
def test_float64_net_is_the_float32_net_unrounded(kind):
    double, single = TINY[kind](0, dtype=torch.float64), TINY[kind](0)
    assert all(
        value.is_floating_point() is False or value.dtype == torch.float64
        for value in double.state_dict().values()
    )
    assert torch.allclose(flat(double), flat(single), rtol=0, atol=1e-7)


@pytest.mark.parametrize(("kind", "side"), [("mlp", None), ("cnn", 8)])
def test_without_biases_the_weights_are_the_same_and_the_net_is_homogeneous(kind, side):
    whole, bare = (TINY[kind](3, bias=bias, dtype=torch.float64).eval() for bias in (True, False))
    names = [name for name, _ in bare.named_parameters()]
    assert not any(name.endswith("bias") or name.startswith("bn") for name in names)
    for name, value in bare.named_parameters():
        assert torch.equal(value, whole.get_parameter(name))
    assert [name for name, _ in whole.named_children()] == [name for name, _ in bare.named_children()]
    x = torch.randn((4, 20) if side is None else (4, 1, side, side), dtype=torch.float64)
    torch.testing.assert_close(bare(8 * x), 8 * bare(x), rtol=1e-12, atol=0)
    assert not torch.allclose(whole(8 * x), 8 * whole(x), rtol=1e-3)


def test_residual_cnn_is_what_it_says():
    """Against the same net written with torch's functions."""
    net = residual_cnn(seed=1, dtype=torch.float64).train()
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(16, 1, 28, 28, generator=generator, dtype=torch.float64)
    net(x)  # so that the running statistics are no longer 0 and 1
    net.eval()
    state = net.state_dict()

    def normed(x, name):
        statistics = (state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *statistics)

    out = F.relu(normed(F.conv2d(x, state["stem.conv.weight"], padding=1), "stem.bn"))
    for name, stride in (("block1", 1), ("block2", 2), ("block3", 2)):
        inner = F.conv2d(out, state[f"{name}.conv1.weight"], stride=stride, padding=1)
        inner = F.conv2d(F.relu(normed(inner, f"{name}.bn1")), state[f"{name}.conv2.weight"], padding=1)
        short = out
        if stride == 2:
            short = F.conv2d(out, state[f"{name}.shortcut.conv.weight"], stride=2)
            short = normed(short, f"{name}.shortcut.bn")
        out = F.relu(normed(inner, f"{name}.bn2") + short)
    expected = out.mean((2, 3)) @ state["output.weight"].T + state["output.bias"]
    torch.testing.assert_close(net(x), expected, rtol=1e-12, atol=1e-12)
    assert [name for name, _ in net.named_children()][:4] == ["stem", "block1", "block2", "block3"]
    assert out.shape == (16, 32, 7, 7)


@pytest.mark.parametrize(
    ("build", "values", "message"),
    [
        (cnn, {"sizes": (780, 10)}, "square image"),
        (cnn, {"sizes": (9, 10)}, "at least 4 × 4"),
        (cnn, {"sizes": (784,)}, "at least two"),
        (cnn, {"widths": ()}, "widths"),
        (cnn, {"widths": (8, 0)}, "widths"),
        (residual_cnn, {"sizes": (784, 96, 10)}, "two numbers"),
        (residual_cnn, {"sizes": (50, 10)}, "square image"),
        (residual_cnn, {"widths": (8, 2.5)}, "widths"),
    ],
)
def test_bad_shapes_of_convolutional_nets(build, values, message):
    with pytest.raises(InputError, match=message):
        build(**values, seed=0)


# --- the ResNets of CIFAR-10


def test_resnet_cifar_computes_the_published_net():
    """Against the forward pass of He et al. with option-A shortcuts, written with torch's functions."""
    net = resnet_cifar(14, seed=2).double().train()
    x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    net(x)
    net.eval()
    state = net.state_dict()

    def conv_bn(x, conv, bn, stride=1):
        x = F.conv2d(x, state[f"{conv}.weight"], stride=stride, padding=1)
        return F.batch_norm(
            x, *(state[f"{bn}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
        )

    mean, std = (
        torch.tensor(v, dtype=torch.float32).double().view(1, 3, 1, 1)
        for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    out = F.relu(conv_bn((x - mean) / std, "conv1", "bn1"))
    for layer, width in ((1, 16), (2, 32), (3, 64)):
        for block in (0, 1):
            name = f"layer{layer}.{block}"
            stride = 2 if layer > 1 and block == 0 else 1
            inner = F.relu(conv_bn(out, f"{name}.conv1", f"{name}.bn1", stride))
            short = out
            if stride == 2:
                short = torch.zeros(4, width, *inner.shape[2:], dtype=torch.float64)
                short[:, width // 4 : 3 * width // 4] = out[:, :, ::2, ::2]
            out = F.relu(conv_bn(inner, f"{name}.conv2", f"{name}.bn2") + short)
    expected = F.linear(F.avg_pool2d(out, 8).flatten(1), state["linear.weight"], state["linear.bias"])
    torch.testing.assert_close(net(x), expected, rtol=1e-10, atol=1e-10)


def test_resnet_cifar_has_the_published_names_and_sizes():
    names = set(resnet_cifar(20).state_dict())
    norm = {f".{key}" for key in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}
    blocks = [f"layer{layer}.{block}" for layer in (1, 2, 3) for block in (0, 1, 2)]
    expected = {"conv1.weight", "linear.weight", "linear.bias", *(f"bn1{key}" for key in norm)}
    for block in blocks:
        expected |= {f"{block}.conv1.weight", f"{block}.conv2.weight"}
        expected |= {f"{block}.bn{n}{key}" for n in (1, 2) for key in norm}
    assert names == expected
    # The numbers of parameters that He et al. give: 0.27, 0.46, 0.66 and 0.85 million.
    counts = [sum(p.numel() for p in resnet_cifar(depth).parameters()) for depth in (20, 32, 44, 56)]
    assert counts == [269_722, 464_154, 658_586, 853_018]
    with pytest.raises(InputError, match="6n"):
        resnet_cifar(21)


@pytest.mark.parametrize("kind", ["cnn", "residual_cnn", "resnet_cifar"])
def test_every_relu_is_seen(kind):
    net = TINY[kind](0).eval()
    shape = (3, 3, 32, 32) if kind == "resnet_cifar" else (3, 1, 8, 8)
    codes = record(net, np.random.default_rng(0).random(shape, np.float32)).codes
    expected = [name for name, module in net.named_modules() if isinstance(module, torch.nn.ReLU)]
    assert list(codes.layers) == expected and len(expected) >= 5
