"""Why calls are refused, in words."""

from typing import Any

import torch

from splinelab.errors import UnsupportedOperationError
from splinelab.recording import operations as table
from splinelab.recording.following import Kind, is_real


class MisusedError(UnsupportedOperationError):
    """A call may not take what another operation, `maker`, has made: that one is to be named."""

    def __init__(self, message: str, maker: str):
        super().__init__(message)
        self.maker = maker


def curved(maker: str) -> str:
    """Why a power of activations is refused."""
    return (
        f"No rule gives a spline code for {maker} of activations: splinelab knows no thresholds at which it "
        "bends. (Inside a norm or a variance, and of what a ReLU gave, it passes.)"
    )


def shares(maker: str) -> str:
    """Why a softmax is refused."""
    return f"{no_rule(maker)} (As the weights of a sum of activations, in attention, it passes.)"


def no_rule(op: str) -> str:
    """Why an operation of the table is refused."""
    return f"No rule gives a spline code for {op}: splinelab knows no thresholds at which it bends."


def leaving(op: str, kind: Kind, result: Any) -> str | None:
    """Why a result is refused: real numbers may neither leave torch nor become integers, since both would
    decide by their values."""
    if kind is Kind.DISCRETE:
        return None
    if op in table.READS and not torch.is_tensor(result):
        return f"{op} takes values out of torch, where they may decide what the model does."
    if (op in table.CASTS or op in table.STRUCTURE) and torch.is_tensor(result) and not is_real(result):
        return f"{op} makes integers of activations, and jumps where they change."
    return None
