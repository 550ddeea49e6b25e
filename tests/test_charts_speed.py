"""The figures of speed: from small tables to pictures."""

import pandas as pd
import pytest
from drawing import drawn

from pictures import speed

pytestmark = pytest.mark.usefixtures("theme")


def test_times_keep_the_order_of_the_table_and_say_every_time():
    table = pd.DataFrame(
        [(c, way, ms) for c in ("whole", "block") for way, ms in (("usual", 400.0), ("ours", 5.0))],
        columns=["comparison", "way", "ms"],
    )
    spec = drawn(speed.times(table))
    assert spec["encoding"]["y"]["sort"] == ["whole", "block"]
    assert spec["encoding"]["color"]["scale"]["domain"] == ["usual", "ours"]
    low, high = spec["encoding"]["x"]["scale"]["domain"]
    assert low < 5 and high > 400
    assert "whole: usual 400 ms, ours 5 ms; block: usual" in spec["description"]


def test_growth_says_where_each_line_begins_and_ends():
    table = pd.DataFrame(
        [(what, n, n * unit) for what, unit in (("pairs", 0.01), ("recording", 0.001)) for n in (100, 400)],
        columns=["what", "images", "seconds"],
    )
    spec = drawn(speed.growth(table))
    assert spec["encoding"]["x"]["axis"]["values"] == [100, 400]
    assert "pairs 1 s to 4 s; recording 0.1 s to 0.4 s." in spec["description"]
