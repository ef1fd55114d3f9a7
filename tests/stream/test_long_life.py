"""A bed that has been watched for years hears and tells the same as a new one: no count runs over or grows coarse."""

from __future__ import annotations

import msgspec
import pytest

from detector.types import EPOCH
from replay.script import load
from stream import bed as beds
from stream.ward import Ward
from tests.stream.wards import Said, cut, reader

SCRIPT = """patient "a" rate 250 Hz leads II V1 seed 5
sinus 75 for 20 s
vt 180 for 8 s
sinus 75 for 12 s
asystole for 8 s
sinus 50 for 12 s"""
YEAR_S = 365 * 86_400


def told(*, ticks: int, samples: int) -> tuple[object, ...]:
    """Beats, marks and alerts of a bed that has seen so many ticks, by samples from where the script begins."""
    ward, said = Ward(reader()), Said()
    for number, frame in enumerate(cut(load(SCRIPT).record, [62])):
        moved = msgspec.structs.replace(frame, first_sample=frame.first_sample + samples)
        if number == 0:
            row = ward._table[ward._admit(moved)]
            row["detector"]["tick"] = ticks
            beds.begin(row, moved.rate_mHz, moved.first_sample, 2)
            row["intake"]["next_sample"], row["intake"]["seq"] = moved.first_sample, moved.seq - 1
            row["intake"]["device_us"] = moved.device_time_us
        ward.detect([moved])
        said.add(ward.judge())
    return (
        [msgspec.structs.replace(beat, sample=beat.sample - samples) for beat in said.beats["bed"]],
        [msgspec.structs.replace(mark, sample=mark.sample - samples) for mark in said.marks["bed"]],
        [(a.rule, a.state, a.onset_sample - samples, a.decided_sample - samples) for a in said.alerts["bed"]],
    )


@pytest.mark.parametrize(
    ("ticks", "samples"),
    [(YEAR_S * 250 // EPOCH * EPOCH, 0), (0, YEAR_S * 250), (100 * YEAR_S * 250 // EPOCH * EPOCH, 2**40)],
)
def test_age_changes_nothing(ticks: int, samples: int) -> None:
    young = told(ticks=0, samples=0)
    assert {alert[0] for alert in young[2]} >= {"ventricular_tachycardia", "asystole"}  # type: ignore[attr-defined]
    assert told(ticks=ticks, samples=samples) == young
