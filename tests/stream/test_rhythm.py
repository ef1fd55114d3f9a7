"""The rhythm told from classed beats."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.types import EPOCH, EPOCH_STATE, FLAT, GOOD, NOISY, OFF, RATE
from model.codes import ALL_NOISY, CLASSES, DOUBTED
from model.ec57 import Annotations, Period, pair, tabulate
from stream import rhythm


class Bed:
    def __init__(self) -> None:
        self.state = np.zeros(1, rhythm.RHYTHM)[0]
        rhythm.begin(self.state, 0)
        self.out = np.zeros(4, rhythm.MARK)
        self.told: list[tuple[str, int]] = []
        self.tick = 0

    def beats(self, labels: str, rr: object) -> Bed:
        """One beat a letter; `rr` in seconds before each: a number or one for each."""
        for label, interval in zip(labels, np.broadcast_to(np.asarray(rr, float), len(labels)), strict=True):
            self.tick += round(float(interval) * RATE)
            count = rhythm.on_beat(self.state, CLASSES.index(label), self.tick, self.tick, self.out, 0)
            for mark in self.out[:count]:
                self.told.append((rhythm.AUX[int(mark["code"])], int(mark["sample"])))
        return self

    @property
    def rhythms(self) -> list[str]:
        return [name for name, _ in self.told]


def fibrillating(beats: int, seed: int, mean: float = 0.65) -> np.ndarray:
    return np.clip(np.random.default_rng(seed).normal(mean, 0.22 * mean, beats), 0.28, 1.8)


def test_the_first_rhythm_is_the_basic_one() -> None:
    assert Bed().beats("N" * 40, 0.8).rhythms == ["(N"]


def test_bigeminy() -> None:
    bed = Bed().beats("N" * 10 + "NV" * 6, 0.7).beats("N" * 8, 0.7)
    assert bed.rhythms == ["(N", "(B", "(N"]


def test_trigeminy() -> None:
    bed = Bed().beats("N" * 10 + "NNV" * 6, 0.7).beats("N" * 10, 0.7)
    assert bed.rhythms == ["(N", "(T", "(N"]


@pytest.mark.parametrize(("label", "name"), [("V", "(VT"), ("S", "(SVTA")])
def test_runs_begin_at_their_first_beat(label: str, name: str) -> None:
    bed = Bed().beats("N" * 10, 0.8)
    first = bed.tick + round(0.4 * RATE)
    bed.beats(label * 5, 0.4).beats("N" * 5, 0.8)
    assert bed.rhythms == ["(N", name, "(N"]
    assert bed.told[1][1] == first


def test_a_run_amid_fibrillation_lasts_to_its_end() -> None:
    """It is told when its third beat is read, and what was fibrillation before is so again from its end on."""
    rr = np.concatenate([fibrillating(80, 1), np.full(6, 0.35), fibrillating(60, 2)])
    bed = Bed().beats("N" * 80 + "V" * 6 + "N" * 60, rr)
    at = dict(bed.told)
    assert bed.rhythms[-2:] == ["(VT", "(AFIB"]
    assert at["(AFIB"] - at["(VT"] >= round(5 * 0.35 * RATE)


def test_a_slow_ventricular_run_is_no_tachycardia() -> None:
    assert "(VT" not in Bed().beats("N" * 10 + "V" * 6, 0.9).rhythms


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), mean=st.floats(0.45, 0.95))
def test_atrial_fibrillation_begins_and_ends(seed: int, mean: float) -> None:
    bed = Bed().beats("N" * 40, 0.8).beats("N" * 120, fibrillating(120, seed, mean)).beats("N" * 60, 0.8)
    assert bed.rhythms[0] == "(N"
    assert "(AFIB" in bed.rhythms
    assert bed.rhythms[-1] == "(N"
    assert len(bed.rhythms) <= 5


@settings(max_examples=25, deadline=None)
@given(depth=st.floats(0.0, 0.15), cycle=st.integers(4, 8), mean=st.floats(0.5, 1.1), seed=st.integers(0, 10**6))
def test_sinus_arrhythmia_is_not_fibrillation(depth: float, cycle: int, mean: float, seed: int) -> None:
    """Breathing: smooth over `cycle` beats, up to 30 % between the shortest and longest interval of a long breath."""
    depth = min(depth, 0.02 * cycle)
    beat = np.arange(150)
    rr = mean * (1 + depth * np.sin(2 * np.pi * beat / cycle)) + np.random.default_rng(seed).normal(0, 0.008, 150)
    assert Bed().beats("N" * 150, rr).rhythms == ["(N"]


@settings(max_examples=25, deadline=None)
@given(every=st.integers(4, 12), mean=st.floats(0.6, 1.1), label=st.sampled_from("NSV"))
def test_premature_beats_are_not_fibrillation(every: int, mean: float, label: str) -> None:
    rr = np.full(160, mean)
    labels = ["N"] * 160
    rr[every::every] = 0.65 * mean
    rr[every + 1 :: every] = 1.25 * mean
    for i in range(every, 160, every):
        labels[i] = label
    assert "(AFIB" not in Bed().beats("".join(labels), rr).rhythms


@settings(max_examples=20, deadline=None)
@given(st.text("NSVFQ", min_size=1, max_size=200), st.integers(0, 10**6))
def test_marks_are_in_order_and_change_the_rhythm(labels: str, seed: int) -> None:
    rr = np.random.default_rng(seed).uniform(0.25, 2.0, len(labels))
    bed = Bed().beats(labels, rr)
    assert all(a != b for a, b in zip(bed.rhythms, bed.rhythms[1:], strict=False))
    samples = [sample for _, sample in bed.told]
    assert samples == sorted(set(samples))


@settings(max_examples=20, deadline=None)
@given(st.text("NSV", min_size=1, max_size=60), st.text("NSV", min_size=1, max_size=60), st.integers(0, 200))
def test_fibrillation_is_the_rhythm_until_it_ends(within: str, after: str, late: int) -> None:
    """Neither what passes for beats in it nor what is read after its end but lies in it says anything."""
    bed = Bed().beats("N" * 10 + "NV" * 5, 0.5)
    before = len(bed.told)
    begin = bed.tick - late  # it is known some time after it began
    assert rhythm.begin_vf(bed.state, begin, bed.out, 0) == 2
    assert [(int(mark["kind"]), int(mark["sample"])) for mark in bed.out[:2]] == [
        (rhythm.RHYTHM_MARK, begin),
        (rhythm.VF_BEGINS, begin),
    ]
    assert rhythm.AUX[int(bed.out[0]["code"])] == "(VFL"
    bed.beats(within, 0.3)
    end = bed.tick + RATE
    assert rhythm.end_vf(bed.state, end, bed.out, 0) == 1
    assert int(bed.out[0]["kind"]) == rhythm.VF_ENDS
    bed.beats("V", 0.5)
    assert len(bed.told) == before
    bed.tick = end
    first = bed.tick + round(0.8 * RATE)
    bed.beats(after, 0.8)
    assert bed.told[before] == ("(N", first)


def test_a_restart_forgets_the_beats() -> None:
    bed = Bed().beats("N" * 10 + "NV" * 3, 0.7)
    assert bed.rhythms[-1] == "(B"
    rhythm.restart(bed.state, bed.tick)
    assert bed.beats("N", 0.7).rhythms[-1] == "(N"


def test_readability_is_told_once_it_has_lasted() -> None:
    state = np.zeros(1, rhythm.RHYTHM)[0]
    rhythm.begin(state, 0)
    out = np.zeros(2, rhythm.MARK)
    told = []
    for i, lead in enumerate([(GOOD, GOOD)] * 20 + [(NOISY, GOOD)] * 5 + [(GOOD, GOOD)] * 20 + [(OFF, OFF)] * 30):
        epoch = np.zeros(1, EPOCH_STATE)[0]
        epoch["tick"] = i * EPOCH
        epoch["lead"] = lead
        epoch["readable"] = lead[0] == GOOD
        if rhythm.on_epoch(state, epoch, 2, i, out, 0):
            told.append((int(out[0]["sample"]), int(out[0]["code"])))
    assert told == [(45, 0b110000)]


@pytest.mark.parametrize(
    ("leads", "states", "code"),
    [
        (1, (NOISY, OFF), ALL_NOISY),
        (1, (FLAT, OFF), 0b010000),
        (2, (NOISY, NOISY), ALL_NOISY),
        (2, (NOISY, OFF), ALL_NOISY | 0b100000),
        (2, (NOISY, GOOD), 0b000001),
        (2, (GOOD, NOISY), 0b000010),
    ],
)
def test_noise_of_all_there_is_counts_as_noise(leads: int, states: tuple[int, int], code: int) -> None:
    """EC57's noise is that of two signals, also where there is one."""
    state = np.zeros(1, rhythm.RHYTHM)[0]
    rhythm.begin(state, 0)
    out = np.zeros(2, rhythm.MARK)
    epoch = np.zeros(1, EPOCH_STATE)[0]
    epoch["lead"], epoch["readable"] = states, 1
    marks = [int(out[0]["code"]) for i in range(20) if rhythm.on_epoch(state, epoch, leads, i, out, 0)]
    assert marks == [code]
    told = Annotations.of([0], "~", marks)
    declared = tabulate(pair(Annotations.of([], []), told, Period(0, 100, 1)), 1.0).noise_s
    assert declared == (100.0 if code & ALL_NOISY == ALL_NOISY else 0.0)


def test_doubt_is_told_of_all_signals() -> None:
    state = np.zeros(1, rhythm.RHYTHM)[0]
    rhythm.begin(state, 0)
    out = np.zeros(2, rhythm.MARK)
    told = []
    for i, (doubtful, lead) in enumerate([(0, GOOD)] * 20 + [(1, GOOD)] * 20 + [(0, GOOD)] * 20 + [(1, OFF)] * 20):
        epoch = np.zeros(1, EPOCH_STATE)[0]
        epoch["tick"] = i * EPOCH
        epoch["lead"] = (GOOD, lead)
        epoch["readable"], epoch["doubtful"] = 1, doubtful
        if rhythm.on_epoch(state, epoch, 2, i, out, 0):
            told.append((int(out[0]["sample"]), int(out[0]["code"])))
    assert told == [(20, DOUBTED), (40, 0), (60, DOUBTED | 0b100000)]
