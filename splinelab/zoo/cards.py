"""Provenance cards: what stands on one, and that nothing of it was changed since it was written.

A card ends with a digest of all its other fields, the SHA-256 of the weights among them: name, seed, recipe,
scores and weights hold together, or are refused together.
"""

import itertools
import json
import math
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from splinelab import _schema as kinds
from splinelab._files import digest, read_json
from splinelab._schema import Values, check, expected, part, schema, several
from splinelab.errors import SplinelabError, ZooError
from splinelab.spd import SPDRecipe, TargetRecipe
from splinelab.training import Recipe, TextRecipe

_Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$"), expected("a SHA-256: 64 hexadecimal digits")]
_Cell = Annotated[int | kinds.Number | None, expected("a number, or null")]
_Metrics = dict[kinds.Name, _Cell]
_History = dict[kinds.Name, Annotated[tuple[_Cell, ...], several("one or more numbers or nulls")]]


@schema("card", ZooError)
class Images(Values):
    """The images that a net was trained on, or judged by."""

    name: kinds.Name
    images: kinds.Whole
    checksum: _Digest


@schema("card", ZooError)
class _Card(Values):
    """What stands on every card."""

    name: kinds.Name
    seed: kinds.Count
    about: kinds.Text
    seconds: kinds.NotNegative
    device: kinds.Name
    history: _History
    parameters: kinds.Whole
    versions: dict[kinds.Name, kinds.Name]
    sha256: _Digest
    digest: _Digest

    def __post_init__(self) -> None:
        _check_columns("history", self.history)
        steps: Any = self.history.get("step", (None,))
        rising = None not in steps and all(a < b for a, b in itertools.pairwise(steps))
        check(rising, "history.step", steps, "steps that rise")


@schema("card", ZooError)
class NetCard(_Card):
    """The card of a net."""

    recipe: Annotated[Recipe, part(Recipe)]
    data: dict[kinds.Name, Annotated[Images, part(Images)]]
    metrics: _Metrics
    switch_step: Annotated[kinds.Whole | None, expected("a positive whole number, or null")]

    def __post_init__(self) -> None:
        check(set(self.data) == {"train", "heldout"}, "data", list(self.data), "train and heldout")
        super().__post_init__()


@schema("card", ZooError)
class Scores(Values):
    """What a decomposition reached."""

    target_loss: kinds.NotNegative
    losses: Annotated[tuple[kinds.Number, ...], several("one or more numbers")]
    rounded_error: kinds.NotNegative
    layers: dict[kinds.Name, Annotated[tuple[kinds.Name | _Cell, ...], several("one value per layer")]]
    reassigned: Annotated[
        tuple[_Metrics, ...], several("one mapping per stage that reassigned", least=0)
    ] = ()


@schema("card", ZooError)
class DecompositionCard(_Card):
    """The card of a decomposition."""

    target: Annotated[TargetRecipe, part(TargetRecipe)]
    recipe: Annotated[SPDRecipe, part(SPDRecipe)]
    metrics: Annotated[Scores, part(Scores)]

    def __post_init__(self) -> None:
        _check_columns("metrics.layers", self.metrics.layers)
        super().__post_init__()


@schema("card", ZooError)
class Text(Values):
    """The tokens that a language model was trained on, or judged by."""

    name: kinds.Name
    tokens: kinds.Whole
    checksum: _Digest


@schema("card", ZooError)
class TextCard(_Card):
    """The card of a language model."""

    recipe: Annotated[TextRecipe, part(TextRecipe)]
    data: dict[kinds.Name, Annotated[Text, part(Text)]]
    metrics: _Metrics


@schema("card", ZooError)
class SampleCard(Values):
    """The card of a sample of text that a model wrote."""

    name: kinds.Name
    seed: kinds.Count
    about: kinds.Text
    writer: _Digest
    sequences: kinds.Whole
    length: kinds.Whole
    checksum: _Digest
    versions: dict[kinds.Name, kinds.Name]
    sha256: _Digest
    digest: _Digest


def _check_columns(key: str, columns: Mapping[str, tuple]) -> None:
    lengths = {name: len(column) for name, column in columns.items()}
    check(len(set(lengths.values())) == 1, key, lengths, "columns of equal length")


def verified(path: Path, kind: type[_Card | SampleCard], name: str, seed: int, remedy: str) -> dict[str, Any]:
    """The content of a card, checked; `ZooError` with `remedy` for one that is damaged, changed, or of
    another net."""
    try:
        content = read_json(path)
    except ValueError as error:
        raise ZooError(f"the card {path} {error}; {remedy}") from error
    if isinstance(content, dict) and "digest" not in content:
        raise ZooError(f"the card {path} has no digest: it was cut, or written by an older version; {remedy}")
    try:
        found = kind.from_dict(content)
    except SplinelabError as error:
        raise ZooError(f"the card {path} is damaged ({error}); {remedy}") from error
    if (found.name, found.seed) != (name, seed):
        raise ZooError(
            f"the card {path} is that of {found.name}, seed {found.seed}; expected {name}, seed {seed}: "
            f"give the files their own names back, or {remedy}"
        )
    if digest({key: value for key, value in content.items() if key != "digest"}) != found.digest:
        raise ZooError(
            f"the card {path} was changed after it was written: its content has another digest; "
            f"reinstall splinelab, or {remedy}"
        )
    return content


def readable(name: str, seed: int, about: Mapping[str, Any], sha256: str) -> str:
    """The text of a card, with a line for each key and each column of the history."""
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    whole = {"name": name, "seed": seed, **about, "versions": versions, "sha256": sha256}
    written = json.loads(_text(whole, ""))  # numbers as they are rounded there
    return _text({**whole, "digest": digest(written)}, "") + "\n"


def _text(value: Any, indent: str) -> str:
    if isinstance(value, Mapping):
        inner = ",\n".join(f"{indent} {json.dumps(k)}: {_text(v, indent + ' ')}" for k, v in value.items())
        return "{\n" + inner + "\n" + indent + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_text(item, indent) for item in value) + "]"
    if isinstance(value, float):
        value = float(f"{value:.7g}") if math.isfinite(value) else None  # JSON has no NaN
    return json.dumps(value)
