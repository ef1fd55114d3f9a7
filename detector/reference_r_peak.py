"""Where the R peak lies, once more in plain Python, to be read and to be the oracle of `detector.r_peak`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from detector import r_peak
from detector.bounds import SPIKE_BESIDE, SPIKE_HALF
from detector.envelope import LAG
from detector.pulses import HALF, PERIOD
from detector.reference_filters import LeadTwin, microvolts
from detector.reference_pulses import line
from detector.reference_waves import bridge


def locate(
    leads: Sequence[LeadTwin],
    mv: Sequence[Sequence[float]],
    pulses: Sequence[int],
    at: int,
    envelopes: Sequence[float],
    last_r: int,
    *,
    searched: bool,
) -> tuple[int, int]:
    """Place the R peak of a beat; see `detector.r_peak` for the rule.

    Parameters
    ----------
    leads : sequence of LeadTwin
        The lead it is placed on learns which way it points, unless `searched`.
    mv : sequence of (leads,) float
        All ticks so far, in mV; NaN where there is no reading.
    pulses : sequence of int
        Ticks of a pacemaker's pulses so far.
    at : int
        Step of the feature's peak.
    envelopes : sequence of float
        Of the leads, there.
    last_r : int
        Tick of the last R peak.
    searched : bool
        Found by the search back.

    Returns
    -------
    tick, lead : int
    """
    active = [i for i, lead in enumerate(leads) if lead.active]
    showing = [i for i in active if envelopes[i] >= r_peak.SHOWN * leads[i].level]
    chosen = 0
    for number, i in enumerate(showing or active):
        if number == 0 or leads[i].weight > r_peak.CLEARLY * leads[chosen].weight:
            chosen = i
    centre = 2 * at + 1 - LAG
    first = max(centre - r_peak.FIDUCIAL, last_r + r_peak.APART)
    last = max(centre + r_peak.FIDUCIAL, first)

    begin = first - r_peak.LEVEL_TICKS
    curve = _whole(mv, chosen, begin, last + 1)
    for pulse in reversed(pulses):
        _bridge_pulse(curve, begin, pulse, _whole(mv, chosen, pulse - HALF - PERIOD + 1, pulse + HALF + 1))
    past, window = curve[: r_peak.LEVEL_TICKS], curve[r_peak.LEVEL_TICKS :]
    if all(value is None for value in window):
        return min(max(centre, first), last), chosen
    level_of = _calmest(past, first - (last_r + r_peak.T_OVER)) or [value for value in window if value is not None]
    level = _mean(level_of)
    lead = leads[chosen]
    upright = np.float32(r_peak.UPRIGHT * r_peak.LOYAL if lead.upright > 0.5 else r_peak.UPRIGHT / r_peak.LOYAL)
    off = [0.0 if value is None else value - level for value in past + window]
    begin = len(past)
    top = _largest(off[begin:], upright)
    spike, height = top, off[begin + top]
    for _ in range(r_peak.SPIKES):
        bridged = bridge(off, begin + top, 0.0) if top + SPIKE_BESIDE < len(window) else []
        if not bridged:
            break
        off[begin + top - SPIKE_HALF + 1 : begin + top + SPIKE_HALF] = [float(np.float32(value)) for value in bridged]
        top = _largest(off[begin:], upright)
    if abs(off[begin + top]) > np.float32(r_peak.RESIDUAL_SHARE) * np.float32(abs(height)):
        height = off[begin + top]
    else:
        top = spike
    if not searched:
        lead.upright += np.float32(r_peak.LATELY) * (np.float32(height > 0.0) - lead.upright)
    return first + top, chosen


def _bridge_pulse(curve: list[int | None], first: int, pulse: int, around: Sequence[int | None]) -> None:
    """Draw a straight line over a pulse in a curve from tick `first` on, if its ends have a reading."""
    if None in (*around[:PERIOD], *around[-PERIOD:]):
        return
    known = [value or 0 for value in around]
    for tick in range(max(pulse - HALF + 1, first), min(pulse + HALF, first + len(curve))):
        curve[tick - first] = line(known, tick - pulse)


def _calmest(past: Sequence[int | None], behind: int) -> list[int]:
    """Readings of the calmest stretch before the complex, which begins so many ticks `behind` the last T wave."""
    size = r_peak.BEFORE
    best = [value for value in past[-size:] if value is not None]
    least = (max(best) - min(best)) / r_peak.CALMER if len(best) == size else math.inf
    for back in range(2, r_peak.STRETCHES + 1):
        begin = len(past) - back * size
        some = [value for value in past[begin : begin + size] if value is not None]
        if behind >= back * size and len(some) == size and max(some) - min(some) < least:
            best, least = some, max(some) - min(some)
    return best


def _mean(values: Sequence[int]) -> float:
    return float(np.rint(np.float32(sum(values)) / np.float32(len(values))))


def _largest(off: Sequence[float], upright: np.float32) -> int:
    """Where the largest deflection is, or an earlier one that is nearly as large."""
    sizes = [np.float32(value) * upright if value > 0.0 else np.float32(-value) for value in off]
    top = sizes.index(max(sizes))
    if top == len(off) - 1:  # its growth goes on behind the window
        begin = top
        while begin > 0 and off[begin - 1] * off[top] > 0.0:
            begin -= 1
        swing = max((abs(value) for value in off[:begin] if value * off[top] < 0.0), default=0.0)
        slopes = [0.0] + [abs(b - a) for a, b in itertools.pairwise(off)]
        fall, rise = max(slopes[:begin], default=0.0), max(slopes[begin:])
        swung = np.float32(swing) > np.float32(r_peak.CUT_SHARE) * np.float32(abs(off[top]))
        if swung and np.float32(fall) > np.float32(r_peak.STEEPER) * np.float32(rise):
            top = sizes.index(max(sizes[:begin]))
    for i in range(1, top - r_peak.WIDE):
        if sizes[i] > np.float32(r_peak.EARLIER_SHARE) * sizes[top] and sizes[i - 1] <= sizes[i] >= sizes[i + 1]:
            return i
    return top


def _whole(mv: Sequence[Sequence[float]], lead: int, first: int, end: int) -> list[int | None]:
    """Whole microvolts of the ticks [first, end) of a lead; None where there is no reading."""
    values = [mv[t][lead] if t >= 0 else math.nan for t in range(first, end)]
    return [None if math.isnan(value) else microvolts(value) for value in values]
