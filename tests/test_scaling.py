"""The cost page: the model against what the package does, its fit, and the figures that are stored."""

import itertools
import json
import math
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import cost
import cost_tables
import numpy as np
import pytest
from cost import OneCore, Scaling, Work, Workers, makespan

from splinelab.codes import SplineCodes
from splinelab.distances import class_histograms, histograms, kernels

STORED = Scaling.stored()
SIZES = [700, 1030, 1, 2500]


def drawn_codes(sizes, units=24, seed=0):
    bits = np.random.default_rng(seed).random((sum(sizes), units)) < 0.3
    return bits, np.repeat(np.arange(len(sizes)), sizes)


def test_the_model_counts_the_blocks_that_the_package_computes(monkeypatch):
    monkeypatch.setattr(histograms, "_JOB", 2**18)
    bits, labels = drawn_codes(SIZES)
    shapes, differing = [], kernels.CodeKernel.differing

    def seen(kernel, rows, cols):
        shapes.append((rows.stop - rows.start) * (cols.stop - cols.start))
        return differing(kernel, rows, cols)

    monkeypatch.setattr(kernels.CodeKernel, "differing", seen)
    class_histograms(bits, labels)
    work = Work.of(SIZES, bits.shape[1])
    assert len(work.blocks) > 3 and work.samples == sum(SIZES)
    assert work.blocks.sum() == len(shapes) and work.entries.sum() == sum(shapes)


def test_bytes_that_are_sent():
    bits, labels = drawn_codes(SIZES, units=600)
    kernel = kernels.CodeKernel(bits, None, "jaccard", "torch", "cpu")
    assert 0 < len(pickle.dumps(kernel)) - 75 * len(bits) < 1000
    for job in histograms.jobs_of(np.bincount(labels), 601**2):
        assert len(pickle.dumps(histograms._count(kernel, 0, 2048, job))) < 16 * 601**2 + 1000


def test_makespan_against_a_simulation_in_small_steps():
    for jobs, workers in itertools.product(([3, 1, 1, 1, 2], [1] * 7, [5]), (1, 2, 3, 8)):
        waiting, left, ticks = list(jobs), [0] * workers, 0
        while waiting or any(left):
            for worker in range(workers):
                if not left[worker] and waiting:
                    left[worker] = waiting.pop(0)
            left = [max(0, rest - 1) for rest in left]
            ticks += 1
        assert makespan(np.array(jobs, float), workers) == ticks


