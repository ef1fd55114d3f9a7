"""One lead's filters: from microvolts to the envelope in which a QRS complex is one hump.

They run at half of `RATE`: a *step* is two ticks (8 ms), as fine as a QRS complex needs to be found; its R peak is
placed to the tick afterwards. Two boxcars of two steps act against mains noise, the difference to a longer boxcar
against the baseline; then comes the slope from one step to the next, and the root of the mean of its square over
about a QRS complex, the *envelope*. All up to the slope are whole numbers below 2**24 in float32, which has as many
lanes in the processor as 32-bit integers and nothing to round: no drift, the same on every machine. The slope before
the square is held to 3.9 mV a step, which only a pacemaker's spike exceeds.

The filters take all new steps of a lead at once. They keep their last values, so that how the signal was cut into
frames leaves no trace.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from detector import simd
from detector.arrays import copy, copy_float32, largest, span_of
from detector.jit import hot
from detector.simd import F32_LANES, room
from detector.types import CHUNK, Array, Float32, Row

STRIDE: Final = 2  # ticks a step
BASE: Final = 17  # steps of the baseline's boxcar (136 ms): what is slower than a wide QRS is baseline
CENTRE: Final = 6  # steps of delay given to the signal against the baseline's boxcar; 8 would be symmetric but late
SPAN: Final = 13  # steps of the envelope's mean (104 ms): a wide QRS complex is one hump
LAG: Final = 28  # ticks by which the envelope's peak follows the QRS: half of each boxcar, of the mean, and `CENTRE`
SETTLE: Final = 40  # steps until the filters have forgotten how they were filled
HELD: Final = 64  # steps of signal kept: the shape of a candidate is read again up to 45 steps later
SLOPES: Final = 32  # steps of slope kept: the steepest of a candidate is looked for up to 17 steps later
STEPS: Final = CHUNK // STRIDE + 1  # steps at once at most
FINE: Final = 64.0  # divides a slope before it is squared: 0.5 µV are left
STEEPEST: Final = 8191.0  # its largest value
TAKEN_BACK: Final = 16  # steps before this call's from which on it is said what pulses are taken out
LIMIT_UV: Final = 32767.0  # µV of a tick at most, so that everything stays whole; no ECG reaches it

PER_SLOPE: Final = FINE / (4 * STRIDE * BASE)  # µV a step of one unit of the slope
PER_SMOOTH: Final = 1.0 / (4 * STRIDE)  # µV of one unit of the signal after the two boxcars
PER_BAND: Final = 1.0 / (4 * STRIDE * BASE)  # µV of one unit of the signal without baseline
SCALE: Final = PER_SLOPE / SPAN**0.5  # µV a step of the envelope, from the root of the sum of squares

FRONT = np.dtype(
    [
        ("run", "i8"),  # steps since the lead's filters were filled; 0: no reading now
        ("x", "f4", (2,)),  # µV of the last two steps, each the sum of its ticks
        ("b", "f4", (HELD,)),  # after the two boxcars, newest last
        ("c", "f4", (HELD,)),  # the same `CENTRE` steps later, without a pacemaker's pulses
        ("d", "f4", (SLOPES,)),  # slope
    ],
    align=True,
)

#: One lead's place to work in: what is kept of before, then the steps of this call.
WORK = np.dtype(
    [
        ("x", "f4", (2 + room(STEPS),)),  # µV, the sum of a step's ticks
        ("valid", "u1", (STEPS,)),
        ("paced", "u1"),  # whether a pacemaker is at work in any step
        ("is_paced", "f4", (room(STEPS),)),  # if so, in which: 1, else 0
        ("pulses", "u1"),  # whether there are pulses
        ("taken", "f4", (TAKEN_BACK + room(STEPS),)),  # if so, what is added to `b` to take them out
        ("b", "f4", (HELD + room(STEPS),)),  # as in `FRONT`
        ("c", "f4", (HELD + room(STEPS),)),
        ("d", "f4", (SLOPES + room(STEPS),)),
        ("two", "f4", (SPAN + room(STEPS),)),  # sums of the squares of slopes
        ("four", "f4", (SPAN + room(STEPS),)),
        ("envelope", "f4", (room(STEPS),)),
    ],
    align=True,
)


@hot
def microvolts(mv: Float32) -> Float32:
    """Whole microvolts within what the filters take; NaN stays NaN."""
    return min(max(np.rint(mv * np.float32(1000.0)), np.float32(-LIMIT_UV)), np.float32(LIMIT_UV))


@hot
def clear(front: Row) -> None:
    """No reading yet."""
    front.run = 0
    front.x[:] = 0.0
    front.b[:] = 0.0
    front.c[:] = 0.0
    front.d[:] = 0.0


@hot
def load(front: Row, work: Row) -> None:
    """Put the last steps before the new ones."""
    copy(front.x, work.x)
    copy_float32(front.b, 0, HELD, work.b, 0)
    copy_float32(front.c, 0, HELD, work.c, 0)
    copy_float32(front.d, 0, SLOPES, work.d, 0)


@hot
def store(front: Row, work: Row, steps: int) -> None:
    """Keep the last steps."""
    copy(work.x[steps : steps + 2], front.x)
    copy_float32(work.b, steps, HELD, front.b, 0)
    copy_float32(work.c, steps, HELD, front.c, 0)
    copy_float32(work.d, steps, SLOPES, front.d, 0)


@hot
def rest(front: Row, work: Row, first: int, end: int, still: bool) -> None:
    """Steps [first, end) without a reading; `still`: for so long that none of the lead's past is asked for."""
    front.run = 0
    work.envelope[first:end] = 0.0
    if still:
        return
    work.x[2 + first : 2 + end] = 0.0
    work.b[HELD + first : HELD + end] = 0.0
    work.c[HELD + first : HELD + end] = 0.0
    work.d[SLOPES + first : SLOPES + end] = 0.0


