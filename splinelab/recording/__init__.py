"""Run any `nn.Module` once and get its spline codes and activations, by layer.

ReLU, leaky, parametric and (in evaluation) randomised ReLU, abs, ReLU6, hard tanh, hard sigmoid, threshold,
shrinkage, clamp and elementwise maximum are caught as modules, functions and methods, in place or not. A bit
is 1 where the value *before* the operation is above the threshold; an operation with two thresholds gives two
blocks of bits. Which operand of a maximum is the threshold follows from what depends on the samples; of two
activations the first is the value. Every other operation is looked up in `splinelab.recording.operations`:
linear ones, attention and normalisation pass without a code, and what the table does not know is refused.

Layers are in call order, named after their module: `act` for a `nn.ReLU` at `model.act`, `block.relu` for a
`relu` called in the forward of `model.block`, `relu` in the model's own. A second call of the same name is
`act#2`.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from splinelab.codes import SplineCodes
from splinelab.recording.arrays import Rows, check_finite
from splinelab.recording.batch import Batch
from splinelab.recording.check import Check
from splinelab.recording.inputs import Reader, expected_samples
from splinelab.recording.outputs import first_output
from splinelab.recording.place import evaluation, place
from splinelab.recording.recorder import Recorder
from splinelab.recording.result import Activations, Recording

__all__ = ["Activations", "Recording", "record"]


def record(
    model: torch.nn.Module,
    inputs: Any,
    *,
    input: int | str | tuple | None = None,
    batch_size: int = 512,
    device: str | torch.device | None = None,
    activations: bool = True,
    pools: bool = False,
    ignore: Iterable[str] = (),
) -> Recording:
    """Run the model over the inputs and keep the spline code of every piecewise-linear activation.

    A few samples of the first batch are compared with the plain model, and with themselves in another batch
    size. The model's parameters, buffers, hooks, training flags and torch's random state are left as they
    were.

    Parameters
    ----------
    model : any module; runs in evaluation mode without gradients.
    inputs : a tensor or array with the samples first; a dict of such arrays by the names of the forward's
        arguments, or a tuple for a forward of several; splinelab's own data sets; a torch Dataset; a
        DataLoader or another iterable of batches. Of a batch that is a tuple the first item is the input, the
        others labels; a dict is passed by name. Floats are cast to the model's type if it has one.
    input : what of a batch the model takes, where that could be doubted: a position in the tuple (`input=1`
        for a loader of (index, tokens)), a name in the dict or of a keyword-only argument, or a tuple of
        these.
    batch_size : samples per forward pass, for inputs that are not yet batches.
    device : where to run (another one than the model's runs a copy); None means where the model lies.
    activations : keep the values before and after each nonlinearity, too: 65 bits per unit and sample, not 1.
    pools : code max-pooling too: one bit per output and place in its window, set where the maximum was.
    ignore : operations ("softmax"), layers ("features.relu#2") or modules ("head") to leave out, by name.

    Raises
    ------
    UnsupportedOperationError : an operation has no rule (GELU, softmax, comparisons, …), draws random numbers
        or depends on the other samples; or the model is scripted or compiled. The message names operation,
        module and the entry of `ignore` that leaves it out.
    InputError : no layer was found, values are not finite, the inputs are empty, ambiguous or of a wrong
        kind, `ignore` names nothing, or the layers differ between batches.
    VerificationError : the plain model gives another output.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> recording = record(net, torch.randn(5, 2))
    >>> recording
    Recording(SplineCodes(5 samples × 3 units; 1: 3); activations 0.0 MB; output 5 × 1)
    >>> bool((recording.codes.bits() == (recording.pre["1"] > 0)).all())
    True
    """
    model, device, dtype = place(model, device)
    ignore = (ignore,) if isinstance(ignore, str) else tuple(ignore)
    recorder = Recorder(model, activations, pools, ignore, expected_samples(inputs))
    with evaluation(model, device):
        packed, output = _run(
            model, recorder, Reader(model, input).batches(inputs, batch_size, device, dtype)
        )
    codes = SplineCodes(np.concatenate(packed), recorder.layers)
    return Recording(codes, _gathered(recorder.pre), _gathered(recorder.post), output)


def _run(model: torch.nn.Module, recorder: Recorder, batches: Iterable[Batch]) -> tuple[list, np.ndarray]:
    """Record batch by batch, the first and a smaller last one checked: packed codes, and the output."""
    packed: list[np.ndarray] = []
    outputs = Rows(recorder.expected)
    for batch in batches:
        output = recorder.run(batch)
        if not packed:
            recorder.check_layers()
        packed.append(recorder.packed())
        output = first_output(output, len(batch))
        advice = "Check the weights of its last layers."
        check_finite(output, "The model's output holds", recorder.seen, advice)
        outputs.append(output)
        if len(packed) == 1:
            Check(batch).compare(model, recorder, packed[0], outputs.array())
            size = len(batch)
    if len(batch) != size:
        Check(batch).compare(model, recorder, packed[-1], outputs.array()[-len(batch) :])
    return packed, outputs.array()


def _gathered(kept: dict[str, Rows]) -> Activations:
    # Layer by layer, so that at most one layer lies in memory twice.
    return Activations({name: kept.pop(name).array() for name in list(kept)})
