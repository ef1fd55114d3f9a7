"""How far a worker has read its partitions of `ecg.frames`, and whether Kafka answers for them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Set
from typing import Any, Final, NamedTuple

import structlog
from aiokafka import TopicPartition

from stream.errors import KafkaError
from stream.snapshots import PartitionProgress

FRESH_S: Final = 3.0  # a partition's end is known only if the broker told it this recently

log = structlog.get_logger()


class BrokerAnswer(NamedTuple):
    """What the broker has told of a partition lately.

    Attributes
    ----------
    end : int
        Offset of the next message that is to come.
    lag : int
        Messages that are not analysed yet.
    """

    end: int
    lag: int


class PartitionLag:
    """How far one worker has read each of its partitions.

    Parameters
    ----------
    topic : str
    consumer : aiokafka.AIOKafkaConsumer
    progress_of : mapping of int to PartitionProgress
        Of its partitions, as they come and go.
    """

    def __init__(self, topic: str, consumer: Any, progress_of: Mapping[int, PartitionProgress]) -> None:
        self._topic = topic
        self._consumer = consumer
        self._progress_of = progress_of
        self._answers: dict[int, tuple[int | None, float]] = {}  # partition -> its last answer, and when that was seen

    def answer(self, partition: int) -> BrokerAnswer | None:
        """What the broker has told of a partition; None if nothing lately."""
        tp = TopicPartition(self._topic, partition)
        if tp not in self._consumer.assignment():
            return None
        end, told_ms = self._consumer.highwater(tp), self._consumer.last_poll_timestamp(tp)
        now_s = time.monotonic()
        known_ms, since_s = self._answers.get(partition, (None, now_s))
        if told_ms != known_ms:  # on the wall clock, which may be set: how long ago it was is told by the other one
            since_s = now_s - min(max(time.time() - (told_ms or 0) / 1e3, 0.0), FRESH_S)
            self._answers[partition] = told_ms, since_s
        if end is None or not told_ms or now_s - since_s >= FRESH_S:
            return None
        return BrokerAnswer(int(end), max(0, int(end) - self._progress_of[partition].position))

    def unanswered(self, at_hand: Set[int]) -> int:
        """Partitions Kafka has told nothing of lately; it is not asked again before what it brought is analysed.

        Parameters
        ----------
        at_hand : set of int
            Those of which something is being analysed.
        """
        return sum(self.answer(partition) is None for partition in self._progress_of.keys() - at_hand)

    def hold(self, partition: int, held: bool) -> None:
        """Read no further of a partition for now, or go on."""
        tp = TopicPartition(self._topic, partition)
        if tp in self._consumer.assignment() and (tp in self._consumer.paused()) != held:
            log.warning("partition is held" if held else "partition goes on", partition=partition)
            (self._consumer.pause if held else self._consumer.resume)(tp)

    def follow(self) -> None:
        """Step over what the consumer stepped over, once all it brought has been read or gone back on.

        The marks that end transactions take offsets as messages do, and are never brought. A partition that ends with
        one would never be read to its end.

        Raises
        ------
        KafkaError
            If the log has gone back behind what was read: nothing that is known of its offsets holds any more.
        """
        for partition, progress in self._progress_of.items():
            following = self._consumer.following(TopicPartition(self._topic, partition))
            if following is None:
                continue
            if following < progress.position:
                raise KafkaError(
                    f"partition {partition} of {self._topic} was read up to {progress.position}, but goes on at "
                    f"{following}: it was made anew or has lost its end; the next worker begins there"
                )
            progress.position = following

    def rewind(self, partitions: Set[TopicPartition]) -> None:
        """Go back to what has been read: the consumer is past what is dropped, and would never bring it again."""
        for tp in partitions & self._consumer.assignment():
            if (progress := self._progress_of.get(tp.partition)) is not None:
                self._consumer.seek(tp, progress.position)