@hot
def feed(front: Row, work: Row, first: int, end: int) -> None:
    """Filter the steps [first, end), all with a reading; what comes before them has been dealt with."""
    if front.run == 0:  # as if the lead had always been here: no jump, no false beat
        x = work.x[2 + first]
        work.x[first : first + 2] = x
        work.b[first : first + HELD] = np.float32(4.0) * x
        work.c[first : first + HELD] = np.float32(4.0) * x
        work.d[first : first + SLOPES] = 0.0
    _smooth(work, first, end)
    _delay(work, first, end)
    _slope(work, first, end)
    _envelope(work, first, end)
    front.run += end - first


# Written in whole vectors: values past `end` are overwritten by the next call.


@hot
def _smooth(work: Row, first: int, end: int) -> None:
    """Two boxcars of two steps."""
    x, b = work.x, work.b
    two = simd.broadcast(np.float32(2.0))
    for i in range(first, end, F32_LANES):
        simd.store(b, HELD + i, simd.load(x, i + 2) + two * simd.load(x, i + 1) + simd.load(x, i))


@hot
def _delay(work: Row, first: int, end: int) -> None:
    """The same `CENTRE` steps ago; by now it is known what is no heart's (`detector.pulses`), and taken out."""
    b, c, taken = work.b, work.c, work.taken
    for i in range(first, end, F32_LANES):
        simd.store(c, HELD + i, simd.load(b, HELD + i - CENTRE))
    if work.pulses:
        for i in range(first, end, F32_LANES):
            simd.store(c, HELD + i, simd.load(c, HELD + i) + simd.load(taken, TAKEN_BACK + i - CENTRE))


@hot
def _slope(work: Row, first: int, end: int) -> None:
    """The slope of the signal less that of its baseline.

    A pulse that has just come is still in the boxcar of the baseline, and leaves it later: a seventeenth of it, which
    is a beat to a lead that waits for one. So that of a paced heart is the signal's own past, without pulses.
    """
    b, c, d = work.b, work.c, work.d
    base, fine = simd.broadcast(np.float32(BASE)), simd.broadcast(np.float32(1.0 / FINE))
    least, most = simd.broadcast(np.float32(-STEEPEST)), simd.broadcast(np.float32(STEEPEST))
    for i in range(first, end, F32_LANES):
        at = HELD + i
        centre = simd.load(c, at) - simd.load(c, at - 1)
        newest, oldest = simd.load(b, at), simd.load(b, at - BASE)
        if work.paced:
            paced = simd.load(work.is_paced, i)
            newest = newest + paced * (simd.load(c, at) - newest)
            oldest = oldest + paced * (simd.load(c, at - BASE) - oldest)
        slope = simd.floor((base * centre - (newest - oldest)) * fine)
        simd.store(d, SLOPES + i, simd.minimum(simd.maximum(slope, least), most))


