from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from model.codes import CLASSES
from replay import script, script_files
from stream import board, demo
from stream import kafka as clients
from stream.board import STAGES, Board
from stream.errors import ProcessError, RecordError
from stream.processes import Child, cpu_seconds
from stream.settings import KafkaSettings
from stream.tail import Event
from stream.wire import Alert, Beat, Mark, Rule, alert_id
from tests.stream.pipeline import until

PYTHON = (sys.executable, "-c")
TELEBEAT = [*PYTHON, "from stream.__main__ import main; main()"]
ROOT = Path(__file__).resolve().parents[2]

# the table


def beat(label: str, rr_ms: float) -> Beat:
    return Beat(0, label, 1.0, 0, rr_ms, 100.0, 300.0)


def alert(bed: str, rule: Rule, onset: int, state: Literal["raised", "cleared"]) -> Alert:
    return Alert(
        alert_id(bed, rule.label, onset), bed, rule.label, "technical", "high", state, 250.0, onset, "", onset, "", {}
    )


beds = st.sampled_from(["101", "208", "[bold]"])
things = st.one_of(
    st.builds(beat, st.sampled_from(CLASSES), st.floats(0, 5000)),
    st.builds(Mark, st.integers(0, 9), st.sampled_from("+~[]"), st.sampled_from(["", "(N", "(AFIB", "(odd"])),
)
alerts = st.builds(alert, beds, st.sampled_from(list(Rule)), st.integers(0, 3), st.sampled_from(["raised", "cleared"]))
events = st.one_of(st.builds(Event, beds, st.just(250.0), things), alerts.map(lambda a: Event(a.bed, 250.0, a)))


def text(shown: Board) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(shown.render("headline", {"detect": {"p50": 1.25, "p99": None}}))
    return console.export_text()


@given(st.lists(events, max_size=60))
def test_the_board_shows_what_was_said_last(said: list[Event]) -> None:
    shown = Board()
    for event in said:
        shown.add(event)
    picture = text(shown)
    assert all(event.bed in picture for event in said)
    beats = [event for event in said if isinstance(event.what, Beat)]
    assert shown.beats.total() == len(beats)
    standing = {}
    for event in said:
        if isinstance(event.what, Alert):
            standing[event.what.id] = event.what.state == "raised"
    assert sum(len(bed.active) for bed in shown.beds.values()) == sum(standing.values())


def test_a_rate_is_the_mean_of_the_last_intervals() -> None:
    shown = Board()
    for rr_ms in (0.0, 3000.0, *[500.0] * board.RATE_BEATS):
        shown.add(Event("a", 360.0, beat("V", rr_ms)))
    assert shown.beds["a"].rate == pytest.approx(120)
    assert "V" * (board.RATE_BEATS + 2) in text(shown)


# where the records come from


def test_scripted_patients_play_where_there_are_no_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "data_dirs", lambda chosen: [tmp_path])
    with pytest.raises(RecordError, match="no WFDB records in"):
        demo.find_source(tmp_path, 3)  # not what was asked for
    source = demo.find_source(None, 3)
    assert "scripted" in source.name
    assert source.options[::2] == ("--script",) * 3
    assert all(Path(path).is_file() for path in source.options[1::2])


def test_records_are_preferred_and_mitdb_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "data_dirs", lambda chosen: [tmp_path])
    for database, names in {"aaa": ["x"], "mitdb": ["100", "106", "208"]}.items():
        (tmp_path / database).mkdir()
        for name in names:
            (tmp_path / database / f"{name}.hea").write_text(f"{name} 1 360 1\n{name}.dat 16 200 16 0 0 0 0 II\n")
            (tmp_path / database / f"{name}.dat").write_bytes(b"\0\0")
    source = demo.find_source(None, 8)
    assert source.name == "records of mitdb"
    assert [Path(path).name for path in source.options] == ["208", "106", "100"]


# processes


async def test_a_child_that_ends_by_itself_is_told_with_its_last_words() -> None:
    child = Child(["print('last words'); raise SystemExit(3)"], {}, PYTHON)
    await until(lambda: not child.running)
    with pytest.raises(ProcessError, match=r"(?s)status 3.*last words"):
        child.check()
    child.end()
    await child.ended()


async def test_a_child_ends_when_told_to_and_its_folder_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    child = Child(["import time; time.sleep(600)"], {"MARK": "x"}, PYTHON)
    child.check()
    await until(lambda: bool(psutil.Process(child.pid).children()))
    processes = psutil.Process(child.pid).children()
    assert cpu_seconds([child.pid]) > 0
    child.end()
    await child.ended()
    assert not processes[0].is_running()
    assert os.listdir(tmp_path) == []  # noqa: PTH208
    assert cpu_seconds([child.pid]) == 0


