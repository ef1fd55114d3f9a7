"""The alarm rules by themselves: beats, epochs and classes put in by hand, transitions read out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.fibrillation import UNKNOWN_PROBABILITY
from detector.types import EPOCH, EPOCH_STATE, FLAT, GOOD, LEADS, NOISY, OFF, RATE, RING, SATURATED, SIGNAL
from model.codes import CLASSES
from stream import conditions, rules, rules_runs
from stream.limits import Limits, pack
from stream.wire import Rule

DELAY = 40  # ticks from R peak to its detection
READ = 75  # and to its class


@dataclass(frozen=True)
class Move:
    rule: Rule
    raised: bool
    onset: float
    decided: float
    cleared: float
    rate: float  # the first number of the evidence


class Bed:
    """The rules of one bed at 250 Hz, where a sample is a tick; times in seconds."""

    def __init__(self, limits: Limits | None = None, leads: int = 2) -> None:
        self.memory = np.zeros(1, conditions.RULE_STATE)[0]
        self.limits = pack(limits or Limits())
        self.signal = np.zeros(1, SIGNAL)[0]
        self.signal["mv"][:] = np.nan
        conditions.begin(self.memory, 0, 0)
        self.memory["leads"] = leads
        self.moves: list[Move] = []
        self.out = np.zeros(20, conditions.TRANSITION)
        self.tick = 0
        self.lead = [GOOD] * LEADS
        self.vf = 0.0
        self.vf_alone = 0.0
        self.doubtful = False
        self.probability = 1.0  # of a ventricular beat's being one
        self.waiting: list[tuple[int, str, float]] = []
        self.due: list[tuple[int, str]] = []

    def play(self, beats: Iterable[tuple[float, str, float]], until: float) -> Bed:
        """Beats as (time, label, height in mV), classed `READ` behind their R peak; epochs up to `until`.

        A small letter is a beat that may as well be ventricular.
        """
        waiting = self.waiting
        waiting += sorted((round(at * RATE), label, height) for at, label, height in beats)
        while self.tick < round(until * RATE):
            self.tick += 1
            while waiting and waiting[0][0] + DELAY == self.tick:
                self._peak(*waiting.pop(0))
            while self.due and self.due[0][0] + READ == self.tick:
                self._beat(*self.due.pop(0))
            if self.tick % EPOCH == EPOCH - 1:
                self._epoch()
        return self

    def _peak(self, tick: int, label: str, height: float) -> None:
        self.signal["end"] = self.tick + 1
        self.signal["mv"][:, np.arange(tick - 30, self.tick + 1) % RING] = 0.0
        self.signal["mv"][:, tick % RING] = height
        state = np.array(self.lead, np.int8)
        self._keep(
            rules.on_peak(self.memory, self.limits, self.signal, state, tick, self.tick, tick, self.tick, self.out, 0)
        )
        self.due.append((tick, label))

    def _beat(self, tick: int, label: str) -> None:
        number = CLASSES.index(label.upper())
        probability = self.probability if label == "V" else rules_runs.IN_RUN if label.islower() else 0.0
        self._keep(rules.on_beat(self.memory, self.limits, number, probability, tick, tick, self.tick, self.out, 0))

    def _epoch(self) -> None:
        epoch = np.zeros(1, EPOCH_STATE)[0]
        epoch["tick"] = self.tick
        epoch["lead"] = self.lead
        epoch["readable"] = min(self.lead) <= NOISY
        epoch["vf"] = self.vf
        epoch["vf_alone"] = self.vf_alone
        epoch["doubtful"] = self.doubtful
        self._keep(rules.on_epoch(self.memory, self.limits, epoch, self.tick - EPOCH + 1, self.tick, self.out, 0))

    def _keep(self, count: int) -> None:
        for move in self.out[:count]:
            onset, decided, cleared = (float(move[name]) / RATE for name in ("onset", "decided", "cleared"))
            rate = float(move["evidence"][0])
            self.moves.append(Move(Rule(int(move["rule"])), bool(move["raised"]), onset, decided, cleared, rate))

    def of(self, rule: Rule) -> list[Move]:
        return [move for move in self.moves if move.rule == rule]

    def raised(self, rule: Rule) -> list[Move]:
        return [move for move in self.of(rule) if move.raised]

    def active(self, rule: Rule) -> bool:
        return bool(self.memory["rule"][rule]["active"])


def rhythm(bpm: float, first: float, until: float, label: str = "N", height: float = 1.0) -> Any:
    return [(at, label, height) for at in np.arange(first, until, 60.0 / bpm)]


def test_a_healthy_rhythm_raises_nothing() -> None:
    assert Bed().play(rhythm(72, 0.5, 60), 60).moves == []


# --- no beats --------------------------------------------------------------------------------------------------------


def test_asystole_is_raised_by_its_limit_and_ended_by_the_third_beat() -> None:
    bed = Bed().play(rhythm(60, 0.5, 10) + rhythm(60, 17.0, 25), 25)
    raised, cleared = bed.of(Rule.ASYSTOLE)
    assert raised.onset == pytest.approx(9.5, abs=0.01)
    assert 4.0 <= raised.decided - raised.onset <= 4.6
    assert cleared.cleared == pytest.approx(19.0, abs=0.01)


def test_two_artefacts_do_not_end_an_asystole() -> None:
    bed = Bed().play([*rhythm(60, 0.5, 10), (15.0, "V", 1.0), (15.4, "V", 1.0)], 22)
    assert len(bed.of(Rule.ASYSTOLE)) == 1
    assert bed.active(Rule.ASYSTOLE)


@pytest.mark.parametrize("height", [0.02, 0.1, 0.2])
def test_small_waves_found_as_beats_do_not_hide_an_asystole(height: float) -> None:
    """P waves without QRS, noise: the detector's threshold falls, its beats come again, the heart does not."""
    bed = Bed().play(rhythm(60, 0.5, 12) + rhythm(70, 14.0, 140, "N", height), 140)
    assert len(bed.raised(Rule.ASYSTOLE)) == 1
    assert bed.active(Rule.ASYSTOLE)


