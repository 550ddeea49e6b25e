"""Pictures of how far apart two classes lie: histograms of distances, ROC-AUC by net, step and layer.

Every function takes a tidy table (pandas) and returns a described Altair chart.
"""

import altair as alt
import pandas as pd

from splinelab.charts.renderer import describe, order
from splinelab.charts.theme import BLUE, GREEN, GREY, ORANGE, PINK, SKY, VERMILION

__all__ = ["auc_by_layer", "auc_by_step", "auc_grid", "histogram_explorer", "histogram_grid"]

#: Codes in blues, linear outputs in reds, post-ReLU activations in green: one colour for one way to compare.
METRIC_COLOURS = {
    "Jaccard": BLUE,
    "Hamming": SKY,
    "L2 linear": ORANGE,
    "cosine linear": VERMILION,
    "cosine standardised": PINK,
    "cosine post-ReLU": GREEN,
    "cosine logits": GREY,
}
PAIRS = alt.Scale(domain=["intra-class", "inter-class"], range=[BLUE, VERMILION])


def _colours(table: pd.DataFrame) -> alt.Scale:
    present = [metric for metric in METRIC_COLOURS if metric in set(table["metric"])]
    return alt.Scale(domain=present, range=[METRIC_COLOURS[metric] for metric in present])


def _choice(name: str, options: list[str], label: str, *, radio: bool = False) -> alt.Parameter:
    bind = (alt.binding_radio if radio else alt.binding_select)(options=options, name=f"{label} ")
    return alt.param(name=name, value=options[0], bind=bind)


def _densities(table: pd.DataFrame) -> alt.Chart:
    """One row for each bin, with the densities of both kinds of pair: half the size on the page."""
    keys = ["net", "metric", "split", "distance"]
    wide = table.pivot_table(index=keys, columns="pair", values="density", sort=False).reset_index()
    return alt.Chart(wide).transform_fold(PAIRS.domain, as_=["pair", "density"])


def histogram_grid(table: pd.DataFrame) -> alt.TopLevelMixin:
    """Densities of intra- and inter-class distances, one panel for each net and metric, with a split switch.

    `table` has the columns net, metric, split, pair, distance (bin centre, 0 to 1) and density.
    """
    split = _choice("grid_split", list(table["split"].unique()), "images", radio=True)
    chart = (
        _densities(table)
        .mark_area(interpolate="step", opacity=0.55)
        .encode(
            x=alt.X("distance:Q", title=None, axis=alt.Axis(values=[0, 0.5, 1], format=".1~f")),
            y=alt.Y("density:Q", title=None, stack=None, axis=None),
            color=alt.Color("pair:N", scale=PAIRS, title=None, legend=alt.Legend(orient="top")),
        )
        .transform_filter("datum.split == grid_split")
        .properties(width=116, height=80)
        .facet(
            row=alt.Row(
                "net:N",
                title=None,
                sort=order(table, "net"),
                header=alt.Header(labelAngle=0, labelAlign="left"),
            ),
            column=alt.Column("metric:N", title=None, sort=order(table, "metric")),
            spacing=9,
        )
        .resolve_scale(y="independent")
        .add_params(split)
    )
    return describe(
        chart,
        "Densities of distances between images of one class (blue) and of different classes (orange), one "
        "row for each net and one column for each metric. Distances run from 0 to the largest in the panel.",
    )


def histogram_explorer(table: pd.DataFrame) -> alt.TopLevelMixin:
    """One panel of `histogram_grid`'s table, larger; net, metric and split are the reader's to choose."""
    params = [
        _choice("pick_net", list(table["net"].unique()), "net"),
        _choice("pick_metric", list(table["metric"].unique()), "metric"),
        _choice("pick_split", list(table["split"].unique()), "images", radio=True),
    ]
    chart = (
        _densities(table)
        .mark_area(interpolate="step", opacity=0.55)
        .encode(
            x=alt.X("distance:Q", title="distance, as a share of the largest"),
            y=alt.Y("density:Q", title="density", stack=None),
            color=alt.Color("pair:N", scale=PAIRS, title=None),
            tooltip=[
                alt.Tooltip("pair:N"),
                alt.Tooltip("distance:Q", format=".2f"),
                alt.Tooltip("density:Q", format=".2f"),
            ],
        )
        .transform_filter("datum.net == pick_net && datum.metric == pick_metric && datum.split == pick_split")
        .add_params(*params)
        .properties(height=240)
    )
    return describe(
        chart,
        "Density of intra-class and inter-class distances for a net, a metric and a set of images that the "
        "reader chooses.",
    )


