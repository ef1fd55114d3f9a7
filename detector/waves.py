"""P presence and T end: what one beat's window of 300 ms does not tell.

**P presence.** A bulge before the QRS is as large in atrial fibrillation as in sinus rhythm. A P wave is what comes
again: its stretch of signal looks like the same stretch before the last beats, at the same distance from the R peak,
while waves of fibrillation come as they like. Known when the beat is, 300 ms after its R peak.

**T end.** It lies later than 300 ms after the R peak in most adults, so it has a reading of its own `T_AFTER` ticks
after the R peak (600 ms). The T wave is the largest deflection from the line under its window, weighted by how near
it lies to where T waves lie at this heart rate; it ends where the slope after its peak has fallen to a share of its
steepest (the threshold rule of Laguna, Jané and Caminal 1994).

Both are pure functions of the `SIGNAL` ring and of R peaks. The constants are chosen on ludb, see `docs/fiducials.md`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.bounds import SPIKE_BESIDE, bridge_spike
from detector.jit import kernel
from detector.types import TICK_MS, Array, Row
from detector.windows import copy_bridged, correlation

COMPARED: Final = 3  # beats before this one with which its P wave is compared
COMPARED_WITHIN: Final = 590  # ticks before this R peak: the ring holds as many however frames were cut
P_BEFORE: Final = 58  # ticks before the QRS onset at which the stretch of the P wave begins (232 ms)
P_CLEAR: Final = 6  # and at which it ends: the QRS is steep, and its onset not certain
P_SPAN: Final = P_BEFORE - P_CLEAR
P_PRESENT: Final = 0.7  # mean correlation from which on there is a P wave

T_AFTER: Final = 150  # ticks after the R peak at which the T wave is read (600 ms): 99 % of T waves have ended
QRS_BEFORE: Final = 40  # ticks before the R peak that are looked at, for the size of the QRS
T_BEGIN: Final = 15  # ticks after the J point at which the T wave's window begins (60 ms)
T_STOP: Final = 112.5  # ticks from R at which it ends at 60 beats a minute (450 ms)
T_USUAL: Final = 77.5  # ticks from R at which T waves peak at 60 beats a minute (310 ms)
T_RATE: Final = 0.4  # share by which both change with 1 s of RR: 154 ms of a QT of 400 ms (Sagie 1992, Framingham)
T_SPREAD: Final = 25.0  # ticks off that at which a deflection weighs half (100 ms)
T_SHORTEST: Final = 20  # ticks of the window at least (80 ms)
NEXT_QRS: Final = 0.4  # of the steepest slope: the next QRS is this steep
NEXT_AFTER: Final = 50  # ticks after R from which on there may be one (200 ms, the refractory period)
NEXT_CLEAR: Final = 30  # ticks before it that belong to its P wave (120 ms)
HALF: Final = 3  # ticks to both sides for a T wave's slope: it has little above 10 Hz
FALL: Final = 40  # ticks after its peak in which a T wave falls steepest (160 ms)
FALLEN: Final = 0.2  # of the steepest so far: what is less steep is no longer the same fall
END: Final = 0.3  # of the steepest: here readers see it end
T_LEAST: Final = 0.02  # of the QRS's extent: a smaller T wave is not read
LONGEST: Final = 375  # ticks: range of RR by which the window is scaled (1.5 s),
SHORTEST: Final = 80  # (320 ms)
UNKNOWN_RR: Final = 200  # ticks: RR when none is known yet (75 beats a minute)

#: What `t_wave` writes. Times are from the R peak.
T_WAVE = np.dtype(
    [
        ("valid", "i4"),  # 0: cannot be read, all else is 0
        ("peak_ms", "f4"),
        ("end_ms", "f4"),
        ("height_mv", "f4"),  # over the line from J + 60 ms to where T waves have ended; negative when inverted
    ],
    align=True,
)

T_WINDOW: Final = QRS_BEFORE + T_AFTER
SLOPE_END: Final = T_WINDOW - 1 - HALF  # index before which the slope of a T wave can be told
_MARGIN: Final = 4  # ticks that the filter of two boxcars of five reaches


@kernel
def _smooth(raw: Array, out: Array) -> None:
    """Two boxcars of five ticks, 3 dB at 16 Hz; beyond its ends the window goes on as it ends."""
    n = len(raw)
    once = np.empty(n, np.float64)
    for i in range(n):
        total = 0.0
        for k in range(i - 2, i + 3):
            total += raw[min(max(k, 0), n - 1)]
        once[i] = total / 5.0
    for i in range(n):
        total = 0.0
        for k in range(i - 2, i + 3):
            total += once[min(max(k, 0), n - 1)]
        out[i] = total / 5.0


@kernel
def p_stretch(signal: Row, peak_tick: int, lead: int, onset: int, out: Array) -> bool:
    """The stretch before the QRS without pacing spikes, smoothed, over the line between its ends.

    False when it cannot be read.

    Parameters
    ----------
    signal, peak_tick, lead, onset
        As for `p_alike`.
    out : float64, shape (P_SPAN,)
        mV.
    """
    raw = np.empty(P_SPAN + 2 * _MARGIN, np.float64)
    smooth = np.empty(P_SPAN + 2 * _MARGIN, np.float64)
    # What is taken for an R peak before its QRS is a pacing spike: the P wave lies before that.
    if not copy_bridged(signal, peak_tick + min(onset, 0) - P_BEFORE - _MARGIN, lead, raw, 0, len(raw)):
        return False
    for i in range(SPIKE_BESIDE, len(raw) - SPIKE_BESIDE):  # a spike comes in step with the QRS, but is no P wave
        bridge_spike(raw, i, 0.0)
    _smooth(raw, smooth)
    left, right = smooth[_MARGIN], smooth[_MARGIN + P_SPAN - 1]
    for i in range(P_SPAN):
        out[i] = smooth[_MARGIN + i] - (left + (right - left) * i / (P_SPAN - 1.0))
    return True


@kernel
def p_alike(signal: Row, peak_tick: int, earlier: Array, lead: int, onset: int) -> float:
    """How alike what comes before this QRS is to what came before the last ones: the mean correlation.

    Parameters
    ----------
    signal : record of `detector.types.SIGNAL`
        Nothing after ``peak_tick + onset`` is used.
    peak_tick : int
        The R peak.
    earlier : int64, shape (n,)
        R peaks before it, the last first; negative: none. `COMPARED` of them are of use.
    lead : int
    onset : int
        Of this beat's QRS, in ticks from R, as in `detector.measure.MEASURES`.

    Returns
    -------
    float
        -1 ... 1; from `P_PRESENT` on there is a P wave. NaN when there is nothing to compare with.
    """
    own = np.empty(P_SPAN, np.float64)
    other = np.empty(P_SPAN, np.float64)
    if not p_stretch(signal, peak_tick, lead, onset, own):
        return float(np.nan)
    total = 0.0
    count = 0
    for k in range(min(len(earlier), COMPARED)):
        if earlier[k] < max(peak_tick - COMPARED_WITHIN, 0) or not p_stretch(signal, earlier[k], lead, onset, other):
            continue
        total += correlation(own, other)
        count += 1
    return float(total / count) if count > 0 else float(np.nan)


@kernel
def t_window(signal: Row, peak_tick: int, lead: int, out: Array) -> bool:
    """Copy the T wave's window out of the ring; False when it cannot be read.

    Parameters
    ----------
    signal, peak_tick, lead
        As for `t_wave`.
    out : float64, shape (T_WINDOW,)
        mV; ``out[QRS_BEFORE]`` is the R peak.
    """
    return copy_bridged(signal, peak_tick - QRS_BEFORE, lead, out, 0, len(out))


@kernel
def t_wave(signal: Row, peak_tick: int, rr: int, lead: int, offset: int, out: Row) -> None:
    """Read the T wave of the beat at `peak_tick` in one lead.

    Parameters
    ----------
    signal : record of `detector.types.SIGNAL`
        Must hold the ticks up to ``peak_tick + T_AFTER - 1``; later ones are not looked at.
    peak_tick : int
        The R peak.
    rr : int
        Ticks since the R peak before it; 0: unknown.
    lead : int
    offset : int
        The J point, in ticks from R, as in `detector.measure.MEASURES`.
    out : record of `T_WAVE`
        All zero when the lead cannot be read, when there is no T wave of any size, or when it has not ended by then.
    """
    raw = np.empty(T_WINDOW, np.float64)
    if t_window(signal, peak_tick, lead, raw):
        t_in_window(raw, rr, offset, T_USUAL, END, out)
    else:
        out.valid = 0
        out.peak_ms = out.end_ms = out.height_mv = 0.0


@kernel
def t_in_window(raw: Array, rr: int, offset: int, usual_ticks: float, share: float, out: Row) -> None:
    """Read a window that `t_window` has copied; `usual_ticks` and `share` are `T_USUAL` and `END`, or to be tried."""
    out.valid = 0
    out.peak_ms = out.end_ms = out.height_mv = 0.0
    y = np.empty(T_WINDOW, np.float64)
    _smooth(raw, y)
    r = QRS_BEFORE
    scale = 1.0 + T_RATE * (min(max(rr if rr > 0 else UNKNOWN_RR, SHORTEST), LONGEST) - 250) / 250.0
    begin, end, extent = _t_range(raw, offset, scale)
    top, height = _t_peak(y, begin, end, r + usual_ticks * scale)
    if top < 0 or abs(height) < T_LEAST * extent:
        return
    t_end = _t_end(y, top, 1.0 if height > 0.0 else -1.0, share)
    if t_end > 0.0:
        out.valid = 1
        out.peak_ms = (top - r) * TICK_MS
        out.end_ms = (t_end - r) * TICK_MS
        out.height_mv = height


@kernel
def _t_range(raw: Array, offset: int, scale: float) -> tuple[int, int, float]:
    """Indices between which the T wave peaks, before the next QRS, and the peak-to-peak amplitude of the QRS.

    The slope over four ticks of the raw curve tells a QRS from a T wave.
    """
    r = QRS_BEFORE
    steepest = 0.0
    lowest = highest = raw[r]
    for i in range(r - 30, r + 50):
        lowest = min(lowest, raw[i])
        highest = max(highest, raw[i])
        if i >= r - 25 and i < r + 30:
            steepest = max(steepest, abs(raw[i + 2] - raw[i - 2]))
    begin = max(r + offset + T_BEGIN, r + 20)
    end = min(r + int(T_STOP * scale), SLOPE_END)
    for i in range(r + max(NEXT_AFTER, offset + 20), T_WINDOW - 2):
        if abs(raw[i + 2] - raw[i - 2]) > NEXT_QRS * steepest:
            end = min(end, i - NEXT_CLEAR)
            break
    return begin, min(max(end, begin + T_SHORTEST), SLOPE_END), highest - lowest


@kernel
def _t_peak(y: Array, begin: int, end: int, usual: float) -> tuple[int, float]:
    """Index and height of the largest deflection from the line between two indices, by how near it is to a third.

    The index is -1 where the curve is that line.
    """
    best = 0.0
    height = 0.0
    top = -1
    for i in range(begin, end):
        deflection = y[i] - (y[begin] + (y[end] - y[begin]) * (i - begin) / (end - begin))
        off = (i - usual) / T_SPREAD
        weighted = abs(deflection) / (1.0 + off * off)
        if weighted > best:
            best = weighted
            height = deflection
            top = i
    if top < 0:
        return top, height
    up = 1.0 if height > 0.0 else -1.0
    while top < end and up * y[top + 1] > up * y[top]:  # the weight has drawn it towards where T waves usually are
        top += 1
    while top > begin and up * y[top - 1] > up * y[top]:
        top -= 1
    return top, height


@kernel
def _t_end(y: Array, top: int, up: float, share: float) -> float:
    """Where the slope after the T peak at `top` has fallen to a share of its steepest; 0 where it does not.

    `up` is 1 for a positive T wave and -1 for a negative one.
    """
    fall = 0.0
    steep = top + 1
    for i in range(top + 2, min(top + FALL, SLOPE_END)):
        slope = -up * (y[i + HALF] - y[i - HALF])
        if slope > fall:
            fall = slope
            steep = i
        elif fall > 0.0 and slope < FALLEN * fall:
            break
    if fall == 0.0:
        return 0.0
    before = fall
    for i in range(steep + 1, SLOPE_END):
        slope = -up * (y[i + HALF] - y[i - HALF])
        if slope < share * fall:
            return float(i - (share * fall - slope) / (before - slope))
        before = slope
    return 0.0
