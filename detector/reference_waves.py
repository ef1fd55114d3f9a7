"""QRS bounds, P presence and T end once more, in plain Python, to be read and to be the kernels' oracle.

Where a kernel walks, sums as it goes and breaks off, this makes lists and picks from them. Both must agree to the last
bit, so sums are taken in the same order.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from detector import bounds as qrs_bounds
from detector import waves
from detector.windows import MISSING

Curve = npt.NDArray[np.float32]
Signal = Sequence[float]


def _sum(values: Iterable[float]) -> float:
    """One after the other; the built-in `sum` compensates for rounding since Python 3.12."""
    return functools.reduce(operator.add, values, 0.0)


def bridge(curve: Sequence[float], at: int, least: float) -> list[float]:
    """What bridges a pacing spike at `at`, nothing where there is none; see `detector.bounds.bridge_spike`."""
    half, beside = qrs_bounds.SPIKE_HALF, qrs_bounds.SPIKE_BESIDE
    far_left, left, middle, right, far_right = (curve[at + k] for k in (-beside, -half, 0, half, beside))
    height = abs(middle - 0.5 * (left + right))
    if height > least and height > qrs_bounds.SPIKE * max(
        abs(left - right), abs(left - far_left), abs(right - far_right)
    ):
        return [left + (right - left) * k / (2.0 * half) for k in range(1, 2 * half)]
    return []


def remove_spikes(raw: Signal, peak: int) -> list[float]:
    """The curve without pacing spikes; see `detector.bounds.remove_spikes`."""
    curve = list(raw)
    near = raw[peak - qrs_bounds.EXTENT_BEFORE : peak + qrs_bounds.EXTENT_AFTER]
    least = qrs_bounds.SPIKE_SHARE * (max(near) - min(near))
    for i in range(peak - qrs_bounds.EXTENT_BEFORE, peak + 2):
        if bridged := bridge(curve, i, least):
            curve[i - qrs_bounds.SPIKE_HALF + 1 : i + qrs_bounds.SPIKE_HALF] = bridged
    return curve


def bounds(y: Curve, peak: int) -> tuple[float, float]:
    """Onset and end of the QRS in ticks from R, with the weights as shipped; see `detector.bounds.bounds`."""
    n = len(y)
    slope = [abs(float(y[i + 1]) - float(y[i - 1])) for i in range(1, n - 1)]
    slope = [slope[0], *slope, slope[-1]]
    steepest = max(slope[peak - qrs_bounds.STEEP_BEFORE : peak + qrs_bounds.STEEP_AFTER])
    if steepest == 0.0:
        return -qrs_bounds.DEFAULT_BOUND, qrs_bounds.DEFAULT_BOUND
    flanks = range(peak - qrs_bounds.FLANK_BEFORE, peak + qrs_bounds.FLANK_AFTER + 1)
    steep = [i for i in flanks if slope[i] > qrs_bounds.FLANK * steepest]

    begin = steep[0] - qrs_bounds.QUIET_BEFORE
    sums = [_sum(slope[begin : begin + qrs_bounds.QUIET])]
    sums += [slope[i] - slope[i - qrs_bounds.QUIET] for i in range(begin + qrs_bounds.QUIET, steep[0] - 1)]
    quietest = min(itertools.accumulate(sums))
    half = qrs_bounds.SHARE * steepest + qrs_bounds.NOISE * max(quietest, 0.0) / qrs_bounds.QUIET

    padded = [slope[0]] * qrs_bounds.REACH + slope + [slope[-1]] * qrs_bounds.REACH
    added = list(itertools.accumulate((s / (s + half) for s in padded), initial=0.0))
    onset = _place(
        added, steep[0] - peak, peak, range(qrs_bounds.ONSET_FROM, qrs_bounds.ONSET_TO + 1), qrs_bounds.ONSET_WEIGHTS
    )
    end = _place(
        added, steep[-1] - peak, peak, range(qrs_bounds.END_FROM, qrs_bounds.END_TO + 1), qrs_bounds.END_WEIGHTS
    )
    return onset, max(end, onset + qrs_bounds.NARROWEST)


def _place(added: Signal, flank: int, peak: int, ticks: range, weights: Iterable[float]) -> float:
    scores = []
    for tick in ticks:
        at = peak + tick + qrs_bounds.REACH
        measures = [(added[at + b] - added[at + a]) / (b - a) for a, b in itertools.pairwise(qrs_bounds.EDGES)]
        off, away = (tick - flank) / qrs_bounds.FROM_FLANK, tick / qrs_bounds.FROM_PEAK
        measures += [off, abs(off), away, away * away]
        scores.append(_sum(w * m for w, m in zip(weights, measures, strict=True)))
    counts = [qrs_bounds.weight_of(max(scores) - score) for score in scores]
    return ticks.start + _sum(c * n for n, c in enumerate(counts)) / _sum(counts)


def _ticks(mv: Curve, first: int, count: int) -> tuple[list[float], int]:
    """A stretch of a lead, bridged, and how many of its ticks are missing; `mv` is the whole lead from tick 0."""
    told = [float(mv[t]) if 0 <= t < len(mv) and np.isfinite(mv[t]) else None for t in range(first, first + count)]
    bridged = []
    value = next((known for known in told if known is not None), 0.0)
    for now in told:
        value = value if now is None else now
        bridged.append(value)
    return bridged, told.count(None)


def _smooth(raw: Signal) -> list[float]:
    once = list(raw)
    for _ in range(2):
        padded = [once[0]] * 2 + once + [once[-1]] * 2
        once = [_sum(padded[i : i + 5]) / 5.0 for i in range(len(raw))]
    return once


def p_alike(mv: Curve, peak: int, earlier: Sequence[int], onset: int) -> float:
    """Mean correlation of a P wave's stretch with those before; see `detector.waves.p_alike`."""
    own = _p_stretch(mv, peak + min(onset, 0))
    if own is None:
        return math.nan
    alike = []
    for before in earlier[: waves.COMPARED]:
        other = _p_stretch(mv, before + min(onset, 0)) if before >= max(peak - waves.COMPARED_WITHIN, 0) else None
        if other is not None:
            power = _sum(a * a for a in own) * _sum(b * b for b in other)
            common = _sum(a * b for a, b in zip(own, other, strict=True))
            alike.append(common / math.sqrt(power) if power else 0.0)
    return _sum(alike) / len(alike) if alike else math.nan


