"""The ledger: rules, verdicts, and what chapters may record."""

import json
import math
import resource
import shutil

import numpy as np
import pytest
from scipy import stats

from splinelab import claims
from splinelab.claims.entries import Claim, Measurement
from splinelab.claims.ledger import Ledger, book_folder
from splinelab.errors import ClaimError

KEYS = [
    "id",
    "source",
    "chapter",
    "statement",
    "theirs",
    "ours",
    "low",
    "high",
    "n",
    "seeds",
    "data",
    "verdict",
    "condition",
]


def entry(**changes):
    base = {
        "id": "toy-1",
        "source": "toy",
        "place": "section 1",
        "chapter": "chapter",
        "statement": "It is so.",
        "quantity": "a difference",
        "cases": {"first": {"above": 0}, "second": {"above": 0}},
        "seeds": 2,
    }
    return base | changes


def measured(value, half=0.1, seeds=(0, 1)):
    return Measurement(value, value - half, value + half, 100, seeds, "toy", "0" * 64)


def verdict(measurements, /, **changes):
    ledger = Ledger({"toy-1": Claim.from_dict(entry(**changes))})
    for label, measurement in measurements.items():
        ledger.add("toy-1", label, measurement)
    return ledger.verdicts()["toy-1"]


def test_verdict_follows_the_measurement():
    assert verdict({"first": measured(1), "second": measured(1)}) == ("reproduced", "")
    assert verdict({"first": measured(-1), "second": measured(-1)}) == ("not reproduced", "")
    name, condition = verdict({"first": measured(1), "second": measured(0)})
    assert name == "reproduced under a condition"
    assert condition == "holds for first; not for second"


def test_own_findings_extend():
    assert verdict({"first": measured(1), "second": measured(1)}, source="ours")[0] == "extends"


def test_fewer_seeds_or_cases_are_partial():
    one = measured(1, seeds=(0,))
    assert verdict({"first": one, "second": measured(1)}) == ("partial", "1 of 2 seeds")
    assert verdict({"first": measured(1)}) == ("partial", "not measured: second")


def test_no_measurement_needs_a_reason():
    with pytest.raises(ClaimError, match="neither a measurement nor a reason"):
        verdict({})
    assert verdict({}, not_tested="needs a language model") == ("not tested", "needs a language model")


@pytest.mark.parametrize(
    ("rule", "inside", "outside"),
    [
        ({"below": 0.5}, (0.2, 0.3), (0.4, 0.6)),
        ({"above": 0.5}, (0.6, 0.7), (0.4, 0.6)),
        ({"within": [0, 1]}, (0.0, 1.0), (0.5, 1.1)),
        ({"equals": 11}, (11, 11), (10, 11)),
    ],
)
def test_rules(rule, inside, outside):
    (case,) = Claim.from_dict(entry(cases={"only": rule})).cases
    assert case.clears(*inside)
    assert not case.clears(*outside)


def test_p_value_is_the_normal_one():
    (case,) = Claim.from_dict(entry(cases={"only": {"above": 0}})).cases
    half = stats.norm.ppf(0.975)
    assert case.p_value(2 - half, 2 + half) == pytest.approx(2 * stats.norm.sf(2))
    assert case.p_value(-1.0, -1.0) == 0.0


def test_holm_by_hand_and_order():
    p = [0.04, 0.01, 0.03, 0.5]
    by_hand = [0.09, 0.04, 0.09, 0.5]  # 4 × .01; 3 × .03; max(.09, 2 × .04); max(.09, .5)
    assert claims.holm(p) == pytest.approx(by_hand)
    assert claims.holm([]) == []


