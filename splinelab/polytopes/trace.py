"""The one-pass traversal: the rows of a batch are the vertices of a mesh, and the network refines it.

Every call of the forward pass is seen before it happens. An affine call is made as it is; before a
piecewise-linear one the mesh is cut where the call bends, and its arguments get rows for the new vertices.
Rolnick and Kording (2020) follow boundaries one by one; here all of them come out of one forward pass.
"""

import copy
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from splinelab._arguments import check_device
from splinelab.errors import InputError, UnsupportedOperationError, VerificationError
from splinelab.polytopes import operations
from splinelab.polytopes.mesh import Mesh
from splinelab.polytopes.tolerances import EXACT
from splinelab.recording.names import NamedCalls
from splinelab.recording.operations import POOLS, op_name
from splinelab.recording.place import place
from splinelab.recording.rules import RULES, argument

__all__ = ["KeepPrecision", "evaluate", "exact_copy", "home", "run", "verify"]

PART = 32  # rows of a convolution at once
BATCH = 512  # points at once where the network is only evaluated
RANDOM = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase, nn.RReLU)


def exact_copy(model: nn.Module, device: str | torch.device | None = None) -> nn.Module:
    """A float64 copy in evaluation mode, which the geometry runs on; the model itself stays as it is.

    Raises `InputError` for a model in training mode whose dropout or batch norm would make it another
    function than the one in use, and for weights that are not finite.
    """
    device = None if device is None else check_device(device)
    place(model, None)  # refuses what is no module, and scripted or compiled ones
    for path, module in model.named_modules():
        if module.training and isinstance(module, RANDOM):
            raise InputError(
                f"The model is in training mode: its {type(module).__name__} {path!r} would change from call "
                "to call. Call model.eval() first."
            )
    for name, tensor in model.state_dict().items():
        if torch.is_tensor(tensor) and not torch.isfinite(tensor).all():
            raise InputError(f"The weights {name!r} hold NaN or infinite values; expected finite numbers.")
    return copy.deepcopy(model).double().eval().requires_grad_(False).to(device or home(model))


def run(model: nn.Module, mesh: Mesh, rows: torch.Tensor, *, values: dict | None = None) -> torch.Tensor:
    """Refine `mesh` by `model`, an `exact_copy`; the output at every vertex, vertices × ….

    `rows`: the model's input at the vertices that the mesh has so far. With `values`, a dictionary, the
    pre-activations of every layer at every vertex are kept in it, by name, vertices × units.
    """
    trace = Trace(model, mesh, keep=values is not None)
    start = trace.mark(rows.clone())
    with torch.no_grad(), trace:
        output = model(start)
    if isinstance(output, tuple | list) and output:
        output = output[0]
    if not torch.is_tensor(output) or not trace.tracked(output):
        raise InputError(
            f"The model must return a tensor that depends on its input; got {type(output).__name__}."
        )
    if values is not None:
        values.update({name: mesh.extend(value) for name, value in trace.values.items()})
    mesh.widest = trace.widest
    return mesh.extend(output)


def evaluate(model: nn.Module, points: torch.Tensor) -> torch.Tensor:
    """The output of an `exact_copy` at some points, computed plainly: samples × outputs, float64."""
    with torch.no_grad(), KeepPrecision():
        output = model(points.clone())
    return (output[0] if isinstance(output, tuple | list) else output).flatten(1)


def verify(
    model: nn.Module, count: int, points: Callable, ours: Callable, largest: float, *, where: str
) -> None:
    """Compare an `exact_copy` with outputs found otherwise, `largest` the largest of them, at `count` points.

    `points` and `ours` take a slice and give that part of the points and of the outputs, both as arrays.
    Raises `VerificationError`, with `where` in its words, beyond the tolerance `EXACT`.
    """
    for first in range(0, count, BATCH):
        rows = slice(first, first + BATCH)
        output = evaluate(model, torch.from_numpy(points(rows)).to(home(model))).cpu().numpy()
        error = np.abs(output - ours(rows)).max() / (largest or 1.0)
        if not error <= EXACT:
            raise VerificationError(
                f"{where} the output differs from the network's by {error:.1e} of the largest output, "
                f"{EXACT:g} allowed: some operation of the model depends on more than its input."
            )


