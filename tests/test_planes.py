"""Exact slices, against an enumeration by linear programming and against the network itself."""

import itertools
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from slices import find, outputs, padded
from torch import nn
from torch.nn import functional as F

from splinelab import record
from splinelab.errors import InputError, UnsupportedOperationError, VerificationError
from splinelab.nets import cnn, mlp, residual_cnn
from splinelab.polytopes.geometry import slice_result, slices, trace
from splinelab.polytopes.geometry.mesh import TooMany
from splinelab.polytopes.geometry.polygons import affine_maps, hull, measure
from splinelab.polytopes.geometry.rest import Rest
from splinelab.polytopes.geometry.slice_mesh import SliceMesh
from splinelab.polytopes.geometry.slices import plane

TRIANGLE = ([-1.0, -0.7], [1.2, -0.9], [0.1, 1.1])


# Networks


def random_mlp(sizes, seed, activation=nn.ReLU):
    """Weights and biases of such size that the boundaries meet the slice."""
    generator = torch.Generator().manual_seed(seed)
    layers = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        layer = nn.Linear(fan_in, fan_out).double()
        layer.weight.data = torch.randn(fan_out, fan_in, generator=generator).double() * (2 / fan_in) ** 0.5
        layer.bias.data = torch.randn(fan_out, generator=generator).double() * 0.5
        layers += [layer, activation()]
    return nn.Sequential(*layers[:-1]).eval()


class Pooled(nn.Module):
    """Linear, max over pairs, linear, ReLU, max over three."""

    def __init__(self, seed):
        super().__init__()
        self.net = random_mlp((2, 6, 6, 2), seed)

    def forward(self, x):
        x = F.max_pool1d(self.net[0](x)[:, None], 2)[:, 0]
        x = torch.relu(F.pad(x, (0, 3)) @ self.net[2].weight.T + self.net[2].bias)
        return self.net[4](F.max_pool1d(x[:, None], 3, stride=1, padding=1)[:, 0])


class Residual(nn.Module):
    def __init__(self, seed):
        super().__init__()
        self.net = random_mlp((2, 4, 4, 4, 2), seed)

    def forward(self, x):
        x = self.net[0](x).relu_()
        x = x + F.leaky_relu(self.net[2](x), 0.1)
        x = torch.cat([x[:, :2], F.relu(self.net[4](x))[:, 2:] - x[:, 2:]], dim=1)
        return self.net[6](x)


def small_cnn(seed):
    """A conv net with batch norm whose statistics are not the initial ones, on 6 × 6 images."""
    net = cnn((36, 8, 6, 3), seed=seed, widths=(2, 3, 3, 3))
    generator = torch.Generator().manual_seed(seed)
    for module in net:
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features, generator=generator) * 0.1
            module.running_var = torch.rand(module.num_features, generator=generator) * 0.1 + 0.05
            module.bias.data = torch.randn(module.num_features, generator=generator) * 0.3
    return net.double().eval()


