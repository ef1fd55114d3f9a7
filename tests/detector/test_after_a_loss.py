"""What comes after a loss of signal: the T wave of a QRS that nobody saw is no beat."""

from __future__ import annotations

import numpy as np
import pytest

from detector.reference import QrsTwin
from detector.types import LEADS, RATE
from tests.detector.hearts import ecg
from tests.detector.test_qrs import NEAR, run


def lossy(seed: int, lost_s: float) -> tuple[np.ndarray, np.ndarray]:
    """A minute with five losses, each of which ends between a QRS and its T wave."""
    mv, peaks = ecg(60, 75, noise_mv=0.01, seed=seed)
    for peak in peaks[20:60:8]:
        end = peak + RATE // 10
        mv[end - round(lost_s * RATE) : end] = np.nan
    return mv.astype(np.float32), peaks


@pytest.mark.parametrize("lost_s", [0.5, 2.0])
def test_the_t_wave_of_a_hidden_qrs_is_no_beat(lost_s: float) -> None:
    """As silence, the time without signal would make it one overdue: of 50, more than twenty were taken for one."""
    false = 0
    for seed in range(10):
        mv, peaks = lossy(seed, lost_s)
        found = run(mv, np.full(999, 40))["tick"]
        false += (np.abs(found[:, None] - peaks).min(axis=1) > 2 * NEAR * RATE).sum()
        heard = peaks[~np.isnan(mv[peaks, 0]) & (peaks < len(mv) - RATE)]
        assert (np.abs(found[:, None] - heard).min(axis=0) < NEAR * RATE).sum() >= len(heard) - 1
    assert false <= 3


def test_the_twin_agrees_after_a_loss() -> None:
    mv, _ = lossy(3, 2.0)
    mv[30 * RATE : 33 * RATE, 1] = np.nan  # one lead alone, which makes nothing unheard
    found = run(mv, np.full(999, 40))
    twin = QrsTwin(LEADS)
    expected = [peak for peak in map(twin.step, mv.tolist()) if peak]
    assert [(p["tick"], p["found"]) for p in found] == [(p.tick, p.found) for p in expected]
