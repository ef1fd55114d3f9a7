from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence, Set
from functools import partial

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewPartitions

from stream import kafka as clients
from stream import topics
from stream.checkpoint import Checkpoints
from stream.errors import KafkaError
from stream.frames import MAGIC, REASONS, Frame, encode
from stream.kafka import Consumer
from stream.lag import BrokerAnswer
from stream.publisher import Publisher
from stream.service import Service
from stream.settings import KafkaSettings
from stream.snapshots import Snapshot
from stream.suspension import SuspensionGuard
from stream.wire import Rule
from tests.stream.fake import FakeWard
from tests.stream.frames_of import frame, stream_of
from tests.stream.pipeline import counter, expected, monitor, read_all, said, send, settings, until

BEDS = ("a", "b", "c", "d")


def interleaved(count: int, beds: tuple[str, ...] = BEDS) -> list[Frame]:
    return [f for group in zip(*(stream_of(bed, count) for bed in beds), strict=True) for f in group]


async def test_what_goes_in_comes_out_analysed(kafka: KafkaSettings) -> None:
    await topics.create(kafka)
    frames = interleaved(40)
    await send(kafka, frames)
    async with monitor(kafka) as service:
        await until(read_all(service, len(frames)))
    alerts, beats = await said(kafka)
    assert (alerts, beats) == expected(frames)
    assert alerts
    assert len(beats) > 50
    assert counter(service, "telebeat_frame_to_alert_seconds_count") == counter(
        service, "telebeat_alert_publishes_total"
    )


def broken(good: Frame) -> Mapping[str, tuple[bytes | None, bytes]]:
    """A malformed message for each field of a frame and each reason of refusal, under the bed's key."""
    key = good.bed.encode()
    change = msgspec.structs.replace
    body = encode(good)
    frames = {
        "bed-empty": change(good, bed=""),
        "bed-long": change(good, bed="x" * 65),
        "bed-control": change(good, bed="a\n"),
        "bed-other": change(good, bed="somebody else"),
        "order-seq": change(good, seq=-1),
        "order-sample": change(good, first_sample=2**53),
        "order-device": change(good, device_time_us=-1),
        "order-ingest": change(good, ingest_time_us=2**53),
        "rate-low": change(good, rate_mHz=99_999),
        "rate-high": change(good, rate_mHz=1_000_001),
        "leads-none": change(good, leads=(), units_per_bit=()),
        "leads-twice": change(good, leads=("MDC_ECG_LEAD_II",) * 2),
        "units-zero": change(good, units_per_bit=(0.0, 0.005)),
        "units-nan": change(good, units_per_bit=(float("nan"), 0.005)),
        "units-few": change(good, units_per_bit=(0.005,)),
        "samples-none": change(good, data=b""),
        "samples-odd": change(good, data=good.data[:-1]),
        "samples-long": change(good, data=good.data * 10),
    }
    raw = {
        "magic-empty": b"",
        "magic-json": b'{"bed": "a"}',
        "version": bytes((MAGIC, 2)) + body[2:],
        "checksum": body[:-1] + bytes((body[-1] ^ 1,)),
        "schema": bytes((MAGIC, 1, 0, 0, 0, 0)),
    }
    return {name: (key, encode(f)) for name, f in frames.items()} | {name: (key, v) for name, v in raw.items()}


async def test_malformed_frames_are_counted_and_harm_nobody(kafka: KafkaSettings) -> None:
    await topics.create(kafka)
    frames = interleaved(40)
    bad = broken(frames[0])
    messages: list[Frame | tuple[bytes | None, bytes]] = []
    for f, message in itertools.zip_longest(frames, bad.values()):
        messages += [f, message] if message is not None else [f]
    messages += [(None, encode(frames[0])), (b"unknown", encode(frames[0])), (b"\xff", b"")]
    await send(kafka, messages)
    async with monitor(kafka) as service:
        await until(read_all(service, len(messages)))
    assert await said(kafka) == expected(frames)
    wanted = {reason: sum(name.split("-")[0] == reason for name in bad) for reason in REASONS}
    wanted["bed"] += 2
    wanted["magic"] += 1
    assert {r: counter(service, "telebeat_frames_rejected_total", reason=r) for r in REASONS} == wanted
    assert all(wanted.values())


