"""The real ward in the shell: what it says over Kafka, through a restart, is what it says without either."""

from __future__ import annotations

from replay import framing, script
from stream import topics
from stream.frames import Frame
from stream.settings import KafkaSettings
from stream.ward import Ward
from tests.stream.pipeline import counter, final, monitor, read_all, said, send, until

SCRIPT = """\
patient "whole" rate 250 Hz leads II V1
sinus 75 for 20 s
vt 180 for 8 s
sinus 75 for 15 s
asystole for 8 s
sinus 75 for 15 s
"""


def frames_of(bed: str, frame_ms: int) -> list[Frame]:
    record = script.load(SCRIPT).record
    return list(framing.frames(record, bed, origin_us=1_700_000_000_000_000, frame_ms=frame_ms, loop=False, first=0))


async def test_the_real_ward_over_kafka_and_through_a_restart(kafka: KafkaSettings) -> None:
    from model.reader import Reader

    reader = Reader.load()
    beds = [frames_of("a", 250), frames_of("b", 250)]
    frames = [f for pair in zip(*beds, strict=True) for f in pair]
    straight = Ward(reader)
    alerts, batches = [], []
    for frame in frames:
        straight.detect([frame])
        output = straight.judge()
        alerts += output.alerts
        batches += output.batches
    wanted = final(alerts, batches)
    assert wanted[0]
    assert len(wanted[1]) > 100
    await topics.create(kafka)
    half = len(frames) // 2
    await send(kafka, frames[:half])
    async with monitor(kafka, Ward(reader)) as service:
        await until(read_all(service, half))
    await send(kafka, frames[half:])
    async with monitor(kafka, Ward(reader)) as service:
        await until(read_all(service, len(frames) - half))
        assert counter(service, "telebeat_cold_starts_total") == 0
    assert await said(kafka) == wanted
