"""Chapters as files: which there are, their first cell, running one, cleaning what a run leaves behind.

A chapter is a pair of files, `notebooks/NAME.py` and `notebooks/NAME.ipynb`. People edit the first; the
second carries the outputs.
"""

import ast
import os
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import yaml
from address import address, colab_cell, commit, home

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
COLAB_TAGS = ["colab", "remove-cell"]


def names() -> list[str]:
    """The chapters in the book's order, as `_toc.yml` lists them."""
    return [Path(file).name for file in pages() if file.startswith("notebooks/")]


def pages() -> list[str]:
    """Every page of the book, the landing page first."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [toc["root"]] + [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]


def site() -> str:
    """Where the book is published: the pages of the repository, or what SPLINELAB_SITE says."""
    owner, name = address().split("/")[-2:]
    return os.environ.get("SPLINELAB_SITE", f"https://{owner}.github.io/{name}").rstrip("/")


def number(name: str) -> str:
    """What the book calls a chapter: "3" for 03_polytope_density, "A1" for an appendix."""
    return name.split("_")[0].lstrip("0") or "0"


def label(name: str) -> str:
    """A chapter in a menu or a link: "Chapter 3: polytope density"."""
    first, _, words = name.partition("_")
    kind = "Appendix" if first.startswith("A") else "Chapter"
    return f"{kind} {number(name)}: {words.replace('_', ' ')}"


def first_code_cell(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """The first code cell of a notebook, or `None`."""
    return next((cell for cell in notebook.cells if cell.cell_type == "code"), None)


def write_colab_cell(source: Path) -> bool:
    """Make a chapter's first code cell the generated one; returns whether the file changed."""
    notebook = jupytext.read(source)
    cell = first_code_cell(notebook)
    if cell is None or "colab" not in cell.metadata.get("tags", []):
        cell = nbformat.v4.new_code_cell()
        notebook.cells.insert(1 if notebook.cells and notebook.cells[0].cell_type == "markdown" else 0, cell)
    wanted = colab_cell(home(), "main")
    if cell.source == wanted and cell.metadata.get("tags") == COLAB_TAGS:
        return False
    cell.source, cell.metadata["tags"] = wanted, COLAB_TAGS
    jupytext.write(notebook, source, fmt="py:percent")
    return True


def pin(built: Path, target: Path) -> None:
    """A copy of a built notebook whose first cell installs the very commit that it was built from."""
    notebook = nbformat.read(built, as_version=4)
    first_code_cell(notebook).source = colab_cell(address(), commit())
    nbformat.write(notebook, target)


def execute(
    source: Path,
    target: Path,
    *,
    results: Path,
    parameters: dict | None = None,
) -> None:
    """Run one notebook with papermill, in the folder of the chapters; a failure names the chapter.

    Measurements go to `results`; no tracked file is touched unless the caller points there.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    results.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "papermill", str(source), str(target)]
    command += ["--cwd", str(NOTEBOOKS), "-k", "python3", "--no-progress-bar", "--log-level", "WARNING"]
    for key, value in (parameters or {}).items():
        command += ["-y", yaml.safe_dump({key: value})]
    environment = os.environ | {
        "SPLINELAB_RESULTS": str(results),
        "TQDM_DISABLE": "1",  # a bar would leave its speed in the notebook
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",  # nets of this size lose by more, and chapters fill the cores with processes
        "MKL_NUM_THREADS": "1",
    }
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if run.returncode:
        raise SystemExit(f"Chapter {source.stem} failed:\n{run.stderr[-4000:] or run.stdout[-4000:]}")


def redraw_ledger(path: Path, ledger) -> bool:
    """Draw the outputs of cells that show the ledger again; returns whether the file changed.

    Such a cell is the one call `ledger.verdicts()`.
    """
    notebook = nbformat.read(path, as_version=4)
    changed = False
    for cell in notebook.cells:
        if cell.cell_type != "code" or cell.source.strip() != "ledger.verdicts()" or not cell.outputs:
            continue
        shown, text = cell.outputs[0].data, ledger.verdicts().data
        if shown.get("text/html") != text:
            shown["text/html"] = text
            changed = True
    if changed:
        nbformat.write(notebook, path)
    return changed


def pristine(name: str) -> nbformat.NotebookNode:
    """The notebook that a chapter's `.py` describes, without outputs."""
    notebook = jupytext.read(NOTEBOOKS / f"{name}.py")
    notebook.metadata.pop("jupytext", None)
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{index:02d}"
    return notebook


def take_prose(name: str) -> bool:
    """Write a chapter's `.py` into its stored notebook, outputs kept; returns whether the file changed.

    Raises `SystemExit` where a cell with outputs is another one now, comments apart: they are not its own.
    """
    path = NOTEBOOKS / f"{name}.ipynb"
    stored, new = nbformat.read(path, as_version=4), pristine(name)
    before = {ast.unparse(ast.parse(c.source)): c for c in stored.cells if c.cell_type == "code"}
    wanted = [ast.unparse(ast.parse(c.source)) for c in new.cells if c.cell_type == "code"]
    lost = [cell.source for code, cell in before.items() if cell.outputs and code not in wanted]
    if lost:
        raise SystemExit(f"{name} must run again, since this cell changed:\n{lost[0]}")
    count = 0
    for cell in new.cells:
        if cell.cell_type == "code":
            count += 1
            cell["execution_count"] = count
            code = wanted[count - 1]
            cell["outputs"] = before[code].outputs if code in before else []
    new["metadata"] = stored.metadata
    if new == stored:
        return False
    nbformat.write(new, path)
    return True


def cleaned(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Without clocks, progress and standard error: two runs differ in results only."""
    notebook.metadata.pop("papermill", None)
    notebook.metadata.pop("widgets", None)  # a progress bar of some library
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags", True):  # papermill gives every cell a list
            del cell.metadata["tags"]
        if cell.cell_type == "code":
            cell["outputs"] = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook
