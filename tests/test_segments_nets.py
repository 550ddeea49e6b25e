"""Segments and slices of nets as people write them: writes, views, aliases, sizes of the batch, constants.

Each is held against the network itself, evaluated densely: outputs to 1e-12, codes by the recorder.
"""

import copy
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from slices import find, outputs
from torch import nn

from splinelab import record
from splinelab.errors import InputError, UnsupportedOperationError, VerificationError
from splinelab.nets import cnn, residual_cnn
from splinelab.polytopes import Rest, from_layer, frozen, path, paths, plane, rays, segment
from splinelab.polytopes.geometry import affine, trace
from splinelab.polytopes.geometry.exact import exact_copy
from splinelab.polytopes.geometry.path_mesh import PathMesh
from splinelab.recording.following import tensors
from splinelab.recording.operations import op_name

NETS = {}


def net(forward):
    """Collect a forward pass, a function of the layers `m` and the input `x`."""
    NETS[forward.__name__] = forward
    return forward


class Net(nn.Module):
    """6 numbers in, 3 out: layers a, b, c, d, e of 10 units, a buffer, a plain tensor, and a forward pass."""

    def __init__(self, forward, seed=0):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 10), nn.Linear(10, 10), nn.Linear(10, 3)
        self.d, self.e, self.token = nn.Linear(5, 5), nn.Linear(6, 6), nn.Parameter(torch.empty(1, 1, 5))
        self.register_buffer("mask", torch.arange(10) % 3 == 0)
        self.plain = torch.linspace(-1, 1, 10)
        generator = torch.Generator().manual_seed(seed)
        for tensor in self.parameters():
            fan_in = tensor.shape[-1] if tensor.ndim > 1 else 4
            tensor.data = torch.randn(tensor.shape, generator=generator).double() * 1.5 / fan_in**0.5
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


def r(x):
    return torch.relu(x)


# Writes into views


@net
def half_written(m, x):
    h = m.a(x)
    h[:, :5] = r(h[:, :5])
    return m.c(r(m.b(h)))


@net
def view_in_place(m, x):
    h = r(m.a(x))
    h.view(len(h), 2, 5)[:, 1].sub_(0.3).relu_()
    return m.c(h)


@net
def skip_is_a_view(m, x):
    h = m.a(x)
    skip = h.view(len(h), 10)
    h = torch.relu_(h)
    return m.c(h + skip)


@net
def alias_by_detach(m, x):
    h = m.b(r(m.a(x)))
    kept = h.detach()
    h.relu_()
    return m.c(h - 2 * kept)


@net
def alias_by_data(m, x):
    h = m.a(x)
    h.data.clamp_(-0.5, 0.5)
    return m.c(r(m.b(h)))


@net
def siblings(m, x):
    one, two = m.a(x).chunk(2, dim=1)
    one += 2 * two
    two.relu_()
    return m.c(torch.cat([r(one), two], 1))


@net
def slices_of_one_base(m, x):
    h = m.b(r(m.a(x)))
    left, middle = h[:, :6], h[:, 4:]
    left.relu_()
    middle.mul_(0.5).sub_(0.1)
    return m.c(r(h))


@net
def input_overwritten(m, x):
    y = m.a(x)
    x.relu_()
    return m.c(r(y)) + m.c(r(m.a(x)))


@net
def input_kept(m, x):
    kept = x
    x -= 0.2
    x.relu_()
    return m.c(r(m.a(x + kept)))


@net
def residual_in_place(m, x):
    h = r(m.a(x))
    h += m.b(r(m.b(h)))
    return m.c(h.relu_())


@net
def the_skip_of_an_overwritten_input(m, x):
    h = m.a(x)
    skip = h
    h = F.relu(h, inplace=True)
    return m.c(m.b(h) + skip)


@net
def data_swapped(m, x):
    h = m.a(x)
    g = h.view(-1, 10)
    h.data = r(m.b(g))
    return m.c(r(h) - g)


@net
def transposed_view_written(m, x):
    h = r(m.a(x)).view(-1, 2, 5)
    h.transpose(1, 2)[:, :, 0] *= -2
    return m.c(r(h.flatten(1)))


