"""The runs' own steps on small planted layers, and what is summed up of them."""

import json

import numpy as np
import pytest

from measures import gather, grouping, switches, switching
from measures.words import Words
from splinelab.errors import InputError
from splinelab.nets import Llama, LlamaShape


@pytest.fixture(scope="module")
def found():
    """A layer whose gate reads the tag off half of the residual stream, and what is measured of it."""
    rng = np.random.default_rng(0)
    tags = rng.integers(5, size=400)
    words = np.array([f"{tag}{i}" for tag, i in zip(tags, rng.integers(10, size=400), strict=True)])
    residual = np.c_[rng.normal(size=(5, 12))[tags], rng.normal(size=(400, 12))]
    residual[:, :12] += 0.5 * rng.normal(size=(400, 12))
    pre = residual[:, :12] @ rng.normal(size=(12, 96))
    train = np.arange(400) < 200
    parts = {
        "residual": residual, "normed": residual, "pre": pre, "swiglu": pre * np.maximum(pre, 0),
        "untrained": rng.normal(size=(200, 96)),
    }  # fmt: skip
    drawn = Words([], [], np.arange(400) // 8, np.zeros(400, int), words, tags, train)
    return grouping.measured(
        {name: some.astype(np.float32) for name, some in parts.items()}, drawn, 0, nmf=True
    )


def test_a_code_that_reads_tags_beats_bits_that_read_everything(found):
    auc = {name: some["tag"]["value"] for name, some in found["distances"].items() if name != "n"}
    assert auc["gate code, Jaccard"] > auc["random bits, Jaccard"] + 0.05
    assert auc["untrained copy, Hamming"] == pytest.approx(0.5, abs=0.02)
    assert auc["pre, centred cosine"] > auc["residual, centred cosine"]
    assert found["merging"]["gate code"]["homogeneity"]["value"] > 0.6
    assert found["shared"]["gate code"]["tags"] > found["shared"]["gate code"]["shuffled, tags"]
    assert found["distances"]["n"] == {"words": 200, "sentences": 25}


def test_groups_have_the_sizes_of_the_codes_own_clusters(found):
    clusters = found["clusters"]
    for metric in ("Jaccard", "Hamming"):
        own = clusters["hdbscan"][f"gate code, {metric}"]
        for name in grouping.MATCHED:
            some = clusters[f"sizes of {metric}"][name]
            assert [some[key] for key in ("clusters", "noise", "largest")] == [
                own[key] for key in ("clusters", "noise", "largest")
            ]
    assert set(clusters["hdbscan"]) == set(grouping.CLUSTERED)


def test_nmf_is_judged_by_both_clusterings(found):
    assert {name.split(", ")[1] for name in found["directions"] if name != "n"} == {
        "clusters by Hamming", "clusters by Jaccard"
    }  # fmt: skip


def test_rows_have_values_intervals_and_paired_differences(tmp_path, monkeypatch, found):
    monkeypatch.setattr(gather, "STORED", tmp_path / "stored")
    for name in ("distances", "clusters", "shared"):
        for draw in (0, 1):
            content = json.dumps(found[name])
            (tmp_path / f"{name}-{draw}-4.json").write_text(content, encoding="utf-8")
        stored = json.loads(gather.sum_up(name, tmp_path).read_text(encoding="utf-8"))
        assert stored["measurement"] == name
        for row in stored["rows"]:
            assert row["low"] <= row["value"] <= row["high"]
            assert (row["layer"], row["seeds"], row["n"]) == (4, [0, 1], 50)
    stored = json.loads((tmp_path / "stored/distances.json").read_text(encoding="utf-8"))["rows"]
    by = {(row["representation"], row["minus"]): row for row in stored if row["statistic"] == "tag"}
    one, other = "gate code, Jaccard", "random bits, Jaccard"
    assert by[one, other]["value"] == pytest.approx(
        by[one, None]["value"] - by[other, None]["value"], abs=2e-6
    )
    alone = sum((by[name, None]["high"] - by[name, None]["low"]) ** 2 for name in (one, other)) ** 0.5
    assert 0 < by[one, other]["high"] - by[one, other]["low"] < alone  # paired


def test_one_draw_of_a_count_has_no_interval(tmp_path, monkeypatch, found):
    monkeypatch.setattr(gather, "STORED", tmp_path)
    (tmp_path / "shared-0-4.json").write_text(json.dumps(found["shared"]), encoding="utf-8")
    rows = json.loads(gather.sum_up("shared", tmp_path).read_text(encoding="utf-8"))["rows"]
    assert {row["over"] for row in rows} == {"exact"}
    rows = [row for row in rows if row["minus"] == "gate code: shuffled, tags, on"]
    assert rows[0]["value"] == pytest.approx(
        found["shared"]["gate code"]["tags, on"] - found["shared"]["gate code"]["shuffled, tags, on"]
    )


def test_unknown_names_and_empty_caches_are_named(tmp_path):
    with pytest.raises(InputError, match="no measurement 'topic'"):
        gather.sum_up("topic")
    with pytest.raises(InputError, match="holds nothing of merging"):
        gather.sum_up("merging", tmp_path)


def test_switches_of_a_small_model():
    net = Llama(LlamaShape(40, 16, 2, 2, 1, 24), seed=0).eval()
    tokens = np.random.default_rng(0).integers(40, size=(12, 30))
    names = sorted(switches.TAG_OF)
    words = switches.story_words(tokens, [f" {names[i * 3]}" for i in range(40)])
    at_words = switches.before_mlp(net, tokens, 1, words)
    found = switching.measured(net, at_words, words, tokens, 1, draw=0, pairs=100)
    assert set(found) == {"gate", "random directions", "random directions, centred", "untrained", "n"}
    for name in set(found) - {"n"}:
        ratio = found[name]["switches, matched in length"]["ratio"]["value"]
        assert ratio == pytest.approx(1, abs=0.5)  # weights that know nothing of parts of speech
        assert sum(found[name]["positions"]) > 0
