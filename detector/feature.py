"""The one number that is near 1 at every beat: the leads' envelopes, each in units of its own recent beats.

They are averaged with weights by the square of their signal-to-noise ratio, so that a noisy lead hardly counts, and
one that is lost not at all. Nor is one that shows no beats while another does: an electrode that has come off still
picks up hum or the breath, which is no flat line, and nothing in it speaks for a beat.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector import simd
from detector.candidate import BACK, WAIT
from detector.jit import hot
from detector.levels import FLOOR
from detector.simd import F32_LANES
from detector.types import LEADS, Row

LOUD: Final = 15.0  # µV a step, half of `FLOOR`: an envelope that no QRS worth finding stays below, and hum does
LOUD_EVERY: Final = 4  # steps between two looks at whether a lead is loud: a QRS is one for 13
SILENT: Final = 188  # steps by which another lead must have been loud later: longer than any RR expected (1.5 s)
LEARNED: Final = 3  # beats after which a lead is used before those that have had none


@hot
def next_lead_change(scratch: Row, start: int, steps: int) -> int:
    """First step after `start` at which a lead comes or goes, or `steps`."""
    end = steps
    for lead in range(LEADS):
        if scratch.lead[lead].uniform:
            continue
        valid = scratch.lead[lead].work.valid[start:steps]
        there = 0
        for i in range(len(valid)):
            there += valid[i]
        if there > 0 and there < len(valid):
            change = 1
            while valid[change] == valid[0]:
                change += 1
            end = min(end, start + change)
    return end


@hot
def is_active(state: Row, lead: int) -> bool:
    """Whether a lead has a reading, and is not silent where another shows beats."""
    return bool(state.lead[lead].run > 0 and not state.silent[lead])


@hot
def mark_silent(state: Row) -> None:
    """Which leads have been silent too long while another was loud, by `state.loud` as it is."""
    for lead in range(LEADS):
        state.silent[lead] = 0
        if state.lead[lead].run > 0:
            for other in range(LEADS):
                if state.lead[other].run > 0 and state.loud[other] - state.loud[lead] > SILENT:
                    state.silent[lead] = 1


@hot
def track_loud(state: Row, scratch: Row, origin: int, start: int, end: int) -> int:
    """Follow when each lead is loud over the steps [start, end) of this call, in which no lead comes or goes.

    Returns the first step from which `mark_silent` says something else than it did, or `end`.
    """
    running = 0
    for lead in range(LEADS):
        running += state.lead[lead].run > 0
    first = start + LOUD_EVERY - 1 - (origin + start) % LOUD_EVERY
    if running == 1:  # nobody is silent beside it: when it was loud last is all there is to know
        for lead in range(LEADS):
            if state.lead[lead].run > 0:
                envelope = scratch.lead[lead].work.envelope
                index = first + (end - 1 - first) // LOUD_EVERY * LOUD_EVERY
                while index >= first and envelope[index] <= np.float32(LOUD):
                    index -= LOUD_EVERY
                if index >= first:
                    state.loud[lead] = origin + index
        return end
    for index in range(first, end, LOUD_EVERY):
        for lead in range(LEADS):
            if state.lead[lead].run > 0 and scratch.lead[lead].work.envelope[index] > np.float32(LOUD):
                state.loud[lead] = origin + index
        if _changes(state):
            return index
    return end


@hot
def _changes(state: Row) -> bool:
    for lead in range(LEADS):
        silent = False
        for other in range(LEADS):
            late = state.loud[other] - state.loud[lead] > SILENT
            silent = silent or (late and state.lead[other].run > 0)
        if state.lead[lead].run > 0 and silent != (state.silent[lead] != 0):
            return True
    return False


@hot
def gains(state: Row, scratch: Row) -> None:
    """What each lead's envelope counts for in the feature: its weight, in units of its beats; 0 while unused."""
    learned = False
    for lead in range(LEADS):
        learned = learned or (is_active(state, lead) and state.levels[lead].n_beats >= LEARNED)
    total = 0.0
    for lead in range(LEADS):
        levels = state.levels[lead]
        if is_active(state, lead) and (levels.n_beats >= LEARNED or not learned):
            total += levels.weight
    for lead in range(LEADS):
        levels = state.levels[lead]
        scratch.gain[lead] = 0.0
        if is_active(state, lead) and (levels.n_beats >= LEARNED or not learned):
            scratch.gain[lead] = levels.weight / max(levels.signal, FLOOR) / total


@hot
def features(scratch: Row, start: int, end: int) -> None:
    """The feature of the steps [start, end) of this call, by the gains there are; a few more may follow it."""
    feature = scratch.feature
    envelope, gain = scratch.lead[0].work.envelope, simd.broadcast(scratch.gain[0])
    for i in range(start, end, F32_LANES):
        simd.store(feature, BACK + i, gain * simd.load(envelope, i))
    for lead in range(1, LEADS):
        if scratch.gain[lead] > np.float32(0.0):
            envelope, gain = scratch.lead[lead].work.envelope, simd.broadcast(scratch.gain[lead])
            for i in range(start, end, F32_LANES):
                simd.store(feature, BACK + i, simd.load(feature, BACK + i) + gain * simd.load(envelope, i))


@hot
def note_first_reading(state: Row, scratch: Row, origin: int, start: int) -> None:
    """Note where readings begin: electrodes may be put on long after the monitor has been switched on."""
    for lead in range(LEADS):
        if scratch.lead[lead].work.valid[start]:
            state.first_reading = origin + start


@hot
def is_peak(scratch: Row, index: int) -> bool:
    """False when the feature was higher within `WAIT` before step `index` of this call: the tail of an earlier peak."""
    feature, at = scratch.feature, BACK + index
    now = simd.broadcast(feature[np.uint64(at)])
    higher = 0
    for back in range(1, WAIT + 1, F32_LANES):  # the last vector reaches back as far as `WAIT`, over some once more
        higher |= simd.mask_gt(simd.load(feature, at - min(back + F32_LANES - 1, WAIT)), now)
    return higher == 0


assert 2 * WAIT <= BACK, "too little of the feature is kept"
