"""A beat as words: its leads in letters and all the measured `model.words.WORDS`; then the bed's state learns from it.

`beat_to_words` is the only way a beat becomes words, in training as at the bedside. A beat is told against what is
known from the beats before it, and learned from only afterwards.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.jit import kernel
from detector.measure import MEASURES, SPAN, measure_window, window
from detector.types import LEADS, SATURATED, Array, Row
from model.atria import add_p_words
from model.kinds import (
    KNOWN,
    LATE,
    UNLIKE,
    begin_kind,
    choose_normal,
    closest,
    compare,
    farthest,
    kin,
    learn_beat,
    learn_pause,
    likeness,
    merge,
    nearest_kind,
)
from model.letters import ISOELECTRIC, letters
from model.pace import add_rr_words, interval, remember_interval
from model.state import GROUPS, P_FROM, P_NEAR, P_TO, QRS_FROM, QRS_TO, T_FROM, T_TO, USUALS
from model.words import (
    AGAIN,
    APART,
    APART_USUAL,
    BROAD,
    BROAD_OWN,
    BROAD_USUAL,
    EARLY,
    FIELDS,
    HUMP,
    HUMP_USUAL,
    KIN,
    KIND,
    LEAD,
    LIKE1,
    NEAREST,
    OWN_P,
    P1,
    P_USUAL,
    PAUSE,
    PR,
    SHARE,
    SIZE,
    ST,
    STEEP,
    SURE,
    SURE_LATELY,
    TURN,
    TWAVE,
    TWAVE_USUAL,
    WIDTH,
    P,
    level_of,
)

LATELY: Final = 0.125  # share of a beat in how sure the detector has been lately, about 8 beats
LEAST_SURE, MOST_SURE = -4.0, 10.0  # log odds as they count for it: a beat beyond all doubt is one beat still
USUAL: Final = 0.03  # weight of a beat in the usual values, about 30 beats

#: Measurements whose usual value and deviation in the patient's own normal beats are remembered, and the words that
#: say how far a beat is from them; a deviation counts at least the third.
_USUAL = np.array([APART, TWAVE, P, BROAD, HUMP])
_TO_USUAL = np.array([APART_USUAL, TWAVE_USUAL, P_USUAL, BROAD_USUAL, HUMP_USUAL])
_LEAST = np.array([0.4, 0.3, 0.4, 0.04, 0.25])


@kernel
def beat_to_words(
    state: Row,
    signal: Row,
    peak_tick: int,
    log_odds: float,
    lead_states: Array,
    texts: Array,
    values: Array,
    levels: Array,
) -> int:
    """Say a beat in words and remember it; beats must come in order.

    Parameters
    ----------
    state : record of `model.state.LANGUAGE`
    signal : record of `detector.types.SIGNAL`
    peak_tick : int
        The R peak; samples up to ``peak_tick + AFTER - 1`` are used.
    log_odds : float
        Log odds of its being a beat, by the detector (`detector.types.PEAK`); NaN for all beats where no detector found
        them.
    lead_states : int8 (LEADS,)
        GOOD ... OFF.
    texts : uint8 (LEADS, TEXT), out
        Letters of each lead; only `.` for a lead that cannot be read.
    values : float32 (FIELDS,), out
        What `WORDS` measure; NaN where it cannot be told.
    levels : int64 (FIELDS,), out
        The words.

    Returns
    -------
    int
        The lead the beat is best read in: 0 or 1, or -1 when neither can be read.
    """
    ys = np.empty((LEADS, SPAN), np.float32)
    good = np.zeros(LEADS, np.uint8)
    measures = np.empty(LEADS, MEASURES)
    values[:] = np.nan
    best = _draw(signal, peak_tick, lead_states, ys, good, measures, texts)
    rr = interval(state, peak_tick)
    early = add_rr_words(state, rr, values)
    if rr > 0.0:
        learn_pause(state, early)
    add_p_words(state, signal, peak_tick, measures, good, values)
    _say_sure(state, log_odds, values)
    group = -1
    if best >= 0:
        values[LEAD] = 2.0 if good.all() else np.float64(best)
        breadth = _say_form(measures, good, values)
        group, nearest, slip = nearest_kind(state, ys, good)
        if state.normal > 0:
            _say_likeness(ys, good, state.groups[state.normal - 1], breadth, values)
        _say_unusual(state, values)
        if group < 0 or nearest > farthest(state):
            group = begin_kind(state, breadth)
            slip = 0
        _say_kind(state, group, nearest, values)

        learn_beat(state, group, ys, good, slip, breadth, rr, early)
        if state.normal == group + 1:
            _learn_usual(state, rr, early, values)
        merge(state, group)
        state.normal = choose_normal(state) + 1
    remember_interval(state, rr)
    state.last_early = early
    state.peak = peak_tick
    state.beats += 1
    state.before_group = state.last_group
    state.last_group = group + 1
    for i in range(FIELDS):
        levels[i] = level_of(i, values[i])
    return best


@kernel
def _draw(
    signal: Row, peak_tick: int, lead_states: Array, ys: Array, good: Array, measures: Array, texts: Array
) -> int:
    """Cut out, measure and draw each lead; the lead that can be read best, or -1."""
    best = -1
    for lead in range(LEADS):
        can = window(signal, peak_tick, lead, ys[lead])
        measure_window(ys[lead], measures[lead])
        texts[lead, :] = ISOELECTRIC
        if can and measures[lead].valid and lead_states[lead] <= SATURATED:
            good[lead] = 1
            letters(ys[lead], measures[lead].onset, texts[lead])
            if best < 0 or lead_states[lead] < lead_states[best]:
                best = lead
    return best


@kernel
def _say_form(measures: Array, good: Array, values: Array) -> float:
    """The words of what is measured on the beat alone; the breadth of its QRS in ms."""
    readable = np.sum(good)
    breadth = height = slope = width = 0.0
    hump = offset_p = st = 0.0
    turn = 0.0
    for lead in range(LEADS):
        if good[lead]:
            m = measures[lead]
            tall = np.float64(m.r_mv) - np.float64(m.s_mv)
            breadth += np.float64(m.area_uvs)
            height += max(np.float64(m.r_mv), -np.float64(m.s_mv))
            slope += max(np.float64(m.up), -np.float64(m.down))
            width += np.float64(m.width_ms) / readable
            st += np.float64(m.st60_mv)
            if abs(np.float64(m.p_mv)) / tall > hump:
                hump = abs(np.float64(m.p_mv)) / tall
                offset_p = (m.onset - m.p_tick) * 4.0
            turn += m.polarity * (lead + 1)
    breadth = breadth / height
    values[BROAD] = np.log2(breadth)
    values[WIDTH] = width
    values[STEEP] = np.log2(slope / height)
    values[HUMP] = np.log2(max(hump, 1e-3))
    values[PR] = offset_p
    values[ST] = st / height
    values[TURN] = turn
    return float(breadth)


@kernel
def _say_sure(state: Row, log_odds: float, values: Array) -> None:
    """The words of how sure the detector is that this is a beat, and of the last ones: what noise makes of a beat, or
    makes into one, it has weighed already.
    """
    if np.isfinite(log_odds):
        share = max(LATELY, 1.0 / (state.beats + 1.0))
        told = min(max(log_odds, LEAST_SURE), MOST_SURE)
        state.sure += share * (told - np.float64(state.sure))
        values[SURE] = log_odds
        values[SURE_LATELY] = state.sure


@kernel
def _say_likeness(ys: Array, good: Array, normal: Row, breadth: float, values: Array) -> None:
    """The words of how the beat differs from the patient's own normal beat."""
    apart, shift = closest(ys, good, normal)
    if apart >= UNLIKE:
        return
    values[APART] = np.log2(max(apart, 1e-3))
    energy = energy_own = 0.0
    t_energy = t_own = t_apart = 0.0
    p_own = p_apart = 0.0
    for lead in range(LEADS):
        if not good[lead] or normal.seen[lead] == 0:
            continue
        a, b, d = compare(ys[lead], normal.mv[lead], QRS_FROM, QRS_TO, shift, 0)
        values[LIKE1 + lead] = likeness(a, b, d)
        energy += a
        energy_own += b
        a, b, d = compare(ys[lead], normal.mv[lead], T_FROM, T_TO, shift, 0)
        t_energy += a
        t_own += b
        t_apart += d
        a, b, d = compare(ys[lead], normal.mv[lead], P_FROM, P_TO, shift, 1)
        p_own += b
        p_apart += d
        a, b, d = compare(ys[lead], normal.mv[lead], P_NEAR, P_TO, shift, 1)
        values[P1 + lead] = likeness(a, b, d)
    values[OWN_P] = np.log2(max(p_own, 1e-9) / max(energy_own, 1e-9))
    values[SIZE] = np.log2(max(energy, 1e-9) / max(energy_own, 1e-9))
    values[BROAD_OWN] = np.log2(breadth / max(np.float64(normal.breadth), 1.0))
    values[TWAVE] = likeness(t_energy, t_own, t_apart)
    values[P] = np.log2(max(p_apart, 1e-9) / max(p_own, 1e-9))


