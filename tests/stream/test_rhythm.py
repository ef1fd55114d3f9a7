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

    def beats(self, labels: str, rr: float, fibrillation: object = -4.0) -> Bed:
        """One beat a letter, `rr` seconds after the last; log odds of fibrillation: a number or one for each."""
        for label, log_odds in zip(labels, np.broadcast_to(np.asarray(fibrillation, float), len(labels)), strict=True):
            self.tick += round(rr * RATE)
            count = rhythm.on_beat(self.state, CLASSES.index(label), log_odds, self.tick, self.tick, self.out, 0)
            for mark in self.out[:count]:
                self.told.append((rhythm.AUX[int(mark["code"])], int(mark["sample"])))
        return self

    @property
    def rhythms(self) -> list[str]:
        return [name for name, _ in self.told]


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
    bed = Bed().beats("N" * 80, 0.6, 4.0).beats("V" * 6, 0.35, 4.0).beats("N" * 60, 0.6, 4.0)
    at = dict(bed.told)
    assert bed.rhythms == ["(N", "(AFIB", "(VT", "(AFIB"]
    assert at["(AFIB"] - at["(VT"] >= round(5 * 0.35 * RATE)


def test_a_slow_ventricular_run_is_no_tachycardia() -> None:
    assert "(VT" not in Bed().beats("N" * 10 + "V" * 6, 0.9).rhythms


def noise(count: int, seed: int, mean: float) -> np.ndarray:
    return np.clip(np.random.default_rng(seed).normal(mean, 2.0, count), -6, 6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), odds=st.floats(3.0, 6.0))
def test_what_is_read_of_fibrillation_begins_and_ends_it(seed: int, odds: float) -> None:
    bed = Bed()
    for count, mean in ((60, -odds), (120, odds), (80, -odds)):
        bed.beats("N" * count, 0.8, noise(count, seed + count, mean))
    assert bed.rhythms == ["(N", "(AFIB", "(N"]
    begins, ends = (sample / RATE / 0.8 for _, sample in bed.told[1:])
    assert abs(begins - 61) <= 15  # beats
    assert 180 <= ends <= 200


def test_no_rhythm_is_read_from_a_few_beats() -> None:
    bed = Bed().beats("N" * (rhythm.FEWEST - 1), 0.8, 6.0)
    assert bed.rhythms == ["(N"]
    assert bed.beats("N", 0.8, 6.0).told == [("(N", round(0.8 * RATE)), ("(AFIB", round(0.8 * RATE) + 1)]


@pytest.mark.parametrize("period", range(1, 7))
@pytest.mark.parametrize("before", [-4.0, 4.0])
def test_what_is_read_now_so_and_now_otherwise_changes_nothing(period: int, before: float) -> None:
    """Beats of either meaning by turns, up to half a dozen of each: whatever was told stands."""
    bed = Bed().beats("N" * 40, 0.8, before).beats("N" * 40, 0.8, -0.5)
    told = list(bed.rhythms)
    swing = np.repeat(np.tile([1.5, -1.5], 200), period)[:300]
    assert bed.beats("N" * 300, 0.8, (rhythm.BEGINS + rhythm.ENDS) / 2 + swing / period**0.5).rhythms == told
    assert told == (["(N"] if before < 0 else ["(N", "(AFIB"])


def test_the_first_beats_count_alike() -> None:
    """Until there are ten the mean is of all: one beat says no more than another."""
    half = [4.0] * 6 + [-4.5] * 6
    for read in (half, half[::-1]):
        assert Bed().beats("N" * 12, 0.8, read).rhythms == ["(N"]
    assert Bed().beats("N" * 12, 0.8, [4.0] * 7 + [-3.0] * 5).rhythms == ["(N", "(AFIB"]


@pytest.mark.parametrize(("pattern", "name"), [("NV" * 8, "(B"), ("NNV" * 8, "(T"), ("S" * 8, "")])
def test_a_pattern_amid_fibrillation_lasts_to_its_end(pattern: str, name: str) -> None:
    """It begins with its first beat, and fibrillation goes on behind it, not over it; early beats are part of that."""
    bed = Bed().beats("N" * 60, 0.5, 4.0)
    before = bed.tick
    bed.beats(pattern, 0.4, 4.0)
    after = bed.tick
    bed.beats("N" * 30, 0.5, 4.0)
    assert bed.rhythms == ["(N", "(AFIB", *([name, "(AFIB"] if name else [])]
    if name:
        begins, ends = (sample for _, sample in bed.told[2:])
        assert before <= begins <= before + RATE
        assert ends > after


@pytest.mark.parametrize("shift", range(14))
def test_fibrillation_does_not_begin_within_a_couplet(shift: int) -> None:
    """EC57 ends a ventricular run where atrial fibrillation begins."""
    labels = "N" * 40 + ("NNNVV" * 12)[shift:]
    bed = Bed().beats(labels, 0.8, [-4.0] * 40 + [4.0] * (len(labels) - 40))
    (begin,) = [sample for name, sample in bed.told if name == "(AFIB"]
    assert labels[round(begin / RATE / 0.8) - 1] == "N"


def test_a_restart_forgets_what_was_read() -> None:
    bed = Bed().beats("N" * 40, 0.8, 4.0)
    rhythm.restart(bed.state, bed.tick)
    assert bed.beats("N" * 5, 0.8, 4.0).rhythms[-1] == "(N"


@settings(max_examples=20, deadline=None)
@given(st.text("NSVFQ", min_size=1, max_size=200), st.integers(0, 10**6))
def test_marks_are_in_order_and_change_the_rhythm(labels: str, seed: int) -> None:
    bed = Bed()
    rng = np.random.default_rng(seed)
    for label in labels:
        bed.beats(label, rng.uniform(0.25, 2.0), rng.uniform(-6, 6))
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
