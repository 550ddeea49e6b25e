"""Random sets of components that resemble a given one."""

import numpy as np

# A member's stand-in is one of so many that resemble it most, and of half of the candidates at most: among
# few components "the nearest 20" would be all of them.
POOL = 20


def matched_sets(
    members: np.ndarray,
    alive: np.ndarray,
    norms: np.ndarray,
    frequency: np.ndarray,
    *,
    sets: int,
    seed: int | tuple[int, ...],
) -> np.ndarray:
    """Random sets of alive components, none of them members: `sets` × size, positions, no repeats in a row.

    For each member in random order, one of the 20 unused candidates (or half of all, if that is less) that
    are nearest in |log norm| + |log frequency|, each as likely; ties in that distance are broken at random.
    Matching one by one matches the set in size, norm and firing frequency. Where fewer candidates than
    members are left, every set is all of them: sets × candidates (sets × 0 for none).

    Parameters
    ----------
    members, alive : positions.
    norms, frequency : N, at least 0.
    seed : anything that numpy's generator takes.
    """
    rng = np.random.default_rng(seed)
    candidates = np.setdiff1d(alive, members)
    if len(candidates) <= len(members):
        return np.tile(candidates, (sets if len(candidates) else 0, 1))
    place = np.stack([_log(norms), _log(frequency)])
    apart = np.abs(place[:, members, None] - place[:, None, candidates]).sum(axis=0)  # members × candidates
    drawn = np.empty((sets, len(members)), np.int64)
    pool = min(POOL, (len(candidates) + 1) // 2)
    for chosen in drawn:
        free = np.ones(len(candidates), bool)
        for member in rng.permutation(len(members)):
            left = rng.permutation(np.flatnonzero(free))
            nearest = left[np.argsort(apart[member, left], kind="stable")[:pool]]
            pick = nearest[rng.integers(len(nearest))]
            free[pick] = False
            chosen[member] = candidates[pick]
    return drawn


def _log(values: np.ndarray) -> np.ndarray:
    """Logarithm, with 0 a factor of 10 below the least positive value."""
    values = np.asarray(values, np.float64)
    positive = values[values > 0]
    return np.log(np.maximum(values, positive.min() / 10 if len(positive) else 1.0))
