"""Soft codes against the activations themselves and exact crossings; frozen transformers against formulas."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from splinelab import record
from splinelab.errors import InputError, UnsupportedOperationError
from splinelab.polytopes.density.soft import (
    soft_code,
    soft_density,
    steepness,
    total_variation,
)
from splinelab.polytopes.freezing import frozen
from splinelab.polytopes.geometry.paths import segment
from splinelab.polytopes.geometry.rest import Rest

U = np.linspace(-9, 9, 2001)

# Soft codes


@pytest.mark.parametrize(
    ("activation", "function"),
    [("silu", F.silu), ("gelu", F.gelu), ("gelu_tanh", lambda u: F.gelu(u, approximate="tanh"))],
)
def test_the_gate_times_its_input_is_the_activation(activation, function):
    np.testing.assert_allclose(U * soft_code(U, activation), function(torch.from_numpy(U)), atol=1e-14)


@pytest.mark.parametrize("beta", [0.2, 0.5, 0.9])
def test_the_gate_is_the_slope_of_softplus(beta):
    u = torch.from_numpy(U).requires_grad_()
    F.softplus(u, beta=steepness(beta), threshold=1e9).sum().backward()
    np.testing.assert_allclose(soft_code(U, "softplus", beta=beta), u.grad, atol=1e-12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.floats(-50, 50), st.floats(0, 0.999))
def test_the_gate_is_the_softmax_over_the_two_regions(u, beta):
    regions = torch.tensor([u, 0.0], dtype=torch.float64) * steepness(beta)
    assert soft_code(u, "relu", beta=beta) == pytest.approx(float(F.softmax(regions, dim=0)[0]), abs=1e-15)


def test_from_linear_to_hard():
    assert np.all(soft_code(U, beta=0) == 0.5)
    np.testing.assert_array_equal(soft_code(U, beta=1), np.where(U > 0, 1, np.where(U < 0, 0, 0.5)))
    gelu = F.gelu(torch.from_numpy(U)).numpy()
    probit = np.abs(gelu - U * soft_code(1.702 * U, "silu")).max()
    assert probit == pytest.approx(0.020, abs=0.0005)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 999), st.floats(0.01, 50))
def test_total_variation_is_exact_between_knots(seed, eta):
    z = np.random.default_rng(seed).normal(size=(4, 3))
    fine = np.linspace(0, 1, 2001)[:, None]
    for piece in range(3):
        gates = 1 / (1 + np.exp(-eta * (z[piece] * (1 - fine) + z[piece + 1] * fine)))
        expected = np.abs(np.diff(gates, axis=0)).sum()
        assert total_variation(z, eta)[piece] == pytest.approx(expected)
    flips = (np.diff(z > 0, axis=0)).sum(axis=1)
    np.testing.assert_array_equal(total_variation(z, math.inf), flips)
    np.testing.assert_allclose(total_variation({"a": z[:, :1], "b": z[:, 1:]}, eta), total_variation(z, eta))


def cnn(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 20),
        nn.ReLU(), nn.Linear(20, 3),
    ).eval()  # fmt: skip


@pytest.mark.parametrize("layer", [None, "4"])
def test_soft_density_tends_to_the_number_of_crossings(layer):
    rng = np.random.default_rng(1)
    a, b = 3 * rng.normal(size=(2, 1, 8, 8))
    path = segment(cnn(), a, b, layer=layer, values=True)
    assert path.crossings > 5
    totals = [soft_density(cnn(), a, b, eta=eta, layer=layer).total for eta in (1, 10, 1e3, 1e7)]
    misses = [abs(total - path.crossings) for total in totals]
    assert misses == sorted(misses, reverse=True) and misses[-1] < 1e-3 < misses[0]
    assert total_variation(path.values, math.inf).sum() == path.crossings
    found = soft_density(cnn(), a, b, eta=10, layer=layer)
    assert found.length == pytest.approx(np.linalg.norm(path.waypoints[1] - path.waypoints[0]))
    assert found.density == found.total / found.length


def test_soft_refusals():
    net, (a, b) = nn.Sequential(nn.Linear(3, 20), nn.GELU()), np.eye(3)[:2]
    with pytest.raises(UnsupportedOperationError, match=r"gelu.*soft_code"):
        soft_density(net, a, b)
    with pytest.raises(InputError, match="NaN"):
        soft_code([np.nan])
    with pytest.raises(InputError, match="beta"):
        soft_code([1.0], beta=1.5)
    with pytest.raises(InputError, match="gelu_tanh"):
        soft_code([1.0], "tanh")
    for eta in (0, -1, np.nan):
        with pytest.raises(InputError, match="eta"):
            total_variation(np.ones((2, 1)), eta)
    with pytest.raises(InputError, match="knots"):
        total_variation(np.ones((1, 1)), 1.0)


# Frozen transformers


class Block(nn.Module):
    """A pre-norm block as GPT models write it by hand. `style`: how attention is spelled."""

    def __init__(self, style="matmul", width=8, heads=2, hidden=12):
        super().__init__()
        self.style, self.heads = style, heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        samples, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).split(width, dim=2)
        if self.style == "joined":  # samples and heads on one axis, the samples leading
            q, k, v = (self._heads(part).reshape(-1, length, width // self.heads) for part in (q, k, v))
            y = torch.bmm(torch.softmax(torch.bmm(q, k.mT), -1), v).view(samples, self.heads, length, -1)
        elif self.style == "heads first":
            q, k, v = (torch.cat(part.chunk(self.heads, dim=2)) for part in (q, k, v))
            y = torch.stack(torch.bmm(torch.softmax(torch.bmm(q, k.mT), -1), v).chunk(self.heads), dim=1)
        elif self.style == "sdpa":
            y = F.scaled_dot_product_attention(*map(self._heads, (q, k, v)), is_causal=True)
        elif self.style == "cast":  # softmax in a precision of its own
            q, k, v = map(self._heads, (q, k, v))
            y = F.softmax(q @ k.mT, dim=-1, dtype=torch.float32).type_as(v) @ v
        elif self.style == "head by head":
            q, k, v = map(self._heads, (q, k, v))
            y = torch.zeros_like(v)
            for head in range(self.heads):  # through a view: what is read in the end is `y`
                y[:, head].copy_(torch.softmax(q[:, head] @ k[:, head].mT, -1) @ v[:, head])
        elif self.style == "in place":
            q, k, v = map(self._heads, (q, k, v))
            v[:, :, 0] = v[:, :, 1]  # changes the storage that q and k lie in
            scores = q @ k.mT
            scores /= 3
            scores.masked_fill_(torch.ones(length, length).triu(1) == 1, -math.inf)
            y = scores.softmax(-1) @ v
        else:
            q, k, v = map(self._heads, (q, k, v))
            scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
            scores = scores.masked_fill(torch.ones(length, length).tril() == 0, -math.inf)
            y = scores.softmax(-1) @ v
        x = x + self.proj(y.transpose(1, 2).reshape(samples, length, width))
        return x + self.down(F.relu(self.up(self.norm2(x))))

    def _heads(self, x):
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


def blocks(style="matmul"):
    torch.manual_seed(0)
    return nn.Sequential(Block(style), Block(style)).eval()


def encoder_layer(**options):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 12, **{"batch_first": True, **options}).eval()
    for parameter in layer.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)  # biases and norms that are not trivial
    return layer


def tokens(*shape, seed=1):
    return torch.randn(shape or (1, 4, 8), generator=torch.Generator().manual_seed(seed))


STACK = nn.TransformerEncoder(encoder_layer(), 2, enable_nested_tensor=False).eval()
CAUSAL = nn.Transformer.generate_square_subsequent_mask(4)


@pytest.mark.parametrize(
    ("model", "fixed"),
    [
        (blocks(), {}),
        (blocks("sdpa"), {}),
        (blocks("joined"), {}),
        (blocks("in place"), {}),
        (blocks("head by head"), {}),
        (encoder_layer(), {}),
        (encoder_layer(norm_first=True), {}),
        (encoder_layer(), {"src_mask": CAUSAL, "is_causal": True}),
        (encoder_layer(bias=False), {"src_key_padding_mask": torch.tensor([[False, False, False, True]])}),
        (STACK, {"mask": CAUSAL}),
        (nn.Sequential(nn.RMSNorm(8), nn.Linear(8, 8), nn.ReLU(), nn.LayerNorm((4, 8))).eval(), {}),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_frozen_model_is_the_model_at_its_reference(model, fixed, dtype):
    model, x = copy.deepcopy(model).to(dtype), tokens().to(dtype)
    fixed = {name: mask.to(dtype) if mask is CAUSAL else mask for name, mask in fixed.items()}
    still = frozen(model, x, **fixed)
    with torch.no_grad():
        expected = model(x, **fixed)
        tolerance = 20 * torch.finfo(dtype).eps * expected.abs().max()
        assert (still(x) - expected).abs().max() <= tolerance
        assert (still(x.repeat(3, 1, 1)) - expected).abs().max() <= tolerance
        other = tokens(seed=2).to(dtype)
        assert (still(other) - model(other, **fixed)).abs().max() > 1e-3  # frozen elsewhere


@pytest.mark.parametrize("norm_first", [False, True])
def test_positions_first(norm_first):
    model = encoder_layer(batch_first=False, norm_first=norm_first)
    same = encoder_layer(batch_first=True, norm_first=norm_first)
    x, other = tokens(4, 1, 8), tokens(4, 3, 8, seed=2)
    with torch.no_grad():
        still = frozen(model, x, batch_dim=1)
        torch.testing.assert_close(still(x), model(x))
        expected = frozen(same, x.transpose(0, 1))(other.transpose(0, 1)).transpose(0, 1)
        torch.testing.assert_close(still(other), expected)


def by_formula(block, reference, x):
    """The two halves of a frozen `Block`, sample by sample, pattern and scales from the reference."""

    def norm(layer, at, x):
        sd = (at.var(-1, unbiased=False, keepdim=True) + layer.eps).sqrt()
        return (x - x.mean(-1, keepdim=True)) / sd * layer.weight + layer.bias

    def halves(x, pattern=None, at=None):
        qkv = norm(block.norm1, x if at is None else at[0], x) @ block.qkv.weight.T + block.qkv.bias
        mixed = []
        for head in range(block.heads):
            q, k, v = (qkv[:, 8 * part + 4 * head : 8 * part + 4 * head + 4] for part in range(3))
            if pattern is None:
                scores = (q @ k.T / 2).masked_fill(torch.ones(4, 4).triu(1) == 1, -math.inf)
                patterns.append(scores.exp() / scores.exp().sum(-1, keepdim=True))
            mixed.append((patterns if pattern is None else pattern)[head] @ v)
        middle = x + block.proj(torch.cat(mixed, dim=1))
        hidden = block.up(norm(block.norm2, middle if at is None else at[1], middle))
        return middle, middle + block.down(hidden * (hidden > 0))

    patterns = []
    at = (reference, halves(reference)[0])
    return halves(x, patterns, at)[1]


@pytest.mark.parametrize("style", ["matmul", "sdpa"])
def test_away_from_the_reference_it_follows_the_formula(style):
    torch.manual_seed(0)
    block, x, others = Block(style).eval().double(), tokens().double(), tokens(3, 4, 8, seed=2).double()
    with torch.no_grad():
        found = frozen(block, x)(others)
        for one, expected in zip(found, others, strict=True):
            torch.testing.assert_close(one, by_formula(block, x[0], expected), atol=1e-13, rtol=0)


def test_torch_attention_follows_the_hand_written_one():
    """`nn.MultiheadAttention` holding the weights of a `Block`, at and away from the reference."""
    torch.manual_seed(0)
    block = Block("sdpa").double().eval()
    layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, norm_first=True).double().eval()
    pairs = [(layer.self_attn.out_proj, block.proj), (layer.linear1, block.up), (layer.linear2, block.down),
             (layer.norm1, block.norm1), (layer.norm2, block.norm2)]  # fmt: skip
    for mine, theirs in pairs:
        mine.load_state_dict(theirs.state_dict())
    layer.self_attn.in_proj_weight.data = block.qkv.weight.data
    layer.self_attn.in_proj_bias.data = block.qkv.bias.data
    x, others, mask = tokens().double(), tokens(3, 4, 8, seed=2).double(), CAUSAL.double()
    with torch.no_grad():
        torch.testing.assert_close(frozen(layer, x, src_mask=mask)(others), frozen(block, x)(others))


def test_spellings_of_attention_agree():
    x, others = tokens().double(), tokens(3, 4, 8, seed=2).double()
    with torch.no_grad():
        one, two = (frozen(blocks(style).double(), x)(others) for style in ("joined", "head by head"))
    torch.testing.assert_close(one, two, atol=1e-13, rtol=0)


class Cross(nn.Module):
    """Values of another width, several query heads to each of value, weights of attention returned."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.attention = nn.MultiheadAttention(8, 2, kdim=6, vdim=6, batch_first=True)
        self.to_values, self.query = nn.Linear(8, 6), nn.Linear(8, 16)

    def forward(self, x):
        values = self.to_values(x)
        y, weights = self.attention(x, values, values)
        q = self.query(y).view(*y.shape[:2], 4, 4).transpose(1, 2)
        kv = y.view(*y.shape[:2], 2, 4).transpose(1, 2)
        z = F.scaled_dot_product_attention(q, kv, kv, enable_gqa=True)
        return z.transpose(1, 2).flatten(2), weights


