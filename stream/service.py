"""The monitor: frames from Kafka through the ward, beats and alerts back to Kafka, as long as it is let run.

    getmany -> decode -> ward.detect -> ward.judge -> publish -> metrics -> checkpoint

Everything with a medical meaning is in the ward; here are clocks, sockets and the order of things. The ward's calls
release the GIL and run in one thread of their own, one after the other, so that heartbeats to Kafka and the pages go on
meanwhile. Whatever cannot be mended from inside ends the process with an error that says why: the next one goes on from
the last checkpoint and nothing is lost (see `stream.checkpoint`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import aiokafka.errors
import structlog
from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener

from stream import consumer, kafka, topics
from stream.admission import Admission
from stream.checkpoint import Checkpoints
from stream.consumer import Message
from stream.errors import KafkaError, TelebeatError
from stream.frames import Frame
from stream.lag import FRESH_S, PartitionLag
from stream.latency import Timings
from stream.metrics import Metrics, Stage
from stream.output import OutputSender
from stream.protocols import Analysis, AnalysisOutput
from stream.publisher import Publisher
from stream.settings import KafkaSettings, Settings
from stream.silence import SilenceTracker
from stream.snapshots import Restored
from stream.suspension import SuspensionGuard
from stream.web import Pages
from stream.wire import Rule

POLL_MS: Final = 100  # longest wait for frames: bounds how late a signal to stop or a silent bed is noticed
HOUSEKEEPING_S: Final = 1.0  # between two looks at silent beds, lag and gauges, and two commits
HEALTHY_S: Final = 15.0  # without a turn of the loop though Kafka takes what is sent: it hangs, restart me
DRAIN_S: Final = 5.0  # for the last snapshots; under Kafka's rebalance timeout and an orchestrator's patience
LOST_DRAIN_S: Final = 0.1  # the same while Kafka does not answer: there is nothing to wait for


T = TypeVar("T")

log = structlog.get_logger()


class Service(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """One worker of the monitor.

    Parameters
    ----------
    settings, cluster : Settings, KafkaSettings
        As of `stream.settings`.
    ward : Analysis
        The analysis; empty.
    clock : callable
        Seconds since the Unix epoch.
    """

    def __init__(
        self, settings: Settings, cluster: KafkaSettings, ward: Analysis, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._cluster = cluster
        self._ward = ward
        self._clock = clock
        self._frames_topic = kafka.topic(cluster, topics.FRAMES)
        self.metrics = Metrics()
        self._timings = Timings(self.metrics)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ward")
        self._turn = asyncio.Lock()  # held while the ward or the progress changes: by the loop, or by a rebalance
        self._torn = False  # a turn was cut off: the ward is ahead of what was said, and must never be saved
        self._generation = 0  # of the assignment; what was polled under an older one is dropped
        self._assigned = False  # ever
        self._rebalancing = True  # the partitions are given up and not yet taken over, or none were ever
        self._unserved = ""  # what is to be done about partitions of frames that other topics lack
        self._held: set[int] = set()  # partitions of whose beds too much waits to be taken by Kafka
        self._at_hand: set[int] = set()  # partitions of the messages that are being analysed
        self._silence = SilenceTracker(settings.silent_after_s)
        self._housekept = 0.0
        self._last_turn = time.monotonic()
        self._guard = SuspensionGuard()
        self._failure: TelebeatError | None = None
        self._stopping = asyncio.Event()
        # Asked, not told: a loop that waits for Kafka tells nothing.
        self.metrics.kafka_up.set_function(lambda: self._assigned and not self._unanswered())
        self.metrics.ready.set_function(lambda: self.unready() is None)
        self.port = 0
        self.started = False

    def stop(self) -> None:
        """Finish what is being analysed, save it, and return from `run`."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until `stop` is called.

        Raises
        ------
        TelebeatError
            If something broke that a restart may mend.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._thread.shutdown)
            pages = Pages(self._settings.http_host, self._settings.http_port, self.metrics, self, self._timings.summary)
            await stack.enter_async_context(pages)
            self.port = pages.port
            await topics.sizes(self._cluster)  # they are all there
            producer = await stack.enter_async_context(kafka.producer(self._cluster))
            self._publisher = Publisher(producer, self.metrics.publish_errors.inc)
            stack.callback(self._publisher.abandon)
            self._consumer = await stack.enter_async_context(kafka.consumer(self._cluster, group=self._cluster.group))
            self._checkpoints = Checkpoints(
                self._cluster,
                self._settings.checkpoint_s,
                self._ward,
                self._publisher,
                self._consumer,
                self.metrics,
            )
            self._admission = Admission(self._ward, self._checkpoints, self._silence, self.metrics, self._timings)
            self._sender = OutputSender(
                self._cluster,
                self._publisher,
                self._checkpoints,
                self._ward,
                self._guard,
                self.metrics,
                self._timings,
                self._clock,
            )
            self._lag = PartitionLag(self._frames_topic, self._consumer, self._checkpoints.progress_of)
            self._consumer.subscribe([self._frames_topic], listener=self)
            log.info("monitor started", http=f"{self._settings.http_host}:{self.port}", group=self._cluster.group)
            self.started = True
            try:
                whole = await self._serve()
            except BaseException:
                producer.give_up()  # whoever reads it again says it; coming after that, it would be the last word
                raise
            await self._shut_down(producer, whole=whole)
        log.info("monitor stopped")

    async def _shut_down(self, producer: Any, *, whole: bool) -> None:
        """Save the beds, unless a turn had to be cut off, and leave Kafka."""
        log.info("monitor stopping")
        async with self._turn:
            self._generation += 1
            if whole:
                await self._checkpoints.release(self._patience_s())
            else:
                await asyncio.to_thread(self._thread.shutdown)  # the ward may be in the midst of its work
                self._checkpoints.drop()
        if self._torn or self._publisher.in_flight:
            producer.give_up()
        self._publisher.abandon()
        # Together: each may have to be cut off, and some orchestrators kill after 10 s.
        await asyncio.gather(self._consumer.stop(), producer.stop())

    # the loop

    async def _serve(self) -> bool:
        """Turn until told to stop; False if a turn that waits for Kafka had to be cut off, and is to be made again."""
        turns, guard = asyncio.create_task(self._turns()), asyncio.create_task(self._guard.watch())
        told = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({turns, told, guard}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({turns, guard}, timeout=self._patience_s(), return_when=asyncio.FIRST_COMPLETED)
            if turns.done():
                await turns
            if guard.done():
                await guard
        finally:
            for task in (told, guard, turns):
                task.cancel()
            await asyncio.wait({told, guard, turns})
        return not self._torn

    async def _turns(self) -> None:
        while not self._stopping.is_set():
            await self._poll()

    def _patience_s(self) -> float:
        """How long the end may wait for Kafka."""
        return LOST_DRAIN_S if self._unanswered() else DRAIN_S

    @contextlib.asynccontextmanager
    async def _unbroken(self) -> AsyncIterator[None]:
        """The lock of a turn; whatever cuts it off, nobody who waits for the lock saves what it left behind."""
        async with self._turn:
            try:
                yield
            except BaseException:
                self._torn = True
                raise

    async def _poll(self) -> None:
        """One turn: what has come, then what is due."""
        generation = self._generation
        try:
            polled = await self._consumer.getmany(timeout_ms=POLL_MS)
        except aiokafka.errors.KafkaError as error:
            raise kafka.explain(error) from error
        received = self._clock()
        self._at_hand = {tp.partition for tp, records in polled.items() if records}
        dropped: set[int] = set()
        for messages in consumer.rounds(consumer.read_all(polled)):
            async with self._unbroken():
                dropped |= self._held
                messages = [message for message in messages if message.partition not in dropped]  # noqa: PLW2901
                if self._failure is not None or generation != self._generation or self._stopping.is_set():
                    self._lag.rewind(polled.keys())
                    break
                await self._round(messages, received)
                await self._upkeep()
        async with self._unbroken():
            if generation == self._generation:
                self._lag.rewind({tp for tp in polled if tp.partition in dropped})
                self._lag.follow()
            await self._upkeep()

    async def _round(self, messages: list[Message], received: float) -> None:
        """One step of the ward over messages that follow each other."""
        frames = self._admission.admit(messages, received)
        if not frames:
            return
        loop = asyncio.get_running_loop()
        said, began, detected, judged = await loop.run_in_executor(self._thread, self._analyse, frames)
        self._timings.observe(Stage.QUEUE, began - received)
        self._timings.observe(Stage.DETECT, detected - began)
        self._timings.observe(Stage.CLASSIFY, judged - detected)
        for bed, sent_us in said.heard.items():
            self._checkpoints.heard(bed)
            self._silence.heard(bed, self._checkpoints.homes[bed], sent_us, time.monotonic())
        await self._sender.send_output(said, frames)

    def _analyse(self, frames: list[Frame]) -> tuple[AnalysisOutput, float, float, float]:
        """The ward's work, in its thread, and the moments before, between and after."""
        began = self._clock()
        self._ward.detect(frames)
        detected = self._clock()
        said = self._ward.judge()
        return said, began, detected, self._clock()

    # what is due from time to time

    async def _upkeep(self) -> None:
        """Snapshots whose turn has come; once a second silent beds, gauges and the commit."""
        if self._failure is not None:
            raise self._failure
        now = self._last_turn = time.monotonic()
        self._checkpoints.turn(now)
        self._held = {partition for partition in self._checkpoints.progress_of if not self._sender.has_room(partition)}
        for partition, progress in self._checkpoints.progress_of.items():
            self._lag.hold(partition, partition in self._held)
            if (told := self._lag.answer(partition)) is not None:
                self._silence.answers(partition, now, told.end, progress.position)
        for bed, silent_us in self._checkpoints.decided():
            await self._declare_silent(bed, silent_us)
        if now - self._housekept >= HOUSEKEEPING_S:
            self._housekept = now
            for partition in self._checkpoints.progress_of:
                self._checkpoints.write_ahead(self._silence.overdue(partition, self._checkpoints.homes))
            self._show_state()
            self._checkpoints.commit()

    def _unanswered(self) -> int:
        """Partitions Kafka has told nothing of lately."""
        return self._lag.unanswered(self._at_hand)

    async def _declare_silent(self, bed: str, at_us: int) -> None:
        self._silence.silent(bed)
        log.warning("bed silent", bed=bed)
        await self._sender.send_output(self._ward.silence(bed, at_us), [])

    def _show_state(self) -> None:
        """Bring the gauges up to date."""
        beds = self._ward.beds
        self.metrics.standing(beds)
        sending = Counter(
            self._checkpoints.homes.get(bed) for bed, view in beds.items() if Rule.BED_SILENT not in view.active
        )
        self.metrics.last_frame.since(self._silence.quietest_s())
        for partition, progress in self._checkpoints.progress_of.items():
            if (told := self._lag.answer(partition)) is not None:
                self.metrics.lag(partition, told.lag, told.lag / max(1, sending[partition]) * progress.frame_s)

    # partitions come and go

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Save and let go of all beds before anybody else may have them."""
        self._generation += 1
        async with self._turn:
            self._rebalancing = True
            if self._torn:
                return  # the process ends, and the next one reads it again
            if self._checkpoints.progress_of:
                log.info("partitions given up", partitions=sorted(tp.partition for tp in revoked))
                await self._checkpoints.release(DRAIN_S)
            self._silence.clear()

    async def on_partitions_assigned(self, assigned: set[Any]) -> None:
        """Restore the beds of the partitions; aiokafka may have begun to fetch, from where they were committed."""
        async with self._turn:
            self._generation += 1
            if self._stopping.is_set():
                return
            partitions: set[int] = set()
            try:
                taken = await self._unless_stopping(self._take_over({tp.partition for tp in assigned}))
                if taken is None:
                    return
                partitions, restored = taken
                for partition, alert in restored.orphans:
                    await self._sender.send_alert(alert, partition)
                for said in restored.begun:
                    await self._sender.send_output(said, [])
                now_s, steady_s = self._clock(), time.monotonic()
                for bed, view in self._ward.beds.items():
                    told = Rule.BED_SILENT in view.active
                    home = self._checkpoints.homes[bed]
                    sent_us = view.last_ingest_time_us
                    self._silence.restored(bed, home, sent_us, now_s - sent_us / 1e6, steady_s, silent=told)
                for bed, silent_us in restored.silent:
                    await self._declare_silent(bed, silent_us)
            except (aiokafka.errors.KafkaError, OSError, TimeoutError) as error:
                self._failure = kafka.explain(error)
            except TelebeatError as error:
                self._failure = error
            except Exception as error:  # aiokafka would only log it and go on without the beds' states
                log.exception("beds could not be restored")
                self._failure = KafkaError(f"the beds could not be restored: {error!r}")
            self._assigned, self._rebalancing = True, False
            self.metrics.assigned(partitions)

    async def _take_over(self, assigned: set[int]) -> tuple[set[int], Restored]:
        """Restore the partitions that every topic has; of others nothing could be saved nor said, and they wait."""
        sizes = await topics.sizes(self._cluster)
        served = {partition for partition in assigned if partition < min(sizes.values())}
        self._unserved = ""
        if others := assigned - served:
            self._consumer.pause(*(TopicPartition(self._frames_topic, partition) for partition in others))
            self._unserved = (
                f"partitions {sorted(others)} of {self._frames_topic} are not analysed, other topics lack them: "
                f"{sizes}; give all of them {max(sizes.values())} (kafka-topics --alter), then restart the workers"
            )
            log.error("partitions are not analysed", detail=self._unserved)
        return served, await self._checkpoints.restore(served)

    async def _unless_stopping(self, work: Coroutine[Any, Any, T]) -> T | None:
        """The work's result; None if it was cut off because there is nothing to do any more."""
        working, told = asyncio.create_task(work), asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
            return await working if working.done() else None
        finally:
            for task in (working, told):
                task.cancel()
            await asyncio.wait({working, told}, timeout=DRAIN_S)  # a client may be deaf to it while it connects

    # what the pages show

    def unhealthy(self) -> str | None:
        """Why the process should be restarted, or None.

        That Kafka is away is no reason. A restart would lose nothing, but mend nothing either: the new process ends at
        once as it finds no broker, and who restarts it waits longer each time, up to minutes, for which the beds are
        unwatched after Kafka has come back. This one is back as soon as Kafka is. `/readyz` and the metrics tell.
        """
        if (quiet_s := self._quiet_s()) <= HEALTHY_S or self._rebalancing or self._publisher.in_flight:
            return None  # it turns, or waits for Kafka, which ends in an error of its own if it is of no use
        return f"no turn of the loop for {quiet_s:.0f} s"

    def unready(self) -> str | None:
        """Why the worker does not analyse, or None; once caught up, it stays ready while Kafka answers."""
        if self._rebalancing:
            return "no partitions assigned yet"
        if lost := self._unanswered():
            return f"Kafka does not answer for {lost} partitions"
        if (quiet_s := self._quiet_s()) > FRESH_S:
            return f"no turn of the loop for {quiet_s:.0f} s"
        if self._unserved:
            return self._unserved
        behind = sum(not self._silence.is_caught_up(partition) for partition in self._checkpoints.progress_of)
        return f"not caught up on {behind} partitions" if behind else None

    def _quiet_s(self) -> float:
        return time.monotonic() - self._last_turn
