"""The zoo of decompositions: what ships is what its cards say, and can be made again."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from splinelab import mechanisms, spd, zoo
from splinelab.__main__ import main
from splinelab.errors import ZooError
from splinelab.spd.targets import truth
from splinelab.zoo import decompositions, store

SHIPPED = [(name, seed) for name, seeds in zoo.decomposed().items() for seed in seeds]


def target_of(name: str) -> spd.TargetRecipe:
    return spd.TARGETS[name.removesuffix("-published")]


@pytest.mark.parametrize("name", spd.OURS)
def test_five_seeds_of_every_model_ship(name):
    assert zoo.decomposed()[name] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("name", "seed"), SHIPPED)
def test_scores_on_the_card_are_those_of_the_weights(name, seed):
    card, found = zoo.decomposition_card(name, seed), zoo.decomposition(name, seed)
    layers = pd.DataFrame(card["metrics"]["layers"])
    fresh = spd.quality(found, target_of(name))
    assert fresh["layer"].tolist() == layers["layer"].tolist() == list(found.layers)
    # Importances at a threshold may fall to either side of it on another processor.
    assert (fresh["alive"] - layers["alive"]).abs().max() <= 1
    np.testing.assert_allclose(fresh["mmcs"], layers["mmcs"].astype(float), rtol=1e-4)
    np.testing.assert_allclose(fresh["ml2r"], layers["ml2r"].astype(float), rtol=1e-4)
    samples = target_of(name).fresh_samples()
    assert spd.rounded_error(found, samples) == pytest.approx(card["metrics"]["rounded_error"], rel=0.02)
    net = zoo.toy_model(name.removesuffix("-published"), seed)
    loss = (net(samples) - truth(target_of(name), samples)).square().mean()
    assert float(loss) == pytest.approx(card["metrics"]["target_loss"], rel=0.2)


def rounded(values):
    """Numbers to six digits, as cards keep them, at any depth."""
    if isinstance(values, dict):
        return {key: rounded(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [rounded(value) for value in values]
    return float(f"{values:.6g}") if isinstance(values, float) else values


@pytest.mark.parametrize(("name", "seed"), SHIPPED)
def test_they_follow_the_recipe_that_they_are_named_after(name, seed):
    card = zoo.decomposition_card(name, seed)
    # Fields that are newer than the card have their default.
    recipe = spd.SPDRecipe.from_dict(card["recipe"]).to_dict()
    assert rounded(recipe) == rounded(decompositions.RECIPES[name].to_dict())
    assert card["target"] == target_of(name).to_dict()


@pytest.mark.parametrize(("name", "seed"), [shipped for shipped in SHIPPED if shipped[1] == 0])
def test_components_come_back_whole(name, seed):
    """Masks at 1 with Δ give the model's own output, and gates see what they saw in training."""
    found = zoo.decomposition(name, seed)
    x = target_of(name).fresh_samples(200)
    whole = found.masked(x, dict.fromkeys(found.layers, 1.0), 1.0)
    torch.testing.assert_close(whole, found.net(x), rtol=1e-5, atol=1e-6)
    last = zoo.decomposition_card(name, seed)["recipe"]["stages"][-1]
    assert all(matrix.even == last["even"] for matrix in found.layers.values())


def tiny(monkeypatch, name="TMS-5-2", **change):
    monkeypatch.setitem(decompositions.TARGETS, name, spd.TARGETS[name].replace(steps=60, batch=64))
    stages = [stage.replace(steps=20).to_dict() for stage in spd.OURS[name].stages[:1]]
    recipe = spd.OURS[name].replace(stages=stages, batch=64, starts=2, **change)
    monkeypatch.setitem(decompositions.RECIPES, name, recipe)
    return recipe


def test_made_twice_it_has_the_same_bits(tmp_path, monkeypatch):
    recipe = tiny(monkeypatch)
    paths = [zoo.decompose("TMS-5-2", 3, folder=tmp_path / part, progress=False) for part in ("a", "b")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    card = zoo.decomposition_card("TMS-5-2", 3, folder=tmp_path / "a")
    assert spd.SPDRecipe.from_dict(card["recipe"]) == recipe
    assert len(card["metrics"]["losses"]) == 2
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "TMS-5-2-3.json",
        "TMS-5-2-3.safetensors",
    ]


def test_a_residual_mlp_comes_back_bit_by_bit(tmp_path, monkeypatch):
    tiny(monkeypatch, "MLP-3")
    zoo.decompose("MLP-3", 7, folder=tmp_path, progress=False)
    found = zoo.decomposition("MLP-3", 7, folder=tmp_path).net.state_dict()
    expected = spd.reduced(spd.train_target(decompositions.TARGETS["MLP-3"], 7)[0]).net.state_dict()
    assert found["embedding"].shape == (102, 136) and found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value)


def test_an_interrupted_run_leaves_its_resume_point_and_goes_on(tmp_path, monkeypatch):
    tiny(monkeypatch)
    whole = zoo.decompose("TMS-5-2", 3, folder=tmp_path / "whole", progress=False)
    plain, calls = decompositions.decompose_net, []

    def killed(*args, **options):
        options["checkpoint_every"] = 5

        def watch(step, found):
            calls.append(step)
            if len(calls) == 30:  # in the second start
                raise KeyboardInterrupt

        return plain(*args, **options, watch=watch)

    monkeypatch.setattr(decompositions, "decompose_net", killed)
    with pytest.raises(KeyboardInterrupt):
        zoo.decompose("TMS-5-2", 3, folder=tmp_path / "parts", progress=False)
    left = sorted(path.name for path in (tmp_path / "parts" / ".checkpoints").iterdir())
    assert left == ["TMS-5-2-3.ckpt", "TMS-5-2-3.ckpt.1"]
    monkeypatch.setattr(decompositions, "decompose_net", plain)
    parts = zoo.decompose("TMS-5-2", 3, folder=tmp_path / "parts", progress=False)
    assert parts.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "parts" / ".checkpoints").exists()


