"""Words of UD EWT with their parts of speech, and what a language model makes of them, layer by layer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from splinelab.data import Sentence, align, ud_ewt
from splinelab.errors import InputError
from splinelab.zoo.language import LanguageModel
from splinelab.zoo.tokens import Tokenizer

#: The universal tags without PUNCT, SYM and X, in alphabetical order.
TAGS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "SCONJ", "VERB",
)  # fmt: skip
#: What `features` gives of each layer: the residual stream after the layer; the normed input of its MLP; the
#: pre-activations of the gate; the up branch; their product, which the MLP's output is made of.
PARTS = ("residual", "normed", "pre", "up", "swiglu")
BATCH = 64  # sentences run at once
_INPUTS = ("normed", "swiglu")  # what goes into a matrix; the others come out of one


@dataclass(frozen=True, eq=False)
class Words:
    """Chosen words of some texts.

    Attributes
    ----------
    texts, spans : for each sentence its text, and where each of its words stands in it.
    sentence, place : int64, for each chosen word its sentence, and which word of that it is.
    words : str, for each chosen word its form in lower case: two words are of one type if these agree.
    tags : int64, for each chosen word its label; part of speech as a number in `TAGS`.
    train : bool, for each chosen word whether its sentence is a training sentence.
    """

    texts: list[str]
    spans: list[list[tuple[int, int]]]
    sentence: np.ndarray
    place: np.ndarray
    words: np.ndarray
    tags: np.ndarray
    train: np.ndarray

    def __len__(self) -> int:
        return len(self.words)

    @property
    def unseen(self) -> np.ndarray:
        """bool, for each word whether it is a test word whose type no training word has."""
        return ~self.train & ~np.isin(self.words, np.unique(self.words[self.train]))


def draw_words(seed: int, train: int = 5000, test: int = 2500) -> Words:
    """Words of whole sentences of UD EWT, drawn without replacement from its own train and test parts.

    Sentences are taken in a random order (by `seed`) until there are at least `train` and `test` words with
    a tag of `TAGS`; sentences without one are passed over. Training words come first. The same seed and
    sizes give the same words for every model. Raises InputError where a part has fewer words.
    """
    rng = np.random.default_rng((seed, 10))
    drawn = [_drawn(ud_ewt(part).sentences, size, rng) for part, size in (("train", train), ("test", test))]
    return words_of([*drawn[0], *drawn[1]], len(drawn[0]))


def words_of(sentences: Sequence[Sentence], train: int) -> Words:
    """All words with a tag of `TAGS` of some sentences, the first `train` of which are training sentences."""
    numbers = {tag: number for number, tag in enumerate(TAGS)}
    rows = [
        (at, place, word.lower(), numbers[tag])
        for at, one in enumerate(sentences)
        for place, (word, tag) in enumerate(zip(one.words, one.tags, strict=True))
        if tag in numbers
    ]
    if not rows:
        raise InputError(f"none of {len(sentences)} sentences has a word with one of the tags {TAGS}")
    sentence, place, words, tags = (np.array(column) for column in zip(*rows, strict=True))
    texts, spans = [one.text for one in sentences], [one.spans for one in sentences]
    return Words(texts, spans, sentence, place, words, tags, sentence < train)


def _drawn(sentences: Sequence[Sentence], size: int, rng: np.random.Generator) -> list[Sentence]:
    taken: list[Sentence] = []
    count = 0
    for at in rng.permutation(len(sentences)):
        tagged = sum(tag in TAGS for tag in sentences[at].tags)
        if tagged:
            taken.append(sentences[at])
            count += tagged
        if count >= size:
            return taken
    raise InputError(f"{size:,} words were asked for and UD EWT's part has {count:,}; ask for fewer")


def features(
    model: LanguageModel, words: Words, layers: Sequence[int], parts: Sequence[str] = PARTS
) -> dict[int, dict[str, np.ndarray]]:
    """What a Llama makes of each word, at its last token: layer → part → float32, words × units.

    Each sentence is run by itself, from a token that begins a text (see `begun`): the first position draws
    attention and has activations like no other, so it should be no word. `parts` are of `PARTS`. Sentences
    are padded on the right, which a causal model does not see. In memory: 4 bytes for each word, unit, part
    and layer, 30 MB a layer for 1,300 words of SmolLM2; ask for a few layers at a time.

    Raises InputError for layers that the model has not, and for a net without such MLPs.
    """
    blocks = _blocks(model.net, layers)
    tokens = [begun(model.tokenizer, text) for text in words.texts]
    last = np.empty(len(words), np.int64)
    for at in np.unique(words.sentence):
        mine = words.sentence == at
        spans = [words.spans[at][place] for place in words.place[mine]]
        last[mine] = align(spans, tokens[at][1]).last
    found: dict[int, dict[str, np.ndarray]] = {layer: {} for layer in layers}
    device = next(model.net.parameters()).device
    order = np.argsort([len(ids) for ids, _ in tokens], kind="stable")
    for chosen in (order[first : first + BATCH] for first in range(0, len(order), BATCH)):
        rows = np.flatnonzero(np.isin(words.sentence, chosen))
        if not len(rows):
            continue
        number = {int(at): row for row, at in enumerate(chosen)}
        where = ([number[int(at)] for at in words.sentence[rows]], last[rows])
        with torch.no_grad(), _watching(blocks, parts, where) as seen:
            model.net.model(_padded([tokens[at][0] for at in chosen]).to(device))
        for (layer, part), values in seen.items():
            whole = found[layer].setdefault(part, np.empty((len(words), values.shape[1]), np.float32))
            whole[rows] = values
    return found


def begun(tokenizer: Tokenizer, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    """A text's tokens and spans, behind a token that begins a text.

    Where the tokenizer itself puts none there, that is its first special token: `<|endoftext|>` for GPT-2
    and SmolLM2, which parts their training texts.
    """
    ids, spans = tokenizer.encode(text)
    if tokenizer.special and (not ids or ids[0] not in tokenizer.special):
        return [min(tokenizer.special), *ids], [(0, 0), *spans]
    return list(ids), list(spans)


def _padded(sequences: Sequence[list[int]]) -> torch.Tensor:
    batch = torch.zeros(len(sequences), max(map(len, sequences)), dtype=torch.int64)
    for row, ids in zip(batch, sequences, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    return batch


def _blocks(net: nn.Module, layers: Sequence[int]) -> dict[int, nn.Module]:
    blocks = getattr(getattr(net, "model", None), "layers", None)
    if blocks is None or not all(hasattr(getattr(block, "mlp", None), "gate_proj") for block in blocks):
        raise InputError(
            f"net is a {type(net).__name__}; expected a Llama: model.layers, each with an mlp of gate_proj, "
            "up_proj and down_proj"
        )
    wrong = [layer for layer in layers if not 0 <= layer < len(blocks)]
    if wrong or not layers:
        raise InputError(f"layers are {list(layers)}; expected some of 0 to {len(blocks) - 1}")
    return {layer: blocks[layer] for layer in layers}


@contextmanager
def _watching(
    blocks: dict[int, nn.Module], parts: Sequence[str], where: tuple
) -> Iterator[dict[tuple[int, str], np.ndarray]]:
    """What passes through the blocks while within, at the tokens `where`: (layer, part) → tokens × units."""
    unknown = sorted(set(parts) - set(PARTS))
    if unknown or not parts:
        raise InputError(f"parts are {list(parts)}; expected some of {', '.join(PARTS)}")
    seen: dict[tuple[int, str], np.ndarray] = {}
    hooks = []
    for layer, block in blocks.items():
        places = {"residual": block, "pre": block.mlp.gate_proj, "up": block.mlp.up_proj}
        inputs = {"normed": block.mlp.gate_proj, "swiglu": block.mlp.down_proj}
        for part in parts:

            def watch(_: nn.Module, args: tuple, out: object = None, of: tuple = (layer, part)) -> None:
                value = args if of[1] in _INPUTS else out
                value = value[0] if isinstance(value, tuple) else value
                seen[of] = value[where].float().cpu().numpy()

            if part in _INPUTS:
                hooks.append(inputs[part].register_forward_pre_hook(watch))
            else:
                hooks.append(places[part].register_forward_hook(watch))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
