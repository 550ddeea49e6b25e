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
# # Polytopes in five minutes
#
# A ReLU network cuts its input space along straight edges into pieces, the **polytopes**, and on each piece it computes
# one affine map, *Ax + c*, and nothing else. A string of bits, the **spline code**, names the piece. Here you see where
# both come from: with two neurons, with three, in a trained net, and in yours; all you need is a little PyTorch.

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

# %% tags=["hide-input"]
from copy import deepcopy

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.datasets import make_moons
from torch import nn

from pictures import pieces, primer
from splinelab import charts, polytopes, record

charts.use()

# Two moons, moved into the square from −1 to 1, and a small net that learns them in a second.
moons, side = make_moons(160, noise=0.1, random_state=0)
moons = torch.from_numpy((moons - [0.5, 0.25]) * [0.58, 0.8])
side = torch.from_numpy(side)
torch.manual_seed(0)
trained = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)).double()
optimiser = torch.optim.Adam(trained.parameters(), lr=0.02)
MOMENTS = [0, 10, 20, 40, 60, 80, 120, 160, 240, 400]
moments = []
for step in range(MOMENTS[-1] + 1):
    if step in MOMENTS:
        moments.append(deepcopy(trained).eval())
    optimiser.zero_grad()
    F.cross_entropy(trained(moons), side).backward()
    optimiser.step()
trained = moments[-1]

cuts = [pieces.cut(net) for net in moments]
right = [float((net(moons).argmax(1) == side).double().mean()) for net in moments]
points = pd.DataFrame({"x": moons[:, 0], "y": moons[:, 1], "side": side})
chart = primer.steps(
    moments,
    [
        f"step {step}: {len(cut)} pieces, {share:.0%} of the dots right"
        for step, cut, share in zip(MOMENTS, cuts, right, strict=True)
    ],
    points,
)
words = (
    f"The square from −1 to 1, cut into {len(cuts[-1])} flat pieces by a trained net, and two moons of dots."
)
charts.figure(
    charts.describe(
        chart, words + " The black line between the classes bends only where it crosses an edge."
    ),
    "Training moves the edges until a chain of straight lines parts the moons.",
    f"A net of 2–8–8–2 units after {MOMENTS[-1]} steps of training; the slider goes back to its first weights. "
    "White: edges of the pieces. Black: where both outputs are equal.",
    holds=right[-1] > 0.98,
)

# %% [markdown]
# ## What does a ReLU do to the plane?
#
# A neuron adds up its inputs, *z = w·x + b*, and the ReLU lets *z* through where it is positive. The points with
# *z = 0* form a **line**, a polytope boundary: on one side the neuron is on, on the other it is off. Two neurons:

# %%
W1 = torch.tensor([[1.0, 0.5], [-0.5, 1.0]])  # a row of weights per neuron
b1 = torch.tensor([0.25, -0.25])
x = torch.tensor([0.5, 0.25])
z = W1 @ x + b1
code = (z > 0).int()
print("z =", z.tolist(), "  code =", code.tolist())

# %% [markdown]
# One bit per neuron: that is the spline code of *x*. *Which points share it?*


# %% tags=["hide-input"]
def turned(degrees: int) -> nn.Module:
    """Two neurons, the second one's weights turned."""
    angle = torch.deg2rad(torch.tensor(float(degrees)))
    rotation = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).reshape(2, 2)
    return pieces.net(torch.stack([W1[0], rotation @ W1[1]]), b1, torch.ones(1, 2), torch.zeros(1))


two = {degrees: turned(degrees) for degrees in range(-60, 61, 10)}
fours = {degrees: len(pieces.cut(net)) for degrees, net in two.items()}
chart = primer.neurons(
    two, [f"neuron 2 turned by {k}°: {n} pieces" for k, n in fours.items()], "turn, degrees ", 6
)
charts.figure(
    charts.describe(
        chart, f"Two lines cross and part a square into {fours[0]} pieces, each marked by its code."
    ),
    "Two lines make four pieces, and each piece has a code of its own.",
    "Codes of two neurons, a digit for each in its line's colour: 1 on, 0 off. The slider turns the second line.",
    holds=set(fours.values()) == {4},
)

# %% [markdown]
# Turn the line: pieces change shape, and no code occurs in two places. A code says on which side of each line a point lies.
#
# ## Why is the net affine on a piece?
#
# Put a second layer on top, *W₂ relu(W₁x + b₁) + b₂*. A ReLU multiplies each *z* by 1 or by 0, so **relu(z) = mask · z**,
# and the mask is the code. As long as the mask stays the same, it is just another matrix, and matrices multiply out:
#
# *W₂ diag(mask) (W₁x + b₁) + b₂ = (W₂ diag(mask) W₁) x + (W₂ diag(mask) b₁ + b₂) = A x + c.*

