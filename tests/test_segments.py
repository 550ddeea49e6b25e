"""Exact segments against slow, independent methods: a multi-pass bisection, dense sampling, the recorder."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from splinelab import polytopes, record, zoo
from splinelab.errors import InputError, UnsupportedOperationError
from splinelab.nets import resnet_cifar
from splinelab.polytopes import Rest, from_layer, path, paths, rays, sampled_density, segment, slerp


def seeded(net, seed=0, scale=1.0):
    """Float64 weights and batch-norm statistics from a seed."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in net.double().state_dict().items():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            fan_in = tensor[0].numel() if tensor.ndim > 1 else 4
            tensor.copy_(noise.abs() + 0.5 if name.endswith("running_var") else scale * noise / fan_in**0.5)
    return net.eval()


def points(*shape, seed=1, spread=2.0):
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(shape, generator=generator, dtype=torch.float64)


class Block(nn.Module):
    """A residual block with an in-place, reused ReLU and a shortcut of slices and padding."""

    def __init__(self, inside, outside, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1)
        self.relu = nn.ReLU(inplace=True)
        self.stride, self.pad = stride, (outside - inside) // 2

    def forward(self, x):
        short = x if self.stride == 1 else F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        out = self.conv2(self.relu(self.norm1(self.conv1(x))))
        out += short
        return self.relu(out)