@hot
def _envelope(work: Row, first: int, end: int) -> None:
    """Root of the mean square of the last `SPAN` slopes.

    Squares are no longer exact in float32: their sums are made of sums of two, four and eight, the same for each step.
    """
    d, two, four, out = work.d, work.two, work.four, work.envelope
    oldest = SLOPES + first - SPAN + 1
    for i in range(0, end - first + SPAN, F32_LANES):
        here, after = simd.load(d, oldest + i), simd.load(d, oldest + i + 1)
        simd.store(two, i, here * here + after * after)
    for i in range(0, end - first + SPAN - 4, F32_LANES):
        simd.store(four, i, simd.load(two, i) + simd.load(two, i + 2))
    scale = simd.broadcast(np.float32(SCALE))
    for i in range(0, end - first, F32_LANES):
        newest = simd.load(d, oldest + i + SPAN - 1)
        early = simd.load(four, i) + simd.load(four, i + 4)
        late = simd.load(four, i + 8) + newest * newest
        simd.store(out, first + i, simd.sqrt(early + late) * scale)


@hot
def steepest(work: Row, at: int) -> float:
    """Largest slope that went into the envelope at step `at` of this call, in units of the envelope."""
    return float(largest(work.d[SLOPES + at - SPAN + 1 : SLOPES + at + 1]) * PER_SLOPE)


@hot
def sharpest(work: Row, at: int) -> float:
    """Root of the mean square of the differences of those slopes: what is left of 20 to 43 Hz, µV a step and step."""
    d = work.d
    total = 0.0
    for i in range(SLOPES + at - SPAN + 2, SLOPES + at + 1):
        difference = np.float64(d[i]) - np.float64(d[i - 1])
        total += difference * difference  # whole, and exact
    return math.sqrt(total / (SPAN - 1)) * PER_SLOPE


@hot
def band(work: Row, first: int, paced: bool, out: Array) -> Float32:
    """The signal without baseline from step `first` of this call on, in `PER_BAND` µV; returns its greatest magnitude.

    As many steps as `out` takes, whole vectors and one. All is whole: how the baseline is added up does not matter.
    That of a paced heart is taken as for the slope.
    """
    base = work.c if paced else work.b
    greatest = simd.broadcast(np.float32(0.0))
    last = len(out) - 1
    for step in range(0, last, F32_LANES):
        value = _band(base, work.c, HELD + first + step)
        simd.store(out, step, value)
        greatest = simd.maximum(simd.absolute(value), greatest)
    value = _band(base, work.c, HELD + first + last - F32_LANES + 1)
    out[last] = simd.extract(value, F32_LANES - 1)
    return simd.reduce_max(simd.maximum(simd.absolute(value), greatest))


@hot
def _band(b: Array, c: Array, at: int) -> Any:
    """The lanes of that from an index of `b` and `c` on."""
    even, odd = simd.load(b, at), simd.load(b, at - 1)
    for i in range(2, BASE - 1, 2):
        even = even + simd.load(b, at - i)
        odd = odd + simd.load(b, at - i - 1)
    total = even + odd + simd.load(b, at - BASE + 1)
    return simd.broadcast(np.float32(BASE)) * simd.load(c, at) - total


@hot
def moved(work: Row, at: int, steps: int, paced: bool) -> float:
    """How far the signal went over the steps up to `at` of this call, or `CENTRE` ago if the heart is paced, µV."""
    end = HELD + at + 1
    low, high = span_of(work.c[end - steps : end] if paced else work.b[end - steps : end])
    return float((high - low) * PER_SMOOTH)


assert HELD % F32_LANES == SLOPES % F32_LANES == 0, "copied in whole vectors"
assert BASE % 2 == 1, "its steps are added up in pairs and one"
assert SPAN == 13, "the sum of squares is made of four, four, four and one"
assert 45 + BASE <= HELD, "a ring is too short"
assert 17 + SPAN <= SLOPES, "a ring is too short"
assert (BASE + 1) * 2 * 8 * LIMIT_UV < 2**24, "a number is no longer whole"
