"""Measurements of language: hand-made sentences, a tiny model, and planted answers."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score

from measures import language, outcomes, rules, states, tags, thresholds
from measures.plan import MEASUREMENTS, STACK, Measurement
from measures.words import TAGS, begun, features, words_of
from splinelab.data import Sentence, align
from splinelab.errors import InputError
from splinelab.nets import Llama, LlamaShape
from splinelab.zoo.language import LanguageModel
from splinelab.zoo.tokens import story_tokenizer


def sentence(text, tags, document="a"):
    """Words are parted by spaces; a ~ joins a word to the one before."""
    pieces = text.split(" ")
    spaces = [*(not piece.startswith("~") for piece in pieces[1:]), True]
    words = tuple(piece.removeprefix("~") for piece in pieces)
    return Sentence(words, tuple(tags.split()), "weblog", document, tuple(spaces))


HAND = [
    sentence("The dogs do ~n't bark ~.", "DET NOUN AUX PART VERB PUNCT"),
    sentence("Ümit saw 3 €", "PROPN VERB NUM SYM"),
    sentence("the cats sleep", "DET NOUN VERB"),
]


def tiny(seed=0, scale=20.0):
    net = Llama(LlamaShape(512, 16, 2, 2, 1, 24), seed)
    with torch.no_grad():
        for weight in net.parameters():
            if weight.ndim == 2:
                weight *= scale
    return LanguageModel("tiny", net.eval(), story_tokenizer(), "made for a test")


@pytest.fixture(scope="module")
def drawn():
    """Forty sentences whose tags follow from their words, half of them for training."""
    rng = np.random.default_rng(0)
    nouns, verbs = ["cat", "dog", "tree", "sun", "toy", "ball"], ["ran", "saw", "ate", "hid", "sat", "met"]
    made = [
        sentence(
            f"the {rng.choice(nouns)} {rng.choice(verbs)} the {rng.choice(nouns)}", "DET NOUN VERB DET NOUN"
        )
        for _ in range(60)
    ]
    return words_of(made, 40)


def test_words_are_found_with_their_tags_and_types():
    words = words_of(HAND, 2)
    assert words.words.tolist() == [
        "the",
        "dogs",
        "do",
        "n't",
        "bark",
        "ümit",
        "saw",
        "3",
        "the",
        "cats",
        "sleep",
    ]
    assert [TAGS[tag] for tag in words.tags[:5]] == ["DET", "NOUN", "AUX", "PART", "VERB"]
    assert words.train.tolist() == [True] * 8 + [False] * 3
    assert words.words[words.unseen].tolist() == ["cats", "sleep"]  # "The" was seen: types are in lower case
    assert [words.texts[0][a:b] for a, b in words.spans[0]] == ["The", "dogs", "do", "n't", "bark", "."]
    with pytest.raises(InputError, match="none of 1 sentences"):
        words_of([sentence("! ?", "PUNCT PUNCT")], 1)


def test_features_are_those_of_a_words_last_token_and_of_its_sentence_alone():
    model, words = tiny(), words_of(HAND, 2)
    found = features(model, words, [0, 1])
    block = model.net.model.layers[0]
    for row in range(len(words)):
        text, spans = words.texts[words.sentence[row]], words.spans[words.sentence[row]]
        ids, at = begun(model.tokenizer, text)
        last = align(spans, at).last[words.place[row]]
        end = spans[words.place[row]][1]
        assert at[last][0] < end <= at[last][1]  # a token may straddle "do" and "n't"
        with torch.no_grad():
            x = model.net.model.embed_tokens(torch.tensor([ids]))
            turn = model.net.model.turn(0, len(ids), x.device)
            middle = x + block.self_attn(block.input_layernorm(x), turn)
            normed = block.post_attention_layernorm(middle)
            gate, up = block.mlp.gate_proj(normed), block.mlp.up_proj(normed)
            swiglu = torch.nn.functional.silu(gate) * up
            after = middle + block.mlp.down_proj(swiglu)
        parts = {"residual": after, "normed": normed, "pre": gate, "up": up, "swiglu": swiglu}
        for name, value in parts.items():
            assert np.allclose(found[0][name][row], value[0, last].numpy(), rtol=1e-4, atol=1e-4), name
    with pytest.raises(InputError, match="layers are \\[2\\]"):
        features(model, words, [2])
    with pytest.raises(InputError, match="parts are \\['gate'\\]"):
        features(model, words, [0], ["gate"])


def test_a_text_begins_with_a_token_of_no_word():
    ids, spans = begun(story_tokenizer(), "Once")
    assert ids[0] == 1 and spans[0] == (0, 0)


def test_tags_that_words_tell_are_found_and_the_control_task_is_only_memory(drawn):
    model = tiny()
    layer = features(model, drawn, [0])[0]
    chosen = {name: tags.represented(name, layer, drawn.train, seed=0) for name in tags.FEW}
    found = tags.parts_of_speech(chosen, drawn, seed=0)
    for name in tags.FEW:
        hits, counts = found[name]["all"]
        assert sum(hits) / sum(counts) > 0.75 and sum(counts) == (~drawn.train).sum()
        assert found[name]["control"][1] == found[name]["seen"][1]
    assert sum(found["word alone"]["all"][0]) == sum(found["word alone"]["all"][1])
    shuffled = {"residual": np.random.default_rng(0).permutation(chosen["residual"])}
    hits, counts = tags.parts_of_speech(shuffled, drawn, seed=0, control=False)["residual"]["all"]
    assert sum(hits) / sum(counts) < 0.55


def test_perturbed_weights_change_the_figures(drawn):
    figures = []
    for scale in (20.0, 0.5):
        layer = features(tiny(scale=scale), drawn, [1])[1]
        figures.append(tags.bits_needed(layer, drawn, seed=0, counts=[8, 16]))
    assert figures[0] != figures[1]


def test_random_bits_differ_by_seed_and_stacked_layers_stand_side_by_side(drawn):
    layers = features(tiny(), drawn, [0, 1])
    one, other = (tags.represented("random bits", layers[0], drawn.train, seed=seed) for seed in (0, 1))
    assert one.dtype == bool and one.shape == other.shape == (len(drawn), 24) and (one != other).any()
    both = tags.stacked("gate code", layers, drawn.train, seed=0)
    assert np.array_equal(both, np.concatenate([layers[0]["pre"] > 0, layers[1]["pre"] > 0], axis=1))


def test_information_is_scikit_learns():
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=500)
    bits = np.column_stack([labels == 1, rng.random(500) < 0.3, np.ones(500, bool)])
    expected = [mutual_info_score(bit, labels) / np.log(2) for bit in bits.T]
    assert np.allclose(tags.information(bits, labels), expected, atol=1e-5)


def test_thresholds_and_modes():
    rng = np.random.default_rng(0)
    side = rng.random(4000) < 0.5
    two, one = rng.normal(np.where(side, 3, -5), 1), rng.normal(2, 1, 4000)
    values = np.column_stack([two, one])
    place, share = thresholds.otsu(values)
    assert abs(place[0] + 1) < 0.3 and share[0] > 0.9
    assert abs(place[1] - 2) < 0.15 and abs(share[1] - 2 / np.pi) < 0.02
    sarle = thresholds.coefficient(values)
    assert sarle[0] > 0.8 and abs(sarle[1] - 1 / 3) < 0.02
    assert -3.5 < thresholds.most_telling(values, side)[0] < 1.5
    assert thresholds.otsu(np.ones((5, 1)))[1][0] == thresholds.coefficient(np.ones((5, 1)))[0] == 0


STORY = '"Hi," said Tom. He saw that she ran. "Is he ok?" He and his mom met. She said he sat.'


def test_rules_of_states_on_a_hand_made_story():
    one = rules.story(STORY)
    inside = [one.words[place] for place, label in rules.quoted(one) if label]
    assert inside == ["Hi", "Is", "he", "ok"]
    told = [(one.words[place], label) for place, label in rules.genders(one)]
    assert told == [("that", 1), ("Is", 0), ("and", 0), ("said", 0)]


def test_blocks_number_words_by_sentence_and_tell_repeats():
    both = rules.block([HAND[0], HAND[2]])
    assert both.text == "The dogs don't bark. the cats sleep"
    assert [both.text[a:b] for a, b in both.spans] == both.words
    assert both.numbers == [0, 1, 2, 3, 4, 5, 0, 1, 2]
    assert rules.repeats(both, ("DET", "NOUN")) == [(0, 0), (1, 0), (6, 1), (7, 0)]


def test_balance_within_types_leaves_nothing_to_the_word():
    rng = np.random.default_rng(0)
    kinds = rng.choice(["a", "b", "c"], size=300).tolist()
    rows = [
        (0, at, int(rng.random() < {"a": 0.9, "b": 0.2, "c": 0.5}[kind])) for at, kind in enumerate(kinds)
    ]
    kept = states.balanced(rows, kinds, 60, rng)
    assert 40 <= len(kept) <= 60
    for kind in "abc":
        labels = [label for _, at, label in kept if kinds[at] == kind]
        assert sum(labels) * 2 == len(labels)


def test_states_of_a_tiny_model_have_a_tally_for_each(drawn):
    stories = [rules.story(STORY)] * 6
    blocks = [rules.block([HAND[0], HAND[2], HAND[2], HAND[0]])] * 6
    words = states.label_texts((stories, stories), (blocks, blocks), (40, 20), np.random.default_rng(0))
    layer = features(tiny(), words, [0])[0]
    found = states.states(layer, words, seed=0)
    assert {key.split(": ")[0] for key in found} == set(states.STATES)
    for state in ("seen before", "later mention of a noun"):
        hits, counts = found[f"{state}: word alone"]["all"]
        assert sum(hits) * 2 == sum(counts)


def test_rows_have_intervals_over_sentences_and_draws_and_come_back_from_a_file(tmp_path):
    rng = np.random.default_rng(0)

    def tally(rate):
        counts = rng.integers(5, 15, size=50)
        return [rng.binomial(counts, rate).tolist(), counts.tolist()]

    tallies = {
        draw: {
            name: {"all": tally(rate), "seen": tally(rate), "control": tally(0.3)}
            for name, rate in (("one", 0.9), ("other", 0.6))
        }
        for draw in range(3)
    }
    rows = outcomes.rows_of(tallies, 4, [("one", "other")])
    apart = next(row for row in rows if row["minus"] == "other" and row["statistic"] == "all")
    assert apart["over"] == "sentences and draws" and apart["seeds"] == (0, 1, 2) and apart["n"] == 150
    assert apart["low"] > 0.2 and apart["high"] < 0.4
    selective = next(row for row in rows if row["statistic"] == "selectivity" and row["minus"] is None)
    assert abs(selective["value"] - 0.6) < 0.05
    outcomes.write_rows(tmp_path / "x.json", {"measurement": "x"}, rows)
    back = outcomes.read_rows("x", tmp_path)["rows"]
    assert json.loads(json.dumps(rows)) == back
    assert outcomes.interval_of(back[0]).over == "sentences and draws"
    with pytest.raises(InputError, match="no stored measurement 'y'"):
        outcomes.read_rows("y", tmp_path)


def test_a_run_goes_on_where_it_stopped(monkeypatch, tmp_path, drawn):
    monkeypatch.setenv("SPLINELAB_CACHE", str(tmp_path))
    ran = []

    def run(layers, words, draw, layer):
        ran.append((draw, layer, sorted(layers)))
        if len(ran) == 3:
            raise KeyboardInterrupt
        return tags.bits_needed(layers[layer], words, seed=draw, counts=[8])

    one = Measurement(run, lambda draw: drawn, ("residual", "pre"), layers=(0, 1), draws=(0, 1))
    monkeypatch.setitem(MEASUREMENTS, "one", one)
    monkeypatch.setattr(language, "LAYERS", (0, 1))
    monkeypatch.setattr(language, "_model", tiny)
    with pytest.raises(KeyboardInterrupt):
        language.run_missing(["one"], [0, 1])
    assert [done[:2] for done in ran] == [(0, 0), (0, 1), (1, 0)]
    language.run_missing(["one"], [0, 1])
    assert [done[:2] for done in ran[3:]] == [(1, 0), (1, 1)]
    language.run_missing(["one"], [0, 1])
    assert len(ran) == 5
    assert language._kept("one", 0, 0) is not None and STACK not in one.layers
