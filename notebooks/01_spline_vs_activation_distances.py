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
# # Do spline codes separate classes better than activations?
#
# A ReLU network cuts its input space into polytopes. Inside one of them the network is a linear map, and the
# on/off pattern of its units, the **spline code**, names the polytope. A write-up on clustering MNIST by such
# codes {cite}`spline_clustering` claims: the distance between two codes tells same-digit pairs
# from different-digit pairs better than any distance between activations does, and most of all in networks
# that *grokked*.
#
# This chapter tests that claim on five seeds of six kinds of network, on images that they were trained on and
# on images that they never saw, against the source's baselines and against stronger ones, and on 3,000 training
# images of a network that saw all of MNIST, which is nearest to what the source did. In short:
#
# - On 1000 training images and with mean squared error the claim **reproduces** in two of three kinds of training.
#   With cross-entropy it **turns round** in all three. On all 60,000 images the two losses agree again, and codes are
#   level or ahead.
# - Against cosine distance on *post*-ReLU activations, which the source did not try, the advantage shrinks to a tie at
#   best on 1000 training images.
# - The large gap that the source shows is there in nets with mean squared error, the ordinary one included, and after
#   1000 training images it belongs to **those images**: held-out ones close it. After all of MNIST the *ordinary* net
#   has the larger gap, where the source sees overlap.
# - The advantage **belongs to MNIST**: on scikit-learn's digits ([appendix](A2_second_data_set)) codes have no sure one over linear
#   outputs in any net. The reversal under cross-entropy and the gap on training images are there, too.

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
dataset = "mnist5k"  # or "digits", scikit-learn's 8 × 8 digits
seed = 0  # the first of five
quick = False  # two seeds and few resamples, for a look

# %% tags=["hide-input"]
from functools import partial

import altair as alt
import numpy as np
import pandas as pd

from pictures import separability as pictures
from pictures.training import training_curves
from splinelab import charts, claims, data, protocol, record, zoo
from splinelab.distances import class_histograms, pairwise, permutation_null, separability
from splinelab.training import fit, training_data

words = protocol.in_words

charts.use()
committed = dataset == "mnist5k" and seed == 0 and not quick
in_zoo = dataset == "mnist5k" and seed == 0
seeds = [*range(seed, seed + (5 if committed else 2 if in_zoo else 1))]
resamples = 200 if committed else 50
images = data.load(dataset)
parts = protocol.evaluation_images(images, n=500 if committed else 200)
ledger = claims.Notebook("01_spline_vs_activation_distances", committed=committed)
if not in_zoo:
    print(f"Other data or seeds than the zoo's: nets trained for {protocol.SMALL_BUDGET} steps on {dataset}.")

# %% [markdown]
# The ledger's verdicts on this chapter's claims, from the committed measurements; the last section shows the cases
# behind each of them.

# %% tags=["hide-input"]
ledger.summary()

# %% [markdown]
# ## What is a spline code?
#
# Take a network, run it on some images, and write down for each ReLU whether its input was above zero. That is
# all. `splinelab.record` does it for any `nn.Module`. (GA-mse is what the zoo calls the long-trained net with mean
# squared error, one of the networks that the next section introduces.)

# %%
net = protocol.nets("GA-mse", [seed], images)[0]
recording = record(net, parts["held-out"])
recording.codes

# %% [markdown]
# Three layers of 200 units give 600 bits per image. What do they look like for two typical images of one
# digit, and for one of another?

# %% tags=["hide-input"]
labels, all_bits = parts["held-out"].labels, recording.codes.bits()


def typical(digit: int, count: int) -> np.ndarray:
    """The images of a digit whose codes lie closest to the digit's mean code."""
    mine = np.flatnonzero(labels == digit)
    far = np.abs(all_bits[mine] - all_bits[mine].mean(axis=0)).sum(axis=1)
    return mine[np.argsort(far)[:count]]


