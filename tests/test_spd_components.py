"""Components on a net's linear layers, the toy models, and the smaller basis."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn

from splinelab.errors import InputError, RecipeError
from splinelab.nets import ResidualMLP, Superposition
from splinelab.spd import (
    OURS,
    PAPER,
    TARGETS,
    Decomposition,
    Matrices,
    Matrix,
    SparseFeatures,
    SPDRecipe,
    Stage,
    TargetRecipe,
    attach,
    one_hot,
    reduced,
    target_recipe,
    train_target,
)
from splinelab.spd.inputs import generator_for
from splinelab.spd.targets import truth


class Odd(nn.Module):
    """Layers without bias, inside others, and before a shape that is not samples × units."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = nn.Linear(4, 6, bias=False)
        self.inside = nn.ModuleDict({"deep": nn.Linear(6, 5), "other": nn.Linear(6, 5)})
        self.norm = nn.LayerNorm(5)
        with torch.no_grad():
            for weight in self.parameters():
                weight.normal_(generator=generator)

    def forward(self, x):
        hidden = torch.tanh(self.first(x))
        return self.norm(self.inside["deep"](hidden)) + hidden[..., :5]


def recipe(*matrices, **options):
    options = {"stages": (Stage(3),), **options}
    return SPDRecipe(inputs=SparseFeatures(4, 0.5), matrices=matrices, **options)


def svd(weight):
    """Components that sum to the weights, one per singular value."""
    left, values, right = torch.linalg.svd(weight.detach(), full_matrices=False)
    return left.T * values[:, None], right


def ideal(net, names):
    """A decomposition whose components sum to the weights."""
    layers = {}
    for name in names:
        weight = net.get_submodule(name).weight
        U, V = svd(weight)
        layers[name] = Matrix(weight, len(U), "vector", 4, generator=torch.Generator().manual_seed(0)).to(
            weight.dtype
        )
        layers[name].U.data, layers[name].V.data = U, V
    return Decomposition(net, layers)


# --- attaching


def test_patterns_choose_layers_and_the_first_match_counts():
    both = recipe(Matrices("inside.deep", 3, 4, 0.5), Matrices("*", 7, 4, 1.0))
    decomposition = attach(Odd(), both, 0)
    assert {name: len(matrix) for name, matrix in decomposition.layers.items()} == {
        "first": 7,
        "inside.deep": 3,
        "inside.other": 7,
    }
    assert [matrix.penalty for matrix in decomposition.layers.values()] == [1.0, 0.5, 1.0]
    assert "inside.deep: 3" in repr(decomposition)


def test_a_pattern_that_matches_nothing_names_the_layers_there_are():
    with pytest.raises(
        InputError, match=r"'mlp_\*' matches no linear layer.*first, inside.deep, inside.other"
    ):
        attach(Odd(), recipe(Matrices("first", 3, 4, 1.0), Matrices("mlp_*", 3, 4, 1.0)), 0)
    with pytest.raises(InputError, match="the net's are: none"):
        attach(nn.ReLU(), recipe(Matrices("*", 3, 4, 1.0)), 0)


