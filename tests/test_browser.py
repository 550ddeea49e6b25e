"""The built pages in headless Chromium, with no host but this one; screenshots under `_build`."""

import base64
import functools
import http.server
import io
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import chapters
import numpy as np
import pandas as pd
import pytest
import scoreboard
from chapters import ROOT
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from splinelab.charts.theme import DIGITS
from splinelab.claims import Ledger

pytestmark = pytest.mark.browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHAPTERS = [f"notebooks/{name}" for name in chapters.names()]
PAGES = chapters.pages()
LANDING = 1_500_000  # bytes of the landing page with all that it loads
FLAGS = (
    *("headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "hide-scrollbars"),
    *("disable-background-networking", "disable-component-update", "disable-sync", "disable-dev-shm-usage"),
)
SCREENSHOTS = ROOT / "_build" / "screenshots"
DESKTOP, PHONE = (1280, 900), (390, 844)


@pytest.fixture(scope="session")
def programs() -> tuple[str, str]:
    """Browser and driver; without them the tests skip, except in continuous integration."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if browser and driver:
        return browser, driver
    reason = "needs chromium and chromedriver (on Debian: apt install chromium chromium-driver)"
    return pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def site(built_book: Path) -> Iterator[str]:
    """The address of the built book."""
    handler = functools.partial(Quiet, directory=str(built_book))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def start(programs: tuple[str, str], profile: Path) -> webdriver.Chrome:
    options = Options()
    options.binary_location, driver = programs
    for flag in FLAGS:
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={profile}")
    # Whatever is not this machine does not exist.
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service(driver))


@pytest.fixture(scope="module")
def browser(programs, tmp_path_factory) -> Iterator[webdriver.Chrome]:
    driver = start(programs, tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


def open_page(browser, address: str, size=DESKTOP, scheme: str = "light", scripts: bool = True) -> None:
    """Load a page and wait until its charts, widgets and formulas are there; old log entries are dropped."""
    browser.get_log("performance")
    browser.get_log("browser")
    resize(browser, size)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
    browser.get(address)
    if scripts:
        WebDriverWait(browser, 60).until(
            lambda b: b.execute_script(
                "return document.readyState === 'complete'"
                " && (!document.querySelector('script[type*=vegalite]')"
                "     || document.documentElement.dataset.charts === 'ready')"
                " && (!document.querySelector('.math') || !!document.querySelector('mjx-container'))"
            )
        )


def requests(browser) -> list[dict]:
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [event for event in events if event["method"].startswith("Network.")]


def screenshot(browser, name: str, size) -> None:
    """The whole page. The window is made as tall as the page: capturing beyond it shifts what scrolls."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    height = browser.execute_script("return document.documentElement.scrollHeight")
    resize(browser, (size[0], min(max(height, size[1]), 12000)))
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {})
    (SCREENSHOTS / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))
    resize(browser, size)


def resize(browser, size) -> None:
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] == PHONE[0]}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def pictures(browser) -> list[str]:
    script = "return [...document.querySelectorAll('.sl-live svg')].map(svg => svg.outerHTML)"
    return browser.execute_script(script)


BROKEN_HEADS = """
return [...document.querySelectorAll('.bd-article thead th')].filter(head => {
    if (!/^[a-zA-Z]+$/.test(head.innerText.trim())) return false;
    const walker = document.createTreeWalker(head, NodeFilter.SHOW_TEXT), word = document.createRange();
    while (!walker.nextNode().data.trim()) {}
    word.selectNodeContents(walker.currentNode);
    return word.getClientRects().length > 1;
}).map(head => head.innerText);
"""


