"""Single beats: how they are cut, read from files, said in words, split, and trained."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.measure import SPAN, SPAN_BEFORE
from model.dataset import UNLABELLED
from model.heartbeat_files import LINES, from_csv
from model.heartbeat_words import FINER, HOP, PLACES, WORDS, draw_beats, lengths_of, levels_of, read_sentences, words_of
from model.heartbeat_words import learn_vocabulary as learn_shapes
from model.heartbeats import (
    MITBIH,
    PTB,
    REACH,
    SAMPLES,
    Heartbeats,
    cut,
    diagnosis,
    from_mitbih,
    from_ptb,
    patient_of,
    ptb_records,
)
from model.letters import TEXT, text_of
from model.words import WORDS as BEDSIDE_WORDS
from model.words import level_of
from stream.errors import RecordError
from tests.model.hearts import heart
from tests.model.test_words import plain_letters

pytestmark = pytest.mark.train

RATE = 250.0  # of `heart`


def some_rows(count: int, seed: int = 0) -> Any:
    """Beats of no heart: smooth curves of all lengths between 0 and 1."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((count, SAMPLES), np.float32)
    for row in rows:
        length = rng.integers(2, SAMPLES + 1)
        curve = np.convolve(rng.normal(0, 1, length + 8), np.ones(9) / 9, "valid")
        row[:length] = 0.01 + 0.98 * (curve - curve.min()) / max(np.ptp(curve), 1e-6)
    return rows


def two_kinds(count: int, subjects: int = 6, seed: int = 0) -> Heartbeats:
    """Narrow beats N and broad beats V, one in five, of some patients."""
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random(count) < 0.2, 2, 0)
    t = np.arange(SAMPLES)
    rows = np.zeros((count, SAMPLES), np.float32)
    for row, label in zip(rows, labels, strict=True):
        length = rng.integers(40, 60)
        width, high = (12.0, 1.0) if label else (3.0, 0.9)
        curve = 0.2 + 0.02 * rng.random() + (high - 0.2) * np.exp(-0.5 * (t / (width * rng.uniform(0.8, 1.2))) ** 2)
        row[:length] = np.clip(curve + rng.normal(0, 0.01, SAMPLES), 0.001, 1)[:length]
    names = np.array([f"mitdb/{i}" for i in rng.integers(0, subjects, count)])
    return Heartbeats(MITBIH, rows, labels, names, names, None, "made")


# Cutting


@settings(max_examples=25, deadline=None)
@given(st.integers(110, 400), st.floats(0.1, 30), st.floats(-50, 50))
def test_a_beat_begins_at_r_and_has_the_length_of_the_paper(rr: int, gain: float, offset: float) -> None:
    mv, peaks = heart("N" * 20, rr, noise=0.0)
    rows, kept = cut(mv[:, 0].astype(np.float64), RATE, peaks)
    again, same = cut(gain * mv[:, 0].astype(np.float64) + offset, RATE, peaks)
    assert np.array_equal(kept, same)
    assert len(kept) >= 18
    np.testing.assert_allclose(rows, again, atol=1e-5)
    assert rows.shape[1] == SAMPLES
    assert rows.min() >= 0
    assert rows.max() <= 1
    length = min(REACH * rr / 2, SAMPLES)
    assert np.all(rows[:, int(length) + 2 :] == 0)
    assert np.all(np.abs(lengths_of(rows) - length) <= 2)
    assert rows[:, :2].max(axis=1).min() > 0.9  # the R peak is the highest point of this heart


def test_the_rate_does_not_matter() -> None:
    t = np.arange(0, 30, 1e-3)
    signal = np.sin(2 * np.pi * 1.3 * t) + 0.3 * np.sin(2 * np.pi * 7 * t)
    peaks_s = np.arange(1, 28, 0.8)
    rows, _ = cut(signal, 1000.0, np.rint(peaks_s * 1000).astype(np.int64))
    for factor in (2, 4):
        slow, _ = cut(signal[::factor], 1000.0 / factor, np.rint(peaks_s * 1000 / factor).astype(np.int64))
        np.testing.assert_allclose(slow, rows, atol=0.02)


