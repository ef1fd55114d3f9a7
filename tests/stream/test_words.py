"""`telebeat words` on terminals of any width, and where it looks for its record."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
import wfdb
from rich.console import Console
from typer.testing import CliRunner

from stream.cli import app
from stream.commands.words import Beat, show, show_levels
from stream.errors import ModelError, RecordError, SettingsError
from tests.model.hearts import heart

BEATS = [
    Beat(
        f"{i}.13",
        "V 0.65",
        "F 0.44",
        ["33", "38"],
        [".......A|...ABBCDDDCCB.abbbbbb|bbba", "AAAAAAAa|.....acdcbb.AAAAA..aa|cddb"],
        ["rr 13", "rr/last 20", "rr/own 25", "width 2", "share 12", "again 1", "apart/usual ?", "p/usual ?"],
    )
    for i in range(20)
]


def lines(width: int, *, terminal: bool, every: bool) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None, markup=False)
    if every:
        heads = [beat.at for beat in BEATS]
        show_levels(console, "208: levels", heads, [["apart/usual", *["12"] * len(heads)]] * 3)
    else:
        show(console, "208", BEATS)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("every", [False, True])
def test_eighty_columns_break_no_word(every: bool) -> None:
    found = lines(80, terminal=True, every=every)
    assert max(map(len, found)) <= 80
    text = "\n".join(found)
    assert "…" not in text
    if every:
        assert text.count(" 12 ") == 3 * len(BEATS)
    else:
        assert len(found) <= 7 * len(BEATS)
        assert all(text.replace("\N{NO-BREAK SPACE}", " ").count(part) == 20 for part in BEATS[0].measured[1:])


@pytest.mark.parametrize("every", [False, True])
def test_a_pipe_gets_a_line_a_row(every: bool) -> None:
    assert len(lines(80, terminal=False, every=every)) == (3 if every else 20) + 5


def test_a_bare_name_of_several_databases_is_asked_about(tmp_path: Path) -> None:
    for database in ("ludb", "mitdb"):
        (tmp_path / database).mkdir()
        (tmp_path / database / "101.hea").touch()
    ended = CliRunner().invoke(app, ["words", "101", "--data-dir", str(tmp_path)])
    assert isinstance(ended.exception, RecordError)
    assert "several databases (ludb/101, mitdb/101)" in str(ended.exception)


@pytest.mark.parametrize("command", [["words", "101"], ["plot", "101", "--out", "strip.png"]])
def test_the_model_is_that_of_the_variable(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TELEBEAT_MODEL_DIR", str(tmp_path / "nowhere"))
    (tmp_path / "101.hea").touch()
    ended = CliRunner().invoke(app, [*command, "--data-dir", str(tmp_path)])
    assert isinstance(ended.exception, ModelError)
    assert "nowhere" in str(ended.exception)


@pytest.mark.parametrize("command", [["words", "101"], ["replay", "101"]])
def test_times_are_read_as_everywhere(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "other.hea").touch()
    ended = CliRunner().invoke(app, [*command, "--data-dir", str(tmp_path), "--from", "3:00"])
    assert isinstance(ended.exception, RecordError)
    assert "no record 101" in str(ended.exception)
    ended = CliRunner().invoke(app, [*command, "--data-dir", str(tmp_path), "--from", "soon"])
    assert isinstance(ended.exception, SettingsError)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two records of a database, a minute each."""
    place = tmp_path_factory.mktemp("data") / "own"
    place.mkdir()
    for number in range(2):
        mv, _ = heart("NNNNV" * 16, 220, seed=number)
        names = {"units": ["mV"] * 2, "sig_name": ["II", "V1"], "fmt": ["16"] * 2, "write_dir": str(place)}
        wfdb.wrsamp(f"p{number}", 250, p_signal=mv.astype(float), **names)
    return place.parent


@pytest.mark.parametrize("more", [[], ["--database", "own"]])
@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_sentence_and_mean_beats_are_drawn(more: list[str], suffix: str, folder: Path, tmp_path: Path) -> None:
    picture = tmp_path / f"words.{suffix}"
    words = ["words", "own/p1", "--data-dir", str(folder), "--beats", "12", "--out", str(picture), *more]
    ended = CliRunner().invoke(app, words, catch_exceptions=False)
    assert ended.exit_code == 0
    assert "wrote" in ended.output
    assert picture.read_bytes().startswith(b"\x89PNG" if suffix == "png" else b"<?xml")
    if suffix == "svg":
        text = picture.read_text(encoding="utf-8")
        assert ("2 records of own" in text) == bool(more)
        assert ("of own/p1" in text) != bool(more)
        mean_beats = re.findall(r"<!-- (\d+): (\d+), ([NSVFQ]) (\d+) % -->", text)
        assert len(mean_beats) > 1
        assert sum(int(count) for _, count, _, _ in mean_beats) == 2 * 80 * (
            2 if more else 1
        )  # a curve a lead and beat
        assert len(set(re.findall(r"<!-- ([\d.]+) mV -->", text))) >= 1


def test_of_a_lead_that_is_not_there_nothing_is_told(tmp_path: Path) -> None:
    mv, _ = heart("N" * 30, 220)
    (tmp_path / "own").mkdir()
    names = {"units": ["mV"], "sig_name": ["II"], "fmt": ["16"], "write_dir": str(tmp_path / "own")}
    wfdb.wrsamp("p1", 250, p_signal=mv[:, :1].astype(float), **names)
    for more in ([], ["--all"]):
        ended = CliRunner().invoke(app, ["words", "p1", "--data-dir", str(tmp_path), "--beats", "5", *more])
        assert ended.exit_code == 0, ended.output
        if more:
            (line,) = [line for line in ended.output.splitlines() if "shape 2" in line]
            assert line.count("?") == 5
        else:
            assert len(re.findall(r"│ +\d+ \? +│", ended.output)) == 5


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--database", "own"], "name the picture with --out"),
        (["--out", "words.txt"], "is no picture"),
        (["--out", "words.png", "--beats", "10000"], "ask for fewer --beats"),
        (["--out", "words.png", "--database", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_drawn_is_told_before_anything_is(
    more: list[str], reason: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(app, ["words", "own/p1", "--data-dir", str(folder), *more])
    assert isinstance(ended.exception, (SettingsError, RecordError))
    assert reason in str(ended.exception)
    assert not list(tmp_path.iterdir())
    assert "shapes" not in ended.output


def test_without_a_word_there_is_nothing_to_draw(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "flat"
    place.mkdir()
    names = {"units": ["mV"], "sig_name": ["II"], "fmt": ["16"], "write_dir": str(place)}
    wfdb.wrsamp("f", 250, d_signal=np.zeros((2000, 1), np.int64), adc_gain=[200.0], baseline=[0], **names)
    words = ["words", "own/p1", "--data-dir", str(folder), "--out", str(tmp_path / "w.png"), "--database", "flat"]
    (folder / "flat").symlink_to(place)
    try:
        ended = CliRunner().invoke(app, words)
    finally:
        (folder / "flat").unlink()
    assert isinstance(ended.exception, RecordError)
    assert "no mean beat to draw" in str(ended.exception)
