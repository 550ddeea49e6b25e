"""Scores on planted decompositions: perfect, permuted, broken."""

import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from splinelab.errors import InputError
from splinelab.nets import ResidualMLP
from splinelab.spd import (
    Decomposition,
    Matrices,
    Matrix,
    SparseFeatures,
    SPDRecipe,
    Stage,
    attach,
    block_contributions,
    column_scores,
    dense_errors,
    identity_errors,
    importance_table,
    neuron_contributions,
    one_hot,
    rounded_error,
)


def planted(features=12, hidden=4, seed=0):
    """The ideal components of an encoder: V_c = e_c, U_c = column c; in a random order, some reversed."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(hidden, features))
    order, signs = rng.permutation(features), rng.choice([-1, 1], features)[:, None]
    scales = rng.uniform(0.5, 2, (features, 1))
    U = weight.T[order] * signs * scales
    V = np.eye(features)[order] * signs / scales
    return U, V, weight


# --- columns


def plain_columns(U, V, weight, directions):
    """The definition, in loops."""
    cosines, ratios = [], []
    for direction in directions:
        column = weight @ direction
        best = -2, None
        for u, v in zip(U, V, strict=True):
            own = u * (v @ direction)
            if np.linalg.norm(own) > 0:
                cosine = own @ column / np.linalg.norm(own) / np.linalg.norm(column)
                best = max(best, (cosine, np.linalg.norm(own) / np.linalg.norm(column)))
        cosines.append(best[0])
        ratios.append(best[1])
    return np.mean(cosines), np.mean(ratios)


def test_perfect_components_in_any_order():
    for seed in range(3):
        U, V, weight = planted(seed=seed)
        assert column_scores(U, V, weight) == pytest.approx((1, 1))
        assert column_scores(torch.tensor(V), torch.tensor(U), torch.tensor(weight.T)) != (1, 1)
        # A decoder: features are outputs.
        assert column_scores(U, V, weight) == column_scores(
            torch.tensor(U), torch.tensor(V), torch.tensor(weight)
        )


def test_shrunken_and_mixed_components():
    U, V, weight = planted()
    assert column_scores(0.9 * U, V, weight) == pytest.approx((1, 0.9))
    assert column_scores(-U, V, weight).mmcs < 0.9  # pointing the wrong way is no match
    mixed = U + 0.5 * np.roll(U, 1, axis=0)
    assert column_scores(mixed, V, weight).mmcs < 0.99


@pytest.mark.parametrize("seed", range(4))
def test_columns_against_loops(seed):
    rng = np.random.default_rng(seed)
    U, V, weight = rng.normal(size=(7, 3)), rng.normal(size=(7, 5)), rng.normal(size=(3, 5))
    directions = rng.normal(size=(9, 5))
    assert column_scores(U, V, weight) == pytest.approx(plain_columns(U, V, weight, np.eye(5)))
    scores = column_scores(U, V, weight, directions)
    assert scores == pytest.approx(plain_columns(U, V, weight, directions))


def test_only_the_alive_count():
    U, V, weight = planted()
    U, V = np.vstack([U, 3 * U]), np.vstack([V, V])
    alive = np.arange(24) < 12
    assert column_scores(U, V, weight, alive=alive) == pytest.approx((1, 1))
    assert column_scores(U, V, weight, alive=~alive) == pytest.approx((1, 3))
    with pytest.raises(InputError, match=r"no component is alive.*importance coefficient"):
        column_scores(U, V, weight, alive=np.zeros(24, bool))


def test_shapes_must_fit():
    U, V, weight = planted()
    with pytest.raises(InputError, match=r"U is \(12, 4\), V \(12, 12\), weight \(12, 4\)"):
        column_scores(U, V, weight.T)
    with pytest.raises(InputError, match="weight has the shape"):
        column_scores(U, V, weight[0])


# --- importance


def test_identity_pattern_in_any_order():
    rng = np.random.default_rng(0)
    perfect = np.pad(np.eye(6), ((0, 0), (0, 5)))[:, rng.permutation(11)]
    assert identity_errors(perfect) == (0, 0)
    blunt = 0.95 * perfect + 0.05 * (1 - perfect)
    assert identity_errors(blunt) == (0, 0)
    broken = blunt.copy()
    broken[2, broken[2].argmax()] = 0.85
    broken[3, broken[4].argmax()] = 0.2  # another feature's component
    broken[5, broken.max(0).argmin()] = 0.3  # a component of no feature
    assert identity_errors(broken) == (1, 2)
    assert identity_errors(torch.tensor(broken)) == (1, 2)


def test_matching_is_the_best_of_all_permutations():
    rng = np.random.default_rng(1)
    for _ in range(10):
        importance = rng.uniform(size=(4, 5))
        best = max(itertools.permutations(range(5), 4), key=lambda p: sum(importance[range(4), p]))
        own = importance[range(4), best]
        expected = (own < 0.9).sum(), (importance > 0.1).sum() - (own > 0.1).sum()
        assert identity_errors(importance) == expected


def test_fewer_components_than_features():
    assert identity_errors(np.eye(5)[:, :3]) == (2, 0)
    assert dense_errors(np.ones((4, 1)), 3) == (8, 0)


def test_dense_pattern():
    values = np.zeros((6, 5))
    values[:, [1, 4]] = 1
    assert dense_errors(values, 2) == (0, 0)
    values[0, 1], values[3, 2] = 0.5, 0.2
    assert dense_errors(values, 2) == (1, 1)
    assert dense_errors(values, 1) == (0, 7)
    with pytest.raises(InputError, match="count is 0"):
        dense_errors(values, 0)


def test_rounded_error_by_hand():
    """A gate that gives .75 x: components of features at .9 are rounded up, those at .1 off."""
    net = nn.Linear(3, 3, bias=False)
    net.weight.data = torch.diag(torch.tensor([1.0, 2.0, 3.0]))
    model = nn.Sequential(net)
    matrix = Matrix(net.weight, 3, "vector", 3, generator=torch.Generator().manual_seed(0))
    matrix.U.data, matrix.V.data = net.weight.data.clone(), torch.eye(3)
    matrix.raw_importance = lambda inputs: 0.75 * inputs
    decomposition = Decomposition(model, {"0": matrix})
    x = torch.tensor([[0.9, 0.0, 0.0], [0.1, 0.0, 0.9]])
    # Only .1 · 1 of the second sample is lost.
    assert rounded_error(decomposition, x) == pytest.approx(0.01 / 6)


# --- contributions of blocks and neurons


def test_block_contributions_sum_to_what_the_model_adds():
    net = ResidualMLP(6, 9, 4, 3, seed=1).eval()
    for value in (0.75, -0.5):
        table = block_contributions(net, value)
        added = (net(value * torch.eye(6)).diagonal() / value - 1).detach().numpy()
        summed = table.groupby("feature")["contribution"].sum()
        np.testing.assert_allclose(summed, added, atol=1e-5)
        # In loops, with the first block alone.
        first = table[table["block"] == 1]["contribution"].to_numpy()
        weights = [parameter.detach().numpy().astype(float) for parameter in net.blocks[0].parameters()]
        for feature, row in enumerate(net.embedding.numpy().astype(float)):
            neurons = np.maximum(weights[0] @ (value * row), 0)
            assert first[feature] == pytest.approx(row @ weights[1] @ neurons / value, abs=1e-6)


def test_neuron_contributions_of_exact_components_are_the_model_s():
    net = ResidualMLP(5, 5, 3, 2, seed=0).eval()
    net.embedding.copy_(torch.eye(5))
    recipe = SPDRecipe(SparseFeatures(5, 0.1), (Matrices("*.mlp_in", 5, 4, 1e-3),), (Stage(1),))
    found = attach(net, recipe, 0)
    order = torch.tensor([3, 0, 4, 1, 2])  # component c belongs to feature order[c]
    with torch.no_grad():
        for name, matrix in found.layers.items():
            matrix.V.copy_(torch.eye(5)[order])
            matrix.U.copy_(found.linear(name).weight.T[order])
    shell = SimpleNamespace(
        net=found.net,
        layers=found.layers,
        importances=lambda x: {name: (x > 0).float()[:, order] for name in found.layers},
    )
    table = neuron_contributions(shell)
    assert len(table) == 2 * 5 * 3
    np.testing.assert_allclose(table["component"], table["target"], atol=1e-7)
    row = table[(table["block"] == 2) & (table["feature"] == 4) & (table["neuron"] == 1)].iloc[0]
    block = net.blocks[1]
    weights = [layer.weight.detach() for layer in (block.mlp_in, block.mlp_out)]
    assert row["target"] == pytest.approx(float(weights[0][1, 4] * weights[1][4, 1]))
    with torch.no_grad():
        found.layers["blocks.1.mlp_in"].U.mul_(0.5)
    halved = neuron_contributions(shell)
    second = halved["block"] == 2
    np.testing.assert_allclose(halved["component"][second], 0.5 * halved["target"][second], atol=1e-7)


def test_importance_table_numbers_components_by_their_features():
    inputs = SparseFeatures(5, 0.5)
    recipe = SPDRecipe(inputs=inputs, matrices=(Matrices("*", 7, 4, 1.0),), stages=(Stage(1),))
    found = attach(ResidualMLP(5, 12, 3, 1, seed=0), recipe, 0)
    with torch.no_grad():  # gates as they start are near 0 for everything
        for parameter in found.parameters():
            parameter.copy_(
                torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
            )
    table = importance_table(found, 5, -0.75)
    for name, at_minus in found.importances(-one_hot(5)).items():
        at_plus = found.importances(one_hot(5))[name]
        answers = sorted(range(7), key=lambda c: (max(range(5), key=lambda f: at_plus[f, c].item()), c))
        rows = table[table["matrix"] == name]
        assert len(rows) == 35
        for row in rows.itertuples():
            assert row.importance == at_minus[row.feature, answers[row.component]].item()
    few = importance_table(found, 5, -0.75, least=0.3)
    pd.testing.assert_frame_equal(few, table[table["importance"] >= 0.3].reset_index(drop=True))
    assert 0 < len(few) < len(table)
