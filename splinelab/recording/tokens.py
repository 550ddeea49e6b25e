"""Chosen as samples: the chosen ones of a batch of sequences, and their rows of any tensor."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Chosen:
    """The chosen tokens of one batch.

    Attributes
    ----------
    columns : by sequence, the columns of its tokens in the batch, padding counted.
    position : by sequence, where these tokens stand in it, padding not counted.
    length : the columns of the batch.
    first : the number of the batch's first sequence among all inputs.
    """

    columns: list[np.ndarray]
    position: list[np.ndarray]
    length: int
    first: int

    @property
    def sequence(self) -> np.ndarray:
        """The number of each token's sequence within the batch."""
        return np.repeat(np.arange(len(self.columns)), [len(item) for item in self.columns])

    def __len__(self) -> int:
        return sum(map(len, self.columns))

    def take(self, sequences: np.ndarray) -> "Chosen":
        """The tokens of some sequences."""
        columns, position = ([mine[i] for i in sequences] for mine in (self.columns, self.position))
        return Chosen(columns, position, self.length, self.first)

    def rows_of(self, sequences: np.ndarray) -> np.ndarray:
        """Where the tokens of some sequences stand among those of all."""
        stops = np.cumsum([len(item) for item in self.columns])
        return np.concatenate([np.arange(stops[i] - len(self.columns[i]), stops[i]) for i in sequences])

    def cut(self, value: torch.Tensor) -> torch.Tensor | None:
        """The tokens' rows of a tensor, sequences × columns × … or (sequences · columns) × …; else None."""
        sequence, column = (
            torch.from_numpy(index).to(value.device)
            for index in (self.sequence, np.concatenate(self.columns))
        )
        if value.ndim > 2 and value.shape[:2] == (len(self.columns), self.length):
            return value[sequence, column]
        if value.ndim > 1 and len(value) == len(self.columns) * self.length:
            return value[sequence * self.length + column]
        return None
