"""The zoo: what ships matches its cards and its recipes, and what does not match is refused."""

import hashlib
import json
import shutil
import sys

import numpy as np
import pytest
import torch

from splinelab import data, nets, zoo
from splinelab.errors import DataError, InputError, ZooError
from splinelab.training import Recipe, evaluate, fit, loop
from splinelab.training.recipe import TEST_SETS
from splinelab.zoo import recipes, store, third_party
from splinelab.zoo.train import pair_auc

SHIPPED = [(name, seed) for name in zoo.entries() for seed in zoo.seeds(name)]


@pytest.mark.parametrize(("name", "seed"), SHIPPED)
def test_card_and_weights(name, seed):
    card, net = zoo.card(name, seed), zoo.load(name, seed)
    assert (card["name"], card["seed"]) == (name, seed)
    assert Recipe.from_dict(card["recipe"]) == zoo.entry(name).recipe
    assert card["parameters"] == sum(p.numel() for p in net.parameters())
    assert not net.training and all(p.dtype == torch.float32 for p in net.parameters())
    history = card["history"]
    assert len({len(column) for column in history.values()}) == 1
    assert {"step", "auc_jaccard", "auc_hamming", "auc_cosine_linear", "auc_cosine_relu"} < set(history)
    assert all(np.isfinite(column).all() for column in history.values())
    assert {"python", "torch", "numpy"} == set(card["versions"]) and card["seconds"] > 0


@pytest.mark.parametrize("name", [name for name in zoo.entries() if zoo.seeds(name)])
def test_metrics_on_the_card_are_those_of_the_weights(name):
    card, net = zoo.card(name, 0), zoo.load(name, 0)
    if card["recipe"]["dataset"] in TEST_SETS:
        try:
            data.load(TEST_SETS[card["recipe"]["dataset"]])
        except DataError:
            pytest.skip("needs full MNIST")
    for part, key in (("train", "train_accuracy"), ("heldout", "heldout_accuracy")):
        images = zoo.heldout(name) if part == "heldout" else zoo.training_images(name)
        assert images.checksum == card["data"][part]["checksum"]
        accuracy = evaluate(net, images)[1]
        # Another processor may round an image or two to the other side.
        assert accuracy == pytest.approx(card["metrics"][key], abs=2.5 / len(images))


def mean(name, metric):
    return np.array([zoo.card(name, seed)["metrics"][metric] for seed in zoo.seeds(name)])


def test_targets_of_the_protocol():
    """Delayed generalisation in every seed of G, none in U, and the accuracies that the design asks for."""
    for seed in zoo.seeds("G"):
        history = zoo.card("G", seed)["history"]
        train, heldout = np.array(history["train_accuracy"]), np.array(history["heldout_accuracy"])
        assert heldout[np.argmax(train >= 0.99)] <= 0.50 and heldout[-1] >= 0.87
    assert (mean("G-memorised", "train_accuracy") >= 0.99).all()
    assert (mean("G-memorised", "heldout_accuracy") <= 0.50).all()
    assert (mean("U", "train_accuracy") >= 0.99).all() and (mean("U", "heldout_accuracy") <= 0.35).all()
    assert (mean("GA-mse", "heldout_accuracy") >= 0.90).all()


def test_digits_nets_are_what_their_arms_say():
    """Delayed generalisation in every seed of G, none in U; the other arms learn and generalise."""
    for seed in zoo.seeds("digits-G"):
        history = zoo.card("digits-G", seed)["history"]
        train, heldout = np.array(history["train_accuracy"]), np.array(history["heldout_accuracy"])
        assert heldout[np.argmax(train >= 0.95)] <= 0.50 and heldout[-1] >= 0.90
    assert (mean("digits-U", "train_accuracy") >= 0.99).all()
    assert (mean("digits-U", "heldout_accuracy") <= 0.50).all()
    for arm in ("GA-mse", "GA-ce", "GCE", "N-mse", "N-ce"):
        assert zoo.seeds(f"digits-{arm}") == zoo.seeds(arm) == (0, 1, 2, 3, 4)
        assert (mean(f"digits-{arm}", "train_accuracy") >= 0.99).all()
        assert (mean(f"digits-{arm}", "heldout_accuracy") >= 0.90).all()


