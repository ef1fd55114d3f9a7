"""Online QRS detection: from the leads' envelopes to R peaks, step by step.

Each lead goes through filters in whole numbers to its *envelope*, large where the lead is steep (`detector.envelope`).
The leads' envelopes, each in units of its own recent beats, are averaged with weights by the square of their
signal-to-noise ratio into one *feature*, which is near 1 at every beat whatever the gain. A peak of the feature is a
candidate, and a beat when its score is above 0 (`detector.candidate`).

After Pan and Tompkins 1985 and Hamilton 2002 in its refractory period, T-wave slope and medians of eight. Different
from them: the leads speak together, there is no threshold but one score of all that is known of a candidate, and a
decision falls as soon as it is sure. A candidate that scores well is told when the feature has begun to fall, about
150 ms after the R peak; one that scores less when it has fallen far or nothing higher has come for a while. A doubtful
one, unless as high as a usual beat, waits nearly its whole refractory period, in which a P wave's own QRS shows and
takes its place. The search back takes the one best candidate kept for it and never reads the signal again.

Bounded work: a fixed number of operations a step, plus at most one candidate a step, whose cost is fixed too; where a
lead comes or goes, one look at the rest of the call.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector import memory, pulses, simd
from detector.arrays import copy_float32
from detector.candidate import BACK, EARLY_SCORE, LOST, REFRACTORY, SEARCHED, UNLIKELY, WAIT, weigh
from detector.doubt import note_accepted, note_recovered, note_rejected
from detector.envelope import HELD, LAG, STRIDE, feed, load, rest, store
from detector.feature import features, gains, is_peak, mark_silent, next_lead_change, note_first_reading, track_loud
from detector.jit import hot
from detector.learning import FADE_AFTER, check_refractory, keep, learn_beat, learn_refused, learn_rest, trace_unrest
from detector.levels import WEIGHED, fade, forget
from detector.qrs_state import NO, WEAK, YES
from detector.r_peak import FIDUCIAL, LEVEL_TICKS, locate
from detector.scratch import JUDGED
from detector.shape import learn
from detector.simd import F32_LANES
from detector.types import CHUNK, LEADS, PULSES, RATE, RING, Array, Float32, Row

DROP: Final = 0.6  # share of its height to which the feature must fall to close a peak sooner
BEGUN: Final = 0.95  # share of its height to which it must fall before a sure candidate is told
WEAK_SCORE: Final = 1.75  # score up to which a beat is doubtful ...
WEAK_WAIT: Final = 22  # ... and told after so many steps without a higher value: a QRS after a P wave shows by then
TALL: Final = 1.0  # feature from which on a peak is hardly a P wave, and waits for no QRS behind it
LOWEST: Final = 0.12  # feature of the lowest candidate
SEARCH_BACK: Final = 1.8  # expected RR after which the best refused candidate is looked at again
SEARCH_LIMIT: Final = 225  # steps: no search back over more than 1.8 s
FORGET: Final = 1250  # steps without a reading after which a lead is learned anew: it may have been moved (10 s)
MAX_DELAY: Final = STRIDE * WEAK_WAIT + LAG + FIDUCIAL  # ticks from an R peak to its decision, without search back
MAX_SEARCH_DELAY: Final = STRIDE * (SEARCH_LIMIT + WEAK_WAIT) + LAG + FIDUCIAL  # ... and with it


@hot
def update(state: Row, scratch: Row, signal: Row, first: int, steps: int, peaks: Array, count: int) -> int:
    """Take the next steps; returns how many peaks there are then.

    Parameters
    ----------
    state, scratch, signal : QRS, SCRATCH, SIGNAL
        `scratch.lead` holds the steps' microvolts (`x`, the sum of the step's ticks) and whether they count (`valid`).
    first : int
        The first of these steps; one more than the last at the last call.
    steps : int
        How many, at most `detector.envelope.STEPS`.
    peaks : PEAK, shape (n,)
        Queue that beats found are put into, after the `count` that are there.
    """
    if state.first < 0:
        state.first = first
    scratch.n_judged = 0
    scratch.n_decided = 0
    copy_float32(state.feature, 0, BACK, scratch.feature, 0)
    for lead in range(LEADS):
        if state.levels[lead].hold < HELD:  # else there is nothing but zeros, and a lead that comes brings its own past
            load(state.lead[lead], scratch.lead[lead].work)
    start = 0
    while start < steps:
        end = next_lead_change(scratch, start, steps)
        if state.first_reading < 0:
            note_first_reading(state, scratch, first, start)
        for lead in range(LEADS):
            front, levels, work = state.lead[lead], state.levels[lead], scratch.lead[lead].work
            if work.valid[start]:
                if levels.hold > FORGET:
                    forget(levels)
                    memory.forget_lead(state.memory, lead)
                    state.upright[lead] = 1.0
                levels.hold = 0
                feed(front, work, start, end)
            else:
                levels.hold += end - start
                rest(front, work, start, end, scratch.lead[lead].gone)
        count = _decide(state, scratch, signal, first, start, end, peaks, count)
        start = end
    for lead in range(LEADS):
        if state.levels[lead].hold < HELD + steps:
            store(state.lead[lead], scratch.lead[lead].work, steps)
    copy_float32(scratch.feature, steps, BACK, state.feature, 0)
    return count


@hot
def _decide(state: Row, scratch: Row, signal: Row, origin: int, start: int, end: int, peaks: Array, count: int) -> int:
    """Follow the feature over the steps [start, end) of this call, in which no lead comes or goes.

    The feature is computed as far ahead as the gains will not change, and again after each beat, which changes them.
    """
    longest = 0
    for lead in range(LEADS):
        longest = max(longest, state.lead[lead].run)
    unheard = origin + end - 1 - longest
    mark_silent(state)
    gains(state, scratch)
    turns = track_loud(state, scratch, origin, start, end)
    trace_unrest(state, scratch, origin, start, end)
    rested = origin + start
    index = ready = start
    while index < end:
        if index == turns:
            mark_silent(state)
            gains(state, scratch)
            turns = track_loud(state, scratch, origin, index + 1, end)
            ready = index
        past = end if state.refractory_checked else max(state.last + REFRACTORY + 1 - origin, index)
        if index == past:
            if check_refractory(state, scratch, index):
                gains(state, scratch)
                ready = index
            past = end
        fades = max(state.last_direct, state.first) + FADE_AFTER + 1 - origin
        stop = min(turns, fades, past)
        if index >= fades:
            for lead in range(LEADS):
                fade(state.levels[lead], origin + index - state.last_direct)
            gains(state, scratch)
            ready = index
            stop = index + 1
        if ready < stop:
            features(scratch, ready, stop)
            ready = stop
        index = _scan(state, scratch, origin, index, stop, unheard)
        if index < stop:
            learn_rest(state, scratch, origin + start, rested, origin + index + 1)
            rested = origin + index + 1
            if _look(state, scratch, signal, origin + index, index, end - 1 - index, unheard, peaks[count]):
                count += 1
                gains(state, scratch)
                ready = index + 1
            index += 1
    learn_rest(state, scratch, origin + start, rested, origin + end)
    _at_best(state, scratch, origin)
    return count


@hot
def _scan(state: Row, scratch: Row, origin: int, start: int, stop: int, unheard: int) -> int:
    """Follow the feature's peak; the first step at which something is to be decided, or `stop`.

    A peak is followed from the first step on that is high enough and not too near to the last beat. Before the step
    after `unheard` no lead could be heard that is heard now.
    """
    feature = scratch.feature[BACK + start : BACK + stop]
    n = len(feature)
    overdue = n
    if state.kept.score > UNLIKELY and state.n >= WEIGHED:
        overdue = max(max(state.last, unheard) + _patience(state) + 1 - origin - start, 0)
    limit = min(overdue + 1, n)
    lowest = np.float32(LOWEST)
    lowest_lanes = simd.broadcast(lowest)
    best = state.best
    best_at = state.best_at - origin - start
    weighed = state.weighed
    share_begun, share_drop, wait = _terms(state.wary, weighed)
    begun, drop = share_begun * best, share_drop * best
    index = 0
    while index < limit:
        if best == np.float32(0.0):
            index = min(max(index, state.last + REFRACTORY + 1 - origin - start), limit)
            while index < limit and simd.mask_gt(simd.load(feature, index), lowest_lanes) == 0:
                index += F32_LANES
            while index < limit and feature[index] <= lowest:
                index += 1
            index = min(index, limit)
            if index == limit:
                break
        now = feature[index]
        if now > best:
            outdone = weighed == WEAK
            best = now
            best_at = index
            weighed = NO
            if outdone:  # told all the same, should this one be none
                keep(state, state.candidate)
                _show(state, scratch)
                break  # there is something for the search back now
            share_begun, share_drop, wait = _terms(state.wary, weighed)
            begun, drop = share_begun * best, share_drop * best
        elif now < begun or index - best_at >= wait:
            if weighed == NO or now < drop or index - best_at >= wait:
                break
        index += 1
    state.best = best
    state.best_at = origin + start + best_at
    state.weighed = weighed
    return start + (overdue if index == limit and overdue < n else index)


@hot
def _terms(wary: int, weighed: int) -> tuple[Float32, Float32, int]:
    """When a peak is decided: the shares of its height to which the feature must fall before a sure candidate is told,
    and before any is; or so many steps without a higher value.
    """
    never = np.float32(0.0)
    if weighed == WEAK:
        return never, never, WEAK_WAIT
    return (never, never, WAIT) if wary > 0 else (np.float32(BEGUN), np.float32(DROP), WAIT)


@hot
def _patience(state: Row) -> int:
    """Steps without a beat until the best candidate refused is looked at again."""
    return int(min(SEARCH_BACK * state.expected, float(SEARCH_LIMIT)))


@hot
def _look(state: Row, scratch: Row, signal: Row, step: int, index: int, since: int, unheard: int, peak: Row) -> bool:
    """Decide what `_scan` stopped for, at `index` of this call, `since` steps of the filters ago; is `peak` a beat?"""
    feature = scratch.feature[BACK + index]
    found = refused = False
    begun, drop, wait = _terms(state.wary, state.weighed)
    late = step - state.best_at >= wait
    if state.best > np.float32(0.0) and step > state.best_at and (late or feature < begun * state.best):
        closed = late or feature < drop * state.best
        if closed or state.weighed == NO:
            _at_best(state, scratch, step - index)
            work = scratch.lead[0].work  # all leads say the same of this
            paced = work.paced != 0 and work.is_paced[index] != np.float32(0.0)
            _weigh(state, scratch, index - (step - state.best_at), paced)
            closed = closed and (state.weighed != WEAK or step - state.best_at >= WEAK_WAIT)
            found = _judge(state, scratch, step, closed)
        if found:
            _accept_candidate(state, scratch, signal, step, since, peak)
        refused = closed and not found
        if found or closed:
            follows = feature > np.float32(LOWEST) and step - state.last > REFRACTORY
            state.best = feature if follows else np.float32(0.0)
            state.best_at = step
            state.weighed = NO
    if not found and state.kept.score > UNLIKELY and state.weighed != WEAK:
        found = _search_back(state, scratch, signal, step, refused, since, unheard, peak)
    if found:
        peak.found = STRIDE * step + STRIDE - 1
    return found


@hot
def _accept_candidate(state: Row, scratch: Row, signal: Row, step: int, since: int, peak: Row) -> None:
    """Place the candidate's R peak, and learn from it."""
    candidate = state.candidate
    peak.log_odds = candidate.score
    locate(state, scratch, signal, candidate, STRIDE * step + STRIDE - 1, peak, False)
    learn(state.shape, candidate)
    memory.learn(state.memory, candidate)
    learn_beat(state, candidate, since, False)


