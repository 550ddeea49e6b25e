"""Handing out components anew: who claims what, what a new one is, and that the loss decides."""

import pytest
import torch
from sklearn.linear_model import Ridge
from torch import nn

from splinelab.errors import RecipeError
from splinelab.spd import (
    Decomposition,
    Matrices,
    Matrix,
    SparseFeatures,
    SPDRecipe,
    Stage,
    attach,
    decompose,
    one_hot,
)
from splinelab.spd.between import reassign
from splinelab.spd.inputs import generator_for

INPUTS = SparseFeatures(4, 0.2, low=-1.0, nonzero=True)


class Table(nn.Module):
    """A gate that reads one-hot inputs as rows of a table, and keeps note of what it is asked to add."""

    reads = "inputs"

    def __init__(self, rows):
        super().__init__()
        self.rows, self.added = torch.tensor(rows, dtype=torch.float64), None

    def forward(self, x):
        return (x > 0).to(x) @ self.rows

    def keep(self, kept):
        self.rows = self.rows[:, kept]

    def add(self, inputs, wanted, *, instead_of):
        self.added = (inputs, wanted, instead_of)


def planted(rows, V, weight=None):
    """One 3 × 4 layer whose components have given directions and answers to features 0 to 3 alone."""
    net = nn.Sequential(nn.Linear(4, 3, bias=False)).double()
    with torch.no_grad():
        net[0].weight.copy_(torch.arange(1.0, 13).reshape(3, 4) if weight is None else weight)
    count = len(V)
    matrix = Matrix(net[0].weight, count, "vector", 2, generator=torch.Generator().manual_seed(0)).double()
    matrix.V.data, matrix.U.data = torch.tensor(V, dtype=torch.float64), torch.ones(count, 3).double()
    matrix.gate, matrix.local = Table(rows), 1.0
    return Decomposition(net, {"0": matrix})


def samples(count=200):
    return INPUTS.sample(count, generator_for("cpu", 0)).double()


def test_a_decomposition_that_is_right_stays():
    decomposition = planted(torch.eye(4).tolist(), torch.eye(4).tolist())
    before = {name: value.clone() for name, value in decomposition.state_dict().items()}
    assert reassign(decomposition, INPUTS, samples()) == 0
    for name, value in decomposition.state_dict().items():
        assert torch.equal(value, before[name])
    assert decomposition.layers["0"].gate.added is None


def test_shared_split_and_idle_components():
    """Component 0 answers to features 0 and 1 and is nearer to 1; 1 and 2 both answer to feature 2 alone, 2
    being further off; 3 answers to none. Feature 3 is answered by 0.2 of component 3 only.
    """
    rows = [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0.9, 0.9, 0], [0, 0, 0, 0.2]]
    V = [[0.5, 0.8, 0, 0], [0, 0, 2, 0], [0, 0, 1, 1], [0, 0, 0, 1]]
    decomposition = planted(rows, V)
    matrix, weight = decomposition.layers["0"], decomposition.linear("0").weight
    x = samples()
    assert reassign(decomposition, INPUTS, x) == 2  # features 0 and 3
    assert matrix.V.tolist() == [V[0], V[1], [1, 0, 0, 0], [0, 0, 0, 1]]
    assert torch.equal(matrix.U[:2], torch.ones(2, 3).double())
    assert torch.equal(matrix.U[2:], weight[:, [0, 3]].T)
    inputs, wanted, instead_of = matrix.gate.added
    assert torch.equal(inputs, x) and torch.equal(wanted, (x[:, [0, 3]].abs() > 0.1).double())
    assert instead_of.tolist() == [[1, 0], [0, 0]]  # component 0 gives up feature 0


def test_the_sign_that_drives_neurons_more_counts():
    """With weights below 0 a feature drives the neurons where it is negative: there this gate says 0."""
    right = planted(torch.eye(4).tolist(), torch.eye(4).tolist(), weight=-torch.ones(3, 4))
    assert reassign(right, INPUTS, samples()) == 4
    positive = SparseFeatures(4, 0.2)  # features that are never negative are not asked there
    right = planted(torch.eye(4).tolist(), torch.eye(4).tolist(), weight=-torch.ones(3, 4))
    assert reassign(right, positive, samples().abs()) == 0


def test_matrices_without_a_local_loss_are_left_alone():
    decomposition = planted([[0.0] * 4] * 4, torch.eye(4).tolist())
    decomposition.layers["0"].local = 0.0
    assert reassign(decomposition, INPUTS, samples()) == 0
    assert len(decomposition.layers["0"]) == 4


