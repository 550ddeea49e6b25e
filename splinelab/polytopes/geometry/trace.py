"""The traversal: the rows of a batch are the vertices of a mesh, and the network refines it.

Every call of a forward pass is seen before it happens. An affine call is made as it is; before a
piecewise-linear one the mesh is cut where the call bends. Rolnick and Kording (2020) follow boundaries one by
one; here all of them come out together.

Most networks take one pass. Where a cut adds vertices, the call's arguments get rows for them, and older
tensors follow when they meet newer ones. That cannot follow whatever holds on to the old rows: a view or an
alias of a tensor that is written to, a buffer, a batch size that was read before. There the pass is given up,
and the network runs as it is on all vertices that there are, from its input to the next call that adds some;
then again, with these. Within one such pass sizes, views and writes are torch's own.
"""

import math

import torch
from torch import nn

from splinelab.errors import InputError, SplinelabError, UnsupportedOperationError
from splinelab.polytopes.geometry import affine
from splinelab.polytopes.geometry.calls import Call, GiveUp
from splinelab.polytopes.geometry.exact import in_double, only_precision
from splinelab.polytopes.geometry.mesh import Mesh, TooMany
from splinelab.polytopes.geometry.windows import pool_windows
from splinelab.recording import judging
from splinelab.recording import operations as table
from splinelab.recording.following import Following, Kind, tensors
from splinelab.recording.names import NamedCalls
from splinelab.recording.operations import op_name
from splinelab.recording.outputs import first_output
from splinelab.recording.rules import Kinks, argument, in_training, kinks_of

# Piecewise linear, but with a jump at the threshold (`threshold` unless its value is the threshold).
JUMPS = frozenset(("threshold", "hardshrink"))
# What may be a multiple of its operand.
MULTIPLES = judging.SAME | table.NEGATIONS | table.SCALINGS | table.STRUCTURE


def run(
    model: nn.Module,
    mesh: Mesh,
    rows: torch.Tensor,
    *,
    values: dict | None = None,
    one_pass: bool = True,
) -> torch.Tensor:
    """Refine `mesh` by `model`, an `exact_copy`; the output at every vertex, vertices × ….

    `rows`: the model's input at the vertices that the mesh has so far. With `values`, a dictionary, the
    pre-activations of every layer at every vertex are kept in it, by name, vertices × units. `one_pass=False`
    runs pass after pass from the beginning.
    """
    widest = 0
    while True:
        trace = Trace(model, mesh, one_pass=one_pass, keep=values is not None)
        try:
            with torch.inference_mode(False), torch.no_grad():
                start = trace.follow(mesh.extend(rows).clone())
                with trace:
                    output = model(start)
                output = trace.finished(output)
            break
        except GiveUp:
            one_pass = False
        except TooMany:
            raise
        except Exception as error:
            if not one_pass:
                if isinstance(error, SplinelabError | MemoryError | torch.OutOfMemoryError):
                    raise
                raise InputError(
                    f"The model fails on {mesh.rows} points at once: {error}. Does it keep a batch size? "
                    "Sizes must come from the shape of what forward is given."
                ) from error
            one_pass = False
        finally:
            mesh.widest = widest = max(widest, trace.widest)
    if values is not None:
        values.update({name: mesh.extend(value) for name, value in trace.values.items()})
    return output


