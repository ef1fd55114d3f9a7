"""Where the R peak of a beat lies that has been found: to the tick, in the signal itself.

The envelope that finds a beat is blunt. Annotators put a beat's mark on the largest deflection they see in the first
lead that shows it, an R wave before an S wave, and on the first peak of a complex that is notched and wide.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector import lanes, wholes
from detector.desk import WINDOW
from detector.envelope import LAG, LIMIT_UV, STRIDE
from detector.feature import is_heard
from detector.jit import hot
from detector.lanes import SINGLES
from detector.types import LEADS, RING, Array, Row, Single

FIDUCIAL: Final = 24  # ticks to both sides of the QRS in which the R peak is looked for (96 ms)
BEFORE: Final = 16  # ticks before those: their mean is the level from which the curve deflects (64 ms)
UPRIGHT: Final = 2.0  # an R wave is preferred to a Q or S wave less than this much larger,
LOYAL: Final = 1.5  # or this many times as much where most of the last beats are placed on their R wave, or less if not
LATELY: Final = 0.125  # share of a beat in which of the two that is, about 8 beats
FIRST: Final = 0.6  # share of the largest deflection that makes an earlier one the R peak of a wide complex ...
WIDE: Final = 15  # ... when it lies at least so many ticks before it (60 ms)
APART: Final = 20  # ticks between two R peaks at least (80 ms)
CLEARLY: Final = 4.0  # times the weight: the first lead is where annotators look, another must be clearly better


@hot
def locate(state: Row, desk: Row, signal: Row, at: int, peak: Row, searched: bool) -> None:
    """Place the R peak of the beat whose feature peaked at step `at`, on its best lead.

    It is the largest deflection from the level before the complex; in a wide one an earlier one that is nearly as
    large. From the mean of all of it, the baseline before a deep and wide S wave would be a deflection.

    Parameters
    ----------
    state, desk, signal : QRS, DESK, SIGNAL
    at : int
    peak : PEAK, out
    searched : bool
        Found by the search back: it tells nothing of how the next ones point.
    """
    chosen = -1
    for lead in range(LEADS):
        if is_heard(state, lead):
            if chosen < 0 or state.usual[lead].weight > CLEARLY * state.usual[chosen].weight:
                chosen = lead
    chosen = max(chosen, 0)
    centre = STRIDE * at + STRIDE - 1 - LAG
    first = max(centre - FIDUCIAL, state.last_r + APART)
    last = max(centre + FIDUCIAL, first)  # before the decision: FIDUCIAL is less than LAG
    where = min(max(centre, first), last)
    count = last - first + 1
    if _deflections(signal.mv[chosen], first, desk.window, count):
        upright = np.float32(UPRIGHT * LOYAL if state.upright[chosen] > 0.5 else UPRIGHT / LOYAL)
        top = _largest(desk.window[BEFORE:], count, upright, desk.sizes)
        if not searched:
            points_up = np.float32(desk.window[BEFORE + top] > 0.0)
            state.upright[chosen] += np.float32(LATELY) * (points_up - state.upright[chosen])
        where = first + top
    state.last_r = where
    peak.tick = where
    peak.lead = chosen


@hot
def _deflections(ring: Array, first: int, window: Array, count: int) -> bool:
    """How far `count` ticks from `first` on lie from the level before them, in whole µV.

    They are put into `window`, behind the `BEFORE` ticks that come before them. Where none of these has a reading the
    level is the ticks' own mean. A tick without a reading lies on the level; False where no tick has one.
    """
    at = (first - BEFORE) & (RING - 1)
    all_of = window[: BEFORE + count]
    to_end = min(len(all_of), RING - at)
    _whole(ring[at:], all_of[:to_end])
    _whole(ring, all_of[to_end:])
    out = all_of[BEFORE:]
    missing = 0
    for i in range(count):
        missing += np.isnan(out[i])
    if missing == count:
        return False
    level = _mean(all_of[:BEFORE])
    if np.isnan(level):
        level = _mean(out)
    if missing == 0:  # nearly always
        levels = lanes.spread(level)
        for i in range(BEFORE, BEFORE + count, SINGLES):
            lanes.store(window, i, lanes.load(window, i) - levels)
        return True
    for i in range(count):
        out[i] = np.float32(0.0) if np.isnan(out[i]) else out[i] - level
    return True


@hot
def _largest(deflections: Array, count: int, upright: Single, sizes: Array) -> int:
    """Where the largest of `count` deflections is, or an earlier one that is nearly as large.

    Upward ones count `upright` times. Their `sizes` have zeros behind them, to be dealt with in whole vectors.
    """
    times, zero = lanes.spread(upright), lanes.spread(np.float32(0.0))
    for i in range(0, count, SINGLES):
        some = lanes.load(deflections, i)
        lanes.store(sizes, i, lanes.larger(some * times, zero - some))
    for i in range(count, min(count + SINGLES, len(sizes))):
        sizes[i] = np.float32(0.0)
    greatest = zero
    for i in range(0, count, SINGLES):
        greatest = lanes.larger(lanes.load(sizes, i), greatest)
    most = lanes.most(greatest)
    if most == np.float32(0.0):
        return 0
    all_of = lanes.spread(most)
    top = 0
    while lanes.at_least(lanes.load(sizes, top), all_of) == 0:
        top += SINGLES
    top += wholes.first_of(lanes.at_least(lanes.load(sizes, top), all_of))
    nearly = lanes.spread(np.float32(FIRST) * most)
    for i in range(1, top - WIDE, SINGLES):
        here = lanes.load(sizes, i)
        peaks = lanes.at_least(here, lanes.load(sizes, i - 1)) & lanes.at_least(here, lanes.load(sizes, i + 1))
        earlier = i + wholes.first_of(peaks & lanes.above(here, nearly))
        if earlier < top - WIDE:
            return int(earlier)
    return int(top)


@hot
def _mean(values: Array) -> Single:
    """Mean of the readings, whole numbers all, rounded to such; NaN where there is none."""
    if len(values) == BEFORE:
        total = lanes.total(lanes.load(values, 0) + lanes.load(values, SINGLES))
        if not np.isnan(total):  # nearly always
            return np.rint(total / np.float32(BEFORE))
    total = np.float32(0.0)
    there = 0
    for i in range(len(values)):
        if not np.isnan(values[i]):
            total += values[i]
            there += 1
    return np.rint(total / np.float32(there)) if there else np.float32(np.nan)


@hot
def _whole(mv: Array, out: Array) -> None:
    for i in range(len(out)):
        value = np.rint(mv[i] * np.float32(1000.0))
        out[i] = min(max(value, np.float32(-LIMIT_UV)), np.float32(LIMIT_UV))


assert BEFORE + 2 * FIDUCIAL + 1 <= WINDOW, "an R peak is looked for further than there is room"
assert BEFORE == 2 * SINGLES, "the level before a complex is the mean of two vectors"
assert BEFORE + (2 * FIDUCIAL // SINGLES + 1) * SINGLES <= WINDOW, "the last vector has no room"
assert FIDUCIAL < LAG, "the R peak would lie ahead"