def test_beats_in_doubt_do_not_end_an_asystole() -> None:
    bed = Bed().play(rhythm(60, 0.5, 12), 18)
    bed.doubtful = True
    bed.play(rhythm(90, 18.5, 40), 40)
    assert bed.active(Rule.ASYSTOLE)
    bed.doubtful = False
    assert not bed.play(rhythm(90, 40.2, 42), 42).active(Rule.ASYSTOLE)


def test_ectopic_beats_of_half_the_height_are_beats() -> None:
    bed = Bed().play(rhythm(60, 0.5, 12) + rhythm(60, 12.5, 30, "V", 0.4), 30)
    assert not bed.of(Rule.ASYSTOLE)


def test_a_signal_that_stays_small_becomes_the_usual() -> None:
    bed = Bed().play(rhythm(60, 0.5, 20, "N", 2.0) + rhythm(60, 20.5, 90, "N", 0.4), 90)
    assert not bed.active(Rule.ASYSTOLE)
    assert bed.memory["n"] > 60


def test_a_few_large_ectopic_beats_do_not_make_normal_ones_small() -> None:
    beats = rhythm(60, 0.5, 20) + rhythm(150, 20.2, 22.1, "V", 5.0) + rhythm(60, 22.8, 40)
    assert not Bed().play(beats, 40).of(Rule.ASYSTOLE)


@pytest.mark.parametrize("height", [0.4, 0.25, 0.1])
def test_nor_do_those_of_a_long_tachycardia(height: float) -> None:
    beats = rhythm(60, 0.5, 20, "N", height) + rhythm(150, 20.2, 45, "V", 2.0) + rhythm(60, 46.0, 80, "N", height)
    assert not Bed().play(beats, 80).of(Rule.ASYSTOLE)


@pytest.mark.parametrize(("seconds", "height", "told"), [(60, 0.5, False), (110, 0.15, True)])
def test_nor_do_those_of_a_slow_ventricular_rhythm_unless_it_lasts(seconds: int, height: float, told: bool) -> None:
    """A pacemaker's may be told as a run for hours; its beats are the usual ones then, and not what came before."""
    beats = rhythm(70, 0.5, 30, "N", 0.5) + rhythm(75, 30.2, 30 + seconds, "V", 2.2)
    after = rhythm(75, 31.0 + seconds, 90 + seconds, "N", height)
    bed = Bed().play(beats + after, 90 + seconds)
    assert bool(bed.raised(Rule.ASYSTOLE)) == told


def test_nor_does_what_passes_for_beats_amid_noise() -> None:
    """Electrosurgery: for as long as it lasts there are waves of many times the height of a beat."""
    bed = Bed().play(rhythm(60, 0.5, 20), 20)
    bed.doubtful = True
    bed.play(rhythm(150, 20.2, 35, "N", 8.0), 35)
    bed.doubtful = False
    assert not bed.play(rhythm(60, 35.5, 70), 70).of(Rule.ASYSTOLE)


def test_a_lead_that_is_always_noisy_teaches_the_height_of_its_beats() -> None:
    """The first ones may have been a pacemaker's pulses; where hum never ceases, P waves end an asystole no more."""
    bed = Bed()
    bed.lead = [NOISY] * LEADS
    bed.play(rhythm(60, 0.5, 9, "N", 0.2) + rhythm(60, 9.5, 40) + rhythm(70, 42.0, 90, "N", 0.2), 90)
    assert bed.active(Rule.ASYSTOLE)


def test_no_beat_can_be_missed_where_none_can_be_read() -> None:
    bed = Bed().play(rhythm(60, 0.5, 10), 10)
    bed.lead = [OFF, OFF]
    bed.play([], 20)
    assert not bed.of(Rule.ASYSTOLE)
    assert bed.active(Rule.UNMONITORED)
    bed.lead = [GOOD, OFF]
    bed.play([], 26)
    assert bed.active(Rule.ASYSTOLE)
    assert not bed.active(Rule.UNMONITORED)


def flicker(bed: Bed, off: float, on: float, until: float, beats: Iterable[tuple[float, str, float]] = ()) -> Bed:
    """All leads off and on again, over and over."""
    bed.play(beats, bed.tick / RATE)
    while bed.tick < until * RATE:
        bed.lead = [OFF] * LEADS
        bed.play([], bed.tick / RATE + off)
        bed.lead = [GOOD] * LEADS
        bed.play([], bed.tick / RATE + on)
    return bed


