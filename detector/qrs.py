"""Online QRS detection: from the leads' envelopes to R peaks, step by step.

Each lead goes through integer filters to its *envelope*, large where the lead is steep (`detector.envelope`). The
leads' envelopes, each in units of its own recent beats, are averaged with weights by the square of their
signal-to-noise ratio into one *feature*, which is near 1 at every beat whatever the gain. A peak of the feature is a
candidate, and a beat when its score is above 0 (`detector.candidate`).

After Pan and Tompkins 1985 and Hamilton 2002 in its refractory period, T-wave slope and medians of eight. Different
from them: the leads speak together, there is no threshold but one score of all that is known of a candidate, and a
decision falls as soon as it is sure. A candidate that scores well is told when the feature has begun to fall, about
150 ms after the R peak; a doubtful one when the feature has fallen far or nothing higher has come for a while. The
search back takes the one best candidate kept for it and never reads the signal again.

Bounded work: a fixed number of operations a step, plus at most one candidate a step, whose cost is fixed too.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.candidate import CANDIDATE, JUDGED, REFRACTORY, SEARCHED, SHAPE, SURE, UNLIKELY, learn, weigh
from detector.candidate import begin as begin_shape
from detector.envelope import FRONT, LAG, SETTLE, STRIDE, clear, feed, load, rest, store
from detector.jit import kernel
from detector.types import LEADS, RING, Array, Row
from detector.usual import FLOOR, KEPT, USUAL, WEIGHED, accept, fade, forget, median, refuse

WAIT: Final = 17  # steps without a higher value that close a peak (136 ms)
DROP: Final = 0.6  # share of its height to which the feature must fall to close a peak sooner
BEGUN: Final = 0.95  # share of its height to which it must fall before a sure candidate is told
LOWEST: Final = 0.12  # feature of the lowest candidate
SEARCH_BACK: Final = 1.8  # expected RR after which the best refused candidate is looked at again
SEARCH_LIMIT: Final = 225  # steps: no search back over more than 1.8 s
FADE_AFTER: Final = 250  # steps without a beat after which the levels fade (2 s)
FORGET: Final = 1250  # steps without a reading after which a lead is learned anew: it may have been moved (10 s)
LEARNED: Final = 3  # beats after which a lead is heard before those that have had none
UNREST_EVERY: Final = 4  # steps between two looks at how restless a lead is
UNREST: Final = 0.04  # share of a look: half in 0.5 s
FIDUCIAL: Final = 24  # ticks to both sides of the QRS in which the R peak is looked for (96 ms)
UPRIGHT: Final = 1.3  # an R wave is preferred to a Q or S wave less than this much larger
FIRST: Final = 0.6  # share of the largest deflection that makes an earlier one the R peak of a wide complex ...
WIDE: Final = 15  # ... when it lies at least so many ticks before it (60 ms)
APART: Final = 20  # ticks between two R peaks at least (80 ms)
CLEARLY: Final = 4.0  # times the weight: the first lead is where annotators look, another must be clearly better
EXPECTED: Final = 100.0  # steps: RR expected before any is known (75 beats a minute)
LONGEST: Final = 187.0  # steps: longest RR expected (1.5 s), so that waiting stays bounded
LATEST: Final = 2 * (SEARCH_LIMIT + WAIT) + LAG + FIDUCIAL  # ticks from an R peak to its being told, at most

_FEATURES: Final = 64  # steps of the feature kept: twice `WAIT`

QRS = np.dtype(
    [
        ("lead", FRONT, (LEADS,)),
        ("usual", USUAL, (LEADS,)),
        ("shape", SHAPE),
        ("feature", "f8", (_FEATURES,)),
        ("best", "f8"),  # highest feature of the peak being followed; 0: none
        ("best_at", "i8"),
        ("at_best", "f8", (LEADS,)),  # envelopes there
        ("weighed", "i1"),  # 1 when its score is known
        ("candidate", CANDIDATE),
        ("last", "i8"),  # step of the last beat's feature
        ("last_r", "i8"),  # tick of its R peak
        ("last_slope", "f8"),
        ("rr", "f8", (KEPT,)),
        ("n_rr", "i8"),
        ("expected", "f8"),  # median RR in steps
        ("kept", "f8"),  # best score refused since the last beat, for the search back
        ("kept_at", "i8"),
        ("kept_slope", "f8"),
        ("kept_envelope", "f8", (LEADS,)),
        ("kept_size", "f8", (LEADS,)),
        ("n", "i8"),  # beats found
        ("first", "i8"),  # first step; -1 before it
    ],
    align=True,
)
_LONG_AGO: Final = -(10**9)


@kernel
def begin(state: Row) -> None:
    """Forget everything; the next step is the first."""
    for lead in range(LEADS):
        clear(state.lead[lead])
        usual = state.usual[lead]
        usual.hold = 0
        forget(usual)
    begin_shape(state.shape)
    state.feature[:] = 0.0
    state.best = 0.0
    state.best_at = 0
    state.at_best[:] = 0.0
    state.weighed = 0
    state.candidate.score = UNLIKELY
    state.last = _LONG_AGO
    state.last_r = _LONG_AGO
    state.last_slope = 1.0
    state.rr[:] = 0.0
    state.n_rr = 0
    state.expected = EXPECTED
    state.kept = UNLIKELY
    state.kept_at = 0
    state.kept_slope = 0.0
    state.kept_envelope[:] = 0.0
    state.kept_size[:] = 0.0
    state.n = 0
    state.first = -1


@kernel
def update(state: Row, desk: Row, signal: Row, first: int, steps: int, peaks: Array, count: int) -> int:
    """Take the next steps; returns how many peaks there are then.

    Parameters
    ----------
    state, desk, signal : QRS, DESK, SIGNAL
        `desk.lead` holds the steps' microvolts (`x`, the sum of the step's ticks) and whether they count (`valid`).
    first : int
        The first of these steps; one more than the last at the last call.
    steps : int
        How many, at most `detector.envelope.STEPS`.
    peaks : PEAK, shape (n,)
        Queue that beats found are put into, behind the `count` that are there.
    """
    if state.first < 0:
        state.first = first
    desk.n_judged = 0
    for lead in range(LEADS):
        load(state.lead[lead], desk.lead[lead])
    start = 0
    while start < steps:  # stretches in which no lead comes or goes
        end = start + 1
        same = True
        while same and end < steps:
            for lead in range(LEADS):
                same = same and desk.lead[lead].valid[end] == desk.lead[lead].valid[start]
            end += same
        for lead in range(LEADS):
            front, usual = state.lead[lead], state.usual[lead]
            if desk.lead[lead].valid[start]:
                if usual.hold > FORGET:
                    forget(usual)
                usual.hold = 0
                feed(front, desk.lead[lead], start, end)
            else:
                usual.hold += end - start
                rest(front, desk.lead[lead], start, end)
        count = _decide(state, desk, signal, first, start, end, peaks, count)
        start = end
    for lead in range(LEADS):
        store(state.lead[lead], desk.lead[lead], steps)
    return count


@kernel
def _gains(state: Row, desk: Row) -> None:
    """What each lead's envelope counts for in the feature: its weight, in units of its beats; 0 while it is unheard."""
    learned = False
    for lead in range(LEADS):
        learned = learned or (state.lead[lead].run > 0 and state.usual[lead].n_beats >= LEARNED)
    total = 0.0
    for lead in range(LEADS):
        usual = state.usual[lead]
        desk.gain[lead] = 0.0
        if state.lead[lead].run > 0 and (usual.n_beats >= LEARNED or not learned):
            desk.gain[lead] = usual.weight / max(usual.level, FLOOR)
            total += usual.weight
    if total > 0.0:
        for lead in range(LEADS):
            desk.gain[lead] /= total


