"""What the QRS detector's score is fitted to: records, mixes with noise, what they lack composed, and begins.

Records of mitdb and svdb, and mitdb mixed with electrode motion and muscle noise, each with both leads and with the
first alone. Noise counts less than clean signal, so that it decides only where clean signal leaves the choice.

What those records lack are ventricular tachycardias that last, whose beats are as wide, early and restless as moving
electrodes: without them the score learns to refuse every other of their beats. So they are composed into mitdb: runs
of wide waves, 120 to 270 a minute, of any size, width and polarity, with T waves.

Nor have the mixes with noise many wide beats: a score that knows no others refuses them where electrodes move. So the
noise of moving electrodes, played backwards, is added to those tachycardias and to records of svdb rich in ventricular
beats.

Nor do they hold hearts that stand still, atria that beat alone, electrodes that come off and on, or something far
higher than a heart: what is never seen may be taken for anything. They too are composed into mitdb, and what comes of
them is the record's own rhythm again, now and then of another size and upside down: what is remembered may be outdated.

Nor do they hold what changes for good from one beat to the next, and so makes all that is remembered wrong at once: a
slow rhythm of wide beats of another focus, or electrodes moved while the heart beats on. These are composed too, and
analysed in quiet and amid moving electrodes.

Nor do they hold what a bed's first seconds are like: half an hour begins once, in quiet. So, for the weights of the
first beats, pieces are cut out of them and analysed as a bed's begin, many of them amid noise: a score that knows quiet
begins alone is sure of every swing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from detector.types import LEADS
from model import noise
from model.bench import Case
from model.cases import cases, expand, mixed, mixed_db, read_noise
from model.ec57 import Annotations
from model.ec57.annotations import CLASS_OF
from model.strip import Strip

Floats = npt.NDArray[np.float64]

REAL: Final = ("mitdb", "svdb")
MIXES: Final = ("noise-em-12", "noise-em-6", "noise-em-0", "noise-em_6", "noise-ma-6", "noise-ma-0")
CLEAN, ONE_LEAD, NOISY = 1.0, 0.6, 0.15  # what a candidate counts for: many devices have but one lead
FAST: Final = 0.6  # ... and of a tachycardia: half an hour of it lies among 30 hours
SELDOM: Final = 0.3  # and one of what hardly ever happens
TACHYCARDIA: Final = "tachycardia"  # how the composed ones are called
MINUTES: Final = 12.0  # of each record that are taken for them
SPAN_OF_BEATS: Final = (0.5, 99.5)  # percentiles of a lead between which its beats lie
EVERY_S, LASTS_S = 40.0, 15.0  # from one run to the next, and how long each is
MOVED: Final = "moved"  # and those, and ectopic beats, amid moving electrodes
MOVED_DB: Final = (12, 6, 0)  # how far, record by record in turn
MOVED_SEEDS: Final = 200  # other tachycardias than those without noise
RICH: Final = 90  # ventricular beats from which on a record is rich in them
INTERRUPTED: Final = "interrupted"  # and those with what no heart makes
STOPS_S: Final = (4.0, 25.0)  # how long: from 18 s on what beats looked like no longer counts
ELSEWHERE: Final = 0.3  # share of them after which the electrodes lie elsewhere: ...
LOG_RESIZED: Final = (-1.2, 0.7)  # ... log of how many times as high beats are then, either way up
HIGHEST_P_MV: Final = 0.25  # what is higher than a P wave may be a beat
CHANGED: Final = "changed"  # and those whose beats change their shape abruptly and for good
CHANGED_SEEDS: Final = 400
FOCUS_BPM: Final = (25.0, 130.0)  # rates of another focus, ...
FOCUS_MV: Final = (0.2, 1.2)  # its heights in one lead or the other, ...
FOCUS_S: Final = (0.025, 0.06)  # how wide its waves are, standard deviation, ...
FOCUS_LASTS_S: Final = (15.0, 30.0)  # and how long it leads
RESIZED: Final = (-1.5, 0.7)  # log of how many times as high beats are when the electrodes move meanwhile
KINDS: Final = ("stands still", "atria alone", "off", "artefact")
BEGIN: Final = "begin"  # how the pieces are called
BEGIN_S: Final = 30.0  # length of a piece
#: Of which records pieces are cut, how many of each, and what their candidates count for.
BEGINS: Final = (
    ("mitdb", 6, 0.5),
    ("svdb", 4, 0.5),
    ("noise-em-12", 8, 0.3),
    ("noise-em-6", 8, 0.3),
    ("noise-em-0", 6, 0.15),
    ("noise-bw-0", 4, 0.3),
    ("noise-ma-6", 4, 0.3),
)


@dataclass(frozen=True, eq=False)
class Run:
    """One record as it is fitted to.

    Attributes
    ----------
    case : Case
    counts : float
        What its candidates count for.
    leads : int
    """

    case: Case
    counts: float
    leads: int

    @property
    def strip(self) -> Strip:
        """The signal, of as many leads as are looked at."""
        return self.case.strip.lead(0) if self.leads == 1 else self.case.strip

    @property
    def period(self) -> str:
        """What of it is scored, of `model.bench.PERIODS`."""
        return "full" if self.case.database.startswith(BEGIN) else "from 5:00"

    @property
    def name(self) -> str:
        """The database, or mix, as the table names it."""
        return f"{self.case.database}, lead 0" if self.leads == 1 else self.case.database


def first_minutes(case: Case) -> tuple[Floats, dict[int, str]]:
    """A record's first minutes: millivolts (instants, LEADS), and symbols of its annotations by sample."""
    mv = case.strip.start(60.0 * MINUTES).mv
    return mv, {int(s): y for s, y in zip(case.truth.samples, case.truth.symbols, strict=True) if s < len(mv)}