# Marks and words that stand outside their picture, and points and bars outside the plot that clips them.
CLIPPED = """
const seen = 'path, rect, text, circle, line, image', slack = 2;
return [...document.querySelectorAll('.sl-figure')].flatMap((figure, number) => {
    const svg = figure.querySelector('.sl-live svg');
    if (!svg) return [];
    const frame = svg.getBoundingClientRect();
    return [...svg.querySelectorAll(seen)].filter(mark => {
        if (mark.closest('defs, clipPath, [opacity="0"], .background')) return false;
        const box = mark.getBoundingClientRect();
        if (!box.width && !box.height) return false;
        const inside = (outer) => box.left >= outer.left - slack && box.right <= outer.right + slack
            && box.top >= outer.top - slack && box.bottom <= outer.bottom + slack;
        if (!inside(frame)) return true;
        const clip = mark.closest('[clip-path]')?.getAttribute('clip-path').match(/#([^)]+)/);
        if (!clip || !mark.closest('.mark-symbol, .mark-rect, .mark-text')) return false;
        const group = mark.closest('[clip-path]').getScreenCTM();
        const area = svg.querySelector(`#${clip[1]} rect`);
        if (!area) return false;
        const width = area.width.baseVal.value * group.a, height = area.height.baseVal.value * group.d;
        const [left, top] = [group.e - 6, group.f - 6];
        return !inside({left, top, right: left + width + 12, bottom: top + height + 12});
    }).map(mark => `figure ${number}: ${mark.tagName} ${mark.textContent.slice(0, 40)}`);
});
"""
UNLABELLED = """
return [...document.querySelectorAll('.bd-article :is(input, select, button)')].filter(control =>
    control.getClientRects().length && !control.getAttribute('aria-label') && !control.title
    && !control.textContent.trim()
    && !(control.labels && [...control.labels].some(label => label.textContent.trim()))
).map(control => control.outerHTML);
"""
TOO_WIDE = """
return [...document.querySelectorAll('.sl-figure, .sl-landing, .sl-claim, .sl-filters')].filter(part =>
    part.getClientRects().length && (part.scrollWidth > part.clientWidth + 1
    || part.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
).map(part => part.outerHTML.slice(0, 200));
"""


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["1280", "390"])
@pytest.mark.parametrize("page", PAGES)
def test_nothing_overflows_nothing_is_clipped_and_every_control_has_a_name(browser, site, page, size):
    open_page(browser, f"{site}/{page}.html", size)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= size[0]
    assert browser.execute_script(TOO_WIDE) == []
    assert browser.execute_script(CLIPPED) == []
    assert browser.execute_script(UNLABELLED) == []


def test_charts_follow_a_window_that_changes(browser, site):
    open_page(browser, f"{site}/{CHAPTERS[1]}.html")
    widths = (
        "return [...document.querySelectorAll('.sl-live svg')].map(svg => svg.getBoundingClientRect().width)"
    )
    before = browser.execute_script(widths)
    resize(browser, PHONE)
    WebDriverWait(browser, 60).until(lambda b: all(w <= PHONE[0] for w in b.execute_script(widths)))
    fitted = (
        "return [...document.querySelectorAll('.sl-figure[data-live]')].every(f => f.dataset.width < 390)"
    )
    WebDriverWait(browser, 60).until(lambda b: b.execute_script(fitted))
    assert max(before) > PHONE[0]


@pytest.mark.parametrize(("mode", "size"), [("light", DESKTOP), ("dark", DESKTOP), ("phone", PHONE)])
@pytest.mark.parametrize("page", PAGES)
def test_page_is_whole(browser, site, page, mode, size):
    scheme = "dark" if mode == "dark" else "light"
    open_page(browser, f"{site}/{page}.html", size, scheme)
    screenshot(browser, f"{mode}-{page.replace('/', '-')}", size)
    # nothing failed, nothing was asked of another host
    for event in requests(browser):
        if event["method"] == "Network.requestWillBeSent":
            address = event["params"]["request"]["url"]
            assert address.startswith((site, "data:", "blob:", "about:", "chrome:", "chrome-untrusted:")), (
                address
            )
        elif event["method"] == "Network.responseReceived":
            response = event["params"]["response"]
            assert response["status"] < 400, response["url"]
        elif event["method"] == "Network.loadingFailed":
            assert event["params"].get("canceled") or event["params"]["type"] == "Document", event
    errors = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not errors
    # every chart is live
    figures = browser.find_elements("css selector", ".sl-figure:not(.sl-frames)")
    assert all(figure.get_attribute("data-live") == "yes" for figure in figures)
    assert len(pictures(browser)) == len(figures)
    assert figures or page not in CHAPTERS
    # the page itself does not scroll sideways
    assert browser.execute_script("return document.documentElement.scrollWidth") <= size[0]
    # and no column is so narrow that the one word at its head is broken
    assert browser.execute_script(BROKEN_HEADS) == []
    # light is light, dark is dark, and text in pictures is legible on it
    assert browser.execute_script("return document.documentElement.dataset.theme") == scheme
    ground = brightness(browser, "getComputedStyle(document.body).backgroundColor")
    assert ground > 0.9 if scheme == "light" else ground < 0.15
    if figures:
        fill = "getComputedStyle(document.querySelector('.sl-live svg text')).fill"
        assert abs(brightness(browser, fill) - ground) > 0.5
    # and no large part of it has the ground of the other
    assert browser.execute_script(OTHER_GROUND, scheme == "dark") == []


