"""Online QRS detection: from microvolts to R peaks, one tick at a time.

Each lead goes through integer filters to its *envelope*, large where the lead is steep (`detector.envelope`). The
leads' envelopes, each in units of its own recent beats, are averaged with weights by the square of their
signal-to-noise ratio into one *feature*, which is near 1 at every beat whatever the gain. A peak of the feature is a
beat when it rises over a threshold between the usual beat (1) and the usual noise peak.

After Pan and Tompkins 1985 and Hamilton 2002 in its rules (refractory period, T-wave slope, thresholds from medians
of eight). Different from them: the leads speak together; the threshold acts on a normalised feature; a decision falls
as soon as the feature has dropped, so that it comes within about 200 ms; the search back takes the one best peak kept
for it and never reads the signal again.

Bounded work: a fixed number of operations a tick, plus at most one candidate a tick, whose cost is fixed too.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.envelope import BASE, FRONT, HELD, KEPT, LAG, SETTLE, SPAN, feed, forget, median, steepest
from detector.jit import kernel
from detector.types import LEADS, RING, Row

WAIT: Final = 34  # ticks without a higher value that close a peak (136 ms)
DROP: Final = 0.6  # share of its height to which the feature must fall to close a peak sooner
REFRACTORY: Final = 49  # ticks in which no second beat can start (196 ms, or 306 beats a minute)
T_WAVE: Final = 85  # ticks after a beat in which a T wave may rise (340 ms)
T_SLOPE: Final = 0.6  # a T wave is less steep than this share of the beat before it
THRESHOLD: Final = 0.35  # between the usual noise peak (0) and the usual beat (1)
NOISE_GAIN: Final = 0.9  # the usual noise peak is the median of the last eight times this
EASE: Final = 0.2  # the threshold falls by this per expected RR once a beat is overdue
EASE_TO: Final = 0.6  # but never below this share: the longer the silence, the more it may be asystole
OVERDUE: Final = 1.3  # a beat is overdue after this many expected RR
SEARCH_BACK: Final = 1.8  # expected RR after which the best refused peak is looked at again
SEARCH_SHARE: Final = 0.6  # of the threshold is enough then
SEARCH_LIMIT: Final = 450  # ticks: no search back over more than 1.8 s
FADE_AFTER: Final = 500  # ticks without a beat after which the levels fade (2 s)
FADE: Final = 0.996  # per tick: half in 0.7 s
FADE_TO: Final = 0.15  # of the level before, while the pause is shorter than FADE_FULL
FADE_FULL: Final = 2500  # ticks without a beat after which only the floor bounds the fading (10 s)
FLOOR: Final = 1500.0  # envelope of a QRS of about 0.2 mV: what is much smaller is no beat but the baseline
FIDUCIAL: Final = 24  # ticks to both sides of the QRS in which the R peak is looked for (96 ms)
UPRIGHT: Final = 1.3  # an R wave is preferred to a Q or S wave less than this much larger
EXPECTED: Final = 200.0  # ticks: RR expected before any is known (75 beats a minute)
LONGEST: Final = 375.0  # ticks: longest RR expected (1.5 s), so that waiting stays bounded

QRS = np.dtype(
    [
        ("lead", FRONT, (LEADS,)),
        ("feature", "f8", (128,)),
        ("best", "f8"),  # highest feature of the peak being followed; 0: none
        ("best_tick", "i8"),
        ("last", "i8"),  # feature tick of the last beat
        ("last_r", "i8"),  # its R peak
        ("last_slope", "f8"),
        ("noise", "f8"),  # usual feature of a refused peak
        ("refused", "f8", (KEPT,)),
        ("n_refused", "i8"),
        ("rr", "f8", (KEPT,)),
        ("n_rr", "i8"),
        ("expected", "f8"),  # median RR in ticks
        ("kept", "f8"),  # best refused peak since the last beat, for the search back; 0: none
        ("kept_tick", "i8"),
        ("kept_slope", "f8"),
        ("n", "i8"),  # beats found
        ("first", "i8"),  # first tick; -1 before it
    ],
    align=True,
)

_FEATURES: Final = 127  # the ring that holds 2 * WAIT ticks
_LONG_AGO: Final = -(10**9)


@kernel
def begin(state: Row) -> None:
    """Forget everything; the next tick is the first."""
    for lead in range(LEADS):
        front = state.lead[lead]
        front.run = 0
        front.hold = 0
        forget(front)
    state.feature[:] = 0.0
    state.best = 0.0
    state.best_tick = 0
    state.last = _LONG_AGO
    state.last_r = _LONG_AGO
    state.last_slope = 0.0
    state.noise = 0.0
    state.n_refused = 0
    state.n_rr = 0
    state.expected = EXPECTED
    state.kept = 0.0
    state.kept_tick = 0
    state.kept_slope = 0.0
    state.n = 0
    state.first = -1


@kernel
def _combine(state: Row) -> float:
    """The feature at this tick: weighted mean of the leads' envelopes in units of their beats."""
    total = 0.0
    weights = 0.0
    learned = state.lead[0].n_beats >= 3
    for lead in range(1, LEADS):
        learned = learned or state.lead[lead].n_beats >= 3
    for lead in range(LEADS):
        front = state.lead[lead]
        if front.run > 0 and (front.n_beats >= 3 or not learned):
            total += front.weight * (front.envelope / max(front.level, FLOOR))
            weights += front.weight
    return total / weights if weights > 0.0 else 0.0


