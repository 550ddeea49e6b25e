"""Pictures of regions that should mean one thing: clusters beside their noise, directions beside their crop.

Every function takes tidy tables (pandas) and returns a described Altair chart.
"""

import json

import altair as alt
import pandas as pd

from splinelab.charts.renderer import describe, order
from splinelab.charts.theme import BLUE, DIGITS, GREEN, GREY, ORANGE, PINK, VERMILION

__all__ = ["contact_sheet", "cropped_axis", "explorer", "overlap_map", "rejection", "top_images"]

SPACES = {"codes": BLUE, "one position": VERMILION, "whole activation": GREEN}
NOISE = "noise"
UNIT = alt.Scale(domain=[0, 1])
SHARE = alt.Axis(format="%", tickCount=5)
CUTS = alt.Axis(tickCount=5)
SHAPES = alt.Legend(orient="top", columns=1, symbolFillColor=GREY, symbolStrokeColor=GREY)


def _per_cent(*names: str) -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{name}:Q", format=".0%") for name in names]


def _spaces(legend: alt.Legend | None) -> alt.Color:
    scale = alt.Scale(domain=list(SPACES), range=list(SPACES.values()))
    return alt.Color("space:N", title=None, scale=scale, legend=legend)


def explorer(
    runs: pd.DataFrame, counts: pd.DataFrame, members: pd.DataFrame, pictures: pd.DataFrame
) -> alt.TopLevelMixin:
    """All clusterings by noise and purity; menus choose one, hovering over a cluster shows its images.

    `runs` has the columns layer, space, net, seed, noise, monosemantic (both shares) and clusters; `counts`
    layer, space, net, cluster ("1", "2", … or "noise"), digit and images, of one seed; `members` layer,
    space, net, cluster and samples (at most nine numbers, a space between them); `pictures` sample and image.
    """
    menus = {key: order(runs, key) for key in ("layer", "space", "net")}
    params = [
        alt.param(name=f"pick_{key}", value=names[0], bind=alt.binding_select(options=names, name=f"{key} "))
        for key, names in menus.items()
    ]
    # The long tables name a run by one number, which keeps them small.
    terms = [f"{10**n} * indexof({json.dumps(menus[key])}, pick_{key})" for n, key in enumerate(menus)]
    chosen = f"datum.run == {' + '.join(terms)}"

    def by_run(table: pd.DataFrame) -> pd.DataFrame:
        run = sum(10**n * table[key].map(menus[key].index) for n, key in enumerate(menus))
        return table.drop(columns=list(menus)).assign(run=run)

    hover = alt.selection_point(
        name="pick_cluster",
        fields=["cluster"],
        value=[{"cluster": "1"}],
        on="pointerover",
        clear=False,
        empty=False,
    )
    dots = (
        alt.Chart(runs.assign(run=by_run(runs)["run"]))
        .mark_point(filled=True)
        .encode(
            x=alt.X("noise:Q", title="share of images called noise", axis=SHARE, scale=UNIT),
            y=alt.Y("monosemantic:Q", title="share of monosemantic clusters", axis=SHARE, scale=UNIT),
            color=_spaces(alt.Legend(orient="top", columns=1)),
            shape=alt.Shape("net:N", title=None, legend=SHAPES),
            size=alt.condition(chosen, alt.value(190), alt.value(40)),
            opacity=alt.condition(chosen, alt.value(1), alt.value(0.5)),
            tooltip=[
                *(f"{key}:N" for key in [*menus, "seed"]),
                "clusters:Q",
                *_per_cent("monosemantic", "noise"),
            ],
        )
        .properties(width=205, height=270)
    )
    names = [*map(str, range(1, 1 + max(int(c) for c in counts["cluster"] if c != NOISE))), NOISE]
    heat = (
        alt.Chart(by_run(counts))
        .transform_filter(chosen)
        .mark_rect()
        .encode(
            x=alt.X(
                "digit:O", title="digit", axis=alt.Axis(labelAngle=0), scale=alt.Scale(domain=list(range(10)))
            ),
            y=alt.Y("cluster:N", title="cluster (hover)", sort=names),
            color=alt.Color(
                "images:Q",
                title="images",
                scale=alt.Scale(type="sqrt", scheme="blues"),
                legend=alt.Legend(
                    orient="bottom", gradientLength=180
                ),  # at the side the pictures are cut off
            ),
            stroke=alt.condition(hover, alt.value(ORANGE), alt.value(None)),
            tooltip=["cluster:N", "digit:O", "images:Q"],
        )
        .add_params(hover)
        .properties(width=180, height=270)
    )
    images = (
        alt.Chart(by_run(members))
        .transform_filter(chosen)
        .transform_filter(hover)
        .transform_calculate(sample="split(datum.samples, ' ')")
        .transform_calculate(place="sequence(length(datum.sample))")
        .transform_flatten(["sample", "place"])
        .transform_lookup("sample", alt.LookupData(pictures, "sample", ["image"]))
        .transform_calculate(column="datum.place % 3", row="floor(datum.place / 3)")
        .mark_image(width=34, height=34)
        .encode(
            x=alt.X("column:O", axis=None, scale=alt.Scale(domain=[0, 1, 2])),
            y=alt.Y("row:O", axis=None, scale=alt.Scale(domain=[0, 1, 2])),
            url="image:N",
        )
        .properties(width=120, height=120, title="some of its images")
    )
    chart = (
        alt.hconcat(dots, heat, images, spacing=14)
        .add_params(*params)
        .resolve_scale(color="independent", shape="independent")
    )
    return describe(
        chart,
        "Left: every clustering as a dot, by the share of images that it calls noise and the share of its "
        "clusters that are monosemantic; those of untrained nets lie at the right. Middle: images of "
        "each digit in the clusters of the chosen run. Right: images of the cluster pointed at.",
    )


