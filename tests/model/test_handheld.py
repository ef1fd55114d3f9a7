"""Strips of a handheld lead: which are taken, and what is counted of them and when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb
from scipy.signal import butter, sosfilt

from benchmarks import handheld
from benchmarks.handheld import Analysed
from detector.types import INVALID
from model.codes import CLASSES
from model.reader import Reader
from model.strip import Strip, read_strip
from stream.errors import RecordError
from tests.detector.hearts import ecg
from tests.model.hearts import heart

RATE = 250
S, V, N = (CLASSES.index(letter) for letter in "SVN")


def write(folder: Path, *names: str, table: str | None = None) -> Path:
    """A database of strips of 40 beats, and what says what they are."""
    database = folder / handheld.DATABASE
    database.mkdir(exist_ok=True)
    mv, _ = heart("N" * 40, 200)
    for name in names:
        wfdb.wrsamp(name, RATE, ["mV"], ["ECG"], mv[:, :1].astype(np.float64), fmt=["16"], write_dir=str(database))
    if table is not None:
        (database / handheld.REFERENCE).write_text(table, encoding="ascii")
    return folder


def test_strips_of_a_known_rhythm_are_taken(tmp_path: Path) -> None:
    write(tmp_path, "A1", "A2", "A3", "A4", table="A1,N\nA2,?\nA4,A\nA9,N\n")
    assert [(path.name, rhythm) for path, rhythm in handheld.strips(tmp_path)] == [("A1", "N"), ("A4", "A")]


def test_without_strips_or_their_rhythms_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cinc2017"):
        handheld.strips(tmp_path)
    write(tmp_path, "A1")
    with pytest.raises(RecordError, match=r"REFERENCE\.csv: cannot be read"):
        handheld.strips(tmp_path)
    write(tmp_path, "A1", table="A1,?\n")
    with pytest.raises(RecordError, match="names none of the strips"):
        handheld.strips(tmp_path)


def test_a_strip_is_heard_from_its_first_second(tmp_path: Path) -> None:
    strip = read_strip(write(tmp_path, "A1") / handheld.DATABASE / "A1")
    analysed = handheld.analyse(strip, "A1", Reader.load(None))
    assert 36 <= len(analysed.beats_s) <= 40
    assert analysed.beats_s[0] < 2.0
    assert len(analysed.said) == len(analysed.beats_s)
    assert 0 <= len(analysed.epochs_s) - 10 * len(strip.samples) // RATE < 10  # the last reading is held


def test_hum_is_declared_and_so_are_beats_in_doubt_but_no_clean_lead() -> None:
    clean = 1000 * ecg(40, 75, noise_mv=0.005)[0][:, 0]
    t = np.arange(len(clean)) / RATE
    moving = sosfilt(
        butter(2, (2.0, 12.0), "bandpass", fs=RATE, output="sos"), np.random.default_rng(1).normal(size=len(t))
    )
    reader = Reader.load(None)
    for added, declared in ((0 * t, 0.0), (300 * np.sin(2 * np.pi * 60 * t), 1.0), (1000 * moving / moving.std(), 1.0)):
        samples = np.stack([clean + added, np.full(len(t), INVALID)], axis=1).astype(np.int16)
        analysed = handheld.analyse(Strip(RATE, samples, np.array([0.001, np.nan])), "A1", reader)
        assert len(analysed.declared) == len(analysed.epochs_s)
        assert analysed.declared[analysed.epochs_s > 6.0].mean() == pytest.approx(declared, abs=0.05)


def test_each_stretch_counts_its_own() -> None:
    one = Analysed(
        beats_s=np.array([0.5, 4.9, 5.0, 12.0, 70.0]),
        said=np.array([V, N, S, V, V]),
        epochs_s=np.array([0.1, 5.0, 5.25]),
        declared=np.array([True, True, False]),
    )
    first, second, third, last = handheld.count([one, one])
    # Beats are read 0.3 s behind their R peak: those at 0.5 s under the second epoch, all others under the last.
    none = {"clear S": 0, "clear V": 0, "declared": 0}
    assert first == {"beats": 4, "S": 0, "V": 2, "clear": 2, **none, "epochs": 4, "declared": 4}
    assert second == {"beats": 2, "S": 2, "V": 0, "clear": 2, **none, "clear S": 2, "epochs": 2}
    assert third == {"beats": 2, "S": 0, "V": 2, "clear": 2, **none, "clear V": 2, "epochs": 0}
    assert last == dict.fromkeys(handheld.COUNTED, 0)


def test_the_table_has_shares_and_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = dict.fromkeys(handheld.COUNTED, 0)
    stretch = {"beats": 40, "S": 1, "V": 4, "clear": 20, "clear S": 1, "clear V": 2, "epochs": 50, "declared": 5}
    handheld.show({"edges_s": (0, 5, 10), "strips": {"N": 2}, "counts": {"N": [stretch, quiet]}})
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert rows[0] == ["normal", "2", "0-5", "40", "2.5", "%", "10.0", "%", "5.0", "%", "10.0", "%", "10.0", "%"]
    assert rows[1] == ["normal", "2", "5-10", "0", "–", "–", "–", "–", "–"]
    assert rows[2][2:4] == ["all", "40"]
