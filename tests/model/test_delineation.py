"""Measured fiducials beside marked ones: pairing, figures, cross-validation, the command."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from detector.bounds import COUNT
from detector.types import RATE, TICK_MS
from model import delineation as d
from model import delineation_marks as marked
from model import delineation_peer
from model import delineation_score as score
from stream import bench_fiducials as bench
from stream.cli import app
from stream.errors import RecordError, SettingsError

BIT = 0.005
BEATS, RR = 10, 200


def strip(seed: int = 0, rr: int = RR) -> tuple[Any, list[marked.Wave]]:
    """Two leads of `RATE` with P, QRS and T, and their marks: two and a half deviations to both sides."""
    rng = np.random.default_rng(seed)
    length = (BEATS + 1) * rr
    t = np.arange(length)
    mv = rng.normal(0, 0.003, length)
    marks = []
    for peak in range(rr, length - 100, rr):
        for kind, at, width, height in (("p", -42, 6, 0.15), ("N", 0, 4, 1.2), ("t", 68, 10, 0.3)):
            mv += height * np.exp(-0.5 * ((t - peak - at) / width) ** 2)
            middle, half = (peak + at) * TICK_MS, 2.5 * width * TICK_MS
            marks.append(marked.Wave(kind, middle - half, middle, middle + half))
    return np.stack([mv, 0.6 * mv], axis=1), marks


def found(seed: int = 0, marks: list[marked.Wave] | None = None) -> list[d.Found]:
    mv, own = strip(seed)
    samples = np.rint(mv / BIT).astype(np.int16)
    told = own if marks is None else marks
    return d.follow(samples, float(RATE), np.full(2, BIT), [told, told], seed, [1, 6])


def test_beats_are_measured_online_and_paired_with_their_marks() -> None:
    for one, lead in zip(found(), (1, 6), strict=True):
        r = one.readings
        assert one.marked >= len(r) >= one.marked - 1  # the detector may need a beat to begin
        assert one.extra == 0
        assert set(r["lead"]) == {lead}
        assert np.abs(score.errors(r, "onset")).max() < 30
        assert np.abs(score.errors(r, "end")).max() < 30
        assert np.nanmax(np.abs(score.errors(r, "t_end"))) < 60
        assert (r["known_ms"] >= 300).all()
        assert (r["t_known_ms"] >= 600).all()
        assert np.nanmax(r["onset"]) <= 0 <= np.nanmin(r["end"])
        assert set(r["true_p"][np.isfinite(r["true_p"])]) == {1.0}
        assert score.presence(r)["se"] == 100.0


def test_without_marked_p_waves_none_is_there() -> None:
    marks = [wave for wave in strip()[1] if wave.kind != "p"]
    (one, _) = found(marks=marks)
    told = score.presence(one.readings)
    assert (told["se"], told["ppv"], told["specificity"]) == (None, 0.0, 0.0)


def test_an_r_peak_without_a_mark_between_others_is_counted() -> None:
    marks = strip()[1]
    qrs = [k for k, wave in enumerate(marks) if wave.kind == "N"]
    (one, _) = found(marks=[wave for k, wave in enumerate(marks) if k != qrs[4]])
    assert one.extra == 1
    assert one.marked == len(qrs) - 1


def test_no_peaks_and_no_marks() -> None:
    nothing = d.follow(np.zeros((3000, 1), np.int16), 500.0, np.array([BIT]), [strip()[1]], 0, [0])[0]
    assert (len(nothing.readings), nothing.marked) == (0, len([w for w in strip()[1] if w.kind == "N"]))
    assert score.table(nothing.readings, marked.LUDB.leads) == []
    (one, _) = found(marks=[])
    assert (len(one.readings), one.marked, one.extra) == (0, 0, 0)


@given(st.lists(st.sampled_from("(pNt)"), max_size=12))
def test_marks_in_any_order_give_a_wave_a_peak(symbols: list[str]) -> None:
    told = marked.waves(range(0, 10 * len(symbols), 10), symbols, 500.0)
    assert [w.kind for w in told] == [s for s in symbols if s in "pNt"]
    for wave in told:
        assert math.isnan(wave.onset) or wave.onset < wave.peak
        assert math.isnan(wave.end) or wave.end == wave.peak + 20.0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-200, 200), min_size=2, max_size=50), st.floats(-50, 50))
def test_agreement_is_mean_and_deviation(errors: list[float], shift: float) -> None:
    error = np.array([*errors, np.nan])
    subjects = np.arange(len(error)) % 3
    one, other = score.agreement(error, subjects), score.agreement(error + shift, subjects)
    assert one["n"] == len(errors)
    assert one["mean"] == pytest.approx(np.mean(errors), abs=1e-9)
    assert other["mean"] - one["mean"] == pytest.approx(shift, abs=1e-9)
    assert other["sd"] == pytest.approx(one["sd"], abs=1e-9)
    assert other["sd_of_subjects"] == pytest.approx(one["sd_of_subjects"], abs=1e-9)


def test_both_leads_are_the_outermost_bounds() -> None:
    first, second = (one.readings for one in found())
    joined = score.both(first, second)
    assert len(joined) == len(first)
    assert np.array_equal(joined["onset"], np.minimum(first["onset"], second["onset"]))
    assert np.array_equal(joined["end"], np.maximum(first["end"], second["end"]))


def test_the_nearer_lead_has_the_smaller_error_of_each_bound() -> None:
    first, second = (one.readings for one in found())
    first["onset"][0], first["t_end"][1] = np.nan, np.nan
    second["onset"][2] = np.nan
    chosen = score.nearer(first, second)
    assert len(chosen) == len(first)
    for name in score.TOLERANCE_MS:
        here, there = (np.abs(score.errors(r, name)) for r in (first, second))
        np.testing.assert_array_equal(np.abs(score.errors(chosen, name)), np.fmin(here, there))
    assert score.nearer(first[:0], second).shape == (0,)


def test_the_end_of_a_wave_with_two_peaks_is_that_of_the_second() -> None:
    """In qtdb a biphasic T wave has two peaks, of which only the second is followed by an end."""
    marks = strip()[1]
    two = [
        w
        for wave in marks
        for w in ([marked.Wave("t", wave.onset, wave.peak - 20, math.nan), wave] if wave.kind == "t" else [wave])
    ]
    for one, other in zip(found(marks=marks), found(marks=two), strict=True):
        np.testing.assert_array_equal(one.readings["true_t_end"], other.readings["true_t_end"])
        assert np.isfinite(other.readings["true_t_end"]).all()


def test_every_kind_of_beat_is_a_qrs_and_no_u_wave_is_a_t_wave() -> None:
    told = marked.waves(range(0, 60, 10), ["(", "V", ")", "t", "u", ")"], 1000.0)
    assert (told[0].onset, told[0].end) == (0.0, 20.0)
    assert [w.kind for w in told] == ["N", "t"]
    assert math.isnan(told[1].end)


def test_constants_are_chosen_on_other_subjects() -> None:
    """Readers of one subject who mark 12 ms wider change what the others' constants would be, but not his own."""
    some = [one for seed in range(4) for one in found(seed)]
    for one in some:
        if one.readings["subject"][0] == 0:
            one.readings["true_onset"] -= 12.0
            one.readings["true_end"] += 12.0
    readings, chosen = score.cross_validate(some, folds=4)
    assert [c["fold"] for c in chosen] == [0, 1, 2, 3, None]
    assert set(chosen[0]) == {"fold", *score.shipped()}
    assert len(chosen[0]["onset_weights"]) == len(chosen[0]["end_weights"]) == COUNT
    wide = readings["subject"] == 0
    assert np.nanmean(score.errors(readings[wide], "width")) < -15
    assert np.nanmean(score.errors(readings[~wide], "width")) > 2


