"""Training: recipes, the fit loop, and resuming to the same bits."""

import dataclasses
import hashlib
import json
import math
import os
import resource
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn

from splinelab import _files, data
from splinelab.data import Dataset
from splinelab.errors import InputError, RecipeError, TrainingError
from splinelab.nets import cnn, mlp, residual_cnn
from splinelab.training import (
    Recipe,
    TrainingData,
    build,
    evaluate,
    evaluation_steps,
    fit,
    load_checkpoint,
    save_checkpoint,
    training_data,
)

SMALL = Recipe(
    dataset="digits", train_images=300, sizes=(64, 32, 10), lr=3e-3, batch=64, steps=60, evaluations=6
)


CNN = SMALL.replace(net="cnn", sizes=(64, 16, 10), loss="cross-entropy")


def digest(net):
    """Of parameters and of batch norm's statistics."""
    return hashlib.sha256(b"".join(v.numpy().tobytes() for v in net.state_dict().values())).hexdigest()


# --- recipes


def test_recipe_round_trip_and_frozen():
    recipe = Recipe(sizes=[4, 3], decay_from_accuracy=0.9)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert recipe.replace(steps=7).steps == 7
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.lr = 1.0


@pytest.mark.parametrize(
    ("key", "closest"),
    [
        ("weight_decy", "'weight_decay'"),
        ("learning", "expected one of"),
        ("step", "'steps'"),
        ("Loss", "'loss'"),
    ],
)
def test_unknown_key_names_the_closest(key, closest):
    with pytest.raises(RecipeError) as caught:
        Recipe.from_dict({key: 1})
    assert key in str(caught.value) and closest in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"dataset": "cifar"},
        {"dataset": "mnist-test"},
        {"dataset": "cifar10-test"},
        {"net": "transformer"},
        {"loss": "hinge"},
        {"dtype": "float16"},
        {"sizes": (784,)},
        {"sizes": (784, 0, 10)},
        {"sizes": 10},
        {"batch": 0},
        {"batch": 2.5},
        {"steps": -1},
        {"steps": True},
        {"evaluations": 0},
        {"train_images": 0},
        {"train_images": None},
        {"scale": 0},
        {"lr": float("nan")},
        {"lr": "fast"},
        {"lr": True},
        {"lr": math.inf},
        {"steps": "10"},
        {"steps": 10.0},
        {"sizes": "784"},
        {"sizes": (784, 10.0)},
        {"scale": None},
        {"dropout": 1},
        {"dropout": -0.1},
        {"loss": None},
        {"loss": ["mse"]},
        {"weight_decay": -0.1},
        {"decay_from_accuracy": 0},
        {"decay_from_accuracy": 1.5},
    ],
)
def test_impossible_values(values):
    (key,) = values
    with pytest.raises(RecipeError, match=f"{key} is .*expected"):
        Recipe.from_dict(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"net": "cnn", "sizes": (780, 10)}, r"sizes is \(780, 10\).*square image"),
        ({"net": "residual-cnn", "sizes": (784, 96, 10)}, r"sizes is .*two numbers"),
        ({"net": "cnn", "scale": 8.0}, r"scale is 8.0; expected 1 for the net 'cnn'"),
        ({"net": "cnn", "dropout": 0.5}, r"dropout is 0.5; expected 0 for the net 'cnn'"),
    ],
)
def test_nets_that_cannot_be(values, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.from_dict(values)


def test_a_recipe_written_before_there_were_other_nets_is_one_of_an_mlp():
    old = {key: value for key, value in SMALL.to_dict().items() if key != "net"}
    assert Recipe.from_dict(old) == SMALL and SMALL.net == "mlp"


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (SMALL.replace(scale=3.0, dtype="float64"), lambda: mlp(SMALL.sizes, seed=5, scale=3.0)),
        (CNN, lambda: cnn(CNN.sizes, seed=5)),
        (SMALL.replace(net="residual-cnn", sizes=(64, 10)), lambda: residual_cnn((64, 10), seed=5)),
    ],
)
def test_build(recipe, expected):
    net, other = build(recipe, 5), expected().to(getattr(torch, recipe.dtype))
    assert net.training and list(net.state_dict()) == list(other.state_dict())
    for mine, theirs in zip(net.parameters(), other.parameters(), strict=True):
        assert mine.dtype == theirs.dtype and torch.allclose(mine, theirs, rtol=1e-6, atol=0)


