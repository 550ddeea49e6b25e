"""What chapters share: equal images for all arms, views of a recording, comparisons, intervals of ARI."""

import os
import sys
import time

import joblib
import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from splinelab import clustering, data, protocol, zoo
from splinelab.errors import InputError
from splinelab.nets import mlp
from splinelab.recording import record


@pytest.fixture(scope="module")
def images():
    return data.digits()


@pytest.fixture(scope="module")
def recording(images):
    return record(mlp((64, 20, 30, 10), seed=0), images.take(slice(0, 80)))


def test_evaluation_images_are_disjoint_stratified_and_fixed(images):
    first, again = (protocol.evaluation_images(images, 100) for _ in range(2))
    assert {name: part.checksum for name, part in first.items()} == {
        name: part.checksum for name, part in again.items()
    }
    rows = {name: {image.tobytes() for image in part.images} for name, part in first.items()}
    assert not rows["training"] & rows["held-out"]
    for part in first.values():
        assert len(part) == 100
        assert np.bincount(part.labels).min() >= 9


def test_training_images_are_those_of_the_zoo():
    pool = data.mnist5k()
    split = data.protocol_split(pool)
    fitted = {image.tobytes() for image in pool.take(split.train).images}
    parts = protocol.evaluation_images(pool, 200)
    assert all(image.tobytes() in fitted for image in parts["training"].images)
    assert not any(image.tobytes() in fitted for image in parts["held-out"].images)


