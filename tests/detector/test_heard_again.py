"""What beats looked like does not count for ever: a heart that looks otherwise is heard again."""

from __future__ import annotations

import numpy as np
import pytest

from detector.reference import QrsTwin
from detector.types import LEADS, RATE
from tests.detector.hearts import ecg
from tests.detector.test_qrs import NEAR, run


@pytest.mark.parametrize("stands_s", [5.0, 17.0, 25.0])
@pytest.mark.parametrize("after", [0.25, 1.0, -3.0])
def test_a_heart_that_stood_still_is_heard_again_whatever_it_looks_like_now(stands_s: float, after: float) -> None:
    """The twin agrees across the step from which what beats looked like no longer counts."""
    mv, peaks = ecg(70, 75, noise_mv=0.01)
    first, end = peaks[30] + RATE // 3, peaks[30] + RATE // 3 + round(stands_s * RATE)
    mv[first:end] = np.random.default_rng(2).normal(0.0, 0.01, (end - first, LEADS))
    mv[end:] *= after
    ticks = mv.astype(np.float32)
    found = run(ticks, np.full(999, 40))
    twin = QrsTwin(LEADS)
    expected = [peak for peak in map(twin.step, ticks.tolist()) if peak]
    assert [(p["tick"], p["found"]) for p in found] == [(p.tick, p.found) for p in expected]
    np.testing.assert_array_equal(found["log_odds"], np.array([p.log_odds for p in expected], np.float32))
    assert not ((found["tick"] > first + RATE // 4) & (found["tick"] < end)).any()
    heard = peaks[(peaks > end + 6 * RATE) & (peaks < len(mv) - RATE)]
    assert (np.abs(found["tick"][:, None] - heard).min(axis=0) < NEAR * RATE).all()


@pytest.mark.parametrize("high_mv", [10.0, 160.0])
def test_a_heart_of_another_form_is_heard_after_artefacts_of_other_forms(high_mv: float) -> None:
    """Nothing of it is like what is known, and none of it would be heard if that counted for ever."""
    mv, peaks = ecg(70, 75, noise_mv=0.01)
    first, end = peaks[20] + RATE // 3, peaks[20] + RATE // 3 + 5 * RATE
    mv[first:end] += (high_mv * (np.arange(end - first) % 40 < 2))[:, None]
    mv[end:] *= -0.3
    found = run(mv.astype(np.float32), np.full(999, 40))
    heard = peaks[(peaks > end + 22 * RATE) & (peaks < len(mv) - RATE)]
    assert len(heard) > 30
    assert (np.abs(found["tick"][:, None] - heard).min(axis=0) < NEAR * RATE).all()
