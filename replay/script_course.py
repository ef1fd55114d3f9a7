"""From episodes to a course: which part of the heart is activated when, and what an expert would annotate.

The course is a list of facts in seconds, without a sample of signal; `replay.script` draws it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from replay import synth_rhythm
from replay.script_language import FOCI, Episode, Modifier, Script
from replay.synth import Activation

PR: Final = 0.16  # s, from the middle of the P wave to the R peak
PR_LONG: Final = 0.30  # first degree block is a PR interval of more than 0.2 s from onset to onset
#: Wenckebach: the PR interval grows most at the second beat and by less after, so that the RR intervals shrink.
PR_GROWTH: Final = (0.0, 0.10, 0.15, 0.18, 0.20, 0.21, 0.22, 0.22)  # up to 8:7, the most a script may ask for
COUPLING: Final = 0.58  # of a PVC to the beat before it, as a share of the RR interval
R_ON_T: Final = 0.31  # s at an RR interval of 1 s: on the descent of the T wave
PREMATURITY: Final = 0.64  # of a PAC
SALVO_RR: Final = 0.40  # s, 150/min, between the beats of couplets and salvos
RECOVERY: Final = 0.9  # s from the end of a fibrillation to the first beat
FIRST_BEAT: Final = 0.45  # s after the start of the record, so that its P wave is on it
ATRIAL_RATE: Final = 85.0  # of the sinus node while the ventricles go their own way, beats/min
FLUTTER_RATE: Final = 300.0  # of the atria, from which the nearest whole conduction ratio is taken
ESCAPE_NARROW: Final = 40.0  # beats/min: an escape rhythm at this rate or above comes from the AV junction
SLOW: Final = 50.0  # beats/min: sinus rhythm below is annotated as bradycardia

AUX: Final = {
    "af": "(AFIB", "flutter": "(AFL", "svt": "(SVTA", "junctional": "(NOD", "ivr": "(IVR", "vt": "(VT", "paced": "(P",
    "bigeminy": "(B", "trigeminy": "(T", "vf": "(VFL", "asystole": "(ASYS",
    "first": "(BI", "mobitz1": "(BII", "mobitz2": "(BII", "third": "(BIII",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Beat:
    """A ventricular activation and its WFDB symbol."""

    activation: Activation
    symbol: str

    @property
    def time(self) -> float:
        """Seconds since the start of the record."""
        return self.activation.time


@dataclasses.dataclass(frozen=True)
class Fibrillation:
    """A stretch of ``vf`` (`detail`: its grain), ``af``, or ``flutter`` (`detail`: the atrial rate)."""

    kind: str
    start: float
    end: float
    detail: str = ""


@dataclasses.dataclass(frozen=True)
class Overlay:
    """A modifier with its absolute times."""

    modifier: Modifier
    start: float
    end: float


@dataclasses.dataclass
class Course:
    """All that happens, in seconds since the start of the record, each list in order of time."""

    seconds: float = 0.0
    beats: list[Beat] = dataclasses.field(default_factory=list)
    atrial: list[Activation] = dataclasses.field(default_factory=list)
    fibrillations: list[Fibrillation] = dataclasses.field(default_factory=list)
    rhythms: list[tuple[float, str]] = dataclasses.field(default_factory=list)
    overlays: list[Overlay] = dataclasses.field(default_factory=list)

    def ventricular_fibrillation(self) -> list[tuple[float, float]]:
        """Begin and end of each ventricular fibrillation; a coarse one that turns fine is one."""
        spans: list[tuple[float, float]] = []
        for f in self.fibrillations:
            if f.kind == "vf":
                joins = bool(spans) and spans[-1][1] == f.start
                spans.append((spans.pop()[0] if joins else f.start, f.end))
        return spans


def course(script: Script) -> Course:
    """Play the episodes of a script one after the other."""
    player = _CourseBuilder(script)
    for number, episode in enumerate(script.episodes):
        player.play(number, episode)
    return player.finished()


class _CourseBuilder:
    """Where the course stands: the time, the last beat, and when the next is due."""

    def __init__(self, script: Script) -> None:
        self.patient = script.patient
        self.course = Course()
        self.now = 0.0
        self.last: float | None = None  # time of the last ventricular activation
        self.due: float | None = FIRST_BEAT  # a time that the next beat must wait for, after pauses and ectopic beats
        self.base = Episode("sinus", rate=70.0)  # the rhythm that single ectopic events come into
        self.rr = 60 / 70
        self.ectopics = 0
        self.rng = np.random.default_rng(0)

    def play(self, number: int, episode: Episode) -> None:
        # Each episode has its own generator, so that editing one leaves the others' beats as they were.
        self.rng = np.random.default_rng([self.patient.seed, number, 1])
        start = self.now
        if episode.word == "pause":
            self._rhythm(start, self._aux(self.base))
            since = self.last if self.last is not None else start
            self.due = since + (episode.seconds or 0.0)
            self.now = max(start, self.due)
        elif episode.seconds is None:
            self._rhythm(start, self._aux(self.base))
            self._single(episode)
        else:
            self.now = start + episode.seconds
            getattr(self, f"_play_{episode.word}", self._play_with_ectopics)(episode, start, self.now)
        if self.base.word == "af" and (episode.word == "pause" or episode.seconds is None):
            self._fibrillate("af", start, self.now)
        for modifier in episode.modifiers:
            begin = start + modifier.start
            end = self.now if modifier.seconds is None else min(self.now, begin + modifier.seconds)
            if begin < end:
                self.course.overlays.append(Overlay(modifier, begin, end))

    def finished(self) -> Course:
        self.course.seconds = self.now
        self.course.atrial = sorted((a for a in self.course.atrial if a.time < self.now), key=lambda a: a.time)
        self.course.beats.sort(key=lambda b: b.time)
        return self.course

    # Rhythms, each from `start` to `end`.

    def _play_with_ectopics(self, episode: Episode, start: float, end: float) -> None:
        """Ectopic events every N beats of a base rhythm."""
        base = Episode(episode.base or "sinus", rate=episode.rate)
        self._on_base(base, start, end, event=episode, every=episode.every or 1)

    def _play_sinus(self, episode: Episode, start: float, end: float) -> None:
        self._on_base(episode, start, end)

    _play_af = _play_junctional = _play_paced = _play_sinus

    def _play_bigeminy(self, episode: Episode, start: float, end: float) -> None:
        pvc = Episode("pvc", focus=episode.focus)
        base = Episode("sinus", rate=episode.rate)
        every = 1 if episode.word == "bigeminy" else 2
        self._on_base(base, start, end, event=pvc, every=every, aux=AUX[episode.word])

    _play_trigeminy = _play_bigeminy

    def _on_base(
        self,
        base: Episode,
        start: float,
        end: float,
        event: Episode | None = None,
        every: int = 0,
        aux: str | None = None,
    ) -> None:
        self.base = base
        self._rhythm(start, aux or self._aux(base))
        if base.word == "af":
            self._fibrillate("af", start, end)
        for beats, rr in enumerate(self._intervals(base, end - start), 1):
            time = self._next(start, rr)
            if time >= end:
                break
            self._base_beat(base, time, rr)
            if event is not None and beats % every == 0:
                self._event(event, rr, end, back=aux or self._aux(base))

    def _intervals(self, base: Episode, seconds: float) -> Iterator[float]:
        rate = base.rate or 70.0
        if base.word == "af":
            series = synth_rhythm.fibrillation(self.rng, rate, seconds)
        elif base.word == "sinus":
            series = synth_rhythm.sinus(self.rng, rate, seconds, self.patient.breathing)
        else:
            series = synth_rhythm.steady(self.rng, rate, seconds, 0.002 if base.word == "paced" else 0.015)
        return iter(series.tolist())

    def _base_beat(self, base: Episode, time: float, rr: float) -> None:
        if base.word == "sinus":
            self._p_wave(time - _pr(rr))
        wave, symbol = {"paced": ("paced", "/"), "junctional": ("normal", "j")}.get(base.word, ("normal", "N"))
        self._beat(time, wave, symbol)

    def _play_svt(self, episode: Episode, start: float, end: float) -> None:
        self._regular(episode, start, end, "normal", "A", 0.008)

    def _play_ivr(self, episode: Episode, start: float, end: float) -> None:
        self._dissociated(start, end)
        self._regular(episode, start, end, "focus2", "E", 0.02)

    def _play_vt(self, episode: Episode, start: float, end: float) -> None:
        self._dissociated(start, end)
        self._regular(episode, start, end, f"focus{episode.focus}", "V", 0.012)

    def _play_flutter(self, episode: Episode, start: float, end: float) -> None:
        rate = episode.rate or 75.0
        self._fibrillate("flutter", start, end, str(rate * max(2, round(FLUTTER_RATE / rate))))
        self._regular(episode, start, end, "normal", "N", 0.006)

    def _regular(self, episode: Episode, start: float, end: float, wave: str, symbol: str, variation: float) -> None:
        self._rhythm(start, AUX[episode.word])
        for rr in synth_rhythm.steady(self.rng, episode.rate or 70.0, end - start, variation).tolist():
            time = self._next(start, rr)
            if time >= end:
                break
            self.rr = rr
            self._beat(time, wave, symbol)

    def _play_block(self, episode: Episode, start: float, end: float) -> None:
        self._rhythm(start, AUX[episode.kind or "first"])
        rate = episode.rate or 60.0
        if episode.kind == "third":
            self._dissociated(start, end)
            wave, symbol = ("normal", "j") if rate >= ESCAPE_NARROW else ("focus2", "E")
            for rr in synth_rhythm.steady(self.rng, rate, end - start, 0.02).tolist():
                time = self._next(start, rr)
                if time >= end:
                    break
                self._beat(time, wave, symbol)
            return
        self.base = Episode("sinus", rate=rate)
        ratio = episode.ratio or 0
        atrial: float | None = None
        for i, rr in enumerate(synth_rhythm.sinus(self.rng, rate, end - start, self.patient.breathing).tolist()):
            place = i % ratio if ratio else 0
            pr = PR_LONG if episode.kind == "first" else PR + (PR_GROWTH[place] if episode.kind == "mobitz1" else 0.02)
            atrial = self._next(start, rr) - pr if atrial is None else atrial + rr
            if atrial + pr >= end:
                break
            self._p_wave(atrial)
            if not ratio or place < ratio - 1:
                self._beat(atrial + pr, "normal", "N")

    def _play_vf(self, episode: Episode, start: float, end: float) -> None:
        self._rhythm(start, AUX["vf"])
        self._fibrillate("vf", start, end, episode.kind or "coarse")
        self.due = end + RECOVERY

    def _play_asystole(self, _: Episode, start: float, end: float) -> None:
        self._rhythm(start, AUX["asystole"])
        self.due = end

    # Ectopic events.

    def _single(self, event: Episode) -> None:
        """An event after one beat of the rhythm that goes on; it ends when the next beat is due."""
        rr = next(self._intervals(self.base, 10.0))
        start = self._next(self.now, rr)
        self._base_beat(self.base, start, rr)
        self._event(event, rr, math.inf, back=self._aux(self.base))
        self.now = self.due if self.due is not None else start + rr

    def _event(self, event: Episode, rr: float, end: float, back: str) -> None:
        """The ectopic beats of an event that follows the beat just played, and when the next beat is due."""
        sinus = self.last if self.last is not None else self.now
        if event.word == "pac":
            self._pac(sinus, rr, end)
        elif event.word == "fusion":
            self._fusion(sinus, rr, end)
        else:
            self._salvo(event, sinus, rr, end, back)

    def _pac(self, sinus: float, rr: float, end: float) -> None:
        time = sinus + PREMATURITY * rr
        if time < end:
            self._p_wave(time - _pr(rr) * 0.85, "ectopic_p")
            self._beat(time, "normal", "A")
            self.due = time + 1.06 * rr  # the sinus node is reset

    def _fusion(self, sinus: float, rr: float, end: float) -> None:
        time = sinus + 0.95 * rr
        if time < end:
            self._p_wave(time - 0.8 * _pr(rr))
            self._beat(time, "fusion", "F")
            self.due = sinus + 2 * rr

    def _salvo(self, event: Episode, sinus: float, rr: float, end: float, back: str) -> None:
        """Ventricular beats, one or several."""
        count = {"pvc": 1, "couplet": 2, "triplet": 3}.get(event.word, event.count or 1)
        self.ectopics += 1
        focus = event.focus or 1 + (self.ectopics - 1) % FOCI
        time = sinus + (R_ON_T * math.sqrt(rr) if event.ront else COUPLING * rr)
        if time >= end:
            return
        if count >= 3:
            self._rhythm(time - 0.1, AUX["vt"])
        for i in range(count):
            if time >= end:
                break
            gain = 1 + 0.04 * float(self.rng.standard_normal())
            self._beat(time, f"focus{focus}", "V", gain)
            last = time
            if event.focus == 0 and i + 1 < count:
                focus = 1 + focus % FOCI
            time += SALVO_RR * (1 + 0.04 * float(self.rng.standard_normal()))
        if count >= 3:
            self._rhythm(last + 0.1, back)
        # The sinus node beats on: the next of its beats that finds the ventricles ready is conducted.
        cycles = max(2, math.ceil((last - sinus) / rr + 0.6))
        if self.base.word == "af":
            self.due = last + 1.1 * rr
            return
        if self.base.word == "sinus":
            for i in range(1, cycles):
                self._p_wave(sinus + i * rr - _pr(rr), always=True)
        self.due = sinus + cycles * rr

    # The ways of adding to the course.

    def _next(self, start: float, rr: float) -> float:
        """When the next beat comes: an interval after the last, but not before its episode or what is due."""
        time = start if self.last is None else self.last + rr
        if self.due is not None:
            time, self.due = self.due, None
        return max(time, start)

    def _beat(self, time: float, wave: str, symbol: str, gain: float = 1.0) -> None:
        if self.last is not None:
            rr = min(max(time - self.last, 0.2), 1.6)
            # Repolarisation follows a change of rate over some beats.
            self.rr += (0.3 if symbol == "N" else 0.15) * (rr - self.rr)
        breath = 0.04 * math.sin(2 * math.pi * self.patient.breathing / 60 * time)
        gain *= 1 + breath + 0.012 * float(self.rng.standard_normal())
        self.course.beats.append(Beat(Activation(time, wave, self.rr, gain), symbol))
        self.last = time

    def _p_wave(self, time: float, wave: str = "sinus_p", *, always: bool = False) -> None:
        """An atrial beat; one that would fall into the ventricles' last QRS complex is not seen and left out."""
        if time > 0 and (always or self.last is None or time > self.last + 0.12):
            self.course.atrial.append(Activation(time, wave, 1.0, 1 + 0.04 * float(self.rng.standard_normal())))

    def _dissociated(self, start: float, end: float) -> None:
        """P waves at the sinus node's own rate, whatever the ventricles do."""
        time = start + 0.3
        for rr in synth_rhythm.sinus(self.rng, ATRIAL_RATE, end - start, self.patient.breathing).tolist():
            if time >= end:
                break
            self._p_wave(time, always=True)
            time += rr

    def _fibrillate(self, kind: str, start: float, end: float, detail: str = "") -> None:
        """Join on to the same kind before, so that f waves run through an ectopic event or a second episode."""
        before = self.course.fibrillations[-1] if self.course.fibrillations else None
        if before is not None and (before.kind, before.end, before.detail) == (kind, start, detail):
            self.course.fibrillations[-1] = dataclasses.replace(before, end=end)
        else:
            self.course.fibrillations.append(Fibrillation(kind, start, end, detail))

    def _rhythm(self, time: float, aux: str) -> None:
        if not self.course.rhythms or self.course.rhythms[-1][1] != aux:
            self.course.rhythms.append((time, aux))

    def _aux(self, base: Episode) -> str:
        if base.word == "sinus":
            return "(SBR" if (base.rate or 70.0) < SLOW else "(N"
        return AUX[base.word]


def _pr(rr: float) -> float:
    """The PR interval shortens a little as the heart quickens."""
    return PR * min(1.0, 0.6 + 0.4 * math.sqrt(rr))
