"""The rest of a network: what it does to the activations of one of its layers."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from splinelab.errors import InputError, closest
from splinelab.polytopes.geometry.exact import home
from splinelab.polytopes.geometry.points import samples_of
from splinelab.recording.outputs import first_output
from splinelab.recording.place import evaluation, floating_type

BATCH = 256
WHAT = "The inputs"


def from_layer(model: nn.Module, layer: str, inputs: Any) -> tuple[nn.Module, torch.Tensor]:
    """The network from a layer on, and what reaches it for these inputs, samples × ….

    The layer "input" is the network itself, and the inputs.
    """
    inputs = _samples(inputs)
    if layer == "input":
        return model, inputs
    rest = Rest(model, layer, inputs)
    return rest, rest.activations(inputs)


class Rest(nn.Module):
    """A network from a layer on: takes the output of the module called `layer`, gives the network's output.

    Parameters
    ----------
    model : the whole network, shared and not copied.
    layer : the path of a module, as in `model.named_modules()`. Its *output* is the input of the rest.
    example : one or more inputs of the model, samples first. The part before the layer is run on the first,
        for shapes only.

    Raises
    ------
    InputError : there is no such module, it is called more than once, or something beside it reaches the
        output (a skip connection round the layer): then its activations do not determine the output.

    Notes
    -----
    Recording the rest gives the layers behind `layer`, by the names that they have in the whole model. Codes
    "from layer L to the output" (Black, Sharkey et al., 2022) are the codes of `Rest(model, L, x)`.
    """

    example: torch.Tensor
    any_size: bool

    def __init__(self, model: nn.Module, layer: str, example: Any):
        super().__init__()
        modules = dict(model.named_modules())
        if layer not in modules or not layer:
            names = [name for name in modules if name]
            hint = closest(layer, names).strip() or f"It has {', '.join(names)}."
            raise InputError(f"The model has no layer {layer!r}; {hint}")
        self.model, self.layer = model, layer
        example = _samples(example)[:1]
        self.register_buffer("example", self._like_weights(example).clone(), persistent=False)
        self._check_cut()

    def named_modules(
        self, memo: set | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Module]]:
        """The whole model's names, so that layers are called here as there."""
        yield prefix, self
        for name, module in self.model.named_modules(memo, prefix, remove_duplicate):
            if name != prefix:
                yield name, module

    def forward(self, activations: torch.Tensor) -> torch.Tensor:
        """Activations at the layer, samples × …, to the model's output."""
        example = self.example
        if not self.any_size:
            example = example.expand(len(activations), *example.shape[1:])
        return self._forward(activations, example)

    def activations(self, inputs: Any) -> torch.Tensor:
        """The layer's output for inputs of the model, samples × …, in evaluation mode."""
        inputs = self._like_weights(_samples(inputs))
        with evaluation(self, home(self.model)):
            return torch.cat([self._before(batch) for batch in inputs.split(BATCH)])

    def _like_weights(self, x: torch.Tensor) -> torch.Tensor:
        x = x.to(home(self.model))
        kind = floating_type(self.model)  # none where weights differ: such a model takes inputs as they come
        return x.to(kind) if kind and x.is_floating_point() else x  # tokens stay integers

    def _before(self, inputs: torch.Tensor) -> torch.Tensor:
        seen = []
        hook = self.model.get_submodule(self.layer).register_forward_hook(
            lambda module, args, output: seen.append(output)
        )
        try:
            self.model(inputs.clone())
        finally:
            hook.remove()
        if len(seen) != 1 or not torch.is_tensor(seen[0]):
            what = f"was called {len(seen)} times" if len(seen) != 1 else "gives no single tensor"
            raise InputError(
                f"The layer {self.layer!r} {what} in one pass; choose one that gives one tensor."
            )
        return seen[0].clone()

    def _forward(self, activations: torch.Tensor, example: torch.Tensor) -> torch.Tensor:
        # What comes before the layer is of no interest to whoever watches: function modes are off there.
        unseen = torch._C.DisableTorchFunction()

        def swap(module, args, output):
            unseen.__exit__(None, None, None)
            return activations

        hook = self.model.get_submodule(self.layer).register_forward_hook(swap)
        unseen.__enter__()
        try:
            return self.model(example.clone())
        except BaseException:
            unseen.__exit__(None, None, None)
            raise
        finally:
            hook.remove()

    def _output(self, activations: torch.Tensor, example: torch.Tensor) -> torch.Tensor:
        return first_output(self._forward(activations.clone(), example), len(activations))

    def _check_cut(self) -> None:
        activations = self.activations(self.example)
        generator = torch.Generator().manual_seed(0)
        other = torch.rand(self.example.shape, generator=generator, dtype=torch.float64).to(self.example)
        with evaluation(self, home(self.model)):
            outputs = [self._output(activations, x) for x in (self.example, other)]
            two = activations.repeat(2, *[1] * (activations.ndim - 1))
            both = self.example.repeat(2, *[1] * (self.example.ndim - 1))
            # One row before the layer will do for all behind it, unless a size is taken from there.
            try:
                self.any_size = torch.equal(self._output(two, self.example), self._output(two, both))
            except Exception:  # of whatever kind a model makes of sizes that differ
                self.any_size = False
        if not torch.equal(*outputs):
            raise InputError(
                f"The output does not depend on the input through {self.layer!r} alone: a connection goes "
                "round it. Choose a layer that everything passes, such as the end of a residual block."
            )


def _samples(inputs) -> torch.Tensor:
    inputs = samples_of(inputs, WHAT)
    # A copy: the arrays of a data set may be read-only.
    inputs = inputs if torch.is_tensor(inputs) else torch.tensor(np.ascontiguousarray(inputs))
    if inputs.ndim == 0 or not len(inputs):
        raise InputError(
            f"{WHAT} have the shape {tuple(inputs.shape)}; expected samples × the model's input."
        )
    return inputs
