"""Beats composed anew: a record's own sinus beats placed at other times, some behind another P wave, some broadened.

Premature supraventricular beats are many in few hearts, and so the network learns those hearts instead of the beats.
But such a beat is mostly made of what every heart in sinus rhythm shows: a normal QRS, too early, behind a P wave that
is not the sinus node's, before a pause that is not compensatory. So it can be composed from any of them. `compose`
writes a new score of when the beats come (`_Score`) and plays it with the record's own beats:

* between two R peaks the signal is stretched or shortened where it carries least: from the end of the T wave to the
  next QRS, and the T wave itself only when the next beat leaves no room for it;
* the P wave is taken out before, and put back at its distance from the next QRS: as it was before sinus beats, and
  changed before premature ones, on whatever lies there then, such as the T wave of the beat before;
* a ventricular beat is an own beat slowed down, its leads turned into each other as by another axis, with a T wave
  against its QRS, no P wave before it and a compensatory pause behind it.

The passages of the score (`PASSAGES`) are those that are told from each other hardest: single premature beats and
pairs, bigeminy and its like, whose beats are hardly early, runs of seconds to minutes, some with so few sinus beats
between them that the early ones are the rule; and, lest "early" alone comes to mean supraventricular, breathing sinus
rhythm, fibrillation and beats that fail, whose beats stay normal ones, and ventricular beats. Half of the records are
one such passage from begin to end: a heart may have known nothing else since it is watched.
Stretches that are not in steady sinus rhythm, and all beats but normal ones, are played as they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from model.ec57 import CLASS_OF, Annotations

Floats = npt.NDArray[np.float64]

QRS_S: Final = 0.07  # before its annotation a QRS has begun by no more than this
P_S: Final = 0.27  # and the P wave begins no earlier, unless the PR interval is long
EDGE_S: Final = 0.02  # the level on either side of the P wave is taken over so long
J_S: Final = 0.1  # behind its annotation a QRS is over by then
QT: Final = 0.4  # s, of an interval of one second (Bazett)
ROOM_S: Final = 0.03  # left between T wave and QRS at least
SHORTEST_S: Final = 0.28  # RR interval that the score asks for at least
LONGEST_S: Final = 2.2  # RR interval that is composed anew at most
STEADY: Final = 0.05  # median change of RR from beat to beat, as its share, below which a rhythm is taken for sinus
AROUND: Final = 20  # beats on either side that it is taken over
NORMAL: Final = "NLRB"
#: Shares of the passages: as it was, single beats, bigeminy, runs, breathing, fibrillation, ventricular beats, block.
#: Half of them have no premature beat, so that "early" alone does not come to mean one.
PASSAGES: Final = (0.18, 0.15, 0.11, 0.11, 0.14, 0.14, 0.15, 0.02)
LIFELONG: Final = 0.5  # share of records that are one passage from begin to end: no other rhythm to measure it by
LIVES: Final = (0.0, 0.1, 0.12, 0.22, 0.17, 0.24, 0.1, 0.05)  # shares of those; all of their runs are of a sick node
SICK: Final = 0.3  # share of passages of runs in which the sinus node is slow to wake and hardly beats between them
SLOWEST: Final = 1.5  # times its own RR: the pace of a sick node at most
LONGEST_RUN, LONGEST_SICK = 150, 40  # beats
BEFORE_S, BEHIND_S = 0.1, 0.45  # of a beat that is made a ventricular one


@dataclass
class _Score:
    """When each beat comes and what is before it.

    Attributes
    ----------
    rr : float64 (n,)
        RR interval before each beat, s.
    p : float64 (n, leads)
        Factor on the P wave before it.
    pr : float64 (n,)
        By how much it is nearer to the QRS, s.
    early : bool (n,)
        Whether it is a premature supraventricular beat now.
    waves : float64 (n,)
        Height of fibrillation's waves before it, of the QRS.
    focus : int64 (n,)
        The ventricular focus it comes from now, in `foci`; -1: none.
    foci : list of _Ventricle
    """

    rr: Floats
    p: Floats
    pr: Floats
    early: npt.NDArray[np.bool_]
    waves: Floats
    focus: npt.NDArray[np.int64]
    foci: list[_Ventricle]


@dataclass(frozen=True)
class _Ventricle:
    """How the beats of a ventricular focus look beside the own normal beat."""

    turn: Floats  # (leads, leads) the QRS in each lead, from those of the own beat
    recover: Floats  # (leads, leads) its T wave likewise
    broad: float  # times as broad
    ratio: float  # of the RR before it over the own


def compose(
    mv: Floats, rate_hz: float, reference: Annotations, rng: np.random.Generator
) -> tuple[Floats, Annotations] | None:
    """A record composed anew.

    Parameters
    ----------
    mv : float64 (n, leads)
        NaN where there is no reading.
    rate_hz : float
    reference : Annotations
        Its beats.
    rng : numpy Generator

    Returns
    -------
    float64 (m, leads), Annotations, or None
        Signal and beats, `S` for those made premature; None when too little of the record is in sinus rhythm.
    """
    are = np.array([symbol in CLASS_OF for symbol in reference.symbols], bool)
    beats = reference.samples[are]
    symbols = np.array(list(reference.symbols))[are]
    if not len(beats):
        return None
    free = _sinus(beats / rate_hz, symbols)
    if free.sum() < 4 * AROUND:
        return None
    score = _write(np.diff(beats, prepend=0) / rate_hz, free, mv.shape[1], rng)
    return _play(mv, rate_hz, beats, symbols, free, score, rng)


def _sinus(seconds: Floats, symbols: npt.NDArray[np.str_]) -> npt.NDArray[np.bool_]:
    """Beats (n,) whose interval before them may be composed: normal ones in steady rhythm, behind a normal one."""
    normal = np.isin(symbols, list(NORMAL))
    rr = np.diff(seconds, prepend=np.nan)
    paired = normal & np.roll(normal, 1)
    change = np.abs(np.log(rr / np.roll(rr, 1)))
    change[~(paired & np.roll(paired, 1))] = np.nan
    free = np.zeros(len(seconds), bool)
    for i in range(2, len(seconds)):
        around = change[max(i - AROUND, 2) : i + AROUND]
        told = around[np.isfinite(around)]
        free[i] = len(told) >= AROUND // 2 and np.median(told) < STEADY
    return free & paired & (rr < LONGEST_S) & (rr > SHORTEST_S)


def _write(rr: Floats, free: npt.NDArray[np.bool_], leads: int, rng: np.random.Generator) -> _Score:
    """Write the score: passages of several kinds, one after another."""
    n = len(rr)
    score = _Score(rr.copy(), np.ones((n, leads)), np.zeros(n), np.zeros(n, bool), np.zeros(n), np.full(n, -1), [])
    focus = _focus(leads, rng)
    lifelong = rng.random() < LIFELONG
    at = 0
    while at < n:
        end = n if lifelong else min(at + int(rng.integers(40, 240)), n)
        kind = rng.choice(len(PASSAGES), p=LIVES if lifelong else PASSAGES)
        if rng.random() < 0.3:
            focus = _focus(leads, rng)
        own = np.array([np.median(rr[max(i - AROUND, 1) : i + AROUND]) for i in range(at, end)])
        if kind == 1:
            _singles(score, at, own, focus, rng)
        elif kind == 2:
            _alternate(score, at, own, focus, rng)
        elif kind == 3:
            _run(score, at, own, focus, rng, sick=lifelong or rng.random() < SICK)
        elif kind == 4:
            _breathe(score, at, own, rng)
        elif kind == 5:
            _fibrillate(score, at, own, rng)
        elif kind == 6:
            _ventricular(score, at, own, rng)
        elif kind == 7:
            _block(score, at, own, rng)
        at = end
    score.rr = np.where(free, np.maximum(score.rr, SHORTEST_S), rr)
    score.early &= free
    score.focus[~free] = -1
    return score


@dataclass(frozen=True)
class _Focus:
    """Where premature beats come from: how their P wave looks, and how early they are."""

    p: Floats  # factor in each lead
    pr: float  # s
    ratio: float  # of their RR over the own


def _focus(leads: int, rng: np.random.Generator) -> _Focus:
    kind = rng.random()
    if kind < 0.2:  # lost in the QRS
        p = np.zeros(leads)
    elif kind < 0.55:  # turned over in one lead at least
        p = rng.uniform(-1.2, 0.3, leads)
    else:
        p = rng.uniform(0.1, 1.6, leads)
    return _Focus(p, rng.uniform(-0.05, 0.06), rng.choice([rng.uniform(0.5, 0.8), rng.uniform(0.75, 0.92)]))


def _early(score: _Score, i: int, rr: float, focus: _Focus, rng: np.random.Generator) -> None:
    score.rr[i] = rr
    score.p[i] = focus.p * rng.uniform(0.85, 1.15)
    score.pr[i] = focus.pr + rng.normal(0, 0.005)
    score.early[i] = True


def _pause(own: float, rng: np.random.Generator) -> float:
    """RR behind a premature beat: the sinus node begins anew, and takes a moment for the way."""
    return float(own * rng.uniform(1.0, 1.3))


def _singles(score: _Score, at: int, own: Floats, focus: _Focus, rng: np.random.Generator) -> None:
    often = rng.uniform(0.02, 0.16)
    i = 0
    while i < len(own):
        if rng.random() < often:
            for _ in range(1 + int(rng.choice(3, p=(0.7, 0.2, 0.1)))):
                if i < len(own):
                    _early(score, at + i, own[i] * np.clip(focus.ratio * rng.normal(1, 0.06), 0.4, 0.93), focus, rng)
                    i += 1
            if i < len(own):
                score.rr[at + i] = _pause(own[i], rng)
        i += 1


def _alternate(score: _Score, at: int, own: Floats, focus: _Focus, rng: np.random.Generator) -> None:
    period = int(rng.choice([2, 3, 4], p=(0.7, 0.2, 0.1)))
    ratio = focus.ratio
    rest = rng.uniform(1.0, 1.3)
    for i in range(len(own)):
        if i % period == 1:
            _early(score, at + i, own[i] * ratio * rng.normal(1, 0.025), focus, rng)
        elif i % period == 2 % period and i:
            score.rr[at + i] = own[i] * rest * rng.normal(1, 0.02)


def _run(score: _Score, at: int, own: Floats, focus: _Focus, rng: np.random.Generator, *, sick: bool) -> None:
    longest = LONGEST_SICK if sick else LONGEST_RUN
    if sick:
        own = own * rng.uniform(1.0, SLOWEST)
    i = int(rng.integers(0, 10))
    while i < len(own):
        length = int(np.exp(rng.uniform(np.log(3), np.log(longest))))
        ratio = rng.uniform(0.45, 0.8)
        wander = rng.uniform(0.005, 0.03)
        for _ in range(length):
            if i < len(own):
                _early(score, at + i, own[i] * ratio * rng.normal(1, wander), focus, rng)
                i += 1
        if i < len(own):
            score.rr[at + i] = _pause(own[i], rng) * (rng.uniform(1.0, 2.0) if sick else 1.0)
        i += int(rng.integers(1, 5)) if sick else int(rng.integers(5, 60))


def _breathe(score: _Score, at: int, own: Floats, rng: np.random.Generator) -> None:
    breath = rng.uniform(2.5, 6.0)  # beats
    depth = rng.uniform(0.05, 0.22)
    phase = np.cumsum(rng.normal(1.0, 0.15, len(own))) * 2 * np.pi / breath
    score.rr[at : at + len(own)] = own * np.exp(depth * np.sin(phase) + rng.normal(0, 0.02, len(own)))


def _block(score: _Score, at: int, own: Floats, rng: np.random.Generator) -> None:
    """Beats that fail: pauses with no premature beat before them, which a sick node's runs are told from by P waves."""
    often = rng.choice([rng.uniform(0.02, 0.1), rng.uniform(0.1, 0.5)])
    slow = rng.uniform(0.9, 1.4)
    wander = rng.uniform(0.01, 0.04)
    pause = rng.uniform(1.5, 2.4)
    for i in range(len(own)):
        rr = own[i] * slow * rng.normal(1, wander)
        score.rr[at + i] = rr * pause * rng.normal(1, wander) if rng.random() < often else rr


