"""Effectively-once without transactions: snapshots on `ecg.state`, offsets in the group, replay from both.

What is published is a function of the frames (see `stream.wire`), so publishing again after a crash does no harm; what
must never happen is that something is left out. The order that ensures it:

1. a bed's state is copied, with the offset of the next frame to read;
2. everything published up to then is acknowledged;
3. the snapshot is written to `ecg.state` and acknowledged;
4. the group commits the lowest offset that any bed of the partition has to be read from again, and in the commit's
   metadata the offset on `ecg.state` where reading has to begin, so that a restart reads seconds and not hours of it.

A crash between any two of them repeats work of the last seconds. A snapshot that cannot be used (foreign, damaged,
other version, ahead of the log) costs its bed what it had learned, and is counted; as long as it can be told where the
bed was, the bed is watched all the same, so that one that sends no more is told.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any, Final

import aiokafka.errors
import msgspec
import structlog
from aiokafka import TopicPartition

from stream import kafka, snapshots, topics, wire
from stream.errors import KafkaError, TelebeatError
from stream.metrics import Metrics
from stream.protocols import Analysis
from stream.publisher import Publisher
from stream.settings import KafkaSettings
from stream.snapshots import PartitionProgress, Restored, Snapshot, SnapshotSchedule, Stored
from stream.state_log import read_state
from stream.wire import Alert, Rule

AT_ONCE: Final = 16  # snapshots packed before the loop sees to others: 3 ms
IDLE_PERIODS: Final = 6  # between two snapshots of a bed that has not changed: not more, or a restart has much to read

log = structlog.get_logger()


class Checkpoints:
    """The durable side of one worker.

    Parameters
    ----------
    settings : KafkaSettings
        Where `ecg.state` is.
    period_s : float
        Seconds between two snapshots of a bed.
    ward : Analysis
        Whose beds are saved and restored.
    publisher : Publisher
        On which the beds' output goes out; snapshots wait for it.
    consumer : aiokafka.AIOKafkaConsumer
        Of `ecg.frames`, member of the group that commits.
    metrics : Metrics
        Counts snapshots and beds that had to begin anew.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        period_s: float,
        ward: Analysis,
        publisher: Publisher,
        consumer: Any,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._ward = ward
        self._publisher = publisher
        self._consumer = consumer
        self._metrics = metrics
        self._schedule = SnapshotSchedule(period_s)
        self._idle_s = IDLE_PERIODS * period_s
        self._frames = kafka.topic(settings, topics.FRAMES)
        self._state = kafka.topic(settings, topics.STATE)
        self._committed: dict[int, tuple[int, str]] = {}
        self._writing: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._commit_task: asyncio.Task[None] | None = None
        self._failure: KafkaError | None = None
        self._saved_at: dict[str, float] = {}
        self._standing: dict[str, dict[str, bytes]] = {}  # bed -> alerts that are raised, by id
        self._ahead: dict[str, int] = {}  # beds about to be declared silent, and as of when; 0: not copied yet
        self._changed: set[str] = set()  # beds of which something came or was said since their last copy
        self._called_off: set[str] = set()  # beds heard after all, of which a copy that says silent is to be superseded
        self._durable: list[tuple[str, int]] = []  # those of which that is acknowledged
        self._moved: dict[str, set[int]] = {}  # bed -> partitions it was on, until a snapshot on its new one is durable
        self.progress_of: dict[int, PartitionProgress] = {}
        self.homes: dict[str, int] = {}  # bed -> partition

    def admits(self, partition: int, bed: str, offset: int) -> bool:
        """Whether this frame of a bed is new to its state; from now on the bed is saved with the others."""
        if (home := self.homes.get(bed, partition)) != partition:
            if bed not in self._moved:
                log.warning("bed moved to another partition: its gateway chooses otherwise", bed=bed, to=partition)
            self._moved.setdefault(bed, set()).add(home)
        self.homes[bed] = partition
        self._changed.add(bed)
        return self.progress_of[partition].admits(bed, offset)

    def heard(self, bed: str) -> None:
        """The bed sent something new, so it is not silent; frames of old, sent again, would be no such sign."""
        if self._ahead.pop(bed, 0):
            self._called_off.add(bed)

    def lost(self, bed: str) -> None:
        """The bed's state was dropped: there is nothing to save of it before its next frame."""
        self._ahead.pop(bed, None)
        self._called_off.discard(bed)
        self._changed.discard(bed)
        if (home := self.homes.pop(bed, None)) is not None:
            for partition in {home} | self._moved.pop(bed, set()):
                self.progress_of[partition].lost(bed)

    def told(self, alert: Alert, message: bytes) -> None:
        """An alert was said, as this message: while it stands, its bed's snapshots hold it."""
        self._changed.add(alert.bed)
        standing = self._standing.setdefault(alert.bed, {})
        if alert.state == "raised":
            standing[alert.id] = message
        else:
            standing.pop(alert.id, None)

    def orphans(self, bed: str, active: Collection[Rule]) -> list[Alert]:
        """Alerts that stand by what was said of a bed and not by what is known of it; cleared."""
        standing = [wire.ended(message) for message in self._standing.get(bed, {}).values()]
        return [a for a in standing if a is not None and a.rule not in {rule.label for rule in active}]

    # restoring

    async def restore(self, partitions: set[int]) -> Restored:
        """Take the partitions over: beds into the ward, the consumer to where reading has to begin.

        Raises
        ------
        KafkaError
            If the state cannot be read.
        """
        restored = Restored([], [], [])
        if not partitions:
            return restored
        committed = await self._committed_offsets(partitions)
        frames = [TopicPartition(self._frames, p) for p in sorted(partitions)]
        places = {p: snapshots.state_offset_of(text) for p, (_, text) in committed.items()}
        kept = await read_state(self._settings, places)
        # Asked afterwards, or a snapshot written meanwhile would seem to be ahead of the log.
        begin, end = await self._consumer.beginning_offsets(frames), await self._consumer.end_offsets(frames)
        homes = snapshots.assign_homes(kept, {tp.partition: end[tp] for tp in frames})
        for tp in frames:
            here = homes.usable[tp.partition]
            for bed, (snapshot, _) in list(here.items()):
                if not self._take_over(bed, tp.partition, snapshot, restored):
                    del here[bed]
            for bed in homes.unknown[tp.partition]:
                self._begin_anew(bed, tp.partition, None, restored)
            position = min([committed[tp.partition][0], *(one.snapshot.offset for one in here.values())])
            position = begin[tp] if position > end[tp] else max(position, begin[tp])
            for bed, (snapshot, at) in homes.ahead[tp.partition].items():
                if self._begin_anew(bed, tp.partition, snapshot, restored):
                    here[bed] = Stored(msgspec.structs.replace(snapshot, offset=position), at)
            self._consumer.seek(tp, position)
            self.progress_of[tp.partition] = PartitionProgress(position, here.values())
            log.info("partition taken over", partition=tp.partition, offset=position, end=end[tp], beds=len(here))
        for snapshot in homes.left:  # what stood there nobody knows any more, unless the bed's home does
            restored.orphan(snapshot.partition, snapshot.standing, self._standing.get(snapshot.bed, {}))
        return restored

    def _take_over(self, bed: str, partition: int, snapshot: Snapshot, restored: Restored) -> bool:
        """Go on from a snapshot, or at least from the position it tells; False if it tells neither."""
        try:
            self._ward.restore(bed, snapshot.state)
        except TelebeatError as error:
            log.warning("snapshot refused", bed=bed, partition=partition, error=str(error))
            return self._begin_anew(bed, partition, snapshot, restored)
        for message in snapshot.standing:
            with contextlib.suppress(msgspec.DecodeError):
                self.told(wire.decode_alert(message), message)
        if snapshot.silent_us:
            restored.silent.append((bed, snapshot.silent_us))
        self.homes[bed] = partition
        return True

    def _begin_anew(self, bed: str, partition: int, snapshot: Snapshot | None, restored: Restored) -> bool:
        """Nothing is known any more of what a bed's alerts hang on; whether it is known where the bed was."""
        self._metrics.cold_starts.inc()
        log.warning("bed begins anew, its snapshot cannot be used", bed=bed, partition=partition)
        if snapshot is not None:
            restored.orphan(partition, snapshot.standing)
        if snapshot is None or snapshot.position is None:
            return False
        restored.begun.append(self._ward.begin(bed, snapshot.position))
        self.homes[bed] = partition
        return True

    async def _committed_offsets(self, partitions: set[int]) -> dict[int, tuple[int, str]]:
        """Offset and metadata the group has committed; offset 0 where it has none."""
        tps = [TopicPartition(self._frames, p) for p in partitions]
        async with kafka.admin(self._settings) as admin:
            try:
                found = await admin.list_consumer_group_offsets(self._settings.group, partitions=tps)
            except aiokafka.errors.KafkaError as error:
                raise kafka.explain(error) from error
        known = {tp.partition: (max(0, at.offset), at.metadata or "") for tp, at in found.items()}
        return {p: known.get(p, (0, "")) for p in partitions}

    # saving

    def turn(self, now: float) -> None:
        """Save the beds whose turn has come, in the background; `now` in monotonic seconds.

        Raises
        ------
        KafkaError
            If an earlier one could not be saved.
        """
        if self._failure is not None:
            raise self._failure
        due: defaultdict[int, list[Snapshot]] = defaultdict(list)
        for bed in self._called_off | set(self._schedule.due(self.homes.keys(), now)):
            if bed not in self._writing and bed not in self._ahead and self._has_news(bed, now):
                self._called_off.discard(bed)
                due[self.homes[bed]].append(self._copy(bed))
        for copies in due.values():  # each partition for itself: another may be without a leader for long
            self._begin(copies, self._write(copies, now))
        known = [self._saved_at.setdefault(bed, now) for bed in self.homes]
        self._metrics.oldest_snapshot.since(min(known, default=None))

    def _has_news(self, bed: str, now: float) -> bool:
        """Whether there is anything to save of a bed, or it holds back for long where a restart begins to read."""
        return bed in self._changed or now - self._saved_at.get(bed, now) >= self._idle_s

    def write_ahead(self, beds: Mapping[str, int]) -> None:
        """Begin to make durable that beds are about to be declared silent, and as of when; `decided` tells when it is.

        In the background: a partition that has no leader must not keep the others' beds waiting. Not of a bed of which
        an older copy is on its way that could overtake this one: ask again a little later.
        """
        asked = [bed for bed in beds if not self._ahead.get(bed)]
        self._ahead |= dict.fromkeys(asked, 0)  # from now on no turn of theirs comes first, again and again
        if ready := [bed for bed in asked if bed not in self._writing]:
            self._ahead |= {bed: beds[bed] for bed in ready}
            copies = [self._copy(bed, beds[bed]) for bed in ready]
            self._begin(copies, self._write_ahead(copies))

    async def _write_ahead(self, copies: list[Snapshot]) -> None:
        await self._write(copies, None)
        await self._publisher.settled({copy.partition for copy in copies})
        self._durable += [(copy.bed, copy.silent_us) for copy in copies]

    def decided(self) -> list[tuple[str, int]]:
        """Beds that are to be declared silent now, as of which moment; not those that were heard again meanwhile."""
        done = [(bed, silent_us) for bed, silent_us in self._durable if self._ahead.get(bed) == silent_us]
        self._durable.clear()
        for bed, _ in done:
            del self._ahead[bed]
        return done

    def commit(self) -> None:
        """Commit what is durable, in the background, if anything changed and no commit is on its way."""
        if self._commit_task is None or self._commit_task.done():
            self._commit_task = self._start(self._commit())

    async def release(self, timeout_s: float) -> None:
        """Save every bed, commit, and let all partitions go; what does not succeed in time is left to replay.

        The ward is empty when this returns, and nothing more is counted as read.
        """
        try:
            async with asyncio.timeout(timeout_s):
                if self._tasks:
                    await asyncio.wait(set(self._tasks))
                await self._write([self._copy(bed) for bed in self.homes], None)
                await self._publisher.settled()
                await self._commit()
        except (TimeoutError, KafkaError) as error:
            log.warning("not all could be saved; it will be read again", error=str(error) or "out of time")
            if self._publisher.in_flight:  # what is said of these beds is the next worker's to say
                self._failure = self._failure or KafkaError("beds were given up before all said of them was on Kafka")
        finally:
            self.drop()

    def drop(self) -> None:
        """Let all partitions go and save nothing: it will be read again."""
        for task in self._tasks:
            task.cancel()
        for bed in self.homes:
            self._ward.forget(bed)
        self.homes.clear()
        self.progress_of.clear()
        self._committed.clear()
        self._writing.clear()
        self._standing.clear()
        self._ahead.clear()
        self._called_off.clear()
        self._changed.clear()
        self._durable.clear()
        self._saved_at.clear()
        self._moved.clear()
        self._metrics.oldest_snapshot.since(None)

    def _begin(self, copies: Sequence[Snapshot], writing: Coroutine[Any, Any, None]) -> None:
        """Write copies in the background; from now on none of their beds is copied until these are on their way."""
        self._writing |= {copy.bed for copy in copies}
        self._start(writing)

    def _copy(self, bed: str, silent_us: int = 0) -> Snapshot:
        self._changed.discard(bed)
        partition = self.homes[bed]
        standing = tuple(self._standing.get(bed, {}).values())
        offset = self.progress_of[partition].offset(bed)
        position = self._ward.position(bed)
        return Snapshot(bed, partition, offset, silent_us, self._ward.snapshot(bed), standing, position)

    async def _write(self, copies: Sequence[Snapshot], now: float | None) -> None:
        """Steps 2 and 3 of the order above."""
        try:
            before = {partition for copy in copies for partition in self._moved.get(copy.bed, ())}
            await self._publisher.settled({copy.partition for copy in copies} | before)
            for number, copy in enumerate(copies):
                if number % AT_ONCE == 0:
                    await asyncio.sleep(0)
                progress = self.progress_of[copy.partition]

                def saved(
                    state_offset: int, _: float, copy: Snapshot = copy, progress: PartitionProgress = progress
                ) -> None:
                    progress.saved(copy.bed, copy.offset, state_offset)
                    self._settle(copy)
                    self._metrics.snapshots.inc()
                    if now is not None:
                        self._saved_at[copy.bed] = now

                message = snapshots.encode(copy)
                await self._publisher.send(self._state, copy.bed.encode(), message, copy.partition, saved)
        finally:
            self._writing -= {copy.bed for copy in copies}

    def _settle(self, copy: Snapshot) -> None:
        """The bed's state is durable where it is at home: it holds back no partition it was on before."""
        if self.homes.get(copy.bed) == copy.partition:
            for partition in self._moved.pop(copy.bed, set()) - {copy.partition}:
                if partition in self.progress_of:
                    self.progress_of[partition].lost(copy.bed)

    async def _commit(self) -> None:
        """Step 4."""
        now = {p: progress.commit() for p, progress in self.progress_of.items()}
        if changed := {p: at for p, at in now.items() if self._committed.get(p) != at}:
            try:
                await self._consumer.commit({TopicPartition(self._frames, p): at for p, at in changed.items()})
            except aiokafka.errors.KafkaError as error:
                # the group is about to rebalance or its coordinator moved; the next commit covers this one
                log.warning("offsets not committed", error=str(error) or type(error).__name__)
            else:
                self._committed |= changed

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error if isinstance(error, KafkaError) else KafkaError(f"checkpoint failed: {error!r}")
