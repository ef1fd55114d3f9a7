"""Batches of records that nobody can read are stepped over; those with any of Kafka's codecs are read."""

from __future__ import annotations

from typing import Any

import aiokafka.codec
import pytest
from aiokafka import TopicPartition
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from stream import consumer, topics
from stream import kafka as clients
from stream.batches import ReadableRecords, UnreadableBatch
from stream.frames import BATCH, encode
from stream.service import Service
from stream.settings import KafkaSettings
from tests.stream.frames_of import stream_of
from tests.stream.pipeline import counter, expected, monitor, read_all, said, send, until

TP = TopicPartition("t", 3)
CRC, ATTRIBUTES = 17, 21  # where a batch has them
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def batch(first: int, count: int, codec: int = 0) -> bytearray:
    """A batch of `count` records, whose values are their offsets."""
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 20)
    for i in range(count):
        builder.append(i, timestamp=0, key=b"k", value=b"%d" % (first + i), headers=[])
    made = bytearray(builder.build())
    made[:8] = first.to_bytes(8, "big")
    return made


def of_no_codec(made: bytearray) -> bytearray:
    made[ATTRIBUTES + 1] |= 7
    made[CRC : CRC + 4] = calc_crc32c(bytes(made[ATTRIBUTES:])).to_bytes(4, "big")
    return made


def torn(made: bytearray) -> bytearray:
    made[-1] ^= 1
    return made


def unpacked(data: bytearray) -> bytearray:
    """The checksum is right, and what is packed is not."""
    data[-30:] = bytes(30)
    data[CRC : CRC + 4] = calc_crc32c(bytes(data[ATTRIBUTES:])).to_bytes(4, "big")
    return data


def read(*batches: bytearray, at: int = 0) -> tuple[list[Any], int]:
    """What comes of an answer, and the offset that is asked for next."""
    records = ReadableRecords(TP, MemoryRecords(b"".join(batches)), None, at, None, None, True, 0)
    return list(records), records.next_fetch_offset


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_of_kafka_is_read(codec: str) -> None:
    records, following = read(batch(5, 3, CODECS[codec]), at=5)
    assert [record.value for record in records] == [b"5", b"6", b"7"]
    assert following == 8


@pytest.mark.parametrize("bad", [of_no_codec(batch(2, 3)), *(unpacked(batch(2, 3, codec)) for codec in (1, 2, 3, 4))])
def test_a_batch_that_cannot_be_unpacked_is_stepped_over(bad: bytearray) -> None:
    records, following = read(batch(0, 2), bad, batch(5, 1))
    assert [(type(r) is UnreadableBatch, r.offset) for r in records] == [(False, 0), (False, 1), (True, 4), (False, 5)]
    assert following == 6
    message = consumer.read_all({TP: records})[3][2]
    assert (message.offset, message.frame) == (4, None)
    assert message.error is not None
    assert message.error.reason == BATCH
    assert "offsets 2 to 4" in message.error.detail


def test_of_a_batch_whose_checksum_is_wrong_nothing_is_believed() -> None:
    """It is asked for again, then left one offset at a time, and read as soon as it comes whole."""
    bad = torn(batch(2, 3))
    bad[26] = 9  # its end: an offset far away
    records, following = read(batch(0, 2), bad, batch(5, 1))
    assert ([record.offset for record in records], following) == ([0, 1], 2)
    records, following = read(bad, batch(5, 1), at=following)
    assert [(type(r) is UnreadableBatch, r.offset) for r in records] == [(True, 2)]
    assert following == 3
    records, following = read(batch(2, 3), at=following)
    assert [record.value for record in records] == [b"3", b"4"]


def rejected(service: Service) -> float:
    """How many batches could not be read so far."""
    return counter(service, "telebeat_frames_rejected_total", reason=BATCH)


async def test_a_batch_nobody_can_unpack_keeps_no_other_bed_waiting(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real one, from a gateway whose codec this worker lacks, amid the frames of others."""
    await topics.create(kafka)
    frames = stream_of("a", 20)
    await send(kafka, frames[:10])
    async with clients.producer(kafka, compression_type="lz4") as out:
        for frame in stream_of("b", 3):
            await out.send(clients.topic(kafka, topics.FRAMES), encode(frame), key=b"a")  # to the partition of "a"
        await out.flush()
    await send(kafka, frames[10:])
    monkeypatch.setattr(aiokafka.codec, "has_lz4", lambda: False)
    async with monitor(kafka) as service:
        await until(lambda: rejected(service) >= 1)
        await until(lambda: service.unready() is None)

        def all_read() -> bool:  # asked anew each time: more may still be refused
            return read_all(service, len(frames) + int(rejected(service)))()

        await until(all_read)
    assert await said(kafka) == expected(frames)