def images(seed, shape=(1, 6, 6)):
    return torch.randn(3, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# The independent enumeration: everything is an affine function c + d·(u, v) on a set of half-planes.


def width(halfplanes, domain):
    """The radius of the largest disc in the domain where row @ (1, u, v) ≥ 0 for all rows."""
    rows, limits = [], []
    (left, bottom), (right, top) = domain
    box = ([-left, 1, 0], [right, -1, 0], [-bottom, 0, 1], [top, 0, -1])
    for constant, *slope in [*box, *halfplanes]:
        rows.append([*(-np.array(slope)), np.hypot(*slope)])
        limits.append(constant)
    found = linprog([0, 0, -1], A_ub=rows, b_ub=limits, bounds=[(None, None)] * 2 + [(0, None)])
    return found.x[2] if found.success else -1.0


def sides(function, halfplanes, domain, smallest):
    """On which sides of a function's zeros the set has an interior: (bit, more half-planes)."""
    if np.abs(function[1:]).max() < 1e-12:
        return [(function[0] > 1e-12, halfplanes)]
    both = [(True, [*halfplanes, function]), (False, [*halfplanes, -function])]
    return [(bit, inside) for bit, inside in both if width(inside, domain) > smallest]


def enumerate_bits(functions, halfplanes, domain, smallest):
    """All feasible sign patterns of some functions: (bits, half-planes)."""
    found = [((), halfplanes)]
    for function in functions:
        found = [
            ((*bits, bit), more)
            for bits, inside in found
            for bit, more in sides(function, inside, domain, smallest)
        ]
    return found


def enumerate_winners(functions, windows, halfplanes, domain, smallest):
    """All feasible choices of the largest member of each window; equal members count as the first."""
    found = [((), halfplanes)]
    for window in windows:
        step = []
        for (winners, inside), best in itertools.product(found, window):
            rivals = [functions[best] - functions[other] for other in window if other != best]
            equal = [np.abs(rival).max() < 1e-12 for rival in rivals]
            before = [other for other in window if other != best]
            if any(
                same and before.index(b) < window.index(best) for same, b in zip(equal, before, strict=True)
            ):
                continue
            more = [*inside, *(rival for rival, same in zip(rivals, equal, strict=True) if not same)]
            if width(more, domain) > smallest:
                step.append(((*winners, best), more))
        found = step
    return found


def affine(layer, functions):
    functions = layer.weight.detach().numpy() @ functions
    functions[:, 0] += layer.bias.detach().numpy()
    return functions


def enumerate_regions(net, frame, domain, smallest=1e-7):
    """The full codes of all regions of the slice whose inscribed disc is larger than `smallest`."""
    start = np.concatenate([frame.origin.reshape(1, -1), frame.axes]).T
    found = []

    def mlp_from(layers, functions, code, halfplanes):
        functions = affine(layers[0], functions)
        if len(layers) == 1:
            return found.append(code)
        slope = getattr(layers[1], "negative_slope", 0.0)
        for bits, inside in enumerate_bits(functions, halfplanes, domain, smallest):
            after = functions * np.where(np.array(bits)[:, None], 1, slope)
            mlp_from(layers[2:], after, code + bits, inside)

    def pooled(layers, functions):
        functions = affine(layers[0], functions)
        pairs = [[0, 1], [2, 3], [4, 5]]
        for first, inside in enumerate_winners(functions, pairs, [], domain, smallest):
            z = affine(layers[2], np.concatenate([functions[list(first)], np.zeros((3, 3))]))
            for bits, narrower in enumerate_bits(z, inside, domain, smallest):
                after = z * np.array(bits)[:, None]
                triples = [[i for i in (c - 1, c, c + 1) if 0 <= i < 6] for c in range(6)]
                for second, _ in enumerate_winners(after, triples, narrower, domain, smallest):
                    found.append((*bits, "|", *first, *second))

    def residual(layers, functions):
        z1 = affine(layers[0], functions)
        for bits1, inside in enumerate_bits(z1, [], domain, smallest):
            x = z1 * np.array(bits1)[:, None]
            z2 = affine(layers[2], x)
            for bits2, narrower in enumerate_bits(z2, inside, domain, smallest):
                z3 = affine(layers[4], x + z2 * np.where(np.array(bits2)[:, None], 1, 0.1))
                for bits3, _ in enumerate_bits(z3, narrower, domain, smallest):
                    found.append(bits1 + bits2 + bits3)

    if isinstance(net, Pooled):
        pooled(net.net, start)
    elif isinstance(net, Residual):
        residual(net.net, start)
    else:
        mlp_from(list(net), start, (), [])
    return found


# What every slice must satisfy


def perimeters(result):
    corners = padded(result.vertices, result.starts)
    return np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2).sum(axis=1)


def broad(result, least=1e-9):
    """Regions whose inscribed disc is at least this large against the domain."""
    return result.areas / perimeters(result) > least * (result.domain[1] - result.domain[0]).max()


