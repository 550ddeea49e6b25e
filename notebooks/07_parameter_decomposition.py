# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Can weights be taken apart into mechanisms?
#
# A [spline code](../book/glossary) says which units are on; it says nothing about which *weights* an input needs.
# Stochastic parameter decomposition (SPD) {cite}`bushnaq2025spd` writes each weight matrix as a sum of small pieces
# and learns, for every input, which pieces could be left out without changing the output. On toy models, where the
# right answer is known, it finds **one piece for each feature**, and shows something about the model besides.

# %% tags=["colab", "remove-cell"]
# On Colab only: install the commit that this notebook belongs to.
import sys

if "google.colab" in sys.modules:
    import os
    import subprocess

    address, commit, here = "https://github.com/splinelab/splinelab", "main", "/content/splinelab"
    fetch = f"git init -q {here} && cd {here} && git fetch -q --depth 1 {address} {commit}"
    install = f"git checkout -q --force FETCH_HEAD && {sys.executable} notebooks/colab.py"
    done = subprocess.run(f"{fetch} && {install}", shell=True, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"No splinelab from {address} at {commit}: {done.stderr.strip().splitlines()[-1]}")
    sys.path[:0] = [here, f"{here}/notebooks"]
    os.chdir(f"{here}/notebooks")

# %% tags=["parameters", "hide-cell"]
seed = 0  # of the model that is taken apart live
quick = False  # a tenth of the steps, for a look
device = "auto"  # of the live decomposition: "cuda" where there is one, else "cpu"

# %% tags=["hide-cell"]
import pandas as pd
import torch

from pictures import decomposition as pictures
from splinelab import charts, claims, spd, zoo
from splinelab.intervals import exactly, over_nets, range_over_nets

charts.use()
committed = seed == 0 and not quick
ledger = claims.Notebook("07_parameter_decomposition", committed=committed)
seeds = range(5)
close = seed if seed in seeds else 0  # of what is taken from the zoo
if device == "auto":
    device = "cuda" if torch.cuda.is_available() else "cpu"
MODELS = {
    "TMS 5-2": "TMS-5-2",
    "TMS 5-2+ID": "TMS-5-2-ID",
    "TMS 40-10": "TMS-40-10",
    "TMS 40-10+ID": "TMS-40-10-ID",
}
PARTS = {"linear1": "encoder", "hidden.0": "identity", "linear2": "decoder"}
PAPER = {  # Bushnaq, Braun and Sharkey (2025), table 1: MMCS and ML2R
    "TMS 5-2": (1.000, 0.993),
    "TMS 5-2+ID": (1.000, 0.992),
    "TMS 40-10": (1.000, 1.010),
    "TMS 40-10+ID": (1.000, 1.031),
}


def importances(one: spd.Decomposition, features: int, of: str = "", least: float = 0.0) -> pd.DataFrame:
    """Importances where one feature alone is on, the matrices named for readers."""
    table = spd.importance_table(one, features, least=least)
    return table.assign(matrix=of + table["matrix"].map(PARTS))


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """Of each matrix: how many cells lie above .1, and whether it is one for each feature and component."""
    there = table[table["importance"] > 0.1].groupby("matrix", sort=False)
    counts = there.agg(
        cells=("feature", "size"), features=("feature", "nunique"), own=("component", "nunique")
    )
    return counts.assign(paired=counts.nunique(axis=1) == 1)


# %% tags=["hide-input"]
found = {(label, s): zoo.decomposition(name, s) for label, name in MODELS.items() for s in seeds}
forty = importances(found["TMS 40-10", close], 40, least=0.01)
charts.figure(
    pictures.importance_maps(forty),
    "Forty features share ten hidden units, and each has a piece of its own in both matrices.",
    f"One feature is on alone (row): how much does the output need each piece (column)? Toy model TMS 40-10, seed {close}.",
    holds=bool(cells(forty)["paired"].all() and (cells(forty)["cells"] == 40).all()),
)

