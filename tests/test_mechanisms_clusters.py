"""The neighbour graph, its spectrum, and the estimators on planted mechanisms."""

import tracemalloc
from importlib import import_module

import joblib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import partition, planted
from scipy import sparse
from sklearn.base import clone

from splinelab.errors import InputError
from splinelab.mechanisms import (
    AverageLinkage,
    HdbscanMechanisms,
    PaperSpectral,
    Profiles,
    SpectralMechanisms,
    ThresholdComponents,
    affinity,
    assign_rest,
    choose_threshold,
    correlation,
    eigengap,
    laplacian_spectrum,
    mechanism_ari,
    neighbour_graph,
    own_features,
    owners,
    permutation_null,
    spectral_by_part,
)
from splinelab.mechanisms.spectral import spectral_whole

BLOCKS = import_module("splinelab.mechanisms.correlation")  # the room has a function of that name
SIZES = [2, 2, 2, 2, 3, 3, 5, 7, 20, 50]
OURS = [SpectralMechanisms(), HdbscanMechanisms(), AverageLinkage(), ThresholdComponents()]
PAPERS = [PaperSpectral(reading=reading) for reading in ("algorithm", "largest", "parts")]
CALLED = [type(method).__name__ + getattr(method, "reading", "") for method in OURS + PAPERS]


def random_affinity(n, seed, density=0.4):
    """Symmetric, with few distinct values, so that ties are common."""
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.integers(1, 6, (n, n)) / 6 * (rng.random((n, n)) < density), 1)
    return upper + upper.T


# --- the graph


def brute_force(values, k):
    """Mutual neighbours by definition: j is chosen by i if fewer than k others are strictly nearer."""
    n = len(values)
    chosen = np.zeros((n, n), bool)
    for i in range(n):
        for j in range(n):
            nearer = sum(values[i, m] > values[i, j] for m in range(n) if m != i)
            chosen[i, j] = i != j and values[i, j] > 0 and nearer < k
    return np.where(chosen & chosen.T, values, 0)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 9), st.integers(1, 10), st.integers(0, 10**6))
def test_mutual_neighbours_by_definition(n, k, seed):
    values = random_affinity(n, seed)
    found = neighbour_graph(values, k)
    assert np.array_equal(found.weights.toarray(), brute_force(values, k))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 12), st.integers(0, 10**6), st.sampled_from([1, 3, "adaptive"]))
def test_the_graph_follows_a_permutation(n, seed, k):
    values = random_affinity(n, seed)
    order = np.random.default_rng(seed).permutation(n)
    found = neighbour_graph(values[np.ix_(order, order)], k).weights.toarray()
    assert np.array_equal(found, neighbour_graph(values, k).weights.toarray()[np.ix_(order, order)])
    assert np.array_equal(found, found.T)


def test_rounding_does_not_decide_who_is_a_neighbour():
    values = np.full((6, 6), 0.7)
    np.fill_diagonal(values, 0)
    noise = np.triu(np.random.default_rng(0).uniform(-1e-12, 1e-12, (6, 6)), 1)
    assert neighbour_graph(values + noise + noise.T, 2).edges == 15
    assert neighbour_graph(values + 1e6 * (noise + noise.T), 2).edges < 15


def test_adaptive_k_ends_at_the_largest_drop():
    values = np.zeros((5, 5))
    for i, j, weight in [(0, 1, 0.9), (0, 2, 0.8), (1, 2, 0.85), (2, 3, 0.3), (3, 4, 0.2)]:
        values[i, j] = values[j, i] = weight
    found = neighbour_graph(values)
    # Node 3 sees .3, .2, 0: equal drops further down, the last of them counts; node 2 does not choose it.
    assert found.neighbours.tolist() == [2, 2, 2, 2, 1]
    assert found.edges == 4 and found.part.tolist() == [0, 0, 0, 1, 1]
    assert neighbour_graph(values, threshold=0.25).part.tolist() == [0, 0, 0, 1, 2]
    assert neighbour_graph(values, threshold=0.8).edges == 2  # the threshold itself is no neighbour


