"""The condition of each lead, judged ten times a second over the last second.

A lead is *off* without readings, *flat* when it hardly moves, *saturated* when it stands at a rail, *noisy* when what
lies above the QRS band is large against the beats. Beats are looked for in good and noisy leads only.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.jit import kernel
from detector.types import EPOCH, FLAT, GOOD, LEADS, NOISY, OFF, SATURATED, Row

SECOND: Final = 10  # epochs looked at
STILL_UV: Final = 20  # µV peak to peak over a second: below the noise of any electrode on skin
RAIL_UV: Final = 1000  # µV: a lead that does not move this far from 0 stands at a rail, not in a pause
STUCK: Final = 0.3  # share of equal neighbours far from 0 over a second that means clipping
ROUGH: Final = 0.35  # ratio of mean roughness to mean movement above which a lead is noisy
ROUGH_UV: Final = 25  # µV of mean roughness below which no lead is called noisy

LEAD_QUALITY = np.dtype(
    [
        ("low", "i8", (SECOND,)),  # least and greatest µV of each epoch
        ("high", "i8", (SECOND,)),
        ("rough", "i8", (SECOND,)),  # sum of second differences, µV
        ("move", "i8", (SECOND,)),  # sum of differences over five ticks, µV
        ("stuck", "i8", (SECOND,)),  # ticks equal to the one before and far from 0
        ("missing", "i8", (SECOND,)),  # ticks without a reading
        ("recent", "i8", (8,)),  # last values
        ("state", "i1"),
    ],
    align=True,
)

QUALITY = np.dtype([("lead", LEAD_QUALITY, (LEADS,)), ("epochs", "i8")], align=True)


@kernel
def begin(state: Row) -> None:
    """No second has been seen yet: leads count as good until one says otherwise."""
    state.epochs = 0
    for lead in range(LEADS):
        quality = state.lead[lead]
        quality.recent[:] = 0
        quality.state = GOOD
        for slot in range(SECOND):
            _clear(quality, slot)


@kernel
def _clear(quality: Row, slot: int) -> None:
    quality.low[slot] = 2**40
    quality.high[slot] = -(2**40)
    quality.rough[slot] = 0
    quality.move[slot] = 0
    quality.stuck[slot] = 0
    quality.missing[slot] = 0


@kernel
def take(state: Row, lead: int, tick: int, microvolts: int, reading: bool) -> None:
    """Count one tick of one lead."""
    quality = state.lead[lead]
    slot = state.epochs % SECOND
    if not reading:
        quality.missing[slot] += 1
        quality.recent[:] = microvolts
        return
    before = quality.recent[(tick - 1) & 7]
    quality.low[slot] = min(quality.low[slot], microvolts)
    quality.high[slot] = max(quality.high[slot], microvolts)
    quality.rough[slot] += abs(microvolts - 2 * before + quality.recent[(tick - 2) & 7])
    quality.move[slot] += abs(microvolts - quality.recent[(tick - 5) & 7])
    if microvolts == before and abs(microvolts) > RAIL_UV:
        quality.stuck[slot] += 1
    quality.recent[tick & 7] = microvolts


@kernel
def close(state: Row) -> None:
    """End an epoch: judge each lead over the last second."""
    span = min(state.epochs + 1, SECOND)
    for lead in range(LEADS):
        quality = state.lead[lead]
        low = 2**40
        high = -(2**40)
        rough = 0
        move = 0
        stuck = 0
        for slot in range(span):
            low = min(low, quality.low[slot])
            high = max(high, quality.high[slot])
            rough += quality.rough[slot]
            move += quality.move[slot]
            stuck += quality.stuck[slot]
        ticks = span * EPOCH
        if 2 * quality.missing[state.epochs % SECOND] > EPOCH:
            quality.state = OFF
        elif span == SECOND and high - low < STILL_UV:
            quality.state = SATURATED if abs(low) > RAIL_UV else FLAT
        elif stuck > STUCK * ticks:
            quality.state = SATURATED
        elif rough > ROUGH_UV * ticks and rough > ROUGH * move:
            quality.state = NOISY
        else:
            quality.state = GOOD
    state.epochs += 1
    for lead in range(LEADS):
        _clear(state.lead[lead], state.epochs % SECOND)
