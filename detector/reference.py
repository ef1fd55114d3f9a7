"""The resampler and the QRS detector once more, in plain Python, to be read and to be the kernels' oracle.

`resample` says what a tick is in one formula over the whole record; `QrsTwin` keeps lists where the kernel keeps rings
and sums windows where the kernel keeps running sums. Both must agree with the kernels to the last bit.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from detector import qrs
from detector.envelope import BASE, CENTRE, FORGET, KEPT, LAG, SETTLE, SLOPE, SMOOTH, SPAN, START
from detector.resample import SCALE


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
    if rate_mhz <= SCALE:
        while tick * rate_mhz <= (count - 1) * SCALE:
            right = -(-tick * rate_mhz // SCALE)  # first sample at or behind the tick
            share = (tick * rate_mhz - (right - 1) * SCALE) / SCALE
            new = mv[right]
            out.append(new if share == 1.0 else mv[right - 1] + share * (new - mv[right - 1]))
            tick += 1
        return np.array(out)
    while (2 * tick + 1) * rate_mhz <= (2 * count - 1) * SCALE:
        left, right = (2 * tick - 1) * rate_mhz, (2 * tick + 1) * rate_mhz
        first, last = max(0, (left + SCALE) // (2 * SCALE)), (right + SCALE - 1) // (2 * SCALE)
        total = 0.0
        width = 0
        for i in range(first, last + 1):
            inside = min(right, (2 * i + 1) * SCALE) - max(left, (2 * i - 1) * SCALE)
            if inside > 0:
                total += mv[i] * inside
                width += inside
        out.append(total / width)
        tick += 1
    return np.array(out)


@dataclass
class Peak:
    """One R peak: its tick, the tick of the decision, the feature over its threshold, the lead it was placed on."""

    tick: int
    found: int
    strength: float
    lead: int


@dataclass
class _Lead:
    """One lead's filters over all ticks since they were filled, and what was learned from its beats."""

    v: list[int] = field(default_factory=list)
    b: list[int] = field(default_factory=list)
    h: list[int] = field(default_factory=list)
    d: list[int] = field(default_factory=list)
    run: int = 0
    hold: int = 0
    envelope: float = 0.0
    level: float = START
    noise: float = 0.0
    weight: float = 1.0
    beats: list[float] = field(default_factory=list)
    n_beats: int = 0
    refused: list[float] = field(default_factory=list)
    at_best: float = 0.0
    at_kept: float = 0.0

    def forget(self) -> None:
        self.level, self.noise = START, 0.0
        self.weight = 1.0
        self.beats, self.refused = [], []

    def feed(self, microvolts: int, valid: bool) -> None:
        if not valid:
            self.hold += 1
            self.run = 0
            self.envelope = 0.0
            return
        if self.run == 0:
            if self.hold > FORGET:
                self.forget()
            self.hold = 0
            self.v = [microvolts] * 2 * SMOOTH
            self.b = [SMOOTH * SMOOTH * microvolts] * BASE
            self.h = [0] * SLOPE
            self.d = [0] * 64
        self.run += 1
        s = SMOOTH
        self.v = [*self.v[1:], microvolts]
        # Two boxcars in a row are one triangle.
        self.b = [*self.b[1:], sum(min(i + 1, 2 * s - 1 - i) * self.v[-1 - i] for i in range(2 * s - 1))]
        h = BASE * self.b[-1 - CENTRE] - sum(self.b)
        d = abs(h - self.h[0])
        self.h = [*self.h[1:], h]
        self.d = [*self.d[1:], d]
        self.envelope = sum(self.d[-SPAN:]) / (BASE * SPAN)