async def test_lag_in_seconds_is_by_the_frames_that_come_and_the_beds_that_send(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await topics.create(kafka)
    others = [f"b{i}" for i in range(6)]
    frames = [*(frame(bed, 0) for bed in others), *(frame("a", 248 * i, 248, seq=i) for i in range(4))]
    await send(kafka, frames)
    async with monitor(kafka) as service:
        await until(read_all(service, len(frames)))
        for bed in others:
            service._ward.silence(bed, 0)
        monkeypatch.setattr(service._lag, "answer", lambda _: BrokerAnswer(end=0, lag=20))
        service._show_state()
        partition = service._checkpoints.homes["a"]
        assert partition in {service._checkpoints.homes[bed] for bed in others}
        seconds = service.metrics.registry.get_sample_value("telebeat_lag_seconds", {"partition": str(partition)})
    assert seconds == pytest.approx(20 * 248 / 250)


async def test_duplicates_and_gaps_are_events_of_their_bed_alone(kafka: KafkaSettings) -> None:
    await topics.create(kafka)
    frames = interleaved(40, ("a", "b"))
    of_a = [f for f in frames if f.bed == "a"]
    disturbed = [f for f in frames if f.bed == "b"]
    disturbed = [*disturbed[:10], disturbed[9], disturbed[3], *disturbed[12:]]
    mixed = [f for pair in itertools.zip_longest(of_a, disturbed) for f in pair if f is not None]
    await send(kafka, mixed)
    async with monitor(kafka) as service:
        await until(read_all(service, len(mixed)))
    alerts, beats = await said(kafka)
    whole_alerts, whole_beats = expected(of_a)
    assert {k: v for k, v in beats.items() if k[0] == "a"} == whole_beats
    assert whole_alerts.items() <= alerts.items()
    assert (alerts, beats) == expected(mixed)
    assert counter(service, "telebeat_technical_events_total", kind="duplicate") == 2
    assert counter(service, "telebeat_technical_events_total", kind="gap") == 1


async def test_silence_is_declared_once_and_ends_with_the_next_frame(kafka: KafkaSettings) -> None:
    await topics.create(kafka)
    now_us = time.time_ns() // 1000
    await send(kafka, stream_of("a", 8, ingest_us=now_us))
    async with monitor(kafka, chosen=settings(silent_after_s=2.5)) as service:
        await until(lambda: counter(service, "telebeat_beds_silent") == 1)
        await asyncio.sleep(1.5)
        assert counter(service, "telebeat_alerts_raised_total", rule="bed_silent", priority="low") == 1
        await send(kafka, [frame("a", 8 * 62, seq=8, ingest_us=time.time_ns() // 1000)])
        await until(lambda: counter(service, "telebeat_beds_silent") == 0)
    alerts, _ = await said(kafka)
    states = [json.loads(alert) for alert in alerts.values()]
    assert [(a["rule"], a["state"], a["cleared_sample"]) for a in states] == [("bed_silent", "cleared", 496)]


async def test_frames_written_in_transactions_are_read_to_the_end(kafka: KafkaSettings) -> None:
    """The mark that ends one takes an offset and is never brought: the bed falls silent, and a restart is ready."""
    one = kafka.model_copy(update={"partitions": 1})
    await topics.create(one)
    topic = clients.topic(one, topics.FRAMES)
    chosen = settings(silent_after_s=2.0)
    frames = stream_of("a", 8, ingest_us=time.time_ns() // 1000)
    async with monitor(one, chosen=chosen) as service:
        async with clients.producer(one, transactional_id=one.group) as out:
            for f in frames[:7]:
                async with out.transaction():
                    await out.send_and_wait(topic, encode(f), key=b"a")
            await out.begin_transaction()
            await out.send_and_wait(topic, encode(frames[7]), key=b"a")  # it was measured all the same
            await out.abort_transaction()
        await until(lambda: counter(service, "telebeat_beds_silent") == 1)
        await until(lambda: service._checkpoints.progress_of[0].position == 2 * len(frames))
        assert counter(service, "telebeat_lag_frames", partition="0") == 0
    async with clients.admin(one) as admin:
        assert {at.offset for at in (await admin.list_consumer_group_offsets(one.group)).values()} == {2 * len(frames)}
    async with monitor(one, chosen=chosen) as service:
        await until(lambda: service.unready() is None)
    alerts, beats = await said(one)
    assert beats == expected(frames)[1]
    assert [json.loads(alert)["rule"] for alert in alerts.values()] == ["bed_silent"]


async def test_a_bed_that_sends_only_what_cannot_be_read_is_silent(kafka: KafkaSettings) -> None:
    """Whether it was heard before or never; what no bed can be called is only counted."""
    await topics.create(kafka)
    now_us = time.time_ns() // 1000
    bad = msgspec.structs.replace(frame("never", 0), data=b"")

    enough = asyncio.Event()  # and no cancelling: a client that is being started or stopped may not hear it

    async def keep_sending() -> None:
        while not enough.is_set():
            messages: list[tuple[bytes | None, bytes]] = [(key, encode(bad)) for key in (b"never", b"a", b"\xff", None)]
            await send(kafka, messages)
            await asyncio.sleep(0.2)

    async with monitor(kafka, chosen=settings(silent_after_s=2.0)) as service:
        await send(kafka, [frame("a", 0, ingest_us=now_us)])
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_sending())
            await until(lambda: counter(service, "telebeat_beds_silent") == 2)
            enough.set()
        assert service._ward.beds.keys() == {"a", "never"}
    async with monitor(kafka, chosen=settings(silent_after_s=2.0)) as service:
        await until(lambda: counter(service, "telebeat_beds_silent") == 2)
        await send(kafka, [frame("never", 0, ingest_us=time.time_ns() // 1000)])
        await until(lambda: counter(service, "telebeat_beds_silent") == 1)
    alerts = [json.loads(alert) for alert in (await said(kafka))[0].values()]
    assert sorted((a["bed"], a["rule"], a["state"]) for a in alerts) == [
        ("a", "bed_silent", "raised"),
        ("never", "bed_silent", "cleared"),
    ]


async def test_a_whole_ward_that_falls_silent_is_told_in_a_few_waits_for_kafka(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    beds = tuple(f"bed {i}" for i in range(60))
    waits = []
    settled = Publisher.settled

    async def counted(publisher: Publisher, partitions: Set[int] | None = None) -> None:
        waits.append(publisher)
        await settled(publisher, partitions)

    monkeypatch.setattr(Publisher, "settled", counted)
    await topics.create(kafka)
    await send(kafka, [frame(bed, 0, ingest_us=time.time_ns() // 1000) for bed in beds])
    async with monitor(kafka, chosen=settings(silent_after_s=2.5, checkpoint_s=3600)) as service:
        await until(lambda: counter(service, "telebeat_beds_silent") == len(beds))
        assert len(waits) < len(beds) / 2
    alerts, _ = await said(kafka)
    assert sorted(json.loads(alert)["bed"] for alert in alerts.values()) == sorted(beds)


async def test_a_partition_without_a_leader_delays_no_bed_of_another(kafka: KafkaSettings) -> None:
    """Not even while one of its own beds falls silent, which is to be made durable before it is told."""
    four = kafka.model_copy(update={"partitions": 4})
    await topics.create(four)
    beds = tuple(f"bed {i}" for i in range(8))

    async def send_now(number: int, *quiet: str) -> None:
        now_us = time.time_ns() // 1000
        await send(four, [frame(bed, 62 * number, seq=number, ingest_us=now_us) for bed in beds if bed not in quiet])

    async with monitor(four, chosen=settings(silent_after_s=2.5, checkpoint_s=0.5)) as service:
        await send_now(0)
        await until(read_all(service, len(beds)))
        homes = service._checkpoints.homes
        stuck = homes[beds[0]]
        quiet = next(bed for bed in beds if homes[bed] != stuck)
        cluster = service._publisher._producer.client.cluster  # type: ignore[attr-defined]  # aiokafka's
        leader, state, beats = (
            cluster.leader_for_partition,
            f"{four.topic_prefix}ecg.state",
            f"{four.topic_prefix}ecg.beats",
        )
        away = {TopicPartition(state, stuck), TopicPartition(beats, stuck)}
        cluster.leader_for_partition = lambda tp: -1 if tp in away else leader(tp)
        saved, sent = counter(service, "telebeat_snapshots_total"), len(beds)
        for number in range(1, 40):
            await send_now(number, quiet, beds[0])
            sent += len(beds) - 2
            await until(read_all(service, sent))
            await asyncio.sleep(0.1)

        def is_silent(bed: str) -> bool:
            return Rule.BED_SILENT in service._ward.beds[bed].active

        await until(lambda: is_silent(quiet))
        assert not is_silent(beds[0])  # of this nothing can be made durable yet
        assert counter(service, "telebeat_snapshots_total") > saved
        away.clear()
        await until(lambda: is_silent(beds[0]))


async def test_a_partition_that_takes_nothing_for_long_is_held_and_nothing_of_it_lost(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than the producer has room for would keep the loop waiting, and every bed with it."""
    monkeypatch.setattr("stream.output.MOST_WAITING", 1000)
    await topics.create(kafka)
    beds = tuple(f"bed {i}" for i in range(6))
    frames = interleaved(60, beds)
    half = len(frames) // 2
    async with monitor(kafka) as service:
        await send(kafka, frames[: len(beds)])
        await until(read_all(service, len(beds)))
        homes = dict(service._checkpoints.homes)
        stuck = homes[beds[0]]
        cluster = service._publisher._producer.client.cluster  # type: ignore[attr-defined]  # aiokafka's
        leader, away = cluster.leader_for_partition, {TopicPartition(f"{kafka.topic_prefix}ecg.beats", stuck)}
        cluster.leader_for_partition = lambda tp: -1 if tp in away else leader(tp)
        await send(kafka, frames[len(beds) : half])  # read at once, and held in the midst of it
        await until(lambda: stuck in service._held)
        before = service._checkpoints.progress_of[stuck].position
        assert before < sum(homes[f.bed] == stuck for f in frames[:half])
        await send(kafka, frames[half:])
        others = sum(homes[f.bed] != stuck for f in frames)
        await until(
            lambda: sum(v.position for p, v in service._checkpoints.progress_of.items() if p != stuck) >= others
        )
        assert service._checkpoints.progress_of[stuck].position == before
        away.clear()
        await until(read_all(service, len(frames)))
        await until(lambda: not service._held)
    assert await said(kafka) == expected(frames)


async def test_a_worker_that_stood_still_says_nothing_more(kafka: KafkaSettings) -> None:
    """Its successor may have cleared what it was about to raise."""
    await topics.create(kafka)
    begun, on = threading.Event(), threading.Event()

    class Slow(FakeWard):
        def detect(self, frames: Sequence[Frame]) -> None:
            super().detect(frames)
            begun.set()
            on.wait(30.0)

    service = Service(settings(checkpoint_s=3600), kafka, Slow())
    service._guard = SuspensionGuard(3.0)
    running = asyncio.create_task(service.run())
    await until(lambda: service.unready() is None)
    await send(kafka, interleaved(40, ("a", "b")))
    await until(begun.is_set)
    await asyncio.sleep(3.5)  # the loop runs, however long the ward takes
    on.set()
    time.sleep(3.5)  # noqa: ASYNC251  # now it does not
    with pytest.raises(KafkaError, match="stood still for"):
        await running
    assert await said(kafka) == ({}, {})


@pytest.mark.parametrize("step", ["stream.topics.sizes", "stream.checkpoint.read_state"])
async def test_the_end_does_not_wait_until_the_beds_are_restored(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    await topics.create(kafka)
    reading = asyncio.Event()
    sizes = topics.sizes
    workers: list[Service] = []

    async def hang(*given: KafkaSettings) -> object:
        if not workers[0].started:
            return await sizes(*given)
        reading.set()
        return await asyncio.Event().wait()

    monkeypatch.setattr(step, hang)
    async with monitor(kafka) as service:
        workers.append(service)
        await asyncio.wait_for(reading.wait(), 30)
        service.stop()
        await until(lambda: not service._turn.locked())
        assert service.unready() == "no partitions assigned yet"


async def test_silence_is_not_declared_while_frames_wait_to_be_read(kafka: KafkaSettings) -> None:
    await topics.create(kafka)
    frames = stream_of("a", 400, ingest_us=1)  # by the stamp all of them are long past
    await send(kafka, frames)
    async with monitor(kafka, chosen=settings(silent_after_s=0.1)) as service:
        await until(lambda: counter(service, "telebeat_beds_silent") == 1)
        assert counter(service, "telebeat_frames_total") == len(frames)
    assert counter(service, "telebeat_alerts_raised_total", rule="bed_silent", priority="low") == 1


async def test_a_bed_that_sends_nothing_new_is_silent(kafka: KafkaSettings) -> None:
    """A device begun anew whose frames pass for old ones: nobody would hear of the patient."""
    await topics.create(kafka)
    frames = stream_of("a", 8)
    await send(kafka, frames)
    async with monitor(kafka, chosen=settings(silent_after_s=2.0)) as service:

        async def again() -> None:
            async with clients.producer(kafka) as out:
                while True:  # many in the time that it takes to make durable that the bed is silent
                    for old in frames[:2]:
                        await out.send_and_wait(clients.topic(kafka, topics.FRAMES), encode(old), key=b"a")

        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(again())
            await until(lambda: counter(service, "telebeat_beds_silent") == 1)
            sending.cancel()


async def test_a_bed_heard_before_its_silence_is_durable_is_not_silent(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, written = asyncio.Event(), asyncio.Event(), asyncio.Event()
    write = Checkpoints._write_ahead

    async def held_up(checkpoints: Checkpoints, copies: list[Snapshot]) -> None:
        if begun.is_set():
            return  # on a slow machine it is silent once more before all this is over
        begun.set()
        await go_on.wait()
        await write(checkpoints, copies)
        written.set()

    monkeypatch.setattr(Checkpoints, "_write_ahead", held_up)
    await topics.create(kafka)
    frames = stream_of("a", 8)
    await send(kafka, frames[:4])
    async with monitor(kafka, chosen=settings(silent_after_s=2.0)) as service:
        await asyncio.wait_for(begun.wait(), 30)
        await send(kafka, frames[4:])
        await until(read_all(service, len(frames)))
        go_on.set()
        await asyncio.wait_for(written.wait(), 30)
        for _ in range(3):  # a turn later it would have been decided, and another later said
            turn = service._last_turn
            await until(lambda turn=turn: service._last_turn > turn)  # type: ignore[misc]
        assert counter(service, "telebeat_alerts_raised_total", rule="bed_silent", priority="low") == 0


async def test_two_workers_share_the_beds_and_hand_them_over(kafka: KafkaSettings) -> None:
    await topics.create(kafka)
    beds = tuple(f"bed {i}" for i in range(12))
    frames = interleaved(60, beds)
    third = len(frames) // 3
    await send(kafka, frames[:third])
    async with monitor(kafka) as first:
        await until(read_all(first, third))
        async with monitor(kafka) as second:
            await until(lambda: second.unready() is None and len(second._checkpoints.progress_of) == 1)
            await until(lambda: len(first._checkpoints.progress_of) == 1)
            await send(kafka, frames[third : 2 * third])
            await until(
                lambda: counter(first, "telebeat_frames_total") + counter(second, "telebeat_frames_total") >= 2 * third
            )
            assert counter(second, "telebeat_frames_total") > 0
        await until(lambda: len(first._checkpoints.progress_of) == 2)
        await send(kafka, frames[2 * third :])
        before = counter(second, "telebeat_frames_total")
        await until(read_all(first, len(frames) - int(before)))
    assert await said(kafka) == expected(frames)
    assert counter(first, "telebeat_cold_starts_total") == counter(second, "telebeat_cold_starts_total") == 0


async def test_frames_that_come_with_an_assignment_are_read(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poll that began before the partitions were taken over, and ends with their frames, must not lose them."""
    poll = Consumer.getmany
    workers: list[Service] = []

    async def begun_before(self: Consumer, *of: object, timeout_ms: int) -> object:
        if workers:
            worker = workers.pop()
            await until(lambda: bool(worker._checkpoints.progress_of))
            timeout_ms = 5000
        return await poll(self, *of, timeout_ms=timeout_ms)

    monkeypatch.setattr(Consumer, "getmany", begun_before)
    await topics.create(kafka)
    frames = interleaved(8)
    await send(kafka, frames)
    async with monitor(kafka) as service:
        workers.append(service)
        await until(read_all(service, len(frames)), seconds=10)
    assert await said(kafka) == expected(frames)


async def test_a_worker_that_cannot_restore_its_beds_says_why(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though frames are there to be read, of beds whose books could not be opened."""

    async def torn(*_: object) -> None:
        raise KafkaError("the state is torn")

    monkeypatch.setattr(Checkpoints, "restore", torn)
    await topics.create(kafka)
    await send(kafka, interleaved(8))
    with pytest.raises(KafkaError, match="the state is torn"):
        await asyncio.wait_for(Service(settings(), kafka, FakeWard()).run(), 30)


async def test_pages_tell_the_state_of_a_running_service(kafka: KafkaSettings) -> None:
    await topics.create(kafka)
    frames = interleaved(8)
    await send(kafka, frames)

    def fetch(port: int, page: str) -> tuple[int, str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=10) as answer:
            return answer.status, answer.read().decode()

    async with monitor(kafka) as service:
        await until(lambda: service.unready() is None)
        assert await asyncio.to_thread(fetch, service.port, "healthz") == (200, "ok\n")
        assert await asyncio.to_thread(fetch, service.port, "readyz") == (200, "ok\n")
        await until(read_all(service, len(frames)))
        await until(lambda: counter(service, "telebeat_beds") == len(BEDS))
        _, metrics = await asyncio.to_thread(fetch, service.port, "metrics")
        assert f"telebeat_frames_total {len(frames)}.0" in metrics
        latency = json.loads((await asyncio.to_thread(fetch, service.port, "latency"))[1])
    assert latency["ingest"]["count"] == len(frames)
    assert 0 < latency["detect"]["p50"] <= latency["detect"]["p99"] <= latency["detect"]["max"]


async def test_topics_that_do_not_fit_together_are_refused(kafka: KafkaSettings) -> None:
    with pytest.raises(KafkaError, match="telebeat topics create"):
        await Service(settings(), kafka, FakeWard()).run()


async def test_partitions_that_are_added_to_the_frames_alone_stop_no_bed_of_the_others(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are noticed soon, told by what has to be done, and served by the next worker once that is done."""
    monkeypatch.setattr(clients, "METADATA_MS", 1000)
    await topics.create(kafka)
    names = [clients.topic(kafka, name) for name in topics.NEEDED]

    async def grow(*names: str) -> None:
        async with clients.admin(kafka) as admin:
            await admin.create_partitions({name: NewPartitions(total_count=4) for name in names})

    frames = interleaved(40)
    homes: dict[str, int] = {}
    async with monitor(kafka) as service:
        await send(kafka, frames[:80])
        await until(read_all(service, 80))
        homes |= service._checkpoints.homes
        await grow(names[0])
        await until(lambda: "[2, 3] of" in (service.unready() or ""))
        async with clients.producer(kafka) as out:
            for f in frames[80:]:
                await out.send(names[0], encode(f), key=f.bed.encode(), partition=homes[f.bed])
            await out.send(names[0], encode(frame("new", 0)), key=b"new", partition=3)
            await out.flush()
        await until(read_all(service, len(frames)))
        assert "kafka-topics --alter" in (service.unready() or "")
    async with monitor(kafka) as service:  # nor is that a reason not to begin
        await until(lambda: "[2, 3] of" in (service.unready() or ""))
        assert service._ward.beds.keys() == set(BEDS)
    assert await said(kafka) == expected(frames)
    await grow(*names[1:])
    async with monitor(kafka) as service:
        await until(read_all(service, 1))
        await until(lambda: service.unready() is None)
        assert service._checkpoints.homes == homes | {"new": 3}


def at_least(service: Service, name: str, value: float) -> bool:
    return counter(service, name) >= value


class Faulty(FakeWard):
    """Drops a bed at its tenth frame, as the ward does that meets a bug and meets it again at once."""

    def detect(self, frames: Sequence[Frame]) -> None:
        super().detect(frames)
        for f in frames:
            if f.bed == "a" and f.seq == 9:
                self.forget("a")
                self._said.faults.append(("a", RuntimeError("a bug")))


async def test_a_bed_that_was_dropped_in_a_fault_stops_no_other(kafka: KafkaSettings) -> None:
    await topics.create(kafka)
    await send(kafka, interleaved(10, ("a", "b")))
    async with monitor(kafka, Faulty(), settings(checkpoint_s=0.1)) as service:
        for there in (False, True):
            await until(read_all(service, 21 if there else 20))
            saved = counter(service, "telebeat_snapshots_total") + 4
            await until(partial(at_least, service, "telebeat_snapshots_total", saved))
            assert ("a" in service._checkpoints.homes) == there
            await send(kafka, [frame("a", 10 * 62, seq=10)])  # it comes again, and has a state anew


async def test_no_alert_stands_of_which_a_ward_that_met_a_bug_knows_nothing(kafka: KafkaSettings) -> None:
    class Forgetful(FakeWard):
        def detect(self, frames: Sequence[Frame]) -> None:
            super().detect(frames)
            if any(f.seq == 30 for f in frames):
                self.forget("a")
                self._said.faults.append(("a", RuntimeError("a bug")))

    await topics.create(kafka)
    frames = stream_of("a", 31)
    await send(kafka, frames[:30])  # the last of them are loud
    async with monitor(kafka, Forgetful()) as service:
        await until(read_all(service, 30))
        (raised,) = [json.loads(alert) for alert in (await said(kafka))[0].values()]
        assert raised["state"] == "raised"
        await send(kafka, frames[30:])
        await until(read_all(service, 31))
    (ended,) = [json.loads(alert) for alert in (await said(kafka))[0].values()]
    assert (ended["id"], ended["state"]) == (raised["id"], "cleared")


async def test_what_a_broken_turn_left_behind_is_never_saved(kafka: KafkaSettings) -> None:
    await topics.create(kafka)
    frames = interleaved(40, ("a", "b"))
    begun, on = threading.Event(), threading.Event()

    class Breaking(FakeWard):
        def detect(self, frames: Sequence[Frame]) -> None:
            super().detect(frames)
            begun.set()
            on.wait(30.0)
            raise RuntimeError("a bug")

    service = Service(settings(checkpoint_s=3600), kafka, Breaking())
    running = asyncio.create_task(service.run())
    await until(lambda: service.unready() is None)
    await send(kafka, frames)
    await until(begun.is_set)
    partitions = set(service._checkpoints.progress_of)
    taken = asyncio.create_task(service.on_partitions_revoked({TopicPartition("", p) for p in partitions}))
    await asyncio.sleep(0.05)  # it waits for the turn to end
    on.set()
    with pytest.raises(RuntimeError, match="a bug"):
        await running
    await taken
    assert counter(service, "telebeat_snapshots_total") == 0
    async with monitor(kafka) as service:
        await until(read_all(service, len(frames)))
    assert await said(kafka) == expected(frames)
