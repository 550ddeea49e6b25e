"""Files that are either whole or not there, and that leave nothing beside them."""

import os
import tempfile
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: a file that a writer holds open cannot be deleted there, so no lock is needed
    fcntl = None

__all__ = ["check_writable", "remove_leftovers", "write_atomically"]

_SUFFIX = ".part"


def write_atomically(path: str | os.PathLike, content: bytes) -> None:
    """Write `content` to `path` so that a reader sees the old file or the new one, never a part.

    The bytes go to a temporary file beside `path`, reach the disk, and then take its name. Any failure
    (no space, no permission) leaves the old file as it was, removes the temporary one and raises `OSError`.
    What a killed writer of the same `path` left is removed first.
    """
    path = Path(path)
    remove_leftovers(path)
    handle, temporary = _temporary(path)
    try:
        # The lock goes with the handle, which stays open until the file has its name.
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            # mkstemp makes files private; a written result has the permissions of any other new file.
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, 0o666 & ~umask)
            if fcntl is not None:
                os.replace(temporary, path)
        if fcntl is None:
            os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def remove_leftovers(path: str | os.PathLike) -> None:
    """Remove what killed writers of `path` left beside it; what a living one is writing stays."""
    path = Path(path)
    for left in path.parent.glob(f".{_literal(path.name)}.*{_SUFFIX}"):
        try:
            if fcntl is None:
                left.unlink()
                continue
            with open(left, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a living writer holds it
                left.unlink()
        except OSError:
            continue


def check_writable(path: str | os.PathLike) -> None:
    """Raise `OSError` where `write_atomically` could not write to `path`; makes its folder."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(21, "there is a folder of that name")
    remove_leftovers(path)
    handle, temporary = _temporary(path)
    os.close(handle)
    os.unlink(temporary)


def _temporary(path: Path) -> tuple[int, str]:
    """A new file beside `path`, open and locked, and its name."""
    while True:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_SUFFIX, dir=path.parent)
        if fcntl is None:
            return handle, temporary
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            return handle, temporary
        if os.fstat(handle).st_nlink:
            return handle, temporary
        os.close(handle)  # another process took it for a leftover before it was locked


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "[]*?" else letter for letter in name)
