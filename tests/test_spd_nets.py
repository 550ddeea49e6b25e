"""Decompositions of nets as people write them: what is right, or a refusal that says why."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

from splinelab.errors import InputError, UnsupportedOperationError
from splinelab.mechanisms import Profiles
from splinelab.mechanisms.profiles import damage_of, profiles_of
from splinelab.recording.outputs import first_output
from splinelab.spd import Matrices, SparseFeatures, SPDRecipe, Stage, attach, decompose

pytestmark = pytest.mark.filterwarnings("ignore:.*(weight|spectral)_norm.*deprecated:FutureWarning")


class Net(nn.Module):
    """a: 6→10, b: 10→10, c: 10→3; `forward` is what each kind is about, `inputs` its layers' inputs."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Linear(6, 10), nn.Linear(10, 10), nn.Linear(10, 3)

    def forward(self, x):
        h = torch.relu(self.a(x))
        return self.c(h + torch.relu(self.b(h)))

    def inputs(self, x):
        """What each layer gets, by hand: nothing is written over."""
        h = F.relu(_linear(self.a, x))
        return {"a": x, "b": h, "c": h + F.relu(_linear(self.b, h))}


def _linear(layer, x):
    return x @ layer.weight.T + layer.bias


class Residual(Net):
    def forward(self, x):
        h = torch.relu(self.a(x))
        h += torch.relu(self.b(h))
        return self.c(h)


class WritesTheBatch(Net):
    def forward(self, x):
        x *= 2
        x.sub_(1)
        return super().forward(x)

    def inputs(self, x):
        return super().inputs(2 * x - 1)


class WritesTheLayersInput(Net):
    """The batch is the first layer's input, and is written over after it."""

    def forward(self, x):
        h = self.a(x).relu_()
        x.zero_()
        skip = h.clone()
        g = self.b(h).relu_()
        h.zero_()
        return self.c(skip.add_(g))


class WritesThroughData(Net):
    """In a way that counts no version."""

    def forward(self, x):
        h = torch.relu(self.a(x))
        g = torch.relu(self.b(h))
        s = h + g
        h.data.zero_()
        return self.c(s)


class WritesAView(Net):
    def forward(self, x):
        h = torch.relu(self.a(x))
        view = h.view(len(h), 2, 5)
        view += torch.relu(self.b(h)).view(len(h), 2, 5)
        return self.c(h)


