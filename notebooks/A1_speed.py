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
# A book that compares millions of pairs of spline codes needs distances that cost next to nothing. This appendix
# measures what `splinelab` gains over the usual libraries: all contenders in one run, one after another in turns,
# on one thread, in CPU time, with the codes of a trained net. The ratios are good to about 15 %; the milliseconds
# belong to the machine named below.
#
# The idea behind the gain fits in one line. For codes $a$, $b$ of zeros and ones, one product of matrices counts
# all common ones at once, and
#
# $$\text{Hamming} = |a| + |b| - 2\,a\cdot b, \qquad
#   \text{Jaccard} = \frac{|a| + |b| - 2\,a\cdot b}{|a| + |b| - a\cdot b}.$$
#
# The default backend leaves the product to `torch`; the optional extra `[fast]` counts bits of packed codes with
# NumKong. Both arrive at the same integers, and so at the same distances to the last bit.

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
quick = False  # fewer images and fewer turns, for a look
full_mnist = False  # count the 1.8 · 10⁹ pairs of the 60,000 training images too (about a minute)

# %% tags=["hide-cell"]
import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and torch are loaded

import cProfile
import platform
import pstats
import resource
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import torch
from scipy import sparse
from scipy.spatial.distance import pdist
from sklearn.cluster import SpectralClustering
from sklearn.metrics import pairwise_distances, silhouette_score
from sklearn.neighbors import kneighbors_graph
from threadpoolctl import threadpool_limits
from torch import nn

from splinelab import charts, data, mechanisms, polytopes, protocol, record, spd, zoo
from splinelab.clustering import silhouette
from splinelab.distances import class_histograms, pairwise

torch.set_num_threads(1)
threadpool_limits(1)
charts.use()
backends = ["torch", "numkong"] if find_spec("numkong") else ["torch"]
turns = 2 if quick else 3
summary = []


def processor():
    """The processor's name and the instructions that matter here, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine(), None
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = facts.get("model name", platform.machine())
    return name, "avx512_vpopcntdq" in facts["flags"].split() if "flags" in facts else None


def in_turns(calls):
    """Median CPU milliseconds of each call; the calls take turns, quick ones several times a turn."""
    times = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            spent = 0
            while spent < 0.1:
                start = time.process_time()
                call()
                times[name].append(time.process_time() - start)
                spent += times[name][-1]
    return {name: 1000 * float(np.median(taken)) for name, taken in times.items()}


def picture(title, times, peer):
    """Times of one comparison on a log axis."""
    table = pd.DataFrame({"what": list(times), "time": list(times.values())})
    table["whose"] = np.where(table["what"] == peer, "peer", "splinelab")
    scale = alt.Scale(domain=["peer", "splinelab"], range=[charts.GREY, charts.BLUE])
    base = alt.Chart(table).encode(
        y=alt.Y("what:N", sort=None, title=None),
        x=alt.X(
            "time:Q",
            scale=alt.Scale(type="log", domain=[1, 20000]),
            axis=alt.Axis(values=[1, 10, 100, 1000, 10000]),
            title="CPU time (ms, log)",
        ),
    )
    points = base.mark_point(filled=True, size=110, opacity=1).encode(
        color=alt.Color("whose:N", scale=scale, legend=None),
        tooltip=["what:N", alt.Tooltip("time:Q", format=".3~g")],
    )
    names = base.mark_text(align="left", dx=10).encode(text=alt.Text("time:Q", format=".3~g"))
    told = "; ".join(f"{name}: {value:.3g} ms" for name, value in times.items())
    return charts.describe(
        (points + names).properties(title=title, height=34 * len(table)), f"CPU time of {told}."
    )


def answer(name, times, peer, targets):
    """Print each backend's ratio to the peer against its target, and keep it for the summary."""
    for backend, target in targets.items():
        if backend not in times:
            print(f"{backend}: not installed (pip install 'splinelab[fast]'); the target is {target} ×")
            continue
        ratio = times[peer] / times[backend]
        verdict = "meant for 3000 images" if quick else "reached" if ratio >= target else "not reached"
        print(f"{backend}: {ratio:.0f} × faster than {peer}; target ≥ {target} ×: {verdict}")
        summary.append({"comparison": name, "backend": backend, "ratio": ratio, "target": target})


