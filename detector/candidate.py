"""Is this peak a beat? What is measured of a candidate, for `detector.score` to weigh.

A candidate is a peak of the feature (`detector.qrs`). What speaks for a beat is that it is as high and as steep as the
beats before it, in the lead that rests most as well as in all of them; that it has their shape; that it comes when a
beat is due. What speaks against is a signal that never rests, peaks refused that were as high, a height that is not
steep (a T wave), a baseline that moves more than the peak, a peak that is long in coming (electrode motion).
Electrodes that move make waves as high as a QRS complex and seldom as *sharp*: the root mean square of the differences
of its slopes is set against that of beats and of peaks refused. Its shape and time are set against those of the last
beats (`detector.shape`) and of the last sure ones (`detector.memory`).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from detector.envelope import PER_BAND, band, moved, sharpest, steepest
from detector.jit import hot
from detector.levels import FLOOR, MEDIAN_OF, SHARP_FLOOR, SHARP_USUAL
from detector.memory import recall
from detector.score import (
    BEGIN,
    BEGIN_STEPS,
    COUNT,
    M_DRIFT,
    M_DUE,
    M_HEIGHT,
    M_HEIGHT_AT_REST,
    M_LEAST,
    M_LIKENESS,
    M_LIKENESS_SQUARED,
    M_MOST,
    M_NOISE,
    M_ON_TIME,
    M_ONE,
    M_REFUSED_SHARPNESS,
    M_RESTLESS,
    M_SHARP_HEIGHT,
    M_SHARP_LIKENESS,
    M_SHARP_NOISE,
    M_SHARP_UNREST,
    M_SHARPNESS,
    M_SIZE,
    M_SIZE_IN_T,
    M_STEEPNESS,
    M_STEEPNESS_IN_T,
    M_WIDTH,
    score,
)
from detector.shape import CENTRE_BACK, KNOWN, UNKNOWN, WAVEFORM, compare, sharpen
from detector.types import LEADS, Array, Float32, Row

WAIT: Final = 17  # steps without a higher value that close a peak (136 ms)
REFRACTORY: Final = 24  # steps in which no second beat can start (192 ms, or 312 beats a minute)
T_WAVE: Final = 45  # steps after a beat in which a T wave may rise (360 ms) ...
T_WAVE_RR: Final = 125.0  # ... if the RR interval before the beat is no longer (1 s), else longer by the root of that:
T_WAVE_LONGEST: Final = 64.0  # the QT interval follows the RR interval before it (Bazett 1920); and no more (512 ms)
RR_SPREAD: Final = 0.15  # of the expected RR: how far a sinus rhythm strays from it
DUE: Final = 1.0  # expected RR after which waiting longer makes a beat no likelier
FADING: Final = 30.0  # steps: time constant with which a T wave becomes less likely after a beat
FADED: Final = 256  # steps for which that is tabulated (2 s: as long as beats are apart)
RESTLESS: Final = 0.5  # mean envelope over that of a beat from which on a lead never rests: its height says nothing
BACK: Final = 40  # steps of the feature kept from the last call: a peak is weighed once it closes, and from before it
EARLY_SCORE: Final = 2.0  # score that is enough before the peak has closed
SEARCHED: Final = 2.0  # a score above minus this is enough when a beat is overdue
#: Likeness and feature from which on a peak is a beat, whatever else is measured: those of a fast ventricular
#: tachycardia are wide, early and without rest.
SURE_LIKENESS, SURE_HEIGHT = 0.9, 0.7
CLEAR: Final = EARLY_SCORE + 0.5  # its score at least
FAINT: Final = 0.02  # of a usual beat: added before a logarithm is taken, so that nothing is not infinitely little
#: Measures that are told by their logarithms, and what is added first, so that none is of 0.
LOGARITHMS: Final = (
    (M_HEIGHT, FAINT),
    (M_STEEPNESS, FAINT),
    (M_LEAST, FAINT),
    (M_SIZE, 0.05),
    (M_NOISE, 0.1),
    (M_SHARP_HEIGHT, FAINT),
    (M_SHARP_NOISE, 0.1),
)
#: Measures that are averaged over the leads by their weights.
AVERAGED: Final = (M_STEEPNESS, M_SIZE, M_NOISE, M_DRIFT, M_SHARP_HEIGHT, M_SHARP_NOISE, M_SHARP_UNREST)
UNLIKELY: Final = -99.0  # score of what is no candidate

LOST: Final = (
    2250  # steps without a beat, other than by search back, after which learned shapes and sizes do not count (18 s)
)
DRIFT: Final = 24  # steps up to the envelope's peak over which the range of the unfiltered signal is taken (192 ms)
DRIFT_UV: Final = 5.0  # µV below which neither that range nor a size says anything
NOISIEST: Final = 2.0  # envelope of refused peaks over that of a beat; more says no more
WIDTH: Final = 19  # steps before the peak in which the feature may already be half as high (152 ms)

#: What is learned from a beat: part of a candidate, and what is kept of the best one refused.
BEAT = np.dtype(
    [
        ("at", "i8"),
        ("score", "f8"),
        ("slope", "f8"),
        ("envelope", "f8", (LEADS,)),
        ("size", "f8", (LEADS,)),
        ("sharp", "f8", (LEADS,)),
    ],
    align=True,
)

#: A candidate and all that is known of it.
CANDIDATE = np.dtype(
    [
        ("at", "i8"),  # step of the feature's peak
        ("height", "f8"),  # its feature
        ("score", "f8"),  # log odds of a beat
        ("slope", "f8"),  # its steepest slope against the leads' envelopes
        ("envelope", "f8", (LEADS,)),
        ("size", "f8", (LEADS,)),  # µV, greatest deflection
        ("sharp", "f8", (LEADS,)),  # `detector.envelope.sharpest`
        ("measures", "f8", (COUNT,)),
        ("waveform", "f8", (LEADS, WAVEFORM)),  # signal without baseline, in `PER_BAND` µV: whole numbers
        ("shape", "i8"),  # likest shape; -1: none
        ("shift", "i8"),
        ("fit", "f8"),  # likeness to it
        ("likeness", "f8"),  # to the shapes that count
        ("known", "i8"),  # 1: enough beats are known for likeness to a shape to count
        ("recalled", "f8"),  # likeness to what is remembered (`detector.memory`); below -1: nothing is
        ("recalled_shift", "i8"),
    ],
    align=True,
)


@hot
def weigh(state: Row, scratch: Row, index: int, paced: bool) -> None:
    """Find `state.candidate.score` of the feature's peak at step `state.best_at`.

    Parameters
    ----------
    state : detector.qrs_state.QRS
    scratch : detector.scratch.SCRATCH
    index : int
        That step, counted from the first of this call.
    paced : bool
        Whether the heart is being paced.
    """
    candidate = state.candidate
    candidate.at = state.best_at
    candidate.height = state.best
    candidate.shape = -1
    candidate.shift = 0
    active = 0
    for lead in range(LEADS):
        active += scratch.gain[lead] > 0.0
    if active == 0:  # all leads were lost on the way down
        return
    lost = candidate.at - state.last_direct > LOST  # what beats looked like says nothing until there is one again
    _measure(state, scratch, index, paced, state.best_at - state.last, lost)
    compare(state, scratch)
    recall(state, scratch, lost)
    known = state.shape.beats[0] + state.shape.beats[1] >= KNOWN and candidate.likeness > -2.0 and not lost
    candidate.known = known
    likeness = candidate.likeness if known else UNKNOWN
    candidate.measures[M_LIKENESS] = likeness
    candidate.measures[M_LIKENESS_SQUARED] = likeness * abs(likeness)
    candidate.measures[M_SHARPNESS] = 0.0
    candidate.measures[M_SHARP_LIKENESS] = likeness
    candidate.measures[M_REFUSED_SHARPNESS] = state.refused_sharpness
    if known:
        sharpen(state, scratch)
    begins = state.n < BEGIN and candidate.at - state.first_reading < BEGIN_STEPS
    candidate.score = score(candidate.measures, scratch.weights[1 if begins else 0])
    if known and likeness > SURE_LIKENESS and candidate.height > SURE_HEIGHT:
        candidate.score = max(candidate.score, CLEAR)


@hot
def _measure(state: Row, scratch: Row, index: int, paced: bool, since: int, lost: bool) -> None:
    """Fill in all measures but likeness, and the waveform around the candidate."""
    candidate, measures = state.candidate, state.candidate.measures
    measures[:] = 0.0
    measures[M_ONE] = 1.0
    measures[M_LEAST] = np.inf
    weights = 0.0
    leads = 0
    for lead in range(LEADS):
        candidate.envelope[lead] = state.at_best[lead]
        candidate.sharp[lead] = sharpest(scratch.lead[lead].work, index) if state.lead[lead].run > 0 else 0.0
        if scratch.gain[lead] > 0.0:
            weights += state.levels[lead].weight
            leads += 1
            _add_lead(state, scratch, lead, index, paced, lost)
        else:
            candidate.size[lead] = 0.0
            candidate.waveform[lead, :] = 0.0
    for number in AVERAGED:
        measures[number] /= weights
    measures[M_RESTLESS] /= leads
    candidate.slope = measures[M_STEEPNESS]
    measures[M_HEIGHT] = state.best
    measures[M_WIDTH] = _width(scratch.feature[BACK + index - WIDTH : BACK + index], state.best)
    _take_logarithms(measures, leads)
    _compare_with_last(state, scratch, since)


@hot
def _add_lead(state: Row, scratch: Row, lead: int, index: int, paced: bool, lost: bool) -> None:
    """Add what a lead says to the measures: those that are averaged over the leads by their weights, and others."""
    candidate, levels, work = state.candidate, state.levels[lead], scratch.lead[lead].work
    measures = candidate.measures
    weight, level = levels.weight, max(levels.signal, FLOOR)
    size_uv = band(work, index - CENTRE_BACK - WAVEFORM // 2, paced, candidate.waveform[lead]) * PER_BAND
    candidate.size[lead] = size_uv
    measures[M_STEEPNESS] += weight * (steepest(work, index) / level)
    measures[M_SIZE] += weight * (size_uv / levels.size if levels.size > 0.0 and not lost else state.best)
    measures[M_NOISE] += weight * min(levels.noise / level, NOISIEST)
    measures[M_DRIFT] += weight * math.log((moved(work, index, DRIFT, paced) + DRIFT_UV) / (size_uv + DRIFT_UV))
    envelope, unrest = state.at_best[lead] / level, levels.restless / level
    measures[M_LEAST] = min(measures[M_LEAST], envelope)
    measures[M_MOST] = max(measures[M_MOST], envelope)
    measures[M_RESTLESS] += unrest
    at_rest = min(envelope, 1.2) * min(max(1.0 - unrest / RESTLESS, 0.0), 1.0)
    measures[M_HEIGHT_AT_REST] = max(measures[M_HEIGHT_AT_REST], at_rest)
    sharp_level = max(levels.sharp if not lost else SHARP_USUAL * level, SHARP_FLOOR)
    measures[M_SHARP_HEIGHT] += weight * (candidate.sharp[lead] / sharp_level)
    measures[M_SHARP_NOISE] += weight * min(levels.sharp_noise / sharp_level, NOISIEST)
    measures[M_SHARP_UNREST] += weight * min(levels.sharp_unrest / sharp_level, NOISIEST)


@hot
def _take_logarithms(measures: Array, leads: int) -> None:
    """Tell ratios by their logarithms: twice as much says as much for a beat as half as much says against it."""
    for number, least in LOGARITHMS:  # one by one: so little need be kept in registers across each call
        measures[number] = math.log(measures[number] + least)
    measures[M_MOST] = math.log(measures[M_MOST] + FAINT) if leads > 1 else measures[M_LEAST]


@hot
def _compare_with_last(state: Row, scratch: Row, since: int) -> None:
    """Whether a beat is due, and whether this is the T wave of the last one; `since` are steps since that."""
    measures = state.candidate.measures
    rr = since / state.expected if state.n_rr >= 4 else 1.0
    off = (rr - 1.0) / RR_SPREAD
    measures[M_ON_TIME] = math.exp(-0.5 * off * off)
    measures[M_DUE] = min(rr, DUE)
    if since < T_WAVE or since < t_wave(state.rr[(state.n_rr - 1) % MEDIAN_OF] if state.n_rr > 0 else 0.0):
        measures[M_STEEPNESS_IN_T] = math.log((state.candidate.slope + FAINT) / (state.last_slope + 0.05))
    faded = scratch.faded[since] if since < FADED else math.exp(-since / FADING)
    measures[M_SIZE_IN_T] = faded * measures[M_SIZE]


@hot
def t_wave(rr: float) -> float:
    """Steps after a beat in which its T wave may rise, by the RR interval before it, in steps."""
    return min(T_WAVE * math.sqrt(max(rr / T_WAVE_RR, 1.0)), T_WAVE_LONGEST)


@hot
def _width(before: Array, best: Float32) -> float:
    """Share of the steps before a peak in which the feature was already half as high."""
    half = np.float32(0.5) * best
    wide = 0
    for i in range(WIDTH):
        wide += before[i] > half
    return wide / WIDTH


assert WIDTH + WAIT <= BACK, "too little of the feature is kept"
