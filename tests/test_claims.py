"""The ledger: rules, verdicts, and what chapters may record."""

import json
import math
import re
import resource
import shutil
import textwrap
from pathlib import Path

import numpy as np
import pytest

from splinelab import claims, spd
from splinelab.claims.entries import Claim, Measurement
from splinelab.claims.ledger import VERDICTS, Ledger, book_folder
from splinelab.claims.stored import read_results
from splinelab.errors import ClaimError
from splinelab.intervals import Interval, exactly, over_nets, range_over_nets

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
    "cases",
]
CASE_KEYS = [
    "case",
    "quantity",
    "value",
    "low",
    "high",
    "interval",
    "n",
    "seeds",
    "data",
    "rule",
    "outcome",
]


def entry(**changes):
    base = {
        "id": "toy-1",
        "source": "toy",
        "place": "section 1",
        "chapter": "chapter",
        "statement": "It is so.",
        "quantity": "a difference",
        "committed": "2026-11-20 10:00",
        "measured": "2026-11-20 12:00",
        "cases": {"first": {"above": 0}, "second": {"above": 0}},
        "seeds": 2,
    }
    return base | changes


def interval(value, half=0.1, seeds=(0, 1), over="images and nets"):
    return Interval(value, value - half, value + half, over, 100, seeds, "by hand", 30.0)


def measured(value, half=0.1, seeds=(0, 1)):
    return on_toy(interval(value, half, seeds))


def on_toy(found):
    return Measurement.of(found, data="toy", checksum="0" * 64)


def ledger_of(measurements, /, **changes):
    ledger = Ledger({"toy-1": Claim.from_dict(entry(**changes))})
    for label, measurement in measurements.items():
        ledger.add("toy-1", label, measurement)
    return ledger


def verdict(measurements, /, **changes):
    return ledger_of(measurements, **changes).verdicts()["toy-1"]


HOLDS, CONTRADICTED, UNDECIDED = measured(1), measured(-1), measured(0.05)


@pytest.mark.parametrize(
    ("first", "second", "expected", "condition"),
    [
        (HOLDS, HOLDS, "reproduced", ""),
        (HOLDS, CONTRADICTED, "reproduced under a condition", "holds for first. contradicted for second"),
        (HOLDS, UNDECIDED, "reproduced under a condition", "holds for first. undecided for second"),
        (UNDECIDED, HOLDS, "reproduced under a condition", "holds for second. undecided for first"),
        (CONTRADICTED, HOLDS, "contradicted", "holds for second. contradicted for first"),
        (CONTRADICTED, CONTRADICTED, "contradicted", ""),
        (CONTRADICTED, UNDECIDED, "contradicted", "contradicted for first. undecided for second"),
        (UNDECIDED, CONTRADICTED, "contradicted", "contradicted for second. undecided for first"),
        (UNDECIDED, UNDECIDED, "undecided", "first: about 11 nets would decide"),
    ],
)
def test_verdict_follows_from_the_outcomes(first, second, expected, condition):
    assert verdict({"first": first, "second": second}) == (expected, condition)
    ours = verdict({"first": first, "second": second}, source="ours")[0]
    assert ours == ("extends" if expected == "reproduced" else expected)


@pytest.mark.parametrize("first", [HOLDS, CONTRADICTED, UNDECIDED])
@pytest.mark.parametrize("second", [HOLDS, CONTRADICTED, UNDECIDED])
def test_the_figure_beside_a_verdict_carries_it(first, second):
    """The first case of the outcome that the verdict speaks of."""
    (row,) = ledger_of({"first": first, "second": second}).rows()
    assert_no_contradiction(row)
    assert [case["case"] for case in row["cases"]] == ["first", "second"]


def assert_no_contradiction(row):
    """The printed figure is that of the first case with the verdict's outcome, and of no other."""
    spoken = {
        "reproduced": "holds",
        "extends": "holds",
        "reproduced under a condition": "holds",
        "contradicted": "contradicted",
        "undecided": "undecided",
    }
    assert row["verdict"] in VERDICTS
    if row["verdict"] not in spoken:
        return
    carrying = next(case for case in row["cases"] if case["outcome"] == spoken[row["verdict"]])
    for ours, key in (("ours", "value"), *((key, key) for key in ("low", "high", "n", "seeds", "data"))):
        assert row[ours] == carrying[key], row["id"]
    if row["verdict"] in ("reproduced", "extends"):
        assert {case["outcome"] for case in row["cases"]} == {"holds"}