@kernel
def _decide(state: Row, desk: Row, signal: Row, origin: int, start: int, end: int, peaks: Array, count: int) -> int:
    """Follow the feature over the steps [start, end) of this call, in which no lead comes or goes."""
    _gains(state, desk)
    for index in range(start, end):
        step = origin + index
        silent = step - state.last
        if silent > FADE_AFTER and step - state.first > FADE_AFTER:
            for lead in range(LEADS):
                fade(state.usual[lead], silent)
            _gains(state, desk)
        feature = 0.0
        for lead in range(LEADS):
            feature += desk.gain[lead] * desk.lead[lead].envelope[index]
        state.feature[step & (_FEATURES - 1)] = feature
        if step % UNREST_EVERY == UNREST_EVERY - 1:
            for lead in range(LEADS):
                usual = state.usual[lead]
                usual.restless += UNREST * (desk.lead[lead].envelope[index] - usual.restless)
        found = False
        if feature > state.best:
            _follow(state, desk, step, index, feature)
        elif state.best > 0.0 and (feature < BEGUN * state.best or step - state.best_at >= WAIT):
            closed = step - state.best_at >= WAIT or feature < DROP * state.best
            if closed or not state.weighed:
                found = _judge(state, desk, index - (step - state.best_at), closed)
            if found:
                candidate = state.candidate
                peak = peaks[count]
                peak.strength = candidate.score
                _locate(state, signal, candidate.at, peak)
                learn(state.shape, candidate)
                _accept(state, candidate.at, candidate.slope, state.at_best, candidate.size, end - 1 - index, False)
            if found or closed:
                _follow(state, desk, step, index, feature)
        if not found and state.kept > UNLIKELY and state.n >= WEIGHED:
            if silent > min(SEARCH_BACK * state.expected, float(SEARCH_LIMIT)):
                if state.kept > -SEARCHED:
                    found = True
                    peak = peaks[count]
                    peak.strength = state.kept
                    _locate(state, signal, state.kept_at, peak)
                    _accept(
                        state,
                        state.kept_at,
                        state.kept_slope,
                        state.kept_envelope,
                        state.kept_size,
                        end - 1 - index,
                        True,
                    )
                state.kept = UNLIKELY
        if found:
            peaks[count].found = STRIDE * step + STRIDE - 1
            count += 1
            _gains(state, desk)
    return count


