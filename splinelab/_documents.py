"""JSON and YAML as they should be read: every key once, numbers that are numbers; and their digest."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import yaml

__all__ = ["digest", "read_json", "read_yaml"]


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
