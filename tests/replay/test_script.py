"""Rendered scripts: the signal, its truth and its files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from replay import records, script_files
from replay.script import RAIL_MV, Scripted, builtin, load, read, render
from replay.script_language import RATES, Script
from replay.synth import Floats
from stream.cli import app
from stream.errors import RecordError, ScriptError
from stream.frames import INVALID
from tests.replay.test_script_language import scripts

UPRIGHT = 1.3  # an R wave goes before a Q or S wave less than this much larger
seeds = st.integers(0, 10**6)
few = settings(max_examples=12, deadline=None)


def play(*lines: str, seed: int = 1, leads: str = "II V1", rate: float = 250) -> Scripted:
    return load("\n".join((f'patient "p" rate {rate} Hz leads {leads} seed {seed}', *lines)) + "\n")


def millivolts(scripted: Scripted) -> Floats:
    result: Floats = scripted.record.samples * np.array(scripted.record.units_per_bit)
    return result


def beats(scripted: Scripted, symbols: str = "NVAFEj/") -> Floats:
    """Times of the annotated beats, s."""
    samples = [a.sample for a in scripted.truth if a.symbol in symbols]
    return np.array(samples, dtype=np.float64) * 1000 / scripted.record.rate_mHz


@settings(max_examples=25, deadline=None)
@given(scripts(longest=8.0))
def test_any_script_renders_the_same_twice_and_its_truth_is_in_order(script: Script) -> None:
    one, two = render(script), render(script)
    np.testing.assert_array_equal(one.record.samples, two.record.samples)
    assert one.truth == two.truth
    assert one.expected == two.expected
    assert one.record.samples.dtype == np.int16
    assert one.record.samples.shape[1] == len(set(one.record.leads)) == len(script.patient.leads)
    samples = [a.sample for a in one.truth]
    assert samples == sorted(samples)
    assert all(0 <= s < len(one.record.samples) for s in samples)
    assert one.truth[0].symbol == "+"
    assert np.all(np.diff(beats(one)) > 0.1)
    sure = sum(e.seconds or 0.0 for e in script.episodes if e.word != "pause")
    assert one.record.seconds >= sure - 0.01
    for e in one.expected:
        assert e.onset[0] <= e.onset[1] <= one.record.seconds + 10
        assert e.onset[0] < e.raised_by
        assert e.cleared_by is None or e.raised_by <= e.cleared_by + 3
        assert not e.required or e.raised_by <= one.record.seconds


@given(seeds, seeds)
@few
def test_another_seed_is_another_patient(one: int, two: int) -> None:
    same = np.array_equal(
        play("sinus 70 for 5 s", seed=one).record.samples, play("sinus 70 for 5 s", seed=two).record.samples
    )
    assert same == (one == two)


@given(st.sampled_from(sorted(set(RATES) - {"bigeminy", "trigeminy", "block"})), st.floats(0, 1), seeds)
@few
def test_a_rhythm_has_the_rate_asked_for(word: str, place: float, seed: int) -> None:
    low, high = max(30, RATES[word][0]), min(250, RATES[word][1])
    rate = round(low + place * (high - low))
    found = np.diff(beats(play(f"{word} {rate} for 120 s", seed=seed)))
    assert 60 / found.mean() == pytest.approx(rate, rel=0.15 if word == "af" else 0.04)


@given(seeds, st.integers(2, 12), st.sampled_from(["pvc", "pvc multiform", "pvc ront", "couplet", "pac"]))
@few
def test_ectopic_beats_are_as_many_as_asked_and_come_early(seed: int, every: int, kind: str) -> None:
    scripted = play(f"{kind} every {every} beats in sinus 75 for 60 s", seed=seed)
    size = 2 if kind == "couplet" else 1
    symbols = "".join(a.symbol for a in scripted.truth if a.symbol in "NVA")
    unit = "N" * every + ("A" if kind == "pac" else "V") * size
    assert (unit * 100).startswith(symbols)
    times = beats(scripted)
    for i, symbol in enumerate(symbols[1:], 1):
        if symbol in "VA" and symbols[i - 1] == "N":
            assert times[i] - times[i - 1] < 0.75 * 60 / 75


@given(seeds, st.sampled_from(["sinus 72", "af 100", "vt 170", "vt focus 2 150", "svt 190", "paced 70", "ivr 35"]))
@few
def test_truth_sits_on_the_largest_deflection_of_the_first_lead(seed: int, rhythm: str) -> None:
    scripted = play(f"{rhythm} for 20 s", seed=seed, rate=360)
    signal = millivolts(scripted)[:, 0]
    reach = 11  # 30 ms: the T wave before an early beat may be the taller, but is further away
    rest = signal - np.median(signal)
    for time in beats(scripted)[1:-1]:
        sample = round(time * 360)
        around = np.abs(rest[sample - reach : sample + reach + 1])
        # An R wave goes before a Q or S wave that is hardly larger.
        assert around[reach - 4 : reach + 5].max() >= around.max() / UPRIGHT


@given(seeds, st.integers(101, 300), st.integers(1, 3))
@few
def test_vt_is_wide_ventricular_and_as_fast_as_asked(seed: int, rate: int, focus: int) -> None:
    scripted = play("sinus 80 for 10 s", f"vt focus {focus} {rate} for 20 s", "sinus 80 for 10 s", seed=seed)
    ventricular = beats(scripted, "V")
    assert 60 / np.diff(ventricular).mean() == pytest.approx(rate, rel=0.02)
    assert ventricular[0] >= 9.9
    assert ventricular[-1] <= 30.1
    assert [a.aux for a in scripted.truth if a.symbol == "+"] == ["(N", "(VT", "(N"]


@given(seeds, st.floats(2.0, 9.0).map(lambda x: round(x, 2)))
@few
def test_a_pause_is_the_time_between_two_beats(seed: int, seconds: float) -> None:
    times = beats(play("sinus 70 for 10 s", f"pause {seconds} s", "sinus 70 for 10 s", seed=seed))
    assert np.diff(times).max() == pytest.approx(seconds, abs=0.01)


@given(seeds, st.sampled_from(["vf", "vf fine", "asystole"]), st.floats(3, 12).map(lambda x: round(x, 1)))
@few
def test_no_beats_in_fibrillation_and_standstill(seed: int, word: str, seconds: float) -> None:
    scripted = play("sinus 80 for 6 s", f"{word} for {seconds} s", "sinus 80 for 6 s", seed=seed)
    times = beats(scripted)
    assert not np.any((times > 6.1) & (times < 6 + seconds - 0.1))
    assert np.any(times > 6 + seconds)
    brackets = [(a.symbol, a.sample / 250) for a in scripted.truth if a.symbol in "[]"]
    assert brackets == ([] if word == "asystole" else [("[", 6.0), ("]", pytest.approx(6 + seconds, abs=0.004))])
    inside = millivolts(scripted)[int(6.6 * 250) : int((5.5 + seconds) * 250), 0]
    assert (np.ptp(inside) < 0.5) == (word == "asystole") or word == "vf fine"
    assert np.ptp(inside) > 0.02


def test_wenckebach_intervals_shrink_until_a_beat_is_dropped() -> None:
    times = np.diff(beats(play("block mobitz1 70 5:4 for 60 s", seed=3)))
    long = np.flatnonzero(times > 1.25)
    assert len(long) >= 10
    assert np.all(np.diff(long) == 4)
    groups = np.array([times[i - 3 : i] for i in long[1:]])
    assert np.all(np.diff(groups.mean(axis=0)) < 0)


def test_the_longest_wenckebach_can_be_played() -> None:
    assert len(beats(play("block mobitz1 70 8:7 for 60 s"))) == pytest.approx(70 * 7 / 8, abs=4)


@pytest.mark.parametrize(("ratio", "share"), [("2:1", 1 / 2), ("3:2", 2 / 3), ("4:3", 3 / 4)])
def test_second_degree_block_drops_one_beat_in_so_many(ratio: str, share: float) -> None:
    conducted = len(beats(play(f"block mobitz2 80 {ratio} for 60 s")))
    assert conducted == pytest.approx(80 * share, abs=3)


def test_editing_an_episode_leaves_those_before_it_as_they_were() -> None:
    one = play("sinus 70 for 10 s", "af 100 for 10 s", "sinus 70 for 10 s")
    two = play("sinus 70 for 10 s", "af 100 for 10 s", "vt 150 for 10 s")
    np.testing.assert_array_equal(one.record.samples[: 19 * 250], two.record.samples[: 19 * 250])


@given(seeds, st.sampled_from(["wander", "muscle", "electrode", "mains"]), st.integers(-6, 24))
@few
def test_noise_has_the_ratio_asked_for_and_only_where_it_is_asked_for(seed: int, kind: str, ratio: int) -> None:
    clean = millivolts(play("sinus 60 for 40 s", seed=seed))
    noisy = millivolts(play(f"sinus 60 for 40 s with noise {kind} {ratio} dB on II from 5 s for 30 s", seed=seed))
    difference = noisy - clean
    assert not difference[:, 1].any()
    assert not difference[: 5 * 250, 0].any()
    assert not difference[35 * 250 :, 0].any()
    if np.abs(noisy).max() < RAIL_MV - 0.01:
        peaks = (beats(play("sinus 60 for 40 s", seed=seed)) * 250).astype(int)[1:-1]
        height = np.mean([np.ptp(clean[p - 25 : p + 25, 0]) for p in peaks])
        power = np.mean(difference[5 * 250 : 35 * 250, 0] ** 2)
        assert 10 * np.log10(height**2 / 8 / power) == pytest.approx(ratio, abs=1.5)


@given(seeds, st.sampled_from([-0.3, -0.1, 0.15, 0.4]))
@few
def test_an_st_shift_is_where_it_is_asked_for_and_nowhere_else(seed: int, shift: float) -> None:
    clean = play("sinus 60 for 30 s", seed=seed)
    shifted = play(f"sinus 60 for 30 s with st V1 {shift} mV over 8 s", seed=seed)
    difference = millivolts(shifted) - millivolts(clean)
    assert not difference[:, 0].any()
    for time in beats(clean)[1:-1]:
        sample = round(time * 250)
        level = difference[sample + 25, 1]  # J + 60 ms
        assert level == pytest.approx(shift * min(1, time / 8, (30 - time) / 8), abs=0.03)
        assert np.abs(difference[sample - 20 : sample - 2, 1]).max() < 0.01
    assert [a.aux for a in shifted.truth if a.symbol == "s"] == [
        f"(ST1{shift:+}"[:5],
        f"AST1{round(shift * 1000):+}",
        f"ST1{shift:+}"[:4] + ")",
    ]


@given(seeds, st.floats(0, 5).map(lambda x: round(x, 2)), st.floats(0.5, 5).map(lambda x: round(x, 2)))
@few
def test_lost_leads_are_lost_exactly_as_long_as_asked(seed: int, start: float, seconds: float) -> None:
    when = f"from {start} s for {seconds} s"
    scripted = play(
        f"sinus 70 for 12 s with leadoff V1 {when} with flat V2 {when} with saturated V3 {when}",
        leads="II V1 V2 V3",
        seed=seed,
    )
    samples = scripted.record.samples
    inside = np.zeros(len(samples), dtype=bool)
    inside[round(start * 250) : round((start + seconds) * 250)] = True
    np.testing.assert_array_equal(samples[:, 1] == INVALID, inside)
    assert len(set(samples[inside, 2])) == 1
    np.testing.assert_array_equal(samples[:, 3] == round(RAIL_MV * 200), inside)
    assert not (samples[:, 0] == INVALID).any()
    marks = [(a.sample, a.subtype) for a in scripted.truth if a.symbol == "~"]
    bits = (1 << 1 | 1 << 2 | 1 << 3) * 17
    assert marks == [(round(start * 250), bits - 256), (round((start + seconds) * 250), 0)]


def test_beats_that_nobody_can_see_are_not_annotated() -> None:
    times = beats(play("sinus 75 for 20 s with leadoff all from 5 s for 8 s"))
    assert not np.any((times > 5.1) & (times < 12.9))
    seen = beats(play("sinus 75 for 20 s with leadoff II from 5 s for 8 s"))
    assert np.sum((seen > 5.1) & (seen < 12.9)) >= 8


@pytest.mark.parametrize("name", builtin())
def test_built_in_patients_last_minutes_and_read_as_they_are_named(name: str) -> None:
    scripted = load(name)
    assert scripted.record.name == name
    assert 120 <= scripted.record.seconds <= 320
    assert len(scripted.truth) > 100


def test_there_are_patients_for_a_ward() -> None:
    assert len(builtin()) >= 8
    assert len({read(name).patient.seed for name in builtin()}) == len(builtin())


def test_files_read_back_as_they_were_written(tmp_path: Path) -> None:
    scripted = play(
        "sinus 75 for 10 s with leadoff V1 from 2 s for 3 s with st II -0.2 mV",
        "vf for 11 s",
        "pvc every 3 beats in sinus 80 for 10 s",
    )
    paths = script_files.write(scripted, tmp_path / "new")
    assert [p.name for p in paths] == ["p.hea", "p.dat", "p.atr", "p.expected.json"]
    back = records.read_record(paths[0])
    assert (back.leads, back.rate_mHz, back.units_per_bit) == (
        scripted.record.leads,
        scripted.record.rate_mHz,
        scripted.record.units_per_bit,
    )
    np.testing.assert_array_equal(back.samples, scripted.record.samples)
    truth = wfdb.rdann(str(paths[0].with_suffix("")), "atr")
    assert list(truth.sample) == [a.sample for a in scripted.truth]
    assert truth.symbol == [a.symbol for a in scripted.truth]
    assert [x.rstrip("\0") for x in truth.aux_note] == [a.aux for a in scripted.truth]
    assert list(truth.subtype) == [a.subtype for a in scripted.truth]
    alerts = json.loads(paths[3].read_text())
    assert [a["rule"] for a in alerts] == [e.rule for e in scripted.expected]


def test_what_cannot_be_read_or_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"nobody.*built-in patients af, arrest"):
        load("nobody")
    (tmp_path / "binary.ecg").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScriptError, match=r"binary.ecg: it cannot be read"):
        load(tmp_path / "binary.ecg")
    (tmp_path / "wrong.ecg").write_text('patient "p"\nsinus 70 for ever\n')
    with pytest.raises(ScriptError, match=r"wrong.ecg, line 2, column 14: expected a length"):
        load(tmp_path / "wrong.ecg")
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="choose another with --out"):
        script_files.write(play("sinus 70 for 2 s"), tmp_path / "file")


def test_a_mark_of_its_encoding_before_a_script_is_read_over(tmp_path: Path) -> None:
    (tmp_path / "p.ecg").write_text('patient "p"\nsinus 70 for 2 s\n', "utf-8-sig")
    assert read(tmp_path / "p.ecg").patient.name == "p"


def test_the_command_lists_renders_and_draws(tmp_path: Path) -> None:
    listed = CliRunner().invoke(app, ["script"])
    assert listed.exit_code == 0
    assert all(name in listed.output for name in builtin())
    (tmp_path / "my.ecg").write_text('patient "mine"\nsinus 70 for 8 s ; asystole for 9 s ; sinus 60 for 5 s\n')
    picture = tmp_path / "mine.png"
    done = CliRunner().invoke(app, ["script", str(tmp_path / "my.ecg"), "--out", str(tmp_path), "--plot", str(picture)])
    assert done.exit_code == 0
    assert "asystole" in done.output
    assert (tmp_path / "mine.dat").is_file()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_mark_of_the_encoding_is_no_part_of_a_script(tmp_path: Path) -> None:
    text = 'patient "p" rate 250 Hz leads II seed 1\nsinus 60 for 5 s\n'
    (tmp_path / "s.ecg").write_text(text, encoding="utf-8-sig")
    assert load(tmp_path / "s.ecg").record.seconds == 5
