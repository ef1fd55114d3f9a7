"""A patient simulator's clean rhythms, and what a workshop puts on them, through the whole ward: no alarm is false."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from replay.records import Record
from stream.wire import Rule
from tests.stream.wards import Said, cut, through

RATE = 250
SECONDS = 60.0
STEP_MV = 0.005
TIME = np.arange(round(SECONDS * RATE)) / RATE
LIFE = {rule.name.lower() for rule in (Rule.ASYSTOLE, Rule.VENTRICULAR_FIBRILLATION, Rule.VENTRICULAR_TACHYCARDIA)}


def standard(bpm: float, height_mv: float, t_share: float) -> npt.NDArray[np.float64]:
    """The test signal of ANSI/AAMI EC13: a QRS triangle of 100 ms, and a T wave of 180 ms that ends after 350 ms."""
    mv = np.zeros(len(TIME))
    for at in np.arange(1.0, SECONDS - 0.5, 60.0 / bpm):
        since = TIME - at + 0.05
        mv += height_mv * np.clip(1.0 - np.abs(since - 0.05) / 0.05, 0.0, None)
        mv += t_share * height_mv * np.sin(np.pi * np.clip((since - 0.17) / 0.18, 0.0, 1.0))
    return mv


def told(mv: npt.NDArray[np.float64], step_mv: float = STEP_MV) -> tuple[set[str], int]:
    """Rules of the alerts, and how many beats were found."""
    samples = np.rint(mv / step_mv).astype(np.int16)[:, None]
    record = Record("simulated", RATE * 1000, ("MDC_ECG_LEAD_II",), (step_mv,), samples)
    said: Said = through([frame] for frame in cut(record, [RATE // 4]))
    return {alert.rule for alert in said.alerts.get("bed", [])}, len(said.beats["bed"])


@pytest.mark.parametrize("bpm", [60, 80, 100, 110, 120])
@pytest.mark.parametrize("height_mv", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("t_share", [0.2, 0.6, 0.8])
def test_tall_t_waves_that_leave_no_rest_at_a_fast_rate_are_no_fibrillation(
    bpm: int, height_mv: float, t_share: float
) -> None:
    assert told(standard(bpm, height_mv, t_share)) == (set(), len(np.arange(1.0, SECONDS - 0.5, 60.0 / bpm)))


@pytest.mark.parametrize("height_mv", [0.3, 0.5])
def test_hum_of_60_hz_as_high_as_the_beats_is_no_fibrillation(height_mv: float) -> None:
    hum = height_mv * np.sin(2.0 * np.pi * 60.0 * TIME)
    assert not told(standard(72, height_mv, 0.2) + hum)[0] & LIFE


@pytest.mark.parametrize("height_mv", [0.5, 1.0])
def test_no_asystole_follows_electrosurgery(height_mv: float) -> None:
    mv = standard(75, height_mv, 0.2)
    burst = (TIME >= 20.0) & (TIME < 30.0)
    mv[burst] += np.random.default_rng(1).normal(0.0, 2.0, int(burst.sum()))
    assert "asystole" not in told(mv)[0]


@pytest.mark.parametrize("offset_mv", [-20.0, -3.0, 3.0, 20.0])
@pytest.mark.parametrize("step_mv", [0.005, 0.02])
def test_an_electrodes_offset_does_not_leave_the_patient_unmonitored(offset_mv: float, step_mv: float) -> None:
    mv = standard(75, 1.0, -0.2)[RATE // 2 :]  # it has not yet stood still for a second when its first beat comes
    rules, beats = told(mv + offset_mv, step_mv)
    assert rules == set()
    assert beats >= len(np.arange(1.0, SECONDS - 0.5, 60.0 / 75)) - 1  # the first may be of the second not yet seen
