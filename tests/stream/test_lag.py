"""Whether Kafka answers is told by a clock that nobody sets."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import TopicPartition

from stream import lag
from stream.errors import KafkaError
from stream.lag import FRESH_S, PartitionLag
from stream.snapshots import PartitionProgress

TP = TopicPartition("frames", 0)


class Consumer:
    """One partition; `answered_ms` is when Kafka was heard last, by the wall clock."""

    def __init__(self) -> None:
        self.answered_ms = 1_000_000_000
        self.next_offset: int | None = None

    def assignment(self) -> set[TopicPartition]:
        return {TP}

    def following(self, _: TopicPartition) -> int | None:
        return self.next_offset

    def highwater(self, _: TopicPartition) -> int:
        return 7

    def last_poll_timestamp(self, _: TopicPartition) -> int:
        return self.answered_ms


class Clocks:
    """Both clocks, in seconds."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_000_000.0, 50.0

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def go_on(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    made = Clocks()
    monkeypatch.setattr(lag, "time", made)
    return made


@pytest.mark.parametrize("step_s", [0.0, -60.0, 3600.0])
def test_a_wall_clock_that_is_set_makes_no_dead_kafka_look_alive(step_s: float, clocks: Clocks) -> None:
    consumer: Any = Consumer()
    lag = PartitionLag("frames", consumer, {0: PartitionProgress(5)})
    told = lag.answer(0)
    assert told is not None
    assert (told.end, told.lag) == (7, 2)
    clocks.wall += step_s
    clocks.go_on(FRESH_S - 0.1)
    assert lag.answer(0) is not None, "it has answered lately"
    clocks.go_on(0.2)
    assert lag.answer(0) is None
    assert lag.unanswered(set()) == 1
    consumer.answered_ms += 1  # it answers again
    clocks.wall = consumer.answered_ms / 1e3
    assert lag.answer(0) is not None


def test_an_answer_of_long_ago_is_none(clocks: Clocks) -> None:
    clocks.wall += 10.0
    assert PartitionLag("frames", Consumer(), {0: PartitionProgress(5)}).answer(0) is None


def test_what_is_never_brought_is_stepped_over() -> None:
    consumer: Any = Consumer()
    progress = PartitionProgress(5)
    lag = PartitionLag("frames", consumer, {0: progress})
    for consumer.next_offset, position in ((None, 5), (5, 5), (7, 7)):
        lag.follow()
        assert progress.position == position


def test_a_log_that_goes_back_behind_what_was_read_ends_the_worker() -> None:
    """Until it is as long again, all that came would be taken for what was read before."""
    consumer: Any = Consumer()
    consumer.next_offset = 0
    with pytest.raises(KafkaError, match="goes on at 0"):
        PartitionLag("frames", consumer, {0: PartitionProgress(5)}).follow()
