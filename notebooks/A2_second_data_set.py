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
# # Appendix: what belongs to MNIST?
#
# Chapters 1 and 2 look at one data set. Here their headline quantities are measured again, by one function, on
# scikit-learn's digits {cite}`alpaydin1998digits`: other writers, coarser images, and smaller nets of their own,
# trained by the same kinds of recipe. MNIST stands beside them, measured by the same function on as many images. In
# short:
#
# - **Carries over:** with cross-entropy, activations separate and cluster better than codes. Codes have no lead of
#   any weight over post-ReLU activations. With mean squared error, ordinary and long-trained nets have a gap between
#   same-class and different-class pairs on training images, and none on held-out ones. The codes of a net that
#   generalised late overlap more than an ordinary net's.
# - **Belongs to MNIST:** the lead of codes over stacked linear outputs, in distances and in clusters; and the
#   further cluster that the long-trained net has on held-out images.
#
# "Belongs to MNIST" is short for much: the digits differ in their pixels, in the number of training images and in the
# width of their nets at once, and this appendix does not take the three apart.

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
dataset = "digits"  # or "fashion-train": downloaded once, and its nets trained once, in some tens of minutes
seed = 0  # the first of five
quick = False  # two seeds, fewer arms and nets of few steps, for a look

# %% tags=["hide-input"]
import altair as alt
import numpy as np
import pandas as pd

from pictures.training import training_curves
from splinelab import charts, claims, data, headlines, protocol, zoo

charts.use()
ARMS = ["GA-mse", "G", "N-mse", "GA-ce", "GCE", "N-ce", "U"]
TRAINED = ["GA-mse", "N-mse", "N-ce", "U"] if quick else ARMS
seeds = range(seed, seed + (2 if quick else 5))
in_zoo = all(
    zoo.name_on(arm, dataset) and s in zoo.seeds(zoo.name_on(arm, dataset)) for arm in ARMS for s in seeds
)
n = len(data.protocol_split(data.digits()).train)  # as many images of each kind as digits has for training
parts = protocol.evaluation_images(data.load(dataset), n)
if not in_zoo:
    print(
        f"The zoo has no such nets on {dataset}: {'a few steps each' if quick else 'trained in full, once'}."
    )
pd.Series(
    {part: f"{len(images)} of {images.name}" for part, images in parts.items()}, name="images"
).to_frame()

# %% [markdown]
# The images are a seeded draw, stratified by class, from those that every net was trained on and from those that none
# saw. The same number of each, so that a difference between training and held-out images is not one of numbers.
#
# ## Do the nets learn as their namesakes do?
#
# The recipes were chosen by these curves alone, before anything below was measured: the *delayed* net must know its
# training images long before it can do anything with others, the *undercooked* one must never get there.

# %% tags=["hide-input"]
NAMES = {"training": "train_accuracy", "held-out": "heldout_accuracy", "weight norm": "weight_norm"}
SHIPPED = {arm: zoo.name_on(arm, dataset) for arm in ARMS if zoo.name_on(arm, dataset)}


def history(arm: str, one_seed: int) -> pd.DataFrame:
    table = pd.DataFrame(zoo.card(SHIPPED[arm], one_seed)["history"]).query("step > 0")
    wide = table[["step", *NAMES.values()]].set_axis(["step", *NAMES], axis=1)
    return wide.melt("step", var_name="quantity").assign(net=protocol.in_words(arm), seed=one_seed)


curves = [history(arm, s) for arm in ["G", "GA-mse", "U"] if arm in SHIPPED for s in zoo.seeds(SHIPPED[arm])]
switch = (
    {protocol.in_words("G"): float(np.median([zoo.card(SHIPPED["G"], s)["switch_step"] for s in range(5)]))}
    if curves
    else {}
)
training_curves(pd.concat(curves), switch) if curves else f"no histories of nets on {dataset} ship"


