"""Chapters choose images by `protocol.sample` and never by their place: data sets are sorted by class."""

import ast

import chapters
import jupytext
import pytest

ARRAYS = {"images", "labels", "flat"}  # of a Dataset


def fixed(node: ast.expr) -> bool:
    """Whether an index names places outright: a slice from the start, a number, a list or range of them."""
    if isinstance(node, ast.Slice):
        return node.upper is not None and (node.lower is None or isinstance(node.lower, ast.Constant))
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int)
    if isinstance(node, ast.List | ast.Tuple):
        return any(map(fixed, node.elts))
    called = isinstance(node, ast.Call) and getattr(node.func, "id", "")
    return called in ("range", "slice") or getattr(getattr(node, "func", None), "attr", "") == "arange"


def chosen_by_place(code: str) -> list[str]:
    """The expressions of some code that choose images by where they stand."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Subscript):
            if isinstance(node.value, ast.Attribute) and node.value.attr in ARRAYS and fixed(node.slice):
                found.append(ast.unparse(node))
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "take":
            found += [ast.unparse(node)] * any(map(fixed, node.args))
    return found


@pytest.mark.parametrize(
    "code",
    [
        "x = heldout.images[:8]",
        "x = heldout.images[0:8]",
        "x = heldout.images[3]",
        "x = unseen.images[[0, 1]]",
        "y = parts['held-out'].labels[: n]",
        "heldout.take(range(n))",
        "heldout.take(slice(0, 300))",
        "heldout.take(np.arange(12))",
        "heldout.take([0, 600])",
        "x = heldout.flat[range(5)]",
    ],
)
def test_a_choice_by_place_is_seen(code):
    assert chosen_by_place(code)


@pytest.mark.parametrize(
    "code",
    [
        "x = protocol.sample(heldout, 10).images",
        "x = heldout.images[chosen]",
        "x = heldout.images[np.flatnonzero(heldout.labels == 3)]",
        "heldout.take(np.sort(order))",
        "x = rays[:3]",
        "x = heldout.images[first : first + 100]",
    ],
)
def test_a_choice_by_draw_passes(code):
    assert not chosen_by_place(code)


@pytest.mark.parametrize("name", chapters.names())
def test_no_chapter_slices_sorted_images(name):
    notebook = jupytext.read(chapters.NOTEBOOKS / f"{name}.py")
    found = [
        place for cell in notebook.cells if cell.cell_type == "code" for place in chosen_by_place(cell.source)
    ]
    assert not found, f"{found}: draw with protocol.sample, by seed and class"
