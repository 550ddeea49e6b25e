"""Pictures of clusters that should mean one thing: beside their noise, as images, and beside k-means.

Every function takes tidy tables (pandas) and returns a described Altair chart.
"""

import json

import altair as alt
import numpy as np
import pandas as pd

from pictures.maps import thumbnails
from pictures.meanings import KEPT, largest
from splinelab.charts.renderer import describe, order
from splinelab.charts.theme import BLUE, GREEN, GREY, ORANGE, VERMILION
from splinelab.data import Dataset

__all__ = ["contact_sheet", "explorer", "explorer_tables", "rejection", "rejection_tables"]

KEYS = ("layer", "space", "net")
SPACES = {"codes": BLUE, "one position": VERMILION, "whole activation": GREEN}
NOISE = "noise"
UNIT = alt.Scale(domain=[0, 1])
SHARE = alt.Axis(format="%", tickCount=5)


def _per_cent(*names: str) -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{name}:Q", format=".0%") for name in names]


def _spaces(legend: alt.Legend | None) -> alt.Color:
    scale = alt.Scale(domain=list(SPACES), range=list(SPACES.values()))
    return alt.Color("space:N", title=None, scale=scale, legend=legend)


def explorer_tables(runs: list[dict], seed: int, images: Dataset, first: str) -> tuple[pd.DataFrame, ...]:
    """The four tables of `explorer`, from `meanings.look`'s rows; the menus open with the layer `first`.

    Clusters are numbered in the order of their largest digit. Six images of each are drawn by seed; those that
    already stand in another cluster come first, so that few have to be stored.
    """
    runs = sorted(runs, key=lambda row: row["layer"] != first)
    dots = pd.DataFrame(runs)[[*KEYS, "seed", "noise", "monosemantic", "clusters"]]
    counted, shown, used = [], [], set()
    pick = np.random.default_rng(1)
    for row in runs:
        if row["seed"] != seed:
            continue
        key, labels = {name: row[name] for name in KEYS}, row["labels"]
        ranked = np.argsort(largest(labels, images.labels)[:, 2], kind="stable")
        names = {int(k): str(place) for place, k in enumerate(ranked, start=1)} | {-1: NOISE}
        for k, name in sorted(names.items()):
            inside = pick.permutation(np.flatnonzero(labels == k))
            for digit, many in zip(*np.unique(images.labels[inside], return_counts=True), strict=True):
                counted.append({**key, "cluster": name, "digit": digit, "images": many})
            inside = sorted(inside, key=lambda i: i not in used)[:6]
            used |= {int(i) for i in inside}
            shown.append({**key, "cluster": name, "samples": " ".join(map(str, inside))})
    stored = sorted(used)
    pictures = pd.DataFrame({"sample": stored, "image": thumbnails(images.images[stored])})
    return dots, pd.DataFrame(counted), pd.DataFrame(shown), pictures


def explorer(
    runs: pd.DataFrame, counts: pd.DataFrame, members: pd.DataFrame, pictures: pd.DataFrame
) -> alt.TopLevelMixin:
    """All clusterings by noise and purity; menus choose one, hovering over a cluster shows its images.

    `runs` has the columns layer, space, net, seed, noise, monosemantic (both shares) and clusters; `counts`
    layer, space, net, cluster ("1", "2", … or "noise"), digit and images, of one seed; `members` layer,
    space, net, cluster and samples (at most nine numbers, a space between them); `pictures` sample and image.
    """
    menus = {key: order(runs, key) for key in KEYS}
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
    dots = _dots(runs.assign(run=by_run(runs)["run"]), chosen)
    heat = _heat(by_run(counts), chosen, hover)
    images = _images(by_run(members), pictures, chosen, hover)
    chart = (
        alt.hconcat(dots, heat, images, spacing=14)
        .add_params(*params)
        .resolve_scale(color="independent", shape="independent")
    )
    good = ((runs["noise"] < 1 / 3) & (runs["monosemantic"] > 0.5)).sum()
    return describe(
        chart,
        "Left: every clustering as a dot, by the share of images that it calls noise and the share of its "
        f"clusters that are monosemantic; {good} of {len(runs)} have less than a third of noise and more than "
        "half of their clusters monosemantic. Middle: images of each digit in the clusters of the chosen run. "
        "Right: images of the cluster pointed at.",
    )


