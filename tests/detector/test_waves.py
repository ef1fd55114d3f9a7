"""QRS bounds, P presence and T end: properties, the plain twin, nothing later than declared."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import reference_waves as twin
from detector.bounds import DEFAULT_BOUND, END_TO, NARROWEST, ONSET_FROM, ONSET_TO, bounds, remove_spikes
from detector.measure import MEASURES, SPAN, SPAN_BEFORE, measure
from detector.types import AFTER, RING, SIGNAL
from detector.waves import P_PRESENT, T_AFTER, T_WAVE, p_alike, t_wave

RR = 200
PEAKS = np.arange(1, 6) * RR
Mv = npt.NDArray[np.float32]


def ring(mv: Any, end: int | None = None) -> Any:
    signal = np.zeros(1, SIGNAL)[0]
    signal["mv"][:] = np.nan
    end = len(mv) if end is None else end
    ticks = np.arange(max(end - RING, 0), end)
    signal["mv"][:, ticks % RING] = np.asarray(mv, np.float32)[ticks]
    signal["end"] = end
    return signal


def bell(length: int, at: float, width: float) -> Any:
    return np.exp(-0.5 * ((np.arange(length) - at) / width) ** 2)


def heart(p: float = 0.15, t: float = 0.3, t_at: float = 70, t_width: float = 10, qrs: float = 1.0) -> Any:
    """Five beats at `PEAKS`."""
    length = 1400
    mv = np.zeros(length)
    for peak in PEAKS.tolist():
        mv += qrs * bell(length, peak, 3) + p * bell(length, peak - 40, 6) + t * bell(length, peak + t_at, t_width)
    return mv


def rough(seed: int, noise: float) -> Mv:
    rng = np.random.default_rng(seed)
    drift = np.cumsum(rng.normal(0, 0.01, 1400))
    size = rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 2)
    return np.asarray(heart(qrs=size, t=rng.uniform(-0.5, 0.5)) + drift + rng.normal(0, noise, 1400), "f4")


def t_of(signal: Any, peak: int = 600, rr: int = RR, offset: int = 10) -> Any:
    out = np.zeros(1, T_WAVE)[0]
    t_wave(signal, peak, rr, 0, offset, out)
    return out


def p_of(signal: Any, peak: int = 600, onset: int = -10) -> float:
    """The signal should end no later than a second behind: the ring is short."""
    return p_alike(signal, peak, np.array([peak - RR, peak - 2 * RR, -1]), 0, onset)


def bounds_of(y: Any) -> tuple[float, float]:
    return bounds(np.asarray(y, np.float32), SPAN_BEFORE)


def measured(signal: Any, peak: int = 600) -> Any:
    out = np.zeros(1, MEASURES)[0]
    measure(signal, peak, 0, out)
    return out


# The plain twin

seeds, noises = st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.002, 0.02, 0.2])


@settings(max_examples=60, deadline=None)
@given(seeds, noises)
def test_bounds_are_those_of_the_twin(seed: int, noise: float) -> None:
    y = rough(seed, noise)[600 - SPAN_BEFORE :][:SPAN]
    assert bounds_of(y) == twin.bounds(y, SPAN_BEFORE)


@settings(max_examples=60, deadline=None)
@given(seeds, noises, st.floats(-3, 3), st.integers(-40, 5))
def test_spikes_are_those_of_the_twin(seed: int, noise: float, height: float, at: int) -> None:
    raw = rough(seed, noise).astype(np.float64)[600 - SPAN_BEFORE :][:SPAN]
    raw[SPAN_BEFORE + at] += height
    ours = raw.copy()
    remove_spikes(ours, SPAN_BEFORE)
    assert ours.tolist() == twin.remove_spikes(raw.tolist(), SPAN_BEFORE)


@settings(max_examples=60, deadline=None)
@given(seeds, noises, st.integers(60, 400), st.integers(0, END_TO), st.floats(0.0, 0.05))
def test_t_waves_are_those_of_the_twin(seed: int, noise: float, rr: int, offset: int, missing: float) -> None:
    mv = rough(seed, noise)
    mv[np.random.default_rng(seed).random(len(mv)) < missing] = np.nan
    ours, plain = t_of(ring(mv, 1024), 600, rr, offset), twin.t_wave(mv[:1024], 600, rr, offset)
    assert bool(ours["valid"]) == (plain is not None)
    if plain is not None:
        assert ours.item()[1:] == tuple(float(np.float32(value)) for value in plain)


@settings(max_examples=60, deadline=None)
@given(seeds, noises, st.integers(ONSET_FROM, ONSET_TO), st.floats(0.0, 0.05))
def test_p_waves_are_those_of_the_twin(seed: int, noise: float, onset: int, missing: float) -> None:
    mv = rough(seed, noise)
    mv[np.random.default_rng(seed).random(len(mv)) < missing] = np.nan
    assert p_of(ring(mv, 1024), onset=onset) == pytest.approx(
        twin.p_alike(mv[:1024], 600, [400, 200, -1], onset), rel=0, abs=0, nan_ok=True
    )


# Gain, offset, polarity


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from([0.0, 0.002, 0.02]), st.integers(-4, 4), st.sampled_from([-1.0, 1.0]))
def test_times_follow_neither_gain_nor_polarity(seed: int, noise: float, power: int, sign: float) -> None:
    mv = rough(seed, noise)
    one, other = ring(mv, 1024), ring(np.float32(sign * 2.0**power) * mv, 1024)
    for peak in (600, 800):
        assert t_of(one, peak)["end_ms"] == t_of(other, peak)["end_ms"]
        assert t_of(one, peak)["height_mv"] * np.float32(sign * 2.0**power) == t_of(other, peak)["height_mv"]
        assert p_of(one, peak) == p_of(other, peak)
        a, b = measured(one, peak), measured(other, peak)
        assert (a["onset"], a["offset"], a["width_ms"]) == (b["onset"], b["offset"], b["width_ms"])


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from([-2.0, -0.5, 1.0, 4.0]))
def test_times_do_not_follow_the_offset(seed: int, offset: float) -> None:
    mv = np.round(rough(seed, 0.005) * 2048) / 2048  # converter steps: adding the offset rounds nothing
    one, other = ring(mv, 1024), ring(mv + offset, 1024)
    a, b = measured(one), measured(other)
    assert abs(a["onset"] - b["onset"]) <= 1  # the filter rounds to float32
    assert abs(a["offset"] - b["offset"]) <= 1
    assert t_of(one)["end_ms"] == pytest.approx(t_of(other)["end_ms"], abs=0.01)
    assert p_of(one) == pytest.approx(p_of(other), abs=1e-6)


# What is measured


@settings(max_examples=60, deadline=None)
@given(seeds, noises, st.integers(0, 40))
def test_the_bounds_enclose_a_qrs(seed: int, noise: float, kept: int) -> None:
    """Whatever the curve is, and if all but a few ticks of it are flat."""
    y = rough(seed, noise)[600 - SPAN_BEFORE :][:SPAN].copy()
    y[SPAN_BEFORE + kept :] = y[SPAN_BEFORE + kept]
    onset, end = bounds_of(y)
    assert ONSET_FROM <= onset <= ONSET_TO
    assert onset + NARROWEST <= end <= END_TO


def test_without_slope_nothing_is_told() -> None:
    assert bounds_of(np.ones(SPAN)) == (-DEFAULT_BOUND, DEFAULT_BOUND)


@pytest.mark.parametrize("late", [-12, -4, 4, 12, 24])
def test_a_qrs_beside_its_r_peak_is_found(late: int) -> None:
    """An R peak on a pacing spike or a P wave: the bounds lie where the QRS does."""
    at = np.array(bounds_of(bell(SPAN, SPAN_BEFORE, 4)))
    beside = np.array(bounds_of(bell(SPAN, SPAN_BEFORE + late, 4)))
    assert beside == pytest.approx(at + late, abs=4.0)


@settings(max_examples=20, deadline=None)
@given(st.floats(55, 80), st.floats(8, 14), st.floats(0.1, 0.8), st.sampled_from([-1.0, 1.0]))
def test_a_t_wave_ends_on_its_far_flank(at: float, width: float, height: float, sign: float) -> None:
    t = t_of(ring(heart(p=0.0, t=sign * height, t_at=at, t_width=width)))
    assert t["valid"] == 1
    assert t["peak_ms"] == pytest.approx(4 * at, abs=8)
    assert 4 * (at + 1.3 * width) < t["end_ms"] < 4 * (at + 3.0 * width)
    assert np.sign(t["height_mv"]) == sign


def test_a_later_t_wave_ends_later() -> None:
    ends = [t_of(ring(heart(p=0.0, t_at=at)))["end_ms"] for at in (55, 60, 65, 70, 75, 80)]
    assert np.diff(ends) == pytest.approx(20.0, abs=4.0)


def test_no_t_wave_is_none() -> None:
    assert t_of(ring(heart(p=0.0, t=0.0)))["valid"] == 0


def test_waves_that_come_again_are_p_waves_and_others_are_not() -> None:
    rng = np.random.default_rng(3)
    fibrillation = np.convolve(rng.normal(0, 0.1, 1400), bell(31, 15, 5), mode="same") / 2
    assert p_of(ring(heart(t=0.0), 1024)) > 0.99 > P_PRESENT
    assert p_of(ring(heart(p=0.0, t=0.0) + fibrillation, 1024)) < P_PRESENT


def test_one_beat_tells_nothing_of_its_p_wave() -> None:
    signal = ring(heart(), 1024)
    assert np.isfinite(p_of(signal))
    assert np.isnan(p_alike(signal, 600, np.array([-1, -1, -1]), 0, -10))
    assert np.isnan(p_alike(signal, 600, np.empty(0, np.int64), 0, -10))


def test_a_pacing_spike_is_no_part_of_the_qrs() -> None:
    mv = np.zeros(1400)
    mv += bell(1400, 600, 9)
    plain = measured(ring(mv))
    paced = mv.copy()
    paced[570] += 2.0
    paced[571] += 1.0
    assert abs(measured(ring(paced))["onset"] - plain["onset"]) <= 1
    assert plain["onset"] > -32


def test_a_notch_does_not_end_the_qrs() -> None:
    notched = bell(1400, 597, 3) + bell(1400, 612, 3)
    assert measured(ring(notched))["offset"] > 15


# Only the past, however it is stored


@settings(max_examples=20, deadline=None)
@given(seeds, st.floats(-9, 9))
def test_nothing_later_than_declared_is_used(seed: int, later: float) -> None:
    mv = rough(seed, 0.01)
    changed = mv.copy()
    changed[600 + T_AFTER :] = later
    assert t_of(ring(mv, 600 + T_AFTER)) == t_of(ring(changed))
    changed[600 + AFTER :] = later
    assert p_of(ring(mv, 600 + AFTER)) == p_of(ring(changed, 1024))
    assert measured(ring(mv, 600 + AFTER)) == measured(ring(changed, 1024))


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(0, 250))
def test_what_came_with_a_frame_behind_it_does_not_matter(seed: int, more: int) -> None:
    """Up to a second of signal may lie behind what is read: nothing it needs has left the ring."""
    mv = np.concatenate([rough(seed, 0.01), rough(seed + 1, 0.01)])
    early, late = ring(mv, 1500 + T_AFTER), ring(mv, 1500 + T_AFTER + more)
    assert t_of(early, 1500) == t_of(late, 1500)
    beats = np.array([1300, 1100, 900])
    at_once, with_frame = ring(mv, 1500 + AFTER), ring(mv, 1500 + AFTER + more)
    assert p_alike(at_once, 1500, beats, 0, ONSET_FROM) == p_alike(with_frame, 1500, beats, 0, ONSET_FROM)


# Whatever comes


@settings(max_examples=60, deadline=None)
@given(
    seeds,
    st.sampled_from(["missing", "flat", "clipped", "empty", "huge"]),
    st.integers(ONSET_FROM, ONSET_TO),
    st.integers(0, END_TO),
    st.integers(0, 1300),
)
def test_any_signal_has_a_result(seed: int, kind: str, onset: int, offset: int, peak: int) -> None:
    mv = rough(seed, 0.05)
    if kind == "missing":
        mv[np.random.default_rng(seed).random(len(mv)) < 0.3] = np.nan
    elif kind == "flat":
        mv[:] = 1.0
    elif kind == "clipped":
        mv = np.clip(mv, -0.05, 0.1)
    elif kind == "empty":
        mv[:] = np.nan
    else:
        mv *= np.float32(1e6)
    signal = ring(mv, min(peak + T_AFTER, len(mv)))
    t = t_of(signal, peak, offset=offset)
    assert t["valid"] in (0, 1)
    assert 0.0 <= t["peak_ms"] <= t["end_ms"] < 4 * T_AFTER
    assert t["valid"] == 1 or t.item() == (0, 0.0, 0.0, 0.0)
    alike = p_of(signal, peak, onset)
    assert np.isnan(alike) or abs(alike) <= 1 + 1e-9
    m = measured(signal, peak)
    assert ONSET_FROM <= m["onset"] <= ONSET_TO
    assert max(0, m["onset"]) <= m["offset"] <= END_TO
    if kind in ("flat", "empty"):
        assert t["valid"] == m["valid"] == 0
