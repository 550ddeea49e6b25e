"""record() against slow, independent references: forward hooks and forward passes written by hand."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.spatial.distance import cdist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import splinelab
from splinelab.errors import InputError, UnsupportedOperationError, VerificationError
from splinelab.recording import Activations, Recording, operations, record
from splinelab.recording.arrays import pack_on_device
from splinelab.recording.rules import RULES


def seeded(net, seed=0):
    """Weights and batch-norm statistics from a seed, so that no unit is trivially on or off."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=generator) * 0.4
            tensor.copy_(noise.abs() + 0.5 if name.endswith("running_var") else noise)
    return net.eval()


def inputs(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def plain(net, x, batch_size=512):
    """The model's own output in evaluation mode, nothing watching."""
    copied = copy.deepcopy(net).eval()
    return torch.cat([copied(batch.clone()) for batch in x.split(batch_size)]).flatten(1).float().numpy()


@torch.no_grad()
def hooked(net, x, kind=nn.ReLU):
    """Pre-activations by forward hooks: right only for modules that are used once and not in place."""
    found, handles = {}, []
    for path, module in net.named_modules():
        if isinstance(module, kind):
            handles.append(
                module.register_forward_pre_hook(
                    lambda _, args, path=path: found.update({path: args[0].flatten(1).numpy().copy()})
                )
            )
    net(x)
    for handle in handles:
        handle.remove()
    return found


def assert_records(recording, pre, post=None):
    """The recording holds exactly these pre-activations, in this order, and the codes that follow."""
    assert list(recording.codes.layers) == list(recording.pre) == list(recording.post) == list(pre)
    for name, values in pre.items():
        values = values.flatten(1).numpy() if torch.is_tensor(values) else values
        assert np.array_equal(recording.pre[name], values.astype(np.float32))
        assert np.array_equal(recording.codes.select(name).bits(), values > 0)
        expected = np.maximum(values, 0) if post is None else post[name].flatten(1).numpy()
        assert np.array_equal(recording.post[name], expected.astype(np.float32))


def mlp(dtype=torch.float32):
    layers = [nn.Flatten(), nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 5), nn.ReLU(), nn.Linear(5, 3)]
    return seeded(nn.Sequential(*layers)).to(dtype)


def cnn():
    block = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 2), nn.ReLU()]
    return seeded(nn.Sequential(*block, nn.Flatten(), nn.Linear(24, 10)))


