"""The command line."""

import json
import os
import subprocess
import sys

import pytest

from splinelab import claims, zoo
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
        (["train", "N-mse", "--device", "gpu"], "expected 'cpu', or a GPU"),
        (["train", "N-mse", "--seed", "-1"], "seed is -1"),
    ],
)
def test_errors_are_one_line_and_a_status(arguments, message, tmp_path, capsys):
    assert main([*arguments, "--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_claims_are_passed_on(monkeypatch):
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


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_claims_in_a_terminal_without_unicode(options):
    """Neither reading nor printing depends on the locale."""
    plain = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    command = [sys.executable, "-m", "splinelab", "claims", *options]
    done = subprocess.run(command, capture_output=True, env={**os.environ, **plain}, check=False)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode("ascii")
    if options:
        assert json.loads(text) == claims.Ledger.load().rows()


def test_an_interrupted_command_promises_what_is_true(tmp_path, monkeypatch, capsys):
    def interrupted(*found):
        raise KeyboardInterrupt(*found)

    for found, expected in (((), "interrupted\n"), (("step 3 is kept",), "interrupted; step 3 is kept\n")):
        monkeypatch.setattr(zoo, "table", lambda found=found: interrupted(*found))
        assert main(["zoo"]) == 130
        assert capsys.readouterr().err == f"splinelab: {expected}"
