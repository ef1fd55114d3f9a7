"""A small process between telebeat and a program it runs: it ends that program when telebeat is gone.

The program is a broker's Java, or a `telebeat` command in a process of its own. The guard runs as a script in an
isolated interpreter (`python -I -S process_guard.py '<job as JSON>'`) and needs nothing but the standard library. Its
standard input is a pipe whose other end telebeat holds: end of file means that telebeat wants the program to stop, or
was killed; both are the same to it. Then the program gets SIGTERM, its time to finish and at last SIGKILL; a temporary
folder is removed. When a program ends by itself its folder stays: the log is in it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TypedDict

POLL_S = 0.05  # how soon the end of the pipe or of the program is seen
PR_SET_PDEATHSIG = 1  # Linux, prctl(2): the signal this process gets when its parent dies


class Job(TypedDict):
    """What to run.

    Attributes
    ----------
    command : list of str
        The program's command line.
    log : str
        File that takes its output; written anew.
    remove : str or None
        Folder to delete when telebeat is done with it.
    grace_s : float
        Seconds from SIGTERM to SIGKILL.
    """

    command: list[str]
    log: str
    remove: str | None
    grace_s: float


def main(job: Job) -> int:
    """Run the program until it ends or the pipe does; its exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the terminal's Ctrl-C is telebeat's to handle
        signal.signal(number, signal.SIG_IGN)
    with Path(job["log"]).open("wb") as log:
        program = subprocess.Popen(
            job["command"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  # no threads yet
        )
    pipe_ended = threading.Event()
    threading.Thread(target=_await_end_of_input, args=(pipe_ended,), daemon=True).start()
    while program.poll() is None and not pipe_ended.wait(POLL_S):
        pass
    status = _stop(program, job["grace_s"])
    if job["remove"] is not None and pipe_ended.is_set():
        shutil.rmtree(job["remove"], ignore_errors=True)
    return status


def _stop(program: subprocess.Popen[bytes], grace_s: float) -> int:
    program.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        return program.wait(grace_s)
    program.kill()
    return program.wait()


def _await_end_of_input(ended: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):  # not `sys.stdin`: its lock would hold up the interpreter's end
        pass
    ended.set()


def _die_with_parent() -> None:
    """In the program's process before it starts: should this guard be killed, the program is told to stop."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # an ignored signal would stay ignored in the program
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