class Residual(nn.Module):
    """Batch norm, one in-place ReLU used twice, and a branch that goes round it."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 3, 3, padding=1)
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(3, 4)

    def forward(self, x):
        stem = self.act(self.stem(x))
        return self.head(self.act(self.norm(self.conv(stem)) + stem).mean((2, 3)))

    def by_hand(self, x):
        first = self.stem(x)
        second = self.norm(self.conv(first.clamp(min=0))) + first.clamp(min=0)
        return {"act": first, "act#2": second}


class EveryForm(nn.Module):
    """Every way to write a ReLU, each in place where it can be, on one reused linear map."""

    FORMS = (
        ("inplace", lambda self, z: self.inplace(z)),
        ("module", lambda self, z: self.module(z)),
        ("inplace#2", lambda self, z: self.inplace(z)),
        ("relu", lambda self, z: F.relu(z)),
        ("relu#2", lambda self, z: F.relu(z, inplace=True)),
        ("relu#3", lambda self, z: F.relu_(z)),
        ("relu#4", lambda self, z: torch.relu(z)),
        ("relu#5", lambda self, z: torch.relu_(z)),
        ("relu#6", lambda self, z: z.relu()),
        ("relu#7", lambda self, z: z.relu_()),
        ("relu#8", lambda self, z: torch.ops.aten.relu(z)),
        ("relu#9", lambda self, z: torch.ops.aten.relu_.default(z)),
        ("clamp", lambda self, z: z.clamp(min=0)),
        ("clamp#2", lambda self, z: z.clamp_(0)),
        ("clamp#3", lambda self, z: torch.clamp(z, min=0)),
        ("clip", lambda self, z: torch.clip(z, 0)),
        ("clamp#4", lambda self, z: z.clamp(min=torch.zeros(()))),
        ("clamp_min", lambda self, z: z.clamp_min(0)),
        ("clamp_min#2", lambda self, z: torch.clamp_min_(z, 0)),
        ("maximum", lambda self, z: torch.maximum(z, torch.zeros(()))),
        ("maximum#2", lambda self, z: torch.maximum(torch.zeros(()), z)),
        ("max", lambda self, z: torch.max(z, torch.zeros_like(z))),
        ("fmax", lambda self, z: z.fmax(torch.zeros(1))),
        ("threshold", lambda self, z: F.threshold(z, 0, 0)),
        ("threshold#2", lambda self, z: torch.threshold_(z, 0, 0)),
        ("block.act", lambda self, z: self.block.act(z)),
        ("block.relu", lambda self, z: self.block(z)),
    )

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, z):
            return F.relu(z)

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 6)
        self.inplace, self.module, self.block = nn.ReLU(inplace=True), nn.ReLU(), self.Block()

    def forward(self, x):
        for _, form in self.FORMS:
            x = form(self, self.linear(x))
        return x

    def by_hand(self, x):
        pre = {}
        for name, _ in self.FORMS:
            pre[name] = self.linear(x)
            x = pre[name] * (pre[name] > 0)
        return pre


class Apply(nn.Module):
    """One linear map, then whatever a test wants to apply."""

    def __init__(self, function):
        super().__init__()
        self.linear, self.function = seeded(nn.Linear(6, 6)), function

    def forward(self, x):
        return self.function(self.linear(x))


# What is recorded


@pytest.mark.parametrize("batch_size", [1, 4, 7, 20, 21, 512])
def test_modules_as_forward_hooks_see_them(batch_size):
    net, x = mlp(), inputs(20, 3, 4)
    recording = record(net, x, batch_size=batch_size)
    reference = hooked(net, x)
    assert list(recording.pre) == list(reference) == ["2", "4"]
    for name, values in reference.items():
        # Other batch sizes round differently in the last digit; the bits may differ only there.
        np.testing.assert_allclose(recording.pre[name], values, rtol=1e-5, atol=1e-6)
        assert np.array_equal(recording.codes.select(name).bits(), recording.pre[name] > 0)
    assert np.array_equal(recording.output, plain(net, x, batch_size))


def test_a_cnn_as_forward_hooks_see_it():
    net, x = cnn(), inputs(9, 1, 8, 8)
    recording = record(net, x)
    assert_records(recording, hooked(net, x))
    assert np.array_equal(recording.output, plain(net, x))


@pytest.mark.parametrize("make", [Residual, EveryForm])
def test_in_place_reused_functional_and_method_calls_by_hand(make):
    net, x = seeded(make()), inputs(11, 1, 5, 5) if make is Residual else inputs(11, 6)
    recording = record(net, x)
    with torch.no_grad():
        pre = net.by_hand(x)
    assert_records(recording, pre)
    assert np.array_equal(recording.output, plain(net, x))
    assert 0.02 < recording.codes.bits().mean() < 0.98


def test_a_channels_last_net_has_the_same_order_of_units():
    net, x = cnn().to(memory_format=torch.channels_last), inputs(9, 1, 8, 8)
    assert_records(record(net, x), hooked(net, x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(dtype):
    net, x = mlp(dtype), inputs(10, 12)
    recording = record(net, x)
    assert recording.stack("pre").dtype == recording.output.dtype == np.float32
    with torch.no_grad():
        first = net[1](x.to(dtype))
        second = net[3](first.relu())
    for name, values in (("2", first), ("4", second)):
        assert np.array_equal(recording.codes.select(name).bits(), values > 0)
        assert np.array_equal(recording.pre[name], values.float().numpy())


@pytest.mark.parametrize("norm_first", [True, False])
def test_transformer_layers_do_not_take_the_fused_path(norm_first):
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=norm_first)
    net = seeded(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))
    x = inputs(7, 5, 8)
    recording = record(net, x)
    # The linear maps' outputs are the pre-activations; gradients keep the plain model off the fused path.
    found, handles = {}, []
    for i, block in enumerate(net.layers):
        handles.append(
            block.linear1.register_forward_hook(
                lambda *call, i=i: found.update({f"layers.{i}.relu": call[2].detach().clone()})
            )
        )
    output = net(x.requires_grad_())
    assert_records(recording, found)
    assert np.array_equal(recording.output, output.detach().flatten(1).numpy())


@pytest.mark.parametrize(
    ("function", "thresholds"),
    [
        (nn.LeakyReLU(0.2, inplace=True), (0,)),
        (nn.PReLU(), (0,)),
        (nn.RReLU(inplace=True), (0,)),
        (torch.abs, (0,)),
        (nn.ReLU6(inplace=True), (0, 6)),
        (F.relu6, (0, 6)),
        (nn.Hardtanh(), (-1, 1)),
        (nn.Hardtanh(-0.5, 0.7, inplace=True), (-0.5, 0.7)),
        (nn.Hardsigmoid(), (-3, 3)),
        (nn.Threshold(0.3, 0.3), (0.3,)),
        (nn.Hardshrink(0.4), (-0.4, 0.4)),
        (nn.Softshrink(0.4), (-0.4, 0.4)),
        (lambda z: z.clamp(-0.2, 0.3), (-0.2, 0.3)),
        (lambda z: z.clamp_(max=0.3), (0.3,)),
        (lambda z: torch.minimum(z, torch.full((6,), 0.1)), (0.1,)),
    ],
)
def test_every_threshold_gives_a_block_of_bits(function, thresholds):
    net, x = Apply(function).train(), 3 * inputs(12, 6)
    recording = record(net, x)
    with torch.no_grad():
        z = net.linear(x)
        after = copy.deepcopy(net).eval().function(z.clone())
    expected = np.concatenate([(z > threshold).numpy() for threshold in thresholds], axis=1)
    (name,) = recording.codes.layers
    assert np.array_equal(recording.codes.bits(), expected)
    assert np.array_equal(recording.pre[name], z.numpy())
    assert np.array_equal(recording.post[name], after.numpy()) and np.array_equal(recording.output, after)


def test_maximum_of_two_activations_is_coded_where_they_cross():
    net, x = Apply(lambda z: torch.maximum(z[:, :3], z[:, 3:])), inputs(8, 6)
    with torch.no_grad():
        z = net.linear(x)
    assert np.array_equal(record(net, x).codes.bits(), (z[:, :3] > z[:, 3:]).numpy())


def test_what_switches_in_the_table_has_a_rule_and_the_other_way_round():
    assert set(RULES) == operations.SWITCHES
    passing = operations.STRUCTURE | operations.AFFINE | operations.SUMS | operations.PRODUCTS
    assert not passing & (operations.SWITCHES | operations.SMOOTH | operations.RANDOM)


def test_zero_is_off():
    recording = record(nn.ReLU(), torch.tensor([[-1.0, -0.0, 0.0, 1e-30]]))
    assert recording.codes.bits().tolist() == [[0, 0, 0, 1]]


# Max-pooling


def pool_reference(x, size, stride, padding, dilation):
    """One-hot place of each window's maximum, window by window."""
    padded = F.pad(x, (padding,) * 4, value=-torch.inf).numpy()
    reach = dilation * (size - 1) + 1
    bits = []
    for row in range(0, padded.shape[2] - reach + 1, stride):
        for column in range(0, padded.shape[3] - reach + 1, stride):
            window = padded[:, :, row : row + reach : dilation, column : column + reach : dilation]
            bits.append(np.eye(size * size)[window.reshape(*window.shape[:2], -1).argmax(-1)])
    return np.stack(bits, axis=2).reshape(len(x), -1)  # samples × channels · windows · places