def test_holm_takes_away_what_only_chance_gave():
    one = Measurement(0.5, 0.01, 0.99, 10, (0, 1), "toy", "0")  # p = .045 alone
    rules = {f"case {i}": {"above": 0} for i in range(20)}
    name, _ = verdict(dict.fromkeys(rules, one), cases=rules)
    assert name == "not reproduced"
    assert verdict({"case 0": one}, cases={"case 0": {"above": 0}})[0] == "reproduced"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "unknown keys \\['colour'\\]"),
        ({"cases": {"first": {"over": 1}}}, "a rule is one of"),
        ({"cases": {"first": {"within": 1}}}, "within takes 2"),
    ],
)
def test_bad_entries_are_refused(changes, message):
    with pytest.raises(ClaimError, match=message):
        Claim.from_dict(entry(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"cases": {"first": {"above": math.nan}}},
            r"'first'.*threshold is \[nan\]; expected one or two numbers",
        ),
        ({"cases": {"first": {"above": True}}}, r"is \[True\]; expected one"),
        ({"cases": {"first": {"above": "0"}}}, r"is \['0'\]; expected one"),
        ({"cases": {"first": {"within": [9, -9]}}}, "the smaller number first"),
        ({"cases": {"first": {"above": [0, 1]}}}, "above takes 1"),
        ({"cases": {"first": {"above": []}}}, "one or two numbers"),
        ({"cases": {}}, "cases is .*one or more"),
        ({"cases": [1]}, "labels with a rule each"),
        ({"cases": {3: {"above": 0}}}, "label is 3"),
        ({"seeds": 0}, "seeds is 0; expected a positive whole number"),
        ({"seeds": 2.0}, r"seeds is 2\.0"),
        ({"theirs": "0.9"}, "theirs is '0.9'; expected a number, or nothing"),
        ({"statement": 5}, "statement is 5"),
        ({"place": ""}, "place is ''"),
        ({3: 4}, "unknown keys"),
    ],
)
def test_entries_hold_what_they_should(changes, message):
    with pytest.raises(ClaimError, match=rf"claims\.yml, toy-1: .*{message}"):
        Claim.from_dict(
            entry(**changes) if all(isinstance(key, str) for key in changes) else entry() | changes
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": [0, 0, 0, 0, 0]}, "seeds is .*each seed once"),
        ({"seeds": []}, "seeds is"),
        ({"seeds": [-1]}, "seeds is"),
        ({"n": -5}, "n is -5; expected a positive whole number"),
        ({"n": True}, "n is True"),
        ({"n": 2.5}, r"n is 2\.5"),
        ({"low": 1.5}, "low ≤ value ≤ high"),
        ({"value": "1"}, "value is '1'; expected a number"),
        ({"high": math.inf}, "high is inf"),
        ({"data": ""}, "data is ''"),
        ({"measured": "yesterday"}, "measured is 'yesterday'; expected a day"),
        ({"colour": 1}, "no key 'colour'"),
    ],
)
def test_measurements_hold_what_they_should(changes, message):
    good = {**measured(1).to_dict(), "measured": "2026-11-20"}
    assert Measurement.from_dict(good).to_dict() == good
    with pytest.raises(ClaimError, match=message):
        Measurement.from_dict(good | changes)
    with pytest.raises(ClaimError, match="n is missing"):
        Measurement.from_dict({key: value for key, value in good.items() if key != "n"})


def test_bad_measurements_are_refused():
    for low, value, high in [(0.5, 0.4, 0.6), (0.1, float("nan"), 0.2)]:
        with pytest.raises(ClaimError, match="finite low ≤ value ≤ high"):
            Measurement(value, low, high, 1, (0,), "toy", "0")


class ToyData:
    name, checksum = "toy", "0" * 64


@pytest.fixture
def own_book(tmp_path, monkeypatch):
    """A ledger of one claim in a folder of its own."""
    (tmp_path / "results").mkdir()
    (tmp_path / "claims.yml").write_text(json.dumps({"claims": [entry()]}))
    monkeypatch.setattr(claims.ledger, "book_folder", lambda: tmp_path)
    monkeypatch.delenv("SPLINELAB_RESULTS", raising=False)
    return tmp_path


