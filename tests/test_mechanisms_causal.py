"""The causal check on toys whose answers are known in closed form, and random sets that match."""

import numpy as np
import pytest
import torch

from splinelab.errors import InputError
from splinelab.mechanisms import (
    Profiles,
    SpectralMechanisms,
    causal_check,
    damage_of,
    matched_sets,
    own_features,
    profiles_of,
)

FEATURES = 12
LABELS = np.repeat(np.arange(FEATURES), 2)  # components 2f and 2f + 1 each make half of output f
N = 2 * FEATURES


def toy(cross=0.0, bias=0.0):
    """y_f = x_f · (share of f's components kept) + cross · Σ_{removed c of g ≠ f} x_f / 2 + bias; the target
    is x."""

    def damage(kept, x):
        removed = np.bincount(LABELS[~kept], minlength=FEATURES)
        total = removed.sum()
        error = x * (removed / 2 - cross * (total - removed) / 2) + bias
        return error**2

    return damage


@pytest.fixture
def sparse_inputs():
    rng = np.random.default_rng(0)
    active = rng.random((600, FEATURES)) < 0.2
    return active * rng.uniform(0.5, 1, active.shape), active


def check(damage, inputs, active, labels=LABELS, own=None, **options):
    own = {f: (f,) for f in range(FEATURES)} if own is None else own
    given = {"norms": np.ones(len(labels)), "frequency": np.full(len(labels), 0.2), **options}
    return causal_check(damage, inputs, active, labels, own, **given)


def test_separate_mechanisms_in_closed_form(sparse_inputs):
    inputs, active = sparse_inputs
    square = (inputs**2).sum(axis=0) / active.sum(axis=0)
    table = check(toy(), inputs, active).table
    assert np.allclose(table["own"], square)
    assert not table["random"].any() and not table["others"].any() and not table["worst"].any()
    assert np.allclose(table["everything"], square)
    assert np.allclose(table["floor"], 0.01 * square) and table["floored"].all()
    assert np.allclose(table["ratio"], 100) and np.allclose(table["survival"], 1)
    assert table["features"].tolist() == [(f,) for f in range(FEATURES)]
    assert table["cluster"].tolist() == list(range(FEATURES)) and set(table["size"]) == {2}


def test_cross_talk_in_closed_form(sparse_inputs):
    """Removing two components of other features moves output f by cross · x_f; all 22 by 11 · cross · x_f."""
    inputs, active = sparse_inputs
    square = (inputs**2).sum(axis=0) / active.sum(axis=0)
    found = check(toy(cross=0.05), inputs, active)
    table = found.table
    assert np.allclose(table["own"], square)
    assert np.allclose(table["random"], 0.05**2 * square)
    for f in range(FEATURES):
        assert np.allclose(found.random[f], 0.05**2 * square[f]) and len(found.random[f]) == 20
        others = np.delete(square, f)
        assert table["others"][f] == pytest.approx(0.05**2 * others.mean())
        assert table["worst"][f] == pytest.approx(0.05**2 * others.max())
        assert table["worst_feature"][f] == np.where(np.arange(FEATURES) == f, -1, square).argmax()
    whole = (1 - 11 * 0.05) ** 2
    assert np.allclose(table["everything"], whole * square)
    assert np.allclose(table["floor"], 0.01 * whole * square)
    assert np.allclose(table["ratio"], 1 / max(0.05**2, 0.01 * whole))
    # Kept alone: all 22 others are gone, so that the error is (11 · .05 · x)².
    assert np.allclose(table["survival"], (whole - (11 * 0.05) ** 2) / whole)


def test_the_error_of_the_intact_model_is_a_floor_too(sparse_inputs):
    inputs, active = sparse_inputs
    square = (inputs**2).sum(axis=0) / active.sum(axis=0)
    mean = inputs.sum(axis=0) / active.sum(axis=0)
    table = check(toy(bias=0.3), inputs, active).table
    assert np.allclose(table["own"], square + 2 * 0.3 * mean)
    assert np.allclose(table["everything"], table["own"])  # each feature's own two components are all it has
    assert np.allclose(table["floor"], 0.09) and np.allclose(table["ratio"], table["own"] / 0.09)


