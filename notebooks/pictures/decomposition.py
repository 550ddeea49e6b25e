"""Pictures of a decomposition: vectors as they form, importances of components, scores.

Every function takes tidy tables (pandas) and returns a described Altair chart.
"""

import altair as alt
import numpy as np
import pandas as pd

from splinelab.charts.renderer import describe, order
from splinelab.charts.theme import BLUE, GREY, VERMILION

__all__ = ["forming", "importance_maps", "quality_points"]

#: From clear to blue: the low end fades into the page, white or dark.
FADE = ["rgba(11, 124, 193, 0)", BLUE]


def forming(vectors: pd.DataFrame, columns: pd.DataFrame) -> alt.TopLevelMixin:
    """Components of a matrix with two outputs as arrows from the origin, with a slider over training.

    `vectors`: step, component, x, y (the largest column of U_c V_cᵀ) and importance (its peak); `columns`: x,
    y and feature of the target's own columns, drawn beneath.
    """
    steps = sorted(vectors["step"].unique())
    moment = alt.param(
        name="moment",
        value=len(steps) - 1,
        bind=alt.binding_range(min=0, max=len(steps) - 1, step=1, name="moment of training "),
    )
    table = vectors.assign(moment=vectors["step"].map({step: place for place, step in enumerate(steps)}))
    reach = 1.15 * max(float(np.abs(columns[["x", "y"]]).to_numpy().max()), 0.1)
    x = alt.X("x:Q", title="first hidden unit", scale=alt.Scale(domain=[-reach, reach], clamp=True))
    y = alt.Y("y:Q", title="second hidden unit", scale=alt.Scale(domain=[-reach, reach], clamp=True))
    zero = {"x2": alt.datum(0), "y2": alt.datum(0)}
    target = alt.Chart(columns).encode(x=x, y=y)
    wanted = target.mark_rule(strokeWidth=7, opacity=0.25, color=GREY).encode(**zero)
    names = target.mark_text(dx=9, dy=-9, fontSize=12, color=GREY).encode(text="feature:N")
    shown = alt.Chart(table).transform_filter("datum.moment == moment").encode(x=x, y=y)
    rules = shown.mark_rule(strokeWidth=1.8).encode(
        opacity=alt.Opacity(
            "importance:Q", title="importance", scale=alt.Scale(domain=[0, 1], range=[0.15, 1], clamp=True)
        ),
        color=alt.value(VERMILION),
        **zero,
    )
    heads = shown.mark_circle(size=46).encode(
        opacity=alt.Opacity("importance:Q", scale=alt.Scale(domain=[0, 1], range=[0.15, 1], clamp=True)),
        color=alt.value(VERMILION),
        tooltip=["step:Q", "component:N", alt.Tooltip("importance:Q", format=".2f")],
    )
    step = (
        alt.Chart(pd.DataFrame({"moment": range(len(steps)), "step": steps}))
        .transform_filter("datum.moment == moment")
        .transform_calculate(text="'step ' + format(datum.step, ',')")
        .mark_text(align="left", fontSize=13, fontWeight=600)
        .encode(x=alt.value(8), y=alt.value(14), text="text:N", color=alt.value(GREY))
    )
    chart = alt.layer(wanted, names, rules, heads, step).add_params(moment).properties(width=380, height=380)
    last = vectors[vectors["step"] == steps[-1]]
    return describe(
        chart,
        f"The target's {len(columns)} columns as wide grey bars from the origin, and the components as "
        f"arrows, at a moment of training chosen with the slider, from step {steps[0]} to {steps[-1]}. At "
        f"the end {len(last)} arrows are left, {int((last['importance'] > 0.5).sum())} of them of importance "
        "above .5.",
    )


def importance_maps(table: pd.DataFrame) -> alt.TopLevelMixin:
    """Importances where one feature alone is on, a panel per matrix, two side by side.

    `table`: matrix, feature, component, importance. Components are drawn in its order; zeros may be left out.
    """
    most = int(max(table["feature"].nunique(), table.groupby("matrix")["component"].nunique().max()))
    step = alt.Step(min(30, 270 / most))
    some = sorted(table["feature"].unique())
    features = alt.Axis(ticks=False, values=some[::5] if len(some) > 20 else some)
    panels = [
        alt.Chart(rows)
        .mark_rect()
        .encode(
            x=alt.X(
                "component:O",
                sort=order(rows, "component"),
                axis=alt.Axis(labels=most <= 20, ticks=False, labelAngle=0),
            ),
            y=alt.Y("feature:O", title="feature that is on", axis=features),
            color=alt.Color(
                "importance:Q",
                scale=alt.Scale(domain=[0, 1], range=FADE),
                legend=alt.Legend(orient="bottom", gradientLength=160),
            ),
            tooltip=["matrix:N", "feature:O", "component:N", alt.Tooltip("importance:Q", format=".2f")],
        )
        .properties(width=step, height=step, title=matrix)
        for matrix, rows in table.groupby("matrix", sort=False)
    ]
    counts = "; ".join(
        f"{matrix} {len(rows)} for {rows['feature'].nunique()} features and "
        f"{rows['component'].nunique()} components"
        for matrix, rows in table[table["importance"] > 0.1].groupby("matrix", sort=False)
    )
    return describe(
        alt.concat(*panels, columns=2),
        "Importance of each component where one feature alone is on, one panel for each matrix. "
        f"Cells above .1: {counts or 'none'}.",
    )


def quality_points(table: pd.DataFrame) -> alt.TopLevelMixin:
    """Scores of several seeds as points, beside a mark of the paper: columns model, score, value, who."""
    panels = [
        alt.Chart(table[table["score"] == score])
        .mark_point(filled=True, size=60, opacity=0.8)
        .encode(
            x=alt.X("value:Q", title=score, scale=alt.Scale(zero=False, padding=12)),
            y=alt.Y("model:N", title=None, sort=order(table, "model")),
            color=alt.Color(
                "who:N",
                title=None,
                sort=order(table, "who"),
                scale=alt.Scale(range=[BLUE, VERMILION]),
                legend=alt.Legend(orient="top"),
            ),
            shape=alt.Shape("who:N", sort=order(table, "who"), legend=None),
            yOffset=alt.YOffset("who:N", sort=order(table, "who")),
            tooltip=["model:N", "who:N", "score:N", alt.Tooltip("value:Q", format=".4f")],
        )
        .properties(width=210, height=alt.Step(11))
        for score in order(table, "score")
    ]
    ours = table[table["who"] == "ours"].groupby("score", sort=False)["value"]
    told = " and ".join(f"{rows.min():.3f} and {rows.max():.3f} ({score})" for score, rows in ours)
    return describe(
        alt.vconcat(*panels),  # one above the other, with their names, they fit a phone
        f"{' and '.join(order(table, 'score'))} of each decomposition, one point per seed, beside the "
        f"published means. Ours lie between {told}.",
    )
