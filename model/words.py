"""The language of beats: what is said about a beat, and on which scales.

A beat is a sentence of fixed length (`model.sentence`). It has one **shape word** per lead, the k-means cluster
(`model.vocabulary`) of a text that draws the lead's curve in letters (`model.letters`), and a fixed list of **measured
words** (`WORDS`), each a level on a scale: when the beat came, how it resembles the patient's own normal beat, which of
the patient's kinds of beat it is and how that kind has behaved so far. Every word is free of gain: a monitor that shows
the ECG twice as tall says the same.

Nothing here is learned from a training set, so what is said about a beat never changes with the model; only the
vocabulary and the network that read it do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from detector.jit import kernel


@dataclass(frozen=True)
class Word:
    """A measured word: a scale cut into equal steps.

    Attributes
    ----------
    name : str
        What it speaks of.
    meaning : str
        What is measured, with its unit.
    low, step : float
        Upper edge of level 0 and distance of the following edges.
    levels : int
        How many levels; one more says "cannot be told".
    """

    name: str
    meaning: str
    low: float
    step: float
    levels: int


WORDS: Final = (
    Word("rr", "log2 of the RR interval in s", -2.0, 0.125, 28),
    Word("rr/last", "log2 of RR over the RR before", -1.2, 0.1, 25),
    Word("rr/fast", "log2 of RR over its mean of about 6 beats", -1.2, 0.08, 31),
    Word("rr/slow", "log2 of RR over its mean of about 50 beats", -1.2, 0.08, 31),
    Word("rr/own", "log2 of RR over the patient's own regular RR", -1.2, 0.08, 31),
    Word("rr/long", "log2 of RR over the 80th percentile of the last 32", -1.5, 0.1, 20),
    Word("last/own", "log2 of the RR before over the patient's own", -1.2, 0.15, 17),
    Word("rr/half", "log2 of RR over its median of several minutes", -1.2, 0.08, 31),
    Word("rr/rest", "log2 of RR over its 85th percentile of several minutes", -1.5, 0.1, 22),
    Word("shorter", "share of the RR of several minutes that were shorter", 0.02, 0.06, 17),
    Word("pair/half", "log2 of the mean of this RR and the one before over the median", -0.8, 0.06, 27),
    Word("rr/before", "log2 of RR over the RR before the last", -1.2, 0.1, 25),
    Word("turns", "whether RR goes up and down by turns: -correlation of its changes", -0.9, 0.15, 13),
    Word("unrest", "log2 of the mean change of RR over about 60 beats", -6.0, 0.5, 12),
    Word("jitter", "log2 of the mean change of RR from beat to beat", -6.0, 0.5, 12),
    Word("entropy", "sample entropy of the last 32 RR, bits: how little one foretells the next", 0.25, 0.25, 16),
    Word("scatter", "how seldom two of the last 32 RR are alike within 7 %, bits", 0.25, 0.25, 20),
    Word("rare", "how seldom an RR like this was among them, bits", 0.25, 0.4, 16),
    Word("like1", "likeness of the QRS to the own normal beat, lead 1: -log2 of 1 - correlation", 0.0, 0.4, 16),
    Word("like2", "the same in lead 2", 0.0, 0.4, 16),
    Word("apart", "difference of the QRS from the own normal beat, both leads, log2", -5.0, 0.4, 18),
    Word("size", "log2 of QRS energy over the own normal beat's", -2.0, 0.25, 17),
    Word("broad", "breadth of the QRS, ms, log2", 3.5, 0.2, 20),
    Word("broad/own", "log2 of its breadth over the own normal beat's", -0.9, 0.15, 17),
    Word("width", "onset to offset of the QRS, ms", 60.0, 12.0, 18),
    Word("steep", "log2 of steepest slope over amplitude, 1/s", 3.0, 0.2, 20),
    Word("twave", "likeness of ST-T to the own normal beat, both leads", 0.0, 0.4, 12),
    Word("p1", "likeness of 208 to 76 ms before R to the own normal beat's, lead 1", 0.0, 0.35, 14),
    Word("p2", "the same in lead 2", 0.0, 0.35, 14),
    Word("p", "difference of the P wave's part from the own, both leads, log2 of energy", -5.0, 0.5, 24),
    Word("p/last", "correlation of what comes before the QRS with the same before the last beat", -0.8, 0.12, 16),
    Word("p/before", "the same with the beat before the last", -0.8, 0.12, 16),
    Word(
        "p again",
        "mean of the greater of both over about 30 beats; low in fibrillation",
        0.0,
        0.07,
        15,
    ),
    Word("hump", "log2 of the P wave's height over the QRS's", -6.0, 0.5, 13),
    Word("pr", "P wave's peak before QRS onset, ms", 40.0, 16.0, 10),
    Word("nearest", "difference from the nearest kind of beat, log2", -6.0, 0.5, 13),
    Word("share", "log2 of that kind's share of the beats", -7.0, 0.5, 14),
    Word("early", "how early that kind came so far, log2", -1.0, 0.1, 18),
    Word("pause", "the pause behind that kind so far, log2", -0.6, 0.1, 14),
    Word("kind", "log2 of that kind's breadth over the own normal beat's", -0.9, 0.15, 17),
    Word("kin", "difference of that kind from the own normal beat, log2", -5.0, 0.4, 18),
    Word("again", "same kind as the last beat (2), the one before (1), neither (0)", 0.5, 1.0, 3),
    Word("st", "ST level at J + 60 ms over QRS height", -0.4, 0.1, 9),
    Word("turn", "polarity of the QRS, lead 1 + 2 * lead 2", -2.0, 2.0, 4),
    Word("apart/usual", "`apart` over its usual value in the own normal beats, in usual deviations", -3.0, 0.75, 24),
    Word("twave/usual", "`twave` likewise", -12.0, 0.75, 22),
    Word("p/usual", "`p` likewise", -3.0, 0.75, 22),
    Word("broad/usual", "`broad` likewise", -6.0, 0.75, 24),
    Word("hump/usual", "`hump` likewise", -6.0, 0.75, 18),
    Word("rr/usual", "`rr/own` in usual deviations of the own normal beats", -9.0, 0.6, 28),
    Word("own p", "log2 of energy of the P wave's part over the QRS's in the own normal beat", -13.0, 0.75, 16),
    Word("sure", "log odds that it is a beat, by the detector's own score", -2.0, 0.75, 16),
    Word("sure/lately", "their mean over about 8 beats: low in noise", -1.0, 0.5, 16),
    Word("lead", "which leads can be read: 0 first, 1 second, 2 both", 0.5, 1.0, 3),
)
FIELDS: Final = len(WORDS)
# Their places in a sentence, in the order of `WORDS`.
(
    RR,
    RR_LAST,
    RR_FAST,
    RR_SLOW,
    RR_OWN,
    RR_LONG,
    LAST_OWN,
    RR_HALF,
    RR_REST,
    SHORTER,
    PAIR_HALF,
    RR_BEFORE,
    TURNS,
    UNREST,
    JITTER,
    ENTROPY,
    SCATTER,
    RARE,
    LIKE1,
    LIKE2,
    APART,
    SIZE,
    BROAD,
    BROAD_OWN,
    WIDTH,
    STEEP,
    TWAVE,
    P1,
    P2,
    P,
    P_LAST,
    P_BEFORE,
    P_AGAIN,
    HUMP,
    PR,
    NEAREST,
    SHARE,
    EARLY,
    PAUSE,
    KIND,
    KIN,
    AGAIN,
    ST,
    TURN,
    APART_USUAL,
    TWAVE_USUAL,
    P_USUAL,
    BROAD_USUAL,
    HUMP_USUAL,
    RR_USUAL,
    OWN_P,
    SURE,
    SURE_LATELY,
    LEAD,
) = range(FIELDS)

_LOW = np.array([w.low for w in WORDS])
_STEP = np.array([w.step for w in WORDS])
_LEVELS = np.array([w.levels for w in WORDS])


@kernel
def level_of(field: int, value: float) -> int:
    """The level of a value on the scale of a measured word; the last level says "cannot be told"."""
    count = _LEVELS[field]
    if not np.isfinite(value):
        return int(count)
    return int(min(max(int(np.floor((value - _LOW[field]) / _STEP[field])) + 1, 0), count - 1))
