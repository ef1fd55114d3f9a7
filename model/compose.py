"""Beats composed anew: a record's own sinus beats placed at other times, some after another P wave, some broadened.

Premature supraventricular beats are many in few hearts, and so the network learns those hearts instead of the beats.
But such a beat is mostly made of what every heart in sinus rhythm shows: a normal QRS, too early, after a P wave that
is not the sinus node's, before a pause that is not compensatory. So it can be composed from any of them. `compose`
plans anew when the beats come (`model.rhythms`) and renders the plan with the record's own beats:

* between two R peaks the signal is stretched or shortened where it carries least: from the end of the T wave to the
  next QRS, and the T wave itself only when the next beat leaves no room for it;
* the P wave is taken out before, and put back at its distance from the next QRS: as it was before sinus beats, and
  changed before premature ones, on whatever lies there then, such as the T wave of the beat before;
* a ventricular beat is an own beat slowed down, its leads turned into each other as by another axis, with a T wave
  against its QRS, no P wave before it and a compensatory pause after it.

Stretches that are not in steady sinus rhythm, and all beats but normal ones, stay as they were.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from model.ec57 import CLASS_OF, Annotations
from model.rhythms import AROUND, SHORTEST_S, BeatPlan, Ventricle, plan_beats

Floats = npt.NDArray[np.float64]

QRS_S: Final = 0.07  # before its annotation a QRS has begun by no more than this
P_S: Final = 0.27  # and the P wave begins no earlier, unless the PR interval is long
EDGE_S: Final = 0.02  # the level on either side of the P wave is taken over so long
J_S: Final = 0.1  # after its annotation a QRS is over by then
QT: Final = 0.4  # s, of an interval of one second (Bazett)
ROOM_S: Final = 0.03  # left between T wave and QRS at least
LONGEST_S: Final = 2.2  # RR interval that is composed anew at most
STEADY: Final = 0.05  # median change of RR from beat to beat, as its share, below which a rhythm is taken for sinus
NORMAL: Final = "NLRB"
FIBRILLATION: Final = "[!]"  # begin, waves and end of ventricular flutter or fibrillation, in annotations
#: Marks of a rhythm: none with waves of fibrillation, with them, and not asked for.
COMPOSED_RHYTHMS: Final = {0: "(N", 1: "(AFIB", -1: ""}
BEFORE_S, BEHIND_S = 0.1, 0.45  # of a beat that is made a ventricular one


def compose(
    mv: Floats, rate_hz: float, reference: Annotations, rng: np.random.Generator, rhythm: str | None = None
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
    rhythm : str, optional
        Of `model.rhythms.SINGLE_RHYTHMS`, what all of the record shall be of; by lot otherwise.

    Returns
    -------
    float64 (m, leads), Annotations, or None
        Signal and beats, `S` for those made premature, the marks of fibrillation where they were, and where the rhythm
        is atrial fibrillation now; None when too little of the record is in sinus rhythm.
    """
    are = np.array([symbol in CLASS_OF for symbol in reference.symbols], bool)
    beats = reference.samples[are]
    symbols = np.array(list(reference.symbols))[are]
    if not len(beats):
        return None
    free = _sinus(beats / rate_hz, symbols) & ~_fibrillating(reference, beats)
    if free.sum() < 4 * AROUND:
        return None
    plan = plan_beats(np.diff(beats, prepend=0) / rate_hz, free, mv.shape[1], rng, rhythm)
    new, places, said = _render(mv, rate_hz, beats, symbols, free, plan, rng)
    names = np.array(list(reference.symbols))
    names[are] = said
    kept = are | np.isin(names, list(FIBRILLATION))
    times = np.interp(reference.samples[kept], [0, *beats, len(mv) - 1], [0, *places, len(new) - 1]).astype(np.int64)
    return new, _with_rhythms(times, names[kept].tolist(), places, np.where(free, np.where(plan.waves > 0, 1, 0), -1))


def _with_rhythms(
    times: npt.NDArray[np.int64], names: list[str], places: npt.NDArray[np.int64], waves: npt.NDArray[np.int64]
) -> Annotations:
    """Annotations with the marks of a rhythm where one begins: `waves` is 1 at a beat with waves of fibrillation before
    it, 0 where there are none, and -1 where the record is as it was and its rhythm is not asked for.
    """
    begins = np.flatnonzero(np.diff(waves, prepend=-2))
    samples = np.concatenate([places[begins], times])
    symbols = ["+"] * len(begins) + names
    notes = [COMPOSED_RHYTHMS[waves[i]] for i in begins] + [""] * len(names)
    order = np.argsort(samples, kind="stable")
    return Annotations.of(samples[order], [symbols[i] for i in order], notes=[notes[i] for i in order])