def wide_wave(t: Floats, width: float, second: float, late: float) -> Floats:
    """A wide QRS complex of height 1 at these seconds from its top: one wave, and another of this height behind it."""
    wave: Floats = np.exp(-0.5 * (t / width) ** 2) + second * np.exp(-0.5 * ((t - late) / (1.2 * width)) ** 2)
    return wave


def with_tachycardias(case: Case, seed: int) -> Case:
    """A record's first minutes with a ventricular tachycardia in place of every third stretch of its own rhythm."""
    rng = np.random.default_rng(seed)
    rate = case.strip.rate_hz
    mv, beats = first_minutes(case)
    for start_s in np.arange(20.0, 60.0 * MINUTES - LASTS_S - 5.0, EVERY_S):
        first, end = int(start_s * rate), int((start_s + LASTS_S) * rate)
        beats = {s: y for s, y in beats.items() if not first <= s < end}
        time = np.arange(end - first) / rate
        interval = 60.0 / rng.uniform(120.0, 270.0)
        at = np.cumsum(interval * rng.normal(1.0, 0.015, int(LASTS_S / interval))) - 0.5 * interval
        at = at[(at > 0.0) & (at < LASTS_S - 0.5 * interval)]
        width, late = rng.uniform(0.02, 0.045), rng.uniform(0.06, 0.12)
        size = rng.choice((-1.0, 1.0), LEADS) * rng.uniform(0.4, 2.0, LEADS)
        second, recovery = rng.uniform(-1.0, 0.3), rng.uniform(-0.5, -0.1)
        shape = np.zeros(len(time))
        for r in at:
            t = time - r
            shape += wide_wave(t, width, second, late)
            shape += recovery * np.exp(-0.5 * ((t - 0.1 - 0.45 * interval) / (0.25 * interval)) ** 2)
        muscle = rng.normal(0.0, rng.uniform(0.005, 0.04), (len(time), LEADS))
        breath = rng.uniform(0.0, 0.15) * np.sin(2 * np.pi * (0.3 * time + rng.random()))
        mv[first:end] = shape[:, None] * size + muscle + breath[:, None]
        beats |= {first + round(float(r) * rate): "V" for r in at}
    truth = Annotations.of(np.array(sorted(beats), np.int64), [beats[s] for s in sorted(beats)])
    return Case(TACHYCARDIA, case.record, Strip.of_mv(mv, rate), truth)