def test_half_a_mechanism_fails(sparse_inputs):
    """A cluster that holds one of two halves does a quarter of the harm and keeps a quarter of the error.

    The other half is an alive component like any other, so that random sets may hold it."""
    inputs, active = sparse_inputs
    square = (inputs**2).sum(axis=0) / active.sum(axis=0)
    labels = LABELS.copy()
    labels[0] = FEATURES
    found = check(toy(), inputs, active, labels, {0: (0,), FEATURES: (0,), 1: (1,)}, sets=200)
    table = found.table.set_index("cluster")
    for cluster in (0, FEATURES):
        assert table.loc[cluster, "own"] == pytest.approx(square[0] / 4)
        assert table.loc[cluster, "survival"] == pytest.approx(0.75)
        other = np.isclose(found.random[cluster], square[0] / 4)
        assert 2 < other.sum() < 25 and not found.random[cluster][~other].any()  # 1 of 23, 200 times
        assert table.loc[cluster, "ratio"] == pytest.approx(1 / max(other.mean(), 0.04))
    assert table.loc[1, "ratio"] == pytest.approx(100)
    assert found.failing(30)["cluster"].tolist() == [0, FEATURES] and len(found.failing(2)) == 0
    assert found.median_ratio == table["ratio"].median() < 30


def test_a_wrong_cluster_hurts_another_feature_and_not_its_own(sparse_inputs):
    inputs, active = sparse_inputs
    found = check(toy(), inputs, active, own={0: (1,), 2: (2,)})
    wrong, right = found.table.iloc[0], found.table.iloc[1]
    assert wrong["own"] == 0 and wrong["ratio"] == 0 and wrong["survival"] == pytest.approx(0)
    assert wrong["worst_feature"] == 0 and wrong["worst"] == pytest.approx(right["own"], rel=0.2)
    assert found.failing()["cluster"].tolist() == [0]


def test_random_sets_that_do_the_same_harm_make_a_ratio_of_about_one(sparse_inputs):
    """A model in which every component matters equally for everything."""
    inputs, active = sparse_inputs
    found = check(lambda kept, x: x**2 * (~kept).sum(), inputs, active)
    assert np.allclose(found.table["ratio"], 1) and not found.table["floored"].any()
    assert len(found.failing()) == FEATURES


def test_dead_components_are_never_kept_and_never_drawn(sparse_inputs):
    inputs, active = sparse_inputs
    labels = LABELS.copy()
    labels[[20, 21, 22]] = -1
    seen = []

    def damage(kept, x):
        seen.append(kept)
        return toy()(kept, x)

    own = {f: (f,) for f in range(10)}
    found = check(damage, inputs, active, labels, own)
    assert not np.array(seen)[:, [20, 21, 22]].any()
    # Their error is there in the intact model, and no cluster is blamed for it.
    assert np.allclose(found.table["ratio"], 100)
    # Intact, nothing kept, and for each cluster its removal, twenty random sets, nothing and itself alone.
    assert len(seen) == 2 + 10 * 23
    assert {int(kept.sum()) for kept in seen} == {21, 19, 2, 0}


def test_a_shared_mechanism_is_kept_with_each_cluster(sparse_inputs):
    """Two more components carry every output: alone no cluster survives, with them every one does."""
    inputs, active = sparse_inputs
    labels = np.append(LABELS, [FEATURES] * 2)

    def damage(kept, x):
        carried = kept[N:].all()
        share = np.bincount(LABELS[kept[:N]], minlength=FEATURES) / 2
        return (x - carried * share * x) ** 2

    own = {0: (0,), 1: (1,), FEATURES: tuple(range(FEATURES))}
    # The shared ones fire always, the others seldom: matching in frequency keeps them out of random sets.
    frequency = np.append(np.full(N, 0.2), [1, 1])
    alone = check(damage, inputs, active, labels, own, frequency=frequency).table
    assert np.allclose(alone["survival"], [0, 0, 0]) and np.allclose(alone["ratio"][:2], 100)
    assert alone["worst_feature"].tolist()[2] == -1 and np.isnan(alone["others"][2])
    shared = check(damage, inputs, active, labels, own, frequency=frequency, shared=[FEATURES]).table
    assert np.allclose(shared["survival"], [1, 1, 0])  # the shared one does nothing by itself


