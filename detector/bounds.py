"""Where a QRS complex begins and ends, and what is a pacing spike and no part of it.

Every tick near the R peak has a score as the onset, and one as the end, of thirteen measures: how steep the curve is
in nine stretches around the tick, the short ones next to it and the long ones farther off, and where the tick lies from
the outermost steep flank and from the R peak. Steepness is told between 0 and 1, a tenth of the steepest slope being
half way, or more where it is not quiet before the QRS: a slow beginning counts and a tall peak does not count more than
that. The bound is the mean of the ticks, weighted by their scores, so it lies between two ticks and a doubtful bound
lies in the middle of where it may be.

The weights are fitted to the marks of ludb (`model.bounds_fit`); `telebeat bench fiducials` chooses them on other
subjects than it judges and says how well that does.
"""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np

from detector.jit import hot, kernel
from detector.types import Array

#: Ticks from the R peak between which a QRS may begin (-180 to 140 ms: where the "R peak" is a pacing spike or the P
#: wave of a lead with hardly any QRS, the QRS begins after it) and between which it may end (0 to 284 ms).
ONSET_FROM, ONSET_TO = -45, 35
END_FROM, END_TO = 0, 71
NARROWEST: Final = 8  # ticks of the narrowest QRS (32 ms): no reader marks a narrower one
DEFAULT_BOUND: Final = 10.0  # ticks to both sides of the R peak when there is no slope at all: half a narrow QRS

STEEP_BEFORE: Final = 25  # ticks before the R peak in which its steepest slope may lie (100 ms)
STEEP_AFTER: Final = 40  # and after it (160 ms): an R peak on a spike or on the first hump of a wide complex
FLANK: Final = 0.5  # of the steepest slope: what is steeper belongs to the complex beyond doubt
FLANK_BEFORE: Final = 30  # ticks before the R peak in which the first flank may lie (120 ms)
FLANK_AFTER: Final = 44  # and after it the last one (176 ms)
QUIET_BEFORE: Final = 45  # ticks before the first flank in which a quiet stretch is looked for (180 ms: the PR segment)
QUIET: Final = 8  # ticks of a quiet stretch (32 ms)
SHARE: Final = 0.1  # of the steepest slope: half steep where the signal is quiet (0.1 to 0.2 in the literature)
NOISE: Final = 0.5  # times the mean slope of the quiet stretch on top of that

#: Bounds of the stretches around a tick in which its measures tell the mean steepness.
EDGES: Final = (-24, -12, -6, -3, -1, 1, 3, 6, 12, 24)
REACH: Final = EDGES[-1]
FROM_FLANK: Final = 12.0  # ticks from the flank that count one
FROM_PEAK: Final = 20.0  # and from the R peak
#: What is measured of a tick, in the order of the weights.
MEASURES: Final = (
    *(f"steep {a}..{b}" for a, b in itertools.pairwise(EDGES)),
    "from flank",
    "off flank",
    "from peak",
    "from peak squared",
)
COUNT: Final = len(MEASURES)
#: Steep after and not before is an onset, the other way round an end; a stretch weighs by its length.
ONSET_WEIGHTS: Final = np.array([-3.14, -4.79, -3.96, -3.17, -1.94, -0.81, 1.34, 6.37, 4.85, -0.2, -1.12, -0.12, -1.42])
END_WEIGHTS: Final = np.array([4.0, 4.68, 2.82, 1.5, 1.01, -2.17, -4.5, -7.43, -6.23, 1.65, -2.05, 0.99, -1.98])

SPIKE: Final = 6.0  # a spike is this many times larger than what the curve moves beside it
SPIKE_SHARE: Final = 0.1  # and at least this share of the beat's extent,
EXTENT_BEFORE: Final = 35  # which is told from these ticks before the R peak
EXTENT_AFTER: Final = 50  # and after it
SPIKE_HALF: Final = 3  # ticks from its middle at which the curve is back (12 ms; a pacing pulse lasts 0.5 to 2 ms)
SPIKE_BESIDE: Final = 5  # and at which what is beside it ends (20 ms)

_EDGES = np.array(EDGES)


@hot
def bridge_spike(curve: Array, at: int, least: float) -> bool:
    """Bridge the curve at a tick that is a pacing spike; False where it is none.

    Parameters
    ----------
    curve : float32 or float64, shape (n,)
        At `RATE`; `SPIKE_BESIDE` ticks to both sides of the tick at least.
    at : int
        Index of the tick.
    least : float
        What is not higher over the curve beside it is none.
    """
    left, right = np.float64(curve[at - SPIKE_HALF]), np.float64(curve[at + SPIKE_HALF])
    height = abs(curve[at] - 0.5 * (left + right))
    if height <= least:
        return False
    beside = max(abs(left - right), abs(left - curve[at - SPIKE_BESIDE]), abs(right - curve[at + SPIKE_BESIDE]))
    if height <= SPIKE * beside:
        return False
    for k in range(1, 2 * SPIKE_HALF):
        curve[at - SPIKE_HALF + k] = left + (right - left) * k / (2.0 * SPIKE_HALF)
    return True


