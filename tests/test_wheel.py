"""The wheel, tried in an environment of its own: the package, the ledger, the zoo without its weights."""

import json
import os
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from chapters import ROOT
from environments import PIP, beside_this_one, done, run

from splinelab import zoo
from splinelab.claims import Ledger
from splinelab.zoo.store import WEIGHTS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, from a copy of what git tracks: a build folder must not stay behind."""
    if given := os.environ.get("SPLINELAB_WHEEL"):  # the very file that a release publishes
        return Path(given).resolve()
    folder = tmp_path_factory.mktemp("wheel")
    names = done(["git", "ls-files"], cwd=ROOT).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file() and not name.startswith(("tests/", "notebooks/")):
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "source" / name)
    done([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, folder / "source"])
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The Python of an environment with the wheel in place of the checkout."""
    found = beside_this_one(tmp_path_factory.mktemp("environment"))
    done([found, *PIP, "--no-deps", "--force-reinstall", wheel])
    return found


def test_the_wheel_is_small_and_holds_what_an_import_needs(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {"splinelab/py.typed", "splinelab/claims/book/claims.yml"} <= set(names)
    assert not [name for name in names if name.endswith(".safetensors")]
    assert not [name for name in names if not name.startswith("splinelab")]
    assert wheel.stat().st_size < 2e6


def test_the_ledger_of_the_wheel_is_the_checkout_s(python, tmp_path):
    printed = done([python, "-m", "splinelab", "claims", "--json"], cwd=tmp_path).stdout
    assert json.loads(printed) == json.loads(json.dumps(Ledger.load().rows()))


def test_codes_of_one_s_own_net(python, tmp_path):
    script = (
        "import splinelab, torch; assert 'environment' in splinelab.__file__, splinelab.__file__\n"
        "net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())\n"
        "print(splinelab.record(net, torch.zeros(4, 2)).codes)"
    )
    assert "4 samples × 3 units" in done([python, "-c", script], cwd=tmp_path).stdout


def test_weights_are_fetched_by_the_checksum_on_their_card(python, tmp_path):
    script = "from splinelab import zoo; print(zoo.load('N-mse', seed=1)[1].weight.sum().item())"
    (tmp_path / "zoo").mkdir()
    shutil.copy(WEIGHTS / "N-mse-1.safetensors", tmp_path / "zoo")
    there = {"PATH": "", "SPLINELAB_DATA": str(tmp_path), "SPLINELAB_CACHE": str(tmp_path / "cache")}
    printed = done([python, "-c", script], cwd=tmp_path, env=there).stdout
    assert float(printed) == zoo.load("N-mse", seed=1)[1].weight.sum().item()
    (tmp_path / "zoo" / "N-mse-1.safetensors").write_bytes(b"something else")
    refused = run([python, "-c", script], cwd=tmp_path, env=there)
    assert "is corrupt: its SHA-256 is" in refused.stderr