@pytest.mark.parametrize(("off", "on"), [(0.1, 0.9), (0.3, 1.7), (0.3, 3.7), (1.0, 3.0)])
def test_signal_that_is_lost_now_and_then_does_not_put_off_an_asystole(off: float, on: float) -> None:
    bed = flicker(Bed().play(rhythm(60, 0.5, 10), 10), off, on, 40)
    (asystole,) = bed.raised(Rule.ASYSTOLE)
    assert asystole.onset == pytest.approx(9.5, abs=0.01)
    assert asystole.decided <= 9.5 + (8.5 if on < 2.0 else 6.5) * (off + on) / on
    assert bed.active(Rule.ASYSTOLE)


@pytest.mark.parametrize("on", [0.1, 0.5])
def test_a_loose_contact_is_told_once(on: float) -> None:
    """Whoever sees half a second of each second sees no asystole and no fibrillation: that has to be said."""
    bed = flicker(Bed().play(rhythm(60, 0.5, 10), 10), 1.0 - on, on, 40)
    for rule, limit in ((Rule.UNMONITORED, 2.0), (Rule.LEAD_OFF, 1.0)):
        (told,) = bed.of(rule)
        assert told.onset == pytest.approx(10.0, abs=0.1)
        assert told.decided <= 10.2 + limit / (1.0 - on)


def test_three_beats_hidden_one_by_one_are_no_asystole() -> None:
    """At 45 a minute, each of them in a loss of its own."""
    bed = Bed()
    for beat in rhythm(45, 0.5, 40):
        hidden = 20.0 < beat[0] < 24.4
        bed.play([] if hidden else [beat], beat[0] - 0.15)
        if hidden:
            bed.lead = [OFF] * LEADS
            bed.play([], beat[0] + 0.15)
            bed.lead = [GOOD] * LEADS
    bed.play([], 41)
    assert not bed.of(Rule.ASYSTOLE)


def test_a_beat_now_and_then_lost_is_no_pause() -> None:
    """The heart beats on while nothing is seen."""
    beats = [beat for beat in rhythm(50, 0.5, 60) if int(beat[0] * 10) % 30 > 4]
    bed = Bed()
    for start in range(0, 60, 3):
        bed.lead = [OFF] * LEADS
        bed.play([beat for beat in beats if start <= beat[0] < start + 3], start + 0.5)
        bed.lead = [GOOD] * LEADS
        bed.play([], start + 3)
    assert not bed.of(Rule.PAUSE)
    assert not bed.of(Rule.ASYSTOLE)


def test_a_bed_that_never_had_a_beat_is_in_asystole_too() -> None:
    assert Bed().play([], 6).active(Rule.ASYSTOLE)


def test_pause_lasts_until_the_next_beat() -> None:
    bed = Bed().play(rhythm(60, 0.5, 10) + rhythm(60, 12.5, 20), 20)
    raised, cleared = bed.of(Rule.PAUSE)
    assert raised.onset == pytest.approx(9.5, abs=0.01)
    assert cleared.cleared == pytest.approx(12.5, abs=0.01)
    assert not bed.of(Rule.ASYSTOLE)


def test_a_pause_just_above_its_limit_is_told_when_it_is_over() -> None:
    """It is over before it could be told: a beat is found later than it comes."""
    bed = Bed().play(rhythm(60, 0.5, 10) + rhythm(60, 11.6, 20), 20)
    raised, cleared = bed.of(Rule.PAUSE)
    assert raised.onset == pytest.approx(9.5, abs=0.01)
    assert raised.decided == pytest.approx(11.6 + DELAY / RATE, abs=0.01)
    assert raised.decided <= cleared.cleared


def test_a_pause_needs_a_beat_before_it() -> None:
    bed = Bed()
    bed.lead = [OFF, OFF]
    bed.play([], 5)
    bed.lead = [GOOD, GOOD]
    assert not bed.play([], 8).of(Rule.PAUSE)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.3, 7.0), min_size=5, max_size=15))
def test_asystole_is_exactly_a_wait_above_its_limit(intervals: list[float]) -> None:
    at = np.cumsum([0.5, *intervals])
    bed = Bed().play([(t, "N", 1.0) for t in at], float(at[-1]) + 0.2)
    longest = np.diff(at).max()
    if longest < 3.99:
        assert not bed.of(Rule.ASYSTOLE)
    if longest > 4.5:
        assert bed.raised(Rule.ASYSTOLE)


# --- rates -----------------------------------------------------------------------------------------------------------


def test_extreme_tachycardia_and_its_hysteresis() -> None:
    bed = Bed().play(rhythm(150, 0.5, 15), 15)
    assert bed.active(Rule.EXTREME_TACHYCARDIA)
    bed.play(rhythm(137, 15.2, 35), 35)
    assert bed.active(Rule.EXTREME_TACHYCARDIA), "within the hysteresis"
    bed.play(rhythm(110, 35.2, 55), 55)
    assert [move.raised for move in bed.of(Rule.EXTREME_TACHYCARDIA)] == [True, False]


def test_extreme_tachycardia_is_seen_before_the_mean_over_all_beats_has_risen() -> None:
    bed = Bed().play(rhythm(90, 0.5, 20) + rhythm(146, 20.2, 26.2), 26.2)
    assert bed.active(Rule.EXTREME_TACHYCARDIA)