# %% [markdown]
# [Chapter 8](08_cross_layer_mechanisms) joins the pieces across layers, [chapter 9](09_residual_mlp_circuits) goes on to
# deeper models.
#
# ## How do the pieces form?
#
# The toy model of superposition {cite}`elhage2022superposition` squeezes sparse features through a narrow layer and
# reads them back: $\hat x = \mathrm{ReLU}(W^\top W x + b)$. With five features and two hidden units (*TMS 5-2*) it
# lays the five columns of $W$ out as a pentagon. Each column of the first matrix (the **encoder**) serves one feature,
# and so does each row of the second (the **decoder**): ten **mechanisms**, known beforehand.
#
# SPD writes every matrix as $W \approx \sum_c U_c V_c^\top$ with more pieces, its **subcomponents**, than the matrix has
# rank. A small network, the **gate**, looks at the layer's input and gives each of them a **causal importance** $g_c$
# between 0 and 1. Training asks for three things at once:
#
# - **faithfulness**: the pieces sum to $W$;
# - **stochastic reconstruction**: the output stays what it was when each piece is multiplied by a random number between
#   $g_c$ and 1. A piece with $g_c = 0$ may be there or not, in any amount;
# - **importance minimality**: $g_c$ is as small as it can be.
#
# The recipe below is ours. It departs from the published one in ways that the [notes](../book/notes.md) list.

