"""The figures of monosemantic regions: from small tables to pictures."""

import itertools

import numpy as np
import pandas as pd
import pytest
from drawing import drawn

from pictures import directions, maps, meanings, regions
from splinelab import data, protocol
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


def test_explorer_tables_number_clusters_by_their_digit():
    images = protocol.sample(data.mnist5k(), 40)
    labels = np.where(images.labels < 2, 1 - images.labels, -1)  # cluster 0 holds ones, cluster 1 zeros
    run = {"layer": "a", "space": "codes", "net": "trained", "labels": labels}
    runs = [run | {"seed": s} | meanings.measure(labels, images.labels) for s in (0, 1)]
    dots, counts, members, pictures = regions.explorer_tables(runs, 0, images, first="a")
    assert list(dots["monosemantic"]) == [1, 1] and list(dots["noise"]) == [0.8, 0.8]
    digits = counts[counts["cluster"] != "noise"].set_index("cluster")["digit"].to_dict()
    assert digits == {"1": 0, "2": 1}
    assert counts["images"].sum() == 40
    samples = {int(number) for row in members["samples"] for number in row.split()}
    assert samples == set(pictures["sample"])


def test_contact_sheet_is_one_picture_a_row_in_order():
    groups = [("b", np.ones((3, 1, 8, 8))), ("a", np.zeros((2, 1, 8, 8)))]
    spec = drawn(regions.contact_sheet(groups))
    assert spec["encoding"]["y"]["sort"] == ["b", "a"]
    (rows,) = tables.tables(spec)
    assert len(rows) == 2
    assert "b; a" in spec["description"]


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
    spec = drawn(directions.cropped_axis(table, crops))
    assert params_of(spec)["pick_direction"]["bind"]["options"] == ["A", "B"]
    whole, crop = spec["hconcat"]
    assert whole["layer"][0]["encoding"]["x"]["scale"] == {"domain": [0, 1]}
    assert "domain" not in crop["encoding"]["x"]["scale"]


def test_histograms_count_every_image_once():
    rng = np.random.default_rng(0)
    cosines, truth = rng.random((100, 6)), np.arange(100) % 10
    purity = meanings.top_share(cosines, 20, truth)
    bars, begins, others = directions.histograms(cosines, truth, purity)
    assert bars[bars["panel"] == "whole"].groupby("direction")["images"].sum().tolist() == [100] * 5
    assert bars[bars["panel"] == "crop"].groupby("direction")["images"].sum().tolist() == [50] * 5
    assert len(begins) == 5 and 0.7 < others < 1


def test_overlap_leaves_out_what_is_empty():
    counts = np.array([[8, 12], [20, 0]])
    cells, purity = directions.overlaps(counts, ["1: 90% a 0", "noise"], np.array([0.4, 1.0]))
    spec = drawn(directions.overlap_map(cells, purity))
    assert [row["images"] for row in tables.tables(spec)[0]] == [20, 8, 12]


def test_a_direction_meets_digits_of_pure_clusters_only():
    truth = np.repeat([0, 1, 2], 20)
    labels = np.repeat([0, 1, 2], 20)
    labels[truth == 2] = np.tile([1, 2], 10)  # the ones' cluster is mixed, the twos' is pure
    cosines = np.stack([truth == 0, np.isin(np.arange(60), np.r_[:10, 40:50])], axis=1).astype(float)
    counts, titles, quality, met = meanings.meets(labels, cosines, truth)
    assert titles[-1] == "noise" and len(titles) == 4
    assert counts.sum(axis=1).tolist() == [20, 20]
    assert quality.tolist() == [1, 0.5]
    assert met.tolist() == [1, 2]
