"""`pytest --nbval notebooks`: what is compared, and where the chapters' measurements go."""

import os
import tempfile
from pathlib import Path

from splinelab.charts.renderer import MIME
from splinelab.charts.widgets import MIME as FRAMES_MIME

# The paired .py files are chapters, not modules with doctests.
collect_ignore_glob = ["[0-9A]*.py"]

# The kernels inherit these: no tracked file changes, no progress bar speaks.
os.environ["SPLINELAB_RESULTS"] = tempfile.mkdtemp(prefix="splinelab-results-")
os.environ["TQDM_DISABLE"] = "1"
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # as when the outputs were stored


def pytest_collectstart(collector):
    """Leave charts out: the last digits of their data depend on the processor.

    Cells that print results state the same numbers, rounded.
    """
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += (MIME, FRAMES_MIME, "image/png")
        collector.sanitize_patterns |= {
            r"data:image/png;base64,[\w+/=]+": "PICTURE",
            r"\bf[0-9a-f]{10}\b": "NAME",
        }


def pytest_collection_modifyitems(items):
    """Compare measurements once the chapters have made them."""
    items.sort(key=lambda item: item.path.suffix != ".ipynb" and item.path.parent == Path(__file__).parent)