def test_fewer_seeds_or_cases_are_partial():
    one = measured(1, seeds=(0,))
    assert verdict({"first": one, "second": measured(1)}) == ("partial", "1 of 2 seeds")
    assert verdict({"first": measured(1)}) == ("partial", "not measured: second")
    (row,) = ledger_of({"second": measured(1)}).rows()
    assert [case["case"] for case in row["cases"]] == ["second"] and row["ours"] == 1


def test_no_measurement_needs_a_reason():
    with pytest.raises(ClaimError, match="neither a measurement nor a reason"):
        verdict({})
    assert verdict({}, not_tested="needs a language model") == ("not tested", "needs a language model")
    (row,) = ledger_of({}, not_tested="needs a language model").rows()
    assert row["cases"] == [] and row["ours"] is None


@pytest.mark.parametrize(
    ("rule", "inside", "between", "outside"),
    [
        ({"below": 0.5}, (0.2, 0.3), (0.4, 0.6), (0.5, 0.6)),
        ({"above": 0.5}, (0.6, 0.7), (0.4, 0.6), (0.4, 0.5)),
        ({"within": [0, 1]}, (0.0, 1.0), (0.5, 1.1), (1.1, 1.2)),
        ({"equals": 11}, (11, 11), (10, 11), (9, 10)),
    ],
)
def test_rules(rule, inside, between, outside):
    (case,) = Claim.from_dict(entry(cases={"only": rule})).cases
    for outcome, ends in zip(("holds", "undecided", "contradicted"), (inside, between, outside), strict=True):
        assert case.outcome(range_over_nets(ends)) == outcome


def test_the_family_of_a_correction_is_the_claim():
    """What chance alone gave is taken away by the claim's own cases, and by nothing else."""
    one = on_toy(Interval(0.5, 0.01, 0.99, "images", 10**6, (0,), "by hand", 1e6))
    rules = {f"case {i}": {"above": 0} for i in range(20)}
    assert verdict(dict.fromkeys(rules, one), cases=rules, seeds=1)[0] == "undecided"
    alone = {"case 0": {"above": 0}}
    assert verdict({"case 0": one}, cases=alone, seeds=1)[0] == "reproduced"
    crowd = Ledger(
        {
            name: Claim.from_dict(entry(id=name, cases=alone, seeds=1, chapter=name))
            for name in (f"toy-{i}" for i in range(50))
        }
    )
    for name in crowd.claims:
        crowd.add(name, "case 0", one)
    assert {name for name, _ in crowd.verdicts().values()} == {"reproduced"}
    assert crowd.false_holds() == pytest.approx(0.025 * 50)


def test_ranges_are_no_tests():
    """They widen nothing, are not widened, and chance is not counted for them."""
    counts, one = on_toy(range_over_nets([10, 11])), on_toy(over_nets([1.0, 1.1]))
    ledger = ledger_of({"first": one, "second": counts})
    first, second = ledger.found("toy-1")
    assert tuple(first.interval) == tuple(one) and tuple(second.interval) == (10.5, 10, 11)
    assert ledger_of({"first": counts, "second": counts}).false_holds() == 0
    assert second.needs == "second: the nets disagree (10 to 11)"


def test_what_would_decide():
    """Ten times the images shrink an interval by √10."""
    found = on_toy(Interval(0.1, -0.2, 0.4, "images", 100, (0,), "by hand", 1e6))
    name, condition = verdict({"only": found}, cases={"only": {"above": 0}}, seeds=1)
    assert (name, condition) == ("undecided", "only: about 900 images would decide")
    many = {value: verdict(dict.fromkeys(("first", "second"), measured(value)))[1] for value in (0.01, 0.001)}
    assert many[0.01] == "first: about 270 nets would decide"
    assert many[0.001] == "first: only more nets than can be trained would decide"
    on_it = on_toy(exactly(0).replace(over="images", freedom=3.0, low=-1.0, high=1.0))
    assert "is the threshold" in verdict({"only": on_it}, cases={"only": {"above": 0}}, seeds=1)[1]


