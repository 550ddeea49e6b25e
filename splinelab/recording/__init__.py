"""Run any `nn.Module` once and get its spline codes and activations, by layer."""

from collections.abc import Iterable

import numpy as np
import torch

from splinelab.codes import SplineCodes
from splinelab.errors import InputError
from splinelab.recording.arrays import Rows, check_finite
from splinelab.recording.check import Check
from splinelab.recording.inputs import Reader, expected_samples
from splinelab.recording.outputs import first_output
from splinelab.recording.place import evaluation, place
from splinelab.recording.recorder import Recorder
from splinelab.recording.result import Activations, Recording

__all__ = ["Activations", "Recording", "record"]


def record(
    model: torch.nn.Module,
    inputs,
    *,
    input: int | str | tuple | None = None,
    batch_size: int = 512,
    device: str | torch.device | None = None,
    activations: bool = True,
    pools: bool = False,
    ignore: Iterable[str] = (),
) -> Recording:
    """Run the model over the inputs and keep the spline code of every piecewise-linear activation.

    ReLU, leaky, parametric and (in evaluation) randomised ReLU, abs, ReLU6, hard tanh, hard sigmoid,
    threshold, shrinkage, clamp and elementwise maximum are caught as modules, functions and methods, in
    place or not. A bit is 1 where the value *before* the operation is above the threshold; an operation
    with two thresholds gives two blocks of bits. Which operand of a maximum is the threshold follows from
    what depends on the samples; of two activations the first is the value.

    Every other operation is looked up in `splinelab.recording.operations`: linear ones, attention and
    normalisation pass without a code, and what the table does not know is refused. A few samples of the first
    batch are compared with the plain model, and with themselves in another batch size.

    Parameters
    ----------
    model : nn.Module
        Runs in evaluation mode without gradients; its parameters, buffers, hooks and training flags, and
        torch's random state, are afterwards as they were.
    inputs
        A tensor or array with the samples first; a dict of such arrays, passed to the model's forward by
        name; for a forward of several inputs a tuple of such arrays; splinelab's own data sets; a torch
        Dataset, read through `__getitem__`; a DataLoader or another iterable of batches, in whose order the
        samples are kept. Of a batch that is a tuple the first item is the input, the others labels; a batch
        that is a dict is passed by name. Floats are cast to the model's floating-point type if it has one.
    input
        What of a batch the model takes, where that could be doubted: a position in the tuple (`input=1` for a
        loader of (index, tokens)), a name in the dict, or a tuple of these for a model of several inputs. For
        tensors and a forward with keyword-only arguments: the argument's name.
    batch_size : int
        Samples per forward pass, for inputs that are not yet batches.
    device
        Where to run; None means where the model lies. On another device a copy of the model runs.
    activations : bool
        Keep the values before and after each nonlinearity. False keeps only packed codes and the output:
        one bit per unit and sample instead of 65.
    pools : bool
        Code max-pooling too: one bit per output and place in its window, set where the maximum was.
    ignore
        Leave out operations ("softmax"), layers ("features.relu#2") or whole modules ("head"), by name.

    Returns
    -------
    Recording
        Layers are in call order, named after their module: `act` for a `nn.ReLU` at `model.act`,
        `block.relu` for a `relu` called in the forward of `model.block`, `relu` in the model's own. A
        second call of the same name is `act#2`.

    Raises
    ------
    UnsupportedOperationError
        An operation has no rule (GELU, softmax, comparisons, …), draws random numbers or depends on the other
        samples of the batch; or the model is scripted or compiled. The message names operation, module and
        the entry of `ignore` that leaves it out.
    InputError
        No layer was found, values are not finite, the inputs are empty, ambiguous or of a wrong kind,
        `ignore` names nothing, or the layers differ between batches.
    VerificationError
        The plain model gives another output.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> recording = record(net, torch.randn(5, 2))
    >>> recording
    Recording(SplineCodes(5 samples × 3 units; 1: 3); activations 0.0 MB; output 5 × 1)
    >>> bool((recording.codes.bits() == (recording.pre["1"] > 0)).all())
    True
    """
    model, device, dtype = place(model, device)
    ignore = (ignore,) if isinstance(ignore, str) else tuple(ignore)
    reader, expected = Reader(model, input), expected_samples(inputs)
    recorder = Recorder(model, activations=activations, pools=pools, ignore=ignore, expected=expected)
    packed: list[np.ndarray] = []
    outputs = Rows(expected)
    with evaluation(model, device):
        for batch in reader.batches(inputs, batch_size, device, dtype):
            output = recorder.run(batch)
            if not packed:
                recorder.check_ignore()
                if not recorder.layers:
                    raise InputError(_no_layers(ignore))
            packed.append(recorder.packed())
            output = first_output(output, len(batch))
            check_finite(
                output, "The model's output holds", recorder.seen, "Check the weights of its last layers."
            )
            outputs.append(output)
            if len(packed) == 1:
                Check(batch).compare(model, recorder, packed[0], outputs.array())
                size = len(batch)
        if len(batch) != size:  # the last one may be smaller
            Check(batch).compare(model, recorder, packed[-1], outputs.array()[-len(batch) :])
    codes = SplineCodes(np.concatenate(packed), recorder.layers)
    return Recording(codes, _gathered(recorder.pre), _gathered(recorder.post), outputs.array())


def _gathered(kept: dict[str, Rows]) -> Activations:
    # Layer by layer, so that at most one layer lies in memory twice.
    return Activations({name: kept.pop(name).array() for name in list(kept)})


def _no_layers(ignore: tuple[str, ...]) -> str:
    ignored = f" apart from what ignore={ignore} leaves out" if ignore else ""
    return (
        f"No ReLU or other piecewise-linear activation was called in the model{ignored}: it has no spline "
        "code. Pass a network with such activations."
    )