@pytest.mark.parametrize("geometry", [(2, 2, 0, 1), (3, 2, 1, 1), (2, 1, 0, 3), (3, 3, 1, 2)])
@pytest.mark.parametrize("functional", [False, True])
def test_max_pooling_is_coded_by_its_argmax_on_request(geometry, functional):
    size, stride, padding, dilation = geometry
    pool = nn.MaxPool2d(size, stride, padding, dilation)
    net = nn.Sequential(nn.ReLU(), Apply(None) if functional else pool)
    if functional:
        net[1].forward = lambda z: F.max_pool2d(z, size, stride=stride, padding=padding, dilation=dilation)
    x = inputs(4, 2, 9, 8) + 5  # positive, so that no two maxima tie
    recording = record(net, x, pools=True)
    name = "1.max_pool2d" if functional else "1"
    assert list(recording.codes.layers) == ["0", name] and list(recording.pre) == ["0"]
    assert np.array_equal(recording.codes.select(name).bits(), pool_reference(x, *geometry))
    assert list(record(net, x).codes.layers) == ["0"]
    assert np.array_equal(recording.output, plain(net, x))


class Winner(nn.Module):
    """Where each maximum was goes on, as a number."""

    def __init__(self, use):
        super().__init__()
        self.lin, self.use = nn.Linear(6, 8), use

    def forward(self, x):
        h = F.relu(self.lin(x)).unsqueeze(1)
        y, place = F.max_pool1d(h, 2, return_indices=True)
        return self.use(h, y, place).flatten(1)


def test_where_a_maximum_was_is_refused_but_for_unpooling():
    x = inputs(5, 6)
    for use in (
        lambda h, y, place: y + place.to(y.dtype),
        lambda h, y, place: y * place,
        lambda h, y, place: h.gather(2, place),
    ):
        with pytest.raises(UnsupportedOperationError, match=r"uses where the maximum of \w*max_pool1d"):
            record(Winner(use), x)
    net = Winner(lambda h, y, place: F.max_unpool1d(y, place, 2))
    assert list(record(net, x).codes.layers) == ["relu"]


