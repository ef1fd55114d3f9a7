"""The one number that is near 1 at every beat: the leads' envelopes, each in units of its own recent beats.

They are averaged with weights by the square of their signal-to-noise ratio, so that a noisy lead is hardly heard, and
one that is lost not at all.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.desk import BACK
from detector.jit import kernel
from detector.types import LEADS, Row
from detector.usual import FLOOR

LEARNED: Final = 3  # beats after which a lead is heard before those that have had none


@kernel
def alike(desk: Row, start: int, steps: int) -> int:
    """Where the stretch from `start` on ends in which no lead comes or goes."""
    end = steps
    for lead in range(LEADS):
        valid = desk.lead[lead].work.valid[start:steps]
        there = 0
        for i in range(len(valid)):
            there += valid[i]
        if there > 0 and there < len(valid):
            change = 1
            while valid[change] == valid[0]:
                change += 1
            end = min(end, start + change)
    return end


@kernel
def gains(state: Row, desk: Row) -> None:
    """What each lead's envelope counts for in the feature: its weight, in units of its beats; 0 while it is unheard."""
    learned = False
    for lead in range(LEADS):
        learned = learned or (state.lead[lead].run > 0 and state.usual[lead].n_beats >= LEARNED)
    total = 0.0
    for lead in range(LEADS):
        usual = state.usual[lead]
        if state.lead[lead].run > 0 and (usual.n_beats >= LEARNED or not learned):
            total += usual.weight
    for lead in range(LEADS):
        usual = state.usual[lead]
        desk.gain[lead] = 0.0
        if state.lead[lead].run > 0 and (usual.n_beats >= LEARNED or not learned):
            desk.gain[lead] = usual.weight / max(usual.level, FLOOR) / total


@kernel
def features(desk: Row, start: int, end: int) -> None:
    """The feature of the steps [start, end) of this call, by the gains there are."""
    feature = desk.feature[BACK + start : BACK + end]
    envelope, gain = desk.lead[0].work.envelope[start:end], desk.gain[0]
    for i in range(len(feature)):
        feature[i] = gain * envelope[i]
    for lead in range(1, LEADS):
        gain = desk.gain[lead]
        if gain > np.float32(0.0):
            envelope = desk.lead[lead].work.envelope[start:end]
            for i in range(len(feature)):
                feature[i] += gain * envelope[i]
