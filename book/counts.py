"""How long chapters and package are, beside the limits that the book sets itself.

python book/counts.py            # print them
python book/counts.py --check    # and fail where a limit is passed
"""

import argparse
import ast
import re
import sys
from pathlib import Path

import chapters
import nbformat
from chapters import NOTEBOOKS, ROOT

WORDS, TABLES, LINES, SHOWN = 1500, 5, 450, 40
SHOWN_IN = {"00_polytopes_in_five_minutes": 16}
FILE, FUNCTION = 250, 60
PACKAGE, WITH_PICTURES = 11_500, 14_500
FOLDED = {"hide-input", "hide-cell", "remove-input", "remove-cell"}


def chapter(name: str) -> dict[str, int]:
    """Words of prose, tables, lines of `.py`, lines of code that a reader sees, figures without a caption."""
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    text = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output.get("data", {}) for cell in code for output in cell.get("outputs", [])]
    seen = [cell.source for cell in code if not FOLDED & set(cell.metadata.get("tags", []))]
    tables = sum(len(re.findall(r"^\|[\s:|-]+\|$", each, re.MULTILINE)) for each in text)
    tables += sum("<table" in "".join(data.get("text/html", "")) for data in outputs)
    tables += sum("|---" in "".join(data.get("text/markdown", "")) for data in outputs)
    return {
        "words": sum(len(re.sub(r"\{\w+\}`[^`]*`", "", each).split()) for each in text),
        "tables": tables,
        "lines": (NOTEBOOKS / f"{name}.py").read_text(encoding="utf-8").count("\n"),
        "code shown": sum(bool(line.strip()) for each in seen for line in each.split("\n")),
        "bare figures": sum(
            not (data[kind].get("usermeta") or data[kind]).get("caption")
            for data in outputs
            for kind in data
            if kind.endswith(("vegalite.v6+json", "frames+json"))
        ),
    }


def code_files() -> dict[str, list[Path]]:
    """The files of the package, and those of the chapters' pictures."""
    return {
        "splinelab": sorted((ROOT / "splinelab").rglob("*.py")),
        "pictures": sorted((NOTEBOOKS / "pictures").rglob("*.py")),
    }


def long_functions(path: Path) -> dict[str, int]:
    """Functions of a file that are longer than they should be, docstring and decorators included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1
            if length > FUNCTION:
                found[f"{path.relative_to(ROOT)}: {node.name}"] = length
    return found


def main() -> None:
    """Print the counts; with `--check`, exit with what passes a limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    wrong = []
    columns = ["words", "tables", "lines", "code shown", "bare figures"]
    print(f"{'chapter':<36}" + "".join(f"{each:>14}" for each in columns))
    for name in chapters.names():
        found = chapter(name)
        print(f"{name:<36}" + "".join(f"{found[each]:>14,}" for each in columns))
        limits = {"words": WORDS, "tables": TABLES, "lines": LINES, "bare figures": 0}
        wrong += [
            f"{name}: {key} {found[key]:,}, at most {most:,}"
            for key, most in limits.items()
            if found[key] > most
        ]
        least = SHOWN_IN.get(name, SHOWN)
        if found["code shown"] < least:
            wrong.append(f"{name}: {found['code shown']} lines of code shown, at least {least}")
    total = 0
    for room, files in code_files().items():
        lengths = {path: path.read_text(encoding="utf-8").count("\n") for path in files}
        total += sum(lengths.values())
        print(f"{room:<36}{len(files):>7} files{sum(lengths.values()):>9,} lines")
        wrong += [
            f"{path.relative_to(ROOT)}: {n} lines, at most {FILE}" for path, n in lengths.items() if n > FILE
        ]
        functions = {key: n for path in files for key, n in long_functions(path).items()}
        wrong += [f"{key}: {n} lines, at most {FUNCTION}" for key, n in functions.items()]
        most = PACKAGE if room == "splinelab" else WITH_PICTURES
        if total > most:
            wrong.append(f"{room}: {total:,} lines in all, at most {most:,}")
    print("\n".join(["", f"{len(wrong)} limits passed" + (":" if wrong else ""), *wrong]))
    if given.check and wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