# %%
W2, b2 = torch.tensor([[-1.5, -2.0]]), torch.tensor([2.0])
mask = torch.diag(code.float())
A, c = W2 @ mask @ W1, W2 @ mask @ b1 + b2
print("A =", A.tolist(), "  c =", c.tolist())
print("A x + c =", (A @ x + c).item())
print("the net =", (W2 @ F.relu(W1 @ x + b1) + b2).item())

# %% [markdown]
# *And beyond the piece?* Freeze the mask of one point and use it everywhere:

# %% tags=["hide-input"]
HEIGHT = 0.25
places = [round(-0.85 + 0.1 * k, 2) for k in range(18)]  # never on an edge
net = pieces.net(W1, b1, W2, b2)
chart = primer.frozen(net, HEIGHT, places, 6)
here = np.array([[place, HEIGHT] for place in places])
masks = record(net, here).codes.bits()
charts.figure(
    charts.describe(
        chart,
        f"Along a level way the net's output is a line with {len(np.unique(masks, axis=0)) - 1} kinks. The map with "
        "the mask of one place meets it on that place's piece and parts from it at the edges.",
    ),
    "With its mask frozen the net is a straight line: right on the piece, wrong beyond its edges.",
    f"Above: the four pieces and a way at height {HEIGHT}. Below: the output along the way (blue), and the affine map "
    "Ax + c of the lit piece (orange).",
)

# %% [markdown]
# The output has a kink exactly where the way crosses an edge. So the net is a patchwork: **lines make the pieces, the
# mask makes each of them flat.** A function made of such pieces is a *spline*; hence the name of the code.
#
# ## How many pieces do three neurons make?
#
# Three bits have eight values. *Do all eight occur?* Ask many points:

# %%
W = torch.cat([W1, torch.tensor([[0.25, 0.75]])])  # a third neuron
b = torch.cat([b1, torch.tensor([-0.45])])
dots = 2 * torch.rand(100_000, 2) - 1
codes = (dots @ W.T + b > 0).int().unique(dim=0)
print(len(codes), "codes:", ["".join(map(str, c)) for c in codes.tolist()])


# %% tags=["hide-input"]
def shifted(by: float) -> nn.Module:
    """Three neurons, the third one's line shifted."""
    return pieces.net(W, torch.cat([b1, torch.tensor([by])]), torch.ones(1, 3), b2)


three = {by: shifted(by) for by in (round(-0.55 + 0.1 * k, 2) for k in range(10))}
found = {by: set(pieces.names(pieces.cut(net).codes)) for by, net in three.items()}
every = {f"{number:03b}" for number in range(8)}
chart = primer.neurons(
    three,
    [f"{len(codes)} pieces; nowhere: {', '.join(sorted(every - codes))}" for codes in found.values()],
    "third bias = ",
    1,
)
most = max(map(len, found.values()))
charts.figure(
    charts.describe(
        chart, f"Three lines part a square into {most} pieces, a triangle in the middle, with their codes."
    ),
    f"Three lines make {most} pieces, so one of eight codes has no place.",
    "As before, with a third neuron; the slider shifts its line.",
    holds=most == 7,
)

# %% [markdown]
# Shift the line through the crossing of the other two: the triangle shrinks to a point and comes back with **all three bits
# flipped**. The pieces are convex polygons, cut out by lines; in more dimensions hyperplanes cut out polytopes. *n*
# lines make far fewer than 2ⁿ of them (exercise 1).
#
# ## What does a second layer add?
#
# Back to the net on two moons. Its second layer sees the first one's *outputs*, which have a kink at each of the first
# layer's lines; so the lines of the second layer **bend** there. On a piece the net is still affine, with one mask per
# layer: *W₃ diag(m₂) W₂ diag(m₁) W₁ x + …* `polytopes.plane` finds all pieces of the plane through three points, exactly:

# %%
corners = [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]
cut = polytopes.plane(trained, *corners, margin=0, verify=True)
way = polytopes.segment(trained, [-0.95, -0.6], [0.95, 0.7])
flips = np.abs(np.diff(way.codes.bits().astype(int), axis=0)).sum(axis=1)
print(cut, way, "bits flipped at each edge:", flips, sep="\n")

# %% [markdown]
# *What happens to the code on the way?*

