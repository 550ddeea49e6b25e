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
# # Do polytope boundaries run between classes?
#
# The first chapters used spline codes as names. This one looks at what they name: **polytopes**, the pieces into which
# a ReLU network cuts a space, with one affine map on each. *Interpreting neural networks through the polytope lens*
# {cite}`black2022polytopes` claims that the boundaries between these pieces follow meaning: on the way between two
# images of one class there are fewer of them per unit of length than between two images of different classes, in
# trained networks only, and more clearly so the deeper one looks.
#
# Here: six small convolutional nets on MNIST-5k and two published ResNets on CIFAR-10. In short:
#
# - Codes name affine pieces **exactly**. With max-pooling they need a companion: every fifth or sixth boundary is a
#   pooling window that changes its winner, which no ReLU records.
# - Density is lower within a class than between classes in every layer of the trained **residual nets**, and at the input and `relu1`
#   of the CNNs. Behind that the CNNs' means agree but for `relu5`, where 48 units are left to count, and three nets
#   are too few to be sure. In the ResNets on CIFAR-10 it holds everywhere but at the input.
# - "Only in trained networks" is **open** on digits for most layers: untrained nets have a gap at their low layers on the mean, by
#   which they differ too much to say. Comparing pairs of equal
#   distance, our own remedy, nearly closes it in one kind of net and widens it in the other. Pairs of equal distance
#   *and angle* show what the source claims.
# - "More clearly with depth" **holds** in the ResNets on CIFAR-10, step by step. In the small nets no step is
#   settled.

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
quick = False  # one seed, 200 images and short segments, for a look

# %% tags=["hide-input"]
import itertools
import math
from copy import deepcopy

import numpy as np
import pandas as pd
import torch

from pictures import density as pictures
from pictures import polytopes as mosaics
from splinelab import charts, claims, data, polytopes, protocol, record, zoo
from splinelab.distances import pairwise
from splinelab.intervals import Interval, range_over_nets
from splinelab.nets import mlp, resnet_cifar

charts.use()
committed = seed == 0 and not quick
seeds = range(seed, seed + (3 if committed else 1))
heldout = protocol.sample(zoo.heldout("CNN"), 1000 if committed else 200)
resamples = 300 if committed else 50
ledger = claims.Notebook("03_polytope_density", committed=committed)
if seed != 0:
    print(f"Other seeds than the zoo's: nets trained for {protocol.SMALL_BUDGET} steps.")

# %% [markdown]
# The ledger's verdicts on this chapter's claims, from the committed measurements; the last section shows the cases
# behind each of them.

# %% tags=["hide-input"]
ledger.summary()

# %% [markdown]
# ## What is a polytope?
#
# Take a net with two inputs, so that everything can be drawn: 2-8-8-3, trained for a second or two on three arms of a
# spiral. `polytopes.plane` gives all polygons of the square, exactly.

# %% tags=["hide-input"]
rng = np.random.default_rng(0)
arm = np.arange(150) % 3
radius = rng.uniform(0.12, 0.95, len(arm))
angle = 2 * np.pi * arm / 3 + 2.6 * radius + rng.normal(0, 0.16, len(arm))
spiral = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
inputs, targets = torch.from_numpy(spiral), torch.from_numpy(arm)

toy = mlp((2, 8, 8, 3), seed=1, dtype=torch.float64)
optimiser = torch.optim.Adam(toy.parameters(), lr=0.03)
for _ in range(400):
    optimiser.zero_grad()
    loss = torch.nn.functional.cross_entropy(toy(inputs), targets)
    loss = loss + 1e-4 * sum(weights.square().sum() for weights in toy.parameters())
    loss.backward()
    optimiser.step()
toy.eval()
points = pd.DataFrame({"x": spiral[:, 0], "y": spiral[:, 1], "class": arm})

# %%
square = [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]
cut = polytopes.plane(toy, *square, margin=0, verify=True)
cut

# %% [markdown]
# *Where are they, and what does each of them do?* Point at a polygon in the left picture: below appear its code (the
# eight units of the first layer, then those of the second), its area, and how steep its affine map is.


