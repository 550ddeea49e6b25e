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
# # Appendix: how fast is all this?
#
# A book that compares millions of pairs of spline codes needs distances that cost next to nothing. This appendix measures
# what `splinelab` gains over the usual libraries: in one run, one after another in turns, on one thread, in CPU time. Ratios
# are good to about 15 %; the milliseconds belong to the machine that is named below.

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
quick = False  # fewer images and fewer turns, for a look

# %% tags=["hide-cell"]
import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and torch are loaded

import cProfile
import platform
import pstats
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from scipy.spatial.distance import pdist
from sklearn.cluster import SpectralClustering
from sklearn.metrics import pairwise_distances, silhouette_score
from threadpoolctl import threadpool_limits
from torch import nn

from pictures import speed as pictures
from splinelab import SplineCodes, charts, data, mechanisms, polytopes, protocol, record, spd, zoo
from splinelab.clustering import silhouette
from splinelab.distances import class_histograms, pairwise

torch.set_num_threads(1)
threadpool_limits(1)
charts.use()
backends = ["torch", "numkong"] if find_spec("numkong") else ["torch"]
turns = 2 if quick else 3  # the targets are meant for the whole run


def in_turns(calls):
    """Median CPU milliseconds of each call, in turns: quick ones several times a turn, slow ones in two turns."""
    taken = {name: [] for name in calls}
    for turn in range(turns):
        for name, call in calls.items():
            spent = 0 if turn < 2 or taken[name][0] < 1 else 1
            while spent < 0.1:
                start = time.process_time()
                call()
                taken[name].append(time.process_time() - start)
                spent += taken[name][-1]
    return {name: 1000 * float(np.median(each)) for name, each in taken.items()}


def compared(calls, targets=None):
    """Measure calls in turns by comparison; the first of each is the usual way. Prints the ratios to it."""
    rows = []
    for comparison, ways in calls.items():
        found = in_turns(ways)
        rows += [(comparison, way, ms) for way, ms in found.items()]
        usual, *ours = found
        for way in ours:
            ratio, target = found[usual] / found[way], (targets or {}).get(comparison, {}).get(way)
            told = f"{ratio:.3g} × as fast" if ratio >= 1 else f"{1 / ratio:.2f} × as long"
            aim = f"; target ≥ {target} ×: {'' if ratio >= target else 'not '}reached" if target else ""
            print(f"{comparison}, {way}: {told} as {usual}{aim}")
    return pd.DataFrame(rows, columns=["comparison", "way", "ms"])


def listed():
    """All Hamming distances by scipy, counted by same and different class."""
    above = np.triu_indices(len(bits), 1)
    same = labels[above[0]] == labels[above[1]]
    differing = np.rint(pdist(bits, "hamming") * codes.units).astype(np.int64)
    return np.bincount(differing + (codes.units + 1) * same, minlength=2 * (codes.units + 1))


# %% tags=["hide-input", "nbval-ignore-output"]
images = data.mnist5k()
chosen = np.random.default_rng(0).permutation(len(images))[: 1000 if quick else 3000]
codes = record(zoo.load("GA-mse", 0), images.images[chosen], activations=False).codes
labels, bits = images.labels[chosen], codes.bits().astype(bool)  # booleans: what the others are fastest with
measured = {  # the usual way, ours, and the targets of each backend that it knows
    "Jaccard, 200 × all": (
        lambda: pairwise_distances(bits[:200], bits, metric="jaccard"),
        lambda backend: pairwise(codes[:200], codes, "jaccard", backend=backend),
        {"torch": 40, "numkong": 350},
    ),
    "Jaccard, all × all": (
        lambda: pairwise_distances(bits, metric="jaccard"),
        lambda backend: pairwise(codes, metric="jaccard", backend=backend),
        {"torch": 40, "numkong": 100},
    ),
    "Hamming histogram": (
        listed,
        lambda backend: class_histograms(codes, labels, "hamming", backend=backend),
        {"torch": 10, "numkong": 30},
    ),
    "silhouette, Hamming": (
        lambda: silhouette_score(bits, labels, metric="hamming"),
        lambda backend: silhouette(codes, labels, "hamming"),
        {"torch": 100},
    ),
    "silhouette, Jaccard": (
        lambda: silhouette_score(bits, labels, metric="jaccard"),
        lambda backend: silhouette(codes, labels, "jaccard"),
        {"torch": 20},
    ),
}
calls = {
    name: {"scikit-learn or scipy": usual}
    | {backend: lambda b=backend, ours=ours: ours(b) for backend in backends if backend in targets}
    for name, (usual, ours, targets) in measured.items()
}
distances = compared(calls, {name: targets for name, (*_, targets) in measured.items()})
ms = distances.pivot(index="comparison", columns="way", values="ms")
ratios = ms["scikit-learn or scipy"] / ms["torch"]
charts.figure(
    pictures.times(distances),
    f"Distances between codes take {ratios.min():.0f} to {ratios.max():.0f} times less time than in the usual libraries.",
    f"Codes of {len(codes):,} images, {codes.units} bits each (GA-mse, seed 0). torch: the default; numkong: the extra "
    "[fast]. Packing and unpacking count as part of the time.",
    holds=bool(ratios.min() > 5),
)

