"""The calls of a forward pass, listed on a reference and made again with what was kept of it."""

from dataclasses import dataclass, field

import torch
from torch import nn

from splinelab.errors import UnsupportedOperationError
from splinelab.polytopes.freezing.held import FREEZE
from splinelab.recording.following import tensors
from splinelab.recording.names import NamedCalls
from splinelab.recording.operations import READS, op_name


@dataclass
class Call:
    """One call of the reference run: a function's, or a module's beginning or end (`event`)."""

    name: str
    event: bool = False
    kept: torch.Tensor | None = None  # what a frozen call goes on with
    hidden: bool = False  # nothing that reaches the output comes from it
    reads: list = field(default_factory=list)
    writes: list = field(default_factory=list)


class _Follow(NamedCalls):
    """Sees every function call of a forward pass, and where modules begin and end."""

    def event(self, name: str) -> None:
        raise NotImplementedError

    def _enter_module(self, module, args) -> None:
        self._event("the beginning of ", module)

    def _leave_module(self, module, args, output) -> None:
        if output is not None:  # none where the pass failed
            self._event("the end of ", module)

    def _event(self, what: str, module) -> None:
        if id(module) in self.paths:
            path = self.paths[id(module)]
            self.event(what + (f"module {path!r}" if path else "the model"))


class Watch(_Follow):
    """Lists the calls of the reference run: what they read and wrote, and what is to be kept."""

    def __init__(self, model: nn.Module):
        super().__init__(model)
        self.calls: list[Call] = []
        self.changed: set[int] = set()  # storages that a call changed in place
        self.alive: list = []  # tensors are told apart by address: none may be freed and used again

    def event(self, name: str) -> None:
        self.calls.append(Call(name, event=True))

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = op_name(func)
        given = [*tensors((args, kwargs))]
        versions = [item._version for item in given]
        kept, passing = None, given
        if name in FREEZE:
            kwargs = {key: value for key, value in kwargs.items() if key != "dtype"}  # float64 throughout
            kept, passing = FREEZE[name].measure(func, args, kwargs)
        result = func(*args, **kwargs)
        made = [*tensors(result)]
        changed = [item for item, version in zip(given, versions, strict=True) if item._version != version]
        # A value that became a Python number may decide what the model does: it must stay in sight.
        reads = passing if made or changed or name in READS else []
        self.calls.append(Call(name, kept=kept, reads=list(reads), writes=made + changed))
        self.changed |= set(map(_storage, changed))
        self.alive.append(given)
        return result


def hide(calls: list[Call], x: torch.Tensor, output, changed: set[int]) -> bool:
    """Mark the calls from which nothing reaches the output; whether the input `x` does."""

    def keys(tensors) -> set[int]:
        # Views of what is changed in place count as one: a change of any may be a change of all.
        storages = [(item, _storage(item)) for item in tensors if torch.is_tensor(item)]
        return {storage if storage in changed else id(item) for item, storage in storages}

    live = keys(tensors(output))
    for call in reversed(calls):
        call.hidden = not call.event and bool(call.writes) and not (keys(call.writes) & live)
        if call.hidden:
            call.kept = None
        else:
            live |= keys(call.reads)
        call.reads, call.writes = [], []  # let go of the tensors
    return bool(keys([x]) & live)


class Replay(_Follow):
    """Makes the calls of the reference run again, frozen ones with what was kept of them."""

    def __init__(self, model: nn.Module, calls: list[Call]):
        super().__init__(model)
        self.calls, self.next = calls, 0

    def event(self, name: str) -> None:
        # Somebody who runs a part unseen (the part before a layer, for its shapes) hides its calls from here.
        unseen = torch._C._is_torch_function_all_disabled()
        while unseen and self.next < len(self.calls) and not self._due(name, event=True):
            self.next += 1
        self._take(name, event=True)

    def finish(self) -> None:
        """Check that no call is missing."""
        if self.next < len(self.calls) and not torch._C._is_torch_function_all_disabled():
            self._refuse("ends")

    def _due(self, name: str, event: bool) -> bool:
        call = self.calls[self.next]
        return call.name == name and call.event == event

    def _take(self, name: str, event: bool = False) -> Call:
        if self.next == len(self.calls) or not self._due(name, event):
            self._refuse(f"reaches {name}" if event else f"calls {name}")
        self.next += 1
        return self.calls[self.next - 1]

    def _refuse(self, what: str) -> None:
        due = self.calls[self.next].name if self.next < len(self.calls) else "the end"
        raise UnsupportedOperationError(
            f"The frozen model takes another way than for its reference: it {what} where {due} was due. "
            "Freeze it at an input for which it makes the same calls."
        )

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        call = self._take(op_name(func))
        if call.hidden:
            with torch._C.DisableTorchFunction():
                return func(*args, **kwargs)
        if call.kept is not None:
            return FREEZE[call.name].replay(call.kept, func, args, kwargs)
        return func(*args, **kwargs)


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata
