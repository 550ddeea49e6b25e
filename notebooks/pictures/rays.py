"""Pictures of rays through activation space: logits and boundaries along the scale α, and soft counts."""

from collections.abc import Mapping

import altair as alt
import numpy as np
import pandas as pd

from splinelab.charts import BLUE, DIGITS, GREY, VERMILION, describe
from splinelab.charts.renderer import order
from splinelab.polytopes import Ray

__all__ = ["profiles", "ray_explorer", "soft_counts"]

WIDTH = 500
ALPHA = alt.Axis(values=[1e-3, 1e-2, 0.1, 1, 10], format="~g", grid=False, labelFlush=False)


def _highest(table: pd.DataFrame) -> str:
    """In words: where each line of a panel is highest."""
    told = []
    for panel, some in table.reset_index(drop=True).groupby("panel", sort=False):
        tops = some.loc[some.groupby("series", sort=False)["value"].idxmax()]
        words = [
            f"{top.series} at {top.alpha:.2g}" if top.value > 0 else f"{top.series} nowhere"
            for top in tops.itertuples()
        ]
        told.append(f"{panel}: {', '.join(words)}")
    return f"Highest α by panel. {'; '.join(told)}."


def _log_alpha(low: float = 1e-4, high: float = 10.0, **options) -> alt.X:
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    return alt.X("alpha:Q", title="α", scale=scale, axis=ALPHA, **options)


def _activation_itself() -> alt.Chart:
    """A rule at α = 1."""
    return (
        alt.Chart(pd.DataFrame({"alpha": [1.0]})).mark_rule(strokeDash=[3, 3], color=GREY).encode(x="alpha:Q")
    )


def ray_explorer(rays: Mapping[tuple[str, str], Ray]) -> alt.TopLevelMixin:
    """One ray at a time: logits above, boundaries below; the image and the layer are chosen.

    Logits are shares of the largest at each α; red rules are the exact changes of class.

    Parameters
    ----------
    rays : (image, layer) → its ray; the first is shown first.
    """
    tables = [
        [table.assign(image=image, layer=layer) for table in _tables(ray)]
        for (image, layer), ray in rays.items()
    ]
    logits, windows, changes = (pd.concat(some) for some in zip(*tables, strict=True))
    first = next(iter(rays.values()))
    description = (
        f"Along α from {first.alphas[0]:g} to {first.alphas[-1]:g}: logits above, boundaries in 50 windows "
        f"below. The first ray has {len(first.crossings):,} boundaries and {len(first.class_changes[0])} "
        "changes of class."
    )
    image = alt.param(
        "ray_image",
        value=logits["image"].iloc[0],
        bind=alt.binding_select(options=order(logits, "image"), name="image "),
    )
    layer = alt.param(
        "ray_layer",
        value=logits["layer"].iloc[0],
        bind=alt.binding_radio(options=order(logits, "layer"), name="layer "),
    )
    lines, turns, bars = _layers(logits, windows, changes)
    unit = _activation_itself()
    chart = (
        alt.vconcat(
            alt.layer(lines, turns, unit).properties(width=WIDTH, height=190),
            alt.layer(bars, turns, unit).properties(width=WIDTH, height=100),
        )
        .add_params(image, layer)
        .resolve_scale(color="independent")
    )
    return describe(chart, description)


def _layers(logits: pd.DataFrame, windows: pd.DataFrame, changes: pd.DataFrame) -> tuple:
    """Logits, changes of class and boundaries of the chosen ray."""
    chosen = "datum.image == ray_image && datum.layer == ray_layer"
    digits = alt.Color(
        "digit:O", title="logit of", scale=alt.Scale(domain=list(range(10)), range=list(DIGITS))
    )
    lines = (
        alt.Chart(logits)
        .transform_filter(chosen)
        .mark_line(strokeWidth=1.6)
        .encode(
            x=_log_alpha(),
            y=alt.Y("logit:Q", title="logit, share of the largest", scale=alt.Scale(domain=[-1, 1])),
            color=digits,
            tooltip=["digit:O", alt.Tooltip("alpha:Q", format=".2g"), alt.Tooltip("logit:Q", format=".2f")],
        )
    )
    turns = (
        alt.Chart(changes)
        .transform_filter(chosen)
        .mark_rule(color=VERMILION, strokeWidth=1.5)
        .encode(x=_log_alpha(), tooltip=[alt.Tooltip("alpha:Q", title="class changes at", format=".3g")])
    )
    bars = (
        alt.Chart(windows)
        .transform_filter(chosen)
        .mark_bar(color=BLUE)
        .encode(
            x=_log_alpha(),
            x2="alpha2:Q",
            y=alt.Y("boundaries:Q", title="boundaries in a window"),
            y2=alt.datum(0),
            tooltip=["boundaries:Q", alt.Tooltip("alpha:Q", format=".2g")],
        )
    )
    return lines, turns, bars


