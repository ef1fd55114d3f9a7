"""What the monitor says on Kafka: beats, last words on them, marks and alerts, and how they are written.

`ecg.beats` carries MessagePack after a version byte (there are many), `ecg.alerts` JSON (people and other systems
read it). Neither holds anything but what the samples, the settings and the device's clock determine, so two runs over
the same samples write the same bytes.
"""

from __future__ import annotations

import enum
import hashlib
from typing import Final, Literal, TypeVar

import msgspec

VERSION: Final = 2
RECOUNTS: Final = 4096  # numberings tried to find an alert's: a device begun anew every minute for days; all take 10 ms

T = TypeVar("T")


class Rule(enum.IntEnum):
    """Every condition that can raise an alert. The number is a row of the bed's state: append, never reorder."""

    ASYSTOLE = 0
    VENTRICULAR_FIBRILLATION = 1
    VENTRICULAR_TACHYCARDIA = 2
    EXTREME_TACHYCARDIA = 3
    EXTREME_BRADYCARDIA = 4
    VENTRICULAR_RUN = 5
    PAUSE = 6
    LEAD_OFF = 7
    FLAT_LINE = 8
    SIGNAL_GAP = 9
    BED_SILENT = 10
    SATURATED = 11
    NOISY = 12
    UNMONITORED = 13
    RELEARNING = 14
    SECOND_DEVICE = 15

    @property
    def label(self) -> str:
        """Name in alerts, metrics and settings: ``ventricular_tachycardia``."""
        return self.name.lower()


class Beat(msgspec.Struct, frozen=True, array_like=True):
    """One classified heartbeat, with the first word on it: what alarms act on.

    Attributes
    ----------
    sample : int
        R peak, in samples of the record.
    label : str
        One of `model.codes.CLASSES`.
    probability : float
        Of that label, 0 to 1, four decimals.
    token : int
        The word's number in the vocabulary.
    rr_ms : float
        Time since the last beat, ms; 0 for the first.
    found_ms, known_ms : float
        Signal time from the R peak to its detection and to its class, ms.
    """

    sample: int
    label: str
    probability: float
    token: int
    rr_ms: float
    found_ms: float
    known_ms: float


class Revision(msgspec.Struct, frozen=True, array_like=True):
    """The last word on a beat, said once the next has been read: what annotation files hold.

    Each beat has one at most, after its `Beat`, and in the batch of the beat that followed it; a beat that none
    followed within 4 s has none, and the first word stands.

    Attributes
    ----------
    sample : int
        R peak of the beat it is about.
    label : str
        One of `model.codes.CLASSES`; most often the first word again.
    probability : float
        Of that label, 0 to 1, four decimals.
    known_ms : float
        Signal time from that R peak to this word, ms.
    """

    sample: int
    label: str
    probability: float
    known_ms: float


#: Auxiliary text of the rhythm that ventricular fibrillation is.
VF_RHYTHM: Final = "(VFL"


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """An annotation that is no beat: WFDB symbol, sample and auxiliary text (`+` rhythm, `~` quality, `[` `]` VF).

    Fibrillation is told some seconds after its begin: its `[`, and the `+` of its rhythm (`VF_RHYTHM`), may stand
    before a `+` that was said already, which is no longer true. It ends with its `]`, without another `+`.

    The subtype of a `~` has bit i set for a noisy signal i, bit i + 4 for an unreadable one; see
    `model.codes`.
    """

    sample: int
    symbol: str
    aux: str = ""
    subtype: int = 0


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """Beats, last words and marks of one bed, each in the order in which they were decided.

    Attributes
    ----------
    bed : str
    rate_mHz : int
        Sampling rate at which samples count, millihertz.
    beats, revisions, marks : tuple
    numbering : int
        How often the device has begun to count its samples anew so far: only with it is a sample one moment.
    """

    bed: str
    rate_mHz: int
    beats: tuple[Beat, ...]
    revisions: tuple[Revision, ...]
    marks: tuple[Mark, ...]
    numbering: int = 0


class Alert(msgspec.Struct, frozen=True):
    """An alert in its current state; the last message with its id is the truth.

    Attributes
    ----------
    id : str
        `alert_id` of bed, rule and onset sample, and of how often the device has begun to count anew.
    bed, rule, priority, kind : str
        `kind` tells physiological from technical; priorities as IEC 60601-1-8 names them.
    state : str
        ``raised`` or ``cleared``.
    rate_hz : float
        The record's sampling rate; samples below count at it.
    onset_sample, decided_sample, cleared_sample : int
        Where the condition began, the last sample used when it was declared, and when it ended.
    onset_time, decided_time, cleared_time : str
        The same on the device's clock, ISO 8601, UTC, µs.
    evidence : dict of str to float
        The measured values the rule acted on, and its limits.
    """

    id: str
    bed: str
    rule: str
    kind: Literal["physiological", "technical"]
    priority: Literal["high", "medium", "low"]
    state: Literal["raised", "cleared"]
    rate_hz: float
    onset_sample: int
    onset_time: str
    decided_sample: int
    decided_time: str
    evidence: dict[str, float]
    cleared_sample: int | None = None
    cleared_time: str | None = None


def alert_id(bed: str, rule: str, onset_sample: int, numbering: int = 0) -> str:
    """Sixteen hexadecimal digits that are the same in every run over the same samples.

    A device that begins to count its samples anew (`numbering` times so far) reaches the same onset again: that is
    another alert.
    """
    again = f"\0{numbering}" if numbering else ""
    return hashlib.blake2b(f"{bed}\0{rule}\0{onset_sample}{again}".encode(), digest_size=8).hexdigest()


def numbering_of(alert: Alert) -> int:
    """How often the device had begun to count anew when an alert was raised, as its id tells; 0 where it tells none."""
    tried = range(RECOUNTS)
    return next((n for n in tried if alert_id(alert.bed, alert.rule, alert.onset_sample, n) == alert.id), 0)


_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()
_alert = msgspec.json.Decoder(Alert)
_batch = msgspec.msgpack.Decoder(Batch)


def encode_alert(alert: Alert) -> bytes:
    """One line of JSON without its newline."""
    return _json.encode(alert)


def decode_alert(message: bytes) -> Alert:
    """Read an alert; raises `msgspec.DecodeError`."""
    return _decoded(_alert, message)


def ended(message: bytes) -> Alert | None:
    """A raised alert of which nobody can tell how it went on, cleared where it was last known; None if unreadable."""
    try:
        alert = decode_alert(message)
    except msgspec.DecodeError:
        return None
    sample, time = alert.decided_sample, alert.decided_time
    return msgspec.structs.replace(alert, state="cleared", cleared_sample=sample, cleared_time=time)


def encode_batch(batch: Batch) -> bytes:
    """The batch after its version byte."""
    return bytes((VERSION,)) + _msgpack.encode(batch)


def decode_batch(message: bytes) -> Batch:
    """Read a batch; raises `msgspec.DecodeError`, also for another version."""
    if not message or message[0] != VERSION:
        raise msgspec.DecodeError(f"beats of version {message[:1].hex() or 'none'}; this reads {VERSION}")
    return _decoded(_batch, memoryview(message)[1:])


def _decoded(decoder: msgspec.json.Decoder[T] | msgspec.msgpack.Decoder[T], message: bytes | memoryview) -> T:
    """What a message says; whatever its bytes, what is wrong with them is a `msgspec.DecodeError`."""
    try:
        return decoder.decode(message)
    except (UnicodeDecodeError, RecursionError) as error:  # the last: a field nobody knows, nested deep
        raise msgspec.DecodeError(str(error)) from None
