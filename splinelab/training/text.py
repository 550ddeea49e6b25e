"""The fit loop for language models: a frozen recipe in, a trained Llama and its history out."""

import hashlib
import math
import os
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from splinelab import _schema as kinds
from splinelab._arguments import check_device, check_seed, check_whole
from splinelab._schema import Values, check, schema
from splinelab.errors import InputError, RecipeError
from splinelab.nets import Llama, LlamaShape
from splinelab.training.loop import evaluation_steps
from splinelab.training.run import Run

_SHUFFLED = 512  # windows that a permutation reaches over: text arrives in blocks, each as good as any other
_CHUNK = 32  # windows per forward pass of an evaluation


@schema("recipe", RecipeError)
class TextRecipe(Values):
    """How to train a `nets.Llama` on tokens. Wrong values raise `RecipeError`.

    Parameters
    ----------
    vocabulary, width, layers, heads, key_heads, hidden : its shape, as `nets.LlamaShape` has them.
    window : tokens that it sees at once.
    batch, steps : windows per step and number of steps.
    lr, weight_decay : of AdamW; the rate rises linearly for `warm_up` steps, then falls along a cosine to a
        tenth. Norms and embeddings decay as all other weights do.
    evaluations : about how many log-spaced steps get a row in the history.

    >>> TextRecipe(steps=10, batch=4, window=8).tokens
    320
    """

    vocabulary: kinds.Whole = 512
    width: kinds.Whole = 64
    layers: kinds.Whole = 4
    heads: kinds.Whole = 4
    key_heads: kinds.Whole = 2
    hidden: kinds.Whole = 192
    window: kinds.Whole = 256
    batch: kinds.Whole = 16
    steps: kinds.Whole = 5_120
    lr: kinds.Positive = 3e-3
    warm_up: kinds.Whole = 100
    weight_decay: kinds.NotNegative = 0.1
    evaluations: kinds.Whole = 24

    def __post_init__(self) -> None:
        try:
            self.shape()
        except InputError as error:
            check(False, "width", self.width, f"a shape that fits: {error}")

    def shape(self) -> LlamaShape:
        """The model's shape."""
        names = ("vocabulary", "width", "layers", "heads", "key_heads", "hidden")
        return LlamaShape(*(getattr(self, name) for name in names))

    @property
    def tokens(self) -> int:
        """Tokens that the whole run predicts."""
        return self.steps * self.batch * self.window


@dataclass(frozen=True)
class TextData:
    """Sequences of tokens, each a text from its first token on.

    Attributes
    ----------
    train, heldout : integer arrays, sequences × length; no sequence is in both.
    """

    train: np.ndarray
    heldout: np.ndarray

    @property
    def checksums(self) -> dict[str, str]:
        """SHA-256 of both parts' shapes and tokens, as 16-bit numbers (hexadecimal)."""
        return {name: tokens_checksum(getattr(self, name)) for name in ("train", "heldout")}


@dataclass(frozen=True)
class TextFit:
    """A finished run: the model in eval mode on the CPU; columns `step, heldout_loss, lr`; seconds."""

    net: Llama
    history: dict[str, list]
    seconds: float


def fit_text(
    recipe: TextRecipe,
    seed: int,
    data: TextData,
    *,
    device: str = "cpu",
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int = 200,
    progress: bool = False,
) -> TextFit:
    """Train a language model. The same recipe, seed, data, machine and number of threads give the same bits.

    Windows are taken in the order of the sequences, shuffled within blocks of 512 by seed and block; the run
    begins again from the first where they end. Interruption and `checkpoint` are as in `fit`. Raises
    `InputError` for sequences that are shorter than a window or hold tokens that the model has not,
    `TrainingError` as `fit` does.
    """
    seed, place = check_seed(seed), check_device(device)
    for name, part in (("train", data.train), ("heldout", data.heldout)):
        if part.ndim != 2 or not len(part) or part.shape[1] <= recipe.window:
            raise InputError(
                f"the {name} sequences have the shape {part.shape}; expected sequences × more than "
                f"{recipe.window} tokens, the recipe's window"
            )
        if int(part.max()) >= recipe.vocabulary or int(part.min()) < 0:
            raise InputError(f"the {name} tokens run to {part.max()}; expected 0 to {recipe.vocabulary - 1}")
    run = _Run(recipe, seed, data, place)
    identity = {"recipe": recipe.to_dict(), "seed": seed, **data.checksums}
    run.go(identity, checkpoint, checkpoint_every, progress)
    return TextFit(run.module.cpu().eval(), run.history, run.seconds)


