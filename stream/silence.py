"""Which beds send, and which have stopped though Kafka answers and all there is has been read.

A gateway keeps what it cannot send while Kafka is away and sends it afterwards, but not within the same second. That
nothing came in an outage says nothing of a bed, or the end of every outage would raise an alert at every bed. So only
time in which Kafka answers counts towards a bed's silence. However often Kafka comes and goes, and however slow the
worker is, such time adds up, and a bed that sends no more is told.

All there is, is what lay on the partition at some moment: while frames keep coming, the one that has just come is never
read yet. Once the partition has been read up to where it ended then, who is silent *as of that moment* can be told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final, NamedTuple

LONGEST_S: Final = 1.0  # s: most that counts of the time between two answers, of which there are several a second
GRACE_S: Final = 2.0  # of such time in which a bed taken over may still be heard: whoever sends does so every second


class Moment(NamedTuple):
    """A moment at which Kafka told where a partition ended.

    Attributes
    ----------
    end : int
        Offset of the next message that was to come.
    us : int
        µs since the Unix epoch.
    counted_s : float
        The partition's time that had counted by then.
    """

    end: int
    us: int
    counted_s: float


class SilenceTracker:
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
        self._elsewhere: set[str] = set()  # beds last heard by another worker
        self._silent: set[str] = set()
        self._counted_s: defaultdict[int, float] = defaultdict(float)  # partition -> time that counts so far
        self._answered_s: dict[int, float] = {}  # partition -> its last answer, monotonic
        self._awaited: dict[int, Moment] = {}  # partition -> whose end is still to be read up to
        self._read: dict[int, Moment] = {}  # partition -> the last whose end has been

    def heard(self, bed: str, partition: int, sent_us: int, now_us: int) -> None:
        """A frame of the bed was read; a gateway whose clock is ahead must not hide that a bed falls silent."""
        self._heard_us[bed] = min(sent_us, now_us)
        self._heard_s[bed] = self._counted_s[partition]
        self._elsewhere.discard(bed)
        self._silent.discard(bed)

    def restored(self, bed: str, partition: int, sent_us: int, now_us: int, *, silent: bool) -> None:
        """A bed was taken over that was last heard by another worker: all the time since counts.

        That is by the gateway's clock, which may be behind ours, so it has `GRACE_S` to be heard.
        """
        self._heard_us[bed] = min(sent_us, now_us)
        self._heard_s[bed] = self._counted_s[partition] + min(GRACE_S - self._silent_after_s, 0.0)
        self._elsewhere.add(bed)
        if silent:
            self._silent.add(bed)

    def silent(self, bed: str) -> None:
        """The bed is declared silent, until it is heard again."""
        self._silent.add(bed)

    def answers(self, partition: int, now_s: float, end: int, told_us: int, position: int) -> None:
        """Kafka answers for a partition.

        Parameters
        ----------
        partition : int
        now_s : float
            This moment of the monotonic clock.
        end : int
            Where the partition ended when Kafka told last ...
        told_us : int
            ... at this moment.
        position : int
            Up to where it has been read.
        """
        self._counted_s[partition] += min(now_s - self._answered_s.get(partition, now_s), LONGEST_S)
        self._answered_s[partition] = now_s
        moment = Moment(end, told_us, self._counted_s[partition])
        awaited = self._awaited.setdefault(partition, moment)
        if position >= end:
            self._read[partition] = self._awaited[partition] = moment
        elif position >= awaited.end:
            self._read[partition], self._awaited[partition] = awaited, moment

    def is_caught_up(self, partition: int) -> bool:
        """Whether all has been read that lay on the partition at some moment since it was taken over."""
        return partition in self._read

    def overdue(self, partition: int, homes: Mapping[str, int]) -> tuple[list[str], int]:
        """Beds of a partition that are to be declared silent, and as of when.

        Parameters
        ----------
        partition : int
        homes : mapping of str to int
            The partition of each bed.
        """
        if (moment := self._read.get(partition)) is None:
            return [], 0
        limit_us = moment.us - self._silent_after_s * 1e6
        limit_s = moment.counted_s - self._silent_after_s
        beds = [
            bed
            for bed, heard_s in self._heard_s.items()
            if heard_s <= limit_s
            and (bed not in self._elsewhere or self._heard_us[bed] < limit_us)
            and homes.get(bed) == partition
            and bed not in self._silent
        ]
        return beds, moment.us

    def quietest_us(self) -> int | None:
        """When the bed was heard that was not heard for longest; None without beds."""
        return min(self._heard_us.values(), default=None)

    def clear(self) -> None:
        """Other beds are going to be watched."""
        for known in (self._heard_us, self._heard_s, self._counted_s, self._answered_s, self._awaited, self._read):
            known.clear()
        self._elsewhere.clear()
        self._silent.clear()
