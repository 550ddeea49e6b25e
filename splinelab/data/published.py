"""Files that others publish: where they are, whether they are whole, and where to get them."""

import hashlib
import http.client
import os
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from splinelab._files import remove_leftovers, write_atomically
from splinelab.errors import DataError


@dataclass(frozen=True)
class Published:
    """One published file.

    Attributes
    ----------
    name, size, sha256 : as published; size in bytes or None (not known), the checksum hexadecimal.
    folder : the folder under `SPLINELAB_DATA` and under the cache that holds it.
    what : what it is, for messages.
    origins : the addresses to download it from, in the order in which they are tried.
    convert : what makes the content out of the file's bytes, `ValueError` where it cannot. Size and checksum
        are then the content's: for a file whose own bytes are not on record.
    """

    name: str
    size: int | None
    sha256: str
    folder: str
    what: str
    origins: tuple[str, ...] = ()
    convert: Callable[[bytes], bytes] | None = None

    @property
    def told(self) -> str:
        """What to expect of the file, in words."""
        return self.what if self.size is None else f"{self.size:,} bytes of {self.what}"


def data_folder(name: str) -> Path | None:
    """The folder `name` under `SPLINELAB_DATA`, or None if there is none.

    Raises `DataError` if `SPLINELAB_DATA` is set to what is no folder.
    """
    root = os.environ.get("SPLINELAB_DATA")
    if not root:
        return None
    if not Path(root).is_dir():
        raise DataError(f"SPLINELAB_DATA is set to {root}, which is no folder; correct or unset it")
    return Path(root) / name if (Path(root) / name).is_dir() else None


def read(file: Published) -> bytes:
    """The content of a published file, verified: from `SPLINELAB_DATA` if it has the folder, else the cache.

    A file that the cache lacks is downloaded to it first, whole or not at all. Raises `DataError` for a
    file that is missing, truncated, corrupt or cannot be fetched.
    """
    folder = data_folder(file.folder)
    if folder is not None:
        return verified(folder / file.name, file, "restore it, or unset SPLINELAB_DATA")
    cache = cache_folder(file.folder)
    remove_leftovers(cache / file.name)
    if not (cache / file.name).exists():
        _download(file, cache)
    return verified(cache / file.name, file, "delete it, and it is downloaded again")


def at_hand(file: Published) -> bool:
    """Whether `read` needs no download."""
    root = os.environ.get("SPLINELAB_DATA")
    if root and (Path(root) / file.folder).is_dir():
        return True
    return (cache_folder(file.folder) / file.name).is_file()


def verified(path: Path, file: Published, remedy: str) -> bytes:
    """The content of `path` if it is the published one; else a `DataError` that says what to do."""
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = (
            "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        )
        raise DataError(f"{path} {reason}; expected {file.told}: {remedy}") from error
    content, problem = _content(file, content)
    if problem:
        raise DataError(f"{path} {problem}: {remedy}")
    return content


def cache_folder(name: str) -> Path:
    """The folder `name` of what is kept: in `SPLINELAB_CACHE`, `~/.cache/splinelab` unless set."""
    return Path(os.environ.get("SPLINELAB_CACHE") or Path.home() / ".cache" / "splinelab") / name


def _content(file: Published, raw: bytes) -> tuple[bytes, str | None]:
    """What a file with these bytes holds, and what is wrong with it, or None."""
    if file.convert is None:
        return raw, _problem(file, raw)
    try:
        content = file.convert(raw)
    except ValueError as error:
        return b"", str(error)
    problem = _problem(file, content)
    return content, problem and f"has other content than expected; what is read of it {problem}"


def _problem(file: Published, content: bytes) -> str | None:
    """What is wrong with this content, or None."""
    if file.size is not None and len(content) != file.size:
        kind = "is truncated" if len(content) < file.size else "is too long"
        return f"{kind}: {len(content):,} bytes, expected {file.size:,}"
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        return f"is corrupt: its SHA-256 is {found}, expected {file.sha256}"
    return None


def _download(file: Published, cache: Path) -> None:
    """Fetch a file from the first origin that gives the right bytes; write it whole or not at all."""
    failures = []
    for address in file.origins:
        try:
            with urllib.request.urlopen(address, timeout=30) as response:
                most = (
                    -1 if file.size is None or file.convert else file.size + 1
                )  # enough to show it too long
                content = response.read(most)
        except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
            failures.append(f"{address}: {getattr(error, 'reason', None) or error}")
            continue
        problem = _content(file, content)[1]
        if problem:
            failures.append(f"{address} {problem}")
            continue
        try:
            cache.mkdir(parents=True, exist_ok=True)
            write_atomically(cache / file.name, content)
        except OSError as error:
            raise DataError(
                f"{cache / file.name} cannot be written ({error.strerror}): point SPLINELAB_CACHE at "
                f"a folder that can, or SPLINELAB_DATA at one that holds {file.folder}/"
            ) from error
        return
    raise DataError(
        f"{file.name} ({file.told}, SHA-256 {file.sha256}) could not be downloaded: "
        f"{'; '.join(failures)}. Put the file into {cache} by hand, or point SPLINELAB_DATA at a folder "
        f"that holds {file.folder}/{file.name}"
    )
