"""What cannot be written is told before the work, in one line; what an earlier run wrote does not outlive it."""

from __future__ import annotations

import contextlib
import errno
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import wfdb
from typer.testing import CliRunner

from stream import annotate, outputs
from stream.annotations import write_alerts, write_annotations
from stream.cli import app
from stream.errors import RecordError, SettingsError
from stream.limits import DEFAULTS

COMMANDS = [
    ["annotate", "r", "--data-dir", "d", "--out", "{}"],
    ["annotate", "r", "--data-dir", "d", "--out", "o", "--json", "{}/x.json"],
    ["score", "d", "t", "--json", "{}/x.json"],
    ["plot", "r", "--data-dir", "d", "--out", "{}/x.png"],
]


@pytest.mark.parametrize("place", ["a file", "/proc/no"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: f"{command[0]} {command[-2]}")
def test_it_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d").mkdir()
    Path("d/r.hea").write_text("r 1 250 300\nr.dat 16 200/mV 16 0 0 0 0 II\n", encoding="utf-8")
    write_annotations(Path("d"), "r", 250.0, [], [], [])
    Path("d/r.tb").rename("d/r.atr")
    Path("t").mkdir()
    write_annotations(Path("t"), "r", 250.0, [], [], [])
    Path("a file").touch()
    ended = CliRunner().invoke(app, [part.format(place) for part in command])
    assert isinstance(ended.exception, RecordError)
    assert "written" in str(ended.exception)


@pytest.mark.parametrize("suffix", ["tb", "alerts.jsonl", "beats.csv"])
def test_a_folder_in_the_way_of_a_file_is_told_before_the_work(suffix: str, tmp_path: Path) -> None:
    """Of the last record, too, before the first one is analysed."""
    (tmp_path / f"b.{suffix}").mkdir()
    with pytest.raises(RecordError, match=rf"b\.{suffix} is a folder.*another place"):
        next(annotate.annotate_all([Path("nowhere/a"), Path("nowhere/b")], tmp_path, None, DEFAULTS, 1))


def test_folders_are_made_and_files_kept(tmp_path: Path) -> None:
    file = outputs.file(tmp_path / "new" / "deep" / "x.json")
    assert list(tmp_path.rglob("*")) == [tmp_path / "new", tmp_path / "new" / "deep"]
    file.write_text("kept", encoding="utf-8")
    assert outputs.file(file).read_text("utf-8") == "kept"
    with pytest.raises(RecordError, match="another file"):
        outputs.file(tmp_path / ("x" * 300))
    with pytest.raises(RecordError, match="another file"):
        outputs.file(tmp_path / "new")
    assert outputs.file(Path("/dev/null")) == Path("/dev/null")


def test_a_record_that_fails_leaves_nothing_of_an_earlier_run(tmp_path: Path) -> None:
    for bed in ("a", "b"):
        write_annotations(tmp_path, bed, 250.0, [], [], [])
        write_alerts(tmp_path, bed, [])
    (done,) = annotate.annotate_all([Path("nowhere/a")], tmp_path, None, DEFAULTS, 1)
    assert done.error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.alerts.jsonl", "b.tb"]


@pytest.mark.parametrize("full", ["tb", "alerts.jsonl", "beats.csv"])
def test_a_full_disk_leaves_no_half_of_a_record(full: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor an empty file; it is told which one could not be written."""
    aside = outputs.aside

    @contextlib.contextmanager
    def on_a_full_disk(path: Path) -> Iterator[Path]:
        with aside(path) as part:
            yield part
            if path.name.endswith(full):
                part.write_bytes(part.read_bytes()[:1])
                raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(outputs, "aside", on_a_full_disk)
    (tmp_path / "o").mkdir()
    wfdb.wrsamp("r", 250, ["mV"], ["II"], np.zeros((2500, 1)), fmt=["16"], write_dir=str(tmp_path))
    (done,) = annotate.annotate_all([tmp_path / "r"], tmp_path / "o", None, DEFAULTS, 1, table=True)
    assert done.error.startswith(
        f"{tmp_path / 'o' / 'r'}.{full} cannot be written (no space left on device); make room"
    )
    assert not list((tmp_path / "o").iterdir())


def test_a_record_named_twice_is_annotated_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "r.hea").touch()
    asked: list[Path] = []

    def annotate_all(paths: list[Path], *_: object, **__: object) -> Iterator[annotate.Annotated]:
        asked.extend(paths)
        return iter(())

    monkeypatch.setattr(annotate, "annotate_all", annotate_all)
    arguments = ["annotate", "r", str(tmp_path / "r"), "--data-dir", str(tmp_path), "--out", str(tmp_path / "o")]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert asked == [tmp_path / "r"]


def test_brackets_in_names_and_reasons_are_printed_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not taken for markup, which would eat them or break off at the end of all the work."""
    monkeypatch.chdir(tmp_path)
    Path("d").mkdir()
    for name in ("r[b]", "s"):
        Path(f"d/{name}.hea").touch()
    good = annotate.Annotated("r[b]", 10.0, 1.0, 3, Counter())
    bad = annotate.Annotated("s", 0.0, 0.0, 0, Counter(), "no ECG (RESP [mV], PLETH [/mV])")
    monkeypatch.setattr(annotate, "annotate_all", lambda *_, **__: iter([good, bad]))
    ended = CliRunner().invoke(app, ["annotate", "--data-dir", "d", "--out", "o[/b]x"])
    assert isinstance(ended.exception, RecordError)
    shown = " ".join(ended.stderr.replace("│", " ").split())
    assert "Written to o[/b]x." in shown
    assert "r[b] " in shown
    assert "RESP [mV], PLETH [/mV]" in shown


@pytest.mark.parametrize("name", ["a.png", "a.SVG", "new/folder/a.pdf"])
def test_a_picture_of_a_kind_that_can_be_drawn(name: str, tmp_path: Path) -> None:
    assert outputs.picture(tmp_path / name) == tmp_path / name


@pytest.mark.parametrize("name", ["a", "a.bmp", "a.txt", ".png"])
def test_a_picture_that_cannot_be_drawn_is_refused_first(name: str, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"ends in \.png, \.svg, \.pdf"):
        outputs.picture(tmp_path / name)


def test_every_kind_named_can_be_drawn() -> None:
    from matplotlib.backend_bases import FigureCanvasBase

    assert {kind.lstrip(".") for kind in outputs.PICTURES} <= FigureCanvasBase.get_supported_filetypes().keys()


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with a record `d/r` and annotations of it in `t`."""
    monkeypatch.chdir(tmp_path)
    for name in ("d", "t"):
        Path(name).mkdir()
        write_annotations(Path(name), "r", 250.0, [], [], [])
    Path("d/r.tb").rename("d/r.atr")
    wfdb.wrsamp("r", 250, ["mV"], ["II"], np.zeros((2500, 1)), fmt=["16"], write_dir="d")
    return tmp_path


@pytest.mark.parametrize(
    "command", [["annotate", "r", "--data-dir", "d", "--out", "o"], ["score", "d", "t", "--from", "0"]]
)
def test_a_dash_is_the_standard_output_and_nothing_else_is_written_there(record: Path, command: list[str]) -> None:
    ended = CliRunner().invoke(app, [*command, "--json", "-"])
    assert ended.exit_code == 0, ended.output
    assert [row["record"] for row in json.loads(ended.stdout)["records"]] == ["r"]
    assert not (record / "-").exists()


def test_only_numbers_go_to_the_standard_output(record: Path) -> None:
    with pytest.raises(RecordError, match="only --json"):
        outputs.file(Path("-"))
    ended = CliRunner().invoke(app, ["score", "d", "t", "--csv", "--json", "-"])
    assert isinstance(ended.exception, SettingsError)
    assert list(record.glob("-")) == []


def test_a_record_is_named_with_its_database(record: Path) -> None:
    """`annotate 100` takes that of ludb where mitdb is not there, and says so."""
    (record / "ludb").mkdir()
    for file in (record / "d").glob("r.*"):
        file.rename(record / "ludb" / file.name)
    ended = CliRunner().invoke(app, ["annotate", "r", "--data-dir", str(record), "--out", "o", "--json", "-"])
    assert ended.exit_code == 0, ended.output
    assert "ludb/r" in ended.stderr
    assert [row["database"] for row in json.loads(ended.stdout)["records"]] == ["ludb"]
