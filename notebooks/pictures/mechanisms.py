"""Pictures of mechanisms across layers: correlations, graph, spectrum, methods, causal checks.

Every function takes tidy tables (pandas) and returns a described Altair chart.
"""

import altair as alt
import pandas as pd

from splinelab.charts.renderer import describe, order
from splinelab.charts.theme import BLUE, GREY, PALETTE, VERMILION

__all__ = [
    "block_shares",
    "contributions",
    "correlation_map",
    "harms",
    "methods",
    "regrouping",
    "removals",
    "spectrum",
]

LOG = alt.Scale(type="log")
RULE = {"strokeDash": [4, 3], "color": GREY}


def correlation_map(table: pd.DataFrame, names: list[str], title: str) -> alt.TopLevelMixin:
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
        .properties(width=alt.Step(size), height=alt.Step(size), title=title)
    )
    return describe(
        chart,
        f"{title}: Pearson correlations of the importance of {len(names)} components, ordered by matrix and "
        "by the feature that they answer to. Lines beside the diagonal are pairs across matrices.",
    )


def spectrum(table: pd.DataFrame) -> alt.TopLevelMixin:
    """Eigenvalues of graph Laplacians: columns graph, rank, eigenvalue and k, the eigengap's choice."""
    base = alt.Chart(table)
    points = base.mark_point(filled=True, size=22).encode(
        x=alt.X("rank:Q", title="rank"),
        y=alt.Y("eigenvalue:Q", title="eigenvalue"),
        tooltip=["graph:N", "rank:Q", alt.Tooltip("eigenvalue:Q", format=".3f")],
    )
    choice = base.transform_aggregate(k="max(k)", groupby=["graph"]).transform_calculate(
        place="datum.k + 0.5", said="'K = ' + datum.k"
    )
    rule = choice.mark_rule(**RULE).encode(x="place:Q")
    said = choice.mark_text(align="left", dx=5, y=10, color=GREY).encode(x="place:Q", text="said:N")
    found = ", ".join(
        f"{name} {int(table.loc[table['graph'] == name, 'k'].max())}" for name in order(table, "graph")
    )
    return describe(
        alt.layer(points, rule, said)
        .properties(width=240, height=170)
        .facet(alt.Facet("graph:N", title=None, sort=order(table, "graph")), columns=2)
        .resolve_scale(x="independent"),
        f"Eigenvalues of the graph's normalised Laplacian in ascending order; a dashed line at K: {found}.",
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
        .encode(x=alt.value(0), y=alt.value(-12), text="said:N")
    )
    return describe(
        alt.layer(lines, dots, said).add_params(pick_k, pick_threshold).properties(width=400, height=400),
        "The mutual nearest-neighbour graph of components, drawn on rings by feature, one ring for each "
        f"matrix, for k of {', '.join(map(str, ks))} and thresholds from {thresholds[0]:g} to "
        f"{thresholds[-1]:g}. Groups that are one mechanism are blue. At first: "
        f"{counts.loc[(counts['k'] == ks[0]) & (counts['threshold'] == thresholds[0]), 'said'].iloc[0]}.",
    )


def methods(table: pd.DataFrame) -> alt.TopLevelMixin:
    """Exact groups by method, a panel for each model: columns model, method, seed, exact, of."""
    panels = []
    for model in order(table, "model"):
        rows = table[table["model"] == model]
        most = int(rows["of"].max())
        base = alt.Chart(rows).encode(y=alt.Y("method:N", title=None, sort=order(table, "method")))
        points = base.mark_point(filled=True, size=55, opacity=0.55).encode(
            x=alt.X(
                "exact:Q",
                title=f"exact groups of {most}",
                scale=alt.Scale(domain=[0, most * 1.04], nice=False),
            ),
            color=alt.value(BLUE),
            tooltip=["model:N", "method:N", "seed:N", "exact:Q", "of:Q"],
        )
        ideal = alt.Chart(pd.DataFrame({"of": [most]})).mark_rule(**RULE).encode(x="of:Q")
        panels.append(alt.layer(ideal, points).properties(width=230, height=alt.Step(17), title=model))
    best = ", ".join(
        f"{model} {rows['exact'].max()} of {rows['of'].max()}"
        for model, rows in table.groupby("model", sort=False)
    )
    return describe(
        alt.concat(*panels, columns=2),
        "Exact groups recovered by each method, one point per seed, a panel for each model. "
        f"The best: {best}.",
    )