rows = [*typical(3, 2), *typical(7, 1)]
bits = recording.codes[rows].bits()
names = ["a 3", "another 3", "a 7"]
units = np.arange(bits.shape[1])
shown = pd.DataFrame(
    [
        {"image": name, "unit": int(unit), "layer": f"layer {unit // 200 + 1}"}
        for name, row in zip(names, bits, strict=True)
        for unit in units[row == 1]
    ]
)
charts.describe(
    alt.Chart(shown)
    .mark_tick(thickness=1, height=26)
    .encode(
        x=alt.X("unit:Q", title="unit", scale=alt.Scale(domain=[0, 600], nice=False)),
        y=alt.Y("image:N", title=None, sort=names),
        color=alt.Color("layer:N", title=None, legend=alt.Legend(orient="top")),
    )
    .properties(width=600, height=110),
    f"Three spline codes as bar codes of {bits.shape[1]} units, with the active ones drawn: the two images of a 3 "
    f"have {int((bits[0] & bits[1]).sum())} of them in common, the first 3 and the 7 {int((bits[0] & bits[2]).sum())}.",
)

# %%
same, other = pairwise(recording.codes[rows], metric="jaccard")[0, 1:]
print(f"Jaccard distance between the two 3s: {same:.2f}, between a 3 and the 7: {other:.2f}")

# %% [markdown]
# The *Hamming* distance of two codes is the share of units that differ. The *Jaccard* distance is the share of
# units that differ among those that are on in at least one of the two; it ignores units that are off in both.

# %% [markdown]
# ## The networks
#
# All have the shape 784-200-200-200-10. The source names neither shape, loss nor weight decay, so the grid covers
# both losses and three kinds of training, all on the **same 1000 images**:
#
# | net | in the zoo | training |
# |---|---|---|
# | *delayed* | G; GCE with cross-entropy | large initial weights (× 6; × 8 with cross-entropy), strong weight decay, with mean squared error only once the training images are learnt: generalisation comes late, as in grokking {cite}`power2022grokking,liu2023omnigrok` |
# | *long-trained* | GA-mse, GA-ce | a long run with ordinary initial weights, as in *Deep Networks Always Grok* {cite}`humayun2024grok` |
# | *ordinary* | N-mse, N-ce | 20 passes |
# | *undercooked* | U | large initial weights, next to no weight decay |
#
# Every name goes with its loss: MSE (mean squared error) or cross-entropy. When does each of them learn, and when
# does it generalise?

# %% tags=["hide-input"]
ARMS = ["G", "GA-mse", "N-mse", "GCE", "GA-ce", "N-ce"]


def history(name: str, one_seed: int) -> pd.DataFrame:
    table = pd.DataFrame(zoo.card(name, one_seed)["history"]).query("step > 0")
    wide = table[["step", "train_accuracy", "heldout_accuracy", "weight_norm"]]
    wide.columns = ["step", "training", "held-out", "weight norm"]
    return wide.melt("step", var_name="quantity").assign(net=words(name), seed=one_seed)


zoo_seeds = range(5)  # histories come with the zoo, whatever this run's seed
curves = pd.concat([history(name, s) for name in ["G", "GA-mse", "U"] for s in zoo_seeds])
switch = float(np.median([zoo.card("G", s)["switch_step"] for s in zoo_seeds]))
training_curves(curves, {words("G"): switch})

# %% tags=["hide-input"]
accuracy = pd.DataFrame(
    {
        words(name): {
            part: f"{np.mean([zoo.card(name, s)['metrics'][key] for s in zoo_seeds]):.3f}"
            for part, key in {"training": "train_accuracy", "held-out": "heldout_accuracy"}.items()
        }
        for name in ["G-memorised", *ARMS, "U"]
    }
).T
accuracy

# %% [markdown]
# The delayed net is a textbook case of late generalisation: it knows its training images long before it can do
# anything with new ones. The long-trained net is our nearest to the source's long run (500 passes against its
# 10,000), but its held-out accuracy rises *with* its training accuracy: nothing is delayed. So "in a grokked net" is
# tested on both, and a verdict that holds for one of them names it. The undercooked net never gets there; chapter 2
# asks what keeps a net from grokking.

# %% [markdown]
# ## Distances between codes and between activations
#
# For each net, take 500 training images and 500 held-out images, the same for all nets, and all pairs of them. How far apart are two
# images of one class (blue), and two of different classes (orange)? The source's two distances on codes stand at
# the left, its two distances on stacked linear outputs (before the ReLUs, logits included) beside them, and a
# baseline that it did not try at the right.

