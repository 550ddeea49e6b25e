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
# # What happens when an activation is scaled?
#
# If features are directions, an activation twice as long means the same thing, only more of it. The polytope lens
# {cite}`black2022polytopes` objects: behind the layer that is scaled there are ReLUs with thresholds, so
# scaling an activation x walks a ray α·x through polytopes, and the class may change on the way. The source scales
# activations of a GoogLeNet and finds a *shell*: the density of boundaries peaks about halfway between activation and
# origin, in directions of noise too, and the peak is absent in untrained nets.
#
# This chapter walks such rays exactly: not one boundary is missed, and α runs over five decades. In short:
#
# - Scaling **changes the class** on most rays, at every layer.
# - **The shell is real, and where it lies depends on the biases.** In the residual net density peaks about halfway on
#   the mean of three nets, which differ too much to be sure of it; in the CNN it peaks nearer to the origin, and behind dense
#   layers without batch norm at the origin itself.
# - **In directions of noise** the shell is there on the mean at every layer, and beyond doubt in one: three nets are few.
# - **That untrained nets lack the peak does not reproduce.** With torch's default biases they have boundaries by the hundred, and
#   on most rays they are densest between origin and activation, at relu4 beyond doubt. Without biases there is no boundary,
#   whatever the direction; the GoogLeNet of torchvision is built so that this applies.
# - Beyond the activation the class still changes on most rays from low layers of the residual net, and hardly ever in the CNN.
# - Class changes beyond the activation lie where boundaries are sparse, as the source saw. Below it they lie where
#   boundaries are dense in the dense layers; elsewhere hardly more so than a boundary does.
# - Soft codes carry over: the soft count of boundaries tends to the exact one.

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
seed = 0  # the first of three
quick = False  # one seed and fewer rays, for a look

# %% tags=["hide-input"]
import copy

import numpy as np
import pandas as pd
import torch
from torch import nn

from pictures import rays as pictures
from splinelab import charts, claims, data, polytopes, protocol, zoo
from splinelab.intervals import Interval, range_over_nets, two_level