class KeepPrecision(TorchFunctionMode):
    """Takes no notice of a model's own casts to lower precision, as the traversal takes none."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if op_name(func) in operations.CASTS and torch.is_tensor(args[0]) and args[0].is_floating_point():
            return args[0]
        return func(*args, **(kwargs or {}))


class Trace(NamedCalls):
    """Sees every call on rows of the mesh. A tensor of such rows carries the mark `_rows_of`."""

    def __init__(self, model: nn.Module, mesh: Mesh, *, keep: bool):
        super().__init__(model)
        self.mesh, self.keep = mesh, keep
        self.values: dict[str, torch.Tensor] = {}
        self.widest = 0  # the most numbers that a row has held

    # Which tensors hold rows of the mesh

    def mark(self, tensor: torch.Tensor) -> torch.Tensor:
        """Say that the first axis of a tensor runs over the mesh's vertices."""
        tensor._rows_of = self.mesh
        self.widest = max(self.widest, tensor[0].numel())
        return tensor

    def tracked(self, thing) -> bool:
        """Whether a tensor holds rows of the mesh."""
        return torch.is_tensor(thing) and getattr(thing, "_rows_of", None) is self.mesh

    # The calls

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        rows = [item for item in operations.leaves((args, kwargs)) if self.tracked(item)]
        if not rows:
            return func(*args, **kwargs)
        op = op_name(func)
        if op == "get":  # a property such as x.shape
            op = getattr(getattr(func, "__self__", None), "__name__", op)
        if any(getattr(item, "_stale", False) for item in rows):
            raise UnsupportedOperationError(
                f"{op} reads a tensor of which a view was changed in place. {self._place()} Write the model "
                "without that in-place operation."
            )
        if op in POOLS:
            return self._pool(op, func, args, kwargs)
        if op in RULES and not (op in ("max", "min") and RULES[op](args, kwargs) is None):
            return self._bend(op, func, args, kwargs)
        if op in operations.CASTS:  # the geometry stays in float64
            return args[0]
        result = self._call(func, args, kwargs)
        if not any(torch.is_tensor(item) for item in operations.leaves(result)):
            if op in operations.READS_VALUES:
                raise UnsupportedOperationError(
                    f"{op} lets the path through the model depend on values. {self._place()} Only the "
                    "activations may decide where a network bends."
                )
            return result
        problem = operations.problem(op, args, kwargs, result, self.tracked)
        if problem:
            raise UnsupportedOperationError(f"{problem} {self._place()} {operations.way_out(op)}")
        for item in operations.leaves(result):
            if torch.is_tensor(item):
                self.mark(item)
        return result

    def _bend(self, op: str, func, args, kwargs):
        """A piecewise-linear activation: cut where its value meets a threshold."""
        if op in operations.JUMPS:
            raise UnsupportedOperationError(
                f"{op} jumps where it bends: no continuous piecewise-linear function. {self._place()}"
            )
        kinks = RULES[op](args, kwargs)
        name = self.names.name(op)
        if kinks.thresholds:
            value = self._newest(kinks.value)
            limits = [self._newest(threshold) for threshold in kinks.thresholds]
            parts = [value if _is_zero(limit) else value - limit for limit in limits]
            parts = [part.reshape(len(part), -1) for part in parts]
            z = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
            self._check_finite(z, name)
            self.mesh.cut(z, name)
            if self.keep:
                self.values[name] = z.clone()  # what follows may work in place
        result = self._call(func, args, kwargs, newest=True)
        return self.mark(result)

    def _newest(self, value):
        return self.mesh.extend(value) if self.tracked(value) else value

    def _pool(self, op: str, func, args, kwargs):
        x = self.mesh.extend(argument(args, kwargs, 0, "input"))
        windows = operations.pool_windows(POOLS[op], x, args, kwargs)
        name = self.names.name(op)
        self._check_finite(windows, name)
        self.mesh.cut_pool(windows, name)
        result = self._call(func, args, kwargs, newest=True)
        if isinstance(result, tuple):  # with the indices, which only a value can use
            return self.mark(result[0]), result[1]
        return self.mark(result)

    def _call(self, func, args, kwargs, *, newest: bool = False):
        """Make a call with all rows at one version: the newest, or the newest among the arguments."""
        originals: dict[int, torch.Tensor] = {}
        lengths = [len(item) for item in operations.leaves((args, kwargs)) if self.tracked(item)]
        target = self.mesh.rows if newest else max(lengths)

        def updated(item):
            if not self.tracked(item) or len(item) == target:
                return item
            longer = self.mesh.extend(item, target)
            originals[id(longer)] = item
            return longer

        new_args, new_kwargs = operations.mapped(updated, args), operations.mapped(updated, kwargs)
        result = _in_parts(func, new_args, new_kwargs)
        changed = originals.get(id(result))
        if changed is None:
            return result
        # The call worked in place on a longer copy: whoever holds the tensor itself must see it.
        if changed._is_view() and changed._base is not None:
            changed._base._stale = True
        changed.data = result
        return changed

    def _check_finite(self, value: torch.Tensor, name: str) -> None:
        if not math.isfinite(value.sum().item()) and not torch.isfinite(value).all():
            raise InputError(f"Layer {name!r} received NaN or infinite values; check points and weights.")

    def _place(self) -> str:
        return f"It is called in {self.names.where}."


def _is_zero(limit) -> bool:
    return not torch.is_tensor(limit) and limit == 0


def _in_parts(func, args, kwargs):
    """Make a call; a convolution of many rows in float64 on the processor some rows at a time. At once it
    would write out the patches of all rows, nine copies of the layer for 3 × 3 kernels, and take longer."""
    rows = args[0] if args else None
    if not op_name(func).startswith("conv") or not torch.is_tensor(rows) or rows.device.type != "cpu":
        return func(*args, **kwargs)
    return torch.cat([func(part, *args[1:], **kwargs) for part in rows.split(PART)])


def home(model: nn.Module) -> torch.device:
    """Where a model's weights lie."""
    return next((tensor.device for tensor in [*model.parameters(), *model.buffers()]), torch.device("cpu"))