def _p_stretch(mv: Curve, onset: int) -> list[float] | None:
    raw, missing = _ticks(mv, onset - waves.P_BEFORE - 4, waves.P_SPAN + 8)
    if missing > MISSING:
        return None
    for i in range(qrs_bounds.SPIKE_BESIDE, len(raw) - qrs_bounds.SPIKE_BESIDE):
        if bridged := bridge(raw, i, 0.0):
            raw[i - qrs_bounds.SPIKE_HALF + 1 : i + qrs_bounds.SPIKE_HALF] = bridged
    y = _smooth(raw)[4:-4]
    return [value - (y[0] + (y[-1] - y[0]) * i / (len(y) - 1.0)) for i, value in enumerate(y)]


def t_wave(mv: Curve, peak: int, rr: int, offset: int) -> tuple[float, float, float] | None:
    """Peak and end of the T wave in ms from R, and its height; see `detector.waves.t_wave`."""
    raw, missing = _ticks(mv, peak - waves.QRS_BEFORE, waves.T_WINDOW)
    if missing > MISSING:
        return None
    y = _smooth(raw)
    r, last = waves.QRS_BEFORE, waves.T_WINDOW - 1 - waves.HALF
    steepest = max(abs(raw[i + 2] - raw[i - 2]) for i in range(r - 25, r + 30))
    extent = max(raw[r - 30 : r + 50]) - min(raw[r - 30 : r + 50])
    known_rr = min(max(rr if rr > 0 else waves.UNKNOWN_RR, waves.SHORTEST), waves.LONGEST)
    scale = 1.0 + waves.T_RATE * (known_rr - 250) / 250.0
    begin = max(r + offset + waves.T_BEGIN, r + 20)
    later = range(r + max(waves.NEXT_AFTER, offset + 20), waves.T_WINDOW - 2)
    following = [i for i in later if abs(raw[i + 2] - raw[i - 2]) > waves.NEXT_QRS * steepest]
    stop = min([r + int(waves.T_STOP * scale), last] + [i - waves.NEXT_CLEAR for i in following[:1]])
    stop = min(max(stop, begin + waves.T_SHORTEST), last)

    bulge = {i: y[i] - (y[begin] + (y[stop] - y[begin]) * (i - begin) / (stop - begin)) for i in range(begin, stop)}
    off = {i: (i - (r + waves.T_USUAL * scale)) / waves.T_SPREAD for i in bulge}
    weighted = {i: abs(value) / (1.0 + off[i] * off[i]) for i, value in bulge.items()}
    top = max(weighted, key=lambda i: weighted[i])
    if weighted[top] == 0.0 or abs(bulge[top]) < waves.T_LEAST * extent:
        return None
    height = bulge[top]
    up = 1.0 if height > 0.0 else -1.0
    top = next((i for i in range(top, stop) if up * y[i + 1] <= up * y[i]), stop)
    top = next((i for i in range(top, begin, -1) if up * y[i - 1] <= up * y[i]), begin)
    slope = {i: -up * (y[i + waves.HALF] - y[i - waves.HALF]) for i in range(top + 1, last)}
    fall, steep = 0.0, top + 1
    for i in range(top + 2, min(top + waves.FALL, last)):
        if slope[i] > fall:
            fall, steep = slope[i], i
        elif fall > 0.0 and slope[i] < waves.FALLEN * fall:
            break
    for i in range(steep + 1, last):
        if fall > 0.0 and slope[i] < waves.END * fall:
            before = slope[i - 1]
            return (top - r) * 4.0, (i - (waves.END * fall - slope[i]) / (before - slope[i]) - r) * 4.0, height
    return None
