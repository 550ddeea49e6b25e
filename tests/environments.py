"""Fresh virtual environments in which what is installed here is at hand already."""

import os
import subprocess
import sysconfig
import venv
from pathlib import Path


def beside_this_one(folder: Path) -> Path:
    """The Python of a new environment that sees this one's packages as its own, and writes to itself."""
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / "bin" / "python"
    ask = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    # Its own setuptools, where it has one, would hide the one that builds this project.
    done([python, "-m", "pip", "uninstall", "--quiet", "--yes", "setuptools"])
    own = Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip())
    (own / "beside.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python


def run(command: list, **given) -> subprocess.CompletedProcess:
    """Run a command; what this process has on its path by name does not reach it."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    given = {"env": environment, "capture_output": True, "text": True, "check": False} | given
    return subprocess.run([*map(str, command)], **given)


def done(command: list, **given) -> subprocess.CompletedProcess:
    """Run a command and fail with all that it said."""
    ran = run(command, **given)
    assert ran.returncode == 0, f"{command}\n{ran.stdout[-2000:]}\n{ran.stderr[-4000:]}"
    return ran


PIP = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-build-isolation"]
