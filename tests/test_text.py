"""Text: the treebank and its two forms, the stories, and which tokens belong to which word."""

import gzip
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splinelab import data
from splinelab.data import conllu, published, stories, treebank
from splinelab.errors import DataError, InputError

# --- words and tokens


def texts(words, tokens):
    found = data.align(words, tokens)
    return list(zip(found.first.tolist(), found.last.tolist(), strict=True))


@pytest.mark.parametrize(
    ("words", "tokens", "expected"),
    [
        # "the cats": a token may begin with the space before a word
        ([(0, 3), (4, 8)], [(0, 3), (3, 7), (7, 8)], [(0, 0), (1, 2)]),
        # "don't": one token is of two words
        ([(0, 2), (2, 5)], [(0, 3), (3, 4), (4, 5)], [(0, 0), (0, 2)]),
        # a begin token, a lone space, and a character in four bytes: "a 😀!"
        ([(0, 1), (2, 3), (3, 4)], [(0, 0), (0, 1), (1, 2), *[(2, 3)] * 4, (3, 4)], [(1, 1), (3, 6), (7, 7)]),
        # one token for everything
        ([(0, 1), (2, 3), (4, 5)], [(0, 5)], [(0, 0)] * 3),
        # special tokens in the middle and at the end
        ([(0, 2), (3, 5)], [(0, 2), (0, 0), (3, 4), (4, 5), (0, 0)], [(0, 0), (2, 3)]),
        ([], [(0, 0), (0, 3)], []),
    ],
)
def test_words_have_the_tokens_that_share_a_character_with_them(words, tokens, expected):
    assert texts(words, tokens) == expected


@pytest.mark.parametrize(
    ("words", "tokens", "message"),
    [
        ([(0, 2), (2, 2)], [(0, 2)], r"word 1 is empty: it spans \(2, 2\)"),
        (
            [(0, 2), (3, 5)],
            [(0, 2), (2, 3)],
            r"word 1, characters \(3, 5\), has no token; tokens end at char.* 3",
        ),
        ([(0, 2)], [], "word 0.* has no token; tokens end at character 0"),
        ([(3, 2)], [(0, 2)], r"word 0 spans \(3, 2\); expected 0 ≤ start ≤ end"),
        ([(0, 2)], [(-1, 2)], r"token 0 spans \(-1, 2\)"),
        ([(2, 3), (0, 1)], [(0, 3)], "word spans are not in the order"),
        ([(0, 3)], [(1, 3), (0, 1)], "token spans are not in the order"),
        ([(0, 3, 1)], [(0, 3)], r"word spans have the shape \(1, 3\)"),
        ([(0, 3)], [(0.0, 3.0)], "token spans .* of float64; expected a pair of whole numbers"),
    ],
)
def test_align_refuses(words, tokens, message):
    with pytest.raises(InputError, match=message):
        data.align(words, tokens)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=12), st.data())
def test_align_is_what_comparing_characters_says(lengths, draw):
    words, at = [], 0
    for length, space in lengths:
        words.append((at, at + length))
        at += length + space
    cuts = sorted(draw.draw(st.sets(st.integers(1, at), max_size=at)) | {at})
    tokens = []
    for start, end in zip([0, *cuts[:-1]], cuts, strict=True):
        tokens += [(start, end)] * draw.draw(st.integers(1, 3)) + [(0, 0)] * draw.draw(st.integers(0, 1))
    expected = [
        [i for i, token in enumerate(tokens) if set(range(*token)) & set(range(*word))] for word in words
    ]
    assert texts(words, tokens) == [(each[0], each[-1]) for each in expected]


# --- the treebank