def test_convolutional_nets_are_good_ones():
    for name in ("CNN", "RES"):
        assert zoo.seeds(name) == (0, 1, 2)
        assert (mean(name, "heldout_accuracy") >= 0.96).all()
        assert len(zoo.training_images(name)) == 4000 and len(zoo.heldout(name)) == 1000


def test_all_arms_share_their_training_images():
    checksums = {("mnist5k", 1000): set(), ("mnist5k", 4000): set(), ("digits", 300): set()}
    for name, seed in SHIPPED:
        card = zoo.card(name, seed)
        if card["recipe"]["dataset"] not in TEST_SETS:
            key = card["recipe"]["dataset"], card["recipe"]["train_images"]
            checksums[key].add(json.dumps(card["data"]))
    assert [len(found) for found in checksums.values()] == [1, 1, 1]
    digits = data.digits()
    split = data.protocol_split(digits)
    assert zoo.training_images("digits-G").checksum == digits.take(split.train).checksum
    assert zoo.heldout("digits-G").checksum == digits.take(split.heldout).checksum


def test_size_limit():
    files = [path for path in zoo.WEIGHTS.rglob("*") if path.is_file() and path.suffix != ".ckpt"]
    decomposed = [(name, seed) for name, seeds in zoo.decomposed().items() for seed in seeds]
    small = [path for path in files if path.stem in {f"{name}-{seed}" for name, seed in decomposed}]
    assert sum(path.stat().st_size for path in small) <= 10e6
    digits = [path for path in files if path.stem.startswith("digits-")]
    assert sum(path.stat().st_size for path in digits) <= 2.1e6
    language = {path for path in files if path.stem.startswith("story")}
    assert sum(path.stat().st_size for path in language) <= 1.2e6
    assert sum(path.stat().st_size for path in set(files) - language) <= 66e6
    assert zoo.tokens.VOCABULARY in language
    shipped = [*SHIPPED, *decomposed, ("story", 0), ("story-heldout", 0)]
    expected = {f"{name}-{seed}{suffix}" for name, seed in shipped for suffix in (".safetensors", ".json")}
    assert {path.name for path in files} == {*expected, zoo.tokens.VOCABULARY.name}


def test_g_and_its_memorised_snapshot_are_one_run():
    whole, part = zoo.card("G", 0), zoo.card("G-memorised", 0)
    rows = len(part["history"]["step"])
    assert part["history"]["step"][-1] == part["switch_step"] == whole["switch_step"]
    assert all(column[:rows] == part["history"][key] for key, column in whole["history"].items())


# --- what does not fit is refused


@pytest.fixture
def copy(tmp_path):
    for suffix in (".safetensors", ".json"):
        shutil.copy(zoo.WEIGHTS / f"N-mse-0{suffix}", tmp_path)
    return tmp_path


def test_changed_weights_are_refused(copy):
    path = copy / "N-mse-0.safetensors"
    zoo.load("N-mse", 0, folder=copy)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    expected = zoo.card("N-mse", 0)["sha256"]
    with pytest.raises(
        ZooError, match=rf"N-mse-0.safetensors.*expected {expected}.*splinelab train N-mse --seed 0"
    ):
        zoo.load("N-mse", 0, folder=copy)


def test_broken_card_is_refused(copy):
    (copy / "N-mse-0.json").write_text('{"name": ')
    with pytest.raises(ZooError, match=r"N-mse-0.json is not JSON"):
        zoo.load("N-mse", 0, folder=copy)


