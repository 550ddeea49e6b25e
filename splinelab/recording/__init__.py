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

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from numpy.typing import ArrayLike

from splinelab.recording.place import evaluation
from splinelab.recording.result import Activations, Recording
from splinelab.recording.run import Run

__all__ = ["Activations", "Recording", "record", "stream"]


def record(
    model: torch.nn.Module,
    inputs: Any,
    *,
    input: int | str | tuple | None = None,
    batch_size: int = 512,
    device: str | torch.device | None = None,
    activations: bool = True,
    output: bool = True,
    pools: bool = False,
    soft: bool = False,
    layers: str | Iterable[str] | None = None,
    also: str | Iterable[str] = (),
    positions: str | int | ArrayLike | None = None,
    ignore: str | Iterable[str] = (),
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
    output : keep the model's output. Of a language model it is one number per token and word.
    pools : code max-pooling too: one bit per output and place in its window, set where the maximum was.
    soft : code SiLU and GELU too, by the sign of their input: the hard limit of a smooth gate (see above).
    layers : record these layers alone, by name; the name of a module stands for all layers in it.
    also : modules whose (first) input is kept as well, by name, in `Recording.inputs`: "model.layers.3" gives
        the residual stream before block 3, "model.layers.3.mlp.down_proj" its SwiGLU outputs.
    positions : makes tokens the samples, of inputs that are sequences × tokens: "all" (but padding, where a
        batch holds an `attention_mask`), "last", an integer, for each sequence an integer or a list of them,
        or a boolean array, sequences × columns. Integers count the tokens of a sequence from 0, or from its
        end if negative, padding left out. `Recording.sequence` and `position` say which sample is which.
    ignore : operations ("gelu"), layers ("features.relu#2") or modules ("head") to leave out, by name.

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
    run = Run(
        model,
        inputs,
        input=input,
        batch_size=batch_size,
        device=device,
        activations=activations,
        output=output,
        pools=pools,
        soft=soft,
        layers=layers,
        also=also,
        positions=positions,
        ignore=ignore,
    )
    with evaluation(run.model, run.device):
        for batch in run.batches():
            run.step(batch)
    return run.taken()


def stream(model: torch.nn.Module, inputs: Any, **options: Any) -> Iterator[Recording]:
    """Record batch by batch, each handed over and forgotten: constant memory over any number of samples.

    Takes what `record` takes, and raises what it raises, at the batch that gives cause to. Together the parts
    are what `record` returns; batches in which `positions` choose nothing have none. The model is in
    evaluation mode only while a batch runs.

    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    >>> sum(int(part.codes.bits().sum()) for part in stream(net, torch.ones(6, 2), batch_size=2)) % 6
    0
    """
    run = Run(model, inputs, at_once=False, **options)

    def parts() -> Iterator[Recording]:
        for batch in run.batches():
            with evaluation(run.model, run.device):
                run.step(batch)
            yield run.taken()

    return parts()
