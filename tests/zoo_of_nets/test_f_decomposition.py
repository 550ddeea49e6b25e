"""F: the hooks of a decomposition see layers as they ran, and change nothing else."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from splinelab import spd
from splinelab.errors import InputError, SplinelabError
from zoo_of_nets.harness import Three, as_they_were, built, check_spd, recipe_for, relu, samples

X = samples(7, 6)


class Residual(nn.Module):
    """A stream of 6 that two blocks add themselves to in place, x += f2(r(f1(x)))."""

    def __init__(self):
        super().__init__()
        self.f1, self.f2 = nn.Linear(6, 9), nn.Linear(9, 6)
        self.g1, self.g2 = nn.Linear(6, 9), nn.Linear(9, 6)
        self.out = nn.Linear(6, 3)

    def forward(self, x):
        x += self.f2(F.relu(self.f1(x)))
        x += self.g2(F.relu(self.g1(x)))
        return self.out(x)


class InPlaceActivation(Three):
    """The input of b is overwritten by what follows b."""

    def forward(self, x):
        h = F.relu(self.a(x))
        g = self.b(h)
        h.mul_(2).add_(g)
        return self.c(h.relu_())


class OverwritesItsInput(Three):
    def forward(self, x):
        y = self.a(x)
        x.zero_()
        return self.c(F.relu(y))


class OverwritesItsOutput(Three):
    """In-place on a layer's output, whose storage a hook may have kept."""

    def forward(self, x):
        h = self.a(x).relu_()
        return self.c(self.b(h).relu_().add_(h))


class SharedInput(Three):
    """Two layers read one tensor; it is changed between them."""

    def __init__(self):
        super().__init__()
        self.d = nn.Linear(10, 10)

    def forward(self, x):
        h = self.a(x).relu_()
        g = self.b(h)
        h += 1
        return self.c(g + self.d(h))


class InPlaceModule(Three):
    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        h = self.a(x)
        y = self.b(h)
        return self.c(self.relu(h) + self.relu(y))


class ByKeyword(Three):
    """Layers called by name."""

    def forward(self, x):
        return self.c(input=F.relu(self.b(input=F.relu(self.a(input=x)))))


class Views(Three):
    """The layer's input is a view that is written into later."""

    def forward(self, x):
        h = self.a(x)
        wide = torch.cat([h, h], 1)
        half = wide[:, :10]
        y = self.b(half)
        wide.zero_()
        return self.c(F.relu(y) + half)


class Images(nn.Module):
    """Linear layers over the last axis of an image, samples × rows × columns × channels."""

    def __init__(self):
        super().__init__()
        self.a, self.c = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x):
        h = self.a(x.unflatten(1, (1, 2, 3)).repeat(1, 2, 2, 2))
        return self.c(h.relu_()).mean((1, 2))


class Tokens(nn.Module):
    """One more axis, as in a transformer's MLP."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 8), nn.Linear(8, 6), nn.Linear(6, 3)

    def forward(self, x):
        x = x[:, None] * torch.tensor([[1.0], [-0.5]], dtype=x.dtype)
        x += self.b(self.a(x).relu_())
        return self.c(x.mean(1))


class NoBias(Three):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 10, bias=False), nn.Linear(10, 10, bias=False)

    def forward(self, x):
        h = F.relu_(self.a(x))
        h += self.b(h)
        return self.c(h)


class Ignored(Three):
    """A layer that does not run."""

    def forward(self, x):
        return self.c(F.relu_(self.a(x)))


class Hooked(Three):
    """Hooks of the user's own, before and after."""

    def __init__(self):
        super().__init__()
        self.calls = []
        self.a.register_forward_hook(lambda *_: self.calls.append(1))

    def forward(self, x):
        return self.c(F.relu(self.a(x)))


class Plain(Three):
    def forward(self, x):
        return self.c(F.relu_(self.a(x)))


