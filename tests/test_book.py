"""The chapters as files, what a run leaves behind, and the book built from them."""

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path

import chapters
import jupytext
import landing
import lean
import nbformat
import parts
import pytest
import reference
import scoreboard
import staging
from address import address, colab_cell, home
from chapters import ROOT
from jupytext.compare import compare_notebooks
from PIL import Image

from splinelab.charts.renderer import MIME
from splinelab.charts.widgets import MIME as FRAMES_MIME

NAMES = chapters.names()
VENDOR = ROOT / "book/_static/vendor"


def source(name: str) -> nbformat.NotebookNode:
    return jupytext.read(chapters.NOTEBOOKS / f"{name}.py")


def committed(name: str) -> nbformat.NotebookNode:
    return nbformat.read(chapters.NOTEBOOKS / f"{name}.ipynb", as_version=4)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cell: nbformat.NotebookNode) -> list[dict]:
    """The chart and slider outputs of a cell, as MIME bundles."""
    bundles = [output.get("data", {}) for output in cell.outputs]
    return [bundle for bundle in bundles if MIME in bundle or FRAMES_MIME in bundle]


def draws(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Cells whose last line is a call to something from `splinelab.charts` or the chapters' `pictures`."""
    imported: set[str] = set()
    found = []
    for cell in code_cells(notebook):
        tree = ast.parse(cell.source)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("splinelab", "pictures")):
                whole = node.module.startswith(("splinelab.charts", "pictures"))
                imported |= {a.asname or a.name for a in node.names if whole or a.name == "charts"}
        last = tree.body[-1] if tree.body else None
        called = {node.id for node in ast.walk(last) if isinstance(node, ast.Name)} if last else set()
        if isinstance(last, ast.Expr) and called & imported and "charts.use()" not in ast.unparse(last):
            found.append(cell)
    return found


# --- the pair of files ----------------------------------------------------------------------------


def test_every_chapter_of_the_table_is_there_and_no_other():
    for suffix in ("py", "ipynb"):
        files = {path.stem for path in chapters.NOTEBOOKS.glob(f"*.{suffix}")} - {
            "colab",
            "conftest",
            "test_measurements",
        }
        assert files == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_pair_agrees(name):
    compare_notebooks(
        committed(name), source(name), fmt="py:percent", compare_outputs=False, compare_ids=False
    )


def test_pair_check_sees_one_changed_character():
    changed = source(NAMES[0])
    code_cells(changed)[-1].source += "#"
    with pytest.raises(Exception, match="differ"):
        compare_notebooks(
            changed, source(NAMES[0]), fmt="py:percent", compare_outputs=False, compare_ids=False
        )


@pytest.mark.parametrize("name", NAMES)
def test_first_cell_is_the_generated_one(name):
    cell = chapters.first_code_cell(source(name))
    assert cell.source == colab_cell(home(), "main"), "run `python book/build.py colab`"
    assert cell.metadata["tags"] == chapters.COLAB_TAGS


def test_a_comment_needs_no_new_run_and_code_does(tmp_path, monkeypatch):
    outputs = [cell.outputs for cell in code_cells(committed(NAMES[0]))]
    monkeypatch.setattr(chapters, "NOTEBOOKS", tmp_path)
    for suffix in ("py", "ipynb"):
        shutil.copy(ROOT / f"notebooks/{NAMES[0]}.{suffix}", tmp_path)
    path = tmp_path / f"{NAMES[0]}.py"
    before = path.read_text(encoding="utf-8")
    path.write_text(before.replace("charts.figure(\n", "charts.figure(  # new\n"), encoding="utf-8")
    assert chapters.take_prose(NAMES[0])
    stored = nbformat.read(tmp_path / f"{NAMES[0]}.ipynb", as_version=4)
    assert [cell.outputs for cell in code_cells(stored)] == outputs
    path.write_text(before.replace("charts.figure(\n", "charts.figure(1,\n"), encoding="utf-8")
    with pytest.raises(SystemExit, match="must run again"):
        chapters.take_prose(NAMES[0])


def test_repository_address_stands_in_one_place():
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if files.returncode:
        pytest.skip("not a git checkout")
    holders = set()
    for name in files.stdout.splitlines():
        path = ROOT / name
        is_text = path.suffix in (".py", ".md", ".yml", ".yaml", ".toml", ".cff", ".ipynb", ".txt", "")
        if is_text and path.is_file() and home() in path.read_text(encoding="utf-8", errors="ignore"):
            holders.add(name)
    generated = {f"notebooks/{name}.{suffix}" for name in NAMES for suffix in ("py", "ipynb")}
    assert holders - generated - {"README.md"} == {"pyproject.toml"}