@hot
def _search_back(
    state: Row, scratch: Row, signal: Row, step: int, refused: bool, since: int, unheard: int, peak: Row
) -> bool:
    """Take the best candidate refused since the last beat, if a beat is overdue or, better, it was one all along.

    That shows when the candidate after it is refused (`refused`). A beat is overdue by time in which it would have been
    heard: after a loss of signal the first to come may be the T wave of a QRS that nobody saw.
    """
    kept = state.kept
    overdue = state.n >= WEIGHED and step - max(state.last, unheard) > _patience(state)
    if not (overdue or (refused and kept.score > 0.0)):
        return False
    enough = -SEARCHED if step - state.last <= LOST else 0.0  # after so long, overdue says nothing
    found = kept.score > enough and step - kept.at <= SEARCH_LIMIT + WEAK_WAIT  # later, its signal is gone
    if found:
        searched = kept.score <= 0.0  # else it was a beat all along, and is learned like one
        if searched:
            note_recovered(scratch, step, kept.score)
        else:
            note_accepted(scratch, step, kept.score)
        peak.log_odds = kept.score
        locate(state, scratch, signal, kept, STRIDE * step + STRIDE - 1, peak, searched)
        learn_beat(state, kept, since, searched)
        state.refractory_checked = 1  # what came after it has been refused
    kept.score = UNLIKELY
    return bool(found)


