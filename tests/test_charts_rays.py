"""Figures of rays: what they hold, what their switches change."""

import json

import numpy as np
import pandas as pd
import pytest

from pictures import rays
from splinelab.charts import renderer

pytestmark = pytest.mark.usefixtures("theme")


def drawn(chart) -> dict:
    """The specification, after it was drawn without an error."""
    bundle = chart._repr_mimebundle_()
    assert bundle["text/plain"].startswith("[chart] ")
    return bundle[renderer.MIME]


def test_per_window_counts_boundaries_of_the_mean_ray():
    edges = np.array([0.01, 0.1, 1.0])
    found = rays.per_window([np.array([0.02, 0.03, 0.5]), np.array([0.5, 3.0])], edges)
    assert found.tolist() == [1.0, 1.0]
    assert rays.per_window([], edges).tolist() == [0.0, 0.0]


def explorer():
    names = [{"image": image, "layer": layer} for image in ("a 4", "a 9") for layer in ("p", "q")]
    logits = pd.DataFrame(
        [{**n, "alpha": a, "digit": d, "logit": a / 10} for n in names for a in (0.1, 1) for d in (0, 1)]
    )
    windows = pd.DataFrame([{**n, "alpha": 0.1, "alpha2": 1, "boundaries": 7} for n in names])
    changes = pd.DataFrame([{**names[0], "alpha": 0.5}])
    return rays.ray_explorer(logits, windows, changes, "A ray.")


def test_explorer_shows_the_chosen_image_and_layer():
    spec = drawn(explorer())
    params = {param["name"]: param for param in spec["params"]}
    assert params["ray_image"]["bind"]["options"] == ["a 4", "a 9"]
    assert params["ray_layer"]["bind"]["options"] == ["p", "q"]
    filters = json.dumps(spec).count("datum.image == ray_image && datum.layer == ray_layer")
    assert filters == 4  # logits, boundaries, and the changes over both


def profile_table() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"panel": panel, "series": series, "alpha": alpha, "value": value}
            for panel in ("z", "a")
            for series in ("images", "noise")
            for alpha, value in ((0.01, 1.0), (0.1, 3.0), (1.0, 0.0))
        ]
    )


def test_profiles_keep_the_order_of_panels_and_colours():
    spec = drawn(rays.profiles(profile_table(), "Lines.", colours={"images": "#111111", "noise": "#222222"}))
    assert spec["facet"]["sort"] == ["z", "a"]
    scale = spec["spec"]["layer"][0]["encoding"]["color"]["scale"]
    assert scale == {"domain": ["images", "noise"], "range": ["#111111", "#222222"]}


def test_descriptions_say_what_the_data_hold():
    table = profile_table()
    table.loc[(table["panel"] == "a") & (table["series"] == "noise"), "value"] = 0.0
    table.index = [0] * len(table)  # as tables have that were put together
    told = drawn(rays.profiles(table, "Lines."))["description"]
    assert (
        told == "Lines. Highest α by panel. z: images at 0.1, noise at 0.1; a: images at 0.1, noise nowhere."
    )
    counts = pd.DataFrame({"eta": [1, 1, 10], "share": [0.2, 0.4, 0.99], "seed": [0, 1, 0]})
    assert (
        drawn(rays.soft_counts(counts, "Soft."))["description"]
        == "Soft. Means: 0.3 at η = 1, 0.99 at η = 10."
    )


def test_two_axes_have_a_row_for_each_layer_and_a_switch_for_the_net():
    table = pd.DataFrame(
        [
            {
                "net": net, "layer": f"{net} {place}", "place": place, "axis": axis,
                "alpha": 0.1, "alpha2": 0.2, "share": 1.0,
            }
            for net in ("CNN", "RES")
            for place in (0, 1, 2)
            for axis in ("linear", "log")
        ]
    )  # fmt: skip
    spec = drawn(rays.two_axes(table, "Two axes."))
    assert len(spec["vconcat"]) == 3
    assert all(len(row["hconcat"]) == 2 for row in spec["vconcat"])
    assert spec["params"][0]["bind"]["options"] == ["CNN", "RES"]


def test_gates_start_at_the_activation_itself():
    table = pd.DataFrame(
        [
            {"gate": "SiLU", "u": u, "sharpness": eta, "open": 0.5, "output": u / 2}
            for u in (-1.0, 1.0)
            for eta in (0.1, 1.0, 10.0)
        ]
    )
    spec = drawn(rays.gates(table, "Gates."))
    (slider,) = spec["params"]
    assert slider["value"] == 1
    assert slider["bind"]["max"] == 2
    assert json.dumps(spec).count("datum.step == gate_step") == 2


def test_soft_counts_draw():
    table = pd.DataFrame({"eta": [1, 10, 1, 10], "share": [0.9, 1.0, 0.8, 1.0], "seed": [0, 0, 1, 1]})
    assert "layer" in drawn(rays.soft_counts(table, "Shares."))
