"""What tests of the ward share: a record cut into frames, and all that a ward said of it."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence

from model.reader import Reader
from replay.records import Record
from stream.collector import Output
from stream.frames import Frame, check
from stream.ward import Ward
from stream.wire import Alert, Beat, Mark, Revision, encode_alert


@functools.cache
def reader() -> Reader:
    return Reader.load()


def cut(record: Record, lengths: Sequence[int], bed: str = "bed") -> list[Frame]:
    """A record as frames of these numbers of instants in turn."""
    out: list[Frame] = []
    first = 0
    while first < len(record.samples):
        part = record.samples[first : first + min(lengths[len(out) % len(lengths)], record.rate_mHz // 1000)]
        time_us = first * 1_000_000_000 // record.rate_mHz
        frame = Frame(
            bed, len(out), first, time_us, time_us, record.rate_mHz, record.leads, record.units_per_bit, part.tobytes()
        )
        check(frame)
        out.append(frame)
        first += len(part)
    return out


class Said:
    """Everything a ward said, per bed, in order."""

    def __init__(self) -> None:
        self.beats: dict[str, list[Beat]] = {}
        self.revisions: dict[str, list[Revision]] = {}
        self.marks: dict[str, list[Mark]] = {}
        self.alerts: dict[str, list[Alert]] = {}
        self.events: Counter[str] = Counter()
        self.faults: list[str] = []

    def add(self, output: Output) -> None:
        for batch in output.batches:
            self.beats.setdefault(batch.bed, []).extend(batch.beats)
            self.revisions.setdefault(batch.bed, []).extend(batch.revisions)
            self.marks.setdefault(batch.bed, []).extend(batch.marks)
        for alert in output.alerts:
            self.alerts.setdefault(alert.bed, []).append(alert)
        self.events.update(output.events)
        self.faults.extend(bed for bed, _ in output.faults)

    def of(self, bed: str) -> tuple[list[Beat], list[Revision], list[Mark], list[bytes]]:
        revisions = self.revisions.get(bed, [])
        return (
            self.beats.get(bed, []),
            revisions,
            self.marks.get(bed, []),
            [encode_alert(a) for a in self.alerts.get(bed, [])],
        )


def through(groups: Iterable[Sequence[Frame]], ward: Ward | None = None) -> Said:
    ward = ward or Ward(reader())
    said = Said()
    for group in groups:
        ward.detect(group)
        said.add(ward.judge())
    return said