def test_parts_and_isolated_nodes():
    for seed in range(10):
        found = neighbour_graph(random_affinity(30, seed, density=0.1), 2)
        linked = found.weights.toarray() > 0
        reach = np.linalg.matrix_power(linked + np.eye(30), 30) > 0
        assert partition(found.part) == {frozenset(np.flatnonzero(row).tolist()) for row in reach}
        assert found.parts == len(np.unique(reach, axis=0)) and found.edges == linked.sum() / 2
        assert np.array_equal(found.isolated, reach.sum(axis=0) == 1)
        assert [part.tolist() for part in found.members()] == [
            np.flatnonzero(found.part == label).tolist() for label in range(found.parts)
        ]
        first = [part[0] for part in found.members()]
        assert first == sorted(first)


@pytest.mark.parametrize("k", [0, -1, 2.5, True, None, "many"])
def test_impossible_k(k):
    with pytest.raises(InputError, match=r'k is .*; expected .*, or "adaptive"'):
        neighbour_graph(np.eye(3), k)


@pytest.mark.parametrize(
    "values", [np.zeros((2, 3)), np.zeros((0, 0)), [[0, -1], [-1, 0]], [[0, np.inf], [np.inf, 0]]]
)
def test_what_is_no_affinity(values):
    with pytest.raises(InputError, match="affinity"):
        neighbour_graph(values)


# --- the spectrum


def dense_laplacian(weights):
    """I − D^−½ W D^−½ by hand; 0 for nodes without an edge."""
    degree = weights.sum(axis=1)
    root = np.divide(1, np.sqrt(degree), out=np.zeros(len(degree)), where=degree > 0)
    return np.diag((degree > 0).astype(float)) - root[:, None] * weights * root


@pytest.mark.parametrize("density", [0.03, 0.1, 0.5])
def test_the_spectrum_is_that_of_the_dense_laplacian(density):
    for seed in range(5):
        graph = neighbour_graph(random_affinity(40, seed, density), 5)
        expected = np.linalg.eigvalsh(dense_laplacian(graph.weights.toarray()))
        found = laplacian_spectrum(graph)
        assert np.allclose(found, expected, rtol=0, atol=1e-12)
        assert (found < 1e-9).sum() == graph.parts
        assert (found == 0).sum() == graph.parts  # exactly


def test_a_large_part_has_the_same_low_eigenvalues(monkeypatch):
    graph = neighbour_graph(random_affinity(300, 0, 0.05), 8)
    whole = laplacian_spectrum(graph)
    by_part = spectral_by_part(graph)
    monkeypatch.setattr("splinelab.mechanisms.spectral._DENSE", 100)
    low = laplacian_spectrum(graph)
    assert len(low) < len(whole) and np.allclose(low[:100], whole[:100], rtol=0, atol=1e-10)
    assert np.array_equal(laplacian_spectrum(graph), low)
    assert spectral_by_part(graph).shape == by_part.shape


def test_known_spectra():
    triangle = neighbour_graph(np.ones((3, 3)), 2)
    assert np.allclose(laplacian_spectrum(triangle), [0, 1.5, 1.5])
    assert laplacian_spectrum(neighbour_graph(np.ones((2, 2)), 1)).tolist() == pytest.approx([0, 2])
    assert laplacian_spectrum(neighbour_graph(np.ones((1, 1)), 1)).tolist() == [0]


def test_eigengap():
    values = [0, 0, 0.1, 0.8, 1, 1.9]
    assert eigengap(values, None).k == 5 and eigengap(values, None).gap == pytest.approx(0.9)
    assert eigengap(values, 3).k == 3 and eigengap(values, 2).k == 2 and eigengap(values, 0).k == 1
    assert eigengap([0, 0.5, 1, 1.5 + 1e-12], None).k == 1  # equal gaps: the first
    assert eigengap([0], None).k == 1
    with pytest.raises(InputError, match="at least one"):
        eigengap([], None)


def test_two_blocks_on_a_thin_bridge():
    values = np.zeros((22, 22))
    values[:10, :10] = values[10:, 10:] = 0.8
    values[9, 10] = values[10, 9] = 0.8
    graph = neighbour_graph(values, 21)
    assert graph.parts == 1 and eigengap(laplacian_spectrum(graph), 11).k == 2
    expected = {frozenset(range(10)), frozenset(range(10, 22))}
    assert partition(spectral_by_part(graph)) == expected
    assert partition(spectral_whole(graph)[0]) == expected
    assert len(partition(spectral_by_part(graph, cap=1))) == 1


@pytest.mark.parametrize("n", [1, 2, 3])
def test_k_is_at_most_half_of_a_part(n):
    assert spectral_by_part(neighbour_graph(np.ones((n, n)))).tolist() == [0] * n


