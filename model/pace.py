"""When a beat came: its RR interval against the intervals before it, on several memories of the patient's pace.

How irregular the rhythm is in itself is said besides, by the sample entropy of the last RR intervals: in fibrillation
one interval does not foretell the next, in bigeminy or between runs of premature beats it does, however much they vary.

References
----------
Lake DE, Moorman JR. Accurate estimation of entropy in very short physiological time series: the problem of atrial
fibrillation detection in implanted ventricular devices. Am J Physiol Heart Circ Physiol 300:H319-H325, 2011.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.jit import kernel
from detector.types import RATE, Array, Row
from model.state import PACES, RR_HISTORY
from model.words import (
    ENTROPY,
    JITTER,
    LAST_OWN,
    PAIR_HALF,
    RARE,
    RR,
    RR_BEFORE,
    RR_FAST,
    RR_HALF,
    RR_LAST,
    RR_LONG,
    RR_OWN,
    RR_REST,
    RR_SLOW,
    RR_USUAL,
    SCATTER,
    SHORTER,
    TURNS,
    UNREST,
)

FAST: Final = 0.16  # weight of a new interval in the fast memory, about 6 beats
SLOW: Final = 0.02  # in the slow one, about 50 beats
OWN: Final = 0.08  # in the own regular RR, about 12 beats
OWN_STEP: Final = 0.1  # most that one interval moves it by (log2), so that a premature beat or a pause hardly counts
RESTLESS: Final = 0.08  # in the mean change, about 12 beats
LONG: Final = 0.016  # in the mean change of long memory, about 60 beats
TURN: Final = 0.12  # in the mean product of two changes, about 8 beats
MINUTES: Final = 0.998  # weight an RR interval keeps per beat among those counted: about 500 beats, six minutes
REST: Final = 0.85  # share of RR intervals shorter than the one at rest: a run or bigeminy does not move it
PACE_FROM: Final = -2.0  # log2 of s of the shortest counted
PACE_STEP: Final = 0.0625  # log2 by which they are told apart: 4 %
LONGEST_RR_S: Final = 4.0  # s; longer intervals are no rhythm (gap, lead off)
ALIKE: Final = 0.1  # log2 by which RR intervals may differ and be alike: 7 %, less than a premature beat comes early
FEWEST: Final = 8  # RR intervals from which on something is said of how alike they are
LEAST_UNREST: Final = 0.04  # log2: a heart of steady pace varies by 3 % with the breath


@kernel
def interval(state: Row, peak_tick: int) -> float:
    """RR interval before this beat in s; 0 for none."""
    if state.beats == 0:
        return 0.0
    rr = (peak_tick - state.peak) / RATE
    return 0.0 if rr > LONGEST_RR_S or rr <= 0.0 else float(rr)


@kernel
def add_rr_words(state: Row, rr: float, values: Array) -> float:
    """The words of the RR interval; log2 of it over the patient's own, 0 where that cannot be told."""
    if rr <= 0.0:
        return 0.0
    log_rr = np.log2(rr)
    values[RR] = log_rr
    if state.intervals == 0:
        return 0.0
    early = log_rr - np.float64(state.own)
    if state.last_rr > 0.0:
        values[RR_LAST] = log_rr - np.log2(np.float64(state.last_rr))
        values[LAST_OWN] = np.float64(state.last_early)
    values[RR_FAST] = log_rr - np.float64(state.fast)
    values[RR_SLOW] = log_rr - np.float64(state.slow)
    values[RR_OWN] = early
    values[RR_USUAL] = early / max(1.25 * np.float64(state.unrest), LEAST_UNREST)
    values[RR_LONG] = log_rr - np.log2(_percentile80(state.rr, state.intervals))
    _say_minutes(state, log_rr, values)
    _say_order(state, log_rr, values)
    if state.before_rr > 0.0 and state.last_rr > 0.0:
        values[RR_BEFORE] = log_rr - np.log2(np.float64(state.before_rr))
    if state.changed > 0.0:
        values[TURNS] = -np.float64(state.turned) / np.float64(state.changed)
    values[UNREST] = np.log2(max(np.float64(state.long_jitter), 0.001))
    values[JITTER] = np.log2(max(np.float64(state.jitter), 0.001))
    return float(early)


@kernel
def _pace(log_rr: float) -> int:
    """Place of an RR interval among those that are counted."""
    return int(min(max(np.floor((log_rr - PACE_FROM) / PACE_STEP), 0.0), PACES - 1.0))


