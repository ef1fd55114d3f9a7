"""What a checkpoint consists of: snapshots of beds, and how much of a partition is done and durable.

Nothing here does I/O. The rule all of it serves: a bed's snapshot stands for every frame of the bed below `offset`; the
group's committed offset is the lowest one any bed must be read from again. Whoever takes the partition over starts
reading there and skips, for each bed, what its snapshot already holds.

Layout of a snapshot on `ecg.state`::

    byte 0      0xEC, so that a foreign message is told at once
    byte 1      version (1)
    bytes 2-5   CRC-32 of everything after them, little endian
    bytes 6-    zlib-compressed MessagePack array of the fields of `Snapshot`, in their order
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Set
from typing import Final, NamedTuple

import msgspec

from stream import wire
from stream.errors import SnapshotError
from stream.intake import StreamPosition
from stream.protocols import AnalysisOutput
from stream.wire import Alert

MAGIC: Final = 0xEC
VERSION: Final = 1
LEVEL: Final = 1  # of zlib: half a millisecond a bed; higher levels gain a few per cent on sampled signals
STATE_OFFSET: Final = "state="  # in the metadata of a committed offset: where on ecg.state reading has to begin


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """A bed's whole state at one moment of its partition.

    Attributes
    ----------
    bed : str
        Its id.
    partition : int
        Of `ecg.frames`, in which `offset` counts.
    offset : int
        Next frame to read: every frame of the bed below it is in `state`.
    silent_us : int
        When not 0: after this state the bed was declared silent as of that time of its gateway's clock (µs since the
        Unix epoch). The decision was a clock's and cannot be read from the log again, so it is written down before it
        is acted on.
    state : bytes
        As `Ward.snapshot` made it.
    standing : tuple of bytes
        The bed's alerts that are raised, as they are on `ecg.alerts`: should nobody be able to read `state` any more,
        they have to be cleared all the same, or they would stand for ever.
    position : StreamPosition, optional
        Where the bed was, in plain numbers: should nobody be able to read `state` any more, it is watched all the same.
    """

    bed: str
    partition: int
    offset: int
    silent_us: int
    state: bytes
    standing: tuple[bytes, ...] = ()
    position: StreamPosition | None = None

    @property
    def heard_us(self) -> int:
        """When the gateway sent its newest frame, µs since the Unix epoch; 0 where nobody wrote it down."""
        return 0 if self.position is None else self.position.ingest_us


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Snapshot)


def encode(snapshot: Snapshot) -> bytes:
    """The snapshot as it goes on `ecg.state`."""
    body = zlib.compress(_encoder.encode(snapshot), LEVEL)
    return bytes((MAGIC, VERSION)) + zlib.crc32(body).to_bytes(4, "little") + body


def decode(message: bytes) -> Snapshot:
    """Read and check one message of `ecg.state`.

    Raises
    ------
    SnapshotError
        And no other exception, whatever the bytes.
    """
    if len(message) < 6 or message[0] != MAGIC:
        raise SnapshotError("not a snapshot: it does not begin as one does")
    if message[1] != VERSION:
        raise SnapshotError(f"snapshot version {message[1]}; this monitor reads {VERSION}")
    body = message[6:]
    if zlib.crc32(body) != int.from_bytes(message[2:6], "little"):
        raise SnapshotError("the snapshot's bytes were changed")
    try:
        snapshot = _decoder.decode(zlib.decompress(body))
    except (zlib.error, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SnapshotError(f"not a snapshot: {error}") from None
    if snapshot.offset < 0 or snapshot.partition < 0 or snapshot.silent_us < 0:
        raise SnapshotError(f"snapshot with offset {snapshot.offset} of partition {snapshot.partition}")
    return snapshot


class Stored(NamedTuple):
    """A snapshot and its own offset on `ecg.state`."""

    snapshot: Snapshot
    state_offset: int


class PartitionSnapshots(NamedTuple):
    """What `ecg.state` keeps of one partition's beds.

    Attributes
    ----------
    stored : list of Stored
        In their order.
    unusable : set of str
        Beds of which there is a message that is no snapshot of theirs.
    removed : dict of str to Snapshot
        Beds that somebody removed, and what was last written of them.
    """

    stored: list[Stored]
    unusable: set[str]
    removed: dict[str, Snapshot]

    def add(self, one: Stored) -> None:
        """What was written next."""
        self.stored.append(one)
        self.removed.pop(one.snapshot.bed, None)

    def drop(self, bed: str) -> None:
        """Somebody removed the bed: what was written of it before counts no more."""
        if (known := newest(self.stored).get(bed)) is not None:
            self.removed[bed] = known.snapshot
        self.stored[:] = [one for one in self.stored if one.snapshot.bed != bed]
        self.unusable.discard(bed)

    def within(self, end: int) -> dict[str, Stored]:
        """The `newest` that are of this log: none that is ahead of its `end`, nor one that was written before such."""
        valid: dict[str, list[Stored]] = {}
        for one in self.stored:
            if one.snapshot.offset > end:  # the log was made anew since
                valid.pop(one.snapshot.bed, None)
            else:
                valid.setdefault(one.snapshot.bed, []).append(one)
        return newest(one for some in valid.values() for one in some)

    def last_but(self, usable: Collection[str]) -> dict[str, Stored]:
        """What was last written of the other beds: of another log, but it tells where the bed was."""
        return {one.snapshot.bed: one for one in self.stored if one.snapshot.bed not in usable}


def newest(stored: Iterable[Stored]) -> dict[str, Stored]:
    """The snapshot to go on from for each bed.

    The furthest one and not simply the last: a worker that lost its partition without noticing may have written an
    older state after its successor's. Of equal ones the last counts.
    """
    best: dict[str, Stored] = {}
    for one in stored:
        known = best.get(one.snapshot.bed)
        if known is None or one.snapshot.offset >= known.snapshot.offset:
            best[one.snapshot.bed] = one
    return best


def settle_homes(stored: Mapping[int, dict[str, Stored]]) -> list[Snapshot]:
    """Leave each bed the partition on which it was last heard: a gateway's client may choose partitions otherwise.

    Returns the snapshots of the others.

    Parameters
    ----------
    stored : mapping of int to dict
        The `newest` of each partition; changed.
    """
    heard: dict[str, tuple[int, int]] = {}
    for partition, beds in stored.items():
        for bed, (snapshot, _) in beds.items():
            heard[bed] = max(heard.get(bed, (-1, -1)), (snapshot.heard_us, partition))
    return [
        beds.pop(bed).snapshot for partition, beds in stored.items() for bed in list(beds) if heard[bed][1] != partition
    ]


class Homes(NamedTuple):
    """Where beds are at home, by what is kept of them.

    Attributes
    ----------
    usable : dict of int to dict
        By partition and bed the snapshot to go on from.
    ahead : dict of int to dict
        Likewise, of beds that have only such as are of another log: those begin anew.
    unknown : dict of int to list
        By partition the beds of which nothing can be read.
    left : list of Snapshot
        The others.
    """

    usable: dict[int, dict[str, Stored]]
    ahead: dict[int, dict[str, Stored]]
    unknown: dict[int, list[str]]
    left: list[Snapshot]


def assign_homes(kept: Mapping[int, PartitionSnapshots], ends: Mapping[int, int]) -> Homes:
    """Leave each bed one partition.

    Parameters
    ----------
    kept : mapping of int to PartitionSnapshots
        Of each partition.
    ends : mapping of int to int
        Where each partition of `ecg.frames` ends: what is ahead of that is of another log.
    """
    usable = {partition: some.within(ends[partition]) for partition, some in kept.items()}
    left = settle_homes(usable)
    known = {bed for beds in usable.values() for bed in beds}
    ahead = {partition: some.last_but(known) for partition, some in kept.items()}
    left += settle_homes(ahead)
    known |= {bed for beds in ahead.values() for bed in beds}
    unknown = {partition: sorted(some.unusable - known) for partition, some in kept.items()}
    return Homes(usable, ahead, unknown, [*left, *(one for some in kept.values() for one in some.removed.values())])


class Restored(NamedTuple):
    """What is left to say after partitions have been taken over.

    Attributes
    ----------
    silent : list of (str, int)
        Beds whose silence was decided but perhaps not announced before a crash, and the moment, µs since the epoch.
    orphans : list of (int, Alert)
        Alerts, now cleared, that stood at beds which begin anew, and their partitions.
    begun : list of Said
        Of these beds, once they are cleared.
    """

    silent: list[tuple[str, int]]
    orphans: list[tuple[int, Alert]]
    begun: list[AnalysisOutput]

    def orphan(self, partition: int, standing: Iterable[bytes], known: Collection[str] = ()) -> None:
        """Clear alerts, as they are on `ecg.alerts`, but those whose ids are known elsewhere."""
        alerts = [alert for message in standing if (alert := wire.ended(message)) is not None]
        self.orphans.extend((partition, alert) for alert in alerts if alert.id not in known)


class PartitionProgress:
    """How much of one partition of `ecg.frames` has been read, and from where its beds must be read again.

    Parameters
    ----------
    position : int
        Offset of the next frame to read.
    restored : iterable of Stored
        The snapshots this worker goes on from.

    Attributes
    ----------
    position : int
    frame_s : float
        Length of the newest frame read, seconds; before there is one, the design's.
    """

    def __init__(self, position: int, restored: Iterable[Stored] = ()) -> None:
        self.position = position
        self.frame_s = 0.25
        self._from: dict[str, int] = {}  # bed -> offset its frames have to be read from again after a crash
        self._skip: dict[str, int] = {}  # bed -> offset below which its frames are in the restored state
        self._state_offset: dict[str, int] = {}  # bed -> where on ecg.state its newest durable snapshot lies
        for snapshot, state_offset in restored:
            self._from[snapshot.bed] = self._skip[snapshot.bed] = snapshot.offset
            self._state_offset[snapshot.bed] = state_offset

    @property
    def beds(self) -> Set[str]:
        """Beds of this partition that have been seen or restored."""
        return self._from.keys()

    def advance(self, offset: int) -> bool:
        """Move past the message at `offset`; False if it was read before."""
        if offset < self.position:
            return False
        self.position = offset + 1
        return True

    def admits(self, bed: str, offset: int) -> bool:
        """Whether the bed's state lacks its frame at `offset`; a bed never seen before begins here."""
        self._from.setdefault(bed, offset)
        return offset >= self._skip.get(bed, 0)

    def offset(self, bed: str) -> int:
        """What a snapshot of the bed taken now stands for."""
        return max(self.position, self._skip.get(bed, 0))

    def saved(self, bed: str, offset: int, state_offset: int) -> None:
        """The bed's snapshot of `offset` is durable at `state_offset` of `ecg.state`."""
        if bed in self._from and offset >= self._from[bed]:
            self._from[bed] = offset
            self._state_offset[bed] = state_offset

    def lost(self, bed: str) -> None:
        """Nothing is known of the bed before its next frame: nothing of it has to be read again."""
        self._from.pop(bed, None)
        self._state_offset.pop(bed, None)

    def commit(self) -> tuple[int, str]:
        """The offset to commit for the group, and its metadata."""
        offset = min(self._from.values(), default=self.position)
        metadata = f"{STATE_OFFSET}{min(self._state_offset.values())}" if self._state_offset else ""
        return min(offset, self.position), metadata


