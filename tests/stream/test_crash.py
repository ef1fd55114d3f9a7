"""A crash changes nothing: the same alerts and beats, whenever the monitor is killed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stream import consumer, snapshots, topics
from stream.consumer import Message
from stream.frames import Frame
from stream.settings import KafkaSettings
from stream.snapshots import PartitionProgress, Snapshot, Stored
from stream.wire import Alert, Batch
from tests.stream.fake import FakeWard
from tests.stream.frames_of import stream_of
from tests.stream.pipeline import Final, expected, final, said, send

ROOT = Path(__file__).resolve().parents[2]


class Crash(Exception):  # noqa: N818  # as when the power goes
    pass


class Disk:
    """What outlives a crash: the topics and the committed offset of one partition."""

    def __init__(self, log: list[Frame]) -> None:
        self.log = log
        self.state: list[bytes] = []
        self.committed = (0, "")
        self.alerts: list[Alert] = []
        self.batches: list[Batch] = []


STEPS = ("read", "analysed", "published", "copied", "saved", "committed")


def worker(disk: Disk, sizes: Iterable[int], crash_at: tuple[int, str] | None, save_every: int = 2) -> None:
    """The order of `stream.checkpoint` without a Kafka: `crash_at` (turn, step) raises `Crash` after that step."""
    turn = -1

    def step(name: str) -> None:
        if crash_at == (turn, name):
            raise Crash

    offset, metadata = disk.committed
    place = snapshots.state_offset_of(metadata)
    stored = [Stored(snapshots.decode(message), at) for at, message in enumerate(disk.state)][place:]
    restored = snapshots.newest(stored)
    ward = FakeWard()
    for bed, (snapshot, _) in restored.items():
        ward.restore(bed, snapshot.state)
    position = min([offset, *(s.snapshot.offset for s in restored.values())])
    progress = PartitionProgress(position, restored.values())
    schedule = snapshots.SnapshotSchedule(float(save_every))
    sizes = iter(sizes)
    while progress.position < len(disk.log):
        turn += 1
        end = progress.position + next(sizes)
        messages = [
            Message(0, at, frame.bed, frame, None)
            for at, frame in enumerate(disk.log[progress.position : end], progress.position)
        ]
        for messages_ in consumer.rounds({0: messages}):
            taken = [
                m.frame
                for m in messages_
                if progress.advance(m.offset) and progress.admits(m.bed, m.offset) and m.frame
            ]
            step("read")
            ward.detect(taken)
            output = ward.judge()
            step("analysed")
            disk.alerts += output.alerts
            disk.batches += output.batches
            step("published")
            copies = [
                Snapshot(bed, 0, progress.offset(bed), 0, ward.snapshot(bed))
                for bed in schedule.due(set(ward.beds), turn)
            ]
            step("copied")
            for copy in copies:
                disk.state.append(snapshots.encode(copy))
                progress.saved(copy.bed, copy.offset, len(disk.state) - 1)
                step("saved")
            disk.committed = progress.commit()
            step("committed")


def test_a_partition_with_a_backlog_keeps_no_other_waiting() -> None:
    """A round is full with the first of many beds; the next one begins with another partition."""
    many = [Message(0, i, f"a{i}", stream_of(f"a{i}", 1)[0], None) for i in range(2 * consumer.ROUND_FRAMES)]
    few = [Message(1, i, "b", one, None) for i, one in enumerate(stream_of("b", 3))]
    taken = list(consumer.rounds({0: many, 1: few}))
    assert few[0] in taken[1]
    assert [m for messages in taken for m in messages if m.partition == 0] == many
    assert [m for messages in taken for m in messages if m.partition == 1] == few


def log_of(beds: int, frames: int) -> list[Frame]:
    """Frames of beds that join one after the other."""
    return [f for i in range(frames) for bed in range(min(beds, 1 + i // 3)) for f in stream_of(f"b{bed}", i + 1)[-1:]]


LOG = log_of(4, 40)
WANTED = expected(LOG)


def last_words(disk: Disk) -> Final:
    return final(disk.alerts, disk.batches)


def test_without_a_crash() -> None:
    disk = Disk(LOG)
    worker(disk, iter(lambda: 3, None), None)
    assert last_words(disk) == WANTED
    assert WANTED[0]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("turn", [1, 2, 5, 11])
def test_crash_after_each_step(turn: int, step: str) -> None:
    disk = Disk(LOG)
    with pytest.raises(Crash):
        worker(disk, iter(lambda: 5, None), (turn, step), save_every=1)
    worker(disk, iter(lambda: 5, None), None)
    assert last_words(disk) == WANTED


@given(
    crashes=st.lists(st.tuples(st.integers(0, 12), st.sampled_from(STEPS)), max_size=6),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    save_every=st.integers(1, 8),
)
@example(crashes=[(0, "read")] * 3, sizes=[1], save_every=1)
@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_crashes_one_after_the_other(crashes: list[tuple[int, str]], sizes: list[int], save_every: int) -> None:
    disk = Disk(LOG)

    def endless() -> Iterable[int]:
        while True:
            yield from sizes

    for crash in [*crashes, None]:
        try:
            worker(disk, endless(), crash, save_every)
        except Crash:
            continue
        break
    assert last_words(disk) == WANTED


@pytest.mark.parametrize("lost", ["none of it", "one bed's"])
def test_a_zombie_s_older_snapshot_does_not_win(lost: str) -> None:
    """A worker that was thrown out of the group writes an old state after its successor's newer one."""
    disk = Disk(LOG)
    with pytest.raises(Crash):
        worker(disk, iter(lambda: 5, None), (11, "committed"), save_every=1)
    first = {snapshots.decode(message).bed: message for message in reversed(disk.state)}
    disk.state += first.values()
    if lost == "one bed's":  # compaction has removed the newer ones of this bed
        old = first["b0"]
        disk.state = [old if snapshots.decode(message).bed == "b0" else message for message in disk.state]
    worker(disk, iter(lambda: 5, None), None)
    assert last_words(disk) == WANTED


