"""The soak: many broken files of every kind, and many runs killed at random moments.

    python tests/soak.py --files 3000 --kills 100 --write book/soak.json

`make soak` runs it; the tests run a small one. Every draw follows from `--seed`.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from kinds_of_files import broken, every_kind

from splinelab import spd, zoo
from splinelab.errors import SplinelabError
from splinelab.training import Recipe
from splinelab.zoo import decompositions, recipes


def main() -> None:
    """Parse the command line, run, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=150)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, help="a JSON file for the figures")
    given = parser.parse_args()
    torch.set_num_threads(1)  # so that a run can be forked, and every run has the same bits
    started = time.monotonic()
    files, wrong = break_files(given.files, given.seed)
    kills, differing = kill_runs(given.kills, given.seed)
    minutes = round((time.monotonic() - started) / 60, 1)
    machine = f"Python {platform.python_version()}, torch {torch.__version__}, {platform.system()}"
    figures = {"day": time.strftime("%Y-%m-%d"), "seed": given.seed, "minutes": minutes, "machine": machine}
    figures |= {"files": files, "kills": kills}
    print(json.dumps(figures, indent=1), *wrong, *differing, sep="\n")
    if wrong or differing:
        sys.exit(1)
    if given.write:
        given.write.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


# --- files


def break_files(count: int, seed: int) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Break `count` files, of all kinds alike: outcomes by kind, and a line for each that went wrong.

    Right is one error of ours, in one line, that names the file; or the content as it was.
    """
    with tempfile.TemporaryDirectory() as folder:
        kinds = every_kind(Path(folder))
        outcomes = {kind.name: Counter({"refused": 0, "as it was": 0}) for kind in kinds}
        contents = [(kind.path.read_bytes(), kind.read()) for kind in kinds]
        wrong = []
        for number in range(count):
            kind, (whole, content) = kinds[number % len(kinds)], contents[number % len(kinds)]
            changed = broken(whole, np.random.default_rng([seed, number]))
            kind.path.write_bytes(changed)
            outcome, detail = _outcome(kind, content)
            outcomes[kind.name][outcome] += 1
            if outcome not in ("refused", "as it was"):
                wrong.append(f"file {number}, {kind.name}: {outcome}: {detail}")
            kind.path.write_bytes(whole)
    return {name: dict(counter) for name, counter in outcomes.items()}, wrong


def _outcome(kind, content: bytes) -> tuple[str, str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = kind.read()
    except SplinelabError as error:
        text = str(error)
        if "\n" in text or kind.path.name not in text or len(text) > 1500:
            return "unclear", repr(text)
        return "refused", text
    except Exception:
        return "traceback", traceback.format_exc()
    return ("as it was", "") if found == content else ("other content", "")


# --- kills


def kill_runs(count: int, seed: int) -> tuple[dict[str, int], list[str]]:
    """Kill `count` runs, each in a folder of its own, and run each again: how it went, and what differs.

    Trainings and decompositions take turns. Every other pair is killed while it writes a file, the rest at a
    moment that is drawn.
    """
    counts, differing = Counter(killed=0, writing=0, resumed=0, same=0), []
    with tempfile.TemporaryDirectory() as top:
        for job in (_train, _decompose):  # what torch imports at the first step, once for all children
            job(Path(top) / f"warm-{job.__name__}")
        whole = {}
        for job in (_train, _decompose):
            folder, started = Path(top) / job.__name__, time.monotonic()
            _finish(job, folder)
            whole[job] = _bits(folder), time.monotonic() - started
        for number in range(count):
            rng, job = np.random.default_rng([seed, number]), (_train, _decompose)[number % 2]
            folder = Path(top) / str(number)
            while True:
                writing = _killed(job, folder, rng.random() * whole[job][1], number % 4 >= 2)
                if writing is not None:
                    break
                shutil.rmtree(folder)  # it had ended before
            counts["killed"] += 1
            counts["writing"] += writing
            counts["resumed"] += any(folder.glob(".checkpoints/*.ckpt*"))
            _finish(job, folder)
            if _bits(folder) == whole[job][0]:
                counts["same"] += 1
            else:
                differing.append(f"kill {number}, {job.__name__}: {sorted(_bits(folder))}")
            shutil.rmtree(folder)
    return dict(counts), differing


def _killed(job, folder: Path, moment: float, at_a_write: bool) -> bool | None:
    """Whether a run was killed with a file half written; None where it ended first."""
    folder.mkdir()
    child = _start(job, folder)
    until = time.monotonic() + moment
    while time.monotonic() < until or (at_a_write and not _parts(folder)):
        if os.waitpid(child, os.WNOHANG)[0]:
            return None
        if time.monotonic() < until:
            time.sleep(min(0.002, max(0.0, until - time.monotonic())))
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    return bool(_parts(folder)) if os.WIFSIGNALED(status) else None


def _parts(folder: Path) -> list[Path]:
    return [*folder.glob(".*.part"), *folder.glob(".checkpoints/.*.part")]


def _finish(job, folder: Path) -> None:
    status = os.waitpid(_start(job, folder), 0)[1]
    if status:
        raise RuntimeError(f"a run in {folder} failed with the status {status}")


def _start(job, folder: Path) -> int:
    child = os.fork()
    if child:
        return child
    try:
        job(folder)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _bits(folder: Path) -> dict[str, object]:
    """What a run left: every name, the weights, and the cards without what differs from run to run."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        content: object = path.read_bytes() if path.is_file() else b""
        if path.suffix == ".json":
            card = json.loads(path.read_text())
            content = {key: value for key, value in card.items() if key not in ("seconds", "digest")}
        found[str(path.relative_to(folder))] = content
    return found


_RECIPE = Recipe(
    dataset="digits", train_images=300, sizes=(64, 32, 10), lr=3e-3, batch=64, scale=2.0, weight_decay=0.5,
    decay_from_accuracy=0.8, steps=60, evaluations=4,
)  # fmt: skip
_STAGES = (spd.Stage(20, lr=1e-2), spd.Stage(20, lr=3e-3, prune=0.0))


def _train(folder: Path) -> None:
    """One run that writes two nets: its end, and the moment at which weight decay set in."""
    net, part = (
        recipes.Entry("soak", "tiny", _RECIPE),
        recipes.Entry("soak-m", "tiny", _RECIPE, snapshot="memorised"),
    )
    with _set(recipes, "_ALL", (net, part)), _set(sys.modules["splinelab.zoo.train"], "CHECKPOINT_EVERY", 3):
        zoo.train("soak", 1, folder=folder, progress=False)


def _decompose(folder: Path) -> None:
    """From two starts, so with two checkpoints."""
    name = "TMS-5-2"
    target = spd.TARGETS[name].replace(steps=60, batch=64)
    recipe = spd.OURS[name].replace(stages=[stage.to_dict() for stage in _STAGES], batch=64, starts=2)
    with (
        _set(decompositions, "TARGETS", {name: target}),
        _set(decompositions, "RECIPES", {name: recipe}),
        _set(decompositions, "CHECKPOINT_EVERY", 3),
    ):
        zoo.decompose(name, 1, folder=folder, progress=False)


@contextlib.contextmanager
def _set(owner, name: str, value):
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


if __name__ == "__main__":
    main()