# Buffers and other writes


@net
def buffer_filled(m, x):
    n = x.shape[0]
    out = torch.zeros(n, 10)
    out[:, :5] = r(m.a(x))[:, 5:]
    out[..., 5:] = m.b(r(m.a(x)))[..., :5]
    return m.c(r(out - 0.1))


@net
def empty_filled(m, x):
    h = r(m.a(x))
    out = torch.empty_like(h)
    for i in range(10):
        out[:, i] = h[:, 9 - i] - h[:, i]
    return m.c(out.abs())


@net
def copied_into(m, x):
    out = x.new_zeros(len(x), 10)
    out.copy_(m.a(x))
    out.relu_()
    return m.c(m.b(out))


@net
def index_added(m, x):
    h = r(m.a(x))
    h.index_add_(1, torch.tensor([0, 3, 3]), m.b(h)[:, :3])
    h = h.index_copy(1, torch.tensor([9, 1]), r(h[:, :2] - 0.4))
    return m.c(r(h))


@net
def scattered(m, x):
    h = m.a(x)
    to = torch.tensor([4, 3, 2, 1, 0]).expand(len(x), 5)
    out = torch.zeros(len(x), 10, dtype=h.dtype).scatter_(1, to, r(h[:, 5:]))
    return m.c(out.scatter_add(1, to, h[:, :5]).gather(1, to.repeat(1, 2)).relu())


@net
def masked(m, x):
    h = m.a(x)
    h[:, m.mask] = r(h[:, m.mask])
    h = h.masked_fill(~m.mask, 0.25) + torch.where(m.mask, h, r(h))
    return m.c(r(m.b(h)))


@net
def out_argument(m, x):
    h = m.a(x)
    both = torch.zeros_like(h)
    torch.add(h, r(h), out=both)
    return m.c(r(m.b(both)))


@net
def pairs_of_indices(m, x):
    h = r(m.a(x)).view(-1, 2, 5)
    h[:, [0, 1], [1, 3]] = -h[:, [1, 0], [0, 4]]
    return m.c(r(h.reshape(-1, 10)))


@net
def narrow_and_diagonal(m, x):
    h = m.b(r(m.a(x)))
    h.narrow(1, 2, 4).relu_()
    square = h[:, :9].view(-1, 3, 3)
    square.diagonal(dim1=1, dim2=2).mul_(-1)
    return m.c(r(h)) + square.diagonal(0, 1, 2)


@net
def products_in_sums(m, x):
    h = r(m.a(x))
    h = torch.addmm(m.b.bias, h, m.b.weight.T) + torch.addcmul(h, h, m.plain, value=0.5)
    return m.c(r(torch.lerp(h, m.b(h), 0.3)))


# Sizes of the batch


@net
def reshaped_by_n(m, x):
    n = x.shape[0]
    h = r(m.a(x))
    return m.c(r(m.b(h)).reshape(n, 2, 5).flatten(1))


@net
def viewed_by_n(m, x):
    n = x.size(0)
    h = r(m.d(r(m.a(x)).view(n, 2, 5)))
    return m.c(h.view(n, -1))


@net
def zeros_beside(m, x):
    n = x.shape[0]
    h = r(m.a(x))[:, 1:]
    return m.c(r(m.b(torch.cat([torch.zeros(n, 1), h], 1))))


@net
def class_token(m, x):
    n = len(x)
    h = r(m.a(x)).view(n, 2, 5)
    h = torch.cat([m.token.expand(n, -1, -1), h], 1)
    return m.c(r(m.d(h)).flatten(1)[:, :10]) + r(m.d(h))[:, 0, :3]


@net
def constants_of_the_samples(m, x):
    h = r(m.a(x))
    bias = torch.full_like(h, 0.3) + torch.ones_like(x[:, :1]) + h.new_full((len(h), 10), 0.1)
    if not torch.isfinite(h).all():
        raise ValueError("not finite")
    return m.c(r(m.b(h) + bias - torch.zeros_like(m.a(x))))