# --- images


def test_training_data_is_the_protocols():
    recipe = Recipe()
    split = data.protocol_split(data.mnist5k())
    parts = training_data(recipe)
    assert parts.train.checksum == data.mnist5k().take(split.train).checksum
    assert parts.heldout.checksum == data.mnist5k().take(split.heldout).checksum
    with pytest.raises(RecipeError, match="nothing held out"):
        training_data(Recipe(train_images=5000))


def test_net_and_images_must_fit():
    with pytest.raises(RecipeError, match=r"sizes begin with 784.*64 pixels"):
        fit(Recipe(dataset="digits", train_images=300), 0)
    wide = Dataset("wide", np.zeros((4, 1, 2, 32), np.float32), np.arange(4))
    with pytest.raises(RecipeError, match=r"net is 'cnn'.*\(1, 2, 32\).*square"):
        fit(CNN, 0, data=TrainingData(wide, wide))
    with pytest.raises(RecipeError, match="sizes end with 9"):
        fit(SMALL.replace(sizes=(64, 9)), 0)
    empty = data.digits().take([])
    with pytest.raises(InputError, match="empty"):
        fit(SMALL, 0, data=TrainingData(empty, data.digits()))


# --- the loop


def reference(recipe, seed, parts):
    """The same training in the plainest torch: no fused optimiser, no shared code with the loop."""
    net = build(recipe, seed)
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, foreach=False
    )
    x = torch.from_numpy(parts.train.images).to(next(net.parameters()).dtype)
    y = torch.from_numpy(parts.train.labels)
    step, epoch = 0, 0
    while step < recipe.steps:
        order = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(len(y)))
        for batch in order.split(recipe.batch):
            if step == recipe.steps:
                break
            optimiser.zero_grad()
            output = net(x[batch])
            if recipe.loss == "mse":
                loss = ((output - torch.eye(10)[y[batch]]) ** 2).mean()
            else:
                loss = -output.log_softmax(1)[torch.arange(len(batch)), y[batch]].mean()
            loss.backward()
            optimiser.step()
            step += 1
        epoch += 1
    return net


@pytest.mark.parametrize(
    "recipe",
    [
        SMALL.replace(scale=2.0),
        SMALL.replace(scale=2.0, loss="cross-entropy"),
        # float64: batch norm makes so much of rounding that float32 nets part within twenty steps.
        CNN.replace(dtype="float64"),
        CNN.replace(dtype="float64", net="residual-cnn", sizes=(64, 10)),
    ],
    ids=["mlp, mse", "mlp, cross-entropy", "cnn", "residual cnn"],
)
def test_loop_agrees_with_plain_torch(recipe):
    """The evaluations on the way, in eval mode, leave no trace in batch norm's statistics."""
    recipe = recipe.replace(steps=23)  # ends inside the fifth epoch of 5 batches
    ours = fit(recipe, 3).net
    plain = reference(recipe, 3, training_data(recipe))
    assert not ours.training
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-3, atol=2e-5)


def test_history():
    run = fit(
        SMALL,
        0,
        probes={"norm": lambda net: net[1].weight.norm(), "two": lambda net: {"a": 1, "b": np.float64(2)}},
    )
    history = run.history
    assert history["step"] == evaluation_steps(60, 6) and history["step"][-1] == 60
    assert set(history) == {
        *("step", "train_loss", "train_accuracy", "heldout_accuracy", "weight_norm", "weight_decay"),
        *("norm", "a", "b"),
    }
    assert {len(column) for column in history.values()} == {7}
    parts = training_data(SMALL)
    for part, key in ((parts.train, "train_accuracy"), (parts.heldout, "heldout_accuracy")):
        with torch.no_grad():
            guess = run.net(torch.from_numpy(part.images)).argmax(1).numpy()
        assert history[key][-1] == (guess == part.labels).mean()
    norm = np.sqrt(sum(float((p.detach() ** 2).sum()) for p in run.net.parameters()))
    assert history["weight_norm"][-1] == pytest.approx(norm, rel=1e-5)
    assert history["train_accuracy"][-1] > 0.9 > 0.3 > history["train_accuracy"][0]
    json.dumps(history)


