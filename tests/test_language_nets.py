"""Llamas, text that they write, and how they are trained."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional as F

from splinelab import zoo
from splinelab.data.published import data_folder
from splinelab.errors import InputError, RecipeError, TrainingError
from splinelab.nets import Llama, LlamaShape, sample
from splinelab.training import TextData, TextRecipe, cross_entropy, fit_text
from splinelab.training.text import tokens_checksum, windows

SHAPE = LlamaShape(vocabulary=11, width=16, layers=2, heads=4, key_heads=2, hidden=24)
SMALL = TextRecipe(
    vocabulary=11, width=16, layers=2, heads=4, key_heads=2, hidden=24, window=8, batch=8, steps=120,
    lr=1e-2, warm_up=10, evaluations=4,
)  # fmt: skip


def louder(net):
    """Weights large enough that every part of the model shows in the logits."""
    with torch.no_grad():
        for weight in net.parameters():
            weight.mul_(10) if weight.ndim == 2 else weight.add_(0.3 * torch.randn_like(weight))
    return net.eval()


@pytest.fixture(scope="module")
def periodic():
    """Sequences in which each token follows from the one before it."""
    rng = np.random.default_rng(0)
    rows = (rng.integers(11, size=(60, 1)) + 3 * np.arange(20)) % 11
    return TextData(rows[:50].astype(np.uint16), rows[50:].astype(np.uint16))


# --- the model


def test_logits_are_those_of_transformers():
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=11, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, rms_norm_eps=1e-5, tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(0)
    theirs = louder(transformers.LlamaForCausalLM(config))
    state = {k: v for k, v in theirs.state_dict().items() if k != "lm_head.weight"}
    ours = Llama(SHAPE)
    ours.load_state_dict(state)
    tokens = torch.randint(11, (3, 17))
    with torch.no_grad():
        expected = theirs(tokens).logits
        assert expected.std() > 0.3
        torch.testing.assert_close(ours(tokens), expected, rtol=1e-5, atol=1e-4)


def test_steps_with_caches_give_the_logits_of_the_whole():
    torch.manual_seed(1)
    net, tokens = louder(Llama(SHAPE, seed=1)), torch.randint(11, (5, 9))
    caches = net.new_caches(5, 9)
    with torch.no_grad():
        steps = torch.stack([net.step(tokens[:, i], caches, i) for i in range(9)], 1)
        torch.testing.assert_close(steps, net(tokens), rtol=1e-4, atol=1e-4)


def test_no_token_sees_those_after_it():
    torch.manual_seed(2)
    net, tokens = louder(Llama(SHAPE, seed=2)), torch.randint(11, (1, 9))
    changed = tokens.clone()
    changed[0, 5] = (tokens[0, 5] + 1) % 11
    with torch.no_grad():
        apart = (net(tokens) - net(changed)).abs().amax(dim=2)[0]
    assert apart[:5].max() == 0 and apart[5:].min() > 1e-3


@pytest.mark.parametrize(
    ("change", "what"),
    [({"width": 18}, "width 18, heads 4"), ({"key_heads": 3}, "key_heads 3"), ({"layers": 0}, "layers is 0")],
)
def test_shapes_that_cannot_be(change, what):
    with pytest.raises(InputError, match=what):
        LlamaShape(**{**vars(SHAPE), **change})


# --- sampling


def test_samples_follow_the_model():
    net = louder(Llama(SHAPE, seed=3))
    tokens = sample(net, 4000, 3, first=1, seed=0)
    assert (tokens[:, 0] == 1).all()
    with torch.no_grad():
        first = net(torch.tensor([[1]]))[0, 0].softmax(0).double().numpy()
        common = int(np.bincount(tokens[:, 1]).argmax())
        after = net(torch.tensor([[1, common]]))[0, 1].softmax(0).double().numpy()
    second = tokens[tokens[:, 1] == common, 2]
    for seen, chances in ((tokens[:, 1], first), (second, after)):
        expected = chances / chances.sum() * len(seen)
        counts = np.bincount(seen, minlength=11)
        some = expected > 5
        kept = [*counts[some], counts[~some].sum()], [*expected[some], max(expected[~some].sum(), 1e-9)]
        assert stats.chisquare(*kept, sum_check=False).pvalue > 1e-3
    assert (sample(net, 4, 3, first=1, seed=0) == sample(net, 4, 3, first=1, seed=0)).all()
    assert (sample(net, 40, 3, first=1, seed=0) != sample(net, 40, 3, first=1, seed=1)).any()


def test_a_token_that_is_not_there():
    with pytest.raises(InputError, match="first is 11; expected a token, 0 to 10"):
        sample(Llama(SHAPE), 2, 3, first=11, seed=0)


# --- training


def test_what_follows_from_the_token_before_is_learnt(periodic):
    found = fit_text(SMALL, 0, periodic)
    losses = found.history["heldout_loss"]
    assert abs(losses[0] - np.log(11)) < 0.05 and losses[-1] < 0.1
    again = fit_text(SMALL, 0, periodic)
    state = again.net.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in found.net.state_dict().items())
    other = fit_text(SMALL.replace(steps=1), 1, periodic)
    assert not torch.equal(other.net.model.embed_tokens.weight, found.net.model.embed_tokens.weight)


def test_a_killed_training_goes_on_to_the_same_bits(periodic, tmp_path):
    path, script = tmp_path / "run.ckpt", tmp_path / "run.py"
    np.savez(tmp_path / "data.npz", train=periodic.train, heldout=periodic.heldout)
    script.write_text(
        textwrap.dedent(f"""
        import os, numpy as np
        from splinelab.training import TextData, TextRecipe, fit_text
        from splinelab.training import text
        data = np.load({str(tmp_path / "data.npz")!r})
        after = text._Run.after_step
        def stop(self):
            if self.step == 77:
                os._exit(9)
        text._Run.after_step = stop
        recipe = TextRecipe.from_dict({SMALL.to_dict()!r})
        given = TextData(data["train"], data["heldout"])
        fit_text(recipe, 0, given, checkpoint={str(path)!r}, checkpoint_every=25)
        """)
    )
    killed = subprocess.run([sys.executable, script], check=False)
    assert killed.returncode == 9 and path.exists()
    whole = fit_text(SMALL, 0, periodic)
    resumed = fit_text(SMALL, 0, periodic, checkpoint=path)
    assert resumed.history == whole.history
    state = resumed.net.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in whole.net.state_dict().items())
    with pytest.raises(TrainingError):
        fit_text(SMALL, 1, periodic, checkpoint=path)


def test_windows_cover_every_token_that_can_be_predicted():
    for length, window in [(512, 256), (20, 8), (9, 8), (17, 8)]:
        rows, starts = windows(np.zeros((3, length)), window)
        assert starts.min() == 0 and starts.max() + window + 1 == length
        mine = starts[rows == 1]
        reached = np.unique(np.concatenate([np.arange(s + 1, s + window + 1) for s in mine]))
        assert (reached == np.arange(1, length)).all()
        assert len(mine) == -(-(length - 1) // window)


def test_loss_against_its_definition():
    torch.manual_seed(3)
    net = louder(Llama(SHAPE, seed=4))
    tokens = torch.randint(11, (3, 20)).numpy()
    losses = []
    for row in tokens:
        for start in (0, 8):
            x = torch.from_numpy(row[start : start + 8])[None]
            with torch.no_grad():
                chances = net(x)[0].double().softmax(1)
            losses += [-float(chances[i, row[start + i + 1]].log()) for i in range(8)]
    assert cross_entropy(net, tokens, 8) == pytest.approx(np.mean(losses), rel=1e-5)
    assert cross_entropy(net, tokens.ravel(), 8) != pytest.approx(np.mean(losses), rel=1e-3)
    with pytest.raises(InputError, match="window is 20"):
        cross_entropy(net, tokens, 20)


@pytest.mark.parametrize(
    ("train", "what"),
    [
        (np.zeros((4, 8), np.uint16), r"shape \(4, 8\); expected sequences × more than 8 tokens"),
        (np.zeros(40, np.uint16), r"shape \(40,\)"),
        (np.full((4, 9), 11), "run to 11; expected 0 to 10"),
    ],
)
def test_text_that_does_not_fit(train, what, periodic):
    with pytest.raises(InputError, match=what):
        fit_text(SMALL, 0, TextData(train, periodic.heldout))


def test_recipes_that_cannot_be():
    with pytest.raises(RecipeError, match="steps is 0"):
        TextRecipe(steps=0)
    with pytest.raises(RecipeError, match="a shape that fits"):
        TextRecipe(width=62)
    assert TextRecipe.from_dict(SMALL.to_dict()) == SMALL


# --- the story model


def test_the_story_model_and_its_text_are_those_of_their_cards():
    card, text = zoo.story_card(), zoo.story_text()
    assert card["data"]["heldout"] == {
        "name": "stories260K, heldout", "tokens": text.size, "checksum": tokens_checksum(text),
    }  # fmt: skip
    assert card["data"]["train"]["tokens"] >= 20_000_000
    net = zoo.story()
    assert sum(weight.numel() for weight in net.parameters()) == card["parameters"]
    some = np.random.default_rng(0).permutation(len(text))[:40]
    loss = cross_entropy(net, text[some], 255)
    assert loss == pytest.approx(card["metrics"]["heldout_loss"], abs=0.05)
    assert cross_entropy(zoo.untrained_story(), text[some], 255) == pytest.approx(np.log(512), abs=0.1)
    logits = net(torch.from_numpy(text[some[:1], :-1]))
    direct = F.cross_entropy(logits[0], torch.from_numpy(text[some[0], 1:]))
    assert float(direct) < 2.5


def test_the_story_model_by_name():
    model = zoo.language_model("story")
    assert "stories260K" in model.about and zoo.language_model_at_hand("story")
    text = model.tokenizer.decode(zoo.story_text()[7])
    assert text.count(" ") > 50 and "<unk>" not in text


@pytest.mark.skipif(data_folder("stories260k") is None, reason="needs stories260K")
def test_the_writer_of_the_text():
    writer, text = zoo.language_model("stories260K").net, zoo.story_text()
    metrics = zoo.story_card()["metrics"]
    assert cross_entropy(writer, text, 255) == pytest.approx(metrics["writer_heldout_loss"], abs=1e-4)
    assert metrics["writer_heldout_loss"] < metrics["heldout_loss"]
