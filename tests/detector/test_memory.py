"""What is remembered of beats that were sure: noise does not wash it away, what has changed for good replaces it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector import memory
from detector.detector import Detector
from detector.reference_memory import MemoryTwin
from detector.reference_shape import Candidate
from detector.score import M_IN_STEP, M_REMEMBERED, M_REMEMBERED_SHARP, M_REMEMBERED_SIZE, M_UNSURE
from detector.shape import UNKNOWN
from detector.types import RATE
from tests.detector.hearts import counts, ecg
from tests.detector.test_sharpness import candidates, gaussian

RR = 100  # steps between the beats made here
UNHEARD_S = 4.0  # of another rhythm that follows at once
FIRST_S, FIRST_HEARD = 25, 0.9  # share of its beats that is heard at first; of those behind, all are


def beat(number: int, wave: list[int], score: float = 9.0) -> Candidate:
    return Candidate(RR * number, waveform=[wave], sizes=[1.0], score=score)


def told(twin: MemoryTwin, one: Candidate) -> dict[str, float]:
    measures = twin.recall(one, (1.0,), lost=False)
    twin.learn(one)
    return measures


def after_beats(count: int, wave: list[int]) -> MemoryTwin:
    twin = MemoryTwin(1)
    for number in range(count):
        told(twin, beat(number, wave))
    return twin


@given(number=st.integers(20, 29), off=st.floats(-0.5, 0.5))
def test_the_rhythm_is_counted_on_over_beats_not_told(number: int, off: float) -> None:
    twin = after_beats(20, gaussian(1.0))
    one = beat(number, gaussian(1.0))
    one.at += round(off * RR)
    measures = twin.recall(one, (1.0,), lost=False)
    since = one.at - 19 * RR
    if round(off * RR) == 0:
        assert measures["in step"] == pytest.approx(np.exp(-since / memory.FORGETS))
    if abs(off) > 0.4 and since > RR:
        assert measures["in step"] < 0.01


@given(times=st.floats(0.5, 3.0))
def test_size_is_that_along_the_shape(times: float) -> None:
    twin = after_beats(20, gaussian(1.0))
    measures = twin.recall(beat(20, gaussian(1.0, height_uv=1000.0 * times)), (1.0,), lost=False)
    assert measures["remembered"] == pytest.approx(1.0, abs=1e-3)
    assert measures["remembered size"] == pytest.approx(np.log(times + memory.SMALLEST), abs=0.01)
    assert measures["remembered sharp size"] == pytest.approx(np.log(times + memory.SMALLEST), abs=0.05)


@pytest.mark.parametrize("score", [-3.0, 0.5, memory.CONFIDENT_SCORE])
def test_what_is_not_sure_is_not_remembered(score: float) -> None:
    twin = after_beats(20, gaussian(1.0))
    before = twin.points[0]
    for number in range(20, 60):
        measures = told(twin, beat(number, gaussian(3.0), score))
        assert measures["remembered"] < 0.9
    assert twin.points[0] == before
    assert twin.last == 19 * RR


def test_what_has_changed_for_good_begins_anew_and_a_few_odd_beats_do_not() -> None:
    twin = after_beats(20, gaussian(1.0))
    inverted = gaussian(1.0, height_uv=-1000.0)
    for number in range(20, 20 + memory.CHANGED - 1):
        assert told(twin, beat(number, inverted))["remembered"] < -0.5
    assert told(twin, beat(30, gaussian(1.0)))["remembered"] > 0.9
    for number in range(31, 31 + memory.CHANGED + memory.FEW - 1):
        told(twin, beat(number, inverted))
    assert told(twin, beat(50, inverted))["remembered"] > 0.9


def test_noise_does_not_wash_it_away() -> None:
    """Half a minute of waves as high as the beats, and wider: after it the beats are as alike as before."""
    mv, peaks = ecg(120.0, noise_mv=0.01, seed=4)
    noise = _waves(len(mv), 40.0, 70.0, 0.7)
    found = candidates(mv + noise[:, None] * [1.0, -0.6])
    is_beat = np.abs(found["at"][:, None] - peaks).min(axis=1) < 0.06 * RATE
    measures, at_s = found["measures"][is_beat], found["at"][is_beat] / RATE
    before = (at_s > 20.0) & (at_s < 40.0)
    after = (at_s > 71.0) & (at_s < 75.0)
    assert after.sum() > 3
    for measure in (M_REMEMBERED, M_REMEMBERED_SHARP):
        assert np.median(measures[after, measure]) > np.median(measures[before, measure]) - 0.1
    assert abs(np.median(measures[after, M_REMEMBERED_SIZE]) - np.median(measures[before, M_REMEMBERED_SIZE])) < 0.3


def test_nothing_is_remembered_of_a_heart_just_met_or_long_lost() -> None:
    mv, peaks = ecg(80.0, noise_mv=0.01, seed=4)
    mv[round(30.0 * RATE) : round(55.0 * RATE)] = 0.003 * np.random.default_rng(2).standard_normal()
    found = candidates(mv)
    measures = found["measures"]
    first = found["at"] < peaks[2]
    assert (measures[first, M_REMEMBERED] == UNKNOWN).all()
    assert (measures[first, M_IN_STEP] == 0.0).all()
    back = found[(found["at"] > 55.2 * RATE) & (found["at"] < 56.0 * RATE)][0]["measures"]
    assert back[M_REMEMBERED] == UNKNOWN
    assert (back[[M_UNSURE, M_IN_STEP]] == 0.0).all()
    late = measures[found["at"] > 65.0 * RATE]
    assert np.median(late[:, M_REMEMBERED]) > 0.9


def wide(
    seconds: float, bpm: float, high_mv: float, width_s: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """An escape rhythm: one wide wave a beat, in both leads, and 20 µV of noise; with its R peaks."""
    time = np.arange(round(seconds * RATE)) / RATE
    at = np.arange(0.8, seconds - 0.5, 60.0 / bpm)
    wave = np.exp(-0.5 * ((time[:, None] - at) / width_s) ** 2).sum(axis=1)
    noise = np.random.default_rng(5).normal(0.0, 0.02, (len(time), 2))
    return high_mv * wave[:, None] * [1.0, 0.8] + noise, np.rint(at * RATE).astype(np.int64)


@pytest.mark.parametrize("stands_s", [0.0, 25.0])
@pytest.mark.parametrize(
    ("bpm", "high_mv", "width_s"),
    [
        (30, -0.4, 0.04),
        (40, 0.35, 0.035),
        (40, -0.5, 0.05),
        (55, -0.3, 0.04),
        (55, -0.4, 0.04),
        (75, 0.35, 0.035),
        (75, -0.3, 0.04),
        (75, 0.5, 0.05),
        (100, 0.35, 0.035),
        (100, -0.3, 0.04),
    ],
)
def test_a_heart_unlike_all_that_is_remembered_is_heard(
    bpm: float, high_mv: float, width_s: float, stands_s: float
) -> None:
    """It may be that none of its beats is sure, so that none changes what they are held against."""
    before, _ = ecg(60.0, noise_mv=0.02, seed=6)
    still = np.random.default_rng(8).normal(0.0, 0.02, (round(stands_s * RATE), 2))
    after, peaks = wide(70.0, bpm, high_mv, width_s)
    begins = len(before) + len(still)
    found = Detector(RATE, (0.005, 0.005)).update(counts(np.concatenate([before, still, after])))[0]["tick"]
    is_heard = np.abs(found[:, None] - (peaks + begins)).min(axis=0) < 0.15 * RATE
    later = peaks > FIRST_S * RATE
    heard = peaks[later] + begins
    assert is_heard[later].all()
    assert (found > heard[0] - 0.2 * RATE).sum() <= len(heard) + 2
    silent = np.diff([begins, *found[(found > begins) & (found < heard[0])], heard[0]]).max()
    assert stands_s or (silent < UNHEARD_S * RATE and is_heard[~later].mean() > FIRST_HEARD)


def _waves(length: int, begins_s: float, ends_s: float, high_mv: float) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(7)
    time = np.arange(length) / RATE
    noise = np.zeros(length)
    for at in np.arange(begins_s, ends_s, 0.9):
        middle, width = at + rng.uniform(0.0, 0.6), rng.uniform(0.06, 0.15)
        noise += rng.choice((-1.0, 1.0)) * high_mv * np.exp(-0.5 * ((time - middle) / width) ** 2)
    return noise
