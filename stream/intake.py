"""What a frame means for its bed: next in order, seen before, late, after a gap, or from a device that began anew.

Everything is decided from the frame and the bed's row, nothing from the clock, so that reading the log again decides
the same. Nothing a frame says stops the bed: each case has its event, and the samples that can be used are used.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from detector.leads import choose
from detector.types import LEADS
from stream.frames import INVALID, Frame

FILLED_S: Final = 30  # a gap up to this is filled with "no reading"; after a longer one the bed is learned anew
JUMP_US: Final = 1_000_000  # between two frames the device's clock may part this far from its samples; more is a pause
WANDER_US: Final = 1_000_000  # and this far in all, before the time of a sample is reckoned from the clock anew
STALE_S: Final = 2  # s of old signal in a row that show a device to count anew whose frames' numbers began anew, too
BEGUN_S: Final = 4  # s that these may have begun ago
OVERLAP_US: Final = 20_000  # by which a device's frame may begin before the end of its last: what its clock trembles
TREMBLE_US: Final = 250_000  # the clock of one device moves by less beside its count from a frame to the next
UNKNOWN_MHZ: Final = 250_000  # of a bed that was never heard: its alerts have to have a rate
STALE_RESENT_S: Final = 30  # s of it that show the same without: longer than what any gateway keeps and sends again


class StreamPosition(msgspec.Struct, frozen=True, array_like=True):
    """A bed's place in its stream of frames, so that a version that cannot read its state still knows where it is.

    The fields are those of an `INTAKE` row. What is added comes last and has a default, or no older snapshot is read.
    """

    rate_mHz: int
    next_sample: int
    seq: int
    device_us: int
    latest_us: int
    ingest_us: int
    anchor_sample: int
    anchor_us: int
    numbering: int
    leads: str
    mv_per_bit: tuple[float, ...]


_NUMBERS: Final = tuple(name for name, kind in StreamPosition.__annotations__.items() if kind in (int, "int"))


class Event(enum.StrEnum):
    """Technical events of the input: frames that are not simply the next ones of their bed; the metric's labels."""

    DUPLICATE = "duplicate"  #: all of its samples were here before
    LATE = "late"  #: older than what was already analysed
    GAP = "gap"  #: samples are missing before it
    SEQUENCE = "sequence"  #: its number does not follow though its samples do
    RESTART = "restart"  #: the device began to count anew
    RATE_CHANGED = "rate_changed"  #: another sampling rate than before
    LEADS_CHANGED = "leads_changed"  #: other leads than before
    FAULT = "fault"  #: it met a bug of ours; the bed learns anew
    FOREIGN = "foreign"  #: it is another device's, whatever else it may be


@dataclass(frozen=True)
class Verdict:
    """What to do with a frame.

    Attributes
    ----------
    events : tuple of Event
    skip : int
        Instants at the frame's start that were seen before; all of them: drop the frame.
    missing : int
        Instants that never came before this frame.
    paused_us : int
        By how much the device's clock has moved without samples, beside what is missing; negative: set back.
    anew : bool
        The bed starts again with this frame.
    counts_on : bool
        All the same, its samples are counted on from those before: alerts stand until the new signal disproves them.
    clock : bool
        The device's clock was set, or has wandered off: the time of a sample is reckoned from this frame on.
    """

    events: tuple[Event, ...] = ()
    skip: int = 0
    missing: int = 0
    paused_us: int = 0
    anew: bool = False
    counts_on: bool = False
    clock: bool = False