@kernel
def _steepness(state: Row, tick: int) -> float:
    """Largest slope in the envelope that peaked at `tick`, in units of the leads' beats."""
    total = 0.0
    weights = 0.0
    for lead in range(LEADS):
        front = state.lead[lead]
        if front.run > 0:
            total += front.weight * (steepest(front, tick) / (BASE * max(front.level, FLOOR)))
            weights += front.weight
    return total / weights if weights > 0.0 else 0.0


@kernel
def _threshold(state: Row, tick: int) -> float:
    """What the feature must exceed at this tick; it eases once a beat is overdue."""
    threshold = state.noise + THRESHOLD * (1.0 - state.noise)
    late = (tick - state.last) / state.expected - OVERDUE
    return float(threshold * max(EASE_TO, 1.0 - EASE * late)) if late > 0.0 else float(threshold)


@kernel
def _refuse(state: Row, tick: int, height: float, slope: float) -> None:
    """Learn from a peak that is no beat and keep the best for the search back."""
    if height > state.kept:
        state.kept = height
        state.kept_tick = tick
        state.kept_slope = slope
        for lead in range(LEADS):
            state.lead[lead].at_kept = state.lead[lead].at_best
    for lead in range(LEADS):
        front = state.lead[lead]
        front.refused[front.n_refused % KEPT] = front.at_best
        front.n_refused += 1
        front.noise = median(front.refused, front.n_refused)


@kernel
def _accept(state: Row, tick: int, slope: float, faded: bool, searched: bool) -> None:
    """Learn from a beat whose feature peaked at `tick`."""
    if state.n > 0:
        state.rr[state.n_rr % KEPT] = min(float(tick - state.last), LONGEST)
        state.n_rr += 1
        state.expected = median(state.rr, state.n_rr)
    state.last = tick
    state.last_slope = slope
    state.kept = 0.0
    state.n += 1
    for lead in range(LEADS):
        front = state.lead[lead]
        if front.run <= SETTLE and state.n > 3:
            continue
        envelope = front.at_kept if searched else front.at_best
        if faded and envelope < 0.5 * median(front.beats, front.n_beats):
            front.beats[:] = envelope  # the amplitude has changed for good: eight beats would be too long to learn it
            front.n_beats = max(front.n_beats, KEPT)
        front.beats[front.n_beats % KEPT] = envelope
        front.n_beats += 1
        front.level = median(front.beats, front.n_beats)
        if front.n_beats > 4:
            ratio = front.level / (front.noise + 0.1 * front.level + 1e-9)
            front.weight = ratio * ratio


@kernel
def _is_peak(state: Row, tick: int, height: float) -> bool:
    """False when the feature was higher within `WAIT` before: the tail of an earlier peak."""
    for back in range(1, WAIT + 1):
        if state.feature[(tick - back) & _FEATURES] > height:
            return False
    return True


@kernel
def _judge(state: Row, tick: int, now: int, height: float, slope: float) -> bool:
    """Whether the feature's peak at `tick` is a beat; what it is not is learned as noise."""
    since = tick - state.last
    if since <= REFRACTORY or (since < T_WAVE and slope < T_SLOPE * state.last_slope):
        return False
    if height > _threshold(state, now):
        return True
    state.refused[state.n_refused % KEPT] = min(height, 1.0)
    state.n_refused += 1
    state.noise = NOISE_GAIN * median(state.refused, state.n_refused)
    _refuse(state, tick, height, slope)
    return False


