"""Where this checkout comes from: address and commit, for the book's links and Colab's first cell."""

import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GITHUB = r"(?:https?://(?:[^/@]+@)?|(?:ssh://)?git@)github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?"


def project() -> dict:
    """What `pyproject.toml` says of the project: the one place that holds its address and its version."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        return tomllib.load(file)["project"]


def home() -> str:
    """The project's own address."""
    return project()["urls"]["Repository"].rstrip("/")


def version() -> str:
    """The project's version."""
    return project()["version"]


def address(root: Path = ROOT) -> str:
    """Where on GitHub a checkout was cloned from, so that a fork's book opens the fork; else `home`."""
    remote = re.fullmatch(GITHUB, _git(root, "remote", "get-url", "origin"))
    return f"https://github.com/{remote[1]}" if remote else home()


def commit(root: Path = ROOT) -> str:
    """The commit that is checked out; the main branch where git knows none."""
    return _git(root, "rev-parse", "HEAD") or "main"


def _git(root: Path, *command: str) -> str:
    try:
        done = subprocess.run(["git", "-C", root, *command], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return "" if done.returncode else done.stdout.strip()


def colab_cell(address: str, commit: str) -> str:
    """The first cell of every chapter: on Colab it installs that commit, elsewhere it does nothing."""
    return f"""\
# On Colab only: install the commit that this notebook belongs to.
import sys

if "google.colab" in sys.modules:
    import os
    import subprocess

    address, commit, here = "{address}", "{commit}", "/content/splinelab"
    fetch = f"git init -q {{here}} && cd {{here}} && git fetch -q --depth 1 {{address}} {{commit}}"
    install = f"git checkout -q --force FETCH_HEAD && {{sys.executable}} notebooks/colab.py"
    done = subprocess.run(f"{{fetch}} && {{install}}", shell=True, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"No splinelab from {{address}} at {{commit}}: {{done.stderr.strip().splitlines()[-1]}}")
    sys.path[:0] = [here, f"{{here}}/notebooks"]
    os.chdir(f"{{here}}/notebooks")"""
