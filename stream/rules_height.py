"""Which beats are too small to be beats: P waves and noise that an asystole lets pass, told by their height."""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.jit import kernel
from detector.pulses import hides
from detector.types import LEADS, NOISY, RING, Array, Row
from stream.conditions import ASYSTOLE, HEIGHTS
from stream.wire import Rule

QUARTILE: Final = 4  # of the heights remembered are lower than what counts as usual
HALF_QRS: Final = 20  # ticks to either side of the R peak in which a beat's height is taken (80 ms)
SMALL: Final = 0.25  # of the usual height: P waves, noise and a neighbour's pulse lie below, ectopic beats above
ADOPTED: Final = 20  # small beats in a row that show the signal itself has become smaller ...
LEAST_MV: Final = 0.3  # ... but not, while asystole stands, below this height: so high P waves and noise may be
#: Alerts of rhythms whose waves are not of the usual height, nor is it that of the beats that follow them.
UNUSUAL: Final = np.array([Rule.VENTRICULAR_TACHYCARDIA, Rule.VENTRICULAR_FIBRILLATION], np.int64)
VENTRICULAR_RUN: Final = int(Rule.VENTRICULAR_RUN)
LASTING: Final = 100  # beats of a slower run from which on it is the usual rhythm: a pacemaker's is told for hours


@kernel
def is_small(memory: Row, signal: Row, lead_state: Array, tick: int, found: int) -> bool:
    """Whether a beat is far below the usual height in every readable lead; learns the height of one that is not.

    In an asystole the detector's thresholds fall until P waves or noise pass for beats. They must not end the wait
    for a beat, whatever their number; a signal that stays small is the new usual after `ADOPTED` beats, but what is
    below `LEAST_MV` then is none. Once a height is known, what is in doubt teaches none (`_teaches`).
    """
    known = memory.n_heights >= HEIGHTS // 2
    judged = 0
    small = 0
    heights = np.zeros(LEADS)
    for lead in range(LEADS):
        least = np.inf
        greatest = -np.inf
        for t in range(max(tick - HALF_QRS, signal.end - RING), min(tick + HALF_QRS, found) + 1):
            value = signal.mv[lead, t & (RING - 1)]
            if np.isfinite(value) and not hides(signal, t, found):
                least = min(least, value)
                greatest = max(greatest, value)
        heights[lead] = max(greatest - least, 0.0)
        if known and heights[lead] > 0.0 and lead_state[lead] <= NOISY:
            usual = _usual_height(memory, lead)
            if usual > 0.0:
                judged += 1
                small += heights[lead] < SMALL * usual
    if judged > 0 and small == judged:
        memory.small += 1
        if memory.small < ADOPTED or (memory.rule[ASYSTOLE].active and heights.max() < LEAST_MV):
            return True
        memory.n_heights = 0
    memory.small = 0
    if known and not _teaches(memory):
        return False
    for lead in range(LEADS):
        memory.height[memory.n_heights % HEIGHTS, lead] = heights[lead]
    memory.n_heights += 1
    return False


@kernel
def _teaches(memory: Row) -> bool:
    """Whether the usual height may be learned now: the beats are not in doubt, and no `UNUSUAL` rhythm is told, nor a
    slower ventricular one that is not `LASTING`.

    After an electrosurgery burst, or a tachycardia of waves four times as high, the next twenty beats would be too
    small to be beats otherwise, and pass for an asystole. A lead that is merely noisy teaches: a pacemaker's pulses may
    make it so for good. A ventricular run that lasts teaches, too: if a pacemaker was told as one and fails,
    the P waves that are left may be above a quarter of the usual height from before it, but not of its beats.
    """
    if memory.doubtful or (memory.rule[VENTRICULAR_RUN].active and memory.run < LASTING):
        return False
    for i in range(len(UNUSUAL)):
        if memory.rule[UNUSUAL[i]].active:
            return False
    return True


@kernel
def forget_heights(memory: Row) -> None:
    """Nothing is known of how high the beats of other leads are, but no P wave in them ends an asystole either."""
    memory.n_heights = 0
    if memory.rule[ASYSTOLE].active:
        memory.height[:] = LEAST_MV / SMALL
        memory.n_heights = HEIGHTS


@kernel
def follow_pacing(memory: Row, signal: Row, tick: int) -> None:
    """Doubt the heights of the beats before, once a pacemaker is found at work: they may have been of its pulses.

    What is less than the least of beats is none, as in an asystole: it may be that the heart answers no longer.
    """
    if memory.paced_since != signal.paced_since <= tick:
        memory.paced_since = signal.paced_since
        for number in range(min(memory.n_heights, HEIGHTS)):
            for lead in range(LEADS):
                memory.height[number, lead] = min(memory.height[number, lead], np.float32(LEAST_MV / SMALL))


@kernel
def _usual_height(memory: Row, lead: int) -> float:
    """Lower quartile of the remembered heights of a lead, mV; 0 while it could mostly not be read."""
    ordered = np.empty(HEIGHTS)
    count = min(memory.n_heights, HEIGHTS)
    for i in range(count):
        j = i
        while j > 0 and ordered[j - 1] > memory.height[i, lead]:
            ordered[j] = ordered[j - 1]
            j -= 1
        ordered[j] = memory.height[i, lead]
    return float(ordered[count * QUARTILE // HEIGHTS])
