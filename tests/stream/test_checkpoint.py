from __future__ import annotations

import asyncio
import time
import zlib
from collections import Counter
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.structs import RecordMetadata
from hypothesis import given
from hypothesis import strategies as st

from stream import kafka as clients
from stream import snapshots, topics
from stream.checkpoint import IDLE_PERIODS, Checkpoints
from stream.errors import SnapshotError
from stream.intake import StreamPosition
from stream.metrics import Metrics
from stream.publisher import Publisher
from stream.settings import KafkaSettings
from stream.snapshots import (
    PartitionProgress,
    PartitionSnapshots,
    Snapshot,
    SnapshotSchedule,
    Stored,
    newest,
    state_offset_of,
)
from tests.stream.fake import VERSION, FakeWard, State
from tests.stream.frames_of import DEEP, frame, stream_of
from tests.stream.pipeline import counter, expected, monitor, read_all, said, send, settings, until

offsets = st.integers(0, 2**40)
some_snapshots = st.builds(
    Snapshot, st.text(max_size=20), st.integers(0, 999), offsets, offsets, st.binary(max_size=200)
)
GOOD = snapshots.encode(Snapshot("a", 0, 5, 0, bytes(range(256)) * 4))

# the layout of a snapshot


@given(some_snapshots)
def test_a_snapshot_survives_the_way(snapshot: Snapshot) -> None:
    assert snapshots.decode(snapshots.encode(snapshot)) == snapshot


@given(st.one_of(st.binary(max_size=64), st.binary(max_size=64).map(lambda tail: GOOD[:6] + tail)))
def test_any_other_bytes_are_refused_and_nothing_else_happens(data: bytes) -> None:
    with pytest.raises(SnapshotError):
        snapshots.decode(data)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_one_changed_byte_is_noticed(at: int, flip: int) -> None:
    damaged = bytearray(GOOD)
    damaged[at] ^= flip
    with pytest.raises(SnapshotError):
        snapshots.decode(bytes(damaged))


@given(st.recursive(st.none() | st.integers() | st.text() | st.binary(), st.lists, max_leaves=8))
def test_other_contents_in_the_right_wrapping_are_refused(content: object) -> None:
    try:
        body = zlib.compress(msgspec.msgpack.encode(content))
    except OverflowError:
        return
    with pytest.raises(SnapshotError):
        snapshots.decode(bytes((snapshots.MAGIC, snapshots.VERSION)) + zlib.crc32(body).to_bytes(4, "little") + body)


def test_a_field_more_of_lists_in_lists_is_refused_as_well() -> None:
    """The decoder passes over fields it does not know, one level of recursion for each list."""
    body = msgspec.msgpack.encode(Snapshot("a", 0, 5, 0, b""))
    body = zlib.compress(bytes([body[0] + 1]) + body[1:] + DEEP)
    with pytest.raises(SnapshotError, match="recursion"):
        snapshots.decode(bytes((snapshots.MAGIC, snapshots.VERSION)) + zlib.crc32(body).to_bytes(4, "little") + body)


# which of them counts


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=20))
def test_the_furthest_snapshot_counts_and_of_equal_ones_the_last(written: list[tuple[str, int]]) -> None:
    stored = [Stored(Snapshot(bed, 0, offset, 0, b""), place) for place, (bed, offset) in enumerate(written)]
    for bed, (snapshot, place) in newest(stored).items():
        assert (snapshot.offset, place) == max((offset, at) for at, (name, offset) in enumerate(written) if name == bed)
    assert newest(stored).keys() == {bed for bed, _ in written}


# the book of a partition


@given(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=60),
    st.lists(st.tuples(st.integers(0, 59), st.sampled_from("abcd")), max_size=20),
    st.integers(0, 59),
)
def test_what_is_committed_loses_no_frame(log: list[str], saves: list[tuple[int, str]], crash: int) -> None:
    """After a crash at any point every frame of a bed is either in its snapshot or read again."""
    progress, durable, place = PartitionProgress(0), dict[str, Stored](), 0
    for offset, bed in enumerate(log[: crash + 1]):
        assert progress.advance(offset)
        assert progress.admits(bed, offset)
        for at, saved in saves:
            if at == offset and saved in progress.beds:
                durable[saved] = Stored(Snapshot(saved, 0, progress.offset(saved), 0, b""), place)
                progress.saved(saved, progress.offset(saved), place)
                place += 1
    committed, metadata = progress.commit()
    assert all(s.state_offset >= state_offset_of(metadata) for s in durable.values())
    position = min([committed, *(s.snapshot.offset for s in durable.values())])
    after = PartitionProgress(position, durable.values())
    assert after.commit()[0] <= position
    for offset, bed in enumerate(log):
        in_state = bed in durable and offset < durable[bed].snapshot.offset
        read_again = offset >= position and after.advance(offset) and after.admits(bed, offset)
        assert in_state != read_again


