"""Headers are read as WFDB means them, where the package `wfdb` reads something else, and refused in words."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from replay.records import Record, find_records, read_record
from stream import frames
from stream.errors import RecordError
from tests.replay.test_records import millivolts

LENGTH = 300  # instants of each record below; they count up
PLAIN = "r.dat 16 200/mV 16 0 0 0 0 II"


def written(folder: Path, text: str, name: str = "r", encoding: str = "utf-8", signals: int = 1) -> Path:
    """A record of the text of its header, and a signal file in format 16."""
    (folder / f"{name}.hea").write_bytes(text.encode(encoding))
    np.arange(LENGTH * signals, dtype="<i2").tofile(folder / f"{name}.dat")
    return folder / name


def of(folder: Path, line: str, head: str = "r 1 250 300", encoding: str = "utf-8") -> Record:
    return read_record(written(folder, f"{head}\n{line}\n", encoding=encoding))


@pytest.mark.parametrize(("sign", "encoding"), [("µ", "utf-8"), ("μ", "utf-8"), ("µ", "latin-1")])
def test_microvolts_by_their_sign(tmp_path: Path, sign: str, encoding: str) -> None:
    record = of(tmp_path, f"r.dat 16 0.2(0)/{sign}V 16 0 0 0 0 II", encoding=encoding)
    assert record.units_per_bit == (0.005,)
    np.testing.assert_array_equal(record.samples[:, 0], np.arange(LENGTH))
    assert record.name == "r"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_microvolts_of_segments(tmp_path: Path, encoding: str) -> None:
    for name in ("s1", "s2"):
        written(tmp_path, f"{name} 1 250 300\n{name}.dat 16 0.2/µV 16 0 0 0 0 II\n", name, encoding)
    fixed = written(tmp_path, "m/2 1 250 600\ns1 300\ns2 300\n", "m")
    (tmp_path / "layout.hea").write_bytes("layout 1 250 0\n~ 0 0.2/µV 16 0 0 0 0 II\n".encode(encoding))
    variable = written(tmp_path, "v/4 1 250 700\nlayout 0\ns1 300\n~ 100\ns2 300\n", "v")
    np.testing.assert_allclose(millivolts(read_record(fixed))[:, 0], np.tile(np.arange(LENGTH), 2) * 0.005)
    record = read_record(variable)
    np.testing.assert_allclose(millivolts(record)[400:, 0], np.arange(LENGTH) * 0.005)
    assert np.all(record.samples[300:400] == frames.INVALID)


def test_another_sign_is_not_left_out_of_a_unit(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no ECG among"):
        of(tmp_path, "r.dat 16 20000/ΩV 16 0 0 0 0 II")


def test_signs_in_comments_and_names_change_nothing(tmp_path: Path) -> None:
    record = of(tmp_path, "# Größe in µV\nr.dat 16 200/mV 16 0 0 0 0 II ü")
    assert record.units_per_bit == (0.005,)


@pytest.mark.parametrize("gain", ["2e2/mV", "2E2/mV", "2.0E+02(0)/mV", "+200/mV", "2000e-1", "2e-1/µV", "2e5/V"])
def test_gains_with_exponents(tmp_path: Path, gain: str) -> None:
    record = of(tmp_path, f"r.dat 16 {gain} 16 0 0 0 0 II")
    assert record.units_per_bit[0] == pytest.approx(0.005, rel=1e-12)
    assert record.leads == ("MDC_ECG_LEAD_II",)


@pytest.mark.parametrize(
    "gain", ["1e400/mV", "1e-30/mV", "-3E99", "1e-99999999/mV", "0.1e-400", "1e-99999999999999999999"]
)
def test_gains_that_cannot_be(tmp_path: Path, gain: str) -> None:
    with pytest.raises(RecordError, match=r"a gain of .* cannot be; correct it"):
        of(tmp_path, f"r.dat 16 {gain} 16 0 0 0 0 II")


@pytest.mark.parametrize("rate", ["3.6e2", "3.6E+02", "+360", "36e1/360(0)"])
def test_rates_with_exponents(tmp_path: Path, rate: str) -> None:
    assert of(tmp_path, PLAIN, head=f"r 1 {rate} 300").rate_mHz == 360_000


@pytest.mark.parametrize("gain", ["0e99999999/mV", "0", "0.0e-99999999(0)"])
def test_a_gain_of_0_is_none(tmp_path: Path, gain: str) -> None:
    assert of(tmp_path, f"r.dat 16 {gain} 16 0 0 0 0 II").units_per_bit == (0.005,)


@pytest.mark.parametrize("baseline", ["100", "1e2", "+100", "100.4", "1.0E+02", "00100"])
def test_baselines_written_otherwise(tmp_path: Path, baseline: str) -> None:
    for field in (f"200({baseline})/mV 16 7", f"200/mV 16 {baseline}"):
        record = of(tmp_path, f"r.dat 16 {field} 0 0 0 II")
        assert (record.leads, record.units_per_bit) == (("MDC_ECG_LEAD_II",), (0.005,))
        np.testing.assert_array_equal(record.samples[:, 0], np.arange(LENGTH) - 100)


@pytest.mark.parametrize("number", ["9" * 20, "-" + "9" * 5000, "1e300", "-1e99999999", "1e12"])
def test_baselines_that_cannot_be(tmp_path: Path, number: str) -> None:
    with pytest.raises(RecordError, match=r"a baseline of .* cannot be; correct it in its header"):
        of(tmp_path, f"r.dat 16 200({number})/mV 16 0 0 0 0 II")
    with pytest.raises(RecordError, match=r"an ADC zero of .* cannot be; correct it") as caught:
        of(tmp_path, f"r.dat 16 200/mV 16 {number} 0 0 0 II")
    assert len(str(caught.value)) < 200


def test_a_baseline_that_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="a baseline of low cannot be"):
        of(tmp_path, "r.dat 16 200(low)/mV 16 0 0 0 0 II")


@pytest.mark.parametrize("baseline", ["1e11", "-1e11"])
@pytest.mark.parametrize("gain", ["1e15/nV", "1e-3/uV", "1/mV", "200/mV", "1e15/V"])
def test_the_farthest_baselines_in_any_unit(tmp_path: Path, baseline: str, gain: str) -> None:
    before, unit = gain.split("/")
    line = f"r.dat 16 {before}({baseline})/{unit} 16 0 0 0 0 II"
    record = of(tmp_path, line)
    assert record.samples.shape == (LENGTH, 1)
    written(tmp_path, f"s1 1 250 300\n{line.replace('r.dat', 's1.dat')}\n", "s1")
    written(tmp_path, "s2 1 250 300\ns2.dat 16 1e15/nV 16 0 0 0 0 II\n", "s2")
    assert read_record(written(tmp_path, "m/2 1 250 600\ns1 300\ns2 300\n", "m")).samples.shape == (600, 1)


@pytest.mark.parametrize("rate", ["-360", "-3.6e2", "fast", "nan", "1e99", "1e999", "1e-999", "1e-99999999", "-0"])
def test_rates_that_cannot_be(tmp_path: Path, rate: str) -> None:
    with pytest.raises(RecordError, match=rf"sampling rate as '{rate}'; correct it"):
        of(tmp_path, PLAIN, head=f"r 1 {rate} 300")


@pytest.mark.parametrize("length", ["3e2", "-5", "300.5", "many"])
def test_a_number_of_samples_that_is_none_is_told(length: str, tmp_path: Path) -> None:
    (tmp_path / "r.dat").write_bytes(bytes(600))
    (tmp_path / "r.hea").write_text(f"r 1 250 {length}\nr.dat 16 200/mV 16 0 0 0 0 II\n", encoding="utf-8")
    with pytest.raises(RecordError, match=f"number of samples as '{length}'; correct it"):
        read_record(tmp_path / "r")


@pytest.mark.parametrize(
    "when",
    ["24:00:00", "99:99:99 45/13/2001", "12:00:00 31/02/2004", "12:00:00 7", "7 7", "12:00:00 01-01-2004", "noon",
     "12:00:00 01/02/04", ":::"],
)  # fmt: skip
def test_a_time_that_cannot_be_is_none(tmp_path: Path, when: str) -> None:
    record = of(tmp_path, PLAIN, head=f"r 1 250 300 {when}")
    assert record.start is None
    np.testing.assert_array_equal(record.samples[:, 0], np.arange(LENGTH))


def test_more_decimals_of_a_second_than_microseconds(tmp_path: Path) -> None:
    record = of(tmp_path, PLAIN, head="r 1 250 300 12:00:00.1234567 01/02/2004")
    assert record.start == dt.datetime(2004, 2, 1, 12, 0, 0, 123_456, tzinfo=dt.UTC)


def test_a_mended_header_has_no_say_in_where_files_are(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"signal file gone\.dat is missing"):
        of(tmp_path, "gone.dat 16 2e2/mV 16 0 0 0 0 II")
    with pytest.raises(RecordError, match="is not a header"):
        of(tmp_path, "../r.dat 16 2e2/mV 16 0 0 0 0 II")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty; fetch it again"),
        ("# nothing but this\n\n", "is empty; fetch it again"),
        ("r\n", r"is not a header .*record line"),
        ("r 1 250 300\nr.dat\n", r"is not a header .*signal line"),
        ("r/2 1 250 600\nr 300\nr 300\n", "its segment r is itself one of several segments"),
        ("r/2 1 250 600\nr_1 300\nr_2 300\n", r"the header r_1\.hea of one of its segments is missing"),
    ],
)
def test_other_headers_are_refused_in_words(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(RecordError, match=expected) as caught:
        read_record(written(tmp_path, text))
    assert "index" not in str(caught.value)


def test_formats_that_are_not_read(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"format 99 .*is not read, only 8, 16, .*524; convert it") as caught:
        of(tmp_path, "r.dat 99 200/mV 16 0 0 0 0 II")
    assert "cut short" not in str(caught.value)


def test_null_signals_are_left_out(tmp_path: Path) -> None:
    for null in ("V2", "ABP"):
        record = of(tmp_path, f"~ 0 200/mV 16 0 0 0 0 {null}\n{PLAIN}", head="r 2 250 300")
        assert record.leads == ("MDC_ECG_LEAD_II",)
        np.testing.assert_array_equal(record.samples[:, 0], np.arange(LENGTH))


def test_null_signals_alone_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="null signals"):
        of(tmp_path, "~ 0 200/mV 16 0 0 0 0 II")
    with pytest.raises(RecordError, match="write the number of samples"):
        of(tmp_path, f"~ 0 200/mV 16 0 0 0 0 V1\n{PLAIN}", head="r 2 250")


def test_null_signals_of_segments(tmp_path: Path) -> None:
    for name, second in (("s1", "~ 0"), ("s2", "~ 0"), ("s3", "s3b.dat 16")):
        lines = f"{name}.dat 16 200/mV 16 0 0 0 0 II\n{second} 200/mV 16 0 0 0 0 V1\n"
        written(tmp_path, f"{name} 2 250 300\n{lines}", name)
    assert read_record(written(tmp_path, "m/2 2 250 600\ns1 300\ns2 300\n", "m")).leads == ("MDC_ECG_LEAD_II",)
    with pytest.raises(RecordError, match="a null signal in a part of the record"):
        read_record(written(tmp_path, "n/2 2 250 600\ns1 300\ns3 300\n", "n"))


@pytest.mark.parametrize("unit", ["NU", "adu"])
def test_units_that_are_not_understood(tmp_path: Path, unit: str) -> None:
    with pytest.raises(RecordError, match=rf"{unit} is no unit of voltage.*size of II .*write .* mV \(or uV, V\)"):
        of(tmp_path, f"r.dat 16 200/{unit} 16 0 0 0 0 II")


@pytest.mark.parametrize(("gain", "unit"), [("200", "millivolt"), ("200", "mVolts"), ("0.2", "microvolts")])
def test_units_written_out(tmp_path: Path, gain: str, unit: str) -> None:
    assert of(tmp_path, f"r.dat 16 {gain}/{unit} 16 0 0 0 0 II").units_per_bit == (0.005,)


def test_segments_of_another_rate_are_refused(tmp_path: Path) -> None:
    for name, rate in (("s1", 250), ("s2", 500), ("s3", 249.9999)):
        written(tmp_path, f"{name} 1 {rate} 300\n{name}.dat 16 200/mV 16 0 0 0 0 II\n", name)
    assert read_record(written(tmp_path, "n/2 1 250 600\ns1 300\ns3 300\n", "n")).rate_mHz == 250_000
    with pytest.raises(RecordError, match=r"says 250 Hz, those of its segments 500 Hz; bring all"):
        read_record(written(tmp_path, "m/2 1 250 600\ns1 300\ns2 300\n", "m"))


@pytest.mark.parametrize("rate", ["fast", "1e-99999999", "-250"])
def test_rates_of_segments_that_cannot_be(tmp_path: Path, rate: str) -> None:
    written(tmp_path, f"s1 1 {rate} 300\ns1.dat 16 200/mV 16 0 0 0 0 II\n", "s1")
    with pytest.raises(RecordError, match=rf"sampling rate of s1 as '{rate}'; correct it"):
        read_record(written(tmp_path, "m/1 1 250 300\ns1 300\n", "m"))


def test_segments_in_other_units_than_volts_are_refused(tmp_path: Path) -> None:
    for name, gain in (("s1", "200/mV"), ("s2", "200/NU")):
        written(tmp_path, f"{name} 1 250 300\n{name}.dat 16 {gain} 16 0 0 0 0 II\n", name)
    with pytest.raises(RecordError, match=r"II is in NU in one part .*\(s2\).* write gains of one unit"):
        read_record(written(tmp_path, "m/2 1 250 600\ns1 300\ns2 300\n", "m"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("first", ["", "# Größe\n"])
def test_marks_of_the_encoding_are_no_part_of_a_header(tmp_path: Path, encoding: str, first: str) -> None:
    mark = "\ufeff" if encoding == "utf-16-be" else ""  # the others bring theirs
    text = f"{mark}{first}s 1 250 300\ns.dat 16 0.2(0)/µV 16 0 0 0 0 II\n"
    assert read_record(written(tmp_path, text, "s", encoding)).units_per_bit == (0.005,)
    multi = written(tmp_path, f"{mark}{first}m/2 1 250 600\ns 300\ns 300\n", "m", encoding)
    np.testing.assert_array_equal(read_record(multi).samples[:, 0], np.tile(np.arange(LENGTH), 2))
    assert find_records([tmp_path]) == [multi]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-32"])
def test_headers_that_are_no_text_are_refused(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(RecordError, match=r"r\.hea is no text in ASCII or UTF-8; save it as such"):
        of(tmp_path, PLAIN, encoding=encoding)
