"""What the detector is made of and what it says: rates, record layouts, events.

Everything after the resampler lives at one rate, `RATE`. An instant at that rate is a *tick*; tick 0 is the first
sample a bed ever sent. Where a bed starts anew, ticks go on without what lay between. All records are NumPy structured
types of fixed size, so that a bed's whole state is one row.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

#: A row of a structured array, and an array, as a kernel sees them.
Row = Any
Array = Any
#: A float32, which mypy does not take for a float.
Float32 = Any

RATE: Final = 250  # Hz: QRS and P waves end below 40 Hz, a QRS edge is placed to 4 ms; the rate of most monitors
TICK_MS: Final = 1000.0 / RATE
INVALID: Final = -32768  # sample of int16 that stands for no reading: WFDB's own mark for 16-bit signals
LEADS: Final = 2  # leads analysed per bed: the second serves when the first is bad, more add little to rhythm
RING: Final = 1024  # ticks of signal kept (4.1 s): a frame of 1 s, a beat's window and the RR before it
CHUNK: Final = 251  # ticks at once at most: those of a frame of 1 s
PULSES: Final = 128  # of a pacemaker kept: all in the signal of a beat that is found late, at the end of a long frame
EPOCH: Final = 25  # ticks between two judgements of the rules (100 ms)
EPOCH_QUEUE: Final = 16  # epochs kept between detection and judgement: a frame of 1 s makes 10
BEAT_QUEUE: Final = 16  # beats kept between detection and judgement: 1 s at the refractory period makes 6
AFTER: Final = 75  # ticks after the R peak at which a beat is read (300 ms): the ST segment and T wave's rise

LONG_AGO: Final = -(10**9)  # tick of what has never been

#: State of a lead, worst last.
GOOD, NOISY, SATURATED, FLAT, OFF = range(5)

#: One R peak as the QRS detector reports it.
PEAK = np.dtype(
    [
        ("tick", "i8"),  # of the R peak
        ("found", "i8"),  # tick at which the decision fell: nothing later was used
        ("log_odds", "f4"),  # log odds of its being a beat; below 0 if only the search back took it
        ("lead", "i4"),  # analysed lead the peak was placed on
    ],
    align=True,
)

#: The signal's condition over one epoch.
EPOCH_STATE = np.dtype(
    [
        ("tick", "i8"),  # last tick of the epoch
        ("lead", "i1", (LEADS,)),  # GOOD ... OFF of each lead
        ("readable", "i1"),  # 1 when at least one lead shows the heart, be it that a flat line says it stands still
        ("doubtful", "i1"),  # 1 while many of the beats found are likely wrong (`detector.doubt`)
        # Probability of ventricular fibrillation or flutter, 0 ... 1; below 0: unknown. Log odds until `doubt.follow`.
        ("vf", "f4"),
        ("vf_alone", "f8"),  # the same by the signal alone, whatever beats were found (f8: rows without gaps)
    ],
    align=True,
)

#: The last `RING` ticks of the analysed leads in mV (tick t at t % RING); NaN where there was no reading.
SIGNAL = np.dtype(
    [
        ("end", "i8"),  # first tick not yet written
        ("mv", "f4", (LEADS, RING)),
        (
            "pulse",
            "i8",
            (PULSES,),
        ),  # ticks of a pacemaker's last pulses (`detector.pulses`), in a ring by n_pulses
        ("n_pulses", "i8"),
        (
            "paced_since",
            "i8",
        ),  # tick at which the heart was last found to be paced; `LONG_AGO`: never
    ],
    align=True,
)
