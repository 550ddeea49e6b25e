"""D: inputs are what the user gave; codes that depend on the rest of the batch are refused."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from splinelab import record
from splinelab.errors import InputError, SplinelabError, UnsupportedOperationError
from zoo_of_nets.harness import Formula, Three, built, relu, samples

X = samples(11, 6)


class Plain(Three):
    def forward(self, x):
        return self.c(F.relu(self.a(x)))

    def by_hand(self, x):
        h = self.a(x)
        return [h], self.c(relu(h))


NET = built(Plain)


def assert_same(inputs, x=X, net=NET, **options):
    """These inputs give the codes and outputs of the samples x, in their order."""
    for batch_size in (512, 4):
        recording = record(net, inputs() if callable(inputs) else inputs, batch_size=batch_size, **options)
        truth = Formula(net, x)
        assert len(recording) == len(x)
        truth.assert_bits(recording.codes.bits())
        truth.assert_outputs(recording.output, 1e-6)


# Arrays and tensors


WHOLE = X.round() * 2 + 1
ARRAYS = {
    "numpy": lambda: X.numpy(),
    "F-ordered": lambda: np.asfortranarray(X.numpy()),
    "reversed twice": lambda: X.numpy()[::-1].copy()[::-1],
    "negative strides": lambda: np.ascontiguousarray(X.numpy()[:, ::-1])[:, ::-1],
    "big-endian": lambda: X.numpy().astype(">f8"),
    "little-endian": lambda: X.numpy().astype("<f8"),
    "columns of a wider array": lambda: np.concatenate([X.numpy(), X.numpy()], 1)[:, :6],
    "every second": lambda: np.repeat(X.numpy(), 2, axis=0)[::2],
    "broadcast": lambda: np.broadcast_to(X.numpy()[None], (1, 11, 6))[0],
    "subclass": lambda: X.numpy().view(np.ma.MaskedArray),
    "matrix of longdouble": lambda: X.numpy().astype(np.longdouble),
    "transposed tensor": lambda: X.t().contiguous().t(),
    "tensor with gradients": lambda: X.clone().requires_grad_(),
    "tensor not a leaf": lambda: X.clone().requires_grad_() * 1,
    "parameter": lambda: nn.Parameter(X.clone()),
    "expanded": lambda: X[:, :, None].expand(-1, -1, 2)[..., 0],
    "dataset": lambda: TensorDataset(X, torch.arange(11)),
    "loader": lambda: DataLoader(TensorDataset(X, torch.arange(11)), batch_size=4),
    "loader of x alone": lambda: DataLoader(TensorDataset(X), batch_size=4),
    "loader of a tensor": lambda: DataLoader(X, batch_size=4),
    "loader of lists": lambda: DataLoader([(x, 0) for x in X], batch_size=4),
    "loader of float labels": lambda: DataLoader(TensorDataset(X, X[:, 0]), batch_size=4),
    "subset": lambda: Subset(TensorDataset(torch.cat([X, X]), torch.arange(22)), range(11)),
    "list of batches": lambda: list(X.split(4)),
    "tuple of batches": lambda: tuple(X.split(4)),
    "generator": lambda: (batch for batch in X.split(4)),
    "generator of pairs": lambda: ((batch, torch.zeros(len(batch))) for batch in X.split(4)),
    "generator of lists": lambda: ([batch.numpy(), None] for batch in X.split(4)),
    "zip": lambda: zip(X.split(4), torch.arange(11).split(4), strict=True),
    "dict of all": lambda: {"x": X},
    "dicts of batches": lambda: ({"x": batch} for batch in X.split(4)),
    "dict with numpy": lambda: {"x": X.numpy()},
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_the_same_samples_in_every_wrapping(kind):
    assert_same(ARRAYS[kind])


def test_read_only_arrays_and_memory_maps(tmp_path, recwarn):
    frozen = X.numpy().copy()
    frozen.flags.writeable = False
    assert_same(frozen)
    np.save(tmp_path / "x.npy", X.numpy())
    assert_same(np.load(tmp_path / "x.npy", mmap_mode="r"))
    assert_same(np.load(tmp_path / "x.npy", mmap_mode="r")[:, :6])
    assert not [w for w in recwarn if "not writable" in str(w.message)]


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", ">i4"])
@pytest.mark.parametrize("wrap", [np.asarray, lambda a: torch.from_numpy(a), lambda a: [a[:4], a[4:]]])
def test_whole_numbers_are_converted_or_named(dtype, wrap):
    array = WHOLE.numpy().astype(np.int64)
    array = (array if np.dtype(dtype).kind == "i" else np.abs(array)).astype(dtype)
    if wrap not in (np.asarray,) and dtype == ">i4" and wrap(np.zeros(11)) is not None:
        try:
            given = wrap(array)
        except (TypeError, ValueError):
            pytest.skip("torch takes no foreign byte order")
    else:
        given = wrap(array)
    try:
        recording = record(NET, given)
    except InputError as error:
        assert str(np.dtype(dtype).name) in str(error) and "float" in str(error)
    else:
        Formula(NET, torch.from_numpy(array.astype(np.float64))).assert_bits(recording.codes.bits())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.int32, torch.int64, torch.uint16])
def test_whole_numbers_for_a_convolution(dtype):
    net = built(lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)))
    with pytest.raises(InputError, match=r"(?i)float"):
        record(net, torch.ones(3, 1, 4, 4).to(dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_floats_of_every_width(dtype):
    assert_same(X.to(dtype), X.to(dtype).double())


def test_float16_arrays():
    assert_same(X.numpy().astype(np.float16), X.half().double())


def test_tokens_stay_integers():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.a, self.c = nn.Embedding(20, 6), nn.Linear(6, 10), nn.Linear(10, 3)

        def forward(self, tokens):
            return self.c(F.relu(self.a(self.embed(tokens))).sum(1))

        def by_hand(self, tokens):
            h = self.embed.weight[tokens] @ self.a.weight.T + self.a.bias
            return [h], self.c(relu(h).sum(1))

    net, tokens = built(Tokens), torch.arange(44).view(11, 4) % 19
    for given in (
        tokens,
        tokens.int(),
        tokens.numpy(),
        tokens.numpy().astype(">i8"),
        [tokens[:4], tokens[4:]],
    ):
        recording = record(net, given)
        Formula(net, tokens).assert_bits(recording.codes.bits())


# Data sets


class Transformed(TorchDataset):
    """Raw images as an attribute, a transform in `__getitem__`, as torchvision's data sets have."""

    def __init__(self):
        self.images = self.data = X.numpy() * 100 + 7
        self.targets = self.labels = np.arange(11)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return torch.from_numpy(self.images[index] - 7) / 100, int(self.targets[index])


