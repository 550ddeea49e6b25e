"""What is held against the plain network before anything is returned: the points, the copy, and the maps."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from splinelab.codes import SplineCodes
from splinelab.errors import InputError, SplinelabError, VerificationError
from splinelab.polytopes.geometry import trace
from splinelab.polytopes.geometry.exact import evaluate, exact_copy, home
from splinelab.polytopes.geometry.mesh import Uncut
from splinelab.polytopes.geometry.points import check_finite
from splinelab.polytopes.geometry.rest import Rest
from splinelab.polytopes.geometry.tolerances import EXACT, NEAR, OWN
from splinelab.recording.outputs import first_output
from splinelab.recording.place import evaluation, floating_type

BATCH = 512  # points at once where the network is only evaluated
MOST, LEAST, SHARE = 64, 8, 16  # places to check: one in 16, but 8 at least and 64 at most


def begin(
    model: nn.Module, given: list[torch.Tensor], what: str, *, layer: str | None, device
) -> tuple[nn.Module, list[torch.Tensor]]:
    """The float64 copy that a traversal runs on, and its points; with `layer` the rest of it, and their
    activations. `given`: points × the model's input, several times, called `what` in errors.

    Raises `InputError` for points that the model does not take, and `VerificationError` where the copy gives
    another output than the model in its own precision.
    """
    shapes = {tuple(points.shape[1:]) for points in given}
    if len(shapes) > 1:
        raise InputError(f"{what} must be of one shape; got {sorted(shapes)}.")
    exact = exact_copy(model, device)
    _check_points(model, exact, given[0][:3], what)
    if layer is None:
        return exact, given
    rest = Rest(exact, layer, given[0])
    given = [rest.activations(points).cpu() for points in given]
    for points in given:
        check_finite(points, f"Their activations at {layer!r}")
    return exact_copy(rest, device), given


def _check_points(model: nn.Module, exact: nn.Module, points: torch.Tensor, what: str) -> None:
    try:
        evaluate(exact, points.to(home(exact)))
    except SplinelabError:
        raise
    except Exception as error:
        if _own(model, points) is not None:
            raise InputError(
                f"{what}: the model takes them, its float64 copy fails: {_line(error)} Does the model hold "
                "layers or constants where a copy does not reach them (a closure, a global)? Make them its "
                "modules and buffers."
            ) from error
        shape = tuple(points.shape[1:])
        hint = ""
        if shape[:1] == (1,):
            hint = " A point has no axis for the batch: pass x[0] instead of x[:1]."
        if not points.is_floating_point():
            hint = f" They are {points.dtype}: convert them as in training, for images usually images / 255."
        raise InputError(
            f"{what}: the model takes no points of shape {shape}: {_line(error)}{hint}"
        ) from error
    found = _own(model, points)
    if found is None:
        return
    rounded, own = found
    theirs = evaluate(exact, rounded.to(home(exact))).cpu()
    apart = (own - theirs).abs().max().item() if own.shape == theirs.shape else np.inf
    largest = theirs.abs().max().item() or 1.0
    if apart <= OWN * largest or not torch.isfinite(own).all():
        return
    # Few bits, or terms that cancel, may lose more: then a small change of the points shows it.
    generator = torch.Generator().manual_seed(0)
    moved = (
        rounded * (1 + 1e-3 * torch.rand(rounded.shape, generator=generator))
        if rounded.is_floating_point()
        else rounded
    )
    shaken = _own(model, moved)
    if shaken is not None and apart <= 30 * (shaken[1] - own).abs().max().item():
        return
    raise VerificationError(
        f"The float64 copy of the model gives another output than the model itself: they differ by "
        f"{apart / largest:.1e} of the largest output at {what}. Does the model draw random numbers, keep a "
        "state between calls, or hold layers where a copy does not reach them (a closure, a global)?"
    )


def _own(model: nn.Module, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The points as the model takes them, and its output in its own precision; None if it takes none."""
    kinds = [floating_type(model)] if floating_type(model) else [torch.float32, torch.float64, torch.bfloat16]
    for kind in kinds if points.is_floating_point() else [points.dtype]:
        rounded = points.to(home(model), kind)
        try:
            with evaluation(model, home(model)):
                output = first_output(model(rounded.clone()), len(points))
        except Exception:  # of another kind, or not written for this precision
            continue
        back = rounded.double() if points.is_floating_point() else rounded
        return back.cpu(), output.detach().double().reshape(len(points), -1).cpu()
    return None