# %% [markdown]
# ## The machine and the codes
#
# Which processor is it, and how many of its threads may work? NumKong is quickest where the processor counts the
# ones of a whole 512-bit register in one instruction (VPOPCNTDQ: Intel since Ice Lake, AMD since Zen 4). Without it,
# it counts one 64-bit word at a time, and gains little over the product of matrices.

# %% tags=["nbval-ignore-output"]
name, counts_bits = processor()
print(f"processor: {name}, {os.cpu_count()} cores")
print(f"threads used: {torch.get_num_threads()}")
print(f"512-bit popcount (VPOPCNTDQ): {'unknown' if counts_bits is None else 'yes' if counts_bits else 'no'}")
print(f"backends: {', '.join(backends)}")

# %% [markdown]
# The codes are those of `GA-mse`, the first net of [chapter 1](01_spline_vs_activation_distances): three layers of
# 200 units, 600 bits an image. scikit-learn and scipy get them as arrays of booleans, the form they are fastest in;
# `splinelab` gets packed bits, and unpacking counts as part of its time.

# %%
images = data.mnist5k()
chosen = np.random.default_rng(0).permutation(len(images))[: 1000 if quick else 3000]
codes = record(zoo.load("GA-mse", 0), images.images[chosen], activations=False).codes
labels = images.labels[chosen]
bits = codes.bits().astype(bool)
codes

# %% [markdown]
# Speed is worth nothing if the results differ. Do all of them agree with scikit-learn, and with each other?

# %%
reference = pairwise_distances(bits[:200], bits, metric="jaccard").astype(np.float32)
for backend in backends:
    print(backend, np.array_equal(pairwise(codes[:200], codes, "jaccard", backend=backend), reference))

# %% [markdown]
# To the last bit: a Jaccard distance is the float32 number nearest to an exact ratio of integers.
#
# ## One block of distances
#
# How long does it take to compare 200 images with all others by Jaccard distance? This is the step behind nearest
# neighbours and behind everything that runs block by block.

# %% tags=["hide-input", "nbval-ignore-output"]
query = codes[:200]
calls = {"scikit-learn": lambda: pairwise_distances(bits[:200], bits, metric="jaccard")}
for backend in backends:
    calls[backend] = lambda backend=backend: pairwise(query, codes, "jaccard", backend=backend)
block = in_turns(calls)
picture(f"Jaccard, 200 × {len(codes)}, {codes.units} bits", block, "scikit-learn")

# %% tags=["hide-input", "nbval-ignore-output"]
answer("Jaccard, one block", block, "scikit-learn", {"torch": 40, "numkong": 350})

# %% [markdown]
# ## The whole matrix
#
# scikit-learn uses that distances are symmetric and computes each pair once. So do we: the matrix is filled block
# by block above the diagonal and mirrored. What remains of the gain?

# %% tags=["hide-input", "nbval-ignore-output"]
calls = {"scikit-learn": lambda: pairwise_distances(bits, metric="jaccard")}
for backend in backends:
    calls[backend] = lambda backend=backend: pairwise(codes, metric="jaccard", backend=backend)
whole = in_turns(calls)
picture(f"Jaccard, {len(codes)} × {len(codes)}, {codes.units} bits", whole, "scikit-learn")

# %% tags=["hide-input", "nbval-ignore-output"]
answer("Jaccard, whole matrix", whole, "scikit-learn", {"torch": 40, "numkong": 100})

# %% [markdown]
# ## Same class against different class
#
# The histograms of chapter 1 count pairs of the same and of different digits at every distance. scipy first lists
# all distances (`pdist`), then counts them. We sort the images by class, so that pairs of one class are a slice of a
# block, and count each block as it comes. How much faster is that, and are the counts the same?


# %% tags=["hide-input"]
above = np.triu_indices(len(bits), 1)
same = labels[above[0]] == labels[above[1]]


def listed():
    """All Hamming distances by scipy, counted by same and different class."""
    differing = np.rint(pdist(bits, "hamming") * codes.units).astype(np.int64)
    return np.bincount(differing + (codes.units + 1) * same, minlength=2 * (codes.units + 1))


