"""The language of beats: what is said about a beat, and with which symbols.

A beat is a sentence of fixed length. It has one **shape word** per lead, the k-means cluster of a text that draws the
lead's curve in letters (`model.vocabulary`), and a fixed list of **measured words** (`WORDS`), each a level on a scale:
when the beat came, how it resembles the patient's own normal beat, which of the patient's kinds of beat it is and how
that kind has behaved so far. Every word is free of gain: a monitor that shows the ECG twice as tall says the same.

Nothing here is learned from a training set, so what is said about a beat never changes with the model; only the
vocabulary and the network that read it do.

The letters of a curve, relative to the largest deflection of the lead's QRS, against the level before the QRS::

    d -0.75 c -0.45 b -0.2 a -0.06 . +0.06 A +0.2 B +0.45 C +0.75 D

`|` parts P wave, QRS and T wave: ``..A..|.bDDDCa.....|AA``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detector.jit import kernel
from detector.measure import MEASURES, SPAN, SPAN_BEFORE, measure_window, window
from detector.types import LEADS, SATURATED
from model.state import (
    GROUPS,
    MEMORY,
    P_FROM,
    P_NEAR,
    P_TO,
    PICTURE,
    PICTURE_START,
    QRS_FROM,
    QRS_TO,
    STEP,
    T_FROM,
    T_TO,
    USUALS,
)

Record = Any
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

ALPHABET: Final = "dcba.ABCD|"
BAR: Final = 9  # index of `|` in ALPHABET
ISOELECTRIC: Final = 4  # index of `.`
LEVELS: Final = (0.06, 0.2, 0.45, 0.75)  # of the largest deflection: a P wave is an A, a notch a B, the peak a D

# Where the letters are taken, ticks from R: (first, last, step). QRS letters stand for 12 ms, P for 24, T for 32.
P_LETTERS: Final = (-72, -24, 6)
QRS_LETTERS: Final = (-24, 39, 3)
T_LETTERS: Final = (40, 72, 8)
TEXT: Final = 8 + 1 + 21 + 1 + 4  # letters of a lead's text


@dataclass(frozen=True)
class Word:
    """A measured word: a scale cut into equal steps.

    Attributes
    ----------
    name : str
        What it speaks of.
    meaning : str
        What is measured, with its unit.
    low, step : float
        Upper edge of level 0 and distance of the following edges.
    levels : int
        How many levels; one more says "cannot be told".
    """

    name: str
    meaning: str
    low: float
    step: float
    levels: int


WORDS: Final = (
    Word("rr", "log2 of the RR interval in s", -2.0, 0.125, 28),
    Word("rr/last", "log2 of RR over the RR before", -1.2, 0.1, 25),
    Word("rr/fast", "log2 of RR over its mean of about 6 beats", -1.2, 0.08, 31),
    Word("rr/slow", "log2 of RR over its mean of about 50 beats", -1.2, 0.08, 31),
    Word("rr/own", "log2 of RR over the patient's own regular RR", -1.2, 0.08, 31),
    Word("rr/long", "log2 of RR over the 80th percentile of the last 32", -1.5, 0.1, 20),
    Word("last/own", "log2 of the RR before over the patient's own", -1.2, 0.15, 17),
    Word("jitter", "log2 of the mean change of RR from beat to beat", -6.0, 0.5, 12),
    Word("like1", "likeness of the QRS to the own normal beat, lead 1: -log2 of 1 - correlation", 0.0, 0.4, 16),
    Word("like2", "the same in lead 2", 0.0, 0.4, 16),
    Word("apart", "difference of the QRS from the own normal beat, both leads, log2", -5.0, 0.4, 18),
    Word("size", "log2 of QRS energy over the own normal beat's", -2.0, 0.25, 17),
    Word("broad", "breadth of the QRS, ms, log2", 3.5, 0.2, 20),
    Word("broad/own", "log2 of its breadth over the own normal beat's", -0.9, 0.15, 17),
    Word("width", "onset to offset of the QRS, ms", 60.0, 12.0, 18),
    Word("steep", "log2 of steepest slope over amplitude, 1/s", 3.0, 0.2, 20),
    Word("twave", "likeness of ST-T to the own normal beat, both leads", 0.0, 0.4, 12),
    Word("p1", "likeness of the last 200 ms before the QRS to the own normal beat's, lead 1", 0.0, 0.35, 14),
    Word("p2", "the same in lead 2", 0.0, 0.35, 14),
    Word("p", "difference of the P wave's part from the own, both leads, log2 of energy", -5.0, 0.5, 24),
    Word("hump", "log2 of the P wave's height over the QRS's", -6.0, 0.5, 13),
    Word("pr", "P wave's peak before QRS onset, ms", 40.0, 16.0, 10),
    Word("nearest", "difference from the nearest kind of beat, log2", -6.0, 0.5, 13),
    Word("share", "log2 of that kind's share of the beats", -7.0, 0.5, 14),
    Word("early", "how early that kind came so far, log2", -1.0, 0.1, 18),
    Word("pause", "the pause behind that kind so far, log2", -0.6, 0.1, 14),
    Word("kind", "log2 of that kind's breadth over the own normal beat's", -0.9, 0.15, 17),
    Word("kin", "likeness of that kind to the own normal beat, log2 of difference", -5.0, 0.4, 18),
    Word("again", "same kind as the last beat (2), the one before (1), neither (0)", 0.5, 1.0, 3),
    Word("st", "ST level at J + 60 ms over QRS height", -0.4, 0.1, 9),
    Word("turn", "polarity of the QRS, lead 1 + 2 * lead 2", -2.0, 2.0, 4),
    Word("apart/usual", "`apart` over its usual value in the own normal beats, in usual deviations", -3.0, 0.75, 24),
    Word("twave/usual", "`twave` likewise", -12.0, 0.75, 22),
    Word("p/usual", "`p` likewise", -3.0, 0.75, 22),
    Word("broad/usual", "`broad` likewise", -6.0, 0.75, 24),
    Word("hump/usual", "`hump` likewise", -6.0, 0.75, 18),
    Word("rr/usual", "`rr/own` in usual deviations of the own normal beats", -9.0, 0.6, 28),
    Word("own p", "log2 of energy of the P wave's part over the QRS's in the own normal beat", -13.0, 0.75, 16),
    Word("lead", "which leads can be read: 0 first, 1 second, 2 both", 0.5, 1.0, 3),
)
FIELDS: Final = len(WORDS)
# Their places in a sentence, in the order of `WORDS`.
(
    RR,
    RR_LAST,
    RR_FAST,
    RR_SLOW,
    RR_OWN,
    RR_LONG,
    LAST_OWN,
    JITTER,
    LIKE1,
    LIKE2,
    APART,
    SIZE,
    BROAD,
    BROAD_OWN,
    WIDTH,
    STEEP,
    TWAVE,
    P1,
    P2,
    P,
    HUMP,
    PR,
    NEAREST,
    SHARE,
    EARLY,
    PAUSE,
    KIND,
    KIN,
    AGAIN,
    ST,
    TURN,
    APART_USUAL,
    TWAVE_USUAL,
    P_USUAL,
    BROAD_USUAL,
    HUMP_USUAL,
    RR_USUAL,
    OWN_P,
    LEAD,
) = range(FIELDS)
#: Measurements whose usual value and deviation in the patient's own normal beats are remembered, and the words that
#: say how far a beat is from them; a deviation counts at least the third.
_USUAL = np.array([APART, TWAVE, P, BROAD, HUMP])
_TO_USUAL = np.array([APART_USUAL, TWAVE_USUAL, P_USUAL, BROAD_USUAL, HUMP_USUAL])
_LEAST = np.array([0.4, 0.3, 0.4, 0.04, 0.25])
_LOW = np.array([w.low for w in WORDS])
_STEP = np.array([w.step for w in WORDS])
_LEVELS = np.array([w.levels for w in WORDS])
_THRESHOLDS = np.array(LEVELS)

FAST: Final = 0.16  # weight of a new interval in the fast memory, about 6 beats
SLOW: Final = 0.02  # in the slow one, about 50 beats
OWN: Final = 0.08  # in the own regular RR, about 12 beats
OWN_STEP: Final = 0.1  # most that one interval moves it by (log2), so that a premature beat or a pause hardly counts
UNREST: Final = 0.08  # in the mean change, about 12 beats
LONGEST: Final = 4.0  # s; longer intervals are no rhythm (gap, lead off)
SAME: Final = (0.1, 0.3)  # difference below which two beats are of one kind (correlation 0.95, 0.85): the first in a
SAME_OVER: Final = 2.5  # quiet record, the second in a noisy one; this far (log2) over the usual difference between
LEAST_UNREST: Final = 0.04  # log2: a heart of steady pace varies by 3 % with the breath
USUAL: Final = 0.03  # weight of a beat in the usual values, about 30 beats
MERGE: Final = 0.06  # difference below which two kinds have become one
FADE: Final = 0.998  # weight a kind keeps per beat: a kind not seen for 500 beats has lost two thirds
INERTIA: Final = 40.0  # beats a kind's picture is averaged over at most: follows posture within a minute
SLIP: Final = 6  # ticks the R peak may be placed differently on two beats of one kind (24 ms)
LATE: Final = -0.15  # log2 of RR over own below which a beat is premature and does not teach the P wave


@kernel
def letters(y: F32, onset: int, text: U8) -> None:
    """Draw one lead's window in letters: indices into `ALPHABET`, `TEXT` of them."""
    base = 0.0
    for i in range(SPAN_BEFORE + onset - 6, SPAN_BEFORE + onset):
        base += np.float64(y[i]) / 6.0
    top = 1e-9
    for i in range(SPAN_BEFORE + QRS_LETTERS[0], SPAN_BEFORE + QRS_LETTERS[1]):
        top = max(top, abs(np.float64(y[i]) - base))
    at = 0
    for part in range(3):
        first, last, step = P_LETTERS if part == 0 else QRS_LETTERS if part == 1 else T_LETTERS
        if part > 0:
            text[at] = BAR
            at += 1
        for start in range(first, last, step):
            mean = 0.0
            for i in range(start, start + step):
                mean += np.float64(y[SPAN_BEFORE + i])
            value = (mean / step - base) / top
            level = 0
            for edge in _THRESHOLDS:
                if abs(value) > edge:
                    level += 1
            text[at] = ISOELECTRIC + level if value > 0 else ISOELECTRIC - level
            at += 1