# %% tags=["hide-input"]
SHOWN = ["Jaccard", "Hamming", "L2 linear", "cosine linear", "cosine post-ReLU"]


def histograms(name: str, part: str) -> list[dict]:
    """Densities in 24 bins, from the smallest to the largest distance of one net."""
    looks = protocol.views(record(protocol.nets(name, [seed], images)[0], parts[part]))
    rows = []
    for metric in SHOWN:
        view, kind = protocol.COMPARISONS[metric]
        counted = class_histograms(looks[view], parts[part].labels, kind)
        edges, *densities = counted.binned(24, range=(0, float(counted.values[-1])))
        middles = (edges[1:] + edges[:-1]) / 2 / edges[-1]
        for pair, density in zip(["intra-class", "inter-class"], densities, strict=True):
            rows += [
                {
                    "net": words(name),
                    "metric": metric,
                    "split": part,
                    "pair": pair,
                    "distance": x,
                    "density": y,
                }
                for x, y in zip(middles, density * edges[-1], strict=True)
            ]
    return rows


densities = pd.DataFrame([row for name in [*ARMS, "U"] for part in parts for row in histograms(name, part)])
shown_nets = [words(name) for name in ["G", "GA-mse", "N-mse", "N-ce"]]
pictures.histogram_grid(densities[densities["net"].isin(shown_nets)])

# %% [markdown]
# Look at the row of the long-trained net, then switch from training to held-out images. On training images the codes
# show what the source shows: two heaps with empty space between. On held-out images of the same net the space fills.
# In the bottom row, ordinary training with cross-entropy, the two heaps of the codes overlap on either kind of image.
#
# Any net, any metric, larger:

# %% tags=["hide-input"]
pictures.histogram_explorer(densities[densities["metric"] != "Hamming"])

# %% [markdown]
# ## One number for each panel
#
# The area under the ROC curve (ROC-AUC) is the probability that a randomly drawn different-class pair lies
# further apart than a randomly drawn same-class pair: .5 is chance, 1 a perfect separation. Intervals cover images,
# by a bootstrap, *and* nets, by the variance between the five seeds. Pairs are not resampled, because pairs share
# images.
#
# *How do seven ways to compare two images fare, by loss and by kind of training?*

# %% tags=["hide-input"]
CONTROLS = ["untrained", "G-memorised", "U", "G-slow", "G-dropout"]
CORE = ["Jaccard", "Hamming", "L2 linear", "cosine linear", "cosine post-ReLU"]
found = protocol.in_parallel(
    partial(protocol.compare, resamples=resamples),
    {
        (name, part): (
            protocol.nets(name, seeds, images),
            parts[part],
            CORE if name in CONTROLS else tuple(protocol.COMPARISONS),
        )
        for name in [*ARMS, *CONTROLS]
        for part in parts
    },
)
pixels = {
    part: separability(pairwise(parts[part].flat, metric="cosine"), parts[part].labels).auc for part in parts
}

# %% tags=["hide-input"]
KINDS = {"G": "delayed", "GA": "long-trained", "N": "ordinary"}
LOSSES = {"mse": "mean squared error", "ce": "cross-entropy"}
CELLS = {
    "G": ("G", "mse"),
    "GA-mse": ("GA", "mse"),
    "N-mse": ("N", "mse"),
    "GCE": ("G", "ce"),
    "GA-ce": ("GA", "ce"),
    "N-ce": ("N", "ce"),
}
grid = pd.DataFrame(
    [
        {
            "training": KINDS[CELLS[name][0]],
            "loss": LOSSES[CELLS[name][1]],
            "metric": metric,
            "split": part,
            **dict(zip(["auc", "low", "high"], found[name, part].interval(metric), strict=True)),
        }
        for part in ["held-out", "training"]
        for name in CELLS
        for metric in protocol.COMPARISONS
    ]
)
pictures.auc_grid(
    grid,
    {
        "untrained net": found["untrained", "held-out"].values["Jaccard"].auc,
        "pixels, cosine": pixels["held-out"],
    },
)