def test_a_bed_is_at_home_where_it_was_last_heard() -> None:
    """Its gateway got a client that chooses partitions otherwise, and compaction keeps the old snapshot for ever."""

    def stored(bed: str, partition: int, heard_us: int) -> Stored:
        place = StreamPosition(250_000, 1, 0, 0, 0, heard_us, 0, 0, 0, "", ())
        return Stored(Snapshot(bed, partition, 5, 0, b"", (), place), 0)

    known = {
        0: {"moved": stored("moved", 0, 10), "a": stored("a", 0, 99)},
        1: {"moved": stored("moved", 1, 20)},
        2: {"moved": Stored(Snapshot("moved", 2, 10**6, 0, b""), 0)},  # by a version that did not write it down
    }
    left = snapshots.settle_homes(known)
    assert {p: list(beds) for p, beds in known.items()} == {0: ["a"], 1: ["moved"], 2: []}
    assert [(one.bed, one.partition) for one in left] == [("moved", 0), ("moved", 2)]


def test_what_stands_at_a_bed_is_cleared_once_whatever_its_partitions_keep_of_it() -> None:
    """A bed that moved, one of which nothing can be read, one of another log, and one that somebody removed."""

    def stored(bed: str, partition: int, offset: int, heard_us: int, standing: tuple[bytes, ...]) -> Stored:
        place = StreamPosition(250_000, 1, 0, 0, 0, heard_us, 0, 0, 0, "", ())
        return Stored(Snapshot(bed, partition, offset, 0, b"", standing, place), 0)

    kept = {
        0: PartitionSnapshots(
            [stored("moved", 0, 5, 10, (b"old",)), stored("ahead", 0, 9, 1, (b"far",))], {"torn"}, {}
        ),
        1: PartitionSnapshots(
            [
                stored("moved", 1, 5, 20, (b"new",)),
                stored("gone", 1, 5, 1, (b"left",)),
                stored("ahead", 1, 8, 0, (b"older",)),
            ],
            {"ahead", "moved"},
            {},
        ),
    }
    kept[1].drop("gone")
    homes = snapshots.assign_homes(kept, {0: 7, 1: 7})
    assert {p: list(beds) for p, beds in homes.usable.items()} == {0: [], 1: ["moved"]}
    ahead = {p: {bed: one.snapshot.standing for bed, one in beds.items()} for p, beds in homes.ahead.items()}
    assert ahead == {0: {"ahead": (b"far",)}, 1: {}}
    assert homes.unknown == {0: ["torn"], 1: []}
    assert sorted(one.standing for one in homes.left) == [(b"left",), (b"old",), (b"older",)]


def test_what_was_written_before_the_log_was_made_anew_is_none_of_its() -> None:
    def stored(bed: str, offset: int, place: int) -> Stored:
        return Stored(Snapshot(bed, 0, offset, 0, b""), place)

    kept = PartitionSnapshots([], set(), {})
    for place, (bed, offset) in enumerate([("a", 1060), ("b", 5), ("a", 1120), ("a", 1020), ("c", 2000), ("b", 9)]):
        kept.add(stored(bed, offset, place))
    assert {bed: one.snapshot.offset for bed, one in kept.within(1065).items()} == {"a": 1020, "b": 9}


def test_of_a_removed_bed_the_last_snapshot_is_handed_out_unless_it_was_written_again() -> None:
    kept = PartitionSnapshots([], {"x"}, {})
    for bed, offset in (("a", 1), ("a", 2), ("b", 3)):
        kept.add(Stored(Snapshot(bed, 0, offset, 0, b""), offset))
    for bed in ("a", "b", "x", "nobody"):
        kept.drop(bed)
    kept.add(Stored(Snapshot("b", 0, 4, 0, b""), 9))
    assert {bed: one.offset for bed, one in kept.removed.items()} == {"a": 2}
    assert [one.snapshot.bed for one in kept.stored] == ["b"]
    assert kept.unusable == set()


