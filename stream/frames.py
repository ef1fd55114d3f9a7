"""The frame: a short stretch of one bed's ECG as it travels on `ecg.frames`.

Layout on the wire::

    byte 0      0xEC, so that a foreign message is told at once
    byte 1      schema version (1)
    bytes 2-5   CRC-32 of everything after them, little endian
    bytes 6-    MessagePack array of the fields of `Frame`, in their order

Samples are little-endian int16, one row an instant, one column a lead. `INVALID` marks an instant at which a lead
gave no reading (lead off, transmission loss); it is WFDB's own mark for 16-bit signals.
"""

from __future__ import annotations

import zlib
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from detector import types
from stream.errors import FrameError

MAGIC: Final = 0xEC
VERSION: Final = 1
INVALID: Final = types.INVALID  # as the detector takes it
MAX_LEADS: Final = 12  # a standard resting electrocardiogram
MIN_RATE_MHZ: Final = 100_000  # below 100 Hz the QRS complex is no longer resolved
MAX_RATE_MHZ: Final = 1_000_000  # no monitoring device samples the diagnostic band faster than 1 kHz
MAX_SECONDS: Final = 1  # design: 50 to 1000 ms a frame; more would delay the first sample's alarm
MAX_TIME_US: Final = 2**53 - 1  # in the year 2255; exact in JSON's numbers
MAX_LEAD: Final = 32  # characters of a lead's name: ISO/IEEE 11073-10101's are shorter
MAX_BED: Final = 64  # characters; a bed id is a Kafka key and a log field, not a document

#: Why a frame can be refused: the label values of the metric `telebeat_frames_rejected_total`.
REASONS: Final = ("magic", "version", "checksum", "schema", "bed", "order", "rate", "leads", "units", "samples")
BATCH: Final = "batch"  # of what is no frame either, as Kafka's batch it was in cannot be read


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """A stretch of at most one second of one bed's ECG.

    Attributes
    ----------
    bed : str
        Id of the bed, also the Kafka key.
    seq : int
        Number of this frame since the device started; consecutive.
    first_sample : int
        Index of the first sample since the device started, at `rate_mHz`.
    device_time_us : int
        The device's clock at the first sample, µs since the Unix epoch.
    ingest_time_us : int
        The gateway's clock when it put the frame on Kafka, µs since the Unix epoch.
    rate_mHz : int
        Samples per second and lead, in millihertz (360 Hz is 360000).
    leads : tuple of str
        ISO/IEEE 11073-10101 reference ids, such as ``MDC_ECG_LEAD_II``.
    units_per_bit : tuple of float
        Millivolts per step of each lead; 0 mV is 0.
    data : bytes
        The samples: int16, little endian, shape (instants, leads).
    """

    bed: str
    seq: int
    first_sample: int
    device_time_us: int
    ingest_time_us: int
    rate_mHz: int
    leads: tuple[str, ...]
    units_per_bit: tuple[float, ...]
    data: bytes

    @property
    def samples(self) -> npt.NDArray[np.int16]:
        """The samples, shape (instants, leads), without a copy."""
        return np.frombuffer(self.data, dtype="<i2").reshape(-1, len(self.leads))

    @property
    def instants(self) -> int:
        """Number of sampling instants in the frame."""
        return len(self.data) // (2 * len(self.leads))


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Frame)


def encode(frame: Frame) -> bytes:
    """The frame as it goes on the wire. It is not checked: `decode` is where frames are judged."""
    body = _encoder.encode(frame)
    return bytes((MAGIC, VERSION)) + zlib.crc32(body).to_bytes(4, "little") + body


def decode(message: bytes) -> Frame:
    """Read and check one message of `ecg.frames`.

    Raises
    ------
    FrameError
        With one of `REASONS`; no other exception, whatever the bytes.
    """
    if len(message) < 6 or message[0] != MAGIC:
        raise FrameError("magic", f"{len(message)} bytes that do not begin as a frame does")
    if message[1] != VERSION:
        raise FrameError("version", f"schema version {message[1]}; this monitor reads {VERSION}")
    body = memoryview(message)[6:]
    if zlib.crc32(body) != int.from_bytes(message[2:6], "little"):
        raise FrameError("checksum", "the bytes were changed on their way")
    try:
        frame = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # the last: a field more, nested deep
        raise FrameError("schema", str(error)) from None
    check(frame)
    return frame


def is_bed(text: str) -> bool:
    """Whether a text can be the id of a bed."""
    return 0 < len(text) <= MAX_BED and text.isprintable()


def check(frame: Frame) -> None:
    """Raise `FrameError` unless every field of the frame is within its bounds."""
    if not is_bed(frame.bed):
        raise FrameError("bed", f"bed id {frame.bed[:MAX_BED]!r}: 1 to {MAX_BED} printable characters are allowed")
    if not (0 <= frame.seq < 2**62 and 0 <= frame.first_sample < 2**53):
        raise FrameError("order", f"sequence {frame.seq}, first sample {frame.first_sample}: out of range")
    if not (0 <= frame.device_time_us <= MAX_TIME_US and 0 <= frame.ingest_time_us <= MAX_TIME_US):
        raise FrameError("order", f"device time {frame.device_time_us} µs, ingest time {frame.ingest_time_us} µs")
    if not MIN_RATE_MHZ <= frame.rate_mHz <= MAX_RATE_MHZ:
        raise FrameError("rate", f"{frame.rate_mHz / 1000:g} Hz; 100 to 1000 Hz are read")
    if not 1 <= len(frame.leads) <= MAX_LEADS or len(set(frame.leads)) != len(frame.leads):
        raise FrameError("leads", f"leads {frame.leads}: 1 to {MAX_LEADS} different names are allowed")
    if not all(0 < len(n) <= MAX_LEAD and n.isascii() and n.isprintable() and "," not in n for n in frame.leads):
        raise FrameError("leads", f"leads {frame.leads}: a name has 1 to {MAX_LEAD} ASCII characters and no comma")
    if len(frame.units_per_bit) != len(frame.leads) or not all(1e-7 <= u <= 1.0 for u in frame.units_per_bit):
        raise FrameError("units", f"units per bit {frame.units_per_bit} mV for {len(frame.leads)} leads")
    row = 2 * len(frame.leads)
    if not frame.data or len(frame.data) % row or len(frame.data) // row * 1000 > MAX_SECONDS * frame.rate_mHz:
        raise FrameError("samples", f"{len(frame.data)} bytes for {len(frame.leads)} leads at {frame.rate_mHz} mHz")