def test_attach_copies_the_net():
    net = Odd()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    decomposition = attach(net, recipe(Matrices("first", 3, 4, 1.0)), 0)
    assert decomposition.net is not net and all(weight.requires_grad for weight in net.parameters())
    assert not any(weight.requires_grad for weight in decomposition.net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_components_sum_to_the_weights_on_average_over_the_draw():
    weight = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    total = sum(
        Matrix(weight, 50, "vector", 2, generator=torch.Generator().manual_seed(seed)).total
        for seed in range(200)
    )
    assert (total.detach() / 200 - weight).abs().max() < 0.1


def test_components_can_start_at_the_layers_inputs():
    net = nn.Sequential(nn.Linear(4, 6, bias=False), nn.ReLU(), nn.Linear(6, 3)).requires_grad_(False)
    start = SPDRecipe(
        inputs=SparseFeatures(4, 0.2),
        matrices=(Matrices("*", 9, 4, 1.0),),
        stages=(Stage(3),),
        start="inputs",
    )
    decomposition = attach(net, start, 0)
    first, second = decomposition.layers.values()
    x = start.inputs.sample(4096, generator_for("cpu", 0, 3))
    for matrix, inputs in ((first, x), (second, torch.relu(net[0](x)))):
        inputs = inputs[inputs.norm(dim=1) > 0]
        inputs = (inputs / inputs.norm(dim=1, keepdim=True)).numpy()
        V = matrix.V.detach().numpy()
        np.testing.assert_allclose(V[0], inputs[0], atol=1e-6)
        for place in range(1, 9):  # farthest first: none of the samples is farther from those taken
            np.testing.assert_allclose(
                (V @ V.T)[place, :place].max(), (inputs @ V[:place].T).max(1).min(), atol=1e-6
            )
            assert (inputs @ V[place]).max() == pytest.approx(1, abs=1e-6)
    for matrix, layer in ((first, net[0]), (second, net[2])):
        # No other factor of U brings the sum nearer to the weights.
        error = [(factor * matrix.total - layer.weight).square().sum().item() for factor in (0.98, 1, 1.02)]
        assert error[1] < min(error[0], error[2])
        torch.testing.assert_close(
            nn.functional.normalize(matrix.U), nn.functional.normalize(layer.weight @ matrix.V.T, dim=0).T
        )
    assert torch.equal(attach(net, start, 0).layers["0"].V, first.V)
    assert not torch.equal(attach(net, start, 1).layers["0"].V, first.V)


# --- running with masks


def test_components_equal_to_the_weights():
    net = Odd().double()
    decomposition = ideal(net, ["first", "inside.deep"])
    x = torch.randn(3, 7, 4, dtype=torch.float64)
    assert all(delta.abs().max() < 1e-13 for delta in decomposition.deltas().values())
    torch.testing.assert_close(
        decomposition.masked(x, {"first": 1.0, "inside.deep": 1.0}), net(x), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_masks_at_one_with_delta_are_the_target(dtype):
    net = Odd().to(dtype)
    decomposition = attach(net, recipe(Matrices("first", 30, 4, 1.0), Matrices("inside.deep", 2, 4, 1.0)), 0)
    x = torch.randn(20, 4, dtype=dtype)
    ones = {name: torch.ones(20, len(matrix), dtype=dtype) for name, matrix in decomposition.layers.items()}
    assert torch.equal(decomposition.masked(x, ones, 1.0), net(x))
    assert not torch.allclose(decomposition.masked(x, ones), net(x))


def test_masked_against_weights_put_in_by_hand():
    """One sample at a time, with the masked matrix as the layer's weight."""
    net = Odd().double()
    decomposition = attach(net, recipe(Matrices("*", 5, 4, 1.0)), 0)
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(6, 4, dtype=torch.float64, generator=generator)
    names = ["first", "inside.deep"]
    masks = {name: torch.rand(6, 5, dtype=torch.float64, generator=generator) for name in names}
    deltas = {name: torch.rand(6, 1, dtype=torch.float64, generator=generator) for name in names}
    output = decomposition.masked(x, masks, deltas)
    for i in range(6):
        plain = Odd().double()
        for name in names:
            U, V = decomposition.layers[name].U, decomposition.layers[name].V
            weight = plain.get_submodule(name).weight
            parts = torch.einsum("c,co,ci->oi", masks[name][i], U, V)
            new = parts + deltas[name][i] * (weight - torch.einsum("co,ci->oi", U, V))
            weight.data = new.detach()
        torch.testing.assert_close(output[i], plain(x[i]), rtol=1e-10, atol=1e-12)


def test_one_mask_for_all_samples_and_layers_left_alone():
    net = Odd()
    decomposition = attach(net, recipe(Matrices("*", 5, 4, 1.0)), 0)
    x = torch.randn(6, 4)
    mask = torch.rand(5)
    torch.testing.assert_close(
        decomposition.masked(x, {"first": mask}), decomposition.masked(x, {"first": mask.expand(6, 5)})
    )
    assert torch.equal(decomposition.masked(x, {}), net(x))


def test_no_hook_is_left_behind():
    decomposition = attach(Odd(), recipe(Matrices("*", 5, 4, 1.0)), 0)
    with pytest.raises(RuntimeError):
        decomposition.masked(torch.randn(6, 4), {"first": torch.ones(6, 9)})
    decomposition.masked(torch.randn(6, 4), {"first": 1.0})
    assert not any(module._forward_hooks for module in decomposition.net.modules())


def test_bad_layers():
    decomposition = attach(Odd(), recipe(Matrices("*", 5, 4, 1.0)), 0)
    with pytest.raises(InputError, match=r"no decomposed layer 'last'.*first, inside.deep"):
        decomposition.masked(torch.randn(6, 4), {"last": 1.0})
    with pytest.raises(InputError, match=r"inside\.other did not run"):
        decomposition.importances(torch.randn(6, 4))
    linear = nn.Linear(4, 4)
    with pytest.raises(InputError, match="'0' runs twice"):
        attach(nn.Sequential(linear, linear), recipe(Matrices("0", 5, 4, 1.0)), 0).importances(
            torch.randn(6, 4)
        )


@pytest.mark.parametrize("gate", ["scalar", "vector"])
def test_importances_read_the_targets_activations(gate):
    net = Odd()
    decomposition = attach(
        net, recipe(Matrices("first", 5, 4, 1.0), Matrices("inside.deep", 3, 4, 1.0), gate=gate), 0
    )
    x = torch.randn(40, 4)
    importances = decomposition.importances(x)
    assert {name: tuple(value.shape) for name, value in importances.items()} == {
        "first": (40, 5),
        "inside.deep": (40, 3),
    }
    assert all(((value >= 0) & (value <= 1)).all() for value in importances.values())
    hidden = torch.tanh(net.first(x)).detach()
    raw = decomposition.layers["inside.deep"].raw_importance(hidden)
    torch.testing.assert_close(importances["inside.deep"], raw.clamp(0, 1).detach())
    alive = decomposition.alive(x, 0.3)
    np.testing.assert_array_equal(alive["first"], (importances["first"] > 0.3).any(0))
    kept = {name: value > -1 for name, value in alive.items()}
    kept["first"] = torch.tensor([True, False, True, False, True])
    decomposition.keep(kept)
    torch.testing.assert_close(decomposition.importances(x)["first"], importances["first"][:, ::2])


# --- recipes


def test_recipes_go_to_json_and_back():
    for item in (*PAPER.values(), *OURS.values(), recipe(Matrices("a", 1, 2, 0.0))):
        assert SPDRecipe.from_dict(json.loads(json.dumps(item.to_dict()))) == item
    for item in TARGETS.values():
        assert TargetRecipe.from_dict(json.loads(json.dumps(item.to_dict()))) == item
    assert PAPER["TMS-40-10"].replace(batch=7).batch == 7
    with pytest.raises(dataclasses.FrozenInstanceError):
        PAPER["TMS-40-10"].batch = 3


@pytest.mark.parametrize(
    ("kind", "key", "message"),
    [
        (SPDRecipe, "matrix", "did you mean 'matrices'"),
        (Stage, "important", "did you mean 'importance'"),
        (Matrices, "C", "expected one of pattern, components"),
        (TargetRecipe, "feature", "did you mean 'features'"),
        (SparseFeatures, "prob", "did you mean 'probability'"),
    ],
)
def test_unknown_keys(kind, key, message):
    with pytest.raises(RecipeError, match=message):
        kind.from_dict({key: 1})


def test_unknown_keys_inside():
    values = PAPER["TMS-5-2"].to_dict()
    values["stages"][0]["learning_rate"] = 1
    with pytest.raises(RecipeError, match="no key 'learning_rate'"):
        SPDRecipe.from_dict(values)


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: Matrices("a", 0, 4, 1.0), "components"),
        (lambda: Matrices("a", 2.5, 4, 1.0), "components"),
        (lambda: Matrices("", 2, 4, 1.0), "pattern"),
        (lambda: Matrices("a", 2, 4, -1.0), "importance"),
        (lambda: Stage(0), "steps"),
        (lambda: Stage(1, lr=float("nan")), "lr"),
        (lambda: Stage(1, schedule="linear"), "schedule"),
        (lambda: Stage(1, penalty="l1"), "penalty"),
        (lambda: Stage(1, sharpness=(1.0,)), "sharpness"),
        (lambda: Stage(1, sharpness=(1.0, 0.0)), "sharpness"),
        (lambda: Stage(1, still_rows=1.5), "still_rows"),
        (lambda: Stage(1, prune=-1), "prune"),
        (lambda: Stage(1, prune=(0.1, -1)), "prune"),
        (lambda: Stage(1, importance=()), "importance"),
        (lambda: Stage(1, importance=None), "importance"),
        (lambda: Stage(1, even=1), "even"),
        (lambda: Stage(1, local=-1.0), "local"),
        (lambda: recipe(Matrices("a", 1, 1, 1.0), stages=(Stage(1, prune=(0.1, 0.2)),)), "prune"),
        (lambda: recipe(Matrices("a", 1, 1, 1.0), stages=(Stage(1, local=1.0),), delta=False), "delta"),
        (lambda: recipe(), "matrices"),
        (lambda: recipe("first"), "matrices"),
        (lambda: recipe(Matrices("a", 1, 1, 1.0), gate="mlp"), "gate"),
        (lambda: recipe(Matrices("a", 1, 1, 1.0), batch=0), "batch"),
        (lambda: recipe(Matrices("a", 1, 1, 1.0), start="data"), "start"),
        (lambda: SparseFeatures(0, 0.5), "features"),
        (lambda: SparseFeatures(3, 1.5), "probability"),
        (lambda: SparseFeatures(3, 0.5, 1.0, 1.0), "low"),
        (lambda: TargetRecipe("mlp", 5, 2, 0), "kind"),
        (lambda: TargetRecipe("residual-mlp", 5, 2, 2), "neurons"),
        (lambda: TargetRecipe("residual-mlp", 5, 2, 0, 3), "depth"),
        (lambda: TargetRecipe("superposition", 5, 2, 0, lr=0), "lr"),
    ],
)
def test_impossible_values(make, key):
    with pytest.raises(RecipeError, match=f"recipe: {key} is .*expected"):
        make()