charts.use()
torch.set_num_threads(1)
committed = seed == 0 and not quick
seeds = range(seed, seed + (3 if committed else 1))
LAYERS = {"CNN": ["pool2", "pool3", "relu4", "relu5"], "RES": ["stem", "block1", "block2"]}
# Rays of each net, by cost: from the stem one takes ten seconds. Every ten in a row are ten digits.
RAYS = {"pool2": 30, "pool3": 60, "relu4": 60, "relu5": 60, "stem": 10, "block1": 10, "block2": 30}
NOISE = {**RAYS, "pool2": 10, "stem": 3, "block1": 4, "block2": 10}
if not committed:
    RAYS = {layer: max(1, n // 10) for layer, n in RAYS.items()}
    NOISE = {layer: max(1, n // 10) for layer, n in NOISE.items()}
    LAYERS["RES"] = ["block2"]
images = data.mnist5k()
heldout = protocol.sample(zoo.heldout("CNN"), 100)  # never trained on; every ten in a row are ten digits
trained = {
    (name, s): net
    for name in LAYERS
    for s, net in zip(seeds, protocol.nets(name, seeds, images), strict=True)
}
untrained = {s: zoo.untrained("CNN", s) for s in seeds}
ledger = claims.Notebook("04_polytope_scaling", committed=committed)
if seed != 0:
    print(f"Other seeds than the zoo's: nets trained for {protocol.SMALL_BUDGET} steps.")

# %% [markdown]
# The ledger's verdicts on this chapter's claims, from the committed measurements; the last section shows the cases
# behind each of them.

# %% tags=["hide-input"]
ledger.summary()

# %% [markdown]
# ## A ray in your own net
#
# Between two boundaries the network is one affine map, so a ray is a chain of straight pieces, and one forward pass
# in float64 finds where they end. For a net and an image of your own, these lines do it:

# %%
net, image = trained["CNN", seed], heldout.images[heldout.labels == 7][:1]
(ray,) = polytopes.rays(net, image, layer="pool3", low=1e-4, high=10)
where, classes = ray.class_changes
print(ray)
print("first and last boundary at α =", ray.crossings[[0, -1]].round(4))
print("classes along the ray:", classes, "changes at α =", where.round(3))

# %% [markdown]
# `layer` is any module that everything passes. `ray.crossings` lists α of every boundary, `ray.path` the rest: codes,
# units, logits. The codes are those of the ReLUs behind the layer, as in the source.
#
# ## One ray
#
# *What do the logits do on the way from the origin through the activation (α = 1, dashed) and beyond?* Choose an image
# and a layer. Logits are divided by the largest one at each α, since far out they all grow; red lines are the
# exact places where the class changes. Below, the number of boundaries in each of 50 windows that are equally wide in
# log α.


# %% tags=["hide-input"]
def scan(model: nn.Module, layer: str, kind: str, n: int, noise_seed: int) -> list[dict]:
    """n rays from a layer: boundaries, the layers whose units they flip, class changes.

    The directions: "images" are activations of held-out images; "noise" Gaussian noise of the activations' mean norm;
    "half-normal" its absolute value.
    """
    rest, x = polytopes.from_layer(model, layer, heldout)
    x = x.to(torch.float64)
    axes = [1] * (x.ndim - 1)
    if kind == "images":
        x = x[:n]
    else:
        length = x.flatten(1).norm(dim=1).mean()
        generator = torch.Generator().manual_seed(noise_seed)
        x = torch.randn((n, *x.shape[1:]), generator=generator, dtype=torch.float64)
        x = (x if kind == "noise" else x.abs()) * (length / x.flatten(1).norm(dim=1)).view(-1, *axes)
    found = []
    for one in x.split(max(1, n // 3)):
        for ray in polytopes.rays(rest, one, memory=1e8):
            alphas, names = ray.alpha(ray.path.crossing_t), list(ray.path.codes.layers)
            where, classes = ray.class_changes
            found.append(
                {
                    "alphas": np.sort(alphas),
                    "by layer": {name: alphas[ray.path.crossing_layer == i] for i, name in enumerate(names)},
                    "changes": where,
                    "classes": classes,
                }
            )
    return found


def without_biases(model: nn.Module, keep: tuple[str, ...] = ()) -> nn.Module:
    """A copy whose biases are zero, except in modules whose name begins with one of `keep`."""
    model = copy.deepcopy(model)
    for name, parameter in model.named_parameters():
        if name.endswith("bias") and not name.startswith(keep or ("-",)):
            parameter.data.zero_()
    return model


ARMS = {  # untrained nets, by the biases that they keep
    "usual biases": ("conv", "linear", "output"),
    "convolutions and classifier only": ("conv", "output"),
    "dense layers only": ("linear", "output"),
    "classifier only": ("output",),
    "none": (),
}
jobs = [
    (name, layer, kind, s, trained[name, s], (RAYS if kind == "images" else NOISE)[layer])
    for layer in ["stem", "block1", "pool2", "block2", "pool3", "relu4", "relu5"]  # the slow ones first
    for name in LAYERS
    if layer in LAYERS[name]
    for kind in ["images", "noise", "half-normal"]
    for s in seeds
    if not (kind == "half-normal" and (name == "RES" or layer == "pool2"))
]
jobs += [
    ("CNN", layer, arm, s, without_biases(untrained[s], kept), NOISE[layer])
    for layer in ["pool2", "pool3", "relu4"]
    for arm, kept in ARMS.items()
    for s in seeds
    if layer != "pool2" or arm in ("usual biases", "classifier only", "none")
]
jobs += [
    ("CNN", layer, "no biases, noise", s, without_biases(untrained[s]), NOISE[layer])
    for layer in ["pool2", "pool3", "relu4"]
    for s in seeds
]


def direction(kind: str) -> str:
    return "noise" if kind.endswith("noise") else kind if kind in ("images", "half-normal") else "images"


rays = protocol.in_parallel(  # (net, layer, kind, seed) → n rays
    scan,
    {
        (name, layer, kind, s): (model, layer, direction(kind), n, 1000 + s)
        for name, layer, kind, s, model, n in jobs
    },
)
CASES = [(name, layer) for name in LAYERS for layer in LAYERS[name]]


def table_of(statistic, kinds=("images",), cases=CASES) -> np.ndarray:
    """A number for each ray, seeds × rays, for one case and kind."""
    return {
        (*case, kind): np.array([[statistic(ray) for ray in rays[(*case, kind, s)]] for s in seeds])
        for case in cases
        for kind in kinds
    }


def bounds(statistic, *arrays: np.ndarray) -> Interval | None:
    """A statistic of nets × rays with its 95 % interval over images and nets; None where it has no value."""
    return two_level(statistic, *arrays, seeds=seeds) if np.isfinite(statistic(*arrays)) else None


def ratio_of_sums(upper: np.ndarray, lower: np.ndarray) -> float:
    return upper.sum() / lower.sum() if lower.sum() else np.nan


def interval(found: Interval | None, digits: int = 2) -> str:
    if found is None:
        return "–"
    value, low, high = (f"{number:.{digits}f}" for number in found)
    return f"{value} [{low}, {high}]"


def lines_of(case: tuple, kind: str, edges: np.ndarray, part: str | None = None) -> np.ndarray:
    """Boundaries per ray and window, mean over seeds and rays."""
    some = [
        ray["by layer"].get(part, []) if part else ray["alphas"]
        for s in seeds
        for ray in rays[(*case, kind, s)]
    ]
    return pictures.per_window(some, edges)


# %% tags=["hide-input"]
def one_ray(layer: str, digit: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    first = int(np.flatnonzero(heldout.labels == digit)[0])
    (ray,) = polytopes.rays(net, heldout.images[first : first + 1], layer=layer, memory=1e8)
    alphas = np.geomspace(1e-4, 10, 41)
    logits = ray.path.output_at(np.interp(alphas, ray.alphas, np.arange(len(ray.alphas))))
    logits = logits / np.abs(logits).max(axis=1, keepdims=True)
    names = {"image": f"a {digit}", "layer": layer}
    edges = np.geomspace(1e-4, 10, 51)
    return (
        pd.DataFrame(
            [
                {**names, "alpha": a, "digit": k, "logit": value}
                for a, row in zip(alphas, logits, strict=True)
                for k, value in enumerate(row)
            ]
        ),
        pd.DataFrame(
            {"alpha": edges[:-1], "alpha2": edges[1:], "boundaries": np.histogram(ray.crossings, edges)[0]}
        ).assign(**names),
        pd.DataFrame({"alpha": ray.class_changes[0]}).assign(**names),
    )


parts = [one_ray(layer, digit) for layer in ["pool2", "pool3", "relu4"] for digit in [7, 4, 9]]
pictures.ray_explorer(
    *(pd.concat(tables) for tables in zip(*parts, strict=True)),
    description="Along α from .0001 to 10 on a log axis: the ten logits of a CNN above, the number of polytope boundaries in "
    "50 windows below, for a chosen held-out image and layer; red lines mark changes of class.",
)

# %% [markdown]
# Two layers, two pictures. From pool2 and pool3, boundaries fill the way from a few hundredths of the activation to beyond
# it. From relu4 they lie close to the origin, in the last hundredth of the way. In all of them, the class close to the
# origin is one and the same for every image: there the input has vanished, and what is left are the net's biases.
#
# *How often does the class change, and on which side of the activation?* Rays are dear at low layers,
# where tens of thousands of boundaries lie on each, and cheap at high ones: the number is in the table's first
# column, over three nets, one ray or more for each digit. Intervals (95 %) are over images and nets; three nets
# make them wide. (Until 2026-11-27 this chapter took the first images of a set sorted by digit: the rays of four layers
# were those of zeros.)

# %% tags=["hide-input"]
below = table_of(lambda ray: np.sum(ray["changes"] < 1))
beyond = table_of(lambda ray: np.sum(ray["changes"] >= 1))
changed = {case: bounds(np.mean, (below[case] + beyond[case] > 0).astype(float)) for case in below}
far = {case: bounds(np.mean, beyond[case]) for case in beyond}
pd.DataFrame(
    {
        f"{name}, {layer}": {
            "rays": below[name, layer, "images"].size,
            "share with a change": interval(changed[name, layer, "images"]),
            "changes at α < 1": f"{below[name, layer, 'images'].mean():.2f}",
            "changes at α ≥ 1": interval(far[name, layer, "images"]),
        }
        for name, layer in CASES
    }
).T

# %% [markdown]
# So the first claim reproduces: directions are not invariant to scale. In the CNN nearly all changes lie between the origin and
# the activation; beyond it the class is settled, apart from a few rays from its convolutional layers. In the residual net the class changes
# beyond the activation as well. The source saw "plenty" of changes there. (Until 2026-11-27 the ledger asked for more than none on average,
# which could hardly fail. It now asks for a change on most rays, where boundaries are sparser than on the way to the activation: see below.)
#
# ## Where are the boundaries?
#
# The source draws density over a linear α and sees a peak about halfway. *What does a logarithmic axis show?*
# Both columns hold the same boundaries; only the windows in which they are counted differ.

# %% tags=["hide-input"]
FIRST = {"CNN": ["pool2", "pool3", "relu4"], "RES": LAYERS["RES"]}
AXES = {"linear": np.linspace(0, 2, 41), "log": np.geomspace(1e-4, 10, 51)}


def bars_of(name: str, place: int, layer: str, axis: str) -> pd.DataFrame:
    edges = AXES[axis]
    counts = lines_of((name, layer), "images", edges)
    names = {"net": name, "layer": layer, "axis": axis, "place": place}
    return pd.DataFrame({"alpha": edges[:-1], "alpha2": edges[1:], "share": counts / counts.sum()}).assign(
        **names
    )


pictures.two_axes(
    pd.concat(
        [
            bars_of(name, place, layer, axis)
            for name in FIRST
            for place, layer in enumerate(FIRST[name])
            for axis in AXES
        ]
    ),
    "Share of the boundaries on rays through activations, a row for each layer: in equal windows of α on the left, of log α on "
    "the right.",
)

# %% tags=["hide-input"]
CENTRES = np.linspace(0.05, 1.95, 191)  # of the windows in which a peak is looked for


def peak(ray: dict) -> float:
    """The middle of the window of width .1, up to twice the activation, that holds most boundaries."""
    counts = np.subtract(*(np.searchsorted(ray["alphas"], CENTRES + side) for side in (0.05, -0.05)))
    return CENTRES[counts == counts.max()].mean() if counts.max() else np.nan


def mean(values: np.ndarray) -> float:
    """Over rays that have a value."""
    return np.nanmean(values) if np.isfinite(values).any() else np.nan


peaks = {case: bounds(mean, found) for case, found in table_of(peak).items()}
middle = table_of(
    lambda ray: np.median(ray["alphas"][ray["alphas"] < 1]) if (ray["alphas"] < 1).any() else np.nan
)
medians = {case: bounds(mean, found) for case, found in middle.items()}
inner, within = (table_of(lambda ray, limit=limit: np.sum(ray["alphas"] < limit)) for limit in (0.1, 1))
near = {case: bounds(ratio_of_sums, inner[case], within[case]) for case in inner}
pd.DataFrame(
    {
        f"{name}, {layer}": {
            "boundaries at α < 1": f"{within[name, layer, 'images'].mean():.0f}",
            "α of the peak": interval(peaks[name, layer, "images"]),
            "median α": interval(medians[name, layer, "images"], 3),
            "share at α < .1": interval(near[name, layer, "images"]),
        }
        for name, layer in CASES
    }
).T

# %% [markdown]
# The source says where density *peaks*; until 2026-11-27 the ledger took the median boundary for it. In the CNN's convolutional layers
# the two part: the median lies at about a third of the way, and density peaks well before that. In the residual net both lie about halfway, with
# intervals that leave it undecided, since the nets differ. From relu4 and relu5 on, nearly all boundaries lie within the
# first tenth; on a linear axis they are one bar beside the origin, and no shell can be seen in it.
#
# ## Why halfway here and at the origin there?
#
# A unit of the first layer behind x has the pre-activation α·w·x + b. It flips at α = −b/(w·x) if the two have opposite
# signs. So a shell lies where biases are as large as what the activation adds. *Which units flip where?* The same
# boundaries, by the layer of the unit that flips:

# %% tags=["hide-input"]
edges = np.geomspace(1e-4, 10, 41)
middles = np.sqrt(edges[1:] * edges[:-1])
units = [
    pd.DataFrame({"alpha": middles, "value": lines_of(("CNN", layer), "images", edges, part)}).assign(
        panel=f"scaled at {layer}", series=f"units of {part}"
    )
    for layer in FIRST["CNN"]
    for part in ["relu3", "relu4", "relu5", "relu6"]
    if part in rays["CNN", layer, "images", seed][0]["by layer"]
]
pictures.profiles(
    pd.concat(units),
    "Boundaries per ray in windows of log α, by the layer of the unit that flips, for rays from pool2, pool3 and relu4 of "
    "the CNN.",
)


# %% tags=["hide-input"]
@torch.no_grad()
def bias_share(model: nn.Module) -> dict[str, float]:
    """Root mean square of the biases over that of what the input adds; batch norm counts to its convolution."""
    shares, x, start = {}, torch.as_tensor(heldout.images), None
    for name, module in model.named_children():
        if isinstance(module, nn.Conv2d | nn.Linear):
            start, bias = x, module(torch.zeros_like(x))
        elif isinstance(module, nn.BatchNorm2d):
            bias = module(bias)
        elif isinstance(module, nn.ReLU) and start is not None:
            shares[name] = float((bias.square().mean() / (x - bias).square().mean()).sqrt())
        x = module(x)
    return shares


pd.DataFrame(
    {
        kind: pd.DataFrame([bias_share(model) for model in some]).mean().map("{:.2f}".format)
        for kind, some in {
            "trained": [trained["CNN", s] for s in seeds],
            "untrained": [untrained[s] for s in seeds],
        }.items()
    }
).T

# %% [markdown]
# The sizes fit. The table compares root mean squares: biases (batch norm counted to its convolution) over what
# the input adds. Behind batch norm the two are of one size, since batch norm divides by the spread of the activations, and its
# shift β is trained on that scale. So convolutional units flip at a fair share of the activation. The dense layers have no batch
# norm; their activations are large and their biases a hundredth of them, so their units flip near a hundredth of the way where
# their own input is scaled (right); scaled further back, they follow the convolutions. The source's net has a batch norm behind every convolution: its "about halfway" fits.
#
# In the untrained CNN biases are mostly as large as the rest or larger: its boundaries must lie further out. We come back to this.
#
# ## Directions of noise
#
# *Does a direction without meaning have the shell as well?* Gaussian noise as in the source, scaled to the mean norm of
# the activations at that layer. Since activations behind a ReLU are never negative, the absolute value
# of the noise (half-normal) is shown for three layers, too.

# %% tags=["hide-input"]
COLOURS = {"images": charts.BLUE, "noise": charts.VERMILION, "half-normal": charts.ORANGE}
noise_lines = [
    pd.DataFrame({"alpha": middles, "value": lines_of(case, kind, edges)}).assign(
        panel=", ".join(case), series=kind
    )
    for case in CASES
    for kind in COLOURS
    if (*case, kind, seed) in rays
]
pictures.profiles(
    pd.concat(noise_lines),
    "Boundaries per ray in windows of log α for directions of images, of Gaussian noise and of half-normal noise, a panel for each "
    "layer.",
    colours=COLOURS,
)


# %% tags=["hide-input"]
def shell_ratio(inside: np.ndarray, outside: np.ndarray) -> float:
    """Boundaries per unit length at .001 ≤ α < 1 over those at 1 ≤ α ≤ 10."""
    return (inside.sum() / 0.999) / (outside.sum() / 9) if outside.sum() else np.nan


def shell_counts(kinds: tuple, cases=CASES) -> tuple[dict, dict]:
    inside = table_of(lambda ray: np.sum((ray["alphas"] >= 1e-3) & (ray["alphas"] < 1)), kinds, cases)
    return inside, table_of(lambda ray: np.sum(ray["alphas"] >= 1), kinds, cases)


inside, outside = shell_counts(("images", "noise"))
shells = {case: bounds(shell_ratio, inside[case], outside[case]) for case in inside}
pd.DataFrame(
    {
        f"{name}, {layer}": {kind: interval(shells[name, layer, kind], 1) for kind in ["images", "noise"]}
        for name, layer in CASES
    }
).T.rename_axis("per unit length, α < 1 over α ≥ 1")

# %% [markdown]
# It does, on the mean of three nets: per unit of length, boundaries are many times denser inside α = 1 than outside, for noise as for
# images, at every layer. The ledger's intervals, simultaneous over six layers, clear the threshold at relu4 alone. The humps lie close to
# each other, farthest apart at relu4, where noise meets its boundaries further out. So the shell says little about
# meaning. That fits the reason above, in which sizes count more than directions.
#
# ## Is the shell learnt?
#
# In the source's untrained net the peak is absent, and the class never changes. (Until 2026-11-27 this chapter read
# that as no boundary at all, which the source does not say.) *Would any untrained net do that?* Ours has the biases that torch draws by default, in the convolutions and the dense layers; its batch norms
# stand at mean 0, variance 1, weight 1, bias 0. And a copy of it has all biases set to zero.

# %% tags=["hide-input"]
LOOK = {"images": "trained", "usual biases": "untrained", "none": "untrained, biases zero"}
fresh_cases = [("CNN", layer) for layer in FIRST["CNN"]]
fresh = [
    pd.DataFrame({"alpha": middles, "value": lines_of(case, kind, edges)}).assign(
        panel=", ".join(case), series=title
    )
    for case in fresh_cases
    for kind, title in LOOK.items()
]
pictures.profiles(
    pd.concat(fresh),
    "Boundaries per ray in windows of log α for the trained CNN, the untrained one and the untrained one without biases.",
    colours=dict(zip(LOOK.values(), [charts.BLUE, charts.ORANGE, charts.GREEN], strict=True)),
)

# %% tags=["hide-input"]
count = lambda ray: len(ray["alphas"])  # noqa: E731
totals = {}
for case in fresh_cases:
    for arm in [*ARMS, "no biases, noise"]:
        if (*case, arm, seed) in rays:
            totals |= table_of(count, (arm,), [case])
per_image = {case: bounds(np.mean, found) for case, found in totals.items()}
pd.DataFrame(
    {
        ", ".join(case): {
            arm: interval(per_image[*case, arm], 1) if (*case, arm) in per_image else "–"
            for arm in [*ARMS, "no biases, noise"]
        }
        for case in fresh_cases
    }
).rename_axis("boundaries per ray; biases kept")

# %% tags=["hide-input"]
within_fresh, outside_fresh = shell_counts(("usual biases",), fresh_cases)
peaked = {
    case: bounds(np.mean, (found < 1).astype(float))  # no boundary, no peak
    for case, found in (
        table_of(peak, ("usual biases",), fresh_cases) | table_of(peak, ("images",), fresh_cases)
    ).items()
}
pd.DataFrame(
    {
        ", ".join(case): {
            "densest between origin and activation, untrained": interval(peaked[*case, "usual biases"]),
            "the same, trained": interval(peaked[*case, "images"]),
            "per unit length, α < 1 over α ≥ 1, untrained": interval(
                bounds(
                    shell_ratio, within_fresh[*case, "usual biases"], outside_fresh[*case, "usual biases"]
                ),
                1,
            ),
        }
        for case in fresh_cases
    }
)

# %% [markdown]
# No bias in the layers behind, no boundary: not few, none, in any direction. The reason takes one line. A ReLU net without biases is
# homogeneous, f(αx) = αf(x) for α > 0, so no unit changes its sign on a ray, and no class changes either. With the usual biases
# the untrained net has boundaries in numbers comparable to the trained one's, more per unit length inside α = 1 than outside on
# the mean, and on most rays they are densest between origin and activation. At relu4 that is beyond doubt; in the convolutional layers
# the three nets differ, and nothing is decided.
#
# So is the absent peak a matter of initialisation? The code of its net is public. In torchvision's GoogLeNet
# {cite}`torchvision_googlenet`, every convolution is built with `bias=False` and followed by a batch norm whose initial
# state is mean 0, variance 1, weight 1, bias 0. The only other bias on the way to the logits is that of the final classifier, behind
# the last ReLU. If the source's untrained net was built that way and ran in evaluation mode (it says "the Pytorch
# version", with batch norm, and no more), it is homogeneous from every hidden layer to the last ReLU, and *no* experiment on
# it could have shown a boundary: our row "classifier only".
#
# That would explain the source's other observation, too: its untrained net predicts one class, whatever the image and the scale. To the
# source this "resembles 'rank collapse'", perhaps a quirk of its batch norm, and it has not looked further. In torchvision, initial weights have a standard deviation near .01.
# Draw our CNN's weights like that, with no bias but the classifier's:


# %% tags=["hide-input"]
@torch.no_grad()
def as_torchvision_draws(model: nn.Module, s: int) -> nn.Module:
    """Weights from a normal distribution of width .01, cut at two widths; no biases but the classifier's."""
    model, generator = without_biases(model, ("output",)), torch.Generator().manual_seed(s)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.01, a=-0.02, b=0.02, generator=generator)
    return model


stuck = {s: as_torchvision_draws(untrained[s], s) for s in seeds}
found = [ray for s in seeds for ray in scan(stuck[s], "pool3", "images", RAYS["pool3"], s)]
print("boundaries:", sum(len(ray["alphas"]) for ray in found), "on", len(found), "rays from pool3")
print("rays with a change of class:", sum(len(ray["changes"]) > 0 for ray in found))
with torch.no_grad():
    answers = [stuck[s](torch.as_tensor(heldout.images)).argmax(1).unique().numel() for s in seeds]
print("different classes predicted for", len(heldout), "images, by seed:", answers)

# %% [markdown]
# The signal shrinks from layer to layer, since batch norm in evaluation mode does not scale it back at the start, and the
# classifier's bias decides. We have not run the source's own net; on ours, its recipe gives both of its findings.
#
# ## Does the class change where boundaries are dense?
#
# That is what the polytope lens predicts, and what the source saw was not "exactly" that: dense boundaries as the
# activation is scaled down, and not as it is scaled up. (Until 2026-11-27 the ledger told the prediction as a success of the
# source.) *What do we see?* The share of boundaries and the share of class changes that fall into each
# window:

# %% tags=["hide-input"]
coarse = np.geomspace(1e-4, 10, 26)
where_changes = []
for case in CASES:
    crossing = lines_of(case, "images", coarse)
    change = pictures.per_window(
        [ray["changes"] for s in seeds for ray in rays[(*case, "images", s)]], coarse
    )
    for title, counts in {"boundaries": crossing, "class changes": change}.items():
        where_changes.append(
            pd.DataFrame(
                {"alpha": np.sqrt(coarse[1:] * coarse[:-1]), "value": counts / max(counts.sum(), 1e-9)}
            ).assign(panel=", ".join(case), series=title)
        )
pictures.profiles(
    pd.concat(where_changes),
    "Share of boundaries and of class changes by α, a panel for each layer.",
    colours={"boundaries": charts.BLUE, "class changes": charts.VERMILION},
    y="share in a window",
)

# %% [markdown]
# For a number: the boundaries within .05 of a class change, per unit length, as a share of the mean from origin to
# activation. Above 1 the place is denser than that mean. Changes below and beyond α = 1 are kept apart, as the source
# does. Beside it, for comparison, the same at a boundary drawn at random from those below α = 1: a boundary has others near it where
# boundaries crowd.


# %% tags=["hide-input"]
def near_by(ray: dict, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boundaries within .05 of each place, and how many there would be at the mean density below α = 1."""
    low, high = np.maximum(places - 0.05, 0), places + 0.05
    there = np.searchsorted(ray["alphas"], high) - np.searchsorted(ray["alphas"], low)
    return there, (high - low) * np.sum(ray["alphas"] < 1)


def density_at(kind: str) -> dict[tuple, Interval | None]:
    """Their ratio over all places of a kind: class changes below α = 1, beyond it, or boundaries below."""
    chosen = {
        "below": lambda ray: ray["changes"][ray["changes"] < 1],
        "beyond": lambda ray: ray["changes"][ray["changes"] >= 1],
        "boundary": lambda ray: ray["alphas"][ray["alphas"] < 1],
    }[kind]
    there, expected = (table_of(lambda ray, i=i: near_by(ray, chosen(ray))[i].sum()) for i in (0, 1))
    return {case: bounds(ratio_of_sums, there[case], expected[case]) for case in there}


def sparse_change(ray: dict) -> bool:
    """Whether the class changes beyond the activation where boundaries are sparser than below it."""
    there, expected = near_by(ray, ray["changes"][ray["changes"] >= 1])
    return bool((there < expected).any())


dense = {kind: density_at(kind) for kind in ["below", "beyond", "boundary"]}
plenty = {case: bounds(np.mean, found.astype(float)) for case, found in table_of(sparse_change).items()}
pd.DataFrame(
    {
        f"{name}, {layer}": {
            "changes at α < 1": int(below[name, layer, "images"].sum()),
            "density there": interval(dense["below"][name, layer, "images"]),
            "at a random boundary": interval(dense["boundary"][name, layer, "images"]),
            "changes at α ≥ 1": int(beyond[name, layer, "images"].sum()),
            "density there ": interval(dense["beyond"][name, layer, "images"]),
            "rays with a sparse change at α ≥ 1": interval(plenty[name, layer, "images"]),
        }
        for name, layer in CASES
    }
).T

# %% [markdown]
# From relu4 and relu5 the prediction holds: the class changes where boundaries crowd, close to the origin. In the convolutional layers and
# the residual net density at a class change is at or somewhat above the mean, and not clearly more above it than at a boundary drawn at random. Beyond the
# activation the class changes where boundaries are sparse, about a third as dense as on the way there or less. That is what the source saw, and calls
# only partial support for its prediction. Until 2026-11-27 this section ranked windows equal in log α, of which most are empty near the origin, so that a
# place drawn at random ranked above the .5 that the rule asked for.
#
# ## Nets without kinks: soft codes
#
# Language models use GELU or SiLU, which have no kink and so no polytopes in the strict sense. The source gives a
# formula and leaves it there {cite}`balestriero2019hard`: instead of 0 or 1, a unit is *how far* on, with a gate
# σ(ηu) for a pre-activation u; its output is u·σ(ηu). η = 1 is SiLU, η → ∞ is ReLU. GELU has the gate Φ(u), softplus the
# slope σ(u). Move the slider: what is left of the blur?

# %% tags=["hide-input"]
u = np.linspace(-3, 3, 49)
SHARP = [0.1, 0.3, 1.0, 3.0, 10.0, 100.0]
GATES = {
    "SiLU": ("silu", lambda gate, eta: u * gate),
    "GELU": ("gelu", lambda gate, eta: u * gate),
    "softplus": ("softplus", lambda gate, eta: np.logaddexp(0, eta * u) / eta),
}
gate_rows = []
for title, (activation, output) in GATES.items():
    for eta in SHARP:
        gate = polytopes.soft_code(u, activation, beta=eta / (1 + eta))
        gate_rows.append(
            pd.DataFrame({"u": u, "open": gate, "output": output(gate, eta)}).assign(
                gate=title, sharpness=eta
            )
        )
pictures.gates(
    pd.concat(gate_rows),
    "Gates of SiLU, GELU and softplus and the activations that they make of a pre-activation u, for a chosen sharpness; with growing "
    "sharpness all three become the step and the ReLU.",
)

# %% [markdown]
# On a path, all gates together move by their *total variation*, Σ |Δσ(ηz)|: the soft count of boundaries. *Does it tend
# to the hard one?* On exact segments between the pool2 activations of two held-out images of the CNN, every z is linear
# between two boundaries, so the soft count is exact as well. Each of the 45 pairs of digits is taken once, 15 by each net, no
# image twice. (Until 2026-11-27 every pair led from a 0 to a 5.)

# %% tags=["hide-input"]
ETAS = [0.1, 1, 10, 100, 1000, 10000]
# 45 pairs of digits and of 90 images, 15 for each net.
by_digit = [np.flatnonzero(heldout.labels == digit) for digit in range(10)]
turns = [  # the j-th image of one digit with the j-th of another, so that every digit meets the nine others once
    (by_digit[a][b - 1], by_digit[b][a]) for a in range(10) for b in range(a + 1, 10)
]
pairs = np.random.default_rng(0).permutation(turns).reshape(3, 15, 2)
if not committed:
    pairs = pairs[:, :2]


def soft_scan(model: nn.Module, start: int, end: int) -> list[float]:
    """The number of boundaries between two images, then the soft count for each sharpness."""
    path = polytopes.segment(
        model, heldout.images[start], heldout.images[end], layer="pool2", values=True, memory=1e8
    )
    return [path.crossings, *(polytopes.total_variation(path.values, eta).sum() for eta in ETAS)]


jobs = {(k, *pair): (trained["CNN", s], *pair) for k, s in enumerate(seeds) for pair in pairs[k]}
counted = np.array(list(protocol.in_parallel(soft_scan, jobs).values())).reshape(
    len(seeds), -1, 1 + len(ETAS)
)
softness = {eta: bounds(ratio_of_sums, counted[..., 1 + i], counted[..., 0]) for i, eta in enumerate(ETAS)}
pictures.soft_counts(
    pd.DataFrame(
        [
            {"eta": eta, "share": counted[i, :, 1 + k].sum() / counted[i, :, 0].sum(), "seed": s}
            for i, s in enumerate(seeds)
            for k, eta in enumerate(ETAS)
        ]
    ),
    "Soft count of boundaries as a share of the exact count against sharpness, for three CNNs.",
)

# %% tags=["hide-input"]
pd.DataFrame({f"η = {eta:g}": interval(softness[eta], 4) for eta in ETAS}, index=["soft / hard"])

# %% [markdown]
# At η = 1 the gates are so blurred that part of the boundaries go unnoticed; from η = 100 on the two counts agree to a
# fraction of a per cent. The soft count may exceed the hard one a little: a unit that comes close to zero and turns back moves its gate
# without crossing. So the lens carries over to smooth nets, with η as its resolution.
#
# And attention? Hold a block's attention patterns and LayerNorm scales as they are at one input, and the rest, with a ReLU in its MLP, is
# piecewise linear: exact segments work as before, and `verify=True` compares every piece with the frozen block.

# %%
torch.manual_seed(0)
block = nn.TransformerEncoderLayer(32, 4, 128, batch_first=True).eval()
start, end = torch.randn(2, 8, 32)  # two sequences of 8 tokens
frozen = polytopes.frozen(block, start[None])
print(polytopes.segment(frozen, start, end, verify=True))

# %% [markdown]
# A block with random weights shows that it can be done and nothing about language models. What the lens sees in a trained
# transformer, and how far its patterns move along a path, are open questions here as in the source.


# %% tags=["hide-cell"]
def enter(claim: str, case: str, interval: Interval, n: int) -> None:
    ledger.record(claim, case, interval, n=n, data=heldout)


if committed:
    for name, layer in CASES:
        case, n = f"{name}, {layer}", RAYS[layer]
        enter("polytope-1", case, changed[name, layer, "images"], n)
        if layer == "relu5":
            continue
        enter("polytope-6a", case, peaks[name, layer, "images"], n)
        enter("polytope-6b", case, shells[name, layer, "noise"], NOISE[layer])
        enter("polytope-6d", case, plenty[name, layer, "images"], n)
        enter("polytope-6e", case, dense["below"][name, layer, "images"], n)
        if name == "RES" or layer == "pool2":
            enter("polytope-6e", f"{case}, scaled up", dense["beyond"][name, layer, "images"], n)
        enter("ours-shell-at-the-origin", case, near[name, layer, "images"], n)
    for name, layer in fresh_cases:
        case, n = f"{name}, {layer}", NOISE[layer]
        enter("polytope-6c", case, peaked[name, layer, "usual biases"], n)
        count = range_over_nets(totals[name, layer, "none"].sum(axis=1), seeds=seeds)
        enter("ours-bias-free-rays", case, count, n)
    for eta in [1, 100, 10000]:
        enter("polytope-10", f"CNN, pool2, η = {eta}", softness[eta], 90)

# %% [markdown]
# ## What reproduces, what does not, and why
#
# **Reproduces.** Scaling changes the class, at every layer of both nets.
#
# **Under a condition.** Class changes fall into dense places from the dense layer on, and beyond the activation into sparse ones wherever
# there are enough of them: the source's own account, of which the ledger made a success until 2026-11-27. Noise meets the shell, beyond doubt at relu4
# only.
#
# **Does not.** "About halfway": at pool2, which stands for the source's layer, density peaks near a tenth of the way, and at relu4 at the origin; in the
# residual net it peaks halfway on the mean, undecided. "Plenty of class changes" beyond the activation holds at the stem and at block1 of the
# residual net and not in the CNN. The untrained net's peak is not absent at relu4, and undecided elsewhere. Our own claim that most boundaries lie in the first
# tenth, made after a pilot on a CNN without batch norm at this place, holds for the dense layer only.
#
# **Why.** A unit flips where its bias equals what the input adds. Batch norm makes the two of one size, dense layers with large inputs do
# not, and zero biases leave nothing to equal. The same reason covers the shell's place, its indifference to direction and a control without boundaries.
#
# **Limits.** Rays from low layers are dear: one image of each digit at the stem and at block1, three directions of noise at the stem. There are three nets of
# each kind, and where they differ intervals are wide. The source's figure shows two images of one GoogLeNet. Its own net was not run here.
#
# **Soft codes.** At η = 10,000 the soft count agrees with the exact one to a thousandth. At η = 100 it does so on average; its interval
# reaches just above the rule's 1.001, since gates that approach zero and turn back count, too.
#
# The cases behind the verdicts:

# %% tags=["hide-cell"]
print(ledger.save())

# %% tags=["hide-input", "hide-output"]
ledger.table()

# %% [markdown]
# ## Exercises
#
# 1. Scale the activation of your own net with the five lines above. Where is the median boundary, and does
#    `bias_share` predict it?
# 2. Multiply all biases of the trained CNN behind pool3 by ten (batch norm's running means, too: why?). Where does the shell go?
# 3. Train the CNN with `bias=False`, so that it is homogeneous for good. It has no shell at all. Does it classify worse?
