"""SplineCodes: packing, cutting, joining, saving. The reference is the plain 0/1 array."""

import resource

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans
from sklearn.decomposition import PCA
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.neighbors import KNeighborsClassifier

from splinelab.codes import SplineCodes, join_packed
from splinelab.errors import DataError, InputError


@st.composite
def layers_of_bits(draw, min_samples=0):
    """{name: samples × units array of 0 and 1}, one to four layers, of any widths."""
    samples = draw(st.integers(min_samples, 9))
    widths = draw(st.lists(st.integers(1, 19), min_size=1, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    density = draw(st.sampled_from([0, 0.3, 1]))
    return {
        f"layer{i}": (rng.random((samples, width)) < density).astype(np.uint8)
        for i, width in enumerate(widths)
    }


def side_by_side(bits):
    return np.concatenate(list(bits.values()), axis=1)


@given(layers_of_bits())
def test_packing_is_numpys_and_loses_nothing(bits):
    codes = SplineCodes.from_bits(bits)
    expected = side_by_side(bits)
    assert np.array_equal(codes.bits(), expected) and codes.bits().dtype == np.uint8
    assert np.array_equal(codes.packed, np.packbits(expected, axis=1))
    assert len(codes) == len(expected) and codes.units == expected.shape[1]
    assert codes.layers == {name: array.shape[1] for name, array in bits.items()}
    assert SplineCodes.from_bits({name: array.astype(bool) for name, array in bits.items()}) == codes
    assert SplineCodes.from_bits({name: array.astype(float) for name, array in bits.items()}) == codes


@given(layers_of_bits(min_samples=1), st.data())
def test_rows_are_cut_as_numpy_cuts_them(bits, data):
    codes, expected = SplineCodes.from_bits(bits), side_by_side(bits)
    n = len(codes)
    bound = st.none() | st.integers(-n - 2, n + 2)
    rows = data.draw(
        st.builds(slice, bound, bound, st.sampled_from([None, 1, 2, -1]))
        | st.lists(st.integers(-n, n - 1), max_size=12)
        | st.lists(st.booleans(), min_size=n, max_size=n).map(np.array)
    )
    index = np.array(rows, dtype=int) if isinstance(rows, list) else rows
    assert np.array_equal(codes[rows].bits(), expected[index])
    one = data.draw(st.integers(-n, n - 1))
    assert np.array_equal(codes[one].bits(), expected[[one]])


@given(layers_of_bits(), st.data())
def test_layers_are_cut_in_the_order_given(bits, data):
    names = data.draw(st.lists(st.sampled_from(list(bits)), min_size=1, unique=True))
    selected = SplineCodes.from_bits(bits).select(*names)
    assert selected == SplineCodes.from_bits({name: bits[name] for name in names})
    assert list(selected.layers) == names


@given(layers_of_bits(min_samples=1), st.integers(0, 9))
def test_concat_undoes_a_cut(bits, place):
    codes = SplineCodes.from_bits(bits)
    assert SplineCodes.concat([codes[:place], codes[place:]]) == codes


def test_join_packed_in_several_chunks(monkeypatch):
    monkeypatch.setattr("splinelab.codes.CHUNK", 64)
    rng = np.random.default_rng(0)
    parts = [rng.random((50, width)) < 0.5 for width in (3, 16, 7)]
    joined = join_packed([np.packbits(part, axis=1) for part in parts], [3, 16, 7])
    assert np.array_equal(joined, np.packbits(np.concatenate(parts, axis=1), axis=1))


@settings(max_examples=30)
@given(bits=layers_of_bits())
def test_saving_loses_nothing(bits, tmp_path_factory):
    codes = SplineCodes.from_bits(bits)
    path = tmp_path_factory.mktemp("codes") / "codes.safetensors"
    codes.save(path)
    assert SplineCodes.load(path) == codes
    assert list(SplineCodes.load(path).layers) == list(codes.layers)
    first = path.read_bytes()
    codes.save(path)
    assert path.read_bytes() == first  # the same codes, the same file
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.fixture
def saved(tmp_path):
    rng = np.random.default_rng(0)
    codes = SplineCodes.from_bits({"a": rng.random((40, 30)) < 0.5, "b": rng.random((40, 7)) < 0.5})
    codes.save(tmp_path / "codes.safetensors")
    return codes, tmp_path / "codes.safetensors"


def test_any_truncation_or_flip_is_refused(saved):
    codes, path = saved
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"codes\.safetensors.*record the codes again"):
            SplineCodes.load(path)
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            assert SplineCodes.load(path) == codes  # a flip that changes nothing (white space) may pass
        except DataError as error:
            assert path.name in str(error)


def test_missing_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="No spline codes at"):
        SplineCodes.load(tmp_path / "absent")
    from safetensors.numpy import save_file

    save_file({"weight": np.zeros(3, dtype=np.float32)}, tmp_path / "weights")
    with pytest.raises(DataError, match="not a file of spline codes"):
        SplineCodes.load(tmp_path / "weights")


def test_a_full_disk_leaves_the_old_file(saved):
    codes, path = saved
    large = SplineCodes.concat([codes] * 1000)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, old[1]))  # the nearest to a full disk without one
    try:
        with pytest.raises(DataError, match=r"Could not write.*untouched"):
            large.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert SplineCodes.load(path) == codes
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_saving_where_no_folder_is(saved, tmp_path):
    with pytest.raises(DataError, match="Could not write"):
        saved[0].save(tmp_path / "no" / "such" / "folder")


