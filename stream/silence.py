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
    now_s : float
        Of the monotonic clock.
    counted_s : float
        The partition's time that had counted by then.
    """

    end: int
    now_s: float
    counted_s: float


class Heard(NamedTuple):
    """When a bed was heard.

    Attributes
    ----------
    sent_us : int
        By its gateway's stamp, µs since the Unix epoch.
    now_s : float
        Of the monotonic clock.
    due_s : float
        The partition's time that counts after which it is silent.
    """

    sent_us: int
    now_s: float
    due_s: float


class SilenceTracker:
    """When each bed was heard, by the monotonic clock: the other one may be set at any time.

    Parameters
    ----------
    silent_after_s : float
        Seconds without a frame before a bed is silent.
    """

    def __init__(self, silent_after_s: float) -> None:
        self._silent_after_s = silent_after_s
        self._heard: dict[str, Heard] = {}
        self._silent: set[str] = set()
        self._counted_s: defaultdict[int, float] = defaultdict(float)  # partition -> time that counts so far
        self._answered_s: dict[int, float] = {}  # partition -> its last answer, monotonic
        self._awaited: dict[int, Moment] = {}  # partition -> whose end is still to be read up to
        self._read: dict[int, Moment] = {}  # partition -> the last whose end has been

    def heard(self, bed: str, partition: int, sent_us: int, now_s: float) -> None:
        """A frame of the bed, sent then by its gateway's clock, was read."""
        self._heard[bed] = Heard(sent_us, now_s, self._counted_s[partition] + self._silent_after_s)
        self._silent.discard(bed)

    def restored(self, bed: str, partition: int, sent_us: int, age_s: float, now_s: float, *, silent: bool) -> None:
        """A bed was taken over that was last heard by another worker, `age_s` ago: all the time since counts.

        That is by the gateway's clock, which may be behind ours, so it has `GRACE_S` to be heard.
        """
        age_s = max(age_s, 0.0)
        left_s = max(self._silent_after_s - age_s, min(GRACE_S, self._silent_after_s))
        self._heard[bed] = Heard(sent_us, now_s - age_s, self._counted_s[partition] + left_s)
        if silent:
            self._silent.add(bed)

    def silent(self, bed: str) -> None:
        """The bed is declared silent, until it is heard again."""
        self._silent.add(bed)

    def answers(self, partition: int, now_s: float, end: int, position: int) -> None:
        """Kafka answers for a partition.

        Parameters
        ----------
        partition : int
        now_s : float
            This moment of the monotonic clock.
        end : int
            Where the partition ended when Kafka told last.
        position : int
            Up to where it has been read.
        """
        self._counted_s[partition] += min(now_s - self._answered_s.get(partition, now_s), LONGEST_S)
        self._answered_s[partition] = now_s
        moment = Moment(end, now_s, self._counted_s[partition])
        awaited = self._awaited.setdefault(partition, moment)
        if position >= end:
            self._read[partition] = self._awaited[partition] = moment
        elif position >= awaited.end:
            self._read[partition], self._awaited[partition] = awaited, moment

    def is_caught_up(self, partition: int) -> bool:
        """Whether all has been read that lay on the partition at some moment since it was taken over."""
        return partition in self._read

    def overdue(self, partition: int, homes: Mapping[str, int]) -> dict[str, int]:
        """Beds of a partition that are to be declared silent, and as of when by each one's gateway, µs since the epoch.

        Parameters
        ----------
        partition : int
        homes : mapping of str to int
            The partition of each bed.
        """
        if (moment := self._read.get(partition)) is None:
            return {}
        return {
            bed: heard.sent_us + round((moment.now_s - heard.now_s) * 1e6)
            for bed, heard in self._heard.items()
            if heard.due_s <= moment.counted_s and homes.get(bed) == partition and bed not in self._silent
        }

    def quietest_s(self) -> float | None:
        """When, by the monotonic clock, the bed was heard that was not heard for longest; None without beds."""
        return min((heard.now_s for heard in self._heard.values()), default=None)

    def clear(self) -> None:
        """Other beds are going to be watched."""
        for known in (self._heard, self._counted_s, self._answered_s, self._awaited, self._read):
            known.clear()
        self._silent.clear()
