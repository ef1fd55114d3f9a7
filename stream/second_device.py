"""Does a second device send under a bed's id? Then the patient at one of them is not monitored.

Of two that send side by side, one is refused frame by frame as old or as sent again, or now one is believed and now the
other. A frame is another device's when it tells of other samples than were taken, by its time, its content or its
number; and when by count and clock it goes on where another stream of this bed was left. A gateway that sends the same
again, be it for long, tells of the same samples.

Counted is the bed's own signal in which such frames came, not they: a store of old ones sent in a burst after the clock
was set is no second device. Once two are known, the one that is believed stays so until it has gone, lest each frame of
the other make the bed learn anew.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

from stream.frames import Frame
from stream.intake import Verdict, continues

LOST: Final = 40  # frames in a row that may be lost: of the shortest, as many as come in 2 s
APART_US: Final = 2_000_000  # of the bed's signal at most between two frames of another device: it may lose one
CONTESTED_US: Final = 10_000_000  # of the bed's signal with such frames after which there are two, as of `bed_silent`
GONE_US: Final = 10_000_000  # of it without one after which there is one again
GIVES_WAY_US: Final = 4_000_000  # of the other's signal after which it takes the bed: frames are lost


def is_foreign(row: Any, frame: Frame, verdict: Verdict) -> bool:
    """Whether a frame is not of the device whose frames are taken, or was, before that one took its place.

    Parameters
    ----------
    row : INTAKE
        The bed's, before the frame is taken.
    frame : Frame
    verdict : Verdict
    """
    if _is_plain(verdict):
        return False
    apart = _is_apart(row, frame)
    if verdict.skip < frame.instants and apart:
        return _goes_on(row, frame)
    if apart or not verdict.skip:
        return apart
    if verdict.skip < frame.instants:
        return not 0 < frame.seq - row["seq"] <= LOST  # one whose frames overlap numbers them in a row
    is_last = row["last_first"] == frame.first_sample and row["next_sample"] == frame.first_sample + frame.instants
    return bool(is_last and row["last_digest"] != zlib.crc32(frame.data))


def count(row: Any, frame: Frame) -> None:
    """Note a frame that is foreign."""
    now = int(row["taken_us"])
    since = now - int(row["contested_at_us"])
    row["contested_us"] = row["contested_us"] + since if since <= APART_US else 0
    row["contested_at_us"] = now
    row["foreign_us"] += _lasts_us(frame)
    _leave(row, frame.rate_mHz, frame.first_sample + frame.instants, frame.device_time_us + _lasts_us(frame))


def must_wait(row: Any) -> bool:
    """Whether the device that is believed may yet go on: a foreign frame is refused, whatever else it may be."""
    return bool(row["two_devices"] and row["foreign_us"] < GIVES_WAY_US)


def stands(row: Any) -> bool:
    """Whether there are two devices by now."""
    if row["two_devices"]:
        return bool(row["taken_us"] - row["contested_at_us"] < GONE_US)
    return bool(row["contested_us"] >= CONTESTED_US)


def settle(row: Any, frame: Frame, verdict: Verdict) -> None:
    """Note a frame that is taken, before the bed takes on its count and clock; what it was left by may come back."""
    if not _is_plain(verdict) and _is_apart(row, frame):
        _leave(row, row["rate_mHz"], row["next_sample"], row["device_us"])
    row["taken_us"] += _lasts_us(frame)
    row["foreign_us"] = 0
    row["last_first"] = frame.first_sample
    row["last_digest"] = zlib.crc32(frame.data)


def end(row: Any) -> None:
    """There is one device again, or the bed's samples have other numbers: begin to count anew."""
    row["two_devices"] = 0
    row["contested_us"] = 0


def _leave(row: Any, rate_mHz: int, next_sample: int, us: int) -> None:
    """Remember where a stream is whose frames are not taken."""
    row["other_rate_mHz"] = rate_mHz
    row["other_next"] = next_sample
    row["other_us"] = us


def _is_plain(verdict: Verdict) -> bool:
    """Whether a frame is simply the next one, as nearly all are."""
    return not (verdict.events or verdict.clock)


def _is_apart(row: Any, frame: Frame) -> bool:
    """Whether its count and clock are not those of the last frame taken."""
    return not continues(frame, int(row["rate_mHz"]), int(row["next_sample"]), int(row["device_us"]))


def _goes_on(row: Any, frame: Frame) -> bool:
    """Whether they are those of the stream that was left."""
    if frame.first_sample < row["other_next"] and not row["two_devices"]:
        return False  # a device that begins anew over and over; of two, a frame that is sent again
    return continues(frame, int(row["other_rate_mHz"]), int(row["other_next"]), int(row["other_us"]))


def _lasts_us(frame: Frame) -> int:
    return frame.instants * 1_000_000_000 // frame.rate_mHz