def test_a_case_may_have_its_own_quantity_and_the_scope_is_named():
    second = {"id": "toy-2", "cases": {"only": {"above": 0}}, "chapter": "other"}
    rules = {"first": {"above": 0, "quantity": "a\n  ratio"}, "second": {"above": 0}}
    ledger = Ledger(
        {
            "toy-1": Claim.from_dict(entry(cases=rules, elsewhere="toy-2")),
            "toy-2": Claim.from_dict(entry(**second)),
        }
    )
    for label in rules:
        ledger.add("toy-1", label, measured(1))
    ledger.add("toy-2", "only", Measurement.of(interval(-1), data="digits", checksum="1"))
    assert [each.quantity for each in ledger.found("toy-1")] == ["a ratio", "a difference"]
    assert ledger.scope("toy-1") == "toy; digits: contradicted" and ledger.scope("toy-2") == "digits"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "has no key 'colour'"),
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
        ({"cases": {"first": {"above": 0, "quantity": 3}}}, "quantity is 3"),
        ({"committed": "yesterday"}, "committed is 'yesterday'; expected a day and a time"),
        ({"measured": "2026-11-20"}, "measured is '2026-11-20'; expected a day and a time"),
        ({"measured": "2026-11-19 09:00"}, "committed is .*`revised` to say why"),
        ({"revised": ["later"]}, "revised is 'later'; expected a day and a reason"),
        ({"revised": "2026-11-20: a text"}, "revised is"),
        ({"cases": {}}, "cases is .*one or more"),
        ({"cases": [1]}, "labels with a rule each"),
        ({"cases": {3: {"above": 0}}}, "label is 3"),
        ({"seeds": 0}, "seeds is 0; expected a positive whole number"),
        ({"seeds": 2.0}, r"seeds is 2\.0"),
        ({"theirs": "0.9"}, "theirs is '0.9'; expected a number, or nothing"),
        ({"statement": 5}, "statement is 5"),
        ({"place": ""}, "place is ''"),
        ({3: 4}, "a mapping of names to values"),
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
        ({"level": 0.9}, r"level is 0\.9"),
        ({"over": "seeds"}, "over is 'seeds'; expected one of images, nets"),
        ({"over": "range"}, r"freedom is 30\.0"),
        ({"freedom": None}, "freedom is None"),
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
        notebook.record("toy-1", case, interval(1), n=10, seeds=(0, 1), data=ToyData)
    notebook.save()
    ledger = Ledger.load()
    assert ledger.verdicts()["toy-1"] == ("reproduced", "")
    assert ledger.rows()[0]["ours"] == 1
    claims.write_verdicts()
    assert json.loads((own_book / "results" / "verdicts.json").read_text()) == {"toy-1": "reproduced"}


def test_the_data_of_a_toy_model_are_its_inputs(own_book):
    recipe = spd.TARGETS["TMS-5-2"]
    notebook = claims.Notebook("chapter", committed=True)
    notebook.record("toy-1", "first", interval(1), data=recipe)
    notebook.record("toy-1", "second", interval(1), data=recipe.inputs)
    first, second = notebook.ledger.measurements["toy-1"].values()
    assert (first.data, first.checksum) == (second.data, second.checksum)
    book = Path(__file__).resolve().parents[1] / "book"
    stored = read_results(book / "results" / "07_parameter_decomposition.json")["spd-alive"]["TMS 5-2"]
    assert (first.data, first.checksum) == (stored.data, stored.checksum)


@pytest.fixture
def saved(own_book):
    """With one measurement and the verdicts."""
    notebook = claims.Notebook("chapter", committed=True)
    for case in ("first", "second"):
        notebook.record("toy-1", case, interval(1), n=10, seeds=(0, 1), data=ToyData)
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
        ("sha256", "sha257", "sha257; expected measurements by case"),
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
        ("claims: [3]", "a claim is a mapping"),
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
    notebook.record("toy-1", "first", interval(2), n=10, seeds=(0, 1), data=ToyData)
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
    for value in (1, 1 + 1e-5, 1 + 1e-3):
        notebook = claims.Notebook("chapter", committed=True)
        notebook.record("toy-1", "first", interval(value), data=ToyData)
        notebook.save()
        written.append(file.read_text())
    assert written[0] == written[1] != written[2]


def test_the_last_digits_are_a_share_of_the_number(own_book):
    """A measurement of 1e-15 is not 0, and 2e-15 is another one."""
    small, large = (on_toy(interval(value, half=value / 1e6)) for value in (1e-15, 2e-15))
    assert small.same_as(Measurement.from_dict(small.to_dict())) and not small.same_as(large)
    assert Measurement.from_dict(small.to_dict()).value == 1e-15


def test_other_scales_write_nothing(own_book):
    notebook = claims.Notebook("chapter", committed=False)
    notebook.record("toy-1", "first", interval(1), n=10, seeds=(0, 1), data=ToyData)
    assert "nothing was written" in notebook.save()
    assert list((own_book / "results").iterdir()) == []


