"""Where gates switch: closed form against the real module, and against the package's exact paths."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from measures import switches
from splinelab.errors import InputError
from splinelab.nets import Llama, LlamaShape
from splinelab.polytopes import segment


@pytest.fixture(scope="module")
def net():
    made = Llama(LlamaShape(30, 16, 2, 2, 1, 24), seed=1)
    with torch.no_grad():  # a norm that does more than divide
        made.model.layers[1].post_attention_layernorm.weight.uniform_(0.5, 2)
    return made.eval()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), longer=st.floats(0.1, 10))
def test_switches_against_dense_steps_through_the_module(net, seed, longer):
    rng = np.random.default_rng(seed)
    start, end = rng.normal(size=16), longer * rng.normal(size=16)
    found = switches.switches(switches.gate_rows(net, 1), start[None], end[None])[0]
    block, t = net.model.layers[1].double(), np.linspace(0, 1, 2001)
    with torch.no_grad():
        way = torch.from_numpy(start + t[:, None] * (end - start))
        on = (block.mlp.gate_proj(block.post_attention_layernorm(way)) > 0).numpy()
    steps, _ = np.nonzero(on[1:] != on[:-1])  # the switch lies between t[step] and t[step + 1]
    assert len(found) == len(steps)
    assert (np.abs(found - (t[np.sort(steps)] + 0.00025)) <= 0.00025 + 1e-9).all()


def test_switches_are_the_boundaries_of_the_exact_path(net):
    rng = np.random.default_rng(0)
    rows, (start, end) = switches.gate_rows(net, 1), rng.normal(size=(2, 16))
    gate = nn.Sequential(nn.Linear(16, 24, bias=False), nn.ReLU()).double().eval()
    gate[0].weight.data = torch.from_numpy(rows)
    found = switches.switches(rows, start[None], end[None])[0]
    assert segment(gate, start, end).t[1:-1] == pytest.approx(found, abs=1e-12)
    assert len(found) == ((rows @ start > 0) != (rows @ end > 0)).sum()  # each unit once


def test_before_mlp_is_what_the_gate_sees(net):
    tokens = np.random.default_rng(0).integers(30, size=(3, 10))
    places = switches.StoryWords(
        np.array([0, 2]), np.array([4, 9]), np.array(["a", "b"]), np.array(["X", "Y"])
    )
    net.float()
    at = switches.before_mlp(net, tokens, 1, places)
    seen = []
    hook = net.model.layers[1].mlp.gate_proj.register_forward_hook(lambda _, __, out: seen.append(out))
    with torch.no_grad():
        net(torch.from_numpy(tokens))
    hook.remove()
    pre = seen[0][[0, 2], [4, 9]].numpy()
    rms = np.sqrt((at**2).mean(axis=1, keepdims=True) + net.shape.eps)
    assert at @ switches.gate_rows(net, 1).T / rms == pytest.approx(pre, abs=1e-5)


def test_story_words_stand_at_their_last_token():
    texts = ["<s>", " Th", "e", " cat", " sat", ".", "\n", "Max", " ran"]
    found = switches.story_words(np.array([[0, 1, 2, 3, 5, 4], [0, 7, 8, 1, 2, 6]]), ["", *texts[1:]])
    assert found.words.tolist() == ["the", "cat", "ran", "the"]
    assert found.tags.tolist() == ["DET", "NOUN", "VERB", "DET"]
    assert found.sequence.tolist() == [0, 0, 1, 1]
    assert found.position.tolist() == [2, 3, 2, 4]


def test_a_word_has_one_tag():
    words = [word for some in switches.TAGS.values() for word in some.split()]
    assert len(words) == len(set(words))


def test_no_story_words_is_an_error():
    with pytest.raises(InputError, match="expected stories"):
        switches.story_words(np.array([[0, 1]]), [" xyzzy", " plugh"])


@pytest.fixture
def many():
    rng = np.random.default_rng(0)
    words = rng.choice(sorted(switches.TAG_OF), 600)
    tags = np.array([switches.TAG_OF[word] for word in words])
    return switches.StoryWords(np.sort(rng.integers(40, size=600)), np.zeros(600, int), words, tags)


def test_pairs_are_of_other_words_and_sequences(many):
    first, second, same = switches.drawn_pairs(many, 200, seed=0)
    assert same.sum() == 200 and (~same).sum() == 200
    assert (many.words[first] != many.words[second]).all()
    assert (many.sequence[first] != many.sequence[second]).all()
    assert ((many.tags[first] == many.tags[second]) == same).all()


def test_matching_takes_away_what_distance_alone_explains():
    rng = np.random.default_rng(0)
    same = np.arange(20_000) < 10_000
    distances = np.where(same, rng.gamma(5, 1, 20_000), rng.gamma(8, 1, 20_000))
    values = 3 * distances + rng.normal(size=20_000)
    one, other = switches.matched(values, distances, same, np.ones((1, 20_000)))
    assert values[~same].mean() - values[same].mean() > 8
    assert other[0] - one[0] == pytest.approx(0, abs=0.4)
    one, other = switches.matched(values + 2 * ~same, distances, same, np.ones((1, 20_000)))
    assert other[0] - one[0] == pytest.approx(2, abs=0.4)


def test_summary_finds_a_planted_difference(many):
    """The gate reads what the tag is written in, and most of the length is written elsewhere."""
    rng = np.random.default_rng(1)
    rows = np.pad(rng.normal(size=(60, 10)), ((0, 0), (0, 30)))
    tag = {name: rng.normal(size=10) for name in switches.TAGS}
    x = np.c_[np.array([tag[one] for one in many.tags]), 2 * rng.normal(size=(600, 30))]
    x[:, :10] += 0.3 * rng.normal(size=(600, 10))
    found = switches.summary(rows, x, many, pairs=400, resamples=20)
    side = found["switches, matched in length"]
    assert side["difference"]["value"] > 10
    assert side["ratio"]["value"] == pytest.approx(side["different"]["value"] / side["same"]["value"])
    assert np.std(side["ratio"]["drawn"]) > 0
    assert len(found["positions"]) == 10


def test_distances_that_do_not_overlap_cannot_be_matched():
    same = np.array([True, True, False, False])
    with pytest.raises(InputError, match="overlap"):
        switches.matched(np.ones(4), np.array([1.0, 2, 5, 6]), same, np.ones((1, 4)))
