from __future__ import annotations

import asyncio
from typing import Any

import aiokafka.errors
import pytest
from aiokafka.structs import RecordMetadata, TopicPartition

from stream.errors import KafkaError
from stream.publisher import Publisher


class Broker:
    """A producer whose acknowledgements the test gives."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.futures: list[asyncio.Future[RecordMetadata]] = []
        self.refuse: list[Exception] = []  # raised by the next calls of `send`

    async def send(
        self, topic: str, value: bytes | None = None, key: bytes | None = None, partition: int | None = None
    ) -> asyncio.Future[Any]:
        if self.refuse:
            raise self.refuse.pop(0)
        self.sent.append(value or b"")
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]

    def acknowledge(self, number: int) -> None:
        self.futures[number].set_result(RecordMetadata("t", 0, TopicPartition("t", 0), number, None, 0, None))


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_messages_go_out_in_order_and_tell_their_offset() -> None:
    broker, told = Broker(), []
    publisher = Publisher(broker)
    for value in (b"1", b"2", b"3"):
        await publisher.send("t", b"k", value, 0, lambda offset, seconds: told.append((offset, seconds >= 0)))
    assert broker.sent == [b"1", b"2", b"3"]
    for number in (0, 1, 2):
        broker.acknowledge(number)
    await publisher.settled()
    assert told == [(0, True), (1, True), (2, True)]
    assert publisher.in_flight == 0


async def test_settled_waits_for_what_was_sent_before_and_no_longer() -> None:
    broker = Broker()
    publisher = Publisher(broker)
    await publisher.send("t", b"k", b"before")
    waiting = asyncio.create_task(publisher.settled())
    await turns()
    await publisher.send("t", b"k", b"after")
    assert not waiting.done()
    broker.acknowledge(0)
    await asyncio.wait_for(waiting, 5)
    assert publisher.in_flight == 1


async def test_room_is_bounded() -> None:
    broker = Broker()
    publisher = Publisher(broker, max_in_flight=2)
    await publisher.send("t", b"k", b"1")
    await publisher.send("t", b"k", b"2")
    third = asyncio.create_task(publisher.send("t", b"k", b"3"))
    await turns()
    assert not third.done()
    broker.acknowledge(0)
    await asyncio.wait_for(third, 5)
    assert broker.sent == [b"1", b"2", b"3"]


async def test_partitions_that_take_nothing_leave_room_to_the_others() -> None:
    """However many have no leader: what piles up there keeps no other bed's alarm waiting."""
    broker = Broker()
    publisher = Publisher(broker, max_in_flight=3)
    for stuck in range(5):
        for _ in range(3):
            await publisher.send("t", b"k", b"waits", stuck)
    await asyncio.wait_for(publisher.send("t", b"k", b"alarm", 5), 1.0)
    assert broker.sent[-1] == b"alarm"
    publisher.abandon()


async def test_settled_waits_for_the_partitions_it_is_told() -> None:
    broker = Broker()
    publisher = Publisher(broker)
    await publisher.send("t", b"k", b"no leader", 0)
    await publisher.send("t", b"k", b"1", 1)
    waiting = asyncio.create_task(publisher.settled({1, 2}))
    await turns()
    assert not waiting.done()
    broker.acknowledge(1)
    await asyncio.wait_for(waiting, 5)
    assert publisher.in_flight == 1
    assert [publisher.waiting("t", partition) for partition in (0, 1, 2)] == [len(b"no leader"), 0, 0]


async def test_what_finds_no_room_is_tried_again_until_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.publisher.RETRY_S", 0.0)
    broker, errors, told = Broker(), [], []
    publisher = Publisher(broker, lambda: errors.append(1))
    broker.refuse = [aiokafka.errors.KafkaTimeoutError(), aiokafka.errors.KafkaTimeoutError()]
    await publisher.send("t", b"k", b"alert", acknowledged=lambda offset, _: told.append(offset))
    broker.acknowledge(-1)
    await publisher.settled()
    assert len(errors) == 2
    assert len(told) == 1
    assert broker.sent == [b"alert"]


async def test_what_the_producer_gives_up_is_not_sent_behind_what_follows() -> None:
    """Raised behind cleared would stand for ever."""
    broker = Broker()
    publisher = Publisher(broker)
    await publisher.send("t", b"id", b"raised", 0)
    await publisher.send("t", b"id", b"cleared", 0)
    broker.futures[0].set_exception(aiokafka.errors.LeaderNotAvailableError())
    broker.acknowledge(1)
    with pytest.raises(KafkaError):
        await publisher.settled()
    assert broker.sent == [b"raised", b"cleared"]


@pytest.mark.parametrize("where", ["handing over", "delivery"])
async def test_what_cannot_pass_ends_the_publisher(where: str) -> None:
    broker = Broker()
    publisher = Publisher(broker)
    error = aiokafka.errors.TopicAuthorizationFailedError("t")
    if where == "handing over":
        broker.refuse = [error]
        with pytest.raises(KafkaError):
            await publisher.send("t", b"k", b"1")
    else:
        await publisher.send("t", b"k", b"1")
        broker.futures[0].set_exception(error)
        with pytest.raises(KafkaError):
            await publisher.settled()
    with pytest.raises(KafkaError, match="permit"):
        await publisher.send("t", b"k", b"2")
    assert b"2" not in broker.sent


async def test_abandoned_messages_keep_nobody_waiting() -> None:
    broker = Broker()
    publisher = Publisher(broker)
    await publisher.send("t", b"k", b"1")
    publisher.abandon()
    await asyncio.wait_for(publisher.settled(), 5)
