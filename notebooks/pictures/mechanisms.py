"""Pictures of mechanisms across layers: correlations, chance, graph, methods.

Every function takes tidy tables (pandas) and returns a described Altair chart.
"""

from typing import NamedTuple

import altair as alt
import numpy as np
import pandas as pd

from splinelab import mechanisms
from splinelab.charts.renderer import describe, order
from splinelab.charts.theme import BLUE, GREY, VERMILION

__all__ = ["Groupings", "correlation_map", "correlations", "groupings", "methods", "nulls", "regrouping"]

RULE = {"strokeDash": [4, 3], "color": GREY}


def named(profiles: mechanisms.Profiles, known: mechanisms.Known) -> list[str]:
    """Components by matrix and the feature that they answer to: "decoder 3"."""
    parts, names = {"linear1": "encoder", "linear2": "decoder"}, []
    for layer, feature in zip(profiles.layers, known.truth, strict=True):
        name = f"{parts.get(layer, layer)} {feature}"
        names.append(name + "'" * (name in names))
    return names


def correlations(
    profiles: mechanisms.Profiles, known: mechanisms.Known, *, least: float = 0.0
) -> tuple[pd.DataFrame, list[str]]:
    """What `correlation_map` draws of all components that vary, by matrix and feature."""
    layers = list(dict.fromkeys(profiles.layers))
    places = sorted(profiles.varying, key=lambda p: (layers.index(profiles.layers[p]), known.truth[p]))
    label, rho = np.array(named(profiles, known))[places], mechanisms.correlation(profiles.values[:, places])
    rows, columns = np.nonzero(np.abs(rho) >= least)
    cells = {"first": label[rows], "second": label[columns], "correlation": rho[rows, columns].round(3)}
    return pd.DataFrame(cells), list(label)


def correlation_map(table: pd.DataFrame, names: list[str]) -> alt.TopLevelMixin:
    """Correlations of components: columns first, second (names) and correlation; zeros may be left out."""
    size = max(2.5, min(16, 300 / len(names)))
    axis = alt.Axis(labels=len(names) <= 20, ticks=False, labelFontSize=10)
    chart = (
        alt.Chart(table)
        .transform_calculate(size="abs(datum.correlation)")
        .mark_rect()
        .encode(
            x=alt.X("second:N", title=None, scale=alt.Scale(domain=names), axis=axis),
            y=alt.Y("first:N", title=None, scale=alt.Scale(domain=names), axis=axis),
            # The sign by colour and the size by opacity: zero is the page, be it light or dark.
            color=alt.condition("datum.correlation < 0", alt.value(VERMILION), alt.value(BLUE)),
            opacity=alt.Opacity(
                "size:Q", title="|correlation|", scale=alt.Scale(domain=[0, 1], range=[0, 1], clamp=True)
            ),
            tooltip=["first:N", "second:N", alt.Tooltip("correlation:Q", format=".2f")],
        )
        .properties(width=alt.Step(size), height=alt.Step(size))
    )
    high = (table["first"] < table["second"]) & (table["correlation"] > 0.5)
    return describe(
        chart,
        f"Pearson correlations of the importance of {len(names)} components, ordered by matrix and by the "
        f"feature that they answer to. {int(high.sum())} pairs lie above .5.",
    )


def nulls(table: pd.DataFrame) -> alt.TopLevelMixin:
    """Largest correlations by chance: columns model, samples, largest (one row for each shuffle)."""
    counts = sorted(table["samples"].unique())
    points = (
        alt.Chart(table)
        .mark_point(filled=True, size=45, opacity=0.5)
        .encode(
            x=alt.X(
                "samples:Q",
                title="samples (log)",
                scale=alt.Scale(type="log", domain=[counts[0] / 1.3, counts[-1] * 1.3], nice=False),
                axis=alt.Axis(values=counts, format=","),
            ),
            y=alt.Y("largest:Q", title="largest correlation by chance", scale=alt.Scale(domain=[0, 1.02])),
            color=alt.Color(
                "model:N", title=None, sort=order(table, "model"), legend=alt.Legend(orient="top")
            ),
            tooltip=["model:N", "samples:Q", alt.Tooltip("largest:Q", format=".2f")],
        )
        .properties(width=420, height=210)
    )
    middle = table.groupby(["model", "samples"], sort=False)["largest"].median().unstack()
    told = "; ".join(
        f"{model} {', '.join(f'{value:.2f}' for value in row)}" for model, row in middle.iterrows()
    )
    return describe(
        points,
        "Largest correlation of any two components after each was shuffled by itself, one point per shuffle. "
        f"Medians with {', '.join(f'{n:,}' for n in middle)} samples: {told}.",
    )


class Groupings(NamedTuple):
    """What `regrouping` draws, for every k and threshold: its three tables."""

    nodes: pd.DataFrame
    edges: pd.DataFrame
    counts: pd.DataFrame


