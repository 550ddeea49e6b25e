"""HDBSCAN on one matrix of distances, in the memory of that matrix.

`hdbscan.HDBSCAN` copies a given matrix and copies it once more to sort it: 24 bytes for each pair of samples
where 8 do. Its own functions do the rest here, so that labels are the same to the last one.
"""

import numpy as np
from hdbscan._hdbscan_linkage import label, mst_linkage_core
from hdbscan.hdbscan_ import _tree_to_labels

_ROWS = 256  # sorted at once


def hdbscan_labels(
    distances: np.ndarray, size: int, min_samples: int, *, single: bool = False, epsilon: float = 0.0
) -> np.ndarray:
    """Labels (int64, −1 is noise) from n × n distances in float64, symmetric, which are overwritten.

    size: the least of a cluster. single: whether all samples may be one cluster; then `epsilon`, if above 0,
    is the distance up to which they must hang together to belong to it.
    """
    n = len(distances)
    nth = max(min(n - 1, min_samples), 1)
    stripes = [slice(first, min(first + _ROWS, n)) for first in range(0, n, _ROWS)]
    core = np.concatenate([np.partition(distances[rows], nth, axis=1)[:, nth].copy() for rows in stripes])
    np.maximum(distances, core, out=distances)
    np.maximum(distances, core[:, None], out=distances)
    tree = mst_linkage_core(distances)
    tree = label(tree[np.argsort(tree.T[2]), :])
    found = _tree_to_labels(
        distances, tree, size, allow_single_cluster=single, cluster_selection_epsilon=epsilon
    )
    return found[0].astype(np.int64)
