"""Pictures of rays through activation space: logits and boundaries along the scale α, and soft gates.

Every function takes tidy tables (pandas) and returns a described Altair chart.
"""

import altair as alt
import numpy as np
import pandas as pd

from splinelab.charts.renderer import describe, order
from splinelab.charts.theme import BLUE, DIGITS, GREEN, GREY, PALETTE, VERMILION

__all__ = ["gates", "per_window", "profiles", "ray_explorer", "soft_counts", "two_axes"]

ALPHA = alt.Axis(values=[1e-3, 1e-2, 0.1, 1, 10], format="~g", grid=False, labelFlush=False)


def per_window(crossings: list[np.ndarray], edges: np.ndarray) -> np.ndarray:
    """Boundaries per ray between neighbouring scales of `edges`: float64, windows.

    `crossings`: the α of every boundary, one array for each ray.
    """
    counts = [np.histogram(alphas, edges)[0] for alphas in crossings]
    return np.mean(counts, axis=0) if counts else np.zeros(len(edges) - 1)


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


def ray_explorer(
    logits: pd.DataFrame, windows: pd.DataFrame, changes: pd.DataFrame, description: str
) -> alt.TopLevelMixin:
    """One ray at a time: logits above, boundaries below; the image and the layer are chosen.

    `logits` has the columns image, layer, alpha, digit and logit (a share of the largest at this α);
    `windows` image, layer, alpha, alpha2 and boundaries (a count between the two); `changes` image, layer
    and alpha (one row for each change of class).
    """
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
    unit = _activation_itself()
    chart = (
        alt.vconcat(
            alt.layer(lines, turns, unit).properties(width=520, height=190),
            alt.layer(bars, turns, unit).properties(width=520, height=100),
        )
        .add_params(image, layer)
        .resolve_scale(color="independent")
    )
    return describe(chart, description)


def profiles(
    table: pd.DataFrame,
    description: str,
    *,
    colours: dict[str, str] | None = None,
    y: str = "boundaries per ray and window",
    columns: int = 3,
    low: float = 1e-4,
) -> alt.TopLevelMixin:
    """Lines over log α, one panel each: how many boundaries rays of one kind have in a window.

    `table` has the columns panel, series, alpha (the window's middle) and value. `colours`: series → colour.
    """
    series = order(table, "series")
    colours = colours or dict(zip(series, PALETTE, strict=False))
    lines = (
        alt.Chart()
        .mark_line(strokeWidth=1.8)
        .encode(
            x=_log_alpha(low),
            y=alt.Y("value:Q", title=y),
            color=alt.Color(
                "series:N",
                title=None,
                scale=alt.Scale(domain=series, range=[colours[name] for name in series]),
                legend=alt.Legend(orient="top", columns=4),
            ),
            tooltip=[
                "panel:N",
                "series:N",
                alt.Tooltip("alpha:Q", format=".2g"),
                alt.Tooltip("value:Q", format=".3g"),
            ],
        )
    )
    unit = alt.Chart().mark_rule(strokeDash=[3, 3], color=GREY).encode(x=alt.XDatum(1.0))
    chart = (
        alt.layer(lines, unit, data=table)
        .properties(width=160 if columns > 2 else 270, height=130)
        .facet(facet=alt.Facet("panel:N", title=None, sort=order(table, "panel")), columns=columns)
        .resolve_scale(y="independent")
        .resolve_axis(x="independent")  # columns of unequal width would stand beside a common axis
    )
    return describe(chart, f"{description} {_highest(table)}")