def test_pooling_over_one_and_three_dimensions():
    for pool, x in ((nn.MaxPool1d(2), inputs(3, 2, 6)), (nn.MaxPool3d(2), inputs(3, 2, 4, 4, 6))):
        recording = record(pool, x, pools=True)
        (name,) = recording.codes.layers
        places = 2 ** (x.ndim - 2)
        assert recording.codes.layers == {name: recording.output.shape[1] * places}
        assert (recording.codes.bits().reshape(-1, places).sum(axis=1) == 1).all()
    x = torch.tensor([[[[[0.0, 1], [2, 3]], [[4, 9], [6, 7]]]]])  # the maximum at (1, 0, 1): place 5
    assert record(nn.MaxPool3d(2), x, pools=True).codes.bits().tolist() == [[0, 0, 0, 0, 0, 1, 0, 0]]


@pytest.mark.parametrize(
    "pool", [nn.AdaptiveMaxPool2d(2), lambda z: z.amax((2, 3)), lambda z: z.max(dim=2)[0]]
)
def test_pooling_without_a_rule_is_refused_only_when_pools_are_wanted(pool):
    class Net(nn.Module):
        def forward(self, x):
            return pool(F.relu(x))

    x = inputs(3, 2, 5, 5)
    assert list(record(Net(), x).codes.layers) == ["relu"]
    with pytest.raises(UnsupportedOperationError, match="No rule codes the pooling"):
        record(Net(), x, pools=True)


# Names, inputs, results


def test_inputs_of_every_kind_give_the_same_recording():
    net, x = mlp(), inputs(10, 3, 4)
    expected = record(net, x, batch_size=4)

    class Images:
        images = x.numpy()

    dataset = TensorDataset(x, torch.arange(10))
    for same in (
        x.numpy(),
        x.double().numpy(),
        Images(),
        dataset,
        DataLoader(dataset, batch_size=4),
        list(x.split(4)),
        (batch.numpy() for batch in x.split(4)),
        x.clone().requires_grad_(),
    ):
        recording = record(net, same, batch_size=4)
        assert recording.codes == expected.codes
        assert np.array_equal(recording.stack("pre", output=True), expected.stack("pre", output=True))
        assert np.array_equal(recording.stack("post"), expected.stack("post"))


def test_results_do_not_depend_on_packing_across_batches():
    net = seeded(nn.Sequential(nn.Linear(6, 3), nn.ReLU(), nn.Linear(3, 5), nn.ReLU()))  # not whole bytes
    x = inputs(33, 6)
    one = record(net, x[:1])
    assert len(one) == 1 and one.codes.bits().shape == (1, 8)
    for batch_size in (1, 10, 33):
        recording = record(net, x, batch_size=batch_size)
        assert np.array_equal(recording.codes.bits(), recording.stack("pre") > 0)


def test_recordings_are_cut_by_sample_and_layer():
    recording = record(mlp(), inputs(10, 12))
    rows = [3, 1, 7]
    part = recording[rows]
    assert isinstance(part, Recording) and len(part) == 3
    assert part.codes == recording.codes[rows]
    assert np.array_equal(part.stack("post", output=True), recording.stack("post", output=True)[rows])
    assert len(recording[-1]) == 1 and np.array_equal(recording[-1].output, recording.output[9:])
    layer = recording.select("4")
    assert list(layer.codes.layers) == list(layer.pre) == ["4"]
    assert np.array_equal(layer.stack("pre"), recording.pre["4"])
    assert recording.stack("pre", output=True).shape == (10, 9 + 5 + 3)
    assert "10 samples × 14 units" in repr(recording) and "2: 10 × 9" in repr(recording.pre)
    with pytest.raises(InputError, match=r'"pre".*"post"'):
        recording.stack("codes")
    with pytest.raises(InputError, match=r"No activations of layer 'x'.*\['2', '4'\]"):
        recording.pre["x"]


def test_codes_alone():
    net, x = mlp(), inputs(10, 12)
    recording = record(net, x, activations=False)
    full = record(net, x)
    assert recording.codes == full.codes and np.array_equal(recording.output, full.output)
    assert recording.pre == recording.post == Activations() and "no activations" in repr(recording)
    assert len(recording.select("2")[:4]) == 4
    with pytest.raises(InputError, match="activations=True"):
        recording.stack("pre")
    with pytest.raises(InputError, match="activations=False"):
        recording.pre["2"]


def test_ignored_operations_layers_and_modules():
    net, x = seeded(EveryForm()), inputs(5, 6)
    names = [name for name, _ in EveryForm.FORMS]

    def left(ignore):
        return list(record(net, x, ignore=ignore).codes.layers)

    assert left("relu#3") == [name for name in names if name != "relu#3"]  # the other names stay
    assert left(("block",)) == [name for name in names if not name.startswith("block")]
    assert left(["clamp", "module"]) == [n for n in names if n.split("#")[0] not in ("clamp", "module")]
    gelu = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.GELU(), nn.Linear(6, 2), nn.Softmax(-1))
    assert left(()) == names
    assert list(record(gelu, x, ignore=("gelu", "4")).codes.layers) == ["1"]