def state_offset_of(metadata: str) -> int:
    """Where on `ecg.state` to begin, from a committed offset's metadata; 0 if it does not say."""
    number = metadata.removeprefix(STATE_OFFSET)
    return int(number) if number != metadata and number.isascii() and number.isdigit() else 0


class SnapshotSchedule:
    """Whose turn it is to be snapshotted: every bed once in each period, evenly in time.

    All beds at once every few seconds would delay an alarm of any of them; one bed after the other costs the same work
    in pieces of a fraction of a millisecond.

    Parameters
    ----------
    period_s : float
        Seconds between two turns of a bed.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._order: deque[str] = deque()
        self._known: set[str] = set()
        self._credit = 0.0
        self._last: float | None = None

    def due(self, beds: Set[str], now: float) -> list[str]:
        """The beds whose turn has come since the last call.

        Parameters
        ----------
        beds : set of str
            All there are now.
        now : float
            Seconds, monotonic.
        """
        if beds != self._known:
            self._order = deque(bed for bed in self._order if bed in beds)
            self._order.extend(sorted(beds - self._known))
            self._known = set(beds)
        elapsed = 0.0 if self._last is None else max(0.0, now - self._last)
        self._last = now
        # After a long pause nobody has two turns.
        self._credit = min(self._credit + elapsed * len(beds) / self._period_s, float(len(beds)))
        turns = int(self._credit)
        self._credit -= turns
        chosen = list(self._order)[:turns]
        self._order.rotate(-turns)
        return chosen
