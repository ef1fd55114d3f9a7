"""Signals to detect beats in: made from scratch, so that the tests need no records."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detector.types import RATE


def ecg(
    seconds: float, rate_bpm: float = 75.0, *, rate_hz: float = RATE, noise_mv: float = 0.0, seed: int = 0
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """A plain ECG and its R peaks.

    Returns
    -------
    mv : float64, shape (instants, 2)
    peaks : int64
        Samples of the R peaks.
    """
    random = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    interval = 60.0 / rate_bpm
    at = []
    now = 0.6
    while now < seconds - 0.4:
        at.append(now)
        now += interval * (1 + 0.03 * random.standard_normal())
    mv = np.zeros((len(time), 2))
    for r in at:
        near = slice(max(int((r - 0.4) * rate_hz), 0), int((r + 0.5) * rate_hz))
        t = time[near] - r
        squeeze = min(1.0, interval / 0.8)
        waves = ((0.12, -0.17, 0.022), (-0.1, -0.03, 0.009), (1.1, 0.0, 0.011), (-0.2, 0.03, 0.01), (0.3, 0.26, 0.05))
        for height, centre, width in waves:
            late = centre * squeeze
            wave = height * np.exp(-0.5 * ((t - late) / width) ** 2)
            mv[near, 0] += wave
            mv[near, 1] += 0.6 * wave * (-1 if height > 1 else 1)
    mv += noise_mv * random.standard_normal(mv.shape)
    return mv, np.rint(np.array(at) * rate_hz).astype(np.int64)


def counts(mv: npt.NDArray[np.float64], mv_per_bit: float = 0.005) -> npt.NDArray[np.int16]:
    """Millivolts as int16 steps; NaN as no reading."""
    steps = np.clip(np.rint(np.nan_to_num(mv) / mv_per_bit), -32767, 32767)
    return np.where(np.isnan(mv), -32768, steps).astype(np.int16)