def _fibrillate(score: _Score, at: int, own: Floats, rng: np.random.Generator) -> None:
    here = slice(at, at + len(own))
    score.rr[here] = own * rng.uniform(0.6, 1.05) * np.exp(rng.normal(0, rng.uniform(0.12, 0.28), len(own)))
    score.p[here] = 0.0
    score.waves[here] = rng.uniform(0.01, 0.08)


def _ventricular(score: _Score, at: int, own: Floats, rng: np.random.Generator) -> None:
    leads = score.p.shape[1]
    turn = np.diag(rng.choice([-1.0, 1.0], leads) * rng.uniform(0.6, 1.7, leads)) + rng.uniform(
        -0.6, 0.6, (leads, leads)
    )
    score.foci.append(_Ventricle(turn, -turn * rng.uniform(0.5, 1.3), rng.uniform(1.2, 2.1), rng.uniform(0.5, 0.95)))
    focus = score.foci[-1]
    every = int(rng.choice([2, 3, 4, 0], p=(0.2, 0.1, 0.1, 0.6)))
    often = rng.uniform(0.03, 0.15)
    i = 2
    while i < len(own) - 1:
        if (i % every == 0) if every else rng.random() < often:
            for _ in range(1 if every else 1 + int(rng.choice(3, p=(0.75, 0.15, 0.1)))):
                if i < len(own) - 1:
                    score.rr[at + i] = own[i] * np.clip(focus.ratio * rng.normal(1, 0.05), 0.4, 1.0)
                    score.p[at + i] = 0.0
                    score.focus[at + i] = len(score.foci) - 1
                    i += 1
            score.rr[at + i] = max(2 * own[i] - score.rr[at + i - 1], own[i])  # the sinus node goes on as it was
        i += 1