# %% tags=["hide-input"]
def corners_of(cut) -> list[np.ndarray]:
    return [cut.to_space(polygon) for polygon in cut.polygons]


def code_of(bits: np.ndarray) -> str:
    return " ".join("".join(map(str, layer)) for layer in (bits[:8], bits[8:]))


steepness = np.linalg.norm(cut.maps[:, :, 1:], ord=2, axis=(1, 2))
table = mosaics.vertices(
    corners_of(cut),
    {
        "class": cut.classes,
        "steepness": steepness,
        "area": cut.areas,
        "code": [code_of(bits) for bits in cut.codes.bits()],
    },
)
mosaics.mosaic(table, points)

# %% [markdown]
# Inside a polygon the net is one affine map, and nothing else happens: the steepness is constant. Neighbours differ
# in one bit of the code, the unit whose boundary they share. The map is steep where two arms meet, and the cuts that
# make it so lie there. That is the intuition behind the claims below.
#
# *Why are some boundaries straight and others bent?* Layer by layer:


# %% tags=["hide-input"]
def boundaries(net, cut) -> pd.DataFrame:
    """Where units of a net are zero, by layer."""
    polygons = corners_of(cut)
    values = [record(net, polygon).pre for polygon in polygons]
    names = {"first layer": "relu1", "second layer": "relu2"}
    return pd.concat(
        [
            mosaics.zero_lines(polygons, [pre[layer] for pre in values], title)
            for title, layer in names.items()
        ]
    )


lines = boundaries(toy, cut)
first = lines[lines["layer"] == "first layer"]
mosaics.layers([("first layer", first), ("both layers", lines)], table)

# %% [markdown]
# A unit of the first layer sees the inputs themselves; its boundary is a straight line. A unit of the second layer
# sees the outputs of the first, which are affine only between the first layer's lines: where its boundary crosses one of
# them, it bends {cite}`hanin2019regions,balestriero2018spline`. In more dimensions lines become hyperplanes.
#
# **Turn one.** The slider turns the weight vector of one unit of the first layer (thick, orange) and leaves all other
# weights as they are. Boundaries of the second layer are pink. *What moves along?*


# %% tags=["hide-input"]
unit = int(toy.linear2.weight.abs().sum(0).argmax())  # the one that the second layer listens to most


def turn(degrees: float, shift: float = 0.0):
    """The toy net with one weight vector turned and one boundary moved."""
    net = deepcopy(toy)
    turned = np.deg2rad(degrees)
    rotation = torch.tensor([[np.cos(turned), -np.sin(turned)], [np.sin(turned), np.cos(turned)]])
    with torch.no_grad():
        weight = net.linear1.weight[unit]
        net.linear1.bias[unit] += shift * weight.norm()
        net.linear1.weight[unit] = rotation @ weight
    return net


def frame(net):
    cut = polytopes.plane(net, *square, margin=0)
    polygons = corners_of(cut)
    pre = [record(net, polygon).pre for polygon in polygons]
    thick = pd.concat(
        [
            mosaics.zero_lines(polygons, [z["relu1"][:, [unit]] for z in pre], "first layer"),
            mosaics.zero_lines(polygons, [z["relu2"] for z in pre], "second layer"),
        ]
    )
    with torch.no_grad():
        right = float((net(inputs).argmax(1) == targets).double().mean())
    painted = mosaics.vertices(polygons, {"class": cut.classes})
    return mosaics.turned(painted, thick, points, f"{len(cut)} polygons, accuracy {right:.2f}")


degrees = range(-60, 61, 30 if committed else 60)
charts.frames(
    [frame(turn(angle)) for angle in degrees],
    [f"{angle}°" for angle in degrees],
    title="turn by",
    start=degrees.index(0),
    description="The polygons of the toy net while one boundary of the first layer is turned: boundaries of the "
    "second layer bend along it, polygons come and go, and the classes move.",
)