@net
def early_constants(m, x):
    none, ones = torch.zeros_like(x[:, :1]), x.new_ones(x.size(0), 10)
    h = r(m.a(x)) + ones
    return m.c(r(torch.cat([none, m.b(h)[:, 1:]], dim=1)))


@net
def all_rows_by_n(m, x):
    n = x.shape[0]
    h = r(m.a(x))[:n]
    h = h[torch.arange(n)]
    return m.c(r(m.b(h))[0:n, :])


@net
def states_of_the_batch_size(m, x):
    state = torch.zeros(x.shape[0], 10)
    for _ in range(3):
        state = r(m.a(x) + 0.5 * m.b(state))
    return m.c(state)


@net
def expanded_as(m, x):
    h = r(m.a(x))
    return m.c(r(m.b(h) + m.plain.expand_as(h)))


# Ways to write it


@net
def constants_in_single_precision(m, x):
    h = r(m.a(x)) @ torch.eye(10).flip(1) + torch.tensor(0.25)
    return m.c(r(F.linear(h, torch.ones(10, 10) / 8, m.plain)))


@net
def maximum_of_zeros_first(m, x):
    h = m.a(x)
    return m.c(torch.maximum(torch.zeros_like(h), h) + torch.max(torch.zeros(()), m.b(h)))


@net
def maximum_of_a_multiple(m, x):
    h = m.a(x)
    return m.c(torch.maximum(0.1 * h, h) + torch.minimum(m.b(h), -m.b(h)))


@net
def a_bound_out_of_reach(m, x):
    h = m.a(x)
    return m.c(r(h.clamp(min=torch.finfo(h.dtype).min)).clamp(0, float("inf")) + h.clamp(-1, 1))


@net
def threshold_without_a_jump(m, x):
    return m.c(F.threshold(m.b(F.threshold(m.a(x), 0.2, 0.2)), 0.0, 0.0))


@net
def einsum_and_matmul(m, x):
    h = r(torch.einsum("nk,jk->nj", x, m.a.weight)).view(-1, 2, 5)
    h = torch.matmul(torch.tensor([[1.0, -1.0], [0.5, 2.0]]), h)
    return m.c(r(h.transpose(1, 2).reshape(len(h), 10)))


@net
def numbers_of_samples(m, x):
    return (m.c(r(m.b(r(m.a(x)))))[:, :1] - 0.1).squeeze(-1)


@net
def numbers_flattened(m, x):
    return nn.Flatten(0)(m.c(r(m.a(x))).sum(dim=1, keepdim=True))


@net
def numbers_that_bend(m, x):
    score = m.c(r(m.a(x))).sum(dim=1)
    return r(score - 0.2) + score.abs()


@net
def several_outputs(m, x):
    h = r(m.a(x))
    return {"features": h, "logits": m.c(r(m.b(h)))}


@net
def a_tuple(m, x):
    h = r(m.a(x))
    return m.c(r(m.b(h))), h


def model(name):
    return Net(NETS[name]).eval()


def ends(*shape, seed=1, spread=2.0):
    return spread * torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()


