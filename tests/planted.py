"""Importance profiles with known mechanisms, for the tests of `splinelab.mechanisms`."""

import numpy as np


def planted(sizes, *, samples=3000, p=0.05, noise=0.3, seed=0, shuffle=True):
    """Profiles (samples × components) of blocks that fire together, and the block of each component.

    A block is on for a share `p` of the samples, with a strength of its own. Each member multiplies it by
    noise, misses some of the samples and fires on a few others by itself; none of that for noise 0.
    """
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    on = rng.random((samples, len(sizes))) < p
    base = (on * rng.uniform(0.3, 1, on.shape))[:, truth]
    if noise:
        base = base * rng.uniform(1 - noise, 1 + noise, base.shape) * (rng.random(base.shape) > noise / 6)
        base = base + (rng.random(base.shape) < noise / 150) * rng.uniform(0.1, 1, base.shape)
    order = rng.permutation(len(truth)) if shuffle else np.arange(len(truth))
    return np.clip(base, 0, 1)[:, order], truth[order]


def partition(labels):
    """The groups of a labelling as sets of positions; negative labels are left out."""
    labels = np.asarray(labels)
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels[labels >= 0])}
