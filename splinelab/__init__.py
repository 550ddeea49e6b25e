"""splinelab: spline codes and polytopes of ReLU networks, and claims about them put to the test.

>>> import splinelab
>>> recording = splinelab.record(model, images)     # doctest: +SKIP
>>> recording.codes                                 # doctest: +SKIP
SplineCodes(1000 samples × 600 units; relu1: 200, relu2: 200, relu3: 200)
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from splinelab.codes import SplineCodes
    from splinelab.recording import Recording, record

try:
    __version__ = version("splinelab")
except PackageNotFoundError:  # a checkout on the path that was never installed
    __version__ = "unknown"

# Loaded on first use: importing torch takes a second, and `python -m splinelab --help` should not wait.
_HOMES = {"record": "recording", "Recording": "recording", "SplineCodes": "codes"}

__all__ = ["Recording", "SplineCodes", "__version__", "record"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"splinelab.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'splinelab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOMES))
