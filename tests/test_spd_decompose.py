"""The training of a decomposition: it finds what is known, by seed alone, and resumes to the same bits."""

import hashlib

import pytest
import torch
from torch import nn

from splinelab.errors import InputError, TrainingError
from splinelab.spd import (
    Matrices,
    SparseFeatures,
    SPDRecipe,
    Stage,
    attach,
    decompose,
    identity_errors,
    one_hot,
)


class Diagonal(nn.Module):
    """Three features that never meet: each matrix has one rank-one part for each, at right angles."""

    def __init__(self):
        super().__init__()
        self.up = nn.Linear(3, 6, bias=False)
        self.down = nn.Linear(6, 3)
        with torch.no_grad():
            self.up.weight.copy_(torch.eye(3).repeat_interleave(2, 0))
            self.down.weight.copy_(torch.eye(3).repeat_interleave(2, 1) / 2)
            self.down.bias.zero_()

    def forward(self, x):
        return self.down(torch.relu(self.up(x)))


RECIPE = SPDRecipe(
    inputs=SparseFeatures(3, 0.3),
    matrices=(Matrices("up", 8, 16, 3e-3), Matrices("down", 8, 16, 3e-3)),
    stages=(
        Stage(500, lr=1e-2, penalty="smooth-l0", sharpness=(1.0, 0.05), frequency=0.5),
        Stage(60, lr=3e-3, importance=0.3, prune=0.1),
    ),
    batch=128,
    evaluations=9,
)
SHORT = RECIPE.replace(stages=(Stage(12, lr=1e-2), Stage(8, lr=3e-3, prune=0.0, layerwise=1.0, subset=1.0)))


def digest(decomposition):
    state = decomposition.state_dict()
    return hashlib.sha256(b"".join(value.numpy().tobytes() for value in state.values())).hexdigest()


@pytest.fixture(scope="module")
def found():
    return decompose(Diagonal(), RECIPE, 1)


def test_it_finds_the_mechanisms(found):
    importances = found.decomposition.importances(one_hot(3))
    assert all(identity_errors(values) == (0, 0) for values in importances.values())
    assert not found.decomposition.training
    x = RECIPE.inputs.sample(500, torch.Generator().manual_seed(5))
    masks = {name: value.round() for name, value in found.decomposition.importances(x).items()}
    target = found.decomposition.target(x)[0]
    assert (found.decomposition.masked(x, masks) - target).square().mean() < 0.05 * target.square().mean()


def test_history(found):
    history = found.history
    assert list(history) == [
        "step",
        "stage",
        "loss",
        "importance",
        "faithfulness",
        "together",
        "layerwise",
        "subset",
        "local",
        "alive:up",
        "alive:down",
    ]
    assert history["step"] == [1, *range(62, 559, 62), 560] and history["stage"] == [1] * 9 + [2] * 2
    for row in range(len(history["step"])):
        parts = sum(history[name][row] for name in ("importance", "faithfulness", "together"))
        assert history["loss"][row] == pytest.approx(parts, rel=1e-5)
    assert history["alive:up"][-1] == 3 and history["alive:down"][-1] == 3
    assert [len(matrix) for matrix in found.decomposition.layers.values()] == [3, 3]
    assert found.seconds > 0


