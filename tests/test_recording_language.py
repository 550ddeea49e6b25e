"""record() on language models: transformers' own hidden states, hooks, and one sentence at a time."""

import copy
import tracemalloc

import numpy as np
import pytest
import torch
import transformers
from torch import nn
from torch.nn import functional as F

from splinelab import nets, polytopes
from splinelab.errors import InputError, UnsupportedOperationError
from splinelab.recording import Recording, record, stream

VOCABULARY, WIDTH, LENGTH = 50, 16, 9
ROTARY = dict(
    vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=24, num_hidden_layers=2,
    num_attention_heads=4, max_position_embeddings=64,
)  # fmt: skip


def built(config, attention="sdpa", seed=0):
    """A tiny model with weights from a seed, large enough that gates differ from token to token."""
    config._attn_implementation = attention
    net = transformers.AutoModelForCausalLM.from_config(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim == 2:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
    return net.eval()


def llama(attention="sdpa", act="silu", **options):
    config = transformers.LlamaConfig(**ROTARY, num_key_value_heads=2, hidden_act=act, **options)
    return built(config, attention)


def gpt2(attention="sdpa", act="gelu_new"):
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_embd=WIDTH, n_layer=2, n_head=4, n_positions=64, activation_function=act
    )
    return built(config, attention)


def opt(attention="sdpa"):
    config = transformers.OPTConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, word_embed_proj_dim=WIDTH, ffn_dim=24,
        num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64,
    )  # fmt: skip
    return built(config, attention)


def gemma(attention="sdpa"):
    config = transformers.GemmaConfig(**ROTARY, num_key_value_heads=2, head_dim=4)
    return built(config, attention)


def neox(attention="sdpa"):
    return built(transformers.GPTNeoXConfig(**ROTARY), attention)


MODELS = {"llama": llama, "gpt2": gpt2, "opt": opt, "gemma": gemma, "neox": neox}


def tokens(sequences=5, length=LENGTH, seed=1):
    return torch.randint(3, VOCABULARY, (sequences, length), generator=torch.Generator().manual_seed(seed))


def sentences(seed=2):
    """Token lists of unequal lengths."""
    generator = np.random.default_rng(seed)
    return [generator.integers(3, VOCABULARY, size=n).tolist() for n in (6, 1, 9, 4, 3)]


def padded(lists, side):
    """What a tokenizer makes of them."""
    length = max(map(len, lists))
    rows, masks = [], []
    for ids in lists:
        blank = [0] * (length - len(ids))
        rows.append(blank + ids if side == "left" else ids + blank)
        masks.append([0] * len(blank) + [1] * len(ids) if side == "left" else [1] * len(ids) + blank)
    return transformers.BatchEncoding(
        {"input_ids": torch.tensor(rows), "attention_mask": torch.tensor(masks)}
    )


@torch.no_grad()
def hooked(net, given, names, after=False):
    """What modules are given (or give), by forward hooks: tokens × units."""
    found, handles = {}, []
    for name in names:

        def keep(module, args, output, name=name):
            value = output if after else args[0]
            found[name] = value.reshape(-1, value.shape[-1]).numpy().copy()

        handles.append(net.get_submodule(name).register_forward_hook(keep))
    net(**given)
    for handle in handles:
        handle.remove()
    return found


def close(one, two):
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5 * np.abs(two).max())


# Models as they come


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", MODELS)
def test_gates_as_hooks_see_them(kind, attention):
    net, given = MODELS[kind](attention), {"input_ids": tokens()}
    recording = record(net, given["input_ids"], positions="all", soft=kind != "opt")
    acts = [name for name in recording.codes.layers if "act" in name.rpartition(".")[2]]
    assert len(acts) == 2 and len(recording) == 5 * LENGTH
    before, after = hooked(net, given, acts), hooked(net, given, acts, after=True)
    for name in acts:
        close(recording.pre[name], before[name])
        close(recording.post[name], after[name])
        assert np.array_equal(recording.codes.select(name).bits(), recording.pre[name] > 0)
        assert 0.05 < recording.codes.select(name).bits().mean() < 0.95
    with torch.no_grad():
        close(recording.output, net(**given).logits.reshape(-1, VOCABULARY).numpy())


@pytest.mark.parametrize("kind", ["llama", "gpt2", "opt"])
def test_residual_streams_are_the_models_hidden_states(kind):
    net, given = MODELS[kind](), tokens()
    blocks = {"llama": "model.layers", "gpt2": "transformer.h", "opt": "model.decoder.layers"}[kind]
    recording = record(net, given, positions="all", soft=True, also=[f"{blocks}.0", f"{blocks}.1"])
    with torch.no_grad():
        hidden = net(given, output_hidden_states=True).hidden_states
    assert list(recording.inputs) == [f"{blocks}.0", f"{blocks}.1"]
    for layer in (0, 1):
        close(recording.inputs[f"{blocks}.{layer}"], hidden[layer].reshape(-1, WIDTH).numpy())


