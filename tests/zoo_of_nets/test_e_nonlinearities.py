"""E: every operation is known to be harmless, known to switch, or refused with name, place and way out."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from splinelab import record
from splinelab.errors import UnsupportedOperationError
from splinelab.polytopes import plane, segment
from zoo_of_nets.harness import (
    Three,
    built,
    check_formula,
    check_record,
    check_segment,
    recorded_or_refused,
    relu,
    right_or_refused,
    samples,
)

X = samples(9, 6)


class Beside(Three):
    """A net with one honest ReLU and, after b, something else. The formula lists the ReLU alone."""

    def __init__(self, act):
        super().__init__()
        self.act = act

    def forward(self, x):
        return self.c(self.act(self.b(F.relu(self.a(x)))))

    def by_hand(self, x):
        h = self.a(x)
        z = self.b(relu(h))
        return [h], self.c(self.act(z.clone()))


def straight_through(z):
    return z + (z.round() - z).detach()


class Sign(torch.autograd.Function):
    """Binarised activations as people write them."""

    @staticmethod
    def forward(ctx, z):
        return z.sign()


class Surrogate(torch.autograd.Function):
    """A spiking unit: a comparison forwards, something smooth backwards."""

    @staticmethod
    def forward(ctx, z):
        return (z > 0).to(z.dtype)


def mask_in_place(z):
    z[z < 0] = 0
    return z


def mask_twice(z):
    mask = (z > 0).to(z.dtype)
    return z * mask


def top_mask(z):
    return z * torch.zeros_like(z).scatter_(1, z.topk(3, dim=1).indices, 1.0)


def k_winners(z):
    return z * (z >= z.topk(3, dim=1).values[:, -1:])


def hard_choice(z):
    return F.one_hot(z.argmax(1), 10).to(z.dtype) * z


def by_numpy(z):
    return torch.from_numpy(np.tanh(z.numpy()))


def by_numpy_array(z):
    return torch.tensor(np.maximum(np.asarray(z), 0))


def by_lists(z):
    return torch.tensor([[max(v, 0.0) for v in row] for row in z.tolist()], dtype=z.dtype)


def by_items(z):
    return torch.stack([torch.stack([v * (v.item() > 0) for v in row]) for row in z])


def by_floats(z):
    scale = [float(row.sum()) > 0 for row in z]
    return z * torch.tensor(scale).double()[:, None]


def quantised(z):
    return torch.quantize_per_tensor(z.float(), 0.1, 0, torch.qint8).dequantize().to(z.dtype)


def fake_quantised(z):
    return torch.fake_quantize_per_tensor_affine(z.float(), 0.1, 0, -128, 127).to(z.dtype)


def lut(z):
    return torch.linspace(-1, 1, 8, dtype=z.dtype)[torch.bucketize(z, torch.linspace(-2, 2, 7).to(z))]


def searched(z):
    return torch.searchsorted(torch.linspace(-2, 2, 7).to(z), z.contiguous()).to(z.dtype)


# A net with one of these is refused, or has a layer of its own for it.
SWITCHING = {
    "erfc GELU": lambda z: z * torch.erfc(-z) / 2,
    "erf GELU": lambda z: z * (1 + torch.erf(z / math.sqrt(2))) / 2,
    "special.erf": lambda z: z * torch.special.erf(z),
    "special.ndtr": lambda z: z * torch.special.ndtr(z),
    "special.expit": lambda z: z * torch.special.expit(z),
    "special.log_ndtr": torch.special.log_ndtr,
    "special.erfcx": lambda z: torch.special.erfcx(z / 4),
    "special.i0": torch.special.i0,
    "special.bessel": torch.special.bessel_j0,
    "special.entr": lambda z: torch.special.entr(z.sigmoid()),
    "special.xlog1py": lambda z: torch.special.xlog1py(z, z * z),
    "xlogy": lambda z: torch.xlogy(z, z * z + 1),
    "lgamma": lambda z: torch.lgamma(z * z + 1),
    "digamma": lambda z: torch.digamma(z * z + 1),
    "sinc": torch.sinc,
    "logaddexp": lambda z: torch.logaddexp(z, torch.zeros(1, dtype=z.dtype)),
    "logaddexp2": lambda z: torch.logaddexp2(z, torch.zeros_like(z)),
    "log of one plus exp": lambda z: torch.log(1 + torch.exp(z)),
    "log1p exp": lambda z: torch.log1p(z.exp()),
    "logsumexp": lambda z: z - torch.logsumexp(z, 1, keepdim=True),
    "logcumsumexp": lambda z: torch.logcumsumexp(z, 1),
    "softmax by exp": lambda z: z.exp() / z.exp().sum(1, keepdim=True),
    "sigmoid by exp": lambda z: 1 / (1 + (-z).exp()),
    "power of two": lambda z: 2**z,
    "pow of two": lambda z: torch.pow(2.0, z),
    "exp2": torch.exp2,
    "expm1": torch.expm1,
    "log": lambda z: (z * z + 1).log(),
    "log2": lambda z: torch.log2(z * z + 1),
    "log10": lambda z: torch.log10(z * z + 1),
    "symlog": lambda z: z.sign() * z.abs().log1p(),
    "snake": lambda z: z + torch.sin(z) ** 2,
    "cos": torch.cos,
    "tan": torch.tan,
    "arctan": torch.arctan,
    "arctan2": lambda z: torch.atan2(z, torch.ones_like(z)),
    "arcsinh": torch.arcsinh,
    "asin": lambda z: torch.asin(z / 100),
    "cosh": torch.cosh,
    "sinh": torch.sinh,
    "tanh": lambda z: z.tanh(),
    "aten gelu": lambda z: torch.ops.aten.gelu(z),
    "C gelu": lambda z: torch._C._nn.gelu(z),
    "mish by hand": lambda z: z * F.softplus(z).tanh(),
    "glu by hand": lambda z: (z[:, :5] * torch.sigmoid(z[:, 5:])).repeat(1, 2),
    "logit": lambda z: torch.logit(z, eps=0.1),
    "erfinv": lambda z: torch.erfinv(z / 100),
    "round": torch.round,
    "round to tenths": lambda z: torch.round(z, decimals=1),
    "straight-through round": straight_through,
    "floor": lambda z: z.floor(),
    "ceil": torch.ceil,
    "trunc": torch.trunc,
    "fix": lambda z: z.fix(),
    "frac": torch.frac,
    "fmod": lambda z: torch.fmod(z, 1.0),
    "remainder": lambda z: z.remainder(1.0),
    "percent": lambda z: z % 1,
    "floor division": lambda z: z // 0.5,
    "floor_divide": lambda z: torch.floor_divide(z, 0.5),
    "div with rounding": lambda z: torch.div(z, 0.5, rounding_mode="floor"),
    "div truncated": lambda z: z.div(0.5, rounding_mode="trunc"),
    "sign": torch.sign,
    "sgn": lambda z: z.sgn(),
    "signbit": lambda z: z * torch.signbit(z),
    "copysign": lambda z: torch.copysign(torch.ones_like(z), z),
    "heaviside": lambda z: z * torch.heaviside(z, torch.zeros((), dtype=z.dtype)),
    "hypot": lambda z: torch.hypot(z, torch.ones_like(z)),
    "nextafter": lambda z: torch.nextafter(z, torch.zeros_like(z)),
    "ldexp": lambda z: torch.ldexp(torch.ones_like(z), z.floor()),
    "frexp": lambda z: torch.frexp(z).mantissa,
    "long": lambda z: z.long().to(z.dtype),
    "int": lambda z: z.int().double(),
    "to int": lambda z: z.to(torch.int32).double(),
    "type": lambda z: z.type(torch.int64).type(torch.float64),
    "bool": lambda z: z.clamp(min=0).bool().double(),
    "logical_not": lambda z: torch.logical_not(z.clamp(min=0)).double(),
    "greater than zero": lambda z: z * (z > 0),
    "mask in place": mask_in_place,
    "mask as a number": mask_twice,
    "where": lambda z: torch.where(z > 0, z, 0.1 * z),
    "where of a not": lambda z: torch.where(~(z < 0), z, torch.zeros_like(z)),
    "masked_fill of a comparison": lambda z: z.masked_fill(z.lt(0), 0),
    "isclose": lambda z: z * torch.isclose(z, torch.zeros_like(z), atol=1.0),
    "equal to the largest": lambda z: z * (z == z.max(1, keepdim=True).values),
    "not equal": lambda z: z * (z.clamp(min=0) != 0),
    "between": lambda z: z * torch.logical_and(z > -1, z < 1),
    "top-k mask": top_mask,
    "top-k scattered": lambda z: torch.zeros_like(z).scatter(1, z.topk(3).indices, z.topk(3).values),
    "k winners": k_winners,
    "kthvalue": lambda z: z - z.kthvalue(3, dim=1, keepdim=True).values,
    "sort": lambda z: z.sort(dim=1).values,
    "msort": lambda z: z.T.msort().T,
    "argsort": lambda z: z.gather(1, z.argsort(1)),
    "median": lambda z: z - z.median(dim=1, keepdim=True).values,
    "nanmedian": lambda z: z - z.nanmedian(dim=1, keepdim=True).values,
    "quantile": lambda z: z - z.quantile(0.3, dim=1, keepdim=True),
    "mode": lambda z: z - z.mode(dim=1, keepdim=True).values,
    "argmax, one-hot": hard_choice,
    "argmin, taken": lambda z: z - z.gather(1, z.argmin(1, keepdim=True)),
    "cummax": lambda z: z.cummax(1).values,
    "cummin": lambda z: torch.cummin(z, 1)[0],
    "cumprod of signs": lambda z: z.sign().cumprod(1),
    "bucketize": lut,
    "searchsorted": searched,
    "cdist": lambda z: torch.cdist(z[:, None], torch.ones(10, 10, dtype=z.dtype).triu())[:, 0],
    "one norm as a distance": lambda z: torch.cdist(z, torch.eye(10, dtype=z.dtype), p=1.0),
    "complex abs": lambda z: torch.complex(z, torch.ones_like(z)).abs(),
    "fft abs": lambda z: torch.fft.fft(z).abs(),
    "angle": lambda z: torch.angle(z),
    "polar": lambda z: torch.polar(torch.ones_like(z), z).real,
    "softmax": lambda z: z.softmax(1),
    "softmin": lambda z: F.softmin(z, 1),
    "gumbel": lambda z: F.gumbel_softmax(z, hard=True),
    "softsign": F.softsign,
    "tanhshrink": F.tanhshrink,
    "hardswish": F.hardswish,
    "logsigmoid": F.logsigmoid,
    "celu": F.celu,
    "matrix_exp": lambda z: torch.matrix_exp(z[:, :4].reshape(-1, 2, 2)).flatten(1).repeat(1, 3)[:, :10],
    "lstm": lambda z: LSTM(z[:, None])[0][:, 0],
    "custom sign": Sign.apply,
    "custom spike": Surrogate.apply,
    "numpy": by_numpy,
    "asarray": by_numpy_array,
    "lists": by_lists,
    "items": by_items,
    "floats": by_floats,
    "quantised": quantised,
    "fake-quantised": fake_quantised,
    "vmap": lambda z: torch.vmap(torch.tanh)(z),
    "map_": lambda z: z.clone().map_(z, lambda a, b: max(a, 0.0)),
    "apply_": lambda z: z.clone().apply_(lambda v: max(v, 0.0)),
    "bit pattern": lambda z: z.view(torch.int64).bitwise_and(2**62).double() / 2**62,
    "renorm": lambda z: torch.renorm(z, 2, 0, 1.0),
    "poisson": lambda z: torch.poisson(z.abs()),
    "histogram": lambda z: torch.stack([torch.histc(row, 10, -2, 2) for row in z]),
    "unique": lambda z: torch.unique(z.sign(), return_inverse=True)[1].double(),
    "nonzero": lambda z: z + len(z.clamp(min=0).nonzero()),
    "count_nonzero": lambda z: z - z.clamp(min=0).count_nonzero(1)[:, None],
    "any": lambda z: z * z.clamp(min=0)[:, :3].any(1, keepdim=True),
    "elu by hand": lambda z: torch.where(z > 0, z, z.exp() - 1),
}
with torch.random.fork_rng([]):
    torch.manual_seed(0)
    LSTM = nn.LSTM(10, 10, batch_first=True).double()

# Smooth, and as often part of a norm as an activation: recorded as the ReLUs' codes, or refused.
EITHER = {
    "square": lambda z: z.square(),
    "cube": lambda z: z**3,
    "sqrt": lambda z: (z * z + 1).sqrt(),
    "rsqrt": lambda z: z * torch.rsqrt(z * z + 1),
    "reciprocal": lambda z: torch.reciprocal(z * z + 1),
    "over one plus square": lambda z: z / (1 + z * z),
    "half power": lambda z: (z * z + 1).pow(0.25),
    "nan_to_num": lambda z: torch.nan_to_num(z),
    "fft": lambda z: torch.fft.rfft(z).real.repeat(1, 2)[:, :10],
    "complex": lambda z: torch.view_as_real(torch.view_as_complex(z.view(-1, 5, 2))).flatten(1),
    "det": lambda z: z + torch.linalg.det(z[:, :4].reshape(-1, 2, 2))[:, None],
    "prod": lambda z: z.prod(1, keepdim=True).expand(-1, 10),
    "cumprod": lambda z: z.cumprod(1),
    "cosine similarity": lambda z: F.cosine_similarity(z, torch.ones_like(z), 1)[:, None].expand(-1, 10),
    "outer product": lambda z: (z[:, :, None] @ z[:, None]).mean(1),
    "isfinite": lambda z: z * torch.isfinite(z),
    "vmap of a product": lambda z: torch.vmap(lambda row: row * 2)(z),
}


@pytest.mark.parametrize("name", SWITCHING)
def test_a_nonlinearity_is_refused_or_a_layer_of_its_own(name):
    net = built(lambda: Beside(SWITCHING[name]))
    recorded_or_refused(net, X)


@pytest.mark.parametrize("name", EITHER)
def test_smooth_arithmetic_adds_no_wrong_bits(name):
    net = built(lambda: Beside(EITHER[name]))
    check_formula(net, X)
    recorded_or_refused(net, X, strict=False)


@pytest.mark.parametrize("name", [*SWITCHING, *EITHER])
def test_no_geometry_of_a_curved_net(name):
    """The geometry may refuse, or follow it (a clamp in it, a linear Fourier transform), but not be wrong."""
    act = {**SWITCHING, **EITHER}[name]
    net = built(lambda: Beside(act))

    def outputs_along():
        found = segment(net, X[0], X[1])
        t = np.linspace(0.01, 0.99, 60)
        with torch.no_grad():
            y = net(torch.from_numpy(found.at(t))).numpy()
        assert np.abs(found.output_at(t) - y).max() < 1e-9 * max(1, np.abs(y).max())

    right_or_refused(outputs_along)


def test_the_place_of_a_refused_operation_is_its_module():
    class Inner(nn.Module):
        def forward(self, z):
            return torch.erfc(z)

    class Outer(Three):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList([Inner()])

        def forward(self, x):
            return self.c(self.blocks[0](F.relu(self.a(x))))

        def by_hand(self, x):
            h = self.a(x)
            return [h], self.c(torch.erfc(relu(h)))

    with pytest.raises(UnsupportedOperationError, match=r"erfc.*blocks\.0"):
        record(built(Outer), X)
    for ignore in ("erfc", "blocks.0", "blocks"):
        assert list(record(built(Outer), X, ignore=ignore).codes.layers) == ["relu"]


# The opposite: what has no bits of its own


class Around(Three):
    """A net with ReLUs before and after something that is none."""

    def __init__(self, act, after=None):
        super().__init__()
        self.act = act
        self.norm, self.group = nn.LayerNorm(10), nn.GroupNorm(2, 10)
        self.bn, self.rms, self.instance = nn.BatchNorm1d(10), nn.RMSNorm(10), nn.InstanceNorm1d(2)
        self.gate, self.drop = nn.Linear(10, 10), nn.Dropout(0.3)
        self.alpha, self.feature = nn.AlphaDropout(0.2), nn.Dropout1d(0.2)
        self.local, self.bilinear = nn.LocalResponseNorm(2), nn.Bilinear(10, 10, 10)
        self.attention = nn.MultiheadAttention(5, 1, batch_first=True)
        self.register_buffer("mask", torch.ones(2, 2).tril().bool())
        self.register_buffer("some", torch.arange(10) % 3 > 0)
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, 10))

    def middle(self, x):
        h = self.a(x)
        return h, self.act(self, self.b(F.relu(h)))

    def forward(self, x):
        return self.c(F.relu(self.middle(x)[1]))

    def by_hand(self, x):
        h = self.a(x)
        z = self.act(self, self.b(relu(h)))
        return [h, z], self.c(relu(z))


def layer_norm(n, z):
    centred = z - z.mean(-1, keepdim=True)
    return centred / torch.sqrt(centred.pow(2).mean(-1, keepdim=True) + 1e-5) * n.weight


def layer_norm_by_var(n, z):
    return (z - z.mean(-1, keepdim=True)) / (z.var(-1, unbiased=False, keepdim=True) + 1e-6).sqrt()


def layer_norm_by_std(n, z):
    return (z - z.mean(1)[:, None]) / (z.std(1, keepdim=True) + 1e-6)


def rms_norm(n, z):
    return z * torch.rsqrt(z.pow(2).mean(-1, keepdim=True) + 1e-6) * n.weight


def var_mean(n, z):
    var, mean = torch.var_mean(z, dim=1, keepdim=True)
    return (z - mean) * (var + 1e-5).rsqrt()


def attention(n, z):
    z = z.view(-1, 2, 5)
    scores = (z @ z.transpose(1, 2) / math.sqrt(5)).masked_fill(~n.mask, float("-inf"))
    return (scores.softmax(-1) @ z).flatten(1)


def finfo_mask(n, z):
    z = z.view(-1, 2, 5)
    scores = (z @ z.transpose(1, 2)).masked_fill(~n.mask, -torch.inf)
    scores = torch.max(scores, torch.tensor(torch.finfo(z.dtype).min, dtype=z.dtype))
    return (scores.softmax(-1) @ z).flatten(1)


def finfo_clamp(n, z):
    z = z.view(-1, 2, 5)
    scores = (z @ z.mT).clamp(min=torch.finfo(z.dtype).min)
    return (F.softmax(scores, -1) @ z).flatten(1)


def sdpa(n, z):
    z = z.view(-1, 1, 2, 5)
    return F.scaled_dot_product_attention(z, z, z, is_causal=True).flatten(1)


def multihead(n, z):
    z = z.view(-1, 2, 5)
    return n.attention(z, z, z, need_weights=False)[0].flatten(1)


def rotary(n, z):
    angle = torch.arange(5, dtype=z.dtype) / 10
    even, odd = z[:, ::2], z[:, 1::2]
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(1)


def rotate_half(n, z):
    rates = 1 / 10 ** (torch.arange(5, dtype=z.dtype) / 5)
    place = torch.outer(torch.arange(2, dtype=z.dtype), rates).flatten()
    half = torch.cat([-z[:, 5:], z[:, :5]], 1)
    return z * place.cos() + half * place.sin()


def logged(n, z):
    assert torch.isfinite(z).all()
    return z


def interpolated(n, z):
    return F.interpolate(z[:, None], size=20, mode="linear", align_corners=False)[:, 0, ::2]


def shuffled(n, z):
    image = F.pixel_shuffle(z[:, :8].view(-1, 4, 2, 1), 2)
    return F.pixel_unshuffle(image, 2).flatten(1).repeat(1, 2)[:, :10]


SILENT = {
    "LayerNorm": lambda n, z: n.norm(z),
    "layer_norm": lambda n, z: F.layer_norm(z, (10,)),
    "GroupNorm": lambda n, z: n.group(z),
    "RMSNorm": lambda n, z: n.rms(z),
    "BatchNorm": lambda n, z: n.bn(z),
    "InstanceNorm": lambda n, z: n.instance(z.view(-1, 2, 5)).flatten(1),
    "LocalResponseNorm": lambda n, z: n.local(z[:, :, None])[..., 0],
    "by hand": layer_norm,
    "by var": layer_norm_by_var,
    "by std": layer_norm_by_std,
    "by var_mean": var_mean,
    "RMS by hand": rms_norm,
    "normalize": lambda n, z: F.normalize(z, dim=1),
    "over the norm": lambda n, z: z / z.norm(dim=1, keepdim=True),
    "clamped norm": lambda n, z: z / z.norm(dim=1, keepdim=True).clamp(min=1e-6),
    "clamp_min norm": lambda n, z: z / z.norm(2, 1, True).clamp_min(1e-12),
    "maximum of a norm": lambda n, z: z / torch.maximum(z.norm(dim=1, keepdim=True), torch.tensor(1e-6)),
    "linalg norm": lambda n, z: z / torch.linalg.norm(z, dim=1, keepdim=True).clamp(min=1e-6),
    "vector_norm": lambda n, z: z / torch.linalg.vector_norm(z, dim=-1)[:, None].clamp(1e-6),
    "norm of heads": lambda n, z: (
        z.view(-1, 2, 5) / z.view(-1, 2, 5).norm(dim=-1, keepdim=True).clamp(min=1e-6)
    ).flatten(1),
    "clamped sum": lambda n, z: z / z.square().sum(1, keepdim=True).clamp(min=1e-6),
    "clamped std": lambda n, z: (z - z.mean(1, keepdim=True)) / z.std(1, keepdim=True).clamp(min=1e-5),
    "attention by hand": attention,
    "max with finfo.min": finfo_mask,
    "clamp with finfo.min": finfo_clamp,
    "sdpa": sdpa,
    "MultiheadAttention": multihead,
    "rotary": rotary,
    "rotate half": rotate_half,
    "masked_fill": lambda n, z: z.masked_fill(n.some, 0.0),
    "where": lambda n, z: torch.where(n.some, z, -z),
    "where of a number": lambda n, z: torch.where(n.some, z, 0.5),
    "constant comparison": lambda n, z: z * (torch.arange(10) > 3),
    "dropout": lambda n, z: n.drop(n.alpha(n.feature(z))),
    "functional dropout": lambda n, z: F.dropout(z, 0.5, training=n.training),
    "interpolate": interpolated,
    "pixel_shuffle": shuffled,
    "einsum": lambda n, z: torch.einsum("ni,ij->nj", z, n.gate.weight),
    "gating product": lambda n, z: z * n.gate(z),
    "bilinear": lambda n, z: n.bilinear(z, z),
    "unfold": lambda n, z: z.unfold(1, 2, 2).sum(-1).repeat(1, 2),
    "average pooling": lambda n, z: F.avg_pool1d(z[:, None], 3, 1, 1)[:, 0],
    "adaptive pooling": lambda n, z: F.adaptive_avg_pool1d(z[:, None], 5)[:, 0].repeat(1, 2),
    "padding": lambda n, z: F.pad(z, (1, 1))[:, 1:11],
    "reflection": lambda n, z: F.pad(z[:, None], (1, 0), mode="reflect")[:, 0, :10],
    "assert finite": logged,
    "exp of a parameter": lambda n, z: z * n.weight.exp() + n.weight.tanh() + n.weight.clamp(min=1).round(),
    "sigmoid of a parameter": lambda n, z: z * torch.sigmoid(n.weight) + (n.weight > 1),
    "weight standardised": lambda n, z: F.linear(z, n.gate.weight / n.gate.weight.norm(dim=1, keepdim=True)),
    "shape arithmetic": lambda n, z: z * math.sqrt(z.shape[1]) / max(z.size(1), 1),
    "flip and roll": lambda n, z: z.flip(1).roll(2, 1),
    "cumsum and diff": lambda n, z: torch.diff(z.cumsum(1), dim=1, prepend=torch.zeros_like(z[:, :1])),
    "gather": lambda n, z: z.gather(1, torch.arange(9, -1, -1).expand(len(z), -1)),
    "repeat_interleave": lambda n, z: z[:, :5].repeat_interleave(2, 1),
    "tensordot": lambda n, z: torch.tensordot(z, n.gate.weight, dims=([1], [1])),
    "baddbmm": lambda n, z: torch.baddbmm(z[:, None], z[:, None], n.gate.weight.expand(len(z), 10, 10))[:, 0],
    "addmm": lambda n, z: torch.addmm(n.weight, z, n.gate.weight),
    "kron of a constant": lambda n, z: z @ torch.kron(torch.eye(5), torch.ones(2, 2)).to(z),
    "glu without a sigmoid": lambda n, z: (z[:, :5] * z[:, 5:]).repeat(1, 2),
    "autocast off": lambda n, z: z.to(torch.float64).type_as(z),
    "checkpointed": lambda n, z: torch.utils.checkpoint.checkpoint(lambda v: v * 2, z, use_reentrant=False),
}


@pytest.mark.parametrize("name", SILENT)
def test_what_is_no_activation_adds_no_bits(name):
    net = built(lambda: Around(SILENT[name]))
    check_formula(net, X)
    check_record(net, X)


@pytest.mark.parametrize("name", SILENT)
def test_their_geometry_is_right_or_refused(name):
    net = built(lambda: Around(SILENT[name]))
    right_or_refused(check_segment, net, X[0], X[1])


class Squared(Three):
    """Primer's activation."""

    def __init__(self, square):
        super().__init__()
        self.square = square

    def forward(self, x):
        return self.c(self.square(F.relu(self.a(x))))

    def by_hand(self, x):
        h = self.a(x)
        return [h], self.c(relu(h) * relu(h))