def bit_rows(codes):
    return [tuple(row) for row in codes.bits().astype(bool)]


def check(net, result, points=400, tolerance=1e-12):
    """Areas, codes, maps, polygons and point location against the network itself."""
    total = np.prod(result.domain[1] - result.domain[0])
    assert abs(result.areas.sum() / total - result.covered) < 1e-12
    of_polygons, _ = measure(padded(result.vertices, result.starts))
    assert np.abs(of_polygons - result.areas).max() < 1e-12 * total
    good = np.flatnonzero(broad(result))
    assert np.array_equal(find(result, result.centroids[good]), good)
    recorded = record(net, torch.from_numpy(result.to_space(result.centroids[good])))
    assert recorded.codes == result.codes[good]
    with torch.no_grad():
        exact = net(torch.from_numpy(result.to_space(result.centroids))).flatten(1).numpy()
    scale = np.abs(exact).max() or 1.0
    assert (
        np.abs(result.outputs_of(np.arange(len(result)), result.centroids) - exact).max() / scale < tolerance
    )
    generator = np.random.default_rng(0)
    uv = result.domain[0] + generator.random((points, 2)) * (result.domain[1] - result.domain[0])
    region = find(result, uv)
    assert not result.complete or (region >= 0).all()
    uv, region = uv[region >= 0], region[region >= 0]
    at_points = record(net, torch.from_numpy(result.to_space(uv)))
    nearest = np.min([np.abs(z.reshape(len(uv), -1)).min(axis=1) for z in at_points.pre.values()], axis=0)
    inside = np.flatnonzero(nearest > 1e-6)  # single precision; nearer to a boundary either side is right
    assert at_points.codes[inside] == result.codes[region[inside]]
    assert np.abs(outputs(result, uv) - at_points.output).max() / scale < 1e-5


# Counts


@pytest.mark.parametrize(
    ("net", "least"),
    [
        (random_mlp((2, 7, 2), 0), 15),
        (random_mlp((2, 5, 5, 2), 1), 20),
        (random_mlp((2, 4, 4, 4, 1), 2), 15),
        (random_mlp((2, 5, 5, 2), 3, lambda: nn.LeakyReLU(0.2)), 20),
        (random_mlp((3, 6, 5, 2), 4), 15),
        (Residual(5), 20),
        (Pooled(6), 15),
        (Pooled(7), 15),
    ],
    ids=["one layer", "two", "three", "leaky", "slice of 3-D", "residual", "pool", "pool 2"],
)
def test_regions_equal_an_enumeration_by_linear_programming(net, least):
    corners = TRIANGLE if next(net.parameters()).shape[1] == 2 else images(0, (3,)).numpy()
    result = plane(net, *corners)
    expected = enumerate_regions(net, result.frame, result.domain)
    assert len(result) == len(expected) >= least
    bits = [code[: code.index("|")] if "|" in code else code for code in expected]
    assert sorted(bit_rows(result.codes)) == sorted(bits)


@pytest.mark.parametrize("seed", range(6))
def test_boundaries_in_general_position_cut_as_many_regions_as_they_must(seed):
    """1 + lines + crossings, counted inside the domain (Zaslavsky 1975)."""
    net = random_mlp((2, 12, 1), seed)
    result = plane(net, *TRIANGLE)
    weight, bias = net[0].weight.detach().numpy(), net[0].bias.detach().numpy()
    lines = np.concatenate(
        [(bias + weight @ result.frame.origin)[:, None], weight @ result.frame.axes.T], axis=1
    )
    box = [(x, y) for x in result.domain[:, 0] for y in result.domain[:, 1]]
    heights = np.array([[c + d * x + e * y for x, y in box] for c, d, e in lines])
    meets = (heights.min(axis=1) < 0) & (heights.max(axis=1) > 0)
    crossings = 0
    for i, j in itertools.combinations(np.flatnonzero(meets), 2):
        at = np.linalg.solve(lines[[i, j], 1:], -lines[[i, j], 0])
        crossings += bool((at > result.domain[0]).all() and (at < result.domain[1]).all())
    assert len(result) == 1 + meets.sum() + crossings > 12