async def test_a_bed_that_moved_holds_its_old_partition_back_until_it_is_durable_on_the_new_one() -> None:
    checkpoints = of_one_bed(1.0)
    checkpoints.progress_of[1] = PartitionProgress(0)
    checkpoints.progress_of[0].advance(1)
    checkpoints.progress_of[1].advance(0)
    assert checkpoints.admits(1, "a", 0)
    assert checkpoints.homes == {"a": 1}
    assert checkpoints.progress_of[0].commit()[0] == 0, "a crash now would lose the frame of before"
    for second in range(3):
        checkpoints.turn(float(second))
        for _ in range(10):
            await asyncio.sleep(0)
    assert checkpoints.progress_of[0].commit()[0] == 2
    assert checkpoints.progress_of[1].commit()[0] == 1


async def test_a_moved_bed_that_is_lost_holds_no_partition_back() -> None:
    checkpoints = of_one_bed(5.0)
    checkpoints.progress_of[1] = PartitionProgress(0)
    checkpoints.progress_of[0].advance(1)
    checkpoints.progress_of[1].advance(0)
    assert checkpoints.admits(1, "a", 0)
    checkpoints.lost("a")
    assert [checkpoints.progress_of[partition].commit()[0] for partition in (0, 1)] == [2, 1]


def test_messages_come_once() -> None:
    progress = PartitionProgress(5)
    assert [progress.advance(offset) for offset in (4, 5, 6, 5, 7)] == [False, True, True, False, True]


def test_a_bed_that_is_ahead_of_the_position_is_saved_as_far_as_it_is() -> None:
    progress = PartitionProgress(10, [Stored(Snapshot("a", 0, 50, 0, b""), 3)])
    progress.advance(10)
    assert not progress.admits("a", 10)
    assert progress.offset("a") == 50
    assert progress.offset("b") == 11


def test_a_bed_of_which_nothing_is_known_holds_nothing_back() -> None:
    progress = PartitionProgress(0)
    for offset, bed in enumerate("abab"):
        progress.advance(offset)
        progress.admits(bed, offset)
    progress.saved("b", 4, 7)
    progress.lost("a")
    progress.saved("a", 3, 5)  # of before, on its way for long
    assert progress.commit() == (4, "state=7")
    progress.advance(4)
    assert progress.admits("a", 4)
    assert progress.commit()[0] == 4


@pytest.mark.parametrize(
    ("metadata", "place"), [("", 0), ("state=17", 17), ("state=-1", 0), ("17", 0), ("state=1²", 0)]
)
def test_place_in_the_metadata(metadata: str, place: int) -> None:
    assert state_offset_of(metadata) == place


# whose turn it is


@given(st.integers(1, 40), st.floats(0.5, 20), st.integers(1, 200))
def test_every_bed_has_one_turn_in_a_period_evenly(beds: int, period_s: float, steps: int) -> None:
    schedule, names = SnapshotSchedule(period_s), {f"{i}" for i in range(beds)}
    schedule.due(names, 0.0)
    turns: Counter[str] = Counter()
    most = 0
    for step in range(1, steps + 1):
        due = schedule.due(names, 3 * period_s * step / steps)
        most = max(most, len(due))
        turns.update(due)
    wanted = 3 if steps >= 3 else steps  # a pause of more than a period gives nobody two turns
    assert all(wanted - 1 <= turns[bed] <= wanted for bed in names)
    assert most <= 3 * beds / min(steps, 3 * beds) + 1


def test_beds_come_and_go() -> None:
    schedule = SnapshotSchedule(1.0)
    schedule.due({"a", "b"}, 0.0)
    assert set(schedule.due({"b", "c"}, 1.0)) == {"b", "c"}
    assert schedule.due(set(), 2.0) == []


# writing ahead


