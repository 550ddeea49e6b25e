"""A: which operand of a maximum is the threshold is decided by what it is, not by its size or place."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from zoo_of_nets.harness import Three, both, built, check, relu, right_or_refused, samples, through


class Bend(Three):
    """c(act(a(x))), with constants at hand."""

    def __init__(self, act, by_hand=None):
        super().__init__()
        self.act, self.formula = act, by_hand or (lambda net, h: ([h], relu(h)))
        self.d = nn.Linear(6, 10)
        self.level = nn.Parameter(torch.linspace(-0.3, 0.4, 10))
        self.slope = nn.Parameter(torch.linspace(0.1, 0.9, 10))
        self.register_buffer("zero", torch.zeros(10))
        self.register_buffer("row", torch.zeros(1, 10))
        self.register_buffer("fifth", torch.tensor(0.2))

    def forward(self, x):
        self.x = x
        return self.c(self.act(self, self.a(x)))

    def by_hand(self, x):
        self.x = x
        layers, y = self.formula(self, self.a(x))
        return layers, self.c(y)


max_, min_ = torch.maximum, torch.minimum

# Each is r(h), and has its code.
RELUS = {
    "zeros_like first": lambda net, h: max_(torch.zeros_like(h), h),
    "zeros_like second": lambda net, h: max_(h, torch.zeros_like(h)),
    "max of two": lambda net, h: torch.max(torch.zeros_like(h), h),
    "method": lambda net, h: torch.zeros_like(h).maximum(h),
    "method max": lambda net, h: h.max(torch.zeros_like(h)),
    "fmax": lambda net, h: torch.fmax(torch.zeros_like(h), h),
    "keywords": lambda net, h: max_(input=torch.zeros_like(h), other=h),
    "max keywords": lambda net, h: torch.max(torch.zeros_like(h), other=h),
    "new_zeros": lambda net, h: max_(h.new_zeros(10), h),
    "new_zeros of a row": lambda net, h: max_(h.new_zeros(1, 10), h),
    "new_tensor": lambda net, h: max_(h.new_tensor(0.0), h),
    "new_full": lambda net, h: max_(h.new_full((1,), 0.0), h),
    "full_like": lambda net, h: max_(torch.full_like(h, 0.0), h),
    "zeros_like of a part": lambda net, h: max_(torch.zeros_like(h[:, :1]), h),
    "zeros_like of the input": lambda net, h: max_(torch.zeros_like(net.x)[:, :1], h),
    "empty filled": lambda net, h: max_(torch.empty_like(h).fill_(0), h),
    "ones minus ones": lambda net, h: max_(torch.ones_like(h) - 1, h),
    "zero_ of a copy": lambda net, h: max_(h.clone().zero_(), h),
    "buffer": lambda net, h: max_(net.zero, h),
    "buffer row": lambda net, h: max_(net.row, h),
    "buffer expanded": lambda net, h: max_(net.row.expand(len(h), -1), h),
    "buffer expand_as": lambda net, h: max_(net.zero.expand_as(h), h),
    "scalar tensor": lambda net, h: max_(torch.tensor(0.0), h),
    "integer scalar": lambda net, h: max_(torch.tensor(0), h),
    "fmax of a scalar": lambda net, h: torch.fmax(h, torch.zeros(())),
    "clamp of zeros by h": lambda net, h: torch.clamp(torch.zeros_like(h), min=h),
    "clamp_min of zeros by h": lambda net, h: torch.clamp_min(h.new_zeros(1, 10), h),
    "clamp by zeros": lambda net, h: h.clamp(min=torch.zeros_like(h)),
    "out": lambda net, h: max_(torch.zeros_like(h), h, out=torch.empty_like(h)),
    "out into h": lambda net, h: max_(torch.zeros_like(h), h, out=h),
    "zeros detached": lambda net, h: max_(torch.zeros_like(h).detach(), h),
    "zeros moved": lambda net, h: max_(torch.zeros_like(h).to(h), h),
}
# The batch went into a constant: right, or refused by the geometry.
KEPT_SIZES = {
    "zeros_like of the first": lambda net, h: max_(torch.zeros_like(h[:1]), h),
    "zeros of the shape": lambda net, h: max_(torch.zeros(h.shape), h),
    "zeros of size()": lambda net, h: max_(torch.zeros(h.size(), dtype=h.dtype), h),
    "new_zeros of the shape": lambda net, h: max_(h.new_zeros(h.shape), h),
    "one for each sample": lambda net, h: max_(torch.zeros(len(h), 1), h),
    "new, one for each sample": lambda net, h: max_(h.new_zeros(h.size(0), 1), h),
    "expanded parameter": lambda net, h: max_((net.level * 0).expand(len(h), -1), h),
    "repeated buffer": lambda net, h: max_(net.row.repeat(len(h), 1), h),
}


def kept(net, through):
    """`record` and the decomposition run batches as they are; the geometry may refuse."""
    if through in ("segment", "plane"):
        right_or_refused(check, net, through)
    else:
        check(net, through)


# The bit where h is above the constant, wherever it stands.
def floor(level):
    """max(level, h) by hand."""
    return lambda n, h: ([h - level(n)], h.clamp(min=level(n)))


def cap(level):
    """min(level, h) by hand."""
    return lambda n, h: ([h - level(n)], h.clamp(max=level(n)))


LEVELS = {
    "level first": (lambda n, h: max_(n.level, h), floor(lambda n: n.level)),
    "level second": (lambda n, h: max_(h, n.level), floor(lambda n: n.level)),
    "level squared": (lambda n, h: max_(n.level**2, h), floor(lambda n: n.level**2)),
    "level of one": (lambda n, h: max_(n.level[:1], h), floor(lambda n: n.level[0])),
    "another layer's bias": (lambda n, h: max_(n.b.bias, h), floor(lambda n: n.b.bias)),
    "another layer's weights": (lambda n, h: max_(n.b.weight[2], h), floor(lambda n: n.b.weight[2])),
    "softplus of a parameter": (
        lambda n, h: max_(F.softplus(n.level) - 0.7, h),
        floor(lambda n: (1 + n.level.exp()).log() - 0.7),
    ),
    "zeros plus a parameter": (
        lambda n, h: max_(torch.zeros_like(h) + n.level, h),
        floor(lambda n: n.level),
    ),
    "clamp of a level by h": (lambda n, h: n.level.clamp(min=h), floor(lambda n: n.level)),
    "cap first": (lambda n, h: min_(n.level, h), cap(lambda n: n.level)),
    "cap second": (lambda n, h: min_(h, n.level), cap(lambda n: n.level)),
    "fmin of a buffer": (lambda n, h: torch.fmin(n.fifth, h), cap(lambda n: n.fifth)),
    "min of ones": (lambda n, h: torch.min(torch.ones_like(h) / 5, h), cap(lambda n: 0.2)),
    "min method": (lambda n, h: h.min(torch.full_like(h, 0.2)), cap(lambda n: 0.2)),
    "clamp_max": (lambda n, h: h.clamp_max(0.5), cap(lambda n: 0.5)),
    "clamp_max of a keyword": (lambda n, h: torch.clamp_max(h, max=n.fifth), cap(lambda n: n.fifth)),
    "between two": (
        lambda n, h: min_(torch.full((10,), 0.5), max_(n.zero - 0.25, h)),
        lambda n, h: ([h + 0.25, h.clamp(min=-0.25) - 0.5], h.clamp(-0.25, 0.5)),
    ),
    "clamp by parameters": (
        lambda n, h: h.clamp(n.level - 0.5, n.level + 0.5),
        lambda n, h: (
            [both(h - n.level + 0.5, h - n.level - 0.5)],
            h.clamp(n.level - 0.5, n.level + 0.5),
        ),
    ),
    "split leaky": (
        lambda n, h: max_(h, n.zero) + n.slope * min_(n.zero, h),
        lambda n, h: ([h, h], relu(h) + n.slope * (h - relu(h))),
    ),
    "minus": (lambda n, h: max_(n.zero, -h), lambda n, h: ([-h], relu(-h))),
    "minus the minimum": (lambda n, h: -min_(n.zero, -h), lambda n, h: ([-h], relu(h))),
    "two sides": (lambda n, h: max_(n.zero, h) - max_(n.zero, -h), lambda n, h: ([h, -h], h)),
}


def pair(first, second, choose=torch.maximum):
    """The larger, or smaller, of two activations by hand."""
    return lambda n, h: ([first(n, h) - second(n, h)], choose(first(n, h), second(n, h)))


def whole(n, h):
    return h


def other(n, h):
    return n.d(n.x)


def unit(n, h):
    return h[:, :1]


def mean(n, h):
    return h.mean(1, keepdim=True)


# Two activations: the bit where the first is above the second, whatever their sizes.
PAIRS = {
    "two layers": (lambda n, h: max_(h, n.d(n.x)), pair(whole, other)),
    "the other way round": (lambda n, h: max_(n.d(n.x), h), pair(other, whole)),
    "the smaller": (lambda n, h: min_(h, n.d(n.x)), pair(whole, other, min_)),
    "max": (lambda n, h: torch.max(h, n.d(n.x)), pair(whole, other)),
    "method": (lambda n, h: h.fmax(n.d(n.x)), pair(whole, other)),
    "one unit against all": (lambda n, h: max_(h[:, :1], h), pair(unit, whole)),
    "all against one unit": (lambda n, h: max_(h, h[:, :1]), pair(whole, unit)),
    "mean against all": (lambda n, h: max_(h.mean(1, keepdim=True), h), pair(mean, whole)),
    "all against mean": (lambda n, h: torch.min(h, h.mean(1, keepdim=True)), pair(whole, mean, min_)),
    "clamp from below by a unit": (lambda n, h: h.clamp(min=h[:, :1]), pair(whole, unit)),
    "maxout": (
        lambda n, h: max_(h[:, :5], h[:, 5:]).repeat(1, 2),
        lambda n, h: ([h[:, :5] - h[:, 5:]], max_(h[:, :5], h[:, 5:]).repeat(1, 2)),
    ),
    "fmax of halves": (
        lambda n, h: torch.cat([torch.fmax(*h.chunk(2, 1)), torch.fmin(*h.chunk(2, 1))], 1),
        lambda n, h: (
            [h[:, :5] - h[:, 5:]] * 2,
            torch.cat([max_(h[:, :5], h[:, 5:]), min_(h[:, :5], h[:, 5:])], 1),
        ),
    ),
}
# A value against a multiple of itself bends where the value does: leaky ReLU and abs, in either order.
MULTIPLES = {
    "a tenth first": (lambda n, h: max_(0.1 * h, h), lambda n, h: ([h], max_(h, 0.1 * h))),
    "a tenth second": (lambda n, h: max_(h, 0.1 * h), lambda n, h: ([h], max_(h, 0.1 * h))),
    "divided first": (lambda n, h: torch.max(h / 10, h), lambda n, h: ([h], max_(h, 0.1 * h))),
    "mul first": (lambda n, h: torch.fmax(h.mul(0.2), h), lambda n, h: ([h], max_(h, 0.2 * h))),
    "minus first": (lambda n, h: max_(-h, h), lambda n, h: ([h], h.abs())),
    "minus second": (lambda n, h: max_(h, -h), lambda n, h: ([h], h.abs())),
    "neg": (lambda n, h: h.neg().maximum(h), lambda n, h: ([h], h.abs())),
    "nothing first": (lambda n, h: max_(0 * h, h), lambda n, h: ([h], relu(h))),
    "nothing second": (lambda n, h: max_(h, h * 0), lambda n, h: ([h], relu(h))),
}


@through
@pytest.mark.parametrize("name", RELUS)
def test_a_maximum_with_zero_is_a_relu(name, through):
    check(built(lambda: Bend(RELUS[name])), through)


@through
@pytest.mark.parametrize("name", KEPT_SIZES)
def test_zeros_as_long_as_the_batch(name, through):
    kept(built(lambda: Bend(KEPT_SIZES[name])), through)


@through
@pytest.mark.parametrize("name", LEVELS)
def test_the_constant_is_the_threshold(name, through):
    check(built(lambda: Bend(*LEVELS[name])), through)


@through
@pytest.mark.parametrize("name", PAIRS)
def test_two_activations_are_coded_where_the_first_is_above(name, through):
    check(built(lambda: Bend(*PAIRS[name])), through)


@through
@pytest.mark.parametrize("name", MULTIPLES)
def test_a_value_against_its_multiple_has_the_value_s_code(name, through):
    check(built(lambda: Bend(*MULTIPLES[name])), through)


class Images(nn.Module):
    """Thresholds of feature maps, one per channel, on either side."""

    def __init__(self, first):
        super().__init__()
        self.conv, self.out = nn.Conv2d(2, 4, 3), nn.Linear(36, 3)
        self.level, self.first = nn.Parameter(torch.linspace(-0.2, 0.2, 4).view(4, 1, 1)), first

    def forward(self, x):
        h = self.conv(x)
        h = torch.maximum(self.level, h) if self.first else torch.maximum(h, self.level)
        return self.out(h.flatten(1))

    def by_hand(self, x):
        h = self.conv(x)
        return [h - self.level], self.out(h.clamp(min=self.level).flatten(1))


@through
@pytest.mark.parametrize("first", [True, False])
def test_levels_of_channels(first, through):
    check(built(lambda: Images(first)), through, samples(5, 2, 5, 5))


class One(nn.Module):
    """One unit: both operands of a maximum have one number for each sample."""

    def __init__(self, first):
        super().__init__()
        self.a, self.c, self.first = nn.Linear(6, 1), nn.Linear(1, 2), first
        self.register_buffer("level", torch.zeros(8, 1))

    def forward(self, x):
        h, level = self.a(x), self.level[: len(x)] if len(x) <= 8 else torch.zeros_like(x[:, :1])
        return self.c(torch.maximum(level, h) if self.first else torch.maximum(h, level))

    def by_hand(self, x):
        return [self.a(x)], self.c(relu(self.a(x)))


@through
@pytest.mark.parametrize("first", [True, False])
def test_a_buffer_cut_to_the_batch(first, through):
    kept(built(lambda: One(first)), through)