# The real thing


@pytest.mark.parametrize(
    ("net", "points"),
    [
        (random_mlp((2, 30, 30, 30, 3), 0), TRIANGLE),
        (Residual(1), TRIANGLE),
        (Pooled(2), TRIANGLE),
        (small_cnn(0), 0.5 * images(0)),
        (residual_cnn((16, 3), seed=0, widths=(2, 2, 2)).double().eval(), 0.5 * images(1, (1, 4, 4))),
    ],
    ids=["mlp", "residual", "pool", "cnn", "residual cnn"],
)
def test_slices_agree_with_the_network(net, points):
    result = plane(net, *points, verify=True)
    assert len(result) > 20
    assert result.complete and result.covered == 1
    assert np.allclose(result.to_space(result.corners), np.asarray(points), atol=1e-14)
    check(net, result)


def test_a_grid_finds_no_code_that_the_partition_lacks():
    net = random_mlp((2, 20, 20, 2), 8)
    result = plane(net, *TRIANGLE)
    axes = [np.linspace(*result.domain[:, i], 150) for i in range(2)]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    recorded = record(net, torch.from_numpy(result.to_space(grid)))
    near = np.min([np.abs(z).min(axis=1) for z in recorded.pre.values()], axis=0) > 1e-6
    seen, ours = set(bit_rows(recorded.codes[near])), bit_rows(result.codes)
    assert len(set(ours)) == len(ours) > len(seen) > 100
    assert seen <= set(ours)
    assert recorded.codes[near] == result.codes[find(result, grid)[near]]


def test_a_later_layer_gives_the_slice_through_its_activations():
    net, x = small_cnn(3), 0.5 * images(3)
    result = plane(net, *x, layer="relu2", verify=True)
    rest = Rest(net, "relu2", x)
    assert list(result.codes.layers) == list(record(rest, rest.activations(x)).codes.layers)
    assert np.allclose(result.to_space(result.corners), rest.activations(x).numpy(), atol=1e-13)
    assert result.to_space(result.centroids).shape == (len(result), 3, 6, 6)
    check(rest, result)
    by_hand = plane(rest, *rest.activations(x))
    assert by_hand.codes == result.codes


def test_maps_are_the_derivatives_of_the_network():
    net = random_mlp((4, 12, 12, 3), 4)
    result = plane(net, *images(5, (4,)))
    for region in np.flatnonzero(broad(result, 1e-4))[:20]:
        x = torch.from_numpy(result.to_space(result.centroids[region : region + 1])[0])
        jacobian = torch.func.jacrev(net)(x).detach().numpy() @ result.frame.axes.T
        assert np.allclose(result.maps[region][:, 1:], jacobian, atol=1e-9)


def test_coordinates_are_distances_in_the_space():
    x = images(9, (2, 3)).numpy()
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU()).eval()
    result = plane(net, *x)
    flat = x.reshape(3, -1)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        distance = np.linalg.norm(flat[i] - flat[j])
        assert np.linalg.norm(result.corners[i] - result.corners[j]) == pytest.approx(distance, abs=1e-13)
    assert np.allclose(result.to_space(result.corners), x)
    assert result.corners[0].tolist() == [0, 0] and result.corners[1, 1] == pytest.approx(0)
    extent = np.ptp(result.corners, axis=0)
    assert np.allclose(result.domain[1] - result.domain[0], extent + 0.5 * extent.max())


