"""How fast and how small the Kafka side is: `python -m benchmarks.kafka_client [--json FILE]`.

Against the embedded broker, or the one in TELEBEAT_KAFKA_BOOTSTRAP:

* producer: frames of 2 leads, 250 ms at 360 Hz (as encoded by `stream.frames`), idempotent, per compression;
* consumer: the same frames by `getmany`;
* round trip: one frame at a time, from before `send` until `getmany` returns it, at 64 beds' pace;
* broker: time from the start to the first answer and resident memory, idle and after the load.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import psutil
from aiokafka.admin import NewTopic

from benchmarks import parts
from stream import kafka
from stream.broker import Broker
from stream.frames import Frame, encode
from stream.settings import KafkaSettings, load_kafka

PARTITIONS = 16
BEDS = 64
RATE_HZ = 360
PACE_S = 0.25 / BEDS  # 64 beds, four frames a second each


def frames(count: int) -> list[tuple[bytes, bytes]]:
    """Key and value of `count` frames: a wandering baseline with noise, as hard to compress as an ECG."""
    rng = np.random.default_rng(0)
    leads, instants = ("MDC_ECG_LEAD_II", "MDC_ECG_LEAD_V1"), RATE_HZ // 4
    messages = []
    for i in range(count):
        bed, seq = f"bed-{i % BEDS:02d}", i // BEDS
        samples = np.cumsum(rng.normal(0, 4, (instants, 2)), axis=0).astype("<i2")
        now = 1_700_000_000_000_000 + seq * 250_000
        frame = Frame(bed, seq, seq * instants, now, now, RATE_HZ * 1000, leads, (0.005, 0.005), samples.tobytes())
        messages.append((bed.encode(), encode(frame)))
    return messages


async def produce(settings: KafkaSettings, topic: str, messages: list[tuple[bytes, bytes]], **options: Any) -> float:
    """Records a second, from the first `send` to the last acknowledgement."""
    async with kafka.producer(settings, **options) as out:
        began = time.perf_counter()
        pending = [await out.send(topic, value, key=key) for key, value in messages]
        await asyncio.gather(*pending)
        return len(messages) / (time.perf_counter() - began)


async def consume(settings: KafkaSettings, topic: str, count: int) -> float:
    """Records a second, from the first `getmany` to the last record."""
    async with kafka.consumer(settings, topic) as reader:
        began, got = time.perf_counter(), 0
        while got < count:
            got += sum(map(len, (await reader.getmany(timeout_ms=1000)).values()))
        return got / (time.perf_counter() - began)


async def round_trips(
    settings: KafkaSettings, topic: str, messages: list[tuple[bytes, bytes]], **options: Any
) -> list[float]:
    """Milliseconds from before `send` to the return of `getmany`, of each message, sent at the ward's pace."""
    sent: dict[int, float] = {}
    took: list[float] = []

    async def read(reader: kafka.Consumer) -> None:
        while len(took) < len(messages):
            for records in (await reader.getmany(timeout_ms=1000)).values():
                now = time.perf_counter()
                took.extend((now - sent[int(record.headers[0][1])]) * 1000 for record in records)

    consumer = kafka.consumer(settings, topic, auto_offset_reset="latest")
    async with kafka.producer(settings, **options) as out, consumer as reader:
        await reader.seek_to_end()
        task = asyncio.create_task(read(reader))
        begin = time.perf_counter()
        for i, (key, value) in enumerate(messages):
            await asyncio.sleep(max(0.0, begin + i * PACE_S - time.perf_counter()))
            sent[i] = time.perf_counter()
            await out.send(topic, value, key=key, headers=[("n", str(i).encode())])
        await task
    return took


def resident_mb() -> float | None:
    """Resident memory of this program's Java process, MB."""
    for child in psutil.Process().children(recursive=True):
        if child.name().startswith("java"):
            return round(child.memory_info().rss / 1e6)
    return None


@asynccontextmanager
async def cluster(report: dict[str, Any]) -> AsyncIterator[KafkaSettings]:
    """The settings of the broker to measure; the embedded one is started and measured itself."""
    if "TELEBEAT_KAFKA_BOOTSTRAP" in os.environ:
        yield load_kafka()
        return
    async with Broker():
        pass  # the first start ever fetches and prepares; it is not what is measured
    began = time.perf_counter()
    async with Broker() as broker:
        report["broker_ready_s"] = round(time.perf_counter() - began, 2)
        report["broker_idle_mb"] = resident_mb()
        yield KafkaSettings(bootstrap=broker.bootstrap)
        report["broker_loaded_mb"] = resident_mb()


async def measure(count: int) -> dict[str, Any]:
    """All figures."""
    report: dict[str, Any] = {"records": count}
    messages = frames(count)
    report["record_bytes"] = len(messages[0][1])
    async with cluster(report) as settings:
        own = f"bench-{os.getpid()}"
        names = {"plain": f"{own}-plain", "gzip": f"{own}-gzip", "trips": f"{own}-trips"}
        async with kafka.admin(settings) as admin:
            await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names.values()])
        try:
            for kind, compression in (("plain", None), ("gzip", "gzip")):
                rate = await produce(settings, names[kind], messages, compression_type=compression)
                report[f"producer_{kind}_records_s"] = round(rate)
                report[f"getmany_{kind}_records_s"] = round(await consume(settings, names[kind], count))
            for linger in (0, kafka.LINGER_MS):
                took = await round_trips(settings, names["trips"], messages[: 10 * 4 * BEDS], linger_ms=linger)
                percent = statistics.quantiles(took, n=100)
                report[f"round_trip_linger{linger}_p50_ms"] = round(percent[49], 2)
                report[f"round_trip_linger{linger}_p99_ms"] = round(percent[98], 2)
        finally:
            async with kafka.admin(settings) as admin:
                await admin.delete_topics(list(names.values()))
    return report


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description="Measure the Kafka client and the embedded broker.")
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--json", type=parts.numbers_file, help="file for the figures")
    arguments = parser.parse_args()
    report = asyncio.run(measure(arguments.records))
    text = json.dumps(report, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