def contact_sheet(table: pd.DataFrame, title: str = "") -> alt.TopLevelMixin:
    """Rows of images, one row for each cluster: `table` has the columns cluster, place and image."""
    width = int(table["place"].max()) + 1
    chart = (
        alt.Chart(table)
        .mark_image(width=28, height=28)
        .encode(
            x=alt.X("place:O", axis=None),
            y=alt.Y(
                "cluster:N",
                title=None,
                sort=order(table, "cluster"),
                axis=alt.Axis(labelLimit=300, ticks=False),
            ),
            url="image:N",
        )
        .properties(width=30 * width, height=31 * table["cluster"].nunique(), title=title)
    )
    return describe(
        chart,
        "Images of clusters, one row each. The label says how many images the cluster has and which share of "
        "them is of its largest class; the last row shows images that HDBSCAN left out.",
    )


def rejection(curves: pd.DataFrame, dots: pd.DataFrame) -> alt.TopLevelMixin:
    """Purity against the share of images kept: k-means on the densest images, HDBSCAN as dots.

    Both tables have the columns layer, space, seed, kept and purity (share of the kept images that belong to
    the largest class of their cluster).
    """
    table = pd.concat([curves.assign(method="k-means, densest images"), dots.assign(method="HDBSCAN")])
    base = alt.Chart(table).encode(
        x=alt.X("kept:Q", title="images kept", axis=alt.Axis(format="%", values=[0, 0.5, 1])),
        y=alt.Y("purity:Q", title="purity", axis=alt.Axis(format="%"), scale=UNIT),
        detail="seed:N",
        tooltip=["layer:N", "space:N", "seed:N", "method:N", *_per_cent("kept", "purity")],
    )
    lines = base.transform_filter("datum.method != 'HDBSCAN'").mark_line(strokeWidth=1.3, color=GREY)
    points = base.transform_filter("datum.method == 'HDBSCAN'").mark_point(filled=True, size=55)
    chart = (
        alt.layer(lines, points.encode(color=_spaces(None)))
        .properties(width=76, height=90)
        .facet(
            column=alt.Column("layer:N", title=None, sort=order(table, "layer")),
            row=alt.Row("space:N", title=None, sort=order(table, "space")),
        )
    )
    return describe(
        chart,
        "Purity against the share of images kept. Grey lines: k-means with as many clusters as HDBSCAN, "
        "judged on the densest images only, one line for each seed. Dots: HDBSCAN, one for each seed.",
    )


