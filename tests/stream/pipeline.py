"""A monitor and its topics for tests: frames in, what it said out."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from stream import kafka as clients
from stream import tail, topics, wire
from stream.frames import Frame, encode
from stream.protocols import Analysis
from stream.service import Service
from stream.settings import KafkaSettings, Settings
from tests.stream.fake import FakeWard, Output

#: What a monitor said in the end: the last state of each alert by id, and each bed's beats by sample.
Final = tuple[dict[str, bytes], dict[tuple[str, int], wire.Beat]]


def settings(**given: object) -> Settings:
    """Settings for a test: any port, quick snapshots, no silence unless asked for."""
    chosen: dict[str, object] = {"http_port": 0, "silent_after_s": 300, "checkpoint_s": 0.2, "log_format": "json"}
    return Settings.model_validate(chosen | given)


async def send(cluster: KafkaSettings, messages: Iterable[Frame | tuple[bytes | None, bytes]]) -> None:
    """Put frames, or raw keys and values, on `ecg.frames` in this order."""
    async with clients.producer(cluster) as out:
        for message in messages:
            key, value = (message.bed.encode(), encode(message)) if isinstance(message, Frame) else message
            await out.send(clients.topic(cluster, topics.FRAMES), value, key=key)
        await out.flush()


def expected(frames: Sequence[Frame]) -> Final:
    """What a ward says that gets the frames straight, one by one."""
    ward, all_said = FakeWard(), Output()
    for frame in frames:
        ward.detect([frame])
        said = ward.judge()
        all_said.alerts += said.alerts
        all_said.batches += said.batches
    return final(all_said.alerts, all_said.batches)


def final(alerts: Iterable[wire.Alert], batches: Iterable[wire.Batch]) -> Final:
    """Last words only."""
    return (
        {alert.id: wire.encode_alert(alert) for alert in alerts},
        {(batch.bed, beat.sample): beat for batch in batches for beat in batch.beats},
    )


async def said(cluster: KafkaSettings) -> Final:
    """What is on the topics now, without the repetitions a restart makes."""
    alerts: dict[str, bytes] = {}
    beats: dict[tuple[str, int], wire.Beat] = {}
    async for event in tail.follow(cluster, ["alerts", "beats"], since_s=None, until_end=True):
        assert not isinstance(event, tail.Unreadable), event
        if isinstance(event.what, wire.Alert):
            alerts[event.what.id] = wire.encode_alert(event.what)
        elif isinstance(event.what, wire.Beat):
            known = beats.setdefault((event.bed, event.what.sample), event.what)
            assert known == event.what, "a beat was said twice and differently"
    return alerts, beats


@contextlib.asynccontextmanager
async def monitor(
    cluster: KafkaSettings, ward: Analysis | None = None, chosen: Settings | None = None
) -> AsyncIterator[Service]:
    """A service in this process; it is stopped in good order at the end."""
    service = Service(chosen or settings(), cluster, FakeWard() if ward is None else ward)
    running = asyncio.create_task(service.run())
    try:
        yield service
    finally:
        service.stop()
        await running


async def until(condition: Callable[[], bool], service: Service | None = None, seconds: float = 30.0) -> None:
    """Wait for a condition; an ended service or too long a wait fails."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this takes too long"
        await asyncio.sleep(0.02)


def counter(service: Service, name: str, **labels: str) -> float:
    """A metric's value now."""
    return service.metrics.registry.get_sample_value(name, labels) or 0.0


def read_all(service: Service, frames: int) -> Callable[[], bool]:
    """Whether the service has read that many frames."""
    return lambda: counter(service, "telebeat_frames_total") >= frames
