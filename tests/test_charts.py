"""The theme, the renderer, the page and the sliders. Figures have their own tests."""

import base64
import csv
import io
import json
import math
import re

import altair as alt
import nbformat
import numpy as np
import pandas as pd
import pytest
from docutils import nodes
from PIL import Image

from splinelab import charts
from splinelab.charts import page, renderer, tables, theme, widgets
from splinelab.errors import InputError


@pytest.fixture(autouse=True)
def ours():
    charts.use()
    yield
    alt.renderers.enable("default")
    alt.theme.enable("default")


def table(n: int = 40, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {"x": rng.normal(size=n) + shift, "y": rng.normal(size=n), "net": rng.choice(list("ABC"), n)}
    )


def interactive(shift: float = 0.0) -> alt.HConcatChart:
    brush = alt.selection_interval()
    menu = alt.selection_point(fields=["net"], bind=alt.binding_select(options=[None, "A", "B"]))
    points = (
        alt.Chart(table(shift=shift))
        .mark_point(clip=True)
        .encode(x="x", y="y", color="net:N", opacity=alt.condition(menu, alt.value(1), alt.value(0.1)))
        .add_params(brush, menu)
    )
    bars = alt.Chart(table(shift=shift)).mark_bar().encode(x="count()", y="net:N").transform_filter(brush)
    return charts.describe(points | bars, "Points of three nets, and how many there are.")


def test_bundle_holds_spec_picture_and_words():
    bundle = interactive()._repr_mimebundle_()
    assert set(bundle) == {renderer.MIME, "image/png", "text/plain"}
    assert bundle["text/plain"] == "[chart] Points of three nets, and how many there are."
    picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert picture.width > 400
    assert picture.convert("RGBA").getpixel((1, 1))[3] == 0  # transparent


def test_bundle_is_a_valid_notebook_output():
    output = nbformat.v4.new_output("display_data", data=interactive()._repr_mimebundle_())
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("chart", outputs=[output])])
    nbformat.validate(notebook)


def test_two_charts_of_one_table_are_the_same_bytes():
    assert json.dumps(interactive()._repr_mimebundle_()) == json.dumps(interactive()._repr_mimebundle_())


def test_noise_in_the_last_digits_does_not_show():
    exact, noisy = (renderer.tidy(interactive(shift).to_dict()) for shift in (0.0, 1e-12))
    assert exact == noisy


def test_tidy_is_idempotent_and_keeps_names_consistent():
    spec = renderer.tidy(interactive().to_dict())
    assert renderer.tidy(spec) == spec
    declared = {param["name"] for param in spec["params"]}
    text = json.dumps({key: value for key, value in spec.items() if key != "datasets"})
    assert set(re.findall(r"param_\w+", text)) == declared


@pytest.mark.parametrize("text", ["", "  \n "])
def test_description_must_say_something(text):
    with pytest.raises(InputError, match="description"):
        charts.describe(alt.Chart(table()).mark_point(), text)


def test_chart_without_description_is_refused():
    with pytest.raises(InputError, match="no description"):
        alt.Chart(table()).mark_point().encode(x="x")._repr_mimebundle_()


def test_too_many_rows_are_refused():
    rows = [{"x": i} for i in range(renderer.MAX_ROWS + 1)]
    chart = charts.describe(alt.Chart(alt.Data(values=rows)).mark_point().encode(x="x:Q"), "Too much.")
    with pytest.raises(InputError, match=r"5,001 rows"):
        chart._repr_mimebundle_()
    with pytest.raises(alt.MaxRowsError):
        alt.Chart(table(renderer.MAX_ROWS + 1)).mark_point().to_dict()


def test_tables_survive_as_text():
    rows = [
        {"name": 'comma, "quote"', "k": 2, "share": 0.25, "chosen": True},
        {"name": "11", "k": -3, "share": None, "chosen": False},
        {"name": None, "k": 10, "share": 1e-6, "chosen": None},
    ]
    assert tables.unpack(*tables.pack(rows)) == rows