def cropped_axis(table: pd.DataFrame, crops: pd.DataFrame) -> alt.TopLevelMixin:
    """Histogram of cosines to a direction, coloured by digit: the whole axis, and the crop of it.

    `table` has the columns direction, panel ("whole" or "crop"), low, high (edges of a bin), digit and
    images; `crops` direction and cosine, where the crop begins.
    """
    names = order(table, "direction")
    menu = alt.param(
        name="pick_direction", value=names[0], bind=alt.binding_select(options=names, name="direction ")
    )

    def panel(name: str, title: str, scale: alt.Scale) -> alt.Chart:
        return (
            alt.Chart(table[table["panel"] == name].drop(columns="panel"))
            .transform_filter("datum.direction == pick_direction")
            .mark_bar(orient="vertical", binSpacing=0)
            .encode(
                x=alt.X("low:Q", bin="binned", title="cosine to the direction", scale=scale, axis=CUTS),
                x2="high:Q",
                y=alt.Y("images:Q", title="images", stack="zero"),
                color=alt.Color("digit:N", scale=alt.Scale(domain=list(range(10)), range=list(DIGITS))),
                tooltip=[alt.Tooltip("low:Q", format=".3f", title="cosine from"), "digit:N", "images:Q"],
            )
            .properties(width=270, height=200, title=title)
        )

    rule = (
        alt.Chart(crops)
        .transform_filter("datum.direction == pick_direction")
        .mark_rule(strokeDash=[4, 3])
        .encode(x="cosine:Q")
    )
    whole = panel("whole", "all images, whole axis", UNIT)
    crop = panel("crop", "the images right of the dashed line", alt.Scale(zero=False, nice=False))
    chart = alt.hconcat(whole + rule, crop).add_params(menu)
    return describe(
        chart,
        "Histograms of the cosine between images' activations and one NMF direction, coloured by digit. "
        "Left: all images on the whole axis; right: only those beyond the dashed line.",
    )


def top_images(table: pd.DataFrame) -> alt.TopLevelMixin:
    """How many directions pass as monosemantic, by the number of images that one looks at.

    `table` has the columns layer, directions (their kind), images and share (mean over seeds).
    """
    kinds = order(table, "directions")
    chart = (
        alt.Chart(table)
        .mark_line(point=alt.OverlayMarkDef(size=22))
        .encode(
            x=alt.X(
                "images:Q",
                title="images of largest cosine",
                scale=alt.Scale(type="log"),
                axis=alt.Axis(values=[5, 20, 100, 1000], format="d", grid=False),
            ),
            y=alt.Y("share:Q", title="directions that pass", axis=SHARE, scale=UNIT),
            color=alt.Color(
                "directions:N",
                title=None,
                sort=kinds,
                scale=alt.Scale(domain=kinds, range=[BLUE, GREY, GREEN, ORANGE, PINK, VERMILION]),
                legend=alt.Legend(orient="top", columns=3),
            ),
            tooltip=["layer:N", "directions:N", "images:Q", *_per_cent("share")],
        )
        .properties(width=180, height=170)
        .facet(column=alt.Column("layer:N", title=None, sort=order(table, "layer")))
    )
    last = table.loc[table["images"] == table["images"].max(), "share"].max()
    return describe(
        chart,
        "Share of directions whose images of largest cosine are to at least 80 % of one class, against the "
        "number of images looked at, for NMF directions, controls and an untrained net. With "
        f"{table['images'].max()} images, the most, the largest share is {last:.0%}.",
    )


def overlap_map(table: pd.DataFrame, purity: pd.DataFrame) -> alt.TopLevelMixin:
    """Directions by clusters: how many of a direction's top images lie in each cluster.

    `table` has the columns direction (0, 1, 2, …, in the order of display), cluster and images; `purity`
    direction and purity, the largest class's share among the top images.
    """
    y = alt.Y("direction:O", title="NMF directions, purest first", axis=alt.Axis(labels=False, ticks=False))
    heat = (
        alt.Chart(table[table["images"] > 0])
        .mark_rect()
        .encode(
            x=alt.X(
                "cluster:N",
                title="cluster of codes",
                scale=alt.Scale(domain=order(table, "cluster")),
                axis=alt.Axis(labelAngle=-40),
            ),
            y=y,
            color=alt.Color("images:Q", title="of the top 20", scale=alt.Scale(scheme="blues")),
            tooltip=["direction:O", "cluster:N", "images:Q"],
        )
        .properties(width=360, height=330)
    )
    bars = (
        alt.Chart(purity)
        .mark_bar()
        .encode(
            x=alt.X("purity:Q", title="largest class", axis=SHARE, scale=UNIT),
            y=alt.Y("direction:O", axis=None),
            color=alt.condition("datum.purity >= 0.8", alt.value(BLUE), alt.value(GREY)),
            tooltip=["direction:O", *_per_cent("purity")],
        )
        .properties(width=110, height=330)
    )
    return describe(
        alt.hconcat(heat, bars, spacing=10),
        "Heat map of NMF directions by clusters of codes: how many of a direction's 20 images of largest "
        "cosine lie in each cluster. Pure directions stand above, impure ones below.",
    )
