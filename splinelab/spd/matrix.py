"""The components of one matrix, and their causal importance: a number in [0, 1] for each, from an input.

Two hard sigmoids and two kinds of gate (Bushnaq, Braun and Sharkey, 2025, section 2.3 and appendix A).
"""

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from splinelab.spd.net import wide_dtype

LEAK = 0.01
_RIDGE = 1e-6  # relative to the mean square of a hidden unit


def lower_leaky(x: torch.Tensor) -> torch.Tensor:
    """.01 x below 0, x between, 1 above 1: for masks, so that dead components still feel reconstruction.

    >>> lower_leaky(torch.tensor([-2.0, 0.5, 3.0]))
    tensor([-0.0200,  0.5000,  1.0000])
    """
    # Of the ways to write it the one whose backward pass is two kernels: this runs on every mask.
    return F.hardtanh(F.leaky_relu(x, LEAK), -math.inf, 1.0)


def upper_leaky(x: torch.Tensor) -> torch.Tensor:
    """0 below 0, x between, 1 + .01 (x − 1) above 1: for the penalty, so that it still pulls from above.

    >>> upper_leaky(torch.tensor([-2.0, 0.5, 3.0]))
    tensor([0.0000, 0.5000, 1.0200])
    """
    return torch.relu(x) - (1 - LEAK) * torch.relu(x - 1)


class ScalarGate(nn.Module):
    """The paper's gate: for each component an MLP of its own, h → one hidden layer of GELU units → number.

    Reads inner activations (… × components) and returns raw importances of that shape.
    """

    reads = "inner activations"

    def __init__(self, components: int, units: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.into = nn.Parameter(torch.randn(components, units, generator=generator))
        self.into_bias = nn.Parameter(torch.zeros(components, units))
        self.out = nn.Parameter(torch.randn(components, units, generator=generator) / math.sqrt(units))
        self.out_bias = nn.Parameter(torch.zeros(components))

    def forward(self, inner: torch.Tensor) -> torch.Tensor:
        hidden = F.gelu(inner.unsqueeze(-1) * self.into + self.into_bias)
        return (hidden * self.out).sum(-1) + self.out_bias

    def keep(self, kept: torch.Tensor) -> None:
        """Drop all components but those of a boolean mask or index."""
        _keep(self, ("into", "into_bias", "out", "out_bias"), kept)


class VectorGate(nn.Module):
    """One MLP for all components of a matrix: the layer's whole input vector → GELU units → components.

    Biases start at 0, so that importances start near 0.
    """

    reads = "inputs"

    def __init__(self, inputs: int, components: int, units: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.into = nn.Parameter(torch.randn(units, inputs, generator=generator) * math.sqrt(2 / inputs))
        self.into_bias = nn.Parameter(torch.zeros(units))
        self.out = nn.Parameter(torch.randn(components, units, generator=generator) / math.sqrt(units))
        self.out_bias = nn.Parameter(torch.zeros(components))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return F.linear(self._hidden(inputs), self.out, self.out_bias)

    def _hidden(self, inputs: torch.Tensor) -> torch.Tensor:
        return F.gelu(F.linear(inputs, self.into, self.into_bias))

    @torch.no_grad()
    def add(self, inputs: torch.Tensor, wanted: torch.Tensor, *, instead_of: torch.Tensor) -> None:
        """New components, as near to `wanted` (samples × new) on `inputs` as the hidden units allow.

        Found by least squares with a slight ridge. The old components lose `instead_of` (new × old) times
        the new ones' values.
        """
        units = self._hidden(inputs).double()
        units = torch.cat([units, torch.ones_like(units[:, :1])], 1)
        gram = units.T @ units
        gram.diagonal().add_(_RIDGE * gram.diagonal().mean())
        weights = torch.linalg.solve(gram, units.T @ wanted.double()).T.to(self.out)
        old = torch.cat([self.out, self.out_bias[:, None]], 1) - instead_of.T @ weights
        both = torch.cat([old, weights])
        self.out, self.out_bias = nn.Parameter(both[:, :-1].clone()), nn.Parameter(both[:, -1].clone())

    def keep(self, kept: torch.Tensor) -> None:
        """Drop all components but those of a boolean mask or index."""
        _keep(self, ("out", "out_bias"), kept)


class Matrix(nn.Module):
    """The components of one linear layer: W ≈ Σ_c U_c V_cᵀ, and a gate.

    The rows of V start as random unit vectors and U_c = W V_c · inputs / components, so that the sum is W on
    average over the draw. Float64 for a float64 weight, else float32.

    Attributes
    ----------
    U : components × outputs.
    V : components × inputs.
    group : which of the recipe's `matrices` it belongs to.
    penalty, local : their coefficients.
    even : whether the gate sees an input and its negative as one.
    """

    def __init__(
        self, weight: torch.Tensor, components: int, gate: str, units: int, *, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.group, self.penalty, self.local, self.even = 0, 0.0, 0.0, False
        inputs, weight = weight.shape[1], weight.detach().to(wide_dtype(weight.dtype))
        directions = torch.randn(components, inputs, generator=generator)
        directions = (directions / directions.norm(dim=1, keepdim=True)).to(weight.dtype)
        self.V = nn.Parameter(directions)
        self.U = nn.Parameter(directions @ weight.T * (inputs / components))
        if gate == "scalar":
            self.gate: Any = ScalarGate(components, units, generator=generator)
        else:
            self.gate = VectorGate(inputs, components, units, generator=generator)

    def __len__(self) -> int:
        return len(self.U)

    @property
    def total(self) -> torch.Tensor:
        """Σ_c U_c V_cᵀ, outputs × inputs."""
        return self.U.T @ self.V

    def raw_importance(self, inputs: torch.Tensor) -> torch.Tensor:
        """The gate's value before any sigmoid, … × components, from the layer's inputs in the target."""
        inputs = inputs.to(self.V)
        read = inputs if self.gate.reads == "inputs" else inputs @ self.V.T
        return torch.maximum(self.gate(read), self.gate(-read)) if self.even else self.gate(read)

    @torch.no_grad()
    def start_at(self, inputs: torch.Tensor, weight: torch.Tensor) -> None:
        """Let V be directions that the layer's inputs (samples × inputs) really take, far apart.

        The first is the first sample's; each further one is that of the sample whose largest cosine with
        those taken is the smallest (farthest-first traversal, Gonzalez, 1985). Rows that are zero are passed
        over; where there are too few, the rest of V stays random. U_c = s W V_c, one s for all, so that the
        sum is as near to W as it can be.
        """
        inputs, weight = inputs.to(self.V), weight.to(self.V)
        lengths = inputs.norm(dim=1)
        found = (inputs / lengths[:, None])[lengths > 0]
        nearest = torch.full_like(found[:, 0], -torch.inf)
        for place in range(min(len(self), len(found))):
            self.V[place] = found[nearest.argmin()]
            nearest = torch.maximum(nearest, found @ self.V[place])
        self.U.copy_(self.V @ weight.T)
        self.U.mul_((weight * self.total).sum() / self.total.square().sum())

    def keep(self, kept: torch.Tensor) -> None:
        """Drop all components but those of a boolean mask or index."""
        _keep(self, ("U", "V"), kept)
        self.gate.keep(kept)


def _keep(owner: nn.Module, names: tuple[str, ...], kept: torch.Tensor) -> None:
    for name in names:
        setattr(owner, name, nn.Parameter(getattr(owner, name).detach()[kept].clone()))
