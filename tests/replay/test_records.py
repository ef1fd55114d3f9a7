"""Records come in as what was written: millivolts within half a step, invalid samples as such, errors in words."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import wfdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replay import folders
from replay.records import Record, find_records, read_record, wanted
from replay.samples import FARTHEST_MV, OFFSET_MV
from stream import frames
from stream.errors import RecordError, SettingsError
from stream.settings import data_dirs
from tests.conftest import missing

#: Range of the formats that a signal may be stored in, and their mark for "no reading".
RANGES = {"212": (-2047, 2047, -2048), "16": (-32767, 32767, -32768), "24": (-(2**23) + 1, 2**23 - 1, -(2**23)),
          "32": (-(2**31) + 1, 2**31 - 1, -(2**31)), "80": (-127, 127, -128)}  # fmt: skip


def write(folder: Path, name: str, digital: npt.NDArray[np.int64], **fields: Any) -> Path:
    """Write a record; fields as `wfdb.wrsamp` names them."""
    count = digital.shape[1]
    options = {
        "fs": 250,
        "units": ["mV"] * count,
        "sig_name": [f"ECG{i}" for i in range(count)],
        "fmt": ["16"] * count,
        "adc_gain": [200.0] * count,
        "baseline": [0] * count,
    }
    wfdb.wrsamp(name, d_signal=digital, write_dir=str(folder), **(options | fields))
    return folder / name


def header(folder: Path, name: str, text: str, data: bytes = b"") -> Path:
    (folder / f"{name}.hea").write_text(text)
    if data:
        (folder / f"{name}.dat").write_bytes(data)
    return folder / name


def millivolts(record: Record) -> npt.NDArray[np.float64]:
    values = record.samples * np.array(record.units_per_bit)
    return np.where(record.samples == frames.INVALID, np.nan, values)


def as_frame(record: Record) -> frames.Frame:
    data = record.samples[: record.rate_mHz // 1000].tobytes()
    return frames.Frame("bed", 0, 0, 0, 0, record.rate_mHz, record.leads, record.units_per_bit, data)


@st.composite
def stored(draw: st.DrawFn) -> tuple[str, npt.NDArray[np.int64], list[float], list[int], list[str], float]:
    fmt = draw(st.sampled_from(sorted(RANGES)))
    low, high, invalid = RANGES[fmt]
    leads = draw(st.integers(1, 3))
    far = 2**24  # steps: as far as an ECG may go at the coarsest gain below
    value = st.one_of(
        st.integers(max(low, -far), min(high, far)), st.integers(max(low, -200), min(high, 200)), st.just(invalid)
    )
    length = draw(st.integers(2, 40))
    digital = draw(st.lists(st.lists(value, min_size=leads, max_size=leads), min_size=length, max_size=length))
    gains = draw(st.lists(st.floats(2100, 50_000), min_size=leads, max_size=leads))
    baselines = draw(st.lists(st.integers(-300_000, 300_000), min_size=leads, max_size=leads))
    units = draw(st.lists(st.sampled_from(["mV", "uV", "nV"]), min_size=leads, max_size=leads))
    rate = draw(st.sampled_from([100, 128, 250, 257, 360, 512, 999.5, 1000]))
    return fmt, np.array(digital, dtype=np.int64), gains, baselines, units, rate


@given(stored())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_millivolts_are_those_written(
    tmp_path: Path, given_record: tuple[str, npt.NDArray[np.int64], list[float], list[int], list[str], float]
) -> None:
    fmt, digital, gains, baselines, units, rate = given_record
    count = digital.shape[1]
    scale = {"mV": 1.0, "uV": 1e-3, "nV": 1e-6}
    steps = np.array([scale[u] / g for u, g in zip(units, gains, strict=True)])
    path = write(tmp_path, "r", digital, fs=rate, fmt=[fmt] * count, adc_gain=gains, baseline=baselines, units=units)
    record = read_record(path)
    frames.check(as_frame(record))
    assert record.samples.dtype == np.int16
    assert record.rate_mHz == round(rate * 1000)
    invalid = digital == RANGES[fmt][2]
    np.testing.assert_array_equal(record.samples == frames.INVALID, invalid)
    truth = np.where(invalid, 0, digital - baselines)  # in steps of the file
    for i, step in enumerate(steps):  # without the offset, and no farther than an ECG goes
        valid = ~invalid[:, i]
        middle = round(float(np.median(truth[valid, i]))) if valid.any() else 0
        if abs(middle) * step > OFFSET_MV and truth[valid, i].min() < middle < truth[valid, i].max():
            truth[valid, i] -= middle
        if np.abs(truth[:, i]).max() > 32767:
            farthest = max(int(FARTHEST_MV / step), 32767)
            truth[:, i] = np.clip(truth[:, i], -farthest, farthest)
    found = np.where(invalid, 0, record.samples.astype(np.int64))
    factor = np.array(record.units_per_bit) / steps  # steps of the file in one of the record
    assert np.log2(factor) == pytest.approx(np.round(np.log2(factor)), abs=1e-9)
    assert np.all(np.abs(found * np.round(factor) - truth) <= np.where(factor > 1.5, factor / 2, 0))
    enough = (np.abs(found).max(axis=0) >= 2**14 - 1) | (np.array(record.units_per_bit) < 2e-7)
    assert np.all((factor < 1.5) | enough)  # no more bits are given away than needed


def test_gain_and_unit_defaults(tmp_path: Path) -> None:
    data = np.array([[200, 200]] * 300, dtype="<i2").tobytes()
    record = read_record(header(tmp_path, "r", "r 2 250 300\nr.dat 16 0 16 0 0 0 0 noise1\nr.dat 16\n", data))
    assert record.units_per_bit == (1 / 200, 1 / 200)
    assert np.all(millivolts(record) == 1.0)


def test_baseline_defaults_to_adc_zero(tmp_path: Path) -> None:
    data = np.full((300, 1), 1224, dtype="<i2").tobytes()
    record = read_record(header(tmp_path, "r", "r 1 360 300\nr.dat 16 200 11 1024 0 0 0 MLII\n", data))
    assert np.all(millivolts(record) == 1.0)


def test_twelve_leads_of_fifteen(tmp_path: Path) -> None:
    names = ["i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6", "vx", "vy", "vz"]
    digital = np.arange(15)[None, :].repeat(500, axis=0)
    path = write(tmp_path, "r", digital, sig_name=names, units=["mV"] * 15, fmt=["16"] * 15, adc_gain=[2000.0] * 15)
    record = read_record(path)
    assert len(record.leads) == 12
    assert record.leads[-1] == "MDC_ECG_LEAD_V6"
    np.testing.assert_array_equal(record.samples[0], np.arange(12))


def test_a_lead_with_a_name_is_not_lost_behind_fifteen_without(tmp_path: Path) -> None:
    names = [*(f"ECG{i}" for i in range(14)), "MLII"]
    digital = np.arange(15)[None, :].repeat(500, axis=0)
    path = write(tmp_path, "r", digital, sig_name=names, units=["mV"] * 15, fmt=["16"] * 15, adc_gain=[200.0] * 15)
    record = read_record(path)
    assert record.leads[-1] == "MDC_ECG_LEAD_II"
    assert [int(column[0]) for column in record.samples.T] == [*range(11), 14]


def test_only_the_ecg_of_a_polygraph(tmp_path: Path) -> None:
    digital = np.arange(4)[None, :].repeat(500, axis=0)
    path = write(tmp_path, "r", digital, sig_name=["ABP", "II", "RESP", "V"], units=["mmHg", "mV", "mV", "mV"])
    record = read_record(path)
    assert record.leads == ("MDC_ECG_LEAD_II", "MDC_ECG_LEAD_V")
    np.testing.assert_array_equal(record.samples[0], [1, 3])


def test_several_samples_a_frame_come_at_the_frame_rate(tmp_path: Path) -> None:
    # Two samples of the ECG a frame, one of the pressure: 10 12 | -, 20 invalid | -, invalid invalid | -
    rows = [[10, 12, 5], [20, -32768, 5], [-32768, -32768, 5]] * 100
    text = "r 2 125 300\nr.dat 16x2 200(0)/mV 16 0 0 0 0 II\nr.dat 16 1(0)/mmHg 16 0 0 0 0 ABP\n"
    record = read_record(header(tmp_path, "r", text, np.array(rows, dtype="<i2").tobytes()))
    assert record.rate_mHz == 125_000
    np.testing.assert_array_equal(record.samples[:3, 0], [11, 20, frames.INVALID])


def test_segments_are_joined_and_holes_marked(tmp_path: Path) -> None:
    for name, value, gain in (("s1", 100, 100.0), ("s2", 400, 400.0)):
        write(tmp_path, name, np.full((300, 1), value), sig_name=["II"], adc_gain=[gain])
    header(tmp_path, "layout", "layout 1 250 0\n~ 0 200/mV 16 0 0 0 0 II\n")
    path = header(tmp_path, "multi", "multi/4 1 250 700 12:00:00 01/02/2003\nlayout 0\ns1 300\n~ 100\ns2 300\n")
    record = read_record(path)
    assert record.samples.shape == (700, 1)
    assert record.start == dt.datetime(2003, 2, 1, 12, tzinfo=dt.UTC)
    np.testing.assert_allclose(millivolts(record)[np.r_[0:300, 400:700]], 1.0)
    assert np.all(record.samples[300:400] == frames.INVALID)
    assert find_records([tmp_path]) == [path]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("", None),
        (" 10:11:12", None),
        (" 10:11:12.5 31/12/1999", dt.datetime(1999, 12, 31, 10, 11, 12, 500_000, tzinfo=dt.UTC)),
        (" 0:0:0 1/1/1970", dt.datetime(1970, 1, 1, tzinfo=dt.UTC)),
        (" 10:11:12 01/01/1950", None),
    ],
)
def test_start_of_the_header(tmp_path: Path, when: str, expected: dt.datetime | None) -> None:
    data = bytes(2 * 300)
    record = read_record(header(tmp_path, "r", f"r 1 250 300{when}\nr.dat 16 200/mV 16 0 0 0 0 II\n", data))
    assert record.start == expected


@pytest.mark.parametrize("rate", [50, 99.9, 99.9994, 1000.001, 1000.5, 4000])
def test_rates_out_of_range(tmp_path: Path, rate: float) -> None:
    with pytest.raises(RecordError, match=rf"at {rate} Hz, but 100 to 1000 Hz.*resample"):
        read_record(write(tmp_path, "r", np.zeros((10, 1), dtype=np.int64), fs=rate))


def test_a_step_that_is_no_ecg(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"10 mV.*gain"):
        read_record(write(tmp_path, "r", np.zeros((10, 1), dtype=np.int64), adc_gain=[0.1]))


def test_no_ecg(tmp_path: Path) -> None:
    path = write(tmp_path, "r", np.zeros((10, 1), dtype=np.int64), sig_name=["ABP"], units=["mmHg"])
    with pytest.raises(RecordError, match=r"no ECG.*ABP"):
        read_record(path)


@pytest.mark.parametrize("fmt", ["16", "212"])
@given(keep=st.floats(0, 0.999))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
def test_cut_signal_files_are_refused(tmp_path: Path, fmt: str, keep: float) -> None:
    path = write(tmp_path, "r", np.arange(500)[:, None].repeat(2, axis=1), fmt=[fmt] * 2)
    file = tmp_path / "r.dat"
    data = file.read_bytes()
    file.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(RecordError, match=r"fetch it again|download"):
        read_record(path)


def test_records_without_samples_say_so(tmp_path: Path) -> None:
    line = "r.dat 16 200/mV 16 0 0 0 0 II\n"
    for text in (f"r 1 250 0\n{line}", f"r 1 250\n{line}"):
        header(tmp_path, "r", text)
        (tmp_path / "r.dat").touch()
        with pytest.raises(RecordError, match="it has no samples"):
            read_record(tmp_path / "r")


def test_a_gap_in_a_fixed_layout_is_refused_in_words(tmp_path: Path) -> None:
    for name in ("s1", "s2"):
        write(tmp_path, name, np.zeros((300, 1), dtype=np.int64), sig_name=["II"])
    path = header(tmp_path, "multi", "multi/3 1 250 700\ns1 300\n~ 100\ns2 300\n")
    with pytest.raises(RecordError, match="only records of variable layout may have gaps"):
        read_record(path)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="telebeat download"):
        read_record(tmp_path / "none")
    with pytest.raises(RecordError, match=r"r\.dat is missing"):
        read_record(header(tmp_path, "r", "r 1 250 300\nr.dat 16 200/mV 16 0 0 0 0 II\n"))


@given(text=st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_header_is_an_error_in_words(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.hea").write_text(text, encoding="utf-8")
    with pytest.raises(RecordError):
        read_record(tmp_path / "r")


def test_find_by_name_path_and_database(tmp_path: Path) -> None:
    for folder, names in (("one", ("2", "10", "x")), ("two", ("x", "y")), ("two/deep", ("z",))):
        (tmp_path / folder).mkdir(exist_ok=True)
        for name in names:
            write(tmp_path / folder, name, np.zeros((10, 1), dtype=np.int64))
    other = tmp_path / "other"
    other.mkdir()
    dirs = [other, tmp_path]
    assert [p.name for p in find_records(dirs)] == ["2", "10", "x", "z", "x", "y"]
    assert find_records(dirs, ["y", "2", "z"]) == [
        tmp_path / "two/y",
        tmp_path / "one/2",
        tmp_path / "two/deep/z",
    ]
    assert find_records(dirs, ["two/x", str(tmp_path / "one/x.hea")]) == [tmp_path / "two/x", tmp_path / "one/x"]
    assert find_records(dirs, ["x"], database="one") == [tmp_path / "one/x"]
    assert find_records([tmp_path / "two"], ["x"]) == [tmp_path / "two/x"]
    assert find_records([tmp_path / "one"], database="one") == [tmp_path / f"one/{n}" for n in ("2", "10", "x")]
    with pytest.raises(RecordError, match=r"several databases.*one/x"):
        find_records(dirs, ["x"])
    for file, advice in (("one/x.dat", r"name .*one/x$"), ("night.edf", r"convert it \(`edf2mit`")):
        (tmp_path / file).touch()
        with pytest.raises(RecordError, match=rf"{file} is a file, but no header of a WFDB record; {advice}"):
            find_records(dirs, [str(tmp_path / file)])
    with pytest.raises(RecordError, match=r"no record xx .*similar are x; .*telebeat download"):
        find_records(dirs, ["xx"])
    with pytest.raises(RecordError, match=r"two is a database, not a record; .* two/deep/z, .*--database two"):
        find_records(dirs, ["two"])
    with pytest.raises(RecordError, match="telebeat download mitdb"):
        find_records([other], database="mitdb")
    with pytest.raises(RecordError, match="any data folder"):
        find_records([])


def bare(folder: Path, *names: str) -> Path:
    """A folder of records of which nothing but the headers is there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        header(folder, name, f"{name} 1 250 300\n{name}.dat 16 200/mV 16 0 0 0 0 II\n")
    return folder


