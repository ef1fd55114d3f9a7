"""The whole way as a user starts it: what the processes say over a real Kafka is what the pure ward says, in bytes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
import wfdb

from benchmarks import parts, same_bytes
from model.reader import Reader
from replay import script, script_files
from replay.records import find_records
from stream import kafka as clients
from stream import tail, topics
from stream.collector import Output
from stream.consumer import Message, read
from stream.errors import RecordError
from stream.settings import KafkaSettings, data_dirs
from stream.ward import Ward
from tests.conftest import missing

SECONDS = 150  # of a real record: runs of ventricular beats, couplets, a few hundred beats
SPEED = "100"  # the monitor sees bursts of frames and waits between them
SCRIPT = """\
patient "scripted" rate 250 Hz leads II V1
sinus 75 for 20 s
vt 180 for 8 s
sinus 75 for 15 s with leadoff all from 3 s for 5 s
asystole for 8 s
af 110 for 40 s
"""


@pytest.fixture
def scripted(tmp_path: Path) -> Path:
    """A data folder with one scripted patient."""
    folder = tmp_path / "data"
    script_files.write(script.load(SCRIPT), folder)
    return folder


def cut(name: str, folder: Path) -> None:
    """The begin of a record of mitdb as a record of its own."""
    try:
        path = find_records(data_dirs(), [name], "mitdb")[0]
    except RecordError:
        missing(f"mitdb/{name}", "telebeat download mitdb")
    record = wfdb.rdrecord(str(path), sampto=SECONDS * 360, physical=False)
    wfdb.wrsamp(
        name,
        fs=record.fs,
        units=record.units,
        sig_name=record.sig_name,
        d_signal=np.asarray(record.d_signal),
        fmt=record.fmt,
        adc_gain=record.adc_gain,
        baseline=record.baseline,
        write_dir=str(folder),
    )


def both_ways(kafka: KafkaSettings, names: list[str], data: Path, folder: Path) -> list[str]:
    """Play and annotate the records; where the outputs differ."""
    where = ("--data-dir", str(data))
    same_bytes.through_kafka(kafka, names, folder / "kafka", SPEED, where)
    parts.telebeat("annotate", *names, "--out", str(folder / "straight"), *where)
    for name in names:
        alerts = (folder / "straight" / f"{name}.alerts.jsonl").read_text().splitlines()
        assert alerts, f"{name} is to raise alerts, or equality of nothing is shown"
    return same_bytes.differences(folder / "kafka", folder / "straight")


@pytest.mark.kafka
@pytest.mark.timeout(600)
def test_a_scripted_patient_over_kafka_is_what_annotate_writes(
    kafka: KafkaSettings, scripted: Path, tmp_path: Path
) -> None:
    assert both_ways(kafka, ["scripted"], scripted, tmp_path) == []


@pytest.mark.kafka
@pytest.mark.data
@pytest.mark.timeout(600)
def test_real_records_over_kafka_are_what_annotate_writes(kafka: KafkaSettings, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("207", "203"):
        cut(name, data)
    assert both_ways(kafka, ["207", "203"], data, tmp_path) == []


async def said_of(cluster: KafkaSettings, ward: Ward) -> tuple[tail.Collection, set[str]]:
    """What a ward says that gets what now lies on `ecg.frames` message by message, and what was out of order."""
    collection, out_of_order = tail.Collection(), set[str]()

    def keep(output: Output) -> None:
        out_of_order.update(output.events)
        for batch in output.batches:
            for beat in batch.beats:
                collection.add(tail.Event(batch.bed, batch.rate_mHz / 1000, beat))
            for revision in batch.revisions:
                collection.add(tail.Event(batch.bed, batch.rate_mHz / 1000, revision))
            for mark in batch.marks:
                collection.add(tail.Event(batch.bed, batch.rate_mHz / 1000, mark))
        for alert in output.alerts:
            collection.add(tail.Event(alert.bed, alert.rate_hz, alert))

    for message in await on_frames(cluster):
        if message.frame is None:
            assert message.error is not None
            out_of_order.add(message.error.reason)
            continue
        ward.detect([message.frame])
        keep(ward.judge())
    return collection, out_of_order


async def on_frames(cluster: KafkaSettings) -> list[Message]:
    """All messages of `ecg.frames`, of each partition in order."""
    messages: list[Message] = []
    async with clients.consumer(cluster, clients.topic(cluster, topics.FRAMES)) as reader:
        partitions = list(reader.assignment())
        ends = await reader.end_offsets(partitions)
        await reader.seek_to_beginning(*partitions)
        while len(messages) < sum(ends.values()):
            for place, records in (await reader.getmany(timeout_ms=200)).items():
                messages += [read(place.partition, record.offset, record.key, record.value) for record in records]
    return messages


@pytest.mark.kafka
@pytest.mark.timeout(600)
async def test_a_faulty_line_is_judged_as_the_ward_judges_it(
    kafka: KafkaSettings, scripted: Path, tmp_path: Path
) -> None:
    faults = ("gap=0.02:2s", "gap@60s:40s", "duplicate=0.1", "reorder=0.05", "corrupt=0.02")
    options = [word for fault in faults for word in ("--fault", fault)]
    through, straight = tmp_path / "kafka", tmp_path / "straight"
    # in a thread of its own: the helper has an event loop of its own, too
    await asyncio.to_thread(
        same_bytes.through_kafka, kafka, ["scripted"], through, SPEED, ["--data-dir", str(scripted), *options]
    )
    collection, out_of_order = await said_of(kafka, Ward(Reader.load()))
    collection.write(straight, list(tail.KINDS))
    assert {"gap", "duplicate", "late"} <= out_of_order
    assert same_bytes.differences(through, straight) == []