def test_tiles_change_nothing(monkeypatch):
    sheets = []
    monkeypatch.setattr(slices, "SliceMesh", lambda *args: sheets.append(0) or SliceMesh(*args))
    cases = ((random_mlp((2, 24, 24, 2), 5), TRIANGLE, 1e5), (small_cnn(6), 0.2 * images(6), 5e6))
    for net, points, memory in cases:
        whole, tiled = plane(net, *points), plane(net, *points, memory=memory)
        assert len(sheets) > 6  # one for the whole
        sheets.clear()
        assert len(tiled) == len(whole)
        order = find(whole, tiled.centroids)
        assert sorted(order) == list(range(len(whole)))
        assert tiled.codes == whole.codes[order]
        assert np.allclose(tiled.areas, whole.areas[order], rtol=1e-9, atol=1e-13)
        assert np.allclose(tiled.maps, whole.maps[order], atol=1e-6)
        assert tiled.complete and tiled.areas.sum() == pytest.approx(whole.areas.sum(), rel=1e-12)
        check(net, tiled)


def test_too_many_regions_stop_with_what_is_done():
    """About a million regions: they are never all made."""
    net = random_mlp((2, 1200, 400, 3), 0)
    with pytest.warns(RuntimeWarning, match=r"more than 3,000 regions: stopped with [\d,]+, on 0\.\d% of"):
        result = plane(net, *TRIANGLE, max_regions=3000)
    assert 1500 <= len(result) <= 3000
    assert not result.complete and 0 < result.covered < 0.01
    assert "incomplete" in repr(result)
    check(net, result, points=2000)


def test_as_many_regions_as_allowed_are_not_too_many():
    net = random_mlp((2, 20, 20, 2), 1)
    count = len(plane(net, *TRIANGLE))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(plane(net, *TRIANGLE, max_regions=count)) == count
    with pytest.warns(RuntimeWarning):
        assert len(plane(net, *TRIANGLE, max_regions=count - 1)) < count


# Degenerate networks


def test_dead_units_and_zero_weights_bound_nothing():
    net = random_mlp((2, 6, 5, 2), 0)
    regions = len(plane(net, *TRIANGLE))
    wide = random_mlp((2, 9, 5, 2), 1)
    wide[0].weight.data[:6], wide[0].bias.data[:6] = net[0].weight.data, net[0].bias.data
    wide[0].weight.data[6:] = 0
    wide[0].bias.data[6:] = torch.tensor([0.0, 1.0, -1.0])
    wide[2].weight.data[:, :6], wide[2].bias.data = net[2].weight.data, net[2].bias.data.clone()
    wide[2].weight.data[:, 6:] = 0
    wide[4].load_state_dict(net[4].state_dict())
    result = plane(wide, *TRIANGLE, verify=True)
    assert len(result) == regions
    assert (result.codes.bits()[:, 6:9] == [0, 1, 0]).all()


def test_parallel_and_coincident_boundaries():
    net = random_mlp((2, 6, 2), 0)
    direction = torch.tensor([0.6, 0.8], dtype=torch.float64)
    # Two boundaries that coincide (one of them the other way round), two parallel to them, two across.
    net[0].weight.data = torch.stack(
        [direction, -3 * direction, direction, direction, *torch.eye(2).double()]
    )
    net[0].bias.data = torch.tensor([0.1, -0.3, 0.2, 0.1 + 1e-6, 0.05, 0.05], dtype=torch.float64)
    result = plane(net, *TRIANGLE, verify=True)
    # 4 strips by 2 axes: 3 parallel lines, 2 lines across; all 6 crossings and the axes' own lie inside.
    assert len(result) == 1 + 5 + 7
    bits = result.codes.bits()
    assert (bits[:, 0] != bits[:, 1]).all()
    check(net, result)


@pytest.mark.parametrize("units", [8, 9])
def test_boundaries_through_one_point_and_through_corners(units):
    """A fan through the middle of the domain: every sixth to eighth passes a corner of the square."""
    angle = torch.arange(units, dtype=torch.float64) * torch.pi / units
    net = random_mlp((2, units, 2), 0)
    net[0].weight.data = torch.stack([-torch.sin(angle), torch.cos(angle)], dim=1)
    net[0].bias.data.zero_()
    square = ([-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0])
    result = plane(net, *square, margin=0, verify=True)
    assert len(result) == 2 * units
    check(net, result)
    if units == 8:  # 45° and 135° go through the corners: no vertex is made beside them
        sheet = SliceMesh(slices._rectangle(result.domain))
        trace.run(net, sheet, torch.from_numpy(result.to_space(sheet.points)))
        assert sheet.rows == 4 + 2 * units - 4 + 1