def judge(intake: Any, frame: Frame) -> Verdict:
    """Place a frame in its bed's stream; remembers what it needs for the next in `intake` (an `INTAKE` row)."""
    first = frame.first_sample
    instants = frame.instants
    expected = int(intake["next_sample"])
    seen, missing = max(expected - first, 0), max(first - expected, 0)
    # The device counts samples, not time: by how much its clock has moved beside them.
    paused = frame.device_time_us - int(intake["device_us"]) - (first - expected) * 1_000_000_000 // frame.rate_mHz
    other_rate = frame.rate_mHz != intake["rate_mHz"]
    other_leads = ",".join(frame.leads).encode() != intake["leads"]
    if other_rate or other_leads:
        if first + instants <= expected and frame.device_time_us < intake["latest_us"] - OVERLAP_US:
            return _old(intake, frame)  # from before the change by count and clock, or of another device at that time
        if other_rate or (seen and abs(paused) > JUMP_US):
            changed = ((Event.RATE_CHANGED, other_rate), (Event.LEADS_CHANGED, other_leads))
            return Verdict(tuple(event for event, is_so in changed if is_so), anew=True)
        if seen >= instants:
            return Verdict((Event.DUPLICATE,), skip=instants)
        stopped = paused if paused > JUMP_US or (paused < -JUMP_US and _is_long(frame, missing)) else 0
        return Verdict((Event.LEADS_CHANGED,), seen, missing, stopped, anew=True, counts_on=True)
    if first + instants <= expected:
        return _old(intake, frame)
    intake["stale"] = 0
    if seen:
        if paused > JUMP_US:  # its count happens to be near: it was away, and counts from elsewhere
            return Verdict((Event.RESTART,), anew=True)
        return Verdict((Event.DUPLICATE,), skip=seen)
    long = _is_long(frame, missing)
    if paused > JUMP_US or (long and paused < -JUMP_US):
        # It stopped and went on. What lies between is as lost as in a gap. Nor is a count that leaps far ahead of the
        # clock a measure of time.
        return Verdict((Event.GAP,), missing=missing, paused_us=paused, anew=True, counts_on=True)
    clock = abs(frame.device_time_us - time_of(intake, first)) > WANDER_US
    if missing:
        return Verdict((Event.GAP,), missing=missing, anew=long, counts_on=long, clock=clock)
    return Verdict((Event.SEQUENCE,) if frame.seq != intake["seq"] + 1 else (), clock=clock)


def _is_long(frame: Frame, missing: int) -> bool:
    return missing * 1000 > FILLED_S * frame.rate_mHz


def time_of(intake: Any, sample: int) -> int:
    """The device's time of a sample as alerts tell it, µs since the Unix epoch."""
    since = sample - int(intake["anchor_sample"])
    return int(intake["anchor_us"]) + since * 1_000_000_000 // int(intake["rate_mHz"])


def _old(intake: Any, frame: Frame) -> Verdict:
    """A frame whose samples all lie before the expected one: late, a duplicate, or a device that began anew."""
    first = frame.first_sample
    instants = frame.instants
    if frame.device_time_us >= intake["latest_us"]:  # of all there were: its clock may have been set back
        return Verdict((Event.RESTART,), anew=True)
    follows = intake["stale"] > 0 and first >= intake["stale_next"]  # also after one that was lost
    intake["stale"] = (intake["stale"] if follows else 0) + instants
    intake["stale_next"] = first + instants
    # A device that began anew counts its frames from 0, and either its samples or its clock show it, too; a gateway
    # that sends old ones again may only number them anew.
    elsewhere = abs(frame.device_time_us - time_of(intake, first)) > WANDER_US
    begun = (frame.seq + 1) * instants * 1000 <= BEGUN_S * frame.rate_mHz
    begun = begun and (elsewhere or first * 1000 <= BEGUN_S * frame.rate_mHz)
    # Of two that are told the other may take over though it does not begin anew; its own again are not the other's.
    last = int(intake["rate_mHz"]), int(intake["next_sample"]), int(intake["device_us"])
    soon = begun or (intake["two_devices"] and not continues(frame, *last))
    if intake["stale"] * 1000 >= (STALE_S if soon else STALE_RESENT_S) * frame.rate_mHz:
        return Verdict((Event.RESTART,), anew=True)
    within = intake["gap_first"] <= first and first + instants <= intake["gap_end"]
    return Verdict((Event.LATE if within else Event.DUPLICATE,), skip=instants)


