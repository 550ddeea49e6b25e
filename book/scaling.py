"""Measure how histograms over all pairs grow with the samples; the figures go to "Beyond one machine".

    python book/scaling.py --write book/scaling.json

`make scaling` runs it. Full MNIST must be at hand. Every measurement is a process of its own, on one thread
or with a Dask cluster of two worker processes. The cores that other processes used meanwhile are measured
too: a short run that found too few left is repeated, and the least disturbed one counts. Where several people
measure on one machine, `--lock FILE` makes them wait for each other. Linux only.
"""

import argparse
import contextlib
import datetime
import fcntl
import json
import os
import pickle
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import joblib
import numpy as np
import psutil
import torch

from splinelab import data, record, zoo
from splinelab.codes import SplineCodes
from splinelab.data import Dataset, stratified_split
from splinelab.distances import class_histograms, histograms, kernels
from splinelab.errors import SplinelabError

NETS = ("full-mse", "full-ce", "full-long")  # 600 units each; the first alone unless more units are asked for
SMALL = (5_000, 7_000, 10_000, 14_000, 20_000)  # what the model is fitted to
LARGE = (60_000, 120_000)  # what it is checked at
UNITS = (200, 400, 600, 1_200, 1_800)
UNITS_AT = 10_000  # samples
WAYS = ("torch", "torch, unpacked by block", "numkong")
QUIET = 0.1  # cores that others may take of those that a run needs
ENOUGH, PATIENCE, LIMIT = 2, 10, 30  # seconds: of runs, to wait before each, to go on with disturbed ones


def main() -> None:
    """Parse the command line; measure everything, or one thing for the process that does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, help="a JSON file for the figures")
    parser.add_argument("--lock", type=Path, help="a file that all who measure on this machine lock")
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        print(json.dumps(ONE[given.one.pop("what")](**given.one)))
        return
    try:
        figures = measure(given.lock)
    except SplinelabError as error:
        raise SystemExit(f"scaling: {error}") from error
    text = json.dumps(figures, indent=1)
    print(text)
    if given.write:
        given.write.write_text(text + "\n", encoding="utf-8")


def measure(lock: Path | None) -> dict:
    """Everything: first what the model is fitted to, then what it is checked at."""
    images = data.mnist("train")
    with tempfile.TemporaryDirectory() as folder:
        sizes = {n: store_codes(images, n, Path(folder)) for n in (*SMALL, *LARGE)}
        del images

        def one(what: str, **how) -> dict:
            found = how | alone({"what": what, "folder": folder, **how}, lock)
            print(f"{what}: {found}", file=sys.stderr, flush=True)
            return found

        figures = {
            "day": datetime.date.today().isoformat(),
            "machine": machine(),
            "classes": {str(n): found for n, found in sizes.items()},
            "recording": [one("recording", n=n) for n in (*SMALL, LARGE[0])],
            "sent": [one("sent", n=n) for n in (SMALL[0], SMALL[-1])],
            "trimmed": [
                one("count", n=SMALL[-1], units=600, way=way, workers=2, trim=True) for way in WAYS[::2]
            ],
            "units": [one("count", n=UNITS_AT, units=u, way=w) for w in WAYS[::2] for u in UNITS],
        }
        for name, numbers in (("small", SMALL), ("large", LARGE)):
            runs = [one("count", n=n, units=600, way=way) for way in WAYS for n in numbers]
            runs += [one("count", n=n, units=600, way=way, workers=2) for way in WAYS[::2] for n in numbers]
            figures[name] = runs
    return figures


def machine() -> dict[str, str | int]:
    """The processor, its cores and the versions that matter."""
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    flags = [line for line in _cpuinfo() if line.startswith("flags")]
    return {
        "processor": names[0] if names else platform.machine(),
        "512-bit popcount": bool(flags) and "avx512_vpopcntdq" in flags[0],
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "numkong", "joblib", "dask", "distributed")},
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def store_codes(images: Dataset, n: int, folder: Path) -> list[int]:
    """Codes of `n` images, stored for the processes that measure; the sizes of the classes.

    Up to 60,000 are drawn by class. Beyond, the rest are copies of all images, each shifted by up to two
    pixels each way.
    """
    chosen = images.take(stratified_split(images, min(n, len(images)), seed=0).train)
    pixels = [chosen.images]
    if n > len(images):
        pixels.append(shifted(chosen.images, seed=1))
    labels, pixels = np.tile(chosen.labels, len(pixels)), np.concatenate(pixels)
    for name in NETS if n == UNITS_AT else NETS[:1]:
        record(zoo.load(name, 0), pixels, activations=False).codes.save(folder / f"{name}-{n}")
    np.save(folder / f"labels-{n}.npy", labels)
    return np.unique(labels, return_counts=True)[1].tolist()


def shifted(images: np.ndarray, seed: int) -> np.ndarray:
    """Each image moved by −2 to 2 pixels each way, drawn apart; digits end four pixels from the edge."""
    by = np.random.default_rng(seed).integers(-2, 3, size=(len(images), 2))
    found = np.empty_like(images)
    for down in range(-2, 3):
        for right in range(-2, 3):
            some = (by == (down, right)).all(axis=1)
            found[some] = np.roll(images[some], (down, right), axis=(-2, -1))
    return found


def alone(task: dict, lock: Path | None) -> dict:
    """What a process of its own measures."""
    command = [sys.executable, __file__, "--one", json.dumps(task)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with lock.open("a") if lock else contextlib.nullcontext() as file:
        if file:
            fcntl.flock(file, fcntl.LOCK_EX)
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


# --- what one process measures


class Clock:
    """Wall clock; CPU time of this process and, on average, of a worker; cores that others used meanwhile.

    The second is about what the wall clock would show if nobody else were there: workers have jobs all the
    time but at the very end, and this process works before and after them.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def __enter__(self) -> "Clock":
        self._before = self._now()
        return self

    def __exit__(self, *_) -> None:
        (start, everything, ours), (end, everything_now, ours_now) = self._before, self._now()
        spent = {pid: seconds - ours.get(pid, 0.0) for pid, seconds in ours_now.items()}
        self.wall = end - start
        self.others = max(0.0, everything_now - everything - sum(spent.values())) / self.wall
        self.cpu = spent.pop(os.getpid()) + sum(spent.values()) / self._workers

    @staticmethod
    def _now() -> tuple[float, float, dict[int, float]]:
        whole = psutil.cpu_times()
        idle = whole.idle + getattr(whole, "iowait", 0.0)
        counted_twice = getattr(whole, "guest", 0.0) + getattr(whole, "guest_nice", 0.0)
        me = psutil.Process()
        family = {process.pid: process.cpu_times() for process in (me, *me.children(recursive=True))}
        ours = {pid: times.user + times.system for pid, times in family.items()}
        return time.perf_counter(), sum(whole) - idle - counted_twice, ours


