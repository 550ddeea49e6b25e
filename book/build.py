"""Build the book: run the chapters, write the generated pages, call jupyter-book. No tracked file changes.

    python book/build.py              # all of it, into _build/html
    python book/build.py notebooks    # maintainers: run at the committed scale, store outputs and results
    python book/build.py pages        # maintainers: draw the pages from the stored outputs, run no chapter
    python book/build.py ledger       # maintainers: store verdicts, draw their lines again in all chapters
    python book/build.py colab        # maintainers: write the generated first cell into every chapter
    python book/build.py prose        # maintainers: take text from the `.py`, keep the outputs

Everything is staged under `_build/source`: copies of the pages, the executed chapters, the generated parts.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import chapters
import lean
import nbformat
import parts
import staging
import yaml
from address import address
from chapters import NOTEBOOKS, ROOT

BUILD = ROOT / "_build"
SOURCE = BUILD / "source"
RESULTS = BUILD / "results"
ALONE = {"A1_speed"}  # measures time, so nothing may run beside it


def build(*, run: bool = True) -> None:
    """Run every chapter, or take the stored outputs, and build the HTML; any warning is an error."""
    started = time.monotonic()
    for folder in ("source", "results", "html", ".doctrees", ".jupyter_cache", "jupyter_execute"):
        shutil.rmtree(BUILD / folder, ignore_errors=True)
    stored = {name: NOTEBOOKS / f"{name}.ipynb" for name in chapters.names()}
    if run:
        run_all(stored, SOURCE / "notebooks", RESULTS)
        os.environ["SPLINELAB_RESULTS"] = str(RESULTS)
    else:
        (SOURCE / "notebooks").mkdir(parents=True)
        for path in stored.values():
            shutil.copy(path, SOURCE / "notebooks")
    (BUILD / "colab").mkdir(exist_ok=True)
    for name in stored:
        chapters.pin(SOURCE / "notebooks" / f"{name}.ipynb", BUILD / "colab" / f"{name}.ipynb")
    stage_pages()
    write_html()
    minutes = (time.monotonic() - started) / 60
    print(f"The book is at {BUILD.relative_to(ROOT)}/html/index.html ({minutes:.1f} minutes).")


def write_html() -> None:
    """Call jupyter-book on the staged files; any warning is an error."""
    program = Path(sys.executable).with_name("jupyter-book")
    command = [str(program), "build", str(SOURCE), "--path-output", str(ROOT), "-W", "--keep-going"]
    built = subprocess.run([*command, "--quiet"], check=False)
    if built.returncode:
        raise SystemExit("jupyter-book found something to complain about: see the warnings above.")
    lean.finish(BUILD / "html")


def run_all(sources: dict[str, Path], target: Path, results: Path) -> None:
    """Run chapters, one for each core; those that measure time run last and alone."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def run(name: str) -> None:
        started = time.monotonic()
        chapters.execute(sources[name], target / f"{name}.ipynb", results=results)
        print(f"  {name}: {time.monotonic() - started:.0f} s", flush=True)

    together = [name for name in sources if name not in ALONE]
    workers = max(1, min(cores, len(together)))
    print(f"Running {len(sources)} chapters, {workers} at a time", flush=True)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, together))
    for name in sources:
        if name in ALONE:
            run(name)


def stage_pages() -> None:
    """Copy configuration, pages and static files, and fill in what is generated."""
    ignore = shutil.ignore_patterns("*.py", "*.pyc", "__pycache__", "results", "notes", "*.yml", "*.json")
    shutil.copytree(ROOT / "book", SOURCE / "book", ignore=ignore, dirs_exist_ok=True)
    shutil.copy(ROOT / "_toc.yml", SOURCE)
    (SOURCE / "_config.yml").write_text(yaml.safe_dump(configuration(), allow_unicode=True), encoding="utf-8")
    write_vega(SOURCE / "book/_static/vendor/vega.js")
    parts.fill(SOURCE)
    staging.stage(SOURCE / "notebooks")


def configuration() -> dict:
    """`_config.yml` with the repository's address, from which the launch buttons follow.

    They open the branch `colab`, where the notebooks lie whose first cell installs their own commit.
    """
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    return config | {"repository": {"url": address(), "branch": "colab", "path_to_book": ""}}


def write_vega(path: Path) -> None:
    """The Vega bundle that the live charts run on; its licences lie beside the other vendored files."""
    import vl_convert

    from splinelab.charts.renderer import vegalite_version

    path.parent.mkdir(parents=True, exist_ok=True)
    bundle = vl_convert.javascript_bundle(vl_version=vegalite_version())
    wrapped = f"(() => {{\n{bundle}\n}})();\n"  # it declares `_` at its top, as another script does
    path.write_text(wrapped, encoding="utf-8")


def store_notebooks(wanted: list[str]) -> None:
    """Run chapters from their `.py`; store outputs beside them and measurements in the book."""
    names = wanted or chapters.names()
    bare = BUILD / "bare"
    bare.mkdir(parents=True, exist_ok=True)
    for name in names:
        chapters.write_colab_cell(NOTEBOOKS / f"{name}.py")
        nbformat.write(chapters.pristine(name), bare / f"{name}.ipynb")
    run_all({name: bare / f"{name}.ipynb" for name in names}, BUILD / "executed", ROOT / "book/results")
    for name in names:
        notebook = chapters.cleaned(nbformat.read(BUILD / "executed" / f"{name}.ipynb", as_version=4))
        nbformat.write(notebook, NOTEBOOKS / f"{name}.ipynb")
    refresh_ledger()


def refresh_ledger() -> None:
    """Store the verdicts, and draw their lines again in all chapters."""
    from splinelab.claims import Notebook, write_verdicts

    write_verdicts(ROOT / "book/results")
    for name in chapters.names():
        ledger = Notebook(name, committed=False)
        if chapters.redraw_ledger(NOTEBOOKS / f"{name}.ipynb", ledger):
            print(f"  {name}: verdicts drawn again")


def write_colab_cells() -> None:
    """Write the generated first cell into every chapter's `.py`."""
    for name in chapters.names():
        changed = chapters.write_colab_cell(NOTEBOOKS / f"{name}.py")
        print(f"  {name}: {'written' if changed else 'unchanged'}")


def store_prose(wanted: list[str]) -> None:
    """Take text and cells without outputs from the `.py` into the stored notebook, and keep the outputs."""
    for name in wanted or chapters.names():
        changed = chapters.take_prose(name)
        print(f"  {name}: {'written' if changed else 'unchanged'}")


def main() -> None:
    """Parse the command line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    tasks = ["book", "pages", "notebooks", "ledger", "colab", "prose"]
    parser.add_argument("what", nargs="?", default="book", choices=tasks)
    parser.add_argument("names", nargs="*", help="chapters (with `notebooks`, `prose`); all by default")
    given = parser.parse_args()
    if given.what == "notebooks":
        store_notebooks(given.names)
    elif given.what == "ledger":
        refresh_ledger()
    elif given.what == "colab":
        write_colab_cells()
    elif given.what == "prose":
        store_prose(given.names)
    else:
        build(run=given.what == "book")


if __name__ == "__main__":
    main()
