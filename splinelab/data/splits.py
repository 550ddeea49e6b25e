"""Which images are trained on and which are held out."""

from typing import NamedTuple

import numpy as np

from splinelab._arguments import check_seed
from splinelab.data.dataset import Dataset
from splinelab.errors import InputError

#: Training images of the split that all arms share, by pool; whatever is left is held out.
PROTOCOL_TRAIN = {"mnist-train": 1000, "fashion-train": 1000, "digits": 300}


class Split(NamedTuple):
    """Two sorted, disjoint index arrays that together cover a data set."""

    train: np.ndarray
    heldout: np.ndarray


def stratified_split(dataset: Dataset, train: int, *, seed: int = 0) -> Split:
    """Draw some images with the data set's class proportions; hold out the rest.

    Every class is shuffled once and the first images are taken, so with the same seed a smaller training set
    lies inside a larger one (up to rounding where classes differ in size).

    Parameters
    ----------
    train : how many images are drawn.
    seed : of the shuffle.

    Examples
    --------
    >>> from splinelab.data import digits
    >>> split = stratified_split(digits(), 300, seed=0)
    >>> len(split.train), len(split.heldout)
    (300, 1497)
    """
    seed = check_seed(seed)
    if isinstance(train, bool) or not isinstance(train, int | np.integer) or not 0 < train <= len(dataset):
        raise InputError(
            f"{train!r} training images were asked for; {dataset!r} can give 1 to {len(dataset):,}"
        )
    classes, counts = np.unique(dataset.labels, return_counts=True)
    exact = counts * train / len(dataset)
    share = np.floor(exact).astype(int)
    # The classes with the largest remainders get the images that rounding down left over.
    share[np.argsort(share - exact, kind="stable")[: train - share.sum()]] += 1
    rng = np.random.default_rng([seed, len(dataset)])
    chosen = [
        rng.permutation(np.flatnonzero(dataset.labels == label))[:take]
        for label, take in zip(classes, share, strict=True)
    ]
    index = np.sort(np.concatenate(chosen))
    return Split(index, np.setdiff1d(np.arange(len(dataset)), index))


def protocol_split(dataset: Dataset) -> Split:
    """*The* split that all arms share: 1,000 stratified training images (digits: 300), the rest held out.

    Fixed: it depends on nothing but the data set, so membership is equal across nets, losses and seeds.
    """
    train = PROTOCOL_TRAIN.get(dataset.pool)
    if train is None:
        raise InputError(
            f"the protocol fixes no split for {dataset!r} (pool {dataset.pool!r}); "
            f"expected one of the pools {', '.join(PROTOCOL_TRAIN)}, or use stratified_split"
        )
    return stratified_split(dataset, train, seed=0)