def _fibrillating(reference: Annotations, beats: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether fibrillation, or a mark of it, lies before each beat, after the one before; bool (n,)."""
    there = np.zeros(len(beats) + 1, bool)
    begin = -1
    for sample, symbol in zip(reference.samples, reference.symbols, strict=True):
        if symbol in FIBRILLATION:
            here = int(np.searchsorted(beats, sample))
            there[begin if symbol == "]" and begin >= 0 else here : here + 1] = True
            begin = here if symbol == "[" else -1 if symbol == "]" else begin
    if begin >= 0:
        there[begin:] = True
    return there[:-1]


def _sinus(seconds: Floats, symbols: npt.NDArray[np.str_]) -> npt.NDArray[np.bool_]:
    """Beats (n,) whose interval before them may be composed: normal ones in steady rhythm, after a normal one."""
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


def _broaden(mv: Floats, rate_hz: float, place: int, after: int, focus: Ventricle) -> None:
    """Make the beat at this place one of a ventricular focus, in place: as far as the beat `after` it leaves room.

    One that follows at once, as in a couplet, is reached into: a QRS has its breadth.
    """
    before, qrs = round(BEFORE_S * focus.broad * rate_hz), round(J_S * focus.broad * rate_hz)
    begin, end = place - before, min(place + round(BEHIND_S * rate_hz), max(after - before, place + qrs))
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


def _render(
    mv: Floats,
    rate_hz: float,
    beats: npt.NDArray[np.int64],
    symbols: npt.NDArray[np.str_],
    free: npt.NDArray[np.bool_],
    plan: BeatPlan,
    rng: np.random.Generator,
) -> tuple[Floats, npt.NDArray[np.int64], list[str]]:
    """Render a plan with the record's own beats: the signal, samples of the beats, and their symbols."""
    parts = [mv[: beats[0]]]
    places = [int(beats[0])]
    said = [str(symbols[0])]
    for i in range(1, len(beats)):
        old = mv[beats[i - 1] : beats[i]]
        changes = free[i] and (
            plan.early[i] or plan.rr[i] * rate_hz != len(old) or plan.waves[i] > 0 or plan.focus[i] >= 0
        )
        if changes and np.isfinite(old).all():
            part = _render_interval(old, rate_hz, plan, i, rng)
            said.append("S" if plan.early[i] else "V" if plan.focus[i] >= 0 else str(symbols[i]))
        else:
            part = old
            said.append(str(symbols[i]))
        parts.append(part)
        places.append(places[-1] + len(part))
    parts.append(mv[beats[-1] :])
    new = np.concatenate(parts)
    for changed in np.flatnonzero((plan.focus >= 0) & (np.array(said) == "V") & (symbols != "V")):
        after = places[changed + 1] if changed + 1 < len(places) else len(new)
        _broaden(new, rate_hz, places[changed], after, plan.foci[plan.focus[changed]])
    return new, np.array(places, np.int64), said


def _render_interval(old: Floats, rate_hz: float, plan: BeatPlan, i: int, rng: np.random.Generator) -> Floats:
    """The signal from one R peak to the next, (m, leads), with another length and another P wave before the second."""
    count = max(round(plan.rr[i] * rate_hz), round(SHORTEST_S * rate_hz))
    base, wave = _take_out_p(old, rate_hz)
    out = _stretch(base, count, rate_hz)
    first = count - round(QRS_S * rate_hz) - len(wave) + round(plan.pr[i] * rate_hz)
    skip = max(-first, 0)
    stop = min(len(wave), count - first)
    if skip < stop:
        out[first + skip : first + stop] += (wave * plan.p[i])[skip:stop]
    if plan.waves[i] > 0:
        out += _fibrillatory_waves(count, rate_hz, rng)[:, None] * np.ptp(old, axis=0) * plan.waves[i]
    return out


def _p_begins(size: int, rate_hz: float) -> int:
    """Where the stretch of an interval of so many samples begins that may hold the P wave."""
    return max(size - round(P_S * rate_hz), round(J_S * rate_hz) + round(EDGE_S * rate_hz))


def _take_out_p(old: Floats, rate_hz: float) -> tuple[Floats, Floats]:
    """An interval without its P wave, and the P wave over the line under it, which ends where the QRS begins."""
    size, qrs, edge = len(old), round(QRS_S * rate_hz), round(EDGE_S * rate_hz)
    begin = _p_begins(size, rate_hz)
    base = old.copy()
    if begin + 2 * edge >= size - qrs:
        return base, np.zeros((0, old.shape[1]))
    left, right = old[begin - edge : begin].mean(axis=0), old[size - qrs : size - qrs + edge].mean(axis=0)
    line = np.linspace(left, right, size - qrs - begin)
    wave = (old[begin : size - qrs] - line) * np.hanning(size - qrs - begin + 2)[1:-1, None] ** 0.25
    base[begin : size - qrs] -= wave
    return base, wave


def _stretch(base: Floats, count: int, rate_hz: float) -> Floats:
    """An interval at another length: QRS complexes keep theirs, the T wave too where there is room for it."""
    size, qrs, joint = len(base), round(QRS_S * rate_hz), round(J_S * rate_hz)
    over = min(round(QT * np.sqrt(size / rate_hz) * rate_hz), _p_begins(size, rate_hz))  # of the T wave
    room = count - qrs - round(ROOM_S * rate_hz)
    kept = min(over, max(room, joint + 1))
    new = np.maximum.accumulate(np.array([0, joint, kept, count - qrs, count], float))
    was = np.array([0, joint, over, size - qrs, size], float)
    time = np.interp(np.arange(count), new, was)
    return np.stack([np.interp(time, np.arange(size), base[:, k]) for k in range(base.shape[1])], axis=1)


def _fibrillatory_waves(count: int, rate_hz: float, rng: np.random.Generator) -> Floats:
    """Waves of atrial fibrillation between two R peaks, about 1 high, (count,)."""
    t = np.arange(count) / rate_hz
    pitch = rng.uniform(4.5, 8.0)
    tones = np.sin(2 * np.pi * (pitch * t + rng.random())) + 0.5 * np.sin(2 * np.pi * (1.6 * pitch * t + rng.random()))
    return np.asarray(np.hanning(count) ** 0.3 * tones)