def test_the_place_of_a_wrong_value_is_named():
    good = recipe(Matrices("a", 1, 1, 1.0), stages=(Stage(1), Stage(2, prune=0.5))).to_dict()
    assert SPDRecipe.from_dict(good).to_dict() == good
    for part, key, value, message in (
        ("stages", "lr", "x", r"stages\[1\]: recipe: lr is 'x'; expected a positive number"),
        ("stages", "lrr", 1.0, r"stages\[1\]: a recipe has no key 'lrr'; did you mean 'lr'"),
        ("stages", "steps", True, r"stages\[1\]: recipe: steps is True"),
    ):
        stages = [good["stages"][0], {**good["stages"][1], key: value}]
        with pytest.raises(RecipeError, match=message):
            SPDRecipe.from_dict({**good, part: stages})
    with pytest.raises(RecipeError, match="inputs: recipe: features is missing"):
        SPDRecipe.from_dict({**good, "inputs": {"probability": 0.5}})
    with pytest.raises(RecipeError, match="recipe: stages is missing"):
        SPDRecipe.from_dict({key: value for key, value in good.items() if key != "stages"})
    for values in ([1], None, {1: 2}):
        with pytest.raises(RecipeError, match="a recipe is a mapping of names to values"):
            SPDRecipe.from_dict(values)


