"""Where a QRS complex begins and ends, and what is a pacing spike and no part of it.

A rule of slopes (Pan and Tompkins 1985; Laguna, Jané and Caminal 1994) in the form of Page's cumulative sum (1954):
from the outermost steep flank walk outwards and add up by how much the curve is steeper than a limit; the complex ends
where that sum is largest. A notch does not end it, as the slopes behind the notch make up for it, and a lone spark of
noise does not prolong it. The limit is a share of the steepest slope, or more where it is not quiet before the QRS.
Readers mark the complex a little further out than any slope tells, more so where the flank is slow; the last step
adds both. The constants are chosen on ludb; `telebeat bench fiducials` says how, and how well it does.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.jit import kernel
from detector.types import Array

REACH_BEFORE: Final = 35  # ticks before the R peak at which a QRS may begin at the earliest (140 ms)
REACH_AFTER: Final = 50  # ticks behind it at which it must have ended (200 ms)
STEEP_BEFORE: Final = 25  # ticks before the R peak in which its steepest slope may lie (100 ms)
STEEP_AFTER: Final = 30  # and behind it (120 ms): an R peak on the first hump of a wide complex
FLANK_AFTER: Final = 40  # ticks behind the R peak in which a last flank may lie (160 ms)
QUIET_BEFORE: Final = 45  # ticks before the first flank in which a quiet stretch is looked for (180 ms: the PR segment)
QUIET: Final = 8  # ticks of a quiet stretch (32 ms)
GIVE_UP: Final = 6.0  # limits that the sum may fall below its best before the walk ends: six flat ticks, 24 ms
CAPPED: Final = 2.0  # limits that one slope counts at most: a spark weighs no more than a flat tick

SHARE: Final = 0.1  # of the steepest slope: the limit where the signal is quiet (0.1 to 0.2 in the literature)
NOISE: Final = 6.0  # times the mean slope of the quiet stretch: the limit in noise
FLANK: Final = 0.7  # of the steepest slope: what is steeper belongs to the complex beyond doubt
PULL: Final = 0.27  # of the way back to the flank: a slow slope was followed too far as often as not
EARLY: Final = 4.7  # ticks by which readers mark the onset before that (19 ms)
LATE: Final = 3.9  # ticks by which they mark the end behind it (16 ms)

SPIKE: Final = 6.0  # a spike is this many times larger than what the curve moves beside it
SPIKE_SHARE: Final = 0.1  # and at least this share of the beat's extent
SPIKE_HALF: Final = 3  # ticks from its middle at which the curve is back (12 ms; a pacing pulse lasts 0.5 to 2 ms)


@kernel
def remove_spikes(raw: Array, peak: int) -> int:
    """Bridge pacing spikes that lie before the R peak or on it; returns how many ticks were spikes.

    Parameters
    ----------
    raw : float64, shape (n,)
        A beat's curve in mV at `RATE`, at least `REACH_BEFORE` + 5 ticks before and `REACH_AFTER` behind the R peak.
    peak : int
        Index of the R peak.
    """
    lowest = highest = raw[peak]
    for i in range(peak - REACH_BEFORE, peak + REACH_AFTER):
        lowest = min(lowest, raw[i])
        highest = max(highest, raw[i])
    least = SPIKE_SHARE * (highest - lowest)
    count = 0
    for i in range(peak - REACH_BEFORE, peak + 2):
        left, right = raw[i - SPIKE_HALF], raw[i + SPIKE_HALF]
        height = abs(raw[i] - 0.5 * (left + right))
        if height <= least:
            continue
        beside = max(abs(left - right), abs(left - raw[i - SPIKE_HALF - 2]), abs(right - raw[i + SPIKE_HALF + 2]))
        if height > SPIKE * beside:
            for k in range(1, 2 * SPIKE_HALF):
                raw[i - SPIKE_HALF + k] = left + (right - left) * k / (2.0 * SPIKE_HALF)
            count += 1
    return count


@kernel
def slopes_of(y: Array, peak: int, out: Array) -> None:
    """Magnitude of the slope of `y` over two ticks, where `bounds` looks at it."""
    for i in range(peak - STEEP_BEFORE - QUIET_BEFORE, peak + REACH_AFTER + 1):
        out[i] = abs(np.float64(y[i + 1]) - np.float64(y[i - 1]))


@kernel
def _edge(slopes: Array, start: int, stop: int, step: int, limit: float) -> float:
    """Walk from a flank outwards; where the sum of slope above the limit is largest, between two ticks."""
    total = 0.0
    best = -1.0
    at = start
    for i in range(start, stop, step):
        total += min(slopes[i], CAPPED * limit) - limit
        if total > best:
            best = total
            at = i
        if total < best - GIVE_UP * limit:
            break
    inside, outside = slopes[at], slopes[at + step]
    if inside > limit and outside < limit:
        return float(at + step * (inside - limit) / (inside - outside))
    return float(at)


@kernel
def walks(slopes: Array, peak: int, share: float, noise: float, flank: float) -> tuple[float, int, float, int]:
    """Where the walks outwards end and the flanks they begin at; all at the R peak without any slope.

    Parameters
    ----------
    slopes : float64, shape (n,)
        What `slopes_of` makes of a curve with at least `STEEP_BEFORE` + `QUIET_BEFORE` + 1 ticks before the R peak, and
        `REACH_AFTER` + 2 behind it.
    peak : int
        Index of the R peak.
    share, noise, flank : float
        `SHARE`, `NOISE`, `FLANK`, or others to be tried.

    Returns
    -------
    begin, first, end, last : float, int, float, int
        Indices: before the first flank, the first flank, behind the last flank, the last flank.
    """
    steepest = 0.0
    centre = peak
    for i in range(peak - STEEP_BEFORE, peak + STEEP_AFTER):
        if slopes[i] > steepest:
            steepest = slopes[i]
            centre = i
    if steepest == 0.0:
        return float(peak), peak, float(peak), peak
    first = peak - STEEP_BEFORE
    while first < centre and slopes[first] <= flank * steepest:
        first += 1
    last = peak + FLANK_AFTER
    while last > centre and slopes[last] <= flank * steepest:
        last -= 1

    stretch = 0.0
    for i in range(first - QUIET_BEFORE, first - QUIET_BEFORE + QUIET):
        stretch += slopes[i]
    quietest = stretch
    for i in range(first - QUIET_BEFORE + QUIET, first - 1):
        stretch += slopes[i] - slopes[i - QUIET]
        quietest = min(quietest, stretch)
    limit = max(share * steepest, noise * quietest / QUIET)

    begin = _edge(slopes, first, peak - REACH_BEFORE, -1, limit)
    end = _edge(slopes, last, peak + REACH_AFTER, 1, limit)
    return begin, first, end, last


@kernel
def bounds(slopes: Array, peak: int) -> tuple[float, float]:
    """Onset and end of a QRS complex.

    Parameters
    ----------
    slopes, peak
        As for `walks`.

    Returns
    -------
    onset, end : float
        In ticks from the R peak: -`REACH_BEFORE` ... 0 and 0 ... `REACH_AFTER`.
    """
    begin, first, end, last = walks(slopes, peak, SHARE, NOISE, FLANK)
    onset = begin + PULL * (first - begin) - EARLY - peak
    offset = end + PULL * (last - end) + LATE - peak
    return min(max(onset, -float(REACH_BEFORE)), 0.0), max(min(offset, float(REACH_AFTER)), 0.0)