class Written:
    """A producer that notes snapshots and acknowledges them at once."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []

    async def send(
        self, topic: str, value: bytes | None = None, key: bytes | None = None, partition: int | None = None
    ) -> asyncio.Future[Any]:
        self.snapshots.append(snapshots.decode(value or b""))
        place = len(self.snapshots)
        future = asyncio.get_running_loop().create_future()
        future.set_result(RecordMetadata(topic, 0, TopicPartition(topic, 0), place, None, 0, None))
        return future


async def test_no_older_copy_overtakes_the_one_that_says_silent() -> None:
    ward, producer = FakeWard(), Written()
    beds = [f"bed {i:02}" for i in range(40)]
    checkpoints = Checkpoints(KafkaSettings(), 5.0, ward, Publisher(producer), None, Metrics())
    checkpoints.progress_of[0] = PartitionProgress(0)
    for offset, bed in enumerate(beds):
        ward.detect([frame(bed, 0)])
        checkpoints.progress_of[0].advance(offset)
        checkpoints.admits(0, bed, offset)
    checkpoints.turn(0.0)
    declared: dict[str, int] = {}
    for now in (5.0, 5.01):  # all are due after a turn that waited; then hardly any
        checkpoints.turn(now)
        checkpoints.write_ahead({bed: 777 for bed in beds[20:] if bed not in declared})
        for _ in range(40):
            await asyncio.sleep(0)
            declared.update(checkpoints.decided())
            last = {snapshot.bed: snapshot.silent_us for snapshot in producer.snapshots}
            assert all(last[bed] == 777 for bed in declared)
    assert declared.keys() == set(beds[20:])


def of_one_bed(period_s: float) -> Checkpoints:
    """One bed, "a", of which one frame has come."""
    ward = FakeWard()
    checkpoints = Checkpoints(KafkaSettings(), period_s, ward, Publisher(Written()), None, Metrics())
    checkpoints.progress_of[0] = PartitionProgress(0)
    ward.detect([frame("a", 0)])
    checkpoints.progress_of[0].advance(0)
    checkpoints.admits(0, "a", 0)
    return checkpoints


async def test_a_bed_that_is_saved_all_the_time_can_be_declared_silent() -> None:
    checkpoints = of_one_bed(0.2)
    declared: dict[str, int] = {}
    checkpoints.turn(-1.0)
    for second in range(2):  # its turn comes in the very moment in which it is asked for
        checkpoints.turn(float(second))
        checkpoints.write_ahead({"a": 777 + second})
        for _ in range(10):
            await asyncio.sleep(0)
        declared.update(checkpoints.decided())
    assert declared == {"a": 778}


@pytest.mark.parametrize("new", [False, True], ids=["sent again", "new"])
async def test_only_what_is_new_keeps_a_bed_from_being_declared_silent(new: bool) -> None:
    checkpoints = of_one_bed(5.0)
    checkpoints.write_ahead({"a": 777})
    checkpoints.progress_of[0].advance(1)
    assert checkpoints.admits(0, "a", 1)  # a frame comes before it is durable
    if new:
        checkpoints.heard("a")
    for _ in range(10):
        await asyncio.sleep(0)
    assert checkpoints.decided() == ([] if new else [("a", 777)])


async def test_what_says_silent_of_a_bed_heard_meanwhile_is_superseded_at_once() -> None:
    """A crash before the bed's next turn would have it declared silent though it never was."""
    checkpoints = of_one_bed(3600.0)
    producer: Any = checkpoints._publisher._producer
    checkpoints.turn(0.0)
    checkpoints.write_ahead({"a": 777})
    checkpoints.progress_of[0].advance(1)
    checkpoints.admits(0, "a", 1)
    checkpoints.heard("a")
    for turn in range(20):  # the first while that copy is still on its way
        checkpoints.turn(turn / 100)
        await asyncio.sleep(0)
    assert [(one.silent_us, one.offset) for one in producer.snapshots] == [(777, 1), (0, 2)]
    assert checkpoints.decided() == []


async def test_a_bed_that_has_left_is_saved_now_and_then_only() -> None:
    """It must not cost what one costs that sends; nor may it hold a restart back at its last frame for ever."""
    checkpoints = of_one_bed(1.0)
    producer: Any = checkpoints._publisher._producer
    ward: Any = checkpoints._ward
    saved = []
    for second in range(30):
        if second == 20:
            checkpoints.told(ward.silence("a", 0).alerts[0], b"")
        checkpoints.progress_of[0].advance(1 + second)  # another's
        checkpoints.turn(float(second))
        for _ in range(10):
            await asyncio.sleep(0)
        saved.append(len(producer.snapshots))
    times = [second for second in range(1, 30) if saved[second] > saved[second - 1]]
    assert times == [1, 1 + IDLE_PERIODS, 1 + 2 * IDLE_PERIODS, 1 + 3 * IDLE_PERIODS, 20, 20 + IDLE_PERIODS]
    assert checkpoints.progress_of[0].commit()[0] == 20 + IDLE_PERIODS + 2