@kernel
def _say_unusual(state: Row, values: Array) -> None:
    """The words of how far that is from what is usual for the own normal beats, once it is known."""
    if state.usual_beats < KNOWN:
        return
    for k in range(USUALS):
        told = np.float64(values[_USUAL[k]])
        deviation = max(1.25 * np.float64(state.deviation[k]), _LEAST[k])
        values[_TO_USUAL[k]] = (told - np.float64(state.usual[k])) / deviation


@kernel
def _say_kind(state: Row, group: int, nearest: float, values: Array) -> None:
    """The words of the kind of beat it is; a kind that begins with it has no past to tell of."""
    kind = state.groups[group]
    total = 0.0
    for g in range(GROUPS):
        total += np.float64(state.groups[g].weight)
    values[NEAREST] = np.log2(max(nearest, 1e-3))
    if kind.weight > 0.0:
        values[SHARE] = np.log2(np.float64(kind.weight) / total)
        values[EARLY] = np.float64(kind.early)
        values[PAUSE] = np.float64(kind.pause)
        if state.normal > 0:
            own = state.groups[state.normal - 1]
            values[KIND] = np.log2(np.float64(kind.breadth) / max(np.float64(own.breadth), 1.0))
            values[KIN] = np.log2(max(kin(kind, own), 1e-3))
    values[AGAIN] = 2.0 if state.last_group == group + 1 else 1.0 if state.before_group == group + 1 else 0.0


@kernel
def _learn_usual(state: Row, rr: float, early: float, values: Array) -> None:
    """Learn from an own normal beat what is usual for them: their unrest and, if it came in time, their form."""
    if rr > 0.0:
        state.unrest += USUAL * (min(abs(early), 0.5) - np.float64(state.unrest))
    if abs(early) < -LATE and np.isfinite(values[TWAVE]):
        weight = max(USUAL, 1.0 / (state.usual_beats + 1.0))
        for k in range(USUALS):
            told = np.float64(values[_USUAL[k]])
            off = abs(told - np.float64(state.usual[k]))
            if state.usual_beats > 0:
                fresh_weight = max(USUAL, 1.0 / state.usual_beats)
                state.deviation[k] += fresh_weight * (off - np.float64(state.deviation[k]))
            state.usual[k] += weight * (told - np.float64(state.usual[k]))
        state.usual_beats += 1
