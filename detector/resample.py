"""From any sampling rate to `RATE`, a frame at a time, in exact integer time.

Tick t lies at t * rate / RATE samples after the origin. Above `RATE` a tick is the mean of the stretch of signal it
stands for (a boxcar, whose nulls fall where aliases of the QRS band would come from); below, the line between its two
neighbours. Either way it is a weighted sum of a few samples in a row, and the weights are whole numbers that come again
with a period: every `PHASES` holds those of one rate. None looks further than one sample ahead.

With rate / RATE = r / s in lowest terms, sample i is the cell [2i-1, 2i+1) * s and tick t the cell [2t-1, 2t+1) * r.
All sums are of whole numbers and exact in float64, so how the samples were cut into frames leaves no trace. Before the
first sample the signal is taken to have been as that sample.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from detector.jit import kernel
from detector.types import CHUNK, LEADS, RATE, Array, Row

SCALE: Final = RATE * 1000  # ticks per second in millihertz, the unit of a record's rate
TAPS: Final = 6  # samples that a tick of four samples' width (1000 Hz) can touch, and one to spare
FEW: Final = 3  # samples that it can touch up to 500 Hz
PERIOD: Final = 256  # longest period kept: rates of whole hertz have one of at most 250 ticks
RATES: Final = 8  # rates whose weights are kept: no ward has more kinds of monitor
PAST: Final = 8  # samples kept from one call to the next
MOST: Final = 1024  # samples at once at most: those of 1 s
ROOM: Final = 4 * PERIOD  # samples before those: where the first row would lie when a call begins with the last one

#: A bed's place in time and the resampler's memory.
INPUT = np.dtype(
    [
        ("rate_mhz", "i8"),  # sampling rate of the record
        ("origin", "i8"),  # record's index of the first sample taken
        ("count", "i8"),  # samples taken since
        ("tick0", "i8"),  # tick that lies on `origin`
        ("ticks", "i8"),  # ticks written since
        ("past", "i2", (LEADS, PAST)),  # the newest samples ...
        ("mv_per_bit", "f8", (LEADS,)),  # ... in steps of so many mV
    ],
    align=True,
)

#: How the ticks of a rate are made; a place to work in, nothing of it belongs to a bed.
PHASES = np.dtype(
    [
        ("rate_mhz", "i8"),  # 0: not yet used
        ("r", "i8"),
        ("s", "i8"),
        ("first", "i8"),  # tick of the first row
        ("rows", "i8"),  # some periods of s, or as many as the last call needed where that is too long
        ("step", "i8"),  # samples from one row to the same a period later
        ("taps", "i8"),
        ("width", "f8"),  # sum of a row's weights
        ("at", "u4", (PERIOD,)),  # first sample of each tick, counted from that of the first
        ("weight", "f8", (TAPS, PERIOD)),
    ],
    align=True,
)

#: One lead's samples of a call, behind those of before; no reading is 0.
SAMPLES = np.dtype([("value", "f8", (ROOM + PAST + MOST,)), ("missing", "i8")], align=True)


@kernel
def begin(state: Row, rate_mhz: int, origin: int, tick0: int) -> None:
    """Start, or start again: record sample `origin` lies at `tick0`."""
    state.rate_mhz = rate_mhz
    state.origin = origin
    state.count = 0
    state.tick0 = tick0
    state.ticks = 0
    state.past[:] = 0
    state.mv_per_bit[:] = 0.0


@kernel
def sample_of(state: Row, tick: int) -> int:
    """The record's sample nearest to a tick, for ticks since the last `begin` (negative before it)."""
    twice = 2 * (tick - state.tick0) * state.rate_mhz + SCALE
    return int(state.origin + twice // (2 * SCALE))


@kernel
def _first_sample(r: int, s: int, tick: int) -> int:
    """The first sample that a tick touches."""
    return ((2 * tick - 1) * r + s) // (2 * s) if r > s else -((-tick * r) // s) - 1


@kernel
def _complete(r: int, s: int, count: int) -> int:
    """Ticks that so many samples complete."""
    if count == 0:
        return 0
    return ((2 * count - 1) * s - r) // (2 * r) + 1 if r > s else (count - 1) * s // r + 1


@kernel
def _lay_out(phases: Row, first: int, rows: int) -> None:
    """Fill in the weights of the ticks from `first` on."""
    r, s = phases.r, phases.s
    phases.first = first
    phases.rows = rows
    start = _first_sample(r, s, first)
    for k in range(rows):
        tick = first + k
        sample = _first_sample(r, s, tick)
        phases.at[k] = sample - start
        for j in range(TAPS):
            i = sample + j
            if r > s:
                overlap = min((2 * tick + 1) * r, (2 * i + 1) * s) - max((2 * tick - 1) * r, (2 * i - 1) * s)
            else:
                overlap = s - abs(tick * r - i * s)
            phases.weight[j, k] = max(overlap, 0)


@kernel
def _look_up(kept: Array, rate_mhz: int, tick: int, ticks: int) -> int:
    """Which of the phases kept are those of a rate, made for the next ticks if need be."""
    which = 0
    while which < RATES - 1 and kept[which].rate_mhz != rate_mhz and kept[which].rate_mhz != 0:
        which += 1
    phases = kept[which]
    if phases.rate_mhz != rate_mhz:
        divisor = math.gcd(rate_mhz, SCALE)
        phases.rate_mhz = rate_mhz
        phases.r = rate_mhz // divisor
        phases.s = SCALE // divisor
        phases.taps = FEW if rate_mhz <= 2 * SCALE else TAPS
        phases.width = 2.0 * phases.r if phases.r > phases.s else 1.0 * phases.s
        if phases.s <= PERIOD:  # as many whole periods as there is room for
            _lay_out(phases, 0, PERIOD // phases.s * phases.s)
            phases.step = PERIOD // phases.s * phases.r
    if phases.s > PERIOD:
        _lay_out(phases, tick, ticks)
    return which


@kernel
def _load(track: Row, held: Array, samples: Array, invalid: int, new: bool) -> None:
    """Put a lead's samples behind those of before, as float64."""
    n = len(samples)
    if new:
        held[:] = samples[0]
    old, value = track.value[ROOM : ROOM + PAST], track.value[ROOM + PAST : ROOM + PAST + n]
    none = np.float64(invalid)
    missing = 0
    for i in range(PAST):
        old[i] = held[i]
        missing += old[i] == none
    for i in range(n):
        value[i] = samples[i]
    for i in range(n):
        missing += value[i] == none
    track.missing = missing
    last = track.value[ROOM + n : ROOM + n + PAST]
    for i in range(PAST):
        held[i] = np.int16(last[i])


@kernel
def _few(value: Array, at: Array, weight: Array, scale: float, out: Array) -> None:
    """Ticks of at most `FEW` samples each."""
    second, third = value[1:], value[2:]
    first_weight, second_weight, third_weight = weight[0], weight[1], weight[2]
    for k in range(len(out)):
        i = at[k]
        total = first_weight[k] * value[i] + second_weight[k] * second[i] + third_weight[k] * third[i]
        out[k] = total * scale


@kernel
def _many(value: Array, at: Array, weight: Array, scale: float, out: Array) -> None:
    """Ticks of at most `TAPS` samples each."""
    for k in range(len(out)):
        i = np.int64(at[k])
        total = 0.0
        for j in range(TAPS):
            total += weight[j, k] * value[i + j]
        out[k] = total * scale


@kernel
def _blank(value: Array, at: Array, weight: Array, invalid: int, out: Array) -> int:
    """Ticks without a reading where a sample they touch is missing; how many."""
    blank = 0
    for k in range(len(out)):
        i = np.int64(at[k])
        for j in range(TAPS):
            if weight[j, k] > 0.0 and value[i + j] == invalid:
                out[k] = np.nan
                blank += 1
                break
    return blank


@kernel
def _restep(past: Array, ratio: float, invalid: int) -> None:
    """Say the newest samples in other steps: the device has changed its own."""
    for i in range(PAST):
        if past[i] != invalid:
            past[i] = np.int16(min(max(np.rint(past[i] * ratio), -32767.0), 32767.0))


@kernel
def _make(phases: Row, samples: Row, base: int, row: int, scale: float, invalid: int, out: Array) -> int:
    """Make a lead's ticks; how many have no reading.

    The first is that of a `row`, whose samples are counted from `base`.
    """
    blank = done = 0
    while done < len(out):
        n = min(phases.rows - row, len(out) - done)
        value, at = samples.value[base:], phases.at[row : row + n]
        weight, part = phases.weight[:, row : row + n], out[done : done + n]
        if phases.taps == FEW:
            _few(value, at, weight, scale, part)
        else:
            _many(value, at, weight, scale, part)
        if samples.missing > 0:
            blank += _blank(value, at, weight, invalid, part)
        done += n
        base += phases.step
        row = 0
    return blank


@kernel
def resample(state: Row, samples: Array, first: int, count: int, mv_per_bit: Array, invalid: int, desk: Row) -> int:
    """Take samples of a bed; returns how many ticks they complete.

    Parameters
    ----------
    state : INPUT
    samples : int16, shape (leads analysed, instants)
        Of which the `count` from `first` on are taken, at most one second.
    first, count : int
    mv_per_bit : float64, shape (leads analysed,)
        NaN for a lead the device does not have.
    invalid : int
        The sample value that stands for "no reading".
    desk : detector.desk.DESK
        `desk.lead[lead].mv` gets the ticks, NaN where there is no reading, and `blank` how many of those there
        are; of a lead with no reading at all only that.
    """
    if count == 0:
        return 0
    before = state.count
    state.count += count
    ticks = _complete(state.rate_mhz, SCALE, state.count) - state.ticks
    phases = desk.phases[_look_up(desk.phases, state.rate_mhz, state.ticks, ticks)]
    row = (state.ticks - phases.first) % phases.rows
    base = _first_sample(phases.r, phases.s, state.ticks) - np.int64(phases.at[row]) - before + ROOM + PAST
    for lead in range(LEADS):
        track = desk.lead[lead]
        if np.isnan(mv_per_bit[lead]):
            state.past[lead, :] = invalid
            state.mv_per_bit[lead] = 0.0
            track.blank = ticks
            continue
        if state.mv_per_bit[lead] != mv_per_bit[lead]:
            _restep(state.past[lead], state.mv_per_bit[lead] / mv_per_bit[lead], invalid)
            state.mv_per_bit[lead] = mv_per_bit[lead]
        _load(desk.samples, state.past[lead], samples[lead][first : first + count], invalid, before == 0)
        track.blank = _make(phases, desk.samples, base, row, mv_per_bit[lead] / phases.width, invalid, track.mv[:ticks])
    state.ticks += ticks
    return int(ticks)


assert 4 * SCALE >= 1_000_000, "a row is longer than there is room for"
assert CHUNK + 1 <= PERIOD, "a call's ticks must fit into the rows"
