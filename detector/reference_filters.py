"""The resampler and the filters of a lead once more, in plain Python, to be read and to be the kernels' oracle.

`resample` says what a tick is in one formula over the whole record; `LeadTwin` keeps lists where the kernel keeps its
last values, and sums windows where the kernel keeps running sums. Both must agree with the kernels to the last bit.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from detector import levels, qrs
from detector.envelope import BASE, CENTRE, FINE, LIMIT_UV, PER_SLOPE, PER_SMOOTH, SCALE, SPAN, STEEPEST
from detector.feature import LOUD, LOUD_EVERY
from detector.resample import SCALE as PER_SECOND


def resample(
    samples: npt.NDArray[np.int16], mv_per_bit: float, rate_mHz: int, invalid: int = -32768
) -> npt.NDArray[np.float32]:
    """One lead at `RATE`.

    Parameters
    ----------
    samples : int16, shape (instants,)
        `invalid` where there is no reading.
    mv_per_bit : float
    rate_mHz : int
        Its sampling rate in millihertz.
    invalid : int, optional

    Returns
    -------
    float32, shape (ticks,)
        As many ticks as the samples complete.
    """
    divisor = math.gcd(rate_mHz, PER_SECOND)
    r, s = rate_mHz // divisor, PER_SECOND // divisor
    whole = samples.tolist()
    out: list[float] = []
    while True:
        tick = len(out)
        if r <= s:
            last = -(-tick * r // s)
            weights = {i: s - abs(tick * r - i * s) for i in (last - 1, last)}
        else:
            left, right = (2 * tick - 1) * r, (2 * tick + 1) * r
            first, last = (left + s) // (2 * s), (right + s - 1) // (2 * s)
            weights = {i: min(right, (2 * i + 1) * s) - max(left, (2 * i - 1) * s) for i in range(first, last + 1)}
        if last >= len(whole):
            return np.array(out, np.float32)
        touched = [(whole[max(i, 0)], weight) for i, weight in weights.items() if weight > 0]
        total = float(sum(value * weight for value, weight in touched))
        lost = any(value == invalid for value, _ in touched)
        out.append(math.nan if lost else total * (mv_per_bit / (2.0 * r if r > s else 1.0 * s)))


def microvolts(mv: float) -> int:
    """Whole microvolts of a tick (a float32 value), within what the filters take."""
    return int(min(max(np.rint(np.float32(mv) * np.float32(1000.0)), -LIMIT_UV), LIMIT_UV))


@dataclass
class LeadTwin:
    """One lead's filters over all steps since they were filled, and what is usual in it."""

    x: list[int] = field(default_factory=list)
    b: list[int] = field(default_factory=lambda: [0] * 80)
    c: list[int] = field(default_factory=lambda: [0] * 80)
    d: list[int] = field(default_factory=lambda: [0] * 80)
    run: int = 0
    hold: int = 0
    envelope: np.float32 = field(default_factory=np.float32)
    level: float = levels.START
    noise: float = 0.0
    weight: float = 1.0
    size: float = 0.0
    restless: float = levels.UNREST_START * levels.START
    sharp: float = levels.SHARP_START
    sharp_noise: float = 0.0
    sharp_unrest: float = levels.SHARP_UNREST * levels.SHARP_START
    beats: list[float] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    sharps: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    refused_sharp: list[float] = field(default_factory=list)
    at_best: float = 0.0
    upright: np.float32 = np.float32(1.0)  # noqa: RUF009 - immutable
    loud: int = 0
    silent: bool = False

    def forget(self) -> None:
        """Forget the lead's beats."""
        self.level, self.noise, self.weight, self.size = levels.START, 0.0, 1.0, 0.0
        self.restless = levels.UNREST_START * levels.START
        self.sharp, self.sharp_noise = levels.SHARP_START, 0.0
        self.sharp_unrest = levels.SHARP_UNREST * levels.SHARP_START
        self.beats, self.sizes, self.sharps, self.refused, self.refused_sharp = [], [], [], [], []
        self.upright = np.float32(1.0)

    def feed(self, step: int, x: int, valid: bool, taken: int, *, paced: bool) -> None:
        """One step: the sum of its two ticks in µV, what takes pulses out `CENTRE` steps ago, whether any come."""
        if not valid:
            self.hold += 1
            self.run = 0
            self.envelope = np.float32(0.0)
            self.b.append(0)
            self.c.append(0)
            self.d.append(0)
            return
        if self.hold > qrs.FORGET:
            self.forget()
        self.hold = 0
        if self.run == 0:
            self.x = [x, x]
            self.b = [4 * x] * 80
            self.c = [4 * x] * 80
            self.d = [0] * 80
        self.run += 1
        self.x.append(x)
        b = [*self.b, self.x[-1] + 2 * self.x[-2] + self.x[-3]]  # two boxcars of two in a row
        self.c.append(b[-1 - CENTRE] + taken)
        # The slope of the signal less its baseline, CENTRE steps ago.
        of = self.c if paced else b
        slope = BASE * (self.c[-1] - self.c[-2]) - (of[-1] - of[-1 - BASE])
        self.b = b
        self.d.append(min(max(slope // int(FINE), -int(STEEPEST)), int(STEEPEST)))
        square = [np.float32(d) * np.float32(d) for d in self.d[-SPAN:]]
        four = [(square[k] + square[k + 1]) + (square[k + 2] + square[k + 3]) for k in (0, 4, 8)]
        total = (four[0] + four[1]) + (four[2] + square[12])
        self.envelope = np.sqrt(total) * np.float32(SCALE)
        if step % LOUD_EVERY == LOUD_EVERY - 1 and self.envelope > np.float32(LOUD):
            self.loud = step

    @property
    def active(self) -> bool:
        """Whether there is a reading, and it is not silent where another lead shows beats."""
        return self.run > 0 and not self.silent

    def band(self, back: int, *, paced: bool) -> int:
        """The signal without baseline so many steps ago, in `PER_BAND` µV."""
        base = self.c if paced else self.b
        end = len(base) - back
        return BASE * self.c[len(self.c) - back - 1] - sum(base[end - BASE : end])

    def moved(self, back: int, steps: int, *, paced: bool) -> float:
        """How far the signal went over the steps up to so many ago, µV."""
        of = self.c if paced else self.b
        part = of[len(of) - back - steps : len(of) - back]
        return (max(part) - min(part)) * PER_SMOOTH

    def steepest(self, back: int) -> float:
        """Largest slope of the envelope so many steps ago."""
        end = len(self.d) - back
        return max(abs(d) for d in self.d[end - SPAN : end]) * PER_SLOPE

    def sharpest(self, back: int) -> float:
        """Root of the mean square of the differences of those slopes."""
        end = len(self.d) - back
        part = self.d[end - SPAN : end]
        squares = [(b - a) * (b - a) for a, b in itertools.pairwise(part)]
        return math.sqrt(sum(squares) / len(squares)) * PER_SLOPE