def test_named_tables_are_read_as_csv():
    spec = renderer.tidy(interactive().to_dict())
    assert all(isinstance(text, str) for text in spec["datasets"].values())
    (found,) = tables.tables(spec)
    assert [row["net"] for row in found] == list(table()["net"])
    np.testing.assert_allclose([row["x"] for row in found], table()["x"], rtol=0.01, atol=1e-3)


def test_nan_and_infinity_become_null():
    rows = [{"x": math.nan, "y": 1.0}, {"x": math.inf, "y": 2.5}, {"x": -math.inf, "y": 3.0}]
    chart = charts.describe(alt.Chart(alt.Data(values=rows)).mark_point().encode(x="x:Q", y="y:Q"), "Gaps.")
    bundle = chart._repr_mimebundle_()
    assert [row["x"] for row in tables.tables(bundle[renderer.MIME])[0]] == [None] * 3


@pytest.mark.parametrize(
    ("given", "kept"),
    [(0.123456, 0.123), (0.000123456, 0.000123), (12.34567, 12.346), (1919, 1919), (3.0, 3), (True, True)],
)
def test_rounding(given, kept):
    assert renderer._rounded(given) == kept


def test_settings_are_not_rounded():
    chart = alt.Chart(table()).mark_point(opacity=0.123456).encode(x="x")
    spec = renderer.tidy(charts.describe(chart, "Points.").to_dict())
    assert spec["mark"]["opacity"] == 0.123456


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", theme.PALETTE)
def test_colours_stand_out_on_white_and_on_the_dark_page(colour):
    for ground in ("#ffffff", "#121212"):
        low, high = sorted((luminance(colour), luminance(ground)))
        assert (high + 0.05) / (low + 0.05) > 2.2


def simulated(colour: str, kind: str) -> np.ndarray:
    """How dichromats see a colour (Viénot, Brettel & Mollon 1999), linear RGB."""
    matrix = {
        "protan": [[0.112, 0.888, 0.0], [0.112, 0.888, 0.0], [0.004, -0.004, 1.0]],
        "deutan": [[0.293, 0.707, 0.0], [0.293, 0.707, 0.0], [-0.021, 0.021, 1.0]],
    }[kind]
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.clip(np.array(matrix) @ channels**2.2, 0, 1) ** (1 / 2.2)


@pytest.mark.parametrize("kind", ["protan", "deutan"])
def test_first_colours_differ_for_the_colour_blind(kind):
    seen = [simulated(colour, kind) for colour in theme.PALETTE[:5]]
    for i, one in enumerate(seen):
        for other in seen[i + 1 :]:
            assert np.abs(one - other).max() > 0.08


def test_page_has_picture_words_spec_and_data():
    spec = interactive()._repr_mimebundle_()[renderer.MIME] | {"description": 'a <b> & "c" </script>'}
    (node,) = page.chart_nodes(None, spec)
    assert isinstance(node, nodes.raw)
    text = node.astext()
    assert 'aria-label="a &lt;b&gt; &amp; &quot;c&quot; &lt;/script&gt;"' in text
    assert text.count("</script>") == 1  # the description cannot end the spec's element
    embedded = re.search(r"<script[^>]*>(.*)</script>", text, re.DOTALL)[1]
    assert json.loads(embedded)["description"] == 'a <b> & "c" </script>'
    assert "<svg" in text
    link = re.search(r'download="figure.csv" [^>]*href="data:text/csv;charset=utf-8;base64,([^"]+)"', text)
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(link[1]).decode())))
    assert len(rows) == 40 and set(rows[0]) == {"x", "y", "net"}


def test_two_pictures_share_no_id():
    first = page.figure(renderer.tidy(interactive().to_dict()))
    second = page.figure(renderer.tidy(interactive(shift=1.0).to_dict()))
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (first, second)]
    assert ids[0] and not ids[0] & ids[1]
    assert all(name in ids[0] for name in re.findall(r"url\(#([^)]+)\)", first))