def timed(call: Callable[[], object], cores: int = 1) -> dict[str, float]:
    """Mean seconds of the runs that found `cores` cores free; of the least disturbed one where none did."""
    most = os.cpu_count() - cores + QUIET
    runs: list[Clock] = []
    started = time.monotonic()
    while True:
        if not runs or runs[-1].others > most:
            until = time.monotonic() + PATIENCE
            while psutil.cpu_percent(1) / 100 * os.cpu_count() > most and time.monotonic() < until:
                pass
        with Clock(cores) as clock:
            call()
        runs.append(clock)
        quiet = [run for run in runs if run.others <= most]
        if sum(run.wall for run in quiet) >= ENOUGH or time.monotonic() - started > LIMIT:
            break
    chosen = quiet or [min(runs, key=lambda run: run.others)]
    means = {name: np.mean([getattr(run, name) for run in chosen]) for name in ("wall", "cpu", "others")}
    return {name: round(float(mean), 4) for name, mean in means.items()}


class Memory:
    """The most bytes that this process holds meanwhile beyond what it held before."""

    def __enter__(self) -> "Memory":
        self._before = psutil.Process().memory_info().rss
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
        return self

    def __exit__(self, *_) -> None:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        (peak,) = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
        self.peak = peak - self._before


def count(
    folder: str, n: int, units: int, way: str, workers: int = 1, trim: bool = False
) -> dict[str, float]:
    """Seconds for all pairs by Jaccard distance, and the memory that they took beyond codes and libraries."""
    codes = stored_codes(Path(folder), n, units)
    labels = np.load(Path(folder) / f"labels-{n}.npy")
    backend = way.partition(",")[0]
    if way.endswith("by block"):
        kernels._KEEP = 0
    with two_workers(trim) if workers == 2 else contextlib.nullcontext():
        class_histograms(codes[:64], labels[:64], backend=backend)  # what the first call imports
        with Memory() as memory:
            seconds = timed(lambda: class_histograms(codes, labels, backend=backend), workers)
    return {"pairs": n * (n - 1) // 2, **seconds, "memory": memory.peak}


def stored_codes(folder: Path, n: int, units: int) -> SplineCodes | np.ndarray:
    """Codes of that many units: the first layers of one net, or several nets side by side."""
    nets = [SplineCodes.load(folder / f"{name}-{n}") for name in NETS[: -(-units // 600)]]
    if len(nets) == 1 and units == 600:
        return nets[0]
    return np.concatenate([codes.bits() for codes in nets], axis=1)[:, :units]


@contextlib.contextmanager
def two_workers(trim: bool):
    """A Dask cluster of two worker processes on this machine, which have imported what they need.

    With `trim` they hand freed memory back to the system at once, as is Dask's default.
    """
    import dask
    from distributed import Client, LocalCluster

    if not trim:
        dask.config.set({"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None})
    start = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": None}
    with LocalCluster(**start) as cluster, Client(cluster) as client, joblib.parallel_config("dask"):
        client.run(class_histograms, [[0], [1]], [0, 1], "hamming")
        yield


def recording(folder: str, n: int) -> dict[str, float]:
    """Seconds of recording the codes of `n` images, and memory beyond the images."""
    net = zoo.load(NETS[0], 0)
    images = data.mnist("train")
    some = images.take(stratified_split(images, n, seed=0).train).images
    record(net, some[:64], activations=False)
    with Memory() as memory:
        seconds = timed(lambda: record(net, some, activations=False))
    return {**seconds, "memory": memory.peak}


def sent(folder: str, n: int) -> dict[str, float]:
    """Bytes that go to a worker once (the codes), and that come back with each job (its counters)."""
    codes, labels = stored_codes(Path(folder), n, 600), np.load(Path(folder) / f"labels-{n}.npy")
    order = np.argsort(labels, kind="stable")
    kernel = kernels.CodeKernel(codes[order], None, "jaccard", "torch", "cpu")
    jobs = histograms.jobs_of(np.bincount(labels), histograms._Counter(kernel, 0).size)
    back = [len(pickle.dumps(histograms._count(kernel, 0, 2048, job))) for job in jobs]
    return {"jobs": len(jobs), "out": len(pickle.dumps(kernel)), "back": float(np.mean(back))}


ONE = {"count": count, "recording": recording, "sent": sent}


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
