"""Pictures of polytope density: intra- against inter-class, by layer and by distance, and along a segment.

Every function takes tidy tables (pandas) and returns a described Altair chart.
"""

import altair as alt
import pandas as pd

from splinelab.charts.renderer import describe, order
from splinelab.charts.theme import BLUE, DIGITS, GREEN, GREY, ORANGE, PALETTE, VERMILION

__all__ = ["along_segment", "by_distance", "intra_inter", "ratios"]

PAIRS = {"intra-class": BLUE, "inter-class": ORANGE}
STATISTICS = {"raw": VERMILION, "distance matched": GREEN}


def intra_inter(table: pd.DataFrame) -> alt.TopLevelMixin:
    """Normalised density of same-class and different-class pairs by layer, trained beside untrained.

    `table` has the columns net, training ("trained", "untrained"), layer, pair ("intra-class",
    "inter-class"), value, low and high.
    """
    chart = _by_layer(table, "pair", PAIRS, "normalised density", [0.7, 1.25])
    wide = table.pivot(index=["training", "net", "layer"], columns="pair", values="value")
    lower = (wide["intra-class"] < wide["inter-class"]).groupby("training", sort=False).agg(["sum", "size"])
    told = " and in ".join(
        f"{some} of {all_} layers of {kind} nets" for kind, some, all_ in lower.itertuples()
    )
    return describe(
        chart,
        "Normalised polytope density of same-class and of different-class pairs by layer, for trained and "
        f"untrained nets, with 99 % intervals. The same-class density is the lower one in {told}.",
    )


def ratios(table: pd.DataFrame, domain: tuple[float, float] = (0.55, 1.45)) -> alt.TopLevelMixin:
    """Intra- over inter-class density by layer; below 1 the same-class density is lower.

    `table` has the columns net, training, layer, statistic ("raw", "distance matched"), value, low and high.
    What lies outside of `domain` is cut off.
    """
    chart = _by_layer(table, "statistic", STATISTICS, "intra / inter", list(domain))
    return describe(
        chart,
        "Ratio of intra-class to inter-class density by layer, raw and with the pairs matched by distance, "
        "with intervals. A line marks 1, where the two are equal.",
    )


def _by_layer(table: pd.DataFrame, group: str, colours: dict, title: str, domain: list) -> alt.TopLevelMixin:
    """Points with intervals: a row for each net, a column for each training."""
    colour = alt.Color(
        f"{group}:N",
        title=None,
        scale=alt.Scale(domain=list(colours), range=list(colours.values())),
        legend=alt.Legend(orient="top"),
    )
    rows = []
    for net in order(table, "net"):
        some = table[table["net"] == net]
        layers = order(some, "layer")
        base = alt.Chart(some).encode(
            x=alt.X("layer:N", title=None, sort=layers, axis=alt.Axis(labelAngle=0)),
            xOffset=alt.XOffset(f"{group}:N", sort=list(colours)),
            color=colour,
            tooltip=[
                "net:N",
                "training:N",
                "layer:N",
                f"{group}:N",
                *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ["value", "low", "high"]),
            ],
        )
        scale = alt.Scale(domain=domain, zero=False, nice=False)
        line = alt.Chart(some).mark_rule(strokeDash=[4, 3], color=GREY).encode(y=alt.datum(1.0))
        bars = base.mark_rule(strokeWidth=2, clip=True).encode(
            y=alt.Y("low:Q", title=title, scale=scale), y2="high:Q"
        )
        points = base.mark_point(size=45, filled=True, opacity=1, clip=True).encode(
            y=alt.Y("value:Q", scale=scale)
        )
        rows.append(
            alt.layer(line, bars, points)
            .properties(width=58 * len(layers) if table["training"].nunique() > 1 else 260, height=170)
            .facet(
                column=alt.Column(
                    "training:N",
                    title=None,
                    sort=order(table, "training"),
                    header=alt.Header(labelFontWeight="normal"),
                ),
                title=net,
            )
        )
    stack = alt.vconcat if table["training"].nunique() > 1 else alt.hconcat
    return stack(*rows, spacing=14)


def by_distance(table: pd.DataFrame, start: str) -> alt.TopLevelMixin:
    """Density of same-class and different-class pairs against their distance; a menu picks net and layer.

    `table` has the columns place (net and layer), training, pair, distance (in units of the mean) and density
    (normalised); `start` is the place that is shown first.
    """
    places = order(table, "place")
    pick = alt.selection_point(
        name="pick_place",
        fields=["place"],
        value=start,
        bind=alt.binding_select(options=places, name="net, layer "),
    )
    chart = (
        alt.Chart(table)
        .transform_filter(pick)
        .mark_line(point=alt.OverlayMarkDef(size=26))
        .encode(
            x=alt.X("distance:Q", title="Euclidean distance, mean = 1", scale=alt.Scale(zero=False)),
            y=alt.Y("density:Q", title="normalised density", scale=alt.Scale(zero=False)),
            color=alt.Color(
                "pair:N",
                title=None,
                scale=alt.Scale(domain=list(PAIRS), range=list(PAIRS.values())),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=[
                "place:N",
                "training:N",
                "pair:N",
                alt.Tooltip("distance:Q", format=".2f"),
                alt.Tooltip("density:Q", format=".3f"),
            ],
        )
        .properties(width=270, height=200)
        .facet(column=alt.Column("training:N", title=None, sort=order(table, "training")))
        .resolve_scale(x="independent")
        .add_params(pick)
    )
    return describe(
        chart,
        "Normalised density of same-class and different-class pairs in twenty bins of Euclidean distance, "
        f"trained and untrained. Shown: {start}.",
    )


def along_segment(outputs: pd.DataFrame, boundaries: pd.DataFrame) -> alt.TopLevelMixin:
    """The outputs on the way from one image to another, over the number of boundaries met there.

    `outputs` has the columns t, class and output; `boundaries` t (the middle of a bin), layer and boundaries
    (a count), layers in the order in which they are stacked.
    """
    x = alt.X("t:Q", title=None, scale=alt.Scale(domain=[0, 1], nice=False))
    above = (
        alt.Chart(outputs)
        .mark_line(strokeWidth=1.6)
        .encode(
            x=x,
            y=alt.Y("output:Q"),
            color=alt.Color(
                "class:N", scale=alt.Scale(domain=list(range(10)), range=list(DIGITS)), title="class"
            ),
            tooltip=["class:N", alt.Tooltip("t:Q", format=".2f"), alt.Tooltip("output:Q", format=".1f")],
        )
        .properties(width=520, height=170)
    )
    names = order(boundaries, "layer")
    step = 1 / boundaries["t"].nunique()
    below = (
        alt.Chart(boundaries)
        .transform_calculate(left=f"datum.t - {step / 2}", right=f"datum.t + {step / 2}")
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
                "layer:N", scale=alt.Scale(domain=names, range=list(PALETTE)), title="boundary of"
            ),
            tooltip=["layer:N", alt.Tooltip("t:Q", format=".2f"), "boundaries:Q"],
        )
        .properties(width=520, height=110)
    )
    return describe(
        alt.vconcat(above, below, spacing=8).resolve_scale(color="independent"),
        "Above, the net's ten outputs on the straight way between two images' activations; each is made of "
        "straight pieces. Below, how many polytope boundaries the way meets, by layer.",
    )
