"""What is kept of a bed for its QRS detection (`detector.qrs`), and how it begins."""

from __future__ import annotations

from typing import Final

import numpy as np

from detector import memory
from detector.candidate import BACK, BEAT, CANDIDATE, UNLIKELY
from detector.envelope import FRONT, clear
from detector.jit import hot
from detector.learning import BLUNT
from detector.levels import LEVELS, MEDIAN_OF, forget
from detector.shape import SHAPE
from detector.shape import begin as begin_shape
from detector.types import LEADS, LONG_AGO, Row

EXPECTED: Final = 100.0  # steps: RR expected before any is known (75 beats a minute)

QRS = np.dtype(
    [
        ("lead", FRONT, (LEADS,)),
        ("levels", LEVELS, (LEADS,)),
        ("loud", "i8", (LEADS,)),  # last step looked at in which a lead was loud
        ("silent", "u1", (LEADS,)),  # whether it has been silent too long, while another was loud
        ("shape", SHAPE),
        ("memory", memory.MEMORY),
        ("feature", "f4", (BACK,)),  # of the last steps, newest last
        ("best", "f4"),  # highest feature of the peak being followed; 0: none
        ("best_at", "i8"),
        ("at_best", "f8", (LEADS,)),  # envelopes there, once its call is over or it is looked at
        ("weighed", "i1"),  # whether its score is known: `NO`, `YES`, or `WEAK` where it hardly speaks for a beat
        ("candidate", CANDIDATE),
        ("last", "i8"),  # step of the last beat's feature
        ("last_r", "i8"),  # tick of its R peak
        ("upright", "f4", (LEADS,)),  # share of the last beats in each lead whose R peak points upwards
        ("last_direct", "i8"),  # step of the last beat that no search back was needed for
        ("last_slope", "f8"),
        ("last_height", "f4"),  # its feature
        ("refractory_checked", "i1"),  # 1 when what came within its refractory period has been looked at
        ("outdone", "i8"),  # the last beat that something much higher came after, by its number
        ("wary", "i8"),  # beats still to be waited for to the end
        ("rr", "f8", (MEDIAN_OF,)),
        ("n_rr", "i8"),
        ("expected", "f8"),  # median RR in steps
        ("kept", BEAT),  # the best candidate refused since the last beat, for the search back
        ("refused", "f8", (MEDIAN_OF,)),  # sharpness of the last candidates refused
        ("n_refused", "i8"),
        ("refused_sharpness", "f8"),  # its median
        ("n", "i8"),  # beats found
        ("first", "i8"),  # first step; -1 before it
        ("first_reading", "i8"),  # step of the first reading of any lead; -1 before it
    ],
    align=True,
)
NO, YES, WEAK = 0, 1, 2


@hot
def begin(state: Row) -> None:
    """Forget everything; the next step is the first."""
    for lead in range(LEADS):
        clear(state.lead[lead])
        levels = state.levels[lead]
        levels.hold = 0
        forget(levels)
    state.loud[:] = 0
    state.silent[:] = 0
    begin_shape(state.shape)
    memory.begin(state.memory)
    state.feature[:] = 0.0
    state.best = 0.0
    state.best_at = 0
    state.at_best[:] = 0.0
    state.weighed = NO
    state.candidate.score = UNLIKELY
    state.last = LONG_AGO
    state.last_r = LONG_AGO
    state.upright[:] = 1.0
    state.last_direct = LONG_AGO
    state.last_slope = 1.0
    state.last_height = 0.0
    state.refractory_checked = 1
    state.outdone = 0
    state.wary = 0
    state.rr[:] = 0.0
    state.n_rr = 0
    state.expected = EXPECTED
    state.kept.score = UNLIKELY
    state.refused[:] = 0.0
    state.n_refused = 0
    state.refused_sharpness = BLUNT
    state.n = 0
    state.first = -1
    state.first_reading = -1
