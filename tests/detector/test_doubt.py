"""Doubt: the share of the beats that is likely wrong, as the plain twin has it; declared in noise, not in a rhythm."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt

from detector import doubt, fibrillation
from detector.detector import Detector
from detector.envelope import STEPS, STRIDE
from detector.reference_doubt import Decision, doubtful, follow
from detector.scratch import new_scratch
from detector.types import EPOCH, EPOCH_STATE, RATE
from tests.detector.hearts import counts, ecg
from tests.detector.test_fibrillation import fibrillating

EPOCHS = 40
SECOND = RATE // EPOCH  # epochs
RECOVERED_S = 11  # behind noise: the levels are learned anew, and what was doubted fades
LAST_STEP = EPOCHS * EPOCH // STRIDE - 1

decision = st.tuples(st.integers(0, LAST_STEP), st.floats(-30.0, 30.0), st.sampled_from(["told", "refused", "back"]))


def kernel(decisions: list[Decision], calls: list[int]) -> tuple[list[bool], list[float]]:
    """Whether the kernel doubts at each epoch, and the probability of fibrillation it makes of even odds.

    It is given the decisions over calls that end at these steps.
    """
    state, scratch = np.zeros(1, doubt.DOUBT)[0], new_scratch()[0]
    doubt.begin(state)
    epochs = np.zeros(EPOCHS, EPOCH_STATE)
    epochs["tick"] = np.arange(1, EPOCHS + 1) * EPOCH - 1
    begun = 0
    for end in [*sorted(set(calls)), LAST_STEP + 1]:
        scratch["n_decided"] = 0
        for one in decisions:
            step = one.tick // STRIDE
            if begun <= step < end:
                say = doubt.note_recovered if one.before else doubt.note_accepted if one.told else doubt.note_rejected
                say(scratch, step, one.score)
        # A call ends with a tick, its steps with a whole one: the epochs that have ended by then.
        first, last = STRIDE * begun // EPOCH, STRIDE * end // EPOCH
        doubt.follow(state, scratch, epochs, first, last)
        begun = end
    return [bool(value) for value in epochs["doubtful"]], epochs["vf"].tolist()


@given(drawn=st.lists(decision, max_size=60), calls=st.lists(st.integers(1, LAST_STEP), max_size=12))
@settings(deadline=None)
def test_it_is_what_the_twin_says_however_the_calls_are_cut(
    drawn: list[tuple[int, float, str]], calls: list[int]
) -> None:
    decisions = [
        Decision(STRIDE * step + STRIDE - 1, score, told=kind != "refused", before=kind == "back")
        for step, score, kind in sorted(drawn)
    ]
    doubted, likely = kernel(decisions, calls)
    expected = follow(decisions, EPOCHS)
    assert doubted == [one for one, _ in expected]
    assert likely == [np.float32(fibrillation.probability(0.0, regular)) for _, regular in expected]


@pytest.mark.parametrize("size", [50.0, 1000.0, 5000.0])
def test_a_step_never_decides_on_more_than_the_desk_has_room_for(size: float) -> None:
    detector = Detector(RATE, [0.001])
    samples = np.random.default_rng(1).normal(0.0, size, (60 * RATE, 1)).clip(-32000, 32000).astype(np.int16)
    most = 0
    for first in range(0, len(samples), 50):
        detector.update(samples[first : first + 50])
        steps = detector._scratch["decided"]["step"][0][: detector._scratch["n_decided"][0]]
        most = max(most, int(np.unique(steps, return_counts=True)[1].max(initial=0)))
    assert 0 < most <= 2
    assert len(detector._scratch["decided"][0]) == 2 * STEPS


def every_second(score: float, *, told: bool, epochs: int = EPOCHS) -> list[bool]:
    return doubtful([Decision(tick, score, told) for tick in range(0, epochs * EPOCH, RATE)], epochs)


def test_beats_that_are_sure_are_not_doubted() -> None:
    assert not any(every_second(5.0, told=True, epochs=600))


def test_beats_as_likely_as_not_are_doubted_soon_and_no_longer_once_they_are_sure() -> None:
    epochs = 600
    decisions = [Decision(tick, 0.1 if tick < 20 * RATE else 5.0, told=True) for tick in range(0, epochs * EPOCH, RATE)]
    told = doubtful(decisions, epochs)
    assert told.index(True) < 20
    assert all(told[20:200])
    assert not any(told[300:])


def test_peaks_that_were_nearly_beats_are_doubted_too() -> None:
    assert any(every_second(-0.1, told=False))


def test_one_such_peak_alone_is_no_doubt() -> None:
    assert not any(doubtful([Decision(0, -0.1, told=False)], EPOCHS))


def test_slow_beats_that_are_sure_speak_for_a_rhythm_and_fast_or_unsure_ones_do_not() -> None:
    epochs = 200

    def regular(score: float, bpm: float) -> float:
        ticks = np.arange(0, epochs * EPOCH, 60 * RATE / bpm).astype(int).tolist()
        return follow([Decision(tick, score, told=True) for tick in ticks], epochs)[-1][1]

    assert regular(7.0, 70) > 6.0
    assert regular(7.0, 240) == 0.0
    assert abs(regular(0.5, 70)) < 0.6
    assert regular(7.0, 130) < regular(7.0, 90)


def test_beats_of_before_say_less_and_less_where_no_more_come() -> None:
    epochs = 400
    ticks = np.arange(0, 20 * RATE, RATE * 0.8).astype(int).tolist()
    said = [regular for _, regular in follow([Decision(tick, 8.0, told=True) for tick in ticks], epochs)]
    assert said[199] > 6.0
    assert said[250] < 0.5 * said[199]


@pytest.mark.parametrize("bpm", [60, 75, 95, 120])
@pytest.mark.parametrize("size", [150.0, 600.0, 1000.0])
def test_fibrillation_after_a_rhythm_is_seen_within_eight_seconds(bpm: float, size: float) -> None:
    mv, _ = ecg(60, bpm, noise_mv=0.01)
    wave = fibrillating(3, size)[:, None] / 1000.0
    mv = np.concatenate([mv[: 40 * RATE], mv[:1] * 0.0 + wave])
    seen = Detector(RATE, (0.005, 0.005)).update(counts(mv))[1]["vf"][40 * SECOND :] >= 0.5
    assert np.flatnonzero(seen)[0] < 8 * SECOND


def test_where_nothing_is_known_of_fibrillation_beats_do_not_change_that() -> None:
    assert fibrillation.probability(fibrillation.UNKNOWN_LOG_ODDS, 8.0) == fibrillation.UNKNOWN_PROBABILITY
    assert fibrillation.probability(fibrillation.LOG_ODDS_MIN, -2.0) < 0.01
    assert fibrillation.probability(fibrillation.FLAT_LOG_ODDS, -2.0) < 1e-9
    assert fibrillation.probability(1.5, 7.0) < 0.5 < fibrillation.probability(1.5, 0.0)


def test_what_is_surely_fibrillation_is_told_however_regular_the_beats_found() -> None:
    """They may be a pacemaker's spikes. From 0.5 on the alarm takes it for fibrillation."""
    assert fibrillation.probability(fibrillation.LOG_ODDS_MAX, 8.0) > 0.7


