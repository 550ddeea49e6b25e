"""Scores of clusters against known mechanisms, on cases counted by hand."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from splinelab.errors import InputError
from splinelab.mechanisms import (
    exact_groups,
    layer_span,
    mechanism_ari,
    owners,
)

LAYERS = np.array(["in1"] * 4 + ["in2"] * 4 + ["out"] * 3)
TRUTH = np.array([0, 1, 2, 3, 0, 1, 2, 3, 4, 4, 4])
EXPECTED = {**{feature: {"in1": 1, "in2": 1} for feature in range(4)}, 4: {"out": 3}}


def row(found, mechanism):
    return found.table.set_index("mechanism").loc[mechanism].to_dict()


def test_all_exact():
    found = exact_groups(TRUTH + 7, TRUTH, LAYERS, EXPECTED)
    assert (found.exact, found.of, found.surplus) == (5, 5, 0)
    assert row(found, 4) == {"exact": True, "alive": 3, "missing": 0, "clusters": 1, "foreign": 0}


@pytest.mark.parametrize(
    ("changes", "lost", "surplus"),
    [
        ({0: 9}, {0}, 0),  # a pair split in two
        ({0: 1, 4: 1}, {0, 1}, 0),  # two pairs merged
        ({0: 4}, {0, 4}, 0),  # one member strays to the outputs
        ({0: -1}, {0}, 0),  # its component in in1 is dead
        ({0: -1, 4: -1}, {0}, 0),  # no component alive
        ({10: -1}, set(), 0),  # the outputs need one in each layer, not all three
        ({8: -1, 9: -1, 10: -1}, {4}, 0),
    ],
)
def test_what_is_not_exact(changes, lost, surplus):
    labels = TRUTH.copy()
    labels[list(changes)] = list(changes.values())
    found = exact_groups(labels, TRUTH, LAYERS, EXPECTED)
    assert set(found.table["mechanism"][~found.table["exact"]]) == lost
    assert found.exact == 5 - len(lost) and found.surplus == surplus


def test_surplus_components():
    layers, truth = np.append(LAYERS, ["in1", "in1", "out"]), np.append(TRUTH, [0, -1, 0])
    # A second one of feature 0 must be in its cluster; one of no mechanism may be anywhere but in a group.
    apart = exact_groups(np.append(TRUTH, [8, 9, -1]), truth, layers, EXPECTED)
    assert apart.exact == 4 and apart.surplus == 2 and not row(apart, 0)["exact"]
    together = exact_groups(np.append(TRUTH, [0, 9, -1]), truth, layers, EXPECTED)
    assert together.exact == 5 and together.surplus == 2
    inside = exact_groups(np.append(TRUTH, [0, 1, -1]), truth, layers, EXPECTED)
    assert inside.exact == 4 and row(inside, 1)["foreign"] == 1
    # One in a matrix where the mechanism does not belong is still "every alive component of that feature".
    elsewhere = exact_groups(np.append(TRUTH, [0, 9, 7]), truth, layers, EXPECTED)
    assert elsewhere.exact == 4 and elsewhere.surplus == 3 and row(elsewhere, 0)["clusters"] == 2


def test_no_mechanism_is_expected():
    with pytest.raises(InputError, match="no mechanism"):
        exact_groups([0], [0], ["a"], {})


def test_ari_is_scikit_learns_over_the_alive():
    rng = np.random.default_rng(0)
    labels, truth = rng.integers(-1, 5, 60), rng.integers(0, 5, 60)
    alive = labels >= 0
    assert mechanism_ari(labels, truth) == pytest.approx(adjusted_rand_score(truth[alive], labels[alive]))
    assert mechanism_ari(TRUTH, TRUTH) == 1
    assert np.isnan(mechanism_ari([-1, -1], [0, 1]))


def test_components_of_no_mechanism_stand_alone_in_the_ari():
    assert mechanism_ari([0, 0, 1, 2], [0, 0, -1, -1]) == 1
    assert mechanism_ari([0, 0, 1, 1], [0, 0, -1, -1]) < 1
    assert mechanism_ari([0, 1, 2], [-1, -1, -1]) == 1


def test_owners():
    responses = np.array([[0.9, 0.1, 0.0, 0.5, 0.05], [0.2, 0.8, 0.7, 0.5, 0.02]])
    assert owners(responses).tolist() == [0, 1, 1, 0, -1]
    assert owners(responses, threshold=0.75).tolist() == [0, 1, -1, -1, -1]
    # Ties decide where responses are equal, only there.
    ties = [[0.0, 1.0, 1.0, 0.4, 0.0], [1.0, 0.0, 0.0, 0.6, 1.0]]
    assert owners(responses, ties=ties).tolist() == [0, 1, 1, 1, -1]
    with pytest.raises(InputError, match=r"ties have shape \(5,\).*\(2, 5\)"):
        owners(responses, ties=np.zeros(5))
    with pytest.raises(InputError, match="features × components"):
        owners(np.zeros(3))


def test_span():
    assert layer_span([0, 0, 1, 1, 1, 2], ["a", "b", "a", "a", "b", "c"]) == {2: 2}
    assert layer_span([0, 0, 0, 1, 1, -1], ["a", "b", "c", "a", "a", "a"]) == {1: 1, 3: 1}
    assert layer_span([0, 1, 2], ["a", "b", "c"]) == {}


@pytest.mark.parametrize(
    "call",
    [
        lambda: mechanism_ari([0, 1], [0]),
        lambda: mechanism_ari([[0]], [[0]]),
        lambda: mechanism_ari([0.5], [0]),
        lambda: layer_span([0, 0], ["a"]),
        lambda: exact_groups([0, 0], [0, 0], ["a"], {0: {"a": 1}}),
    ],
)
def test_arrays_that_do_not_fit(call):
    with pytest.raises(InputError, match="expected"):
        call()
