"""What comes before the QRS, against the same before the last beats: a P wave comes again, fibrillation does not.

A premature atrial beat has another P wave than the beat before it; where one comes every other time, its P wave is
that of the beat before the last. Both are asked for, and how much the P waves were alike for the last half minute.

What came before the last beats is kept in the bed's row: a beat that was found late is read when the ring no longer
holds the beats before it, or does not if the frames were cut otherwise.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.jit import kernel
from detector.types import LEADS, Array, Row
from detector.waves import P_SPAN, p_stretch
from detector.windows import correlation
from model.state import EARLIER
from model.words import P_AGAIN, P_BEFORE, P_LAST

AGAIN: Final = 0.033  # weight of a beat in the mean likeness, about 30 beats


@kernel
def add_p_words(state: Row, signal: Row, peak_tick: int, measures: Array, good: Array, values: Array) -> None:
    """The words of how alike this beat's P wave is to those before, mean of the leads that can be read; remember it."""
    own = np.empty((LEADS, P_SPAN), np.float64)
    there = np.zeros(LEADS, np.uint8)
    for lead in range(LEADS):
        if good[lead] and p_stretch(signal, peak_tick, lead, measures[lead].onset, own[lead]):
            there[lead] = 1
    alike = np.empty(EARLIER, np.float64)
    best = -2.0
    for back in range(EARLIER):
        alike[back] = _alike(own, there, state.p[back], state.p_there[back])
        if np.isfinite(alike[back]):
            best = max(best, alike[back])
    values[P_LAST] = alike[0]
    values[P_BEFORE] = alike[1]
    if state.p_seen > 0:
        values[P_AGAIN] = np.float64(state.p_again)
    if best > -2.0:
        state.p_seen = min(state.p_seen + 1, 1 << 30)
        state.p_again += max(AGAIN, 1.0 / state.p_seen) * (best - np.float64(state.p_again))
    for lead in range(LEADS):
        state.p_there[1, lead] = state.p_there[0, lead]
        state.p_there[0, lead] = there[lead]
        for i in range(P_SPAN):
            state.p[1, lead, i] = state.p[0, lead, i]
            state.p[0, lead, i] = own[lead, i] if there[lead] else 0.0


@kernel
def _alike(own: Array, there: Array, other: Array, other_there: Array) -> float:
    """Mean correlation of what came before two beats over the leads both have; NaN without any."""
    total = 0.0
    leads = 0
    for lead in range(LEADS):
        if there[lead] == 0 or other_there[lead] == 0:
            continue
        total += correlation(own[lead], other[lead])
        leads += 1
    return float(total / leads) if leads > 0 else float(np.nan)