def test_evaluate_matches_a_direct_computation():
    net = mlp((64, 32, 10), seed=0)
    dataset = data.digits()
    with torch.no_grad():
        output = net(torch.from_numpy(dataset.images))
    labels = torch.from_numpy(dataset.labels)
    expected = nn.functional.cross_entropy(output, labels)
    loss, accuracy = evaluate(net, dataset, "cross-entropy")
    assert loss == pytest.approx(float(expected), rel=1e-5)
    assert accuracy == float((output.argmax(1) == labels).double().mean())
    assert evaluate(net, dataset)[0] == pytest.approx(
        float(((output - torch.eye(10)[labels]) ** 2).mean()), rel=1e-5
    )


def test_evaluate_knows_its_losses():
    with pytest.raises(InputError, match="loss is 'hinge'; expected one of mse, cross-entropy"):
        evaluate(build(SMALL, 0), data.digits(), "hinge")


def test_evaluate_looks_in_eval_mode_and_changes_nothing():
    net = build(CNN, 0)
    dataset = data.digits()
    net(torch.from_numpy(dataset.images[:200]))  # statistics that are no longer 0 and 1
    before = digest(net)
    found = evaluate(net, dataset, "cross-entropy")
    assert net.training and digest(net) == before
    with torch.no_grad():
        output = net.eval()(torch.from_numpy(dataset.images))
    labels = torch.from_numpy(dataset.labels)
    assert found[0] == pytest.approx(float(nn.functional.cross_entropy(output, labels)), rel=1e-5)
    assert evaluate(net, dataset, "cross-entropy") == found and not net.training


def test_same_seed_same_bits_whatever_the_global_generators():
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    one = fit(SMALL, 5)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    assert digest(fit(SMALL, 5).net) == digest(one.net)
    assert digest(fit(SMALL, 6).net) != digest(one.net)