class ReadsThenOverwrites(Net):
    """A norm keeps its input for the backward pass, and the net overwrites that."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(10)

    def forward(self, x):
        h = torch.relu(self.a(x))
        normed = self.norm(h)
        h += torch.relu(self.b(normed))
        return self.c(h)

    def inputs(self, x):
        h = F.relu(_linear(self.a, x))
        normed = self.norm(h)
        return {"a": x, "b": normed, "c": h + F.relu(_linear(self.b, normed))}


class ReusesMemory(Net):
    """Fills the same buffer in every pass, and returns it."""

    def __init__(self):
        super().__init__()
        self.buffer = None

    def forward(self, x):
        y = super().forward(x)
        if self.buffer is None or self.buffer.shape != y.shape:
            self.buffer = torch.empty_like(y)
        self.buffer = self.buffer.detach()
        self.buffer.copy_(y)
        return self.buffer


class Keywords(Net):
    def forward(self, x):
        h = torch.relu(self.a(input=x))
        return self.c(input=h + torch.relu(self.b(input=h)))


class Renamed(nn.Linear):
    def forward(self, hidden):
        return super().forward(hidden)


class SubclassedLayer(Net):
    def __init__(self):
        super().__init__()
        self.b = Renamed(10, 10)

    def forward(self, x):
        h = torch.relu(self.a(x))
        return self.c(h + torch.relu(self.b(hidden=h)))


class InTuple(Net):
    def forward(self, x):
        return super().forward(x), x.mean()


class InDict(Net):
    def forward(self, x):
        return {"loss": x.mean(), "hidden": self.a.bias, "logits": super().forward(x)}


class KeepsWhatItSaw(Net):
    def forward(self, x):
        self.last = torch.relu(self.a(x))
        return self.c(self.last + torch.relu(self.b(self.last)))


class InTraining(Net):
    def __init__(self):
        super().__init__()
        self.norm, self.drop = nn.BatchNorm1d(10), nn.Dropout(0.5)

    def forward(self, x):
        return super().forward(x) + 0 * self.drop(self.norm(x @ torch.ones(6, 10).to(x))).sum()


class ModeWithoutReturn(Net):
    def train(self, mode=True):
        nn.Module.train(self, mode)


class Tokens(Net):
    """Several positions a sample, flattened before one layer."""

    def forward(self, x):
        h = torch.relu(self.a(x.view(len(x), 1, 6).expand(-1, 4, -1).reshape(-1, 6))).view(len(x), 4, 10)
        return self.c((h + torch.relu(self.b(h))).mean(1))

    def inputs(self, x):
        x = x.repeat_interleave(4, 0)
        h = F.relu(_linear(self.a, x)).view(-1, 4, 10)
        return {"a": x, "b": h, "c": (h + F.relu(_linear(self.b, h))).mean(1)}


class Mixed(Net):
    """One layer in half precision; the net casts by itself."""

    def __init__(self):
        super().__init__()
        self.b.bfloat16()

    def forward(self, x):
        h = torch.relu(self.a(x))
        return self.c(h + torch.relu(self.b(h.bfloat16())).float())

    def inputs(self, x):
        h = F.relu(self.a(x))
        return {"a": x, "b": h.bfloat16(), "c": h + F.relu(self.b(h.bfloat16())).float()}


KINDS = [
    Net, Residual, WritesTheBatch, WritesTheLayersInput, WritesThroughData, WritesAView, ReadsThenOverwrites,
    ReusesMemory, Keywords, SubclassedLayer, InTuple, InDict, KeepsWhatItSaw, InTraining, ModeWithoutReturn,
    Tokens, Mixed,
]  # fmt: skip


def normed(how):
    """The plain net with the weights of b computed from others."""
    net = Net()
    net.b = how(net.b)
    return net


def pruned(layer):
    return prune.l1_unstructured(layer, "weight", 0.5)


NORMS = {
    "weight_norm": nn.utils.weight_norm,
    "spectral_norm": nn.utils.spectral_norm,
    "parametrised weight_norm": parametrizations.weight_norm,
    "parametrised spectral_norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "pruned": pruned,
}


def recipe(*names, steps=3, **stage):
    stage = {"layerwise": 1.0, "subset": 1.0, **stage}
    return SPDRecipe(
        SparseFeatures(6, 0.5, low=-1.0),
        tuple(Matrices(name, 7, 5, 1e-3) for name in names or "abc"),
        (Stage(steps, **stage),),
        batch=32,
        evaluations=2,
    )


def samples(dtype=torch.float32):
    return torch.randn(11, 6, generator=torch.Generator().manual_seed(1)).to(dtype)


def snapshot(net):
    """All that a user can find changed."""
    state = {name: value.clone() for name, value in net.state_dict().items()}
    modules = list(net.modules())
    flags = [module.training for module in modules], [w.requires_grad for w in net.parameters()]
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in modules]
    return state, flags, hooks, {name: id(weight) for name, weight in net.named_parameters()}


def check_unchanged(net, before):
    now = snapshot(net)
    assert now[1:] == before[1:] and now[0].keys() == before[0].keys()
    assert all(torch.equal(value, before[0][name]) for name, value in now[0].items())


def plain(net, x):
    """The net's output on a copy, in evaluation mode."""
    twin = net
    flags = [(module, module.training) for module in net.modules()]
    for module, _ in flags:
        module.training = False
    with torch.no_grad():
        output = first_output(twin(x.clone()), len(x)).clone()
    for module, flag in flags:
        module.training = flag
    return output


def check_decomposition(net, x, *, tolerance=1e-5):
    """Target, masked output, importances and two steps, against the net itself and its formula."""
    before, batch = snapshot(net), x.clone()
    found = attach(net, recipe(), 0)
    output, inputs = found.target(x)
    expected = plain(net, x)
    assert torch.equal(output, expected)
    with torch.no_grad():
        by_hand = Net.inputs(net, x) if type(net) is Net else net.inputs(x.clone())
        for name, values in by_hand.items():
            torch.testing.assert_close(inputs[name], values, rtol=tolerance, atol=tolerance)
        ones = {name: torch.ones(*inputs[name].shape[:-1], len(m)) for name, m in found.layers.items()}
        assert torch.equal(found.masked(x, ones, 1.0), expected)
        assert not torch.allclose(found.masked(x, ones, 0.0), expected)
        importances = found.importances(x)
        for name, values in found.raw_importances(by_hand).items():
            torch.testing.assert_close(importances[name], values.clamp(0, 1), rtol=10 * tolerance, atol=1e-3)
    assert torch.equal(x, batch)
    fit = decompose(net, recipe(), 0)
    assert all(torch.tensor(fit.history[name]).isfinite().all() for name in ("loss", "together", "subset"))
    moved = [
        (w - v).abs().max() > 0
        for w, v in zip(fit.decomposition.parameters(), found.parameters(), strict=True)
    ]
    assert sum(moved) == len([w for w in found.parameters() if w.requires_grad])
    check_unchanged(net, before)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_nets_as_people_write_them(kind):
    check_decomposition(kind(), samples())


