"""What every net of the zoo is put through."""

import copy
import re

import numpy as np
import pytest
import torch
from slices import find, outputs
from torch import nn

from splinelab import polytopes, record, spd
from splinelab.errors import SplinelabError, UnsupportedOperationError

NEAR = 1e-9  # a pre-activation this small may have either bit: the formula rounds otherwise than the net
THROUGH = ("record", "segment", "plane", "decomposition")
through = pytest.mark.parametrize("through", THROUGH)
recorded_and_traced = pytest.mark.parametrize("through", THROUGH[:-1])


class Three(nn.Module):
    """Three linear layers to write a forward around: 6 → 10 → 10 → 3."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 10), nn.Linear(10, 10), nn.Linear(10, 3)


def built(make, seed=0):
    """A net in float64 and evaluation mode whose weights come from a seed."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return make().double().eval()


def samples(*shape, seed=1, spread=2.0):
    """Float64 samples from a seed."""
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(shape, generator=generator, dtype=torch.float64)


def both(*values):
    """The blocks of one layer with several thresholds, side by side."""
    return torch.cat([value.reshape(len(value), -1) for value in values], dim=1)


def relu(h):
    """A ReLU that no recorder counts."""
    return h * (h > 0)


class Formula:
    """A net's own formula at some points: `z`, whose sign is the bit, points × units, and `y`, the output."""

    def __init__(self, net, x):
        with torch.no_grad():
            layers, y = net.by_hand(x.clone())
        self.widths = [value[0].numel() for value in layers]
        self.z = both(*layers).numpy()
        self.y = y.reshape(len(x), -1).numpy()
        self.largest = max(1.0, np.abs(self.y).max())

    def assert_bits(self, bits):
        assert bits.shape == self.z.shape
        certain = np.abs(self.z) > NEAR
        wrong = (bits != (self.z > 0)) & certain
        assert not wrong.any(), f"{wrong.sum() / certain.sum():.1%} of the bits are wrong"

    def assert_outputs(self, outputs, tolerance=1e-10):
        error = np.abs(np.asarray(outputs, np.float64).reshape(self.y.shape) - self.y).max() / self.largest
        assert error < tolerance, f"the output is {error:.1e} off"


@torch.no_grad()
def check_formula(net, x):
    """The formula is the net's: else the test itself is wrong."""
    output = net(x.clone())
    while isinstance(output, tuple | list | dict):
        output = next(iter(output.values())) if isinstance(output, dict) else output[0]
    truth = Formula(net, x)
    truth.assert_outputs(output.numpy())
    share = (truth.z > 0).mean()
    assert 0.02 < share < 0.98, "the formula's bits are nearly all alike: they would test little"


def check_record(net, x, **options):
    """Codes, their layers, and the output, whatever the batch size; the samples are left alone."""
    truth = Formula(net, x)
    for batch_size in (512, 3):
        recording = record(net, x, batch_size=batch_size, **options)
        assert list(recording.codes.layers.values()) == truth.widths
        truth.assert_bits(recording.codes.bits())
        truth.assert_outputs(recording.output, tolerance=1e-6)  # float32
    return recording


def check_segment(net, start, end, **options):
    """Codes and outputs at many points, and a kink of the formula at every boundary."""
    found = polytopes.segment(net, start, end, **options)
    t = np.linspace(0.0017, 0.9983, 211)
    truth = Formula(net, between(start, end, t))
    truth.assert_outputs(found.output_at(t))
    assert list(found.codes.layers.values()) == truth.widths
    truth.assert_bits(found.codes.bits()[np.searchsorted(found.t, t) - 1])
    knots = found.t[1:-1]
    if len(knots) and not len(found.pool_crossings):
        at = np.abs(Formula(net, between(start, end, knots)).z).min(axis=1)
        assert at.max() < 1e-8, "a boundary where nothing bends"
    return found


def between(start, end, t):
    t = torch.from_numpy(t).view(-1, *[1] * start.ndim)
    return torch.lerp(start[None], end[None], t)


def check_plane(net, a, b, c, **options):
    """Codes and maps at many points of the slice."""
    found = polytopes.plane(net, a, b, c, margin=0.1, **options)
    low, high = found.domain
    uv = low + (high - low) * np.random.default_rng(0).uniform(0.01, 0.99, (151, 2))
    truth = Formula(net, torch.from_numpy(found.to_space(uv)))
    truth.assert_outputs(outputs(found, uv))
    truth.assert_bits(found.codes.bits()[find(found, uv)])
    assert found.complete
    return found