# %% [markdown]
# The left column holds the source's claim: codes (blues) ahead of linear outputs (orange and red), for the long-trained
# and the ordinary net. The delayed net, the only one that grokked in the strict sense, already breaks it: there cosine on
# linear outputs leads. The right column is the reversal: with cross-entropy the linear outputs lead in every row.
#
# Cosine on post-ReLU activations (green) is level with the codes in the two rows that favour them, and ahead in the
# other four.
#
# The same numbers as a table, held-out images:


# %% tags=["hide-input"]
def row(name: str, part: str) -> dict[str, str]:
    return {metric: f"{values.auc:.3f}" for metric, values in found[name, part].values.items()}


pd.DataFrame({words(name): row(name, "held-out") for name in [*ARMS, *CONTROLS]}).T.fillna("–")

# %% [markdown]
# And on training images:

# %% tags=["hide-input"]
pd.DataFrame({words(name): row(name, "training") for name in [*ARMS, *CONTROLS]}).T.fillna("–")

# %% [markdown]
# ## How sure are these differences?
#
# Differences are paired: every resample draws the same images for all metrics and nets. *By how much does Jaccard on
# codes lead, or trail?*

# %% tags=["hide-input"]
BASELINES = ["L2 linear", "cosine linear", "cosine post-ReLU"]


def signed(interval) -> str:
    return "{:+.3f} [{:+.3f}, {:+.3f}]".format(*interval)


pd.DataFrame(
    {
        words(name): {
            f"Jaccard − {other}": signed(found[name, "held-out"].difference("Jaccard", other))
            for other in BASELINES
        }
        for name in ARMS
    }
).T

# %% [markdown]
# Is any of it chance? Shuffle the labels of the held-out images and measure again: the null.

# %%
matrix = pairwise(record(net, parts["held-out"]).codes, metric="jaccard")
null = permutation_null(matrix, parts["held-out"].labels, permutations=100 if committed else 20)
print(f"ROC-AUC with true labels {null.value:.3f}; shuffled {null.draws.mean():.3f} ± {null.draws.std():.3f}")

# %% [markdown]
# ## The gap
#
# The source speaks of a *large gap in between the two distributions*. Call it the 5 % quantile of different-class
# distances minus the 95 % quantile of same-class distances, in standard deviations of all distances. Above zero,
# the two heaps hardly touch. How large is large, the source does not say, so the rule asks for any such gap. (Until
# 27 November 2026 this chapter made a "clean" gap of it, which nobody had claimed.) *Where is there a gap?*

# %% tags=["hide-input"]
gaps = pd.DataFrame(
    {
        words(name): {part: signed(found[name, part].interval("Jaccard", "gap")) for part in parts}
        for name in [*ARMS, "U"]
    }
).T
gaps

# %% [markdown]
# On training images of the long-trained and the ordinary net with MSE: there, and nowhere else among these nets. Not in the delayed
# net, though it grokked, and not with cross-entropy, though those nets know their training images as well. The gap
# says that a net was pressed to give *these images* one and the same answer, not that it has learnt digits.

# %% [markdown]
# ## When does the separation appear?
#
# If grokking cleaned the codes, their ROC-AUC should jump when held-out accuracy does, and the activations'
# should not. *Does it?* The history of each zoo net was measured while it was trained, on 500 held-out images;
# bands run from the lowest to the highest of five seeds.

# %% tags=["hide-input"]
QUANTITIES = {
    "auc_jaccard": "Jaccard",
    "auc_hamming": "Hamming",
    "auc_cosine_linear": "cosine linear",
    "auc_cosine_relu": "cosine post-ReLU",
    "train_accuracy": "training accuracy",
    "heldout_accuracy": "held-out accuracy",
}


def over_seeds(name: str) -> pd.DataFrame:
    every = pd.concat([pd.DataFrame(zoo.card(name, s)["history"]) for s in zoo_seeds])
    # Each seed also has a row at the step where its own weight decay set in: keep the common steps.
    common = every.groupby("step").filter(lambda rows: len(rows) == len(zoo_seeds)).query("step > 0")
    long = common.rename(columns=QUANTITIES).melt("step", list(QUANTITIES.values()), "quantity")
    spread = long.groupby(["quantity", "step"])["value"].agg(["mean", "min", "max"]).reset_index()
    return spread.set_axis(["quantity", "step", "value", "low", "high"], axis=1).assign(net=words(name))