def test_a_card_is_bound_to_its_name_and_seed(copy):
    for name, seed in (("GA-mse", 0), ("N-mse", 1)):
        for suffix in (".safetensors", ".json"):
            shutil.copy(copy / f"N-mse-0{suffix}", copy / f"{name}-{seed}{suffix}")
        with pytest.raises(ZooError, match=rf"is that of N-mse, seed 0; expected {name}, seed {seed}"):
            zoo.load(name, seed, folder=copy)


def places(value, path=()):
    """Where a value of JSON can be changed: every key of every object, and the first item of every list."""
    yield path
    inner = (
        value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    )
    for key, item in inner:
        yield from places(item, (*path, key))


def changed(value, path):
    """A copy in which one value is another of its kind, and the rest as it was."""
    if path:
        copy = dict(value) if isinstance(value, dict) else list(value)
        copy[path[0]] = changed(copy[path[0]], path[1:])
        return copy
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value[:-1] + ("0" if value[-1:] != "0" else "1")
    if isinstance(value, dict):
        return {}
    return value[:-1] if isinstance(value, list) else (value or 0) + 1


@pytest.mark.parametrize(("name", "read"), [("N-mse", zoo.load), ("TMS-5-2", zoo.decomposition)])
def test_every_field_of_a_card_is_bound(name, read, tmp_path):
    for suffix in (".safetensors", ".json"):
        shutil.copy(zoo.WEIGHTS / f"{name}-0{suffix}", tmp_path)
    card = json.loads((tmp_path / f"{name}-0.json").read_text())
    paths = [path for path in places(card) if path]
    assert {("recipe", "batch"), ("name",), ("seed",), ("sha256",), ("digest",)} < set(paths)
    for path in paths:
        different = changed(card, path)
        if different == card:  # an empty list
            continue
        (tmp_path / f"{name}-0.json").write_text(json.dumps(different))
        with pytest.raises(ZooError, match=rf"card .*{name}-0\.json .*python -m splinelab"):
            read(name, 0, folder=tmp_path)
    (tmp_path / f"{name}-0.json").write_text(json.dumps(card, sort_keys=True, indent=7))
    read(name, 0, folder=tmp_path)  # the same content, written otherwise


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"batch": 64', '"batch": "64"', "recipe: batch is '64'; expected a positive whole number"),
        ('"batch": 64', '"batches": 64', r"has no key 'batches'; did you mean 'batch'\?"),
        ('"batch": 64', '"batch": 64, "batch": 65', "has the key 'batch' twice"),
        ('"seconds": 4.8', '"seconds": NaN', "NaN, which is no number"),
        ('"seconds": 4.8', '"seconds": -4.8', "seconds is -4.8; expected zero or a positive number"),
        ('"step": [0, 1,', '"step": [1, 0,', "steps that rise"),
        ('"step": [0, 1,', '"step": [1,', "columns of equal length"),
        ('"digest"', '"digets"', "has no digest"),
        ("}\n", "", "is not JSON"),
    ],
)
def test_what_is_wrong_with_a_card_is_said(copy, old, new, message):
    path = copy / "N-mse-0.json"
    path.write_text(path.read_text().replace(old, new, 1) if new else path.read_text()[:-2])
    with pytest.raises(ZooError, match=rf"N-mse-0\.json.*{message}.*splinelab train N-mse --seed 0"):
        zoo.load("N-mse", 0, folder=copy)


def test_seeds_of_the_zoo(copy):
    assert zoo.card("N-mse", np.int64(0), folder=copy)["seed"] == 0
    for seed in (-1, 0.5, None, True, "0"):
        for read in (zoo.load, zoo.card, zoo.untrained):
            with pytest.raises(InputError, match="seed is"):
                read("N-mse", seed)


def test_other_files_in_the_folder_are_let_be(copy):
    shutil.copy(copy / "N-mse-0.safetensors", copy / "N-mse-0 (copy).safetensors")
    table = zoo.table(copy).set_index("name")
    assert table.loc["N-mse", "seeds"] == "0"


