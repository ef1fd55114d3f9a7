"""Other leads of a device in place of the two usually read, while neither of these gives a signal.

One electrode that comes off may take both with it while the device goes on showing others. Each lead of a device of
more than two is watched second by second of its count of samples, so that it does not matter how frames are cut: it is
*gone* if it gives no readings or stands at a rail, *alive* if none is missing and it moves. A lead that stands still
near 0 is neither: so does an asystole, and it is told of the leads usually read.

That a lead moves does not show that there is a heart in it: what is not connected picks up hum. So others have to prove
themselves by beats that are not in doubt (`stream.rules`). Until then the bed stays unmonitored, and nothing is told of
its heart; those that fail make room for others in turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np

from detector.jit import kernel
from detector.leads import choose, rank
from detector.quality import RAIL_UV, STILL_UV
from detector.types import LEADS, NOISY, OFF, SATURATED, Array
from stream.conditions import FAULTS
from stream.frames import INVALID, MAX_LEADS, Frame
from stream.wire import Rule

GONE_S: Final = 3  # s for which leads must be gone, or alive, before that counts: a bad contact is shorter
GONE_SHARE: Final = 0.1  # of a second's readings that a loose contact may give in a lead that is gone
RETURN_S: Final = 10  # s for which the leads usually read must be alive to be read again
RETURN_LATEST_S: Final = 60  # s after which they are, whatever the heart does meanwhile
PROBATION_S: Final = 30  # s in which other leads must show beats: a very slow heart's first ten take nearly as long
NEVER: Final = -1  # no second of a count of samples

WATCH = np.dtype(
    [
        ("window", "i8"),  # the second that is being watched, by its number
        ("readings", "i8", (MAX_LEADS,)),  # of each of the device's leads in it ...
        ("low", "i8", (MAX_LEADS,)),  # ... between these, in its steps
        ("high", "i8", (MAX_LEADS,)),
        ("off", "u1", (MAX_LEADS,)),  # whether it gave none, or hardly any, in the last
        ("gone", "i8", (MAX_LEADS,)),  # whole seconds up to it in which the lead was gone ...
        ("alive", "i8", (MAX_LEADS,)),  # ... or alive
        ("turned", "i8"),  # seconds for which the leads that are read have been
        ("proven", "u1"),  # whether they have shown beats
        ("tried", "i8"),  # those that have been read since others last did, as bits
    ],
    align=True,
)


def stretches(frame: Frame, skip: int) -> Iterator[tuple[int, int]]:
    """First instant and end of each part of what is new in a frame, cut where the seconds that are watched end."""
    first, window = skip, _window(frame)
    while first < frame.instants:
        end = frame.instants
        if len(frame.leads) > LEADS:
            end = min(end, first + window - (frame.first_sample + first) % window)
        yield first, end
        first = end


def watch(intake: Any, frame: Frame, first: int, end: int) -> bool:
    """Look at each lead in a stretch of a frame; whether other leads may have to be read from its end on.

    Parameters
    ----------
    intake : INTAKE
        The bed's.
    frame : Frame
    first, end : int
        One of its `stretches`.
    """
    if len(frame.leads) <= LEADS:
        return False
    seen, window = intake["watch"], _window(frame)
    number = (frame.first_sample + first) // window
    if number != seen["window"]:  # samples are missing: they tell nothing of electrodes
        seen["gone"] = seen["alive"] = 0
        _begin(seen, number)
    count(seen["readings"], seen["low"], seen["high"], frame.samples, first, end)
    if (frame.first_sample + end) % window:
        return False
    _end(seen, frame)
    _begin(seen, number + 1)
    own, now = choose(frame.leads), tuple(intake["column"].tolist())
    if all(seen["gone"][column] >= GONE_S for column in now):
        return bool((seen["alive"] >= GONE_S).any())
    if now == own:
        return False
    alive = [int(seen["alive"][column]) for column in own]
    back = max(alive) >= GONE_S or seen["turned"] >= PROBATION_S
    return min(alive) >= RETURN_S or bool(back and not seen["proven"])


def due(bed: Any, leads: tuple[str, ...]) -> tuple[int, ...] | None:
    """Columns of the leads to read from now on, if others than so far; everything up to here has been judged.

    Parameters
    ----------
    bed : BED
    leads : tuple of str
        The device's.
    """
    seen, rules = bed["intake"]["watch"], bed["rules"]
    own, now = choose(leads), tuple(bed["intake"]["column"].tolist())
    gone, alive = seen["gone"], seen["alive"]
    if now != own:
        if not rules["unproven"]:
            seen["proven"] = 1
            seen["tried"] = 0
        least, most = alive[list(own)].min(), alive[list(own)].max()
        if least >= RETURN_S and (_is_calm(rules) or least >= RETURN_LATEST_S):
            return own
        if most >= GONE_S and not seen["proven"]:
            return own
    others = [column for column in rank(leads) if alive[column] >= GONE_S]
    if not all(gone[column] >= GONE_S for column in now):
        if seen["proven"] or now == own or seen["turned"] < PROBATION_S:
            return None
        others = [column for column in others if not seen["tried"] >> column & 1]
        if not others:  # all have been: they are again
            seen["tried"] = _bits(now)
    if not others:
        return None
    return tuple([*others, *(column for column in rank(leads) if column not in others)][:LEADS])


def turn(bed: Any, leads: tuple[str, ...], column: tuple[int, ...]) -> dict[Rule, int]:
    """Read these leads; the alerts that stand for those usually read, and for which of them, as bits."""
    intake, rules = bed["intake"], bed["rules"]
    seen, own = intake["watch"], choose(leads)
    off = [bool(seen["off"][lead]) for lead in own]
    if column == own:
        still = _bits(i for i in range(LEADS) if off[i]) if rules["kept"][OFF - NOISY] else 0
        read_own(bed)
        return {Rule.LEAD_OFF: still} if still else {}
    if tuple(intake["column"].tolist()) == own:
        rules["kept"][OFF - NOISY] = _bits(i for i in range(LEADS) if off[i])
        rules["kept"][SATURATED - NOISY] = _bits(i for i in range(LEADS) if not off[i])
    intake["column"] = column
    seen["turned"] = seen["proven"] = 0
    seen["tried"] |= _bits(column)
    rules["unproven"] = 1
    return {Rule(int(rule)): int(bits) for rule, bits in zip(FAULTS, rules["kept"], strict=True) if bits}


def read_own(bed: Any) -> None:
    """Read the leads of the bed's device that are usually read."""
    intake, rules = bed["intake"], bed["rules"]
    intake["column"] = choose(tuple(intake["leads"].decode().split(",")))
    seen = intake["watch"]
    seen["window"] = NEVER
    seen["turned"] = seen["proven"] = seen["tried"] = 0
    rules["kept"] = 0
    rules["unproven"] = 0


