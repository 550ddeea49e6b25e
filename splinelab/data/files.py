"""The four files of MNIST: where they are, whether they are whole, and where to get them."""

import gzip
import hashlib
import http.client
import os
import urllib.request
from pathlib import Path

from splinelab._files import write_atomically
from splinelab.errors import DataError

__all__ = ["MIRRORS", "MNIST_FILES", "mnist_bytes"]

#: Where ``mnist`` looks when the files are not at hand, in this order.
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

#: The four files as first published: name → (bytes, SHA-256).
MNIST_FILES = {
    "train-images-idx3-ubyte.gz": (
        9912422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    "train-labels-idx1-ubyte.gz": (
        28881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    "t10k-images-idx3-ubyte.gz": (
        1648877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    "t10k-labels-idx1-ubyte.gz": (
        4542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
}


def mnist_bytes(name: str) -> bytes:
    """The unpacked content of one MNIST file, verified."""
    root = os.environ.get("SPLINELAB_DATA")
    if root and not Path(root).is_dir():
        raise DataError(f"SPLINELAB_DATA is set to {root}, which is no folder; correct or unset it")
    if root and (Path(root) / "mnist").is_dir():
        return gzip.decompress(_verified(Path(root) / "mnist" / name, "restore it, or unset SPLINELAB_DATA"))
    cache = _cache()
    if not (cache / name).exists():
        _download(name, cache)
    return gzip.decompress(_verified(cache / name, "delete it, and it is downloaded again"))


def mnist_at_hand() -> bool:
    """Whether full MNIST can be read without a download."""
    root = os.environ.get("SPLINELAB_DATA")
    if root and (Path(root) / "mnist").is_dir():
        return True
    return all((_cache() / name).is_file() for name in MNIST_FILES)


def _cache() -> Path:
    return Path(os.environ.get("SPLINELAB_CACHE") or Path.home() / ".cache" / "splinelab") / "mnist"


def _verified(path: Path, remedy: str) -> bytes:
    """The bytes of ``path`` if they are the published ones; else a ``DataError`` that says what to do."""
    size, _ = MNIST_FILES[path.name]
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = (
            "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        )
        raise DataError(f"{path} {reason}; expected {size:,} bytes of MNIST: {remedy}") from error
    problem = _problem(path.name, content)
    if problem:
        raise DataError(f"{path} {problem}: {remedy}")
    return content


def _problem(name: str, content: bytes) -> str | None:
    """What is wrong with the bytes of the MNIST file ``name``, or None."""
    size, sha256 = MNIST_FILES[name]
    if len(content) != size:
        kind = "is truncated" if len(content) < size else "is too long"
        return f"{kind}: {len(content):,} bytes, expected {size:,}"
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        return f"is corrupt: its SHA-256 is {found}, expected {sha256}"
    return None


def _download(name: str, cache: Path) -> None:
    """Fetch ``name`` from the first mirror that gives the right bytes; write it whole or not at all."""
    size, sha256 = MNIST_FILES[name]
    failures = []
    for mirror in MIRRORS:
        try:
            with urllib.request.urlopen(mirror + name, timeout=30) as response:
                content = response.read(size + 1)  # never more than needed to see that it is too long
        except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
            failures.append(f"{mirror}{name}: {getattr(error, 'reason', None) or error}")
            continue
        problem = _problem(name, content)
        if problem:
            failures.append(f"{mirror}{name} {problem}")
            continue
        try:
            cache.mkdir(parents=True, exist_ok=True)
            write_atomically(cache / name, content)
        except OSError as error:
            raise DataError(
                f"{cache / name} cannot be written ({error.strerror}): "
                "point SPLINELAB_CACHE at a folder that can, or SPLINELAB_DATA at one that holds mnist/"
            ) from error
        return
    raise DataError(
        f"{name} ({size:,} bytes, SHA-256 {sha256}) could not be downloaded: {'; '.join(failures)}. "
        f"Put the file into {cache} by hand, or point SPLINELAB_DATA at a folder that holds mnist/{name}"
    )
