"""Clustering against scikit-learn and scipy, and what every edge case answers."""

from contextlib import nullcontext

import hdbscan
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn import metrics
from sklearn.cluster import DBSCAN, KMeans

from splinelab.clustering import (
    METHODS,
    algorithms,
    ari,
    bootstrap_ari,
    calinski_harabasz,
    cluster,
    davies_bouldin,
    knee_eps,
    nmi,
    scan_k,
    silhouette,
)
from splinelab.codes import SplineCodes
from splinelab.distances import pairwise
from splinelab.errors import InputError

NEED_K = ("kmeans", "ward", "average")


def groups(n=120, units=80, classes=4, seed=0):
    """Codes with classes, and the classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    bits = rng.random((n, units)) < rng.choice([0.03, 0.8], (classes, units))[labels]
    return SplineCodes.from_bits({"relu": bits}), labels


CODES, LABELS = groups()
POINTS = np.random.default_rng(1).normal(0, 0.3, (90, 5)) + np.repeat(np.eye(5)[:3] * 4, 30, axis=0)
CLASSES = np.repeat(range(3), 30)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["codes", "vectors", "precomputed"])
def test_every_method_finds_what_is_there(method, kind):
    if kind == "precomputed" and method in ("kmeans", "ward"):
        pytest.skip("needs coordinates")
    x, truth = (CODES, LABELS) if kind != "vectors" else (POINTS, np.repeat(range(3), 30))
    metric = None
    if kind == "precomputed":
        x, metric = pairwise(CODES), "precomputed"
    found = cluster(x, method, k=len(set(truth)) if method in NEED_K else None, metric=metric)
    assert found.dtype == np.int64 and found.shape == (len(truth),)
    assert ari(found[found >= 0], truth[found >= 0]) == 1 and (found >= 0).mean() > 0.8


@pytest.mark.parametrize("metric", ["jaccard", "hamming"])
def test_average_linkage_agrees_with_scipy(metric):
    rng = np.random.default_rng(0)
    bits = rng.random((60, 50)) < 0.4
    d = pairwise(bits, metric=metric).astype(np.float64)
    tree = linkage(d[np.triu_indices(60, 1)] + 0, "average")
    for k in (2, 5, 60):
        expected = fcluster(tree, k, "maxclust")
        if len(set(expected)) == k:  # scipy joins ties and then finds fewer
            assert ari(cluster(bits, "average", k=k, metric=metric), expected) == 1


def test_ward_on_codes_is_ward_on_their_bits():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(60, 5))
    for k in (1, 2, 7, 60):
        expected = fcluster(linkage(points, "ward"), k, "maxclust")
        assert ari(cluster(points, "ward", k=k), expected) == 1
    bits = CODES.bits().astype(float)
    np.testing.assert_array_equal(cluster(CODES, "ward", k=6), cluster(bits, "ward", k=6))


def test_agglomeration_gives_exactly_k_clusters_whatever_the_ties():
    same = np.zeros((7, 8), bool)
    for method in ("ward", "average"):
        for k in range(1, 8):
            assert len(set(cluster(same, method, k=k, metric=None if method == "ward" else "jaccard"))) == k


def test_kmeans_is_scikit_learns():
    expected = KMeans(3, n_init=4, random_state=5).fit_predict(POINTS)
    np.testing.assert_array_equal(cluster(POINTS, "kmeans", k=3, n_init=4, seed=5), expected)


@pytest.mark.parametrize("metric", ["jaccard", "hamming", "l2", "precomputed"])
def test_dbscan_is_scikit_learns_at_the_knee(metric):
    x = POINTS if metric == "l2" else pairwise(CODES) if metric == "precomputed" else CODES
    d = x if metric == "precomputed" else pairwise(x, metric=metric)
    eps = knee_eps(x, metric=metric, min_samples=4)
    curve = np.sort(np.sort(d, axis=1)[:, 3])  # the sample itself is the first of four
    assert np.isclose(curve, eps).any() and curve[0] < eps <= curve[-1]
    expected = DBSCAN(eps=eps, min_samples=4, metric="precomputed").fit_predict(d.astype(np.float64))
    np.testing.assert_array_equal(cluster(x, "dbscan", metric=metric, min_samples=4), expected)


def test_dbscan_over_several_blocks_keeps_copies(monkeypatch):
    codes, _ = groups(2600, 60)
    copies = SplineCodes.concat([codes[:1300]] * 2)  # rows 1024 … lie in another block
    d = pairwise(copies).astype(np.float64)
    expected = DBSCAN(eps=0.3, min_samples=5, metric="precomputed").fit_predict(d)
    np.testing.assert_array_equal(cluster(copies, "dbscan", eps=0.3), expected)


random_clusters = st.tuples(st.integers(3, 25), st.integers(1, 20), st.integers(1, 5), st.integers(0, 99))


@settings(max_examples=60, deadline=None)
@given(random_clusters)
def test_silhouette_is_scikit_learns(parameters):
    n, units, k, seed = parameters
    rng = np.random.default_rng(seed)
    bits, labels = rng.random((n, units)) < 0.3, rng.integers(0, k, n)
    defined = 2 <= len(set(labels)) < n
    for metric in ("hamming", "jaccard", "l2", "cosine"):
        if metric == "cosine":
            bits = np.hstack([bits, np.ones((n, 1), bool)])  # scikit-learn has no answer for zero vectors
        x = bits if metric in ("hamming", "jaccard") else bits.astype(float)
        found = silhouette(x, labels, metric)
        if defined:
            name = "euclidean" if metric == "l2" else metric
            assert found == pytest.approx(metrics.silhouette_score(x, labels, metric=name), abs=1e-6)
        else:
            assert np.isnan(found)


@pytest.mark.parametrize("metric", ["hamming", "jaccard"])
def test_silhouette_over_several_blocks(metric, monkeypatch):
    monkeypatch.setattr("splinelab.clustering.indices._BLOCK", 50)
    expected = metrics.silhouette_score(CODES.bits().astype(bool), LABELS, metric=metric)
    assert silhouette(CODES, LABELS, metric) == pytest.approx(expected, abs=1e-7)


def test_noise_is_left_out_of_internal_indices():
    labels = LABELS.copy()
    labels[::5] = -1
    kept = labels >= 0
    for metric in ("hamming", "jaccard"):
        expected = silhouette(CODES[kept], labels[kept], metric)
        assert silhouette(CODES, labels, metric) == pytest.approx(expected)
    d = pairwise(CODES)
    assert silhouette(d, labels, "precomputed") == pytest.approx(
        silhouette(CODES, labels, "jaccard"), abs=1e-6
    )
    bits = CODES.bits()[kept].astype(float)
    assert calinski_harabasz(CODES, labels) == pytest.approx(
        metrics.calinski_harabasz_score(bits, labels[kept]), rel=1e-5
    )
    assert davies_bouldin(CODES, labels) == pytest.approx(
        metrics.davies_bouldin_score(bits, labels[kept]), rel=1e-5
    )


@pytest.mark.parametrize("labels", [np.full(120, -1), np.zeros(120, int), np.arange(120)])
def test_indices_without_two_clusters_are_nan(labels):
    assert np.isnan(silhouette(CODES, labels))
    assert np.isnan(calinski_harabasz(CODES, labels))
    assert np.isnan(davies_bouldin(CODES, labels))


def test_external_indices():
    truth = np.array([0, 0, 1, 1, 2, 2])
    assert ari([5, 5, 7, 7, -1, -1], truth) == nmi([5, 5, 7, 7, -1, -1], truth) == 1
    assert ari([0] * 6, truth) == nmi([0] * 6, truth) == 0
    assert ari([-1] * 6, truth) == 0  # all noise earns nothing
    found = [0, 1, 1, 1, 2, 2]
    assert ari(found, truth) == pytest.approx(metrics.adjusted_rand_score(truth, found))
    assert nmi(found, truth) == pytest.approx(metrics.normalized_mutual_info_score(truth, found))


def test_scan_finds_the_number_of_groups():
    codes, labels = groups(200, 120, 5)
    scan = scan_k(codes, range(2, 10), n_init=3)
    assert scan.elbow == scan.best_silhouette == scan.best_db == scan.best_ch == 5
    assert ari(scan.labels[5], labels) == 1
    assert scan.inertia.shape == scan.ch.shape == (8,) and (np.diff(scan.inertia) < 0).all()
    assert scan.silhouette[3] == pytest.approx(silhouette(codes, scan.labels[5], "hamming"))
    again = scan_k(codes, range(2, 10), n_init=3)
    np.testing.assert_array_equal(scan.inertia, again.inertia)


def test_scan_from_one_cluster_on():
    scan = scan_k(POINTS, [1, 2], n_init=1)
    assert np.isnan(scan.silhouette[0]) and scan.best_silhouette == 2 and scan.elbow is None
    alone = scan_k(POINTS, [1], n_init=1)
    assert alone.best_silhouette is alone.best_db is alone.elbow is None


@pytest.mark.parametrize("method", METHODS)
def test_one_sample(method):
    k = 1 if method in NEED_K else None
    assert cluster([[1.0, 2.0]], method, k=k).tolist() == ([0] if k else [-1])


def warns_of_noise(method):
    """Everything in one pile: hdbscan says what to do about it."""
    return pytest.warns(UserWarning, match="allow_single_cluster") if method == "hdbscan" else nullcontext()


def test_hdbscan_takes_one_pile_for_one_cluster_where_it_may():
    zero = SplineCodes.from_bits({"relu": np.zeros((30, 16))})
    assert cluster(zero, "hdbscan", allow_single_cluster=True).tolist() == [0] * 30


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_hdbscan_in_one_matrix_is_the_original(seed, single):
    rng = np.random.default_rng(seed)
    points = np.round(rng.normal(size=(200, 3)) + 4 * rng.normal(size=(6, 3))[rng.integers(6, size=200)])
    distances = pairwise(points, metric="l2").astype(np.float64)
    original = hdbscan.HDBSCAN(5, min_samples=2, metric="precomputed", allow_single_cluster=single)
    expected = original.fit_predict(distances)
    for x, metric in (
        (points, "l2"),
        (distances, "precomputed"),
        (distances.astype(np.float32), "precomputed"),
    ):
        found = cluster(
            x, "hdbscan", metric=metric, min_samples=2, min_cluster_size=5, allow_single_cluster=single
        )
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e-25, 1e-9, 1e18, 1e37])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_label_and_no_index_depends_on_the_unit(method, scale, dtype):
    rng = np.random.default_rng(0)
    points = (rng.normal(size=(60, 4)) + 6 * (np.arange(60)[:, None] % 3)).astype(dtype)
    far = (points * dtype(scale)).astype(dtype)
    k = 3 if method in NEED_K else None
    found = cluster(points, method, k=k)
    np.testing.assert_array_equal(cluster(far, method, k=k), found)
    classes = np.arange(60) % 3
    for index in (silhouette, calinski_harabasz, davies_bouldin):
        assert index(far, classes) == pytest.approx(index(points, classes), rel=1e-3)
    scans = [scan_k(x, [2, 3, 4]) for x in (points, far)]
    np.testing.assert_allclose(scans[1].inertia, scans[0].inertia * float(dtype(scale)) ** 2, rtol=1e-3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e-200, 1e-46, 1e39, 1e200])
def test_what_float32_cannot_hold_is_refused(method, scale):
    with pytest.raises(InputError, match="what float32 holds"):
        cluster(POINTS * scale, method, k=2 if method in NEED_K else None)
    with pytest.raises(InputError, match="what float32 holds"):
        silhouette(POINTS * scale, np.arange(len(POINTS)) % 2)


def test_a_matrix_that_holds_no_distances_is_refused():
    distances = pairwise(POINTS, metric="l2")
    calls = [lambda x: silhouette(x, CLASSES, "precomputed"), lambda x: knee_eps(x, metric="precomputed")]
    calls += [
        lambda x, method=method: cluster(
            x, method, k=2 if method == "average" else None, metric="precomputed"
        )
        for method in ("average", "dbscan", "hdbscan")
    ]
    for call in calls:
        for wrong in (
            np.triu(distances),
            distances + np.arange(len(distances)),
            distances - 1,
            np.exp(-distances),
        ):
            with pytest.raises(InputError, match=r"not symmetric|expected distances"):
                call(wrong)


@pytest.mark.parametrize("method", ["ward", "average", "hdbscan"])
def test_methods_that_hold_a_matrix_say_what_it_needs(method):
    many = np.zeros((10**6, 1))
    with pytest.raises(InputError, match=r'needs 8000\.0 GB of memory and .* are free: .*"kmeans"'):
        cluster(many, method, k=2 if method in NEED_K else None)


def test_dbscan_stops_before_the_memory_does(monkeypatch):
    monkeypatch.setattr(algorithms, "available", lambda: 10**5)
    with pytest.raises(InputError, match="smaller eps"):
        cluster(POINTS, "dbscan", eps=1e6)
    with pytest.raises(InputError, match="smaller eps"):
        cluster(pairwise(POINTS, metric="l2"), "dbscan", eps=1e6, metric="precomputed")


@pytest.mark.parametrize("wrong", [2.5, True, np.bool_(True), "3", None, [3]])
def test_counts_are_whole_numbers(wrong):
    for call in (
        lambda: cluster(POINTS, "kmeans", k=wrong),
        lambda: cluster(POINTS, "kmeans", k=2, n_init=wrong),
        lambda: cluster(POINTS, "kmeans", k=2, seed=wrong),
        lambda: cluster(POINTS, "dbscan", min_samples=wrong),
        lambda: knee_eps(POINTS, min_samples=wrong),
        lambda: scan_k(POINTS, [2], n_init=wrong),
        lambda: bootstrap_ari({"a": [LABELS]}, LABELS, resamples=wrong),
        lambda: bootstrap_ari({"a": [LABELS]}, LABELS, seed=wrong),
    ):
        with pytest.raises(InputError, match="whole number"):
            call()


@pytest.mark.parametrize("method", METHODS)
def test_all_zero_codes(method):
    zero = SplineCodes.from_bits({"relu": np.zeros((30, 16))})
    with warns_of_noise(method):
        found = cluster(zero, method, k=1 if method in NEED_K else None)
    assert len(set(found)) == 1
    if method == "dbscan":
        assert found.tolist() == [0] * 30  # copies are one cluster, not noise


@pytest.mark.parametrize("method", METHODS)
def test_constant_features(method):
    constant = np.ones((30, 4))
    with warns_of_noise(method):
        found = cluster(constant, method, k=1 if method in NEED_K else None)
    assert len(set(found)) == 1
    assert np.isnan(silhouette(constant, found))


def test_kmeans_refuses_more_clusters_than_distinct_points():
    with pytest.raises(InputError, match="fewer distinct points"):
        cluster(np.ones((30, 4)), "kmeans", k=2)
    with pytest.raises(InputError, match="fewer distinct points"):
        scan_k(SplineCodes.from_bits({"relu": np.zeros((30, 16))}), [1, 2])


def test_too_few_samples_for_a_dense_region_are_noise():
    assert cluster(POINTS[:4], "hdbscan").tolist() == [-1] * 4
    assert cluster(POINTS[:3], "dbscan").tolist() == [-1] * 3


def test_bad_input_is_refused():
    for method in NEED_K:
        for k in (None, 0, 91, 2.5):
            with pytest.raises(InputError, match=r"expected (a whole number from )?1 to 90"):
                cluster(POINTS, method, k=k)
    for method in METHODS:
        k = 2 if method in NEED_K else None
        with pytest.raises(InputError, match="empty"):
            cluster(np.zeros((0, 3)), method, k=k)
        with pytest.raises(InputError, match="NaN"):
            cluster(np.full((5, 3), np.nan), method, k=k)
    for method in ("dbscan", "hdbscan"):
        with pytest.raises(InputError, match="expected k=None"):
            cluster(POINTS, method, k=3)
        with pytest.raises(InputError, match="min_samples"):
            cluster(POINTS, method, min_samples=0)
    with pytest.raises(InputError, match="unknown method"):
        cluster(POINTS, "spectral", k=2)
    with pytest.raises(InputError, match="unknown metric"):
        cluster(POINTS, "average", k=2, metric="manhattan")
    for method in ("ward", "kmeans"):
        with pytest.raises(InputError, match="Euclidean"):
            cluster(CODES, method, k=2, metric="jaccard")
    with pytest.raises(InputError, match="n × n"):
        cluster(POINTS, "average", k=2, metric="precomputed")
    with pytest.raises(InputError, match="eps"):
        cluster(POINTS, "dbscan", eps=0.0)
    with pytest.raises(InputError, match="eps"):
        cluster(POINTS, "dbscan", eps=float("nan"))
    with pytest.raises(InputError, match="seed"):
        cluster(POINTS, "kmeans", k=2, seed=-1)
    with pytest.raises(InputError, match="labels are None"):
        silhouette(POINTS, None)
    with pytest.raises(InputError, match="min_cluster_size"):
        cluster(POINTS, "hdbscan", min_cluster_size=1)
    with pytest.raises(InputError, match="at least 2"):
        knee_eps(POINTS[:1])
    for index in (silhouette, calinski_harabasz, davies_bouldin):
        with pytest.raises(InputError, match="labels have shape"):
            index(CODES, LABELS[:5])
    for index in (ari, nmi):
        with pytest.raises(InputError, match="labels have shape"):
            index(LABELS[:5], LABELS)
    for ks in ([], [3, 2], [2, 2], [2, 91]):
        with pytest.raises(InputError):
            scan_k(POINTS, ks)