def test_sdpa_and_eager_give_the_same_codes():
    sdpa, eager = llama("sdpa"), llama("eager")
    eager.load_state_dict(sdpa.state_dict())
    batch = padded(sentences(), "right")
    one, two = (record(net, batch, positions="all", soft=True) for net in (sdpa, eager))
    certain = np.abs(one.stack("pre")) > 1e-4
    assert np.array_equal(one.codes.bits()[certain], two.codes.bits()[certain])
    close(one.output, two.output)


def test_a_gated_mlp_has_a_gate_code_and_an_up_code():
    net, given = llama(), {"input_ids": tokens()}
    recording = record(net, given["input_ids"], positions="all", soft=True)
    mlps = [f"model.layers.{layer}.mlp" for layer in (0, 1)]
    names = [f"{mlp}.{part}" for mlp in mlps for part in ("act_fn", "up_proj")]
    assert recording.codes.layers == dict.fromkeys(names, 24)
    assert recording.soft == {f"{mlp}.act_fn": "silu" for mlp in mlps}
    down = hooked(net, given, [f"{mlp}.down_proj" for mlp in mlps])
    up = hooked(net, given, [f"{mlp}.up_proj" for mlp in mlps], after=True)
    for mlp in mlps:
        close(recording.pre[f"{mlp}.up_proj"], up[f"{mlp}.up_proj"])
        close(recording.post[f"{mlp}.up_proj"], down[f"{mlp}.down_proj"])  # the SwiGLU output
        bits = recording.codes.select(f"{mlp}.up_proj").bits()
        assert np.array_equal(bits, recording.pre[f"{mlp}.up_proj"] > 0)


@pytest.mark.parametrize(("kind", "activation"), [("llama", "silu"), ("gpt2", "gelu_tanh"), ("neox", "gelu")])
def test_bits_are_the_hard_limit_of_soft_codes(kind, activation):
    recording = record(MODELS[kind](), tokens(), positions="all", soft=True)
    assert set(recording.soft.values()) == {activation}
    for name in recording.soft:
        pre = recording.pre[name]
        gate = polytopes.soft_code(pre, activation)
        close(gate * pre, recording.post[name])
        assert ((gate >= 0) & (gate <= 1)).all()
        bits = recording.codes.select(name).bits()
        assert np.array_equal(polytopes.soft_code(1e6 * pre, activation) > 0.5, bits)
        if activation == "silu":  # the family of soft codes between linear and hard
            assert np.array_equal(polytopes.soft_code(pre, activation, beta=1), bits)


@pytest.mark.parametrize("make", [opt, lambda: llama(act="relu"), lambda: gpt2(act="relu")])
def test_relu_models_need_no_soft_codes(make):
    net = make()
    recording = record(net, tokens(), positions="all")
    acts = list(recording.codes.layers)
    assert len(acts) == 2 and recording.soft == {}
    before = hooked(net, {"input_ids": tokens()}, acts)
    assert np.array_equal(recording.codes.bits(), np.concatenate([before[name] > 0 for name in acts], axis=1))


def test_smooth_gates_are_refused_unless_asked_for_or_ignored():
    with pytest.raises(UnsupportedOperationError, match=r"for silu.*With soft=True.*'model.layers.0.mlp"):
        record(llama(), tokens(), positions="all")
    with pytest.raises(UnsupportedOperationError, match=r"mlp\.act"):
        record(gpt2(), tokens(), positions="all")
    relu = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.SiLU(), nn.Linear(6, 6), nn.GELU())
    assert list(record(relu, torch.randn(4, 6), ignore=("silu", "gelu")).codes.layers) == ["1"]
    assert list(record(relu, torch.randn(4, 6), soft=True).codes.layers) == ["1", "2", "4"]
    assert list(record(relu, torch.randn(4, 6), soft=True, ignore="2").codes.layers) == ["1", "4"]
    sigmoid = nn.Sequential(nn.Linear(6, 6), nn.SiLU(), nn.Sigmoid())
    with pytest.raises(UnsupportedOperationError, match="sigmoid"):
        record(sigmoid, torch.randn(4, 6), soft=True)