def test_the_rest_goes_to_the_nearest_cluster():
    rho = np.array(
        [
            [1, 1, 0, 0, 0.2],
            [1, 1, 0, 0, 0.4],
            [0, 0, 1, 0.1, 0.35],
            [0, 0, 0.1, 1, 0.9],
            [0.2, 0.4, 0.35, 0.9, 1],
        ]
    )
    # Means: .3 with the first two, .35 with the third; node 3 had no label and does not draw node 4.
    assert assign_rest([4, 4, 7, -1, -1], rho).tolist() == [4, 4, 7, 7, 7]
    assert assign_rest([0, 1, 2, 3, 4], rho).tolist() == [0, 1, 2, 3, 4]
    assert assign_rest([-1] * 5, rho).tolist() == [-1] * 5


# --- the estimators


@pytest.mark.parametrize("method", OURS, ids=CALLED[:4])
@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("seed", [0, 1])
def test_planted_mechanisms_of_2_to_50_are_found(method, noise, seed):
    values, truth = planted(SIZES, noise=noise, seed=seed)
    found = clone(method).fit(values)
    assert partition(found.labels_) == partition(truth) and found.n_clusters_ == len(SIZES)


APART = [PaperSpectral(reading=reading, sets_apart=True) for reading in ("algorithm", "parts")]


@pytest.mark.parametrize("method", OURS + PAPERS + APART, ids=[*CALLED, "apart-algorithm", "apart-parts"])
def test_always_on_dead_and_copied_components(method):
    values, truth = planted([2, 3, 4, 6], seed=3)
    samples = len(values)
    extra = np.column_stack(
        [
            np.ones(samples),
            np.linspace(0.2, 1, samples),  # varies, but always on
            np.full(samples, 0.05),  # no variance, dead
            np.zeros(samples),
            values[:, 0],
            values[:, 0] * 0.5,
        ]
    )
    profiles = Profiles(np.column_stack([values, extra]))
    labels = clone(method).fit(profiles).labels_
    assert labels[17:19].tolist() == [-1, -1] and (np.delete(labels, [17, 18]) >= 0).all()
    assert len(set(labels[[0, 19, 20]])) == 1
    assert partition(labels[:15]) == partition(truth)
    if method in OURS or method.sets_apart:
        found = clone(method).fit(profiles)
        assert set(labels[15:17]) == {found.always_on_}
        assert (labels == found.always_on_).sum() == 2
        assert found.nodes_.tolist() == [*range(15), 19, 20]
        assert found.n_clusters_ == 5


def test_nothing_always_on():
    assert SpectralMechanisms().fit(planted([2, 3])[0]).always_on_ is None


def test_only_always_on_components():
    for method in OURS:
        found = clone(method).fit(np.full((5, 3), 0.5))
        assert found.labels_.tolist() == [0, 0, 0] and found.always_on_ == 0 and len(found.nodes_) == 0


@pytest.mark.parametrize("method", OURS + PAPERS, ids=CALLED)
def test_groups_do_not_depend_on_the_order_of_the_components(method):
    values, _ = planted([2, 2, 3, 5, 12], noise=0.2, seed=5)
    values = np.column_stack([values, values[:, :2], np.ones(len(values))])  # exact ties too
    whole = partition(clone(method).fit(values).labels_)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(values.shape[1])
        labels = np.empty(len(order), int)
        labels[order] = clone(method).fit(values[:, order]).labels_
        if method in OURS or method.reading == "parts":
            assert partition(labels) == whole
        else:  # the always-on node has no correlation, so that its "nearest" cluster is whichever comes first
            assert partition(labels[:-1]) == {group - {len(labels) - 1} for group in whole} - {frozenset()}


@pytest.mark.parametrize("method", OURS + PAPERS, ids=CALLED)
def test_the_same_labels_again(method):
    values, _ = planted(SIZES, noise=0.5, seed=7)
    first, second = clone(method).fit(values), clone(method)
    assert np.array_equal(first.labels_, second.fit_predict(values))
    seen = list(dict.fromkeys(first.labels_.tolist()))
    assert seen == list(range(first.n_clusters_))  # numbered by their first component
    assert np.array_equal(second.fit_correlation(correlation(values)).labels_, first.labels_)


