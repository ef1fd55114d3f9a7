"""What the QRS detector learns: from a beat found, a peak refused, what comes right after a beat, and from rest.

Levels and sizes of each lead are in `detector.levels`, shapes in `detector.shape`, what is remembered of sure beats in
`detector.memory`; here is when they change.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector import memory
from detector.arrays import copy
from detector.candidate import BACK, REFRACTORY, UNLIKELY, WAIT
from detector.envelope import PER_SLOPE, SETTLE, SLOPES
from detector.feature import LEARNED, is_active
from detector.jit import hot
from detector.levels import MEDIAN_OF, UNREST, UNREST_EVERY, accept, median, raise_last, refuse
from detector.score import M_SHARPNESS
from detector.shape import begin as begin_shape
from detector.types import LEADS, Row

OUTDONE: Final = 1.5  # times the height of a beat: what comes right after it and is so much higher is the QRS itself
OUTDONE_MAX: Final = 4.0  # times: what is higher yet is an artefact
WARY: Final = 8  # beats decided only once their peak closes, after that has happened twice in a row
FADE_AFTER: Final = 250  # steps without a beat, other than by search back, after which the levels fade (2 s)
BLUNT: Final = -1.0  # sharpness that refused candidates are taken to have before there is one: as of T waves
LONGEST: Final = 187.0  # steps: longest RR expected (1.5 s), so that waiting stays bounded


@hot
def learn_beat(state: Row, beat: Row, since: int, searched: bool) -> None:
    """Learn from a beat.

    Parameters
    ----------
    state : QRS
    beat : CANDIDATE or BEAT
    since : int
        Steps after this one that the filters have already taken in this call.
    searched : bool
        Found by the search back.
    """
    at = beat.at
    after_pause = not searched and at - state.last_direct > FADE_AFTER
    if state.n > 0:
        state.rr[state.n_rr % MEDIAN_OF] = min(float(at - state.last), LONGEST)
        state.n_rr += 1
        state.expected = median(state.rr, state.n_rr)
    state.last = at
    state.last_direct = state.last_direct if searched else at
    state.last_slope = beat.slope
    state.last_height = state.best
    state.refractory_checked = searched
    state.wary = max(state.wary - 1, 0)
    state.kept.score = UNLIKELY
    state.n += 1
    for lead in range(LEADS):
        if state.silent[lead] or state.lead[lead].run - since <= (SETTLE if state.n > LEARNED else 0):
            continue
        accept(state.levels[lead], beat.envelope[lead], beat.size[lead], beat.sharp[lead], after_pause, searched)


@hot
def learn_refused(state: Row, candidate: Row) -> None:
    """Learn from a peak that is no beat and keep the best for the search back."""
    keep(state, candidate)
    if candidate.known:
        state.refused[state.n_refused % MEDIAN_OF] = candidate.measures[M_SHARPNESS]
        state.n_refused += 1
        state.refused_sharpness = median(state.refused, state.n_refused)
    for lead in range(LEADS):
        if is_active(state, lead):
            refuse(state.levels[lead], candidate.envelope[lead], candidate.sharp[lead])


@hot
def keep(state: Row, candidate: Row) -> None:
    """Keep a candidate for the search back, if it is the best since the last beat."""
    kept = state.kept
    if candidate.score > kept.score:
        kept.at = candidate.at
        kept.score = candidate.score
        kept.slope = candidate.slope
        copy(candidate.envelope, kept.envelope)
        copy(candidate.size, kept.size)
        copy(candidate.sharp, kept.sharp)


@hot
def check_refractory(state: Row, scratch: Row, index: int) -> bool:
    """The last beat's refractory period has ended before step `index`: was there something much higher in it?

    If so twice in a row, what is taken for a QRS is a P wave or a pacemaker's spike. It has been told and stands, but
    the leads learn how high the QRS is. Once they have, the shapes learned so far are forgotten, and the next beats are
    told only when nothing higher has come for a while: or the QRS would stay unseen after that wave for good.

    Returns True where a lead may have learned something.
    """
    state.refractory_checked = 1
    behind = scratch.feature[BACK + index - REFRACTORY : BACK + index]
    most = np.float32(0.0)
    for i in range(REFRACTORY):
        most = max(most, behind[i])
    if most > np.float32(OUTDONE) * state.last_height:
        again = state.outdone == state.n - 1
        state.outdone = state.n
        if not again:  # one wide complex of two humps, or an artefact, says nothing of the beats to come
            return False
        raised = False
        for lead in range(LEADS):
            if is_active(state, lead):
                raised = raise_last(state.levels[lead], min(most / state.last_height, OUTDONE_MAX)) or raised
        if raised:
            begin_shape(state.shape)
            memory.forget_shape(state.memory)
            state.wary = WARY
        return True
    return False


@hot
def trace_unrest(state: Row, scratch: Row, origin: int, start: int, end: int) -> None:
    """Note how restless each lead is after each look in the steps [start, end) of this call.

    No beat changes it, so it is done ahead: one look waits for another, and what comes next need not wait for them.
    """
    first = start + UNREST_EVERY - 1 - (origin + start) % UNREST_EVERY
    looks = (end - first + UNREST_EVERY - 1) // UNREST_EVERY
    for lead in range(LEADS):
        if state.lead[lead].run > 0:
            envelope, unrest = scratch.lead[lead].work.envelope[first:], scratch.lead[lead].unrest
            for i in range(looks):
                unrest[i] = UNREST * envelope[UNREST_EVERY * i]
            restless = state.levels[lead].restless
            for i in range(looks):
                restless = (1.0 - UNREST) * restless + unrest[i]
                unrest[i] = restless
            slopes, sharp_unrest = scratch.lead[lead].work.d[SLOPES + first - 1 :], scratch.lead[lead].sharp_unrest
            sharp = state.levels[lead].sharp_unrest
            for i in range(looks):
                difference = abs(slopes[UNREST_EVERY * i + 1] - slopes[UNREST_EVERY * i])  # whole
                sharp = (1.0 - UNREST) * sharp + UNREST * (PER_SLOPE * difference)
                sharp_unrest[i] = sharp


@hot
def learn_rest(state: Row, scratch: Row, begun: int, start: int, end: int) -> None:
    """Learn how restless each lead is that has a reading, from the looks in the steps [start, end) of this call.

    They are among those that `trace_unrest` has noted from step `begun` on; all are told by the call's first step.
    """
    if start // UNREST_EVERY < end // UNREST_EVERY:
        first = start // UNREST_EVERY - begun // UNREST_EVERY
        latest = end // UNREST_EVERY - begun // UNREST_EVERY - 1
        for look in range(first, latest + 1):
            least = np.inf
            for lead in range(LEADS):
                if state.lead[lead].run > 0:
                    least = min(least, scratch.lead[lead].unrest[look])
            memory.count_rest(state.memory, least)
        for lead in range(LEADS):
            if state.lead[lead].run > 0:
                state.levels[lead].restless = scratch.lead[lead].unrest[latest]
                state.levels[lead].sharp_unrest = scratch.lead[lead].sharp_unrest[latest]


assert WAIT < REFRACTORY < BACK, "a refractory period has ended before its beat is told, or too little is kept of it"
