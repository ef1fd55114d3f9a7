"""How much the last five seconds look like ventricular fibrillation or flutter.

Every half second each lead is measured over a window of 5 s at 50 Hz, without its baseline, in five ways:

* *leakage*: what is left when the signal is added to itself half a mean period later. Small for one broad wave after
  the other, near 1 for complexes with rest between them (VF filter; Kuo and Dillman 1978).
* *quiet*: share of time in which the slope is small against its own peaks. Organised beats are short and steep with
  rest between them, fibrillation never rests (the idea of TCSC; Arafat et al. 2011, here on the slope).
* *unsteadiness*: the greatest deflection of each second, least over largest. Beats of one rhythm are alike,
  fibrillation waxes and wanes.
* *period*: lag of the greatest autocorrelation, 0.1 to 0.58 s. Fibrillation and flutter run at 150 to 500 a minute.
* *size*: log2 of the mean of those deflections in µV. A small signal of this kind is an asystole with noise.

They go into one logistic score a lead (as Li, Rajagopalan and Clifford 2014 do with a support vector machine), and
the readable leads' scores are averaged: QRS complexes in one lead outweigh an artefact in the other, since the heart
does not fibrillate in one lead only. A lead that was lost for more than a tenth of the window says nothing; without
any lead the likelihood is 0. The signal itself is kept and measured in integers, so nothing drifts.

A lead whose signal is mostly rough is noise, whatever the score. The score's constants come from the development
records: logistic regression over records of vfdb,
cudb, mitdb, svdb, cinc2015 and cpsc2021, each record with fibrillation weighing the same.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.jit import kernel
from detector.types import LEADS, RATE, Array, Row

STEP: Final = 5  # ticks to one sample: 50 Hz holds all of a QRS that tells it from fibrillation; mains is nulled
RATE_OUT: Final = RATE // STEP
WINDOW: Final = 5 * RATE_OUT  # samples looked at: 5 s, less is too few waves, more is too late
SECOND: Final = RATE_OUT  # samples over which each greatest deflection is taken
BASE: Final = 50  # samples of the baseline's mean (1 s): removes what is slower than about 0.6 Hz
EVERY: Final = 125  # ticks between two measurements (0.5 s)
KEPT: Final = 256  # samples kept, a power of two
LOST_SHARE: Final = 10  # a lead may have been without reading for one in so many samples of the window
SMALLEST_UV: Final = 30  # mean deflection below which a lead is flat and says nothing
SHORTEST: Final = 5  # samples of the shortest period looked for: 0.1 s, 600 a minute
LONGEST: Final = 29  # and of the longest: 0.58 s, 103 a minute; slower is no fibrillation
HALF_MOST: Final = 40  # samples of the longest half period in the leakage: bounds the work on a bare baseline
SLOPE_MEAN: Final = 5  # samples over which the slope is averaged: 0.1 s, a QRS complex is one hump
REST: Final = 4  # the slope is quiet below one in so many of the mean of its peaks

#: The score: likelihood = 1 / (1 + exp(-score)), 0.5 where a false alert an hour of arrhythmia records is rare.
LEAKAGE, QUIET, STEADY, PERIOD, SIZE, CONSTANT = -13.5, -15.5, -8.0, -5.8, 1.72, 4.1
SURE: Final = 4.0  # no lead speaks for fibrillation beyond this ...
SURE_NOT: Final = -6.0  # ... and none against it: complexes in one lead outweigh an artefact in the other, not more
ROUGH: Final = 1.35  # bends over slopes: 2.1 in white noise, below 1.1 in fibrillation; above it a lead shows noise

LEAD = np.dtype(
    [
        ("sum", "i8"),  # µV of the sample being gathered
        ("missing", "i8"),  # ticks of it without a reading
        ("x", "i8", (64,)),  # the last samples, µV * STEP
        ("base", "i8"),  # their sum over BASE
        ("y", "i8", (KEPT,)),  # without baseline, µV * STEP * BASE
        ("lost", "i1", (KEPT,)),
    ],
    align=True,
)
FIBRILLATION = np.dtype([("lead", LEAD, (LEADS,)), ("n", "i8"), ("likelihood", "f8")], align=True)

_UNIT: Final = STEP * BASE


@kernel
def begin(state: Row) -> None:
    """Forget; nothing is said until a whole window has been seen."""
    state.n = 0
    state.likelihood = 0.0
    for lead in range(LEADS):
        track = state.lead[lead]
        track.sum = 0
        track.missing = 0
        track.lost[:] = 1


@kernel
def take(state: Row, first: int, count: int, desk: Row, done: int) -> None:
    for k in range(count):
        tick = first + k
        for lead in range(LEADS):
            track = state.lead[lead]
            track.sum += int(desk.lead[lead].uv[32 + done + k])
            if not desk.lead[lead].valid[done + k]:
                track.missing += 1
        if tick % STEP == STEP - 1:
            for lead in range(LEADS):
                _close(state.lead[lead], state.n)
            state.n += 1
        if tick % EVERY == EVERY - 1:
            state.likelihood = _likelihood(state)


@kernel
def judge(state: Row) -> float:
    """Likelihood of fibrillation or flutter, 0 to 1, as of the last half second."""
    return float(state.likelihood)


@kernel
def _close(track: Row, n: int) -> None:
    """A sample is complete: take the baseline off the one half a baseline before it."""
    here = n & (KEPT - 1)
    lost = 2 * track.missing > STEP
    if track.lost[(n - 1) & (KEPT - 1)] and not lost:  # as if the lead had always been here: no step
        track.x[:] = track.sum
        track.base = BASE * track.sum
    track.base += track.sum - track.x[(n - BASE) & 63]
    track.x[n & 63] = track.sum
    track.y[here] = BASE * track.x[(n - BASE // 2) & 63] - track.base
    track.lost[here] = lost
    track.sum = 0
    track.missing = 0


@kernel
def _likelihood(state: Row) -> float:
    if state.n < WINDOW:
        return 0.0
    y = np.empty(WINDOW, np.int64)
    total = 0.0
    leads = 0
    for lead in range(LEADS):
        track = state.lead[lead]
        lost = 0
        for i in range(WINDOW):
            at = (state.n - WINDOW + i) & (KEPT - 1)
            y[i] = track.y[at]
            lost += track.lost[at]
        if lost * LOST_SHARE > WINDOW:
            continue
        least, largest, mean = _deflections(y)
        if mean < SMALLEST_UV:
            continue
        score = SURE_NOT
        if roughness(y) <= ROUGH:
            score = CONSTANT + SIZE * np.log2(mean) + STEADY * least / largest + LEAKAGE * leakage(y) + QUIET * quiet(y)
            # The period is dear to find; where even the shortest could not raise the score over the least, it is not.
            if score + PERIOD * SHORTEST / RATE_OUT > SURE_NOT:
                score += PERIOD * period(y)
        total += min(max(score, SURE_NOT), SURE)
        leads += 1
    return float(1.0 / (1.0 + np.exp(-total / leads))) if leads > 0 else 0.0


@kernel
def _deflections(y: Array) -> tuple[float, float, float]:
    """Least, largest and mean of the seconds' greatest deflections, µV."""
    least = 1e18
    largest = 0.0
    mean = 0.0
    for first in range(0, WINDOW, SECOND):
        greatest = 0
        for i in range(first, first + SECOND):
            greatest = max(greatest, abs(y[i]))
        value = greatest / _UNIT
        least = min(least, value)
        largest = max(largest, value)
        mean += value * SECOND / WINDOW
    return least, largest, mean


