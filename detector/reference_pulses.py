"""A pacemaker's pulses once more, in plain Python: the oracle of `detector.pulses`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from detector.envelope import STRIDE
from detector.pulses import (
    AFTER,
    BEFORE,
    BEGINS,
    ENDS,
    HALF,
    LEAST_UV,
    LESS,
    LIKELY,
    LINE,
    MOVES_UV,
    NARROW,
    NARROW_SHARE,
    PACED,
    PERIOD,
    RINGING,
    SHORT,
    SURE,
    UNLIKE,
)
from detector.types import LONG_AGO


@dataclass
class PulsesTwin:
    """The leads' whole microvolts up to now, and the pulses in them.

    Attributes
    ----------
    leads : int
    uv : list of list of int
        Of each lead; before the first tick it stands at 0.
    seen, sure : list of int
        Ticks of the pulses, and of those that are surely some.
    until : int
        Tick up to which the heart is being paced.
    """

    leads: int
    uv: list[list[int]] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    sure: list[int] = field(default_factory=list)
    until: int = LONG_AGO

    def __post_init__(self) -> None:
        self.uv = [[] for _ in range(self.leads)]

    def step(self, uv: list[int]) -> None:
        """One tick of each lead; a pulse is seen `HALF` ticks later."""
        for values, value in zip(self.uv, uv, strict=True):
            values.append(value)
        tick = len(self.uv[0]) - 1 - HALF
        share = max(self._explained(lead, tick) for lead in range(self.leads))
        if share >= LIKELY and any(self._is_plainly_none(lead, tick) for lead in range(self.leads)):
            return
        if share >= SURE and (not self.sure or tick - self.sure[-1] > HALF):
            self.sure.append(tick)
            if tick <= self.until or (len(self.sure) >= PACED and tick - self.sure[-PACED] <= BEGINS):
                self.until = tick + ENDS
        if share < (LIKELY if tick <= self.until else SURE):
            return
        if not self.seen or tick - self.seen[-1] > HALF:
            self.seen.append(tick)

    @property
    def paced(self) -> bool:
        """Whether the heart is being paced."""
        return len(self.uv[0]) - 1 <= self.until

    def taken(self, lead: int, step: int) -> int:
        """What is added to a step of a lead after the two boxcars to take the pulses out."""
        return self._more(lead, step) + 2 * self._more(lead, step - 1) + self._more(lead, step - 2)

    def _more(self, lead: int, step: int) -> int:
        """What is added to the sum of a step's ticks."""
        total = 0
        for tick in range(STRIDE * step, STRIDE * (step + 1)):
            for pulse in self.seen[-8:]:
                if abs(pulse - tick) < HALF:
                    around = [self._at(lead, pulse + k) for k in range(-HALF - PERIOD + 1, HALF + 1)]
                    total += line(around, tick - pulse) - self._at(lead, tick)
        return total

    def _at(self, lead: int, tick: int) -> int:
        return self.uv[lead][tick] if tick >= 0 else 0

    def _height(self, lead: int, tick: int, beside: int) -> int:
        """Twice the height over what lies so many ticks to both sides."""
        return 2 * self._at(lead, tick) - self._at(lead, tick - beside) - self._at(lead, tick + beside)

    def _is_plainly_none(self, lead: int, tick: int) -> bool:
        """Whether a lead moves around a tick as no pulse does."""
        around = [self._at(lead, tick + k) for k in range(-BEFORE, AFTER + 1)]
        if max(around) - min(around) < MOVES_UV:
            return False
        explained = 0.0
        for here in (tick - 1, tick, tick + 1):
            curve = [self._at(lead, here + k) - self._at(lead, here) for k in range(-BEFORE, AFTER + 1)]
            explained = max(explained, _share(curve, RINGING.tolist()), _share(curve, SHORT.tolist()))
        return explained < UNLIKE

    def _explained(self, lead: int, tick: int) -> float:
        """Share of the curve around a tick that a pulse there explains; 0 where no peak is narrow enough."""
        height, wide = self._height(lead, tick, NARROW), self._height(lead, tick, HALF)
        if abs(height) <= LEAST_UV or height * wide <= 0:
            return 0.0
        if np.float32(abs(height)) < np.float32(NARROW_SHARE) * np.float32(abs(wide)):
            return 0.0
        before = [abs(self._height(lead, tick - k, NARROW)) for k in range(1, NARROW + 1)]
        after = [abs(self._height(lead, tick + k, NARROW)) for k in range(1, NARROW + 1)]
        if max(before) >= abs(height) or max(after) > abs(height):
            return 0.0
        curve = [self._at(lead, tick + k) - self._at(lead, tick) for k in range(-BEFORE, AFTER + 1)]
        return max(_share(curve, RINGING.tolist()), _share(curve, SHORT.tolist()) - LESS)


def line(around: Sequence[int], k: int) -> int:
    """The line over a pulse, `k` ticks after it.

    `around` are the ticks from a period before its left end up to its right one.
    """
    left, right = sum(around[:PERIOD]), sum(around[-PERIOD:])
    return (left + (right - left) * (k + HALF) // (2 * HALF)) // PERIOD


def _share(curve: list[int], rows: list[list[float]]) -> float:
    energy = float(sum(value * value for value in curve))
    explained = 0.0
    for number, row in enumerate(rows):
        product = 0.0
        for weight, value in zip(row, curve, strict=True):
            product += weight * value
        if number < LINE:
            energy -= product * product
        else:
            explained += product * product
    return explained / energy if energy > 0.0 else 0.0