# %% tags=["nbval-ignore-output"]
net = zoo.toy_model("TMS-5-2", seed)  # any net with linear layers will do
recipe = spd.OURS["TMS-5-2"].replace(starts=1)  # the zoo: best of 3
if quick:
    short = [stage.replace(steps=stage.steps // 10) for stage in recipe.stages]
    recipe = recipe.replace(stages=[stage.to_dict() for stage in short])
moments = []


def look(step: int, now: spd.Decomposition) -> None:
    """Keep each piece's largest column, and its importance at its peak."""
    matrix = now.layers["linear1"]
    alone = spd.one_hot(5).to(matrix.V.device)  # each feature alone
    peak = now.importances(alone)["linear1"].amax(0)
    for c in range(len(matrix)):
        largest = matrix.V[c, matrix.V[c].abs().argmax()]
        x, y = (matrix.U[c] * largest).tolist()
        moments.append((step, c, x, y, peak[c].item()))


fit = spd.decompose(net, recipe, seed, watch=look, device=device)  # live
fit.decomposition

# %% [markdown]
# *Where do they go?* Grey bars are the five columns of the encoder; an arrow is one of 20 pieces, as strong as its
# importance. Move the slider.

# %% tags=["hide-input", "nbval-ignore-output"]
columns = pd.DataFrame(net.linear1.weight.detach().T.numpy(), columns=["x", "y"]).assign(feature=range(5))
vectors = pd.DataFrame(moments, columns=["step", "component", "x", "y", "importance"])
last = vectors[(vectors["step"] == vectors["step"].max()) & (vectors["importance"] > 0.5)]
nearest = (last[["x", "y"]].to_numpy() @ columns[["x", "y"]].to_numpy().T).argmax(1)
charts.figure(
    pictures.forming(vectors, columns),
    "Training leaves one arrow for each column.",
    f"TMS 5-2, encoder, seed {seed}, {recipe.steps:,} steps. Arrow: the largest column of a piece; strength: its "
    "largest importance where one feature alone is on.",
    holds=sorted(nearest.tolist()) == list(range(5)),
)

# %% [markdown]
# At first every arrow points along the input that it was started from, and none is important. Soon several share each
# column; then the penalty takes idle pieces away, halves are joined, and one is left for each.
#
# ## Does each piece answer to one feature?
#
# Switch on one feature at a time and read the importances. For a decomposition of your own these are the same two
# lines.

# %%
ours = zoo.decomposition("TMS-5-2", close)  # one of those that ship
needed = ours.importances(spd.one_hot(5))  # each feature alone, at .75
for layer, values in needed.items():
    pieces = (values > 0.1).sum(1)
    print(layer, pieces.tolist(), "pieces needed, by feature")

# %% tags=["hide-input"]
five = importances(ours, 5)
count = cells(five)
charts.figure(
    pictures.importance_maps(five),
    "In the encoder a piece serves one feature; in the decoder it serves three.",
    f"Importance of each piece where one feature alone is on. TMS 5-2, seed {close}.",
    holds=bool(count.loc["encoder", "paired"]) and int(count.loc["decoder", "cells"]) == 15,
)

# %% [markdown]
# In the encoder, yes. In the decoder every feature also switches on its two neighbours in the pentagon. *Is that a fault?*
# Ask the model what each feature, alone, gives before the ReLU.

# %%
with torch.no_grad():
    before = ours.net.linear2(ours.net.linear1(spd.one_hot(5)))
own = before.diagonal()
others = before[~torch.eye(5, dtype=bool)].reshape(5, 4)
others = others.sort(descending=True).values
for of, part in (
    ("its own output    ", own),
    ("its two neighbours", others[:, :2]),
    ("the two far ones  ", others[:, 2:]),
):
    print(of, f"{part.min():.2f} to {part.max():.2f}")

# %% [markdown]
# A lone feature reaches its neighbours with a small positive number: the model makes a small mistake there. To
# reproduce the output, mistakes included, the neighbours' decoder pieces are needed. The far ones are cut off by the
# ReLU. "One piece per feature" describes what the model was built to do; a decomposition that reconstructs well shows
# what it does.
#
# ## Does it work on more than one model?
#
# The zoo holds decompositions of five models of each of four kinds: five features in two units, 40 features in ten, and
# both with an **identity** matrix between encoder and decoder (*+ID*), which should come out as pieces that matter for
# every input. Each is the best of three starts, by its loss. Settings were chosen on other seeds than those scored.
#
# A piece is **alive** if its importance exceeds .1 on some of 20,000 fresh samples. Two scores against the known columns.
# **MMCS**: the best cosine similarity of a column among the pieces, averaged; 1 is ideal. **ML2R**: the length of that
# piece's column over the model's; below 1 it has shrunk. (For the decoder, rows take the place of columns.)

# %%
one = zoo.decomposition("TMS-40-10", close)
score = spd.quality(one, spd.TARGETS["TMS-40-10"])
score.set_index("layer").round(3)

# %% tags=["hide-input"]
scores = pd.concat(
    spd.quality(one, spd.TARGETS[MODELS[label]]).assign(
        model=label, seed=s, part=lambda t: t["layer"].map(PARTS)
    )
    for (label, s), one in found.items()
)
scores["off by"] = (scores["alive"] - scores["expected"]).abs()
KEYS = {"mmcs": "MMCS", "ml2r": "ML2R"}
points = [
    {"model": f"{row.model}, {row.part}", "score": score, "value": getattr(row, key), "who": "ours"}
    for row in scores[scores["part"] != "identity"].itertuples()
    for key, score in KEYS.items()
]
points += [
    {"model": f"{label}, {part}", "score": score, "value": value, "who": "published mean"}
    for label, values in PAPER.items()
    for part in ("encoder", "decoder")
    for score, value in zip(KEYS.values(), values, strict=True)
]
away = scores.groupby(["model", "seed"])["off by"].sum()
charts.figure(  # Claims: spd-alive, spd-quality-tms-5-2, spd-quality-tms-5-2-id, spd-quality-tms-40-10, spd-quality-tms-40-10-id
    pictures.quality_points(pd.DataFrame(points)),
    f"{(away == 0).sum()} of {len(away)} decompositions have exactly as many pieces as the model has mechanisms, of the "
    "right direction and size.",
    f"A point is one of {len(seeds)} models of its kind; directions differ from 1 by at most "
    f"{(1 - scores['mmcs']).max():.3f}, sizes by at most {(scores['ml2r'] - 1).abs().max():.3f}. "
    "The paper gives one mean for each kind, drawn in both rows.",
    holds=bool((away == 0).all() and (scores["ml2r"].dropna() - 1).abs().max() < 0.02),
)

# %% [markdown]
# *And the importances?* Counted against the ideal, over all five seeds of a kind:

# %% tags=["hide-input"]
scores.groupby(["model", "part"], sort=False).agg(
    expected=("expected", "first"),
    fewest_alive=("alive", "min"),
    most_alive=("alive", "max"),
    importances_too_low=("missing", "sum"),
    too_high=("surplus", "sum"),
).rename(columns=lambda name: name.replace("_", " "))

# %% [markdown]
# Every model comes out with one piece per feature and matrix, and with as many for the identity as its rank. That the
# latter are so *many* is our doing: nothing in the method says into how many pieces a matrix should fall that serves all
# features at once, and we allowed no more. That they are on for every input is a result. What is too high are the
# small decoders' neighbours, and next to nothing else.
#
# ## Would the published recipe have done as well?
#
# Here it is as printed, on TMS 5-2: one MLP as the gate of each piece, no prune, no joins, 40,000 steps at batch 4,096.

# %%
theirs = zoo.decomposition("TMS-5-2-published")
fresh = spd.TARGETS["TMS-5-2"].fresh_samples(seed=1)
both_recipes = {
    "published": theirs,
    "ours": zoo.decomposition("TMS-5-2"),
}
for name, one in both_recipes.items():
    error = spd.rounded_error(one, fresh)  # importances rounded to 0 or 1
    print(f"{name}: squared error {error:.1e}")

# %% tags=["hide-input"]
first = found["TMS 5-2", 0]
published = importances(theirs, 5, "published: ")
both = pd.concat([published, importances(first, 5, "ours: ")])
ratio = spd.rounded_error(theirs, fresh) / spd.rounded_error(first, fresh)
names = {"published": "TMS-5-2-published", "ours": "TMS-5-2"}
minutes = {who: zoo.decomposition_card(name)["seconds"] / 60 for who, name in names.items()}
charts.figure(  # Claims: ours-spd-published-recipe
    pictures.importance_maps(both),
    f"The published recipe's decoder is tidier, and errs {ratio:.0f} times as much.",
    "Importances where one feature alone is on; error: squared, with every importance rounded to 0 or 1. TMS 5-2, seed 0. "
    f"On one core: {minutes['published']:.0f} minutes, and {minutes['ours']:.1f} for three starts of ours.",
    holds=bool(cells(published)["paired"].all() and ratio > 1),
)

# %% [markdown]
# It finds the five columns too, and neighbours stay out of its decoder. That has a price: its penalty on importances is
# larger, and it leaves the model's small mistakes out, where ours keeps them. Neither is wrong. The rest is cost. *What we
# changed, and why*, and what we tried on the way, stands in the [notes](../book/notes.md).

# %% tags=["hide-cell"]
published_scores = spd.quality(theirs, spd.TARGETS["TMS-5-2"]).set_index("layer")["mmcs"]
for label, name in MODELS.items():
    rows = scores[scores["model"] == label]
    common = {"n": 20_000, "data": spd.TARGETS[name]}
    for part in ("encoder", "decoder"):
        for key, score in KEYS.items():
            interval = over_nets(rows.loc[rows["part"] == part, key], seeds=seeds)
            ledger.record(f"spd-quality-{name.lower()}", f"{part}, {score}", interval, **common)
    off = range_over_nets(rows.groupby("seed")["off by"].sum(), seeds=seeds)
    ledger.record("spd-alive", label, off, **common)
for layer, cosine in published_scores.items():
    # A cosine of 1 may come out as 1 + 1e-7.
    interval = exactly(min(float(cosine), 1.0), n=20_000)
    ledger.record("ours-spd-published-recipe", f"{PARTS[layer]}, MMCS", interval, data=spd.TARGETS["TMS-5-2"])
print(ledger.save())

# %% [markdown]
# ## Verdicts
#
# **Holds.** One piece per feature and matrix, in direction and size, on five models of each of four kinds. The published
# recipe does it as well, on the one model where we ran it.
#
# **Undecided.** The direction in the encoder of TMS 40-10+ID: one seed of five draws the interval across our bound. And
# which decoder is the right one, the tidy or the faithful: the penalty decides.
#
# **Late.** Until 27 November 2026 the ledger did not say that TMS 40-10+ID was entered together with its first measurement,
# by the older rules of the other three.

# %% tags=["hide-input"]
ledger.verdicts()

# %% [markdown]
# ## Exercises
#
# 1. Switch two neighbours on together. Does the decoder need all pieces that either of them needs alone?
# 2. Take the frequency term out of the recipe. How many pieces stay alive after a tenth of the steps?
# 3. Decompose a net of your own. How large is the error with every importance rounded to 0 or 1?

# %% tags=["hide-cell"]
# 1. Fewer: what one of them adds to its outer neighbour the other takes away, and the ReLU cuts it off.
neighbour = int(before[0].argsort(descending=True)[1])
pair = spd.one_hot(5)[[0, neighbour]].sum(0, keepdim=True)
together = ours.importances(pair)["linear2"][0] > 0.1
either = (needed["linear2"][[0, neighbour]] > 0.1).any(0)
print("pieces needed by both together, by either alone:", int(together.sum()), int(either.sum()))

# %% tags=["hide-cell", "nbval-ignore-output"]
# 2. More than five: the penalty alone shares features out less well.
for frequency in (None, 0.0):
    stages = [each.replace(steps=each.steps // 10) for each in spd.OURS["TMS-5-2"].stages]
    if frequency is not None:
        stages = [each.replace(frequency=frequency) for each in stages]
    less = spd.OURS["TMS-5-2"].replace(starts=1, stages=[each.to_dict() for each in stages])
    print("as it is:" if frequency is None else "without:", spd.decompose(ours.net, less, 0).decomposition)

# %% tags=["hide-cell", "nbval-ignore-output"]
# 3. Any net with linear layers, and a sampler of its inputs.
mine = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 8))
plan = spd.SPDRecipe(
    inputs=spd.SparseFeatures(8, 0.05),
    matrices=(spd.Matrices("*", components=20, gate_units=32, importance=1e-3),),
    stages=(spd.Stage(300, lr=2e-3),),
    start="inputs",
)
own_fit = spd.decompose(mine, plan, seed=0).decomposition
sample = plan.inputs.sample(2_000, torch.Generator().manual_seed(1))
print(own_fit, f"{spd.rounded_error(own_fit, sample):.1e}")
