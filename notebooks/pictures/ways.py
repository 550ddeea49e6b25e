"""What chapter 5 counts on many nets: flips in fifths of a way, what samples find, clouds, pixels, attacks.

Each measure takes a net, the name of a layer and images (pairs or triples × … × 1 × 28 × 28) and returns arrays.
"""

import copy

import numpy as np
import torch
from torch.nn import functional as F

from splinelab import polytopes, protocol, record
from splinelab.data import Dataset
from splinelab.intervals import Interval, two_level

__all__ = [
    "STEPS",
    "STRETCHES",
    "adjacent",
    "along",
    "around",
    "attacked",
    "bounds",
    "by_seed",
    "contrast",
    "ends_of",
    "groups",
    "part_of",
    "pgd",
    "quotient",
    "ratio",
    "seen_by_samples",
    "share",
    "spanned",
    "to_length",
]

MEMORY = 3e8  # bytes that one traversal may take
GRID = 4096  # pixels across a slice, as the source has them
# Stretches per fifth of a way, of which one is followed; None: the whole way is.
STRETCHES = {"relu1": 150, "pool2": 12, "pool3": None, "relu4": None, "relu5": None}
STRETCHES |= {"stem": 150, "block1": 40, "block2": 6}
STEPS = ("PGD", "random", "other image")