class Alone(Transformed):
    def __getitem__(self, index):
        return super().__getitem__(index)[0]


class NumpyItems(Transformed):
    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x.numpy(), y


class Named(Transformed):
    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return {"x": x, "label": y}


class NotTorchs:
    """A data set by its methods alone."""

    def __init__(self):
        self.images = X.numpy() * 100 + 7

    def __len__(self):
        return 11

    def __getitem__(self, index):
        if index >= 11:
            raise IndexError(index)
        return torch.from_numpy(self.images[index] - 7) / 100, 0


class Streamed(IterableDataset):
    images = np.zeros((3, 6))

    def __iter__(self):
        return iter([(x, 0) for x in X])


class StreamedBatches(IterableDataset):
    def __iter__(self):
        return iter(X)


@pytest.mark.parametrize("make", [Transformed, Alone, NumpyItems, NotTorchs, Streamed, StreamedBatches])
def test_a_data_set_gives_what_its_items_are(make):
    assert_same(make())


@pytest.mark.parametrize("make", [Transformed, Alone, NumpyItems, Streamed, StreamedBatches])
def test_a_loader_of_a_data_set(make):
    assert_same(DataLoader(make(), batch_size=3))


def test_a_data_set_of_dicts_needs_the_name_of_its_input():
    assert_same(Named(), input="x")
    assert_same(DataLoader(Named(), batch_size=4), input="x")
    with pytest.raises(InputError, match=r"input="):
        record(NET, Named())


def test_splinelab_s_own_data_sets_keep_their_images():
    from splinelab import data

    images = data.mnist5k()
    net = built(lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 5), nn.ReLU(), nn.Linear(5, 2)))
    own = record(net, images)
    assert own.codes == record(net, np.asarray(images.images)).codes


