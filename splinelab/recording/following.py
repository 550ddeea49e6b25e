"""Which tensors of a forward pass depend on the samples, and what is known of their values.

Dependence is followed by storage, so that no view, alias or write into a buffer can hide it: whatever a call
writes or returns depends on the samples if one of its operands does. What is known beyond that is a `Note` on
the tensor itself; it is void once the numbers have changed, and a tensor without one is an ordinary
activation.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

import torch
from torch.multiprocessing.reductions import StorageWeakRef


class Kind(Enum):
    """What is known of a tensor that depends on the samples."""

    DISCRETE = "made of integers alone: token masks, counts, positions"
    ACTIVATION = "real numbers that weights have seen"
    RECTIFIED = "what a ReLU or another activation without negative values gave"
    CURVED = "a power of activations that has not become part of a statistic"
    STATISTIC = "a norm or a variance: one number for a whole vector, not negative"
    WINNER = "where a maximum was"
    SHARES = "what a softmax gave: the weights of a sum"


@dataclass(frozen=True)
class Multiple:
    """Of which tensor this one is `factor` times, as that was at `version`; of none where it is constant."""

    root: torch.Tensor | None
    version: int
    factor: float


@dataclass(frozen=True)
class Note:
    kind: Kind
    multiple: Multiple | None = None
    made_by: str = ""  # of CURVED, WINNER and SHARES: which operation made it, named where it is misused
    version: int = 0
    home: str = ""  # the module that made it
    gate: bool = False  # whether a smooth activation gave it, which soft codes read


def tensors(thing) -> Iterator[torch.Tensor]:
    """All tensors in nested tuples, lists and mappings, model outputs included."""
    if isinstance(thing, torch.Tensor):
        yield thing
    elif thing is None or isinstance(thing, int | float | str):  # before the slow question for a mapping
        return
    elif isinstance(thing, tuple | list):
        for item in thing:
            yield from tensors(item)
    elif isinstance(thing, Mapping):
        for item in thing.values():
            yield from tensors(item)


def is_real(tensor: torch.Tensor) -> bool:
    """Whether a tensor holds numbers that a small change of the samples may change."""
    return tensor.is_floating_point() or tensor.is_complex()


class Following:
    """The tensors that depend on the samples: `tensor in following`."""

    def __init__(self) -> None:
        # A weak reference holds no numbers, but keeps a storage's address from being given to another one.
        self._storages: dict[int, StorageWeakRef | torch.Tensor] = {}

    def __contains__(self, tensor) -> bool:
        return isinstance(tensor, torch.Tensor) and _address(tensor) in self._storages

    def add(
        self,
        tensor: torch.Tensor,
        kind: Kind,
        multiple: Multiple | None = None,
        made_by: str = "",
        *,
        home: str = "",
        gate: bool = False,
    ) -> None:
        """Say that a tensor, and so whatever shares its numbers, depends on the samples."""
        address = _address(tensor)
        if address not in self._storages:
            storage = _storage(tensor)
            self._storages[address] = tensor if storage is None else StorageWeakRef(storage)
        if multiple is not None and multiple.root is tensor:  # written to in place: of its former self
            multiple = None
        note = Note(kind, multiple, made_by, version_of(tensor), home, gate)
        tensor._splinelab = note  # type: ignore[attr-defined]  # on the tensor, so it lives as long

    def note(self, tensor: torch.Tensor) -> Note:
        """What is known of a followed tensor."""
        note = getattr(tensor, "_splinelab", None)
        if note is not None and note.version == version_of(tensor):
            return note
        return ORDINARY if is_real(tensor) else WHOLE

    def multiple(self, tensor: torch.Tensor) -> Multiple:
        """The tensor as a multiple: of itself, if of nothing else."""
        found = self.note(tensor).multiple
        if found is not None and (found.root is None or version_of(found.root) == found.version):
            return found
        return Multiple(tensor, version_of(tensor), 1.0)


ORDINARY, WHOLE = Note(Kind.ACTIVATION), Note(Kind.DISCRETE)


def version_of(tensor: torch.Tensor) -> int:
    """How often the numbers have been written to."""
    try:
        return tensor._version
    except RuntimeError:  # tensors made in inference mode have none
        return 0


def _storage(tensor: torch.Tensor):
    """Where a tensor's numbers lie; None for sparse tensors and wrappers."""
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):  # inside vmap
        tensor = torch._C._functorch.get_unwrapped(tensor)
    try:
        return tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):
        return None


def _address(tensor: torch.Tensor) -> int:
    storage = _storage(tensor)
    return id(tensor) if storage is None else storage._cdata
