"""Records of several samples a frame, as recorders write signals of different rates into one file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from replay.records import Record, read_record
from stream import frames
from stream.errors import RecordError
from tests.replay.test_records import header

LENGTH = 300  # frames of each record


@pytest.mark.parametrize("gain", ["200", "-200", "199.7"])
@pytest.mark.parametrize("fmt", ["16", "61", "160"])
def test_every_byte_order(tmp_path: Path, fmt: str, gain: str) -> None:
    """`wfdb` itself does not read format 61 with several samples a frame."""
    rows = np.arange(LENGTH)[:, None] * 2 + [[1, 3]] + 1000
    missing = np.zeros_like(rows, dtype=bool)
    missing[3:5, 1] = missing[4, 0] = True
    stored = np.where(missing, -32768, rows)
    data = (stored + 32768).astype("<u2") if fmt == "160" else stored.astype(">i2" if fmt == "61" else "<i2")
    text = f"r 1 125 {LENGTH}\nr.dat {fmt}x2 {gain}(1000)/mV 16 0 0 0 0 II\n"
    record = read_record(header(tmp_path, "r", text, data.tobytes()))
    expected = (np.arange(LENGTH) * 2 + 2) * (-1 if gain.startswith("-") else 1)
    expected[3] += 1 if gain.startswith("-") else -1  # of the two samples of a frame one is there
    expected[4] = frames.INVALID
    np.testing.assert_array_equal(record.samples[:, 0], expected)
    assert record.units_per_bit == (1 / abs(float(gain)),)


def of(folder: Path, rate: float, *counts: int, names: str = "I II III", length: int = LENGTH) -> Record:
    """A record of leads with so many samples a frame; each counts its own samples."""
    rows = [np.arange(length * count).reshape(length, count) for count in counts]
    data = np.concatenate(rows, axis=1).astype("<i2")
    data[5, 0] = -32768
    lines = [f"r.dat 16x{n} 200/mV 16 0 0 0 0 {name}\n" for n, name in zip(counts, names.split(), strict=False)]
    return read_record(header(folder, "r", f"r {len(counts)} {rate:g} {length}\n" + "".join(lines), data.tobytes()))


@pytest.mark.parametrize(("rate", "expected"), [(62.5, 250_000), (62.4725, 249_890), (25, 100_000)])
def test_frames_too_slow_for_an_ecg_are_read_sample_by_sample(tmp_path: Path, rate: float, expected: int) -> None:
    record = of(tmp_path, rate, 4, 2, 1, names="II PLETH RESP")
    assert (record.rate_mHz, record.leads) == (expected, ("MDC_ECG_LEAD_II",))
    there = np.arange(4 * LENGTH)
    there[20] = frames.INVALID  # one sample of its frame, not all four
    np.testing.assert_array_equal(record.samples[:, 0], there)


def test_leads_of_more_samples_a_frame_than_others_are_averaged(tmp_path: Path) -> None:
    record = of(tmp_path, 62.5, 4, 8)
    assert record.rate_mHz == 250_000
    np.testing.assert_array_equal(record.samples[24:, 0], np.arange(24, 4 * LENGTH))
    np.testing.assert_array_equal(record.samples[:, 1], np.rint(np.arange(4 * LENGTH) * 2 + 0.5))


def test_a_lead_too_slow_for_an_ecg_is_left_out(tmp_path: Path) -> None:
    assert of(tmp_path, 62.5, 4, 1, 4).leads == ("MDC_ECG_LEAD_I", "MDC_ECG_LEAD_III")


def test_more_than_1000_hz_are_averaged(tmp_path: Path) -> None:
    record = of(tmp_path, 50, 40, length=100)
    assert record.rate_mHz == 1_000_000
    assert record.samples.shape == (2000, 1)


@pytest.mark.parametrize(
    ("rate", "counts", "expected"),
    [
        (62.5, (1,), r"sampled at 62\.5 Hz, but 100 to 1000 Hz"),
        (62.5, (2, 3), r"sampled at 62\.5 Hz, in frames of 2 and 3 samples, but"),
        (10, (4,), r"sampled at 10 Hz, in frames of 4 samples, but"),
        (2000, (1,), r"sampled at 2000 Hz, but"),
        (2000, (4,), r"sampled at 2000 Hz, in frames of 4 samples, but"),
    ],
)
def test_what_no_rate_fits_is_refused(tmp_path: Path, rate: float, counts: tuple[int, ...], expected: str) -> None:
    with pytest.raises(RecordError, match=expected):
        of(tmp_path, rate, *counts)


def test_segments_in_slow_frames_and_a_gap_between(tmp_path: Path) -> None:
    for name in ("s1", "s2"):
        text = f"{name} 1 62.5 {LENGTH}\n{name}.dat 16x4 200/mV 16 0 0 0 0 II\n"
        header(tmp_path, name, text, np.arange(4 * LENGTH, dtype="<i2").tobytes())
    header(tmp_path, "layout", "layout 1 62.5 0\n~ 0x4 200/mV 16 0 0 0 0 II\n")
    text = f"m/4 1 62.5 {2 * LENGTH + 50}\nlayout 0\ns1 {LENGTH}\n~ 50\ns2 {LENGTH}\n"
    record = read_record(header(tmp_path, "m", text))
    assert record.rate_mHz == 250_000
    there = np.arange(4 * LENGTH)
    np.testing.assert_array_equal(record.samples[:, 0], np.concatenate([there, np.full(200, frames.INVALID), there]))