class Pairs(Plain):
    """Two inputs."""

    def __init__(self):
        super().__init__()
        self.d = nn.Linear(4, 10)

    def forward(self, x, context):
        return self.c(F.relu(self.a(x) + self.d(context)))


class ByName(Pairs):
    def forward(self, *, x, context):
        return super().forward(x, context)


Y = samples(11, 4, seed=2)


def several(net):
    with torch.no_grad():
        h = net.a(X) + net.d(Y)
        return (h > 0).numpy(), net.c(relu(h)).numpy()


@pytest.mark.parametrize(
    ("make", "inputs", "options"),
    [
        (Pairs, lambda: {"x": X, "context": Y}, {}),
        (Pairs, lambda: {"context": Y.numpy(), "x": X.numpy()}, {}),
        (Pairs, lambda: [{"x": X[:4], "context": Y[:4]}, {"x": X[4:], "context": Y[4:]}], {}),
        (Pairs, lambda: DataLoader(TensorDataset(X, Y), batch_size=4), {"input": (0, 1)}),
        (Pairs, lambda: DataLoader(TensorDataset(Y, X), batch_size=4), {"input": (1, 0)}),
        (Pairs, lambda: TensorDataset(torch.arange(11), X, Y), {"input": (1, 2)}),
        (Pairs, lambda: {"a": X, "label": torch.arange(11), "b": Y}, {"input": ("a", "b")}),
        (ByName, lambda: {"x": X, "context": Y}, {}),
        (ByName, lambda: ({"x": X[i], "context": Y[i]} for i in (slice(0, 4), slice(4, None))), {}),
        (ByName, lambda: {"x": X, "context": Y, "label": torch.arange(11)}, {"input": ("x", "context")}),
    ],
)
def test_models_with_several_inputs(make, inputs, options):
    net = built(make)
    bits, y = several(net)
    recording = record(net, inputs(), batch_size=4, **options)
    assert np.array_equal(recording.codes.bits(), bits)
    np.testing.assert_allclose(recording.output, y, atol=1e-5)


class KeywordOnly(Plain):
    def forward(self, *, pixel_values, scale=1.0):
        return super().forward(pixel_values * scale)


@pytest.mark.parametrize("given", [{"pixel_values": X}, ({"pixel_values": part} for part in X.split(4))])
def test_keyword_only_forwards_take_dicts(given):
    recording = record(built(KeywordOnly), given)
    Formula(NET, X).assert_bits(recording.codes.bits())


def test_keyword_only_forwards_name_what_is_missing():
    with pytest.raises(InputError, match="pixel_values"):
        record(built(KeywordOnly), X)
    recording = record(built(KeywordOnly), X, input="pixel_values")
    Formula(NET, X).assert_bits(recording.codes.bits())


def test_a_loader_of_index_and_tokens():
    class Tokens(Plain):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(20, 6)

        def forward(self, tokens):
            return super().forward(self.embed(tokens).mean(1))

        def by_hand(self, tokens):
            return super().by_hand(self.embed(tokens).mean(1))

    net, tokens = built(Tokens), (torch.arange(44).view(11, 4) * 7) % 19
    loader = DataLoader(TensorDataset(torch.arange(11), tokens), batch_size=4)
    recording = record(net, loader, input=1)
    Formula(net, tokens).assert_bits(recording.codes.bits())
    with pytest.raises(InputError, match="input="):
        record(net, loader)


@pytest.mark.parametrize("input", [3, -7, "x", (0, 5), 1.5, True, (), object()])
def test_an_input_that_is_not_there(input):
    with pytest.raises(SplinelabError, match=r"input"):
        record(NET, DataLoader(TensorDataset(X, torch.arange(11))), input=input)


# What could be read in two ways, or in none


def test_a_list_of_samples_is_not_a_list_of_batches():
    ones = [torch.ones(1) * i for i in range(-2, 3)]
    net = built(lambda: nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 1)))
    for given in (list(X), list(X.numpy()), tuple(X), ones, [row.tolist() for row in X]):
        model = net if given is ones else NET
        try:
            recording = record(model, given)
        except InputError as error:
            assert "stack" in str(error) or "expected" in str(error)
        else:
            assert len(recording) == len(given)