def test_a_missed_beat_does_not_hide_a_tachycardia() -> None:
    beats = rhythm(90, 0.5, 20) + rhythm(146, 20.2, 26.4)
    del beats[-5]
    bed = Bed().play(beats, 26.6)
    assert bed.active(Rule.EXTREME_TACHYCARDIA)
    (raised,) = bed.raised(Rule.EXTREME_TACHYCARDIA)
    at = [round(seconds * RATE) / RATE for seconds, *_ in beats]
    first = at.index(raised.onset)
    rate = 60.0 * rules.FAST_INTERVALS / (at[first + rules.FAST_INTERVALS] - at[first])
    assert raised.rate == pytest.approx(rate), "that of all these intervals, and not of the short ones alone"


def test_every_fifth_beat_blocked_is_no_tachycardia() -> None:
    """Four of five intervals are those of 156 a minute; the heart beats at 130."""
    times = np.cumsum([0.5, *([0.385] * 4 + [0.77]) * 40])
    assert not Bed().play([(at, "N", 1.0) for at in times], 90).of(Rule.EXTREME_TACHYCARDIA)


def intervals_about(bpm: float) -> st.SearchStrategy[list[float]]:
    return st.lists(st.floats(50.0 / bpm, 78.0 / bpm), min_size=100, max_size=100)


@settings(max_examples=100, deadline=None)
@given(intervals=intervals_about(140.0))
def test_a_tachycardia_is_told_once_for_what_made_it(intervals: list[float]) -> None:
    bed = Bed().play([(at, "N", 1.0) for at in np.cumsum([0.5, *intervals])], 0.5 + sum(intervals))
    raised = bed.raised(Rule.EXTREME_TACHYCARDIA)
    assert all(a.onset < b.onset for a, b in itertools.pairwise(raised))
    assert len(raised) <= 100 // 17 + 1
    assert all(move.rate >= 140.0 for move in raised)


def test_what_is_lost_between_beats_makes_no_tachycardia() -> None:
    bed = flicker(Bed(), 0.4, 0.4, 60, rhythm(75, 0.6, 60))
    assert bed.memory["n"] > 60
    assert not bed.of(Rule.EXTREME_TACHYCARDIA)


def test_t_waves_counted_as_beats_are_no_tachycardia() -> None:
    beats = sorted(rhythm(65, 0.5, 40) + rhythm(65, 0.8, 40))
    assert not Bed().play(beats, 40).of(Rule.EXTREME_TACHYCARDIA)


def test_extreme_bradycardia_and_its_hysteresis() -> None:
    bed = Bed().play(rhythm(36, 0.5, 15), 15)
    assert bed.active(Rule.EXTREME_BRADYCARDIA)
    bed.play(rhythm(41, 15.5, 30), 30)
    assert bed.active(Rule.EXTREME_BRADYCARDIA), "within the hysteresis"
    bed.play(rhythm(60, 31, 40), 40)
    assert [move.raised for move in bed.of(Rule.EXTREME_BRADYCARDIA)] == [True, False]


# --- ventricular beats -----------------------------------------------------------------------------------------------


def ventricular(beats: int, bpm: float, after: str = "N") -> Bed:
    """Sinus rhythm, so many ventricular beats at 10 s, then beats of class `after`."""
    run = [(10.0 + i * 60.0 / bpm, "V", 1.2) for i in range(beats)]
    end = run[-1][0]
    return Bed().play(rhythm(70, 0.5, 9.8) + run + rhythm(70, end + 0.8, end + 8.0, after), end + 8.0)


@pytest.mark.parametrize(("beats", "run", "tachycardia"), [(2, 0, 0), (3, 1, 0), (4, 1, 0), (5, 1, 1), (9, 1, 1)])
def test_runs_are_counted(beats: int, run: int, tachycardia: int) -> None:
    bed = ventricular(beats, 150)
    assert len(bed.raised(Rule.VENTRICULAR_RUN)) == run
    assert len(bed.raised(Rule.VENTRICULAR_TACHYCARDIA)) == tachycardia
    assert not bed.active(Rule.VENTRICULAR_RUN)
    assert not bed.active(Rule.VENTRICULAR_TACHYCARDIA)
    for move in bed.of(Rule.VENTRICULAR_RUN):
        assert move.onset == pytest.approx(10.0, abs=0.01)


def test_a_slow_ventricular_rhythm_is_no_tachycardia() -> None:
    bed = ventricular(9, 80)
    assert bed.raised(Rule.VENTRICULAR_RUN)
    assert not bed.raised(Rule.VENTRICULAR_TACHYCARDIA)


def test_a_run_that_becomes_a_tachycardia_is_one() -> None:
    run = [(10.0 + 0.9 * i, "V", 1.0) for i in range(10)]
    fast = [(19.0 + 0.4 * i, "V", 1.0) for i in range(6)]
    assert Bed().play(rhythm(70, 0.5, 9.8) + run + fast, 22).raised(Rule.VENTRICULAR_TACHYCARDIA)


def test_one_misread_beat_does_not_break_a_run() -> None:
    labels = "VVVNVVV"
    beats = rhythm(70, 0.5, 9.8) + [(10.0 + 0.4 * i, label, 1.0) for i, label in enumerate(labels)]
    assert Bed().play(beats, 14).raised(Rule.VENTRICULAR_TACHYCARDIA)


