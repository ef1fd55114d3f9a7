"""The resampler: equal to its twin, blind to framing, true in time and amplitude."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import reference_filters, resample
from detector.scratch import new_scratch
from detector.types import LEADS, RATE

INVALID = -32768


def ticks(
    samples: npt.NDArray[np.int16], rate_mHz: int, cuts: list[int], scratch: npt.NDArray[np.void] | None = None
) -> npt.NDArray[np.float32]:
    """All ticks of a recording of one lead, fed in pieces of these lengths in turn."""
    state, scratch = np.zeros(1, resample.INPUT), new_scratch() if scratch is None else scratch
    resample.begin(state[0], rate_mHz, 0, 0)
    both = np.stack([samples] * LEADS)
    out = []
    first = turn = 0
    while first < len(samples):
        step = min(cuts[turn % len(cuts)], len(samples) - first)
        count = resample.resample(state[0], both, first, step, np.full(LEADS, 0.001), INVALID, scratch[0])
        out.append(scratch[0]["lead"][0]["mv"][:count].copy())
        assert scratch[0]["lead"][0]["blank"] == np.isnan(out[-1]).sum()
        first, turn = first + step, turn + 1
    return np.concatenate(out)


rates = st.integers(100_000, 1_000_000) | st.sampled_from([128_000, 200_000, 250_000, 300_000, 360_000, 500_000])
cuts = st.lists(st.integers(1, 90), min_size=1, max_size=8)


@given(rate=rates, cut=cuts, seed=st.integers(0, 2**32 - 1), holes=st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_twin_agrees_however_the_samples_are_cut(rate: int, cut: list[int], seed: int, holes: bool) -> None:
    random = np.random.default_rng(seed)
    samples = random.integers(-2000, 2000, random.integers(2, 900)).astype(np.int16)
    if holes:
        samples[random.random(len(samples)) < 0.1] = INVALID
    expected = reference_filters.resample(samples, 0.001, rate, INVALID)
    np.testing.assert_array_equal(ticks(samples, rate, cut), expected)


def test_more_rates_than_are_kept_are_made_anew() -> None:
    samples = np.random.default_rng(1).integers(-2000, 2000, 1500).astype(np.int16)
    scratch = new_scratch()
    several = [360_000, 128_000, 250_000, 257_000, 100_003, 999_999, 500_000, 1_000_000, 360_100, 125_000]
    assert len(several) > resample.RATES
    for rate in several + several[::-1] + several[::3]:
        got = ticks(samples, rate, [70], scratch)
        np.testing.assert_array_equal(got, reference_filters.resample(samples, 0.001, rate, INVALID))


@pytest.mark.parametrize("rate_hz", [100, 128, 200, 250, 257, 300, 360, 500, 720, 1000])
def test_a_slow_wave_keeps_its_time_and_height(rate_hz: int) -> None:
    time = np.arange(4 * rate_hz) / rate_hz
    samples = np.rint(1000 * np.sin(2 * np.pi * 2 * time)).astype(np.int16)
    got = ticks(samples, rate_hz * 1000, [50])
    wanted = np.sin(2 * np.pi * 2 * np.arange(len(got)) / RATE)
    # Half a sample of 100 Hz at the wave's steepest is 63 µV; a shift of a whole tick would be 50 µV at every rate.
    assert np.abs(got - wanted)[2:-2].max() < 0.01
    assert len(got) == pytest.approx(4 * RATE, abs=3)


@given(rate=rates, origin=st.integers(0, 10**9), tick0=st.integers(0, 10**9), ahead=st.integers(0, 10**9))
def test_a_tick_names_the_sample_nearest_to_it(rate: int, origin: int, tick0: int, ahead: int) -> None:
    state = np.zeros(1, resample.INPUT)
    resample.begin(state[0], rate, origin, tick0)
    sample = resample.sample_of(state[0], tick0 + ahead)
    assert abs((sample - origin) * resample.SCALE - ahead * rate) * 2 <= resample.SCALE


@pytest.mark.parametrize("rate_hz", [128, 360])
def test_a_device_that_changes_its_steps_leaves_no_trace(rate_hz: int) -> None:
    samples = np.rint(1000 * np.sin(np.arange(2 * rate_hz) / rate_hz * 12)).astype(np.int16)
    state, scratch = np.zeros(1, resample.INPUT), new_scratch()
    resample.begin(state[0], rate_hz * 1000, 0, 0)
    got = []
    for first, steps, gain in ((0, rate_hz, 1), (rate_hz, rate_hz, 4)):
        both = np.stack([samples * gain] * LEADS).astype(np.int16)
        units = np.full(LEADS, 0.001 / gain)
        count = resample.resample(state[0], both, first, steps, units, INVALID, scratch[0])
        got.append(scratch[0]["lead"][0]["mv"][:count].copy())
    np.testing.assert_allclose(np.concatenate(got), ticks(samples, rate_hz * 1000, [50]), atol=1e-6)
