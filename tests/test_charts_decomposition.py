"""The figures of decompositions: from small tables to pictures."""

import pandas as pd
import pytest
from drawing import drawn

from pictures import decomposition

pytestmark = pytest.mark.usefixtures("theme")


def texts(node) -> list:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    found = [node["filter"]] if isinstance(node, dict) and "filter" in node else []
    return found + [entry for child in children for entry in texts(child)]


def test_forming_shows_the_moment_of_the_slider():
    vectors = pd.DataFrame(
        [(step, c, 0.1 * c, step / 100, 0.3 * c) for step in (1, 40, 90) for c in range(3)],
        columns=["step", "component", "x", "y", "importance"],
    )
    columns = pd.DataFrame({"x": [1.0, -0.5], "y": [0.2, 0.8], "feature": [0, 1]})
    spec = drawn(decomposition.forming(vectors, columns))
    slider = next(param for param in spec["params"] if param["name"] == "moment")
    assert (slider["value"], slider["bind"]["min"], slider["bind"]["max"]) == (2, 0, 2)
    assert texts(spec).count("datum.moment == moment") >= 2
    assert "from step 1 to 90. At the end 3 arrows are left, 1 of them" in spec["description"]


def test_importance_maps_keep_the_order_of_the_table():
    rows = [
        {"matrix": matrix, "feature": f, "component": str(c), "importance": float(f == c)}
        for matrix in ("linear2", "linear1")
        for c in (2, 0, 1)
        for f in range(3)
    ]
    spec = drawn(decomposition.importance_maps(pd.DataFrame(rows)))
    assert [panel["title"] for panel in spec["concat"]] == ["linear2", "linear1"]
    assert spec["concat"][0]["encoding"]["x"]["sort"] == ["2", "0", "1"]
    assert "linear2 3 for 3 features and 3 components; linear1 3 for" in spec["description"]


def test_quality_points_have_a_panel_for_each_score():
    table = pd.DataFrame(
        [
            {"model": "TMS 5-2, encoder", "score": score, "value": value, "who": who}
            for score in ("MMCS", "ML2R")
            for value, who in ((0.999, "ours"), (0.998, "ours"), (1.0, "published mean"))
        ]
    )
    spec = drawn(decomposition.quality_points(table))
    assert [panel["encoding"]["x"]["title"] for panel in spec["vconcat"]] == ["MMCS", "ML2R"]
    assert "between 0.998 and 0.999 (MMCS)" in spec["description"]