@pytest.mark.parametrize(
    ("labels", "run", "tachycardia"),
    [
        *(("VVnVV", 1, 1), ("VVVVn", 1, 1), ("VVsn", 1, 0)),
        *(("Vnnnnn", 0, 0), ("nnnnnnnn", 0, 0), ("VVNnnnn", 0, 0), ("VnVnVnVn", 0, 0)),
    ],
)
def test_a_doubtful_beat_goes_on_with_a_run_and_begins_none(labels: str, run: int, tachycardia: int) -> None:
    beats = rhythm(70, 0.5, 9.8) + [(10.0 + 0.4 * i, label, 1.0) for i, label in enumerate(labels)]
    bed = Bed().play(beats, 18)
    assert len(bed.raised(Rule.VENTRICULAR_RUN)) == run
    assert len(bed.raised(Rule.VENTRICULAR_TACHYCARDIA)) == tachycardia
    assert not bed.active(Rule.VENTRICULAR_RUN)


@pytest.mark.parametrize(("probability", "told"), [(0.3, False), (0.39, False), (0.41, True), (0.9, True)])
def test_a_tachycardia_is_of_beats_that_are_likely_ventricular_taken_together(probability: float, told: bool) -> None:
    bed = Bed()
    bed.probability = probability
    bed.play(rhythm(70, 0.5, 9.8) + labelled("V" * 20, 10.0, 0.4), 18.0)
    assert bed.active(Rule.VENTRICULAR_RUN)
    assert bed.active(Rule.VENTRICULAR_TACHYCARDIA) == told
    # What is told does not end because its next beats are less sure, and begins once they are surer.
    bed.probability = 1.0
    bed.play(labelled("V" * 6, 18.0, 0.4), 20.3)
    bed.probability = 0.3
    bed.play(labelled("V" * 10, 20.4, 0.4), 24.6)
    assert bed.active(Rule.VENTRICULAR_TACHYCARDIA)
    assert len(bed.of(Rule.VENTRICULAR_TACHYCARDIA)) == 1


def test_only_the_last_beats_of_a_long_run_are_taken_together() -> None:
    """A slow run of sure beats becomes fast with doubtful ones: by then the sure ones are no longer among the last."""
    bed = Bed(Limits(ventricular_tachycardia_beats=15)).play(rhythm(70, 0.5, 9.8), 9.8)
    bed.play(labelled("V" * 20, 10.0, 1.5), 39.5)
    bed.probability = 0.3
    bed.play(labelled("V" * 30, 40.0, 0.4), 52.2)
    assert bed.active(Rule.VENTRICULAR_RUN)
    assert not bed.of(Rule.VENTRICULAR_TACHYCARDIA)
    bed.probability = 0.9
    bed.play(labelled("V" * 6, 52.4, 0.4), 55.0)
    assert bed.active(Rule.VENTRICULAR_TACHYCARDIA)


@pytest.mark.parametrize(
    ("labels", "probability", "told"),
    [
        *(("nVVVV", 1.0, True), ("VnVVV", 1.0, True), ("VsVVV", 0.9, True), ("VnVVV", 0.8, False)),
        *(("NVVVV", 1.0, False), ("VNVVV", 1.0, False), ("nnVVV", 1.0, False), ("VnVnVV", 1.0, False)),
    ],
)
def test_one_doubtful_beat_before_a_run_is_sure_is_of_the_tachycardia(
    labels: str, probability: float, told: bool
) -> None:
    bed = Bed()
    bed.probability = probability
    bed.play(rhythm(70, 0.5, 9.8) + labelled(labels + "NN", 10.0, 0.5), 18.0)
    assert [move.onset for move in bed.raised(Rule.VENTRICULAR_TACHYCARDIA)] == [10.0] * told
    assert not bed.active(Rule.VENTRICULAR_TACHYCARDIA)


@pytest.mark.parametrize(("lead", "again"), [(OFF, 15.6), (GOOD, 16.3)])
def test_doubtful_beats_before_a_loss_or_a_pause_are_of_no_tachycardia(lead: int, again: float) -> None:
    limits = Limits(ventricular_tachycardia_bpm=90, ventricular_tachycardia_beats=15)
    bed = Bed(limits).play(rhythm(70, 0.5, 9.8) + labelled("VnVVVVVV", 10.0, 0.4), 13.2)
    bed.lead = [lead] * LEADS
    bed.play([], again - 0.3)
    bed.lead = [GOOD] * LEADS
    bed.play(labelled("VVVVVVV", again, 0.4), again + 3.0)
    assert bed.active(Rule.VENTRICULAR_RUN)
    assert not bed.of(Rule.VENTRICULAR_TACHYCARDIA)


def test_two_ventricular_beats_behind_a_doubtful_one_are_too_few() -> None:
    limits = Limits(ventricular_tachycardia_beats=4)
    bed = Bed(limits).play(rhythm(70, 0.5, 9.8) + labelled("VnVVNN" * 6, 10.0, 0.5), 30)
    assert not bed.of(Rule.VENTRICULAR_TACHYCARDIA)


def test_a_tachycardia_ends_where_its_run_has_slowed_and_a_later_one_is_another() -> None:
    fast, slow = labelled("V" * 20, 10.0, 0.4), labelled("V" * 16, 18.4, 0.8)
    again = labelled("V" * 10, 31.2, 0.4)
    bed = Bed().play(rhythm(70, 0.5, 9.6) + fast + slow + again, 39.0)
    first, second = bed.raised(Rule.VENTRICULAR_TACHYCARDIA)
    cleared = [move.cleared for move in bed.of(Rule.VENTRICULAR_TACHYCARDIA) if not move.raised]
    assert first.onset == 10.0
    assert len(cleared) == 2  # the run ends after 3 s without a beat
    assert 18.4 < cleared[0] <= second.onset <= 31.2
    assert [move.onset for move in bed.raised(Rule.VENTRICULAR_RUN)] == [10.0]