def test_csv_leaves_embedded_pictures_out():
    text = page.to_csv([{"digit": 3, "image": "data:image/png;base64,xyz", "note": None}])
    assert text == "digit,note\n3,\n"


def frames_bundle(monkeypatch, **changes) -> dict:
    shown = []
    monkeypatch.setattr(widgets, "display", lambda bundle, raw: shown.append(bundle))
    images = [alt.Chart(table(5 * k)).mark_point().encode(x="x", y="y") for k in (1, 2, 3)]
    charts.frames(images, ["5", "10", "15"], **{"description": "More and more points.", **changes})
    return shown[0]


def test_frames_hold_a_static_picture_and_words(monkeypatch):
    bundle = frames_bundle(monkeypatch, start=1)
    assert Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).width > 300
    assert bundle["text/plain"] == "[slider over 3 frames] More and more points."
    assert bundle[widgets.MIME] == {"description": "More and more points.", "labels": ["5", "10", "15"]}


def test_frames_are_html_that_asks_for_no_library(monkeypatch):
    shown = frames_bundle(monkeypatch, start=1, title="<points>", takeaway="It grows.", caption="Points.")
    text = shown["text/html"]
    assert "It grows." in text and "&lt;points&gt;" in text and 'alt="More and more points."' in text
    assert not re.search(r'(src|href)="(?!data:)', text)
    slider = widgets.slider_html(text)
    content = json.loads(re.search(r'"application/json">(.*?)</script>', slider)[1])
    assert content["labels"] == ["5", "10", "15"] and len(set(content["pictures"])) == 3
    assert f'src="{content["pictures"][1]}"' in slider and 'max="2" value="1"' in slider


def test_frames_stand_on_a_light_and_on_a_dark_page(monkeypatch):
    """Transparent, and nothing in them but colours that differ from both grounds."""
    slider = widgets.slider_html(frames_bundle(monkeypatch)["text/html"])
    content = json.loads(re.search(r'"application/json">(.*?)</script>', slider)[1])
    for address in content["pictures"]:
        picture = Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))).convert("RGBA")
        pixels = np.asarray(picture).reshape(-1, 4)
        assert (pixels[:, 3] == 0).mean() > 0.3
        solid = pixels[pixels[:, 3] > 160]
        assert len(solid) and solid[:, :3].max(axis=1).min() > 60 and solid[:, :3].min(axis=1).max() < 235


@pytest.mark.parametrize(
    ("images", "labels", "description", "start", "message"),
    [
        ([], [], "x", 0, "0 frames"),
        ([b"a"], ["1", "2"], "x", 0, "1 frames and 2 labels"),
        ([b"a", b"b"], ["1", "1"], "x", 0, "share a label"),
        ([b"a"], ["1"], " ", 0, "description"),
        ([b"a"], ["1"], "x", 1, "start is 1"),
    ],
)
def test_frames_refuse_what_cannot_be_shown(images, labels, description, start, message):
    with pytest.raises(InputError, match=message):
        charts.frames(images, labels, description=description, start=start)


def test_every_panel_keeps_its_table_when_a_spec_comes_back_from_a_file():
    """nbformat sorts keys, so that data-10 comes before data-2; the page tidies the spec once more."""
    panels = [
        alt.Chart(pd.DataFrame({"x": [number], "panel": [f"panel {number}"]}))
        .mark_point()
        .encode(x="x:Q")
        .properties(title=f"panel {number}")
        for number in range(13)
    ]
    spec = renderer.tidy(charts.describe(alt.hconcat(*panels), "Thirteen panels").to_dict())
    spec = json.loads(json.dumps(spec, sort_keys=True))
    for seen in (spec, renderer.tidy(spec)):
        for panel in seen["hconcat"]:
            assert panel["title"] in seen["datasets"][panel["data"]["name"]]
