"""What the chapters measured in this session against what the book holds; runs after them."""

import json
import os
from pathlib import Path

import pytest

COMMITTED = Path(__file__).parents[1] / "book/results"


def stored() -> list[str]:
    chapters = (path.stem for path in Path(__file__).parent.glob("*.ipynb"))
    return sorted(name for name in chapters if (COMMITTED / f"{name}.json").exists())


@pytest.mark.parametrize("name", stored())
def test_fresh_measurements_agree_with_the_committed_ones(name):
    """A run measures again what its data allow; the rest stays as it was, date and all."""
    path = Path(os.environ["SPLINELAB_RESULTS"]) / f"{name}.json"
    if not path.exists():
        pytest.skip("its chapter did not run in this session (pytest --nbval notebooks)")
    fresh, before = (json.loads(file.read_text(encoding="utf-8")) for file in (path, COMMITTED / path.name))
    del fresh["sha256"], before["sha256"]
    assert fresh.keys() == before.keys()
    for claim, cases in before.items():
        assert fresh[claim].keys() == cases.keys()
        for case, was in cases.items():
            if was["data"] != "mnist5k":
                assert fresh[claim][case] == was
            for key in ("value", "low", "high"):
                assert fresh[claim][case][key] == pytest.approx(
                    was[key], rel=0.005, abs=0.005 * (was["high"] - was["low"])
                ), f"{claim}, {case}: {key}"
