"""Doubt in annotation files: declared where beats are told, and EC57's shutdown where they are not."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt

from detector.types import RATE
from model.codes import DOUBTED, UNREADABLE
from model.ec57 import Annotations, Period, pair, read, tabulate
from model.ec57.annotations import beats as beats_of
from model.reader import Reader
from stream.annotate import annotate
from stream.annotations import COLUMNS, marks_of, remove, shut_down, write_annotations, write_beats
from stream.limits import Limits
from stream.ward import Ward
from stream.wire import Beat, Mark, Revision
from tests.detector.hearts import ecg


def beat(sample: int) -> Beat:
    return Beat(sample, "N", 0.9, 300, 148.0, 300.0, 0)


def test_no_beat_is_told_in_doubt_and_all_others_are() -> None:
    marks = [Mark(250, "~", "", DOUBTED), Mark(450, "~", "", 0)]
    kept, told = shut_down([beat(at) for at in (100, 200, 300, 400, 500)], marks)
    assert [one.sample for one in kept] == [100, 200, 500]
    assert told == [Mark(250, "~", "", DOUBTED | UNREADABLE), Mark(450, "~", "", 0)]


def test_a_noisy_lead_beside_a_good_one_is_no_doubt() -> None:
    marks = [Mark(250, "~", "", 0x01), Mark(450, "~", "", 0x03)]
    kept, told = shut_down([beat(300), beat(500)], marks)
    assert len(kept) == 2
    assert told == marks


def test_no_rhythm_stands_within_fibrillation() -> None:
    """One told of the seconds before fibrillation was known would end it, by EC57's rules."""
    inside = [Mark(300, "+", "(VT"), Mark(350, "~", "", 1), Mark(390, "+", "(N")]
    told = marks_of(
        [beat(250), beat(310)],
        [],
        [
            Mark(100, "+", "(N"),
            *inside,
            Mark(200, "+", "(VFL"),
            Mark(200, "[", ""),
            Mark(400, "]", ""),
            Mark(400, "+", "(N"),
        ],
    )
    assert [(mark.sample, mark.symbol) for mark in told] == [
        *((100, "+"), (200, "+"), (200, "["), (250, "N"), (310, "N"), (350, "~"), (400, "]"), (400, "+")),
    ]


@pytest.mark.parametrize("name", ["my rec", "rec.v2", "rec(1)", "x$y", "réc", "心電図", "a-b_c"])
def test_a_record_may_be_called_anything(name: str, tmp_path: Path) -> None:
    path = write_annotations(tmp_path, name, 250.0, [beat(100), beat(300)], [], [Mark(100, "+", "(N")])
    assert path == tmp_path / f"{name}.tb"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert read(tmp_path, name, "tb", 250.0).symbols == ("+", "N", "N")


def test_a_rhythm_that_begins_in_it_begins_with_its_end() -> None:
    marks = [
        Mark(100, "~", "", DOUBTED),
        Mark(150, "+", "(AFIB"),
        Mark(200, "+", "(N"),
        Mark(210, "+", "(VFL"),
        Mark(210, "[", ""),
        Mark(230, "+", "(VT"),
        Mark(260, "]", ""),
        Mark(270, "+", "(T"),
        Mark(280, "+", "(B"),
        Mark(300, "~", "", 0),
    ]
    _, told = shut_down([], marks)
    assert [(mark.sample, mark.symbol, mark.aux) for mark in told] == [
        (100, "~", ""),
        (210, "+", "(VFL"),
        (210, "~", ""),
        (210, "[", ""),
        (260, "]", ""),
        (260, "~", ""),
        (300, "~", ""),
        (300, "+", "(B"),
    ]
    doubtful = [mark for mark in marks if mark.sample not in (270, 280)]
    assert [mark.aux for mark in shut_down([], doubtful)[1] if mark.symbol == "+"] == ["(VFL"]


def test_doubt_that_does_not_end_keeps_silent_to_the_end() -> None:
    kept, told = shut_down([beat(100), beat(900)], [Mark(500, "~", "", DOUBTED), Mark(600, "+", "(N")])
    assert [one.sample for one in kept] == [100]
    assert [mark.symbol for mark in told] == ["~"]


