"""Outputs that cannot show every character."""

from __future__ import annotations

import codecs
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream import plain
from stream.annotations import write_annotations
from stream.wire import Beat
from tests.stream.test_ending import ROOT

codecs.register_error(plain.NAME, plain.plain)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "utf-8"])
@given(st.text())
def test_every_text_can_be_written_and_json_stays_what_it_was(encoding: str, text: str) -> None:
    said = json.dumps(text, ensure_ascii=False)
    written = said.encode(encoding, plain.NAME).decode(encoding)
    if not set(text) & plain.PLAIN.keys():
        assert json.loads(written) == text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_means_the_same_in_any_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    said = plain.json(json.dumps("Größe-5µ – x", ensure_ascii=False))
    assert json.loads(said.encode(encoding)) == "Größe-5µ – x"
    assert ("µ" in said) == (encoding == "utf-8")


def test_columns_stay_in_line() -> None:
    assert "– 12 µV × 3".encode("ascii", plain.NAME) == b"- 12 uV x 3"
    assert all(len(one) == len(other) == 1 and other.isascii() for one, other in plain.PLAIN.items())
    assert "\udce9.hea".encode("utf-8", plain.NAME) == rb"\udce9.hea"
    with pytest.raises(UnicodeDecodeError):
        b"\xe9".decode("ascii", plain.NAME)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_table_is_shown_in_any_encoding(encoding: str, tmp_path: Path) -> None:
    beats = [Beat(sample, "N", 0.9, 7, 800.0, 120.0, 320.0) for sample in range(100, 2400, 200)]
    write_annotations(tmp_path, "r", 250.0, beats, [], [])
    (tmp_path / "r.hea").write_text("r 1 250 2500\nr.dat 16 200 16 0 0 0 0 II\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "stream", "score", ".", ".", "--reference-annotator", "tb", "--from", "0"],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    table = done.stdout.decode(encoding)
    row = next(line for line in table.splitlines() if "average" in line)
    assert (" – " if encoding == "utf-8" else " - ") in row
    assert "100.00" in row
