"""Hearts made of Gaussians: enough ECG to read beats from, with every R peak known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from detector.types import AFTER, LEADS, RING, SIGNAL

GOOD_LEADS = np.zeros(LEADS, np.int8)
REACH = 12  # widths of a wave beyond which it adds nothing that a float could hold

#: Kind of beat: (centre in ticks from R, width in ticks, mV in lead 1, mV in lead 2).
WAVES = {
    "N": (
        (-42, 6.0, 0.15, 0.1),
        (-7, 2.5, -0.12, 0.0),
        (0, 3.0, 1.2, 0.5),
        (8, 3.0, -0.25, -0.7),
        (62, 11.0, 0.3, 0.2),
    ),
    "S": ((0, 3.0, 1.2, 0.5), (8, 3.0, -0.25, -0.7), (62, 11.0, 0.3, 0.2)),
    "V": ((0, 11.0, -1.4, 1.3), (22, 9.0, 0.5, -0.4), (66, 16.0, 0.6, -0.5)),
}


def heart(kinds: str, rr: npt.ArrayLike, noise: float = 0.02, seed: int = 0) -> tuple[Any, npt.NDArray[np.int64]]:
    """mV (n, LEADS) and R peaks of a heart that beats these kinds, `rr` ticks after one another."""
    peaks = 200 + np.cumsum(np.broadcast_to(np.asarray(rr), len(kinds))).astype(np.int64)
    count = int(peaks[-1]) + 2 * AFTER if len(kinds) else 400
    mv = np.random.default_rng(seed).normal(0.0, noise, (count, LEADS))
    for kind, peak in zip(kinds, peaks, strict=True):
        for centre, width, *heights in WAVES[kind]:
            reach = int(REACH * width)
            t = np.arange(max(peak + centre - reach, 0), min(peak + centre + reach + 1, count))
            bump = np.exp(-0.5 * ((t - peak - centre) / width) ** 2)
            mv[t] += bump[:, None] * np.array(heights)
    return mv.astype(np.float32), peaks


def play(mv: npt.NDArray[np.float32], peaks: npt.NDArray[np.int64], extra: int = 0) -> Iterator[tuple[Any, int]]:
    """The ring at the moment each beat is read, with `extra` ticks beyond it that no one may look at."""
    signal = np.zeros(1, SIGNAL)[0]
    signal["mv"][:] = np.nan
    for peak in peaks:
        end = min(int(peak) + AFTER + extra, len(mv))
        ticks = np.arange(int(signal["end"]), end)
        signal["mv"][:, ticks % RING] = mv[ticks].T
        signal["end"] = max(end, int(signal["end"]))
        yield signal, int(peak)
