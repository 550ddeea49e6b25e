"""The calls that `frozen` holds at a reference: attention patterns and the scales of normalisations."""

import inspect
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import handle_torch_function, has_torch_function

from splinelab.errors import UnsupportedOperationError
from splinelab.recording.rules import argument

# For each call: `measure` gives what is kept of the reference and which tensors still pass; `replay` makes
# the call with what was kept, linear in what passes.


class _Softmax:
    def measure(self, func, args, kwargs):
        return func(*args, **kwargs), []

    def replay(self, pattern, func, args, kwargs):
        scores = argument(args, kwargs, 0, "input")
        dtype = kwargs.get("dtype") if scores.dtype != torch.float64 else None  # the geometry keeps its own
        return _fit(pattern, scores.shape).to(scores.device, dtype or scores.dtype).expand(scores.shape)


class _DotProduct:
    def measure(self, func, args, kwargs):
        given = _bound(args, kwargs, "query key value attn_mask dropout_p is_causal scale enable_gqa")
        if given.get("dropout_p", 0.0):
            _not_covered("dropout in scaled_dot_product_attention")
        key, value = given["key"], given["value"]
        ones = torch.eye(key.shape[-2], dtype=value.dtype, device=value.device)
        pattern = func(**{**given, "value": ones.expand(*key.shape[:-1], -1)})
        return pattern, [value]

    def replay(self, pattern, func, args, kwargs):
        value = argument(args, kwargs, 2, "value")
        heads = value.shape[-3] if value.ndim > 3 else 1
        if value.ndim > 3 and heads != pattern.shape[-3]:  # several query heads share one of value
            pattern = pattern.unflatten(-3, (heads, -1)).to(value)
            return torch.matmul(pattern, value.unsqueeze(-3)).flatten(-4, -3)
        return torch.matmul(_fit(pattern, (*value.shape[:-2], *pattern.shape[-2:])).to(value), value)


class _Normalisation:
    """LayerNorm and RMSNorm: `centred` says which."""

    def __init__(self, centred: bool):
        self.centred = centred

    def measure(self, func, args, kwargs):
        x, axes = self._input(args, kwargs)
        eps = argument(args, kwargs, 4, "eps", 1e-5) if self.centred else argument(args, kwargs, 3, "eps")
        if eps is None:
            eps = torch.finfo(x.dtype).eps
        square = x.var(axes, unbiased=False, keepdim=True) if self.centred else x.square().mean(axes, True)
        return (square + eps).rsqrt(), [x]

    def replay(self, scale, func, args, kwargs):
        x, axes = self._input(args, kwargs)
        weight = argument(args, kwargs, 2, "weight")
        bias = argument(args, kwargs, 3, "bias") if self.centred else None
        if self.centred:
            x = x - x.mean(axes, keepdim=True)
        x = x * _fit(scale, x.shape).to(x)
        x = x if weight is None else x * weight
        return x if bias is None else x + bias

    def _input(self, args, kwargs):
        shape = argument(args, kwargs, 1, "normalized_shape")
        count = len(shape) if isinstance(shape, tuple | list | torch.Size) else 1
        return argument(args, kwargs, 0, "input"), tuple(range(-count, 0))


