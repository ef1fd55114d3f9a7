"""Records of several segments are read as those of one: each sample that is there, each lead, whatever its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from replay.records import Record, read_record
from stream import frames
from stream.errors import RecordError
from tests.replay.test_records import header, millivolts

LENGTH = 200  # instants of each segment


def segment(folder: Path, name: str, lines: list[str], rows: npt.ArrayLike | None = None, rate: float = 250) -> None:
    """A segment of `LENGTH` instants; each line is what follows the name of its signal file."""
    text = "".join(f"{name}.dat {line}\n" for line in lines)
    data = np.arange(LENGTH * len(lines)) if rows is None else np.asarray(rows)
    header(folder, name, f"{name} {len(lines)} {rate:g} {LENGTH}\n{text}", data.astype("<i2").tobytes())


def joined(folder: Path, *names: str, signals: int = 1, rate: float = 250, layout: list[str] | None = None) -> Record:
    """The record of these segments, of variable layout if one is given."""
    length = LENGTH * len(names)
    lines = [f"{name} {LENGTH}\n" for name in names]
    if layout is not None:
        header(folder, "layout", f"layout {signals} {rate:g} 0\n" + "".join(f"~ {line}\n" for line in layout))
        lines = ["layout 0\n", *lines]
    head = f"m/{len(lines)} {signals} {rate:g} {length}\n"
    return read_record(header(folder, "m", head + "".join(lines)))


@pytest.mark.parametrize("layout", [None, ["0x2 200/mV 16 0 0 0 0 II"]])
def test_a_missing_sample_of_a_frame_is_left_out(tmp_path: Path, layout: list[str] | None) -> None:
    """It is no reading of -164 mV, of which half would be a spike."""
    rows = np.tile([10, 12], LENGTH)
    rows[[0, 4, 5]] = -32768
    for name in ("s1", "s2"):
        segment(tmp_path, name, ["16x2 200(0)/mV 16 0 0 0 0 II"], rows)
    record = joined(tmp_path, "s1", "s2", layout=layout)
    expected = np.full(LENGTH, 11)
    expected[[0, 2]] = 12, frames.INVALID
    np.testing.assert_array_equal(record.samples[:, 0], np.tile(expected, 2))
    assert record.units_per_bit == (0.005,)


def test_segments_may_have_more_samples_a_frame_than_others(tmp_path: Path) -> None:
    segment(tmp_path, "s1", ["16x2 200/mV 16 0 0 0 0 II"], np.tile([10, 12], LENGTH))
    segment(tmp_path, "s2", ["16 400/mV 16 0 0 0 0 II"], np.full(LENGTH, 44))
    record = joined(tmp_path, "s1", "s2", layout=["0 200/mV 16 0 0 0 0 II"])
    np.testing.assert_array_equal(record.samples[:, 0], np.repeat([22, 44], LENGTH))
    assert record.units_per_bit == (0.0025,)


def test_leads_of_one_name_keep_their_gains(tmp_path: Path) -> None:
    lines = ["16 200/mV 16 0 0 0 0 II", "16 20000/mV 16 0 0 0 0 II"]
    for name in ("s1", "s2"):
        segment(tmp_path, name, lines)
    for layout in (None, ["0 200/mV 16 0 0 0 0 II"] * 2):
        record = joined(tmp_path, "s1", "s2", signals=2, layout=layout)
        assert record.leads == ("MDC_ECG_LEAD_II", "MDC_ECG_LEAD_II_2")
        assert record.units_per_bit == (0.005, 0.00005)
        np.testing.assert_array_equal(record.samples, np.tile(np.arange(LENGTH * 2).reshape(-1, 2), (2, 1)))


@pytest.mark.parametrize("layout", [None, ["0 200/mV"] * 2])
def test_leads_without_names(tmp_path: Path, layout: list[str] | None) -> None:
    for name in ("s1", "s2"):
        segment(tmp_path, name, ["16 200/mV", "16 400/mV"])
    record = joined(tmp_path, "s1", "s2", signals=2, layout=layout)
    assert record.leads == ("MDC_ECG_LEAD_CONFIG", "MDC_ECG_LEAD_CONFIG_2")
    assert record.units_per_bit == (0.005, 0.0025)
    np.testing.assert_array_equal(record.samples, np.tile(np.arange(LENGTH * 2).reshape(-1, 2), (2, 1)))


def test_which_of_two_leads_of_one_name_a_segment_has_is_asked(tmp_path: Path) -> None:
    segment(tmp_path, "s1", ["16 200/mV 16 0 0 0 0 II"] * 2)
    segment(tmp_path, "s2", ["16 200/mV 16 0 0 0 0 II"])
    with pytest.raises(RecordError, match=r"2 of its signals are called II, in segment s2 1, .* give each a name"):
        joined(tmp_path, "s1", "s2", signals=2, layout=["0 200/mV 16 0 0 0 0 II"] * 2)


def test_a_lead_is_missing_where_a_segment_does_not_have_it(tmp_path: Path) -> None:
    segment(tmp_path, "s1", ["16 200/mV 16 0 0 0 0 V1", "16 200/mV 16 0 0 0 0 II"])
    segment(tmp_path, "s2", ["16 200/mV 16 0 0 0 0 V1"])
    segment(tmp_path, "s3", ["16 1/mmHg 16 0 0 0 0 ABP"])
    layout = [f"0 {line} 16 0 0 0 0 {name}" for name, line in (("II", "200/mV"), ("V1", "200/mV"), ("ABP", "1/mmHg"))]
    record = joined(tmp_path, "s1", "s2", "s3", signals=3, layout=layout)
    there = np.arange(LENGTH * 2).reshape(-1, 2)
    np.testing.assert_array_equal(record.samples[:LENGTH], there[:, ::-1])
    np.testing.assert_array_equal(record.samples[LENGTH : 2 * LENGTH, 1], np.arange(LENGTH))
    assert np.all(record.samples[LENGTH:, 0] == frames.INVALID)
    assert np.all(record.samples[2 * LENGTH :] == frames.INVALID)


def test_a_lead_of_the_layout_alone_is_none(tmp_path: Path) -> None:
    for name in ("s1", "s2"):
        segment(tmp_path, name, ["16 200/mV 16 0 0 0 0 II"])
    layout = ["0 200/mV 16 0 0 0 0 V1", "0 200/mV 16 0 0 0 0 II"]
    assert joined(tmp_path, "s1", "s2", signals=2, layout=layout).leads == ("MDC_ECG_LEAD_II",)
    with pytest.raises(RecordError, match="in none of its segments"):
        joined(tmp_path, "s1", "s2", layout=layout[:1])


def test_a_segment_of_fewer_signals_needs_a_layout(tmp_path: Path) -> None:
    segment(tmp_path, "s1", ["16 200/mV 16 0 0 0 0 II", "16 200/mV 16 0 0 0 0 V1"])
    segment(tmp_path, "s2", ["16 200/mV 16 0 0 0 0 II"])
    with pytest.raises(RecordError, match=r"segment s2 has 1 signals, those before it 2; put a layout segment"):
        joined(tmp_path, "s1", "s2", signals=2)


def test_each_segment_is_read_in_its_own_unit(tmp_path: Path) -> None:
    segment(tmp_path, "s1", ["16 200/mV 16 0 0 0 0 II"])
    segment(tmp_path, "s2", ["16 0.2/uV 16 0 0 0 0 II"])
    record = joined(tmp_path, "s1", "s2")
    np.testing.assert_allclose(millivolts(record)[:, 0], np.tile(np.arange(LENGTH), 2) * 0.005)


def test_segments_of_segments_are_refused_in_words(tmp_path: Path) -> None:
    segment(tmp_path, "s1", ["16 200/mV 16 0 0 0 0 II"])
    header(tmp_path, "inner", f"inner/1 1 250 {LENGTH}\ns1 {LENGTH}\n")
    for name in ("inner", "m"):
        with pytest.raises(
            RecordError, match=f"segment {name} is itself one of several .* name the segments of {name}"
        ):
            joined(tmp_path, "s1", name)