@kernel
def _follow(state: Row, desk: Row, step: int, index: int, feature: float) -> None:
    """The peak may be here."""
    state.best = feature
    state.best_at = step
    state.weighed = 0
    for lead in range(LEADS):
        state.at_best[lead] = desk.lead[lead].envelope[index]


@kernel
def _judge(state: Row, desk: Row, index: int, closed: bool) -> bool:
    """Whether the peak at step `index` of this call is a beat; once it has closed and is none, it is noise."""
    candidate = state.candidate
    if not state.weighed:
        state.weighed = 1
        candidate.score = UNLIKELY
        if state.best > LOWEST and state.best_at - state.last > REFRACTORY and _is_peak(state):
            weigh(state, desk, index)
    if candidate.score > UNLIKELY and (closed or candidate.score > SURE):
        desk.judged[desk.n_judged % JUDGED] = candidate
        desk.n_judged += 1
        if candidate.score > (0.0 if closed else SURE):
            return True
        _refuse(state, candidate)
    return False


@kernel
def _refuse(state: Row, candidate: Row) -> None:
    """Learn from a peak that is no beat and keep the best for the search back."""
    if candidate.score > state.kept:
        state.kept = candidate.score
        state.kept_at = candidate.at
        state.kept_slope = candidate.slope
        state.kept_envelope[:] = state.at_best
        state.kept_size[:] = candidate.size
    for lead in range(LEADS):
        refuse(state.usual[lead], state.at_best[lead])


@kernel
def _is_peak(state: Row) -> bool:
    """False when the feature was higher within `WAIT` before: the tail of an earlier peak."""
    for back in range(1, WAIT + 1):
        if state.feature[(state.best_at - back) & (_FEATURES - 1)] > state.best:
            return False
    return True


@kernel
def _accept(state: Row, at: int, slope: float, envelope: Array, size: Array, since: int, searched: bool) -> None:
    """Learn from a beat whose feature peaked at step `at`.

    Parameters
    ----------
    state : QRS
    at : int
    slope : float
        Its steepness.
    envelope, size : float64, shape (LEADS,)
        Of its leads.
    since : int
        Steps that the filters have gone on since this one.
    searched : bool
        Found by the search back.
    """
    after_pause = not searched and at - state.last > FADE_AFTER
    if state.n > 0:
        state.rr[state.n_rr % KEPT] = min(float(at - state.last), LONGEST)
        state.n_rr += 1
        state.expected = median(state.rr, state.n_rr)
    state.last = at
    state.last_slope = slope
    state.kept = UNLIKELY
    state.n += 1
    for lead in range(LEADS):
        if state.lead[lead].run - since <= (SETTLE if state.n > LEARNED else 0):
            continue
        accept(state.usual[lead], envelope[lead], size[lead], after_pause)


@kernel
def _locate(state: Row, signal: Row, at: int, peak: Row) -> None:
    """Place the R peak of the beat whose feature peaked at step `at`, on its best lead.

    It is the largest deflection; in a wide complex an earlier one that is nearly as large.
    """
    chosen = -1
    for lead in range(LEADS):
        if state.lead[lead].run > 0:
            if chosen < 0 or state.usual[lead].weight > CLEARLY * state.usual[chosen].weight:
                chosen = lead
    chosen = max(chosen, 0)
    centre = STRIDE * at + STRIDE - 1 - LAG
    first = max(centre - FIDUCIAL, state.last_r + APART)
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
        size = _deflection(signal, t, chosen, mean)
        if size > best:  # false for NaN
            best = size
            where = t
    for t in range(first + 1, where - WIDE):
        size = _deflection(signal, t, chosen, mean)
        if size > FIRST * best:
            if _deflection(signal, t - 1, chosen, mean) <= size and _deflection(signal, t + 1, chosen, mean) <= size:
                where = t
                break
    state.last_r = where
    peak.tick = where
    peak.lead = chosen


@kernel
def _deflection(signal: Row, tick: int, lead: int, mean: float) -> float:
    value = signal.mv[tick & (RING - 1), lead] - mean
    return float(value * UPRIGHT if value > 0.0 else -value)


assert 2 * WAIT <= _FEATURES, "a ring is too short"
assert FIDUCIAL < LAG, "the R peak would lie ahead"
