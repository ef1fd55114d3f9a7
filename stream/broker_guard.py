"""A small process between telebeat and the broker's Java process: it ends the broker when telebeat is gone.

It runs as a script in an isolated interpreter (`python -I -S broker_guard.py '<job as JSON>'`) and needs nothing but
the standard library. Its standard input is a pipe whose other end telebeat holds: end of file means that telebeat wants
the broker to stop, or was killed; both are the same to it. Then the broker gets SIGTERM, its time to close its files
and at last SIGKILL; a temporary folder is removed. When a broker ends by itself its folder stays: the log is in it.
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

POLL_S = 0.05  # how soon the end of the pipe or of the broker is seen
PR_SET_PDEATHSIG = 1  # Linux, prctl(2): the signal this process gets when its parent dies


class Job(TypedDict):
    """What to run.

    Attributes
    ----------
    command : list of str
        The broker's command line.
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
    """Run the broker until it ends or the pipe does; its exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the terminal's Ctrl-C is telebeat's to handle
        signal.signal(number, signal.SIG_IGN)
    with Path(job["log"]).open("wb") as log:
        broker = subprocess.Popen(
            job["command"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  # no threads yet
        )
    pipe_ended = threading.Event()
    threading.Thread(target=_await_end_of_input, args=(pipe_ended,), daemon=True).start()
    while broker.poll() is None and not pipe_ended.wait(POLL_S):
        pass
    status = _stop(broker, job["grace_s"])
    if job["remove"] is not None and pipe_ended.is_set():
        shutil.rmtree(job["remove"], ignore_errors=True)
    return status


def _stop(broker: subprocess.Popen[bytes], grace_s: float) -> int:
    broker.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        return broker.wait(grace_s)
    broker.kill()
    return broker.wait()


def _await_end_of_input(ended: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):  # not `sys.stdin`: its lock would hold up the interpreter's end
        pass
    ended.set()


def _die_with_parent() -> None:
    """In the broker's process before Java starts: should this guard be killed, the broker is told to stop."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # an ignored signal would stay ignored in Java
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
