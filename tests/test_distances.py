"""Distances against scipy, brute force and exact fractions."""

import subprocess
import sys
from fractions import Fraction
from itertools import combinations

import joblib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from splinelab import _memory
from splinelab.codes import SplineCodes
from splinelab.distances import METRICS, blocks, class_histograms, histograms, neighbours, pairwise
from splinelab.errors import InputError

SCIPY = {"l2": "euclidean"}
CODES = ("hamming", "jaccard")


def some_codes(n, units, seed=0):
    rng = np.random.default_rng(seed)
    bits = rng.random((n, units)) < rng.uniform(0.05, 0.6, (n, 1))
    bits[0] = bits[n // 2] = False  # Jaccard(0, 0)
    return bits


bit_arrays = st.tuples(st.integers(1, 12), st.integers(1, 40)).flatmap(lambda shape: arrays(bool, shape))


@settings(max_examples=60, deadline=None)
@given(bit_arrays)
def test_codes_agree_with_scipy_to_the_last_bit(bits):
    for metric in CODES:
        expected = cdist(bits, bits, metric).astype(np.float32)
        np.testing.assert_array_equal(pairwise(bits, metric=metric), expected)
        np.testing.assert_array_equal(pairwise(bits, bits, metric=metric), expected)


@settings(max_examples=40, deadline=None)
@given(bit_arrays)
def test_both_backends_give_the_same_bits(bits):
    pytest.importorskip("numkong")
    for metric in CODES:
        np.testing.assert_array_equal(
            pairwise(bits, metric=metric, backend="numkong"), pairwise(bits, metric=metric, backend="torch")
        )


@pytest.mark.parametrize("units", [1, 7, 8, 600, 4096])
def test_both_backends_give_the_same_bits_at_book_size(units):
    pytest.importorskip("numkong")
    a, b = some_codes(700, units), some_codes(300, units, seed=1)
    for metric in CODES:
        for pair in ((a, b), (a, None)):
            np.testing.assert_array_equal(
                pairwise(*pair, metric, backend="numkong"), pairwise(*pair, metric, backend="torch")
            )


@pytest.mark.parametrize("metric", CODES)
@pytest.mark.parametrize("backend", ["torch", "numkong"])
def test_codes_agree_with_scipy_beyond_one_block(metric, backend):
    if backend == "numkong":
        pytest.importorskip("numkong")
    bits = some_codes(1100, 37)
    d = pairwise(bits, metric=metric, backend=backend)
    np.testing.assert_array_equal(d, cdist(bits, bits, metric).astype(np.float32))


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_vectors_agree_with_scipy(metric):
    rng = np.random.default_rng(0)
    a, b = rng.normal(3, 1, (700, 30)), rng.normal(3, 1, (90, 30))
    scipy_metric = SCIPY.get(metric, metric)
    np.testing.assert_allclose(pairwise(a, b, metric), cdist(a, b, scipy_metric), atol=1e-6)
    d = pairwise(a, metric=metric)
    np.testing.assert_allclose(d, cdist(a, a, scipy_metric), atol=1e-6)
    assert (np.diag(d) == 0).all() and (d == d.T).all()


def test_l2_keeps_its_digits_where_the_mean_is_large():
    rng = np.random.default_rng(0)
    a = rng.normal(1e4, 1, (50, 20)).astype(np.float32)
    np.testing.assert_allclose(pairwise(a, metric="l2"), cdist(a.astype(float), a.astype(float)), rtol=1e-6)


def test_a_zero_vector_has_no_direction():
    x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    d = pairwise(x, metric="cosine")
    np.testing.assert_array_equal(d, pairwise(x, x, "cosine"))
    np.testing.assert_array_equal(d, [[0, 1, 0], [1, 0, 1], [0, 1, 0]])


@settings(max_examples=40, deadline=None)
@given(bit_arrays)
def test_metric_properties(bits):
    for metric in METRICS:
        x = bits if metric in CODES else bits.astype(float)
        d = pairwise(x, metric=metric).astype(np.float64)
        assert (d >= 0).all() and (d == d.T).all() and (np.diag(d) == 0).all()
        if metric != "cosine":  # the triangle inequality
            assert (d[:, None, :] <= d[:, :, None] + d[None, :, :] + 1e-5).all()


def test_spline_codes_arrays_and_tensors_are_the_same_to_us():
    bits = some_codes(40, 21)
    codes = SplineCodes.from_bits({"relu1": bits[:, :13], "relu2": bits[:, 13:]})
    for metric in METRICS:
        expected = pairwise(bits.astype(float), metric=metric)
        for x in (codes, bits if metric in CODES else bits.astype(np.uint8), torch.from_numpy(bits).float()):
            np.testing.assert_array_equal(pairwise(x, metric=metric), expected)
    np.testing.assert_array_equal(pairwise(codes[:5], codes), pairwise(codes)[:5])


def test_codes_that_do_not_fit_unpacked_are_unpacked_block_by_block(monkeypatch):
    bits = some_codes(90, 50)
    expected = pairwise(bits, metric="jaccard")
    monkeypatch.setattr("splinelab.distances.kernels._KEEP", 10)
    np.testing.assert_array_equal(pairwise(bits, metric="jaccard"), expected)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("other", [True, False])
def test_blocks_put_together_are_the_matrix(metric, other):
    a = some_codes(50, 20).astype(float)
    b = some_codes(33, 20, seed=2).astype(float) if other else None
    whole = np.full((50, 33 if other else 50), np.nan, np.float32)
    for rows, cols, block in blocks(a, b, metric, block_size=16):
        assert other or cols.start >= rows.start
        whole[rows, cols] = block
    if not other:
        whole = np.where(np.isnan(whole), whole.T, whole)
    np.testing.assert_allclose(whole, pairwise(a, b, metric), atol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_neighbours_agree_with_a_stable_sort(metric, monkeypatch):
    monkeypatch.setattr("splinelab.distances.matrices._STRIPE", 500)  # several stripes
    a = some_codes(60, 9).astype(float)  # few units: many ties
    d = pairwise(a, metric=metric)
    for x, expected in ((None, d + np.diag(np.full(60, np.inf))), (a[:25], d[:, :25])):
        index, distance = neighbours(a, x, k=7, metric=metric)
        if metric in CODES:
            order = np.argsort(expected, axis=1, kind="stable")[:, :7]
            np.testing.assert_array_equal(index, order)
        reference = np.sort(expected, axis=1)[:, :7]
        np.testing.assert_allclose(distance, reference, atol=2e-4 if metric == "l2" else 1e-6)


def brute_force_histogram(bits, labels, metric):
    counts = {True: {}, False: {}}
    for i, j in combinations(range(len(bits)), 2):
        differ, union = int((bits[i] ^ bits[j]).sum()), int((bits[i] | bits[j]).sum())
        d = Fraction(differ, bits.shape[1]) if metric == "hamming" else Fraction(differ, max(union, 1))
        same = bool(labels[i] == labels[j])
        counts[same][d] = counts[same].get(d, 0) + 1
    values = sorted(set(counts[True]) | set(counts[False]))
    return values, [counts[True].get(v, 0) for v in values], [counts[False].get(v, 0) for v in values]


@settings(max_examples=40, deadline=None)
@given(
    bit_arrays.filter(lambda bits: len(bits) > 1), st.integers(0, 10), st.sampled_from(["torch", "numkong"])
)
def test_histograms_are_exact(bits, seed, backend):
    if backend == "numkong":
        pytest.importorskip("numkong")
    labels = np.random.default_rng(seed).integers(0, 3, len(bits))
    for metric in CODES:
        h = class_histograms(bits, labels, metric, block_size=4, backend=backend)
        values, intra, inter = brute_force_histogram(bits, labels, metric)
        assert h.values.tolist() == [float(v) for v in values]
        assert h.intra.tolist() == intra and h.inter.tolist() == inter and h.width == 0


@pytest.mark.parametrize("metric", METRICS)
def test_histograms_agree_with_the_matrix(metric):
    rng = np.random.default_rng(1)
    labels = rng.choice(["a", "b", "c"], 400, p=[0.1, 0.6, 0.3])
    x = rng.normal(1, 1, (400, 30)) if metric in ("l2", "cosine") else some_codes(400, 130)
    h = class_histograms(x, labels, metric, bins=50, block_size=64)
    above = np.triu_indices(400, 1)
    d, same = pairwise(x, metric=metric)[above], (labels[:, None] == labels)[above]
    assert h.pairs == 400 * 399 // 2
    if h.width == 0:
        edges = np.append(h.values, 2) - 1e-4 / 130
    else:
        edges = np.append(h.values - h.width / 2, h.values[-1] + h.width / 2)
        assert edges[0] == pytest.approx(0) and d.max() <= edges[-1]
    # float32 bins and numpy's float64 ones may part on an edge
    for counts, part in ((h.intra, d[same]), (h.inter, d[~same])):
        expected = np.histogram(part.astype(np.float64), edges)[0]
        assert counts.sum() == len(part)
        assert np.abs(counts - expected).sum() <= (0 if h.width == 0 else 4)


def test_many_units_are_counted_in_stated_bins_by_integers(monkeypatch):
    monkeypatch.setattr(histograms, "_TABLE", 10)
    bits, labels = some_codes(80, 40), np.arange(80) % 4
    h = class_histograms(bits, labels, "jaccard", bins=7)
    values, intra, inter = brute_force_histogram(bits, labels, "jaccard")
    expected = np.zeros((2, 7), int)
    for v, same, different in zip(values, intra, inter, strict=True):
        expected[:, min(int(v * 7), 6)] += same, different
    assert h.width == pytest.approx(1 / 7)
    np.testing.assert_array_equal([h.intra, h.inter], expected)


def test_binned_densities_integrate_to_one():
    h = class_histograms(some_codes(100, 64), np.arange(100) % 3, "jaccard")
    edges, intra, inter = h.binned(20)
    for density in (intra, inter):
        assert (density * np.diff(edges)).sum() == pytest.approx(1)
    same = class_histograms(np.ones((5, 8)), [0, 0, 1, 1, 1], "hamming")  # all distances 0
    assert same.values.tolist() == [0.0] and np.isfinite(same.binned(5)[1]).all()


def test_the_progress_bar_counts_every_pair(capsys):
    class_histograms(some_codes(60, 16), np.arange(60) % 5, "hamming", progress=True)
    assert "1.77k/1.77k" in capsys.readouterr().err  # 60 · 59 / 2


def test_all_zero_codes():
    zero = np.zeros((6, 12), bool)
    for metric in CODES:
        assert (pairwise(zero, metric=metric) == 0).all()
        assert class_histograms(zero, [0, 0, 0, 1, 1, 1], metric).inter.tolist() == [9]
    assert pairwise(zero[:1], np.ones((1, 12)), "jaccard").item() == 1


@pytest.mark.parametrize("scale", [1e-300, 1e-155, 1e-46, 1e38, 1e155, 1e300])
def test_cosine_has_no_unit(scale):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(30, 7)), rng.normal(size=(20, 7))
    rows = np.geomspace(1e-3, 1e3, 30)[:, None]  # each sample in a unit of its own
    np.testing.assert_array_equal(pairwise(a * scale, metric="cosine"), pairwise(a, metric="cosine"))
    np.testing.assert_allclose(pairwise(a * rows * scale, b, "cosine"), cdist(a, b, "cosine"), atol=1e-6)
    for ours, expected in zip(
        neighbours(a * scale, b, k=3, metric="cosine"), neighbours(a, b, k=3, metric="cosine"), strict=True
    ):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("scale", [1e-29, 1e-12, 1e15, 1e36])
def test_l2_within_float32_keeps_its_digits(scale):
    x = np.random.default_rng(0).normal(size=(40, 5))
    np.testing.assert_allclose(pairwise(x * scale, metric="l2"), scale * cdist(x, x), rtol=1e-6, atol=0)
    np.testing.assert_array_equal(
        neighbours(x * scale, k=3, metric="l2")[0], neighbours(x, k=3, metric="l2")[0]
    )


@pytest.mark.parametrize("scale", [1e-300, 1e-155, 1e-46, 1e-40, 2e38, 1e155, 1e300])
def test_l2_beyond_float32_is_refused_by_all_alike(scale):
    x, labels = np.random.default_rng(0).normal(size=(40, 5)) * scale, np.arange(40) % 4
    for call in (
        lambda: pairwise(x, metric="l2"),
        lambda: blocks(x, metric="l2"),
        lambda: neighbours(x, k=3, metric="l2"),
        lambda: class_histograms(x, labels, "l2"),
    ):
        with pytest.raises(InputError, match="what float32 holds"):
            call()


def test_copies_have_no_distance_whatever_their_size():
    for value in (0.0, 1e-300, 1e-40, 0.1, 1e30):
        assert pairwise(np.full((3, 2), value), metric="l2").max() <= 1e-7 * value


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float8_e4m3fn])
def test_short_floats_are_read_as_they_are(dtype):
    x = torch.randn(20, 6, generator=torch.Generator().manual_seed(0)).to(dtype)
    labels = torch.arange(20) % 3
    for metric in METRICS:
        given = (
            (x.float() > 0).to(dtype) if metric in CODES else x.requires_grad_(dtype != torch.float8_e4m3fn)
        )
        plain = given.detach().float().numpy()
        np.testing.assert_array_equal(pairwise(given, metric=metric), pairwise(plain, metric=metric))
        ours, theirs = (class_histograms(z, labels, metric) for z in (given, plain))
        np.testing.assert_array_equal(ours.intra, theirs.intra)


