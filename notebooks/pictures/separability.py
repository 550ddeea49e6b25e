"""Pictures of how far apart two classes lie: histograms of distances, ROC-AUC by net, step and layer.

Every function takes a tidy table (pandas) and returns a described Altair chart.
"""

from collections.abc import Mapping

import altair as alt
import numpy as np
import pandas as pd

from pictures.dots import METRIC_COLOURS, colours
from splinelab.charts.renderer import describe, order
from splinelab.charts.theme import BLUE, GREY, PINK, VERMILION
from splinelab.intervals import Interval

__all__ = ["auc_by_step", "auc_grid", "barcodes", "histogram_grid"]

PAIRS = alt.Scale(domain=["intra-class", "inter-class"], range=[BLUE, VERMILION])
#: Step axes are logarithmic.
STEPS = {"type": "quantitative", "scale": alt.Scale(type="log")}
STEP_AXIS = alt.Axis(format="~s", values=[1, 10, 100, 1000, 10_000])


def _choice(name: str, options: list[str], label: str, *, radio: bool = False) -> alt.Parameter:
    bind = (alt.binding_radio if radio else alt.binding_select)(options=options, name=f"{label} ")
    return alt.param(name=name, value=options[0], bind=bind)


def barcodes(bits: np.ndarray, names: list[str], layer: int) -> alt.TopLevelMixin:
    """Spline codes (images × units) as bar codes, active units drawn; layers have `layer` units each."""
    places = [(name, unit) for name, row in zip(names, bits, strict=True) for unit in np.flatnonzero(row)]
    table = pd.DataFrame(
        [{"image": name, "unit": int(u), "layer": f"layer {u // layer + 1}"} for name, u in places]
    )
    chart = (
        alt.Chart(table)
        .mark_tick(thickness=1, height=26)
        .encode(
            x=alt.X("unit:Q", title="unit", scale=alt.Scale(domain=[0, bits.shape[1]], nice=False)),
            y=alt.Y("image:N", title=None, sort=names),
            color=alt.Color("layer:N", title=None, legend=alt.Legend(orient="top")),
        )
        .properties(width=560, height=110)
    )
    active = ", ".join(f"{name}: {int(row.sum())}" for name, row in zip(names, bits, strict=True))
    return describe(
        chart,
        f"Spline codes as bar codes of {bits.shape[1]} units, with the active ones drawn. Active units: {active}.",
    )


def histogram_grid(table: pd.DataFrame) -> alt.TopLevelMixin:
    """Densities of intra- and inter-class distances, one panel for each net and metric, with a split switch.

    `table` has the columns net, metric, split, pair, distance (bin centre, 0 to 1) and density. All panels
    have the same axes; heights are square roots, so that low heaps are seen beside high ones.
    """
    split = _choice("grid_split", list(table["split"].unique()), "images", radio=True)
    # One row for each bin, with the densities of both kinds of pair: half the size on the page.
    keys = ["net", "metric", "split", "distance"]
    wide = table.pivot_table(index=keys, columns="pair", values="density", sort=False).reset_index()
    chart = (
        alt.Chart(wide)
        .transform_fold(PAIRS.domain, as_=["pair", "density"])
        .mark_area(interpolate="step", opacity=0.55)
        .encode(
            x=alt.X("distance:Q", title=None, axis=alt.Axis(values=[0, 0.5, 1], format=".1~f")),
            y=alt.Y("density:Q", title=None, stack=None, axis=None, scale=alt.Scale(type="sqrt")),
            color=alt.Color("pair:N", scale=PAIRS, title=None, legend=alt.Legend(orient="top")),
        )
        .transform_filter("datum.split == grid_split")
        .properties(width=150, height=80)
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
        .add_params(split)
    )
    return describe(
        chart,
        "Densities of distances between images of one class (blue) and of different classes (orange), for "
        f"{', '.join(order(table, 'net'))} nets, by {', '.join(order(table, 'metric'))}. Distances run from 0 "
        "to the largest in the panel.",
    )


