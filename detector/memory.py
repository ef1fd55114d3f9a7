"""What is remembered of beats that were sure: their shape, their size and their rhythm.

Levels, sizes and shapes follow the last few beats accepted, whatever their score. Amid noise some of it is accepted,
they become those of the noise, and the next of it is the more likely to be accepted. So this memory is learned from
*sure* beats alone, with a score above `CONFIDENT_SCORE`, which noise hardly makes: it stays through minutes without.

A candidate is set against it in its likeness, in its size along that shape, and in both once more for the second
differences, in which moving electrodes are weak. Its time is set against the rhythm of the sure beats, counted on from
the last one: a beat missed or found too much in between does not matter.

What beats look like may change for good. After `CHANGED` sure beats in a row unlike it, it begins anew with the last of
them. But it may itself be why none is sure. So all of it is forgotten once no beat has been sure through some seconds
of a lead *at rest*, in which beats would have been: time in which all leads are moved does not count. Nor is it asked
where the shapes do not count (`detector.candidate.LOST`).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from detector.jit import hot
from detector.levels import MEDIAN_OF, median
from detector.score import (
    M_APART,
    M_IN_STEP,
    M_REMEMBERED,
    M_REMEMBERED_SHARP,
    M_REMEMBERED_SHARP_SIZE,
    M_REMEMBERED_SIZE,
    M_UNSURE,
)
from detector.shape import POINTS, SAME, SHIFT, SHIFTS, UNKNOWN, dot, mix, second_differences
from detector.types import LEADS, Row

CONFIDENT_SCORE: Final = 4.0  # score above which a beat is sure: 55 to 1
FEW: Final = 4  # sure beats, and intervals between them, before either is remembered
MIX: Final = 0.1  # share of a new beat in what is remembered
CHANGED: Final = 8  # sure beats in a row unlike what is remembered, after which it begins anew
SMALLEST: Final = 0.1  # times the size remembered: what is smaller says no more
AT_REST: Final = 15.0  # µV a step, half of `FLOOR`: restlessness below which a lead is at rest
UNSURE_AT_REST: Final = 375  # looks at rest without a sure beat (12 s) after which all is forgotten
LONG: Final = 250  # steps: what lies further apart is no interval between beats (2 s)
STRAYS: Final = 0.12  # of the interval: how far a beat strays from the rhythm
FORGETS: Final = 1250.0  # steps since the last sure beat in which the rhythm's saying fades to 1/e (10 s)
MANY: Final = 2.0  # intervals since the last sure beat; more says no more

MEMORY = np.dtype(
    [
        ("points", "f8", (LEADS, POINTS)),  # the shape, in `PER_BAND` µV
        ("size", "f8", (LEADS,)),  # root of the sum of their squares; 0: none of this lead
        ("beats", "i8"),  # sure beats it was learned from
        ("unlike", "i8"),  # sure beats in a row that were unlike it
        ("rested", "i8"),  # looks at rest since the last sure beat
        ("last", "i8"),  # step of the last sure beat
        ("rr", "f8", (MEDIAN_OF,)),  # steps from one to the next
        ("n_rr", "i8"),
        ("usual_rr", "f8"),  # their median
    ],
    align=True,
)


@hot
def begin(memory: Row) -> None:
    """Nothing is remembered."""
    forget_shape(memory)
    memory.rested = 0
    memory.last = -(10**9)
    memory.rr[:] = 0.0
    memory.n_rr = 0
    memory.usual_rr = 1.0


@hot
def forget_shape(memory: Row) -> None:
    """Beats may look like anything."""
    memory.points[:] = 0.0
    memory.size[:] = 0.0
    memory.beats = 0
    memory.unlike = 0


@hot
def forget_lead(memory: Row, lead: int) -> None:
    """A lead's electrode may have been moved; once that is so of all, nothing is remembered."""
    memory.size[lead] = 0.0
    left = 0
    for other in range(LEADS):
        left += memory.size[other] > 0.0
    if left == 0:
        begin(memory)


@hot
def count_rest(memory: Row, unrest: float) -> None:
    """Take how restless the lead is that rests most, one look after the other (`detector.levels.UNREST_EVERY`)."""
    if unrest < AT_REST:
        memory.rested += 1
        if memory.rested >= UNSURE_AT_REST:
            begin(memory)


