"""What every frozen recipe shares: known keys, checked values, plain copies."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Self

from splinelab.errors import RecipeError, closest

__all__ = ["Values", "check", "not_negative", "number", "positive", "positive_whole"]


class Values:
    """The base of a frozen dataclass that goes to JSON and back and refuses unknown keys."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The recipe that ``to_dict`` wrote; an unknown key raises ``RecipeError`` and names the closest."""
        known = [item.name for item in dataclasses.fields(cls)]
        for key in values:
            if key not in known:
                hint = closest(key, known).strip() or f"expected one of {', '.join(known)}"
                raise RecipeError(f"a recipe has no key {key!r}; {hint}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON-ready values: tuples become lists, recipes inside become dicts."""
        return _plain(dataclasses.asdict(self))

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked like any recipe."""
        return type(self).from_dict({**self.to_dict(), **changes})


def number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def positive(value: Any) -> bool:
    return number(value) and value > 0


def not_negative(value: Any) -> bool:
    return number(value) and value >= 0


def positive_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def check(holds: bool, key: str, value: Any, expected: str) -> None:
    if not holds:
        raise RecipeError(f"recipe: {key} is {value!r}; expected {expected}")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