@pytest.mark.parametrize("method", OURS + PAPERS, ids=CALLED)
def test_one_and_two_components(method):
    rng = np.random.default_rng(0)
    one = rng.random((50, 1)) * (rng.random((50, 1)) < 0.5)
    assert clone(method).fit(one).labels_.tolist() == [0]
    assert clone(method).fit(np.hstack([one, np.zeros((50, 1))])).labels_.tolist() == [0, -1]
    together = clone(method).fit(np.hstack([one, one])).labels_.tolist()
    # HDBSCAN needs a third point to tell a group of two from anything else.
    assert together == ([0, 1] if isinstance(method, HdbscanMechanisms) else [0, 0])
    apart = np.hstack([one, 1 - one])  # ρ = −1
    # The largest gap of two eigenvalues is after the first: on the whole graph, two nodes are one cluster.
    whole = method in PAPERS[:2]
    assert clone(method).fit(apart).labels_.tolist() == ([0, 0] if whole else [0, 1])


@pytest.mark.parametrize("method", OURS + PAPERS, ids=CALLED)
def test_no_alive_component(method):
    with pytest.raises(InputError, match=r"no component is alive: the largest importance is 0\.05"):
        clone(method).fit(np.full((5, 3), 0.05))


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (PaperSpectral(reading="mine"), "reading is 'mine'"),
        (PaperSpectral(cap=0), "cap is 0"),
        (PaperSpectral(cap="all"), "cap is 'all'"),
        (HdbscanMechanisms(1), "min_cluster_size is 1"),
        (SpectralMechanisms(k=0), "k is 0"),
    ],
)
def test_impossible_parameters(method, message):
    with pytest.raises(InputError, match=message):
        method.fit(planted([2, 3])[0])
    with pytest.raises(InputError, match="correlations"):
        method.fit_correlation(np.ones((2, 3)))


def test_parameters_are_scikit_learns():
    method = SpectralMechanisms(k=4, threshold=0.2, seed=3)
    assert method.get_params() == {"k": 4, "threshold": 0.2, "seed": 3}
    assert (
        clone(method).set_params(k=5).k == 5
        and repr(method) == "SpectralMechanisms(k=4, seed=3, threshold=0.2)"
    )


def test_what_the_spectral_estimator_reports():
    values, _ = planted([2, 2, 1, 6])
    found = SpectralMechanisms().fit(values)
    assert found.graph_.parts == 4 and found.graph_.isolated.sum() == 1 and found.graph_.edges == 2 + 15
    assert found.gap_.k == 4 and found.gap_.cap == 5
    assert len(found.eigenvalues_) == 11 and (found.eigenvalues_ == 0).sum() == 4


# --- the paper


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ten_neighbours_break_a_clique_of_fifty_and_adaptive_ones_do_not(seed):
    """The paper's k against the mechanism of 50 components that it reports."""
    values, truth = planted([2] * 10 + [50], seed=seed)
    pairs = {group for group in partition(truth) if len(group) == 2}
    (big,) = partition(truth) - pairs
    for method in (SpectralMechanisms(k=10), PaperSpectral(k=10, reading="parts")):
        found = partition(method.fit(values).labels_)
        assert big not in found and pairs <= found
    assert big not in partition(PaperSpectral(k=10).fit(values).labels_)
    for method in (SpectralMechanisms(), SpectralMechanisms(k=49), PaperSpectral(k=49)):
        assert partition(method.fit(values).labels_) == pairs | {big}


def test_without_a_cap_the_gap_at_the_upper_end_may_win():
    """Every pair has the eigenvalues 0 and 2: with 10 pairs, K = N − 10 is as tempting as K = 11."""
    values, _ = planted([2] * 10 + [50])
    free, capped = PaperSpectral(k=49, cap=None).fit(values), PaperSpectral(k=49).fit(values)
    assert free.gap_.k == 60 and free.gap_.cap is None
    assert capped.gap_.k == 11 and capped.gap_.cap == 35
    assert np.array_equal(free.eigenvalues_, capped.eigenvalues_)


def test_ten_neighbours_are_right_for_forty_pairs():
    values, truth = planted([2] * 40, samples=5000, p=0.03)
    for reading in ("algorithm", "parts"):
        found = PaperSpectral(reading=reading).fit(values)
        assert partition(found.labels_) == partition(truth)
    assert PaperSpectral().fit(values).gap_.k == 40


