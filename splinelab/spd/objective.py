"""The loss of one step: which terms, with which masks."""

import torch

from splinelab.spd import losses
from splinelab.spd.components import Decomposition
from splinelab.spd.importance import lower_leaky, upper_leaky
from splinelab.spd.recipe import SPDRecipe, Stage

__all__ = ["loss_terms"]


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
    terms = {}
    if stage.faithfulness:
        terms["faithfulness"] = stage.faithfulness * losses.faithfulness(decomposition.deltas().values())
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
        masks[name] = losses.sampled_mask(lower_leaky(value), noise)
        deltas[name] = rest if recipe.delta else 0.0

    def masked(names: list[str]) -> torch.Tensor:
        output = decomposition.masked(x, {name: masks[name] for name in names}, deltas)
        return losses.reconstruction(output, target)

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
    sharpness = losses.annealed(stage.sharpness, progress, geometric=smooth)
    penalise = losses.smooth_l0 if smooth else losses.to_the_power
    total = 0.0
    factors = stage.importance
    for name, value in raw.items():
        matrix = decomposition.layers[name]
        factor = factors[matrix.group] if isinstance(factors, tuple) else factors
        rates = penalise(upper_leaky(value).flatten(0, -2), sharpness)
        if stage.frequency:
            rates = rates + stage.frequency * losses.frequency(rates)
        total = total + factor * matrix.penalty * rates.sum()
    return total


def _local(decomposition: Decomposition, inputs: dict, raw: dict) -> torch.Tensor:
    """The local loss, summed over matrices."""
    total = 0.0
    for name, matrix in decomposition.layers.items():
        if matrix.local:
            linear, values = decomposition.linear(name), inputs[name]
            before = linear(values)
            inner = values.to(matrix.V) @ matrix.V.T
            left = before - inner @ matrix.U
            if linear.bias is not None:
                left = left - linear.bias
            missing = (1 - lower_leaky(raw[name])) * inner
            total = total + matrix.local * losses.local(missing, matrix.U, left, before > 0)
    return total
