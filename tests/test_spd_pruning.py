"""Dropping components that do nothing, and joining the halves of one."""

import numpy as np
import pytest
import torch
from torch import nn

from splinelab.errors import RecipeError, TrainingError
from splinelab.spd import Decomposition, Matrix, Stage
from splinelab.spd.between import join, survivors


def planted(importances, U, V):
    """A decomposition of one 3 × 4 layer with given components; the gate reads one-hot inputs as a table."""
    net = nn.Sequential(nn.Linear(4, 3, bias=False)).double()
    matrix = Matrix(net[0].weight, len(U), "vector", 2, generator=torch.Generator().manual_seed(0)).double()
    matrix.U.data, matrix.V.data = (torch.tensor(np.asarray(part, float)) for part in (U, V))
    table = torch.tensor(np.asarray(importances, float))  # inputs × components

    class Table(nn.Module):
        reads = "inputs"

        def forward(self, x):
            return x @ self.rows

        def keep(self, kept):
            self.rows = self.rows[:, kept]

    matrix.gate = Table()
    matrix.gate.rows = table
    return Decomposition(net, {"0": matrix})


def features(repeats=(1, 2, 3, 4)):
    return torch.eye(4, dtype=torch.float64).repeat_interleave(torch.tensor(repeats), 0)


def test_survivors_are_alive_and_frequent():
    # Mean importances over 10 samples: .1, .02, .7, .08, 0; alive: all but the last two. Median .1.
    importances = [[1, 0.2, 0, 0.08, 0], [0, 0, 0, 0.08, 0], [0, 0, 1, 0.08, 0], [0, 0, 1, 0.08, 0]]
    decomposition = planted(importances, np.ones((5, 3)), np.ones((5, 4)))
    assert survivors(decomposition, features(), 0.0)["0"].tolist() == [True, True, True, False, False]
    assert survivors(decomposition, features(), 0.1)["0"].tolist() == [True, True, True, False, False]
    assert survivors(decomposition, features(), 0.3)["0"].tolist() == [True, False, True, False, False]
    one, several = (survivors(decomposition, features(), share)["0"] for share in (0.3, (0.3, 9.0)))
    assert torch.equal(one, several)
    with pytest.raises(TrainingError, match=r"no component of 0 is alive.*lower the importance"):
        survivors(planted(np.zeros((4, 2)), np.ones((2, 3)), np.ones((2, 4))), features(), 0.0)


def test_two_halves_become_one():
    """Halves with one V and different U, in either order, and a component that answers to something else."""
    U, V = [[1, 0, 0], [0.2, 0.5, 0], [0, 0, 1]], [[0, 1, 0, 0], [0, -2, 0, 0], [0, 0, 1, 0]]
    importances = [[0, 0, 0], [1, 0.9, 0], [0, 0, 1], [0, 0, 0]]
    for order in ([0, 1, 2], [1, 0, 2], [2, 1, 0]):
        decomposition = planted(
            np.array(importances)[:, order], np.array(U)[order], np.array(V, float)[order]
        )
        before = decomposition.layers["0"].total.detach().clone()
        join(decomposition, features(), 0.7)
        matrix = decomposition.layers["0"]
        assert len(matrix) == 2
        torch.testing.assert_close(matrix.total.detach(), before)
        # The longer half's gate stays, and its V as it was: the second is 2 · √.29 = 1.08 long.
        assert sorted(matrix.gate.rows.amax(0).tolist()) == [0.9, 1.0]
        (index,) = [i for i, row in enumerate(matrix.V) if row[1] != 0]
        torch.testing.assert_close(matrix.V[index].detach(), torch.tensor([0.0, -2, 0, 0]).double())


def test_nearly_rank_one_takes_the_best_approximation():
    U, V = [[1, 0, 0], [1, 0.1, 0]], [[1, 0, 0, 0], [1, 0, 0.1, 0]]
    decomposition = planted([[1, 1], [0, 0], [0, 0], [0, 0]], U, V)
    before = decomposition.layers["0"].total.detach().numpy()
    join(decomposition, features(), 0.9)
    left, values, right = np.linalg.svd(before)
    assert values[1] > 1e-3
    after = decomposition.layers["0"].total.detach().numpy()
    np.testing.assert_allclose(after, values[0] * np.outer(left[:, 0], right[0]), atol=1e-12)


@pytest.mark.parametrize(
    ("importances", "U", "V"),
    [
        # Always together, but of rank two: two dimensions of one mechanism.
        ([[1, 1], [0, 0], [0, 0], [0, 0]], [[1, 0, 0], [0, 1, 0]], [[1, 0, 0, 0], [0, 1, 0, 0]]),
        # One direction, but on different inputs.
        ([[1, 0], [0, 1], [0, 0], [0, 0]], [[1, 0, 0], [1, 0, 0]], [[1, 0, 0, 0], [1, 0, 0, 0]]),
        # Always on: no correlation is defined.
        (np.ones((4, 2)), [[1, 0, 0], [1, 0, 0]], [[1, 0, 0, 0], [1, 0, 0, 0]]),
    ],
)
def test_what_is_not_joined(importances, U, V):
    decomposition = planted(importances, U, V)
    join(decomposition, features(), 0.5)
    assert len(decomposition.layers["0"]) == 2


def test_one_component_takes_part_in_one_pair():
    decomposition = planted(
        np.array([[1, 1, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]]), np.ones((3, 3)), np.ones((3, 4))
    )
    join(decomposition, features(), 0.5)
    assert len(decomposition.layers["0"]) == 2


def test_bad_values():
    for value in (0, 1.2, "x"):
        with pytest.raises(RecipeError, match=r"join is .*expected None or a number"):
            Stage(1, join=value)
