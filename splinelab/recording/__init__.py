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

>>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
>>> recording = record(net, torch.randn(5, 2))
>>> recording
Recording(SplineCodes(5 samples × 3 units; 1: 3); activations 0.0 MB; output 5 × 1)
>>> bool((recording.codes.bits() == (recording.pre["1"] > 0)).all())
True

Language models
---------------
A causal model of `transformers` is recorded as it comes, on tokens or on what its tokenizer returns. With
`positions` its tokens are the samples; padding never is one, on either side. (A model with learnt positions,
such as GPT-2, must be told them where padding is on the left: `position_ids`, as for generating.)

With `soft=True` a SiLU or GELU is a layer too. It multiplies its input x with a gate between 0 and 1, whose
hard limit is the bit x > 0: the *gate code*. Where the result is multiplied with another branch, as in the
gated MLP of a Llama, the sign of that branch, the *up code*, is a layer of its own, named after the module
that made it; its `post` is the product. `codes.select(gate, up)` is their joint code:
`model.layers.0.mlp.act_fn` and `model.layers.0.mlp.up_proj`. Such bits say where a gate is half open, not
where the network bends: between two of them it is not linear.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from numpy.typing import ArrayLike

from splinelab.recording.choosing import Wanted
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

    A few samples of the first batch of each size are compared with the plain model, and with themselves in
    another size. The model and torch's random state are left as they were.

    Parameters
    ----------
    model : any module; runs in evaluation mode without gradients.
    inputs : a tensor or array with the samples first; a dict of these by the names of the forward's arguments
        or a tuple of several; a data set; a DataLoader or another iterable of batches. Of a batch that is a
        tuple the first item is the input, the others labels. Floats are cast to the model's type.
    input : what of a batch the model takes, where that could be doubted: a position in the tuple (`input=1`
        for a loader of (index, tokens)), a name in the dict or of an argument, or a tuple of these.
    batch_size : samples (or sequences) per forward pass, for inputs that are not yet batches.
    device : where to run (another one than the model's runs a copy); None means where the model lies.
    activations : keep the values before and after each nonlinearity, too: 65 bits per unit and sample, not 1.
    output : keep the model's output, of a language model one number for each token and word that it knows.
    pools : code max-pooling too: one bit per output and place in its window, set where the maximum was.
    soft : code SiLU and GELU by the sign of their input, and what they gate: see this module's text.
    layers : record these alone, by name; a module's name stands for all layers in it.
    also : modules whose first input is kept in `Recording.inputs`: "model.layers.3", the residual stream.
    positions : make tokens the samples, of sequences × tokens: "all" but padding (0 in `attention_mask`),
        "last", an integer, an integer or a list of them by sequence, or booleans, sequences × columns.
        Integers count a sequence's tokens from 0, or from its end if negative, padding left out.
    ignore : operations ("gelu"), layers ("features.relu#2") or modules ("head") to leave out, by name.

    Raises
    ------
    UnsupportedOperationError : an operation has no rule or mixes samples, or the model is scripted or
        compiled. The message names operation, module and the entry of `ignore` that leaves it out.
    InputError : inputs or options that do not fit, values that are not finite, no layer, changing layers.
    VerificationError : the plain model gives another output.
    """
    wanted = Wanted.of(activations, output, pools, soft, layers, also, ignore)
    run = Run(model, inputs, wanted, positions, input, batch_size, device)
    with evaluation(run.model, run.device):
        for batch in run.batches():
            run.step(batch)
    return run.taken()


def stream(
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
) -> Iterator[Recording]:
    """Record batch by batch, each handed over and forgotten: constant memory over any number of samples.

    Takes what `record` takes, and raises what it raises, at the batch that gives cause to. Together the parts
    are what `record` returns; a batch in which `positions` choose nothing gives none. The model is in
    evaluation mode only while a batch runs.

    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    >>> [len(part) for part in stream(net, torch.ones(5, 2), batch_size=2)]
    [2, 2, 1]
    """
    wanted = Wanted.of(activations, output, pools, soft, layers, also, ignore)
    run = Run(model, inputs, wanted, positions, input, batch_size, device, at_once=False)

    def parts() -> Iterator[Recording]:
        for batch in run.batches():
            with evaluation(run.model, run.device):
                run.step(batch)
            yield run.taken()

    return parts()
