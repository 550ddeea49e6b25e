"""A segment through polytopes: its picture, and how affine its pieces are."""

import math

import altair as alt
import numpy as np
import pandas as pd
import torch

from splinelab.charts import DIGITS, PALETTE, describe
from splinelab.charts.renderer import order
from splinelab.polytopes import Path

__all__ = ["along_segment", "errors"]

WIDTH = 560


def along_segment(way: Path, bins: int = 40, points: int = 61) -> alt.TopLevelMixin:
    """The outputs on the way from one image to another, over the number of boundaries met there, by layer."""
    at = np.linspace(0, 1, points)
    outputs = pd.DataFrame(
        [
            {"t": t, "class": k, "output": value}
            for t, row in zip(at, way.output_at(at), strict=True)
            for k, value in enumerate(row)
        ]
    )
    edges = np.linspace(0, 1, bins + 1)
    met = {name: way.crossing_t[way.crossing_layer == i] for i, name in enumerate(way.codes.layers)}
    if len(way.pool_crossings):
        met["max-pooling"] = way.pool_crossings
    boundaries = pd.DataFrame(
        [
            {"left": left, "right": right, "layer": name, "boundaries": int(count)}
            for name, places in met.items()
            for left, right, count in zip(edges[:-1], edges[1:], np.histogram(places, edges)[0], strict=True)
        ]
    )
    told = ", ".join(f"{len(places):,} of {name}" for name, places in met.items())
    return describe(
        alt.vconcat(_outputs(outputs), _boundaries(boundaries), spacing=8).resolve_scale(color="independent"),
        "Above, the net's outputs on the straight way between two images' activations; each is made of "
        f"straight pieces. Below, the polytope boundaries on that way: {told}.",
    )


def errors(model: torch.nn.Module, way: Path) -> dict[str, float]:
    """How many pieces a way has, how many of them pooling alone makes, and how far from affine they are.

    exact and codes alone: the largest error of a straight line in the middle of a piece, as a share of the
    largest output; pieces between all boundaries, and between those of ReLUs. "exact" is rounded up to a
    power of a hundred, since what rounding leaves, about 1e-15, differs between processors. The model
    computes in float64.
    """
    every, coded = (np.unique([0.0, *some, 1.0]) for some in (way.boundaries, way.crossing_t))
    middle, between = ((ends[1:] + ends[:-1]) / 2 for ends in (every, coded))
    with torch.no_grad():
        parts = np.array_split(middle, 1 + len(middle) // 256)
        true = np.concatenate([model(torch.from_numpy(way.at(some))).numpy() for some in parts])

    def error(ends: np.ndarray, seen: np.ndarray) -> float:
        straight = (way.output_at(ends[1:]) + way.output_at(ends[:-1])) / 2
        return float(np.abs(seen - straight).max() / np.abs(way.outputs).max())

    largest = error(every, true)
    return {
        "pieces": len(every) - 1,
        "pool": int((~np.isin(every, coded)).sum()),
        "exact": 10.0 ** (2 * math.ceil(math.log10(largest) / 2)) if largest else 0.0,
        "codes alone": error(coded, way.output_at(between)),
    }


def _outputs(table: pd.DataFrame) -> alt.Chart:
    classes = order(table, "class")
    return (
        alt.Chart(table)
        .mark_line(strokeWidth=1.6)
        .encode(
            x=alt.X("t:Q", title=None, scale=alt.Scale(domain=[0, 1], nice=False)),
            y=alt.Y("output:Q"),
            color=alt.Color(
                "class:N",
                scale=alt.Scale(domain=classes, range=list(DIGITS[: len(classes)])),
                legend=alt.Legend(title="output of class", orient="top", columns=10),
            ),
            tooltip=["class:N", alt.Tooltip("t:Q", format=".2f"), alt.Tooltip("output:Q", format=".1f")],
        )
        .properties(width=WIDTH, height=170)
    )


def _boundaries(table: pd.DataFrame) -> alt.Chart:
    names = order(table, "layer")
    return (
        alt.Chart(table)
        .mark_bar()
        .encode(
            x=alt.X(
                "left:Q",
                bin="binned",
                title="way from one image (0) to the other (1)",
                scale=alt.Scale(domain=[0, 1]),
            ),
            x2="right:Q",
            y=alt.Y("boundaries:Q", stack="zero"),
            color=alt.Color(
                "layer:N",
                scale=alt.Scale(domain=names, range=list(PALETTE)),
                legend=alt.Legend(title="boundary of", orient="bottom", columns=6),
            ),
            tooltip=["layer:N", alt.Tooltip("left:Q", title="from", format=".2f"), "boundaries:Q"],
        )
        .properties(width=WIDTH, height=110)
    )