def test_unknown_claims_cases_and_chapters_are_refused(own_book):
    notebook = claims.Notebook("chapter", committed=True)
    arguments = {"interval": interval(1), "n": 1, "seeds": [0, 1], "data": ToyData}
    with pytest.raises(ClaimError, match=r"not in book/claims\.yml"):
        notebook.record("toy-9", "first", **arguments)
    with pytest.raises(ClaimError, match="has no case 'third'"):
        notebook.record("toy-1", "third", **arguments)
    with pytest.raises(ClaimError, match="belongs to chapter"):
        claims.Notebook("other", committed=True).record("toy-1", "first", **arguments)
    with pytest.raises(ClaimError, match=r"interval is \(1, 0, 2\); expected one of splinelab\.intervals"):
        notebook.record("toy-1", "first", (1, 0, 2), data=ToyData)


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
        assert row["verdict"] not in ("not tested", "partial"), row["id"]
        assert np.isfinite([row["ours"], row["low"], row["high"]]).all()


def test_no_row_prints_a_figure_that_contradicts_its_verdict():
    for row in Ledger.load().rows():
        assert list(row) == KEYS
        assert all(list(case) == CASE_KEYS for case in row["cases"])
        assert_no_contradiction(row)


@pytest.mark.parametrize("chapter", sorted({claim.chapter for claim in Ledger.load().claims.values()}))
def test_no_chapter_changes_the_verdicts_of_the_others(chapter):
    whole = Ledger.load()
    rest = Ledger(
        {name: claim for name, claim in whole.claims.items() if claim.chapter != chapter}, whole.measurements
    )
    before = whole.verdicts()
    assert rest.verdicts() == {name: before[name] for name in rest.claims}


def test_a_reader_can_tell_when_rules_were_committed_and_measured():
    """Dates of the file's own history; a rule that came after its measurement says why."""
    ledger = Ledger.load()
    for name, claim in ledger.claims.items():
        found = ledger.measurements.get(name, {}).values()
        assert bool(found) == (claim.measured is not None), name
        for each in found:
            assert each.measured >= claim.measured[:10], name


def test_scoreboard_prints_every_claim(capsys):
    claims.print_scoreboard(as_json=True)
    rows = json.loads(capsys.readouterr().out)
    claims.print_scoreboard()
    plain = capsys.readouterr().out
    assert all(row["id"] in plain and row["verdict"] in plain for row in rows)


def test_a_claim_is_added_as_its_page_says(tmp_path, monkeypatch):
    """The page's own entry and code, from the rule over the measurement to the verdict."""
    page = (book_folder() / "add_a_claim.md").read_text(encoding="utf-8")
    written, code = (
        textwrap.dedent(re.search(rf"```{kind}\n(.*?)```", page, re.S)[1]) for kind in ("yaml", "python")
    )
    (tmp_path / "results").mkdir()
    (tmp_path / "claims.yml").write_text("claims:\n" + written + "  seeds: 3\n", encoding="utf-8")
    monkeypatch.setattr(claims.ledger, "book_folder", lambda: tmp_path)
    monkeypatch.delenv("SPLINELAB_RESULTS", raising=False)
    with pytest.raises(ClaimError, match="neither a measurement nor a reason"):
        Ledger.load().verdicts()
    seeds = [0, 1, 2]
    rng = np.random.default_rng(0)
    given = {"committed": True, "np": np, "seeds": seeds, "data": ToyData}
    for case, middle in (("long-trained, held-out", 0.3), ("ordinary, held-out", -0.3)):
        measured = rng.normal(middle, 0.1, size=(3, 200))
        exec(code.replace("long-trained, held-out", case), {**given, "measured": measured})
    (row,) = Ledger.load().rows()
    assert (row["id"], row["verdict"]) == ("mine-1", "reproduced under a condition")
    assert row["condition"] == "holds for long-trained, held-out. contradicted for ordinary, held-out"
    assert row["ours"] == pytest.approx(0.3, abs=0.02) and row["seeds"] == seeds
    claims.write_verdicts(tmp_path / "results")
    file = tmp_path / "claims.yml"
    file.write_text(file.read_text(encoding="utf-8").replace("above: 0}", "above: -1}"), encoding="utf-8")
    with pytest.raises(ClaimError, match="mine-1: it was changed"):
        Ledger.load()
    assert "book/results" in page and "claims.lock" in page
