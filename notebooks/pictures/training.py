"""The picture of a training run: accuracy and weight norm against the step."""

import altair as alt
import pandas as pd

from splinelab.charts.renderer import describe, order
from splinelab.charts.theme import BLUE, GREY, VERMILION

__all__ = ["training_curves"]

COLOURS = {"training": GREY, "held-out": BLUE, "weight norm": VERMILION}


def training_curves(history: pd.DataFrame, switch: dict[str, float] | None = None) -> alt.TopLevelMixin:
    """Training and held-out accuracy above the weight norm, one column for each net.

    `history` has the columns net, seed, step, quantity ("training", "held-out" or "weight norm") and value;
    each seed is one thin line. `switch` marks a step in a net's column, such as the one where weight decay
    sets in.
    """
    nets = order(history, "net")
    columns = []
    for net in nets:
        rows, step = history[history["net"] == net].drop(columns="net"), (switch or {}).get(net)
        norm = rows["quantity"] == "weight norm"
        first = net == nets[0]
        accuracy = _lines(rows[~norm], "accuracy" if first else None, 150, step, domain=[0, 1])
        weights = _lines(rows[norm], "weight norm" if first else None, 70, step)
        columns.append(alt.vconcat(accuracy.properties(title=net), weights))
    return describe(
        alt.hconcat(*columns, spacing=8),
        "Training and held-out accuracy, and the norm of all weights, against the training step on a log "
        f"scale, one line for each seed, for {'; '.join(nets)}."
        + (f" A dashed rule marks where weight decay sets in: {'; '.join(switch)}." if switch else ""),
    )


def _lines(
    rows: pd.DataFrame, title: str | None, height: int, step: float | None, domain: list | None = None
) -> alt.LayerChart:
    """One panel: a line for each seed and quantity, and a dashed rule at `step`."""
    lines = (
        alt.Chart(rows)
        .mark_line(strokeWidth=1.2, opacity=0.75)
        .encode(
            x=alt.X(
                "step:Q",
                title="training step",
                scale=alt.Scale(type="log"),
                axis=alt.Axis(format="~s", values=[1, 10, 100, 1000, 10_000]),
            ),
            y=alt.Y("value:Q", title=title, scale=alt.Scale(domain=domain) if domain else alt.Scale()),
            color=alt.Color(
                "quantity:N",
                title=None,
                scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())),
                legend=alt.Legend(orient="top"),
            ),
            detail="seed:N",
            tooltip=["seed:N", "quantity:N", "step:Q", alt.Tooltip("value:Q", format=".3f")],
        )
    )
    if step is not None:
        lines += alt.Chart(pd.DataFrame({"step": [step]})).mark_rule(strokeDash=[4, 3]).encode(x="step:Q")
    return lines.properties(width=165, height=height)