class QrsTwin:
    """The online QRS detector, one tick at a time; see `detector.envelope` and `detector.qrs` for the method.

    Parameters
    ----------
    leads : int
        Number of leads given at each `step`.
    """

    def __init__(self, leads: int) -> None:
        self.leads = [_Lead() for _ in range(leads)]
        self.mv: list[Sequence[float]] = []
        self.feature: list[float] = []
        self.best = 0.0
        self.best_tick = 0
        self.last = self.last_r = -(10**9)
        self.last_slope = 0.0
        self.noise = 0.0
        self.refused: list[float] = []
        self.rr: list[float] = []
        self.expected = qrs.EXPECTED
        self.kept = self.kept_slope = 0.0
        self.kept_tick = 0
        self.n = 0

    def step(self, mv: Sequence[float]) -> Peak | None:
        """Take one tick.

        Parameters
        ----------
        mv : sequence of float
            Millivolts of each lead (float32 values); NaN where it may not carry beats.
        """
        now = len(self.mv)
        self.mv.append(mv)
        for lead, value in zip(self.leads, mv, strict=True):
            valid = not math.isnan(value)
            lead.feed(int(np.rint(value * 1000.0)) if valid else 0, valid)
        silent = now - self.last
        if silent > qrs.FADE_AFTER and now > qrs.FADE_AFTER:
            self._fade(silent)
        feature = self._mean(self._usable(), lambda lead: lead.envelope / max(lead.level, qrs.FLOOR))
        self.feature.append(feature)
        peak = None
        closed = self.best > 0 and (now - self.best_tick >= qrs.WAIT or feature < qrs.DROP * self.best)
        if feature <= self.best and closed and self._is_peak():
            peak = self._judge(now)
        if feature > self.best or closed:
            self.best, self.best_tick = feature, now
            for lead in self.leads:
                lead.at_best = lead.envelope
        return peak or self._search_back(now)

    def _usable(self) -> list[_Lead]:
        learned = any(len(lead.beats) >= 3 for lead in self.leads)
        return [lead for lead in self.leads if lead.run and (len(lead.beats) >= 3 or not learned)]

    @staticmethod
    def _mean(leads: Sequence[_Lead], value: Callable[[_Lead], float]) -> float:
        total = weights = 0.0
        for lead in leads:
            total += lead.weight * value(lead)
            weights += lead.weight
        return total / weights if weights else 0.0

    def _fade(self, silent: int) -> None:
        for lead in self.leads:
            lowest = qrs.FLOOR if silent > qrs.FADE_FULL else max(qrs.FADE_TO * _median(lead.beats), qrs.FLOOR)
            if lead.level > lowest:
                lead.level = max(lead.level * qrs.FADE, lowest)

    def _is_peak(self) -> bool:
        before = self.feature[max(self.best_tick - qrs.WAIT, 0) : self.best_tick]
        return all(value <= self.best for value in before)

    def _threshold(self, now: int) -> float:
        threshold = self.noise + qrs.THRESHOLD * (1.0 - self.noise)
        late = (now - self.last) / self.expected - qrs.OVERDUE
        return threshold * max(qrs.EASE_TO, 1.0 - qrs.EASE * late) if late > 0 else threshold

    def _steepness(self, now: int) -> float:
        # The envelope that peaked some ticks ago is the mean of the slopes up to there.
        back = now - self.best_tick

        def largest(lead: _Lead) -> float:
            slopes = lead.d[len(lead.d) - back - SPAN : len(lead.d) - back]
            return max(slopes) / (BASE * max(lead.level, qrs.FLOOR)) if slopes else 0.0

        return self._mean([lead for lead in self.leads if lead.run], largest)

    def _judge(self, now: int) -> Peak | None:
        tick, height = self.best_tick, self.best
        slope = self._steepness(now)
        since = tick - self.last
        if since <= qrs.REFRACTORY or (since < qrs.T_WAVE and slope < qrs.T_SLOPE * self.last_slope):
            return None
        if height > self._threshold(now):
            strength = height / max(self._threshold(now), 1e-9)
            return self._accept(tick, now, strength, slope, searched=False)
        self.refused.append(min(height, 1.0))
        self.noise = qrs.NOISE_GAIN * _median(self.refused)
        if height > self.kept:
            self.kept, self.kept_tick, self.kept_slope = height, tick, slope
            for lead in self.leads:
                lead.at_kept = lead.at_best
        for lead in self.leads:
            lead.refused.append(lead.at_best)
            lead.noise = _median(lead.refused)
        return None

    def _search_back(self, now: int) -> Peak | None:
        if self.kept <= 0 or self.n < 4:
            return None
        if now - self.last <= min(qrs.SEARCH_BACK * self.expected, qrs.SEARCH_LIMIT):
            return None
        kept, self.kept = self.kept, 0.0
        needed = qrs.SEARCH_SHARE * (self.noise + qrs.THRESHOLD * (1.0 - self.noise))
        if kept > needed and kept > 1.2 * self.noise:
            return self._accept(self.kept_tick, now, kept / max(needed, 1e-9), self.kept_slope, searched=True)
        return None

    def _accept(self, tick: int, now: int, strength: float, slope: float, *, searched: bool) -> Peak:
        where, chosen = self._locate(tick, now)
        faded = not searched and tick - self.last > qrs.FADE_AFTER
        if self.n:
            self.rr.append(min(tick - self.last, qrs.LONGEST))
            self.expected = _median(self.rr)
        self.last, self.last_slope = tick, slope
        self.kept = 0.0
        self.n += 1
        for lead in self.leads:
            if lead.run <= SETTLE and self.n > 3:
                continue
            envelope = lead.at_kept if searched else lead.at_best
            if faded and envelope < 0.5 * _median(lead.beats):
                lead.beats = [envelope] * KEPT
            lead.beats.append(envelope)
            lead.level = _median(lead.beats)
            if len(lead.beats) > 4:
                ratio = lead.level / (lead.noise + 0.1 * lead.level + 1e-9)
                lead.weight = ratio * ratio
        self.last_r = where
        return Peak(where, now, strength, chosen)

    def _locate(self, tick: int, now: int) -> tuple[int, int]:
        chosen = -1
        for i, lead in enumerate(self.leads):
            if lead.run and (chosen < 0 or lead.weight > 4.0 * self.leads[chosen].weight):
                chosen = i
        chosen = max(chosen, 0)
        centre = tick - LAG
        first = max(centre - qrs.FIDUCIAL, self.last_r + 20)
        last = max(centre + qrs.FIDUCIAL, first)
        window = [self.mv[t][chosen] if t >= 0 else math.nan for t in range(first, last + 1)]
        real = [value for value in window if not math.isnan(value)]
        mean = sum(real) / len(real) if real else 0.0
        best, where = -1.0, min(max(centre, first), last)
        for t, value in enumerate(window, first):
            size = (value - mean) * qrs.UPRIGHT if value > mean else mean - value
            if size > best:
                best, where = size, t
        return where, chosen


def _median(values: Sequence[float]) -> float:
    return statistics.median(values[-KEPT:]) if values else 0.0