def _broaden(mv: Floats, rate_hz: float, place: int, focus: _Ventricle) -> None:
    """Make the beat at this place one of a ventricular focus, in place."""
    begin = place - round(BEFORE_S * focus.broad * rate_hz)
    end = place + round(BEHIND_S * rate_hz)
    if begin < 0 or end >= len(mv) or not np.isfinite(mv[begin : end + 1]).all():
        return
    line = np.linspace(mv[begin], mv[end], end - begin)
    own = mv[begin:end] - line
    at = np.arange(begin, end) - place
    slow = np.stack(
        [np.interp(at / focus.broad, at, own[:, k], left=0.0, right=0.0) for k in range(own.shape[1])], axis=1
    )
    over = 1.0 / (1.0 + np.exp(-(at / rate_hz - J_S * focus.broad * 0.8) / 0.012))[:, None]  # how far the QRS is over
    edges = np.minimum(1.0, np.minimum(np.arange(end - begin), np.arange(end - begin)[::-1]) / (EDGE_S * rate_hz))
    mv[begin:end] = line + edges[:, None] * ((1 - over) * (slow @ focus.turn.T) + over * (slow @ focus.recover.T))


def _play(
    mv: Floats,
    rate_hz: float,
    beats: npt.NDArray[np.int64],
    symbols: npt.NDArray[np.str_],
    free: npt.NDArray[np.bool_],
    score: _Score,
    rng: np.random.Generator,
) -> tuple[Floats, Annotations]:
    """Play the score with the record's own beats."""
    parts = [mv[: beats[0]]]
    places = [int(beats[0])]
    said = [str(symbols[0])]
    for i in range(1, len(beats)):
        old = mv[beats[i - 1] : beats[i]]
        changes = free[i] and (
            score.early[i] or score.rr[i] * rate_hz != len(old) or score.waves[i] > 0 or score.focus[i] >= 0
        )
        if changes and np.isfinite(old).all():
            part = _interval(old, rate_hz, score, i, rng)
            said.append("S" if score.early[i] else "V" if score.focus[i] >= 0 else str(symbols[i]))
        else:
            part = old
            said.append(str(symbols[i]))
        parts.append(part)
        places.append(places[-1] + len(part))
    parts.append(mv[beats[-1] :])
    new = np.concatenate(parts)
    for changed in np.flatnonzero((score.focus >= 0) & (np.array(said) == "V") & (symbols != "V")):
        _broaden(new, rate_hz, places[changed], score.foci[score.focus[changed]])
    return new, Annotations.of(np.array(places, np.int64), said)