#: Elements with a ground of their own, over 300 × 60 pixels, that is light in the dark or dark in the light.
OTHER_GROUND = """
return [...document.querySelectorAll('.bd-article *:not(svg *)')].filter(each => {
  const ground = getComputedStyle(each).backgroundColor.match(/[\\d.]+/g).map(Number);
  if (ground.length === 4 && ground[3] < 0.5) return false;
  const light = (0.299 * ground[0] + 0.587 * ground[1] + 0.114 * ground[2]) / 255;
  const box = each.getBoundingClientRect();
  return box.width > 300 && box.height > 60 && (arguments[0] ? light > 0.5 : light < 0.5);
}).map(each => each.className || each.tagName)
"""


def brightness(browser, expression: str) -> float:
    red, green, blue = map(float, re.findall(r"[\d.]+", browser.execute_script(f"return {expression}"))[:3])
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255


@pytest.mark.parametrize("page", CHAPTERS)
def test_menus_and_sliders_of_charts_change_the_picture(browser, site, page):
    open_page(browser, f"{site}/{page}.html")
    controls = browser.find_elements("css selector", ".vega-bind")
    if not controls:
        pytest.skip("no chart here has a menu or slider of its own")
    for control in controls:
        live = control.find_element("xpath", "ancestor::div[contains(@class, 'sl-live')]")

        def picture(live=live) -> str:
            return live.find_element("css selector", "svg").get_attribute("outerHTML")

        before = picture()
        seen = set()
        menu = control.find_elements("tag name", "select")
        choices = control.find_elements("css selector", "input[type=radio], input[type=checkbox]")
        ranges = control.find_elements("css selector", "input[type=range]")
        for index in range(len(Select(menu[0]).options) if menu else 0):
            Select(menu[0]).select_by_index(index)
            settle(browser, live)
            seen.add(picture())
        for choice in choices:
            browser.execute_script("arguments[0].click()", choice)
            settle(browser, live)
            seen.add(picture())
        for end in (Keys.HOME, Keys.END) if ranges else ():
            ranges[0].send_keys(end)
            settle(browser, live)
            seen.add(picture())
        assert seen - {before}, control.text


def settle(browser, live) -> None:
    """Wait for Vega to finish drawing."""
    script = "arguments[0].closest('.sl-figure').view.runAsync().then(() => arguments[1](true))"
    browser.execute_async_script(script, live)


@pytest.mark.parametrize("page", CHAPTERS)
def test_sliders_over_frames_change_the_picture_without_a_kernel(browser, site, page):
    open_page(browser, f"{site}/{page}.html")
    sliders = browser.find_elements("css selector", ".sl-frames")
    if not sliders:
        pytest.skip("no slider over frames in this chapter")
    for slider in sliders:

        def told(slider=slider) -> tuple:
            picture = slider.find_element("tag name", "img").get_attribute("src")
            return picture, slider.find_element("tag name", "output").text

        control = slider.find_element("css selector", "input[type=range]")
        seen = set()
        for key in [Keys.HOME] + [Keys.ARROW_RIGHT] * int(control.get_attribute("max")):
            control.send_keys(key)
            seen.add(told())
        assert len(seen) == int(control.get_attribute("max")) + 1
        assert len({label for _, label in seen}) == len(seen)


def slices(browser) -> tuple:
    """The slice explorer of the page, its tables by their columns, and a function that lists its polygons."""
    figure = browser.execute_script(
        "return [...document.querySelectorAll('.sl-figure')]"
        ".find(f => f.querySelector('[aria-label*=\"exact slice\"]'))"
    )
    spec = json.loads(figure.find_element("css selector", "script").get_attribute("textContent"))
    found = [pd.read_csv(io.StringIO(text)) for text in spec["datasets"].values()]
    tables = {" ".join(table.columns): table for table in found}

    def polygons() -> list:
        return figure.find_elements("css selector", ".sl-live g[class*=s0_pathgroup] .mark-line path")

    return figure, tables, polygons


