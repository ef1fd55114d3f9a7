"""The schedule is absolute: no drift however clumsy the sleep, nothing skipped when late."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.pacing import Pace, parse_speed
from stream.errors import SettingsError


class FakeClock:
    """Time that passes only by sleeping (too long or too short) and by work."""

    def __init__(self, error: Callable[[], float], start: float = 1e6) -> None:
        self.time = start
        self.error = error
        self.sleeps = 0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.sleeps += 1
        self.time += max(seconds + self.error(), 1e-9)


@pytest.mark.parametrize("speed", [1.0, 60.0])
async def test_no_drift_over_millions_of_frames(speed: float) -> None:
    clumsy = random.Random(1)
    clock = FakeClock(lambda: clumsy.uniform(-0.001, 0.004))
    pace = Pace(speed, clock.now, clock.sleep)
    frames, frame_s = 1_000_000, 0.25
    late = 0.0
    for k in range(frames):
        await pace.wait(k * frame_s)
        due = 1e6 + k * frame_s / speed
        assert clock.time >= due
        late = max(late, clock.time - due)
    assert late <= 0.004 + 1e-6  # one sleep's error, not the sum of a million
    assert late == pytest.approx(pace.worst_lag_s, abs=1e-6)
    assert clock.time == pytest.approx(1e6 + (frames - 1) * frame_s / speed, abs=0.005)


@given(
    st.floats(0.1, 100),
    st.lists(st.tuples(st.floats(0, 2), st.floats(0, 10)), min_size=1, max_size=60),
)
@settings(deadline=None)
async def test_who_is_late_catches_up_and_sees_it(speed: float, steps: list[tuple[float, float]]) -> None:
    """Whatever work falls between frames, each is sent at the first moment at which it is due and the turn is its."""
    clock = FakeClock(lambda: 0.0, start=5.0)
    pace = Pace(speed, clock.now, clock.sleep)
    signal = 0.0
    worst = 0.0
    for advance, work in steps:
        signal += advance
        before = clock.time
        lag = await pace.wait(signal)
        due = 5.0 + signal / speed
        assert clock.time == pytest.approx(max(before, due))
        assert lag == pytest.approx(clock.time - due, abs=1e-6)
        worst = max(worst, lag)
        clock.time += work
    assert pace.worst_lag_s == worst


@given(st.floats(0, 1e6), st.floats(0.01, 100), st.floats(0.001, 1))
def test_a_grain_only_delays(signal: float, speed: float, grain: float) -> None:
    exact = Pace(speed, lambda: 7.0)
    grained = Pace(speed, lambda: 7.0, grain_s=grain)
    tolerance = 1e-9 * max(1.0, signal / speed)
    assert -tolerance <= grained.due(signal) - exact.due(signal) < grain + tolerance
    steps = (grained.due(signal) - 7.0) / grain
    assert steps == pytest.approx(round(steps), rel=1e-9, abs=1e-6 * max(1.0, signal / speed / grain))


async def test_as_fast_as_possible_never_waits() -> None:
    clock = FakeClock(lambda: 0.0)
    pace = Pace(math.inf, clock.now, clock.sleep)
    for k in range(1000):
        clock.time += 1.0
        assert await pace.wait(k * 0.25) == 0.0
    assert clock.sleeps == 0


@pytest.mark.parametrize(("text", "speed"), [("1", 1.0), ("60", 60.0), (" 60x ", 60.0), ("0.5", 0.5), ("2×", 2.0)])
def test_speeds(text: str, speed: float) -> None:
    assert parse_speed(text) == speed
    assert math.isinf(parse_speed("MAX"))


@pytest.mark.parametrize("text", ["0", "-1", "", "fast", "nan", "inf", "1e3", "0.0", "9" * 400])
def test_no_speeds(text: str) -> None:
    with pytest.raises(SettingsError, match="max"):
        parse_speed(text)


@pytest.mark.parametrize("speed", [0.0, -1.0, math.nan])
def test_a_pace_needs_a_speed(speed: float) -> None:
    with pytest.raises(SettingsError):
        Pace(speed)


async def test_the_real_clock() -> None:
    pace = Pace(10.0)
    times = [pace.start]
    for k in range(1, 6):
        await pace.wait(k * 0.1)
        times.append(pace.due(k * 0.1) + pace.lag_s)
    assert all(b > a for a, b in itertools.pairwise(times))