def test_a_tensor_that_numpy_does_not_hold_is_refused():
    with pytest.raises(InputError, match="give a dense one"):
        pairwise(torch.eye(3).to_sparse(), metric="l2")


@pytest.mark.parametrize("wrong", [2.5, True, np.bool_(True), "3", None, [3]])
def test_counts_are_whole_numbers(wrong):
    x, labels = np.eye(6), np.arange(6) % 2
    for call in (
        lambda: neighbours(x, k=wrong),
        lambda: blocks(x, block_size=wrong),
        lambda: class_histograms(x, labels, "hamming", bins=wrong),
        lambda: class_histograms(x, labels, "hamming", block_size=wrong),
    ):
        with pytest.raises(InputError, match="whole number"):
            call()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("block_size", [1, 2, np.int64(3)])
def test_the_smallest_blocks_count_the_same(metric, block_size):
    bits, labels = some_codes(30, 12).astype(float), np.arange(30) % 3
    ours, theirs = (
        class_histograms(bits, labels, metric, **size) for size in ({"block_size": block_size}, {})
    )
    np.testing.assert_array_equal(ours.intra, theirs.intra)
    np.testing.assert_array_equal(ours.inter, theirs.inter)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "labels are None"),
        ([0, 1, None, 1], "None or NaN"),
        ([[0], [1], [0], [1]], "labels have shape"),
        (np.array([0, 1, 2**64 - 1, 1], np.uint64), "beyond int64"),
        (np.array([0, 1, "a", 1], object), "of one kind"),
    ],
)
def test_labels_that_are_none_are_refused(labels, message):
    with pytest.raises(InputError, match=message):
        class_histograms(np.eye(4), labels, "hamming")


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "bogus", None, "meta"])
def test_a_device_that_is_not_there_is_refused(device):
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is one")
    for call in (
        lambda: pairwise(np.eye(3), device=device),
        lambda: neighbours(np.eye(3), k=1, device=device),
        lambda: blocks(np.eye(3), device=device),
        lambda: class_histograms(np.eye(3), [0, 0, 1], "l2", device=device),
    ):
        with pytest.raises(InputError, match="device is"):
            call()


