"""How much the last five seconds look like ventricular fibrillation or flutter.

Every half second each lead is measured over a window of 5 s at 50 Hz. Most of what a monitor sees is told by one
measure that costs next to nothing: organised beats are short and steep with rest between them, fibrillation never
rests. It is the share of tenths of a second in which the signal moves less than a quarter of what it moves at its
peaks, over the window and over its last 2 s: after a short run of fast beats those show that it is over. Only where a
lead rests too little to be told by this is it measured without its baseline, in six ways:

* *leakage*: what is left when the signal is added to itself half a mean period later. Small for one broad wave after
  the other, near 1 for complexes with rest between them (VF filter; Kuo and Dillman 1978). Beyond some of it every bit
  counts more: that much has only noise.
* *quiet*: share of time in which the slope is small against its own peaks, from sample to sample (the idea of TCSC;
  Arafat et al. 2011, here on the slope).
* *steadiness*: the greatest deflection of each second, least over largest. Beats of one rhythm are alike,
  fibrillation waxes and wanes.
* *period*: lag of the greatest autocorrelation, 0.1 to 0.58 s. Fibrillation and flutter run at 150 to 500 a minute.
* *size*: log2 of the mean of those deflections in µV. A small signal of this kind is an asystole with noise.
* *roughness*: mean second difference over mean first difference. Electrodes that are moved shake faster than a heart.

They go into one logistic score a lead (as Li, Rajagopalan and Clifford 2014 do with a support vector machine), and
the readable leads' scores are averaged: QRS complexes in one lead outweigh an artefact in the other, since the heart
does not fibrillate in one lead only. A lead that was lost for more than a tenth of the window says nothing; without
any lead nothing is known, which is not the same as no fibrillation. To that comes what the QRS detector has found:
beats it is sure of, no faster than a rhythm is, speak against fibrillation (`detector.doubt.regular`). The signal
itself is kept and measured in integers, so nothing drifts and every order of summing gives the same.

A lead whose signal is mostly rough is noise: it says little while another can be judged, and where all are so it is no
fibrillation. The score's constants come from the development
records: logistic regression over records of vfdb, cudb, mitdb, svdb, cinc2015 and cpsc2021, and over mixes of mitdb
with the noise of moving electrodes, each record with fibrillation weighing the same; `python -m
benchmarks.fit_fibrillation` fits them anew by subject and compares.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from detector import simd, simd_int
from detector.jit import hot
from detector.scratch import CARRIED_TICKS
from detector.simd import F32_LANES, I32_LANES
from detector.types import EPOCH, LEADS, Row
from detector.vf_measures import (
    BUFFER_SAMPLES,
    RATE_OUT,
    REST,
    SHORTEST,
    STEP,
    WINDOW,
    deflections,
    leakage,
    period,
    quiet,
    roughness,
    without_baseline,
)

SAMPLES: Final = EPOCH // STEP  # of an epoch

WINDOW_EPOCHS: Final = WINDOW // SAMPLES  # of the window
EVERY: Final = 125  # ticks between two measurements (0.5 s)
HALF: Final = EVERY // EPOCH  # epochs between them
IN_HALF: Final = HALF * SAMPLES  # samples between them
HALVES: Final = WINDOW_EPOCHS // HALF  # of the window
LANES: Final = 64  # epochs whose movement is kept, whole vectors; those after the window never rest
LOST_MOST: Final = 5  # epochs of the window a lead may have been without reading
SMALLEST_UV: Final = 30  # mean deflection below which a lead is flat and says nothing
REST_MOST: Final = 30  # epochs of rest in the window beyond which nothing fibrillates: no alert of the records is lost
LATE: Final = 4  # half seconds at the window's end that may show alone that beats are back, or that it was a short run
SMALL, ROUGH_LEAD, SCORED = range(3)  # a lead is flat, or noise, or can be judged
LATE_MOST: Final = 16  # epochs of rest in them beyond which it is so: fewer silence a true alarm of cinc2015
MOVES_UV: Final = 100  # movement of a second's peak below which a lead may be flat: rest is its nature

#: The score: probability = 1 / (1 + exp(-score)), 0.5 where a false alert an hour of arrhythmia records is rare.
SIZE, STEADY, LEAKAGE, QUIET, PERIOD, ROUGHNESS, LEAKY, CONSTANT = 0.65, -5.9, -6.1, -8.3, -3.3, -3.6, -10.2, 10.6
MUCH: Final = 0.65  # leakage beyond which it speaks against fibrillation more than in proportion: that of noise
REGULAR: Final = -0.87  # for each unit by which the beats found speak for a rhythm ...
#: ... but no more: a pacemaker's spikes are found in fibrillation too, and they are regular. `LOG_ODDS_MAX` is told in
#: spite of them. In vfdb the beats found in fibrillation never speak against it by more than 2.
REGULAR_MOST: Final = -3.0
UNKNOWN_PROBABILITY: Final = -1.0  # there is no window yet, or no lead could be read for most of it
UNKNOWN_LOG_ODDS: Final = 1e9  # in place of log odds: nothing is known
FLAT_LOG_ODDS: Final = -np.inf  # log odds of a flat line: it does not even move
LOG_ODDS_MAX: Final = 4.0  # no lead speaks for fibrillation beyond this ...
LOG_ODDS_MIN: Final = -6.0  # ... and none against it: complexes in one lead outweigh an artefact in the other, not more
ROUGH: Final = 1.35  # bends over slopes: 2.1 in white noise, below 1.1 in fibrillation; above it a lead shows noise
NOISE_SAYS: Final = -2.0  # log odds of such a lead beside another: an electrode that is moved shakes more than one lead

LEAD = np.dtype(
    [
        ("lost", "i8"),  # a bit for each epoch of the window, the newest lowest: 1 without reading
        ("good", "i4", (HALF,)),  # samples with a reading in each epoch of this half second
        ("last", "i4"),  # the last sample, µV * STEP
        ("peak", "i4", (HALVES,)),  # the greatest movement in each half second, µV * STEP
        ("move", "i4", (LANES,)),  # how far the signal went in each epoch of the window, µV * STEP
        ("x", "i4", (BUFFER_SAMPLES,)),  # the samples of the window and before it, µV * STEP
    ],
    align=True,
)
FIBRILLATION = np.dtype(
    [
        ("lead", LEAD, (LEADS,)),
        ("n", "i8"),  # half seconds seen
        ("here", "u4"),  # place of the next sample
        ("filled", "i8"),  # samples of this half second that are there
        ("half", "i8"),  # place of that among the window's
        ("log_odds", "f8"),  # log odds by the signal alone; `UNKNOWN_LOG_ODDS` where nothing is known
    ],
    align=True,
)

UNLIKELY: Final = 1.0 / (1.0 + math.exp(-LOG_ODDS_MIN))  # the probability where every lead rests
_EVER: Final = (1 << WINDOW_EPOCHS) - 1  # every epoch of the window
#: For each place of the current half second a bit for every epoch of the last `LATE`.
_LATEST: Final = np.array(
    [sum((1 << HALF) - 1 << (half - back) % HALVES * HALF for back in range(LATE)) for half in range(HALVES)]
)
_NEVER: Final = 2**31 - 1  # a movement no rest is above


@hot
def begin(state: Row) -> None:
    """Forget; nothing is said until a whole window has been seen."""
    state.n, state.here, state.filled, state.half = 0, 0, 0, 0
    state.log_odds = UNKNOWN_LOG_ODDS
    for lead in range(LEADS):
        track = state.lead[lead]
        track.lost = _EVER
        track.last = 0
        track.good[:], track.peak[:], track.x[:] = 0, 0, 0
        track.move[:], track.move[:WINDOW_EPOCHS] = _NEVER, 0


@hot
def left(state: Row, tick: int) -> int:
    """Ticks from `tick`, the next one, to the end of this half second."""
    return int((IN_HALF - state.filled) * STEP - tick % STEP)


@hot
def take(state: Row, tick: int, count: int, scratch: Row, done: int) -> None:
    """A stretch of ticks within one half second.

    Parameters
    ----------
    state : FIBRILLATION
    tick : int
        The first; the one after the last of the call before.
    count : int
        1 to `left`.
    scratch : detector.scratch.SCRATCH
        `scratch.lead[lead].uv` holds the last reading of each lead in each tick, with those before in front, and
        `valid` whether it was readable; `carries` and `gone` say where all of it is known at once.
    done : int
        Ticks of that call before this stretch.
    """
    begun = tick % STEP
    samples = (begun + count) // STEP
    for lead in range(LEADS):
        _fill(state.lead[lead], state.here, state.filled, scratch.lead[lead], done - begun, samples)
    state.here += samples
    state.filled += samples
    if state.filled == IN_HALF:
        _measure(state, scratch.wave)


@hot
def _fill(track: Row, here: int, filled: int, lead: Row, first: int, samples: int) -> None:
    """Put a lead's samples after those of this half second; `first` is the first one's first tick in this call."""
    if filled == 0:
        track.good[:] = 0
    uv, x = lead.uv, track.x
    if lead.gone:
        x[here : here + samples] = np.int32(np.float32(STEP) * uv[CARRIED_TICKS])
        return
    for epoch in range(HALF):
        start, end = max(epoch * SAMPLES - filled, 0), min((epoch + 1) * SAMPLES - filled, samples)
        if lead.carries:
            track.good[epoch] += max(end - start, 0)
        else:
            for i in range(start, end):
                track.good[epoch] += lead.valid[first + STEP * i + STEP - 1]
    at = CARRIED_TICKS + first
    if samples >= F32_LANES:
        for i in range(0, samples, F32_LANES):
            start = min(i, samples - F32_LANES)  # the last vector makes some once more, to end where they end
            simd.store(x, here + start, simd_int.to_int32(simd.load_sums_of_five(uv, at + STEP * start)))
        return
    for i in range(samples):
        total = np.float32(0.0)
        for k in range(STEP):
            total += uv[at + STEP * i + k]
        x[here + i] = np.int32(total)


@hot
def judge(state: Row) -> float:
    """Log odds of fibrillation or flutter by the signal alone, as of the last half second; or `UNKNOWN_LOG_ODDS`.

    At `LOG_ODDS_MIN` or below it is certain that there is none.
    """
    return float(state.log_odds)


@hot
def probability(odds: float, regular: float) -> float:
    """Probability of fibrillation or flutter, 0 to 1; `UNKNOWN_PROBABILITY` where nothing is known.

    Parameters
    ----------
    odds : float
        By the signal alone, of `judge`.
    regular : float
        How much the beats found speak for a rhythm, of `detector.doubt.regular`.
    """
    if odds == LOG_ODDS_MIN:  # nearly always
        return UNLIKELY
    if odds == UNKNOWN_LOG_ODDS:
        return UNKNOWN_PROBABILITY
    if odds > LOG_ODDS_MIN:
        odds += max(REGULAR * regular, REGULAR_MOST)
    return float(1.0 / (1.0 + math.exp(-odds)))


@hot
def _measure(state: Row, wave: Row) -> None:
    """Half a second is complete."""
    state.n += 1
    for lead in range(LEADS):
        _move(state.lead[lead], np.uint32(state.here - IN_HALF), state.half)
    if state.here == BUFFER_SAMPLES:
        state.here = 0
    state.log_odds = _log_odds(state, wave) if state.n >= HALVES else UNKNOWN_LOG_ODDS
    state.filled = 0
    state.half = (state.half + 1) % HALVES


@hot
def _move(track: Row, at: np.uint32, half: int) -> None:
    """How far the signal went in each epoch of the half second that begins at `at`."""
    good = 0
    for epoch in range(HALF):
        good += track.good[epoch]
    if good < IN_HALF or track.lost & 1:
        if good == 0 and track.lost == _EVER:
            track.x[at : at + IN_HALF] = track.last
            return
        _bridge(track, at)
    else:
        track.lost = (track.lost << HALF) & _EVER
    peak = np.int32(0)
    before = track.last
    for epoch in range(HALF):
        move = np.int32(0)
        for i in range(SAMPLES):
            value = track.x[at + epoch * SAMPLES + i]
            move = np.int32(move + abs(np.int32(value - before)))
            before = value
        track.move[half * HALF + epoch] = move
        peak = max(peak, move)
    track.last = before
    track.peak[half] = peak


@hot
def _bridge(track: Row, at: np.uint32) -> None:
    """A lost epoch stays where the signal was; what follows goes on as if the lead had always been here: no step."""
    for epoch in range(HALF):
        first = at + epoch * SAMPLES
        before = track.last if epoch == 0 else track.x[first - 1]
        lost = 2 * track.good[epoch] < SAMPLES
        if lost:
            for i in range(SAMPLES):
                track.x[first + i] = before
        elif track.lost & 1:
            jump = track.x[first] - before
            track.last += jump
            for i in range(BUFFER_SAMPLES):
                if i < first or i >= at + IN_HALF:
                    track.x[i] = track.x[first] if track.lost == _EVER else track.x[i] + jump
        track.lost = (track.lost << 1) & _EVER | lost


@hot
def _log_odds(state: Row, wave: Row) -> float:
    """Log odds of fibrillation over the window: the mean of what the leads say that can be judged."""
    total = 0.0
    known = leads = noisy = 0
    resting = True
    for lead in range(LEADS):
        track = state.lead[lead]
        if is_lost(track.lost):
            continue
        known += 1
        kind, score = SCORED, LOG_ODDS_MIN
        if not rests(track, state.half):
            resting = False
            kind, score = _score(track, state.here, wave)
        if kind == SCORED:
            total += min(max(score, LOG_ODDS_MIN), LOG_ODDS_MAX)
            leads += 1
        elif kind == ROUGH_LEAD:
            noisy += 1
    if known == 0:
        return UNKNOWN_LOG_ODDS
    if leads == 0:
        return LOG_ODDS_MIN if noisy > 0 else FLAT_LOG_ODDS
    return LOG_ODDS_MIN if resting else (total + noisy * NOISE_SAYS) / (leads + noisy)


@hot
def _score(track: Row, here: int, wave: Row) -> tuple[int, float]:
    """Whether a lead can be judged (`SMALL`, `ROUGH_LEAD`, `SCORED`), and its logistic score."""
    without_baseline(track, here, wave)
    y = wave.y
    least, largest, mean = deflections(y)
    if mean < SMALLEST_UV:
        return SMALL, 0.0
    rough = roughness(y)
    if rough > ROUGH:
        return ROUGH_LEAD, 0.0
    through = leakage(y)
    score = CONSTANT + SIZE * np.log2(mean) + STEADY * least / largest + ROUGHNESS * rough
    score += LEAKAGE * through + LEAKY * max(through - MUCH, 0.0) + QUIET * quiet(wave)
    # The period is dear to find; where even the shortest leaves the score at the least, it is not.
    if score + PERIOD * SHORTEST / RATE_OUT > LOG_ODDS_MIN:
        score += PERIOD * period(wave)
    return SCORED, score


@hot
def rests(track: Row, half: int) -> bool:
    """Whether the lead rests so long between its beats that it does not fibrillate, or no longer.

    What it moves at its peaks is the second least of five seconds' greatest movements: the shock and the artefacts of
    three seconds do not make fibrillation look like rest.
    """
    least = second = np.int32(_NEVER)
    for i in range(0, HALVES, 2):  # of each second by the clock; the current one has its older half from 5 s ago
        peak = max(track.peak[i], track.peak[i + 1])
        second = min(second, max(least, peak))
        least = min(least, peak)
    if second < MOVES_UV * STEP:
        return False
    limit = simd.broadcast(np.int32((second + REST - 1) // REST))
    resting = 0
    for i in range(0, LANES, I32_LANES):
        resting |= simd.mask_gt(limit, simd.load(track.move, i)) << i
    return bool(simd_int.popcount(resting) > REST_MOST or simd_int.popcount(resting & _LATEST[half]) > LATE_MOST)


@hot
def is_lost(mask: int) -> bool:
    """Whether more epochs than `LOST_MOST` of the window were without reading."""
    for _ in range(LOST_MOST):
        mask &= mask - 1  # clears the lowest bit that is set; 0 stays 0
    return mask > 0


assert STEP == 5, "a sample is the sum of five ticks"
