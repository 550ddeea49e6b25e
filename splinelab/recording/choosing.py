"""What a caller wants of a recording, and what to leave out of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

import torch

from splinelab.errors import InputError, UnsupportedOperationError, closest
from splinelab.recording import operations as table
from splinelab.recording.names import NamedCalls


@dataclass(frozen=True)
class Wanted:
    """What a caller wants of a recording: the arguments of `record` by their names."""

    activations: bool
    output: bool
    pools: bool
    soft: bool
    layers: tuple[str, ...] | None  # None: all
    also: tuple[str, ...]
    ignore: tuple[str, ...]

    @classmethod
    def of(
        cls,
        activations: bool,
        output: bool,
        pools: bool,
        soft: bool,
        layers: str | Iterable[str] | None,
        also: str | Iterable[str],
        ignore: str | Iterable[str],
    ) -> "Wanted":
        """From one name or several of each kind. Raises InputError for `layers` without a name."""
        kept = None if layers is None else _names(layers)
        if kept == ():
            raise InputError("layers names no layer; leave it out to record all of them.")
        return cls(activations, output, pools, soft, kept, _names(also), _names(ignore))


class Choosing(NamedCalls):
    """Sees calls, and knows which of them the caller wants."""

    def __init__(self, model: torch.nn.Module, wanted: Wanted):
        super().__init__(model)
        self.model, self.wanted = model, wanted
        self.layers: dict[str, int] = {}  # name → bits per sample, fixed by the first batch
        self.makers: dict[str, tuple[str, str]] = {}  # operation → where it was last called: path, words
        self.met: set[str] = set()  # entries of `ignore` that something answered to
        self.left: dict[str, None] = {}  # layers that `layers` does not name
        for name in wanted.also:
            if name not in self.paths.values() or not name:
                near = closest(name, list(filter(None, self.paths.values())))
                raise InputError(f"also names {name!r}, which is no module of the model. {near}".strip())

    def _ignored(self, name: str) -> bool:
        """Whether the caller asked to leave out an operation, a layer, or the module that is running."""
        if not self.wanted.ignore:
            return False
        path = self.path
        found = [item for item in self.wanted.ignore if item in (name, path) or path.startswith(f"{item}.")]
        self.met.update(found)
        return bool(found)

    def _left_out(self, name: str) -> bool:
        """Whether the caller wants other layers than this one."""
        if self._ignored(name):
            return True
        if self.wanted.layers is None or any(_within(name, item) for item in self.wanted.layers):
            return False
        self.left[name] = None
        return True

    def check_layers(self) -> None:
        """Raise `InputError` for entries of `ignore` and `layers` that name nothing, and for no layer."""
        known = {*self.met, *self.paths.values(), *table.KNOWN}
        for entry in self.wanted.ignore:
            if entry not in known:
                names = [*self.layers, *filter(None, self.paths.values())]
                left_out = f", left out {sorted(self.met)}" if self.met else ""
                raise InputError(
                    f"ignore names {entry!r}, which is no operation, layer or module here: "
                    f"{closest(entry, names)}the layers are {list(self.layers)}{left_out}."
                )
        there = [*self.layers, *self.left]
        for entry in self.wanted.layers or () if there else ():
            if not any(_within(name, entry) for name in self.layers):
                raise InputError(
                    f"layers names {entry!r}, which is no layer and no module that holds one: "
                    f"{closest(entry, there)}the layers are {there}."
                )
        if not self.layers:
            ignored = f" apart from what ignore={self.wanted.ignore} leaves out" if self.wanted.ignore else ""
            raise InputError(
                f"No ReLU or other piecewise-linear activation was called in the model{ignored}: it has no "
                "spline code. Pass a network with such activations."
            )

    def _place(self, op: str) -> str:
        path, where = self.makers.get(op, (self.path, self.where))
        way_out = f"ignore=({op!r},)" + (f" or ignore=({path!r},)" if path else "")
        return f"It is called in {where}. To record the rest without it pass {way_out}."

    def _refuse(self, why: str, op: str) -> NoReturn:
        raise UnsupportedOperationError(f"{why} {self._place(op)}") from None


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _within(name: str, entry: str) -> bool:
    """Whether a layer is the one of that name, or lies in the module of that name."""
    return name == entry or name.startswith(f"{entry}.")
