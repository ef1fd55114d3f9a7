"""telebeat's parts as the processes a user starts, a cluster for them, and what every result says about its machine."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import importlib.metadata
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import psutil

from stream import kafka, topics
from stream.broker import Broker, free_port
from stream.errors import ProcessError, TelebeatError
from stream.processes import TELEBEAT, Child
from stream.settings import KafkaSettings, load_kafka

ROOT: Final = Path(__file__).resolve().parents[1]
READY_S: Final = 400.0  # of a monitor whose kernels are still to be compiled on a busy machine
STOP_S: Final = 60.0  # of a command that was told to
PARTITIONS: Final = 8  # as in the demo
VERSIONS_OF: Final = ("telebeat", "numpy", "numba", "aiokafka", "msgspec", "wfdb")


def spread(values: Sequence[float], digits: int = 1) -> dict[str, float]:
    """Minimum, median and maximum."""
    named = {"min": min(values), "median": statistics.median(values), "max": max(values)}
    return {name: round(value, digits) for name, value in named.items()}


def spread_text(named: dict[str, float]) -> str:
    """``median (min to max)``."""
    return f"{named['median']:g} ({named['min']:g} to {named['max']:g})"


def _git(*words: str) -> str:
    """What git says of the checkout; nothing where there is no git or no checkout."""
    with contextlib.suppress(OSError):
        told = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        return told.stdout.strip() if told.returncode == 0 else ""
    return ""


def machine() -> dict[str, Any]:
    """When, of which state of the code, on what, and how busy it was before."""
    model = ""
    with contextlib.suppress(OSError):
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
        model = found[1] if found else ""
    commit = _git("rev-parse", "--short=10", "HEAD")
    if commit and _git("status", "--porcelain", "--", ".", ":!benchmarks/results"):  # which the benchmarks write
        commit += "-dirty"
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "commit": commit or None,
        "cpu": model or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS_OF},
    }


def numbers_file(text: str) -> Path:
    """Where `--json` writes; the standard output has the tables.

    Raises
    ------
    argparse.ArgumentTypeError
        If it is named as that is.
    """
    if text == "-":
        raise argparse.ArgumentTypeError("the tables go to the standard output; name a file for the figures")
    return Path(text)


def write(file: Path | None, figures: dict[str, Any]) -> None:
    """Write figures as JSON where a file is given."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def read_beats(
    description: str,
    measure: Callable[[Path | None, Path | None], dict[str, Any]],
    show: Callable[[dict[str, Any]], None],
) -> None:
    """The command of a benchmark of the beat reader: `measure` on a data folder with a model, `show`, write."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data-dir", type=Path, help="folder of WFDB databases")
    parser.add_argument("--model", type=Path, help="folder of a trained model; default: the shipped one")
    parser.add_argument("--json", type=numbers_file, help="file for the figures")
    arguments = parser.parse_args()
    try:
        figures = measure(arguments.data_dir, arguments.model)
    except TelebeatError as error:
        sys.exit(f"error: {error}")
    show(figures)
    write(arguments.json, figures)


def telebeat(*arguments: str, cluster: KafkaSettings | None = None) -> str:
    """Run a command to its end.

    Returns
    -------
    str
        What it wrote.

    Raises
    ------
    ProcessError
        If it failed.
    """
    done = subprocess.run(
        [*TELEBEAT, *arguments],
        env={**os.environ, **environment(cluster)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ProcessError(f"telebeat {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


@contextlib.contextmanager
def process(command: Sequence[str], log: BinaryIO) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs beside; it is told to stop should the block be left before its end."""
    running = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield running
    finally:
        if running.poll() is None:
            running.terminate()
        running.wait(STOP_S)


def environment(cluster: KafkaSettings | None) -> dict[str, str]:
    """The variables that point a command at a cluster."""
    if cluster is None:
        return {}
    return {
        f"TELEBEAT_KAFKA_{name.upper()}": str(getattr(cluster, name))
        for name in ("bootstrap", "topic_prefix", "group", "partitions")
    }


@contextlib.contextmanager
def own_cluster() -> Iterator[KafkaSettings]:
    """The cluster in TELEBEAT_KAFKA_BOOTSTRAP, else an embedded one; with topics and a group of this run's own."""
    own = f"bench-{uuid.uuid4().hex[:8]}"
    names: dict[str, Any] = {"topic_prefix": f"{own}.", "group": own, "partitions": PARTITIONS}
    if os.environ.get("TELEBEAT_KAFKA_BOOTSTRAP"):
        cluster = load_kafka(**names)
        try:
            yield cluster
        finally:
            asyncio.run(_delete_topics(cluster))
        return
    with Broker() as broker:
        yield KafkaSettings(bootstrap=broker.bootstrap, **names)


class Monitor:
    """`telebeat monitor` in a process of its own, ready when the block begins, drained when it ends."""

    def __init__(self, cluster: KafkaSettings, *options: str) -> None:
        self._cluster = cluster
        self._options = options
        self.port = 0

    def __enter__(self) -> Monitor:
        self.port = free_port()
        self._child = Child(["monitor", "--http-port", str(self.port), *self._options], environment(self._cluster))
        try:
            self._until(lambda: self._page("readyz") is not None, READY_S, "it did not get ready")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._child.end()
        asyncio.run(self._child.ended())

    @property
    def frames(self) -> int:
        """Messages read so far, the refused ones among them."""
        page = self._page("metrics") or ""
        found = re.findall(r"^telebeat_frames(?:_rejected)?_total(?:\{.*\})? (\S+)$", page, re.MULTILINE)
        return round(sum(map(float, found)))

    @property
    def latency(self) -> dict[str, Any]:
        """Percentiles of each stage, ms."""
        return dict(json.loads(self._page("latency") or "{}"))

    def wait_for_all(self, seconds: float) -> int:
        """Wait until everything that is on `ecg.frames` now was read; returns how much that is."""
        sent = asyncio.run(_on_frames(self._cluster))
        self._until(lambda: self.frames >= sent, seconds, f"it did not read all of {sent} frames")
        return sent

    def _until(self, condition: Any, seconds: float, otherwise: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            self._child.check()
            if time.monotonic() > deadline:
                raise ProcessError(f"the monitor: {otherwise} in {seconds:g} s; its log:\n{self._child.log_tail}")
            time.sleep(0.1)

    def _page(self, name: str) -> str | None:
        """A page, or None when it is refused."""
        url = f"http://127.0.0.1:{self.port}/{name}"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
        return None


async def _on_frames(cluster: KafkaSettings) -> int:
    """Messages on `ecg.frames`."""
    name = kafka.topic(cluster, topics.FRAMES)
    async with kafka.consumer(cluster, name) as reader:
        ends = await reader.end_offsets(list(reader.assignment()))
    return sum(ends.values())


async def _delete_topics(cluster: KafkaSettings) -> None:
    async with kafka.admin(cluster) as admin:
        await admin.delete_topics([kafka.topic(cluster, name) for name in topics.TOPICS])
