"""Run any `nn.Module` once and get its spline codes and activations, by layer."""

from collections.abc import Iterable

import numpy as np
import torch

from splinelab.codes import SplineCodes
from splinelab.errors import InputError
from splinelab.recording.arrays import Rows, check_finite
from splinelab.recording.inputs import batches, evaluation, expected_samples, place
from splinelab.recording.recorder import Recorder
from splinelab.recording.result import Activations, Recording

__all__ = ["Activations", "Recording", "record"]


def record(
    model: torch.nn.Module,
    inputs,
    *,
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
    with two thresholds gives two blocks of bits. Attention and normalisation pass without a code. A
    `torch.jit.script`ed function that is called from plain Python code cannot be seen.

    Parameters
    ----------
    model : nn.Module
        Runs in evaluation mode without gradients; its parameters, buffers, hooks and training flags, and
        torch's random state, are afterwards as they were.
    inputs
        A tensor or array with the samples first, a data set with `.images`, a torch Dataset, a DataLoader
        or another iterable of batches, in whose order the samples are kept. Floats are cast to the
        model's floating-point type.
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
        An activation has no rule (GELU, softmax, …), or the model is scripted or compiled.
    InputError
        No layer was found, values are not finite, the inputs are empty or of a wrong kind, or the layers
        differ between batches.

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
    expected = expected_samples(inputs)
    recorder = Recorder(model, activations=activations, pools=pools, ignore=ignore, expected=expected)
    packed: list[np.ndarray] = []
    outputs = Rows(expected)
    with evaluation(model, device):
        for batch in batches(inputs, batch_size, device, dtype):
            recorder.begin(len(batch))
            with torch.no_grad(), recorder:
                output = model(batch)
            if not recorder.layers:
                raise InputError(_no_layers(ignore))
            packed.append(recorder.packed())
            outputs.append(_checked_output(output, recorder))
    codes = SplineCodes(np.concatenate(packed), recorder.layers)
    return Recording(codes, _gathered(recorder.pre), _gathered(recorder.post), outputs.array())


def _gathered(kept: dict[str, Rows]) -> Activations:
    # Layer by layer, so that at most one layer lies in memory twice.
    return Activations({name: kept.pop(name).array() for name in list(kept)})


def _checked_output(output, recorder: Recorder) -> torch.Tensor:
    if isinstance(output, tuple | list) and output:
        output = output[0]
    if not torch.is_tensor(output) or output.ndim == 0 or len(output) != recorder.samples:
        shape = f" of shape {tuple(output.shape)}" if torch.is_tensor(output) else ""
        raise InputError(
            f"The model must return a tensor with the {recorder.samples} samples first, or a tuple that "
            f"begins with one; got {type(output).__name__}{shape}."
        )
    check_finite(output, "The model's output holds", recorder.seen, "Check the weights of its last layers.")
    return output


def _no_layers(ignore: tuple[str, ...]) -> str:
    ignored = f" apart from what ignore={ignore} leaves out" if ignore else ""
    return (
        f"No ReLU or other piecewise-linear activation was called in the model{ignored}: it has no spline "
        "code. Pass a network with such activations."
    )
