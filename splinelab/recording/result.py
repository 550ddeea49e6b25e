"""What a recording holds, and how to cut it by sample and by layer."""

from dataclasses import dataclass, field, replace
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike

from splinelab.codes import SplineCodes, row_index
from splinelab.errors import InputError


class Activations(dict):
    """Layer name → float32 array, samples × units, in call order. A dict that says what it holds."""

    def __missing__(self, name: str) -> NoReturn:
        there = list(self) if self else "none: activations=False, or also left out"
        raise InputError(f"No activations of layer {name!r} here; the layers are {there}.")

    def __repr__(self) -> str:
        size = sum(array.nbytes for array in self.values()) / 1e6
        layers = ", ".join(f"{name}: {' × '.join(map(str, array.shape))}" for name, array in self.items())
        return f"Activations({layers or 'none'}; {size:.1f} MB)"


@dataclass(frozen=True, eq=False, repr=False)
class Recording:
    """Spline codes, activations and output of a model on some samples.

    Attributes
    ----------
    codes : the spline codes, samples × units.
    pre, post : by layer, float32 samples × units: the value read *before* the nonlinearity, and its result.
        Empty when recorded with `activations=False`. Pooling layers have codes only.
    output : float32, samples × outputs; samples × 0 when recorded with `output=False`.
    inputs : by module, float32 samples × units: what the modules named in `also` were given.
    soft : the layers of smooth activations, and which: "silu", "gelu" or "gelu_tanh". Their bits are the
        hard limit of `polytopes.soft_code(recording.pre[name], recording.soft[name])`.
    sequence, position : int64, samples: where tokens are the samples (`positions`), the number of each one's
        sequence among the inputs, and where it stands there, padding not counted. Else None.
    """

    codes: SplineCodes
    pre: Activations
    post: Activations
    output: np.ndarray
    inputs: Activations = field(default_factory=Activations)
    soft: dict[str, str] = field(default_factory=dict)
    sequence: np.ndarray | None = None
    position: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: int | slice | ArrayLike) -> "Recording":
        """Some samples: a slice, an integer (one sample), an index array or a boolean mask."""
        rows = row_index(rows, len(self))
        pre, post, inputs = (
            Activations({name: array[rows] for name, array in kept.items()})
            for kept in (self.pre, self.post, self.inputs)
        )
        sequence, position = (None if item is None else item[rows] for item in (self.sequence, self.position))
        return Recording(
            self.codes[rows], pre, post, self.output[rows], inputs, self.soft, sequence, position
        )

    def select(self, *names: str) -> "Recording":
        """Some layers, in the order given; output and inputs of modules stay."""
        codes = self.codes.select(*names)
        pre, post = (
            Activations({name: kept[name] for name in names if name in kept})
            for kept in (self.pre, self.post)
        )
        soft = {name: self.soft[name] for name in names if name in self.soft}
        return replace(self, codes=codes, pre=pre, post=post, soft=soft)

    def stack(self, kind: str, *, output: bool = False) -> np.ndarray:
        """All layers side by side, float32 samples × units.

        Parameters
        ----------
        kind : "pre" (before the nonlinearities) or "post" (after).
        output : append the model's output: `stack("pre", output=True)` is every linear map's output, as in
            *stacked `nn.Linear` outputs*.
        """
        if kind not in ("pre", "post"):
            raise InputError(f'stack takes "pre" (before the nonlinearity) or "post" (after); got {kind!r}.')
        kept = getattr(self, kind)
        if not kept:
            raise InputError("This recording holds no activations: record again with activations=True.")
        return np.concatenate([*kept.values(), *([self.output] if output else [])], axis=1)

    def __repr__(self) -> str:
        kept = sum(array.nbytes for array in [*self.pre.values(), *self.post.values()]) / 1e6
        activations = f"activations {kept:.1f} MB" if self.pre else "no activations"
        return f"Recording({self.codes!r}; {activations}; output {' × '.join(map(str, self.output.shape))})"