def test_a_homogeneous_net_meets_at_the_origin_in_any_memory():
    net = mlp((2, 40, 20, 3), seed=0, bias=False).double().eval()
    points = ([0.0, 0.0], [1.0, 0.2], [-0.3, 1.0])
    whole, tiled = plane(net, *points, verify=True), plane(net, *points, memory=1e3)
    assert len(whole) == len(tiled) > 40
    check(net, whole)
    check(net, tiled)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_small_network(data):
    """Small whole numbers as weights: coincident, parallel and concurrent boundaries, boundaries through
    corners and along edges, dead units and points on boundaries."""
    depth = data.draw(st.integers(1, 3))
    sizes = [2, *data.draw(st.lists(st.integers(1, 6), min_size=depth, max_size=depth)), 2]
    slope = data.draw(st.sampled_from([0.0, 0.5, -1.0, 1.0]))
    net = random_mlp(sizes, 0, lambda: nn.LeakyReLU(slope) if slope else nn.ReLU())
    whole = data.draw(st.booleans())
    for layer in net:
        if isinstance(layer, nn.Linear):
            for parameter in layer.parameters():
                number = st.integers(-2, 2) if whole else st.floats(-2, 2, width=16)
                draw = data.draw(st.lists(number, min_size=parameter.numel(), max_size=parameter.numel()))
                parameter.data = torch.tensor(draw, dtype=torch.float64).view(parameter.shape)
    result = plane(net, [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], margin=data.draw(st.sampled_from([0, 0.5])))
    check(net, result)
    codes = bit_rows(result.codes)
    assert len(set(codes)) == len(codes)
    expected = enumerate_regions(net, result.frame, result.domain) if sum(sizes) < 11 else None
    if expected is not None:
        assert sorted(codes) == sorted(expected)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.sampled_from([Pooled, Residual, small_cnn]), st.booleans())
def test_any_network_with_pools_and_sums(seed, kind, whole):
    net = kind(seed)
    if whole:  # equal members, equal sums
        for parameter in net.parameters():
            parameter.data = parameter.data.mul(2).round() / 2
    points = 0.3 * images(seed) if kind is small_cnn else TRIANGLE
    result = plane(net, *points, memory=2e6, verify=True)
    check(net, result)


# What is refused


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (([0.0, 0.0], [0.0, 0.0], [1.0, 0.0]), "not three different points"),
        (([0.0, 0.0], [1.0, 0.0], [1.0, 0.0]), "not three different points"),
        (([0.0, 0.0], [1.0, 0.0], [0.0, 0.0]), "not three different points"),
        (([0.0, 0.0], [1.0, 1.0], [3.0, 3.0]), "lie on a line"),
        (([0.1, 0.3], [0.2, 0.6], [0.3, 0.9]), "lie on a line"),
        (([0.0, 0.0], [np.nan, 1.0], [3.0, 3.0]), "NaN"),
        (([0.0, 0.0], [np.inf, 1.0], [3.0, 3.0]), "infinite"),
        (([0.0, 0.0], [1.0, 1.0, 1.0], [3.0, 3.0]), "one shape"),
        (([0.0, 0.0, 1.0], [1.0, 1.0, 1.0], [3.0, 3.0, 0.0]), r"shape \(3,\)"),
        ((0.0, 1.0, 2.0), "one shape"),
    ],
)
def test_points_that_span_no_plane_are_refused(points, message):
    with pytest.raises(InputError, match=message):
        plane(random_mlp((2, 4, 2), 0), *points)


