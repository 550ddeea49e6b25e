"""Probes against scikit-learn's, and the controls beside them."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from splinelab.codes import SplineCodes
from splinelab.errors import InputError, TrainingError
from splinelab.intervals import resampled_shares
from splinelab.probes import (
    choose_decay,
    control_tags,
    fit_probe,
    random_bits,
    word_majority,
)


def planted(samples=300, units=8, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(samples, units)) * rng.uniform(0.1, 30, units) + rng.normal(size=units) * 5
    scores = StandardScaler().fit_transform(features) @ rng.normal(size=(units, classes))
    return features, (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)


@pytest.mark.parametrize("decay", [0.3, 0.05])
def test_a_probe_is_scikit_learns_with_the_same_penalty(decay):
    features, labels = planted()
    names = np.array(["verb", "noun", "adverb"])[labels]
    scaler = StandardScaler().fit(features)
    theirs = LogisticRegression(C=1 / (len(features) * decay), tol=1e-8, max_iter=5000)
    theirs.fit(scaler.transform(features), names)
    ours = fit_probe(features, names, decay=decay, tolerance=3e-5)
    assert list(ours.classes) == list(theirs.classes_)
    expected = theirs.predict_proba(scaler.transform(features))
    # A penalty that is wrong by a factor of two moves probabilities by .02 and more.
    assert np.abs(ours.probabilities(features) - expected).max() < 1e-3
    assert np.abs(ours.weights - theirs.coef_.T).max() < 1e-3
    twice = fit_probe(features, names, decay=2 * decay).probabilities(features)
    assert np.abs(twice - expected).max() > 1e-2
    assert ours.right(features, names).mean() == theirs.score(scaler.transform(features), names)


def test_bits_are_standardised_and_units_that_never_vary_say_nothing():
    features, labels = planted()
    bits = (features > features.mean(axis=0)).astype(np.uint8)
    codes = SplineCodes.from_bits({"gate": np.column_stack([bits, np.ones(len(bits), np.uint8)])})
    probe = fit_probe(codes, labels, decay=0.05, tolerance=3e-5)
    assert (probe.weights[-1] == 0).all()
    theirs = LogisticRegression(C=1 / (len(bits) * 0.05), tol=1e-8, max_iter=5000)
    scaled = StandardScaler().fit_transform(bits)
    assert np.abs(probe.probabilities(codes) - theirs.fit(scaled, labels).predict_proba(scaled)).max() < 1e-3
    flipped = np.column_stack([bits, np.zeros(len(bits))])  # what never varied may vary later: no matter
    assert np.array_equal(probe.predict(flipped), probe.predict(codes))


def test_the_same_data_give_the_same_probe():
    features, labels = planted()
    one, other = (fit_probe(features, labels, decay=0.1) for _ in range(2))
    assert np.array_equal(one.weights, other.weights)


def test_refusals():
    features, labels = planted(samples=40)
    wrong = [
        (dict(features=features[:-1]), "39 samples and labels of shape"),
        (dict(features=features * np.nan), "expected finite numbers"),
        (dict(labels=np.zeros(40)), "a probe needs two classes"),
        (dict(decay=0.0), "expected both above zero"),
        (dict(decay=-1.0), "decay is -1"),
    ]
    for change, message in wrong:
        with pytest.raises(InputError, match=message):
            fit_probe(**{"features": features, "labels": labels, "decay": 0.1, **change})
    with pytest.raises(InputError, match="features have 3 units; the probe was fitted on 8"):
        fit_probe(features, labels, decay=0.1).predict(features[:, :3])
    with pytest.raises(TrainingError, match="has not converged"):
        fit_probe(features, labels, decay=1e-9, tolerance=1e-12)
    with pytest.raises(InputError, match="4 groups"):
        choose_decay(features, labels, np.arange(40) % 4, [0.1])


def test_decay_is_chosen_where_noise_wants_much_and_signal_little():
    rng = np.random.default_rng(1)
    labels = rng.integers(2, size=400)
    clear = np.column_stack([labels + rng.normal(scale=0.05, size=400), rng.normal(size=(400, 1))])
    noisy = np.column_stack([labels + rng.normal(scale=1.0, size=400), rng.normal(size=(400, 300))])
    grid = [1e-4, 1.0]
    best, judged = choose_decay(noisy, labels, np.arange(400) // 4, grid)
    assert best == 1.0 and judged[1.0] > judged[1e-4] + 0.03
    assert choose_decay(clear, labels, np.arange(400) // 4, grid)[1][1e-4] == 1.0


def test_control_tags_follow_types_and_frequencies():
    rng = np.random.default_rng(0)
    words, tags = rng.integers(4000, size=20_000).astype(str), rng.choice(3, p=[0.7, 0.2, 0.1], size=20_000)
    control = control_tags(words, tags, seed=3)
    assert all(len(set(control[words == word])) == 1 for word in np.unique(words)[:200])
    assert np.abs(np.bincount(control) / 20_000 - [0.7, 0.2, 0.1]).max() < 0.03
    assert np.array_equal(control, control_tags(words, tags, seed=3))
    other = control_tags(words, tags, seed=4)
    assert 0.4 < (control == other).mean() < 0.65  # .54 by chance
    # No feature but the word itself can tell: a one-hot probe learns it on seen words, none on others.
    assert 0.4 < (control == tags).mean() < 0.65


def test_word_majority():
    words, labels = ["a", "a", "a", "b", "c", "c"], [1, 0, 1, 0, 1, 0]
    assert word_majority(words, labels, ["a", "b", "c", "d"]).tolist() == [1, 0, 0, 0]


def test_random_bits_are_signs_of_one_projection_centred_by_training():
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(50, 6)) + 100, rng.normal(size=(20, 6)) + 100
    first, second = random_bits(train, test, 40, seed=1)
    assert first.shape == (50, 40) and second.shape == (20, 40)
    assert 0.3 < first.bits().mean() < 0.7  # 0 or 1 without centring
    ways = np.random.default_rng(1).standard_normal((6, 40), np.float32)
    assert np.array_equal(second.bits(), (test - train.mean(axis=0)) @ ways > 0)
    assert random_bits(train, test, 40, seed=2)[0] != first
    with pytest.raises(InputError, match="train has 6 units, test 5"):
        random_bits(train, test[:, :5], 4, seed=0)


def test_resampled_shares_are_a_bootstrap_of_sentences():
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 20, size=80)
    hits = rng.binomial(counts, 0.8)
    drawn = resampled_shares(hits, counts, resamples=4000)
    share = hits.sum() / counts.sum()
    linear = np.sqrt(((hits - share * counts) ** 2).sum()) / counts.sum()
    assert abs(drawn.mean() - share) < 0.002 and abs(drawn.std() / linear - 1) < 0.06
    assert np.array_equal(resampled_shares(counts, counts), np.ones(1000))
    with pytest.raises(InputError, match="0 ≤ hits ≤ counts"):
        resampled_shares(counts + 1, counts)
