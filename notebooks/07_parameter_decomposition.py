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
# A spline code says which units are on. It says nothing about which *weights* matter for an input. Stochastic
# parameter decomposition (SPD) {cite}`bushnaq2025spd` asks that: it writes every weight matrix as a sum of rank-one
# **subcomponents** and learns, for each of them, on which inputs it could be removed without changing the output.
# A subcomponent that is needed on few inputs is a candidate for a mechanism.
#
# Whether that works can be checked where the mechanisms are known. This chapter takes toy models of superposition
# {cite}`elhage2022superposition` apart, five of each kind, and asks whether one subcomponent per feature comes out.
# In short:
#
# - It works. With our recipe all 20 decompositions have exactly as many subcomponents alive as the models have
#   mechanisms; columns agree in direction (mean MMCS .998 to 1.000) and in size (ML2R within 1 % of 1).
# - The **published recipe** gets there too, on the one model where we ran it: MMCS 1.000, in 45 minutes where ours
#   takes one. Ours reconstructs the model twelve times better; its components are less tidy.
# - In the small models our decoder components matter for **three** features each, their own and two neighbours. The
#   model does confuse neighbours a little. How far a decomposition shows that depends on the penalty.
# - Our recipe departs from the published one in many ways, listed below, and the identity's two components are two
#   because we allowed no more.

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
        why = done.stderr.strip().splitlines()[-1]
        sys.exit(f"splinelab could not be installed from {address} at {commit}: {why}")
    sys.path[:0] = [here, f"{here}/notebooks"]
    os.chdir(f"{here}/notebooks")

# %% tags=["parameters", "hide-cell"]
seed = 0  # of the model that is taken apart live
quick = False  # a tenth of the steps, for a look

# %% tags=["hide-input"]
import numpy as np
import pandas as pd

from pictures import decomposition as pictures
from splinelab import charts, claims, spd, zoo
from splinelab.intervals import exactly, over_nets, range_over_nets

charts.use()
committed = seed == 0 and not quick
ledger = claims.Notebook("07_parameter_decomposition", committed=committed)
seeds = range(5)

# %% [markdown]
# The ledger's verdicts on this chapter's claims, from the committed measurements.

# %% tags=["hide-input"]
ledger.summary()

# %% [markdown]
# ## A model whose mechanisms are known
#
# The toy model of superposition squeezes sparse features through a narrow layer and reads them back:
# $\hat x = \mathrm{ReLU}(W^\top W x + b)$. With five features and two hidden units (*TMS 5-2*) it learns to lay the
# five columns of $W$ out as a pentagon, so that features rarely disturb each other as long as few are on at once.
# Here each is on with probability .05. Every column of the encoder serves one feature, and so does every row of the
# decoder: ten mechanisms, five in each matrix. A decomposition should find them, knowing only weights and inputs.

# %%
net = zoo.toy_model("TMS-5-2", seed)  # from the zoo; another seed is trained here and now
net

# %% [markdown]
# ## The method, term by term
#
# Every matrix is written as $W \approx \sum_c U_c V_c^\top$ with more terms than it has rank. A small network, the
# **gate**, looks at the layer's input and gives each subcomponent a **causal importance** $g_c \in [0, 1]$. Training
# then asks for four things at once:
#
# - **faithfulness**: the subcomponents sum to $W$;
# - **stochastic reconstruction**: the output stays what it was when every subcomponent is multiplied by a random
#   number between $g_c$ and 1. One with $g_c = 0$ may be there or not, in any amount;
# - **importance minimality**: $g_c$ is as small as it can be;
# - and all of it on the model's own inputs.
#
# If a matrix can be cut so that few pieces matter for each input, this is how to find out. Our recipe departs from the
# published one, in ways that the end of the chapter lists and compares.

