"""Sigmoids and loss terms: hand-computed cases, finite differences, plain loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from splinelab.spd import Matrices, SparseFeatures, SPDRecipe, Stage, attach, loss_terms, losses
from splinelab.spd.matrix import Matrix, ScalarGate, VectorGate, lower_leaky, upper_leaky

DERANDOMISED = settings(derandomize=True, deadline=None, max_examples=60)


@pytest.mark.parametrize(
    ("x", "lower", "upper"),
    [
        (-3.0, -0.03, 0.0),
        (-0.5, -0.005, 0.0),
        (0.25, 0.25, 0.25),
        (1.0, 1.0, 1.0),
        (1.5, 1.0, 1.005),
        (11.0, 1.0, 1.1),
    ],
)
def test_sigmoids_by_hand(x, lower, upper):
    at = torch.tensor(x, dtype=torch.float64)
    assert lower_leaky(at).item() == pytest.approx(lower, abs=1e-12)
    assert upper_leaky(at).item() == pytest.approx(upper, abs=1e-12)


@pytest.mark.parametrize(
    ("function", "slopes"), [(lower_leaky, (0.01, 1, 0)), (upper_leaky, (0, 1, 0.01))], ids=["lower", "upper"]
)
def test_slopes_of_the_sigmoids_by_finite_differences(function, slopes):
    x = torch.tensor([-2.0, -0.3, 0.2, 0.8, 1.2, 7.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(function(x).sum(), x)
    step = 1e-6
    with torch.no_grad():
        differences = (function(x + step) - function(x - step)) / (2 * step)
    np.testing.assert_allclose(slope, differences, atol=1e-9)
    np.testing.assert_allclose(slope, np.repeat(slopes, 2), atol=1e-12)


@DERANDOMISED
@given(st.floats(-50, 50))
def test_both_sigmoids_meet_inside_and_order_outside(x):
    lower, upper = (float(f(torch.tensor(x, dtype=torch.float64))) for f in (lower_leaky, upper_leaky))
    if 0 <= x <= 1:
        assert lower == upper == x
    assert lower <= upper and lower <= 1 and upper >= 0


GRADIENT_CASES = {
    "power-0.7": lambda g: losses.to_the_power(g, 0.7).sum(),
    "power-1": lambda g: losses.to_the_power(g, 1.0).sum(),
    "power-2": lambda g: losses.to_the_power(g, 2.0).sum(),
    "smooth-l0": lambda g: losses.smooth_l0(g, 0.3).sum(),
    "frequency": lambda g: losses.frequency(g.mean(0)).sum(),
    "faithfulness": lambda g: losses.faithfulness([g - 1, 2 * g]),
    "reconstruction": lambda g: losses.reconstruction(g, torch.ones_like(g)),
    "local": lambda g: losses.local(g, g[:3, :2] + 1, 2 * g[:, :2], g[:, :2] > 0.4),
    "mask": lambda g: losses.sampled_mask(g, torch.full_like(g, 0.3)).sum(),
}


@pytest.mark.parametrize("name", GRADIENT_CASES)
def test_terms_by_finite_differences(name):
    function = GRADIENT_CASES[name]
    g = torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.05
    assert torch.autograd.gradcheck(function, g.requires_grad_())


def test_terms_by_hand():
    g = torch.tensor([[0.0, 0.5], [1.0, 0.5]])
    assert losses.to_the_power(g, 1).tolist() == [0.5, 0.5]
    assert losses.to_the_power(g, 2).tolist() == [0.5, 0.25]
    assert losses.to_the_power(g, 0.5).tolist() == pytest.approx([0.5, 0.5**0.5], abs=1e-5)
    assert losses.smooth_l0(g, 0.5).tolist() == pytest.approx([0.4, 0.5])  # 1 / 1.25 / 2; .25 / .5
    assert losses.smooth_l0(g, 1e-6).tolist() == pytest.approx([0.5, 1.0])
    assert losses.frequency(torch.tensor([1.0])).item() == pytest.approx(np.log2(1025))
    # 2 weights miss by 1, 2 by 2, one matrix of 4 and one of 2 weights: (2 · 1 + 2 · 4) / 6.
    misses = [torch.tensor([[1.0, 1.0], [0.0, 0.0]]), torch.tensor([[2.0, -2.0]])]
    assert losses.faithfulness(misses).item() == pytest.approx(10 / 6)
    assert losses.reconstruction(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])).item() == 2.5


def test_local_loss_is_the_mean_over_masks():
    """Against 200,000 drawn masks, of the error of the neurons that the target has on."""
    generator = torch.Generator().manual_seed(0)
    h, U = torch.randn(5, 3, generator=generator), torch.randn(3, 4, generator=generator)
    g, left = torch.rand(5, 3, generator=generator), torch.randn(5, 4, generator=generator)
    on = torch.rand(5, 4, generator=generator) < 0.5
    r = torch.rand(200_000, 5, 3, generator=generator)
    rest = torch.rand(200_000, 5, 1, generator=generator)
    # The target's value is all components and Δ at mask 1; the masked one falls short of it.
    short = ((1 - losses.sampled_mask(g, r)) * h) @ U + (1 - rest) * left
    drawn = (on * short.square()).sum(-1).mean()
    assert losses.local((1 - g) * h, U, left, on).item() == pytest.approx(drawn.item(), rel=0.005)


def test_a_power_below_one_has_a_finite_slope_at_zero():
    g = torch.zeros(3, 1, requires_grad=True)
    losses.to_the_power(g, 0.5).sum().backward()
    assert g.grad.isfinite().all()


@DERANDOMISED
@given(st.floats(0, 1), st.floats(0, 1, exclude_max=True))
def test_masks_lie_between_importance_and_one(g, r):
    mask = float(
        losses.sampled_mask(torch.tensor(g, dtype=torch.float64), torch.tensor(r, dtype=torch.float64))
    )
    assert g - 1e-12 <= mask <= 1 + 1e-12


@pytest.mark.parametrize(
    ("ends", "progress", "geometric", "value"),
    [
        ((2, 1), 0.5, False, 1.5),
        ((1, 0.01), 0.5, True, 0.1),
        ((1, 0.01), 1.0, True, 0.01),
        ((2, 1), 0.0, True, 2),
    ],
)
def test_annealing(ends, progress, geometric, value):
    assert losses.annealed(ends, progress, geometric=geometric) == pytest.approx(value)


# --- gates


def test_scalar_gate_is_one_mlp_per_component():
    gate = ScalarGate(3, 5, generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():
        for weight in gate.parameters():
            weight.normal_(generator=torch.Generator().manual_seed(len(weight.shape)))
    inner = torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    values = gate(inner)
    for c in range(3):
        hidden = torch.nn.functional.gelu(inner[:, c : c + 1] @ gate.into[c : c + 1] + gate.into_bias[c])
        torch.testing.assert_close(values[:, c], hidden @ gate.out[c] + gate.out_bias[c])


@pytest.mark.parametrize("kind", ["scalar", "vector"])
def test_gates_keep_what_they_are_told_to(kind):
    matrix = Matrix(torch.randn(3, 4), 4, kind, 6, generator=torch.Generator().manual_seed(0))
    x = torch.randn(5, 4)
    before = matrix.raw_importance(x)
    kept = torch.tensor([True, False, True, True])
    matrix.keep(kept)
    torch.testing.assert_close(matrix.raw_importance(x), before[:, kept])


def test_importances_start_near_zero():
    gate = VectorGate(10, 50, 64, generator=torch.Generator().manual_seed(0))
    assert gate(torch.zeros(1, 10)).abs().max() == 0


# --- the sum


def tiny(**options):
    defaults = {
        "inputs": SparseFeatures(3, 0.5),
        "matrices": (Matrices("0", 4, 5, 0.1), Matrices("2", 6, 5, 0.2)),
        "stages": (Stage(5),),
        "batch": 8,
    }
    return SPDRecipe(**{**defaults, **options})


def net(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU(), torch.nn.Linear(2, 3)).double()


def plain_terms(decomposition, recipe, stage, sharpness, x, generator):
    """The terms in the plainest torch: one sample at a time, matrices W + …, no hooks."""
    first, second = (decomposition.linear(name) for name in ("0", "2"))
    matrices = decomposition.layers
    inputs = {"0": x, "2": torch.relu(x @ first.weight.T + first.bias)}
    target = inputs["2"] @ second.weight.T + second.bias
    raw = {name: matrices[name].raw_importance(inputs[name]) for name in inputs}
    noise = {}
    for name, value in raw.items():
        r = torch.rand(value.shape, generator=generator, dtype=x.dtype)
        noise[name] = r, torch.rand(len(x), 1, generator=generator, dtype=x.dtype)
    still = round(stage.still_rows * len(x))

    def error(names):
        total = 0.0
        for i in range(len(x)):
            a = x[i]
            for name, linear in (("0", first), ("2", second)):
                weight = linear.weight
                if name in names:
                    r, rest = noise[name]
                    r, rest = (0 * r[i], 0.0) if i < still else (r[i], float(rest[i]))
                    g = raw[name][i]
                    g = torch.where(g < 0, 0.01 * g, torch.where(g > 1, torch.ones_like(g), g))
                    m = g + (1 - g) * r
                    U, V = matrices[name].U, matrices[name].V
                    parts = sum(m[c] * torch.outer(U[c], V[c]) for c in range(len(U)))
                    rest = rest if recipe.delta else 0.0
                    weight = parts + rest * (weight - sum(torch.outer(U[c], V[c]) for c in range(len(U))))
                a = weight @ a + linear.bias
                a = torch.relu(a) if name == "0" else a
            total = total + (a - target[i]).square().mean()
        return total / len(x)

    penalty = 0.0
    for name, coefficient in (("0", 0.1), ("2", 0.2)):
        for c in range(raw[name].shape[1]):
            g = raw[name][:, c]
            g = torch.where(g < 0, 0 * g, torch.where(g > 1, 1 + 0.01 * (g - 1), g))
            if stage.penalty == "power":
                f = (g**sharpness).mean()
            else:
                f = (g**2 / (g**2 + sharpness**2)).mean()
            f = f + stage.frequency * f * torch.log2(1 + 1024 * f)
            factor = (
                stage.importance[int(name) // 2] if isinstance(stage.importance, tuple) else stage.importance
            )
            penalty = penalty + factor * coefficient * f
    misses = sum(
        (decomposition.linear(name).weight - matrices[name].U.T @ matrices[name].V).square().sum()
        for name in matrices
    )
    return {
        "importance": penalty,
        "faithfulness": stage.faithfulness * misses / 12,
        "together": stage.together * error(["0", "2"]),
        "layerwise": stage.layerwise * (error(["0"]) + error(["2"])) / 2,
    }


@pytest.mark.parametrize("gate", ["scalar", "vector"])
@pytest.mark.parametrize("delta", [True, False])
@pytest.mark.parametrize(
    ("stage", "sharpness"),
    [
        (Stage(5, layerwise=0.5, faithfulness=3.0, sharpness=(2.0, 1.0)), 1.5),
        (
            Stage(
                5,
                penalty="smooth-l0",
                sharpness=(1.0, 0.01),
                frequency=0.5,
                importance=(2.0, 3.0),
                still_rows=0.25,
            ),
            0.1,
        ),
    ],
    ids=["power", "smooth-l0"],
)
def test_loss_and_its_gradient_against_plain_loops(gate, delta, stage, sharpness):
    recipe = tiny(gate=gate, delta=delta, stages=(stage,))
    decomposition = attach(net(), recipe, 3)
    x = recipe.inputs.sample(8, torch.Generator().manual_seed(5)).double()
    terms = loss_terms(decomposition, recipe, stage, 0.5, x, torch.Generator().manual_seed(6))
    expected = plain_terms(decomposition, recipe, stage, sharpness, x, torch.Generator().manual_seed(6))
    if not stage.layerwise:
        del expected["layerwise"]
    assert set(terms) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-9, atol=1e-12)
    weights = [weight for weight in decomposition.parameters() if weight.requires_grad]
    mine = torch.autograd.grad(sum(terms.values()), weights)
    theirs = torch.autograd.grad(sum(expected.values()), weights)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-12)


def test_local_loss_of_a_step():
    """Only the matrix that asks for it, its Δ and bias included, and only where the target is above 0."""
    matrices = (Matrices("0", 4, 5, 0.1, local=0.3), Matrices("2", 6, 5, 0.2))
    recipe = tiny(matrices=matrices, stages=(Stage(5, local=2.0),))
    decomposition = attach(net(), recipe, 3)
    x = recipe.inputs.sample(8, torch.Generator().manual_seed(5)).double()
    terms = loss_terms(decomposition, recipe, recipe.stages[0], 0.5, x, torch.Generator())
    matrix, linear = decomposition.layers["0"], decomposition.linear("0")
    g, h = lower_leaky(matrix.raw_importance(x)), x @ matrix.V.T
    left = x @ (linear.weight - matrix.total).T
    expected = 0.6 * losses.local((1 - g) * h, matrix.U, left, linear(x) > 0)
    torch.testing.assert_close(terms["local"], expected)


def test_a_stage_of_faithfulness_alone_runs_nothing():
    recipe = tiny(stages=(Stage(5, importance=0.0, together=0.0),))
    decomposition = attach(net(), recipe, 3)
    decomposition.net.forward = None
    terms = loss_terms(decomposition, recipe, recipe.stages[0], 0.5, None, None)
    assert set(terms) == {"faithfulness"}


def test_an_even_gate_sees_no_sign():
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(1)).double()
    for kind in ("scalar", "vector"):
        matrix = attach(net(), tiny(gate=kind), 3).layers["0"]
        plain, mirrored = matrix.raw_importance(x), matrix.raw_importance(-x)
        assert not torch.allclose(plain, mirrored)
        matrix.even = True
        torch.testing.assert_close(matrix.raw_importance(x), torch.maximum(plain, mirrored))
        torch.testing.assert_close(matrix.raw_importance(-x), matrix.raw_importance(x))


def test_a_subset_is_one_of_the_subsets():
    recipe = tiny(stages=(Stage(5, together=0.0, subset=2.0),), delta=False)
    decomposition = attach(net(), recipe, 3)
    x = recipe.inputs.sample(8, torch.Generator().manual_seed(5)).double()
    target, inputs = decomposition.target(x)
    found = set()
    for seed in range(40):
        terms = loss_terms(
            decomposition, recipe, recipe.stages[0], 0.0, x, torch.Generator().manual_seed(seed)
        )
        generator, masks = torch.Generator().manual_seed(seed), {}
        for name, value in decomposition.raw_importances(inputs).items():
            noise = torch.rand(value.shape, generator=generator, dtype=x.dtype)
            torch.rand(8, 1, generator=generator, dtype=x.dtype)
            masks[name] = losses.sampled_mask(lower_leaky(value), noise)
        subsets = [("0",), ("2",), ("0", "2")]
        errors = [
            losses.reconstruction(decomposition.masked(x, {name: masks[name] for name in names}), target)
            for names in subsets
        ]
        (index,) = [i for i, error in enumerate(errors) if torch.isclose(2 * error, terms["subset"])]
        found.add(subsets[index])
    assert found == set(subsets)
