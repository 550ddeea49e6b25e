"""What recipes, cards and the ledger's entries are checked by: pydantic dataclasses with errors of our own.

Nothing is converted in silence: a text is no number, a Boolean is no count, NaN and infinity are refused.
Lists become tuples and NumPy's numbers plain ones, which loses nothing.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Self, cast, dataclass_transform

import numpy as np
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WrapValidator,
)
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from splinelab.errors import SplinelabError, closest

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


def _wrong(words: str) -> PydanticCustomError:
    return PydanticCustomError("expected", "{words}", {"words": words})


def expected(words: str) -> WrapValidator:
    """What gives the type that it annotates an error of its own: `… is VALUE; expected WORDS`."""
    return WrapValidator(lambda value, handler: _told(words, value, handler))


def _told(words: str, value: Any, handler: Callable[[Any], Any]) -> Any:
    try:
        return handler(value)
    except ValidationError as wrong:
        if any(error["type"] == "value_error" for error in wrong.errors()):
            raise  # a part has said already what is wrong with it
        raise _wrong(words) from None


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.integer | np.floating) else value


_PLAIN = BeforeValidator(_plain)

Number = Annotated[float, _PLAIN, expected("a number")]
Positive = Annotated[float, Field(gt=0), _PLAIN, expected("a positive number")]
NotNegative = Annotated[float, Field(ge=0), _PLAIN, expected("zero or a positive number")]
Share = Annotated[float, Field(ge=0, le=1), _PLAIN, expected("a number in [0, 1]")]
Whole = Annotated[int, Field(gt=0), _PLAIN, expected("a positive whole number")]
Count = Annotated[int, Field(ge=0), _PLAIN, expected("a whole number, zero or more")]
Text = Annotated[str, expected("text")]
Name = Annotated[str, Field(min_length=1), expected("text that is not empty")]


def one_of(*names: str) -> BeforeValidator:
    """Annotates a text that is one of `names`."""

    def validate(value: Any) -> Any:
        if isinstance(value, str) and value in names:
            return value
        raise _wrong(f"one of {', '.join(names)}")

    return BeforeValidator(validate)


def several(words: str, least: int = 1, most: int | None = None) -> WrapValidator:
    """Annotates a tuple of `least` to `most` items; a list becomes one."""

    def validate(value: Any, handler: Callable[[Any], Any]) -> Any:
        rows = as_tuple(value)
        if isinstance(rows, tuple) and not least <= len(rows) <= (most or len(rows)):
            raise _wrong(words)
        return _told(words, rows, handler)

    return WrapValidator(validate)


def part(cls: type["Values"]) -> BeforeValidator:
    """Annotates a schema inside of another: an instance, or its dict."""
    return BeforeValidator(lambda value: cls.from_dict(value) if isinstance(value, dict) else value)


def as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def check(holds: bool, key: str, value: Any, words: str) -> None:
    """For what a class checks about several fields, in `__post_init__`."""
    if not holds:
        raise PydanticCustomError("rule", "{words}", {"words": words, "key": key, "value": value})


@dataclass_transform(frozen_default=True)
def schema(what: str, error: type[SplinelabError]) -> Callable[[type], type]:
    """Make a class a frozen dataclass that checks its values; a wrong one raises `error` about `what`."""

    def make(cls: type) -> type:
        made: Any = dataclass(frozen=True, config=_STRICT)(cls)
        plain = made.__init__

        @functools.wraps(plain)
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            try:
                plain(self, *args, **kwargs)
            except ValidationError as wrong:
                raise error(_words(made, what, wrong)) from None

        made.__init__ = __init__
        made._what, made._error = what, error
        # Names and defaults; the annotations are for pydantic, and the docstring says it in words.
        bare = [value.replace(annotation=inspect.Parameter.empty) for value in _parameters(made)]
        made.__signature__ = inspect.Signature(bare)
        return made

    return make


def _parameters(cls: type) -> list[inspect.Parameter]:
    return list(inspect.signature(cls).parameters.values())


class Values:
    """The base of a schema that goes to JSON and back."""

    _what: ClassVar[str]
    _error: ClassVar[type[SplinelabError]]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What `to_dict` wrote; an unknown key is refused, and the closest named."""
        if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
            raise cls._error(f"a {cls._what} is a mapping of names to values; got {_short(values)}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON-ready values: tuples become lists, recipes inside become dicts."""
        return _lists(dataclasses.asdict(cast(Any, self)))

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked like any other."""
        return type(self)(**{**self.to_dict(), **changes})


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_lists(item) for item in value]
    return value


def _words(cls: type, what: str, wrong: ValidationError) -> str:
    """The first thing that is wrong, in our words."""
    errors = wrong.errors(include_url=False)
    # A misspelt key is missing, too: the misspelling says more.
    error = min(errors, key=lambda error: error["type"] != "unexpected_keyword_argument")
    kind, context, place = error["type"], error.get("ctx", {}), error["loc"]
    known = [field.name for field in dataclasses.fields(cls)]
    if place and isinstance(place[0], int) and place[0] < len(known):  # a positional argument
        place = (known[place[0]], *place[1:])
    if kind == "value_error":  # of a part
        return f"{_dotted(place)}: {context['error']}" if place else str(context["error"])
    if kind == "unexpected_keyword_argument":
        hint = closest(place[0], known).strip() or f"expected one of {', '.join(known)}"
        return f"a {what} has no key {place[0]!r}; {hint}"
    if kind == "missing":
        return f"{what}: {_dotted(place)} is missing"
    if kind == "rule":
        place, value = (*place, context["key"]), context["value"]
        return f"{what}: {_dotted(place)} is {_short(value)}; expected {context['words']}"
    words = error["msg"].removeprefix("Input should be ")
    return f"{what}: {_dotted(place)} is {_short(error['input'])}; expected {words}"


def _dotted(path: tuple[str | int, ...]) -> str:
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
