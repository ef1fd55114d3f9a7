"""Online QRS detection: from microvolts to R peaks, one tick at a time.

Each lead goes through integer filters (no rounding, no drift, the same on every machine): two boxcars against muscle
and mains noise, the difference to a longer boxcar against the baseline, a slope, and the mean of its magnitude over
about a QRS complex, the *envelope*. The leads' envelopes, each in units of its own recent beats, are averaged with
weights by the square of their signal-to-noise ratio into one *feature*, which is near 1 at every beat whatever the
gain. A peak of the feature is a beat when it rises over a threshold between the usual beat (1) and the usual noise
peak.

After Pan and Tompkins 1985 and Hamilton 2002 in its rules (refractory period, T-wave slope, thresholds from medians
of eight). Different from them: the leads speak together; the threshold acts on a normalised feature; a decision falls
as soon as the feature has dropped, so that it comes within about 200 ms; the search back takes the one best peak kept
for it and never reads the signal again.

Bounded work: a fixed number of operations a tick, plus at most one candidate a tick, whose cost is fixed too.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.jit import kernel
from detector.types import LEADS, RING, Row

SMOOTH: Final = 6  # ticks of each of the two boxcars: first null at 42 Hz, below muscle noise and mains
BASE: Final = 50  # ticks of the baseline's boxcar: passes above about 2 Hz at its edge, the QRS band whole
CENTRE: Final = 12  # ticks of delay given to the signal against the baseline's boxcar; 25 would be symmetric but late
SLOPE: Final = 4  # ticks of the slope: largest gain near 30 Hz, where QRS and T wave differ most
SPAN: Final = 30  # ticks of the envelope's mean: a wide QRS complex (120 ms) is one hump
LAG: Final = SMOOTH - 1 + CENTRE + SLOPE // 2 + SPAN // 2 - 2  # ticks by which the envelope's peak follows the QRS

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
START: Final = 2500.0  # envelope of a QRS of about 0.4 mV: what a beat is taken to be before one has been seen
FORGET: Final = 2500  # ticks without a reading after which a lead is learned anew: it may have been moved (10 s)
SETTLE: Final = 80  # ticks until the filters have forgotten how they were filled
KEPT: Final = 8  # beats, noise peaks and RR intervals in each median
FADE_AFTER: Final = 500  # ticks without a beat after which the levels fade (2 s)
FADE: Final = 0.996  # per tick: half in 0.7 s
FADE_TO: Final = 0.15  # of the level before, while the pause is shorter than FADE_FULL
FADE_FULL: Final = 2500  # ticks without a beat after which only the floor bounds the fading (10 s)
FLOOR: Final = 1500.0  # envelope of a QRS of about 0.2 mV: what is much smaller is no beat but the baseline
FIDUCIAL: Final = 24  # ticks to both sides of the QRS in which the R peak is looked for (96 ms)
UPRIGHT: Final = 1.3  # an R wave is preferred to a Q or S wave less than this much larger
EXPECTED: Final = 200.0  # ticks: RR expected before any is known (75 beats a minute)
LONGEST: Final = 375.0  # ticks: longest RR expected (1.5 s), so that waiting stays bounded

FRONT = np.dtype(
    [
        ("run", "i8"),  # ticks since the lead's filters were filled; 0: no reading now
        ("hold", "i8"),  # ticks without a reading, bridged with the last one
        ("v", "i8", (8,)),
        ("a", "i8", (8,)),
        ("b", "i8", (64,)),
        ("h", "i8", (8,)),
        ("d", "i8", (64,)),
        ("sum_a", "i8"),
        ("sum_b", "i8"),
        ("sum_base", "i8"),
        ("sum_d", "i8"),
        ("envelope", "f8"),
        ("level", "f8"),  # usual envelope at a beat; 0: unknown
        ("noise", "f8"),  # usual envelope at a refused peak
        ("weight", "f8"),
        ("beats", "f8", (KEPT,)),
        ("n_beats", "i8"),
        ("refused", "f8", (KEPT,)),
        ("n_refused", "i8"),
        ("at_best", "f8"),  # envelope at the feature's highest point
        ("at_kept", "f8"),  # envelope at the kept peak
    ],
    align=True,
)

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

_MASK: Final = 63  # rings that hold BASE, and WAIT + SPAN ticks
_FEATURES: Final = 127  # the ring that holds 2 * WAIT ticks
_LONG_AGO: Final = -(10**9)


@kernel
def begin(state: Row) -> None:
    """Forget everything; the next tick is the first."""
    for lead in range(LEADS):
        front = state.lead[lead]
        front.run = 0
        front.hold = 0
        _forget_level(front)
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
def _forget_level(front: Row) -> None:
    front.envelope = 0.0
    front.level = START
    front.noise = 0.0
    front.weight = 1.0
    front.n_beats = 0
    front.n_refused = 0


@kernel
def _fill(front: Row, v: int) -> None:
    """Fill the filters as if the lead had always been at `v`: no step, no false beat."""
    front.v[:] = v
    front.a[:] = SMOOTH * v
    front.b[:] = SMOOTH * SMOOTH * v
    front.h[:] = 0
    front.d[:] = 0
    front.sum_a = SMOOTH * v
    front.sum_b = SMOOTH * SMOOTH * v
    front.sum_base = BASE * SMOOTH * SMOOTH * v
    front.sum_d = 0
    front.run = 0


@kernel
def _filter(front: Row, v: int, tick: int) -> None:
    """One tick through the integer filters: `front.envelope` is the mean magnitude of the band-passed slope."""
    old = front.v[(tick - SMOOTH) & 7]
    front.v[tick & 7] = v
    front.sum_a += v - old
    old = front.a[(tick - SMOOTH) & 7]
    front.a[tick & 7] = front.sum_a
    front.sum_b += front.sum_a - old
    old = front.b[(tick - BASE) & _MASK]
    front.b[tick & _MASK] = front.sum_b
    front.sum_base += front.sum_b - old
    h = BASE * front.b[(tick - CENTRE) & _MASK] - front.sum_base
    old = front.h[(tick - SLOPE) & 7]
    front.h[tick & 7] = h
    d = abs(h - old)
    old = front.d[(tick - SPAN) & _MASK]
    front.d[tick & _MASK] = d
    front.sum_d += d - old
    front.envelope = front.sum_d / (BASE * SPAN)


@kernel
def median(values: Row, count: int) -> float:
    """Median of the first min(count, KEPT) of `values`."""
    n = min(count, KEPT)
    ordered = np.empty(KEPT)
    for i in range(n):
        j = i
        while j > 0 and ordered[j - 1] > values[i]:
            ordered[j] = ordered[j - 1]
            j -= 1
        ordered[j] = values[i]
    if n == 0:
        return 0.0
    return float(ordered[n // 2] if n % 2 else 0.5 * (ordered[n // 2 - 1] + ordered[n // 2]))


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
            largest = 0
            for back in range(SPAN):  # with WAIT, just what the ring still holds
                largest = max(largest, front.d[(tick - back) & _MASK])
            total += front.weight * (largest / (BASE * max(front.level, FLOOR)))
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
def _feed(front: Row, microvolts: int, valid: bool, tick: int) -> None:
    """One tick of one lead, with or without a reading."""
    if not valid:
        front.hold += 1
        front.run = 0
        front.envelope = 0.0
        return
    if front.run == 0:
        _fill(front, microvolts)
        if front.hold > FORGET:
            _forget_level(front)
        front.hold = 0
    front.run += 1
    _filter(front, microvolts, tick)


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
        _feed(state.lead[lead], microvolts[lead], valid[lead], tick)
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


assert max(BASE, WAIT + SPAN) <= _MASK + 1, "a ring is too short"
assert 2 * WAIT <= _FEATURES, "a ring is too short"
assert max(SMOOTH, SLOPE) < 8, "a ring is too short"