def shoelace(path: str) -> tuple[float, np.ndarray]:
    """Area and centre of mass of a polygon, from an SVG path."""
    points = np.array(re.findall(r"(-?[\d.]+),(-?[\d.]+)", path), float)
    following = np.roll(points, -1, axis=0)
    cross = points[:, 0] * following[:, 1] - following[:, 0] * points[:, 1]
    if not cross.sum():  # too thin for the digits of a path
        return 0.0, points[0]
    return abs(cross.sum()) / 2, ((points + following) * cross[:, None]).sum(axis=0) / (3 * cross.sum())


def point_at(browser, x: float, y: float) -> None:
    """Move the pointer to a place in the window."""
    actions = ActionBuilder(browser)
    actions.pointer_action.move_to_location(round(x), round(y))
    actions.perform()


def words(live) -> dict[str, str]:
    """What the explorer says of the polygon under the pointer."""
    return dict(re.findall(r"(units on · code|area|class in its middle): (.+)", live.text))


def test_slice_explorer_tells_what_was_computed(browser, site):
    """The slider shows each layer's polygons; a hovered polygon's words are those of its row in the table."""
    open_page(browser, f"{site}/notebooks/05_polytope_interpolation.html")
    figure, tables, polygons = slices(browser)
    titles = tables["title x y x2 y2 at"].sort_values("at")["title"]
    regions = tables["region code area class"]
    regions["layer"] = regions["region"].str.split(" ").str[0]
    digits = {str(number): colour for number, colour in enumerate(DIGITS)}
    slider = figure.find_element("css selector", ".vega-bind input[type=range]")
    live = figure.find_element("css selector", ".sl-live")
    slider.send_keys(Keys.HOME)
    for title in titles:
        WebDriverWait(browser, 60).until(lambda _, title=title: title in live.text)
        # The page's bar would cover polygons at the top of the window.
        browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", live)
        settle(browser, live)
        here = regions[regions["layer"] == re.match(r"from (\S+):", title)[1]]
        drawn = polygons()
        assert len(drawn) == len(here) == int(re.search(r"(\d+) polygons", title)[1])
        # All before the first hover: while Vega draws anew, the list of polygons is not in its order.
        fills = [path.get_attribute("fill") for path in drawn]
        shapes = [shoelace(path.get_attribute("d")) for path in drawn]
        largest = sorted(range(len(drawn)), key=lambda index: -shapes[index][0])[:3]
        scale = None
        for index in largest:
            area, centre = shapes[index]
            before = words(live)
            # Vega redraws the polygons when one is hovered over: look for a path anew; all have one origin.
            box = browser.execute_script("return arguments[0].getScreenCTM()", polygons()[0])
            point_at(browser, box["a"] * centre[0] + box["e"], box["d"] * centre[1] + box["f"])
            WebDriverWait(browser, 60).until(lambda _, before=before: words(live) not in ({}, before))
            settle(browser, live)
            told = words(live)
            # Pooling alone may part two regions: a code can stand in two rows.
            same = np.isclose(here["area"], float(told["area"]), rtol=0.01)
            row = here[same & (here["code"] == told["units on · code"])]
            assert len(row) == 1, told
            assert told["class in its middle"] == str(row["class"].item())
            assert fills[index] == digits[told["class in its middle"]]
            scale = scale or row["area"].item() / area
            assert row["area"].item() / area == pytest.approx(scale, rel=0.03)
        point_at(browser, 1, 1)  # away, so that no polygon of the next layer appears under the pointer
        slider.send_keys(Keys.ARROW_RIGHT)
    assert len(titles) - 1 == int(slider.get_attribute("max"))


def test_formulas_are_set(browser, site):
    open_page(browser, f"{site}/book/methods.html")
    assert len(browser.find_elements("css selector", "mjx-container svg")) > 3


def test_pages_work_from_the_disk_too(browser, built_book):
    open_page(browser, (built_book / f"{CHAPTERS[0]}.html").as_uri())
    assert pictures(browser)


