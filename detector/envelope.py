"""One lead's filters: from microvolts to the envelope in which a QRS complex is one hump.

They run at half of `RATE`: a *step* is two ticks (8 ms), as fine as a QRS complex needs to be found; its R peak is
placed to the tick afterwards. Two boxcars of two steps act against mains noise, the difference to a longer boxcar
against the baseline; then comes the slope from one step to the next, and the root of the mean of its square over
about a QRS complex, the *envelope*. All up to the mean is in 32-bit integers: no rounding, no drift, the same on
every machine, and as many lanes as the processor has. The slope before the square is held to 3.4 mV a step, which only
a pacemaker's spike exceeds.

The filters take all new steps of a lead at once. They keep their last `HELD` values, so that how the signal was cut
into frames leaves no trace.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.jit import kernel
from detector.types import CHUNK, Array, Row

STRIDE: Final = 2  # ticks a step
BASE: Final = 17  # steps of the baseline's boxcar (136 ms): what is slower than a wide QRS is baseline
CENTRE: Final = 6  # steps of delay given to the signal against the baseline's boxcar; 8 would be symmetric but late
SPAN: Final = 13  # steps of the envelope's mean (104 ms): a wide QRS complex is one hump
LAG: Final = 28  # ticks by which the envelope's peak follows the QRS: half of each boxcar, of the mean, and `CENTRE`
SETTLE: Final = 40  # steps until the filters have forgotten how they were filled
HELD: Final = 64  # steps kept: the shape of a candidate is read again up to 45 steps later
STEPS: Final = CHUNK // STRIDE + 1  # steps at once at most
FINE: Final = 6  # bits dropped from a slope before it is squared: 0.4 µV are left
STEEPEST: Final = 8191  # its largest value, so that `SPAN` squares fit into 32 bits
LIMIT_UV: Final = 32767  # µV of a tick at most, for the same reason; no ECG reaches it

PER_SLOPE: Final = (1 << FINE) / (4 * STRIDE * BASE)  # µV a step of one unit of the slope
PER_BAND: Final = 1.0 / (4 * STRIDE * BASE)  # µV of one unit of the signal without baseline
SCALE: Final = np.float32(PER_SLOPE / SPAN**0.5)  # µV a step of the envelope, from the root of the sum of squares

FRONT = np.dtype(
    [
        ("run", "i8"),  # steps since the lead's filters were filled; 0: no reading now
        ("x", "i4", (2,)),  # µV of the last two steps, each the sum of its ticks
        ("b", "i4", (HELD,)),  # after the two boxcars, newest last
        ("d", "i4", (HELD,)),  # slope
        ("sum", "i4"),  # of the squared slopes
    ],
    align=True,
)

#: One lead's place to work in: `HELD` steps of before, then those of this call.
WORK = np.dtype(
    [
        ("x", "i4", (STEPS,)),  # µV, the sum of a step's ticks
        ("valid", "i1", (STEPS,)),
        ("b", "i4", (HELD + STEPS,)),  # as in `FRONT`
        ("d", "i4", (HELD + STEPS,)),
        ("q", "i4", (HELD + STEPS,)),  # squared slope
        ("sum", "i4", (STEPS,)),
        ("envelope", "f4", (STEPS,)),
    ],
    align=True,
)


@kernel
def clear(front: Row) -> None:
    """No reading yet."""
    front.run = 0
    front.x[:] = 0
    front.b[:] = 0
    front.d[:] = 0
    front.sum = 0


@kernel
def load(front: Row, work: Row) -> None:
    """Put the last steps before the new ones."""
    for i in range(HELD):
        work.b[i] = front.b[i]
        work.d[i] = front.d[i]
        work.q[i] = front.d[i] * front.d[i]


@kernel
def store(front: Row, work: Row, steps: int) -> None:
    """Keep the last steps."""
    for i in range(HELD):
        front.b[i] = work.b[steps + i]
        front.d[i] = work.d[steps + i]


@kernel
def rest(front: Row, work: Row, first: int, end: int) -> None:
    """Steps [first, end) without a reading."""
    front.run = 0
    for i in range(first, end):
        work.b[HELD + i] = 0
        work.d[HELD + i] = 0
        work.q[HELD + i] = 0
        work.envelope[i] = 0.0


@kernel
def feed(front: Row, work: Row, first: int, end: int) -> None:
    """Filter the steps [first, end), all with a reading; what comes before them has been dealt with."""
    x, b, d, q, sums, envelope = work.x, work.b, work.d, work.q, work.sum, work.envelope
    if front.run == 0:  # as if the lead had always been here: no jump, no false beat
        front.x[:] = x[first]
        b[first : first + HELD] = 4 * x[first]
        d[first : first + HELD] = 0
        q[first : first + HELD] = 0
        front.sum = 0
    before, last = front.x[0], front.x[1]
    for i in range(first, end):
        now = x[i]
        b[HELD + i] = now + 2 * last + before
        before = last
        last = now
    front.x[0] = before
    front.x[1] = last
    for i in range(first, end):
        at = HELD + i
        slope = (BASE * (b[at - CENTRE] - b[at - CENTRE - 1]) - (b[at] - b[at - BASE])) >> FINE
        slope = min(max(slope, -STEEPEST), STEEPEST)
        d[at] = slope
        q[at] = slope * slope
    total = front.sum
    for i in range(first, end):
        total += q[HELD + i] - q[HELD + i - SPAN]
        sums[i] = total
    front.sum = total
    for i in range(first, end):
        envelope[i] = np.sqrt(np.float32(sums[i])) * SCALE
    front.run += end - first


@kernel
def steepest(work: Row, at: int) -> float:
    """Largest slope that went into the envelope at step `at` of this call, in units of the envelope."""
    largest = 0
    for i in range(HELD + at - SPAN + 1, HELD + at + 1):
        largest = max(largest, abs(work.d[i]))
    return float(largest * PER_SLOPE)


@kernel
def band(work: Row, first: int, out: Array) -> None:
    """The signal without baseline at the steps from `first` of this call on, in µV, as many as `out` takes."""
    at = HELD + first
    total = 0
    for i in range(at - BASE, at):
        total += work.b[i]
    for k in range(len(out)):
        total += work.b[at + k] - work.b[at + k - BASE]
        out[k] = (BASE * work.b[at + k - CENTRE] - total) * PER_BAND


assert 45 + BASE <= HELD, "a ring is too short"
assert SPAN * STEEPEST**2 < 2**31, "a sum overflows"
