"""What comes before the QRS, against the same before the last beats: a P wave comes again, fibrillation does not.

A premature atrial beat has another P wave than the beat before it; where one comes every other time, its P wave is
that of the beat before the last. Both are asked for, and how much the P waves were alike for the last half minute.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.jit import kernel
from detector.types import LEADS, Array, Row
from detector.waves import p_alike
from model.words import P_AGAIN, P_BEFORE, P_LAST

AGAIN: Final = 0.033  # weight of a beat in the mean likeness, about 30 beats


@kernel
def say_atria(state: Row, signal: Row, peak_tick: int, measures: Array, good: Array, values: Array) -> None:
    """The words of how alike this beat's P wave is to those before, mean of the leads that can be read."""
    values[P_AGAIN] = np.float64(state.p_again) if state.p_seen > 0 else np.nan
    alike = np.full(2, np.nan)
    peak = np.empty(1, np.int64)
    for back in range(2):
        peak[0] = state.earlier[back] - 1
        if peak[0] < 0:
            continue
        total = 0.0
        leads = 0
        for lead in range(LEADS):
            if good[lead]:
                one = p_alike(signal, peak_tick, peak, lead, measures[lead].onset)
                if np.isfinite(one):
                    total += one
                    leads += 1
        if leads > 0:
            alike[back] = total / leads
    values[P_LAST] = alike[0]
    values[P_BEFORE] = alike[1]
    best = -2.0
    for back in range(2):
        if np.isfinite(alike[back]):
            best = max(best, alike[back])
    if best > -2.0:
        state.p_seen = min(state.p_seen + 1, 1 << 30)
        state.p_again += max(AGAIN, 1.0 / state.p_seen) * (best - np.float64(state.p_again))
