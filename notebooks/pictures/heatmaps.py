"""Pictures of what clusters hold: clusters by digit, with images, margins and mistakes.

Each function returns a described Altair chart, but the slider, which shows itself.
"""

from collections.abc import Sequence
from string import ascii_uppercase

import altair as alt
import numpy as np
import pandas as pd

from pictures.maps import thumbnails
from splinelab.charts import frames
from splinelab.charts.renderer import describe
from splinelab.charts.theme import BLUE, VERMILION
from splinelab.clustering import KScan
from splinelab.data import Dataset
from splinelab.protocol import least_pure, sample

__all__ = ["cluster_counts", "cluster_heatmap", "k_slider"]


def cluster_heatmap(
    clusters: np.ndarray, images: Dataset, margin: np.ndarray, wrong: np.ndarray, *, few: int = 18
) -> alt.TopLevelMixin:
    """Cluster by digit, beside each cluster's margin and error; a click on a cluster shows `few` of its images.

    All arrays have one entry per image. The least pure cluster comes last; images of a cluster are drawn by
    digit, as many of each as it holds.
    """
    counts = pd.crosstab(clusters, images.labels)
    cells, bars, pictures = [], [], []
    for letter, cluster in zip(ascii_uppercase, _by_digit(clusters, images.labels), strict=False):
        mine = np.flatnonzero(clusters == cluster)
        cells += [(letter, digit, int(count)) for digit, count in counts.loc[cluster].items()]
        bars.append((letter, float(np.median(margin[mine])), float(wrong[mine].mean())))
        drawn = thumbnails(sample(images.take(mine), few).images)
        pictures += [(letter, place, picture) for place, picture in enumerate(drawn)]
    return _heatmap(
        pd.DataFrame(cells, columns=["cluster", "digit", "images"]),
        pd.DataFrame(bars, columns=["cluster", "margin", "error"]),
        pd.DataFrame(pictures, columns=["cluster", "place", "image"]),
    )


def _by_digit(clusters: np.ndarray, labels: np.ndarray) -> list[int]:
    """The clusters by their largest digit, the least pure one last, so that the eye can follow it."""
    counts, least = pd.crosstab(clusters, labels), clusters[least_pure(clusters, labels)[0]][0]
    return sorted(counts.index, key=lambda c: (c == least, counts.loc[c].argmax()))


def _heatmap(table: pd.DataFrame, summary: pd.DataFrame, images: pd.DataFrame) -> alt.TopLevelMixin:
    order = list(summary["cluster"])
    doubtful = summary.loc[summary["margin"].idxmin(), "cluster"]
    pick = alt.selection_point(
        name="pick_cluster", fields=["cluster"], value=doubtful, on="click", empty=False
    )
    dim = alt.when(pick).then(alt.value(1.0)).otherwise(alt.value(0.45))
    y = alt.Y("cluster:N", title="cluster", sort=order)
    heat = (
        alt.Chart(table)
        .mark_rect()
        .encode(
            x=alt.X("digit:O", title="digit", axis=alt.Axis(labelAngle=0)),
            y=y,
            color=alt.Color("images:Q", scale=alt.Scale(type="sqrt", scheme="blues"), legend=None),
            tooltip=["cluster:N", "digit:O", "images:Q"],
        )
        .add_params(pick)
        .properties(width=200, height=240)
    )

    def bars(name: str, title: str, colour: str) -> alt.Chart:
        return (
            alt.Chart(summary)
            .mark_bar(color=colour)
            .encode(
                x=alt.X(f"{name}:Q", title=title),
                y=alt.Y("cluster:N", title=None, sort=order, axis=None),
                opacity=dim,
                tooltip=["cluster:N", alt.Tooltip(f"{name}:Q", format=".2f")],
            )
            .properties(width=64, height=240)
        )

    grid = (
        alt.Chart(images)
        .transform_filter(pick)
        .transform_calculate(column="datum.place % 6", row="floor(datum.place / 6)")
        .mark_image(width=25, height=25)
        .encode(
            x=alt.X("column:O", axis=None, scale=alt.Scale(domain=list(range(6)))),
            y=alt.Y("row:O", axis=None, scale=alt.Scale(domain=list(range(3)))),
            url="image:N",
        )
        .properties(width=168, height=84, title="images of the chosen cluster")
    )
    chart = alt.hconcat(
        heat, bars("margin", "margin", BLUE), bars("error", "mistakes", VERMILION), grid, spacing=10
    )
    return describe(
        chart,
        "How many images of each digit lie in each cluster, with the cluster's median logit margin and error "
        f"share of mistakes. Cluster {doubtful} has the smallest margin, {summary['margin'].min():.2f}; some of its "
        "images are shown at the right.",
    )


def cluster_counts(clusters: np.ndarray, labels: np.ndarray) -> alt.TopLevelMixin:
    """A bare cluster by digit heat map: one frame of a slider over k."""
    rows = pd.crosstab(clusters, labels).loc[_by_digit(clusters, labels)].to_numpy()
    table = pd.DataFrame(
        [
            {"cluster": cluster, "digit": digit, "images": int(images)}
            for cluster, counts in enumerate(rows)
            for digit, images in enumerate(counts)
        ]
    )
    chart = (
        alt.Chart(table)
        .mark_rect()
        .encode(
            x=alt.X("digit:O", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("cluster:O", axis=alt.Axis(labels=False, ticks=False)),
            color=alt.Color("images:Q", scale=alt.Scale(type="sqrt", scheme="blues")),
        )
        .properties(width=330, height=300)  # one size for all frames, however many rows
    )
    return describe(chart, f"Images by cluster and digit, for {len(rows)} clusters.")


def k_slider(scan: KScan, labels: np.ndarray, ks: Sequence[int], *, start: int, caption: str) -> None:
    """A slider over the clusters that a scan found for each k; its takeaway says how pure the least pure is."""
    shares = ", ".join(f"{least_pure(scan.labels[k], labels)[1]:.0%} at k = {k}" for k in ks)
    frames(
        [cluster_counts(scan.labels[k], labels) for k in ks],
        [f"k = {k}" for k in ks],
        title="clusters",
        start=list(ks).index(start),
        description=f"Clusters by digit, the least pure one last. Its largest digit has {shares}.",
        takeaway=f"The largest digit of the least pure cluster has {shares}.",
        caption=caption,
    )
