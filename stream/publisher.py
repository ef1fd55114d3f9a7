"""What the monitor says, on its way to Kafka: in order, bounded, and never dropped while the process lives.

The producer is idempotent: it retries for as long as the error can pass, and keeps the order within a partition. What
cannot pass (no permission, a message too large, a log that lost records) ends the monitor: everything that was not
acknowledged lies after the last checkpoint and is said again after the restart, with the same ids.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Set
from functools import partial
from typing import Any, Final, Protocol

import aiokafka.errors

from stream.errors import KafkaError
from stream.kafka import explain

#: Messages to a partition: a second of a thousand beds. More unacknowledged ones are a broker in trouble.
MAX_IN_FLIGHT: Final = 4096
RETRY_S: Final = 0.1  # between two attempts to hand over what the producer has no room for

#: Told when a message is acknowledged: its offset, and the seconds since `Publisher.send` was called.
Acknowledged = Callable[[int, float], None]


class Producing(Protocol):
    """The part of `aiokafka.AIOKafkaProducer` that is used here."""

    async def send(
        self, topic: str, value: bytes | None = None, key: bytes | None = None, partition: int | None = None
    ) -> asyncio.Future[Any]:
        """Hand over a message; the future holds its `RecordMetadata`."""


class Publisher:
    """Messages in flight to Kafka.

    Parameters
    ----------
    producer : Producing
        Idempotent and started.
    on_error : callable
        Told of every failed attempt, for a counter.
    max_in_flight : int
        `send` waits while that many messages to its partition, of whatever topic, are unacknowledged: those that have
        no leader, however many they are, take no room from the others.
    clock : callable
        Seconds, monotonic.
    """

    def __init__(
        self,
        producer: Producing,
        on_error: Callable[[], object] = lambda: None,
        max_in_flight: int = MAX_IN_FLIGHT,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._producer = producer
        self._on_error = on_error
        self._clock = clock
        self._rooms: defaultdict[int | None, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(max_in_flight))
        self._pending: dict[asyncio.Task[None], int | None] = {}  # and their partitions
        self._waiting: Counter[tuple[str, int | None]] = Counter()  # topic, partition -> bytes not acknowledged
        self.failure: KafkaError | None = None

    async def send(
        self,
        topic: str,
        key: bytes,
        value: bytes,
        partition: int | None = None,
        acknowledged: Acknowledged | None = None,
    ) -> None:
        """Hand a message over; returns as soon as there is room, not when it is acknowledged.

        Messages to one partition are written in the order of the calls.

        Raises
        ------
        KafkaError
            If this or an earlier message can never be delivered.
        """
        self._check()
        began = self._clock()
        room = self._rooms[partition]
        await room.acquire()
        try:
            future = await self._hand_over(topic, key, value, partition)
        except BaseException:
            room.release()
            raise
        task = asyncio.create_task(self._deliver(future, began, room, acknowledged))
        self._pending[task] = partition
        self._waiting[topic, partition] += len(value)
        task.add_done_callback(partial(self._ended, (topic, partition), len(value)))

    async def settled(self, partitions: Set[int] | None = None) -> None:
        """Wait until every message sent before this call is acknowledged.

        Parameters
        ----------
        partitions : set of int, optional
            Only those sent to these partitions of any topic: another may be without a leader for long.

        Raises
        ------
        KafkaError
            If any message can never be delivered.
        """
        if pending := {task for task, to in self._pending.items() if partitions is None or to in partitions}:
            await asyncio.wait(pending)
        self._check()

    def _ended(self, where: tuple[str, int | None], size: int, task: asyncio.Task[None]) -> None:
        del self._pending[task]
        self._waiting[where] -= size

    def waiting(self, topic: str, partition: int) -> int:
        """Bytes sent to a partition that are not acknowledged."""
        return self._waiting[topic, partition]

    @property
    def in_flight(self) -> int:
        """Messages not acknowledged yet."""
        return len(self._pending)

    def abandon(self) -> None:
        """Stop waiting for what is in flight: the broker is gone and the process ends."""
        for task in self._pending:
            task.cancel()

    async def _hand_over(self, topic: str, key: bytes, value: bytes, partition: int | None) -> asyncio.Future[Any]:
        while True:
            try:
                return await self._producer.send(topic, value=value, key=key, partition=partition)
            except aiokafka.errors.KafkaError as error:
                await self._pause_or_fail(error)

    async def _deliver(
        self, future: asyncio.Future[Any], began: float, room: asyncio.Semaphore, acknowledged: Acknowledged | None
    ) -> None:
        """Wait for the acknowledgement.

        The producer tries for as long as it takes, in order. What it gives up all the same cannot be handed over again:
        it would come after what was sent after it, and an alert that has ended would stand.
        """
        try:
            metadata = await future
        except aiokafka.errors.KafkaError as error:
            self._on_error()
            self._fail(error)  # kept; the next `send` or `settled` raises it
            return
        finally:
            room.release()
        if acknowledged is not None:
            acknowledged(metadata.offset, self._clock() - began)

    async def _pause_or_fail(self, error: aiokafka.errors.KafkaError) -> None:
        self._on_error()
        if error.retriable or isinstance(error, aiokafka.errors.KafkaTimeoutError):
            await asyncio.sleep(RETRY_S)
            return
        raise self._fail(error) from error

    def _fail(self, error: aiokafka.errors.KafkaError) -> KafkaError:
        self.failure = self.failure or explain(error)
        return self.failure

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure
