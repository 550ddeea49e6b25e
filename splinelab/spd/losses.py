"""The loss of a step: its terms, each a small pure function (Bushnaq, Braun and Sharkey, 2025, section 2)."""

from collections.abc import Iterable
from typing import Any, cast

import torch

from splinelab.spd.components import Decomposition
from splinelab.spd.matrix import lower_leaky, upper_leaky
from splinelab.spd.net import wide
from splinelab.spd.recipe import SPDRecipe, Stage

# The frequency term counts firings in this many samples, whatever the batch.
_REFERENCE_BATCH = 1024


def faithfulness(differences: Iterable[torch.Tensor]) -> torch.Tensor:
    """(1/N) Σ ‖W − Σ_c U_c V_cᵀ‖² over all matrices, N their number of weights together.

    >>> faithfulness([torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 1.0]])])
    tensor(2.7500)
    """
    differences = list(differences)
    return cast(torch.Tensor, sum(delta.square().sum() for delta in differences)) / sum(
        delta.numel() for delta in differences
    )


def reconstruction(output: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """The squared error, averaged over samples and outputs, in at least float32."""
    return (wide(output) - wide(expected)).square().mean()


def sampled_mask(importance: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """m = g + (1 − g) r, r uniform in [0, 1): what is unimportant may be there or not.

    >>> sampled_mask(torch.tensor([0.0, 0.5, 1.0]), torch.tensor([0.5, 0.5, 0.5]))
    tensor([0.5000, 0.7500, 1.0000])
    """
    return torch.addcmul(noise, importance, 1 - noise)  # r + g (1 − r), the same in one kernel


def local(missing: torch.Tensor, U: torch.Tensor, left: torch.Tensor, on: torch.Tensor) -> torch.Tensor:
    """The squared error of a layer's outputs, averaged over samples and, in closed form, over masks.

    With masks g + (1 − g) r and r uniform, a component falls short by (1 − g) h (1 − r), and 1 − r has mean ½
    and variance 1/12; so has what Δ falls short by. Errors are summed over neurons. Not in the paper.

    Parameters
    ----------
    missing : (1 − g) h, samples × components.
    left : Δ a, samples × neurons.
    on : the neurons that count.

    Examples
    --------
    >>> one = torch.ones(1, 1)
    >>> local(one, one, 0 * one, one > 0)  # ∫ (1 − r)² dr
    tensor(0.3333)
    """
    mean = (missing @ U + left) / 2
    variance = (missing.square() @ U.square() + left.square()) / 12
    return (on * (mean.square() + variance)).sum(-1).mean()


def to_the_power(importance: torch.Tensor, p: float) -> torch.Tensor:
    """Mean over samples of |g|^p for each component: `samples × components` to `components`."""
    if p == 1:
        return importance.abs().mean(0)
    if p == 2:
        return importance.square().mean(0)
    # Below p = 1 the slope at 0 has no bound; the shift keeps it finite.
    return (importance.abs() + 1e-12).pow(p).mean(0)


def smooth_l0(importance: torch.Tensor, gamma: float) -> torch.Tensor:
    """Mean over samples of g² / (g² + γ²): the square for a large γ, a count of firings as γ → 0."""
    # As 1 − γ² / (g² + γ²): one division less in the backward pass.
    return 1 - gamma**2 * (importance.square() + gamma**2).reciprocal().mean(0)


def frequency(rates: torch.Tensor) -> torch.Tensor:
    """f log₂(1 + 1024 f) for each rate f: firing twice as often costs more than twice, so that components
    share features out instead of joining them.

    >>> frequency(torch.tensor([0.0, 3 / 1024]))
    tensor([0.0000, 0.0059])
    """
    return rates * torch.log2(1 + _REFERENCE_BATCH * rates)


def annealed(ends: tuple[float, float], progress: float, *, geometric: bool) -> float:
    """From `ends[0]` at progress 0 to `ends[1]` at 1, by equal steps or equal ratios.

    >>> annealed((1.0, 0.01), 0.5, geometric=True)
    0.1
    """
    start, end = ends
    return start * (end / start) ** progress if geometric else start + (end - start) * progress


def loss_terms(
    decomposition: Decomposition,
    recipe: SPDRecipe,
    stage: Stage,
    progress: float,
    x: torch.Tensor,
    generator: torch.Generator,
) -> dict[str, torch.Tensor]:
    """The weighted terms of the loss on samples `x`; their sum is what a step lowers.

    `progress` in [0, 1] through the stage decides the annealed sharpness; `generator` draws the noise.
    """
    terms: dict[str, Any] = {}
    if stage.faithfulness:
        terms["faithfulness"] = stage.faithfulness * faithfulness(decomposition.deltas().values())
    if not (stage.importance or stage.together or stage.layerwise or stage.subset or stage.local):
        return terms
    target, inputs = decomposition.target(x)
    raw = decomposition.raw_importances(inputs)
    terms["importance"] = _penalty(decomposition, stage, progress, raw)
    if stage.local:
        terms["local"] = stage.local * _local(decomposition, inputs, raw)
    masks, deltas = {}, {}
    for name, value in raw.items():
        noise = torch.rand(value.shape, generator=generator, device=x.device, dtype=value.dtype)
        # One number a sample; more axes (positions) share it.
        shape = (len(value), *[1] * (value.ndim - 1))
        rest = torch.rand(shape, generator=generator, device=x.device, dtype=value.dtype)
        still = round(stage.still_rows * len(value))
        noise[:still], rest[:still] = 0, 0
        masks[name] = sampled_mask(lower_leaky(value), noise)
        deltas[name] = rest if recipe.delta else 0.0

    def masked(names: list[str]) -> torch.Tensor:
        output = decomposition.masked(x, {name: masks[name] for name in names}, deltas)
        return reconstruction(output, target)

    names = list(masks)
    if stage.together:
        terms["together"] = stage.together * masked(names)
    if stage.layerwise:
        terms["layerwise"] = stage.layerwise * sum(masked([name]) for name in names) / len(names)
    if stage.subset:
        size = int(torch.randint(1, len(names) + 1, (), generator=generator, device=x.device))
        order = torch.randperm(len(names), generator=generator, device=x.device).tolist()
        terms["subset"] = stage.subset * masked([names[index] for index in order[:size]])
    return terms


def _penalty(
    decomposition: Decomposition, stage: Stage, progress: float, raw: dict[str, torch.Tensor]
) -> torch.Tensor:
    """Importance minimality with its frequency term, summed over matrices."""
    smooth = stage.penalty == "smooth-l0"
    sharpness = annealed(stage.sharpness, progress, geometric=smooth)
    penalise = smooth_l0 if smooth else to_the_power
    total: Any = 0.0
    factors = stage.importance
    for name, value in raw.items():
        matrix = decomposition.layers[name]
        factor = factors[matrix.group] if isinstance(factors, tuple) else factors
        rates = penalise(upper_leaky(value).flatten(0, -2), sharpness)
        if stage.frequency:
            rates = rates + stage.frequency * frequency(rates)
        total = total + factor * matrix.penalty * rates.sum()
    return total


def _local(decomposition: Decomposition, inputs: dict, raw: dict) -> torch.Tensor:
    """The local loss, summed over matrices."""
    total: Any = 0.0
    for name, matrix in decomposition.layers.items():
        if matrix.local:
            linear, values = decomposition.linear(name), inputs[name]
            before = linear(values)
            inner = values.to(matrix.V) @ matrix.V.T
            left = before - inner @ matrix.U
            if linear.bias is not None:
                left = left - linear.bias
            missing = (1 - lower_leaky(raw[name])) * inner
            total = total + matrix.local * local(missing, matrix.U, left, before > 0)
    return total