def removals(table: pd.DataFrame, floor: float = 0.01) -> alt.TopLevelMixin:
    """Harm to a feature when its cluster is removed, and when matched random sets are, both as shares of the
    harm of removing everything: columns model, seed, cluster, features, own and random."""
    kinds = {"own": "its own cluster", "random": "matched random sets (mean)"}
    rows = table.melt(["model", "seed", "cluster", "features"], list(kinds), "removed", "share")
    rows["removed"] = rows["removed"].map(kinds)
    rows["shown"] = rows["share"].clip(lower=1e-6)
    points = (
        alt.Chart(rows)
        .transform_calculate(jitter="random()")
        .mark_circle(size=22, opacity=0.5)
        .encode(
            x=alt.X("shown:Q", title="harm, as a share of removing everything", scale=LOG),
            y=alt.Y("model:N", title=None, sort=order(rows, "model")),
            yOffset=alt.YOffset("jitter:Q"),
            color=alt.Color(
                "removed:N",
                title="removed",
                sort=list(kinds.values()),
                scale=alt.Scale(domain=list(kinds.values()), range=[BLUE, VERMILION]),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=[
                *(f"{name}:N" for name in ("model", "seed", "cluster", "features", "removed")),
                alt.Tooltip("share:Q", format=".3g"),
            ],
        )
    )
    line = alt.Chart(pd.DataFrame({"floor": [floor]})).mark_rule(**RULE).encode(x="floor:Q")
    below, weak = int((table["random"] < floor).sum()), int((table["own"] < 0.1).sum())
    return describe(
        alt.layer(line, points).properties(width=420, height=alt.Step(46)),
        f"Two points for each of {len(table)} clusters on a log scale. Random sets do less than {floor:g} of "
        f"the harm of removing everything, a dashed line, for {below} of them; the cluster itself does less "
        f"than a tenth for {weak}.",
    )


def harms(table: pd.DataFrame) -> alt.TopLevelMixin:
    """Harm to the worst-hit other feature against the own: columns model, own, worst, cluster, seed."""
    table = table.assign(own=table["own"].clip(lower=1e-9), worst=table["worst"].clip(lower=1e-9))
    low, high = table[["own", "worst"]].min().min(), table[["own", "worst"]].max().max()
    points = (
        alt.Chart(table)
        .mark_circle(size=22, opacity=0.7)
        .encode(
            x=alt.X("own:Q", title="harm to the own feature", scale=LOG, axis=alt.Axis(format=".0e")),
            y=alt.Y("worst:Q", title="harm to the worst-hit other", scale=LOG, axis=alt.Axis(format=".0e")),
            color=alt.Color(
                "model:N", title=None, sort=order(table, "model"), scale=alt.Scale(range=PALETTE)
            ),
            tooltip=[
                "model:N",
                "seed:N",
                "cluster:N",
                *(alt.Tooltip(f"{name}:Q", format=".2e") for name in ("own", "worst")),
            ],
        )
    )
    diagonal = (
        alt.Chart(pd.DataFrame({"own": [low, high], "worst": [low, high]}))
        .mark_line(**RULE)
        .encode(x="own:Q", y="worst:Q")
    )
    above = int((table["worst"] >= table["own"]).sum())
    return describe(
        alt.layer(diagonal, points).properties(width=360, height=300),
        "Each point is a cluster that was removed. Below the dashed diagonal it harms its own feature more "
        f"than any other; {above} of {len(table)} clusters lie on or above it.",
    )


def contributions(table: pd.DataFrame) -> alt.TopLevelMixin:
    """What neurons contribute to features: columns block, feature, neuron, target and component."""
    both = table[["target", "component"]]
    low, high = 1.05 * min(float(both.min().min()), 0.0), 1.05 * float(both.max().max())
    scale = alt.Scale(domain=[low, high])
    points = (
        alt.Chart(table)
        .mark_circle(size=12, opacity=0.35)
        .encode(
            x=alt.X("target:Q", title="in the model", scale=scale),
            y=alt.Y("component:Q", title="in the feature's component", scale=scale),
            color=alt.value(BLUE),
            tooltip=[
                "feature:N",
                "neuron:N",
                *(alt.Tooltip(f"{n}:Q", format=".3f") for n in ("target", "component")),
            ],
        )
    )
    line = (
        alt.Chart(pd.DataFrame({"target": [low, high], "component": [low, high]}))
        .mark_line(**RULE)
        .encode(x="target:Q", y="component:Q")
    )
    layers = [
        alt.layer(line, points.transform_filter(alt.datum.block == block)).properties(
            width=210, height=210, title=str(block)
        )
        for block in order(table, "block")
    ]
    kept = ", ".join(
        f"{block} {rows['target'].corr(rows['component']):.3f}"
        for block, rows in table.groupby("block", sort=False)
    )
    return describe(
        alt.hconcat(*layers),
        "Contribution of each neuron to each feature's output, in the model and in the one component that "
        f"answers to the feature; a dashed diagonal where they agree. Correlation: {kept}.",
    )


def block_shares(table: pd.DataFrame) -> alt.TopLevelMixin:
    """What each block adds to each feature, a panel for each model: model, block, feature, contribution."""
    panels = []
    for model in order(table, "model"):
        rows = table[table["model"] == model]
        blocks = int(rows["block"].max())
        whole = rows.groupby("feature")["contribution"].sum().sort_values(ascending=False)
        # In order of the first block's share, so that the division between blocks is seen.
        first = rows[rows["block"] == 1].sort_values("contribution", ascending=False)["feature"]
        place = {feature: rank for rank, feature in enumerate(first)}
        panels.append(
            alt.Chart(rows.assign(place=rows["feature"].map(place)))
            .mark_bar()
            .encode(
                x=alt.X("place:O", title="feature, by the first block's share", axis=None),
                y=alt.Y("contribution:Q", title="added to its output"),
                color=alt.Color("block:N", scale=alt.Scale(range=PALETTE[:blocks])),
                tooltip=["feature:N", "block:N", alt.Tooltip("contribution:Q", format=".3f")],
            )
            .properties(width=alt.Step(3.4), height=150, title=f"{model}: {whole.median():.2f} in the median")
        )
    least = ", ".join(
        f"{model} {rows['contribution'].min():.3f}" for model, rows in table.groupby("model", sort=False)
    )
    return describe(
        alt.vconcat(*panels).resolve_scale(color="independent"),
        "What each block adds to the output of a feature that is on alone, stacked, one bar per feature. "
        f"The smallest share of any block: {least}.",
    )
