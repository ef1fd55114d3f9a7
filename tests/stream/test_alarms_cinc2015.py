"""The benchmark of bedside alarms: its list of records, and a set that lacks one kind of alarm."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from benchmarks import parts
from benchmarks.alarms_cinc2015 import _cells, listed, score
from stream.errors import RecordError

LINES = "v102s,Ventricular_Tachycardia,0\na103l,Asystole,1\n"


@pytest.mark.parametrize("head", ["", "record,alarm,true\n", "\ufeffrecord,alarm,true\n", "\n"])
def test_the_list_is_read_by_its_columns_with_headings_or_without(head: str, tmp_path: Path) -> None:
    file = tmp_path / "ALARMS"
    file.write_text(head + LINES, encoding="utf-8")
    assert listed(file) == [("v102s", "Ventricular_Tachycardia", False), ("a103l", "Asystole", True)]


@pytest.mark.parametrize("line", ["a1,Asystole", "a1,Asystole,yes", "a1,Sneezing,1"])
def test_a_line_that_is_none_is_named(line: str, tmp_path: Path) -> None:
    file = tmp_path / "ALARMS"
    file.write_text(f"{LINES}{line}\n", encoding="utf-8")
    with pytest.raises(RecordError, match="line 3"):
        listed(file)


def test_of_no_alarm_there_is_no_share() -> None:
    assert score(0, 0, 0, 0) is None
    assert _cells(0, 0, 0, 0) == ["0", "0", "–", "0", "0", "–", "–"]
    assert _cells(3, 1, 0, 0) == ["4", "3", "75.0", "0", "0", "–", "37.5"]


def test_a_dash_is_no_file_for_figures_beside_which_tables_are_printed() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="name a file"):
        parts.numbers_file("-")
    assert parts.numbers_file("x.json") == Path("x.json")
