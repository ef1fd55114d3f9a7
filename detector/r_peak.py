"""Where the R peak of a beat lies that has been found: to the tick, in the signal itself.

The envelope that finds a beat is blunt. Annotators put a beat's mark on the largest deflection they see in the first
lead that shows it, an R wave before an S wave, and on the first peak of a complex that is notched and wide. They do not
put it on a pacing spike, nor do they take for a deflection what only a P wave or the complex's own slope makes one: the
level is that of the calmest stretch since the last T wave. Nor is one a peak that still grows where the window ends: it
is the T wave of a wide complex, if that has swung the other way before.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector import simd, simd_int
from detector.bounds import SPIKE_BESIDE, bridge_spike
from detector.envelope import LAG, STRIDE, microvolts
from detector.feature import is_active
from detector.jit import hot
from detector.pulses import bridge
from detector.scratch import WINDOW
from detector.simd import F32_LANES
from detector.types import LEADS, RING, Array, Float32, Row

FIDUCIAL: Final = 24  # ticks to both sides of the QRS in which the R peak is looked for (96 ms)
BEFORE: Final = 16  # ticks of a stretch before those whose mean may be the level the curve deflects from (64 ms)
STRETCHES: Final = 3  # stretches that may be: a P wave takes up two at most; the last one unless another is calmer
CALMER: Final = 2.0  # times less that an earlier stretch must move to be taken instead
T_OVER: Final = 80  # ticks after the last R peak at which its T wave is over, and such a stretch may begin (320 ms)
UPRIGHT: Final = 2.0  # times that a Q or S wave must be larger than the R wave to be preferred to it
LOYAL: Final = 1.5  # times more, where the last beats were placed on their R waves; times less, where they were not
LATELY: Final = 0.125  # weight of a beat in the mean of where they were placed, of about 8 beats
EARLIER_SHARE: Final = 0.6  # share of the largest deflection that makes an earlier one the R peak of a wide complex ...
WIDE: Final = 15  # ... when it lies at least so many ticks before it (60 ms)
CUT_SHARE: Final = 0.5  # of a deflection that the window cuts off: a swing the other way that is larger was the QRS
STEEPER: Final = 1.4  # times as steep as what the window cuts off must that have been: a QRS is, beside its T wave
SPIKES: Final = 4  # pacing spikes of one beat: of the atrium and the ventricle, each to both sides
RESIDUAL_SHARE: Final = 0.05  # of a spike: if no more is left without it, it is all there is
APART: Final = 20  # ticks between two R peaks at least (80 ms)
LEVEL_TICKS: Final = STRETCHES * BEFORE  # ticks that are looked at before those in which the R peak is looked for
SHOWN: Final = 0.1  # share of a lead's usual envelope at a beat that it shows: a lead that has just died does not
CLEARLY: Final = 4.0  # times the weight: the first lead is where annotators look, another must be clearly better


@hot
def locate(state: Row, scratch: Row, signal: Row, beat: Row, known: int, peak: Row, searched: bool) -> None:
    """Place the R peak of a beat on the best lead that shows it.

    It is the largest deflection from the level before the complex that is no pacing spike; in a wide one an earlier
    one that is nearly as large. From the mean of all of it, the baseline before a deep and wide S wave would be one.

    Parameters
    ----------
    state, scratch, signal : QRS, SCRATCH, SIGNAL
    beat : CANDIDATE
    known : int
        The tick of the decision.
    peak : PEAK, out
    searched : bool
        Found by the search back: it tells nothing of how the next ones point.
    """
    chosen, shown = 0, -1
    for lead in range(LEADS):
        levels = state.levels[lead]
        if is_active(state, lead):
            shows = int(beat.envelope[lead] >= SHOWN * levels.signal)
            if shows > shown or (shows == shown and levels.weight > CLEARLY * state.levels[chosen].weight):
                chosen, shown = lead, shows
    centre = STRIDE * beat.at + STRIDE - 1 - LAG
    first = max(centre - FIDUCIAL, state.last_r + APART)
    last = max(centre + FIDUCIAL, first)  # before the decision: FIDUCIAL is less than LAG
    where = min(max(centre, first), last)
    count = last - first + 1
    if _deflections(signal, chosen, first, known, scratch.window, count, state.last_r + T_OVER):
        upright = np.float32(UPRIGHT * LOYAL if state.upright[chosen] > 0.5 else UPRIGHT / LOYAL)
        top = _largest(scratch.window[LEVEL_TICKS:], count, upright, scratch.sizes)
        spike, height = top, scratch.window[LEVEL_TICKS + top]
        for _ in range(SPIKES):
            if top + SPIKE_BESIDE >= count or not bridge_spike(scratch.window, LEVEL_TICKS + top, 0.0):
                break
            top = _largest(scratch.window[LEVEL_TICKS:], count, upright, scratch.sizes)
        if abs(scratch.window[LEVEL_TICKS + top]) > np.float32(RESIDUAL_SHARE) * abs(height):
            height = scratch.window[LEVEL_TICKS + top]
        else:
            top = spike
        if not searched:
            points_up = np.float32(height > 0.0)
            state.upright[chosen] += np.float32(LATELY) * (points_up - state.upright[chosen])
        where = first + top
    state.last_r = where
    peak.tick = where
    peak.lead = chosen


@hot
def _deflections(signal: Row, lead: int, first: int, known: int, window: Array, count: int, calm_from: int) -> bool:
    """How far `count` ticks from `first` on, and a vector of those before, lie from the level before them, in whole µV.

    They are put into `window`, after the `LEVEL_TICKS` ticks before them. A tick without a reading lies on the level;
    False where none of the `count` has one. No level but the last stretch's is told from before `calm_from`. Pulses
    known at tick `known` are bridged.
    """
    ring = signal.mv[lead]
    at = (first - LEVEL_TICKS) & (RING - 1)
    all_of = window[: LEVEL_TICKS + count]
    to_end = min(len(all_of), RING - at)
    _whole(ring[at:], all_of[:to_end])
    _whole(ring, all_of[to_end:])
    bridge(signal, lead, first - LEVEL_TICKS, known, all_of)
    out = all_of[LEVEL_TICKS:]
    missing = 0
    for i in range(count):
        missing += np.isnan(out[i])
    if missing == count:
        return False
    level = _level(window, first, calm_from)
    if np.isnan(level):
        level = _mean(out)
    if missing == 0 and not np.isnan(simd.reduce_add(simd.load(window, LEVEL_TICKS - F32_LANES))):  # nearly always
        levels = simd.broadcast(level)
        for i in range(LEVEL_TICKS - F32_LANES, LEVEL_TICKS + count, F32_LANES):
            simd.store(window, i, simd.load(window, i) - levels)
        return True
    for i in range(LEVEL_TICKS - F32_LANES, LEVEL_TICKS + count):
        all_of[i] = np.float32(0.0) if np.isnan(all_of[i]) else all_of[i] - level
    return True


@hot
def _level(window: Array, first: int, calm_from: int) -> Float32:
    """Mean of the calmest of the stretches before tick `first`; NaN where there is no reading.

    It is the last one, or one before it without a gap that is calmer by far and does not begin before `calm_from`.
    """
    level = _mean(window[LEVEL_TICKS - BEFORE : LEVEL_TICKS])
    least = np.float32(np.inf)
    zero = simd.broadcast(np.float32(0.0))
    for back in range(1, STRETCHES + 1):
        if back > 1 and first - back * BEFORE < calm_from:
            break
        begin = LEVEL_TICKS - back * BEFORE
        some, others = simd.load(window, begin), simd.load(window, begin + F32_LANES)
        if np.isnan(simd.reduce_add(some + others)):
            continue
        moved = simd.reduce_max(simd.maximum(some, others)) + simd.reduce_max(simd.maximum(zero - some, zero - others))
        if back == 1:
            least = moved / np.float32(CALMER)
        elif moved < least:
            least = moved
            level = _mean(window[begin : begin + BEFORE])
    return level


@hot
def _largest(deflections: Array, count: int, upright: Float32, sizes: Array) -> int:
    """Where the largest of `count` deflections is, or an earlier one that is nearly as large.

    Upward ones count `upright` times. Their `sizes` have zeros after them, to be dealt with in whole vectors.
    """
    times, zero = simd.broadcast(upright), simd.broadcast(np.float32(0.0))
    for i in range(0, count, F32_LANES):
        some = simd.load(deflections, i)
        simd.store(sizes, i, simd.maximum(some * times, zero - some))
    for i in range(count, min(count + F32_LANES, len(sizes))):
        sizes[i] = np.float32(0.0)
    greatest = zero
    for i in range(0, count, F32_LANES):
        greatest = simd.maximum(simd.load(sizes, i), greatest)
    most = simd.reduce_max(greatest)
    if most == np.float32(0.0):
        return 0
    all_of = simd.broadcast(most)
    top = 0
    while simd.mask_ge(simd.load(sizes, top), all_of) == 0:
        top += F32_LANES
    top += simd_int.trailing_zeros(simd.mask_ge(simd.load(sizes, top), all_of))
    if top == count - 1:
        top = _before_cut(deflections, top, sizes)
        most = sizes[top]
    nearly = simd.broadcast(np.float32(EARLIER_SHARE) * most)
    for i in range(1, top - WIDE, F32_LANES):
        here = simd.load(sizes, i)
        peaks = simd.mask_ge(here, simd.load(sizes, i - 1)) & simd.mask_ge(here, simd.load(sizes, i + 1))
        earlier = i + simd_int.trailing_zeros(peaks & simd.mask_gt(here, nearly))
        if earlier < top - WIDE:
            return int(earlier)
    return int(top)


@hot
def _before_cut(deflections: Array, last: int, sizes: Array) -> int:
    """Where the largest deflection is before that cut off at `last`, if the curve swung the other way; else there.

    It must have fallen more steeply than it rises: the waves of a flutter, which do not, are no T waves.
    """
    begin = last
    while begin > 0 and deflections[begin - 1] * deflections[last] > np.float32(0.0):
        begin -= 1
    top = 0
    swing = fall = rise = np.float32(0.0)
    for i in range(begin):
        top = i if sizes[i] > sizes[top] else top
        if deflections[i] * deflections[last] < np.float32(0.0):
            swing = max(swing, abs(deflections[i]))
        if i > 0:
            fall = max(fall, abs(deflections[i] - deflections[i - 1]))
    for i in range(max(begin, 1), last + 1):
        rise = max(rise, abs(deflections[i] - deflections[i - 1]))
    swung = swing > np.float32(CUT_SHARE) * abs(deflections[last])
    return top if swung and fall > np.float32(STEEPER) * rise else last


@hot
def _mean(values: Array) -> Float32:
    """Mean of the readings, whole numbers all, rounded to such; NaN where there is none."""
    if len(values) == BEFORE:
        total = simd.reduce_add(simd.load(values, 0) + simd.load(values, F32_LANES))
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
        out[i] = microvolts(mv[i])


assert LEVEL_TICKS + 2 * FIDUCIAL + 1 <= WINDOW, "an R peak is looked for further than there is room"
assert BEFORE == 2 * F32_LANES, "the level before a complex is the mean of two vectors"
assert LEVEL_TICKS + (2 * FIDUCIAL // F32_LANES + 1) * F32_LANES <= WINDOW, "the last vector has no room"
assert SPIKE_BESIDE <= F32_LANES, "a spike would be looked for before what is known"
assert FIDUCIAL < LAG, "the R peak would lie ahead"