def auc_grid(table: pd.DataFrame, lines: dict[str, float]) -> alt.TopLevelMixin:
    """ROC-AUC with 95 % intervals: losses side by side, kinds of training below each other.

    `table` has the columns training, loss, metric, split, auc, low and high; `lines` names the controls and
    gives their ROC-AUC, drawn as upright rules.
    """
    split = _choice("auc_split", list(table["split"].unique()), "images", radio=True)
    # One table for everything: a facet of layers cannot have a second data source.
    controls = pd.DataFrame({"control": list(lines), "auc": list(lines.values())})
    cells = table[["training", "loss", "split"]].drop_duplicates()
    everything = pd.concat([table, cells.merge(controls, how="cross")], ignore_index=True)
    base = alt.Chart(everything).transform_filter("datum.split == auc_split")
    x = alt.X("auc:Q", title="ROC-AUC", scale=alt.Scale(domain=[0.6, 1.0], clamp=True))
    y = alt.Y("metric:N", title=None, sort=list(METRIC_COLOURS))
    measured = base.transform_filter("isValid(datum.metric)")
    dots = measured.mark_point(size=70, opacity=1).encode(
        x=x,
        y=y,
        color=alt.Color("metric:N", scale=_colours(table), legend=None),
        tooltip=[
            "training:N",
            "loss:N",
            "metric:N",
            *(alt.Tooltip(name, type="quantitative", format=".3f") for name in ("auc", "low", "high")),
        ],
    )
    bars = measured.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q"),
        x2="high:Q",
        y=y,
        color=alt.Color("metric:N", scale=_colours(table), legend=None),
    )
    rules = (
        base.transform_filter("isValid(datum.control)")
        .mark_rule(strokeWidth=1.5)
        .encode(
            x=x,
            strokeDash=alt.StrokeDash(
                "control:N",
                title="control (Jaccard)",
                sort=list(lines),
                scale=alt.Scale(domain=list(lines), range=[[1, 2], [5, 3], [10, 3]][: len(lines)]),
                legend=alt.Legend(orient="bottom"),
            ),
        )
    )
    chart = (
        alt.layer(rules, bars, dots)
        .properties(width=250, height=120)
        .facet(
            column=alt.Column("loss:N", title=None, sort=order(table, "loss")),
            row=alt.Row("training:N", title=None, sort=order(table, "training")),
            spacing=14,
        )
        .add_params(split)
    )
    return describe(
        chart,
        f"ROC-AUC of {table['metric'].nunique()} ways to compare two images, with 95 % intervals, for "
        f"{', '.join(order(table, 'training'))} nets and the losses {', '.join(order(table, 'loss'))}. "
        f"Dotted and dashed rules mark {' and '.join(lines)}.",
    )


def auc_by_step(table: pd.DataFrame) -> alt.TopLevelMixin:
    """Held-out ROC-AUC by metric above accuracy, both against the training step (log scale).

    `table` has the columns net, step, quantity, value, low and high (over seeds); the quantities "training
    accuracy" and "held-out accuracy" go to the lower panel, every other to the upper one.
    """
    net = _choice("step_net", list(table["net"].unique()), "net")
    accuracy = ["training accuracy", "held-out accuracy"]

    def panel(rows: pd.DataFrame, title: str, scale: alt.Scale, height: int) -> alt.LayerChart:
        base = alt.Chart(rows).transform_filter("datum.net == step_net")
        x = alt.X(
            "step:Q",
            title="training step",
            scale=alt.Scale(type="log"),
            axis=alt.Axis(format="~s", values=[1, 10, 100, 1000, 10_000]),
        )
        color = alt.Color(
            "quantity:N",
            scale=scale,
            title=None,
            sort=list(scale.domain),
            legend=alt.Legend(symbolOpacity=1, symbolStrokeWidth=0),  # the band's own would be faint
        )
        band = base.mark_area(opacity=0.2).encode(
            x=x, y=alt.Y("low:Q", title=title), y2="high:Q", color=color
        )
        line = base.mark_line().encode(
            x=x,
            y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=False)),
            color=color,
            tooltip=[
                "quantity:N",
                alt.Tooltip("step:Q"),
                *(alt.Tooltip(name, type="quantitative", format=".3f") for name in ("value", "low", "high")),
            ],
        )
        return alt.layer(band, line).properties(width=460, height=height)

    upper = table[~table["quantity"].isin(accuracy)].rename(columns={"quantity": "metric"})
    scale = _colours(upper)
    top = panel(upper.rename(columns={"metric": "quantity"}), "ROC-AUC, held-out", scale, 190)
    bottom = panel(
        table[table["quantity"].isin(accuracy)],
        "accuracy",
        alt.Scale(domain=accuracy, range=[GREY, PINK]),
        110,
    )
    chart = alt.vconcat(top, bottom).resolve_scale(color="independent").add_params(net)
    return describe(
        chart,
        "Above, held-out ROC-AUC of codes and of activations against the training step; below, training and "
        "held-out accuracy of the same nets. Bands run from the lowest to the highest seed.",
    )


def auc_by_layer(table: pd.DataFrame) -> alt.TopLevelMixin:
    """ROC-AUC by layer, one panel for each net.

    `table` has the columns net, layer (in order), metric, auc, low and high.
    """
    base = alt.Chart(table)
    x = alt.X("layer:N", title=None, sort=order(table, "layer"), axis=alt.Axis(labelAngle=0))
    y = alt.Y("auc:Q", title="ROC-AUC, held-out", scale=alt.Scale(zero=False))
    color = alt.Color(
        "metric:N",
        scale=_colours(table),
        sort=list(METRIC_COLOURS),
        title=None,
        legend=alt.Legend(orient="top"),
    )
    # The stack is no further layer: no line leads to it.
    lines = (
        base.transform_filter("datum.layer != 'stacked'")
        .mark_line(strokeWidth=1.5)
        .encode(x=x, y=y, color=color)
    )
    bars = base.mark_rule().encode(x=x, y=alt.Y("low:Q", title="ROC-AUC, held-out"), y2="high:Q", color=color)
    dots = base.mark_point().encode(
        x=x,
        y=y,
        color=color,
        tooltip=["net:N", "layer:N", "metric:N", alt.Tooltip("auc:Q", format=".3f")],
    )
    chart = (
        alt.layer(lines, bars, dots)
        .properties(width=210, height=190)
        .facet(column=alt.Column("net:N", title=None, sort=order(table, "net")))
    )
    return describe(
        chart,
        "ROC-AUC of Jaccard distance on one layer's codes, and of cosine distance on the same layer's "
        "activations before and after the ReLU, for each hidden layer and for all of them stacked.",
    )