def ectopic(case: Case) -> int:
    """How many ventricular beats a record has."""
    return sum(CLASS_OF.get(symbol) == "V" for symbol in case.truth.symbols)


def amid_noise(case: Case, added: Strip, db: int) -> Case:
    """The case with this noise in every lead from 5:00 on, at this signal-to-noise ratio."""
    return mixed(case, added, db, np.arange(len(case.strip.samples)) >= noise.CLEAN_S * case.strip.rate_hz)


def backwards(folders: Sequence[Path]) -> Strip:
    """The noise of moving electrodes played backwards: other than that of the mixes."""
    forward = read_noise(folders, "em")
    return Strip(forward.rate_hz, forward.samples[::-1].copy(), forward.mv_per_bit)


def moved(folders: Sequence[Path]) -> Iterator[Run]:
    """Wide beats amid moving electrodes: composed tachycardias, and records rich in ventricular beats."""
    added = backwards(folders)
    hearts = [with_tachycardias(case, MOVED_SEEDS + i) for i, case in enumerate(cases(folders, REAL[0], None, None))]
    hearts += [case for case in cases(folders, REAL[1], None, None) if ectopic(case) >= RICH]
    for turn, heart in enumerate(hearts):
        noisy = amid_noise(heart, added, MOVED_DB[turn % len(MOVED_DB)])
        case = Case(f"{MOVED} {heart.database}", heart.record, noisy.strip, noisy.truth)
        yield from (Run(case, NOISY, leads) for leads in (1, 2))


def between_beats(at: npt.NDArray[np.int64], first: float, end: float) -> npt.NDArray[np.int64]:
    """These two samples, each moved to the middle between two beats: none is cut in two."""
    after = np.clip(np.searchsorted(at, (first, end)), 1, len(at) - 1)
    middles: npt.NDArray[np.int64] = (at[after - 1] + at[after]) // 2
    return middles


def with_interruptions(case: Case, seed: int) -> Case:
    """A record's first minutes, 4 to 25 s of every 40 s without beats: asystole, P waves alone, leads off, spikes."""
    rng = np.random.default_rng(seed)
    rate = case.strip.rate_hz
    mv, beats = first_minutes(case)
    worn = mv.copy()
    span = np.ptp(np.nanpercentile(mv, SPAN_OF_BEATS, axis=0), axis=0)
    at = np.array([s for s, y in beats.items() if y in CLASS_OF])
    for turn, start_s in enumerate(np.arange(20.0, 60.0 * MINUTES - LASTS_S - 5.0, EVERY_S)):
        first, end = between_beats(at, start_s * rate, (start_s + rng.uniform(*STOPS_S)) * rate)
        beats = {s: y for s, y in beats.items() if not first <= s < end or y not in CLASS_OF}
        kind = KINDS[turn % len(KINDS)]
        if kind == "artefact":  # what may well look like beats is left out; what comes of it is not
            beats |= {first: "[", end - 1: "]"}
        mv[first:end] = _without_beats(rng, kind, np.arange(end - first) / rate, mv[first], span)
        if rng.random() < ELSEWHERE:
            mv[end:] = worn[end:] * np.exp(rng.uniform(*LOG_RESIZED, LEADS)) * rng.choice((-1.0, 1.0), LEADS)
    truth = Annotations.of(np.array(sorted(beats), np.int64), [beats[s] for s in sorted(beats)])
    return Case(INTERRUPTED, case.record, Strip.of_mv(mv, rate), truth)


