"""The API page, from signatures and docstrings.

The package's docstrings are Markdown with numpydoc sections. Sphinx's autodoc would read them as
reStructuredText and trip over every list, so each becomes a `py:` directive with Markdown inside.
"""

import dataclasses
import importlib
import inspect
import re
from types import ModuleType

SECTIONS = "Parameters|Returns|Yields|Raises|Attributes|Notes|Examples|References|See Also"


def page(rooms: list[str]) -> str:
    """One section for each room, in the order given."""
    return "\n\n".join(room(importlib.import_module(f"splinelab.{name}")) for name in rooms)


def room(module: ModuleType) -> str:
    """A module's own words and everything in its `__all__`."""
    name = module.__name__
    parts = [
        f"## `{name.removeprefix('splinelab.')}`",
        markdown(module.__doc__),
        f"```{{py:module}} {name}\n```",
    ]
    constants = []
    for public in module.__all__:
        thing = getattr(module, public)
        if inspect.isclass(thing):
            parts.append(class_entry(public, thing))
        elif inspect.ismodule(thing):
            continue
        elif callable(thing):
            parts.append(directive("function", public + signature(thing), markdown(thing.__doc__)))
        else:
            plain = isinstance(thing, str | int | float | tuple) and len(repr(thing)) < 80
            constants.append(f"- `{public}`" + (f" = `{thing!r}`" if plain else ""))
    if constants:
        parts.append("\n".join(["**Constants**", "", *constants]))
    return "\n\n".join(part for part in parts if part)


def class_entry(name: str, cls: type) -> str:
    """A class with the public methods and properties that it defines itself."""
    if issubclass(cls, Exception):
        return directive("exception", name, markdown(cls.__doc__))
    own_words = cls.__doc__ if not (cls.__doc__ or "").startswith(f"{cls.__name__}(") else ""
    parts = [markdown(own_words)]
    fields = {field.name for field in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else set()
    for attribute, value in vars(cls).items():
        if attribute.startswith("_") or attribute in fields:
            continue
        if isinstance(value, property):
            parts.append(directive("property", attribute, markdown(value.__doc__)))
        elif isinstance(value, classmethod | staticmethod):
            kind = "classmethod" if isinstance(value, classmethod) else "staticmethod"
            bound = getattr(cls, attribute)
            text = markdown(bound.__doc__)
            parts.append(directive("method", attribute + signature(bound), text, option=f":{kind}:"))
        elif inspect.isfunction(value):
            parts.append(directive("method", attribute + signature(value), markdown(value.__doc__)))
    return directive("class", name + signature(cls), "\n\n".join(part for part in parts if part), depth=5)


def directive(kind: str, title: str, text: str, *, option: str = "", depth: int = 4) -> str:
    """A `py:` directive; outer ones need more colons than those inside."""
    fence = ":" * depth
    return "\n".join(filter(None, [f"{fence}{{py:{kind}}} {title}", option, "", text, fence]))


def signature(thing: object) -> str:
    """Names and defaults without type annotations, which the docstrings put into words."""
    try:
        full = inspect.signature(thing)
    except (TypeError, ValueError):
        return "()"
    plain = []
    for parameter in full.parameters.values():
        if parameter.name == "self":
            continue
        default = parameter.default
        if default is not inspect.Parameter.empty and "<" in repr(default):
            parameter = parameter.replace(default=_Written(getattr(default, "__name__", "…")))
        plain.append(parameter.replace(annotation=inspect.Parameter.empty))
    return str(full.replace(parameters=plain, return_annotation=inspect.Signature.empty))


class _Written:
    """A default value that prints as given."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def markdown(docstring: str | None) -> str:
    """A docstring as MyST: sections to lists, doctests to code blocks, roles to plain code."""
    text = re.sub(r":\w+:(`[^`]+`)", r"\1", inspect.cleandoc(docstring or ""))
    pieces = re.split(rf"^({SECTIONS})\n-{{3,}}\n", text, flags=re.MULTILINE)
    parts = [_blocks(pieces[0])]
    for title, body in zip(pieces[1::2], pieces[2::2], strict=True):
        listed = title not in ("Notes", "Examples", "References")
        parts.append(f"**{title}**\n\n{_terms(body) if listed else _blocks(body)}")
    return "\n\n".join(part for part in parts if part.strip())


def _terms(body: str) -> str:
    """`name : words` or `name` over indented words, as a list."""
    entries: list[list[str]] = []
    for line in body.strip("\n").splitlines():
        if not line.strip():
            continue
        if line[0] != " ":
            name, colon, rest = line.partition(" : ")
            entries.append([f"`{name.strip()}`" if colon or " " not in name else name, rest])
        elif entries:
            entries[-1][1] += " " + line.strip()
    return "\n".join(
        f"- {name}: {words.strip()}" if words.strip() else f"- {name}" for name, words in entries
    )


def _blocks(text: str) -> str:
    """Put fences round doctests and a blank line before lists."""
    lines: list[str] = []
    code, margin = False, 0
    for line in text.splitlines():
        starts = line.lstrip().startswith(">>>")
        if starts and not code:
            lines += ["", "```python"]
            code, margin = True, len(line) - len(line.lstrip())
        if code and not line.strip():
            lines += ["```", ""]
            code = False
            continue
        opens_list = not code and re.match(r"\s*[-*] ", line) and lines and lines[-1].strip()
        if opens_list and not re.match(r"\s*([-*] |\s)", lines[-1]):
            lines.append("")
        lines.append(line[margin:] if code else line)
    return "\n".join(lines + ["```"] * code).strip()
