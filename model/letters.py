"""A lead's curve as a text: drawn in letters that say how far it deflects, whatever the gain.

The letters are relative to the largest deflection of the lead's QRS, against the level before the QRS::

    d -0.75 c -0.45 b -0.2 a -0.06 . +0.06 A +0.2 B +0.45 C +0.75 D

`|` parts the P wave, the QRS and the T wave, such as ``..AA....|...ab.CDDCa.b...........|.AAA``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.jit import kernel
from detector.measure import LEVEL, SPAN_BEFORE
from detector.types import Array

ALPHABET: Final = "dcba.ABCD|"
BAR: Final = 9  # index of `|` in ALPHABET
ISOELECTRIC: Final = 4  # index of `.`
LEVELS: Final = (0.06, 0.2, 0.45, 0.75)  # of the largest deflection: a P wave is an A, a notch a B, the peak a D

# Where the letters are taken, ticks from R: (first, last, step). QRS letters stand for 12 ms, P for 24, T for 32.
P_LETTERS: Final = (-72, -24, 6)
QRS_LETTERS: Final = (-24, 39, 3)
T_LETTERS: Final = (40, 72, 8)
TEXT: Final = 8 + 1 + 21 + 1 + 4  # letters of a lead's text
FIRST_BAR: Final = (P_LETTERS[1] - P_LETTERS[0]) // P_LETTERS[2]  # index of a text's first `|`; no bar: never written

_THRESHOLDS = np.array(LEVELS)


@kernel
def letters(y: Array, onset: int, text: Array) -> None:
    """Draw one lead's window in letters: indices into `ALPHABET`, `TEXT` of them."""
    base = 0.0
    for i in range(SPAN_BEFORE + onset - LEVEL, SPAN_BEFORE + onset):
        base += np.float64(y[i]) / LEVEL
    top = 1e-9
    for i in range(SPAN_BEFORE + QRS_LETTERS[0], SPAN_BEFORE + QRS_LETTERS[1]):
        top = max(top, abs(np.float64(y[i]) - base))
    at = 0
    for part in range(3):
        first, last, step = P_LETTERS if part == 0 else QRS_LETTERS if part == 1 else T_LETTERS
        if part > 0:
            text[at] = BAR
            at += 1
        for start in range(first, last, step):
            mean = 0.0
            for i in range(start, start + step):
                mean += np.float64(y[SPAN_BEFORE + i])
            value = (mean / step - base) / top
            level = 0
            for edge in _THRESHOLDS:
                if abs(value) > edge:
                    level += 1
            text[at] = ISOELECTRIC + level if value > 0 else ISOELECTRIC - level
            at += 1


def text_of(letters_of_lead: Array) -> str:
    """A lead's letters as text."""
    return "".join(ALPHABET[i] for i in letters_of_lead)