NETS = (
    *(Residual, InPlaceActivation, OverwritesItsInput, OverwritesItsOutput, SharedInput, InPlaceModule),
    *(ByKeyword, Views, Images, Tokens, NoBias, Ignored, Hooked),
)


@pytest.mark.parametrize("make", NETS)
def test_layers_inputs_are_as_they_were_and_batches_stay(make):
    net, kept = built(make), X.clone()
    check_spd(net, X)
    assert torch.equal(X, kept)


@pytest.mark.parametrize("make", NETS)
def test_a_whole_decomposition(make):
    net, x = built(make), X.clone()
    before = copy.deepcopy(net.state_dict())
    reference, _ = as_they_were(net, x)
    recipe = recipe_for(reference)
    found = spd.decompose(net, recipe, seed=0)
    again = spd.decompose(net, recipe, seed=0)
    for name, matrix in found.decomposition.layers.items():
        assert torch.equal(matrix.U, again.decomposition.layers[name].U)
        assert torch.isfinite(matrix.U).all() and not torch.equal(
            matrix.U, spd.attach(net, recipe, 0).layers[name].U
        )
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    importances = found.decomposition.importances(x)
    for name, value in importances.items():
        assert value.shape == (*reference[name].shape[:-1], 4)
        assert (value >= 0).all() and (value <= 1).all()
    assert torch.equal(x, X)


@pytest.mark.parametrize("method", ["target", "importances", "masked", "alive"])
@pytest.mark.parametrize("make", [Residual, OverwritesItsInput])
def test_no_method_writes_into_the_batch(make, method):
    net, x = built(make), X.clone()
    names, _ = as_they_were(net, x)
    decomposition = spd.attach(net, recipe_for(names), 0)
    masks = (dict.fromkeys(names, 1.0),) if method == "masked" else ()
    once = getattr(decomposition, method)(x, *masks)
    assert torch.equal(x, X)
    twice = getattr(decomposition, method)(x, *masks)
    assert repr(once) == repr(twice)


def test_a_batch_that_needs_gradients_and_a_batch_that_is_a_view():
    decomposition = spd.attach(built(Residual), recipe_for(("f1", "f2", "g1", "g2", "out")), 0)
    expected = decomposition.target(X)[0]
    for x in (X.clone().requires_grad_(), X.t().contiguous().t(), torch.cat([X, X])[:7]):
        kept = x.detach().clone()
        torch.testing.assert_close(decomposition.target(x)[0], expected)
        assert torch.equal(x.detach(), kept)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("make", [Plain, Residual])
def test_every_precision(make, dtype):
    net = built(make).to(dtype)
    x = X.to(dtype)
    names, plain = as_they_were(net, x)
    decomposition = spd.attach(net, recipe_for(names), 0)
    output, inputs = decomposition.target(x)
    assert torch.equal(output, plain) and output.dtype == dtype
    assert all(torch.equal(inputs[name], value) for name, value in names.items())
    masked = decomposition.masked(x, dict.fromkeys(names, 1.0), delta=1.0)
    torch.testing.assert_close(masked, plain, rtol=0.05, atol=0.05)
    fit = spd.decompose(net, recipe_for(names), seed=0)
    again = spd.decompose(net, recipe_for(names), seed=0)
    for name, matrix in fit.decomposition.layers.items():
        assert torch.isfinite(matrix.U.float()).all()
        assert torch.equal(matrix.U, again.decomposition.layers[name].U)
    for value in fit.decomposition.importances(x).values():
        assert torch.isfinite(value.float()).all()


@pytest.mark.parametrize("recipe", [{"start": "inputs"}, {"gate": "scalar"}, {"delta": False}, {"starts": 2}])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_every_recipe_in_low_precision(recipe, dtype):
    net = built(Plain).to(dtype)
    recipe = recipe_for(("a", "c")).replace(**recipe)
    found = spd.decompose(net, recipe, seed=0).decomposition
    assert all(torch.isfinite(value.float()).all() for value in found.importances(X.to(dtype)).values())


