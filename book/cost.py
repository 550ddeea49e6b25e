"""The cost of histograms over all pairs: fitted to few samples, checked at many, forecast for a million.

Everything follows from `scaling.json` (`make scaling`) and from the jobs that the package makes of classes.
On one core, seconds are a sum over samples, counted entries of blocks, and blocks. On several, each job goes
to the first worker that is free, in order; a worker first unpacks all samples.
"""

import heapq
import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from chapters import ROOT
from scipy.optimize import nnls

from splinelab.distances.histograms import blocks_of, jobs_of

MANY = 1_000_000
CORES = (1, 64)
BY_BLOCK = "torch, unpacked by block"


@dataclass(frozen=True)
class Work:
    """What has to be done for classes of these sizes: samples, and entries and blocks by job."""

    samples: int
    entries: np.ndarray
    blocks: np.ndarray

    @classmethod
    def of(cls, sizes: list[int], units: int) -> "Work":
        samples = sum(sizes)
        entries, blocks = [], []
        for job in jobs_of(sizes, (units + 1) ** 2):
            shapes = [(rows.stop - rows.start,) * 2 for rows, _ in job]
            shapes += [(a.stop - a.start, b.stop - b.start) for a, b, _ in blocks_of(job, samples)]
            entries.append(sum(height * width for height, width in shapes))
            blocks.append(len(shapes))
        return cls(samples, np.array(entries), np.array(blocks))


@dataclass(frozen=True)
class OneCore:
    """Seconds for each sample, entry and block."""

    sample: float
    entry: float
    block: float

    @classmethod
    def fitted(cls, done: list[Work], seconds: list[float]) -> "OneCore":
        """Least squares of relative errors, with no negative cost."""
        parts = np.array([[work.samples, work.entries.sum(), work.blocks.sum()] for work in done], float)
        return cls(*_least_squares(parts, seconds))

    def jobs(self, work: Work) -> np.ndarray:
        return self.entry * work.entries + self.block * work.blocks

    def seconds(self, work: Work) -> float:
        return self.sample * work.samples + float(self.jobs(work).sum())


@dataclass(frozen=True)
class Workers:
    """Seconds to start and to collect, and how much longer a core takes when others work beside it."""

    one: OneCore
    start: float
    slower: float

    @classmethod
    def fitted(cls, one: OneCore, done: list[Work], seconds: list[float], workers: int = 2) -> "Workers":
        parts = np.array([[1.0, _prepared(one, work) + one.jobs(work).sum() / workers] for work in done])
        return cls(one, *_least_squares(parts, seconds))

    def at_work(self, work: Work, workers: int) -> float:
        """Seconds that the caller and, on average, a worker are at work."""
        jobs = self.one.jobs(work).sum() / workers
        return self.start + self.slower * (_prepared(self.one, work) + jobs)

    def seconds(self, work: Work, workers: int) -> float:
        """Seconds until the last worker is done."""
        jobs = makespan(self.one.jobs(work), workers)
        return self.start + self.slower * (_prepared(self.one, work) + jobs)


def _prepared(one: OneCore, work: Work) -> float:
    """The codes are made ready here, and once more on each worker."""
    return 2 * one.sample * work.samples


def makespan(jobs: np.ndarray, workers: int) -> float:
    """When the last job ends, each given in order to the first worker that is free."""
    free = [0.0] * workers
    for seconds in jobs.tolist():
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def _least_squares(parts: np.ndarray, seconds: list[float]) -> list[float]:
    weights = 1 / np.array(seconds)
    scale = np.maximum((parts * weights[:, None]).max(axis=0), np.finfo(float).tiny)
    found, _ = nnls(parts * weights[:, None] / scale, np.ones(len(seconds)))
    return (found / scale).tolist()


class Scaling:
    """The stored measurements and what the model makes of them."""

    def __init__(self, figures: dict) -> None:
        self.figures = figures
        self.works = {int(n): Work.of(sizes, 600) for n, sizes in figures["classes"].items()}
        largest = max(figures["classes"], key=int)
        shares = np.array(figures["classes"][largest]) / int(largest)
        sizes = np.floor(shares * MANY).astype(int)
        sizes[0] += MANY - sizes.sum()
        self.many = Work.of(sizes.tolist(), 600)

    @classmethod
    def stored(cls) -> "Scaling":
        return cls(json.loads((ROOT / "book/scaling.json").read_text(encoding="utf-8")))

    def runs(self, part: str, way: str, workers: int = 1) -> list[dict]:
        found = [run for run in self.figures[part] if run["way"] == way]
        return [run for run in found if run.get("workers", 1) == workers]

    @cached_property
    def ways(self) -> list[str]:
        return list(dict.fromkeys(run["way"] for run in self.figures["small"]))

    @cached_property
    def one(self) -> dict[str, OneCore]:
        """By way: the costs on one core, in CPU seconds."""
        return {
            way: OneCore.fitted([self.works[run["n"]] for run in runs], [run["cpu"] for run in runs])
            for way in self.ways
            if (runs := self.runs("small", way))
        }

    @cached_property
    def two(self) -> dict[str, Workers]:
        """By way: the costs with two workers, in CPU seconds of the caller and, on average, a worker."""
        return {
            way: Workers.fitted(
                self.one[way], [self.works[run["n"]] for run in runs], [run["cpu"] for run in runs]
            )
            for way in self.ways
            if (runs := self.runs("small", way, 2))
        }

    def checks(self) -> list[dict]:
        """Every large run: forecast and measured seconds, and the error of the forecast."""
        found = []
        for run in self.figures["large"]:
            workers, work = run.get("workers", 1), self.works[run["n"]]
            way = run["way"]
            forecast = self.one[way].seconds(work) if workers == 1 else self.two[way].at_work(work, workers)
            found.append(run | {"workers": workers, "forecast": forecast})
            found[-1]["error"] = forecast / run["cpu"] - 1
        return found

    def forecast(self, way: str, cores: int) -> float:
        """Seconds for a million samples. Both backends of torch lose the same beside other workers."""
        if cores == 1:
            return self.one[way].seconds(self.many)
        two = self.two["torch" if way == BY_BLOCK else way]
        return Workers(self.one[way], two.start, two.slower).seconds(self.many, cores)
