"""Files that are either whole or not there; JSON and YAML as they should be read, and their digest."""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import yaml

try:
    import fcntl
except ImportError:  # Windows: a file that a writer holds open cannot be deleted there, so no lock is needed
    fcntl = None  # type: ignore[assignment]  # asked for before each use


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


def read_json(path: str | os.PathLike) -> Any:
    """The content of a JSON file. `ValueError` says what is wrong with it: also for a repeated key, NaN,
    bytes that are not UTF-8, and a file that cannot be read."""
    text = _text(path)
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON ({error})") from error
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


def read_yaml(path: str | os.PathLike) -> Any:
    """The content of a YAML file, with `ValueError` as for `read_json`."""
    text = _text(path)
    try:
        return yaml.load(text, _Once)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, LookupError, AttributeError) as error:
        # PyYAML lets errors of Python's own through for dates, numbers and tags that cannot be.
        raise ValueError(f"is not YAML ({' '.join(str(error).split())})") from error


def digest(content: Any) -> str:
    """SHA-256 of JSON-ready content, whatever the order of its keys and the spaces between."""
    plain = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(plain.encode()).hexdigest()


def _text(path: str | os.PathLike) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8")
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 (byte {error.start})") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"has the key {twice!r} twice in one place")
    for key, value in pairs:
        if isinstance(value, float) and value in (float("inf"), float("-inf")):
            raise ValueError(f"has a number under {key!r} that is too large")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"has {name}, which is no number")


class _Once(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping, where PyYAML takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key_node.tag == "tag:yaml.org,2002:merge" or not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"expected a text as a key, got {key!r}", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice in one place", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)