@pytest.mark.parametrize("name", NORMS)
def test_weights_that_are_computed_from_others(name):
    net = normed(NORMS[name])
    net(samples())
    with torch.no_grad():  # since the last pass: what was computed then is stale
        for weight in net.b.parameters():
            weight.mul_(1.5)
    before = snapshot(net)
    found = attach(net, recipe(), 0)
    assert torch.equal(found.target(samples())[0], plain(net, samples()))
    with torch.no_grad():
        net.b.eval()
        weight = (net.b(torch.eye(10)) - net.b(torch.zeros(1, 10))).T
        net.b.train()
        matrix = found.layers["b"]
        torch.testing.assert_close(matrix.U, matrix.V @ weight.T * (10 / 7), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.deltas()["b"], weight - matrix.total, rtol=1e-4, atol=1e-5)
    ones = dict.fromkeys("abc", 1.0)
    torch.testing.assert_close(found.masked(samples(), ones, 1.0), plain(net, samples()), rtol=0, atol=0)
    assert decompose(net, recipe(), 0).history["loss"][-1] < 10
    check_unchanged(net, before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("kind", [Net, Residual, InTuple], ids=lambda kind: kind.__name__)
def test_any_floating_type(kind, dtype):
    tolerance = {torch.bfloat16: 3e-2, torch.float16: 3e-3, torch.float64: 1e-12}[dtype]
    check_decomposition(kind().to(dtype), samples(dtype), tolerance=tolerance)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_samples_of_another_type_are_cast(dtype):
    found = attach(Net().to(dtype), recipe(), 0)
    assert torch.equal(found.target(samples())[0], found.target(samples().to(dtype))[0])
    assert found.importances(samples())["a"].dtype == torch.promote_types(dtype, torch.float32)


def test_half_precision_finds_what_single_precision_finds():
    """Gradients neither vanish nor overflow: the steps of all types agree."""
    fits = {}
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        net = Net().to(torch.bfloat16).to(dtype)  # the same weights
        fits[dtype] = decompose(net, recipe(steps=150, faithfulness=10.0, lr=1e-2), 0).history
    first = fits[torch.float32]["together"]
    for history in fits.values():
        assert history["together"][-1] == pytest.approx(first[-1], rel=0.2)
        assert history["together"][-1] < 0.5 * first[0]


# --- refusals


class Twice(Net):
    def forward(self, x):
        return self.c(self.b(self.b(self.a(x))))


class Functional(Net):
    def forward(self, x):
        return self.c(F.linear(torch.relu(self.a(x)), self.b.weight, self.b.bias))


class AlsoFunctional(Net):
    def forward(self, x):
        h = torch.relu(self.a(x))
        return F.linear(h + self.b(h), self.a.weight.T)


class Embedded(Net):
    """A head tied with an embedding."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(3, 10)
        self.c.weight = self.table.weight

    def forward(self, x):
        h = torch.relu(self.a(x)) + self.table(x[:, :3].argmax(1))
        return self.c(h + self.b(h))


class Tied(Net):
    def __init__(self):
        super().__init__()
        self.c = nn.Linear(10, 10)
        self.c.weight = self.b.weight


class Scaled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


class OtherLayer(Net):
    def __init__(self):
        super().__init__()
        self.b = Scaled(10, 10)


class Hooked(Net):
    def __init__(self):
        super().__init__()
        self.b.register_forward_hook(lambda _, args, output: output + args[0])


class Random(Net):
    def forward(self, x):
        return F.dropout(super().forward(x), 0.5)


class Stateful(Net):
    state = 0

    def forward(self, x):
        self.state = self.state + super().forward(x)
        return self.state


class Attention(Net):
    def __init__(self):
        super().__init__()
        self.b = nn.MultiheadAttention(10, 2, batch_first=True)

    def forward(self, x):
        h = self.a(x)[:, None]
        return self.c((h + self.b(h, h, h)[0])[:, 0])


class Argmax(Net):
    def forward(self, x):
        return super().forward(x).argmax(1)


class Two(Net):
    def forward(self, x):
        return {"left": super().forward(x), "right": x}


@pytest.mark.parametrize(
    ("kind", "names", "message"),
    [
        (Twice, "abc", "'b' runs twice"),
        (Functional, "abc", r"b did not run on this input.*without calling"),
        (Functional, "b", "b did not run"),
        (AlsoFunctional, "ab", "uses the weight of a elsewhere too"),
        (Embedded, "abc", "uses the weight of c elsewhere too"),
        (Tied, "abc", r"'b' and 'c' share.*c\.weight = nn\.Parameter"),
        (OtherLayer, "abc", r"'b' \(Scaled\) does not compute x Wᵀ \+ b"),
        (Hooked, "abc", r"'b' \(Linear\) does not compute x Wᵀ \+ b"),
        (Random, "abc", "two different outputs for one batch"),
        (Stateful, "abc", "two different outputs for one batch"),
        (Attention, ("a", "b.out_proj", "c"), r"b\.out_proj did not run.*MultiheadAttention"),
        (Argmax, "abc", "returns torch.int64.*scores before argmax"),
        (Two, "abc", "several tensors with the"),
    ],
)
def test_what_is_refused(kind, names, message):
    net = kind()
    before = snapshot(net)
    with pytest.raises(InputError, match=message):
        decompose(net, recipe(*names), 0)
    check_unchanged(net, before)
    with pytest.raises(InputError, match=message):
        attach(net, recipe(*names), 0).importances(samples())
    with pytest.raises(InputError, match=message):
        attach(net, recipe(*names), 0).masked(samples(), dict.fromkeys(names, 1.0), 1.0)


class Detached(Net):
    def forward(self, x):
        h = torch.relu(self.a(x)).detach()
        return self.c(h + self.b(h))


class NoGradient(Net):
    @torch.no_grad()
    def forward(self, x):
        return super().forward(x)


class WritesAChunk(Net):
    """Allowed without gradients only."""

    def forward(self, x):
        left, right = self.b(self.a(x)).chunk(2, dim=1)
        left.relu_()
        return self.c(torch.cat([left, right], 1))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Detached, "no gradient comes from the net's output to a "),
        (NoGradient, "torch finds no gradient through the net"),
        (WritesAChunk, "torch finds no gradient through the net .*modified inplace"),
    ],
)
def test_what_has_no_gradient_is_not_trained_but_can_be_read(kind, message):
    with pytest.raises(InputError, match=message):
        decompose(kind(), recipe(), 0)
    found = attach(kind(), recipe(), 0)
    with torch.no_grad():
        assert torch.equal(found.masked(samples(), dict.fromkeys("abc", 1.0), 1.0), plain(kind(), samples()))
    assert found.importances(samples())["b"].shape == (11, 7)


def compiled():
    net = Net()
    net.b = torch.compile(net.b)
    return net


def in_place_compiled():
    net = Net()
    net.b.compile()
    return net


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Sequential(nn.LazyLinear(3)), InputError, "lazy layer"),
        (lambda: nn.Linear(6, 3, device="meta"), InputError, "meta device"),
        (lambda: nn.Sequential(nn.Linear(6, 3, dtype=torch.complex64)), InputError, "complex64"),
        (lambda: lambda x: x, InputError, "of type function"),
        (compiled, UnsupportedOperationError, "'b' is compiled"),
        (in_place_compiled, UnsupportedOperationError, "'b' is compiled"),
        (
            lambda: torch.jit.script(nn.Linear(6, 3)),
            UnsupportedOperationError,
            "the net is compiled or scripted",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_what_cannot_be_attached_to(make, error, message):
    with pytest.raises(error, match=message):
        attach(make(), recipe("*"), 0)


@pytest.mark.parametrize("x", [None, [samples()], torch.tensor(1.0), torch.zeros(0, 6)])
def test_what_are_no_samples(x):
    with pytest.raises(InputError, match="the samples are a"):
        attach(Net(), recipe(), 0).target(x)


# --- more of the same kinds


def test_gradients_by_hand_where_the_net_overwrites_what_autograd_keeps():
    """The masked output's slope in U and V is that of the same net written without in-place operations."""
    slopes = []
    for kind in (Residual, Net):
        found = attach(kind().double(), recipe(), 0)
        x, masks = samples(torch.float64), dict.fromkeys("abc", torch.full((7,), 0.3, dtype=torch.float64))
        found.masked(x, masks, 0.6).square().sum().backward()
        slopes.append([weight.grad for m in found.layers.values() for weight in (m.U, m.V)])
    for mine, expected in zip(*slopes, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-12)


def test_two_masked_outputs_do_not_share_memory():
    found = attach(ReusesMemory(), recipe(), 0)
    with torch.no_grad():
        first = found.masked(samples(), dict.fromkeys("abc", 1.0), 1.0)
        kept = first.clone()
        found.masked(samples(), dict.fromkeys("abc", 0.0))
    assert torch.equal(first, kept)


def test_masks_of_bools_and_other_types():
    found = attach(Net(), recipe(), 0)
    alive = found.alive(samples(), 0.01)
    numbers = {name: value.float() for name, value in alive.items()}
    with torch.no_grad():
        expected = found.masked(samples(), numbers)
        assert torch.equal(found.masked(samples(), alive), expected)
        doubles = {name: value.double() for name, value in alive.items()}
        assert torch.equal(found.masked(samples(), doubles), expected)


def test_the_net_stays_in_evaluation_mode():
    found = attach(InTraining().train(), recipe(), 0).train()
    assert found.training and not any(module.training for module in found.net.modules())
    assert torch.equal(found.target(samples())[0], found.target(samples())[0])


def test_under_inference_mode_and_without_gradients():
    expected = attach(Residual(), recipe(), 0).importances(samples())
    with torch.inference_mode():
        found = attach(Residual(), recipe(), 0)
        got = found.importances(samples())
    assert all(torch.equal(got[name], value) for name, value in expected.items())
    found.masked(samples(), dict.fromkeys("abc", 0.5)).sum().backward()
    with torch.no_grad():
        fit = decompose(Residual(), recipe(), 0)
    assert fit.losses == decompose(Residual(), recipe(), 0).losses


def test_a_stage_that_reassigns_copies_nets_that_keep_what_they_saw():
    stages = (Stage(2, local=1.0, importance=0.0), Stage(2, local=1.0, reassign=True))
    base = recipe("a")
    matrices = (Matrices("a", 7, 5, 1e-3, local=1.0),)
    net = KeepsWhatItSaw()
    net(samples())
    for dtype in (torch.float32, torch.bfloat16):
        fit = decompose(copy_of(net).to(dtype), base.replace(matrices=matrices, stages=stages), 0)
        assert len(fit.reassigned) == 1


def copy_of(net):
    """As it is without what a pass left in it."""
    vars(net).pop("last", None)
    return copy.deepcopy(net)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_mechanisms_of_such_nets(dtype):
    """Profiles and damage: inputs of another type, batches with labels, and outputs in tuples or dicts."""
    for kind in (WritesTheBatch, InTuple, InDict):
        net = kind().to(dtype).eval()
        found = attach(net, recipe(), 0)
        x, kept = samples(torch.float64), samples(torch.float64)
        profiles = profiles_of(found, [(x, None), x.numpy()])
        expected = [value.double().numpy() for value in found.importances(x).values()]
        assert np.allclose(profiles.values.toarray()[:11], np.concatenate(expected, 1), atol=1e-6)
        assert np.array_equal(profiles.values.toarray()[:11], profiles.values.toarray()[11:])
        harm = damage_of(found, net, profiles, rest=True)(np.ones(21, bool), x.numpy())
        assert harm.shape == (11, 3) and np.array_equal(harm, np.zeros((11, 3)))
        assert torch.equal(x, kept)


def test_half_precision_profiles():
    values = torch.tensor([[0.5, 0.0], [0.25, 1.0]])
    for given in (values.bfloat16(), values.half(), values.clone().requires_grad_(), values.half().numpy()):
        assert np.array_equal(Profiles(given).values.toarray(), values)
        assert np.array_equal(Profiles.from_batches([{"a": given}]).values.toarray(), values)
