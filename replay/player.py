"""Records played into Kafka: each on one bed or several, at any pace, with faults on request.

All beds are merged into one schedule, in the order in which their frames are due. Their phases are spread over the
length of a frame, so that the load is even, as it is in a ward whose devices were switched on at different times.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import heapq
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from replay import faults, framing
from replay.faults import Fault, Packet
from replay.framing import Clock
from replay.pacing import Pace
from replay.records import Record
from stream import kafka
from stream.errors import KafkaError, SettingsError, TelebeatError
from stream.frames import Frame, encode
from stream.settings import KafkaSettings

TOPIC: Final = "ecg.frames"
BEDS: Final = 8  # of a replay without other wishes: a small ward
GRAIN_S: Final = 0.02  # a wake-up and a request cost more than a frame; small against the ward's epoch of 100 ms
YIELD_EVERY: Final = 64  # frames between two rests for the event loop when none is waited for
REPORT_S: Final = 0.25  # between two reports of progress
UNCONFIRMED_S: Final = 30.0  # without a confirmation: longer than a broker takes to start again
LAG_WARNING_S: Final = 1.0  # a replay that is later than this is no longer "at the bedside"


@dataclasses.dataclass(frozen=True)
class BedRecord:
    """A record on a bed, played from sample `first` on."""

    bed: str
    record: Record
    first: int = 0


@dataclasses.dataclass(frozen=True)
class Plan:
    """How patients are played.

    Attributes
    ----------
    speed : float
        Seconds of signal per second; `math.inf` for as fast as Kafka takes them.
    loop : bool
        Begin each record again at its end, for ever.
    frame_ms : int
        Length of a frame, 50 to 1000 ms.
    clock : {"wall", "record"}
        What the devices' clocks show (see `framing.origin_us`).
    faults : tuple of Fault
        Upon every bed.
    seed : int
        Of everything drawn.
    """

    speed: float = 1.0
    loop: bool = False
    frame_ms: int = framing.FRAME_MS
    clock: Clock = "wall"
    faults: tuple[Fault, ...] = ()
    seed: int = 0


@dataclasses.dataclass
class Totals:
    """What has been played so far.

    Attributes
    ----------
    beds : int
        Beds played.
    frames, bytes : int
        Messages handed to Kafka and their size.
    acknowledged : int
        Messages that Kafka has confirmed.
    signal_s : float
        How far the schedule has come, in seconds of signal.
    lag_s, worst_lag_s : float
        How late the last frame was sent, and the latest of all.
    faults : Counter
        Frames befallen, by kind.
    """

    beds: int = 0
    frames: int = 0
    bytes: int = 0
    acknowledged: int = 0
    signal_s: float = 0.0
    lag_s: float = 0.0
    worst_lag_s: float = 0.0
    faults: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)


def assign(
    records: Sequence[Record], beds: int | None = None, prefix: str = "", start_s: float = 0.0
) -> list[BedRecord]:
    """Beds for records, round robin.

    A bed is called as its record where each record is played once, else ``<record>-<n>``.

    Parameters
    ----------
    records : sequence of Record
        At least one.
    beds : int, optional
        How many; one a record without.
    prefix : str
        Put before every bed id.
    start_s : float
        Where in the records play begins, seconds.

    Raises
    ------
    SettingsError
        If there are no records or no beds.
    """
    count = len(records) if beds is None else beds
    if not records or count < 1:
        raise SettingsError(f"{count} beds for {len(records)} records: at least one of each is needed")
    chosen = [records[i % len(records)] for i in range(count)]
    times = collections.Counter(record.name for record in chosen)
    once = max(times.values()) == 1
    seen: collections.Counter[str] = collections.Counter()
    patients = []
    for record in chosen:
        seen[record.name] += 1
        bed = record.name if once else f"{record.name}-{seen[record.name]}"
        patients.append(BedRecord(prefix + bed, record, round(start_s * record.rate_mHz / 1000)))
    return patients


def schedule(patients: Sequence[BedRecord], plan: Plan, start_us: int = 0) -> Iterator[Packet]:
    """Every frame of all beds in the order in which they are due.

    A frame is due when its last sample has been taken. Pure but for what `start_us` says.

    Parameters
    ----------
    patients : sequence of Patient
        Their beds all different.
    plan : Plan
        How they are played.
    start_us : int
        Time of day at which play begins, µs since the Unix epoch; only the clock ``wall`` uses it.
    """
    if len({p.bed for p in patients}) < len(patients):
        raise SettingsError("two patients on one bed: give each bed its own id")
    streams = []
    for i, patient in enumerate(patients):
        phase_s = i / len(patients) * plan.frame_ms / 1000
        origin = framing.origin_us(patient.record, plan.clock, start_us + round(phase_s * 1e6), patient.first)
        cut = framing.frames(
            patient.record,
            patient.bed,
            origin_us=origin,
            frame_ms=plan.frame_ms,
            loop=plan.loop,
            first=patient.first,
        )
        packets = _timed(cut, patient, phase_s)
        streams.append(faults.inject(packets, plan.faults, plan.seed, patient.bed))
    return heapq.merge(*streams, key=lambda packet: packet.due_s)


def _timed(frames: Iterator[Frame], patient: BedRecord, phase_s: float) -> Iterator[Packet]:
    rate_mHz = patient.record.rate_mHz
    for frame in frames:
        sample = frame.first_sample - patient.first
        yield Packet(phase_s + (sample + frame.instants) * 1000 / rate_mHz, sample * 1000 / rate_mHz, frame)


async def play(
    patients: Sequence[BedRecord],
    plan: Plan,
    settings: KafkaSettings,
    report: Callable[[Totals], None] = lambda _: None,
) -> Totals:
    """Play until the records end or the task is cancelled; either way what was handed to Kafka is flushed.

    Parameters
    ----------
    patients, plan
        What and how.
    settings : KafkaSettings
        Where to.
    report : callable
        Told the totals, always the same object, at the start, about four times a second, and at the end.

    Raises
    ------
    KafkaError
        If the cluster cannot be reached, has no topic, or stops confirming.
    """
    schedule(patients, plan)  # what is wrong with it is told before anything is connected
    totals = Totals(beds=len(patients))
    report(totals)
    topic = kafka.topic(settings, TOPIC)
    await _require_topic(settings, topic)
    async with kafka.producer(settings) as out:  # on the way out it sends what is buffered, also when cancelled
        confirmed = _Confirmed(totals)
        pace = Pace(plan.speed, grain_s=GRAIN_S)
        reported = 0.0
        for packet in schedule(patients, plan, time.time_ns() // 1000):
            await pace.wait(packet.due_s)
            totals.signal_s, totals.lag_s, totals.worst_lag_s = packet.due_s, pace.lag_s, pace.worst_lag_s
            totals.faults.update(packet.faults)
            if not packet.lost:
                await _send(out, topic, packet, totals, confirmed)
            if totals.frames % YIELD_EVERY == 0:
                await asyncio.sleep(0)
            if (now := time.monotonic()) - reported > REPORT_S:
                reported = now
                report(totals)
        with _explained():
            flushing = asyncio.ensure_future(out.flush())
            try:
                while not flushing.done():
                    await asyncio.wait({flushing}, timeout=REPORT_S)
                    confirmed.check()
                await flushing
            finally:
                flushing.cancel()
    report(totals)
    return totals


async def _send(out: Any, topic: str, packet: Packet, totals: Totals, confirmed: _Confirmed) -> None:
    confirmed.check()
    frame = msgspec.structs.replace(packet.frame, ingest_time_us=time.time_ns() // 1000)
    message = encode(frame)
    if packet.damage:
        message = faults.damaged(message, packet.damage)
    with _explained():
        future = await out.send(topic, message, key=frame.bed.encode())
    future.add_done_callback(confirmed)
    totals.frames += 1
    totals.bytes += len(message)


class _Confirmed:
    """Counts Kafka's confirmations, keeps the first refusal, and knows since when none has come."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals
        self._error: BaseException | None = None
        self._since_s = time.monotonic()

    def __call__(self, future: asyncio.Future[Any]) -> None:
        self._since_s = time.monotonic()
        if future.cancelled():
            return
        if error := future.exception():
            self._error = self._error or error
        else:
            self._totals.acknowledged += 1

    def check(self) -> None:
        """Raise the first refusal as `KafkaError`, or that nothing is confirmed any more."""
        if self._error is not None:
            raise kafka.explain(self._error) from self._error
        now_s = time.monotonic()
        if self._totals.acknowledged == self._totals.frames:
            self._since_s = now_s
        elif now_s - self._since_s > UNCONFIRMED_S:
            waiting = self._totals.frames - self._totals.acknowledged
            raise KafkaError(
                f"Kafka has confirmed none of {waiting} frames for {UNCONFIRMED_S:.0f} s: is it still there?"
            )


async def _require_topic(settings: KafkaSettings, topic: str) -> None:
    """A missing topic is told at once; a producer would wait for it in vain for its request's timeout."""
    async with kafka.admin(settings) as admin:
        with _explained():
            names = await admin.list_topics()
    if topic not in names:
        raise KafkaError(f"there is no topic {topic}; make the topics with `telebeat topics create`")


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (TelebeatError, asyncio.CancelledError):
        raise
    except Exception as error:  # every failure of the client is the cluster's, not the program's
        raise kafka.explain(error) from error


def is_late(totals: Totals, plan: Plan) -> bool:
    """Whether the replay could not keep its pace."""
    return not math.isinf(plan.speed) and totals.worst_lag_s > LAG_WARNING_S