def _without_beats(rng: np.random.Generator, kind: str, time: Floats, level: Floats, span: Floats) -> Floats:
    """Millivolts (instants, LEADS) of one of `KINDS` at these seconds, from these levels on; beats have that span."""
    rate = 1.0 / time[1]
    if kind == "off":
        return np.full((len(time), LEADS), rng.choice((np.nan, 0.0)))
    if kind == "artefact":
        apart_s, high_mv = np.exp(rng.uniform(np.log((0.01, 5.0)), np.log((0.3, 30.0))))
        spikes = time % apart_s < (0.5 * apart_s if rng.random() < 0.5 else 2.0 / rate)
        pulses: Floats = high_mv * spikes[:, None] * rng.choice((-1.0, 0.0, 1.0), LEADS)
        return level + pulses
    wander = np.cumsum(rng.normal(0.0, rng.uniform(0.0, 0.03) / np.sqrt(rate), (len(time), LEADS)), axis=0)
    still = wander + rng.normal(0.0, rng.uniform(0.0, 0.02), (len(time), LEADS))
    still += rng.uniform(0.0, 0.15) * np.sin(2 * np.pi * (rng.uniform(0.1, 0.5) * time + rng.random()))[:, None]
    if kind == "atria alone":
        interval = 60.0 / rng.uniform(50.0, 130.0)
        width, size = rng.uniform(0.015, 0.03), np.minimum(rng.uniform(0.05, 0.2) * span, HIGHEST_P_MV)
        size *= rng.choice((-1.0, 1.0), LEADS)
        for p in np.arange(0.3, time[-1] - 0.2, interval):
            still += size * np.exp(-0.5 * ((time - p) / width) ** 2)[:, None]
    begun = level - still[0] if rng.random() < 0.5 else 0.0
    return still + begun


def with_changes(case: Case, seed: int) -> Case:
    """A record's first minutes, every 40 s and from one beat to the next of another focus, or seen by other leads."""
    rng = np.random.default_rng(seed)
    rate = case.strip.rate_hz
    mv, beats = first_minutes(case)
    worn = mv.copy()
    at = np.array([s for s, y in beats.items() if y in CLASS_OF])
    for turn, start_s in enumerate(np.arange(20.0, 60.0 * MINUTES - EVERY_S, EVERY_S)):
        first, end = between_beats(at, start_s * rate, (start_s + rng.uniform(*FOCUS_LASTS_S)) * rate)
        if turn % 2:
            mv[first:] = worn[first:] * np.exp(rng.uniform(*RESIZED, LEADS)) * rng.choice((-1.0, 1.0), LEADS)
        else:
            tops, waves = _other_focus(rng, (end - first) / rate, rate)
            mv[first:end] = np.median(mv[first:end], axis=0) + waves[: end - first]
            beats = {s: y for s, y in beats.items() if not first <= s < end}
            beats |= {first + top: "V" for top in tops}
    truth = Annotations.of(np.array(sorted(beats), np.int64), [beats[s] for s in sorted(beats)])
    return Case(CHANGED, case.record, Strip.of_mv(mv, rate), truth)


