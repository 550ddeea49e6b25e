"""How far apart same-class and different-class pairs lie: ROC-AUC, overlap, d′ and the gap."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from splinelab.distances.histograms import ClassHistograms
from splinelab.distances.operands import check_labels
from splinelab.errors import InputError

_OVERLAP_BINS = 100


@dataclass(frozen=True)
class Separability:
    """What `separability` returns.

    Attributes
    ----------
    auc : the probability that a different-class pair lies further apart than a same-class pair, ties counting
        half.
    overlap : the common area of the two densities in 100 equal bins, 0 (apart) to 1 (the same).
    d_prime : difference of the means over the root mean of the two variances.
    gap : (5 % quantile of different-class − 95 % quantile of same-class pairs) / sd of all pairs; above 0 the
        two barely touch. The q quantile is the smallest distance with a share of at least q up to it.
    """

    auc: float
    overlap: float
    d_prime: float
    gap: float


def separability(distances: ArrayLike | ClassHistograms, labels: ArrayLike | None = None) -> Separability:
    """Measure how well distances part classes, exactly.

    Only pairs of different samples count, each once (a matrix is read above its diagonal). Raises
    InputError where there is no same-class or no different-class pair, for labels of the wrong length and
    for NaN.

    Parameters
    ----------
    distances : an n × n matrix, or `ClassHistograms`.
    labels : one class per sample, with a matrix.

    Examples
    --------
    >>> d = np.array([[0, 1, 3, 4], [1, 0, 2, 3], [3, 2, 0, 1], [4, 3, 1, 0.0]])
    >>> separability(d, [0, 0, 1, 1]).auc
    1.0
    """
    if isinstance(distances, ClassHistograms):
        h = distances
        if labels is not None:
            raise InputError(
                "labels were given with ClassHistograms, which hold them already: expected labels=None"
            )
    elif labels is None:
        raise InputError("labels are missing: expected one label per sample beside the matrix of distances")
    else:
        h = ClassHistograms.from_matrix(distances, labels)
    _check_both(h.intra.sum(), h.inter.sum())
    return summarise(h.values, overlap_bins(h.values), h.intra, h.inter)


def summarise(values: np.ndarray, bins: np.ndarray, intra: np.ndarray, inter: np.ndarray) -> Separability:
    """`Separability` of the numbers (or weights) of pairs at each of the ascending `values`.

    `bins` says which of the overlap's bins each value falls into (see `overlap_bins`).
    """
    values = _scaled(values)
    mean_intra, var_intra = _moments(values, intra)
    mean_inter, var_inter = _moments(values, inter)
    _, var_all = _moments(values, intra + inter)
    low, high = (np.bincount(bins, counts, _OVERLAP_BINS) / counts.sum() for counts in (intra, inter))
    return Separability(
        auc=float(auc_from_counts(intra, inter)),
        overlap=float(np.minimum(low, high).sum()),
        d_prime=_ratio(mean_inter - mean_intra, np.sqrt((var_intra + var_inter) / 2)),
        gap=_ratio(_quantile(values, inter, 0.05) - _quantile(values, intra, 0.95), np.sqrt(var_all)),
    )


def _scaled(values: np.ndarray) -> np.ndarray:
    """`values` times a power of two, so that no square overflows or vanishes; nothing here has a unit."""
    return np.ldexp(values, -np.frexp(np.abs(values).max())[1])


def overlap_bins(values: np.ndarray) -> np.ndarray:
    """Which of 100 equal bins, from the smallest to the largest value, each value falls into."""
    width = values[-1] - values[0]
    share = (values - values[0]) / width if width > 0 else np.zeros(len(values))
    return np.minimum((share * _OVERLAP_BINS).astype(np.int64), _OVERLAP_BINS - 1)


def auc_from_counts(intra: np.ndarray, inter: np.ndarray) -> np.ndarray:
    """ROC-AUC from the numbers (or weights) of pairs at each ascending distance; ties count half."""
    intra, inter = np.asarray(intra, np.float64), np.asarray(inter, np.float64)
    below = np.cumsum(intra, axis=-1) - intra / 2
    return (below * inter).sum(axis=-1) / (intra.sum(axis=-1) * inter.sum(axis=-1))


def check_pairs(labels: ArrayLike, n: int) -> np.ndarray:
    """Class numbers of labels under which both same-class and different-class pairs exist."""
    codes, _ = check_labels(labels, n, classes=2)
    sizes = np.bincount(codes)
    _check_both((sizes * (sizes - 1)).sum(), 1)
    return codes


def _check_both(intra: int, inter: int) -> None:
    if not (intra and inter):
        kind = "same-class" if not intra else "different-class"
        raise InputError(
            f"no {kind} pair: expected at least two classes, one of them with two samples or more"
        )


def _moments(values: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    total = counts.sum()
    mean = counts @ values / total
    return mean, counts @ (values - mean) ** 2 / total


def _quantile(values: np.ndarray, counts: np.ndarray, q: float) -> float:
    """The smallest value that at least the fraction q of the pairs does not exceed."""
    running = np.cumsum(counts)
    return values[np.searchsorted(running, np.ceil(q * running[-1]))]


def _ratio(difference: float, scale: float) -> float:
    # All distances equal: no spread to measure by, and nothing is separated.
    return (
        float(difference / scale) if scale > 0 else float(np.sign(difference) * np.inf if difference else 0.0)
    )