# %% tags=["hide-input"]
def passes(history: dict, key: str, level: float) -> float:
    """The first step of the history at which an accuracy has passed a level, or infinity."""
    return next((s for s, a in zip(history["step"], history[key], strict=True) if a >= level), np.inf)


def spread(values: list[float], form: str) -> str:
    low, high = (
        form.format(value) if np.isfinite(value) else "never" for value in (min(values), max(values))
    )
    return low if low == high else f"{low} to {high}"


learning = {}
for arm, name in SHIPPED.items():
    cards = [zoo.card(name, s) for s in zoo.seeds(name)]
    learning[protocol.in_words(arm)] = {
        f"{part}: {what}": spread(values, form)
        for part, key in [("training", "train_accuracy"), ("held-out", "heldout_accuracy")]
        for what, values, form in [
            ("at the end", [card["metrics"][key] for card in cards], "{:.3f}"),
            *(
                (f"passes {level}", [passes(card["history"], key, level) for card in cards], "{:,.0f}")
                for level in [0.9, 0.95]
            ),
        ]
    }
pd.DataFrame(learning).T

# %% [markdown]
# Smallest to largest over seeds: accuracies at the end, and the steps at which they pass two levels (a history looks at
# its net now and then, on a logarithmic scale). The delayed net has learnt its training images thousands of steps
# before it generalises, and the undercooked one never does. The others generalise while they learn, the one with large
# weights and cross-entropy with some delay.

# %% [markdown]
# ## One function, one table
#
# `headlines.measure` takes nets by arm and images by part. Two dull controls go with them: an untrained net, and the
# bits of the long-trained net shuffled over the images, unit by unit, so that every unit is on as often as before and no code has
# anything to do with its image.

# %%
resamples = 40 if quick else 200
scanned = {"GA-mse": ["codes", "linear"], "G": ["codes", "linear"], "N-mse": ["codes"], "N-ce": ["codes"]}
ks = range(2, 15) if quick else range(2, 21)
nets = {
    arm: [zoo.load_on(arm, dataset, s, steps=protocol.SMALL_BUDGET if quick else None) for s in seeds]
    for arm in [*TRAINED, "untrained"]
}
table = headlines.measure(
    nets, parts, elbows=scanned | {"random bits": ["codes"]}, ks=ks, resamples=resamples
)
print(f"{len(table)} rows: {', '.join(table.columns)}")

# %% [markdown]
# The same on MNIST, for five of the arms, with nets of the zoo and the same number of images:

# %%
BESIDE = [arm for arm in ["GA-mse", "G", "N-mse", "GA-ce", "N-ce"] if arm in TRAINED]
mnist = headlines.measure(
    {arm: [zoo.load_on(arm, "mnist5k", s) for s in range(len(seeds))] for arm in BESIDE},
    protocol.evaluation_images(data.mnist5k(), n),
    elbows={"GA-mse": ["codes"]},
    ks=ks,
    resamples=resamples // 2,
)

# %% tags=["hide-input"]
both = pd.concat([table.assign(data=dataset), mnist.assign(data="MNIST")], ignore_index=True)


def named(arm: str) -> str:
    """An arm, or a difference of two, in words."""
    one, minus, other = arm.partition(" − ")
    words = protocol.in_words(one) if one in protocol.ARMS else one
    return f"{words}, minus {protocol.in_words(other)}" if minus else words


def shown(row, digits: int) -> str:
    if row.over == "range":
        return f"{row.value:.0f} [{row.low:.0f}, {row.high:.0f}]"
    sign = "+" if "−" in row.quantity or "−" in row.arm or "−" in row.images else ""
    return f"{row.value:{sign}.{digits}f} [{row.low:{sign}.{digits}f}, {row.high:{sign}.{digits}f}]"


