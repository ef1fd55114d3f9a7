"""A pacemaker's pulses, taken out of the signal before beats are looked for.

A pulse lasts 0.5 to 2 ms. What a monitor makes of it is as high as a QRS complex and as steep: taken for one, it hides
that a heart no longer answers its pacemaker, and makes two beats of each that it does answer.

Told from a QRS complex by its shape alone. Either it is over within three ticks, or it *rings*, as every signal does
that is shorter than its channel can follow: feeds of 125 Hz, and those that were once, show the sine integral of their
band of 62.5 Hz. No heart makes either. Around each narrow peak, what shows either shape is set against all of the
curve that no straight line explains; a pulse leaves little. Looked at are the `BEFORE` ticks before, mostly the calm
PR segment, and only `AFTER` ticks after it, since the QRS begins 20 to 40 ms after a pulse that the heart has answered.

A pulse is in all leads at once, so each lead is bridged where one shows it, over `HALF` ticks to both sides, unless
another shows a wave there that is plainly none. A curve that is less surely one (the channel was overdriven, the QRS
begins early) counts where sure ones have just been seen. What is bridged is known `HALF` ticks later: the filters look
at their signal that late in any case (`detector.envelope.CENTRE`), so nothing is told later because of it.

A QRS complex of less than 50 ms in all, with an R wave of 10 ms at half its height, has the shape of a pulse.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from detector import simd
from detector.envelope import CENTRE, STRIDE, TAKEN_BACK, microvolts
from detector.jit import hot
from detector.scratch import CARRIED_TICKS
from detector.simd import F32_LANES
from detector.types import LEADS, LONG_AGO, PULSES, RATE, RING, Array, Float32, Row

BEFORE: Final = 12  # ticks before a pulse that must show its ringing or nothing (48 ms)
AFTER: Final = 5  # and after it (20 ms): at the least so long does a heart take to answer
HALF: Final = 6  # ticks to both sides that are bridged (24 ms): the third crossing of the ringing
NARROW: Final = 3  # ticks to both sides over which a pulse is as high as over `HALF`, or nearly ...
NARROW_SHARE: Final = 0.9  # ... which is the share; of a QRS complex it is half to three quarters
LEAST_UV: Final = 300.0  # µV of twice the height: a pulse of less than 0.15 mV passes for no beat
BAND_HZ: Final = 62.5  # of feeds of 125 Hz
SURE: Final = 0.9  # of the curve's energy by a pulse's shape: one in 20 000 beats without a pacemaker has one near
LIKELY: Final = 0.8  # the same while a heart is being paced: what is less is a QRS complex
LESS: Final = 0.08  # what a short one must explain more: the tapes of MIT-BIH show pulses that run into the QRS complex
UNLIKE: Final = 0.5  # less of a lead's curve, where it moves: this is no pulse, whatever another lead shows
MOVES_UV: Final = 150.0  # µV that a lead must move around a pulse to have a say
PACED: Final = 4  # sure pulses within `BEGINS` after which a heart is being paced: one or two may be artefacts
BEGINS: Final = 15 * RATE  # ticks: so few pulses in them if it is paced at 40 a minute and two in five are not sure
ENDS: Final = 30 * RATE  # ticks after the last sure pulse in which it may still be

#: Whether a heart is being paced. The pulses themselves are part of the signal (`detector.types.SIGNAL`).
PACING = np.dtype(
    [
        ("sure", "i8", (PACED,)),  # ticks of the last sure pulses, in a ring by n_sure
        ("n_sure", "i8"),
        ("until", "i8"),  # tick up to which the heart is being paced, as far as is known
    ],
    align=True,
)

_AT: Final = np.arange(-BEFORE, AFTER + 1)
SPAN: Final = len(_AT)


def _shapes(*columns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Orthonormal rows that span a straight line, and then these columns, too; rounded, to be so on every machine."""
    line = [np.ones(SPAN), _AT.astype(np.float64)]
    rows = np.linalg.qr(np.stack([*line, *columns], axis=1))[0].T
    return np.ascontiguousarray(np.round(rows, 6))


def _ringing() -> list[npt.NDArray[np.float64]]:
    """A band-limited impulse, and the same with all its waves a quarter late: any phase and place is a mean of both."""
    phase = 2.0 * np.pi * BAND_HZ / RATE * _AT
    late = np.divide(1.0 - np.cos(phase), phase, out=np.zeros(SPAN), where=_AT != 0)
    return [np.sinc(phase / np.pi), late]


PERIOD: Final = 4  # ticks of a wave of the ringing
LINE: Final = 2  # rows of either that are the straight line
RINGING: Final = _shapes(*_ringing())
SHORT: Final = _shapes(*(np.where(k == _AT, 1.0, 0.0) for k in (-1, 0, 1)))

OLDEST: Final = STRIDE * (CENTRE + 2) + HALF  # ticks before this call's in which one may be that changes what is new


