"""Resume points on disk: whole or absent, verified, and bound to one run."""

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from splinelab._files import write_atomically
from splinelab.errors import TrainingError

__all__ = ["load_checkpoint", "save_checkpoint"]

_MAGIC = b"splinelab checkpoint 1\n"


def save_checkpoint(path: str | os.PathLike, state: Mapping[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, text, lists and dicts) atomically, behind its own SHA-256.

    A failure (a full disk, no permission) raises ``TrainingError`` and leaves the previous checkpoint as is.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    body = buffer.getvalue()
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _MAGIC + hashlib.sha256(body).digest() + body)
    except OSError as error:
        raise TrainingError(
            f"the checkpoint {path} ({len(body):,} bytes) could not be written: {error.strerror}. "
            "An earlier checkpoint is left as it was: make room or choose another folder, "
            "and run again to resume"
        ) from error


def load_checkpoint(path: str | os.PathLike, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """The state saved at ``path``, or None if there is no file.

    Loads with ``weights_only=True``. Raises ``TrainingError`` for a file that is not a whole checkpoint, and
    for one whose ``"identity"`` (recipe, seed, data) is not the given one.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TrainingError(f"the checkpoint {path} cannot be read: {error.strerror}") from error
    start = len(_MAGIC) + 32
    digest, body = content[len(_MAGIC) : start], content[start:]
    if not content.startswith(_MAGIC) or hashlib.sha256(body).digest() != digest:
        raise TrainingError(
            f"the checkpoint {path} is corrupt ({len(content):,} bytes that do not match their checksum); "
            "delete it to start again"
        )
    state = torch.load(io.BytesIO(body), weights_only=True, map_location="cpu")
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