def continues(frame: Frame, rate_mHz: int, next_sample: int, next_us: int) -> bool:
    """Whether a frame belongs to a stream whose next sample and its time these are, by its count and clock."""
    if frame.rate_mHz != rate_mHz:
        return False
    ahead_us = (frame.first_sample - next_sample) * 1_000_000_000 // rate_mHz
    return abs(frame.device_time_us - next_us - ahead_us) <= TREMBLE_US


def settle(intake: Any, frame: Frame, missing: int) -> None:
    """Note that the frame was taken, after `missing` instants that never came."""
    if missing:
        intake["gap_first"] = frame.first_sample - missing
        intake["gap_end"] = frame.first_sample
    end = frame.first_sample + frame.instants
    intake["next_sample"] = end
    intake["seq"] = frame.seq
    intake["device_us"] = frame.device_time_us + frame.instants * 1_000_000_000 // frame.rate_mHz
    intake["latest_us"] = max(intake["latest_us"], intake["device_us"])
    intake["ingest_us"] = frame.ingest_time_us


def expect_first(intake: Any, now_us: int) -> None:
    """Note that there is a bed of which no frame could be read up to now."""
    intake["rate_mHz"] = UNKNOWN_MHZ
    intake["anchor_us"] = intake["ingest_us"] = now_us


def is_first(intake: Any) -> bool:
    """Whether a frame is the first of its bed that could be read: no frame is without leads."""
    return not intake["leads"]


def expect(intake: Any, frame: Frame) -> None:
    """Note that a frame is the next one, and never came: what it held is missing before the one after it."""
    intake["next_sample"] = frame.first_sample
    intake["seq"] = frame.seq - 1
    intake["device_us"] = intake["latest_us"] = frame.device_time_us
    intake["ingest_us"] = frame.ingest_time_us


def adopt(intake: Any, frame: Frame, skip: int = 0) -> None:
    """Take rate, leads and clock from the first frame of a stream, of which `skip` instants were seen before."""
    if frame.first_sample + skip < intake["next_sample"]:
        intake["numbering"] += 1
    intake["rate_mHz"] = frame.rate_mHz
    intake["leads"] = ",".join(frame.leads).encode()
    anchor(intake, frame)
    intake["gap_first"] = 0
    intake["gap_end"] = 0
    intake["stale"] = 0
    intake["latest_us"] = 0
    intake["column"] = choose(frame.leads)
    intake["mv_per_bit"] = units(intake, frame)


def anchor(intake: Any, frame: Frame) -> None:
    """Reckon the time of a sample from this frame on."""
    intake["anchor_sample"] = frame.first_sample
    intake["anchor_us"] = frame.device_time_us


def units(intake: Any, frame: Frame) -> list[float]:
    """Millivolts per step of the analysed leads in this frame; NaN where there is no lead."""
    return [frame.units_per_bit[column] if column >= 0 else float("nan") for column in intake["column"].tolist()]


def columns(intake: Any, frame: Frame) -> npt.NDArray[np.int16]:
    """The analysed leads of a frame, shape (LEADS, instants)."""
    samples = frame.samples
    out = np.full((LEADS, len(samples)), INVALID, np.int16)
    for lead, column in enumerate(intake["column"].tolist()):
        if column >= 0:
            out[lead] = samples[:, column]
    return out


def position_of(intake: Any) -> StreamPosition:
    """Where a bed is."""
    numbers = {name: int(intake[name]) for name in _NUMBERS}
    return StreamPosition(**numbers, leads=intake["leads"].decode(), mv_per_bit=tuple(intake["mv_per_bit"].tolist()))


def go_on(intake: Any, position: StreamPosition) -> None:
    """Go on from a position; alerts to come have no id of one before."""
    for name in _NUMBERS:
        intake[name] = getattr(position, name)
    intake["numbering"] += 1
    leads = tuple(position.leads.split(","))
    intake["leads"] = position.leads.encode()
    intake["column"] = choose(leads)
    intake["mv_per_bit"] = position.mv_per_bit
