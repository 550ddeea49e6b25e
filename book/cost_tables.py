"""The tables of the page "Beyond one machine"."""

import numpy as np
from cost import BY_BLOCK, CORES, MANY, Scaling

GIGABIT = 1.25e8  # bytes a second
_VERSIONS = ("torch", "numpy", "numkong", "joblib", "dask", "distributed")


def parts() -> dict[str, object]:
    """What `build.py` fills into the page, by name."""
    made = {
        "bits": bits,
        "costs": costs,
        "trimmed": trimmed,
        "check": check,
        "forecast": forecast,
        "sent": sent,
        "memory": memory,
        "recording": recording,
        "machine": machine,
    }
    return {f"scaling_{name}": (lambda make=make: make(Scaling.stored())) for name, make in made.items()}


def bits(found: Scaling) -> str:
    """Pairs per second and core by the number of units, and a line through the seconds."""
    units = sorted({run["units"] for run in found.figures["units"]})
    rows = {}
    for way in dict.fromkeys(run["way"] for run in found.figures["units"]):
        seconds = {run["units"]: run["cpu"] / run["pairs"] for run in found.runs("units", way)}
        slope, constant = np.polyfit(units, [1e9 * seconds[u] for u in units], 1)
        line = f"{constant:.1f} + {slope:.4f} · units"
        rows[way] = [*(f"{1e-6 / seconds[u]:.0f}" for u in units), line]
    n = found.figures["units"][0]["n"]
    head = [f"{n:,} samples", *(f"{u:,} units" for u in units), "nanoseconds per pair, fitted"]
    return _table(head, rows, "lrrrrrr"[: len(head)])


def costs(found: Scaling) -> str:
    """The fitted costs."""
    rows = {}
    for way, one in found.one.items():
        two = found.two.get(way)
        more = [f"{two.start:.2f} s", f"{two.slower:.2f} ×"] if two else ["", ""]
        rows[way] = [f"{1e6 * one.sample:.1f} µs", f"{1e9 * one.entry:.2f} ns", f"{1e3 * one.block:.2f} ms"]
        rows[way] += more
    head = ["way", "per sample", "per pair in a block", "per block", "start", "two at once, each slower by"]
    return _table(head, rows, "lrrrrr")


def trimmed(found: Scaling) -> str:
    """What Dask's default of returning memory costs, in words."""
    told = []
    for run in found.figures["trimmed"]:
        (kept,) = [each for each in found.runs("small", run["way"], 2) if each["n"] == run["n"]]
        told.append(f"{run['cpu']:.1f} instead of {kept['cpu']:.1f} seconds with `{run['way']}`")
    return f"{found.figures['trimmed'][0]['n']:,} samples then take " + " and ".join(told)


def check(found: Scaling) -> str:
    """Forecast against measured."""
    lines = []
    for run in found.checks():
        alone = next(each for each in found.runs("large", run["way"]) if each["n"] == run["n"])
        share = alone["cpu"] / run["cpu"] / run["workers"]
        lines.append(
            [
                run["way"],
                f"{run['n']:,}",
                f"{run['workers']}",
                f"{run['forecast']:.1f} s",
                f"{run['cpu']:.1f} s",
                f"{round(100 * run['error']):+d} %",
                f"{run['pairs'] / run['cpu'] / run['workers'] / 1e6:.0f}",
                f"{100 * share:.0f} %" if run["workers"] > 1 else "",
                f"{run['wall']:.1f} s",
                f"{run['others']:.2f}",
            ]
        )
    head = ["way", "samples", "cores", "forecast", "measured", "error", "million pairs a second and core"]
    head += ["efficiency", "wall clock", "cores taken by others"]
    return _rows(head, lines, "lrrrrrrrrr")


def forecast(found: Scaling) -> str:
    """A million samples, on one core and on many."""
    rows = {}
    for way in (BY_BLOCK, "numkong"):
        seconds = [found.forecast(way, cores) for cores in CORES]
        rows[way] = [*map(_time, seconds), f"{100 * seconds[0] / seconds[1] / CORES[1]:.0f} %"]
    worst = max(abs(run["error"]) for run in found.checks())
    head = [f"{MANY:,} samples", *(f"{cores} cores" if cores > 1 else "1 core" for cores in CORES)]
    words = (
        f"That is {MANY * (MANY - 1) // 2:,} pairs of codes of 600 units in {len(found.many.entries)} jobs. "
        f"The largest error of the forecasts above was {100 * worst:.0f} %."
    )
    return "\n".join([_table([*head, "efficiency"], rows, "lrrr"), "", words])


def sent(found: Scaling) -> str:
    """Bytes that go out once and come back with each job."""
    packed, counters = -(-600 // 8), 16 * 601**2
    jobs, workers = len(found.many.entries), CORES[1]
    out, back = packed * MANY * workers, counters * jobs
    measured = found.figures["sent"][-1]
    lines = [
        ["codes, to each worker once", f"{packed} a sample", _bytes(measured["out"]), _bytes(packed * MANY)],
        [
            "counters, back with each job",
            f"at most {counters:,}",
            _bytes(measured["back"]),
            f"at most {_bytes(counters)}",
        ],
        ["jobs", "at most about 256", str(measured["jobs"]), str(jobs)],
        [f"in all, with {workers} workers", "", "", f"at most {_bytes(out + back)}"],
        ["seconds on one link of a gigabit", "", "", f"at most {(out + back) / GIGABIT:.0f}"],
    ]
    head = ["what is sent", "bytes", f"{measured['n']:,} samples, measured", f"{MANY:,} samples"]
    return _rows(head, lines, "lrrr")


def memory(found: Scaling) -> str:
    """The most memory of one process beyond its libraries and the codes it was given."""
    runs = [*found.figures["small"], *found.figures["large"]]
    sizes = sorted({run["n"] for run in runs})
    lines = []
    for n in sizes:
        by_way = {run["way"]: run["memory"] for run in runs if run["n"] == n and run.get("workers", 1) == 1}
        lines.append([f"{n:,}", _bytes(75 * n), *(_bytes(by_way[way]) for way in found.ways)])
    return _rows(["samples", "packed codes", *found.ways], lines, "rr" + "r" * len(found.ways))


def recording(found: Scaling) -> str:
    """Seconds and memory of recording."""
    lines = [
        [
            f"{run['n']:,}",
            f"{run['cpu']:.2f} s",
            f"{1e6 * run['cpu'] / run['n']:.1f} µs",
            _bytes(run["memory"]),
        ]
        for run in found.figures["recording"]
    ]
    return _rows(["images", "CPU time", "per image", "memory beyond the images"], lines, "rrrr")


def machine(found: Scaling) -> str:
    """On what and when."""
    known = found.figures["machine"]
    popcount = "with" if known["512-bit popcount"] else "without"
    versions = ", ".join(f"{name} {known[name]}" for name in known if name in _VERSIONS)
    shared = max(run["others"] for part in ("small", "large") for run in found.figures[part])
    return (
        f"{found.figures['day']}: {known['processor']}, {popcount} a popcount of 512 bits, "
        f"{known['cores']} cores, {known['system']}; Python {known['python']}, {versions}. "
        f"Other processes took up to {shared:.2f} cores while these figures were measured."
    )


def _table(head: list[str], rows: dict[str, list[str]], align: str) -> str:
    return _rows(head, [[name, *cells] for name, cells in rows.items()], align)


def _rows(head: list[str], lines: list[list[str]], align: str) -> str:
    bars = ["---:" if side == "r" else "---" for side in align]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, bars, *lines))


def _bytes(count: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} bytes"


def _time(seconds: float) -> str:
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"
