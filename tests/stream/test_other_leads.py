"""A device goes on with other leads: the bed turns to them, at the same sample however frames are cut."""

from __future__ import annotations

import functools

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.records import Record
from replay.script import load
from stream import other_leads
from stream.frames import INVALID, Frame
from stream.ward import Ward
from tests.stream.wards import Said, cut, reader, through

SCRIPT = """
patient "others"  rate 250 Hz  leads II V1  seed 5
sinus 75 for 60 s
asystole for 10 s
sinus 75 for 10 s
"""
NAMES = tuple(f"MDC_ECG_LEAD_{name}" for name in ("AVR", "III", "II", "V5", "V6"))
II, V5 = NAMES.index("MDC_ECG_LEAD_II"), NAMES.index("MDC_ECG_LEAD_V5")  # these two are analysed first
RATE = 250
FAILS = 20 * RATE + 37  # within a frame
TURNS = FAILS + other_leads.FAILED_S * RATE


@functools.cache
def plain() -> Record:
    return load(SCRIPT).record


def device(*off: tuple[int, int, int]) -> Record:
    """All five leads show the heart, but for these: column, first instant and end of what it does not read."""
    script = plain()
    samples = script.samples[:, [0, 1, 0, 1, 1]].copy()
    for column, first, end in off:
        samples[first:end, column] = INVALID
    return Record("device", script.rate_mhz, NAMES, (script.units_per_bit[0],) * len(NAMES), samples)


ENDS = 80 * RATE
FAILING = ((II, FAILS, ENDS), (V5, FAILS, ENDS))


@functools.cache
def failing() -> Said:
    return through([frame] for frame in cut(device(*FAILING), [62]))


def alerts(said: Said, rule: str) -> list[tuple[str, int]]:
    return [(a.state, a.decided_sample) for a in said.alerts.get("bed", []) if a.rule == rule and a.state == "raised"]


def test_others_are_analysed_when_those_chosen_give_no_reading() -> None:
    said = failing()
    assert said.events == {"leads_failed": 1}
    assert alerts(said, "relearning") == [("raised", TURNS)]
    (unmonitored,) = [a for a in said.alerts["bed"] if a.rule == "unmonitored" and a.state == "cleared"]
    assert TURNS <= unmonitored.cleared_sample <= TURNS + RATE  # type: ignore[operator]
    usual = through([frame] for frame in cut(device(), [62]))
    heard = np.array([beat.sample for beat in said.beats["bed"]])
    missed = [
        beat.sample
        for beat in usual.beats["bed"]
        if not FAILS <= beat.sample < TURNS + 2 * RATE and np.abs(heard - beat.sample).min() > 0.04 * RATE
    ]
    assert not missed
    ((_, asystole),) = alerts(said, "asystole")  # and what happens in the other leads is told
    assert abs(asystole - alerts(usual, "asystole")[0][1]) <= 0.1 * RATE


@given(lengths=st.lists(st.integers(1, 250), min_size=1, max_size=8), size=st.integers(1, 7))
@settings(max_examples=10, deadline=None)
def test_the_bed_turns_at_the_same_sample_however_frames_are_cut(lengths: list[int], size: int) -> None:
    all_frames = cut(device(*FAILING), lengths)
    said = through(all_frames[first : first + size] for first in range(0, len(all_frames), size))
    assert said.of("bed") == failing().of("bed")
    assert said.events == failing().events


@pytest.mark.parametrize("seconds", [19, 22, 24, 25, 26])
def test_a_crash_meanwhile_changes_nothing(seconds: int) -> None:
    all_frames = cut(device(*FAILING), [62])
    at = seconds * RATE // 62
    first, second = Ward(reader()), Ward(reader())
    said = through(([frame] for frame in all_frames[:at]), first)
    second.restore("bed", first.snapshot("bed"))
    for frame in all_frames[at:]:
        second.detect([frame])
        said.add(second.judge())
    assert said.of("bed") == failing().of("bed")


def test_frames_sent_again_are_not_counted_twice() -> None:
    twice = [frame for frame in cut(device(*FAILING), [62]) for _ in range(2)]
    assert through([frame] for frame in twice).of("bed") == failing().of("bed")


def test_samples_that_never_came_say_nothing_of_electrodes() -> None:
    def lost(frame: Frame) -> bool:
        return 22 * RATE <= frame.first_sample < 24 * RATE

    kept = [frame for frame in cut(device(*FAILING), [62]) if not lost(frame)]
    missing = sum(frame.instants for frame in cut(device(), [62]) if lost(frame))
    assert alerts(through([frame] for frame in kept), "relearning") == [("raised", TURNS + missing)]


@pytest.mark.parametrize(
    "off",
    [
        [(II, FAILS, TURNS - 1), (V5, FAILS, TURNS - 1)],  # back in time
        [(II, FAILS, ENDS)],  # the other is enough
        [(II, FAILS, ENDS), (V5, FAILS + RATE, TURNS - 1)],
        [(column, FAILS, ENDS) for column in range(len(NAMES))],  # no other can be read
    ],
)
def test_it_stays_with_its_leads_if_they_come_back_or_others_are_no_better(off: list[tuple[int, int, int]]) -> None:
    said = through([frame] for frame in cut(device(*off), [62]))
    assert said.events == {}
    assert not alerts(said, "relearning")


def test_it_turns_once_others_can_be_read_and_again_when_those_fail() -> None:
    """First none can be read; then AVR and III, which are analysed, and V6; then only that."""
    rest = [column for column in range(len(NAMES)) if column not in (II, V5)]
    off = [*FAILING, *((column, FAILS, 27 * RATE) for column in rest)]
    off += [(NAMES.index(f"MDC_ECG_LEAD_{name}"), 45 * RATE, ENDS) for name in ("AVR", "III")]
    said = through([frame] for frame in cut(device(*off), [62]))
    assert said.events == {"leads_failed": 2}
    (_, first), (_, second) = alerts(said, "relearning")
    assert first == FAILS + 2 * other_leads.FAILED_S * RATE
    assert second == 50 * RATE
    assert any(beat.sample > 55 * RATE for beat in said.beats["bed"])


def test_a_device_that_begins_anew_is_read_by_its_names_again() -> None:
    frames = cut(device(*FAILING), [62])
    rest = [msgspec.structs.replace(f, seq=i) for i, f in enumerate(cut(device(), [62])[:200])]
    again = [msgspec.structs.replace(f, device_time_us=f.device_time_us + 200_000_000) for f in rest]
    ward = Ward(reader())
    through(([frame] for frame in frames[:150]), ward)
    said = through(([frame] for frame in again), ward)
    assert said.events == {"restart": 1}
    assert len(said.beats["bed"]) > 40


def test_leads_with_nothing_connected_are_not_turned_to() -> None:
    record = device(*FAILING)
    record.samples[:, [column for column in range(len(NAMES)) if column not in (II, V5)]] = 7
    assert through([frame] for frame in cut(record, [62])).events == {}
