"""Records that EC57 leaves out, given to `telebeat evaluate`: which they are and why is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import wfdb
from typer.testing import CliRunner

pytest.importorskip("jinja2")
pytest.importorskip("sklearn")
pytest.importorskip("torch")

from stream.cli import app
from stream.errors import RecordError
from tests.model.hearts import heart

pytestmark = pytest.mark.train


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The same heart as a record that is scored, as a paced one, and as one of cpsc2021."""
    mv, peaks = heart("N" * 40, 250)
    for database, record, symbol in (("own", "plain", "N"), ("own", "paced", "/"), ("cpsc2021", "data_1_1", "N")):
        folder = tmp_path / "data" / database
        folder.mkdir(parents=True, exist_ok=True)
        wfdb.wrsamp(record, 250, ["mV"] * 2, ["II", "V1"], mv.astype(float), fmt=["16"] * 2, write_dir=str(folder))
        wfdb.wrann(record, "atr", peaks, [symbol] * len(peaks), write_dir=str(folder))
    return tmp_path / "data"


def run(data: Path, *words: str | Path) -> Any:
    where = ("--data-dir", data, "--jobs", "1", "--from", "0", "--out", data / "out.html")
    return CliRunner().invoke(app, ["evaluate", *map(str, (*words, *where))])


def test_what_is_not_scored_is_named_with_the_reason(data: Path) -> None:
    numbers = data / "out.json"
    result = run(data, "own/plain", "own/paced", "cpsc2021/data_1_1", "--json", numbers)
    assert result.exit_code == 0, result.output
    assert "not scored: 1 (own/paced): its heart is paced" in result.output
    assert "not scored: 1 (cpsc2021/data_1_1): nearly all of its beats are normal" in result.output
    assert set(json.loads(numbers.read_text())["about"]["not_scored"]) == {"own/paced", "cpsc2021/data_1_1"}
    assert "Not scored: own/paced, its heart is paced" in (data / "out.html").read_text("utf-8")


def test_lists_are_written_as_people_write_them(data: Path) -> None:
    assert run(data, "own/plain", "own/paced").exit_code == 0
    page = (data / "out.html").read_text("utf-8")
    assert "[&#39;" not in page
    assert "[&#34;" not in page
    assert "['" not in page
    assert "own/paced: its heart is paced, which EC57 leaves out" in page


def test_if_nothing_is_scored_that_is_an_error(data: Path) -> None:
    result = run(data, "own/paced", "cpsc2021/data_1_1")
    assert isinstance(result.exception, RecordError)
    assert "none of the 2 records is scored" in str(result.exception)
    assert "telebeat score" in str(result.exception)
    assert not (data / "out.html").exists()


def test_a_dash_is_the_standard_output_and_nothing_else_is_written_there(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data)
    result = run(data, "own/plain", "--json", "-")
    assert result.exit_code == 0, result.output
    assert [row["record"] for row in json.loads(result.stdout)["records"]] == ["own/plain"]
    assert not (data / "-").exists()