def test_the_net_is_left_as_it_was():
    net = Diagonal().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    decompose(net, SHORT, 0)
    assert net.training and all(weight.requires_grad for weight in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("gate", ["vector", "scalar"])
def test_by_seed_alone(gate):
    recipe = SHORT.replace(gate=gate)
    net = Diagonal()
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    first = decompose(net, recipe, 4)
    assert torch.equal(state, torch.random.get_rng_state())
    torch.manual_seed(9)
    assert digest(decompose(net, recipe, 4).decomposition) == digest(first.decomposition)
    assert digest(decompose(net, recipe, 5).decomposition) != digest(first.decomposition)


def test_one_plain_step():
    """The first step of Adam moves every weight with a slope by the learning rate, against the slope."""
    recipe = SHORT.replace(stages=(Stage(1, lr=1e-3),))
    before, after = attach(Diagonal(), recipe, 4), decompose(Diagonal(), recipe, 4).decomposition
    for name, matrix in before.layers.items():
        moved = (after.layers[name].U - matrix.U).abs().detach()
        assert moved.max().item() == pytest.approx(1e-3, rel=1e-2)


def test_pruning_leaves_the_alive_and_the_frequent():
    """Stages share nothing but the components: those that survive are those alive before."""
    brief = RECIPE.stages[0].replace(steps=150)
    first = decompose(Diagonal(), RECIPE.replace(stages=[brief.to_dict()]), 0).decomposition
    x = RECIPE.inputs.sample(4096, torch.Generator().manual_seed(0))
    before = first.importances(x)
    for share in (0.0, 0.9):
        after = decompose(
            Diagonal(), RECIPE.replace(stages=(brief, Stage(1, lr=1e-12, prune=share))), 0
        ).decomposition
        for name, matrix in after.layers.items():
            near = (matrix.U[:, None] - first.layers[name].U).abs().amax(2) < 1e-6
            kept = near.any(0)
            assert int(kept.sum()) == len(matrix) < 8
            rate, alive = before[name].mean(0), before[name].amax(0) > 0.1
            least = share * rate[alive].median()
            assert kept[alive & (rate > 1.1 * least)].all() and not kept[rate < 0.9 * least].any()
            assert not kept[before[name].amax(0) < 0.05].any()


def test_nothing_alive():
    recipe = RECIPE.replace(
        matrices=(Matrices("up", 4, 4, 1e6), Matrices("down", 4, 4, 1e6)),
        stages=(Stage(40, lr=0.1), Stage(3, prune=0.0)),
    )
    with pytest.raises(TrainingError, match=r"no component of up is alive.*lower the importance"):
        decompose(Diagonal(), recipe, 0)


def test_non_finite_loss_says_where_and_what_to_do():
    recipe = SHORT.replace(stages=(Stage(40, lr=1e25),))
    with pytest.raises(TrainingError, match=r"not finite at step \d+ of 40 \(stage 1, lr 1e\+25.*lower lr"):
        decompose(Diagonal(), recipe, 0)


def test_the_last_step_counts():
    """Its loss is that of the weights before it, so the weights after it are looked at."""
    for steps in (1, 3):
        recipe = SHORT.replace(
            stages=(Stage(steps, lr=1e38, schedule="constant", weight_decay=1.0),), evaluations=1
        )
        with pytest.raises(TrainingError, match=rf"not finite (at step|after all) .*{steps}.*lower lr"):
            decompose(Diagonal(), recipe, 0)


@pytest.mark.parametrize("every", [0, -1, 1.5, None])
def test_steps_between_checkpoints(every, tmp_path):
    with pytest.raises(InputError, match=r"checkpoint_every is .*at least 1"):
        decompose(Diagonal(), SHORT, 0, checkpoint=tmp_path / "x.ckpt", checkpoint_every=every)


def test_bad_seed_and_device():
    for seed in (-1, 0.5, None):
        with pytest.raises(InputError, match="seed"):
            decompose(Diagonal(), SHORT, seed)
    with pytest.raises(InputError, match="device is 'gpu'"):
        decompose(Diagonal(), SHORT, 0, device="gpu")


def test_float64():
    fit = decompose(Diagonal().double(), SHORT, 0)
    assert all(weight.dtype == torch.float64 for weight in fit.decomposition.parameters())


# --- checkpoints


class Stop(Exception):
    pass


@pytest.mark.parametrize("at", [5, 12, 15, 20])
def test_a_run_stopped_and_started_again_ends_with_the_same_bits(tmp_path, at):
    whole = decompose(Diagonal(), SHORT, 4)
    path = tmp_path / "run.ckpt"

    def stop(step, _):
        if step >= at:
            raise Stop

    with pytest.raises(Stop):
        # A row of the history comes before the checkpoint of its step, so the run resumes from before it.
        decompose(Diagonal(), SHORT, 4, checkpoint=path, checkpoint_every=1, watch=stop)
    steps = []
    again = decompose(
        Diagonal(), SHORT, 4, checkpoint=path, checkpoint_every=1, watch=lambda step, _: steps.append(step)
    )
    assert digest(again.decomposition) == digest(whole.decomposition)
    for name, column in whole.history.items():
        assert again.history[name] == pytest.approx(column, nan_ok=True, abs=0, rel=0)
    assert steps and min(steps) >= at - 1


def test_a_finished_run_is_not_run_again(tmp_path):
    path = tmp_path / "run.ckpt"
    whole = decompose(Diagonal(), SHORT, 4, checkpoint=path, checkpoint_every=5)
    again = decompose(
        Diagonal(), SHORT, 4, checkpoint=path, checkpoint_every=5, watch=lambda *_: pytest.fail("ran again")
    )
    assert digest(again.decomposition) == digest(whole.decomposition)
    assert again.history["step"] == whole.history["step"]


def test_a_checkpoint_belongs_to_one_run(tmp_path):
    path = tmp_path / "run.ckpt"
    decompose(Diagonal(), SHORT, 4, checkpoint=path, checkpoint_every=5)
    with pytest.raises(TrainingError, match=r"another run.*seed: 4 there, 5 here"):
        decompose(Diagonal(), SHORT, 5, checkpoint=path)
    with pytest.raises(TrainingError, match=r"another run.*recipe"):
        decompose(Diagonal(), SHORT.replace(batch=64), 4, checkpoint=path)
    other = Diagonal()
    with torch.no_grad():
        other.up.weight.mul_(2)
    with pytest.raises(TrainingError, match=r"another run.*net"):
        decompose(other, SHORT, 4, checkpoint=path)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda():
    fit = decompose(Diagonal(), RECIPE, 0, device="cuda")
    importances = fit.decomposition.importances(one_hot(3))
    assert all(identity_errors(values) == (0, 0) for values in importances.values())
