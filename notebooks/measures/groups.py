"""Clusters of words without labels: how pure they are, beside clusters of the same sizes."""

from collections.abc import Mapping

import numpy as np
from sklearn.decomposition import NMF

from splinelab.clustering import cluster
from splinelab.distances import pairwise
from splinelab.errors import InputError

#: A cluster is pure by word or by tag if at least this share of it is of one.
PURE = 0.8
#: The least that HDBSCAN calls a cluster; the pilot's, and the essay's default.
LEAST = 5


def density_clusters(distances: np.ndarray) -> np.ndarray:
    """HDBSCAN's labels, −1 for noise, from n × n distances."""
    return cluster(distances, "hdbscan", metric="precomputed", min_cluster_size=LEAST)


def sizes_of(labels: np.ndarray) -> np.ndarray:
    """The sizes of the clusters, largest first, noise left out."""
    return np.sort(np.bincount(labels[labels >= 0]))[::-1]


def pure(labels: np.ndarray, kinds: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The share of clusters of which at least `PURE` is of one kind; 0 where there is no cluster.

    One number; with `weights` (draws × words: how often a word counts) one for each draw,
    the clusters staying as they are, and those without a word dropping out.
    """
    kept = labels >= 0
    if not kept.any():
        return np.zeros(1 if weights is None else len(weights))
    names, kind = np.unique(kinds[kept], return_inverse=True)
    cell, shape = labels[kept] * len(names) + kind, (labels.max() + 1, len(names))
    shares = []
    for weight in np.ones((1, kept.sum())) if weights is None else weights[:, kept]:
        table = np.bincount(cell, weight, shape[0] * shape[1]).reshape(shape)
        size = table.sum(axis=1)
        shares.append((table.max(axis=1) >= PURE * size - 1e-9)[size > 0].mean())
    return np.array(shares)


def random_members(labels: np.ndarray, kinds: np.ndarray, *, shuffles: int = 20, seed: int = 0) -> float:
    """The mean of `pure` for clusters of the same number and sizes whose members are drawn from all words."""
    rng = np.random.default_rng(seed)
    return float(np.mean([pure(rng.permutation(labels), kinds)[0] for _ in range(shuffles)]))


def summary(
    labels: np.ndarray, words: np.ndarray, tags: np.ndarray, weights: np.ndarray
) -> dict[str, float | dict]:
    """Clusters, noise, sizes and purity by word and by tag of one clustering, with random members beside it.

    words : word types; tags : one for each; weights : draws × words, for the purities, which have their value
    and "drawn" for each draw (see `pure`).
    """
    sizes = sizes_of(labels)
    found: dict[str, float | dict] = {
        "clusters": len(sizes),
        "noise": float((labels < 0).mean()),
        "median size": float(np.median(sizes)) if len(sizes) else 0.0,
        "largest": int(sizes.max(initial=0)),
    }
    for name, kinds in (("word", words), ("tag", tags)):
        value = float(pure(labels, kinds)[0])
        found[f"pure by {name}"] = {"value": value, "drawn": pure(labels, kinds, weights).tolist()}
        found[f"pure by {name}, random members"] = random_members(labels, kinds)
    return found


def nearest_first(distances: np.ndarray) -> np.ndarray:
    """For each word all words, the nearest first and the first of equals before others: n × n."""
    return np.argsort(distances, axis=1, kind="stable")


def tight_groups(distances: np.ndarray, sizes: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Groups of given sizes that a matrix of distances holds most closely: labels, −1 for words in none.

    The rule by which two distances are compared at the same noise share and the same cluster sizes: sizes in
    falling order; for a size m, of all words not yet in a group the one whose (m − 1)-th nearest free
    neighbour is nearest (the first of equals) takes these neighbours. Only the distances decide who is in.
    `order` is `nearest_first(distances)`.
    Raises InputError for more members than words.
    """
    n = len(distances)
    sizes = np.sort(np.asarray(sizes))[::-1]
    if sizes.sum() > n or (sizes < 2).any():
        raise InputError(f"groups of {sizes.tolist()} were asked of {n} words: expected 2 or more, n in all")
    labels = np.full(n, -1)
    for number, size in enumerate(sizes):
        free = labels < 0
        rows, width = np.flatnonzero(free), min(n, 4 * int(size))
        while True:
            seen = np.cumsum(free[order[rows, :width]], axis=1)
            if width == n or (seen[:, -1] >= size).mean() > 0.5:
                break
            width = min(n, 2 * width)
        labels[_tightest(distances, order, rows, free, seen, int(size))] = number
    return labels


def _tightest(
    distances: np.ndarray, order: np.ndarray, rows: np.ndarray, free: np.ndarray, seen: np.ndarray, size: int
) -> np.ndarray:
    """The members of the closest group. A word whose `size` free neighbours lie beyond the columns looked at
    can only be the closest if all that are found lie further than its last column."""
    enough = seen[:, -1] >= size
    reach = np.full(len(rows), np.inf)
    last = (seen[enough] >= size).argmax(axis=1)
    reach[enough] = distances[rows[enough], order[rows[enough], last]]
    best = reach.min()
    for at in np.flatnonzero(~enough & (distances[rows, order[rows, seen.shape[1] - 1]] < best)):
        mine = order[rows[at]]
        reach[at] = distances[rows[at], mine[free[mine]][size - 1]]
    chosen = order[rows[reach.argmin()]]
    return chosen[free[chosen]][:size]


def equal_counts(values: np.ndarray, count: int) -> np.ndarray:
    """Bits of which each word has `count`: its largest values. Bool, words × units."""
    bits = np.zeros(values.shape, bool)
    np.put_along_axis(bits, np.argpartition(values, -count, axis=1)[:, -count:], True, axis=1)
    return bits


def why_hamming(bits: np.ndarray, labels: Mapping[str, np.ndarray]) -> dict[str, float]:
    """What Hamming distance sees beside which units are on: ties, and how many are on.

    labels : the clusterings of the same codes by "Hamming" and by "Jaccard".

    Returns
    -------
    for each distance its correlation over pairs with the difference in active counts and with their sum; the
    number of distinct distances; the share of words with more than one nearest neighbour; of the variance of
    active counts, the share that lies between clusters (noise left out); and the active counts of words in
    clusters and of noise, as a mean.
    """
    count = bits.sum(axis=1).astype(float)
    above = np.triu_indices(len(bits), 1)
    apart, together = np.abs(count[:, None] - count)[above], (count[:, None] + count)[above]
    found = {"active units": float(count.mean()), "their standard deviation": float(count.std())}
    for name, clusters in labels.items():
        matrix = pairwise(bits, metric=name.lower())
        flat = matrix[above]
        found[f"{name}, correlation with the difference in counts"] = float(np.corrcoef(flat, apart)[0, 1])
        found[f"{name}, correlation with the sum of counts"] = float(np.corrcoef(flat, together)[0, 1])
        found[f"{name}, distinct distances"] = len(np.unique(flat))
        np.fill_diagonal(matrix, np.inf)
        nearest = matrix.min(axis=1, keepdims=True)
        found[f"{name}, words with tied nearest"] = float(((matrix == nearest).sum(axis=1) > 1).mean())
        found[f"{name}, count variance between clusters"] = explained(count, clusters)
        for where, mask in (("clusters", clusters >= 0), ("noise", clusters < 0)):
            found[f"{name}, active units in {where}"] = float(count[mask].mean()) if mask.any() else 0.0
    return found


def explained(values: np.ndarray, labels: np.ndarray) -> float:
    """The share of the variance of `values` that lies between clusters, noise left out (ω², which is 0 for
    random members in the mean)."""
    kept = labels >= 0
    values, labels = values[kept], labels[kept]
    groups = len(np.unique(labels))
    if groups < 2 or len(values) <= groups or values.var() == 0:
        return 0.0
    size = np.bincount(labels)
    middle = np.bincount(labels, values) / np.maximum(size, 1)
    inside = ((values - middle[labels]) ** 2).sum() / (len(values) - groups)
    total = ((values - values.mean()) ** 2).sum()
    between = total - inside * (len(values) - groups)
    return float((between - (groups - 1) * inside) / (total + inside))


def tied_apart(distances: np.ndarray, step: float, *, seed: int) -> np.ndarray:
    """The distances with ties broken at random: each pair's grows by less than `step`, the least gap."""
    jitter = np.triu(np.random.default_rng(seed).random(distances.shape) * step, 1)
    return distances.astype(np.float64) + jitter + jitter.T


def merging(x: np.ndarray, tags: np.ndarray, weights: np.ndarray, *, seed: int) -> dict[str, dict]:
    """K-means with as many clusters as tags, judged by tags: "homogeneity" falls where a cluster merges
    tags, "completeness" where a tag is split (Rosenberg and Hirschberg 2007); "merging" is the second minus
    the first. Each with its value and, for the same clusters, "drawn" for each row of `weights` (draws ×
    words: how often a word counts)."""
    names, kind = np.unique(tags, return_inverse=True)
    labels = cluster(x.astype(np.float32), "kmeans", k=len(names), seed=seed, n_init=3)
    table = np.stack(
        [np.bincount(kind * len(names) + labels, w, len(names) ** 2) for w in (np.ones(len(tags)), *weights)]
    ).reshape(-1, len(names), len(names))
    of_tag, of_cluster, both = (
        _entropy(part) for part in (table.sum(2), table.sum(1), table.reshape(len(table), -1))
    )
    shared = of_tag + of_cluster - both
    found = {"homogeneity": shared / of_tag, "completeness": shared / of_cluster}
    found["merging"] = found["completeness"] - found["homogeneity"]
    return {name: {"value": float(v[0]), "drawn": v[1:].tolist()} for name, v in found.items()}


def _entropy(counts: np.ndarray) -> np.ndarray:
    share = counts / counts.sum(axis=1, keepdims=True)
    return -(share * np.log(np.where(share > 0, share, 1))).sum(axis=1)


def factors(activations: np.ndarray, components: int = 64, *, seed: int = 0) -> np.ndarray:
    """Directions of NMF (unit length, components × units) of activations, negative ones set to 0."""
    model = NMF(components, init="nndsvda", max_iter=100, random_state=seed, tol=1e-3)
    model.fit(np.maximum(activations, 0).astype(np.float32))
    return _unit(model.components_)


def along(
    directions: np.ndarray, activations: np.ndarray, words: np.ndarray, tags: np.ndarray, labels: np.ndarray,
    top: int = 20,
) -> dict[str, float]:  # fmt: skip
    """The `top` words with the largest cosine to each direction: how many are of one word, of one tag, and
    in how many clusters (`labels`, noise not counted) they lie; means over directions, and shares of those
    whose words are at least `PURE` of one."""
    cosines = _unit(np.maximum(activations, 0)) @ _unit(directions).T
    best = np.argsort(-cosines, axis=0, kind="stable")[:top].T
    share = {
        name: np.array([np.unique(kinds[some], return_counts=True)[1].max() / top for some in best])
        for name, kinds in (("word", words), ("tag", tags))
    }
    inside = [labels[some][labels[some] >= 0] for some in best]
    found = {f"share of one {name}": float(values.mean()) for name, values in share.items()}
    found |= {f"pure by {name}": float((values >= PURE).mean()) for name, values in share.items()}
    found["code clusters"] = float(np.mean([len(np.unique(some)) for some in inside]))
    found["in no cluster"] = float(1 - np.mean([len(some) / top for some in inside]))
    return found


def _unit(x: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, 1)
