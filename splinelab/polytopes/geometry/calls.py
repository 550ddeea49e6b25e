"""A call of the traversal: its rows at one version, and who sees what it writes to."""

import torch

from splinelab.polytopes.geometry import affine
from splinelab.polytopes.geometry.exact import in_double
from splinelab.recording.following import tensors, version_of
from splinelab.recording.operations import op_name

PART = 32  # rows of a convolution at once


class GiveUp(BaseException):
    """The pass cannot go on. No `Exception`: models may catch those."""


class Call:
    """A call of which all rows are at one version: in one pass the first `known` vertices', else as it is."""

    def __init__(self, trace, args, kwargs, known: int):
        self.trace, self.known = trace, known
        self.operands: list[torch.Tensor] = []
        self.older: dict[int, torch.Tensor] = {}  # tensors that stand in for shorter ones, by identity
        if not trace.one_pass:
            self.known = trace.known
        into = kwargs.get("out")
        self.args = affine.mapped(self._level, args)
        self.kwargs = affine.mapped(self._level, kwargs)
        self.operands = [item for item in self.operands if item is not into]

    def _level(self, item):
        if item not in self.trace.following:
            return item
        if self.trace.one_pass and item.ndim and len(item) != self.known:
            older, item = item, self.trace.mesh.extend(item, self.known)
            self.older[id(item)] = older
        self.operands.append(item)
        return item

    def make(self, func):
        """Make the call. A pass that cannot follow what it writes to is given up."""
        self.given = list(tensors((self.args, self.kwargs)))
        before = [version_of(item) for item in self.given]
        result = in_double(_in_parts(func, self.args, self.kwargs), self.args)
        changed = zip(self.given, before, strict=True)
        self.written = [item for item, version in changed if version_of(item) != version]
        if not self.trace.one_pass:
            return result
        if result is None:
            raise GiveUp
        if self.written:
            return self._settled(result)
        if self.older:
            addresses = {item.untyped_storage()._cdata for item in self.given if id(item) in self.older}
            if any(item.untyped_storage()._cdata in addresses for item in tensors(result)):
                raise GiveUp  # a view of what stands in: it would not see later writes
        return result

    def _settled(self, result):
        """Whoever holds the tensor that was written to must see it; nobody else may."""
        (new, *others) = self.written
        old = self.older.get(id(new), new)
        if others or result is not new or old not in self.trace.following or _holders(old) > ALONE:
            raise GiveUp
        if old is not new:
            old.data = new
            old.narrow(0, 0, 0).zero_()  # counts as a change, like the one that `new` had
            self.written = [old]
        return old

    def made(self, result) -> list[torch.Tensor]:
        """What the call made or wrote to, without the constants that it passed on."""
        found = [*tensors(result), *self.written]
        if len(found) < 2:
            return found
        rows = [item.untyped_storage()._cdata for item in (*self.operands, *self.written)]
        passed = {item.untyped_storage()._cdata for item in self.given if item.layout == torch.strided}
        passed -= set(rows)
        return [item for item in found if item.untyped_storage()._cdata not in passed]


def _holders(tensor: torch.Tensor) -> int:
    """How many tensors share a tensor's numbers, itself included."""
    return torch._C._storage_Use_Count(tensor.untyped_storage()._cdata)


ALONE = _holders(torch.empty(1))


def _in_parts(func, args, kwargs):
    """Make a call; a convolution of many rows in float64 on the processor some rows at a time. At once it
    would write out the patches of all rows, nine copies of the layer for 3 × 3 kernels, and take longer."""
    rows = args[0] if args else None
    if not op_name(func).startswith("conv") or not torch.is_tensor(rows) or rows.device.type != "cpu":
        return func(*args, **kwargs)
    return torch.cat([func(part, *args[1:], **kwargs) for part in rows.split(PART)])