# The model stays as it was


def test_the_model_and_the_random_state_stay_as_they_were():
    class Random(nn.Sequential):
        def forward(self, x):
            torch.rand(())  # moves torch's random state and decides nothing
            return super().forward(x)

    net = Random(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.RReLU())
    net.train()
    net[1].eval()  # flags that differ must come back one by one
    calls = []
    net[2].register_forward_hook(lambda *call: calls.append(call[0]))
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    flags = [module.training for module in net.modules()]
    attributes = {path: set(vars(module)) for path, module in net.named_modules()}
    x = inputs(8, 6)
    kept = x.clone()
    state = torch.get_rng_state()
    loader = DataLoader(TensorDataset(x), batch_size=4, shuffle=True)
    record(net, loader, ignore="rand")
    assert torch.equal(torch.get_rng_state(), state)
    assert len(calls) == 4  # the model's own hooks ran, in two batches and for the check
    assert flags == [module.training for module in net.modules()]
    assert attributes == {path: set(vars(module)) for path, module in net.named_modules()}
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in net.parameters())
    assert torch.equal(x, kept)
    assert not torch.nn.modules.module._global_forward_hooks
    assert not torch.nn.modules.module._global_forward_pre_hooks


def test_an_in_place_first_layer_does_not_write_into_the_inputs():
    x = inputs(8, 6)
    for given in (x.clone(), x.numpy().copy()):
        record(nn.ReLU(inplace=True), given)
        assert np.array_equal(given, x)


def test_an_error_in_the_model_leaves_nothing_behind():
    net = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(5, 5)).train()
    with pytest.raises(RuntimeError, match="shapes"):
        record(net, inputs(4, 6))
    assert net.training and not torch.nn.modules.module._global_forward_hooks
    assert F.relu(torch.ones(1)) == 1  # no mode is left on


def test_a_caught_error_keeps_the_names_right():
    class Fails(nn.Module):
        def forward(self, x):
            raise ValueError

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fails = Fails()

        def forward(self, x):
            try:
                self.fails(x)
            except ValueError:
                return F.relu(x)

    assert list(record(Net(), inputs(3, 2)).codes.layers) == ["relu"]


# What is refused


LSTM = nn.LSTM(6, 2)


class HandGelu(nn.Module):
    def forward(self, x):
        return F.relu(x) * 0.5 * (1 + torch.erf(x))


@pytest.mark.parametrize(
    ("function", "op"),
    [
        (nn.GELU(), "gelu"),
        (nn.SiLU(), "silu"),
        (nn.SiLU(inplace=True), "silu"),
        (nn.Mish(), "mish"),
        (nn.Tanh(), "tanh"),
        (torch.tanh_, "tanh"),
        (lambda z: z.tanh(), "tanh"),
        (nn.Sigmoid(), "sigmoid"),
        (torch.special.expit, "special_expit"),
        (nn.LogSigmoid(), "log_sigmoid"),
        (nn.Softplus(), "softplus"),
        (nn.Softsign(), "softsign"),
        (nn.Tanhshrink(), "tanhshrink"),
        (nn.ELU(), "elu"),
        (nn.CELU(), "celu"),
        (nn.SELU(), "selu"),
        (nn.GLU(), "glu"),
        (nn.Hardswish(), "hardswish"),
        (nn.Softmax(-1), "softmax"),
        (nn.Softmin(-1), "softmin"),
        (nn.LogSoftmax(-1), "log_softmax"),
        (lambda z: z.softmax(-1), "softmax"),
        (lambda z: LSTM(z[None])[0][0], "lstm"),
        (nn.RNNCell(6, 2, nonlinearity="relu"), "rnn_relu_cell"),
        (lambda z: z * (z > 0), "gt"),
        (lambda z: torch.where(z >= 0, z, 0), "ge"),
        (HandGelu(), "erf"),
        (torch.sin, "sin"),
        (torch.sign, "sign"),
        (F.dropout, "dropout"),
        (lambda z: F.rrelu(z, training=True), "rrelu"),
    ],
)
def test_a_nonlinearity_without_a_rule_is_refused_by_name_place_and_way_out(function, op):
    net = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), Apply(function))
    with pytest.raises(UnsupportedOperationError) as error:
        record(net, inputs(4, 6))
    place = "2.function" if isinstance(function, nn.Module) else "2"
    assert op in str(error.value) and f"ignore=('{op}',)" in str(error.value)
    assert f"module '{place}" in str(error.value)
    assert list(record(net, inputs(4, 6), ignore=("2",)).codes.layers) == ["1"]


