"""The figures of monosemantic regions: from small tables to pictures."""

import itertools

import numpy as np
import pandas as pd
import pytest
from drawing import drawn

from pictures import maps, regions
from splinelab.charts import tables

pytestmark = pytest.mark.usefixtures("theme")


def params_of(node) -> dict:
    """All parameters of a spec by name."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    found = {p["name"]: p for p in node.get("params", []) if "name" in p} if isinstance(node, dict) else {}
    for child in children:
        found |= params_of(child)
    return found


def every(**columns) -> pd.DataFrame:
    """A table of all combinations."""
    return pd.DataFrame(itertools.product(*columns.values()), columns=list(columns))


def filters_of(node) -> list:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    found = [node["filter"]] if isinstance(node, dict) and "filter" in node else []
    return found + [entry for child in children for entry in filters_of(child)]


KEYS = {
    "layer": ["CNN, relu4", "CNN, relu5"],
    "space": ["codes", "whole activation"],
    "net": ["trained", "untrained"],
}


def test_explorer_menus_choose_the_run_and_hover_chooses_the_cluster():
    runs = every(**KEYS, seed=[0, 1]).assign(noise=0.4, monosemantic=0.9, clusters=2)
    counts = every(**KEYS, cluster=["1", "2", "noise"], digit=[0, 1]).assign(images=5)
    members = every(**KEYS, cluster=["1", "2", "noise"]).assign(samples="7 8")
    pictures = pd.DataFrame({"sample": [7, 8], "image": maps.thumbnails(np.zeros((2, 1, 8, 8)))})
    spec = drawn(regions.explorer(runs, counts, members, pictures))
    params = params_of(spec)
    for key, names in KEYS.items():
        assert params[f"pick_{key}"]["bind"]["options"] == names
        assert params[f"pick_{key}"]["value"] == names[0]
    assert params["pick_cluster"]["value"] == [{"cluster": "1"}]
    whole = [found for found in filters_of(spec) if isinstance(found, str)]
    assert len(whole) == 2  # the heat map's and the images'
    assert all(f"pick_{key}" in found for found in whole for key in KEYS)
    numbered = [table for table in tables.tables(spec) if "run" in table[0]]
    assert [len({row["run"] for row in table}) for table in numbered] == [8, 8, 8]
    assert {"param": "pick_cluster", "empty": False} in filters_of(spec)


def test_contact_sheet_keeps_the_order_of_its_rows():
    images = maps.thumbnails(np.zeros((4, 1, 8, 8)))
    table = pd.DataFrame({"cluster": ["b", "b", "a", "a"], "place": [0, 6, 0, 6], "image": images})
    assert drawn(regions.contact_sheet(table))["encoding"]["y"]["sort"] == ["b", "a"]


def test_rejection_draws_lines_and_dots():
    kept = every(layer=["CNN, relu4"], space=["codes"], seed=[0], kept=[0.2, 0.6, 1.0]).assign(purity=0.9)
    spec = drawn(regions.rejection(kept, kept[:1].assign(kept=0.4, purity=0.95)))
    (rows,) = tables.tables(spec)
    assert [row["kept"] for row in rows if row["method"] == "HDBSCAN"] == [0.4]
    assert len(rows) == 4


def test_cropped_axis_shows_the_whole_axis_beside_the_crop():
    table = every(direction=["A", "B"], panel=["whole", "crop"], digit=[0, 1]).assign(
        low=0.5, high=0.6, images=3
    )
    crops = pd.DataFrame({"direction": ["A", "B"], "cosine": [0.5, 0.6]})
    spec = drawn(regions.cropped_axis(table, crops))
    assert params_of(spec)["pick_direction"]["bind"]["options"] == ["A", "B"]
    whole, crop = spec["hconcat"]
    assert whole["layer"][0]["encoding"]["x"]["scale"] == {"domain": [0, 1]}
    assert "domain" not in crop["encoding"]["x"]["scale"]


def test_top_images_and_overlap():
    table = every(layer=["CNN, relu4"], directions=["NMF", "units"], images=[5, 20, 100]).assign(share=0.5)
    drawn(regions.top_images(table))
    cells = every(direction=[0, 1], cluster=["0", "noise"]).assign(images=[20, 0, 8, 12])
    purity = pd.DataFrame({"direction": [0, 1], "purity": [1.0, 0.4]})
    spec = drawn(regions.overlap_map(cells, purity))
    assert [row["images"] for row in tables.tables(spec)[0]] == [20, 8, 12]  # nothing where nothing is
