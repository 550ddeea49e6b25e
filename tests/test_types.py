"""The package's types as another project sees them: `py.typed` makes a checker read them at all."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
WRONG = """
record(nn.ReLU(), torch.zeros(2, 3), colour="red")
neighbours(record(nn.ReLU(), torch.zeros(2, 3)).codes, k="5")
polytopes.segment(nn.ReLU(), torch.zeros(3))
record(nn.ReLU(), torch.zeros(2, 3)).code
spd.Stage("4000")
spd.Stage(4000, sharpness=(1.0, 1.0, 1.0))
Recipe(sizes="784-10")
mechanisms.SpectralMechanisms(reading="parts", cap="third")
mechanisms.SpectralMechanisms().fit(profiles=None)
zoo.load(0)
data.mnist5k().label
charts.figure(alt.Chart(), "A takeaway")
intervals.over_nets("three")
Notebook("03_my_chapter")
"""


@pytest.mark.slow
def test_a_users_checker_passes_right_calls_and_refuses_wrong_ones(tmp_path):
    right = (HERE / "public_api.py").read_text()
    (tmp_path / "user.py").write_text(right + WRONG)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", "user.py"]
    env = os.environ | {"PYTHONPATH": str(HERE.parent)}
    told = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    refused = {int(line) for line in re.findall(r"^user\.py:(\d+): error", told.stdout, re.MULTILINE)}
    first = right.count("\n") + 2
    assert refused == set(range(first, first + WRONG.strip().count("\n") + 1)), told.stdout + told.stderr