def test_masks_positions_and_weights_are_not_activations():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale, self.limit = nn.Parameter(torch.ones(6)), nn.Parameter(torch.ones(3, 6))
            self.embed = nn.Embedding(9, 6)

        def forward(self, tokens):
            position = torch.sin(torch.arange(6.0)) + torch.exp(self.scale.clamp(min=0.5))
            known = self.embed(tokens.clamp(max=8)) * (tokens > 0)[..., None] * F.softplus(self.limit)[0]
            return F.relu(known + position)

    recording = record(Net(), torch.randint(0, 9, (3, 4)))
    assert recording.codes.layers == {"relu": 24}


def test_scripted_traced_and_compiled_modules_are_refused():
    net, x = mlp(), inputs(4, 12)
    with_part = nn.Sequential(nn.ReLU(), nn.Sequential(torch.jit.script(nn.ReLU())))
    for scripted, where in (
        (torch.jit.script(net), "The model"),
        (torch.jit.trace(net, x), "The model"),
        (with_part, "'1.0'"),
    ):
        with pytest.raises(UnsupportedOperationError, match=rf"{where} is scripted or traced"):
            record(scripted, x)
    holder = nn.ReLU()
    holder.helper = torch.jit.script(F.relu)
    with pytest.raises(UnsupportedOperationError, match="scripted"):
        record(holder, x)
    with pytest.raises(UnsupportedOperationError, match="compiled"):
        record(torch.compile(net), x)
    compiled = nn.Sequential(mlp())
    compiled[0].compile()
    with pytest.raises(UnsupportedOperationError, match=r"'0' is compiled"):
        record(compiled, x)


@torch.jit.script
def scripted_relu(x):
    return torch.relu(x)


def test_what_runs_out_of_sight_is_refused():
    net = Apply(lambda z: F.relu(z) + scripted_relu(z))
    with pytest.raises(
        UnsupportedOperationError, match=r"relu runs in the model's own forward where no func"
    ):
        record(net, inputs(4, 6))


@pytest.mark.parametrize("size", [2, 3, 4, 9])
@pytest.mark.parametrize(
    "function",
    [
        lambda z: z - z.mean(0),
        lambda z: z / z.std(0, keepdim=True).add(1),
        lambda z: z if len(z) > 2 else -z,
        lambda z: z + torch.arange(len(z))[:, None],
        lambda z: z.flip(0) if len(z) % 2 else z,
        lambda z: z * z.shape[0],
    ],
)
def test_codes_that_depend_on_the_batch_are_refused(function, size):
    net = nn.Sequential(Apply(function), nn.ReLU(), nn.Linear(6, 2))
    with pytest.raises(
        (UnsupportedOperationError, InputError), match=r"other samples of the batch|size of the batch"
    ):
        record(net, 3 * inputs(size, 6))


def test_a_layer_that_only_large_batches_have_is_named():
    net = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), Apply(lambda z: torch.relu(z - 1) if len(z) > 5 else z))
    with pytest.raises(
        UnsupportedOperationError, match=r"layers are {'1': 6} instead of {'1': 6, '2.relu': 6}"
    ):
        record(net, inputs(9, 6))


def test_statistics_of_the_batch_are_refused_by_name():
    net = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6, track_running_stats=False), nn.ReLU())
    with pytest.raises(UnsupportedOperationError, match=r"batch_norm uses the statistics.*module '1'"):
        record(net, inputs(8, 6))


def test_attention_that_drops_at_random_is_refused_by_name():
    class Net(nn.Module):
        def __init__(self, share):
            super().__init__()
            self.share = share

        def forward(self, x):
            h = F.relu(x).unflatten(1, (2, 3))
            return F.scaled_dot_product_attention(h, h, h, dropout_p=self.share).flatten(1)

    with pytest.raises(UnsupportedOperationError, match="drops attention at random: pass dropout_p=0"):
        record(Net(0.1), inputs(8, 6))
    assert list(record(Net(0.0), inputs(8, 6)).codes.layers) == ["relu"]


def test_sampling_at_places_that_the_samples_choose_is_refused_by_name():
    class Net(nn.Module):
        def __init__(self, chosen):
            super().__init__()
            self.chosen, self.lin = chosen, nn.Linear(16, 18)
            self.register_buffer("grid", torch.rand(1, 3, 3, 2) - 0.5)

        def forward(self, x):
            h = F.relu(self.lin(x.flatten(1))).view(-1, 3, 3, 2)
            grid = h if self.chosen else self.grid.expand(len(x), -1, -1, -1)
            return F.grid_sample(x, grid, align_corners=True).flatten(1) + h.flatten(1)[:, :9]

    with pytest.raises(UnsupportedOperationError, match="grid_sample at places that depend on the samples"):
        record(Net(True), inputs(5, 1, 4, 4))
    assert list(record(Net(False), inputs(5, 1, 4, 4)).codes.layers) == ["relu"]