def planted(one, start, slower):
    """Figures of a machine that keeps to the model exactly."""
    figures = {"classes": {}, "small": [], "large": []}
    for part, numbers in (("small", (5000, 9000, 14000, 20000)), ("large", (60000,))):
        for n in numbers:
            figures["classes"][str(n)] = [n // 10] * 10
            work = Work.of([n // 10] * 10, 600)
            run = {"n": n, "way": "torch", "pairs": n * (n - 1) // 2, "others": 0.0}
            figures[part].append(run | {"cpu": one.seconds(work)})
            figures[part].append(run | {"cpu": Workers(one, start, slower).at_work(work, 2), "workers": 2})
    return Scaling(figures)


def test_planted_costs_are_found_and_foretell_exactly():
    true = OneCore(2e-6, 7e-9, 1e-3)
    found = planted(true, 0.3, 1.25)
    one, two = found.one["torch"], found.two["torch"]
    assert (one.sample, one.entry, one.block) == pytest.approx((2e-6, 7e-9, 1e-3), rel=1e-6)
    assert (two.start, two.slower) == pytest.approx((0.3, 1.25), rel=1e-6)
    assert [run["workers"] for run in found.checks()] == [1, 2]
    assert all(abs(run["error"]) < 1e-6 for run in found.checks())
    assert found.many.samples == cost.MANY
    seconds = [found.forecast("torch", cores) for cores in (1, 2, 64)]
    jobs = true.jobs(found.many)
    assert seconds[0] == pytest.approx(2e-6 * cost.MANY + jobs.sum())
    assert seconds[2] >= 0.3 + 1.25 * max(jobs.sum() / 64, jobs.max()) and seconds[2] < seconds[1] / 20


def test_a_slower_machine_shows_in_the_error():
    found = planted(OneCore(2e-6, 7e-9, 1e-3), 0.3, 1.25)
    for run in found.figures["large"]:
        run["cpu"] *= 2
    assert [run["error"] for run in found.checks()] == pytest.approx([-0.5, -0.5])


def test_the_stored_figures_are_of_a_whole_run():
    figures = STORED.figures
    ways = ["torch", "torch, unpacked by block", "numkong"]
    assert STORED.ways == ways
    for part, numbers in (("small", {5000, 7000, 10000, 14000, 20000}), ("large", {60000, 120000})):
        for way, workers in [*((way, 1) for way in ways), ("torch", 2), ("numkong", 2)]:
            runs = STORED.runs(part, way, workers)
            assert {run["n"] for run in runs} == numbers and len(runs) == len(numbers)
            for run in runs:
                assert run["pairs"] == run["n"] * (run["n"] - 1) // 2
                assert 0 < run["cpu"] < 1.05 * workers * run["wall"]
    assert all(sum(sizes) == int(n) for n, sizes in figures["classes"].items())
    assert figures["machine"]["processor"] and re.fullmatch(r"\d{4}-\d\d-\d\d", figures["day"])


def test_the_page_shows_the_stored_figures():
    text = {name: make() for name, make in cost_tables.parts().items()}
    assert not re.search(r"\b(nan|inf)\b", "\n".join(text.values()))
    for name, table in text.items():
        widths = {line.count("|") for line in table.splitlines() if line.startswith("|")}
        assert len(widths) == (name not in ("scaling_machine", "scaling_trimmed")), name
    assert text["scaling_check"].count("\n") == 1 + len(STORED.figures["large"])
    for run in STORED.checks():
        measured = run["cpu"]
        error = 100 * (run["forecast"] - measured) / measured
        assert (
            f"| {run['forecast']:.1f} s | {measured:.1f} s | {round(error):+d} % |" in text["scaling_check"]
        )
    seconds = STORED.forecast("numkong", 64)
    row = r"^\| numkong \|.*\| ([\d.]+) (seconds|minutes|hours) \| \d+ % \|$"
    shown = re.search(row, text["scaling_forecast"], re.MULTILINE)
    unit = {"seconds": 1, "minutes": 60, "hours": 3600}[shown[2]]
    assert math.isclose(float(shown[1]) * unit, seconds, abs_tol=unit / 2)
    assert STORED.figures["machine"]["processor"] in text["scaling_machine"]
    page = (Path(cost.ROOT) / "book/beyond_one_machine.md").read_text(encoding="utf-8")
    assert set(re.findall(r"%% (scaling_\w+) %%", page)) == set(text)


def test_shifted_images_are_whole_and_one_shift_each():
    scaling = pytest.importorskip("scaling", reason="`make scaling` needs Linux", exc_type=ImportError)
    images = np.zeros((200, 28, 28), np.float32)
    images[:, 4:24, 4:24] = np.random.default_rng(0).random((200, 20, 20)) + 0.1
    moved = scaling.shifted(images, seed=1)
    shifts = set()
    for before, after in zip(images, moved, strict=True):
        found = [
            (down, right)
            for down, right in itertools.product(range(-2, 3), repeat=2)
            if np.array_equal(after[4 + down : 24 + down, 4 + right : 24 + right], before[4:24, 4:24])
        ]
        assert len(found) == 1 and (after > 0).sum() == 400
        shifts.update(found)
    assert len(shifts) == 25
    np.testing.assert_array_equal(scaling.shifted(images, seed=1), moved)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_one_measurement(tmp_path):
    bits, labels = drawn_codes([300, 200], units=600)
    SplineCodes.from_bits({"units": bits}).save(tmp_path / "full-mse-500")
    np.save(tmp_path / "labels-500.npy", labels)
    script = (
        "import json, sys, scaling; scaling.ENOUGH = scaling.PATIENCE = scaling.LIMIT = 0;"
        "print(json.dumps(scaling.count(sys.argv[1], 500, 600, 'torch')))"
    )
    where = {"cwd": Path(cost.ROOT) / "book", "env": {**os.environ, "PYTHONPATH": str(cost.ROOT)}}
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, **where)
    found = json.loads(done.stdout)
    assert found["pairs"] == 500 * 499 // 2 and found["cpu"] > 0 and found["wall"] > 0
    assert found["memory"] >= 16 * 500  # the codes that were sorted, at least