def _other_focus(rng: np.random.Generator, lasts_s: float, rate: float) -> tuple[list[int], Floats]:
    """Samples of the tops, and millivolts (instants, LEADS), of a slow rhythm of wide beats."""
    interval = 60.0 / np.exp(rng.uniform(*np.log(FOCUS_BPM)))
    time = np.arange(round(lasts_s * rate)) / rate
    tops = np.cumsum(interval * rng.normal(1.0, 0.03, int(lasts_s / interval) + 1)) - 0.3 * interval
    tops = tops[tops < lasts_s - 0.2]
    width, late = rng.uniform(*FOCUS_S), rng.uniform(0.06, 0.12)
    second, recovery = rng.uniform(-1.0, 0.3), rng.uniform(-0.4, 0.0)
    shape = np.zeros(len(time))
    for top in tops:
        t = time - top
        shape += wide_wave(t, width, second, late)
        shape += recovery * np.exp(-0.5 * ((t - 0.1 - 0.25 * min(interval, 1.0)) / 0.07) ** 2)
    size = np.exp(rng.uniform(*np.log(FOCUS_MV))) * rng.choice((-1.0, 1.0), LEADS) * rng.uniform(0.5, 1.0, LEADS)
    muscle = rng.normal(0.0, rng.uniform(0.003, 0.03), (len(time), LEADS))
    breath = rng.uniform(0.0, 0.1) * np.sin(2 * np.pi * (0.3 * time + rng.random()))
    return [round(float(top) * rate) for top in tops], shape[:, None] * size + muscle + breath[:, None]


def changed(folders: Sequence[Path]) -> Iterator[Run]:
    """Beats whose shape changes abruptly and for good: in quiet, and amid moving electrodes."""
    added = backwards(folders)
    for turn, case in enumerate(cases(folders, REAL[0], None, None)):
        quiet = with_changes(case, CHANGED_SEEDS + turn)
        noisy = amid_noise(with_changes(case, 2 * CHANGED_SEEDS + turn), added, MOVED_DB[turn % len(MOVED_DB)])
        amid = Case(f"{MOVED} {CHANGED}", case.record, noisy.strip, noisy.truth)
        yield from (Run(quiet, SELDOM, leads) for leads in (1, 2))
        yield from (Run(amid, NOISY, leads) for leads in (1, 2))


def begins(folders: Sequence[Path]) -> Iterator[Run]:
    """Pieces of records as the begins of beds; those of mixes lie in the noise."""
    rng = np.random.default_rng(3)
    for name, count, counts in BEGINS:
        for case in cases(folders, name, None, None):
            length_s = len(case.strip.samples) / case.strip.rate_hz
            for _ in range(count):
                if mixed_db(name) is None:
                    first_s = rng.uniform(0.0, length_s - BEGIN_S)
                else:
                    turn = rng.integers(0, int((length_s - noise.CLEAN_S) / (2 * noise.TURN_S)))
                    first_s = noise.CLEAN_S + 2 * noise.TURN_S * turn + rng.uniform(0.0, noise.TURN_S - BEGIN_S)
                piece = cut(case, first_s)
                yield from (Run(piece, counts, leads) for leads in (1, 2))


def cut(case: Case, first_s: float) -> Case:
    """A piece of a record."""
    rate = case.strip.rate_hz
    first, end = round(first_s * rate), round((first_s + BEGIN_S) * rate)
    strip = Strip(rate, case.strip.samples[first:end].copy(), case.strip.mv_per_bit)
    inside = np.flatnonzero((case.truth.samples >= first) & (case.truth.samples < end))
    truth = Annotations.of(case.truth.samples[inside] - first, [case.truth.symbols[i] for i in inside])
    return Case(f"{BEGIN} {case.database}", case.record, strip, truth)


def runs_of(folders: Sequence[Path]) -> list[Run]:
    """All of them but begins."""
    found = [
        Run(case, NOISY if mixed_db(name) is not None else CLEAN if leads == 2 else ONE_LEAD, leads)
        for name in expand((*REAL, *MIXES))
        for case in cases(folders, name, None, None)
        for leads in (1, 2)
    ]
    tachycardias = [
        Run(with_tachycardias(case, seed), FAST, leads)
        for seed, case in enumerate(cases(folders, REAL[0], None, None))
        for leads in (1, 2)
    ]
    interrupted = [
        Run(with_interruptions(case, seed), SELDOM, leads)
        for seed, case in enumerate(cases(folders, REAL[0], None, None))
        for leads in (1, 2)
    ]
    return [*found, *tachycardias, *moved(folders), *interrupted, *changed(folders)]