@pytest.mark.parametrize("square", [torch.square, lambda h: h**2, lambda h: h * h])
@pytest.mark.parametrize("use", [lambda z: F.relu(z - 1), lambda z: z.abs(), lambda z: z @ torch.ones(6, 2)])
def test_a_square_of_activations_may_reach_no_other_layer(square, use):
    net = nn.Sequential(nn.Linear(6, 6), Apply(lambda h: use(square(h))))
    with pytest.raises(
        UnsupportedOperationError, match=r"No rule gives a spline code for \w+ of activations"
    ):
        record(net, inputs(5, 6))


def test_a_state_between_calls_is_found():
    class Counts(nn.Module):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return F.relu(x) + self.calls

    with pytest.raises(VerificationError, match="from one call to the next"):
        record(Counts(), inputs(5, 3))


def test_random_numbers_are_refused_or_the_caller_s_own_risk():
    net = Apply(lambda z: F.relu(z) + torch.rand_like(z))
    with pytest.raises(UnsupportedOperationError, match=r"rand_like.*ignore=\('rand_like',\)"):
        record(net, inputs(5, 6))
    assert record(net, inputs(5, 6), ignore="rand_like").codes == record(Apply(F.relu), inputs(5, 6)).codes
    before = Apply(lambda z: F.relu(z + torch.rand_like(z)))
    with pytest.raises(UnsupportedOperationError, match="codes of the layers"):
        record(before, inputs(5, 6), ignore="rand_like")


def test_a_mask_s_lowest_number_is_no_threshold_in_either_precision():
    lowest = torch.finfo(torch.float32).min
    net = Apply(lambda z: torch.maximum(F.relu(z), torch.tensor(lowest)).clamp(max=-lowest))
    for dtype in (torch.float32, torch.float64):
        assert list(record(net.to(dtype), inputs(5, 6)).codes.layers) == ["relu"]


def test_ignore_names_something():
    net = mlp()
    for wrong, hint in (("nosuch", r"layers are \['2', '4'\]"), ("relu#2", "no operation, layer or module")):
        with pytest.raises(InputError, match=hint):
            record(net, inputs(4, 12), ignore=(wrong,))
    assert record(net, inputs(4, 12), ignore=("gelu", "1")).codes == record(net, inputs(4, 12)).codes


def test_a_storage_s_address_may_be_used_again():
    # What was freed must not make its successor at the same address depend on the samples.
    class Frees(nn.Module):
        def forward(self, x):
            for _ in range(50):
                y = F.leaky_relu(x.clone(), 1.0)
                del y
                assert torch.maximum(torch.zeros_like(x), torch.ones_like(x)).all()
            return F.relu(x)

    layers = record(Frees(), inputs(5, 3), ignore="leaky_relu").codes.layers
    assert layers == {"relu": 3}


def test_a_net_without_any_relu():
    with pytest.raises(InputError, match="no spline code"):
        record(nn.Linear(6, 2), inputs(4, 6))
    with pytest.raises(InputError, match=r"apart from what ignore=\('relu',\)"):
        record(mlp(), inputs(4, 12), ignore="relu")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.zeros(0, 12), "empty"),
        (np.zeros((0, 12)), "empty"),
        ([], "empty"),
        ([torch.zeros(0, 12)], "empty"),
        (torch.zeros(()), "single number"),
        ("images", "type str"),
        (None, "type NoneType"),
        ({"x": torch.zeros(2, 12)}, r"dict with 'x'.*forward takes input.*input='x'"),
        ([[1.0, 2.0]], "of type float"),
        (np.array([["a"]]), "array of <U1"),
        (np.zeros((2, 12), dtype=np.uint8), "images / 255"),
        (torch.full((2, 12), torch.nan), "inputs hold NaN, first in sample 0"),
        (torch.tensor([[0.0] * 12] * 5 + [[torch.inf] * 12]), "infinite values, first in sample 5"),
    ],
)
def test_bad_inputs(given, message):
    with pytest.raises(InputError, match=message):
        record(mlp(), given, batch_size=4)


def test_bad_models_and_batch_sizes():
    with pytest.raises(InputError, match=r"torch\.nn\.Module; got function"):
        record(lambda x: x, inputs(2, 12))
    for batch_size in (0, -1, 2.5):
        with pytest.raises(InputError, match="batch_size"):
            record(mlp(), inputs(2, 12), batch_size=batch_size)