steps = pd.concat([over_seeds(name) for name in ["G", "GA-mse", "GA-ce", "GCE", "U"]])
pictures.auc_by_step(steps)


# %% tags=["hide-input"]
def at(name: str, quantity: str, step: int) -> float:
    rows = steps[(steps["net"] == words(name)) & (steps["quantity"] == quantity)]
    return float(rows.iloc[(rows["step"] - step).abs().argmin()]["value"])


moments = {
    f"{words('G')}, when weight decay sets in": ("G", int(switch)),
    f"{words('G')}, at the end": ("G", 10**9),
    f"{words('GA-mse')}, at the end": ("GA-mse", 10**9),
}
pd.DataFrame(
    {
        title: {q: f"{at(name, q, step):.2f}" for q in QUANTITIES.values()}
        for title, (name, step) in moments.items()
    }
)

# %% [markdown]
# In the delayed net the codes do get cleaner as the net generalises, and so do the activations: by about as much (cosine on linear
# outputs) or more (post-ReLU). The curves rise together; nothing here says which causes which. It is no privilege of
# the codes.

# %% [markdown]
# ## Layer by layer
#
# The source stacks all layers. *Which of them separates the classes?*

# %% tags=["hide-input"]
LAYER_ARMS = ["GA-mse", "N-mse", "N-ce"]


def by_layer(name: str) -> list[dict]:
    models = protocol.nets(name, seeds, images)
    part = parts["held-out"]
    recordings = [record(model, part) for model in models]
    rows = []
    for layer in [*recordings[0].codes.layers, "stacked"]:
        scores: dict[str, list[float]] = {"Jaccard": [], "cosine linear": [], "cosine post-ReLU": []}
        for whole in recordings:
            chosen = whole if layer == "stacked" else whole.select(layer)
            matrices = [
                pairwise(chosen.codes, metric="jaccard"),
                pairwise(chosen.stack("pre", output=layer == "stacked"), metric="cosine"),
                pairwise(chosen.stack("post"), metric="cosine"),
            ]
            for scored, matrix in zip(scores.values(), matrices, strict=True):
                scored.append(separability(matrix, part.labels).auc)
        rows += [
            {
                "net": words(name),
                "layer": layer.replace("relu", "layer "),
                "metric": metric,
                "auc": np.mean(values),
                "low": min(values),
                "high": max(values),
            }
            for metric, values in scores.items()
        ]
    return rows


layers = pd.DataFrame([row for name in LAYER_ARMS for row in by_layer(name)])
pictures.auc_by_layer(layers)

# %% tags=["hide-input"]
layers.assign(auc=layers["auc"].map("{:.3f}".format)).pivot_table(
    index=["net", "metric"], columns="layer", values="auc", aggfunc="first"
)

# %% [markdown]
# Bars run from the lowest to the highest seed. The first layer separates worst, whatever looks at it. In the
# long-trained net, cosine on the second layer's linear outputs *alone* nearly matches the codes, and stacking all
# layers loses that. Giving every unit mean 0 and deviation 1 before stacking ("cosine standardised" above) restores
# most of it in the long-trained and the ordinary net with MSE; in the other four nets it makes things worse. Differing
# scales of the layers may explain the first, not the second.

# %% [markdown]
# ## Train one yourself
#
# The nets above come from the zoo, each trained for its full budget. Here is one trained before your eyes: the
# ordinary recipe on 4000 images, 20 passes, a few seconds. With four times the images, how well do the codes of an
# ordinary net separate? (The held-out images are others than above, so compare with care.)

# %% tags=["nbval-ignore-output"]
recipe = zoo.recipe("N4k-mse" if dataset == "mnist5k" else "N-mse", dataset=dataset)
live = fit(recipe, seed)
unseen = protocol.sample(training_data(recipe).heldout, 500)
auc = protocol.compare([live.net], unseen, ["Jaccard", "cosine linear", "cosine post-ReLU"], resamples=50)
print(f"held-out accuracy {live.history['heldout_accuracy'][-1]:.3f} after {recipe.steps} steps; ROC-AUC:")
print({name: round(value.auc, 3) for name, value in auc.values.items()})

