"""A Dask cluster of two worker processes: everything that is spread gives the bits that it gives without."""

import os
from importlib import import_module

import joblib
import numpy as np
import pytest
import torch

from splinelab import protocol, record, zoo
from splinelab.data import mnist5k
from splinelab.distances import class_histograms, neighbours
from splinelab.errors import InputError, TrainingError
from splinelab.mechanisms import SpectralMechanisms, correlation
from splinelab.zoo import recipes

distributed = pytest.importorskip("distributed", reason="the extra [cluster] is not installed")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    """Two processes that listen on this machine alone, and their client."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as both,
        distributed.Client(both) as client,
    ):
        yield client


@pytest.fixture
def there(cluster, monkeypatch):
    """Calls a function with the cluster configured, and checks that the workers had something to do."""
    monkeypatch.setattr("splinelab.distances.histograms._JOB", 2**14)  # several jobs from 700 samples
    monkeypatch.setattr("splinelab.distances.matrices._STRIPE", 2**14)
    monkeypatch.setattr(import_module("splinelab.mechanisms.correlation"), "_BLOCK", 64)

    def call(function, *args, **kwargs):
        before = _done(cluster)
        with joblib.parallel_config("dask"):
            found = function(*args, **kwargs)
        assert sum(_done(cluster)) >= sum(before) + 2
        return found

    return call


def _done(cluster) -> list[int]:
    """How many tasks each worker has done so far."""
    return list(cluster.run(lambda dask_worker: dask_worker.state.executed_count).values())


@pytest.fixture(scope="module")
def looks():
    """Codes, activations and labels of 700 images; few units, since a job has more pairs than counters."""
    images = mnist5k()
    some = np.random.default_rng(0).permutation(len(images))[:700]
    recording = record(zoo.load("N-mse", 0), images.images[some])
    return recording.codes.bits()[:, ::10], recording.stack("post")[:, ::10], images.labels[some]


@pytest.mark.parametrize("metric", ["jaccard", "hamming", "l2", "cosine"])
def test_histograms_and_neighbours(metric, there, looks):
    codes, activations, labels = looks
    x = codes if metric in ("jaccard", "hamming") else activations
    expected = class_histograms(x, labels, metric, block_size=256)
    found = there(class_histograms, x, labels, metric, block_size=256)
    for part in ("values", "intra", "inter"):
        np.testing.assert_array_equal(getattr(found, part), getattr(expected, part))
    for ours, theirs in zip(
        there(neighbours, x, k=7, metric=metric), neighbours(x, k=7, metric=metric), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_grams_of_mechanisms(there, looks):
    values = np.tile(looks[1], 3)[:, :150]  # of 60 units, 50 of them with copies
    np.testing.assert_array_equal(there(correlation, values), correlation(values))
    method = SpectralMechanisms(6)
    expected = method.fit(values).labels_
    np.testing.assert_array_equal(there(method.fit, values).labels_, expected)


@pytest.fixture
def tiny(monkeypatch):
    """An entry of three steps, known to this process alone."""
    entry = recipes.Entry("T", "tiny", zoo.recipe("N-mse", steps=3).replace(evaluations=2))
    monkeypatch.setattr(recipes, "_ALL", (entry,))
    return entry


def test_seeds_of_the_zoo(cluster, there, tiny, tmp_path):
    own = torch.get_num_threads()
    torch.set_num_threads(2)  # the last bits depend on it, and a worker would take one
    try:
        for seed in (3, 4):
            zoo.train("T", seed, folder=tmp_path / "here", progress=False)
        before = _done(cluster)
        paths = there(zoo.train_seeds, "T", [3, 4], folder=tmp_path / "there", progress=False)
        assert all(after > had for after, had in zip(_done(cluster), before, strict=True))  # one each
    finally:
        torch.set_num_threads(own)
    assert [path.name for path in paths] == ["T-3.safetensors", "T-4.safetensors"]
    names = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "there").iterdir()) and len(names) == 4
    for seed, path in zip((3, 4), paths, strict=True):
        assert path.read_bytes() == (tmp_path / "here" / path.name).read_bytes()
        cards = [zoo.card("T", seed, folder=tmp_path / place) for place in ("here", "there")]
        for card in cards:
            del card["seconds"], card["digest"]
        assert cards[0] == cards[1]


def test_a_worker_s_error_is_the_one_from_here(cluster, tiny, tmp_path):
    (tmp_path / ".checkpoints").mkdir()
    (tmp_path / ".checkpoints" / "T-4.ckpt").write_bytes(b"no checkpoint")
    with pytest.raises(TrainingError) as here:
        zoo.train("T", 4, folder=tmp_path, progress=False)
    with joblib.parallel_config("dask"), pytest.raises(TrainingError) as there:
        zoo.train_seeds("T", [3, 4], folder=tmp_path, progress=False)
    assert str(there.value) == str(here.value) and "T-4.ckpt is corrupt" in str(here.value)
    with pytest.raises(InputError, match=r"seeds is \[3, 3\]; expected each seed once"):
        zoo.train_seeds("T", [3, 3], folder=tmp_path)


def test_jobs_of_a_chapter_that_spread_further(there, looks):
    """`in_parallel` goes to the cluster, and so does what its jobs spread in turn."""
    codes, _, labels = looks

    def look(metric):
        return os.getpid(), class_histograms(codes, labels, metric)

    found = there(protocol.in_parallel, look, {metric: (metric,) for metric in ("jaccard", "hamming")})
    for metric, (process, histograms) in found.items():
        assert process != os.getpid()
        expected = class_histograms(codes, labels, metric)
        np.testing.assert_array_equal(histograms.values, expected.values)
        np.testing.assert_array_equal(histograms.intra, expected.intra)