def two_axes(table: pd.DataFrame, description: str) -> alt.TopLevelMixin:
    """The same boundaries counted in equal windows of α (left) and of log α (right), a row for each layer.

    `table` has the columns net, layer, axis ("linear" or "log"), alpha, alpha2 and share (of the boundaries
    that the axis shows). A switch chooses the net.
    """
    net = alt.param(
        "axes_net",
        value=table["net"].iloc[0],
        bind=alt.binding_radio(options=order(table, "net"), name="net "),
    )
    kinds = {
        "linear": alt.X(
            "alpha:Q",
            title="α, equal windows",
            scale=alt.Scale(domain=[0, 2], nice=False),
            axis=alt.Axis(values=[0, 0.5, 1, 1.5, 2], grid=False, labelFlush=False),
        ),
        "log": _log_alpha().title("α, equal windows of log α"),
    }
    rows = []
    for place in order(table, "place"):
        row = []
        for kind, x in kinds.items():
            some = table[(table["place"] == place) & (table["axis"] == kind)]
            title = "layer:N"
            bars = (
                alt.Chart(some)
                .transform_filter("datum.net == axes_net")
                .mark_bar(color=BLUE if kind == "linear" else GREEN)
                .encode(
                    x=x,
                    x2="alpha2:Q",
                    y=alt.Y(
                        "share:Q", title="share" if kind == "linear" else None, axis=alt.Axis(tickCount=3)
                    ),
                    y2=alt.datum(0),
                    tooltip=[
                        title,
                        alt.Tooltip("alpha:Q", format=".2g"),
                        alt.Tooltip("share:Q", format=".3f"),
                    ],
                )
            )
            layers = [bars]
            if kind == "linear":
                name = (
                    alt.Chart(some.drop_duplicates("net"))
                    .transform_filter("datum.net == axes_net")
                    .mark_text(align="right", fontSize=12, fontWeight=600, baseline="top")
                    .encode(x=alt.value(246), y=alt.value(2), text=title)
                )
                layers.append(name)
            row.append(alt.layer(*layers).properties(width=250, height=80))
        rows.append(alt.hconcat(*row, spacing=18))
    told = []
    for (name, layer), some in table.groupby(["net", "layer"], sort=False):
        tops = {axis: some[some["axis"] == axis].nlargest(1, "share").iloc[0] for axis in kinds}
        told.append(
            f"{name} {layer} at {tops['linear']['alpha']:.2g} to {tops['linear']['alpha2']:.2g} "
            f"({tops['linear']['share']:.0%}) and, in log α, at {tops['log']['alpha']:.2g}"
        )
    description = f"{description} The fullest windows: {'; '.join(told)}."
    return describe(alt.vconcat(*rows, spacing=8).add_params(net), description)


def gates(table: pd.DataFrame, description: str) -> alt.TopLevelMixin:
    """Soft gates and what they make of a pre-activation u; a slider sharpens them.

    `table` has the columns gate, u, sharpness (η), open (0 to 1) and output.
    """
    steps = sorted(table["sharpness"].unique())
    step = alt.param(
        "gate_step",
        value=steps.index(1.0) if 1.0 in steps else 0,
        bind=alt.binding_range(min=0, max=len(steps) - 1, step=1, name="sharper → "),
    )
    table = table.assign(step=table["sharpness"].map(steps.index))
    colour = alt.Color(
        "gate:N",
        title=None,
        sort=order(table, "gate"),
        scale=alt.Scale(domain=order(table, "gate"), range=list(PALETTE)),
        legend=alt.Legend(orient="top"),
    )
    base = alt.Chart(table).transform_filter("datum.step == gate_step").encode(x="u:Q", color=colour)
    tips = ["gate:N", "u:Q", "sharpness:Q"]
    left = base.mark_line().encode(
        y=alt.Y("open:Q", title="soft code (gate)", scale=alt.Scale(domain=[0, 1])), tooltip=[*tips, "open:Q"]
    )
    right = base.mark_line().encode(
        y=alt.Y("output:Q", title="activation", scale=alt.Scale(domain=[-0.5, 3])),
        tooltip=[*tips, "output:Q"],
    )
    size = {"width": 250, "height": 170}
    chart = alt.hconcat(left.properties(**size), right.properties(**size)).add_params(step)
    return describe(chart, description)


def soft_counts(table: pd.DataFrame, description: str) -> alt.TopLevelMixin:
    """Soft density as a share of the exact count, against sharpness η on a log axis.

    `table` has the columns eta, share and seed.
    """
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
    chart = alt.layer(lines, one, data=table).properties(width=420, height=180)
    return describe(chart, f"{description} Means: {told}.")
