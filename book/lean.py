"""What each built page loads: nothing that it does not use, and what others need to show a link to it."""

import html
import re
import shutil
import textwrap
from pathlib import Path

import chapters
import vl_convert

#: Files that the theme and its extensions put on every page, and what a page that uses them holds.
USES = {
    "tex-svg.js": 'class="math',
    "vendor/fontawesome": None,
    "clipboard.min.js": 'class="highlight',
    "copybutton": 'class="highlight',
    "togglebutton": 'class="toggle',
    "design-tabs.js": "sd-tab-set",
    "sphinx-design": 'class="sd-',
    "mystnb.": "cell docutils",
    "charts.js": 'type="application/vnd.vegalite',
}
SETTINGS = {"window.MathJax": "tex-svg.js", "toggle(button|Hint|Open)": "togglebutton"}
CARD = (1200, 630)


def finish(folder: Path) -> None:
    """Rewrite all pages of the built book, and draw a share card for each of the book's own."""
    shutil.rmtree(folder / "_static/vendor/fontawesome", ignore_errors=True)
    (folder / "_static/cards").mkdir(exist_ok=True)
    copy = folder / "_static/copybutton.js"  # its buttons are pictures without a name
    told = copy.read_text(encoding="utf-8").replace('class="copybtn', 'aria-label="Copy" class="copybtn')
    copy.write_text(told, encoding="utf-8")
    for page in sorted(folder.rglob("*.html")):
        text = slimmed(page.read_text(encoding="utf-8"))
        # The theme's script picks a colour scheme; be light without it.
        text = text.replace("<html ", '<html data-theme="light" ', 1)
        if page.parent.name in ("book", "notebooks"):
            name = page.stem
            title, words = described(text)
            (folder / f"_static/cards/{name}.png").write_bytes(card(title))
            address = f"{chapters.site()}/{page.relative_to(folder).as_posix()}"
            text = text.replace("</head>", f"{meta(title, words, address, name)}</head>", 1)
        page.write_text(text, encoding="utf-8")


def slimmed(text: str) -> str:
    """A page without the scripts, styles and fonts that it does not use."""
    body = text[text.find("<body") :]
    unused = {name for name, mark in USES.items() if mark is None or mark not in body}
    for name in unused:
        text = re.sub(rf'<script[^>]*src="[^"]*{re.escape(name)}[^"]*"[^>]*></script>\s*', "", text)
        text = re.sub(rf'<link[^>]*href="[^"]*{re.escape(name)}[^"]*"[^>]*>\s*', "", text)
    for setting, name in SETTINGS.items():
        if name in unused:
            text = re.sub(rf"<script>(let |var )?{setting}[^<]*</script>\s*", "", text)
    return text


def described(text: str) -> tuple[str, str]:
    """A page's title and its first paragraph, as plain text."""
    article = text[max(text.find("<article"), 0) :]

    def plain(found: re.Match | None) -> str:
        words = re.sub(
            r'<a class="headerlink".*?</a>|<[^>]+>', "", found[1] if found else "", flags=re.DOTALL
        )
        return " ".join(html.unescape(words).split())

    title = plain(re.search(r"<h1>(.*?)</h1>", article, re.DOTALL)) or "splinelab"
    paragraphs = re.finditer(r"<p(?: class=\"sl-lead\")?>(.*?)</p>", article, re.DOTALL)
    words = next((said for said in map(plain, paragraphs) if len(said) > 40), title)
    return title, words if len(words) < 200 else words[:197].rsplit(" ", 1)[0] + " …"


def meta(title: str, words: str, address: str, name: str) -> str:
    """Open Graph and Twitter tags."""
    tags = {
        "og:title": title,
        "og:description": words,
        "og:type": "article",
        "og:site_name": "splinelab",
        "og:url": address,
        "og:image": f"{chapters.site()}/_static/cards/{name}.png",
        "og:image:width": CARD[0],
        "og:image:height": CARD[1],
        "og:image:alt": title,
    }
    quoted = {key: html.escape(str(value), quote=True) for key, value in tags.items()}
    lines = [f'<meta property="{key}" content="{value}">' for key, value in quoted.items()]
    lines.append('<meta name="twitter:card" content="summary_large_image">')
    lines.append(f'<meta name="description" content="{html.escape(words, quote=True)}">')
    return "\n".join(lines) + "\n"


def card(title: str) -> bytes:
    """A picture of 1200 × 630 pixels with the title, on a mosaic of polygons."""
    lines = textwrap.wrap(title, 21)[:4]
    words = "".join(
        f'<text x="80" y="{200 + 88 * index}" font-size="72" font-weight="700" fill="#fff">'
        f"{html.escape(line)}</text>"
        for index, line in enumerate(lines)
    )
    pieces = {
        "#0b7cc1": "M900 0h300v250L980 180z",
        "#009e73": "M980 180l220 70v200L1010 420z",
        "#d99000": "M1010 420l190 30v180H940z",
        "#d55e00": "M900 0l80 180 30 240-70 210h-60z",
    }
    mosaic = "".join(f'<path fill="{colour}" d="{path}"/>' for colour, path in pieces.items())
    size = f'width="{CARD[0]}" height="{CARD[1]}"'
    picture = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">'
        f'<rect width="100%" height="100%" fill="#15212e"/>{mosaic}{words}<text x="80" y="560" '
        'font-size="36" fill="#b8c4d0">splinelab: claims about spline codes, tested</text></svg>'
    )
    return vl_convert.svg_to_png(picture, scale=1)