def compared(quantities: list[str], arms: list[str] | None = None, digits: int = 2) -> pd.DataFrame:
    """Quantities of `both`, one row for each arm and kind of image, a column for each data set."""
    rows = both[both["quantity"].isin(quantities)]
    rows = rows[rows["arm"].isin(arms)] if arms else rows
    written = rows.assign(
        written=[shown(row, digits) for row in rows.itertuples()], arm=rows["arm"].map(named)
    )
    index = ["quantity", "images", "arm"]
    wide = written.pivot_table(index=index, columns="data", values="written", aggfunc="first", sort=False)
    return wide[[dataset, "MNIST"]].fillna("–")


# %% [markdown]
# ## Do codes separate classes better than activations?
#
# By how much does the ROC-AUC of Jaccard distance between codes exceed that of a distance between activations? Zero
# is a tie. *Does the lead of the source survive other data? Does the reversal under cross-entropy?*

# %% tags=["hide-input"]
LEADS = {
    "ROC-AUC, Jaccard − cosine linear": "cosine, linear outputs",
    "ROC-AUC, Jaccard − cosine post-ReLU": "cosine, post-ReLU",
}
leads = both[both["quantity"].isin(LEADS) & both["arm"].isin(BESIDE)].assign(
    baseline=lambda rows: rows["quantity"].map(LEADS), arm=lambda rows: rows["arm"].map(named)
)
leads = leads.drop(columns="interval")
y = alt.Y("arm:N", title=None, sort=[named(arm) for arm in BESIDE], axis=alt.Axis(labelLimit=200))
colour = alt.Color(
    "baseline:N",
    title="Jaccard on codes against",
    scale=alt.Scale(domain=list(LEADS.values()), range=[charts.VERMILION, charts.GREEN]),
    legend=alt.Legend(orient="top"),
)
offset = alt.YOffset("baseline:N", sort=list(LEADS.values()))
base = alt.Chart().encode(y=y, color=colour, yOffset=offset)
charts.describe(
    alt.layer(
        alt.Chart().mark_rule(strokeDash=[4, 3]).encode(x=alt.datum(0)),
        base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title="lead of codes, ROC-AUC"), x2="high:Q"),
        base.mark_point().encode(
            x="value:Q", tooltip=["arm", "images", "data", "baseline", "value", "low", "high"]
        ),
        data=leads,
    )
    .properties(width=230, height=190)
    .facet(
        column=alt.Column("data:N", title=None, sort=[dataset, "MNIST"]),
        row=alt.Row("images:N", title=None, sort=["training", "held-out"]),
    ),
    "The lead of Jaccard distance on codes over two distances on activations, with intervals, for five kinds of net on "
    "training and on held-out images of two data sets. With cross-entropy all leads are far below zero on both; with "
    "mean squared error the lead over linear outputs is seen on MNIST alone.",
)

# %% [markdown]
# The right half agrees with chapter 1. On digits the two nets that favour codes on MNIST, long-trained and ordinary with MSE, are level
# with linear outputs or a little behind: the wide lead of codes is gone, and on held-out images neither keeps any. The
# reversal under cross-entropy is there on both. Post-ReLU activations are ahead of codes on digits, by little with
# mean squared error and by much with cross-entropy.
#
# With the source's other distances, too:

# %% tags=["hide-input"]
LEADS_OF_CODES = [
    f"{one} − {other}" for one in ["Jaccard", "Hamming"] for other in ["L2 linear", "cosine linear"]
]
compared(
    [f"ROC-AUC, {pair}" for pair in LEADS_OF_CODES],
    ["GA-mse", "G", "N-ce"],
    digits=3,
)

# %% [markdown]
# ## Is there a gap, and on which images?
#
# The 5 % quantile of different-class distances minus the 95 % quantile of same-class distances, in standard deviations
# of all distances. *Is the gap a matter of training images on digits as well?*

# %% tags=["hide-input"]
compared(["gap, Jaccard"], ["GA-mse", "G", "N-mse", "N-ce", "U"])

