"""Work that falls into pieces, through joblib: here, in processes, or on a cluster, as the caller configures.

Nothing is spread unless the caller says so:

    with joblib.parallel_config(n_jobs=2): ...            # two processes
    with joblib.parallel_config("dask"): ...              # the workers of a Dask cluster

The pieces never depend on the number of workers, and are put together in their order.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from joblib import Parallel, delayed, parallel

MOST = 256  # pieces at most: enough for 64 cores, few enough to be sent


def spread(function: Callable, jobs: Iterable[tuple], *shared: Any) -> Iterator[Any]:
    """`function(*shared, *job)` for every job, in order; one result at a time where the backend can."""
    backend, _ = parallel.get_active_backend()
    how = "generator" if backend.supports_return_generator else "list"
    yield from Parallel(return_as=how)(delayed(function)(*shared, *job) for job in jobs)


def in_two(function: Callable, jobs: Iterable[tuple]) -> list[Any]:
    """`function(*job)` for every job, in order: in two processes, or as the caller configures."""
    _, configured = parallel.get_active_backend()
    with warnings.catch_warnings():
        # joblib replaces a process that has grown, loses nothing, and says so at random moments.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
        n_jobs = 2 if configured is None else configured
        return Parallel(n_jobs=n_jobs, max_nbytes=None)(delayed(function)(*job) for job in jobs)


def groups(pieces: list, costs: list[int], least: int) -> list[list]:
    """Neighbouring pieces joined until each group costs at least `least` and there are about 256 at most."""
    enough = max(least, sum(costs) // MOST)
    found: list[list] = [[]]
    spent = 0
    for piece, cost in zip(pieces, costs, strict=True):
        if spent >= enough:
            found.append([])
            spent = 0
        found[-1].append(piece)
        spent += cost
    return found