class Residual(nn.Module):
    """Functional, in-place and method-call activations, concatenation, average pooling, a leaky head."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.block1, self.block2 = Block(4, 4, 1), Block(4, 8, 2)
        self.head, self.out = nn.Linear(16, 6), nn.Linear(6, 3)

    def forward(self, x):
        x = self.block2(self.block1(F.relu(self.stem(x))))
        x = F.avg_pool2d(x, x.size(3)).view(x.size(0), -1)
        x = torch.cat([x, 1 - x], dim=1)
        return self.out(F.leaky_relu(self.head(x), 0.1).clamp(-2, 2))


def mlp(seed=0, sizes=(5, 9, 9, 9, 3)):
    layers = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return seeded(nn.Sequential(*layers[:-1]), seed)


def cnn(seed=0):
    return seeded(
        nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.MaxPool2d(3, 2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(36, 8),
            nn.ReLU(),
            nn.Linear(8, 3),
        ),
        seed,
    )


NETS = {"mlp": (mlp, (5,)), "cnn": (cnn, (2, 10, 10)), "residual": (lambda: seeded(Residual()), (2, 4, 4))}


def code_at(net, a, b, t):
    x = torch.stack([torch.lerp(a, b, float(s)) for s in np.atleast_1d(t)])
    return record(net, x, activations=False, pools=True).codes.packed


def slow_knots(net, a, b, low=0.0, high=1.0, depth=0):
    """Every change of code by recursive bisection: no geometry at all. An interval is given up as whole when
    64 samples inside it show one code."""
    inside = np.linspace(low, high, 64)
    codes = code_at(net, a, b, inside)
    knots = []
    for left, right, one, two in zip(inside[:-1], inside[1:], codes[:-1], codes[1:], strict=True):
        if (one == two).all():
            continue
        if right - left < 1e-11:
            knots.append((left + right) / 2)
        elif np.unpackbits(one ^ two).sum() == 1:  # one flip: halve
            while right - left > 1e-13:
                middle = (left + right) / 2
                if (code_at(net, a, b, middle)[0] == one).all():
                    left = middle
                else:
                    right = middle
            knots.append((left + right) / 2)
        else:
            knots += slow_knots(net, a, b, left, right, depth + 1)
    return knots


@pytest.mark.parametrize("kind", NETS)
def test_knots_equal_a_slow_bisection(kind):
    make, shape = NETS[kind]
    net, (a, b) = make(), points(2, *shape)
    found = segment(net, a, b, verify=True).boundaries
    slow = np.array(slow_knots(net, a, b))
    assert len(slow) > 10
    # Bisection may overlook pairs of flips that cancel; what it finds must be there, and it finds nearly all.
    nearest = np.abs(found[:, None] - slow).min(axis=0)
    assert nearest.max() < 1e-10
    assert len(slow) >= 0.97 * len(found)


@pytest.mark.parametrize("kind", NETS)
def test_codes_of_the_pieces_are_the_recorders(kind):
    make, shape = NETS[kind]
    net, (a, b) = make(), points(2, *shape, seed=3)
    found = segment(net, a, b)
    middles = (found.t[1:] + found.t[:-1]) / 2
    recorded = record(net, torch.from_numpy(found.at(middles))).codes
    wide = np.diff(found.t) > 1e-9
    assert recorded.layers == found.codes.layers
    assert np.array_equal(recorded.packed[wide], found.codes.packed[wide])


@pytest.mark.parametrize("kind", NETS)
def test_the_output_is_linear_between_knots(kind):
    make, shape = NETS[kind]
    net, (a, b) = make(), points(2, *shape, seed=4)
    found = segment(net, a, b)
    rng = np.random.default_rng(0)
    t = np.sort(rng.uniform(size=500))
    with torch.no_grad():
        plain = net(torch.from_numpy(found.at(t))).numpy()
    assert np.abs(plain - found.output_at(t)).max() < 1e-12 * np.abs(plain).max()


def test_every_flip_is_listed_with_its_unit():
    net, (a, b) = mlp(), points(2, 5, seed=5)
    found = segment(net, a, b)
    bits = found.codes.bits().astype(int)
    flips = [
        (round(found.t[i + 1], 12), unit, bits[i + 1, unit])
        for i in range(len(bits) - 1)
        for unit in np.flatnonzero(bits[i] != bits[i + 1])
    ]
    starts = np.cumsum([0, *found.codes.layers.values()])
    columns = starts[found.crossing_layer] + found.crossing_unit
    listed = zip(found.crossing_t.round(12), columns, found.crossing_on.astype(int), strict=True)
    assert sorted(listed) == sorted(flips)
    for t, layer, unit in zip(found.crossing_t, found.crossing_layer, found.crossing_unit, strict=True):
        name = list(found.codes.layers)[layer]
        z = record(net, torch.from_numpy(found.at(t))).pre[name][0]
        assert abs(z[unit]) < 1e-6 * max(1, np.abs(z).max())  # recordings are float32


def test_memory_and_batches_change_nothing():
    net, shape = cnn(), (2, 10, 10)
    starts, ends = points(4, *shape, seed=6), points(4, *shape, seed=7)
    legs = [torch.stack(pair) for pair in zip(starts, ends, strict=True)]
    whole = paths(net, legs)
    parts = paths(net, legs, memory=2e6)
    for one, other, leg in zip(whole, parts, legs, strict=True):
        alone = path(net, leg)
        for result in (other, alone):
            np.testing.assert_allclose(result.t, one.t, atol=1e-11)
            assert result.codes == one.codes


def test_from_a_layer_on():
    net, (a, b) = cnn(), points(2, 2, 10, 10, seed=8)
    found = segment(net, a, b, layer="3", verify=True)
    rest = Rest(net, "3", torch.stack([a, b]))
    tail = net[4:]
    z = rest.activations(torch.stack([a, b]))
    torch.testing.assert_close(z, net[:4](torch.stack([a, b])), rtol=0, atol=0)
    direct = segment(tail, *z)
    np.testing.assert_allclose(found.t, direct.t, atol=1e-12)
    assert list(found.codes.layers) == ["6", "9"]  # the whole model's names
    assert np.array_equal(found.codes.packed, direct.codes.packed)
    assert list(record(rest, z).codes.layers) == ["6", "9"]
    own = segment(rest, *z)  # activations of one's own making
    np.testing.assert_allclose(own.t, found.t, atol=1e-12)


def resnet20(kind):
    """The published ResNet-20 where it is at hand, else its architecture with weights from a seed."""
    if kind == "published" and not zoo.pretrained_at_hand():
        pytest.skip("the published weights are not at hand")
    return zoo.pretrained("resnet20") if kind == "published" else resnet_cifar(20).eval()


@pytest.mark.parametrize("kind", ["from a seed", "published"])
def test_resnet20(kind):
    rest, ends = from_layer(resnet20(kind).double(), "layer3.1", points(2, 3, 32, 32, spread=0.3) + 0.5)
    found = segment(rest, *ends, verify=True)
    assert found.regions > 500
    middles = (found.t[1:] + found.t[:-1]) / 2
    t = np.concatenate([middles, np.linspace(0, 1, 1001)])
    recorded = record(rest, torch.from_numpy(found.at(t)), activations=False).codes.packed
    wide = np.diff(found.t) > 1e-9
    assert np.array_equal(recorded[: len(middles)][wide], found.codes.packed[wide])
    # Dense sampling finds no code that the pieces lack.
    piece = np.clip(np.searchsorted(found.t, t[len(middles) :], side="right") - 1, 0, len(found) - 1)
    clear = np.abs(found.t[:, None] - t[len(middles) :]).min(axis=0) > 1e-9
    assert np.array_equal(recorded[len(middles) :][clear], found.codes.packed[piece][clear])


def test_the_model_is_left_alone():
    net = cnn().float()
    before = copy.deepcopy(net.state_dict())
    segment(net, *points(2, 2, 10, 10))
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert net[0].weight.dtype == torch.float32 and net[0].weight.requires_grad


def test_pre_activations_at_the_knots():
    net, (a, b) = mlp(), points(2, 5, seed=9)
    found = segment(net, a, b, values=True)
    recorded = record(net, torch.from_numpy(found.at(found.t)))
    for name, z in found.values.items():
        np.testing.assert_allclose(z, recorded.pre[name], atol=1e-5)


# Degenerate nets


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_degenerate_nets_stay_exact(seed):
    """Small whole-number weights: dead units, parallel and coincident boundaries, knots in the end points."""
    rng = np.random.default_rng(seed)
    net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 4), nn.LeakyReLU(0.5), nn.Linear(4, 2))
    for tensor in net.double().state_dict().values():
        tensor.copy_(torch.from_numpy(rng.integers(-1, 2, tensor.shape)))
    a, b = rng.integers(-3, 4, (2, 2)).astype(float)
    if (a == b).all():
        b = b + 1
    found = segment(net.eval(), a, b, verify=True)
    t = (found.t[1:] + found.t[:-1]) / 2
    recorded = record(net, torch.from_numpy(found.at(t)))
    off = np.concatenate(
        [np.abs(z) > 1e-9 for z in recorded.pre.values()], axis=1
    )  # a unit that is zero all along is neither on nor off
    assert ((recorded.codes.bits() == found.codes.bits()) | ~off).all()
    assert (np.diff(found.t) > 0).all()


def test_coincident_boundaries_are_one_place():
    net = seeded(nn.Sequential(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 1)))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0], [-2.0], [1.0]]))
        net[0].bias.copy_(torch.tensor([-0.3, 0.6, -0.7]))
    found = segment(net, [0.0], [1.0])
    np.testing.assert_allclose(found.boundaries, [0.3, 0.7], atol=1e-15)
    assert found.crossings == 3 and found.regions == 3
    assert found.crossing_on.tolist() in ([True, False, True], [False, True, True])


def test_a_zero_unit_has_no_boundary():
    net = mlp(sizes=(3, 4, 2))
    with torch.no_grad():
        net[0].weight[1] = 0
        net[0].bias[1] = 0
    found = segment(net, *points(2, 3))
    assert 1 not in found.crossing_unit and not found.codes.bits()[:, 1].any()


def test_max_pooling_bends_where_its_winner_changes():
    net = nn.Sequential(nn.MaxPool1d(3), nn.Flatten(), nn.ReLU()).double().eval()
    a, b = torch.tensor([[3.0, 1.0, 0.9]]), torch.tensor([[0.0, 2.0, 4.0]])
    found = segment(net, a, b, verify=True)
    # 3 − 3t, 1 + t, .9 + 3.1t: the first leads until it meets the third at 2.1/6.1; the second never does.
    np.testing.assert_allclose(found.boundaries, [2.1 / 6.1], atol=1e-14)
    assert len(found.pool_crossings) == 1 and found.crossings == 0


# Rays, arcs, sampling


def test_a_net_without_biases_has_no_boundary_on_any_ray():
    net = mlp()
    for module in net:
        if isinstance(module, nn.Linear):
            module.bias.data.zero_()
    for ray in rays(net, points(5, 5)):
        assert ray.path.crossings == 0 and ray.path.regions == 1


def test_rays_find_the_boundaries_of_a_known_net():
    net = seeded(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)))
    x = points(1, 2)
    z = (net[0].weight @ x[0]).detach().numpy()
    expected = -net[0].bias.detach().numpy() / z
    expected = np.sort(expected[(expected > 1e-4) & (expected < 10)])
    (ray,) = rays(net, x)
    assert len(expected) and np.allclose(ray.crossings, expected, rtol=1e-12)
    changes, classes = ray.class_changes
    alphas = np.geomspace(1e-4, 10, 20_001)
    seen = net(torch.from_numpy(alphas)[:, None] * x).argmax(dim=1).numpy()
    assert len(changes) == (np.diff(seen) != 0).sum() and len(classes) == len(changes) + 1
    density = ray.density([1e-4, 0.1, 10.0])
    counts = [(expected < 0.1).sum(), (expected >= 0.1).sum()]
    np.testing.assert_allclose(
        density, counts / (np.diff([1e-4, 0.1, 10.0]) * np.linalg.norm(x[0])), rtol=1e-9
    )


def test_class_changes_are_exact():
    net, (a, b) = cnn(3), points(2, 2, 10, 10, seed=11)
    found = segment(net, a, b)
    where, classes = found.class_changes()
    t = np.linspace(0, 1, 4001)
    with torch.no_grad():
        sampled = net(torch.from_numpy(found.at(t))).argmax(dim=1).numpy()
    expected = classes[np.searchsorted(where, t)]
    far = np.abs(where[:, None] - t).min(axis=0) > 1e-9 if len(where) else np.ones(len(t), bool)
    assert np.array_equal(sampled[far], expected[far])


def test_slerp_keeps_to_the_arc():
    a, b = np.array([1.0, 0, 0]), np.array([0, 2.0, 0])
    arc = slerp(a, b, 5)
    np.testing.assert_allclose(arc[[0, -1]], [a, b], atol=1e-15)
    equal = slerp(a, b / 2, 9)
    np.testing.assert_allclose(np.linalg.norm(equal, axis=1), 1)
    np.testing.assert_allclose(np.arctan2(equal[:, 1], equal[:, 0]), np.linspace(0, np.pi / 2, 9))


def test_sampled_density_tends_to_the_exact_one():
    """The Hamming distance between a centre and a random point is that of the two ends of an exact segment,
    and never exceeds its crossings."""
    net, centre = mlp(), points(1, 5)
    density = sampled_density(net, centre, radius=0.5, samples=40, seed=3)[0]
    generator = torch.Generator().manual_seed(3)
    directions = torch.randn((40, 5), generator=generator, dtype=torch.float64)
    directions /= directions.norm(dim=1, keepdim=True)
    exact = [segment(net, centre[0], centre[0] + 0.5 * way) for way in directions]
    ends = [np.bitwise_xor.reduce(p.codes.packed[[0, -1]]) for p in exact]
    hamming = np.mean([np.unpackbits(bits).sum() for bits in ends]) / 0.5
    assert density == pytest.approx(hamming)
    assert density <= np.mean([p.crossings for p in exact]) / 0.5


# What is refused


@pytest.mark.parametrize(
    "start, end, message",
    [
        ([0.0] * 5, [0.0] * 5, "identical"),
        ([np.nan] + [0.0] * 4, [1.0] * 5, "NaN"),
        ([0.0] * 5, [1.0] * 4, "one shape"),
    ],
)
def test_bad_points(start, end, message):
    with pytest.raises(InputError, match=message):
        segment(mlp(), start, end)


def test_bad_models():
    a, b = points(2, 2, 10, 10)
    with pytest.raises(InputError, match="no layer 'pool'"):
        segment(cnn(), a, b, layer="pool")
    with pytest.raises(InputError, match=r"model.eval\(\)"):
        segment(cnn().train(), a, b)
    residual = seeded(Residual())
    with pytest.raises(InputError, match="goes round"):
        segment(residual, *points(2, 2, 8, 8), layer="block1.conv1")
    broken = mlp()
    broken[0].weight.data[0, 0] = torch.nan
    with pytest.raises(InputError, match="NaN"):
        segment(broken, *points(2, 5))
    with pytest.raises(InputError, match="no polytopes"):
        segment(mlp(), *points(2, 5), layer="5")


class Calls(nn.Module):
    """One linear layer, then whatever is given."""

    def __init__(self, then):
        super().__init__()
        self.linear, self.then = seeded(nn.Linear(3, 4), scale=2.0), then

    def forward(self, x):
        return self.then(F.relu(self.linear(x)))


@pytest.mark.parametrize(
    "then, name",
    [
        (F.gelu, "gelu"),
        (lambda x: F.softmax(x, dim=1), "frozen"),
        (lambda x: F.layer_norm(x, (4,)), "frozen"),
        (lambda x: x * x, "activations with activations"),
        (lambda x: x / (1 + x), "activations"),
        (lambda x: x - x.mean(dim=0), "first axis"),
        (lambda x: x.flip(0), "first axis"),
        (lambda x: x @ (x.T @ x), "first axis"),
        (lambda x: x.reshape(-1).view(x.shape), "first axis"),
        (lambda x: x if x.tolist()[0][0] > 0 else -x, "depend on values"),
        (lambda x: F.dropout(x), "training=True"),
        (lambda x: F.threshold(x, 0.1, 0.0), "jumps"),
        (lambda x: x.sort(dim=1).values, "sort"),
    ],
)
def test_what_is_not_piecewise_linear_is_named(then, name):
    with pytest.raises(UnsupportedOperationError, match=name):
        segment(Calls(then).eval(), *points(2, 3))


@pytest.mark.parametrize(
    "then",
    [
        lambda x: x.sub_(0.5).relu_() - torch.relu(x - 1),
        lambda x: torch.maximum(x, torch.full((4,), 0.3, dtype=x.dtype)),
        lambda x: torch.minimum(x, 1 - x),
        lambda x: F.hardtanh(x, -0.5, 0.5) + x.abs() + F.relu6(3 * x),
        lambda x: torch.einsum("nk,kj->nj", x, torch.eye(4, dtype=x.dtype)).clamp(max=0.4),
        lambda x: torch.cat(x.chunk(2, dim=1)[::-1], dim=1).unsqueeze(1).mean(dim=1).relu(),
        lambda x: x.permute(0, 1)[:, [2, 0]].sub(0.5).float().relu(),
        lambda x: x.clone().mul_(2).add_(x).relu_(),
    ],
)
def test_what_is_piecewise_linear_passes(then):
    found = segment(Calls(then).eval(), *points(2, 3, spread=3), verify=True)
    assert found.regions > 1


def test_tokens_reach_a_hidden_layer_as_integers():
    net = seeded(
        nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 2))
    )
    first, second = torch.tensor([0, 1, 2]), torch.tensor([6, 5, 4])
    found = segment(net, first, second, layer="0", verify=True)
    direct = segment(net[1:], *net[0](torch.stack([first, second])))
    np.testing.assert_allclose(found.t, direct.t, atol=1e-14)
    assert found.regions > 1


def test_half_precision_weights_are_taken_as_they_are():
    net = mlp().half()
    found = segment(net, *points(2, 5))
    expected = segment(copy.deepcopy(net).double(), *points(2, 5))
    np.testing.assert_array_equal(found.t, expected.t)
    assert net[0].weight.dtype == torch.float16


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_an_accelerator_finds_the_same_knots():
    net, (a, b) = cnn(), points(2, 2, 10, 10)
    here, there = segment(net, a, b), segment(net, a, b, device="cuda")
    np.testing.assert_allclose(here.t, there.t, atol=1e-10)
    assert here.codes == there.codes


def test_names_are_where_a_reader_looks():
    assert {"segment", "path", "paths", "rays", "slerp", "Rest"} <= set(polytopes.__all__)
