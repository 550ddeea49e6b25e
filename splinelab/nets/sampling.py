"""Text from a language model: many sequences at once, with cached keys and values."""

import numpy as np
import torch

from splinelab._arguments import check_seed, check_whole
from splinelab.errors import InputError
from splinelab.nets.llama import Llama


@torch.no_grad()
def sample(model: Llama, sequences: int, length: int, *, first: int, seed: int) -> np.ndarray:
    """Sequences of tokens as the model draws them at temperature 1: int64, sequences × length.

    Every sequence begins with the token `first` and goes on to the end, past tokens that end a text. The same
    model, sizes, seed and machine give the same tokens. Raises `InputError` for a token that the model has
    not.

    >>> from splinelab.nets import Llama, LlamaShape
    >>> sample(Llama(LlamaShape(9, 8, 1, 2, 1, 8)), 3, 5, first=1, seed=0).shape
    (3, 5)
    """
    check_whole("sequences", sequences)
    check_whole("length", length)
    if not 0 <= first < model.shape.vocabulary:
        raise InputError(f"first is {first}; expected a token, 0 to {model.shape.vocabulary - 1}")
    device = model.model.embed_tokens.weight.device
    generator = torch.Generator(device).manual_seed(check_seed(seed))
    tokens = torch.full((sequences, length), first, device=device)
    caches = model.new_caches(sequences, length)
    for position in range(length - 1):
        chances = model.step(tokens[:, position], caches, position).softmax(1)
        # The largest of p / Exp(1) is a draw from p: one pass over the chances, where multinomial sorts.
        tokens[:, position + 1] = (
            chances / torch.empty_like(chances).exponential_(generator=generator)
        ).argmax(1)
    return tokens.cpu().numpy()