def test_a_path_is_told_by_how_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Own records have the names of others: 208 is that of a data folder, ./208 the one that lies here."""
    data = bare(tmp_path / "data/mitdb", "208", "100").parent
    own = bare(tmp_path / "own", "208")
    (own / "deep").mkdir()
    monkeypatch.chdir(own)
    for name in ("./208", "./208.hea", "208.hea", "../own/208", "deep/../208", f"{own}/208"):
        (path,) = find_records([data], [name])
        assert path.resolve() == own / "208", name
        assert path.parent.name == "own", name  # by which reports call it, and "." and ".." are no names
    monkeypatch.chdir(own / "deep")
    assert find_records([data], ["../208.hea"]) == [own / "208"]
    for name in ("208", "208.hea", "mitdb/208", "mitdb/208.hea"):
        assert find_records([data], [name]) == [data / "mitdb/208"], name


@pytest.mark.parametrize("name", ["./100", "./100.hea", "../100", "./mitdb/208"])
def test_a_path_that_is_not_there_is_no_other_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    data = bare(tmp_path / "data/mitdb", "208", "100").parent
    monkeypatch.chdir(bare(tmp_path / "own", "208"))
    missing_file = f"there is no file {name.removesuffix('.hea')}.hea; correct the path"
    with pytest.raises(RecordError, match=re.escape(missing_file)):
        find_records([data], [name])
    with pytest.raises(RecordError, match=re.escape(f"no record {tmp_path}/100: there is no file {tmp_path}/100.hea")):
        find_records([data], [f"{tmp_path}/100"])
    with pytest.raises(RecordError, match=re.escape("--data-dir ../data/mitdb")):
        find_records([data], ["../data/mitdb"])


def test_names_from_a_command_line() -> None:
    assert wanted(["208,201", "a b"], ["mitdb/100 "]) == ["208", "201", "a", "b", "mitdb/100"]
    assert wanted(None, []) == []
    assert wanted(["a, b"], ["c,d e"]) == ["a", "b", "c", "d e"]
    many = [str(number) for number in range(800, 900)]  # longer than a file's name may be
    assert wanted([",".join(many)], [",".join(many)]) == [*many, *many]


def test_the_path_of_a_record_may_have_blanks_and_commas_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "my data, old"
    folder.mkdir()
    path = write(folder, "r", np.zeros((10, 1), dtype=np.int64))
    for text in (str(path), f"{path}.hea"):
        assert find_records([], wanted([text])) == find_records([], wanted(None, [text])) == [path]


def test_segments_alone_may_tell_the_length(tmp_path: Path) -> None:
    (tmp_path / "multi.hea").write_text("multi/2 1 250\ns1 300\ns2 300\n", encoding="utf-8")
    for name in ("s1", "s2"):
        write(tmp_path, name, np.zeros((300, 1), dtype=np.int64), fs=250)
    assert len(read_record(tmp_path / "multi").samples) == 600


@pytest.mark.parametrize("text", ["", " , ", ","])
def test_nothing_named_is_not_all(text: str) -> None:
    assert wanted(None, []) == []
    with pytest.raises(SettingsError, match="nothing is named"):
        wanted([text])
    with pytest.raises(SettingsError, match="nothing is named"):
        wanted(None, [text])


def test_a_data_folder_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The records of the next best folder may be others."""
    monkeypatch.setenv("TELEBEAT_DATA_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match=r"TELEBEAT_DATA_DIR: there is no folder .*nowhere"):
        data_dirs()
    assert data_dirs(tmp_path) == [tmp_path]  # what is named at the command does not ask the variable
    monkeypatch.setenv("TELEBEAT_DATA_DIR", str(tmp_path))
    with pytest.raises(SettingsError, match="--data-dir"):
        data_dirs(tmp_path / "nowhere")


def test_a_data_folder_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("TELEBEAT_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("stream.settings.BESIDE_CHECKOUT", tmp_path / "other")
    monkeypatch.setenv("TELEBEAT_DATA_DIR", str(tmp_path / "other" / ".." / "data"))
    assert data_dirs() == [tmp_path / "other" / ".." / "data", tmp_path / "other"]
    assert data_dirs(tmp_path / "other") == [tmp_path / "other"]


@pytest.mark.data
def test_records_of_every_database() -> None:
    """The first two of each database that is there: they load, fit into frames, and agree with WFDB."""
    databases = [d for place in data_dirs() for d in sorted(place.iterdir()) if d.is_dir() and folders.records(d)]
    if not databases:
        missing("a folder of databases", "telebeat download mitdb")
    for folder in databases:
        for path in find_records([folder])[:2]:
            record = read_record(path)
            frames.check(as_frame(record))
            truth = wfdb.rdrecord(str(path)).p_signal[:, : len(record.leads)]
            assert record.samples.shape == truth.shape
            np.testing.assert_allclose(millivolts(record), truth, atol=max(record.units_per_bit), equal_nan=True)