def test_the_largest_part_swallows_the_rest():
    """Section 4's reading: all other pairs go to a cluster of the largest component."""
    values, truth = planted([2] * 5 + [8], seed=1)
    # Without clamping noise, all pairs may hang together; above the noise they do not.
    rho = np.where(correlation(values) > 0.3, correlation(values), 0)
    found = PaperSpectral(reading="largest").fit_correlation(rho)
    assert found.graph_.parts == 6 and found.gap_.k == 1 and found.n_clusters_ == 1
    assert PaperSpectral().fit_correlation(rho).n_clusters_ == 6
    assert partition(PaperSpectral(reading="parts").fit_correlation(rho).labels_) == partition(truth)


def test_more_isolated_nodes_than_half_leave_the_capped_algorithm_blind():
    """With K ≤ N/2 the zero eigenvalues alone fill K; per part nothing is lost."""
    rho = np.eye(10)
    rho[8, 9] = rho[9, 8] = 0.9
    blind = PaperSpectral().fit_correlation(rho)
    assert blind.gap_.k < 9 and blind.graph_.parts == 9
    assert PaperSpectral(cap=None).fit_correlation(rho).n_clusters_ == 9
    assert SpectralMechanisms().fit_correlation(rho).n_clusters_ == 9


def test_an_always_on_component_lands_anywhere_in_the_papers_method():
    values, _ = planted([2, 2, 2], seed=2)
    found = PaperSpectral(reading="largest").fit(np.column_stack([values, np.ones(len(values))]))
    assert found.always_on_ is None and (found.labels_ == found.labels_[-1]).sum() > 1


def test_affinity_of_the_whole_is_what_the_graph_gets():
    rho = correlation(planted([2, 3, 4])[0])
    found = SpectralMechanisms(threshold=0.0).fit_correlation(rho)
    assert np.array_equal(found.graph_.weights.toarray(), neighbour_graph(affinity(rho)).weights.toarray())


# --- limits


def test_components_that_are_all_equal_are_one_mechanism():
    """HDBSCAN alone never takes all of its points for one cluster."""
    values, _ = planted([9], noise=0)
    assert HdbscanMechanisms().fit(values).labels_.tolist() == [0] * 9
    assert HdbscanMechanisms().fit(planted([9], noise=0.1)[0]).n_clusters_ == 1
    stray = np.hstack([values, planted([1], seed=5)[0]])
    assert HdbscanMechanisms().fit(stray).labels_.tolist() == [0] * 9 + [1]


def test_components_that_have_nothing_in_common_stay_apart():
    assert HdbscanMechanisms().fit(np.repeat(np.eye(9), 5, axis=0)).n_clusters_ == 9


@pytest.mark.parametrize("method", OURS + PAPERS, ids=CALLED)
@pytest.mark.parametrize("block", [1, 7, 10_000])
def test_groups_do_not_depend_on_how_many_rows_are_held(method, block, monkeypatch):
    values, _ = planted([2] * 8 + [9, 1], seed=3)
    expected = clone(method).fit(values)
    monkeypatch.setattr(BLOCKS, "_BLOCK", block)
    found = clone(method).fit(values)
    np.testing.assert_array_equal(found.labels_, expected.labels_)
    if hasattr(found, "graph_"):
        np.testing.assert_array_equal(found.graph_.weights.toarray(), expected.graph_.weights.toarray())
        np.testing.assert_array_equal(found.eigenvalues_, expected.eigenvalues_)
    np.testing.assert_array_equal(
        clone(method).fit_correlation(correlation(Profiles(values).values)).labels_, expected.labels_
    )


@pytest.mark.parametrize("method", OURS, ids=CALLED[: len(OURS)])
def test_any_number_of_jobs_finds_the_same_groups(method, monkeypatch):
    monkeypatch.setattr(BLOCKS, "_BLOCK", 10)
    values, _ = planted([2] * 15)
    expected = clone(method).fit(values).labels_
    with joblib.parallel_config("loky", n_jobs=2):
        np.testing.assert_array_equal(clone(method).fit(values).labels_, expected)


def pairs_on_their_own(pairs, samples=2000):
    """Profiles of many pairs, each on for a sample of its own."""
    at = np.repeat(np.arange(pairs) % samples, 2)
    return sparse.csr_matrix((np.ones(2 * pairs), (at, np.arange(2 * pairs))), shape=(samples, 2 * pairs))


