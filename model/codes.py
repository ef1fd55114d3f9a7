"""What annotation files and EC57 call things: classes of beats, and the bits of a quality mark.

Everything that names a class counts in the order of `CLASSES`: probabilities, tables, messages, metrics.
"""

from __future__ import annotations

from typing import Final

#: Beat classes of ANSI/AAMI EC57: normal and bundle branch block, supraventricular ectopic, ventricular ectopic, fusion
#: of ventricular and normal, unclassifiable (which takes in paced beats, as EC57 does not score those).
CLASSES: Final = ("N", "S", "V", "F", "Q")

#: Subtype bits of a `~` that say signals 0 and 1 are unreadable: EC57's shutdown wants both, also where there is one.
UNREADABLE: Final = 0x30
#: Those that say they are noisy; they lie four bits lower.
ALL_NOISY: Final = 0x03
#: All four signals a subtype has room for are noisy, whether they are there or not: no beat can be trusted.
DOUBTED: Final = 0x0F

#: Rhythms that are read from the beats' sentences (`model.rhythm_head`), as WFDB calls them; the first is any other.
RHYTHMS: Final = ("", "(AFIB")