@pytest.mark.parametrize("page", ["book/index", "book/scoreboard", *CHAPTERS])
def test_without_scripts_pictures_and_scoreboard_stay(programs, site, page, tmp_path):
    browser = start(programs, tmp_path)
    try:
        open_page(browser, f"{site}/{page}.html", scripts=False)
        shot = browser.execute_cdp_cmd("Page.captureScreenshot", {})
        (SCREENSHOTS / f"without-scripts-{page.replace('/', '-')}.png").write_bytes(
            base64.b64decode(shot["data"])
        )
        browser.execute_cdp_cmd("DOM.enable", {})
        browser.execute_cdp_cmd("CSS.enable", {})
        document = browser.execute_cdp_cmd("DOM.getDocument", {})["root"]["nodeId"]

        def boxes(selector: str) -> list[float]:
            found = browser.execute_cdp_cmd(
                "DOM.querySelectorAll", {"nodeId": document, "selector": selector}
            )
            models = [browser.execute_cdp_cmd("DOM.getBoxModel", {"nodeId": n}) for n in found["nodeIds"]]
            return [model["model"]["height"] for model in models]

        if page == "book/scoreboard":
            assert sum(height > 20 for height in boxes(".sl-claim > summary")) == len(Ledger.load().claims)
            return
        figures = boxes(".sl-figure, .sl-panel")
        static = boxes(".sl-chart > svg") + boxes(".sl-frames img") + boxes(".sl-panel svg")
        assert figures and len(static) == len(figures)
        assert all(height > 40 for height in static)
        if page == "book/index":
            return
        styles = browser.execute_cdp_cmd(
            "CSS.getComputedStyleForNode", {"nodeId": first_node(browser, document, ".sl-chart svg text")}
        )["computedStyle"]
        assert {"name": "fill", "value": "none"} not in styles
    finally:
        browser.quit()


def first_node(browser, document: int, selector: str) -> int:
    found = browser.execute_cdp_cmd("DOM.querySelector", {"nodeId": document, "selector": selector})
    return found["nodeId"]


# --- the landing page, the scoreboard, the search ---------------------------------------------------


def test_the_first_screen_of_the_landing_page_holds_question_answer_cards_and_pictures(browser, site):
    open_page(browser, f"{site}/book/index.html")
    bottoms = browser.execute_script(
        "return [...document.querySelectorAll('.bd-article :is(h1, .sl-lead, .sl-card, .sl-panel)')]"
        ".map(part => part.getBoundingClientRect().bottom)"
    )
    assert len(bottoms) == 1 + 1 + 3 + 4
    assert max(bottoms) <= DESKTOP[1]


def test_the_landing_page_shows_one_image_in_four_pictures_and_one_legend_a_mode(browser, site):
    open_page(browser, f"{site}/book/index.html")
    for mode in ("margin", "cluster", "digit"):
        browser.find_element("css selector", f".sl-modes [value={mode}]").click()
        shown = [each for each in browser.find_elements("css selector", ".sl-legend") if each.is_displayed()]
        assert [each.get_attribute("data-mode") for each in shown] == [mode]
    dot = browser.find_element("css selector", ".sl-panel circle:nth-of-type(7)")
    place = browser.execute_script("const b = arguments[0].getBoundingClientRect(); return [b.x, b.y]", dot)
    point_at(browser, place[0] + 2, place[1] + 2)
    chosen = browser.find_elements("css selector", ".sl-panel .sl-chosen")
    assert len(chosen) == 4 and len({each.get_attribute("class") for each in chosen}) == 1
    digit = re.search(r"\bd(\d)\b", chosen[0].get_attribute("class"))[1]
    assert browser.find_element("css selector", ".sl-peek").text.startswith(f"a {digit}, margin")


def loaded(browser, site: str, page: str) -> dict[str, int]:
    """Bytes of everything that a page loads, by address."""
    browser.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": True})
    open_page(browser, f"{site}/{page}.html")
    names, sizes = {}, {}
    for event in requests(browser):
        told = event["params"]
        if event["method"] == "Network.responseReceived":
            names[told["requestId"]] = told["response"]["url"].split("?")[0]
        elif event["method"] == "Network.loadingFinished" and told["requestId"] in names:
            sizes[names[told["requestId"]]] = int(told["encodedDataLength"])
    return {name: size for name, size in sizes.items() if name.startswith(site)}


