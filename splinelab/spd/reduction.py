"""A residual MLP in a smaller basis: the same function, a tenth of the width."""

from typing import NamedTuple

import torch

from splinelab.nets import ResidualMLP

__all__ = ["Reduction", "reduced"]


class Reduction(NamedTuple):
    """net: the same function of x in the small basis. basis: old width × new width, orthonormal columns;
    a direction v of the small stream is `basis @ v` in the old one."""

    net: ResidualMLP
    basis: torch.Tensor


@torch.no_grad()
def reduced(net: ResidualMLP) -> Reduction:
    """The net with its residual stream written in an orthonormal basis of all that it can hold.

    The stream is a sum of rows of W_E and of columns of every W_out, and blocks and unembedding read inner
    products with it only. The last block's W_out is read by W_Eᵀ alone, so its columns count through their
    projection on the rows of W_E. The QR factors of [W_E; W_out of all blocks but the last] therefore give a
    stream of at most features + (blocks − 1) × neurons dimensions with the same outputs, in exact arithmetic.
    W_E becomes the factor R and is lower triangular. Computed in float64 and rounded to the net's dtype.

    >>> small = reduced(ResidualMLP(100, 1000, 25, 2, seed=0))
    >>> small.net.embedding.shape
    torch.Size([100, 125])
    """
    spanning = [net.embedding, *(block.mlp_out.weight.T for block in net.blocks[:-1])]
    basis = torch.linalg.qr(torch.cat(spanning).double().T).Q  # width × at most as many columns
    features, neurons = len(net.embedding), net.blocks[0].mlp_in.out_features
    small = ResidualMLP(features, basis.shape[1], neurons, len(net.blocks), seed=0)
    small = small.to(net.embedding.dtype).train(net.training)
    small.embedding.copy_((net.embedding.double() @ basis).tril())  # above it there is rounding only
    for block, old in zip(small.blocks, net.blocks, strict=True):
        block.mlp_in.weight.copy_(old.mlp_in.weight.double() @ basis)
        block.mlp_out.weight.copy_(basis.T @ old.mlp_out.weight.double())
    return Reduction(small, basis.to(net.embedding.dtype))
