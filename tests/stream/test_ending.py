"""Commands that are told to end: one line, a status, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from stream import ending

ROOT = Path(__file__).resolve().parents[2]

#: A command whose two processes work for ten minutes, in a temporary folder.
SLOW = """
import sys, tempfile, time
from stream import cli, pool

@cli.app.command()
def slow():
    with tempfile.TemporaryDirectory():
        print("up", flush=True)
        list(pool.map_in_processes(time.sleep, [600, 600], 2))

sys.argv = ["telebeat", "slow"]
cli.main()
"""

#: `telebeat tail --out` after two beats, of a monitor that says no more. It looks as often as the real one: a signal
#: that comes between the interpreter's last look and the system's wait is answered when that wait is over.
TAIL = """
import asyncio, sys
from stream import cli, tail, wire

async def follow(*_):
    for sample in (100, 400):
        yield tail.Event("a", 360.0, wire.Beat(sample, "N", 0.9, 7, 800.0, 120.0, 320.0))
    print("up", flush=True)
    while True:
        await asyncio.sleep(tail.POLL_MS / 1000)

tail.follow = follow
cli.main()
"""


@contextmanager
def started(code: str, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process in a session of its own, once it has said that it is up."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(code: str) -> tuple[int, str]:
    """The status a program ends with, and what it has written to stderr."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=120)
    return done.returncode, done.stderr.strip()


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Its two workers and what Python starts beside them; waits until they are there."""
    deadline = time.monotonic() + 60
    while len(children := psutil.Process(process.pid).children(recursive=True)) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(children) == 3
    return children


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("group", [False, True])
def test_the_processes_of_a_command_end_with_it(
    number: signal.Signals, group: bool, loaded: bool, tmp_path: Path
) -> None:
    """A terminal sends Ctrl-C to all of them, `timeout` SIGTERM to one and then to all."""
    with started(SLOW, tmp_path) as process:
        children = family(process)
        if loaded:
            time.sleep(1.0)  # their modules are loaded by then, and nothing outside tells when
        process.send_signal(number)
        if group and number != signal.SIGKILL:
            os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=60)
        psutil.wait_procs(children, timeout=30)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    if number == signal.SIGKILL:
        return
    assert process.returncode == 128 + number
    assert errors.strip() == "telebeat: interrupted"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_second_signal_does_not_take_the_line_that_answers_the_first(number: str) -> None:
    """It comes while that is being printed."""
    code = (
        "import signal, sys\n"
        "from stream import cli\n"
        "class Console(cli.Console):\n"
        "    def print(self, *args, **options):\n"
        f"        signal.raise_signal(signal.{number})\n"
        "        super().print(*args, **options)\n"
        "cli.Console = Console\n"
        "@cli.app.command()\n"
        "def told(): signal.raise_signal(signal.SIGINT)\n"
        "sys.argv = ['telebeat', 'told']\n"
        "cli.main()\n"
    )
    assert ended(code) == (130, "telebeat: interrupted")


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_second_signal_while_python_is_torn_down_changes_no_status(number: str) -> None:
    """The interpreter has given its handlers back by then."""
    code = (
        "import signal, sys\n"
        "from stream import cli\n"
        "class Late:\n"
        f"    def __del__(self, ring=signal.raise_signal, number=signal.{number}): ring(number)\n"
        "sys.late = Late()\n"
        "@cli.app.command()\n"
        "def told(): signal.raise_signal(signal.SIGINT)\n"
        "sys.argv = ['telebeat', 'told']; cli.main()"
    )
    assert ended(code) == (130, "telebeat: interrupted")


@pytest.mark.parametrize(("same_s", "status"), [(0.0, 143), (600.0, 130)])
def test_a_signal_long_after_the_first_ends_what_does_not_end(same_s: float, status: int) -> None:
    """A thread that nobody can wait for; told twice at once, the signal is one."""
    code = (
        "import os, signal, sys, threading, time\n"
        "from stream import cli, ending\n"
        f"ending.SAME_S = {same_s}\n"
        "go_on = threading.Event()\n"
        "def ring():\n"
        "    while signal.getsignal(signal.SIGTERM) is ending._terminate: time.sleep(0.01)\n"
        "    time.sleep(0.2); os.kill(os.getpid(), signal.SIGTERM); time.sleep(0.5); go_on.set()\n"
        "@cli.app.command()\n"
        "def told():\n"
        "    threading.Thread(target=go_on.wait).start()\n"
        "    threading.Thread(target=ring, daemon=True).start()\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "sys.argv = ['telebeat', 'told']; cli.main()"
    )
    assert ended(code) == (status, "telebeat: interrupted")


def test_a_signal_that_wakes_nobody_is_answered_all_the_same() -> None:
    """As one that comes between the interpreter's last look and the system's wait; another thread has it here."""
    code = (
        "import signal, sys, threading, time\n"
        "from stream import cli, pool\n"
        "def ring():\n"
        "    main = threading.main_thread().ident\n"
        "    while sys._current_frames()[main].f_code.co_name != 'select': time.sleep(0.01)\n"
        "    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)\n"
        "@cli.app.command()\n"
        "def slow():\n"
        "    threading.Thread(target=ring, daemon=True).start()\n"
        "    list(pool.map_in_processes(time.sleep, [600, 600], 2))\n"
        "sys.argv = ['telebeat', 'slow']; cli.main()"
    )
    assert ended(code) == (143, "telebeat: interrupted")


@pytest.mark.parametrize("times", [1, 2])
def test_tail_writes_what_it_has(times: int, tmp_path: Path) -> None:
    with started(TAIL, tmp_path, "tail", "beats", "--out", str(tmp_path / "out")) as process:
        for _ in range(times):
            process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert errors == "telebeat: interrupted\n"
    assert (tmp_path / "out" / "a.tb").stat().st_size > 2


def test_what_fails_because_a_signal_was_dropped_in_it_is_no_bug() -> None:
    """Seen as Ctrl-C while a kernel is compiled, of which the compiler then finds no code."""
    code = (
        "import signal, sys, weakref\n"
        "from stream import cli, ending\n"
        "sys.unraisablehook = ending.deliver_again\n"
        "class One: pass\n"
        "def drop(_): signal.raise_signal(signal.SIGTERM)\n"
        "@cli.app.command()\n"
        "def slow():\n    one = One(); kept = weakref.ref(one, drop); del one; raise ValueError('no code')\n"
        "sys.argv = ['telebeat', 'slow']; cli.main()"
    )
    assert ended(code) == (143, "telebeat: interrupted")


@pytest.mark.parametrize(("number", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize(
    "rung_in",
    [
        "signal.setitimer(signal.ITIMER_REAL, 0.05)\n"
        "    while True: compile('x = 2 ** (' + '1 + ' * 90 + '1)', '', 'exec')",  # it folds constants
        "type('Two', (), {'one': One()})",  # Python 3.11 makes a RuntimeError of it
    ],
    ids=["compiler", "__set_name__"],
)
def test_no_signal_is_lost_in_what_python_does_by_itself(number: str, status: int, rung_in: str) -> None:
    code = (
        "import signal, sys\n"
        "from stream import cli\n"
        f"def ring(*_): signal.raise_signal(signal.{number})\n"
        "class One:\n    __set_name__ = ring\n"
        "signal.signal(signal.SIGALRM, ring)\n"
        f"@cli.app.command()\ndef slow():\n    {rung_in}\n"
        "sys.argv = ['telebeat', 'slow']; cli.main()"
    )
    assert ended(code) == (status, "telebeat: interrupted")


def test_what_is_put_off_comes_at_the_end() -> None:
    done = []

    def interrupted() -> None:
        with ending.put_off():
            signal.raise_signal(signal.SIGINT)
            done.append("wholly")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done == ["wholly"]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
