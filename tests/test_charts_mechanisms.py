"""The figures of mechanisms: from small tables to pictures."""

import itertools

import numpy as np
import pandas as pd
import pytest
from drawing import drawn

from pictures import circuits, mechanisms
from splinelab import mechanisms as mechanisms_of
from splinelab import spd, zoo

pytestmark = pytest.mark.usefixtures("theme")


def every(key: str, node) -> list:
    """All values under a key, at any depth."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    found = [node[key]] if isinstance(node, dict) and key in node else []
    return found + [entry for child in children for entry in every(key, child)]


def test_correlation_map_keeps_the_order_of_the_names():
    names = ["linear2:1", "linear1:0", "linear2:0"]
    table = pd.DataFrame(
        [(a, b, 1.0 if a == b else -0.2) for a, b in itertools.product(names, names)],
        columns=["first", "second", "correlation"],
    )
    spec = drawn(mechanisms.correlation_map(table, names))
    assert spec["encoding"]["x"]["scale"]["domain"] == names
    assert "3 components" in spec["description"]


def test_nulls_say_the_medians():
    table = pd.DataFrame(
        [(m, n, level / n) for m, level in (("A", 1), ("B", 2)) for n in (4, 10) for _ in range(3)],
        columns=["model", "samples", "largest"],
    )
    spec = drawn(mechanisms.nulls(table))
    assert "with 4, 10 samples: A 0.25, 0.10; B 0.50, 0.20." in spec["description"]


def test_correlations_and_groupings_of_a_decomposition():
    found = zoo.decomposition("TMS-5-2-ID", 0)
    profiles = mechanisms_of.profiles_of(found, [spd.TARGETS["TMS-5-2-ID"].fresh_samples(2_000)])
    known = mechanisms_of.known_mechanisms(found, spd.TARGETS["TMS-5-2-ID"])
    table, names = mechanisms.correlations(profiles, known, least=0.5)
    assert names[:5] == [f"encoder {feature}" for feature in range(5)]
    pairs = set(zip(table["first"], table["second"], strict=True))
    assert all((f"encoder {f}", f"decoder {f}") in pairs for f in range(5))
    nodes, edges, counts = mechanisms.groupings(profiles, known, 5)
    assert len(counts) == 50 and len(nodes) == 50 * len(profiles.layers)
    assert counts.set_index(["k", "threshold"])["right"]["adaptive", 0.0] and len(edges)


def test_regrouping_shows_what_its_controls_say():
    settings = list(itertools.product(["adaptive", "1"], [0.0, 0.25, 0.5]))
    nodes = pd.DataFrame(
        [(k, t, f"c{i}", i, 0, i, k == "1") for k, t in settings for i in range(3)],
        columns=["k", "threshold", "component", "x", "y", "cluster", "exact"],
    )
    edges = pd.DataFrame(
        [(k, t, 0, 0, 1, 0) for k, t in settings], columns=["k", "threshold", "x", "y", "x2", "y2"]
    )
    counts = pd.DataFrame([(k, t, f"{k} at {t}") for k, t in settings], columns=["k", "threshold", "said"])
    spec = drawn(mechanisms.regrouping(nodes, edges, counts))
    params = {param["name"]: param for param in spec["params"]}
    assert params["pick_k"]["bind"]["options"] == ["adaptive", "1"]
    assert params["pick_threshold"]["bind"]["step"] == 0.25
    filters = every("filter", spec)
    assert len(filters) == 3 and all("pick_k" in f and "pick_threshold" in f for f in filters)
    assert "At first: adaptive at 0.0." in spec["description"]


def test_methods_have_a_panel_for_each_model():
    rows = [
        (model, method, seed, of - seed, of)
        for model, of in (("A", 6), ("B", 40))
        for method in ("ours", "theirs")
        for seed in range(2)
    ]
    spec = drawn(mechanisms.methods(pd.DataFrame(rows, columns=["model", "method", "seed", "count", "of"])))
    assert [panel["title"] for panel in spec["concat"]] == ["A", "B"]
    assert "A, of 6: ours 5 to 6, theirs 5 to 6; B, of 40:" in spec["description"]


def test_causal_pictures_count_what_fails():
    table = pd.DataFrame(
        {
            "model": ["A", "A", "B"],
            "seed": [0, 1, 0],
            "cluster": [0, 1, 0],
            "own": [0.9, 0.2, 0.05],
            "worst": [1e-4, 0.3, 1e-5],
            "random": [0.02, 1e-4, -1e-5],
        }
    )
    table = table.assign(**{f"{harm} share": table[harm] for harm in ("own", "random")})
    spec = drawn(circuits.removals(table))
    assert "each of 3 clusters" in spec["description"]
    assert "a dashed line, for 2 of them" in spec["description"]
    assert "less than a tenth for 1." in spec["description"]
    assert (
        min(every("shown", circuits.removals(table).to_dict())) == 1e-6
    )  # a log scale shows nothing below 0
    assert "1 of 3 clusters lie on or above" in drawn(circuits.harms(table))["description"]


def test_contributions_have_a_panel_for_each_block():
    table = pd.DataFrame(
        [(f"block {b}", f, n, f - n, 0.9 * (f - n)) for b in (1, 2) for f in range(3) for n in range(4)],
        columns=["block", "feature", "neuron", "target", "component"],
    )
    spec = drawn(circuits.contributions(table))
    assert [panel["title"] for panel in spec["concat"]] == ["block 1", "block 2"]
    assert "block 1 1.000" in spec["description"]


def test_block_shares_have_a_panel_for_each_model():
    table = pd.DataFrame(
        [(m, b, f, f / 10 - b / 100) for m in ("two", "three") for b in (1, 2) for f in range(4)],
        columns=["model", "block", "feature", "contribution"],
    )
    spec = drawn(circuits.block_shares(table))
    assert [panel["title"].split(":")[0] for panel in spec["vconcat"]] == ["two", "three"]
    assert "two -0.020" in spec["description"]


def test_recovered_counts_pairs_and_the_large_group():
    found, target = zoo.decomposition("MLP-2", 1), spd.TARGETS["MLP-2"]
    profiles = mechanisms_of.profiles_of(found, [target.fresh_samples(2_000)])
    known = mechanisms_of.known_mechanisms(found, target)
    right = circuits.recovered(known.truth, profiles, known, 100)
    assert right == {"count": 101, "of": 101, "own": 100, "one of each": 100, "large": 1}
    merged = np.where(known.truth == 5, 6, known.truth)
    wrong = circuits.recovered(merged, profiles, known, 100)
    assert wrong["one of each"] < 100 and wrong["own"] < 100 and wrong["large"] == 1


def test_survivals_tell_right_groups_from_wrong_ones():
    table = pd.DataFrame(
        [
            ("A", grouping, seed, 0.9, alone)
            for grouping, alone in (("found", 0.8), ("wrong", 0.1))
            for seed in (0, 1)
        ],
        columns=["model", "grouping", "seed", "own share", "survival"],
    )
    spec = drawn(circuits.survivals(table))
    assert len(spec["concat"]) == 2
    assert "A, found: 0.90 and 0.80; A, wrong: 0.90 and 0.10." in spec["description"]