def groupings(profiles: mechanisms.Profiles, known: mechanisms.Known, features: int) -> Groupings:
    """Spectral groups of a toy model with an identity, for five k and ten thresholds.

    Components stand on rings, by matrix and by feature; the identity's are in the middle.
    """
    names, middle = named(profiles, known), profiles.layers == "hidden.0"
    angle = np.where(middle, np.pi * (np.cumsum(middle) - 1), 2 * np.pi * known.truth / features)
    radius = [{"linear1": 1.0, "linear2": 0.55, "hidden.0": 0.12}[layer] for layer in profiles.layers]
    at = (np.array(radius) * np.exp(1j * angle)).round(3)
    nodes, edges, counts = [], [], []
    for k in ("adaptive", "1", "2", "4", "10"):
        for threshold in (round(0.1 * step, 1) for step in range(10)):
            tried = mechanisms.SpectralMechanisms(k if k == "adaptive" else int(k), threshold=threshold)
            tried.fit(profiles)
            result = mechanisms.exact_groups(tried.labels_, known.truth, profiles.layers, known.expected)
            exact = result.table.set_index("mechanism")["exact"]
            for name, place, group, truth in zip(names, at, tried.labels_, known.truth, strict=True):
                nodes.append((k, threshold, name, place.real, place.imag, int(group), int(exact[truth])))
            for one, other in zip(*tried.graph_.weights.nonzero(), strict=True):
                a, b = at[tried.nodes_[one]], at[tried.nodes_[other]]
                if one < other:
                    edges.append((k, threshold, a.real, a.imag, b.real, b.imag))
            said = (
                f"{tried.graph_.edges} edges, {tried.n_clusters_} groups, {result.exact} of {result.of} exact"
            )
            counts.append((k, threshold, said, result.exact == result.of))
    return Groupings(
        pd.DataFrame(nodes, columns=["k", "threshold", "component", "x", "y", "cluster", "exact"]),
        pd.DataFrame(edges, columns=["k", "threshold", "x", "y", "x2", "y2"]),
        pd.DataFrame(counts, columns=["k", "threshold", "said", "right"]),
    )


def regrouping(nodes: pd.DataFrame, edges: pd.DataFrame, counts: pd.DataFrame) -> alt.TopLevelMixin:
    """The neighbour graph and its groups, with controls for k and the threshold.

    `nodes`: k, threshold, component, x, y, cluster, exact (1 if its group is one mechanism, else 0); `edges`:
    k, threshold, x, y, x2, y2; `counts`: k, threshold and said, a line of text. Components are drawn at x, y.
    """
    ks, thresholds = order(counts, "k"), sorted(counts["threshold"].unique())
    step = round(thresholds[1] - thresholds[0], 6)
    pick_k = alt.param(name="pick_k", value=ks[0], bind=alt.binding_select(options=ks, name="neighbours k "))
    pick_threshold = alt.param(
        name="pick_threshold",
        value=thresholds[0],
        bind=alt.binding_range(min=thresholds[0], max=thresholds[-1], step=step, name="threshold "),
    )
    chosen = "datum.k == pick_k && abs(datum.threshold - pick_threshold) < 1e-6"
    x, y = (alt.X("x:Q", axis=None, scale=alt.Scale(zero=False)), alt.Y("y:Q", axis=None))
    lines = (
        alt.Chart(edges)
        .transform_filter(chosen)
        .mark_rule(opacity=0.45, color=GREY)
        .encode(x=x, y=y, x2="x2:Q", y2="y2:Q")
    )
    dots = (
        alt.Chart(nodes)
        .transform_filter(chosen)
        .transform_calculate(group="datum.exact ? 'one mechanism, whole' : 'split or merged'")
        .mark_circle(size=60, opacity=1)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "group:N",
                title=None,
                scale=alt.Scale(domain=["one mechanism, whole", "split or merged"], range=[BLUE, VERMILION]),
                legend=alt.Legend(orient="bottom"),
            ),
            tooltip=["component:N", "cluster:N", "group:N"],
        )
    )
    said = (
        alt.Chart(counts)
        .transform_filter(chosen)
        .mark_text(align="left", fontSize=12, color=GREY)
        .encode(x=alt.value(4), y=alt.value(8), text="said:N")
    )
    return describe(
        alt.layer(lines, dots, said).add_params(pick_k, pick_threshold).properties(width=400, height=400),
        "The mutual nearest-neighbour graph of components, drawn on rings by feature, one ring for each "
        f"matrix, for k of {', '.join(map(str, ks))} and thresholds from {thresholds[0]:g} to "
        f"{thresholds[-1]:g}. Groups that are one mechanism are blue. At first: "
        f"{counts.loc[(counts['k'] == ks[0]) & (counts['threshold'] == thresholds[0]), 'said'].iloc[0]}.",
    )


def methods(table: pd.DataFrame, title: str = "exact groups of {of}") -> alt.TopLevelMixin:
    """A count by method, a panel for each model, two side by side: model, method, seed, count, of (the ideal)."""
    panels = []
    for model in order(table, "model"):
        rows = table[table["model"] == model]
        ideal, most = int(rows["of"].max()), int(rows[["count", "of"]].max().max())
        base = alt.Chart(rows).encode(y=alt.Y("method:N", title=None, sort=order(table, "method")))
        points = base.mark_point(filled=True, size=55, opacity=0.55).encode(
            x=alt.X(
                "count:Q",
                title=title.format(of=ideal),
                scale=alt.Scale(domain=[0, most * 1.06], nice=False),
                axis=alt.Axis(tickMinStep=1, tickCount=5),
            ),
            color=alt.value(BLUE),
            tooltip=["model:N", "method:N", "seed:N", "count:Q", "of:Q"],
        )
        rule = alt.Chart(pd.DataFrame({"of": [ideal]})).mark_rule(**RULE).encode(x="of:Q")
        panels.append(alt.layer(rule, points).properties(width=150, height=alt.Step(17), title=model))
    told = "; ".join(
        f"{model}, of {rows['of'].max()}: "
        + ", ".join(
            f"{method} {counts.min()}" + (f" to {counts.max()}" if counts.nunique() > 1 else "")
            for method, counts in rows.groupby("method", sort=False)["count"]
        )
        for model, rows in table.groupby("model", sort=False)
    )
    return describe(
        alt.concat(*panels, columns=2),
        f"A count by method, one point per seed, a panel for each model, a dashed line at the ideal. {told}.",
    )