def test_a_chapter_records_and_saves(own_book):
    notebook = claims.Notebook("chapter", committed=True)
    for case in ("first", "second"):
        notebook.record("toy-1", case, (1, 0.9, 1.1), n=10, seeds=range(2), data=ToyData)
    notebook.save()
    ledger = Ledger.load()
    assert ledger.verdicts()["toy-1"] == ("reproduced", "")
    assert ledger.rows()[0]["ours"] == 1
    claims.write_verdicts()
    assert json.loads((own_book / "results" / "verdicts.json").read_text()) == {"toy-1": "reproduced"}


@pytest.fixture
def saved(own_book):
    """With one measurement and the verdicts."""
    notebook = claims.Notebook("chapter", committed=True)
    for case in ("first", "second"):
        notebook.record("toy-1", case, (1, 0.9, 1.1), n=10, seeds=range(2), data=ToyData)
    notebook.save()
    claims.write_verdicts()
    return own_book


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"n": 10', '"n": 11', "is not what was written"),
        ('"n": 10', '"n": -5', "toy-1, 'first': measurement: n is -5"),
        ('"seeds": [', '"seeds": [], "x": [', "no key 'x'"),
        ('"value": 1.0', '"value": NaN', "NaN, which is no number"),
        ('"value": 1.0', '"value": 1.0, "value": 1.0', "has the key 'value' twice"),
        ('"second"', '"first"', "has the key 'first' twice"),
        ('"toy-1"', '"toy-2"', "is not what was written"),
        ("sha256", "sha257", "sha257: expected measurements by case"),
        ("}", "", "is not JSON"),
        ("{", "[", "is not JSON"),
    ],
)
def test_results_that_are_not_what_was_written(saved, old, new, message):
    file = saved / "results" / "chapter.json"
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(ClaimError, match=rf"chapter\.json.*{message}.*run its chapter again"):
        Ledger.load()


def test_results_cut_short_or_elsewhere(saved):
    file = saved / "results" / "chapter.json"
    content = file.read_bytes()
    for cut in (0, 1, len(content) // 2, len(content) - 3):
        file.write_bytes(content[:cut])
        with pytest.raises(ClaimError, match=r"chapter\.json.*is not JSON"):
            Ledger.load()
    file.write_bytes(content.replace(b"toy", b"t\xff\xff", 1))
    with pytest.raises(ClaimError, match=r"chapter\.json is not UTF-8"):
        Ledger.load()
    file.write_bytes(content)
    shutil.copy(file, file.with_name("other.json"))
    with pytest.raises(ClaimError, match=r"other\.json: toy-1 belongs to chapter"):
        Ledger.load()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("claims: [{id: a, id: b}]", "the key 'id' stands twice"),
        ("claims: [{cases: {x: {above: 0}, x: {above: 1}}}]", "the key 'x' stands twice"),
        ("claims: [{1: 2}]", "a text as a key, got 1"),
        ("claims: [{? [a] : b}]", "a text as a key"),
        ("claims: [", "is not YAML"),
        ("claims: [2026-13-45]", "is not YAML"),
        ("claims: !!python/object:os.system x", "is not YAML"),
        ("claims: 5", "no ledger"),
        ("- 3", "no ledger"),
        ("", "no ledger"),
        ("claims: [3]", "an entry is a mapping"),
    ],
)
def test_a_ledger_that_cannot_be_read(own_book, text, message):
    (own_book / "claims.yml").write_text(text)
    with pytest.raises(ClaimError, match=rf"claims\.yml.*{message}"):
        Ledger.load()


@pytest.mark.parametrize(
    ("old", "new", "happened"),
    [
        ('"above": 0', '"above": -1', "was changed"),
        ("It is", "It was", "was changed"),
        ("toy-1", "toy-2", "is missing"),
    ],
)
def test_no_rule_changes_unseen_after_the_verdicts(saved, old, new, happened):
    file = saved / "claims.yml"
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(ClaimError, match=rf"claims\.yml, toy-1: it {happened}.*`revised`.*build\.py ledger"):
        Ledger.load()
    if happened == "was changed":
        claims.write_verdicts()
        Ledger.load()


