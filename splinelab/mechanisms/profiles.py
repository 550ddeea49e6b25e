"""Importance profiles: how much each component matters on each sample, kept sparse."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import sparse

from splinelab._arguments import check_number, check_seed
from splinelab.distances.operands import as_array
from splinelab.errors import InputError
from splinelab.recording.outputs import first_output
from splinelab.recording.place import floating_type
from splinelab.spd.net import wide


@dataclass(frozen=True, eq=False)
class Profiles:
    """Causal importances of N components on many samples (Seshadri et al., section 4).

    Raises InputError for values that are negative or not finite, and for layers of another length.

    Parameters
    ----------
    values : samples × N, scipy sparse or an array, each at least 0; kept as CSR in float32 or float64.
    layers : the matrix that each component belongs to, N names; by default all of one matrix.
    threshold : a component is *alive* if its importance exceeds this on some sample.

    Examples
    --------
    >>> found = Profiles([[0.9, 0.0, 0.5], [0.0, 0.05, 0.6]], ["enc", "enc", "dec"])
    >>> found
    Profiles(2 samples × 3 components in 2 layers; 2 alive, 1 of them always on)
    >>> found.names
    ['enc:0', 'enc:1', 'dec:0']
    """

    values: sparse.csr_matrix
    layers: Any = None  # an array of names, once made
    threshold: float = 0.1

    def __post_init__(self) -> None:
        values = _csr(self.values)
        if min(values.shape) == 0:
            raise InputError(
                f"values are {values.shape}; expected samples × components, at least one of each"
            )
        if not (np.isfinite(values.data).all() and (values.data >= 0).all()):
            raise InputError(
                "values hold negative or non-finite numbers; expected importances, clipped to [0, 1]"
            )
        n = values.shape[1]
        layers = np.full(n, "") if self.layers is None else np.asarray(self.layers, str)
        if layers.shape != (n,):
            raise InputError(
                f"layers have shape {layers.shape}; expected one name for each of {n} components"
            )
        check_number("threshold", self.threshold, low=0)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "layers", layers)

    @classmethod
    def from_batches(cls, batches: Iterable[Mapping[str, np.ndarray]], *, threshold: float = 0.1) -> Self:
        """Profiles from a stream of batches, each a mapping layer → samples × components of that layer.

        Every batch is made sparse as it arrives, so that only one is dense at a time. The components lie in
        the order of the first batch's layers. Raises InputError for an empty stream and for batches that
        differ in their layers or widths.
        """
        parts: list[sparse.csr_matrix] = []
        widths: dict[str, int] = {}
        for batch in batches:
            found = {name: as_array(block, name) for name, block in batch.items()}
            if not found or any(block.ndim != 2 for block in found.values()):
                shapes = {name: block.shape for name, block in found.items()}
                raise InputError(f"a batch holds {shapes}; expected a samples × components array per layer")
            shape = {name: block.shape[1] for name, block in found.items()}
            widths = widths or shape
            if shape != widths:
                raise InputError(f"a batch has layers {shape}, the first had {widths}; expected the same")
            if len({len(block) for block in found.values()}) > 1:
                raise InputError("the layers of a batch differ in their number of samples")
            parts.append(sparse.hstack([sparse.csr_matrix(found[name]) for name in widths], format="csr"))
        if not parts:
            raise InputError("the stream holds no batch; expected at least one")
        layers = np.repeat(list(widths), list(widths.values()))
        return cls(sparse.vstack(parts, format="csr"), layers, threshold)

    @property
    def samples(self) -> int:
        return self.values.shape[0]

    @property
    def components(self) -> int:
        return self.values.shape[1]

    @cached_property
    def peak(self) -> np.ndarray:
        """The largest importance of each component, N."""
        return self.values.max(axis=0).toarray().ravel()

    @cached_property
    def alive(self) -> np.ndarray:
        """Whether each component is above the threshold on some sample, N bools."""
        return self.peak > self.threshold

    @cached_property
    def always_on(self) -> np.ndarray:
        """Alive components above the threshold on every sample, N bools.

        One that does not vary is either always on or dead. Neither has a Pearson correlation that says
        anything about a shared task, so these are set apart: being always on is their mechanism.
        """
        return self.values.min(axis=0).toarray().ravel() > self.threshold

    @cached_property
    def varying(self) -> np.ndarray:
        """Positions of the components that are clustered: alive and not always on, ascending."""
        return np.flatnonzero(self.alive & ~self.always_on)

    @cached_property
    def frequency(self) -> np.ndarray:
        """The share of the samples on which each component is above the threshold, N."""
        above = self.values.indices[self.values.data > self.threshold]
        return np.bincount(above, minlength=self.components) / self.samples

    @cached_property
    def names(self) -> list[str]:
        """`layer:index within the layer`, N."""
        seen: dict[str, int] = {}
        names = []
        for layer in self.layers.tolist():
            seen[layer] = seen.get(layer, -1) + 1
            names.append(f"{layer}:{seen[layer]}")
        return names

    def halves(self, seed: int) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Two random halves of the samples (one more in the first if odd), with all N components."""
        if self.samples < 2:
            raise InputError("the profiles hold 1 sample; expected at least 2 to split them")
        order = np.random.default_rng(check_seed(seed)).permutation(self.samples)
        cut = (self.samples + 1) // 2
        return self.values[np.sort(order[:cut])], self.values[np.sort(order[cut:])]

    def __repr__(self) -> str:
        return (
            f"Profiles({self.samples} samples × {self.components} components "
            f"in {len(set(self.layers))} layers; {self.alive.sum()} alive, "
            f"{self.always_on.sum()} of them always on)"
        )


