"""Rhythms through the whole ward: scripted hearts, and the way of training beside that of the bedside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.dataset import sentences_of
from model.lstm import classify_sequence
from model.reader import Reader, spell
from model.rhythm_head import rhythm_log_odds
from model.strip import read_strip
from model.words import RR
from replay import script, script_files
from replay.records import read_record
from stream import limits, rhythm
from stream.annotate import analyse
from stream.bed import AF
from stream.ward import Ward

READER = Reader.load()
LATEST_S = 25.0  # by which a rhythm that has begun or ended is told as such
#: Rhythms that are no fibrillation, each as irregular as it gets.
OTHERS = (
    "sinus 60 for 90 s",
    "pac every 5 beats in sinus 70 for 90 s",
    "pvc every 4 beats in sinus 80 for 90 s",
    "sinus 48 for 90 s",
    "svt 170 for 30 s",
)


def ward_says(name: str, text: str, folder: Path) -> tuple[list[tuple[float, str]], list[float]]:
    """When the ward told each rhythm of a scripted patient, in seconds of the record; R peaks of its beats."""
    script_files.write(script.load(text), folder)
    record = read_record(folder / name)
    said = analyse(record, Ward(READER, limits.Limits()))
    marks = [(mark.sample * 1000 / record.rate_mHz, mark.aux) for mark in said.marks if mark.symbol == "+"]
    return marks, [beat.sample * 1000 / record.rate_mHz for beat in said.beats]


@pytest.mark.parametrize("rate", [80, 110, 140])
@pytest.mark.parametrize("seed", [1, 2])
def test_fibrillation_of_a_scripted_heart_is_told_and_ends(rate: int, seed: int, tmp_path: Path) -> None:
    text = (
        f'patient "p" rate 250 Hz leads II V1 seed {seed}\nsinus 70 for 60 s\naf {rate} for 90 s\nsinus 70 for 60 s\n'
    )
    marks, _ = ward_says("p", text, tmp_path)
    begins = [at for at, name in marks if name == "(AFIB"]
    assert begins
    assert 60.0 - LATEST_S < begins[0] < 60.0 + LATEST_S
    (last,) = [at for at, name in marks[-1:] if name == "(N"]
    assert 150.0 < last < 150.0 + LATEST_S


@pytest.mark.parametrize("leads", ["II V1", "II"])
def test_what_is_irregular_otherwise_is_no_fibrillation(leads: str, tmp_path: Path) -> None:
    text = f'patient "p" rate 250 Hz leads {leads} seed 5 breathing 12 /min\n' + "\n".join(OTHERS) + "\n"
    marks, beats = ward_says("p", text, tmp_path)
    assert "(AFIB" not in {name for _, name in marks}
    assert len(beats) > 400


def test_training_reads_the_rhythm_that_the_bedside_tells(tmp_path: Path) -> None:
    """The log odds of the way of training, put through the ward's rule beat by beat, give the ward's marks."""
    course = ("sinus 75 for 50 s", "af 100 for 70 s", "pac every 4 beats in sinus 75 for 60 s")
    text = "\n".join(('patient "p" rate 360 Hz leads II V1 seed 3', *course)) + "\n"
    told, peaks = ward_says("p", text, tmp_path)
    strip, weights = read_strip(tmp_path / "p"), READER.weights
    samples, texts, values, levels = sentences_of(strip)
    assert (samples / strip.rate_hz).tolist() == pytest.approx(peaks)
    words = np.empty((len(samples), len(weights.layers.offsets)), np.int64)
    for i in range(len(samples)):
        spell(weights.vocabulary, texts[i], levels[i], words[i])
    labels = classify_sequence(weights.layers, words, np.isfinite(values[:, RR])).first.argmax(axis=1)
    log_odds = rhythm_log_odds(weights.layers, weights.rhythm, words)
    state, out, marks = np.zeros(1, rhythm.RHYTHM)[0], np.zeros(4, rhythm.MARK), []
    rhythm.begin(state, 0)
    for i, sample in enumerate(samples):
        tick = round(sample * 250 / strip.rate_hz)
        count = rhythm.on_beat(state, int(labels[i]), float(log_odds[i, AF]), tick, int(sample), out, 0)
        marks += [(int(mark["sample"]) / strip.rate_hz, rhythm.AUX[int(mark["code"])]) for mark in out[:count]]
    assert {"(N", "(AFIB"} <= {name for _, name in told}
    assert [name for _, name in marks] == [name for _, name in told]
    assert [at for at, _ in marks] == pytest.approx([at for at, _ in told])