# --- inputs


def test_sparse_features():
    generator = torch.Generator().manual_seed(0)
    x = SparseFeatures(50, 0.1, -1.0, 1.0).sample(4000, generator)
    assert x.shape == (4000, 50) and float(x.min()) < -0.99 and float(x.max()) > 0.99
    assert float((x != 0).double().mean()) == pytest.approx(0.1, abs=0.005)
    assert float(x[x != 0].mean()) == pytest.approx(0, abs=0.02)
    rare = SparseFeatures(10, 0.01, nonzero=True, zero_rows=0.25)
    x = rare.sample(4000, generator)
    assert (x[:1000] == 0).all() and (x[1000:] > 0).any(1).all()
    counts = (x[1000:] > 0).sum(0)
    assert float(counts.min()) > 0.8 * float(counts.max())
    # Where chance gives a feature, none is added.
    assert float((x[1000:] > 0).sum(1).double().mean()) == pytest.approx(1 + 0.1 - (1 - 0.99**10), abs=0.02)


def test_one_hot():
    assert torch.equal(one_hot(3), torch.diag(torch.tensor([0.75] * 3)))
    with pytest.raises(InputError, match="features is 0"):
        one_hot(0)


# --- the toy models


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("TMS-5-2", {"linear1": (2, 5), "linear2": (5, 2)}),
        ("TMS-40-10-ID", {"linear1": (10, 40), "hidden.0": (10, 10), "linear2": (40, 10)}),
        (
            "MLP-3",
            {
                f"blocks.{b}.mlp_{way}": shape
                for b in range(3)
                for way, shape in (("in", (17, 1000)), ("out", (1000, 17)))
            },
        ),
    ],
)
def test_targets_by_name(name, layers):
    net = target_recipe(name).build(3)
    found = {
        path: tuple(module.weight.shape)
        for path, module in net.named_modules()
        if isinstance(module, nn.Linear)
    }
    assert found == layers
    same, other = target_recipe(name).build(3), target_recipe(name).build(4)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), same.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))


def test_superposition_by_hand():
    net = Superposition(3, 2, identities=2, seed=0)
    x = torch.randn(9, 3)
    W, b = net.linear1.weight, net.linear2.bias
    with torch.no_grad():
        b.copy_(torch.tensor([0.1, -0.2, 0.3]))
    expected = torch.relu(torch.einsum("hf,hg,ng->nf", W, W, x) + b)
    torch.testing.assert_close(net(x), expected)
    torch.testing.assert_close(net.tied(x), expected)
    with torch.no_grad():
        W.mul_(2)
    assert not torch.allclose(net(x), net.tied(x))
    net.tie()
    torch.testing.assert_close(net(x), net.tied(x))