@kernel
def locate(state: Row, signal: Row, tick: int, peak: Row) -> None:
    """Place the R peak of the beat whose feature peaked at `tick`: the largest deflection of its best lead."""
    centre = tick - LAG
    chosen = -1
    for lead in range(LEADS):
        front = state.lead[lead]
        # The first lead is where annotators look; another must be clearly better.
        if front.run > 0 and (chosen < 0 or front.weight > 4.0 * state.lead[chosen].weight):
            chosen = lead
    chosen = max(chosen, 0)
    first = max(centre - FIDUCIAL, state.last_r + 20)
    last = max(centre + FIDUCIAL, first)  # before the decision: FIDUCIAL is less than LAG
    mean = 0.0
    count = 0
    for t in range(first, last + 1):
        value = signal.mv[t & (RING - 1), chosen]
        if not np.isnan(value):
            mean += value
            count += 1
    mean = mean / count if count > 0 else 0.0
    best = -1.0
    where = min(max(centre, first), last)
    for t in range(first, last + 1):
        value = signal.mv[t & (RING - 1), chosen] - mean
        size = value * UPRIGHT if value > 0.0 else -value
        if size > best:  # false for NaN
            best = size
            where = t
    peak.tick = where
    peak.lead = chosen


@kernel
def _fade(state: Row, silent: int) -> None:
    """Without beats the levels fall, so that a smaller QRS is found again; never below `FLOOR`."""
    for lead in range(LEADS):
        front = state.lead[lead]
        usual = median(front.beats, front.n_beats)
        lowest = FLOOR if silent > FADE_FULL else max(FADE_TO * usual, FLOOR)
        if front.level > lowest:
            front.level = max(front.level * FADE, lowest)


@kernel
def step(state: Row, signal: Row, tick: int, microvolts: Row, valid: Row, peak: Row) -> bool:
    """Take one tick; True when a beat was found, then described in `peak`.

    Parameters
    ----------
    state, signal : QRS, SIGNAL
    tick : int
        This tick; one more than at the last call.
    microvolts : int64, shape (LEADS,)
    valid : bool, shape (LEADS,)
        False where the lead has no reading or may not carry beats.
    peak : PEAK
    """
    if state.first < 0:
        state.first = tick
    for lead in range(LEADS):
        feed(state.lead[lead], microvolts[lead], valid[lead], tick)
    silent = tick - state.last
    if silent > FADE_AFTER and tick - state.first > FADE_AFTER:
        _fade(state, silent)
    feature = _combine(state)
    state.feature[tick & _FEATURES] = feature
    found = False
    closed = state.best > 0.0 and (tick - state.best_tick >= WAIT or feature < DROP * state.best)
    if feature <= state.best and closed:
        height = state.best
        at = state.best_tick
        if _is_peak(state, at, height):
            slope = _steepness(state, at)
            if _judge(state, at, tick, height, slope):
                found = True
                peak.strength = height / max(_threshold(state, tick), 1e-9)
                locate(state, signal, at, peak)
                _accept(state, at, slope, at - state.last > FADE_AFTER, False)
    if feature > state.best or closed:
        state.best = feature
        state.best_tick = tick
        for lead in range(LEADS):
            state.lead[lead].at_best = state.lead[lead].envelope
    if not found and state.kept > 0.0 and state.n >= 4:
        if tick - state.last > min(SEARCH_BACK * state.expected, float(SEARCH_LIMIT)):
            needed = SEARCH_SHARE * (state.noise + THRESHOLD * (1.0 - state.noise))
            if state.kept > needed and state.kept > 1.2 * state.noise:
                found = True
                peak.strength = state.kept / max(needed, 1e-9)
                locate(state, signal, state.kept_tick, peak)
                _accept(state, state.kept_tick, state.kept_slope, False, True)
            state.kept = 0.0
    if found:
        peak.found = tick
        state.last_r = peak.tick
    return found


assert WAIT + SPAN <= HELD, "a lead's ring is too short"
assert 2 * WAIT <= _FEATURES, "a ring is too short"
