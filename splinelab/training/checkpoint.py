"""Resume points on disk: whole or absent, verified, and bound to one run; safetensors and JSON, no pickle."""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors

from splinelab._files import write_atomically
from splinelab.errors import TrainingError

FORMAT = "splinelab checkpoint 2"


def save_checkpoint(path: str | os.PathLike, state: Mapping[str, Any]) -> None:
    """Write `state` (tensors, numbers, text, None, lists, tuples and dicts of these) atomically.

    The file is a safetensors file whose metadata holds all that is no tensor, as JSON, and a SHA-256 of both.
    A failure (a full disk, no permission, an object of another kind) raises `TrainingError` and leaves the
    previous checkpoint as is.
    """
    tensors: dict[str, torch.Tensor] = {}
    try:
        tree = json.dumps({"format": FORMAT, "state": _tree(dict(state), tensors)}, allow_nan=False)
    except TypeError as error:
        raise TrainingError(f"the checkpoint {path} cannot hold {error}") from error
    body = to_safetensors(tensors, {"splinelab": json.dumps({"tree": tree, "sha256": _sha(tree, tensors)})})
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, body)
    except OSError as error:
        raise TrainingError(
            f"the checkpoint {path} ({len(body):,} bytes) could not be written: {error.strerror}. "
            "An earlier checkpoint is left as it was: make room or choose another folder, "
            "and run again to resume"
        ) from error


def load_checkpoint(path: str | os.PathLike, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """The state saved at `path`, or None if there is no file.

    Raises `TrainingError` for a file that is not a whole checkpoint, and for one whose `"identity"`
    (recipe, seed, data) is not the given one.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TrainingError(f"the checkpoint {path} cannot be read: {error.strerror}") from error
    state = _parsed(path, content)
    found = state["identity"]
    different = [key for key in sorted({*found, *identity}) if found.get(key) != identity.get(key)]
    if different:
        details = "; ".join(
            f"{key}: {found.get(key)!r} there, {identity.get(key)!r} here" for key in different
        )
        raise TrainingError(
            f"the checkpoint {path} belongs to another run ({details}); delete it or choose another file"
        )
    return state


def _parsed(path: Path, content: bytes) -> dict[str, Any]:
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        stored = json.loads(header["splinelab"])
        tensors = from_safetensors(content)
        intact = stored["sha256"] == _sha(stored["tree"], tensors)
    except Exception as error:  # whatever a parser makes of foreign bytes
        raise TrainingError(_corrupt(path, content)) from error
    if not intact:
        raise TrainingError(_corrupt(path, content))
    tree = json.loads(stored["tree"])
    if tree["format"] != FORMAT:
        raise TrainingError(
            f"the checkpoint {path} has the format {tree['format']!r}, this version reads {FORMAT!r}; "
            "delete it to start again"
        )
    return _state(tree["state"], tensors)


def _corrupt(path: Path, content: bytes) -> str:
    return (
        f"the checkpoint {path} is corrupt ({len(content):,} bytes that do not match their checksum); "
        "delete it to start again"
    )


def _sha(tree: str, tensors: Mapping[str, torch.Tensor]) -> str:
    """Over the JSON, and over name, type, shape and bytes of every tensor."""
    content = hashlib.sha256(tree.encode())
    for name, value in sorted(tensors.items()):
        content.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        content.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return content.hexdigest()


def _tree(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """`value` as JSON that says what each part is; its tensors go into `tensors`, by number."""
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()  # safetensors wants no shared memory
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"dict": [[_tree(key, tensors), _tree(item, tensors)] for key, item in value.items()]}
    if type(value) is tuple:
        return {"tuple": [_tree(item, tensors) for item in value]}
    if type(value) is list:
        return [_tree(item, tensors) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a {type(value).__name__}; expected tensors, numbers, text, lists, tuples and dicts")


def _state(tree: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """What `_tree` took apart."""
    if isinstance(tree, list):
        return [_state(item, tensors) for item in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, held),) = tree.items()
    if kind == "tensor":
        return tensors[held]
    if kind == "dict":
        return {_state(key, tensors): _state(item, tensors) for key, item in held}
    if kind == "tuple":
        return tuple(_state(item, tensors) for item in held)
    return float(held)
