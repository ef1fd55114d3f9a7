"""A bed whose signal begins anew over and over is told as unmonitored: no asystole could be."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from detector.types import RATE
from replay.script import load
from stream.conditions import UNSETTLED
from stream.frames import Frame, check
from stream.wire import Alert
from tests.stream.wards import through

SCRIPT = 'patient "a" rate 250 Hz leads II V1 seed 3\nsinus 72 for 30 s\nasystole for 30 s\nsinus 72 for 40 s'
BEGUN_US = 1_700_000_000_000_000
FRAME = 62  # samples
STOPS_S = 30.0
LATE_S = 1.0  # for a frame and an epoch


def frames() -> list[Frame]:
    record = load(SCRIPT).record
    made: list[Frame] = []
    for first in range(0, len(record.samples), FRAME):
        us = BEGUN_US + first * 4000
        part = record.samples[first : first + FRAME]
        made.append(Frame("b", len(made), first, us, us, 250_000, record.leads, record.units_per_bit, part.tobytes()))
        check(made[-1])
    return made


def first_lead(frame: Frame) -> Frame:
    data = np.ascontiguousarray(frame.samples[:, 0]).tobytes()
    return msgspec.structs.replace(frame, leads=frame.leads[:1], units_per_bit=frame.units_per_bit[:1], data=data)


def told(some: list[Frame]) -> list[Alert]:
    return through([[frame] for frame in some]).alerts["b"]


@pytest.mark.parametrize("every", [1, 2, 4, 8, 12])
def test_leads_that_come_and_go_leave_nobody_monitored(every: int) -> None:
    flapping = [first_lead(frame) if i // every % 2 else frame for i, frame in enumerate(frames())]
    last = {alert.id: alert for alert in told(flapping) if alert.rule == "unmonitored"}
    late = round((STOPS_S + UNSETTLED / RATE + LATE_S) * RATE)
    assert any(
        alert.decided_sample <= late and (alert.cleared_sample is None or alert.cleared_sample > late)
        for alert in last.values()
    )


def test_a_clock_that_runs_too_fast_leaves_nobody_monitored() -> None:
    fast = [
        msgspec.structs.replace(frame, device_time_us=BEGUN_US + 1000 * (frame.device_time_us - BEGUN_US))
        for frame in frames()
    ]
    assert any(alert.rule == "unmonitored" for alert in told(fast))


def test_it_ends_with_the_first_beats_of_a_signal_that_stays() -> None:
    calm = [first_lead(frame) if i < 100 and i % 2 else frame for i, frame in enumerate(frames())]
    last = {alert.id: alert for alert in told(calm)}
    (unmonitored,) = [alert for alert in last.values() if alert.rule == "unmonitored"]
    assert unmonitored.state == "cleared"
    assert any(alert.rule == "asystole" for alert in last.values())


def test_leads_that_change_once_or_twice_are_no_such_thing() -> None:
    twice = [first_lead(frame) if 10 <= i < 25 else frame for i, frame in enumerate(frames())]
    assert not [alert for alert in told(twice) if alert.rule == "unmonitored"]