CONLLU = """\
# newdoc id = weblog-some.com_1
# sent_id = weblog-some.com_1-0001
# text = We've "seen" it; cannot (buy).
1-2\tWe've\t_\t_\t_\t_\t_\t_\t_\t_
1\tWe\twe\tPRON\tPRP\tCase=Nom\t4\tnsubj\t_\t_
2\t've\thave\tAUX\tVBP\t_\t4\taux\t_\t_
3\t"\t"\tPUNCT\t``\t_\t4\tpunct\t_\tSpaceAfter=No
4\tseen\tsee\tVERB\tVBN\t_\t0\troot\t_\tSpaceAfter=No
5\t"\t"\tPUNCT\t''\t_\t4\tpunct\t_\t_
6\tit\tit\tPRON\tPRP\t_\t4\tobj\t_\tSpaceAfter=No
6.1\tseen\tsee\tVERB\tVBN\t_\t_\t_\t4:conj\tCopyOf=4
7\t;\t;\tPUNCT\t,\t_\t4\tpunct\t_\t_
8-9\tcannot\t_\t_\t_\t_\t_\t_\t_\t_
8\tcan\tcan\tAUX\tMD\t_\t4\tconj\t_\t_
9\tnot\tnot\tPART\tRB\t_\t8\tadvmod\t_\t_
10\t(\t(\tPUNCT\t-LRB-\t_\t8\tpunct\t_\tFoo=1|SpaceAfter=No
11\tbuy\tbuy\tVERB\tVB\t_\t8\tccomp\t_\tSpaceAfter=No
12\t)\t)\tPUNCT\t-RRB-\t_\t8\tpunct\t_\tSpaceAfter=No
13\t.\t.\tPUNCT\t.\t_\t4\tpunct\t_\t_

# sent_id = weblog-some.com_1-0002
# text = Don't!
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
1\tDo\tdo\tAUX\tVB\t_\t0\troot\t_\t_
2\tn't\tnot\tPART\tRB\t_\t1\tadvmod\t_\t_
3\t!\t!\tPUNCT\t.\t_\t1\tpunct\t_\tSpaceAfter=No

# newdoc id = answers-2_ans
# sent_id = answers-2_ans-0001
1\t# 1\t1\tX\tLS\t_\t0\troot\t_\t_

"""


def test_conllu_becomes_the_table():
    """By hand: multiword tokens stay together, empty nodes go, a document lasts until the next begins."""
    first, second, third = treebank.sentences(conllu.table(CONLLU.encode()))
    assert first.words == tuple(
        ["We", "'ve", '"', "seen", '"', "it", ";", "can", "not", "(", "buy", ")", "."]
    )
    assert first.tags[:3] == ("PRON", "AUX", "PUNCT") and len(first.tags) == 13
    assert first.text == 'We\'ve "seen" it; cannot (buy).' and second.text == "Don't!"
    assert [first.text[slice(*span)] for span in first.spans] == list(first.words)
    assert [(each.genre, each.document) for each in (first, second, third)] == [
        *[("weblog", "weblog-some.com_1")] * 2,
        ("answers", "answers-2_ans"),
    ]
    assert third.words == ("# 1",) and first.spaces[-1] and not second.spaces[-1]
    assert conllu.table(CONLLU.replace("\n", "\r\n").encode()) == conllu.table(CONLLU.encode())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\n", "not UTF-8"),
        (b"<html>404</html>", "no '# newdoc id ='"),
        (b"# newdoc id = a-b\n1\tword\tNOUN\n", "3 fields, expected 10"),
        (b"# newdoc id = a-b\n", "without words"),
        (b"", "no '# newdoc id ='"),
    ],
)
def test_what_is_no_conllu_is_refused(content, message):
    with pytest.raises(ValueError, match=message):
        conllu.table(content)


def test_conllu_ends_in_one_token_of_several_words():
    """A file that is cut within a multiword token has a sentence of the words that are there."""
    cut = CONLLU[: CONLLU.index("2\t've")].encode()
    assert treebank.sentences(conllu.table(cut))[0].words == ("We",)