def test_what_cannot_be_cut_is_left_out() -> None:
    mv, peaks = heart("N" * 8, 200)
    lead = mv[:, 0].astype(np.float64)
    ends = int(peaks[-1]) + 50
    _, kept = cut(lead[:ends], RATE, peaks)
    assert kept.tolist() == list(range(7))  # the last has not 1.2 T
    assert len(cut(np.zeros(5000), RATE, peaks)[0]) == 0
    assert len(cut(np.full(5000, np.nan), RATE, peaks)[0]) == 0
    assert len(cut(lead, RATE, peaks[:1])[0]) == 0
    lead[300:320] = np.nan
    assert np.isfinite(cut(lead, RATE, peaks)[0]).all()


# WFDB records


def write(folder: Path, name: str, mv: Any, leads: list[str], comments: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    wfdb.wrsamp(
        name, 250, ["mV"] * 2, leads, p_signal=mv.astype(np.float64), fmt=["16"] * 2, comments=comments,
        write_dir=str(folder),
    )  # fmt: skip


@pytest.mark.parametrize("detected", [False, True])
def test_mitbih_beats_have_the_classes_of_the_paper(tmp_path: Path, detected: bool) -> None:
    kinds = "".join(np.random.default_rng(1).choice(list("NNNNV"), 60))
    mv, peaks = heart(kinds, 200)
    folder = tmp_path / "mitdb"
    write(folder, "1", mv[:, ::-1], ["V5", "MLII"], [])  # lead II is the second here
    symbols = [{"N": "L"}.get(kind, kind) for kind in kinds]
    symbols[10] = "j"  # an escape beat: N here, S for EC57
    symbols[11] = "+"  # no beat
    wfdb.wrann("1", "atr", peaks, symbols, write_dir=str(folder))
    told: list[str] = []
    beats = from_mitbih(folder, ["1"], detected=detected, report=told.append)
    assert told == ["1"]
    assert set(beats.subjects if beats.subjects is not None else ()) == {"mitdb/1"}
    expected = {"N": kinds.count("N"), "V": kinds.count("V"), "S": 0, "F": 0, "Q": 0}
    expected[kinds[11]] -= 1
    if kinds[10] == "V":
        expected["V"] -= 1
        expected["N"] += 1
    counts = beats.counts()
    assert sum(counts.values()) >= len(kinds) - (8 if detected else 3)
    assert all(counts[name] <= expected[name] for name in counts)
    narrow = beats.rows[beats.labels == 0]
    assert np.median(narrow[:, 0]) > 0.6  # MLII is upright in these beats


def test_ptb_by_the_header(tmp_path: Path) -> None:
    mv, _ = heart("N" * 30, 200)
    healthy = ["Reason for admission: Healthy control"]
    write(tmp_path / "patient001", "s1", mv, ["i", "ii"], ["age: 81", "Reason for admission: Myocardial infarction"])
    write(tmp_path / "patient002", "s2", mv, ["i", "ii"], healthy)
    write(tmp_path / "patient003", "s3", mv, ["i", "ii"], ["Reason for admission: Cardiomyopathy"])
    beats = from_ptb(tmp_path, ptb_records(tmp_path))
    assert set(beats.subjects.tolist() if beats.subjects is not None else ()) == {
        "infarction/patient001",
        "normal/patient002",
    }
    assert min(beats.counts().values()) > 20
    assert beats.notes == ()
    odd = tmp_path / "patient001" / "s1.hea"  # a rate that only the mended header tells
    odd.write_text(odd.read_text().replace("s1 2 250 ", "s1 2 2.5e2 ", 1))
    assert "2.5e2" in odd.read_text()
    assert np.array_equal(from_ptb(tmp_path, ptb_records(tmp_path)).rows, beats.rows)
    write(tmp_path / "else", "s4", mv, ["i", "ii"], healthy)
    assert "a patient of its own: 1" in from_ptb(tmp_path, ptb_records(tmp_path)).notes[0]
    with pytest.raises(RecordError, match="telebeat download ptbdb"):
        from_ptb(tmp_path, [tmp_path / "patient003" / "s3"])


def test_diagnosis_and_patient_of_a_header() -> None:
    assert diagnosis(["Reason for admission: Healthy control"]) == "normal"
    assert diagnosis(["reason for admission:  myocardial infarction "]) == "infarction"
    assert diagnosis(["Reason for admission: Dysrhythmia"]) is None
    assert diagnosis(["Additional diagnoses: Myocardial infarction"]) is None
    assert patient_of(Path("ptbdb/patient012/s1"), []) == "patient012"
    assert patient_of(Path("ptbdb/s1"), ["age: 3", "patient165, first 60 s"]) == "patient165"
    assert patient_of(Path("ptbdb/s1"), ["a patient"]) is None


# CSV files


def csv(path: Path, rows: Any, labels: Any) -> None:
    np.savetxt(path, np.column_stack([rows, labels]), delimiter=",", fmt="%.6f")


@pytest.fixture
def csv_dir(tmp_path: Path) -> Path:
    rows = some_rows(40)
    csv(tmp_path / "mitbih_train.csv", rows[:30], np.arange(30) % 5)
    csv(tmp_path / "mitbih_test.csv", rows[30:], np.arange(10) % 5)
    csv(tmp_path / "ptbdb_normal.csv", rows[:20], np.zeros(20))
    csv(tmp_path / "ptbdb_abnormal.csv", rows[20:], np.ones(20))
    return tmp_path


def test_csv_files_are_read_as_they_are(csv_dir: Path) -> None:
    read: list[int] = []
    beats = from_csv(csv_dir, MITBIH, read.append)
    np.testing.assert_allclose(beats.rows, some_rows(40), atol=1e-6)
    assert beats.labels.tolist() == [*(np.arange(30) % 5), *(np.arange(10) % 5)]
    assert beats.test is not None
    assert beats.test.tolist() == [False] * 30 + [True] * 10
    assert beats.subjects is None
    assert sum(read) == sum((csv_dir / f"mitbih_{part}.csv").stat().st_size for part in ("train", "test"))
    ptb = from_csv(csv_dir, PTB)
    assert ptb.counts() == {"normal": 20, "infarction": 20}
    assert ptb.test is None


def line(change: Callable[[list[str]], list[str]]) -> Callable[[list[str]], list[str]]:
    """Change the third line's columns."""

    def changed(lines: list[str]) -> list[str]:
        return [*lines[:2], ",".join(change(lines[2].split(","))), *lines[3:]]

    return changed


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (line(lambda c: c[:-1]), r"line 3: 187 columns instead of 188"),
        (line(lambda c: [*c, "0"]), r"line 3: 189 columns"),
        (line(lambda c: [c[0], "nan", *c[2:]]), r"line 3: nan in column 2"),
        (line(lambda c: [*c[:4], "1.2", *c[5:]]), r"line 3: 1\.2 in column 5"),
        (line(lambda c: [*c[:-1], "5"]), r"line 3: label 5"),
        (line(lambda c: [*c[:-1], "1.5"]), r"line 3: label 1\.5"),
        (line(lambda c: [*c[:-1], "nan"]), r"line 3: label nan"),
        (line(lambda c: ["x", *c[1:]]), r"line 3: 'x' in column 1 is no number.*line of names"),
        (line(lambda c: ["", *c[1:]]), r"line 3: '' in column 1 is no number"),
        (lambda _: [], "is empty"),
        (lambda lines: [*lines, ""], r"line 11: 1 columns"),
    ],
)
def test_a_wrong_csv_is_told_by_file_and_line(
    csv_dir: Path, change: Callable[[list[str]], list[str]], says: str
) -> None:
    path = csv_dir / "mitbih_test.csv"
    lines = change(path.read_text().splitlines())
    path.write_text("".join(f"{text}\n" for text in lines))
    with pytest.raises(RecordError, match=rf"mitbih_test\.csv.*{says}"):
        from_csv(csv_dir, MITBIH)


