"""The T waves of a slow heart come late: as high as its QRS complex, they are still no beats."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from detector.detector import Detector
from detector.types import RATE
from tests.detector.hearts import counts

SECONDS = 90.0
NEAR_TICKS = 38  # EC57's 150 ms
FALSE = 3  # T waves at most, before a heart is known to be slow

WIDTHS_S = [
    (width, t_s) for width, t_s in itertools.product((1.0, 1.4, 2.0), (0.05, 0.07)) if (width, t_s) != (2.0, 0.05)
]


def heart(bpm: float, width: float, t_mv: float, t_s: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """One lead and its R peaks: QRS complexes of 1 mV, 70 ms times `width`, T waves with a standard deviation `t_s`."""
    time = np.arange(round(SECONDS * RATE)) / RATE
    mv = np.random.default_rng(0).normal(0.0, 0.01, len(time))
    r_s = np.arange(1.0, SECONDS - 1.0, 60.0 / bpm)
    late = 0.2 + 0.12 * np.sqrt(60.0 / bpm)
    waves = ((1.0, 0.0, 0.018 * width), (-0.1, -0.03 * width, 0.012 * width), (-0.2, 0.03 * width, 0.012 * width))
    for at, (height, centre, spread) in itertools.product(r_s, (*waves, (t_mv, late, t_s))):
        mv += height * np.exp(-0.5 * ((time - at - centre) / spread) ** 2)
    return mv, np.rint(r_s * RATE).astype(np.int64)


@pytest.mark.parametrize("bpm", [30, 35, 40])
@pytest.mark.parametrize(("width", "t_s"), WIDTHS_S)
@pytest.mark.parametrize("t_mv", [0.8, 1.0, 1.2])
def test_each_is_one_beat(bpm: int, width: float, t_s: float, t_mv: float) -> None:
    mv, r = heart(bpm, width, t_mv, t_s)
    peaks, _ = Detector(RATE, [0.005]).update(counts(mv[:, None]))
    off = np.abs(peaks["tick"][:, None] - r[None, :])
    assert (off.min(axis=0) <= NEAR_TICKS).all()
    assert (off.min(axis=1) > NEAR_TICKS).sum() <= FALSE