def windows(sequences: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Where windows of `window` tokens and the one after lie: sequence and first token of each.

    As few as cover a sequence, spaced evenly, the last flush with its end.
    """
    length = sequences.shape[1]
    starts = np.linspace(0, length - 1 - window, -(-(length - 1) // window)).astype(int)
    return np.repeat(np.arange(len(sequences)), len(starts)), np.tile(starts, len(sequences))


@torch.no_grad()
def cross_entropy(net: nn.Module, tokens: np.ndarray, window: int = 256) -> float:
    """Mean loss per token, in nats, of predicting each token from those before it in its window.

    Parameters
    ----------
    net : gives logits for tokens, as `nets.Llama` does.
    tokens : one text as a row of tokens, or sequences × length; windows follow one another without overlap,
        and what is left at the end of each sequence and fills no window is left out.
    """
    rows = np.atleast_2d(tokens).astype(np.int64)
    check_whole("window", window, 1, rows.shape[1] - 1, "shorter than the text")
    count = (rows.shape[1] - 1) // window
    inputs = torch.from_numpy(rows[:, : count * window].reshape(-1, window))
    targets = torch.from_numpy(rows[:, 1 : count * window + 1].reshape(-1, window))
    device, mode = next(net.parameters()).device, net.training
    net.eval()
    total = 0.0
    for x, y in zip(inputs.split(_CHUNK), targets.split(_CHUNK), strict=True):
        logits = net(x.to(device)).flatten(0, 1)
        total += float(F.cross_entropy(logits, y.to(device).flatten(), reduction="sum").double())
    net.train(mode)
    return total / inputs.numel()


def tokens_checksum(tokens: np.ndarray) -> str:
    """SHA-256 over shape and tokens, as 16-bit numbers (hexadecimal)."""
    digest = hashlib.sha256(repr(tokens.shape).encode())
    digest.update(np.ascontiguousarray(tokens, "<u2").data)
    return digest.hexdigest()


class _Run(Run):
    LOSS = "heldout_loss"
    module: Llama

    def __init__(self, recipe: TextRecipe, seed: int, data: TextData, device: torch.device) -> None:
        super().__init__(Llama(recipe.shape(), seed).to(device), recipe.steps)
        self.recipe, self.seed, self.data, self.device = recipe, seed, data, device
        self.rows, self.starts = windows(data.train, recipe.window)
        self.optimise(self.module.parameters(), recipe.lr, recipe.weight_decay)
        self._due = set(evaluation_steps(recipe.steps, recipe.evaluations))
        self._block, self._order = (-1, -1), np.empty(0, int)

    def rate(self) -> float:
        """The learning rate of the next step."""
        recipe = self.recipe
        if self.step < recipe.warm_up:
            return recipe.lr * (self.step + 1) / recipe.warm_up
        done = (self.step - recipe.warm_up) / max(1, recipe.steps - recipe.warm_up)
        return recipe.lr * (0.1 + 0.45 * (1 + math.cos(math.pi * done)))

    def _windows(self) -> np.ndarray:
        """The windows of this step, with the token after each."""
        chosen = np.arange(self.step * self.recipe.batch, (self.step + 1) * self.recipe.batch)
        picked = [self._at(*divmod(int(place), len(self.rows))) for place in chosen]
        span = self.starts[picked][:, None] + np.arange(self.recipe.window + 1)
        return self.data.train[self.rows[picked][:, None], span].astype(np.int64)

    def _at(self, epoch: int, place: int) -> int:
        block = place // _SHUFFLED
        if (epoch, block) != self._block:
            count = min(_SHUFFLED, len(self.rows) - block * _SHUFFLED)
            order = np.random.default_rng([self.seed, epoch, block]).permutation(count)
            self._block, self._order = (epoch, block), order + block * _SHUFFLED
        return int(self._order[place % _SHUFFLED])

    def loss(self) -> torch.Tensor:
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        tokens = torch.from_numpy(self._windows()).to(self.device)
        logits = self.module(tokens[:, :-1])
        return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())

    def due(self) -> bool:
        return self.step in self._due

    def row(self) -> dict[str, float]:
        return {
            "step": self.step,
            "heldout_loss": cross_entropy(self.module, self.data.heldout, self.recipe.window - 1),
            "lr": self.rate(),
        }

    def summary(self) -> str:
        return f"held-out loss {self.history['heldout_loss'][-1]:.3f}"

    def advice(self) -> str:
        return f"(lr {self.recipe.lr:g}): lower lr by 3 to 10 times"