def test_a_matrix_too_large_is_refused_before_any_work():
    with pytest.raises(InputError, match=r"needs 4000\.0 GB of memory and .* are free: use blocks"):
        pairwise(np.zeros((10**6, 1)))


def test_the_memory_that_is_free_is_that_of_this_process():
    free = _memory.available()
    if free is None:
        pytest.skip("this system does not say")
    assert 0 < free < 2**60
    script = (
        "import resource, splinelab._memory as m; "
        "resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31)); print(m.available())"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert 0 < int(told.stdout) < 2**31


def _everything(x):
    labels = np.arange(len(x)) % 4
    for metric in METRICS:
        given = x > 0.5 if metric in CODES else x
        counted = class_histograms(given, labels, metric, block_size=64)
        yield from (counted.values, counted.intra, counted.inter, *neighbours(given, k=5, metric=metric))


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_any_number_of_jobs_gives_the_same_bits(backend, monkeypatch):
    monkeypatch.setattr(histograms, "_JOB", 2**12)
    monkeypatch.setattr("splinelab.distances.matrices._STRIPE", 2**12)
    x = np.random.default_rng(0).normal(size=(300, 17))
    expected = list(_everything(x))
    for jobs in (1, 2, 3):
        with joblib.parallel_config(backend, n_jobs=jobs):
            for ours, theirs in zip(_everything(x), expected, strict=True):
                np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("call", [pairwise, neighbours])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((0, 3)), None, "hamming"), "empty"),
        ((np.zeros((3, 0)), None, "l2"), "empty"),
        ((np.zeros(3), None, "hamming"), "shape"),
        ((np.full((2, 2), np.nan), None, "l2"), "NaN"),
        ((np.full((2, 2), np.inf), None, "cosine"), "infinity"),
        ((np.full((2, 2), np.nan), None, "jaccard"), "only 0 and 1"),
        ((np.full((2, 2), 2), None, "hamming"), "only 0 and 1"),
        ((np.array([["a"]]), None, "l2"), "numbers"),
        ((np.ones((2, 2)) * 1j, None, "l2"), "complex"),
        ((np.ones((2, 2)), np.ones((2, 3)), "hamming"), "same units"),
        ((np.ones((2, 2)), np.ones((2, 3)), "l2"), "same units"),
        ((np.ones((2, 2)), None, "manhattan"), "unknown metric"),
    ],
)
def test_bad_input_is_refused(call, arguments, message):
    a, b, metric = arguments
    with pytest.raises(InputError, match=message):
        call(a, b, metric=metric)


