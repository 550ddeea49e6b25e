"""The picture of a training run: accuracy and weight norm against the step."""

import altair as alt
import pandas as pd

from splinelab.charts.renderer import describe
from splinelab.charts.theme import BLUE, GREY, VERMILION

__all__ = ["training_curves"]


def training_curves(history: pd.DataFrame, switch: dict[str, float] | None = None) -> alt.TopLevelMixin:
    """Training and held-out accuracy above the weight norm, one column for each net.

    `history` has the columns net, seed, step, quantity ("training", "held-out" or "weight norm") and value;
    each seed is one thin line. `switch` marks a step in a net's column, such as the one where weight decay
    sets in.
    """
    nets = list(history["net"].unique())
    columns = []
    for net in nets:
        rows = history[history["net"] == net].drop(columns="net")
        x = alt.X(
            "step:Q",
            scale=alt.Scale(type="log"),
            axis=alt.Axis(format="~s", values=[1, 10, 100, 1000, 10_000]),
        )
        accuracy = (
            alt.Chart(rows[rows["quantity"] != "weight norm"])
            .mark_line(strokeWidth=1.2, opacity=0.75)
            .encode(
                x=x.title(None),
                y=alt.Y(
                    "value:Q",
                    title="accuracy" if net == nets[0] else None,
                    scale=alt.Scale(domain=[0, 1]),
                ),
                color=alt.Color(
                    "quantity:N",
                    title=None,
                    scale=alt.Scale(domain=["training", "held-out"], range=[GREY, BLUE]),
                    legend=alt.Legend(orient="top"),
                ),
                detail="seed:N",
                tooltip=["seed:N", "quantity:N", "step:Q", alt.Tooltip("value:Q", format=".3f")],
            )
            .properties(width=190, height=150, title=net)
        )
        norm = (
            alt.Chart(rows[rows["quantity"] == "weight norm"])
            .mark_line(strokeWidth=1.2, opacity=0.75, color=VERMILION)
            .encode(
                x=x.title("training step"),
                y=alt.Y("value:Q", title="weight norm" if net == nets[0] else None),
                detail="seed:N",
                tooltip=["seed:N", "step:Q", alt.Tooltip("value:Q", format=".1f")],
            )
            .properties(width=190, height=70)
        )
        if switch and net in switch:
            mark = (
                alt.Chart(pd.DataFrame({"step": [switch[net]]}))
                .mark_rule(strokeDash=[4, 3])
                .encode(x="step:Q")
            )
            accuracy, norm = accuracy + mark, norm + mark
        columns.append(alt.vconcat(accuracy, norm))
    return describe(
        alt.hconcat(*columns),
        "Training and held-out accuracy, and the norm of all weights, against the training step on a log "
        f"scale, one line for each seed, for {'; '.join(nets)}."
        + (f" A dashed rule marks where weight decay sets in: {'; '.join(switch)}." if switch else ""),
    )
