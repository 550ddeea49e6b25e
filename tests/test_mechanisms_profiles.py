"""Profiles, their correlation, and the threshold on it."""

import dataclasses
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from planted import planted
from scipy import sparse

from splinelab.errors import InputError
from splinelab.mechanisms import Profiles, affinity, choose_threshold, correlation, permutation_null
from splinelab.mechanisms.correlation import Correlations

# --- profiles


def test_alive_always_on_and_varying():
    values = np.array(
        [
            # never on, below the threshold, at it, once above, always on, on and constant, dead and constant
            [0.0, 0.09, 0.1, 0.0, 0.2, 0.7, 0.05],
            [0.0, 0.00, 0.0, 0.3, 0.9, 0.7, 0.05],
        ]
    )
    found = Profiles(values)
    assert found.alive.tolist() == [False, False, False, True, True, True, False]
    assert found.always_on.tolist() == [False, False, False, False, True, True, False]
    assert found.varying.tolist() == [3]
    assert found.frequency.tolist() == [0, 0, 0, 0.5, 1, 1, 0]
    assert found.peak.tolist() == values.max(axis=0).tolist()
    assert Profiles(values, threshold=0.0).alive.tolist() == [False] + [True] * 6
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.threshold = 0.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csc_matrix, sparse.coo_array])
def test_any_matrix_makes_the_same_profiles(dtype, kind):
    values = (planted([2, 3], samples=50, p=0.3)[0] > 0.5).astype(dtype)
    found = Profiles(kind(values))
    assert sparse.isspmatrix_csr(found.values) and found.values.has_sorted_indices
    assert found.values.dtype == (np.float32 if dtype == np.float32 else np.float64)
    assert np.array_equal(found.values.toarray(), values)


def test_the_callers_matrix_stays_as_it_is():
    mine = sparse.csr_matrix((np.array([0.0, 0.5]), np.array([1, 0]), np.array([0, 2])), shape=(1, 2))
    assert Profiles(mine).values.nnz == 1
    assert mine.nnz == 2 and mine.indices.tolist() == [1, 0]


def test_a_stream_of_batches_is_one_matrix():
    values = planted([2, 2, 3], samples=100, p=0.3)[0].astype(np.float32)
    whole = Profiles(values, ["b"] * 4 + ["a"] * 3)
    cuts = [(0, 1), (1, 64), (64, 100)]
    streamed = Profiles.from_batches({"b": values[i:j, :4], "a": values[i:j, 4:]} for i, j in cuts)
    assert np.array_equal(streamed.values.toarray(), values)
    assert streamed.layers.tolist() == whole.layers.tolist()
    assert streamed.names == ["b:0", "b:1", "b:2", "b:3", "a:0", "a:1", "a:2"]
    # Layers may come in another order later on: names decide.
    late = Profiles.from_batches(
        [{"b": values[:9, :4], "a": values[:9, 4:]}, {"a": values[9:, 4:], "b": values[9:, :4]}]
    )
    assert np.array_equal(late.values.toarray(), values)


def test_only_one_batch_is_dense_at_a_time():
    alive = []

    class Batch(dict):
        def __init__(self):
            super().__init__(a=np.eye(3))
            alive.append(1)

        def __del__(self):
            alive.pop()

    def stream():
        for _ in range(5):
            assert len(alive) <= 1
            yield Batch()

    assert Profiles.from_batches(stream()).samples == 15


def test_halves_are_a_split():
    values = np.arange(1, 8, dtype=np.float64)[:, None] * [1, 2]
    found = Profiles(values)
    first, second = found.halves(3)
    assert first.shape == (4, 2) and second.shape == (3, 2)
    assert sorted(np.concatenate([first.toarray()[:, 0], second.toarray()[:, 0]])) == list(range(1, 8))
    again = found.halves(3)
    assert np.array_equal(again[0].toarray(), first.toarray())
    assert not np.array_equal(found.halves(4)[0].toarray(), first.toarray())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Profiles(np.zeros(3)), "samples × components"),
        (lambda: Profiles(np.zeros((0, 3))), "at least one of each"),
        (lambda: Profiles(np.zeros((3, 0))), "at least one of each"),
        (lambda: Profiles([[np.nan]]), "non-finite"),
        (lambda: Profiles([[-0.01]]), "negative"),
        (lambda: Profiles([[0.5]], ["a", "b"]), "one name for each of 1"),
        (lambda: Profiles([[0.5]], threshold=-1), "threshold is -1"),
        (lambda: Profiles([[0.5]]).halves(0), "1 sample"),
        (lambda: Profiles.from_batches([]), "no batch"),
        (lambda: Profiles.from_batches([{}]), "a batch holds"),
        (lambda: Profiles.from_batches([{"a": np.zeros(3)}]), "a batch holds"),
        (lambda: Profiles.from_batches([{"a": np.eye(2)}, {"a": np.eye(3)}]), "the first had"),
        (lambda: Profiles.from_batches([{"a": np.eye(2)}, {"b": np.eye(2)}]), "the first had"),
        (lambda: Profiles.from_batches([{"a": np.eye(2), "b": np.eye(3)}]), "number of samples"),
    ],
)
def test_profiles_that_cannot_be(make, message):
    with pytest.raises(InputError, match=message):
        make()


