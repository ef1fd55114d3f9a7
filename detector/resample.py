"""From any sampling rate to `RATE`, a frame at a time, in exact integer time.

Tick t lies at t * rate / RATE samples after the origin. Above `RATE` a tick is the mean of the stretch of signal it
stands for (a boxcar, whose nulls fall where aliases of the QRS band would come from); below, the line between its two
neighbours. Either way it is a weighted sum of a few samples in a row, and the weights are whole numbers that come again
with a period: every `PHASES` holds those of one rate. None looks further than one sample ahead.

With rate / RATE = r / s in lowest terms, sample i is the cell [2i-1, 2i+1) * s and tick t the cell [2t-1, 2t+1) * r.
All sums are of whole numbers and exact, so how the samples were cut into frames leaves no trace. Before the first
sample the signal is taken to have been as that sample.

Rates in whole hertz have weights that fit into 16 bits, like the samples, and a processor multiplies and adds up
sixteen such pairs at once; that is the way of nearly every call. The rare rates with larger weights, and calls in which
a reading is missing, go through float64, which gives the same.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from detector import simd, simd_int
from detector.jit import hot
from detector.simd import F64_LANES, I16_LANES, I32_LANES
from detector.types import CHUNK, LEADS, RATE, Array, Row

BLOCK: Final = F64_LANES  # ticks made at once in float64
BLOCK_SHORT: Final = I32_LANES  # and in 16 bits
SCALE: Final = RATE * 1000  # ticks per second in millihertz, the unit of a record's rate
TAPS: Final = 5  # samples that a tick of four samples' width (1000 Hz) can touch
DEPTH: Final = 16  # samples that go into a lane of a block at most: three for each lane before it, and a tick's own
LEAST: Final = 4  # that go into it at every rate, be it with no weight: 360 Hz needs no more
PAIRS: Final = 14  # pairs of samples that go into a lane of a block of 16 bits at most
LEAST_PAIRS: Final = 4  # that go into it at every rate
WIDEST: Final = 2**15 - 1  # sum of a tick's weights that fit into 16 bits; so do their products' sums into 32
PERIOD: Final = 264  # rows of a rate: whole hertz have a period of at most 250 ticks, and there is room for a block
RATES: Final = 8  # rates whose weights are kept: no ward has more kinds of monitor
CARRIED_SAMPLES: Final = 8  # samples kept from one call to the next
MAX_SAMPLES: Final = 1024  # samples at once at most: those of 1 s
AFTER: Final = 2 * PAIRS + BLOCK_SHORT  # and after them: what lanes that are not wanted yet would take

#: A bed's place in time and the resampler's memory.
INPUT = np.dtype(
    [
        ("rate_mHz", "i8"),  # sampling rate of the record
        ("origin", "i8"),  # record's index of the first sample taken
        ("count", "i8"),  # samples taken since
        ("tick0", "i8"),  # tick that lies on `origin`
        ("ticks", "i8"),  # ticks written since
        ("past", "i2", (LEADS, CARRIED_SAMPLES)),  # the newest samples ...
        ("mv_per_bit", "f8", (LEADS,)),  # ... in steps of so many mV
    ],
    align=True,
)

#: How the ticks of a rate are made, a block of `BLOCK` at once; nothing of it belongs to a bed.
PHASES = np.dtype(
    [
        ("rate_mHz", "i8"),  # 0: not yet used
        ("r", "i8"),
        ("s", "i8"),
        ("first", "i8"),  # tick of the first row
        ("rows", "i8"),  # a period of s or more, or as many as the last call needed where that is too long
        ("step", "i8"),  # samples from one row to the same when all rows have gone by
        ("depth", "i8"),  # samples that go into each lane of a block
        ("width", "f8"),  # sum of a tick's weights
        ("at", "i8", (PERIOD,)),  # first sample that the first lane takes of the block that begins with a row's tick
        ("weight", "f8", (PERIOD * DEPTH * BLOCK,)),  # of each row's block, for each of its samples, of each lane
        ("pairs", "i8"),  # the same in 16 bits: pairs that go into each lane of a block; 0: they do not fit
        ("at_short", "i8", (PERIOD,)),
        ("short", "i2", (PERIOD * PAIRS * I16_LANES,)),  # of each row's block, for each pair, of each lane
    ],
    align=True,
)

#: One lead's samples of a call, after those of before, and how many of them are no reading.
SAMPLES = np.dtype(
    [
        ("value", "f8", (CARRIED_SAMPLES + MAX_SAMPLES + AFTER,)),
        # Each sample two times: from the second on, all pairs in a row.
        ("twice", "i2", (2 * (CARRIED_SAMPLES + MAX_SAMPLES + AFTER),)),
        ("missing", "i8"),
    ],
    align=True,
)


@hot
def begin(state: Row, rate_mHz: int, origin: int, tick0: int) -> None:
    """Start, or start again: record sample `origin` lies at `tick0`."""
    state.rate_mHz = rate_mHz
    state.origin = origin
    state.count = 0
    state.tick0 = tick0
    state.ticks = 0
    state.past[:] = 0
    state.mv_per_bit[:] = 0.0


@hot
def sample_of(state: Row, tick: int) -> int:
    """The record's sample nearest to a tick, for ticks since the last `begin` (negative before it)."""
    twice = 2 * (tick - state.tick0) * state.rate_mHz + SCALE
    return int(state.origin + twice // (2 * SCALE))


@hot
def _first_sample(r: int, s: int, tick: int) -> int:
    """The first sample that a tick touches."""
    return ((2 * tick - 1) * r + s) // (2 * s) if r > s else -((-tick * r) // s) - 1


@hot
def _complete(r: int, s: int, count: int) -> int:
    """Ticks that so many samples complete."""
    if count == 0:
        return 0
    return ((2 * count - 1) * s - r) // (2 * r) + 1 if r > s else (count - 1) * s // r + 1


@hot
def _weight(r: int, s: int, tick: int, sample: int) -> int:
    """What a sample counts for in a tick; nothing, or less, where the tick does not touch it."""
    if r > s:
        end, begin = (2 * tick + 1) * r, (2 * tick - 1) * r
        return int(min(end, (2 * sample + 1) * s) - max(begin, (2 * sample - 1) * s))
    return int(s - abs(tick * r - sample * s))


@hot
def _lay_out(phases: Row, first: int, rows: int, every: int) -> None:
    """Fill in the blocks of every `every`-th tick from `first` on."""
    r, s = phases.r, phases.s
    phases.first = first
    phases.rows = rows
    phases.depth = 0
    for row in range(0, rows, every):
        at = _first_sample(r, s, first + row)
        for lane in range(1, BLOCK):
            at = min(at, _first_sample(r, s, first + row + lane) - lane)
        phases.at[row] = at
        phases.weight[row * DEPTH * BLOCK : (row + 1) * DEPTH * BLOCK] = 0.0
        for lane in range(BLOCK):
            tick = first + row + lane
            sample = _first_sample(r, s, tick)
            for i in range(sample, sample + TAPS):
                weight = _weight(r, s, tick, i)
                if weight > 0:
                    j = i - at - lane
                    phases.weight[(row * DEPTH + j) * BLOCK + lane] = weight
                    phases.depth = max(phases.depth, j + 1)


@hot
def _lay_out_short(phases: Row) -> None:
    """Fill in the blocks in 16 bits, of every tick of a period."""
    r, s = phases.r, phases.s
    phases.pairs = LEAST_PAIRS
    for row in range(phases.rows):
        at = _first_sample(r, s, phases.first + row)
        for lane in range(1, BLOCK_SHORT):
            at = min(at, _first_sample(r, s, phases.first + row + lane) - lane)
        phases.at_short[row] = at
        phases.short[row * PAIRS * I16_LANES : (row + 1) * PAIRS * I16_LANES] = 0
        for lane in range(BLOCK_SHORT):
            tick = phases.first + row + lane
            sample = _first_sample(r, s, tick)
            for i in range(sample, sample + TAPS):
                weight = _weight(r, s, tick, i)
                if weight > 0:
                    pair, which = (i - at - lane) // 2, (i - at - lane) % 2
                    phases.short[(row * PAIRS + pair) * I16_LANES + 2 * lane + which] = weight
                    phases.pairs = max(phases.pairs, pair + 1)


@hot
def _look_up(scratch: Row, rate_mHz: int, tick: int, ticks: int) -> int:
    """Which of the phases kept are those of a rate, made for the next ticks if need be."""
    kept = scratch.phases
    which = 0
    while which < RATES and kept[which].rate_mHz != rate_mHz and kept[which].rate_mHz != 0:
        which += 1
    if which == RATES:  # a rate more than are kept: they give way in turn
        which = scratch.turn
        scratch.turn = (which + 1) % RATES
    phases = kept[which]
    if phases.rate_mHz != rate_mHz:
        divisor = math.gcd(rate_mHz, SCALE)
        phases.rate_mHz = rate_mHz
        phases.r = rate_mHz // divisor
        phases.s = SCALE // divisor
        phases.width = 2.0 * phases.r if phases.r > phases.s else 1.0 * phases.s
        if phases.s <= PERIOD - BLOCK_SHORT:
            periods = (BLOCK_SHORT + phases.s - 1) // phases.s
            _lay_out(phases, 0, periods * phases.s, 1)
            phases.step = periods * phases.r
        phases.pairs = 0
        if phases.s <= PERIOD - BLOCK_SHORT and phases.width <= WIDEST:
            _lay_out_short(phases)
    if phases.s > PERIOD - BLOCK_SHORT:
        _lay_out(phases, tick, ticks, BLOCK)
    return which


@hot
def _load(track: Row, held: Array, samples: Array, invalid: int) -> None:
    """Put a lead's samples after those of before, each two times."""
    n = len(samples)
    old, new = track.twice[: 2 * CARRIED_SAMPLES], track.twice[2 * CARRIED_SAMPLES : 2 * (CARRIED_SAMPLES + n)]
    none = np.int16(invalid)
    missing = np.int16(0)
    for i in range(CARRIED_SAMPLES):
        old[2 * i] = old[2 * i + 1] = held[i]
        missing = np.int16(missing + (held[i] == none))
    for i in range(n):
        new[2 * i] = new[2 * i + 1] = samples[i]
        missing = np.int16(missing + (samples[i] == none))
    track.missing = missing
    last = track.twice[2 * n :]
    for i in range(CARRIED_SAMPLES):
        held[i] = last[2 * i]


@hot
def _make_short(phases: Row, twice: Array, base: int, row: int, ticks: int, scale: float, out: Array) -> None:
    """Make a lead's ticks in whole blocks; the first is that of a `row`, whose samples are counted from `base`."""
    short, starts, rows, step, pairs = phases.short, phases.at_short, phases.rows, phases.step, phases.pairs
    for first in range(0, ticks, BLOCK_SHORT):
        at, here = 2 * (base + starts[np.uint64(row)]) + 1, row * (PAIRS * I16_LANES)
        early = simd_int.madd(twice, at, short, here) + simd_int.madd(twice, at + 4, short, here + I16_LANES)
        late = simd_int.madd(twice, at + 8, short, here + 2 * I16_LANES)
        block = early + (late + simd_int.madd(twice, at + 12, short, here + 3 * I16_LANES))
        for j in range(LEAST_PAIRS, pairs):
            block = block + simd_int.madd(twice, at + 4 * j, short, here + j * I16_LANES)
        simd.store(out, first, simd_int.to_float32(block, scale))
        row += BLOCK_SHORT
        if row >= rows:
            row -= rows
            base += step


@hot
def _widen(track: Row, count: int) -> None:
    """The samples as float64."""
    for i in range(count):
        track.value[i] = track.twice[2 * i]


@hot
def _make(phases: Row, value: Array, base: int, row: int, ticks: int, scale: float, out: Array) -> None:
    """The same as `_make_short`, in float64."""
    weight, starts, rows, step, depth = phases.weight, phases.at, phases.rows, phases.step, phases.depth
    factor = simd.broadcast(scale)
    for first in range(0, ticks, BLOCK):
        at, here = base + starts[np.uint64(row)], row * (DEPTH * BLOCK)
        early = simd.load(weight, here) * simd.load(value, at)
        early = simd.multiply_add(simd.load(weight, here + BLOCK), simd.load(value, at + 1), early)
        late = simd.load(weight, here + 2 * BLOCK) * simd.load(value, at + 2)
        late = simd.multiply_add(simd.load(weight, here + 3 * BLOCK), simd.load(value, at + 3), late)
        block = early + late
        for j in range(LEAST, depth):
            block = simd.multiply_add(simd.load(weight, here + j * BLOCK), simd.load(value, at + j), block)
        simd.store(out, first, block * factor)
        row += BLOCK
        if row >= rows:
            row -= rows
            base += step


@hot
def _blank(phases: Row, value: Array, base: int, row: int, invalid: int, out: Array) -> int:
    """Ticks without a reading, where a sample they touch is missing; how many. Arguments as in `_make`."""
    blank = 0
    for tick in range(len(out)):
        lane = tick % BLOCK
        for j in range(phases.depth):
            if phases.weight[(row * DEPTH + j) * BLOCK + lane] > 0.0:
                if value[base + phases.at[row] + lane + j] == invalid:
                    out[tick] = np.nan
                    blank += 1
                    break
        if lane == BLOCK - 1:
            row += BLOCK
            if row >= phases.rows:
                row -= phases.rows
                base += phases.step
    return blank


@hot
def _restep(past: Array, ratio: float, invalid: int) -> None:
    """Rescale the samples kept: the device has changed its millivolts a step."""
    for i in range(CARRIED_SAMPLES):
        if past[i] != invalid:
            past[i] = np.int16(min(max(np.rint(past[i] * ratio), -32767.0), 32767.0))


@hot
def resample(state: Row, samples: Array, first: int, count: int, mv_per_bit: Array, invalid: int, scratch: Row) -> int:
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
    scratch : detector.scratch.SCRATCH
        `scratch.lead[lead].mv` gets the ticks, NaN where there is no reading, and `blank` how many of those there
        are; of a lead with no reading at all only that.
    """
    if count == 0:
        return 0
    before = state.count
    state.count += count
    ticks = _complete(state.rate_mHz, SCALE, state.count) - state.ticks
    phases = scratch.phases[_look_up(scratch, state.rate_mHz, state.ticks, ticks)]
    periods = (state.ticks - phases.first) // max(phases.rows, 1)  # none where no tick is made
    row = state.ticks - phases.first - periods * phases.rows
    base = periods * phases.step - before + CARRIED_SAMPLES
    for lead in range(LEADS):
        track = scratch.lead[lead]
        if np.isnan(mv_per_bit[lead]):
            state.past[lead, :] = invalid
            state.mv_per_bit[lead] = 0.0
            track.blank = ticks
            continue
        if state.mv_per_bit[lead] != mv_per_bit[lead]:
            _restep(state.past[lead], state.mv_per_bit[lead] / mv_per_bit[lead], invalid)
            state.mv_per_bit[lead] = mv_per_bit[lead]
        if before == 0:
            state.past[lead, :] = samples[lead, first]
        _load(scratch.samples, state.past[lead], samples[lead][first : first + count], invalid)
        scale = mv_per_bit[lead] / phases.width
        value, mv = scratch.samples.value, track.mv
        track.blank = 0
        if phases.pairs > 0 and scratch.samples.missing == 0:
            _make_short(phases, scratch.samples.twice, base, row, ticks, scale, mv)
            continue
        _widen(scratch.samples, CARRIED_SAMPLES + count)
        _make(phases, value, base, row, ticks, scale, mv)
        if scratch.samples.missing > 0:
            track.blank = _blank(phases, value, base, row, invalid, mv[:ticks])
    state.ticks += ticks
    return int(ticks)


assert DEPTH >= (BLOCK - 1) * (1_000_000 // SCALE - 1) + TAPS, "a block has more samples than there is room for"
assert 2 * PAIRS >= (BLOCK_SHORT - 1) * (1_000_000 // SCALE - 1) + TAPS, "a block has more pairs than there is room for"
assert CHUNK + 1 <= PERIOD, "a call's ticks must fit into the rows"
