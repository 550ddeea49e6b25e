"""A small soak; `make soak` runs the large one, whose last figures stand on the status page."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = json.loads((ROOT / "book" / "soak.json").read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_150_broken_files_and_5_kills(tmp_path):
    """In a process of its own, with one thread, so that runs can be forked."""
    figures = tmp_path / "figures.json"
    command = [
        sys.executable,
        str(ROOT / "tests" / "soak.py"),
        "--files",
        "150",
        "--kills",
        "5",
        "--seed",
        "1",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--write", str(figures)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert found["files"].keys() == PAGE["files"].keys()
    assert all(
        set(counts) == {"refused", "as it was"} and counts["refused"] for counts in found["files"].values()
    )
    assert sum(sum(counts.values()) for counts in found["files"].values()) == 150
    assert found["kills"]["killed"] == found["kills"]["same"] == 5 and found["kills"]["writing"] >= 1


def test_the_figures_of_the_status_page_are_those_of_a_full_soak():
    assert sum(sum(counts.values()) for counts in PAGE["files"].values()) == 3000
    assert all(set(counts) == {"refused", "as it was"} for counts in PAGE["files"].values())
    assert PAGE["kills"]["killed"] == PAGE["kills"]["same"] == 100 and PAGE["kills"]["writing"] >= 20


def test_nothing_in_the_package_writes_pickle():
    """The one reader is for weights that others published: verified by SHA-256, and then without code."""
    found = {}
    for path in (ROOT / "splinelab").rglob("*.py"):
        calls = re.findall(
            r"torch\.(?:save|load)\(.*|(?<!allow_)pickle\.\w+|import pickle", path.read_text(encoding="utf-8")
        )
        if calls:
            found[path.name] = calls
    assert list(found) == ["third_party.py"] and "weights_only=True" in found["third_party.py"][0]