@kernel
def roughness(y: Array) -> float:
    """Mean magnitude of the second difference over that of the first."""
    slope = 1
    bend = 0
    for i in range(2, WINDOW):
        slope += abs(y[i] - y[i - 1])
        bend += abs(y[i] - 2 * y[i - 1] + y[i - 2])
    return float(bend / slope)


@kernel
def leakage(y: Array) -> float:
    """What the VF filter lets through: 0 for a sine, near 1 for narrow complexes and for noise."""
    size = 0
    change = 0
    for i in range(1, WINDOW):
        size += abs(y[i])
        change += abs(y[i] - y[i - 1])
    half = min(max(int(np.pi * size / max(change, 1) + 0.5), 1), HALF_MOST)
    through = 0
    whole = 1
    for i in range(half, WINDOW):
        through += abs(y[i] + y[i - half])
        whole += abs(y[i]) + abs(y[i - half])
    return float(through / whole)


@kernel
def quiet(y: Array) -> float:
    """Share of the window in which the mean slope is below a quarter of its peaks' mean."""
    first = SLOPE_MEAN + 1
    slopes = np.zeros(WINDOW, np.int64)
    running = 0
    for i in range(2, WINDOW):
        running += abs(y[i] - y[i - 2])
        if i >= SLOPE_MEAN + 2:
            running -= abs(y[i - SLOPE_MEAN] - y[i - SLOPE_MEAN - 2])
        if i >= first:
            slopes[i] = running
    peaks = 0
    for start in range(0, WINDOW, SECOND):
        greatest = 0
        for i in range(start, start + SECOND):
            greatest = max(greatest, slopes[i])
        peaks += greatest
    still = 0
    for i in range(first, WINDOW):
        if slopes[i] * REST * (WINDOW // SECOND) < peaks:
            still += 1
    return still / (WINDOW - first)


@kernel
def period(y: Array) -> float:
    """Seconds of lag at which the signal resembles itself most."""
    values = np.empty(WINDOW)
    backwards = np.zeros(WINDOW + LONGEST + 1)  # with room for lags that reach before the first sample
    products = np.zeros(LONGEST + 1)
    energy = 1.0
    for i in range(WINDOW):
        values[i] = y[i] / _UNIT
        backwards[WINDOW - 1 - i] = values[i]
        energy += values[i] * values[i]
    for i in range(WINDOW):  # all lags side by side: no sum waits for another
        for lag in range(LONGEST + 1):
            products[lag] += values[i] * backwards[WINDOW - 1 - i + lag]
    early = energy  # of the window without its last `lag` samples, and without its first
    late = energy
    best = -2.0
    where = SHORTEST
    for lag in range(1, LONGEST + 1):
        early -= values[WINDOW - lag] * values[WINDOW - lag]
        late -= values[lag - 1] * values[lag - 1]
        if lag >= SHORTEST:
            likeness = products[lag] / np.sqrt(max(early * late, 1.0))
            if likeness > best:
                best = likeness
                where = lag
    return where / RATE_OUT