@kernel
def _quantile(paces: Array, total: float, share: float) -> float:
    """log2 of the RR interval that so much of those counted are shorter than."""
    below = 0.0
    for i in range(PACES):
        count = np.float64(paces[i])
        if below + count >= share * total and count > 0.0:
            return float(PACE_FROM + PACE_STEP * (i + (share * total - below) / count))
        below += count
    return float(PACE_FROM + PACE_STEP * PACES)


@kernel
def _say_minutes(state: Row, log_rr: float, values: Array) -> None:
    """The words of an RR interval against all those of the last minutes."""
    total = 0.0
    for i in range(PACES):
        total += np.float64(state.paces[i])
    half = _quantile(state.paces, total, 0.5)
    values[RR_HALF] = log_rr - half
    values[RR_REST] = log_rr - _quantile(state.paces, total, REST)
    here = _pace(log_rr)
    shorter = 0.5 * np.float64(state.paces[here])
    for i in range(here):
        shorter += np.float64(state.paces[i])
    values[SHORTER] = shorter / total
    if state.last_rr > 0.0:
        values[PAIR_HALF] = np.log2(0.5 * (np.exp2(log_rr) + np.float64(state.last_rr))) - half


@kernel
def _say_order(state: Row, log_rr: float, values: Array) -> None:
    """The words of how alike the last RR intervals are, and whether like ones follow like ones.

    Those before and after a gap are taken to follow each other: a gap is rare, and one of some 500 pairs.
    """
    n = min(state.intervals, RR_HISTORY)
    if n < FEWEST:
        return
    last = np.empty(RR_HISTORY)  # in order of time
    for i in range(n):
        last[i] = np.log2(np.float64(state.rr[(state.intervals - n + i) % RR_HISTORY]))
    alike = followed = 0
    for i in range(n - 2):
        for j in range(i + 1, n - 1):
            if abs(last[i] - last[j]) < ALIKE:
                alike += 1
                followed += abs(last[i + 1] - last[j + 1]) < ALIKE
    values[ENTROPY] = np.log2((alike + 1.0) / (followed + 1.0))
    values[SCATTER] = -np.log2((alike + 1.0) / (0.5 * (n - 1) * (n - 2) + 1.0))
    same = 0
    for i in range(n):
        same += abs(last[i] - log_rr) < ALIKE
    values[RARE] = -np.log2((same + 0.5) / (n + 1.0))


@kernel
def _percentile80(rr: Array, count: int) -> float:
    """80th percentile of the RR intervals in the ring."""
    n = min(count, RR_HISTORY)
    sorted_rr = np.empty(RR_HISTORY, np.float32)
    for i in range(n):
        value = rr[i]
        j = i
        while j > 0 and sorted_rr[j - 1] > value:
            sorted_rr[j] = sorted_rr[j - 1]
            j -= 1
        sorted_rr[j] = value
    return np.float64(sorted_rr[(4 * (n - 1)) // 5])


@kernel
def remember_interval(state: Row, rr: float) -> None:
    """Take an RR interval into every memory of the pace; 0 for none."""
    if rr > 0.0:
        log_rr = np.log2(rr)
        if state.intervals == 0:
            state.fast = state.slow = state.own = log_rr
        else:
            n = state.intervals + 1.0
            state.fast += max(FAST, 1.0 / n) * (log_rr - np.float64(state.fast))
            state.slow += max(SLOW, 1.0 / n) * (log_rr - np.float64(state.slow))
            state.own += max(OWN, 1.0 / n) * min(max(log_rr - np.float64(state.own), -OWN_STEP), OWN_STEP)
            if state.last_rr > 0.0:
                change = min(abs(log_rr - np.log2(np.float64(state.last_rr))), 1.0)
                state.jitter += max(RESTLESS, 1.0 / n) * (change - np.float64(state.jitter))
                state.long_jitter += max(LONG, 1.0 / n) * (change - np.float64(state.long_jitter))
                step = min(max(log_rr - np.log2(np.float64(state.last_rr)), -1.0), 1.0)
                state.turned += TURN * (step * np.float64(state.change) - np.float64(state.turned))
                state.changed += TURN * (step * step - np.float64(state.changed))
                state.change = step
        for i in range(PACES):
            state.paces[i] *= MINUTES
        state.paces[_pace(log_rr)] += 1.0
        state.rr[state.intervals % RR_HISTORY] = rr
        state.intervals += 1
    state.before_rr = state.last_rr
    state.last_rr = rr
