"""The ways in: an address that follows the clone, Colab's first cell, `environment.yml`, `pytest --nbval`."""

import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from address import address, colab_cell, commit, home
from chapters import NOTEBOOKS, ROOT
from environments import PIP, beside_this_one, done, run


@pytest.mark.parametrize(
    "remote, expected",
    [
        ("https://github.com/someone/fork.git", "https://github.com/someone/fork"),
        ("https://token@github.com/someone/fork", "https://github.com/someone/fork"),
        ("git@github.com:someone/my.fork.git", "https://github.com/someone/my.fork"),
        ("ssh://git@github.com/someone/fork", "https://github.com/someone/fork"),
        ("https://example.org/someone/fork.git", None),
        ("/a/folder", None),
        (None, None),
    ],
)
def test_the_address_follows_the_clone(remote, expected, tmp_path):
    done(["git", "init", "-q", tmp_path])
    if remote:
        done(["git", "-C", tmp_path, "remote", "add", "origin", remote])
    assert address(tmp_path) == (expected or home())
    assert commit(tmp_path) == "main"  # nothing is committed yet


def run_cell(cell: str, folder, python=sys.executable) -> subprocess.CompletedProcess:
    """Run the first cell as on Colab, `folder` standing for /content."""
    colab = "import sys, types\nsys.modules['google.colab'] = types.ModuleType('google.colab')\n"
    after = "\nimport os, splinelab\nprint(os.getcwd())\nprint(splinelab.__file__)\nimport pictures"
    script = colab + cell.replace("/content", str(folder)) + after
    return run([python, "-c", script], cwd=folder)


@pytest.mark.slow
def test_colab_installs_the_commit_and_leaves_the_rest_alone(tmp_path):
    if commit() == "main":
        pytest.skip("not a git checkout")
    python = beside_this_one(tmp_path / "environment")
    freeze = [python, "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"]
    before = done(freeze).stdout
    ran = run_cell(colab_cell(str(ROOT), commit()), tmp_path, python)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        f"{tmp_path}/splinelab/notebooks",
        f"{tmp_path}/splinelab/splinelab/__init__.py",
    ]
    assert done(["git", "-C", tmp_path / "splinelab", "rev-parse", "HEAD"]).stdout.strip() == commit()
    assert done(freeze).stdout == before


def test_a_commit_that_is_not_there_ends_in_one_sentence(tmp_path):
    ran = run_cell(colab_cell(str(ROOT), "0" * 40), tmp_path)
    (said,) = ran.stderr.strip().splitlines()
    assert ran.returncode == 1 and said.startswith(f"No splinelab from {ROOT} at 0000")


def test_elsewhere_the_first_cell_does_nothing(tmp_path):
    done([sys.executable, "-c", colab_cell(home(), "main")], cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_environment_brings_what_running_the_chapters_needs():
    (pip,) = [item["pip"] for item in _environment()["dependencies"] if isinstance(item, dict)]
    assert pip == ["-c constraints.txt", "-e .[book,test]"]


@pytest.mark.slow
def test_the_environment_s_pip_section_installs(tmp_path):
    (pip,) = [item["pip"] for item in _environment()["dependencies"] if isinstance(item, dict)]
    (tmp_path / "requirements.txt").write_text("\n".join(pip), encoding="utf-8")
    shutil.copy(ROOT / "constraints.txt", tmp_path)
    python = beside_this_one(tmp_path / "environment")
    done([python, *PIP, "-r", tmp_path / "requirements.txt"], cwd=ROOT)
    done([python, "-m", "pip", "check", "--disable-pip-version-check"])


@pytest.mark.slow
def test_nbval_at_the_root_collects_the_chapters():
    command = [sys.executable, "-m", "pytest", "--nbval", "--collect-only", "-q"]
    found = done(command, cwd=ROOT).stdout
    for path in NOTEBOOKS.glob("*.ipynb"):
        assert f"notebooks/{path.name}::" in found
    assert "_build/" not in found


def test_the_version_stands_in_one_place():
    with open(ROOT / "pyproject.toml", "rb") as file:
        version = tomllib.load(file)["project"]["version"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert "version" not in cited or cited["version"] == version
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def _environment() -> dict:
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