def test_threads_change_no_more_than_rounding():
    threads = torch.get_num_threads()
    try:
        runs = []
        for count in (1, 2):
            torch.set_num_threads(count)
            runs.append(fit(SMALL, 0).net)
    finally:
        torch.set_num_threads(threads)
    for a, b in zip(*(run.parameters() for run in runs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("base", [SMALL, CNN], ids=["mlp", "cnn"])
def test_decay_waits_for_the_training_accuracy(base):
    recipe = base.replace(decay_from_accuracy=0.8, weight_decay=0.5, steps=80)
    run = fit(recipe, 0)
    assert run.switch_step is not None and run.switch_step % 5 == 0  # 300 images in batches of 64
    at = run.history["step"].index(run.switch_step)
    assert run.history["train_accuracy"][at] >= 0.8
    assert set(run.history["weight_decay"][:at]) == {0.0} and set(run.history["weight_decay"][at:]) == {0.5}
    # Up to the switch it is a run without weight decay; the snapshot is its net.
    without = fit(recipe.replace(decay_from_accuracy=None, weight_decay=0.0, steps=run.switch_step), 0)
    for name, value in without.net.state_dict().items():
        assert torch.equal(run.snapshots["memorised"][name], value)
    never = fit(recipe.replace(decay_from_accuracy=1.0, steps=5), 0)
    assert never.switch_step is None and never.snapshots == {}


def test_float64():
    run = fit(SMALL.replace(dtype="float64", steps=5), 0)
    assert all(p.dtype == torch.float64 for p in run.net.parameters())


def test_one_image_and_one_class():
    one = Dataset("one", np.full((1, 1, 8, 8), 0.5, np.float32), np.array([3]))
    run = fit(SMALL, 0, data=TrainingData(one, one))
    assert run.history["train_accuracy"][-1] == 1.0


def test_non_finite_loss_says_where_and_what_to_do():
    with pytest.raises(TrainingError, match=r"not finite at step \d+ of 60 \(lr 1e\+30.*lower lr"):
        fit(SMALL.replace(lr=1e30), 0)


def test_non_finite_loss_names_the_first_step():
    recipe = SMALL.replace(lr=1e30)
    with pytest.raises(TrainingError) as caught:
        fit(recipe, 0)
    step = int(str(caught.value).split("at step ")[1].split()[0])
    before = reference(recipe.replace(steps=step - 1), 0, training_data(recipe))
    parts = training_data(recipe)
    epoch, position = divmod(step - 1, 5)
    batch = np.random.default_rng([0, epoch]).permutation(300)[position * 64 : (position + 1) * 64]
    with torch.no_grad():
        output = before(torch.from_numpy(parts.train.images[batch]))
    assert not torch.isfinite(((output - torch.eye(10)[parts.train.labels[batch]]) ** 2).mean())


def test_the_last_step_counts():
    """Losses are looked at in blocks, and each is that of the weights before its step."""
    recipe = Recipe(
        dataset="digits", train_images=100, sizes=(64, 8, 10), batch=10, lr=1e3, steps=20, evaluations=1
    )
    assert evaluation_steps(20, 1) == [0, 1, 20] and evaluation_steps(1, 3) == [0, 1]
    with pytest.raises(TrainingError, match=r"not finite at step \d+ of 20 \(lr 1000"):
        fit(recipe, 0)
    with pytest.raises(TrainingError, match=r"after step 1 of 1 \(lr 1e\+30"):
        fit(recipe.replace(lr=1e30, steps=1), 0)


@pytest.mark.parametrize("every", [0, -3, 2.5, True, None])
def test_steps_between_checkpoints(every, tmp_path):
    with pytest.raises(InputError, match=r"checkpoint_every is .*expected"):
        fit(SMALL, 0, checkpoint=tmp_path / "x.ckpt", checkpoint_every=every)
    assert list(tmp_path.iterdir()) == []


def test_numpys_seed_is_a_seed():
    brief = SMALL.replace(steps=3)
    assert digest(fit(brief, np.int64(2)).net) == digest(fit(brief, 2).net)


@pytest.mark.parametrize("name", ["step", "weight_decay", 3])
@pytest.mark.parametrize("form", ["its name", "its column"])
def test_a_probe_has_a_column_of_its_own(name, form):
    probe = {name: lambda net: 1.0} if form == "its name" else {"two": lambda net: {"x": 1.0, name: 2.0}}
    with pytest.raises(InputError, match=rf"probe .*column {name!r}.*not one of step"):
        fit(SMALL, 0, probes=probe)


def test_probes_that_cannot_be():
    with pytest.raises(InputError, match="column 'x'"):
        fit(SMALL, 0, probes={"x": lambda net: 1.0, "y": lambda net: {"x": 2.0}})
    with pytest.raises(InputError, match=r"'norm' is 3\.0; expected a function"):
        fit(SMALL, 0, probes={"norm": 3.0})
    with pytest.raises(InputError, match="'norms' gave a Tensor; expected one number"):
        fit(SMALL, 0, probes={"norms": lambda net: net[1].weight.norm(dim=1)})


@pytest.mark.parametrize("given", [3, (data.digits(),), (data.digits(), None), (np.zeros(3), np.zeros(3))])
def test_data_that_is_none(given):
    with pytest.raises(InputError, match=r"data is \(.*expected two Dataset"):
        fit(SMALL, 0, data=given)


@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_absent_device(device):
    with pytest.raises(InputError, match=r"cuda.*cannot be used here.*expected 'cpu'"):
        fit(SMALL, 0, device=device)


def test_bad_device_and_seed():
    with pytest.raises(InputError, match="device is 'gpu'"):
        fit(SMALL, 0, device="gpu")
    for seed in (-1, 0.5, None):
        with pytest.raises(InputError, match="seed"):
            fit(SMALL, seed)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_trains_to_about_the_same_net():
    cpu, gpu = fit(SMALL, 0), fit(SMALL, 0, device="cuda")
    assert abs(cpu.history["heldout_accuracy"][-1] - gpu.history["heldout_accuracy"][-1]) < 0.03


# --- checkpoints

KILLED = """
import hashlib, json, os, signal, sys
import torch
torch.set_num_threads(1)
from splinelab import _files
from splinelab.training import Recipe, fit, training_data

net = dict(net="cnn", sizes=(64, 16, 10)) if sys.argv[2] == "cnn" else dict(sizes=(64, 48, 10), scale=3.0)
recipe = Recipe(dataset="digits", train_images=300, lr=3e-3, batch=64, weight_decay=0.5,
                decay_from_accuracy=0.9, steps=200, evaluations=20, **net)
path = sys.argv[1]

# Once, for all children: the images, and what torch imports at the first step of an optimiser.
images = training_data(recipe)
images = images._replace(heldout=images.heldout.take(slice(0, 100)))
warm = torch.nn.Parameter(torch.zeros(1))
warm.grad = torch.zeros(1)
torch.optim.AdamW([warm], fused=True).step()

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def run(**options):
    probes = {"norm": lambda net: net.output.weight.norm()}
    result = fit(recipe, 4, data=images, checkpoint_every=9, probes=probes, **options)
    bits = b"".join(v.numpy().tobytes() for v in result.net.state_dict().values())
    bits += b"".join(v.numpy().tobytes() for v in result.snapshots["memorised"].values())
    assert result.switch_step is not None
    print(json.dumps([hashlib.sha256(bits).hexdigest(), result.history, result.switch_step]), flush=True)

def on_call(name, count, after=False):
    # Die in the count-th call of os.<name>: while a checkpoint is written, before or after it takes its name.
    original, calls = getattr(os, name), [0]
    def wrapped(*args, **kwargs):
        calls[0] += 1
        if calls[0] == count and not after:
            die()
        result = original(*args, **kwargs)
        if calls[0] == count:
            die()
        return result
    setattr(os, name, wrapped)

def half_written(count):
    # Die with half of the bytes in the temporary file.
    original, calls = os.fdopen, [0]
    def wrapped(*args, **kwargs):
        file = original(*args, **kwargs)
        calls[0] += 1
        if calls[0] == count:
            write = file.write
            class Half:
                def __enter__(self): return self
                def __exit__(self, *_): pass
                def write(self, content):
                    write(content[: len(content) // 2]); file.flush(); die()
            return Half()
        return file
    os.fdopen = wrapped

def on_step(count, after):
    # Die inside a training step: before or after the weights change.
    step, calls = torch.optim.AdamW.step, [0]
    def wrapped(self, *args, **kwargs):
        calls[0] += 1
        if calls[0] == count and not after:
            die()
        step(self, *args, **kwargs)
        if calls[0] == count:
            die()
    torch.optim.AdamW.step = wrapped

moments = [
    lambda: on_call("fsync", 1),                 # before the very first checkpoint exists
    lambda: half_written(3),
    lambda: on_call("replace", 4),
    lambda: on_call("replace", 3, after=True),
    lambda: on_step(13, after=False),
    lambda: on_step(31, after=True),
    lambda: on_call("fsync", 5),
    lambda: on_call("replace", 4, after=True),
]
killed = 0
for moment in [None, *moments, None]:            # an uninterrupted run first, the last resume at the end
    child = os.fork()
    if child == 0:
        if moment is not None:
            moment()
        first = moment is None and not killed
        run(checkpoint=None if first else path)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if moment is None:
        assert status == 0, status
    else:
        killed += os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
assert killed == len(moments), killed
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("net", ["mlp", "cnn"])
def test_killed_at_any_moment_and_resumed_gives_the_same_bits(net, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path / "run.ckpt"), net],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert len(lines) >= 2
    assert all(line == lines[0] for line in lines)


def test_dropout_depends_on_seed_and_step_alone():
    recipe = SMALL.replace(dropout=0.3, steps=20)
    before = torch.random.get_rng_state()
    one = fit(recipe, 2)
    assert torch.equal(torch.random.get_rng_state(), before), "the global generator is not moved"
    torch.manual_seed(1)
    assert digest(fit(recipe, 2).net) == digest(one.net), "nor is it read"
    assert digest(fit(recipe, 3).net) != digest(one.net) != digest(fit(recipe.replace(dropout=0.0), 2).net)


@pytest.mark.parametrize("base", [SMALL, SMALL.replace(dropout=0.3), CNN], ids=["mlp", "dropout", "cnn"])
def test_resume_in_pieces_equals_one_run(base, tmp_path):
    """Every step is a possible place to stop; parameters and batch norm's statistics come back."""
    recipe = base.replace(decay_from_accuracy=0.7, steps=33)
    parts = training_data(recipe)
    parts = parts._replace(heldout=parts.heldout.take(slice(0, 100)))
    whole = fit(recipe, 1, data=parts)

    class Stop(Exception):
        pass

    for stop in (1, 7, 8, 20, 32) if base is not CNN else (1, 8, 32):
        path = tmp_path / f"{stop}.ckpt"
        with pytest.raises(Stop):
            stopped_at(recipe, parts, stop, path, Stop)
        resumed = fit(recipe, 1, data=parts, checkpoint=path, checkpoint_every=1)
        assert digest(resumed.net) == digest(whole.net)
        assert resumed.history == whole.history and resumed.switch_step == whole.switch_step


def stopped_at(recipe, parts, stop, path, error):
    """Train until the checkpoint of step ``stop`` is written, then fail."""
    from splinelab.training import run

    original = run.save_checkpoint

    def save(where, state):
        original(where, state)
        if state["step"] == stop:
            raise error

    run.save_checkpoint = save
    try:
        fit(recipe, 1, data=parts, checkpoint=path, checkpoint_every=1)
    finally:
        run.save_checkpoint = original


@pytest.mark.parametrize("change", ["seed", "recipe", "data", "probes"])
def test_checkpoint_of_another_run_is_refused(change, tmp_path):
    path = tmp_path / "run.ckpt"
    fit(SMALL, 0, checkpoint=path, checkpoint_every=20)
    before = path.read_bytes()
    recipe, seed, options = SMALL, 0, {}
    if change == "seed":
        seed = 1
    elif change == "recipe":
        recipe = SMALL.replace(lr=1e-3)
    elif change == "data":
        parts = training_data(SMALL)
        options["data"] = TrainingData(parts.train.take(slice(None, None, -1)), parts.heldout)
    else:
        options["probes"] = {"one": lambda net: 1.0}
    expected = "train" if change == "data" else change
    with pytest.raises(TrainingError, match=rf"another run \(.*{expected}.*delete it"):
        fit(recipe, seed, checkpoint=path, **options)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "other"])
