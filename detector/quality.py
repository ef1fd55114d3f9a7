"""The condition of each lead, judged ten times a second over the last second.

A lead is *off* without readings, *flat* when it hardly moves, *saturated* when it stands at a rail, *noisy* when what
lies above the QRS band is large against the beats. Beats are looked for in good and noisy leads only.

What is counted in an epoch are whole microvolts, in float32: the sums of an epoch stay below 2**24, so they are exact
whatever the order in which the processor's lanes add them up.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.arrays import sum_of
from detector.jit import kernel, whole_numbers
from detector.types import CHUNK, EPOCH, FLAT, GOOD, NOISY, OFF, SATURATED, Array, Row, Single

SECOND: Final = 10  # epochs looked at
STILL_UV: Final = 20.0  # µV peak to peak over a second: below the noise of any electrode on skin
RAIL_UV: Final = 1000.0  # µV: a lead that does not move this far from 0 stands at a rail, not in a pause
STUCK: Final = 0.3  # share of equal neighbours far from 0 over a second that means clipping
ROUGH: Final = 0.35  # ratio of mean roughness to mean movement above which a lead is noisy
ROUGH_UV: Final = 25.0  # µV of mean roughness below which no lead is called noisy
MOVE: Final = 5  # ticks over which movement is measured (20 ms, about half a QRS complex)
FAR: Final = 1e6  # µV: beyond any reading
MOST: Final = 2.0**20  # µV an epoch counts for at most, so that the sum of a second stays whole
BEGUN: Final = EPOCH - 1  # ticks before this call's that the epoch to be judged may hold

QUALITY = np.dtype(
    [
        ("low", "f4", (SECOND,)),  # least and greatest µV of each epoch; far apart in one that moves
        ("high", "f4", (SECOND,)),
        ("rough", "f4", (SECOND,)),  # sum of second differences, µV
        ("move", "f4", (SECOND,)),  # sum of differences over `MOVE` ticks, µV
        ("stuck", "f4", (SECOND,)),  # ticks equal to the one before and far from 0
        ("roughs", "f4"),  # sums over the second
        ("moves", "f4"),
        ("stucks", "f4"),
        ("epochs", "i8"),
        ("slot", "i8"),  # of the epoch now
        ("state", "i1"),
    ],
    align=True,
)

#: What is counted, tick for tick: those of this call behind `BEGUN` of before.
COUNTED = np.dtype(
    [
        ("rough", "f4", (BEGUN + CHUNK + 1,)),
        ("move", "f4", (BEGUN + CHUNK + 1,)),
        ("stuck", "f4", (BEGUN + CHUNK + 1,)),
        ("any_stuck", "i8"),
    ],
    align=True,
)


@kernel
def begin(quality: Row) -> None:
    """No second has been seen yet: a lead counts as good until one says otherwise."""
    quality.rough[:] = 0.0
    quality.move[:] = 0.0
    quality.stuck[:] = 0.0
    quality.roughs = quality.moves = quality.stucks = 0.0
    quality.epochs = 0
    quality.slot = 0
    quality.state = GOOD


@kernel
def count(counted: Row, uv: Array) -> None:
    """Count the ticks of a call.

    Parameters
    ----------
    counted : COUNTED, out
    uv : float32, shape (`MOVE` + `BEGUN` + ticks,)
        Whole microvolts, the last reading held.
    """
    earlier, before, last, now = uv, uv[MOVE - 2 :], uv[MOVE - 1 :], uv[MOVE:]
    rough, move, stuck = counted.rough[: len(now)], counted.move[: len(now)], counted.stuck[: len(now)]
    for i in range(len(now)):
        rough[i] = abs(now[i] - np.float32(2.0) * last[i] + before[i])
        move[i] = abs(now[i] - earlier[i])
    for i in range(len(now)):
        far = np.float32(1.0) if abs(now[i]) > np.float32(RAIL_UV) else np.float32(0.0)
        stuck[i] = far if now[i] == last[i] else np.float32(0.0)
    counted.any_stuck = sum_of(stuck) > np.float32(0.0)


@whole_numbers
def _sum_of_epoch(values: Array) -> Single:
    """The same of an epoch: a number of values that is known beforehand takes half the time."""
    total = np.float32(0.0)
    for i in range(EPOCH):
        total += values[i]
    return total


@kernel
def close(quality: Row, counted: Row, end: int, uv: Array, there: Array, missing: int) -> None:
    """End an epoch: judge the lead over the last second.

    Parameters
    ----------
    quality : QUALITY
    counted : COUNTED
    end : int
        Ticks of this call up to the epoch's end.
    uv : float32, shape (EPOCH,)
        Of the epoch.
    there : uint8, shape (EPOCH,)
        Which of its ticks have a reading.
    missing : int
        How many have none.
    """
    first = BEGUN + end - EPOCH
    rough, move = counted.rough[first : first + EPOCH], counted.move[first : first + EPOCH]
    stuck = np.float32(0.0)
    if missing > 0:  # what does not move since it is missing is not stuck
        for i in range(EPOCH):
            stuck += counted.stuck[first + i] if there[i] else np.float32(0.0)
    elif counted.any_stuck:
        stuck = _sum_of_epoch(counted.stuck[first : first + EPOCH])
    rough_now = min(_sum_of_epoch(rough), np.float32(MOST))
    move_now = min(_sum_of_epoch(move), np.float32(MOST))
    low = np.float32(-FAR)
    high = np.float32(FAR)
    if move_now <= EPOCH * STILL_UV:  # else it moves by more than that
        low = high = uv[0]
        for i in range(1, EPOCH):
            low = min(low, uv[i])
            high = max(high, uv[i])
    _remember(quality, low, high, rough_now, move_now, stuck)
    quality.state = OFF if 2 * missing > EPOCH else _judge(quality, min(quality.epochs, SECOND))


@kernel
def lose(quality: Row) -> None:
    """End an epoch without any reading."""
    none = np.float32(0.0)
    _remember(quality, np.float32(FAR), np.float32(-FAR), none, none, none)
    quality.state = OFF


@kernel
def _remember(quality: Row, low: Single, high: Single, rough: Single, move: Single, stuck: Single) -> None:
    """Put an epoch in the place of that a second ago."""
    slot = quality.slot
    quality.roughs += rough - quality.rough[slot]
    quality.moves += move - quality.move[slot]
    quality.stucks += stuck - quality.stuck[slot]
    quality.low[slot] = low
    quality.high[slot] = high
    quality.rough[slot] = rough
    quality.move[slot] = move
    quality.stuck[slot] = stuck
    quality.epochs += 1
    quality.slot = slot + 1 if slot < SECOND - 1 else 0


@kernel
def _judge(quality: Row, span: int) -> int:
    ticks = span * EPOCH
    if span == SECOND and quality.moves <= SECOND * EPOCH * STILL_UV:
        low = np.float32(FAR)
        high = np.float32(-FAR)
        for i in range(SECOND):
            low = min(low, quality.low[i])
            high = max(high, quality.high[i])
        if high - low < STILL_UV:
            return SATURATED if abs(low) > RAIL_UV else FLAT
    if quality.stucks > STUCK * ticks:
        return SATURATED
    if quality.roughs > ROUGH_UV * ticks and quality.roughs > ROUGH * quality.moves:
        return NOISY
    return GOOD


assert EPOCH * 4 * 32767 < 2**24, "the sum of an epoch is no longer whole"
