"""The command line."""

import subprocess
import sys

import pytest

from splinelab import zoo
from splinelab.__main__ import main
from splinelab.training import Recipe
from splinelab.zoo import recipes


def test_zoo_lists_every_entry(capsys):
    assert main(["zoo"]) == 0
    output = capsys.readouterr().out
    lines = {line.split()[0]: line for line in output.splitlines()}
    for name in zoo.entries():
        assert name in lines
    assert "0, 1, 2, 3, 4" in lines["GA-mse"] and "0.9" in lines["GA-mse"]


def test_train_writes_weights_and_card(tmp_path, capsys, monkeypatch):
    recipe = Recipe(dataset="digits", train_images=300, sizes=(64, 16, 10), steps=30, evaluations=3)
    monkeypatch.setattr(recipes, "_ALL", (recipes.Entry("T", "tiny", recipe),))
    assert main(["train", "T", "--seed", "2", "--out", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert "T-2.safetensors: train 0." in output and "held out 0." in output
    zoo.load("T", 2, folder=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "ga_mse"], "did you mean 'GA-mse'"),
        (["train", "N-mse", "--device", "gpu"], "expected 'cpu' or 'cuda'"),
        (["train", "N-mse", "--seed", "-1"], "seed is -1"),
    ],
)
def test_errors_are_one_line_and_a_status(arguments, message, tmp_path, capsys):
    assert main([*arguments, "--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_claims_are_passed_on(monkeypatch):
    claims = pytest.importorskip("splinelab.claims")
    seen = []
    monkeypatch.setattr(claims, "print_scoreboard", lambda *, as_json: seen.append(as_json))
    assert main(["claims"]) == 0 and main(["claims", "--json"]) == 0
    assert seen == [False, True]


def test_module_runs_and_explains_itself():
    done = subprocess.run(
        [sys.executable, "-m", "splinelab", "--help"], capture_output=True, text=True, check=True
    )
    assert all(command in done.stdout for command in ("train", "zoo", "claims"))
    wrong = subprocess.run([sys.executable, "-m", "splinelab"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and "Traceback" not in wrong.stderr
