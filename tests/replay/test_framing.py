"""Frames hold the record's samples, whole and once, and every one of them passes the schema's checks."""

from __future__ import annotations

import datetime as dt
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.framing import HELD_MS, frame_instants, frames, held, origin_us, sample_us
from replay.records import Record
from stream.errors import RecordError, SettingsError
from stream.frames import check, decode, encode
from tests.replay.examples import record, records


@given(records(), st.integers(50, 1000), st.floats(0, 1), st.integers(0, 2**50))
@settings(deadline=None)
def test_once_gives_the_record_and_no_more(given_record: Record, frame_ms: int, where: float, origin: int) -> None:
    first = int(where * (len(given_record.samples) - 1))
    cut = list(frames(given_record, "bed", origin_us=origin, frame_ms=frame_ms, first=first))
    np.testing.assert_array_equal(np.concatenate([f.samples for f in cut]), given_record.samples[first:])
    expected = first
    for seq, frame in enumerate(cut):
        check(frame)
        assert decode(encode(frame)) == frame
        assert (frame.seq, frame.first_sample) == (seq, expected)
        assert frame.device_time_us == origin + sample_us(frame.first_sample, frame.rate_mHz)
        assert frame.ingest_time_us == 0
        expected += frame.instants
    assert all(f.instants == cut[0].instants for f in cut[:-1])
    assert cut[0].instants * 1000 <= frame_ms * given_record.rate_mHz / 1000


@given(records())
@settings(deadline=None)
def test_a_record_ends_with_its_last_reading_held(given_record: Record) -> None:
    longer = held(given_record)
    length = len(given_record.samples)
    np.testing.assert_array_equal(longer.samples[:length], given_record.samples)
    assert (longer.samples[length:] == given_record.samples[-1]).all()
    assert longer.seconds - given_record.seconds == pytest.approx(HELD_MS / 1000, abs=1000 / given_record.rate_mHz)


@given(records(longest=400), st.integers(50, 1000), st.floats(0, 1))
@settings(deadline=None)
def test_looping_goes_on_for_ever(given_record: Record, frame_ms: int, where: float) -> None:
    length = len(given_record.samples)
    first = int(where * (length - 1))
    instants = frame_instants(frame_ms, given_record.rate_mHz)
    count = 3 * length // instants + 3
    cut = list(
        itertools.islice(frames(given_record, "b", origin_us=0, frame_ms=frame_ms, loop=True, first=first), count)
    )
    assert [f.first_sample for f in cut] == [first + k * instants for k in range(count)]
    assert [f.seq for f in cut] == list(range(count))
    played = np.concatenate([f.samples for f in cut])
    np.testing.assert_array_equal(played, given_record.samples[np.arange(first, first + count * instants) % length])
    for frame in cut:
        check(frame)


@given(st.integers(100_000, 1_000_000), st.integers(0, 2**40))
def test_device_time_does_not_drift(rate_mHz: int, sample: int) -> None:
    exact = sample * 10**9 / rate_mHz
    assert abs(sample_us(sample, rate_mHz) - exact) <= 1 + exact * 1e-15
    assert sample_us(sample + rate_mHz, rate_mHz) == sample_us(sample, rate_mHz) + 10**9


def test_clocks() -> None:
    assert origin_us(record(), "record") == 0
    start = dt.datetime(2020, 1, 2, 3, 4, 5, 678, tzinfo=dt.UTC)
    dated = record(start=start)
    assert origin_us(dated, "record", start_us=99) == int(start.timestamp()) * 10**6 + 678
    first = next(frames(dated, "b", origin_us=origin_us(dated, "wall", 10**15, 123), first=123))
    assert first.device_time_us == 10**15
    assert first.first_sample == 123


@pytest.mark.parametrize("first", [-1, 1000, 5000])
def test_nothing_to_play(first: int) -> None:
    with pytest.raises(RecordError, match="earlier start"):
        frames(record(length=1000), "bed", origin_us=0, first=first)


@pytest.mark.parametrize("bed", ["", "x" * 65, "a\nb"])
def test_bed_ids(bed: str) -> None:
    with pytest.raises(SettingsError, match="bed id"):
        frames(record(), bed, origin_us=0)


def test_what_makes_a_bed_id_too_long_is_told() -> None:
    for name in ("x" * 65, "a\tb", ""):
        with pytest.raises(
            SettingsError, match="called as its record, which is called as its files; give them another"
        ):
            frames(record(name), name, origin_us=0)
    for bed in ("ward-" + "x" * 64, "x" * 64 + "-2", "\n" + "x" * 64):
        with pytest.raises(SettingsError, match="choose another prefix or give the files of the record a shorter name"):
            frames(record("x" * 64), bed, origin_us=0)
    assert next(frames(record("x" * 64), "x" * 64, origin_us=0)).bed == "x" * 64


@pytest.mark.parametrize("frame_ms", [0, 49, 1001, -250])
def test_frame_lengths(frame_ms: int) -> None:
    with pytest.raises(SettingsError, match="50 to 1000"):
        frames(record(), "bed", origin_us=0, frame_ms=frame_ms)


def test_what_is_held_is_nothing_to_begin_with() -> None:
    """The message tells the length of the record, not of what is played."""
    longer = held(record(length=2000))
    assert longer.held == 150
    assert next(frames(longer, "bed", origin_us=0, first=1999)).first_sample == 1999
    with pytest.raises(RecordError, match=r"has 8 s, there is nothing to play from 8 s on"):
        frames(longer, "bed", origin_us=0, first=2000)