inter, intra = listed().reshape(2, -1)
for backend in backends:
    counted = class_histograms(codes, labels, "hamming", backend=backend)
    used = intra + inter > 0
    print(backend, np.array_equal([counted.intra, counted.inter], [intra[used], inter[used]]))

# %% tags=["hide-input", "nbval-ignore-output"]
calls = {"scipy": listed}
for backend in backends:
    calls[backend] = lambda backend=backend: class_histograms(codes, labels, "hamming", backend=backend)
histogram = in_turns(calls)
picture(f"Class-wise Hamming histogram, {len(codes)} images", histogram, "scipy")

# %% tags=["hide-input", "nbval-ignore-output"]
answer("Hamming histogram", histogram, "scipy", {"torch": 10, "numkong": 30})

# %% [markdown]
# ## Silhouette
#
# The silhouette of chapter 2 asks, for every image, how far it is on average from each cluster. For Hamming distance
# no pair is needed: the column sums of a cluster say it all. Jaccard distance goes block by block. How much does
# that save?

# %% tags=["hide-input"]
for metric in ("hamming", "jaccard"):
    theirs = silhouette_score(bits[:1000], labels[:1000], metric=metric)
    print(f"{metric}: {silhouette(codes[:1000], labels[:1000], metric):.3f}, scikit-learn {theirs:.3f}")

# %% tags=["hide-input", "nbval-ignore-output"]
scores = {}
for metric in ("hamming", "jaccard"):
    calls = {
        "scikit-learn": lambda metric=metric: silhouette_score(bits, labels, metric=metric),
        "torch": lambda metric=metric: silhouette(codes, labels, metric),
    }
    scores[metric] = in_turns(calls)
pictures = [
    picture(f"Silhouette, {metric.title()}, {len(codes)} images", times, "scikit-learn")
    for metric, times in scores.items()
]
charts.describe(alt.vconcat(*pictures), " ".join(each.description for each in pictures))

# %% tags=["hide-input", "nbval-ignore-output"]
answer("silhouette, Hamming", scores["hamming"], "scikit-learn", {"torch": 100})
answer("silhouette, Jaccard", scores["jaccard"], "scikit-learn", {"torch": 20})

# %% [markdown]
# ## How far does it go?
#
# The number of pairs grows with the square of the number of images, the memory does not: only one block of distances
# exists at a time. How many pairs are counted in a second, and what would the 60,000 training images of full MNIST
# take, with their $1.8 \cdot 10^9$ pairs?

# %% tags=["hide-input", "nbval-ignore-output"]
sizes = [1000, 2000] if quick else [1250, 2500, 5000]
everything = record(zoo.load("GA-mse", 0), images.images, activations=False).codes
rows = []
for size in sizes:
    part = np.random.default_rng(1).permutation(len(images))[:size]
    for metric in ("hamming", "jaccard"):
        taken = in_turns(
            {"count": lambda p=part, m=metric: class_histograms(everything[p], images.labels[p], m)}
        )
        rows.append({"images": size, "metric": metric, "seconds": taken["count"] / 1000})
growth = pd.DataFrame(rows)
growth["million pairs a second"] = growth["images"] * (growth["images"] - 1) / 2e6 / growth["seconds"]
lines = (
    alt.Chart(growth)
    .mark_line(point=True)
    .encode(
        x=alt.X(
            "images:Q",
            scale=alt.Scale(type="log", nice=False),
            title="images (log)",
            axis=alt.Axis(values=sizes),
        ),
        y=alt.Y(
            "seconds:Q", scale=alt.Scale(type="log"), axis=alt.Axis(tickCount=4), title="CPU time (s, log)"
        ),
        color=alt.Color("metric:N", scale=alt.Scale(range=[charts.BLUE, charts.VERMILION]), title=None),
        tooltip=["images:Q", "metric:N", alt.Tooltip("seconds:Q", format=".3~g")],
    )
    .properties(title="Class-wise histogram of all pairs, torch")
)
charts.describe(
    lines, "CPU time of the class-wise histogram against the number of images, Hamming and Jaccard."
)

