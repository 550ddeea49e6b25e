"""Transformers with attention patterns and LayerNorm scales held at a reference: piecewise linear.

A first run on the reference, seen by a torch function mode, keeps what each softmax and each normalisation
computed; in later runs these calls are replaced by linear ones. Whatever served the attention pattern alone
(queries, keys, masks) no longer matters: it is still computed, but hidden from other function modes, so that
the geometry meets nothing but affine calls and ReLUs.
"""

import copy
from typing import Any

import torch
from torch import nn

from splinelab.errors import InputError, UnsupportedOperationError
from splinelab.polytopes.freezing.held import opened
from splinelab.polytopes.freezing.replay import Replay, Watch, hide
from splinelab.polytopes.geometry.affine import mapped
from splinelab.polytopes.geometry.exact import KeepPrecision, exact_copy
from splinelab.polytopes.geometry.points import samples_of
from splinelab.recording.following import tensors

AGREE = 1e-9  # relative difference from the reference that a frozen copy of it may show, in float64


def frozen(model: nn.Module, reference: Any, *, batch_dim: int = 0, **fixed: Any) -> "Frozen":
    """The model with attention patterns and normalisation scales as they are at a reference input.

    Softmax, `scaled_dot_product_attention`, `nn.MultiheadAttention`, LayerNorm and RMSNorm become linear:
    the patterns are the reference's for every input, and a normalised x is
    (x − mean(x)) / sd(reference) · weight + bias. With a ReLU MLP the result is piecewise linear, and
    `segment`, `plane` and `record` take it like any other network. At the reference itself it equals the
    model. Every softmax is frozen, so the model should not end with one.

    Parameters
    ----------
    model : in evaluation mode; copied, so that later training does not show.
    reference : one input of the model, with a batch of one. Inputs of other lengths need another reference.
    batch_dim : the axis of the samples, 1 for `batch_first=False`. The geometry needs samples first.
    fixed : further arguments of the model's forward by name, such as masks, the same in every call.

    Raises
    ------
    InputError : the reference is no single finite sample, the model is in training mode or its weights not
        finite.
    UnsupportedOperationError : the output no longer depends on the input, attention has an option that is not
        covered (`bias_k`, `add_zero_attn`, dropout), or samples are mixed or reordered on the way. In a later
        call: the model makes other calls than for the reference.

    Examples
    --------
    >>> block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    >>> x = torch.randn(1, 5, 8)
    >>> bool(torch.allclose(frozen(block, x)(x), block(x), atol=1e-5))
    True
    """
    return Frozen(model, reference, batch_dim, fixed)


class Frozen(nn.Module):
    """What `frozen` returns: `model` is the copy that runs, under its own names."""

    def __init__(self, model: nn.Module, reference, batch_dim: int, fixed: dict):
        super().__init__()
        exact = opened(exact_copy(model))
        self.model = opened(copy.deepcopy(model).eval())
        self.fixed = fixed
        reference = torch.as_tensor(samples_of(reference, "The reference samples")).detach()
        if not -reference.ndim <= batch_dim < reference.ndim or reference.shape[batch_dim] != 1:
            raise InputError(
                f"The reference has shape {tuple(reference.shape)}; expected one sample, with length 1 along "
                f"axis {batch_dim}: reference[:1]."
            )
        if not torch.isfinite(reference).all():
            raise InputError("The reference holds NaN or infinite values; expected finite numbers.")
        self.shape, self.batch_dim = tuple(reference.shape), batch_dim % reference.ndim
        self._watch(exact, reference)
        self.eval()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """The model's output, with the reference's patterns and scales."""
        if self.training:
            raise InputError("A frozen model is in training mode: its patterns hold in evaluation only.")
        shape = list(inputs.shape)
        if len(shape) == len(self.shape):
            shape[self.batch_dim] = 1
        if tuple(shape) != self.shape:
            raise InputError(
                f"The input has shape {tuple(inputs.shape)}, the reference {self.shape}: expected the same "
                f"but for the samples along axis {self.batch_dim}."
            )
        return self._run(self.model, inputs, _like(inputs, self.fixed))

    def _run(self, model: nn.Module, inputs: torch.Tensor, fixed: dict):
        with Replay(model, self.calls) as replay:
            output = model(inputs, **fixed)
            replay.finish()
        return output

    @torch.no_grad()
    @torch.inference_mode(False)
    def _watch(self, exact: nn.Module, reference: torch.Tensor) -> None:
        home = next((weight.device for weight in exact.parameters()), reference.device)
        x = reference.to(home, torch.float64 if reference.is_floating_point() else None, copy=True)
        fixed = _like(x, self.fixed)
        with KeepPrecision(), Watch(exact) as watch:
            output = exact(x, **fixed)
        self.calls = watch.calls
        if not hide(self.calls, x, output, watch.changed):
            raise UnsupportedOperationError(
                "With attention patterns frozen the output does not depend on the input any more: the model "
                "ends with a softmax. Pass the model without it."
            )
        # Beside another sample, the reference shows whether samples keep to themselves, in order.
        other = x.flatten().roll(1).view(x.shape)
        for place, batch in enumerate(([x, other], [other, x])):
            with KeepPrecision():
                found = self._run(exact, torch.cat(batch, dim=self.batch_dim), fixed)
            pairs = zip(tensors(output), tensors(found), strict=True)
            if not all(self._holds(one, all_, place) for one, all_ in pairs):
                raise UnsupportedOperationError(
                    "Beside another sample the reference does not give its own output: the model mixes "
                    "samples, or joins their axis with another that comes first (heads before samples)."
                )

    def _holds(self, one: torch.Tensor, found: torch.Tensor, place: int) -> bool:
        """Whether the output for two samples holds that of one, along their axis or along the first."""
        for axis in (self.batch_dim, 0):
            if axis < min(one.ndim, found.ndim) and (one.shape[axis], found.shape[axis]) == (1, 2):
                mine = found.narrow(axis, place, 1)
                same = mine.shape == one.shape
                return same and bool((mine - one).abs().max() <= AGREE * one.abs().max())
        return False


def _like(x: torch.Tensor, thing):
    """Floating-point tensors in a nest in the precision and place of `x`."""

    def change(item):
        if not torch.is_tensor(item):
            return item
        return item.to(x) if item.is_floating_point() and x.is_floating_point() else item.to(x.device)

    return mapped(change, thing)
