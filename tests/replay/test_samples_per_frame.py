"""Records of several samples a frame, as recorders write signals of different rates into one file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from replay.records import read_record
from stream import frames
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