# %% [markdown]
# "Training − held-out" is the difference between the two kinds of image. It is: the long-trained and the ordinary net
# with MSE have a gap on training images, smaller than on MNIST, and none on held-out ones. The delayed net shows none on
# either data set, and with cross-entropy there is none to close. Gaps of Hamming distances are in `table`.

# %% [markdown]
# ## How many clusters, and are they classes?
#
# The elbow of k-means: median over seeds, with the smallest and the largest. On held-out images of MNIST the
# long-trained net has one cluster more than there are classes. *On digits?*

# %% tags=["hide-input"]
compared(["k by the elbow, codes", "k by the elbow, linear"])

# %% [markdown]
# On training images the long-trained net has as many clusters of codes as there are classes, in every seed, on both data
# sets; the ordinary net has as many on digits. On held-out images the further cluster is not there on digits, in no
# seed of the long-trained net. The
# elbow of the linear outputs, which says little on MNIST, is near the number of classes here. Shuffled bits have no
# knee (0), or one anywhere.
#
# With one cluster more than there are classes, does the least pure one gather the images that the net is uncertain
# about? Margins are in units of a net's median margin.

# %% tags=["hide-input"]
compared(["margin in the least pure of 11 − elsewhere"], BESIDE)

# %% [markdown]
# It does, on held-out images of both, in every arm. (As chapter 2 warns, a least pure cluster is found with the labels,
# so wherever a net errs something impure turns up.)
#
# And with as many clusters as classes, do clusters of codes match the classes better than clusters of activations
# (adjusted Rand index)?

# %% tags=["hide-input"]
compared(["ARI at k = 10, codes − linear", "ARI at k = 10, unit length − codes"], BESIDE)

# %% [markdown]
# Not on digits. On training images of the long-trained net both are perfect, and the ordinary net is level; on held-out
# images the codes are behind in the long-trained net, by far in the nets with cross-entropy, and nowhere ahead. Activations of unit length are level
# or ahead on both data sets.

# %% [markdown]
# ## Grokked against ordinary nets
#
# Are ordinary nets the ones with the greater overlap and the weaker clusters? It depends on what is called
# grokked: the *delayed* net or the *long-trained* one.

# %% tags=["hide-input"]
PAIRS = [arm for arm in table["arm"].unique() if "−" in arm]
compared(["overlap, Jaccard", "ROC-AUC, Jaccard", "silhouette at k = 10, codes"], PAIRS)

# %% [markdown]
# On training images, the codes of the long-trained net with mean squared error overlap less than the ordinary net's and
# cluster better, on both data sets. On held-out images the overlaps cannot be told apart on either, and the
# clusters are better on MNIST only. Against the net that grokked late it is the other way round, on both data sets
# and both kinds of image. With cross-entropy ordinary nets have no greater overlap either. So what the source says of
# ordinary nets holds against long training with mean squared error, on training images.

# %% [markdown]
# ## The dull controls

# %% tags=["hide-input"]
CONTROLS = [
    "ROC-AUC, Jaccard",
    "ROC-AUC, cosine linear",
    "gap, Jaccard",
    "ARI at k = 10, codes",
    "ARI at k = 10, linear",
]
dull = table[
    table["quantity"].isin(CONTROLS)
    & table["arm"].isin(["untrained", "random bits", "U", "GA-mse"])
    & table["images"].isin(parts)
]
dull.assign(written=[shown(row, 2) for row in dull.itertuples()], arm=dull["arm"].map(named)).pivot_table(
    index=["quantity", "arm"], columns="images", values="written", aggfunc="first", sort=False
).fillna("–")

# %% [markdown]
# Shuffled bits are at chance. An untrained net is far from it: digits are so easy that distances between random
# projections tell much, and more than those between codes of the undercooked net. What a trained net adds must be
# counted from there.

# %% [markdown]
# ## What carries over?
#
# The signs of both data sets side by side: + where the whole interval lies above zero, − where it lies below, 0
# where it does not lie on one side. An interval is of images and nets, or of nets; counts have ranges and no sign.

