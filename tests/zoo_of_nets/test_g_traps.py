"""G: small traps around codes."""

import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from torch import nn

from splinelab import SplineCodes, clustering, record
from splinelab.errors import InputError, SplinelabError
from zoo_of_nets.harness import Three, built, samples

X = samples(80, 6)


class Wide(Three):
    """More than 64 bits: numpy's limit on dimensions."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 70), nn.Linear(70, 10)

    def forward(self, x):
        return self.c(F.relu(self.b(F.relu(self.a(x)))))


CODES = record(built(Wide), X).codes
BITS = CODES.bits()

# What people hand codes to: the bits, or an error in words.
CONSUMERS = {
    "asarray": np.asarray,
    "array": np.array,
    "array of floats": lambda codes: np.asarray(codes, dtype=np.float32),
    "array of bytes": lambda codes: np.array(codes, np.uint8),
    "stack": lambda codes: np.stack([codes, codes])[0],
    "concatenate": lambda codes: np.concatenate([codes])[: len(codes)],
    "vstack": lambda codes: np.vstack([codes, codes])[: len(codes)],
    "tensor": lambda codes: torch.tensor(np.asarray(codes)),
    "from_numpy": lambda codes: torch.from_numpy(np.asarray(codes)),
}


@pytest.mark.parametrize("kind", CONSUMERS)
def test_codes_as_arrays_are_their_bits(kind):
    try:
        array = np.asarray(CONSUMERS[kind](CODES))
    except (SplinelabError, TypeError) as error:
        assert "bits()" in str(error)
    else:
        assert array.shape == BITS.shape and (array == BITS).all()


@pytest.mark.parametrize("columns", [1, 8, 63, 65, 80])
def test_codes_of_every_width_as_arrays(columns):
    codes = SplineCodes.from_bits({"layer": BITS[:, :columns]})
    try:
        array = np.asarray(codes)
    except (SplinelabError, TypeError) as error:
        assert "bits()" in str(error)
    else:
        assert np.array_equal(array, BITS[:, :columns])


def test_np_asarray_copy_and_type():
    try:
        array = np.array(CODES, dtype=float, copy=True)
    except (SplinelabError, TypeError):
        return
    assert array.dtype == float and array.shape == BITS.shape
    array[:] = 7
    assert np.array_equal(CODES.bits(), BITS)


ESTIMATORS = {
    "KMeans": lambda data: KMeans(3, n_init=1, random_state=0).fit(data).labels_,
    "Agglomerative": lambda data: AgglomerativeClustering(3).fit(data).labels_,
    "DBSCAN": lambda data: DBSCAN(0.3, metric="jaccard").fit(np.asarray(data, bool)).labels_,
    "PCA": lambda data: PCA(2, random_state=0).fit_transform(data),
    "neighbours": lambda data: NearestNeighbors(n_neighbors=3).fit(data).kneighbors(data)[0],
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_codes_go_into_scikit_learn(name):
    try:
        found = ESTIMATORS[name](CODES)
    except (SplinelabError, TypeError) as error:
        assert "bits()" in str(error)
    else:
        np.testing.assert_allclose(found, ESTIMATORS[name](BITS.astype(np.float64)))


# ignore=


@pytest.mark.parametrize(
    "ignore", ["nosuch", ("nosuch",), ("relu", "nosuch"), ("relu#9",), ("Relu",), ("c.relu",), ["a.b"]]
)
def test_an_entry_of_ignore_that_names_nothing_is_refused(ignore):
    with pytest.raises(InputError, match=r"relu#2|\brelu\b"):
        record(built(Wide), X, ignore=ignore)


def test_what_ignore_names():
    net = built(Wide)
    assert list(record(net, X, ignore=()).codes.layers) == ["relu", "relu#2"]
    assert list(record(net, X, ignore="relu#2").codes.layers) == ["relu"]
    # Modules and operations that have no bits may be named: the entry is right, though it leaves nothing out.
    assert list(record(net, X, ignore=("a", "c")).codes.layers) == ["relu", "relu#2"]


def test_ignore_with_a_typo_suggests_the_layer():
    with pytest.raises(InputError, match=r"relu#2"):
        record(built(Wide), X, ignore=("relu#22",))


# HDBSCAN on one pile


PILES = {
    "equal codes": SplineCodes.from_bits({"r": np.ones((40, 12), np.uint8)}),
    "equal codes of a net": record(built(Wide), X[:1].repeat(40, 1)).codes,
    "equal vectors": np.ones((40, 5)),
}


@pytest.mark.parametrize("kind", PILES)
def test_hdbscan_on_one_pile_is_noise_with_a_hint(kind):
    hints = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = clustering.cluster(PILES[kind], "hdbscan", min_cluster_size=5)
        except SplinelabError as error:
            hints.append(str(error))
        else:
            assert (found == -1).all()
    hints += [str(warning.message) for warning in caught]
    assert any("allow_single_cluster" in hint for hint in hints)


def test_hdbscan_on_two_piles_gives_no_hint():
    bits = np.repeat([[0] * 12, [1] * 12], 20, axis=0).astype(np.uint8)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = clustering.cluster(SplineCodes.from_bits({"r": bits}), "hdbscan", min_cluster_size=5)
    assert len(set(found)) == 2 and not any("allow_single" in str(w.message) for w in caught)


# Codes as containers


def test_codes_iterate_compare_and_count_as_people_expect():
    assert len(CODES) == 80 and len(list(CODES[:3])) == 3
    assert CODES[:] == CODES and CODES[::-1] != CODES
    with pytest.raises((IndexError, InputError)):
        CODES[80]
    with pytest.raises((TypeError, InputError)):
        CODES["relu"]


@pytest.mark.parametrize("size", [0, -1, 2.5, None, "4", True])
def test_batch_sizes_that_are_none(size):
    with pytest.raises(InputError, match="batch_size"):
        record(built(Wide), X, batch_size=size)


def test_a_net_in_training_mode_and_with_dropout_records_as_in_evaluation():
    net = built(lambda: nn.Sequential(nn.Linear(6, 9), nn.Dropout(0.5), nn.ReLU(), nn.Linear(9, 2)))
    expected = record(net, X)
    net.train()
    assert record(net, X).codes == expected.codes and net.training and net[1].training