# %% [markdown]
# ## Full MNIST
#
# The source trained on MNIST's training set. Four zoo nets did so too or drew their 1000 images from it: `full-mse`
# and `full-ce` follow what the source tells of its ordinary net (20 epochs, all images), `full-long` is the recipe of
# the long-trained net for 120,000 steps (100 epochs), and `omnigrok` repeats the budget of {cite}`liu2023omnigrok`.
# With one net of each kind, the intervals cover images only.
#
# *Do loss and baseline decide here, too?* First, what the zoo's cards say of held-out images (MNIST's test images) at
# the end of training:

# %% tags=["hide-input"]
FULL = ["full-mse", "full-long", "full-ce", "omnigrok"]
CARD = {"heldout_accuracy": "accuracy", **{key: name for key, name in QUANTITIES.items() if "auc" in key}}
pd.DataFrame(
    {
        words(name): {title: f"{zoo.card(name)['history'][key][-1]:.3f}" for key, title in CARD.items()}
        for name in FULL
    }
).T

# %% [markdown]
# The source measured 3,000 images that its net was trained on. All of MNIST-5k lies in MNIST's training set, so 3,000
# of its images serve for the nets that saw the whole of that. This is as near to the source's own setting as the book
# comes. (Until 27 November 2026 500 images stood for them, and ordinary nets were those of 1000 images alone.) *Is the
# separation there, the gap, and in the ordinary net the overlap?*

# %% tags=["hide-input"]
MANY = 3000 if committed else 300
SOURCES = ["Jaccard", "Hamming", "L2 linear", "cosine linear"]
many = {
    name: protocol.images_of(name, MANY)["training"]
    for name in ["full-long", "full-mse", "full-ce"]
    if in_zoo
}
separated = protocol.in_parallel(
    partial(protocol.compare, resamples=100 if committed else 10),
    {name: ([zoo.load(name)], sample, SOURCES) for name, sample in many.items()},
)
pd.DataFrame(
    {
        words(name): {
            **{metric: f"{values.auc:.3f}" for metric, values in table.values.items()},
            "gap (Jaccard)": signed(table.interval("Jaccard", "gap")),
            "overlap (Jaccard)": f"{table.values['Jaccard'].overlap:.3f}",
        }
        for name, table in separated.items()
    }
).T


# %% tags=["hide-cell"]
def enter(claim: str, case: str, interval, sample=parts["held-out"], one_seed=False) -> None:
    ledger.record(claim, case, interval, n=len(sample), seeds=[0] if one_seed else seeds, data=sample)


def minus(one: str, other: str) -> str:
    return f"{words(one)}, minus {words(other)}"


