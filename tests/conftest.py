"""The order of the suite, and one build of the book that all its tests share."""

import subprocess
import sys
from pathlib import Path

import pytest

from splinelab import charts

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "book"), str(ROOT / "tests")]  # chapters.py and build.py; drawing.py

_build: subprocess.Popen | None = None
_log = ROOT / "_build" / "test-build.log"


def pytest_collection_modifyitems(items):
    """Quick tests first, then the slow ones, then chapters, then what waits for the built book."""

    def place(item):
        if "built_book" in getattr(item, "fixturenames", ()):
            return 3
        if Path(item.path).suffix == ".ipynb":
            return 2
        return 1 if item.get_closest_marker("slow") else 0

    items.sort(key=place)


def pytest_collection_finish(session):
    """Start building the book beside the other tests, if any test asks for it."""
    global _build
    wanted = any("built_book" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly:
        _log.parent.mkdir(exist_ok=True)
        with open(_log, "w", encoding="utf-8") as log:
            command = [sys.executable, str(ROOT / "book" / "build.py")]
            _build = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def pytest_sessionfinish():
    """Do not leave a build behind when the suite ends early."""
    if _build is not None and _build.poll() is None:
        _build.terminate()


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
    """`_build/html`, built in this session by the command that readers use."""
    assert _build is not None
    if _build.wait(timeout=1800):
        pytest.fail(f"book/build.py failed:\n{_log.read_text(encoding='utf-8')[-6000:]}")
    return ROOT / "_build" / "html"
