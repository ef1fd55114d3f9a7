"""Kafka goes away and comes back: the worker says so, loses nothing, and ends in good order if it is told to."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stream import kafka as clients
from stream import lag, topics
from stream import service as services
from stream.broker import Broker, free_port
from stream.frames import Frame
from stream.settings import KafkaSettings
from tests.stream.frames_of import stream_of
from tests.stream.pipeline import counter, expected, monitor, read_all, said, send, settings, until

pytestmark = pytest.mark.kafka


@pytest.fixture
async def broker(tmp_path: Path, bootstrap: str) -> AsyncIterator[Broker]:
    """A broker of the test's own that keeps its port and its topics; `bootstrap` skips where none can be had."""
    async with Broker(port=free_port(), data_dir=tmp_path / "kafka") as broker:
        yield broker


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "FRESH_S", 1.0)
    monkeypatch.setattr(lag, "FRESH_S", 1.0)
    monkeypatch.setattr(services, "HEALTHY_S", 1.5)
    monkeypatch.setattr(clients, "STOP_S", 1.0)


def cluster_of(broker: Broker) -> KafkaSettings:
    return KafkaSettings(bootstrap=broker.bootstrap, group="g", partitions=2)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def frames_of(beds: str, count: int, clock: Clock | None = None) -> list[Frame]:
    stamps = {} if clock is None else {"ingest_us": int(clock() * 1e6)}
    return [f for group in zip(*(stream_of(bed, count, **stamps) for bed in beds), strict=True) for f in group]


async def test_an_outage_is_told_and_outlived(broker: Broker) -> None:
    cluster = cluster_of(broker)
    await topics.create(cluster)
    frames = frames_of("abc", 40)
    await send(cluster, frames[:60])
    async with monitor(cluster) as service:
        await until(read_all(service, 60))
        await until(lambda: service.unready() is None)
        await broker.stop()
        await until(lambda: service.unready() is not None)
        assert "Kafka" in str(service.unready())
        assert counter(service, "telebeat_kafka_up") == counter(service, "telebeat_ready") == 0
        await asyncio.sleep(2 * services.HEALTHY_S)
        assert service.unhealthy() is None, "a restart would not bring Kafka back"
        await broker.start()
        await until(lambda: service.unready() is None, seconds=60)
        assert counter(service, "telebeat_kafka_up") == 1
        await send(cluster, frames[60:])
        await until(read_all(service, len(frames)), seconds=60)
    assert await said(cluster) == expected(frames)


async def test_the_end_of_an_outage_calls_no_bed_silent(broker: Broker, clock: Clock) -> None:
    cluster = cluster_of(broker)
    await topics.create(cluster)
    await send(cluster, frames_of("abc", 20, clock))
    async with monitor(cluster, chosen=settings(silent_after_s=300)) as service:
        service._clock = clock
        await until(read_all(service, 60))
        await until(lambda: service.unready() is None)
        await broker.stop()
        await until(lambda: service.unready() is not None)
        await asyncio.sleep(0.5)  # a few turns in the outage
        clock.seconds += 1e4
        await broker.start()
        await until(lambda: service.unready() is None, seconds=60)
        await asyncio.sleep(2.5 * services.HOUSEKEEPING_S)  # gateways have begun to send again, but not yet these beds'
        assert counter(service, "telebeat_beds_silent") == 0


async def test_a_silence_that_kafka_does_not_take_does_not_hold_up_the_end(
    broker: Broker, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "FRESH_S", 1e9)  # the broker dies in the midst of it, and it is not known yet
    monkeypatch.setattr(services, "DRAIN_S", 0.5)
    cluster = cluster_of(broker)
    await topics.create(cluster)
    frames = frames_of("abc", 20, clock)
    await send(cluster, frames)
    async with asyncio.timeout(60):
        async with monitor(cluster, chosen=settings(silent_after_s=0.5, checkpoint_s=3600)) as service:
            service._clock = clock
            await until(read_all(service, len(frames)))
            await until(lambda: service.unready() is None and not service._publisher.in_flight)
            await broker.stop()
            clock.seconds += 60.0
            await until(lambda: bool(service._checkpoints._writing))
    await broker.start()
    async with monitor(cluster) as service:
        await until(read_all(service, len(frames)), seconds=60)
    assert await said(cluster) == expected(frames)


async def test_what_is_given_up_in_an_outage_ends_quietly_at_any_moment(broker: Broker) -> None:
    """Also while it waits for its next attempt."""
    cluster = cluster_of(broker)
    await topics.create(cluster)
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    producers = [clients.producer(cluster) for _ in range(8)]
    for producer in producers:
        await producer.start()
        await producer.send_and_wait(clients.topic(cluster, topics.ALERTS), b"before", b"id", partition=0)
    await broker.stop()
    futures = [await p.send(clients.topic(cluster, topics.ALERTS), b"after", b"id", partition=0) for p in producers]
    for producer, future in zip(producers, futures, strict=True):
        await asyncio.sleep(0.08)
        producer.give_up()
        await producer.stop()
        assert future.exception() is not None
    gc.collect()
    await asyncio.sleep(0.1)
    assert not complaints


async def test_the_end_in_an_outage_is_quiet(broker: Broker) -> None:
    cluster = cluster_of(broker)
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    await topics.create(cluster)
    frames = frames_of("abc", 20)
    await send(cluster, frames)
    async with monitor(cluster) as service:
        await until(read_all(service, len(frames)))
        await broker.stop()
        await until(lambda: service.unready() is not None)
        await asyncio.sleep(1.0)  # snapshots and a commit are tried and wait
    gc.collect()
    await asyncio.sleep(0.1)
    assert not complaints
    assert not [task for task in asyncio.all_tasks() if "aiokafka" in repr(task.get_coro())]