@pytest.mark.parametrize(
    "given",
    [
        np.zeros((0, 6)), torch.zeros(0, 6), [], (), iter(()), TensorDataset(torch.zeros(0, 6)),
        [torch.zeros(0, 6)], [X[:3], X[:0]], {"x": X[:0]}, {}, DataLoader(TensorDataset(torch.zeros(0, 6))),
    ],
)  # fmt: skip
def test_nothing_is_named(given):
    with pytest.raises(InputError, match=r"empty|without any"):
        record(NET, given)


@pytest.mark.parametrize(
    "given",
    [
        None, "images", b"images", 3, 2.5, object(), [None], [object()], ["a"], {"x": "a"}, {"x": None},
        np.array(["a", "b"]), np.array([{}, {}]), np.zeros(3, "M8[s]"), torch.tensor(1.0), np.float64(1),
        [3], {"x": 3.0}, {"y": X}, {"x": X, "z": X}, {"x": X, "y": X[:3]},
    ],
)  # fmt: skip
def test_what_is_no_input_is_refused_in_words(given):
    with pytest.raises(InputError, match=r".{30}"):
        record(NET, given)


def test_batches_that_are_not_finite_name_the_sample():
    bad = X.clone()
    bad[8, 2] = torch.nan
    for given in (bad, bad.numpy(), DataLoader(TensorDataset(bad), batch_size=3), {"x": bad}):
        with pytest.raises(InputError, match="sample 8"):
            record(NET, given, batch_size=4)


# The precision of the inputs


class Mixed(Three):
    """The first parameter is a scale in bfloat16; the net computes in float32."""

    def __init__(self):
        super().__init__()
        layers = self.a, self.c
        del self.a, self.b, self.c
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.a, self.c = layers

    def forward(self, x):
        return self.c(F.relu(self.a(x) * self.scale.float()))

    def by_hand(self, x):
        h = self.a(x) * self.scale.float()
        return [h], self.c(relu(h))


class Precise(Plain):
    """A float64 buffer first, float32 weights; the forward casts."""

    def __init__(self):
        super().__init__()
        self.register_buffer("steps", torch.zeros((), dtype=torch.float64))


@pytest.mark.parametrize("first", [torch.bfloat16, torch.float16])
def test_a_first_parameter_of_low_precision_rounds_no_inputs(first):
    net, x = built(Mixed).float(), (X * 1.00123).float()
    net.scale.data = net.scale.data.to(first)
    recording = record(net, x)
    with torch.no_grad():
        (h,), y = net.by_hand(x)
    assert np.array_equal(recording.pre["relu"], h.numpy())
    assert np.array_equal(recording.codes.bits(), (h > 0).numpy())
    assert np.array_equal(recording.output, y.numpy())


def test_buffers_do_not_decide_the_precision():
    net, x = built(Precise).float(), X.float()
    net.steps = net.steps.double()
    recording = record(net, x)
    with torch.no_grad():
        assert np.array_equal(recording.pre["relu"], net.a(x).numpy())


def test_a_forward_that_casts_its_inputs_itself():
    class Casts(Plain):
        def forward(self, x):
            return super().forward(x.to(self.a.weight.dtype) / 255)

        def by_hand(self, x):
            return super().by_hand(x / 255)

    net = built(Casts)
    images = (X.abs() * 40).to(torch.uint8)
    try:
        recording = record(net, images)
    except InputError as error:
        assert "uint8" in str(error)
    else:
        Formula(net, images.double()).assert_bits(recording.codes.bits())


# Nets whose codes depend on the batch


class OfTheBatch(Plain):
    def __init__(self, act):
        super().__init__()
        self.act = act
        self.norm = nn.BatchNorm1d(10, track_running_stats=False)
        self.norm2 = nn.BatchNorm2d(10, track_running_stats=False)
        self.instance = nn.InstanceNorm1d(2)

    def forward(self, x):
        return self.c(F.relu(self.act(self, self.a(x))))


def branch(n, h):
    return h if h.mean() > 0 else -h


def branch_on_size(n, h):
    return h if len(h) > 4 else -h


def branch_on_one(n, h):
    return -h if len(h) == 1 else h


def branch_on_any(n, h):
    return h - 1 if (h > 3).any() else h


def rolled(n, h):
    return h + h.roll(1, 0)