@example([], [(154, DOUBTED)], [154, 155])
@given(
    st.lists(st.integers(0, 3000), max_size=30, unique=True),
    st.lists(
        st.tuples(st.integers(0, 3000), st.sampled_from([0, 1, 3, DOUBTED, UNREADABLE, DOUBTED | 0x20])), max_size=8
    ),
    st.lists(st.integers(0, 3000), max_size=6, unique=True),
)
def test_ec57_finds_every_silence_and_no_beat_in_one(
    samples: list[int], quality: list[tuple[int, int]], turns: list[int]
) -> None:
    """Wherever fibrillation lies; within it EC57 counts nothing."""
    marks = [Mark(at, "~", "", subtype) for at, subtype in dict(sorted(quality)).items()]
    turns = sorted(turns)[: len(turns) // 2 * 2]
    vf = [Mark(at, "[" if k % 2 == 0 else "]") for k, at in enumerate(turns)]
    kept, told = shut_down([beat(at) for at in samples], [*marks, *vf])
    rows = marks_of(kept, [], told)
    found = beats_of(
        Annotations.of(
            np.array([row.sample for row in rows], np.int64),
            [row.symbol for row in rows],
            [row.subtype for row in rows],
        ),
        54,
    )
    edges = {mark.sample for mark in [*marks, *vf]}
    for at in set(range(0, 3001, 50)) - edges:
        before = [mark.subtype for mark in marks if mark.sample <= at]
        silent = bool(before) and (before[-1] & DOUBTED == DOUBTED or before[-1] & UNREADABLE == UNREADABLE)
        if not found.fibrillation.cover(at):
            assert found.shutdown.cover(at) == silent
    assert not any(found.shutdown.cover(at) for at in found.samples if at not in edges)


def test_a_record_is_annotated_with_beats_in_doubt_or_without(tmp_path: Path) -> None:
    """Half a minute of its two minutes moves like beats, and not like fibrillation."""
    mv, peaks = ecg(120, 75, noise_mv=0.005)
    moving = sosfilt(
        butter(2, (5.0, 25.0), "bandpass", fs=RATE, output="sos"), np.random.default_rng(1).normal(size=len(mv))
    )
    noisy = slice(40 * RATE, 70 * RATE)
    mv[noisy] += (moving / moving.std())[noisy, None]
    wfdb.wrsamp("p", RATE, ["mV", "mV"], ["II", "V5"], mv, fmt=["16", "16"], write_dir=str(tmp_path))
    reference = Annotations.of(peaks, "N" * len(peaks))
    ward = Ward(Reader.load(None), Limits())
    tables = []
    for name, shutdown in (("told", False), ("silent", True)):
        (tmp_path / name).mkdir()
        annotate(tmp_path / "p", tmp_path / name, ward, shutdown=shutdown)
        test = read(tmp_path / name, "p", "tb", RATE)
        tables.append(tabulate(pair(reference, test, Period.of(RATE, start_s=0.0, end_s=120.0)), RATE))
    told, silent = tables
    alerts = [(tmp_path / name / "p.alerts.jsonl").read_bytes() for name in ("told", "silent")]
    assert alerts[0] == alerts[1]
    assert b'"rule":"noisy"' in alerts[0]
    assert told.shutdown_s == 0.0
    assert 25.0 < told.noise_s < 37.0
    assert silent.shutdown_s == silent.noise_s == told.noise_s
    assert silent.true_positives < told.true_positives
    assert silent.false_positives < told.false_positives
    assert silent.clear.qrs_se.percent == told.clear.qrs_se.percent
    assert silent.qrs_ppv.percent == told.clear.qrs_ppv.percent
    assert silent.missed_in_shutdown.hits >= 30


def test_the_table_of_beats_says_what_is_published(tmp_path: Path) -> None:
    first = Beat(360, "N", 0.9, 7, 0.0, 148.0, 300.0)
    second = Beat(720, "V", 0.6, 8, 1000.0, 152.0, 300.0)
    path = write_beats(tmp_path, "a", 360.0, [first, second], [Revision(360, "S", 0.7, 1300.0)])
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS)
    assert [row["time_s"] for row in rows] == ["1.0", "2.0"]
    assert [(row["first"], row["last"], row["last_known_ms"]) for row in rows] == [("N", "S", "1300.0"), ("V", "", "")]
    assert (rows[1]["token"], rows[1]["rr_ms"], rows[1]["first_probability"]) == ("8", "1000.0", "0.6")
    remove(tmp_path, "a")
    assert not path.exists()