def _interval(old: Floats, rate_hz: float, score: _Score, i: int, rng: np.random.Generator) -> Floats:
    """The signal from one R peak to the next, (m, leads), with another length and another P wave before the second."""
    size = len(old)
    count = max(round(score.rr[i] * rate_hz), round(SHORTEST_S * rate_hz))
    qrs, edge, joint = round(QRS_S * rate_hz), round(EDGE_S * rate_hz), round(J_S * rate_hz)
    begin = max(size - round(P_S * rate_hz), joint + edge)
    base = old.copy()
    wave = np.zeros((0, old.shape[1]))
    if begin + 2 * edge < size - qrs:
        left, right = old[begin - edge : begin].mean(axis=0), old[size - qrs : size - qrs + edge].mean(axis=0)
        line = np.linspace(left, right, size - qrs - begin)
        wave = (old[begin : size - qrs] - line) * np.hanning(size - qrs - begin + 2)[1:-1, None] ** 0.25
        base[begin : size - qrs] -= wave
    over = min(round(QT * np.sqrt(size / rate_hz) * rate_hz), begin)  # of the T wave
    room = count - qrs - round(ROOM_S * rate_hz)
    kept = min(over, max(room, joint + 1))
    new = np.array([0, joint, kept, count - qrs, count], float)
    was = np.array([0, joint, over, size - qrs, size], float)
    new = np.maximum.accumulate(new)
    time = np.interp(np.arange(count), new, was)
    out = np.stack([np.interp(time, np.arange(size), base[:, k]) for k in range(old.shape[1])], axis=1)
    first = count - qrs - len(wave) + round(score.pr[i] * rate_hz)
    skip = max(-first, 0)
    stop = min(len(wave), count - first)
    if skip < stop:
        out[first + skip : first + stop] += (wave * score.p[i])[skip:stop]
    if score.waves[i] > 0:
        height = np.ptp(old, axis=0)
        t = np.arange(count) / rate_hz
        pitch = rng.uniform(4.5, 8.0)
        tones = np.sin(2 * np.pi * (pitch * t + rng.random())) + 0.5 * np.sin(
            2 * np.pi * (1.6 * pitch * t + rng.random())
        )
        out += (np.hanning(count) ** 0.3 * tones)[:, None] * height * score.waves[i]
    return out
