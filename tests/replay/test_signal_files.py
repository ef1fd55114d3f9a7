"""What is wrong with a header or a signal file is told as what it is, with the numbers to judge by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from replay.records import Record, read_record
from replay.signal_files import FORMATS
from stream import frames
from stream.errors import RecordError
from tests.replay.test_records import RANGES, header, write

LENGTH = 600  # samples of the file in format 16: 1200 bytes


def of(folder: Path, head: str, *lines: str) -> Record:
    data = np.arange(LENGTH, dtype="<i2").tobytes()
    (folder / "s.dat").write_bytes(data)
    return read_record(header(folder, "r", "\n".join([head, *lines, ""]), data))


def test_every_format_that_is_written_is_as_long_as_is_expected(tmp_path: Path) -> None:
    assert set(RANGES) < set(FORMATS)
    for fmt in RANGES:
        for length in (297, 298, 299, 300):
            path = write(tmp_path, f"r{fmt}{length}", np.arange(length)[:, None] % 99, fmt=[fmt])
            assert len(read_record(path).samples) == length
            file = path.with_suffix(".dat")
            whole = file.read_bytes()
            file.write_bytes(whole[: len(whole) - 3])
            with pytest.raises(RecordError, match=rf"{length} instants of 1 sample in format {fmt}, as its header has"):
                read_record(path)


@pytest.mark.parametrize("fmt", ["310", "311"])
@pytest.mark.parametrize("length", [300, 301, 302])
def test_packed_formats(tmp_path: Path, fmt: str, length: int) -> None:
    text = f"r 1 250 {length}\nr.dat {fmt} 200/mV 16 0 0 0 0 II\n"
    path = header(tmp_path, "r", text, bytes(-(-length // 3) * 4))
    assert len(read_record(path).samples) == length
    path.with_suffix(".dat").write_bytes(bytes(length // 3 * 4 - 1))
    with pytest.raises(RecordError, match=f"in format {fmt}, as its header has it"):
        read_record(path)


@pytest.mark.parametrize(
    ("head", "lines", "expected"),
    [
        (
            "r 1 250 900",
            ["r.dat 16 200"],
            r"r\.dat has 1200 bytes, but 900 instants of 1 sample in format 16, .* 1800;",
        ),
        (f"r 1 250 {10**30}", ["r.dat 16 200"], r"but 1e\+30 instants"),
        ("r 1 250 600", ["r.dat 32 200"], r"has 1200 bytes, but 600 instants of 1 sample in format 32, .* take 2400;"),
        (
            "r 1 250 600",
            ["r.dat 16x2 200"],
            r"has 1200 bytes, but 600 instants of 2 samples in format 16, .* take 2400;",
        ),
        ("r 1 250 600", ["r.dat 16+99 200"], r"has 1101 bytes from byte 99 on, but 600"),
        ("r 2 250 301", ["r.dat 16 200", "s.dat 32 200"], r"s\.dat has 1200 bytes, but 301"),
        ("r 2 250", ["r.dat 16 200", "s.dat 32 200"], r"s\.dat has 1200 bytes, but 600 instants"),
        ("r 1 250 600", ["r.dat 516 200"], r"says format 516, but r\.dat is no FLAC file"),
        ("r 1 250", ["r.dat 516 200"], r"write the number of samples after the sampling rate"),
        ("r 2 250 600", ["r.dat 16 200"], r"r\.hea says 2 signals in its first line and describes 1; correct"),
        ("r 1 250 300", ["r.dat 16 200"] * 2, r"r\.hea says 1 signals in its first line and describes 2; correct"),
        ("r 2 250 300", ["r.dat 16 200", "r.dat 212 200"], r"signals of r\.dat in formats 16 and 212"),
        (
            "r 3 250 300",
            ["r.dat 16 200", "s.dat 16 200", "r.dat 16 200"],
            r"signals of another file between those of r",
        ),
        ("r 1 250 600", ["r.dat 16x0 200"], r"0 samples a frame"),
        ("r 1 250 600", ["r.dat 16:600 200"], r"a skew of 600 in a record of 600 instants"),
        ("r 1 250 600", ["r.dat 8 200 16 0 99999999999 0 0 II"], r"an initial value of 99999999999 cannot be"),
        ("m/3 1 250 600", ["s 300", "s 300"], r"r\.hea says 3 segments in its first line and describes 2; correct"),
        ("m/1 1 250 600", ["s 300", "s 300"], r"r\.hea says 1 segments in its first line and describes 2; correct"),
        ("m/2 1 250 700", ["s 600", "s 600"], r"says that it has 700 samples, those of its segments are 1200; correct"),
        ("m/2 1 250 600", ["s 300", "s 300"], r"says that segment s has 300 samples, that of the segment says 600;"),
        ("m/3 1 250", ["l 0", "s 600", f"~ {10**15}"], r"1000000000000600 samples, .* more than are read"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, head: str, lines: list[str], expected: str) -> None:
    header(tmp_path, "s", "s 1 250 600\ns.dat 16 200/mV 16 0 0 0 0 II\n")
    header(tmp_path, "l", "l 1 250 0\n~ 0 200/mV 16 0 0 0 0 II\n")
    with pytest.raises(RecordError, match=expected) as caught:
        of(tmp_path, head, *lines)
    assert not {"index", "reshape", "loaded"}.intersection(str(caught.value).split())


def test_a_file_that_does_not_hold_flac_is_told(tmp_path: Path) -> None:
    path = header(tmp_path, "r", "r 1 250 600\nr.dat 516 200/mV 16 0 0 0 0 II\n", b"fLaC" + bytes(100))
    with pytest.raises(RecordError, match=r"cannot be read as its header describes it .*; fetch it again, or correct"):
        read_record(path)


def test_what_a_skew_leaves_without_samples_is_missing(tmp_path: Path) -> None:
    record = of(tmp_path, "r 1 125 300", "r.dat 16x2:3 200/mV 16 0 0 0 0 II")
    np.testing.assert_array_equal(record.samples[:297, 0], np.rint(np.arange(3, 300) * 2 + 0.5))
    assert np.all(record.samples[297:] == frames.INVALID)


def test_signals_of_one_file_may_have_skews_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "r.dat").write_bytes(np.arange(600, dtype="<i2").tobytes())
    lines = "r 2 250 300\nr.dat 16:1 200/mV 16 0 0 0 0 II\nr.dat 16:2 200/mV 16 0 0 0 0 V1\n"
    (tmp_path / "r.hea").write_text(lines, encoding="utf-8")
    samples = read_record(tmp_path / "r").samples
    assert samples[:2].tolist() == [[2, 5], [4, 7]]
    assert samples[-3:].tolist() == [[596, 599], [598, frames.INVALID], [frames.INVALID, frames.INVALID]]


def test_a_file_may_hold_more_than_the_header_says(tmp_path: Path) -> None:
    np.testing.assert_array_equal(of(tmp_path, "r 1 250 300", "r.dat 16 200").samples[:, 0], np.arange(300))