# %% [markdown]
# ## Which machine is it?
#
# NumKong is quickest where the processor counts the ones of a whole 512-bit register in one instruction (VPOPCNTDQ: Intel
# since Ice Lake, AMD since Zen 4). Its targets assume it. Without it, the gain over a product of matrices is small.

# %% tags=["nbval-ignore-output"]
facts = Path("/proc/cpuinfo")  # where there is one
facts = facts.read_text().splitlines() if facts.exists() else []
names = [line[13:] for line in facts if line.startswith("model name")]
print(f"{(names or [platform.machine()])[0]}, {os.cpu_count()} cores")
counts_bits = any("avx512_vpopcntdq" in line for line in facts)
print("512-bit popcount:", "yes" if counts_bits else "no, or unknown")
print(f"backends: {', '.join(backends)}")

# %% [markdown]
# ## Where does the gain come from?
#
# For codes $a$, $b$ of zeros and ones, one product of matrices counts all common ones at once, and
#
# $$\text{Hamming} = |a| + |b| - 2\,a\cdot b, \qquad
#   \text{Jaccard} = \frac{|a| + |b| - 2\,a\cdot b}{|a| + |b| - a\cdot b}.$$
#
# The default backend leaves the product to `torch`; `[fast]` counts bits of packed codes. *Do all agree?*

# %%
a, b = bits[:200].astype(np.float32), bits.astype(np.float32)
common = a @ b.T  # ones that both have
ones = a.sum(axis=1)[:, None] + b.sum(axis=1)
by_hand = (ones - 2 * common) / (ones - common)
theirs = pairwise_distances(bits[:200], bits, metric="jaccard")
theirs = theirs.astype(np.float32)
print("by hand:", np.array_equal(by_hand, theirs))
for backend in backends:
    found = pairwise(codes[:200], codes, "jaccard", backend=backend)
    print(f"{backend}:", np.array_equal(found, theirs))

# %% [markdown]
# To the last bit: a Jaccard distance is the float32 number nearest to an exact ratio of integers.
#
# ## How far does it go?
#
# The number of pairs grows with the square of the number of images; the memory does not, since only one block of distances
# exists at a time. Recording grows as the images do.

# %% tags=["hide-input", "nbval-ignore-output"]
net = zoo.load("GA-mse", 0).eval()
everything = record(net, images.images, activations=False).codes
grown = []
for size in [500, 1000] if quick else [1250, 2500, 5000]:
    part = np.random.default_rng(1).permutation(len(images))[:size]
    found = in_turns(
        {
            f"pairs, {metric}": lambda p=part, m=metric: class_histograms(everything[p], images.labels[p], m)
            for metric in ("hamming", "jaccard")
        }
        | {"recording": lambda p=part: record(net, images.images[p], activations=False)}
    )
    grown += [(what, size, ms / 1000) for what, ms in found.items()]
grown = pd.DataFrame(grown, columns=["what", "images", "seconds"])
last = grown[grown["images"] == grown["images"].max()].set_index("what")
rate = last["images"] * (last["images"] - 1) / 2e6 / last["seconds"]
charts.figure(
    pictures.growth(grown),
    f"{rate['pairs, hamming']:.0f} million pairs a second: the 60,000 images of full MNIST take "
    f"{1800 / rate['pairs, hamming']:.0f} s.",
    "CPU time of class-wise histograms of all pairs (torch), and of recording the codes, by the number of images. "
    "The time for full MNIST is extrapolated.",
)

# %% [markdown]
# The whole of full MNIST was counted once; the [notes](../book/notes.md) have the time and the memory.
#
# ## What does recording cost?
#
# The contender is what one writes by hand: a forward hook on every `nn.ReLU` that packs the signs of its input. It has no
# check and misses `F.relu`; `record` sees every operation, refuses those without a rule, and compares codes and outputs
# with the plain model on other sizes of batch.


# %%
def plain(net, inputs, size=512):
    with torch.no_grad():
        return torch.cat([net(batch) for batch in inputs.split(size)])