@hot
def recall(state: Row, scratch: Row, lost: bool) -> None:
    """Set `state.candidate` against what is remembered; `detector.shape.compare` has been there before.

    Parameters
    ----------
    state : detector.qrs_state.QRS
    scratch : detector.scratch.SCRATCH
    lost : bool
        What beats looked like does not count.
    """
    _recall_rhythm(state.memory, state.candidate, lost)
    _find(state, scratch)
    memory, candidate, measures = state.memory, state.candidate, state.candidate.measures
    measures[M_REMEMBERED] = UNKNOWN
    measures[M_REMEMBERED_SHARP] = UNKNOWN
    measures[M_REMEMBERED_SIZE] = 0.0
    measures[M_REMEMBERED_SHARP_SIZE] = 0.0
    if lost or memory.beats < FEW or candidate.recalled < -1.0:
        return
    weights = size = sharp = sharp_size = 0.0
    shift = candidate.recalled_shift
    for lead in range(LEADS):
        if scratch.gain[lead] > 0.0 and memory.size[lead] > 0.0:
            weight = state.levels[lead].weight
            points = memory.points[lead]
            second_differences(points, 0, scratch.template_curvature)
            second_differences(candidate.waveform[lead], shift, scratch.curvature)
            squares = dot(scratch.template_curvature, 0, scratch.template_curvature)
            product = dot(scratch.curvature, 0, scratch.template_curvature)
            bent = math.sqrt(dot(scratch.curvature, 0, scratch.curvature)) * math.sqrt(squares)
            weights += weight
            size += weight * (dot(candidate.waveform[lead], shift, points) / (memory.size[lead] * memory.size[lead]))
            sharp += weight * (product / (bent + 1e-9))
            sharp_size += weight * (product / (squares + 1e-9))
    measures[M_REMEMBERED] = candidate.recalled
    measures[M_REMEMBERED_SHARP] = sharp / weights
    measures[M_REMEMBERED_SIZE] = math.log(max(size / weights, 0.0) + SMALLEST)
    measures[M_REMEMBERED_SHARP_SIZE] = math.log(max(sharp_size / weights, 0.0) + SMALLEST)


@hot
def _find(state: Row, scratch: Row) -> None:
    """Likeness to the shape remembered at the best shift; below -1 where there is none."""
    memory, candidate = state.memory, state.candidate
    best, where = -2.0, SHIFT
    weights = 0.0
    for lead in range(LEADS):
        if scratch.gain[lead] > 0.0 and memory.size[lead] > 0.0:
            weights += state.levels[lead].weight
    if weights > 0.0:
        for shift in range(SHIFTS):
            total = 0.0
            for lead in range(LEADS):
                if scratch.gain[lead] > 0.0 and memory.size[lead] > 0.0:
                    product = dot(candidate.waveform[lead], shift, memory.points[lead])
                    total += state.levels[lead].weight * (product / (scratch.size[lead, shift] * memory.size[lead]))
            likeness = total / weights
            better = likeness > best
            best, where = likeness if better else best, shift if better else where
    candidate.recalled, candidate.recalled_shift = best, where


@hot
def _recall_rhythm(memory: Row, candidate: Row, lost: bool) -> None:
    """Does it come a whole number of usual intervals after the last sure beat, and how long ago was that?"""
    measures = candidate.measures
    measures[M_IN_STEP] = 0.0
    measures[M_UNSURE] = 0.0
    measures[M_APART] = 0.0
    if memory.n_rr >= FEW and not lost:
        since = float(candidate.at - memory.last)
        apart = since / memory.usual_rr
        off = (apart - max(math.floor(apart + 0.5), 1.0)) / STRAYS
        measures[M_IN_STEP] = math.exp(-0.5 * off * off - since / FORGETS)
        measures[M_UNSURE] = min(since / FORGETS, 1.0)
        measures[M_APART] = min(apart, MANY)


@hot
def learn(memory: Row, candidate: Row) -> None:
    """Learn from a candidate that is told as a beat, if it is sure."""
    if not candidate.score > CONFIDENT_SCORE:
        return
    memory.rested = 0
    if candidate.at - memory.last < LONG:
        memory.rr[memory.n_rr % MEDIAN_OF] = float(candidate.at - memory.last)
        memory.n_rr += 1
        memory.usual_rr = median(memory.rr, memory.n_rr)
    memory.last = candidate.at
    if memory.beats >= FEW and -1.0 <= candidate.recalled <= SAME:
        memory.unlike += 1
        if memory.unlike < CHANGED:
            return
        forget_shape(memory)
    memory.unlike = 0
    memory.beats += 1
    shift = SHIFT if memory.beats == 1 else candidate.recalled_shift
    for lead in range(LEADS):
        if candidate.size[lead] > 0.0:
            share = 1.0 if memory.size[lead] == 0.0 else max(1.0 / memory.beats, MIX)
            memory.size[lead] = mix(memory.points[lead], candidate.waveform[lead], shift, share)
