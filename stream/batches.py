"""Batches of Kafka's records, of which one that cannot be read is stepped over instead of stopping its partition.

A batch with a wrong checksum, or one that its codec cannot unpack, lies on the log for as long as the log is kept:
whoever gives up at it gives up again after each restart, and with it all beds of the partition. In its place comes an
`UnreadableBatch`, a record without key and contents, for the reader to refuse as it refuses any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import CorruptRecordException


class UnreadableBatch(NamedTuple):
    """What comes in place of the records of a batch.

    Attributes
    ----------
    topic : str
    partition : int
    offset : int
        Last one that is stepped over.
    detail : str
        What is wrong with it.
    """

    topic: str
    partition: int
    offset: int
    detail: str
    key: None = None
    value: bytes = b""


class _Batches:
    """The batches of one answer, with what is known of the one that is being read.

    Attributes
    ----------
    end : int or None
        Offset after it; None if its checksum is wrong, so that nothing it says of itself can be believed.
    """

    def __init__(self, records: Any) -> None:
        self._records = records
        self.has_next = records.has_next
        self.end: int | None = None

    def next_batch(self) -> Any:
        self.end = None
        batch = self._records.next_batch()
        if not batch.validate_crc():
            raise CorruptRecordException("its checksum is wrong")
        self.end = batch.next_offset
        return batch


class ReadableRecords(PartitionRecords):  # type: ignore[misc]  # aiokafka is untyped
    """The records of one partition in one answer."""

    next_fetch_offset: int
    _asked_again: ClassVar[dict[Any, int]] = {}  # partition -> offset of what could not be believed once

    def __init__(
        self,
        tp: Any,
        records: Any,
        aborted_transactions: Any,
        fetch_offset: int,
        key_deserializer: Any,
        value_deserializer: Any,
        check_crcs: bool,  # they are always checked
        isolation_level: int,
    ) -> None:
        batches = _Batches(records)
        super().__init__(
            tp,
            batches,
            aborted_transactions,
            fetch_offset,
            key_deserializer,
            value_deserializer,
            False,
            isolation_level,
        )

    def _unpack_records(self) -> Iterator[Any]:
        while True:
            try:
                yield from super()._unpack_records()
            except Exception as error:  # of aiokafka, of a codec, of a text that is none
                end = self._records.end
                begin = self.next_fetch_offset
                if end is None and self._asked_again.get(self._tp) != begin:
                    self._asked_again[self._tp] = begin
                    return  # it may have been changed on its way only: it is asked for again
                # Of what cannot be believed one offset is left at a time.
                self.next_fetch_offset = begin + 1 if end is None else max(end, begin + 1)
                last = self.next_fetch_offset - 1
                detail = f"offsets {begin} to {last} cannot be read: {str(error) or type(error).__name__}"
                yield UnreadableBatch(self._tp.topic, self._tp.partition, last, detail)
                if end is not None:
                    continue
            return