def test_bad_arguments_are_refused():
    x = np.eye(4)
    with pytest.raises(InputError, match="expected 1 to 3"):
        neighbours(x, k=4)
    with pytest.raises(InputError, match="expected 1 to 4"):
        neighbours(x, x, k=5)
    with pytest.raises(InputError, match="expected 1 to 0"):
        neighbours(x[:1], k=1)
    with pytest.raises(InputError, match="unknown backend"):
        pairwise(x, backend="faiss")
    with pytest.raises(InputError, match="counts bits"):
        pairwise(x, metric="l2", backend="numkong")
    with pytest.raises(InputError, match="block_size"):
        blocks(x, block_size=0)
    with pytest.raises(InputError, match="labels have shape"):
        class_histograms(x, [0, 1, 1], "hamming")
    with pytest.raises(InputError, match="1 sample"):
        class_histograms(x[:1], [0], "hamming")
    with pytest.raises(InputError, match="NaN"):
        class_histograms(x, [0, 1, np.nan, 0], "hamming")


def test_without_the_extra_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "numkong", None)
    with pytest.raises(InputError, match=r"splinelab\[fast\]"):
        pairwise(np.eye(3), backend="numkong")
    assert pairwise(np.eye(3)).shape == (3, 3)


def test_numkong_stays_on_the_cpu():
    pytest.importorskip("numkong")
    with pytest.raises(InputError, match="CPU only"):
        pairwise(np.eye(3), backend="numkong", device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_bits():
    bits = some_codes(600, 300)
    for metric in CODES:
        np.testing.assert_array_equal(
            pairwise(bits, metric=metric, device="cuda"), pairwise(bits, metric=metric)
        )
