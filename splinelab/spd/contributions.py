"""What blocks and neurons of a residual MLP contribute to a feature: in the model, and in components."""

import pandas as pd
import torch

from splinelab.nets import ResidualMLP
from splinelab.spd.components import Decomposition
from splinelab.spd.inputs import one_hot
from splinelab.spd.precision import wide

__all__ = ["block_contributions", "neuron_contributions"]


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
    names = {decomposition.linear(name): name for name in decomposition.layers}
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
