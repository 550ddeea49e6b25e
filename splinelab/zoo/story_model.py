"""Our own story model: a small Llama trained on text that stories260K wrote, and a sample of such text.

A published model of 260,000 weights writes stories of three-year-olds' words, at no cost and without end. So
there is a language of which every token comes from a known model, and a model of it that is ours to ship.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors
from tqdm import tqdm

from splinelab import data as texts
from splinelab._arguments import check_device, check_seed
from splinelab._files import write_atomically
from splinelab.data.published import cache_folder
from splinelab.errors import ZooError
from splinelab.nets import Llama, sample
from splinelab.training import TextData, TextRecipe, cross_entropy, fit_text
from splinelab.training.text import tokens_checksum
from splinelab.zoo.cards import SampleCard, TextCard
from splinelab.zoo.store import read, read_card, require_writable, save, tidy
from splinelab.zoo.tokens import story_tokenizer

NAME, HELDOUT = "story", "story-heldout"
RECIPE = TextRecipe()
LENGTH = 512  # tokens of a sampled sequence: as many as its writer was trained on
BLOCK = 256  # sequences that are sampled together
BLOCKS = 160
HELDOUT_SEQUENCES = 200
FIRST = 1  # the token that begins a story
CHECKPOINT_EVERY = 200  # steps
_FORMAT = "splinelab story text 1"


def story(seed: int = 0, *, folder: str | os.PathLike | None = None) -> Llama:
    """Our story model, float32, on the CPU, in eval mode; `folder` is where you trained it, if you did.

    Raises `ZooError` for a seed that is not there, and for files that do not match.

    >>> sum(weight.numel() for weight in story().parameters())
    229952
    """
    card = story_card(seed, folder=folder)
    net = Llama(TextRecipe.from_dict(card["recipe"]).shape())
    net.load_state_dict(read(card, folder, _again(seed)))
    return net.eval()


def story_card(seed: int = 0, *, folder: str | os.PathLike | None = None) -> dict[str, Any]:
    """Its provenance card: `recipe, data, tokens, metrics, history, seconds`…"""
    return read_card(TextCard, NAME, seed, folder, _again(seed))


def untrained_story(seed: int = 0) -> Llama:
    """The story model before its first step: the control of every measurement on it."""
    return Llama(RECIPE.shape(), check_seed(seed)).eval()


def story_text() -> np.ndarray:
    """The sample that ships: 200 texts of 512 tokens, int64, that stories260K wrote and ours never saw.

    Each begins with token 1, which also parts the stories in it.

    >>> story_text().shape
    (200, 512)
    """
    remedy = "reinstall splinelab"
    card = read_card(SampleCard, HELDOUT, 0, None, remedy)
    return read(card, None, remedy)["tokens"].numpy().astype(np.int64)


def train_story(
    seed: int = 0,
    *,
    device: str = "cpu",
    folder: str | os.PathLike = "zoo",
    progress: bool = True,
) -> Path:
    """Sample 21 million tokens from stories260K, train the story model on them, and write it with its card.

    The text is kept in `SPLINELAB_CACHE/story` (42 MB), block by block; an interrupted training goes on from
    `folder/.checkpoints`. Raises `ZooError` where stories260K is not at hand.
    """
    seed = check_seed(seed)
    check_device(device)
    require_writable(folder, NAME, seed)
    require_writable(folder, HELDOUT, 0)
    teacher = _teacher()
    train = np.concatenate([_block(teacher, block) for block in tqdm(range(BLOCKS), disable=not progress)])
    data = TextData(train, sampled(teacher, HELDOUT_SEQUENCES, stream=1, block=0))
    resume = Path(folder) / ".checkpoints" / f"{NAME}-{seed}.ckpt"
    found = fit_text(
        RECIPE,
        seed,
        data,
        device=device,
        checkpoint=resume,
        checkpoint_every=CHECKPOINT_EVERY,
        progress=progress,
    )
    write_sample(folder, teacher, data.heldout)
    path = save(folder, NAME, seed, found.net.state_dict(), about(found.net, teacher, data, found, device))
    resume.unlink(missing_ok=True)
    tidy(folder)
    return path


def sampled(teacher: Llama, sequences: int, *, stream: int, block: int) -> np.ndarray:
    """Texts by stories260K: uint16, sequences × 512. Stream 0 is for training, 1 is held out."""
    seed = int(np.random.default_rng([stream, block]).integers(2**32))
    return sample(teacher, sequences, LENGTH, first=FIRST, seed=seed).astype(np.uint16)


def write_sample(folder: str | os.PathLike, teacher: Llama, tokens: np.ndarray) -> Path:
    """The held-out text with a card of its own."""
    told = {
        "about": "text that stories260K (8 bits) wrote, held out from our story model",
        "writer": _weights(teacher),
        "sequences": len(tokens),
        "length": tokens.shape[1],
        "checksum": tokens_checksum(tokens),
    }
    return save(folder, HELDOUT, 0, {"tokens": torch.from_numpy(tokens.astype(np.int16))}, told)


def _block(teacher: Llama, block: int) -> np.ndarray:
    """A block of the training text, from the cache where it is there."""
    path = cache_folder(NAME) / f"{block:03d}.safetensors"
    writer = _weights(teacher)
    try:
        with safe_open(path, "numpy") as file:
            header = json.loads((file.metadata() or {})["splinelab"])
            tokens = file.get_tensor("tokens")
        if header == {"format": _FORMAT, "writer": writer, "sha256": _checksum(tokens)}:
            return tokens
    except (SafetensorError, KeyError, ValueError, OSError):
        pass  # absent or damaged: what a model wrote can be written again
    tokens = sampled(teacher, BLOCK, stream=0, block=block)
    header = {"format": _FORMAT, "writer": writer, "sha256": _checksum(tokens)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, to_safetensors({"tokens": tokens}, {"splinelab": json.dumps(header)}))
    except OSError as error:
        raise ZooError(
            f"{path} cannot be written ({error.strerror}): point SPLINELAB_CACHE at a folder that can"
        ) from error
    return tokens


def _checksum(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _weights(net: Llama) -> str:
    return _checksum(*(weight.detach().numpy() for weight in net.parameters()))


def _teacher() -> Llama:
    from splinelab.zoo.language import language_model  # which knows ours by name, too

    net = language_model("stories260K").net
    assert isinstance(net, Llama)
    return net


def about(net: Llama, teacher: Llama, data: TextData, found: Any, device: str) -> dict[str, Any]:
    """What the card says beside name, seed and checksums of the file."""
    window = RECIPE.window - 1
    return {
        "about": "Llama of 4 layers, trained on text that stories260K (8 bits) wrote",
        "recipe": RECIPE.to_dict(),
        "data": {
            part: {"name": f"stories260K, {part}", "tokens": tokens.size, "checksum": data.checksums[part]}
            for part, tokens in (("train", data.train), ("heldout", data.heldout))
        },
        "metrics": {
            "heldout_loss": cross_entropy(net, data.heldout, window),
            "writer_heldout_loss": cross_entropy(teacher, data.heldout, window),
            **_on_real_text(net, teacher),
        },
        "seconds": round(found.seconds, 1),
        "device": str(device),
        "history": found.history,
        "parameters": sum(weight.numel() for weight in net.parameters()),
    }


def _on_real_text(net: Llama, teacher: Llama) -> dict[str, float]:
    """Loss on TinyStories, one token 1 before each story, in windows of 256 tokens, where it is at hand."""
    if not texts.tiny_stories_at_hand():
        return {}
    encode = story_tokenizer().encode
    tokens = np.concatenate([encode(" ".join(story.split())).ids for story in texts.tiny_stories()])
    return {
        "real_loss": cross_entropy(net, tokens, RECIPE.window),
        "writer_real_loss": cross_entropy(teacher, tokens, RECIPE.window),
    }


def _again(seed: int) -> str:
    return f"train it: python -m splinelab train {NAME} --seed {seed} --out DIR, then load with folder=DIR"