def test_corrupt_checkpoint_is_refused(damage, tmp_path):
    path = tmp_path / "run.ckpt"
    fit(SMALL, 0, checkpoint=path, checkpoint_every=20)
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 4
    path.write_bytes({"flip": content, "cut": content[:-100], "empty": b"", "other": b"x" * 500}[damage])
    with pytest.raises(TrainingError, match=r"run.ckpt is corrupt.*delete it"):
        fit(SMALL, 0, checkpoint=path)


def test_checkpoint_holds_no_code(tmp_path):
    """An object that pickle would run when read is refused on load."""

    class Evil:
        def __reduce__(self):
            return (os.system, ("true",))

    path = tmp_path / "evil.ckpt"
    with pytest.raises(TrainingError, match=r"cannot hold a Evil; expected tensors, numbers, text"):
        save_checkpoint(path, {"identity": {}, "evil": Evil()})
    torch.save({"identity": {}, "evil": Evil()}, path)
    with pytest.raises(TrainingError, match=r"evil.ckpt is corrupt.*delete it"):
        load_checkpoint(path, {})
    path.write_bytes(b"splinelab checkpoint 1\n" + b"x" * 100)
    with pytest.raises(TrainingError, match=r"is corrupt.*delete it"):
        load_checkpoint(path, {})