class _MultiHead:
    """`F.multi_head_attention_forward` (positions × samples × features) and `nn.MultiheadAttention`."""

    def measure(self, func, args, kwargs):
        given = self._given(func, args, kwargs)
        if given["bias_k"] is not None or given["add_zero_attn"] or given["static_v"] is not None:
            _not_covered("bias_k, add_zero_attn or static_v in nn.MultiheadAttention")
        if given["training"] and given["dropout_p"]:
            _not_covered("dropout in nn.MultiheadAttention")
        if given["value"].ndim != 3:
            _not_covered("an input without the axis of the samples in nn.MultiheadAttention")
        weights = {"need_weights": True, "average_attn_weights": False}
        if func is _attention:
            module, query, key, value, options = args
            return nn.MultiheadAttention.forward(module, query, key, value, **{**options, **weights})[1], [
                value
            ]
        return F.multi_head_attention_forward(**{**given, **weights})[1], [given["value"]]

    def replay(self, pattern, func, args, kwargs):
        given = self._given(func, args, kwargs)
        if given["use_separate_proj_weight"]:
            weight = given["v_proj_weight"]
        else:
            weight = given["in_proj_weight"].chunk(3)[2]
        bias = given["in_proj_bias"]
        value = F.linear(given["value"], weight, None if bias is None else bias.chunk(3)[2])
        samples_first = func is _attention and args[0].batch_first
        value = value.unflatten(-1, (given["num_heads"], -1))
        value = value.permute(*((0, 2, 1, 3) if samples_first else (1, 2, 0, 3)))
        pattern = pattern.to(value)
        mixed = torch.matmul(pattern, value).permute(*((0, 2, 1, 3) if samples_first else (2, 0, 1, 3)))
        output = F.linear(mixed.flatten(2), given["out_proj_weight"], given["out_proj_bias"])
        if not given["need_weights"]:
            return output, None
        shown = pattern.mean(dim=1) if given["average_attn_weights"] else pattern
        return output, shown.expand(len(value), *shown.shape[1:])

    def _given(self, func, args, kwargs) -> dict:
        if func is not _attention:
            bound = inspect.signature(F.multi_head_attention_forward).bind(*args, **kwargs)
            bound.apply_defaults()
            return bound.arguments
        module, _, _, value, options = args
        return {
            "value": value, "num_heads": module.num_heads, "bias_k": module.bias_k, "static_v": None,
            "add_zero_attn": module.add_zero_attn, "dropout_p": module.dropout, "training": module.training,
            "use_separate_proj_weight": not module._qkv_same_embed_dim,
            "in_proj_weight": module.in_proj_weight, "in_proj_bias": module.in_proj_bias,
            "v_proj_weight": getattr(module, "v_proj_weight", None),
            "out_proj_weight": module.out_proj.weight, "out_proj_bias": module.out_proj.bias,
            "need_weights": options.get("need_weights", True),
            "average_attn_weights": options.get("average_attn_weights", True),
        }  # fmt: skip


class _Attention(nn.MultiheadAttention):
    """Makes of one module one call, with samples first where the module has them so: torch's own forward
    transposes them away before it calls a function that could be seen."""

    def forward(self, query, key, value, key_padding_mask=None, need_weights=True, attn_mask=None,
                average_attn_weights=True, is_causal=False):  # fmt: skip
        options = {"key_padding_mask": key_padding_mask, "need_weights": need_weights, "attn_mask": attn_mask,
                   "average_attn_weights": average_attn_weights, "is_causal": is_causal}  # fmt: skip
        return _attention(self, query, key, value, options)


def _attention(module, query, key, value, options):
    if has_torch_function((query, key, value)):
        return handle_torch_function(_attention, (query, key, value), module, query, key, value, options)
    return nn.MultiheadAttention.forward(module, query, key, value, **options)


FREEZE: dict[str, Any] = {
    "softmax": _Softmax(),
    "special_softmax": _Softmax(),
    "scaled_dot_product_attention": _DotProduct(),
    "layer_norm": _Normalisation(centred=True),
    "rms_norm": _Normalisation(centred=False),
    "multi_head_attention_forward": _MultiHead(),
    "attention": _MultiHead(),
}


def opened(model: nn.Module) -> nn.Module:
    """The model with attention modules that make one call each, and without torch's fused kernels."""
    for module in model.modules():
        if type(module) is nn.MultiheadAttention:
            module.__class__ = _Attention
        if isinstance(module, nn.TransformerEncoderLayer):
            module.activation_relu_or_gelu = 0  # what its fused kernel asks for
    return model


def _bound(args, kwargs, names: str) -> dict:
    return {**dict(zip(names.split(), args, strict=False)), **kwargs}


def _fit(kept: torch.Tensor, shape) -> torch.Tensor:
    """What was kept of one sample, so that it broadcasts to a batch; samples lead a joined first axis."""
    if kept.ndim == len(shape):
        if all(mine in (1, theirs) for mine, theirs in zip(kept.shape, shape, strict=True)):
            return kept
        if kept.shape[1:] == tuple(shape)[1:] and shape[0] % len(kept) == 0:
            return kept.repeat(shape[0] // len(kept), *[1] * (kept.ndim - 1))
    raise UnsupportedOperationError(
        f"A frozen call kept the shape {tuple(kept.shape)} of the reference and meets {tuple(shape)}: the "
        "model arranges samples in a way that is not covered."
    )


def _not_covered(what: str) -> None:
    raise UnsupportedOperationError(
        f"Freezing does not cover {what}. Freeze a model without it, or use layer= to begin behind it."
    )
