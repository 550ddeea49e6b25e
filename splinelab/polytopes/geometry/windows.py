"""The windows of a max-pooling as an axis of their own."""

import math
from itertools import product

import torch
from torch.nn import functional as F

from splinelab.recording.rules import pool_arguments


def pool_windows(n: int, x: torch.Tensor, args, kwargs) -> torch.Tensor:
    """The members of every window of a max-pooling over `n` axes, rows × windows × members.

    Where a window reaches over the edge, a member of its own takes the missing one's place: a tie.
    """
    size, stride, padding, dilation, ceil_mode = pool_arguments(n, args, kwargs)
    pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[n - 1]
    shape = pool(x[:1], size, stride, padding, dilation, ceil_mode).shape[-n:]
    if not any(padding) and not ceil_mode:  # no window reaches over the edge: each member is its own grid
        places = product(*(range(0, k * d, d) for k, d in zip(size, dilation, strict=True)))
        grids: list[tuple] = [
            tuple(slice(at, at + s * m, s) for at, s, m in zip(place, stride, shape, strict=True))
            for place in places
        ]
        return torch.stack([x[..., *grid] for grid in grids], dim=-1).reshape(len(x), -1, len(grids))
    index = torch.zeros((), dtype=torch.long)
    inside = torch.ones((), dtype=torch.bool)
    for axis in range(n):
        length = x.shape[x.ndim - n + axis]
        starts = torch.arange(shape[axis]) * stride[axis] - padding[axis]
        at = starts[:, None] + torch.arange(size[axis]) * dilation[axis]
        layout = [1] * (2 * n)
        layout[axis], layout[n + axis] = at.shape
        index = index * length + at.view(layout)
        inside = inside & ((at >= 0) & (at < length)).view(layout)
    members = math.prod(size)
    index, inside = (thing.reshape(-1, members) for thing in torch.broadcast_tensors(index, inside))
    own = index.gather(1, inside.int().argmax(dim=1, keepdim=True))
    index = torch.where(inside, index, own)
    planes = x.reshape(len(x), -1, math.prod(x.shape[x.ndim - n :]))
    return planes[:, :, index.to(x.device)].reshape(len(x), -1, members)
