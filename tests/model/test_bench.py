"""The bench for detectors: calibrated noise, a fair judge, peers that are missing or fail, ours as the detector is."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from detector.detector import Detector
from detector.types import INVALID, LEADS, RATE
from model import bench, bench_cores, noise, peers
from model import cases as records
from model.detector_runs import MARK, Beds
from model.ec57 import Annotations
from model.peers import PEERS, Lead, Peer, find, ready
from model.strip import Strip
from stream.cli import app
from stream.commands.bench import choose
from stream.errors import RecordError, SettingsError
from tests.model.hearts import heart

BIT = 0.005  # mV


def strip_of_hearts(beats: int = 60, rr: int = 200, seed: int = 0) -> tuple[Strip, npt.NDArray[np.int64]]:
    mv, peaks = heart("N" * beats, rr, seed=seed)
    return Strip(float(RATE), np.rint(mv / BIT).astype(np.int16), np.full(LEADS, BIT)), peaks


def case_of_hearts(**kwargs: Any) -> bench.Case:
    strip, peaks = strip_of_hearts(**kwargs)
    return bench.Case("hearts", "one", strip, Annotations.of(peaks, "N" * len(peaks)))


def peer(name: str, load: Any, package: str = "numpy") -> Peer:
    return Peer(name, package, load)


# Noise


def sines(seconds: float, rate: float, *sizes: float) -> npt.NDArray[np.float64]:
    """Whole periods in every second, one column a size (peak to peak)."""
    t = np.arange(int(seconds * rate)) / rate
    return np.stack([size / 2 * np.sin(2 * np.pi * 5 * t) for size in sizes], axis=1)


def spikes(count: int, every: int, *heights: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    mv = np.zeros((count, len(heights)))
    beats = np.arange(every, count - every, every)
    mv[beats] = heights
    return mv, beats


@settings(max_examples=15, deadline=None)
@given(
    level=st.integers(-12, 30),
    heights=st.tuples(st.floats(0.2, 4.0), st.floats(0.2, 4.0)),
    sizes=st.tuples(st.floats(0.05, 5.0), st.floats(0.05, 5.0)),
)
def test_noise_has_the_power_that_was_asked_for(
    level: int, heights: tuple[float, float], sizes: tuple[float, float]
) -> None:
    rate = 100.0
    mv, beats = spikes(42_000, 80, *heights)  # 7 min: one noisy stretch
    mixed = noise.mix(mv, beats, rate, sines(400, rate, *sizes), rate, level)
    on = noise.noisy(len(mv), rate)
    for lead, height in enumerate(heights):
        power = np.var((mixed - mv)[on, lead])
        assert 10 * np.log10(height**2 / 8 / power) == pytest.approx(level, abs=0.1)


def test_noise_comes_when_it_is_asked_for() -> None:
    mv, beats = np.tile(np.sin(np.arange(0, 60, 0.02))[:, None], (1, 2)), np.arange(100, 2900, 200)
    on = np.zeros(len(mv), bool)
    on[1000:2000] = True
    added = noise.mix(mv, beats, 250.0, sines(400, 250.0, 1.0, 1.0), 250.0, 0.0, on) - mv
    assert (added[:1000] == 0.0).all()
    assert added[1000:2000].std() > 0.1
    assert np.abs(np.diff(added[2000:], axis=0)).max() < 1e-12


def test_a_sine_as_signal_and_as_noise_has_the_same_power() -> None:
    """The eighth of the squared height is the power of a sine: what nst is calibrated by."""
    mv = sines(20, 250.0, 1.4)[:, 0]
    beats = np.arange(300, 4000, 250)
    assert noise.signal_power(mv, beats, 250.0) == pytest.approx(1.4**2 / 8, rel=0.35)  # 100 ms see half a period
    assert noise.noise_power(mv, 250.0) == pytest.approx(1.4**2 / 8, rel=1e-3)


def test_extremes_do_not_count() -> None:
    mv, beats = spikes(100_000, 250, 1.0)
    spoiled = mv.copy()
    spoiled[beats[:5]] = 100.0
    assert noise.signal_power(spoiled[:, 0], beats, 250.0) == noise.signal_power(mv[:, 0], beats, 250.0)


@given(count=st.integers(1, 400_000), rate=st.sampled_from([128.0, 250.0, 360.0]))
@settings(max_examples=20, deadline=None)
def test_noise_comes_every_other_two_minutes_after_five(count: int, rate: float) -> None:
    on = noise.noisy(count, rate)
    times = np.arange(count) / rate
    expected = (times >= 300) & ((times - 300) // 120 % 2 == 0)
    assert np.array_equal(on, expected)


@settings(max_examples=10, deadline=None)
@given(offset=st.floats(-5, 5), level=st.sampled_from(noise.LEVELS_DB))
def test_neither_begin_nor_end_of_noise_is_a_step(offset: float, level: int) -> None:
    rate = 100.0
    mv, beats = spikes(60_000, 80, 1.0)
    wander = sines(600, rate, 1.0) + offset
    added = (noise.mix(mv, beats, rate, wander, rate, level) - mv)[:, 0]
    on = noise.noisy(len(mv), rate)
    edges = np.flatnonzero(np.diff(on.astype(int))) + 1
    assert len(edges) >= 2
    assert np.allclose(np.diff(added)[edges - 1], 0.0)
    assert not added[:30_000].any()


def test_a_mix_is_the_same_every_time_and_keeps_what_is_missing() -> None:
    mv, beats = spikes(45_000, 80, 1.0)
    mv[40_000:40_010] = np.nan
    dark = np.column_stack([mv[:, 0], np.full(len(mv), np.nan)])
    added = np.random.default_rng(1).normal(size=(50_000, 1))
    first, again = (noise.mix(dark, beats, 128.0, added, 360.0, 6) for _ in range(2))
    assert np.array_equal(first, again, equal_nan=True)
    assert np.array_equal(np.isnan(first), np.isnan(dark))


@given(db=st.sampled_from(noise.LEVELS_DB), kind=st.sampled_from(noise.KINDS))
def test_the_name_of_a_mix_tells_its_level(db: int, kind: str) -> None:
    names = records.expand([f"noise-{kind}"])
    assert [records.mixed_db(name) for name in names] == list(noise.LEVELS_DB)
    name = names[noise.LEVELS_DB.index(db)]
    assert records.expand([name]) == [name]
    assert records.noise_kind(name) == kind


def test_a_mix_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(SettingsError, match="noise-em-12"):
        records.expand(["noise-hum-6"])


# The judge


@settings(max_examples=10, deadline=None)
@given(shift=st.integers(-37, 37), drop=st.integers(0, 5), extra=st.integers(0, 5))
def test_beats_count_within_150_ms_and_no_further(shift: int, drop: int, extra: int) -> None:
    case = case_of_hearts(beats=40, rr=250)
    peaks = case.truth.samples
    between = (peaks[:extra] + 125).tolist()  # 500 ms from either neighbour
    tables = bench.judge(case, np.sort(np.array([*(peaks[drop:] + shift), *between])))
    full = tables["full"]
    assert (full.true_positives, full.false_negatives, full.false_positives) == (40 - drop, drop, extra)
    assert full.offset_median_ms == shift * 4.0
    assert tables["from 5:00"].true_positives == 0  # the record is shorter


def test_ours_is_the_detector_whatever_stands_beside_it() -> None:
    strips = [strip_of_hearts(seed=seed, rr=150 + 40 * seed)[0] for seed in range(3)]
    strips.append(Strip(360.0, strips[0].samples[:5000], strips[0].mv_per_bit))
    for strip, said in zip(strips, Beds(strips).run(), strict=True):
        peaks = said.found
        detector = Detector(strip.rate_hz, strip.mv_per_bit)
        alone, _ = detector.update(strip.samples)
        assert peaks["sample"].tolist() == [detector.sample_of(int(tick)) for tick in alone["tick"]]
        assert peaks["delay_ms"].tolist() == ((alone["found"] - alone["tick"]) * 4.0).tolist()
        assert len(peaks) > 0


def test_one_lead_is_the_detector_with_one_lead() -> None:
    strip = strip_of_hearts()[0]
    (said,) = Beds([strip.lead(1)]).run()
    detector = Detector(strip.rate_hz, [BIT])
    alone, _ = detector.update(strip.samples[:, 1:])
    assert said.found["sample"].tolist() == [detector.sample_of(int(tick)) for tick in alone["tick"]]


def test_beds_can_run_again() -> None:
    beds = Beds([strip_of_hearts()[0]])
    first = beds.run()[0].found.copy()
    assert np.array_equal(beds.run()[0].found, first)


def test_the_last_beat_of_a_record_is_told() -> None:
    """As in `telebeat annotate`, and as the peers, which have the whole record, can."""
    case = case_of_hearts()
    end = case.truth.samples[-1] + 15  # 60 ms behind its R peak
    cut = dataclasses.replace(case.strip, samples=case.strip.samples[:end])
    assert np.abs(Beds([cut]).run()[0].found["sample"] - case.truth.samples[-1]).min() > 100
    result = bench.our_result(dataclasses.replace(case, strip=cut), every_lead=True)
    assert result.tables["full"].false_negatives == 0


def test_unreadable_signal_is_declared() -> None:
    strip, _ = strip_of_hearts()
    (dark,) = Beds([Strip(strip.rate_hz, np.full_like(strip.samples, INVALID), strip.mv_per_bit)]).run()
    (bright,) = Beds([strip]).run()
    assert dark.unreadable_s > 0.8 * len(strip.samples) / strip.rate_hz > bright.unreadable_s
    assert dark.marks["subtype"].tolist() == [0x30]
    assert not len(bright.marks)


def test_what_is_declared_to_be_noise_is_left_out_of_the_clear_figures_alone() -> None:
    case = case_of_hearts(beats=40, rr=250)
    peaks = case.truth.samples
    marks = np.array([(peaks[9] + 125, 0x03), (peaks[19] + 125, 0)], MARK)
    false = [int(peaks[k]) + 100 for k in (12, 15, 30)]
    table = bench.judge(case, np.sort(np.array([*peaks[:16], *peaks[17:], *false])), marks)["full"]
    assert (table.true_positives, table.false_negatives, table.false_positives) == (39, 1, 3)
    assert (table.clear.true_positives, table.clear.false_negatives, table.clear.false_positives) == (30, 0, 1)
    assert table.noise_s == 10.0
    assert table.shutdown_s == 0.0


# Peers


def test_a_lead_has_no_holes() -> None:
    samples = np.full((6, LEADS), INVALID, np.int16)
    samples[[1, 2, 4], 0] = [5, 7, -3]
    lead = bench.lead_of(Strip(250.0, samples, np.full(LEADS, 0.5)))
    assert lead.steps.tolist() == [0, 5, 7, 7, -3, -3]
    assert lead.mv.tolist() == [0, 2.5, 3.5, 3.5, -1.5, -1.5]


@given(told=st.lists(st.integers(-50, 1050)))
def test_what_a_peer_says_is_put_in_order(told: list[int]) -> None:
    lead = Lead(np.zeros(1000), np.zeros(1000, np.int64), BIT, 250.0)
    assert find(lambda _: told, lead).tolist() == sorted({t for t in told if 0 <= t < 1000})


def test_a_peer_that_is_missing_or_broken_is_named_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "IN_NO_EXTRA", {"surely-unlisted"})

    def no_module() -> Any:
        raise ModuleNotFoundError("No module named 'nowhere'")

    def crash(_: Lead) -> Any:
        raise ZeroDivisionError("too quiet")

    lead = bench.lead_of(strip_of_hearts()[0])
    some = [
        peer("gone", no_module, "surely-no-package"),
        peer("unlisted", no_module, "surely-unlisted"),
        peer("half", no_module),
        peer("broken", lambda: crash),
        peer("fine", lambda: lambda _: [3]),
    ]
    there, absent = ready(some, lead)
    assert list(there) == ["fine"]
    reasons = {a.name: a.reason for a in absent}
    assert "not installed" in reasons["gone"]
    assert reasons["gone"].endswith("pip install '.[bench]'")
    assert reasons["unlisted"].endswith("pip install surely-unlisted")
    assert "cannot be imported" in reasons["half"]
    assert reasons["broken"] == "crashed: ZeroDivisionError: too quiet"


def test_a_peer_that_fails_on_a_record_has_found_nothing_in_it() -> None:
    def crash(_: Lead) -> Any:
        raise ValueError("odd")

    case = case_of_hearts()
    result = bench.peer_result("p", crash, case)
    (row,) = [r for r in bench.summarise([result], {"hearts": 1}) if r["period"] == "full"]
    assert (row["se"], row["fn"]) == (0.0, len(case.truth))
    assert row["failed"] == {"one": "ValueError: odd"}
    assert not row["online"]


def test_a_slow_peer_takes_fewer_records_and_its_row_says_so() -> None:
    one = case_of_hearts()
    cases = [bench.Case("hearts", name, one.strip, one.truth) for name in "abc"]
    perfect = {"peer": lambda _: one.truth.samples}
    done = list(bench.results(cases, perfect, -1.0, lambda _: None))  # no time at all: stop after the first
    rows = {r["detector"]: r for r in bench.summarise(done, {"hearts": 3}) if r["period"] == "full"}
    assert rows["peer"]["records"] == ["a"]
    assert rows["peer"]["subset"]
    assert not rows[bench.OURS]["subset"]
    assert rows["peer"]["f1"] == 100.0
    assert rows["peer"]["f1_of_ours_on_these"] == rows[bench.OURS]["f1"]  # the three are the same record
    assert rows[bench.OURS]["online"]
    assert 0 < rows[bench.OURS]["delay_median_ms"] <= rows[bench.OURS]["delay_p99_ms"]


def test_speed_counts_every_sample_of_every_bed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "LEAST_CPU_S", 0.0)
    strip = strip_of_hearts(beats=10)[0]
    seen: list[int] = []

    def watch(lead: Lead) -> list[int]:
        seen.append(len(lead.mv))
        return []

    measured = bench.speeds([strip] * 3, {"peer": watch}, 3, 1e9, lambda _: None)
    samples = len(strip.samples)
    assert {(s.detector, s.beds): s.values for s in measured} == {
        (bench.OURS, 1): samples,
        (bench.OURS_ALL, 1): 2 * samples,
        (bench.OURS, 3): 3 * samples,
        (bench.OURS_ALL, 3): 6 * samples,
        ("peer", 1): samples,
        ("peer", 3): 3 * samples,
    }
    assert set(seen) == {samples}
    for speed in measured:
        told = speed.as_dict()
        assert 0 < told["samples_per_cpu_s_min"] <= told["samples_per_cpu_s_median"] <= told["samples_per_cpu_s_max"]
        assert told["rounds"] == 3


def test_speedup_compares_within_a_round() -> None:
    ours = bench.Speed(bench.OURS, 64, 64, 1, [10.0, 40.0, 30.0])
    theirs = bench.Speed("p", 64, 64, 1, [5.0, 10.0, 15.0])  # a slow round is slow for both
    assert bench.speedup([ours, theirs], 64, "p") == 2.0
    assert bench.speedup([ours, theirs], 1, "p") is None
    assert bench.speedup([ours], 64, "p") is None


def test_peers_are_chosen_by_a_part_of_their_name() -> None:
    assert {p.package for p in choose(PEERS, ["sleepecg,gqrs"])} == {"sleepecg", "wfdb"}
    assert choose(PEERS, ["none"]) == []
    assert choose(PEERS, None) == list(PEERS)
    with pytest.raises(SettingsError, match="neurokit2"):
        choose(PEERS, ["heartpy"])


# The command


def write_database(folder: Path, records: int) -> None:
    folder.mkdir(parents=True)
    for number in range(records):
        strip, peaks = strip_of_hearts(beats=40, seed=number)
        wfdb.wrsamp(
            f"10{number}",
            fs=RATE,
            units=["mV"] * LEADS,
            sig_name=["MLII", "V1"],
            d_signal=strip.samples.astype(np.int64),
            fmt=["16"] * LEADS,
            adc_gain=[1 / BIT] * LEADS,
            baseline=[0] * LEADS,
            write_dir=str(folder),
        )
        wfdb.wrann(f"10{number}", "atr", peaks, ["N"] * len(peaks), fs=RATE, write_dir=str(folder))


def test_the_command_writes_tables_a_chart_and_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "LEAST_CPU_S", 0.0)
    monkeypatch.setattr(bench_cores, "LEAST_S", 0.0)
    write_database(tmp_path / "data" / "mitdb", 2)
    monkeypatch.chdir(tmp_path)  # by default the tables go to where it is started, not over those of the checkout
    out, json_file = tmp_path / "bench", tmp_path / "figures.json"
    arguments = ["bench", "detector", "--data-dir", str(tmp_path / "data"), "--databases", "mitdb", "--quick"]
    arguments += ["--peers", "none", "--json", str(json_file)]
    ended = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert ended.exit_code == 0
    figures = json.loads(json_file.read_text(encoding="utf-8"))
    assert set(figures["summary"]) == {
        "speedup_vs_sleepecg_c_64beds",
        "speedup_vs_sleepecg_c_1bed",
        "delay_ms_median",
        "delay_ms_p99",
    }
    assert figures["summary"]["speedup_vs_sleepecg_c_64beds"] is None  # nobody to compare with
    assert 0 < figures["cores"]["gain_min"] <= figures["cores"]["gain_median"] <= figures["cores"]["gain_max"]
    assert f"{figures['cores']['beds']} beds on {figures['cores']['cores']} cores" in ended.output
    assert {row["detector"] for row in figures["rows"]} == {bench.OURS, bench.OURS_ALL}
    assert all(row["records"] == ["100", "101"] for row in figures["rows"])
    with (out / "accuracy.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(figures["rows"])
    assert (out / "detector.png").read_bytes().startswith(b"\x89PNG")


def test_one_record_that_cannot_be_read_stops_no_other(tmp_path: Path) -> None:
    write_database(tmp_path / "mitdb", 3)
    (tmp_path / "mitdb" / "101.dat").unlink()
    (tmp_path / "mitdb" / "102.atr").unlink()
    told: list[str] = []
    found = records.cases([tmp_path], "mitdb", None, None, told.append)
    assert [case.record for case in found] == ["100"]
    assert len(told) == 2
    assert told[0] == "mitdb: without reference annotations (*.atr), left out: 102"
    assert "101" in told[1]
    with pytest.raises(RecordError, match="101"):
        records.cases([tmp_path], "mitdb", None, None)


def test_a_record_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    write_database(tmp_path / "mitdb", 2)
    arguments = ["bench", "detector", "--data-dir", str(tmp_path), "--databases", "mitdb", "--records", "100,999"]
    ended = CliRunner().invoke(app, [*arguments, "--peers", "none", "--out", str(tmp_path / "out")])
    assert isinstance(ended.exception, RecordError)
    assert "999" in str(ended.exception)


def test_records_that_are_not_there_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    write_database(tmp_path / "mitdb", 1)
    with pytest.raises(RecordError, match="--databases"):
        records.cases([tmp_path], "mitdb", ["999"], None)
