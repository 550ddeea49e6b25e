"""Causal importance: from a layer's input to a number in [0, 1] for each component.

Two hard sigmoids and two kinds of gate (Bushnaq, Braun and Sharkey, 2025, section 2.3 and appendix A).
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

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

    @torch.no_grad()
    def keep(self, kept: torch.Tensor) -> None:
        """Drop all components but those of a boolean mask or index."""
        for name in ("into", "into_bias", "out", "out_bias"):
            setattr(self, name, nn.Parameter(getattr(self, name)[kept].clone()))


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

    @torch.no_grad()
    def keep(self, kept: torch.Tensor) -> None:
        """Drop all components but those of a boolean mask or index."""
        for name in ("out", "out_bias"):
            setattr(self, name, nn.Parameter(getattr(self, name)[kept].clone()))