def wrapped(wrap):
    class Wrapped(Plain):
        def forward(self, x):
            h = F.relu(self.a(x))
            return wrap(self.c(h), h)

    return Wrapped


class Output(dict):
    """As the outputs of some libraries: a dict with attributes."""

    __getattr__ = dict.__getitem__


WRAPPED = {
    "tuple": lambda y, h: (y, h),
    "list": lambda y, h: [y, h],
    "dict": lambda y, h: {"logits": y, "hidden": h},
    "dict with attributes": lambda y, h: Output(logits=y, hidden=h),
    "tuple and nothing": lambda y, h: (y, None),
    "tuple with a dict": lambda y, h: (y, {"hidden": h}),
    "tuple of one": lambda y, h: (y,),
    "scalar": lambda y, h: y[:, 0],
    "squeezed": lambda y, h: y[:, :1].squeeze(-1),
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_outputs_as_in_record(kind):
    net = built(wrapped(WRAPPED[kind]))
    with torch.no_grad():
        expected = net.c(relu(net.a(X)))
        expected = expected[:, 0] if kind in ("scalar", "squeezed") else expected
    decomposition = spd.attach(net, recipe_for(("a", "c")), 0)
    ones = decomposition.masked(X, {"a": 1.0, "c": 1.0}, delta=1.0)
    torch.testing.assert_close(first(ones), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(first(decomposition.target(X)[0]), expected)
    found = spd.decompose(net, recipe_for(("a", "c")), seed=0)
    plain = spd.decompose(built(Plain), recipe_for(("a", "c")), seed=0)
    if kind not in ("scalar", "squeezed"):
        for name, matrix in found.decomposition.layers.items():
            torch.testing.assert_close(matrix.U, plain.decomposition.layers[name].U)


def first(output):
    while isinstance(output, tuple | list | dict):
        output = next(iter(output.values())) if isinstance(output, dict) else output[0]
    return output


@pytest.mark.parametrize("output", [lambda y, h: None, lambda y, h: (), lambda y, h: {}, lambda y, h: 3.0])
def test_outputs_without_a_tensor_are_refused_in_words(output):
    with pytest.raises(SplinelabError, match=r"(?i)output|return"):
        spd.decompose(built(wrapped(output)), recipe_for(("a", "c")), seed=0)


class Twice(Three):
    def forward(self, x):
        return self.c(F.relu(self.b(F.relu(self.b(self.a(x))))))


def test_a_layer_that_runs_twice_is_refused():
    with pytest.raises(InputError, match="twice"):
        spd.decompose(built(Twice), recipe_for(("a", "b", "c")), seed=0)


class OldWeightNorm(Plain):
    def __init__(self):
        super().__init__()
        self.a = nn.utils.weight_norm(self.a)


class NewWeightNorm(Plain):
    def __init__(self):
        super().__init__()
        self.a = nn.utils.parametrizations.weight_norm(self.a)


class Subclassed(Plain):
    """A linear layer with a forward of its own around the usual one."""

    class Layer(nn.Linear):
        def forward(self, input):
            return super().forward(input)

    def __init__(self):
        super().__init__()
        self.a = self.Layer(6, 10)


@pytest.mark.parametrize("make", [OldWeightNorm, NewWeightNorm, Subclassed])
def test_weights_that_are_computed_are_taken_or_refused(make):
    net = built(make)
    with torch.no_grad():
        plain = net(X)
        try:
            decomposition = spd.attach(net, recipe_for(("a", "c")), 0)
            output, inputs = decomposition.target(X)
            ones = decomposition.masked(X, {"a": 1.0, "c": 1.0}, delta=1.0)
        except SplinelabError:
            return
    torch.testing.assert_close(output, plain)
    torch.testing.assert_close(inputs["a"], X)
    torch.testing.assert_close(ones, plain, rtol=1e-9, atol=1e-9)
