"""The house: no room imports one above it, and what the counts say of file and function lengths."""

import chapters
import counts
import house
import parts
import pytest


def test_no_room_imports_one_that_stands_after_it():
    place = {room: index for index, room in enumerate(["helpers", *parts.ROOMS])}
    wrong = [(one, other) for one, other, _ in house.used() if one in place and place[other] > place[one]]
    assert [pair for pair in wrong if pair != ("helpers", "errors")] == []


def test_every_room_is_in_the_list():
    assert set(house.lines()) - {"__init__", "__main__", "helpers"} == set(parts.ROOMS)


def test_files_and_functions_read_in_one_sitting():
    files = [path for group in counts.code_files().values() for path in group]
    long = {path.name: n for path in files if (n := path.read_text().count("\n")) > counts.FILE}
    functions = {name: n for path in files for name, n in counts.long_functions(path).items()}
    assert (long, functions) == ({}, {})


@pytest.mark.parametrize("name", chapters.names())
def test_a_chapter_keeps_to_its_limits(name):
    found = counts.chapter(name)
    limits = {"words": counts.WORDS, "tables": counts.TABLES, "lines": counts.LINES, "bare figures": 0}
    assert {key: found[key] for key, most in limits.items() if found[key] > most} == {}
    assert found["code shown"] >= counts.SHOWN_IN.get(name, counts.SHOWN)