@pytest.mark.parametrize(
    "method", [SpectralMechanisms(), PaperSpectral(4, reading="parts"), ThresholdComponents()]
)
def test_memory_grows_with_components_and_not_with_their_pairs(method):
    values = pairs_on_their_own(2000)
    tracemalloc.start()
    try:
        assert method.fit(values).n_clusters_ == 2000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.7 * 8 * 4000**2


@pytest.mark.parametrize("method", [HdbscanMechanisms(), AverageLinkage()])
def test_methods_that_hold_a_matrix_say_what_it_needs(method):
    values = pairs_on_their_own(10**6, samples=10**6)
    with pytest.raises(InputError, match=r"needs 32000\.0 GB of memory and .* are free: SpectralMechanisms"):
        method.fit(values)
    with pytest.raises(InputError, match=r"needs 32000\.0 GB"):
        correlation(values)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), None, "0.5", True, 1j])
def test_a_threshold_is_a_finite_number(wrong):
    values, _ = planted([2, 3])
    for call in (
        lambda: SpectralMechanisms(threshold=wrong).fit(values),
        lambda: AverageLinkage(wrong).fit(values),
        lambda: ThresholdComponents(wrong).fit(values),
        lambda: neighbour_graph(np.eye(3), threshold=wrong),
        lambda: owners(np.eye(3), threshold=wrong),
        lambda: Profiles(values, threshold=wrong),
    ):
        with pytest.raises(InputError, match="threshold is"):
            call()


@pytest.mark.parametrize("wrong", [-1, 2.5, None, True, 2**32])
def test_a_seed_is_a_whole_number(wrong):
    values, _ = planted([2, 3])
    for call in (
        lambda: SpectralMechanisms(seed=wrong).fit(values),
        lambda: PaperSpectral(seed=wrong).fit(values),
        lambda: spectral_by_part(neighbour_graph(np.eye(3)), seed=wrong),
        lambda: permutation_null(Profiles(values), seed=wrong),
        lambda: choose_threshold(Profiles(values), seed=wrong),
        lambda: Profiles(values).halves(wrong),
    ):
        with pytest.raises(InputError, match="seed is"):
            call()
    assert SpectralMechanisms(seed=np.int64(1)).fit(values).n_clusters_ == 2


@pytest.mark.parametrize("wrong", [2.5, True, "4", None])
def test_counts_are_whole_numbers(wrong):
    values, _ = planted([2, 3])
    for call in (
        lambda: SpectralMechanisms(wrong).fit(values),
        lambda: HdbscanMechanisms(wrong).fit(values),
        lambda: permutation_null(Profiles(values), draws=wrong),
        lambda: choose_threshold(Profiles(values), splits=wrong),
        lambda: PaperSpectral(cap=wrong if wrong is not None else 0.5).fit(values),
    ):
        with pytest.raises(InputError, match="whole number"):
            call()


def test_matrices_that_are_not_symmetric_are_refused():
    wrong = np.eye(4)
    wrong[0, 3] = 0.5
    calls = [affinity, neighbour_graph, lambda x: assign_rest([0, 0, 1, -1], x)]
    calls += [clone(method).fit_correlation for method in OURS + PAPERS]
    for call in calls:
        with pytest.raises(InputError, match="not symmetric"):
            call(wrong)


@pytest.mark.parametrize(
    "wrong", [None, [0.0, 1.0, 1.0], np.array([0, 2**64 - 1, 1], np.uint64), [[0], [1], [1]]]
)
def test_labels_are_whole_numbers(wrong):
    for call in (
        lambda: mechanism_ari(wrong, [0, 1, 1]),
        lambda: mechanism_ari([0, 1, 1], wrong),
        lambda: own_features(wrong, [0, 1, 1]),
        lambda: own_features([0, 1, 1], wrong),
        lambda: assign_rest(wrong, np.eye(3)),
    ):
        with pytest.raises(InputError, match=r"expected|beyond int64"):
            call()


def test_bfloat16_importances_are_read_as_they_are():
    values = torch.from_numpy(planted([2, 3])[0]).bfloat16()
    ours, plain = Profiles(values), Profiles(values.float().numpy())
    np.testing.assert_array_equal(ours.values.toarray(), plain.values.toarray())
    batches = Profiles.from_batches([{"layer": values}])
    np.testing.assert_array_equal(batches.values.toarray(), plain.values.toarray())
