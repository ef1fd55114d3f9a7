"""What `ecg.state` keeps, read by whoever takes partitions over."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import structlog
from aiokafka import TopicPartition

from stream import kafka, snapshots, topics
from stream.errors import SnapshotError
from stream.settings import KafkaSettings
from stream.snapshots import PartitionSnapshots, Stored

READ_MS: Final = 500  # wait for one piece of ecg.state; only a broker in trouble needs more
READ_TIMEOUT_S: Final = 60.0  # then the restart is given up and tried anew by whoever supervises the process

log = structlog.get_logger()


async def read_state(settings: KafkaSettings, offsets: Mapping[int, int]) -> dict[int, PartitionSnapshots]:
    """What is kept from these offsets on, by partition."""
    tps = [TopicPartition(kafka.topic(settings, topics.STATE), p) for p in sorted(offsets)]
    kept = {p: PartitionSnapshots([], set(), {}) for p in offsets}
    async with kafka.consumer(settings) as reader, asyncio.timeout(READ_TIMEOUT_S):
        reader.assign(tps)
        begin, end = await reader.beginning_offsets(tps), await reader.end_offsets(tps)
        for tp in tps:
            first = offsets[tp.partition]
            reader.seek(tp, first if begin[tp] <= first <= end[tp] else begin[tp])
        waiting = set(tps)
        while waiting := {tp for tp in waiting if await reader.position(tp) < end[tp]}:
            for tp, records in (await reader.getmany(*waiting, timeout_ms=READ_MS)).items():
                for record in records:
                    _keep(kept[tp.partition], record, tp.partition)
    return kept


def _keep(kept: PartitionSnapshots, record: Any, partition: int) -> None:
    """Take in one message."""
    bed = (record.key or b"").decode(errors="replace")
    if record.value is None:  # a tombstone
        kept.drop(bed)
        return
    try:
        snapshot = snapshots.decode(record.value)
        if snapshot.bed != bed or snapshot.partition != partition:
            raise SnapshotError(f"of bed {snapshot.bed!r}, partition {snapshot.partition}")
    except SnapshotError as error:
        log.warning("snapshot refused", bed=bed, partition=partition, error=str(error))
        kept.unusable.add(bed)
    else:
        kept.add(Stored(snapshot, record.offset))
