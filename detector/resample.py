"""From any sampling rate to `RATE`, one sample at a time, in exact integer time.

Tick t lies at t * rate / RATE samples after the origin. Above `RATE` a tick is the mean of the stretch of signal it
stands for (a boxcar, whose nulls fall where aliases of the QRS band would come from); below, the line between its two
neighbours. Neither looks further than one sample ahead, and neither depends on how the samples were cut into frames,
because positions are integers: sample i is the cell [2i-1, 2i+1) * SCALE and tick t the cell [2t-1, 2t+1) * rate_mhz.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.jit import kernel
from detector.types import LEADS, RATE, RING, Array, Row

SCALE: Final = RATE * 1000  # ticks per second in millihertz, the unit of a record's rate

#: A bed's place in time and the resampler's memory.
INPUT = np.dtype(
    [
        ("rate_mhz", "i8"),  # sampling rate of the record
        ("origin", "i8"),  # record's index of the first sample taken
        ("count", "i8"),  # samples taken since
        ("tick0", "i8"),  # tick that lies on `origin`
        ("ticks", "i8"),  # ticks written since
        ("last", "f8", (LEADS,)),  # mV of the newest sample
        ("sum", "f8", (LEADS,)),  # mV times overlap of the cell being filled
    ],
    align=True,
)


@kernel
def begin(state: Row, rate_mhz: int, origin: int, tick0: int) -> None:
    """Start, or start again: record sample `origin` lies at `tick0`."""
    state.rate_mhz = rate_mhz
    state.origin = origin
    state.count = 0
    state.tick0 = tick0
    state.ticks = 0
    for lead in range(LEADS):
        state.last[lead] = np.nan
        state.sum[lead] = 0.0


@kernel
def sample_of(state: Row, tick: int) -> int:
    """The record's sample nearest to a tick, for ticks since the last `begin` (negative before it)."""
    twice = 2 * (tick - state.tick0) * state.rate_mhz + SCALE
    return int(state.origin + twice // (2 * SCALE))


@kernel
def resample(state: Row, signal: Row, samples: Array, mv_per_bit: Array, invalid: int) -> None:
    """Take samples of a bed and write the ticks they complete into its ring.

    Parameters
    ----------
    state, signal : INPUT, SIGNAL
    samples : int16, shape (instants, leads analysed)
    mv_per_bit : float64, shape (leads analysed,)
        NaN for a lead the device does not have.
    invalid : int
        The sample value that stands for "no reading".
    """
    rate = state.rate_mhz
    mask = RING - 1
    for row in range(samples.shape[0]):
        i = state.count
        if rate <= SCALE:
            while state.ticks * rate <= i * SCALE:  # ticks in (i - 1, i]
                share = (state.ticks * rate - (i - 1) * SCALE) / SCALE
                at = signal.end & mask
                for lead in range(LEADS):
                    new = samples[row, lead] * mv_per_bit[lead] if samples[row, lead] != invalid else np.nan
                    old = state.last[lead]
                    signal.mv[at, lead] = new if share == 1.0 else old + share * (new - old)
                signal.end += 1
                state.ticks += 1
            for lead in range(LEADS):
                state.last[lead] = samples[row, lead] * mv_per_bit[lead] if samples[row, lead] != invalid else np.nan
        else:
            # The cell [2i-1, 2i+1) * SCALE overlaps the tick being filled and, at most, the one after it.
            left = (2 * i - 1) * SCALE
            right = (2 * i + 1) * SCALE
            start = (2 * state.ticks - 1) * rate
            end = (2 * state.ticks + 1) * rate
            inside = min(right, end) - max(left, start)
            full = right >= end
            for lead in range(LEADS):
                new = samples[row, lead] * mv_per_bit[lead] if samples[row, lead] != invalid else np.nan
                if inside > 0:
                    state.sum[lead] += new * inside
                if full:
                    width = 2 * rate if state.ticks > 0 else rate + SCALE  # half of tick 0 lies before the first sample
                    signal.mv[signal.end & mask, lead] = state.sum[lead] / width
                    state.sum[lead] = new * (right - end) if right > end else 0.0
            if full:
                signal.end += 1
                state.ticks += 1
        state.count += 1
