"""Which alerts a course calls for, and by when: the yardstick for a monitor that watches a scripted patient.

An alert that must come is `required`. One that may come is listed too, with `required` false, so that whatever else a
monitor raises is a false alarm: the lesser conditions of a chain (the pause at the begin of an asystole), and
conditions too close to a limit or too badly recorded to be decided.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import Final

from replay.script_course import Course, Overlay

#: The monitor's limits, as bedside monitors have them. Where its settings may reasonably differ there are two numbers:
#: from the first on a condition may be told, from the second on it must be.
ASYSTOLE_S: Final = 4.0
PAUSE_S: Final = 2.0
VT_BEATS: Final = 5
VT_RATE: Final = 100.0  # beats/min
RUN_BEATS: Final = 3
TACHYCARDIA: Final = 140.0  # beats/min
TACHYCARDIA_RR: Final = (5, 17)  # intervals over which the rate is taken
BRADYCARDIA: Final = 40.0  # beats/min
BRADYCARDIA_RR: Final = (2, 5)
VF_S: Final = (3.0, 10.0)  # ANSI/AAMI EC13 and IEC 60601-2-27 grant 10 s for ventricular fibrillation
LEAD_OFF_S: Final = (0.5, 2.0)
FLAT_S: Final = (1.0, 4.0)
SATURATED_S: Final = (1.0, 3.0)
UNMONITORED_S: Final = (0.5, 3.0)

MARGIN: Final = 0.07  # a rate or time this near to its limit may be judged either way
ONSET_S: Final = 0.5  # an onset may be named so much earlier or later: R peak against wave, the raster of the rules
DECISION_S: Final = 3.0  # from the moment a condition is fulfilled until it must have been raised
CLEAR_S: Final = 15.0  # from the end of a condition until its alert must have been cleared

_VENTRICULAR: Final = frozenset("VE")
_UNREADABLE: Final = ("leadoff", "flat", "saturated")
_TECHNICAL: Final = {
    "leadoff": ("lead_off", LEAD_OFF_S),
    "flat": ("flat_line", FLAT_S),
    "saturated": ("saturated", SATURATED_S),
}
HEARD_DB: Final = 20.0  # noise at this ratio or worse may be told
NOISY_DB: Final = 6.0  # noise at this ratio or worse may hide beats


@dataclasses.dataclass(frozen=True)
class Expected:
    """One alert to be expected. Times are in seconds since the start of the record.

    Attributes
    ----------
    rule : str
        As `stream.wire.Rule.label`.
    onset : tuple of two float
        Earliest and latest onset that the alert may name.
    raised_by : float
        Latest time of its decision.
    cleared_by : float or None
        Latest time of its end; None where the record ends before.
    required : bool
        False: it may be raised, and need not be.
    leads : tuple of str
        The leads of a technical condition.
    """

    rule: str
    onset: tuple[float, float]
    raised_by: float
    cleared_by: float | None
    required: bool = True
    leads: tuple[str, ...] = ()


def expected(course: Course, leads: Sequence[str]) -> tuple[Expected, ...]:
    """The alerts to be expected, in order of their onset."""
    found = [
        *_silences(course),
        *_runs(course),
        *_rates(course),
        *_fibrillation(course),
        *_technical(course, leads),
    ]
    blind = blind_spans(course, leads)
    judged = (
        dataclasses.replace(e, required=False)
        if e.required and not e.leads and _overlaps(blind, e.onset[0] - PAUSE_S, e.raised_by)
        else e
        for e in found
    )
    return tuple(sorted(judged, key=lambda e: (e.onset, e.rule)))


def _expected(
    course: Course,
    rule: str,
    onset: tuple[float, float],
    met: float,
    end: float,
    *,
    required: bool = True,
    leads: tuple[str, ...] = (),
) -> Expected:
    """An alert whose condition is fulfilled at `met` and over at `end`; not required if the record ends too soon."""
    by, cleared = met + DECISION_S, end + CLEAR_S
    return Expected(
        rule,
        (round(max(0.0, onset[0] - ONSET_S), 3), round(onset[1] + ONSET_S, 3)),
        round(by, 3),
        round(cleared, 3) if cleared <= course.seconds else None,
        required and by <= course.seconds,
        leads,
    )


def _silences(course: Course) -> Iterable[Expected]:
    """Stretches without a beat. A fibrillation ends one and begins another: in it, a monitor may see beats or none.

    In a rhythm so slow that every interval is a pause, the bradycardia is the alarm.
    """
    edges = sorted(
        [
            0.0,
            course.seconds,
            *(b.time for b in course.beats),
            *(t for span in course.ventricular_fibrillation() for t in span),
        ]
    )
    ends = {end for _, end in course.ventricular_fibrillation()}
    slow = False
    for before, after in itertools.pairwise(edges):
        gap = after - before
        slow, was_slow = gap >= PAUSE_S * (1 - MARGIN), slow
        fibrillating = _overlaps(course.ventricular_fibrillation(), before, after)
        early = 2.0 if before in ends else 0.0  # the last fibrillation waves may have passed for a beat, or not
        for rule, limit, worse in (("pause", PAUSE_S, ASYSTOLE_S), ("asystole", ASYSTOLE_S, None)):
            if gap < limit * (1 - MARGIN):
                continue
            sure = not fibrillating and before > 0.0 and gap >= limit * (1 + MARGIN)
            required = sure and (worse is None or (gap < worse * (1 - MARGIN) and not was_slow))
            onset = (before - early, after)
            yield _expected(course, rule, onset, before + limit, after, required=required)


def _runs(course: Course) -> Iterable[Expected]:
    beats = course.beats
    first = 0
    while first < len(beats):
        last = first
        while last + 1 < len(beats) and beats[last + 1].symbol == beats[first].symbol:
            if _overlaps(course.ventricular_fibrillation(), beats[last].time, beats[last + 1].time):
                break
            last += 1
        if beats[first].symbol in _VENTRICULAR:
            yield from _run(course, first, last)
        first = last + 1


def _run(course: Course, first: int, last: int) -> Iterable[Expected]:
    """What a run of ventricular beats calls for: a tachycardia if fast and long enough, else a run."""
    count = last - first + 1
    times = [b.time for b in course.beats[first : last + 1]]
    rate = 60 * (count - 1) / (times[-1] - times[0]) if count > 1 else 0.0
    fast = rate >= VT_RATE * (1 + MARGIN)
    if count >= RUN_BEATS:
        met = times[RUN_BEATS - 1]
        required = fast and count < VT_BEATS
        yield _expected(course, "ventricular_run", (times[0], times[-1]), met, times[-1], required=required)
    if count >= VT_BEATS and rate >= VT_RATE * (1 - MARGIN):
        met = times[VT_BEATS - 1]
        yield _expected(course, "ventricular_tachycardia", (times[0], times[-1]), met, times[-1], required=fast)


def _rates(course: Course) -> Iterable[Expected]:
    yield from _sustained(course, "extreme_tachycardia", TACHYCARDIA, TACHYCARDIA_RR, 1)
    yield from _sustained(course, "extreme_bradycardia", BRADYCARDIA, BRADYCARDIA_RR, -1)


def _sustained(course: Course, rule: str, limit: float, intervals: tuple[int, int], sign: int) -> Iterable[Expected]:
    """Stretches in which the rate is above (sign 1) or below (-1) the limit, taken over few or over many intervals."""
    few, many = intervals
    times = [b.time for b in course.beats]
    certain = [
        i for i in _windows(times, many, sign, limit * (1 + sign * MARGIN)) if not _in_chain(course, i, many, sign)
    ]
    stretches: list[tuple[int, int]] = []
    for i in _windows(times, few, sign, limit * (1 - sign * MARGIN)):
        if stretches and i <= stretches[-1][1] + many:
            stretches[-1] = (stretches[-1][0], i)
        else:
            stretches.append((i, i))
    for first, last in stretches:
        sure = next((i for i in certain if first <= i <= last), None)
        met = times[sure if sure is not None else last]
        # The mean over many intervals may reach back before the first that were beyond the limit.
        onset = (times[max(0, first - many)], times[last])
        yield _expected(course, rule, onset, met, times[last], required=sure is not None)


def _windows(times: Sequence[float], beats: int, sign: int, limit: float) -> list[int]:
    """Beats at which the rate over the last `beats` intervals is beyond the limit."""
    return [
        i for i in range(beats, len(times)) if sign * (60 * beats / (times[i] - times[i - beats]) - limit) > 0
    ]  # fmt: skip


def _in_chain(course: Course, i: int, beats: int, sign: int) -> bool:
    """Whether a worse alarm covers the intervals: ventricular beats a tachycardia, a standstill or VF a bradycardia."""
    window = course.beats[i - beats : i + 1]
    if _overlaps(course.ventricular_fibrillation(), window[0].time, window[-1].time):
        return True
    if sign > 0:
        return any(b.symbol in _VENTRICULAR for b in window)
    return any(b.time - a.time >= ASYSTOLE_S * (1 - MARGIN) for a, b in itertools.pairwise(window))


def _fibrillation(course: Course) -> Iterable[Expected]:
    for start, end in course.ventricular_fibrillation():
        if end - start >= VF_S[0]:
            met = start + VF_S[1] - DECISION_S
            onset = (start - 1.0, end)
            yield _expected(course, "ventricular_fibrillation", onset, met, end, required=end - start >= VF_S[1])
        for lesser in ("ventricular_tachycardia", "ventricular_run", "extreme_tachycardia", "extreme_bradycardia"):
            yield _expected(course, lesser, (start - 3.0, end + 1.0), end, end, required=False)


def _technical(course: Course, leads: Sequence[str]) -> Iterable[Expected]:
    for lead in leads:
        for word, (rule, limit) in _TECHNICAL.items():
            for start, end in _spans(course.overlays, word, lead):
                if end - start >= limit[0]:
                    onset = (start, end)
                    met, required = start + limit[1], end - start >= limit[1] * (1 + MARGIN)
                    yield _expected(course, rule, onset, met, end, required=required, leads=(lead,))
        for start, end in _spans(course.overlays, "saturated", lead):
            yield _expected(course, "flat_line", (start, end), end, end, required=False, leads=(lead,))
        for start, end in _spans(course.overlays, "noise", lead, HEARD_DB):
            yield _expected(course, "noisy", (start, end), end, end, required=False, leads=(lead,))
    for start, end in _joined(common_spans([quality_spans(course, lead)[0] for lead in leads])):
        if end - start >= UNMONITORED_S[0]:
            onset = (start, end)
            met, required = start + UNMONITORED_S[1], end - start >= UNMONITORED_S[1] * (1 + MARGIN)
            yield _expected(course, "unmonitored", onset, met, end, required=required, leads=tuple(leads))
    for start, end in _joined(blind_spans(course, leads)):
        yield _expected(course, "unmonitored", (start, end), end, end, required=False, leads=tuple(leads))
    for start, end in common_spans([_spans(course.overlays, "flat", lead) for lead in leads]):
        for rule, least in (("pause", PAUSE_S), ("asystole", ASYSTOLE_S)):
            if end - start >= least * (1 - MARGIN):  # short-circuited electrodes look like a standstill
                yield _expected(course, rule, (start - 2.0, end), end, end, required=False)


def _spans(
    overlays: Iterable[Overlay], word: str, lead: str, worst_db: float | None = None
) -> list[tuple[float, float]]:
    """The stretches in which one lead is under a modifier, joined where they touch."""
    return _joined(
        sorted(
            (o.start, o.end)
            for o in overlays
            if o.modifier.word == word
            and (not o.modifier.leads or lead in o.modifier.leads)
            and (worst_db is None or (o.modifier.amount or 0.0) <= worst_db)
        )
    )


def _joined(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans in order of their begin, those that touch made one."""
    joined: list[tuple[float, float]] = []
    for start, end in spans:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def quality_spans(course: Course, lead: str) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Stretches in which a lead is unreadable, and in which it is noisy."""
    unreadable = [s for word in _UNREADABLE for s in _spans(course.overlays, word, lead)]
    return sorted(unreadable), _spans(course.overlays, "noise", lead, NOISY_DB)


def blind_spans(course: Course, leads: Sequence[str]) -> list[tuple[float, float]]:
    """Stretches in which no lead can be read with certainty."""
    return common_spans([sorted([*u, *n]) for u, n in (quality_spans(course, lead) for lead in leads)])


def common_spans(each: Sequence[Sequence[tuple[float, float]]]) -> list[tuple[float, float]]:
    """The stretches that all of these lists cover."""
    edges = sorted({t for spans in each for span in spans for t in span})
    return [
        (a, b) for a, b in itertools.pairwise(edges) if all(any(s <= a and b <= e for s, e in spans) for spans in each)
    ]


def _overlaps(spans: Iterable[tuple[float, float]], start: float, end: float) -> bool:
    return any(s < end and start < e for s, e in spans)