def places(sizes: np.ndarray) -> np.ndarray:
    """Which pieces to check, ascending: the largest, some of the smallest, and some at random from a seed."""
    count = min(len(sizes), MOST, max(LEAST, len(sizes) // SHARE))
    if count == len(sizes):
        return np.arange(count)
    order = np.argsort(sizes)
    ends = [order[-(count // 4) :], order[: count // 8]]
    drawn = np.random.default_rng(0).choice(
        order[count // 8 : -(count // 4)], count - sum(map(len, ends)), False
    )
    return np.sort(np.concatenate([*ends, drawn]))


def verify(
    exact: nn.Module,
    points: np.ndarray,
    ours: np.ndarray,
    codes: SplineCodes,
    largest: float,
    where: Callable[[int], str],
) -> None:
    """Compare outputs and codes that were found otherwise with an `exact_copy` at some points.

    `ours`: points × outputs; `largest`: the largest output of the whole result; `where(i)` says in words
    where point i lies. Raises `VerificationError`. The batches have other sizes than a traversal's.
    """
    bits = {name: codes.select(name).bits() for name in codes.layers}
    edges = sorted({0, min(2, len(points)), *range(2, len(points), BATCH), len(points)})
    largest = largest or 1.0
    for first, stop in pairwise(edges):
        rows = slice(first, stop)
        theirs, layers = _plain(exact, points[rows])
        difference = (
            np.abs(theirs - ours[rows])
            if theirs.shape == ours[rows].shape
            else np.full((stop - first, 1), np.inf)
        )
        worst = int(np.nanargmax(np.where(np.isnan(difference), np.inf, difference).max(axis=1)))
        error = difference[worst].max() / largest
        wrong = _wrong_layers(bits, layers, rows)
        if not error <= EXACT and not error <= 100 * _noise(exact, points[rows], theirs) / largest:
            _refuse(where(first + worst), ours[first + worst], theirs[worst], error, wrong[worst])
        if any(wrong):
            at = next(i for i, name in enumerate(wrong) if name)
            raise VerificationError(
                f"{where(first + at)}: the code differs from the network's in layer {wrong[at]!r}, where the "
                "pre-activation is no rounding error away from its threshold. Please report this."
            )


def _refuse(where: str, ours: np.ndarray, theirs: np.ndarray, error: float, layer: str) -> None:
    unit = int(np.abs(theirs - ours).argmax()) if ours.shape == theirs.shape else 0
    values = f"output {unit} is {ours[unit]:.6g}, the network's {theirs[unit]:.6g}"
    since = f"The first layer whose code differs is {layer!r}." if layer else "The codes agree there."
    raise VerificationError(
        f"{where}: {values}; they differ by {error:.1e} of the largest output, {EXACT:g} allowed. {since} "
        "Some operation of the model depends on more than its input: on other samples, a state, a random "
        "number."
    )


def _plain(exact: nn.Module, points: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The network's output and its pre-activations by layer, computed plainly."""
    watched = Uncut(len(points))
    output = trace.run(exact, watched, torch.from_numpy(points).to(home(exact)), one_pass=False)
    layers = {name: z.cpu().numpy() for name, z in watched.given.items() if name in watched.layers}
    return output.reshape(len(points), -1).cpu().numpy(), layers


def _wrong_layers(bits: dict, layers: dict, rows: slice) -> list[str]:
    """For each point the first layer in which a bit is wrong by more than rounding, or ""."""
    found = [""] * (rows.stop - rows.start)
    for name in reversed(list(bits)):
        z = layers.get(name)
        mine = bits[name][rows]
        if z is None or z.shape != mine.shape:
            return [name] * len(found)
        wrong = ((z > 0) != mine) & (np.abs(z) > NEAR * np.abs(z).max(initial=0))
        for i in np.flatnonzero(wrong.any(axis=1)):
            found[i] = name
    extra = [name for name in layers if name not in bits]
    return [extra[0]] * len(found) if extra else found


def _noise(exact: nn.Module, points: np.ndarray, theirs: np.ndarray) -> float:
    """By how much rounding moves the outputs: a change of the points in their last digits shows it."""
    moved = points * (1 + 4e-16 * np.random.default_rng(0).choice([-1, 1], points.shape))
    change = np.abs(_plain(exact, moved)[0] - theirs).max()
    return min(change, 1e-8 * np.abs(theirs).max())


def _line(error: Exception) -> str:
    return (
        str(error).strip().splitlines()[0].rstrip(".") + "." if str(error).strip() else type(error).__name__
    )
