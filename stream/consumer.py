"""From Kafka's records to frames the ward can take: decoded, judged, and cut into rounds.

A round is what one step of the ward may be given: at most a second of signal of each bed (the ward's queues hold no
more), and of each partition the next messages without a hole, so that after the round one offset tells what is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from stream import frames
from stream.batches import UnreadableBatch
from stream.errors import FrameError
from stream.frames import Frame

ROUND_MS: Final = 1000  # of signal of a bed: what fits the queues between detection and judgement
ROUND_FRAMES: Final = 512  # so that a backlog does not keep alarms, snapshots and the group waiting


class Message(NamedTuple):
    """One message of `ecg.frames`: a frame, or the reason why it is none.

    Attributes
    ----------
    partition, offset : int
    bed : str
        Of the frame; of what is none, the key it came under, as far as it can be printed.
    frame : Frame or None
    error : FrameError or None
    is_bed : bool
        Whether `bed` can be the id of a bed.
    """

    partition: int
    offset: int
    bed: str
    frame: Frame | None
    error: FrameError | None
    is_bed: bool = True


def read(partition: int, offset: int, key: bytes | None, value: bytes | None) -> Message:
    """Decode a message; whatever its bytes, it is a `Message`."""
    try:
        frame = frames.decode(value or b"")
        if key != frame.bed.encode():
            raise FrameError("bed", f"bed {frame.bed!r} under the key {key!r}")
    except FrameError as error:
        return Message(partition, offset, _printable(key), None, error, _is_bed(key))
    return Message(partition, offset, frame.bed, frame, None)


def read_all(polled: Mapping[Any, Iterable[Any]]) -> dict[int, list[Message]]:
    """The messages of one `getmany`, by partition and in their order."""
    return {tp.partition: [_read(tp.partition, record) for record in records] for tp, records in polled.items()}


def rounds(messages: Mapping[int, Sequence[Message]]) -> Iterator[list[Message]]:
    """Cut messages into rounds.

    Parameters
    ----------
    messages : mapping of int to sequence of Message
        By partition, in the order of their offsets.

    Yields
    ------
    list of Message
        Together all messages, each once; of each partition in order; at most `ROUND_MS` of signal of a bed (or a single
        frame).
    """
    waiting = {partition: iter(queue) for partition, queue in messages.items()}
    first = {partition: message for partition, queue in waiting.items() if (message := next(queue, None)) is not None}
    while first:
        taken: list[Message] = []
        signal_ms: dict[str, float] = {}
        for partition in list(first):
            while (message := first[partition]) and len(taken) < ROUND_FRAMES:
                if message.frame is not None:
                    length = message.frame.instants * 1e6 / message.frame.rate_mHz
                    so_far = signal_ms.get(message.bed, 0.0)
                    if so_far and so_far + length > ROUND_MS:
                        break
                    signal_ms[message.bed] = so_far + length
                taken.append(message)
                following = next(waiting[partition], None)
                if following is None:
                    del first[partition]
                    break
                first[partition] = following
        yield taken
        for partition in list(first)[:1]:  # the next round begins with another: one that is full keeps no other waiting
            first[partition] = first.pop(partition)


def _read(partition: int, record: Any) -> Message:
    if isinstance(record, UnreadableBatch):
        return Message(partition, record.offset, "", None, FrameError(frames.BATCH, record.detail), False)
    return read(partition, record.offset, record.key, record.value)


def _is_bed(key: bytes | None) -> bool:
    try:
        return frames.is_bed((key or b"").decode())
    except UnicodeDecodeError:
        return False


def _printable(key: bytes | None) -> str:
    """A message's key for the log: the bed it claims to be of, or what is left of it."""
    text = (key or b"").decode(errors="replace")[: frames.MAX_BED]
    return "".join(c if c.isprintable() else "?" for c in text)