# %% [markdown]
# The thick straight line turns, and every pink boundary that crosses it gets its kink elsewhere. What lies on the side
# where the unit is off does not move at all. The next slider shifts the same line through its bias.

# %% tags=["hide-input"]
shifts = [round(0.1 * step, 1) for step in range(-6, 7, 3 if committed else 6)]
charts.frames(
    [frame(turn(0, shift)) for shift in shifts],
    [f"{shift:+.1f}" for shift in shifts],
    title="shift by",
    start=shifts.index(0.0),
    description="The polygons of the toy net while one boundary of the first layer is shifted across the square.",
)

# %% [markdown]
# ## Polytopes between two images
#
# A net for images has too many inputs to draw, and too many polytopes to list. On a straight way between two images,
# though, the boundaries can be found exactly, all of them, in one forward pass. Five lines, and your own CNN and images do
# as well:

# %%
net = protocol.nets("CNN", [seed], data.mnist5k())[0]
two = heldout.images[[heldout.labels.tolist().index(3), heldout.labels.tolist().index(8)]]
way = polytopes.segment(net, *two, layer="pool2")
way

# %% [markdown]
# Here the way leads from a 3 to an 8 through the space behind the layer `pool2`. *What happens to the outputs at the
# boundaries, and which layers put them there?*

# %% tags=["hide-input"]
at = np.linspace(0, 1, 61)
outputs = pd.DataFrame(
    [
        {"t": t, "class": k, "output": value}
        for t, row in zip(at, way.output_at(at), strict=True)
        for k, value in enumerate(row)
    ]
)
edges = np.linspace(0, 1, 41)
counted = {
    **{
        name: np.histogram(way.crossing_t[way.crossing_layer == i], edges)[0]
        for i, name in enumerate(way.codes.layers)
    },
    "max-pooling": np.histogram(way.pool_crossings, edges)[0],
}
pictures.along_segment(
    outputs,
    pd.DataFrame(
        [
            {"t": t, "layer": name, "boundaries": int(number)}
            for name, numbers in counted.items()
            for t, number in zip((edges[1:] + edges[:-1]) / 2, numbers, strict=True)
        ]
    ),
)

# %% [markdown]
# The curves look smooth and are not: each is made of as many straight pieces as the bars count, and one. *Is that
# literally true?* The first claim of the source is a definition with content: one bit for each ReLU, and the net is affine
# wherever they stay the same. So take every piece, go to its middle, and compare the net with the straight line
# between the piece's ends. Pairs of held-out images, three nets each (from the input, the first three tenths of the way,
# which hold thousands of pieces); the error is a share of the largest output.


# %% tags=["hide-input"]
WAYS = [("CNN", "input", 2), ("CNN", "pool2", 6), ("RES", "input", 2)] if committed else [("CNN", "pool2", 2)]
pool = protocol.sample(zoo.heldout("CNN"), 60)  # every ten in a row are ten digits