def test_activations_that_are_written_out_are_read_as_one():
    from transformers import activations

    x = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    linear = nn.Linear(5, 5)
    for module, kind in (
        (activations.NewGELUActivation(), "gelu_tanh"),
        (activations.FastGELUActivation(), "gelu_tanh"),
        (activations.GELUTanh(use_gelu_tanh_python=True), "gelu_tanh"),
        (activations.GELUActivation(use_gelu_python=True), "gelu"),
        (activations.SiLUActivation(), "silu"),
        (nn.GELU(approximate="tanh"), "gelu_tanh"),
    ):
        net = nn.Sequential(linear, module, nn.Linear(5, 2), nn.ReLU())
        recording = record(net, x, soft=True)
        assert list(recording.codes.layers) == ["1", "3"] and recording.soft == {"1": kind}
        assert np.array_equal(recording.pre["1"], linear(x).detach().numpy())
        assert np.array_equal(recording.post["1"], module(linear(x)).detach().numpy())
        assert list(record(net, x, soft=True, ignore=kind.partition("_")[0]).codes.layers) == ["3"]
        assert list(record(net, x, soft=True, layers="3").codes.layers) == ["3"]
        squared = nn.Sequential(linear, Square(), module)
        with pytest.raises(UnsupportedOperationError, match=r"square of activations|for erf"):
            record(squared, x, soft=True)
    hooked = nn.Sequential(linear, activations.NewGELUActivation())
    hooked[1].register_forward_pre_hook(lambda _, args: (args[0] - 1,))
    with pytest.raises(UnsupportedOperationError, match="module '1'"):
        record(hooked, x, soft=True)


class Square(nn.Module):
    def forward(self, x):
        return x.square()


def test_a_fused_gate_and_up_branch_are_told_apart():
    config = transformers.Phi3Config(**ROTARY, num_key_value_heads=2, pad_token_id=0)
    net = built(config)
    recording = record(net, tokens(), positions="all", soft=True, layers="model.layers.0")
    fused = hooked(net, {"input_ids": tokens()}, ["model.layers.0.mlp.gate_up_proj"], after=True)
    gate, up = np.split(fused["model.layers.0.mlp.gate_up_proj"], 2, axis=1)
    names = ["model.layers.0.mlp.activation_fn", "model.layers.0.mlp.up"]
    assert list(recording.codes.layers) == names
    close(recording.pre[names[0]], gate)
    close(recording.pre[names[1]], up)


def test_the_book_s_own_llama_is_recorded_as_transformers_is():
    theirs = llama(tie_word_embeddings=True, rms_norm_eps=1e-5)
    ours = nets.Llama(nets.LlamaShape(VOCABULARY, WIDTH, 2, 4, 2, 24))
    weights = theirs.state_dict()
    weights.pop("lm_head.weight")
    ours.load_state_dict(weights)
    one, two = (
        record(net, tokens(), positions="all", soft=True, also="model.norm") for net in (theirs, ours)
    )
    assert one.codes.layers == two.codes.layers
    certain = np.abs(one.stack("pre")) > 1e-4
    assert np.array_equal(one.codes.bits()[certain], two.codes.bits()[certain])
    close(one.stack("pre", output=True), two.stack("pre", output=True))
    close(one.inputs["model.norm"], two.inputs["model.norm"])


class Softmax(nn.Module):
    """A ReLU, then a softmax, put to some use."""

    def __init__(self, use):
        super().__init__()
        self.linear, self.use = nn.Linear(6, 6), use

    def forward(self, x):
        h = F.relu(self.linear(x))
        return self.use(self.linear, h, F.softmax(h @ h.mT / 3, -1))


def test_a_softmax_passes_as_the_weights_of_a_sum_alone():
    x = torch.randn(5, 3, 6)
    for use in (
        lambda _, h, weights: weights @ h,
        lambda _, h, weights: torch.bmm(F.dropout((weights * 2).to(h.dtype), 0.5, False), h),
        lambda _, h, weights: torch.einsum("bij,bjk->bik", weights, h),
        lambda _, h, weights: ((weights @ h).relu(), weights),
    ):
        recording = record(Softmax(use), x, soft=True)
        assert next(iter(recording.codes.layers)) == "relu"
    for use in (
        lambda _, h, weights: weights,
        lambda _, h, weights: weights[..., :1] * h,
        lambda _, h, weights: F.relu(weights - 0.3),
        lambda _, h, weights: weights @ torch.ones(3, 2),
        lambda linear, h, weights: weights @ linear.weight[:3],
        lambda _, h, weights: weights + h[..., :3],
    ):
        with pytest.raises(UnsupportedOperationError, match=r"for softmax.*in attention.*own forward"):
            record(Softmax(use), x)


