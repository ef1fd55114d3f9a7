"""A slow heart whose leads stand still between its beats, as a simulator's do: each beat begins in a flat lead."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from detector.detector import Detector
from detector.types import FLAT, RATE
from tests.detector.hearts import counts

STEP_MV = 0.005
NEAR_TICKS = 10  # from an R peak to where it was put
LATEST = 63  # ticks from an R peak to its decision, as of the 99th percentile of the contract (250 ms)
SECONDS = 90.0


def still(r_s: list[float], height_mv: float, width: float = 1.0) -> npt.NDArray[np.float64]:
    """One lead, shape (ticks,), that shows QRS and T waves of whole steps, and nothing else."""
    time = np.arange(round(SECONDS * RATE)) / RATE
    mv = np.zeros(len(time))
    waves = ((1.0, 0.0, 0.018), (-0.1, -0.03, 0.012), (-0.2, 0.03, 0.012))
    for at in r_s:
        for height, centre, spread in waves:
            mv += height_mv * height * np.exp(-0.5 * ((time - at - width * centre) / (width * spread)) ** 2)
        mv += 0.2 * height_mv * np.exp(-0.5 * ((time - at - 0.28) / 0.05) ** 2)
    return np.rint(mv / STEP_MV) * STEP_MV


def every(interval_s: float, begin_s: float = 1.0, end_s: float = SECONDS - 1.0) -> list[float]:
    return np.arange(begin_s, end_s, interval_s).tolist()


def found(leads: list[npt.NDArray[np.float64]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """Ticks of the R peaks, of their decisions, and epochs in which the first lead was flat."""
    samples = counts(np.stack(leads, axis=1), STEP_MV)
    peaks, epochs = Detector(RATE, [STEP_MV] * len(leads)).update(samples)
    return peaks["tick"], peaks["found"], int((epochs["lead"][:, 0] == FLAT).sum())


def are_all_found(r_s: list[float], leads: list[npt.NDArray[np.float64]], latest: int = LATEST) -> bool:
    ticks, decided, flat = found(leads)
    assert flat > 0
    true = np.rint(np.array(r_s) * RATE)
    return (
        len(ticks) == len(true)
        and bool((np.abs(ticks - true) <= NEAR_TICKS).all())
        and bool((decided - ticks <= latest).all())
    )


@pytest.mark.parametrize("bpm", [15, 22, 28, 33, 35, 37, 40])
@pytest.mark.parametrize("late_s", [0.0, 0.037, 0.08])
@pytest.mark.parametrize("leads", ["one", "two", "one, the other dead"])
def test_each_beat_is_found_at_once(bpm: int, late_s: float, leads: str) -> None:
    r_s = every(60.0 / bpm, 1.0 + late_s)
    first = still(r_s, 1.0)
    second = {"one": [], "two": [still(r_s, -0.5)], "one, the other dead": [np.zeros(len(first))]}[leads]
    assert are_all_found(r_s, [first, *second])


@pytest.mark.parametrize("bpm", [25, 33, 40])
@pytest.mark.parametrize("offset_mv", [-20.0, -3.0, 3.0, 20.0])
def test_so_it_is_where_an_electrode_has_an_offset(bpm: int, offset_mv: float) -> None:
    r_s = every(60.0 / bpm, 0.537)
    lead = still(r_s, np.sign(offset_mv)) + offset_mv
    assert are_all_found(r_s[1:], [lead])  # until the first, the lead may as well be at a rail


@pytest.mark.parametrize("pause_s", [5.0, 11.0, 20.0])
@pytest.mark.parametrize("late_s", [0.0, 0.02, 0.04, 0.06, 0.08])
def test_so_is_the_first_beat_after_it_stood_still(pause_s: float, late_s: float) -> None:
    r_s = every(0.9, 1.0, 40.0) + every(1.0, 40.0 + pause_s + late_s)
    assert are_all_found(r_s, [still(r_s, 1.0)])


@pytest.mark.parametrize("bpm", [35, 45, 60, 70, 90])
def test_a_lead_that_goes_flat_for_good_takes_no_beat_from_the_other(bpm: int) -> None:
    r_s = every(60.0 / bpm)
    second = still(r_s, 0.7)
    second[round((r_s[len(r_s) // 2] + 0.6) * RATE) :] = 0.0  # after its T wave
    assert are_all_found(r_s, [second, still(r_s, 1.0)], latest=75)  # the first beat after it may wait for the lead
