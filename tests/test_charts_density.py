"""The figures of chapter 3: from numbers to pictures, and what is computed on the way."""

import numpy as np
import pytest
import torch
from drawing import drawn
from torch import nn

from pictures import density, intervals, pairs
from splinelab import polytopes
from splinelab.nets import mlp

pytestmark = pytest.mark.usefixtures("theme")

COLOURS = {"trained": "#0b7cc1", "untrained": "#d99000"}


def domains(spec) -> list:
    """The domains of all scales of x."""
    if isinstance(spec, list):
        return [each for child in spec for each in domains(child)]
    if not isinstance(spec, dict):
        return []
    mine = [spec["x"]["scale"]["domain"]] if "scale" in spec.get("x", {}) else []
    return mine + [each for child in spec.values() for each in domains(child)]


def found() -> dict:
    return {
        ("CNN", "input", "trained"): (0.9, 0.85, 0.95),
        ("CNN", "relu5", "untrained"): (1.3, 0.8, 1.8),
        ("RES", "input", "trained"): (0.88, 0.86, 0.9),
    }


def test_panels_share_one_axis_that_holds_every_interval():
    spec = drawn(intervals.forest(found(), COLOURS, "ratio"))
    assert len(spec["vconcat"]) == 2
    seen = {tuple(domain) for domain in domains(spec)}
    assert len(seen) == 1
    ((low, high),) = seen
    assert low < 0.8 and high > 1.8


def test_the_description_names_the_extremes():
    told = drawn(intervals.forest(found(), COLOURS, "ratio"))["description"]
    assert "CNN, untrained: from 1.30 (relu5) to 1.30 (relu5)" in told


def test_a_logarithmic_axis_cuts_what_reaches_zero():
    wide = {("CNN", "pool3", "noise"): (30.0, -20.0, 90.0), ("CNN", "relu4", "noise"): (3.0, 2.0, 4.0)}
    spec = drawn(intervals.forest(wide, {"noise": "#0b7cc1"}, "ratio", log=True))
    assert all(low > 0 for low, _ in domains(spec))


def test_segment():
    net = mlp((4, 6, 3), seed=0)
    way = polytopes.segment(net, np.zeros(4), np.ones(4))
    told = drawn(density.along_segment(way))["description"]
    assert f"{way.crossings} of relu1" in told


def test_pieces_of_a_segment_are_affine_and_pooling_adds_some():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Unflatten(1, (1, 64)), nn.MaxPool1d(2), nn.Flatten())
    net = net.double().eval()
    found = density.errors(net, polytopes.segment(net, -np.ones(4), np.arange(4.0) - 1))
    assert 0 < found["exact"] <= 1e-12 < found["codes alone"]
    assert 0 < found["pool"] < found["pieces"]


def test_pairs_of_equal_distance_and_angle_keep_a_gap_of_their_own():
    rng = np.random.default_rng(0)
    activations, labels = rng.normal(size=(80, 5)), np.arange(80) % 2
    bits = rng.integers(0, 2, (80, 40))
    assert pairs.ratio_of_alike(bits, activations, labels, bins=3) == pytest.approx(1, abs=0.05)
    bits[:, :10] = labels[:, None]  # units that only classes tell apart
    assert pairs.ratio_of_alike(bits, activations, labels, bins=3) < 0.8