def test_equal_activations_are_refused_by_the_name_of_their_layer():
    net = random_mlp((2, 4, 2), 0)
    net[0].bias.data.fill_(-100)
    with pytest.raises(InputError, match="activations at '1' are not three different"):
        plane(net, *TRIANGLE, layer="1")


@pytest.mark.parametrize("options", [{"margin": -1}, {"margin": np.nan}, {"max_regions": 0}, {"memory": 0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(InputError, match=r"margin .* max_regions .* memory"):
        plane(random_mlp((2, 4, 2), 0), *TRIANGLE, **options)


def test_what_no_polygon_can_hold_is_refused():
    net = random_mlp((2, 4, 2), 0)
    with pytest.raises(InputError, match="no layer"):
        plane(net, *TRIANGLE, layer="nowhere")
    with pytest.raises(UnsupportedOperationError, match="softmax"):
        plane(nn.Sequential(*net, nn.Softmax(1)), *TRIANGLE)
    with pytest.raises(InputError, match="training mode"):
        plane(nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.ReLU()), *TRIANGLE)
    with pytest.raises(InputError, match="no polytopes"):
        plane(nn.Linear(2, 2), *TRIANGLE)
    with pytest.raises(InputError, match="points × 2"):
        plane(net, *TRIANGLE).to_space([0.0, 0.0])


def test_verification_sees_a_wrong_map(monkeypatch):
    monkeypatch.setattr(slice_result, "affine_maps", lambda *args: affine_maps(*args) + 1e-6)
    with pytest.raises(VerificationError, match="centroid of region"):
        plane(random_mlp((2, 4, 2), 0), *TRIANGLE)


def test_half_precision_networks_and_inputs_are_taken():
    net = random_mlp((2, 8, 8, 2), 0).half()
    points = [np.array(point, np.float16) for point in TRIANGLE]
    exact = plane(net.double(), *points)
    assert plane(net.half(), *points).codes == exact.codes
    assert next(net.parameters()).dtype == torch.float16


# The parts


def test_a_sheet_stops_at_its_limits():
    net, corners = random_mlp((2, 20, 20, 2), 0), slices._rectangle(np.array([[-1.0, -1], [1, 1]]))
    rows = torch.from_numpy(corners)
    for limits in ({"limits": [50, 50]}, {"max_cells": 50}, {"limits": [10_000, 60]}):
        with pytest.raises(TooMany):
            trace.run(net, SliceMesh(corners, **limits), rows)
    sheet = SliceMesh(corners, [10_000, 10_000], 10_000)
    trace.run(net, sheet, rows)
    assert sheet.cells > 100
    # Neighbours share their vertices: Euler's formula holds for the whole net of cells.
    edges = {
        frozenset(pair)
        for loop, length in zip(sheet.loops.tolist(), sheet.lengths, strict=True)
        for pair in itertools.pairwise([*loop[:length], loop[0]])
    }
    assert sheet.rows - len(edges) + sheet.cells == 1


@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=3, max_size=12))
def test_hulls_hold_their_points(points):
    points = np.array(points, float)
    if np.linalg.matrix_rank(points - points[0]) < 2:
        return
    corners = hull(points)
    following = np.roll(corners, -1, axis=0)
    edge = following - corners
    assert (edge[:, 0] * np.roll(edge, -1, axis=0)[:, 1] > edge[:, 1] * np.roll(edge, -1, axis=0)[:, 0]).all()
    to_points = points[:, None] - corners
    assert (edge[:, 0] * to_points[..., 1] - edge[:, 1] * to_points[..., 0] >= 0).all()


def test_measures_of_known_polygons():
    vertices = np.array([[0.0, 0], [2, 0], [2, 1], [0, 1], [0, 1], [2, 1], [1, 3]])
    starts = np.array([0, 4, 7])
    areas, centroids = measure(padded(vertices, starts))
    assert np.allclose(areas, [2, 2]) and np.allclose(centroids, [[1, 0.5], [1, 5 / 3]])
