"""The story tokenizer against the rule it follows, and against what its source states."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splinelab import data, zoo
from splinelab.data import published
from splinelab.errors import InputError, ZooError
from splinelab.zoo import tokens

NAMES = tokens.read_vocabulary(tokens.VOCABULARY)
IDS = {token: i for i, token in enumerate(NAMES)}


def by_the_rule(text):
    """Slowly: unite the pair whose union has the highest score, the first of several, until none is left."""
    parts = []
    for character in " " + text if text else "":
        parts += [character] if character in IDS else [f"<0x{byte:02X}>" for byte in character.encode()]
    while True:
        unions = [IDS.get(one + other, 0) for one, other in pairwise(parts)]
        merged = [i for i in unions if i >= 259]
        if not merged:
            return [1, *(IDS[part] for part in parts)]
        at = unions.index(min(merged))
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


def test_the_ids_that_the_source_states():
    found = zoo.story_tokenizer().encode("Once upon a time, there was a little girl named Lily.")
    expected = "1 403 407 261 378 432 383 286 261 376 298 315 421 395 317 426"
    assert found.ids == [int(i) for i in expected.split()]
    assert len(zoo.story_tokenizer()) == 512


TEXT = st.text(
    st.one_of(st.sampled_from(" \nabehinorstwTOL.,\"'!™œ😀<>"), st.characters(exclude_categories=["Cs"])),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(TEXT)
def test_every_text_is_cut_by_the_rule_and_comes_back(text):
    tokenizer = zoo.story_tokenizer()
    found = tokenizer.encode(text)
    assert found.ids == by_the_rule(text)
    assert tokenizer.decode(found.ids) == text
    assert found.spans[0] == (0, 0) and len(found.spans) == len(found.ids)
    shown = " " + text
    for i, (start, end) in zip(found.ids[1:], found.spans[1:], strict=True):
        if i >= 259:  # the token is its text; the first one has the space that the text has not
            assert NAMES[i] in (text[start:end], " " + text[start:end], shown[:1])
        else:
            assert f"{i - 3:02x}" in text[start:end].encode().hex(" ").split() and end - start == 1
    assert sorted({c for start, end in found.spans for c in range(start, end)}) == list(range(len(text)))


def test_decoding_and_single_tokens():
    tokenizer = zoo.story_tokenizer()
    assert [tokenizer.text(i) for i in (1, 261, 426, 13)] == ["<s>", " a", ".", "\n"]
    assert tokenizer.decode([1, 403, 407, 2]) == "Once upon"
    with pytest.raises(InputError, match="there is no token 512; story has tokens 0 to 511"):
        tokenizer.decode([512])
    with pytest.raises(InputError, match="text is a list; expected one string"):
        tokenizer.encode(["a"])
    with pytest.raises(InputError, match="half a surrogate pair"):
        tokenizer.encode("a\ud800")


def test_words_of_a_sentence_find_their_tokens():
    sentence = data.Sentence(
        ("Naïve", "cats", ",", "they", "'re"), ("X",) * 5, "g", "d", (True, False, True, False, False)
    )
    found = zoo.story_tokenizer().encode(sentence.text)
    first, last = data.align(sentence.spans, found.spans)
    cut = [[tokens_.strip() for tokens_ in map(zoo.story_tokenizer().text, found.ids[a : b + 1])]
           for a, b in zip(first, last, strict=True)]  # fmt: skip
    assert cut[1:] == [["c", "at", "s"], [","], ["they"], ["'", "re"]]
    assert "".join(cut[0]).startswith("Na") and first[0] == 1


def test_a_changed_vocabulary_is_refused(tmp_path):
    path = tmp_path / "story-vocabulary.json"
    found = json.loads(tokens.VOCABULARY.read_text(encoding="utf-8"))
    assert found["licence"].startswith("MIT") and "karpathy" in found["source"]
    for change in (
        {"tokens": [*NAMES[:300], NAMES[301], NAMES[300], *NAMES[302:]]},
        {"tokens": NAMES[:-1]},
        {"tokens": None},
    ):
        path.write_text(json.dumps(found | change), encoding="utf-8")
        with pytest.raises(ZooError, match=r"story-vocabulary.json was changed.*reinstall"):
            tokens.read_vocabulary(path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ZooError, match=r"story-vocabulary.json is not JSON.*reinstall"):
        tokens.read_vocabulary(path)


@pytest.mark.skipif(published.data_folder("stories260k") is None, reason="needs stories260K")
def test_the_vocabulary_that_ships_is_that_of_stories260k():
    path = published.data_folder("stories260k") / "vocabulary.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    assert [each["token"] for each in found] == NAMES
    assert [each["score"] for each in found[259:]] == [-float(i) for i in range(512 - 259)]


@pytest.mark.skipif(published.data_folder("text_tinystories_1k") is None, reason="needs TinyStories")
def test_all_stories_give_the_number_of_tokens_that_the_source_states():
    lines = [" ".join(line.split()) for story in data.tiny_stories() for line in story.split("\n")]
    assert sum(len(zoo.story_tokenizer().encode(line).ids) for line in lines if line) == 468_502