# %% tags=["hide-input", "nbval-ignore-output"]
for metric, found in growth.groupby("metric"):
    rate = found["million pairs a second"].iloc[-1]
    print(f"{metric}: {rate:.0f} million pairs a second; 60,000 images would take {1800 / rate:.0f} s")

# %% [markdown]
# *And the memory?* Counting needs the codes and one block of distances, however many images there are. The product of
# matrices keeps the codes as float32 besides, as long as these fit in 512 MB, and unpacks them block by block beyond;
# the popcount never unpacks them. To see more than 5,000 images, each is taken several times. What a call holds at
# most, beyond what the process held before it, is read off the system, where it tells; a list of all distances stands
# beside it.


# %% tags=["hide-input", "nbval-ignore-output"]
def held_at_most(call):
    """Megabytes that a call holds at most beyond what is held before it; None where the system does not tell."""

    def held(key):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024

    try:
        Path("/proc/self/clear_refs").write_text("5")  # the highest is the present again
        before = held("VmRSS")
        call()
        return held("VmHWM") - before
    except OSError:
        return None


def held_by_histogram(rows, backend):
    """Megabytes for the histogram of some images, with repetitions."""
    codes, names = everything[rows], images.labels[rows]
    return held_at_most(lambda: class_histograms(codes, names, "hamming", backend=backend))


for times in (1, 2, 4):
    rows = np.tile(np.arange(len(everything)), times)
    found = {backend: held_by_histogram(rows, backend) for backend in backends}
    told = ", ".join(
        f"{backend} {'unknown here' if held is None else f'{held:.0f} MB'}" for backend, held in found.items()
    )
    print(
        f"{len(rows):,} images: {told}; a list of all distances {len(rows) * (len(rows) - 1) * 2 / 1e6:.0f} MB"
    )

if full_mnist:
    train = data.mnist("train")
    start = time.perf_counter()
    train_codes = record(zoo.load("GA-mse", 0), train.images, activations=False).codes
    del train.images
    counted = class_histograms(train_codes, train.labels, "hamming", progress=True)
    print(f"{counted.pairs:,} pairs in {time.perf_counter() - start:.0f} s")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
    2**30 if platform.system() == "Darwin" else 2**20
)
print(f"largest memory of this process so far: {peak:.1f} GB")

# %% [markdown]
# The full run (`full_mnist = True`) was done once on two cores of a Cascade Lake server, one thread, other work
# running beside it: 1,799,970,000 pairs in 50 s for Hamming and 52 s for Jaccard, with a progress bar; the largest
# memory was 0.8 GB, of which 0.65 GB were there before the first distance.
#
# ## All ratios at once
#
# Which targets are met on this machine?

# %% tags=["hide-input", "nbval-ignore-output"]
table = pd.DataFrame(summary)
base = alt.Chart(table).encode(
    y=alt.Y("comparison:N", sort=None, title=None),
    yOffset=alt.YOffset("backend:N", sort=["torch", "numkong"]),
)
ratio_axis = alt.X(
    "ratio:Q",
    scale=alt.Scale(type="log", domain=[5, 1000], nice=False),
    axis=alt.Axis(values=[10, 30, 100, 300, 1000]),
    title="times faster than scikit-learn or scipy (log)",
)
colour = alt.Color(
    "backend:N",
    scale=alt.Scale(domain=["torch", "numkong"], range=[charts.BLUE, charts.VERMILION]),
    title=None,
)
measured = base.mark_point(filled=True, size=110, opacity=1).encode(
    x=ratio_axis,
    color=colour,
    tooltip=["comparison:N", "backend:N", alt.Tooltip("ratio:Q", format=".0f"), "target:Q"],
)
targets = base.mark_tick(thickness=3, size=16).encode(x="target:Q", color=colour)
charts.describe(
    (measured + targets).properties(title="Measured (points) and aimed at (ticks)", height=240),
    "Ratios of speed: "
    + "; ".join(
        f"{r['comparison']} {r['backend']} {r['ratio']:.0f} × (target {r['target']} ×)" for r in summary
    ),
)

# %% tags=["hide-input", "nbval-ignore-output"]
met = sum(row["ratio"] >= row["target"] for row in summary)
print(
    f"{met} of {len(summary)} targets reached" + (", though they are meant for 3000 images" if quick else "")
)
missed = [f"{row['comparison']} ({row['backend']})" for row in summary if row["ratio"] < row["target"]]
if missed:
    print("missed:", ", ".join(missed))
