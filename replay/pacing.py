"""When a frame is due: an absolute schedule, so that errors of sleeping do not add up over hours."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Awaitable, Callable

from stream.errors import SettingsError


class Pace:
    """Signal time set against a clock.

    What lies `t` seconds into the signal is due at `start + t / speed`, whenever that which came before was sent. Who
    is late is not made to wait and skips nothing: it catches up, and sees its lag.

    Parameters
    ----------
    speed : float
        Seconds of signal per second; `math.inf` for as fast as possible.
    now, sleep : callable
        The clock in seconds and how to wait by it.
    grain_s : float
        What is due falls on whole multiples of this after the start, so that what lies close together needs one
        wake-up; 0 for none.

    Attributes
    ----------
    start : float
        The clock when the signal's second 0 was due.
    lag_s, worst_lag_s : float
        How late the last `wait` returned and how late any did, seconds; 0 without a speed to hold.
    """

    def __init__(
        self,
        speed: float = 1.0,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        grain_s: float = 0.0,
    ) -> None:
        if not speed > 0:
            raise SettingsError(f"speed {speed:g}: a number above 0 or `max` is allowed")
        self.speed = speed
        self._now = now
        self._sleep = sleep
        self._grain_s = grain_s
        self.start = now()
        self.lag_s = 0.0
        self.worst_lag_s = 0.0

    def due(self, signal_s: float) -> float:
        """The clock at which that second of the signal is due."""
        after = signal_s / self.speed
        if self._grain_s:
            after = math.ceil(after / self._grain_s) * self._grain_s
        return self.start + after

    async def wait(self, signal_s: float) -> float:
        """Return when that second of the signal is due, at once when it is already; gives the lag in seconds."""
        due = self.due(signal_s)
        while (early := due - self._now()) > 0:  # a sleep may end early
            await self._sleep(early)
        self.lag_s = 0.0 if math.isinf(self.speed) else -early
        self.worst_lag_s = max(self.worst_lag_s, self.lag_s)
        return self.lag_s


def parse_speed(text: str) -> float:
    """Seconds of signal per second from `1`, `60`, `60x` or `max`.

    Raises
    ------
    SettingsError
        If it is none of these.
    """
    if text.strip().lower() == "max":
        return math.inf
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*[x×]?\s*", text.lower())
    if match is None or not 0 < float(match[1]) < math.inf:
        raise SettingsError(f"speed {text!r}: a number above 0 such as 1 or 60, or `max`, is allowed")
    return float(match[1])