# --- correlation


def reference(values):
    """`np.corrcoef` with 0 where it gives nan."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(np.corrcoef(np.asarray(values, np.float64).T))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_correlation_is_numpys(dtype):
    values = planted([2, 2, 3, 5, 20], p=0.03)[0].astype(dtype)
    found = correlation(Profiles(values).values)
    assert found.dtype == np.float64
    assert np.allclose(found, reference(values), rtol=0, atol=1e-12)
    assert np.array_equal(found, found.T) and np.abs(found).max() == 1


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    arrays(
        np.float64,
        st.tuples(st.integers(2, 12), st.integers(1, 7)),
        elements=st.sampled_from([0, 0, 0, 0.25, 0.5, 1]),
    )
)
def test_correlation_is_numpys_on_any_profiles(values):
    if values.shape[1] == 1:
        assert correlation(values).tolist() == [[float(np.ptp(values) > 0)]]
    else:
        assert np.allclose(correlation(values), reference(values), rtol=0, atol=1e-12)


def test_correlation_over_several_blocks(monkeypatch):
    module = sys.modules["splinelab.mechanisms.correlation"]  # the room has a function of that name
    values = planted([3] * 10)[0]
    whole = correlation(values)
    for block in (1, 7, 29, 30, 31):
        monkeypatch.setattr(module, "_BLOCK", block)
        assert np.array_equal(correlation(values), whole)


def test_correlation_follows_a_permutation_to_the_last_bit():
    values = planted([2, 3, 5, 9], seed=4)[0]
    order = np.random.default_rng(0).permutation(values.shape[1])
    assert np.array_equal(correlation(values[:, order]), correlation(values)[np.ix_(order, order)])


def test_columns_without_variance_are_zero_and_copies_are_one():
    values = planted([2, 2], samples=200, p=0.3)[0].astype(np.float32)
    values = np.column_stack([values, values[:, 0], np.zeros(200), np.full(200, 1 / 3, np.float32)])
    found = correlation(values)
    assert not found[5].any() and not found[:, 6].any()
    assert found[0, 4] == pytest.approx(1, abs=1e-14) and np.diag(found).tolist() == [1] * 5 + [0, 0]
    # Nearly always on, with a small variance, is still a profile.
    values[:, 6] += (np.arange(200) % 7 == 0) * np.float32(1e-3)
    assert np.allclose(correlation(values), reference(values), rtol=0, atol=1e-8)


def test_no_dense_copy_of_samples_times_components():
    values = sparse.random(40_000, 200, density=0.005, format="csr", random_state=np.random.default_rng(0))
    tracemalloc.start()
    correlation(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.1 * 8 * 40_000 * 200


def test_entries_in_any_order_and_in_parts_are_summed():
    data, rows, columns = [0.5, 0.25, 0.25, 1.0, 0.5], [2, 0, 0, 1, 2], [0, 0, 0, 1, 1]
    start = np.cumsum([0, 2, 1, 2])
    order = np.argsort(rows, kind="stable")
    mine = sparse.csr_matrix((np.array(data)[order], np.array(columns)[order], start), shape=(3, 2))
    before = mine.copy()
    assert np.allclose(correlation(mine), reference([[0.5, 0], [0, 1], [0.5, 0.5]]))
    assert mine.nnz == 5 and np.array_equal(mine.indices, before.indices)


@pytest.mark.parametrize("values", [np.zeros(4), np.zeros((1, 4)), np.zeros((4, 0))])
def test_too_little_to_correlate(values):
    with pytest.raises(InputError, match="expected"):
        correlation(values)


def test_affinity_clamps():
    rho = np.array([[1, -0.5, 0.2], [-0.5, 1, 0], [0.2, 0, 1]])
    assert affinity(rho).tolist() == [[0, 0, 0.2], [0, 0, 0], [0.2, 0, 0]]
    assert rho[0, 1] == -0.5  # its own copy


@pytest.mark.parametrize(
    "rho",
    [np.zeros((2, 3)), np.zeros((0, 0)), [[1, 2], [2, 1]], [[1, np.nan], [np.nan, 1]], [[1, 0.5], [0, 1]]],
)
def test_what_is_no_correlation_matrix(rho):
    with pytest.raises(InputError, match="correlations"):
        affinity(rho)


# --- the threshold


def test_the_null_is_what_independent_profiles_give():
    """Shuffled planted blocks look like components that never had anything in common."""
    profiles = Profiles(planted([2] * 10 + [10], noise=0.2)[0])
    null = permutation_null(profiles, draws=40)
    independent = []
    for seed in range(40):
        found = correlation(planted([1] * 30, noise=0.2, seed=seed)[0])
        np.fill_diagonal(found, -1)
        independent.append(found.max())
    assert np.median(null) == pytest.approx(np.median(independent), abs=0.015)
    assert null.max() < 0.2 < 0.5 < correlation(profiles.values)[profiles.values[:, 0].nonzero()[0][0], 0] + 2


def test_the_null_keeps_each_profiles_values(monkeypatch):
    profiles = Profiles(planted([2, 3], samples=300)[0])
    seen = []

    class Watched(Correlations):
        def __init__(self, values):
            seen.append(values)
            super().__init__(values)

    monkeypatch.setattr("splinelab.mechanisms.threshold.Correlations", Watched)
    permutation_null(profiles, draws=2)
    for shuffled in seen:
        assert shuffled.shape == profiles.values.shape
        assert np.array_equal(np.sort(shuffled.toarray(), axis=0), np.sort(profiles.values.toarray(), axis=0))
    assert (seen[0] != seen[1]).nnz


def test_few_samples_have_a_null_that_forbids_everything():
    """At p = .01, 128 samples hold one or two per feature: two of them coincide by chance."""
    few = Profiles(planted([2] * 40, samples=128, p=0.01)[0])
    many = Profiles(planted([2] * 40, samples=20_000, p=0.01)[0])
    assert permutation_null(few).max() > 0.8
    assert permutation_null(many, draws=3).max() < 0.2


def test_the_threshold_lies_in_the_gap():
    values, truth = planted([2] * 8 + [12])
    rho = correlation(values)
    same = truth[:, None] == truth
    np.fill_diagonal(same, False)
    choice = choose_threshold(Profiles(values))
    between = rho[~same & ~np.eye(len(rho), dtype=bool)].max()
    assert between < choice.threshold < rho[same].min()
    assert choice.plateau[0] < 0.2 and choice.plateau[1] > 0.7
    assert choice.null == np.quantile(choice.null_maxima, 0.95) and choice.null < choice.grid[0]
    assert choice.fixed == 0.5 and len(choice.stability) == len(choice.grid)
    near = np.abs(choice.grid - choice.threshold).argmin()
    assert choice.stability[near] > 0.99 and choice.stability[-1] < 0.5


def test_the_threshold_follows_the_gap_down():
    """Blocks that hang together by .3 only: a fixed .5 would take them apart."""
    rng = np.random.default_rng(0)
    base = np.repeat(rng.random((4000, 10)), 4, axis=1)
    values = 0.2 * base + 0.3 * rng.random((4000, 40))
    choice = choose_threshold(Profiles(values, threshold=0.3))
    assert 0.1 < choice.threshold < 0.3 and choice.fixed == 0.5


def test_no_plateau_falls_back_on_the_fixed_rule():
    alone = choose_threshold(Profiles(planted([1] * 12)[0]))
    assert alone.plateau is None and alone.threshold == alone.fixed == 0.5
    assert "no plateau" in repr(alone)
    crowded = choose_threshold(Profiles(planted([2] * 40, samples=60, p=0.01, seed=2)[0]))
    assert crowded.null > 0.975 and len(crowded.grid) == 0 and crowded.threshold == crowded.null


def test_the_choice_is_fixed_by_the_seed_and_leaves_out_what_does_not_vary():
    values = planted([2] * 6)[0]
    first, again = choose_threshold(Profiles(values), seed=5), choose_threshold(Profiles(values), seed=5)
    assert first.threshold == again.threshold and np.array_equal(first.null_maxima, again.null_maxima)
    more = np.column_stack([values, np.full(len(values), 0.8), np.zeros(len(values))])
    padded = choose_threshold(Profiles(more), seed=5)
    assert np.array_equal(padded.null_maxima, first.null_maxima)
    assert np.array_equal(padded.stability, first.stability)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: permutation_null(Profiles(np.zeros((5, 3)))), "0 components are alive"),
        (lambda: permutation_null(Profiles(np.eye(5)[:, :1])), "1 components are alive"),
        (lambda: permutation_null(Profiles(np.eye(5)), draws=0), "draws is 0"),
        (lambda: choose_threshold(Profiles(np.eye(3))), "3 samples"),
        (lambda: choose_threshold(Profiles(np.eye(5)), splits=0), "splits is 0"),
    ],
)
def test_thresholds_that_cannot_be(call, message):
    with pytest.raises(InputError, match=message):
        call()