if counts_bits is False and not quick:
    print("this processor lacks VPOPCNTDQ, which numkong's targets assume")

# %% [markdown]
# The default backend meets its targets on any recent processor, because every processor multiplies matrices well.
# The extra `[fast]` is for processors with a wide popcount, where its targets were set (a Zen 4 core), and it needs
# an eighth of a byte per unit instead of four: on others it saves memory, and little time.

# %% [markdown]
# ## Recording
#
# *What does it cost to read the code of a net, beside running it?* The contender is what one writes by hand: a forward
# hook on every `nn.ReLU` that packs the signs of its input. It has no check and misses `F.relu` and every ReLU that
# works in place on a view; `record` sees every operation, refuses those without a rule, looks for values that are not
# finite, and compares codes and outputs with the plain model on other sizes of batch. All of that is part of its time.
# The nets are an MLP with three layers of 200 on 20,000 images, and a small untrained CNN on 500 images of 32 × 32 in
# three colours; all passes go in the same batches.

# %% tags=["hide-input", "nbval-ignore-output"]
BATCH = 512
torch.manual_seed(0)
small_cnn = nn.Sequential(
    nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(2048, 64), nn.ReLU(), nn.Linear(64, 10),
).eval()  # fmt: skip
repeated = torch.from_numpy(images.images).repeat(1 if quick else 4, 1, 1, 1)
passes = {
    "MLP": (zoo.load("GA-mse", 0).eval(), repeated),
    "CNN": (small_cnn, torch.rand(100 if quick else 500, 3, 32, 32)),
}


def plain(net, inputs):
    """The outputs, batch by batch."""
    with torch.no_grad():
        return torch.cat([net(batch) for batch in inputs.split(BATCH)])


def hooked(net, inputs):
    """Outputs and packed signs by hand-written hooks."""
    kept = []

    def keep(module, given, output):
        kept.append(np.packbits((given[0] > 0).flatten(1).numpy(), axis=1))

    hooks = [layer.register_forward_hook(keep) for layer in net.modules() if isinstance(layer, nn.ReLU)]
    outputs = plain(net, inputs)
    for hook in hooks:
        hook.remove()
    return outputs, kept


costs = []
for name, (net, inputs) in passes.items():
    times = in_turns(
        {
            "plain": lambda net=net, inputs=inputs: plain(net, inputs),
            "hooks": lambda net=net, inputs=inputs: hooked(net, inputs),
            "codes": lambda net=net, inputs=inputs: record(net, inputs, batch_size=BATCH, activations=False),
            "codes and activations": lambda net=net, inputs=inputs: record(net, inputs, batch_size=BATCH),
        }
    )
    for what, aim in {"hooks": None, "codes": 1.3, "codes and activations": 1.6}.items():
        costs.append({"net": name, "what": what, "ratio": times[what] / times["plain"], "aim": aim})
for row in costs:
    told = f"{row['net']}, {row['what']}: {row['ratio']:.2f} × a plain pass"
    reached = "" if row["aim"] is None else "reached" if row["ratio"] <= row["aim"] else "not reached"
    print(told + (f"; aim {row['aim']} ×: {reached}" if reached else ""))

# %% [markdown]
# The faster the processor multiplies, the more the rest shows: what `record` adds is a fixed time per operation and
# batch, some milliseconds for its checks, and one more reading of each layer's values.
#
# *Does the cost grow with the number of images alone?* The same net and images, from few to many.