def test_the_same_table_again_and_another_seed():
    rng = np.random.default_rng(1)
    active = rng.random((200, FEATURES)) < 0.3
    inputs, weights = active * 1.0, rng.uniform(0.5, 1.5, N)

    def damage(kept, x):
        return x**2 * (weights * ~kept).sum()

    first, again = (check(damage, inputs, active, seed=3) for _ in range(2))
    assert first.table.equals(again.table)
    other = check(damage, inputs, active, seed=4)
    assert not np.allclose(other.table["random"], first.table["random"])
    assert np.allclose(other.table["own"], first.table["own"])
    # Each cluster draws by itself: testing fewer of them changes nothing for the rest.
    few = check(damage, inputs, active, own={5: (5,)}, seed=3)
    assert np.array_equal(few.random[5], first.random[5])


def test_own_features():
    assert own_features([0, 0, 0, 1, 1, 2, -1], [4, 4, 3, 2, 1, -1, 0]) == {0: (4,), 1: (1,)}
    with pytest.raises(InputError, match="one for each"):
        own_features([0], [0, 1])


ONE = np.ones((3, 1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"active": ONE}, "expected bools"),
        ({"active": np.ones((2, 1), bool)}, "expected bools"),
        ({"norms": np.ones(3)}, "norms have shape"),
        ({"norms": np.array([-1.0, 1.0])}, "norms have shape"),
        ({"frequency": np.ones(1)}, "frequency have shape"),
        ({"sets": 0}, "sets is 0"),
        ({"floor_share": 0.0}, "floor_share is 0.0"),
        ({"own": {}}, "no cluster"),
        ({"own": {3: (0,)}}, "cluster 3"),
        ({"own": {-1: (0,)}}, "cluster -1"),
        ({"own": {0: ()}}, "cluster 0 owns"),
        ({"own": {0: (1,)}}, "cluster 0 owns"),
        ({"active": np.zeros((3, 1), bool)}, "active on no sample"),
        ({"damage": lambda kept, x: np.zeros((3, 2))}, "damage gave"),
        ({"damage": lambda kept, x: np.full((3, 1), np.nan)}, "not finite"),
    ],
)
def test_checks_that_cannot_be(changes, message):
    given = {
        "damage": lambda kept, x: x**2,
        "inputs": ONE,
        "active": np.ones((3, 1), bool),
        "labels": np.array([0, 1]),
        "own": {0: (0,)},
        "norms": np.ones(2),
        "frequency": np.ones(2),
        **changes,
    }
    with pytest.raises(InputError, match=message):
        causal_check(**given)


def test_one_component_has_nothing_to_be_compared_with():
    found = causal_check(
        lambda kept, x: x**2 * (~kept).sum(),
        ONE,
        np.ones((3, 1), bool),
        np.array([0, -1]),
        {0: (0,)},
        norms=np.ones(2),
        frequency=np.ones(2),
    )
    (row,) = found.table.to_dict("records")
    assert row["own"] == 1 and np.isnan(row["ratio"]) and np.isnan(row["random_size"])
    assert len(found.random[0]) == 0 and len(found.failing()) == 1


# --- matching


def test_matched_sets_resemble_the_cluster():
    rng = np.random.default_rng(0)
    norms, frequency = np.exp(rng.normal(size=400)), rng.uniform(0.001, 0.2, 400)
    alive = np.flatnonzero(rng.random(400) < 0.9)
    members = alive[np.argsort(norms[alive])[-12::2]]  # among the largest
    drawn = matched_sets(members, alive, norms, frequency, sets=30, seed=0)
    assert drawn.shape == (30, 6)
    assert np.isin(drawn, alive).all() and not np.isin(drawn, members).any()
    assert all(len(set(chosen)) == 6 for chosen in drawn.tolist())
    assert len(np.unique(np.sort(drawn, axis=1), axis=0)) > 15
    anyone = norms[alive].mean()
    assert abs(norms[drawn].mean() / norms[members].mean() - 1) < 0.5 < norms[members].mean() / anyone - 1
    again = matched_sets(members, alive, norms, frequency, sets=30, seed=0)
    assert np.array_equal(drawn, again)