@pytest.mark.parametrize(
    ("bad", "kind"), [(torch.nan, "NaN"), (torch.inf, "infinite"), (-torch.inf, "infinite")]
)
def test_activations_that_are_not_finite_name_their_layer_and_sample(bad, kind):
    net, x = mlp(), inputs(10, 12)
    x[7, 0] = 1e4

    def spoil(module, args, output):
        return torch.where(args[0][:, :1] > 5e2, bad, output)

    net[3].register_forward_hook(spoil)
    with torch.no_grad():
        net[1].weight[:, 0] = 1
    with pytest.raises(InputError, match=rf"Layer '4' received {kind}.*first in sample 7"):
        record(net, x, batch_size=4, ignore=("gt",))
    with torch.no_grad():
        net[5].bias[0] = torch.nan
    net[3]._forward_hooks.clear()
    with pytest.raises(InputError, match="output holds NaN, first in sample 0"):
        record(net, x)


def test_large_values_whose_sum_overflows_are_finite():
    assert len(record(nn.ReLU(), torch.full((2, 50), 3e38))) == 2
    assert len(record(nn.ReLU(), torch.full((2, 50), 6e4, dtype=torch.float16))) == 2


class ByContent(nn.Module):
    """Layers that depend on the inputs."""

    def forward(self, x):
        x = F.relu(x)
        if x.max() == 2:
            x = F.relu(x)
        return F.relu(x[:, :2]) if x.max() == 3 else x


@pytest.mark.parametrize(
    ("batches", "what"),
    [((1, 2), "called 'relu#2'"), ((2, 1), "did not call 'relu#2'"), ((2, 3), "called 'relu' with 4 bits")],
)
def test_layers_that_differ_between_batches_are_refused(batches, what):
    x = torch.cat([torch.full((3, 2), float(value)) for value in batches])
    with pytest.raises(InputError, match=f"same in every batch.*from sample 3 on {what}"):
        given = x if 3 not in batches else [x[:3], torch.full((3, 4), 3.0)]
        record(ByContent(), given, batch_size=3, ignore=("eq", "max"))


def test_samples_must_come_first():
    class SequenceFirst(nn.Module):
        def forward(self, x):
            return F.relu(x.transpose(0, 1)).transpose(0, 1)

    with pytest.raises(
        InputError, match=r"first axis must be the samples.*\(5, 3\) for a batch of 3.*ignore="
    ):
        record(SequenceFirst(), inputs(3, 5))


@pytest.mark.parametrize(
    "output", [lambda x: {"a": x, "b": x}, lambda x: x.sum(), lambda x: x[:1], lambda x: ()]
)
def test_outputs_must_have_the_samples_first(output):
    class Net(nn.Module):
        def forward(self, x):
            return output(F.relu(x))

    with pytest.raises(InputError, match="with the 3 samples first"):
        record(Net(), inputs(3, 5))


def test_outputs_in_a_tuple_and_without_units():
    class Net(nn.Module):
        def forward(self, x):
            return F.relu(x).sum(dim=1), "more"

    assert record(Net(), inputs(3, 5)).output.shape == (3, 1)


# The rest


def test_packing_on_a_device_is_numpys():
    for units in (1, 7, 8, 19):
        bits = torch.rand(5, units, generator=torch.Generator().manual_seed(units)) < 0.5
        assert np.array_equal(pack_on_device(bits).numpy(), np.packbits(bits.numpy(), axis=1))


def test_another_device_runs_a_copy():
    net = mlp()
    with pytest.raises(InputError, match="holds no values"):
        record(net, inputs(4, 12), device="meta")
    assert all(parameter.device.type == "cpu" for parameter in net.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_an_accelerator_gives_the_same_codes():
    net, x = cnn().double(), inputs(50, 1, 8, 8)
    assert record(net, x, device="cuda", pools=True).codes == record(net, x, pools=True).codes


def readme_snippets() -> list[str]:
    """The python blocks of the README as a reader copies them."""
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    return [block.split("```")[0] for block in text.split("```python\n")[1:]]


def test_the_five_lines_of_the_readme():
    names = {"model": cnn().train(), "images": inputs(30, 1, 8, 8)}
    exec(readme_snippets()[0], names)
    bits = (np.concatenate(list(hooked(cnn(), names["images"]).values()), axis=1) > 0).astype(int)
    jaccard = cdist(bits, bits, "jaccard")
    np.fill_diagonal(jaccard, np.inf)
    np.testing.assert_allclose(names["distance"], np.sort(jaccard, axis=1)[:, :5], atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(jaccard, names["index"], 1), names["distance"], atol=1e-6)


def test_the_readme_brings_a_model_and_images_to_try():
    names = {}
    example, lines = readme_snippets()[1], readme_snippets()[0]
    exec(example + lines, names)
    assert names["index"].shape == (500, 5) and len(names["recording"].codes) == 500


def test_the_package_exports_what_a_user_types_first():
    assert splinelab.record is record and splinelab.__version__[0].isdigit()
    assert {"record", "SplineCodes"} <= set(dir(splinelab))
    with pytest.raises(AttributeError, match="no attribute 'recorder'"):
        _ = splinelab.recorder
