"""The condition of a lead: what is told of a line that hardly moves, with and without readings in between."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.detector import Detector
from detector.types import EPOCH, FLAT, GOOD, LEADS, NOISY, OFF, RATE, SATURATED
from tests.detector.hearts import ecg

INVALID = -32768
SECOND = RATE // EPOCH  # epochs


def states(uv: npt.ArrayLike, lost: Iterable[int] | slice = ()) -> npt.NDArray[np.int8]:
    """The state told of a lead at the end of each epoch; its ticks are given in µV, those `lost` have no reading."""
    samples = np.array(uv, np.int16)[:, None]
    samples[lost if isinstance(lost, slice) else list(lost), 0] = INVALID
    _, epochs = Detector(RATE, [0.001]).update(samples)
    return np.array(epochs["lead"][:, 0])


def test_a_still_line_is_flat_after_a_second() -> None:
    told = states(np.zeros(3 * RATE))
    assert (told[: SECOND - 1] == GOOD).all()
    assert (told[SECOND - 1 :] == FLAT).all()


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_ticks_without_a_reading_do_not_hide_a_flat_line(seed: int) -> None:
    lost = np.random.default_rng(seed).choice(3 * RATE, 60, replace=False)
    assert (states(np.zeros(3 * RATE), lost)[SECOND:] == FLAT).all()


def test_nor_does_the_last_tick_of_every_epoch() -> None:
    assert (states(np.zeros(3 * RATE), range(EPOCH - 1, 3 * RATE, EPOCH))[SECOND:] == FLAT).all()


@pytest.mark.parametrize("lost", range(RATE - EPOCH, RATE))
def test_a_line_that_slowly_rises_is_not_flat_for_a_tick_that_is_missing(lost: int) -> None:
    assert (states(3 * np.arange(2 * RATE), [lost]) == GOOD).all()


def test_a_flat_line_that_loses_a_frame_each_second_is_flat_in_between() -> None:
    lost = [tick for tick in range(6 * RATE) if tick % RATE < RATE // 4]
    told = states(np.zeros(6 * RATE), lost)[3 * SECOND :]
    assert set(told) == {OFF, FLAT}


def test_a_pause_between_beats_right_behind_a_gap_is_not_flat() -> None:
    since = np.arange(8 * RATE) % (RATE // 2) - 100
    told = states(1500.0 * np.exp(-((since / 5.0) ** 2)), slice(3 * RATE, 6 * RATE))
    assert (told[: 3 * SECOND] == GOOD).all()
    assert (told[-2 * SECOND :] == GOOD).all()


@pytest.mark.parametrize("level", [-32_000, 2_000, 32_000])
def test_a_line_far_from_zero_stands_at_a_rail(level: int) -> None:
    assert (states(np.full(3 * RATE, level))[SECOND:] == SATURATED).all()


@pytest.mark.parametrize("level", [-30_000, -5_000, -1_500, 1_500, 5_000, 30_000])
@pytest.mark.parametrize("height", [-300, 300, 1500])
def test_a_still_baseline_far_from_zero_from_which_beats_go_to_both_sides_is_no_rail(level: int, height: int) -> None:
    since = np.arange(8 * RATE) % (4 * RATE // 5) - 100
    beats = np.exp(-((since / 4.0) ** 2)) - 0.3 * np.exp(-(((since - 8) / 4.0) ** 2))
    assert (states(level + np.rint(height * beats))[SECOND:] == GOOD).all()


@pytest.mark.parametrize("level", [-5_000, 5_000])
def test_nor_is_one_whose_noise_is_hidden_by_coarse_steps(level: int) -> None:
    mv, _ = ecg(20.0, noise_mv=0.01)
    assert (states(level + 40 * np.rint(mv[:, 0] * 25))[SECOND:] <= NOISY).all()


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_lead_that_is_cut_off_at_its_end_for_half_of_the_time_is_at_a_rail(sign: int) -> None:
    mv, _ = ecg(20.0)
    wander = 4.0 * np.sin(2 * np.pi * 0.4 * np.arange(len(mv)) / RATE)
    cut = np.clip(1000.0 * (sign * mv[:, 0] + wander), -1500.0, 1500.0)
    assert (states(np.rint(cut))[2 * SECOND :] == SATURATED).mean() > 0.5


def test_what_moves_beyond_what_the_filters_take_stands_at_a_rail() -> None:
    samples = np.tile(np.array([[819], [1000]], np.int16), (2 * RATE, 1))
    _, epochs = Detector(RATE, [0.04]).update(samples)
    assert (epochs["lead"][2 * SECOND :, 0] == SATURATED).all()


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_another_bed_at_the_same_desk_leaves_no_trace(seed: int) -> None:
    random = np.random.default_rng(seed)
    alone, shared, other = (Detector(rate, [0.005] * LEADS) for rate in (360, 360, int(random.integers(100, 1001))))
    other._scratch = shared._scratch
    for _ in range(24):
        samples = random.normal(0.0, 60.0, (int(random.integers(1, 361)), LEADS)).astype(np.int16)
        samples[:, random.random(LEADS) < 0.3] = INVALID
        noise = random.integers(-32768, 32767, (int(random.integers(1, 1001)), LEADS)).astype(np.int16)
        expected = alone.update(samples)
        other.update(noise)
        for got, wanted in zip(shared.update(samples), expected, strict=True):
            np.testing.assert_array_equal(got, wanted)
    for part in ("input", "quality", "qrs", "fibrillation", "last"):
        np.testing.assert_array_equal(shared.state()[part], alone.state()[part])