def test_a_new_gate_answers_where_it_should():
    """Against scikit-learn's ridge regression; the old component gives up what the new one takes."""
    matrix = Matrix(torch.ones(3, 4), 2, "vector", 64, generator=torch.Generator().manual_seed(1))
    gate, x = matrix.gate, samples(400).float()
    wanted = (x[:, :1].abs() > 0.1).float()
    before = gate(x).detach()
    units = torch.cat([gate._hidden(x), torch.ones(400, 1)], 1).double().detach().numpy()
    ridge = Ridge(1e-6 * (units**2).sum(0).mean(), fit_intercept=False).fit(units, wanted)
    gate.add(x, wanted, instead_of=torch.tensor([[0.5, 0.0]]))
    after = gate(x).detach()
    assert after[:, 2].numpy() == pytest.approx(ridge.predict(units).ravel(), abs=1e-4)
    assert after[wanted[:, 0] > 0, 2].mean() > 0.8 > 0.2 > after[wanted[:, 0] == 0, 2].mean()
    assert torch.allclose(after[:, 0], before[:, 0] - 0.5 * after[:, 2], atol=1e-4)
    assert torch.allclose(after[:, 1], before[:, 1], atol=1e-5)


# --- as a stage of a recipe


class Alone(nn.Module):
    """Four features with a neuron each."""

    def __init__(self):
        super().__init__()
        self.up = nn.Linear(4, 4, bias=False)
        with torch.no_grad():
            self.up.weight.copy_(torch.eye(4))

    def forward(self, x):
        return torch.relu(self.up(x))


RECIPE = SPDRecipe(
    inputs=INPUTS,
    matrices=(Matrices("up", 6, 16, 1e-3, local=0.1),),
    stages=(
        Stage(30, lr=1e-2, local=1.0),
        Stage(20, lr=1e-2, local=1.0, reassign=True),
        Stage(20, lr=1e-2, local=1.0, reassign=True),
    ),
    batch=64,
    evaluations=5,
)


def test_the_loss_decides():
    """Stages that reassign lower the loss or leave the decomposition as it was, bit by bit."""
    fit = decompose(Alone(), RECIPE, 0)
    assert len(fit.reassigned) == 2
    for stage in fit.reassigned:
        assert set(stage) == {"new", "before", "after"}
    kept = min((fit.reassigned[-1]["before"], fit.reassigned[-1]["after"]))
    assert fit.losses == (kept,)
    assert len(fit.decomposition.layers["up"]) == 4
    # A stage that can only do harm is undone.
    worse = RECIPE.stages[1].replace(lr=30.0, schedule="constant", steps=3)
    spoilt = decompose(Alone(), RECIPE.replace(stages=(RECIPE.stages[0], worse)), 0)
    plain = decompose(Alone(), RECIPE.replace(stages=RECIPE.stages[:1]), 0)
    (stage,) = spoilt.reassigned
    assert stage["after"] > stage["before"]
    for name, value in plain.decomposition.state_dict().items():
        assert torch.equal(value, spoilt.decomposition.state_dict()[name])


@pytest.mark.parametrize("at", [35, 50, 55, 70])
def test_a_run_stopped_in_such_a_stage_ends_with_the_same_bits(tmp_path, at):
    class Stop(Exception):
        pass

    def stop(step, _):
        if step >= at:
            raise Stop

    recipe = RECIPE.replace(evaluations=70)
    whole = decompose(Alone(), recipe, 3)
    with pytest.raises(Stop):
        decompose(Alone(), recipe, 3, checkpoint=tmp_path / "run", checkpoint_every=5, watch=stop)
    again = decompose(Alone(), recipe, 3, checkpoint=tmp_path / "run", checkpoint_every=5)
    assert again.reassigned == whole.reassigned and again.losses == whole.losses
    for name, value in whole.decomposition.state_dict().items():
        assert torch.equal(value, again.decomposition.state_dict()[name])


def test_bad_recipes():
    with pytest.raises(RecipeError, match=r"reassign.*first stage"):
        RECIPE.replace(stages=RECIPE.stages[1:])
    with pytest.raises(RecipeError, match=r"gate.*vector where a stage reassigns"):
        RECIPE.replace(gate="scalar")
    with pytest.raises(RecipeError, match=r"reassign is 1.*expected a valid boolean"):
        Stage(3, reassign=1)


def test_a_decomposition_takes_over_more_and_fewer_components():
    small, large = (attach(Alone(), RECIPE, seed) for seed in (0, 1))
    small.keep({"up": torch.tensor([0, 1])})
    state = {name: value.clone() for name, value in large.state_dict().items()}
    large.take(small.state_dict())
    assert len(large.layers["up"]) == 2
    assert torch.equal(large.importances(one_hot(4))["up"], small.importances(one_hot(4))["up"])
    large.take(state)
    assert len(large.layers["up"]) == 6
    assert all(torch.equal(value, state[name]) for name, value in large.state_dict().items())
