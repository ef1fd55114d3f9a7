"""Faults on request: what goes wrong between a bedside device and Kafka, drawn from a seed or at given times.

========== =============================================================================================
gap        frames are lost: sequence and sample numbers go on without them
duplicate  a frame comes twice
reorder    a frame comes after the one that follows it
corrupt    bytes of the message are changed on their way
silence    the bed stops and later resumes: numbers are consecutive, the device's clock has moved on
========== =============================================================================================

Written ``gap=0.01`` (each frame with that probability) or ``gap@30s`` (the frame at 30 s), both with an optional
duration: ``gap@30s:2s``, ``silence=0.001:20s``. Faults combine; each draws from its own generator, so adding one
does not move another. Pure: the same packets, faults and seed give the same packets.
"""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from stream.errors import SettingsError
from stream.frames import Frame

#: In the order in which they befall a frame on its way from the device to the reader.
KINDS: Final = ("silence", "gap", "duplicate", "reorder", "corrupt")
SILENCE_S: Final = 15.0  # of a silence without a duration: past the monitor's default limit of 10 s
CHANGED_BYTES: Final = 4  # at most, of a corrupted message

_SECONDS: Final = {"ms": 1e-3, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_TIME: Final = r"(\d+(?:\.\d+)?|\.\d+)(ms|s|min|m|h|)"
_SPEC: Final = re.compile(rf"(\w+)(?:=(\d+(?:\.\d+)?|\.\d+)|@{_TIME})(?::{_TIME})?")


class Packet(NamedTuple):
    """A frame and its fate.

    Attributes
    ----------
    due_s : float
        When it is sent, in seconds of signal since play began.
    at_s : float
        Where its first sample lies, in seconds of this bed's signal since play began.
    frame : Frame
        What is sent.
    lost : bool
        It is not sent at all.
    damage : int
        Not 0: seed of the bytes changed by `damaged` after encoding.
    faults : tuple of str
        What befell it.
    """

    due_s: float
    at_s: float
    frame: Frame
    lost: bool = False
    damage: int = 0
    faults: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Fault:
    """One fault: `kind` of `KINDS`, by `probability` per frame or at the time `at_s`, lasting `seconds`.

    `seconds` 0 is one frame (for ``silence``: nothing).
    """

    kind: str
    probability: float = 0.0
    at_s: float | None = None
    seconds: float = 0.0


def parse(text: str) -> Fault:
    """A fault from its written form.

    >>> parse("gap@30s:2s")
    Fault(kind='gap', probability=0.0, at_s=30.0, seconds=2.0)

    Raises
    ------
    SettingsError
        If the kind is unknown, the probability is not within 0 to 1, or the form is another.
    """
    match = _SPEC.fullmatch(text.strip().lower())
    if match is None or match[1] not in KINDS:
        raise SettingsError(
            f"fault {text!r}: write KIND=PROBABILITY or KIND@TIME, either with :DURATION, such as gap=0.01 or "
            f"gap@30s:2s; KIND is one of {', '.join(sorted(KINDS))}"
        )
    kind = match[1]
    seconds = float(match[5]) * _SECONDS[match[6]] if match[5] else SILENCE_S if kind == "silence" else 0.0
    if match[2] is None:
        return Fault(kind, at_s=float(match[3]) * _SECONDS[match[4]], seconds=seconds)
    probability = float(match[2])
    if probability > 1:
        raise SettingsError(f"fault {text!r}: a probability is at most 1")
    return Fault(kind, probability=probability, seconds=seconds)


def inject(packets: Iterable[Packet], faults: Sequence[Fault], seed: int, bed: str) -> Iterator[Packet]:
    """One bed's packets with the faults upon them, in the order of their `due_s`.

    Lost frames stay in the stream, marked, so that they can be counted.

    Parameters
    ----------
    packets : iterable of Packet
        In order; endless is allowed.
    faults : sequence of Fault
        In any order: they act in the order of `KINDS`.
    seed : int
        With the bed's id it decides everything drawn.
    bed : str
        Beds differ in what befalls them.
    """
    stream = iter(packets)
    for fault in sorted(faults, key=lambda f: (KINDS.index(f.kind), repr(f))):
        stream = _STAGES[fault.kind](stream, fault, random.Random(f"{seed}/{fault}/{bed}"))
    return stream


def damaged(message: bytes, seed: int) -> bytes:
    """The message with one to `CHANGED_BYTES` bytes changed; never equal to the original, of the same length."""
    generator = random.Random(seed)
    changed = bytearray(message)
    count = generator.randint(1, min(CHANGED_BYTES, len(changed)))
    for position in generator.sample(range(len(changed)), count):
        changed[position] ^= generator.randint(1, 255)
    return bytes(changed)


def _struck(packets: Iterator[Packet], fault: Fault, generator: random.Random) -> Iterator[tuple[Packet, bool]]:
    """Every packet, and whether the fault is upon it."""
    until = -1.0  # end of the stretch the fault is on
    pending = fault.at_s
    for packet in packets:
        if pending is not None and packet.at_s + packet.frame.instants * 1000 / packet.frame.rate_mHz > pending:
            until, pending = pending + fault.seconds, None
            yield packet, True
            continue
        drawn = fault.probability > 0 and generator.random() < fault.probability
        if drawn and fault.seconds:
            until = max(until, packet.at_s + fault.seconds)
        yield packet, drawn or packet.at_s < until


def _marked(packet: Packet, kind: str) -> Packet:
    return packet._replace(faults=(*packet.faults, kind))


def _silence(packets: Iterator[Packet], fault: Fault, generator: random.Random) -> Iterator[Packet]:
    stopped_s = 0.0
    once = dataclasses.replace(fault, seconds=0.0)  # signal time stands still while the bed is silent
    for packet, struck in _struck(packets, once, generator):
        stopped_s += fault.seconds if struck else 0.0
        if stopped_s:
            later = packet.frame.device_time_us + round(stopped_s * 1e6)
            frame = msgspec.structs.replace(packet.frame, device_time_us=later)
            packet = packet._replace(due_s=packet.due_s + stopped_s, frame=frame)  # noqa: PLW2901
        yield _marked(packet, "silence") if struck else packet


def _gap(packets: Iterator[Packet], fault: Fault, generator: random.Random) -> Iterator[Packet]:
    for packet, struck in _struck(packets, fault, generator):
        yield _marked(packet, "gap")._replace(lost=True) if struck and not packet.lost else packet


def _duplicate(packets: Iterator[Packet], fault: Fault, generator: random.Random) -> Iterator[Packet]:
    for packet, struck in _struck(packets, fault, generator):
        yield packet
        if struck and not packet.lost:
            yield _marked(packet, "duplicate")


def _reorder(packets: Iterator[Packet], fault: Fault, generator: random.Random) -> Iterator[Packet]:
    held: Packet | None = None
    due_s = 0.0
    for packet, struck in _struck(packets, fault, generator):
        due_s = packet.due_s
        if held is not None:
            yield packet
            if not packet.lost and packet.frame.seq != held.frame.seq:  # one that follows it has really come first
                yield _marked(held, "reorder")._replace(due_s=packet.due_s)
                held = None
        elif struck and not packet.lost:
            held = packet
        else:
            yield packet
    if held is not None:  # nothing came that could go before it; it waited for what was lost
        yield held._replace(due_s=max(held.due_s, due_s))


def _corrupt(packets: Iterator[Packet], fault: Fault, generator: random.Random) -> Iterator[Packet]:
    for packet, struck in _struck(packets, fault, generator):
        if struck and not packet.lost:
            yield _marked(packet, "corrupt")._replace(damage=generator.getrandbits(63) + 1)
        else:
            yield packet


_STAGES: Final = {
    "silence": _silence,
    "gap": _gap,
    "duplicate": _duplicate,
    "reorder": _reorder,
    "corrupt": _corrupt,
}