def groups(images: Dataset, pairs: int, triples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places of images, from a sample in rounds of ten digits: pairs of different classes, pairs of one class,
    triples of different classes; all digits equally often, no image in two pairs, or in two triples.
    """
    rounds = np.argsort(images.labels, kind="stable").reshape(10, -1)  # digits × rounds
    later = rounds[:, pairs // 5 : 2 * pairs // 5].reshape(10, -1, 2).swapaxes(0, 1)
    three = [[rounds[(3 * k + j) % 10, (3 * k + j) // 10] for j in range(3)] for k in range(triples)]
    return np.arange(2 * pairs).reshape(pairs, 2), later.reshape(pairs, 2), np.array(three)


def by_seed(function, nets: dict[tuple, list], jobs: dict) -> dict[tuple, np.ndarray]:
    """For each key of `jobs`: `function(net, *jobs[key](k))` for the k-th net of every seed, stacked.

    The first two words of a key say which list of `nets`.
    """
    calls = {
        (*key, k): (net, *given(k)) for key, given in jobs.items() for k, net in enumerate(nets[key[:2]])
    }
    ran = protocol.in_parallel(function, calls)
    return {key: np.stack([ran[*key, k] for k in range(len(nets[key[:2]]))]) for key in jobs}


def part_of(pairs: np.ndarray, n: int, k: int) -> np.ndarray:
    """The n pairs that the k-th net looks at, and no other net."""
    return pairs[k * n : (k + 1) * n]


def share(pairs: np.ndarray, key: tuple, k: int, nets: int) -> np.ndarray:
    """The pairs whose arcs the k-th net follows: all where that is cheap, else its part; untrained nets fewer."""
    cheap, each = STRETCHES[key[2]] is None, len(pairs) // nets
    if key[0] == "trained":
        return pairs if cheap else part_of(pairs, each, k)
    return part_of(pairs, each, k)[: each if cheap else 10]


def ratio(top: np.ndarray, bottom: np.ndarray) -> float:
    """The sum of one by that of the other."""
    return top.sum() / bottom.sum() if bottom.sum() else np.nan


def quotient(f1: np.ndarray, l1: np.ndarray, f0: np.ndarray, l0: np.ndarray) -> float:
    """Flips per length in one part of the ways divided by that in another."""
    return ratio(f1, l1) / ratio(f0, l0) if f0.sum() else np.nan


def contrast(both: np.ndarray, inside: list[int], outside: list[int]) -> Interval | None:
    """Density in some fifths divided by that in others; flips and length × nets × ways × 5."""
    return bounds(quotient, *both[..., inside].sum(axis=-1), *both[..., outside].sum(axis=-1))


def bounds(statistic, *arrays: np.ndarray) -> Interval | None:
    """A statistic of nets × pairs with its interval over images and nets; None where it has no value."""
    return two_level(statistic, *arrays) if np.isfinite(statistic(*arrays)) else None


def ends_of(model, layer: str, images: np.ndarray) -> tuple[torch.nn.Module, np.ndarray]:
    """The net behind a layer, and what reaches it: float64, groups × images of a group × …"""
    rest, points = polytopes.from_layer(model, layer, images.reshape(-1, *images.shape[2:]))
    points = points.detach().double().numpy()
    return rest, points.reshape(*images.shape[:2], *points.shape[1:])


def in_fifths(rest, ways: list[np.ndarray], *, whole: bool = False, seed: int = 0) -> np.ndarray:
    """Exact flips, and the length on which they were counted, in each fifth of each way: 2 × ways × 5.

    A way is points × …, with a multiple of five legs. Of each fifth one leg, at a random place, is followed, or
    all of them.
    """
    legs = (len(ways[0]) - 1) // 5
    rng = np.random.default_rng(seed)
    some = np.arange(legs) if whole else rng.integers(legs, size=(len(ways), 5, 1))
    chosen = np.broadcast_to(some + legs * np.arange(5)[:, None], (len(ways), 5, legs if whole else 1))
    parts = [way[[leg, leg + 1]] for way, every in zip(ways, chosen, strict=True) for leg in every.ravel()]
    flips = [way.crossings for way in polytopes.paths(rest, parts, memory=MEMORY)]
    length = [np.linalg.norm(end - start) for start, end in parts]
    return np.array([flips, length], float).reshape(2, *chosen.shape).sum(axis=-1)


def along(model, layer: str, pairs: np.ndarray) -> np.ndarray:
    """`in_fifths` on the great arcs between two activations, whole where `STRETCHES` has nothing for the layer."""
    rest, ends = ends_of(model, layer, pairs)
    stretches = STRETCHES[layer]
    arcs = [polytopes.slerp(*both, 5 * (stretches or 4) + 1) for both in ends]
    return in_fifths(rest, arcs, whole=stretches is None, seed=len(pairs))


def seen_by_samples(model, layer: str, pairs: np.ndarray, counts: list[int], part: float) -> np.ndarray:
    """For each pair: exact regions, exact flips, Hamming distance of the ends, regions found by so many samples.

    With `part` below 1, regions and flips are those of five stretches, each a fifth of this share of the way, at a
    random place of its fifth; flips stand for the whole way, regions do not.
    """
    rest, ends = ends_of(model, layer, pairs)
    exact, rng = copy.deepcopy(rest).double(), np.random.default_rng(len(pairs))
    many, length = (1, 1.0) if part == 1 else (5, part / 5)
    rows = []
    for both in ends:
        low = (np.arange(many) + (1 - many * length) * rng.random(many)) / many
        t = np.stack([low, low + length], axis=1).reshape(many, 2, *[1] * (both.ndim - 1))
        ways = polytopes.paths(rest, list(both[0] + t * (both[1] - both[0])), memory=MEMORY)
        found = np.zeros(len(counts))
        for start, way in zip(low, ways, strict=True):
            for k, n in enumerate(counts):
                samples = (np.linspace(0, 1, n) - start) / length
                samples = samples[(samples >= 0) & (samples <= 1)]
                found[k] += len(np.unique(np.searchsorted(way.boundaries, samples)))
        packed = record(exact, torch.from_numpy(both), activations=False).codes.packed
        hamming = np.unpackbits(packed[0] ^ packed[1]).sum()
        flips = sum(way.crossings for way in ways) / (many * length)
        rows.append((sum(way.regions for way in ways), flips, hamming, *found))
    return np.array(rows, float)


def around(model, layer: str, pairs: np.ndarray, radii: tuple[float, ...]) -> np.ndarray:
    """Sampled density in the middles of the five fifths of great arcs: radii × pairs × 5.

    A radius is a share of the mean distance between the two of a pair.
    """
    rest, ends = ends_of(model, layer, pairs)
    mean = np.linalg.norm((ends[:, 0] - ends[:, 1]).reshape(len(ends), -1), axis=1).mean()
    centres = np.concatenate([polytopes.slerp(*both, 11)[1::2] for both in ends])
    found = [polytopes.sampled_density(rest, centres, radius=r * mean, samples=150) for r in radii]
    return np.stack(found).reshape(len(radii), -1, 5)


def spanned(points: np.ndarray) -> tuple[np.ndarray, ...]:
    """The plane through three activations: origin, two axes, the three in its coordinates, and its domain."""
    flat = points.reshape(3, -1)
    axes = np.linalg.qr((flat[1:] - flat[0]).T)[0].T
    axes *= np.sign([axes[0] @ (flat[1] - flat[0]), axes[1] @ (flat[2] - flat[0])])[:, None]
    corners = (flat - flat[0]) @ axes.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    room = 0.25 * (high - low).max()  # as `polytopes.plane` chooses it
    return flat[0], axes, corners, np.stack([low - room, high + room])


def adjacent(model, layer: str, triples: np.ndarray, pixels: int) -> np.ndarray:
    """Hamming distance of adjacent pixels, summed over pixels inside the triangle and outside: triples × 2.

    So many pixels at random places each, with their right and their lower neighbour.
    """
    rest, points = ends_of(copy.deepcopy(model).double(), layer, triples.astype(np.float64))
    rng = np.random.default_rng(0)
    rows = []
    for three in points:
        origin, axes, corners, domain = spanned(three)
        step = np.ptp(domain, axis=0) / GRID
        places = domain[0] + step * (rng.integers(GRID - 1, size=(40 * pixels, 2)) + 0.5)
        shares = np.linalg.solve((corners[1:] - corners[0]).T, (places - corners[0]).T)
        between = (shares >= 0).all(axis=0) & (shares.sum(axis=0) <= 1)
        some = np.concatenate([places[between][:pixels], places[~between][:pixels]])
        assert len(some) == 2 * pixels  # the triangle is a tenth of the slice or more
        trio = some[:, None] + step * np.array([[0, 0], [1, 0], [0, 1]])
        rows_of = torch.from_numpy((origin + trio @ axes).reshape(-1, *three.shape[1:]))
        packed = record(rest, rows_of, activations=False).codes.packed.reshape(len(some), 3, -1)
        flips = np.unpackbits(packed[:, 1:] ^ packed[:, :1], axis=-1).sum(axis=(1, 2), dtype=np.int64)
        rows.append(flips.reshape(2, pixels).sum(axis=1))
    return np.array(rows, float)


def to_length(steps: torch.Tensor, norm: float) -> torch.Tensor:
    """Steps of this L2 norm in the same directions: samples × …"""
    return steps * norm / steps.flatten(1).norm(dim=1).clamp_min(1e-30).view(-1, 1, 1, 1)


def pgd(model, images: torch.Tensor, labels: torch.Tensor, norm: float, rounds: int = 20) -> torch.Tensor:
    """Steps of length `norm` that raise the cross-entropy, from a random start of a tenth of it.

    The start matters: over a black background all entries of a max-pooling window are equal. Only the direction
    of the gradient is used. The log-odds against the true class have the same one, and do not vanish where a net
    is sure: there the cross-entropy's gradient is rounding.
    """
    start = torch.randn(images.shape, generator=torch.Generator().manual_seed(1)).to(images)
    step = to_length(start, norm / 10)
    true = F.one_hot(labels, 10).bool()
    for _ in range(rounds):
        step.requires_grad_(True)
        logits = model(images + step)
        odds = logits.masked_fill(true, -torch.inf).logsumexp(1) - logits[true]
        (gradient,) = torch.autograd.grad(odds.sum(), step)
        step = step.detach() + to_length(gradient, 2.5 * norm / rounds)
        length = step.flatten(1).norm(dim=1).clamp_min(1e-30)
        step = step * (norm / length).clamp(max=1).view(-1, 1, 1, 1)
    return to_length(step, norm)


def attacked(model, images, labels, norm: int, counted: int) -> np.ndarray:
    """For each of `STEPS`: its success rate, then exact flips on the steps of the first `counted` images."""
    # In float64: twenty steps in float32 would tell one processor's rounding from another's.
    model = copy.deepcopy(model).double()
    images, labels = torch.as_tensor(images).double(), torch.as_tensor(labels).long()
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0)).double()
    other = images.roll(1, 0) - images
    steps = [pgd(model, images, labels, norm), to_length(noise, norm), to_length(other, norm)]
    with torch.no_grad():
        right = model(images).argmax(1) == labels
        success = [float((model(images + step).argmax(1) != labels)[right].float().mean()) for step in steps]
    t = np.linspace(0, 1, 125 * norm + 1).reshape(-1, 1, 1, 1)
    starts, moves = images[:counted].numpy(), torch.stack(steps)[:, :counted].numpy()
    flips = [
        in_fifths(model, [start + t * move for start, move in zip(starts, some, strict=True)])[0].sum(axis=1)
        for some in moves
    ]
    return np.column_stack([success, 25 * norm * np.array(flips)])
