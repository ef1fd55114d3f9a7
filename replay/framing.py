"""A record cut into frames, as a bedside device would send them.

Pure: the same record and arguments give the same frames, and nothing here knows the time of day. `ingest_time_us` is
left 0; whoever puts a frame on Kafka sets it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from replay.records import Record
from stream.errors import RecordError, SettingsError
from stream.frames import MAX_BED, MAX_SECONDS, Frame

FRAME_MS: Final = 250  # the design's reference: short against any alarm's delay, long enough for cheap transport
MIN_FRAME_MS: Final = 50  # the design's range; below, the overhead of a message exceeds its samples

HELD_MS: Final = 600  # longer than a beat takes to its class but by search back, shorter than what makes a flat line

Clock = Literal["wall", "record"]


def frames(
    record: Record,
    bed: str,
    *,
    origin_us: int,
    frame_ms: int = FRAME_MS,
    loop: bool = False,
    first: int = 0,
) -> Iterator[Frame]:
    """Frames of a record in order, consecutive and without a gap.

    Parameters
    ----------
    record : Record
        What is played.
    bed : str
        Id of the bed, 1 to 64 printable characters.
    origin_us : int
        Device clock at the record's sample 0, µs since the Unix epoch (see `origin_us`).
    frame_ms : int
        Length of a frame, 50 to 1000 ms; rounded down to whole samples.
    loop : bool
        Begin again at the end, for ever. The sample index keeps growing.
    first : int
        Sample of the record to begin at; it is the first frame's `first_sample`, so that all indices stay the record's.

    Raises
    ------
    RecordError
        If the record has no sample at or after `first`.
    SettingsError
        If the bed's id or the frame length is out of bounds.
    """
    length = len(record.samples)
    own = length - record.held  # what is held at the end is nothing to begin with
    if not 0 <= first < own:
        raise RecordError(
            f"record {record.name} has {own * 1000 / record.rate_mHz:g} s, there is nothing to play from "
            f"{first * 1000 / record.rate_mHz:g} s on; choose an earlier start"
        )
    if not _is_bed(bed):
        raise SettingsError(
            f"bed id {bed!r}: 1 to {MAX_BED} printable characters are allowed; "
            + (
                "it is what --bed-prefix says, the name of the record, and a number where that is played on several "
                "beds; choose another prefix or give the files of the record a shorter name"
                if _is_bed(record.name)
                else "a bed is called as its record, which is called as its files; give them another name"
            )
        )
    instants = frame_instants(frame_ms, record.rate_mHz)

    def cut() -> Iterator[Frame]:
        seq, start = 0, first
        while loop or start < length:
            inside = start % length
            if inside + instants <= length or not loop:
                part = record.samples[inside : inside + instants]
            else:
                part = record.samples.take(range(start, start + instants), axis=0, mode="wrap")
            yield Frame(
                bed=bed,
                seq=seq,
                first_sample=start,
                device_time_us=origin_us + sample_us(start, record.rate_mHz),
                ingest_time_us=0,
                rate_mHz=record.rate_mHz,
                leads=record.leads,
                units_per_bit=record.units_per_bit,
                data=part.tobytes(),
            )
            seq += 1
            start += instants

    return cut()  # so that the checks above are made now and not at the first frame


def _is_bed(name: str) -> bool:
    return 0 < len(name) <= MAX_BED and name.isprintable()


def held(record: Record) -> Record:
    """The record with its last reading held for `HELD_MS`, as an electrode that still lies there.

    What is said of a beat is said some time after it: without this the last beat of a recording would not be told.
    """
    samples = hold(record.samples, record.rate_mHz)
    return dataclasses.replace(record, samples=samples, held=record.held + len(samples) - len(record.samples))


def hold(samples: npt.NDArray[np.int16], rate_mHz: int) -> npt.NDArray[np.int16]:
    """Samples (instants, leads) with the last instant held for `HELD_MS`; see `held`."""
    return np.concatenate([samples, np.repeat(samples[-1:], HELD_MS * rate_mHz // 1_000_000, axis=0)])


def frame_instants(frame_ms: int, rate_mHz: int) -> int:
    """Samples per lead of a frame of at most `frame_ms`.

    Raises
    ------
    SettingsError
        If the length is not within 50 to 1000 ms.
    """
    if not MIN_FRAME_MS <= frame_ms <= 1000 * MAX_SECONDS:
        raise SettingsError(f"a frame of {frame_ms} ms: {MIN_FRAME_MS} to {1000 * MAX_SECONDS} ms are allowed")
    return frame_ms * rate_mHz // 1_000_000


def sample_us(sample: int, rate_mHz: int) -> int:
    """Time of a sample after sample 0, in whole µs; integers, so that it does not drift in any number of hours."""
    return sample * 1_000_000_000 // rate_mHz


def origin_us(record: Record, clock: Clock, start_us: int = 0, first: int = 0) -> int:
    """Device clock at the record's sample 0, µs since the Unix epoch.

    Parameters
    ----------
    record : Record
        What is played.
    clock : {"wall", "record"}
        ``record``: the header's time, or 1970-01-01T00:00:00Z where it has none; the same in every run.
        ``wall``: such that sample `first` is taken at `start_us`.
    start_us : int
        Time of day at which play begins, µs since the Unix epoch.
    first : int
        Sample of the record at which play begins.
    """
    if clock == "wall":
        return start_us - sample_us(first, record.rate_mHz)
    if record.start is None:
        return 0
    return (record.start - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
