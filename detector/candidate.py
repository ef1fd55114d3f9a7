"""Is this peak a beat? What is measured of a candidate, for `detector.score` to weigh.

A candidate is a peak of the feature (`detector.qrs`). What speaks for a beat is that it is as high and as steep as the
beats before it, in the lead that rests most as well as in all of them; that it has their shape; that it comes when a
beat is due. What speaks against is a signal that never rests, peaks refused that were as high, a height that is not
steep (a T wave), a baseline that moves more than the peak, a peak that is long in coming (electrode motion).
Electrodes that move make waves as high as a QRS complex and seldom as *sharp*: so the second differences of the signal
(20 to 43 Hz), for its size, are set against those of the shape, and their likeness is taken.

Its *shape* is the signal without baseline around it, in all leads together, against two shapes learned from the beats
found: of the usual beat and of the ectopic one. Likeness is the weighted mean of the leads' correlations at the best of
a few shifts.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from detector import lanes
from detector.arrays import span_of
from detector.envelope import HELD, PER_BAND, PER_SMOOTH, SPAN, band, steepest
from detector.jit import hot
from detector.lanes import DOUBLES
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
    M_SHARP_LIKENESS,
    M_SHARPNESS,
    M_SIZE,
    M_SIZE_IN_T,
    M_STEEPNESS,
    M_STEEPNESS_IN_T,
    M_WIDTH,
    score,
)
from detector.types import LEADS, Array, Row, Single
from detector.usual import FLOOR

WAIT: Final = 17  # steps without a higher value that close a peak (136 ms)
REFRACTORY: Final = 24  # steps in which no second beat can start (192 ms, or 312 beats a minute)
T_WAVE: Final = 45  # steps after a beat in which a T wave may rise (360 ms)
RR_SPREAD: Final = 0.15  # of the expected RR: how far a sinus rhythm strays from it
DUE: Final = 1.0  # expected RR after which waiting longer makes a beat no likelier
FADING: Final = 30.0  # steps in which a T wave's being likely fades after a beat
FADED: Final = 256  # steps for which that is kept ready (2 s: as long as beats are apart)
RESTLESS: Final = 0.5  # mean envelope over that of a beat from which on a lead never rests: its height says nothing
UNKNOWN: Final = 0.7  # likeness while no shape is known: as of a common beat
BACK: Final = 40  # steps of the feature kept from before a call: a peak closes late and is looked at from before
SURE: Final = 2.0  # score that is enough before the peak has closed
SEARCHED: Final = 2.0  # a score above minus this is enough when a beat is overdue
#: Likeness and feature from which on a peak is a beat, whatever else is measured: those of a fast ventricular
#: tachycardia are wide, early and without rest.
SELF, ENOUGH = 0.9, 0.7
CLEAR: Final = SURE + 0.5  # its score at least
LOGARITHMS: Final = (M_HEIGHT, M_STEEPNESS, M_LEAST, M_SIZE, M_NOISE)  # taken as such, whatever else is known
UNLIKELY: Final = -99.0  # score of what is no candidate

HALF: Final = 7  # steps of a shape to each side of its centre (120 ms in all: a wide QRS complex)
POINTS: Final = 2 * HALF + 1
SHIFT: Final = 1  # steps by which a beat may lie beside the centre of its envelope
SHIFTS: Final = 2 * SHIFT + 1
NEAR: Final = POINTS + SHIFTS - 1
CENTRE_BACK: Final = SPAN // 2 + 1  # steps from the envelope's peak back to the middle of the filtered QRS
SHAPES: Final = 2  # the usual beat and the ectopic one
SAME: Final = 0.7  # likeness from which on a beat is of a known shape
LEARN: Final = 0.15  # share of a new beat in its shape
KNOWN: Final = 4.0  # beats that make the shapes count
LOST: Final = 2250  # steps without a beat but by search back after which shapes and sizes do not count (18 s)
TRUSTED: Final = 2.0  # beats of a shape that counts
OFTEN: Final = 30.0  # beats of a shape remembered at most
DRIFT: Final = 24  # steps up to the envelope's peak over which the unfiltered signal's way is taken (192 ms)
DRIFT_UV: Final = 5.0  # µV below which neither that way nor a size says anything
SHARP_UV: Final = 5.0  # µV below which neither a second difference nor the size it is set against says anything
NOISIEST: Final = 2.0  # envelope of refused peaks over that of a beat; more says no more
WIDTH: Final = 19  # steps before the peak in which the feature may already be half as high (152 ms)
WANE: Final = 0.98  # what the other shape keeps of its count at each beat

#: A candidate and all that is known of it.
CANDIDATE = np.dtype(
    [
        ("at", "i8"),  # step of the feature's peak
        ("height", "f8"),  # its feature
        ("score", "f8"),  # log odds of a beat
        ("slope", "f8"),  # its steepest slope against the leads' envelopes
        ("size", "f8", (LEADS,)),  # µV, greatest deflection
        ("measures", "f8", (COUNT,)),
        ("near", "f8", (LEADS, NEAR)),  # signal without baseline, in `PER_BAND` µV: whole numbers
        ("shape", "i8"),  # likest shape; -1: none
        ("shift", "i8"),
        ("fit", "f8"),  # likeness to it
        ("likeness", "f8"),  # to the shapes that count
        ("known", "i8"),  # shapes that count there are
    ],
    align=True,
)

SHAPE = np.dtype(
    [
        ("points", "f8", (SHAPES, LEADS, POINTS)),  # in `PER_BAND` µV
        ("size", "f8", (SHAPES, LEADS)),  # root of the sum of their squares
        ("beats", "f8", (SHAPES,)),
    ],
    align=True,
)


@hot
def begin(shape: Row) -> None:
    """No shape is known."""
    shape.points[:] = 0.0
    shape.size[:] = 1.0
    shape.beats[:] = 0.0


@hot
def weigh(state: Row, desk: Row, index: int) -> None:
    """Find `state.candidate.score` of the feature's peak at step `state.best_at`.

    Parameters
    ----------
    state : detector.qrs.QRS
    desk : detector.desk.DESK
    index : int
        That step, counted from the first of this call.
    """
    candidate = state.candidate
    candidate.at = state.best_at
    candidate.height = state.best
    candidate.shape = -1
    candidate.shift = 0
    heard = 0
    for lead in range(LEADS):
        heard += desk.gain[lead] > 0.0
    if heard == 0:  # all leads were lost on the way down
        return
    lost = candidate.at - state.sure > LOST  # what beats looked like says nothing until there is one again
    _measure(state, desk, index, state.best_at - state.last, lost)
    _compare(state, desk)
    known = state.shape.beats[0] + state.shape.beats[1] >= KNOWN and candidate.likeness > -2.0 and not lost
    candidate.known = known
    likeness = candidate.likeness if known else UNKNOWN
    candidate.measures[M_LIKENESS] = likeness
    candidate.measures[M_LIKENESS_SQUARED] = likeness * abs(likeness)
    candidate.measures[M_SHARPNESS] = 0.0
    candidate.measures[M_SHARP_LIKENESS] = likeness
    candidate.measures[M_REFUSED_SHARPNESS] = state.refused_sharpness
    if known:
        _sharpen(state, desk)
    begins = state.n < BEGIN and candidate.at - state.heard < BEGIN_STEPS
    candidate.score = score(candidate.measures, desk.weights[1 if begins else 0])
    if known and likeness > SELF and candidate.height > ENOUGH:
        candidate.score = max(candidate.score, CLEAR)


@hot
def _measure(state: Row, desk: Row, index: int, since: int, lost: bool) -> None:
    """All measures but likeness; the signal around the candidate on the way."""
    candidate = state.candidate
    slope = 0.0
    size = 0.0
    weights = 0.0
    least = 1e9
    most = 0.0
    restless = 0.0
    noise = 0.0
    drift = 0.0
    at_rest = 0.0
    leads = 0
    for lead in range(LEADS):
        if desk.gain[lead] <= 0.0:
            candidate.size[lead] = 0.0
            candidate.near[lead, :] = 0.0
            continue
        usual = state.usual[lead]
        near = candidate.near[lead]
        size_uv = band(desk.lead[lead].work, index - CENTRE_BACK - NEAR // 2, near) * PER_BAND
        candidate.size[lead] = size_uv
        level = max(usual.level, FLOOR)
        envelope = state.at_best[lead] / level
        weight = usual.weight
        slope += weight * (steepest(desk.lead[lead].work, index) / level)
        size += weight * (size_uv / usual.size if usual.size > 0.0 and not lost else state.best)
        weights += weight
        noise += weight * min(usual.noise / level, NOISIEST)
        low, high = span_of(desk.lead[lead].work.b[HELD + index - DRIFT + 1 : HELD + index + 1])
        drift += weight * math.log(((high - low) * PER_SMOOTH + DRIFT_UV) / (size_uv + DRIFT_UV))
        least = min(least, envelope)
        most = max(most, envelope)
        unrest = usual.restless / level
        restless += unrest
        at_rest = max(at_rest, min(envelope, 1.2) * min(max(1.0 - unrest / RESTLESS, 0.0), 1.0))
        leads += 1
    slope /= weights
    size /= weights
    candidate.slope = slope
    rr = since / state.expected if state.n_rr >= 4 else 1.0
    off = (rr - 1.0) / RR_SPREAD
    measures = candidate.measures
    measures[M_ONE] = 1.0
    measures[M_HEIGHT] = state.best + 0.02
    measures[M_STEEPNESS] = slope + 0.02
    measures[M_LEAST] = least + 0.02
    measures[M_MOST] = most + 0.02
    measures[M_ON_TIME] = math.exp(-0.5 * off * off)
    measures[M_DUE] = min(rr, DUE)
    measures[M_LIKENESS] = 0.0
    measures[M_LIKENESS_SQUARED] = 0.0
    measures[M_RESTLESS] = restless / leads
    measures[M_STEEPNESS_IN_T] = (slope + 0.02) / (state.last_slope + 0.05)
    measures[M_SIZE] = size + 0.05
    measures[M_HEIGHT_AT_REST] = at_rest
    measures[M_NOISE] = noise / weights + 0.1
    measures[M_DRIFT] = drift / weights
    for number in LOGARITHMS:  # one after the other: what else is at work need not be put aside for each of them
        measures[number] = math.log(measures[number])
    measures[M_MOST] = math.log(measures[M_MOST]) if leads > 1 else measures[M_LEAST]
    measures[M_STEEPNESS_IN_T] = math.log(measures[M_STEEPNESS_IN_T]) if since < T_WAVE else 0.0
    measures[M_SIZE_IN_T] = (desk.faded[since] if since < FADED else math.exp(-since / FADING)) * measures[M_SIZE]
    measures[M_WIDTH] = _width(desk.feature[BACK + index - WIDTH : BACK + index], state.best)


@hot
def _width(before: Array, best: Single) -> float:
    """Share of the steps before a peak in which the feature was already half as high."""
    half = np.float32(0.5) * best
    wide = 0
    for i in range(WIDTH):
        wide += before[i] > half
    return wide / WIDTH


@hot
def _sizes(near: Array, out: Array) -> None:
    """Roots of the sums of squares at each shift: the squares are of whole numbers, and their sums exact in float64."""
    part = lanes.load(near, 0)
    sums = part * part
    for k in range(DOUBLES, POINTS - DOUBLES + 1, DOUBLES):
        part = lanes.load(near, k)
        sums = lanes.multiply_add(part, part, sums)
    total = lanes.total(sums)
    for k in range(POINTS // DOUBLES * DOUBLES, POINTS):
        total += near[k] * near[k]
    out[0] = math.sqrt(total + 1e-9)
    for shift in range(1, SHIFTS):
        total += near[shift + POINTS - 1] * near[shift + POINTS - 1] - near[shift - 1] * near[shift - 1]
        out[shift] = math.sqrt(total + 1e-9)


@hot
def _compare(state: Row, desk: Row) -> None:
    """Likeness to the shapes: the best of those that count, and which one fits best at which shift."""
    candidate = state.candidate
    best = likest = -2.0
    which, where = candidate.shape, candidate.shift
    weights = 0.0
    for lead in range(LEADS):
        if desk.gain[lead] > 0.0:
            weights += state.usual[lead].weight
            _sizes(candidate.near[lead], desk.size[lead])
    for shape in range(SHAPES):
        if state.shape.beats[shape] <= 0.0:
            continue
        for shift in range(SHIFTS):
            total = 0.0
            for lead in range(LEADS):
                if desk.gain[lead] > 0.0:
                    both = _both(candidate.near[lead], shift, state.shape.points[shape, lead])
                    size = desk.size[lead, shift] * state.shape.size[shape, lead]
                    total += state.usual[lead].weight * (both / size)
            likeness = total / weights
            better = likeness > best  # no branches here: they would be gambles
            which, where = shape if better else which, shift if better else where
            best = likeness if better else best
            trusted = state.shape.beats[shape] >= TRUSTED and likeness > likest
            likest = likeness if trusted else likest
    candidate.fit, candidate.likeness = best, likest
    candidate.shape, candidate.shift = which, where


@hot
def _sharpen(state: Row, desk: Row) -> None:
    """How sharp the signal is for its size, and how alike in that, against the likest shape.

    As was set before where none is known. Set against its size, it says nothing of how high the shape's beats were.
    """
    candidate = state.candidate
    weights = sharpness = likeness = 0.0
    for lead in range(LEADS):
        if desk.gain[lead] > 0.0:
            _bend(state.shape.points[candidate.shape, lead], 0, desk.usual_bend)
            usual = math.sqrt(_both(desk.usual_bend, 0, desk.usual_bend))
            if usual > 0.0:
                _bend(candidate.near[lead], candidate.shift, desk.bend)
                bend, size = math.sqrt(_both(desk.bend, 0, desk.bend)), desk.size[lead, candidate.shift]
                weight = state.usual[lead].weight
                weights += weight
                bent = (bend * PER_BAND + SHARP_UV) * (state.shape.size[candidate.shape, lead] * PER_BAND + SHARP_UV)
                flat = (usual * PER_BAND + SHARP_UV) * (size * PER_BAND + SHARP_UV)
                sharpness += weight * math.log(bent / flat)
                likeness += weight * (_both(desk.bend, 0, desk.usual_bend) / (bend * usual + 1e-9))
    if weights > 0.0:
        candidate.measures[M_SHARPNESS] = sharpness / weights
        candidate.measures[M_SHARP_LIKENESS] = likeness / weights


@hot
def _bend(values: Array, first: int, out: Array) -> None:
    """Second differences of the `POINTS` values from `first` on; the last two of `out` stay 0."""
    for k in range(POINTS - 2):
        out[k] = values[first + k] - 2.0 * values[first + k + 1] + values[first + k + 2]


@hot
def _both(near: Array, shift: int, points: Array) -> float:
    """Sum of products, in four sums side by side that need not wait for one another."""
    sums = lanes.load(near, shift) * lanes.load(points, 0)
    for k in range(DOUBLES, POINTS - DOUBLES + 1, DOUBLES):
        sums = sums + lanes.load(near, shift + k) * lanes.load(points, k)
    first = lanes.lane(sums, 0)
    for k in range(POINTS // DOUBLES * DOUBLES, POINTS):
        first += near[np.uint64(shift + k)] * points[np.uint64(k)]
    return float((first + lanes.lane(sums, 1)) + (lanes.lane(sums, 2) + lanes.lane(sums, 3)))


@hot
def learn(shape: Row, candidate: Row) -> None:
    """Learn the shape of a candidate that is a beat, in the leads that were heard."""
    which = candidate.shape
    fresh = which < 0 or candidate.fit < SAME
    if fresh:
        which = 0 if shape.beats[0] <= shape.beats[1] else 1
    share = 1.0 if fresh else max(LEARN, 1.0 / (shape.beats[which] + 1.0))
    shift = SHIFT if fresh else candidate.shift
    for lead in range(LEADS):
        if candidate.size[lead] > 0.0:
            points, near = shape.points[which, lead], candidate.near[lead]
            kept, new = lanes.spread(1.0 - share), lanes.spread(share)
            for k in range(0, POINTS - DOUBLES + 1, DOUBLES):
                mixed = kept * lanes.load(points, k) + new * lanes.load(near, shift + k)
                lanes.store(points, k, mixed)
            for k in range(POINTS // DOUBLES * DOUBLES, POINTS):
                points[k] = (1.0 - share) * points[k] + share * near[shift + k]
            shape.size[which, lead] = math.sqrt(_both(points, 0, points) + 1e-9)
        elif fresh:
            shape.points[which, lead, :] = 0.0
            shape.size[which, lead] = 1.0
    shape.beats[which] = 1.0 if fresh else min(shape.beats[which] + 1.0, OFTEN)
    shape.beats[1 - which] *= WANE


assert WIDTH + WAIT <= BACK, "too little of the feature is kept"
assert HALF + SHIFT - CENTRE_BACK <= 1, "a candidate would look ahead"
