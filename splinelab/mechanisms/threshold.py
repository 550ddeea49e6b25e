"""The threshold on correlations, from a permutation null and held-out samples instead of by hand."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from splinelab._arguments import check_seed, check_whole
from splinelab.clustering import ari
from splinelab.errors import InputError
from splinelab.mechanisms.correlation import Correlations, pairs_above
from splinelab.mechanisms.profiles import Profiles

FALLBACK = 0.5  # the fixed threshold that the rule is compared with, and falls back on
AGREEMENT = 0.95  # adjusted Rand index from which two groupings count as the same
QUANTILE = 0.95  # of the null's largest correlations
GRID = np.linspace(0.025, 0.975, 39)


@dataclass(frozen=True, eq=False)
class ThresholdChoice:
    """The threshold chosen, and what it was chosen from.

    Attributes
    ----------
    threshold : the middle of `plateau`, or `fixed` where there is none.
    null_maxima : the largest correlation in each draw of the permutation null.
    null : their 95 % quantile; no threshold below it is considered.
    grid : the thresholds tried, ascending, all above `null`.
    stability : for each, the adjusted Rand index of the groups of one half of the samples with those of the
        other, averaged over the splits; 0 where a half has no group of two, or one group only.
    plateau : the widest range of thresholds over which held-out groups stay the same, or None.
    """

    threshold: float
    null_maxima: np.ndarray
    null: float
    grid: np.ndarray
    stability: np.ndarray
    plateau: tuple[float, float] | None

    @property
    def fixed(self) -> float:
        """max(null, 0.5), the rule without held-out samples."""
        return max(self.null, FALLBACK)

    def __repr__(self) -> str:
        why = (
            "no plateau"
            if self.plateau is None
            else f"plateau {self.plateau[0]:.3f} to {self.plateau[1]:.3f}"
        )
        return (
            f"ThresholdChoice({self.threshold:.3f}; null {self.null:.3f}, {why}, fixed rule {self.fixed:.3f})"
        )


def permutation_null(profiles: Profiles, *, draws: int = 20, seed: int = 0) -> np.ndarray:
    """The largest correlation between any two components after each one's samples were shuffled: `draws`.

    Shuffling keeps every profile's values and breaks what ties it to others, so these are the largest
    correlations that chance alone gives with so many samples and components. Only components that are alive
    and not always on take part. Raises InputError for fewer than two of them, or no draw.
    """
    draws, seed = check_whole("draws", draws), check_seed(seed)
    columns = _varying(profiles).tocsc()
    counts = np.diff(columns.indptr)
    rng = np.random.default_rng(seed)
    largest = np.empty(draws)
    for draw in range(draws):
        rows = np.concatenate([rng.choice(profiles.samples, n, replace=False) for n in counts])
        shuffled = sparse.csc_matrix((columns.data, rows, columns.indptr), shape=columns.shape)
        largest[draw] = max(Correlations(shuffled).stripes(_largest, upper=True))
    return largest


def choose_threshold(
    profiles: Profiles, *, draws: int = 20, splits: int = 5, seed: int = 0
) -> ThresholdChoice:
    """Choose the threshold above which a correlation means a shared mechanism.

    Correlations of one mechanism and of none leave a gap, and no threshold inside it changes the groups
    (connected components of correlations above the threshold). The rule looks for that gap: of all ranges
    [s, t] on a grid of steps of 0.025 above the permutation null, take the widest one where the groups at s
    in one half of the samples are those at t in the other half (mean adjusted Rand index over `splits`
    random splits, both ways, at least 0.95), and of it the middle. As a higher threshold can only split
    groups, ends that agree mean that nothing changed between them. Where no such range holds more than one
    threshold, the choice is max(null, 0.5).

    `seed` fixes shuffles and splits. Raises InputError as `permutation_null` does, and for fewer than 4
    samples or no split.
    """
    draws, splits, seed = check_whole("draws", draws), check_whole("splits", splits), check_seed(seed)
    if profiles.samples < 4:
        raise InputError(f"{profiles.samples} samples; expected at least 4")
    maxima = permutation_null(profiles, draws=draws, seed=seed)
    null = float(np.quantile(maxima, QUANTILE))
    grid = GRID[null < GRID]
    agreement = np.zeros((len(grid), len(grid)))
    known: dict[tuple[bytes, bytes], float] = {}
    for split in range(splits):
        first, second = (
            _groups(Correlations(half[:, profiles.varying]), grid) for half in profiles.halves(seed + split)
        )
        for i in range(len(grid)):
            for j in range(i, len(grid)):
                both = _agree(first[i], second[j], known) + _agree(second[i], first[j], known)
                agreement[i, j] += both / (2 * splits)
    plateau = _widest(agreement, grid)
    threshold = sum(plateau) / 2 if plateau else max(null, FALLBACK)
    return ThresholdChoice(threshold, maxima, null, grid, agreement.diagonal().copy(), plateau)


def _varying(profiles: Profiles) -> sparse.csr_matrix:
    if len(profiles.varying) < 2:
        raise InputError(
            f"{len(profiles.varying)} components are alive and vary; expected at least 2 to be correlated"
        )
    return profiles.values[:, profiles.varying]


def _largest(rows: slice, block: np.ndarray) -> float:
    np.fill_diagonal(block, -1)  # a component with itself
    return float(block.max())


def _groups(correlations: Correlations, grid: np.ndarray) -> list[np.ndarray | None]:
    """The groups at each threshold; None where all stand alone or all together, which agree by nature."""
    if len(grid) == 0:
        return []
    pairs = pairs_above(correlations, grid[0])
    found = []
    for threshold in grid:
        some = pairs.data > threshold
        graph = sparse.coo_matrix((pairs.data[some], (pairs.row[some], pairs.col[some])), pairs.shape)
        parts, labels = connected_components(graph.tocsr(), directed=False)
        found.append(labels if 1 < parts < len(labels) else None)
    return found


def _agree(first: np.ndarray | None, second: np.ndarray | None, known: dict) -> float:
    """The adjusted Rand index, once for each pair: most neighbours on the grid have the same groups."""
    if first is None or second is None:
        return 0.0
    key = (first.tobytes(), second.tobytes())
    if key not in known:
        known[key] = ari(first, second)
    return known[key]


def _widest(agreement: np.ndarray, grid: np.ndarray) -> tuple[float, float] | None:
    """The longest range of the grid whose ends agree; of equals the lowest."""
    starts, stops = np.nonzero(np.triu(agreement >= AGREEMENT, 1))
    if len(starts) == 0:
        return None
    best = np.argmax(stops - starts)
    return float(grid[starts[best]]), float(grid[stops[best]])
