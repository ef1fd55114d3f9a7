"""One lead's filters: from microvolts to the envelope in which a QRS complex is one hump, one tick at a time.

The filters are in integers: no rounding, no drift, the same on every machine. Two boxcars act against muscle and mains
noise, the difference to a longer boxcar against the baseline; then come a slope and the mean of its magnitude over
about a QRS complex, the *envelope*.

A lead's row also holds the envelope's usual height at its beats and at what was refused; `detector.qrs` learns them.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.jit import kernel
from detector.types import Row

SMOOTH: Final = 6  # ticks of each of the two boxcars: first null at 42 Hz, below muscle noise and mains
BASE: Final = 50  # ticks of the baseline's boxcar: passes above about 2 Hz at its edge, the QRS band whole
CENTRE: Final = 12  # ticks of delay given to the signal against the baseline's boxcar; 25 would be symmetric but late
SLOPE: Final = 4  # ticks of the slope: largest gain near 30 Hz, where QRS and T wave differ most
SPAN: Final = 30  # ticks of the envelope's mean: a wide QRS complex (120 ms) is one hump
LAG: Final = SMOOTH - 1 + CENTRE + SLOPE // 2 + SPAN // 2 - 2  # ticks by which the envelope's peak follows the QRS
SETTLE: Final = 80  # ticks until the filters have forgotten how they were filled
HELD: Final = 64  # ticks that the longer rings of a lead hold

START: Final = 2500.0  # envelope of a QRS of about 0.4 mV: what a beat is taken to be before one has been seen
FORGET: Final = 2500  # ticks without a reading after which a lead is learned anew: it may have been moved (10 s)
KEPT: Final = 8  # beats, noise peaks and RR intervals in each median

FRONT = np.dtype(
    [
        ("run", "i8"),  # ticks since the lead's filters were filled; 0: no reading now
        ("hold", "i8"),  # ticks without a reading, bridged with the last one
        ("v", "i8", (8,)),
        ("a", "i8", (8,)),
        ("b", "i8", (HELD,)),
        ("h", "i8", (8,)),
        ("d", "i8", (HELD,)),
        ("sum_a", "i8"),
        ("sum_b", "i8"),
        ("sum_base", "i8"),
        ("sum_d", "i8"),
        ("envelope", "f8"),
        ("level", "f8"),  # usual envelope at a beat; 0: unknown
        ("noise", "f8"),  # usual envelope at a refused peak
        ("weight", "f8"),
        ("beats", "f8", (KEPT,)),
        ("n_beats", "i8"),
        ("refused", "f8", (KEPT,)),
        ("n_refused", "i8"),
        ("at_best", "f8"),  # envelope at the feature's highest point
        ("at_kept", "f8"),  # envelope at the kept peak
    ],
    align=True,
)

_MASK: Final = HELD - 1


@kernel
def forget(front: Row) -> None:
    """Forget the beats of a lead, so that its level is learned anew."""
    front.envelope = 0.0
    front.level = START
    front.noise = 0.0
    front.weight = 1.0
    front.n_beats = 0
    front.n_refused = 0


@kernel
def _fill(front: Row, v: int) -> None:
    """Fill the filters as if the lead had always been at `v`: no step, no false beat."""
    front.v[:] = v
    front.a[:] = SMOOTH * v
    front.b[:] = SMOOTH * SMOOTH * v
    front.h[:] = 0
    front.d[:] = 0
    front.sum_a = SMOOTH * v
    front.sum_b = SMOOTH * SMOOTH * v
    front.sum_base = BASE * SMOOTH * SMOOTH * v
    front.sum_d = 0
    front.run = 0


@kernel
def _filter(front: Row, v: int, tick: int) -> None:
    """One tick through the integer filters: `front.envelope` is the mean magnitude of the band-passed slope."""
    old = front.v[(tick - SMOOTH) & 7]
    front.v[tick & 7] = v
    front.sum_a += v - old
    old = front.a[(tick - SMOOTH) & 7]
    front.a[tick & 7] = front.sum_a
    front.sum_b += front.sum_a - old
    old = front.b[(tick - BASE) & _MASK]
    front.b[tick & _MASK] = front.sum_b
    front.sum_base += front.sum_b - old
    h = BASE * front.b[(tick - CENTRE) & _MASK] - front.sum_base
    old = front.h[(tick - SLOPE) & 7]
    front.h[tick & 7] = h
    d = abs(h - old)
    old = front.d[(tick - SPAN) & _MASK]
    front.d[tick & _MASK] = d
    front.sum_d += d - old
    front.envelope = front.sum_d / (BASE * SPAN)


@kernel
def feed(front: Row, microvolts: int, valid: bool, tick: int) -> None:
    """One tick of one lead, with or without a reading."""
    if not valid:
        front.hold += 1
        front.run = 0
        front.envelope = 0.0
        return
    if front.run == 0:
        _fill(front, microvolts)
        if front.hold > FORGET:
            forget(front)
        front.hold = 0
    front.run += 1
    _filter(front, microvolts, tick)


@kernel
def steepest(front: Row, tick: int) -> int:
    """Largest slope that went into the envelope at `tick`, in units of 1 / `BASE` of it.

    The rings hold it for `HELD` - `SPAN` ticks.
    """
    largest = 0
    for back in range(SPAN):
        largest = max(largest, front.d[(tick - back) & _MASK])
    return int(largest)


@kernel
def median(values: Row, count: int) -> float:
    """Median of the first min(count, KEPT) of `values`."""
    n = min(count, KEPT)
    ordered = np.empty(KEPT)
    for i in range(n):
        j = i
        while j > 0 and ordered[j - 1] > values[i]:
            ordered[j] = ordered[j - 1]
            j -= 1
        ordered[j] = values[i]
    if n == 0:
        return 0.0
    return float(ordered[n // 2] if n % 2 else 0.5 * (ordered[n // 2 - 1] + ordered[n // 2]))


assert BASE <= HELD, "a ring is too short"
assert max(SMOOTH, SLOPE) < 8, "a ring is too short"