def _csr(values: ArrayLike | sparse.spmatrix) -> sparse.csr_matrix:
    """A CSR matrix of its own, with sorted indices and no stored zeros."""
    if not sparse.issparse(values):
        values = as_array(values, "values")
        if values.ndim != 2 or values.dtype.kind not in "biuf":
            raise InputError(
                f"values have shape {values.shape} and type {values.dtype}; expected samples × components"
            )
    found = sparse.csr_matrix(values, copy=True)
    if found.dtype not in (np.float32, np.float64):
        found = found.astype(np.float64)
    found.sum_duplicates()
    found.eliminate_zeros()
    return found


def profiles_of(decomposition: Any, batches: Iterable[torch.Tensor], *, threshold: float = 0.1) -> Profiles:
    """Importance profiles on a stream of input batches; of a batch that is a tuple or list, its first item.

    Parameters
    ----------
    decomposition : anything with `importances(x)` → layer → samples × components.
    """
    with torch.no_grad():
        return Profiles.from_batches(
            (
                {
                    name: wide(found).cpu().numpy()
                    for name, found in decomposition.importances(_samples(batch)).items()
                }
                for batch in batches
            ),
            threshold=threshold,
        )


def damage_of(
    decomposition: Any, reference: Callable[[torch.Tensor], torch.Tensor], profiles: Profiles, *, rest: bool
) -> Callable[[np.ndarray, torch.Tensor], np.ndarray]:
    """The `damage` callable of `causal_check`: kept components at mask 1, all others at 0.

    Parameters
    ----------
    decomposition : anything with `masked(x, masks, delta=...)`, masks being layer → components and delta 1 or
        0.
    reference : what the outputs are compared with: the target model, or the true function. It gets a copy of
        the inputs, cast as `record` casts them if it is a module.
    rest : whether what the components leave of the weights (Δ) stays in. With it the intact model is the
        target; without it, what "only the cluster is kept" shows is the cluster alone.
    """
    before: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # the last samples of each number
    where = {
        name: np.flatnonzero(profiles.layers == name) for name in dict.fromkeys(profiles.layers.tolist())
    }

    def expected(x: torch.Tensor) -> torch.Tensor:
        if len(x) not in before or not torch.equal(before[len(x)][0], x):
            # Copies: what runs may write into its input.
            before[len(x)] = x.clone(), first_output(reference(_cast(x, reference)), len(x))
        return before[len(x)][1]

    def damage(kept: np.ndarray, inputs: torch.Tensor) -> np.ndarray:
        x = torch.as_tensor(inputs)
        dtype = x.dtype if x.is_floating_point() else torch.float32  # tokens have masks of numbers too
        masks = {
            name: torch.as_tensor(kept[places], dtype=dtype, device=x.device)
            for name, places in where.items()
        }
        with torch.no_grad():
            output = first_output(decomposition.masked(x.clone(), masks, delta=float(rest)), len(x))
            error = wide(output) - wide(expected(x))
        return error.square().cpu().numpy()

    return damage


def _samples(batch: Any) -> torch.Tensor:
    batch = batch[0] if isinstance(batch, tuple | list) and len(batch) else batch
    return torch.tensor(batch) if isinstance(batch, np.ndarray) else batch


def _cast(x: torch.Tensor, reference: Callable) -> torch.Tensor:
    """A copy of the samples in the type of the reference's parameters, if it has one."""
    if isinstance(reference, torch.nn.Module) and x.is_floating_point():
        return x.to(dtype=floating_type(reference), copy=True)
    return x.clone()
