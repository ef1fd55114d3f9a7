"""The rate at which a record is read: that of its frames, or of the samples in them where the frames are too slow.

Monitors write an ECG of 250 Hz beside a breathing of 62.5 Hz as four samples in each of 62.5 frames a second.
"""

from __future__ import annotations

import math
from typing import Any, Final

from replay.parts import Parts
from stream.errors import RecordError
from stream.frames import MAX_RATE_MHZ, MIN_RATE_MHZ

MOST: Final = 10_000  # samples read of a frame: ten seconds at the highest rate, longer than any recorder's


def millihertz(header: Any, per_frame: int = 1) -> int:
    """Samples per second in millihertz, with so many a frame."""
    return round(float(header.fs or 0) * per_frame * 1000)


def is_read(rate_mHz: int) -> bool:
    """Whether a frame can carry this rate."""
    return MIN_RATE_MHZ <= rate_mHz <= MAX_RATE_MHZ


def choose(header: Any, stored: Parts, chosen: list[int]) -> tuple[list[int], int]:
    """Which of the signals are read, and with how many samples a frame.

    Parameters
    ----------
    header : wfdb.Record or wfdb.MultiRecord
    stored : Parts
    chosen : list of int
        Signals that may be read.

    Returns
    -------
    list of int, int
        All of them and 1 if the frames come at a rate that is read. Else, if they come more slowly, those with enough
        samples in a frame, and as many of these as all of them can tell.

    Raises
    ------
    RecordError
        If there is no such rate.
    """
    if is_read(millihertz(header)):
        return chosen, 1
    counts = {signal: _per_frame(stored, signal) for signal in chosen}
    fast = [signal for signal in chosen if millihertz(header, min(counts[signal])) >= MIN_RATE_MHZ]
    common = math.gcd(*(count for signal in fast for count in counts[signal]))
    best = max(
        (n for n in range(1, min(common, MOST) + 1) if common % n == 0 and is_read(millihertz(header, n))), default=0
    )
    if millihertz(header) < MIN_RATE_MHZ and best:
        return fast, best
    several = sorted({count for signal in chosen for count in counts[signal]}.difference({1}))
    frames = f", in frames of {' and '.join(map(str, several))} samples" if several else ""
    raise RecordError(
        f"record {stored.record}: sampled at {float(header.fs or 0):.10g} Hz{frames}, but 100 to 1000 Hz are read; "
        f"resample it (WFDB's `xform -i {stored.record} -o NEW -F 250`) and play the result"
    )


def _per_frame(stored: Parts, signal: int) -> set[int]:
    """Samples a frame of a signal, in all parts that have it."""
    columns = [(part, stored.column(part, signal)) for part in stored.parts]
    return {part.header.samps_per_frame[column] or 1 for part, column in columns if column is not None}
