"""What can be measured on one beat in one lead: QRS bounds, amplitudes, P and T waves, ST level.

The measurements look at `SPAN_BEFORE` ticks before the R peak and at most `AFTER` ticks after it, never further, so
they are ready 300 ms after the R peak. QRS bounds are those of `detector.bounds`. What needs other beats or more time,
P presence and T end, is in `detector.waves`. `docs/fiducials.md` says how well each agrees with readers.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from detector.bounds import STEEP_AFTER, STEEP_BEFORE, bounds, remove_spikes
from detector.jit import kernel
from detector.types import RATE, TICK_MS, Row
from detector.windows import copy_bridged

SPAN_BEFORE: Final = 80  # ticks of signal before the R peak that `window` copies: 320 ms, the P wave and its foot
SPAN_AFTER: Final = 75  # and after it: `detector.types.AFTER`, the moment the beat is read
SPAN: Final = SPAN_BEFORE + SPAN_AFTER
CORE: Final = 30  # ticks either side of the R peak that must be readable (120 ms: a wide complex)

FLAT_MV: Final = 0.01  # a complex smaller than this is a flat line, not a beat
J60: Final = 15  # ticks of 60 ms after the J point
J80: Final = 20  # ticks of 80 ms after the J point
LEVEL: Final = 6  # ticks just before the QRS whose mean is the level that amplitudes are measured against (24 ms)
P_TICKS: Final = 50  # ticks before the QRS in which its P wave is looked for (200 ms)
FOOT: Final = 3  # ticks at both ends of those that the line under the P wave is drawn through
PER_S: Final = RATE / 2  # of a central difference: from mV over two ticks to mV/s

#: What `measure` writes. Amplitudes are against the level just before the QRS, in mV; positions in ticks from R.
MEASURES = np.dtype(
    [
        ("valid", "i4"),  # 0: the lead cannot be read here, all else is 0
        ("onset", "i4"),  # of the QRS; > 0 where what was taken for the R peak lies before it
        ("offset", "i4"),  # of the QRS (the J point), >= 0
        ("onset_ms", "f4"),  # both between ticks
        ("offset_ms", "f4"),
        ("polarity", "i4"),  # 1: mainly upright, -1: mainly negative
        ("width_ms", "f4"),  # offset_ms - onset_ms
        ("r_mv", "f4"),  # highest point of the QRS
        ("s_mv", "f4"),  # lowest point of the QRS
        ("area_uvs", "f4"),  # sum of |QRS| over its width, µV·s
        ("breadth_ms", "f4"),  # width of a rectangle of the same area and height
        ("up", "f4"),  # steepest rise, mV/s
        ("down", "f4"),  # steepest fall, mV/s, <= 0
        ("p_mv", "f4"),  # highest bulge of the 200 ms before the QRS over the line under it; negative when inverted
        ("p_tick", "i4"),  # where
        ("t_mv", "f4"),  # largest deflection after J + 60 ms that the window shows
        ("st60_mv", "f4"),  # at J + 60 ms
        ("st80_mv", "f4"),  # at J + 80 ms
    ],
    align=True,
)


@kernel
def window(signal: Row, peak_tick: int, lead: int, out: npt.NDArray[np.float32]) -> int:
    """Copy a beat's window out of the ring, smoothed, without pacing spikes; returns 1 if it can be read.

    The filter is a triangle of 5 ticks: 3 dB at 28 Hz, zero at 83 Hz, delay none. Missing samples repeat the last
    reading. Nothing after ``peak_tick + SPAN_AFTER - 1`` is used.

    Parameters
    ----------
    signal : record of `detector.types.SIGNAL`
    peak_tick : int
        The R peak.
    lead : int
        Which lead.
    out : float32 (SPAN,)
        mV; ``out[SPAN_BEFORE]`` is the R peak.
    """
    raw = np.empty(SPAN, np.float64)
    first, begin = peak_tick - SPAN_BEFORE, SPAN_BEFORE - CORE
    readable = copy_bridged(signal, first, lead, raw, begin, SPAN_BEFORE + CORE + 1)
    remove_spikes(raw, SPAN_BEFORE)
    for i in range(2, SPAN - 2):
        out[i] = (raw[i - 2] + raw[i + 2] + 2.0 * (raw[i - 1] + raw[i + 1]) + 3.0 * raw[i]) / 9.0
    for i in (0, 1, SPAN - 2, SPAN - 1):  # beyond its ends the window goes on as it ends
        a, b = raw[max(i - 2, 0)], raw[max(i - 1, 0)]
        c, d = raw[min(i + 1, SPAN - 1)], raw[min(i + 2, SPAN - 1)]
        out[i] = (a + d + 2.0 * (b + c) + 3.0 * raw[i]) / 9.0
    return 1 if readable else 0


@kernel
def measure_window(y: npt.NDArray[np.float32], out: Row) -> None:
    """Measure a window that `window` has made; `out` is a record of `MEASURES`."""
    peak = SPAN_BEFORE
    out.valid = 0
    out.onset = out.offset = out.polarity = out.p_tick = 0
    out.onset_ms = out.offset_ms = 0.0
    out.width_ms = out.r_mv = out.s_mv = out.area_uvs = out.breadth_ms = 0.0
    out.up = out.down = out.p_mv = out.t_mv = out.st60_mv = out.st80_mv = 0.0

    for i in range(peak - STEEP_BEFORE, peak + STEEP_AFTER):
        slope = np.float64(y[i + 1]) - np.float64(y[i - 1])
        out.up = max(out.up, slope * PER_S)
        out.down = min(out.down, slope * PER_S)
    begin, end = bounds(y, peak)
    onset = peak + int(np.rint(begin))
    offset = peak + int(np.rint(end))

    base = 0.0
    for i in range(onset - LEVEL, onset):
        base += np.float64(y[i]) / LEVEL
    highest, lowest, area = _extremes(y, onset, offset, base)
    height = max(highest, -lowest)
    if height < FLAT_MV:
        return
    out.valid = 1
    out.onset = onset - peak
    out.offset = offset - peak
    out.polarity = 1 if highest >= -lowest else -1
    out.onset_ms = begin * TICK_MS
    out.offset_ms = end * TICK_MS
    out.width_ms = (end - begin) * TICK_MS
    out.r_mv = highest
    out.s_mv = lowest
    out.area_uvs = area * TICK_MS
    out.breadth_ms = area * TICK_MS / height

    _measure_p(y, onset, base, out)
    for i in range(min(offset + J60, SPAN - 1), SPAN):
        value = np.float64(y[i]) - base
        if abs(value) > abs(out.t_mv):
            out.t_mv = value
    out.st60_mv = np.float64(y[min(offset + J60, SPAN - 1)]) - base
    out.st80_mv = np.float64(y[min(offset + J80, SPAN - 1)]) - base


@kernel
def _extremes(y: npt.NDArray[np.float32], onset: int, offset: int, base: float) -> tuple[float, float, float]:
    """Highest and lowest value of a QRS complex over `base`, and the area between, in mV and mV times ticks."""
    highest = lowest = area = 0.0
    for i in range(onset, offset + 1):
        value = np.float64(y[i]) - base
        highest = max(highest, value)
        lowest = min(lowest, value)
        area += abs(value)
    return highest, lowest, area


@kernel
def _measure_p(y: npt.NDArray[np.float32], onset: int, base: float, out: Row) -> None:
    """Where the curve before the QRS bulges most from the line between its ends, and how much."""
    first = max(onset - P_TICKS, FOOT - 1)
    left = (np.float64(y[first]) + np.float64(y[first - 1]) + np.float64(y[first - 2])) / FOOT
    steps = onset - FOOT - first
    for i in range(first, onset - FOOT):
        bulge = np.float64(y[i]) - (left + (base - left) * (i - first) / steps)
        if abs(bulge) > abs(out.p_mv):
            out.p_mv = bulge
            out.p_tick = i - SPAN_BEFORE


@kernel
def measure(signal: Row, peak_tick: int, lead: int, out: Row) -> None:
    """Measure the beat at `peak_tick` in one lead of a `SIGNAL` record.

    Parameters
    ----------
    signal : record of `detector.types.SIGNAL`
        Must hold the ticks up to ``peak_tick + AFTER - 1``; later ones are not looked at.
    peak_tick : int
        The R peak.
    lead : int
        Which lead.
    out : record of `MEASURES`
        All zero with ``valid`` 0 when the lead cannot be read around the peak or is flat.
    """
    y = np.empty(SPAN, np.float32)
    readable = window(signal, peak_tick, lead, y)
    measure_window(y, out)
    if readable == 0:
        out.valid = 0