@pytest.mark.parametrize(
    "square", [lambda h: h**2, torch.square, lambda h: h.pow(2), lambda h: h * h, lambda h: h.mul_(h)]
)
def test_a_squared_relu_has_the_relu_s_code(square):
    net = built(lambda: Squared(square))
    check_formula(net, X)
    check_record(net, X)


class Tokens(nn.Module):
    """A small transformer: embedding, sinusoidal positions, padding mask, pre-norm, a ReLU MLP."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(12, 8, padding_idx=0)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm1, self.norm2 = nn.LayerNorm(8), nn.LayerNorm(8)
        self.into, self.back, self.out = nn.Linear(8, 16), nn.Linear(16, 8), nn.Linear(8, 3)

    def stream(self, tokens):
        place = torch.arange(tokens.shape[1], dtype=torch.float64)[:, None] / 10 ** (torch.arange(4) / 4)
        h = self.embed(tokens) + torch.cat([place.sin(), place.cos()], 1)
        padding = tokens == 0
        normed = self.norm1(h)
        causal = torch.ones(tokens.shape[1], tokens.shape[1]).triu(1).bool()
        mixed, _ = self.attention(
            normed, normed, normed, key_padding_mask=padding, attn_mask=causal, need_weights=False
        )
        return h + mixed, padding

    def forward(self, tokens):
        h, padding = self.stream(tokens)
        h = h + self.back(F.relu(self.into(self.norm2(h))))
        weight = (~padding).to(h.dtype)[..., None]
        return self.out((h * weight).sum(1) / weight.sum(1).clamp(min=1))

    def by_hand(self, tokens):
        h, _ = self.stream(tokens)
        z = self.into(self.norm2(h))
        h = h + self.back(relu(z))
        count = (tokens != 0).sum(1, keepdim=True)
        sums = [row[t != 0].sum(0) for row, t in zip(h, tokens, strict=True)]
        return [z], self.out(torch.stack(sums) / count)


def test_a_transformer_over_tokens():
    tokens = (torch.arange(28).view(7, 4) * 5) % 11 + 1
    tokens[::2, -1] = 0
    net = built(Tokens)
    check_formula(net, tokens)
    check_record(net, tokens)


def test_a_curved_net_has_no_slice():
    with pytest.raises(NotImplementedError):
        plane(built(lambda: Beside(torch.tanh)), X[0], X[1], X[2])