def test_the_line_is_counted_over_blocks(csv_dir: Path) -> None:
    path = csv_dir / "mitbih_train.csv"
    good = path.read_text().splitlines()[0]
    path.write_text(f"{good}\n" * (LINES + 4) + good.replace(",", ",7", 1) + "\n")
    with pytest.raises(RecordError, match=f"line {LINES + 5}: "):
        from_csv(csv_dir, MITBIH)


def test_missing_and_exchanged_files(csv_dir: Path) -> None:
    (csv_dir / "ptbdb_abnormal.csv").rename(csv_dir / "ptbdb_normal.csv")
    with pytest.raises(RecordError, match=r"has no ptbdb_abnormal\.csv"):
        from_csv(csv_dir, PTB)
    (csv_dir / "ptbdb_abnormal.csv").write_bytes((csv_dir / "ptbdb_normal.csv").read_bytes())
    with pytest.raises(RecordError, match=r"ptbdb_normal\.csv, line 1: label 1.*right file"):
        from_csv(csv_dir, PTB)
    (csv_dir / "mitbih_train.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecordError, match="cannot be read as text"):
        from_csv(csv_dir, MITBIH)


# Words


@settings(deadline=None)
@given(st.integers(0, len(BEDSIDE_WORDS) - 1), st.floats(-100, 400, width=32) | st.just(float("nan")))
def test_scales_are_those_of_the_bedside(field: int, value: float) -> None:
    several = levels_of(BEDSIDE_WORDS[field], np.array([value], np.float32))
    assert several.tolist() == [level_of(field, float(np.float32(value)))]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_letters_are_those_of_the_bedside(seed: int) -> None:
    row = some_rows(1, seed)
    said = draw_beats(row)
    length = int(lengths_of(row)[0])
    fine = np.interp(np.arange((length - 1) * FINER + 1) / FINER, np.arange(length), row[0, :length])
    assert said.lengths[0] == -(-len(fine) // HOP)
    for place in range(int(said.lengths[0])):
        at = np.clip(place * HOP - SPAN_BEFORE + np.arange(SPAN), 0, len(fine) - 1)
        expected = plain_letters(fine[at].astype(np.float32), -24)
        assert sum(a != b for a, b in zip(text_of(said.texts[0, place]), expected, strict=True)) <= 1  # float32
        assert said.levels[0, place, 0] < WORDS[0].levels


def test_a_beat_is_said_the_same_in_any_company() -> None:
    rows = some_rows(30)
    together = draw_beats(rows)
    for i in (0, 7, 29):
        alone = draw_beats(rows[i : i + 1])
        assert np.array_equal(alone.texts[0], together.texts[i])
        assert np.array_equal(alone.levels[0], together.levels[i])
        assert alone.lengths[0] == together.lengths[i]


def test_padding_says_nothing() -> None:
    rows = some_rows(60)
    rows[0] = 0.0  # no beat at all is still a sentence of one word
    said = draw_beats(rows)
    vocabulary = learn_shapes(said, np.arange(len(rows)), 400, 8, 60, 0)
    words = words_of(said, vocabulary)
    assert words.shape == (60, PLACES, 1 + len(WORDS))
    last = np.array([8, *(word.levels for word in WORDS)])
    for beat, length in zip(words, said.lengths, strict=True):
        assert 1 <= length <= PLACES
        assert np.all(beat[length:] == last)
        assert np.all(beat[:length] < last)
    assert said.texts.shape[2] == TEXT


def test_sentences_are_read_as_torch_reads_them() -> None:
    import torch

    from model.heartbeat_words import sizes_of
    from model.network import Network, NetworkConfig
    from model.train import export

    torch.manual_seed(3)
    sizes = sizes_of(12)
    network = Network(NetworkConfig(sizes, 24, 20, classes=2)).eval()
    words = np.random.default_rng(0).integers(0, sizes, (40, PLACES, len(sizes)))
    lengths = np.random.default_rng(1).integers(1, PLACES + 1, 40)
    probabilities = read_sentences(export([network], None).layers, words, lengths)  # type: ignore[arg-type]
    with torch.no_grad():
        scores, _, _ = network(torch.from_numpy(words), network.start(40))
    expected = torch.softmax(scores[torch.arange(40), torch.from_numpy(lengths) - 1], 1).numpy()
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)


# Splits


@settings(max_examples=20, deadline=None)
@given(st.integers(60, 400), st.integers(4, 12), st.integers(2, 6), st.integers(0, 99))
def test_no_patient_is_on_two_sides(count: int, subjects: int, folds: int, seed: int) -> None:
    from model.heartbeat_train import split_beats, split_patients, why_not_by_patient

    beats = two_kinds(count, subjects, seed)
    assert beats.subjects is not None
    once = split_beats(beats, seed)
    assert sorted(chain(once.training, once.held_out, once.judged)) == list(range(count))
    assert abs(len(once.judged) - count / 5) <= 2
    if why_not_by_patient(beats) is not None:
        return
    splits = split_patients(beats, folds, seed)
    assert sorted(chain.from_iterable(split.judged for split in splits)) == list(range(count))
    for split in splits:
        assert sorted(chain(split.training, split.held_out, split.judged)) == list(range(count))
        sides = [set(beats.subjects[side]) for side in (split.training, split.held_out, split.judged)]
        assert all(sides)
        assert sum(map(len, sides)) == len(set.union(*sides))


def test_the_split_by_beats_has_all_classes_on_every_side_and_is_repeatable() -> None:
    from model.heartbeat_train import split_beats

    beats = two_kinds(200)
    one, same, other = (split_beats(beats, seed) for seed in (1, 1, 2))
    for side in (one.training, one.held_out, one.judged):
        assert set(beats.labels[side]) == {0, 2}
    assert np.array_equal(one.judged, same.judged)
    assert not np.array_equal(one.judged, other.judged)


def test_the_files_own_test_part_is_kept(csv_dir: Path) -> None:
    from model.heartbeat_train import split_beats, why_not_by_patient

    beats = from_csv(csv_dir, MITBIH)
    split = split_beats(beats, 0)
    assert split.judged.tolist() == list(range(30, 40))
    assert "do not tell whose" in (why_not_by_patient(beats) or "")
    few = beats.subsample(20, 3)
    assert len(few) == 20
    assert few.test is not None
    assert split_beats(few, 0).judged.tolist() == np.flatnonzero(few.test).tolist()
    assert "20 of 40 beats" in few.notes[-1]
    assert beats.subsample(40, 3) is beats


def test_two_patients_are_too_few() -> None:
    from model.heartbeat_train import split_patients, why_not_by_patient

    beats = two_kinds(80, subjects=2)
    assert "2 N, 0 S, 2 V" in (why_not_by_patient(beats) or "")
    with pytest.raises(ValueError, match="too few patients"):
        split_patients(beats, 5, 0)
    assert why_not_by_patient(two_kinds(80, subjects=3)) is None


# Training


def small(**changes: Any) -> Any:
    from dataclasses import replace

    from model.heartbeat_train import RECIPE

    sizes = {"clusters": 10, "ngrams": 80, "embedding": 12, "hidden": 12}
    return replace(
        RECIPE,
        **(sizes | {"epochs": 12, "patience": 12, "batch_size": 8, "learning_rate": 0.02, "dropout": 0.0} | changes),
    )


def test_it_learns_and_is_repeatable() -> None:
    from model.heartbeat_train import split_beats, split_patients, study

    beats = two_kinds(300)
    said = draw_beats(beats.rows)
    once = study(beats, said, "random", [split_beats(beats, 0)], small())
    again = study(beats, said, "random", [split_beats(beats, 0)], small())
    assert np.array_equal(once.probabilities, again.probabilities)
    assert once.curves == again.curves
    np.testing.assert_allclose(once.probabilities.sum(axis=1), 1, atol=1e-5)
    right = beats.labels[once.chosen] == once.probabilities.argmax(axis=1)
    assert right.mean() > 0.95  # four in five are N
    patient = study(beats, said, "patient", split_patients(beats, 2, 0), small(epochs=3))
    assert sorted(patient.chosen) == list(range(300))
    assert set(patient.parts) == {0, 1}


def test_the_class_is_asked_for_once_and_rare_beats_are_read_more_often() -> None:
    from model.heartbeat_train import HeartbeatTrainer, split_beats

    beats = two_kinds(300)
    split = split_beats(beats, 0)
    trainer = HeartbeatTrainer(beats, draw_beats(beats.rows), split, small())
    for labels, words, i in zip(trainer.labels, trainer.words, split.training, strict=True):
        assert len(labels) == len(words)
        assert labels[-1].tolist() == [beats.labels[i], UNLABELLED]
        assert np.all(labels[:-1] == UNLABELLED)
    rare = beats.labels[split.training] == 2
    read = trainer.order()
    assert len(read) == pytest.approx(len(split.training), abs=2)
    roots = np.sqrt([rare.sum(), (~rare).sum()])
    assert rare[read].mean() == pytest.approx(roots[0] / roots.sum(), abs=0.01)
    assert len(set(trainer.order()) & set(np.flatnonzero(rare))) == rare.sum()


def test_it_stops_early_when_nothing_gets_better() -> None:
    from model.heartbeat_train import split_beats, study

    beats = two_kinds(150)
    found = study(beats, draw_beats(beats.rows), "random", [split_beats(beats, 0)], small(epochs=30, patience=2))
    scores = [line.score for line in found.curves[0]]
    assert len(scores) < 30
    assert max(scores) > max(scores[-2:]) or scores.index(max(scores)) == len(scores) - 3


def test_boosted_trees_are_judged_on_the_same_beats() -> None:
    from model.heartbeat_train import boosted, split_patients

    beats = two_kinds(150)
    splits = split_patients(beats, 3, 0)
    trees = boosted(beats, "patient", splits, 0)
    assert sorted(trees.chosen) == list(range(150))
    assert (beats.labels[trees.chosen] == trees.probabilities.argmax(axis=1)).mean() > 0.9