def _dots(runs: pd.DataFrame, chosen: str) -> alt.Chart:
    """All clusterings; the chosen one's dots are large."""
    shapes = alt.Legend(orient="top", columns=1, symbolFillColor=GREY, symbolStrokeColor=GREY)
    return (
        alt.Chart(runs)
        .mark_point(filled=True)
        .encode(
            x=alt.X("noise:Q", title="share of images called noise", axis=SHARE, scale=UNIT),
            y=alt.Y("monosemantic:Q", title="share of monosemantic clusters", axis=SHARE, scale=UNIT),
            color=_spaces(alt.Legend(orient="top", columns=1)),
            shape=alt.Shape("net:N", title=None, legend=shapes),
            size=alt.condition(chosen, alt.value(190), alt.value(40)),
            opacity=alt.condition(chosen, alt.value(1), alt.value(0.5)),
            tooltip=[
                *(f"{key}:N" for key in [*KEYS, "seed"]),
                "clusters:Q",
                *_per_cent("monosemantic", "noise"),
            ],
        )
        .properties(width=205, height=270)
    )


def _heat(counts: pd.DataFrame, chosen: str, hover: alt.Parameter) -> alt.Chart:
    """Clusters of the chosen run by digits."""
    names = [*map(str, range(1, 1 + max(int(c) for c in counts["cluster"] if c != NOISE))), NOISE]
    digits = alt.Scale(domain=list(range(10)))
    legend = alt.Legend(orient="bottom", gradientLength=180)  # at the side the pictures are cut off
    return (
        alt.Chart(counts)
        .transform_filter(chosen)
        .mark_rect()
        .encode(
            x=alt.X("digit:O", title="digit", axis=alt.Axis(labelAngle=0), scale=digits),
            y=alt.Y("cluster:N", title="cluster (hover)", sort=names),
            color=alt.Color(
                "images:Q", title="images", scale=alt.Scale(type="sqrt", scheme="blues"), legend=legend
            ),
            stroke=alt.condition(hover, alt.value(ORANGE), alt.value(None)),
            tooltip=["cluster:N", "digit:O", "images:Q"],
        )
        .add_params(hover)
        .properties(width=180, height=270)
    )


def _images(members: pd.DataFrame, pictures: pd.DataFrame, chosen: str, hover: alt.Parameter) -> alt.Chart:
    """Images of the cluster pointed at."""
    place = {"axis": None, "scale": alt.Scale(domain=[0, 1, 2])}
    return (
        alt.Chart(members)
        .transform_filter(chosen)
        .transform_filter(hover)
        .transform_calculate(sample="split(datum.samples, ' ')")
        .transform_calculate(place="sequence(length(datum.sample))")
        .transform_flatten(["sample", "place"])
        .transform_lookup("sample", alt.LookupData(pictures, "sample", ["image"]))
        .transform_calculate(column="datum.place % 3", row="floor(datum.place / 3)")
        .mark_image(width=34, height=34)
        .encode(x=alt.X("column:O", **place), y=alt.Y("row:O", **place), url="image:N")
        .properties(width=120, height=120, title="some of its images")
    )


def contact_sheet(groups: list[tuple[str, np.ndarray]]) -> alt.TopLevelMixin:
    """Rows of images: a title and images × 1 × height × width for each, as one picture a row."""
    width = max(len(images) for _, images in groups)
    strips = [np.zeros((1, images.shape[2], width * images.shape[3])) for _, images in groups]
    for strip, (_, images) in zip(strips, groups, strict=True):
        strip[..., : len(images) * images.shape[3]] = np.concatenate(list(images), axis=-1)
    titles = [title for title, _ in groups]
    chart = (
        alt.Chart(pd.DataFrame({"cluster": titles, "image": thumbnails(strips)}))
        .mark_image(width=28 * width, height=28)
        .encode(
            x=alt.value(14 * width),
            y=alt.Y("cluster:N", title=None, sort=titles, axis=alt.Axis(labelLimit=300, ticks=False)),
            url="image:N",
        )
        .properties(width=28 * width, height=31 * len(titles))
    )
    return describe(
        chart,
        f"Images of clusters, one row each, and of noise: {'; '.join(titles)}. A title says how many images there are "
        "and which share of them is of the largest class.",
    )


def rejection_tables(runs: list[dict]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of `rejection`, from `meanings.look`'s rows that have a rival."""
    curves, dots = [], []
    for row in runs:
        where, rival = {key: row[key] for key in ("layer", "space", "seed")}, row["kmeans"]
        dots.append({**where, "kept": 1 - row["noise"], "purity": rival["HDBSCAN"]})
        curves += [
            {**where, "kept": kept, "purity": purity}
            for kept, purity in zip(KEPT, rival["curve"], strict=True)
        ]
    return pd.DataFrame(curves), pd.DataFrame(dots)


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
