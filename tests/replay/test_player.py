"""Playing: beds and their ids, one schedule for all, and what arrives on a real Kafka."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import math
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import wfdb
from aiokafka import TopicPartition
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given, settings
from hypothesis import strategies as st

from replay import player
from replay.faults import Fault, parse
from replay.framing import frames, sample_us
from replay.player import TOPIC, BedRecord, Plan, Totals, assign, is_late, play, schedule
from replay.records import Record
from stream import kafka as clients
from stream import topics
from stream.errors import FrameError, KafkaError, SettingsError
from stream.frames import Frame, decode
from stream.settings import KafkaSettings
from tests.replay.examples import record, records


def test_each_record_once_gives_its_name() -> None:
    two = [record("208"), record("201")]
    assert [p.bed for p in assign(two)] == ["208", "201"]
    assert [p.bed for p in assign(two, 1, "ward3-")] == ["ward3-208"]
    assert [(p.bed, p.record.name) for p in assign(two, 3)] == [("208-1", "208"), ("201-1", "201"), ("208-2", "208")]
    assert [p.bed for p in assign([record("1"), record("1")])] == ["1-1", "1-2"]  # of two databases
    assert [p.first for p in assign([record(rate_mHz=360_000), record(rate_mHz=128_000)], start_s=2.5)] == [900, 320]


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=6), st.integers(1, 40))
def test_beds_differ_and_share_records_evenly(names: list[str], beds: int) -> None:
    patients = assign([record(name) for name in names], beds)
    assert len({p.bed for p in patients}) == beds
    assert [p.record.name for p in patients] == [names[i % len(names)] for i in range(beds)]


def test_beds_and_records_are_needed() -> None:
    for given_records, beds in (([], None), ([], 3), ([record()], 0), ([record()], -1)):
        with pytest.raises(SettingsError):
            assign(given_records, beds)
    with pytest.raises(SettingsError, match="one bed"):
        schedule([BedRecord("a", record()), BedRecord("a", record("other"))], Plan())


@given(st.lists(records(shortest=1, longest=1500), min_size=1, max_size=6), st.integers(50, 1000))
@settings(deadline=None, max_examples=40)
def test_the_schedule_is_every_bed_in_time(played: list[Record], frame_ms: int) -> None:
    patients = assign(played)
    packets = list(schedule(patients, Plan(frame_ms=frame_ms, clock="record")))
    assert all(a.due_s <= b.due_s for a, b in itertools.pairwise(packets))
    for i, patient in enumerate(patients):
        mine = [p for p in packets if p.frame.bed == patient.bed]
        samples = np.concatenate([p.frame.samples for p in mine])
        np.testing.assert_array_equal(samples, patient.record.samples)
        phase = i / len(patients) * frame_ms / 1000
        for packet in mine:  # due when its last sample has been taken
            end = packet.frame.first_sample + packet.frame.instants
            assert packet.due_s == pytest.approx(phase + end * 1000 / patient.record.rate_mHz)


def test_load_is_even() -> None:
    patients = assign([record(rate_mHz=200_000, length=4000)], 50)
    due = [p.due_s for p in schedule(patients, Plan())]
    counts = np.histogram(due, bins=np.arange(0.25, 20.0, 0.05) - 1e-6)[0]
    assert set(counts) == {10}  # 50 beds, 4 frames a second each: 10 in every 50 ms


def test_clocks_of_the_devices() -> None:
    patients = assign([record(rate_mHz=200_000, length=400)], 2, start_s=0.5)
    start_us = 1_700_000_000_000_000
    wall = {p.frame.bed: p.frame for p in reversed(list(schedule(patients, Plan(), start_us)))}
    assert wall["r-1"].device_time_us == start_us
    assert wall["r-2"].device_time_us == start_us + 125_000
    fixed = list(schedule(patients, Plan(clock="record"), start_us))
    assert all(p.frame.device_time_us == sample_us(p.frame.first_sample, 200_000) for p in fixed)


def test_a_cluster_that_stops_confirming_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for a broker that is gone would wait without end."""
    now = [100.0]
    monkeypatch.setattr("replay.player.time.monotonic", lambda: now[0])
    totals = Totals(beds=1)
    confirmed = player._Confirmed(totals)
    now[0] += 2 * player.UNCONFIRMED_S
    confirmed.check()  # nothing was sent, so nothing is owed
    totals.frames = 3
    now[0] += player.UNCONFIRMED_S - 1
    confirmed.check()
    totals.acknowledged = 1
    confirmed._since_s = now[0]  # one was confirmed
    now[0] += player.UNCONFIRMED_S - 1
    confirmed.check()
    now[0] += 2
    with pytest.raises(KafkaError, match="none of 2 frames"):
        confirmed.check()


def test_lateness() -> None:
    assert is_late(Totals(worst_lag_s=5.0), Plan())
    assert not is_late(Totals(worst_lag_s=0.1), Plan())
    assert not is_late(Totals(worst_lag_s=5.0), Plan(speed=math.inf))


async def read(kafka: KafkaSettings) -> list[tuple[int, bytes, bytes]]:
    """Partition, key and value of all that is on the topic of frames."""
    topic = clients.topic(kafka, TOPIC)
    found: list[tuple[int, bytes, bytes]] = []
    async with clients.consumer(kafka) as consumer:
        parts = [TopicPartition(topic, i) for i in range(kafka.partitions)]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        await consumer.seek_to_beginning()
        while any([await consumer.position(part) < ends[part] for part in parts]):
            for part, messages in (await consumer.getmany(timeout_ms=500)).items():
                found += [(part.partition, m.key, m.value) for m in messages]
    return found