def test_no_page_loads_what_it_does_not_use(browser, site, capsys):
    for page in PAGES:
        sizes = loaded(browser, site, page)
        with capsys.disabled():
            print(f"\n  {page:<50}{sum(sizes.values()):>12,} bytes in {len(sizes)} requests", end="")
        files = " ".join(sizes)
        has = browser.execute_script(
            "return [document.querySelector('.math'), document.querySelector('script[type*=vegalite]'),"
            " document.querySelector('.sl-claim'), document.querySelector('.sl-landing')].map(Boolean)"
        )
        for used, name in zip(has, ("tex-svg.js", "vega.js", "scoreboard.js", "landing.js"), strict=True):
            assert (name in files) == used, (page, name)
        assert "fontawesome" not in files
        if page == "book/index":
            assert sum(sizes.values()) < LANDING


def claims_shown(browser) -> list[str]:
    found = browser.find_elements("css selector", ".sl-claim")
    return [each.get_attribute("data-claim") for each in found if each.is_displayed()]


def test_scoreboard_filters_searches_and_opens_what_the_address_names(browser, site):
    rows = scoreboard.in_order(Ledger.load())
    open_page(browser, f"{site}/book/scoreboard.html")
    assert claims_shown(browser) == [row["id"] for row in rows]
    for key in ("verdict", "source", "chapter"):
        menu = Select(browser.find_element("css selector", f".sl-filters [name={key}]"))
        menu.select_by_value(rows[0][key])
        assert claims_shown(browser) == [row["id"] for row in rows if row[key] == rows[0][key]]
        menu.select_by_value("")
    search = browser.find_element("css selector", ".sl-filters [name=words]")
    search.send_keys("spline-2a")
    found = claims_shown(browser)
    assert "spline-2a" in found and len(found) < 5
    search.clear()
    search.send_keys("copy citation")  # a button's words
    assert claims_shown(browser) == [] and counter(browser).startswith("No claim fits")
    browser.find_element("css selector", ".sl-filters [type=reset]").click()
    assert len(claims_shown(browser)) == len(rows) and "?" not in browser.current_url
    open_page(browser, f"{site}/book/scoreboard.html#{rows[5]['id']}")
    opened = browser.find_elements("css selector", ".sl-claim[open]")
    assert [each.get_attribute("data-claim") for each in opened] == [rows[5]["id"]]
    assert len(opened[0].find_elements("css selector", ".sl-case")) == len(rows[5]["cases"])
    cite = opened[0].find_element("css selector", ".sl-cite").text
    assert f"claim {rows[5]['id']}: {rows[5]['verdict']} (20" in cite and f"#{rows[5]['id']}" in cite


def counter(browser) -> str:
    return browser.find_element("css selector", ".sl-filters output").text


def test_scoreboard_keeps_filters_in_the_address_and_shows_a_named_claim_whatever_they_are(browser, site):
    rows = scoreboard.in_order(Ledger.load())
    kept = [row for row in rows if row["verdict"] == "contradicted"]
    other = next(row["id"] for row in rows if row not in kept)
    open_page(browser, f"{site}/book/scoreboard.html?verdict=contradicted")
    assert claims_shown(browser) == [row["id"] for row in kept]
    assert counter(browser) == f"{len(kept)} of {len(rows)} claims"
    Select(browser.find_element("css selector", ".sl-filters [name=chapter]")).select_by_value(
        kept[0]["chapter"]
    )
    assert (
        f"chapter={kept[0]['chapter']}" in browser.current_url
        and "verdict=contradicted" in browser.current_url
    )
    browser.execute_script("location.hash = arguments[0]", other)
    WebDriverWait(browser, 10).until(lambda b: other in claims_shown(b))
    assert counter(browser) == f"{len(rows)} of {len(rows)} claims"
    assert browser.current_url.endswith(f"scoreboard.html#{other}")


def test_search_finds_a_claim_by_its_id(browser, site):
    browser.get(f"{site}/search.html?q=ours-post-relu-tie")
    link = "#search-results a[href*='scoreboard.html#ours-post-relu-tie']"
    WebDriverWait(browser, 30).until(lambda b: b.find_elements("css selector", link))