def test_one_early_beat_of_a_run_that_has_slowed_is_no_tachycardia() -> None:
    fast, slow = labelled("V" * 20, 10.0, 0.4), labelled("V" * 16, 18.4, 0.67)
    end = next(m.cleared for m in Bed().play(rhythm(70, 0.5, 9.6) + fast + slow, 32).moves if m.cleared > 18.4)
    before = sum(at <= end for at, _, _ in slow)
    early = labelled("V", slow[before - 1][0] + 0.25, 0.25)
    bed = Bed().play(rhythm(70, 0.5, 9.6) + fast + slow[:before] + early, 32)
    (told,) = bed.raised(Rule.VENTRICULAR_TACHYCARDIA)
    assert told.onset == 10.0


@pytest.mark.parametrize("every", [3, 4])
def test_a_tachycardia_does_not_end_where_beats_of_it_are_missed(every: int) -> None:
    run = [beat for i, beat in enumerate(labelled("V" * 80, 10.0, 0.4)) if i < 8 or i % every]
    bed = Bed().play(rhythm(70, 0.5, 9.6) + run, 41.0)
    assert [move.onset for move in bed.of(Rule.VENTRICULAR_TACHYCARDIA)] == [10.0]
    assert bed.active(Rule.VENTRICULAR_TACHYCARDIA)


def labelled(labels: str, first: float, rr: float) -> list[tuple[float, str, float]]:
    return [(first + rr * i, label, 1.0) for i, label in enumerate(labels)]


def test_bigeminy_ends_a_run_and_the_next_one_is_told() -> None:
    bed = Bed().play(rhythm(70, 0.5, 9.8) + labelled("V" * 6 + "NV" * 60 + "V" * 8 + "NN", 10.0, 0.4), 66)
    first, second = bed.raised(Rule.VENTRICULAR_TACHYCARDIA)
    (ended, _) = [move for move in bed.of(Rule.VENTRICULAR_TACHYCARDIA) if not move.raised]
    assert ended.cleared < 15.0 < second.onset
    assert first.onset == pytest.approx(10.0, abs=0.01)


def test_four_beats_and_bigeminy_are_no_tachycardia() -> None:
    bed = Bed().play(rhythm(70, 0.5, 9.8) + labelled("VVVV" + "NV" * 20, 10.0, 0.4), 30)
    assert bed.raised(Rule.VENTRICULAR_RUN)
    assert not bed.of(Rule.VENTRICULAR_TACHYCARDIA)


def test_a_tachycardia_told_before_its_run_is_ended_by_other_beats() -> None:
    limits = Limits(ventricular_tachycardia_beats=3, ventricular_run_beats=10)
    bed = Bed(limits).play(rhythm(70, 0.5, 9.8) + labelled("VVV" + "NV" * 20, 10.0, 0.4), 30)
    assert not bed.active(Rule.VENTRICULAR_TACHYCARDIA)


def test_beats_before_and_after_a_loss_are_no_run() -> None:
    bed = Bed().play(rhythm(70, 0.5, 9.8) + labelled("VV", 10.0, 0.4), 11)
    bed.lead = [OFF] * LEADS
    bed.play([], 60)
    bed.lead = [GOOD] * LEADS
    bed.play([*labelled("V", 60.5, 0.4), *rhythm(70, 61.2, 70)], 70)
    assert not bed.of(Rule.VENTRICULAR_RUN)


def test_a_run_without_an_end_beat_ends() -> None:
    run = [(10.0 + 0.4 * i, "V", 1.0) for i in range(8)]
    bed = Bed().play(rhythm(70, 0.5, 9.8) + run, 18)
    assert [move.raised for move in bed.of(Rule.VENTRICULAR_TACHYCARDIA)] == [True, False]


def test_fibrillation_is_held_then_raised_then_ended() -> None:
    bed = Bed().play(rhythm(70, 0.5, 10), 10)
    bed.vf = 0.9
    bed.play([], 12.5)
    assert not bed.active(Rule.VENTRICULAR_FIBRILLATION)
    bed.play([], 14)
    bed.vf = 0.1
    bed.play([], 15)
    assert bed.active(Rule.VENTRICULAR_FIBRILLATION), "a moment that looks better does not end it"
    bed.play([], 17)
    raised, cleared = bed.of(Rule.VENTRICULAR_FIBRILLATION)
    assert raised.onset == pytest.approx(10.0, abs=0.2)
    assert cleared.cleared > raised.decided


def test_what_is_unknown_neither_ends_a_fibrillation_nor_begins_one() -> None:
    bed = Bed().play(rhythm(70, 0.5, 10), 10)
    bed.vf = 0.9
    bed.play([], 12.0)
    bed.vf = UNKNOWN_PROBABILITY  # the leads were lost for a moment: the window says nothing for five seconds
    bed.play([], 30.0)
    assert not bed.active(Rule.VENTRICULAR_FIBRILLATION)
    bed.vf = 0.9
    bed.play([], 31.5)
    assert bed.active(Rule.VENTRICULAR_FIBRILLATION), "what was seen before still counts"
    bed.vf = UNKNOWN_PROBABILITY
    bed.play([], 60.0)
    assert bed.active(Rule.VENTRICULAR_FIBRILLATION)
    bed.vf = 0.1
    bed.play([], 61.5)
    assert bed.active(Rule.VENTRICULAR_FIBRILLATION)
    bed.play([], 62.5)
    assert not bed.active(Rule.VENTRICULAR_FIBRILLATION)