@pytest.fixture
def official(tmp_path, monkeypatch):
    """The small file stands for the official one; every place to look is inside ``tmp_path``."""
    content = conllu.table(CONLLU.encode())
    (tmp_path / "en_ewt-ud-test.conllu").write_text(CONLLU, encoding="utf-8")
    monkeypatch.setitem(
        treebank.KNOWN, ("test", "table"), (len(content), hashlib.sha256(content).hexdigest())
    )
    monkeypatch.setattr(treebank, "_ORIGIN", f"{tmp_path.as_uri()}/en_ewt-ud-")
    monkeypatch.delenv("SPLINELAB_DATA", raising=False)
    monkeypatch.setenv("SPLINELAB_CACHE", str(tmp_path / "cache"))
    data.ud_ewt.cache_clear()
    yield tmp_path / "cache" / "ud_ewt" / "en_ewt-ud-test.conllu"
    data.ud_ewt.cache_clear()


def test_the_official_file_is_downloaded_once(official, monkeypatch):
    assert not data.ud_ewt_at_hand()
    found = data.ud_ewt("test")
    assert repr(found) == "Treebank('ud-ewt-test', 3 sentences, 17 words)" and len(found) == 3
    assert official.read_text(encoding="utf-8") == CONLLU
    monkeypatch.setattr(treebank, "_ORIGIN", "http://127.0.0.1:9/")  # from now on there is no network
    data.ud_ewt.cache_clear()
    assert data.ud_ewt("test").sentences == found.sentences
    with pytest.raises(DataError, match=r"en_ewt-ud-dev.conllu .*could not be downloaded.*refused.*by hand"):
        data.ud_ewt("dev")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("seen\tsee\tVERB", "seen\tsee\tNOUN"), "other content than expected.*is corrupt"),
        (("SpaceAfter=No\n4", "_\n4"), "other content than expected.*is corrupt"),
        (("13\t.\t.\tPUNCT", "13\t..\t.\tPUNCT"), "other content than expected.*too long"),
        (("1\tDo\tdo", "1\tdo"), "is not CoNLL-U: a line of 9 fields"),
    ],
)
def test_an_official_file_with_other_content_is_refused(change, message, official):
    official.parent.mkdir(parents=True)
    official.write_text(CONLLU.replace(*change, 1), encoding="utf-8")
    with pytest.raises(DataError, match=f"en_ewt-ud-test.conllu.*{message}.*delete it"):
        data.ud_ewt("test")
    official.write_text(CONLLU.replace("# sent_id", "# other_id"), encoding="utf-8")  # of no matter
    assert len(data.ud_ewt("test")) == 3


def test_unknown_parts_and_missing_tables(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="no part 'valid'; expected 'train', 'dev' or 'test'"):
        data.ud_ewt("valid")
    (tmp_path / "ud_ewt").mkdir()
    monkeypatch.setenv("SPLINELAB_DATA", str(tmp_path))
    data.ud_ewt.cache_clear()
    message = r"ewt_dev_form_upos_xpos.tsv.gz is missing.*put the official en_ewt-ud-dev.conllu beside it"
    with pytest.raises(DataError, match=message):
        data.ud_ewt("dev")


def at_hand(folder):
    return published.data_folder(folder) is not None