def test_other_kinds_of_attention():
    model, x, other = Cross().double().eval(), tokens().double(), tokens(2, 4, 8, seed=2).double()
    still = frozen(model, x)
    with torch.no_grad():
        for mine, theirs in zip(still(x), model(x), strict=True):
            torch.testing.assert_close(mine, theirs)
        double = still(2 * other - x)[0]  # with the patterns fixed the whole is affine
        torch.testing.assert_close(double, 2 * still(other)[0] - still(x)[0])
        assert torch.equal(still(other)[1], still(x)[1].expand(2, -1, -1))


class Language(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.place, self.blocks = nn.Embedding(11, 8), nn.Embedding(4, 8), blocks()
        self.head = nn.Linear(8, 11)

    def forward(self, ids):
        return self.head(self.blocks(self.embed(ids) + self.place(torch.arange(ids.shape[1]))))


def test_a_model_of_tokens():
    torch.manual_seed(0)
    model, ids = Language().eval(), torch.tensor([[3, 1, 4, 1]])
    still = frozen(model, ids)
    with torch.no_grad():
        torch.testing.assert_close(still(ids), model(ids))
        assert still(torch.tensor([[3, 1, 4, 1], [5, 9, 2, 6]])).shape == (2, 4, 11)


def flips_by_sampling(model, a, b, points):
    t = torch.linspace(0, 1, points, dtype=torch.float64)[:, None, None]
    bits = record(model, a * (1 - t) + b * t, batch_size=4096).codes.bits()
    return int((bits[1:] != bits[:-1]).sum())


@pytest.mark.parametrize("model", [blocks(), blocks("sdpa"), encoder_layer(), STACK])
def test_segments_of_frozen_transformers_are_exact(model):
    still = frozen(model, tokens())
    a, b = tokens(4, 8, seed=3).double(), tokens(4, 8, seed=4).double()
    path = segment(still, a, b, verify=True)  # within 1e-12 of the network, between all boundaries
    assert path.crossings > 10
    exact = copy.deepcopy(still).double()
    assert flips_by_sampling(exact, a, b, 20001) == path.crossings
    assert list(path.codes.layers) == list(record(exact, a[None]).codes.layers)
    middles = torch.from_numpy(path.at((path.t[1:] + path.t[:-1]) / 2))
    assert record(exact, middles).codes == path.codes


def test_a_segment_from_a_layer_on():
    still = frozen(blocks(), tokens()).double()
    x = tokens(2, 4, 8, seed=3).double()
    path = segment(still, x[0], x[1], layer="model.0", verify=True)
    assert list(path.codes.layers) == ["model.1.relu"] and path.crossings > 0
    rest = Rest(still, "model.0", x)
    with torch.no_grad():
        torch.testing.assert_close(rest(rest.activations(x)), still(x))


def test_a_frozen_model_is_a_copy():
    model, x = blocks(), tokens()
    still = frozen(model, x)
    with torch.no_grad():
        before = still(x)
        model[0].up.weight.zero_()
        assert torch.equal(still(x), before)
        torch.testing.assert_close(copy.deepcopy(still).double()(x.double()).float(), before)
    state = model.state_dict()
    assert list(still.model.state_dict()) == list(state) and not model.training


class Branching(nn.Module):
    def __init__(self, by_value: bool):
        super().__init__()
        self.norm, self.by_value = nn.LayerNorm(8), by_value

    def forward(self, x):
        if self.by_value and x.sum() > 0:
            x = x + 1
        if not self.by_value and len(x) > 2:
            x = F.relu(x)
        return F.relu(self.norm(x))


def test_a_models_own_casts_do_not_cost_precision():
    x = tokens(3, 4, 8).double()
    assert segment(frozen(Casting(), x[:1]), x[1], x[2], verify=True).crossings > 0
    assert segment(frozen(blocks("cast"), x[:1]), x[1], x[2], verify=True).crossings > 0
    torch.testing.assert_close(frozen(blocks("cast"), tokens())(tokens()), blocks("cast")(tokens()))
    torch.testing.assert_close(frozen(Casting(), x[:1].float())(x[:1].float()), Casting()(x[:1].float()))


def test_another_way_through_the_model_is_an_error():
    x = tokens()
    for model, other in ((Branching(True), -x), (Branching(False), x.repeat(3, 1, 1))):
        still = frozen(model.eval(), x if x.sum() > 0 else -x)
        still(x if x.sum() > 0 else -x)
        with pytest.raises(UnsupportedOperationError, match="another way"):
            still(other if x.sum() > 0 else -other)
    with pytest.raises(UnsupportedOperationError, match="sum works along"):
        segment(frozen(Branching(True).eval(), x), x[0], 2 * x[0])


class Shorter(nn.Module):
    def forward(self, x):
        y = F.layer_norm(x, (8,))
        return y + 1 if len(x) < 3 else y


class Casting(nn.Module):
    """Normalises in a precision of its own."""

    def forward(self, x):
        return F.relu(F.layer_norm(x.float(), (8,)).type_as(x))


class Mixing(nn.Module):
    def forward(self, x):
        return F.layer_norm(x, (8,)) + x.mean(dim=0)


def test_frozen_refusals():
    x = tokens()
    with pytest.raises(InputError, match="one sample"):
        frozen(blocks(), x.repeat(2, 1, 1))
    with pytest.raises(InputError, match="NaN"):
        frozen(blocks(), x * math.nan)
    with pytest.raises(InputError, match=r"model\.eval"):
        frozen(encoder_layer().train(), x)
    with pytest.raises(UnsupportedOperationError, match="ends with a softmax"):
        frozen(nn.Sequential(*blocks(), nn.Softmax(dim=-1)).eval(), x)
    with pytest.raises(UnsupportedOperationError, match="Beside another sample"):
        frozen(blocks("heads first"), x)
    with pytest.raises(UnsupportedOperationError, match="Beside another sample"):
        frozen(Mixing(), x)
    for options in ({"add_bias_kv": True}, {"add_zero_attn": True}):
        model = Cross()
        model.attention = nn.MultiheadAttention(8, 2, kdim=6, vdim=6, batch_first=True, **options)
        with pytest.raises(UnsupportedOperationError, match="bias_k"):
            frozen(model.eval(), x)
    still = frozen(blocks(), x)
    with pytest.raises(InputError, match="shape"):
        still(tokens(1, 3, 8))
    with pytest.raises(InputError, match="training"):
        still.train()(x)
    with pytest.raises(UnsupportedOperationError, match="the end of the model where add was due"):
        frozen(Shorter(), x)(x.repeat(3, 1, 1))


def test_without_freezing_the_geometry_names_the_way_out():
    with pytest.raises(UnsupportedOperationError, match="frozen"):
        segment(blocks(), tokens(4, 8, seed=3), tokens(4, 8, seed=4))