# Tokens as samples


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "opt"])
def test_a_padded_batch_gives_the_codes_of_unpadded_sentences(kind, side):
    net, lists = MODELS[kind](), sentences()
    batch = padded(lists, side)
    if kind == "gpt2" and side == "left":  # learnt positions: the caller's, as in generate()
        batch["position_ids"] = (batch["attention_mask"].cumsum(1) - 1).clamp(min=0)
    recording = record(net, batch, positions="all", soft=True)
    alone = [record(net, torch.tensor([ids]), positions="all", soft=True) for ids in lists]
    close(recording.stack("pre"), np.concatenate([one.stack("pre") for one in alone]))
    certain = np.abs(recording.stack("pre")) > 1e-4
    bits = np.concatenate([one.codes.bits() for one in alone])
    assert np.array_equal(recording.codes.bits()[certain], bits[certain])
    close(recording.output, np.concatenate([one.output for one in alone]))
    assert recording.sequence.tolist() == [i for i, ids in enumerate(lists) for _ in ids]
    assert recording.position.tolist() == [j for ids in lists for j in range(len(ids))]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("batch_size", [2, 512])
def test_every_form_of_positions_takes_the_same_rows(side, batch_size):
    net, lists = llama(), sentences()
    batch = padded(lists, side)
    full = record(net, batch, positions="all", soft=True)
    lengths = np.array([len(ids) for ids in lists])
    mask = np.zeros(batch["input_ids"].shape, bool)
    mask[2, [1, 5]] = True
    per_sequence = [[5, 0], [], [-1, 3], np.array([2]), []]
    for positions, wanted in (
        ("last", [(i, n - 1) for i, n in enumerate(lengths)]),
        (-1, [(i, n - 1) for i, n in enumerate(lengths)]),
        (0, [(i, 0) for i in range(5)]),
        (per_sequence, [(0, 5), (0, 0), (2, 8), (2, 3), (3, 2)]),
        (torch.from_numpy(lengths - 1), [(i, n - 1) for i, n in enumerate(lengths)]),
        (np.zeros((5, 2), int), [(i, 0) for i in range(5) for _ in range(2)]),
        (mask, [(2, 1), (2, 5)]),
    ):
        recording = record(
            net, batch, positions=positions, soft=True, batch_size=batch_size, also="model.norm"
        )
        assert list(zip(recording.sequence.tolist(), recording.position.tolist(), strict=True)) == wanted
        rows = [lengths[:i].sum() + j for i, j in wanted]
        close(recording.stack("pre"), full.stack("pre")[rows])
        close(recording.output, full.output[rows])
        assert recording.inputs["model.norm"].shape == (len(wanted), WIDTH)
        part = recording[1:]
        assert part.sequence.tolist() == [i for i, _ in wanted[1:]] and len(part.inputs["model.norm"]) == len(
            part
        )


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        (6, r"Sequence 0 has 6 tokens.*no position 6"),
        ([[0], [1], [0], [0], [0]], r"Sequence 1 has 1 tokens.*no position 1"),
        ([[0]] * 4, r"entries for 4 sequences.*hold at least 5"),
        ([[0]] * 6, r"entries for 6 sequences.*hold 5"),
        ([[]] * 5, r"chooses no token"),
        (np.ones((5, 9), bool), r"column 0 of sequence 0: that is padding"),
        (np.ones((5, 7), bool), r"sequence 0 are 7, and its batch has 9 columns"),
        ("first", r'positions is "all"'),
        (True, r'positions is "all"'),
        (np.zeros((5, 2)), r"got float64 of shape"),
        ([[0.5]] * 5, r"for sequence 0 it holds \[0.5\]"),
    ],
)
def test_positions_that_are_not_there(positions, message):
    with pytest.raises(InputError, match=message):
        record(llama(), padded(sentences(), "left"), positions=positions, soft=True)


def test_positions_need_tokens():
    net = nn.Sequential(nn.Linear(6, 6), nn.ReLU())
    with pytest.raises(InputError, match="sequences × tokens"):
        record(net, torch.randn(5, 4, 6)[:, 0, 0], positions="all")
    pooled = nn.Sequential(nn.Linear(6, 6), nn.Flatten(), nn.ReLU())
    with pytest.raises(InputError, match=r"each token is a sample.*relu got shape \(5, 24\).*ignore="):
        record(pooled, torch.randn(5, 4, 6), positions="all")
    mask = torch.ones(5, 1, LENGTH, LENGTH)
    with pytest.raises(InputError, match=r"attention_mask must be sequences × tokens, \(5, 9\)"):
        record(llama(), {"input_ids": tokens(), "attention_mask": mask}, positions="all", soft=True)
    with pytest.raises(InputError, match='pass positions="all"'):
        record(opt(), tokens())


