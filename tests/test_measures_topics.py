"""Texts with labels, pooling, and the probe on pooled features."""

import numpy as np
import pytest
import torch

from measures import topics
from splinelab.data import ud_ewt_at_hand
from splinelab.errors import InputError
from splinelab.nets import Llama, LlamaShape


def _texts(labels, groups, train, words=4):
    spans = [(5 * i, 5 * i + 4) for i in range(words)]
    lines = [" ".join(f"w{label}x{i % 3}" for i in range(words)) for label in labels]
    return topics.texts_of(lines, [spans] * len(labels), list(labels), list(groups), list(train))


@pytest.fixture
def texts():
    rng = np.random.default_rng(0)
    labels, groups = rng.integers(3, size=200), np.repeat(np.arange(40), 5)
    return _texts(labels, groups, groups < 20)


def test_pools_against_loops():
    rng = np.random.default_rng(0)
    text = np.repeat([0, 1, 2], [1, 4, 2])
    bits = rng.random((7, 5)) < 0.5
    found = topics.pooled(bits, text)
    for at in range(3):
        mine = bits[text == at]
        assert found["mean"][at] == pytest.approx(mine.mean(axis=0))
        assert (found["max"][at] == mine.any(axis=0)).all()
        assert (found["last"][at] == mine[-1]).all()
    with pytest.raises(InputError, match="ascending"):
        topics.pooled(bits, text[::-1])
    with pytest.raises(InputError, match="without gaps"):
        topics.pooled(bits, np.repeat([0, 2, 3], [1, 4, 2]))


def test_groups_are_of_one_side():
    with pytest.raises(InputError, match="both sides"):
        _texts([0, 1], ["a", "a"], [True, False])


def test_probe_finds_a_planted_label_and_nothing_in_noise(texts):
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(200, 300))
    planted = noise.copy()
    planted[:, :30] += 1.5 * np.eye(3)[texts.labels].repeat(10, axis=1)
    assert topics.correct(planted, texts).mean() > 0.9
    assert topics.correct(noise, texts).mean() < 0.5
    assert topics.correct(np.c_[planted, np.ones(200)], texts).mean() > 0.9  # a unit that does not vary


def test_word_counts_are_of_training_types(texts):
    counts = topics.word_counts(texts)
    assert counts.sum(axis=1).max() <= 4
    assert topics.correct(counts, texts).mean() == 1  # every label has words of its own


def test_accuracy_is_drawn_over_groups():
    right, groups = np.repeat([True, False], 50), np.repeat(np.arange(10), 10)
    found = topics.accuracy(right, groups, resamples=400)
    assert (found["value"], found["n"], found["groups"]) == (0.5, 100, 10)
    assert np.std(found["drawn"]) == pytest.approx(0.5 / np.sqrt(10), rel=0.15)  # not / √100


def test_continuations_follow_their_prompts():
    """Prompts of several lengths in one batch go on as each does by itself, and tokens that are barred do not
    come up. The most likely token has nearly all the weight, so that draws do not matter."""
    net = Llama(LlamaShape(20, 16, 2, 2, 1, 24), seed=0).eval()
    with torch.no_grad():
        for weight in net.parameters():
            weight.mul_(12)
    prompts = [[1, 2, 3], [4], [5, 6, 7, 8, 9]]
    barred = frozenset(range(5, 11))
    together = topics.continued(net, prompts, 6, never=barred, seed=0)
    assert not np.isin(together, list(barred)).any()
    for prompt, found in zip(prompts, together, strict=True):
        tokens = torch.tensor([[*prompt, *found]])
        with torch.no_grad():
            logits = net(tokens)[0, len(prompt) - 1 : -1]
        logits[:, list(barred)] = -np.inf
        assert (logits.argmax(1).numpy() == found).mean() > 0.8


def test_written_texts_leave_out_the_prompt_and_part_the_wordings():
    prompts = [w.format(t) for t in topics.TOPICS for w in topics.WORDINGS for _ in range(2)]
    found = topics.written_texts(prompts, [" It is green, it is"] * len(prompts), draw=2)
    assert set(found.words.words) == {"it", "is", "green"}
    assert not set(found.groups[found.train]) & set(found.groups[~found.train])
    assert np.bincount(found.labels[found.train]).tolist() == [4] * 6
    with pytest.raises(InputError, match="expected 0 to 5"):
        topics.written_texts(prompts, [" It is"] * len(prompts), draw=6)


@pytest.mark.skipif(not ud_ewt_at_hand(), reason="UD EWT is not at hand")
def test_genres_are_drawn_evenly_from_other_documents():
    found = topics.genre_texts(0)
    assert np.bincount(found.labels[found.train]).tolist() == [60] * 5
    assert np.bincount(found.labels[~found.train]).min() >= 30
    assert np.unique(found.groups, return_counts=True)[1].max() <= topics.OF_DOCUMENT
    assert not set(found.groups[found.train]) & set(found.groups[~found.train])
    again = topics.genre_texts(0)
    assert again.words.texts == found.words.texts
    assert topics.genre_texts(1).words.texts != found.words.texts
