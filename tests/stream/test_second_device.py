"""Two devices that send under one bed's id are told; one that sends its own again is not."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import pytest

from replay.script import load
from stream.frames import Frame, check
from stream.second_device import CONTESTED_US, GONE_US
from stream.ward import Ward
from stream.wire import Alert
from tests.stream.wards import Said, cut, reader, through

BEGUN_US = 1_700_000_000_000_000
CONTESTED_S = CONTESTED_US / 1e6
GONE_S = GONE_US / 1e6
FRAME_S = 0.25
LATE_S = 3.0  # until both have sent, and for a frame of each


def device(script: str, *, first: int = 0, begun_s: float = 0.0, seq: int = 0, frame_s: float = FRAME_S) -> list[Frame]:
    """A device's frames, with the time of its first sample and its own counts."""
    record = load(script).record
    frames = cut(record, [round(record.rate_mHz * frame_s) // 1000])
    shift_us = BEGUN_US + round(begun_s * 1e6)
    return [
        msgspec.structs.replace(
            f, first_sample=f.first_sample + first, seq=f.seq + seq, device_time_us=f.device_time_us + shift_us
        )
        for f in frames
    ]


def patient(seed: int, leads: str = "II V1", rate: int = 250, seconds: int = 60) -> str:
    return f'patient "a" rate {rate} Hz leads {leads} seed {seed}\nsinus {60 + 10 * seed} for {seconds} s'


def end_us(frame: Frame) -> int:
    return frame.device_time_us + frame.instants * 1_000_000_000 // frame.rate_mHz


def by_time(*devices: Iterable[Frame]) -> list[Frame]:
    """All frames in the order in which they are complete."""
    return sorted((f for frames in devices for f in frames), key=end_us)


def told(frames: Sequence[Frame]) -> list[Alert]:
    return [a for a in through([[f] for f in frames]).alerts.get("bed", []) if a.rule == "second_device"]


def own(said: Said) -> tuple[object, ...]:
    """What was said of the bed's own signal."""
    beats, revisions, marks, _ = said.of("bed")
    return beats, revisions, marks, [a for a in said.alerts.get("bed", []) if a.rule != "second_device"]


OTHERS = {
    "behind in its count": device(patient(2), first=0, begun_s=0.1, seq=7),
    "ahead in its count": device(patient(2), first=900_000, begun_s=0.1, seq=7),
    "of other leads, behind": device(patient(2, "I V5"), first=0, begun_s=0.1),
    "of other leads, ahead": device(patient(2, "I V5"), first=900_000, begun_s=0.1),
    "of another rate, behind": device(patient(2, rate=360), first=0, begun_s=0.1),
    "of another rate, ahead": device(patient(2, rate=360), first=900_000, begun_s=0.1),
    "of the same count and clock": device(patient(2), first=100_000),
    "of a count by the clock": device(patient(2), first=100_025, begun_s=0.1, seq=300),
    "a second ahead": device(patient(2), first=101_000, begun_s=0.0, seq=300),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_second_device_is_told_once_and_soon(other: str) -> None:
    alerts = told(by_time(device(patient(1), first=100_000), OTHERS[other]))
    assert [a.state for a in alerts] == ["raised"]
    (alert,) = alerts
    lasting = alert.evidence["contested_s"]
    assert alert.priority == "high"
    assert alert.evidence["limit_s"] == CONTESTED_S <= lasting < CONTESTED_S + 1.0
    assert alert.decided_time < f"2023-11-14T22:13:{20 + CONTESTED_S + LATE_S:02.0f}"


@pytest.mark.parametrize("frame_s", [0.1, 0.15, 0.4, 1.0])
@pytest.mark.parametrize("first", [0, 900_000])
def test_two_that_take_the_bed_from_each_other_are_told(frame_s: float, first: int) -> None:
    """Of frames of other lengths some come at a time at which only a device that began anew would have any."""
    other = device(patient(2), first=first, begun_s=0.1, frame_s=frame_s)
    alerts = through([[f] for f in by_time(device(patient(1), first=100_000), other)]).alerts["bed"]
    (raised,) = [a for a in alerts if a.rule == "second_device"]
    assert raised.decided_time < f"2023-11-14T22:13:{20 + CONTESTED_S + LATE_S:02.0f}"
    assert [a for a in alerts if a.decided_time > raised.decided_time and a.rule == "relearning"] == []


def test_a_device_behind_changes_nothing_of_the_bed() -> None:
    one = device(patient(1), first=100_000)
    alone = through([[f] for f in one])
    both = through([[f] for f in by_time(one, OTHERS["behind in its count"])])
    assert own(both) == own(alone)
    assert both.events["foreign"] == len(OTHERS["behind in its count"])


def test_it_ends_when_one_has_gone() -> None:
    one = device(patient(1), first=100_000)
    other = OTHERS["behind in its count"][: round(30 / FRAME_S)]
    raised, cleared = told(by_time(one, other))
    assert (raised.state, cleared.state) == ("raised", "cleared")
    assert cleared.cleared_sample is not None
    left_s = (cleared.cleared_sample - 100_000) / 250 - 30
    assert GONE_S - 2 * FRAME_S <= left_s <= GONE_S + 1


def again(frames: Sequence[Frame], by: int) -> list[Frame]:
    """Each frame a second time, so many frames later."""
    return [f for i, frame in enumerate(frames) for f in ([frame, frames[i - by]] if i >= by else [frame])]


def overlapping(frames: Sequence[Frame]) -> list[Frame]:
    """Frames that begin with the samples of the last one."""
    out = []
    for before, frame in itertools.pairwise(frames):
        data = np.concatenate([before.samples, frame.samples]).tobytes()
        out.append(
            msgspec.structs.replace(
                frame, first_sample=before.first_sample, device_time_us=before.device_time_us, data=data
            )
        )
    return out


ONE = device(patient(1), first=100_000)
HARMLESS = {
    "sent twice": again(ONE, 0),
    "again a second later": again(ONE, 4),
    "overlapping": overlapping(ONE),
    "overlapping, many lost": [f for i, f in enumerate(overlapping(ONE)) if i % 5 not in (2, 3)],
    "its clock set back": [
        f if i < 80 else msgspec.structs.replace(f, device_time_us=f.device_time_us - 20_000_000)
        for i, f in enumerate(ONE)
    ],
    "a store of old ones after its clock was set": by_time(
        [*ONE[:80], *(msgspec.structs.replace(f, device_time_us=f.device_time_us + 5_000_000) for f in ONE[80:])]
    )[:100]
    + ONE[:80]
    + [msgspec.structs.replace(f, device_time_us=f.device_time_us + 5_000_000) for f in ONE[100:]],
}


@pytest.mark.parametrize("how", HARMLESS)
def test_a_device_that_sends_its_own_again_is_none(how: str) -> None:
    for f in HARMLESS[how]:
        check(f)
    assert told(HARMLESS[how]) == []


@pytest.mark.parametrize("other", [name for name in OTHERS if name != "a second ahead"])
@pytest.mark.parametrize("again_s", [2.0, 3.75])
def test_a_believed_device_that_sends_its_own_again_is_not_taken_back(other: str, again_s: float) -> None:
    """Once two are told old frames are believed sooner, but only the other device's."""
    believed = OTHERS[other] if "ahead" in other else device(patient(1), first=100_000)
    both = by_time(device(patient(1), first=100_000), OTHERS[other])
    by = round(again_s / FRAME_S)
    late = believed[160]
    twice = [f for frame in both for f in ([frame, *believed[160 - by : 160]] if frame == late else [frame])]
    once, said = (through([[f] for f in frames]) for frames in (both, twice))
    assert len(twice) == len(both) + by
    assert own(said) == own(once)
    assert said.alerts == once.alerts


@pytest.mark.parametrize("every", [1, 7])
def test_a_crash_changes_nothing(every: int) -> None:
    frames = by_time(device(patient(1), first=100_000), OTHERS["behind in its count"][:120])
    whole = through([[f] for f in frames])
    said, ward = Said(), Ward(reader())
    for i, frame in enumerate(frames):
        ward.detect([frame])
        said.add(ward.judge())
        if i % every == 0:
            kept, ward = ward.snapshot("bed"), Ward(reader())
            ward.restore("bed", kept)
    assert said.alerts == whole.alerts


def test_a_device_that_begins_anew_with_each_frame_leaves_nobody_monitored() -> None:
    """No tenth of a second ever passes, at whose end the rules are asked."""
    frames = cut(load(patient(1)).record, [13])
    anew = [msgspec.structs.replace(f, device_time_us=BEGUN_US + 2_000_000 * i) for i, f in enumerate(frames)]
    alerts = through([[f] for f in anew]).alerts["bed"]
    assert [a.state for a in alerts if a.rule == "unmonitored"] == ["raised"]
