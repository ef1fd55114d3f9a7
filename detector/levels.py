"""A lead's levels: the envelope and the size of its beats, of what was refused, and how much the lead rests.

Medians of the last eight, so that one odd beat changes nothing, in place of the running means of Pan and Tompkins. They
set the unit in which the lead's envelope is measured and the weight with which the lead counts.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.jit import hot
from detector.types import Array, Row

FLOOR: Final = 30.0  # µV a step: envelope of a QRS of about 0.2 mV; what is much smaller is no beat but the baseline
MEDIAN_OF: Final = 8  # beats, noise peaks and RR intervals in each median
FADE: Final = 0.992  # per step: half in 0.7 s
FADE_TO: Final = 0.15  # of the level before, while the pause is shorter than FADE_FULL
FADE_FULL: Final = 1250  # steps without a beat after which only the floor bounds the fading (10 s)
RAISED: Final = 1.3  # times the level before: it was that of other waves
START: Final = 70.0  # µV a step: what a beat's envelope is taken to be before one has been seen, a QRS of about 0.4 mV
WEIGHED: Final = 4  # beats after which its noise is known
CLEAN: Final = 0.1  # share of a beat that a lead's noise is taken to be at least
UNREST_EVERY: Final = 4  # steps between two looks at how restless a lead is
UNREST: Final = 0.04  # share of a look: half in 0.5 s
UNREST_START: Final = 0.3  # of `START`: as in an ECG at rest
SHARP_USUAL: Final = 1.4  # times its envelope: how sharp a beat is taken to be before one has been seen
SHARP_START: Final = SHARP_USUAL * START
SHARP_FLOOR: Final = 8.0  # µV a step and step: what is less sharp says nothing
SHARP_UNREST: Final = 0.1  # of a beat's sharpness: as in an ECG at rest

#: The levels of a lead: of its beats, and of what was refused.
LEVELS = np.dtype(
    [
        ("signal", "f8"),  # usual envelope at a beat, µV a step
        ("noise", "f8"),  # usual envelope at a refused candidate
        ("weight", "f8"),
        ("size", "f8"),  # usual greatest deflection of a beat, µV; 0: unknown
        ("restless", "f8"),  # mean envelope of the last second
        ("sharp", "f8"),  # usual sharpness of a beat (`detector.envelope.sharpest`)
        ("sharp_noise", "f8"),  # and of a refused candidate
        ("sharp_unrest", "f8"),  # mean difference of slopes of the last second
        ("beats", "f8", (MEDIAN_OF,)),
        ("sizes", "f8", (MEDIAN_OF,)),
        ("sharps", "f8", (MEDIAN_OF,)),
        ("n_beats", "i8"),
        ("refused", "f8", (MEDIAN_OF,)),
        ("refused_sharp", "f8", (MEDIAN_OF,)),
        ("n_refused", "i8"),
        ("hold", "i8"),  # steps without a reading
    ],
    align=True,
)


@hot
def forget(levels: Row) -> None:
    """Forget the beats of a lead, so that its level is learned anew."""
    levels.signal = START
    levels.noise = 0.0
    levels.weight = 1.0
    levels.size = 0.0
    levels.restless = UNREST_START * START
    levels.sharp = SHARP_START
    levels.sharp_noise = 0.0
    levels.sharp_unrest = SHARP_UNREST * SHARP_START
    levels.beats[:] = 0.0
    levels.sizes[:] = 0.0
    levels.sharps[:] = 0.0
    levels.n_beats = 0
    levels.refused[:] = 0.0
    levels.refused_sharp[:] = 0.0
    levels.n_refused = 0


@hot
def median(values: Array, count: int) -> float:
    """Median of the first min(count, KEPT) of `values`."""
    if count >= MEDIAN_OF:
        return _median_of_eight(values)
    for i in range(count):
        below = equal = 0
        for k in range(count):
            below += values[k] < values[i]
            equal += values[k] == values[i]
        if below <= (count - 1) // 2 and below + equal > (count - 1) // 2:
            if count % 2 or below + equal > count // 2:
                return float(values[i])
            above = np.inf
            for k in range(count):
                if values[k] > values[i]:
                    above = min(above, values[k])
            return float(0.5 * (values[i] + above))
    return 0.0


@hot
def _median_of_eight(v: Array) -> float:
    """Mean of the two middle ones of eight, by comparing in pairs: no branch, no memory."""
    a, b = min(v[0], v[1]), max(v[0], v[1])
    c, d = min(v[2], v[3]), max(v[2], v[3])
    e, f = min(v[4], v[5]), max(v[4], v[5])
    g, h = min(v[6], v[7]), max(v[6], v[7])
    # Two sorted fours: the least and the greatest of each pair of pairs, then the two between them.
    a, c = min(a, c), max(a, c)
    b, d = min(b, d), max(b, d)
    b, c = min(b, c), max(b, c)
    e, g = min(e, g), max(e, g)
    f, h = min(f, h), max(f, h)
    f, g = min(f, g), max(f, g)
    # Of a < b < c < d and e < f < g < h the four lowest are the lower ones of a-h, b-g, c-f, d-e.
    low = max(min(a, h), min(b, g), min(c, f), min(d, e))
    high = min(max(a, h), max(b, g), max(c, f), max(d, e))
    return float(0.5 * (low + high))


@hot
def refuse(levels: Row, envelope: float, sharp: float) -> None:
    """Learn from a candidate that was no beat."""
    levels.refused[levels.n_refused % MEDIAN_OF] = envelope
    levels.refused_sharp[levels.n_refused % MEDIAN_OF] = sharp
    levels.n_refused += 1
    levels.noise = median(levels.refused, levels.n_refused)
    levels.sharp_noise = median(levels.refused_sharp, levels.n_refused)


@hot
def accept(levels: Row, envelope: float, size: float, sharp: float, after_pause: bool, searched: bool) -> None:
    """Learn from a beat; after a pause in which the level has faded, a much smaller one is the new usual.

    One that was `searched` for does not raise the level again: it fades on until beats are found without.
    """
    if after_pause and envelope < 0.5 * median(levels.beats, levels.n_beats):
        levels.beats[:] = envelope  # the amplitude has changed for good: eight beats would be too long to learn it
        levels.sizes[:] = size
        levels.sharps[:] = sharp
        levels.n_beats = max(levels.n_beats, MEDIAN_OF)
    levels.beats[levels.n_beats % MEDIAN_OF] = envelope
    levels.sizes[levels.n_beats % MEDIAN_OF] = size
    levels.sharps[levels.n_beats % MEDIAN_OF] = sharp
    levels.n_beats += 1
    level = median(levels.beats, levels.n_beats)
    levels.signal = min(levels.signal, level) if searched else level
    levels.size = median(levels.sizes, levels.n_beats)
    levels.sharp = median(levels.sharps, levels.n_beats)
    if levels.n_beats > WEIGHED:
        ratio = levels.signal / (levels.noise + CLEAN * levels.signal + 1e-9)
        levels.weight = ratio * ratio


@hot
def raise_last(levels: Row, times: float) -> bool:
    """The last beat was so many times as high; True when that has made the usual one much higher."""
    if levels.n_beats == 0:
        return False
    last = (levels.n_beats - 1) % MEDIAN_OF
    levels.beats[last] *= times
    levels.sizes[last] *= times
    levels.sharps[last] *= times
    levels.size = median(levels.sizes, levels.n_beats)
    levels.sharp = median(levels.sharps, levels.n_beats)
    before = levels.signal
    levels.signal = max(before, median(levels.beats, levels.n_beats))
    return bool(levels.signal > RAISED * before)


@hot
def fade(levels: Row, silent: int) -> None:
    """A step without a beat for long: the level falls, so that a smaller QRS is found again; never below `FLOOR`."""
    lowest = FLOOR if silent > FADE_FULL else max(FADE_TO * median(levels.beats, levels.n_beats), FLOOR)
    if levels.signal > lowest:
        levels.signal = max(levels.signal * FADE, lowest)


assert MEDIAN_OF == 8, "the median is one of eight"