def auc_grid(
    intervals: Mapping[tuple[str, str, str, str], Interval], lines: dict[str, float]
) -> alt.TopLevelMixin:
    """ROC-AUC with 95 % intervals: losses side by side, kinds of training below each other.

    `intervals` maps (training, loss, metric, split) to an interval; `lines` names the controls and gives their
    ROC-AUC, drawn as upright rules.
    """
    columns = ["training", "loss", "metric", "split", "auc", "low", "high"]
    table = pd.DataFrame([(*names, *found) for names, found in intervals.items()], columns=columns)
    split = _choice("auc_split", list(table["split"].unique()), "images", radio=True)
    # One table for everything: a facet of layers cannot have a second data source.
    controls = pd.DataFrame({"control": list(lines), "auc": list(lines.values())})
    cells = table[["training", "loss", "split"]].drop_duplicates()
    everything = pd.concat([table, cells.merge(controls, how="cross")], ignore_index=True)
    base = alt.Chart(everything).transform_filter("datum.split == auc_split")
    least = np.floor(10 * min(table["low"].min(), *lines.values())) / 10
    scale = alt.Scale(domain=[least, 1.0])
    measured = base.transform_filter("isValid(datum.metric)").encode(
        y=alt.Y("metric:N", title=None, sort=list(METRIC_COLOURS)),
        color=alt.Color("metric:N", scale=colours(table), legend=None),
    )
    told = [alt.Tooltip(f"{name}:Q", format=".3f") for name in ("auc", "low", "high")]
    dots = measured.mark_point(size=70, opacity=1).encode(
        x=alt.X("auc:Q", title="ROC-AUC", scale=scale, axis=alt.Axis(tickCount=4)),
        tooltip=["training:N", "loss:N", "metric:N", *told],
    )
    bars = measured.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", scale=scale), x2="high:Q")
    rules = (
        base.transform_filter("isValid(datum.control)")
        .mark_rule(strokeWidth=1.5)
        .encode(
            x=alt.X("auc:Q", scale=scale),
            strokeDash=alt.StrokeDash(
                "control:N",
                title="control",
                sort=list(lines),
                scale=alt.Scale(domain=list(lines), range=[[1, 2], [5, 3], [10, 3]][: len(lines)]),
                legend=alt.Legend(orient="bottom", labelLimit=220),
            ),
        )
    )
    panels = alt.layer(rules, bars, dots).properties(width=200, height=100)
    chart = panels.facet(
        column=alt.Column("loss:N", title=None, sort=order(table, "loss")),
        row=alt.Row("training:N", title=None, sort=order(table, "training")),
        spacing=14,
    ).add_params(split)
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
    upper, lower = (table[table["quantity"].isin(accuracy) == below] for below in (False, True))
    top = _bands(upper, "ROC-AUC, held-out", colours(upper, "quantity"), 190)
    bottom = _bands(lower, "accuracy", alt.Scale(domain=accuracy, range=[GREY, PINK]), 110)
    return describe(
        alt.vconcat(top, bottom).resolve_scale(color="independent").add_params(net),
        "Above, held-out ROC-AUC of codes and of activations against the training step; below, training and "
        "held-out accuracy of the same nets. Bands run from the lowest to the highest seed. Nets to choose: "
        f"{'; '.join(order(table, 'net'))}.",
    )


def _bands(rows: pd.DataFrame, title: str, scale: alt.Scale, height: int) -> alt.LayerChart:
    """Lines in their bands, of the net that the reader has chosen."""
    colour = alt.Color(
        "quantity:N",
        scale=scale,
        title=None,
        sort=list(scale.domain),
        legend=alt.Legend(orient="top", columns=3, symbolOpacity=1, symbolStrokeWidth=0),  # a band's is faint
    )
    base = (
        alt.Chart(rows)
        .transform_filter("datum.net == step_net")
        .encode(x=alt.X("step", title="training step", axis=STEP_AXIS, **STEPS), color=colour)
    )
    told = [alt.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "low", "high")]
    y = {"title": title, "scale": alt.Scale(zero=False)}
    band = base.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", **y), y2="high:Q")
    line = base.mark_line().encode(y=alt.Y("value:Q", **y), tooltip=["quantity:N", "step:Q", *told])
    return alt.layer(band, line).properties(width=500, height=height)
