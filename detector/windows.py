"""Windows of signal around a beat: copied out of the ring, bridged where readings are missing, and compared."""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.jit import kernel
from detector.types import RING, Array, Row

MISSING: Final = 6  # ticks that may be missing; they are bridged by the last reading before them


@kernel
def copy_bridged(signal: Row, first: int, lead: int, out: Array, begin: int, end: int) -> bool:
    """Copy ticks of a lead from the ring, bridged by the last reading; whether there are enough to be read.

    Parameters
    ----------
    signal : record of `detector.types.SIGNAL`
    first : int
        The first tick.
    lead : int
    out : float64, shape (n,)
        mV.
    begin, end : int
        Indices of `out` from and up to which no more than `MISSING` may be missing.
    """
    missing = 0
    last = 0.0
    seen = False
    for i in range(len(out)):
        tick = first + i
        value = np.float64(np.nan)
        if tick >= 0 and tick < signal.end and tick > signal.end - RING:
            value = np.float64(signal.mv[lead, tick & (RING - 1)])
        if np.isfinite(value):
            if not seen:
                out[:i] = value
                seen = True
            last = value
        elif begin <= i < end:
            missing += 1
        out[i] = last
    return seen and missing <= MISSING


@kernel
def correlation(one: Array, other: Array) -> float:
    """Correlation of two curves about zero; 0 where one of them is flat."""
    energy = power = common = 0.0
    for i in range(len(one)):
        a, b = np.float64(one[i]), np.float64(other[i])
        energy += a * a
        power += b * b
        common += a * b
    return common / np.sqrt(energy * power) if energy > 0.0 and power > 0.0 else 0.0