def test_equality():
    bits = np.eye(4, dtype=bool)
    codes = SplineCodes.from_bits({"a": bits, "b": bits})
    assert codes == SplineCodes.from_bits({"a": bits, "b": bits})
    assert codes != SplineCodes.from_bits({"a": bits, "b": ~bits})
    assert codes != SplineCodes.from_bits({"b": bits, "a": bits})  # the order is part of a code
    assert codes != SplineCodes.from_bits({"a": np.concatenate([bits, bits], axis=1)})
    assert codes != codes[:3]
    assert codes != "codes"


def test_zero_codes_one_sample_and_none():
    zeros = SplineCodes.from_bits({"a": np.zeros((3, 9), dtype=bool)})
    assert zeros.bits().sum() == 0 and zeros.packed.shape == (3, 2)
    assert zeros[0].bits().shape == (1, 9)
    none = zeros[[]]
    assert len(none) == 0 and none.bits().shape == (0, 9) and none.select("a") == none


def test_repr_is_short():
    few = SplineCodes.from_bits({"relu1": np.ones((2, 3)), "relu2": np.ones((2, 4))})
    assert repr(few) == "SplineCodes(2 samples × 7 units; relu1: 3, relu2: 4)"
    many = SplineCodes.from_bits({f"layer{i}": np.ones((2, 1)) for i in range(100)})
    assert "96 more" in repr(many) and len(repr(many)) < 120


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SplineCodes.from_bits({}), "at least one layer"),
        (lambda: SplineCodes.from_bits({"a": np.zeros((3, 0))}), "a unit in each"),
        (lambda: SplineCodes.from_bits({"a": np.zeros(3)}), r"samples × units array; got shape \(3,\)"),
        (lambda: SplineCodes.from_bits({"a": np.array([[0.0, 0.5]])}), "only 0 and 1"),
        (lambda: SplineCodes.from_bits({"a": np.array([[0.0, np.nan]])}), "only 0 and 1"),
        (lambda: SplineCodes.from_bits({"a": np.array([["x"]])}), "only 0 and 1"),
        (lambda: SplineCodes.from_bits({"a": np.ones((3, 1)), "b": np.ones((2, 1))}), "the same samples"),
        (lambda: SplineCodes(np.ones((2, 2), np.uint8), {"a": 3}), "samples × 1 bytes"),
        (lambda: SplineCodes(np.ones((2, 1)), {"a": 3}), "uint8"),
        (lambda: SplineCodes(np.full((2, 1), 255, np.uint8), {"a": 3}), "padding after unit 3"),
        (lambda: SplineCodes.concat([]), "at least one"),
        (
            lambda: SplineCodes.concat(
                [SplineCodes.from_bits({"a": np.ones((1, 1))}), SplineCodes.from_bits({"b": np.ones((1, 1))})]
            ),
            "equal layers",
        ),
        (lambda: SplineCodes.from_bits({"a": np.ones((1, 1))}).select(), "distinct layer names"),
        (lambda: SplineCodes.from_bits({"a": np.ones((1, 1))}).select("c"), r"The layers are \['a'\]"),
        (lambda: SplineCodes.from_bits({"a": np.ones((1, 1))}).select("a", "a"), "distinct"),
        (lambda: SplineCodes.from_bits({"a": np.ones((1, 1))})["a"], r"use \.select"),
        (lambda: SplineCodes.from_bits({"a": np.ones((1, 1))})[0.5], "Samples are chosen by"),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_samples_out_of_range():
    codes = SplineCodes.from_bits({"a": np.ones((2, 1))})
    for rows in (2, -3, [5]):
        with pytest.raises(IndexError):
            codes[rows]


# --- where other libraries expect an array


def test_as_an_array():
    bits = np.random.default_rng(0).integers(0, 2, (30, 70), dtype=np.uint8)
    codes = SplineCodes.from_bits({"a": bits[:, :33], "b": bits[:, 33:]})
    assert codes.shape == bits.shape and [part.shape for part in codes] == [(1, 70)] * 30
    for dtype in (None, float, bool, np.int64):
        found = np.asarray(codes, dtype=dtype)
        assert found.dtype == np.dtype(dtype or np.uint8) and np.array_equal(found, bits)
    assert np.array_equal(np.array(codes, copy=True), bits) and np.array_equal(
        np.array(codes, copy=None), bits
    )
    with pytest.raises(ValueError, match="always a copy"):
        np.array(codes, copy=False)
    assert np.array_equal(np.mean(codes, axis=0), bits.mean(axis=0)) and (codes == bits).all()
    assert np.array_equal(np.concatenate([codes, codes]), np.concatenate([bits, bits]))
    assert np.array_equal(pd.DataFrame(codes), bits) and np.asarray(codes[[]]).shape == (0, 70)
    assert np.array_equal(torch.as_tensor(np.asarray(codes)), bits)
    np.asarray(codes)[:] = 1  # a copy
    assert np.array_equal(codes.bits(), bits)


def test_scikit_learn_takes_codes_for_their_bits():
    rng = np.random.default_rng(0)
    codes, labels = SplineCodes.from_bits({"a": rng.integers(0, 2, (30, 70))}), np.arange(30) % 3
    bits = codes.bits()
    for make in (lambda: KMeans(3, n_init=1, random_state=0), DBSCAN, AgglomerativeClustering):
        assert np.array_equal(make().fit_predict(codes), make().fit_predict(bits))
    assert np.array_equal(PCA(2).fit_transform(codes), PCA(2).fit_transform(bits))
    assert np.array_equal(
        cross_val_score(KNeighborsClassifier(), codes, labels),
        cross_val_score(KNeighborsClassifier(), bits, labels),
    )
    for mine, expected in zip(
        train_test_split(codes, random_state=0), train_test_split(bits, random_state=0), strict=True
    ):
        assert isinstance(mine, SplineCodes) and np.array_equal(mine, expected)