def doubted(samples: npt.NDArray[np.int16], rate_hz: float = RATE, mv_per_bit: Any = (0.005, 0.005)) -> Any:
    return Detector(rate_hz, mv_per_bit).update(samples)[1]["doubtful"] != 0


@pytest.mark.parametrize("bpm", [40, 75, 150])
def test_a_clean_rhythm_is_not_doubted(bpm: float) -> None:
    assert not doubted(counts(ecg(60, bpm, noise_mv=0.02)[0]))[20:].any()


def test_what_moves_like_beats_is_and_the_rhythm_after_it_is_not() -> None:
    """Noise of a beat's own frequencies and size, as of an electrode that is being moved: neither hum nor flat."""
    clean, _ = ecg(120, 75, noise_mv=0.02)
    swinging = butter(2, (2.0, 12.0), "bandpass", fs=RATE, output="sos")
    begin, end = 30, 60
    shares = []
    for seed in range(12):
        swings = sosfilt(swinging, np.random.default_rng(seed).normal(size=len(clean)))
        mv = clean.copy()
        mv[begin * RATE : end * RATE] += (swings / swings.std())[begin * RATE : end * RATE, None]
        told = doubted(counts(mv))
        shares.append(told[(begin + 3) * SECOND : end * SECOND].mean())
        assert not told[2 * SECOND : begin * SECOND].any(), seed
        assert not told[(end + RECOVERED_S) * SECOND :].any(), seed
    assert min(shares) > 0.8
    assert np.mean(shares) > 0.9
