"""Llama models in GGUF files: weights as float32 under the names of `transformers`, and the tokenizer."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from splinelab.errors import ZooError
from splinelab.nets import LlamaShape
from splinelab.zoo.tokens import wanted

_TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}
_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_SPECIAL = 3  # the kind of a token that stands for no text


class Copy(NamedTuple):
    """What a copy of a model holds: its shape, its weights, and its tokenizer as JSON."""

    shape: LlamaShape
    state: dict[str, torch.Tensor]
    tokenizer: str


def read_gguf(path: Path) -> Copy:
    """A Llama model with tied embeddings and SmolLM's kind of tokenizer.

    Raises `ZooError` for a file that is no GGUF, of another architecture, with another tokenizer or with
    tensors that a Llama does not have.
    """
    library = wanted("gguf", "language")
    try:
        file = library.GGUFReader(path)
        facts = {name: field.contents() for name, field in file.fields.items()}
        weights = {each.name: library.quants.dequantize(each.data, each.tensor_type) for each in file.tensors}
    except (ValueError, LookupError, OSError, OverflowError, NotImplementedError, TypeError) as error:
        raise ZooError(f"{path} cannot be read as GGUF ({' '.join(str(error).split())})") from error
    _require(path, facts, "general.architecture", "llama")
    _require(path, facts, "tokenizer.ggml.model", "gpt2")
    _require(path, facts, "tokenizer.ggml.pre", "smollm")
    try:
        shape = _shape(facts)
        state = {_name(name): torch.from_numpy(_rows(name, value, shape)) for name, value in weights.items()}
        return Copy(shape, state, _tokenizer(facts))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ZooError(
            f"{path} is a GGUF of another kind than Llama's with tied embeddings: {error}"
        ) from error


def _require(path: Path, facts: dict[str, Any], key: str, value: str) -> None:
    if facts.get(key) != value:
        raise ZooError(f"{path} is a GGUF of another kind: {key} is {facts.get(key)!r}, expected {value!r}")


def _shape(facts: dict[str, Any]) -> LlamaShape:
    return LlamaShape(
        vocabulary=len(facts["tokenizer.ggml.tokens"]),
        width=facts["llama.embedding_length"],
        layers=facts["llama.block_count"],
        heads=facts["llama.attention.head_count"],
        key_heads=facts["llama.attention.head_count_kv"],
        hidden=facts["llama.feed_forward_length"],
        theta=float(facts["llama.rope.freq_base"]),
        eps=float(np.format_float_positional(np.float32(facts["llama.attention.layer_norm_rms_epsilon"]))),
    )


def _name(name: str) -> str:
    stem, _, suffix = name.rpartition(".")
    within = re.fullmatch(r"blk\.(\d+)\.(\w+)", stem)
    if suffix == "weight" and within and within[2] in _LAYER:
        return f"model.layers.{within[1]}.{_LAYER[within[2]]}.weight"
    if suffix != "weight" or stem not in _TOP:
        raise ValueError(f"it has the tensor {name!r}")
    return f"{_TOP[stem]}.weight"


def _rows(name: str, value: np.ndarray, shape: LlamaShape) -> np.ndarray:
    """Queries and keys in the order of `transformers`: GGUF has the two units of a rotation side by side,
    there they lie half a head apart."""
    heads = {"attn_q": shape.heads, "attn_k": shape.key_heads}.get(name.split(".")[-2])
    if heads:
        value = value.reshape(heads, len(value) // heads // 2, 2, -1).swapaxes(1, 2).reshape(value.shape)
    return np.array(value, np.float32, order="C")


def _tokenizer(facts: dict[str, Any]) -> str:
    """Byte-level BPE that takes digits one by one, as JSON of the library `tokenizers`."""
    library = wanted("tokenizers", "language")
    names = facts["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in facts["tokenizer.ggml.merges"]]
    ids = {name: i for i, name in enumerate(names)}
    for merge in merges:  # the library ends the process for less
        if len(merge) != 2 or not {*merge, "".join(merge)} <= ids.keys():
            raise ValueError(f"its tokenizer merges {merge}, which are not tokens that make a third")
    inner = library.Tokenizer(library.models.BPE(ids, merges))
    cut = library.pre_tokenizers
    inner.pre_tokenizer = cut.Sequence(
        [cut.Digits(individual_digits=True), cut.ByteLevel(add_prefix_space=False)]
    )
    inner.decoder = library.decoders.ByteLevel()
    kinds = zip(names, facts["tokenizer.ggml.token_type"], strict=True)
    inner.add_special_tokens([name for name, kind in kinds if kind == _SPECIAL])
    return inner.to_str()