@pytest.mark.parametrize("lost_s", [0.3, 2.0, 3.0, 5.0, 20.0])
@pytest.mark.parametrize("bpm", [75, 170])
def test_time_without_a_readable_lead_is_no_bradycardia(lost_s: float, bpm: float) -> None:
    bed = Bed().play(rhythm(bpm, 0.5, 15), 15.1)
    bed.lead = [OFF] * LEADS
    bed.play([], 15.1 + lost_s)
    bed.lead = [GOOD] * LEADS
    bed.play(rhythm(bpm, 15.3 + lost_s, 40), 40)
    assert not bed.raised(Rule.EXTREME_BRADYCARDIA)
    assert bool(bed.raised(Rule.EXTREME_TACHYCARDIA)) == (bpm == 170)
    assert len(bed.of(Rule.EXTREME_TACHYCARDIA)) <= 1, "the loss does not end it"


@pytest.mark.parametrize("lost_s", [2.0, 12.0, 30.0])
def test_a_beat_lost_on_either_edge_of_a_loss_is_no_bradycardia(lost_s: float) -> None:
    beats = [beat for beat in rhythm(46, 0.5, 100) if not 29.0 < beat[0] < 31.0 + lost_s]
    bed = Bed().play(beats, 30)
    bed.lead = [OFF] * LEADS
    bed.play([], 30 + lost_s)
    bed.lead = [GOOD] * LEADS
    assert not bed.play([], 100).of(Rule.EXTREME_BRADYCARDIA)


def test_a_bradycardia_is_told_though_leads_are_lost_between_its_beats() -> None:
    bed = Bed().play(rhythm(75, 0.5, 10), 10)
    for beat in range(8):
        at = 11.0 + 2.0 * beat
        bed.lead = [GOOD] * LEADS
        bed.play([(at, "N", 1.0)], at + 1.0)
        bed.lead = [OFF] * LEADS
        bed.play([], at + 1.2)
    assert bed.raised(Rule.EXTREME_BRADYCARDIA)


# --- the signal ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "rule", "limit"),
    [
        (OFF, Rule.LEAD_OFF, 1.0),
        (FLAT, Rule.FLAT_LINE, 3.0),
        (SATURATED, Rule.SATURATED, 3.0),
        (NOISY, Rule.NOISY, 10.0),
    ],
)
def test_a_leads_fault_is_told_after_its_limit_and_ended_when_calm(state: int, rule: Rule, limit: float) -> None:
    bed = Bed().play(rhythm(70, 0.5, 5), 5)
    bed.lead = [GOOD, state]
    bed.play(rhythm(70, 5.2, 5 + limit + 1), 5 + limit + 1)
    bed.lead = [GOOD, GOOD]
    bed.play(rhythm(70, 6.2 + limit, 10 + limit), 10 + limit)
    raised, cleared = bed.of(rule)
    assert raised.decided - raised.onset == pytest.approx(limit, abs=0.2)
    assert cleared.cleared - (5 + limit + 1) == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize("leads", [1, 2])
def test_beats_in_doubt_are_a_noisy_signal_of_every_good_lead(leads: int) -> None:
    bed = Bed(leads=leads).play(rhythm(70, 0.5, 5), 5)
    bed.doubtful = True
    bed.play(rhythm(70, 5.2, 14.5), 14.5)
    assert not bed.raised(Rule.NOISY)
    bed.play([], 15.5)
    assert bed.out[0]["evidence"][0] == (1 << leads) - 1
    bed.doubtful = False
    bed.play(rhythm(70, 15.7, 20), 20)
    raised, cleared = bed.of(Rule.NOISY)
    assert raised.decided - raised.onset == pytest.approx(10.0, abs=0.2)
    assert cleared.cleared - 15.5 == pytest.approx(1.0, abs=0.3)


def test_fibrillation_has_no_beats_and_is_not_called_noise() -> None:
    bed = Bed().play(rhythm(70, 0.5, 5), 5)
    bed.doubtful, bed.vf = True, 0.9
    assert not bed.play([], 30).raised(Rule.NOISY)


def test_beats_keep_fibrillation_from_being_told_but_do_not_end_it() -> None:
    bed = Bed().play(rhythm(70, 0.5, 5), 5)
    bed.vf, bed.vf_alone = 0.2, 0.9
    assert not bed.play([], 12).active(Rule.VENTRICULAR_FIBRILLATION)
    bed.vf = 0.9
    assert bed.play([], 16).active(Rule.VENTRICULAR_FIBRILLATION)
    bed.vf = 0.2
    assert bed.play([], 30).active(Rule.VENTRICULAR_FIBRILLATION)
    bed.vf_alone = 0.2
    assert not bed.play([], 34).active(Rule.VENTRICULAR_FIBRILLATION)


def fibrillating(vf_alone: float = 0.9) -> Bed:
    """A bed with an alarm of fibrillation since about 8.5 s, which the signal alone would keep up."""
    bed = Bed().play(rhythm(70, 0.5, 5), 5)
    bed.vf, bed.vf_alone = 0.9, vf_alone
    assert bed.play([], 10).active(Rule.VENTRICULAR_FIBRILLATION)
    return bed