@hot
def _at_best(state: Row, scratch: Row, origin: int) -> None:
    """Keep the leads' envelopes where the feature is best, if that is in this call."""
    if state.best_at >= origin:
        for lead in range(LEADS):
            state.at_best[lead] = scratch.lead[lead].work.envelope[state.best_at - origin]


@hot
def _weigh(state: Row, scratch: Row, index: int, paced: bool) -> None:
    """Find the score of the peak at step `index` of this call, unless it is known."""
    candidate = state.candidate
    if state.weighed == NO:
        candidate.score = UNLIKELY
        if state.best_at - state.last > REFRACTORY and is_peak(scratch, index):
            weigh(state, scratch, index, paced)
        doubtful = 0.0 < candidate.score <= WEAK_SCORE and candidate.height < TALL
        state.weighed = WEAK if doubtful else YES


@hot
def _judge(state: Row, scratch: Row, step: int, closed: bool) -> bool:
    """Whether the peak that was weighed is a beat at this step; once it has closed and is none, it is noise."""
    candidate = state.candidate
    if candidate.score > UNLIKELY and (closed or candidate.score > EARLY_SCORE):
        _show(state, scratch)
        if candidate.score > (0.0 if closed else EARLY_SCORE):
            note_accepted(scratch, step, candidate.score)
            return True
        note_rejected(scratch, step, candidate.score)
        learn_refused(state, candidate)
    return False


@hot
def _show(state: Row, scratch: Row) -> None:
    """The candidate has been decided on: for who fits the weights."""
    scratch.judged[scratch.n_judged % JUDGED] = state.candidate
    scratch.n_judged += 1


assert BACK % F32_LANES == 0, "copied in whole vectors"
assert MAX_SEARCH_DELAY + FIDUCIAL + LEVEL_TICKS + RATE < RING, (
    "an R peak's signal would be gone at the end of a long frame"
)
assert MAX_SEARCH_DELAY + FIDUCIAL + LEVEL_TICKS + CHUNK <= PULSES * (pulses.HALF + 1), "its pulses would be gone"
assert WAIT < WEAK_WAIT < REFRACTORY, "a refractory period would end before its beat is told"
assert 0.0 < WEAK_SCORE < EARLY_SCORE, "a doubtful beat would be told at once"