def test_a_child_dies_with_its_parent_and_its_folder_goes(tmp_path: Path) -> None:
    code = (
        "import sys, time; from stream.processes import Child; "
        "child = Child(['import time; time.sleep(600)'], {}, (sys.executable, '-c')); "
        "print('up', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([*PYTHON, code], env=own(tmp_path), stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        try:
            deadline = time.monotonic() + 60
            while len(processes_of(tmp_path)) < 2 and time.monotonic() < deadline:  # it has been forked, not begun
                time.sleep(0.05)
            assert len(processes_of(tmp_path)) >= 2
        finally:
            parent.kill()
    nothing_left(tmp_path)


# the whole


def own(folder: Path, **variables: str) -> dict[str, str]:
    """An environment by which everything a command starts or writes can be found."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TELEBEAT_KAFKA")}
    return {**kept, "TMPDIR": str(folder), **variables}


def processes_of(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR") == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def nothing_left(folder: Path) -> None:
    """No process of the command, and no file of it."""
    deadline = time.monotonic() + 20
    while processes_of(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(folder) == []
    assert [path.name for path in folder.iterdir() if path.name.startswith("telebeat")] == []


@pytest.mark.timeout(300)
async def test_the_demonstration_on_an_own_cluster(kafka: KafkaSettings, tmp_path: Path) -> None:
    records = tmp_path / "data"
    for name in ("a", "b", "c"):
        script_files.write(script.load(f'patient "{name}" rate 250 Hz leads II V1\nsinus 90 for 30 s'), records)
    done = await asyncio.to_thread(
        subprocess.run,
        [*TELEBEAT, "demo", "--seconds", "4", "--beds", "3", "--json", "-", "--data-dir", str(records)],
        env=own(tmp_path, TELEBEAT_KAFKA_BOOTSTRAP=kafka.bootstrap),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    totals = json.loads(done.stdout)
    assert totals["beds"] == 3
    assert totals["seconds"] >= 4
    assert totals["frames"] >= 3 * 3 * 4
    assert totals["beats"] > 3
    assert totals["rejected"] == totals["lag"] == 0
    assert set(totals["latency_ms"]) == set(STAGES)
    assert all(totals["latency_ms"][stage]["count"] > 0 for stage in STAGES if stage != "frame_to_alert")
    assert totals["cpu"]["monitor"] > 0
    assert totals["cpu"]["replay"] > 0
    assert totals["cpu"]["broker"] is None
    async with clients.admin(kafka) as admin:
        assert [name for name in await admin.list_topics() if name.startswith("demo-")] == []
    nothing_left(tmp_path)


@pytest.mark.timeout(300)
def test_ctrl_c_while_it_runs_ends_with_the_totals(bootstrap: str, tmp_path: Path) -> None:
    totals = tmp_path / "totals.json"
    process = subprocess.Popen(
        [*TELEBEAT, "demo", "--beds", "2", "--json", str(totals)],
        env=own(tmp_path, TELEBEAT_KAFKA_BOOTSTRAP=bootstrap),
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if " frames, " in line:
            process.send_signal(signal.SIGINT)
            break
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(totals.read_text())["frames"] > 0
    nothing_left(tmp_path)


@pytest.mark.parametrize("where", ["weakref.ref(one, interrupt)", "weakref.finalize(one, interrupt, None)"])
def test_an_interrupt_that_comes_where_python_drops_it_is_delivered_again(where: str) -> None:
    """Seen as Ctrl-C in a callback of the import system, after which the demonstration went on."""
    code = (
        "import signal, sys, time, types, weakref\n"
        "class One: pass\n"
        "def interrupt(_): signal.raise_signal(signal.SIGINT)\n"
        f"def run():\n    one = One(); kept = {where}; del one; time.sleep(600); print('it went on')\n"
        "sys.modules['stream.cli'] = types.SimpleNamespace(main=run)\n"
        "from stream.__main__ import main; main()"
    )
    done = subprocess.run([*PYTHON, code], capture_output=True, timeout=60, check=False, cwd=ROOT)
    assert not done.stdout
    assert done.returncode in (130, -signal.SIGINT)
    assert b"KeyboardInterrupt" in done.stderr


@pytest.mark.kafka
@pytest.mark.timeout(300)
@pytest.mark.parametrize("after_s", [0.3, 1.5, 4.0, 8.0])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_at_any_moment_leaves_nothing_behind(number: signal.Signals, after_s: float, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*TELEBEAT, "demo", "--beds", "2"],
        env=own(tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    time.sleep(after_s)
    process.send_signal(number)
    try:
        _, errors = process.communicate(timeout=60)
    finally:  # a failure here is to fail no test after this one
        process.kill()
        process.communicate()
    # before typer runs, Python itself answers the signal
    assert process.returncode in (0, 130, 128 + number, -number), errors.decode()
    nothing_left(tmp_path)


@pytest.mark.kafka
@pytest.mark.timeout(300)
def test_a_killed_demonstration_leaves_nothing_behind(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*TELEBEAT, "demo", "--beds", "2"],
        env=own(tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    deadline = time.monotonic() + 60
    while len(processes_of(tmp_path)) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    nothing_left(tmp_path)