@pytest.mark.timeout(180)
async def test_kill_9_at_random_points(kafka: KafkaSettings, tmp_path: Path) -> None:
    """The real process on the real Kafka, killed again and again while frames keep coming."""
    await topics.create(kafka)
    frames = [f for group in zip(*(stream_of(f"bed {i}", 120) for i in range(6)), strict=True) for f in group]
    dice = random.Random(3)
    variables = {
        **os.environ,
        "TELEBEAT_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "TELEBEAT_KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "TELEBEAT_KAFKA_GROUP": kafka.group,
        "TELEBEAT_HTTP_PORT": "0",
        "TELEBEAT_CHECKPOINT_S": "0.3",
        "TELEBEAT_SILENT_AFTER_S": "300",
    }

    log = tmp_path / "worker.log"

    def start() -> subprocess.Popen[bytes]:
        with log.open("wb") as errors:
            return subprocess.Popen([sys.executable, "-m", "tests.stream.fake"], cwd=ROOT, env=variables, stderr=errors)

    async def play() -> None:
        for begin in range(0, len(frames), 24):
            await send(kafka, frames[begin : begin + 24])
            await asyncio.sleep(0.2)

    playing = asyncio.create_task(play())
    wanted = expected(frames)
    kills = 0
    while not playing.done() or kills < 4:
        process = start()
        await asyncio.sleep(dice.uniform(1.0, 3.0))
        process.kill()
        process.wait()
        kills += 1
    await playing
    process = start()
    try:
        async with asyncio.timeout(60):
            # A killed one may have said it all; only one that has started answers SIGTERM itself.
            while "monitor started" not in log.read_text() or await said(kafka) != wanted:
                assert process.poll() is None, log.read_text()
                await asyncio.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 15) == 0
    finally:
        process.kill()
        process.wait()
    assert await said(kafka) == wanted