# %% tags=["hide-input", "nbval-ignore-output"]
net, inputs = passes["MLP"]
counts = [len(inputs) // 16, len(inputs) // 4, len(inputs)]
growing = [
    in_turns({"record": lambda count=count: record(net, inputs[:count], activations=False)})["record"]
    for count in counts
]
recorded = pd.DataFrame({"images": counts, "ms": growing})
recorded["µs per image"] = 1000 * recorded["ms"] / recorded["images"]
charts.describe(
    alt.Chart(recorded)
    .mark_line(point=True, color=charts.BLUE)
    .encode(
        x=alt.X("images:Q", title="images"),
        y=alt.Y("ms:Q", title="CPU time (ms)"),
        tooltip=[
            "images:Q",
            alt.Tooltip("ms:Q", format=".3~g"),
            alt.Tooltip("µs per image:Q", format=".3~g"),
        ],
    )
    .properties(title="Recording codes: time grows as the images do"),
    "CPU time of recording: "
    + "; ".join(f"{row.images:,} images {row.ms:.0f} ms" for row in recorded.itertuples())
    + ".",
)

# %% [markdown]
# ## Geometry
#
# The rest of this appendix is about [polytopes](03_polytope_density): exact boundaries against the samples that one
# would take without them, in the convolutional net `CNN` of the zoo.
#
# *How many samples of a segment find what one exact traversal finds?* The contender is the recorder itself, in
# float64, on as many equidistant points as find 90 % of the regions between two images' activations behind the second
# pooling; how many that are follows from the exact boundaries.

# %% tags=["hide-input", "nbval-ignore-output"]
net = zoo.load("CNN", 0).double()
unseen = zoo.heldout("CNN")
four = torch.from_numpy(protocol.sample(unseen, 4).images).double()  # of four digits
pairs = {"pool2": (0, 1), "pool3": (2, 3)}


def samples_for(way, share):
    """The smallest power of two of equidistant samples that meets this share of the regions."""
    ends = np.concatenate([[0.0], way.boundaries, [1.0]])
    count = 64
    while np.diff(np.ceil(ends * count)).astype(bool).mean() < share and count < 2**20:
        count *= 2
    return count


def against_samples(layer, one, other):
    """Print how long the exact boundaries take, and how long the samples that find nearly as much."""
    rest, ends = polytopes.from_layer(net, layer, four[[one, other]])
    way = polytopes.segment(rest, *ends)
    count = samples_for(way, 0.9)
    points = torch.from_numpy(way.at(np.linspace(0, 1, count)))
    times = in_turns(
        {
            "samples": lambda: record(rest, points, activations=False, pools=True),
            "exact": lambda: polytopes.segment(rest, *ends),
        }
    )
    print(
        f"from {layer}: {way.regions} regions; exact {times['exact']:.0f} ms; {count:,} samples that find",
        end="",
    )
    print(f" 90 % of them {times['samples']:.0f} ms, {times['samples'] / times['exact']:.1f} × as long")


for layer, (one, other) in pairs.items():
    against_samples(layer, one, other)

# %% [markdown]
# Samples lose most where boundaries lie close together. For 99 % of the regions behind `pool2` it takes sixteen times
# as many as for 90 %, and to find the last one their number grows without bound.
#
# *And in a plane?* The contender is a square grid, refined until its points meet 95 % of the polygons of the exact
# slice through three images.

# %% tags=["hide-input", "nbval-ignore-output"]
layer = "relu4"
rest, three = polytopes.from_layer(net, layer, four[[0, 1, 2]])
cut = polytopes.plane(rest, *three)
spread = np.concatenate(cut.polygons)
low, high = spread.min(axis=0), spread.max(axis=0)


def grid_codes(side):
    """The distinct codes on a grid of side × side points, one bounded batch after another."""
    found = set()
    steps = [low[axis] + (high[axis] - low[axis]) * (np.arange(side) + 0.5) / side for axis in (0, 1)]
    for u in np.array_split(steps[0], max(1, side // 64)):
        uv = np.stack(np.meshgrid(u, steps[1], indexing="ij"), axis=-1).reshape(-1, 2)
        packed = record(rest, cut.to_space(uv), activations=False).codes.packed
        found |= set(map(bytes, np.unique(packed, axis=0)))
    return found


exact_codes = set(map(bytes, cut.codes.packed))
for side in (128, 256) if quick else (128, 256, 512, 1024):
    start = time.process_time()
    seen = len(grid_codes(side) & exact_codes) / len(exact_codes)
    by_grid = 1000 * (time.process_time() - start)
    if seen >= 0.95:
        break
polygons = in_turns({"exact": lambda: polytopes.plane(rest, *three)})["exact"]
print(f"slice from {layer}: {len(cut)} polygons, exact {polygons:.0f} ms")
print(f"{side} × {side} grid: {100 * seen:.0f} % of them, {by_grid:.0f} ms")
ratio, enough = by_grid / polygons, seen >= 0.95
verdict = "reached" if ratio >= 10 else "not reached"
print(f"{'' if enough else 'more than '}{ratio:.0f} × faster than the grid; target ≥ 10 ×: {verdict}")

# %% [markdown]
# *What do the checks cost?* Nothing is returned before the network itself has been asked: a piece in sixteen of every
# path and plane (eight at least, 64 at most), and a few points of the copy in float64 that the traversal runs on. Their
# share of the time by the profiler, in the two calls above and in a small segment.


# %% tags=["hide-input", "nbval-ignore-output"]
def share_of_checks(call):
    """Milliseconds of a call, and the share that its checks take."""
    call()
    with cProfile.Profile() as profiler:
        call()
    found = pstats.Stats(profiler)
    spent = sum(
        stats[3] for (_, _, name), stats in found.stats.items() if name in ("_verify", "_check_points")
    )
    return 1000 * found.total_tt, spent / found.total_tt


behind, ends = polytopes.from_layer(net, "pool2", four[[0, 1]])
last, close = polytopes.from_layer(net, "relu4", four[[0, 1]])
checked = {
    "segment from pool2": lambda: polytopes.segment(behind, *ends),
    f"plane from {layer}": lambda: polytopes.plane(rest, *three),
    "segment from relu4": lambda: polytopes.segment(last, *close),
}
for what, call in checked.items():
    taken, spent = share_of_checks(call)
    print(f"{what}: {taken:.0f} ms, {100 * spent:.0f} % of it for the checks")

# %% [markdown]
# *The density of all pairs of 1000 images*, against the loop that one writes first: for each pair the number of units
# that differ over the Euclidean distance.

# %% tags=["hide-input", "nbval-ignore-output"]
some = protocol.sample(unseen, 300 if quick else 1000)
rest, activations = polytopes.from_layer(net.float(), "pool3", some)
behind = record(rest, activations, activations=False).codes
flat, rows = activations.flatten(1).numpy(), behind.bits()


def by_loop():
    """Every pair in turn; sums of densities within and between classes."""
    total = np.zeros(2)
    for i in range(len(rows)):
        for j in range(i):
            flips = np.count_nonzero(rows[i] != rows[j])
            total[int(some.labels[i] != some.labels[j])] += flips / np.linalg.norm(flat[i] - flat[j])
    return total


start = time.process_time()
by_loop()
looped = 1000 * (time.process_time() - start)
at_once = in_turns({"density": lambda: polytopes.density(behind, activations, some.labels, resamples=2)})
print(
    f"{len(some) * (len(some) - 1) // 2:,} pairs: loop {looped:.0f} ms, density {at_once['density']:.0f} ms"
)
print(
    f"{looped / at_once['density']:.0f} × faster than the loop, Welch's test and matching by distance included"
)

# %% [markdown]
# ## Decompositions and mechanisms
#
# *One step of a [parameter decomposition](07_parameter_decomposition)* of the residual MLP with two blocks, 1,000 wide.
# The contender is the published formulation in the same package: an MLP for each of 1,600 components, one masked pass
# with all matrices and one for each alone, on 2,048 samples. Ours works in the smaller basis, with one gate per matrix,
# one masked pass and the local loss, on 1,024 samples. The published step is timed on 1,024 samples as well.

# %% tags=["hide-input", "nbval-ignore-output"]
wide = spd.TARGETS["MLP-2"].build(0)
ours = spd.OURS["MLP-2"]
published = spd.SPDRecipe(
    inputs=spd.SparseFeatures(100, 0.01, low=-1.0),
    matrices=(spd.Matrices("blocks.*", 400, 16, 1e-5),),
    stages=(spd.Stage(1, sharpness=(2.0, 2.0), layerwise=1.0),),
    gate="scalar",
    delta=False,
)


def step_of(net, recipe, stage, batch=1024):
    """One step of training: the loss, its gradient, the optimiser."""
    found, draw = spd.attach(net, recipe, 0), torch.Generator().manual_seed(0)
    weights = [weight for weight in found.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=1e-3, fused=True)

    def step():
        optimiser.zero_grad(set_to_none=True)
        x = recipe.inputs.sample(batch, draw)
        sum(spd.loss_terms(found, recipe, stage, 0.5, x, draw).values()).backward()
        optimiser.step()

    step()  # the optimiser's own tensors are made by the first
    return step


times = in_turns(
    {
        "published": step_of(wide, published, published.stages[0], batch=2048),
        "published, 1,024 samples": step_of(wide, published, published.stages[0]),
        "first stage": step_of(spd.reduced(wide).net, ours, ours.stages[1]),
        "later stages": step_of(spd.reduced(wide).net, ours, ours.stages[2]),
    }
)
print(", ".join(f"{name} {taken:.0f} ms" for name, taken in times.items()))
ratio = times["published"] / max(times["first stage"], times["later stages"])
equal = times["published, 1,024 samples"] / max(times["first stage"], times["later stages"])
print(
    f"{ratio:.0f} × faster a step, {equal:.0f} × on as many samples; target ≥ 20 ×: {'reached' if ratio >= 20 else 'not reached'}"
)

# %% [markdown]
# *Correlations of sparse profiles*: 2,000 components that fire on one sample in a hundred, 20,000 samples, against
# `numpy.corrcoef`.

# %% tags=["hide-input", "nbval-ignore-output"]
components, samples = (500, 5_000) if quick else (2_000, 20_000)
rng = np.random.default_rng(0)
profiles = sparse.random(samples, components, density=0.01, format="csr", random_state=rng)
dense = profiles.toarray()
times = in_turns(
    {"corrcoef": lambda: np.corrcoef(dense, rowvar=False), "sparse": lambda: mechanisms.correlation(profiles)}
)
largest = np.abs(np.corrcoef(dense, rowvar=False) - mechanisms.correlation(profiles)).max()
ratio = times["corrcoef"] / times["sparse"]
print(
    f"corrcoef {times['corrcoef']:.0f} ms, ours {times['sparse']:.0f} ms; they differ by less than 1e-9: {largest < 1e-9}"
)
print(f"{ratio:.0f} × faster; target ≥ 10 ×: {'reached' if ratio >= 10 else 'not reached'}")

# %% [markdown]
# *Graph and clusters*: 300 planted pairs with noise, against scikit-learn's neighbour graph and its spectral clustering,
# which is told the number of clusters.

# %% tags=["hide-input", "nbval-ignore-output"]
pairs = 60 if quick else 300
base = rng.normal(size=(2_000, pairs))
seen = np.repeat(base, 2, axis=1) + 0.3 * rng.normal(size=(2_000, 2 * pairs))
near = mechanisms.affinity(np.corrcoef(seen, rowvar=False))
graph = mechanisms.neighbour_graph(near, 10, threshold=0.2)


def by_scikit_graph():
    """The ten nearest neighbours of each, and of these the mutual ones."""
    chosen = kneighbors_graph(1 - near, 10, metric="precomputed")
    return chosen.multiply(chosen.T)


def by_scikit():
    found = SpectralClustering(pairs, affinity="precomputed", assign_labels="kmeans", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a graph of pairs is not connected, which is what it warns of
        return found.fit_predict(graph.weights)


times = in_turns(
    {
        "scikit-learn, graph": by_scikit_graph,
        "ours, graph": lambda: mechanisms.neighbour_graph(near, 10),
        "scikit-learn, clusters": by_scikit,
        "ours, clusters": lambda: mechanisms.spectral_by_part(graph),
    }
)
for what in ("graph", "clusters"):
    peer, mine = times[f"scikit-learn, {what}"], times[f"ours, {what}"]
    print(f"{what}: scikit-learn {peer:.0f} ms, ours {mine:.0f} ms, {peer / mine:.1f} × as long")

# %% [markdown]
# ## Exercises
#
# 1. Measure your own machine: `papermill notebooks/A1_speed.ipynb out.ipynb`. At how many units does the popcount
#    overtake the product of matrices?
# 2. If you have a GPU, time `pairwise(codes, metric="jaccard", device="cuda")`. How large must the matrix be before
#    the copy back to the CPU stops mattering?
