"""The demonstration: broker, replay and monitor as separate processes, watched as anybody else would watch them.

Nothing here takes part in the analysis. The figures are read where a user would read them: beats and alerts from their
topics, latencies from the monitor's `/latency`, counts from its `/metrics`, processor time from the operating system.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib.resources
import math
import os
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil
from prometheus_client.parser import text_string_to_metric_families

from replay.folders import database_of
from stream import kafka, tail, topics
from stream.board import STAGES, Board
from stream.broker import Broker, free_port
from stream.errors import ProcessError, RecordError, TelebeatError
from stream.processes import Child, cpu_seconds
from stream.settings import KafkaSettings, data_dirs, load_kafka

PARTITIONS: Final = 8  # of each topic: a ward's worth of parallel work, few enough to start at once
READY_S: Final = 600.0  # of the monitor; its first start ever compiles the kernels: minutes on a busy machine
LOOK_S: Final = 0.5  # between two looks at the pages, and two pictures
SETTLE_S: Final = 10.0  # at the end, for the monitor to finish what was sent
DATABASE: Final = "mitdb"  # shown first, since it is known to everybody who will look

#: Records of `DATABASE` in which something is to be seen in the first minute; others follow in their order.
SHOWN_FIRST: Final = ("208", "106", "119", "203", "215", "223", "201", "109")

Notify = Callable[[str], None]
Show = Callable[["View"], None]


@dataclasses.dataclass(frozen=True)
class Source:
    """What is played: options of `telebeat replay`, and what to call it."""

    name: str
    options: tuple[str, ...]


@dataclasses.dataclass
class View:
    """What there is to see at one moment."""

    source: str
    beds: int
    seconds: float = 0.0
    board: Board = dataclasses.field(default_factory=Board)
    latency: dict[str, Any] = dataclasses.field(default_factory=dict)
    counts: Counter[str] = dataclasses.field(default_factory=Counter)

    @property
    def headline(self) -> str:
        """One line about it."""
        return (
            f"{self.source}, {self.beds} beds, {self.seconds:.0f} s: {self.counts['frames']} frames, "
            f"{self.counts['beats']} beats, {sum(self.board.alerts.values())} alerts raised"
        )


def find_source(chosen: Path | None, beds: int) -> Source:
    """Real records where a data folder has them, else the scripted patients that ship.

    Parameters
    ----------
    chosen : Path, optional
        Folder to look in, and in no other.
    beds : int
        How many are to be filled; no more records than that are named.

    Raises
    ------
    RecordError
        If there is no record in the folder that was chosen.
    """
    from replay.records import find_records  # noqa: PLC0415  # wfdb is slow to import and the scripts do without

    for database in (DATABASE, None):
        for folder in data_dirs(chosen):
            with contextlib.suppress(RecordError):
                paths = {path.name: path for path in find_records([folder], None, database)}
                order = [*(n for n in SHOWN_FIRST if n in paths), *(n for n in sorted(paths) if n not in SHOWN_FIRST)]
                names = [str(paths[name]) for name in order[:beds]]
                return Source(f"records of {database_of(paths[order[0]].parent)}", tuple(names))
    if chosen is not None:
        raise RecordError(f"no WFDB records in {chosen}; name another --data-dir, or none for scripted patients")
    scripts = sorted(
        str(path) for path in importlib.resources.files("replay.patients").iterdir() if str(path).endswith(".ecg")
    )
    options = [option for path in scripts[:beds] for option in ("--script", path)]
    return Source("scripted patients (no records found)", tuple(options))


async def run(
    seconds: float | None,
    beds: int,
    speed: str,
    data_dir: Path | None,
    notify: Notify,
    show: Show,
    http_port: int = 0,
) -> dict[str, Any]:
    """Run the demonstration.

    Parameters
    ----------
    seconds : float or None
        How long; None: until the task is cancelled.
    beds, speed
        Of the replay.
    data_dir : Path or None
        Where to look for records first.
    notify : callable
        Told each step of the start.
    show : callable
        Told what there is to see, about twice a second.
    http_port : int
        Of the monitor's pages; 0: any free one.

    Returns
    -------
    dict
        The totals, as `--json` writes them. If the task is cancelled before the replay began, `CancelledError` is
        raised instead.

    Raises
    ------
    TelebeatError
        If a part cannot start or ends by itself; whatever had started has ended then.
    """
    source = await asyncio.to_thread(find_source, data_dir, beds)
    async with contextlib.AsyncExitStack() as stack:
        cluster, environment = await stack.enter_async_context(_cluster(notify))
        brokers = [process.pid for process in psutil.Process().children()]
        port = http_port or free_port()
        notify("starting the monitor (its first start compiles the kernels: a minute)")
        monitor = await stack.enter_async_context(_child(["monitor", "--http-port", str(port)], environment))
        pages = await stack.enter_async_context(_Pages(port))
        await _until_ready(pages, monitor)
        notify(f"starting the replay of {source.name}")
        arguments = ["replay", "--beds", str(beds), "--loop", "--speed", speed, *source.options]
        view = View(source.name, beds)
        follower = await stack.enter_async_context(_following(cluster, view.board))
        player = await stack.enter_async_context(_child(arguments, environment))
        await _until_played(pages, player)
        watch = _Watch({"monitor": [monitor.pid], "broker": brokers, "replay": [player.pid]})
        with contextlib.suppress(asyncio.CancelledError):  # Ctrl-C is a way to end, not an error
            await _watch(view, seconds, pages, (monitor, player), follower, watch, show)
        return await _total(view, pages, player, watch)


async def _watch(
    view: View,
    seconds: float | None,
    pages: _Pages,
    children: tuple[Child, ...],
    follower: asyncio.Task[None],
    watch: _Watch,
    show: Show,
) -> None:
    """Look on until the time is over."""
    while seconds is None or watch.elapsed < seconds:
        left = math.inf if seconds is None else seconds - watch.elapsed
        await asyncio.sleep(min(LOOK_S, max(0.0, left)))
        for child in children:
            child.check()
        if follower.done():
            follower.result()
        view.seconds = watch.elapsed
        try:
            view.latency = await pages.latency()
            view.counts = await pages.counts()
        except TelebeatError:
            await asyncio.sleep(LOOK_S)
            for child in children:
                child.check()  # one that has ended says why
            raise
        show(view)


async def _total(view: View, pages: _Pages, player: Child, watch: _Watch) -> dict[str, Any]:
    """Stop the replay, let the monitor finish, and add up."""
    shares = watch.stop()
    player.end()
    await player.ended()
    deadline = time.monotonic() + SETTLE_S
    settled = 0
    while settled < 2 and time.monotonic() < deadline:  # twice, as the gauge is brought up to date once a second
        await asyncio.sleep(1.0)
        counts = await pages.counts()
        settled = settled + 1 if counts["lag"] == 0 else 0
    latency = await pages.latency()
    return {
        "source": view.source,
        "seconds": round(watch.seconds, 3),
        "beds": view.beds,
        "frames": counts["frames"],
        "rejected": counts["rejected"],
        "lag": counts["lag"],
        "beats": counts["beats"],
        "alerts": {key.removeprefix("alert "): n for key, n in sorted(counts.items()) if key.startswith("alert ")},
        "latency_ms": {stage: latency[stage] for stage in STAGES},
        "cpu": shares,
    }


class _Watch:
    """Wall and processor time of groups of processes."""

    def __init__(self, groups: dict[str, list[int]]) -> None:
        self._groups = groups
        self._before = {name: cpu_seconds(pids) for name, pids in groups.items()}
        self._began = time.monotonic()
        self.seconds = 0.0

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def stop(self) -> dict[str, float | None]:
        """Share of one core each group used; None for a group that has no process here."""
        self.seconds = self.elapsed
        return {
            name: round((cpu_seconds(pids) - self._before[name]) / self.seconds, 4) if pids else None
            for name, pids in self._groups.items()
        }


class _Pages:
    """The monitor's pages."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"

    async def __aenter__(self) -> _Pages:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5.0))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ready(self) -> bool:
        """Whether the monitor analyses."""
        try:
            async with self._session.get(f"{self._base}/readyz") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def latency(self) -> dict[str, Any]:
        """Percentiles of each stage, ms."""
        return dict(await self._get("latency", as_json=True))

    async def counts(self) -> Counter[str]:
        """Totals of the monitor's counters."""
        counts: Counter[str] = Counter()
        for family in text_string_to_metric_families(await self._get("metrics", as_json=False)):
            for sample in family.samples:
                value = int(sample.value)
                match sample.name:
                    case "telebeat_frames_total":
                        counts["frames"] += value
                    case "telebeat_frames_rejected_total":
                        counts["rejected"] += value
                    case "telebeat_beats_total":
                        counts["beats"] += value
                    case "telebeat_lag_frames":
                        counts["lag"] += value
                    case "telebeat_alerts_raised_total" if value:
                        counts[f"alert {sample.labels['rule']}"] += value
        return counts

    async def _get(self, page: str, as_json: bool) -> Any:
        try:
            async with self._session.get(f"{self._base}/{page}") as answer:
                return await (answer.json() if as_json else answer.text())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ProcessError(f"the monitor does not answer on {self._base}/{page} ({error!r})") from error