# --- committed outputs ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_committed_notebook_is_whole_clean_and_small(name):
    path = chapters.NOTEBOOKS / f"{name}.ipynb"
    assert path.stat().st_size < 600_000
    notebook = committed(name)
    nbformat.validate(notebook)
    assert "papermill" not in notebook.metadata
    for cell in code_cells(notebook):
        assert cell.execution_count is not None, f"never run: {cell.source[:80]}"
        assert not any(
            output.output_type == "error" or output.get("name") == "stderr" for output in cell.outputs
        )
        assert not {"papermill", "execution"} & set(cell.metadata)


@pytest.mark.parametrize("name", NAMES)
def test_every_charting_cell_shows_a_described_chart(name):
    cells = draws(committed(name))
    assert cells, "a chapter without charts?"
    for cell in cells:
        bundles = shown(cell)
        assert bundles, f"no chart from: {cell.source[-200:]}"
        for bundle in bundles:
            assert bundle["image/png"]
            described = bundle[MIME] if MIME in bundle else bundle[FRAMES_MIME]
            assert len(described["description"]) > 30


@pytest.mark.parametrize("name", NAMES)
def test_results_are_compared_and_only_training_and_timing_are_not(name):
    for cell in code_cells(source(name)):
        if "nbval-ignore-output" in cell.metadata.get("tags", []):
            assert ".record(" not in cell.source and "ledger.verdicts" not in cell.source, cell.source[:200]


def test_cleaning_makes_two_runs_the_same_file(tmp_path):
    texts = []
    code = (
        "from splinelab import charts\nimport sys\nprint('noise', file=sys.stderr)\n"
        "import altair as alt, pandas as pd\n"
        "c = [alt.Chart(pd.DataFrame({'x': [1, k]})).mark_bar().encode(x='x') for k in (1, 2)]\n"
        "charts.frames(c, ['1', '2'], description='Two bars.')"
    )
    raw = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code, id="a")])
    nbformat.write(raw, tmp_path / "in.ipynb")
    for run in ("one", "two"):
        target = tmp_path / f"{run}.ipynb"
        chapters.execute(tmp_path / "in.ipynb", target, results=tmp_path / "results")
        texts.append(nbformat.writes(chapters.cleaned(nbformat.read(target, as_version=4))))
    assert texts[0] == texts[1]
    assert "noise" not in texts[0].replace("print('noise'", "")
    assert "widgets" not in json.loads(texts[0])["metadata"]


# --- running with other parameters ----------------------------------------------------------------


def variants() -> list:
    found = []
    for name in NAMES:
        path = chapters.NOTEBOOKS / f"{name}.py"
        cells = code_cells(source(name)) if path.exists() else []
        text = "\n".join(cell.source for cell in cells if "parameters" in cell.metadata.get("tags", []))
        known = set(re.findall(r"^(\w+) *=", text, re.MULTILINE))
        for wanted in ({"seed": 7, "quick": True}, {"dataset": "digits", "quick": True}):
            changes = {key: value for key, value in wanted.items() if key in known}
            if set(changes) - {"quick"}:
                found.append(pytest.param(name, changes, id=f"{name}-{'-'.join(map(str, changes.values()))}"))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("name", "changes"), variants())
def test_chapter_runs_with_other_parameters_and_records_nothing(name, changes, tmp_path):
    results = tmp_path / "results"
    target = tmp_path / "out.ipynb"
    chapters.execute(chapters.NOTEBOOKS / f"{name}.ipynb", target, results=results, parameters=changes)
    assert list(results.iterdir()) == []
    for cell in draws(nbformat.read(target, as_version=4)):
        assert shown(cell), f"no chart from: {cell.source[-200:]}"


# --- the pages ------------------------------------------------------------------------------------


def test_docstrings_become_markdown():
    text = reference.markdown(
        "First line.\n\nParameters\n----------\nx : the values\nlabels\n    one for each\n"
    )
    assert text.startswith("First line.\n\n**Parameters**\n\n- `x`: the values\n- `labels`: one for each")


def test_vendored_files_come_with_their_licences():
    listed = (VENDOR / "LICENSES.md").read_text(encoding="utf-8")
    for path in VENDOR.iterdir():
        assert path.is_dir() or path.name == "LICENSES.md" or path.name in listed or path.suffix == ".woff2"
    for licence in re.findall(r"`(licences/[^`]+)`", listed):
        assert (VENDOR / licence).stat().st_size > 500