# on a real Kafka


async def state_message(cluster: KafkaSettings, bed: str, value: bytes | None) -> None:
    """Put a message on `ecg.state` where the bed's are."""
    async with clients.producer(cluster) as out:
        await out.send_and_wait(clients.topic(cluster, topics.STATE), value, key=bed.encode())


def foreign(partition: int) -> dict[str, bytes]:
    """Messages on `ecg.state` that are no snapshot to go on from, by what is wrong."""
    state = msgspec.json.encode(State())
    good = snapshots.encode(Snapshot("a", partition, 20, 0, state))
    return {
        "damaged": good[:-1],
        "something else": b'{"hello": 1}',
        "newer version": bytes((snapshots.MAGIC, snapshots.VERSION + 1)) + good[2:],
        "of another bed": snapshots.encode(Snapshot("b", partition, 20, 0, state)),
        "of another partition": snapshots.encode(Snapshot("a", partition + 1, 20, 0, state)),
        "ahead of the log": snapshots.encode(Snapshot("a", partition, 10**6, 0, state)),
        "the ward's other version": snapshots.encode(
            Snapshot("a", partition, 20, 0, msgspec.json.encode(State(version=VERSION + 1)))
        ),
    }


@pytest.mark.parametrize("what", list(foreign(0)))
async def test_a_foreign_snapshot_costs_its_bed_what_it_learned_and_nothing_else(
    kafka: KafkaSettings, what: str
) -> None:
    one = kafka.model_copy(update={"partitions": 1})
    await topics.create(one)
    frames = [f for pair in zip(stream_of("a", 20), stream_of("b", 20), strict=True) for f in pair]
    await state_message(one, "a", foreign(0)[what])
    await send(one, frames)
    async with monitor(one) as service:
        await until(read_all(service, len(frames)))
        assert counter(service, "telebeat_cold_starts_total") == 1
    assert await said(one) == expected(frames)