def recipe_for(names, features=6):
    """A short decomposition of some layers."""
    matrices = tuple(spd.Matrices(name, components=4, gate_units=3, importance=1e-3) for name in names)
    inputs = spd.SparseFeatures(features, 0.5, low=-1.0)
    return spd.SPDRecipe(inputs, matrices, (spd.Stage(2),), batch=8, evaluations=1)


@torch.no_grad()
def check_spd(net, x):
    """Inputs of the layers as they were, and masked outputs, against one sample at a time with the masks
    multiplied into the weights."""
    reference, plain = as_they_were(net, x)
    decomposition = spd.attach(net, recipe_for(reference), 0)
    output, inputs = decomposition.target(x)
    assert set(inputs) == set(reference)
    for name, value in reference.items():
        torch.testing.assert_close(inputs[name], value, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(output, plain, rtol=1e-12, atol=1e-12)
    ones = decomposition.masked(x, dict.fromkeys(inputs, 1.0), delta=1.0)
    torch.testing.assert_close(ones, plain, rtol=1e-10, atol=1e-10)
    masks = {name: samples(len(x), 4, seed=i).sigmoid() for i, name in enumerate(inputs)}
    masks = {name: spread(mask, inputs[name]) for name, mask in masks.items()}
    masked = decomposition.masked(x, masks, delta=0.25)
    for i in range(len(x)):
        alone = copy.deepcopy(net)
        for name, matrix in decomposition.layers.items():
            linear, mask = alone.get_submodule(name), masks[name][i].reshape(-1, 4)[0]
            used = (matrix.U * mask[:, None]).T @ matrix.V
            linear.weight.copy_(used + 0.25 * (linear.weight - matrix.total))
        torch.testing.assert_close(masked[i], alone(x[i : i + 1].clone())[0], rtol=1e-9, atol=1e-9)
    importances = decomposition.importances(x)
    assert all(torch.isfinite(value).all() for value in importances.values())


def spread(mask, inputs):
    """One mask per sample, for layers whose inputs have further axes."""
    return mask.view(len(mask), *[1] * (inputs.ndim - 2), 4)


@torch.no_grad()
def as_they_were(net, x):
    """What each linear layer that runs was given, copied before it ran; and the output."""
    found, handles = {}, []

    def keep(name):
        def hook(_, given, options):
            assert name not in found, f"{name} runs twice: no decomposition"
            found[name] = (given[0] if given else options["input"]).clone()

        return hook

    for name, module in net.named_modules():
        if isinstance(module, nn.Linear):
            handles.append(module.register_forward_pre_hook(keep(name), with_kwargs=True))
    output = net(x.clone())
    for handle in handles:
        handle.remove()
    return found, output


def check(net, through, x=None):
    """The net through one of `THROUGH`, against its formula."""
    x = samples(7, 6) if x is None else x
    check_formula(net, x)
    kept = x.clone()
    if through == "record":
        check_record(net, x)
    elif through == "segment":
        check_segment(net, x[0], x[1])
    elif through == "plane":
        check_plane(net, x[0], x[1], x[2])
    else:
        check_spd(net, x)
    assert torch.equal(x, kept), "the caller's samples were overwritten"


def right_or_refused(function, *args, **kwargs):
    """Run a check; an error that splinelab raises on purpose is as good as a right result."""
    try:
        return function(*args, **kwargs)
    except SplinelabError as error:
        assert len(str(error)) > 30
        return None


def recorded_or_refused(net, x, *, strict=True):
    """The net's listed ReLUs, once every operation is ignored that `record` refuses, in the words it gives.

    With `strict`, the net must be refused, or have a layer of its own for the operation: its formula lists
    the other layers alone. Without, a recording of the formula's layers alone is right too.
    """
    truth, ignore = Formula(net, x), ()
    for _ in range(6):
        try:
            recording = record(net, x, ignore=ignore)
        except UnsupportedOperationError as error:
            if strict and "other samples of the batch" in str(error):
                return ignore
            advised = re.search(r"ignore=\('([^']+)',\)", str(error))
            assert advised, f"no way out is named: {error}"
            assert "called in" in str(error), f"no place is named: {error}"
            assert advised[1] in str(error).split("ignore=")[0], f"the operation is not named: {error}"
            assert advised[1] not in ignore, f"{advised[1]} was ignored and is refused again"
            ignore = (*ignore, advised[1])
            continue
        own = len(recording.codes.layers) > len(truth.widths)
        assert ignore or own or not strict, "left out of the code, silently"
        assert strict or not own
        if not own:
            truth.assert_bits(recording.codes.bits())
        return ignore
    raise AssertionError(f"still refused with ignore={ignore}")
