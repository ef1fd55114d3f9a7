"""Fibrillation that a reference marks as a rhythm only, as vfdb does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.ec57 import score_files
from stream.cli import app
from tests.model.ec57_cases import RATE
from tests.model.test_ec57_files import LENGTH, write

EPISODE = (310, 330)  # s


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A record whose reference knows the episode by its rhythm, and whose test file has it in brackets, as ours do."""
    (tmp_path / "x.hea").write_text(f"x 1 {RATE} {LENGTH}\nx.dat 212 200\n")
    begin, end = (second * RATE for second in EPISODE)
    write(tmp_path, "x", "atr", f"{RATE}+(N {begin}+(VFIB {end}+(N")
    write(tmp_path, "x", "tb", f"{begin}[ {end}]")
    return tmp_path


def run(*arguments: str | Path) -> tuple[str, str]:
    result = CliRunner().invoke(app, ["score", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def test_where_no_bracket_marks_it_the_rhythm_counts(folder: Path) -> None:
    found = score_files(folder, folder, "x")
    assert (found.vf.found, found.vf.missed, found.vf.right, found.vf.wrong) == (1, 0, 1, 0)
    assert found.vf_rhythms == ("(VF",)


def test_brackets_say_what_is_meant(folder: Path) -> None:
    begin, end = (second * RATE for second in EPISODE)
    write(folder, "x", "atr", f"{begin}[ {end}] {350 * RATE}+(VFL {360 * RATE}+(N")
    found = score_files(folder, folder, "x")
    assert (found.vf.found, found.vf.missed) == (1, 0)
    assert found.vf_rhythms == ()


def test_what_is_named_goes_before(folder: Path) -> None:
    for none in ((), ("(VT",)):
        found = score_files(folder, folder, "x", vf_rhythms=none)
        assert (found.vf.found, found.vf.missed, found.vf.wrong) == (0, 0, 1)


def test_the_command_says_what_it_counts_and_how_to_ask_for_less(folder: Path, tmp_path: Path) -> None:
    out, err = run(folder, folder, "--json", tmp_path / "o.json")
    assert "1 of 1 references mark ventricular fibrillation as a rhythm only (x)" in err
    assert "--vf-rhythms" in err
    assert "100.00 (1/1)" in out
    told = json.loads((tmp_path / "o.json").read_text())
    assert (told["vf_rhythms"], told["records"][0]["vf_rhythms"]) == (None, ["(VF"])
    out, err = run(folder, folder, "--vf-rhythms", "")
    assert "as a rhythm only" not in err
    assert "0.00 (0/1)" in out