@kernel
def _compare(y: F32, mv: F32, first: int, last: int, slip: int, line: int) -> tuple[float, float, float]:
    """Energies of a beat's part, of a picture's, and of their difference, each about its own mean (or line)."""
    n = last - first
    mean_y = mean_m = slope_y = slope_m = 0.0
    half = (n - 1) / 2.0
    for j in range(first, last):
        a = np.float64(y[SPAN_BEFORE + PICTURE_START + STEP * j + slip])
        b = np.float64(mv[j])
        mean_y += a
        mean_m += b
        slope_y += a * (j - first - half)
        slope_m += b * (j - first - half)
    mean_y /= n
    mean_m /= n
    scale = n * (n * n - 1) / 12.0
    slope_y = slope_y / scale if line else 0.0
    slope_m = slope_m / scale if line else 0.0
    energy_y = energy_m = apart = 0.0
    for j in range(first, last):
        x = j - first - half
        a = np.float64(y[SPAN_BEFORE + PICTURE_START + STEP * j + slip]) - mean_y - slope_y * x
        b = np.float64(mv[j]) - mean_m - slope_m * x
        energy_y += a * a
        energy_m += b * b
        apart += (a - b) * (a - b)
    return energy_y, energy_m, apart


@kernel
def _difference(ys: F32, good: U8, group: Record, slip: int) -> float:
    """How far a beat's QRS is from a kind, both leads: 0 the same, 2 nothing in common; 9 when it cannot be told."""
    energy = apart = 0.0
    for lead in range(LEADS):
        if good[lead] and group.seen[lead] > 0:
            a, b, d = _compare(ys[lead], group.mv[lead], QRS_FROM, QRS_TO, slip, 0)
            energy += 0.5 * (a + b)
            apart += d
    return apart / energy if energy > 0.0 else 9.0


