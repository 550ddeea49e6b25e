"""Distances, clusters and shared bits of words, against brute force and planted structure."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import completeness_score, homogeneity_score, roc_auc_score

from measures import apart, groups, shared
from splinelab.errors import InputError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def planted(rng):
    """Four tags, three word types each, ten words a type in 24 sentences: types lie close, tags less so."""
    tags = np.repeat(list("abcd"), 30)
    words = np.char.add(tags, np.tile(np.repeat(list("xyz"), 10), 4))
    middle = {tag: rng.normal(size=16) for tag in "abcd"}
    own = {word: middle[word[0]] + 0.7 * rng.normal(size=16) for word in np.unique(words)}
    x = np.array([own[word] for word in words]) + 0.2 * rng.normal(size=(120, 16))
    order = rng.permutation(120)
    return x[order], words[order], tags[order], np.arange(120) // 5


def test_separation_is_the_auc_of_each_kind_of_pairs(planted):
    x, words, tags, sentences = planted
    distances = cdist(x, x)
    among = apart.pairs(words, tags, sentences)
    found = apart.separation(distances, among, np.ones((1, 24)))
    above = np.triu_indices(120, 1)
    other_tag, other_word = ((labels[:, None] != labels)[above] for labels in (tags, words))
    flat = distances[above]
    expected = {
        "tag": roc_auc_score(other_tag, flat),
        "word": roc_auc_score(other_word, flat),
        "tag, other words": roc_auc_score(other_tag[other_word], flat[other_word]),
    }
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value, abs=1e-4)
        assert found[name]["drawn"] == pytest.approx([found[name]["value"]])  # every sentence once
    assert found["tag, other words"]["pairs"] == [
        (other_word & ~other_tag).sum(), (other_word & other_tag).sum()
    ]  # fmt: skip


def test_linear_draws_follow_the_exact_weighted_auc(planted):
    x, words, tags, sentences = planted
    x = x + 1.5 * np.random.default_rng(1).normal(size=x.shape)  # far from an AUC of 1
    distances = cdist(x, x)
    among, weights = apart.pairs(words, tags, sentences), apart.draws_of(24, 60, seed=3)
    drawn = apart.separation(distances, among, weights)["tag"]["drawn"]
    above = np.triu_indices(120, 1)
    other = (tags[:, None] != tags)[above]
    exact = []
    for weight in weights:
        pairs = np.outer(weight[sentences], weight[sentences])[above]
        exact.append(
            roc_auc_score(other[pairs > 0], distances[above][pairs > 0], sample_weight=pairs[pairs > 0])
        )
    assert np.corrcoef(drawn, exact)[0, 1] > 0.97
    assert np.std(drawn) == pytest.approx(np.std(exact), rel=0.1)


def test_pairs_need_tags_for_all_words_and_repeated_words():
    with pytest.raises(InputError, match="2 words, 1 tags"):
        apart.pairs(np.array(["a", "b"]), np.array(["x"]), np.array([0, 0]))
    with pytest.raises(InputError, match="compared by"):
        apart.pairs(np.array(["a", "b"]), np.array(["x", "y"]), np.array([0, 0]))


def test_whitened_vectors_have_unit_covariance(rng):
    x = rng.normal(size=(4000, 5)) @ rng.normal(size=(5, 5))
    assert np.linalg.cond(np.cov(x.T)) > 20
    white = (x - x.mean(axis=0)) @ apart.whitening(x)
    assert np.cov(white.T) == pytest.approx(np.eye(5), abs=0.2)  # less what is shrunk


def test_purity_of_planted_clusters_and_of_random_members(planted):
    x, words, tags, _ = planted
    labels = groups.density_clusters(cdist(x, x))
    found = groups.summary(labels, words, tags, np.ones((2, 120)))
    assert found["clusters"] == 12
    assert found["pure by word"]["value"] == found["pure by tag"]["value"] == 1
    assert found["pure by tag"]["drawn"] == [1, 1]
    assert found["pure by word, random members"] < 0.01
    assert found["pure by tag, random members"] < 0.05


def test_purity_counts_clusters_at_the_bound_and_no_noise():
    labels = np.array([0] * 5 + [1] * 5 + [-1] * 5)
    kinds = np.array(list("aaaab" + "aaabb" + "aaaaa"))
    assert groups.pure(labels, kinds).tolist() == [0.5]
    weights = np.ones((3, 15))
    weights[1, 4] = 4  # the one other word of the first cluster, four times
    weights[2, :5] = 0  # that cluster without a word
    assert groups.pure(labels, kinds, weights).tolist() == [0.5, 0, 0]
    assert groups.pure(np.full(15, -1), kinds) == 0


def _tight_by_search(distances, sizes):
    labels = np.full(len(distances), -1)
    for number, size in enumerate(sorted(sizes, reverse=True)):
        free = np.flatnonzero(labels < 0)
        part = np.sort(distances[np.ix_(free, free)], axis=1)
        centre = free[part[:, size - 1].argmin()]
        labels[free[np.argsort(distances[centre, free], kind="stable")[:size]]] = number
    return labels


@pytest.mark.parametrize("sizes", [[5] * 8, [30, 20, 7, 7, 6, 5, 5], [2, 60], [40, 40, 40]])
def test_tight_groups_against_search(rng, sizes):
    x = rng.normal(size=(120, 3))
    distances = cdist(x, x)
    found = groups.tight_groups(distances, np.array(sizes), groups.nearest_first(distances))
    assert (found == _tight_by_search(distances, sizes)).all()
    assert groups.sizes_of(found).tolist() == sorted(sizes, reverse=True)


def test_tight_groups_want_as_many_words_as_members(rng):
    with pytest.raises(InputError, match="expected 2 or more"):
        groups.tight_groups(np.zeros((4, 4)), np.array([3, 2]), np.zeros((4, 4), int))


def test_hamming_sees_active_counts_where_jaccard_does_not(rng):
    """Words of one tag share a tenth of the units; how many more are on has nothing to do with the tag."""
    tags = np.repeat(np.arange(4), 50)
    chance = rng.uniform(0.02, 0.5, size=200)
    bits = rng.random((200, 400)) < chance[:, None]
    for tag in range(4):
        bits[np.ix_(tags == tag, np.arange(40) + 40 * tag)] = True
    labels = {name: groups.density_clusters(m) for name, m in apart.bit_distances(bits).items()}
    why = groups.why_hamming(bits, labels)
    assert why["Hamming, correlation with the sum of counts"] > 0.5
    assert why["Jaccard, correlation with the sum of counts"] < 0.2
    equal = groups.equal_counts(rng.normal(size=(50, 40)), 9)
    assert (equal.sum(axis=1) == 9).all()


def test_count_variance_between_clusters():
    labels = np.repeat([0, 1, -1], 50)
    rng = np.random.default_rng(0)
    assert groups.explained(np.r_[np.zeros(50), np.ones(50), np.zeros(50)], labels) == 1
    assert np.mean([groups.explained(rng.normal(size=150), labels) for _ in range(300)]) == pytest.approx(
        0, abs=0.003
    )


def test_ties_are_broken_and_nothing_else_changes(rng):
    bits = rng.random((40, 12)) < 0.5
    distances = apart.bit_distances(bits)["Hamming"]
    untied = groups.tied_apart(distances, 1 / 12, seed=0)
    above = np.triu_indices(40, 1)
    assert len(np.unique(untied[above])) == len(above[0])
    assert (untied == untied.T).all()
    assert (np.round(untied * 12 - 0.5 + 1e-9) == np.round(distances * 12))[above].all()


def test_merging_against_sklearn(planted):
    x, _, tags, _ = planted
    found = groups.merging(x, tags, np.ones((2, len(tags))), seed=0)
    labels = groups.cluster(x.astype(np.float32), "kmeans", k=4, seed=0, n_init=3)
    assert found["homogeneity"]["value"] == pytest.approx(homogeneity_score(tags, labels))
    assert found["completeness"]["value"] == pytest.approx(completeness_score(tags, labels))
    assert found["merging"]["drawn"] == pytest.approx([found["merging"]["value"]] * 2)


def test_merging_is_positive_where_clusters_merge_tags():
    """Two of four tags lie in one place, another is spread thin over two: more is merged than split."""
    tags = np.repeat(np.arange(4), [40, 40, 40, 8])
    places = np.r_[np.zeros(80), np.full(40, 10.0), np.tile([20.0, 30.0], 4)]
    found = groups.merging(places[:, None], tags, np.ones((1, 128)), seed=0)
    assert found["merging"]["value"] > 0.1


def test_nmf_finds_planted_directions(rng):
    parts = np.kron(np.eye(3), np.ones(5))
    kinds = rng.integers(3, size=300)
    x = parts[kinds] * rng.uniform(1, 2, size=(300, 1)) + 0.01 * rng.random((300, 15))
    found = groups.factors(x, 3)
    assert (found @ (parts / np.sqrt(5)).T).max(axis=0) == pytest.approx(np.ones(3), abs=0.01)
    names = kinds.astype(str)
    along = groups.along(found, x, names, names, np.where(kinds == 0, -1, kinds))
    assert along["share of one tag"] == 1
    assert along["code clusters"] == pytest.approx(2 / 3)
    assert along["in no cluster"] == pytest.approx(1 / 3)


def test_shared_bits_of_planted_codes(rng):
    tags = np.repeat(["a", "b", "c"], 100)
    words = np.char.add(tags, np.tile(np.arange(20).astype(str), 15))
    bits = rng.random((300, 50)) < 0.3
    bits[:100, 0] = True  # a has it on
    bits[:, 1] = rng.random(300) < 0.8
    bits[100:200, 1] = False  # b has it off, most of the others on
    bits[:, 2] = True  # everybody has it
    bits[:94, 3], bits[94:100, 3] = True, False  # only .94 of a
    names = np.unique(tags)
    found = shared.shared_bits(bits, tags, names)
    assert np.argwhere(found).tolist() == [[0, 0], [1, 1]]
    assert (found[0, 0], found[1, 1]) == (1, -1)
    summary = shared.summary((bits, words, tags), (bits, words, tags), shuffles=5)
    assert (summary["bits"], summary["tags"], summary["tags, on"], summary["held out"]) == (2, 2, 1, 1)
    assert summary["shuffled, bits"] == 0
    assert summary["by tag"] == {"a": 1, "b": 1, "c": 0}


def test_one_word_of_each_type_and_tag():
    words, tags = np.array(["a", "a", "a", "b"]), np.array(["x", "y", "x", "x"])
    found = shared.one_of_each(words, tags, seed=0)
    assert sorted(zip(words[found], tags[found], strict=True)) == [("a", "x"), ("a", "y"), ("b", "x")]


def test_a_tag_without_words_is_named():
    with pytest.raises(InputError, match="tags without words"):
        shared.shared_bits(np.ones((3, 2), bool), np.array(["a", "a", "a"]), np.array(["a"]))