def _tables(ray: Ray) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Logits at 41 scales, boundaries in 50 windows, changes of class."""
    alphas, edges = np.geomspace(1e-4, 10, 41), np.geomspace(1e-4, 10, 51)
    logits = ray.path.output_at(np.interp(alphas, ray.alphas, np.arange(len(ray.alphas))))
    logits = pd.DataFrame(logits / np.abs(logits).max(axis=1, keepdims=True)).assign(alpha=alphas)
    counts = np.histogram(ray.crossings, edges)[0]
    return (
        logits.melt("alpha", var_name="digit", value_name="logit"),
        pd.DataFrame({"alpha": edges[:-1], "alpha2": edges[1:], "boundaries": counts}),
        pd.DataFrame({"alpha": ray.class_changes[0]}),
    )


def profiles(
    lines: Mapping[tuple[str, str], np.ndarray],
    edges: np.ndarray,
    colours: Mapping[str, str],
    description: str,
) -> alt.TopLevelMixin:
    """Lines over α, a panel under the other: how many boundaries rays of one kind have in a window.

    All panels share both axes; the vertical one is a root, so that few and many are seen together.

    Parameters
    ----------
    lines : (panel, series) → a number for each window.
    edges : of the windows, one more than there are windows.
    colours : series → colour.
    """
    middle = (edges[1:] + edges[:-1]) / 2
    table = pd.concat(
        [
            pd.DataFrame({"panel": panel, "series": series, "alpha": middle, "value": values})
            for (panel, series), values in lines.items()
        ]
    )
    drawn = (
        alt.Chart()
        .mark_line(strokeWidth=1.8)
        .encode(
            x=alt.X("alpha:Q", title="α", scale=alt.Scale(domain=[edges[0], edges[-1]], nice=False)),
            y=alt.Y("value:Q", title="boundaries", scale=alt.Scale(type="sqrt"), axis=alt.Axis(tickCount=4)),
            color=alt.Color(
                "series:N",
                title=None,
                scale=alt.Scale(domain=list(colours), range=list(colours.values())),
                legend=alt.Legend(orient="top", columns=4),
            ),
            tooltip=[
                "panel:N",
                "series:N",
                alt.Tooltip("alpha:Q", format=".2g"),
                alt.Tooltip("value:Q", format=".3g"),
            ],
        )
        .properties(width=WIDTH, height=110)
    )
    unit = alt.Chart().mark_rule(strokeDash=[3, 3], color=GREY).encode(x=alt.XDatum(1.0))
    chart = alt.layer(drawn, unit, data=table).facet(
        facet=alt.Facet("panel:N", title=None, sort=order(table, "panel")), columns=1
    )
    return describe(chart, f"{description} {_highest(table)}")


def soft_counts(shares: pd.DataFrame, description: str) -> alt.TopLevelMixin:
    """Soft density as a share of the exact count, against sharpness η on a log axis.

    Parameters
    ----------
    shares : a row for each seed, a column for each η.
    """
    table = shares.rename_axis("seed").reset_index().melt("seed", var_name="eta", value_name="share")
    lines = (
        alt.Chart(table)
        .mark_line(point={"size": 36})
        .encode(
            x=alt.X(
                "eta:Q",
                title="sharpness η",
                scale=alt.Scale(type="log"),
                axis=alt.Axis(values=sorted(table["eta"].unique()), format="~g"),
            ),
            y=alt.Y("share:Q", title="soft count / boundaries", scale=alt.Scale(domain=[0, 1.05])),
            color=alt.Color("seed:N", title="seed"),
            tooltip=["seed:N", "eta:Q", alt.Tooltip("share:Q", format=".4f")],
        )
    )
    one = alt.Chart().mark_rule(strokeDash=[3, 3], color=GREY).encode(y=alt.YDatum(1.0))
    means = table.groupby("eta")["share"].mean()
    told = ", ".join(f"{share:.3g} at η = {eta:g}" for eta, share in means.items())
    chart = alt.layer(lines, one, data=table).properties(width=WIDTH, height=180)
    return describe(chart, f"{description} Means: {told}.")