def test_book_has_every_page_and_fetches_nothing_from_elsewhere(built_book):
    for name in chapters.pages():
        text = (built_book / f"{name}.html").read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|link)[^>]+(?:src|href)=\"(https?:[^\"]+)\"", text)
        assert not [link for link in loaded if not link.startswith(address())]
        assert "%%" not in re.sub(r"<(script|pre)\b.*?</\1>", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("name", NAMES)
def test_built_chapter_shows_every_chart_that_its_run_drew(built_book, name):
    executed = nbformat.read(ROOT / f"_build/source/notebooks/{name}.ipynb", as_version=4)
    bundles = [bundle for cell in code_cells(executed) for bundle in shown(cell)]
    text = (built_book / f"notebooks/{name}.html").read_text(encoding="utf-8")
    labels = re.findall(r'aria-label="([^"]{30,})"', text)
    assert bundles and text.count('<figure class="sl-figure') == len(bundles) <= len(labels)
    assert all(shown(cell) for cell in draws(executed))


def test_colab_button_opens_the_chapter_from_the_repository(built_book):
    text = (built_book / f"notebooks/{NAMES[0]}.html").read_text(encoding="utf-8")
    place = address().removeprefix("https://github.com/")
    assert f"https://colab.research.google.com/github/{place}/blob/colab/notebooks/{NAMES[0]}.ipynb" in text


def test_every_claim_has_its_place_on_the_scoreboard(built_book):
    from splinelab.claims import Ledger

    text = (built_book / "book/scoreboard.html").read_text(encoding="utf-8")
    for claim in Ledger.load().claims:
        assert f'id="{claim}"' in text and f'data-claim="{claim}"' in text


def test_landing_page_refuses_words_that_the_ledger_does_not_bear_out():
    from splinelab.claims import Ledger

    claim, case, outcome = landing.TURNS
    assert landing.found(Ledger.load(), claim, case, outcome).outcome == outcome
    with pytest.raises(SystemExit, match=f"{claim} .*it is {outcome} now"):
        landing.found(Ledger.load(), claim, case, "holds")


def test_landing_page_gives_a_short_answer_that_stops_the_build_when_its_cases_change(monkeypatch):
    told = landing.headlines(chapters.NOTEBOOKS)
    for each in landing.HEADLINES:
        assert each.question in told and each.answer in told
        changed = each._replace(outcomes=(each.outcomes[0] + 1, *each.outcomes[1:]))
        monkeypatch.setattr(landing, "HEADLINES", [changed])
        with pytest.raises(SystemExit, match=f"cases of {each.claim} "):
            landing.headlines(chapters.NOTEBOOKS)
        monkeypatch.undo()


def test_landing_page_refuses_a_first_figure_in_which_codes_lead(tmp_path):
    name = "01_spline_vs_activation_distances.ipynb"
    leads = landing.after_relu(chapters.NOTEBOOKS)
    assert leads["long-trained, cross-entropy"][2] < 0 < leads["long-trained, MSE"][2]
    text = (chapters.NOTEBOOKS / name).read_text(encoding="utf-8")
    (tmp_path / name).write_text(
        text.replace(",held-out,-0.0452,", ",held-out,0.0452,").replace(",-0.0358", ",0.0558")
    )
    with pytest.raises(SystemExit, match="after the ReLU lead"):
        landing.after_relu(tmp_path)


def test_an_entry_says_when_its_rule_was_written_measured_and_changed():
    from splinelab.claims import Ledger

    held = dict(Ledger.load().claims)
    assert scoreboard.changed(held["spline-1a"]) == "" and not scoreboard.is_late(held["spline-1a"])
    assert scoreboard.times(held["spline-1a"]).endswith("Rule, cases and wording as committed.")
    assert scoreboard.times(held["polytope-6d"]) == (
        "Rule committed 2026-11-20 19:46; first measured 2026-11-20 21:15. "
        "Rule, cases or wording last changed 2026-11-27."
    )
    assert scoreboard.is_late(held["polytope-6d"]) and scoreboard.is_late(held["digits-spline-1a"])


def test_chapters_of_the_scoreboard_stand_in_the_order_of_the_book():
    from splinelab.claims import Ledger

    ledger = Ledger.load()
    menu = re.findall(r'<option value="(\d\d_\w+|A\d_\w+)"', scoreboard.filters(ledger))
    assert menu == [name for name in NAMES if name in menu] and len(menu) > 5
    assert [row["chapter"] for row in scoreboard.in_order(ledger)] == sorted(
        (row["chapter"] for row in ledger.rows()), key=NAMES.index
    )


def test_chapters_have_numbers_reading_time_and_prerequisites(built_book):
    for name in NAMES:
        text = (built_book / f"notebooks/{name}.html").read_text(encoding="utf-8")
        title = re.search(r"<h1>(.*?)<", text)[1]
        assert title.startswith(f"{chapters.number(name)}. ")
        assert re.search(r'class="sl-meta"[^>]*>\d+ min to read', text)
        assert f">{title}</a>" in text.replace("\n", "") or title in text  # the sidebar has it, too
    second = (built_book / "notebooks/02_grokking_clusters.html").read_text(encoding="utf-8")
    assert re.search(r'class="sl-meta".*read first: <a[^>]*01_spline', second)


def test_terms_are_linked_once_outside_headings_code_and_links():
    terms = staging.glossary("```{glossary}\nspline code\n  A.\npolytope\n  B.\nsome index (SI)\n  C.\n```")
    text = "# Spline codes\n\n`polytope` [spline code](x) {cite}`polytope` Spline codes, polytopes; SI\n"
    assert staging.linked(text, terms, set()) == (
        "# Spline codes\n\n`polytope` [spline code](x) {cite}`polytope` {term}`Spline codes <spline code>`, "
        "{term}`polytopes <polytope>`; {term}`SI <some index (SI)>`\n"
    )
    known = {"polytope"}
    assert staging.linked("A polytope.", terms, known) == "A polytope."


def test_pages_can_be_shared(built_book):
    for name in chapters.pages():
        text = (built_book / f"{name}.html").read_text(encoding="utf-8")
        address = re.search(r'property="og:image" content="([^"]+)"', text)[1]
        picture = built_book / address.removeprefix(f"{chapters.site()}/")
        assert Image.open(picture).size == lean.CARD
        assert re.search(r'property="og:title" content="[^"]{4,}"', text)
        assert re.search(r'property="og:description" content="[^"]{4,}"', text)


def test_slimming_drops_only_what_a_page_does_not_use():
    head = '<script defer="defer" src="a/tex-svg.js?v=1"></script><link href="a/sphinx-design.min.css"/>'
    plain, used = f"{head}<body><p></p>", f'{head}<body><p class="math x"><i class="sd-card">'
    assert lean.slimmed(plain) == "<body><p></p>" and lean.slimmed(used) == used


def test_a_claim_is_given_the_figure_that_names_it(tmp_path):
    def drawn(source: str) -> nbformat.NotebookNode:
        output = nbformat.v4.new_output("display_data", data={MIME: {"usermeta": {"caption": "c"}}})
        return nbformat.v4.new_code_cell(source, outputs=[output])

    cells = [drawn("first"), drawn("figure(  # Claims: claim-1, claim-2\n)")]
    cells += [nbformat.v4.new_code_cell('record("claim-3")'), drawn("third")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "03_x.ipynb")
    assert scoreboard.figures(tmp_path) == {"claim-1": "3.2", "claim-2": "3.2"}


@pytest.mark.parametrize("name", NAMES)
def test_figures_name_claims_of_their_chapter(name):
    from splinelab.claims import Ledger

    known = {claim.id for claim in Ledger.load().claims.values() if claim.chapter == name}
    told = [(cell, each) for cell in code_cells(source(name)) for each in scoreboard.shown(cell.source)]
    assert {each for _, each in told} <= known
    assert len({each for _, each in told}) == len(told), "a claim has one figure"
    assert all("charts.f" in cell.source for cell, _ in told), "the cell that draws names the claim"


def test_status_page_gives_every_run_time(tmp_path):
    times = [100.2 + number for number in range(len(NAMES))]
    for name, seconds in zip(NAMES, times, strict=True):
        run = committed(name)
        run.metadata["papermill"] = {"duration": seconds}
        nbformat.write(run, tmp_path / f"{name}.ipynb")
    found = re.findall(r"\b(\d+) s\b", parts.status(tmp_path))
    assert found == [f"{seconds:.0f}" for seconds in [*times, sum(times)]]
    told = parts.status(chapters.NOTEBOOKS)  # stored outputs, of which nothing says how long they took
    assert "no chapter ran" in told and "|" not in told


def test_building_changes_no_tracked_file(built_book: Path, tracked_state):
    before, now = tracked_state
    if before is None:
        pytest.skip("not a git checkout")
    assert now() == before
