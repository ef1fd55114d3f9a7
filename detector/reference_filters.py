"""The resampler and the filters of a lead once more, in plain Python, to be read and to be the kernels' oracle.

`resample` says what a tick is in one formula over the whole record; `LeadTwin` keeps lists where the kernel keeps its
last values, and sums windows where the kernel keeps running sums. Both must agree with the kernels to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from detector import qrs, usual
from detector.envelope import BASE, CENTRE, FINE, PER_BAND, PER_SLOPE, SCALE, SPAN, STEEPEST
from detector.resample import SCALE as PER_SECOND


def resample(mv: npt.NDArray[np.float64], rate_mhz: int) -> npt.NDArray[np.float64]:
    """One lead at `RATE`.

    Parameters
    ----------
    mv : float64, shape (instants,)
        Millivolts; NaN where there is no reading.
    rate_mhz : int
        Its sampling rate in millihertz.

    Returns
    -------
    float64, shape (ticks,)
        As many ticks as the samples complete.
    """
    out = []
    count = len(mv)
    tick = 0
    if rate_mhz <= PER_SECOND:
        while tick * rate_mhz <= (count - 1) * PER_SECOND:
            right = -(-tick * rate_mhz // PER_SECOND)  # first sample at or behind the tick
            share = (tick * rate_mhz - (right - 1) * PER_SECOND) / PER_SECOND
            new = mv[right]
            out.append(new if share == 1.0 else mv[right - 1] + share * (new - mv[right - 1]))
            tick += 1
        return np.array(out)
    while (2 * tick + 1) * rate_mhz <= (2 * count - 1) * PER_SECOND:
        left, right = (2 * tick - 1) * rate_mhz, (2 * tick + 1) * rate_mhz
        first, last = max(0, (left + PER_SECOND) // (2 * PER_SECOND)), (right + PER_SECOND - 1) // (2 * PER_SECOND)
        total = 0.0
        width = 0
        for i in range(first, last + 1):
            inside = min(right, (2 * i + 1) * PER_SECOND) - max(left, (2 * i - 1) * PER_SECOND)
            if inside > 0:
                total += mv[i] * inside
                width += inside
        out.append(total / width)
        tick += 1
    return np.array(out)


@dataclass
class LeadTwin:
    """One lead's filters over all steps since they were filled, and what is usual in it."""

    x: list[int] = field(default_factory=list)
    b: list[int] = field(default_factory=lambda: [0] * 80)
    d: list[int] = field(default_factory=lambda: [0] * 80)
    run: int = 0
    hold: int = 0
    envelope: float = 0.0
    level: float = usual.START
    noise: float = 0.0
    weight: float = 1.0
    size: float = 0.0
    restless: float = usual.UNREST_START * usual.START
    beats: list[float] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    at_best: float = 0.0

    def forget(self) -> None:
        """Forget the lead's beats."""
        self.level, self.noise, self.weight, self.size = usual.START, 0.0, 1.0, 0.0
        self.restless = usual.UNREST_START * usual.START
        self.beats, self.sizes, self.refused = [], [], []

    def feed(self, x: int, valid: bool) -> None:
        """One step: the sum of its two ticks in µV."""
        if not valid:
            self.hold += 1
            self.run = 0
            self.envelope = 0.0
            self.b.append(0)
            self.d.append(0)
            return
        if self.hold > qrs.FORGET:
            self.forget()
        self.hold = 0
        if self.run == 0:
            self.x = [x, x]
            self.b = [4 * x] * 80
            self.d = [0] * 80
        self.run += 1
        self.x.append(x)
        b = [*self.b, self.x[-1] + 2 * self.x[-2] + self.x[-3]]  # two boxcars of two in a row
        # The slope of the signal less its baseline, CENTRE steps ago.
        slope = BASE * (b[-1 - CENTRE] - b[-2 - CENTRE]) - (sum(b[-BASE:]) - sum(b[-BASE - 1 : -1]))
        self.b = b
        self.d.append(min(max(slope >> FINE, -STEEPEST), STEEPEST))
        self.envelope = float(np.sqrt(np.float32(sum(d * d for d in self.d[-SPAN:]))) * SCALE)

    def band(self, back: int) -> float:
        """Microvolts without baseline so many steps ago."""
        end = len(self.b) - back
        return (BASE * self.b[end - 1 - CENTRE] - sum(self.b[end - BASE : end])) * PER_BAND

    def steepest(self, back: int) -> float:
        """Largest slope of the envelope so many steps ago."""
        end = len(self.d) - back
        return max(abs(d) for d in self.d[end - SPAN : end]) * PER_SLOPE