async def test_an_alert_that_stands_is_cleared_though_nobody_can_read_its_beds_state(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an update that changes what a state is: what holds on is raised anew, under another id."""
    one = kafka.model_copy(update={"partitions": 1})
    await topics.create(one)
    frames = stream_of("a", 30)  # the last 360 samples lie within a loud stretch
    await send(one, frames)
    async with monitor(one) as service:
        await until(read_all(service, len(frames)))
    before, _ = await said(one)
    (standing,) = [alert for alert in map(msgspec.json.decode, before.values()) if alert["state"] == "raised"]
    monkeypatch.setattr("tests.stream.fake.VERSION", VERSION + 1)
    async with monitor(one) as service:
        await until(lambda: service.unready() is None)
        assert counter(service, "telebeat_cold_starts_total") == 1
    after, _ = await said(one)
    assert msgspec.json.decode(after.pop(standing["id"])) == standing | {
        "state": "cleared",
        "cleared_sample": standing["decided_sample"],
        "cleared_time": standing["decided_time"],
    }
    others = [msgspec.json.decode(alert) for alert in after.values()]
    assert [(a["rule"], a["onset_sample"]) for a in others if a["state"] == "raised"] == [("relearning", 30 * 62)]


async def test_a_bed_whose_state_nobody_can_read_is_watched_all_the_same(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two beds fell silent, one before an update and one in it: both are told to be silent after it."""
    one = kafka.model_copy(update={"partitions": 1})
    await topics.create(one)
    chosen = settings(silent_after_s=2.5)
    await send(one, stream_of("a", 8, ingest_us=time.time_ns() // 1000))
    async with monitor(one, chosen=chosen) as service:
        await until(lambda: counter(service, "telebeat_beds_silent") == 1)
        await send(one, stream_of("b", 8, ingest_us=time.time_ns() // 1000))
        await until(read_all(service, 16))
    monkeypatch.setattr("tests.stream.fake.VERSION", VERSION + 1)
    async with monitor(one, chosen=chosen) as service:
        await until(lambda: counter(service, "telebeat_beds_silent") == 2)
        assert counter(service, "telebeat_cold_starts_total") == 2
    alerts = [msgspec.json.decode(alert) for alert in (await said(one))[0].values()]
    assert sorted(a["bed"] for a in alerts if (a["rule"], a["state"]) == ("bed_silent", "raised")) == ["a", "b"]


async def test_a_bed_of_another_log_is_watched_all_the_same(kafka: KafkaSettings) -> None:
    """The frames' topic was made anew: one that sends no more is told, and so after a crash before it was saved."""
    one = kafka.model_copy(update={"partitions": 1})
    await topics.create(one)
    now_us = time.time_ns() // 1000
    ward = FakeWard()
    ward.detect(stream_of("a", 1, ingest_us=now_us))
    ahead = Snapshot("a", 0, 10**6, 0, ward.snapshot("a"), (), ward.position("a"))
    await state_message(one, "a", snapshots.encode(ahead))
    await send(one, stream_of("b", 4, ingest_us=now_us))
    async with monitor(one, chosen=settings(silent_after_s=300, checkpoint_s=3600)) as service:
        await until(read_all(service, 4))
        assert service._ward.beds.keys() == {"a", "b"}
        _, metadata = service._checkpoints.progress_of[0].commit()
        assert metadata == "state=0", "a worker that takes over now would not know the bed"
    async with monitor(one, chosen=settings(silent_after_s=2.5)) as service:
        await until(lambda: counter(service, "telebeat_beds_silent") == 2)
        assert counter(service, "telebeat_cold_starts_total") == 0
    alerts = [msgspec.json.decode(alert) for alert in (await said(one))[0].values()]
    assert sorted(a["bed"] for a in alerts if a["rule"] == "bed_silent") == ["a", "b"]


async def test_a_bed_that_somebody_removed_is_not_restored_and_its_alerts_end(kafka: KafkaSettings) -> None:
    one = kafka.model_copy(update={"partitions": 1})
    await topics.create(one)
    await send(one, stream_of("a", 30))  # the last 360 samples lie within a loud stretch
    async with monitor(one) as service:
        await until(read_all(service, 30))
    await state_message(one, "a", None)
    async with monitor(one) as service:
        await until(lambda: service.unready() is None)
        assert not service._ward.beds
        assert counter(service, "telebeat_cold_starts_total") == 0
    alerts = [msgspec.json.decode(alert) for alert in (await said(one))[0].values()]
    assert alerts
    assert {alert["state"] for alert in alerts} == {"cleared"}


async def test_a_restart_in_good_order_goes_on_where_it_was(kafka: KafkaSettings) -> None:
    one = kafka.model_copy(update={"partitions": 1})
    await topics.create(one)
    frames = [f for pair in zip(stream_of("a", 60), stream_of("b", 60), strict=True) for f in pair]
    await send(one, frames[:70])
    async with monitor(one) as service:
        await until(read_all(service, 70))
    async with clients.admin(one) as admin:
        tp = TopicPartition(clients.topic(one, topics.FRAMES), 0)
        committed = (await admin.list_consumer_group_offsets(one.group))[tp]
    assert committed.offset == 70
    assert state_offset_of(committed.metadata) > 0 or counter(service, "telebeat_snapshots_total") <= 2
    await send(one, frames[70:])
    async with monitor(one) as service:
        await until(read_all(service, len(frames) - 70))
        assert counter(service, "telebeat_frames_total") == len(frames) - 70
        assert counter(service, "telebeat_cold_starts_total") == 0
    assert await said(one) == expected(frames)


async def test_a_silence_decided_before_a_crash_is_announced_after_it(kafka: KafkaSettings) -> None:
    """The decision was written ahead; whether the alert went out nobody can know, so it is said again."""
    one = kafka.model_copy(update={"partitions": 1})
    await topics.create(one)
    frames = stream_of("a", 8)
    await send(one, frames)
    async with monitor(one) as service:
        await until(read_all(service, len(frames)))
        state = service._ward.snapshot("a")
    await state_message(one, "a", snapshots.encode(Snapshot("a", 0, len(frames), 10**15, state)))
    await send(one, stream_of("a", 9)[8:])
    async with monitor(one) as service:
        await until(read_all(service, 1))
    alerts, _ = await said(one)
    assert [msgspec.json.decode(a)["rule"] for a in alerts.values()] == ["bed_silent"]
    assert [msgspec.json.decode(a)["cleared_sample"] for a in alerts.values()] == [496]
