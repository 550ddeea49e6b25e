"""The exceptions that users meet.

Each message says what was given, what was expected and what to do.
"""

import difflib
from collections.abc import Iterable

__all__ = [
    "ClaimError",
    "DataError",
    "InputError",
    "RecipeError",
    "SplinelabError",
    "TrainingError",
    "UnsupportedOperationError",
    "VerificationError",
    "ZooError",
    "closest",
]


class SplinelabError(Exception):
    """Any error that splinelab raises on purpose."""


class InputError(SplinelabError, ValueError):
    """An argument has the wrong shape, range, name or kind."""


class DataError(SplinelabError):
    """A data file is missing, truncated, corrupt or could not be fetched."""


class RecipeError(SplinelabError, ValueError):
    """A recipe names an unknown key or an impossible value."""


class TrainingError(SplinelabError, RuntimeError):
    """Training cannot go on: a non-finite loss, or a checkpoint of another run."""


class UnsupportedOperationError(SplinelabError, NotImplementedError):
    """A network uses an operation that has no rule for spline codes."""


class VerificationError(SplinelabError, RuntimeError):
    """A result that was computed exactly does not agree with the network itself."""


class ZooError(SplinelabError):
    """A zoo entry is unknown, missing, or does not match its provenance card."""


class ClaimError(SplinelabError):
    """The ledger and a measurement do not fit together."""


def closest(name: object, known: Iterable[str]) -> str:
    """The hint for an unknown name: `"did you mean 'GA-mse'? "`, or nothing where none is near.

    >>> closest("ga-mze", ["GA-mse", "GB-mse"]), closest("?", ["GA-mse"])
    ("did you mean 'GA-mse'? ", '')
    """
    folded = {key.lower(): key for key in known}
    found = difflib.get_close_matches(str(name).lower(), folded, n=1, cutoff=0.5)
    return f"did you mean {folded[found[0]]!r}? " if found else ""