def deviation(name: str, layer: str, count: int, number: int) -> dict[str, float]:
    """Largest error in the middle of the pieces, with and without the pooling winners; what the pieces are."""
    exact = deepcopy(protocol.nets(name, [seeds[number]], data.mnist5k())[0]).double()
    images = torch.from_numpy(pool.images[2 * count * number : 2 * count * (number + 1)]).double()
    rest, there = polytopes.from_layer(exact, layer, images)
    there[1::2] = torch.lerp(there[::2], there[1::2], 0.3 if layer == "input" else 1.0)  # pieces enough
    ways = polytopes.paths(rest, [there[[2 * i, 2 * i + 1]] for i in range(count)])
    found = {"pieces": 0, "pool": 0, "exact": 0.0, "codes alone": 0.0}
    for way in ways:
        largest = np.abs(way.outputs).max()
        ends = np.concatenate([[0.0], way.boundaries, [1.0]])
        middle = (ends[1:] + ends[:-1]) / 2
        with torch.no_grad():
            true = [
                rest(torch.from_numpy(way.at(some))).numpy()
                for some in np.array_split(middle, 1 + len(middle) // 256)
            ]
        straight = (way.output_at(ends[1:]) + way.output_at(ends[:-1])) / 2
        found["exact"] = max(found["exact"], np.abs(np.concatenate(true) - straight).max() / largest)
        coded = np.unique(np.concatenate([[0.0], way.crossing_t, [1.0]]))
        bent = way.output_at((coded[1:] + coded[:-1]) / 2)
        straight = (way.output_at(coded[1:]) + way.output_at(coded[:-1])) / 2
        found["codes alone"] = max(found["codes alone"], np.abs(bent - straight).max() / largest)
        found["pieces"] += len(middle)
        found["pool"] += int((~np.isin(way.boundaries, way.crossing_t)).sum())
    return found


jobs = [(*job, number) for job in WAYS for number in range(len(seeds))]
affine = protocol.in_parallel(deviation, {job: job for job in jobs})


def over_seeds(name: str, layer: str) -> dict[str, list]:
    runs = [found for job, found in affine.items() if job[:2] == (name, layer)]
    return {key: [found[key] for found in runs] for key in runs[0]}


def rounded_up(error: float) -> float:
    """To a power of a hundred: what is left of rounding, about 1e-15, differs between processors."""
    return 10.0 ** (2 * math.ceil(math.log10(error) / 2)) if error else 0.0


rows = {}
for name, layer, count in WAYS:
    each = over_seeds(name, layer)
    rows[f"{name}, {layer}"] = {
        "ways": count * len(seeds),
        "pieces per way": round(sum(each["pieces"]) / (count * len(seeds))),
        "error below": f"{max(map(rounded_up, each['exact'])):.0e}",
        "boundaries of pooling alone": f"{sum(each['pool']) / sum(each['pieces']):.0%}",
        "error with codes alone": f"{max(each['codes alone']):.0e}",
    }
pd.DataFrame(rows).T

# %% [markdown]
# To within rounding, the net is affine on every piece. (Until 2026-11-27 the ledger kept six decimals of this error, so that
# it was 0 and no net could have failed.) But look at the last two columns. In the CNN, part of the
# boundaries belongs to no ReLU: there a max-pooling window changes its winner. Codes that record ReLUs alone give one
# name to several affine pieces, and a single map is then off by the error in the last column: little, since such
# pieces are short, and not rounding. The source's network (GoogLeNet) pools as well, and its codes leave this out; the
# residual net here has no max-pooling, and its codes are complete.

# %% [markdown]
# ## Fewer boundaries within a class?
#
# The source's measure: take two images, their activations at a layer, and the codes from that layer to the output. The
# **polytope density** of the pair is the number of units that differ, divided by the Euclidean distance of the
# activations; then it is divided by the mean over all pairs. Here: all pairs of 1000 held-out images, every layer, three
# nets of each kind. *Is density lower within a class (blue) than between classes (orange), and only after training?*


# %% tags=["hide-input"]
def networks(name: str, training: str) -> list:
    if training == "trained":
        return protocol.nets(name, seeds, data.mnist5k())
    return [zoo.untrained(name, s) for s in seeds]


def behind(net, layer: str, images):
    """Codes of everything behind a layer, and the activations there."""
    rest, activations = polytopes.from_layer(net, layer, images.images.copy())
    return record(rest, activations, activations=False).codes, activations.flatten(1).numpy()


def measure(name: str, training: str, layer: str):
    """The density of all nets of a kind; for a trained CNN also one net alone, for the test."""
    looks = [behind(net, layer, heldout) for net in networks(name, training)]
    codes, activations = map(list, zip(*looks, strict=True))
    options = {"resamples": resamples, "level": 0.99}
    whole = polytopes.density(codes, activations, heldout.labels, **options)
    if name != "CNN" or training != "trained":
        return whole, None
    return whole, polytopes.density(codes[0], activations[0], heldout.labels, resamples=100)


places = [
    (name, training, layer)
    for name in ["CNN", "RES"]
    for training in ["trained", "untrained"]
    for layer in protocol.LAYERS[name]
    if committed or (training, layer) != ("untrained", "relu5")  # few images, and all codes are equal there
]
measured = protocol.in_parallel(measure, {place: place for place in places})
found = {place: whole for place, (whole, _) in measured.items()}
alone = {place: single for place, (_, single) in measured.items() if single}


def rows_of(statistics: dict[str, str], column: str) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"net": name, "training": training, "layer": layer, column: title}
            | dict(
                zip(("value", "low", "high"), getattr(found[name, training, layer], statistic), strict=True)
            )
            for name, training, layer in places
            for statistic, title in statistics.items()
        ]
    )