def attends_over_samples(n, h):
    return (h @ h.T).softmax(-1) @ h


BATCHED = {
    "batch norm without statistics": lambda n, h: n.norm(h),
    "batch norm of images": lambda n, h: n.norm2(h[..., None, None]).flatten(1),
    "functional batch norm": lambda n, h: F.batch_norm(h, None, None, training=True),
    "minus the mean": lambda n, h: h - h.mean(0),
    "minus the mean, kept": lambda n, h: h - h.mean(dim=0, keepdim=True),
    "over the deviation": lambda n, h: h / h.std(0),
    "minus the mean of all": lambda n, h: h - h.mean(),
    "over the norm of all": lambda n, h: h / h.norm(),
    "minus half of the largest": lambda n, h: h - h.max() / 2,
    "minus the first": lambda n, h: h - h[:1],
    "minus the last": lambda n, h: h - h[-1],
    "minus the median": lambda n, h: h - h.median(0).values,
    "cumulative": lambda n, h: h.cumsum(0),
    "sorted": lambda n, h: h.sort(0).values,
    "flipped": lambda n, h: h + h.flip(0),
    "rolled": rolled,
    "softmax over samples": lambda n, h: h * F.softmax(h, 0),
    "attention over samples": attends_over_samples,
    "branch on the mean": branch,
    "branch on the size": branch_on_size,
    "branch on one sample": branch_on_one,
    "branch on a value": branch_on_any,
    "scaled by the size": lambda n, h: h * len(h) - 5,
    "einsum over samples": lambda n, h: h + torch.einsum("ni,mi->n", h, h)[:, None] - 2,
    "transposed": lambda n, h: h - h.T.mean(1),
    "flattened": lambda n, h: h - h.flatten().sum() / 100,
    "var_mean": lambda n, h: h - torch.var_mean(h, 0)[1],
}


@pytest.mark.parametrize("kind", BATCHED)
def test_codes_that_depend_on_the_batch_are_refused(kind):
    net = built(lambda: OfTheBatch(BATCHED[kind]))
    for batch_size in (512, 7, 5):
        if batch_size != 5 and kind == "branch on one sample":
            continue  # no batch of one: nothing depends on it
        with pytest.raises(SplinelabError, match=r"(?i)batch|sample|ignore="):
            record(net, X, batch_size=batch_size)


APART = {
    "batch norm": lambda n, h: nn.BatchNorm1d(10).double().eval()(h),
    "instance norm": lambda n, h: n.instance(h.view(-1, 2, 5)).flatten(1),
    "mean of units": lambda n, h: h - h.mean(1, keepdim=True),
    "mean over the last": lambda n, h: h - h.mean(-1)[:, None],
    "size as a shape": lambda n, h: h + torch.zeros(len(h), 1),
    "positions": lambda n, h: h + torch.arange(h.shape[1]),
    "samples apart": lambda n, h: torch.stack([row - row.mean() for row in h]),
    "batched product": lambda n, h: torch.bmm(h[:, :, None], h[:, None, :])[:, 0],
    "transposed twice": lambda n, h: (h.T - 1).T,
    "folded": lambda n, h: h.reshape(-1, 5).sub(h.reshape(-1, 5).mean(1, keepdim=True)).reshape(-1, 10),
}


@pytest.mark.parametrize("kind", APART)
def test_sizes_and_shapes_are_not_the_batch(kind):
    net = built(lambda: OfTheBatch(APART[kind]))
    recording = record(net, X, batch_size=4)
    with torch.no_grad():
        h = net.act(net, net.a(X))
    certain = h.abs().numpy() > 1e-9
    assert (recording.codes.bits() == (h > 0).numpy())[certain].all()


def test_random_nets_are_refused():
    for act in (
        lambda n, h: h + torch.rand_like(h),
        lambda n, h: h * torch.bernoulli(torch.full_like(h, 0.5)),
        lambda n, h: h + torch.randn(10, dtype=h.dtype),
        lambda n, h: F.dropout(h, 0.5),
        lambda n, h: h[:, torch.randperm(10)],
    ):
        with pytest.raises(UnsupportedOperationError, match=r"(?i)random|dropout|ignore="):
            record(built(lambda act=act: OfTheBatch(act)), X)
