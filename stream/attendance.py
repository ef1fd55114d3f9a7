"""Which beds send, and which have stopped though Kafka answers and all there is has been read.

A gateway keeps what it cannot send while Kafka is away and sends it afterwards, but not within the same second. That
nothing came in an outage says nothing of a bed: after it each has as long as ever until it is called silent, or the end
of every outage would raise an alert at every bed.
"""

from __future__ import annotations

from collections.abc import Mapping


class Attendance:
    """When each bed was heard; times in µs since the Unix epoch where nothing else is said.

    Parameters
    ----------
    silent_after_s : float
        Seconds without a frame before a bed is silent.
    outage_s : float
        Seconds without an answer of Kafka that are an outage, whether Kafka was away or nobody asked.
    """

    def __init__(self, silent_after_s: float, outage_s: float) -> None:
        self._silent_after_us = silent_after_s * 1e6
        self._outage_s = outage_s
        self._heard_us: dict[str, int] = {}
        self._silent: set[str] = set()
        self._answered: dict[int, float] = {}  # partition -> s, monotonic
        self._back_us: dict[int, int] = {}

    def heard(self, bed: str, sent_us: int, now_us: int) -> None:
        """A frame of the bed was read; a gateway whose clock is ahead must not hide that a bed falls silent."""
        self._heard_us[bed] = min(sent_us, now_us)
        self._silent.discard(bed)

    def silent(self, bed: str) -> None:
        """The bed is declared silent, until it is heard again."""
        self._silent.add(bed)

    def answers(self, partition: int, now_s: float, now_us: int) -> None:
        """Kafka answers for a partition, at this moment of the monotonic clock and of the day's."""
        if now_s - self._answered.get(partition, now_s) > self._outage_s:
            self._back_us[partition] = now_us
        self._answered[partition] = now_s

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
        limit_us = now_us - self._silent_after_us
        if self._back_us.get(partition, 0) >= limit_us:
            return []
        return [
            bed
            for bed, heard_us in self._heard_us.items()
            if heard_us < limit_us and homes[bed] == partition and bed not in self._silent
        ]

    def quietest_us(self) -> int | None:
        """When the bed was heard that was not heard for longest; None without beds."""
        return min(self._heard_us.values(), default=None)

    def clear(self) -> None:
        """Other beds are going to be watched."""
        self._heard_us.clear()
        self._silent.clear()
        self._answered.clear()
        self._back_us.clear()