def test_without_positions_sequences_are_the_samples():
    net = llama(act="relu")
    recording = record(net, tokens())
    assert recording.codes.shape == (5, 2 * LENGTH * 24) and recording.sequence is None
    by_token = record(net, tokens(), positions="all")
    assert np.array_equal(
        recording.pre["model.layers.0.mlp.act_fn"].reshape(-1, 24), by_token.pre["model.layers.0.mlp.act_fn"]
    )


# What is kept


def test_layers_and_modules_by_name():
    net = llama()
    full = record(net, tokens(), positions="all", soft=True)
    names = list(full.codes.layers)
    for layers, left in (
        ("model.layers.1", names[2:]),
        ("model.layers.1.mlp.up_proj", names[3:]),
        (names[1:3], names[1:3]),
    ):
        part = record(net, tokens(), positions="all", soft=True, layers=layers, output=False)
        assert part.codes == full.codes.select(*left) and list(part.pre) == left
        assert part.output.shape == (5 * LENGTH, 0)
        assert np.array_equal(part.stack("post"), full.select(*left).stack("post"))
    codes = record(net, tokens(), positions="all", soft=True, activations=False, also="model.layers.1")
    assert codes.codes == full.codes and not codes.pre and list(codes.inputs) == ["model.layers.1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": "model.layers.2"}, r"layers names 'model.layers.2'.*did you mean.*model.layers.1.mlp.up"),
        (
            {"layers": ("model.layers.0", "model.layers.0.mlp.act")},
            r"did you mean 'model.layers.0.mlp.act_fn'",
        ),
        ({"layers": ()}, "layers names no layer"),
        ({"also": "model.layer.1"}, r"also names 'model.layer.1'.*did you mean 'model.layers.1'"),
        ({"also": "model.layers.0.self_attn"}, "without a tensor as its first positional argument"),
    ],
)
def test_unknown_layers_and_modules(options, message):
    with pytest.raises(InputError, match=message):
        record(llama(), tokens(), positions="all", soft=True, **options)


def test_the_net_is_left_as_it_was():
    net = gpt2().train()
    before = copy.deepcopy(net.state_dict())
    attributes = {path: set(vars(module)) for path, module in net.named_modules()}
    state = torch.get_rng_state()
    record(net, padded(sentences(), "right"), positions="all", soft=True, also="transformer.h.1")
    parts = stream(net, tokens(), batch_size=2, positions="last", soft=True)
    next(parts)
    assert all(module.training for module in net.modules())
    assert torch.is_grad_enabled()
    list(parts)
    assert all(module.training for module in net.modules())
    assert torch.equal(torch.get_rng_state(), state)
    assert attributes == {path: set(vars(module)) for path, module in net.named_modules()}
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert not torch.nn.modules.module._global_forward_hooks


# Streams


def test_a_stream_is_the_recording_in_parts():
    net, batch = llama(), padded(sentences(), "left")
    positions = [[0], [], [], [], [2, 1]]
    options = {"positions": positions, "soft": True, "also": "model.norm", "batch_size": 2}
    whole, parts = record(net, batch, **options), list(stream(net, batch, **options))
    assert [len(part) for part in parts] == [1, 2] and isinstance(parts[0], Recording)  # none of the second
    assert np.array_equal(np.concatenate([part.codes.packed for part in parts]), whole.codes.packed)
    for name in ("output", "sequence", "position"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        assert np.array_equal(joined, getattr(whole, name))
    assert np.array_equal(parts[1].inputs["model.norm"], whole.inputs["model.norm"][1:])
    with pytest.raises(InputError, match="layers names 'x'"):
        list(stream(net, batch, layers="x", soft=True))
    with pytest.raises(TypeError, match="nosuch"):
        stream(net, batch, nosuch=1)


def peak(batches):
    """Peak memory that numpy and Python allocate while codes of that many batches pass, in bytes."""
    net = llama()
    many = (tokens(20, 50, seed=i) for i in range(batches))
    counts = np.zeros(24, np.int64)
    tracemalloc.start()
    seen = 0
    for part in stream(
        net, many, positions="all", soft=True, layers="model.layers.1.mlp.act_fn", output=False
    ):
        counts += part.codes.bits().sum(axis=0, dtype=np.int64)
        seen += len(part)
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen == 1000 * batches and (counts > 0).all()
    return highest


def test_a_stream_needs_no_more_memory_for_more_tokens():
    peak(2)  # what is imported and cached on the way
    few, many = peak(10), peak(100)
    assert many < 2 * few  # the codes alone of all these tokens would be four times as much