@contextmanager
def double_constants():
    """Whatever a net makes on its way is float64, as in the geometry's copy."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def in_double(net):
    net = copy.deepcopy(net)
    if hasattr(net, "plain"):
        net.plain = net.plain.double()
    return net


def codes_of(net, x):
    with double_constants():
        return record(in_double(net), x, activations=False).codes


def plainly(net, x):
    with torch.no_grad(), double_constants():
        found = in_double(net)(x.clone())
    found = found["logits"] if isinstance(found, dict) else found[0] if isinstance(found, tuple) else found
    return found.reshape(len(x), -1).numpy()


def check_path(net, found):
    """A path against the net at 600 coordinates, evaluated 40 at a time."""
    t = np.sort(np.random.default_rng(0).uniform(0, len(found.waypoints) - 1, 600))
    x = torch.from_numpy(found.at(t))
    expected = np.concatenate([plainly(net, some) for some in x.split(40)])
    assert np.abs(expected - found.output_at(t)).max() <= 1e-12 * np.abs(expected).max()
    recorded = codes_of(net, x)
    assert recorded.layers == found.codes.layers
    clear = np.abs(found.t[:, None] - t).min(axis=0) > 1e-9
    piece = np.searchsorted(found.t, t, side="right") - 1
    assert np.array_equal(recorded.packed[clear], found.codes.packed[piece[clear]])


@pytest.mark.parametrize("name", NETS)
def test_segments(name):
    net = model(name)
    found = segment(net, *ends(2, 6), verify=True)
    assert found.regions > 3
    check_path(net, found)


@pytest.mark.parametrize("name", NETS)
def test_slices(name):
    net = model(name)
    found = plane(net, *ends(3, 6, seed=2), margin=0.1, verify=True)
    assert len(found) > 3
    uv = found.domain[0] + np.random.default_rng(0).uniform(size=(300, 2)) * np.ptp(found.domain, axis=0)
    x = torch.from_numpy(found.to_space(uv))
    expected = plainly(net, x)
    assert np.abs(expected - outputs(found, uv)).max() <= 1e-11 * np.abs(expected).max()
    recorded = codes_of(net, x)
    assert recorded.layers == found.codes.layers
    assert (recorded.packed == found.codes.packed[find(found, uv)]).all(axis=1).mean() > 0.99  # on boundaries


@pytest.mark.parametrize("name", NETS)
def test_rays_and_a_copy_in_single_precision(name):
    net = model(name)
    found = rays(net, ends(2, 6, seed=3), low=0.1)
    for ray in found:
        check_path(net, ray.path)
    net = net.float()
    check_path(model(name), path(model(name), ends(3, 6, seed=4)))
    assert path(net, ends(3, 6, seed=4)).regions > 3


# Both ways through a network give the same


ORDINARY = {
    "cnn": (lambda: cnn((36, 8, 6, 3), seed=0, widths=(2, 3, 3, 3)), (1, 6, 6)),
    "residual": (lambda: residual_cnn((36, 3), seed=0, widths=(3, 3, 3, 3)), (1, 6, 6)),
    "mlp": (
        lambda: nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 3)),
        (6,),
    ),
}


@pytest.fixture
def many_passes(monkeypatch):
    """Makes every traversal begin again after each cut."""
    plain = trace.run

    def run(*args, **options):
        return plain(*args, **{**options, "one_pass": False})

    def switch():
        monkeypatch.setattr(trace, "run", run)

    return switch


@pytest.mark.parametrize("name", ORDINARY)
def test_one_pass_and_many_find_the_same(name, many_passes):
    make, shape = ORDINARY[name]
    net = make().double().eval()
    points = ends(3, *shape, spread=1.0)
    once, slice_once = path(net, points, values=True), plane(net, *points, margin=0)
    many_passes()
    again, slice_again = path(net, points, values=True), plane(net, *points, margin=0)
    assert once.regions > 10 and again.codes == once.codes
    np.testing.assert_allclose(again.t, once.t, rtol=0, atol=1e-11)
    np.testing.assert_allclose(again.outputs, once.outputs, rtol=0, atol=1e-12 * np.abs(once.outputs).max())
    np.testing.assert_array_equal(again.crossing_unit, once.crossing_unit)
    np.testing.assert_allclose(again.pool_crossings, once.pool_crossings, atol=1e-11)
    for name in once.values:
        np.testing.assert_allclose(again.values[name], once.values[name], atol=1e-11)
    assert slice_again.codes == slice_once.codes
    np.testing.assert_allclose(slice_again.areas, slice_once.areas, atol=1e-11)


# What is refused, in the same words by all


def image_net():
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3)).eval()


def all_four(net, points):
    return (
        lambda: segment(net, points[0], points[1]),
        lambda: path(net, points),
        lambda: rays(net, points),
        lambda: plane(net, *points),
    )


IMAGES = ends(3, 1, 6, 6)


@pytest.mark.parametrize(
    "net, points, words",
    [
        (image_net, IMAGES[:, None], r"x\[0\] instead of x\[:1\]"),
        (image_net, IMAGES[..., :5], r"takes no points of shape \(1, 6, 5\)"),
        (image_net, (50 * IMAGES).to(torch.uint8), "images / 255"),
        (image_net, (50 * IMAGES).long(), "images / 255"),
        (image_net, [IMAGES[0], IMAGES[1, :, :5], IMAGES[2]], "one shape"),
        (image_net, IMAGES / 0, "NaN or infinite"),
        (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(4), nn.ReLU()).eval(), IMAGES, "lazy"),
    ],
)
def test_points_and_models_that_do_not_fit(net, points, words):
    for call in all_four(net(), points):
        with pytest.raises(InputError, match=words):
            call()


def test_points_of_any_layout_are_taken():
    net, points = model("residual_in_place").float(), ends(3, 6).numpy()
    odd = points[:, ::-1].astype(">f8")[:, ::-1]
    for one, other in zip(all_four(net, points), all_four(net, odd), strict=True):
        one, other = one(), other()
        one, other = (one[0].path, other[0].path) if isinstance(one, list) else (one, other)
        assert one.codes == other.codes


class Transformed(torch.utils.data.Dataset):
    images = IMAGES

    def __getitem__(self, index):
        return self.images[index] / 2, 0

    def __len__(self):
        return len(self.images)


def test_no_transform_is_passed_by():
    net, given = image_net(), Transformed()
    for call in (
        lambda: path(net, given),
        lambda: rays(net, given),
        lambda: Rest(net, "0", given),
        lambda: from_layer(net, "0", given),
        lambda: frozen(net, given),
    ):
        with pytest.raises(InputError, match="transform"):
            call()


OTHERS = {
    "the mean of the batch": lambda m, x: m.c(r(m.a(x) - m.a(x).mean(0))),
    "its size": lambda m, x: m.c(r(m.a(x)) / len(x)),
    "the place in it": lambda m, x: m.c(r(m.a(x) + torch.arange(len(x))[:, None])),
    "the first of it": lambda m, x: m.c(r(m.a(x) - m.a(x)[:1])),
    "its statistics": lambda m, x: m.c(r(F.batch_norm(m.a(x), None, None, training=True))),
    "a random number": lambda m, x: m.c(r(m.a(x) + torch.rand(10))),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_depends_on_more_than_the_point_is_refused(what):
    for call in all_four(Net(OTHERS[what]).eval(), ends(3, 6)):
        with pytest.raises((UnsupportedOperationError, VerificationError)):
            call()


def test_verification_says_where(monkeypatch):
    net, wrong = model("residual_in_place"), Net(OTHERS["its size"]).eval()
    with pytest.raises(
        VerificationError, match=r"At t = \d\.\d+, inside piece \d+: output \d is .* the network's"
    ):
        segment(wrong, *ends(2, 6))
    with pytest.raises(VerificationError, match=r"of path [01], inside"):
        paths(wrong, [ends(2, 6), ends(2, 6, seed=2)])
    with pytest.raises(VerificationError, match=r"region \d+, \(u, v\) = "):
        plane(wrong, *ends(3, 6))
    cut = PathMesh.cut

    def inverted(self, values, name):
        cut(self, values, name)
        if name == "relu#2":
            self.layers[name][1][:] ^= 128

    monkeypatch.setattr(PathMesh, "cut", inverted)
    with pytest.raises(VerificationError, match=r"code differs from the network's in layer 'relu#2'"):
        segment(net, *ends(2, 6))


def test_a_copy_that_is_another_net_is_found():
    class Half(Net):
        def __deepcopy__(self, memo):
            other = Half(self.run)
            other.c.weight.data *= 0.5
            return other.eval()

    with pytest.raises(VerificationError, match="float64 copy"):
        segment(Half(NETS["residual_in_place"]).eval(), *ends(2, 6))
    outside = nn.Linear(10, 10)
    hidden = Net(lambda m, x: m.c(r(outside(r(m.a(x)))))).float().eval()
    with pytest.raises(InputError, match="a closure"):
        segment(hidden, *ends(2, 6))


def test_sizes_taken_before_a_layer_hold_behind_it():
    net = model("reshaped_by_n")
    found = segment(net, *ends(2, 6), layer="a", verify=True)
    rest, z = from_layer(net, "a", ends(2, 6))
    with torch.no_grad():
        torch.testing.assert_close(rest(z), net(ends(2, 6)), rtol=0, atol=0)
    assert found.regions > 3


def test_mixed_precision_does_not_round_inputs():
    net = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 3)).eval()
    net.register_parameter("unused", nn.Parameter(torch.ones(1, dtype=torch.bfloat16)))
    net._parameters = dict(reversed(net._parameters.items()))
    x = ends(2, 6).float()
    assert torch.equal(Rest(net, "0", x).activations(x), net[0](x))
    assert segment(net, *x).regions > 1


class Overwriting(nn.Sequential):
    """In-place ReLUs and a residual sum, as in published ResNets."""

    def forward(self, x):
        y = self[1](self[0](x))
        y = self[1](self[2](y) + y)
        y += self[2](y)
        return self[3](self[1](y))


def test_in_place_activations_take_one_pass(monkeypatch):
    net = Overwriting(nn.Linear(6, 10), nn.ReLU(inplace=True), nn.Linear(10, 10), nn.Linear(10, 3)).eval()
    found = path(net, ends(2, 6))
    check_path(net.double(), found)

    class Once(trace.Trace):
        def __init__(self, *args, one_pass, **options):
            assert one_pass, "the pass was given up"
            super().__init__(*args, one_pass=one_pass, **options)

    monkeypatch.setattr(trace, "Trace", Once)
    line = PathMesh([0.0, 1.0], [0], [1])
    trace.run(exact_copy(net), line, ends(2, 6))
    assert line.cells == len(found) > 3


ROWS = 7  # samples; every other axis has another length, so that a confusion changes a shape or a value


@pytest.mark.parametrize(
    ("op", "call"),
    [
        ("einsum", lambda x, w, s: torch.einsum("nk,jk->nj", x, w)),
        ("einsum", lambda x, w, s: torch.einsum("jk,nk->nj", w, x)),
        ("einsum", lambda x, w, s: torch.einsum("...k,jk->...j", x, w)),
        ("einsum", lambda x, w, s: torch.einsum("nk,jk->jn", x, w)),
        ("einsum", lambda x, w, s: torch.einsum("nk,mn->mk", x, s @ s.T)),
        ("einsum", lambda x, w, s: torch.einsum("nk,jk", x, w)),
        ("einsum", lambda x, w, s: torch.einsum("nk->kn", x)),
        ("einsum", lambda x, w, s: torch.einsum("nk->k", x)),
        ("matmul", lambda x, w, s: x @ w.T),
        ("matmul", lambda x, w, s: (s @ s.T) @ x),
        ("cumsum", lambda x, w, s: x.cumsum(0)),
        ("cumsum", lambda x, w, s: x.cumsum(1)),
        ("flip", lambda x, w, s: x.flip(0)),
        ("flip", lambda x, w, s: x.flip(1)),
        ("roll", lambda x, w, s: x.roll(1, 0)),
        ("roll", lambda x, w, s: x.roll(1, -1)),
        ("transpose", lambda x, w, s: x.transpose(0, 1)),
        ("triu", lambda x, w, s: x.triu()),
    ],
)
def test_what_mixes_samples_is_seen(op, call):
    """A call passes only if it does the same to every sample, wherever it stands: tried with the samples in
    another order and with some of them. What passes by luck of the numbers would be refused by verification.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, 5, generator=generator, dtype=torch.float64)
    w = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    s = torch.randn(ROWS, 2, generator=generator, dtype=torch.float64)  # made of as many rows as samples

    class Asked(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if op_name(func) == op and any(item is x for item in tensors(args)):
                self.problem = affine.problem(op, args, kwargs or {}, [x], ROWS)
                self.problem = self.problem or affine.shape_problem(op, [func(*args)], [x], ROWS)
            return func(*args, **(kwargs or {}))

    with Asked() as asked:
        whole = call(x, w, s)
    order = torch.randperm(ROWS, generator=generator)
    same = whole.shape[:1] == (ROWS,) and torch.allclose(call(x[order], w, s), whole[order])
    assert (asked.problem is None) == same, asked.problem