@hot
def begin(state: Row, signal: Row) -> None:
    """None has been seen."""
    signal.pulse[:] = LONG_AGO
    signal.n_pulses = 0
    signal.paced_since = LONG_AGO
    state.sure[:] = LONG_AGO
    state.n_sure = 0
    state.until = LONG_AGO


@hot
def take_out(state: Row, signal: Row, scratch: Row, origin: int, ticks: int) -> None:
    """Find the pulses that this call's ticks complete, and say in `work.taken` what is added to take them out.

    Parameters
    ----------
    state : PACING
    signal : detector.types.SIGNAL
        Pulses found are put into it.
    scratch : detector.scratch.SCRATCH
        `uv` holds the leads' whole microvolts.
    origin : int
        The first tick of this call.
    ticks : int
    """
    for lead in range(LEADS):
        scratch.lead[lead].work.pulses = 0
        scratch.lead[lead].work.paced = 0
    _mark_paced(scratch, origin, ticks, origin, state.until)
    number = signal.n_pulses - 1
    while signal.pulse[number % PULSES] >= origin - OLDEST:
        _take_out(scratch, origin, signal.pulse[number % PULSES])
        number -= 1
    found = 0
    for lead in range(LEADS):
        if not scratch.lead[lead].gone:
            found += _find(scratch.lead[lead].uv, ticks, scratch.pulses)
    if found == 0:
        return
    for i in range(CARRIED_TICKS - HALF, CARRIED_TICKS + ticks - HALF):
        if scratch.pulses[i] > 0.0:
            tick = origin + i - CARRIED_TICKS
            if _is_plainly_none(scratch, i):
                scratch.pulses[i] = 0.0
                continue
            if scratch.pulses[i] >= SURE and tick - state.sure[(state.n_sure - 1) % PACED] > HALF:
                _count_sure(state, signal, scratch, origin, ticks, tick)
            enough = scratch.pulses[i] >= SURE or tick <= state.until
            if enough and tick - signal.pulse[(signal.n_pulses - 1) % PULSES] > HALF:  # else it is the last one again
                signal.pulse[signal.n_pulses % PULSES] = tick
                signal.n_pulses += 1
                _take_out(scratch, origin, tick)
            scratch.pulses[i] = 0.0


@hot
def hides(signal: Row, tick: int, known: int) -> bool:
    """Whether a tick belongs to a pulse, as far as is known at tick `known`."""
    number = signal.n_pulses - 1
    while number >= max(signal.n_pulses - PULSES, 0) and signal.pulse[number % PULSES] > tick - HALF:
        if signal.pulse[number % PULSES] < tick + HALF and signal.pulse[number % PULSES] + HALF <= known:
            return True
        number -= 1
    return False


@hot
def bridge(signal: Row, lead: int, first: int, known: int, curve: Array) -> None:
    """Bridge the pulses in a lead's curve, whole microvolts from tick `first` on, that are known at tick `known`."""
    ring = signal.mv[lead]
    number = signal.n_pulses - 1
    while number >= max(signal.n_pulses - PULSES, 0) and signal.pulse[number % PULSES] > first - HALF:
        tick = signal.pulse[number % PULSES]
        number -= 1
        if tick + HALF > known or tick - HALF >= first + len(curve):
            continue
        left = right = np.float32(0.0)
        for k in range(PERIOD):
            left += microvolts(ring[(tick - HALF - k) & (RING - 1)])
            right += microvolts(ring[(tick + HALF - k) & (RING - 1)])
        if np.isnan(left) or np.isnan(right):
            continue
        for k in range(1, 2 * HALF):
            if 0 <= tick - HALF + k - first < len(curve):
                curve[tick - HALF + k - first] = _line(left, right, k)


