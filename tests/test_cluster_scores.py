"""Internal indices under resampling: against scikit-learn on copied points, and by brute force."""

import numpy as np
import pytest
from sklearn import metrics

from splinelab import clustering
from splinelab.clustering import bootstrap_scores, cluster
from splinelab.clustering.bootstraps import _scores
from splinelab.codes import SplineCodes
from splinelab.distances import pairwise
from splinelab.errors import InputError


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(0)
    return rng.normal(size=(90, 7)) + 3 * rng.integers(0, 3, 90)[:, None]


@pytest.fixture(scope="module")
def codes():
    rng = np.random.default_rng(1)
    return SplineCodes.from_bits({"relu": rng.random((90, 40)) < rng.random((4, 40))[rng.integers(0, 4, 90)]})


def index(scored):
    return scored.silhouette, scored.calinski_harabasz, scored.davies_bouldin


@pytest.mark.parametrize("noise", [False, True])
def test_of_the_whole_they_are_the_plain_indices(points, codes, noise):
    for x in (points, codes):
        labels = cluster(x, "kmeans", k=4).copy()
        if noise:
            labels[::7] = -1
        found = bootstrap_scores({"x": [x]}, {"x": [labels]}, resamples=2)
        plain = (
            f(x, labels)
            for f in (clustering.silhouette, clustering.calinski_harabasz, clustering.davies_bouldin)
        )
        np.testing.assert_allclose(index(found.values["x"]), list(plain), rtol=1e-5)


def test_draws_are_those_of_copied_points(points):
    """Calinski-Harabasz and Davies-Bouldin: scikit-learn's on points as often as they were drawn."""
    labels = cluster(points, "kmeans", k=4)
    some = np.random.default_rng(2).integers(90, size=90)
    weights = np.bincount(some, minlength=90)[None].astype(float)
    found = _scores(points, labels, None, weights)[0]
    assert found[1] == pytest.approx(metrics.calinski_harabasz_score(points[some], labels[some]))
    assert found[2] == pytest.approx(metrics.davies_bouldin_score(points[some], labels[some]))


def test_silhouette_leaves_copies_out(points):
    labels = cluster(points, "kmeans", k=3)
    w = np.bincount(np.random.default_rng(3).integers(90, size=90), minlength=90)
    distance, every = pairwise(points, metric="l2"), []
    for i in np.flatnonzero(w):
        mean = {
            c: sum(w[j] * distance[i, j] for j in range(90) if labels[j] == c and j != i)
            / sum(w[j] for j in range(90) if labels[j] == c and j != i)
            for c in range(3)
        }
        a, b = mean[labels[i]], min(value for c, value in mean.items() if c != labels[i])
        every += [(b - a) / max(a, b)] * w[i]
    assert _scores(points, labels, None, w[None].astype(float))[0, 0] == pytest.approx(
        np.mean(every), rel=1e-5
    )


def test_intervals_cover_images_and_nets_and_are_paired(points):
    labels = cluster(points, "kmeans", k=3)
    found = bootstrap_scores(
        {"a": [points, 2 * points], "b": [points, points]}, {"a": [labels] * 2, "b": [labels] * 2}
    )
    same = found.difference("a", "b", "silhouette")
    assert max(map(abs, same)) < 1e-6, "a silhouette has no unit, and the draws are the same"
    value, low, high = found.interval("a", "calinski_harabasz")
    assert low < value < high and found.interval("a", "silhouette").over == "images and nets"


def test_one_cluster_has_no_score(points):
    assert np.isnan(_scores(points, np.zeros(90, int), None, np.ones((1, 90)))).all()


def test_names_and_nets_must_agree(points):
    labels = np.zeros(90, int)
    for clusterings in ({}, {"b": [labels]}, {"a": [labels, labels]}):
        with pytest.raises(InputError, match="same names, and as many nets"):
            bootstrap_scores({"a": [points]}, clusterings)
