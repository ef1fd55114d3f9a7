"""Has this process stood still? Then another worker may have taken over its beds and have said more of them.

A worker whose group has not heard from it for the length of a session is taken for dead, whether it is or was only
suspended: a paused container, a laptop that slept. Nobody tells it when it goes on. What it was about to say would come
after what its successor has said, and an alert that has ended would stand again.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, NoReturn

from stream.errors import KafkaError
from stream.kafka import HEARTBEAT_MS, SESSION_MS

EVERY_S: Final = 1.0  # between two checks
CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # it goes on while the machine sleeps


class SuspensionGuard:
    """Detects that the process has been suspended, by how long its event loop stood still.

    Parameters
    ----------
    limit_s : float
        Seconds without a check after which the group may have given the worker's beds away: the session's timeout less
        one interval of heartbeats.
    """

    def __init__(self, limit_s: float = (SESSION_MS - HEARTBEAT_MS) / 1e3) -> None:
        self._limit_s = limit_s
        self._checked_s = time.clock_gettime(CLOCK)

    async def watch(self) -> NoReturn:
        """Check from time to time; raises as `check` does."""
        self._checked_s = time.clock_gettime(CLOCK)
        while True:
            await asyncio.sleep(EVERY_S)
            self.check()

    def check(self) -> None:
        """Check whether the process has stood still, before anything is sent.

        Raises
        ------
        KafkaError
            The process has stood still. It has to end; the next one goes on from where all is known.
        """
        now_s = time.clock_gettime(CLOCK)
        if (still_s := now_s - self._checked_s) > self._limit_s:
            raise KafkaError(f"the worker stood still for {still_s:.0f} s; another may watch its beds by now")
        self._checked_s = now_s
