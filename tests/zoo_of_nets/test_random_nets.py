"""Random nets of supported steps, views and writes, against an interpreter that shares no code with them.

A net is a list of steps on a few named registers (`h`, `s`). `Net` runs them on torch as a person would write
them, with aliases and in-place calls; `interpreted` runs the same list in numpy, where a register is a base
and a list of columns of it, so that writes through one name are seen through the others. It keeps what every
activation read.
"""

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn

from zoo_of_nets.harness import check_plane, check_record, check_segment, check_spd, samples

WIDTH = 6  # of every register
SETTINGS = settings(
    max_examples=300,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

# name: how many numbers or registers a step takes, how it is written in torch, and what it does to arrays.
# In torch, `r` is the dictionary of registers and `n` the net; every value is samples × WIDTH.
names = st.sampled_from("hs")
halves = st.sampled_from([(0, 3), (3, 6), (1, 5), (0, 6), (2, 3)])
numbers = st.sampled_from([-1.5, -0.5, 0.5, 2.0])
levels = st.sampled_from([-0.3, 0.0, 0.4])

WAYS = ["view", "view_as", "detach", "same", "contiguous", "slice"]


def step(kind, *parts):
    return st.tuples(st.just(kind), *parts)


STEPS = st.one_of(
    step("linear", names, names, st.integers(0, 2)),
    step("relu", names, names),
    step("relu_", names),
    step("relu_part", names, halves),
    step("write_relu", names, names, halves),
    step("leaky", names, names, st.sampled_from([0.1, -1.0, 0.5])),
    step("clamp_", names),
    step("maximum", names, names, levels, st.booleans()),
    step("minimum", names, names, levels, st.booleans()),
    step("larger", names, names, names),
    step("alias", names, names, st.sampled_from(WAYS)),
    step("copy", names, names),
    step("add", names, names, names),
    step("add_", names, names),
    step("scale", names, names, numbers),
    step("scale_", names, numbers),
    step("shift_part", names, halves, levels),
    step("write_part", names, halves, levels),
    step("copy_part", names, names, st.sampled_from([(0, 3), (3, 0), (1, 3)])),
    step("buffer", names, names, halves),
    step("cat", names, names),
    step("swap", names, names),
    step("norm", names),
    step("mean", names, names),
    step("permute", names, names),
    step("mask", names, names),
)


class Net(nn.Module):
    """The steps, as a person would write them."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps
        self.first, self.last = nn.Linear(4, WIDTH), nn.Linear(2 * WIDTH, 3)
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.norm = nn.BatchNorm1d(WIDTH)
        self.norm.running_mean.copy_(torch.randn(WIDTH) / 4)
        self.norm.running_var.copy_(torch.rand(WIDTH) + 0.5)
        self.relu = nn.ReLU(inplace=True)
        self.register_buffer("order", torch.tensor([4, 2, 0, 5, 1, 3]))
        self.register_buffer("some", torch.tensor([True, False, True, True, False, False]))

    def forward(self, x):
        h = self.first(x)
        r = {"h": h, "s": h.clone()}
        for kind, *rest_of in self.steps:
            getattr(self, f"do_{kind}")(r, *rest_of)
        return self.last(torch.cat([r["h"], r["s"]], dim=1))

    def do_linear(self, r, to, of, which):
        r[to] = self.layers[which](r[of])

    def do_relu(self, r, to, of):
        r[to] = F.relu(r[of])

    def do_relu_(self, r, of):
        self.relu(r[of])

    def do_relu_part(self, r, of, part):
        r[of][:, slice(*part)].relu_()

    def do_write_relu(self, r, to, of, part):
        r[to][:, slice(*part)] = torch.relu(r[of][:, slice(*part)])

    def do_leaky(self, r, to, of, slope):
        r[to] = F.leaky_relu(r[of], slope)

    def do_clamp_(self, r, of):
        r[of].clamp_(-0.5, 0.75)

    def do_maximum(self, r, to, of, level, first):
        limit = torch.full_like(r[of], level)
        r[to] = torch.maximum(limit, r[of]) if first else torch.maximum(r[of], limit)

    def do_minimum(self, r, to, of, level, first):
        limit = r[of].new_full((WIDTH,), level)
        r[to] = torch.minimum(limit, r[of]) if first else torch.minimum(r[of], limit)

    def do_larger(self, r, to, one, other):
        r[to] = torch.maximum(r[one], r[other])

    def do_alias(self, r, to, of, how):
        h = r[of]
        r[to] = {
            "view": lambda: h.view(-1, 2, 3).view(-1, WIDTH) if h.is_contiguous() else h.view_as(h),
            "view_as": lambda: h.view_as(h),
            "detach": h.detach,
            "same": lambda: h,
            "contiguous": lambda: h.contiguous() if h.is_contiguous() else h[:],
            "slice": lambda: h[:, :],
        }[how]()

    def do_copy(self, r, to, of):
        r[to] = r[of].clone()

    def do_add(self, r, to, one, other):
        r[to] = r[one] + r[other]

    def do_add_(self, r, to, of):
        r[to] += r[of]

    def do_scale(self, r, to, of, number):
        r[to] = r[of] * number

    def do_scale_(self, r, of, number):
        r[of].mul_(number)

    def do_shift_part(self, r, of, part, number):
        r[of][:, slice(*part)] += number

    def do_write_part(self, r, of, part, number):
        r[of][:, slice(*part)] = number

    def do_copy_part(self, r, to, of, places):
        target, source = places
        r[to][:, target : target + 3].copy_(r[of][:, source : source + 3].clone())

    def do_buffer(self, r, to, of, part):
        out = torch.zeros_like(r[of])
        out[:, slice(*part)] = r[of][:, slice(*part)]
        r[to] = out

    def do_cat(self, r, to, of):
        first, second = r[of].chunk(2, dim=1)
        r[to] = torch.cat([second, first], dim=1)

    def do_swap(self, r, one, other):
        r[one], r[other] = r[other], r[one]

    def do_norm(self, r, of):
        r[of] = self.norm(r[of])

    def do_mean(self, r, to, of):
        r[to] = r[of] - r[of].mean(1, keepdim=True)

    def do_permute(self, r, to, of):
        r[to] = r[of][:, self.order]

    def do_mask(self, r, to, of):
        r[to] = r[of].masked_fill(self.some, 0.25)

    def by_hand(self, x):
        """The interpreter's word, as tensors."""
        layers, y = interpreted(self, x.numpy())
        return [torch.from_numpy(layer) for layer in layers], torch.from_numpy(y)


def interpreted(net, x):
    """The pre-activations that every activation reads, and the output. Arrays are in columns × samples; an
    alias is the same array, and whatever is new is copied."""
    weights = {name: value.detach().numpy() for name, value in net.state_dict().items()}
    read = []

    def linear(name, h):
        return weights[f"{name}.weight"] @ h + weights[f"{name}.bias"][:, None]

    def kink(z):
        assume(np.ptp(z, axis=1).any())  # a constant has no code
        read.append(z.T.copy())

    def ramp(z):
        kink(z)
        return np.where(z > 0, z, 0.0)

    h = linear("first", x.T)
    r = {"h": h, "s": h.copy()}
    for kind, to, *rest in net.steps:
        of = rest.pop(0) if rest and isinstance(rest[0], str) and rest[0] in ("h", "s") else to
        h = r[of]
        if kind == "linear":
            r[to] = linear(f"layers.{rest[0]}", h)
        elif kind == "relu":
            r[to] = ramp(h)
        elif kind == "relu_":
            h[:] = ramp(h)
        elif kind in ("relu_part", "write_relu"):
            rows = slice(*rest[0])
            r[to][rows] = ramp(h[rows].copy())
        elif kind == "leaky":
            kink(h)
            r[to] = np.where(h > 0, h, rest[0] * h)
        elif kind == "clamp_":
            kink(np.concatenate([h + 0.5, h - 0.75]))
            h[:] = np.minimum(np.maximum(h, -0.5), 0.75)
        elif kind in ("maximum", "minimum"):
            kink(h - rest[0])
            r[to] = (np.maximum if kind == "maximum" else np.minimum)(h, rest[0])
        elif kind == "larger":
            assume(np.linalg.matrix_rank(np.stack([h.ravel(), r[rest[0]].ravel()])) == 2)  # no leaky ReLU
            assume(np.ptp(h, axis=1).any() and np.ptp(r[rest[0]], axis=1).any())
            kink(h - r[rest[0]])
            r[to] = np.maximum(h, r[rest[0]])
        elif kind == "alias":
            r[to] = h
        elif kind == "copy":
            r[to] = h.copy()
        elif kind == "add":
            r[to] = h + r[rest[0]]
        elif kind == "add_":
            r[to] += h.copy()
        elif kind == "scale":
            r[to] = h * rest[0]
        elif kind == "scale_":
            h *= rest[0]
        elif kind == "shift_part":
            h[slice(*rest[0])] += rest[1]
        elif kind == "write_part":
            h[slice(*rest[0])] = rest[1]
        elif kind == "copy_part":
            target, source = rest[0]
            r[to][target : target + 3] = h[source : source + 3].copy()
        elif kind == "buffer":
            new = np.zeros_like(h)
            new[slice(*rest[0])] = h[slice(*rest[0])]
            r[to] = new
        elif kind == "cat":
            r[to] = np.concatenate([h[3:], h[:3]])
        elif kind == "swap":
            r[to], r[of] = r[of], r[to]
        elif kind == "norm":
            mean, var = weights["norm.running_mean"][:, None], weights["norm.running_var"][:, None]
            scaled = (h - mean) / np.sqrt(var + 1e-5)
            r[to] = scaled * weights["norm.weight"][:, None] + weights["norm.bias"][:, None]
        elif kind == "mean":
            r[to] = h - h.mean(axis=0)
        elif kind == "permute":
            r[to] = h[[4, 2, 0, 5, 1, 3]]
        elif kind == "mask":
            r[to] = np.where(weights["some"][:, None], 0.25, h)
        else:
            raise AssertionError(kind)
    return read, linear("last", np.concatenate([r["h"], r["s"]])).T


X = samples(6, 4, spread=1.5)


def made(steps):
    """A net of these steps that begins and ends in a ReLU, so that there always is a code."""
    with torch.random.fork_rng([]):
        torch.manual_seed(len(steps))
        net = Net([("relu", "s", "h"), *steps, ("linear", "h", "h", 2), ("relu_", "h")])
        return net.double().eval().requires_grad_(False)


def run(check, steps):
    net = made(steps)
    _, y = net.by_hand(X)
    np.testing.assert_allclose(net(X.clone()), y, rtol=1e-9, atol=1e-9)  # the interpreter is right
    check(net, X)


PROGRAMS = st.lists(STEPS, min_size=2, max_size=12)


@given(PROGRAMS)
@SETTINGS
def test_recordings_of_random_nets(steps):
    run(check_record, steps)


@given(PROGRAMS)
@SETTINGS
def test_segments_through_random_nets(steps):
    run(lambda net, x: check_segment(net, x[0], x[1]), steps)


@given(PROGRAMS)
@SETTINGS
def test_planes_through_random_nets(steps):
    run(lambda net, x: check_plane(net, x[0], x[1], x[2]), steps)


@given(PROGRAMS.filter(lambda steps: all(step[0] != "linear" or step[3] != 2 for step in steps)))
@SETTINGS
def test_decompositions_of_random_nets(steps):
    """Each layer once: the n-th linear step gets the n-th layer."""
    seen, once = 0, []
    for kind, *given_ in steps:
        if kind == "linear":
            if seen == 2:
                continue
            given_ = [*given_[:2], seen]
            seen += 1
        once.append((kind, *given_))
    run(check_spd, once)