@kernel
def remove_spikes(raw: Array, peak: int) -> int:
    """Bridge pacing spikes that lie before the R peak or on it; returns how many ticks were spikes.

    Parameters
    ----------
    raw : float64, shape (n,)
        A beat's curve in mV at `RATE`, at least `EXTENT_BEFORE` + 5 ticks before and `EXTENT_AFTER` after the R peak.
    peak : int
        Index of the R peak.
    """
    lowest = highest = raw[peak]
    for i in range(peak - EXTENT_BEFORE, peak + EXTENT_AFTER):
        lowest = min(lowest, raw[i])
        highest = max(highest, raw[i])
    least = SPIKE_SHARE * (highest - lowest)
    count = 0
    for i in range(peak - EXTENT_BEFORE, peak + 2):
        count += bridge_spike(raw, i, least)
    return count


@kernel
def steepness(y: Array, peak: int, sums: Array) -> tuple[int, int]:
    """How steep a beat's curve is, added up, and its outermost flanks.

    Parameters
    ----------
    y : float32, shape (n,)
        A beat's curve as `detector.measure.window` makes it: at least `FLANK_BEFORE` + `QUIET_BEFORE` + 1 ticks before
        the R peak and `END_TO` after it. Beyond its ends it goes on as steep as it ends.
    peak : int
        Index of the R peak.
    sums : float64, shape (n + 2 * REACH + 1,), out
        ``sums[b + REACH] - sums[a + REACH]`` is the sum of the steepness of ticks a to b - 1.

    Returns
    -------
    first, last : int
        Indices of the first and the last flank; both -1, and nothing added up, without any slope.
    """
    n = len(y)
    slopes = np.empty(n, np.float64)
    for i in range(1, n - 1):
        slopes[i] = abs(np.float64(y[i + 1]) - np.float64(y[i - 1]))
    slopes[0], slopes[n - 1] = slopes[1], slopes[n - 2]
    steepest = 0.0
    for i in range(peak - STEEP_BEFORE, peak + STEEP_AFTER):
        steepest = max(steepest, slopes[i])
    if steepest == 0.0:
        return -1, -1
    first = peak - FLANK_BEFORE
    while first < peak + STEEP_AFTER and slopes[first] <= FLANK * steepest:
        first += 1
    last = peak + FLANK_AFTER
    while last > first and slopes[last] <= FLANK * steepest:
        last -= 1

    stretch = 0.0
    for i in range(first - QUIET_BEFORE, first - QUIET_BEFORE + QUIET):
        stretch += slopes[i]
    quietest = stretch
    for i in range(first - QUIET_BEFORE + QUIET, first - 1):
        stretch += slopes[i] - slopes[i - QUIET]
        quietest = min(quietest, stretch)
    half = SHARE * steepest + NOISE * max(quietest, 0.0) / QUIET

    sums[0] = 0.0
    for k in range(n + 2 * REACH):
        slope = slopes[min(max(k - REACH, 0), n - 1)]
        sums[k + 1] = sums[k] + slope / (slope + half)
    return first, last


@kernel
def measures_of(sums: Array, tick: int, flank: int, peak: int, out: Array) -> None:
    """The `MEASURES` of a tick; `sums` are those of `steepness`, `flank` is the outermost one on the bound's side."""
    for k in range(len(EDGES) - 1):
        a, b = _EDGES[k], _EDGES[k + 1]
        out[k] = (sums[tick + REACH + b] - sums[tick + REACH + a]) / (b - a)
    off = (tick - flank) / FROM_FLANK
    away = (tick - peak) / FROM_PEAK
    out[COUNT - 4] = off
    out[COUNT - 3] = abs(off)
    out[COUNT - 2] = away
    out[COUNT - 1] = away * away


@kernel
def weight_of(below: float) -> float:
    """What a tick counts whose score is so much below the best: nearly exp(-below), but the same on every machine."""
    w = 1.0 / (1.0 + 0.125 * below)
    w *= w
    w *= w
    return w * w


@kernel
def _place(sums: Array, flank: int, peak: int, begin: int, end: int, weights: Array) -> float:
    """Mean of the ticks from `begin` to `end`, from the R peak, weighted by their scores."""
    measures = np.empty(COUNT, np.float64)
    scores = np.empty(end - begin + 1, np.float64)
    best = -np.inf
    for n in range(end - begin + 1):
        measures_of(sums, peak + begin + n, flank, peak, measures)
        score = 0.0
        for k in range(COUNT):
            score += weights[k] * measures[k]
        scores[n] = score
        best = max(best, score)
    total = moment = 0.0
    for n in range(end - begin + 1):
        weight = weight_of(best - scores[n])
        total += weight
        moment += weight * n
    return float(begin + moment / total)


@kernel
def bounds(y: Array, peak: int) -> tuple[float, float]:
    """Onset and end of a QRS complex.

    Parameters
    ----------
    y, peak
        As for `steepness`.

    Returns
    -------
    onset, end : float
        In ticks from the R peak: `ONSET_FROM` ... `ONSET_TO` and `END_FROM` ... `END_TO`, `NARROWEST` apart or more.
    """
    sums = np.empty(len(y) + 2 * REACH + 1, np.float64)
    first, last = steepness(y, peak, sums)
    if first < 0:
        return -DEFAULT_BOUND, DEFAULT_BOUND
    onset = _place(sums, first, peak, ONSET_FROM, ONSET_TO, ONSET_WEIGHTS)
    end = _place(sums, last, peak, END_FROM, END_TO, END_WEIGHTS)
    return onset, max(end, onset + NARROWEST)