def test_residual_mlp_by_hand():
    net = ResidualMLP(6, 12, 4, 2, seed=0).double()
    x = torch.randn(9, 6, dtype=torch.float64)
    E = net.embedding
    torch.testing.assert_close(E.norm(dim=1), torch.ones(6, dtype=torch.float64))
    first = torch.relu((x @ E) @ net.blocks[0].mlp_in.weight.T) @ net.blocks[0].mlp_out.weight.T
    stream = x @ E + first
    second = torch.relu(stream @ net.blocks[1].mlp_in.weight.T) @ net.blocks[1].mlp_out.weight.T
    expected = (stream + second) @ E.T
    torch.testing.assert_close(net(x), expected)
    torch.testing.assert_close(net.in_features(x), expected)


def test_training_by_seed_alone():
    short = target_recipe("TMS-5-2-ID").replace(steps=150, batch=256)
    torch.manual_seed(1)
    first = train_target(short, 7)
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    second = train_target(short, 7)
    assert torch.equal(state, torch.random.get_rng_state())
    for a, b in zip(first.net.state_dict().values(), second.net.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert first.loss == second.loss
    assert torch.equal(first.net.linear2.weight, first.net.linear1.weight.T)
    assert torch.equal(first.net.hidden[0].weight, torch.eye(2))
    x = short.inputs.sample(2000, torch.Generator().manual_seed(3))
    assert float((first.net(x) - x).square().mean()) < 0.4 * float(x.square().mean())


def test_a_residual_mlp_learns_its_function():
    small = target_recipe("MLP-2").replace(
        features=20, width=60, neurons=20, probability=0.05, batch=256, steps=200
    )
    target = train_target(small, 0)
    x = small.inputs.sample(2000, torch.Generator().manual_seed(3))
    missing = (truth(small, x) - x).square().mean()
    assert torch.equal(truth(small, x), x + x.clamp(min=0)) and target.loss < 0.5 * float(missing)


def test_errors_of_targets():
    with pytest.raises(InputError, match="did you mean 'TMS-5-2-ID'"):
        target_recipe("TMS 5-2-id")
    with pytest.raises(InputError, match="seed is -1"):
        train_target("TMS-5-2", -1)
    with pytest.raises(InputError, match="width is 0"):
        ResidualMLP(3, 0, 2, 1, seed=0)


# --- the smaller basis


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_reduction_has_the_same_outputs(blocks):
    net = ResidualMLP(100, 1000, 25, blocks, seed=1)
    with torch.no_grad():
        for weight in net.parameters():  # as large as in trained nets
            weight.mul_(3)
    small, basis = reduced(net)
    assert small.embedding.shape == (100, 100 + 25 * (blocks - 1)) and basis.shape == (
        1000,
        small.embedding.shape[1],
    )
    assert torch.equal(small.embedding, small.embedding.tril())
    x = 2 * torch.rand(300, 100, generator=torch.Generator().manual_seed(0)) - 1
    x = x * (torch.rand(300, 100, generator=torch.Generator().manual_seed(1)) < 0.02)
    assert (small(x) - net(x)).abs().max() < 1e-6 * max(1, net(x).abs().max().item())
    # And in float64 to float64's rounding, so that nothing but rounding is lost.
    exact = reduced(net.double()).net
    assert (exact(x.double()) - net(x.double())).abs().max() < 1e-12
    torch.testing.assert_close(basis.T @ basis, torch.eye(basis.shape[1]), rtol=0, atol=1e-5)


def test_reduction_of_a_stream_that_is_already_narrow():
    net = ResidualMLP(30, 20, 10, 2, seed=0).double()
    small = reduced(net).net
    assert small.embedding.shape == (30, 20)
    x = torch.randn(50, 30, dtype=torch.float64)
    torch.testing.assert_close(small(x), net(x), rtol=1e-10, atol=1e-10)


def test_directions_of_the_small_stream_are_directions_of_the_wide_one():
    net = ResidualMLP(10, 80, 5, 2, seed=0).double()
    small, basis = reduced(net)
    for block, old in zip(small.blocks, net.blocks, strict=True):
        x = torch.randn(7, basis.shape[1], dtype=torch.float64)
        torch.testing.assert_close(block.mlp_in(x), old.mlp_in(x @ basis.T))