def test_normal_beats_in_a_row_end_a_fibrillation() -> None:
    bed = fibrillating()
    bed.vf = 0.4
    seven = rhythm(60, 10.5, 18)  # the first has no beat before it that is near enough
    assert bed.play(seven, 18.3).active(Rule.VENTRICULAR_FIBRILLATION)
    bed.play(rhythm(60, 18.5, 22), 22)
    _, cleared = bed.of(Rule.VENTRICULAR_FIBRILLATION)
    assert cleared.cleared == pytest.approx(18.5 + READ / RATE, abs=0.2)


@pytest.mark.parametrize(
    ("beats", "vf"),
    [
        (rhythm(60, 10.5, 30), 0.6),  # likely in spite of them
        (rhythm(150, 10.5, 30), 0.4),
        (rhythm(35, 10.5, 30), 0.4),
        (rhythm(60, 10.5, 30, "V"), 0.4),
        (rhythm(60, 10.5, 30, "Q"), 0.4),
        ([(at, "NNNNNNV"[i % 7], 1.0) for i, (at, _, _) in enumerate(rhythm(60, 10.5, 30))], 0.4),
        ([beat for i, beat in enumerate(rhythm(60, 10.5, 30)) if i % 8], 0.4),
    ],
    ids=["likely", "fast", "slow", "ventricular", "unknown", "one in seven ventricular", "one in eight missing"],
)
def test_no_other_beats_end_a_fibrillation(beats: list[tuple[float, str, float]], vf: float) -> None:
    bed = fibrillating()
    bed.vf = vf
    assert bed.play(beats, 30).active(Rule.VENTRICULAR_FIBRILLATION)


def test_normal_beats_from_before_a_fibrillation_do_not_end_it() -> None:
    """Words of beats come behind them: one epoch that looks better would end what was raised a moment ago."""
    bed = Bed().play(rhythm(70, 0.5, 18), 14.9)
    bed.vf, bed.vf_alone = 0.9, 0.9
    assert bed.play([], 18.4).active(Rule.VENTRICULAR_FIBRILLATION)
    bed.vf = 0.4
    assert bed.play([], 40).active(Rule.VENTRICULAR_FIBRILLATION)


def test_while_the_row_of_normal_beats_goes_on_the_next_fibrillation_must_be_likely_for_three_times_as_long() -> None:
    bed = fibrillating()
    bed.vf = 0.4
    bed.play(rhythm(60, 10.5, 60), 22)
    for begin in (22, 32):  # one alarm would follow another over a steady rhythm
        bed.vf = 0.9
        bed.play([], begin + 8.5)
        bed.vf = 0.4
        bed.play([], begin + 10)
    assert len(bed.raised(Rule.VENTRICULAR_FIBRILLATION)) == 1
    bed.vf = 0.9
    bed.play([], 60)
    second = bed.raised(Rule.VENTRICULAR_FIBRILLATION)[1]
    assert 9.0 <= second.decided - 42.0 <= 9.3


def test_the_next_fibrillation_is_told_as_soon_as_ever_once_the_row_of_normal_beats_has_ended() -> None:
    bed = fibrillating()
    bed.vf = 0.4
    bed.play(rhythm(60, 10.5, 30), 36)
    bed.vf = 0.9
    bed.play([], 60)
    second = bed.raised(Rule.VENTRICULAR_FIBRILLATION)[1]
    assert 3.0 <= second.decided - 36.0 <= 3.3


def test_a_loose_contact_is_one_alert() -> None:
    bed = Bed().play(rhythm(70, 0.5, 5), 5)
    for start in np.arange(5, 15, 2.0):
        bed.lead = [GOOD, OFF]
        bed.play([], start + 1.5)
        bed.lead = [GOOD, GOOD]
        bed.play([], start + 2.0)
    assert len(bed.of(Rule.LEAD_OFF)) == 1


def test_a_restart_forgets_the_rhythm_but_not_the_alerts() -> None:
    bed = Bed().play(rhythm(150, 0.5, 15), 15)
    conditions.restart(bed.memory, bed.tick, bed.tick)
    assert bed.active(Rule.EXTREME_TACHYCARDIA)
    assert bed.memory["n"] == 0
    bed.play(rhythm(70, 15.5, 40), 40)
    assert not bed.active(Rule.EXTREME_TACHYCARDIA)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.25, 5.0), st.sampled_from("NSVFQ"), st.floats(0.05, 3.0)), min_size=5, max_size=40),
    st.lists(st.sampled_from([GOOD, NOISY, SATURATED, FLAT, OFF]), min_size=4, max_size=4),
)
def test_conditions_alternate_whatever_comes(beats: list[tuple[float, str, float]], states: list[int]) -> None:
    """A condition is raised, then cleared, then raised: never twice the same; and never decided before its onset."""
    bed = Bed()
    at = 0.5
    for i, (rr, label, height) in enumerate(beats):
        at += rr
        bed.lead = [states[i % 4], states[(i // 4) % 4]]
        bed.vf = 0.9 if i % 7 > 4 else 0.0
        bed.play([(at, label, height)], at + 0.2)
    for rule in Rule:
        moves = bed.of(rule)
        assert [move.raised for move in moves] == [i % 2 == 0 for i in range(len(moves))]
        assert all(move.onset <= move.decided for move in moves)
