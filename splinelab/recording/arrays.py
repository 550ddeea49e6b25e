"""From tensors to packed bits and to rows of float32, at the cost of little more than reading them once."""

import math

import numpy as np
import torch

from splinelab.errors import InputError

CHUNK = 1 << 18  # comparisons done at once: their booleans stay in the processor's cache


class Rows:
    """A float32 array, samples × units, filled batch by batch; allocated once if its length is known."""

    def __init__(self, expected: int):
        self.expected = expected
        self.blocks: list[np.ndarray] = []
        self.used = 0  # rows filled in the last block

    def append(self, value: torch.Tensor) -> None:
        """Copy a tensor, samples first: what happens to it later does not matter."""
        samples = len(value)
        if not self.blocks or self.used + samples > len(self.blocks[-1]):
            if self.blocks:
                self.blocks[-1] = self.blocks[-1][: self.used]
            rows = samples if self.blocks else max(samples, self.expected)
            self.blocks.append(np.empty((rows, value[0].numel()), dtype=np.float32))
            self.used = 0
        target = self.blocks[-1][self.used : self.used + samples]
        torch.from_numpy(target).view(value.shape).copy_(value)
        self.used += samples

    def array(self) -> np.ndarray:
        blocks = [*self.blocks[:-1], self.blocks[-1][: self.used]]
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def check_finite(value: torch.Tensor, who: str, first_sample: int, advice: str) -> None:
    """Raise `InputError` if a floating-point tensor, samples first, holds NaN or infinite values."""
    if math.isfinite(abs(value.sum().item())):  # a finite sum has finite terms, and no other test is as fast
        return
    bad = ~torch.isfinite(value)
    if not bad.any():  # the sum itself overflowed
        return
    row = int(bad.reshape(len(bad), -1).any(dim=1).nonzero()[0])
    kind = "NaN" if value.isnan().any() else "infinite values"
    raise InputError(f"{who} {kind}, first in sample {first_sample + row}. {advice}")


def pack_above(value: torch.Tensor, threshold: float | torch.Tensor) -> np.ndarray:
    """Pack `value > threshold`, samples first, into samples × ⌈units / 8⌉ bytes."""
    plain = value.device.type == "cpu" and value.dtype in (torch.float32, torch.float64)
    if torch.is_tensor(threshold) or not plain:
        return pack((value > threshold).reshape(len(value), -1))
    rows = value.detach().reshape(len(value), -1).numpy()  # numpy compares in a third of torch's time
    samples, units = rows.shape
    packed = np.empty((samples, -(-units // 8)), dtype=np.uint8)
    step = max(1, CHUNK // max(1, units))
    scratch = np.empty((min(step, samples), units), dtype=bool)
    for first in range(0, samples, step):
        chunk = rows[first : first + step]
        above = np.greater(chunk, threshold, out=scratch[: len(chunk)])
        packed[first : first + step] = pack_rows(above)
    return packed


def pack_rows(bits: np.ndarray) -> np.ndarray:
    """`numpy.packbits(bits, axis=1)`, in a third of its time where rows are contiguous and full bytes."""
    if bits.shape[1] % 8 == 0 and bits.flags.c_contiguous:
        return np.packbits(bits.reshape(-1)).reshape(len(bits), -1)
    return np.packbits(bits, axis=1)


def pack(bits: torch.Tensor) -> np.ndarray:
    """Pack booleans, samples × units, into bytes; on an accelerator before they cross to main memory."""
    if bits.device.type == "cpu":
        return pack_rows(bits.numpy())
    return pack_on_device(bits).cpu().numpy()


def pack_on_device(bits: torch.Tensor) -> torch.Tensor:
    """`numpy.packbits(bits, axis=1)` in torch."""
    octets = torch.nn.functional.pad(bits, (0, -bits.shape[1] % 8)).view(len(bits), -1, 8)
    weights = torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.uint8, device=bits.device)
    return (octets * weights).sum(dim=2, dtype=torch.uint8)