# %% tags=["hide-input"]
chart = primer.walk(trained, cut, way)
ends = way.codes.bits()[[0, -1]]
charts.figure(
    charts.describe(
        chart,
        f"A straight way through the pieces of the trained net crosses {len(flips)} edges. Under it stands the code of "
        "16 bits; the one that the last edge flipped is lit.",
    ),
    "Neighbours differ in one bit: the neuron whose edge they share.",
    f"The trained net's {len(cut)} pieces, coloured by the class that wins; straight edges belong to the first "
    f"layer, bent ones to the second. Below: the code of the lit piece. After {len(flips)} flips the ends of the way differ "
    f"in {int((ends[0] != ends[1]).sum())} bits.",
    holds=bool((flips == 1).all()),
)

# %% [markdown]
# A bent edge can be crossed twice, and then its bit is back. So the number of bits in which two codes differ counts the
# neurons that switch an *odd* number of times on the way between two inputs; its share of all bits is their Hamming
# distance. Whether that tells more about a net than its activations do is what this book tests.
#
# ## Why does a hook on `nn.ReLU` miss codes?
#
# The usual way to read a net is a forward hook on each `nn.ReLU`. This net calls its activations in four ways:


# %%
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(2, 8), nn.Linear(8, 8)
        self.act = nn.ReLU()

    def forward(self, x):
        x = self.act(self.a(x))  # a module
        x = self.act(self.b(x))  # the same module again
        x = self.b(F.relu(x - 1))  # a function
        return torch.maximum(x, 0.1 * x)  # a leaky ReLU in disguise


# %%
net, seen = Net().double().eval(), {}
net.act.register_forward_hook(lambda layer, x, out: seen.update({layer: out}))
net(moons)
print("hook:  ", {str(layer): out.shape[1] for layer, out in seen.items()})
print("record:", record(net, moons).codes.layers)

# %% [markdown]
# The hook holds 8 bits of 32: the second call overwrote the first, and the other two call no module. (And an in-place ReLU
# overwrites the values that a hook on the layer before it has kept.)
#
# `record` **intercepts calls** instead. It runs the net under a torch function mode, which sees every tensor operation
# before it happens, whoever calls it. What bends gives bits, what is linear passes, and what it does not know it
# **refuses**, rather than return half a code.
#
# ## What is the code of *your* net?
#
# Three lines, for an `nn.Module` of operations that `record` knows, and its inputs ([installing](../book/running.md)):

# %%
from splinelab import record

codes = record(trained, moons).codes  # your own net and inputs here
codes.bits()

# %% [markdown]
# One row for each input, one column for each neuron. `codes.layers` names the layers, and
# `splinelab.distances.pairwise(codes, metric="hamming")` compares all inputs. The [API](../book/api.md) has the rest.
#
# ## Where next?
#
# - Do codes tell classes apart better than activations? [Chapter 1](01_spline_vs_activation_distances).
# - Do boundaries run between classes? [Chapter 3](03_polytope_density).
# - What lies between two images? [Chapter 5](05_polytope_interpolation).
# - A word you do not know: the [glossary](../book/glossary.md).
#
# ## Exercises
#
# **1.** Draw *n* random lines. What is the largest number of pieces for *n* = 1, 2, 3, 4, 5? Find the rule: how many new
# pieces can one more line make?

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
draw = torch.Generator().manual_seed(1)


def most_pieces(n: int) -> int:
    """The most pieces that 20 draws of n lines make."""
    nets = [
        pieces.net(
            torch.randn(n, 2, generator=draw), 0.2 * torch.randn(n, generator=draw), torch.ones(1, n), b2
        )
        for _ in range(20)
    ]
    return max(len(pieces.cut(net)) for net in nets)


print("most pieces found: ", [most_pieces(n) for n in range(1, 6)])
print("1 + n + n(n − 1)/2:", [1 + n + n * (n - 1) // 2 for n in range(1, 6)])
# Line n crosses the n − 1 others in at most n − 1 points, so it runs through n pieces and halves each of them.

# %% [markdown]
# **2.** A leaky ReLU multiplies by 1 or by 0.01. What is its mask, and is the net still affine on each piece?

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
# Its mask holds 1 where the neuron is on and 0.01 where it is off: fixed on a piece, so the same sum holds.
leaky = torch.diag(torch.where(z > 0, 1.0, 0.01))
A, c = W2 @ leaky @ W1, W2 @ leaky @ b1 + b2
print("affine:", torch.allclose(W2 @ F.leaky_relu(W1 @ x + b1) + b2, A @ x + c))
print("the code is the same:", bool((record(nn.LeakyReLU(), z[None]).codes.bits() == code.numpy()).all()))
