"""The chapters' figures: from small tables to pictures, with what a reader chooses declared in the spec."""

import base64
import io
import itertools

import numpy as np
import pandas as pd
import pytest
from drawing import drawn
from PIL import Image

from pictures import clusters, maps, separability, training
from splinelab import data
from splinelab.charts import tables
from splinelab.codes import SplineCodes

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
    explorer = names_of_params(drawn(separability.histogram_explorer(table)))
    assert {"pick_net", "pick_metric", "pick_split"} <= explorer


def test_auc_grid_keeps_the_controls_in_every_panel():
    table = every(training=["long", "short"], loss=["a", "b"], metric=["Jaccard", "L2 linear"], split=PARTS)
    table = table.assign(auc=table["value"], low=table["value"] - 0.01, high=table["value"] + 0.01)
    spec = drawn(separability.auc_grid(table.drop(columns="value"), {"untrained": 0.7}))
    (rows,) = tables.tables(spec)
    controls = [row for row in rows if row.get("control")]
    assert len(controls) == 8
    assert {row["auc"] for row in controls} == {0.7}


def test_auc_by_step_and_by_layer():
    table = every(net=["G", "U"], step=[1, 10, 100], quantity=["Jaccard", "training accuracy"])
    table = table.assign(low=table["value"] - 0.1, high=table["value"] + 0.01)
    assert "step_net" in names_of_params(drawn(separability.auc_by_step(table)))
    table = every(net=["G", "U"], layer=["layer 1", "stacked"], metric=["Jaccard", "cosine linear"])
    drawn(
        separability.auc_by_layer(table.assign(auc=table["value"], low=table["value"], high=table["value"]))
    )


def test_training_curves_mark_the_switch():
    table = every(net=["G", "U"], seed=[0, 1], step=[1, 10], quantity=["training", "held-out", "weight norm"])
    spec = drawn(training.training_curves(table, {"G": 7}))
    assert [{"step": 7}] in tables.tables(spec)


def test_cluster_figures():
    scan = every(
        representation=["codes", "linear"],
        split=PARTS,
        index=["inertia, share of k = 2", "silhouette"],
        k=[2, 3, 4],
    )
    drawn(clusters.k_scan(scan.assign(chosen=scan["k"] == 3)))
    counts = every(net=["G"], representation=["codes"], split=PARTS, k=[10, 11]).assign(seeds=2)
    drawn(clusters.k_by_split(counts))
    drawn(clusters.cluster_counts(np.eye(4, 10)))
    scores = every(net=["G"], representation=["codes", "linear"], algorithm=["Ward", "DBSCAN"])
    drawn(clusters.ari_table(scores.assign(ari=scores["value"], noise=0.1)))


def test_heat_map_opens_at_the_most_doubtful_cluster():
    cells = every(cluster=["A", "B"], digit=[0, 1]).assign(images=[9, 1, 4, 5])
    summary = pd.DataFrame({"cluster": ["A", "B"], "margin": [0.9, 0.3], "error": [0.01, 0.4]})
    images = pd.DataFrame(
        {"cluster": ["A", "B"], "place": [0, 0], "image": maps.thumbnails(np.zeros((2, 1, 8, 8)))}
    )
    chart = clusters.cluster_heatmap(cells, summary, images)
    (param,) = [param for param in drawn(chart)["params"] if param["name"] == "pick_cluster"]
    assert param["value"] == [{"cluster": "B"}] or param["value"] == "B"


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