@pytest.mark.skipif(not at_hand("ud_ewt"), reason="needs UD EWT under SPLINELAB_DATA")
@pytest.mark.parametrize(
    ("part", "sentences", "words", "nouns"),
    [("train", 12_544, 204_577, 34_751), ("dev", 2_001, 25_147, 4_210), ("test", 2_077, 25_094, 4_123)],
)
def test_ud_ewt_is_what_it_was(part, sentences, words, nouns, tmp_path, monkeypatch):
    """Counts as its source states them; the official form of the same sentences passes the checksum."""
    data.ud_ewt.cache_clear()
    found = data.ud_ewt(part)
    tags = [tag for sentence in found.sentences for tag in sentence.tags]
    assert (len(found), len(tags), tags.count("NOUN"), len(set(tags))) == (sentences, words, nouns, 17)
    assert {each.genre for each in found.sentences} == {"weblog", "email", "newsgroup", "answers", "reviews"}
    assert all(each.text[slice(*span)] == word for each in found.sentences[:500]
               for span, word in zip(each.spans, each.words, strict=True))  # fmt: skip
    (tmp_path / "ud_ewt").mkdir()
    (tmp_path / "ud_ewt" / f"en_ewt-ud-{part}.conllu").write_bytes(as_conllu(part))
    monkeypatch.setenv("SPLINELAB_DATA", str(tmp_path))
    data.ud_ewt.cache_clear()
    assert data.ud_ewt(part).sentences == found.sentences and data.ud_ewt_at_hand()
    data.ud_ewt.cache_clear()


def as_conllu(part):
    """CoNLL-U of the tables: "'s" and the like as multiword tokens, an empty node in every tenth sentence."""
    folder = published.data_folder("ud_ewt")
    words, table = (
        gzip.decompress((folder / f"ewt_{part}_{kind}.tsv.gz").read_bytes()).decode()
        for kind in ("form_upos_xpos", "genre_document_spaces")
    )
    blocks, before = [], None
    for number, (block, line) in enumerate(
        zip(words.strip("\n").split("\n\n"), table.splitlines(), strict=True)
    ):
        _, document, digits = line.split("\t")
        lines = [f"# newdoc id = {document}"] if document != before else []
        before, rows = document, [row.split("\t") for row in block.split("\n")]
        afters = ["_" if digit == "1" else "SpaceAfter=No" for digit in digits]
        for i, (form, upos, xpos) in enumerate(rows):
            clitic = i + 1 < len(rows) and digits[i] == "0" and rows[i + 1][0] in ("'s", "n't")
            if clitic:
                lines.append(f"{i + 1}-{i + 2}\t{form}{rows[i + 1][0]}" + "\t_" * 7 + f"\t{afters[i + 1]}")
                afters[i] = afters[i + 1] = "_"
            lines.append("\t".join([str(i + 1), form, "_", upos, xpos, *"_" * 4, afters[i]]))
        lines += [f"{len(rows)}.1" + "\t_" * 9] if number % 10 == 0 else []
        blocks.append("\n".join(lines))
    return ("\n\n".join(blocks) + "\n\n").encode()


# --- stories


def test_stories_are_parted_by_single_line_breaks():
    content = b"One. \n\nMore of it.\nTwo.\n \nMore.\n\n\nThree is short.\n\n"
    assert stories.stories(content) == ["One. \n\nMore of it.", "Two.\n\nMore.\n\n\nThree is short."]
    assert stories.stories(b"\n") == []


@pytest.mark.skipif(not at_hand("text_tinystories_1k"), reason="needs TinyStories under SPLINELAB_DATA")
def test_tiny_stories_are_what_they_were():
    found = data.tiny_stories()
    assert (len(found), sum(map(len, found))) == (1_092, 941_489) and data.tiny_stories_at_hand()
    assert (
        found[0].startswith("One day, a little girl named Lily found a needle")
        and found[0].count("\n\n") == 2
    )
    assert found[1].startswith("Once upon a time, there was a little car named Beep.")


def test_tiny_stories_that_cannot_be_had(tmp_path, monkeypatch):
    (tmp_path / "text_tinystories_1k").mkdir()
    (tmp_path / "text_tinystories_1k" / "tiny_stories.txt").write_bytes(b"Once upon a time\n" * 10)
    monkeypatch.setenv("SPLINELAB_DATA", str(tmp_path))
    data.tiny_stories.cache_clear()
    with pytest.raises(DataError, match=r"tiny_stories.txt is truncated: 170 bytes.*unset SPLINELAB_DATA"):
        data.tiny_stories()