def test_the_command(tmp_path, monkeypatch, capsys):
    tiny(monkeypatch)
    assert main(["decompose", "TMS-5-2", "--seed", "1", "--out", str(tmp_path)]) == 0
    assert "TMS-5-2-1.safetensors: alive linear1" in capsys.readouterr().out
    assert main(["decompose", "TMS-5-3", "--out", str(tmp_path)]) == 1
    assert "did you mean 'TMS-5-2'?" in capsys.readouterr().err


def test_what_is_not_there_or_was_changed(tmp_path):
    with pytest.raises(ZooError, match="no decomposition 'TMS-40'; did you mean 'TMS-40-10'"):
        zoo.decomposition("TMS-40")
    with pytest.raises(ZooError, match=r"TMS-5-2: .*python -m splinelab decompose TMS-5-2 --seed 99"):
        zoo.decomposition("TMS-5-2", 99)
    for suffix in ("json", "safetensors"):
        name = f"TMS-5-2-0.{suffix}"
        (tmp_path / name).write_bytes((store.WEIGHTS / name).read_bytes())
    content = bytearray((tmp_path / "TMS-5-2-0.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "TMS-5-2-0.safetensors").write_bytes(content)
    with pytest.raises(ZooError, match="do not match their card"):
        zoo.decomposition("TMS-5-2", folder=tmp_path)
    card = json.loads((store.WEIGHTS / "TMS-5-2-0.json").read_text())
    assert card["seed"] == 0 and card["seconds"] > 0


# --- what is known about them


def ideal(features=4):
    """A model of superposition, and components that are its columns and rows."""
    target = spd.TargetRecipe("superposition", features, features, 1)
    net = target.build(0)
    recipe = spd.SPDRecipe(
        target.inputs, (spd.Matrices("*", features, 4, 1e-3),), (spd.Stage(1),), gate="scalar"
    )
    found = spd.attach(net, recipe, 0)
    with torch.no_grad():
        for name, matrix in found.layers.items():
            weight = found.linear(name).weight
            if name == "linear2":
                matrix.U.copy_(torch.eye(features)), matrix.V.copy_(weight)
            else:
                matrix.U.copy_(weight.T), matrix.V.copy_(torch.eye(features))
    return target, found


class Given:
    """A decomposition's shell with importances as they are given."""

    def __init__(self, found, importances):
        self.layers, self.linear, self.net = found.layers, found.linear, found.net
        self.given = importances

    def importances(self, x):
        return {name: value(x) for name, value in self.given.items()}

    def alive(self, x):
        return {name: (value > 0.1).any(0) for name, value in self.importances(x).items()}


def test_quality_of_an_ideal_decomposition_and_of_a_broken_one():
    target, found = ideal()
    on = {
        "linear1": lambda x: (x > 0).float(),
        "hidden.0": lambda x: torch.ones(len(x), 4),
        "linear2": lambda x: (x > 0).float(),
    }
    table = spd.quality(Given(found, on), target, samples=500).set_index("layer")
    assert (table["alive"] == table["expected"]).all()
    assert (table[["missing", "surplus"]] == 0).all(axis=None)
    assert np.isnan(table.loc["hidden.0", "mmcs"])
    np.testing.assert_allclose(table.loc[["linear1", "linear2"], ["mmcs", "ml2r"]], 1, rtol=1e-6)
    on["linear1"] = lambda x: (x > 0).float() * torch.tensor([1.0, 1, 1, 0])  # one is dead
    on["hidden.0"] = lambda x: torch.ones(len(x), 4) * torch.tensor([1.0, 1, 1, 0.5])
    table = spd.quality(Given(found, on), target, samples=500).set_index("layer")
    assert table["alive"].tolist() == [3, 4, 4]
    assert table["missing"].tolist() == [1, 4, 0]  # a feature; on each of four inputs one of the identity
    assert table.loc["linear1", "mmcs"] < 1


def test_known_mechanisms_of_both_signs():
    target, found = ideal()
    target = target.replace(low=-1.0)
    negative = {
        "linear1": lambda x: (x < 0).float() * torch.tensor([1.0, 1, 1, 0.05]),  # the last fires for none
        "hidden.0": lambda x: torch.ones(len(x), 4),
        "linear2": lambda x: (x > 0).float()[:, [1, 0, 2, 3]],  # two are exchanged
    }
    known = mechanisms.known_mechanisms(Given(found, negative), target)
    assert known.truth.tolist() == [0, 1, 2, -1, 4, 4, 4, 4, 1, 0, 2, 3]
    assert known.expected[0] == {"linear1": 1, "linear2": 1}
    assert known.expected[4] == {"hidden.0": 4}
    assert known.responses.shape == (4, 12)
    positive = mechanisms.known_mechanisms(Given(found, negative), target.replace(low=0.0))
    assert positive.truth[:4].tolist() == [-1] * 4