# %% tags=["hide-input"]


def sign(row) -> str:
    return "+" if row.low > 0 else "−" if row.high < 0 else "0"


signs = both[(both["claim"] != "") & (both["over"] != "range")]
signs = signs.assign(sign=[sign(row) for row in signs.itertuples()], arm=signs["arm"].map(named))
index = ["claim", "quantity", "arm", "images"]
wide = signs.pivot_table(index=index, columns="data", values="sign", aggfunc="first", sort=False).dropna()
same = wide[dataset] == wide["MNIST"]
print(f"{same.mean():.0%} of {len(wide)} cases have the same sign. Those that have not:")
wide[~same][[dataset, "MNIST"]]

# %% [markdown]
# Most of them are the lead of codes over linear outputs (`spline-1a` to `spline-1d`, `spline-2e`).

# %% [markdown]
# ## Verdicts
#
# Each entry has the rules of its namesake of chapters 1 and 2, in the arms that are measured here, and the scoreboard
# names it beside that one. They were written after the first measurement on digits, as each of them says.

# %% tags=["hide-cell"]
ENTRIES = {  # entry of the ledger → quantity of the table
    **{
        f"digits-spline-1{letter}": f"ROC-AUC, {pair}"
        for letter, pair in zip("abcd", LEADS_OF_CODES, strict=True)
    },
    "digits-spline-1e": "gap, Jaccard",
    "digits-spline-1h": "gap, Hamming",
    "digits-spline-2a": "k by the elbow, codes",
    "digits-spline-2b": "margin in the least pure of 11 − elsewhere",
    "digits-spline-2c": "k by the elbow, linear",
    "digits-spline-2e": "ARI at k = 10, codes − linear",
    "digits-spline-4a": "k by the elbow, codes",
    "digits-spline-4b": "majority classes at k = 10, codes",
    "digits-spline-4c": "ARI at k = 10, codes − linear",
    "digits-spline-4f": "silhouette at k = 10, codes",
    "digits-spline-5a": "overlap, Jaccard",
    "digits-spline-6b": "ROC-AUC, Jaccard",
    "digits-cross-entropy-reversal": "ROC-AUC, Jaccard − cosine linear",
    "digits-post-relu-tie": "ROC-AUC, Jaccard − cosine post-ReLU",
    "digits-train-heldout-gap": "gap, Jaccard",
    "digits-train-heldout-k": "k by the elbow, codes",
    "digits-normalised-activations": "ARI at k = 10, unit length − codes",
}
committed = dataset == "digits" and seed == 0 and not quick
ledger = claims.Notebook("A2_second_data_set", committed=committed)
for claim, quantity in ENTRIES.items():
    wanted = [case.label for case in ledger.ledger.claims[claim].cases]
    for row in table[table["quantity"] == quantity].itertuples():
        label = named(row.arm) if "−" in row.images else f"{named(row.arm)}; {row.images}"
        if committed and label in wanted:
            images = parts.get(row.images, data.load(dataset))
            ledger.record(claim, label, row.interval, data=images, seeds=seeds)
print(ledger.save())

# %%
ledger.summary()

# %% [markdown]
# ## Another data set
#
# `papermill notebooks/A2_second_data_set.ipynb out.ipynb --cwd notebooks -p dataset fashion-train` measures all this on
# Fashion-MNIST {cite}`xiao2017fashion`: its files are downloaded and checked, its nets trained by the recipes of
# the MNIST arms, once. This book has not run it; the tables would be of Fashion-MNIST, the prose still of digits.
#
# ## Exercises
#
# 1. Why does the lead of codes over linear outputs vanish on digits? Take the nets of MNIST and shrink their images to
#    8 × 8: is it the number of pixels, of training images, or the narrower net?
# 2. Is the uncertain cluster there on digits if the nets see fewer training images and err more?
