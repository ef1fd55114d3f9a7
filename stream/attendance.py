"""Which beds send, and which have stopped though Kafka answers and all there is has been read.

A gateway keeps what it cannot send while Kafka is away and sends it afterwards, but not within the same second. That
nothing came in an outage says nothing of a bed, or the end of every outage would raise an alert at every bed. So only
time in which Kafka answers counts towards a bed's silence. However often Kafka comes and goes, and however slow the
worker is, such time adds up, and a bed that sends no more is told.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

LONGEST_S: Final = 1.0  # counts of the time between two answers; a worker at work has one several times a second


class Attendance:
    """When each bed was heard; times in µs since the Unix epoch where nothing else is said.

    Parameters
    ----------
    silent_after_s : float
        Seconds without a frame before a bed is silent.
    """

    def __init__(self, silent_after_s: float) -> None:
        self._silent_after_s = silent_after_s
        self._heard_us: dict[str, int] = {}
        self._heard_s: dict[str, float] = {}  # of the partition's time that counts
        self._silent: set[str] = set()
        self._counted_s: defaultdict[int, float] = defaultdict(float)  # partition -> time that counts so far
        self._answered_s: dict[int, float] = {}  # partition -> its last answer, monotonic

    def heard(self, bed: str, partition: int, sent_us: int, now_us: int) -> None:
        """A frame of the bed was read; a gateway whose clock is ahead must not hide that a bed falls silent."""
        self._heard_us[bed] = min(sent_us, now_us)
        self._heard_s[bed] = self._counted_s[partition]
        self._silent.discard(bed)

    def restored(self, bed: str, sent_us: int, now_us: int, *, silent: bool) -> None:
        """A bed was taken over that was last heard by another worker: all the time since counts."""
        self._heard_us[bed] = min(sent_us, now_us)
        self._heard_s[bed] = -math.inf
        if silent:
            self._silent.add(bed)

    def silent(self, bed: str) -> None:
        """The bed is declared silent, until it is heard again."""
        self._silent.add(bed)

    def answers(self, partition: int, now_s: float) -> None:
        """Kafka answers for a partition, at this moment of the monotonic clock."""
        self._counted_s[partition] += min(now_s - self._answered_s.get(partition, now_s), LONGEST_S)
        self._answered_s[partition] = now_s

    def overdue(self, partition: int, homes: Mapping[str, int], now_us: int) -> list[str]:
        """Beds of a partition that are to be declared silent.

        Parameters
        ----------
        partition : int
            All of its frames have been read.
        homes : mapping of str to int
            The partition of each bed.
        now_us : int
        """
        limit_us = now_us - self._silent_after_s * 1e6
        limit_s = self._counted_s[partition] - self._silent_after_s
        return [
            bed
            for bed, heard_us in self._heard_us.items()
            if heard_us < limit_us
            and homes.get(bed) == partition
            and bed not in self._silent
            and self._heard_s[bed] <= limit_s
        ]

    def quietest_us(self) -> int | None:
        """When the bed was heard that was not heard for longest; None without beds."""
        return min(self._heard_us.values(), default=None)

    def clear(self) -> None:
        """Other beds are going to be watched."""
        self._heard_us.clear()
        self._heard_s.clear()
        self._silent.clear()
        self._counted_s.clear()
        self._answered_s.clear()