def test_matching_prefers_the_like_and_is_even_among_equals():
    norms, frequency = np.ones(60), np.full(60, 0.5)
    frequency[41:] = 0.01  # 40 candidates like the member, 19 that fire rarely
    drawn = matched_sets([0], np.arange(60), norms, frequency, sets=4000, seed=1)[:, 0]
    counts = np.bincount(drawn, minlength=60)
    assert counts[1:41].min() > 60 and counts[1:41].max() < 140 and not counts[41:].any()


def test_few_candidates():
    ones = np.ones(5)
    assert matched_sets([0, 1, 2], np.arange(5), ones, ones, sets=4, seed=0).tolist() == [[3, 4]] * 4
    assert matched_sets([0, 1], [0, 1], ones, ones, sets=4, seed=0).shape == (0, 0)
    assert matched_sets([0], [0, 1], ones, np.zeros(5), sets=2, seed=0).tolist() == [[1], [1]]
    # Of ten candidates the better half stands in, so that always-on components are left alone.
    frequency = np.array([0.05] * 6 + [1.0] * 5)
    drawn = matched_sets([0], np.arange(11), np.ones(11), frequency, sets=500, seed=0)
    assert set(drawn.ravel().tolist()) == {1, 2, 3, 4, 5}


# --- a decomposition


class Linear:
    """y = (U V + Δ) x with one component per feature and matrix, as a decomposition would answer."""

    def __init__(self, features):
        self.first = torch.eye(features)
        self.second = 0.9 * torch.eye(features)
        self.rest = 0.1 * torch.eye(features)

    def importances(self, x):
        on = (x != 0).float()
        return {"second": on.clone().requires_grad_(), "first": 0.5 * on}

    def masked(self, x, masks, delta):
        return (x * masks["first"]) * masks["second"] @ self.second + delta * x @ self.rest


def test_from_a_decomposition_to_the_table():
    torch.manual_seed(0)
    x = torch.rand(800, 6) * (torch.rand(800, 6) < 0.1)
    model = Linear(6)
    profiles = profiles_of(model, x.split(300))
    assert profiles.samples == 800 and profiles.layers.tolist() == ["second"] * 6 + ["first"] * 6
    labels = SpectralMechanisms().fit(profiles).labels_
    assert labels.tolist() == [0, 1, 2, 3, 4, 5] * 2
    own = {f: (f,) for f in range(6)}
    options = {"norms": np.ones(12), "frequency": profiles.frequency}
    active = (x != 0).numpy()
    for rest, survival in ((True, 1), (False, 1)):
        damage = damage_of(model, lambda inputs: inputs, profiles, rest=rest)
        table = causal_check(damage, x, active, labels, own, **options).table
        # With Δ the intact error is 0 and .9 x is lost; without, .1 x is missing and all of x is lost.
        square = (x**2).sum(0).numpy() / active.sum(0)
        lost = 0.81 if rest else 0.99
        assert np.allclose(table["own"], lost * square, rtol=1e-4)
        assert np.allclose(table["survival"], survival, rtol=1e-4)
        if not rest:
            assert np.allclose(table["floor"], 0.01 * square, rtol=1e-4)


def test_masks_go_to_the_right_layer():
    model, profiles = Linear(3), Profiles(np.eye(6), ["second"] * 3 + ["first"] * 3)
    kept = np.array([True, True, False, True, False, True])
    x = torch.tensor([[1.0, 1.0, 1.0]])
    found = damage_of(model, torch.zeros_like, profiles, rest=False)(kept, x)
    assert np.allclose(found, [[0.81, 0, 0]])
    with_rest = damage_of(model, torch.zeros_like, profiles, rest=True)(kept, x)
    assert np.allclose(with_rest, [[1, 0.01, 0.01]])
