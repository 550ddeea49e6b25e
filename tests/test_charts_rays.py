"""Figures of rays: what they hold, what their switches change; and what is counted on many rays."""

import json

import numpy as np
import pandas as pd
import pytest
from drawing import drawn

from pictures import rays, walks
from splinelab import data, polytopes
from splinelab.intervals import two_level
from splinelab.nets import mlp

pytestmark = pytest.mark.usefixtures("theme")

EDGES = np.array([0.01, 0.1, 1.0, 10.0])


def a_ray(seed: int) -> polytopes.Ray:
    return polytopes.rays(mlp((4, 6, 10), seed=seed), np.ones((1, 4)))[0]


def test_explorer_shows_the_chosen_image_and_layer():
    spec = drawn(
        rays.ray_explorer({(i, p): a_ray(k) for k, (i, p) in enumerate([("a 4", "p"), ("a 9", "q")])})
    )
    params = {param["name"]: param for param in spec["params"]}
    assert params["ray_image"]["bind"]["options"] == ["a 4", "a 9"]
    assert params["ray_layer"]["bind"]["options"] == ["p", "q"]
    filters = json.dumps(spec).count("datum.image == ray_image && datum.layer == ray_layer")
    assert filters == 4  # logits, boundaries, and the changes over both
    assert f"{len(a_ray(0).crossings)} boundaries" in spec["description"]


def lines() -> dict:
    return {(panel, series): np.array([1.0, 3.0, 0.0]) for panel in "za" for series in ("images", "noise")}


def test_profiles_keep_the_order_of_panels_and_colours():
    spec = drawn(rays.profiles(lines(), EDGES, {"images": "#111111", "noise": "#222222"}, "Lines."))
    assert spec["facet"]["sort"] == ["z", "a"]
    scale = spec["spec"]["layer"][0]["encoding"]["color"]["scale"]
    assert scale == {"domain": ["images", "noise"], "range": ["#111111", "#222222"]}
    assert "resolve" not in spec  # all panels share both axes


def test_descriptions_say_what_the_data_hold():
    told = drawn(
        rays.profiles(
            lines() | {("a", "noise"): np.zeros(3)},
            EDGES,
            {"images": "#111111", "noise": "#222222"},
            "Lines.",
        )
    )["description"]
    assert told.endswith("z: images at 0.55, noise at 0.55; a: images at 0.55, noise nowhere.")
    counts = pd.DataFrame([[0.2, 0.99], [0.4, 0.99]], columns=[1, 10])
    assert (
        drawn(rays.soft_counts(counts, "Soft."))["description"]
        == "Soft. Means: 0.3 at η = 1, 0.99 at η = 10."
    )


def ray(*alphas: float, changes=()) -> dict:
    return {"alphas": np.array(alphas), "changes": np.array(changes)}


def test_a_peak_is_the_middle_of_the_fullest_window():
    assert walks.peak(ray(0.48, 0.5, 0.52, 1.5)) == pytest.approx(0.5, abs=0.02)
    assert np.isnan(walks.peak(ray()))


def test_boundaries_near_a_place_against_those_expected():
    there, expected = walks.near_by(ray(0.5, 0.52, 0.9, 3.0), np.array([0.5, 2.0]))
    assert there.tolist() == [2, 0]
    assert expected == pytest.approx([0.3, 0.3])
    assert walks.sparse_change(ray(0.5, changes=[2.0]))
    assert not walks.sparse_change(ray(0.5, changes=[0.2]))


def test_walks_count_by_net_and_ray():
    found = walks.Walks({("CNN", "p", "images", s): [ray(0.02, 0.5, 2.0), ray(0.5)] for s in (0, 1)}, (0, 1))
    case = ("CNN", "p")
    assert found.each(case, "images", walks.within(0, 1)).tolist() == [[2, 1], [2, 1]]
    assert found.each(case, "images", walks.outside).tolist() == [[1, 0], [1, 0]]
    share = found.over(walks.ratio_of_sums, case, "images", walks.within(0, 0.1), walks.within(0, 1))
    assert share.value == pytest.approx(1 / 3)
    assert found.over(walks.ratio_of_sums, case, "images", walks.outside, walks.within(5, 6)) is None
    assert found.per_window(case, "images", EDGES).tolist() == [0.5, 1.0, 0.5]


def test_intervals_side_by_side_are_the_ledgers():
    """As wide as for many cases at once, cut where the quantity cannot be; sure is what lies on one side."""
    share, case, none = (
        two_level(np.mean, np.array([[0.9, 0.9, 1.0], [0.8, 0.9, 0.9]])),
        ("CNN", "p"),
        ("CNN", "q"),
    )
    ((key, found),) = walks.beside({"a": {case: share, none: None}}, 6, most=1).items()
    assert key == ("CNN", "p", "a") and tuple(found) == (share.value, share.among(6).low, 1.0)
    some = {case: share, none: None}
    assert share.low > 0.7 > share.among(6).low  # so that the number of cases matters
    assert walks.sure(some, [case, none], 1, above=0.7) == ["p"] and not walks.sure(
        some, [case], 6, above=0.7
    )
    assert walks.sure(some, [case], 1, below=2) == ["p"] and walks.sure(some, [none], 1) == []


def test_each_net_walks_through_other_images():
    digits = data.digits().take(slice(0, 8))
    net = mlp((64, 6, 10), seed=0)
    first, second = (walks.scan(net, "linear1", digits, 2, turn)[0] for turn in (0, 1))
    again = walks.scan(net, "linear1", digits, 4, 0)
    np.testing.assert_array_equal(again[0]["alphas"], first["alphas"])
    np.testing.assert_array_equal(again[2]["alphas"], second["alphas"])
    assert len(walks.scan(net, "linear1", digits, 3, 0, noise=1)) == 3
