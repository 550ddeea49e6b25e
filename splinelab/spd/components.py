"""Rank-one components of a net's linear layers, attached without touching the net's code."""

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from splinelab.errors import InputError
from splinelab.spd.matrix import Matrix, lower_leaky
from splinelab.spd.net import Hook, check_layers, hooked_pass, linear_at, saving, wide

Mask = torch.Tensor | float


class Decomposition(nn.Module):
    """A frozen net and the components of its decomposed layers.

    Inputs are samples × …; importances and masks have one more axis of components at the end of what the
    layer sees. Every method leaves the net and `x` as it found them: the net runs on a copy, cast to the type
    that its parameters share; where they differ, the samples stay as they are. Of a tuple or dict that the
    net returns, its output is what `splinelab.record` takes. The first pass tries that the layers are what
    their components stand for (`splinelab.spd.net`) and raises `InputError` where they are not.

    Attributes
    ----------
    net : the target, its parameters frozen.
    layers : module path → `Matrix`.
    """

    def __init__(self, net: nn.Module, layers: Mapping[str, Matrix]) -> None:
        super().__init__()
        self.net: Any = net.requires_grad_(False)
        self._names = tuple(layers)
        self._matrices: Any = nn.ModuleList(layers.values())
        self._checked: frozenset[str] = frozenset()
        self._overwrites: bool | None = (
            None  # whether the net writes over what autograd keeps; None: not tried
        )

    @property
    def layers(self) -> dict[str, Matrix]:
        return dict(zip(self._names, self._matrices, strict=True))

    def linear(self, name: str) -> nn.Linear:
        """The net's own layer of that name."""
        return linear_at(self.net, name)

    def deltas(self) -> dict[str, torch.Tensor]:
        """Δ = W − Σ_c U_c V_cᵀ of each layer: what the components leave over."""
        return {name: self.linear(name).weight - matrix.total for name, matrix in self.layers.items()}

    def target(self, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The net's own output, and the inputs of each decomposed layer on the way, as the layer got them."""
        self._check(x, self._names)
        inputs: dict[str, torch.Tensor] = {}

        def recorder(name: str) -> Hook:
            def record(_: nn.Linear, values: torch.Tensor, __: torch.Tensor) -> None:
                inputs[name] = values.clone()  # the net may write over it later on

            return record

        with torch.no_grad():
            output = self._pass(x, {name: recorder(name) for name in self._names})
        return output, inputs

    def raw_importances(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Gate values before the sigmoids, from what `target` gives."""
        return {name: matrix.raw_importance(inputs[name]) for name, matrix in self.layers.items()}

    @torch.no_grad()
    def importances(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Causal importances in [0, 1], samples × components for each layer."""
        raw = self.raw_importances(self.target(x)[1])
        return {name: lower_leaky(value).clamp(min=0) for name, value in raw.items()}

    def masked(
        self, x: torch.Tensor, masks: Mapping[str, Mask], delta: Mask | Mapping[str, Mask] = 0.0
    ) -> torch.Tensor:
        """The net's output with each layer in `masks` run as Σ_c m_c U_c V_cᵀ + δ Δ, plus its bias.

        A mask has the shape samples × components, components, or is one number; `delta` is the mask of
        what the components leave over: a number, samples × 1, or one of these per layer. Layers that are not
        in `masks` run as they are.
        """
        unknown = sorted(set(masks) - set(self._names))
        if unknown:
            raise InputError(
                f"there is no decomposed layer {unknown[0]!r}; expected one of {', '.join(self._names)}"
            )
        layers = self.layers
        deltas = delta if isinstance(delta, Mapping) else dict.fromkeys(masks, delta)
        hooks = {name: _replacement(layers[name], mask, deltas[name]) for name, mask in masks.items()}
        self._check(x, masks)
        if torch.is_grad_enabled() and self._overwrites is None:
            self._try_gradients(x, masks)
        with saving(copies=bool(self._overwrites)):
            return self._pass(x, hooks)

    def check_gradients(self, x: torch.Tensor) -> None:
        """Raise `InputError` where no gradient comes from the output to the components of some layer."""
        reached = self._try_gradients(x, self._names)
        if isinstance(reached, RuntimeError):
            raise InputError(
                f"torch finds no gradient through the net ({reached}); expected one from its output to each "
                "decomposed layer: do without what torch names here, or decompose a part of the net"
            ) from reached
        cut = [name for name in self._names if name not in reached]
        if cut:
            raise InputError(
                f"no gradient comes from the net's output to {', '.join(cut)} (something between is "
                "detached, rounded or without effect on the output), so nothing could be learned there: "
                "leave them out"
            )

    def alive(self, x: torch.Tensor, threshold: float = 0.1) -> dict[str, torch.Tensor]:
        """Which components of each layer have an importance above the threshold on some sample."""
        return {
            name: (value > threshold).flatten(0, -2).any(0) for name, value in self.importances(x).items()
        }

    def keep(self, kept: Mapping[str, torch.Tensor]) -> None:
        """Drop all components but those of a boolean mask or index per layer, in place."""
        for name, chosen in kept.items():
            self.layers[name].keep(chosen)

    def set_even(self, even: bool) -> None:
        """Whether all gates see an input and its negative as one."""
        for matrix in self._matrices:
            matrix.even = even

    def take(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over a `state_dict`, whose matrices may hold other numbers of components."""
        for name, parameter in list(self._matrices.named_parameters(prefix="_matrices")):
            owner, _, leaf = name.rpartition(".")
            if parameter.shape != state[name].shape:
                blank = torch.empty_like(state[name], device=parameter.device)
                setattr(self.get_submodule(owner), leaf, nn.Parameter(blank))
        self.load_state_dict(state)

    def train(self, mode: bool = True) -> "Decomposition":
        """Training mode of the components; the net stays in its own."""
        self.training = mode
        self._matrices.train(mode)
        return self

    def _pass(self, x: torch.Tensor, hooks: Mapping[str, Hook]) -> torch.Tensor:
        return hooked_pass(self.net, x, hooks)

    def _check(self, x: torch.Tensor, names: Iterable[str]) -> None:
        if new := [name for name in names if name not in self._checked]:
            check_layers(self.net, new, lambda hooks: self._pass(x, hooks))
            self._checked |= frozenset(new)

    def _try_gradients(self, x: torch.Tensor, names: Iterable[str]) -> set[str] | RuntimeError:
        """The layers that a gradient reaches from the output, or why there is none; sets `_overwrites`."""
        masks = {
            name: torch.ones_like(self.layers[name].U[:, 0]).mul_(0.5).requires_grad_() for name in names
        }
        weights = [self.layers[name].V for name in names if self.layers[name].V.requires_grad]
        failure = RuntimeError("not tried")
        for self._overwrites in (False, True):
            try:
                with torch.enable_grad():
                    total = wide(self.masked(x, masks, 0.5)).sum()
                found = torch.autograd.grad(total, [*masks.values(), *weights], allow_unused=True)
            except RuntimeError as error:
                failure = error
            else:
                return {name for name, gradient in zip(masks, found, strict=False) if gradient is not None}
        return failure

    def __repr__(self) -> str:
        counts = ", ".join(f"{name}: {len(matrix)}" for name, matrix in self.layers.items())
        return f"Decomposition({type(self.net).__name__}; components {counts})"


def matching(net: nn.Module, patterns: tuple[str, ...]) -> dict[str, int]:
    """Names of the net's linear layers, each with the index of the first pattern (as in a shell) it matches.

    Raises `InputError` where a pattern matches none, and says which layers there are.
    """
    linears = [name for name, module in net.named_modules() if isinstance(module, nn.Linear)]
    found: dict[str, int] = {}
    for index, pattern in enumerate(patterns):
        names = [name for name in linears if fnmatch.fnmatchcase(name, pattern)]
        if not names:
            there = ", ".join(linears) or "none"
            raise InputError(f"the pattern {pattern!r} matches no linear layer; the net's are: {there}")
        for name in names:
            found.setdefault(name, index)
    return {name: found[name] for name in linears if name in found}


def _replacement(matrix: Matrix, mask: Mask, delta: Mask) -> Hook:
    def replace(linear: nn.Linear, values: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        # Σ m_c h_c U_c + δ (W − Σ U_c V_cᵀ) a = Σ (m_c − δ) h_c U_c + δ W a: no product with Δ itself, and
        # the target's exact output where all masks are 1.
        m, rest = (part.to(matrix.V) if torch.is_tensor(part) else part for part in (mask, delta))
        masked = ((m - rest) * (values.to(matrix.V) @ matrix.V.T)) @ matrix.U + rest * output
        return (masked if linear.bias is None else masked + (1 - rest) * linear.bias).to(output.dtype)

    return replace
