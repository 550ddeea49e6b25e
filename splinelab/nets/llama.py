"""A Llama-shaped language model in plain torch, with the parameter names of `transformers`."""

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from splinelab.errors import InputError

#: What a step of generation keeps of the tokens before it: keys and values of one layer.
Cache = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class LlamaShape:
    """How large a Llama is.

    Attributes
    ----------
    vocabulary : tokens that it knows.
    width : of the residual stream.
    layers : blocks of attention and MLP.
    heads, key_heads : of queries, and of keys and values, which several query heads share.
    hidden : units of each gated MLP.
    theta : base of the rotary frequencies.
    eps : what the norms add to the mean square.
    """

    vocabulary: int
    width: int
    layers: int
    heads: int
    key_heads: int
    hidden: int
    theta: float = 10_000.0
    eps: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("vocabulary", "width", "layers", "heads", "key_heads", "hidden"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(f"{name} is {value!r}; expected a positive whole number")
        if self.width % (2 * self.heads) or self.heads % self.key_heads:
            raise InputError(
                f"width {self.width}, heads {self.heads}, key_heads {self.key_heads}: expected an even "
                "number of units per head, and as many query heads for each key head"
            )


class Llama(nn.Module):
    """Causal language model: RMS norms, rotary attention, SwiGLU, tied embeddings, no biases.

    Takes tokens, int64 sequences × length, and gives logits, sequences × length × vocabulary. Its state dict
    has the names of `transformers.LlamaForCausalLM`, so that published weights load as they are (Touvron et
    al. 2023; Su et al. 2021 for the rotary embedding).

    Parameters
    ----------
    shape : its sizes.
    seed : decides the initial weights: normal, standard deviation 0.02, those that write to the residual
        stream divided by √(2 layers), as in GPT-2.
    """

    def __init__(self, shape: LlamaShape, seed: int = 0) -> None:
        super().__init__()
        self.shape = shape
        self.model = _Body(shape)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if weight.ndim == 2:
                    writes = name.endswith(("o_proj.weight", "down_proj.weight"))
                    weight.normal_(
                        std=0.02 / math.sqrt(2 * shape.layers) if writes else 0.02, generator=generator
                    )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return F.linear(self.model(tokens), self.model.embed_tokens.weight)

    def step(self, tokens: torch.Tensor, caches: list[Cache], length: int) -> torch.Tensor:
        """Logits after one more token: sequences → sequences × vocabulary, for generation.

        `caches`, as `new_caches` makes them, hold `length` tokens before and get this one.
        """
        turn = self.model.turn(length, 1, tokens.device)
        x = self.model.embed_tokens(tokens)[:, None]
        for layer, cache in zip(self.model.layers, caches, strict=True):
            x = layer(x, turn, cache, length)
        return F.linear(self.model.norm(x)[:, 0], self.model.embed_tokens.weight)

    def new_caches(self, sequences: int, length: int) -> list[Cache]:
        """Empty caches for `step`, of at most `length` tokens."""
        weight = self.model.embed_tokens.weight
        size = (sequences, self.shape.key_heads, length, self.shape.width // self.shape.heads)
        return [(weight.new_zeros(size), weight.new_zeros(size)) for _ in self.model.layers]


class RMSNorm(nn.Module):
    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class _Body(nn.Module):
    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(_Block(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.width, shape.eps)
        self.pairs, self.theta = shape.width // shape.heads // 2, shape.theta

    def turn(self, first: int, count: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosine and sine of each position's rotation: positions × units of a head."""
        frequencies = torch.pow(self.theta, -torch.arange(self.pairs, device=device) / self.pairs)
        angles = torch.outer(torch.arange(first, first + count, device=device).float(), frequencies).repeat(
            1, 2
        )
        dtype = self.embed_tokens.weight.dtype
        return angles.cos().to(dtype), angles.sin().to(dtype)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed_tokens(tokens)
        turn = self.turn(0, tokens.shape[1], tokens.device)
        for layer in self.layers:
            x = layer(x, turn)
        return self.norm(x)


class _Block(nn.Module):
    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape.width, shape.eps)
        self.self_attn = _Attention(shape)
        self.post_attention_layernorm = RMSNorm(shape.width, shape.eps)
        self.mlp = _MLP(shape)

    def forward(
        self, x: torch.Tensor, turn: tuple, cache: Cache | None = None, length: int = 0
    ) -> torch.Tensor:
        x = x + self.self_attn(self.input_layernorm(x), turn, cache, length)
        return x + self.mlp(self.post_attention_layernorm(x))


class _Attention(nn.Module):
    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.size = shape.width // shape.heads
        self.shared = shape.heads // shape.key_heads
        narrow = self.size * shape.key_heads
        self.q_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.k_proj = nn.Linear(shape.width, narrow, bias=False)
        self.v_proj = nn.Linear(shape.width, narrow, bias=False)
        self.o_proj = nn.Linear(shape.width, shape.width, bias=False)

    def forward(
        self, x: torch.Tensor, turn: tuple, cache: Cache | None = None, length: int = 0
    ) -> torch.Tensor:
        sequences, count, _ = x.shape
        q, k, v = (
            project(x).view(sequences, count, -1, self.size).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = _turned(q, *turn), _turned(k, *turn)
        if cache is not None:
            keys, values = cache
            keys[:, :, length : length + count], values[:, :, length : length + count] = k, v
            # One query position: those that share a key head stand in its place, and no key is copied.
            q = q.reshape(sequences, -1, self.shared, self.size)
            k, v = keys[:, :, : length + count], values[:, :, : length + count]
        else:
            k, v = k.repeat_interleave(self.shared, 1), v.repeat_interleave(self.shared, 1)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=cache is None)
        seen = seen.reshape(sequences, -1, count, self.size)
        return self.o_proj(seen.transpose(1, 2).reshape(sequences, count, -1))


class _MLP(nn.Module):
    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down_proj = nn.Linear(shape.hidden, shape.width, bias=False)
        self.act_fn = nn.SiLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))


def _turned(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Rotate pairs of units, which lie half a head apart, by their position's angles."""
    one, two = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-two, one), dim=-1) * sine