def test_a_peer_that_fails_has_found_nothing() -> None:
    def crash(*_: Any) -> Any:
        raise ZeroDivisionError

    marks = strip()[1]
    one = delineation_peer.follow(crash, np.zeros(100), 250.0, marks, 0, 0)
    assert len(one.readings) == 0
    assert one.marked == len([w for w in marks if w.kind == "N"])


def test_a_peer_is_judged_by_what_it_says() -> None:
    marks = strip()[1]
    qrs = [w for w in marks if w.kind == "N"]

    def right(mv: Any, rate: int) -> Any:
        at = [np.array([getattr(w, name) for w in qrs]) * rate / 1000 for name in ("peak", "onset", "end")]
        return [*at, np.full(len(qrs), np.nan), np.full(len(qrs), np.nan)]

    r = delineation_peer.follow(right, np.zeros(100), 250.0, marks, 0, 0).readings
    assert np.abs(score.errors(r, "onset")).max() < 1e-9
    assert np.isnan(score.errors(r, "t_end")).all()
    assert score.presence(r)["se"] == 0.0


# The command


def write_database(folder: Path, records: int, suffixes: Sequence[str] = ("i", "ii", "v1")) -> None:
    """Two leads, marked by these suffixes; of three of ludb, lead I is marked but not in the record."""
    folder.mkdir(parents=True)
    for number in range(1, records + 1):
        mv, marks = strip(number, RR + 5 * number)
        symbols = [(time, symbol) for w in marks for time, symbol in ((w.onset, "("), (w.peak, w.kind), (w.end, ")"))]
        symbols.sort()
        wfdb.wrsamp(
            str(number),
            fs=RATE,
            units=["mV"] * 2,
            sig_name=["ii", "v1"],
            d_signal=np.rint(mv / BIT).astype(np.int64),
            fmt=["16"] * 2,
            adc_gain=[1 / BIT] * 2,
            baseline=[0] * 2,
            write_dir=str(folder),
        )
        at = np.array([round(time / TICK_MS) for time, _ in symbols])
        for suffix in suffixes:
            wfdb.wrann(str(number), "marks", at, [symbol for _, symbol in symbols], fs=RATE, write_dir=str(folder))
            (folder / f"{number}.marks").rename(folder / f"{number}.{suffix}")  # wfdb writes no digits in an extension


