"""Which tokens a caller wants: `positions` of `record`, read batch by batch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from splinelab.errors import InputError
from splinelab.recording.batch import Batch
from splinelab.recording.tokens import Chosen

FORMS = (
    '"all" (every token but padding), "last", an integer (−1 for the last), a boolean array of sequences × '
    "columns, or for each sequence its position or a list of them"
)


class Positions:
    """What a caller gave as `positions`, read batch by batch."""

    def __init__(self, given: Any):
        self.given, self.each = given, None
        self.sequences = self.tokens = 0  # so far
        if isinstance(given, str) and given in ("all", "last"):
            return
        if isinstance(given, int | np.integer) and not isinstance(given, bool):
            self.given = int(given)
            return
        if isinstance(given, torch.Tensor):
            given = given.cpu().numpy()
        if isinstance(given, np.ndarray) and (given.ndim not in (1, 2) or given.dtype.kind not in "iub"):
            raise InputError(f"positions is {FORMS}; got {given.dtype} of shape {given.shape}.")
        if isinstance(given, str | bytes) or not isinstance(given, Sequence | np.ndarray):
            raise InputError(f"positions is {FORMS}; got {given!r}.")
        self.each = given

    def of(self, batch: Batch) -> Chosen:
        """The tokens chosen of the next batch."""
        real = _real_columns(batch)
        first, self.sequences = self.sequences, self.sequences + len(real)
        if self.each is not None and len(self.each) < self.sequences:
            self._refuse_count(f"at least {self.sequences}")
        length = _tokens_of(batch).shape[1]
        position = [self._chosen(first + i, columns, length) for i, columns in enumerate(real)]
        tokens = Chosen([mine[at] for mine, at in zip(real, position, strict=True)], position, length, first)
        self.tokens += len(tokens)
        return tokens

    def finish(self) -> None:
        """Raise InputError if no token was chosen, or positions were given for more sequences."""
        if self.each is not None and len(self.each) != self.sequences:
            self._refuse_count(str(self.sequences))
        if not self.tokens:
            raise InputError(f"positions={self.given!r} chooses no token of {self.sequences} sequences.")

    def _refuse_count(self, there: str) -> None:
        raise InputError(
            f"positions holds entries for {len(self.each or ())} sequences, and the inputs hold {there}."
        )

    def _chosen(self, number: int, columns: np.ndarray, length: int) -> np.ndarray:
        """Positions within a sequence, given the columns of its tokens."""
        if self.each is None:
            if self.given == "all":
                return np.arange(len(columns))
            wanted = np.array([-1 if self.given == "last" else self.given])
        else:
            wanted = np.atleast_1d(np.asarray(self.each[number]))
            wanted = wanted.astype(np.int64) if wanted.size == 0 else wanted
        if wanted.ndim != 1 or wanted.dtype.kind not in "iub":
            raise InputError(f"positions is {FORMS}; for sequence {number} it holds {self.each[number]!r}.")  # type: ignore[index]
        if wanted.dtype == bool:
            return self._of_mask(number, wanted, columns, length)
        wanted = wanted.astype(np.int64)
        outside = wanted[(wanted < -len(columns)) | (wanted >= len(columns))]
        if len(outside):
            raise InputError(
                f"Sequence {number} has {len(columns)} tokens, padding not counted: there is no position "
                f"{outside[0]}."
            )
        return wanted % max(len(columns), 1)

    @staticmethod
    def _of_mask(number: int, wanted: np.ndarray, columns: np.ndarray, length: int) -> np.ndarray:
        if len(wanted) != length:
            raise InputError(
                f"positions as booleans are sequences × columns: those of sequence {number} are "
                f"{len(wanted)}, and its batch has {length} columns."
            )
        chosen = np.flatnonzero(wanted)
        if len(padding := np.setdiff1d(chosen, columns)):
            raise InputError(f"positions chooses column {padding[0]} of sequence {number}: that is padding.")
        return np.searchsorted(columns, chosen)


def _tokens_of(batch: Batch) -> torch.Tensor:
    """The tensor whose second axis counts the tokens."""
    others = [item for name, item in batch.named.items() if name != "attention_mask"]
    found = [item for item in (*batch.positional, *others) if torch.is_tensor(item)]
    first = batch.named.get("input_ids", found[0] if found else None)
    if not torch.is_tensor(first) or first.ndim < 2:
        shape = tuple(first.shape) if torch.is_tensor(first) else None
        raise InputError(f"positions need inputs of sequences × tokens; got a batch of shape {shape}.")
    return first


def _real_columns(batch: Batch) -> list[np.ndarray]:
    """By sequence, the columns that hold no padding, as the attention mask says."""
    tokens, mask = _tokens_of(batch), batch.named.get("attention_mask")
    if mask is None:
        return [np.arange(tokens.shape[1])] * len(tokens)
    if not torch.is_tensor(mask) or mask.shape != tokens.shape[:2]:
        shape = tuple(mask.shape) if torch.is_tensor(mask) else type(mask).__name__
        raise InputError(
            f"With positions the attention_mask must be sequences × tokens, {tuple(tokens.shape[:2])}, and "
            f"0 where there is padding; got {shape}."
        )
    return [np.flatnonzero(row) for row in mask.cpu().numpy() != 0]
