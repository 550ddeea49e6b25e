"""Toy models whose mechanisms are known: superposition, and residual MLPs that compute in superposition."""

from typing import Any

import torch
from torch import nn

from splinelab._arguments import check_whole
from splinelab.nets.initial import drawn


class Superposition(nn.Module):
    """The toy model of superposition: x → ReLU(Wᵀ W x + b), with fewer hidden units than features.

    `linear1` (features → hidden, no bias) is the encoder W, `linear2` (hidden → features) the decoder,
    and `hidden` holds `identities` frozen identity matrices between them. The decoder starts as the
    encoder's transpose; `tied` runs the model with W alone, for training, and `tie` copies it into the
    decoder, so that a decomposition meets plain `nn.Linear` modules (Elhage et al., 2022; Bushnaq, Braun
    and Sharkey, 2025, section 3.1). The draw depends on `seed` alone.

    >>> net = Superposition(5, 2, identities=1, seed=0)
    >>> [name for name, module in net.named_modules() if isinstance(module, nn.Linear)]
    ['linear1', 'hidden.0', 'linear2']
    >>> net(torch.zeros(3, 5)).shape
    torch.Size([3, 5])
    """

    def __init__(self, features: int, hidden: int, *, identities: int = 0, seed: int) -> None:
        super().__init__()
        for name, size in (("features", features), ("hidden", hidden)):
            check_whole(name, size)
        generator = torch.Generator().manual_seed(seed)
        # Columns of about unit norm, whatever the sizes: weights as small as 1/√features learn slowly.
        scale = (3 * features / hidden) ** 0.5
        self.linear1 = drawn(nn.Linear, features, hidden, generator=generator, scale=scale, bias=False)
        # Without their own first weights: those would draw from the global generator.
        blank = nn.utils.skip_init
        layers = [blank(nn.Linear, hidden, hidden, bias=False) for _ in range(identities)]
        self.hidden = nn.Sequential(*layers)
        self.linear2 = blank(nn.Linear, hidden, features)
        for layer in layers:
            layer.weight.requires_grad_(False).copy_(torch.eye(hidden))
        nn.init.zeros_(self.linear2.bias)
        self.tie()

    def role(self, layer: nn.Module) -> str:
        """Whether a layer "reads" features apart, one a column, "writes" them so, one a row, or serves "all"
        of them at once."""
        return {self.linear1: "reads", self.linear2: "writes"}.get(layer, "all")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.linear2(self.hidden(self.linear1(x))))

    def tied(self, x: torch.Tensor) -> torch.Tensor:
        """The output with the encoder's weights in both places; the identities change nothing."""
        weight = self.linear1.weight
        return torch.relu(nn.functional.linear(x @ weight.T, weight.T, self.linear2.bias))

    @torch.no_grad()
    def tie(self) -> None:
        """Make the decoder the transpose of the encoder."""
        self.linear2.weight.copy_(self.linear1.weight.T)


class ResidualMLP(nn.Module):
    """A residual stream with MLP blocks, without biases: r = x W_E; r += W_out ReLU(W_in r); y = r W_Eᵀ.

    `embedding` (features × width) holds fixed random rows of unit norm; each of `blocks` has `mlp_in`
    (width → neurons) and `mlp_out` (neurons → width). The draw depends on `seed` alone (Braun et al.,
    2025; Bushnaq, Braun and Sharkey, 2025, section 3.3).

    >>> net = ResidualMLP(100, 1000, 25, 2, seed=0)
    >>> [name for name, module in net.named_modules() if isinstance(module, nn.Linear)]
    ['blocks.0.mlp_in', 'blocks.0.mlp_out', 'blocks.1.mlp_in', 'blocks.1.mlp_out']
    """

    embedding: torch.Tensor
    blocks: Any  # an nn.ModuleList, whose items mypy does not know

    def __init__(self, features: int, width: int, neurons: int, blocks: int, *, seed: int) -> None:
        super().__init__()
        sizes = {"features": features, "width": width, "neurons": neurons, "blocks": blocks}
        for name, size in sizes.items():
            check_whole(name, size)
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randn(features, width, generator=generator, dtype=torch.float64)
        self.register_buffer("embedding", (rows / rows.norm(dim=1, keepdim=True)).float())
        self.blocks = nn.ModuleList(_Block(width, neurons, generator) for _ in range(blocks))

    def role(self, layer: nn.Module) -> str:
        """Whether a layer "reads" features apart, as input matrices do, or serves "all" of them at once."""
        return "reads" if any(layer is block.mlp_in for block in self.blocks) else "all"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        stream = x @ self.embedding
        for block in self.blocks:
            stream = stream + block(stream)
        return stream @ self.embedding.T

    def in_features(self, x: torch.Tensor) -> torch.Tensor:
        """The same output without the residual stream: weights are multiplied before they meet samples.

        The stream is a sum of x W_E and the blocks' outputs, so each block reads a sum of small products
        (features × neurons, neurons × neurons). Costs a tenth for wide streams, and differs by rounding only.
        """
        written: list[tuple[torch.Tensor, torch.Tensor]] = [(x, self.embedding)]
        for block in self.blocks:
            read: Any = sum(values @ (vectors @ block.mlp_in.weight.T) for values, vectors in written)
            written.append((torch.relu(read), block.mlp_out.weight.T))
        output: Any = sum(values @ (vectors @ self.embedding.T) for values, vectors in written)
        return output


class _Block(nn.Module):
    def __init__(self, width: int, neurons: int, generator: torch.Generator) -> None:
        super().__init__()
        self.mlp_in = drawn(nn.Linear, width, neurons, generator=generator, bias=False)
        self.mlp_out = drawn(nn.Linear, neurons, width, generator=generator, bias=False)

    def forward(self, stream: torch.Tensor) -> torch.Tensor:
        return self.mlp_out(torch.relu(self.mlp_in(stream)))
