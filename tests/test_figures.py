"""The chapters' figures: from small tables to pictures, with what a reader chooses declared in the spec."""

import base64
import io
import itertools

import numpy as np
import pandas as pd
import pytest
from drawing import drawn
from PIL import Image

from pictures import clusterings, clusters, dots, heatmaps, maps, separability, training
from pictures.tables import histogram_table
from splinelab import clustering, data, protocol
from splinelab.charts import tables
from splinelab.codes import SplineCodes
from splinelab.intervals import over_nets
from splinelab.nets import mlp

PARTS = ["training", "held-out"]


pytestmark = pytest.mark.usefixtures("theme")


def names_of_params(spec) -> set[str]:
    found = set()
    if isinstance(spec, dict):
        found |= {param["name"] for param in spec.get("params", [])}
        for child in spec.values():
            found |= names_of_params(child)
    elif isinstance(spec, list):
        for child in spec:
            found |= names_of_params(child)
    return found


def every(**columns) -> pd.DataFrame:
    """A table of all combinations, with a number `value` that differs in each row."""
    table = pd.DataFrame(itertools.product(*columns.values()), columns=list(columns))
    return table.assign(value=np.linspace(0.6, 0.95, len(table)))


def test_histograms():
    table = every(
        net=["G", "N"],
        metric=["Jaccard", "L2 linear"],
        split=PARTS,
        pair=["intra-class", "inter-class"],
        distance=[0.1, 0.5, 0.9],
    ).rename(columns={"value": "density"})
    assert "grid_split" in names_of_params(drawn(separability.histogram_grid(table)))


def test_interval_dots_say_the_extremes_and_mark_zero():
    kinds = itertools.product(["G", "N"], ["cosine linear", "cosine post-ReLU"], PARTS)
    found = {names: over_nets([0.5 + 0.1 * i, 0.7 + 0.1 * i]) for i, names in enumerate(kinds)}
    spec = drawn(dots.interval_dots(found, "lead"))
    assert "0.6 (G, cosine linear, training) to 1.3 (N, cosine post-ReLU, held-out)" in spec["description"]
    text = str(spec)
    assert dots.METRIC_COLOURS["cosine post-ReLU"] in text and "strokeDash" in text
    assert "strokeDash" not in str(drawn(dots.interval_dots(found, "lead", zero=False)))


def test_barcodes_draw_the_active_units():
    bits = np.array([[1, 0, 1, 1], [0, 1, 0, 0]])
    spec = drawn(separability.barcodes(bits, ["one", "other"], layer=2))
    (rows,) = tables.tables(spec)
    assert [(row["image"], row["unit"], row["layer"]) for row in rows] == [
        ("one", 0, "layer 1"),
        ("one", 2, "layer 2"),
        ("one", 3, "layer 2"),
        ("other", 1, "layer 1"),
    ]
    assert "one: 3, other: 1" in spec["description"]


def test_auc_grid_keeps_the_controls_in_every_panel():
    kinds = itertools.product(["long", "short"], ["a", "b"], ["Jaccard", "L2 linear"], PARTS)
    found = {names: over_nets([0.7, 0.8]) for names in kinds}
    spec = drawn(separability.auc_grid(found, {"untrained": 0.7}))
    (rows,) = tables.tables(spec)
    controls = [row for row in rows if row.get("control")]
    assert len(controls) == 8
    assert {row["auc"] for row in controls} == {0.7}


def test_auc_by_step():
    table = every(net=["G", "U"], step=[1, 10, 100], quantity=["Jaccard", "training accuracy"])
    table = table.assign(low=table["value"] - 0.1, high=table["value"] + 0.01)
    assert "step_net" in names_of_params(drawn(separability.auc_by_step(table)))


def test_training_curves_mark_the_switch():
    table = every(net=["G", "U"], seed=[0, 1], step=[1, 10], quantity=["training", "held-out", "weight norm"])
    spec = drawn(training.training_curves(table, {"G": 7}))
    assert [{"step": 7}] in tables.tables(spec)