def hooked(net, inputs):
    kept = []

    def keep(module, given, output):
        signs = (given[0] > 0).flatten(1).numpy()
        kept.append(np.packbits(signs, axis=1))

    relus = [each for each in net.modules() if isinstance(each, nn.ReLU)]
    hooks = [each.register_forward_hook(keep) for each in relus]
    outputs = plain(net, inputs)
    for hook in hooks:
        hook.remove()
    return outputs, kept


# %% tags=["hide-input", "nbval-ignore-output"]
torch.manual_seed(0)
small_cnn = nn.Sequential(
    nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(2048, 64), nn.ReLU(), nn.Linear(64, 10),
).eval()  # fmt: skip
passes = {
    "MLP": (net, torch.from_numpy(images.images).repeat(1 if quick else 4, 1, 1, 1)),
    "CNN": (small_cnn, torch.rand(100 if quick else 500, 3, 32, 32)),
}
recording = compared(
    {
        f"{name}, {len(x):,} images": {
            "plain pass": lambda net=net, x=x: plain(net, x),
            "hooks": lambda net=net, x=x: hooked(net, x),
            "codes": lambda net=net, x=x: record(net, x, batch_size=512, activations=False),
            "codes, activations": lambda net=net, x=x: record(net, x, batch_size=512),
        }
        for name, (net, x) in passes.items()
    }
)
costs = recording.pivot(index="comparison", columns="way", values="ms")
extra = costs["codes"] / costs["plain pass"]
charts.figure(
    pictures.times(recording),
    f"Recording codes takes {extra.min():.2f} to {extra.max():.2f} times as long as a plain pass.",
    "An MLP with three layers of 200, and a small untrained CNN on 32 × 32 images in three colours. Aims: 1.3 and 1.6.",
)

# %% [markdown]
# The faster the processor multiplies, the more the rest shows: `record` adds a fixed time per operation and batch, some
# milliseconds for its checks, and one more reading of each layer's values.
#
# ## What do exact boundaries save?
#
# The contender of [polytope geometry](03_polytope_density) is sampling: how many equidistant points of a segment find
# what one exact traversal finds?

# %%
net = zoo.load("CNN", 0).double()
unseen = zoo.heldout("CNN")
four = torch.from_numpy(protocol.sample(unseen, 4).images).double()
behind, ends = polytopes.from_layer(net, "pool2", four[[0, 1]])
way = polytopes.segment(behind, *ends)
print(way.regions, "regions between the activations of two images")

# %% tags=["hide-input", "nbval-ignore-output"]
segments, needed = {}, []
for layer, (one, other) in {"pool2": (0, 1), "pool3": (2, 3)}.items():
    rest, ends = polytopes.from_layer(net, layer, four[[one, other]])
    way = polytopes.segment(rest, *ends)
    count, cuts = 64, np.concatenate([[0.0], way.boundaries, [1.0]])
    while np.diff(np.ceil(cuts * count)).astype(bool).mean() < 0.9:  # the regions that so many samples meet
        count *= 2
    points = torch.from_numpy(way.at(np.linspace(0, 1, count)))
    segments[f"{layer}: {way.regions:,} regions"] = {
        "samples": lambda rest=rest, points=points: record(rest, points, activations=False, pools=True),
        "splinelab": lambda rest=rest, ends=ends: polytopes.segment(rest, *ends),
    }
    needed.append(f"{count:,}")
geometry = compared(segments)
ms = geometry.pivot(index="comparison", columns="way", values="ms")
charts.figure(
    pictures.times(geometry),
    "An exact traversal costs less than the samples that find most of its regions.",
    f"Segments between the activations of two images behind two poolings of the zoo's CNN, seed 0. {' and '.join(needed)} "
    "equidistant samples find 90 % of the regions.",
    holds=bool((ms["samples"] > ms["splinelab"]).all()),
)

# %% [markdown]
# To find the last region, the number of samples grows without bound. *What do the checks cost?* Nothing is returned before
# the network itself has been asked, at a piece in sixteen of every path and plane. By the profiler:

# %% tags=["hide-input", "nbval-ignore-output"]
rest, three = polytopes.from_layer(net, "relu4", four[[0, 1, 2]])
checked = {f"segment from {name}": ways["splinelab"] for name, ways in segments.items()}
checked["plane from relu4"] = lambda: polytopes.plane(rest, *three)
for what, call in checked.items():
    with cProfile.Profile() as profiler:
        call()
    stats = pstats.Stats(profiler)
    spent = sum(each[3] for (_, _, name), each in stats.stats.items() if name in ("_verify", "_check_points"))
    print(f"{what}: {100 * spent / stats.total_tt:.0f} % of {1000 * stats.total_tt:.0f} ms are checks")

