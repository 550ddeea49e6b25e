"""The order of the suite, and one build of the pages that all its tests share."""

import subprocess
import sys
from pathlib import Path

import pytest

from splinelab import charts

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "book"), str(ROOT / "tests")]  # chapters.py and build.py; drawing.py


def pytest_collection_modifyitems(items):
    """Quick tests first, then the slow ones, then what waits for the built book."""

    def place(item):
        if "built_book" in getattr(item, "fixturenames", ()):
            return 2
        return 1 if item.get_closest_marker("slow") else 0

    items.sort(key=place)


def _tracked() -> str | None:
    """What git sees of the tracked files, or `None` outside a checkout."""
    command = ["git", "diff", "HEAD", "--stat"]
    state = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return None if state.returncode else state.stdout


@pytest.fixture(scope="session", autouse=True)
def tracked_state():
    """The state of the tracked files when the suite began, and a function that gives it now."""
    return _tracked(), _tracked


@pytest.fixture
def theme():
    """Charts in the book's theme."""
    charts.use()


@pytest.fixture(scope="session")
def built_book() -> Path:
    """`_build/html`, built in this session from the chapters' stored outputs, which `--nbval` compares with
    fresh ones: running every chapter once more would show nothing new."""
    command = [sys.executable, str(ROOT / "book" / "build.py"), "pages"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"book/build.py failed:\n{(done.stdout + done.stderr)[-6000:]}")
    return ROOT / "_build" / "html"
