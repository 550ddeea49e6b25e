"""Pictures of circuits in residual MLPs: what blocks and neurons add, and what removing a group does.

Every function takes tidy tables (pandas) and returns a described Altair chart.
"""

import altair as alt
import numpy as np
import pandas as pd

from splinelab import mechanisms
from splinelab.charts.renderer import describe, order
from splinelab.charts.theme import BLUE, GREY, PALETTE, VERMILION

__all__ = ["block_shares", "contributions", "harms", "recovered", "removals", "survivals"]

LOG = alt.Scale(type="log")
RULE = {"strokeDash": [4, 3], "color": GREY}


def recovered(
    labels: np.ndarray, profiles: mechanisms.Profiles, known: mechanisms.Known, features: int
) -> dict[str, int]:
    """How many mechanisms a grouping has right, to be drawn by `mechanisms.methods`.

    `count` exact groups of `of`, `own` of them of one feature, `large` of all features. `one of each` is the
    count of Seshadri et al.: clusters of one input component from every block, all of one feature.
    """
    found = mechanisms.exact_groups(labels, known.truth, profiles.layers, known.expected)
    exact = found.table.set_index("mechanism")["exact"]
    inputs = np.array([layer.endswith("mlp_in") for layer in profiles.layers])
    blocks = len(set(profiles.layers[inputs & (labels >= 0)]))
    groups = [np.flatnonzero(labels == cluster) for cluster in np.unique(labels[labels >= 0])]
    slim = [
        len(each) == blocks == len(set(profiles.layers[each]))
        and inputs[each].all()
        and len(set(known.truth[each])) == 1
        for each in groups
    ]
    return {
        "count": found.exact,
        "of": found.of,
        "own": int(exact.loc[: features - 1].sum()),
        "one of each": sum(slim),
        "large": int(exact.get(features, False)),
    }


def removals(table: pd.DataFrame, floor: float = 0.01) -> alt.TopLevelMixin:
    """Harm to a feature when its cluster is removed, and when matched random sets are, both as shares of the
    harm of removing everything: columns model, seed, cluster, own share and random share."""
    kinds = {"own share": "its own cluster", "random share": "matched random sets (mean)"}
    rows = table.melt(["model", "seed", "cluster"], list(kinds), "removed", "share")
    rows["removed"] = rows["removed"].map(kinds)
    rows["shown"] = rows["share"].clip(lower=1e-6)
    points = (
        alt.Chart(rows)
        .transform_calculate(jitter="random()")
        .mark_circle(size=22, opacity=0.5)
        .encode(
            x=alt.X(
                "shown:Q",
                title="harm, as a share of removing everything",
                scale=alt.Scale(type="log", domain=[5e-7, 2], nice=False),
                axis=alt.Axis(values=[10.0**power for power in range(-6, 1)], format=".0e"),
            ),
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
                *(f"{name}:N" for name in ("model", "seed", "cluster", "removed")),
                alt.Tooltip("share:Q", format=".3g"),
            ],
        )
    )
    line = alt.Chart(pd.DataFrame({"floor": [floor]})).mark_rule(**RULE).encode(x="floor:Q")
    below, weak = int((table["random share"] < floor).sum()), int((table["own share"] < 0.1).sum())
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
    decades = alt.Axis(values=[10.0**power for power in range(-9, 2)], format=".0e")
    points = (
        alt.Chart(table)
        .mark_circle(size=22, opacity=0.7)
        .encode(
            x=alt.X("own:Q", title="harm to the own feature", scale=LOG, axis=decades),
            y=alt.Y("worst:Q", title="harm to the worst-hit other", scale=LOG, axis=decades),
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
        alt.concat(*layers, columns=2),
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


def survivals(table: pd.DataFrame) -> alt.TopLevelMixin:
    """Harm and survival of right and wrong groups: columns model, grouping, seed, own share, survival."""
    titles = {"own share": "harm of removing the group", "survival": "survival with it alone"}
    groupings = order(table, "grouping")
    panels = [
        alt.Chart(table)
        .mark_point(filled=True, size=45, opacity=0.6)
        .encode(
            x=alt.X(
                f"{column}:Q", title=title, scale=alt.Scale(domain=[0, 1.05]), axis=alt.Axis(tickCount=5)
            ),
            y=alt.Y("model:N", title=None, sort=order(table, "model")),
            yOffset=alt.YOffset("grouping:N", sort=groupings),
            color=alt.Color(
                "grouping:N",
                title="groups",
                sort=groupings,
                scale=alt.Scale(domain=groupings, range=[BLUE, VERMILION]),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=["model:N", "grouping:N", "seed:N", alt.Tooltip(f"{column}:Q", format=".2f")],
        )
        .properties(width=190, height=alt.Step(14))
        for column, title in titles.items()
    ]
    middle = table.groupby(["model", "grouping"], sort=False)[list(titles)].median()
    told = "; ".join(
        f"{model}, {grouping}: {row['own share']:.2f} and {row['survival']:.2f}"
        for (model, grouping), row in middle.iterrows()
    )
    return describe(
        alt.concat(*panels, columns=2),
        "Harm of removing a group, and survival of its feature with the group alone, one point per seed, for "
        f"groups that were found and for wrong ones. Medians: {told}.",
    )