def by_bed(messages: list[tuple[int, bytes, bytes]]) -> dict[str, list[Frame]]:
    beds: dict[str, list[Frame]] = collections.defaultdict(list)
    for _, key, value in messages:
        frame = decode(value)
        assert key == frame.bed.encode()
        beds[frame.bed].append(frame)
    return beds


async def test_as_fast_as_possible(kafka: KafkaSettings) -> None:
    """Every sample of every bed arrives once, in order, on the partition that Kafka's hash of the bed names."""
    await topics.create(kafka)
    played = [record("a", 360_000, 40_000), record("b", 128_000, 20_001, leads=12), record("c", 1_000_000, 30_000, 1)]
    patients = assign(played, 7)
    seen: list[int] = []
    before = time.time_ns() // 1000
    plan = Plan(speed=math.inf, clock="record")
    totals = await play(patients, plan, kafka, lambda now: seen.append(now.frames))
    messages = await read(kafka)
    partitions = list(range(kafka.partitions))
    assert all(p == DefaultPartitioner()(key, partitions, partitions) for p, key, _ in messages)
    beds = by_bed(messages)
    assert len(messages) == totals.frames == totals.acknowledged == seen[-1]
    assert seen[0] == 0
    assert totals.bytes == sum(len(value) for _, _, value in messages)
    for patient in patients:
        expected = frames(patient.record, patient.bed, origin_us=0)
        for frame, sent in zip(beds[patient.bed], expected, strict=True):
            assert before <= frame.ingest_time_us <= time.time_ns() // 1000
            assert frame == Frame(
                **{f: getattr(sent, f) for f in sent.__struct_fields__} | {"ingest_time_us": frame.ingest_time_us}
            )


async def test_at_pace(kafka: KafkaSettings) -> None:
    """Frames leave no sooner than they are due, and the whole takes as long as the signal."""
    await topics.create(kafka)
    speed = 20.0
    patients = assign([record(rate_mHz=200_000, length=200 * 30)], 4)
    start = time.time_ns() // 1000
    totals = await play(patients, Plan(speed=speed), kafka)
    beds = by_bed(await read(kafka))
    assert sum(map(len, beds.values())) == totals.frames == 4 * 120
    assert totals.signal_s == pytest.approx(30.0 + 0.25 * 3 / 4)
    for number, patient in enumerate(patients):
        for k, frame in enumerate(beds[patient.bed]):
            due_us = start + ((k + 1) * 0.25 + number / 16) / speed * 1e6
            assert frame.ingest_time_us >= due_us - 2_000  # the clocks of schedule and stamp differ
            assert frame.device_time_us >= start


async def test_faults_on_their_way(kafka: KafkaSettings) -> None:
    await topics.create(kafka)
    plan = Plan(speed=math.inf, faults=(Fault("corrupt", 0.1), Fault("duplicate", 0.1), parse("gap@10s:5s")), seed=3)
    patients = assign([record(rate_mHz=200_000, length=200 * 60)], 2)
    totals = await play(patients, plan, kafka)
    messages = await read(kafka)
    refused = 0
    for _, _, value in messages:
        try:
            decode(value)
        except FrameError:
            refused += 1
    assert refused == totals.faults["corrupt"] > 10
    assert totals.faults["gap"] == 2 * 20
    assert len(messages) == totals.frames == 2 * 240 - 2 * 20 + totals.faults["duplicate"]


async def test_cancelled_play_is_flushed(kafka: KafkaSettings) -> None:
    await topics.create(kafka)
    kept = Totals()
    enough = asyncio.Event()

    def report(now: Totals) -> None:
        nonlocal kept
        kept = now
        if now.frames >= 100:
            enough.set()

    task = asyncio.create_task(play(assign([record()], 3), Plan(loop=True, speed=50), kafka, report))
    await asyncio.wait_for(enough.wait(), 30)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    beds = by_bed(await read(kafka))
    assert sum(map(len, beds.values())) == kept.frames == kept.acknowledged
    assert all([f.seq for f in bed] == list(range(len(bed))) for bed in beds.values())


async def test_no_topic(kafka: KafkaSettings) -> None:
    with pytest.raises(KafkaError, match="telebeat topics create"):
        await play(assign([record()]), Plan(), kafka)


async def test_no_broker(unused_tcp_port: int) -> None:
    with pytest.raises(KafkaError, match="no Kafka broker answers"):
        await play(assign([record()]), Plan(), KafkaSettings(bootstrap=f"127.0.0.1:{unused_tcp_port}"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_command_ends_cleanly_on_signals(kafka: KafkaSettings, tmp_path: Path, number: int) -> None:
    await topics.create(kafka)
    samples = np.zeros((2000, 1), dtype=np.int64)
    wfdb.wrsamp(
        "one", 200, ["mV"], ["II"], d_signal=samples, fmt=["16"], adc_gain=[200], baseline=[0], write_dir=str(tmp_path)
    )
    environment = os.environ | {
        "TELEBEAT_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "TELEBEAT_KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
    }
    telebeat = ["-c", "from stream.__main__ import main; main()"]
    arguments = [*telebeat, "replay", "--records", "one", "--data-dir", str(tmp_path), "--loop", "--speed", "20"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=environment, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    while len(await read(kafka)) < 10:
        assert process.returncode is None
        await asyncio.sleep(0.05)
    process.send_signal(number)
    _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, errors.decode()
    sent = len(await read(kafka))
    assert f"{sent} frames ({sent} confirmed)" in " ".join(errors.decode().split())
