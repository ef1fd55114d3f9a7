"""The rhythm a patient is in, told from classed beats, and the signal's readability, told from epochs.

Both become marks: WFDB's `+` and `~` annotations. The rhythm is what the last beats say: a ventricular or
supraventricular run, bigeminy, trigeminy, atrial fibrillation by the irregularity of RR intervals, else the basic
rhythm. While ventricular fibrillation is told, it is the rhythm, between `[` and `]`.

Atrial fibrillation is judged at every beat over the last 32, by a logistic score of two measures of the RR
intervals that touch no ventricular beat:

* the *entropy*: the coefficient of sample entropy (Lake and Moorman 2011), small wherever intervals come back, as they
  do in bigeminal and other patterns of ectopic beats however large their changes;
* the *roughness*: mean second difference over mean first difference, small where breathing changes the rate smoothly.

The score must be above one level to begin and below another to end, so that the rhythm does not flicker.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.doubt import condition
from detector.jit import kernel
from detector.types import GOOD, LEADS, NOISY, RATE, Row
from model.codes import ALL_NOISY, CLASSES, DOUBTED, UNREADABLE
from stream.rules_runs import VENTRICULAR
from stream.wire import VF_RHYTHM

HISTORY: Final = 32  # beats remembered: in their intervals atrial fibrillation is looked for (about 25 s)
FEWEST: Final = 17  # neighbours among them that must be free of ventricular beats
TOLERANCE: Final = 0.03 * RATE  # ticks by which two intervals may differ and still be the same (30 ms)
REPEATS: Final = 0.5  # added to each count of equal intervals, so that none is no infinity
ENTROPY, ROUGHNESS, CONSTANT = 3.3, 9.6, -12.4  # logistic regression on the development records
FINEST: Final = 0.001 * RATE  # ticks added to the mean difference (1 ms)
WHITE: Final = 1.732  # roughness of intervals without any order (the square root of 3); more says no more
BEGINS: Final = 0.5  # score from which the rhythm is fibrillation ...
ENDS: Final = -1.5  # ... and below which it no longer is
PATTERNS: Final = 3  # of N V in a row make a bigeminy, as many of N N V a trigeminy
RUN: Final = 3  # beats in a row make a run
RUN_RR: Final = 0.6 * RATE  # ticks: a run is faster than 100 beats a minute
SETTLED: Final = 10  # epochs a change of readability must last to be told (1 s)
SUPRAVENTRICULAR: Final = CLASSES.index("S")

#: Rhythms, and their WFDB names in the same order.
NONE, BASIC, AF, SV_RUN, V_RUN, BIGEMINY, TRIGEMINY, VF = range(8)
AUX: Final = ("", "(N", "(AFIB", "(SVTA", "(VT", "(B", "(T", VF_RHYTHM)

RHYTHM = np.dtype(
    [
        ("code", "i8"),
        ("sample", "i8", (HISTORY,)),  # of the last beats, in a ring by n
        ("tick", "i8", (HISTORY,)),
        ("label", "i1", (HISTORY,)),
        ("rr", "f8", (HISTORY,)),  # ticks before each beat; -1 where a ventricular beat or a gap makes it mean nothing
        ("n", "i8"),
        ("irregular", "i1"),
        ("told", "i8"),  # sample up to which rhythms have been told
        ("quality", "i8"),  # subtype last told
        ("next", "i8"),  # subtype that wants to be told
        ("next_for", "i8"),  # epochs it has lasted
        ("next_sample", "i8"),
    ],
    align=True,
)

#: Kinds of mark.
RHYTHM_MARK, QUALITY_MARK, VF_BEGINS, VF_ENDS = range(4)
MARK = np.dtype([("row", "i8"), ("kind", "i8"), ("sample", "i8"), ("code", "i8")], align=True)


@kernel
def begin(state: Row, sample: int) -> None:
    """No beat yet; the first sample is `sample`."""
    state.code = NONE
    state.quality = 0
    restart(state, sample)


@kernel
def restart(state: Row, sample: int) -> None:
    """Forget the beats, keep what was told; `sample` is the next, and may count anew."""
    state.told = sample - 1
    state.n = 0
    state.irregular = 0
    state.next = state.quality
    state.next_for = 0


@kernel
def begin_vf(state: Row, sample: int, out: Row, count: int) -> int:
    """Ventricular fibrillation has been told to begin at `sample`; the new count of `out`.

    It is the rhythm until it ends, whatever the detector takes for beats meanwhile.
    """
    state.code = VF
    state.told = max(state.told, sample)
    count = mark(out, count, RHYTHM_MARK, sample, VF)
    return mark(out, count, VF_BEGINS, sample, 0)


@kernel
def end_vf(state: Row, sample: int, out: Row, count: int) -> int:
    """Ventricular fibrillation has ended at `sample`; the new count of `out`.

    The rhythm then follows from the beats after this moment. It is ended, too, where the signal is cut off: nothing
    else could end it, and it would stay the rhythm for ever.
    """
    state.code = NONE
    state.told = sample
    state.n = 0
    state.irregular = 0
    return mark(out, count, VF_ENDS, sample, 0)


@kernel
def mark(out: Row, count: int, kind: int, sample: int, code: int) -> int:
    """Write a mark; the new count of `out`."""
    out[count].kind = kind
    out[count].sample = sample
    out[count].code = code
    return count + 1


@kernel
def _label(state: Row, back: int) -> int:
    """Label of the beat `back` before the newest; -1 before the first."""
    return int(state.label[(state.n - 1 - back) % HISTORY]) if back < min(state.n, HISTORY) else -1


@kernel
def _run(state: Row, label: int) -> int:
    """How many beats up to the newest carry this label, up to `HISTORY`."""
    length = 0
    while length < HISTORY and _label(state, length) == label:
        length += 1
    return length


@kernel
def _repeats(state: Row, period: int) -> bool:
    """Whether the last beats are `PATTERNS` times (period - 1) others and a ventricular one, in any phase."""
    seen = PATTERNS * period
    if state.n < seen:
        return False
    phase = -1
    for back in range(period):
        if _label(state, back) == VENTRICULAR:
            phase = back
            break
    if phase < 0:
        return False
    for back in range(seen):
        if (_label(state, back) == VENTRICULAR) != (back % period == phase):
            return False
    return True


@kernel
def _af_score(state: Row) -> float:
    """Score of atrial fibrillation over the last beats, above 0 where it is more likely than not.

    NaN while there are too few intervals. At most HISTORY² / 2 comparisons.
    """
    rr = np.empty(HISTORY)
    neighbours = 0
    usable = 0
    total = 0.0
    first = 0.0
    second = 0.0
    bends = 0
    oldest = max(state.n - HISTORY, 0)
    for i in range(oldest, state.n):
        value = state.rr[i % HISTORY]
        before = state.rr[(i - 1) % HISTORY] if i > oldest else -1.0
        if value < 0.0:
            continue
        rr[usable] = value
        if before >= 0.0:
            neighbours += 1
        if usable > 0:
            first += abs(value - rr[usable - 1])
        if usable > 1:
            second += abs(value - 2.0 * rr[usable - 1] + rr[usable - 2])
            bends += 1
        total += value
        usable += 1
    if neighbours < FEWEST:
        return float(np.nan)
    same = 0  # pairs of intervals that are alike
    still = 0  # and whose followers are alike too
    for i in range(usable - 1):
        for j in range(i + 1, usable - 1):
            if abs(rr[i] - rr[j]) < TOLERANCE:
                same += 1
                still += abs(rr[i + 1] - rr[j + 1]) < TOLERANCE
    mean = total / usable
    entropy = -np.log((still + REPEATS) / (same + REPEATS)) + np.log(2.0 * TOLERANCE / mean)
    roughness = min((second / bends) / (first / (usable - 1) + FINEST), WHITE)
    return float(CONSTANT + ENTROPY * entropy + ROUGHNESS * roughness)


@kernel
def on_beat(state: Row, label: int, tick: int, sample: int, out: Row, count: int) -> int:
    """A beat was classed; writes a mark when the rhythm has changed; the new count of `out`."""
    if state.code == VF or (state.code == NONE and sample <= state.told):
        return count
    _remember(state, label, tick, sample)
    score = _af_score(state)
    if score >= BEGINS:
        state.irregular = 1
    elif score < ENDS:
        state.irregular = 0
    code, back = _pattern(state)
    if code == state.code:
        return count
    onset = sample
    resumed = state.code == V_RUN and code == AF  # a run amid fibrillation lasts up to here, not to its own begin
    if code != BASIC and state.code != NONE and not resumed:
        onset = max(state.sample[(state.n - 1 - min(back, state.n - 1)) % HISTORY], state.told + 1)
    state.code = code
    state.told = onset
    return mark(out, count, RHYTHM_MARK, onset, code)


@kernel
def _remember(state: Row, label: int, tick: int, sample: int) -> None:
    """Put a beat into the ring, with its RR interval where neither end of that is ventricular."""
    here = state.n % HISTORY
    state.rr[here] = -1.0
    if state.n >= 1:
        rr = float(tick - state.tick[(state.n - 1) % HISTORY])
        if label != VENTRICULAR and _label(state, 0) != VENTRICULAR and rr < 3.0 * RATE:
            state.rr[here] = rr
    state.tick[here] = tick
    state.sample[here] = sample
    state.label[here] = label
    state.n += 1


@kernel
def _pattern(state: Row) -> tuple[int, int]:
    """The rhythm that the last beats make, and how many beats before the newest it began."""
    ventricular = _run(state, VENTRICULAR)
    supraventricular = _run(state, SUPRAVENTRICULAR)
    if ventricular >= RUN and _mean_rr(state, ventricular) < RUN_RR:
        return V_RUN, ventricular - 1
    if supraventricular >= RUN and _mean_rr(state, supraventricular) < RUN_RR and not state.irregular:
        return SV_RUN, supraventricular - 1
    if _repeats(state, 2):
        return BIGEMINY, 2 * PATTERNS - 1
    if _repeats(state, 3):
        return TRIGEMINY, 3 * PATTERNS - 1
    if state.irregular:
        return AF, HISTORY // 2
    return BASIC, 0


@kernel
def _mean_rr(state: Row, beats: int) -> float:
    """Mean RR in ticks over the last `beats` beats, with the one before them where it is known."""
    newest = state.tick[(state.n - 1) % HISTORY]
    first = min(beats, state.n - 1, HISTORY - 1)
    return float((newest - state.tick[(state.n - 1 - first) % HISTORY]) / max(first, 1))


@kernel
def on_epoch(state: Row, epoch: Row, leads: int, onset: int, out: Row, count: int) -> int:
    """Tell a change of readability once it has lasted; the new count of `out`."""
    subtype = 0
    noisy = good = False
    for lead in range(leads):
        declared = condition(epoch, lead)
        good |= declared == GOOD
        noisy |= declared == NOISY
        if declared == NOISY:
            subtype |= 1 << lead
        elif declared > NOISY:
            subtype |= 1 << (4 + lead)
    if noisy and not good:
        subtype |= ALL_NOISY
    if epoch.doubtful:
        subtype |= DOUBTED
    if not epoch.readable:
        subtype |= UNREADABLE
    if subtype == state.quality:
        state.next = subtype
        state.next_for = 0
        return count
    if subtype != state.next:
        state.next = subtype
        state.next_for = 0
        state.next_sample = onset
    state.next_for += 1
    if state.next_for < SETTLED:
        return count
    state.quality = subtype
    return mark(out, count, QUALITY_MARK, state.next_sample, subtype)


assert LEADS <= 4, "a `~` annotation has four bits a kind"
