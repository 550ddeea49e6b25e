"""What staged copies of the chapters get: a number, reading time, prerequisites, links to the glossary."""

import re
from pathlib import Path

import chapters
import nbformat
import yaml

PACE = 200  # words a minute
#: Where a term is no word of a sentence: fences, headings, tables, code, links, roles, formulas, HTML.
APART = re.compile(
    r"```.*?```|^(?:#|\||<|:::).*?$|^\{.*?\}$|\{[\w:-]+\}`[^`]*`|`[^`]*`|!?\[[^\]]*\](?:\([^)]*\)|\{[^}]*\})?"
    r"|\$\$.*?\$\$|\$[^$\n]*\$|<[^>\n]*>|https?://\S+",
    re.DOTALL | re.MULTILINE,
)


def stage(notebooks: Path) -> None:
    """Rewrite the staged chapters in place."""
    terms = glossary((chapters.ROOT / "book/glossary.md").read_text(encoding="utf-8"))
    needs = yaml.safe_load((chapters.ROOT / "book/chapters.yml").read_text(encoding="utf-8"))
    for name in chapters.names():
        path = notebooks / f"{name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        text = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
        words = sum(len(cell.source.split()) for cell in text)
        known: set[str] = set()
        for cell in text:
            cell.source = linked(cell.source, terms, known)
        text[0].source = headed(text[0].source, name, words, [each for each in needs.get(name, []) if each])
        nbformat.write(notebook, path)


def headed(source: str, name: str, words: int, needs: list[str]) -> str:
    """A chapter's first cell with its number before the title, and time and prerequisites under it."""
    minutes = max(1, round(words / PACE))
    there = [each for each in needs if each in chapters.names()]
    first = f" · read first: {', '.join(f'[](./{each})' for each in there)}" if there else ""
    told = f"\n\n{{.sl-meta}}\n{minutes} min to read{first} · {words:,} words\n"
    return re.sub(r"^# (.+)$", rf"# {chapters.number(name)}. \1{told}", source, count=1, flags=re.MULTILINE)


def glossary(page: str) -> dict[str, str]:
    """The terms of the glossary's page, each under the ways to write it, in lower case."""
    block = re.search(r"```\{glossary\}\n(.*?)```", page, re.DOTALL)[1]
    terms: dict[str, str] = {}
    for term in re.findall(r"^(\S.*)$", block, re.MULTILINE):
        short = re.search(r" \((\w+)\)$", term)
        for way in [term.removesuffix(short[0]), short[1]] if short else [term]:
            terms[way.lower()] = term
    return terms


def linked(source: str, terms: dict[str, str], known: set[str]) -> str:
    """The text with the first use of each term linked; `known` holds the terms that were used already."""
    ways = "|".join(re.escape(way) for way in sorted(terms, key=len, reverse=True))
    word = re.compile(rf"(?<![\w-])({ways})(s|es)?(?![\w-])", re.IGNORECASE)

    def link(found: re.Match) -> str:
        term = terms[found[1].lower()]
        if term in known:
            return found[0]
        known.add(term)
        return f"{{term}}`{found[0]} <{term}>`"

    pieces, end = [], 0
    for apart in APART.finditer(source):
        pieces += [word.sub(link, source[end : apart.start()]), apart[0]]
        end = apart.end()
    return "".join([*pieces, word.sub(link, source[end:])])