def test_a_full_disk_leaves_the_old_results_and_nothing_else(saved):
    before = {path: path.read_bytes() for path in (saved / "results").iterdir()}
    notebook = claims.Notebook("chapter", committed=True)
    notebook.record("toy-1", "first", (2, 1.9, 2.1), n=10, seeds=range(2), data=ToyData)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(ClaimError, match=r"chapter\.json cannot be written.*make room"):
            notebook.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path: path.read_bytes() for path in (saved / "results").iterdir()} == before


def test_an_equal_measurement_leaves_the_file_as_it_was(own_book):
    file = own_book / "results" / "chapter.json"
    written = []
    for value in (1, 1 + 1e-5):
        notebook = claims.Notebook("chapter", committed=True)
        notebook.record("toy-1", "first", (value, 0.9, 1.1), n=10, seeds=range(2), data=ToyData)
        notebook.save()
        written.append(file.read_text())
    assert written[0] == written[1]


def test_other_scales_write_nothing(own_book):
    notebook = claims.Notebook("chapter", committed=False)
    notebook.record("toy-1", "first", (1, 0.9, 1.1), n=10, seeds=range(2), data=ToyData)
    assert "nothing was written" in notebook.save()
    assert list((own_book / "results").iterdir()) == []


def test_unknown_claims_cases_and_chapters_are_refused(own_book):
    notebook = claims.Notebook("chapter", committed=True)
    arguments = {"interval": (1, 0, 2), "n": 1, "seeds": [0], "data": ToyData}
    with pytest.raises(ClaimError, match=r"not in book/claims\.yml"):
        notebook.record("toy-9", "first", **arguments)
    with pytest.raises(ClaimError, match="has no case 'third'"):
        notebook.record("toy-1", "third", **arguments)
    with pytest.raises(ClaimError, match="belongs to chapter"):
        claims.Notebook("other", committed=True).record("toy-1", "first", **arguments)


def test_stored_verdicts_follow_from_the_rules():
    stored = json.loads((book_folder() / "results" / "verdicts.json").read_text())
    assert stored == {claim_id: name for claim_id, (name, _) in Ledger.load().verdicts().items()}


def test_every_claim_of_the_source_is_measured():
    rows = {row["id"]: row for row in Ledger.load().rows()}
    for number in range(1, 7):
        assert any(name.startswith(f"spline-{number}") for name in rows)
    # The half of row 8 that needs a language model; two counts that only the source's own files could settle.
    for name in ("polytope-8c", "spd-97-or-100"):
        assert rows.pop(name)["verdict"] == "not tested"
    models = ("tms-5-2-id", "tms-40-10", "mlp-2", "mlp-3")
    assert {"spd-quality-tms-5-2", "spd-quality-tms-40-10-id"} <= set(rows)
    assert {f"spd-{part}{model}" for part in ("", "quality-") for model in models} <= set(rows)
    assert {f"polytope-{number}" for number in range(1, 12)} <= {name.rstrip("abcdef") for name in rows}
    for row in rows.values():
        assert list(row) == KEYS
        assert row["verdict"] not in ("not tested", "partial"), row["id"]
        assert np.isfinite([row["ours"], row["low"], row["high"]]).all()


def test_scoreboard_prints_every_claim(capsys):
    claims.print_scoreboard(as_json=True)
    rows = json.loads(capsys.readouterr().out)
    claims.print_scoreboard()
    plain = capsys.readouterr().out
    assert all(row["id"] in plain and row["verdict"] in plain for row in rows)
    assert claims.scoreboard_markdown().count("\n") == len(rows) + 1


def test_intervals_over_seeds_against_scipy():
    values = np.array([0.4, 0.9, 0.7, 0.65])
    value, low, high = claims.mean_over_seeds(values)
    expected = stats.t.interval(0.95, 3, loc=values.mean(), scale=stats.sem(values))
    assert value == pytest.approx(values.mean()) and (low, high) == pytest.approx(expected)
    assert claims.count_over_seeds([3, 1, 2, 2]) == (2, 1, 3)
    with pytest.raises(ClaimError, match="at least 2"):
        claims.mean_over_seeds([0.5])