pictures.intra_inter(rows_of({"intra": "intra-class", "inter": "inter-class"}, "pair"))

# %% [markdown]
# In trained nets, yes: blue lies below orange from the input on, by about a tenth, which is what the source found. The
# one exception is `relu5` of the CNN, where only 48 units are left to count and the three nets disagree. In untrained
# nets the difference is smaller, but at low layers it is there on the mean: at the CNN's input it is two thirds as
# large as after training. (In the untrained `relu5` nearly half of the pairs have equal codes and most units never
# change; nothing should be read from it.) The source says that density is lower within classes *only* in the trained net. Until
# 2026-11-27 the ledger asked untrained nets for equal densities, and so took a higher one within classes for a failure, too.
#
# As one number for each layer: intra-class density over inter-class density. Below 1, boundaries are sparser within
# classes. Bars are 99 % intervals, as in the source, but over images and nets.

# %% tags=["hide-input"]
pictures.ratios(rows_of({"ratio": "raw", "matched": "distance matched"}, "statistic"))

# %% [markdown]
# The red dots are that ratio. The green ones answer an objection of ours: two images of one class are closer to each
# other, and if density depends on distance, some of the gap has nothing to do with class. So pairs are compared within
# twenty bins of nearly equal distance. We had expected the untrained gap to vanish and the trained one to stay. The
# trained one stayed. The untrained one shrank in the CNN, and in the residual net it *grew* with depth. *Why?*

# %% [markdown]
# ## What else differs between pairs?
#
# *How does density depend on distance?* Choose a net and a layer.


# %% tags=["hide-input"]
half = protocol.sample(heldout, 400)
upper = np.triu_indices(len(half), 1)
same = (half.labels[:, None] == half.labels)[upper]


def bins_of(values: np.ndarray, count: int = 20) -> np.ndarray:
    return np.searchsorted(np.quantile(values, np.arange(1, count) / count), values, side="right")


