"""Separability, its bootstrap and its null against scikit-learn, numpy and brute force."""

from dataclasses import astuple
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import cdist
from sklearn.metrics import roc_auc_score

from splinelab.distances import bootstrap, class_histograms, pairwise, permutation_null, separability
from splinelab.errors import InputError

STATISTICS = ("auc", "overlap", "d_prime", "gap")


def matrix(n=40, seed=0, *, units=3, shift=1.0, classes=3):
    """Distances of points in groups, and the groups."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % classes)
    points = rng.normal(size=(n, units)) + shift * np.eye(max(units, classes))[labels, :units]
    return pairwise(points, metric="l2"), labels


def pairs(distances, labels):
    """Above the diagonal: the distances, and whether the two are of different classes."""
    above = np.triu_indices(len(distances), 1)
    labels = np.asarray(labels)
    return distances[above].astype(np.float64), (labels[:, None] != labels)[above]


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 30), st.integers(0, 999), st.sampled_from([1, 5, 1000]))
def test_every_figure_agrees_with_a_direct_computation(n, seed, steps):
    rng = np.random.default_rng(seed)
    d = rng.integers(0, steps + 1, (n, n)) / steps  # few steps: many ties
    d = np.triu(d, 1) + np.triu(d, 1).T
    labels = rng.permutation(np.arange(n) % 2)
    values, different = pairs(d, labels)
    found = separability(d, labels)
    assert found.auc == pytest.approx(roc_auc_score(different, values))
    inter, intra = values[different], values[~different]
    sd = np.sqrt((inter.var() + intra.var()) / 2)
    if sd > 0:
        assert found.d_prime == pytest.approx((inter.mean() - intra.mean()) / sd)
    if values.std() > 0:
        edge = [np.quantile(part, q, method="inverted_cdf") for part, q in ((inter, 0.05), (intra, 0.95))]
        assert found.gap == pytest.approx((edge[0] - edge[1]) / values.std())
        edges = np.linspace(values.min(), values.max(), 101)
        shares = [np.histogram(part, edges)[0] / len(part) for part in (inter, intra)]
        # A value on an inner edge may fall to either side by rounding.
        on_edge = (np.abs(values[:, None] - edges[1:-1]).min(axis=1) < 1e-9 * np.ptp(values)).sum()
        slack = 1e-9 + on_edge / min(len(inter), len(intra))
        assert found.overlap == pytest.approx(np.minimum(*shares).sum(), abs=slack)


@pytest.mark.parametrize("metric", ["hamming", "jaccard"])
def test_a_histogram_gives_the_same_as_the_matrix(metric):
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 4
    bits = rng.random((200, 90)) < rng.random((4, 90))[labels] * 0.5
    from_counts = separability(class_histograms(bits, labels, metric))
    from_matrix = separability(pairwise(bits, metric=metric), labels)
    for statistic in STATISTICS:
        assert getattr(from_counts, statistic) == pytest.approx(getattr(from_matrix, statistic), abs=1e-6)


def test_clear_cases():
    apart = np.array([[0, 1, 9, 9], [1, 0, 9, 9], [9, 9, 0, 1], [9, 9, 1, 0.0]])
    found = separability(apart, ["a", "a", "b", "b"])
    assert found.auc == 1 and found.overlap == 0 and found.d_prime == np.inf and found.gap > 0
    assert separability(-apart, [0, 0, 1, 1]).auc == 0
    equal = np.ones((4, 4))
    found = separability(equal, [0, 0, 1, 1])
    assert (found.auc, found.overlap, found.d_prime, found.gap) == (0.5, 1, 0, 0)


def weighted_auc(distances, labels, weights):
    values, different = pairs(distances, labels)
    of_pair = np.multiply.outer(weights, weights)[np.triu_indices(len(distances), 1)]
    return roc_auc_score(different[of_pair > 0], values[of_pair > 0], sample_weight=of_pair[of_pair > 0])


def expected_draws(stack, labels, resamples, seed):
    """The documented procedure, pair by pair, with the same random numbers."""
    rng, n, draws = np.random.default_rng(seed), len(labels), []
    for _ in range(resamples):
        weights = np.bincount(rng.integers(n, size=n), minlength=n)
        draws.append([weighted_auc(d, labels, weights) for d in stack])
    return np.array(draws)


@pytest.mark.parametrize("nets", [1, 3])
def test_draws_agree_with_brute_force(nets):
    stack = [matrix(seed=s)[0] for s in range(nets)]
    labels = matrix()[1]
    found = bootstrap({"ours": stack, "theirs": [d.round(1) for d in stack]}, labels, resamples=20, seed=7)
    np.testing.assert_allclose(found.draws["ours"].auc, expected_draws(stack, labels, 20, 7))
    rounded = [d.round(1) for d in stack]  # ties
    np.testing.assert_allclose(found.draws["theirs"].auc, expected_draws(rounded, labels, 20, 7))
    each = [separability(d, labels).auc for d in stack]
    np.testing.assert_allclose(found.nets["ours"].auc, each)
    assert found.values["ours"].auc == pytest.approx(np.mean(each))


def test_every_statistic_is_drawn():
    d, labels = matrix(60, shift=3)
    found = bootstrap({"d": d}, labels, resamples=100)
    for statistic in STATISTICS:
        value, low, high = found.interval("d", statistic)
        drawn = getattr(found.draws["d"], statistic)
        assert value == getattr(separability(d, labels), statistic) and drawn.shape == (100, 1)
        half = stats.t.ppf(0.975, 59) * drawn.std(ddof=1)
        assert (value - low, high - value) == pytest.approx((half, half))


def test_rounding_to_levels_moves_an_auc_by_less_than_stated(monkeypatch):
    d, labels = matrix(80)
    exact = bootstrap({"d": d}, labels, resamples=30)
    values, different = pairs(d, labels)
    for levels in (64, 512):
        # by module, since the package's name `bootstrap` is the function
        monkeypatch.setattr(import_module("splinelab.distances.bootstrap"), "LEVELS", levels)
        rounded = bootstrap({"d": d}, labels, resamples=30)
        error = np.abs(rounded.draws["d"].auc - exact.draws["d"].auc).max()
        assert 0 < error < len(values) / (2 * levels * different.sum())
        assert rounded.values["d"].auc == exact.values["d"].auc  # values are never rounded


def test_differences_are_paired():
    d, labels = matrix(60)
    noisy = d + np.random.default_rng(0).uniform(0, 0.02, d.shape)
    noisy = np.triu(noisy, 1) + np.triu(noisy, 1).T
    found = bootstrap({"a": d, "b": noisy, "c": d}, labels, resamples=200)
    assert tuple(found.difference("a", "c")) == (0, 0, 0)
    value, low, high = found.difference("a", "b")
    assert value == pytest.approx(found.values["a"].auc - found.values["b"].auc)
    wide = found.interval("a")
    assert high - low < (wide.high - wide.low) / 5  # what both share cancels
    other = bootstrap({"b": noisy}, labels, resamples=200)
    assert found.difference("a", "b", other=other) == found.difference("a", "b")
    far = bootstrap(
        {"good": matrix(60, shift=4)[0], "bad": matrix(60, shift=0)[0]}, matrix(60)[1], resamples=100
    )
    assert far.difference("good", "bad").low > 0


def test_one_matrix_stands_for_every_seed():
    d, labels = matrix()
    alone = bootstrap({"d": d}, labels, resamples=10)
    repeated = bootstrap({"d": [d, d], "pixels": d}, labels, resamples=10)
    np.testing.assert_allclose(repeated.draws["d"].auc, np.repeat(repeated.draws["pixels"].auc, 2, axis=1))
    assert tuple(repeated.difference("d", "pixels")) == (0, 0, 0)
    assert repeated.values == {"d": alone.values["d"], "pixels": alone.values["d"]}


def test_the_interval_is_as_wide_as_new_images_make_it():
    aucs = [separability(*matrix(90, seed=s)).auc for s in range(120)]
    sds = [
        bootstrap({"d": matrix(90, seed=s)[0]}, matrix(90, seed=s)[1], resamples=60).draws["d"].auc.std()
        for s in range(8)
    ]
    assert 0.7 < np.mean(sds) / np.std(aucs) < 1.4


def test_same_seed_same_draws():
    d, labels = matrix()
    first, second = (bootstrap({"d": d}, labels, resamples=5, seed=3).draws["d"].auc for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (first != bootstrap({"d": d}, labels, resamples=5, seed=4).draws["d"].auc).any()


def test_a_handful_of_images_never_draws_an_undefined_figure():
    d = np.array([[0, 1, 3, 4], [1, 0, 2, 3], [3, 2, 0, 1], [4, 3, 1, 0.0]])
    assert np.isfinite(bootstrap({"d": d}, [0, 0, 1, 1], resamples=200).draws["d"].auc).all()


def test_shuffled_labels_separate_nothing():
    d, labels = matrix(80, shift=4)
    null = permutation_null(d, labels, permutations=200)
    assert null.value == separability(d, labels).auc > 0.9
    assert abs(null.draws.mean() - 0.5) < 0.01 and null.p == pytest.approx(1 / 201)
    nothing = permutation_null(matrix(80, shift=0)[0], labels, permutations=200)
    assert nothing.p > 0.01


def test_shuffles_agree_with_brute_force():
    d, labels = matrix(30)
    draws = permutation_null(d, labels, permutations=5, seed=2).draws
    rng, sizes = np.random.default_rng(2), np.bincount(labels)
    for draw in draws:
        shuffled = np.empty(30, int)
        shuffled[rng.permutation(30)] = np.repeat(np.arange(len(sizes)), sizes)
        values, different = pairs(d, shuffled)
        assert draw == pytest.approx(roc_auc_score(different, values))


def nan_matrix():
    d = np.ones((4, 4))
    d[1, 2] = np.nan
    return d


@pytest.mark.parametrize(
    ("d", "labels", "message"),
    [
        (np.ones((4, 4)), [0, 0, 0, 0], "at least 2"),
        (np.ones((4, 4)), [0, 1, 2, 3], "no same-class pair"),
        (np.ones((4, 4)), [0, 0, 1], "labels have shape"),
        (np.ones((4, 4)), [0, 0, 1, np.nan], "NaN"),
        (np.ones((4, 3)), [0, 0, 1, 1], "n × n"),
        (np.ones((1, 1)), [0], "at least 2"),
        (np.ones((0, 0)), [], "at least 2"),
        (nan_matrix(), [0, 0, 1, 1], "NaN"),
    ],
)
def test_bad_input_is_refused(d, labels, message):
    with pytest.raises(InputError, match=message):
        bootstrap({"d": d}, labels, resamples=2)
    with pytest.raises(InputError, match=message):
        permutation_null(d, labels, permutations=1)
    if message == "at least 2" and len(d) == 4:
        message = "no different-class pair"
    with pytest.raises(InputError, match=message):
        separability(d, labels)


def test_bad_arguments_are_refused():
    d, labels = matrix()
    with pytest.raises(InputError, match="labels are missing"):
        separability(d)
    histogram = class_histograms(np.eye(4), [0, 0, 1, 1], "hamming")
    with pytest.raises(InputError, match="hold them already"):
        separability(histogram, [0, 0, 1, 1])
    with pytest.raises(InputError, match="no different-class pair"):
        separability(class_histograms(np.eye(4), [0, 0, 0, 0], "hamming"))
    with pytest.raises(InputError, match="non-empty dict"):
        bootstrap(d, labels)
    with pytest.raises(InputError, match="resamples"):
        bootstrap({"d": d}, labels, resamples=1)
    with pytest.raises(InputError, match="empty list"):
        bootstrap({"d": []}, labels)
    with pytest.raises(InputError, match="same images"):
        bootstrap({"d": d, "e": d[:9, :9]}, labels)
    with pytest.raises(InputError, match="same number"):
        bootstrap({"d": [d, d], "e": [d, d, d]}, labels)
    with pytest.raises(InputError, match="permutations"):
        permutation_null(d, labels, permutations=0)


@pytest.mark.parametrize("scale", [1e-28, 1e-9, 1e20, 1e37])
def test_no_statistic_has_a_unit(scale):
    x, labels = np.random.default_rng(0).normal(size=(60, 4)), np.arange(60) % 3
    d = cdist(x + labels[:, None], x + labels[:, None])
    assert separability(d * scale, labels).auc == separability(d, labels).auc
    np.testing.assert_allclose(
        astuple(separability(d * scale, labels)), astuple(separability(d, labels)), rtol=1e-9
    )
    ours, theirs = (bootstrap({"d": each}, labels, resamples=5).draws["d"].d_prime for each in (d * scale, d))
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_matrices_that_hold_no_distances_are_refused():
    d, labels = cdist(np.eye(6), np.arange(36.0).reshape(6, 6) ** 2), [0, 0, 0, 1, 1, 1]
    good = d + d.T
    for call in (
        lambda d: separability(d, labels),
        lambda d: bootstrap({"d": d}, labels),
        lambda d: permutation_null(d, labels),
    ):
        with pytest.raises(InputError, match="not symmetric"):
            call(d)
        for scale in (1e-60, 1e60):
            with pytest.raises(InputError, match="what float32 holds"):
                call(good * scale)


@pytest.mark.parametrize("wrong", [2.5, True, None, "3", -1])
def test_counts_and_seeds_are_whole_numbers(wrong):
    d, labels = cdist(np.eye(6), np.eye(6)), [0, 0, 0, 1, 1, 1]
    for call in (
        lambda: bootstrap({"d": d}, labels, resamples=wrong),
        lambda: bootstrap({"d": d}, labels, seed=wrong),
        lambda: permutation_null(d, labels, permutations=wrong),
        lambda: permutation_null(d, labels, seed=wrong),
    ):
        with pytest.raises(InputError, match=r"(resamples|seed|permutations) is"):
            call()
    assert bootstrap({"d": d}, labels, resamples=np.int64(3), seed=np.int64(1)).values
