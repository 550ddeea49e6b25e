"""Number types: components and losses are at least float32, whatever the net is."""

import torch
from torch import nn

__all__ = ["shared_dtype", "wide", "wide_dtype"]


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    """float64 for float64, float32 for all narrower ones.

    bfloat16 keeps 8 bits: a step of AdamW is mostly lost in it, and SVD and QR have no kernels.
    """
    return torch.promote_types(dtype, torch.float32)


def wide(values: torch.Tensor) -> torch.Tensor:
    """The values in at least float32; the tensor itself where it is that already."""
    return values.to(wide_dtype(values.dtype))


def shared_dtype(net: nn.Module) -> torch.dtype | None:
    """The type of all the net's floating-point parameters, None where they differ or there are none."""
    dtypes = {weight.dtype for weight in net.parameters() if weight.is_floating_point()}
    return dtypes.pop() if len(dtypes) == 1 else None
