"""Follow what the monitor says on Kafka: alerts and beats, as they come or from any time back.

Reads every partition without a consumer group, so that any number of people can look on. A monitor that was restarted
from a snapshot says again what it said after it; such repetitions are dropped here. What is in one partition comes in
its order: the beats of a bed always, its alerts as far as their publisher keeps them together; files are sorted.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from aiokafka import TopicPartition

from stream import kafka, outputs, topics, wire
from stream.errors import KafkaError, RecordError, SettingsError
from stream.settings import KafkaSettings

REMEMBERED: Final = 16384  # of each bed: more than an hour of beats, each named twice, where a restart repeats seconds
POLL_MS: Final = 200  # how soon a deadline is noticed when nothing comes
LONGEST_BACK_S: Final = 50 * 365.25 * 86400  # Kafka's time begins in 1970, and it refuses one before
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")  # of a WFDB record
KINDS: Final = {"alerts": topics.ALERTS, "beats": topics.BEATS}


class Event(NamedTuple):
    """One thing the monitor said about a bed.

    Attributes
    ----------
    bed : str
        Whose.
    rate_hz : float
        Sampling rate at which `what` counts samples.
    what : Alert, Beat, Revision or Mark
        The thing itself.
    numbering : int
        Of its `Batch`; of an alert, what its id tells (`wire.numbering_of`).
    """

    bed: str
    rate_hz: float
    what: wire.Alert | wire.Beat | wire.Revision | wire.Mark
    numbering: int = 0


class Unreadable(NamedTuple):
    """A message on the topic that is none of ours, or of another version."""

    topic: str
    partition: int
    offset: int
    reason: str


def parse_since(text: str) -> float | None:
    """Seconds back from now: 0 for ``end``, None for ``begin`` (all there is), or of ``90s``, ``10m``, ``2h``, ``1d``.

    Raises
    ------
    SettingsError
        If the text is none of these, or the time is longer ago than `LONGEST_BACK_S`.
    """
    if text in ("begin", "end"):
        return None if text == "begin" else 0.0
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if match is None:
        raise SettingsError(f"--since {text}: write begin, end, or a time back such as 90s, 10m, 2h, 1d")
    seconds = float(match[1]) * UNITS[match[2]]
    if seconds > LONGEST_BACK_S:
        raise SettingsError(f"--since {text}: no more than 50 years; for all there is, write --since begin")
    return seconds


async def follow(
    settings: KafkaSettings,
    kinds: Sequence[str],
    since_s: float | None = 0.0,
    until_end: bool = False,
    seconds: float | None = None,
) -> AsyncGenerator[Event | Unreadable, None]:
    """Everything said on the topics, in the order of each partition.

    Parameters
    ----------
    settings : KafkaSettings
        Cluster and prefix.
    kinds : sequence of str
        Of `KINDS`.
    since_s : float or None
        Where to begin, seconds back from now; None for the oldest there is.
    until_end : bool
        End with what was there when the call was made, instead of waiting for more.
    seconds : float, optional
        End after this long, in any case.

    Raises
    ------
    KafkaError
        If the cluster cannot be reached or lacks a topic.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    names = {kafka.topic(settings, KINDS[kind]): kind for kind in kinds}
    partitions = await _partitions(settings, list(names))
    async with kafka.consumer(settings) as reader:
        reader.assign(partitions)
        ends: dict[TopicPartition, int] = await reader.end_offsets(partitions)
        await _seek(reader, partitions, ends, since_s)
        seen = Seen()
        waiting = set(partitions)
        while deadline is None or time.monotonic() < deadline:
            if until_end:
                waiting = {p for p in waiting if await reader.position(p) < ends[p]}
                if not waiting:
                    return
            batches = await reader.getmany(timeout_ms=POLL_MS)
            for records in batches.values():
                for record in records:
                    if until_end and record.offset >= ends[TopicPartition(record.topic, record.partition)]:
                        break
                    for event in read(record, names[record.topic]):
                        if isinstance(event, Unreadable) or seen.first(event):
                            yield event


def read(record: Any, kind: str) -> Iterable[Event | Unreadable]:
    """The events in one record of a topic of this kind (see `KINDS`); of a batch beats, last words, then marks."""
    try:
        if kind == "alerts":
            alert = wire.decode_alert(record.value or b"")
            return [Event(alert.bed, alert.rate_hz, alert, wire.numbering_of(alert))]
        batch = wire.decode_batch(record.value or b"")
    except msgspec.DecodeError as error:
        return [Unreadable(record.topic, record.partition, record.offset, str(error))]
    said: tuple[wire.Beat | wire.Revision | wire.Mark, ...] = (*batch.beats, *batch.revisions, *batch.marks)
    return [Event(batch.bed, batch.rate_mHz / 1000, what, batch.numbering) for what in said]


class Seen:
    """Tells the first time something is said of a bed from a repetition.

    A repetition is equal in every field. A device that plays the same again has begun to count anew, and is not one.
    """

    def __init__(self) -> None:
        self._said: dict[str, dict[Any, None]] = {}  # a dict is a set with an order

    def first(self, event: Event) -> bool:
        """Whether this was not among the last `REMEMBERED` things said of its bed; remembers it."""
        said = self._said.setdefault(event.bed, {})
        what = event.what
        key = wire.encode_alert(what) if isinstance(what, wire.Alert) else (what, event.numbering)
        if key in said:
            return False
        said[key] = None
        if len(said) > REMEMBERED:
            del said[next(iter(said))]
        return True