@pytest.mark.parametrize("make", [zoo.train, zoo.decompose])
def test_a_folder_that_cannot_be_written_shows_before_training(make, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    name = "N-mse" if make is zoo.train else "TMS-5-2"
    (tmp_path / f"{name}-0.json").mkdir()
    monkeypatch.setattr(sys.modules["splinelab.zoo.train"], "fit", lambda *_, **__: pytest.fail("trained"))
    monkeypatch.setattr(
        sys.modules["splinelab.zoo.decompositions"], "train_target", lambda *_: pytest.fail("trained")
    )
    for folder in (tmp_path / "file", tmp_path / "file" / "inside", tmp_path):
        with pytest.raises(ZooError, match=r"cannot be written .*--out"):
            make(name, 0, folder=folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([f"{name}-0.json", "file"])


def test_missing_files_names_and_seeds(copy):
    with pytest.raises(ZooError, match=r"no entry 'ga_mse'; did you mean 'GA-mse'\?"):
        zoo.load("ga_mse")
    with pytest.raises(ZooError, match=r"seeds 0, 1, 2, 3, 4 are there.*--seed 7"):
        zoo.load("N-mse", 7)
    with pytest.raises(ZooError, match="none of its weights are there"):
        zoo.load("N4k-mse")
    (copy / "N-mse-0.safetensors").unlink()
    with pytest.raises(ZooError, match=r"there is no .*N-mse-0.safetensors"):
        zoo.load("N-mse", 0, folder=copy)


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ZooError, match=r"cannot be written.*--out"):
        store.save(tmp_path / "file", "N-mse", 0, zoo.untrained("N-mse").state_dict(), {})


# --- held out is held out


@pytest.mark.parametrize("name", ["GA-mse", "N4k-mse", "CNN", "digits-U"])
def test_no_image_is_trained_on_and_held_out(name):
    seen = {image.tobytes() for image in zoo.training_images(name).images}
    assert not any(image.tobytes() in seen for image in zoo.heldout(name).images)


# --- untrained nets, other data


def test_untrained_is_a_function_of_the_seed():
    one, two, other = (zoo.untrained("G", seed)[1].weight for seed in (0, 0, 1))
    assert torch.equal(one, two) and not torch.equal(one, other)
    scale = zoo.entry("G").recipe.scale
    torch.testing.assert_close(one, scale * zoo.untrained("GA-mse", 0)[1].weight)


@pytest.mark.parametrize(("name", "kind"), [("CNN", nets.cnn), ("RES", nets.residual_cnn)])
def test_untrained_convolutional_nets(name, kind):
    net, expected = zoo.untrained(name, 4), kind(seed=4)
    assert not net.training and list(net.state_dict()) == list(zoo.load(name, 0).state_dict())
    for mine, theirs in zip(net.state_dict().values(), expected.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("name", ["CNN", "RES"])
def test_convolutional_recipe_for_other_data(name):
    recipe = zoo.recipe(name, dataset="digits", steps=2).replace(evaluations=1)
    assert (recipe.sizes[0], recipe.train_images) == (64, 300)
    assert fit(recipe, 0).net(torch.zeros(1, 1, 8, 8)).shape == (1, 10)


def test_recipe_for_other_data_and_budget():
    short = zoo.recipe("G", dataset="digits", steps=50)
    assert (short.dataset, short.sizes[0], short.train_images, short.steps) == ("digits", 64, 300, 50)
    assert (short.scale, short.decay_from_accuracy) == (6.0, 0.999)
    assert zoo.recipe("G", dataset="mnist5k") == zoo.entry("G").recipe


# --- the arms on other data


def test_an_arm_on_other_data_is_the_zoos_where_it_ships():
    for arm, dataset, name in [("N-ce", "digits", "digits-N-ce"), ("N-ce", "mnist5k", "N-ce")]:
        for mine, theirs in zip(
            zoo.load_on(arm, dataset, 1).parameters(), zoo.load(name, 1).parameters(), strict=True
        ):
            assert torch.equal(mine, theirs)
        assert zoo.recipe_on(arm, dataset) == zoo.recipe(name)
    before = zoo.load_on("untrained", "digits", 2).linear1.weight
    assert torch.equal(before, zoo.untrained("digits-GA-mse", 2).linear1.weight)
    assert zoo.name_on("G", "fashion-train") is None
    with pytest.raises(ZooError, match="no entry 'N-mce'; did you mean"):
        zoo.load_on("N-mce", "digits")
    with pytest.raises(InputError, match="seed is"):
        zoo.load_on("N-ce", "digits", -1)


def test_an_arm_that_does_not_ship_is_trained_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("SPLINELAB_CACHE", str(tmp_path))
    net = zoo.load_on("N-ce", "digits", 9)
    expected = fit(zoo.recipe("digits-N-ce"), 9).net
    assert [path.name for path in (tmp_path / "nets").iterdir()] == ["digits-N-ce-9.ckpt"]
    steps = []
    advance = loop._Run.advance
    monkeypatch.setattr(loop._Run, "advance", lambda run: (steps.append(run.step), advance(run))[1])
    again = zoo.load_on("N-ce", "digits", 9)
    assert not steps and not again.training
    for one, two, three in zip(net.parameters(), again.parameters(), expected.parameters(), strict=True):
        assert torch.equal(one, two) and torch.equal(one, three)
    zoo.load_on("N-ce", "digits", 9, steps=7)  # for a look: anew, and not kept
    assert len(steps) == 7 and len(list((tmp_path / "nets").iterdir())) == 1


# --- retraining


@pytest.fixture
def tiny_entries(monkeypatch):
    """A zoo whose recipes take a second, with a net, its snapshot and a float64 net."""
    recipe = Recipe(
        dataset="digits",
        train_images=300,
        sizes=(64, 32, 10),
        lr=3e-3,
        weight_decay=0.3,
        decay_from_accuracy=0.8,
        steps=60,
        evaluations=5,
    )
    double = recipe.replace(dtype="float64", decay_from_accuracy=None)
    convolutional = double.replace(net="cnn", sizes=(64, 16, 10), steps=12)
    entries = (
        recipes.Entry("T", "tiny", recipe),
        recipes.Entry("T-memorised", "its snapshot", recipe, snapshot="memorised"),
        recipes.Entry("D", "double", double),
        recipes.Entry("C", "convolutional, double", convolutional),
    )
    monkeypatch.setattr(recipes, "_ALL", entries)


@pytest.mark.parametrize("name", ["T", "T-memorised"])
def test_one_run_writes_net_and_snapshot(name, tiny_entries, tmp_path):
    paths = zoo.train(name, 3, folder=tmp_path, progress=False)
    assert [path.name for path in paths] == ["T-3.safetensors", "T-memorised-3.safetensors"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("T-3.json", "T-3.safetensors", "T-memorised-3.json", "T-memorised-3.safetensors")
    ]
    for entry in ("T", "T-memorised"):
        card, net = zoo.card(entry, 3, folder=tmp_path), zoo.load(entry, 3, folder=tmp_path)
        accuracy = evaluate(net, zoo.heldout(entry))[1]
        assert card["metrics"]["heldout_accuracy"] == pytest.approx(accuracy, rel=1e-6)
        assert card["metrics"]["auc_jaccard"] == card["history"]["auc_jaccard"][-1]


def test_retraining_repeats_the_bits_and_float64_is_stored_as_float32(tiny_entries, tmp_path):
    for folder in ("a", "b"):
        zoo.train("D", 0, folder=tmp_path / folder, progress=False)
    assert (tmp_path / "a/D-0.safetensors").read_bytes() == (tmp_path / "b/D-0.safetensors").read_bytes()
    net = zoo.load("D", 0, folder=tmp_path / "a")
    assert net[1].weight.dtype == torch.float32


def test_statistics_of_batch_norm_are_stored_exactly(tiny_entries, tmp_path):
    zoo.train("C", 0, folder=tmp_path, progress=False)
    net, trained = zoo.load("C", 0, folder=tmp_path), fit(zoo.recipe("C"), 0).net.state_dict()
    assert set(net.state_dict()) == set(trained)
    for name, value in net.state_dict().items():
        if name.endswith("num_batches_tracked"):
            assert value.dtype == torch.int64 and value == 12
        else:
            assert torch.equal(value, trained[name].float())
    card = zoo.card("C", 0, folder=tmp_path)
    assert card["parameters"] == sum(p.numel() for p in net.parameters())
    # float32 for the weights as they are stored, and for whoever trains on.
    assert all(v.dtype == torch.float32 for k, v in net.state_dict().items() if "num_batches" not in k)


def test_counts_too_large_for_float32_survive(tmp_path):
    state = zoo.untrained("RES", 0).state_dict()
    state["stem.bn.num_batches_tracked"].fill_(2**24 + 1)
    written = ("name", "seed", "versions", "sha256", "digest")
    about = {key: value for key, value in zoo.card("RES", 0).items() if key not in written}
    path = store.save(tmp_path, "RES", 0, state, about)
    assert path.name == "RES-0.safetensors"
    count = zoo.load("RES", 0, folder=tmp_path).stem.bn.num_batches_tracked
    assert count.dtype == torch.int64 and int(count) == 2**24 + 1


# --- probes


def test_pair_auc_against_brute_force():
    net, heldout = zoo.untrained("G", 0), zoo.heldout("G")
    found = pair_auc(heldout, images=60)(net)
    chosen = heldout.take(data.stratified_split(heldout, 60, seed=0).train)
    x, pre, post = torch.from_numpy(chosen.images), [], []
    with torch.no_grad():
        for name, layer in net.named_children():
            x = layer(x)
            if name.startswith("linear") or name == "output":
                pre.append(x.numpy())
            elif name.startswith("relu"):
                post.append(x.numpy())
    pre, post = np.hstack(pre), np.hstack(post)
    from scipy.spatial.distance import pdist
    from sklearn.metrics import roc_auc_score

    rows, columns = np.triu_indices(60, 1)
    different = chosen.labels[rows] != chosen.labels[columns]
    expected = {
        "auc_jaccard": pdist(post > 0, "jaccard"),
        "auc_hamming": pdist(post > 0, "hamming"),
        "auc_cosine_linear": pdist(pre.astype(np.float64), "cosine"),
        "auc_cosine_relu": pdist(post.astype(np.float64), "cosine"),
    }
    for key, distance in expected.items():
        assert found[key] == pytest.approx(roc_auc_score(different, distance), abs=1e-4)


def test_table():
    table = zoo.table().set_index("name")
    assert list(table.index) == list(zoo.entries())
    assert table.loc["G", "seeds"] == "0, 1, 2, 3, 4" and table.loc["N4k-mse", "seeds"] == "none ship"
    assert table.loc["GA-mse", "held-out accuracy"] == pytest.approx(
        mean("GA-mse", "heldout_accuracy").mean()
    )


# --- nets of others


@pytest.fixture
def tiny_pretrained(tmp_path, monkeypatch):
    """A small net in the two forms in which weights are published, at a made-up origin."""
    source = tmp_path / "source"
    source.mkdir()
    net = nets.resnet_cifar(8, seed=3)
    net(torch.rand(4, 3, 32, 32))  # statistics that are no longer 0 and 1
    state = net.state_dict()
    spread = {f"module.{key}": value for key, value in state.items()}
    torch.save({"state_dict": spread, "best_prec1": 91.2}, source / "tiny.th")
    torch.save(dict(state), source / "tiny_clean_state_dict.pt")

    def known(path):
        content = path.read_bytes()
        return len(content), hashlib.sha256(content).hexdigest()

    monkeypatch.setattr(third_party, "_ORIGIN", source.as_uri() + "/")
    forms = (known(source / name) for name in ("tiny.th", "tiny_clean_state_dict.pt"))
    monkeypatch.setattr(third_party, "_WEIGHTS", {"tiny": third_party._weights(8, "tiny", *forms)})
    monkeypatch.delenv("SPLINELAB_DATA", raising=False)
    monkeypatch.setenv("SPLINELAB_CACHE", str(tmp_path / "cache"))
    return source, net.eval()


@pytest.mark.parametrize("form", ["download", "tiny.th", "tiny_clean_state_dict.pt"])
def test_pretrained_is_the_same_from_everywhere(form, tiny_pretrained, tmp_path, monkeypatch):
    source, expected = tiny_pretrained
    if form == "download":
        assert not zoo.pretrained_at_hand()
    else:
        folder = tmp_path / "data" / "cifar10_resnet"
        folder.mkdir(parents=True)
        shutil.copy(source / form, folder)
        monkeypatch.setenv("SPLINELAB_DATA", str(tmp_path / "data"))
    net = zoo.pretrained("tiny")
    assert zoo.pretrained_at_hand() and not net.training
    for mine, theirs in zip(net.state_dict().values(), expected.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(net(x), expected(x))


def test_damaged_or_missing_pretrained_weights(tiny_pretrained, tmp_path, monkeypatch):
    source, _ = tiny_pretrained
    zoo.pretrained("tiny")
    cached = tmp_path / "cache" / "cifar10_resnet" / "tiny.th"
    cached.write_bytes(cached.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"tiny.th is truncated.*delete it"):
        zoo.pretrained("tiny")
    cached.unlink()
    (source / "tiny.th").unlink()
    with pytest.raises(DataError, match=r"tiny.th .*could not be downloaded.*cifar10_resnet/tiny.th"):
        zoo.pretrained("tiny")
    (tmp_path / "data" / "cifar10_resnet").mkdir(parents=True)
    monkeypatch.setenv("SPLINELAB_DATA", str(tmp_path / "data"))
    with pytest.raises(DataError, match=r"clean_state_dict.pt is missing.*ResNet-8.*tiny.th beside"):
        zoo.pretrained("tiny")


def test_pretrained_weights_hold_no_code(tiny_pretrained, tmp_path, monkeypatch):
    """Even a file with the right checksum is never unpickled."""
    path = tmp_path / "cache" / "cifar10_resnet" / "evil.th"
    path.parent.mkdir(parents=True)

    class Evil:
        def __reduce__(self):
            return (print, ())

    torch.save({"state_dict": {"conv1.weight": Evil()}}, path)
    content = path.read_bytes()
    known = (len(content), hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(third_party, "_WEIGHTS", {"evil": third_party._weights(8, "evil", known, known)})
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        zoo.pretrained("evil")


def test_unknown_pretrained_name():
    with pytest.raises(
        ZooError, match=r"'ResNet-20'; did you mean 'resnet20'\? There are resnet20, resnet56"
    ):
        zoo.pretrained("ResNet-20")


@pytest.mark.skipif(
    not (data.cifar10_at_hand() and zoo.pretrained_at_hand()),
    reason="needs CIFAR-10 and the published ResNets",
)
@pytest.mark.parametrize(("name", "accuracy"), [("resnet20", 0.918), ("resnet56", 0.9305)])
def test_published_resnets_on_cifar10(name, accuracy):
    """Near what their author gives for all 10,000 test images, at the best epoch: .9178 and .9362."""
    found = evaluate(zoo.pretrained(name), data.cifar10(), "cross-entropy")[1]
    assert found == pytest.approx(accuracy, abs=1.5 / 2000)