class Trace(NamedCalls):
    """Sees every call on rows of the mesh. `following` knows which tensors hold such rows."""

    def __init__(self, model: nn.Module, mesh: Mesh, *, one_pass: bool, keep: bool):
        super().__init__(model)
        self.mesh, self.one_pass, self.keep = mesh, one_pass, keep
        self.following = Following()
        self.known = mesh.rows  # how many rows a tensor has, in a pass of many
        self.met: set[str] = set()  # layers and pools of this pass
        self.values: dict[str, torch.Tensor] = {}
        self.widest = 0  # the most numbers that a row has held

    def follow(self, tensor: torch.Tensor, multiple=None) -> torch.Tensor:
        """Say that the first axis of a tensor runs over the mesh's vertices."""
        self.following.add(tensor, Kind.ACTIVATION, multiple)
        self.widest = max(self.widest, tensor[0].numel())
        return tensor

    def finished(self, output) -> torch.Tensor:
        """The output proper at every vertex."""
        counts = {len(item) for item in tensors(output) if item in self.following and item.ndim}
        output = first_output(output, max(counts, default=self.known))
        if output not in self.following:
            raise InputError("The model's output does not depend on its input.")
        missing = [name for name in (*self.mesh.layers, *self.mesh.pools) if name not in self.met]
        if missing:
            self._another_way(f"did not call {missing[0]!r}")
        return self.mesh.extend(output)

    # The calls

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = [item for item in tensors((args, kwargs)) if item in self.following]
        if not given:
            return in_double(func(*args, **kwargs), args)
        op = "set" if getattr(func, "__name__", "") == "__set__" else op_name(func)
        if self.one_pass and ("out" in kwargs or op == "set"):
            raise GiveUp
        if only_precision(op, args, kwargs):
            return args[0]
        if affine.spreads_constant(op, args, kwargs, self.following):
            return in_double(func(*args, **kwargs), args)
        if op in table.POOLS:
            return self._pool(op, func, args, kwargs)
        if op in table.SWITCHES and (op not in ("max", "min") or _of_two(args, kwargs)):
            return self._bend(op, func, args, kwargs, given)
        return self._affine(op, func, args, kwargs, given)

    def _affine(self, op: str, func, args, kwargs, given: list):
        multiple = None
        if op in MULTIPLES and len(given) == 1:
            multiple = judging.judged(op, args, kwargs, given, self.following)[1]
        call = Call(self, args, kwargs, max(len(item) for item in given if item.ndim))
        wrong = None
        if op not in table.READS:
            wrong = affine.problem(op, call.args, call.kwargs, call.operands, call.known)
        result = call.make(func)
        made = call.made(result)
        if not made:
            if op in table.READS:
                raise UnsupportedOperationError(
                    f"{op} lets the path through the model depend on values. {self._place()} Only the "
                    "activations may decide where a network bends."
                )
            return result
        wrong = wrong or affine.shape_problem(op, made, call.operands, call.known)
        if wrong:
            raise UnsupportedOperationError(f"{wrong} {self._place()} {affine.way_out(op)}")
        for item in made:
            self.follow(item, multiple)
        return result

    def _bend(self, op: str, func, args, kwargs, given: list):
        """A piecewise-linear activation: cut where its value meets a threshold."""
        if op in JUMPS and not _continuous(op, args, kwargs):
            raise UnsupportedOperationError(
                f"{op} jumps where it bends: no continuous piecewise-linear function. {self._place()}"
            )
        if why := in_training(op, args, kwargs):
            raise UnsupportedOperationError(f"{why} {self._place()}")
        if len(given) > 1 and op not in table.BOUNDED:
            raise UnsupportedOperationError(f"{op} has slopes that depend on the samples. {self._place()}")
        kinks = kinks_of(op, args, kwargs, self.following)
        if kinks is not None:
            name = self.name(op)
            z = self._above(kinks)
            if len(z) != self.mesh.rows:
                raise UnsupportedOperationError(
                    f"{op} works on {len(z)} rows for {self.mesh.rows} samples: the first axis must stay "
                    f"theirs. {self._place()}"
                )
            self._check_finite(z, name)
            self._cut(self.mesh.layers, self.mesh.cut, z, name)
            if self.keep:
                self.values[name] = z.clone()  # what follows may work in place
            del z  # a view, perhaps, of what the call works on in place
        call = Call(self, args, kwargs, self.mesh.rows)
        result = call.make(func)
        wrong = affine.shape_problem(op, [result], call.operands, call.known)
        if wrong:
            raise UnsupportedOperationError(f"{wrong} {self._place()}")
        for item in call.made(result):
            self.follow(item)
        return result

    def _above(self, kinks: Kinks) -> torch.Tensor:
        """By how much the value is above each threshold, rows × (units · thresholds)."""
        value, *limits = (self._newest(item) for item in (kinks.value, *kinks.thresholds))
        shapes = [limit.shape for limit in limits if torch.is_tensor(limit)]
        value = value.expand(torch.broadcast_shapes(value.shape, *shapes))
        parts = [value if _is_zero(limit) else value - limit for limit in limits]
        parts = [part.reshape(len(part), -1) for part in parts]
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    def _newest(self, value):
        return self.mesh.extend(value) if value in self.following else value

    def _pool(self, op: str, func, args, kwargs):
        x = self.mesh.extend(argument(args, kwargs, 0, "input"))
        if len(x) != self.mesh.rows:
            raise UnsupportedOperationError(f"{op} works along the axis of the samples. {self._place()}")
        windows = pool_windows(table.POOLS[op], x, args, kwargs)
        name = self.name(op)
        self._check_finite(windows, name)
        self._cut(self.mesh.pools, self.mesh.cut_pool, windows, name)
        result = Call(self, args, kwargs, self.mesh.rows).make(func)
        for item in tensors(result):  # the indices too: they depend on the samples
            self.follow(item)
        return result

    def _cut(self, done: dict, cut, values: torch.Tensor, name: str) -> None:
        """Cut the mesh by a call that has not cut it yet."""
        self.met.add(name)
        if name in done:
            return
        if name in self.mesh.layers or name in self.mesh.pools:
            self._another_way(f"calls another operation at {name!r}")
        cut(values, name)
        if self.mesh.rows != self.known and not self.one_pass:
            raise GiveUp

    def _another_way(self, what: str) -> None:
        raise UnsupportedOperationError(
            f"The way that the model takes depends on how many points it is given: it {what}, unlike before."
        )

    def _check_finite(self, value: torch.Tensor, name: str) -> None:
        if not math.isfinite(value.sum().item()) and not torch.isfinite(value).all():
            raise InputError(f"Layer {name!r} received NaN or infinite values; check points and weights.")

    def _place(self) -> str:
        return f"It is called in {self.where}."


def _of_two(args, kwargs) -> bool:
    return torch.is_tensor(argument(args, kwargs, 1, "other"))


def _continuous(op: str, args, kwargs) -> bool:
    limit, value = argument(args, kwargs, 1, "threshold"), argument(args, kwargs, 2, "value")
    return op == "threshold" and limit == value


def _is_zero(limit) -> bool:
    return not torch.is_tensor(limit) and limit == 0