def test_the_command_prints_tables_and_writes_json(tmp_path: Path) -> None:
    write_database(tmp_path / "ludb", 10)
    out = tmp_path / "out" / "figures.json"
    arguments = ["bench", "fiducials", "--data-dir", str(tmp_path), "--no-peer", "--json", str(out)]
    ended = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert ended.exit_code == 0
    assert "T end, CSE tolerance SD 30.6 ms" in ended.stdout
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert figures["records"] == [str(number) for number in range(1, 11)]
    gross = {(r["method"], r["measurement"]): r for r in figures["rows"] if r["lead"] == "all"}
    assert {m for m, _ in gross} == {bench.SHIPPED, bench.UNSEEN, bench.PAIRED, bench.BOTH}
    for name, tolerance in score.TOLERANCE_MS.items():
        assert gross[bench.SHIPPED, name]["tolerance_sd"] == tolerance
        assert gross[bench.SHIPPED, name]["subjects"] == 10
    assert figures["delay_ms"]["qrs_p_st"]["median"] == 300.0
    assert figures["delay_ms"]["t_end"]["median"] == 600.0
    assert figures["peer"] is None


def test_constants_are_not_chosen_where_there_is_nobody_to_choose_them_on(tmp_path: Path) -> None:
    write_database(tmp_path / "ludb", 2)
    arguments = ["bench", "fiducials", "--data-dir", str(tmp_path), "--no-peer", "--records", "1"]
    ended = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert ended.exit_code == 0
    assert "too few to choose constants" in ended.stdout
    assert bench.UNSEEN not in ended.stdout


def test_a_folder_without_marks_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    write_database(tmp_path / "ludb", 1)
    for file in (tmp_path / "ludb").glob("1.i"):
        file.unlink()
    with pytest.raises(RecordError, match="telebeat download ludb"):
        bench.records([tmp_path], None, marked.LUDB)


def test_one_readers_marks_of_both_leads_are_judged_as_such(tmp_path: Path) -> None:
    """As in qtdb: one file of marks a record, which shares its folder with records that have none."""
    write_database(tmp_path / "qtdb", 3, ["q1c"])
    (tmp_path / "qtdb" / "2.q1c").unlink()
    out = tmp_path / "figures.json"
    arguments = [
        "bench",
        "fiducials",
        "--database",
        "qtdb",
        "--data-dir",
        str(tmp_path),
        "--no-peer",
        "--json",
        str(out),
    ]
    ended = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert ended.exit_code == 0
    assert "qtdb, T end, CSE tolerance SD 30.6 ms" in ended.stdout
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert figures["records"] == ["1", "3"]
    assert list(figures["constants"]) == ["shipped"]  # none was chosen there
    gross = {(r["method"], r["measurement"]): r for r in figures["rows"] if r["lead"] == "all"}
    assert {m for m, _ in gross} == {bench.SHIPPED, bench.PAIRED, bench.BOTH, bench.NEARER}
    assert {r["lead"] for r in figures["rows"]} == {"first", "second", "all"}
    for name in score.TOLERANCE_MS:
        assert gross[bench.NEARER, name]["n"] == gross[bench.BOTH, name]["n"]
        assert abs(gross[bench.NEARER, name]["mean"]) < 20
    assert (bench.NEARER, "width") not in gross
    assert figures["beats"][bench.PAIRED]["extra"] is None


def test_a_database_without_marks_is_named() -> None:
    with pytest.raises(SettingsError, match="ludb, qtdb"):
        bench.database("mitdb")


def test_a_folder_that_is_given_itself_may_have_any_name(tmp_path: Path) -> None:
    mine = tmp_path / "held" / "mine"
    mine.mkdir(parents=True)
    for name in ("sel100", "sel102", "bare"):
        (mine / f"{name}.hea").write_text(f"{name} 1 250 300\n{name}.dat 16 200/mV 16 0 0 0 0 II\n")
    for name in ("sel100", "sel102"):
        (mine / f"{name}.q1c").touch()
    assert bench.records([mine], None, marked.QTDB) == [mine / "sel100", mine / "sel102"]
    assert bench.records([mine], ["sel102"], marked.QTDB) == [mine / "sel102"]
    with pytest.raises(RecordError, match="no WFDB records of qtdb"):
        bench.records([mine.parent], None, marked.QTDB)  # there may be records of anything