BASES = {"L2": "L2 linear", "cosine": "cosine linear"}
if committed:
    for name in ["GA-mse", "G", "GA-ce", "GCE"]:
        for part, sample in parts.items():
            table, case = found[name, part], f"{words(name)}; {part}"
            enter("spline-1a", case, table.difference("Jaccard", "L2 linear"), sample)
            enter("spline-1b", case, table.difference("Jaccard", "cosine linear"), sample)
            enter("spline-1c", case, table.difference("Hamming", "L2 linear"), sample)
            enter("spline-1d", case, table.difference("Hamming", "cosine linear"), sample)
            enter("spline-1e", case, table.interval("Jaccard", "gap"), sample)
            enter("spline-1h", case, table.interval("Hamming", "gap"), sample)
    for part, sample in parts.items():
        for ordinary, grokked in [("N-mse", "GA-mse"), ("N-mse", "G"), ("N-ce", "GA-ce"), ("N-ce", "GCE")]:
            more = found[ordinary, part].difference(
                "Jaccard", "Jaccard", "overlap", other=found[grokked, part]
            )
            enter("spline-5a", f"{minus(ordinary, grokked)}; {part}", more, sample)
        for name in ["N-mse", "N-ce"]:
            case = f"{words(name)}; {part}"
            enter("spline-5b", case, found[name, part].interval("Jaccard", "gap"), sample)
            enter("spline-5c", case, found[name, part].interval("Jaccard", "d_prime"), sample)
        for name in ["N-mse", "N-ce", "U"]:
            for base, metric in BASES.items():
                lead = found[name, part].difference("Jaccard", metric)
                enter("spline-5d", f"minus {base}; {words(name)}; {part}", lead, sample)
        for one, other, case in [
            ("GA-mse", "U", minus("GA-mse", "U")),
            ("G", "G-slow", "delayed, MSE, minus the same with a tenth of the learning rate"),
            ("G", "G-dropout", "delayed, MSE, minus the same with dropout of .1"),
        ]:
            lead = found[one, part].difference("Jaccard", "Jaccard", other=found[other, part])
            enter("spline-6b", f"{case}; {part}", lead, sample)
        for name in ["GA-mse", "N-mse"]:
            tie = found[name, part].difference("Jaccard", "cosine post-ReLU")
            enter("ours-post-relu-tie", f"{words(name)}; {part}", tie, sample)
    for codes in ["Jaccard", "Hamming"]:
        for base, metric in BASES.items():
            lead = separated["full-long"].difference(codes, metric)
            case = f"{codes} minus {base}; 3,000 training images"
            enter("spline-1f", case, lead, many["full-long"], one_seed=True)
        gap = separated["full-long"].interval(codes, "gap")
        enter("spline-1i", f"{codes}; 3,000 training images", gap, many["full-long"], one_seed=True)
    more = separated["full-mse"].difference("Jaccard", "Jaccard", "overlap", other=separated["full-long"])
    enter("spline-5a", "all of MNIST, MSE; 3,000 training images", more, many["full-mse"], one_seed=True)
    for name in ["full-mse", "full-ce"]:
        case = f"{words(name)}; 3,000 training images"
        enter("spline-5b", case, separated[name].interval("Jaccard", "gap"), many[name], one_seed=True)
        enter("spline-5c", case, separated[name].interval("Jaccard", "d_prime"), many[name], one_seed=True)
    for base, metric in BASES.items():
        case = f"minus {base}; {words('full-mse')}; 3,000 training images"
        lead = separated["full-mse"].difference("Jaccard", metric)
        enter("spline-5d", case, lead, many["full-mse"], one_seed=True)
    for name in ["N-ce", "GCE", "GA-ce"]:
        reversal = found[name, "held-out"].difference("Jaccard", "cosine linear")
        enter("ours-cross-entropy-reversal", words(name), reversal)
    for name in ["GA-mse", "G", "N-mse", "N-ce"]:
        closed = found[name, "training"].difference(
            "Jaccard", "Jaccard", "gap", other=found[name, "held-out"]
        )
        enter("ours-train-heldout-gap", words(name), closed)
    for case, one, other in [
        ("delayed, MSE, minus the same when it had memorised", "G", "G-memorised"),
        (minus("N-mse", "G"), "N-mse", "G"),
    ]:
        cleaner = found[one, "held-out"].difference("Jaccard", "Jaccard", other=found[other, "held-out"])
        enter("ours-grokking-against-ordinary", case, cleaner)

# %% [markdown]
# The separation is there, and so is the gap. But the ordinary nets, of 20 epochs, do not overlap: with MSE, their gap
# is larger than that of the net trained for 100, with either loss the two heaps hardly touch.
#
# The other differences, with intervals, are measured where the files of MNIST are at hand (`SPLINELAB_DATA`);
# elsewhere the ledger keeps what was measured before.

# %% tags=["hide-cell", "nbval-ignore-output"]
if committed and data.mnist_at_hand():
    for name in FULL:
        for part, sample in protocol.images_of(name, 500).items():
            table = protocol.compare([zoo.load(name)], sample, CORE, resamples=resamples)
            lead, case = table.difference("Jaccard", "cosine linear"), f"{words(name)}; {part}"
            if name == "omnigrok":
                enter("spline-1g", case, lead, sample, one_seed=True)
            if name == "full-ce":
                enter("ours-cross-entropy-reversal-full", case, lead, sample, one_seed=True)
            if part == "held-out":
                tie = table.difference("Jaccard", "cosine post-ReLU")
                enter("ours-full-mnist-post-relu", words(name), tie, sample, one_seed=True)
            if name == "full-long" and part == "held-out":
                case = "Jaccard minus cosine; 500 held-out images"
                enter("spline-1f", case, lead, sample, one_seed=True)
                gap = table.interval("Jaccard", "gap")
                enter("spline-1i", "Jaccard; 500 held-out images", gap, sample, one_seed=True)
    print("measured again on full MNIST")
