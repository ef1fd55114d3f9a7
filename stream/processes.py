"""Parts of telebeat as processes of their own that never outlive the one that started them.

Each runs under `stream.process_guard`, in a session of its own: Ctrl-C in the terminal reaches the parent alone. When
the parent is gone, however it ended, the guard tells the child to stop and removes its folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil

from stream import process_guard
from stream.errors import ProcessError

GRACE_S: Final = 8.0  # from SIGTERM to SIGKILL; the monitor drains within 5 s
POLL_S: Final = 0.02
TELEBEAT: Final = (sys.executable, "-c", "from stream.__main__ import main; main()")
TAIL_LINES: Final = 12  # of a log in an error: enough for the end of a traceback, or a Java exception's head


class Child:
    """A `telebeat` command in a process of its own.

    Parameters
    ----------
    arguments : sequence of str
        Of `telebeat`, such as ``["monitor", "--log-level", "info"]``.
    environment : mapping of str to str
        Added to this process's own.
    program : sequence of str
        What the arguments are for.
    """

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], program: Sequence[str] = TELEBEAT
    ) -> None:
        self.name = arguments[0]
        self._folder = Path(tempfile.mkdtemp(prefix=f"telebeat-{self.name}-"))
        self._log = self._folder / "log"
        job: process_guard.Job = {
            "command": [*program, *arguments],
            "log": str(self._log),
            "remove": str(self._folder),
            "grace_s": GRACE_S,
        }
        self._guard = start_guarded(job, environment)

    @property
    def pid(self) -> int:
        """Of the guard; the command is its child."""
        return self._guard.pid

    @property
    def running(self) -> bool:
        """Whether the command has not ended yet."""
        return self._guard.poll() is None

    @property
    def log_tail(self) -> str:
        """The last lines it wrote."""
        return tail_of(self._log)

    def check(self) -> None:
        """Raise `ProcessError` with the end of its log if it has ended."""
        if not self.running:
            raise ProcessError(
                f"telebeat {self.name} ended by itself (status {self._guard.returncode}); its log ends with:\n"
                f"{self.log_tail or '(empty)'}"
            )

    def end(self) -> None:
        """Tell it to stop; returns at once."""
        assert self._guard.stdin is not None
        self._guard.stdin.close()

    async def ended(self) -> None:
        """Wait for its end after `end`; it is killed if it takes too long. Its folder is gone then."""
        deadline = time.monotonic() + GRACE_S + 2
        while self.running:
            if time.monotonic() > deadline:
                self._guard.kill()
            await asyncio.sleep(POLL_S)
        shutil.rmtree(self._folder, ignore_errors=True)


def start_guarded(job: process_guard.Job, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a guard and its job, in a session of their own: Ctrl-C in the terminal must reach telebeat alone."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(Path(process_guard.__file__)), json.dumps(job)],
        stdin=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, **(environment or {})},
    )


def text_of(log: Path | None) -> str:
    """What a log holds so far; nothing before there is one."""
    if log is None or not log.exists():
        return ""
    return log.read_text(encoding="utf-8", errors="replace").strip()


def tail_of(log: Path | None, leave_out: tuple[str, ...] = ()) -> str:
    """The last lines of a log, without those that begin with one of these."""
    lines = [line for line in text_of(log).splitlines() if not line.startswith(leave_out)]
    return "\n".join(lines[-TAIL_LINES:])


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time used so far by processes and all they started; what has ended counts no more."""
    total = 0.0
    for pid in pids:
        try:
            family = [(process := psutil.Process(pid)), *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
        for member in family:
            try:
                times = member.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
    return total
