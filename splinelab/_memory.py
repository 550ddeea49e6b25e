"""Whether there is room for a method whose need grows with the square of the samples, before it begins."""

from pathlib import Path

from splinelab.errors import InputError

_ROOT = Path("/sys/fs/cgroup")
_FILES = {  # limit, use and what of the use can be given back, in the two versions of Linux control groups
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def require(need: float, what: str, instead: str) -> None:
    """Raise InputError if `need` bytes are not there; `instead` names what fits. Nothing is allocated.

    Where the system does not tell how much memory is free, nothing is refused.
    """
    free = available()
    if free is not None and need > free:
        raise InputError(f"{what} needs {_size(need)} of memory and {_size(free)} are free: {instead}")


def available() -> int | None:
    """Bytes that this process may still take: the least of what the machine, its control group and its
    own limit on addresses leave. None where the system says nothing (not Linux)."""
    left = [_machine(), *_groups(), _limit()]
    return min((found for found in left if found is not None), default=None)


def _machine() -> int | None:
    facts = _facts(Path("/proc/meminfo"))
    return facts["MemAvailable"] * 1024 if "MemAvailable" in facts else None


def _groups() -> list[int]:
    """What the limits of this process's control groups, and of those around them, leave."""
    try:
        lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    except OSError:
        return []
    left = []
    for _, kind, place in lines:
        if kind not in _FILES:
            continue
        inner = _ROOT / kind / place.lstrip("/")
        for folder in (inner, *inner.parents):
            if folder.is_relative_to(_ROOT / kind):
                left.append(_left(folder, *_FILES[kind]))
    return [found for found in left if found is not None]


def _left(folder: Path, limit: str, use: str, reclaimable: str) -> int | None:
    try:
        most, used = int((folder / limit).read_text()), int((folder / use).read_text())
    except (OSError, ValueError):  # no such group, or "max": no limit
        return None
    return max(most - used + _facts(folder / "memory.stat").get(reclaimable, 0), 0)


def _limit() -> int | None:
    try:
        import resource  # not on Windows

        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        if most == resource.RLIM_INFINITY:
            return None
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError, ValueError):
        return None
    return max(most - used, 0)


def _facts(path: Path) -> dict[str, int]:
    """The numbers of a file whose lines are a name and a number."""
    try:
        rows = [line.replace(":", " ").split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