def test_views(recording):
    looks = protocol.views(recording)
    assert looks["linear"].shape == (80, 60)
    np.testing.assert_array_equal(looks["linear"][:, 50:], looks["logits"])
    np.testing.assert_array_equal(looks["post-ReLU"], np.maximum(looks["linear"][:, :50], 0))
    np.testing.assert_array_equal(looks["codes"].bits(), looks["linear"][:, :50] > 0)
    np.testing.assert_allclose(np.linalg.norm(looks["unit length"], axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(looks["standardised"].std(axis=0), 1, rtol=1e-3)
    np.testing.assert_allclose(looks["standardised"].mean(axis=0), 0, atol=1e-5)


def test_dead_units_do_not_divide_by_zero():
    net = mlp((64, 5, 10), seed=0)
    net.linear1.weight.data.zero_()
    net.linear1.bias.data.fill_(-1)
    looks = protocol.views(record(net, data.digits().take(slice(0, 4))))
    for name in ("standardised", "unit length"):
        assert np.isfinite(looks[name]).all()


def test_compare_agrees_with_scikit_learn(images):
    few = protocol.sample(images, 60)
    models = [mlp((64, 20, 30, 10), seed=seed) for seed in (0, 1)]
    found = protocol.compare(models, few, ["Jaccard", "cosine linear"], resamples=20)
    above = np.triu_indices(60, 1)
    inter = (few.labels[:, None] != few.labels)[above]
    expected = []
    for model in models:
        bits = protocol.views(record(model, few))["codes"].bits().astype(int)
        both, either = bits @ bits.T, (bits[:, None] | bits).sum(axis=2)
        expected.append(roc_auc_score(inter, (1 - both / either)[above]))
    assert found.values["Jaccard"].auc == pytest.approx(np.mean(expected), abs=1e-6)
    value, low, high = found.interval("Jaccard")
    assert low <= value <= high


def test_places_are_those_of_the_sample(images):
    there = protocol.places(images, 25, seed=3)
    assert images.take(there).checksum == protocol.sample(images, 25, seed=3).checksum
    assert len(set(there)) == 25


def test_every_net_of_the_grid_has_a_name_in_words():
    named = [name for name in zoo.entries() if zoo.recipe(name).net == "mlp" and "digits" not in name]
    for name in [*named, "untrained"]:
        words = protocol.in_words(name)
        assert name == "untrained" or name not in words.split()
        loss = zoo.recipe(name).loss.replace("mse", "MSE") if name in named else ""
        assert loss in words or name == "omnigrok"
    assert len(set(protocol.ARMS.values())) == len(protocol.ARMS)
    with pytest.raises(InputError, match="no arm is called 'ga_mse'"):
        protocol.in_words("ga_mse")


def test_images_of_nets_of_full_mnist():
    """MNIST-5k was seen by those that saw all of MNIST, and by no other for certain."""
    found = protocol.images_of("full-mse", 50)["training"]
    assert found.checksum == protocol.sample(data.mnist5k(), 50).checksum
    if data.mnist_at_hand():
        parts = protocol.images_of("omnigrok", 50)
        seen = {image.tobytes() for image in zoo.training_images("omnigrok").images}
        assert all(image.tobytes() in seen for image in parts["training"].images)
        assert not any(image.tobytes() in seen for image in parts["held-out"].images)
        whole = {image.tobytes() for image in zoo.training_images("full-mse").images}
        assert all(image.tobytes() in whole for image in found.images)
    else:
        assert set(protocol.images_of("omnigrok", 50)) == set()
    with pytest.raises(InputError, match="a net of full MNIST"):
        protocol.images_of("G", 50)


def test_unknown_comparisons_are_named(recording):
    with pytest.raises(InputError, match="no comparison"):
        protocol.distance_matrices(protocol.views(recording), ["Manhattan"])


def test_margin_by_hand():
    np.testing.assert_allclose(protocol.logit_margin(np.array([[0.1, 0.9, 0.3], [2, 2, -1]])), [0.6, 0])


def test_nets_come_from_the_zoo_or_are_trained(images, monkeypatch):
    monkeypatch.setattr(protocol, "SMALL_BUDGET", 5)
    (shipped,) = protocol.nets("N-mse", [0], data.mnist5k())
    loaded = zoo.load("N-mse", 0)
    for mine, theirs in zip(shipped.parameters(), loaded.parameters(), strict=True):
        np.testing.assert_array_equal(mine.detach(), theirs.detach())
    (small,) = protocol.nets("N-mse", [0], images)
    assert small.linear1.in_features == 64
    one, other = protocol.nets("untrained", [0, 1], images)
    assert not np.array_equal(one.linear1.weight.detach(), other.linear1.weight.detach())


def test_figures_follow_the_weights():
    """A perturbed zoo weight changes what a chapter would print."""
    few = protocol.evaluation_images(data.mnist5k(), 100)["held-out"]
    net = zoo.load("GA-mse", 0)
    before = protocol.compare([net], few, ["Jaccard"], resamples=2).values["Jaccard"]
    net.linear1.weight.data[:, 300:400] += 0.05
    after = protocol.compare([net], few, ["Jaccard"], resamples=2).values["Jaccard"]
    assert abs(before.auc - after.auc) > 1e-3


def test_ari_without_resampling_is_scikit_learns():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 200)
    noisy = np.where(rng.random(200) < 0.6, truth, rng.integers(-1, 7, 200))
    found = clustering.bootstrap_ari({"noisy": [noisy], "same": [truth]}, truth, resamples=50)
    assert found.values["noisy"].ari == pytest.approx(adjusted_rand_score(truth, noisy))
    assert found.values["same"].ari == 1
    assert np.all(found.draws["same"].ari == 1)
    value, low, high = found.interval("noisy", "ari")
    assert low < value < high


def test_ari_draws_leave_copies_out():
    """Random labels score zero on average, also when images are drawn twice."""
    rng = np.random.default_rng(1)
    truth, chance = rng.integers(0, 4, 150), [rng.integers(0, 4, 150) for _ in range(5)]
    found = clustering.bootstrap_ari({"chance": chance}, truth, resamples=200)
    assert abs(found.draws["chance"].ari.mean()) < 0.01


def test_ari_of_unequal_seeds_is_refused():
    with pytest.raises(InputError, match="same number for every name"):
        clustering.bootstrap_ari({"a": [[0, 1]], "b": [[0, 1], [1, 0]]}, [0, 1])


def test_samples_are_seeded_and_every_prefix_is_fair():
    """Ten images are ten digits, in an order that the seed decides; a slice of them is no slice of zeros."""
    images = zoo.heldout("CNN")
    assert (np.diff(images.labels) >= 0).all()  # sorted: why slices are refused
    for n in (10, 25, 60, 300):
        drawn = protocol.sample(images, n)
        for size in (10, n // 2, n):
            counts = np.bincount(drawn.labels[:size], minlength=10)
            assert counts.max() - counts.min() <= 1, (n, size)
        assert drawn.checksum == protocol.sample(images, n).checksum
        assert drawn.checksum != protocol.sample(images, n, seed=1).checksum
    few = {tuple(protocol.sample(images, 4, seed=seed).labels) for seed in range(20)}
    assert all(len(set(labels)) == 4 for labels in few) and len(set().union(*few)) == 10
    assert len(protocol.sample(images, 10**6)) == len(images)
    with pytest.raises(InputError, match="n is 0"):
        protocol.sample(images, 0)


def test_jobs_in_parallel_keep_their_keys_and_say_nothing(recwarn):
    """joblib replaces a process that has grown by 300 MB, with a warning that no chapter should show."""

    def grow(size: float):
        vars(sys).setdefault("held", []).append(np.ones(int(size)))  # kept as long as the process
        time.sleep(1.2)  # joblib looks once a second
        return size

    jobs = {("small", k): (k,) for k in range(2)} | {("large", k): (5e7,) for k in range(6)}
    found = protocol.in_parallel(grow, jobs)
    assert found == {key: value for key, (value,) in jobs.items()}
    assert list(found) == list(jobs)
    assert not recwarn.list


def test_least_pure_and_majority_classes_by_hand():
    truth = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 2])
    clusters = np.array([5, 5, 5, 7, 7, 7, 7, 9, 9, 9])
    # Shares of the largest class: 1, 3/4, 1.
    mask, purity = protocol.least_pure(clusters, truth)
    assert mask.tolist() == [c == 7 for c in clusters] and purity == 0.75
    assert protocol.majority_classes(clusters, truth) == 3
    assert protocol.majority_classes(np.arange(10) % 2, np.zeros(10, int)) == 1


