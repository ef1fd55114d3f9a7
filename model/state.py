"""What is remembered of a bed to read its next beat: its rhythm, its own beats, the LSTM's state.

One record of fixed size, part of the bed's row. All zeros is the state of a bed that has never had a beat.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.types import LEADS
from detector.waves import P_SPAN
from model.codes import CLASSES

UNITS: Final = 192  # room for the LSTM's units, or for a beat's embedding, of all networks of a model together
SCORES: Final = len(CLASSES)  # scores of a beat's classes, before the softmax
GROUPS: Final = 7  # kinds of beat kept per patient: own normal, ventricular of several foci, paced, artefact
RR_HISTORY: Final = 32  # RR intervals kept for quantiles and order: half a minute, long against a run of ectopy

PACES: Final = 64  # lengths of RR that are counted: sixteenths of an octave from 0.25 to 4 s
#: Beats whose P wave is kept: with a premature beat every other time, the one before the last is of the same kind.
EARLIER: Final = 2
USUALS: Final = 5  # measurements of the own normal beat whose usual value is kept (`model.sentence`)

# A beat's picture is sampled every 2 ticks (125 Hz) from 288 ms before R to 264 ms after it.
PICTURE: Final = 70
PICTURE_START: Final = -72  # ticks from R of its first sample
STEP: Final = 2  # ticks between its samples
QRS_FROM, QRS_TO = 24, 56  # its part that is compared as QRS: -96 to +152 ms
P_FROM, P_NEAR, P_TO = 0, 10, 27  # as P wave: -288 to -80 ms; from -208 ms where the T wave before is rarely in it
T_FROM, T_TO = 50, 70  # as ST segment and beginning T wave: +112 to +264 ms

#: One kind of beat of this patient, learned as beats come.
GROUP = np.dtype(
    [
        ("mv", "f4", (LEADS, PICTURE)),  # mean picture
        ("seen", "i4", (LEADS,)),  # beats averaged into each lead
        ("weight", "f4"),  # beats, those long past counting less
        ("early", "f4"),  # mean log2 of RR before it over the patient's own RR
        ("pause", "f4"),  # mean log2 of RR after it over the patient's own RR
        ("breadth", "f4"),  # mean breadth of its QRS, ms
    ],
    align=True,
)

#: A bed's language state.
LANGUAGE = np.dtype(
    [
        ("beats", "i8"),  # read so far
        ("peak", "i8"),  # tick of the last R peak
        ("rr", "f4", (RR_HISTORY,)),  # last RR intervals, s, in a ring by `intervals`
        ("intervals", "i8"),  # RR intervals so far
        ("fast", "f4"),  # mean log2 RR over about 6 beats
        ("slow", "f4"),  # over about 50 beats
        ("own", "f4"),  # the patient's own RR, log2 s: moves only by regular intervals
        ("jitter", "f4"),  # mean |log2 of successive RR ratio|
        ("last_rr", "f4"),  # s, 0 for none
        ("before_rr", "f4"),  # s, the one before that, 0 for none
        ("change", "f4"),  # log2 of the last RR over the one before
        ("turned", "f4"),  # mean product of successive changes over about 8 beats
        ("changed", "f4"),  # mean square of them
        ("long_jitter", "f4"),  # as `jitter`, over about 60 beats
        ("paces", "f4", (PACES,)),  # how many RR intervals were of each length, those long past counting less
        ("p", "f4", (EARLIER, LEADS, P_SPAN)),  # what came before the QRS of the last beats, mV, the last first
        ("p_there", "i4", (EARLIER, LEADS)),  # 1 where it could be read
        ("p_again", "f4"),  # mean likeness of the P wave to those of the beats before
        ("p_seen", "i4"),  # beats in it
        ("last_early", "f4"),  # log2 of the last RR over the own RR
        ("last_group", "i4"),  # of the last beat, + 1; 0: none
        ("before_group", "i4"),  # of the beat before that, likewise
        ("normal", "i4"),  # the group taken as the patient's own normal beat, + 1
        ("usual", "f4", (USUALS,)),  # mean of some measurements over own normal beats
        ("deviation", "f4", (USUALS,)),  # their mean distance from it
        ("unrest", "f4"),  # mean |log2 of RR over the own RR| of own normal beats
        ("sure", "f4"),  # mean log odds of the beats by the detector's score, over about 8 beats
        ("usual_beats", "i4"),  # beats in `usual` and `deviation`
        ("groups", GROUP, (GROUPS,)),
        ("before", "f4", (UNITS,)),  # the last beat's words, as each network embeds them, one after the other
        ("scores", "f4", (SCORES,)),  # its first word, as scores of the classes
        ("h", "f4", (UNITS,)),
        ("c", "f4", (UNITS,)),
    ],
    align=True,
)