else:
    print("the files of full MNIST are not at hand: its figures are the stored ones")

# %% tags=["hide-input"]
ledger.table(
    "spline-1f", "spline-1g", "spline-1i", "ours-cross-entropy-reversal-full", "ours-full-mnist-post-relu"
)

# %% [markdown]
# Two surprises, and both go against what 1000 images had taught us. The reversal under cross-entropy is gone: with
# 60,000 training images, codes and cosine on linear outputs are level. And the codes of the nets with mean squared
# error are ahead of post-ReLU cosine. Here even held-out images leave a gap. `omnigrok`, a net that grokked in the strict sense on 1000 images, sides with
# the source against linear outputs, unlike the delayed net, and loses to post-ReLU cosine by far.

# %% [markdown]
# ## What reproduces, what does not, and why
#
# **Reproduces.** With mean squared error, on the source's own comparison, Jaccard and Hamming distance on codes beat
# L2 and cosine on stacked linear outputs in the long-trained net, by a wide margin and on both kinds of image. In one
# net trained long on all of MNIST, on 3,000 training images, they do, too. Ordinary nets show the same order.
#
# **Is not decided by grokking.** The delayed net with a tenth of the learning rate groks as well (chapter 2), and its
# codes separate far less well than those of the delayed net; the one with dropout, in which nothing is delayed, is level
# with it. The source's undertrained net is said to have no use for codes: with MSE codes are ahead of L2 and cosine
# there, too, with cross-entropy and 1000 images they are behind, and in the undercooked net it remains open.
#
# **Does not.** With cross-entropy and 1000 training images the ranking is the opposite in all three kinds of training.
# The delayed net, the one that groks in the strict sense, has no gap, and cosine on its linear outputs beats its codes.
# (`omnigrok` grokked as well and sides with the source; the two differ in weight decay, depth and length of training.)
# The greater overlap of ordinary nets holds for mean squared error, on training images, against the long-trained net,
# and nowhere else; after all of MNIST, in the source's own setting, the long-trained net overlaps more. Grokking does clean the codes of the net that groks, and ordinary
# training on the same images gives cleaner ones still. The codes of the undercooked net separate held-out digits less
# well than those of an untrained one.
#
# **Where our own expectation failed.** We expected the reversal under cross-entropy to hold on full MNIST. It does not.
# So the loss decides when training images are few; with many, codes do well under either loss. One net of each kind
# stands behind that sentence, and its intervals cover images only.
#
# **Why.** A likely explanation, not measured: mean squared error on one-hot targets pins every output to 0 or 1. A net
# that is trained on to zero loss must give all images of a class the same output, and it may do so with the same units
# on: codes collapse by class. Cross-entropy has no such target. The logit of the right class may grow without bound,
# so that the *direction* of the activations carries the class, which cosine sees and bits do not. Exercise 3 tests a
# part of this.
#
# **The baseline.** Stacked pre-ReLU outputs are the weaker comparison in the long-trained and the ordinary net with MSE.
# Post-ReLU cosine is level with the codes there (within about .01) and ahead in the other four nets; on full MNIST
# codes lead it by a little in the nets with mean squared error. A code takes one bit where an activation takes 32.
#
# The cases behind the verdicts:

# %% tags=["hide-cell"]
print(ledger.save())

# %% tags=["hide-input", "hide-output"]
ledger.table()

# %% [markdown]
# ## Exercises
#
# 1. Run `record` on a convolutional net of your own and compare the Jaccard distances of its codes with cosine
#    distances of its post-ReLU activations (`splinelab.distances.separability`). Which layer separates best?
# 2. Codes throw away magnitudes, cosine keeps them but drops the overall length. Binarise the post-ReLU
#    activations at a threshold above zero and watch the ROC-AUC: is zero the best place to cut?
# 3. Train the ordinary net with cross-entropy (`N-ce` in the zoo) with label smoothing (it bounds the logits, as mean squared error does). Does the reversal
#    survive?