# %% [markdown]
# ## Decompositions and mechanisms
#
# *One step of a [parameter decomposition](07_parameter_decomposition)* of the residual MLP with two blocks, 1,000 wide: the
# published formulation (an MLP for each of 1,600 components, one masked pass with all matrices and one for each alone)
# against ours (a smaller basis, one gate per matrix, one masked pass and the local loss), on 1,024 samples each. Then
# correlations of sparse profiles, and clusters of planted pairs.

# %%
components, samples = (500, 5_000) if quick else (2_000, 20_000)
rng = np.random.default_rng(0)
rare = sparse.random(samples, components, 0.01, "csr", random_state=rng)
dense = rare.toarray()
theirs, found = np.corrcoef(dense.T), mechanisms.correlation(rare)
print("agree to 1e-9:", bool(np.abs(theirs - found).max() < 1e-9))

# %% tags=["hide-input", "nbval-ignore-output"]
wide, ours = spd.TARGETS["MLP-2"].build(0), spd.OURS["MLP-2"]
published = spd.SPDRecipe(
    inputs=spd.SparseFeatures(100, 0.01, low=-1.0),
    matrices=(spd.Matrices("blocks.*", 400, 16, 1e-5),),
    stages=(spd.Stage(1, sharpness=(2.0, 2.0), layerwise=1.0),),
    gate="scalar",
    delta=False,
)


def step_of(net, recipe, stage):
    """One step of training: the loss, its gradient, the optimiser."""
    found, draw = spd.attach(net, recipe, 0), torch.Generator().manual_seed(0)
    weights = [weight for weight in found.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=1e-3, fused=True)

    def step():
        optimiser.zero_grad(set_to_none=True)
        x = recipe.inputs.sample(1024, draw)
        sum(spd.loss_terms(found, recipe, stage, 0.5, x, draw).values()).backward()
        optimiser.step()

    step()  # the optimiser's own tensors are made by the first
    return step


pairs = 60 if quick else 300
planted = np.repeat(rng.normal(size=(2_000, pairs)), 2, axis=1) + 0.3 * rng.normal(size=(2_000, 2 * pairs))
near = mechanisms.affinity(np.corrcoef(planted, rowvar=False))
graph = mechanisms.neighbour_graph(near, 10, threshold=0.2)


def by_scikit():
    """scikit-learn's spectral clustering, which is told the number of clusters."""
    method = SpectralClustering(pairs, affinity="precomputed", assign_labels="kmeans", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a graph of pairs is not connected, which is what it warns of
        return method.fit_predict(graph.weights)


found = compared(
    {
        "SPD, one step": {
            "usual way": step_of(wide, published, published.stages[0]),
            "splinelab": step_of(spd.reduced(wide).net, ours, ours.stages[1]),
        },
        "correlations": {
            "usual way": lambda: np.corrcoef(dense, rowvar=False),
            "splinelab": lambda: mechanisms.correlation(rare),
        },
        "clusters": {"usual way": by_scikit, "splinelab": lambda: mechanisms.spectral_by_part(graph)},
    }
)
ms = found.pivot(index="comparison", columns="way", values="ms")
gain = ms["usual way"] / ms["splinelab"]
charts.figure(
    pictures.times(found),
    f"A step of SPD is {gain['SPD, one step']:.0f} times as fast as the published one, correlations "
    f"{gain['correlations']:.0f} times as fast as numpy's.",
    f"SPD: MLP with two blocks. Correlations: {components:,} components on one sample in a hundred, {samples:,} samples, "
    f"against corrcoef. Clusters: {pairs} planted pairs, against scikit-learn.",
    holds=bool(gain[["SPD, one step", "correlations"]].min() > 1),
)

# %% [markdown]
# ## Exercises
#
# 1. At how many units does the popcount overtake the product of matrices on your machine?
# 2. If you have a GPU, time `pairwise` on it. How large must the matrix be before the copy back stops mattering?

# %% tags=["hide-cell", "nbval-ignore-output"]
# 1. The first units of each image will do.
for units in (50, 200, 600):
    part = SplineCodes.from_bits({"first": bits[:, :units]})
    ways = {b: lambda b=b, part=part: pairwise(part[:200], part, "jaccard", backend=b) for b in backends}
    print(units, {way: round(ms, 2) for way, ms in in_turns(ways).items()})

# %% tags=["hide-cell", "nbval-ignore-output"]
# 2. CPU time says nothing about a GPU: take the wall clock, and wait for the result, which comes back as an array.
for size in (500, 1000, 2000) if torch.cuda.is_available() else ():
    start = time.perf_counter()
    pairwise(codes[:size], metric="jaccard", device="cuda")
    print(size, f"{1000 * (time.perf_counter() - start):.1f} ms")