def test_checkpoint_gives_back_what_it_was_given(tmp_path):
    """Types too: an optimiser's state has numbers as keys and pairs as tuples."""
    state = {
        "identity": {"a": [1, 2.5, None, "ü", True]},
        "optimiser": {
            "state": {0: {"step": torch.tensor(3.0), "odd": torch.arange(3)[::2]}},
            "betas": (0.9, 1),
        },
        "history": {"loss": [0.1, math.nan, math.inf, -math.inf, 5e-324], "empty": {}},
        "weights": torch.randn(2, 3, dtype=torch.float64),
        "half": torch.randn(3).bfloat16(),
        "none": torch.zeros(0, 4, dtype=torch.bool),
    }
    save_checkpoint(tmp_path / "x.ckpt", state)
    found = load_checkpoint(tmp_path / "x.ckpt", state["identity"])
    assert repr(found) == repr(state)
    assert torch.equal(found["weights"], state["weights"])  # repr rounds


def test_no_disk_space_leaves_the_old_checkpoint(tmp_path):
    path = tmp_path / "run.ckpt"
    recipe = SMALL.replace(steps=40)
    fit(recipe, 0, checkpoint=path, checkpoint_every=20)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # no file may grow beyond 1,000 bytes
    try:
        with pytest.raises(TrainingError, match=r"could not be written.*make room"):
            save_checkpoint(path, {"identity": {}, "weights": torch.zeros(5000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before and [item.name for item in tmp_path.iterdir()] == ["run.ckpt"]


def test_finished_checkpoint_gives_the_finished_net(tmp_path):
    path = tmp_path / "run.ckpt"
    first = fit(SMALL, 0, checkpoint=path, checkpoint_every=20)
    again = fit(SMALL, 0, checkpoint=path, checkpoint_every=20)
    assert digest(first.net) == digest(again.net) and first.history == again.history


def test_a_checkpoint_that_cannot_be_written_shows_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "x.ckpt", tmp_path / "folder"):
        with pytest.raises(TrainingError, match=r"cannot be written .*another folder"):
            fit(SMALL, 0, checkpoint=path, probes={"never": lambda net: pytest.fail("trained")})


@pytest.fixture
def listening():
    """Whatever runs in the background of a shell ignores Ctrl-C: not here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.usefixtures("listening")
def test_control_c_keeps_what_it_says(kept, tmp_path):
    """The step that is under way is finished and saved; without a checkpoint nothing is promised."""
    calls = []

    def interrupt(net):
        calls.append(1)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return 0.0

    before, path = signal.getsignal(signal.SIGINT), tmp_path / "x.ckpt"
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(SMALL, 0, probes={"p": interrupt}, checkpoint=path if kept else None)
    assert signal.getsignal(signal.SIGINT) is before
    if not kept:
        assert not caught.value.args and list(tmp_path.iterdir()) == []
        return
    step = evaluation_steps(60, 6)[3]
    assert str(caught.value).startswith(f"step {step} of 60 is kept in {path}")
    steps = []
    again = fit(SMALL, 0, probes={"p": lambda net: steps.append(1) or 0.0}, checkpoint=path)
    assert len(steps) == 3 and digest(again.net) == digest(fit(SMALL, 0).net)


def test_what_a_killed_writer_left_is_removed_and_a_living_ones_file_is_not(tmp_path):
    path = tmp_path / "run[1].ckpt"
    (tmp_path / ".run[1].ckpt.dead.part").write_bytes(b"half")
    (tmp_path / ".run2.ckpt.dead.part").write_bytes(b"of another file")
    handle, living = _files._temporary(path)
    fit(SMALL.replace(steps=3), 0, checkpoint=path)  # too short for a checkpoint: cleaned at the start
    names = sorted(item.name for item in tmp_path.iterdir())
    assert names == sorted([".run2.ckpt.dead.part", os.path.basename(living)])
    os.close(handle)  # the writer is dead now
    _files.write_atomically(path, b"whole")
    assert sorted(item.name for item in tmp_path.iterdir()) == [".run2.ckpt.dead.part", "run[1].ckpt"]