@contextlib.asynccontextmanager
async def _cluster(notify: Notify) -> AsyncIterator[tuple[KafkaSettings, dict[str, str]]]:
    """A cluster with topics of this run's own: the one TELEBEAT_KAFKA_BOOTSTRAP names, else an embedded one."""
    if os.environ.get("TELEBEAT_KAFKA_BOOTSTRAP"):
        own = f"demo-{uuid.uuid4().hex[:8]}"
        given = {"topic_prefix": f"{own}.", "group": own}
        cluster = load_kafka(**given, partitions=PARTITIONS)
        notify(f"making topics on {cluster.bootstrap}")
        await topics.create(cluster)
        try:
            yield cluster, {f"TELEBEAT_KAFKA_{name.upper()}": value for name, value in given.items()}
        finally:
            async with kafka.admin(cluster) as admin:
                await admin.delete_topics([kafka.topic(cluster, name) for name in topics.TOPICS])
        return
    notify("starting Kafka")
    async with Broker(notify=notify) as broker:
        options = {"bootstrap": broker.bootstrap, "security_protocol": "PLAINTEXT", "topic_prefix": "", "group": "demo"}
        cluster = load_kafka(**options, partitions=PARTITIONS, replication=1)
        await topics.create(cluster)
        yield cluster, {f"TELEBEAT_KAFKA_{name.upper()}": value for name, value in options.items()}


@contextlib.asynccontextmanager
async def _child(arguments: list[str], environment: dict[str, str]) -> AsyncIterator[Child]:
    child = Child(arguments, environment)
    try:
        yield child
    finally:
        child.end()
        await child.ended()


@contextlib.asynccontextmanager
async def _following(cluster: KafkaSettings, board: Board) -> AsyncIterator[asyncio.Task[None]]:
    """A task that puts on the board what is said on the topics."""

    async def follow() -> None:
        async for event in tail.follow(cluster, list(tail.KINDS), since_s=None):
            if isinstance(event, tail.Event):
                board.add(event)

    task = asyncio.create_task(follow())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _until_played(pages: _Pages, player: Child) -> None:
    """Reading the records takes seconds that are no part of what is measured."""
    while not (await pages.counts())["frames"]:
        player.check()
        await asyncio.sleep(LOOK_S / 5)


async def _until_ready(pages: _Pages, monitor: Child) -> None:
    deadline = time.monotonic() + READY_S
    while not await pages.ready():
        monitor.check()
        if time.monotonic() > deadline:
            raise ProcessError(
                f"the monitor was not ready within {READY_S:.0f} s; its log ends with:\n{monitor.log_tail}"
            )
        await asyncio.sleep(LOOK_S / 5)
