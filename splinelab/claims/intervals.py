"""Intervals over seeds, as the ledger wants them: (value, low, high)."""

import numpy as np
from scipy import stats

from splinelab.errors import ClaimError

__all__ = ["count_over_seeds", "mean_over_seeds"]


def mean_over_seeds(values) -> tuple[float, float, float]:
    """The mean of one number per seed and its 95 % t interval; ``ClaimError`` for fewer than two.

    >>> mean_over_seeds([1.0, 1.0, 1.0])
    (1.0, 1.0, 1.0)
    """
    values = np.asarray(values, float)
    if values.size < 2:
        raise ClaimError(f"an interval over seeds needs at least 2 of them, got {values.size}")
    middle = values.mean()
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(middle), float(middle - half), float(middle + half)


def count_over_seeds(values) -> tuple[float, float, float]:
    """The median of a count, its smallest and its largest value.

    >>> count_over_seeds([40, 38, 39])
    (39.0, 38.0, 40.0)
    """
    return float(np.median(values)), float(min(values)), float(max(values))