@pytest.fixture(scope="module")
def digits():
    return protocol.sample(data.digits(), 200)


def test_cluster_figures(digits):
    scan = clustering.scan_k(digits.flat, range(9, 12), n_init=1)
    spec = drawn(clusters.k_scan({part: {"codes": [scan]} for part in PARTS}, range(9, 12)))
    (rows,) = tables.tables(spec)
    chosen = {(row["split"], row["index"], row["k"]) for row in rows if row["chosen"]}
    assert {(part, "silhouette", scan.best_silhouette) for part in PARTS} <= chosen
    chosen = {("G", "training"): [10, 10], ("G", "held-out"): [11, 10]}
    told = drawn(clusters.k_by_split(chosen))["description"]
    assert "G, training: 10 in 2; G, held-out: 10 in 1; G, held-out: 11 in 1" in told
    (rows,) = tables.tables(drawn(heatmaps.cluster_counts(scan.labels[10], digits.labels)))
    assert sum(row["images"] for row in rows) == len(digits)


def test_heat_map_opens_at_the_most_doubtful_cluster_and_draws_across_digits(digits):
    mixed = np.arange(200) % 20 == 0  # ten images that no cluster of one digit holds
    found = np.where(mixed, 10, digits.labels)
    margin = np.where(mixed, 0.1, 0.9)
    spec = drawn(heatmaps.cluster_heatmap(found, digits, margin, mixed, few=6))
    (param,) = [param for param in spec["params"] if param["name"] == "pick_cluster"]
    assert "K" in str(param["value"])
    images = next(rows for rows in tables.tables(spec) if "place" in rows[0])
    least = [row["image"] for row in images if row["cluster"] == "K"]
    expected = protocol.sample(digits.take(np.flatnonzero(mixed)), 6)
    assert least == maps.thumbnails(expected.images)


def test_thumbnails_show_the_image():
    image = data.digits().images[:1]
    (address,) = maps.thumbnails(image)
    assert address.startswith("data:image/png;base64,")
    seen = Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))).convert("L")
    np.testing.assert_allclose(np.asarray(seen) / 255, image[0, 0], atol=0.05)


def test_map_table_and_code_map():
    images = data.digits().take(slice(0, 30))
    bits = np.random.default_rng(0).integers(0, 2, (30, 12))
    looks = {"codes": SplineCodes.from_bits({"relu": bits}), "pixels": images.flat}
    table = maps.map_table(looks, images, np.arange(30) % 3, np.linspace(0, 1, 30))
    assert len(table) == 60
    assert table[["x", "y"]].abs().max().max() == 1
    assert {"map_colour", "map_view"} <= names_of_params(drawn(maps.code_map(table)))


def test_histogram_table_holds_densities(digits):
    net = mlp((64, 20, 10), seed=0)
    table = histogram_table({"mine": net}, {"held-out": digits}, ["Jaccard", "cosine linear"], bins=10)
    sums = table.groupby(["metric", "pair"])["density"].sum() / 10  # bins are a tenth of the largest distance
    np.testing.assert_allclose(sums, 1)
    assert table["distance"].between(0, 1).all()


def test_shared_clusters_and_counts_by_hand():
    labels = np.array([2, 2, 2, 5, 5, 5, 7, 7])
    apart, together = np.array([0, 0, 0, 1, 1, 1, 2, 2]), np.array([0, 0, 1, 0, 0, 1, 2, 2])
    assert clusterings.share_a_cluster([apart, together, together], labels, [2, 5]) == 2
    assert clusterings.share_a_cluster([apart, together], labels, [2, 5, 7]) == 0
    assert tuple(clusterings.count([10, 11, 11])) == (11, 10, 11)
    assert clusterings.count([9]).over == "exact"