@kernel
def _kin(one: Record, other: Record) -> float:
    """The same between two kinds."""
    energy = apart = 0.0
    for lead in range(LEADS):
        if one.seen[lead] > 0 and other.seen[lead] > 0:
            mean_a = mean_b = 0.0
            for j in range(QRS_FROM, QRS_TO):
                mean_a += np.float64(one.mv[lead, j])
                mean_b += np.float64(other.mv[lead, j])
            mean_a /= QRS_TO - QRS_FROM
            mean_b /= QRS_TO - QRS_FROM
            for j in range(QRS_FROM, QRS_TO):
                a = np.float64(one.mv[lead, j]) - mean_a
                b = np.float64(other.mv[lead, j]) - mean_b
                energy += 0.5 * (a * a + b * b)
                apart += (a - b) * (a - b)
    return apart / energy if energy > 0.0 else 9.0


@kernel
def _likeness(energy: float, other: float, apart: float) -> float:
    """-log2(1 - correlation), 0 for none and 6.4 for 0.988."""
    if energy <= 0.0 or other <= 0.0:
        return np.nan
    correlation = 0.5 * (energy + other - apart) / np.sqrt(energy * other)
    return float(max(-np.log2(max(1.0 - correlation, 1e-4)), -1.0))


@kernel
def _percentile80(rr: F32, count: int) -> float:
    """80th percentile of the RR intervals in the ring."""
    n = min(count, MEMORY)
    sorted_rr = np.empty(MEMORY, np.float32)
    for i in range(n):
        value = rr[i]
        j = i
        while j > 0 and sorted_rr[j - 1] > value:
            sorted_rr[j] = sorted_rr[j - 1]
            j -= 1
        sorted_rr[j] = value
    return np.float64(sorted_rr[(4 * (n - 1)) // 5])


@kernel
def _learn(state: Record, group: Record, ys: F32, good: U8, slip: int, teach_p: bool) -> None:
    """Average a beat into its kind."""
    for lead in range(LEADS):
        if not good[lead]:
            continue
        level = 0.0
        for j in range(QRS_FROM, QRS_TO):
            level += np.float64(ys[lead, SPAN_BEFORE + PICTURE_START + STEP * j + slip]) / (QRS_TO - QRS_FROM)
        group.seen[lead] = min(group.seen[lead] + 1, 1 << 30)
        rate = max(1.0 / group.seen[lead], 1.0 / INERTIA)
        for j in range(PICTURE):
            if j < P_TO and not teach_p and group.seen[lead] > 1:
                continue
            value = np.float64(ys[lead, SPAN_BEFORE + PICTURE_START + STEP * j + slip]) - level
            group.mv[lead, j] += rate * (value - np.float64(group.mv[lead, j]))


@kernel
def _choose_normal(state: Record) -> int:
    """The kind that is the patient's own normal beat: frequent, narrow, not early."""
    narrowest = 1e9
    total = 0.0
    for g in range(GROUPS):
        total += np.float64(state.groups[g].weight)
    for g in range(GROUPS):
        if state.groups[g].weight > max(3.0, 0.03 * total):
            narrowest = min(narrowest, np.float64(state.groups[g].breadth))
    best = 0
    best_score = -1.0
    for g in range(GROUPS):
        if state.groups[g].weight <= 0.0:
            continue
        narrow = min(narrowest / max(np.float64(state.groups[g].breadth), 1.0), 1.0)
        early = min(np.float64(state.groups[g].early), 0.0)
        score = np.float64(state.groups[g].weight) * narrow * narrow * np.exp2(4.0 * early)
        if g == state.normal - 1:
            score *= 1.2  # no wavering between two equals
        if score > best_score:
            best_score = score
            best = g
    return best


@kernel
def describe(
    state: Record, signal: Record, peak_tick: int, lead_states: Any, texts: U8, values: F32, levels: I64
) -> int:
    """Say a beat in words and remember it; beats must come in order.

    Parameters
    ----------
    state : record of `model.state.LANGUAGE`
    signal : record of `detector.types.SIGNAL`
    peak_tick : int
        The R peak; samples up to ``peak_tick + AFTER - 1`` are used.
    lead_states : int8 (LEADS,)
        GOOD ... OFF.
    texts : uint8 (LEADS, TEXT), out
        Letters of each lead; only `.` for a lead that cannot be read.
    values : float32 (FIELDS,), out
        What `WORDS` measure; NaN where it cannot be told.
    levels : int64 (FIELDS,), out
        The words.

    Returns
    -------
    int
        The lead the beat is best read in: 0 or 1, or -1 when neither can be read.
    """
    ys = np.empty((LEADS, SPAN), np.float32)
    good = np.zeros(LEADS, np.uint8)
    measures = np.empty(LEADS, MEASURES)
    values[:] = np.nan
    readable = 0
    best = -1
    for lead in range(LEADS):
        can = window(signal, peak_tick, lead, ys[lead])
        measure_window(ys[lead], measures[lead])
        texts[lead, :] = ISOELECTRIC
        if can and measures[lead].valid and lead_states[lead] <= SATURATED:
            good[lead] = 1
            readable += 1
            letters(ys[lead], measures[lead].onset, texts[lead])
            if best < 0 or lead_states[lead] < lead_states[best]:
                best = lead
    if readable:
        values[LEAD] = 2.0 if readable == 2 else np.float64(best)

    # When it came.
    rr = 0.0
    if state.beats > 0:
        rr = (peak_tick - state.peak) / 250.0
        if rr > LONGEST or rr <= 0.0:
            rr = 0.0
    early = 0.0
    if rr > 0.0:
        log_rr = np.log2(rr)
        values[RR] = log_rr
        if state.intervals > 0:
            early = log_rr - np.float64(state.own)
            if state.last_rr > 0.0:
                values[RR_LAST] = log_rr - np.log2(np.float64(state.last_rr))
                values[LAST_OWN] = np.float64(state.last_early)
            values[RR_FAST] = log_rr - np.float64(state.fast)
            values[RR_SLOW] = log_rr - np.float64(state.slow)
            values[RR_OWN] = early
            values[RR_USUAL] = early / max(1.25 * np.float64(state.unrest), LEAST_UNREST)
            values[RR_LONG] = log_rr - np.log2(_percentile80(state.rr, state.intervals))
            values[JITTER] = np.log2(max(np.float64(state.jitter), 0.001))
        if state.last_group > 0:
            kind = state.groups[state.last_group - 1]
            rate = max(1.0 / max(np.float64(kind.weight), 1.0), 0.05)
            kind.pause += rate * (min(max(early, -1.0), 1.0) - np.float64(kind.pause))

    # What it resembles.
    group = -1
    if readable:
        breadth = height = slope = width = 0.0
        hump = offset_p = st = 0.0
        turn = 0.0
        for lead in range(LEADS):
            if good[lead]:
                m = measures[lead]
                tall = np.float64(m.r_mv) - np.float64(m.s_mv)
                breadth += np.float64(m.area_uvs)
                height += max(np.float64(m.r_mv), -np.float64(m.s_mv))
                slope += max(np.float64(m.up), -np.float64(m.down))
                width += np.float64(m.width_ms) / readable
                st += np.float64(m.st60_mv)
                if abs(np.float64(m.p_mv)) / tall > hump:
                    hump = abs(np.float64(m.p_mv)) / tall
                    offset_p = (m.onset - m.p_tick) * 4.0
                turn += m.polarity * (lead + 1)
        breadth = breadth / height
        values[BROAD] = np.log2(breadth)
        values[WIDTH] = width
        values[STEEP] = np.log2(slope / height)
        values[HUMP] = np.log2(max(hump, 1e-3))
        values[PR] = offset_p
        values[ST] = st / height
        values[TURN] = turn

        nearest = 9.0
        slip = 0
        for g in range(GROUPS):
            if state.groups[g].weight <= 0.0:
                continue
            for s in range(-SLIP, SLIP + 1, 2):
                d = _difference(ys, good, state.groups[g], s)
                if d < nearest:
                    nearest = d
                    group = g
                    slip = s
        if state.normal > 0:
            normal = state.groups[state.normal - 1]
            apart = 9.0
            shift = 0
            for s in range(-SLIP, SLIP + 1, 2):
                d = _difference(ys, good, normal, s)
                if d < apart:
                    apart = d
                    shift = s
            if apart < 9.0:
                values[APART] = np.log2(max(apart, 1e-3))
                energy = energy_own = 0.0
                t_energy = t_own = t_apart = 0.0
                p_own = p_apart = 0.0
                for lead in range(LEADS):
                    if not good[lead] or normal.seen[lead] == 0:
                        continue
                    a, b, d = _compare(ys[lead], normal.mv[lead], QRS_FROM, QRS_TO, shift, 0)
                    values[LIKE1 + lead] = _likeness(a, b, d)
                    energy += a
                    energy_own += b
                    a, b, d = _compare(ys[lead], normal.mv[lead], T_FROM, T_TO, shift, 0)
                    t_energy += a
                    t_own += b
                    t_apart += d
                    a, b, d = _compare(ys[lead], normal.mv[lead], P_FROM, P_TO, shift, 1)
                    p_own += b
                    p_apart += d
                    a, b, d = _compare(ys[lead], normal.mv[lead], P_NEAR, P_TO, shift, 1)
                    values[P1 + lead] = _likeness(a, b, d)
                values[OWN_P] = np.log2(max(p_own, 1e-9) / max(energy_own, 1e-9))
                values[SIZE] = np.log2(max(energy, 1e-9) / max(energy_own, 1e-9))
                values[BROAD_OWN] = np.log2(breadth / max(np.float64(normal.breadth), 1.0))
                values[TWAVE] = _likeness(t_energy, t_own, t_apart)
                values[P] = np.log2(max(p_apart, 1e-9) / max(p_own, 1e-9))

        limit = SAME[1]
        if state.usual_beats >= 8:
            limit = min(max(np.exp2(np.float64(state.usual[0]) + SAME_OVER), SAME[0]), SAME[1])
            for k in range(USUALS):
                told = values[_USUAL[k]]
                values[_TO_USUAL[k]] = (told - np.float64(state.usual[k])) / max(
                    1.25 * np.float64(state.deviation[k]), _LEAST[k]
                )
        if group < 0 or nearest > limit:
            group = 0
            for g in range(GROUPS):
                if state.groups[g].weight < state.groups[group].weight:
                    group = g
            slip = 0
            fresh = state.groups[group]
            fresh.seen[:] = 0
            fresh.mv[:] = 0.0
            fresh.weight = 0.0
            fresh.early = fresh.pause = 0.0
            fresh.breadth = breadth
            if state.normal == group + 1:
                state.normal = 0
            if state.last_group == group + 1:
                state.last_group = 0
            if state.before_group == group + 1:
                state.before_group = 0
        kind = state.groups[group]
        total = 0.0
        for g in range(GROUPS):
            total += np.float64(state.groups[g].weight)
        values[NEAREST] = np.log2(max(nearest, 1e-3))
        if kind.weight > 0.0:
            values[SHARE] = np.log2(np.float64(kind.weight) / total)
            values[EARLY] = np.float64(kind.early)
            values[PAUSE] = np.float64(kind.pause)
            if state.normal > 0:
                own = state.groups[state.normal - 1]
                values[KIND] = np.log2(np.float64(kind.breadth) / max(np.float64(own.breadth), 1.0))
                values[KIN] = np.log2(max(_kin(kind, own), 1e-3))
        values[AGAIN] = 2.0 if state.last_group == group + 1 else 1.0 if state.before_group == group + 1 else 0.0

        # Remember the beat.
        for g in range(GROUPS):
            state.groups[g].weight *= FADE
        kind.weight += 1.0
        rate = max(1.0 / np.float64(kind.weight), 0.05)
        if rr > 0.0:
            kind.early += rate * (min(max(early, -1.0), 1.0) - np.float64(kind.early))
        kind.breadth += rate * (breadth - np.float64(kind.breadth))
        _learn(state, kind, ys, good, slip, early > LATE)
        if state.normal == group + 1 and rr > 0.0:
            state.unrest += USUAL * (min(abs(early), 0.5) - np.float64(state.unrest))
        if state.normal == group + 1 and abs(early) < -LATE and np.isfinite(values[TWAVE]):
            weight = max(USUAL, 1.0 / (state.usual_beats + 1.0))
            for k in range(USUALS):
                told = np.float64(values[_USUAL[k]])
                off = abs(told - np.float64(state.usual[k]))
                if state.usual_beats > 0:
                    fresh_weight = max(USUAL, 1.0 / state.usual_beats)
                    state.deviation[k] += fresh_weight * (off - np.float64(state.deviation[k]))
                state.usual[k] += weight * (told - np.float64(state.usual[k]))
            state.usual_beats += 1
        other = state.beats % GROUPS
        if other != group and state.groups[other].weight > 0.0 and _kin(kind, state.groups[other]) < MERGE:
            kind.weight += state.groups[other].weight
            state.groups[other].weight = 0.0
            if state.normal == other + 1:
                state.normal = group + 1
            if state.last_group == other + 1:
                state.last_group = group + 1
        state.normal = _choose_normal(state) + 1

    # Remember the rhythm.
    if rr > 0.0:
        log_rr = np.log2(rr)
        if state.intervals == 0:
            state.fast = state.slow = state.own = log_rr
        else:
            n = state.intervals + 1.0
            state.fast += max(FAST, 1.0 / n) * (log_rr - np.float64(state.fast))
            state.slow += max(SLOW, 1.0 / n) * (log_rr - np.float64(state.slow))
            state.own += max(OWN, 1.0 / n) * min(max(log_rr - np.float64(state.own), -OWN_STEP), OWN_STEP)
            if state.last_rr > 0.0:
                change = min(abs(log_rr - np.log2(np.float64(state.last_rr))), 1.0)
                state.jitter += max(UNREST, 1.0 / n) * (change - np.float64(state.jitter))
        state.rr[state.intervals % MEMORY] = rr
        state.intervals += 1
    state.last_rr = rr
    state.last_early = early
    state.peak = peak_tick
    state.beats += 1
    state.before_group = state.last_group
    state.last_group = group + 1

    for i in range(FIELDS):
        levels[i] = level_of(i, values[i])
    return best


@kernel
def level_of(field: int, value: float) -> int:
    """The level of a value on the scale of a measured word; the last level says "cannot be told"."""
    count = _LEVELS[field]
    if not np.isfinite(value):
        return int(count)
    return int(min(max(int(np.floor((value - _LOW[field]) / _STEP[field])) + 1, 0), count - 1))


def text_of(letters_of_lead: U8) -> str:
    """A lead's letters as text."""
    return "".join(ALPHABET[i] for i in letters_of_lead)
