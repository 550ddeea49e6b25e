"""Residual MLPs: the same function in a smaller basis, and what blocks and neurons do for a feature."""

from typing import NamedTuple

import pandas as pd
import torch

from splinelab.nets import ResidualMLP
from splinelab.spd.components import Decomposition
from splinelab.spd.inputs import one_hot
from splinelab.spd.net import wide


class Reduction(NamedTuple):
    """A residual MLP in a smaller basis.

    Attributes
    ----------
    net : the same function of x in the small basis.
    basis : old width × new width, orthonormal columns; a direction v of the small stream is `basis @ v` in
        the old one.
    """

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


@torch.no_grad()
def block_contributions(net: ResidualMLP, value: float = 0.75) -> pd.DataFrame:
    """What each block adds to a feature's own output while that feature alone is on, divided by `value`.

    Columns `block` (from 1), `feature`, `contribution`. A model that computes x + ReLU(x) exactly has
    contributions that sum to 1 over its blocks for a positive value, and to 0 for a negative one.
    """
    stream = one_hot(len(net.embedding), value).to(net.embedding) @ net.embedding
    parts = []
    for number, block in enumerate(net.blocks, 1):
        written = block(stream)
        own = (written * net.embedding).sum(1) / value
        parts.append(
            pd.DataFrame(
                {"block": number, "feature": range(len(own)), "contribution": wide(own).cpu().numpy()}
            )
        )
        stream = stream + written
    return pd.concat(parts, ignore_index=True)


@torch.no_grad()
def neuron_contributions(decomposition: Decomposition) -> pd.DataFrame:
    """How much each neuron passes on from a feature to its own output: in the model, and in one component.

    Columns `block` (from 1), `feature`, `neuron`, `target`: (W_in E_f)_n (W_outᵀ E_f)_n, the virtual weight
    from input to output through the neuron, and `component`: the same with W_in replaced by U_c V_cᵀ of the
    component that is most important where the feature alone is on (Bushnaq, Braun and Sharkey, 2025,
    section 3.3). E_f is the feature's row of W_E.
    """
    net = decomposition.net
    features = len(net.embedding)
    importances = decomposition.importances(one_hot(features))
    names = {module: name for name, module in net.named_modules()}
    parts = []
    for number, block in enumerate(net.blocks, 1):
        name = names[block.mlp_in]
        matrix, best = decomposition.layers[name], importances[name].argmax(1)
        out = net.embedding @ block.mlp_out.weight  # features × neurons
        target = net.embedding @ block.mlp_in.weight.T * out
        inner = (net.embedding * matrix.V[best]).sum(1, keepdim=True)
        component = inner * matrix.U[best] * out
        neurons = out.shape[1]
        parts.append(
            pd.DataFrame(
                {
                    "block": number,
                    "feature": [f for f in range(features) for _ in range(neurons)],
                    "neuron": list(range(neurons)) * features,
                    "target": wide(target).flatten().cpu().numpy(),
                    "component": wide(component).flatten().cpu().numpy(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
