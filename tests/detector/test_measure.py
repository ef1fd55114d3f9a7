from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.bounds import END_TO, ONSET_FROM, ONSET_TO
from detector.measure import MEASURES, measure
from detector.types import AFTER, RING, SIGNAL

PEAK = 500


def ring(mv: Any, end: int | None = None) -> Any:
    signal = np.zeros(1, SIGNAL)[0]
    signal["mv"][:] = np.nan
    end = len(mv) if end is None else end
    signal["mv"][:, np.arange(end) % RING] = np.asarray(mv, np.float32)[:end]
    signal["end"] = end
    return signal


def beat(width: float = 3.0, height: float = 1.0, p: float = 0.0, st_level: float = 0.0, length: int = 700) -> Any:
    t = np.arange(length) - PEAK
    wave = height * np.exp(-0.5 * (t / width) ** 2) + p * np.exp(-0.5 * ((t + 42) / 6.0) ** 2)
    return wave + st_level * ((t > 4 * width) & (t < 70))


def measured(signal: Any, peak: int = PEAK) -> Any:
    out = np.zeros(1, MEASURES)[0]
    measure(signal, peak, 0, out)
    return out


def test_a_narrow_beat() -> None:
    m = measured(ring(beat()))
    assert m["valid"] == 1
    assert m["polarity"] == 1
    assert m["r_mv"] == pytest.approx(1.0, abs=0.2)  # the filter of 20 ms rounds a peak of 28 ms
    assert 40 <= m["width_ms"] <= 100  # readers mark three deviations to both sides (72 ms), and the filter adds
    assert abs(m["st60_mv"]) < 0.02


@settings(max_examples=30, deadline=None)
@given(st.floats(2.5, 6.0), st.floats(1.5, 2.0))
def test_a_wider_beat_is_measured_wider(width: float, factor: float) -> None:
    narrow, wide = measured(ring(beat(width))), measured(ring(beat(width * factor)))
    assert wide["width_ms"] > narrow["width_ms"]
    assert wide["breadth_ms"] > narrow["breadth_ms"]


@settings(max_examples=30, deadline=None)
@given(st.floats(3.0, 10.0), st.floats(0.1, 3.0))
def test_turned_over(width: float, height: float) -> None:
    up, down = measured(ring(beat(width, height))), measured(ring(beat(width, -height)))
    assert down["polarity"] == -up["polarity"]
    assert down["r_mv"] == pytest.approx(-up["s_mv"])
    assert down["width_ms"] == up["width_ms"]


@settings(max_examples=30, deadline=None)
@given(st.integers(-3, 4), st.floats(3.0, 9.0))
def test_amplitudes_follow_the_gain_and_times_do_not(power: int, width: float) -> None:
    gain = 2.0**power
    one, other = measured(ring(beat(width, p=0.15))), measured(ring(gain * beat(width, p=0.15)))
    for name in ("onset", "offset", "width_ms", "breadth_ms", "p_tick", "polarity"):
        assert one[name] == other[name]
    for name in ("r_mv", "s_mv", "area_uvs", "up", "down", "p_mv", "t_mv", "st60_mv"):
        assert other[name] == np.float32(gain) * one[name]


def test_p_wave() -> None:
    with_p, without = measured(ring(beat(p=0.2))), measured(ring(beat()))
    assert with_p["p_mv"] == pytest.approx(0.2, abs=0.05)
    assert with_p["p_tick"] == pytest.approx(-42, abs=4)
    assert abs(without["p_mv"]) < 0.05


@pytest.mark.parametrize("level", [-0.3, 0.2])
def test_st_level(level: float) -> None:
    m = measured(ring(beat(st_level=level)))
    assert m["st60_mv"] == pytest.approx(level, abs=0.05)
    assert m["st80_mv"] == pytest.approx(level, abs=0.05)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 2.0), st.floats(0.0, 0.3))
def test_bounds_hold_for_any_signal(seed: int, noise: float, missing: float) -> None:
    rng = np.random.default_rng(seed)
    mv = beat() + rng.normal(0, noise, 700)
    mv[rng.random(700) < missing] = np.nan
    m = measured(ring(mv))
    assert ONSET_FROM <= m["onset"] <= ONSET_TO
    assert max(0, m["onset"]) <= m["offset"] <= END_TO
    assert m["width_ms"] == pytest.approx(m["offset_ms"] - m["onset_ms"], abs=1e-4)
    assert m["s_mv"] <= 0 <= m["r_mv"]
    assert all(np.isfinite(m[name]) for name in MEASURES.names or ())


def test_nothing_later_is_used() -> None:
    mv = beat() + np.random.default_rng(1).normal(0, 0.05, 700)
    cut = measured(ring(mv, PEAK + AFTER))
    mv[PEAK + AFTER :] = 7.0
    assert cut == measured(ring(mv))


@pytest.mark.parametrize("value", [np.nan, 0.0, 3.0])
def test_nothing_to_measure(value: float) -> None:
    assert measured(ring(np.full(700, value)))["valid"] == 0


def test_first_beat_of_a_record() -> None:
    m = measured(ring(beat()[PEAK - 40 :]), peak=40)
    assert m["valid"] == 1
    assert m["r_mv"] > 0.8