def _window(frame: Frame) -> int:
    return frame.rate_mHz // 1000


def _begin(seen: Any, number: int) -> None:
    """Begin to watch another second."""
    seen["window"] = number
    seen["readings"] = 0
    seen["low"] = -INVALID
    seen["high"] = INVALID


@kernel
def count(readings: Array, low: Array, high: Array, samples: Array, first: int, end: int) -> None:
    """Count the readings of each lead in a stretch, and how far they go.

    Parameters
    ----------
    readings, low, high : int64, shape (MAX_LEADS,)
        Changed.
    samples : int16, shape (instants, leads)
    first, end : int
        The stretch.
    """
    for i in range(first, end):
        for lead in range(samples.shape[1]):
            value = np.int64(samples[i, lead])
            if value != INVALID:
                readings[lead] += 1
                low[lead] = min(low[lead], value)
                high[lead] = max(high[lead], value)


def _end(seen: Any, frame: Frame) -> None:
    """The second is over: count those in a row in which each lead was gone, or alive."""
    leads = slice(len(frame.leads))
    readings, low, high = (seen[name][leads] for name in ("readings", "low", "high"))
    units = np.array(frame.units_per_bit)
    off = readings <= GONE_SHARE * _window(frame)
    railed = (low == high) & (np.abs(low) * units > RAIL_UV / 1000.0)
    alive = (readings == _window(frame)) & ((high - low) * units >= STILL_UV / 1000.0)
    seen["off"][leads] = off
    seen["gone"][leads] = (seen["gone"][leads] + 1) * (off | railed)
    seen["alive"][leads] = (seen["alive"][leads] + 1) * alive
    seen["turned"] += 1


def _is_calm(rules: Any) -> bool:
    """Whether nothing goes on in the heart that a signal which begins anew would hide."""
    return not rules["rule"]["active"][: Rule.LEAD_OFF].any() and rules["run"] == 0


def _bits(numbers: Iterable[int]) -> int:
    return sum(1 << number for number in numbers)