def test_margin_drop_by_hand_and_against_scipys_bootstrap():
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(3), 100)
    clusters = np.where(rng.random(300) < 0.2, 3, truth)  # the fourth cluster is a mixture
    margin = np.where(clusters == 3, 0.2, 1.0) * rng.uniform(0.9, 1.1, 300)
    output = np.column_stack([margin, np.zeros(300), -np.ones(300)])
    expected = (np.median(margin[clusters == 3]) - np.median(margin[clusters != 3])) / np.median(margin)
    value, low, high = protocol.margin_drop([output], [clusters], truth)
    assert value == pytest.approx(expected) and low < value < high
    # A net's own unit of margin does not matter, and equal nets add no spread of their own.
    scaled = protocol.margin_drop([output, 7 * output], [clusters, clusters], truth)
    assert tuple(scaled) == pytest.approx((value, low, high))
    unit = margin / np.median(margin)

    def drop(index):
        mask = clusters[index] == 3
        return np.median(unit[index][mask]) - np.median(unit[index][~mask])

    independent = scipy_bootstrap((np.arange(300),), drop, vectorized=False, n_resamples=400, rng=1)
    assert high - low == pytest.approx(2 * 1.96 * independent.standard_error, rel=0.25)


@pytest.mark.parametrize(("configured", "processes"), [({}, 2), ({"n_jobs": 3}, 3), ({"n_jobs": 1}, 0)])
def test_jobs_run_in_two_processes_unless_joblib_is_configured(configured, processes, tmp_path):
    """Each job waits until as many as there should be processes have begun, so no process has two of them."""

    def meet():
        (tmp_path / str(os.getpid())).touch()
        until = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < processes and time.monotonic() < until:
            time.sleep(0.01)
        return os.getpid()

    with joblib.parallel_config(**configured):
        found = protocol.in_parallel(meet, {job: () for job in range(3)}).values()
    assert len(set(found)) == max(1, processes)
    assert (os.getpid() in found) == (processes == 0)