# %% tags=["nbval-ignore-output"]
recipe = spd.OURS["TMS-5-2"].replace(starts=1)  # the zoo takes the best of three starts
if quick:
    recipe = recipe.replace(
        stages=[stage.replace(steps=stage.steps // 10).to_dict() for stage in recipe.stages]
    )
moments = []


def look(step: int, found: spd.Decomposition) -> None:
    """Keep the encoder's components: the largest column of each, and its importance at its peak."""
    matrix = found.layers["linear1"]
    peak = found.importances(spd.one_hot(5))["linear1"].amax(0)
    for c in range(len(matrix)):
        x, y = (matrix.U[c] * matrix.V[c, matrix.V[c].abs().argmax()]).tolist()
        moments.append({"step": step, "component": c, "x": x, "y": y, "importance": float(peak[c])})


fit = spd.decompose(net, recipe, seed, watch=look)  # live, about half a minute

# %% [markdown]
# *How do the components form?* Grey bars are the five columns of the encoder; every arrow is one of 20 components,
# as strong as its importance. Move the slider.

# %% tags=["hide-input", "nbval-ignore-output"]
columns = pd.DataFrame(
    {"x": net.linear1.weight[0].tolist(), "y": net.linear1.weight[1].tolist(), "feature": range(5)}
)
pictures.forming(pd.DataFrame(moments), columns)

# %% [markdown]
# At first every component points along the input that it was started from, and none is important. Within a few
# hundred steps several arrows share each column; then the penalty and the joins leave one for each of the five.

# %% tags=["hide-input", "nbval-ignore-output"]
pictures.losses(pd.DataFrame(fit.history))

# %% [markdown]
# The loss falls in stages. Each one starts with a drop of the lower curves, where idle components are removed and
# halves are joined, and a small jump of the upper ones, after which the survivors take over.
#
# *Does each component answer to one feature?* Switch on one feature at a time, at .75, and read the importances.

# %% tags=["hide-input", "nbval-ignore-output"]
pictures.importance_maps(spd.importance_table(fit.decomposition, 5))

# %% [markdown]
# In the encoder, yes: one dark cell in each row and column, and zeros elsewhere. In the decoder every feature
# also switches on two other components, its neighbours in the pentagon. Is that a fault? Ask the model.

# %% tags=["hide-input"]
reached = zoo.toy_model("TMS-5-2", 0)
before_relu = reached.linear2(reached.linear1(spd.one_hot(5))).detach()  # each feature alone, at .75
own = before_relu.diagonal()
others = before_relu[~np.eye(5, dtype=bool)].reshape(5, 4).sort(descending=True).values
print(f"its own output                {own.min():.2f} to {own.max():.2f}")
print(f"the two neighbours' outputs   {others[:, :2].min():.2f} to {others[:, :2].max():.2f}")
print(f"the two far ones              {others[:, 2:].min():.2f} to {others[:, 2:].max():.2f}")

# %% [markdown]
# Before the ReLU a lone feature reaches its neighbours' outputs with a small positive number: the model makes a
# small mistake there. To reproduce the model's output, mistakes included, the neighbours' decoder components
# are needed. The far ones are cut off by the ReLU and are not. "One component per feature" describes what the model
# was built to do; a decomposition that reconstructs well shows what it does. The penalty decides how well that has
# to be, as the published recipe shows further down.

# %% [markdown]
# ## Five seeds, four models, against the published table
#
# One model proves little. The zoo holds decompositions of five models of each of four kinds, every one trained from
# its own seed: five features in two units, 40 features in ten, and both with an identity matrix between encoder and
# decoder (*+ID*), which should come out as subcomponents that matter for every input, as many as its rank. Each is the
# best of three starts, the one with the lowest loss. Settings were chosen on seeds 5 to 9; what follows are seeds 0 to 4. (An
# earlier version for 40 features, one start and more pressure, was scored on seeds 0 to 4 before: 40 decoder components
# on four of them, 39 on one. The several starts came after that.)
#
# Three scores. *Alive*: subcomponents whose importance exceeds .1 on some of 20,000 fresh samples. *MMCS*: for each of
# the encoder's columns the best cosine similarity among the components, averaged; 1 is ideal. *ML2R*: the length of
# that component's column over the target's; below 1 it has shrunk, which other methods suffer from. For the decoder,
# whose features are its outputs, rows take the place of columns.

# %% tags=["hide-input"]
MODELS = {
    "TMS 5-2": "TMS-5-2",
    "TMS 5-2+ID": "TMS-5-2-ID",
    "TMS 40-10": "TMS-40-10",
    "TMS 40-10+ID": "TMS-40-10-ID",
}
found = {(label, s): zoo.decomposition(name, s) for label, name in MODELS.items() for s in seeds}
scores = pd.concat(
    spd.quality(one, spd.TARGETS[MODELS[label]]).assign(model=label, seed=s)
    for (label, s), one in found.items()
)
scores["off by"] = (scores["alive"] - scores["expected"]).abs()


def words(values) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"


parts = {"linear1": "encoder", "linear2": "decoder", "hidden.0": "identity"}
pd.DataFrame(
    {
        f"{label}, {parts[layer]}": {
            "alive": ", ".join(map(str, rows["alive"])),
            "expected": rows["expected"].iloc[0],
            "MMCS": words(rows["mmcs"]) if layer != "hidden.0" else "–",
            "ML2R": words(rows["ml2r"]) if layer != "hidden.0" else "–",
            "importances too low": ", ".join(map(str, rows["missing"])),
            "too high": ", ".join(map(str, rows["surplus"])),
        }
        for (label, layer), rows in scores.groupby(["model", "layer"], sort=False)
    }
).T

# %% [markdown]
# Every model comes out with one subcomponent per feature and matrix, and two or ten for the identity, on every
# seed. The columns "too low" and "too high" compare importances on lone features with the ideal pattern. They are zero but
# for one entry of the largest model, and for the decoders of the small ones, where each of five features needs its two
# neighbours: ten entries.

# %% tags=["hide-input"]
PAPER = {  # Bushnaq, Braun and Sharkey (2025), table 1: MMCS and ML2R
    "TMS 5-2": (1.000, 0.993),
    "TMS 5-2+ID": (1.000, 0.992),
    "TMS 40-10": (1.000, 1.010),
    "TMS 40-10+ID": (1.000, 1.031),
}
points = [
    {"model": f"{row.model}, {parts[row.layer]}", "score": score, "value": getattr(row, key), "who": "ours"}
    for row in scores[scores["layer"] != "hidden.0"].itertuples()
    for key, score in (("mmcs", "MMCS"), ("ml2r", "ML2R"))
]
points += [
    {"model": f"{label}, {part}", "score": score, "value": value, "who": "published mean"}
    for label, values in PAPER.items()
    for part in ("encoder", "decoder")
    for score, value in zip(("MMCS", "ML2R"), values, strict=True)
]
pictures.quality_points(pd.DataFrame(points))

# %% [markdown]
# The paper gives one mean per model, which is drawn in both rows. Its directions are perfect to three digits; ours fall
# short in the third. Its sizes are off by .7 to 3.1 %, ours by less than 1 %. (The ledger asks for 2 %, in all four models,
# which the paper's own 1.031 for TMS 40-10+ID would miss.)
#
# *What does a decomposition of 40 features look like?*

# %% tags=["hide-input"]
pictures.importance_maps(spd.importance_table(found["TMS 40-10", 0], 40, least=0.01))

# %% [markdown]
# A permutation matrix in both panels: on lone features, 40 components for 40 features and almost nothing beside them,
# though the columns are not orthogonal. With several features on, more decoder components take part;
# [chapter 8](08_cross_layer_mechanisms) returns to that.
#
# ## The published recipe
#
# Would the published recipe have done as well? It differs from ours in everything listed below. Here it is as
# printed, on TMS 5-2: 40,000 steps at batch 4,096, one seed, since it takes most of an hour where ours takes one minute.

# %% tags=["hide-input"]
theirs = spd.quality(zoo.decomposition("TMS-5-2-published"), spd.TARGETS["TMS-5-2"])
seconds = {name: zoo.decomposition_card(name)["seconds"] for name in ("TMS-5-2", "TMS-5-2-published")}
print(
    f"{seconds['TMS-5-2-published'] / 60:.0f} minutes on one core; three starts of ours {seconds['TMS-5-2'] / 60:.1f}"
)
fresh = spd.TARGETS["TMS-5-2"].fresh_samples(seed=1)
errors = {name: spd.rounded_error(zoo.decomposition(name), fresh) for name in seconds}
print(
    f"squared error with importances rounded: {errors['TMS-5-2-published']:.1e}, ours {errors['TMS-5-2']:.1e}"
)
theirs.drop(columns="expected").set_index("layer").round(3)

# %% [markdown]
# It finds the five columns, in direction better than ours, and no importance is off: neighbours stay out of the decoder. That
# has a price. Its penalty is three times ours, and its error with rounded importances twelve times as large: it leaves
# the model's small confusions out, where ours keeps them. Neither is wrong. The rest is cost.
#
# What we changed, all of it:
#
# | | published | ours | why |
# |---|---|---|---|
# | gate | an MLP of 16 units per subcomponent, on its own inner activation | one MLP of 32 or 100 units per matrix, on the layer's whole input | a pilot found it far easier to train |
# | what the sum leaves over, $\Delta$ | nothing: faithfulness must do | one more component, masked at random | reconstruction then holds while components form |
# | reconstruction | all matrices masked, and each alone | all masked | cost |
# | mask noise | on every sample | off on a quarter of them (five features, and *+ID*) | keeps the identity on |
# | samples | as in training | one in 16 without a feature (five features, and *+ID*), the rest never (five features) | zeros for the identity; more to learn from |
# | where $V_c$ start | random directions | inputs of the layer, far apart from one another | twice as many features found by the first stage |
# | penalty | $\sum_c \lvert g_c \rvert^p$, $p$ = 1 or 2 | $g^2 / (g^2 + \gamma^2)$, $\gamma$ falling from 1 to .1, and a frequency term; later $p = 1$ | shares features out between components |
# | stages | one | three: find, press, relax; between them idle components go and halves are joined | surplus components survive the penalty alone |
# | starts | one | three, the lowest loss stays | now and then a start ends in a poorer optimum |
# | the identity | 20 or 200 components | 2 or 10, its rank, at next to no penalty | see below |
# | steps | 40,000 at batch 4,096, lr 1e-3 | 4,500 or 5,500 at batch 1,024, lr 2e-3 | cost |
# | the model itself | 10,000 steps; batch 8,192 for 40 features | 5,000; batch 2,048 | cost |
#
# The identity deserves a word. A matrix that serves all features at once is on for every input, and nothing in the
# method says into how many components it should fall. With 20 components and a penalty small enough to keep it on, eight
# stayed alive in our trials. Two is the most that a matrix of rank two needs, so we gave it two: that they are two is
# our doing (and so are the ten of the larger model), that they are on for every input, and belong to no feature, is a
# result.
#
# ## Enter the measurements

# %% tags=["hide-input"]
for label, name in MODELS.items():
    rows = scores[scores["model"] == label]
    for layer in ("linear1", "linear2"):
        for key, score in (("mmcs", "MMCS"), ("ml2r", "ML2R")):
            ledger.record(
                f"spd-quality-{name.lower()}",
                f"{parts[layer]}, {score}",
                over_nets(rows.loc[rows["layer"] == layer, key], seeds=seeds),
                n=20_000,
                data=spd.TARGETS[name],
            )
    off = range_over_nets(rows.groupby("seed")["off by"].sum(), seeds=seeds)
    ledger.record("spd-alive", label, off, n=20_000, data=spd.TARGETS[name])
for layer, found_mmcs in theirs.set_index("layer")["mmcs"].items():
    # A cosine of 1 may come out as 1 + 1e-7.
    one = exactly(min(float(found_mmcs), 1.0), n=20_000)
    ledger.record("ours-spd-published-recipe", f"{parts[layer]}, MMCS", one, data=spd.TARGETS["TMS-5-2"])
print(ledger.save())

# %% [markdown]
# ## What reproduces, what does not, and why
#
# **Reproduces.** One subcomponent per feature and matrix, in direction and size, on five models of each of four kinds. Only
# the direction in the encoder of TMS 40-10+ID is undecided: one seed of five draws the interval across our bound of .995.
# The published recipe does it as well, on the one model where it was run.
#
# Until 2026-11-27 the ledger did not say which of these tests came late: all of TMS 40-10+ID was entered together with its
# first measurement, when the other three models had been measured. The rules are the older ones of those three.
#
# **Ours.** A minute instead of 45, at a lower error. That came from trying: the table below has most of it.
#
# **Not settled.** Into how many components a matrix falls that serves all features at once: nothing in the loss asks for
# two, and with room for 20 eight stay. And which decoder is the right one, the tidy or the faithful: the penalty decides.

# %% tags=["hide-input"]
ledger.table()

# %% [markdown]
# ## Appendix: what was tried
#
# All on seeds 5 to 9, which are not scored. One thing was changed at a time, except where a line says otherwise.
#
# | model, seed | change | outcome |
# |---|---|---|
# | TMS 40-10, 5 | a pilot's settings: smooth $L_0$ to $\gamma$ = .01, one stage of 6,000 steps | 33 of 40 pairs exact |
# | | $p$ from 2 to 1, importance 3e-4 | 0 |
# | | $\gamma$ to .1 only, then a prune | 27 |
# | | $V_c$ start at inputs of the layer | 33 |
# | | halves joined between the stages | 38 |
# | | inputs taken far apart instead of in order | 38 |
# | | a stage of full pressure and doubled frequency term between the two | 40; on seeds 6 and 7 too |
# | TMS 5-2+ID, 5 | smooth $L_0$, importance 5e-4 for all three matrices | alive 6/2/6, ML2R .80 |
# | | importance 3e-3 | alive 5/3/5, MMCS .954 |
# | | identity: 20 components, importance 1e-5 | alive 5/8/5 |
# | | identity: 2 components, 1e-8, with rows of zeros among the inputs | 6 of 6 groups, decoder MMCS .971 |
# | | a third stage at .1 of the pressure | MMCS .9997, 1 of 6 groups |
# | | a third stage at .3 | MMCS .999, 6 of 6 |
# | TMS 5-2+ID, 5 to 9 | the first stage at full pressure, three stages | 6 of 6 on four seeds; on one a decoder component serves two features |
# | | the first stage at .3 | 6 of 6 on four seeds, fails on another; its loss (.79e-3 and more) tells a failure from the rest (.74e-3 and less) |
# | | several starts, the lowest loss | this is the recipe |
# | TMS 40-10, 8, 9 | the first stage at .5 | 40 of 40 |
# | TMS 40-10+ID, 5 | the same, with ten components at 1e-8 for the identity and rows of zeros among the inputs | 41 of 41, MMCS .9999 and .9996 |
#
# ## Exercises
#
# 1. Take the frequency term out of the recipe (`frequency=0.0` in every stage). How many components stay alive?
# 2. Give the encoder four components instead of twenty. Which features share one, and where do they lie?
# 3. Decompose a net of your own: `spd.decompose(model, recipe, seed=0)` with a `spd.Matrices` pattern for its linear
#    layers. How faithful is it when every importance is rounded to 0 or 1 (`spd.rounded_error`)?