def means(values: np.ndarray, group: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    size = np.bincount(group[mask], minlength=group.max() + 1)
    total = np.bincount(group[mask], values[mask], group.max() + 1)
    return total / np.maximum(size, 1), size


def ratio_within(density: np.ndarray, group: np.ndarray) -> float:
    """Intra over inter in each group, averaged with the number of intra pairs as weights."""
    (intra, some), (inter, others) = (means(density, group, mask) for mask in (same, ~same))
    usable = (some > 0) & (others > 0) & (inter > 0)
    return float(np.average(intra[usable] / inter[usable], weights=some[usable]))


def pairs_of(name: str, training: str, layer: str) -> dict:
    """Of the first net the curves, of all nets the ratios: raw, and among pairs that are alike."""
    ratios = {"raw": [], "distance": [], "angle": [], "both": []}
    curves = []
    for net in networks(name, training):
        codes, activations = behind(net, layer, half)
        differing = pairwise(codes, metric="hamming")[upper]
        distance = pairwise(activations, metric="l2")[upper]
        direction = pairwise(activations, metric="cosine")[upper]
        density = differing / distance
        density = density / density.mean()
        near, alike = bins_of(distance), bins_of(direction)
        groups = {"raw": 0 * near, "distance": near, "angle": alike, "both": 20 * near + alike}
        for kind, group in groups.items():
            ratios[kind].append(ratio_within(density, group))
        for pair, mask in {"intra-class": same, "inter-class": ~same}.items():
            if len(ratios["raw"]) == 1:
                middle, _ = means(distance / distance.mean(), near, mask)
                height, size = means(density, near, mask)
                curves += [
                    {"pair": pair, "distance": x, "density": y}
                    for x, y, n in zip(middle, height, size, strict=True)
                    if n >= 30
                ]
    return {"ratios": ratios, "curves": curves}


telling = [place for place in places if place[2] != "relu5"]  # untrained, hardly a unit there ever changes
looked = protocol.in_parallel(pairs_of, {place: place for place in telling})
pictures.by_distance(
    pd.DataFrame(
        [
            {"place": f"{name}, {layer}", "training": training, **point}
            for name, training, layer in telling
            for point in looked[name, training, layer]["curves"]
        ]
    ),
    start="RES, block1",
)

# %% [markdown]
# In the untrained residual net near pairs are the denser ones. Images of one class are nearer to each other, so their raw
# density is raised, and matching lays bare a gap that was hidden. The two curves lie apart at *every* distance. What else
# differs between pairs of one class and pairs of two? The **angle**, it may be: a bold 3 and a faint 3 can be as far
# apart as a 3 and an 8, and still point nearly the same way, while a random ReLU net responds to direction above all. So
# match pairs by distance and by angle (400 bins, 400 images, means over nets). We thought of this after the measurements
# above, so the ledger has no such claim.

# %% tags=["hide-input"]
NAMES = {
    "raw": "raw",
    "distance": "equal distance",
    "angle": "equal angle",
    "both": "equal distance and angle",
}
pd.DataFrame(
    {
        f"{name}, {layer}": {
            f"{training}, {title}": f"{np.mean(looked[name, training, layer]['ratios'][kind]):.2f}"
            for training in ["untrained", "trained"]
            for kind, title in NAMES.items()
            if kind != "angle"
        }
        for name in ["CNN", "RES"]
        for layer in protocol.LAYERS[name]
        if layer != "relu5"
    }
).T

# %% [markdown]
# With both held equal, an untrained net has no gap worth the name, and a trained one keeps a gap in every layer, from a
# few per cent at the input to a tenth and more behind. That is the contrast which the source claims, and on these nets
# it takes this control to see it. (`relu5` is left out, for the reason above.)

# %% [markdown]
# ## How sure is that?
#
# The source gives Welch's t-test over pairs, with p = 3.8e-46. The same test here, for the first of the three CNNs:

# %% tags=["hide-input"]


def exponent(p: float) -> str:
    return "< 1e-300" if p < 1e-300 else f"{p:.0e}"


def spread_against_welch(single) -> str:
    """The standard deviation of intra − inter under resampled images, over Welch's standard error."""
    gap = single.draws["intra"].minus(single.draws["inter"]).drawn
    error = abs((single.intra.value - single.inter.value) / single.nets[0].welch.t)
    return f"{gap.std(ddof=1) / error:.0f}"


pd.DataFrame(
    {
        layer: {
            "t": f"{single.nets[0].welch.t:.0f}",
            "df": f"{single.nets[0].welch.df:.0f}",
            "p": exponent(single.nets[0].welch.p),
            "true error / Welch's": spread_against_welch(single),
        }
        for (_, _, layer), single in alone.items()
    }
).T

# %% [markdown]
# Such a p is far too small: 1000 images make half a million pairs, every image sits in 999 of them, and the test takes
# them all for independent. The last column says by how much it is mistaken: when *images* are resampled, the difference
# varies that many times more than Welch's test believes. Nor can a test over pairs know that another net of the same
# recipe may come out otherwise, as `relu5` does. All other intervals in this chapter are over images and nets.

# %% [markdown]
# ## Does the gap grow with depth?
#
# Differences between neighbouring layers, on the same images and nets (95 % intervals). Negative: the gap
# is wider at the later layer.


# %% tags=["hide-input"]
def signed(interval: Interval) -> str:
    value, low, high = interval
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


def steps(layers) -> list[tuple[str, str]]:
    return list(itertools.pairwise(layers))


def step(name: str, before: str, after: str, statistic: str):
    one, other = found[name, "trained", after], found[name, "trained", before]
    return one.difference(other, statistic, level=0.95)


pd.DataFrame(
    {
        f"{name}, {before} to {after}": {
            "raw": signed(step(name, before, after, "ratio")),
            "distance matched": signed(step(name, before, after, "matched")),
        }
        for name in ["CNN", "RES"]
        for before, after in steps(protocol.LAYERS[name])
    }
).T


# %% tags=["hide-cell"]
def enter(claim: str, case: str, interval: Interval, sample=heldout, **others) -> None:
    ledger.record(claim, case, interval, data=sample, **others)


def at_95(density, statistic: str) -> Interval:
    return density.difference(0.0, statistic, level=0.95)


if committed:
    for name, layer, count in WAYS:
        worst = range_over_nets(
            [rounded_up(error) for error in over_seeds(name, layer)["exact"]], seeds=seeds
        )
        enter("polytope-2", f"{name}, {layer}", worst, pool, n=2 * count * len(seeds))
    for (name, training, layer), density in found.items():
        raw, matched = {
            "trained": ("polytope-4a", "ours-density-matched"),
            "untrained": ("polytope-4b", "ours-density-matched-untrained"),
        }[training]
        enter(raw, f"{name}, {layer}", at_95(density, "ratio"))
        enter(matched, f"{name}, {layer}", at_95(density, "matched"))
    for name in ["CNN", "RES"]:
        for before, after in steps(protocol.LAYERS[name]):
            case = f"{name}, {before} to {after}"
            enter("polytope-5", case, step(name, before, after, "ratio"))
            enter("ours-density-matched-depth", case, step(name, before, after, "matched"))

# %% [markdown]
# In the small nets there is no steady growth. In the CNN the gap widens in one step, into the output of the
# last convolution (`relu4`), and is lost in the next. In the residual net it widens by two per cent into `block2`. With
# distance matched more steps point downwards, but not all. The ledger asks for all eight steps at once, and its wider intervals
# leave every one of them undecided.

# %% [markdown]
# ## CIFAR-10
#
# Small nets on digits are not what the source looked at. ResNet-20 and ResNet-56 {cite}`he2016resnet`, trained on
# CIFAR-10 {cite}`krizhevsky2009cifar` and published by others, come closer: 188 thousand and 532 thousand units behind
# the input. All pairs of 500 test images, one net of each kind, so that intervals cover images only. They are measured
# where their files are at hand (`SPLINELAB_DATA`); elsewhere the ledger keeps what was measured before.

# %% tags=["hide-cell", "nbval-ignore-output"]
TITLES = {"resnet20": "ResNet-20", "resnet56": "ResNet-56"}
at_hand = committed and data.cifar10_at_hand() and zoo.pretrained_at_hand()


def measure_cifar(name: str, training: str, layer: str):
    images = protocol.sample(data.cifar10(), 500)
    depth = int(name.removeprefix("resnet"))
    net = zoo.pretrained(name) if training == "trained" else resnet_cifar(depth, seed=0).eval()
    codes, activations = behind(net, layer, images)
    return polytopes.density(codes, activations, images.labels, resamples=resamples)


if at_hand:
    cifar = protocol.sample(data.cifar10(), 500)
    jobs = [
        (name, training, layer)
        for training, names in {"trained": TITLES, "untrained": ["resnet20"]}.items()
        for name in names
        for layer in protocol.LAYERS[name]
    ]
    large = protocol.in_parallel(measure_cifar, {job: job for job in jobs})
    for name, title in TITLES.items():
        layers = protocol.LAYERS[name]
        one = {"sample": cifar}
        for layer in layers:
            density = large[name, "trained", layer]
            enter("polytope-4c", f"{title}, {layer}", at_95(density, "ratio"), **one)
            enter("ours-density-matched-cifar", f"{title}, {layer}", at_95(density, "matched"), **one)
        for before, after in steps(layers):
            pair = large[name, "trained", after], large[name, "trained", before]
            enter(
                "polytope-5-cifar",
                f"{title}, {before} to {after}",
                pair[0].difference(pair[1], level=0.95),
                **one,
            )
    print("measured again on CIFAR-10; untrained:")
    control = {
        f"{TITLES[name]}, {layer}": {
            "raw": f"{density.ratio.value:.3f}",
            "distance matched": f"{density.matched.value:.3f}",
        }
        for (name, training, layer), density in large.items()
        if training == "untrained"
    }
    print(pd.DataFrame(control).T)
else:
    print("the files of CIFAR-10 are not at hand: its figures are the stored ones")

# %% [markdown]
# *Is density lower within a class, and does the gap grow?* From the ledger, with 95 % intervals over images:


# %% tags=["hide-input"]
def stored(claim: str, title: str) -> list[dict]:
    rows = []
    for each in ledger.ledger.found(claim):
        net, layer = each.case.label.split(", ")
        numbers = dict(zip(("value", "low", "high"), each.measurement, strict=True))
        rows.append({"net": net, "training": "trained", "layer": layer, "statistic": title, **numbers})
    return rows


on_cifar = [*stored("polytope-4c", "raw"), *stored("ours-density-matched-cifar", "distance matched")]
pictures.ratios(pd.DataFrame(on_cifar), domain=(0.78, 1.04)) if on_cifar else None

# %% tags=["hide-input"]
ledger.table("polytope-5-cifar")

# %% [markdown]
# Here the source's picture appears as it was drawn: no gap at the input, a small one behind the first group of
# blocks, and a larger one at every later layer, in both nets. An untrained ResNet-20 (in the hidden cell above)
# has raw ratios just above 1 in every layer, so that the control holds as well. With distance matched its ratios are .98
# to .99: the trained nets' matched gap *at the input* is hardly more than that, and the deeper ones are.

# %% [markdown]
# ## What reproduces, what does not, and why
#
# **Reproduces.** Codes, with the winners of max-pooling, name affine pieces, to within rounding. Density is lower within
# classes in every layer of the residual nets, at the input and `relu1` of the CNNs, and in every layer but the input of both
# ResNets on CIFAR-10. In the ResNets the gap grows with every step towards the output.
#
# **Undecided.** The other layers of the CNNs, where the means agree (but for `relu5`) and the three nets differ; whether untrained nets
# are free of a gap, but for `pool3`, `block1` and `block2`, which are; and growth with depth in the small nets. Until 2026-11-27
# intervals drew the nets themselves with replacement, which makes them too narrow, and several of these cases were called settled.
#
# **Where our own expectation failed.** Matching pairs by distance was to leave untrained nets without a gap. In `block2` of the
# residual net it opens one. Distance was only one of the things that differ between pairs; the angle is another, and
# with both held equal the contrast between trained and untrained is clear.
#
# **Why.** A likely explanation of `relu5`, not measured: behind it stand 48 units and a linear map to ten outputs, and
# training has drawn the activations of each class together. Two images of a class are then very close, and the few
# units that differ are divided by a small distance. Density is a count over a length, and tells less the fewer units
# there are to count. That small untrained nets have a gap and the untrained ResNet-20 has none may lie in the images:
# two digits of one class overlap, pixel by pixel, and two photographs of one class do not.
#
# **Completeness.** With max-pooling, a code of ReLU bits is not the whole name of a polytope. Densities here count the bits
# of ReLUs, as the source does; `record(..., pools=True)` adds the winners.
#
# The cases behind the verdicts:

# %% tags=["hide-cell"]
print(ledger.save())

# %% tags=["hide-input", "hide-output"]
ledger.table()

# %% [markdown]
# ## Exercises
#
# 1. Count `record(rest, activations, pools=True)` codes instead, winners included. Does the gap of the CNN change
#    at `input` and at `pool2`?
# 2. Leave the digit 1, whose images lie closest together, out of `heldout`. Which ratios move?
# 3. Divide the Hamming distance by the angle between activations rather than by their distance. In which layers does
#    an untrained net still show a gap?