@hot
def _line(left: Float32, right: Float32, k: int) -> int:
    """Whole microvolts of a straight line over a pulse, `k` ticks from its left end.

    It goes from the mean of the `PERIOD` ticks up to its left end to that of those up to its right end, which are given
    by their sums: at one tick, the ringing would lift all of the line.
    """
    return int((np.int64(left) + (np.int64(right) - np.int64(left)) * k // (2 * HALF)) // PERIOD)


@hot
def _count_sure(state: Row, signal: Row, scratch: Row, origin: int, ticks: int, tick: int) -> None:
    """There is a sure pulse at a tick, as is known now: by it the heart may be paced, or still be."""
    state.sure[state.n_sure % PACED] = tick
    state.n_sure += 1
    if tick <= state.until or tick - state.sure[state.n_sure % PACED] <= BEGINS:
        if tick > state.until:
            signal.paced_since = tick + HALF
        state.until = tick + ENDS
        _mark_paced(scratch, origin, ticks, tick + HALF, state.until)


@hot
def _mark_paced(scratch: Row, origin: int, ticks: int, first: int, until: int) -> None:
    """Mark this call's steps that end at tick `first` or later, and no later than `until`."""
    if until < max(first, origin):
        return
    before = origin // STRIDE
    begin = max(first // STRIDE - before, 0)
    end = min((until + 1) // STRIDE - before, (origin % STRIDE + ticks) // STRIDE)
    for lead in range(LEADS):
        work = scratch.lead[lead].work
        if work.paced == 0:
            work.is_paced[:] = 0.0
            work.paced = 1
        work.is_paced[begin : max(begin, end)] = 1.0


@hot
def _find(uv: Array, ticks: int, pulses: Array) -> int:
    """Put how much of the curve a pulse explains where a lead may show one; how many."""
    first, end = CARRIED_TICKS - HALF, CARRIED_TICKS + ticks - HALF
    two, least, share = (
        simd.broadcast(np.float32(2.0)),
        simd.broadcast(np.float32(LEAST_UV)),
        simd.broadcast(np.float32(NARROW_SHARE)),
    )
    count = 0
    for i in range(first, end, F32_LANES):
        twice = two * simd.load(uv, i)
        height = simd.absolute(twice - (simd.load(uv, i - NARROW) + simd.load(uv, i + NARROW)))
        narrow = simd.mask_gt(height, least)
        if narrow == 0:
            continue
        wide = simd.absolute(twice - (simd.load(uv, i - HALF) + simd.load(uv, i + HALF)))
        narrow &= simd.mask_ge(height, share * wide)
        for k in range(min(F32_LANES, end - i)):
            if narrow >> k & 1 and _stands_out(uv, i + k):
                explained = max(_explained(uv, i + k, RINGING), _explained(uv, i + k, SHORT) - LESS)
                if explained >= LIKELY:
                    pulses[i + k] = max(pulses[i + k], explained)
                    count += 1
    return count


@hot
def _is_plainly_none(scratch: Row, at: int) -> bool:
    """Whether any lead moves around index `at` of `uv` as no pulse does; it may lie a tick beside in another lead."""
    for lead in range(LEADS):
        if scratch.lead[lead].gone:
            continue
        uv = scratch.lead[lead].uv
        least = most = uv[at]
        for k in range(-BEFORE, AFTER + 1):
            least, most = min(least, uv[at + k]), max(most, uv[at + k])
        if most - least < np.float32(MOVES_UV):
            continue
        explained = 0.0
        for beside in range(-1, 2):
            here = at + beside
            explained = max(explained, _explained(uv, here, RINGING), _explained(uv, here, SHORT))
        if explained < UNLIKE:
            return True
    return False


@hot
def _height(uv: Array, at: int) -> float:
    """Twice the height over what is `NARROW` to both sides."""
    return float(np.float32(2.0) * uv[at] - (uv[at - NARROW] + uv[at + NARROW]))


@hot
def _stands_out(uv: Array, at: int) -> bool:
    """Whether this is the top of a narrow peak, and none of a larger wave's."""
    height = _height(uv, at)
    wide = np.float32(2.0) * uv[at] - (uv[at - HALF] + uv[at + HALF])
    if height * wide <= 0.0:
        return False
    for k in range(1, NARROW + 1):
        if abs(_height(uv, at - k)) >= abs(height) or abs(_height(uv, at + k)) > abs(height):
            return False
    return True


@hot
def _explained(uv: Array, at: int, rows: Array) -> float:
    """Share that these shapes explain of the curve around a tick, of what no straight line does."""
    energy = 0.0
    for k in range(SPAN):
        value = np.float64(uv[at - BEFORE + k] - uv[at])
        energy += value * value
    explained = 0.0
    for row in range(len(rows)):
        product = 0.0
        for k in range(SPAN):
            product += rows[row, k] * np.float64(uv[at - BEFORE + k] - uv[at])
        if row < LINE:
            energy -= product * product
        else:
            explained += product * product
    return explained / energy if energy > 0.0 else 0.0


@hot
def _take_out(scratch: Row, origin: int, tick: int) -> None:
    """Add what a straight line over a pulse is more than each lead, after the two boxcars."""
    at = CARRIED_TICKS + tick - origin
    for lead in range(LEADS):
        track = scratch.lead[lead]
        if track.gone:
            continue
        uv, taken = track.uv, track.work.taken
        if track.work.pulses == 0:
            taken[:] = 0.0
            track.work.pulses = 1
        left = right = np.float32(0.0)
        for k in range(PERIOD):
            left += uv[at - HALF - k]
            right += uv[at + HALF - k]
        for k in range(1, 2 * HALF):
            more = np.float32(_line(left, right, k)) - uv[at - HALF + k]
            step = TAKEN_BACK + (tick - HALF + k) // STRIDE - origin // STRIDE
            taken[step] += more
            taken[step + 1] += np.float32(2.0) * more
            taken[step + 2] += more


assert OLDEST + HALF + PERIOD <= CARRIED_TICKS + 1, "too few ticks are carried"
assert HALF + BEFORE <= CARRIED_TICKS, "too few ticks are carried"
assert round(RATE / BAND_HZ) == PERIOD
assert STRIDE * TAKEN_BACK >= OLDEST + HALF, "a pulse's begin would be lost"
assert HALF <= CENTRE, "what is bridged would be known too late"
