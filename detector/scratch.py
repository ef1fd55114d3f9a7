"""Scratch memory: what a call of the detector needs while it lasts, and nothing that belongs to a bed.

One serves all beds of a worker in turn. It keeps no state of theirs; the weights of the resampler's rates, which it
does keep, follow from the rates alone.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detector.candidate import BACK, CANDIDATE, FADED, FADING
from detector.envelope import STEPS, WORK
from detector.levels import UNREST_EVERY
from detector.resample import PHASES, RATES, SAMPLES
from detector.score import BEGIN_FILE, COUNT, UNITS, load
from detector.shape import POINTS, SHIFTS
from detector.simd import F32_LANES, room
from detector.types import CHUNK, EPOCH_QUEUE, LEADS
from detector.vf_measures import WAVE

CARRIED_TICKS: Final = (
    32  # ticks before this call's: of a begun epoch, and those `detector.quality` and `pulses` look back to
)
WINDOW: Final = 104  # ticks of signal in which an R peak is looked for, and what comes before it
JUDGED: Final = 64  # candidates of one call that are kept for who fits the weights
WEIGHTS: Final = np.stack([load(), load(BEGIN_FILE)])

#: One decision of a call on a peak (`detector.doubt`): the step at which it fell, and what it adds to each sum.
DECIDED = np.dtype([("step", "i8"), ("told", "f8"), ("wrong", "f8"), ("score", "f8")], align=True)

TRACK = np.dtype(
    [
        ("mv", "f4", (room(CHUNK),)),  # the ticks of this call; NaN: no reading
        ("blank", "i8"),  # how many of them have none
        ("gone", "i8"),  # 1: it has had none for so long that only the last one is left, in the first tick of `uv`
        # Whole microvolts, after those of before; the last reading held where there is none.
        ("uv", "f4", (CARRIED_TICKS + room(CHUNK),)),
        ("there", "u1", (CARRIED_TICKS + CHUNK + 1,)),  # whether there is a reading
        ("valid", "u1", (CHUNK + 1,)),  # whether the lead may carry beats there
        ("rough", "f4", (EPOCH_QUEUE,)),  # roughness and movement of each epoch of this call,
        ("move", "f4", (EPOCH_QUEUE,)),
        ("states", "i1", (EPOCH_QUEUE,)),  # and the lead's state after it
        ("unrest", "f8", (STEPS // UNREST_EVERY + 2,)),  # how restless it is after each look of this call,
        ("sharp_unrest", "f8", (STEPS // UNREST_EVERY + 2,)),  # and how much so in what is sharp
        ("carries", "i8"),  # 1: it may in all ticks of this call
        ("uniform", "i8"),  # 1: its steps are all valid, or none is
        ("work", WORK),
    ],
    align=True,
)

SCRATCH = np.dtype(
    [
        ("phases", PHASES, (RATES,)),
        ("turn", "i8"),  # whose place is given to a rate for which there is none
        ("samples", SAMPLES),
        ("lead", TRACK, (LEADS,)),
        ("pulses", "f8", (CARRIED_TICKS + CHUNK,)),  # how surely a lead shows a pacemaker's pulse there; 0: it does not
        ("size", "f8", (LEADS, SHIFTS)),  # of a candidate's shape at each shift
        ("curvature", "f8", (POINTS,)),  # second differences of a candidate in a lead,
        ("template_curvature", "f8", (POINTS,)),  # and of the likest shape
        ("window", "f4", (WINDOW,)),  # of the signal, in which the R peak is looked for
        ("sizes", "f4", (WINDOW,)),  # of its deflections
        ("wave", WAVE),
        ("gain", "f4", (LEADS,)),  # what a lead's envelope counts for in the feature; 0: it is not used
        ("feature", "f4", (BACK + room(STEPS),)),
        ("judged", CANDIDATE, (JUDGED,)),
        ("n_judged", "i8"),
        ("decided", DECIDED, (2 * STEPS,)),  # of this call: a step decides on one peak, and takes one back at most
        ("n_decided", "i8"),
        ("faded", "f8", (FADED,)),  # how likely a T wave still is so many steps after a beat
        ("weights", "f8", (2, COUNT + 1, UNITS + 1)),  # of `detector.score`: in general, and of a bed's first beats
    ],
    align=True,
)


assert CARRIED_TICKS % F32_LANES == 0, "copied in whole vectors"


def new_scratch(weights: npt.NDArray[np.float64] = WEIGHTS) -> npt.NDArray[Any]:
    """Scratch memory, shape (1,), with the weights a candidate is judged by: both, or the same for all beats."""
    made = np.zeros(1, SCRATCH)
    made["weights"] = weights
    made["faded"] = [math.exp(-steps / FADING) for steps in range(FADED)]
    return made
