"""Install this checkout where much is installed already, such as on Colab, and leave that as it is.

    python notebooks/colab.py

What is there becomes a constraint, so that a package is added where one is missing and none is replaced.
"""

import importlib.metadata
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def installed() -> list[str]:
    """Every package of this environment with its version, as pip's constraints spell it."""
    found = {
        (each.metadata["Name"] or "").lower(): each.version for each in importlib.metadata.distributions()
    }
    return sorted(f"{name}=={version}" for name, version in found.items() if name and name != "splinelab")


def install() -> str:
    """Run pip; returns what went wrong, in one line, or nothing."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as kept:
        kept.write("\n".join(installed()))
        kept.flush()
        command = [sys.executable, "-m", "pip", "install", "--quiet", "-c", kept.name, "-e", str(ROOT)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return "" if not done.returncode else (errors or done.stderr.strip().splitlines() or ["pip failed"])[0]


if __name__ == "__main__":
    sys.exit(install() or 0)