@dataclass
class _Run:
    """All that was said of a bed while its device counted on, at one rate: only within it is a sample one moment."""

    beats: list[wire.Beat] = field(default_factory=list)
    revisions: list[wire.Revision] = field(default_factory=list)
    marks: list[wire.Mark] = field(default_factory=list)
    alerts: list[wire.Alert] = field(default_factory=list)

    @property
    def annotations(self) -> bool:
        """Whether there is anything for an annotation file."""
        return bool(self.beats or self.revisions or self.marks)

    @property
    def first_sample(self) -> int:
        """The least there is."""
        said: tuple[wire.Beat | wire.Revision | wire.Mark, ...] = (*self.beats, *self.revisions, *self.marks)
        return min((*(one.sample for one in said), *(alert.onset_sample for alert in self.alerts)))


class Collection:
    """Gathers events into the files that `telebeat annotate` writes: ``BED.tb`` and ``BED.alerts.jsonl``.

    A device that begins to count anew, or at another rate, begins a run with files of its own: ``BED.2.tb``, and so on.
    No bed that can have files has a dot in its name.

    Attributes
    ----------
    refused : set of str
        Beds whose names cannot be those of WFDB files; nothing of them is kept.
    """

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self._runs: dict[str, dict[tuple[int, float], _Run]] = {}  # of each bed, by numbering and rate

    def add(self, event: Event) -> bool:
        """Keep one event; False, once, where its bed is the first time one of the `refused`."""
        if not _FILE_NAME.fullmatch(event.bed):
            first = event.bed not in self.refused
            self.refused.add(event.bed)
            return not first
        run = self._runs.setdefault(event.bed, {}).setdefault((event.numbering, event.rate_hz), _Run())
        match event.what:
            case wire.Alert():
                run.alerts.append(event.what)
            case wire.Beat():
                run.beats.append(event.what)
            case wire.Revision():
                run.revisions.append(event.what)
            case wire.Mark():
                run.marks.append(event.what)
        return True

    def write(self, folder: Path, kinds: Sequence[str]) -> list[Path]:
        """Write the files of the kinds that were followed; a run without alerts gets an empty list of them.

        Those of runs that an earlier collection of the bed had are removed.

        Raises
        ------
        RecordError
            If the files of a bed cannot be written; those of the others are all the same.
        """
        from stream.annotations import ALERTS, ANNOTATOR, write_alerts, write_annotations  # noqa: PLC0415  # bring wfdb

        folder.mkdir(parents=True, exist_ok=True)
        suffixes = [suffix for kind, suffix in (("beats", ANNOTATOR), ("alerts", ALERTS)) if kind in kinds]
        paths = []
        problems = []

        def write_bed(bed: str, runs: dict[tuple[int, float], _Run]) -> None:
            _remove_runs(folder, bed, suffixes)
            in_time = sorted(runs.items(), key=lambda item: (item[0][0], item[1].first_sample))
            for number, ((_, rate_hz), run) in enumerate(in_time, 1):
                name = bed if number == 1 else f"{bed}.{number}"
                if "beats" in kinds and run.annotations:
                    paths.append(write_annotations(folder, name, rate_hz, run.beats, run.revisions, run.marks))
                if "alerts" in kinds:
                    paths.append(write_alerts(folder, name, run.alerts))

        for bed, runs in sorted(self._runs.items()):
            try:
                write_bed(bed, runs)
            except RecordError as error:
                problems.append(str(error))
        if problems:
            raise RecordError(
                f"of {len(self._runs)} beds {len(problems)} could not be written, the first: {problems[0]}"
            )
        return paths


def _remove_runs(folder: Path, bed: str, suffixes: Iterable[str]) -> None:
    """Remove the files of a bed's runs, where they are: there may be fewer now."""
    for suffix in suffixes:
        name = re.compile(rf"{bed}(\.\d+)?\.{re.escape(suffix)}")
        for path in folder.glob(f"{bed}.*"):
            if name.fullmatch(path.name):
                outputs.remove(path)


async def _partitions(settings: KafkaSettings, names: Sequence[str]) -> list[TopicPartition]:
    async with kafka.admin(settings) as client:
        found = await client.describe_topics(list(names))
    missing = [topic["topic"] for topic in found if topic["error_code"]]
    if missing:
        raise KafkaError(f"the cluster has no topic {', '.join(missing)}: make it with `telebeat topics create`")
    return [TopicPartition(topic["topic"], p["partition"]) for topic in found for p in topic["partitions"]]


async def _seek(
    reader: kafka.Consumer, partitions: list[TopicPartition], ends: dict[TopicPartition, int], since_s: float | None
) -> None:
    """Put the reader where the first wanted record is."""
    if since_s is None:
        await reader.seek_to_beginning(*partitions)
        return
    starts = dict(ends)
    if since_s > 0:
        when = round((time.time() - since_s) * 1000)
        found = await reader.offsets_for_times(dict.fromkeys(partitions, when))
        starts |= {partition: hit.offset for partition, hit in found.items() if hit is not None}
    for partition, offset in starts.items():
        reader.seek(partition, offset)
