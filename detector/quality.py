"""The condition of each lead, judged ten times a second over the last second.

A lead is *off* without readings, *flat* when it hardly moves, *saturated* when it stands at a rail, *noisy* when what
lies above the QRS band is large against the beats. Beats are looked for in good and noisy leads only.

What is counted in an epoch are whole microvolts, in float32: the sums of an epoch stay below 2**24, so they are exact
whatever the order in which the processor's lanes add them up.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector import simd
from detector.envelope import LIMIT_UV
from detector.jit import hot
from detector.simd import F32_LANES
from detector.types import CHUNK, EPOCH, FLAT, GOOD, NOISY, OFF, RING, SATURATED, Array, Float32, Row

SECOND_EPOCHS: Final = 10  # epochs looked at
STILL_UV: Final = 20.0  # µV peak to peak over a second: below the noise of any electrode on skin
RAIL_UV: Final = 1000.0  # µV: a lead that stands still farther than this from 0 is at a rail, not in a pause
REMEMBERED: Final = 750  # ticks before which nothing shows where a rail is (3 s): what the ring has whatever the call
STUCK: Final = 0.3  # share of equal neighbours far from 0 over a second that means clipping, where they are its ends
ROUGH: Final = 0.35  # ratio of mean roughness to mean movement above which a lead is noisy
ROUGH_UV: Final = 25.0  # µV of mean roughness below which no lead is called noisy
MOVE: Final = 5  # ticks over which movement is measured (20 ms, about half a QRS complex)
IN_SECOND: Final = SECOND_EPOCHS * EPOCH
EPOCH_MAX_UV: Final = 2.0**20  # µV an epoch counts for at most, so that the sum of a second stays whole

QUALITY = np.dtype(
    [
        ("rough", "f4", (SECOND_EPOCHS,)),  # sum of second differences, µV
        ("move", "f4", (SECOND_EPOCHS,)),  # sum of differences over `MOVE` ticks, µV
        ("stuck", "f4", (SECOND_EPOCHS,)),  # ticks equal to the one before and far from 0
        ("roughs", "f4"),  # sums over the second
        ("moves", "f4"),
        ("stucks", "f4"),
        ("epochs", "i8"),
        ("still", "i8"),  # epochs in a row that hardly moved, those without a reading left out
        ("slot", "i8"),  # of the epoch now
        ("state", "i1"),
    ],
    align=True,
)


@hot
def begin(quality: Row) -> None:
    """No second has been seen yet: a lead counts as good until one says otherwise."""
    quality.rough[:] = 0.0
    quality.move[:] = 0.0
    quality.stuck[:] = 0.0
    quality.roughs = quality.moves = quality.stucks = 0.0
    quality.epochs = 0
    quality.still = 0
    quality.slot = 0
    quality.state = GOOD


@hot
def _count(track: Row, at: int) -> tuple[Float32, Float32, bool]:
    """Roughness and movement over the epoch from index `at` of `track.uv` on; whether a tick may be stuck."""
    uv = track.uv
    two, rail, zero = (
        simd.broadcast(np.float32(2.0)),
        simd.broadcast(np.float32(RAIL_UV)),
        simd.broadcast(np.float32(0.0)),
    )
    rough = move = farthest = zero
    for i in range(at, at + EPOCH - 1, F32_LANES):
        now, last = simd.load(uv, i), simd.load(uv, i - 1)
        rough = rough + simd.absolute(now - two * last + simd.load(uv, i - 2))
        move = move + simd.absolute(now - simd.load(uv, i - MOVE))
        farthest = simd.maximum(simd.absolute(now), farthest)
    end = np.uint64(at + EPOCH)
    now, last = uv[end - np.uint64(1)], uv[end - np.uint64(2)]
    bend = abs(now - np.float32(2.0) * last + uv[end - np.uint64(3)])
    may_be_stuck = (simd.mask_gt(farthest, rail) != 0) | (abs(now) > np.float32(RAIL_UV))
    roughs, moves = simd.reduce_add_two(rough, move)
    return roughs + bend, moves + abs(now - uv[end - np.uint64(1 + MOVE)]), may_be_stuck


@hot
def _stuck(track: Row, at: int, missing: int) -> Float32:
    """Ticks of the epoch from index `at` on that stand still far from 0; what is missing does not."""
    uv, there = track.uv, track.there
    rail, zero = simd.broadcast(np.float32(RAIL_UV)), simd.broadcast(np.float32(0.0))
    any_still = 0
    for i in range(at, at + EPOCH, F32_LANES):  # the last vector begins sooner: some of its ticks are looked at twice
        start = min(i, at + EPOCH - F32_LANES)
        now = simd.load(uv, start)
        moved = simd.mask_gt(simd.absolute(now - simd.load(uv, start - 1)), zero)
        any_still |= simd.mask_gt(simd.absolute(now), rail) & ~moved
    stuck = np.float32(0.0)
    if any_still == 0:  # nearly always: an R wave goes so far and does not stay
        return stuck
    for i in range(at, at + EPOCH):
        still = uv[i] == uv[i - 1] and abs(uv[i]) > np.float32(RAIL_UV)
        stuck += np.float32(1.0) if still and (missing == 0 or there[i]) else np.float32(0.0)
    return stuck


@hot
def close(quality: Row, track: Row, at: int, missing: int, ring: Array, tick: int) -> None:
    """End an epoch: judge the lead over the last second.

    Parameters
    ----------
    quality : QUALITY
    track : detector.scratch.TRACK
        `uv` holds the ticks' whole microvolts, the last reading held, and `there` whether there is a reading.
    at : int
        Index of the epoch's first tick, with the ticks before it in front.
    missing : int
        How many ticks of the epoch have no reading.
    ring : float32, shape (RING,)
        The last ticks in mV, NaN where there is no reading.
    tick : int
        The one after the epoch.
    """
    rough, move, may_be_stuck = _count(track, at)
    _remember(quality, rough, move, _stuck(track, at, missing) if may_be_stuck else np.float32(0.0))
    quality.state = OFF if 2 * missing > EPOCH else _judge(quality, ring, tick)


@hot
def close_all(quality: Row, track: Row, at: int, epochs: int, ring: Array, tick: int) -> int:
    """End so many epochs in a row in which no reading is missing; returns the worst state there was.

    The arguments are those of `close` for the first of them; `track.states` gets the state after each. All are counted
    before the first is judged: so one epoch's counting does not wait for another's judgement.
    """
    rough, move = track.rough, track.move
    far = 0
    for i in range(epochs):
        rough[i], move[i], may_be_stuck = _count(track, at + i * EPOCH)
        far |= may_be_stuck << i
    worst = GOOD
    for i in range(epochs):
        stuck = _stuck(track, at + i * EPOCH, 0) if far >> i & 1 else np.float32(0.0)
        _remember(quality, rough[i], move[i], stuck)
        quality.state = _judge(quality, ring, tick + i * EPOCH)
        track.states[i] = quality.state
        worst = max(worst, quality.state)
    return worst


@hot
def lose(quality: Row) -> None:
    """End an epoch without any reading."""
    none = np.float32(0.0)
    still = quality.still
    _remember(quality, none, none, none)
    quality.still = still
    quality.state = OFF


@hot
def stay_lost(quality: Row, epochs: int) -> None:
    """End so many epochs without any reading, after more than a second of them."""
    quality.epochs += epochs
    quality.slot = (quality.slot + epochs) % SECOND_EPOCHS


@hot
def _remember(quality: Row, rough: Float32, move: Float32, stuck: Float32) -> None:
    """Put an epoch in the place of that a second ago."""
    # No branch: a mispredicted one costs more.
    quality.still = (quality.still + 1) * (move <= np.float32(EPOCH * STILL_UV))
    rough, move = min(rough, np.float32(EPOCH_MAX_UV)), min(move, np.float32(EPOCH_MAX_UV))
    slot = quality.slot
    quality.roughs += rough - quality.rough[slot]
    quality.moves += move - quality.move[slot]
    quality.stucks += stuck - quality.stuck[slot]
    quality.rough[slot] = rough
    quality.move[slot] = move
    quality.stuck[slot] = stuck
    quality.epochs += 1
    quality.slot = slot + 1 if slot < SECOND_EPOCHS - 1 else 0


@hot
def _span(ring: Array, tick: int) -> tuple[Float32, Float32]:
    """Least and greatest µV of the second before a tick, as the filters take them; what is missing is neither."""
    low, high = np.float32(LIMIT_UV), np.float32(-LIMIT_UV)
    for i in range(tick - IN_SECOND, tick):
        value = np.rint(ring[i & (RING - 1)] * np.float32(1000.0))
        low, high = min(low, value), max(high, value)  # in this order: NaN is not less, nor greater
    return max(low, np.float32(-LIMIT_UV)), min(high, np.float32(LIMIT_UV))


@hot
def _clips(ring: Array, tick: int) -> bool:
    """Whether the signal lay at its ends, far from 0, for too much of the second before a tick: a rail is one of them.

    A baseline that stands still beside 0 is none: an electrode's offset, between the beats of a simulator or in steps
    so coarse that they hide its noise. Beats go on from it.
    """
    low, high = _span(ring, tick)
    ends = 0
    for i in range(tick - IN_SECOND, tick):
        value = np.rint(ring[i & (RING - 1)] * np.float32(1000.0))  # what is missing lies nowhere
        ends += (high > RAIL_UV and value > high - STILL_UV) or (low < -RAIL_UV and value < low + STILL_UV)
    return ends > STUCK * IN_SECOND


@hot
def _went_farther(ring: Array, tick: int, level: Float32) -> bool:
    """Whether the signal went farther from 0 than a level at which it stands still now: then that is at no rail.

    So does the baseline between the beats of a slow heart that an electrode's offset has moved.
    """
    for i in range(tick - REMEMBERED, tick):
        value = np.rint(ring[i & (RING - 1)] * np.float32(1000.0))
        farther = min(value, np.float32(LIMIT_UV)) - level if level > 0.0 else level - max(value, np.float32(-LIMIT_UV))
        if farther > STILL_UV:  # NaN is not
            return True
    return False


@hot
def _judge(quality: Row, ring: Array, tick: int) -> int:
    ticks = min(quality.epochs, SECOND_EPOCHS) * EPOCH
    if quality.still >= SECOND_EPOCHS:  # else it has moved further
        low, high = _span(ring, tick)
        if high - low < STILL_UV:
            return FLAT if abs(low) <= RAIL_UV or _went_farther(ring, tick, low) else SATURATED
    if quality.stucks > STUCK * ticks and _clips(ring, tick):
        return SATURATED
    noisy = (quality.roughs > ROUGH_UV * ticks) & (quality.roughs > ROUGH * quality.moves)
    return NOISY if noisy else GOOD


assert EPOCH * 4 * 32767 < 2**24, "the sum of an epoch is no longer whole"
assert REMEMBERED <= RING - CHUNK, "a call's ticks have taken the place of some that are looked at"
assert (EPOCH - 1) % F32_LANES == 0, "an epoch is whole vectors and one tick"
